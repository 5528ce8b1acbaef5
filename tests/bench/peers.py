"""Other programs on the same packets, in the same run.

nft      Linux in network namespaces: forwarding, a stateful filter and
         masquerading by nftables.  'bench flood' sends over a veth pair to a
         router, which sends on over another to a host that drops; what the
         router does runs inside the sender's system calls, and is counted as
         CPU time there.  Reported is the router's part: less the same with a
         router that drops at once.
click    Click's IPRewriter, pcap to pcap (CPU time of the process)
vpp      VPP's nat44-ed (peer_vpp.py)"""
import os
import shutil
import sys
import tempfile

import peer_vpp
from captures import Files
from figures import BENCH, HERE, ROOT, Skipped, compare, figure

sys.path[:0] = [os.path.join(ROOT, "tests", "interop"),
                os.path.join(ROOT, "tests")]

FLOWS = 100000
GATEWAY = "nat-gateway.conf, 100 k flows"
GATEWAY_PCAP = "headgate, nat-gateway.conf, new file"
BESIDE = {"nft, masquerade": GATEWAY, "vpp, nat44-ed": GATEWAY,
          "click, IPRewriter, pcap to pcap": GATEWAY_PCAP}


def beside(fig, figures):
    """A peer's figure gets its ratio to ours of the same run."""
    ours = [other["ns"] for other in figures
            if other["name"] == BESIDE.get(fig["name"])]
    return compare(fig, ours[0], "headgate") if ours else fig


def program(variable, name):
    path = os.environ.get(variable) or shutil.which(name)
    if not path:
        raise Skipped("no program '%s', and $%s names none" % (
            name, variable))
    return path


# ---- nftables ----------------------------------------------------------

def rules(family, *chain):
    return "table %s t {\n chain c {\n  %s\n }\n}\n" % (
        family, "\n  ".join(chain))


def drop_at_once(interface):
    return rules("netdev", "type filter hook ingress device %s priority 0; "
                 "policy drop;" % interface)


ROUTERS = {
    "drop at once": drop_at_once("in0"),
    "forward": "",
    "stateful filter": rules(
        "inet", "type filter hook forward priority 0; policy drop;",
        "ct state established accept",
        "ip saddr 10.0.0.0/8 ct state new accept"),
    "masquerade": rules("ip", "type nat hook postrouting priority 100;",
                        'oifname "out0" masquerade')}


def build_router(lab, nft, name, text):
    """Sender, router and host, and the rules of the router; the sender."""
    source, router, host = (lab.namespace(name.split()[0] + end)
                            for end in ("-a", "-r", "-b"))
    lab.veth((source, "up0"), (router, "in0"))
    lab.veth((router, "out0"), (host, "up0"))
    lab.ip(router, "link", "set", "in0", "address", "02:00:00:00:00:fe")
    lab.address(router, "in0", "10.255.0.1/8")
    lab.address(router, "out0", "198.51.100.1/24")
    lab.ip(router, "neighbour", "add", "198.51.100.2", "lladdr",
           "02:00:00:00:00:01", "dev", "out0")
    lab.ip(host, "link", "set", "up0", "address", "02:00:00:00:00:01")
    lab.ip(router, "route", "add", "default", "via", "198.51.100.2")
    lab.run(router, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    for space, text in ((router, text), (host, drop_at_once("up0"))):
        lab.run(space, nft, "-f", lab.file("rules.nft", text))
    return source, host


def received(lab, host):
    text = lab.run(host, "cat", "/sys/class/net/up0/statistics/rx_packets")
    return int(text)


def flood(lab, lane, name, packets):
    """CPU nanoseconds a packet; fails unless they came through."""
    source, host = lane
    before = received(lab, host)
    spent = int(lab.run(source, BENCH, "flood", "up0", str(packets),
                        str(FLOWS)))
    expected = 0 if name == "drop at once" else packets + FLOWS
    # Neighbour discovery and the like come to the host as well.
    if not expected <= received(lab, host) - before <= expected + 100:
        raise RuntimeError("%s: %d packets were to come through, %d did" % (
            name, expected, received(lab, host) - before))
    return spent / packets


def nft_nat(quick):
    nft = program("NFT", "nft")
    if os.geteuid() != 0:
        raise Skipped("network namespaces need root")
    from netns import Lab  # pylint: disable=import-outside-toplevel

    packets = 30000 if quick else 300000
    spent = {name: [] for name in ROUTERS}
    with Lab() as lab:
        lanes = {name: build_router(lab, nft, name, text)
                 for name, text in ROUTERS.items()}
        for _ in range(5):
            for name, lane in lanes.items():
                spent[name].append(flood(lab, lane, name, packets))
    for name, rounds in spent.items():
        if name == "drop at once":
            continue
        net = [a - b for a, b in zip(rounds, spent["drop at once"])]
        yield figure("peers", "nft, " + name, net, n=packets, flows=FLOWS)


# ---- Click ---------------------------------------------------------------

CLICK_GRAPH = """
rw :: IPRewriter(pattern 198.51.100.1 1024-65535 - - 0 0,
                 CAPACITY 2000000, GUARANTEE 300, UDP_TIMEOUT 300);
FromDump(%s, STOP true) -> Strip(14) -> CheckIPHeader -> rw
  -> EtherEncap(0x0800, 02:00:00:00:00:02, 02:00:00:00:00:fe)
  -> ToDump(%s, SNAPLEN 0);
"""


def click_nat(quick):
    click = program("CLICK", "click")
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        files = Files(folder, 300000 if quick else 1000000)
        graph = os.path.join(folder, "nat.click")
        with open(graph, "w", encoding="ascii") as file:
            file.write(CLICK_GRAPH % (files.input, files.output))
        rounds = [files.run((click, graph), True) / files.n
                  for _ in range(5)]
        yield figure("peers", "click, IPRewriter, pcap to pcap", rounds,
                     n=files.n, flows=files.flows)


def vpp_nat(quick):
    vpp = program("VPP", "vpp")
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        files = Files(folder, 300000 if quick else 1000000)
        yield from peer_vpp.measure(vpp, folder, files)


ALL = (("nft", nft_nat), ("click", click_nat), ("vpp", vpp_nat))

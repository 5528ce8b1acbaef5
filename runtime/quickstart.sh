#!/bin/bash
# From a fresh machine to the first translated packet: installs what is
# missing, builds, and replays a bundled capture through the NAT gateway.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'END'
usage: runtime/quickstart.sh [--help]

Installs the packages that are missing (Debian and Ubuntu; asks sudo if you
are not root), builds headgate into build/ and replays
graphs/captures/nat-gateway.pcap through graphs/nat-gateway.conf.  What would
have left towards the internet is then in build/nat-gateway-out.pcap.

Run it as often as you like: what is there already is not done again.
END
}

case "${1-}" in
'') ;;
--help | -h)
    usage
    exit 0
    ;;
*)
    echo "quickstart.sh: no option '$1'; see --help" >&2
    exit 2
    ;;
esac

. runtime/packages.sh
install_packages $BUILD_PACKAGES

echo "== building into build/"
cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DHEADGATE_TESTS=OFF --log-level=WARNING >/dev/null
cmake --build build

outside=build/nat-gateway-out.pcap
inside=build/nat-gateway-inside.pcap
command=(build/headgate run graphs/nat-gateway.conf
    inside=graphs/captures/nat-gateway.pcap:$inside
    outside=graphs/captures/internet.pcap:$outside)
echo
echo "== ${command[*]}"
"${command[@]}"

show() {
    if command -v tshark >/dev/null; then
        tshark -n -r "$1" -c "$2" 2>/dev/null
    elif command -v tcpdump >/dev/null; then
        tcpdump -n -r "$1" -c "$2" 2>/dev/null
    fi
}

echo
echo "== what left towards the internet: $outside"
show $outside 8
echo
echo "== what came back to the inside: $inside"
show $inside 4
echo
echo "Next: build/headgate graph graphs/nat-gateway.conf"
echo "      build/headgate elements"
echo "      README.md"

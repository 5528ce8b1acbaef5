/* device_raw.c: raw:IF, a network interface through packet sockets.
 *
 * In: a ring shared with the kernel (packet_ring.h).  Out: sendmmsg() on a
 * second socket.  The receiving socket ignores all that the host sends, so
 * that our own packets never come back.
 *
 * The host's own IP stack still sees what arrives: an interface used this way
 * should have no addresses that the graph answers for. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <headgate/diag.h>

#include "device.h"
#include "packet_ring.h"

#define SEND_MAX 64U          /* Packets in one sendmmsg(). */
#define SEND_WAITS 3          /* Of 1 ms, for a full queue. */
#define SEND_BUFFER (8 << 20) /* Bytes the kernel may hold for us. */

struct raw {
    struct hg_device dev;
    char name[IF_NAMESIZE];
    int tx_fd;
    struct packet_ring ring;
    struct device_filter filter;
    uint32_t snaplen;
    uint64_t last_ns;
};

/* An interface that goes down or away leaves an error at its socket.  It
 * stays there, so that whoever sleeps on the socket wakes. */
static void
raw_check_interface(struct raw *r)
{
    struct pollfd state = {.fd = r->dev.fd};

    if (!r->dev.failed && poll(&state, 1, 0) > 0 && state.revents & POLLERR)
        device_fail(&r->dev, "interface '%s' went down or was removed",
                    r->name);
}

static uint64_t
raw_next_ns(struct hg_device *dev)
{
    struct raw *r = (struct raw *)dev;
    uint64_t ns;

    if (packet_ring_peek(&r->ring)) {
        ns = packet_ring_ns(&r->ring);
        return ns > r->last_ns ? ns : r->last_ns;
    }
    packet_ring_count_missed(&r->ring);
    dev->rx_missed = r->ring.missed;
    raw_check_interface(r);
    return HG_NEVER;
}

/* Cuts the packet to the snaplen after the filter has seen it whole. */
static bool
raw_accept(struct raw *r, struct hg_packet *p)
{
    uint32_t wire_len = p->wire_len;

    if (!device_filter_pass(&r->filter, p->data, p->len, wire_len)) {
        r->dev.rx_filtered++;
        hg_packet_free(p);
        return false;
    }
    if (r->snaplen)
        hg_packet_trim(p, r->snaplen);
    p->wire_len = wire_len;
    r->dev.rx_packets++;
    r->dev.rx_bytes += wire_len;
    return true;
}

static unsigned
raw_receive(struct hg_device *dev, struct hg_pool *pool,
            struct hg_packet **out, unsigned max, uint64_t until_ns)
{
    struct raw *r = (struct raw *)dev;
    unsigned n = 0;

    while (n < max && packet_ring_peek(&r->ring)) {
        uint64_t ns = packet_ring_ns(&r->ring);
        struct hg_packet *p;

        if (ns > until_ns || r->last_ns > until_ns)
            break;
        p = packet_ring_take(&r->ring, pool);
        if (!p) {
            dev->rx_unusable++;
            continue;
        }
        p->time_ns = device_clock(dev, &r->last_ns, ns);
        if (raw_accept(r, p))
            out[n++] = p;
    }
    dev->rx_missed = r->ring.missed;
    return n;
}

/* Sends the messages and returns how many went out.  A full queue is waited
 * for, but not long: then the packet is lost, as on a wire. */
static unsigned
raw_send_messages(struct raw *r, struct mmsghdr *messages, unsigned n,
                  int *waits)
{
    unsigned sent = 0;
    unsigned i = 0;

    while (i < n) {
        int k = sendmmsg(r->tx_fd, messages + i, n - i, MSG_DONTWAIT);

        if (k > 0) {
            sent += (unsigned)k;
            i += (unsigned)k;
        } else if (errno == EINTR) {
            continue;
        } else if ((errno == EAGAIN || errno == ENOBUFS) && *waits > 0) {
            struct pollfd none = {.fd = -1};

            --*waits;
            poll(&none, 1, 1);
        } else {
            if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV)
                raw_check_interface(r);
            i++;
        }
    }
    return sent;
}

static unsigned
raw_send_some(struct raw *r, struct hg_packet *const *packets, unsigned n,
              int *waits)
{
    struct mmsghdr messages[SEND_MAX];
    struct iovec data[SEND_MAX];
    unsigned sent;

    memset(messages, 0, n * sizeof messages[0]);
    for (unsigned i = 0; i < n; i++) {
        data[i] = (struct iovec){packets[i]->data, packets[i]->len};
        messages[i].msg_hdr.msg_iov = &data[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    sent = raw_send_messages(r, messages, n, waits);
    for (unsigned i = 0; i < n; i++)
        r->dev.tx_bytes += messages[i].msg_len;
    return sent;
}

static unsigned
raw_send(struct hg_device *dev, struct hg_packet *const *packets, unsigned n)
{
    struct raw *r = (struct raw *)dev;
    int waits = SEND_WAITS;
    unsigned sent = 0;

    for (unsigned i = 0; i < n; i += SEND_MAX)
        sent += raw_send_some(r, packets + i,
                              n - i < SEND_MAX ? n - i : SEND_MAX, &waits);
    hg_packet_free_many(packets, n);
    dev->tx_packets += sent;
    dev->tx_failed += n - sent;
    return sent;
}

static void
raw_destroy(struct raw *r)
{
    packet_ring_uninit(&r->ring);
    if (r->dev.fd >= 0)
        close(r->dev.fd);
    if (r->tx_fd >= 0)
        close(r->tx_fd);
    device_filter_uninit(&r->filter);
    device_uninit(&r->dev);
    free(r);
}

static bool
raw_close(struct hg_device *dev, struct hg_error *error)
{
    (void)error;
    raw_destroy((struct raw *)dev);
    return true;
}

static const struct hg_device_ops raw_ops = {
    .scheme = "raw",
    .next_ns = raw_next_ns,
    .receive = raw_receive,
    .send = raw_send,
    .close = raw_close,
};

/* "no interface 'ehh0'; did you mean 'eth0'?" */
static bool
say_no_interface(const char *name, struct hg_error *error)
{
    struct if_nameindex *all = if_nameindex();
    const char *names[256];
    const char *nearest;
    size_t n = 0;

    while (all && n < 256 && all[n].if_name) {
        names[n] = all[n].if_name;
        n++;
    }
    nearest = hg_nearest(name, names, n);
    hg_error_set(error, "no network interface '%s'%s%s%s", name,
                 nearest ? "; did you mean '" : "; 'ip link' lists them",
                 nearest ? nearest : "", nearest ? "'?" : "");
    if_freenameindex(all);
    return false;
}

/* Whether it is up and carries Ethernet frames. */
static bool
raw_check_usable(struct raw *r, struct hg_error *error)
{
    struct ifreq request = {0};

    memcpy(request.ifr_name, r->name, sizeof r->name);
    if (ioctl(r->tx_fd, SIOCGIFFLAGS, &request) < 0)
        return hg_error_set(error, "cannot use interface '%s': %s", r->name,
                            strerror(errno));
    if (!(request.ifr_flags & IFF_UP))
        return hg_error_set(error,
                            "interface '%s' is down; bring it up with "
                            "'ip link set %s up'",
                            r->name, r->name);
    if (ioctl(r->tx_fd, SIOCGIFHWADDR, &request) < 0)
        return hg_error_set(error, "cannot use interface '%s': %s", r->name,
                            strerror(errno));
    if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER &&
        request.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)
        return hg_error_set(error,
                            "interface '%s' carries no Ethernet frames "
                            "(hardware type %u); raw: needs one that does",
                            r->name, request.ifr_hwaddr.sa_family);
    return true;
}

/* Receiving begins with the last step, when all is prepared. */
static bool
raw_bind(struct raw *r, int index, bool promiscuous)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_ifindex = index};
    struct packet_mreq membership = {.mr_ifindex = index,
                                     .mr_type = PACKET_MR_PROMISC};
    int size = SEND_BUFFER;

    if (bind(r->tx_fd, (struct sockaddr *)&address, sizeof address) < 0)
        return false;
    if (setsockopt(r->tx_fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) <
        0)
        setsockopt(r->tx_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (promiscuous && setsockopt(r->dev.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP,
                                  &membership, sizeof membership) < 0)
        return false;
    address.sll_protocol = htons(ETH_P_ALL);
    return !bind(r->dev.fd, (struct sockaddr *)&address, sizeof address);
}

static bool
raw_setup(struct raw *r, const struct device_options *options,
          struct hg_error *error)
{
    unsigned index = if_nametoindex(r->name);

    if (!index)
        return say_no_interface(r->name, error);
    if (!device_filter_init(&r->filter, options->filter, error))
        return false;
    r->tx_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    r->dev.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (r->tx_fd < 0 || r->dev.fd < 0) {
        if (errno == EPERM)
            return hg_error_set(error,
                                "no permission to use interface '%s': it "
                                "needs CAP_NET_RAW; run as root or give the "
                                "program that capability",
                                r->name);
        return hg_error_set(error, "cannot open a packet socket: %s",
                            strerror(errno));
    }
    if (!raw_check_usable(r, error))
        return false;
    if (!packet_ring_init(&r->ring, r->dev.fd) ||
        !raw_bind(r, (int)index, options->promiscuous))
        return hg_error_set(error,
                            "cannot receive from interface '%s': %s (Linux "
                            "4.20 or newer is needed)",
                            r->name, strerror(errno));
    return true;
}

struct hg_device *
device_raw_open(const char *rest, const struct device_options *options,
                struct hg_error *error)
{
    struct raw *r;

    if (!*rest || strlen(rest) >= IF_NAMESIZE) {
        say_no_interface(rest, error);
        return NULL;
    }
    r = calloc(1, sizeof *r);
    if (!r) {
        hg_error_set(error, "out of memory");
        return NULL;
    }
    device_init(&r->dev, &raw_ops);
    r->dev.live = true;
    r->tx_fd = -1;
    r->snaplen = options->snaplen;
    memcpy(r->name, rest, strlen(rest));
    if (!raw_setup(r, options, error)) {
        raw_destroy(r);
        return NULL;
    }
    return &r->dev;
}

/* device_tap.c: tap:NAME, a TAP interface of the host.
 *
 * What the host sends to the interface is received here, and what is sent
 * here the host receives.  The interface is created if there is none of that
 * name, and goes away with the program then; one made beforehand
 * ('ip tuntap add') stays.  Offloads are off, so that the host gives whole
 * checksums and frames no larger than the MTU. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

/* The largest MTU of a TAP interface, an Ethernet header, two VLAN tags. */
#define FRAME_MAX (65521U + 14 + 8)

struct tap {
    struct hg_device dev;
    char name[IF_NAMESIZE];
    struct device_filter filter;
    uint32_t snaplen;
    uint64_t last_ns;
    uint64_t frame_ns;  /* When 'frame' was read. */
    uint32_t frame_len; /* 0: no frame waits there. */
    uint8_t frame[FRAME_MAX];
};

static uint64_t
clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * HG_SEC + (uint64_t)now.tv_nsec;
}

/* Whether a frame waits; reads one ahead. */
static bool
tap_peek(struct tap *t)
{
    ssize_t n;

    if (t->frame_len || t->dev.failed)
        return t->frame_len != 0;
    do
        n = read(t->dev.fd, t->frame, sizeof t->frame);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        t->frame_len = (uint32_t)n;
        t->frame_ns = clock_ns();
    } else if (n == 0 || errno != EAGAIN) {
        device_fail(&t->dev, "interface '%s' was removed (%s)", t->name,
                    n ? strerror(errno) : "end of file");
    }
    return n > 0;
}

static uint64_t
tap_next_ns(struct hg_device *dev)
{
    struct tap *t = (struct tap *)dev;

    if (!tap_peek(t))
        return HG_NEVER;
    return t->frame_ns > t->last_ns ? t->frame_ns : t->last_ns;
}

/* The packet of the frame that waits, or NULL, counted, if it gives none. */
static struct hg_packet *
tap_take(struct tap *t, struct hg_pool *pool)
{
    uint32_t wire_len = t->frame_len;
    uint32_t len = t->snaplen && t->snaplen < wire_len ? t->snaplen : wire_len;
    struct hg_packet *p;

    t->frame_len = 0;
    if (!device_filter_pass(&t->filter, t->frame, wire_len, wire_len)) {
        t->dev.rx_filtered++;
        return NULL;
    }
    p = hg_packet_alloc(pool, len);
    if (!p) {
        t->dev.rx_unusable++;
        return NULL;
    }
    memcpy(p->data, t->frame, len);
    p->wire_len = wire_len;
    p->time_ns = device_clock(&t->dev, &t->last_ns, t->frame_ns);
    t->dev.rx_packets++;
    t->dev.rx_bytes += wire_len;
    return p;
}

static unsigned
tap_receive(struct hg_device *dev, struct hg_pool *pool,
            struct hg_packet **out, unsigned max, uint64_t until_ns)
{
    struct tap *t = (struct tap *)dev;
    unsigned n = 0;

    while (n < max && tap_next_ns(dev) <= until_ns && t->frame_len) {
        struct hg_packet *p = tap_take(t, pool);

        if (p)
            out[n++] = p;
    }
    return n;
}

static unsigned
tap_send(struct hg_device *dev, struct hg_packet *const *packets, unsigned n)
{
    unsigned sent = 0;

    for (unsigned i = 0; i < n; i++) {
        ssize_t len;

        do
            len = write(dev->fd, packets[i]->data, packets[i]->len);
        while (len < 0 && errno == EINTR);
        if (len > 0) {
            sent++;
            dev->tx_bytes += (uint64_t)len;
        }
    }
    hg_packet_free_many(packets, n);
    dev->tx_packets += sent;
    dev->tx_failed += n - sent;
    return sent;
}

static void
tap_destroy(struct tap *t)
{
    if (t->dev.fd >= 0)
        close(t->dev.fd);
    device_filter_uninit(&t->filter);
    device_uninit(&t->dev);
    free(t);
}

static bool
tap_close(struct hg_device *dev, struct hg_error *error)
{
    (void)error;
    tap_destroy((struct tap *)dev);
    return true;
}

static const struct hg_device_ops tap_ops = {
    .scheme = "tap",
    .next_ns = tap_next_ns,
    .receive = tap_receive,
    .send = tap_send,
    .close = tap_close,
};

static bool
say_why_not(const struct tap *t, struct hg_error *error)
{
    switch (errno) {
    case EPERM:
        return hg_error_set(error,
                            "no permission to make interface '%s': it needs "
                            "CAP_NET_ADMIN; run as root or give the program "
                            "that capability",
                            t->name);
    case EBUSY:
        return hg_error_set(error,
                            "interface '%s' is in use by another "
                            "program",
                            t->name);
    case EINVAL:
        return hg_error_set(error,
                            "'%s' cannot be a TAP interface: an interface "
                            "of another kind has that name, or it is no "
                            "interface name",
                            t->name);
    default:
        return hg_error_set(error, "cannot make interface '%s': %s", t->name,
                            strerror(errno));
    }
}

static bool
tap_bring_up(const struct tap *t)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up;
    int why;

    if (fd < 0)
        return false;
    memcpy(request.ifr_name, t->name, sizeof t->name);
    up = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    up = up && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    why = errno;
    close(fd);
    errno = why;
    return up;
}

static bool
tap_setup(struct tap *t, const struct device_options *options,
          struct hg_error *error)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    if (!device_filter_init(&t->filter, options->filter, error))
        return false;
    t->dev.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->dev.fd < 0)
        return hg_error_set(error,
                            "cannot open '/dev/net/tun': %s; TAP interfaces "
                            "need it",
                            strerror(errno));
    memcpy(request.ifr_name, t->name, sizeof t->name);
    if (ioctl(t->dev.fd, TUNSETIFF, &request) < 0 ||
        ioctl(t->dev.fd, TUNSETOFFLOAD, 0) < 0 || !tap_bring_up(t))
        return say_why_not(t, error);
    return true;
}

struct hg_device *
device_tap_open(const char *rest, const struct device_options *options,
                struct hg_error *error)
{
    struct tap *t;

    if (!*rest || strlen(rest) >= IF_NAMESIZE || strchr(rest, '%')) {
        hg_error_set(error,
                     "'%s' cannot be the name of a TAP interface; it has 1 "
                     "to %d characters, as in tap:tap0",
                     rest, IF_NAMESIZE - 1);
        return NULL;
    }
    t = calloc(1, sizeof *t);
    if (!t) {
        hg_error_set(error, "out of memory");
        return NULL;
    }
    device_init(&t->dev, &tap_ops);
    t->dev.live = true;
    t->snaplen = options->snaplen;
    memcpy(t->name, rest, strlen(rest));
    if (!tap_setup(t, options, error)) {
        tap_destroy(t);
        return NULL;
    }
    return &t->dev;
}

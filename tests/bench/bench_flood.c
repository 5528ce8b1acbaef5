/* bench_flood.c: packets to a network interface (see bench.h).
 *
 * Over a veth pair the kernel does what the other end does with a packet
 * before sendmmsg() returns, in a soft interrupt that is charged to this
 * process, or else to the thread ksoftirqd of the processor.  Both are
 * counted, so that a router behind the interface costs CPU time here. */
#include "bench.h"

#include <glob.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 64 };

static int
open_interface(const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW, 0); /* 0: receives nothing. */
    int one = 1;

    if (fd < 0 || !address.sll_ifindex ||
        bind(fd, (struct sockaddr *)&address, sizeof address) ||
        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one))
        fail("cannot send on '%s'", name);
    return fd;
}

static void
send_frames(int fd, struct frames *f)
{
    struct iovec iov[AT_ONCE];
    struct mmsghdr message[AT_ONCE];
    size_t at = 0;

    memset(message, 0, sizeof message);
    while (at < f->n) {
        unsigned i, n = f->n - at < AT_ONCE ? (unsigned)(f->n - at) : AT_ONCE;
        int sent;

        for (i = 0; i < n; i++) {
            iov[i] = (struct iovec){f->v[at + i], FRAME_LEN};
            message[i].msg_hdr.msg_iov = &iov[i];
            message[i].msg_hdr.msg_iovlen = 1;
        }
        sent = sendmmsg(fd, message, n, 0);
        if (sent <= 0)
            fail("cannot send");
        at += (size_t)sent;
    }
}

/* Nanoseconds that the kernel's threads for soft interrupts have run. */
static uint64_t
softirq_threads_ns(void)
{
    uint64_t sum = 0;
    glob_t found;
    size_t i;

    if (glob("/proc/[0-9]*/comm", 0, NULL, &found))
        fail("cannot look into /proc");
    for (i = 0; i < found.gl_pathc; i++) {
        char path[64], name[32] = "";
        unsigned long ns = 0;
        FILE *file = fopen(found.gl_pathv[i], "r");

        if (!file)
            continue; /* It has ended. */
        if (fscanf(file, "%31s", name) == 1 &&
            !strncmp(name, "ksoftirqd/", 10)) {
            snprintf(path, sizeof path, "%.*s/schedstat",
                     (int)strlen(found.gl_pathv[i]) - 5, found.gl_pathv[i]);
            fclose(file);
            file = fopen(path, "r");
            if (!file || fscanf(file, "%lu", &ns) != 1)
                fail("cannot read '%s'", path);
            sum += ns;
        }
        fclose(file);
    }
    globfree(&found);
    return sum;
}

void
flood(const char *interface, size_t n, uint32_t n_flows)
{
    int fd = open_interface(interface);
    struct frames f;
    uint64_t begin, threads;

    frames_init(&f, n > n_flows ? n : n_flows);
    frames_of_flows(&f, traffic_plain, 0, 0, n_flows);
    send_frames(fd, &f);
    frames_draw(&f, traffic_plain, 0, n_flows, n);
    threads = softirq_threads_ns();
    begin = cpu_ns();
    send_frames(fd, &f);
    printf("%lu\n",
           (unsigned long)(cpu_ns() - begin + softirq_threads_ns() - threads));
    frames_uninit(&f);
    close(fd);
}

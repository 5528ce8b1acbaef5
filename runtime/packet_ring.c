/* packet_ring.c: the ring through which device_raw.c receives.
 *
 * The format of blocks and slots is that of Linux'
 * Documentation/networking/packet_mmap.rst, "TPACKET_V3". */
#include "packet_ring.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <headgate/checksum.h>

/* The ring is 16 MiB: 64 blocks, each with room for several of the largest
 * frames (64 KiB).  The kernel hands a block over when it is full or this
 * old.  1 ms is the least it can do; it is added to the time a packet takes
 * through an idle gateway, while a busy one fills its blocks sooner. */
#define BLOCK_SIZE (256U * 1024)
#define N_BLOCKS 64U
#define BLOCK_TIMEOUT_MS 1
#define FRAME_SIZE 2048U /* Only checked by the kernel; V3 packs frames. */

#define GSO_UDP_L4 5           /* VIRTIO_NET_HDR_GSO_UDP_L4 since 6.2. */
#define SCTP_CHECKSUM_OFFSET 8 /* RFC 9260 3.1: a CRC32c. */
#define VLAN_TAG_LEN 4U
#define MAC_PAIR_LEN 12U

/* A frame as it lies in the ring. */
struct frame {
    uint8_t *data;
    uint32_t len;
    uint32_t wire_len;
    struct virtio_net_hdr offload;
};

static struct tpacket_block_desc *
ring_block(const struct packet_ring *r)
{
    return (struct tpacket_block_desc *)(r->memory +
                                         (size_t)r->block * BLOCK_SIZE);
}

static struct tpacket3_hdr *
ring_slot(const struct packet_ring *r)
{
    return (struct tpacket3_hdr *)r->slot;
}

static void
release_block(struct packet_ring *r)
{
    __atomic_store_n(&ring_block(r)->hdr.bh1.block_status, TP_STATUS_KERNEL,
                     __ATOMIC_RELEASE);
    r->block = (r->block + 1) % N_BLOCKS;
}

/* Reading the statistics sets them to zero. */
void
packet_ring_count_missed(struct packet_ring *r)
{
    struct tpacket_stats_v3 stats;
    socklen_t size = sizeof stats;

    if (!getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size))
        r->missed += stats.tp_drops;
}

bool
packet_ring_peek(struct packet_ring *r)
{
    while (!r->n_left) {
        struct tpacket_block_desc *block = ring_block(r);
        uint32_t status =
            __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE);

        if (!(status & TP_STATUS_USER))
            return false;
        if (status & TP_STATUS_LOSING)
            packet_ring_count_missed(r);
        r->n_left = block->hdr.bh1.num_pkts;
        r->slot = (uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
        if (!r->n_left)
            release_block(r);
    }
    return true;
}

static void
advance(struct packet_ring *r)
{
    r->slot += ring_slot(r)->tp_next_offset;
    if (!--r->n_left)
        release_block(r);
}

uint64_t
packet_ring_ns(const struct packet_ring *r)
{
    return ring_slot(r)->tp_sec * HG_SEC + ring_slot(r)->tp_nsec;
}

/* Moves the addresses to the front over the virtio_net_hdr, which has been
 * read, to make room for the tag (IEEE 802.1Q 9.3). */
static void
frame_put_tag(struct frame *f, const struct tpacket3_hdr *h)
{
    uint16_t tpid = h->tp_status & TP_STATUS_VLAN_TPID_VALID
                        ? h->hv1.tp_vlan_tpid
                        : ETH_P_8021Q;

    memmove(f->data - VLAN_TAG_LEN, f->data, MAC_PAIR_LEN);
    f->data -= VLAN_TAG_LEN;
    f->len += VLAN_TAG_LEN;
    f->wire_len += VLAN_TAG_LEN;
    f->offload.csum_start = (uint16_t)(f->offload.csum_start + VLAN_TAG_LEN);
    hg_store16(f->data + MAC_PAIR_LEN, tpid);
    hg_store16(f->data + MAC_PAIR_LEN + 2, (uint16_t)h->hv1.tp_vlan_tci);
}

/* Opens the frame in the slot; to be called once for each. */
static struct frame
open_frame(const struct packet_ring *r)
{
    const struct tpacket3_hdr *h = ring_slot(r);
    struct frame f = {r->slot + h->tp_mac, h->tp_snaplen, h->tp_len, {0}};

    memcpy(&f.offload, f.data - sizeof f.offload, sizeof f.offload);
    if (h->tp_status & TP_STATUS_VLAN_VALID && f.len >= MAC_PAIR_LEN)
        frame_put_tag(&f, h);
    return f;
}

/* The field holds the sum of the pseudo-header: what is missing is the sum
 * from csum_start on.  A result of zero is sent as 0xffff (RFC 768). */
static bool
complete_checksum(struct hg_packet *p, const struct virtio_net_hdr *offload)
{
    uint32_t at = (uint32_t)offload->csum_start + offload->csum_offset;
    uint16_t sum;

    if (at + 2 > p->len || p->len < p->wire_len ||
        offload->csum_offset == SCTP_CHECKSUM_OFFSET)
        return false;
    sum = hg_checksum_fold(hg_checksum_add(0, p->data + offload->csum_start,
                                           p->len - offload->csum_start));
    hg_store16(p->data + at, sum ? sum : 0xffff);
    return true;
}

static struct hg_packet *
frame_copy(const struct frame *f, struct hg_pool *pool)
{
    struct hg_packet *p = hg_packet_alloc(pool, f->len);

    if (!p)
        return NULL;
    memcpy(p->data, f->data, f->len);
    p->wire_len = f->wire_len;
    if (f->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
        !complete_checksum(p, &f->offload)) {
        hg_packet_free(p);
        return NULL;
    }
    return p;
}

static bool
begin_segments(struct packet_ring *r, const struct frame *f)
{
    uint8_t type = f->offload.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

    return (type == VIRTIO_NET_HDR_GSO_TCPV4 ||
            type == VIRTIO_NET_HDR_GSO_TCPV6 || type == GSO_UDP_L4) &&
           f->len == f->wire_len &&
           segmenter_begin(&r->segmenter, f->data, f->len,
                           f->offload.csum_start, f->offload.gso_size);
}

struct hg_packet *
packet_ring_take(struct packet_ring *r, struct hg_pool *pool)
{
    struct hg_packet *p = NULL;

    if (!segmenter_busy(&r->segmenter)) {
        struct frame f = open_frame(r);

        if (f.offload.gso_type == VIRTIO_NET_HDR_GSO_NONE)
            p = frame_copy(&f, pool);
        else
            begin_segments(r, &f);
    }
    if (segmenter_busy(&r->segmenter))
        p = segmenter_next(&r->segmenter, pool);
    if (!segmenter_busy(&r->segmenter))
        advance(r);
    return p;
}

static bool
set_option(int fd, int option, const void *value, socklen_t size)
{
    return !setsockopt(fd, SOL_PACKET, option, value, size);
}

bool
packet_ring_init(struct packet_ring *r, int fd)
{
    int version = TPACKET_V3;
    int on = 1;
    struct tpacket_req3 request = {
        .tp_block_size = BLOCK_SIZE,
        .tp_block_nr = N_BLOCKS,
        .tp_frame_size = FRAME_SIZE,
        .tp_frame_nr = BLOCK_SIZE / FRAME_SIZE * N_BLOCKS,
        .tp_retire_blk_tov = BLOCK_TIMEOUT_MS,
    };
    void *memory;

    *r = (struct packet_ring){.fd = fd};
    if (!set_option(fd, PACKET_VERSION, &version, sizeof version) ||
        !set_option(fd, PACKET_VNET_HDR, &on, sizeof on) ||
        !set_option(fd, PACKET_IGNORE_OUTGOING, &on, sizeof on) ||
        !set_option(fd, PACKET_RX_RING, &request, sizeof request))
        return false;
    memory = mmap(NULL, (size_t)N_BLOCKS * BLOCK_SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return false;
    r->memory = memory;
    return true;
}

void
packet_ring_uninit(struct packet_ring *r)
{
    if (r->memory)
        munmap(r->memory, (size_t)N_BLOCKS * BLOCK_SIZE);
    r->memory = NULL;
}

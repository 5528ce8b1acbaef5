/* packet_ring.h: the ring through which device_raw.c receives.
 *
 * The kernel fills a TPACKET_V3 ring of a packet socket, and here it is
 * walked block by block, with one copy from the ring into packets of a pool.
 *
 * The kernel leaves work to network cards that a veth does not have.  Before
 * each frame of the ring lies a struct virtio_net_hdr (PACKET_VNET_HDR) that
 * says what is missing, and it is done here: a checksum that is only partial
 * is completed, a frame larger than the wire's is cut (segment.h), a VLAN tag
 * that was taken out is put back.  So elements see what a wire carries, and
 * nobody has to switch offloads off.
 *
 * Thread-safety: one thread at a time. */
#ifndef RUNTIME_PACKET_RING_H
#define RUNTIME_PACKET_RING_H 1

#include "segment.h"

struct packet_ring {
    int fd;          /* The socket; the caller's. */
    uint8_t *memory; /* Shared with the kernel; NULL: not there. */
    unsigned block;  /* The one we are in, or that comes next. */
    uint32_t n_left; /* Frames of that block not taken yet. */
    uint8_t *slot;   /* The next one of them: a struct tpacket3_hdr. */
    struct segmenter segmenter; /* Of the frame in 'slot'. */
    uint64_t missed;            /* Frames the kernel found no room for. */
};

/* Sets up a ring on a packet socket that is not bound yet, and makes the
 * socket ignore what the host sends.  False, and errno, if it cannot be
 * (Linux older than 4.20). */
bool packet_ring_init(struct packet_ring *, int fd);
void packet_ring_uninit(struct packet_ring *);

/* Whether a packet waits. */
bool packet_ring_peek(struct packet_ring *);

/* When it arrived, by the kernel's clock; only if one waits. */
uint64_t packet_ring_ns(const struct packet_ring *);

/* Takes it; the caller owns it, and parses it.  NULL if what waited gives no
 * packet: it is cut, of an unknown kind, or there is no memory. */
struct hg_packet *packet_ring_take(struct packet_ring *, struct hg_pool *);

/* Brings 'missed' up to date; it is so too after each block with losses. */
void packet_ring_count_missed(struct packet_ring *);

#endif

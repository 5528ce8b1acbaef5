/* segment.h: cuts a large TCP or UDP frame into the frames of a wire.
 *
 * A kernel that hands its segmentation to the network card (TSO, USO) or
 * joined what it received (GRO) gives a packet socket frames of up to 64 KiB
 * with one set of headers and the size that each piece is to have.  Elements
 * shall see what a wire would carry, so device_raw.c cuts them up here.
 *
 * Thread-safety: one thread at a time. */
#ifndef RUNTIME_SEGMENT_H
#define RUNTIME_SEGMENT_H 1

#include <headgate/packet.h>

struct segmenter {
    const uint8_t *frame; /* NULL: nothing is being cut. */
    uint32_t len;         /* Bytes of the frame. */
    uint32_t header_len;  /* Ethernet to L4, options included. */
    uint32_t cut;         /* Bytes of payload already given out. */
    uint16_t size;        /* Bytes of payload of each piece. */
    uint16_t n_cut;       /* Pieces already given out. */
    uint16_t l3_offset;
    uint16_t l4_offset;
    uint8_t protocol;
};

/* Starts on the Ethernet frame of 'len' bytes, which must stay until the last
 * piece is out; each piece has 'size' bytes of payload, the last one what is
 * left.  False if it is not plain TCP or UDP over IP whose L4 header begins
 * at 'l4_offset' (as where a tunnel's inner packet is to be cut). */
bool segmenter_begin(struct segmenter *, const uint8_t *frame, uint32_t len,
                     uint16_t l4_offset, uint16_t size);

static inline bool
segmenter_busy(const struct segmenter *s)
{
    return s->frame != NULL;
}

/* The next piece, parsed and with its checksums right; the caller owns it.
 * NULL if the pool has no packet: that piece is lost.  After the last one
 * segmenter_busy() is false. */
struct hg_packet *segmenter_next(struct segmenter *, struct hg_pool *);

#endif

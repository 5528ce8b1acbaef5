/* packet_internal.h: what the files about packets share. */
#ifndef PACKET_INTERNAL_H
#define PACKET_INTERNAL_H 1

#include <headgate/packet.h>

/* What parsing sets or clears; the rest of the flags is others'. */
#define PARSED_FLAGS                                                          \
    ((uint32_t)(HG_PACKET_IP4 | HG_PACKET_IP6 | HG_PACKET_ARP |               \
                HG_PACKET_L4 | HG_PACKET_PORTS | HG_PACKET_FRAGMENT |         \
                HG_PACKET_FRAGMENT_LATER | HG_PACKET_HASHED |                 \
                HG_PACKET_BAD_EXT))

/* The flags of a whole header of TCP or UDP. */
#define PORTS_FLAGS ((uint32_t)(HG_PACKET_L4 | HG_PACKET_PORTS))

/* Sets all that hg_packet_parse() does, for those who wrote the headers. */
static inline void
packet_announce(struct hg_packet *p, uint32_t flags, uint16_t ether_type,
                uint16_t l3_offset, uint16_t l4_offset, uint8_t protocol)
{
    p->flags = (p->flags & ~PARSED_FLAGS) | flags;
    hg_packet_forget_flow(p); /* It may be of another one now. */
    p->ether_type = ether_type;
    p->l3_offset = l3_offset;
    p->l4_offset = l4_offset;
    p->protocol = protocol;
}

/* hg_packet_l3_len() as the IP header says, even if less is here (parse.c).
 * What is no length (0: segmentation offload) counts as all that is here. */
uint32_t packet_l3_claimed(const struct hg_packet *);

/* The length of the IPv6 extension header of type 'next' at 'ext', of which
 * eight bytes are here; 0 if 'next' is no extension header (parse.c). */
uint32_t packet_extension_len(uint8_t next, const uint8_t *ext);

/* hg_packet_parse() for each of them (parse.c). */
void packet_parse_many(struct hg_packet *const *, unsigned n);

#endif

/* packet_internal.h: what the files about packets share. */
#ifndef PACKET_INTERNAL_H
#define PACKET_INTERNAL_H 1

#include <headgate/packet.h>

/* hg_packet_l3_len() as the IP header says, even if less is here (parse.c).
 * What is no length (0: segmentation offload) counts as all that is here. */
uint32_t packet_l3_claimed(const struct hg_packet *);

/* The length of the IPv6 extension header of type 'next' at 'ext', of which
 * eight bytes are here; 0 if 'next' is no extension header (parse.c). */
uint32_t packet_extension_len(uint8_t next, const uint8_t *ext);

/* hg_packet_parse() for each of them (parse.c). */
void packet_parse_many(struct hg_packet *const *, unsigned n);

#endif

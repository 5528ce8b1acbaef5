/* notation.h: from a line of text to a packet; the reverse of
 * hg_packet_format(), whose words core/format.c lists.
 *
 * What is not said has a default: ttl 64, len 0, no MSS, window 65535, valid
 * checksums, a payload of bytes 0, 1, 2 and so on.  Words beyond those that
 * are printed:
 *     smac MAC, dmac MAC   default 02:00:00:00:00:01 and ...:02
 *     win N                TCP window
 * A quoted TCP packet without flags is quoted with eight bytes of its header.
 */
#ifndef NOTATION_H
#define NOTATION_H 1

#include <headgate/packet.h>

/* The packet, from 'pool' and parsed; NULL, and why. */
struct hg_packet *notation_parse(struct hg_pool *pool, const char *text,
                                 struct hg_error *error);

/* Whether 'text', a packet as hg_packet_format() writes it, is what 'pattern'
 * says.  In the pattern "*" stands for any characters inside a word; words
 * behind the first four (kind, source, ">", destination) may be left out, and
 * come in any order.  If not, 'error' says which word of the pattern fails. */
bool notation_matches(const char *text, const char *pattern,
                      struct hg_error *error);

#endif

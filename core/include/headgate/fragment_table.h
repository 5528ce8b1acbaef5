/* headgate/fragment_table.h: what the first fragment of a datagram decided,
 * for those that follow; and those that came before it.
 *
 * Only the first fragment has ports.  Whoever decides by ports adds a record
 * for it, and later fragments find it by source, destination, identification
 * and protocol (RFC 791 3.2; IPv6: RFC 8200 4.5).  A later fragment that
 * overtook the first may wait at a record of its own (RFC 4787 REQ-14).
 *
 * The table is a ring: all records live equally long, and a new one takes the
 * place of the oldest, so that a flood cannot take more than its memory.
 *
 * Time is a parameter in nanoseconds and must not go back.
 *
 * Thread-safety: a table belongs to one worker. */
#ifndef HEADGATE_FRAGMENT_TABLE_H
#define HEADGATE_FRAGMENT_TABLE_H 1

#include <headgate/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Hashed as bytes, so 'zero' must be.  Where there is more to tell datagrams
 * apart by (VPCs, IPv6 addresses), a keyed hash of it takes the place of the
 * addresses. */
struct hg_fragment_key {
    uint32_t src;
    uint32_t dst;
    uint16_t id;
    uint8_t protocol;
    uint8_t zero;
};

struct hg_fragment {
    struct hg_fragment_key key;
    struct hg_addr addr; /* What the first fragment decided: an address, */
    uint32_t vpc;        /* and whose it is. */
    bool decided;        /* It has come. */
    bool replaced;       /* By a newer record of the same key. */
    uint16_t worker;     /* Of several, who got it (owner.h). */
    uint32_t next;       /* In its chain: index + 1. */
    uint64_t deadline_ns;
    struct hg_packet *first; /* Waiting, in order of arrival ... */
    struct hg_packet *last;  /* ... linked by their 'next'. */
};

struct hg_fragment_table;

/* 'capacity' records, at least 1, each for 'timeout_ns'.  NULL without
 * memory.  Destroy does not free packets that wait. */
HG_API struct hg_fragment_table *hg_fragment_table_create(uint32_t capacity,
                                                          uint64_t timeout_ns,
                                                          uint64_t seed);
HG_API void hg_fragment_table_destroy(struct hg_fragment_table *);

/* The living record of 'key', or NULL. */
HG_API struct hg_fragment *hg_fragment_find(struct hg_fragment_table *,
                                            const struct hg_fragment_key *,
                                            uint64_t now_ns);

/* A new, undecided record, in place of an older one of the same key.  Packets
 * that waited at a record that had to give way are prepended to the list
 * '*orphans' by their 'next'; the caller ends them. */
HG_API struct hg_fragment *hg_fragment_add(struct hg_fragment_table *,
                                           const struct hg_fragment_key *,
                                           uint64_t now_ns,
                                           struct hg_packet **orphans);

/* Lets 'p' wait at an undecided record, behind those that do. */
HG_API void hg_fragment_wait(struct hg_fragment *, struct hg_packet *p);

/* The list of those that wait, which are the caller's now. */
HG_API struct hg_packet *hg_fragment_release(struct hg_fragment *);

/* Takes out the records that ran out by 'now_ns', and returns what waited at
 * them as a list. */
HG_API struct hg_packet *hg_fragment_expire(struct hg_fragment_table *,
                                            uint64_t now_ns);

/* The earliest deadline, or HG_NEVER if the table is empty. */
HG_API uint64_t hg_fragment_deadline(const struct hg_fragment_table *);

#ifdef __cplusplus
}
#endif
#endif

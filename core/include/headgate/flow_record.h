/* headgate/flow_record.h: counts packets and bytes of flows in one window of
 * time, for flow logs.
 *
 * A record is one flow in one direction at one interface with one verdict.
 * Packets are handed over as samples, many at a time, so that the memory
 * accesses of one hide behind those of others; no two records ever share a
 * place, and none is split.  Records keep the order of their first packets.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_FLOW_RECORD_H
#define HEADGATE_FLOW_RECORD_H 1

#include <headgate/headers.h>
#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What kind of record: part of the key. */
enum {
    HG_RECORD_IP6 = 1 << 0,
    HG_RECORD_EGRESS = 1 << 1,  /* Neither of these two: */
    HG_RECORD_INGRESS = 1 << 2, /* direction not known. */
    HG_RECORD_REJECT = 1 << 3
};

/* Bits of tcp_flags beside those of the TCP header (RFC 9293 3.1). */
enum { HG_RECORD_IMPOSSIBLE = 0x80 };

/* A packet that a filter refuses says on which side of an interface or subnet
 * that was, in one byte of packet metadata of this name (hg_metadata()). */
#define HG_DENIED_META "denied-side"
enum { HG_DENIED_UNKNOWN, HG_DENIED_EGRESS, HG_DENIED_INGRESS };

/* No padding inside. */
struct hg_record_key {
    uint8_t address[32]; /* Source and destination as in an IP header: of IPv4
                          * the first eight bytes, others do not matter. */
    uint32_t interface;  /* A number of the caller's. */
    uint16_t sport;      /* Host order. */
    uint16_t dport;
    uint8_t protocol;
    uint8_t kind;      /* HG_RECORD_* */
    uint8_t tcp_flags; /* Not compared: over all packets. */
    uint8_t path;      /* Not compared: of the first packet. */
};

static inline const uint8_t *
hg_record_src(const struct hg_record_key *k)
{
    return k->address;
}

static inline const uint8_t *
hg_record_dst(const struct hg_record_key *k)
{
    return k->address + (k->kind & HG_RECORD_IP6 ? 16 : 4);
}

/* Packets and bytes are apart: of two sums side by side gcc makes one of a
 * vector, whose operands take longer to come together. */
struct hg_flow_record {
    uint64_t packets;
    struct hg_record_key key;
    uint16_t start_s; /* First and last packet, since the window began. */
    uint16_t end_s;
    uint64_t bytes;
};

/* What became of a sample. */
enum {
    HG_SAMPLE_COUNTED,
    HG_SAMPLE_FIRST,   /* Counted, the first of its record. */
    HG_SAMPLE_REFUSED, /* There was no room for its record. */
    HG_SAMPLE_LEFT_OUT /* It is of those that get no record. */
};

/* One packet at one interface. */
struct hg_flow_sample {
    struct hg_record_key key;
    uint16_t second; /* Since the window began. */
    uint8_t outcome; /* Out: HG_SAMPLE_*. */
    uint8_t pad;
    uint32_t bytes;
    uint32_t record; /* Out, if it was counted: its record's number. */
    const struct hg_packet *cause; /* For the caller. */
};

/* Two for each of 64 packets. */
enum { HG_FLOW_SAMPLES = 128 };

struct hg_packet;
struct hg_flow_records;

/* Says that what has this key gets no record.  Asked when one would be
 * made. */
typedef bool hg_flow_left_out(const void *aux, const struct hg_record_key *);

/* Grows on demand up to 'max' records.  'seed' keys the hash; 'left_out' may
 * be NULL.  Never NULL (memory running out ends the program). */
HG_API struct hg_flow_records *hg_flow_records_create(uint32_t max,
                                                      uint64_t seed,
                                                      hg_flow_left_out *,
                                                      const void *aux);
HG_API void hg_flow_records_destroy(struct hg_flow_records *);

/* Counts n samples (at most HG_FLOW_SAMPLES) in order; returns how many were
 * refused or left out. */
HG_API unsigned hg_flow_records_add(struct hg_flow_records *,
                                    struct hg_flow_sample *, unsigned n);

/* Adds up n records of the same window (at most HG_FLOW_SAMPLES) that were
 * counted elsewhere, in the order of their first packets; of equal keys the
 * path is the first one's.  There is room for all. */
HG_API void hg_flow_records_merge(struct hg_flow_records *,
                                  const struct hg_flow_record *const *,
                                  unsigned n);

/* All records, in the order of their first packets. */
HG_API const struct hg_flow_record *
hg_flow_records_all(const struct hg_flow_records *, uint32_t *n);

/* The record of this number, from 1 on, until they are cleared.  They lie in
 * an array, in which nobody's is number 0. */
HG_API struct hg_flow_record *hg_flow_records_at(struct hg_flow_records *,
                                                 uint32_t number);

/* Counts one more packet of a record: who knows it need not add a sample. */
static inline void
hg_flow_record_count(struct hg_flow_record *r, uint32_t bytes,
                     uint8_t tcp_flags, uint16_t second)
{
    r->packets++;
    r->bytes += bytes;
    r->key.tcp_flags |= tcp_flags;
    if (r->end_s < second)
        r->end_s = second;
}

/* Forgets all records, for the next window. */
HG_API void hg_flow_records_clear(struct hg_flow_records *);

/* Until then, has 'left_out' asked of samples that have a record, too: its
 * answer may be another one than it was. */
HG_API void hg_flow_records_ask_each(struct hg_flow_records *);

/* What a TCP segment's flags add to a record's: FIN, SYN and RST, and ACK
 * only with SYN; HG_RECORD_IMPOSSIBLE for SYN together with FIN or RST. */
static inline uint8_t
hg_flow_tcp_flags(uint8_t flags)
{
    uint8_t seen = flags & (HG_TCP_FIN | HG_TCP_SYN | HG_TCP_RST);

    if (!(flags & HG_TCP_SYN))
        return seen;
    if (flags & (HG_TCP_FIN | HG_TCP_RST))
        return seen | HG_RECORD_IMPOSSIBLE;
    return seen | (flags & HG_TCP_ACK);
}

#ifdef __cplusplus
}
#endif
#endif

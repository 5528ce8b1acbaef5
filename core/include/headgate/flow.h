/* headgate/flow.h: flow state, a service of the core.
 *
 * A stateful element declares how many bytes it keeps for each flow.  The
 * service finds the record of a packet's flow once for all elements: its key
 * is the VPC and the five-tuple, normalised so that both directions share the
 * record.  An element that translates addresses adds the translated tuple as
 * a second key of the same record, so that replies find it.
 *
 *     configure:  hg_flow_declare(self, sizeof(struct my_flow))
 *     packet:     flow = hg_flow_find(self, p)     NULL: not known
 *                 flow = hg_flow_create(self, p)   NULL: the table is full
 *                 mine = hg_flow_state(self, flow, p->time_ns)
 *                 hg_flow_keep(self, flow, p->time_ns + timeout)
 *
 * Each element has a deadline of its own in each flow, and sees a flow only
 * while it has not passed: hg_flow_find() returns NULL then, whoever else
 * shares the record, and hg_flow_create() begins anew for this element, with
 * the direction of that packet.  Once the deadline has passed, its bytes are
 * zero again (class.flow_expired is told first); when all have passed the
 * record is gone.  Expiry is exact: it is judged by the time of the packet
 * that looks, however late the sweep comes by.
 *
 * When the table is full, flows that nobody has confirmed (hg_flow_confirm)
 * give way to new ones, the one that was quiet longest among a few candidates
 * first; confirmed flows are never pushed out.  If there is no candidate,
 * hg_flow_create returns NULL.  So a flood of first packets costs nothing but
 * other first packets.  (Where several elements share a table that is full,
 * which one gives way may depend on the size of batches.)
 *
 * Thread-safety: the service belongs to one worker. */
#ifndef HEADGATE_FLOW_H
#define HEADGATE_FLOW_H 1

#include <headgate/element.h>

#ifdef __cplusplus
extern "C" {
#endif

struct flow_wide;

/* A five-tuple in one direction.  Ports are in host order; the identifier of
 * an ICMP echo is both; 0 for other protocols and for later fragments. */
struct hg_flow_key {
    uint32_t vpc;
    struct hg_addr src;
    struct hg_addr dst;
    uint16_t sport;
    uint16_t dport;
    uint8_t protocol;
};

/* A key in a record, whose direction does not matter: its two ends, addresses
 * and ports in host order, the lower of them by address and port first.  Of
 * an IPv6 flow the addresses are elsewhere, and the service's. */
struct hg_flow_ends {
    union {
        uint32_t addr[2];
        const struct flow_wide *wide;
    };
    uint16_t port[2];
    uint32_t vpc;
};

/* A record's own part, which is the service's: elements use it by what is
 * declared here.  Behind it lies a block for each element that keeps
 * something: its deadline (8 bytes; 0: no interest) and its bytes.  With IPv4
 * and one small user all that a packet needs is one cache line. */
struct hg_flow {
    struct hg_flow_ends ends; /* Of its first key. */
    uint32_t kinds : 20;      /* Of its first and its second key, ten bits each
                               * (flow_tuple.h). */
    uint32_t second_user : 5; /* Who added that one, */
    bool has_second : 1;      /* if there is one. */
    bool first_against : 1;   /* As 'against', of the flow as a whole. */
    bool confirmed : 1;
    bool queued : 1; /* Is in the queue of unconfirmed flows. */
    bool used : 1;
    bool second_is_first : 1; /* What 'second_user' added is the first one. */
    uint32_t generation;      /* As packets remember it (flow_table.h). */
    uint32_t number;
    uint32_t against; /* Bit u: the first packet of user u travelled against
                       * the one that made the record. */
};

/* The key of a packet; false if it is not IP. */
HG_API bool hg_flow_key_of(const struct hg_packet *p, struct hg_flow_key *out);

/* The key of the packet that an ICMP error quotes, as it was when it was sent
 * (so its source is who gets the error); false if 'p' is not an ICMP error or
 * the quote holds no ports. */
HG_API bool hg_flow_key_quoted(const struct hg_packet *p,
                               struct hg_flow_key *out);

/* In configure: this element keeps 'size' bytes for each flow (0 is fine).
 * Returns false after reporting that 32 elements of the graph do already. */
HG_API bool hg_flow_declare(void *self, size_t size);

/* In configure, after that: 'size' more bytes for each flow that are seldom
 * needed, in a place of their own, so that the record is short.  They take
 * memory when they are asked for, and hold anything until they are set. */
HG_API void hg_flow_declare_seldom(void *self, size_t size);
HG_API void *hg_flow_seldom(void *self, const struct hg_flow *);

/* In configure, after hg_flow_declare(), by an element that adds second keys
 * (hg_flow_add_key) to most of its flows: they are kept in its own bytes, as a
 * struct hg_flow_ends 'offset' bytes from their beginning (a multiple of 8),
 * which the element only reads.  So whoever is found by it has all that it
 * needs in one place.  Others' are beside the records. */
HG_API void hg_flow_declare_second(void *self, size_t offset);

/* In configure, by an element that has an option for it: at most this many
 * records (up to 1,073,741,823); the largest that is asked for counts.  The
 * default is 1,048,576.  Memory is taken as flows begin. */
HG_API void hg_flow_limit(void *self, uint64_t max_flows);

/* The record of the packet's flow, or NULL if this element has no interest in
 * it.  Remembered in the packet until its flow key changes (call
 * hg_packet_forget_flow then). */
HG_API struct hg_flow *hg_flow_find(void *self, struct hg_packet *p);

/* hg_flow_find() and hg_flow_state() in one; '*state' is NULL without a
 * flow. */
HG_API struct hg_flow *hg_flow_find_state(void *self, struct hg_packet *p,
                                          void **state);

/* The same without a call, for a packet that was looked up with its batch:
 * this element's bytes, or NULL, also where it would be looked up again, which
 * hg_flow_find_state() does then.  'place' is what hg_flow_place() says in
 * start and later. */
struct hg_flow_place {
    uint32_t offset; /* Of the element's block in records. */
    uint32_t user;   /* Its number. */
};

HG_API struct hg_flow_place hg_flow_place(const void *self);

/* Says of a packet of this record whether it travels against the first one of
 * that user. */
static inline void
hg_flow_tell_direction(struct hg_packet *p, const struct hg_flow *flow,
                       unsigned user)
{
    uint32_t against = (p->flow_generation ^ flow->against >> user) & 1;

    p->flags =
        (p->flags & ~(uint32_t)HG_PACKET_REPLY) | against * HG_PACKET_REPLY;
}

static inline void *
hg_flow_known_state(const struct hg_flow_place *place, struct hg_packet *p)
{
    struct hg_flow *flow = p->flow;
    uint64_t *deadline;

    if (!flow || (p->flow_generation ^ flow->generation) >> HG_FLOW_BITS)
        return NULL;
    deadline = (uint64_t *)(void *)((uint8_t *)flow + place->offset);
    if (*deadline <= p->time_ns)
        return NULL;
    hg_flow_tell_direction(p, flow, place->user);
    return deadline + 1;
}

/* The record of this key, if this element is interested in it, or NULL. */
HG_API struct hg_flow *
hg_flow_find_key(void *self, const struct hg_flow_key *key, uint64_t now_ns);

/* The same, but made if there is none; NULL if the table is full.  Without
 * hg_flow_keep() it does not stay. */
HG_API struct hg_flow *hg_flow_create(void *self, struct hg_packet *p);

/* hg_flow_create() and hg_flow_state() in one; '*state' is NULL without a
 * flow. */
HG_API struct hg_flow *hg_flow_create_state(void *self, struct hg_packet *p,
                                            void **state);

/* Looks up a whole batch with prefetch and remembers in the packets their
 * records, or that they have none; hg_flow_find is free afterwards.  Returns
 * how many of them have none. */
HG_API unsigned hg_flow_find_batch(void *self, struct hg_batch *batch);

/* A second key of the same record: 'key' as seen in the direction of this
 * element's first packet of the flow.  False if another live flow has it.
 * Replaces the second key it had, and ends with this element's interest. */
HG_API bool hg_flow_add_key(void *self, struct hg_flow *,
                            const struct hg_flow_key *key, uint64_t now_ns);

/* Fetches into the cache what hg_flow_add_key() or hg_flow_find_key() will
 * read for these keys, so that their misses overlap.  Changes nothing. */
HG_API void hg_flow_fetch_keys(void *self,
                               const struct hg_flow_key *const *key,
                               unsigned n);

/* After an element that adds second keys has rewritten a packet, whose
 * 'flow_generation' was 'before' when hg_flow_find() had found its flow: it
 * was as one of the flow's keys says, and is as the other one says now. */
static inline void
hg_flow_translated(struct hg_packet *p, uint32_t before)
{
    p->flow_generation = before ^ HG_FLOW_SECOND;
}

/* Whether a packet travels against the flow's first packet: the first that
 * this element saw, if it found or made 'flow' by this packet. */
HG_API bool hg_flow_is_reply(const struct hg_flow *, const struct hg_packet *);

/* The same for the packet that 'key' is of, for this element. */
HG_API bool hg_flow_is_reply_key(void *self, const struct hg_flow *,
                                 const struct hg_flow_key *key);

/* The key of the flow's first packet. */
HG_API void hg_flow_first_key(const struct hg_flow *, struct hg_flow_key *out);

/* This element's bytes, aligned to 8; all zero if its deadline has passed or
 * was never set. */
HG_API void *hg_flow_state(void *self, struct hg_flow *, uint64_t now_ns);

/* Moves this element's deadline; 0 ends its interest at once, zeroes its bytes
 * and does not call class.flow_expired. */
HG_API void hg_flow_keep(void *self, struct hg_flow *, uint64_t until_ns);

/* This element's deadline, by its bytes: it lies right before them. */
static inline uint64_t
hg_flow_deadline_of(const void *state)
{
    return ((const uint64_t *)state)[-1];
}

/* hg_flow_keep() for a flow in which this element has an interest, by its
 * bytes and until a time that is not 0. */
static inline void
hg_flow_keep_state(void *state, uint64_t until_ns)
{
    ((uint64_t *)state)[-1] = until_ns;
}

/* The same, but never to an earlier time. */
static inline void
hg_flow_extend_state(void *state, uint64_t until_ns)
{
    if (hg_flow_deadline_of(state) < until_ns)
        hg_flow_keep_state(state, until_ns);
}

/* This flow is not pushed out any more. */
static inline void
hg_flow_confirm(struct hg_flow *flow)
{
    flow->confirmed = true;
}

/* Calls 'fn' with each live flow in which this element has an interest, in an
 * order that depends only on the history; stops when it returns false. */
HG_API void hg_flow_foreach(void *self, uint64_t now_ns,
                            bool (*fn)(void *aux, struct hg_flow *,
                                       void *state),
                            void *aux);

/* ---- Remembered verdicts ----------------------------------------------
 *
 * An element whose verdict on a packet of TCP or UDP depends on nothing but
 * VPC, five-tuple, input port and its own tables may let the flow remember it,
 * where a stateful element before it has made the packet's flow known:
 *
 *     configure:  hg_flow_declare_verdict(self, sizeof(struct my_verdict),
 *                                         by_input)
 *     batch:      hg_flow_verdicts(self, p, n, v)   NULL: decide yourself
 *                 hg_flow_remember(self, p, &my_verdict)
 *     a change:   hg_tables_changed(self)
 *
 * What it also depends on (the ENI that the packet came from) belongs into
 * the verdict and is compared.  Flows are neither looked up nor made for this:
 * where no flow is known both calls do nothing.  A translated packet has other
 * verdicts than one that is not, and there is room for one of them. Fragments,
 * ICMP and what was rewritten in any other way since its flow became known
 * (hg_packet_rewritten) have none. */

/* In configure: this element remembers 'size' bytes, aligned to 4, for either
 * direction of a flow; 'by_input': and each of its inputs.  Else the last of
 * these counts, and the verdict itself has to say for which packets it is. */
HG_API void hg_flow_declare_verdict(void *self, size_t size, bool by_input);

/* From configure on: verdicts of this element begin with the number, of 32
 * bits, of one of the items of 'size' bytes that begin at 'item', or, with
 * size 0, with an item's address.  What is so led to is fetched while an
 * element before this one asks for its own verdicts: items to be written,
 * what has an address to be read.  Nothing is read there, so what is led to
 * may be gone. */
HG_API void hg_flow_verdict_leads_to(void *self, const void *item,
                                     size_t size);

/* What was remembered for packets like each of these since the tables changed,
 * or NULL; returns for how many there is something.  It belongs to the
 * service; it holds until the next other call of it. */
HG_API unsigned hg_flow_verdicts(void *self, struct hg_packet *const *packets,
                                 unsigned n, const void **verdict);

/* The same for one packet. */
static inline const void *
hg_flow_verdict(void *self, struct hg_packet *p)
{
    const void *verdict = NULL;

    if (p->flow)
        hg_flow_verdicts(self, &p, 1, &verdict);
    return verdict;
}

/* Whether asking is worth it: the flow of one of these packets is known. */
static inline bool
hg_batch_has_flows(const struct hg_batch *batch)
{
    unsigned i;

    for (i = 0; i < batch->n; i++)
        if (batch->p[i]->flow)
            return true;
    return false;
}

HG_API void hg_flow_know_verdict(void *self, const struct hg_packet *p,
                                 const void *verdict);

static inline void
hg_flow_remember(void *self, const struct hg_packet *p, const void *verdict)
{
    if (p->flow)
        hg_flow_know_verdict(self, p, verdict);
}

/* What this element let flows remember is not to be used any more. */
HG_API void hg_tables_changed(void *self);

/* Records now there (those not swept yet included), pushed out so far, and
 * refused because the table was full. */
struct hg_flow_stats {
    uint64_t flows;
    uint64_t limit;
    uint64_t evicted;
    uint64_t refused;
    uint64_t bytes; /* Of memory. */
};

HG_API void hg_flow_get_stats(const void *self, struct hg_flow_stats *out);

#ifdef __cplusplus
}
#endif
#endif

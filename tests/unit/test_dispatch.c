/* test_dispatch.c: graphs made by hand, of classes made here: what runs when,
 * in which order packets arrive, and that none is lost. */
#include <stdlib.h>
#include <string.h>

#include <headgate/flow.h>
#include <headgate/graph.h>

#include "test.h"

enum { MAX_SEEN = 4096 };

/* Sees every packet that reaches it, and forwards it on "out" if wired. */
struct probe {
    uint64_t seq[MAX_SEEN];
    uint16_t port[MAX_SEEN];
    unsigned n;
    unsigned n_batches;
    const struct hg_batch *batch; /* The last one. */
    hg_counter ended;
};

static void
probe_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct probe *self = hg_element_self(element);
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    self->n_batches++;
    self->batch = batch;
    for (i = 0; i < batch->n; i++) {
        self->seq[self->n] = batch->p[i]->seq;
        self->port[self->n++] = batch->p[i]->in_port;
        verdict[i] = HG_DROPPED;
    }
    if (hg_is_wired(self, 0)) {
        hg_pass(self, 0, batch);
        return;
    }
    self->ended.n += batch->n;
    hg_route(self, batch, verdict);
}

static const struct hg_field probe_fields[] = {
    HG_FIELD_(struct probe, HG_FIELD_REASON, ended, .doc = "the end")};

static const struct hg_class probe_class = {.name = "Probe",
                                            .inputs = "a b c",
                                            .outputs = "out?",
                                            .fields = probe_fields,
                                            .n_fields = 1,
                                            .self_size = sizeof(struct probe),
                                            .batch = probe_batch};

/* Sends packet number i to output i % modulus; with 'copies', a copy goes out
 * of output 1 ahead of it.  Packets whose hops reach 'rounds' leave on 0. */
struct split {
    uint64_t modulus;
    uint64_t rounds;
    bool copies;
};

static void
split_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct split *self = hg_element_self(element);
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < batch->n; i++) {
        struct hg_packet *p = batch->p[i];

        verdict[i] = (int16_t)(p->seq % self->modulus);
        if (self->rounds)
            verdict[i] = p->hops < self->rounds;
        if (self->copies)
            hg_emit(self, 1, hg_clone(self, p));
    }
    hg_route(self, batch, verdict);
}

static const struct hg_class split_class = {.name = "Split",
                                            .inputs = "in",
                                            .outputs = "a? b? c?",
                                            .self_size = sizeof(struct split),
                                            .batch = split_batch};

static const struct hg_class source_class = {
    .name = "Source", .outputs = "out", .self_size = 1};

/* Keeps every packet until a timer lets all go, in order. */
struct keeper {
    struct hg_packet *kept[MAX_SEEN];
    unsigned n;
    struct hg_timer timer;
};

static void
keeper_release(void *owner, struct hg_timer *timer, uint64_t now_ns)
{
    struct keeper *self = owner;
    unsigned i;

    (void)timer;
    (void)now_ns;
    for (i = 0; i < self->n; i++)
        hg_emit(self, 0, self->kept[i]);
    self->n = 0;
}

static void
keeper_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct keeper *self = hg_element_self(element);
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < batch->n; i++) {
        self->kept[self->n++] = batch->p[i];
        verdict[i] = HG_KEPT;
    }
    hg_route(self, batch, verdict);
}

static bool
keeper_start(void *self_, struct hg_error *error)
{
    struct keeper *self = self_;

    (void)error;
    hg_timer_init(self, &self->timer, keeper_release);
    hg_timer_set(self, &self->timer, hg_now(self) + HG_SEC);
    return true;
}

static const struct hg_class keeper_class = {.name = "Keeper",
                                             .inputs = "in",
                                             .outputs = "out",
                                             .self_size =
                                                 sizeof(struct keeper),
                                             .batch = keeper_batch,
                                             .start = keeper_start};

/* A filter in two directions, whose state belongs to one of 'n_owners'. */
struct gate {
    uint64_t n_owners;
    uint64_t seq[MAX_SEEN];
    uint16_t port[MAX_SEEN];
    unsigned n;
    unsigned n_batches;
};

static unsigned
gate_owner(void *self_, struct hg_packet *p, unsigned port, unsigned n)
{
    struct gate *self = self_;

    (void)port;
    return hg_owner_of(p->seq % self->n_owners, n);
}

static void
gate_batch(struct hg_element *element, struct hg_batch *batch)
{
    struct gate *self = hg_element_self(element);
    int16_t verdict[HG_BATCH_MAX];
    unsigned i;

    self->n_batches++;
    for (i = 0; i < batch->n; i++) {
        self->seq[self->n] = batch->p[i]->seq;
        self->port[self->n++] = batch->p[i]->in_port;
        verdict[i] = (int16_t)batch->p[i]->in_port;
    }
    hg_route(self, batch, verdict);
}

#define GATE(class_name, more_flags)                                          \
    {                                                                         \
        .name = class_name, .inputs = "there back", .outputs = "there back",  \
        .flags = HG_CLASS_KEEPS_FLOW | (more_flags), .owner = gate_owner,     \
        .self_size = sizeof(struct gate), .batch = gate_batch                 \
    }
static const struct hg_class gate_class = GATE("Gate", HG_CLASS_STRAIGHT);
static const struct hg_class bent_class = GATE("Bent", 0);

/* ---- Helpers ---------------------------------------------------------- */

struct world {
    struct hg_graph *graph;
    struct hg_element *source;
};

static struct world
world_create(void)
{
    struct hg_graph_config config = {.seed = 1};
    struct world w = {.graph = hg_graph_create(&config)};

    w.source = hg_graph_add(w.graph, &source_class, "source");
    return w;
}

static void *
add(struct world *w, const struct hg_class *cls, const char *name)
{
    return hg_element_self(hg_graph_add(w->graph, cls, name));
}

static void
wire(struct world *w, void *from, unsigned out, void *to, unsigned in)
{
    struct hg_error error = {""};

    if (!hg_graph_connect(w->graph, hg_element_of(from), out,
                          hg_element_of(to), in, &error))
        FAIL("%s", error.text);
}

static void
inject(struct world *w, unsigned n)
{
    struct hg_packet *p[MAX_SEEN];
    unsigned i;

    for (i = 0; i < n; i++) {
        p[i] = hg_packet_alloc(hg_graph_pool(w->graph), 60);
        memset(p[i]->data, 0, 60);
    }
    hg_graph_inject(w->graph, w->source, 0, p, n);
}

/* Injects 'total' packets, 'size' at a time, dispatching after each. */
static void
run(struct world *w, unsigned total, unsigned size)
{
    while (total) {
        unsigned n = total < size ? total : size;

        inject(w, n);
        hg_graph_dispatch(w->graph);
        total -= n;
    }
}

static void
begin(struct world *w)
{
    struct hg_error error = {""};

    hg_graph_finish(w->graph);
    REQUIRE(hg_graph_start(w->graph, HG_SEC, &error));
}

static void
end(struct world *w)
{
    struct hg_account total;

    CHECK(hg_graph_account(w->graph, &total));
    CHECK_EQ(hg_pool_in_use(hg_graph_pool(w->graph)), total.held);
    hg_graph_stop(w->graph);
    hg_graph_destroy(w->graph);
}

static const unsigned sizes[] = {1, 7, 64, 256};

/* ---- Tests ------------------------------------------------------------ */

TEST(a_batch_that_leaves_whole_moves_as_a_pointer)
{
    struct world w = world_create();
    struct probe *a = add(&w, &probe_class, "a");
    struct probe *b = add(&w, &probe_class, "b");

    wire(&w, hg_element_self(w.source), 0, a, 0);
    wire(&w, a, 0, b, 0);
    begin(&w);
    run(&w, 64, 64);
    CHECK_EQ(b->n, 64);
    CHECK(a->batch == b->batch);
    end(&w);
}

TEST(branches_join_again_in_order_of_arrival_and_in_one_batch)
{
    unsigned s;

    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct world w = world_create();
        struct split *split = add(&w, &split_class, "split");
        struct probe *left = add(&w, &probe_class, "left");
        struct probe *right = add(&w, &probe_class, "right");
        struct probe *join = add(&w, &probe_class, "join");
        unsigned i;

        split->modulus = 3; /* The third branch is direct. */
        wire(&w, hg_element_self(w.source), 0, split, 0);
        wire(&w, split, 0, left, 0);
        wire(&w, split, 1, right, 0);
        wire(&w, split, 2, join, 2);
        wire(&w, left, 0, join, 0);
        wire(&w, right, 0, join, 1);
        begin(&w);
        run(&w, 1000, sizes[s]);
        REQUIRE(join->n == 1000);
        for (i = 0; i < 1000; i++) {
            CHECK_EQ(join->seq[i], i + 1);
            CHECK_EQ(join->port[i], (i + 1) % 3);
        }
        CHECK_EQ(join->n_batches, (1000 + sizes[s] - 1) / sizes[s]);
        end(&w);
    }
}

/* They are restored in one way if the numbers are close, in another else. */
TEST(branches_join_in_order_however_far_the_numbers_lie_apart)
{
    static const unsigned totals[] = {2, 500, 1000, 1024, 1025, 4000};
    unsigned t, i;

    for (t = 0; t < sizeof totals / sizeof *totals; t++) {
        struct world w = world_create();
        struct split *split = add(&w, &split_class, "split");
        struct probe *left = add(&w, &probe_class, "left");
        struct probe *join = add(&w, &probe_class, "join");

        split->modulus = 2;
        wire(&w, hg_element_self(w.source), 0, split, 0);
        wire(&w, split, 0, left, 0);
        wire(&w, left, 0, join, 0);
        wire(&w, split, 1, join, 1);
        begin(&w);
        inject(&w, totals[t]);
        hg_graph_dispatch(w.graph);
        REQUIRE(join->n == totals[t]);
        for (i = 0; i < totals[t]; i++)
            CHECK_EQ(join->seq[i], i + 1);
        end(&w);
    }
}

TEST(copies_join_in_the_same_order_for_every_batch_size)
{
    uint16_t expected[2000];
    unsigned s, i;

    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct world w = world_create();
        struct split *tee = add(&w, &split_class, "tee");
        struct probe *slow = add(&w, &probe_class, "slow");
        struct probe *join = add(&w, &probe_class, "join");

        tee->modulus = 1;
        tee->copies = true;
        wire(&w, hg_element_self(w.source), 0, tee, 0);
        wire(&w, tee, 0, join, 0);
        wire(&w, tee, 1, slow, 0);
        wire(&w, slow, 0, join, 1);
        begin(&w);
        run(&w, 1000, sizes[s]);
        REQUIRE(join->n == 2000);
        for (i = 0; i < 2000; i++)
            CHECK_EQ(join->seq[i], i / 2 + 1);
        if (!s)
            memcpy(expected, join->port, sizeof expected);
        CHECK_MEM(join->port, expected, sizeof expected);
        end(&w);
    }
}

TEST(a_cycle_gives_the_same_for_every_batch_size)
{
    uint64_t expected[400];
    unsigned s;

    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct world w = world_create();
        struct probe *entry = add(&w, &probe_class, "entry");
        struct split *turn = add(&w, &split_class, "turn");
        struct probe *out = add(&w, &probe_class, "out");

        turn->modulus = 1;
        turn->rounds = 3;
        wire(&w, hg_element_self(w.source), 0, entry, 0);
        wire(&w, entry, 0, turn, 0);
        wire(&w, turn, 0, out, 0);
        wire(&w, turn, 1, entry, 1);
        begin(&w);
        run(&w, 100, sizes[s]);
        CHECK_EQ(out->n, 100);
        REQUIRE(entry->n == 400);
        if (!s)
            memcpy(expected, entry->seq, sizeof expected);
        CHECK_MEM(entry->seq, expected, sizeof expected);
        end(&w);
    }
}

/* Each packet comes to the gate twice; returns how many batches did.  With
 * 'room', the flow service has room for so many flows. */
static unsigned
through_gate(const struct hg_class *cls, uint64_t n_owners, unsigned size,
             uint64_t room)
{
    struct world w = world_create();
    struct gate *gate = add(&w, cls, "gate");
    struct probe *out = add(&w, &probe_class, "out");
    uint64_t there[100] = {0}; /* Of each owner, who is not back yet. */
    unsigned i, n_batches;

    gate->n_owners = n_owners;
    if (room) {
        CHECK(hg_flow_declare(gate, 8));
        hg_flow_limit(gate, room);
    }
    wire(&w, hg_element_self(w.source), 0, gate, 0);
    wire(&w, gate, 0, gate, 1);
    wire(&w, gate, 1, out, 0);
    begin(&w);
    run(&w, 400, size);
    CHECK_EQ(out->n, 400);
    for (i = 0; i < 400; i++)
        CHECK_EQ(out->seq[i], i + 1);
    REQUIRE(gate->n == 800);
    for (i = 0; i < 800; i++) {
        uint64_t *who = &there[gate->seq[i] % n_owners];

        CHECK_EQ(*who, gate->port[i] ? gate->seq[i] : 0);
        *who = gate->port[i] ? 0 : gate->seq[i];
    }
    n_batches = gate->n_batches;
    end(&w);
    return n_batches;
}

TEST(packets_of_different_owners_pass_a_cycle_together)
{
    CHECK_EQ(through_gate(&gate_class, 1, 64, 0), 800);
    CHECK_EQ(through_gate(&gate_class, 100, 1, 0), 800);
    CHECK_EQ(through_gate(&gate_class, 100, 50, 0), 16);
    CHECK_EQ(through_gate(&gate_class, 100, 200, 0), 8);
}

/* They might push out the flows of others that are in the cycle. */
TEST(packets_pass_a_cycle_one_by_one_where_flows_have_little_room)
{
    CHECK_EQ(through_gate(&gate_class, 100, 50, 100000), 16);
    CHECK_EQ(through_gate(&gate_class, 100, 50, 100), 800);
}

TEST(packets_that_might_go_round_a_cycle_pass_it_one_by_one)
{
    CHECK_EQ(through_gate(&bent_class, 100, 64, 0), 800);
}

TEST(a_packet_that_never_leaves_a_cycle_is_dropped_as_loop)
{
    struct world w = world_create();
    struct probe *a = add(&w, &probe_class, "a");
    struct probe *b = add(&w, &probe_class, "b");
    struct hg_account first, second;

    wire(&w, hg_element_self(w.source), 0, a, 0);
    wire(&w, a, 0, b, 0);
    wire(&w, b, 0, a, 1);
    begin(&w);
    run(&w, 5, 64);
    hg_element_account(hg_element_of(a), &first);
    hg_element_account(hg_element_of(b), &second);
    CHECK_EQ(first.loop + second.loop, 5);
    CHECK_EQ(a->n, 5 * 65);
    end(&w);
}

TEST(an_element_wired_to_itself_does_not_hang)
{
    struct world w = world_create();
    struct probe *a = add(&w, &probe_class, "a");

    wire(&w, hg_element_self(w.source), 0, a, 0);
    wire(&w, a, 0, a, 1);
    begin(&w);
    run(&w, 3, 3);
    end(&w);
}

TEST(what_leaves_an_unwired_output_is_counted_there)
{
    struct world w = world_create();
    struct split *split = add(&w, &split_class, "split");
    struct probe *out = add(&w, &probe_class, "out");
    struct hg_account account;

    split->modulus = 3;
    wire(&w, hg_element_self(w.source), 0, split, 0);
    wire(&w, split, 0, out, 0);
    begin(&w);
    run(&w, 300, 64);
    hg_element_account(hg_element_of(split), &account);
    CHECK_EQ(account.unwired, 200);
    CHECK_EQ(account.dropped, 200);
    CHECK_EQ(out->n, 100);
    end(&w);
}

TEST(kept_packets_are_held_until_a_timer_lets_them_go)
{
    struct world w = world_create();
    struct keeper *keeper = add(&w, &keeper_class, "keeper");
    struct probe *out = add(&w, &probe_class, "out");
    struct hg_account account;

    wire(&w, hg_element_self(w.source), 0, keeper, 0);
    wire(&w, keeper, 0, out, 0);
    begin(&w);
    run(&w, 100, 64);
    hg_element_account(hg_element_of(keeper), &account);
    CHECK_EQ(account.held, 100);
    CHECK_EQ(out->n, 0);
    CHECK_EQ(hg_graph_next_timer(w.graph), 2 * HG_SEC);
    hg_graph_advance(w.graph, 3 * HG_SEC);
    hg_element_account(hg_element_of(keeper), &account);
    CHECK_EQ(account.held, 0);
    CHECK_EQ(out->n, 100);
    end(&w);
}

TEST(packets_still_held_at_the_end_are_accounted_for_and_freed)
{
    struct world w = world_create();
    struct keeper *keeper = add(&w, &keeper_class, "keeper");
    struct probe *out = add(&w, &probe_class, "out");
    struct hg_account total;
    unsigned i;

    wire(&w, hg_element_self(w.source), 0, keeper, 0);
    wire(&w, keeper, 0, out, 0);
    begin(&w);
    run(&w, 10, 10);
    CHECK(hg_graph_account(w.graph, &total));
    CHECK_EQ(total.held, 10);
    for (i = 0; i < keeper->n; i++)
        hg_packet_free(keeper->kept[i]);
    hg_graph_destroy(w.graph);
}

TEST(a_branch_that_multiplies_beyond_one_batch_keeps_the_order)
{
    struct world w = world_create();
    struct split *tee = add(&w, &split_class, "tee");
    struct split *more = add(&w, &split_class, "more");
    struct probe *out = add(&w, &probe_class, "out");
    unsigned i;

    tee->modulus = more->modulus = 1;
    tee->copies = more->copies = true;
    wire(&w, hg_element_self(w.source), 0, tee, 0);
    wire(&w, tee, 0, more, 0);
    wire(&w, tee, 1, out, 0);
    wire(&w, more, 0, out, 1);
    wire(&w, more, 1, out, 2);
    begin(&w);
    run(&w, 512, 256);
    REQUIRE(out->n == 3 * 512);
    for (i = 1; i < out->n; i++)
        CHECK(out->seq[i - 1] <= out->seq[i]);
    end(&w);
}

/* ShuffleShard: gives each tenant k of n nodes of its own mixture.
 *
 * A tenant that breaks or floods its nodes hurts only those that share nodes
 * with it, and nearly nobody shares all.  core/tables/shuffle.c chooses
 * shards (headgate/shuffle.h says exactly how); here is what a tenant is,
 * which shards have been given out, and which nodes are up.
 *
 * Sits where packets are spread over the nodes of a fleet: one output for
 * each node. */
#include <stdlib.h>
#include <string.h>

#include <headgate/inventory.h>
#include <headgate/shuffle.h>

enum key { KEY_VPC, KEY_ENI, KEY_ACCOUNT, KEY_SOURCE, KEY_DESTINATION };
enum mode { MODE_SIGNATURE, MODE_GUARANTEED };
enum { NAME_SIZE = 64 };

struct node_row {
    char *name;
    char *zone;
};

struct tenant {
    uint32_t node[HG_SHARD_MAX];
    uint64_t packets;
    bool has_shard;
    char name[NAME_SIZE];
};

/* What a packet says about its tenant, before that is made a name: an
 * address, a number, or a text of the inventory, which stays where it is. */
struct sign {
    enum { SIGN_NONE, SIGN_TEXT, SIGN_NUMBER, SIGN_IP4, SIGN_IP6 } kind;
    uint64_t word[2];
};

/* Whose sign it was the last time. */
struct known_sign {
    struct sign sign;
    struct tenant *tenant;
};

struct shuffle_shard {
    HG_ROWS_OF(struct node_row) node;
    uint8_t shard_size;
    uint8_t mode;
    uint8_t overlap;
    uint8_t key;
    uint64_t seed;
    uint32_t max_tenants;
    uint64_t search_limit;

    hg_gauge tenants;
    hg_gauge nodes_up;
    hg_counter no_tenant;
    hg_counter no_shard;
    hg_counter too_many_tenants;
    hg_counter shard_down;

    struct hg_shuffle *shuffle;
    bool *up;                 /* By node. */
    struct tenant *table;     /* Open addressing by name; name "" is free. */
    size_t n_slots;           /* A power of two. */
    struct known_sign *known; /* As many, by hash; a newer one wins. */
};

static const struct hg_field node_fields[] = {
    HG_ROW_OPTION(struct node_row, name, .title = true, .required = true,
                  .doc = "name of the node and of its output"),
    HG_ROW_OPTION(struct node_row, zone, .def = "a",
                  .doc = "availability zone that it stands in"),
};

/* ---- Tenants ---------------------------------------------------------- */

static bool
copy_name(char *name, const char *from)
{
    if (!from || !*from || strlen(from) >= NAME_SIZE)
        return false;
    strcpy(name, from);
    return true;
}

static struct sign
sign_of_text(const char *text)
{
    return text ? (struct sign){SIGN_TEXT, {(uintptr_t)text, 0}}
                : (struct sign){SIGN_NONE, {0, 0}};
}

static struct sign
sign_of_address(const struct hg_addr *addr)
{
    struct sign sign = {addr->family == 4   ? SIGN_IP4
                        : addr->family == 6 ? SIGN_IP6
                                            : SIGN_NONE,
                        {0, 0}};

    memcpy(sign.word, addr->byte, sizeof sign.word);
    return sign;
}

static struct sign
sign_of(const struct shuffle_shard *self, const struct hg_packet *p)
{
    const struct hg_eni *eni = p->src_eni ? p->src_eni : p->dst_eni;
    struct hg_addr addr;

    switch ((enum key)self->key) {
    case KEY_VPC:
        return eni ? sign_of_text(eni->vpc->id)
                   : (struct sign){SIGN_NUMBER, {p->vpc, 0}};
    case KEY_ENI:
        return sign_of_text(eni ? eni->id : NULL);
    case KEY_ACCOUNT:
        if (eni && eni->details->account)
            return sign_of_text(eni->details->account);
        return sign_of_text(eni ? eni->vpc->account : NULL);
    case KEY_SOURCE:
        hg_packet_read_src(p, &addr);
        return sign_of_address(&addr);
    case KEY_DESTINATION:
    default:
        hg_packet_read_dst(p, &addr);
        return sign_of_address(&addr);
    }
}

/* Writes the tenant's name; false if there is none. */
static bool
tenant_name(const struct sign *sign, char *name)
{
    struct hg_addr addr = {.family = sign->kind == SIGN_IP4 ? 4 : 6};

    switch (sign->kind) {
    case SIGN_TEXT:
        return copy_name(name, (const char *)(uintptr_t)sign->word[0]);
    case SIGN_NUMBER:
        snprintf(name, NAME_SIZE, "%u", (unsigned)sign->word[0]);
        return true;
    case SIGN_IP4:
    case SIGN_IP6:
        memcpy(addr.byte, sign->word, sizeof addr.byte);
        hg_addr_format(&addr, name);
        return true;
    case SIGN_NONE:
        break;
    }
    return false;
}

/* FNV-1a; the table is small and its hash need not resist anybody. */
static struct tenant *
slot_of(const struct shuffle_shard *self, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ self->seed;
    const char *at;
    size_t i;

    for (at = name; *at; at++)
        hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    i = (size_t)(hash ^ hash >> 32) & (self->n_slots - 1);
    while (self->table[i].name[0] && strcmp(self->table[i].name, name))
        i = (i + 1) & (self->n_slots - 1);
    return &self->table[i];
}

/* The tenant's record with its shard; NULL if no more tenants fit. */
static struct tenant *
get_tenant(struct shuffle_shard *self, const char *name)
{
    struct tenant *t = slot_of(self, name);
    uint64_t steps = self->search_limit;

    if (t->name[0])
        return t;
    if (self->tenants.n >= self->max_tenants)
        return NULL;
    strcpy(t->name, name);
    self->tenants.n++;
    if (self->mode == MODE_SIGNATURE) {
        hg_shuffle_signature(self->shuffle, name, t->node);
        t->has_shard = true;
    } else {
        t->has_shard = hg_shuffle_guaranteed(self->shuffle, name,
                                             self->overlap, &steps, t->node);
        if (!t->has_shard)
            hg_warn(self,
                    "no shard is left for tenant '%s' that shares at most %u "
                    "nodes with every other%s",
                    name, self->overlap,
                    steps ? "" : " (or search-limit is too low to find it)");
    }
    return t;
}

/* Where the sign may be known: multiplied and folded as in splitmix64. */
static struct known_sign *
known_at(const struct shuffle_shard *self, const struct sign *sign)
{
    uint64_t x = (sign->word[0] + sign->kind) * UINT64_C(0xbf58476d1ce4e5b9) +
                 sign->word[1];

    x = (x ^ x >> 32) * UINT64_C(0x94d049bb133111eb);
    return &self->known[x >> 32 & (self->n_slots - 1)];
}

/* The tenant of a packet; NULL and why there is none. */
static struct tenant *
tenant_of(struct shuffle_shard *self, const struct hg_packet *p,
          hg_counter **reason)
{
    const struct sign sign = sign_of(self, p);
    struct known_sign *known = known_at(self, &sign);
    char name[NAME_SIZE];
    struct tenant *t;

    *reason = &self->no_tenant;
    if (known->sign.kind == sign.kind && sign.kind != SIGN_NONE &&
        known->sign.word[0] == sign.word[0] &&
        known->sign.word[1] == sign.word[1])
        return known->tenant;
    if (!tenant_name(&sign, name))
        return NULL;
    *reason = &self->too_many_tenants;
    t = get_tenant(self, name);
    if (t)
        *known = (struct known_sign){sign, t};
    return t;
}

static int
shuffle_shard_packet(struct shuffle_shard *self, struct hg_packet *p)
{
    hg_counter *reason;
    struct tenant *t = tenant_of(self, p, &reason);
    uint32_t node;

    if (!t)
        return hg_drop(reason);
    if (!t->has_shard)
        return hg_drop(&self->no_shard);
    node = hg_shuffle_pick(self->shuffle, t->node, self->shard_size, self->up,
                           hg_packet_hash(p));
    if (node == HG_SHARD_NONE)
        return hg_drop(&self->shard_down);
    t->packets++;
    return (int)node;
}

/* ---- Handlers --------------------------------------------------------- */

static void
print_shard(const struct shuffle_shard *self, const struct tenant *t,
            FILE *out)
{
    unsigned i;

    fprintf(out, "%s:", t->name);
    for (i = 0; t->has_shard && i < self->shard_size; i++) {
        uint32_t node = t->node[i];

        fprintf(out, " %s%s", hg_shuffle_name(self->shuffle, node),
                self->up[node] ? "" : "(down)");
    }
    fprintf(out, "%s\n", t->has_shard ? "" : " no shard");
}

/* The tenant as it is, or, by signature, as it would be. */
static bool
find_tenant(struct shuffle_shard *self, const char *name, struct tenant *out,
            struct hg_error *error)
{
    const struct tenant *t;

    if (!*name || strlen(name) >= NAME_SIZE)
        return hg_error_set(error, "name a tenant, such as shard=%s",
                            self->key == KEY_VPC ? "vpc-1" : "10.0.0.1");
    t = slot_of(self, name);
    if (t->name[0]) {
        *out = *t;
        return true;
    }
    if (self->mode != MODE_SIGNATURE)
        return hg_error_set(error, "no packet of tenant '%s' has come yet",
                            name);
    *out = (struct tenant){.has_shard = true};
    strcpy(out->name, name);
    hg_shuffle_signature(self->shuffle, name, out->node);
    return true;
}

static bool
read_shard(void *self_, const char *argument, FILE *out,
           struct hg_error *error)
{
    struct shuffle_shard *self = self_;
    struct tenant t;

    if (!find_tenant(self, argument, &t, error))
        return false;
    print_shard(self, &t, out);
    return true;
}

static unsigned
shared_nodes(const struct shuffle_shard *self, const struct tenant *a,
             const struct tenant *b)
{
    unsigned n = 0, i, k;

    for (i = 0; i < self->shard_size; i++)
        for (k = 0; k < self->shard_size; k++)
            n += a->node[i] == b->node[k];
    return n;
}

static int
compare_tenants(const void *a, const void *b)
{
    return strcmp((*(const struct tenant *const *)a)->name,
                  (*(const struct tenant *const *)b)->name);
}

/* The tenants seen, in order of name; the caller frees the array. */
static const struct tenant **
sorted_tenants(const struct shuffle_shard *self)
{
    const struct tenant **list = calloc(self->tenants.n + 1, sizeof *list);
    size_t n = 0, i;

    for (i = 0; list && i < self->n_slots; i++)
        if (self->table[i].name[0])
            list[n++] = &self->table[i];
    if (n)
        qsort(list, n, sizeof *list, compare_tenants);
    return list;
}

static bool
read_tenants(void *self_, const char *argument, FILE *out,
             struct hg_error *error)
{
    struct shuffle_shard *self = self_;
    const struct tenant **list = sorted_tenants(self);
    size_t i;

    if (*argument || !list) {
        free(list);
        return hg_error_set(
            error, "%s", list ? "tenants takes no argument" : "out of memory");
    }
    for (i = 0; i < self->tenants.n; i++)
        print_shard(self, list[i], out);
    free(list);
    return true;
}

static bool
read_overlap(void *self_, const char *argument, FILE *out,
             struct hg_error *error)
{
    struct shuffle_shard *self = self_;
    const struct tenant **list;
    struct tenant t;
    size_t i;

    if (!find_tenant(self, argument, &t, error))
        return false;
    list = sorted_tenants(self);
    if (!list)
        return hg_error_set(error, "out of memory");
    for (i = 0; t.has_shard && i < self->tenants.n; i++) {
        unsigned n = list[i]->has_shard ? shared_nodes(self, &t, list[i]) : 0;

        if (n && strcmp(list[i]->name, t.name))
            fprintf(out, "%s: %u\n", list[i]->name, n);
    }
    free(list);
    return true;
}

static bool
set_up(struct shuffle_shard *self, const char *name, bool up,
       struct hg_error *error)
{
    uint32_t i;

    for (i = 0; i < hg_shuffle_n(self->shuffle); i++)
        if (!strcmp(hg_shuffle_name(self->shuffle, i), name)) {
            if (self->up[i] != up)
                self->nodes_up.n += up ? 1 : UINT64_MAX;
            self->up[i] = up;
            return true;
        }
    return hg_error_set(error, "no node '%s'", name);
}

static bool
write_up(void *self, const char *name, struct hg_error *error)
{
    return set_up(self, name, true, error);
}

static bool
write_down(void *self, const char *name, struct hg_error *error)
{
    return set_up(self, name, false, error);
}

/* ---- Life ------------------------------------------------------------- */

static bool
shuffle_shard_configure(void *self_)
{
    struct shuffle_shard *self = self_;
    bool ok = true;
    size_t i;

    if (!hg_option_given(self, "seed"))
        self->seed = 0;
    self->shuffle = hg_shuffle_create(self->shard_size, self->seed);
    for (i = 0; i < self->node.n; i++) {
        const struct node_row *row = &self->node.row[i];

        if (hg_shuffle_add(self->shuffle, row->name, row->zone) ==
                HG_SHARD_NONE ||
            hg_declare_output(self, row->name, true) < 0)
            ok = hg_config_error(self, "node", (int)i,
                                 "node '%s' is given twice", row->name);
    }
    if (self->node.n < self->shard_size)
        ok = hg_config_error(self, "shard_size", -1,
                             "shards of %u nodes need at least as many; there "
                             "are %zu",
                             self->shard_size, self->node.n);
    if (self->overlap >= self->shard_size)
        ok = hg_config_error(self, "overlap", -1,
                             "an overlap of %u allows any two shards of %u "
                             "nodes; it must be smaller",
                             self->overlap, self->shard_size);
    return ok;
}

static bool
shuffle_shard_start(void *self_, struct hg_error *error)
{
    struct shuffle_shard *self = self_;
    size_t i;

    for (self->n_slots = 64; self->n_slots < 2u * self->max_tenants;)
        self->n_slots *= 2;
    self->table = calloc(self->n_slots, sizeof *self->table);
    self->known = calloc(self->n_slots, sizeof *self->known);
    self->up = malloc(self->node.n * sizeof *self->up);
    if (!self->table || !self->known || !self->up)
        return hg_error_set(error,
                            "no memory for %u tenants; lower "
                            "max-tenants",
                            self->max_tenants);
    for (i = 0; i < self->node.n; i++)
        self->up[i] = true;
    self->nodes_up.n = self->node.n;
    return true;
}

static void
shuffle_shard_free(void *self_)
{
    struct shuffle_shard *self = self_;

    hg_shuffle_destroy(self->shuffle);
    free(self->table);
    free(self->known);
    free(self->up);
}

/* clang-format off */
HG_ELEMENT(ShuffleShard, struct shuffle_shard, shuffle_shard_packet,
    .summary = "gives each tenant its own few of many nodes",
    .doc =
        "Every tenant gets a shard of 'shard-size' nodes; its flows are\n"
        "spread over the nodes of its shard that are up.  A flow keeps its\n"
        "node until that goes down, and only the flows of a node that goes\n"
        "down, or comes back, move.  When a whole shard is down its\n"
        "tenant's packets are dropped: they must not trouble others.\n"
        "\n"
        "mode = signature derives the shard from the tenant's name, the seed\n"
        "and the names of nodes and zones alone, so that every gateway\n"
        "chooses the same; headgate/shuffle.h specifies it bit by bit.\n"
        "mode = guaranteed gives shards in the order in which tenants come,\n"
        "such that no two share more than 'overlap' nodes; it says when no\n"
        "such shard is left.\n"
        "\n"
        "Shards take nodes from the zones in turn.  A tenant is what 'key'\n"
        "says: the packet's VPC, its ENI, the account of its ENI (each of\n"
        "the sender if known, else of the receiver), or an address.",
    .reproduces =
        "shuffle sharding as the Builders' Library describes it: k of n "
        "nodes for each tenant; Infima's two ways, the stateless "
        "signature and the search that guarantees an overlap, over "
        "zones",
    .leaves_out =
        "Infima's lattices of more than one dimension beside zones; its "
        "random numbers, which are Java's (here they are specified bit "
        "by bit)",
    .lets_choose =
        "who is a tenant; size, overlap and seed; how far to search",
    .example =
        "Interface in { }\n"
        "Interface out { }\n"
        "ShuffleShard shard {\n"
        "    key        = source\n"
        "    shard-size = 2\n"
        "    node n1 { zone = a }\n"
        "    node n2 { zone = a }\n"
        "    node n3 { zone = b }\n"
        "    node n4 { zone = b }\n"
        "}\n"
        "connect(\"in -> shard[n1] -> out; shard[n2] -> out\")\n"
        "connect(\"shard[n3] -> out; shard[n4] -> out\")",
    .inputs = "in", .outputs = "*",
    .configure = shuffle_shard_configure,
    .start = shuffle_shard_start,
    .free = shuffle_shard_free,
    .fields = HG_FIELDS(
        HG_ROWS(node, node_fields, .required = true, .min_n = 1,
                .doc = "a node, with an output of its name"),
        HG_OPTION(shard_size, .def = "4", .min = 1, .max = HG_SHARD_MAX,
                  .doc = "nodes that a tenant gets"),
        HG_OPTION(mode, .def = "signature",
                  .choices = "signature guaranteed",
                  .doc = "how shards are chosen"),
        HG_OPTION(overlap, .def = "1", .max = HG_SHARD_MAX - 1,
                  .doc = "guaranteed: nodes that two tenants may share"),
        HG_OPTION(key, .def = "vpc",
                  .choices = "vpc eni account source destination",
                  .doc = "what tells tenants apart"),
        HG_OPTION(seed, .doc = "gateways that are to agree have the same"),
        HG_OPTION(max_tenants, .def = "65536", .min = 1, .max = 16777216,
                  .doc = "tenants remembered; packets of others are dropped"),
        HG_OPTION(search_limit, .def = "1000000", .min = 1,
                  .doc = "guaranteed: nodes tried in search of a shard"),
        HG_GAUGE(tenants, .doc = "tenants that have sent packets"),
        HG_GAUGE(nodes_up, .doc = "nodes that take packets"),
        HG_REASON(no_tenant, .doc = "nothing tells whose packet it is"),
        HG_REASON(no_shard, .doc = "its tenant got no shard"),
        HG_REASON(too_many_tenants, .doc = "more than max-tenants"),
        HG_REASON(shard_down, .doc = "all nodes of its shard are down")),
    .handlers = HG_HANDLERS(
        {.name = "shard", .read = read_shard,
         .doc = "the nodes of a tenant: shard=TENANT"},
        {.name = "overlap-with", .read = read_overlap,
         .doc = "the tenants that share nodes with one, and how many: "
                "overlap-with=TENANT"},
        {.name = "tenant-list", .read = read_tenants,
         .doc = "all tenants seen, with their nodes"},
        {.name = "up", .write = write_up,
         .doc = "the node of this name takes packets again"},
        {.name = "down", .write = write_down,
         .doc = "the node of this name takes no packets"}))

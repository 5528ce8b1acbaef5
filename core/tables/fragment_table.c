/* fragment_table.c: headgate/fragment_table.h as a ring of records in the
 * order of their deadlines, with a chained hash over it. */
#include <headgate/fragment_table.h>

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct hg_fragment_table {
    uint32_t capacity;
    uint32_t n_heads; /* Power of 2. */
    uint32_t oldest;
    uint32_t n;
    uint64_t timeout_ns;
    uint64_t seed;
    uint32_t *heads; /* Index + 1. */
    struct hg_fragment record[];
};

struct hg_fragment_table *
hg_fragment_table_create(uint32_t capacity, uint64_t timeout_ns, uint64_t seed)
{
    struct hg_fragment_table *t =
        calloc(1, sizeof(*t) + capacity * sizeof(t->record[0]));

    if (!t)
        return NULL;
    t->capacity = capacity;
    t->timeout_ns = timeout_ns;
    t->seed = seed;
    t->n_heads = 1;
    while (t->n_heads < capacity)
        t->n_heads *= 2;
    t->heads = calloc(t->n_heads, sizeof(*t->heads));
    if (!t->heads) {
        free(t);
        return NULL;
    }
    return t;
}

void
hg_fragment_table_destroy(struct hg_fragment_table *t)
{
    if (!t)
        return;
    free(t->heads);
    free(t);
}

static bool
same_key(const struct hg_fragment_key *a, const struct hg_fragment_key *b)
{
    return a->src == b->src && a->dst == b->dst && a->id == b->id &&
           a->protocol == b->protocol;
}

static uint32_t *
head_of(struct hg_fragment_table *t, const struct hg_fragment_key *key)
{
    uint64_t hash = XXH3_64bits_withSeed(key, sizeof(*key), t->seed);

    return &t->heads[hash & (t->n_heads - 1)];
}

struct hg_fragment *
hg_fragment_find(struct hg_fragment_table *t,
                 const struct hg_fragment_key *key, uint64_t now_ns)
{
    uint32_t i = *head_of(t, key);

    for (; i; i = t->record[i - 1].next) {
        struct hg_fragment *f = &t->record[i - 1];

        if (same_key(&f->key, key))
            return now_ns < f->deadline_ns ? f : NULL;
    }
    return NULL;
}

static void
unchain(struct hg_fragment_table *t, struct hg_fragment *f)
{
    uint32_t i = (uint32_t)(f - t->record) + 1;
    uint32_t *at = head_of(t, &f->key);

    while (*at != i)
        at = &t->record[*at - 1].next;
    *at = f->next;
}

/* Moves what waits at 'f' to the front of the list 'orphans'. */
static void
orphan(struct hg_fragment *f, struct hg_packet **orphans)
{
    if (!f->first)
        return;
    f->last->next = *orphans;
    *orphans = hg_fragment_release(f);
}

static void
remove_oldest(struct hg_fragment_table *t, struct hg_packet **orphans)
{
    struct hg_fragment *f = &t->record[t->oldest];

    if (!f->replaced)
        unchain(t, f);
    orphan(f, orphans);
    t->oldest = t->oldest + 1 == t->capacity ? 0 : t->oldest + 1;
    t->n--;
}

struct hg_fragment *
hg_fragment_add(struct hg_fragment_table *t, const struct hg_fragment_key *key,
                uint64_t now_ns, struct hg_packet **orphans)
{
    uint32_t i, *head = head_of(t, key);
    struct hg_fragment *f;

    for (i = *head; i; i = f->next) {
        f = &t->record[i - 1];
        if (!same_key(&f->key, key))
            continue;
        unchain(t, f);
        orphan(f, orphans);
        f->replaced = true;
        break;
    }
    if (t->n == t->capacity)
        remove_oldest(t, orphans);
    i = t->oldest + t->n++;
    if (i >= t->capacity)
        i -= t->capacity;
    f = &t->record[i];
    *f = (struct hg_fragment){
        .key = *key, .deadline_ns = now_ns + t->timeout_ns, .next = *head};
    *head = i + 1;
    return f;
}

void
hg_fragment_wait(struct hg_fragment *f, struct hg_packet *p)
{
    p->next = NULL;
    if (f->first)
        f->last->next = p;
    else
        f->first = p;
    f->last = p;
}

struct hg_packet *
hg_fragment_release(struct hg_fragment *f)
{
    struct hg_packet *first = f->first;

    f->first = NULL;
    f->last = NULL;
    return first;
}

struct hg_packet *
hg_fragment_expire(struct hg_fragment_table *t, uint64_t now_ns)
{
    struct hg_packet *orphans = NULL;

    while (t->n && t->record[t->oldest].deadline_ns <= now_ns)
        remove_oldest(t, &orphans);
    return orphans;
}

uint64_t
hg_fragment_deadline(const struct hg_fragment_table *t)
{
    return t->n ? t->record[t->oldest].deadline_ns : HG_NEVER;
}

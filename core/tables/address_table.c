/* address_table.c: see address_table.h. */
#include <stdlib.h>
#include <string.h>

#include "../graph_internal.h"
#include "address_table.h"
#include "large.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

void
address_table_uninit(struct address_table *t)
{
    large_free(t->buckets, t->n_buckets * sizeof *t->buckets);
    free(t->six);
    hash_index_uninit(&t->by_six);
    *t = (struct address_table){0};
}

static uint32_t
hash_ip6(uint32_t vpc, const struct hg_addr *addr)
{
    return (uint32_t)XXH3_64bits_withSeed(addr->byte, 16, vpc);
}

static uint64_t
key4(uint32_t vpc, const struct hg_addr *addr)
{
    return ip4_key(vpc, hg_addr_ip4(addr));
}

/* ---- IPv4 ------------------------------------------------------------- */

static size_t
home_of(const struct address_table *t, uint64_t key)
{
    return (size_t)(ip4_home(t, key) - t->buckets);
}

static size_t
next_bucket(const struct address_table *t, size_t at)
{
    return at + 1 == t->n_buckets ? 0 : at + 1;
}

/* The slot of 'b' with this key, 0 for a free one, or NULL. */
static uint32_t *
slot_in(struct ip4_bucket *b, uint64_t key)
{
    unsigned i;

    for (i = 0; i < IP4_SLOTS; i++)
        if (b->key[i] == key)
            return &b->value[i];
    return NULL;
}

/* The slot of a key, or NULL. */
static uint32_t *
slot_of(const struct address_table *t, uint64_t key)
{
    size_t at = home_of(t, key), n;

    for (n = 0; n < t->n_buckets; n++, at = next_bucket(t, at)) {
        uint32_t *slot = slot_in(&t->buckets[at], key);

        if (slot || !t->buckets[at].n_passed)
            return slot;
    }
    return NULL;
}

uint32_t
ip4_value(const struct address_table *t, uint64_t key)
{
    size_t at = home_of(t, key), n;
    uint32_t value = 0;

    for (n = 0; n < t->n_buckets && !value; n++, at = next_bucket(t, at)) {
        value = ip4_value_in(&t->buckets[at], key);
        if (!t->buckets[at].n_passed)
            break;
    }
    return value;
}

static void
put(struct address_table *t, uint64_t key, uint32_t value)
{
    size_t at = home_of(t, key);
    uint32_t *slot = slot_in(&t->buckets[at], 0);

    for (; !slot; slot = slot_in(&t->buckets[at], 0)) {
        t->buckets[at].n_passed++;
        at = next_bucket(t, at);
    }
    *slot = value;
    t->buckets[at].key[slot - t->buckets[at].value] = key;
}

/* A quarter larger: 53 to 67 % of the slots are in use, so that few keys are
 * further on than where their search begins.  Buckets are in the
 * order of hashes, so both tables are walked through from end to end. */
static void
grow(struct address_table *t)
{
    struct address_table bigger = *t;
    size_t i;
    unsigned k;

    bigger.n_buckets = t->n_buckets ? t->n_buckets + t->n_buckets / 4 : 8;
    bigger.buckets = large_alloc(bigger.n_buckets * sizeof *bigger.buckets);
    for (i = 0; i < t->n_buckets; i++)
        for (k = 0; k < IP4_SLOTS; k++)
            if (t->buckets[i].value[k])
                put(&bigger, t->buckets[i].key[k], t->buckets[i].value[k]);
    large_free(t->buckets, t->n_buckets * sizeof *t->buckets);
    *t = bigger;
}

static void
remove_ip4(struct address_table *t, uint64_t key)
{
    uint32_t *slot = slot_of(t, key);
    size_t at = home_of(t, key);

    if (!slot)
        return;
    for (; slot_in(&t->buckets[at], key) != slot; at = next_bucket(t, at))
        t->buckets[at].n_passed--;
    *slot = 0;
    t->buckets[at].key[slot - t->buckets[at].value] = 0;
    t->n_used--;
}

/* ---- IPv6 ------------------------------------------------------------- */

static void
add_ip6(struct address_table *t, uint32_t vpc, const struct hg_addr *addr,
        uint32_t value)
{
    if (!(t->n_six & (t->n_six - 1)))
        t->six =
            xrealloc(t->six, (t->n_six ? t->n_six * 2 : 1) * sizeof *t->six);
    t->six[t->n_six] = (struct ip6_record){vpc, value, *addr};
    hash_index_add(&t->by_six, hash_ip6(vpc, addr), (uint32_t)t->n_six);
    t->n_six++;
}

static uint32_t
find_ip6(const struct address_table *t, uint32_t vpc,
         const struct hg_addr *addr)
{
    uint32_t hash = hash_ip6(vpc, addr), i;
    size_t at = hash_index_start(&t->by_six, hash);

    while ((i = hash_index_candidate(&t->by_six, hash, &at)) != HASH_INDEX_END)
        if (t->six[i].vpc == vpc && hg_addr_equal(&t->six[i].addr, addr))
            return i;
    return HASH_INDEX_END;
}

/* The last record takes the place of the one removed. */
static void
remove_ip6(struct address_table *t, uint32_t i)
{
    uint32_t last = (uint32_t)t->n_six - 1;

    hash_index_remove(&t->by_six, hash_ip6(t->six[i].vpc, &t->six[i].addr), i);
    if (i != last) {
        uint32_t hash = hash_ip6(t->six[last].vpc, &t->six[last].addr);

        hash_index_remove(&t->by_six, hash, last);
        t->six[i] = t->six[last];
        hash_index_add(&t->by_six, hash, i);
    }
    t->n_six--;
}

/* ---- Either ----------------------------------------------------------- */

void
address_table_add(struct address_table *t, uint32_t vpc,
                  const struct hg_addr *addr, uint32_t value)
{
    if (addr->family == 6) {
        add_ip6(t, vpc, addr, value);
        return;
    }
    if (t->n_used * 3 >= t->n_buckets * IP4_SLOTS * 2)
        grow(t);
    put(t, key4(vpc, addr), value);
    t->n_used++;
}

void
address_table_remove(struct address_table *t, uint32_t vpc,
                     const struct hg_addr *addr)
{
    uint32_t i;

    if (addr->family == 4 && t->n_buckets) {
        remove_ip4(t, key4(vpc, addr));
    } else if (addr->family == 6) {
        i = find_ip6(t, vpc, addr);
        if (i != HASH_INDEX_END)
            remove_ip6(t, i);
    }
}

uint32_t
address_table_find(const struct address_table *t, uint32_t vpc,
                   const struct hg_addr *addr)
{
    uint32_t i;

    if (addr->family == 4)
        return t->n_buckets ? ip4_value(t, key4(vpc, addr)) : 0;
    i = addr->family == 6 ? find_ip6(t, vpc, addr) : HASH_INDEX_END;
    return i == HASH_INDEX_END ? 0 : t->six[i].value;
}

void
address_table_prefetch(const struct address_table *t, uint32_t vpc,
                       const struct hg_addr *addr)
{
    if (addr->family == 4 && t->n_buckets)
        __builtin_prefetch(ip4_home(t, key4(vpc, addr)));
    else if (addr->family == 6)
        hash_index_prefetch(&t->by_six, hash_ip6(vpc, addr));
}

size_t
address_table_size(const struct address_table *t)
{
    return t->n_buckets * sizeof *t->buckets + t->n_six * sizeof *t->six +
           t->by_six.n_slots * sizeof *t->by_six.slots;
}

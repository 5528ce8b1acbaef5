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
    large_free(t->slots, t->n_slots * sizeof *t->slots);
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
    return (uint64_t)vpc << 32 | hg_addr_ip4(addr);
}

static uint64_t
key_of(const struct ip4_slot *slot)
{
    uint64_t key;

    memcpy(&key, slot->key, sizeof key);
    return key;
}

/* Where the search for an IPv4 key begins: the finaliser of splitmix64,
 * scaled to the number of slots. */
static size_t
home_of(const struct address_table *t, uint64_t key)
{
    uint64_t x = key + UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (size_t)((x >> 32) * t->n_slots >> 32);
}

static size_t
next_slot(const struct address_table *t, size_t at)
{
    return at + 1 == t->n_slots ? 0 : at + 1;
}

/* The slot of the key, or the free one where it would go, from 'at' on. */
static struct ip4_slot *
probe(const struct address_table *t, size_t at, uint64_t key)
{
    while (t->slots[at].value && key_of(&t->slots[at]) != key)
        at = next_slot(t, at);
    return &t->slots[at];
}

/* The value + 1 of a slot if it has this key, else 0. */
static uint32_t
value_if(const struct ip4_slot *slot, uint64_t key)
{
    return slot->value & -(uint32_t)(key_of(slot) == key);
}

/* Slots that are looked at together; they are in at most two cache lines. */
enum { WINDOW = 4 };

/* The value + 1 of a key, or 0.  How far a search goes nobody can predict, so
 * the first slots are compared without branches; behind a free one the key
 * cannot be. */
static uint32_t
find_from(const struct address_table *t, size_t home, uint64_t key)
{
    const struct ip4_slot *slot = &t->slots[home];
    uint32_t value = 0;

    if (home + WINDOW <= t->n_slots)
        value = value_if(&slot[0], key) | value_if(&slot[1], key) |
                value_if(&slot[2], key) | value_if(&slot[3], key);
    return value ? value : probe(t, home, key)->value;
}

static struct ip4_slot *
slot_of(const struct address_table *t, uint64_t key)
{
    return probe(t, home_of(t, key), key);
}

/* Half as large again: between half and three quarters are in use. */
static void
grow(struct address_table *t)
{
    struct address_table bigger = *t;
    size_t i;

    bigger.n_slots = t->n_slots ? t->n_slots + t->n_slots / 2 : 64;
    bigger.slots = large_alloc(bigger.n_slots * sizeof *bigger.slots);
    for (i = 0; i < t->n_slots; i++)
        if (t->slots[i].value)
            *slot_of(&bigger, key_of(&t->slots[i])) = t->slots[i];
    large_free(t->slots, t->n_slots * sizeof *t->slots);
    *t = bigger;
}

void
address_table_add(struct address_table *t, uint32_t vpc,
                  const struct hg_addr *addr, uint32_t value)
{
    if (addr->family == 4) {
        uint64_t key = key4(vpc, addr);
        struct ip4_slot *slot;

        if (t->n_used * 4 >= t->n_slots * 3)
            grow(t);
        slot = slot_of(t, key);
        memcpy(slot->key, &key, sizeof key);
        slot->value = value + 1;
        t->n_used++;
        return;
    }
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

/* Frees a slot and moves up what would not be found across the gap (Knuth,
 * TAOCP 6.4, algorithm R). */
static void
remove_ip4(struct address_table *t, struct ip4_slot *slot)
{
    size_t n = t->n_slots, hole = (size_t)(slot - t->slots), at = hole;

    for (;;) {
        size_t home;

        at = next_slot(t, at);
        if (!t->slots[at].value)
            break;
        home = home_of(t, key_of(&t->slots[at]));
        if ((at + n - home) % n >= (at + n - hole) % n) {
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole] = (struct ip4_slot){{0, 0}, 0};
    t->n_used--;
}

/* IPv6: the last record takes the place of the one removed. */
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

void
address_table_remove(struct address_table *t, uint32_t vpc,
                     const struct hg_addr *addr)
{
    if (addr->family == 4 && t->n_slots) {
        struct ip4_slot *slot = slot_of(t, key4(vpc, addr));

        if (slot->value)
            remove_ip4(t, slot);
    } else if (addr->family == 6) {
        uint32_t i = find_ip6(t, vpc, addr);

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
        return t->n_slots ? slot_of(t, key4(vpc, addr))->value - 1
                          : HASH_INDEX_END;
    i = addr->family == 6 ? find_ip6(t, vpc, addr) : HASH_INDEX_END;
    return i == HASH_INDEX_END ? i : t->six[i].value;
}

void
address_table_prefetch(const struct address_table *t, uint32_t vpc,
                       const struct hg_addr *addr)
{
    if (addr->family == 4 && t->n_slots)
        __builtin_prefetch(&t->slots[home_of(t, key4(vpc, addr))]);
    else if (addr->family == 6)
        hash_index_prefetch(&t->by_six, hash_ip6(vpc, addr));
}

void
address_table_find_batch(const struct address_table *t, unsigned n,
                         const uint32_t *vpc, const struct hg_addr *addr,
                         uint32_t *value)
{
    size_t home[HG_BATCH_MAX];
    unsigned i;

    for (i = 0; i < n; i++)
        home[i] = addr[i].family == 4 ? home_of(t, key4(vpc[i], &addr[i])) : 0;
    /* Prefetches that stand together wait together for their addresses. */
    for (i = 0; i < n; i++) {
        if (addr[i].family == 4 && t->n_slots) {
            __builtin_prefetch(&t->slots[home[i]]);
            __builtin_prefetch(&t->slots[home[i] + WINDOW - 1].value);
        } else {
            address_table_prefetch(t, vpc[i], &addr[i]);
        }
    }
    for (i = 0; i < n; i++)
        value[i] = addr[i].family == 4 && t->n_slots
                       ? find_from(t, home[i], key4(vpc[i], &addr[i])) - 1
                       : address_table_find(t, vpc[i], &addr[i]);
}

size_t
address_table_size(const struct address_table *t)
{
    return t->n_slots * sizeof *t->slots + t->n_six * sizeof *t->six +
           t->by_six.n_slots * sizeof *t->by_six.slots;
}

/* packet.c: the pool, and what changes the size of a packet (packet.h).
 *
 * A slot is struct hg_packet, headroom and frame in one piece.  Slots come in
 * three sizes; each has a stack of free ones, so that the slot that is handed
 * out is the one most likely still cached.  Nothing is written into free
 * slots, which another processor's cache may have.  Memory is taken from the
 * system in chunks of slots and given back with the pool.
 *
 * What is in the frame: parse.c.  What is in the headers: rewrite.c. */
#include <headgate/memory.h>
#include <headgate/packet.h>

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "graph_internal.h"
#include "pool.h"

#ifdef __SANITIZE_ADDRESS__
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif

/* A slot in the free list is out of bounds under AddressSanitizer. */
#ifdef POISONING
#include <sanitizer/asan_interface.h>
#define POISON(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define POISON(at, size) ((void)(at), (void)(size))
#define UNPOISON(at, size) ((void)(at), (void)(size))
#endif

#define CACHE_LINE 64
#define N_CLASSES HG_POOL_SIZES
#define STRIDE(capacity) (sizeof(struct hg_packet) + (capacity))
#define IS_ODD_LINES(capacity)                                                \
    (STRIDE(capacity) % CACHE_LINE == 0 && STRIDE(capacity) / CACHE_LINE % 2)

#define SMALL 2048
#define MEDIUM 16384
#define GIANT (HG_PACKET_MAX + HG_HEADROOM + 512)

static_assert(offsetof(struct hg_packet, src_eni) == CACHE_LINE,
              "what every element looks at must fit one cache line");
static_assert(sizeof(struct hg_packet) % CACHE_LINE == 0,
              "slots must start on a cache line");
/* An even number would put all headers into few sets of the caches. */
static_assert(IS_ODD_LINES(SMALL) && IS_ODD_LINES(MEDIUM) &&
                  IS_ODD_LINES(GIANT),
              "a slot must be an odd number of cache lines");

static const struct size_class {
    uint32_t capacity; /* Bytes behind the header. */
    unsigned per_chunk;
} classes[N_CLASSES] = {{SMALL, 64}, {MEDIUM, 8}, {GIANT, 1}};

/* Pools of one family: a packet of one may end in another, so memory belongs
 * to the first, the head, and whoever frees a packet has a pool of his own. */
struct hg_pool {
    struct hg_spares free;
    int64_t in_use;       /* In a family less than 0 where more end. */
    uint32_t max_packets; /* UINT32_MAX: no limit. */
    size_t meta_size;
    uint64_t seed;
    struct hg_pool *head; /* Of the family; itself if it has none. */
    bool has_family;
    pthread_mutex_t growing; /* Head: for what follows. */
    void **chunk;
    size_t n_chunks;
};

/* Where this thread frees packets of a family. */
static _Thread_local struct hg_pool *here
    __attribute__((tls_model("initial-exec")));

struct hg_pool *
hg_pool_create(uint32_t max_packets)
{
    struct hg_pool *pool = calloc(1, sizeof *pool);

    if (pool) {
        pool->max_packets = max_packets ? max_packets : UINT32_MAX;
        pool->meta_size = HG_PACKET_META;
        pool->head = pool;
        pthread_mutex_init(&pool->growing, NULL);
    }
    return pool;
}

void
hg_pool_join(struct hg_pool *pool, struct hg_pool *head)
{
    assert(!pool->n_chunks && head->head == head);
    pool->head = head;
    pool->has_family = head->has_family = true;
}

void
hg_pool_enter(struct hg_pool *pool)
{
    here = pool;
}

void
hg_pool_destroy(struct hg_pool *pool)
{
    size_t i;

    if (!pool)
        return;
    for (i = 0; i < pool->n_chunks; i++)
        free(pool->chunk[i]);
    free(pool->chunk);
    hg_spares_uninit(&pool->free);
    pthread_mutex_destroy(&pool->growing);
    if (here == pool)
        here = NULL;
    free(pool);
}

uint32_t
hg_pool_in_use(const struct hg_pool *pool)
{
    return (uint32_t)pool->in_use;
}

void
hg_pool_set_seed(struct hg_pool *pool, uint64_t seed)
{
    pool->seed = seed;
}

uint64_t
hg_pool_seed(const struct hg_pool *pool)
{
    return pool->seed;
}

void
hg_pool_set_meta(struct hg_pool *pool, size_t size)
{
    assert(size <= HG_PACKET_META);
    pool->meta_size = size;
}

/* The pool that this thread takes packets like 'p' from, and gives to. */
static inline struct hg_pool *
pool_of(const struct hg_packet *p)
{
    return p->pool->has_family && here ? here : p->pool;
}

static inline uint8_t *
slot_start(const struct hg_packet *p)
{
    return (uint8_t *)(p + 1);
}

/* Makes room for 'n' more slots of a size. */
static void
slots_reserve(struct hg_slots *slots, uint32_t n)
{
    if (slots->size - slots->n >= n)
        return;
    slots->size = 2 * slots->size + n;
    slots->v = xrealloc(slots->v, slots->size * sizeof *slots->v);
}

static inline void
push_free(struct hg_pool *pool, struct hg_packet *p, unsigned size_class)
{
    struct hg_slots *free_slots = &pool->free.by_size[size_class];

    if (__builtin_expect(free_slots->n == free_slots->size, 0))
        slots_reserve(free_slots, classes[size_class].per_chunk);
    free_slots->v[free_slots->n++] = p;
    POISON(p, STRIDE(classes[size_class].capacity));
}

/* A new chunk of the family's memory, or NULL. */
static uint8_t *
add_chunk(struct hg_pool *head, size_t size)
{
    uint8_t *chunk = aligned_alloc(CACHE_LINE, size);
    void **chunks;

    pthread_mutex_lock(&head->growing);
    chunks = realloc(head->chunk, (head->n_chunks + 1) * sizeof *chunks);
    if (chunks)
        head->chunk = chunks;
    if (chunks && chunk)
        chunks[head->n_chunks++] = chunk;
    pthread_mutex_unlock(&head->growing);
    if (chunks)
        return chunk;
    free(chunk);
    return NULL;
}

static bool
pool_grow(struct hg_pool *pool, unsigned size_class)
{
    const struct size_class *c = &classes[size_class];
    size_t stride = STRIDE(c->capacity);
    uint8_t *slot = add_chunk(pool->head, c->per_chunk * stride);
    unsigned i;

    if (!slot)
        return false;
    if (size_class == 0) /* All of these will be used, one after the other. */
        hg_memory_populate(slot, c->per_chunk * stride);
    for (i = c->per_chunk; i-- > 0;)
        push_free(pool, (void *)(slot + i * stride), size_class);
    return true;
}

/* Whether a packet of this size can be had without more memory. */
static inline bool
pool_has(const struct hg_pool *pool, unsigned size_class)
{
    return pool->free.by_size[size_class].n &&
           pool->in_use < (int64_t)pool->max_packets;
}

/* Takes a slot that is there. */
static inline struct hg_packet *
pool_take_free(struct hg_pool *pool, unsigned size_class)
{
    struct hg_slots *free_slots = &pool->free.by_size[size_class];
    struct hg_packet *p = free_slots->v[--free_slots->n];

    UNPOISON(p, STRIDE(classes[size_class].capacity));
    pool->in_use++;
    return p;
}

/* Takes a slot out of the pool, or NULL; nothing of it is set. */
static struct hg_packet *
pool_take(struct hg_pool *pool, unsigned size_class)
{
    if (pool->in_use >= (int64_t)pool->max_packets ||
        (!pool_has(pool, size_class) && !pool_grow(pool, size_class)))
        return NULL;
    return pool_take_free(pool, size_class);
}

static void
set_slot(struct hg_packet *p, struct hg_pool *pool, unsigned size_class)
{
    p->pool = pool->head;
    p->capacity = classes[size_class].capacity;
    p->size_class = (uint8_t)size_class;
    p->next = NULL;
}

/* Zeroes the header line by line: one memset() of all becomes a "rep stos",
 * which takes as long as the rest of making a packet. */
static inline void
clear_header(struct hg_packet *p, const struct hg_pool *pool)
{
    uint8_t *line = (uint8_t *)p;

    memset(line, 0, CACHE_LINE);
    memset(line + CACHE_LINE, 0, CACHE_LINE);
    if (pool->meta_size > 2 * CACHE_LINE - offsetof(struct hg_packet, meta))
        memset(line + 2 * CACHE_LINE, 0, sizeof *p - 2 * CACHE_LINE);
}

/* Makes a packet of a slot. */
static inline struct hg_packet *
begin_packet(struct hg_packet *p, struct hg_pool *pool, unsigned size_class,
             uint32_t len)
{
    clear_header(p, pool);
    set_slot(p, pool, size_class);
    p->data = slot_start(p) + HG_HEADROOM;
    p->len = len;
    p->wire_len = len;
    return p;
}

/* A packet of any size, for which memory may have to be had. */
static __attribute__((noinline)) struct hg_packet *
new_packet_any(struct hg_pool *pool, uint32_t len)
{
    struct hg_packet *p;
    unsigned size_class = 0;

    if (len > HG_PACKET_MAX)
        return NULL;
    while (len + HG_HEADROOM > classes[size_class].capacity)
        size_class++;
    p = pool_take(pool, size_class);
    return p ? begin_packet(p, pool, size_class, len) : NULL;
}

static inline struct hg_packet *
new_packet(struct hg_pool *pool, uint32_t len)
{
    if (len > SMALL - HG_HEADROOM || !pool_has(pool, 0))
        return new_packet_any(pool, len);
    return begin_packet(pool_take_free(pool, 0), pool, 0, len);
}

struct hg_packet *
hg_packet_alloc(struct hg_pool *pool, uint32_t len)
{
    return new_packet(pool, len);
}

/* Slots that another thread has freed are fetched before they are cleared. */
static void
fetch_free(const struct hg_pool *pool, unsigned n)
{
    const struct hg_slots *small = &pool->free.by_size[0];
    unsigned i;

    for (i = 1; i <= n && i <= small->n; i++) {
        uint8_t *line = (uint8_t *)small->v[small->n - i];

        __builtin_prefetch(line, 1);
        __builtin_prefetch(line + CACHE_LINE, 1);
    }
}

/* Makes packets of slots that are there, up to the first that is large. */
static inline unsigned
take_small(struct hg_pool *pool, const uint32_t *len, struct hg_packet **out,
           unsigned n)
{
    struct hg_slots *small = &pool->free.by_size[0];
    const int64_t left = (int64_t)pool->max_packets - pool->in_use;
    unsigned i;

    if (n > small->n)
        n = small->n;
    if (left < n)
        n = left > 0 ? (unsigned)left : 0;
    for (i = 0; i < n && len[i] <= SMALL - HG_HEADROOM; i++) {
        struct hg_packet *p = small->v[small->n - 1 - i];

        UNPOISON(p, STRIDE(SMALL));
        out[i] = begin_packet(p, pool, 0, len[i]);
    }
    small->n -= i;
    pool->in_use += i;
    return i;
}

unsigned
hg_packet_alloc_many(struct hg_pool *pool, const uint32_t *len,
                     struct hg_packet **out, unsigned n)
{
    unsigned i = 0;

    if (pool->has_family)
        fetch_free(pool, n);
    while ((i += take_small(pool, len + i, out + i, n - i)) < n) {
        out[i] = new_packet_any(pool, len[i]);
        if (!out[i])
            break;
        i++;
    }
    return i;
}

struct hg_packet *
hg_packet_copy(const struct hg_packet *from)
{
    struct hg_pool *pool = pool_of(from);
    struct hg_packet *p = pool_take(pool, from->size_class);

    if (!p)
        return NULL;
    memcpy(p, from, offsetof(struct hg_packet, meta));
    memcpy(p->meta, from->meta, pool->meta_size);
    set_slot(p, pool, from->size_class);
    p->flags &= ~(uint32_t)HG_PACKET_HELD;
    p->data = slot_start(p) + hg_packet_headroom(from);
    memcpy(p->data, from->data, from->len);
    return p;
}

static inline void
give_back(struct hg_pool *pool, struct hg_packet *p)
{
    pool->in_use--;
    push_free(pool, p, p->size_class);
}

void
hg_packet_free(struct hg_packet *p)
{
    give_back(pool_of(p), p);
}

/* Gives back the first of these packets, so many as are small and of 'owner',
 * to this thread's pool of its family; returns how many. */
static inline unsigned
give_back_small(struct hg_pool *pool, const struct hg_pool *owner,
                struct hg_packet *const *packets, unsigned n)
{
    enum { AHEAD = 4 };
    struct hg_slots *small = &pool->free.by_size[0];
    struct hg_packet **to;
    unsigned i;

    slots_reserve(small, n);
    to = small->v + small->n;
    for (i = 0; i < n; i++) {
        struct hg_packet *p = packets[i];

        if (i + AHEAD < n)
            __builtin_prefetch(&packets[i + AHEAD]->pool, 1);
        if (p->pool != owner || p->size_class)
            break;
        to[i] = p;
        POISON(p, STRIDE(SMALL));
    }
    small->n += i;
    pool->in_use -= i;
    return i;
}

void
hg_packet_free_many(struct hg_packet *const *packets, unsigned n)
{
    unsigned i = 0;

    while (i < n) {
        const struct hg_pool *owner = packets[i]->pool;
        struct hg_pool *pool = pool_of(packets[i]);

        i += give_back_small(pool, owner, packets + i, n - i);
        if (i < n && packets[i]->pool == owner)
            give_back(pool, packets[i++]);
    }
}

/* Moves the frame to 'room' bytes behind the start of its slot. */
static void
move_frame(struct hg_packet *p, uint32_t room)
{
    memmove(slot_start(p) + room, p->data, p->len);
    p->data = slot_start(p) + room;
}

/* How far from the slot's start a frame of 'len' bytes is best placed. */
static uint32_t
best_headroom(const struct hg_packet *p, uint32_t len)
{
    uint32_t room = (p->capacity - len) / 2;

    return room < HG_HEADROOM ? room : HG_HEADROOM;
}

uint8_t *
hg_packet_push(struct hg_packet *p, uint32_t n)
{
    uint16_t last = p->l4_offset > p->l3_offset ? p->l4_offset : p->l3_offset;

    if (n > p->capacity - p->len || n > (uint32_t)UINT16_MAX - last)
        return NULL;
    if (n > hg_packet_headroom(p))
        move_frame(p, best_headroom(p, p->len + n) + n);
    p->data -= n;
    p->len += n;
    p->wire_len += n;
    p->l3_offset = (uint16_t)(p->l3_offset + n);
    if (p->l4_offset)
        p->l4_offset = (uint16_t)(p->l4_offset + n);
    return p->data;
}

void
hg_packet_pull(struct hg_packet *p, uint32_t n)
{
    assert(n <= p->len);
    p->data += n;
    p->len -= n;
    p->wire_len -= n;
    if (n > p->l3_offset) {
        hg_packet_parse_l3(p, 0, 0);
        return;
    }
    p->l3_offset = (uint16_t)(p->l3_offset - n);
    if (p->l4_offset)
        p->l4_offset = (uint16_t)(p->l4_offset - n);
}

uint8_t *
hg_packet_put(struct hg_packet *p, uint32_t n)
{
    uint8_t *end;

    if (n > p->capacity - p->len)
        return NULL;
    if (n > p->capacity - p->len - hg_packet_headroom(p))
        move_frame(p, best_headroom(p, p->len + n));
    end = p->data + p->len;
    p->len += n;
    p->wire_len += n;
    return end;
}

void
hg_packet_trim(struct hg_packet *p, uint32_t len)
{
    if (len >= p->len)
        return;
    p->wire_len -= p->len - len;
    p->len = len;
    hg_packet_parse_l3(p, p->ether_type, p->l3_offset);
}

/* ---- Spare slots ------------------------------------------------------ */

/* The oldest ones go, which are least likely cached here. */
void
hg_pool_export(struct hg_pool *pool, const uint32_t *keep,
               struct hg_spares *out)
{
    unsigned i;

    for (i = 0; i < N_CLASSES; i++) {
        struct hg_slots *from = &pool->free.by_size[i], *to = &out->by_size[i];
        uint32_t n = from->n > keep[i] ? from->n - keep[i] : 0;

        if (n == 0)
            continue;
        slots_reserve(to, n);
        memcpy(to->v + to->n, from->v, n * sizeof *to->v);
        to->n += n;
        from->n -= n;
        memmove(from->v, from->v + n, from->n * sizeof *from->v);
    }
}

void
hg_pool_import(struct hg_pool *pool, struct hg_spares *in)
{
    unsigned i;

    for (i = 0; i < N_CLASSES; i++) {
        struct hg_slots *from = &in->by_size[i], *to = &pool->free.by_size[i];

        if (from->n == 0)
            continue;
        slots_reserve(to, from->n);
        memcpy(to->v + to->n, from->v, from->n * sizeof *to->v);
        to->n += from->n;
        from->n = 0;
    }
}

void
hg_pool_count_free(const struct hg_pool *pool, uint32_t *out)
{
    unsigned i;

    for (i = 0; i < N_CLASSES; i++)
        out[i] = pool->free.by_size[i].n;
}

void
hg_spares_uninit(struct hg_spares *spares)
{
    unsigned i;

    for (i = 0; i < N_CLASSES; i++)
        free(spares->by_size[i].v);
}

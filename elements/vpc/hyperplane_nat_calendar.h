/* hyperplane_nat_calendar.h: when HyperplaneNAT's flows in the flow service
 * run out, so that limits and gauges are exact and not only as good as the
 * service's sweep.
 *
 * A flow is noted in the slot of its deadline; the slot that it is now is
 * divided into ticks.  A packet that puts a deadline off moves no note: the
 * flow is found too early, once, and noted where it belongs.  One that brings
 * it forward makes another note.  A flow knows its slot, so notes in other
 * slots, and of flows that have ended, are known for what they are when they
 * are met. */
#ifndef HYPERPLANE_NAT_CALENDAR_H
#define HYPERPLANE_NAT_CALENDAR_H 1

#include <headgate/flow.h>
#include <headgate/memory.h>

#include "hyperplane_nat.h"

/* The element's bytes in the record of a flow: with the service's own they
 * are a cache line. */
struct nat_state {
    uint32_t dest : 30;   /* Of ports_used; 0: it has ended. */
    uint32_t inside : 1;  /* Which end of the record's first key, if it is
                           * keyed. */
    uint32_t outside : 1; /* Which end of 'ends'. */
    uint16_t address;
    uint16_t slot : SLOT_BITS;
    uint16_t state : 3;
    uint16_t six : 1;         /* The inside endpoint is IPv6. */
    uint16_t keyed : 1;       /* It is there and IPv4, and the record's first
                               * key is as inside sees it. */
    struct hg_flow_ends ends; /* The second one, as outside sees it. */
};
_Static_assert(sizeof(struct nat_state) == 24, "what a flow costs");

enum {
    NOTES = 30,      /* On a page. */
    NOTES_AHEAD = 6, /* Fetched before they are looked at. */
    BOOK_SMALL = 16 << 10,
    BOOK_SIZE = BOOK_SMALL + (2 << 20)
};

struct nat_page {
    struct nat_page *next;
    uint32_t n;
    struct nat_state *note[NOTES];
};

struct nat_book {
    struct nat_book *next;
    uint64_t n_begun;
    struct nat_page page[];
};

enum {
    BOOK_PAGES =
        (BOOK_SIZE - sizeof(struct nat_book)) / sizeof(struct nat_page)
};
_Static_assert(BOOK_PAGES > N_SLOTS + N_TICKS + 3, "the first note has room");

/* ---- Notes ------------------------------------------------------------ */

/* Whether there are pages for one more note, wherever all of them will be;
 * gets more.  Each list may have a page that is nearly empty, and so may two
 * while notes move. */
static bool
calendar_has_room(struct nat_calendar *c)
{
    uint64_t want = c->n_notes / NOTES + 1 + N_SLOTS + N_TICKS + 2;
    struct nat_book *book;

    if (want <= c->n_pages)
        return true;
    book = hg_memory_reserve(BOOK_SIZE, BOOK_SMALL);
    if (!book)
        return false;
    c->n_pages += BOOK_PAGES;
    if (c->last)
        c->last->next = book;
    else
        c->first = c->book = book;
    c->last = book;
    return true;
}

static struct nat_page *
calendar_page(struct nat_calendar *c)
{
    struct nat_page *page = c->free;

    if (page) {
        c->free = page->next;
        return page;
    }
    if (c->book->n_begun == BOOK_PAGES)
        c->book = c->book->next;
    return &c->book->page[c->book->n_begun++];
}

/* Notes a flow for its deadline; there is room. */
static void
calendar_note(struct nat_calendar *c, struct nat_state *s)
{
    const uint64_t deadline_ns = hg_flow_deadline_of(s);
    uint64_t tick = deadline_ns >> TICK_SHIFT, now = c->tick >> TICK_BITS;
    struct nat_page **list, *page;

    if (tick < c->tick)
        tick = c->tick;
    if (tick >> TICK_BITS >= now + N_SLOTS)
        tick = (now + N_SLOTS - 1) << TICK_BITS;
    s->slot = tick >> TICK_BITS & (N_SLOTS - 1);
    list = tick >> TICK_BITS == now ? &c->ticks[tick & (N_TICKS - 1)]
                                    : &c->slots[s->slot];
    page = *list;
    if (!page || page->n == NOTES) {
        page = calendar_page(c);
        page->next = *list;
        page->n = 0;
        *list = page;
    }
    page->note[page->n++] = s;
    c->n_notes++;
    if (deadline_ns < c->due_ns)
        c->due_ns = deadline_ns;
}

/* A flow's deadline was brought forward: maybe it has to be met sooner.
 * Without memory it is met when it is met. */
static void
calendar_forward(struct nat_calendar *c, struct nat_state *s)
{
    uint64_t now = c->tick >> TICK_BITS;
    uint64_t slot = hg_flow_deadline_of(s) >> (TICK_SHIFT + TICK_BITS);

    if (slot > now && slot - now >= ((s->slot - now) & (N_SLOTS - 1)))
        return;
    if (calendar_has_room(c))
        calendar_note(c, s);
}

/* ---- Time ------------------------------------------------------------- */

static void run_out(struct hyperplane_nat *, struct nat_state *);

/* Takes up all notes in a list of this slot: of flows whose deadline has
 * passed, and of others, which are noted anew. */
static void
calendar_take_up(struct hyperplane_nat *self, struct nat_page **list,
                 uint64_t slot, uint64_t now_ns)
{
    struct nat_calendar *c = &self->calendar;
    struct nat_page *page = *list, *next;
    uint32_t i;

    *list = NULL;
    for (; page; page = next) {
        for (i = 0; i < page->n; i++) {
            struct nat_state *s = page->note[i];

            if (i + NOTES_AHEAD < page->n)
                __builtin_prefetch(page->note[i + NOTES_AHEAD], 1);
            c->n_notes--;
            if (!s->dest || s->slot != (slot & (N_SLOTS - 1)))
                continue;
            if (hg_flow_deadline_of(s) <= now_ns)
                run_out(self, s);
            else
                calendar_note(c, s);
        }
        next = page->next;
        page->next = c->free;
        c->free = page;
    }
}

/* Ends all flows that ran out by 'now_ns'.  Costs time in proportion to those
 * and to those put off since they were last met here, so each flow is met
 * about once in a timeout, and once more in its last slot. */
static void
calendar_turn(struct hyperplane_nat *self, uint64_t now_ns)
{
    struct nat_calendar *c = &self->calendar;
    uint64_t tick = c->tick, slot = tick >> TICK_BITS;
    uint64_t now = now_ns >> TICK_SHIFT, last = now >> TICK_BITS;

    if (now_ns < c->due_ns)
        return;
    c->due_ns = (now + 1) << TICK_SHIFT;
    if (slot == last)
        c->tick = now; /* Else ticks are those of 'slot' until they are met. */
    for (; tick < now && tick >> TICK_BITS == slot; tick++)
        calendar_take_up(self, &c->ticks[tick & (N_TICKS - 1)], slot, now_ns);
    c->tick = now;
    if (last > slot + N_SLOTS)
        slot = last - N_SLOTS;
    for (slot++; slot <= last; slot++)
        calendar_take_up(self, &c->slots[slot & (N_SLOTS - 1)], slot, now_ns);
    calendar_take_up(self, &c->ticks[now & (N_TICKS - 1)], last, now_ns);
}

static void
calendar_uninit(struct nat_calendar *c)
{
    struct nat_book *book, *next;

    for (book = c->first; book; book = next) {
        next = book->next;
        hg_memory_release(book, BOOK_SIZE, BOOK_SMALL);
    }
}

#endif

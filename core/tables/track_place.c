/* track_place.c: where entries are put, and who makes way (headgate/track.h).
 *
 * An entry's home is known from where it is and how far that is away, so all
 * this works in a table that is being stretched, too. */
#include "track_internal.h"

static struct hg_track_entry *
stranger_in(struct track_bucket *b)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++)
        if (track_distance(&b->e[i]))
            return &b->e[i];
    return NULL;
}

static uint64_t
home_of(const struct hg_track_table *t, const struct hg_track_entry *e)
{
    return track_away(track_bucket_of(t, e), track_distance(e));
}

/* Moves an entry, or ends it: were one moved after its end, the hand could
 * miss it. */
static void
move(struct hg_track_table *t, struct hg_track_entry *to, uint64_t home,
     unsigned distance, struct hg_track_entry *from)
{
    struct hg_track_entry e = *from;

    if (!track_lives(t, from)) {
        track_end(t, from, false);
        return;
    }
    track_take(t, from);
    track_put(t, to, home, distance, e);
}

/* The free entry nearest behind 'home', from *distance on. */
static struct hg_track_entry *
free_from(struct hg_track_table *t, uint64_t home, unsigned *distance)
{
    struct hg_track_entry *e = NULL;

    for (; *distance <= REACH_MAX; ++*distance) {
        e = track_free_in(&t->buckets[track_away(home, *distance)]);
        if (e)
            break;
    }
    return e;
}

/* Moves away an entry in this bucket that can be elsewhere. */
static struct hg_track_entry *
make_free(struct hg_track_table *t, uint64_t b)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++) {
        struct hg_track_entry *e = &t->buckets[b].e[i], *to;
        uint64_t home = home_of(t, e);
        unsigned distance = 0;

        to = free_from(t, home, &distance);
        if (to) {
            move(t, to, home, distance, e);
            return e;
        }
    }
    return NULL;
}

/* A place for what is not at home: free, or made free. */
static struct hg_track_entry *
place_away(struct hg_track_table *t, uint64_t home, unsigned *distance)
{
    struct hg_track_entry *e;

    *distance = 1;
    e = free_from(t, home, distance);
    if (e)
        return e;
    for (*distance = 1; *distance <= REACH_MAX; ++*distance) {
        e = make_free(t, track_away(home, *distance));
        if (e)
            return e;
    }
    return NULL;
}

/* Sends the stranger on that is where somebody comes home. */
static bool
send_on(struct hg_track_table *t, struct hg_track_entry *stranger)
{
    uint64_t home = home_of(t, stranger);
    unsigned distance = 0;
    struct hg_track_entry *to = track_free_in(&t->buckets[home]);

    if (!to)
        to = place_away(t, home, &distance);
    if (!to)
        return false;
    if (track_state_of(stranger)) /* It may have made way meanwhile. */
        move(t, to, home, distance, stranger);
    return true;
}

struct hg_track_entry *
track_place(struct hg_track_table *t, uint64_t home, struct hg_track_entry e)
{
    struct track_bucket *b = &t->buckets[home];
    struct hg_track_entry *to = track_free_in(b);
    unsigned distance = 0;

    if (!to) {
        to = stranger_in(b);
        if (to && !send_on(t, to))
            to = NULL;
    }
    if (!to)
        to = place_away(t, home, &distance);
    if (to)
        track_put(t, to, home, distance, e);
    return to;
}

void
track_tidy(struct hg_track_table *t, uint64_t home)
{
    struct track_bucket *b = &t->buckets[home];
    unsigned reach = track_reach(b), farthest = 0, d, i;

    for (d = 1; d <= reach; d++) {
        struct track_bucket *at = &t->buckets[track_away(home, d)];

        for (i = 0; i < SLOTS; i++) {
            struct hg_track_entry *to;

            if (track_distance(&at->e[i]) != d)
                continue;
            to = track_free_in(b);
            if (to)
                move(t, to, home, 0, &at->e[i]);
            else
                farthest = d;
        }
    }
    if (farthest != reach)
        track_set_reach(b, farthest);
}

/* pace.h: how fast this machine is just now, beside the one of the targets.
 *
 * A target in nanoseconds is of one machine on a quiet day.  Another one, or a
 * virtual machine whose host has more to do, takes twice as long for anything.
 * So small programs that do nothing else, whose times on the targets' machine
 * are known, run in turn with what is measured.  A pace of 1.5: they take one
 * and a half times as long here and now, and so may what has a target.
 *
 * They use nothing of headgate, which cannot slow its own targets down. */
#ifndef PACE_H
#define PACE_H 1

#include <stddef.h>
#include <stdint.h>

enum pace_floor {
    PACE_PARSE,   /* Ethernet, IPv4, L4 with all length checks, checksum. */
    PACE_HASH,    /* Of a five-tuple. */
    PACE_REWRITE, /* Source and port, both checksums (RFC 1624). */
    PACE_LINE,    /* One line of a large table, 64 begun at a time. */
    PACE_FLOORS
};

struct pace {
    char *memory; /* As a table of 24 bytes an entry; NULL: it is small. */
    size_t bytes;
    double line_there; /* What a line of it takes on the targets' machine. */
    uint64_t random;
    unsigned n_looks;
    double ns[PACE_FLOORS][64]; /* Of the last looks. */
};

/* For what goes through a table of so many entries.  From half a million on
 * that waits for memory, too, of which as much is taken here and kept; without
 * memory the pace is one of work alone. */
void pace_init(struct pace *, uint64_t entries);
size_t pace_bytes(uint64_t entries);
void pace_uninit(struct pace *);

/* Runs all of them once, which takes a millisecond or two. */
void pace_look(struct pace *);

/* Forgets the looks so far: what comes now is another thing. */
void pace_forget(struct pace *);

/* The pace: by work on packets in the first-level cache, and where there is a
 * large table the geometric mean of that and by its lines, each as the median
 * of the looks.  0 if there was none. */
double pace_value(const struct pace *);

#endif

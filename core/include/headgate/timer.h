/* headgate/timer.h: timers driven by the packets' clock.
 *
 * A hierarchical wheel (Varghese and Lauck, SOSP 1987) with exact deadlines:
 * timers fire in the order of (deadline, order, time of setting), which does
 * not depend on how packets were batched.
 *
 * A struct hg_timer is embedded in what it belongs to and zeroed before its
 * first use.
 *
 * Thread-safety: a wheel and its timers belong to one worker. */
#ifndef HEADGATE_TIMER_H
#define HEADGATE_TIMER_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_wheel;
struct hg_timer;

/* Called at 'now_ns', the deadline; may set the timer again. */
typedef void hg_timer_fn(void *owner, struct hg_timer *timer, uint64_t now_ns);

struct hg_timer {
    hg_timer_fn *fn;
    void *owner;
    uint64_t deadline_ns; /* HG_NEVER if not set. */
    uint64_t id;          /* Order of setting. */
    uint32_t order;       /* Among timers of one deadline: smaller first. */
    uint16_t slot;
    bool pending;
    struct hg_timer *next;
    struct hg_timer **link;
};

HG_API struct hg_wheel *hg_wheel_create(void);
HG_API void hg_wheel_destroy(struct hg_wheel *);

/* The wheel's time.  It starts at 0 and only grows. */
HG_API uint64_t hg_wheel_now(const struct hg_wheel *);

/* Sets (or moves) 't' to fire at 'deadline_ns', which is at least one
 * nanosecond after the wheel's now: an earlier one becomes that. */
HG_API void hg_wheel_set(struct hg_wheel *, struct hg_timer *t,
                         uint64_t deadline_ns);

/* Takes 't' out; does nothing if it is not set. */
HG_API void hg_wheel_cancel(struct hg_wheel *, struct hg_timer *t);

/* The earliest deadline, or HG_NEVER. */
HG_API uint64_t hg_wheel_next(struct hg_wheel *);

/* Moves now to 'now_ns' if no timer is due by then and returns NULL;
 * otherwise moves it to the earliest deadline, takes that one timer out and
 * returns it for the caller to fire.  Call until it returns NULL. */
HG_API struct hg_timer *hg_wheel_advance(struct hg_wheel *, uint64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif

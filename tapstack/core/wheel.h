/* A hierarchical timer wheel, exact to the microsecond.

   Eleven levels of 64 slots, the slot of level n being 64^n microseconds wide: all of a 64-bit
   time. A timer sits in the level of the highest group of six bits in which its time differs from
   the wheel's; as time passes it moves down, and fires from level 0 at exactly its microsecond.
   Arming and cancelling touch one slot; finding the next deadline looks at one bitmap a level.
   Timers of one microsecond fire in the order in which they were armed, so that runs repeat. */
#ifndef TAPSTACK_CORE_WHEEL_H
#define TAPSTACK_CORE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_LEVELS = 11, WHEEL_SLOTS = 64 };

struct wheel_timer {
    struct wheel_timer *next;     /* in the ring of its slot */
    struct wheel_timer *previous; /* NULL: not armed */
    uint64_t at_us;
};

struct wheel {
    uint64_t now_us;                 /* time up to which timers have been served */
    uint64_t occupied[WHEEL_LEVELS]; /* a bit a slot */
    struct wheel_timer *slot[WHEEL_LEVELS][WHEEL_SLOTS]; /* the last of a ring, or NULL */
};

void wheel_open(struct wheel *wheel, uint64_t now_us);

static inline bool wheel_is_armed(const struct wheel_timer *timer) { return timer->previous != 0; }

/* Arms or re-arms; a time that has passed fires at the next wheel_expire. timer: cleared to zero
   before its first use. */
void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t at_us);

/* Disarms; does nothing for a timer that is not armed. */
void wheel_cancel(struct wheel *wheel, struct wheel_timer *timer);

/* Takes out one timer whose time is at or before now, earliest first, or NULL when there is none
   (then the wheel has moved to now). The timer is disarmed. */
struct wheel_timer *wheel_expire(struct wheel *wheel, uint64_t now_us);

/* No timer fires before this time: exact within level 0, the begin of a slot above; UINT64_MAX when
   no timer is armed. Calling wheel_expire at that time makes progress. */
uint64_t wheel_deadline(const struct wheel *wheel);

#endif

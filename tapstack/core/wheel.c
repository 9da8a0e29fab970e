/* A hierarchical timer wheel, exact to the microsecond.

   What holds between calls, and makes everything else simple: a timer of level n has the wheel's
   time in all groups of six bits above n, and a greater number than it in group n itself (level 0:
   greater or equal). So the place of an armed timer follows from its time and the wheel's, the
   timers of a lower level are all earlier than those of a higher one, and the earliest slot is the
   lowest bit of the lowest level that is occupied. It holds because the wheel's time never moves
   into an occupied slot of a level above 0 without spreading its timers over the levels below. */
#include "wheel.h"

#include <stddef.h>

enum { GROUP_BITS = 6 };

void wheel_open(struct wheel *wheel, uint64_t now_us) { *wheel = (struct wheel){.now_us = now_us}; }

/* The level of a time that is not before the wheel's. */
static unsigned time_level(const struct wheel *wheel, uint64_t at_us)
{
    uint64_t difference = at_us ^ wheel->now_us;
    return difference ? (63 - (unsigned)__builtin_clzll(difference)) / GROUP_BITS : 0;
}

static unsigned time_slot(uint64_t at_us, unsigned level)
{
    return at_us >> level * GROUP_BITS & (WHEEL_SLOTS - 1);
}

/* Puts a timer behind the others of its slot. */
static void place_timer(struct wheel *wheel, struct wheel_timer *timer)
{
    unsigned level = time_level(wheel, timer->at_us);
    unsigned slot = time_slot(timer->at_us, level);
    struct wheel_timer *last = wheel->slot[level][slot];
    if (last) {
        timer->next = last->next;
        timer->previous = last;
        last->next->previous = timer;
        last->next = timer;
    } else {
        timer->next = timer->previous = timer;
        wheel->occupied[level] |= UINT64_C(1) << slot;
    }
    wheel->slot[level][slot] = timer;
}

void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t at_us)
{
    wheel_cancel(wheel, timer);
    timer->at_us = at_us > wheel->now_us ? at_us : wheel->now_us;
    place_timer(wheel, timer);
}

void wheel_cancel(struct wheel *wheel, struct wheel_timer *timer)
{
    if (!wheel_is_armed(timer))
        return;
    unsigned level = time_level(wheel, timer->at_us);
    unsigned slot = time_slot(timer->at_us, level);
    if (timer->next == timer) {
        wheel->slot[level][slot] = NULL;
        wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    } else {
        timer->next->previous = timer->previous;
        timer->previous->next = timer->next;
        if (wheel->slot[level][slot] == timer)
            wheel->slot[level][slot] = timer->previous;
    }
    timer->next = timer->previous = NULL;
}

/* The lowest level that holds a timer; WHEEL_LEVELS when none does. */
static unsigned first_level(const struct wheel *wheel)
{
    unsigned level = 0;
    while (level < WHEEL_LEVELS && wheel->occupied[level] == 0)
        level++;
    return level;
}

/* When the first occupied slot of a level begins. */
static uint64_t slot_begin(const struct wheel *wheel, unsigned level)
{
    uint64_t slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
    uint64_t above = wheel->now_us >> level * GROUP_BITS & ~(uint64_t)(WHEEL_SLOTS - 1);
    return (above | slot) << level * GROUP_BITS;
}

/* Spreads the timers of a slot that the wheel's time has just entered over the levels below. */
static void spread_slot(struct wheel *wheel, unsigned level, unsigned slot)
{
    struct wheel_timer *last = wheel->slot[level][slot];
    wheel->slot[level][slot] = NULL;
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    struct wheel_timer *timer = last->next;
    last->next = NULL;
    while (timer) {
        struct wheel_timer *next = timer->next;
        place_timer(wheel, timer);
        timer = next;
    }
}

struct wheel_timer *wheel_expire(struct wheel *wheel, uint64_t now_us)
{
    for (;;) {
        unsigned level = first_level(wheel);
        if (level == WHEEL_LEVELS || slot_begin(wheel, level) > now_us) {
            if (wheel->now_us < now_us)
                wheel->now_us = now_us;
            return NULL;
        }
        wheel->now_us = slot_begin(wheel, level);
        unsigned slot = time_slot(wheel->now_us, level);
        if (level == 0) {
            struct wheel_timer *timer = wheel->slot[0][slot]->next;
            wheel_cancel(wheel, timer);
            return timer;
        }
        spread_slot(wheel, level, slot);
    }
}

uint64_t wheel_deadline(const struct wheel *wheel)
{
    unsigned level = first_level(wheel);
    return level < WHEEL_LEVELS ? slot_begin(wheel, level) : UINT64_MAX;
}

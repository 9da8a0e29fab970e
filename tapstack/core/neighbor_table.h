/* The table of neighbors: found by hash, bounded, the least useful one going first.

   An entry that may go stands in one of four lines, by what it would be missed for. They are tried
   in this order, each from its oldest; gateways never go:

       failed       nobody answered
       strangers    learned because they asked for us; we have never sent to them
       unanswered   asked for at least twice, no answer yet
       idle         stale: we have sent to them, but not lately

   For one that asks us only the first two make room: what others send never costs us a neighbor
   that we use. One that is confirmed, in doubt, being probed, or set by hand is in no line.

   Frames that wait are bounded twice: by number for each neighbor and by memory for all. When the
   memory is full, the neighbor that has kept frames for the longest time loses its oldest one. */
#ifndef TAPSTACK_CORE_NEIGHBOR_TABLE_H
#define TAPSTACK_CORE_NEIGHBOR_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../wire/frame.h"
#include "packet.h"
#include "stack.h"
#include "wheel.h"

struct neighbor {
    struct neighbor *next;         /* in its hash chain */
    TAILQ_ENTRY(neighbor) place;   /* in its line, when it stands in one */
    TAILQ_ENTRY(neighbor) waiting; /* among those with frames in the queue */
    struct wheel_timer timer;
    struct packet_queue queue; /* frames waiting, Ethernet destination still open */
    uint64_t confirmed_at;     /* 0: never */
    uint64_t used_at;          /* last time we had something to send; 0: never */
    uint64_t changed_at;       /* when it came into its state */
    uint32_t v4;
    uint16_t interface;
    uint16_t trust_permille; /* of arp.reachable: how long it is trusted this time */
    struct mac_address mac;
    uint8_t state;    /* enum neighbor_state */
    uint8_t line;     /* enum neighbor_line */
    uint8_t requests; /* sent without an answer */
    bool contested;   /* another MAC has claimed the address */
};

enum neighbor_line {
    NEIGHBOR_LINE_FAILED,
    NEIGHBOR_LINE_STRANGERS,
    NEIGHBOR_LINE_UNANSWERED,
    NEIGHBOR_LINE_IDLE,
    NEIGHBOR_LINES, /* in no line */
};

enum { NEIGHBOR_BUCKETS = 1024 };

TAILQ_HEAD(neighbor_list, neighbor);

struct neighbor_table {
    struct neighbor *bucket[NEIGHBOR_BUCKETS];
    struct neighbor_list line[NEIGHBOR_LINES];
    struct neighbor_list waiting; /* with frames, the one that began to wait first in front */
    uint64_t queued_bytes;        /* memory of the frames that wait */
    uint32_t count;
    struct wheel wheel; /* timers of the entries; served by stack_output with neighbor_timer */
};

void neighbor_table_open(struct neighbor_table *table, uint64_t now_us);

/* Frees all entries and what they hold. */
void neighbor_table_close(struct stack *stack);

struct neighbor *neighbor_table_find(const struct stack *stack, unsigned interface, uint32_t v4);

/* Is there any entry that was asked for and has not answered? */
static inline bool neighbor_table_has_unanswered(const struct neighbor_table *table)
{
    return !TAILQ_EMPTY(&table->line[NEIGHBOR_LINE_FAILED]) ||
           !TAILQ_EMPTY(&table->line[NEIGHBOR_LINE_UNANSWERED]);
}

/* A new entry in state NEIGHBOR_NONE, for the caller to give another. wanted: we have something to
   send to it; else it only asked. Returns NULL when there is no room. */
struct neighbor *neighbor_table_create(struct stack *stack, unsigned interface, uint32_t v4,
                                       bool wanted, uint64_t now_us);

/* Forgets an entry; its frames are dropped and counted as reason. */
void neighbor_table_remove(struct stack *stack, struct neighbor *neighbor,
                           enum stack_counter reason, uint64_t now_us);

/* Changes the state: tells it as an event, stops the timer, finds the line. Nothing when it is the
   same. */
void neighbor_table_set_state(struct stack *stack, struct neighbor *neighbor,
                              enum neighbor_state state, uint64_t now_us);

/* Does a route lead through it? */
bool neighbor_table_is_gateway(const struct stack *stack, const struct neighbor *neighbor);

/* Keeps a copy of a frame. Returns 0, or -1 when it was dropped. */
int neighbor_table_push(struct stack *stack, struct neighbor *neighbor, const struct frame *frame,
                        uint64_t now_us);

/* The oldest frame that waits, the caller's now; NULL: none. */
struct packet *neighbor_table_pop(struct stack *stack, struct neighbor *neighbor);

/* Drops what waits and counts it as reason. */
void neighbor_table_drop_queue(struct stack *stack, struct neighbor *neighbor,
                               enum stack_counter reason, uint64_t now_us);

#endif

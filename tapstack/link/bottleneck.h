/* A sender of limited rate with the queue before it: tail drop, RED or CoDel; stalls.

   Frames are put in as they arrive and taken out as their sending begins; each comes out with the
   time at which its last bit has left. Time is counted in microseconds and fractions of them whose
   denominator is the rate itself, so that no rounding adds up: a million frames later the clock is
   still exact. */
#ifndef TAPSTACK_LINK_BOTTLENECK_H
#define TAPSTACK_LINK_BOTTLENECK_H

#include <stdbool.h>
#include <stdint.h>

#include "frame_store.h"
#include "impairment.h"

/* Zero is a bottleneck that has never seen a frame. */
struct bottleneck {
    struct cable_frame *head, *tail; /* that wait; at_us of each is when it came */
    uint64_t frames, bytes;          /* that wait */
    /* When the sender has sent what it took: free_at_us and fraction / clock_rate microseconds. */
    uint64_t free_at_us;
    uint64_t fraction;
    uint64_t clock_rate;
    /* RED (Floyd and Jacobson, 1993). */
    int64_t red_average; /* of the queue, in 1 / 65536 frames or bytes */
    uint64_t red_count;  /* frames since the last one that was dropped or marked */
    /* CoDel, named as in RFC 8289, 5. */
    uint64_t first_above_us;
    uint64_t drop_next_us;
    uint32_t drop_count, last_count;
    bool dropping;
    uint64_t largest_bytes;
};

enum bottleneck_verdict {
    BOTTLENECK_TAKEN,
    BOTTLENECK_FULL,  /* the queue's limit */
    BOTTLENECK_EARLY, /* RED or CoDel would have it lost or marked */
};

/* Puts a frame that arrives at frame->at_us behind the others. It is taken unless the verdict is
   BOTTLENECK_FULL or BOTTLENECK_EARLY; BOTTLENECK_EARLY wants a mark instead where the frame can
   carry one: then bottleneck_append takes it. lot: for RED. */
enum bottleneck_verdict bottleneck_put(struct bottleneck *bottleneck,
                                       const struct impairment *impairment,
                                       struct cable_frame *frame, uint64_t lot);
void bottleneck_append(struct bottleneck *bottleneck, struct cable_frame *frame);

/* When the sending of the next frame begins, at the latest whole microsecond before; UINT64_MAX
   when none waits. origin_us: from where the periods of stalls are counted. */
uint64_t bottleneck_start(const struct bottleneck *bottleneck, const struct impairment *impairment,
                          uint64_t origin_us);

/* When the next frame that waits will have been sent, or UINT64_MAX. */
uint64_t bottleneck_finish(const struct bottleneck *bottleneck, const struct impairment *impairment,
                           uint64_t origin_us);

/* Takes the first frame from the queue at its start. BOTTLENECK_EARLY: CoDel wants it dropped, or
   marked and sent. */
struct cable_frame *bottleneck_take(struct bottleneck *bottleneck,
                                    const struct impairment *impairment, uint64_t start_us,
                                    enum bottleneck_verdict *verdict);

/* Sends a frame that was taken: sets frame->at_us to when it has left. */
void bottleneck_send(struct bottleneck *bottleneck, const struct impairment *impairment,
                     uint64_t start_us, uint64_t origin_us, struct cable_frame *frame);

#endif

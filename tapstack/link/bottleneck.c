/* A sender of limited rate with the queue before it. */
#include "bottleneck.h"

#include <string.h>

#include "lot.h"

enum {
    SECOND_US = 1000000,
    RED_WEIGHT_BITS = 9, /* the average moves by 1/512 of the difference, about Floyd's 0.002 */
    RED_ONE_BITS = 16,
    IDLE_FRAMES_MAX = 1 << 14, /* after so many the average is nothing */
    CODEL_MEMORY_INTERVALS = 16,
};

/* ---- RED ---- */

static uint64_t queue_in(const struct bottleneck *bottleneck, bool in_bytes)
{
    return in_bytes ? bottleneck->bytes : bottleneck->frames;
}

/* Microseconds times rate that a frame takes to send, overhead and cells included. */
static uint64_t sending_time(const struct impairment_rate *rate, uint32_t size)
{
    int64_t bytes = (int64_t)size + rate->overhead_bytes;
    if (bytes < 1)
        bytes = 1;
    if (rate->cell_bytes > 0) {
        int64_t cells = (bytes + rate->cell_bytes - 1) / rate->cell_bytes;
        bytes = cells * ((int64_t)rate->cell_bytes + rate->cell_overhead_bytes);
        if (bytes < 1)
            bytes = 1;
    }
    return (uint64_t)bytes * 8 * SECOND_US;
}

/* An idle sender could have sent so many frames like this one meanwhile, each of which would have
   found the queue empty. */
static void red_rest(struct bottleneck *bottleneck, const struct impairment_rate *rate,
                     const struct cable_frame *frame)
{
    if (bottleneck->frames > 0 || frame->at_us <= bottleneck->free_at_us)
        return;
    uint64_t frame_us = sending_time(rate, frame->size) / rate->bits_per_second;
    uint64_t frames = (frame->at_us - bottleneck->free_at_us) / (frame_us > 0 ? frame_us : 1);
    if (frames > IDLE_FRAMES_MAX)
        frames = IDLE_FRAMES_MAX;
    for (; frames > 0 && bottleneck->red_average > 0; frames--)
        bottleneck->red_average -= (bottleneck->red_average >> RED_WEIGHT_BITS) + 1;
    if (bottleneck->red_average < 0)
        bottleneck->red_average = 0;
}

/* Is this frame one to be dropped early? The chance grows with the average queue, and with the
   frames since the last that was chosen, so that the chosen ones are spread evenly. */
static bool red_chooses(struct bottleneck *bottleneck, const struct impairment_rate *rate,
                        uint64_t lot)
{
    int64_t least = (int64_t)rate->red_min.count << RED_ONE_BITS;
    int64_t most = (int64_t)rate->red_max.count << RED_ONE_BITS;
    int64_t above = bottleneck->red_average - least;
    if (above < 0) {
        bottleneck->red_count = 0;
        return false;
    }
    uint64_t ppm = (uint64_t)((__int128)rate->red_ppm * above / (most - least));
    uint64_t spread = bottleneck->red_count * ppm;
    bool chosen = spread >= LOT_MILLION || lot_below(lot, LOT_MILLION - spread) < ppm;
    bottleneck->red_count = chosen ? 0 : bottleneck->red_count + 1;
    return chosen;
}

static enum bottleneck_verdict red_judge(struct bottleneck *bottleneck,
                                         const struct impairment_rate *rate,
                                         const struct cable_frame *frame, uint64_t lot)
{
    int64_t queue = (int64_t)queue_in(bottleneck, rate->red_min.in_bytes) << RED_ONE_BITS;
    red_rest(bottleneck, rate, frame);
    bottleneck->red_average += (queue - bottleneck->red_average) >> RED_WEIGHT_BITS;
    if (bottleneck->red_average >= (int64_t)rate->red_max.count << RED_ONE_BITS) {
        bottleneck->red_count = 0;
        return BOTTLENECK_FULL;
    }
    return red_chooses(bottleneck, rate, lot) ? BOTTLENECK_EARLY : BOTTLENECK_TAKEN;
}

/* ---- CoDel ---- */

static uint64_t square_root(uint64_t n)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1)
        if ((root | bit) * (root | bit) <= n)
            root |= bit;
    return root;
}

/* RFC 8289, 5.6: the next drop comes interval / sqrt(count) later. */
static uint64_t codel_next(uint64_t at_us, uint64_t interval_us, uint32_t count)
{
    return at_us + (interval_us << 16) / square_root((uint64_t)count << 32);
}

/* Has the queue been standing for an interval? bytes: that wait behind this frame. */
static bool codel_may_drop(struct bottleneck *bottleneck, const struct impairment_rate *rate,
                           uint64_t waited_us, uint64_t now_us)
{
    if (waited_us < rate->codel_target_us || bottleneck->bytes <= bottleneck->largest_bytes) {
        bottleneck->first_above_us = 0;
        return false;
    }
    if (bottleneck->first_above_us == 0) {
        bottleneck->first_above_us = now_us + rate->codel_interval_us;
        return false;
    }
    return now_us >= bottleneck->first_above_us;
}

static void codel_begin(struct bottleneck *bottleneck, const struct impairment_rate *rate,
                        uint64_t now_us)
{
    uint32_t more = bottleneck->drop_count - bottleneck->last_count;
    bool recent =
        now_us < bottleneck->drop_next_us + CODEL_MEMORY_INTERVALS * rate->codel_interval_us;
    bottleneck->dropping = true;
    bottleneck->drop_count = more > 1 && recent ? more : 1;
    bottleneck->last_count = bottleneck->drop_count;
    bottleneck->drop_next_us = codel_next(now_us, rate->codel_interval_us, bottleneck->drop_count);
}

/* RFC 8289, 5.5, a frame a call. */
static bool codel_chooses(struct bottleneck *bottleneck, const struct impairment_rate *rate,
                          const struct cable_frame *frame, uint64_t now_us)
{
    bool may_drop = codel_may_drop(bottleneck, rate, now_us - frame->at_us, now_us);
    if (!may_drop) {
        bottleneck->dropping = false;
        return false;
    }
    if (!bottleneck->dropping) {
        codel_begin(bottleneck, rate, now_us);
        return true;
    }
    if (now_us < bottleneck->drop_next_us)
        return false;
    bottleneck->drop_count++;
    bottleneck->drop_next_us =
        codel_next(bottleneck->drop_next_us, rate->codel_interval_us, bottleneck->drop_count);
    return true;
}

/* ---- The queue ---- */

static bool is_full(const struct bottleneck *bottleneck, const struct impairment *impairment,
                    uint32_t size)
{
    const struct impairment_amount *limit = &impairment->limit;
    if (limit->in_bytes)
        return bottleneck->bytes + size > limit->count;
    return bottleneck->frames >= (limit->count ? limit->count : IMPAIRMENT_LIMIT_FRAMES);
}

void bottleneck_append(struct bottleneck *bottleneck, struct cable_frame *frame)
{
    frame->next = NULL;
    if (bottleneck->head)
        bottleneck->tail->next = frame;
    else
        bottleneck->head = frame;
    bottleneck->tail = frame;
    bottleneck->frames++;
    bottleneck->bytes += frame->size;
    if (frame->size > bottleneck->largest_bytes)
        bottleneck->largest_bytes = frame->size;
}

enum bottleneck_verdict bottleneck_put(struct bottleneck *bottleneck,
                                       const struct impairment *impairment,
                                       struct cable_frame *frame, uint64_t lot)
{
    enum bottleneck_verdict verdict = BOTTLENECK_TAKEN;
    if (impairment->rate.discipline == IMPAIRMENT_RED)
        verdict = red_judge(bottleneck, &impairment->rate, frame, lot);
    if (is_full(bottleneck, impairment, frame->size))
        verdict = BOTTLENECK_FULL;
    if (verdict == BOTTLENECK_TAKEN)
        bottleneck_append(bottleneck, frame);
    return verdict;
}

/* ---- The sender ---- */

/* How long a stall still lasts: it is the last stall_us of each period. 0: there is none. */
static uint64_t stall_left(const struct impairment_rate *rate, uint64_t at_us, uint64_t origin_us)
{
    if (rate->stall_us == 0 || at_us < origin_us)
        return 0;
    uint64_t left_us = rate->stall_every_us - (at_us - origin_us) % rate->stall_every_us;
    return left_us <= rate->stall_us ? left_us : 0;
}

/* A frame is sent at the rate at which it begins. */
static uint64_t rate_at(const struct impairment_rate *rate, uint64_t at_us, uint64_t origin_us)
{
    bool slow = rate->stall_bits_per_second > 0 && stall_left(rate, at_us, origin_us) > 0;
    return slow ? rate->stall_bits_per_second : rate->bits_per_second;
}

uint64_t bottleneck_start(const struct bottleneck *bottleneck, const struct impairment *impairment,
                          uint64_t origin_us)
{
    if (!bottleneck->head)
        return UINT64_MAX;
    uint64_t came_us = bottleneck->head->at_us;
    uint64_t free_us = bottleneck->free_at_us;
    uint64_t start_us = came_us > free_us ? came_us : free_us;
    if (impairment->rate.stall_bits_per_second == 0)
        start_us += stall_left(&impairment->rate, start_us, origin_us);
    return start_us;
}

static void clock_send(struct bottleneck *bottleneck, const struct impairment_rate *rate,
                       uint64_t start_us, uint64_t origin_us, uint32_t size)
{
    uint64_t bits_per_second = rate_at(rate, start_us, origin_us);
    if (bottleneck->free_at_us < start_us || bottleneck->clock_rate != bits_per_second) {
        bottleneck->free_at_us =
            start_us > bottleneck->free_at_us ? start_us : bottleneck->free_at_us;
        bottleneck->fraction = 0;
        bottleneck->clock_rate = bits_per_second;
    }
    uint64_t time = sending_time(rate, size) + bottleneck->fraction;
    bottleneck->free_at_us += time / bits_per_second;
    bottleneck->fraction = time % bits_per_second;
}

uint64_t bottleneck_finish(const struct bottleneck *bottleneck, const struct impairment *impairment,
                           uint64_t origin_us)
{
    struct bottleneck clock = *bottleneck;
    if (!bottleneck->head)
        return UINT64_MAX;
    uint64_t start_us = bottleneck_start(bottleneck, impairment, origin_us);
    clock_send(&clock, &impairment->rate, start_us, origin_us, bottleneck->head->size);
    return clock.free_at_us + (clock.fraction > 0);
}

struct cable_frame *bottleneck_take(struct bottleneck *bottleneck,
                                    const struct impairment *impairment, uint64_t start_us,
                                    enum bottleneck_verdict *verdict)
{
    struct cable_frame *frame = bottleneck->head;
    bottleneck->head = frame->next;
    bottleneck->frames--;
    bottleneck->bytes -= frame->size;
    bool chosen = impairment->rate.discipline == IMPAIRMENT_CODEL &&
                  codel_chooses(bottleneck, &impairment->rate, frame, start_us);
    *verdict = chosen ? BOTTLENECK_EARLY : BOTTLENECK_TAKEN;
    return frame;
}

void bottleneck_send(struct bottleneck *bottleneck, const struct impairment *impairment,
                     uint64_t start_us, uint64_t origin_us, struct cable_frame *frame)
{
    clock_send(bottleneck, &impairment->rate, start_us, origin_us, frame->size);
    frame->at_us = bottleneck->free_at_us + (bottleneck->fraction > 0);
}

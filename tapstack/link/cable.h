/* A cable, one direction of it: loses, delays, reorders, duplicates and damages frames, repeatably.

   Frames go in with cable_send and come out of cable_receive when their time has come;
   cable_deadline says when that is. The same seed and the same frames give the same accidents.
   Words and meanings are those of tc-netem(8). Pure: memory comes from the caller's allocator. */
#ifndef TAPSTACK_LINK_CABLE_H
#define TAPSTACK_LINK_CABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/memory.h"

/* Probabilities are in millionths: 10000 is one percent. */
struct cable_settings {
    uint32_t loss_ppm;      /* frame disappears */
    uint32_t duplicate_ppm; /* frame comes twice */
    uint32_t corrupt_ppm;   /* one random bit of the frame flips */
    uint32_t reorder_ppm;   /* frame skips the delay (or, without delay, is held back reorder_us) */
    uint64_t delay_us;
    uint64_t jitter_us;    /* delay varies by up to this much either way, uniformly */
    uint64_t reorder_us;   /* how long a reordered frame is held where delay_us is 0; 0: 500 */
    uint32_t rate_kbps;    /* thousand bits a second; 0: without limit */
    uint32_t queue_frames; /* frames under way at most, others are lost; 0: 1000 */
    bool fcs;              /* append the FCS on the way in, before any damage */
};

#define CABLE_COUNTERS(CABLE_COUNTER)                                                              \
    CABLE_COUNTER(frames_in, "frames_in", "frames put in")                                         \
    CABLE_COUNTER(frames_out, "frames_out", "frames that came out")                                \
    CABLE_COUNTER(lost, "lost", "frames lost at random")                                           \
    CABLE_COUNTER(overrun, "overrun", "frames lost because the queue was full")                    \
    CABLE_COUNTER(duplicated, "duplicated", "frames that came twice")                              \
    CABLE_COUNTER(corrupted, "corrupted", "frames with a flipped bit")                             \
    CABLE_COUNTER(reordered, "reordered", "frames sent out of turn")

struct cable_counters {
#define CABLE_COUNTER_FIELD(field, name, what) uint64_t field;
    CABLE_COUNTERS(CABLE_COUNTER_FIELD)
#undef CABLE_COUNTER_FIELD
};

struct cable;

/* A new cable, or NULL without memory. settings are copied. */
struct cable *cable_create(const struct cable_settings *settings, uint64_t seed,
                           const struct memory *memory);
void cable_destroy(struct cable *cable);

/* Changes the accidents from now on; frames under way keep their time. */
void cable_configure(struct cable *cable, const struct cable_settings *settings);

/* Puts a wire frame of at least one byte in (copied). Returns 0, or -1 when it was lost, for any
   reason. */
int cable_send(struct cable *cable, const uint8_t *bytes, size_t size, uint64_t now_us);

/* Takes out the next frame whose time has come. bytes: room for capacity bytes. Returns its
   size, or 0 when none is due. */
size_t cable_receive(struct cable *cable, uint8_t *bytes, size_t capacity, uint64_t now_us);

/* When the next frame comes out, or UINT64_MAX. */
uint64_t cable_deadline(const struct cable *cable);

const struct cable_counters *cable_counters(const struct cable *cable);

#endif

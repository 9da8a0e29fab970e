/* One rule of a cable with what it remembers: is it for this frame, and what does chance say? */
#ifndef TAPSTACK_LINK_RULE_H
#define TAPSTACK_LINK_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "bottleneck.h"
#include "cable.h"
#include "frame_store.h"

/* What an event with a correlation was last time. */
enum rule_last { RULE_LAST_UNKNOWN, RULE_LAST_NO, RULE_LAST_YES };

struct cable_rule {
    struct cable_rule *next; /* of a higher place */
    struct impairment impairment;
    struct cable_rule_counters counters;
    struct match_memory match;
    uint32_t place; /* in the cable's order: the settings' first, then by id */
    bool linked;    /* in the cable's list */
    bool ended;     /* meets no more frames; goes when it holds none */
    uint64_t key;   /* of its lots */
    uint64_t from_us, until_us;
    uint64_t left; /* frames until it ends; UINT64_MAX: does not count */
    enum rule_last lost, duplicated, corrupted, reordered;
    unsigned loss_state;  /* of the models of bursts */
    uint64_t good_bits;   /* until the next bit error */
    uint64_t errors;      /* bit errors drawn so far */
    int64_t deviation_us; /* of the last frame's delay */
    bool knows_deviation;
    uint64_t in_turn; /* frames since the last reordered one */
    uint64_t held_frames, held_bytes;
    struct bottleneck bottleneck;
};

/* Makes rule one that has met no frame. seed: the cable's. */
void rule_start(struct cable_rule *rule, const struct impairment *impairment, uint32_t place,
                uint64_t seed, uint64_t now_us);

/* Is the rule for this frame now? Counts it if so. */
bool rule_applies(struct cable_rule *rule, const struct cable_frame *frame);

/* The rule has done something to a frame: one that lasts for so many has one less. */
void rule_acted(struct cable_rule *rule);

/* Chance's answers for a frame; each may be asked once a frame. */
bool rule_loses(struct cable_rule *rule, const struct cable_frame *frame);
bool rule_duplicates(struct cable_rule *rule, const struct cable_frame *frame);
/* Flips bits of the frame. Returns whether it did. */
bool rule_damages(struct cable_rule *rule, struct cable_frame *frame);
/* How long the frame is held; *reordered: it is sent out of turn. */
uint64_t rule_lateness(struct cable_rule *rule, const struct cable_frame *frame, bool *reordered);
/* For the bottleneck's RED. */
uint64_t rule_queue_lot(const struct cable_rule *rule, const struct cable_frame *frame);

/* May the rule hold one more frame of size bytes back? */
bool rule_can_hold(const struct cable_rule *rule, uint32_t size);

#endif

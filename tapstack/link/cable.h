/* A cable, one direction of it: loses, delays, reorders, duplicates and damages frames, repeatably.

   Frames go in with cable_send and come out of cable_receive when their time has come;
   cable_deadline says when that is. What happens to them between is said by the cable's settings,
   and by rules that can come and go (link/impairment.h). The same seed, the same frames at the same
   times: the same accidents. Pure: memory comes from the caller's allocator, and a cable holds no
   more frames than its limits say. */
#ifndef TAPSTACK_LINK_CABLE_H
#define TAPSTACK_LINK_CABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/memory.h"
#include "impairment.h"

/* The plain accidents, which happen before those of any rule. Probabilities are in millionths:
   10000 is one percent. */
struct cable_settings {
    uint32_t loss_ppm;      /* frame disappears */
    uint32_t duplicate_ppm; /* frame comes twice */
    uint32_t corrupt_ppm;   /* one random bit of the frame flips */
    uint32_t reorder_ppm;   /* frame skips the delay (or, without delay, is held back reorder_us) */
    uint64_t delay_us;
    uint64_t jitter_us;    /* delay varies by up to this much either way, uniformly */
    uint64_t reorder_us;   /* how long a reordered frame is held where delay_us is 0; 0: 500 */
    uint32_t rate_kbps;    /* thousand bits a second; 0: without limit */
    uint32_t queue_frames; /* that wait for the rate, and that are under way, at most; 0: 1000 */
    uint32_t mtu_bytes;    /* frames with more behind the Ethernet header vanish; 0: all pass */
    bool fcs;              /* append the FCS on the way in, before any damage */
};

#define CABLE_COUNTERS(CABLE_COUNTER)                                                              \
    CABLE_COUNTER(frames_in, "frames_in", "frames put in")                                         \
    CABLE_COUNTER(frames_out, "frames_out", "frames that came out")                                \
    CABLE_COUNTER(lost, "lost", "frames lost by chance or by a rule")                              \
    CABLE_COUNTER(blackholed, "blackholed", "frames lost in a black hole")                         \
    CABLE_COUNTER(oversize, "oversize", "frames lost because they exceed the MTU")                 \
    CABLE_COUNTER(overrun, "overrun", "frames lost because the queue was full")                    \
    CABLE_COUNTER(early, "early", "frames lost by RED or CoDel")                                   \
    CABLE_COUNTER(marked, "marked", "frames marked (ECN) instead of lost")                         \
    CABLE_COUNTER(duplicated, "duplicated", "frames that came twice")                              \
    CABLE_COUNTER(corrupted, "corrupted", "frames with flipped bits")                              \
    CABLE_COUNTER(reordered, "reordered", "frames sent out of turn")

struct cable_counters {
#define CABLE_COUNTER_FIELD(field, name, what) uint64_t field;
    CABLE_COUNTERS(CABLE_COUNTER_FIELD)
#undef CABLE_COUNTER_FIELD
};

/* What one rule has done. */
#define CABLE_RULE_COUNTERS(RULE_COUNTER)                                                          \
    RULE_COUNTER(matched, "matched", "frames that the rule was for")                               \
    RULE_COUNTER(lost, "lost", "of these lost, by chance or by choice")                            \
    RULE_COUNTER(overrun, "overrun", "lost because its queue was full")                            \
    RULE_COUNTER(marked, "marked", "marked (ECN) instead of lost")                                 \
    RULE_COUNTER(duplicated, "duplicated", "sent twice")                                           \
    RULE_COUNTER(corrupted, "corrupted", "damaged")                                                \
    RULE_COUNTER(delayed, "delayed", "delayed, or queued for the rate")                            \
    RULE_COUNTER(reordered, "reordered", "sent out of turn")

struct cable_rule_counters {
#define RULE_COUNTER_FIELD(field, name, what) uint64_t field;
    CABLE_RULE_COUNTERS(RULE_COUNTER_FIELD)
#undef RULE_COUNTER_FIELD
};

struct cable;

/* A new cable, or NULL without memory. settings are copied. */
struct cable *cable_create(const struct cable_settings *settings, uint64_t seed,
                           const struct memory *memory);
void cable_destroy(struct cable *cable);

/* Changes the settings from now on; frames under way keep their time. Rules stay. */
void cable_configure(struct cable *cable, const struct cable_settings *settings);

/* Puts a wire frame of at least one byte in (copied). Returns 0, or -1 when it was lost at once,
   for any reason (an active queue may still drop it later). */
int cable_send(struct cable *cable, const uint8_t *bytes, size_t size, uint64_t now_us);

/* Takes out the next frame whose time has come. bytes: room for capacity bytes. Returns its
   size, or 0 when none is due. */
size_t cable_receive(struct cable *cable, uint8_t *bytes, size_t capacity, uint64_t now_us);

/* When to call cable_receive again: the next frame comes out then at the earliest, or a rule's time
   ends. UINT64_MAX: never. */
uint64_t cable_deadline(const struct cable *cable);

const struct cable_counters *cable_counters(const struct cable *cable);

/* ---- Rules ----

   A frame meets the rules in the order of their ids, after the settings' accidents. What chance does
   to it at one rule does not depend on which other rules there are. */

enum { CABLE_RULES_MAX = 64 };

/* Is there room for another rule? CABLE_RULES_MAX may be there, and as many that have ended but hold
   frames yet, so that rules which come and go hold no more frames than those that stay. */
bool cable_has_place(const struct cable *cable);

/* Adds a rule; impairment is copied. id: from 1, one that is not there. Returns 0, or -1: without
   memory, or without a place. */
int cable_add_rule(struct cable *cable, uint32_t id, const struct impairment *impairment,
                   uint64_t now_us);

/* Ends a rule; frames that it holds keep their time. Returns 0, or -1 when there is none. */
int cable_remove_rule(struct cable *cable, uint32_t id);

/* Rules that have not ended. */
unsigned cable_rule_count(const struct cable *cable);

struct cable_rule_info {
    uint32_t id;
    const struct impairment *impairment; /* both the cable's */
    const struct cable_rule_counters *counters;
    uint64_t starts_in_us;                  /* 0: it has begun */
    uint64_t ends_in_us;                    /* UINT64_MAX: when it is removed */
    uint64_t waiting_frames, waiting_bytes; /* for its rate */
};

/* Walks the rules that have not ended, in their order. cursor: 0 first. Returns false behind the
   last. */
bool cable_next_rule(const struct cable *cable, uint32_t *cursor, struct cable_rule_info *info,
                     uint64_t now_us);

/* What a rule has done that has ended and holds nothing any more. */
struct cable_ended {
    uint32_t id;
    struct cable_rule_counters did;
};

/* Tells of each such rule once, the earliest first; of more than CABLE_ENDED_MAX that nobody has
   asked for, the latest. Returns false when there is none. */
enum { CABLE_ENDED_MAX = CABLE_RULES_MAX };
bool cable_next_ended(struct cable *cable, struct cable_ended *ended);

/* ---- Exempt ports ---- */

enum { CABLE_EXEMPT_MAX = 64 };

/* Local TCP ports whose frames pass settings and rules by; one may stand here more than once. */
struct cable_exempt {
    uint16_t port[CABLE_EXEMPT_MAX];
    unsigned count;
};

/* exempt: stays the caller's, who may change it at any time; must outlive the cable. place: where
   frames of this direction have the local port. */
void cable_set_exempt(struct cable *cable, const struct cable_exempt *exempt,
                      enum match_place place);

/* All frames in the cable, and those of them that wait for a rate. */
struct cable_load {
    uint64_t frames, bytes;
    uint64_t waiting_frames, waiting_bytes;
};
void cable_load(const struct cable *cable, struct cable_load *load);

#endif

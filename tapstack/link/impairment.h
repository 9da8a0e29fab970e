/* What a rule does to the frames that it is for: the knobs, as plain data.

   Words and meanings are those of tc-netem(8) and of VPP's nsim, but for one: a correlation says how
   often a frame meets what the one before it met, drawn anew otherwise. So the share of accidents
   is the one asked for, whatever the correlation; netem's own correlation makes rare accidents
   rarer. */
#ifndef TAPSTACK_LINK_IMPAIRMENT_H
#define TAPSTACK_LINK_IMPAIRMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "match.h"

/* What a rule does; impairment.does. A frame meets them in this order. */
enum impairment_does {
    IMPAIRMENT_EXEMPT = 1,    /* the frame passes all rules by */
    IMPAIRMENT_BLACKHOLE = 2, /* every frame is lost */
    IMPAIRMENT_MTU = 4,      /* frames with more than mtu_bytes behind the Ethernet header vanish */
    IMPAIRMENT_DROP = 8,     /* every frame is lost: for a match that names single frames */
    IMPAIRMENT_LOSS = 16,    /* frames are lost at random */
    IMPAIRMENT_GEMODEL = 32, /* frames are lost in bursts: Gilbert and Elliott */
    IMPAIRMENT_STATE = 64,   /* frames are lost in bursts: netem's four states */
    IMPAIRMENT_DUPLICATE = 128,
    IMPAIRMENT_CORRUPT = 256,  /* one bit of the frame flips */
    IMPAIRMENT_BITERROR = 512, /* each bit flips with a probability */
    IMPAIRMENT_RATE = 1024,
    IMPAIRMENT_DELAY = 2048,
    IMPAIRMENT_REORDER = 4096,
};

/* Probabilities are in millionths: 10000 is one percent. */
struct impairment_chance {
    uint32_t ppm;
    uint32_t correlation_ppm;
};

/* The good state is left for the bad one with probability p, the bad one for the good with r; a
   frame is lost with probability 1-h in the bad state, 1-k in the good one. */
struct impairment_gemodel {
    uint32_t p_ppm, r_ppm, bad_loss_ppm, good_loss_ppm;
};

/* States 1 (good) to 4 as in netem: 2 is the good time within a burst of losses, 3 the losses of a
   burst, 4 a loss that stands alone. */
struct impairment_states {
    uint32_t p13_ppm, p31_ppm, p32_ppm, p23_ppm, p14_ppm;
};

/* An amount of queue: in frames or in bytes. */
struct impairment_amount {
    uint64_t count;
    bool in_bytes;
};

enum impairment_distribution {
    IMPAIRMENT_UNIFORM, /* evenly in delay - jitter .. delay + jitter */
    IMPAIRMENT_NORMAL,  /* for the others jitter is the standard deviation */
    IMPAIRMENT_PARETO,
    IMPAIRMENT_PARETONORMAL,
};

struct impairment_delay {
    uint64_t delay_us;
    uint64_t jitter_us;
    uint32_t correlation_ppm;
    enum impairment_distribution distribution;
};

/* With probability chance a frame is sent at once where the rule has a delay, or held back hold_us.
   gap: only each gap-th frame is asked, and then every one until one was reordered. */
struct impairment_reorder {
    struct impairment_chance chance;
    uint32_t gap;     /* 0, 1: every frame is asked */
    uint64_t hold_us; /* 0: skip the delay, or 500 us where the rule has none */
};

enum impairment_discipline { IMPAIRMENT_TAIL_DROP, IMPAIRMENT_RED, IMPAIRMENT_CODEL };

struct impairment_rate {
    uint64_t bits_per_second;
    int32_t overhead_bytes;      /* added to every frame's size, may be negative */
    uint32_t cell_bytes;         /* the size is rounded up to cells; 0: none */
    int32_t cell_overhead_bytes; /* added to each cell */
    enum impairment_discipline discipline;
    struct impairment_amount red_min, red_max;
    uint32_t red_ppm; /* drop probability at red_max */
    uint64_t codel_target_us;
    uint64_t codel_interval_us;
    uint64_t stall_us;              /* a worse rate for so long ... */
    uint64_t stall_every_us;        /* ... at the end of each such period */
    uint64_t stall_bits_per_second; /* the worse rate; 0: nothing is sent */
};

enum {
    IMPAIRMENT_LIMIT_FRAMES = 1000, /* held by one rule, where nothing else is said */
    IMPAIRMENT_HOLD_US = 500,
    IMPAIRMENT_CODEL_TARGET_US = 5000, /* RFC 8289, 4.3 and 4.4 */
    IMPAIRMENT_CODEL_INTERVAL_US = 100000,
    IMPAIRMENT_RED_PPM = 20000, /* tc-red's */
};

struct impairment {
    struct match match;
    uint32_t does; /* of enum impairment_does; at least one */
    uint32_t mtu_bytes;
    struct impairment_chance loss;
    struct impairment_gemodel gemodel;
    struct impairment_states states;
    struct impairment_chance duplicate;
    struct impairment_chance corrupt;
    uint64_t biterror_ppt; /* of 10^12 bits, at most half of them */
    struct impairment_rate rate;
    struct impairment_delay delay;
    struct impairment_reorder reorder;
    /* What may wait for the rate, the frame that is being sent not counted; without a rate, what may
       be held by the delay or for reordering (with a rate: so much, but 1000 frames at least).
       0: 1000 frames. */
    struct impairment_amount limit;
    bool ecn; /* what can be marked is marked instead of lost: loss, RED, CoDel */
    /* The rule's life. */
    uint64_t after_us; /* begins so long after it was added */
    uint64_t for_us;   /* and lasts so long; 0: until it is removed */
    uint64_t count;    /* ends when it has done something to so many frames; 0: never */
};

#endif

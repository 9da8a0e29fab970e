/* Two stacks over a hostile link: what the files of the simulation share.

   A plan says everything about one run: the link, both stacks' settings, the connections and what
   their applications do; it follows from a seed alone. A run carries it out in virtual time and
   checks the invariants after every frame and every step. */
#ifndef TAPSTACK_TESTS_SIM_H
#define TAPSTACK_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../../tapstack/lab/world.h"

enum {
    SIM_CONNECTIONS_MAX = 32,
    SIM_PORT_A = 10000, /* + number of the connection */
    SIM_PORT_B = 20000,
    SIM_LINES_MAX = 20,
    SIM_PATHS_MAX = 4,
    SIM_ACCIDENTS_MAX = 2,
};

static const uint64_t SIM_MS = 1000;
static const uint64_t SIM_S = 1000000;

/* ---- Random numbers ---- */

uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit); /* 0 .. limit - 1 */
bool random_chance(uint64_t *state, unsigned percent);
uint64_t random_log(uint64_t *state, uint64_t least, uint64_t most); /* every magnitude alike */

/* ---- Plans ---- */

/* How an end finishes. The first three lose nothing; the others may cut the connection short. */
enum ending {
    ENDING_SHUTDOWN_THEN_READ, /* half-close when all is sent, read to the end, close */
    ENDING_READ_THEN_SEND,     /* read to the peer's end first, then send all and close */
    ENDING_CLOSE_WHEN_DONE,    /* close when all is sent and all expected was read */
    ENDING_CLOSE_EARLY,        /* close after `until_bytes`, whatever is left */
    ENDING_ABORT,              /* the same by RST */
    ENDING_DEAF,               /* no more reading after `until_bytes`, close when all is sent */
};

struct end_plan {
    enum ending ending;
    uint32_t bytes;               /* to send */
    uint32_t until_bytes;         /* sent and received; of the endings that cut short */
    uint32_t write_max, read_max; /* bytes a call */
    uint64_t pause_max_us;        /* between calls */
    uint64_t linger_us;           /* before the end, when all is done */
    /* Options; 0: as the stack has it. */
    uint32_t receive_buffer, send_buffer;
    uint32_t later_receive_buffer; /* from the first byte received on */
    uint32_t maximum_segment;
    uint64_t keepalive_us, user_timeout_us;
    uint64_t defer_accept_us;              /* of one that listens */
    unsigned urgent_percent, more_percent; /* of the calls that send */
    bool nodelay, cork, delays_all_acks, zero_copy;
};

struct connection_plan {
    bool absent;                    /* left out, so that the others keep their ports */
    bool opens[WORLD_SIDES];        /* both: simultaneous open */
    uint64_t start_us[WORLD_SIDES]; /* after the world's start */
    unsigned repeats;               /* so often the whole begins anew, with the same ports */
    struct end_plan end[WORLD_SIDES];
};

/* From then on, for so long, a router in the middle has a link with this MTU before it: it tells
   the sender (RFC 1191), or fragments what may be. 0: it has none, and says "host unreachable". */
struct path_plan {
    int from; /* the side whose frames are too large */
    uint32_t mtu_bytes;
    uint64_t after_us, for_us;
};

/* Something that happens to one frame, by its number. */
enum accident {
    ACCIDENT_NONE,
    ACCIDENT_DROP,
    ACCIDENT_DUPLICATE,
    ACCIDENT_DELAY,
    ACCIDENT_CORRUPT
};

struct accident_plan {
    enum accident what;
    int64_t frame; /* from 0, as they leave both sides */
};

struct plan {
    uint64_t seed;
    struct world_config world;
    bool is_clean;                /* nothing is lost or late: nothing may be sent twice */
    char line[SIM_LINES_MAX][96]; /* the cables, in tapctl(8)'s words: "out" is from A to B */
    unsigned lines;
    struct path_plan path[SIM_PATHS_MAX];
    unsigned paths;
    struct connection_plan connection[SIM_CONNECTIONS_MAX];
    unsigned connections;
    uint32_t memory_fails_ppm; /* of the allocations */
    struct accident_plan accident[SIM_ACCIDENTS_MAX];
};

/* The plan that everything random starts from: default settings, a cable without faults, nothing to
   do. */
void plan_default(struct plan *plan);
void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan, FILE *to);

/* Must everything arrive and both ends finish without an error? */
bool plan_is_strict(const struct plan *plan, unsigned connection);

/* ---- Runs ---- */

struct run_result {
    char failure[256]; /* empty: passed */
    int side;          /* where it was seen, and of which connection; -1: of none */
    int connection;
    uint64_t hash, frames;
    uint64_t duration_us; /* virtual */
    uint64_t bytes;       /* that arrived at applications */
    unsigned connections; /* that were opened and ended */
    bool touched;         /* the frame of the last accident was met */
};

/* What else is wanted of a run. All may be zero. */
struct run_wishes {
    bool verbose;         /* every frame as a line, and what both stacks know at the end */
    FILE *capture;        /* pcapng */
    FILE *script;         /* the exchange as a packet script ... */
    int side, connection; /* ... of this connection, seen from this side */
};

void run_plan(const struct plan *plan, const struct run_wishes *wishes, struct run_result *result);

/* ---- Many runs ---- */

struct tally {
    unsigned passed, failed;
    uint64_t frames, connections, bytes;
};

/* Carries out a plan and counts it; a failure is told, and what it leaves is kept under this
   name. */
void tally_run(struct tally *tally, const struct plan *plan, const char *name,
               struct run_result *result);

/* Every frame of a short exchange lost, repeated, overtaken and damaged once; and every pair of
   frames of a shorter one. */
void exhaustive_run(struct tally *tally);

/* Makes a plan that fails smaller as long as it fails in the same way. Returns how many runs that
   took. */
unsigned shrink_plan(struct plan *plan, struct run_result *result);

#endif

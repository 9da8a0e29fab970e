/* Two stacks over a hostile link: what the files of the simulation share.

   A plan says everything about one run: the link, both stacks' settings, the connections and what
   their applications do; it follows from a seed alone. A run carries it out in virtual time and
   checks the invariants after every step. */
#ifndef TAPSTACK_TESTS_SIM_H
#define TAPSTACK_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "../../tapstack/lab/world.h"
#include "../../tapstack/wire/text.h"

enum {
    SIM_CONNECTIONS_MAX = 8,
    SIM_PORT_A = 10000, /* + number of the connection */
    SIM_PORT_B = 20000,
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
};

struct end_plan {
    enum ending ending;
    uint32_t bytes;                       /* to send */
    uint32_t until_bytes;                 /* sent and received; of the endings that cut short */
    uint32_t write_max, read_max;         /* bytes a call */
    uint64_t pause_max_us;                /* between calls */
    uint32_t receive_buffer, send_buffer; /* 0: the stack's default */
    bool nodelay, zero_copy;
};

struct connection_plan {
    bool opens[WORLD_SIDES];        /* both: simultaneous open */
    uint64_t start_us[WORLD_SIDES]; /* after the world's start */
    struct end_plan end[WORLD_SIDES];
};

struct plan {
    uint64_t seed;
    struct world_config world;
    unsigned connections;
    struct connection_plan connection[SIM_CONNECTIONS_MAX];
    int64_t drop, duplicate; /* number of the frame that the link loses or repeats; -1: none */
};

void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan);

/* Must everything arrive and both ends finish without an error? */
bool plan_is_strict(const struct connection_plan *plan);

/* ---- Watching the wire ---- */

struct watch_side {
    bool syn_seen, edge_known, fin_seen;
    bool scale_offered;
    uint8_t scale;
    uint32_t iss;     /* an old SYN may bring a second connection to life */
    uint32_t edge;    /* right edge that this side has offered */
    uint32_t fin_end; /* sequence number behind its FIN */
};

struct watch {
    struct watch_side side[SIM_CONNECTIONS_MAX][WORLD_SIDES];
};

/* Looks at a frame that leaves a side. Returns NULL, or what is wrong with it. */
const char *watch_frame(struct watch *watch, int from, const uint8_t *bytes, size_t size);

/* ---- Runs ---- */

struct run_result {
    char failure[256]; /* empty: passed */
    uint64_t hash, frames;
    uint64_t duration_us;
    bool touched; /* the frame to drop or repeat was met */
};

/* capture_path: pcapng to be written, or NULL. verbose: every frame as a line. */
void run_plan(const struct plan *plan, bool verbose, const char *capture_path,
              struct run_result *result);

#endif

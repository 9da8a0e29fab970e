/* Inside one run: what applications, invariants and link share. */
#ifndef TAPSTACK_TESTS_SIM_RUN_H
#define TAPSTACK_TESTS_SIM_RUN_H

#include "sim.h"

enum { RUN_CHUNK_MAX = 65536 };

enum end_state { END_WAITING, END_OPEN, END_DONE };

/* One end of a connection: its application. */
struct end {
    enum end_state state;
    int side, number;
    int socket;
    uint64_t random;
    unsigned generation; /* how often it has begun anew */
    uint32_t sent, received;
    size_t held; /* bytes taken out of the stack that count as buffer still */
    bool connected, can_send, can_receive, peer_ended, shut_down, rebuffered, lingered, can_accept,
        is_deaf;
    bool sent_urgent, saw_urgent;
    int error;        /* enum stack_error, 0: none */
    uint64_t next_at; /* does nothing before */
    uint64_t done_at;
};

/* What one side has said on the wire in a connection. */
struct watch_side {
    bool syn_seen, edge_known, fin_seen, ack_seen;
    bool scale_offered;
    uint8_t scale;
    uint32_t iss;     /* an old SYN may bring a second connection to life */
    uint32_t edge;    /* right edge that this side has offered */
    uint32_t fin_end; /* sequence number behind its FIN */
    uint32_t acked;   /* highest acknowledgment number */
};

/* What is known of one side's control block of a connection. */
struct known {
    uint32_t id;      /* 0: none yet */
    uint32_t snd_max; /* when a frame of it was last seen */
    bool has_max;
    bool waits_for_arp; /* its last ACK does, or was lost in doing so */
};

/* The allocator of a run: it counts. */
struct run_memory {
    uint64_t blocks, bytes;
    uint64_t random;
    uint32_t fails_ppm; /* of the allocations */
    bool damaged;       /* a block came back with another size than it was taken with */
};

/* A frame kept back until another one has overtaken it. */
struct held_frame {
    int from;
    size_t size; /* 0: none */
    bool overtaken;
    uint64_t release_at;
    uint8_t bytes[FRAME_BYTES_MAX];
};

struct run {
    const struct plan *plan;
    const struct run_wishes *wishes;
    struct run_result *result;
    struct world *world;
    struct run_memory memory;
    struct end end[SIM_CONNECTIONS_MAX][WORLD_SIDES];
    int listener[SIM_CONNECTIONS_MAX];
    struct watch_side watch[SIM_CONNECTIONS_MAX][WORLD_SIDES];
    struct known known[SIM_CONNECTIONS_MAX][WORLD_SIDES];
    int64_t frame_number;
    uint16_t path_identification;
    struct held_frame held;
    uint64_t progress, progress_frames, progress_steps, steps;
    uint8_t bytes[RUN_CHUNK_MAX];
    uint8_t frame[FRAME_BYTES_MAX];
};

/* Notes the first thing that is wrong. number: of the connection, -1: of none. */
__attribute__((format(printf, 4, 5))) void sim_fail(struct run *run, int side, int number,
                                                    const char *format, ...);
struct stack *sim_stack(struct run *run, int side);
uint64_t sim_now(const struct run *run);
uint16_t sim_port(int side, int number);
const struct end_plan *sim_end_plan(const struct run *run, const struct end *end);

/* ---- app.c: what the applications do ---- */

/* Makes the ends, and those listen that do. */
void app_start(struct run *run);
/* Lets every application act once that is ready now; tells when the next one is. */
uint64_t app_act(struct run *run);
bool app_is_over(const struct run *run, const struct end *end);
/* Closes the listeners. */
void app_stop(struct run *run);

/* ---- link.c: what happens to frames beside the cables' own accidents ---- */

/* Lays out the cables' rules. */
void link_start(struct run *run);
/* A frame leaves a side: returns false when it goes no further. */
bool link_frame(struct run *run, int from, const uint8_t *bytes, size_t size);
/* Lets go a frame that was kept back, if it is time; tells when it will be. */
uint64_t link_release(struct run *run);

/* ---- check.c: the invariants ---- */

/* Of a frame that leaves a side. */
void check_frame(struct run *run, int from, const uint8_t *bytes, size_t size);
/* After a step of the clock. */
void check_step(struct run *run);
/* When an end is done; when all are; and when both stacks should have forgotten all. */
void check_end(struct run *run, const struct end *end);
void check_results(struct run *run);
void check_forgotten(struct run *run);

/* ---- keep.c: the exchange as a packet script ---- */

void keep_begin(struct run *run);
void keep_frame(struct run *run, int side, bool inbound, const uint8_t *bytes, size_t size);
/* A socket call of an end, as it stands in a script: "write(3, ..., 100) = 100". */
__attribute__((format(printf, 3, 4))) void keep_call(struct run *run, const struct end *end,
                                                     const char *format, ...);
/* The end of such a line for a result: the number, or -1 and an errno. */
const char *keep_result(ptrdiff_t result, char text[32]);

#endif

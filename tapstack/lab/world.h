/* Virtual time: stacks joined by cables under one clock, moved from event to event.

   A world of two stacks, A (10.77.0.1) and B (10.77.0.2), each with one interface, and a cable each
   way. Nothing waits: world_step jumps to the next deadline. Same configuration and calls: the same
   frames. The hooks see every frame that enters or leaves a cable. */
#ifndef TAPSTACK_LAB_WORLD_H
#define TAPSTACK_LAB_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/stack.h"
#include "../link/cable.h"
#include "../link/nic.h"

enum { WORLD_A = 0, WORLD_B = 1, WORLD_SIDES = 2 };

struct world_config {
    uint64_t seed;
    uint64_t start_us;
    uint16_t mtu_bytes;
    bool super_frames; /* the interfaces take TSO frames, cut before the cable */
    struct cable_settings cable[WORLD_SIDES]; /* [A]: from A to B */
    struct stack_settings settings[WORLD_SIDES];
    /* A wire frame is about to enter the cable of side `from`; return false to lose it. May be
     * NULL. */
    bool (*filter)(void *context, int from, const uint8_t *bytes, size_t size, uint64_t now_us);
    /* A wire frame has come out of the cable towards side `to`. May be NULL. */
    void (*arrival)(void *context, int to, const uint8_t *bytes, size_t size, uint64_t now_us);
    void *context;
    const struct memory *memory; /* of stacks and cables; NULL: the C library's */
};

struct world;

void world_config_default(struct world_config *config);
struct world *world_create(const struct world_config *config);
void world_destroy(struct world *world);

struct stack *world_stack(struct world *world, int side);
uint64_t world_now(const struct world *world);
uint32_t world_address(int side); /* IPv4, host order */

/* Delivers and sends everything that is due now, until nothing is left to do at this instant. */
void world_settle(struct world *world);

/* Settles, then moves the clock to the next deadline, but not beyond limit_us, and settles there.
   Returns false when there is nothing left to happen before limit_us (the clock stands at
   limit_us). */
bool world_step(struct world *world, uint64_t limit_us);

/* Puts a frame into the cable of a side as if that side had sent it; the filter does not see it. May
   be called from the filter. */
void world_inject(struct world *world, int from, const uint8_t *bytes, size_t size);

/* Frames that entered either cable, and a running hash (FNV-1a 64) of all of them with their times:
   equal hashes, equal runs. */
uint64_t world_frames(const struct world *world);
uint64_t world_hash(const struct world *world);

/* Writes every frame from now on into a pcapng in memory; world_capture_bytes gives it. */
void world_capture(struct world *world);
const uint8_t *world_capture_bytes(const struct world *world, size_t *size);

struct cable *world_cable(struct world *world, int from);

#endif

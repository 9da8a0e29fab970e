/* Two stacks, two cables and one clock: how the pure parts are put together without an operating
   system.

   A side is a stack with its network card; its cable leads to the other side. One round at an
   instant does what a machine does: frames that are due come out of the cable into the card's
   receive ring, the card's poll hands the good ones to the stack, and what the stack wants to send
   is cut into wire frames and put into the cable. Rounds are repeated until nothing moves; then the
   clock jumps to the earliest deadline of the four parts. */
#include "world.h"

#include <assert.h>
#include <stdlib.h>

#include "../wire/ethernet.h"
#include "../wire/fcs.h"
#include "../wire/pcapng.h"

enum {
    RING_SLOTS = 256,
    EVENTS_KEPT = 4096,
    /* Two stacks that answer each other for ever over a cable without delay would hold the clock
       still; after this many rounds it moves on by a microsecond. */
    ROUNDS_MAX = 1000,
    CAPTURE_FIRST_BYTES = 1 << 16,
};

static const uint64_t FNV_OFFSET = 0xcbf29ce484222325U;
static const uint64_t FNV_PRIME = 0x100000001b3U;

struct world_side {
    struct stack *stack;
    struct cable *cable; /* away from this side */
    struct nic nic;
    struct nic_slot *slots;
    uint8_t *ring;
};

struct world {
    struct world_config config;
    uint64_t now_us;
    uint64_t frames;
    uint64_t hash;
    struct world_side side[WORLD_SIDES];
    uint8_t *capture; /* NULL: not capturing */
    size_t capture_size;
    size_t capture_capacity;
    uint8_t wire[FRAME_BYTES_MAX + FCS_BYTES];
};

static void *allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

static const struct memory libc_memory = {allocate, release, NULL};

static const struct memory *world_memory(const struct world_config *config)
{
    return config->memory ? config->memory : &libc_memory;
}

void world_config_default(struct world_config *config)
{
    *config = (struct world_config){.seed = 1, .start_us = 1000000, .mtu_bytes = 1500};
    for (int side = 0; side < WORLD_SIDES; side++)
        stack_settings_default(&config->settings[side]);
}

uint32_t world_address(int side) { return 0x0a4d0001U + (uint32_t)side; }

/* ---- Building ---- */

/* SplitMix64: spreads the one seed over everything that wants its own. */
static uint64_t seed_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

static struct stack *stack_build(const struct world_config *config, int side, uint64_t *seed)
{
    struct stack_config stack_config = {
        .memory = *world_memory(config),
        .settings = config->settings[side],
        .event_capacity = EVENTS_KEPT,
    };
    for (size_t at = 0; at < sizeof stack_config.seed; at += sizeof(uint64_t)) {
        uint64_t random = seed_next(seed);
        memcpy(stack_config.seed + at, &random, sizeof random);
    }
    return stack_create(&stack_config, config->start_us);
}

static int interface_build(const struct world *world, int side)
{
    struct stack_interface_config interface = {
        .name = "lab0",
        .mac = world->side[side].nic.mac,
        .mtu_bytes = world->config.mtu_bytes,
        .address_v4 = world_address(side),
        .prefix_bits = 24,
        .checksum_offload = world->config.super_frames,
        .segment_max_bytes = world->config.super_frames ? 65535 : 0,
    };
    return stack_add_interface(world->side[side].stack, &interface, world->config.start_us);
}

static bool nic_build(struct world *world, int side)
{
    struct world_side *here = &world->side[side];
    uint32_t slot_bytes =
        ((uint32_t)world->config.mtu_bytes + ETHERNET_HEADER_BYTES + FCS_BYTES + 63) &
        ~(uint32_t)63;
    here->slots = calloc(RING_SLOTS, sizeof *here->slots);
    here->ring = malloc((size_t)RING_SLOTS * slot_bytes);
    if (!here->slots || !here->ring)
        return false;
    struct mac_address mac = {{2, 0, 0, 0, 0, (uint8_t)(side + 1)}};
    nic_init(&here->nic, &mac, here->ring, here->slots, RING_SLOTS, slot_bytes);
    here->nic.mtu_bytes = world->config.mtu_bytes;
    here->nic.carries_fcs = world->config.cable[1 - side].fcs;
    here->nic.allmulti = true;
    return true;
}

static bool side_build(struct world *world, int side, uint64_t *seed)
{
    struct world_side *here = &world->side[side];
    if (!nic_build(world, side))
        return false;
    here->cable =
        cable_create(&world->config.cable[side], seed_next(seed), world_memory(&world->config));
    here->stack = stack_build(&world->config, side, seed);
    return here->cable && here->stack && interface_build(world, side) >= 0;
}

struct world *world_create(const struct world_config *config)
{
    struct world *world = calloc(1, sizeof *world);
    if (!world)
        return NULL;
    world->config = *config;
    world->now_us = config->start_us;
    world->hash = FNV_OFFSET;
    uint64_t seed = config->seed;
    for (int side = 0; side < WORLD_SIDES; side++) {
        if (!side_build(world, side, &seed)) {
            world_destroy(world);
            return NULL;
        }
    }
    return world;
}

void world_destroy(struct world *world)
{
    if (!world)
        return;
    for (int side = 0; side < WORLD_SIDES; side++) {
        if (world->side[side].stack)
            stack_destroy(world->side[side].stack);
        if (world->side[side].cable)
            cable_destroy(world->side[side].cable);
        free(world->side[side].slots);
        free(world->side[side].ring);
    }
    free(world->capture);
    free(world);
}

struct stack *world_stack(struct world *world, int side) { return world->side[side].stack; }
struct cable *world_cable(struct world *world, int from) { return world->side[from].cable; }
uint64_t world_now(const struct world *world) { return world->now_us; }
uint64_t world_frames(const struct world *world) { return world->frames; }
uint64_t world_hash(const struct world *world) { return world->hash; }

/* ---- Capturing ---- */

static uint8_t *capture_room(struct world *world, size_t wanted)
{
    if (world->capture_capacity - world->capture_size < wanted) {
        size_t capacity = world->capture_capacity ? world->capture_capacity : CAPTURE_FIRST_BYTES;
        while (capacity - world->capture_size < wanted)
            capacity *= 2;
        uint8_t *grown = realloc(world->capture, capacity);
        if (!grown)
            return NULL;
        world->capture = grown;
        world->capture_capacity = capacity;
    }
    return world->capture + world->capture_size;
}

void world_capture(struct world *world)
{
    uint8_t *room = world->capture ? NULL : capture_room(world, CAPTURE_FIRST_BYTES);
    if (!room)
        return;
    size_t size = pcapng_write_section(room, CAPTURE_FIRST_BYTES, "tapstack-lab", NULL);
    for (int side = 0; side < WORLD_SIDES; side++)
        size += pcapng_write_interface(room + size, CAPTURE_FIRST_BYTES - size, side ? "B" : "A",
                                       FRAME_BYTES_MAX);
    world->capture_size = size;
}

static void capture_frame(struct world *world, int from, const uint8_t *bytes, size_t size,
                          const char *comment)
{
    if (!world->capture)
        return;
    struct pcapng_packet packet = {
        .interface = (uint32_t)from,
        .at_ns = world->now_us * 1000,
        .direction = PCAPNG_OUTBOUND,
        .data = bytes,
        .size = size,
        .wire_size = size,
        .comment = comment,
    };
    size_t wanted = size + PCAPNG_BLOCK_OVERHEAD + (comment ? strlen(comment) : 0);
    uint8_t *room = capture_room(world, wanted);
    if (room)
        world->capture_size += pcapng_write_packet(room, wanted, &packet);
}

const uint8_t *world_capture_bytes(const struct world *world, size_t *size)
{
    *size = world->capture_size;
    return world->capture;
}

/* ---- Running ---- */

static void hash_bytes(uint64_t *hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ at[i]) * FNV_PRIME;
}

void world_inject(struct world *world, int from, const uint8_t *bytes, size_t size)
{
    world->frames++;
    hash_bytes(&world->hash, &world->now_us, sizeof world->now_us);
    hash_bytes(&world->hash, &from, sizeof from);
    hash_bytes(&world->hash, bytes, size);
    int result = cable_send(world->side[from].cable, bytes, size, world->now_us);
    capture_frame(world, from, bytes, size, result < 0 ? "lost: by the cable" : NULL);
}

/* Puts the frame in world->wire into the cable of a side, past the hooks. */
static void wire_send(struct world *world, int from, size_t size)
{
    struct nic_counters *counters = &world->side[from].nic.counters;
    if (size > (size_t)world->config.mtu_bytes + ETHERNET_HEADER_BYTES) {
        counters->tx_errors++; /* longer than the interface allows: no cable takes it */
        capture_frame(world, from, world->wire, size, "refused: longer than the MTU");
        return;
    }
    counters->tx_packets++;
    counters->tx_bytes += size;
    if (world->config.cable[from].fcs)
        size = ethernet_pad(world->wire, size);
    if (world->config.filter &&
        !world->config.filter(world->config.context, from, world->wire, size, world->now_us)) {
        capture_frame(world, from, world->wire, size, "lost: by the filter");
        return;
    }
    world_inject(world, from, world->wire, size);
}

/* Takes everything that the stack of a side wants to send. */
static bool side_transmit(struct world *world, int from)
{
    bool moved = false;
    struct frame frame;
    while (stack_output(world->side[from].stack, &frame, world->now_us) > 0) {
        moved = true;
        struct frame_splitter splitter;
        frame_split_start(&splitter, &frame);
        size_t size;
        while ((size = frame_split_next(&splitter, world->wire, FRAME_BYTES_MAX)) > 0)
            wire_send(world, from, size);
    }
    return moved;
}

static void side_poll(struct world *world, int side)
{
    struct nic *nic = &world->side[side].nic;
    struct frame *frame;
    while (nic->raised) {
        nic_poll_start(nic);
        while ((frame = nic_poll(nic)) != NULL)
            stack_input(world->side[side].stack, frame, world->now_us);
    }
}

/* Takes everything that is due out of the cable towards a side. */
static bool side_receive(struct world *world, int to)
{
    bool moved = false;
    struct world_side *here = &world->side[to];
    struct cable *cable = world->side[1 - to].cable;
    size_t size;
    while ((size = cable_receive(cable, world->wire, sizeof world->wire, world->now_us)) > 0) {
        moved = true;
        if (world->config.arrival)
            world->config.arrival(world->config.context, to, world->wire, size, world->now_us);
        nic_receive(&here->nic, world->wire, size);
        if (here->nic.fill == here->nic.slot_count)
            side_poll(world,
                      to); /* as a driver that keeps up: the ring itself loses nothing here */
    }
    side_poll(world, to);
    return moved;
}

void world_settle(struct world *world)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        bool moved = false;
        for (int side = 0; side < WORLD_SIDES; side++) {
            moved |= side_receive(world, side);
            moved |= side_transmit(world, side);
        }
        if (!moved)
            return;
    }
}

static uint64_t world_deadline(const struct world *world)
{
    uint64_t deadline = UINT64_MAX;
    for (int side = 0; side < WORLD_SIDES; side++) {
        uint64_t stack = stack_deadline(world->side[side].stack);
        uint64_t cable = cable_deadline(world->side[side].cable);
        uint64_t earlier = stack < cable ? stack : cable;
        deadline = earlier < deadline ? earlier : deadline;
    }
    return deadline;
}

bool world_step(struct world *world, uint64_t limit_us)
{
    assert(limit_us >= world->now_us);
    world_settle(world);
    uint64_t next = world_deadline(world);
    if (next <= world->now_us)
        next = world->now_us + 1;
    if (next > limit_us || next == UINT64_MAX) {
        if (limit_us != UINT64_MAX)
            world->now_us = limit_us;
        world_settle(world);
        return false;
    }
    world->now_us = next;
    world_settle(world);
    return true;
}

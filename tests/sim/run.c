/* Carries out a plan: the clock between applications, link and invariants. */
#include "run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/wire/text.h"

static const uint64_t TIME_MAX_S = 3600;   /* for the applications */
static const uint64_t LINGER_MAX_S = 3000; /* until the stacks have forgotten all */

void sim_fail(struct run *run, int side, int number, const char *format, ...)
{
    struct run_result *result = run->result;
    if (result->failure[0])
        return;
    uint64_t at_us = run->world ? sim_now(run) - run->plan->world.start_us : 0;
    int size = snprintf(result->failure, sizeof result->failure,
                        "%.6f s: ", (double)at_us / (double)SIM_S);
    if (number >= 0)
        size += snprintf(result->failure + size, sizeof result->failure - (size_t)size,
                         "connection %d, ", number);
    if (side >= 0)
        size += snprintf(result->failure + size, sizeof result->failure - (size_t)size,
                         "%c: ", "AB"[side]);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->failure + size, sizeof result->failure - (size_t)size, format, arguments);
    va_end(arguments);
    result->side = side;
    result->connection = number;
}

struct stack *sim_stack(struct run *run, int side) { return world_stack(run->world, side); }
uint64_t sim_now(const struct run *run) { return world_now(run->world); }

uint16_t sim_port(int side, int number)
{
    return (uint16_t)((side == WORLD_A ? SIM_PORT_A : SIM_PORT_B) + number);
}

const struct end_plan *sim_end_plan(const struct run *run, const struct end *end)
{
    return &run->plan->connection[end->number].end[end->side];
}

/* ---- Memory that counts ---- */

enum { BLOCK_HEAD_BYTES = 16 }; /* keeps the size, and what follows aligned */

static void *memory_take(void *context, size_t size)
{
    struct run_memory *memory = context;
    bool fails = memory->fails_ppm && random_below(&memory->random, 1000000) < memory->fails_ppm;
    uint8_t *block = fails ? NULL : malloc(BLOCK_HEAD_BYTES + size);
    if (!block)
        return NULL;
    memcpy(block, &size, sizeof size);
    memory->blocks++;
    memory->bytes += size;
    return block + BLOCK_HEAD_BYTES;
}

static void memory_give(void *context, void *at, size_t size)
{
    struct run_memory *memory = context;
    uint8_t *block = (uint8_t *)at - BLOCK_HEAD_BYTES;
    size_t taken;
    memcpy(&taken, block, sizeof taken);
    memory->damaged |= taken != size;
    memory->blocks--;
    memory->bytes -= taken;
    free(block);
}

/* ---- Frames ---- */

static void frame_print(const struct run *run, int from, const uint8_t *bytes, size_t size)
{
    char line[TEXT_LINE_MAX];
    text_format_frame(bytes, size, 0, 0, line, sizeof line);
    printf("%5lld %12.6f %c %s\n", (long long)run->frame_number,
           (double)(sim_now(run) - run->plan->world.start_us) / (double)SIM_S, "AB"[from], line);
}

static bool on_frame(void *context, int from, const uint8_t *bytes, size_t size, uint64_t now_us)
{
    struct run *run = context;
    (void)now_us;
    check_frame(run, from, bytes, size);
    keep_frame(run, from, false, bytes, size);
    if (run->wishes->verbose)
        frame_print(run, from, bytes, size);
    return link_frame(run, from, bytes, size);
}

static void on_arrival(void *context, int to, const uint8_t *bytes, size_t size, uint64_t now_us)
{
    (void)now_us;
    keep_frame(context, to, true, bytes, size);
}

/* ---- The course of a run ---- */

static bool all_over(const struct run *run)
{
    for (unsigned i = 0; i < run->plan->connections; i++)
        for (int side = 0; side < WORLD_SIDES; side++)
            if (!app_is_over(run, &run->end[i][side]))
                return false;
    return true;
}

static void fail_not_over(struct run *run)
{
    static const char *const states[] = {"waits for its peer", "is open", "is done"};
    for (unsigned i = 0; i < run->plan->connections; i++) {
        for (int side = 0; side < WORLD_SIDES; side++) {
            const struct end *end = &run->end[i][side];
            if (!app_is_over(run, end))
                sim_fail(run, side, (int)i, "%s: sent %u, received %u%s%s%s%s", states[end->state],
                         end->sent, end->received, end->can_send ? ", can send" : "",
                         end->can_receive ? ", can receive" : "",
                         end->peer_ended ? ", peer ended" : "",
                         end->shut_down ? ", shut down" : "");
        }
    }
}

static void run_step(struct run *run, uint64_t limit)
{
    uint64_t release_at = link_release(run);
    limit = release_at < limit ? release_at : limit;
    world_step(run->world, limit < sim_now(run) ? sim_now(run) : limit);
    check_step(run);
}

static void run_applications(struct run *run)
{
    uint64_t end_at = sim_now(run) + TIME_MAX_S * SIM_S;
    while (!all_over(run) && !run->result->failure[0]) {
        uint64_t next_at = app_act(run);
        uint64_t limit = sim_now(run) + 10 * SIM_S;
        if (sim_now(run) >= end_at) {
            fail_not_over(run);
            return;
        }
        run_step(run, next_at < limit ? next_at : limit);
    }
}

static bool stack_is_empty(struct run *run, int side)
{
    struct stack_usage usage;
    stack_usage(sim_stack(run, side), &usage);
    return usage.sockets == 0 && usage.time_wait == 0 && usage.buffer_bytes == 0;
}

/* Both stacks must forget every connection and give all buffers back. */
static void run_out(struct run *run)
{
    app_stop(run);
    uint64_t end_at = sim_now(run) + LINGER_MAX_S * SIM_S;
    while (!run->result->failure[0] && sim_now(run) < end_at &&
           !(stack_is_empty(run, WORLD_A) && stack_is_empty(run, WORLD_B)))
        run_step(run, end_at);
    if (!run->result->failure[0])
        check_forgotten(run);
}

static void capture_write(struct run *run)
{
    size_t size;
    const uint8_t *bytes = world_capture_bytes(run->world, &size);
    fwrite(bytes, 1, size, run->wishes->capture);
}

/* ---- What both stacks still know, for one who looks for the cause ---- */

static void socket_print(int side, const struct stack_info *info)
{
    printf("  %c %u > %u %s: una %u nxt %u max %u wnd %u cwnd %u not sent %u rto left %lld, "
           "persist left %lld, rcv_nxt %u rcv_wnd %u unread %u\n",
           "AB"[side], info -> summary.local.port, info->summary.remote.port,
           tcp_state_name(info->summary.state), info->snd_una, info->snd_nxt, info->snd_max,
           info->snd_wnd, info->cwnd, info->not_sent, (long long)info->rto_left_us,
           (long long)info->persist_left_us, info->rcv_nxt, info->rcv_wnd,
           info->summary.receive_queue);
}

static void sockets_print(struct run *run, int side)
{
    struct stack *stack = sim_stack(run, side);
    struct stack_summary summary;
    struct stack_info info;
    for (uint32_t cursor = 0; stack_next_summary(stack, &cursor, &summary, sim_now(run));)
        if (stack_info_by_id(stack, summary.id, &info, sim_now(run)) == 0)
            socket_print(side, &info);
    struct stack_event event;
    for (uint64_t at = 0; stack_next_event(stack, &at, &event, NULL);)
        if (event.kind == STACK_EVENT_STATE || event.kind == STACK_EVENT_RESET)
            printf("  %c %12.6f id %u %s %u %u\n", "AB"[side],
                   (double)(event.at_us - run->plan->world.start_us) / (double)SIM_S, event.id,
                   stack_event_name(event.kind), event.argument[0], event.argument[1]);
}

/* ---- The whole ---- */

static void result_fill(struct run *run)
{
    struct run_result *result = run->result;
    result->hash = world_hash(run->world);
    result->frames = world_frames(run->world);
    result->duration_us = sim_now(run) - run->plan->world.start_us;
    for (unsigned i = 0; i < run->plan->connections; i++) {
        const struct connection_plan *plan = &run->plan->connection[i];
        result->connections += plan->absent ? 0 : 1 + plan->repeats;
        result->bytes += run->end[i][WORLD_A].received + run->end[i][WORLD_B].received;
    }
}

static void run_world(struct run *run)
{
    if (run->wishes->capture)
        world_capture(run->world);
    keep_begin(run);
    link_start(run);
    app_start(run);
    run->memory.fails_ppm = run->plan->memory_fails_ppm;
    run_applications(run);
    for (int side = 0; side < WORLD_SIDES && run->wishes->verbose; side++)
        sockets_print(run, side);
    if (!run->result->failure[0])
        check_results(run);
    run_out(run);
    if (run->wishes->capture)
        capture_write(run);
    result_fill(run);
}

static void memory_check(struct run *run)
{
    run->world = NULL;
    if (run->memory.blocks)
        sim_fail(run, -1, -1, "%llu blocks of memory with %llu bytes are left",
                 (unsigned long long)run->memory.blocks, (unsigned long long)run->memory.bytes);
    if (run->memory.damaged)
        sim_fail(run, -1, -1, "memory was given back with another size than it was taken with");
}

void run_plan(const struct plan *plan, const struct run_wishes *wishes, struct run_result *result)
{
    static const struct run_wishes nothing;
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        abort();
    *result = (struct run_result){.side = -1, .connection = -1};
    run->plan = plan;
    run->wishes = wishes ? wishes : &nothing;
    run->result = result;
    run->memory.random = plan->seed;
    const struct memory memory = {memory_take, memory_give, &run->memory};
    struct world_config config = plan->world;
    config.filter = on_frame;
    config.arrival = on_arrival;
    config.context = run;
    config.memory = &memory;
    run->world = world_create(&config);
    if (!run->world)
        abort();
    run_world(run);
    world_destroy(run->world);
    memory_check(run);
    free(run);
}

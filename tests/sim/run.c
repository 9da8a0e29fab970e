/* Carries out a plan: applications on both sides, the clock, and the invariants after every step.

   An application acts as one on an edge-triggered poll would: it goes on sending or receiving until
   the stack says AGAIN, and then not before readiness tells it to. So a lost wake-up is a run that
   never ends. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/seq.h"
#include "../../tapstack/wire/ipv4.h"

static const uint64_t TIME_MAX = 3600;   /* seconds for the applications */
static const uint64_t LINGER_MAX = 3000; /* seconds until the stacks have forgotten all */
static const uint64_t UNOPENED_MAX =
    400; /* seconds that an end waits for a peer that has given up */

enum { CHUNK_MAX = 65536 };

enum end_state { END_WAITING, END_OPEN, END_DONE };

struct end {
    enum end_state state;
    int side, number;
    int socket;
    uint32_t sent, received;
    bool connected, can_send, can_receive, peer_ended, shut_down;
    int error;        /* enum stack_error, 0: none */
    uint64_t next_at; /* does nothing before */
    uint64_t done_at;
};

struct known { /* of one control block, at the last step */
    uint32_t id, snd_una, snd_max, cwnd;
};

struct run {
    const struct plan *plan;
    struct run_result *result;
    struct world *world;
    uint64_t random;
    struct watch watch;
    struct end end[SIM_CONNECTIONS_MAX][WORLD_SIDES];
    int listener[SIM_CONNECTIONS_MAX];
    struct known known[WORLD_SIDES][2 * SIM_CONNECTIONS_MAX + 4];
    int64_t frame_number;
    bool verbose;
    uint8_t bytes[CHUNK_MAX];
};

__attribute__((format(printf, 2, 3))) static void fail(struct run *run, const char *format, ...)
{
    if (run->result->failure[0])
        return;
    uint64_t at_us = run->world ? world_now(run->world) - run->plan->world.start_us : 0;
    int size = snprintf(run->result->failure, sizeof run->result->failure,
                        "%.6f s: ", (double)at_us / (double)SIM_S);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->result->failure + size, sizeof run->result->failure - (size_t)size, format,
              arguments);
    va_end(arguments);
}

static struct stack *stack_of(struct run *run, int side) { return world_stack(run->world, side); }

static uint16_t port_of(int side, int number)
{
    return (uint16_t)((side == WORLD_A ? SIM_PORT_A : SIM_PORT_B) + number);
}

static const struct end_plan *plan_of(const struct run *run, const struct end *end)
{
    return &run->plan->connection[end->number].end[end->side];
}

static uint8_t pattern(const struct end *sender, uint32_t offset)
{
    return (uint8_t)(offset * 13 + (offset >> 8) * 3 + (offset >> 16) +
                     (uint32_t)(sender->number * 29 + sender->side * 101));
}

/* ---- The wire ---- */

static bool on_frame(void *context, int from, const uint8_t *bytes, size_t size, uint64_t now_us)
{
    struct run *run = context;
    int64_t number = run->frame_number++;
    const char *wrong = watch_frame(&run->watch, from, bytes, size);
    if (wrong)
        fail(run, "frame %lld from %c: %s", (long long)number, "AB"[from], wrong);
    if (run->verbose) {
        char line[TEXT_LINE_MAX];
        text_format_frame(bytes, size, 0, 0, line, sizeof line);
        printf("%5lld %12.6f %c %s\n", (long long)number,
               (double)(now_us - run->plan->world.start_us) / (double)SIM_S, "AB"[from], line);
    }
    run->result->touched |= number == run->plan->drop || number == run->plan->duplicate;
    if (number == run->plan->duplicate)
        cable_send(world_cable(run->world, from), bytes, size, now_us);
    return number != run->plan->drop;
}

/* ---- Opening ---- */

static void end_finish(struct run *run, struct end *end, int error)
{
    end->state = END_DONE;
    end->error = error;
    end->done_at = world_now(run->world);
    if (end->socket > 0)
        stack_close(stack_of(run, end->side), end->socket, end->done_at);
    if (run->verbose)
        printf("      connection %d, %c: done: %s, sent %u, received %u\n", end->number,
               "AB"[end->side], error ? stack_error_text(error) : "in order", end->sent,
               end->received);
}

static void end_options(struct run *run, const struct end *end)
{
    struct stack *stack = stack_of(run, end->side);
    const struct end_plan *plan = plan_of(run, end);
    uint64_t now_us = world_now(run->world);
    if (plan->receive_buffer)
        stack_set_option(stack, end->socket, STACK_OPTION_RECEIVE_BUFFER, plan->receive_buffer,
                         now_us);
    if (plan->send_buffer)
        stack_set_option(stack, end->socket, STACK_OPTION_SEND_BUFFER, plan->send_buffer, now_us);
    stack_set_option(stack, end->socket, STACK_OPTION_NODELAY, plan->nodelay, now_us);
    if (plan_is_strict(&run->plan->connection[end->number]))
        return;
    /* The peer may vanish and its reset be lost: only keep-alive finds that out. */
    stack_set_option(stack, end->socket, STACK_OPTION_KEEPIDLE_US, 10 * SIM_S, now_us);
    stack_set_option(stack, end->socket, STACK_OPTION_KEEPINTVL_US, 2 * SIM_S, now_us);
    stack_set_option(stack, end->socket, STACK_OPTION_KEEPALIVE, 1, now_us);
}

static void end_connect(struct run *run, struct end *end)
{
    struct stack *stack = stack_of(run, end->side);
    struct stack_endpoint local = {.port = port_of(end->side, end->number)};
    struct stack_endpoint remote = {ip_address_from_v4(world_address(1 - end->side)),
                                    port_of(1 - end->side, end->number)};
    end->socket = stack_open(stack, IPV4_PROTOCOL_TCP);
    end->state = END_OPEN;
    end_options(run, end);
    stack_set_user(stack, end->socket, end);
    int result = stack_bind(stack, end->socket, &local);
    if (result == 0)
        result = stack_connect(stack, end->socket, &remote, world_now(run->world));
    if (result != STACK_IN_PROGRESS)
        fail(run, "connect: %s", stack_error_text(result));
}

static void end_listen(struct run *run, struct end *end)
{
    struct stack *stack = stack_of(run, end->side);
    struct stack_endpoint local = {.port = port_of(end->side, end->number)};
    int listener = stack_open(stack, IPV4_PROTOCOL_TCP);
    if (stack_bind(stack, listener, &local) != 0 || stack_listen(stack, listener, 8) != 0)
        fail(run, "listen failed");
    stack_set_user(stack, listener, end);
    run->listener[end->number] = listener;
}

static void end_accept(struct run *run, struct end *end)
{
    struct stack *stack = stack_of(run, end->side);
    int socket = stack_accept(stack, run->listener[end->number]);
    if (socket < 0)
        return;
    if (end->state != END_WAITING) {
        fail(run, "connection %d was accepted twice", end->number);
        return;
    }
    end->socket = socket;
    end->state = END_OPEN;
    end->connected = end->can_send = end->can_receive = true;
    end_options(run, end);
    stack_set_user(stack, socket, end);
}

/* ---- Sending and receiving ---- */

static size_t chunk_draw(struct run *run, uint32_t most)
{
    uint64_t size = random_log(&run->random, 1, most);
    return (size_t)(size < CHUNK_MAX ? size : CHUNK_MAX);
}

static ptrdiff_t send_zero_copy(struct run *run, const struct end *end, size_t size)
{
    struct stack *stack = stack_of(run, end->side);
    struct stack_room room[2] = {{NULL, 0}, {NULL, 0}};
    ptrdiff_t got = stack_send_reserve(stack, end->socket, size, room);
    if (got < 0)
        return got;
    size = (size_t)got < size ? (size_t)got : size;
    size_t first = room[0].size < size ? room[0].size : size;
    memcpy(room[0].data, run->bytes, first);
    if (first < size)
        memcpy(room[1].data, run->bytes + first, size - first);
    stack_send_commit(stack, end->socket, size, 0, world_now(run->world));
    return (ptrdiff_t)size;
}

static void end_send(struct run *run, struct end *end)
{
    const struct end_plan *plan = plan_of(run, end);
    size_t size = chunk_draw(run, plan->write_max);
    size = size < plan->bytes - end->sent ? size : plan->bytes - end->sent;
    for (size_t i = 0; i < size; i++)
        run->bytes[i] = pattern(end, end->sent + (uint32_t)i);
    ptrdiff_t taken = plan->zero_copy ? send_zero_copy(run, end, size)
                                      : stack_send(stack_of(run, end->side), end->socket,
                                                   run->bytes, size, 0, world_now(run->world));
    if (taken > 0)
        end->sent += (uint32_t)taken;
    else if (taken == STACK_AGAIN || taken == STACK_IN_PROGRESS)
        end->can_send = false;
    else
        end_finish(run, end, (int)taken);
}

static ptrdiff_t receive_zero_copy(struct run *run, const struct end *end, size_t size)
{
    struct stack *stack = stack_of(run, end->side);
    struct frame_piece piece[2] = {{NULL, 0}, {NULL, 0}};
    ptrdiff_t got = stack_recv_peek(stack, end->socket, piece);
    if (got <= 0)
        return got;
    size = (size_t)got < size ? (size_t)got : size;
    size_t first = piece[0].size < size ? piece[0].size : size;
    memcpy(run->bytes, piece[0].data, first);
    if (first < size)
        memcpy(run->bytes + first, piece[1].data, size - first);
    stack_recv_consume(stack, end->socket, size, 0, world_now(run->world));
    return (ptrdiff_t)size;
}

static void end_check_bytes(struct run *run, struct end *end, size_t size)
{
    struct end *sender = &run->end[end->number][1 - end->side];
    for (size_t i = 0; i < size; i++) {
        uint32_t offset = end->received + (uint32_t)i;
        if (run->bytes[i] != pattern(sender, offset))
            fail(run, "connection %d, %c: wrong byte at %u", end->number, "AB"[end->side], offset);
    }
    end->received += (uint32_t)size;
    if (end->received > sender->sent)
        fail(run, "connection %d, %c: more received than sent", end->number, "AB"[end->side]);
}

static void end_receive(struct run *run, struct end *end)
{
    const struct end_plan *plan = plan_of(run, end);
    size_t size = chunk_draw(run, plan->read_max);
    ptrdiff_t got = plan->zero_copy ? receive_zero_copy(run, end, size)
                                    : stack_recv(stack_of(run, end->side), end->socket, run->bytes,
                                                 size, world_now(run->world));
    if (got > 0)
        end_check_bytes(run, end, (size_t)got);
    else if (got == 0)
        end->peer_ended = true;
    else if (got == STACK_AGAIN || got == STACK_IN_PROGRESS)
        end->can_receive = false;
    else
        end_finish(run, end, (int)got);
}

/* ---- What an application does next ---- */

static bool wants_to_send(const struct run *run, const struct end *end)
{
    const struct end_plan *plan = plan_of(run, end);
    return end->can_send && end->sent < plan->bytes &&
           (plan->ending != ENDING_READ_THEN_SEND || end->peer_ended);
}

static bool wants_to_receive(const struct end *end) { return end->can_receive && !end->peer_ended; }

static bool wants_to_end(const struct run *run, const struct end *end)
{
    const struct end_plan *plan = plan_of(run, end);
    uint32_t expected = run->plan->connection[end->number].end[1 - end->side].bytes;
    bool all_sent = end->connected && end->sent == plan->bytes;
    switch (plan->ending) {
    case ENDING_SHUTDOWN_THEN_READ:
        return all_sent && (!end->shut_down || end->peer_ended);
    case ENDING_READ_THEN_SEND:
        return all_sent && end->peer_ended;
    case ENDING_CLOSE_WHEN_DONE:
        return all_sent && (end->received >= expected || end->peer_ended);
    default:
        return end->sent + end->received >= plan->until_bytes || (all_sent && end->peer_ended);
    }
}

static void end_end(struct run *run, struct end *end)
{
    struct stack *stack = stack_of(run, end->side);
    const struct end_plan *plan = plan_of(run, end);
    uint64_t now_us = world_now(run->world);
    if (plan->ending == ENDING_SHUTDOWN_THEN_READ && !end->shut_down) {
        end->shut_down = true;
        int result = stack_shutdown(stack, end->socket, STACK_SHUTDOWN_WRITE, now_us);
        if (result != 0)
            end_finish(run, end, result);
        return;
    }
    if (plan->ending == ENDING_ABORT) {
        stack_abort(stack, end->socket, now_us);
        end->socket = 0;
    }
    end_finish(run, end, 0);
}

static bool end_is_ready(const struct run *run, const struct end *end)
{
    if (end->state == END_WAITING)
        return run->plan->connection[end->number].opens[end->side];
    if (end->state != END_OPEN)
        return false;
    return wants_to_send(run, end) || wants_to_receive(end) || wants_to_end(run, end);
}

static void end_act(struct run *run, struct end *end)
{
    if (end->state == END_WAITING) {
        end_connect(run, end);
    } else {
        if (wants_to_receive(end))
            end_receive(run, end);
        if (end->state == END_OPEN && wants_to_send(run, end))
            end_send(run, end);
        if (end->state == END_OPEN && wants_to_end(run, end))
            end_end(run, end);
    }
    uint64_t pause_us = plan_of(run, end)->pause_max_us;
    end->next_at = world_now(run->world) + (pause_us ? random_below(&run->random, pause_us) : 0);
}

static void readiness_take(struct run *run, int side)
{
    struct stack_ready ready;
    while (stack_next_ready(stack_of(run, side), &ready)) {
        struct end *end = ready.user;
        if (!end)
            continue; /* not accepted yet */
        if (ready.what & STACK_READY_ACCEPT)
            end_accept(run, end);
        if (ready.socket != end->socket || end->state != END_OPEN)
            continue;
        end->connected |= (ready.what & STACK_READY_CONNECTED) != 0;
        unsigned over = STACK_READY_ERROR | STACK_READY_END;
        end->can_receive |= (ready.what & (STACK_READY_RECV | over)) != 0;
        end->can_send |= (ready.what & (STACK_READY_SEND | STACK_READY_CONNECTED | over)) != 0;
    }
}

/* Lets every application act once that is ready now; tells when the next one is. */
static uint64_t applications_act(struct run *run)
{
    uint64_t next_at = UINT64_MAX;
    for (int side = 0; side < WORLD_SIDES; side++)
        readiness_take(run, side);
    for (unsigned i = 0; i < run->plan->connections; i++) {
        for (int side = 0; side < WORLD_SIDES; side++) {
            struct end *end = &run->end[i][side];
            if (end_is_ready(run, end) && end->next_at <= world_now(run->world))
                end_act(run, end);
            if (end_is_ready(run, end) && end->next_at < next_at)
                next_at = end->next_at;
        }
    }
    return next_at;
}

/* ---- Invariants ---- */

static struct known *known_of(struct run *run, int side, uint32_t id)
{
    struct known *known = run->known[side];
    while (known->id != 0 && known->id != id)
        known++;
    return known;
}

/* New data leaves only while it fits the congestion window; what is in flight when the window
   shrinks stays, and limited transmit (RFC 3042), a FIN and a probe may go beyond. */
static void check_congestion(struct run *run, int side, const struct stack_info *info)
{
    struct known *known = known_of(run, side, info->summary.id);
    if (known->id && info->snd_max != known->snd_max) {
        uint32_t grown = known->cwnd + (info->snd_una - known->snd_una);
        uint32_t limit = (grown > info->cwnd ? grown : info->cwnd) + 3 * info->snd_mss + 1;
        if (info->snd_max - info->snd_una > limit)
            fail(run, "%c: %u bytes in flight, cwnd %u (was %u)", "AB"[side],
                 info -> snd_max - info -> snd_una, info -> cwnd, known -> cwnd);
    }
    *known = (struct known){info->summary.id, info->snd_una, info->snd_max, info->cwnd};
}

static void check_timers(struct run *run, int side, const struct stack_info *info)
{
    uint64_t left_us =
        info->rto_left_us < info->persist_left_us ? info->rto_left_us : info->persist_left_us;
    bool unacked = info->snd_una != info->snd_max;
    if ((unacked || (info->not_sent > 0 && !info->cork)) && left_us == UINT64_MAX)
        fail(run, "%c: %s, unacknowledged %u, not sent %u, window %u: no timer runs", "AB"[side],
             tcp_state_name(info->summary.state), info -> snd_max - info -> snd_una,
             info -> not_sent, info -> snd_wnd);
    if (left_us != UINT64_MAX &&
        stack_deadline(stack_of(run, side)) > world_now(run->world) + left_us)
        fail(run, "%c: the deadline of the stack is later than a timer", "AB"[side]);
}

static void check_stack(struct run *run, int side)
{
    struct stack *stack = stack_of(run, side);
    uint64_t now_us = world_now(run->world);
    struct stack_summary summary;
    for (uint32_t cursor = 0; stack_next_summary(stack, &cursor, &summary, now_us);) {
        struct stack_info info;
        if (summary.state == TCP_LISTEN || summary.state == TCP_CLOSED ||
            summary.state == TCP_TIME_WAIT)
            continue;
        if (stack_info_by_id(stack, summary.id, &info, now_us) != 0) {
            fail(run, "%c: no info about %u", "AB"[side], summary.id);
            continue;
        }
        if (!seq_le(info.snd_una, info.snd_nxt) || !seq_le(info.snd_nxt, info.snd_max))
            fail(run, "%c: snd_una %u, snd_nxt %u, snd_max %u", "AB"[side], info.snd_una,
                 info.snd_nxt, info.snd_max);
        check_congestion(run, side, &info);
        check_timers(run, side, &info);
    }
}

static void check_memory(struct run *run, int side)
{
    struct stack_usage usage;
    stack_usage(stack_of(run, side), &usage);
    const struct stack_settings *settings = &run->plan->world.settings[side];
    uint64_t buffers = settings->tcp_receive_buffer + settings->tcp_send_buffer + (1 << 19);
    uint64_t limit = (8 << 20) + run->plan->connections * 2 * buffers;
    if (usage.memory_bytes > limit)
        fail(run, "%c: %llu bytes of memory", "AB"[side], (unsigned long long)usage.memory_bytes);
}

static uint64_t frames_limit(const struct plan *plan)
{
    uint64_t limit = 20000;
    for (unsigned i = 0; i < plan->connections; i++)
        for (int side = 0; side < WORLD_SIDES; side++)
            limit += plan->connection[i].end[side].bytes / 10;
    return limit;
}

static void check_all(struct run *run)
{
    for (int side = 0; side < WORLD_SIDES; side++) {
        check_stack(run, side);
        check_memory(run, side);
    }
    if (world_frames(run->world) > frames_limit(run->plan))
        fail(run, "%llu frames: no end in sight", (unsigned long long)world_frames(run->world));
}

/* ---- The course of a run ---- */

/* An end is over when it is done, or when it waits for a peer that has long given up. */
static bool end_is_over(const struct run *run, const struct end *end)
{
    const struct end *peer = &run->end[end->number][1 - end->side];
    if (end->state == END_WAITING && peer->state == END_DONE &&
        !plan_is_strict(&run->plan->connection[end->number]))
        return world_now(run->world) > peer->done_at + UNOPENED_MAX * SIM_S;
    return end->state == END_DONE;
}

static bool all_over(const struct run *run)
{
    for (unsigned i = 0; i < run->plan->connections; i++)
        for (int side = 0; side < WORLD_SIDES; side++)
            if (!end_is_over(run, &run->end[i][side]))
                return false;
    return true;
}

static void fail_not_over(struct run *run)
{
    static const char *const states[] = {"waits for its peer", "is open", "is done"};
    for (unsigned i = 0; i < run->plan->connections; i++) {
        for (int side = 0; side < WORLD_SIDES; side++) {
            const struct end *end = &run->end[i][side];
            if (!end_is_over(run, end))
                fail(run, "connection %u, %c %s: sent %u, received %u%s%s%s%s", i, "AB"[side],
                     states[end->state], end -> sent, end -> received,
                     end -> can_send ? ", can send" : "", end->can_receive ? ", can receive" : "",
                     end->peer_ended ? ", peer ended" : "", end->shut_down ? ", shut down" : "");
        }
    }
}

static void run_applications(struct run *run)
{
    uint64_t end_at = world_now(run->world) + TIME_MAX * SIM_S;
    while (!all_over(run) && !run->result->failure[0]) {
        uint64_t next_at = applications_act(run);
        uint64_t now_us = world_now(run->world);
        if (now_us >= end_at) {
            fail_not_over(run);
            return;
        }
        uint64_t limit = next_at < now_us ? now_us : next_at;
        if (limit > now_us + 10 * SIM_S)
            limit = now_us + 10 * SIM_S;
        world_step(run->world, limit);
        check_all(run);
    }
}

static bool stack_is_empty(struct run *run, int side)
{
    struct stack_usage usage;
    stack_usage(stack_of(run, side), &usage);
    return usage.sockets == 0 && usage.time_wait == 0 && usage.buffer_bytes == 0;
}

/* Both stacks must forget every connection and give all buffers back. */
static void run_out(struct run *run)
{
    for (unsigned i = 0; i < run->plan->connections; i++)
        for (int side = 0; side < WORLD_SIDES; side++)
            if (run->listener[i] > 0 && !run->plan->connection[i].opens[side])
                stack_close(stack_of(run, side), run->listener[i], world_now(run->world));
    uint64_t end_at = world_now(run->world) + LINGER_MAX * SIM_S;
    while (!run->result->failure[0] && world_now(run->world) < end_at &&
           !(stack_is_empty(run, WORLD_A) && stack_is_empty(run, WORLD_B))) {
        world_step(run->world, end_at);
        check_all(run);
    }
    for (int side = 0; side < WORLD_SIDES; side++) {
        struct stack_usage usage;
        stack_usage(stack_of(run, side), &usage);
        if (usage.sockets || usage.time_wait)
            fail(run, "%c: %u sockets and %u in TIME-WAIT are left", "AB"[side], usage.sockets,
                 usage.time_wait);
        if (usage.buffer_bytes)
            fail(run, "%c: %llu bytes of buffers are left", "AB"[side],
                 (unsigned long long)usage.buffer_bytes);
    }
}

static void check_results(struct run *run)
{
    for (unsigned i = 0; i < run->plan->connections; i++) {
        const struct connection_plan *plan = &run->plan->connection[i];
        for (int side = 0; side < WORLD_SIDES && plan_is_strict(plan); side++) {
            const struct end *end = &run->end[i][side];
            if (end->error)
                fail(run, "connection %u, %c: %s", i, "AB"[side], stack_error_text(end->error));
            if (end->received != plan->end[1 - side].bytes)
                fail(run, "connection %u, %c: %u of %u bytes received", i, "AB"[side],
                     end -> received, plan -> end[1 - side].bytes);
        }
    }
}

static bool cable_is_clean(const struct cable_settings *cable)
{
    return !cable->loss_ppm && !cable->duplicate_ppm && !cable->reorder_ppm &&
           !cable->corrupt_ppm && !cable->jitter_us && !cable->rate_kbps && !cable->queue_frames;
}

/* Where nothing is lost or late, nothing may be sent twice. */
static void check_clean(struct run *run)
{
    const struct plan *plan = run->plan;
    if (!cable_is_clean(&plan->world.cable[WORLD_A]) ||
        !cable_is_clean(&plan->world.cable[WORLD_B]) || plan->drop >= 0 || plan->duplicate >= 0)
        return;
    for (int side = 0; side < WORLD_SIDES; side++) {
        const uint64_t *counters = stack_counters(stack_of(run, side));
        if (counters[STACK_COUNTER_TCP_RETRANS_SEGS] || counters[STACK_COUNTER_TCP_TIMEOUTS])
            fail(run, "%c: %llu retransmissions, %llu timeouts over a clean link", "AB"[side],
                 (unsigned long long)counters[STACK_COUNTER_TCP_RETRANS_SEGS],
                 (unsigned long long)counters[STACK_COUNTER_TCP_TIMEOUTS]);
    }
}

static void capture_write(struct run *run, const char *path)
{
    size_t size;
    const uint8_t *bytes = world_capture_bytes(run->world, &size);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size)
        perror(path);
    if (file)
        fclose(file);
}

static void run_start(struct run *run)
{
    for (unsigned i = 0; i < run->plan->connections; i++) {
        for (int side = 0; side < WORLD_SIDES; side++) {
            struct end *end = &run->end[i][side];
            end->side = side;
            end->number = (int)i;
            end->next_at = run->plan->world.start_us + run->plan->connection[i].start_us[side];
            if (!run->plan->connection[i].opens[side])
                end_listen(run, end);
        }
    }
}

/* What both stacks still know, for one who looks for the cause. */
static void sockets_print(struct run *run, int side)
{
    struct stack *stack = stack_of(run, side);
    uint64_t now_us = world_now(run->world);
    struct stack_summary summary;
    struct stack_info info;
    for (uint32_t cursor = 0; stack_next_summary(stack, &cursor, &summary, now_us);) {
        if (stack_info_by_id(stack, summary.id, &info, now_us) != 0)
            continue;
        printf("  %c %u > %u %s: una %u nxt %u max %u wnd %u cwnd %u not sent %u rto left %lld, "
               "persist left %lld, rcv_nxt %u rcv_wnd %u unread %u\n",
               "AB"[side], summary.local.port, summary.remote.port, tcp_state_name(summary.state),
               info.snd_una, info.snd_nxt, info.snd_max, info.snd_wnd, info.cwnd, info.not_sent,
               (long long)info.rto_left_us, (long long)info.persist_left_us, info.rcv_nxt,
               info.rcv_wnd, summary.receive_queue);
    }
    struct stack_event event;
    for (uint64_t at = 0; stack_next_event(stack, &at, &event, NULL);)
        if (event.kind == STACK_EVENT_STATE || event.kind == STACK_EVENT_RESET)
            printf("  %c %12.6f id %u %s %u %u\n", "AB"[side],
                   (double)(event.at_us - run->plan->world.start_us) / (double)SIM_S, event.id,
                   stack_event_name(event.kind), event.argument[0], event.argument[1]);
}

void run_plan(const struct plan *plan, bool verbose, const char *capture_path,
              struct run_result *result)
{
    struct run *run = calloc(1, sizeof *run);
    struct world_config config = plan->world;
    *result = (struct run_result){0};
    *run = (struct run){.plan = plan, .result = result, .random = ~plan->seed, .verbose = verbose};
    config.filter = on_frame;
    config.context = run;
    run->world = world_create(&config);
    if (capture_path)
        world_capture(run->world);
    run_start(run);
    run_applications(run);
    for (int side = 0; side < WORLD_SIDES && verbose; side++)
        sockets_print(run, side);
    check_results(run);
    run_out(run);
    check_clean(run);
    if (capture_path)
        capture_write(run, capture_path);
    result->hash = world_hash(run->world);
    result->frames = world_frames(run->world);
    result->duration_us = world_now(run->world) - plan->world.start_us;
    world_destroy(run->world);
    free(run);
}

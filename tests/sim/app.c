/* The applications: each end of a connection does what its plan says.

   An application acts as one on an edge-triggered poll would: it goes on sending or receiving until
   the stack says AGAIN, and then not before readiness tells it to. So a lost wake-up is a run that
   never ends. What is sent follows a pattern of its own for each end and place, so that every byte
   that arrives is known to be the right one. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include "../../tapstack/wire/ipv4.h"

static const uint64_t PATIENCE_US = 50000000; /* less than tcp.fin_wait_2 */
static const uint64_t UNOPENED_S = 400; /* an end waits so long for a peer that has given up */

static uint8_t pattern(const struct end *sender, unsigned generation, uint32_t offset)
{
    return (uint8_t)(offset * 13 + (offset >> 8) * 3 + (offset >> 16) +
                     (uint32_t)(sender->number * 29 + sender->side * 101) + generation * 59);
}

/* The descriptor that the end has in a packet script. */
static int fd_of(const struct run *run, const struct end *end)
{
    return run->plan->connection[end->number].opens[end->side] ? 3 : 4;
}

/* ---- Opening ---- */

static void end_close(struct run *run, struct end *end)
{
    if (end->socket <= 0)
        return;
    keep_call(run, end, "close(%d) = 0", fd_of(run, end));
    stack_close(sim_stack(run, end->side), end->socket, end->done_at);
}

/* Begins anew with the same ports, when that is planned; what came so far was checked. */
static void end_repeat(struct run *run, struct end *end)
{
    if (end->generation == run->plan->connection[end->number].repeats || run->result->failure[0])
        return;
    *end = (struct end){.side = end->side,
                        .number = end->number,
                        .random = end->random,
                        .generation = end->generation + 1,
                        .can_accept = end->can_accept,
                        .next_at = sim_now(run)};
}

static void end_finish(struct run *run, struct end *end, int error)
{
    end->state = END_DONE;
    end->error = error;
    end->done_at = sim_now(run);
    end_close(run, end);
    if (run->wishes->verbose)
        printf("      connection %d, %c: done: %s, sent %u, received %u\n", end->number,
               "AB"[end->side], error ? stack_error_text(error) : "in order", end->sent,
               end->received);
    check_end(run, end);
    end_repeat(run, end);
}

static void option_set(struct run *run, const struct end *end, int socket, enum stack_option option,
                       uint64_t value, const char *name)
{
    int result = stack_set_option(sim_stack(run, end->side), socket, option, value, sim_now(run));
    if (result != 0)
        sim_fail(run, end->side, end->number, "option %s to %llu: %s", name,
                 (unsigned long long)value, stack_error_text(result));
    if (option == STACK_OPTION_DEFER_ACCEPT_US)
        value = (value + SIM_S - 1) / SIM_S; /* a script says seconds ... */
    if (option == STACK_OPTION_USER_TIMEOUT_US)
        value /= SIM_MS; /* ... and milliseconds */
    keep_call(run, end, "setsockopt(%d, %s, [%llu], 4) = 0",
              socket == end->socket ? fd_of(run, end) : 3, name, (unsigned long long)value);
}

static void options_keepalive(struct run *run, const struct end *end, int socket)
{
    /* The peer may vanish and its reset be lost: only keep-alive finds that out. */
    bool may_vanish = !plan_is_strict(run->plan, (unsigned)end->number);
    uint64_t idle_us = sim_end_plan(run, end)->keepalive_us;
    if (!may_vanish && !idle_us)
        return;
    struct stack *stack = sim_stack(run, end->side);
    stack_set_option(stack, socket, STACK_OPTION_KEEPIDLE_US, idle_us ? idle_us : 10 * SIM_S,
                     sim_now(run));
    stack_set_option(stack, socket, STACK_OPTION_KEEPINTVL_US, 2 * SIM_S, sim_now(run));
    stack_set_option(stack, socket, STACK_OPTION_KEEPCNT, may_vanish ? 9 : 100, sim_now(run));
    option_set(run, end, socket, STACK_OPTION_KEEPALIVE, 1, "SOL_SOCKET, SO_KEEPALIVE");
}

/* A listener's are its connections', too. */
static void options_set(struct run *run, const struct end *end, int socket)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    if (plan->receive_buffer)
        option_set(run, end, socket, STACK_OPTION_RECEIVE_BUFFER, plan->receive_buffer,
                   "SOL_SOCKET, SO_RCVBUF");
    if (plan->send_buffer)
        option_set(run, end, socket, STACK_OPTION_SEND_BUFFER, plan->send_buffer,
                   "SOL_SOCKET, SO_SNDBUF");
    if (plan->maximum_segment)
        option_set(run, end, socket, STACK_OPTION_MAXIMUM_SEGMENT, plan->maximum_segment,
                   "SOL_TCP, TCP_MAXSEG");
    if (plan->nodelay)
        option_set(run, end, socket, STACK_OPTION_NODELAY, 1, "SOL_TCP, TCP_NODELAY");
    if (plan->cork)
        option_set(run, end, socket, STACK_OPTION_CORK, 1, "SOL_TCP, TCP_CORK");
    if (plan->delays_all_acks)
        option_set(run, end, socket, STACK_OPTION_QUICK_ACK, 0, "SOL_TCP, TCP_QUICKACK");
    if (plan->user_timeout_us)
        option_set(run, end, socket, STACK_OPTION_USER_TIMEOUT_US, plan->user_timeout_us,
                   "SOL_TCP, TCP_USER_TIMEOUT");
    if (plan->defer_accept_us && socket != end->socket)
        option_set(run, end, socket, STACK_OPTION_DEFER_ACCEPT_US, plan->defer_accept_us,
                   "SOL_TCP, TCP_DEFER_ACCEPT");
    options_keepalive(run, end, socket);
}

/* An earlier connection may still have the ports, in TIME-WAIT here: later, then. */
static void end_connect_failed(struct run *run, struct end *end, int result)
{
    bool ports_rest = end->generation > 0 && result == STACK_IN_USE;
    if (!ports_rest && !(result == STACK_NO_MEMORY && run->plan->memory_fails_ppm)) {
        sim_fail(run, end->side, end->number, "connect: %s", stack_error_text(result));
        return;
    }
    if (end->socket > 0) {
        keep_call(run, end, "close(3) = 0");
        stack_close(sim_stack(run, end->side), end->socket, sim_now(run));
    }
    end->socket = 0;
    end->state = END_WAITING;
}

static void end_connect(struct run *run, struct end *end)
{
    struct stack *stack = sim_stack(run, end->side);
    struct stack_endpoint local = {.port = sim_port(end->side, end->number)};
    struct stack_endpoint remote = {ip_address_from_v4(world_address(1 - end->side)),
                                    sim_port(1 - end->side, end->number)};
    end->socket = stack_open(stack, IPV4_PROTOCOL_TCP);
    if (end->socket < 0) {
        end_connect_failed(run, end, end->socket);
        return;
    }
    end->state = END_OPEN;
    keep_call(run, end, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
    keep_call(run, end, "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    options_set(run, end, end->socket);
    stack_set_user(stack, end->socket, end);
    int result = stack_bind(stack, end->socket, &local);
    if (result == 0)
        result = stack_connect(stack, end->socket, &remote, sim_now(run));
    if (result == STACK_IN_PROGRESS)
        keep_call(run, end, "connect(3, ..., ...) = -1 EINPROGRESS");
    else
        end_connect_failed(run, end, result);
}

static void end_listen(struct run *run, struct end *end)
{
    struct stack *stack = sim_stack(run, end->side);
    struct stack_endpoint local = {.port = sim_port(end->side, end->number)};
    int listener = stack_open(stack, IPV4_PROTOCOL_TCP);
    keep_call(run, end, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
    keep_call(run, end, "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    options_set(run, end, listener);
    if (stack_bind(stack, listener, &local) != 0 || stack_listen(stack, listener, 8) != 0)
        sim_fail(run, end->side, end->number, "listen failed");
    keep_call(run, end, "bind(3, ..., ...) = 0");
    keep_call(run, end, "listen(3, 8) = 0");
    stack_set_user(stack, listener, end);
    run->listener[end->number] = listener;
}

static void end_accept(struct run *run, struct end *end)
{
    struct stack *stack = sim_stack(run, end->side);
    int socket = stack_accept(stack, run->listener[end->number]);
    end->can_accept = false;
    if (socket < 0)
        return;
    end->socket = socket;
    end->state = END_OPEN;
    end->connected = end->can_send = end->can_receive = true;
    keep_call(run, end, "accept(3, ..., ...) = 4");
    keep_call(run, end, "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    stack_set_user(stack, socket, end);
}

/* ---- Sending and receiving ---- */

static size_t chunk_draw(struct end *end, uint32_t most)
{
    uint64_t size = random_log(&end->random, 1, most);
    return (size_t)(size < RUN_CHUNK_MAX ? size : RUN_CHUNK_MAX);
}

static int send_flags_draw(const struct end_plan *plan, struct end *end)
{
    int flags = 0;
    if (plan->urgent_percent && random_chance(&end->random, plan->urgent_percent))
        flags |= STACK_SEND_URGENT;
    if (plan->more_percent && random_chance(&end->random, plan->more_percent))
        flags |= STACK_SEND_MORE;
    return flags;
}

static ptrdiff_t send_zero_copy(struct run *run, const struct end *end, size_t size, int flags)
{
    struct stack *stack = sim_stack(run, end->side);
    struct stack_room room[2] = {{NULL, 0}, {NULL, 0}};
    ptrdiff_t got = stack_send_reserve(stack, end->socket, size, room);
    if (got < 0)
        return got;
    size = (size_t)got < size ? (size_t)got : size;
    size_t first = room[0].size < size ? room[0].size : size;
    memcpy(room[0].data, run->bytes, first);
    if (first < size)
        memcpy(room[1].data, run->bytes + first, size - first);
    stack_send_commit(stack, end->socket, size, flags, sim_now(run));
    return (ptrdiff_t)size;
}

static void keep_send(struct run *run, const struct end *end, size_t size, int flags,
                      ptrdiff_t taken)
{
    char result[32];
    keep_call(run, end, "send(%d, ..., %zu, %s) = %s", fd_of(run, end), size,
              flags & STACK_SEND_URGENT ? flags & STACK_SEND_MORE ? "MSG_OOB|MSG_MORE" : "MSG_OOB"
              : flags & STACK_SEND_MORE ? "MSG_MORE"
                                        : "0",
              keep_result(taken, result));
}

static void end_send(struct run *run, struct end *end)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    size_t size = chunk_draw(end, plan->write_max);
    size = size < plan->bytes - end->sent ? size : plan->bytes - end->sent;
    for (size_t i = 0; i < size; i++)
        run->bytes[i] = pattern(end, end->generation, end->sent + (uint32_t)i);
    int flags = send_flags_draw(plan, end);
    ptrdiff_t taken = plan->zero_copy ? send_zero_copy(run, end, size, flags)
                                      : stack_send(sim_stack(run, end->side), end->socket,
                                                   run->bytes, size, flags, sim_now(run));
    keep_send(run, end, size, flags, taken);
    if (taken > 0) {
        end->sent += (uint32_t)taken;
        /* The end of what is urgent must have been taken. */
        end->sent_urgent |= flags & STACK_SEND_URGENT && (plan->zero_copy || (size_t)taken == size);
    } else if (taken == STACK_AGAIN || taken == STACK_IN_PROGRESS) {
        end->can_send = false;
    } else {
        end_finish(run, end, (int)taken);
    }
}

/* Some of what is taken out goes on counting as buffer until the next time. */
static ptrdiff_t receive_zero_copy(struct run *run, struct end *end, size_t size)
{
    struct stack *stack = sim_stack(run, end->side);
    struct frame_piece piece[2] = {{NULL, 0}, {NULL, 0}};
    ptrdiff_t got = stack_recv_peek(stack, end->socket, piece);
    if (got <= 0)
        return got;
    size = (size_t)got < size ? (size_t)got : size;
    size_t first = piece[0].size < size ? piece[0].size : size;
    memcpy(run->bytes, piece[0].data, first);
    if (first < size)
        memcpy(run->bytes + first, piece[1].data, size - first);
    end->held = random_chance(&end->random, 30) ? size : 0;
    stack_recv_consume(stack, end->socket, size, end->held, sim_now(run));
    return (ptrdiff_t)size;
}

/* The buffer may shrink below what is offered already: the window must keep its promise. */
static void end_rebuffer(struct run *run, struct end *end)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    if (!plan->later_receive_buffer || end->rebuffered)
        return;
    end->rebuffered = true;
    option_set(run, end, end->socket, STACK_OPTION_RECEIVE_BUFFER, plan->later_receive_buffer,
               "SOL_SOCKET, SO_RCVBUF");
}

static void end_take_bytes(struct run *run, struct end *end, size_t size)
{
    struct end *sender = &run->end[end->number][1 - end->side];
    for (size_t i = 0; i < size; i++) {
        uint32_t offset = end->received + (uint32_t)i;
        if (run->bytes[i] != pattern(sender, end->generation, offset))
            sim_fail(run, end->side, end->number, "wrong byte at %u", offset);
    }
    end->received += (uint32_t)size;
    if (sender->generation == end->generation && end->received > sender->sent)
        sim_fail(run, end->side, end->number, "more received than sent");
    end_rebuffer(run, end);
}

static void end_receive(struct run *run, struct end *end)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    char result[32];
    size_t size = chunk_draw(end, plan->read_max);
    ptrdiff_t got = plan->zero_copy ? receive_zero_copy(run, end, size)
                                    : stack_recv(sim_stack(run, end->side), end->socket, run->bytes,
                                                 size, sim_now(run));
    keep_call(run, end, "read(%d, ..., %zu) = %s", fd_of(run, end), size, keep_result(got, result));
    if (got > 0)
        end_take_bytes(run, end, (size_t)got);
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
    const struct end_plan *plan = sim_end_plan(run, end);
    return end->can_send && end->sent < plan->bytes &&
           (plan->ending != ENDING_READ_THEN_SEND || end->peer_ended);
}

static bool wants_to_receive(const struct end *end)
{
    return end->can_receive && !end->peer_ended && !end->is_deaf;
}

static bool wants_to_end(const struct run *run, const struct end *end)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    uint32_t expected = run->plan->connection[end->number].end[1 - end->side].bytes;
    bool all_sent = end->connected && end->sent == plan->bytes;
    switch (plan->ending) {
    case ENDING_SHUTDOWN_THEN_READ:
        return all_sent && (!end->shut_down || end->peer_ended);
    case ENDING_READ_THEN_SEND:
        return all_sent && end->peer_ended;
    case ENDING_CLOSE_WHEN_DONE:
        return all_sent && (end->received >= expected || end->peer_ended);
    case ENDING_DEAF:
        return all_sent;
    default:
        return end->sent + end->received >= plan->until_bytes || (all_sent && end->peer_ended);
    }
}

/* Takes its time once before the end. A peer in FIN-WAIT-2 does not wait for ever; what it said must
   have been read by then. */
static bool end_lingers(struct run *run, struct end *end)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    if (!plan->linger_us || end->lingered)
        return false;
    end->lingered = true;
    bool may_tire = !end->peer_ended && plan->linger_us > PATIENCE_US;
    end->next_at = sim_now(run) + (may_tire ? PATIENCE_US : plan->linger_us);
    return true;
}

static void end_turn_deaf(struct run *run, struct end *end)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    if (plan->ending != ENDING_DEAF || end->is_deaf || !end->connected ||
        end->sent + end->received < plan->until_bytes)
        return;
    end->is_deaf = true;
    int result =
        stack_shutdown(sim_stack(run, end->side), end->socket, STACK_SHUTDOWN_READ, sim_now(run));
    keep_call(run, end, "shutdown(%d, SHUT_RD) = %d", fd_of(run, end), result ? -1 : 0);
}

static void end_shut_down(struct run *run, struct end *end)
{
    end->shut_down = true;
    int result =
        stack_shutdown(sim_stack(run, end->side), end->socket, STACK_SHUTDOWN_WRITE, sim_now(run));
    keep_call(run, end, "shutdown(%d, SHUT_WR) = %d", fd_of(run, end), result ? -1 : 0);
    if (result != 0)
        end_finish(run, end, result);
}

static void end_end(struct run *run, struct end *end)
{
    const struct end_plan *plan = sim_end_plan(run, end);
    if (plan->ending == ENDING_SHUTDOWN_THEN_READ && !end->shut_down) {
        end_shut_down(run, end);
        return;
    }
    if (plan->ending == ENDING_ABORT) {
        keep_call(run, end, "setsockopt(%d, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0",
                  fd_of(run, end));
        keep_call(run, end, "close(%d) = 0", fd_of(run, end));
        stack_abort(sim_stack(run, end->side), end->socket, sim_now(run));
        end->socket = 0;
    }
    end_finish(run, end, 0);
}

static bool end_is_ready(const struct run *run, const struct end *end)
{
    const struct connection_plan *plan = &run->plan->connection[end->number];
    if (end->state == END_WAITING)
        return plan->opens[end->side] || end->can_accept;
    if (end->state != END_OPEN)
        return false;
    return end->held > 0 || wants_to_send(run, end) || wants_to_receive(end) ||
           wants_to_end(run, end);
}

static void end_act_open(struct run *run, struct end *end)
{
    if (end->held > 0)
        stack_recv_held(sim_stack(run, end->side), end->socket, end->held = 0, sim_now(run));
    if (wants_to_receive(end))
        end_receive(run, end);
    if (end->state == END_OPEN && wants_to_send(run, end))
        end_send(run, end);
    if (end->state == END_OPEN)
        end_turn_deaf(run, end);
}

static void end_act(struct run *run, struct end *end)
{
    uint64_t pause_us = sim_end_plan(run, end)->pause_max_us;
    unsigned generation = end->generation;
    bool waits = end->state == END_WAITING;
    end->next_at = sim_now(run) + (pause_us ? random_below(&end->random, pause_us) : 0);
    if (waits && run->plan->connection[end->number].opens[end->side])
        end_connect(run, end);
    else if (waits)
        end_accept(run, end);
    else
        end_act_open(run, end);
    if (waits && end->state == END_WAITING)
        end->next_at = sim_now(run) + SIM_S; /* the ports rest, or there is no memory */
    if (end->generation == generation && end->state == END_OPEN && wants_to_end(run, end) &&
        !end_lingers(run, end))
        end_end(run, end);
}

static void end_may_accept(struct run *run, struct end *end)
{
    unsigned last = run->plan->connection[end->number].repeats;
    if (end->state != END_WAITING && end->generation == last)
        sim_fail(run, end->side, end->number, "a connection more than were opened");
    end->can_accept = true;
}

static void readiness_take(struct run *run, int side)
{
    struct stack_ready ready;
    while (stack_next_ready(sim_stack(run, side), &ready)) {
        struct end *end = ready.user;
        if (!end)
            continue; /* not accepted yet */
        if (ready.what & STACK_READY_ACCEPT)
            end_may_accept(run, end);
        if (ready.socket != end->socket || end->state != END_OPEN)
            continue;
        end->connected |= (ready.what & STACK_READY_CONNECTED) != 0;
        end->saw_urgent |= (ready.what & STACK_READY_URGENT) != 0;
        unsigned over = STACK_READY_ERROR | STACK_READY_END;
        end->can_receive |= (ready.what & (STACK_READY_RECV | over)) != 0;
        end->can_send |= (ready.what & (STACK_READY_SEND | STACK_READY_CONNECTED | over)) != 0;
    }
}

uint64_t app_act(struct run *run)
{
    uint64_t next_at = UINT64_MAX;
    for (int side = 0; side < WORLD_SIDES; side++)
        readiness_take(run, side);
    for (unsigned i = 0; i < run->plan->connections; i++) {
        for (int side = 0; side < WORLD_SIDES; side++) {
            struct end *end = &run->end[i][side];
            if (end_is_ready(run, end) && end->next_at <= sim_now(run))
                end_act(run, end);
            if (end_is_ready(run, end) && end->next_at < next_at)
                next_at = end->next_at;
        }
    }
    return next_at;
}

/* ---- Beginning and end ---- */

void app_start(struct run *run)
{
    for (unsigned i = 0; i < run->plan->connections; i++) {
        const struct connection_plan *plan = &run->plan->connection[i];
        for (int side = 0; side < WORLD_SIDES; side++) {
            struct end *end = &run->end[i][side];
            end->side = side;
            end->number = (int)i;
            end->random = ~(run->plan->seed * SIM_CONNECTIONS_MAX + i) ^ (uint64_t)side << 63;
            end->next_at = run->plan->world.start_us + plan->start_us[side];
            if (plan->absent)
                end->state = END_DONE;
            else if (!plan->opens[side])
                end_listen(run, end);
        }
    }
}

/* An end is over when it is done, or when it waits for a peer that has long given up. */
bool app_is_over(const struct run *run, const struct end *end)
{
    const struct end *peer = &run->end[end->number][1 - end->side];
    if (end->state == END_WAITING && peer->state == END_DONE &&
        !plan_is_strict(run->plan, (unsigned)end->number))
        return sim_now(run) > peer->done_at + UNOPENED_S * SIM_S;
    return end->state == END_DONE;
}

void app_stop(struct run *run)
{
    for (unsigned i = 0; i < run->plan->connections; i++)
        for (int side = 0; side < WORLD_SIDES; side++)
            if (run->listener[i] > 0 && !run->plan->connection[i].opens[side])
                stack_close(sim_stack(run, side), run->listener[i], sim_now(run));
}

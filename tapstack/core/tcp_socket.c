/* The life of a socket: made, prepared for a connection, told of changes, ended.

   Two parties hold a socket: the protocol, as long as its connection is alive, and the application,
   as long as it has not closed the handle. It is freed when both have let go. */
#include <assert.h>
#include <string.h>

#include "state.h"

enum { FREE_SOCKETS_MAX = 1024 };

static void socket_default_options(const struct stack_settings *settings,
                                   struct tcp_options_set *options)
{
    *options = (struct tcp_options_set){
        .keepidle_ms = (uint32_t)(settings->tcp_keepalive_time_us / 1000),
        .keepintvl_ms = (uint32_t)(settings->tcp_keepalive_interval_us / 1000),
        .receive_buffer = (uint32_t)settings->tcp_receive_buffer,
        .send_buffer = (uint32_t)settings->tcp_send_buffer,
        .keepcnt = (uint8_t)settings->tcp_keepalive_probes,
        .syn_retries = (uint8_t)settings->tcp_syn_retries,
        .ttl = (uint8_t)settings->ip_ttl,
        .nodelay = !settings->tcp_nagle,
    };
}

static struct tcp_socket *socket_allocate(struct stack *stack)
{
    struct tcp *tcp = &stack->tcp;
    struct tcp_socket *socket = LIST_FIRST(&tcp->free_sockets);
    if (socket) {
        LIST_REMOVE(socket, sibling);
        tcp->free_count--;
    } else {
        socket = memory_allocate(&stack->pool.memory, sizeof(*socket));
    }
    if (socket)
        memset(socket, 0, sizeof(*socket));
    return socket;
}

static void socket_free(struct stack *stack, struct tcp_socket *socket)
{
    struct tcp *tcp = &stack->tcp;
    if (tcp->free_count >= FREE_SOCKETS_MAX) {
        memory_release(&stack->pool.memory, socket, sizeof(*socket));
        return;
    }
    LIST_INSERT_HEAD(&tcp->free_sockets, socket, sibling);
    tcp->free_count++;
}

void tcp_socket_trim(struct stack *stack, uint32_t keep)
{
    struct tcp *tcp = &stack->tcp;
    while (tcp->free_count > keep) {
        struct tcp_socket *socket = LIST_FIRST(&tcp->free_sockets);
        LIST_REMOVE(socket, sibling);
        memory_release(&stack->pool.memory, socket, sizeof(*socket));
        tcp->free_count--;
    }
}

struct tcp_socket *tcp_socket_create(struct stack *stack, uint64_t now_us)
{
    struct tcp_socket *socket = socket_allocate(stack);
    if (!socket)
        return NULL;
    if (tcp_table_number(stack, &socket->entry) < 0) {
        socket_free(stack, socket);
        return NULL;
    }
    for (int i = 0; i < TCP_TIMER_COUNT; i++)
        socket->deadline[i] = TCP_NEVER;
    socket_default_options(&stack->settings, &socket->options);
    socket->congestion.algorithm = &congestion_newreno;
    socket->created_at = socket->limit_since = now_us;
    stack->tcp.socket_count++;
    stack->tcp.by_state[TCP_CLOSED]++;
    return socket;
}

struct tcp_socket *tcp_socket_get(const struct stack *stack, int handle)
{
    if (handle <= 0)
        return NULL;
    struct tcp_entry *entry = tcp_table_by_id(stack, (uint32_t)handle);
    if (!entry || entry->compact || entry->datagram)
        return NULL;
    struct tcp_socket *socket = (struct tcp_socket *)entry;
    return socket->application ? socket : NULL;
}

void tcp_socket_set_state(struct stack *stack, struct tcp_socket *socket, enum tcp_state state,
                          uint64_t now_us)
{
    stack_event_add(stack, STACK_EVENT_STATE, socket->entry.id, now_us, socket->entry.state, state,
                    0, 0);
    stack->tcp.by_state[socket->entry.state]--;
    stack->tcp.by_state[state]++;
    socket->entry.state = (uint8_t)state;
}

/* ---- lists ---- */

void tcp_socket_want_output(struct stack *stack, struct tcp_socket *socket)
{
    if (!socket->out_queued)
        TAILQ_INSERT_TAIL(&stack->tcp.out, socket, out);
    socket->out_queued = true;
}

void tcp_socket_signal(struct stack *stack, struct tcp_socket *socket, unsigned ready)
{
    if (!socket->application)
        return;
    socket->news |= (uint16_t)ready;
    if (!socket->ready_queued)
        TAILQ_INSERT_TAIL(&stack->tcp.ready, socket, ready);
    socket->ready_queued = true;
}

static void socket_leave_output(struct stack *stack, struct tcp_socket *socket)
{
    if (socket->out_queued)
        TAILQ_REMOVE(&stack->tcp.out, socket, out);
    socket->out_queued = false;
}

static void socket_leave_ready(struct stack *stack, struct tcp_socket *socket)
{
    if (socket->ready_queued)
        TAILQ_REMOVE(&stack->tcp.ready, socket, ready);
    socket->ready_queued = false;
}

void tcp_socket_let_go(struct stack *stack, struct tcp_socket *socket)
{
    socket->application = false;
    socket->user = NULL;
    socket->news = 0;
    socket_leave_ready(stack, socket);
}

void tcp_socket_leave_listener(struct tcp_socket *socket)
{
    struct tcp_socket *listener = socket->listener;
    if (!listener)
        return;
    if (socket->in_accept_queue) {
        TAILQ_REMOVE(&listener->accept_queue, socket, waiting);
        listener->waiting_count--;
    } else {
        listener->embryonic_count--;
    }
    socket->in_accept_queue = false;
    LIST_REMOVE(socket, sibling);
    socket->listener = NULL;
}

/* ---- the end ---- */

static void socket_release_buffers(struct stack *stack, struct tcp_socket *socket)
{
    ring_release(&socket->send, &stack->pool);
    tcp_receive_release(stack, socket);
}

void tcp_socket_destroy(struct stack *stack, struct tcp_socket *socket)
{
    struct tcp *tcp = &stack->tcp;
    assert(socket->entry.state != TCP_LISTEN || LIST_EMPTY(&socket->children));
    tcp_socket_leave_listener(socket);
    socket_release_buffers(stack, socket);
    wheel_cancel(&tcp->wheel, &socket->timer);
    socket_leave_output(stack, socket);
    socket_leave_ready(stack, socket);
    tcp_table_unbind(stack, socket);
    tcp_table_remove(stack, &socket->entry);
    tcp_table_unnumber(stack, &socket->entry);
    tcp->by_state[socket->entry.state]--;
    tcp->socket_count--;
    socket_free(stack, socket);
}

/* What was received before the end stays readable for the application. */
void tcp_socket_end(struct stack *stack, struct tcp_socket *socket, int error, uint64_t now_us)
{
    tcp_socket_leave_listener(socket);
    if (socket->entry.state != TCP_CLOSED)
        tcp_socket_set_state(stack, socket, TCP_CLOSED, now_us);
    if (!socket->application) {
        tcp_socket_destroy(stack, socket);
        return;
    }
    for (int i = 0; i < TCP_TIMER_COUNT; i++)
        socket->deadline[i] = TCP_NEVER;
    wheel_cancel(&stack->tcp.wheel, &socket->timer);
    socket_leave_output(stack, socket);
    tcp_table_remove(stack, &socket->entry);
    tcp_table_unbind(stack, socket);
    ring_release(&socket->send, &stack->pool);
    if (socket->receive.used == 0)
        tcp_receive_release(stack, socket);
    socket->error = (int8_t)error;
    socket->ended = true;
    tcp_socket_signal(stack, socket,
                      error ? STACK_READY_ERROR | STACK_READY_RECV : STACK_READY_RECV);
}

/* ---- preparing a connection ---- */

/* ISN = M + F(localip, localport, remoteip, remoteport, secretkey) (RFC 6528, 3; MUST-8, MUST-9):
   M ticks every 4 microseconds. */
static uint32_t socket_initial_sequence(const struct stack *stack, const struct tcp_entry *entry,
                                        uint64_t now_us)
{
    struct {
        struct ip_address local, remote;
        uint16_t ports[2];
    } key = {entry->local_address, entry->remote_address, {entry->local_port, entry->remote_port}};
    return (uint32_t)stack_hash(stack, 1, &key, sizeof key) + (uint32_t)(now_us / 4);
}

/* A random start of the timestamp clock a pair of hosts (RFC 7323, 5.4): monotonic for all
   connections between the same two addresses, so that PAWS and the reopening of TIME-WAIT hold. */
static uint32_t socket_timestamp_offset(const struct stack *stack, const struct tcp_entry *entry)
{
    struct ip_address pair[2] = {entry->local_address, entry->remote_address};
    return (uint32_t)(stack_hash(stack, 1, pair, sizeof pair) >> 32);
}

void tcp_socket_set_iss(struct tcp_socket *socket, uint32_t iss)
{
    socket->snd.iss = iss;
    socket->snd.una = socket->snd.nxt = socket->snd.max = iss;
    socket->snd.up = socket->snd.push = socket->snd.small = socket->snd.recover = iss;
}

void tcp_socket_prepare(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    tcp_socket_set_iss(socket, socket_initial_sequence(stack, &socket->entry, now_us));
    socket->ts_offset = socket_timestamp_offset(stack, &socket->entry);
    tcp_mtu_open(stack, socket);
    socket->peer_mss = TCP_MSS_DEFAULT;
    socket->rto_us = (uint32_t)stack->settings.tcp_rto_initial_us;
    tcp_receive_start_quick_acks(stack, socket);
    socket->last_sent_at = socket->last_received_at = socket->last_ack_at = now_us;
    tcp_out_update_mss(stack, socket);
    tcp_recovery_open(stack, socket);
    socket->rcv_mss = TCP_MSS_DEFAULT;
}

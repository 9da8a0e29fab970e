/* The socket calls of the public header: RFC 9293, 3.10.1 to 3.10.6, on handles. What is no socket of
   TCP is handed to UDP. */
#include "state.h"

enum {
    MAXIMUM_SEGMENT_LEAST = 88, /* as Linux' TCP_MAXSEG */
    BUFFER_LEAST = 2048,
    SEND_STREAM_PIECE_BYTES = 256 << 10,
    SEND_STREAM_BYTES = 2 << 20,
};

/* ---- making and naming ---- */

int stack_open(struct stack *stack, int protocol)
{
    if (protocol == IPV4_PROTOCOL_UDP)
        return udp_open(stack);
    if (protocol != IPV4_PROTOCOL_TCP)
        return STACK_NOT_SUPPORTED;
    struct tcp_socket *socket = tcp_socket_create(stack, stack->tcp.wheel.now_us);
    if (!socket)
        return STACK_NO_MEMORY;
    socket->application = true;
    return (int)socket->entry.id;
}

static bool socket_port_is_unbound(const struct stack *stack, const struct tcp_entry *entry,
                                   uint16_t port)
{
    return !tcp_table_port_taken(stack, &entry->local_address, port);
}

static bool socket_tuple_is_free(const struct stack *stack, const struct tcp_entry *entry,
                                 uint16_t port)
{
    return socket_port_is_unbound(stack, entry, port) &&
           !tcp_table_find(stack, &entry->local_address, port, &entry->remote_address,
                           entry->remote_port);
}

int stack_bind(struct stack *stack, int handle, const struct stack_endpoint *local)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_bind(stack, handle, local);
    if (socket->bound || socket->entry.state != TCP_CLOSED || socket->ended)
        return STACK_INVALID;
    if (!ip_address_is_unspecified(&local->address) &&
        !ip_is_local(stack, ip_address_to_v4(&local->address)))
        return STACK_NOT_AVAILABLE;
    if (local->port != 0 && tcp_table_port_taken(stack, &local->address, local->port))
        return STACK_IN_USE;
    socket->entry.local_address = local->address;
    socket->entry.local_port =
        local->port ? local->port
                    : tcp_table_draw_port(stack, &socket->entry, socket_port_is_unbound);
    if (socket->entry.local_port == 0)
        return STACK_NOT_AVAILABLE;
    socket->bound = true;
    tcp_table_bind(stack, socket);
    return 0;
}

int stack_listen(struct stack *stack, int handle, int backlog)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    uint32_t most = (uint32_t)stack->settings.tcp_backlog_max;
    if (!socket)
        return udp_refuse(stack, handle);
    if (!socket->bound || socket->ended ||
        (socket->entry.state != TCP_CLOSED && socket->entry.state != TCP_LISTEN))
        return STACK_INVALID;
    socket->backlog = backlog < 1 ? 1 : (uint32_t)backlog < most ? (uint32_t)backlog : most;
    if (socket->entry.state == TCP_LISTEN)
        return 0;
    TAILQ_INIT(&socket->accept_queue);
    LIST_INIT(&socket->children);
    tcp_socket_set_state(stack, socket, TCP_LISTEN, stack->tcp.wheel.now_us);
    return 0;
}

int stack_accept(struct stack *stack, int handle)
{
    struct tcp_socket *listener = tcp_socket_get(stack, handle);
    if (!listener)
        return udp_refuse(stack, handle);
    if (listener->entry.state != TCP_LISTEN)
        return STACK_INVALID;
    struct tcp_socket *socket = TAILQ_FIRST(&listener->accept_queue);
    if (!socket)
        return STACK_AGAIN;
    tcp_socket_leave_listener(socket);
    socket->application = true;
    if (socket->receive.used > 0)
        tcp_socket_signal(stack, socket, STACK_READY_RECV);
    if (socket->fin_received)
        tcp_socket_signal(stack, socket, STACK_READY_END | STACK_READY_RECV);
    return (int)socket->entry.id;
}

/* ---- active OPEN ---- */

static bool socket_is_valid_peer(const struct stack *stack, const struct stack_endpoint *remote)
{
    uint32_t v4 = ip_address_to_v4(&remote->address);
    return remote->port != 0 && ipv4_is_valid_source(v4) && !ip_is_broadcast(stack, v4) &&
           !ip_is_local(stack, v4);
}

static int socket_connect_addresses(struct stack *stack, struct tcp_socket *socket,
                                    const struct stack_endpoint *remote)
{
    uint32_t source;
    unsigned interface;
    int result = ip_choose_source(stack, ip_address_to_v4(&remote->address), &source, &interface);
    if (result < 0)
        return result;
    if (ip_address_is_unspecified(&socket->entry.local_address))
        socket->entry.local_address = ip_address_from_v4(source); /* MUST-44 */
    socket->entry.remote_address = remote->address;
    socket->entry.remote_port = remote->port;
    if (socket->entry.local_port == 0)
        socket->entry.local_port = tcp_table_draw_port(stack, &socket->entry, socket_tuple_is_free);
    if (socket->entry.local_port == 0)
        return STACK_NOT_AVAILABLE;
    return tcp_table_find(stack, &socket->entry.local_address, socket->entry.local_port,
                          &remote->address, remote->port)
               ? STACK_IN_USE
               : 0;
}

int stack_connect(struct stack *stack, int handle, const struct stack_endpoint *remote,
                  uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_connect(stack, handle, remote);
    if (socket->entry.state == TCP_SYN_SENT || socket->entry.state == TCP_SYN_RECEIVED)
        return STACK_IN_PROGRESS;
    if (socket->entry.state == TCP_LISTEN || socket->ended)
        return STACK_INVALID;
    if (socket->entry.state != TCP_CLOSED)
        return STACK_IS_CONNECTED;
    if (!socket_is_valid_peer(stack, remote))
        return STACK_NOT_AVAILABLE;
    int result = socket_connect_addresses(stack, socket, remote);
    if (result < 0)
        return result;
    tcp_socket_prepare(stack, socket, now_us);
    tcp_table_insert(stack, &socket->entry);
    stack_count(stack, STACK_COUNTER_TCP_ACTIVE_OPENS);
    tcp_socket_set_state(stack, socket, TCP_SYN_SENT, now_us);
    socket->syn_wanted = true;
    tcp_socket_want_output(stack, socket);
    return STACK_IN_PROGRESS;
}

/* ---- sending ---- */

/* 0 when data may be sent, or why not. */
static int socket_send_state(const struct tcp_socket *socket)
{
    if (socket->error)
        return socket->error;
    switch (socket->entry.state) {
    case TCP_SYN_SENT:
    case TCP_SYN_RECEIVED:
        return STACK_IN_PROGRESS;
    case TCP_ESTABLISHED:
    case TCP_CLOSE_WAIT:
        return socket->fin_wanted ? STACK_CLOSED : 0;
    case TCP_CLOSED:
    case TCP_LISTEN:
        return socket->fin_wanted ? STACK_CLOSED : STACK_NOT_CONNECTED;
    default:
        return STACK_CLOSED;
    }
}

/* Memory for a send buffer that is to hold `bytes`, of which `fresh` come now. What comes in large
   pieces is a stream, and gets at once what it would come to: growing step by step copies each time
   what is there, and a large block can be one huge page. */
static uint32_t send_memory(uint32_t bytes, uint32_t fresh, uint32_t limit)
{
    bool stream = fresh >= SEND_STREAM_PIECE_BYTES && limit >= SEND_STREAM_BYTES / 2;
    return stream && bytes < SEND_STREAM_BYTES ? SEND_STREAM_BYTES : bytes;
}

ptrdiff_t stack_send_reserve(struct stack *stack, int handle, size_t wanted,
                             struct stack_room room[2])
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_refuse(stack, handle);
    int state = socket_send_state(socket);
    if (state < 0)
        return state;
    uint32_t used = socket->send.used, limit = tcp_out_send_limit(stack, socket);
    uint32_t free_bytes = used < limit ? limit - used : 0;
    uint32_t size = wanted < free_bytes ? (uint32_t)wanted : free_bytes;
    if (size == 0) {
        socket->send_full = true;
        return STACK_AGAIN;
    }
    if (used + size > socket->send.capacity &&
        ring_grow(&socket->send, &stack->pool, send_memory(used + size, size, limit), used) < 0)
        return STACK_NO_MEMORY;
    struct frame_piece piece[2] = {{0}};
    ring_pieces(&socket->send, used, size, piece);
    for (int i = 0; i < 2; i++)
        room[i] = (struct stack_room){(uint8_t *)(uintptr_t)piece[i].data, piece[i].size};
    return (ptrdiff_t)size;
}

int stack_send_commit(struct stack *stack, int handle, size_t size, int flags, uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_refuse(stack, handle);
    if (size == 0) {
        if (socket->send.used == 0)
            ring_release(&socket->send, &stack->pool);
        return 0;
    }
    ring_append(&socket->send, (uint32_t)size);
    uint32_t end = socket->snd.una + socket->send.used;
    socket->hold_partial = flags & STACK_SEND_MORE;
    if (!socket->hold_partial)
        socket->snd.push = end;
    if (flags & STACK_SEND_URGENT)
        socket->snd.up = end;
    tcp_socket_want_output(stack, socket);
    tcp_timer_update(stack, socket, now_us);
    return 0;
}

ptrdiff_t stack_send(struct stack *stack, int handle, const void *bytes, size_t size, int flags,
                     uint64_t now_us)
{
    struct stack_room room[2];
    if (size == 0)
        return 0;
    ptrdiff_t result = stack_send_reserve(stack, handle, size, room);
    if (result <= 0)
        return result;
    memcpy(room[0].data, bytes, room[0].size);
    if (room[1].size > 0)
        memcpy(room[1].data, (const uint8_t *)bytes + room[0].size, room[1].size);
    if ((size_t)result < size) {
        flags &= ~STACK_SEND_URGENT; /* the end of these bytes has not been taken yet */
        struct tcp_socket *socket = tcp_socket_get(stack, handle);
        socket->send_full = true;
    }
    stack_send_commit(stack, handle, (size_t)result, flags, now_us);
    return result;
}

/* ---- receiving ---- */

ptrdiff_t stack_recv_peek(struct stack *stack, int handle, struct frame_piece piece[2])
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_refuse(stack, handle);
    enum tcp_state state = socket->entry.state;
    piece[0] = piece[1] = (struct frame_piece){NULL, 0};
    if (socket->receive.used > 0 && !socket->read_shutdown) {
        ring_pieces(&socket->receive, 0, socket->receive.used, piece);
        return (ptrdiff_t)socket->receive.used;
    }
    if (socket->error)
        return socket->error;
    if (socket->fin_received || socket->read_shutdown)
        return 0;
    if (state == TCP_SYN_SENT || state == TCP_SYN_RECEIVED)
        return STACK_IN_PROGRESS;
    return state == TCP_CLOSED || state == TCP_LISTEN ? STACK_NOT_CONNECTED : STACK_AGAIN;
}

int stack_recv_held(struct stack *stack, int handle, size_t held, uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    (void)now_us;
    if (!socket)
        return udp_recv_held(stack, handle, held);
    socket->held = (uint32_t)held;
    tcp_receive_window_opened(stack, socket);
    return 0;
}

int stack_recv_consume(struct stack *stack, int handle, size_t size, size_t held, uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_refuse(stack, handle);
    if (size > socket->receive.used)
        return STACK_INVALID;
    ring_consume(&socket->receive, (uint32_t)size);
    if (socket->receive.used == 0 && socket->range_count == 0)
        ring_release(&socket->receive, &stack->pool);
    return stack_recv_held(stack, handle, held, now_us);
}

ptrdiff_t stack_recv(struct stack *stack, int handle, void *bytes, size_t size, uint64_t now_us)
{
    struct frame_piece piece[2];
    ptrdiff_t result = stack_recv_peek(stack, handle, piece);
    if (result <= 0)
        return result;
    size_t taken = 0;
    for (int i = 0; i < 2 && taken < size; i++) {
        size_t part = piece[i].size < size - taken ? piece[i].size : size - taken;
        if (part > 0)
            memcpy((uint8_t *)bytes + taken, piece[i].data, part);
        taken += part;
    }
    stack_recv_consume(stack, handle, taken, 0, now_us);
    return (ptrdiff_t)taken;
}

/* ---- closing ---- */

/* CLOSE of RFC 9293, 3.10.4: a FIN behind what is in the buffer. */
static void socket_close_sending(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    if (socket->fin_wanted)
        return;
    socket->fin_wanted = true;
    socket->hold_partial = false;
    socket->snd.push = socket->snd.una + socket->send.used;
    if (socket->entry.state == TCP_ESTABLISHED)
        tcp_socket_set_state(stack, socket, TCP_FIN_WAIT_1, now_us);
    else if (socket->entry.state == TCP_CLOSE_WAIT)
        tcp_socket_set_state(stack, socket, TCP_LAST_ACK, now_us);
    tcp_socket_want_output(stack, socket);
    tcp_timer_update(stack, socket, now_us);
}

int stack_shutdown(struct stack *stack, int handle, int how, uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_refuse(stack, handle);
    if (socket->error)
        return socket->error;
    if (socket->entry.state < TCP_SYN_RECEIVED)
        return STACK_NOT_CONNECTED;
    if (how & STACK_SHUTDOWN_READ) {
        socket->read_shutdown = true;
        ring_consume(&socket->receive, socket->receive.used);
        tcp_receive_window_opened(stack, socket);
        tcp_socket_signal(stack, socket, STACK_READY_RECV);
    }
    if (how & STACK_SHUTDOWN_WRITE)
        socket_close_sending(stack, socket, now_us);
    return 0;
}

static void socket_reset(struct stack *stack, struct tcp_socket *socket, enum stack_reason reason,
                         int error, uint64_t now_us)
{
    tcp_reset_send(stack, socket, reason, now_us);
    if (socket->entry.state == TCP_ESTABLISHED || socket->entry.state == TCP_CLOSE_WAIT)
        stack_count(stack, STACK_COUNTER_TCP_ESTAB_RESETS);
    tcp_socket_end(stack, socket, error, now_us);
}

static void socket_close_listener(struct stack *stack, struct tcp_socket *listener, uint64_t now_us)
{
    struct tcp_socket *child;
    while ((child = LIST_FIRST(&listener->children)) != NULL)
        socket_reset(stack, child, STACK_REASON_LISTENER_CLOSED, STACK_ABORTED, now_us);
    tcp_socket_destroy(stack, listener);
}

/* The application has let go of a connection in good order. */
static void socket_close_connection(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    tcp_receive_release(stack, socket);
    socket->held = 0;
    socket_close_sending(stack, socket, now_us);
    if (socket->entry.state == TCP_FIN_WAIT_2)
        tcp_timer_set(stack, socket, TCP_TIMER_END, now_us, stack->settings.tcp_fin_wait_2_us);
    else if (socket->entry.state == TCP_TIME_WAIT)
        tcp_wait_compact(stack, socket, now_us);
}

int stack_close(struct stack *stack, int handle, uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_close(stack, handle, now_us);
    bool unread =
        socket->receive.used > 0 && !socket->read_shutdown && socket->entry.state <= TCP_CLOSE_WAIT;
    tcp_socket_let_go(stack, socket);
    switch (socket->entry.state) {
    case TCP_CLOSED:
        tcp_socket_destroy(stack, socket);
        return 0;
    case TCP_LISTEN:
        socket_close_listener(stack, socket, now_us);
        return 0;
    case TCP_SYN_SENT:
        tcp_socket_end(stack, socket, 0, now_us);
        return 0;
    default:
        break;
    }
    if (unread) {
        stack_count(stack, STACK_COUNTER_TCP_ABORT_ON_CLOSE);
        socket_reset(stack, socket, STACK_REASON_UNREAD_DATA, 0, now_us);
    } else if (socket->options.linger_reset) {
        socket_reset(stack, socket, STACK_REASON_ABORT, 0, now_us);
    } else {
        socket_close_connection(stack, socket, now_us);
    }
    return 0;
}

int stack_abort(struct stack *stack, int handle, uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_close(stack, handle, now_us);
    tcp_socket_let_go(stack, socket);
    if (socket->entry.state == TCP_LISTEN)
        socket_close_listener(stack, socket, now_us);
    else
        socket_reset(stack, socket, STACK_REASON_ABORT, 0, now_us);
    return 0;
}

int stack_kill(struct stack *stack, uint32_t id, uint64_t now_us)
{
    struct tcp_entry *entry = tcp_table_by_id(stack, id);
    if (!entry)
        return STACK_BAD_HANDLE;
    if (entry->datagram) {
        udp_kill(stack, (struct udp_socket *)entry, now_us);
        return 0;
    }
    struct tcp_socket *socket = (struct tcp_socket *)entry, *child;
    if (entry->compact) {
        tcp_wait_destroy(stack, (struct tcp_wait *)entry);
        return 0;
    }
    if (entry->state == TCP_LISTEN)
        while ((child = LIST_FIRST(&socket->children)) != NULL)
            socket_reset(stack, child, STACK_REASON_KILLED, STACK_ABORTED, now_us);
    socket_reset(stack, socket, STACK_REASON_KILLED, STACK_ABORTED, now_us);
    return 0;
}

/* ---- options ---- */

/* What each option may be set to. */
static const struct {
    uint64_t least, most;
} option_bounds[] = {
    [STACK_OPTION_NODELAY] = {0, 1},
    [STACK_OPTION_CORK] = {0, 1},
    [STACK_OPTION_KEEPALIVE] = {0, 1},
    [STACK_OPTION_KEEPIDLE_US] = {1000000, 32767000000},
    [STACK_OPTION_KEEPINTVL_US] = {1000000, 32767000000},
    [STACK_OPTION_KEEPCNT] = {1, 127},
    [STACK_OPTION_USER_TIMEOUT_US] = {0, 4294967295000},
    [STACK_OPTION_SYN_RETRIES] = {0, 127},
    [STACK_OPTION_RECEIVE_BUFFER] = {BUFFER_LEAST, 1 << 30},
    [STACK_OPTION_SEND_BUFFER] = {BUFFER_LEAST, 1 << 30},
    [STACK_OPTION_MAXIMUM_SEGMENT] = {MAXIMUM_SEGMENT_LEAST, 65495},
    [STACK_OPTION_TTL] = {1, 255},
    [STACK_OPTION_TOS] = {0, 255},
    [STACK_OPTION_LINGER_RESET] = {0, 1},
    [STACK_OPTION_DEFER_ACCEPT_US] = {0, 3600000000},
    [STACK_OPTION_QUICK_ACK] = {0, 1},
    [STACK_OPTION_REUSE_ADDRESS] = {0, 1},
};

static void option_store(struct tcp_options_set *set, enum stack_option option, uint64_t value)
{
    switch (option) {
    case STACK_OPTION_NODELAY:
        set->nodelay = value;
        break;
    case STACK_OPTION_CORK:
        set->cork = value;
        break;
    case STACK_OPTION_KEEPALIVE:
        set->keepalive = value;
        break;
    case STACK_OPTION_KEEPIDLE_US:
        set->keepidle_ms = (uint32_t)(value / 1000);
        break;
    case STACK_OPTION_KEEPINTVL_US:
        set->keepintvl_ms = (uint32_t)(value / 1000);
        break;
    case STACK_OPTION_DEFER_ACCEPT_US:
        set->defer_ms = (uint32_t)(value / 1000);
        break;
    case STACK_OPTION_QUICK_ACK:
        set->no_quick_ack = !value;
        break;
    case STACK_OPTION_KEEPCNT:
        set->keepcnt = (uint8_t)value;
        break;
    case STACK_OPTION_USER_TIMEOUT_US:
        set->user_timeout_ms = (uint32_t)(value / 1000);
        break;
    case STACK_OPTION_SYN_RETRIES:
        set->syn_retries = (uint8_t)value;
        break;
    case STACK_OPTION_RECEIVE_BUFFER:
        set->receive_buffer = (uint32_t)value;
        break;
    case STACK_OPTION_SEND_BUFFER:
        set->send_buffer = (uint32_t)value;
        break;
    case STACK_OPTION_MAXIMUM_SEGMENT:
        set->maximum_segment = (uint16_t)value;
        break;
    case STACK_OPTION_TTL:
        set->ttl = (uint8_t)value;
        break;
    case STACK_OPTION_TOS:
        set->tos = (uint8_t)value;
        break;
    case STACK_OPTION_LINGER_RESET:
        set->linger_reset = value;
        break;
    default:
        break; /* STACK_OPTION_REUSE_ADDRESS: TIME-WAIT never blocks a port here */
    }
}

static uint32_t socket_end(const struct tcp_socket *socket)
{
    return socket->snd.una + socket->send.used;
}

int stack_set_option(struct stack *stack, int handle, enum stack_option option, uint64_t value,
                     uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_set_option(stack, handle, option, value);
    if ((unsigned)option >= sizeof option_bounds / sizeof option_bounds[0])
        return STACK_NOT_SUPPORTED;
    if (value < option_bounds[option].least || value > option_bounds[option].most)
        return STACK_INVALID;
    option_store(&socket->options, option, value);
    if (option == STACK_OPTION_QUICK_ACK) {
        tcp_receive_start_quick_acks(stack, socket);
        if (value && socket->deadline[TCP_TIMER_DELAYED_ACK] != TCP_NEVER)
            tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_QUICK);
    }
    if (option == STACK_OPTION_NODELAY && value && seq_lt(socket->snd.nxt, socket_end(socket)))
        socket->force_partial = true; /* also what a cork holds back */
    if (option == STACK_OPTION_MAXIMUM_SEGMENT && socket->entry.state > TCP_LISTEN)
        tcp_out_update_mss(stack, socket);
    if (option == STACK_OPTION_KEEPALIVE || option == STACK_OPTION_KEEPIDLE_US) {
        if (socket->options.keepalive && socket->entry.state >= TCP_ESTABLISHED)
            tcp_timer_set(stack, socket, TCP_TIMER_KEEPALIVE, now_us,
                          socket->options.keepidle_ms * 1000ULL);
        else
            tcp_timer_clear(socket, TCP_TIMER_KEEPALIVE);
    }
    if (socket->entry.state >= TCP_ESTABLISHED)
        tcp_socket_want_output(stack, socket); /* nodelay or uncork may let something go */
    return 0;
}

int stack_get_option(struct stack *stack, int handle, enum stack_option option, uint64_t *value)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_get_option(stack, handle, option, value);
    const struct tcp_options_set *set = &socket->options;
    switch (option) {
    case STACK_OPTION_NODELAY:
        *value = set->nodelay;
        return 0;
    case STACK_OPTION_CORK:
        *value = set->cork;
        return 0;
    case STACK_OPTION_KEEPALIVE:
        *value = set->keepalive;
        return 0;
    case STACK_OPTION_KEEPIDLE_US:
        *value = set->keepidle_ms * 1000ULL;
        return 0;
    case STACK_OPTION_KEEPINTVL_US:
        *value = set->keepintvl_ms * 1000ULL;
        return 0;
    case STACK_OPTION_DEFER_ACCEPT_US:
        *value = set->defer_ms * 1000ULL;
        return 0;
    case STACK_OPTION_QUICK_ACK:
        *value = !set->no_quick_ack;
        return 0;
    case STACK_OPTION_KEEPCNT:
        *value = set->keepcnt;
        return 0;
    case STACK_OPTION_USER_TIMEOUT_US:
        *value = set->user_timeout_ms * 1000ULL;
        return 0;
    case STACK_OPTION_SYN_RETRIES:
        *value = set->syn_retries;
        return 0;
    case STACK_OPTION_RECEIVE_BUFFER:
        *value = set->receive_buffer;
        return 0;
    case STACK_OPTION_SEND_BUFFER:
        *value = set->send_buffer;
        return 0;
    case STACK_OPTION_MAXIMUM_SEGMENT:
        *value = socket->snd_mss ? socket->snd_mss : set->maximum_segment;
        return 0;
    case STACK_OPTION_TTL:
        *value = set->ttl;
        return 0;
    case STACK_OPTION_TOS:
        *value = set->tos;
        return 0;
    case STACK_OPTION_LINGER_RESET:
        *value = set->linger_reset;
        return 0;
    case STACK_OPTION_REUSE_ADDRESS:
        *value = 1;
        return 0;
    default:
        return STACK_NOT_SUPPORTED;
    }
}

/* ---- readiness ---- */

bool stack_next_ready(struct stack *stack, struct stack_ready *ready)
{
    struct tcp_socket *socket = TAILQ_FIRST(&stack->tcp.ready);
    if (!socket)
        return udp_next_ready(stack, ready);
    TAILQ_REMOVE(&stack->tcp.ready, socket, ready);
    socket->ready_queued = false;
    *ready = (struct stack_ready){(int)socket->entry.id, socket->news, socket->user};
    socket->news = 0;
    return true;
}

int stack_set_user(struct stack *stack, int handle, void *user)
{
    struct tcp_socket *socket = tcp_socket_get(stack, handle);
    if (!socket)
        return udp_set_user(stack, handle, user);
    socket->user = user;
    return 0;
}

int stack_socket_error(struct stack *stack, int handle)
{
    const struct tcp_socket *socket = tcp_socket_get(stack, handle);
    return socket ? socket->error : udp_take_error(stack, handle);
}

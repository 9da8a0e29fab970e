/* The socket calls of the public header for datagram sockets: made, named, given a peer, read, set,
   closed.

   A socket with a port stands in two places: in the table by four-tuple, where datagrams find it
   (its peer's half is empty while it has none), and in the list of its port, where the next one who
   wants the port finds it. */
#include <string.h>

#include "state.h"
#include "udp.h"

enum { UDP_BUFFER_LEAST = 2048, MULTICAST_TTL_INITIAL = 1 };

/* ---- handles ---- */

static struct udp_socket *socket_by_id(const struct stack *stack, int handle)
{
    struct tcp_entry *entry = handle > 0 ? tcp_table_by_id(stack, (uint32_t)handle) : NULL;
    return entry && entry->datagram ? (struct udp_socket *)entry : NULL;
}

struct udp_socket *udp_get(const struct stack *stack, int handle)
{
    return socket_by_id(stack, handle);
}

int udp_refuse(const struct stack *stack, int handle)
{
    return udp_get(stack, handle) ? STACK_NOT_SUPPORTED : STACK_BAD_HANDLE;
}

/* What a call on a handle that is no datagram socket returns. */
static int refuse_stream(const struct stack *stack, int handle)
{
    return tcp_socket_get(stack, handle) ? STACK_NOT_SUPPORTED : STACK_BAD_HANDLE;
}

int udp_open(struct stack *stack)
{
    struct udp_socket *socket = pool_take(&stack->pool, sizeof *socket);
    if (!socket)
        return STACK_NO_MEMORY;
    const struct stack_settings *settings = &stack->settings;
    *socket = (struct udp_socket){
        .entry = {.datagram = true},
        .options = {.receive_buffer = (uint32_t)settings->udp_receive_buffer,
                    .send_buffer = (uint32_t)settings->udp_send_buffer,
                    .ttl = (uint8_t)settings->ip_ttl,
                    .multicast_ttl = MULTICAST_TTL_INITIAL,
                    .path_mtu_discovery =
                        settings->ip_pmtu_discovery ? STACK_PATH_MTU_WANT : STACK_PATH_MTU_DONT,
                    .multicast_loop = true},
        .created_at = stack->tcp.wheel.now_us,
    };
    if (tcp_table_number(stack, &socket->entry) < 0) {
        pool_give(&stack->pool, socket, sizeof *socket);
        return STACK_NO_MEMORY;
    }
    STAILQ_INIT(&socket->received);
    stack->udp.socket_count++;
    return (int)socket->entry.id;
}

/* ---- names ---- */

static void leave_tables(struct stack *stack, struct udp_socket *socket)
{
    tcp_table_remove(stack, &socket->entry);
    if (socket->listed)
        LIST_REMOVE(socket, port);
    socket->listed = false;
}

/* Under the names it now has. */
static void enter_tables(struct stack *stack, struct udp_socket *socket)
{
    leave_tables(stack, socket);
    if (socket->entry.local_port == 0)
        return;
    tcp_table_insert(stack, &socket->entry);
    LIST_INSERT_HEAD(&stack->udp.port[socket->entry.local_port % UDP_PORT_BUCKETS], socket, port);
    socket->listed = true;
}

/* Is the port taken by another socket? Two that both have REUSE_ADDRESS may share it. */
static bool port_is_free(const struct stack *stack, const struct tcp_entry *entry, uint16_t port)
{
    const struct udp_socket *self = (const struct udp_socket *)entry, *other;
    LIST_FOREACH (other, &stack->udp.port[port % UDP_PORT_BUCKETS], port)
        if (other != self && other->entry.local_port == port &&
            tcp_table_addresses_meet(&other->entry.local_address, &entry->local_address) &&
            !(other->options.reuse_address && self->options.reuse_address))
            return false;
    return true;
}

/* For a port drawn, sharing is not enough. */
static bool port_is_unused(const struct stack *stack, const struct tcp_entry *entry, uint16_t port)
{
    const struct udp_socket *other;
    LIST_FOREACH (other, &stack->udp.port[port % UDP_PORT_BUCKETS], port)
        if (other->entry.local_port == port &&
            tcp_table_addresses_meet(&other->entry.local_address, &entry->local_address))
            return false;
    return true;
}

int udp_bind_any(struct stack *stack, struct udp_socket *socket)
{
    uint16_t port = tcp_table_draw_port(stack, &socket->entry, port_is_unused);
    if (port == 0)
        return STACK_NOT_AVAILABLE;
    socket->entry.local_port = port;
    enter_tables(stack, socket);
    return 0;
}

static bool is_bindable(const struct stack *stack, const struct ip_address *address)
{
    uint32_t v4 = ip_address_to_v4(address);
    return ip_address_is_unspecified(address) || ip_is_local(stack, v4) || ip_is_group(stack, v4);
}

int udp_bind(struct stack *stack, int handle, const struct stack_endpoint *local)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return STACK_BAD_HANDLE;
    if (socket->ended || socket->entry.local_port != 0)
        return STACK_INVALID;
    if (!is_bindable(stack, &local->address))
        return STACK_NOT_AVAILABLE;
    struct ip_address before = socket->entry.local_address;
    socket->entry.local_address = local->address;
    int result = 0;
    if (local->port == 0)
        result = udp_bind_any(stack, socket);
    else if (!port_is_free(stack, &socket->entry, local->port))
        result = STACK_IN_USE;
    if (result < 0) {
        socket->entry.local_address = before;
        return result;
    }
    if (local->port != 0)
        socket->entry.local_port = local->port;
    socket->port_given = true;
    socket->address_given = !ip_address_is_unspecified(&local->address);
    enter_tables(stack, socket);
    return 0;
}

/* The peer goes, and with it the names that came with it. */
static void disconnect(struct stack *stack, struct udp_socket *socket)
{
    static const struct ip_address none;
    socket->entry.remote_address = none;
    socket->entry.remote_port = 0;
    socket->entry.state = TCP_CLOSED;
    if (!socket->address_given)
        socket->entry.local_address = none;
    if (!socket->port_given)
        socket->entry.local_port = 0;
    enter_tables(stack, socket);
}

/* The source address of what goes to a peer, or an error: it cannot be one. */
static int source_for_peer(const struct stack *stack, const struct udp_socket *socket, uint32_t v4,
                           uint32_t *source)
{
    unsigned interface;
    if (ip_is_broadcast(stack, v4) && !socket->options.broadcast)
        return STACK_DENIED;
    if (ip_is_group(stack, v4)) {
        int group_interface = udp_group_interface(stack, socket, v4, -1);
        if (group_interface < 0)
            return group_interface;
        const struct address *address =
            address_choose(&stack->addresses, (unsigned)group_interface, v4);
        *source = address ? address->v4 : 0;
        return address ? 0 : STACK_NO_ROUTE;
    }
    if (!ipv4_is_valid_source(v4) || ip_is_local(stack, v4))
        return STACK_NOT_AVAILABLE;
    return ip_choose_source(stack, v4, source, &interface);
}

int udp_connect(struct stack *stack, int handle, const struct stack_endpoint *remote)
{
    struct udp_socket *socket = udp_get(stack, handle);
    uint32_t source;
    if (!socket)
        return STACK_BAD_HANDLE;
    if (socket->ended)
        return STACK_ABORTED;
    if (remote->port == 0) {
        disconnect(stack, socket);
        return 0;
    }
    int result = source_for_peer(stack, socket, ip_address_to_v4(&remote->address), &source);
    if (result < 0)
        return result;
    uint16_t port = socket->entry.local_port;
    disconnect(stack, socket);
    if (!socket->address_given)
        socket->entry.local_address = ip_address_from_v4(source);
    socket->entry.local_port = port;
    if (port == 0 && (result = udp_bind_any(stack, socket)) < 0) {
        disconnect(stack, socket);
        return result;
    }
    socket->entry.remote_address = remote->address;
    socket->entry.remote_port = remote->port;
    socket->entry.state = TCP_ESTABLISHED;
    enter_tables(stack, socket);
    return 0;
}

/* ---- groups ---- */

static struct udp_membership *find_membership(const struct udp_socket *socket, uint32_t v4,
                                              unsigned interface)
{
    for (unsigned i = 0; socket->memberships && i < UDP_MEMBERSHIPS_MAX; i++) {
        struct udp_membership *membership = &socket->memberships[i];
        if (membership->v4 == v4 && (v4 == 0 || membership->interface == interface))
            return membership;
    }
    return NULL;
}

bool udp_is_member(const struct udp_socket *socket, uint32_t v4, unsigned interface)
{
    return find_membership(socket, v4, interface) != NULL;
}

/* A free place for one more, or NULL. */
static struct udp_membership *free_membership(struct stack *stack, struct udp_socket *socket)
{
    const size_t size = UDP_MEMBERSHIPS_MAX * sizeof *socket->memberships;
    if (!socket->memberships && (socket->memberships = pool_take(&stack->pool, size)) != NULL)
        memset(socket->memberships, 0, size);
    return find_membership(socket, 0, 0);
}

int stack_join_group(struct stack *stack, int handle, const struct ip_address *group, int interface,
                     uint64_t now_us)
{
    struct udp_socket *socket = udp_get(stack, handle);
    uint32_t v4 = ip_address_to_v4(group);
    if (!socket)
        return refuse_stream(stack, handle);
    if (socket->ended)
        return STACK_ABORTED;
    if (!ipv4_is_multicast(v4))
        return STACK_INVALID;
    interface = udp_group_interface(stack, socket, v4, interface);
    if (interface < 0)
        return STACK_NOT_AVAILABLE;
    if (udp_is_member(socket, v4, (unsigned)interface))
        return STACK_IN_USE;
    struct udp_membership *place = free_membership(stack, socket);
    if (!place || igmp_join(stack, (unsigned)interface, v4, now_us) < 0)
        return STACK_NO_MEMORY;
    *place = (struct udp_membership){v4, (uint16_t)interface};
    return 0;
}

static void leave(struct stack *stack, struct udp_membership *membership, uint64_t now_us)
{
    igmp_leave(stack, membership->interface, membership->v4, now_us);
    membership->v4 = 0;
}

int stack_leave_group(struct stack *stack, int handle, const struct ip_address *group,
                      int interface, uint64_t now_us)
{
    struct udp_socket *socket = udp_get(stack, handle);
    uint32_t v4 = ip_address_to_v4(group);
    if (!socket)
        return refuse_stream(stack, handle);
    if (!ipv4_is_multicast(v4))
        return STACK_INVALID;
    interface = udp_group_interface(stack, socket, v4, interface);
    struct udp_membership *membership =
        interface < 0 ? NULL : find_membership(socket, v4, (unsigned)interface);
    if (!membership)
        return STACK_NOT_AVAILABLE;
    leave(stack, membership, now_us);
    return 0;
}

/* ---- sending and receiving ---- */

int udp_take_error(struct stack *stack, int handle)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return STACK_BAD_HANDLE;
    int error = socket->ended ? STACK_ABORTED : socket->error;
    socket->error = 0;
    return error;
}

int stack_send_check(struct stack *stack, int handle)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return refuse_stream(stack, handle);
    if (socket->send_bytes < socket->options.send_buffer)
        return 0;
    socket->send_full = true;
    return STACK_AGAIN;
}

int stack_send_to(struct stack *stack, int handle, const void *bytes, size_t size,
                  const struct stack_datagram *with, uint64_t now_us)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return refuse_stream(stack, handle);
    int error = udp_take_error(stack, handle);
    if (error == 0)
        error = stack_send_check(stack, handle);
    return error ? error : udp_send(stack, socket, bytes, size, with, now_us);
}

int stack_recv_from_peek(struct stack *stack, int handle, struct frame_piece *piece,
                         struct stack_datagram *with)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return refuse_stream(stack, handle);
    int error = udp_take_error(stack, handle);
    struct udp_datagram *first = STAILQ_FIRST(&socket->received);
    if (error || !first)
        return error ? error : STACK_AGAIN;
    *piece = (struct frame_piece){first->bytes, first->with.size};
    *with = first->with;
    return 0;
}

static void drop_first(struct stack *stack, struct udp_socket *socket)
{
    struct udp_datagram *first = STAILQ_FIRST(&socket->received);
    STAILQ_REMOVE_HEAD(&socket->received, next);
    socket->received_bytes -= (uint32_t)pool_block_bytes(sizeof *first + first->with.size);
    udp_release(stack, first);
}

int stack_recv_from_consume(struct stack *stack, int handle, size_t held)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return refuse_stream(stack, handle);
    if (STAILQ_EMPTY(&socket->received))
        return STACK_INVALID;
    drop_first(stack, socket);
    socket->held = (uint32_t)held;
    return 0;
}

ptrdiff_t stack_recv_from(struct stack *stack, int handle, void *bytes, size_t size,
                          struct stack_datagram *with)
{
    struct frame_piece piece;
    int result = stack_recv_from_peek(stack, handle, &piece, with);
    if (result < 0)
        return result;
    if (size > piece.size)
        size = piece.size;
    if (size > 0)
        memcpy(bytes, piece.data, size);
    stack_recv_from_consume(stack, handle, 0);
    return (ptrdiff_t)size;
}

int udp_recv_held(struct stack *stack, int handle, size_t held)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return STACK_BAD_HANDLE;
    socket->held = (uint32_t)held;
    return 0;
}

/* ---- readiness ---- */

void udp_signal(struct stack *stack, struct udp_socket *socket, unsigned ready)
{
    socket->news |= (uint16_t)ready;
    if (!socket->ready_queued)
        TAILQ_INSERT_TAIL(&stack->udp.ready, socket, ready);
    socket->ready_queued = true;
}

bool udp_next_ready(struct stack *stack, struct stack_ready *ready)
{
    struct udp_socket *socket = TAILQ_FIRST(&stack->udp.ready);
    if (!socket)
        return false;
    TAILQ_REMOVE(&stack->udp.ready, socket, ready);
    socket->ready_queued = false;
    *ready = (struct stack_ready){(int)socket->entry.id, socket->news, socket->user};
    socket->news = 0;
    return true;
}

int udp_set_user(struct stack *stack, int handle, void *user)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return STACK_BAD_HANDLE;
    socket->user = user;
    return 0;
}

/* ---- the end ---- */

static void leave_queues(struct stack *stack, struct udp_socket *socket)
{
    if (socket->ready_queued)
        TAILQ_REMOVE(&stack->udp.ready, socket, ready);
    if (socket->out_queued)
        TAILQ_REMOVE(&stack->udp.out, socket, out);
    socket->ready_queued = socket->out_queued = false;
}

/* What was sent before the end still leaves; what was received is lost. */
static void let_go(struct stack *stack, struct udp_socket *socket)
{
    struct packet *packet;
    while (!STAILQ_EMPTY(&socket->received))
        drop_first(stack, socket);
    while ((packet = packet_queue_pop(&socket->send)) != NULL)
        packet_queue_push(&stack->udp.orphans, packet);
    socket->send_bytes = 0;
    leave_queues(stack, socket);
    leave_tables(stack, socket);
}

void udp_destroy(struct stack *stack, struct udp_socket *socket)
{
    let_go(stack, socket);
    pool_give(&stack->pool, socket->memberships, UDP_MEMBERSHIPS_MAX * sizeof *socket->memberships);
    tcp_table_unnumber(stack, &socket->entry);
    stack->udp.socket_count--;
    pool_give(&stack->pool, socket, sizeof *socket);
}

static void leave_all_groups(struct stack *stack, struct udp_socket *socket, uint64_t now_us)
{
    for (unsigned i = 0; socket->memberships && i < UDP_MEMBERSHIPS_MAX; i++)
        if (socket->memberships[i].v4 != 0)
            leave(stack, &socket->memberships[i], now_us);
}

int udp_close(struct stack *stack, int handle, uint64_t now_us)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return STACK_BAD_HANDLE;
    leave_all_groups(stack, socket, now_us);
    udp_destroy(stack, socket);
    return 0;
}

void udp_kill(struct stack *stack, struct udp_socket *socket, uint64_t now_us)
{
    leave_all_groups(stack, socket, now_us);
    let_go(stack, socket);
    socket->ended = true;
    socket->entry.state = TCP_CLOSED;
    udp_signal(stack, socket, STACK_READY_ERROR);
}

/* ---- options ---- */

/* Where an option lies, how wide it is, and what it may be set to. */
#define FIELD(member)                                                                              \
    offsetof(struct udp_options_set, member), sizeof(((struct udp_options_set *)0)->member)
static const struct {
    size_t offset, size; /* size 0: TCP's alone */
    uint64_t least, most;
} option_table[] = {
    [STACK_OPTION_RECEIVE_BUFFER] = {FIELD(receive_buffer), UDP_BUFFER_LEAST, 1 << 30},
    [STACK_OPTION_SEND_BUFFER] = {FIELD(send_buffer), UDP_BUFFER_LEAST, 1 << 30},
    [STACK_OPTION_TTL] = {FIELD(ttl), 1, 255},
    [STACK_OPTION_TOS] = {FIELD(tos), 0, 255},
    [STACK_OPTION_REUSE_ADDRESS] = {FIELD(reuse_address), 0, 1},
    [STACK_OPTION_BROADCAST] = {FIELD(broadcast), 0, 1},
    [STACK_OPTION_MULTICAST_TTL] = {FIELD(multicast_ttl), 0, 255},
    [STACK_OPTION_MULTICAST_LOOP] = {FIELD(multicast_loop), 0, 1},
    [STACK_OPTION_MULTICAST_INTERFACE] = {FIELD(multicast_interface), 0, STACK_INTERFACES_MAX},
    [STACK_OPTION_PATH_MTU_DISCOVERY] = {FIELD(path_mtu_discovery), 0, STACK_PATH_MTU_PROBE},
    [STACK_OPTION_NO_CHECKSUM] = {FIELD(no_checksum), 0, 1},
};
#undef FIELD

static bool option_is_known(unsigned option)
{
    return option < sizeof option_table / sizeof option_table[0] && option_table[option].size != 0;
}

int udp_set_option(struct stack *stack, int handle, enum stack_option option, uint64_t value)
{
    struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return STACK_BAD_HANDLE;
    if (!option_is_known(option))
        return STACK_NOT_SUPPORTED;
    if (value < option_table[option].least || value > option_table[option].most ||
        (option == STACK_OPTION_MULTICAST_INTERFACE && value > stack->interface_count))
        return STACK_INVALID;
    /* Little-endian, as every machine this is built for. */
    memcpy((uint8_t *)&socket->options + option_table[option].offset, &value,
           option_table[option].size);
    return 0;
}

int udp_get_option(struct stack *stack, int handle, enum stack_option option, uint64_t *value)
{
    const struct udp_socket *socket = udp_get(stack, handle);
    if (!socket)
        return STACK_BAD_HANDLE;
    if (!option_is_known(option))
        return STACK_NOT_SUPPORTED;
    *value = 0;
    memcpy(value, (const uint8_t *)&socket->options + option_table[option].offset,
           option_table[option].size);
    return 0;
}

/* ---- looking in ---- */

void udp_summarize(const struct udp_socket *socket, struct stack_summary *summary)
{
    summary->socket = (int)socket->entry.id;
    summary->receive_queue = socket->received_bytes + socket->held;
    summary->send_queue = socket->send_bytes;
}

static uint64_t ago(uint64_t at_us, uint64_t now_us) { return at_us ? now_us - at_us : UINT64_MAX; }

void udp_fill_info(const struct udp_socket *socket, struct stack_info *info, uint64_t now_us)
{
    info->congestion = "";
    info->ttl = socket->options.ttl;
    info->tos = socket->options.tos;
    info->receive_buffer = socket->options.receive_buffer;
    info->send_buffer = socket->options.send_buffer;
    info->receive_memory = socket->received_bytes;
    info->send_memory = socket->send_bytes;
    info->held = socket->held;
    info->rto_left_us = info->persist_left_us = info->delayed_ack_left_us =
        info->keepalive_left_us = info->time_wait_left_us = UINT64_MAX;
    info->age_us = now_us - socket->created_at;
    info->last_sent_us = ago(socket->last_sent_at, now_us);
    info->last_received_us = ago(socket->last_received_at, now_us);
    info->last_ack_received_us = UINT64_MAX;
    info->bytes_sent = socket->bytes_sent;
    info->bytes_received = socket->bytes_received;
    info->segs_out = socket->datagrams_sent;
    info->segs_in = socket->datagrams_received;
    info->drops = socket->dropped;
    info->error = socket->ended ? STACK_ABORTED : socket->error;
}

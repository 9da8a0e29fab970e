/* Socket options: Linux' names and units on one side, the stack's on the other, and TCP_INFO. */
#include "api_server.h"

#include <endian.h>
#include <errno.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert(sizeof(struct tcp_info) <= TS_OPTION_BYTES, "TCP_INFO fits into a reply");

/* Options that are one int here and one number in the stack, which checks the bounds. */
static const struct option {
    int level;
    int name;
    enum stack_option option;
    uint32_t unit; /* the stack's units in one of the application's */
    bool flag;     /* any value but 0 is 1 */
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR, STACK_OPTION_REUSE_ADDRESS, 1, true},
    {SOL_SOCKET, SO_KEEPALIVE, STACK_OPTION_KEEPALIVE, 1, true},
    {SOL_SOCKET, SO_RCVBUF, STACK_OPTION_RECEIVE_BUFFER, 1, false},
    {SOL_SOCKET, SO_SNDBUF, STACK_OPTION_SEND_BUFFER, 1, false},
    {IPPROTO_IP, IP_TTL, STACK_OPTION_TTL, 1, false},
    {IPPROTO_IP, IP_TOS, STACK_OPTION_TOS, 1, false},
    {SOL_SOCKET, SO_BROADCAST, STACK_OPTION_BROADCAST, 1, true},
    {SOL_SOCKET, SO_NO_CHECK, STACK_OPTION_NO_CHECKSUM, 1, true},
    {IPPROTO_IP, IP_MTU_DISCOVER, STACK_OPTION_PATH_MTU_DISCOVERY, 1, false},
    {IPPROTO_IP, IP_MULTICAST_TTL, STACK_OPTION_MULTICAST_TTL, 1, false},
    {IPPROTO_IP, IP_MULTICAST_LOOP, STACK_OPTION_MULTICAST_LOOP, 1, true},
    {IPPROTO_TCP, TCP_NODELAY, STACK_OPTION_NODELAY, 1, true},
    {IPPROTO_TCP, TCP_CORK, STACK_OPTION_CORK, 1, true},
    {IPPROTO_TCP, TCP_MAXSEG, STACK_OPTION_MAXIMUM_SEGMENT, 1, false},
    {IPPROTO_TCP, TCP_KEEPIDLE, STACK_OPTION_KEEPIDLE_US, 1000000, false},
    {IPPROTO_TCP, TCP_KEEPINTVL, STACK_OPTION_KEEPINTVL_US, 1000000, false},
    {IPPROTO_TCP, TCP_KEEPCNT, STACK_OPTION_KEEPCNT, 1, false},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, STACK_OPTION_USER_TIMEOUT_US, 1000, false},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, STACK_OPTION_DEFER_ACCEPT_US, 1000000, false},
    {IPPROTO_TCP, TCP_QUICKACK, STACK_OPTION_QUICK_ACK, 1, true},
    {IPPROTO_TCP, TCP_SYNCNT, STACK_OPTION_SYN_RETRIES, 1, false},
};

static const struct option *option_find(int level, int name)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].level == level && options[i].name == name)
            return &options[i];
    }
    return NULL;
}

static int reply_bytes(struct api_call *call, const void *value, size_t size)
{
    memcpy(call->reply->value, value, size);
    call->reply->length = (uint32_t)size;
    return 0;
}

static int reply_int(struct api_call *call, int value)
{
    return reply_bytes(call, &value, sizeof value);
}

/* ---- TCP_INFO ---- */

/* enum tcp_state as Linux numbers its states (include/net/tcp_states.h). */
static const uint8_t linux_state[TCP_STATE_COUNT] = {
    [TCP_CLOSED] = 7,      [TCP_LISTEN] = 10,    [TCP_SYN_SENT] = 2,   [TCP_SYN_RECEIVED] = 3,
    [TCP_ESTABLISHED] = 1, [TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5, [TCP_CLOSE_WAIT] = 8,
    [TCP_CLOSING] = 11,    [TCP_LAST_ACK] = 9,   [TCP_TIME_WAIT] = 6,
};

static uint32_t in_segments(uint32_t bytes, uint32_t segment_bytes)
{
    return segment_bytes == 0 ? 0 : bytes / segment_bytes + (bytes % segment_bytes != 0);
}

static uint32_t in_ms(uint64_t us)
{
    return us / 1000 < UINT32_MAX ? (uint32_t)(us / 1000) : UINT32_MAX;
}

static void info_fill_state(struct tcp_info *to, const struct stack_info *from)
{
    to->tcpi_state = from->summary.state < TCP_STATE_COUNT ? linux_state[from->summary.state] : 7;
    to->tcpi_ca_state = from->in_loss ? TCP_CA_Loss : from->in_recovery ? TCP_CA_Recovery : 0;
    to->tcpi_retransmits = (uint8_t)from->retransmits;
    to->tcpi_probes = (uint8_t)from->probes;
    to->tcpi_backoff = (uint8_t)from->backoff;
    to->tcpi_options =
        (uint8_t)((from->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (from->sack ? TCPI_OPT_SACK : 0) |
                  (from->window_scaling ? TCPI_OPT_WSCALE : 0));
    to->tcpi_snd_wscale = from->snd_wscale & 15;
    to->tcpi_rcv_wscale = from->rcv_wscale & 15;
    to->tcpi_rto = (uint32_t)from->rto_us;
    to->tcpi_last_data_sent = in_ms(from->last_sent_us);
    to->tcpi_last_data_recv = in_ms(from->last_received_us);
    to->tcpi_last_ack_recv = in_ms(from->last_ack_received_us);
}

static void info_fill_flow(struct tcp_info *to, const struct stack_info *from)
{
    to->tcpi_snd_mss = from->snd_mss;
    to->tcpi_rcv_mss = from->rcv_mss;
    to->tcpi_advmss = from->advmss;
    to->tcpi_pmtu = from->pmtu;
    to->tcpi_unacked = in_segments(from->snd_nxt - from->snd_una, from->snd_mss);
    to->tcpi_rtt = (uint32_t)from->srtt_us;
    to->tcpi_rttvar = (uint32_t)from->rttvar_us;
    to->tcpi_min_rtt = (uint32_t)from->min_rtt_us;
    to->tcpi_snd_cwnd = in_segments(from->cwnd, from->snd_mss);
    to->tcpi_snd_ssthresh =
        from->ssthresh == UINT32_MAX ? INT32_MAX : in_segments(from->ssthresh, from->snd_mss);
    to->tcpi_rcv_ssthresh = from->rcv_wnd;
    to->tcpi_rcv_space = from->receive_buffer;
    to->tcpi_snd_wnd = from->snd_wnd;
    to->tcpi_notsent_bytes = from->not_sent;
    to->tcpi_rcv_ooopack = from->out_of_order_ranges;
    to->tcpi_busy_time = from->busy_us;
    to->tcpi_rwnd_limited = from->rwnd_limited_us;
    to->tcpi_sndbuf_limited = from->sndbuf_limited_us;
}

static void info_fill_counts(struct tcp_info *to, const struct stack_info *from)
{
    to->tcpi_total_retrans = from->total_retransmits;
    to->tcpi_bytes_sent = from->bytes_sent;
    to->tcpi_bytes_acked = from->bytes_acked;
    to->tcpi_bytes_retrans = from->bytes_retransmitted;
    to->tcpi_bytes_received = from->bytes_received;
    to->tcpi_segs_out = from->segs_out;
    to->tcpi_segs_in = from->segs_in;
    to->tcpi_data_segs_out = from->data_segs_out;
    to->tcpi_data_segs_in = from->data_segs_in;
}

static int get_tcp_info(struct api_call *call, const struct stack_info *info)
{
    struct tcp_info value = {0};
    info_fill_state(&value, info);
    info_fill_flow(&value, info);
    info_fill_counts(&value, info);
    if (info->summary.state == TCP_LISTEN) { /* as Linux: the accept queue and its limit */
        value.tcpi_unacked = info->listener_waiting;
        value.tcpi_sacked = info->listener_backlog;
    }
    return reply_bytes(call, &value, sizeof value);
}

/* An option of the other protocol is none of this socket's. */
static int option_errno(int result)
{
    return result == STACK_NOT_SUPPORTED ? ENOPROTOOPT : api_errno(result);
}

/* ---- Options that are more than a number ---- */

/* How a connection went: told once. */
static int get_error(struct api_call *call)
{
    struct api_server *server = call->client->server;
    int error = api_ended_find(server, call->cookie);
    if (call->socket && call->socket->socket != 0)
        error = api_errno(stack_socket_error(server->daemon->stack, call->socket->socket));
    api_ended_clear(server, call->cookie);
    return reply_int(call, error);
}

static int get_linger(struct api_call *call)
{
    uint64_t reset = 0;
    stack_get_option(api_stack(call->socket), call->socket->socket, STACK_OPTION_LINGER_RESET,
                     &reset);
    struct linger value = {reset != 0, 0};
    return reply_bytes(call, &value, sizeof value);
}

/* A close never waits here; only the reset of a linger time of 0 makes a difference. */
static int set_linger(struct api_call *call)
{
    struct linger value;
    if (call->request->length < sizeof value)
        return EINVAL;
    memcpy(&value, call->request->value, sizeof value);
    bool reset = value.l_onoff != 0 && value.l_linger == 0;
    return api_errno(stack_set_option(api_stack(call->socket), call->socket->socket,
                                      STACK_OPTION_LINGER_RESET, reset, api_now(call->socket)));
}

/* There is one algorithm a stack: setting it to what it is succeeds. */
static int set_congestion(struct api_call *call, const struct stack_info *info)
{
    size_t length = call->request->length;
    const char *name = info->congestion ? info->congestion : "";
    while (length > 0 && call->request->value[length - 1] == 0)
        length--;
    bool same = strlen(name) == length && memcmp(name, call->request->value, length) == 0;
    return same ? 0 : ENOENT;
}

/* One of the options that are a number. */
static int get_number(struct api_call *call, int level, int name)
{
    const struct option *option = option_find(level, name);
    if (!option)
        return ENOPROTOOPT;
    uint64_t value = 0;
    int result =
        stack_get_option(api_stack(call->socket), call->socket->socket, option->option, &value);
    value /= option->unit;
    if (result < 0)
        return option_errno(result);
    return reply_int(call, value < INT32_MAX ? (int)value : INT32_MAX);
}

static int get_named(struct api_call *call, int level, int name, const struct stack_info *info)
{
    bool connected = call->socket->kind == API_CONNECTED;
    if (level == SOL_SOCKET && name == SO_LINGER)
        return get_linger(call);
    if (level == IPPROTO_TCP && name == TCP_INFO)
        return get_tcp_info(call, info);
    if (level == TS_SOL_TAPSTACK && name == TS_EXEMPT)
        return reply_int(call, call->socket->exempt);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION && info->congestion)
        return reply_bytes(call, info->congestion, strlen(info->congestion) + 1);
    if (level == IPPROTO_TCP && name == TCP_MAXSEG && connected)
        return reply_int(call, (int)info->snd_mss);
    return get_number(call, level, name);
}

/* The number an application gave: an int, or a byte where ip(7) allows one. */
static bool request_number(const struct ts_request *request, int *number)
{
    if (request->length >= sizeof *number) {
        memcpy(number, request->value, sizeof *number);
        return true;
    }
    *number = request->value[0];
    return request->level == IPPROTO_IP && request->length >= 1;
}

/* Of a connection it would be too late: it is the listener's port that counts. */
static int set_exempt(struct api_call *call)
{
    const struct api_socket *s = call->socket;
    int number;
    if (s->kind != API_LISTENER && s->kind != API_UNCONNECTED)
        return EINVAL;
    if (!request_number(call->request, &number))
        return EINVAL;
    return api_listener_exempt(call->socket, number != 0);
}

/* ---- Datagram sockets ---- */

/* The interface that a structure of ip(7) names: by 1 + its index, or by an address of it. -1: by
   none; STACK_NOT_AVAILABLE: there is none such. */
static int interface_named(const struct stack *stack, int number, struct in_addr address)
{
    struct stack_address found;
    uint32_t cursor = 0;
    if (number > 0)
        return stack_interface(stack, (unsigned)number - 1) ? number - 1 : STACK_NOT_AVAILABLE;
    if (number < 0)
        return STACK_NOT_AVAILABLE;
    if (address.s_addr == 0)
        return -1;
    while (stack_next_address(stack, &cursor, &found))
        if (found.v4 == be32toh(address.s_addr))
            return (int)found.interface;
    return STACK_NOT_AVAILABLE;
}

/* struct ip_mreqn, or its beginning (struct ip_mreq). IP_MULTICAST_IF also takes an address alone.
   Returns false when it is too short. */
static bool request_group(const struct ts_request *request, struct ip_mreqn *group)
{
    *group = (struct ip_mreqn){{0}};
    if (request->length >= sizeof(struct ip_mreq)) {
        memcpy(group, request->value,
               request->length < sizeof *group ? sizeof(struct ip_mreq) : sizeof *group);
        return true;
    }
    memcpy(&group->imr_address, request->value, sizeof group->imr_address);
    return request->name == IP_MULTICAST_IF && request->length >= sizeof group->imr_address;
}

static bool is_group_option(int name)
{
    return name == IP_MULTICAST_IF || name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP;
}

static int set_group_option(struct api_call *call, int name)
{
    struct api_socket *s = call->socket;
    struct ip_mreqn request;
    if (!request_group(call->request, &request))
        return EINVAL;
    int interface = interface_named(api_stack(s), request.imr_ifindex, request.imr_address);
    struct ip_address group = ip_address_from_v4(be32toh(request.imr_multiaddr.s_addr));
    if (interface == STACK_NOT_AVAILABLE)
        return name == IP_MULTICAST_IF ? EADDRNOTAVAIL : ENODEV;
    if (name == IP_MULTICAST_IF)
        return api_errno(stack_set_option(api_stack(s), s->socket, STACK_OPTION_MULTICAST_INTERFACE,
                                          (uint64_t)(interface + 1), api_now(s)));
    if (name == IP_ADD_MEMBERSHIP)
        return api_errno(stack_join_group(api_stack(s), s->socket, &group, interface, api_now(s)));
    return api_errno(stack_leave_group(api_stack(s), s->socket, &group, interface, api_now(s)));
}

/* IP_MULTICAST_IF is read as an address. */
static int get_group_interface(struct api_call *call)
{
    struct api_socket *s = call->socket;
    struct in_addr address = {0};
    uint64_t number = 0;
    stack_get_option(api_stack(s), s->socket, STACK_OPTION_MULTICAST_INTERFACE, &number);
    const struct stack_interface_config *interface =
        number ? stack_interface(api_stack(s), (unsigned)number - 1) : NULL;
    if (interface)
        address.s_addr = htobe32(interface->address_v4);
    return reply_bytes(call, &address, sizeof address);
}

/* What shall be told of each datagram. Returns false when name is no such option. */
static bool received_flag(const struct api_socket *s, int name, int *value)
{
    *value = name == IP_PKTINFO ? s->pktinfo : s->receive_ttl;
    return name == IP_PKTINFO || name == IP_RECVTTL;
}

static int set_received_flag(struct api_call *call, int name)
{
    int number;
    if (!request_number(call->request, &number))
        return EINVAL;
    if (name == IP_PKTINFO)
        call->socket->pktinfo = number != 0;
    else
        call->socket->receive_ttl = number != 0;
    return 0;
}

static int get_datagram_option(struct api_call *call, int level, int name)
{
    int value;
    if (level == IPPROTO_IP && name == IP_MULTICAST_IF)
        return get_group_interface(call);
    if (level == IPPROTO_IP && received_flag(call->socket, name, &value))
        return reply_int(call, value);
    return get_number(call, level, name);
}

int api_option_get(struct api_call *call)
{
    int level = call->request->level, name = call->request->name;
    struct stack_info info;
    if (level == SOL_SOCKET && name == SO_ERROR)
        return get_error(call);
    if (level == SOL_SOCKET && name == SO_TYPE)
        return reply_int(call, call->socket && call->socket->kind == API_DATAGRAM ? SOCK_DGRAM
                                                                                  : SOCK_STREAM);
    if (!call->socket || call->socket->socket == 0)
        return ENOTCONN;
    struct api_socket *s = call->socket;
    if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
        return reply_int(call, s->kind == API_LISTENER);
    if (s->kind == API_DATAGRAM)
        return get_datagram_option(call, level, name);
    int result = stack_info(api_stack(s), s->socket, &info, api_now(s));
    return result < 0 ? api_errno(result) : get_named(call, level, name, &info);
}

int api_option_set(struct api_call *call)
{
    struct api_socket *s = call->socket;
    int level = call->request->level, name = call->request->name, number;
    if (s->socket == 0)
        return EINVAL;
    if (s->kind == API_DATAGRAM && level == IPPROTO_IP && is_group_option(name))
        return set_group_option(call, name);
    if (s->kind == API_DATAGRAM && level == IPPROTO_IP && received_flag(s, name, &number))
        return set_received_flag(call, name);
    if (s->kind != API_DATAGRAM && level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(call);
    if (s->kind != API_DATAGRAM && level == IPPROTO_TCP && name == TCP_CONGESTION) {
        struct stack_info info;
        int result = stack_info(api_stack(s), s->socket, &info, api_now(s));
        return result < 0 ? api_errno(result) : set_congestion(call, &info);
    }
    if (level == TS_SOL_TAPSTACK && name == TS_EXEMPT)
        return set_exempt(call);
    const struct option *option = option_find(level, name);
    if (!option)
        return ENOPROTOOPT;
    if (!request_number(call->request, &number) || (number < 0 && !option->flag))
        return EINVAL;
    uint64_t value = option->flag ? number != 0 : (uint64_t)number * option->unit;
    return option_errno(
        stack_set_option(api_stack(s), s->socket, option->option, value, api_now(s)));
}

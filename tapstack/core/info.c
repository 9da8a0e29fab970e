/* Looking in: summaries, control blocks, usage, without changing anything. */
#include <string.h>

#include "state.h"

static uint64_t info_left(uint64_t deadline, uint64_t now_us)
{
    if (deadline == TCP_NEVER)
        return TCP_NEVER;
    return deadline > now_us ? deadline - now_us : 0;
}

static uint64_t info_time_wait_left(const struct tcp_entry *entry, uint64_t now_us)
{
    if (entry->state != TCP_TIME_WAIT)
        return 0;
    if (entry->compact)
        return info_left(((const struct tcp_wait *)entry)->expires_at, now_us);
    return info_left(((const struct tcp_socket *)entry)->deadline[TCP_TIMER_END], now_us);
}

static void info_summarize(const struct tcp_entry *entry, struct stack_summary *summary,
                           uint64_t now_us)
{
    *summary = (struct stack_summary){
        .id = entry->id,
        .protocol = entry->datagram ? IPV4_PROTOCOL_UDP : IPV4_PROTOCOL_TCP,
        .state = entry->state,
        .local = {entry->local_address, entry->local_port},
        .remote = {entry->remote_address, entry->remote_port},
        .time_wait_left_us = info_time_wait_left(entry, now_us),
    };
    if (entry->compact)
        return;
    if (entry->datagram) {
        udp_summarize((const struct udp_socket *)entry, summary);
        return;
    }
    const struct tcp_socket *socket = (const struct tcp_socket *)entry;
    bool listens = entry->state == TCP_LISTEN;
    summary->socket = socket->application ? (int)entry->id : 0;
    summary->receive_queue = listens ? socket->waiting_count : socket->receive.used + socket->held;
    summary->send_queue = listens ? socket->backlog : socket->send.used;
}

bool stack_next_summary(const struct stack *stack, uint32_t *cursor, struct stack_summary *summary,
                        uint64_t now_us)
{
    while (*cursor < stack->tcp.slot_capacity) {
        const struct tcp_entry *entry = stack->tcp.slot[(*cursor)++];
        if (entry) {
            info_summarize(entry, summary, now_us);
            return true;
        }
    }
    return false;
}

/* What the application holds under this handle, or NULL. */
static const struct tcp_entry *info_held_entry(const struct stack *stack, int handle)
{
    const struct tcp_socket *socket = tcp_socket_get(stack, handle);
    const struct udp_socket *datagram = socket ? NULL : udp_get(stack, handle);
    return socket ? &socket->entry : datagram ? &datagram->entry : NULL;
}

int stack_summary(const struct stack *stack, int handle, struct stack_summary *summary,
                  uint64_t now_us)
{
    const struct tcp_entry *entry = info_held_entry(stack, handle);
    if (!entry)
        return STACK_BAD_HANDLE;
    info_summarize(entry, summary, now_us);
    return 0;
}

static void info_fill_sequence(const struct tcp_socket *socket, struct stack_info *info)
{
    info->iss = socket->snd.iss;
    info->irs = socket->rcv.irs;
    info->snd_una = socket->snd.una;
    info->snd_nxt = socket->snd.nxt;
    info->snd_max = socket->snd.max;
    info->snd_wnd = socket->snd.wnd;
    info->snd_wl1 = socket->snd.wl1;
    info->snd_wl2 = socket->snd.wl2;
    info->rcv_nxt = socket->rcv.nxt;
    info->rcv_wnd = socket->rcv.edge - socket->rcv.nxt;
    info->snd_mss = socket->snd_mss;
    info->rcv_mss = socket->rcv_mss;
    info->pmtu = socket->pmtu;
    info->advmss = socket->advmss;
    info->ts_recent = socket->ts_recent;
}

static void info_fill_flags(const struct tcp_socket *socket, struct stack_info *info)
{
    info->passive = socket->passive;
    info->nodelay = socket->options.nodelay;
    info->cork = socket->options.cork;
    info->keepalive = socket->options.keepalive;
    info->window_scaling = socket->window_scaling;
    info->timestamps = socket->timestamps;
    info->sack = socket->sack;
    info->snd_wscale = socket->snd_wscale;
    info->rcv_wscale = socket->rcv_wscale;
    info->in_recovery = socket->in_recovery;
    info->in_loss = socket->in_loss;
    info->fin_sent = socket->fin_sent;
    info->fin_received = socket->fin_received;
    info->ttl = socket->options.ttl;
    info->tos = socket->options.tos;
    info->error = socket->error;
}

static void info_fill_congestion(const struct tcp_socket *socket, struct stack_info *info)
{
    info->cwnd = socket->congestion.cwnd;
    info->ssthresh = socket->congestion.ssthresh;
    info->congestion = socket->congestion.algorithm->name;
    info->inflight = socket->snd.max - socket->snd.una;
    info->recover = socket->snd.recover;
    info->duplicate_acks = socket->duplicate_acks;
    info->srtt_us = socket->srtt_us;
    info->rttvar_us = socket->rttvar_us;
    info->rto_us = socket->rto_us;
    info->min_rtt_us = socket->min_rtt_us;
    info->backoff = socket->backoff;
    info->retransmits = socket->retransmits;
    info->probes = socket->probes;
}

static void info_fill_buffers(const struct tcp_socket *socket, struct stack_info *info)
{
    info->receive_buffer = socket->options.receive_buffer;
    info->send_buffer = socket->options.send_buffer;
    info->receive_memory = socket->receive.capacity;
    info->send_memory = socket->send.capacity;
    info->out_of_order_bytes = socket->out_of_order_bytes;
    info->out_of_order_ranges = socket->range_count;
    info->held = socket->held;
    if (socket->entry.state >= TCP_ESTABLISHED &&
        seq_gt(socket->rcv.up, tcp_receive_unread(socket)))
        info->urgent = socket->rcv.up - tcp_receive_unread(socket);
    info->not_sent = tcp_out_unsent(socket);
    if (socket->entry.state != TCP_LISTEN)
        return;
    info->listener_backlog = socket->backlog;
    info->listener_waiting = socket->waiting_count;
    info->listener_embryonic = socket->embryonic_count;
}

static void info_fill_times(const struct tcp_socket *socket, struct stack_info *info,
                            uint64_t now_us)
{
    uint64_t spent = now_us - socket->limit_since;
    info->rto_left_us = info_left(socket->deadline[TCP_TIMER_RETRANSMIT], now_us);
    info->persist_left_us = info_left(socket->deadline[TCP_TIMER_PERSIST], now_us);
    info->delayed_ack_left_us = info_left(socket->deadline[TCP_TIMER_DELAYED_ACK], now_us);
    info->keepalive_left_us = info_left(socket->deadline[TCP_TIMER_KEEPALIVE], now_us);
    info->time_wait_left_us = info_left(socket->deadline[TCP_TIMER_END], now_us);
    info->age_us = now_us - socket->created_at;
    info->last_sent_us = now_us - socket->last_sent_at;
    info->last_received_us = now_us - socket->last_received_at;
    info->last_ack_received_us = now_us - socket->last_ack_at;
    info->busy_us = socket->busy_us + (socket->limit != TCP_LIMIT_NONE ? spent : 0);
    info->rwnd_limited_us =
        socket->rwnd_limited_us + (socket->limit == TCP_LIMIT_RECEIVER ? spent : 0);
    info->sndbuf_limited_us =
        socket->sndbuf_limited_us + (socket->limit == TCP_LIMIT_SENDER ? spent : 0);
}

static void info_fill_counts(const struct tcp_socket *socket, struct stack_info *info)
{
    info->bytes_sent = socket->bytes_sent;
    info->bytes_retransmitted = socket->bytes_retransmitted;
    info->bytes_acked = socket->bytes_acked;
    info->bytes_received = socket->bytes_received;
    info->segs_out = socket->segs_out;
    info->segs_in = socket->segs_in;
    info->data_segs_out = socket->data_segs_out;
    info->data_segs_in = socket->data_segs_in;
    info->total_retransmits = socket->total_retransmits;
    info->timeouts = socket->timeouts;
}

static void info_fill_wait(const struct tcp_wait *wait, struct stack_info *info, uint64_t now_us)
{
    info->snd_una = info->snd_nxt = info->snd_max = wait->snd_nxt;
    info->rcv_nxt = wait->rcv_nxt;
    info->rcv_wnd = wait->rcv_wnd;
    info->timestamps = wait->timestamps;
    info->ts_recent = wait->ts_recent;
    info->ttl = wait->ttl;
    info->tos = wait->tos;
    info->fin_sent = info->fin_received = 1;
    info->congestion = "";
    info->rto_left_us = info->persist_left_us = info->delayed_ack_left_us =
        info->keepalive_left_us = TCP_NEVER;
    info->time_wait_left_us = info_left(wait->expires_at, now_us);
}

int stack_info_by_id(const struct stack *stack, uint32_t id, struct stack_info *info,
                     uint64_t now_us)
{
    const struct tcp_entry *entry = tcp_table_by_id(stack, id);
    if (!entry)
        return STACK_BAD_HANDLE;
    memset(info, 0, sizeof(*info));
    info_summarize(entry, &info->summary, now_us);
    if (entry->datagram) {
        udp_fill_info((const struct udp_socket *)entry, info, now_us);
        return 0;
    }
    if (entry->compact) {
        info_fill_wait((const struct tcp_wait *)entry, info, now_us);
        return 0;
    }
    const struct tcp_socket *socket = (const struct tcp_socket *)entry;
    info_fill_sequence(socket, info);
    info_fill_flags(socket, info);
    info_fill_congestion(socket, info);
    info_fill_buffers(socket, info);
    info_fill_times(socket, info, now_us);
    info_fill_counts(socket, info);
    return 0;
}

int stack_info(const struct stack *stack, int handle, struct stack_info *info, uint64_t now_us)
{
    return info_held_entry(stack, handle) ? stack_info_by_id(stack, (uint32_t)handle, info, now_us)
                                          : STACK_BAD_HANDLE;
}

/* What the pool has handed out for tables, remnants and fragments, not for buffers. */
static size_t info_table_bytes(const struct stack *stack)
{
    const struct tcp *tcp = &stack->tcp;
    size_t pointers = (size_t)tcp->bucket_count + tcp->old_bucket_count + tcp->slot_capacity;
    return pointers * sizeof(struct tcp_entry *) +
           tcp->wait_count * pool_block_bytes(sizeof(struct tcp_wait)) +
           stack->neighbors.count * pool_block_bytes(sizeof(struct neighbor)) +
           stack->reassembly.used_bytes +
           stack->routes.count * pool_block_bytes(sizeof(struct route)) +
           stack->routes.bucket_count * sizeof(struct route *) +
           stack->udp.socket_count * pool_block_bytes(sizeof(struct udp_socket)) +
           (stack->igmp.count + stack->igmp.left_count) *
               pool_block_bytes(sizeof(struct igmp_group));
}

void stack_usage(const struct stack *stack, struct stack_usage *usage)
{
    const struct tcp *tcp = &stack->tcp;
    *usage = (struct stack_usage){
        .buffer_bytes = stack->pool.used_bytes - info_table_bytes(stack),
        .cached_bytes = stack->pool.cached_bytes,
        .reassembly_bytes = stack->reassembly.used_bytes,
        .sockets = tcp->socket_count,
        .time_wait = tcp->wait_count,
        .datagram_sockets = stack->udp.socket_count,
    };
    usage->memory_bytes =
        sizeof(struct stack) + stack->event_capacity * sizeof(struct stack_event) +
        (uint64_t)(tcp->socket_count + tcp->free_count) * sizeof(struct tcp_socket) +
        stack->pool.used_bytes + usage->cached_bytes;
    memcpy(usage->connections_by_state, tcp->by_state, sizeof usage->connections_by_state);
}

/* The next segment to send, of any connection.

   Sockets with something to send stand in a list. tcp_output takes the first, builds one frame of
   it and puts it at the end again, so that connections take turns, a super-frame each; a socket
   that has nothing (more) to send falls out. What is owed goes in this order: our SYN, a
   retransmission, data and FIN, a probe, an ACK without data. Every segment but the first SYN
   carries the ACK, so any of them settles an ACK that is owed.

   How much data goes: as much as buffer, peer's window and congestion window allow, in whole
   segments; a smaller one only if Nagle's rule (in Minshall's form: no other small segment
   unacknowledged), the application and silly-window avoidance (RFC 9293, 3.8.6.2.1) agree.

   Data is not copied: the frame points into the send buffer. */
#include <string.h>

#include "../wire/ethernet.h"
#include "state.h"

enum {
    IPV4_AND_TCP_BYTES = 40,
    TIMESTAMP_OPTION_BYTES = 12,
    SEND_MSS_LEAST = 48, /* of a peer's MSS option: less would cost more headers than it is worth */
    SACK_MSS_LEAST = 128, /* smaller segments have no room for SACK blocks */
};

/* One segment on its way out. */
struct out_plan {
    uint32_t sequence;
    uint32_t size; /* data bytes */
    uint32_t mss;  /* bytes of data in a full segment, this segment's options taken off */
    uint8_t flags;
    enum stack_reason reason;
};

uint32_t tcp_out_timestamp(const struct stack *stack, uint32_t offset, uint64_t now_us)
{
    return (uint32_t)(now_us / stack->settings.tcp_timestamp_tick_us) + offset;
}

/* Eff.snd.MSS (RFC 9293 3.7.1, MUST-16) without room for SACK blocks. */
void tcp_out_update_mss(struct stack *stack, struct tcp_socket *socket)
{
    (void)stack;
    uint32_t mss = socket->peer_mss > SEND_MSS_LEAST ? socket->peer_mss : SEND_MSS_LEAST;
    uint32_t path = socket->pmtu - IPV4_AND_TCP_BYTES;
    if (mss > path)
        mss = path;
    if (socket->options.maximum_segment && mss > socket->options.maximum_segment)
        mss = socket->options.maximum_segment;
    socket->snd_mss = (uint16_t)(mss - (socket->timestamps ? TIMESTAMP_OPTION_BYTES : 0));
    if (socket->congestion.cwnd < socket->snd_mss)
        socket->congestion.cwnd = socket->snd_mss; /* one segment can always go */
    if (socket->congestion.ssthresh < 2U * socket->snd_mss)
        socket->congestion.ssthresh =
            2U * socket->snd_mss; /* RFC 5681, 3.1, of larger segments, too */
}

/* What lies behind snd.nxt in the send buffer. */
uint32_t tcp_out_unsent(const struct tcp_socket *socket)
{
    uint32_t sent = socket->snd.nxt - socket->snd.una;
    return sent < socket->send.used ? socket->send.used - sent : 0;
}

/* Twice what is under way, and something to begin with: enough never to run dry, and no reason to
   fill four megabytes for a peer that takes two kilobytes. */
uint32_t tcp_out_send_limit(const struct stack *stack, const struct tcp_socket *socket)
{
    const uint32_t begin = 65536, scarce = 16384;
    uint32_t limit = socket->options.send_buffer;
    uint32_t window =
        socket->snd.wnd < socket->congestion.cwnd ? socket->snd.wnd : socket->congestion.cwnd;
    uint64_t wanted =
        stack->pool.used_bytes > stack->settings.tcp_memory ? scarce : begin + 2ULL * window;
    return limit < wanted ? limit : (uint32_t)wanted;
}

/* ---- options and window ---- */

static bool out_is_reported(const struct tcp_socket *socket, const struct tcp_range *range)
{
    for (unsigned i = 0; i < socket->recent_count; i++)
        if (socket->recent[i].left == range->left)
            return true;
    return false;
}

static void out_put_block(struct tcp_header *header, const struct tcp_range *range)
{
    header->sack[header->sack_count++] = (struct tcp_sack_block){range->left, range->right};
}

/* Blocks beside the timestamps: three, without them four; a D-SACK first (RFC 2883, 4), then the
   range that changed last and those reported before it (RFC 2018, 4), then any others. */
static void out_put_sack(struct tcp_socket *socket, struct tcp_header *header)
{
    unsigned most = socket->timestamps ? TCP_SACK_BLOCKS_MAX - 1 : TCP_SACK_BLOCKS_MAX;
    if (socket->duplicate.left != socket->duplicate.right)
        out_put_block(header, &socket->duplicate);
    for (unsigned i = 0; i < socket->recent_count && header->sack_count < most; i++)
        out_put_block(header, &socket->recent[i]);
    for (unsigned i = 0; i < socket->range_count && header->sack_count < most; i++)
        if (!out_is_reported(socket, &socket->ranges[i]))
            out_put_block(header, &socket->ranges[i]);
    if (header->sack_count > 0)
        header->options_present |= TCP_OPTION_SACK;
}

static bool out_has_sack(const struct tcp_socket *socket)
{
    return socket->sack && socket->snd_mss >= SACK_MSS_LEAST;
}

static unsigned out_sack_bytes(const struct tcp_socket *socket)
{
    unsigned most = socket->timestamps ? TCP_SACK_BLOCKS_MAX - 1 : TCP_SACK_BLOCKS_MAX;
    unsigned count = socket->range_count + (socket->duplicate.left != socket->duplicate.right);
    if (!out_has_sack(socket) || count == 0)
        return 0;
    return 4 + 8 * (count < most ? count : most);
}

static void out_note_zero_window(struct stack *stack, struct tcp_socket *socket, bool closed,
                                 uint64_t now_us)
{
    if (closed == socket->window_closed)
        return;
    socket->window_closed = closed;
    stack_count(stack, closed ? STACK_COUNTER_TCP_TO_ZERO_WINDOW_ADV
                              : STACK_COUNTER_TCP_FROM_ZERO_WINDOW_ADV);
    stack_event_add(stack, STACK_EVENT_WINDOW, socket->entry.id, now_us, STACK_REASON_WINDOW_UPDATE,
                    socket->rcv.edge - socket->rcv.nxt, socket->held, 0);
}

/* The value of the window field; moves the edge that we promise. Rounded up, so that a shift count
   does not pull the edge back (RFC 7323, 2.4), but not so often that small segments, each rounded
   up, have us promise more than the buffer and one unit. */
static uint16_t out_window(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    uint32_t unit = 1U << socket->rcv_wscale;
    uint32_t window = tcp_receive_window(stack, socket);
    uint32_t rounded = (window + unit - 1) & ~(unit - 1);
    uint64_t kept = (uint64_t)socket->receive.used + socket->held;
    if (kept + rounded <= (uint64_t)socket->options.receive_buffer + unit)
        window = rounded;
    uint32_t field = window >> socket->rcv_wscale;
    field = field < 65535 ? field : 65535;
    socket->rcv.edge = seq_max(socket->rcv.edge, socket->rcv.nxt + (field << socket->rcv_wscale));
    out_note_zero_window(stack, socket, field == 0, now_us);
    return (uint16_t)field;
}

/* The window of a SYN is never scaled (RFC 7323, 2.2). */
static uint16_t out_syn_window(struct tcp_socket *socket)
{
    uint32_t window = socket->options.receive_buffer;
    window = window < 65535 ? window : 65535;
    if (socket->entry.state == TCP_SYN_RECEIVED)
        socket->rcv.edge = seq_max(socket->rcv.edge, socket->rcv.nxt + window);
    return (uint16_t)window;
}

/* In a SYN we offer what is switched on; in a SYN-ACK what was offered to us. */
static void out_put_syn_options(const struct stack *stack, const struct tcp_socket *socket,
                                struct tcp_header *header)
{
    const struct stack_settings *settings = &stack->settings;
    bool answer = header->flags & TCP_ACK;
    uint32_t mss = socket->advmss;
    if (socket->options.maximum_segment && mss > socket->options.maximum_segment)
        mss = socket->options.maximum_segment;
    header->mss = (uint16_t)mss;
    header->options_present = TCP_OPTION_MSS;
    if (answer ? socket->sack : settings->tcp_sack)
        header->options_present |= TCP_OPTION_SACK_PERMITTED;
    if (answer ? socket->timestamps : settings->tcp_timestamps)
        header->options_present |= TCP_OPTION_TIMESTAMPS;
    if (answer ? socket->window_scaling : settings->tcp_window_scaling) {
        header->options_present |= TCP_OPTION_WINDOW_SCALE;
        header->window_scale = (uint8_t)settings->tcp_window_scale;
    }
}

/* ---- building ---- */

static void out_fill_header(struct stack *stack, struct tcp_socket *socket,
                            const struct out_plan *plan, struct tcp_header *header, uint64_t now_us)
{
    header->source_port = socket->entry.local_port;
    header->destination_port = socket->entry.remote_port;
    header->sequence = plan->sequence;
    header->acknowledgment = plan->flags & TCP_ACK ? socket->rcv.nxt : 0;
    header->flags = plan->flags;
    header->urgent_pointer = 0;
    header->sack_count = 0;
    if (plan->flags & TCP_SYN) {
        header->window = out_syn_window(socket);
        out_put_syn_options(stack, socket, header);
    } else {
        header->window = out_window(stack, socket, now_us);
        header->options_present = socket->timestamps ? TCP_OPTION_TIMESTAMPS : 0;
        if (out_has_sack(socket))
            out_put_sack(socket, header);
    }
    header->timestamp_value = tcp_out_timestamp(stack, socket->ts_offset, now_us);
    header->timestamp_echo = plan->flags & TCP_ACK ? socket->ts_recent : 0;
    if (seq_gt(socket->snd.up,
               seq_max(plan->sequence, socket->snd.una))) { /* MUST-62: behind the urgent data */
        uint32_t pointer = socket->snd.up - plan->sequence;
        header->flags |= TCP_URG;
        header->urgent_pointer = (uint16_t)(pointer < 65535 ? pointer : 65535);
    }
}

static void out_account(struct stack *stack, struct tcp_socket *socket, const struct out_plan *plan,
                        uint64_t now_us)
{
    bool again = seq_lt(plan->sequence, socket->snd.max) && (plan->size || plan->flags & TCP_FIN);
    uint32_t segments = plan->size > plan->mss ? (plan->size + plan->mss - 1) / plan->mss : 1;
    socket->segs_out += segments;
    socket->last_sent_at = now_us;
    if (plan->size > 0) {
        socket->data_segs_out += segments;
        socket->bytes_sent += plan->size;
    }
    if (again) {
        socket->total_retransmits += segments;
        socket->bytes_retransmitted += plan->size;
        stack->counters[STACK_COUNTER_TCP_RETRANS_SEGS] += segments;
    } else {
        stack->counters[STACK_COUNTER_TCP_OUT_SEGS] += segments;
        if (plan->size > 0)
            stack->counters[STACK_COUNTER_TCP_ORIG_DATA_SENT] += segments;
    }
    stack_event_add(stack, again ? STACK_EVENT_RETRANSMITTED : STACK_EVENT_SENT, socket->entry.id,
                    now_us, plan->reason, plan->sequence, plan->size, plan->flags);
}

/* Everything that this segment tells the peer is settled. A probe tells nothing: the peer does not
   take what a segment out of its window acknowledges. */
static void out_settle(struct tcp_socket *socket, const struct out_plan *plan)
{
    if (!(plan->flags & TCP_ACK) || seq_lt(plan->sequence, socket->snd.una))
        return;
    socket->ack_wanted = false;
    socket->not_acked = 0;
    socket->rcv.acked = socket->rcv.nxt;
    socket->duplicate.left = socket->duplicate.right;
    tcp_timer_clear(socket, TCP_TIMER_DELAYED_ACK);
}

/* Builds the frame of a plan and hands it to IP. Returns what ip_output says. */
static int out_send(struct stack *stack, struct tcp_socket *socket, const struct out_plan *plan,
                    struct frame *frame, uint64_t now_us)
{
    struct tcp_header header;
    out_fill_header(stack, socket, plan, &header, now_us);
    size_t head = IP_PAYLOAD_OFFSET + tcp_write(&header, frame->header + IP_PAYLOAD_OFFSET);
    frame->flags = 0;
    frame->piece[0] = (struct frame_piece){frame->header, head};
    frame->piece_count = 1;
    frame->segment_bytes = plan->size > plan->mss ? (uint16_t)plan->mss : 0;
    frame->header_bytes = frame->segment_bytes ? (uint16_t)head : 0;
    if (plan->size > 0)
        frame->piece_count += (uint8_t)ring_pieces(&socket->send, plan->sequence - socket->snd.una,
                                                   plan->size, frame->piece + 1);
    if (plan->size > 0) {
        uint32_t first = plan->size < plan->mss ? plan->size : plan->mss;
        tcp_mtu_sent(socket, (uint32_t)head - ETHERNET_HEADER_BYTES + first,
                     plan->sequence + first);
    }
    out_account(stack, socket, plan, now_us);
    out_settle(socket, plan);
    bool dont_fragment = stack->settings.ip_pmtu_discovery && !socket->mtu.locked;
    const struct ip_send send = {
        .source_v4 = ip_address_to_v4(&socket->entry.local_address),
        .destination_v4 = ip_address_to_v4(&socket->entry.remote_address),
        .protocol = IPV4_PROTOCOL_TCP,
        .ttl = socket->options.ttl,
        .tos = socket->options.tos,
        .dont_fragment = dont_fragment,
        .identification = dont_fragment ? 0 : (uint16_t)stack_random32(stack),
    };
    return ip_output(stack, frame, frame->header, &send, now_us);
}

/* ---- what to send ---- */

static int out_syn(struct stack *stack, struct tcp_socket *socket, struct frame *frame,
                   uint64_t now_us)
{
    bool answer = socket->entry.state == TCP_SYN_RECEIVED;
    struct out_plan plan = {
        .sequence = socket->snd.iss,
        .mss = socket->snd_mss,
        .flags = answer ? TCP_SYN | TCP_ACK : TCP_SYN,
        .reason = answer ? STACK_REASON_OPEN_ANSWER : STACK_REASON_OPEN,
    };
    socket->syn_wanted = false;
    bool first = socket->snd.max == socket->snd.iss;
    if (first) {
        socket->snd.nxt = socket->snd.max = socket->snd.iss + 1;
        socket->snd.timed = socket->snd.max;
        socket->timed_at = now_us;
    } else {
        stack_count(stack, STACK_COUNTER_TCP_SYN_RETRANS);
        socket->timed_at = 0; /* Karn */
    }
    int result = out_send(stack, socket, &plan, frame, now_us);
    tcp_timer_update(stack, socket, now_us);
    return result;
}

/* May a segment that is not full leave? all: it empties the send buffer. */
static bool out_may_send_partial(const struct tcp_socket *socket, uint32_t size, bool all)
{
    if (socket->force_partial || seq_lt(socket->snd.nxt, socket->snd.max))
        return true; /* what was sent before goes again in any size */
    if (size >= socket->snd.max_wnd / 2 && size > 0 && !all)
        return true; /* a peer with a small buffer never opens more: RFC 9293 3.8.6.2.1 (3) */
    if (!all)
        return false;
    if (socket->fin_wanted)
        return true;
    if (socket->options.cork || socket->hold_partial)
        return false;
    return socket->options.nodelay || !seq_gt(socket->snd.small, socket->snd.una);
}

/* Largest data of one frame: a segment, or what the device takes as a super-frame. */
static uint32_t out_frame_limit(const struct stack *stack, const struct tcp_socket *socket,
                                uint32_t mss)
{
    uint32_t next_hop;
    const struct route *route =
        route_find(&stack->routes, ip_address_to_v4(&socket->entry.remote_address), &next_hop);
    uint32_t most = route ? stack->interface[route->interface].segment_max_bytes : 0;
    if (most <= mss + FRAME_HEADER_MAX || !stack->settings.tcp_segmentation_offload)
        return mss;
    if (seq_gt(socket->snd.up, socket->snd.nxt))
        return mss; /* the urgent pointer counts from each segment's own number */
    most -= FRAME_HEADER_MAX;
    return most - most % mss;
}

/* Notes what keeps the connection from sending more (RFC 4898, SndLim). */
static void out_set_limit(struct tcp_socket *socket, enum tcp_limit limit, uint64_t now_us)
{
    uint64_t spent = now_us - socket->limit_since;
    if (socket->limit != TCP_LIMIT_NONE)
        socket->busy_us += spent;
    if (socket->limit == TCP_LIMIT_RECEIVER)
        socket->rwnd_limited_us += spent;
    if (socket->limit == TCP_LIMIT_SENDER)
        socket->sndbuf_limited_us += spent;
    socket->limit = (uint8_t)limit;
    socket->limit_since = now_us;
}

static void out_note_limit(struct tcp_socket *socket, uint32_t unsent, uint32_t usable_wnd,
                           uint32_t usable_cwnd, uint64_t now_us)
{
    enum tcp_limit limit = TCP_LIMIT_NONE;
    if (unsent > usable_wnd && usable_wnd <= usable_cwnd)
        limit = TCP_LIMIT_RECEIVER;
    else if (unsent > usable_cwnd)
        limit = TCP_LIMIT_BUSY;
    else if (socket->send_full)
        limit = TCP_LIMIT_SENDER;
    else if (socket->send.used > 0)
        limit = TCP_LIMIT_BUSY;
    if (unsent > usable_cwnd && usable_cwnd < usable_wnd)
        socket->cwnd_limited = true;
    if (limit != socket->limit)
        out_set_limit(socket, limit, now_us);
}

/* How many data bytes go from snd.nxt on. */
static uint32_t out_data_size(struct stack *stack, struct tcp_socket *socket, uint32_t mss,
                              uint64_t now_us)
{
    uint32_t unsent = tcp_out_unsent(socket);
    uint32_t flight = socket->snd.nxt - socket->snd.una;
    uint32_t usable_wnd = socket->snd.wnd > flight ? socket->snd.wnd - flight : 0;
    uint32_t usable_cwnd = tcp_recovery_room(socket);
    uint32_t usable = usable_wnd < usable_cwnd ? usable_wnd : usable_cwnd;
    uint32_t size = unsent < usable ? unsent : usable;
    out_note_limit(socket, unsent, usable_wnd, usable_cwnd, now_us);
    if (size == 0)
        return 0;
    if (size > mss) {
        uint32_t most = out_frame_limit(stack, socket, mss);
        size = size < most ? size : most;
    }
    uint32_t rest = size % mss;
    if (rest != 0 && !out_may_send_partial(socket, rest, size == unsent)) {
        size -= rest;
        if (size == 0 && unsent > 0 && (socket->options.cork || socket->hold_partial) &&
            socket->deadline[TCP_TIMER_CORK] == TCP_NEVER)
            tcp_timer_set(stack, socket, TCP_TIMER_CORK, now_us, 200000);
    }
    return size;
}

/* FIN takes its place in the sequence space, and so in the peer's window; alone it waits for the
   congestion window like any segment. */
static bool out_fin_fits(const struct tcp_socket *socket, uint32_t size)
{
    uint32_t behind = socket->snd.nxt + size;
    if (!socket->fin_wanted || behind != socket->snd.una + socket->send.used)
        return false;
    return seq_lt(behind, socket->snd.una + socket->snd.wnd) &&
           (size > 0 || tcp_recovery_room(socket) > 0);
}

static bool out_plan_data(struct stack *stack, struct tcp_socket *socket, struct out_plan *plan,
                          uint64_t now_us)
{
    if (socket->snd.una == socket->snd.max && tcp_out_unsent(socket) > 0)
        tcp_recovery_idle(stack, socket, now_us);
    uint32_t size = out_data_size(stack, socket, plan->mss, now_us);
    bool fin = out_fin_fits(socket, size);
    if (size == 0 && !fin)
        return false;
    uint32_t end = socket->snd.nxt + size;
    bool again = seq_lt(socket->snd.nxt, socket->snd.max);
    plan->sequence = socket->snd.nxt;
    plan->size = size;
    plan->flags = TCP_ACK;
    bool written = seq_ge(end, socket->snd.push) && seq_gt(socket->snd.push, socket->snd.nxt);
    if (written || (size > plan->mss && !socket->hold_partial && stack->settings.tcp_push_bursts))
        plan->flags |= TCP_PSH; /* the last byte of a write is in it (MUST-61, SHLD-27) */
    if (fin)
        plan->flags |= TCP_FIN;
    if (again) /* back to snd.una by a timeout, or because the path's MTU fell */
        plan->reason = socket->in_loss ? STACK_REASON_RTO : STACK_REASON_PATH_MTU;
    else
        plan->reason = size ? STACK_REASON_DATA : STACK_REASON_CLOSE;
    if (again && socket->in_loss)
        stack_count(stack, STACK_COUNTER_TCP_SLOW_START_RETRANS);
    return true;
}

/* Moves snd.nxt over a segment just planned, and starts what watches over it. */
static void out_advance(struct tcp_socket *socket, const struct out_plan *plan, uint64_t now_us)
{
    uint32_t end = plan->sequence + plan->size + !!(plan->flags & TCP_FIN);
    if (plan->flags & TCP_FIN)
        socket->fin_sent = true;
    if (plan->size % plan->mss != 0)
        socket->snd.small = plan->sequence + plan->size;
    if (seq_gt(end, socket->snd.max) && socket->timed_at == 0 &&
        plan->sequence == socket->snd.max) {
        socket->snd.timed = plan->size > plan->mss ? plan->sequence + plan->mss : end;
        socket->timed_at = now_us; /* of a super-frame its first segment is */
    }
    socket->snd.nxt = end;
    socket->snd.max = seq_max(socket->snd.max, end);
    socket->force_partial = false;
}

static int out_data(struct stack *stack, struct tcp_socket *socket, struct out_plan *plan,
                    struct frame *frame, uint64_t now_us)
{
    int result = out_send(stack, socket, plan, frame, now_us);
    out_advance(socket, plan, now_us);
    tcp_timer_clear(socket, TCP_TIMER_CORK);
    tcp_timer_update(stack, socket, now_us);
    return result;
}

/* One segment from snd.una on: fast retransmit, partial ACK. */
static int out_retransmit(struct stack *stack, struct tcp_socket *socket, struct out_plan *plan,
                          struct frame *frame, uint64_t now_us)
{
    uint32_t outstanding = socket->snd.max - socket->snd.una;
    socket->retransmit_wanted = false;
    plan->sequence = socket->snd.una;
    plan->size = outstanding < socket->send.used ? outstanding : socket->send.used;
    if (plan->size > plan->mss)
        plan->size = plan->mss;
    plan->flags = TCP_ACK;
    if (socket->fin_sent && plan->size == socket->send.used)
        plan->flags |= TCP_FIN;
    if (plan->size > 0 && seq_ge(plan->sequence + plan->size, socket->snd.push))
        plan->flags |= TCP_PSH;
    plan->reason = (enum stack_reason)socket->retransmit_reason;
    socket->timed_at = 0; /* Karn's algorithm: RFC 6298, 3 */
    stack_count(stack, STACK_COUNTER_TCP_FAST_RETRANS);
    int result = out_send(stack, socket, plan, frame, now_us);
    tcp_timer_update(stack, socket, now_us);
    return result;
}

/* An ACK stands at the end of what was sent; when the window has shrunk below that, at its edge, or
   the peer would not take it. A peer that merely rounds its window down (RFC 7323, 2.4) does take
   it, and would take one at the edge for a duplicate and answer. */
static uint32_t out_ack_sequence(const struct tcp_socket *socket)
{
    uint32_t edge = socket->snd.una + socket->snd.wnd;
    bool is_rounded = socket->snd.max - edge < 1U << socket->snd_wscale;
    return is_rounded ? socket->snd.max : seq_min(socket->snd.max, edge);
}

/* A segment without data: an ACK; or a probe, whose old sequence number makes the peer answer
   (RFC 9293, 3.8.4 and 3.8.6.1). */
static int out_bare(struct stack *stack, struct tcp_socket *socket, struct out_plan *plan,
                    struct frame *frame, uint64_t now_us)
{
    bool probe = socket->probe_wanted;
    plan->sequence = probe ? socket->snd.una - 1 : out_ack_sequence(socket);
    plan->size = 0;
    plan->flags = TCP_ACK;
    plan->reason = (enum stack_reason)socket->ack_reason;
    if (probe)
        plan->reason = tcp_out_unsent(socket) || socket->fin_wanted ? STACK_REASON_WINDOW_PROBE
                                                                    : STACK_REASON_KEEP_ALIVE;
    socket->probe_wanted = false;
    return out_send(stack, socket, plan, frame, now_us);
}

/* States in which data and FIN of ours may be sent (RFC 9293, 3.10.2). */
static bool out_state_sends(enum tcp_state state)
{
    return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT || state == TCP_FIN_WAIT_1 ||
           state == TCP_CLOSING || state == TCP_LAST_ACK;
}

/* Returns 1: the frame may leave; 0: it waits or is lost; -1: there was nothing to send. */
static int out_socket(struct stack *stack, struct tcp_socket *socket, struct frame *frame,
                      uint64_t now_us)
{
    enum tcp_state state = socket->entry.state;
    int result = -1;
    if (state == TCP_CLOSED || state == TCP_LISTEN)
        return -1;
    if (socket->mtu.generation != stack->pmtu.generation)
        tcp_mtu_refresh(stack, socket, now_us);
    struct out_plan plan = {.mss = socket->snd_mss - out_sack_bytes(socket)};
    if (socket->syn_wanted)
        result = out_syn(stack, socket, frame, now_us);
    else if (state == TCP_SYN_SENT)
        return -1;
    else if (socket->retransmit_wanted && socket->snd.una != socket->snd.max)
        result = out_retransmit(stack, socket, &plan, frame, now_us);
    else if (out_state_sends(state) && out_plan_data(stack, socket, &plan, now_us))
        result = out_data(stack, socket, &plan, frame, now_us);
    else if (socket->probe_wanted || socket->ack_wanted)
        result = out_bare(stack, socket, &plan, frame, now_us);
    else
        return -1;
    return result > 0 ? 1 : 0;
}

int tcp_output(struct stack *stack, struct frame *frame, uint64_t now_us)
{
    struct tcp_socket *socket;
    while ((socket = TAILQ_FIRST(&stack->tcp.out)) != NULL) {
        TAILQ_REMOVE(&stack->tcp.out, socket, out);
        socket->out_queued = false;
        int result = out_socket(stack, socket, frame, now_us);
        if (result >= 0)
            tcp_socket_want_output(stack, socket);
        if (result > 0)
            return 1;
    }
    return 0;
}

/* Received data: the buffer, what came out of order, the window we offer, and when to acknowledge.

   Bytes are kept in one ring: first those in order that the application has not taken, then, at
   their place beyond a gap, those that came early. `ranges` says which of these are there. When a
   gap closes the bytes need not be moved.

   The window's right edge is `rcv.edge` and never moves left (SHLD-14). It moves right when there
   is enough room to be worth telling: a full segment, or half the buffer (MUST-39). Bytes that were
   taken out of the ring and lie unread with the application (`held`) still count as buffer. */
#include <string.h>

#include "state.h"

enum {
    RANGES_FIRST = 8,
    WINDOW_UNSCALED_MAX = 65535,
};

/* ---- the window ---- */

static uint32_t receive_window_max(const struct tcp_socket *socket)
{
    return (uint32_t)WINDOW_UNSCALED_MAX << socket->rcv_wscale;
}

/* Room for bytes from rcv.nxt on. It grows with what has come in order: a sender doubles its window
   every round trip at most, so twice of it never holds a good one back, and nobody takes a whole
   buffer with a few bytes at its far end. */
static uint32_t receive_room(const struct tcp_socket *socket)
{
    uint32_t kept = socket->receive.used + socket->held;
    uint32_t limit = socket->options.receive_buffer;
    uint32_t room = kept < limit ? limit - kept : 0;
    uint64_t earned = WINDOW_UNSCALED_MAX + 2 * socket->bytes_received;
    uint32_t most = receive_window_max(socket);
    room = room < earned ? room : (uint32_t)earned;
    return room < most ? room : most;
}

/* Cut to what the window field can say. A unit that is larger than what is left of a small buffer
   would keep the window closed for ever: with half the buffer free it is offered all the same. */
static uint32_t receive_round_room(const struct tcp_socket *socket, uint32_t room)
{
    uint32_t unit = 1U << socket->rcv_wscale;
    if (room < unit && room >= socket->options.receive_buffer / 2)
        return unit;
    return room & ~(unit - 1);
}

uint32_t tcp_receive_window(const struct stack *stack, const struct tcp_socket *socket)
{
    uint32_t offered = socket->rcv.edge - socket->rcv.nxt;
    uint32_t room = receive_round_room(socket, receive_room(socket));
    uint32_t half = socket->options.receive_buffer / 2;
    uint32_t step = half < socket->rcv_mss ? half : socket->rcv_mss;
    if (stack->pool.used_bytes > stack->settings.tcp_memory)
        return offered;
    return room >= offered + step || (room > offered && offered >= step) ? room : offered;
}

/* Tells the peer that the window has opened: when it was closed, or by two segments or half the
   buffer; smaller steps ride on other ACKs. */
void tcp_receive_window_opened(struct stack *stack, struct tcp_socket *socket)
{
    enum tcp_state state = socket->entry.state;
    if (socket->fin_received || state < TCP_ESTABLISHED || state > TCP_FIN_WAIT_2)
        return;
    uint32_t offered = socket->rcv.edge - socket->rcv.nxt;
    uint32_t window = tcp_receive_window(stack, socket);
    uint32_t half = socket->options.receive_buffer / 2;
    uint32_t step = 2U * socket->rcv_mss;
    if (window - offered >= (half < step ? half : step) &&
        (offered < half || window - offered >= half))
        tcp_receive_ack_now(stack, socket, STACK_REASON_WINDOW_UPDATE);
}

uint32_t tcp_receive_unread(const struct tcp_socket *socket)
{
    return socket->rcv.nxt - socket->fin_received - socket->receive.used - socket->held;
}

/* ---- acknowledging ---- */

void tcp_receive_ack_now(struct stack *stack, struct tcp_socket *socket, enum stack_reason reason)
{
    if (!socket->ack_wanted)
        socket->ack_reason = (uint8_t)reason;
    socket->ack_wanted = true;
    tcp_socket_want_output(stack, socket);
}

void tcp_receive_start_quick_acks(const struct stack *stack, struct tcp_socket *socket)
{
    uint64_t segments = stack->settings.tcp_quick_ack_segments;
    if (socket->options.no_quick_ack)
        segments = 0;
    socket->quick_acks = (uint8_t)(segments < UINT8_MAX ? segments : UINT8_MAX);
}

/* RFC 9293, 3.8.6.3; RFC 5681, 4.2: at least every second full segment, within half a second; the
   first segments of a connection at once, because the peer's window grows with every ACK. */
void tcp_receive_schedule_ack(struct stack *stack, struct tcp_socket *socket,
                              const struct tcp_segment *segment, uint64_t now_us)
{
    if (segment->unit > socket->rcv_mss)
        socket->rcv_mss = segment->unit;
    socket->not_acked += segment->size;
    if (socket->quick_acks > 0 || !stack->settings.tcp_delayed_ack) {
        if (socket->quick_acks > 0)
            socket->quick_acks--;
        tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_QUICK);
    } else if (socket->not_acked >= 2U * socket->rcv_mss) {
        tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_EVERY_SECOND);
    } else if (socket->deadline[TCP_TIMER_DELAYED_ACK] == TCP_NEVER) {
        tcp_timer_set(stack, socket, TCP_TIMER_DELAYED_ACK, now_us,
                      stack->settings.tcp_delayed_ack_us);
    }
}

/* ---- out of order ---- */

static bool receive_grow_ranges(struct stack *stack, struct tcp_socket *socket)
{
    uint32_t capacity = socket->range_capacity ? socket->range_capacity * 2U : RANGES_FIRST;
    if (socket->range_count < socket->range_capacity)
        return true;
    if (socket->range_count >= stack->settings.tcp_out_of_order_ranges)
        return false;
    struct tcp_range *ranges = pool_take(&stack->pool, capacity * sizeof(*ranges));
    if (!ranges)
        return false;
    if (socket->range_count > 0)
        memcpy(ranges, socket->ranges, socket->range_count * sizeof(*ranges));
    pool_give(&stack->pool, socket->ranges, socket->range_capacity * sizeof(*ranges));
    socket->ranges = ranges;
    socket->range_capacity = (uint16_t)capacity;
    return true;
}

static void receive_remove_ranges(struct tcp_socket *socket, unsigned first, unsigned count)
{
    struct tcp_range *ranges = socket->ranges;
    for (unsigned i = first; i < first + count; i++)
        socket->out_of_order_bytes -= ranges[i].right - ranges[i].left;
    memmove(ranges + first, ranges + first + count,
            (socket->range_count - first - count) * sizeof(*ranges));
    socket->range_count -= (uint16_t)count;
}

/* Keeps those of the reported ranges that lie apart from [left, right). */
static void receive_drop_recent(struct tcp_socket *socket, uint32_t left, uint32_t right)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < socket->recent_count; i++)
        if (seq_gt(socket->recent[i].left, right) || seq_lt(socket->recent[i].right, left))
            socket->recent[kept++] = socket->recent[i];
    socket->recent_count = (uint8_t)kept;
}

/* SACK blocks: the range that changed last first, then those reported before (RFC 2018, 4). */
static void receive_note_recent(struct tcp_socket *socket, uint32_t left, uint32_t right)
{
    receive_drop_recent(socket, left, right);
    if (socket->recent_count == TCP_SACK_BLOCKS_MAX)
        socket->recent_count--;
    memmove(socket->recent + 1, socket->recent, socket->recent_count * sizeof(*socket->recent));
    socket->recent[0] = (struct tcp_range){left, right};
    socket->recent_count++;
}

/* Joins [left, right) with the ranges it touches. Returns whether it was kept. */
static bool receive_insert_range(struct stack *stack, struct tcp_socket *socket, uint32_t left,
                                 uint32_t right)
{
    unsigned first = 0, last;
    while (first < socket->range_count && seq_lt(socket->ranges[first].right, left))
        first++;
    for (last = first; last < socket->range_count && seq_le(socket->ranges[last].left, right);
         last++) {
        left = seq_min(left, socket->ranges[last].left);
        right = seq_max(right, socket->ranges[last].right);
    }
    if (last > first) {
        receive_remove_ranges(socket, first, last - first);
    } else if (!receive_grow_ranges(stack, socket)) {
        return false;
    }
    memmove(socket->ranges + first + 1, socket->ranges + first,
            (socket->range_count - first) * sizeof(*socket->ranges));
    socket->ranges[first] = (struct tcp_range){left, right};
    socket->range_count++;
    receive_note_recent(socket, left, right);
    socket->out_of_order_bytes += right - left;
    return true;
}

/* The part of a new segment that a range already holds is reported as D-SACK (RFC 2883, 4). */
static void receive_note_duplicate(struct tcp_socket *socket, uint32_t left, uint32_t right)
{
    if (!socket->sack)
        return;
    for (unsigned i = 0; i < socket->range_count; i++) {
        const struct tcp_range *range = &socket->ranges[i];
        if (seq_lt(left, range->right) && seq_gt(right, range->left)) {
            socket->duplicate.left = seq_max(left, range->left);
            socket->duplicate.right = seq_min(right, range->right);
            return;
        }
    }
}

/* The gap before the first range has closed: its bytes are in order now. */
static void receive_join_ranges(struct tcp_socket *socket)
{
    unsigned joined = 0;
    while (joined < socket->range_count && seq_le(socket->ranges[joined].left, socket->rcv.nxt)) {
        uint32_t right = socket->ranges[joined].right;
        if (seq_gt(right, socket->rcv.nxt)) {
            ring_append(&socket->receive, right - socket->rcv.nxt);
            socket->bytes_received += right - socket->rcv.nxt;
            socket->rcv.nxt = right;
        }
        joined++;
    }
    receive_remove_ranges(socket, 0, joined);
    receive_drop_recent(socket, socket->rcv.nxt - (1U << 30), socket->rcv.nxt);
}

void tcp_receive_end_at(struct tcp_socket *socket, uint32_t end)
{
    while (socket->range_count > 0) {
        struct tcp_range *last = &socket->ranges[socket->range_count - 1];
        if (seq_le(last->right, end))
            break;
        if (seq_ge(last->left, end)) {
            receive_remove_ranges(socket, socket->range_count - 1U, 1);
        } else {
            socket->out_of_order_bytes -= last->right - end;
            last->right = end;
        }
    }
    receive_drop_recent(socket, end + 1, end + (1U << 30));
}

/* ---- data ---- */

/* How far the ring is filled, gaps included. */
static uint32_t receive_extent(const struct tcp_socket *socket)
{
    if (socket->range_count == 0)
        return socket->receive.used;
    return socket->receive.used + socket->ranges[socket->range_count - 1].right - socket->rcv.nxt;
}

/* Stores the segment at its place in the ring. */
static int receive_store(struct stack *stack, struct tcp_socket *socket,
                         const struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t offset = socket->receive.used + (segment->sequence - socket->rcv.nxt);
    uint32_t extent = receive_extent(socket);
    if (offset + segment->size > socket->receive.capacity &&
        ring_grow(&socket->receive, &stack->pool, offset + segment->size, extent) < 0)
        return stack_drop(stack, STACK_COUNTER_TCP_RCV_Q_DROP, socket->entry.id, segment->size,
                          now_us);
    ring_write_at(&socket->receive, offset, segment->data, segment->size);
    return 0;
}

static int receive_out_of_order(struct stack *stack, struct tcp_socket *socket,
                                struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t right = segment->sequence + segment->size;
    tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_OUT_OF_ORDER);
    receive_note_duplicate(socket, segment->sequence, right);
    if (receive_store(stack, socket, segment, now_us) < 0)
        return -1;
    if (!receive_insert_range(stack, socket, segment->sequence, right))
        return stack_drop(stack, STACK_COUNTER_TCP_OFO_DROP, socket->entry.id, segment->size,
                          now_us);
    stack_count(stack, STACK_COUNTER_TCP_OFO_QUEUE);
    return 0;
}

/* Nobody will read any more: the bytes are acknowledged and forgotten. */
static void receive_discard(struct stack *stack, struct tcp_socket *socket)
{
    ring_consume(&socket->receive, socket->receive.used);
    if (socket->range_count == 0)
        tcp_receive_release(stack, socket);
}

static int receive_in_order(struct stack *stack, struct tcp_socket *socket,
                            struct tcp_segment *segment, uint64_t now_us)
{
    if (receive_store(stack, socket, segment, now_us) < 0)
        return -1;
    stack_count(stack, STACK_COUNTER_TCP_HP_HITS);
    receive_note_duplicate(socket, segment->sequence, segment->sequence + segment->size);
    ring_append(&socket->receive, segment->size);
    socket->rcv.nxt += segment->size;
    socket->rcv.up = seq_max(socket->rcv.up, tcp_receive_unread(socket)); /* or it would wrap */
    socket->bytes_received += segment->size;
    if (socket->range_count > 0) { /* it fills a hole, or a part of it: RFC 5681, 4.2 */
        receive_join_ranges(socket);
        tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_HOLE_FILLED);
    }
    tcp_receive_schedule_ack(stack, socket, segment, now_us);
    tcp_listen_offer(stack, socket, now_us);
    if (socket->read_shutdown)
        receive_discard(stack, socket);
    else
        tcp_socket_signal(stack, socket, STACK_READY_RECV);
    return 0;
}

/* The peer's FIN bounds the sequence space: bytes beyond it cannot be. */
static void receive_cut_at_fin(const struct tcp_socket *socket, struct tcp_segment *segment)
{
    if (socket->fin_known && seq_gt(segment->sequence + segment->size, socket->rcv.fin))
        segment->size =
            seq_lt(segment->sequence, socket->rcv.fin) ? socket->rcv.fin - segment->sequence : 0;
}

int tcp_receive_data(struct stack *stack, struct tcp_socket *socket, struct tcp_segment *segment,
                     uint64_t now_us)
{
    receive_cut_at_fin(socket, segment);
    if (segment->size == 0)
        return 0;
    if (segment->sequence == socket->rcv.nxt)
        return receive_in_order(stack, socket, segment, now_us);
    return receive_out_of_order(stack, socket, segment, now_us);
}

void tcp_receive_release(struct stack *stack, struct tcp_socket *socket)
{
    ring_release(&socket->receive, &stack->pool);
    pool_give(&stack->pool, socket->ranges, socket->range_capacity * sizeof(*socket->ranges));
    socket->ranges = NULL;
    socket->range_count = socket->range_capacity = 0;
    socket->recent_count = 0;
    socket->out_of_order_bytes = 0;
}

/* TIME-WAIT: what is left of a connection for two segment lifetimes.

   A connection that no application holds needs little in TIME-WAIT: its four-tuple, where the
   sequence numbers stand, and when it is over. struct tcp_wait holds just that, an eighth of a
   control block, and takes the socket's place in the tables. All wait equally long, so their list
   is in the order of their ends, and the oldest makes room when there are too many.

   Segments: a repeated FIN is acknowledged and starts the time anew (RFC 9293, 3.10.7.4); a SYN
   that is provably newer reopens (RFC 6191; MAY-2); a RST at the exact place ends it. */
#include "state.h"

bool tcp_wait_is_fin_again(const struct tcp_segment *segment, uint32_t rcv_nxt)
{
    return segment->flags & TCP_FIN && segment->sequence + segment->length == rcv_nxt;
}

bool tcp_wait_may_reopen(const struct stack *stack, const struct tcp_segment *segment,
                         bool timestamps, uint32_t ts_recent, uint32_t rcv_nxt)
{
    const struct tcp_header *header = &segment->header;
    if ((segment->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN ||
        !tcp_table_find_listener(stack, &segment->datagram->destination, header->destination_port))
        return false;
    if (timestamps && header->options_present & TCP_OPTION_TIMESTAMPS &&
        header->timestamp_value != ts_recent)
        return seq_gt(header->timestamp_value, ts_recent);
    return seq_gt(header->sequence, rcv_nxt);
}

void tcp_wait_note_reopening(struct tcp_segment *segment, uint32_t snd_nxt)
{
    const uint32_t distance = 65536; /* beyond any window that is still on its way */
    segment->reopens = true;
    segment->iss_least = snd_nxt + distance;
}

void tcp_wait_destroy(struct stack *stack, struct tcp_wait *wait)
{
    struct tcp *tcp = &stack->tcp;
    TAILQ_REMOVE(&tcp->waits, wait, age);
    tcp->wait_count--;
    tcp->by_state[TCP_TIME_WAIT]--;
    tcp_table_remove(stack, &wait->entry);
    tcp_table_unnumber(stack, &wait->entry);
    pool_give(&stack->pool, wait, sizeof(*wait));
}

static void wait_end(struct stack *stack, struct tcp_wait *wait, uint64_t now_us)
{
    stack_event_add(stack, STACK_EVENT_STATE, wait->entry.id, now_us, TCP_TIME_WAIT, TCP_CLOSED, 0,
                    0);
    tcp_wait_destroy(stack, wait);
}

static void wait_start(struct stack *stack, struct tcp_wait *wait, uint64_t now_us)
{
    wait->expires_at = now_us + 2 * stack->settings.tcp_msl_us;
    TAILQ_INSERT_TAIL(&stack->tcp.waits, wait, age);
}

static void wait_acknowledge(struct stack *stack, const struct tcp_wait *wait, uint64_t now_us)
{
    struct tcp_header header = {
        .sequence = wait->snd_nxt,
        .acknowledgment = wait->rcv_nxt,
        .window = (uint16_t)(wait->rcv_wnd < 65535 ? wait->rcv_wnd : 65535),
        .flags = TCP_ACK,
    };
    if (wait->timestamps) {
        header.options_present = TCP_OPTION_TIMESTAMPS;
        header.timestamp_value = tcp_out_timestamp(stack, wait->ts_offset, now_us);
        header.timestamp_echo = wait->ts_recent;
    }
    stack_event_add(stack, STACK_EVENT_SENT, wait->entry.id, now_us, STACK_REASON_ACK_TIME_WAIT,
                    wait->snd_nxt, 0, TCP_ACK);
    tcp_reset_bare(stack, &wait->entry, &header, wait->ttl, wait->tos, now_us);
}

static void wait_fill(struct tcp_wait *wait, const struct tcp_socket *socket)
{
    *wait = (struct tcp_wait){
        .entry = {.local_address = socket->entry.local_address,
                  .remote_address = socket->entry.remote_address,
                  .local_port = socket->entry.local_port,
                  .remote_port = socket->entry.remote_port,
                  .state = TCP_TIME_WAIT,
                  .compact = true},
        .ts_recent_at = socket->ts_recent_at,
        .snd_nxt = socket->snd.max,
        .rcv_nxt = socket->rcv.nxt,
        .rcv_wnd = (socket->rcv.edge - socket->rcv.nxt) >> socket->rcv_wscale,
        .ts_recent = socket->ts_recent,
        .ts_offset = socket->ts_offset,
        .timestamps = socket->timestamps,
        .ttl = socket->options.ttl,
        .tos = socket->options.tos,
    };
}

static struct tcp_wait *wait_create(struct stack *stack, uint64_t now_us)
{
    struct tcp *tcp = &stack->tcp;
    uint64_t most = stack->settings.tcp_time_wait_max;
    if (most == 0)
        return NULL;
    while (tcp->wait_count >= most) {
        stack_count(stack, STACK_COUNTER_TW_OVERFLOW);
        wait_end(stack, TAILQ_FIRST(&tcp->waits), now_us);
    }
    return pool_take(&stack->pool, sizeof(struct tcp_wait));
}

void tcp_wait_compact(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    bool owes_ack = socket->ack_wanted;
    struct tcp_wait *wait = wait_create(stack, now_us);
    if (!wait) {
        tcp_socket_end(stack, socket, 0, now_us);
        return;
    }
    wait_fill(wait, socket);
    tcp_table_replace(stack, &socket->entry, &wait->entry);
    wait_start(stack, wait, now_us);
    stack->tcp.wait_count++;
    stack->tcp.by_state[TCP_TIME_WAIT]++;
    tcp_socket_destroy(stack, socket);
    if (owes_ack)
        wait_acknowledge(stack, wait, now_us);
}

void tcp_wait_enter(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    stack_count(stack, STACK_COUNTER_TW);
    tcp_socket_set_state(stack, socket, TCP_TIME_WAIT, now_us);
    for (int i = 0; i < TCP_TIMER_COUNT; i++)
        tcp_timer_clear(socket, (enum tcp_timer)i);
    if (socket->application)
        tcp_timer_set(stack, socket, TCP_TIMER_END, now_us, 2 * stack->settings.tcp_msl_us);
    else
        tcp_wait_compact(stack, socket, now_us);
}

static int wait_drop(struct stack *stack, const struct tcp_wait *wait,
                     const struct tcp_segment *segment, enum stack_counter counter, uint64_t now_us)
{
    return stack_drop(stack, counter, wait->entry.id, segment->datagram->frame->piece[0].size,
                      now_us);
}

int tcp_wait_input(struct stack *stack, struct tcp_wait *wait, struct tcp_segment *segment,
                   uint64_t now_us)
{
    bool exact = segment->sequence == wait->rcv_nxt;
    if (tcp_wait_may_reopen(stack, segment, wait->timestamps, wait->ts_recent, wait->rcv_nxt)) {
        stack_count(stack, STACK_COUNTER_TW_RECYCLED);
        tcp_wait_note_reopening(segment, wait->snd_nxt);
        wait_end(stack, wait, now_us);
        return 1;
    }
    if (segment->flags & TCP_RST) {
        if (!exact)
            return wait_drop(stack, wait, segment, STACK_COUNTER_TCP_RST_IGNORED, now_us);
        wait_end(stack, wait, now_us);
        return 0;
    }
    if (exact && segment->length == 0)
        return 0; /* a late ACK that changes nothing */
    if (tcp_wait_is_fin_again(segment, wait->rcv_nxt)) {
        TAILQ_REMOVE(&stack->tcp.waits, wait, age);
        wait_start(stack, wait, now_us);
    }
    if (tcp_reset_may_challenge(stack, &wait->challenges, &wait->challenges_since_s, now_us))
        wait_acknowledge(stack, wait, now_us);
    return wait_drop(stack, wait, segment, STACK_COUNTER_TCP_OUT_OF_WINDOW, now_us);
}

void tcp_wait_expire(struct stack *stack, uint64_t now_us)
{
    struct tcp_wait *wait;
    while ((wait = TAILQ_FIRST(&stack->tcp.waits)) != NULL && wait->expires_at <= now_us)
        wait_end(stack, wait, now_us);
}

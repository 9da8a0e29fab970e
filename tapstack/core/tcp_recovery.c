/* Round-trip time and loss recovery.

   RTT: one segment at a time is timed to the microsecond (RFC 6298, 3; Karn: never one that was
   retransmitted); while none is, timestamps give samples of their tick.

   Losses are found by duplicate ACKs and by the timeout, and repaired as NewReno does (RFC 5681,
   RFC 6582): the third duplicate ACK retransmits the segment at snd.una and starts a recovery that
   lasts until everything sent before it is acknowledged; each partial ACK in it retransmits the
   next. cwnd is inflated by every duplicate ACK, because it says that a segment has left the
   network. After a timeout snd.nxt goes back to snd.una and slow start sends again from there. The
   first two duplicate ACKs let a new segment each go (limited transmit, RFC 3042).

   How far cwnd falls and grows is the congestion control algorithm's (congestion.h). */
#include "state.h"

void tcp_recovery_open(struct stack *stack, struct tcp_socket *socket)
{
    struct congestion *congestion = &socket->congestion;
    congestion->algorithm->open(congestion, socket->snd_mss,
                                (uint32_t)stack->settings.tcp_initial_window);
}

/* A SYN that had to be repeated says that the path is bad or slow: one segment to begin with
   (RFC 5681, 3.1), and three seconds' patience until there is a sample (RFC 6298, 5.7). */
void tcp_recovery_established(struct tcp_socket *socket)
{
    const uint32_t cautious_rto_us = 3000000;
    if (socket->retransmits == 0)
        return;
    socket->congestion.cwnd = socket->snd_mss;
    if (socket->srtt_us == 0 && socket->rto_us < cautious_rto_us)
        socket->rto_us = cautious_rto_us;
}

static uint32_t recovery_flight(const struct tcp_socket *socket)
{
    return socket->snd.max - socket->snd.una;
}

static void recovery_event(struct stack *stack, const struct tcp_socket *socket,
                           enum stack_reason reason, uint64_t now_us)
{
    stack_event_add(stack, STACK_EVENT_CWND, socket->entry.id, now_us, reason,
                    socket->congestion.cwnd, socket->congestion.ssthresh, recovery_flight(socket));
}

/* ---- round-trip time ---- */

static uint32_t recovery_clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return (uint32_t)(value < least ? least : value > most ? most : value);
}

/* An answer to what we sent: the next hop is alive (RFC 4861, 7.3.1). */
static void recovery_confirm_neighbor(struct stack *stack, const struct tcp_socket *socket,
                                      uint64_t now_us)
{
    uint32_t next_hop;
    const struct route *route =
        route_find(&stack->routes, ip_address_to_v4(&socket->entry.remote_address), &next_hop);
    if (route)
        neighbor_confirm(stack, route->interface, next_hop, now_us);
}

/* RFC 6298, 2.2 to 2.5, in microseconds. The least RTO is taken as the least allowance for
   variation, on top of the round trip: on a path of steady delay a peer's delayed ACK would else
   come too late. Nor is it less than what a tick of the timestamps leaves open: G. */
void tcp_recovery_sample_rtt(struct stack *stack, struct tcp_socket *socket, uint32_t rtt_us,
                             uint64_t now_us)
{
    const struct stack_settings *settings = &stack->settings;
    if (rtt_us == 0)
        rtt_us = 1;
    if (socket->min_rtt_us == 0 || rtt_us < socket->min_rtt_us)
        socket->min_rtt_us = rtt_us;
    if (socket->srtt_us == 0) {
        socket->srtt_us = rtt_us;
        socket->rttvar_us = rtt_us / 2;
    } else {
        uint32_t error =
            rtt_us > socket->srtt_us ? rtt_us - socket->srtt_us : socket->srtt_us - rtt_us;
        socket->rttvar_us = (uint32_t)(((uint64_t)socket->rttvar_us * 3 + error) / 4);
        socket->srtt_us = (uint32_t)(((uint64_t)socket->srtt_us * 7 + rtt_us) / 8);
    }
    uint64_t allowance = 4ULL * socket->rttvar_us;
    if (allowance < settings->tcp_rto_min_us)
        allowance = settings->tcp_rto_min_us;
    if (socket->timestamps && allowance < settings->tcp_timestamp_tick_us)
        allowance = settings->tcp_timestamp_tick_us;
    socket->backoff = 0;
    socket->rto_us = recovery_clamp(socket->srtt_us + allowance, 0, settings->tcp_rto_max_us);
    stack_event_add(stack, STACK_EVENT_RTT, socket->entry.id, now_us, rtt_us, socket->srtt_us,
                    socket->rttvar_us, socket->rto_us);
    recovery_confirm_neighbor(stack, socket, now_us);
}

static void recovery_measure(struct stack *stack, struct tcp_socket *socket,
                             const struct tcp_segment *segment, uint64_t now_us)
{
    const struct tcp_header *header = &segment->header;
    if (socket->timed_at != 0) {
        if (!seq_ge(header->acknowledgment, socket->snd.timed))
            return;
        uint64_t rtt = now_us - socket->timed_at;
        socket->timed_at = 0;
        tcp_recovery_sample_rtt(stack, socket, recovery_clamp(rtt, 1, UINT32_MAX), now_us);
    } else if (socket->timestamps && header->options_present & TCP_OPTION_TIMESTAMPS &&
               header->timestamp_echo != 0) {
        uint32_t ticks =
            tcp_out_timestamp(stack, socket->ts_offset, now_us) - header->timestamp_echo;
        uint64_t rtt = ticks * stack->settings.tcp_timestamp_tick_us;
        if (ticks < INT32_MAX && rtt < stack->settings.tcp_rto_max_us)
            tcp_recovery_sample_rtt(stack, socket, (uint32_t)rtt, now_us);
    }
}

/* ---- acknowledgments ---- */

/* RFC 6582, 3.2 step 3, full acknowledgment: deflate to what keeps the flight from bursting. */
static void recovery_end(struct stack *stack, struct tcp_socket *socket, uint32_t flight,
                         uint64_t now_us)
{
    uint32_t mss = socket->snd_mss;
    uint32_t least = (flight > mss ? flight : mss) + mss;
    struct congestion *congestion = &socket->congestion;
    congestion->cwnd = congestion->ssthresh < least ? congestion->ssthresh : least;
    socket->in_recovery = false;
    socket->retransmit_wanted = false;
    socket->duplicate_acks = 0;
    recovery_event(stack, socket, STACK_REASON_RECOVERY_END, now_us);
}

/* RFC 6582, 3.2 step 3, partial acknowledgment: the next hole; deflate by what was acknowledged. */
static void recovery_partial(struct stack *stack, struct tcp_socket *socket, uint32_t acked,
                             uint64_t now_us)
{
    struct congestion *congestion = &socket->congestion;
    uint32_t mss = socket->snd_mss;
    congestion->cwnd = congestion->cwnd > acked ? congestion->cwnd - acked : 0;
    if (acked >= mss || congestion->cwnd < mss)
        congestion->cwnd += mss;
    socket->retransmit_wanted = true;
    socket->retransmit_reason = STACK_REASON_PARTIAL_ACK;
    tcp_socket_want_output(stack, socket);
    recovery_event(stack, socket, STACK_REASON_PARTIAL_ACK, now_us);
}

static void recovery_grow(struct stack *stack, struct tcp_socket *socket, uint32_t acked,
                          uint64_t now_us)
{
    struct congestion *congestion = &socket->congestion;
    uint32_t before = congestion->cwnd;
    socket->duplicate_acks = 0;
    if (!socket->cwnd_limited && !socket->in_loss)
        return; /* unused growth would permit a burst that the path was never asked about */
    if (socket->in_loss && acked > socket->snd_mss)
        acked = socket->snd_mss; /* most of it may have arrived before the timeout: RFC 3465, 2.3 */
    congestion->algorithm->acked(congestion, acked, socket->snd_mss, now_us);
    socket->cwnd_limited = false;
    if (congestion->cwnd != before)
        recovery_event(stack, socket,
                       before < congestion->ssthresh ? STACK_REASON_SLOW_START
                                                     : STACK_REASON_CONGESTION_AVOIDANCE,
                       now_us);
}

void tcp_recovery_acked(struct stack *stack, struct tcp_socket *socket,
                        const struct tcp_segment *segment, uint32_t acked, uint64_t now_us)
{
    uint32_t ack = segment->header.acknowledgment;
    recovery_measure(stack, socket, segment, now_us);
    if (ack == socket->snd.iss + 1 && socket->bytes_acked == 0)
        return; /* our SYN: nothing to grow for */
    if (socket->in_recovery) {
        if (seq_ge(ack, socket->snd.recover))
            recovery_end(stack, socket, socket->snd.max - ack, now_us);
        else
            recovery_partial(stack, socket, acked, now_us);
        return;
    }
    recovery_grow(stack, socket, acked, now_us);
    if (socket->in_loss && seq_ge(ack, socket->snd.recover))
        socket->in_loss = false;
}

/* ---- losses ---- */

/* What is in flight beyond cwnd went by limited transmit, and must not be counted when ssthresh is set
   (RFC 5681, 3.2 step 2). */
static void recovery_start(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    struct congestion *congestion = &socket->congestion;
    uint32_t mss = socket->snd_mss, flight = recovery_flight(socket);
    if (flight > congestion->cwnd)
        flight = congestion->cwnd;
    congestion->ssthresh = congestion->algorithm->ssthresh(congestion, flight, mss);
    congestion->cwnd = congestion->ssthresh + 3 * mss;
    socket->snd.recover = socket->snd.max;
    socket->in_recovery = true;
    socket->retransmit_wanted = true;
    socket->retransmit_reason = STACK_REASON_FAST_RETRANSMIT;
    stack_count(stack, STACK_COUNTER_TCP_RENO_RECOVERY);
    recovery_event(stack, socket, STACK_REASON_FAST_RETRANSMIT, now_us);
}

/* A duplicate ACK says that a segment has left the network. One cannot be believed for more
   segments than were in it when recovery began (RFC 5681, 5: forged duplicates). */
static void recovery_inflate(struct tcp_socket *socket)
{
    struct congestion *congestion = &socket->congestion;
    uint32_t mss = socket->snd_mss;
    if (congestion->cwnd < congestion->ssthresh + 3 * mss + (socket->snd.recover - socket->snd.una))
        congestion->cwnd += mss;
}

/* After a timeout, duplicate ACKs below `recover` are echoes of what was sent twice (RFC 6582,
   4). */
void tcp_recovery_duplicate_ack(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    if (socket->duplicate_acks < UINT16_MAX)
        socket->duplicate_acks++;
    if (socket->in_recovery)
        recovery_inflate(socket);
    else if (socket->duplicate_acks == stack->settings.tcp_duplicate_threshold &&
             seq_gt(socket->snd.una, socket->snd.recover))
        recovery_start(stack, socket, now_us);
    tcp_socket_want_output(stack, socket);
}

/* RFC 5681, 3.1 and RFC 6298, 5: a second timeout of the same segment leaves ssthresh alone. */
void tcp_recovery_timeout(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    struct congestion *congestion = &socket->congestion;
    if (socket->retransmits == 0 && !socket->in_loss)
        congestion->ssthresh =
            congestion->algorithm->ssthresh(congestion, recovery_flight(socket), socket->snd_mss);
    congestion->cwnd = socket->snd_mss;
    congestion->acked = 0;
    socket->snd.recover = socket->snd.max;
    socket->snd.nxt = socket->snd.una;
    socket->in_recovery = false;
    socket->in_loss = true;
    socket->retransmit_wanted = false;
    socket->duplicate_acks = 0;
    socket->timed_at = 0;
    recovery_event(stack, socket, STACK_REASON_RTO, now_us);
}

/* There are no ACKs to pace by, so it starts as after a pause (RFC 5681, 4.1); ssthresh lets the
   window grow back to where it was. Duplicate ACKs below `recover` are echoes. */
void tcp_recovery_resend(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    struct congestion *congestion = &socket->congestion;
    uint32_t initial = (uint32_t)stack->settings.tcp_initial_window * socket->snd_mss;
    if (socket->in_recovery)
        congestion->cwnd = congestion->ssthresh;
    if (congestion->ssthresh < congestion->cwnd)
        congestion->ssthresh = congestion->cwnd;
    if (congestion->cwnd > initial)
        congestion->cwnd = initial;
    socket->snd.recover = socket->snd.max;
    socket->snd.nxt = socket->snd.una;
    socket->in_recovery = false;
    socket->retransmit_wanted = false;
    socket->duplicate_acks = 0;
    socket->timed_at = 0;
    recovery_event(stack, socket, STACK_REASON_PATH_MTU, now_us);
    tcp_socket_want_output(stack, socket);
}

void tcp_recovery_idle(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    struct congestion *congestion = &socket->congestion;
    uint32_t initial = (uint32_t)stack->settings.tcp_initial_window * socket->snd_mss;
    if (!stack->settings.tcp_slow_start_after_idle || congestion->cwnd <= initial ||
        now_us - socket->last_sent_at <= socket->rto_us)
        return;
    congestion->cwnd = initial;
    recovery_event(stack, socket, STACK_REASON_IDLE_RESTART, now_us);
}

uint32_t tcp_recovery_room(const struct tcp_socket *socket)
{
    uint32_t flight = socket->snd.nxt - socket->snd.una;
    uint32_t window = socket->congestion.cwnd;
    if (!socket->in_recovery && !socket->in_loss) {
        uint32_t limited = socket->duplicate_acks < 2 ? socket->duplicate_acks : 2;
        window += limited * socket->snd_mss;
    }
    return window > flight ? window - flight : 0;
}

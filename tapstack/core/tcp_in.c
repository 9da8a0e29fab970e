/* A segment arrives: RFC 9293, 3.10.7, in its order.

   tcp_input finds whom the segment is for: a connection by its four-tuple, the remnant of one in
   TIME-WAIT, a listener, or nobody. A connection beyond SYN-SENT then holds the segment against
   its state in the eight steps of 3.10.7.4: sequence number (with PAWS before it, RFC 7323 5.3),
   RST, security (not ours), SYN, ACK, URG, data, FIN. Each step is one function that says whether
   the segment goes on to the next. A step may end the connection and free the socket; then it says
   IN_DONE or IN_DROPPED and nobody looks at the socket any more.

   Nothing is sent from here. Steps only note what is owed (ack_wanted, retransmit_wanted ...) and
   put the socket into the output list, so that all segments of a batch are handled before the first
   ACK goes out, and one ACK answers many (MUST-58, MUST-59). */
#include "state.h"

enum in_step {
    IN_CONTINUE, /* on to the next check */
    IN_DONE,     /* handled */
    IN_DROPPED,  /* refused and counted */
};

static enum in_step in_drop(struct stack *stack, const struct tcp_socket *socket,
                            const struct tcp_segment *segment, enum stack_counter counter,
                            uint64_t now_us)
{
    stack_drop(stack, counter, socket->entry.id, segment->datagram->frame->piece[0].size, now_us);
    return IN_DROPPED;
}

/* An ACK that repeats where we are (RFC 9293, 3.10.7.4; RFC 5961). Bounded, because the answer to a
   segment of an attacker, or of a peer as confused as we are, must not become a storm. */
static void in_challenge(struct stack *stack, struct tcp_socket *socket, enum stack_reason reason,
                         uint64_t now_us)
{
    if (tcp_reset_may_challenge(stack, &socket->challenges, &socket->challenges_since_s, now_us))
        tcp_receive_ack_now(stack, socket, reason);
}

/* ---- first: sequence number ---- */

/* A peer idle for 24 days has a clock that may have wrapped (RFC 7323, 5.5). */
static bool in_timestamp_is_outdated(const struct tcp_socket *socket, uint64_t now_us)
{
    const uint64_t outdated_us = 24ULL * 86400 * 1000000;
    return now_us - socket->ts_recent_at > outdated_us;
}

/* RFC 7323, 5.3 R1. */
static enum in_step in_check_paws(struct stack *stack, struct tcp_socket *socket,
                                  const struct tcp_segment *segment, uint64_t now_us)
{
    if (!socket->timestamps || !(segment->header.options_present & TCP_OPTION_TIMESTAMPS) ||
        (segment->flags & TCP_RST))
        return IN_CONTINUE;
    if (seq_ge(segment->header.timestamp_value, socket->ts_recent) ||
        in_timestamp_is_outdated(socket, now_us))
        return IN_CONTINUE;
    if (segment->size > 0)
        tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_PAWS);
    else
        in_challenge(stack, socket, STACK_REASON_ACK_PAWS, now_us);
    return in_drop(stack, socket, segment, STACK_COUNTER_PAWS_ESTAB, now_us);
}

/* The four cases of RFC 9293, 3.10.7.4, table 6. */
static bool in_is_acceptable(const struct tcp_socket *socket, const struct tcp_segment *segment)
{
    uint32_t wnd = socket->rcv.edge - socket->rcv.nxt;
    uint32_t end = socket->rcv.nxt + wnd;
    if (segment->length == 0)
        return wnd == 0 ? segment->sequence == socket->rcv.nxt
                        : seq_in(segment->sequence, socket->rcv.nxt, end);
    if (wnd == 0)
        return false;
    return seq_in(segment->sequence, socket->rcv.nxt, end) ||
           seq_in(segment->sequence + segment->length - 1, socket->rcv.nxt, end);
}

/* Data that lies below rcv.nxt came before: told to the sender as D-SACK (RFC 2883, 4). */
static void in_note_duplicate(struct stack *stack, struct tcp_socket *socket,
                              const struct tcp_segment *segment)
{
    uint32_t end = segment->sequence + segment->size;
    if (segment->size == 0 || !seq_lt(segment->sequence, socket->rcv.nxt) || !socket->sack)
        return;
    socket->duplicate.left = segment->sequence;
    socket->duplicate.right = seq_min(end, socket->rcv.nxt);
    stack_count(stack, STACK_COUNTER_TCP_DSACK_OLD_SENT);
}

/* A repeated SYN before the handshake is done means that our SYN-ACK was lost. */
static enum in_step in_refuse_sequence(struct stack *stack, struct tcp_socket *socket,
                                       struct tcp_segment *segment, uint64_t now_us)
{
    bool old = seq_lt(segment->sequence, socket->rcv.nxt);
    if (segment->flags & TCP_RST)
        return in_drop(stack, socket, segment, STACK_COUNTER_TCP_RST_IGNORED, now_us);
    if (socket->entry.state == TCP_SYN_RECEIVED &&
        (segment->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && segment->sequence == socket->rcv.irs) {
        socket->syn_wanted = true;
        tcp_socket_want_output(stack, socket);
    } else if (segment->size > 0 || (segment->flags & TCP_FIN)) {
        in_note_duplicate(stack, socket, segment);
        if (socket->entry.state == TCP_TIME_WAIT && tcp_wait_is_fin_again(segment, socket->rcv.nxt))
            tcp_timer_set(stack, socket, TCP_TIMER_END, now_us, 2 * stack->settings.tcp_msl_us);
        tcp_receive_ack_now(stack, socket,
                            old ? STACK_REASON_ACK_DUPLICATE : STACK_REASON_ACK_UNACCEPTABLE);
    } else {
        in_challenge(stack, socket, STACK_REASON_ACK_UNACCEPTABLE, now_us);
    }
    return in_drop(stack, socket, segment,
                   old && segment->size > 0 ? STACK_COUNTER_TCP_DUPLICATE_DATA
                                            : STACK_COUNTER_TCP_OUT_OF_WINDOW,
                   now_us);
}

/* Cuts what lies below rcv.nxt and beyond the window's edge; a FIN that is cut off comes again. */
static void in_trim(struct stack *stack, struct tcp_socket *socket, struct tcp_segment *segment)
{
    uint32_t below = socket->rcv.nxt - segment->sequence;
    if (seq_lt(segment->sequence, socket->rcv.nxt) && !(segment->flags & TCP_SYN)) {
        in_note_duplicate(stack, socket, segment);
        uint32_t cut = below < segment->size ? below : segment->size;
        segment->data += cut;
        segment->size -= cut;
        segment->sequence += cut;
    }
    uint32_t room = socket->rcv.edge - segment->sequence;
    if (segment->size > room && seq_le(segment->sequence, socket->rcv.edge)) {
        segment->size = room;
        segment->flags &= (uint8_t)~TCP_FIN;
    }
}

/* In a simultaneous open the peer's SYN comes a second time with its ACK (RFC 9293, 3.5, figure 7):
   what is new about it is the ACK. */
static void in_strip_known_syn(struct stack *stack, struct tcp_socket *socket,
                               struct tcp_segment *segment)
{
    if (socket->entry.state != TCP_SYN_RECEIVED || socket->passive ||
        (segment->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != (TCP_SYN | TCP_ACK) ||
        segment->sequence != socket->rcv.irs)
        return;
    segment->flags &= (uint8_t)~TCP_SYN;
    segment->sequence++;
    segment->length--;
    tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_HANDSHAKE);
}

/* With a closed window, a segment at its edge still brings its RST, ACK and URG (MUST-66); its data
   does not fit. */
static enum in_step in_check_sequence(struct stack *stack, struct tcp_socket *socket,
                                      struct tcp_segment *segment, uint64_t now_us)
{
    in_strip_known_syn(stack, socket, segment);
    if (in_is_acceptable(socket, segment)) {
        in_trim(stack, socket, segment);
        return IN_CONTINUE;
    }
    if (socket->rcv.edge == socket->rcv.nxt && segment->sequence == socket->rcv.nxt &&
        !(segment->flags & TCP_SYN)) {
        tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_UNACCEPTABLE);
        in_trim(stack, socket, segment);
        segment->flags &= (uint8_t)~TCP_FIN;
        return IN_CONTINUE;
    }
    return in_refuse_sequence(stack, socket, segment, now_us);
}

/* ---- second: RST ---- */

/* What the application is told: nothing when both directions had ended anyway and all that it sent
   was acknowledged (RFC 9293, 3.10.7.4: CLOSING, LAST-ACK and TIME-WAIT just end). */
static int in_reset_error(const struct tcp_socket *socket)
{
    if (socket->entry.state == TCP_SYN_RECEIVED)
        return STACK_REFUSED;
    return socket->fin_received && socket->fin_sent && socket->send.used == 0 ? 0 : STACK_RESET;
}

static enum in_step in_reset(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    enum tcp_state state = socket->entry.state;
    if (state == TCP_SYN_RECEIVED)
        stack_count(stack, STACK_COUNTER_TCP_ATTEMPT_FAILS);
    else if (state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT)
        stack_count(stack, STACK_COUNTER_TCP_ESTAB_RESETS);
    stack_event_add(stack, STACK_EVENT_RESET, socket->entry.id, now_us, STACK_REASON_PEER_RESET,
                    socket->rcv.nxt, 0, 0);
    tcp_socket_end(stack, socket, in_reset_error(socket), now_us);
    return IN_DONE;
}

/* RFC 5961, 3.2: only a RST at exactly rcv.nxt is believed; one outside the window, which only its
   data brought this far, is not even answered. */
static enum in_step in_check_reset(struct stack *stack, struct tcp_socket *socket,
                                   const struct tcp_segment *segment, uint64_t now_us)
{
    if (!(segment->flags & TCP_RST))
        return IN_CONTINUE;
    if (segment->header.sequence == socket->rcv.nxt)
        return in_reset(stack, socket, now_us);
    if (!seq_in(segment->header.sequence, socket->rcv.nxt, socket->rcv.edge))
        return in_drop(stack, socket, segment, STACK_COUNTER_TCP_RST_IGNORED, now_us);
    in_challenge(stack, socket, STACK_REASON_ACK_CHALLENGE, now_us);
    return in_drop(stack, socket, segment, STACK_COUNTER_TCP_RST_CHALLENGE, now_us);
}

/* ---- fourth: SYN ---- */

/* RFC 5961, 4.2; before the handshake is done a passive connection goes back to LISTEN
   (RFC 9293, 3.10.7.4), which here means that the copy disappears. */
static enum in_step in_check_syn(struct stack *stack, struct tcp_socket *socket,
                                 const struct tcp_segment *segment, uint64_t now_us)
{
    if (!(segment->flags & TCP_SYN))
        return IN_CONTINUE;
    if (socket->entry.state == TCP_SYN_RECEIVED && socket->passive) {
        stack_count(stack, STACK_COUNTER_TCP_ATTEMPT_FAILS);
        in_drop(stack, socket, segment, STACK_COUNTER_TCP_SYN_CHALLENGE, now_us);
        tcp_socket_end(stack, socket, STACK_RESET, now_us);
        return IN_DROPPED;
    }
    in_challenge(stack, socket, STACK_REASON_ACK_CHALLENGE, now_us);
    return in_drop(stack, socket, segment, STACK_COUNTER_TCP_SYN_CHALLENGE, now_us);
}

/* ---- fifth: ACK ---- */

static void in_update_timestamp(struct tcp_socket *socket, const struct tcp_segment *segment,
                                uint64_t now_us)
{
    if (!socket->timestamps || !(segment->header.options_present & TCP_OPTION_TIMESTAMPS))
        return;
    if (seq_le(segment->header.sequence, socket->rcv.acked) &&
        (seq_ge(segment->header.timestamp_value, socket->ts_recent) ||
         in_timestamp_is_outdated(socket, now_us))) {
        socket->ts_recent = segment->header.timestamp_value;
        socket->ts_recent_at = now_us;
    }
}

/* RFC 9293, 3.10.7.4: the newest segment's window counts. One that acknowledges more is newer
   whatever its sequence number: a retransmission brings an old number and a new ACK, and keeping
   the old window with it would move the edge beyond what was offered. */
static void in_update_window(struct stack *stack, struct tcp_socket *socket,
                             const struct tcp_segment *segment, bool advanced)
{
    uint32_t ack = segment->header.acknowledgment;
    if (!(advanced || seq_lt(socket->snd.wl1, segment->header.sequence) ||
          (socket->snd.wl1 == segment->header.sequence && seq_le(socket->snd.wl2, ack))))
        return;
    bool opened = segment->wnd > socket->snd.wnd;
    socket->snd.wnd = segment->wnd;
    socket->snd.wl1 = segment->header.sequence;
    socket->snd.wl2 = ack;
    if (segment->wnd > socket->snd.max_wnd)
        socket->snd.max_wnd = segment->wnd;
    if (opened && tcp_out_unsent(socket) > 0)
        tcp_socket_want_output(stack, socket);
}

/* It says by SACK that something behind snd.una has arrived. */
static bool in_reports_hole(const struct tcp_socket *socket, const struct tcp_segment *segment)
{
    const struct tcp_header *header = &segment->header;
    for (unsigned i = 0; i < header->sack_count; i++)
        if (seq_gt(header->sack[i].right, socket->snd.una))
            return true;
    return false;
}

/* RFC 5681, 2: what counts as a duplicate ACK. A new window alone makes another ACK of it, but not
   when it brings SACK: a receiver's window moves while it keeps what is out of order (RFC 6675,
   2). */
static bool in_is_duplicate_ack(const struct tcp_socket *socket, const struct tcp_segment *segment)
{
    return socket->snd.max != socket->snd.una && segment->length == 0 &&
           (segment->wnd == socket->snd.wnd || in_reports_hole(socket, segment));
}

/* The send buffer has room again for one who was told that it was full: once a third is free. */
static void in_signal_room(struct stack *stack, struct tcp_socket *socket)
{
    if (!socket->send_full || socket->send.used > tcp_out_send_limit(stack, socket) / 3 * 2)
        return;
    socket->send_full = false;
    tcp_socket_signal(stack, socket, STACK_READY_SEND);
}

/* Marks that lie behind move along with snd.una, or 2^31 bytes later they would seem to lie
   ahead. */
static void in_drag_along(struct tcp_socket *socket)
{
    uint32_t una = socket->snd.una;
    socket->snd.up = seq_max(socket->snd.up, una);
    socket->snd.push = seq_max(socket->snd.push, una);
    socket->snd.small = seq_max(socket->snd.small, una);
    socket->snd.recover = seq_max(socket->snd.recover, una - 1);
}

static void in_acknowledge(struct stack *stack, struct tcp_socket *socket,
                           const struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t acked = segment->header.acknowledgment - socket->snd.una;
    uint32_t bytes = acked < socket->send.used ? acked : socket->send.used;
    if (segment->size == 0)
        stack_count(stack, STACK_COUNTER_TCP_PURE_ACKS);
    tcp_recovery_acked(stack, socket, segment, acked, now_us);
    tcp_mtu_acked(socket, segment->header.acknowledgment);
    ring_consume(&socket->send, bytes);
    if (socket->send.used == 0)
        ring_release(&socket->send, &stack->pool);
    socket->bytes_acked += bytes;
    socket->snd.una = segment->header.acknowledgment;
    socket->snd.nxt = seq_max(socket->snd.nxt, socket->snd.una);
    in_drag_along(socket);
    socket->last_ack_at = now_us;
    socket->retransmits = socket->probes = 0; /* the back-off stays until a sample: Karn */
    socket->silent_since = 0;
    tcp_timer_clear(socket,
                    TCP_TIMER_RETRANSMIT); /* restarted by tcp_timer_update: RFC 6298, 5.3 */
}

/* RFC 9293, 3.10.7.4 and RFC 5961, 5.2: una - max.wnd <= ack <= max. */
static enum in_step in_check_ack_range(struct stack *stack, struct tcp_socket *socket,
                                       const struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t ack = segment->header.acknowledgment;
    if (seq_le(ack, socket->snd.max) && seq_ge(ack, socket->snd.una - socket->snd.max_wnd))
        return IN_CONTINUE;
    in_challenge(stack, socket, STACK_REASON_ACK_CHALLENGE, now_us);
    return in_drop(stack, socket, segment, STACK_COUNTER_TCP_BAD_ACK, now_us);
}

static bool in_fin_is_acked(const struct tcp_socket *socket)
{
    return socket->fin_sent && socket->snd.una == socket->snd.max && socket->send.used == 0;
}

/* Our FIN has been acknowledged: the state moves on. */
static enum in_step in_fin_acked(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    switch (socket->entry.state) {
    case TCP_FIN_WAIT_1:
        tcp_socket_set_state(stack, socket, TCP_FIN_WAIT_2, now_us);
        if (!socket->application)
            tcp_timer_set(stack, socket, TCP_TIMER_END, now_us, stack->settings.tcp_fin_wait_2_us);
        return IN_CONTINUE;
    case TCP_CLOSING:
        tcp_wait_enter(stack, socket, now_us);
        return IN_DONE;
    case TCP_LAST_ACK:
        tcp_socket_end(stack, socket, 0, now_us);
        return IN_DONE;
    default:
        return IN_CONTINUE;
    }
}

/* The handshake is done. */
static void in_establish(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    tcp_recovery_established(socket);
    socket->syn_wanted = false;
    socket->backoff = 0;
    tcp_socket_set_state(stack, socket, TCP_ESTABLISHED, now_us);
    tcp_socket_signal(stack, socket, STACK_READY_CONNECTED | STACK_READY_SEND);
    if (socket->fin_wanted)
        tcp_socket_set_state(stack, socket, TCP_FIN_WAIT_1, now_us);
}

/* SYN-RECEIVED: this ACK completes the handshake (S28), or is a stranger's. */
static enum in_step in_ack_handshake(struct stack *stack, struct tcp_socket *socket,
                                     const struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t ack = segment->header.acknowledgment;
    if (!seq_gt(ack, socket->snd.una) || !seq_le(ack, socket->snd.max)) {
        tcp_reset_answer(stack, segment, STACK_REASON_BAD_ACK, now_us);
        return in_drop(stack, socket, segment, STACK_COUNTER_TCP_BAD_ACK, now_us);
    }
    if (socket->listener && tcp_listen_complete(stack, socket, now_us) < 0)
        return in_drop(stack, socket, segment, STACK_COUNTER_LISTEN_OVERFLOWS, now_us);
    socket->snd.wnd = socket->snd.max_wnd = segment->wnd;
    socket->snd.wl1 = segment->header.sequence;
    socket->snd.wl2 = ack;
    in_establish(stack, socket, now_us);
    return IN_CONTINUE;
}

static enum in_step in_check_ack(struct stack *stack, struct tcp_socket *socket,
                                 struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t ack = segment->header.acknowledgment;
    if (!(segment->flags & TCP_ACK))
        return in_drop(stack, socket, segment, STACK_COUNTER_TCP_NO_ACK, now_us);
    if (socket->entry.state == TCP_SYN_RECEIVED) {
        enum in_step step = in_ack_handshake(stack, socket, segment, now_us);
        if (step != IN_CONTINUE)
            return step;
    }
    enum in_step step = in_check_ack_range(stack, socket, segment, now_us);
    if (step != IN_CONTINUE)
        return step;
    in_update_timestamp(socket, segment, now_us);
    bool advanced = seq_gt(ack, socket->snd.una);
    if (advanced)
        in_acknowledge(stack, socket, segment, now_us);
    else if (ack == socket->snd.una && in_is_duplicate_ack(socket, segment))
        tcp_recovery_duplicate_ack(stack, socket, now_us);
    if (seq_ge(ack, socket->snd.una))
        in_update_window(stack, socket, segment, advanced);
    in_signal_room(stack, socket);
    tcp_timer_update(stack, socket, now_us);
    if (tcp_out_unsent(socket) > 0 || (socket->fin_wanted && !socket->fin_sent))
        tcp_socket_want_output(stack, socket);
    return advanced && in_fin_is_acked(socket) ? in_fin_acked(stack, socket, now_us) : IN_CONTINUE;
}

/* ---- sixth: URG ---- */

/* RFC 9293, 3.8.5: the pointer is that of the octet behind the urgent data (MUST-62), and only
   moves forward. Data stays in line. */
static void in_check_urgent(struct stack *stack, struct tcp_socket *socket,
                            const struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t up = segment->header.sequence + segment->header.urgent_pointer;
    if (!(segment->flags & TCP_URG) || !seq_gt(up, socket->rcv.up) || socket->fin_received)
        return;
    socket->rcv.up = up;
    stack_event_add(stack, STACK_EVENT_URGENT, socket->entry.id, now_us, up - socket->rcv.irs, 0, 0,
                    0);
    if (seq_gt(up, tcp_receive_unread(socket)))
        tcp_socket_signal(stack, socket, STACK_READY_URGENT);
}

/* ---- seventh and eighth: data and FIN ---- */

/* The application has closed and can not take these bytes any more: the peer must learn that they
   are lost (RFC 9293 3.6.1, SHLD-3). */
static enum in_step in_abort_on_data(struct stack *stack, struct tcp_socket *socket,
                                     const struct tcp_segment *segment, uint64_t now_us)
{
    stack_count(stack, STACK_COUNTER_TCP_ABORT_ON_DATA);
    in_drop(stack, socket, segment, STACK_COUNTER_TCP_AFTER_CLOSE, now_us);
    tcp_reset_send(stack, socket, STACK_REASON_DATA_AFTER_CLOSE, now_us);
    tcp_socket_end(stack, socket, STACK_RESET, now_us);
    return IN_DROPPED;
}

static enum in_step in_take_data(struct stack *stack, struct tcp_socket *socket,
                                 struct tcp_segment *segment, uint64_t now_us)
{
    if (segment->size == 0)
        return IN_CONTINUE;
    if (socket->fin_received)
        return in_drop(stack, socket, segment, STACK_COUNTER_TCP_AFTER_CLOSE, now_us);
    if (!socket->application && !socket->listener)
        return in_abort_on_data(stack, socket, segment, now_us);
    return tcp_receive_data(stack, socket, segment, now_us) < 0 ? IN_DROPPED : IN_CONTINUE;
}

/* All up to the peer's FIN has arrived. */
static void in_fin_reached(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    socket->fin_received = true;
    socket->rcv.nxt++;
    socket->rcv.edge = seq_max(socket->rcv.edge, socket->rcv.nxt);
    tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_FIN);
    tcp_socket_signal(stack, socket, STACK_READY_END | STACK_READY_RECV);
    tcp_listen_offer(stack, socket, now_us);
    switch (socket->entry.state) {
    case TCP_SYN_RECEIVED:
    case TCP_ESTABLISHED:
        tcp_socket_set_state(stack, socket, TCP_CLOSE_WAIT, now_us);
        break;
    case TCP_FIN_WAIT_1: /* had ours been acknowledged, we would be in FIN-WAIT-2 */
        tcp_socket_set_state(stack, socket, TCP_CLOSING, now_us);
        break;
    case TCP_FIN_WAIT_2:
        tcp_wait_enter(stack, socket, now_us);
        break;
    default:
        break;
    }
}

/* Before the data, which may join what waits out of order: none of that can lie behind the FIN. */
static void in_note_fin(struct tcp_socket *socket, const struct tcp_segment *segment)
{
    if (!(segment->flags & TCP_FIN) || socket->fin_known)
        return;
    socket->fin_known = true;
    socket->rcv.fin = segment->sequence + segment->size;
    tcp_receive_end_at(socket, socket->rcv.fin);
}

static void in_check_fin(struct stack *stack, struct tcp_socket *socket,
                         const struct tcp_segment *segment, uint64_t now_us)
{
    if (socket->fin_known && !socket->fin_received && socket->rcv.nxt == socket->rcv.fin)
        in_fin_reached(stack, socket, now_us);
    else if (segment->flags & TCP_FIN && !socket->fin_received)
        tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_OUT_OF_ORDER);
}

/* ---- the whole ---- */

static int in_synchronized(struct stack *stack, struct tcp_socket *socket,
                           struct tcp_segment *segment, uint64_t now_us)
{
    enum in_step step = in_check_paws(stack, socket, segment, now_us);
    if (step == IN_CONTINUE)
        step = in_check_sequence(stack, socket, segment, now_us);
    if (step == IN_CONTINUE)
        step = in_check_reset(stack, socket, segment, now_us);
    if (step == IN_CONTINUE)
        step = in_check_syn(stack, socket, segment, now_us);
    if (step == IN_CONTINUE)
        step = in_check_ack(stack, socket, segment, now_us);
    if (step == IN_CONTINUE) {
        in_check_urgent(stack, socket, segment, now_us);
        in_note_fin(socket, segment);
        step = in_take_data(stack, socket, segment, now_us);
    }
    if (step == IN_CONTINUE)
        in_check_fin(stack, socket, segment, now_us);
    return step == IN_DROPPED ? -1 : 0;
}

/* Our SYN has been answered with SYN and ACK: the connection stands. */
static void in_connected(struct stack *stack, struct tcp_socket *socket,
                         struct tcp_segment *segment, uint64_t now_us)
{
    tcp_recovery_acked(stack, socket, segment, 1, now_us);
    socket->snd.una = segment->header.acknowledgment;
    in_establish(stack, socket, now_us);
    socket->retransmits = 0;
    socket->silent_since = 0;
    tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_HANDSHAKE);
    tcp_timer_clear(socket, TCP_TIMER_RETRANSMIT);
    tcp_timer_heard(stack, socket, now_us);
}

static int in_syn_sent_syn(struct stack *stack, struct tcp_socket *socket,
                           struct tcp_segment *segment, uint64_t now_us)
{
    uint32_t offered = socket->options.receive_buffer;
    tcp_listen_negotiate(stack, socket, segment, now_us);
    socket->rcv.edge = socket->rcv.nxt + (offered < 65535 ? offered : 65535); /* in our SYN */
    segment->sequence++;
    in_trim(stack, socket, segment);
    if (!(segment->flags & TCP_ACK)) { /* simultaneous open (MUST-10) */
        tcp_socket_set_state(stack, socket, TCP_SYN_RECEIVED, now_us);
        socket->syn_wanted = true;
        tcp_socket_want_output(stack, socket);
        return 0;
    }
    in_connected(stack, socket, segment, now_us);
    in_check_urgent(stack, socket, segment, now_us);
    in_note_fin(socket, segment);
    if (in_take_data(stack, socket, segment, now_us) == IN_CONTINUE)
        in_check_fin(stack, socket, segment, now_us);
    return 0;
}

/* RFC 9293, 3.10.7.3. */
static int in_syn_sent(struct stack *stack, struct tcp_socket *socket, struct tcp_segment *segment,
                       uint64_t now_us)
{
    uint32_t ack = segment->header.acknowledgment;
    bool has_ack = segment->flags & TCP_ACK;
    if (has_ack && (!seq_gt(ack, socket->snd.iss) || !seq_le(ack, socket->snd.max))) {
        tcp_reset_answer(stack, segment, STACK_REASON_BAD_ACK, now_us);
        in_drop(stack, socket, segment, STACK_COUNTER_TCP_BAD_ACK, now_us);
        return -1;
    }
    if (segment->flags & TCP_RST) {
        if (!has_ack) {
            in_drop(stack, socket, segment, STACK_COUNTER_TCP_RST_IGNORED, now_us);
            return -1;
        }
        stack_count(stack, STACK_COUNTER_TCP_ATTEMPT_FAILS);
        tcp_socket_end(stack, socket, STACK_REFUSED, now_us);
        return 0;
    }
    if (segment->flags & TCP_SYN)
        return in_syn_sent_syn(stack, socket, segment, now_us);
    in_drop(stack, socket, segment, STACK_COUNTER_TCP_NO_ACK, now_us);
    return -1;
}

static int in_connection(struct stack *stack, struct tcp_socket *socket,
                         struct tcp_segment *segment, uint64_t now_us)
{
    socket->segs_in++;
    socket->last_received_at = now_us;
    if (segment->size > 0)
        socket->data_segs_in++;
    segment->wnd = segment->header.window;
    if (!(segment->flags & TCP_SYN))
        segment->wnd <<= socket->snd_wscale;
    tcp_timer_heard(stack, socket, now_us);
    stack_event_add(stack, STACK_EVENT_RECEIVED, socket->entry.id, now_us, segment->flags,
                    segment->sequence, segment->size, segment->header.acknowledgment);
    if (socket->entry.state == TCP_SYN_SENT)
        return in_syn_sent(stack, socket, segment, now_us);
    if (socket->entry.state == TCP_TIME_WAIT &&
        tcp_wait_may_reopen(stack, segment, socket->timestamps, socket->ts_recent,
                            socket->rcv.nxt)) {
        tcp_wait_note_reopening(segment, socket->snd.max);
        tcp_socket_end(stack, socket, 0, now_us);
        return 1;
    }
    return in_synchronized(stack, socket, segment, now_us);
}

/* Nobody waits here: an error packet goes back (S24). */
static int in_nobody(struct stack *stack, const struct tcp_segment *segment, uint64_t now_us)
{
    tcp_reset_answer(stack, segment, STACK_REASON_NO_SOCKET, now_us);
    return stack_drop(stack, STACK_COUNTER_TCP_NO_PORTS, 0, segment->datagram->frame->piece[0].size,
                      now_us);
}

static int in_dispatch(struct stack *stack, struct tcp_segment *segment, uint64_t now_us)
{
    const struct ip_datagram *datagram = segment->datagram;
    const struct tcp_header *header = &segment->header;
    struct tcp_entry *entry =
        tcp_table_find(stack, &datagram->destination, header->destination_port, &datagram->source,
                       header->source_port);
    if (entry) {
        int result = entry->compact
                         ? tcp_wait_input(stack, (struct tcp_wait *)entry, segment, now_us)
                         : in_connection(stack, (struct tcp_socket *)entry, segment, now_us);
        if (result <= 0)
            return result;
    }
    struct tcp_socket *listener =
        tcp_table_find_listener(stack, &datagram->destination, header->destination_port);
    return listener ? tcp_listen_input(stack, listener, segment, now_us)
                    : in_nobody(stack, segment, now_us);
}

/* Reads header and checksum. Returns 0, or -1 when the segment was dropped. */
static int in_parse(struct stack *stack, struct tcp_segment *segment, uint64_t now_us)
{
    const struct ip_datagram *datagram = segment->datagram;
    const struct frame *frame = datagram->frame;
    struct tcp_header *header = &segment->header;
    if (tcp_parse(datagram->payload, datagram->payload_bytes, header) < 0)
        return stack_drop(stack, STACK_COUNTER_TCP_IN_ERRS, 0, frame->piece[0].size, now_us);
    if (!(frame->flags & (FRAME_CHECKSUM_PARTIAL | FRAME_CHECKSUM_VALID)) &&
        tcp_verify(datagram->payload, datagram->payload_bytes, &datagram->source,
                   &datagram->destination) < 0)
        return stack_drop(stack, STACK_COUNTER_TCP_IN_CSUM_ERRORS, 0, frame->piece[0].size, now_us);
    if (datagram->to_group) /* MUST-57 */
        return stack_drop(stack, STACK_COUNTER_TCP_BAD_ADDRESS, 0, frame->piece[0].size, now_us);
    if (header->options_present & TCP_OPTION_MALFORMED)
        stack_count(stack, STACK_COUNTER_TCP_BAD_OPTIONS);
    segment->flags = header->flags;
    segment->sequence = header->sequence;
    segment->data = datagram->payload + header->header_bytes;
    segment->size = (uint32_t)(datagram->payload_bytes - header->header_bytes);
    segment->length = segment->size + !!(header->flags & TCP_SYN) + !!(header->flags & TCP_FIN);
    segment->unit = frame->segment_bytes ? frame->segment_bytes : (uint16_t)segment->size;
    return 0;
}

int tcp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    struct tcp_segment segment = {.datagram = datagram};
    stack_count(stack, STACK_COUNTER_TCP_IN_SEGS);
    if (in_parse(stack, &segment, now_us) < 0)
        return -1;
    return in_dispatch(stack, &segment, now_us);
}

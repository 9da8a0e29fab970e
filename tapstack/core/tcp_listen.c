/* A listener: a SYN makes a copy of the listening socket, the ACK of our answer completes it.

   The copy (S5, S25) gets the listener's options and port and the peer's address, and goes through
   SYN-RECEIVED by itself; the original stays in LISTEN, ready for the next SYN (S6). Two numbers
   bound what a peer can make us hold: embryonic connections (copies whose handshake is not done),
   and connections that wait for stack_accept, by the backlog. */
#include <string.h>

#include "state.h"

static int listen_drop(struct stack *stack, const struct tcp_socket *listener,
                       const struct tcp_segment *segment, enum stack_counter counter,
                       uint64_t now_us)
{
    return stack_drop(stack, counter, listener->entry.id, segment->datagram->frame->piece[0].size,
                      now_us);
}

/* Window scale: RFC 7323, 2.3 takes more than 14 as 14. Both sides must offer what is to be
   used. */
void tcp_listen_negotiate(struct stack *stack, struct tcp_socket *socket,
                          const struct tcp_segment *segment, uint64_t now_us)
{
    const struct tcp_header *header = &segment->header;
    const struct stack_settings *settings = &stack->settings;
    uint8_t present = header->options_present;
    socket->window_scaling = settings->tcp_window_scaling && (present & TCP_OPTION_WINDOW_SCALE);
    socket->timestamps = settings->tcp_timestamps && (present & TCP_OPTION_TIMESTAMPS);
    socket->sack = settings->tcp_sack && (present & TCP_OPTION_SACK_PERMITTED);
    if (socket->window_scaling) {
        socket->snd_wscale = header->window_scale < TCP_WINDOW_SCALE_MAX ? header->window_scale
                                                                         : TCP_WINDOW_SCALE_MAX;
        socket->rcv_wscale = (uint8_t)settings->tcp_window_scale;
    }
    if (socket->timestamps) {
        socket->ts_recent = header->timestamp_value;
        socket->ts_recent_at = now_us;
    }
    if (present & TCP_OPTION_MSS)
        socket->peer_mss = header->mss;
    socket->rcv.irs = header->sequence;
    socket->rcv.nxt = socket->rcv.acked = socket->rcv.up = header->sequence + 1;
    socket->rcv.edge = socket->rcv.nxt;
    socket->snd.wnd = socket->snd.max_wnd = header->window;
    socket->snd.wl1 = header->sequence;
    socket->snd.wl2 = header->flags & TCP_ACK ? header->acknowledgment : socket->snd.iss;
    tcp_out_update_mss(stack, socket);
    tcp_recovery_open(stack, socket);
}

/* The copy of the listening socket, with its control information filled in. */
static struct tcp_socket *listen_copy(struct stack *stack, struct tcp_socket *listener,
                                      const struct tcp_segment *segment, uint64_t now_us)
{
    struct tcp_socket *socket = tcp_socket_create(stack, now_us);
    if (!socket)
        return NULL;
    socket->options = listener->options;
    socket->entry.local_address = segment->datagram->destination;
    socket->entry.local_port = listener->entry.local_port;
    socket->entry.remote_address = segment->datagram->source;
    socket->entry.remote_port = segment->header.source_port;
    socket->passive = true;
    tcp_socket_prepare(stack, socket, now_us);
    if (segment->reopens && seq_lt(socket->snd.iss, segment->iss_least))
        tcp_socket_set_iss(socket, segment->iss_least);
    tcp_listen_negotiate(stack, socket, segment, now_us);
    tcp_table_insert(stack, &socket->entry);
    socket->listener = listener;
    LIST_INSERT_HEAD(&listener->children, socket, sibling);
    listener->embryonic_count++;
    return socket;
}

static int listen_syn(struct stack *stack, struct tcp_socket *listener,
                      const struct tcp_segment *segment, uint64_t now_us)
{
    if (listener->waiting_count >= listener->backlog)
        return listen_drop(stack, listener, segment, STACK_COUNTER_LISTEN_OVERFLOWS, now_us);
    if (listener->embryonic_count >= stack->settings.tcp_backlog_max)
        return listen_drop(stack, listener, segment, STACK_COUNTER_LISTEN_DROPS, now_us);
    struct tcp_socket *socket = listen_copy(stack, listener, segment, now_us);
    if (!socket)
        return listen_drop(stack, listener, segment, STACK_COUNTER_LISTEN_DROPS, now_us);
    stack_count(stack, STACK_COUNTER_TCP_PASSIVE_OPENS);
    tcp_socket_set_state(stack, socket, TCP_SYN_RECEIVED, now_us);
    socket->segs_in++;
    socket->syn_wanted = true;
    tcp_socket_want_output(stack, socket);
    return 0;
}

/* RFC 9293, 3.10.7.2: first RST, second ACK, third SYN, then anything else. */
int tcp_listen_input(struct stack *stack, struct tcp_socket *listener, struct tcp_segment *segment,
                     uint64_t now_us)
{
    if (segment->flags & TCP_RST)
        return listen_drop(stack, listener, segment, STACK_COUNTER_TCP_RST_IGNORED, now_us);
    if (segment->flags & TCP_ACK) {
        tcp_reset_answer(stack, segment, STACK_REASON_BAD_ACK, now_us);
        return listen_drop(stack, listener, segment, STACK_COUNTER_TCP_BAD_ACK, now_us);
    }
    if (segment->flags & TCP_SYN)
        return listen_syn(stack, listener, segment, now_us);
    return listen_drop(stack, listener, segment, STACK_COUNTER_TCP_LISTEN_BAD_SEGMENT, now_us);
}

static void listen_queue(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    struct tcp_socket *listener = socket->listener;
    listener->embryonic_count--;
    listener->waiting_count++;
    socket->in_accept_queue = true;
    TAILQ_INSERT_TAIL(&listener->accept_queue, socket, waiting);
    stack_event_add(stack, STACK_EVENT_ACCEPT_QUEUE, listener->entry.id, now_us,
                    listener->waiting_count, listener->backlog, 0, 0);
    tcp_socket_signal(stack, listener, STACK_READY_ACCEPT);
}

int tcp_listen_complete(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    struct tcp_socket *listener = socket->listener;
    if (listener->waiting_count >= listener->backlog)
        return -1;
    if (socket->options.defer_ms)
        tcp_timer_set(stack, socket, TCP_TIMER_END, now_us, socket->options.defer_ms * 1000ULL);
    else
        listen_queue(stack, socket, now_us);
    return 0;
}

void tcp_listen_offer(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    const uint64_t again_us = 100000;
    if (!socket->listener || socket->in_accept_queue)
        return;
    if (socket->listener->waiting_count >= socket->listener->backlog) {
        tcp_timer_set(stack, socket, TCP_TIMER_END, now_us, again_us);
        return;
    }
    tcp_timer_clear(socket, TCP_TIMER_END);
    listen_queue(stack, socket, now_us);
}

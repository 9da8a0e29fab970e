/* The timers of a connection.

   Each timer is a deadline in the socket; one entry of the wheel stands for all of them, armed at
   the earliest or before it. Moving a deadline later, as every ACK does with the retransmission
   timer, is one store: when the entry fires too early it is armed again for what is due then. The
   list of timers is STACK_TIMERS. */
#include "state.h"

static struct tcp_socket *timer_socket(struct wheel_timer *timer)
{
    return (struct tcp_socket *)((char *)timer - offsetof(struct tcp_socket, timer));
}

/* Told as an event when it was not running: restarts would drown everything else. */
void tcp_timer_set(struct stack *stack, struct tcp_socket *socket, enum tcp_timer timer,
                   uint64_t now_us, uint64_t after_us)
{
    uint64_t at_us = now_us + after_us;
    if (socket->deadline[timer] == TCP_NEVER)
        stack_event_add(stack, STACK_EVENT_TIMER_SET, socket->entry.id, now_us, timer,
                        after_us < UINT32_MAX ? (uint32_t)after_us : UINT32_MAX, 0, 0);
    socket->deadline[timer] = at_us;
    if (!wheel_is_armed(&socket->timer) || at_us < socket->timer.at_us)
        wheel_arm(&stack->tcp.wheel, &socket->timer, at_us);
}

void tcp_timer_clear(struct tcp_socket *socket, enum tcp_timer timer)
{
    socket->deadline[timer] = TCP_NEVER;
}

enum { BACKOFF_MAX = 16 };

/* RTO with exponential back-off (RFC 6298, 5.5; SHLD-30). */
static uint64_t timer_rto(const struct stack *stack, const struct tcp_socket *socket,
                          unsigned backoff)
{
    uint64_t rto = (uint64_t)socket->rto_us << (backoff < BACKOFF_MAX ? backoff : BACKOFF_MAX);
    if (backoff > 0 && socket->entry.state == TCP_SYN_SENT)
        rto += stack->settings.tcp_syn_slack_us;
    return rto < stack->settings.tcp_rto_max_us ? rto : stack->settings.tcp_rto_max_us;
}

/* Something waits that the window does not let go. */
static bool timer_is_window_closed(const struct tcp_socket *socket)
{
    enum tcp_state state = socket->entry.state;
    uint32_t waiting = tcp_out_unsent(socket) + (socket->fin_wanted && !socket->fin_sent);
    if (waiting == 0 || state < TCP_ESTABLISHED || state == TCP_FIN_WAIT_2 ||
        state == TCP_TIME_WAIT)
        return false;
    return socket->snd.wnd < (waiting < socket->snd_mss ? waiting : socket->snd_mss);
}

void tcp_timer_update(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    if (socket->snd.max != socket->snd.una) {
        tcp_timer_clear(socket, TCP_TIMER_PERSIST);
        socket->persist_backoff = 0;
        if (socket->deadline[TCP_TIMER_RETRANSMIT] == TCP_NEVER)
            tcp_timer_set(stack, socket, TCP_TIMER_RETRANSMIT, now_us,
                          timer_rto(stack, socket, socket->backoff));
        return;
    }
    tcp_timer_clear(socket, TCP_TIMER_RETRANSMIT);
    if (!timer_is_window_closed(socket)) {
        tcp_timer_clear(socket, TCP_TIMER_PERSIST);
    } else if (socket->deadline[TCP_TIMER_PERSIST] == TCP_NEVER) {
        tcp_timer_set(stack, socket, TCP_TIMER_PERSIST, now_us,
                      timer_rto(stack, socket, socket->persist_backoff));
    }
}

void tcp_timer_heard(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    socket->probes = 0;
    if (socket->options.keepalive)
        tcp_timer_set(stack, socket, TCP_TIMER_KEEPALIVE, now_us,
                      socket->options.keepidle_ms * 1000ULL);
}

/* ---- firing: each returns whether the socket is still there ---- */

static bool timer_give_up(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    stack_count(stack, STACK_COUNTER_TCP_ABORT_ON_TIMEOUT);
    if (socket->entry.state == TCP_SYN_SENT || socket->entry.state == TCP_SYN_RECEIVED)
        stack_count(stack, STACK_COUNTER_TCP_ATTEMPT_FAILS);
    tcp_socket_end(stack, socket, STACK_TIMED_OUT, now_us);
    return false;
}

/* R2: as a number of retransmissions, or as a time when the application has set one (MUST-20,
   21). */
static bool timer_is_r2_reached(const struct stack *stack, const struct tcp_socket *socket,
                                uint64_t now_us)
{
    uint64_t silent_us = now_us - socket->silent_since;
    if (socket->options.user_timeout_ms)
        return silent_us >= socket->options.user_timeout_ms * 1000ULL;
    if (socket->snd.wnd == 0 && socket->last_received_at > socket->silent_since)
        return false; /* it answers, its window has shrunk over what we sent (SHLD-17) */
    return socket->retransmits >= stack->settings.tcp_retries2;
}

static bool timer_retransmit_syn(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    bool active =
        !socket->passive; /* also in a simultaneous open's SYN-RECEIVED: MUST-11, MUST-23 */
    uint64_t most = active ? socket->options.syn_retries : stack->settings.tcp_synack_retries;
    if (socket->retransmits >= most)
        return timer_give_up(stack, socket, now_us);
    socket->retransmits++;
    if (!active || socket->retransmits > stack->settings.tcp_syn_linear_timeouts)
        socket->backoff++;
    socket->syn_wanted = true;
    tcp_socket_want_output(stack, socket);
    return true;
}

/* The pause until the next retransmission, which the application's R2 may cut short. */
static uint64_t timer_retransmit_pause(const struct stack *stack, const struct tcp_socket *socket,
                                       uint64_t now_us)
{
    uint64_t rto_us = timer_rto(stack, socket, socket->backoff);
    uint64_t limit_us = socket->options.user_timeout_ms * 1000ULL;
    uint64_t silent_us = now_us - socket->silent_since;
    if (limit_us <= silent_us)
        return rto_us;
    return rto_us < limit_us - silent_us ? rto_us : limit_us - silent_us;
}

static bool timer_retransmit(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    enum tcp_state state = socket->entry.state;
    if (state == TCP_SYN_SENT || state == TCP_SYN_RECEIVED)
        return timer_retransmit_syn(stack, socket, now_us);
    if (socket->silent_since == 0)
        socket->silent_since = socket->last_sent_at;
    if (timer_is_r2_reached(stack, socket, now_us))
        return timer_give_up(stack, socket, now_us);
    stack_count(stack, STACK_COUNTER_TCP_TIMEOUTS);
    socket->timeouts++;
    tcp_recovery_timeout(stack, socket, now_us);
    if (socket->retransmits < UINT8_MAX)
        socket->retransmits++;
    tcp_mtu_timeout(stack, socket, now_us);
    if (socket->retransmits == stack->settings.tcp_retries1) /* R1: SHLD-9 */
        tcp_socket_signal(stack, socket, STACK_READY_SOFT_ERROR);
    socket->backoff += socket->backoff < BACKOFF_MAX;
    if (socket->snd.wnd == 0)
        socket->probe_wanted = true;
    tcp_timer_set(stack, socket, TCP_TIMER_RETRANSMIT, now_us,
                  timer_retransmit_pause(stack, socket, now_us));
    tcp_socket_want_output(stack, socket);
    return true;
}

static bool timer_persist(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    uint64_t limit_us = socket->options.user_timeout_ms * 1000ULL;
    if (!timer_is_window_closed(socket))
        return true;
    if (socket->probes >= stack->settings.tcp_retries2 ||
        (limit_us && socket->probes && now_us - socket->last_received_at >= limit_us))
        return timer_give_up(stack, socket, now_us);
    socket->probes++;
    socket->persist_backoff += socket->persist_backoff < BACKOFF_MAX; /* SHLD-30 */
    if (socket->snd.wnd > 0) {
        socket->force_partial = true; /* silly-window override: RFC 9293 3.8.6.2.1 (4) */
    } else {
        socket->probe_wanted = true;
        stack_count(stack, STACK_COUNTER_TCP_WIN_PROBE);
    }
    tcp_timer_set(stack, socket, TCP_TIMER_PERSIST, now_us,
                  timer_rto(stack, socket, socket->persist_backoff));
    tcp_socket_want_output(stack, socket);
    return true;
}

static bool timer_delayed_ack(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    (void)now_us;
    stack_count(stack, STACK_COUNTER_DELAYED_ACKS);
    tcp_receive_ack_now(stack, socket, STACK_REASON_ACK_DELAYED);
    return true;
}

/* MUST-26: only when nothing is outstanding; otherwise retransmissions find out. */
static bool timer_keepalive(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    enum tcp_state state = socket->entry.state;
    if (!socket->options.keepalive || state < TCP_ESTABLISHED || state == TCP_TIME_WAIT)
        return true;
    if (socket->snd.max != socket->snd.una || socket->send.used > 0) {
        tcp_timer_set(stack, socket, TCP_TIMER_KEEPALIVE, now_us,
                      socket->options.keepidle_ms * 1000ULL);
        return true;
    }
    if (socket->probes >= socket->options.keepcnt) {
        tcp_reset_send(stack, socket, STACK_REASON_TIMED_OUT, now_us);
        return timer_give_up(stack, socket, now_us);
    }
    socket->probes++;
    socket->probe_wanted = true;
    stack_count(stack, STACK_COUNTER_TCP_KEEP_ALIVE);
    tcp_timer_set(stack, socket, TCP_TIMER_KEEPALIVE, now_us,
                  socket->options.keepintvl_ms * 1000ULL);
    tcp_socket_want_output(stack, socket);
    return true;
}

static bool timer_cork(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    (void)now_us;
    socket->force_partial = true;
    socket->snd.push = socket->snd.una + socket->send.used; /* MUST-61, though more was to follow */
    tcp_socket_want_output(stack, socket);
    return true;
}

static bool timer_end(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    if (socket->listener) { /* deferred long enough */
        tcp_listen_offer(stack, socket, now_us);
        return true;
    }
    if (socket->entry.state == TCP_FIN_WAIT_2)
        stack_count(stack, STACK_COUNTER_TCP_ABORT_ON_LINGER);
    tcp_socket_end(stack, socket, 0, now_us);
    return false;
}

static bool timer_fire(struct stack *stack, struct tcp_socket *socket, enum tcp_timer timer,
                       uint64_t now_us)
{
    static bool (*const fire[TCP_TIMER_COUNT])(struct stack *, struct tcp_socket *, uint64_t) = {
        [TCP_TIMER_RETRANSMIT] = timer_retransmit,
        [TCP_TIMER_PERSIST] = timer_persist,
        [TCP_TIMER_DELAYED_ACK] = timer_delayed_ack,
        [TCP_TIMER_KEEPALIVE] = timer_keepalive,
        [TCP_TIMER_CORK] = timer_cork,
        [TCP_TIMER_END] = timer_end,
    };
    tcp_timer_clear(socket, timer);
    stack_event_add(stack, STACK_EVENT_TIMER_FIRED, socket->entry.id, now_us, timer,
                    socket->retransmits, 0, 0);
    return fire[timer](stack, socket, now_us);
}

/* Fires what is due of one socket, then arms its entry for the rest. */
static void timer_serve(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    uint64_t next = TCP_NEVER;
    for (int i = 0; i < TCP_TIMER_COUNT; i++)
        if (socket->deadline[i] <= now_us && !timer_fire(stack, socket, (enum tcp_timer)i, now_us))
            return;
    for (int i = 0; i < TCP_TIMER_COUNT; i++)
        if (socket->deadline[i] < next)
            next = socket->deadline[i];
    if (next != TCP_NEVER && (!wheel_is_armed(&socket->timer) || next < socket->timer.at_us))
        wheel_arm(&stack->tcp.wheel, &socket->timer, next);
}

void tcp_timer_expire(struct stack *stack, uint64_t now_us)
{
    struct wheel_timer *timer;
    while ((timer = wheel_expire(&stack->tcp.wheel, now_us)) != NULL)
        timer_serve(stack, timer_socket(timer), now_us);
    tcp_wait_expire(stack, now_us);
}

uint64_t tcp_timer_deadline(const struct stack *stack)
{
    const struct tcp_wait *oldest = TAILQ_FIRST(&stack->tcp.waits);
    uint64_t deadline = wheel_deadline(&stack->tcp.wheel);
    return oldest && oldest->expires_at < deadline ? oldest->expires_at : deadline;
}

/* The invariants: what must hold of every frame, after every step, and in the end.

   Of a frame two things are asked. Does it keep what both sides have said on the wire: an offered
   window's right edge never moves left (RFC 9293 3.8.6, SHLD-14), but for what a shift count cannot
   express (RFC 7323, 2.4 and appendix F), and nobody sends beyond the edge that the peer has
   offered. And does it fit the sender's own control block, read at the moment of sending: new data
   within window and congestion window, and nothing that was acknowledged.

   A frame that waited for ARP is late by its own control block; it is known by the time since the
   last sending, and only the wire is asked. */
#include "run.h"

#include <string.h>

#include "../../tapstack/core/seq.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"

static const uint64_t CORK_US = 200000;

/* One TCP segment of a connection, read from a frame. */
struct seen {
    int number; /* of the connection */
    struct tcp_header tcp;
    uint32_t payload;
    uint32_t end; /* sequence number behind data and FIN */
};

static bool seen_read(int from, const uint8_t *bytes, size_t size, struct seen *seen)
{
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    if (ethernet_parse(bytes, size, &ethernet) < 0 || ethernet.type != ETHERTYPE_IPV4 ||
        ipv4_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &ip) < 0 ||
        ip.protocol != IPV4_PROTOCOL_TCP || ip.fragment_offset > 0 || ip.more_fragments)
        return false;
    const uint8_t *segment = bytes + ETHERNET_HEADER_BYTES + ip.header_bytes;
    size_t segment_bytes = (size_t)ip.total_bytes - ip.header_bytes;
    if (tcp_parse(segment, segment_bytes, &seen->tcp) < 0)
        return false;
    unsigned port = from == WORLD_A ? seen->tcp.source_port : seen->tcp.destination_port;
    seen->number = (int)port - SIM_PORT_A;
    seen->payload = (uint32_t)(segment_bytes - seen->tcp.header_bytes);
    seen->end = seen->tcp.sequence + seen->payload + !!(seen->tcp.flags & TCP_FIN);
    return seen->number >= 0 && seen->number < SIM_CONNECTIONS_MAX;
}

/* ---- A frame, held against the wire ---- */

/* The edge is watched until the peer's FIN is acknowledged: behind it nothing can come. */
static void wire_check_edge(struct run *run, int from, const struct seen *seen)
{
    struct watch_side *here = &run->watch[seen->number][from];
    const struct watch_side *peer = &run->watch[seen->number][1 - from];
    uint32_t ack = seen->tcp.acknowledgment;
    bool scaled = here->scale_offered && peer->scale_offered && !(seen->tcp.flags & TCP_SYN);
    uint32_t edge = ack + ((uint32_t)seen->tcp.window << (scaled ? here->scale : 0));
    uint32_t rounding = scaled ? (1U << here->scale) - 1 : 0;
    here->acked = here->ack_seen ? seq_max(here->acked, ack) : ack;
    here->ack_seen = true;
    if (peer->fin_seen && seq_ge(ack, peer->fin_end))
        return;
    if (here->edge_known && seq_lt(edge + rounding, here->edge) &&
        !(seen->tcp.flags & TCP_SYN)) /* a SYN cannot say more than 65,535 */
        sim_fail(run, from, seen->number, "the right edge of the window moved left by %u",
                 here->edge - edge);
    here->edge = here->edge_known ? seq_max(edge, here->edge) : edge;
    here->edge_known = true;
}

static void wire_note_syn(struct watch_side *here, const struct seen *seen)
{
    if (!here->syn_seen || here->iss != seen->tcp.sequence)
        *here = (struct watch_side){.syn_seen = true, .iss = seen->tcp.sequence};
    here->scale_offered = seen->tcp.options_present & TCP_OPTION_WINDOW_SCALE;
    here->scale = seen->tcp.window_scale > 14 ? 14 : seen->tcp.window_scale;
}

static void wire_check(struct run *run, int from, const struct seen *seen)
{
    struct watch_side *here = &run->watch[seen->number][from];
    const struct watch_side *peer = &run->watch[seen->number][1 - from];
    if (seen->tcp.flags & TCP_SYN)
        wire_note_syn(here, seen);
    if (seen->tcp.flags & TCP_FIN) {
        if (here->fin_seen && here->fin_end != seen->end)
            sim_fail(run, from, seen->number, "a FIN at another place than before");
        here->fin_seen = true;
        here->fin_end = seen->end;
    }
    if (here->fin_seen && seq_gt(seen->end, here->fin_end))
        sim_fail(run, from, seen->number, "data behind the FIN");
    if (seen->payload > 0 && peer->edge_known && seq_gt(seen->end, peer->edge))
        sim_fail(run, from, seen->number, "%u bytes beyond the window that the peer has offered",
                 seen->end - peer->edge);
    if (seen->tcp.flags & TCP_ACK)
        wire_check_edge(run, from, seen);
}

/* ---- A frame, held against the control block it comes from ---- */

/* New data leaves only while it fits the congestion window: with limited transmit two segments more
   (RFC 3042, 2), and a FIN takes no room beside data. */
static void sender_check_new(struct run *run, int from, const struct seen *seen,
                             const struct stack_info *info)
{
    uint32_t limited = info->duplicate_acks < 2 ? info->duplicate_acks : 2;
    uint32_t allowed = info->cwnd;
    if (!info->in_recovery && !info->in_loss)
        allowed += limited * info->snd_mss;
    if (info->inflight > allowed + !!(seen->tcp.flags & TCP_FIN))
        sim_fail(run, from, seen->number, "%u bytes in flight, cwnd %u, %u duplicate ACKs",
                 info->inflight, info->cwnd, info->duplicate_acks);
    if (seq_gt(seen->end, info->snd_una + info->snd_wnd))
        sim_fail(run, from, seen->number, "new data ends at %u, una %u, window %u", seen->end,
                 info->snd_una, info->snd_wnd);
}

/* What goes again lies between snd.una and snd.max; after a timeout without SACK, slow start paces
   it like new data (RFC 5681, 3.1). */
static void sender_check_again(struct run *run, int from, const struct seen *seen,
                               const struct stack_info *info)
{
    if (seq_lt(seen->tcp.sequence, info->snd_una) || seq_gt(seen->end, info->snd_max))
        sim_fail(run, from, seen->number, "%u to %u sent, una %u, max %u", seen->tcp.sequence,
                 seen->end, info->snd_una, info->snd_max);
    if (info->in_loss && !info->sack && seen->end == info->snd_nxt &&
        info->snd_nxt - info->snd_una > info->cwnd + 1)
        sim_fail(run, from, seen->number, "%u bytes sent again after a timeout, cwnd %u",
                 info->snd_nxt - info->snd_una, info->cwnd);
}

static void sender_check(struct run *run, int from, const struct seen *seen)
{
    struct known *known = &run->known[seen->number][from];
    struct stack_info info;
    if (!known->id || seen->end == seen->tcp.sequence ||
        stack_info_by_id(sim_stack(run, from), known->id, &info, sim_now(run)) != 0 ||
        info.summary.local.port != sim_port(from, seen->number) || info.last_sent_us > 0 ||
        info.summary.state == TCP_TIME_WAIT)
        return;
    sender_check_again(run, from, seen, &info);
    if (seen->end == info.snd_max && known->has_max && seq_gt(seen->end, known->snd_max))
        sender_check_new(run, from, seen, &info);
    known->snd_max = known->has_max ? seq_max(known->snd_max, seen->end) : seen->end;
    known->has_max = true;
}

void check_frame(struct run *run, int from, const uint8_t *bytes, size_t size)
{
    struct seen seen;
    if (!seen_read(from, bytes, size, &seen) || seen.tcp.flags & TCP_RST)
        return;
    wire_check(run, from, &seen);
    if (!(seen.tcp.flags & TCP_SYN))
        sender_check(run, from, &seen);
}

/* ---- Timers ---- */

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Which timer must run in this state? NULL: all do that must. */
static const char *timer_missing(struct run *run, int side, const struct stack_info *info)
{
    uint64_t deadline = stack_deadline(sim_stack(run, side));
    enum tcp_state state = info->summary.state;
    bool orphan = info->summary.socket == 0;
    bool outstanding = info->snd_una != info->snd_max;
    if (outstanding && info->rto_left_us == UINT64_MAX) /* RFC 6298, 5.1 */
        return "retransmission";
    if (!outstanding && info->not_sent > 0 && info->persist_left_us == UINT64_MAX &&
        deadline > sim_now(run) + CORK_US) /* RFC 9293, 3.8.6.1 */
        return "persist";
    if (info->keepalive && state >= TCP_ESTABLISHED && info->keepalive_left_us == UINT64_MAX)
        return "keep-alive";
    if (orphan && state == TCP_FIN_WAIT_2 && info->time_wait_left_us == UINT64_MAX)
        return "FIN-WAIT-2";
    return NULL;
}

/* Is the peer's MAC being asked for? What is sent waits then, or is dropped. */
static bool is_unresolved(struct run *run, int side)
{
    struct stack_neighbor neighbor;
    for (uint32_t cursor = 0;
         stack_next_neighbor(sim_stack(run, side), &cursor, &neighbor, sim_now(run));)
        if (neighbor.v4 == world_address(1 - side))
            return neighbor.state == NEIGHBOR_INCOMPLETE || neighbor.state == NEIGHBOR_FAILED;
    return true;
}

/* All bytes that have come in order are acknowledged, or soon will be (RFC 9293, 3.8.6.3). */
static void check_acknowledged(struct run *run, int side, int number, const struct stack_info *info)
{
    const struct watch_side *here = &run->watch[number][side];
    struct known *known = &run->known[number][side];
    if (info->summary.state < TCP_ESTABLISHED || !here->ack_seen)
        return;
    bool is_owed = seq_gt(info->rcv_nxt, here->acked);
    known->waits_for_arp = is_owed && (known->waits_for_arp || is_unresolved(run, side));
    if (!is_owed || known->waits_for_arp)
        return;
    uint64_t longest_us = run->plan->world.settings[side].tcp_delayed_ack_us;
    if (info->delayed_ack_left_us > longest_us)
        sim_fail(run, side, number, "%u bytes are not acknowledged, and no timer runs for them",
                 info->rcv_nxt - here->acked);
    if (info->rcv_nxt - here->acked >= 2U * info->rcv_mss)
        sim_fail(run, side, number, "%u bytes are not acknowledged, segments have %u",
                 info->rcv_nxt - here->acked, info->rcv_mss);
}

static void check_timers(struct run *run, int side, int number, const struct stack_info *info)
{
    const char *missing = timer_missing(run, side, info);
    if (missing)
        sim_fail(run, side, number, "%s, %u outstanding, %u not sent, window %u: no %s timer",
                 tcp_state_name(info->summary.state), info->snd_max - info->snd_una, info->not_sent,
                 info->snd_wnd, missing);
    uint64_t left_us = least(least(info->rto_left_us, info->persist_left_us),
                             least(info->delayed_ack_left_us, info->keepalive_left_us));
    left_us = least(left_us, info->time_wait_left_us);
    if (left_us != UINT64_MAX && stack_deadline(sim_stack(run, side)) > sim_now(run) + left_us)
        sim_fail(run, side, number, "the deadline of the stack is later than a timer");
}

/* ---- A control block after a step ---- */

static void check_sequence(struct run *run, int side, int number, const struct stack_info *info)
{
    if (!seq_le(info->snd_una, info->snd_nxt) || !seq_le(info->snd_nxt, info->snd_max))
        sim_fail(run, side, number, "snd.una %u, snd.nxt %u, snd.max %u", info->snd_una,
                 info->snd_nxt, info->snd_max);
    if (info->cwnd < info->snd_mss)
        sim_fail(run, side, number, "cwnd %u is less than a segment of %u", info->cwnd,
                 info->snd_mss);
}

/* What waits in a buffer is no more than the buffer, when it was offered, and what a shift count
   cannot express (RFC 7323, 2.4). */
static void check_buffers(struct run *run, int side, int number, const struct stack_info *info)
{
    const struct end_plan *plan = &run->plan->connection[number].end[side];
    uint64_t most = run->plan->world.settings[side].tcp_receive_buffer;
    if (plan->receive_buffer)
        most = plan->receive_buffer;
    if (plan->later_receive_buffer > most)
        most = plan->later_receive_buffer;
    uint64_t waiting = info->summary.receive_queue + (uint64_t)info->out_of_order_bytes;
    uint64_t unit = 1ULL << info->rcv_wscale;
    if (waiting > most + unit)
        sim_fail(run, side, number, "%llu bytes wait in a buffer of %llu",
                 (unsigned long long)waiting, (unsigned long long)most);
    if (info->receive_memory > 4 * (most + unit))
        sim_fail(run, side, number, "%u bytes of memory for a buffer of %llu", info->receive_memory,
                 (unsigned long long)most);
}

static void check_time_wait(struct run *run, int side, int number,
                            const struct stack_summary *summary)
{
    struct stack_info info;
    uint64_t most_us = 2 * run->plan->world.settings[side].tcp_msl_us;
    if (stack_info_by_id(sim_stack(run, side), summary->id, &info, sim_now(run)) == 0 &&
        info.time_wait_left_us > most_us)
        sim_fail(run, side, number, "TIME-WAIT without end");
}

static void check_connection(struct run *run, int side, int number,
                             const struct stack_summary *summary)
{
    struct known *known = &run->known[number][side];
    struct stack_info info;
    if (stack_info_by_id(sim_stack(run, side), summary->id, &info, sim_now(run)) != 0) {
        sim_fail(run, side, number, "no info about id %u", summary->id);
        return;
    }
    if (known->id != summary->id)
        *known = (struct known){.id = summary->id, .snd_max = info.snd_max, .has_max = true};
    check_sequence(run, side, number, &info);
    check_buffers(run, side, number, &info);
    check_timers(run, side, number, &info);
    check_acknowledged(run, side, number, &info);
}

static void check_stack(struct run *run, int side)
{
    struct stack_summary summary;
    for (uint32_t cursor = 0;
         stack_next_summary(sim_stack(run, side), &cursor, &summary, sim_now(run));) {
        int number = summary.local.port - sim_port(side, 0);
        if (summary.state == TCP_TIME_WAIT)
            check_time_wait(run, side, number, &summary);
        else if (summary.state != TCP_LISTEN && summary.state != TCP_CLOSED)
            check_connection(run, side, number, &summary);
    }
}

/* ---- The whole after a step ---- */

static void check_memory(struct run *run, int side)
{
    struct stack_usage usage;
    stack_usage(sim_stack(run, side), &usage);
    const struct stack_settings *settings = &run->plan->world.settings[side];
    uint64_t buffers = settings->tcp_receive_buffer + settings->tcp_send_buffer + (1 << 19);
    uint64_t limit = (8 << 20) + run->plan->connections * 2 * buffers;
    if (usage.memory_bytes > limit)
        sim_fail(run, side, -1, "%llu bytes of memory", (unsigned long long)usage.memory_bytes);
}

/* What grows when something is achieved. */
static uint64_t progress_sum(const struct run *run)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < run->plan->connections; i++)
        for (int side = 0; side < WORLD_SIDES; side++) {
            const struct end *end = &run->end[i][side];
            sum += ((uint64_t)end->generation << 40) + end->sent + end->received + end->connected +
                   end->shut_down + end->peer_ended + (end->state == END_DONE);
        }
    return sum;
}

/* A livelock is busy and achieves nothing: so many frames, or steps of the clock, on the way to one
   more byte at an application. */
static void check_progress(struct run *run)
{
    uint64_t sum = progress_sum(run), frames = world_frames(run->world);
    uint64_t open = 1;
    for (unsigned i = 0; i < run->plan->connections; i++)
        open += !run->plan->connection[i].absent;
    run->steps++;
    if (sum != run->progress) {
        run->progress = sum;
        run->progress_frames = frames;
        run->progress_steps = run->steps;
    }
    if (frames - run->progress_frames > 2000 * open)
        sim_fail(run, -1, -1, "%llu frames without progress",
                 (unsigned long long)(frames - run->progress_frames));
    if (run->steps - run->progress_steps > 5000 * open)
        sim_fail(run, -1, -1, "%llu steps without progress",
                 (unsigned long long)(run->steps - run->progress_steps));
}

void check_step(struct run *run)
{
    for (int side = 0; side < WORLD_SIDES; side++) {
        check_stack(run, side);
        check_memory(run, side);
    }
    check_progress(run);
}

/* ---- In the end ---- */

void check_end(struct run *run, const struct end *end)
{
    const struct connection_plan *plan = &run->plan->connection[end->number];
    const struct end *peer = &run->end[end->number][1 - end->side];
    if (!plan_is_strict(run->plan, (unsigned)end->number))
        return;
    if (end->error)
        sim_fail(run, end->side, end->number, "%s", stack_error_text(end->error));
    if (end->received != plan->end[1 - end->side].bytes)
        sim_fail(run, end->side, end->number, "%u of %u bytes received", end->received,
                 plan->end[1 - end->side].bytes);
    if (end->generation != peer->generation)
        return; /* the peer has begun anew, and forgotten what it did */
    if (end->saw_urgent && !peer->sent_urgent)
        sim_fail(run, end->side, end->number, "urgent data announced that nobody sent");
    /* Who accepts late finds it in line, and is not told any more. */
    if (peer->sent_urgent && !end->saw_urgent && plan->opens[end->side])
        sim_fail(run, end->side, end->number, "urgent data was not announced");
}

/* Where nothing is lost or late, nothing may be sent twice. */
static void check_clean(struct run *run)
{
    for (int side = 0; side < WORLD_SIDES; side++) {
        const uint64_t *counters = stack_counters(sim_stack(run, side));
        if (counters[STACK_COUNTER_TCP_RETRANS_SEGS] || counters[STACK_COUNTER_TCP_TIMEOUTS])
            sim_fail(run, side, -1, "%llu retransmissions, %llu timeouts over a clean link",
                     (unsigned long long)counters[STACK_COUNTER_TCP_RETRANS_SEGS],
                     (unsigned long long)counters[STACK_COUNTER_TCP_TIMEOUTS]);
    }
}

void check_results(struct run *run)
{
    if (run->plan->is_clean)
        check_clean(run);
}

void check_forgotten(struct run *run)
{
    for (int side = 0; side < WORLD_SIDES; side++) {
        struct stack_usage usage;
        stack_usage(sim_stack(run, side), &usage);
        if (usage.sockets || usage.time_wait)
            sim_fail(run, side, -1, "%u sockets and %u in TIME-WAIT are left", usage.sockets,
                     usage.time_wait);
        if (usage.buffer_bytes)
            sim_fail(run, side, -1, "%llu bytes of buffers are left",
                     (unsigned long long)usage.buffer_bytes);
    }
}

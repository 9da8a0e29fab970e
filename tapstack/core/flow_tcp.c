/* Connection tracking of TCP: does a segment belong to the connection, and how far is that.

   Between the two ends a filter sees what each has said, not what the other has heard. From that it
   can bound what an honest segment may carry (Guido van Rooij, "Real Stateful TCP Packet Filtering
   in IP Filter"): for a segment SEQ..END, ACK of a sender and its receiver

       SEQ <= sender's limit               the receiver has never offered more
       END >= sender's end - receiver's largest window      it was not acknowledged long ago
       ACK <= receiver's end               that much has been sent
       ACK >= receiver's end - the sender's largest window, or 66000

   where `limit` is the largest ACK + window that came from the receiver and `end` the highest
   sequence number that came from the sender. A segment without data is held to its ACK alone: a
   keep-alive lies one below the window. What fails is FLOW_INVALID.

   A reset inside the window passes, but ends the flow only at exactly the number that the other
   side must believe (RFC 5961, 3.2); else its receiver answers with a challenge, which has to pass.

   A flow that was joined under way (filter.tcp_loose, or a connection of the stack that stood
   before the filter) is liberal: windows are not held against it, their scale is not known.

   A SYN on a connection that stands passes and changes nothing: the receiver's challenge (RFC 5961,
   4) is how a peer that has crashed learns that its old connection is still there.

   Left out: checksums (the ends verify them, and a forger's are right), SACK, and timestamps. */
#include "../wire/bytes.h"
#include "../wire/tcp.h"
#include "flow.h"
#include "seq.h"

enum {
    ACK_BACK_MIN = 66000, /* an ACK may always be this old: a full unscaled window */
};

/* ---- Reading ---- */

/* Flags that some state of TCP sends together; PSH, URG and ECN's are free. */
static bool flags_are_sane(uint8_t flags)
{
    switch (flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) {
    case TCP_SYN:
    case TCP_SYN | TCP_ACK:
    case TCP_RST:
    case TCP_RST | TCP_ACK:
    case TCP_FIN | TCP_ACK:
    case TCP_ACK:
        return true;
    default:
        return false;
    }
}

static bool segment_read(const struct flow_packet *packet, struct flow_segment *segment)
{
    const uint8_t *bytes = packet->transport;
    size_t header_bytes = (bytes[12] >> 4) * 4U;
    uint8_t flags = packet->tcp_flags;
    if (header_bytes < TCP_HEADER_BYTES || header_bytes > packet->readable_bytes ||
        !flags_are_sane(flags))
        return false;
    segment->flags = flags;
    segment->sequence = bytes_get32(bytes + 4);
    segment->acknowledgment = bytes_get32(bytes + 8);
    segment->window = bytes_get16(bytes + 14);
    segment->end = segment->sequence + (uint32_t)(packet->transport_bytes - header_bytes) +
                   ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);
    return true;
}

/* ---- Judging ---- */

static bool is_opening(const struct flow_segment *segment)
{
    return (segment->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static bool ack_fits(const struct flow_side *sender, const struct flow_side *receiver,
                     uint32_t acknowledgment)
{
    uint32_t back = sender->window > ACK_BACK_MIN ? sender->window : ACK_BACK_MIN;
    return seq_le(acknowledgment, receiver->end) && seq_ge(acknowledgment, receiver->end - back);
}

static bool segment_fits(const struct flow *flow, unsigned way, const struct flow_segment *segment)
{
    const struct flow_side *sender = &flow->side[way], *receiver = &flow->side[!way];
    if (flow->liberal)
        return true;
    if (segment->flags & TCP_ACK && receiver->heard &&
        !ack_fits(sender, receiver, segment->acknowledgment))
        return false;
    bool empty = segment->end == segment->sequence && !(segment->flags & TCP_RST);
    if (!sender->heard || empty)
        return true;
    return seq_le(segment->sequence, sender->limit) &&
           seq_ge(segment->end, sender->end - receiver->window);
}

/* Nobody has answered the SYN yet. */
static enum flow_state judge_opening(const struct flow *flow, unsigned way,
                                     const struct flow_segment *segment)
{
    const struct flow_side *opener = &flow->side[0];
    uint8_t flags = segment->flags;
    if (way == 0)
        return is_opening(segment) || flags & TCP_RST ? FLOW_NEW : FLOW_INVALID;
    if (!(flags & TCP_ACK)) /* a SYN: simultaneous open (RFC 9293, 3.5) */
        return flags & TCP_SYN ? FLOW_ESTABLISHED : FLOW_INVALID;
    if (seq_in(segment->acknowledgment, opener->iss + 1, opener->end + 1))
        return FLOW_ESTABLISHED;
    /* An ACK of something else comes from an old connection, which the opener will reset. */
    return flags & (TCP_SYN | TCP_RST) ? FLOW_INVALID : FLOW_ESTABLISHED;
}

enum flow_state flow_tcp_judge(const struct flow_table *table, const struct flow_packet *packet,
                               struct flow_look *look)
{
    struct flow_segment *segment = &look->segment;
    const struct flow *flow = look->flow;
    if (!segment_read(packet, segment))
        return FLOW_INVALID;
    if (!flow) {
        bool joins = table->settings->filter_tcp_loose && !(segment->flags & TCP_RST);
        return is_opening(segment) || joins ? FLOW_NEW : FLOW_INVALID;
    }
    if (is_opening(segment) && (flow->tcp == FLOW_TCP_TIME_WAIT || flow->tcp == FLOW_TCP_CLOSED)) {
        look->renews = true;
        look->way = 0;
        return FLOW_NEW;
    }
    if (flow->tcp == FLOW_TCP_SYN_SENT)
        return judge_opening(flow, look->way, segment);
    return is_opening(segment) || segment_fits(flow, look->way, segment) ? FLOW_ESTABLISHED
                                                                         : FLOW_INVALID;
}

/* ---- Committing ---- */

/* The first segment of a side: what its SYN says of window scaling. */
static void side_begin(struct flow *flow, unsigned way, const struct flow_packet *packet,
                       const struct flow_segment *segment)
{
    struct flow_side *side = &flow->side[way];
    struct tcp_header header;
    side->heard = true;
    side->iss = segment->sequence;
    side->end = segment->end;
    side->limit = segment->end; /* until the other side offers more */
    side->window = side->scale = 0;
    side->scale_offered = false;
    if (!(segment->flags & TCP_SYN) ||
        tcp_parse(packet->transport, packet->readable_bytes, &header) != 0)
        return;
    if (header.options_present & TCP_OPTION_WINDOW_SCALE) {
        side->scale_offered = true;
        side->scale =
            header.window_scale < TCP_WINDOW_SCALE_MAX ? header.window_scale : TCP_WINDOW_SCALE_MAX;
    }
}

/* Takes down what a segment tells of its sender, and offers the receiver. */
static void side_learn(struct flow *flow, unsigned way, const struct flow_segment *segment)
{
    struct flow_side *sender = &flow->side[way], *receiver = &flow->side[!way];
    bool scaled = sender->scale_offered && receiver->scale_offered && !(segment->flags & TCP_SYN);
    uint32_t window = segment->window << (scaled ? sender->scale : 0);
    if (seq_gt(segment->end, sender->end))
        sender->end = segment->end;
    if (window > sender->window || sender->window == 0)
        sender->window = window > 0 ? window : 1; /* 1: a probe of a closed window fits */
    if (segment->flags & TCP_FIN) {
        sender->has_fin = true;
        sender->fin_end = segment->end;
    }
    if (!(segment->flags & TCP_ACK))
        return;
    if (!sender->has_acked || seq_gt(segment->acknowledgment, sender->acked))
        sender->acked = segment->acknowledgment;
    sender->has_acked = true;
    if (receiver->heard && seq_gt(segment->acknowledgment + window, receiver->limit))
        receiver->limit = segment->acknowledgment + window;
}

static bool fin_is_acked(const struct flow_side *side, const struct flow_side *other)
{
    return side->has_fin && other->has_acked && seq_ge(other->acked, side->fin_end);
}

/* How far a connection that has stood is closed. */
static enum flow_tcp_state state_closing(const struct flow *flow)
{
    const struct flow_side *a = &flow->side[0], *b = &flow->side[1];
    bool a_acked = fin_is_acked(a, b), b_acked = fin_is_acked(b, a);
    if (a->has_fin && b->has_fin)
        return a_acked && b_acked ? FLOW_TCP_TIME_WAIT : FLOW_TCP_LAST_ACK;
    if (a->has_fin || b->has_fin)
        return a_acked || b_acked ? FLOW_TCP_CLOSE_WAIT : FLOW_TCP_FIN_WAIT;
    return FLOW_TCP_ESTABLISHED;
}

static bool reset_is_exact(const struct flow *flow, unsigned way,
                           const struct flow_segment *segment)
{
    const struct flow_side *sender = &flow->side[way], *receiver = &flow->side[!way];
    return flow->tcp == FLOW_TCP_SYN_SENT || segment->sequence == sender->end ||
           (receiver->has_acked && segment->sequence == receiver->acked);
}

/* The state behind a segment that side_learn has seen. */
static enum flow_tcp_state state_next(const struct flow *flow, unsigned way,
                                      const struct flow_segment *segment)
{
    switch (flow->tcp) {
    case FLOW_TCP_NONE: /* the first segment of all */
        return is_opening(segment) ? FLOW_TCP_SYN_SENT : FLOW_TCP_ESTABLISHED;
    case FLOW_TCP_SYN_SENT:
        return way == 1 && segment->flags & TCP_SYN ? FLOW_TCP_SYN_RECEIVED : FLOW_TCP_SYN_SENT;
    case FLOW_TCP_SYN_RECEIVED:
        return way == 0 && segment->flags & TCP_ACK ? state_closing(flow) : FLOW_TCP_SYN_RECEIVED;
    case FLOW_TCP_CLOSED:
        return FLOW_TCP_CLOSED;
    default:
        return state_closing(flow);
    }
}

void flow_tcp_commit(struct flow *flow, const struct flow_packet *packet,
                     const struct flow_look *look)
{
    const struct flow_segment *segment = &look->segment;
    unsigned way = look->way;
    if (segment->flags & TCP_RST) {
        if (reset_is_exact(flow, way, segment))
            flow->tcp = FLOW_TCP_CLOSED;
        return;
    }
    if (is_opening(segment) && flow->tcp >= FLOW_TCP_SYN_RECEIVED)
        return;
    if (flow->tcp == FLOW_TCP_NONE && !is_opening(segment))
        flow->liberal = true;
    /* A SYN with another number that nobody has answered is another attempt. */
    bool restarts = flow->tcp == FLOW_TCP_SYN_SENT && way == 0 && is_opening(segment);
    /* An ACK that belongs to an old connection teaches nothing about this one. */
    if (flow->tcp == FLOW_TCP_SYN_SENT && way == 1 && !(segment->flags & TCP_SYN))
        return;
    if (!flow->side[way].heard || restarts)
        side_begin(flow, way, packet, segment);
    side_learn(flow, way, segment);
    flow->tcp = state_next(flow, way, segment);
}

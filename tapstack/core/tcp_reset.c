/* Segments that are sent outside any send buffer: resets, and what ICMP says about a connection. */
#include "../wire/bytes.h"
#include "state.h"

enum {
    CHALLENGE_SECONDS = 5, /* RFC 5961, 7: the limit's span */
};

void tcp_reset_bare(struct stack *stack, const struct tcp_entry *entry, struct tcp_header *header,
                    uint8_t ttl, uint8_t tos, uint64_t now_us)
{
    bool room = stack->out.count < PACKET_QUEUE_MAX;
    struct packet *packet =
        room ? packet_create(&stack->pool, IP_PAYLOAD_OFFSET + TCP_HEADER_MAX) : NULL;
    if (!packet) {
        stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, entry->id, 0, now_us);
        return;
    }
    header->source_port = entry->local_port;
    header->destination_port = entry->remote_port;
    packet->frame.piece[0].size =
        IP_PAYLOAD_OFFSET + tcp_write(header, packet->bytes + IP_PAYLOAD_OFFSET);
    const struct ip_send send = {
        .source_v4 = ip_address_to_v4(&entry->local_address),
        .destination_v4 = ip_address_to_v4(&entry->remote_address),
        .protocol = IPV4_PROTOCOL_TCP,
        .ttl = ttl,
        .tos = tos,
        .dont_fragment = true,
    };
    stack_count(stack, STACK_COUNTER_TCP_OUT_SEGS);
    if (ip_output(stack, &packet->frame, packet->bytes, &send, now_us) > 0)
        stack_queue_packet(stack, packet);
    else
        packet_destroy(&stack->pool, packet);
}

void tcp_reset_answer(struct stack *stack, const struct tcp_segment *segment,
                      enum stack_reason reason, uint64_t now_us)
{
    if (segment->flags & TCP_RST)
        return;
    struct tcp_entry entry = {
        .local_address = segment->datagram->destination,
        .remote_address = segment->datagram->source,
        .local_port = segment->header.destination_port,
        .remote_port = segment->header.source_port,
    };
    struct tcp_header header = {.flags = TCP_RST};
    if (segment->flags & TCP_ACK) {
        header.sequence = segment->header.acknowledgment;
    } else {
        header.flags |= TCP_ACK;
        header.acknowledgment = segment->header.sequence + segment->length;
    }
    stack_count(stack, STACK_COUNTER_TCP_OUT_RSTS);
    stack_event_add(stack, STACK_EVENT_RESET, 0, now_us, reason, header.sequence, 0, 0);
    tcp_reset_bare(stack, &entry, &header, (uint8_t)stack->settings.ip_ttl, 0, now_us);
}

void tcp_reset_send(struct stack *stack, struct tcp_socket *socket, enum stack_reason reason,
                    uint64_t now_us)
{
    enum tcp_state state = socket->entry.state;
    if (state < TCP_SYN_RECEIVED || (state > TCP_CLOSE_WAIT && socket->fin_sent))
        return; /* RFC 9293, 3.10.5: both sides have said all */
    struct tcp_header header = {
        .sequence = socket->snd.max,
        .acknowledgment = socket->rcv.nxt,
        .flags = TCP_RST | TCP_ACK,
        .options_present = socket->timestamps ? TCP_OPTION_TIMESTAMPS : 0, /* RFC 7323, 3.2 */
        .timestamp_value = tcp_out_timestamp(stack, socket->ts_offset, now_us),
        .timestamp_echo = socket->ts_recent,
    };
    stack_count(stack, STACK_COUNTER_TCP_OUT_RSTS);
    stack_event_add(stack, STACK_EVENT_RESET, socket->entry.id, now_us, reason, header.sequence, 0,
                    0);
    tcp_reset_bare(stack, &socket->entry, &header, socket->options.ttl, socket->options.tos,
                   now_us);
}

/* A counter a connection, so that nobody can measure one connection's challenges on another
   (CVE-2016-5696 was a counter for all). */
bool tcp_reset_may_challenge(struct stack *stack, uint16_t *sent, uint32_t *since_s,
                             uint64_t now_us)
{
    uint32_t now_s = (uint32_t)(now_us / 1000000);
    if (now_s - *since_s >= CHALLENGE_SECONDS) {
        *since_s = now_s;
        *sent = 0;
    }
    if (*sent >= stack->settings.tcp_challenge_ack_limit) {
        stack_count(stack, STACK_COUNTER_TCP_ACK_SKIPPED_CHALLENGE);
        return false;
    }
    (*sent)++;
    stack_count(stack, STACK_COUNTER_TCP_CHALLENGE_ACK);
    return true;
}

/* ---- ICMP ---- */

static bool icmp_is_opening(const struct tcp_socket *socket)
{
    return socket->entry.state == TCP_SYN_SENT || socket->entry.state == TCP_SYN_RECEIVED;
}

/* Delivery trouble that may pass: remembered, and told when the application asks (MUST-47,
 * MUST-56). */
static void icmp_soft_error(struct stack *stack, struct tcp_socket *socket, uint8_t type,
                            uint8_t code, uint64_t now_us)
{
    socket->soft_type = type;
    socket->soft_code = code;
    stack_event_add(stack, STACK_EVENT_SOFT_ERROR, socket->entry.id, now_us, type, code, 0, 0);
    tcp_socket_signal(stack, socket, STACK_READY_SOFT_ERROR);
}

static void icmp_end_opening(struct stack *stack, struct tcp_socket *socket, int error,
                             uint64_t now_us)
{
    stack_count(stack, STACK_COUNTER_TCP_ATTEMPT_FAILS);
    tcp_socket_end(stack, socket, error, now_us);
}

/* The connection that a segment of ours belongs to. header, segment: what is left of it. */
static struct tcp_socket *icmp_find_socket(const struct stack *stack,
                                           const struct ipv4_header *header, const uint8_t *segment)
{
    struct ip_address local = ip_address_from_v4(header->source_v4);
    struct ip_address remote = ip_address_from_v4(header->destination_v4);
    struct tcp_entry *entry =
        tcp_table_find(stack, &local, bytes_get16(segment), &remote, bytes_get16(segment + 2));
    return entry && !entry->compact ? (struct tcp_socket *)entry : NULL;
}

/* RFC 5927, 4.1: only what quotes something in flight can have met its fate. */
static bool icmp_is_in_flight(const struct tcp_socket *socket, uint32_t sequence)
{
    return socket && seq_ge(sequence, socket->snd.una) && seq_lt(sequence, socket->snd.max);
}

bool tcp_is_in_flight(const struct stack *stack, const struct ipv4_header *header,
                      const uint8_t *segment)
{
    return icmp_is_in_flight(icmp_find_socket(stack, header, segment), bytes_get32(segment + 4));
}

void tcp_unreachable(struct stack *stack, const struct ipv4_header *header, const uint8_t *segment,
                     uint64_t now_us)
{
    struct tcp_socket *socket = icmp_find_socket(stack, header, segment);
    if (socket && icmp_is_opening(socket))
        icmp_end_opening(stack, socket, STACK_UNREACHABLE, now_us);
    else if (socket)
        icmp_soft_error(stack, socket, ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE,
                        now_us);
}

/* What says that nobody is there, or that somebody in between won't have it: ends an attempt to
   connect (RFC 9293, SHLD-26; RFC 5461, 4). Returns the error, or 0 for what may pass (MUST-56). */
static int icmp_hard_error(const struct icmp_header *icmp)
{
    if (icmp->type != ICMP_DESTINATION_UNREACHABLE)
        return 0;
    switch (icmp->code) {
    case ICMP_CODE_PROTOCOL_UNREACHABLE:
    case ICMP_CODE_PORT_UNREACHABLE:
        return STACK_REFUSED;
    case ICMP_CODE_NET_PROHIBITED:
    case ICMP_CODE_HOST_PROHIBITED:
    case ICMP_CODE_PROHIBITED:
        return STACK_UNREACHABLE;
    default:
        return 0;
    }
}

/* RFC 9293 3.9.2.2, RFC 5461, RFC 5927: a standing connection only remembers an error. Returns 0, or
   -1 when it was not believed. */
static int icmp_apply(struct stack *stack, struct tcp_socket *socket,
                      const struct icmp_header *icmp, const struct ipv4_header *quoted,
                      uint32_t sequence, uint64_t now_us)
{
    int hard = icmp_hard_error(icmp);
    if (icmp->type == ICMP_DESTINATION_UNREACHABLE && icmp->code == ICMP_CODE_FRAGMENTATION_NEEDED)
        return tcp_mtu_too_big(stack, socket, icmp, quoted, sequence, now_us);
    if (hard && icmp_is_opening(socket))
        icmp_end_opening(stack, socket, hard, now_us);
    else
        icmp_soft_error(stack, socket, icmp->type, icmp->code, now_us);
    return 0;
}

int tcp_icmp_error(struct stack *stack, const struct ip_datagram *datagram,
                   const struct icmp_header *icmp, const struct ipv4_header *quoted,
                   const uint8_t *quoted_tcp, uint64_t now_us)
{
    struct tcp_socket *socket = icmp_find_socket(stack, quoted, quoted_tcp);
    uint32_t sequence = bytes_get32(quoted_tcp + 4);
    uint32_t id = socket ? socket->entry.id : 0;
    if (!icmp_is_in_flight(socket, sequence))
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_ERRORS, id, datagram->payload_bytes, now_us);
    if (icmp_apply(stack, socket, icmp, quoted, sequence, now_us) != 0)
        return stack_drop(stack, STACK_COUNTER_PMTU_IGNORED, id, datagram->payload_bytes, now_us);
    return 0;
}

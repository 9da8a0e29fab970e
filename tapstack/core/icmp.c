/* ICMP: answers echo, sends errors at a bounded rate, passes errors up to the connection they
 * quote. */
#include "../wire/icmp.h"

#include <string.h>

#include "../wire/ethernet.h"
#include "state.h"
#include "tcp.h"

enum {
    ERROR_BYTES_MAX = 576, /* of an error with its IP header (RFC 1812, 4.3.2.3) */
    QUOTE_BYTES_MAX = ERROR_BYTES_MAX - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES,
    QUOTED_PAYLOAD_MIN = 8, /* octets that every error quotes of the payload (RFC 792) */
    TOKEN_MILLIONTH = 1000000,
    TOS_DSCP = 0xfc, /* the Diffserv bits of the TOS byte, without ECN */
};

/* Sends a message to whom the datagram came from: header, then body_bytes that start in body. */
static int send_message(struct stack *stack, const struct ip_datagram *datagram,
                        const struct icmp_header *icmp, const uint8_t *body, size_t body_bytes,
                        uint8_t tos, uint64_t now_us)
{
    size_t size = IP_PAYLOAD_OFFSET + ICMP_HEADER_BYTES + body_bytes;
    struct packet *packet = NULL;
    if (stack->out.count < PACKET_QUEUE_MAX)
        packet = packet_create(&stack->pool, size);
    if (!packet)
        return stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, size, now_us);
    uint8_t *message = packet->bytes + IP_PAYLOAD_OFFSET;
    if (body_bytes > 0)
        memcpy(message + ICMP_HEADER_BYTES, body, body_bytes);
    icmp_write(icmp, message, body_bytes);
    /* A random Identification tells nobody how much we send to others (RFC 6864, 4.3). */
    struct ip_send send = {
        .source_v4 = datagram->header.destination_v4,
        .destination_v4 = datagram->header.source_v4,
        .protocol = IPV4_PROTOCOL_ICMP,
        .ttl = (uint8_t)stack->settings.ip_ttl,
        .tos = tos,
        .identification = (uint16_t)stack_random32(stack),
    };
    int sent = ip_output(stack, &packet->frame, packet->bytes, &send, now_us);
    if (sent == 1)
        stack_queue_packet(stack, packet);
    else
        packet_destroy(&stack->pool, packet);
    return sent;
}

/* Takes a token. What an error costs varies, so that nobody can count what others caused by
   watching when the limit is reached; it is never less than one token. */
static bool limiter_take(struct stack *stack, uint64_t now_us)
{
    struct icmp_limiter *limiter = &stack->icmp_limiter;
    uint64_t rate = stack->settings.icmp_error_rate;
    uint64_t elapsed_us = now_us - limiter->refilled_at;
    uint64_t refill = elapsed_us < 1000000 ? elapsed_us * rate : rate * TOKEN_MILLIONTH;
    limiter->refilled_at = now_us;
    limiter->spent_millionth -=
        refill < limiter->spent_millionth ? refill : limiter->spent_millionth;
    if (limiter->spent_millionth + TOKEN_MILLIONTH > rate * TOKEN_MILLIONTH)
        return false;
    limiter->spent_millionth += TOKEN_MILLIONTH + stack_random32(stack) % (TOKEN_MILLIONTH / 2);
    return true;
}

/* May this datagram be answered with an error at all (RFC 1122, 3.2.2)? */
static bool may_answer(const struct ip_datagram *datagram)
{
    if (datagram->to_group || datagram->header.fragment_offset != 0 ||
        !ipv4_is_valid_source(datagram->header.source_v4))
        return false;
    if (datagram->header.protocol != IPV4_PROTOCOL_ICMP)
        return true;
    return datagram->payload_bytes > 0 && !icmp_type_is_error(datagram->payload[0]);
}

void icmp_send_error(struct stack *stack, const struct ip_datagram *datagram, uint8_t type,
                     uint8_t code, uint32_t rest, uint64_t now_us)
{
    if (!may_answer(datagram))
        return;
    if (!limiter_take(stack, now_us)) {
        stack_count(stack, STACK_COUNTER_ICMP_OUT_RATE_LIMIT);
        return;
    }
    struct icmp_header icmp = {.type = type, .code = code, .rest = rest};
    size_t quoted = datagram->header.total_bytes;
    if (quoted > QUOTE_BYTES_MAX)
        quoted = QUOTE_BYTES_MAX;
    if (send_message(stack, datagram, &icmp, datagram->packet, quoted, 0, now_us) >= 0 &&
        type == ICMP_DESTINATION_UNREACHABLE)
        stack_count(stack, STACK_COUNTER_ICMP_OUT_DEST_UNREACHS);
}

/* RFC 1122, 3.2.2.6: the same data back, from the address that was asked. */
static int answer_echo(struct stack *stack, const struct ip_datagram *datagram,
                       const struct icmp_header *request, uint64_t now_us)
{
    stack_count(stack, STACK_COUNTER_ICMP_IN_ECHOS);
    if (datagram->to_group)
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_IGNORED, 0, datagram->payload_bytes, now_us);
    struct icmp_header reply = {.type = ICMP_ECHO_REPLY, .rest = request->rest};
    int sent = send_message(stack, datagram, &reply, datagram->payload + ICMP_HEADER_BYTES,
                            datagram->payload_bytes - ICMP_HEADER_BYTES,
                            datagram->header.tos & TOS_DSCP, now_us);
    if (sent < 0)
        return -1;
    stack_count(stack, STACK_COUNTER_ICMP_OUT_ECHO_REPS);
    return 0;
}

/* Reads the header that an error quotes. Neither its length nor its checksum can be checked: the
   quote is cut, and routers have changed it. Returns 0, or -1 when too little of it is there. */
static int parse_quote(const uint8_t *bytes, size_t size, struct ipv4_header *quoted)
{
    if (size < IPV4_HEADER_BYTES || bytes[0] >> 4 != 4)
        return -1;
    *quoted = (struct ipv4_header){
        .header_bytes = (uint8_t)((bytes[0] & 0x0f) * 4),
        .tos = bytes[1],
        .ttl = bytes[8],
        .protocol = bytes[9],
        .total_bytes = bytes_get16(bytes + 2),
        .identification = bytes_get16(bytes + 4),
        .fragment_offset = (uint16_t)((bytes_get16(bytes + 6) & 0x1fff) * 8),
        .more_fragments = (bytes[6] & 0x20) != 0,
        .dont_fragment = (bytes[6] & 0x40) != 0,
        .source_v4 = bytes_get32(bytes + 12),
        .destination_v4 = bytes_get32(bytes + 16),
    };
    if (quoted->header_bytes < IPV4_HEADER_BYTES ||
        size < (size_t)quoted->header_bytes + QUOTED_PAYLOAD_MIN)
        return -1;
    return 0;
}

/* An error about something we sent: passed to TCP (RFC 9293, 3.9.2.2, MUST-54). */
static int take_error(struct stack *stack, const struct ip_datagram *datagram,
                      const struct icmp_header *icmp, uint64_t now_us)
{
    const uint8_t *quote = datagram->payload + ICMP_HEADER_BYTES;
    size_t size = datagram->payload_bytes - ICMP_HEADER_BYTES;
    struct ipv4_header quoted;
    if (datagram->to_group || parse_quote(quote, size, &quoted) != 0 ||
        !ip_is_local(stack, quoted.source_v4) || quoted.fragment_offset != 0)
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_ERRORS, 0, datagram->payload_bytes, now_us);
    if (quoted.protocol != IPV4_PROTOCOL_TCP)
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_IGNORED, 0, datagram->payload_bytes, now_us);
    tcp_icmp_error(stack, datagram, icmp, &quoted, quote + quoted.header_bytes, now_us);
    return 0;
}

int icmp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    struct icmp_header icmp;
    size_t size = datagram->payload_bytes;
    stack_count(stack, STACK_COUNTER_ICMP_IN_MSGS);
    int error = icmp_parse(datagram->payload, size, &icmp);
    if (error)
        return stack_drop(stack,
                          error == ICMP_BAD_CHECKSUM ? STACK_COUNTER_ICMP_IN_CSUM_ERRORS
                                                     : STACK_COUNTER_ICMP_IN_ERRORS,
                          0, size, now_us);
    switch (icmp.type) {
    case ICMP_ECHO_REQUEST:
        return answer_echo(stack, datagram, &icmp, now_us);
    case ICMP_DESTINATION_UNREACHABLE:
        stack_count(stack, STACK_COUNTER_ICMP_IN_DEST_UNREACHS);
        return take_error(stack, datagram, &icmp, now_us);
    case ICMP_TIME_EXCEEDED:
        stack_count(stack, STACK_COUNTER_ICMP_IN_TIME_EXCDS);
        return take_error(stack, datagram, &icmp, now_us);
    case ICMP_PARAMETER_PROBLEM:
        stack_count(stack, STACK_COUNTER_ICMP_IN_PARM_PROBS);
        return take_error(stack, datagram, &icmp, now_us);
    case ICMP_SOURCE_QUENCH:
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_SRC_QUENCHS, 0, size, now_us);
    default:
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_IGNORED, 0, size, now_us);
    }
}

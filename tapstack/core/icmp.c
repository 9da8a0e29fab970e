/* ICMP: answers echo and timestamp requests, sends errors at a bounded rate, passes errors up to
   the protocol they quote.

   What a host need not answer any more (address mask, information, router discovery) is counted by
   its type and dropped, and so is source quench (RFC 6633). */
#include "icmp.h"

#include <string.h>

#include "../wire/ethernet.h"
#include "ip_option.h"
#include "state.h"
#include "tcp.h"

enum {
    ERROR_BYTES_MAX = 576, /* of an error with its IP header (RFC 1812, 4.3.2.3) */
    QUOTE_BYTES_MAX = ERROR_BYTES_MAX - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES,
    TOKEN_MILLIONTH = 1000000,
    TOS_DSCP = 0xfc,  /* the Diffserv bits of the TOS byte, without ECN */
    TOS_ERROR = 0xc0, /* precedence 6, internetwork control (RFC 1812, 4.3.2.5) */
};

/* ---- sending ---- */

static void count_message(struct stack *stack, uint8_t type)
{
    stack_count(stack, STACK_COUNTER_ICMP_OUT_MSGS);
    switch (type) {
    case ICMP_ECHO_REPLY:
        return stack_count(stack, STACK_COUNTER_ICMP_OUT_ECHO_REPS);
    case ICMP_TIMESTAMP_REPLY:
        return stack_count(stack, STACK_COUNTER_ICMP_OUT_TIMESTAMP_REPS);
    case ICMP_DESTINATION_UNREACHABLE:
        return stack_count(stack, STACK_COUNTER_ICMP_OUT_DEST_UNREACHS);
    case ICMP_TIME_EXCEEDED:
        return stack_count(stack, STACK_COUNTER_ICMP_OUT_TIME_EXCDS);
    case ICMP_PARAMETER_PROBLEM:
        return stack_count(stack, STACK_COUNTER_ICMP_OUT_PARM_PROBS);
    case ICMP_REDIRECT:
        return stack_count(stack, STACK_COUNTER_ICMP_OUT_REDIRECTS);
    }
}

/* The address an answer comes from: the one that was asked; where that is not ours, the one towards
   whom it goes to (RFC 1122, 3.2.2.6; RFC 1812, 4.3.2.4). */
static uint32_t answer_source(const struct stack *stack, const struct ip_datagram *datagram)
{
    uint32_t source_v4 = datagram->header.destination_v4;
    unsigned interface;
    if (!ip_is_local(stack, source_v4))
        ip_choose_source(stack, datagram->header.source_v4, &source_v4, &interface);
    return source_v4;
}

/* Sends a message to whom the datagram came from: header, then body_bytes that start in body.
   Returns 0, or -1 when it was dropped. */
static int send_message(struct stack *stack, const struct ip_datagram *datagram,
                        const struct icmp_header *icmp, const uint8_t *body, size_t body_bytes,
                        uint8_t tos, uint64_t now_us)
{
    uint8_t options[IPV4_OPTIONS_MAX];
    struct packet *packet = NULL;
    struct ip_send send = {
        .source_v4 = answer_source(stack, datagram),
        .destination_v4 = datagram->header.source_v4,
        .protocol = IPV4_PROTOCOL_ICMP,
        .ttl = (uint8_t)stack->settings.ip_ttl,
        .tos = tos,
    };
    if (!icmp_type_is_error(icmp->type))
        ip_option_reply(stack, datagram, &send, options, now_us);
    size_t start = (size_t)IP_PAYLOAD_OFFSET + send.option_bytes;
    size_t size = start + ICMP_HEADER_BYTES + body_bytes;
    send.identification =
        ip_message_identification(stack, send.source_v4, send.destination_v4, IPV4_PROTOCOL_ICMP,
                                  size - ETHERNET_HEADER_BYTES);
    if (stack->out.count < PACKET_QUEUE_MAX)
        packet = packet_create(&stack->pool, size);
    if (!packet)
        return stack_drop(stack, STACK_COUNTER_ICMP_OUT_ERRORS, 0, size, now_us);
    if (body_bytes > 0)
        memcpy(packet->bytes + start + ICMP_HEADER_BYTES, body, body_bytes);
    icmp_write(icmp, packet->bytes + start, body_bytes);
    count_message(stack, icmp->type);
    int sent = ip_output(stack, &packet->frame, packet->bytes, &send, now_us);
    if (sent == 1)
        stack_queue_packet(stack, packet);
    else
        packet_destroy(&stack->pool, packet);
    return sent < 0 ? -1 : 0;
}

/* ---- errors ---- */

/* Takes cost_millionth out of a bucket when there is a token in it. */
static bool bucket_take(struct icmp_bucket *bucket, uint64_t rate, uint64_t cost_millionth,
                        uint64_t now_us)
{
    uint64_t elapsed_us = now_us - bucket->refilled_at;
    uint64_t refill = elapsed_us < 1000000 ? elapsed_us * rate : rate * TOKEN_MILLIONTH;
    bucket->refilled_at = now_us;
    bucket->spent_millionth -= refill < bucket->spent_millionth ? refill : bucket->spent_millionth;
    if (bucket->spent_millionth + TOKEN_MILLIONTH > rate * TOKEN_MILLIONTH)
        return false;
    bucket->spent_millionth += cost_millionth;
    return true;
}

/* May another error go to this host? The host's own limit is asked first, so that what it refuses
   costs the others nothing. What an error costs in the bucket of all varies, so that nobody can
   count what others caused by watching when the limit is reached; it is never less than one
   token. */
static bool limiter_take(struct stack *stack, uint32_t host_v4, uint64_t now_us)
{
    const struct stack_settings *settings = &stack->settings;
    struct icmp_limiter *limiter = &stack->icmp_limiter;
    uint64_t index = stack_hash(stack, 0, &host_v4, sizeof host_v4) % ICMP_LIMITER_HOSTS;
    if (!bucket_take(&limiter->host[index], settings->icmp_error_rate_host, TOKEN_MILLIONTH,
                     now_us)) {
        stack_count(stack, STACK_COUNTER_ICMP_OUT_RATE_LIMIT_HOST);
        return false;
    }
    uint64_t cost = TOKEN_MILLIONTH + stack_random32(stack) % (TOKEN_MILLIONTH / 2);
    if (!bucket_take(&limiter->all, settings->icmp_error_rate, cost, now_us)) {
        stack_count(stack, STACK_COUNTER_ICMP_OUT_RATE_LIMIT_GLOBAL);
        return false;
    }
    return true;
}

/* Is this the address of one host that is not us? */
static bool is_other_host(const struct stack *stack, uint32_t v4)
{
    return ipv4_is_valid_source(v4) && !ip_is_local(stack, v4) && !ip_is_broadcast(stack, v4);
}

/* May this datagram be answered with an error at all (RFC 1122, 3.2.2; RFC 1812, 4.3.2.7)? */
static bool may_answer(const struct stack *stack, const struct ip_datagram *datagram)
{
    const struct ipv4_header *header = &datagram->header;
    if (datagram->to_group || header->fragment_offset != 0 ||
        !is_other_host(stack, header->source_v4) || !ipv4_is_valid_source(header->destination_v4) ||
        ip_is_broadcast(stack, header->destination_v4))
        return false;
    if (header->protocol != IPV4_PROTOCOL_ICMP)
        return true;
    return datagram->payload_bytes > 0 && !icmp_type_is_error(datagram->payload[0]);
}

void icmp_send_error(struct stack *stack, const struct ip_datagram *datagram, uint8_t type,
                     uint8_t code, uint32_t rest, uint64_t now_us)
{
    if (!may_answer(stack, datagram) || !limiter_take(stack, datagram->header.source_v4, now_us))
        return;
    struct icmp_header icmp = {.type = type, .code = code, .rest = rest};
    size_t quoted = datagram->header.total_bytes;
    if (quoted > QUOTE_BYTES_MAX)
        quoted = QUOTE_BYTES_MAX;
    send_message(stack, datagram, &icmp, datagram->packet, quoted, TOS_ERROR, now_us);
}

/* ---- requests ---- */

/* A group is not answered, but where a setting allows it for one of IP; a broadcast frame with our
   own address in it is nobody's honest request. */
static bool may_answer_request(const struct stack *stack, const struct ip_datagram *datagram)
{
    if (!datagram->to_group)
        return true;
    return stack->settings.icmp_echo_broadcast &&
           !ip_is_local(stack, datagram->header.destination_v4);
}

/* RFC 1122, 3.2.2.6: the same data back, from the address that was asked. */
static int answer_echo(struct stack *stack, const struct ip_datagram *datagram,
                       const struct icmp_header *request, uint64_t now_us)
{
    struct icmp_header reply = {.type = ICMP_ECHO_REPLY, .rest = request->rest};
    size_t size = datagram->payload_bytes;
    stack_count(stack, STACK_COUNTER_ICMP_IN_ECHOS);
    if (!stack->settings.icmp_echo || !may_answer_request(stack, datagram))
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_IGNORED, 0, size, now_us);
    return send_message(stack, datagram, &reply, datagram->payload + ICMP_HEADER_BYTES,
                        size - ICMP_HEADER_BYTES, datagram->header.tos & TOS_DSCP, now_us);
}

uint32_t icmp_timestamp_now(const struct stack *stack, uint64_t now_us)
{
    const uint32_t day_ms = 86400000, not_standard = UINT32_C(1) << 31;
    if (stack->utc_offset_us == 0)
        return (uint32_t)(now_us / 1000) | not_standard;
    return (uint32_t)((now_us + stack->utc_offset_us) / 1000 % day_ms);
}

/* RFC 1122, 3.2.2.8: when it was sent, when it came, when the answer goes. */
static int answer_timestamp(struct stack *stack, const struct ip_datagram *datagram,
                            const struct icmp_header *request, uint64_t now_us)
{
    struct icmp_header reply = {.type = ICMP_TIMESTAMP_REPLY, .rest = request->rest};
    size_t size = datagram->payload_bytes;
    uint8_t times[ICMP_TIMESTAMP_BYTES];
    stack_count(stack, STACK_COUNTER_ICMP_IN_TIMESTAMPS);
    if (size < ICMP_HEADER_BYTES + ICMP_TIMESTAMP_BYTES)
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_ERRORS, 0, size, now_us);
    if (!stack->settings.icmp_timestamp || datagram->to_group)
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_IGNORED, 0, size, now_us);
    memcpy(times, datagram->payload + ICMP_HEADER_BYTES, 4);
    bytes_put32(times + 4, icmp_timestamp_now(stack, now_us));
    bytes_put32(times + 8, icmp_timestamp_now(stack, now_us));
    return send_message(stack, datagram, &reply, times, sizeof times,
                        datagram->header.tos & TOS_DSCP, now_us);
}

/* ---- receiving ---- */

/* An error about something we sent: to the protocol that sent it (RFC 1122, 3.2.2.1; RFC 9293,
   3.9.2.2, MUST-54). What it says is the protocol's to believe. */
static int take_error(struct stack *stack, const struct ip_datagram *datagram,
                      const struct icmp_header *icmp, uint64_t now_us)
{
    const uint8_t *quote = datagram->payload + ICMP_HEADER_BYTES;
    size_t size = datagram->payload_bytes - ICMP_HEADER_BYTES;
    struct ipv4_header quoted;
    if (datagram->to_group || icmp_parse_quote(quote, size, &quoted) != 0 ||
        !ip_is_local(stack, quoted.source_v4) || quoted.fragment_offset != 0)
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_ERRORS, 0, datagram->payload_bytes, now_us);
    const uint8_t *payload = quote + quoted.header_bytes;
    if (probe_error(stack, datagram->header.source_v4, datagram->header.ttl, icmp, &quoted, payload,
                    now_us))
        return 0;
    switch (quoted.protocol) {
    case IPV4_PROTOCOL_TCP:
        return tcp_icmp_error(stack, datagram, icmp, &quoted, payload, now_us);
    case IPV4_PROTOCOL_UDP:
        return udp_icmp_error(stack, datagram, icmp, &quoted, payload, now_us);
    default:
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_IGNORED, 0, datagram->payload_bytes, now_us);
    }
}

void icmp_unreachable(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    static const struct icmp_header icmp = {ICMP_DESTINATION_UNREACHABLE,
                                            ICMP_CODE_HOST_UNREACHABLE, 0};
    const struct ipv4_header *header = &datagram->header;
    const uint8_t *payload = datagram->payload;
    if (header->fragment_offset != 0 || datagram->payload_bytes < ICMP_HEADER_BYTES ||
        probe_error(stack, 0, 0, &icmp, header, payload, now_us))
        return;
    if (header->protocol == IPV4_PROTOCOL_TCP)
        tcp_unreachable(stack, header, payload, now_us);
    else if (header->protocol == IPV4_PROTOCOL_UDP)
        udp_icmp_error(stack, datagram, &icmp, header, payload, now_us);
}

/* Does an error quote something that we have just sent? Of TCP that can be told. */
static bool is_quote_plausible(const struct stack *stack, const struct ipv4_header *quoted,
                               const uint8_t *payload)
{
    if (!ip_is_local(stack, quoted->source_v4) || quoted->fragment_offset != 0)
        return false;
    return quoted->protocol != IPV4_PROTOCOL_TCP || tcp_is_in_flight(stack, quoted, payload);
}

/* Whatever it says of networks or types of service is taken for the one host (RFC 1122, 3.2.2.2). */
static int take_redirect(struct stack *stack, const struct ip_datagram *datagram,
                         const struct icmp_header *icmp, uint64_t now_us)
{
    const uint8_t *quote = datagram->payload + ICMP_HEADER_BYTES;
    struct ipv4_header quoted;
    if (stack->settings.icmp_accept_redirects && !datagram->to_group &&
        icmp->code <= ICMP_CODE_REDIRECT_HOST_FOR_TOS &&
        icmp_parse_quote(quote, datagram->payload_bytes - ICMP_HEADER_BYTES, &quoted) == 0 &&
        is_quote_plausible(stack, &quoted, quote + quoted.header_bytes) &&
        redirect_learn(stack, datagram->frame->interface, datagram->header.source_v4,
                       quoted.destination_v4, icmp->rest, now_us))
        return 0;
    return stack_drop(stack, STACK_COUNTER_REDIRECTS_IGNORED, 0, datagram->payload_bytes, now_us);
}

/* What is counted by its type and needs no answer here. */
static enum stack_counter unanswered_counter(uint8_t type)
{
    switch (type) {
    case ICMP_SOURCE_QUENCH:
        return STACK_COUNTER_ICMP_IN_SRC_QUENCHS;
    case ICMP_ROUTER_ADVERTISEMENT:
        return STACK_COUNTER_ICMP_IN_ROUTER_ADVERTS;
    case ICMP_ROUTER_SOLICITATION:
        return STACK_COUNTER_ICMP_IN_ROUTER_SOLICITS;
    case ICMP_TIMESTAMP_REPLY:
        return STACK_COUNTER_ICMP_IN_TIMESTAMP_REPS;
    case ICMP_INFORMATION_REQUEST:
        return STACK_COUNTER_ICMP_IN_INFOS;
    case ICMP_INFORMATION_REPLY:
        return STACK_COUNTER_ICMP_IN_INFO_REPS;
    case ICMP_ADDRESS_MASK_REQUEST:
        return STACK_COUNTER_ICMP_IN_ADDR_MASKS;
    case ICMP_ADDRESS_MASK_REPLY:
        return STACK_COUNTER_ICMP_IN_ADDR_MASK_REPS;
    default:
        return STACK_COUNTER_ICMP_IN_IGNORED;
    }
}

static int take_message(struct stack *stack, const struct ip_datagram *datagram,
                        const struct icmp_header *icmp, uint64_t now_us)
{
    switch (icmp->type) {
    case ICMP_ECHO_REQUEST:
        return answer_echo(stack, datagram, icmp, now_us);
    case ICMP_ECHO_REPLY:
        stack_count(stack, STACK_COUNTER_ICMP_IN_ECHO_REPS);
        return probe_echo_reply(stack, datagram, icmp, now_us);
    case ICMP_TIMESTAMP_REQUEST:
        return answer_timestamp(stack, datagram, icmp, now_us);
    case ICMP_DESTINATION_UNREACHABLE:
        stack_count(stack, STACK_COUNTER_ICMP_IN_DEST_UNREACHS);
        return take_error(stack, datagram, icmp, now_us);
    case ICMP_TIME_EXCEEDED:
        stack_count(stack, STACK_COUNTER_ICMP_IN_TIME_EXCDS);
        return take_error(stack, datagram, icmp, now_us);
    case ICMP_PARAMETER_PROBLEM:
        stack_count(stack, STACK_COUNTER_ICMP_IN_PARM_PROBS);
        return take_error(stack, datagram, icmp, now_us);
    case ICMP_REDIRECT:
        stack_count(stack, STACK_COUNTER_ICMP_IN_REDIRECTS);
        return take_redirect(stack, datagram, icmp, now_us);
    default:
        return stack_drop(stack, unanswered_counter(icmp->type), 0, datagram->payload_bytes,
                          now_us);
    }
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
    return take_message(stack, datagram, &icmp, now_us);
}

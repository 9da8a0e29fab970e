/* Packets of a script: flags, numbers, options, and what an ICMP error quotes. */
#include <string.h>

#include "../wire/icmp.h"
#include "../wire/tcp.h"
#include "../wire/tcp_option.h"
#include "script_token.h"

enum { TCP_KIND_FAST_OPEN = 34 }; /* RFC 7413, 4.1.1 */

static uint32_t parse_number(struct reader *reader, const char *what)
{
    return (uint32_t)script_parse_integer(reader, 0, UINT32_MAX, what);
}

static bool accept_word(struct reader *reader, const char *word)
{
    if (!token_is_word(reader, word))
        return false;
    token_next(reader);
    return true;
}

__attribute__((noreturn)) static void fail_word(struct reader *reader, const char *what)
{
    char text[64];
    script_fail(reader, reader->token.place, "unknown %s: %s", what,
                token_describe(&reader->token, text, sizeof text));
}

/* ---- first:last(size) ---- */

static void parse_range(struct reader *reader, uint32_t *first, uint32_t *bytes)
{
    struct script_place place = reader->token.place;
    *first = parse_number(reader, "a sequence number");
    token_expect(reader, ":");
    uint32_t last = parse_number(reader, "a sequence number");
    token_expect(reader, "(");
    *bytes = (uint32_t)script_parse_integer(reader, 0, 65535, "a size");
    token_expect(reader, ")");
    if (*first + *bytes != last)
        script_fail(reader, place, "%u + %u is not %u", *first, *bytes, last);
}

/* ---- [ect0], [ttl 64, tos 0x10] ---- */

static void parse_ip_word(struct reader *reader, struct script_packet *packet)
{
    static const struct {
        const char *word;
        int ecn;
    } marks[] = {{"noecn", SCRIPT_ECN_NONE},
                 {"ect0", SCRIPT_ECN_ECT0},
                 {"ect1", SCRIPT_ECN_ECT1},
                 {"ce", SCRIPT_ECN_CE},
                 {"ect01", SCRIPT_ECN_ECT01}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (accept_word(reader, marks[i].word)) {
            packet->ecn = marks[i].ecn;
            return;
        }
    if (accept_word(reader, "ttl"))
        packet->ttl = (int)script_parse_integer(reader, 0, 255, "a TTL");
    else if (accept_word(reader, "tos"))
        packet->tos = (int)script_parse_integer(reader, 0, 255, "a TOS byte");
    else
        fail_word(reader, "word about the IP header");
}

/* 1:1461(1460)] or udp (1000)]: what of ours an ICMP error is about. */
static void parse_quote(struct reader *reader, struct script_packet *packet)
{
    packet->quotes = true;
    if (accept_word(reader, "udp")) {
        packet->quotes_udp = true;
        token_expect(reader, "(");
        packet->quoted_bytes = (uint32_t)script_parse_integer(reader, 0, 65507, "a size");
        token_expect(reader, ")");
    } else {
        parse_range(reader, &packet->quoted_sequence, &packet->quoted_bytes);
    }
    token_expect(reader, "]");
}

/* Older scripts have the quote of an ICMP error here. */
static void parse_ip(struct reader *reader, struct script_packet *packet)
{
    const char *closing = token_is(reader, "[") ? "]" : ")";
    token_next(reader);
    if (*closing == ']' && (reader->token.kind == TOKEN_INTEGER || token_is_word(reader, "udp"))) {
        parse_quote(reader, packet);
        return;
    }
    do
        parse_ip_word(reader, packet);
    while (token_accept(reader, ","));
    token_expect(reader, closing);
}

/* ---- TCP options ---- */

static void option_number(struct reader *reader, struct script_option *option, int64_t most,
                          const char *what)
{
    option->value[option->value_count++] = (uint32_t)script_parse_integer(reader, 0, most, what);
}

static void parse_sack(struct reader *reader, struct script_option *option)
{
    option->kind = TCP_KIND_SACK;
    while (reader->token.kind == TOKEN_INTEGER) {
        if (option->value_count == 8)
            script_fail(reader, reader->token.place, "an option holds four blocks at most");
        option_number(reader, option, UINT32_MAX, "the left edge of a block");
        token_expect(reader, ":");
        option_number(reader, option, UINT32_MAX, "the right edge of a block");
    }
}

static void parse_timestamps(struct reader *reader, struct script_option *option)
{
    option->kind = TCP_KIND_TIMESTAMPS;
    if (!accept_word(reader, "val"))
        fail_word(reader, "word behind TS");
    option_number(reader, option, UINT32_MAX, "a timestamp");
    if (!accept_word(reader, "ecr"))
        fail_word(reader, "word behind TS val");
    option_number(reader, option, UINT32_MAX, "a timestamp");
}

static unsigned hexadecimal(struct reader *reader, struct script_place place, char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    script_fail(reader, place, "a cookie in hexadecimal digits is meant here");
}

/* FO 0123456789abcdef: the cookie in hexadecimal, or none. */
static void parse_fast_open(struct reader *reader, struct script_option *option)
{
    struct token digits = token_hexadecimal(reader);
    option->kind = TCP_KIND_FAST_OPEN;
    if (digits.size % 2 != 0 || digits.size / 2 > sizeof option->bytes)
        script_fail(reader, digits.place, "a cookie in hexadecimal digits is meant here");
    for (size_t i = 0; i < digits.size; i += 2)
        option->bytes[option->size++] =
            (uint8_t)(hexadecimal(reader, digits.place, digits.text[i]) << 4 |
                      hexadecimal(reader, digits.place, digits.text[i + 1]));
}

static void option_bytes(struct reader *reader, struct script_option *option)
{
    while (reader->token.kind == TOKEN_INTEGER) {
        if (option->size == sizeof option->bytes)
            script_fail(reader, reader->token.place, "an option has 38 bytes at most");
        option->bytes[option->size++] = (uint8_t)script_parse_integer(reader, 0, 255, "a byte");
    }
}

/* kind 254 0x01 0x02: any option by its number and the bytes behind its length. */
static void parse_numbered(struct reader *reader, struct script_option *option)
{
    option->kind = (uint8_t)script_parse_integer(reader, 2, 255, "the kind of an option");
    option->numbered = true;
    option_bytes(reader, option);
}

/* bytes 0x02 0x00: exactly these, which need not be an option at all. */
static void parse_raw(struct reader *reader, struct script_option *option)
{
    option->raw = true;
    option_bytes(reader, option);
}

static void parse_option(struct reader *reader, struct script_option *option)
{
    if (accept_word(reader, "mss")) {
        option->kind = TCP_KIND_MSS;
        option_number(reader, option, 65535, "an MSS");
    } else if (accept_word(reader, "wscale")) {
        option->kind = TCP_KIND_WINDOW_SCALE;
        option_number(reader, option, 255, "a shift count");
    } else if (accept_word(reader, "sackOK")) {
        option->kind = TCP_KIND_SACK_PERMITTED;
    } else if (accept_word(reader, "sack")) {
        parse_sack(reader, option);
    } else if (accept_word(reader, "TS")) {
        parse_timestamps(reader, option);
    } else if (accept_word(reader, "nop")) {
        option->kind = TCP_KIND_NOP;
    } else if (accept_word(reader, "eol")) {
        option->kind = TCP_KIND_END;
    } else if (token_is_word(reader, "FO")) {
        parse_fast_open(reader, option);
    } else if (accept_word(reader, "kind")) {
        parse_numbered(reader, option);
    } else if (accept_word(reader, "bytes")) {
        parse_raw(reader, option);
    } else {
        fail_word(reader, "TCP option");
    }
}

static void parse_options(struct reader *reader, struct script_packet *packet)
{
    token_expect(reader, "<");
    if (reader->token.kind == TOKEN_ELLIPSIS) {
        packet->any_options = true;
        token_next(reader);
    } else if (!token_is(reader, ">")) {
        do {
            if (packet->option_count == SCRIPT_OPTIONS_MAX)
                script_fail(reader, reader->token.place, "too many options");
            parse_option(reader, &packet->option[packet->option_count++]);
        } while (token_accept(reader, ","));
    }
    token_expect(reader, ">");
}

/* ---- TCP, UDP, ICMP ---- */

static uint16_t flag_of(char letter)
{
    switch (letter) {
    case 'F':
        return TCP_FIN;
    case 'S':
        return TCP_SYN;
    case 'R':
        return TCP_RST;
    case 'P':
        return TCP_PSH;
    case '.':
        return TCP_ACK;
    case 'U':
        return TCP_URG;
    case 'E':
        return TCP_ECE;
    case 'W':
    case 'C':
        return TCP_CWR;
    case 'A':
        return SCRIPT_FLAG_AE;
    default:
        return 0;
    }
}

static void parse_tcp(struct reader *reader, struct script_packet *packet)
{
    struct token flags = token_flags(reader);
    if (flags.size == 0)
        script_fail(reader, flags.place, "TCP flags, `udp` or `icmp` are meant here");
    for (size_t i = 0; i < flags.size; i++)
        packet->flags |= flag_of(flags.text[i]);
    parse_range(reader, &packet->sequence, &packet->payload_bytes);
    if (accept_word(reader, "ack")) {
        packet->ack = parse_number(reader, "an acknowledgment number");
        packet->flags |= TCP_ACK;
    }
    if (accept_word(reader, "win"))
        packet->window = script_parse_integer(reader, 0, 65535, "a window");
    if (accept_word(reader, "urg"))
        packet->urgent = script_parse_integer(reader, 0, 65535, "an urgent pointer");
    if (token_is(reader, "<"))
        parse_options(reader, packet);
}

static bool parse_ports(struct reader *reader, struct script_packet *packet)
{
    if (reader->token.kind != TOKEN_INTEGER)
        return false;
    packet->source_port = (int)script_parse_integer(reader, 0, 65535, "a port");
    token_expect(reader, ">");
    packet->destination_port = (int)script_parse_integer(reader, 0, 65535, "a port");
    return true;
}

static void parse_udp(struct reader *reader, struct script_packet *packet)
{
    packet->kind = SCRIPT_UDP;
    parse_ports(reader, packet);
    token_expect(reader, "(");
    packet->payload_bytes = (uint32_t)script_parse_integer(reader, 0, 65507, "a size");
    token_expect(reader, ")");
}

static const struct icmp_word {
    const char *word;
    uint8_t number;
} icmp_types[] = {{"unreachable", ICMP_DESTINATION_UNREACHABLE},
                  {"time_exceeded", ICMP_TIME_EXCEEDED},
                  {"parameter_problem", ICMP_PARAMETER_PROBLEM},
                  {"source_quench", ICMP_SOURCE_QUENCH},
                  {"redirect", ICMP_REDIRECT},
                  {"redirect", ICMP_REDIRECT},
                  {"echo_request", ICMP_ECHO_REQUEST},
                  {"echo_reply", ICMP_ECHO_REPLY},
                  {"timestamp_request", ICMP_TIMESTAMP_REQUEST},
                  {"timestamp_reply", ICMP_TIMESTAMP_REPLY},
                  {"information_request", ICMP_INFORMATION_REQUEST},
                  {"information_reply", ICMP_INFORMATION_REPLY},
                  {"address_mask_request", ICMP_ADDRESS_MASK_REQUEST},
                  {"address_mask_reply", ICMP_ADDRESS_MASK_REPLY}},
  icmp_codes[] = {{"net_unreachable", ICMP_CODE_NET_UNREACHABLE},
                  {"host_unreachable", ICMP_CODE_HOST_UNREACHABLE},
                  {"protocol_unreachable", ICMP_CODE_PROTOCOL_UNREACHABLE},
                  {"port_unreachable", ICMP_CODE_PORT_UNREACHABLE},
                  {"frag_needed", ICMP_CODE_FRAGMENTATION_NEEDED},
                  {"source_route_failed", ICMP_CODE_SOURCE_ROUTE_FAILED},
                  {"net_unknown", ICMP_CODE_NET_UNKNOWN},
                  {"host_unknown", ICMP_CODE_HOST_UNKNOWN},
                  {"source_host_isolated", ICMP_CODE_HOST_ISOLATED},
                  {"net_prohibited", ICMP_CODE_NET_PROHIBITED},
                  {"host_prohibited", ICMP_CODE_HOST_PROHIBITED},
                  {"net_unreachable_for_tos", ICMP_CODE_NET_UNREACHABLE_FOR_TOS},
                  {"host_unreachable_for_tos", ICMP_CODE_HOST_UNREACHABLE_FOR_TOS},
                  {"packet_filtered", ICMP_CODE_PROHIBITED},
                  {"precedence_violation", ICMP_CODE_PRECEDENCE_VIOLATION},
                  {"precedence_cutoff", ICMP_CODE_PRECEDENCE_CUTOFF}};

/* type_3, code_1: by number. */
static bool accept_numbered(struct reader *reader, const char *prefix, uint8_t *number)
{
    const struct token *token = &reader->token;
    size_t size = strlen(prefix);
    unsigned value = 0;
    if (token->kind != TOKEN_WORD || token->size <= size || memcmp(token->text, prefix, size) != 0)
        return false;
    for (size_t i = size; i < token->size; i++) {
        value = value * 10 + (unsigned)(token->text[i] - '0');
        if (token->text[i] < '0' || token->text[i] > '9' || value > UINT8_MAX)
            fail_word(reader, "ICMP type or code");
    }
    *number = (uint8_t)value;
    token_next(reader);
    return true;
}

static bool accept_icmp_word(struct reader *reader, const struct icmp_word *words, size_t count,
                             uint8_t *number)
{
    for (size_t i = 0; i < count; i++)
        if (accept_word(reader, words[i].word)) {
            *number = words[i].number;
            return true;
        }
    return false;
}

static void parse_icmp(struct reader *reader, struct script_packet *packet)
{
    packet->kind = SCRIPT_ICMP;
    if (!accept_icmp_word(reader, icmp_types, sizeof icmp_types / sizeof *icmp_types,
                          &packet->icmp_type) &&
        !accept_numbered(reader, "type_", &packet->icmp_type))
        fail_word(reader, "ICMP type");
    if (!accept_icmp_word(reader, icmp_codes, sizeof icmp_codes / sizeof *icmp_codes,
                          &packet->icmp_code))
        accept_numbered(reader, "code_", &packet->icmp_code);
    if (accept_word(reader, "code"))
        packet->icmp_code = (uint8_t)script_parse_integer(reader, 0, 255, "an ICMP code");
    if (accept_word(reader, "mtu"))
        packet->icmp_mtu = script_parse_integer(reader, 0, 65535, "an MTU");
    if (accept_word(reader, "id"))
        packet->icmp_id = script_parse_integer(reader, 0, 65535, "an identifier");
    if (token_accept(reader, "["))
        parse_quote(reader, packet);
}

/* What only an expected packet may leave open, and only an ICMP error may quote. */
static void check_packet(struct reader *reader, struct script_place place,
                         const struct script_packet *packet)
{
    if (packet->quotes && packet->kind != SCRIPT_ICMP)
        script_fail(reader, place, "only an ICMP packet quotes another");
    if (packet->inbound && packet->any_options)
        script_fail(reader, place, "<...> is for packets of the stack's: say which options");
    if (packet->inbound && packet->ecn == SCRIPT_ECN_ECT01)
        script_fail(reader, place, "[ect01] is for packets of the stack's: ect0 or ect1");
}

void script_parse_packet(struct reader *reader, struct script_packet *packet)
{
    struct script_place place = reader->token.place;
    packet->inbound = token_is(reader, "<");
    packet->ecn = SCRIPT_ECN_UNSAID;
    packet->ttl = packet->tos = -1;
    packet->source_port = packet->destination_port = -1;
    packet->window = packet->urgent = packet->icmp_mtu = packet->icmp_id = -1;
    token_next(reader);
    while (token_is(reader, "[") || token_is(reader, "("))
        parse_ip(reader, packet);
    parse_ports(reader, packet);
    if (accept_word(reader, "udp"))
        parse_udp(reader, packet);
    else if (accept_word(reader, "icmp"))
        parse_icmp(reader, packet);
    else
        parse_tcp(reader, packet);
    check_packet(reader, place, packet);
}

/* Packets as text, in the notation that scripts have. */
#include <stdarg.h>
#include <string.h>

#include "../wire/icmp.h"
#include "../wire/tcp.h"
#include "../wire/tcp_option.h"
#include "script_state.h"

const char *packet_field_name(enum packet_field field)
{
    static const char *const names[FIELD_COUNT] = {
        [FIELD_KIND] = "kind of packet",
        [FIELD_PORTS] = "ports",
        [FIELD_IP] = "IP header",
        [FIELD_FLAGS] = "flags",
        [FIELD_SEQUENCE] = "sequence range",
        [FIELD_ACK] = "acknowledgment",
        [FIELD_WINDOW] = "window",
        [FIELD_URGENT] = "urgent pointer",
        [FIELD_OPTIONS] = "options",
    };
    return names[field];
}

__attribute__((format(printf, 3, 4))) static void
put(struct packet_line *line, enum packet_field field, const char *format, ...)
{
    int size = (int)strlen(line->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->text + size, sizeof line->text - (size_t)size, format, arguments);
    va_end(arguments);
    if (field == FIELD_NONE)
        return;
    if (line->to[field] == 0)
        line->from[field] = size;
    line->to[field] = (int)strlen(line->text);
}

static void format_bytes(const struct script_option *option, struct packet_line *line)
{
    for (unsigned i = 0; i < option->size; i++)
        put(line, FIELD_OPTIONS, " 0x%02x", option->bytes[i]);
}

static void format_option(const struct script_option *option, struct packet_line *line)
{
    if (option->raw) {
        put(line, FIELD_OPTIONS, "bytes");
        format_bytes(option, line);
        return;
    }
    switch (option->numbered ? UINT8_MAX : option->kind) {
    case TCP_KIND_END:
        put(line, FIELD_OPTIONS, "eol");
        return;
    case TCP_KIND_NOP:
        put(line, FIELD_OPTIONS, "nop");
        return;
    case TCP_KIND_MSS:
        put(line, FIELD_OPTIONS, "mss %u", option->value[0]);
        return;
    case TCP_KIND_WINDOW_SCALE:
        put(line, FIELD_OPTIONS, "wscale %u", option->value[0]);
        return;
    case TCP_KIND_SACK_PERMITTED:
        put(line, FIELD_OPTIONS, "sackOK");
        return;
    case TCP_KIND_TIMESTAMPS:
        put(line, FIELD_OPTIONS, "TS val %u ecr %u", option->value[0], option->value[1]);
        return;
    case TCP_KIND_SACK:
        put(line, FIELD_OPTIONS, "sack");
        for (unsigned i = 0; i + 1 < option->value_count; i += 2)
            put(line, FIELD_OPTIONS, " %u:%u", option->value[i], option->value[i + 1]);
        return;
    default:
        put(line, FIELD_OPTIONS, "kind %u", option->kind);
        format_bytes(option, line);
    }
}

void packet_flags(uint16_t flags, char *letters)
{
    static const struct {
        uint16_t flag;
        char letter;
    } table[] = {{TCP_FIN, 'F'}, {TCP_SYN, 'S'}, {TCP_RST, 'R'},
                 {TCP_PSH, 'P'}, {TCP_ACK, '.'}, {TCP_URG, 'U'},
                 {TCP_ECE, 'E'}, {TCP_CWR, 'W'}, {SCRIPT_FLAG_AE, 'A'}};
    char *at = letters;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (flags & table[i].flag)
            *at++ = table[i].letter;
    if (at == letters)
        *at++ = '-';
    *at = '\0';
}

static void format_tcp(const struct script_packet *packet, struct packet_line *line)
{
    char letters[16];
    packet_flags(packet->flags, letters);
    put(line, FIELD_FLAGS, "%s", letters);
    put(line, FIELD_NONE, " ");
    put(line, FIELD_SEQUENCE, "%u:%u(%u)", packet->sequence,
        packet->sequence + packet->payload_bytes, packet->payload_bytes);
    if (packet->flags & TCP_ACK) {
        put(line, FIELD_NONE, " ");
        put(line, FIELD_ACK, "ack %u", packet->ack);
    }
    if (packet->window >= 0) {
        put(line, FIELD_NONE, " ");
        put(line, FIELD_WINDOW, "win %lld", (long long)packet->window);
    }
    if (packet->urgent >= 0) {
        put(line, FIELD_NONE, " ");
        put(line, FIELD_URGENT, "urg %lld", (long long)packet->urgent);
    }
    if (packet->option_count > 0 || packet->any_options)
        put(line, FIELD_NONE, " <");
    for (unsigned i = 0; i < packet->option_count; i++) {
        put(line, FIELD_OPTIONS, "%s", i ? "," : "");
        format_option(&packet->option[i], line);
    }
    if (packet->option_count > 0)
        put(line, FIELD_NONE, ">");
    else if (packet->any_options)
        put(line, FIELD_OPTIONS, "...>");
}

static const char *icmp_word(uint8_t type)
{
    static const char *const words[] = {[ICMP_ECHO_REPLY] = "echo_reply",
                                        [ICMP_DESTINATION_UNREACHABLE] = "unreachable",
                                        [ICMP_SOURCE_QUENCH] = "source_quench",
                                        [ICMP_REDIRECT] = "redirect",
                                        [ICMP_ECHO_REQUEST] = "echo_request",
                                        [ICMP_TIME_EXCEEDED] = "time_exceeded",
                                        [ICMP_PARAMETER_PROBLEM] = "parameter_problem"};
    return type < sizeof words / sizeof *words && words[type] ? words[type] : "?";
}

static void format_ip(const struct script_packet *packet, struct packet_line *line)
{
    static const char *const marks[] = {"noecn", "ect1", "ect0", "ce", "ect01"};
    if (packet->ecn > 0)
        put(line, FIELD_IP, "[%s] ", marks[packet->ecn]);
    if (packet->tos > 0)
        put(line, FIELD_IP, "[tos 0x%02x] ", (unsigned)packet->tos);
}

void packet_format(const struct script_packet *packet, bool ports, struct packet_line *line)
{
    *line = (struct packet_line){0};
    put(line, FIELD_NONE, packet->inbound ? "< " : "> ");
    format_ip(packet, line);
    if (ports && packet->source_port >= 0)
        put(line, FIELD_PORTS, "%d > %d ", packet->source_port, packet->destination_port);
    if (packet->kind == SCRIPT_TCP) {
        format_tcp(packet, line);
    } else if (packet->kind == SCRIPT_UDP) {
        put(line, FIELD_KIND, "udp (%u)", packet->payload_bytes);
    } else {
        put(line, FIELD_KIND, "icmp %s code %u", icmp_word(packet->icmp_type), packet->icmp_code);
        if (packet->icmp_mtu >= 0)
            put(line, FIELD_KIND, " mtu %lld", (long long)packet->icmp_mtu);
        if (packet->icmp_id >= 0)
            put(line, FIELD_KIND, " id %lld", (long long)packet->icmp_id);
        if (packet->quotes && packet->quotes_udp)
            put(line, FIELD_KIND, " [udp (%u)]", packet->quoted_bytes);
        else if (packet->quotes)
            put(line, FIELD_KIND, " [%u:%u(%u)]", packet->quoted_sequence,
                packet->quoted_sequence + packet->quoted_bytes, packet->quoted_bytes);
    }
}

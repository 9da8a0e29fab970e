/* One frame as one line of text, in packetdrill's notation.

   Options are written in the order in which they stand on the wire, so a line shows the layout that
   a peer chose; a bare struct tcp_header is laid out by tcp_write first. */
#include "text.h"

#include "append.h"
#include "arp.h"
#include "bytes.h"
#include "ethernet.h"
#include "icmp.h"
#include "ipv4.h"
#include "tcp_option.h"
#include "udp.h"

/* What is taken off the numbers of one direction. */
struct bases {
    uint32_t sequence;
    uint32_t ack;
};

/* Names what could not be read: "ipv4, bad checksum, 60 bytes". */
static void append_unreadable(struct append *to, const char *layer, const char *why, size_t size)
{
    append_string(to, layer);
    append_string(to, ", ");
    append_string(to, why);
    append_field(to, ", ", size);
    append_string(to, " bytes");
}

static void append_v4(struct append *to, uint32_t v4)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        append_decimal(to, v4 >> shift & 255);
        if (shift > 0)
            append_char(to, '.');
    }
}

/* A port below zero is none. */
static void append_end(struct append *to, uint32_t v4, int port)
{
    append_v4(to, v4);
    if (port >= 0)
        append_field(to, ":", (unsigned)port);
}

/* "10.77.0.1:40000 > 10.77.0.2:80 ", without the ports where they are below zero. */
static void append_ends(struct append *to, const struct ipv4_header *ip, int source_port,
                        int destination_port)
{
    append_end(to, ip->source_v4, source_port);
    append_string(to, " > ");
    append_end(to, ip->destination_v4, destination_port);
    append_char(to, ' ');
}

static void append_flags(struct append *to, unsigned flags)
{
    static const struct {
        uint8_t flag;
        char letter;
    } letters[] = {
        {TCP_FIN, 'F'}, {TCP_SYN, 'S'}, {TCP_RST, 'R'}, {TCP_PSH, 'P'},
        {TCP_ACK, '.'}, {TCP_URG, 'U'}, {TCP_ECE, 'E'}, {TCP_CWR, 'W'},
    };
    if (flags == 0)
        append_char(to, '-');
    for (unsigned i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (flags & letters[i].flag)
            append_char(to, letters[i].letter);
}

static void append_sack(struct append *to, const uint8_t *option, uint32_t base)
{
    append_string(to, "sack");
    for (const uint8_t *at = option + 2; at < option + option[1]; at += 8) {
        append_field(to, " ", bytes_get32(at) - base);
        append_field(to, ":", bytes_get32(at + 4) - base);
    }
}

/* One option whose length fits its kind. */
static void append_option(struct append *to, const uint8_t *option, uint32_t sack_base)
{
    switch (option[0]) {
    case TCP_KIND_END:
        append_string(to, "eol");
        break;
    case TCP_KIND_NOP:
        append_string(to, "nop");
        break;
    case TCP_KIND_MSS:
        append_field(to, "mss ", bytes_get16(option + 2));
        break;
    case TCP_KIND_WINDOW_SCALE:
        append_field(to, "wscale ", option[2]);
        break;
    case TCP_KIND_SACK_PERMITTED:
        append_string(to, "sackOK");
        break;
    case TCP_KIND_SACK:
        append_sack(to, option, sack_base);
        break;
    case TCP_KIND_TIMESTAMPS:
        append_field(to, "TS val ", bytes_get32(option + 2));
        append_field(to, " ecr ", bytes_get32(option + 6));
        break;
    default:
        append_field(to, "kind ", option[0]);
        append_field(to, " len ", option[1]);
    }
}

/* " <mss 1460,sackOK>", or nothing when there are none. An option of illegal length reads
   "malformed kind 2 len 3"; where the length leads nowhere it is the last one. */
static void append_options(struct append *to, const uint8_t *at, const uint8_t *end,
                           uint32_t sack_base)
{
    const char *between = " <";
    if (at == end)
        return;
    while (at < end) {
        bool fits;
        size_t length = tcp_option_length(at, end, &fits);
        append_string(to, between);
        if (length > 0 && fits) {
            append_option(to, at, sack_base);
        } else {
            append_field(to, "malformed kind ", at[0]);
            if (end - at > 1)
                append_field(to, " len ", at[1]);
        }
        if (length == 0 || *at == TCP_KIND_END)
            break;
        at += length;
        between = ",";
    }
    append_char(to, '>');
}

/* options: the bytes behind the fixed header of 20, option_bytes of them. */
static void append_tcp(struct append *to, const struct tcp_header *header, const uint8_t *options,
                       size_t option_bytes, size_t payload_bytes, const struct bases *bases)
{
    uint32_t first = header->sequence - bases->sequence;
    append_flags(to, header->flags);
    append_field(to, " ", first);
    append_field(to, ":", (uint32_t)(first + payload_bytes));
    append_field(to, "(", payload_bytes);
    append_char(to, ')');
    if (header->flags & TCP_ACK)
        append_field(to, " ack ", header->acknowledgment - bases->ack);
    append_field(to, " win ", header->window);
    if (header->flags & TCP_URG)
        append_field(to, " urg ", header->urgent_pointer);
    append_options(to, options, options + option_bytes, bases->ack);
}

size_t text_format_tcp(const struct tcp_header *header, size_t payload_bytes,
                       uint32_t sequence_base, uint32_t ack_base, char *line, size_t capacity)
{
    uint8_t bytes[TCP_HEADER_MAX];
    struct tcp_header laid_out = *header;
    size_t option_bytes = tcp_write(&laid_out, bytes) - TCP_HEADER_BYTES;
    const struct bases bases = {sequence_base, ack_base};
    struct append to = append_start(line, capacity);
    append_tcp(&to, header, bytes + TCP_HEADER_BYTES, option_bytes, payload_bytes, &bases);
    return to.length;
}

static void append_tcp_segment(struct append *to, const struct ipv4_header *ip,
                               const uint8_t *bytes, size_t size, const struct bases *bases)
{
    struct tcp_header header;
    int error = tcp_parse(bytes, size, &header);
    if (error != 0) {
        append_ends(to, ip, -1, -1);
        append_unreadable(to, "tcp", error == TCP_TRUNCATED ? "truncated" : "bad data offset",
                          size);
        return;
    }
    append_ends(to, ip, header.source_port, header.destination_port);
    append_tcp(to, &header, bytes + TCP_HEADER_BYTES, header.header_bytes - TCP_HEADER_BYTES,
               size - header.header_bytes, bases);
}

static void append_udp(struct append *to, const struct ipv4_header *ip, const uint8_t *bytes,
                       size_t size)
{
    struct udp_header header;
    int error = udp_parse(bytes, size, &header);
    if (error != 0) {
        append_ends(to, ip, -1, -1);
        append_unreadable(to, "udp", error == UDP_TRUNCATED ? "truncated" : "bad length", size);
        return;
    }
    append_ends(to, ip, header.source_port, header.destination_port);
    append_field(to, "udp (", header.length - UDP_HEADER_BYTES);
    append_char(to, ')');
}

static const char *icmp_name(uint8_t type)
{
    switch (type) {
    case ICMP_ECHO_REPLY:
        return "echo_reply";
    case ICMP_DESTINATION_UNREACHABLE:
        return "unreachable";
    case ICMP_SOURCE_QUENCH:
        return "source_quench";
    case ICMP_REDIRECT:
        return "redirect";
    case ICMP_ECHO_REQUEST:
        return "echo_request";
    case ICMP_TIME_EXCEEDED:
        return "time_exceeded";
    case ICMP_PARAMETER_PROBLEM:
        return "parameter_problem";
    case ICMP_TIMESTAMP_REQUEST:
        return "timestamp_request";
    case ICMP_TIMESTAMP_REPLY:
        return "timestamp_reply";
    default:
        return NULL;
    }
}

/* The name of the type and, where it says more, of the code; numbers where there is no name. */
static void append_icmp_type(struct append *to, const struct icmp_header *header)
{
    bool unreachable = header->type == ICMP_DESTINATION_UNREACHABLE;
    const char *type = icmp_name(header->type);
    const char *code = unreachable ? icmp_unreachable_name(header->code) : NULL;
    if (type)
        append_string(to, type);
    else
        append_field(to, "type ", header->type);
    if (code) {
        append_char(to, ' ');
        append_string(to, code);
    } else if (unreachable || header->code != 0) {
        append_field(to, " code ", header->code);
    }
}

static void append_icmp(struct append *to, const struct ipv4_header *ip, const uint8_t *bytes,
                        size_t size)
{
    struct icmp_header header;
    int error = icmp_parse(bytes, size, &header);
    append_ends(to, ip, -1, -1);
    if (error != 0) {
        append_unreadable(to, "icmp", error == ICMP_TRUNCATED ? "truncated" : "bad checksum", size);
        return;
    }
    append_string(to, "icmp ");
    append_icmp_type(to, &header);
    if (header.type == ICMP_ECHO_REQUEST || header.type == ICMP_ECHO_REPLY) {
        append_field(to, " id ", header.rest >> 16);
        append_field(to, " seq ", header.rest & 0xffff);
    } else if (header.type == ICMP_DESTINATION_UNREACHABLE &&
               header.code == ICMP_CODE_FRAGMENTATION_NEEDED) {
        append_field(to, " mtu ", header.rest & 0xffff);
    }
    append_field(to, " (", size - ICMP_HEADER_BYTES);
    append_char(to, ')');
}

/* "ip protocol 6 fragment id 7 0:1480(1480)+"; the plus says that more follow, as tcpdump does. */
static void append_fragment(struct append *to, const struct ipv4_header *ip, size_t size)
{
    append_ends(to, ip, -1, -1);
    append_field(to, "ip protocol ", ip->protocol);
    append_field(to, " fragment id ", ip->identification);
    append_field(to, " ", ip->fragment_offset);
    append_field(to, ":", ip->fragment_offset + size);
    append_field(to, "(", size);
    append_string(to, ip->more_fragments ? ")+" : ")");
}

static void append_payload(struct append *to, const struct ipv4_header *ip, const uint8_t *bytes,
                           size_t size, const struct bases *bases)
{
    switch (ip->protocol) {
    case IPV4_PROTOCOL_TCP:
        append_tcp_segment(to, ip, bytes, size, bases);
        break;
    case IPV4_PROTOCOL_UDP:
        append_udp(to, ip, bytes, size);
        break;
    case IPV4_PROTOCOL_ICMP:
        append_icmp(to, ip, bytes, size);
        break;
    default:
        append_ends(to, ip, -1, -1);
        append_field(to, "ip protocol ", ip->protocol);
        append_field(to, " (", size);
        append_char(to, ')');
    }
}

static const char *ipv4_error_name(int error)
{
    switch (error) {
    case IPV4_TRUNCATED:
        return "truncated";
    case IPV4_BAD_VERSION:
        return "bad version";
    case IPV4_BAD_HEADER_LENGTH:
        return "bad header length";
    default:
        return "bad checksum";
    }
}

static void append_ipv4(struct append *to, const uint8_t *bytes, size_t size,
                        const struct bases *bases)
{
    struct ipv4_header ip;
    int error = ipv4_parse(bytes, size, &ip);
    if (error != 0) {
        append_unreadable(to, "ipv4", ipv4_error_name(error), size);
        return;
    }
    size_t payload_bytes = (size_t)(ip.total_bytes - ip.header_bytes);
    if (ip.more_fragments || ip.fragment_offset > 0)
        append_fragment(to, &ip, payload_bytes);
    else
        append_payload(to, &ip, bytes + ip.header_bytes, payload_bytes, bases);
}

static const char *arp_error_name(int error)
{
    switch (error) {
    case ARP_TRUNCATED:
        return "truncated";
    case ARP_BAD_FORMAT:
        return "bad format";
    default:
        return "bad operation";
    }
}

/* "arp who-has 10.77.0.2 tell 10.77.0.1", "arp reply 10.77.0.2 is-at 02:00:00:00:00:02". */
static void append_arp(struct append *to, const uint8_t *bytes, size_t size)
{
    struct arp_packet arp;
    char mac[MAC_ADDRESS_TEXT_MAX];
    int error = arp_parse(bytes, size, &arp);
    if (error != 0) {
        append_unreadable(to, "arp", arp_error_name(error), size);
    } else if (arp.operation == ARP_REQUEST) {
        append_string(to, "arp who-has ");
        append_v4(to, arp.target_v4);
        append_string(to, " tell ");
        append_v4(to, arp.sender_v4);
    } else {
        append_string(to, "arp reply ");
        append_v4(to, arp.sender_v4);
        append_string(to, " is-at ");
        mac_address_format(&arp.sender_mac, mac);
        append_string(to, mac);
    }
}

size_t text_format_frame(const uint8_t *bytes, size_t size, uint32_t sequence_base,
                         uint32_t ack_base, char *line, size_t capacity)
{
    const struct bases bases = {sequence_base, ack_base};
    struct append to = append_start(line, capacity);
    struct ethernet_header ethernet;
    if (ethernet_parse(bytes, size, &ethernet) != 0) {
        append_unreadable(&to, "ethernet", "truncated", size);
        return to.length;
    }
    bytes += ETHERNET_HEADER_BYTES;
    size -= ETHERNET_HEADER_BYTES;
    if (ethernet.type == ETHERTYPE_IPV4) {
        append_ipv4(&to, bytes, size, &bases);
    } else if (ethernet.type == ETHERTYPE_ARP) {
        append_arp(&to, bytes, size);
    } else {
        append_string(&to, "ethertype 0x");
        append_hex(&to, ethernet.type, 4);
        append_field(&to, " (", size);
        append_char(&to, ')');
    }
    return to.length;
}

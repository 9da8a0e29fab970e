/* ICMP messages (RFC 792). */
#include "icmp.h"

#include "bytes.h"
#include "checksum.h"

int icmp_parse(const uint8_t *bytes, size_t size, struct icmp_header *header)
{
    if (size < ICMP_HEADER_BYTES)
        return ICMP_TRUNCATED;
    if (checksum_finish(checksum_add(0, bytes, size)) != 0)
        return ICMP_BAD_CHECKSUM;
    header->type = bytes[0];
    header->code = bytes[1];
    header->rest = bytes_get32(bytes + 4);
    return 0;
}

size_t icmp_write(const struct icmp_header *header, uint8_t *bytes, size_t body_bytes)
{
    bytes[0] = header->type;
    bytes[1] = header->code;
    bytes_put16(bytes + 2, 0);
    bytes_put32(bytes + 4, header->rest);
    uint32_t sum = checksum_add(0, bytes, ICMP_HEADER_BYTES + body_bytes);
    bytes_put16(bytes + 2, checksum_finish(sum));
    return ICMP_HEADER_BYTES;
}

int icmp_type_is_error(uint8_t type)
{
    return type == ICMP_DESTINATION_UNREACHABLE || type == ICMP_SOURCE_QUENCH ||
           type == ICMP_REDIRECT || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

int icmp_parse_quote(const uint8_t *bytes, size_t size, struct ipv4_header *quoted)
{
    const size_t payload_least = 8;
    if (size < IPV4_HEADER_BYTES || bytes[0] >> 4 != 4)
        return ICMP_TRUNCATED;
    uint16_t fragment = bytes_get16(bytes + 6);
    *quoted = (struct ipv4_header){
        .header_bytes = (uint8_t)((bytes[0] & 0x0f) * 4),
        .tos = bytes[1],
        .ttl = bytes[8],
        .protocol = bytes[9],
        .total_bytes = bytes_get16(bytes + 2),
        .identification = bytes_get16(bytes + 4),
        .fragment_offset = (uint16_t)((fragment & 0x1fff) * 8),
        .more_fragments = (fragment & 0x2000) != 0,
        .dont_fragment = (fragment & 0x4000) != 0,
        .source_v4 = bytes_get32(bytes + 12),
        .destination_v4 = bytes_get32(bytes + 16),
    };
    bool whole = quoted->header_bytes >= IPV4_HEADER_BYTES &&
                 size >= (size_t)quoted->header_bytes + payload_least;
    return whole ? 0 : ICMP_TRUNCATED;
}

const char *icmp_unreachable_name(uint8_t code)
{
    static const char *const names[] = {
        [ICMP_CODE_NET_UNREACHABLE] = "net_unreachable",
        [ICMP_CODE_HOST_UNREACHABLE] = "host_unreachable",
        [ICMP_CODE_PROTOCOL_UNREACHABLE] = "protocol_unreachable",
        [ICMP_CODE_PORT_UNREACHABLE] = "port_unreachable",
        [ICMP_CODE_FRAGMENTATION_NEEDED] = "frag_needed",
        [ICMP_CODE_SOURCE_ROUTE_FAILED] = "source_route_failed",
        [ICMP_CODE_NET_UNKNOWN] = "net_unknown",
        [ICMP_CODE_HOST_UNKNOWN] = "host_unknown",
        [ICMP_CODE_HOST_ISOLATED] = "source_host_isolated",
        [ICMP_CODE_NET_PROHIBITED] = "net_prohibited",
        [ICMP_CODE_HOST_PROHIBITED] = "host_prohibited",
        [ICMP_CODE_NET_UNREACHABLE_FOR_TOS] = "net_unreachable_for_tos",
        [ICMP_CODE_HOST_UNREACHABLE_FOR_TOS] = "host_unreachable_for_tos",
        [ICMP_CODE_PROHIBITED] = "admin_prohibited",
        [ICMP_CODE_PRECEDENCE_VIOLATION] = "precedence_violation",
        [ICMP_CODE_PRECEDENCE_CUTOFF] = "precedence_cutoff",
    };
    return code < sizeof names / sizeof names[0] ? names[code] : NULL;
}

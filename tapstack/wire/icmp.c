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

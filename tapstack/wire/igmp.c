/* IGMP messages (RFC 2236; of RFC 3376 the query). */
#include "igmp.h"

#include "bytes.h"
#include "checksum.h"

enum {
    RESPONSE_UNIT_US = 100000, /* RFC 2236, 2.2 */
    RESPONSE_V1 = 100,         /* what a query of version 1, which says 0, means (RFC 2236, 4) */
};

/* From 128 on a floating-point number: 1, three bits of exponent, four of mantissa (RFC 3376,
   4.1.1). */
static uint32_t response_units(uint8_t code, size_t size)
{
    if (code == 0)
        return RESPONSE_V1;
    if (size < IGMP_QUERY_V3_BYTES || code < 128)
        return code;
    return ((code & 15U) + 16U) << ((code >> 4 & 7U) + 3U);
}

int igmp_parse(const uint8_t *bytes, size_t size, struct igmp_header *header)
{
    if (size < IGMP_BYTES)
        return IGMP_TRUNCATED;
    if (checksum_finish(checksum_add(0, bytes, size)) != 0)
        return IGMP_BAD_CHECKSUM;
    header->type = bytes[0];
    header->response_us = response_units(bytes[1], size) * RESPONSE_UNIT_US;
    header->group_v4 = bytes_get32(bytes + 4);
    return 0;
}

size_t igmp_write(const struct igmp_header *header, uint8_t *bytes)
{
    bytes[0] = header->type;
    bytes[1] = 0;
    bytes_put16(bytes + 2, 0);
    bytes_put32(bytes + 4, header->group_v4);
    bytes_put16(bytes + 2, checksum_finish(checksum_add(0, bytes, IGMP_BYTES)));
    return IGMP_BYTES;
}

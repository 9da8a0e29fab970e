/* IGMP messages (RFC 2236, RFC 3376). */
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
        return size < IGMP_QUERY_V3_BYTES ? RESPONSE_V1 : 1;
    if (size < IGMP_QUERY_V3_BYTES || code < 128)
        return code;
    return ((code & 15U) + 16U) << ((code >> 4 & 7U) + 3U);
}

static uint8_t query_version(uint8_t code, size_t size)
{
    if (size >= IGMP_QUERY_V3_BYTES)
        return 3;
    return code == 0 ? 1 : 2;
}

int igmp_parse(const uint8_t *bytes, size_t size, struct igmp_header *header)
{
    if (size < IGMP_BYTES)
        return IGMP_TRUNCATED;
    if (checksum_finish(checksum_add(0, bytes, size)) != 0)
        return IGMP_BAD_CHECKSUM;
    if (bytes[0] == IGMP_QUERY && size > IGMP_BYTES && size < IGMP_QUERY_V3_BYTES)
        return IGMP_BAD_LENGTH;
    header->type = bytes[0];
    header->version = query_version(bytes[1], size);
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

size_t igmp_write_record(enum igmp_record record, uint32_t group_v4, uint8_t *bytes)
{
    memset(bytes, 0, IGMP_REPORT_V3_BYTES);
    bytes[0] = IGMP_REPORT_V3;
    bytes_put16(bytes + 6, 1);
    bytes[8] = (uint8_t)record;
    bytes_put32(bytes + 12, group_v4);
    bytes_put16(bytes + 2, checksum_finish(checksum_add(0, bytes, IGMP_REPORT_V3_BYTES)));
    return IGMP_REPORT_V3_BYTES;
}

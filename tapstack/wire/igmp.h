/* IGMP messages (RFC 2236; of RFC 3376 the query). */
#ifndef TAPSTACK_WIRE_IGMP_H
#define TAPSTACK_WIRE_IGMP_H

#include <stddef.h>
#include <stdint.h>

enum {
    IGMP_BYTES = 8,
    IGMP_QUERY_V3_BYTES = 12, /* from this size on a query is one of RFC 3376 */
    IGMP_QUERY = 0x11,
    IGMP_REPORT_V1 = 0x12,
    IGMP_REPORT_V2 = 0x16,
    IGMP_LEAVE = 0x17,
};

enum igmp_error {
    IGMP_TRUNCATED = -1, /* fewer than 8 bytes */
    IGMP_BAD_CHECKSUM = -2,
};

struct igmp_header {
    uint8_t type;
    uint32_t response_us; /* of a query: answer within this time */
    uint32_t group_v4;    /* 0: all groups */
};

/* Reads a message of size bytes and checks the sum over all of them. Returns 0 or one of enum
   igmp_error. */
int igmp_parse(const uint8_t *bytes, size_t size, struct igmp_header *header);

/* Writes a report or leave of 8 bytes, summed. Returns IGMP_BYTES. */
size_t igmp_write(const struct igmp_header *header, uint8_t *bytes);

#endif

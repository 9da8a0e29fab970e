/* IGMP messages (RFC 2236, RFC 3376). */
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
    IGMP_REPORT_V3 = 0x22,
    IGMP_REPORT_V3_BYTES = 16, /* of a report with one record that names no source */
};

/* What a record of a report says of a group (RFC 3376, 4.2.12). EXCLUDE without sources: all of them
   are wanted; INCLUDE without sources: none is. */
enum igmp_record {
    IGMP_MODE_IS_EXCLUDE = 2,
    IGMP_CHANGE_TO_INCLUDE = 3,
    IGMP_CHANGE_TO_EXCLUDE = 4,
};

enum igmp_error {
    IGMP_TRUNCATED = -1, /* fewer than 8 bytes */
    IGMP_BAD_CHECKSUM = -2,
    IGMP_BAD_LENGTH = -3, /* a query of no version: 9 to 11 bytes (RFC 3376, 7.1) */
};

struct igmp_header {
    uint8_t type;
    uint8_t version;      /* of a query: 1, 2 or 3 (RFC 3376, 7.1) */
    uint32_t response_us; /* of a query: answer within this time */
    uint32_t group_v4;    /* 0: all groups */
};

/* Reads a message of size bytes and checks the sum over all of them. Returns 0 or one of enum
   igmp_error. */
int igmp_parse(const uint8_t *bytes, size_t size, struct igmp_header *header);

/* Writes a report or leave of versions 1 and 2, summed. Returns IGMP_BYTES. */
size_t igmp_write(const struct igmp_header *header, uint8_t *bytes);

/* Writes a report of version 3 with one record, summed. Returns IGMP_REPORT_V3_BYTES. */
size_t igmp_write_record(enum igmp_record record, uint32_t group_v4, uint8_t *bytes);

#endif

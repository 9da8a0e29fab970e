/* ICMP messages (RFC 792). */
#ifndef TAPSTACK_WIRE_ICMP_H
#define TAPSTACK_WIRE_ICMP_H

#include <stddef.h>
#include <stdint.h>

enum {
    ICMP_HEADER_BYTES = 8,
    ICMP_ECHO_REPLY = 0,
    ICMP_DESTINATION_UNREACHABLE = 3,
    ICMP_SOURCE_QUENCH = 4,
    ICMP_REDIRECT = 5,
    ICMP_ECHO_REQUEST = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER_PROBLEM = 12,
    ICMP_CODE_NET_UNREACHABLE = 0,
    ICMP_CODE_HOST_UNREACHABLE = 1,
    ICMP_CODE_PROTOCOL_UNREACHABLE = 2,
    ICMP_CODE_PORT_UNREACHABLE = 3,
    ICMP_CODE_FRAGMENTATION_NEEDED = 4,
    ICMP_CODE_SOURCE_ROUTE_FAILED = 5,
};

enum icmp_error {
    ICMP_TRUNCATED = -1, /* fewer than 8 bytes */
    ICMP_BAD_CHECKSUM = -2,
};

struct icmp_header {
    uint8_t type;
    uint8_t code;
    uint32_t rest; /* the second word: identifier and sequence, unused and next-hop MTU, ... */
};

/* Reads the header and checks the sum over all size bytes. Returns 0 or one of enum icmp_error. */
int icmp_parse(const uint8_t *bytes, size_t size, struct icmp_header *header);

/* Writes the header in front of a body that already stands at bytes + 8, and sums both.
   body_bytes: of the body. Returns ICMP_HEADER_BYTES. */
size_t icmp_write(const struct icmp_header *header, uint8_t *bytes, size_t body_bytes);

/* Is this type an error message, which must never be answered with another (RFC 1122, 3.2.2)? */
int icmp_type_is_error(uint8_t type);

#endif

/* ICMP messages (RFC 792). */
#ifndef TAPSTACK_WIRE_ICMP_H
#define TAPSTACK_WIRE_ICMP_H

#include <stddef.h>
#include <stdint.h>

#include "ipv4.h"

enum {
    ICMP_HEADER_BYTES = 8,
    ICMP_ECHO_REPLY = 0,
    ICMP_DESTINATION_UNREACHABLE = 3,
    ICMP_SOURCE_QUENCH = 4,
    ICMP_REDIRECT = 5,
    ICMP_ECHO_REQUEST = 8,
    ICMP_ROUTER_ADVERTISEMENT = 9,
    ICMP_ROUTER_SOLICITATION = 10,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER_PROBLEM = 12,
    ICMP_TIMESTAMP_REQUEST = 13,
    ICMP_TIMESTAMP_REPLY = 14,
    ICMP_INFORMATION_REQUEST = 15,
    ICMP_INFORMATION_REPLY = 16,
    ICMP_ADDRESS_MASK_REQUEST = 17,
    ICMP_ADDRESS_MASK_REPLY = 18,
    ICMP_TIMESTAMP_BYTES = 12, /* of the three times behind the header */
};

/* Codes of ICMP_DESTINATION_UNREACHABLE (RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1). */
enum {
    ICMP_CODE_NET_UNREACHABLE = 0,
    ICMP_CODE_HOST_UNREACHABLE = 1,
    ICMP_CODE_PROTOCOL_UNREACHABLE = 2,
    ICMP_CODE_PORT_UNREACHABLE = 3,
    ICMP_CODE_FRAGMENTATION_NEEDED = 4,
    ICMP_CODE_SOURCE_ROUTE_FAILED = 5,
    ICMP_CODE_NET_UNKNOWN = 6,
    ICMP_CODE_HOST_UNKNOWN = 7,
    ICMP_CODE_HOST_ISOLATED = 8,
    ICMP_CODE_NET_PROHIBITED = 9,
    ICMP_CODE_HOST_PROHIBITED = 10,
    ICMP_CODE_NET_UNREACHABLE_FOR_TOS = 11,
    ICMP_CODE_HOST_UNREACHABLE_FOR_TOS = 12,
    ICMP_CODE_PROHIBITED = 13,
    ICMP_CODE_PRECEDENCE_VIOLATION = 14,
    ICMP_CODE_PRECEDENCE_CUTOFF = 15,
};

/* Codes of the other errors. */
enum {
    ICMP_CODE_TTL_EXCEEDED = 0,        /* in transit */
    ICMP_CODE_REASSEMBLY_EXCEEDED = 1, /* fragments were missing for too long */
    ICMP_CODE_POINTER = 0,             /* the parameter at the pointer (upper octet of rest) */
    ICMP_CODE_MISSING_OPTION = 1,      /* RFC 1108 */
    ICMP_CODE_REDIRECT_NET = 0,
    ICMP_CODE_REDIRECT_HOST = 1,
    ICMP_CODE_REDIRECT_NET_FOR_TOS = 2,
    ICMP_CODE_REDIRECT_HOST_FOR_TOS = 3,
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

/* Reads the IP header that an error quotes. Neither its length nor its checksum can be checked: the
   quote is cut, and routers have changed it. Returns 0, or ICMP_TRUNCATED when the header and the
   eight octets behind it, which every error quotes (RFC 792), are not there. */
int icmp_parse_quote(const uint8_t *bytes, size_t size, struct ipv4_header *quoted);

/* Is this type an error message, which must never be answered with another (RFC 1122, 3.2.2)? */
int icmp_type_is_error(uint8_t type);

/* "host_unreachable", "frag_needed", ... for a code of ICMP_DESTINATION_UNREACHABLE; NULL: none. */
const char *icmp_unreachable_name(uint8_t code);

#endif

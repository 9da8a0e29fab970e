/* The IPv4 header (RFC 791). */
#ifndef TAPSTACK_WIRE_IPV4_H
#define TAPSTACK_WIRE_IPV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

enum {
    IPV4_HEADER_BYTES = 20, /* without options */
    IPV4_HEADER_MAX = 60,
    IPV4_PROTOCOL_ICMP = 1,
    IPV4_PROTOCOL_IGMP = 2,
    IPV4_PROTOCOL_TCP = 6,
    IPV4_PROTOCOL_UDP = 17,
};

enum ipv4_error {
    IPV4_TRUNCATED = -1,         /* fewer bytes than a header, or than the total length says */
    IPV4_BAD_VERSION = -2,       /* not 4 */
    IPV4_BAD_HEADER_LENGTH = -3, /* IHL below 5 */
    IPV4_BAD_CHECKSUM = -4,
    IPV4_BAD_TOTAL_LENGTH = -5, /* less than the header */
};

struct ipv4_header {
    uint8_t header_bytes; /* with options, 20..60 */
    uint8_t tos;          /* Diffserv and ECN (RFC 2474, RFC 3168) */
    uint8_t ttl;
    uint8_t protocol;
    uint16_t total_bytes; /* header and payload */
    uint16_t identification;
    uint16_t fragment_offset; /* in bytes */
    bool more_fragments;
    bool dont_fragment;
    uint32_t source_v4;      /* host order */
    uint32_t destination_v4; /* host order */
};

/* Reads and checks a header: version, lengths, checksum (RFC 1122, 3.2.1). Bytes behind the total
   length are not the datagram's. Returns 0 or one of enum ipv4_error. */
int ipv4_parse(const uint8_t *bytes, size_t size, struct ipv4_header *header);

/* Writes a header without options (header_bytes is taken as 20) with its checksum.
   Returns IPV4_HEADER_BYTES. */
size_t ipv4_write(const struct ipv4_header *header, uint8_t *bytes);

/* Sums a whole header anew, options included, after something in it was changed. */
void ipv4_write_checksum(uint8_t *bytes);

/* Takes one from the time to live, and corrects the checksum by what that changes (RFC 1624,
   eqn. 3). The TTL must be at least 1. */
void ipv4_decrement_ttl(uint8_t *bytes);

#endif

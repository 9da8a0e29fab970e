/* The UDP header (RFC 768). */
#ifndef TAPSTACK_WIRE_UDP_H
#define TAPSTACK_WIRE_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"

enum { UDP_HEADER_BYTES = 8 };

enum udp_error {
    UDP_TRUNCATED = -1,  /* fewer than 8 bytes */
    UDP_BAD_LENGTH = -2, /* length field below 8 or beyond the IP payload */
    UDP_BAD_CHECKSUM = -3,
};

struct udp_header {
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t length; /* header and payload, bytes */
};

/* Reads the header of an IP payload of size bytes. Returns 0 or one of enum udp_error;
   the checksum is udp_verify's. */
int udp_parse(const uint8_t *bytes, size_t size, struct udp_header *header);

/* Checks the sum over the length that the header names; a zero field passes (RFC 768).
   Returns 0 or UDP_BAD_CHECKSUM. */
int udp_verify(const uint8_t *bytes, const struct udp_header *header,
               const struct ip_address *source, const struct ip_address *destination);

/* Writes the header with a zero checksum: none was made. Returns UDP_HEADER_BYTES. */
size_t udp_write(const struct udp_header *header, uint8_t *bytes);

/* Fills in the checksum over header and payload as they stand; one that comes out as zero is sent as
   ffff (RFC 768). */
void udp_sum(uint8_t *bytes, const struct udp_header *header, const struct ip_address *source,
             const struct ip_address *destination);

#endif

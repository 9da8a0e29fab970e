/* The TCP header and its options (RFC 9293, 3.1 and 3.2; RFC 7323; RFC 2018). */
#ifndef TAPSTACK_WIRE_TCP_H
#define TAPSTACK_WIRE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

enum {
    TCP_HEADER_BYTES = 20, /* without options */
    TCP_HEADER_MAX = 60,
    TCP_SACK_BLOCKS_MAX = 4,
    TCP_MSS_DEFAULT = 536,     /* assumed without the option: RFC 9293 3.7.1, MUST-15 */
    TCP_WINDOW_SCALE_MAX = 14, /* RFC 7323, 2.3 */
};

enum tcp_flags {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
};

enum tcp_error {
    TCP_TRUNCATED = -1,       /* fewer than 20 bytes */
    TCP_BAD_DATA_OFFSET = -2, /* below 5, or beyond the segment */
    TCP_BAD_CHECKSUM = -3,
};

/* Which options a header holds; tcp_header.options_present. */
enum tcp_options_present {
    TCP_OPTION_MSS = 1,
    TCP_OPTION_WINDOW_SCALE = 2,
    TCP_OPTION_SACK_PERMITTED = 4,
    TCP_OPTION_TIMESTAMPS = 8,
    TCP_OPTION_SACK = 16,
    /* An option whose length is illegal (RFC 9293 3.1, MUST-7). It was passed over, or, where its
       length leads nowhere (0, 1 or beyond the header), nothing from it on was read. */
    TCP_OPTION_MALFORMED = 32,
};

struct tcp_sack_block {
    uint32_t left;  /* first sequence number of the block */
    uint32_t right; /* the one behind its last */
};

struct tcp_header {
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t sequence;
    uint32_t acknowledgment;
    uint16_t window; /* as on the wire, unscaled */
    uint16_t urgent_pointer;
    uint8_t flags;        /* of enum tcp_flags */
    uint8_t header_bytes; /* 20..60; tcp_write sets it */
    uint8_t options_present;
    uint8_t window_scale; /* as received, may exceed 14 */
    uint16_t mss;         /* bytes */
    uint8_t sack_count;   /* 0..4 */
    uint32_t timestamp_value;
    uint32_t timestamp_echo;
    struct tcp_sack_block sack[TCP_SACK_BLOCKS_MAX];
};

/* Reads header and options of a segment of size bytes. Unknown options are skipped by their length
   (MUST-6); options may start anywhere (MUST-64) and stand in any segment (MUST-5). MSS, window
   scale and SACK-permitted count only in a SYN. Returns 0 or one of enum tcp_error; the checksum is
   tcp_verify's. */
int tcp_parse(const uint8_t *bytes, size_t size, struct tcp_header *header);

/* Checks the sum of a segment of size bytes. Returns 0 or TCP_BAD_CHECKSUM. */
int tcp_verify(const uint8_t *bytes, size_t size, const struct ip_address *source,
               const struct ip_address *destination);

/* Writes header and options, the checksum field zero, options laid out as Linux does:
   SYN: `mss`, `sackOK,TS` packed in 12 bytes (or `nop,nop,TS`, or `nop,nop,sackOK`), `nop,wscale`;
   other segments: `nop,nop,TS`, then `nop,nop,sack` with as many blocks as fit (3 beside TS).
   bytes: room for TCP_HEADER_MAX. Returns the header's bytes and stores them in header_bytes. */
size_t tcp_write(struct tcp_header *header, uint8_t *bytes);

#endif

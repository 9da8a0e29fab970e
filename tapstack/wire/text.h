/* One frame as one line of text, in packetdrill's notation. */
#ifndef TAPSTACK_WIRE_TEXT_H
#define TAPSTACK_WIRE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "tcp.h"

enum { TEXT_LINE_MAX = 320 };

/* Writes the line of a frame (Ethernet header first, one contiguous piece), without newline, with
   its NUL. TCP: `10.77.0.1:40000 > 10.77.0.2:80 S 1234:1234(0) win 64240 <mss 1460,sackOK,...>`;
   ARP, ICMP and UDP likewise; what cannot be read is named (`ipv4, bad checksum, 60 bytes`).
   line: room for capacity bytes, at least 1; the text is cut to fit. sequence_base, ack_base: taken
   off sequence and acknowledgment numbers (0: absolute). Returns the length without the NUL. */
size_t text_format_frame(const uint8_t *bytes, size_t size, uint32_t sequence_base,
                         uint32_t ack_base, char *line, size_t capacity);

/* The TCP part alone: `S 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 8>`.
   payload_bytes: of the segment. Flags as packetdrill writes them: `FSRP.UEW`, `-` for none. */
size_t text_format_tcp(const struct tcp_header *header, size_t payload_bytes,
                       uint32_t sequence_base, uint32_t ack_base, char *line, size_t capacity);

#endif

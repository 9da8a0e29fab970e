/* Which frames a rule is for: what a frame says in its headers, held against conditions. */
#ifndef TAPSTACK_LINK_MATCH_H
#define TAPSTACK_LINK_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a wire frame says. Lengths and checksums are not verified: a rule may be about damaged
   frames too. A frame too short for a header has none of it. */
struct match_view {
    uint32_t size; /* bytes, without FCS */
    uint16_t ethertype;
    bool is_ipv4;
    bool has_ports; /* TCP or UDP, the datagram's first fragment */
    bool is_tcp;    /* with a whole TCP header */
    uint8_t protocol;
    uint8_t tcp_flags;
    uint8_t ip_offset; /* of the IPv4 header in the frame */
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t source_v4;
    uint32_t destination_v4;
    uint32_t sequence;
    uint32_t payload_bytes; /* of TCP */
};

/* size: bytes without FCS. */
void match_look(struct match_view *view, const uint8_t *bytes, size_t size);

/* What a match may ask; match.asks. A match that asks nothing is for every frame. */
enum match_asks {
    MATCH_ETHERTYPE = 1,
    MATCH_PROTOCOL = 2,
    MATCH_FLAGS = 4,
    MATCH_LENGTH = 8,
    MATCH_NTH = 16,      /* only the n-th frame of those that fit otherwise */
    MATCH_EVERY = 32,    /* of those that fit otherwise, each n-th */
    MATCH_SEQUENCE = 64, /* TCP segments that hold this byte of the stream */
    MATCH_RAW_NUMBER =
        128, /* sequence is a number as on the wire, not one counted from the SYN's */
};

enum match_place { MATCH_SOURCE, MATCH_DESTINATION, MATCH_EITHER, MATCH_PLACES };

struct match_network {
    uint32_t v4;
    uint8_t prefix_bits; /* 1..32; 0: not asked */
};

struct match_ports {
    uint16_t first; /* 0: not asked */
    uint16_t last;
};

struct match {
    uint32_t asks; /* of enum match_asks */
    uint16_t ethertype;
    uint8_t protocol;
    uint8_t flags; /* these are set; of SYN, FIN, RST and ACK the others are not */
    struct match_network network[MATCH_PLACES];
    struct match_ports ports[MATCH_PLACES];
    uint32_t length_first; /* bytes of the frame, without FCS */
    uint32_t length_last;
    uint64_t nth;      /* from 1; of MATCH_NTH or MATCH_EVERY */
    uint32_t sequence; /* the SYN's is 0, the first byte's 1 */
};

/* What a match remembers of the frames that it has seen. Starts as zero. */
struct match_memory {
    uint64_t seen; /* that fit but for their number */
    bool knows_connection;
    uint16_t source_port, destination_port;
    uint32_t source_v4, destination_v4;
    uint32_t initial_sequence;
};

/* Is the frame one of these? A relative sequence number is that of the first connection whose SYN
   passes (and that fits otherwise). */
bool match_frame(const struct match *match, struct match_memory *memory,
                 const struct match_view *view);

#endif

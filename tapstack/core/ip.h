/* IPv4: checks what comes in and hands it to its protocol; heads and routes what goes out. */
#ifndef TAPSTACK_CORE_IP_H
#define TAPSTACK_CORE_IP_H

#include "../wire/ipv4.h"
#include "stack.h"

/* A datagram arrived: packet = what the protocols need of it. */
struct ip_datagram {
    const struct frame *frame; /* the whole, for its flags */
    struct ipv4_header header;
    const uint8_t *packet; /* the IP header's first byte */
    const uint8_t *payload;
    size_t payload_bytes;
    struct ip_address source;
    struct ip_address destination;
    bool to_group; /* link-layer or IP destination is broadcast or multicast */
};

/* bytes: from the IP header on; size may include padding. to_group: the frame came to a group MAC.
   Returns 0, or -1 when it was dropped. */
int ip_input(struct stack *stack, const struct frame *frame, const uint8_t *bytes, size_t size,
             bool to_group, uint64_t now_us);

struct ip_send {
    uint32_t source_v4;
    uint32_t destination_v4;
    uint8_t protocol;
    uint8_t ttl;
    uint8_t tos;
    bool dont_fragment;
    uint16_t identification; /* 0 with dont_fragment: atomic, RFC 6864 4.1 */
};

/* Where the payload of a frame built for ip_output starts: behind Ethernet and IP header. */
enum { IP_PAYLOAD_OFFSET = 14 + IPV4_HEADER_BYTES };

/* Heads a frame whose piece[0] starts with IP_PAYLOAD_OFFSET bytes of room for the Ethernet and IP
   headers, routes it and resolves its next hop. Returns 1: it may leave now; 0: it waits (a copy)
   for its neighbor; -1: dropped and counted. header: the memory piece[0] points to, writable. */
int ip_output(struct stack *stack, struct frame *frame, uint8_t *header, const struct ip_send *send,
              uint64_t now_us);

/* The next hop of this frame, which ip_output had queued, does not answer: its protocol is told. */
void ip_undeliverable(struct stack *stack, const struct frame *frame, uint64_t now_us);

/* Is this an address of ours? */
bool ip_is_local(const struct stack *stack, uint32_t v4);

/* Is it a broadcast address: limited, or of a connected network (RFC 1122, 3.2.1.3)? */
bool ip_is_broadcast(const struct stack *stack, uint32_t v4);

/* The source address and interface for a destination (MUST-44), or STACK_NO_ROUTE. */
int ip_choose_source(const struct stack *stack, uint32_t destination_v4, uint32_t *source_v4,
                     unsigned *interface);

#endif

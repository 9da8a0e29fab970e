/* IPv4: checks what comes in and hands it to its protocol or onward; heads and routes what goes
   out. */
#ifndef TAPSTACK_CORE_IP_H
#define TAPSTACK_CORE_IP_H

#include "../wire/ipv4.h"
#include "../wire/ipv4_option.h"
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
    struct ipv4_options options; /* all zero: none that mean anything */
    bool to_group;               /* link-layer or IP destination is broadcast or multicast */
};

/* bytes: from the IP header on; size may include padding. to_group: the frame came to a group MAC.
   Returns 0, or -1 when it was dropped. */
int ip_input(struct stack *stack, const struct frame *frame, const uint8_t *bytes, size_t size,
             bool to_group, uint64_t now_us);

/* A datagram for this host is complete: hands it to its protocol (stage S23). Returns as
   ip_input. */
int ip_deliver(struct stack *stack, struct ip_datagram *datagram, uint64_t now_us);

struct ip_send {
    uint32_t source_v4;
    uint32_t destination_v4;
    uint8_t protocol;
    uint8_t ttl;
    uint8_t tos;
    bool dont_fragment;
    uint16_t identification; /* 0 with dont_fragment, else of ip_identification */
    uint16_t by_interface;   /* 0: as the routes say; else this interface's index plus one */
    bool to_group;           /* the destination may be a broadcast or multicast address */
    uint8_t option_bytes;    /* a multiple of four, at most IPV4_OPTIONS_MAX */
    const uint8_t *options;  /* as they shall stand in the header; NULL with option_bytes 0 */
};

/* Where the payload of a frame built for ip_output starts: behind Ethernet and IP header; with
   options, option_bytes later. */
enum { IP_PAYLOAD_OFFSET = 14 + IPV4_HEADER_BYTES };

/* Heads a frame whose piece[0] starts with IP_PAYLOAD_OFFSET bytes (and room for the options) for
   the Ethernet and IP headers, routes it and sends it to its next hop. Returns 1: it may leave now;
   0: it waits (a copy) for its neighbor; -1: dropped and counted. header: the memory piece[0]
   points to, writable. */
int ip_output(struct stack *stack, struct frame *frame, uint8_t *header, const struct ip_send *send,
              uint64_t now_us);

struct route;

/* Where a datagram goes next. */
struct ip_hop {
    uint32_t v4; /* the neighbor, or the group itself */
    uint16_t interface;
    bool group; /* broadcast or multicast: nobody has to be asked for its MAC */
};

/* The route that a datagram to a destination takes, or NULL: of the longest prefix the best one
   whose gateway answers (RFC 1122, 3.3.1.4; RFC 4861, 6.3.6). by_interface: as in struct ip_send. */
const struct route *ip_find_route(const struct stack *stack, uint32_t destination_v4,
                                  unsigned by_interface);

/* The way to a destination that is neither ours nor a group. Returns 0 or STACK_NO_ROUTE. */
int ip_find_hop(const struct stack *stack, uint32_t destination_v4, unsigned by_interface,
                struct ip_hop *hop);

/* The end of every way out, of our own datagrams and of forwarded ones: a frame whose headers are
   written but for the Ethernet addresses goes to its next hop. Returns as ip_output. */
int ip_transmit(struct stack *stack, struct frame *frame, uint8_t *header, const struct ip_hop *hop,
                uint64_t now_us);

/* The Identification of the next datagram that may be fragmented: a count of its own for each
   source, destination and protocol, from a start that nobody can guess (RFC 6864, 4; RFC 7739). */
uint16_t ip_identification(struct stack *stack, uint32_t source_v4, uint32_t destination_v4,
                           uint8_t protocol);

/* The same for messages of which there are few. One that hardly any link would cut gets a random
   number, which tells nobody how much we send to others; a larger one must not get one twice. */
uint16_t ip_message_identification(struct stack *stack, uint32_t source_v4, uint32_t destination_v4,
                                   uint8_t protocol, size_t ip_bytes);

/* The next hop of this frame, which ip_transmit had queued or refused, does not answer: its protocol is told,
   or who sent it to us. */
void ip_undeliverable(struct stack *stack, const struct frame *frame, uint64_t now_us);

/* Is this an address of ours? */
bool ip_is_local(const struct stack *stack, uint32_t v4);

/* Is it a broadcast address: limited, or of a connected network (RFC 1122, 3.2.1.3)? */
bool ip_is_broadcast(const struct stack *stack, uint32_t v4);

/* Is it a broadcast or multicast address? */
bool ip_is_group(const struct stack *stack, uint32_t v4);

/* Have we joined this multicast group on this interface? */
bool ip_is_joined(const struct stack *stack, unsigned interface, uint32_t group_v4);

/* The source address and interface for a destination (MUST-44): of the interface that the routes
   name, its address on the next hop's network, else its primary one. Or STACK_NO_ROUTE. */
int ip_choose_source(const struct stack *stack, uint32_t destination_v4, uint32_t *source_v4,
                     unsigned *interface);

#endif

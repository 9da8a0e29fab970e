/* The neighbor cache (ARP): IPv4 address to MAC address, and the frames that wait for one.

   States and their names are those of RFC 4861, 7.3.2. An entry is made when we have something to
   send, or when somebody asks for us; nothing else creates one (no learning from strangers). What
   the packets of a neighbor say of it is believed as neighbor.c's opening tells. */
#ifndef TAPSTACK_CORE_NEIGHBOR_H
#define TAPSTACK_CORE_NEIGHBOR_H

#include <stdint.h>

#include "../wire/arp.h"
#include "../wire/ethernet.h"
#include "neighbor_table.h"

/* Resolves the next hop of a frame whose Ethernet header is written but for the destination.
   destination: where the destination belongs, the frame's first six bytes. Known: fills in the
   destination and returns 1. Not known: the frame is copied into the neighbor's queue (oldest
   dropped when full), a request goes out, returns 0. Failed or no room: the frame is dropped and
   counted, returns -1. */
int neighbor_resolve(struct stack *stack, const struct frame *frame, uint8_t *destination,
                     uint32_t next_hop, uint64_t now_us);

/* An ARP packet came in (bytes behind the Ethernet header). Returns 0, or -1 when it was
   dropped. */
int neighbor_input(struct stack *stack, unsigned interface, const struct ethernet_header *ethernet,
                   const uint8_t *bytes, size_t size, uint64_t now_us);

/* TCP has seen progress: the neighbor is alive (RFC 4861, 7.3.1). */
void neighbor_confirm(struct stack *stack, unsigned interface, uint32_t next_hop, uint64_t now_us);

/* The timer of an entry fired: next request, failure, going stale, or being forgotten. */
void neighbor_timer(struct stack *stack, struct neighbor *neighbor, uint64_t now_us);

/* Can so many frames be sent to this next hop, one behind the other, without the last pushing the
   first out of its queue? Where not, it is asked for, so that the next attempt finds it known. */
bool neighbor_has_room(struct stack *stack, unsigned interface, uint32_t next_hop, size_t frames,
                       uint64_t now_us);

/* Has it just been asked for without an answer, so that frames to it are dropped? */
bool neighbor_has_failed(const struct stack *stack, unsigned interface, uint32_t v4);

/* Has it failed, or been asked more than once and not answered yet? */
bool neighbor_is_silent(const struct stack *stack, unsigned interface, uint32_t v4);

/* Is its MAC known? */
bool neighbor_is_known(const struct neighbor *neighbor);

/* Asks for it now: by unicast when its MAC is known, else everybody. Not for one set by hand. */
void neighbor_ask(struct stack *stack, struct neighbor *neighbor, uint64_t now_us);

/* Sends what has waited for its MAC. */
void neighbor_release_queue(struct stack *stack, struct neighbor *neighbor);

/* Queues an ARP packet from our MAC on an interface, padded to Ethernet's least size, and counts
   it. */
void neighbor_send_arp(struct stack *stack, unsigned interface, const struct arp_packet *arp,
                       const struct mac_address *destination, uint64_t now_us);

#endif

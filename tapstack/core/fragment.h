/* Fragmentation: a datagram larger than the MTU leaves in pieces. */
#ifndef TAPSTACK_CORE_FRAGMENT_H
#define TAPSTACK_CORE_FRAGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "../wire/frame.h"

struct ip_hop;
struct stack;

/* Sends a datagram in fragments of at most mtu_bytes (RFC 791, 3.2; RFC 1812, 4.2.2.7), all of them
   or none. frame: as ip_output or a router has headed it, with the Ethernet and the whole IP header
   in piece[0], the Ethernet addresses still open, frame->interface that by which it leaves; a
   checksum that was left to the device is filled in. It may be a fragment itself. The caller has
   seen that it is larger than the MTU, may be fragmented, and is no super-frame. The frame is not
   needed after the call.
   Returns 0: the fragments are queued; -1: dropped and counted. */
int fragment_output(struct stack *stack, const struct frame *frame, size_t mtu_bytes,
                    const struct ip_hop *hop, uint64_t now_us);

#endif

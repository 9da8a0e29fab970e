/* Explicit Congestion Notification as a router does it (RFC 3168, 5). */
#ifndef TAPSTACK_LINK_MARK_H
#define TAPSTACK_LINK_MARK_H

#include <stdbool.h>

#include "frame_store.h"

/* Sets Congestion Experienced where the sender said that it understands it, header checksum (RFC
   1624) and FCS going along. Returns false for a frame that cannot carry the mark: not IPv4, not
   ECN-capable, or damaged already. */
bool mark_congestion(struct cable_frame *frame);

#endif

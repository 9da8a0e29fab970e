/* Packets that have to wait: replies, and frames for a neighbor that is not resolved yet. */
#ifndef TAPSTACK_CORE_PACKET_H
#define TAPSTACK_CORE_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "../wire/frame.h"
#include "pool.h"

enum { PACKET_QUEUE_MAX = 1024 }; /* replies that may wait to be pulled; more are dropped */

/* A frame with its bytes behind it in one block of the pool; frame.piece[0] points to them. */
struct packet {
    struct packet *next;
    size_t capacity; /* of bytes */
    uint64_t queued_at;
    struct frame frame;
    uint8_t bytes[];
};

struct packet_queue {
    struct packet *first;
    struct packet *last;
    uint32_t count;
};

/* A packet with room for size bytes, its frame cleared but for piece[0] = {bytes, size}; NULL
   without memory. */
struct packet *packet_create(struct pool *pool, size_t size);

/* A copy of a whole frame (all pieces, offload fields kept). */
struct packet *packet_copy(struct pool *pool, const struct frame *frame);

void packet_destroy(struct pool *pool, struct packet *packet);

void packet_queue_push(struct packet_queue *queue, struct packet *packet);
struct packet *packet_queue_pop(struct packet_queue *queue); /* NULL: empty */
void packet_queue_clear(struct packet_queue *queue, struct pool *pool);

#endif

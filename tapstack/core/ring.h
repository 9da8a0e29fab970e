/* A byte ring that grows: the send and the receive buffer of a connection.

   It holds `used` bytes in order from `head` on; bytes may also be written beyond them, with a gap,
   for data that came out of order (`ring_write_at`), and count once ring_append moves over them.
   Memory is a power of two from the pool; an empty ring can hold none at all. */
#ifndef TAPSTACK_CORE_RING_H
#define TAPSTACK_CORE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "../wire/frame.h"
#include "pool.h"

struct ring {
    uint8_t *data;     /* NULL: no memory held */
    uint32_t capacity; /* bytes, a power of two, or 0 */
    uint32_t head;     /* index of the first byte in use */
    uint32_t used;     /* bytes in use */
};

/* Makes room for `wanted` bytes counted from head (in use, gaps and new ones together): grows,
   keeping the first `kept` bytes from head. kept >= used. Returns 0, or -1 without memory (nothing
   changed). */
int ring_grow(struct ring *ring, struct pool *pool, uint32_t wanted, uint32_t kept);

/* Gives the memory back. What was in use is lost. */
void ring_release(struct ring *ring, struct pool *pool);

/* Copies size bytes to offset bytes behind head; offset + size <= capacity. `used` does not
   change. */
void ring_write_at(struct ring *ring, uint32_t offset, const void *bytes, uint32_t size);

/* Copies size bytes from offset bytes behind head. */
void ring_read_at(const struct ring *ring, uint32_t offset, void *bytes, uint32_t size);

/* Takes size bytes behind those in use into use (they were written before). */
void ring_append(struct ring *ring, uint32_t size);

/* Drops size bytes from the head; size <= used. */
void ring_consume(struct ring *ring, uint32_t size);

/* Where the size bytes at offset behind head lie: one or two pieces. Returns their number (0 for
   size 0). For room to write into, cast the const away: the memory is the ring's own. */
unsigned ring_pieces(const struct ring *ring, uint32_t offset, uint32_t size,
                     struct frame_piece piece[2]);

#endif

/* A byte ring that grows: the send and the receive buffer of a connection. */
#include "ring.h"

#include <assert.h>
#include <string.h>

int ring_grow(struct ring *ring, struct pool *pool, uint32_t wanted, uint32_t kept)
{
    assert(kept >= ring->used && kept <= ring->capacity);
    if (wanted <= ring->capacity)
        return 0;
    uint8_t *data = pool_take(pool, wanted);
    if (!data)
        return -1;
    ring_read_at(ring, 0, data, kept);
    pool_give(pool, ring->data, ring->capacity);
    ring->data = data;
    ring->capacity = (uint32_t)pool_block_bytes(wanted);
    ring->head = 0;
    return 0;
}

void ring_release(struct ring *ring, struct pool *pool)
{
    pool_give(pool, ring->data, ring->capacity);
    *ring = (struct ring){0};
}

/* Where a range lies: its first index, and how much of it stands before the end of the memory. */
static uint32_t range_start(const struct ring *ring, uint32_t offset, uint32_t size,
                            uint32_t *before_end)
{
    assert(size <= ring->capacity && offset <= ring->capacity - size);
    uint32_t start = (ring->head + offset) & (ring->capacity - 1);
    uint32_t room = ring->capacity - start;
    *before_end = size < room ? size : room;
    return start;
}

void ring_write_at(struct ring *ring, uint32_t offset, const void *bytes, uint32_t size)
{
    if (size == 0)
        return;
    uint32_t first;
    uint32_t start = range_start(ring, offset, size, &first);
    memcpy(ring->data + start, bytes, first);
    memcpy(ring->data, (const uint8_t *)bytes + first, size - first);
}

void ring_read_at(const struct ring *ring, uint32_t offset, void *bytes, uint32_t size)
{
    if (size == 0)
        return;
    uint32_t first;
    uint32_t start = range_start(ring, offset, size, &first);
    memcpy(bytes, ring->data + start, first);
    memcpy((uint8_t *)bytes + first, ring->data, size - first);
}

void ring_append(struct ring *ring, uint32_t size)
{
    assert(size <= ring->capacity - ring->used);
    ring->used += size;
}

void ring_consume(struct ring *ring, uint32_t size)
{
    assert(size <= ring->used);
    if (size == 0)
        return;
    /* The head never jumps back to 0 when the ring runs empty: bytes may lie beyond a gap. */
    ring->head = (ring->head + size) & (ring->capacity - 1);
    ring->used -= size;
}

unsigned ring_pieces(const struct ring *ring, uint32_t offset, uint32_t size,
                     struct frame_piece piece[2])
{
    if (size == 0)
        return 0;
    uint32_t first;
    uint32_t start = range_start(ring, offset, size, &first);
    piece[0] = (struct frame_piece){ring->data + start, first};
    if (first == size)
        return 1;
    piece[1] = (struct frame_piece){ring->data, size - first};
    return 2;
}

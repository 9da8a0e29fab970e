/* Blocks of memory in powers of two, kept for reuse, so that the path of a frame never
   allocates. */
#ifndef TAPSTACK_CORE_POOL_H
#define TAPSTACK_CORE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "../wire/memory.h"

enum {
    POOL_ORDER_MIN = 6,  /* 64 bytes */
    POOL_ORDER_MAX = 30, /* 1 GiB */
    POOL_ORDERS = POOL_ORDER_MAX - POOL_ORDER_MIN + 1,
};

struct pool_block; /* a free one */

struct pool {
    struct memory memory;
    struct pool_block *free[POOL_ORDERS];
    size_t cached_bytes;    /* in the free lists */
    size_t used_bytes;      /* handed out */
    size_t cache_max_bytes; /* free blocks beyond this go back to the allocator */
};

void pool_open(struct pool *pool, const struct memory *memory, size_t cache_max_bytes);

/* Gives all cached blocks back. Blocks still handed out stay their holders'. */
void pool_close(struct pool *pool);

/* Gives cached blocks back, the largest first, until no more than keep_bytes are cached. */
void pool_trim(struct pool *pool, size_t keep_bytes);

/* The size of the block that pool_take gives for size bytes: the next power of two, at least 64.
   0 when it is more than 1 GiB. */
size_t pool_block_bytes(size_t size);

/* A block of pool_block_bytes(size) bytes, not cleared, or NULL. */
void *pool_take(struct pool *pool, size_t size);

/* Gives it back; size: any that pool_block_bytes maps to the block's size. NULL is allowed. */
void pool_give(struct pool *pool, void *block, size_t size);

#endif

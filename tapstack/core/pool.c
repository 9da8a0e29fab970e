/* Blocks of memory in powers of two, kept for reuse. */
#include "pool.h"

#include <assert.h>

struct pool_block {
    struct pool_block *next;
};

void pool_open(struct pool *pool, const struct memory *memory, size_t cache_max_bytes)
{
    *pool = (struct pool){.memory = *memory, .cache_max_bytes = cache_max_bytes};
}

static size_t order_bytes(unsigned order) { return (size_t)1 << (order + POOL_ORDER_MIN); }

/* The index of the smallest block that holds size bytes; POOL_ORDERS when none does. */
static unsigned size_order(size_t size)
{
    if (size > (size_t)1 << POOL_ORDER_MAX)
        return POOL_ORDERS;
    if (size <= (size_t)1 << POOL_ORDER_MIN)
        return 0;
    return 64 - (unsigned)__builtin_clzll(size - 1) - POOL_ORDER_MIN;
}

void pool_trim(struct pool *pool, size_t keep_bytes)
{
    for (unsigned order = POOL_ORDERS; order-- > 0;) {
        while (pool->free[order] && pool->cached_bytes > keep_bytes) {
            struct pool_block *block = pool->free[order];
            pool->free[order] = block->next;
            pool->cached_bytes -= order_bytes(order);
            memory_release(&pool->memory, block, order_bytes(order));
        }
    }
}

void pool_close(struct pool *pool) { pool_trim(pool, 0); }

size_t pool_block_bytes(size_t size)
{
    unsigned order = size_order(size);
    return order < POOL_ORDERS ? order_bytes(order) : 0;
}

void *pool_take(struct pool *pool, size_t size)
{
    unsigned order = size_order(size);
    if (order == POOL_ORDERS)
        return NULL;
    struct pool_block *block = pool->free[order];
    if (block) {
        pool->free[order] = block->next;
        pool->cached_bytes -= order_bytes(order);
    } else {
        block = memory_allocate(&pool->memory, order_bytes(order));
    }
    if (block)
        pool->used_bytes += order_bytes(order);
    return block;
}

void pool_give(struct pool *pool, void *memory, size_t size)
{
    if (!memory)
        return;
    unsigned order = size_order(size);
    assert(order < POOL_ORDERS);
    size_t bytes = order_bytes(order);
    assert(bytes <= pool->used_bytes);
    pool->used_bytes -= bytes;
    if (bytes > pool->cache_max_bytes || pool->cached_bytes > pool->cache_max_bytes - bytes) {
        memory_release(&pool->memory, memory, bytes);
        return;
    }
    struct pool_block *block = memory;
    block->next = pool->free[order];
    pool->free[order] = block;
    pool->cached_bytes += bytes;
}

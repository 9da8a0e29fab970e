/* Where pure code gets memory from: the caller's allocator. */
#ifndef TAPSTACK_WIRE_MEMORY_H
#define TAPSTACK_WIRE_MEMORY_H

#include <stddef.h>

/* allocate returns size bytes aligned for any object, not cleared, or NULL; release gets the same
   size back. context is passed through. */
struct memory {
    void *(*allocate)(void *context, size_t size);
    void (*release)(void *context, void *block, size_t size);
    void *context;
};

static inline void *memory_allocate(const struct memory *memory, size_t size)
{
    return memory->allocate(memory->context, size);
}

static inline void memory_release(const struct memory *memory, void *block, size_t size)
{
    if (block)
        memory->release(memory->context, block, size);
}

#endif

/* The C library's heap as a struct memory. */
#include "heap.h"

#include <malloc.h>
#include <stdlib.h>

/* Socket buffers of this size and above are mapped one by one, so that they go back to the system
   when their connection ends; without the fixed limit glibc raises it to the largest block ever
   freed. */
enum { HEAP_MAP_BYTES = 128 << 10 };

void heap_tune(void)
{
    mallopt(M_MMAP_THRESHOLD, HEAP_MAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_MAP_BYTES);
    mallopt(M_ARENA_MAX, 1);
}

static void *heap_allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void heap_release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

const struct memory heap_memory = {.allocate = heap_allocate, .release = heap_release};

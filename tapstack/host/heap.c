/* The C library's heap as a struct memory. */
#include "heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Socket buffers of this size and above are mapped one by one, so that they go back to the system
   when their connection ends; without the fixed limit glibc raises it to the largest block ever
   freed. */
enum { HEAP_MAP_BYTES = 128 << 10, HEAP_TRIM_BYTES = 64 << 10 };

/* From here on a block is made of huge pages, if the system has them: a copy of megabytes through
   small ones spends a good part of its time on finding them. */
enum { HEAP_HUGE_BYTES = 2 << 20 };

void heap_tune(void)
{
    mallopt(M_MMAP_THRESHOLD, HEAP_MAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_MAP_BYTES);
    mallopt(M_ARENA_MAX, 1);
}

/* Released since the heap was last trimmed, and when that was. */
static size_t heap_released_bytes;
static uint64_t heap_trimmed_at;

/* glibc keeps freed blocks that lie between others in use. Whole pages of them go back here, at
   most once a second and when it is worth it. */
void heap_trim(uint64_t now_us)
{
    if (heap_released_bytes < HEAP_TRIM_BYTES || now_us - heap_trimmed_at < 1000000)
        return;
    malloc_trim(0);
    heap_released_bytes = 0;
    heap_trimmed_at = now_us;
}

static void *heap_allocate(void *context, size_t size)
{
    (void)context;
    if (size < HEAP_HUGE_BYTES)
        return malloc(size);
    void *block = NULL;
    if (posix_memalign(&block, HEAP_HUGE_BYTES, size) != 0)
        return NULL;
    madvise(block, size, MADV_HUGEPAGE); /* if it is refused nothing is lost but speed */
    return block;
}

static void heap_release(void *context, void *block, size_t size)
{
    (void)context;
    heap_released_bytes += size;
    free(block);
}

const struct memory heap_memory = {.allocate = heap_allocate, .release = heap_release};

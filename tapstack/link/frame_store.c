/* Frames under way in a cable: their memory, and heaps of them ordered by time. */
#include "frame_store.h"

#include <string.h>

enum {
    USUAL_BYTES = 1536 + 64, /* the frames of an MTU of 1500 */
    FREE_MAX = 256,
    HEAP_FIRST = 64,
};

struct cable_frame *frame_store_take(struct frame_store *store, size_t size)
{
    struct cable_frame *frame = store->free;
    if (size <= USUAL_BYTES && frame) {
        store->free = frame->next;
        store->free_count--;
        return frame;
    }
    size_t capacity = size <= USUAL_BYTES ? USUAL_BYTES : size;
    frame = memory_allocate(&store->memory, sizeof *frame + capacity);
    if (frame)
        frame->capacity = (uint32_t)capacity;
    return frame;
}

static void release_frame(struct frame_store *store, struct cable_frame *frame)
{
    memory_release(&store->memory, frame, sizeof *frame + frame->capacity);
}

void frame_store_give(struct frame_store *store, struct cable_frame *frame)
{
    if (frame->capacity != USUAL_BYTES || store->free_count == FREE_MAX) {
        release_frame(store, frame);
        return;
    }
    frame->next = store->free;
    store->free = frame;
    store->free_count++;
}

void frame_store_close(struct frame_store *store)
{
    while (store->free) {
        struct cable_frame *frame = store->free;
        store->free = frame->next;
        release_frame(store, frame);
    }
    store->free_count = 0;
}

/* ---- Heaps ---- */

static bool is_before(const struct cable_frame *a, const struct cable_frame *b)
{
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us;
    return a->order < b->order;
}

static bool grow(struct frame_heap *heap, const struct memory *memory)
{
    size_t capacity = heap->capacity ? 2 * heap->capacity : HEAP_FIRST;
    struct cable_frame **frames = memory_allocate(memory, capacity * sizeof(struct cable_frame *));
    if (!frames)
        return false;
    if (heap->count > 0)
        memcpy(frames, heap->frames, heap->count * sizeof(struct cable_frame *));
    memory_release(memory, heap->frames, heap->capacity * sizeof(struct cable_frame *));
    heap->frames = frames;
    heap->capacity = capacity;
    return true;
}

bool frame_heap_push(struct frame_heap *heap, struct cable_frame *frame,
                     const struct memory *memory)
{
    if (heap->count == heap->capacity && !grow(heap, memory))
        return false;
    size_t at = heap->count++;
    for (; at > 0 && is_before(frame, heap->frames[(at - 1) / 2]); at = (at - 1) / 2)
        heap->frames[at] = heap->frames[(at - 1) / 2];
    heap->frames[at] = frame;
    return true;
}

struct cable_frame *frame_heap_pop(struct frame_heap *heap)
{
    struct cable_frame *first = heap->frames[0];
    struct cable_frame *last = heap->frames[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < heap->count && is_before(heap->frames[child + 1], heap->frames[child]))
            child++;
        if (child >= heap->count || !is_before(heap->frames[child], last))
            break;
        heap->frames[at] = heap->frames[child];
        at = child;
    }
    heap->frames[at] = last;
    return first;
}

void frame_heap_close(struct frame_heap *heap, struct frame_store *store)
{
    for (size_t i = 0; i < heap->count; i++)
        frame_store_give(store, heap->frames[i]);
    memory_release(&store->memory, heap->frames, heap->capacity * sizeof(struct cable_frame *));
    *heap = (struct frame_heap){0};
}

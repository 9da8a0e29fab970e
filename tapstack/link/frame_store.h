/* Frames under way in a cable: their memory, and heaps of them ordered by time.

   A freed frame of usual size is kept for the next one, so that a cable in steady use allocates
   nothing. Pure: memory comes from the caller's allocator. */
#ifndef TAPSTACK_LINK_FRAME_STORE_H
#define TAPSTACK_LINK_FRAME_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/memory.h"
#include "match.h"

struct cable_rule;

struct cable_frame {
    struct cable_frame *next;   /* in a queue, or of the free ones */
    struct cable_rule *held_by; /* the rule whose limit it counts for; NULL: none's */
    uint64_t at_us;             /* when it is where it is: in a heap, when it comes out */
    uint64_t order;             /* among frames of the same time */
    uint64_t serial;            /* of the frame that was put in, for its lots */
    uint32_t copy;     /* 0: the frame itself, else the place of the rule that doubled it */
    uint32_t place;    /* of the rule that it enters when it comes out of the heap */
    uint32_t size;     /* bytes, with FCS where the cable carries one */
    uint32_t capacity; /* of bytes */
    bool has_fcs;
    bool damaged;
    struct match_view view;
    uint8_t bytes[];
};

struct frame_store {
    struct memory memory;
    struct cable_frame *free;
    size_t free_count;
};

/* A frame with room for size bytes, not cleared; NULL without memory. */
struct cable_frame *frame_store_take(struct frame_store *store, size_t size);
void frame_store_give(struct frame_store *store, struct cable_frame *frame);
/* Gives back what is kept. */
void frame_store_close(struct frame_store *store);

/* A heap: takes a frame that is later than all others, which is the usual case, in constant
   time. */
struct frame_heap {
    struct cable_frame **frames; /* frames[0] comes out first */
    size_t count;
    size_t capacity;
};

/* Returns false without memory. */
bool frame_heap_push(struct frame_heap *heap, struct cable_frame *frame,
                     const struct memory *memory);
/* The heap must not be empty. */
struct cable_frame *frame_heap_pop(struct frame_heap *heap);
/* When its first frame comes out, or UINT64_MAX. */
static inline uint64_t frame_heap_due(const struct frame_heap *heap)
{
    return heap->count > 0 ? heap->frames[0]->at_us : UINT64_MAX;
}
/* Frees the frames too. */
void frame_heap_close(struct frame_heap *heap, struct frame_store *store);

#endif

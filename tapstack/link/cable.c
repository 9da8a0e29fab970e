/* A cable, one direction of it: loses, delays, reorders, duplicates and damages frames, repeatably.

   A frame that goes in draws its lots (lost? doubled? damaged? out of turn? how late?), and each
   copy that is left is put into a heap ordered by the time it comes out and, for equal times, by
   the order in which it went in. A heap takes a frame that is later than all others, which is the
   usual case, in constant time.

   Lots are not drawn from a running generator: each is a hash of the seed, the number of the frame
   and the question. So turning one kind of accident on or off leaves all others where they were,
   and two experiments that differ in one setting lose the same frames. */
#include "cable.h"

#include <assert.h>
#include <string.h>

#include "../wire/fcs.h"

enum {
    QUEUE_FRAMES_DEFAULT = 1000,
    REORDER_US_DEFAULT = 500,
    MILLION = 1000000,
    LOTS_PER_FRAME = 16,
};

/* The questions; those behind LOT_COPY are asked for each copy of a frame anew. */
enum lot {
    LOT_LOSS,
    LOT_DUPLICATE,
    LOT_COPY,
    LOT_CORRUPT = 0,
    LOT_CORRUPT_BIT,
    LOT_REORDER,
    LOT_JITTER,
    LOT_COPY_COUNT,
};

struct cable_frame {
    uint64_t due_at_us;
    uint64_t order;
    size_t size;
    uint8_t bytes[];
};

struct cable {
    struct cable_settings settings;
    struct cable_counters counters;
    struct memory memory;
    uint64_t seed;
    uint64_t order;      /* of the next frame in the heap */
    uint64_t free_at_ns; /* when the last frame will have left the sender: settings.rate_kbps */
    struct cable_frame **heap; /* heap[0] comes out first */
    size_t count;
    size_t capacity;
};

/* ---- lots ---- */

/* splitmix64 (Steele, Lea and Flood, 2014): its n-th number is a hash of seed + n * the golden
 * ratio. */
static uint64_t splitmix64(uint64_t seed, uint64_t n)
{
    uint64_t z = seed + n * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* A number below limit, evenly distributed. */
static uint64_t draw(const struct cable *cable, unsigned lot, uint64_t limit)
{
    uint64_t random = splitmix64(cable->seed, cable->counters.frames_in * LOTS_PER_FRAME + lot);
    return (uint64_t)((unsigned __int128)random * limit >> 64);
}

static bool happens(const struct cable *cable, unsigned lot, uint32_t ppm)
{
    return draw(cable, lot, MILLION) < ppm;
}

/* ---- the heap ---- */

static bool is_before(const struct cable_frame *a, const struct cable_frame *b)
{
    if (a->due_at_us != b->due_at_us)
        return a->due_at_us < b->due_at_us;
    return a->order < b->order;
}

static bool grow_heap(struct cable *cable)
{
    size_t capacity = cable->capacity ? 2 * cable->capacity : 64;
    struct cable_frame **heap = memory_allocate(&cable->memory, capacity * sizeof *heap);
    if (!heap)
        return false;
    if (cable->count > 0)
        memcpy(heap, cable->heap, cable->count * sizeof *heap);
    memory_release(&cable->memory, cable->heap, cable->capacity * sizeof *heap);
    cable->heap = heap;
    cable->capacity = capacity;
    return true;
}

static bool push_heap(struct cable *cable, struct cable_frame *frame)
{
    if (cable->count == cable->capacity && !grow_heap(cable))
        return false;
    size_t at = cable->count++;
    for (; at > 0 && is_before(frame, cable->heap[(at - 1) / 2]); at = (at - 1) / 2)
        cable->heap[at] = cable->heap[(at - 1) / 2];
    cable->heap[at] = frame;
    return true;
}

static struct cable_frame *pop_heap(struct cable *cable)
{
    struct cable_frame *first = cable->heap[0];
    struct cable_frame *last = cable->heap[--cable->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < cable->count && is_before(cable->heap[child + 1], cable->heap[child]))
            child++;
        if (child >= cable->count || !is_before(cable->heap[child], last))
            break;
        cable->heap[at] = cable->heap[child];
        at = child;
    }
    cable->heap[at] = last;
    return first;
}

/* ---- frames ---- */

static void release_frame(struct cable *cable, struct cable_frame *frame)
{
    memory_release(&cable->memory, frame, sizeof *frame + frame->size);
}

static struct cable_frame *copy_frame(struct cable *cable, const uint8_t *bytes, size_t size)
{
    size_t wire_size = size + (cable->settings.fcs ? FCS_BYTES : 0);
    struct cable_frame *frame = memory_allocate(&cable->memory, sizeof *frame + wire_size);
    if (!frame)
        return NULL;
    frame->size = wire_size;
    memcpy(frame->bytes, bytes, size);
    if (cable->settings.fcs)
        fcs_append(frame->bytes, size);
    return frame;
}

static void corrupt_frame(struct cable *cable, struct cable_frame *frame, unsigned lots)
{
    if (!happens(cable, lots + LOT_CORRUPT, cable->settings.corrupt_ppm))
        return;
    uint64_t bit = draw(cable, lots + LOT_CORRUPT_BIT, frame->size * 8);
    frame->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    cable->counters.corrupted++;
}

/* When the sender has put size bytes on a cable of limited rate, behind those before them. */
static uint64_t sent_at_us(struct cable *cable, size_t size, uint64_t now_us)
{
    if (cable->settings.rate_kbps == 0)
        return now_us;
    if (cable->free_at_ns < now_us * 1000)
        cable->free_at_ns = now_us * 1000;
    cable->free_at_ns += size * 8 * MILLION / cable->settings.rate_kbps;
    return (cable->free_at_ns + 999) / 1000;
}

/* The delay with its jitter, evenly in delay - jitter .. delay + jitter, at least 0. */
static uint64_t draw_delay_us(const struct cable *cable, unsigned lots)
{
    const struct cable_settings *settings = &cable->settings;
    uint64_t late_us =
        settings->delay_us + draw(cable, lots + LOT_JITTER, 2 * settings->jitter_us + 1);
    return late_us > settings->jitter_us ? late_us - settings->jitter_us : 0;
}

/* How long the frame is under way once it is sent. */
static uint64_t travel_us(struct cable *cable, unsigned lots)
{
    const struct cable_settings *settings = &cable->settings;
    if (!happens(cable, lots + LOT_REORDER, settings->reorder_ppm))
        return draw_delay_us(cable, lots);
    cable->counters.reordered++;
    if (settings->delay_us > 0)
        return 0;
    return settings->reorder_us > 0 ? settings->reorder_us : REORDER_US_DEFAULT;
}

/* Puts one copy under way. A copy for which there is no memory is an overrun too. */
static bool send_copy(struct cable *cable, const uint8_t *bytes, size_t size, uint64_t now_us,
                      unsigned copy)
{
    unsigned lots = LOT_COPY + copy * LOT_COPY_COUNT;
    uint32_t limit = cable->settings.queue_frames;
    struct cable_frame *frame = NULL;
    if (cable->count < (limit > 0 ? limit : QUEUE_FRAMES_DEFAULT))
        frame = copy_frame(cable, bytes, size);
    if (!frame) {
        cable->counters.overrun++;
        return false;
    }
    corrupt_frame(cable, frame, lots);
    frame->due_at_us = sent_at_us(cable, frame->size, now_us) + travel_us(cable, lots);
    frame->order = cable->order++;
    if (!push_heap(cable, frame)) {
        release_frame(cable, frame);
        cable->counters.overrun++;
        return false;
    }
    return true;
}

/* ---- the cable ---- */

struct cable *cable_create(const struct cable_settings *settings, uint64_t seed,
                           const struct memory *memory)
{
    struct cable *cable = memory_allocate(memory, sizeof *cable);
    if (!cable)
        return NULL;
    *cable = (struct cable){
        .settings = *settings,
        .memory = *memory,
        .seed = splitmix64(seed, 1),
    };
    return cable;
}

void cable_destroy(struct cable *cable)
{
    if (!cable)
        return;
    const struct memory memory = cable->memory;
    for (size_t i = 0; i < cable->count; i++)
        release_frame(cable, cable->heap[i]);
    memory_release(&memory, cable->heap, cable->capacity * sizeof(struct cable_frame *));
    memory_release(&memory, cable, sizeof *cable);
}

void cable_configure(struct cable *cable, const struct cable_settings *settings)
{
    cable->settings = *settings;
}

int cable_send(struct cable *cable, const uint8_t *bytes, size_t size, uint64_t now_us)
{
    assert(size > 0);
    cable->counters.frames_in++;
    if (happens(cable, LOT_LOSS, cable->settings.loss_ppm)) {
        cable->counters.lost++;
        return -1;
    }
    if (!send_copy(cable, bytes, size, now_us, 0))
        return -1;
    if (happens(cable, LOT_DUPLICATE, cable->settings.duplicate_ppm) &&
        send_copy(cable, bytes, size, now_us, 1))
        cable->counters.duplicated++;
    return 0;
}

size_t cable_receive(struct cable *cable, uint8_t *bytes, size_t capacity, uint64_t now_us)
{
    if (cable->count == 0 || cable->heap[0]->due_at_us > now_us)
        return 0;
    struct cable_frame *frame = pop_heap(cable);
    size_t size = frame->size;
    assert(size <= capacity);
    memcpy(bytes, frame->bytes, size);
    release_frame(cable, frame);
    cable->counters.frames_out++;
    return size;
}

uint64_t cable_deadline(const struct cable *cable)
{
    return cable->count > 0 ? cable->heap[0]->due_at_us : UINT64_MAX;
}

const struct cable_counters *cable_counters(const struct cable *cable) { return &cable->counters; }

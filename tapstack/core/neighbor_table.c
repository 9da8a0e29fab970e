/* The table of neighbors: found by hash, bounded, the least useful one going first. */
#include "neighbor_table.h"

#include <string.h>

#include "state.h"

enum {
    UNANSWERED_MIN = 2, /* requests after which an unresolved neighbor may make room */
    BUCKET_BITS = 10,
};
_Static_assert(1 << BUCKET_BITS == NEIGHBOR_BUCKETS, "a bucket for each value of the bits");

/* The chain an address belongs to. The secret factor keeps strangers from choosing addresses that
   all fall into one chain (multiply-shift hashing); the constant spreads them under a poor seed
   too. */
static unsigned bucket_of(const struct stack *stack, uint32_t v4)
{
    uint64_t factor;
    memcpy(&factor, stack->seed, sizeof factor);
    factor = (factor ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
    return (unsigned)(v4 * factor >> (64 - BUCKET_BITS));
}

struct neighbor *neighbor_table_find(const struct stack *stack, unsigned interface, uint32_t v4)
{
    struct neighbor *neighbor = stack->neighbors.bucket[bucket_of(stack, v4)];
    while (neighbor && (neighbor->v4 != v4 || neighbor->interface != interface))
        neighbor = neighbor->next;
    return neighbor;
}

/* ---- Lines ---- */

static enum neighbor_line line_of(const struct neighbor *neighbor)
{
    switch (neighbor->state) {
    case NEIGHBOR_FAILED:
        return NEIGHBOR_LINE_FAILED;
    case NEIGHBOR_STALE:
        return neighbor->used_at == 0 ? NEIGHBOR_LINE_STRANGERS : NEIGHBOR_LINE_IDLE;
    case NEIGHBOR_INCOMPLETE:
        return NEIGHBOR_LINE_UNANSWERED;
    default:
        return NEIGHBOR_LINES;
    }
}

static void leave_line(struct neighbor_table *table, struct neighbor *neighbor)
{
    if (neighbor->line != NEIGHBOR_LINES)
        TAILQ_REMOVE(&table->line[neighbor->line], neighbor, place);
    neighbor->line = NEIGHBOR_LINES;
}

static void join_line(struct neighbor_table *table, struct neighbor *neighbor)
{
    neighbor->line = (uint8_t)line_of(neighbor);
    if (neighbor->line != NEIGHBOR_LINES)
        TAILQ_INSERT_TAIL(&table->line[neighbor->line], neighbor, place);
}

void neighbor_table_set_state(struct stack *stack, struct neighbor *neighbor,
                              enum neighbor_state state, uint64_t now_us)
{
    if (neighbor->state == state)
        return;
    stack_event_add(stack, STACK_EVENT_NEIGHBOR, 0, now_us, neighbor->state, state, neighbor->v4,
                    0);
    neighbor->state = (uint8_t)state;
    neighbor->changed_at = now_us;
    wheel_cancel(&stack->neighbors.wheel, &neighbor->timer);
    leave_line(&stack->neighbors, neighbor);
    join_line(&stack->neighbors, neighbor);
}

bool neighbor_table_is_gateway(const struct stack *stack, const struct neighbor *neighbor)
{
    return route_uses_gateway(&stack->routes, neighbor->v4, neighbor->interface);
}

/* The first of a line that may go, or NULL. */
static struct neighbor *find_victim(struct stack *stack, enum neighbor_line line)
{
    struct neighbor *neighbor;
    TAILQ_FOREACH (neighbor, &stack->neighbors.line[line], place) {
        /* Requests are sent in the order of the line: behind this one nobody waits longer. */
        if (line == NEIGHBOR_LINE_UNANSWERED && neighbor->requests < UNANSWERED_MIN)
            return NULL;
        if (!neighbor_table_is_gateway(stack, neighbor))
            return neighbor;
    }
    return NULL;
}

static bool make_room(struct stack *stack, bool wanted, uint64_t now_us)
{
    struct neighbor *victim = NULL;
    unsigned lines = wanted ? NEIGHBOR_LINES : NEIGHBOR_LINE_STRANGERS + 1;
    for (unsigned line = 0; line < lines && !victim; line++)
        victim = find_victim(stack, line);
    if (victim)
        neighbor_table_remove(stack, victim, STACK_COUNTER_ARP_QUEUE_DROPS, now_us);
    return victim != NULL;
}

/* ---- Entries ---- */

void neighbor_table_open(struct neighbor_table *table, uint64_t now_us)
{
    wheel_open(&table->wheel, now_us);
    TAILQ_INIT(&table->waiting);
    for (unsigned line = 0; line < NEIGHBOR_LINES; line++)
        TAILQ_INIT(&table->line[line]);
}

struct neighbor *neighbor_table_create(struct stack *stack, unsigned interface, uint32_t v4,
                                       bool wanted, uint64_t now_us)
{
    struct neighbor_table *table = &stack->neighbors;
    if (table->count >= stack->settings.arp_table_max && !make_room(stack, wanted, now_us))
        return NULL;
    struct neighbor *neighbor = pool_take(&stack->pool, sizeof *neighbor);
    if (!neighbor)
        return NULL;
    struct neighbor **bucket = &table->bucket[bucket_of(stack, v4)];
    *neighbor = (struct neighbor){
        .next = *bucket,
        .v4 = v4,
        .interface = (uint16_t)interface,
        .line = NEIGHBOR_LINES,
        .changed_at = now_us,
    };
    *bucket = neighbor;
    table->count++;
    return neighbor;
}

void neighbor_table_remove(struct stack *stack, struct neighbor *neighbor,
                           enum stack_counter reason, uint64_t now_us)
{
    struct neighbor **link = &stack->neighbors.bucket[bucket_of(stack, neighbor->v4)];
    while (*link != neighbor)
        link = &(*link)->next;
    *link = neighbor->next;
    stack->neighbors.count--;
    neighbor_table_drop_queue(stack, neighbor, reason, now_us);
    neighbor_table_set_state(stack, neighbor, NEIGHBOR_NONE, now_us);
    pool_give(&stack->pool, neighbor, sizeof *neighbor);
}

void neighbor_table_close(struct stack *stack)
{
    struct packet *packet;
    for (unsigned bucket = 0; bucket < NEIGHBOR_BUCKETS; bucket++) {
        struct neighbor *neighbor;
        while ((neighbor = stack->neighbors.bucket[bucket])) {
            stack->neighbors.bucket[bucket] = neighbor->next;
            while ((packet = neighbor_table_pop(stack, neighbor)))
                packet_destroy(&stack->pool, packet);
            pool_give(&stack->pool, neighbor, sizeof *neighbor);
        }
    }
    stack->neighbors.count = 0;
}

/* ---- Frames that wait ---- */

static size_t packet_memory(size_t frame_bytes)
{
    return pool_block_bytes(sizeof(struct packet) + frame_bytes);
}

struct packet *neighbor_table_pop(struct stack *stack, struct neighbor *neighbor)
{
    struct packet *packet = packet_queue_pop(&neighbor->queue);
    if (!packet)
        return NULL;
    stack->neighbors.queued_bytes -= packet_memory(packet->capacity);
    if (neighbor->queue.count == 0)
        TAILQ_REMOVE(&stack->neighbors.waiting, neighbor, waiting);
    return packet;
}

static void drop_oldest(struct stack *stack, struct neighbor *neighbor, enum stack_counter reason,
                        uint64_t now_us)
{
    struct packet *packet = neighbor_table_pop(stack, neighbor);
    stack_drop(stack, reason, 0, frame_size(&packet->frame), now_us);
    packet_destroy(&stack->pool, packet);
}

void neighbor_table_drop_queue(struct stack *stack, struct neighbor *neighbor,
                               enum stack_counter reason, uint64_t now_us)
{
    while (neighbor->queue.count > 0)
        drop_oldest(stack, neighbor, reason, now_us);
}

int neighbor_table_push(struct stack *stack, struct neighbor *neighbor, const struct frame *frame,
                        uint64_t now_us)
{
    struct neighbor_table *table = &stack->neighbors;
    size_t memory = packet_memory(frame_size(frame));
    if (memory > stack->settings.arp_queue_memory)
        return stack_drop(stack, STACK_COUNTER_ARP_QUEUE_DROPS, 0, frame_size(frame), now_us);
    while (neighbor->queue.count >= stack->settings.arp_queue_max)
        drop_oldest(stack, neighbor, STACK_COUNTER_ARP_QUEUE_DROPS, now_us);
    while (table->queued_bytes + memory > stack->settings.arp_queue_memory)
        drop_oldest(stack, TAILQ_FIRST(&table->waiting), STACK_COUNTER_ARP_QUEUE_DROPS, now_us);
    struct packet *packet = packet_copy(&stack->pool, frame);
    if (!packet)
        return stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, frame_size(frame), now_us);
    packet->queued_at = now_us;
    if (neighbor->queue.count == 0)
        TAILQ_INSERT_TAIL(&table->waiting, neighbor, waiting);
    packet_queue_push(&neighbor->queue, packet);
    table->queued_bytes += memory;
    return 0;
}

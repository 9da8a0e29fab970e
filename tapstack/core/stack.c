/* The stack as a whole: made, fed with frames, asked for frames, asked for its deadline.

   The way in: stack_input reads the Ethernet header and hands the frame to the neighbor cache (ARP)
   or to IP, and from there to ICMP, UDP or TCP. Nothing is sent on the way in.

   The way out: stack_output first serves the timers that have expired, then gives out finished
   packets (ARP, ICMP, resets), then asks UDP and TCP by turns for their next. What it gives out
   points into the stack; a finished packet is kept as `lent` until the next call. */
#include <string.h>

#include "../wire/ethernet.h"
#include "state.h"

enum { EVENT_CAPACITY_MAX = 1 << 20 };

static int stack_open_events(struct stack *stack, uint32_t capacity)
{
    if (capacity == 0)
        return 0;
    if ((capacity & (capacity - 1)) != 0 || capacity > EVENT_CAPACITY_MAX)
        return STACK_INVALID;
    stack->events = memory_allocate(&stack->pool.memory, capacity * sizeof(*stack->events));
    if (!stack->events)
        return STACK_NO_MEMORY;
    memset(stack->events, 0, capacity * sizeof(*stack->events)); /* so that it is there at once */
    stack->event_capacity = capacity;
    return 0;
}

struct stack *stack_create(const struct stack_config *config, uint64_t now_us)
{
    struct stack *stack = memory_allocate(&config->memory, sizeof(*stack));
    if (!stack)
        return NULL;
    memset(stack, 0, sizeof(*stack));
    stack->settings = config->settings;
    memcpy(stack->seed, config->seed, sizeof stack->seed);
    pool_open(&stack->pool, &config->memory, STACK_POOL_CACHE_BYTES);
    neighbor_table_open(&stack->neighbors, now_us);
    conflict_open(&stack->conflicts);
    uint64_t factor;
    memcpy(&factor, stack->seed + sizeof factor, sizeof factor);
    route_open(&stack->routes, &stack->pool, factor);
    wheel_open(&stack->tcp.wheel, now_us);
    wheel_open(&stack->reassembly.wheel, now_us);
    filter_open(stack, now_us);
    stack->trim_at = UINT64_MAX;
    pmtu_open(&stack->pmtu);
    stack->utc_offset_us = config->utc_offset_us;
    TAILQ_INIT(&stack->udp.out);
    TAILQ_INIT(&stack->udp.ready);
    stack->igmp.due_at = UINT64_MAX;
    TAILQ_INIT(&stack->tcp.out);
    TAILQ_INIT(&stack->tcp.ready);
    TAILQ_INIT(&stack->tcp.waits);
    if (tcp_table_open(stack) < 0 || stack_open_events(stack, config->event_capacity) < 0) {
        stack_destroy(stack);
        return NULL;
    }
    return stack;
}

static void stack_destroy_entry(struct stack *stack, struct tcp_entry *entry)
{
    struct tcp_socket *socket = (struct tcp_socket *)entry, *child;
    if (entry->datagram) {
        udp_destroy(stack, (struct udp_socket *)entry);
        return;
    }
    if (entry->compact) {
        tcp_wait_destroy(stack, (struct tcp_wait *)entry);
        return;
    }
    if (entry->state == TCP_LISTEN)
        while ((child = LIST_FIRST(&socket->children)) != NULL)
            tcp_socket_destroy(stack, child);
    tcp_socket_destroy(stack, socket);
}

static void stack_destroy_sockets(struct stack *stack)
{
    struct tcp *tcp = &stack->tcp;
    for (uint32_t i = 0; tcp->slot && i < tcp->slot_capacity; i++)
        if (tcp->slot[i])
            stack_destroy_entry(stack, tcp->slot[i]);
    tcp_socket_trim(stack, 0);
    tcp_table_close(stack);
}

void stack_destroy(struct stack *stack)
{
    if (!stack)
        return;
    struct memory memory = stack->pool.memory;
    stack_destroy_sockets(stack);
    packet_queue_clear(&stack->udp.orphans, &stack->pool);
    igmp_close(stack);
    neighbor_table_close(stack);
    stack_flush_pmtu(stack);
    reassembly_close(stack);
    route_close(&stack->routes);
    forward_close(stack);
    probe_close_all(stack);
    filter_close(stack);
    packet_queue_clear(&stack->out, &stack->pool);
    packet_destroy(&stack->pool, stack->lent);
    memory_release(&memory, stack->events, stack->event_capacity * sizeof(*stack->events));
    pool_close(&stack->pool);
    memory_release(&memory, stack, sizeof(*stack));
}

struct stack_settings *stack_settings(struct stack *stack) { return &stack->settings; }

int stack_input(struct stack *stack, const struct frame *frame, uint64_t now_us)
{
    struct ethernet_header header;
    const uint8_t *bytes = frame->piece[0].data;
    size_t size = frame->piece[0].size;
    stack_count(stack, STACK_COUNTER_FRAMES_IN);
    if (frame->interface >= stack->interface_count)
        return stack_drop(stack, STACK_COUNTER_ETH_IN_BAD_INTERFACE, 0, size, now_us);
    if (ethernet_parse(bytes, size, &header) < 0)
        return stack_drop(stack, STACK_COUNTER_ETH_IN_TRUNCATED, 0, size, now_us);
    bytes += ETHERNET_HEADER_BYTES;
    size -= ETHERNET_HEADER_BYTES;
    switch (header.type) {
    case ETHERTYPE_ARP:
        return neighbor_input(stack, frame->interface, &header, bytes, size, now_us);
    case ETHERTYPE_IPV4:
        return ip_input(stack, frame, bytes, size, mac_address_is_group(&header.destination),
                        now_us);
    default:
        return stack_drop(stack, STACK_COUNTER_ETH_IN_UNKNOWN_TYPE, 0, frame->piece[0].size,
                          now_us);
    }
}

/* Memory that was kept for reuse and was not needed goes back, half of it a second: a burst is
   served from what the last one left, and an idle stack is small. */
static void stack_trim(struct stack *stack, uint64_t now_us)
{
    struct pool *pool = &stack->pool;
    if (now_us >= stack->trim_at) {
        size_t half = pool->cached_bytes / 2;
        pool_trim(pool, half > STACK_TRIM_KEEP_BYTES ? half : STACK_TRIM_KEEP_BYTES);
        tcp_socket_trim(stack, stack->tcp.free_count / 2);
        stack->trim_at = UINT64_MAX;
    }
    bool spare = pool->cached_bytes > STACK_TRIM_KEEP_BYTES || stack->tcp.free_count > 0;
    if (spare && stack->trim_at == UINT64_MAX)
        stack->trim_at = now_us + STACK_TRIM_US;
}

static struct neighbor *stack_neighbor_of(struct wheel_timer *timer)
{
    return (struct neighbor *)((char *)timer - offsetof(struct neighbor, timer));
}

static void stack_serve_timers(struct stack *stack, uint64_t now_us)
{
    struct wheel_timer *timer;
    while ((timer = wheel_expire(&stack->neighbors.wheel, now_us)) != NULL)
        neighbor_timer(stack, stack_neighbor_of(timer), now_us);
    conflict_serve(stack, now_us);
    reassembly_expire(stack, now_us);
    redirect_expire(stack, now_us);
    tcp_timer_expire(stack, now_us);
    pmtu_expire(stack, now_us);
    igmp_serve(stack, now_us);
    flow_expire(&stack->filter.flows, now_us);
    stack_trim(stack, now_us);
}

static bool stack_lend_packet(struct stack *stack, struct packet *packet, struct frame *frame)
{
    stack->lent = packet;
    if (packet)
        *frame = packet->frame;
    return packet != NULL;
}

static bool stack_lend_finished(struct stack *stack, struct frame *frame)
{
    return stack_lend_packet(stack, packet_queue_pop(&stack->out), frame);
}

static bool stack_lend_turn(struct stack *stack, unsigned turn, struct frame *frame,
                            uint64_t now_us)
{
    switch (turn % 3) {
    case 0:
        return stack_lend_packet(stack, forward_take(stack), frame);
    case 1:
        return stack_lend_packet(stack, udp_output(stack), frame);
    default:
        return tcp_output(stack, frame, now_us);
    }
}

/* Forwarding, UDP and TCP take turns, so that none starves another. TCP may leave nothing but an
   ARP request behind, hence the last look. */
static bool stack_lend_payload(struct stack *stack, struct frame *frame, uint64_t now_us)
{
    unsigned first = stack->turn++;
    for (unsigned i = 0; i < 3; i++)
        if (stack_lend_turn(stack, first + i, frame, now_us))
            return true;
    return stack_lend_finished(stack, frame);
}

size_t stack_output(struct stack *stack, struct frame *frame, uint64_t now_us)
{
    packet_destroy(&stack->pool, stack->lent);
    stack->lent = NULL;
    stack_serve_timers(stack, now_us);
    if (!stack_lend_finished(stack, frame) && !stack_lend_payload(stack, frame, now_us))
        return 0;
    stack_count(stack, STACK_COUNTER_FRAMES_OUT);
    return frame_size(frame);
}

static uint64_t stack_earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t stack_deadline(const struct stack *stack)
{
    if (stack->out.first || stack->forward.queue.first || !TAILQ_EMPTY(&stack->tcp.out) ||
        udp_has_output(stack))
        return 0;
    uint64_t at = stack_earlier(wheel_deadline(&stack->neighbors.wheel), tcp_timer_deadline(stack));
    at = stack_earlier(at, stack->conflicts.due_at);
    at = stack_earlier(at, reassembly_deadline(stack));
    at = stack_earlier(at, redirect_deadline(stack));
    at = stack_earlier(at, stack->igmp.due_at);
    at = stack_earlier(at, wheel_deadline(&stack->filter.flows.wheel));
    return stack_earlier(at, stack->trim_at);
}

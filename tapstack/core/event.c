/* What the stack tells and draws: counters, the ring of events, and numbers from its seed. */
#include <sodium/crypto_shorthash_siphash24.h>
#include <string.h>

#include "state.h"

int stack_drop(struct stack *stack, enum stack_counter counter, uint32_t id, size_t bytes,
               uint64_t now_us)
{
    stack_count(stack, counter);
    stack_count(stack, STACK_COUNTER_FRAMES_DROPPED);
    stack_event_add(stack, STACK_EVENT_DROP, id, now_us, counter, (uint32_t)bytes, 0, 0);
    return -1;
}

void stack_event_add(struct stack *stack, enum stack_event_kind kind, uint32_t id, uint64_t now_us,
                     uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint64_t number = stack->event_count++;
    if (stack->event_capacity == 0)
        return;
    stack->events[number & (stack->event_capacity - 1)] = (struct stack_event){
        .at_us = now_us,
        .id = id,
        .kind = (uint16_t)kind,
        .argument = {a, b, c, d},
    };
}

bool stack_next_event(const struct stack *stack, uint64_t *cursor, struct stack_event *event,
                      uint64_t *lost)
{
    uint64_t kept =
        stack->event_count < stack->event_capacity ? stack->event_count : stack->event_capacity;
    uint64_t oldest = stack->event_count - kept;
    if (*cursor < oldest) {
        if (lost)
            *lost += oldest - *cursor;
        *cursor = oldest;
    }
    if (*cursor >= stack->event_count)
        return false;
    *event = stack->events[(*cursor)++ & (stack->event_capacity - 1)];
    return true;
}

uint64_t stack_event_count(const struct stack *stack) { return stack->event_count; }

const uint64_t *stack_counters(const struct stack *stack) { return stack->counters; }

uint64_t stack_hash(const struct stack *stack, unsigned which, const void *bytes, size_t size)
{
    uint8_t out[crypto_shorthash_siphash24_BYTES];
    const uint8_t *key = stack->seed + which % 2 * crypto_shorthash_siphash24_KEYBYTES;
    crypto_shorthash_siphash24(out, bytes, size, key);
    uint64_t hash;
    memcpy(&hash, out, sizeof hash);
    return hash;
}

uint32_t stack_random32(struct stack *stack)
{
    /* The word in front keeps this use of the key apart from every hash of addresses and ports. */
    struct {
        char use[8];
        uint64_t number;
    } draw = {"random", stack->random_drawn++};
    return (uint32_t)stack_hash(stack, 1, &draw, sizeof draw);
}

/* Comparison of sequence numbers modulo 2^32 (RFC 9293, 3.4). */
#ifndef TAPSTACK_CORE_SEQ_H
#define TAPSTACK_CORE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_le(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline bool seq_gt(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }
static inline bool seq_ge(uint32_t a, uint32_t b) { return (int32_t)(a - b) >= 0; }
static inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_gt(a, b) ? a : b; }
static inline uint32_t seq_min(uint32_t a, uint32_t b) { return seq_lt(a, b) ? a : b; }

/* left <= seq < right, for windows of less than 2^31. */
static inline bool seq_in(uint32_t seq, uint32_t left, uint32_t right)
{
    return (uint32_t)(seq - left) < (uint32_t)(right - left);
}

#endif

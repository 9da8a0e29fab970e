/* Big-endian integers in byte strings: the only place where bytes become numbers and back. */
#ifndef TAPSTACK_WIRE_BYTES_H
#define TAPSTACK_WIRE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const uint8_t *at)
{
    uint16_t raw;
    memcpy(&raw, at, sizeof raw);
    return __builtin_bswap16(raw);
}

static inline uint32_t bytes_get32(const uint8_t *at)
{
    uint32_t raw;
    memcpy(&raw, at, sizeof raw);
    return __builtin_bswap32(raw);
}

static inline void bytes_put16(uint8_t *at, uint16_t value)
{
    uint16_t raw = __builtin_bswap16(value);
    memcpy(at, &raw, sizeof raw);
}

static inline void bytes_put32(uint8_t *at, uint32_t value)
{
    uint32_t raw = __builtin_bswap32(value);
    memcpy(at, &raw, sizeof raw);
}

#endif

/* The clocks: read here only, handed on as numbers. */
#ifndef TAPSTACK_HOST_CLOCK_H
#define TAPSTACK_HOST_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in microseconds: what the stack lives by. */
uint64_t clock_monotonic_us(void);

/* CLOCK_REALTIME in nanoseconds since 1970: for captures and for people. */
uint64_t clock_realtime_ns(void);

#endif

/* The allocator that the daemon gives to the pure parts: malloc, tuned to give memory back. */
#ifndef TAPSTACK_HOST_HEAP_H
#define TAPSTACK_HOST_HEAP_H

#include <stdint.h>

#include "../wire/memory.h"

/* Tunes malloc; once, before anything large is allocated. */
void heap_tune(void);

/* Gives unused pages back to the system now and then; called in every turn, mostly does nothing. */
void heap_trim(uint64_t now_us);

extern const struct memory heap_memory;

#endif

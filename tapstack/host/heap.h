/* The allocator that the daemon gives to the pure parts: malloc, tuned to give memory back. */
#ifndef TAPSTACK_HOST_HEAP_H
#define TAPSTACK_HOST_HEAP_H

#include "../wire/memory.h"

/* Tunes malloc; once, before anything large is allocated. */
void heap_tune(void);

extern const struct memory heap_memory;

#endif

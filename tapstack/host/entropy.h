/* The secret of a run. */
#ifndef TAPSTACK_HOST_ENTROPY_H
#define TAPSTACK_HOST_ENTROPY_H

#include <stddef.h>

/* Fills bytes with numbers nobody can guess, waiting for the kernel's pool if it must.
   Returns 0 or a negative errno. */
int entropy_fill(void *bytes, size_t size);

#endif

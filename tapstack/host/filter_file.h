/* The packet filter's rules as the configuration gives them: a file, and lines of its own. */
#ifndef TAPSTACK_HOST_FILTER_FILE_H
#define TAPSTACK_HOST_FILTER_FILE_H

#include <stddef.h>

#include "config.h"

enum { FILTER_FILE_MAX = 8 << 20 };

/* The rules of the file that the configuration names, then those that stand in it: a text without
   errors, the caller's to free; "" when there are none. Returns NULL with one line in error:
   "file:line:column: what is wrong". */
char *filter_file_text(const struct config *config, char *error, size_t error_bytes);

/* Loads a text into the stack; the old rules stay when that fails. Returns 0, or -1 with one line
   in error. */
int filter_file_load(struct stack *stack, const char *text, uint64_t now_us, char *error,
                     size_t error_bytes);

#endif

/* A buffer of answers on their way to the socket: filled at the end, sent from the start. */
#ifndef TAPSTACK_HTTPD_OUTPUT_H
#define TAPSTACK_HTTPD_OUTPUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    OUTPUT_BYTES = 64 * 1024,
    OUTPUT_ANSWER_BYTES = 28 * 1024, /* room that one answer may need: header and small body */
};

struct output {
    struct output *next; /* in the worker's list of spare ones */
    uint32_t start;      /* sent up to here */
    uint32_t used;
    char bytes[OUTPUT_BYTES];
};

static inline void output_add(struct output *output, const char *bytes, size_t size)
{
    assert(size <= OUTPUT_BYTES - output->used);
    memcpy(output->bytes + output->used, bytes, size);
    output->used += (uint32_t)size;
}

static inline void output_text(struct output *output, const char *text)
{
    output_add(output, text, strlen(text));
}

static inline void output_number(struct output *output, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    output_add(output, digits + at, sizeof(digits) - at);
}

#endif

/* Building a line of text in a buffer of fixed size, cut where it is full. */
#ifndef TAPSTACK_WIRE_APPEND_H
#define TAPSTACK_WIRE_APPEND_H

#include <stddef.h>
#include <stdint.h>

/* The text stays closed by a NUL after every call. */
struct append {
    char *text;
    size_t capacity; /* bytes, with the NUL; at least 1 */
    size_t length;   /* bytes, without the NUL */
};

static inline struct append append_start(char *text, size_t capacity)
{
    text[0] = 0;
    return (struct append){text, capacity, 0};
}

static inline void append_char(struct append *to, char c)
{
    if (to->length + 1 >= to->capacity)
        return;
    to->text[to->length++] = c;
    to->text[to->length] = 0;
}

static inline void append_string(struct append *to, const char *string)
{
    while (*string)
        append_char(to, *string++);
}

static inline void append_decimal(struct append *to, uint64_t number)
{
    char digits[20];
    unsigned count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0)
        append_char(to, digits[--count]);
}

/* width: digits, with leading zeros. */
static inline void append_hex(struct append *to, uint32_t number, unsigned width)
{
    while (width-- > 0)
        append_char(to, "0123456789abcdef"[number >> (4 * width) & 15]);
}

/* A word and the number behind it: " win 65535". */
static inline void append_field(struct append *to, const char *word, uint64_t number)
{
    append_string(to, word);
    append_decimal(to, number);
}

#endif

/* Quantities as people write them: 200ms, 64k, 1%, 100mbit, on. */
#ifndef TAPSTACK_HOST_QUANTITY_H
#define TAPSTACK_HOST_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

enum quantity_kind {
    QUANTITY_COUNT,  /* 4096 */
    QUANTITY_SWITCH, /* on, off, yes, no, true, false, 1, 0 */
    QUANTITY_TIME,   /* microseconds: 250us, 40ms, 1.5s, 2min, 1h */
    QUANTITY_BYTES,  /* 1500, 64k, 4M, 1G: powers of 1024 */
    QUANTITY_SHARE,  /* millionths: 0.5% */
    QUANTITY_RATE,   /* thousand bits a second: 64kbit, 100mbit, 1gbit */
};

enum { QUANTITY_TEXT_MAX = 32 };

/* Reads a number and its unit that fill all of text; times, shares and rates want a unit unless
   they are 0. Returns 0, or -1 when it is none of this kind, does not come out whole, or exceeds 64
   bits. */
int quantity_parse(const char *text, enum quantity_kind kind, uint64_t *value);

/* Writes it the same way, in the largest unit that keeps it whole, with its NUL.
   text: QUANTITY_TEXT_MAX bytes. */
void quantity_format(uint64_t value, enum quantity_kind kind, char *text);

/* What quantity_parse wants to read: "a time such as 40ms or 1.5s". */
const char *quantity_describe(enum quantity_kind kind);

/* The kind of a stack setting, by its unit and bounds as stack_setting_info gives them. */
enum quantity_kind quantity_kind_of(const char *unit, uint64_t most);

#endif

/* Quantities with their units, read and written. */
#include "quantity.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct quantity_unit {
    enum quantity_kind kind;
    const char *name;
    uint64_t factor;
};

/* Of each kind the smaller before the larger. */
static const struct quantity_unit quantity_units[] = {
    {QUANTITY_COUNT, "", 1},          {QUANTITY_TIME, "us", 1},
    {QUANTITY_TIME, "ms", 1000},      {QUANTITY_TIME, "s", 1000000},
    {QUANTITY_TIME, "min", 60000000}, {QUANTITY_TIME, "h", 3600000000},
    {QUANTITY_BYTES, "", 1},          {QUANTITY_BYTES, "k", 1 << 10},
    {QUANTITY_BYTES, "M", 1 << 20},   {QUANTITY_BYTES, "G", 1 << 30},
    {QUANTITY_SHARE, "%", 10000},     {QUANTITY_RATE, "kbit", 1},
    {QUANTITY_RATE, "mbit", 1000},    {QUANTITY_RATE, "gbit", 1000000},
};
enum { QUANTITY_UNITS = sizeof quantity_units / sizeof quantity_units[0] };

static const char *const quantity_switch_words[] = {"off",   "on",   "no", "yes",
                                                    "false", "true", "0",  "1"};
enum { QUANTITY_WORDS = sizeof quantity_switch_words / sizeof quantity_switch_words[0] };

static int quantity_parse_switch(const char *text, uint64_t *value)
{
    for (unsigned i = 0; i < QUANTITY_WORDS; i++) {
        if (strcmp(text, quantity_switch_words[i]) == 0) {
            *value = i % 2;
            return 0;
        }
    }
    return -1;
}

static const struct quantity_unit *quantity_find_unit(const char *name, enum quantity_kind kind)
{
    for (unsigned i = 0; i < QUANTITY_UNITS; i++)
        if (quantity_units[i].kind == kind && strcmp(quantity_units[i].name, name) == 0)
            return &quantity_units[i];
    return NULL;
}

/* Reads digits, moving *text behind them: number = number * 10 + digit; scale is multiplied
   along. */
static bool quantity_parse_digits(const char **text, uint64_t *number, uint64_t *scale)
{
    const char *start = *text;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        uint64_t digit = (uint64_t)(**text - '0');
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, digit, number) ||
            __builtin_mul_overflow(*scale, 10, scale))
            return false;
    }
    return *text > start;
}

int quantity_parse(const char *text, enum quantity_kind kind, uint64_t *value)
{
    uint64_t number = 0, scale = 1;
    if (kind == QUANTITY_SWITCH)
        return quantity_parse_switch(text, value);
    if (!quantity_parse_digits(&text, &number, &scale))
        return -1;
    scale = 1;
    if (*text == '.' && (text++, !quantity_parse_digits(&text, &number, &scale)))
        return -1;
    if (number == 0 && *text == '\0') {
        *value = 0;
        return 0;
    }
    const struct quantity_unit *unit = quantity_find_unit(text, kind);
    if (!unit || __builtin_mul_overflow(number, unit->factor, &number) || number % scale != 0)
        return -1;
    *value = number / scale;
    return 0;
}

static void quantity_format_share(uint64_t value, char *text)
{
    uint64_t rest = value % 10000;
    int length = snprintf(text, QUANTITY_TEXT_MAX, "%llu.%04llu",
                          (unsigned long long)(value / 10000), (unsigned long long)rest);
    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    snprintf(text + length, QUANTITY_TEXT_MAX - (size_t)length, "%%");
}

void quantity_format(uint64_t value, enum quantity_kind kind, char *text)
{
    const struct quantity_unit *unit = NULL;
    if (kind == QUANTITY_SWITCH) {
        snprintf(text, QUANTITY_TEXT_MAX, "%s", quantity_switch_words[value != 0]);
        return;
    }
    if (kind == QUANTITY_SHARE) {
        quantity_format_share(value, text);
        return;
    }
    for (unsigned i = 0; i < QUANTITY_UNITS; i++)
        if (quantity_units[i].kind == kind && (!unit || value % quantity_units[i].factor == 0))
            unit = &quantity_units[i];
    if (value == 0)
        snprintf(text, QUANTITY_TEXT_MAX, "0");
    else
        snprintf(text, QUANTITY_TEXT_MAX, "%llu%s", (unsigned long long)(value / unit->factor),
                 unit->name);
}

const char *quantity_describe(enum quantity_kind kind)
{
    switch (kind) {
    case QUANTITY_COUNT:
        return "a whole number";
    case QUANTITY_SWITCH:
        return "on or off";
    case QUANTITY_TIME:
        return "a time with its unit, such as 40ms or 1.5s";
    case QUANTITY_BYTES:
        return "a size in bytes, such as 1500, 64k or 4M";
    case QUANTITY_SHARE:
        return "a share in percent, such as 0.5%";
    case QUANTITY_RATE:
        return "a rate, such as 64kbit or 100mbit";
    }
    return "a quantity";
}

enum quantity_kind quantity_kind_of(const char *unit, uint64_t most)
{
    if (strcmp(unit, "us") == 0)
        return QUANTITY_TIME;
    if (strcmp(unit, "bytes") == 0)
        return QUANTITY_BYTES;
    return most == 1 ? QUANTITY_SWITCH : QUANTITY_COUNT;
}

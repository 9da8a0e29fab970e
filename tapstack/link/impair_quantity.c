/* Numbers with their units, read from a word and written behind a text. */
#include "impair_quantity.h"

#include <string.h>

enum { MILLION = 1000000, PERCENT_PPM = 10000 };

static const uint64_t TRILLION = 1000000000000U;
static const uint64_t DAY_US = 86400000000U;
static const uint64_t RATE_MAX = 1000000000000U; /* a terabit a second */
static const uint64_t AMOUNT_MAX = 1 << 30;

struct unit {
    const char *name;
    uint64_t factor;
};

/* Of each kind the ones that are written first, the smaller before the larger. */
static const struct unit times[] = {{"us", 1},         {"ms", 1000},       {"s", MILLION},
                                    {"usec", 1},       {"usecs", 1},       {"msec", 1000},
                                    {"msecs", 1000},   {"sec", MILLION},   {"secs", MILLION},
                                    {"min", 60000000}, {"h", 3600000000U}, {NULL, 0}};
static const struct unit rates[] = {
    {"bit", 1}, {"kbit", 1000}, {"mbit", MILLION},     {"gbit", 1000000000},
    {"bps", 8}, {"kbps", 8000}, {"mbps", 8 * MILLION}, {"gbps", 8000000000U},
    {NULL, 0}};
static const struct unit sizes[] = {{"b", 1},       {"k", 1 << 10},  {"kb", 1 << 10},
                                    {"m", 1 << 20}, {"mb", 1 << 20}, {NULL, 0}};

bool impair_word_is(struct impair_word word, const char *text)
{
    return strlen(text) == word.length && memcmp(text, word.text, word.length) == 0;
}

/* ---- Reading ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Takes digits, with a point among them: the number without its point, and 10^(digits behind it).
   The word moves behind. */
static bool take_decimal(struct impair_word *word, uint64_t *number, uint64_t *scale)
{
    bool any = false, point = false;
    *number = 0;
    *scale = 1;
    for (; word->length > 0; word->text++, word->length--) {
        char c = *word->text;
        if (c == '.' && any && !point) {
            point = true;
            continue;
        }
        if (!is_digit(c))
            break;
        any = true;
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(c - '0'), number) ||
            (point && __builtin_mul_overflow(*scale, 10, scale)))
            return false;
    }
    return any && word->text[-1] != '.';
}

/* number * factor / scale, which must be whole and at most this. */
static bool scaled(uint64_t number, uint64_t factor, uint64_t scale, uint64_t most, uint64_t *value)
{
    if (__builtin_mul_overflow(number, factor, &number) || number % scale != 0)
        return false;
    *value = number / scale;
    return *value <= most;
}

static bool read_with_unit(struct impair_word word, const struct unit *units, uint64_t most,
                           uint64_t *value)
{
    uint64_t number, scale;
    if (!take_decimal(&word, &number, &scale))
        return false;
    if (word.length == 0 && number == 0) {
        *value = 0;
        return true;
    }
    for (; units->name; units++)
        if (impair_word_is(word, units->name))
            return scaled(number, units->factor, scale, most, value);
    return false;
}

static bool take_hex(struct impair_word word, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < word.length; i++) {
        const char *digits = "0123456789abcdef", *digit = digits;
        while (*digit && *digit != (word.text[i] | 0x20))
            digit++;
        if (!*digit)
            return false;
        *number = *number << 4 | (uint64_t)(digit - digits);
    }
    return word.length > 0 && word.length <= 8;
}

bool impair_read_number(struct impair_word word, uint64_t *number)
{
    uint64_t scale;
    if (word.length > 2 && word.text[0] == '0' && word.text[1] == 'x')
        return take_hex((struct impair_word){word.text + 2, word.length - 2}, number);
    return take_decimal(&word, number, &scale) && word.length == 0 && scale == 1;
}

bool impair_read_share(struct impair_word word, uint32_t *ppm)
{
    uint64_t number, scale, value;
    if (!take_decimal(&word, &number, &scale) || (word.length > 0 && !impair_word_is(word, "%")) ||
        !scaled(number, PERCENT_PPM, scale, MILLION, &value))
        return false;
    *ppm = (uint32_t)value;
    return true;
}

bool impair_read_time(struct impair_word word, uint64_t *us)
{
    return read_with_unit(word, times, DAY_US, us);
}

bool impair_read_rate(struct impair_word word, uint64_t *bits)
{
    return read_with_unit(word, rates, RATE_MAX, bits) && *bits > 0;
}

bool impair_read_amount(struct impair_word word, struct impairment_amount *amount)
{
    uint64_t number;
    amount->in_bytes = !impair_read_number(word, &number);
    if (amount->in_bytes)
        return read_with_unit(word, sizes, AMOUNT_MAX, &amount->count) && amount->count > 0;
    amount->count = number;
    return number > 0 && number <= AMOUNT_MAX;
}

/* 2.5e-6: a decimal, and how often it is divided by ten. */
bool impair_read_biterror(struct impair_word word, uint64_t *ppt)
{
    uint64_t number, scale, exponent = 0, no_point;
    if (!take_decimal(&word, &number, &scale))
        return false;
    if (impair_word_is(word, "%"))
        exponent = 2;
    else if (word.length > 2 && (word.text[0] | 0x20) == 'e' && word.text[1] == '-') {
        word = (struct impair_word){word.text + 2, word.length - 2};
        if (!take_decimal(&word, &exponent, &no_point) || no_point != 1 || word.length > 0)
            return false;
    } else if (word.length > 0) {
        return false;
    }
    for (; exponent > 0; exponent--)
        if (exponent > 20 || __builtin_mul_overflow(scale, 10, &scale))
            return false;
    return scaled(number, TRILLION, scale, TRILLION / 10, ppt) && *ppt > 0;
}

/* ---- Writing ---- */

/* value / 10^places, without zeros at the end. */
static void append_decimals(struct append *to, uint64_t value, unsigned places)
{
    uint64_t scale = 1;
    for (unsigned i = 0; i < places; i++)
        scale *= 10;
    append_decimal(to, value / scale);
    if (value % scale == 0)
        return;
    append_char(to, '.');
    for (value %= scale; value > 0; value %= scale) {
        scale /= 10;
        append_char(to, (char)('0' + value / scale));
    }
}

void impair_append_share(struct append *to, uint32_t ppm)
{
    append_decimals(to, ppm, 4);
    append_char(to, '%');
}

/* In the largest of the first few units that keeps it whole. */
static void append_with_unit(struct append *to, uint64_t value, const struct unit *units,
                             unsigned count)
{
    while (count > 1 && (value == 0 || value % units[count - 1].factor != 0))
        count--;
    append_decimal(to, value / units[count - 1].factor);
    append_string(to, units[count - 1].name);
}

void impair_append_time(struct append *to, uint64_t us) { append_with_unit(to, us, times, 3); }

void impair_append_rate(struct append *to, uint64_t bits) { append_with_unit(to, bits, rates, 4); }

void impair_append_biterror(struct append *to, uint64_t ppt)
{
    unsigned exponent = 12;
    for (; exponent > 0 && ppt % 10 == 0; exponent--)
        ppt /= 10;
    append_decimal(to, ppt);
    append_string(to, "e-");
    append_decimal(to, exponent);
}

void impair_append_amount(struct append *to, const struct impairment_amount *amount)
{
    append_decimal(to, amount->count);
    if (amount->in_bytes)
        append_char(to, 'b');
}

/* Decoding a path (RFC 3986 2.1, 3.3) so that one file has one name and nothing climbs or hides. */
#include "target.h"

#include <stdbool.h>
#include <stdint.h>

static int digit_of(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* The length of the UTF-8 sequence that begins here, 0 if it is not one (overlong, a surrogate,
   above U+10FFFF, cut). RFC 3629 section 4. */
static size_t utf8_length(const unsigned char *at, const unsigned char *end)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;
    if (*at < 0x80)
        return 1;
    if (*at < 0xc2 || *at > 0xf4)
        return 0;
    length = *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    if (*at == 0xe0)
        low = 0xa0;
    else if (*at == 0xed)
        high = 0x9f;
    else if (*at == 0xf0)
        low = 0x90;
    else if (*at == 0xf4)
        high = 0x8f;
    if ((size_t)(end - at) < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static bool utf8_is_valid(const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + size;
    while (at < end) {
        size_t length = utf8_length(at, end);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

/* The byte at path[*at], an escape counting as one; *at moves on. -1: not a valid escape. */
static int next_byte(const char *path, size_t size, size_t *at, bool *escaped)
{
    int high, low;
    *escaped = path[*at] == '%';
    if (!*escaped)
        return (unsigned char)path[(*at)++];
    if (size - *at < 3)
        return -1;
    high = digit_of(path[*at + 1]);
    low = digit_of(path[*at + 2]);
    *at += 3;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int target_decode(const char *path, size_t size, char name[TARGET_NAME_BYTES])
{
    size_t used = 0, at = 0;
    int status = 0;
    while (at < size) {
        bool escaped;
        int byte = next_byte(path, size, &at, &escaped);
        bool fresh = used == 0 || name[used - 1] == '/'; /* a segment begins here */
        if (byte < 0x20 || byte == 0x7f)
            return 400;
        if (byte == '/' && fresh && !escaped)
            continue;
        if ((byte == '.' && fresh) || (byte == '/' && escaped) || used == TARGET_NAME_BYTES - 1) {
            status = 404; /* but a broken escape further on still makes it 400 */
            used = used == TARGET_NAME_BYTES - 1 ? used - 1 : used;
        }
        name[used++] = (char)byte;
    }
    name[used] = 0;
    if (status == 0 && !utf8_is_valid(name, used))
        return 400;
    return status;
}

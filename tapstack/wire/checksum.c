/* The Internet checksum of RFC 1071, over pieces of any length.

   The sum is the same in either byte order but for a swap of its two bytes (RFC 1071, 2(B)), and
   carries may be added back at the end, however wide the words are that were added (2(C)). So the
   loop adds native words of eight bytes and counts their carries, and the result is folded to 16
   bits and swapped once. */
#include "checksum.h"

#include "bytes.h"

/* Two's complement halves of 32 bits, so that 2^32 words can be added before a carry is lost. */
struct accumulator {
    uint64_t low;
    uint64_t high;
};

static inline void accumulate(struct accumulator *to, const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    to->low += (uint32_t)word;
    to->high += word >> 32;
}

static inline uint16_t fold64(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    return checksum_fold((uint32_t)sum);
}

/* Up to seven bytes behind the last full word; the missing ones count as zero. */
static inline uint64_t last_word(const uint8_t *at, size_t size)
{
    uint64_t word = 0;
    unsigned shift = 0;
    if (size & 4) {
        uint32_t four;
        memcpy(&four, at, sizeof four);
        word = four;
        shift = 32;
        at += 4;
    }
    if (size & 2) {
        uint16_t two;
        memcpy(&two, at, sizeof two);
        word |= (uint64_t)two << shift;
        shift += 16;
        at += 2;
    }
    if (size & 1)
        word |= (uint64_t)*at << shift;
    return word;
}

/* The folded sum of one piece in host order. */
static uint16_t sum_piece(const uint8_t *at, size_t size)
{
    struct accumulator even = {0, 0}, odd = {0, 0};
    for (; size >= 32; size -= 32, at += 32) {
        accumulate(&even, at);
        accumulate(&odd, at + 8);
        accumulate(&even, at + 16);
        accumulate(&odd, at + 24);
    }
    for (; size >= 8; size -= 8, at += 8)
        accumulate(&even, at);
    uint64_t last = last_word(at, size);
    uint64_t sum = even.low + odd.low + (uint32_t)last;
    sum += even.high + odd.high + (last >> 32);
    return __builtin_bswap16(fold64(sum));
}

/* Adds with the carry brought back, so that no number of pieces makes the sum overflow. */
static inline uint32_t add_carry(uint32_t sum, uint32_t term)
{
    sum += term;
    return sum + (sum < term);
}

uint32_t checksum_add(uint32_t sum, const void *data, size_t size)
{
    return add_carry(sum, sum_piece(data, size));
}

uint32_t checksum_add_at(uint32_t sum, const void *data, size_t size, size_t offset)
{
    uint16_t piece = sum_piece(data, size);
    return add_carry(sum, offset & 1 ? __builtin_bswap16(piece) : piece);
}

/* One formula for both families: the ffff that stands before an IPv4 address in struct ip_address
   is a zero of one's complement arithmetic, and a 32-bit length below 65536 adds nothing to its
   upper half, so the pseudo headers of RFC 9293 3.1 and RFC 8200 8.1 have the same sum. */
uint32_t checksum_add_pseudo(uint32_t sum, const struct ip_address *source,
                             const struct ip_address *destination, uint8_t protocol, size_t length)
{
    sum = checksum_add(sum, source->octets, sizeof source->octets);
    sum = checksum_add(sum, destination->octets, sizeof destination->octets);
    sum = add_carry(sum, protocol);
    return add_carry(sum, (uint32_t)length);
}

uint16_t checksum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint16_t checksum_finish(uint32_t sum) { return (uint16_t)~checksum_fold(sum); }

/* How far a delay is off, and how far apart bad bits stand: in integers, so the same everywhere.

   The named distributions are made with the mean 0 and the standard deviation 1, in units of
   1 / DISTRIBUTION_ONE, by formula instead of from tables. */
#include "distribution.h"

#include <assert.h>

#include "lot.h"

enum {
    DISTRIBUTION_ONE_BITS = 16,
    DISTRIBUTION_ONE = 1 << DISTRIBUTION_ONE_BITS,
    PARETO_BITS = 12,
    /* Of the 2^PARETO_BITS values below: mean, and deviation, in 1/65536. */
    PARETO_MEAN = 98239,
    PARETO_DEVIATION = 53367,
    ROOT_OF_TEN = 207243, /* in 1/65536 */
    LOGARITHM_BITS = 40,
};

/* The sum of twelve even numbers below 1 has the deviation 1 and is normal for all that a network
   can tell (its tails end at 6). */
static int64_t draw_normal(uint64_t lot)
{
    int64_t sum = 0;
    for (uint64_t i = 0; i < 3; i++)
        for (uint64_t four = lot_hash(lot, i), n = 0; n < 4; n++, four >>= 16)
            sum += (int64_t)(four & 0xffff);
    return sum - 12 * 0xffff / 2;
}

/* The largest number whose cube is at most n, below 2^24. */
static uint64_t cube_root(unsigned __int128 n)
{
    uint64_t root = 0;
    for (uint64_t bit = 1U << 23; bit > 0; bit >>= 1) {
        uint64_t next = root | bit;
        if ((unsigned __int128)next * next * next <= n)
            root = next;
    }
    return root;
}

/* Pareto's with the exponent 3, as netem's: u^(-1/3) for u in the middle of 4096 equal parts, which
   ends the tail at 23 deviations. */
static int64_t draw_pareto(uint64_t lot)
{
    uint64_t odd = 2 * (lot >> (64 - PARETO_BITS)) + 1;
    uint64_t inverse = (UINT64_C(2) << (PARETO_BITS + 48)) / odd;
    int64_t value = (int64_t)cube_root(inverse) - PARETO_MEAN;
    return value * DISTRIBUTION_ONE / PARETO_DEVIATION;
}

/* One part normal, three parts Pareto, as netem's. */
static int64_t draw_paretonormal(uint64_t lot)
{
    int64_t value = draw_normal(lot_hash(lot, 1)) + 3 * draw_pareto(lot_hash(lot, 2));
    return value * DISTRIBUTION_ONE / ROOT_OF_TEN;
}

static int64_t draw_standard(enum impairment_distribution distribution, uint64_t lot)
{
    switch (distribution) {
    case IMPAIRMENT_UNIFORM:
        break;
    case IMPAIRMENT_NORMAL:
        return draw_normal(lot);
    case IMPAIRMENT_PARETO:
        return draw_pareto(lot);
    case IMPAIRMENT_PARETONORMAL:
        return draw_paretonormal(lot);
    }
    return 0;
}

int64_t distribution_draw(enum impairment_distribution distribution, uint64_t jitter_us,
                          uint64_t lot)
{
    if (distribution == IMPAIRMENT_UNIFORM)
        return (int64_t)lot_below(lot, 2 * jitter_us + 1) - (int64_t)jitter_us;
    __int128 value = (__int128)draw_standard(distribution, lot) * (int64_t)jitter_us;
    return (int64_t)((value + DISTRIBUTION_ONE / 2) >> DISTRIBUTION_ONE_BITS);
}

/* ---- Gaps between bad bits ---- */

/* -ln(n / 2^64) in 1 / 2^LOGARITHM_BITS. The binary logarithm's fraction comes out bit by bit: a
   number from 1 to 2 is squared, and where the square reaches 2 the bit is set. */
static uint64_t minus_logarithm(uint64_t n)
{
    static const uint64_t ln_2 = 0xb17217f7d1cf79abU; /* in 1 / 2^64 */
    n |= n == 0;
    unsigned zeros = (unsigned)__builtin_clzll(n);
    uint64_t mantissa = n << zeros, fraction = 0;
    for (int i = 0; i < LOGARITHM_BITS; i++) {
        unsigned __int128 square = (unsigned __int128)mantissa * mantissa >> 63;
        bool bit = square >> 64 != 0;
        fraction = fraction << 1 | bit;
        mantissa = (uint64_t)(square >> bit);
    }
    uint64_t binary = ((uint64_t)(zeros + 1) << LOGARITHM_BITS) - fraction;
    return (uint64_t)((unsigned __int128)binary * ln_2 >> 64);
}

/* -ln(1 - p) = p + p^2/2 + p^3/3 ..., both in 1 / 2^64. */
static uint64_t minus_logarithm_of_rest(uint64_t p)
{
    uint64_t sum = 0, power = p;
    for (uint64_t n = 1; power > 0; n++) {
        sum += power / n;
        power = (uint64_t)((unsigned __int128)power * p >> 64);
    }
    return sum;
}

/* The number of good ones before a bad one is geometrically distributed:
   floor(ln(u) / ln(1 - p)). */
uint64_t distribution_gap(uint64_t ppt, uint64_t lot)
{
    assert(ppt > 0 && ppt <= 500000000000U);
    uint64_t p = (uint64_t)(((unsigned __int128)ppt << 64) / 1000000000000U);
    unsigned __int128 numerator = (unsigned __int128)minus_logarithm(lot) << (64 - LOGARITHM_BITS);
    return (uint64_t)(numerator / minus_logarithm_of_rest(p));
}

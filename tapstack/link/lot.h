/* Chance that repeats: lots drawn from a key and a number instead of from a running generator.

   A lot depends only on the key of who asks, the number of what it is about and the question. So one
   more question, or one more asker, leaves all other lots where they were. */
#ifndef TAPSTACK_LINK_LOT_H
#define TAPSTACK_LINK_LOT_H

#include <stdbool.h>
#include <stdint.h>

enum { LOT_MILLION = 1000000 };

/* splitmix64 (Steele, Lea and Flood, 2014): its n-th number is a hash of key + n * the golden
   ratio. */
static inline uint64_t lot_hash(uint64_t key, uint64_t n)
{
    uint64_t z = key + n * 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* A lot as a number below limit, evenly distributed. */
static inline uint64_t lot_below(uint64_t lot, uint64_t limit)
{
    return (uint64_t)((unsigned __int128)lot * limit >> 64);
}

/* Does something happen that happens in so many of a million cases? */
static inline bool lot_happens(uint64_t lot, uint32_t ppm)
{
    return lot_below(lot, LOT_MILLION) < ppm;
}

#endif

/* How far a delay is off, and how far apart bad bits stand: one lot, one value. */
#ifndef TAPSTACK_LINK_DISTRIBUTION_H
#define TAPSTACK_LINK_DISTRIBUTION_H

#include <stdint.h>

#include "impairment.h"

/* A deviation of mean 0: evenly in -jitter .. jitter, or with jitter as the standard deviation. */
int64_t distribution_draw(enum impairment_distribution distribution, uint64_t jitter_us,
                          uint64_t lot);

/* How many good bits stand before the next bad one where each is bad with probability ppt / 10^12.
   ppt: 1 .. 10^12 / 2. */
uint64_t distribution_gap(uint64_t ppt, uint64_t lot);

#endif

/* The frame check sequence of Ethernet: CRC-32 behind the frame (IEEE 802.3, 3.2.9). */
#ifndef TAPSTACK_WIRE_FCS_H
#define TAPSTACK_WIRE_FCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FCS_BYTES = 4 };

/* Writes the FCS of the first size bytes behind them. bytes: room for size + FCS_BYTES. */
void fcs_append(uint8_t *bytes, size_t size);

/* Is the FCS in the last four of size bytes right? False for fewer than four. */
bool fcs_check(const uint8_t *bytes, size_t size);

#endif

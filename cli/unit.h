/* Quantities as text: times, sizes, rates, settings. */
#ifndef TAPSTACK_CLI_UNIT_H
#define TAPSTACK_CLI_UNIT_H

#include <stdint.h>

enum { UNIT_TEXT_MAX = 64 };

/* Each writes into out (UNIT_TEXT_MAX bytes) and returns it. */

/* Milliseconds with the microseconds behind the point: "0.312 ms". */
const char *unit_ms(uint64_t us, char *out);
/* For long times: "2d 3h 04m 05s", "12.345 s". */
const char *unit_duration(uint64_t us, char *out);
/* "1.5 Mbit/s" from bits a second. */
const char *unit_rate(double bits, char *out);
/* "12.0 MiB" */
const char *unit_bytes(uint64_t count, char *out);
/* A setting's value in the largest unit that leaves no rest, as the daemon reads it: 200000 us is
   "200ms". unit: "us", "bytes" or any other, which is put behind the number. */
const char *unit_setting(uint64_t value, const char *unit, char *out);

#endif

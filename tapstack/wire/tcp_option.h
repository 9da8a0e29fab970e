/* Private to wire: the kinds, lengths and usual words of TCP options. */
#ifndef TAPSTACK_WIRE_TCP_OPTION_H
#define TAPSTACK_WIRE_TCP_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tcp_option_kind {
    TCP_KIND_END = 0,
    TCP_KIND_NOP = 1,
    TCP_KIND_MSS = 2,
    TCP_KIND_WINDOW_SCALE = 3,
    TCP_KIND_SACK_PERMITTED = 4,
    TCP_KIND_SACK = 5,
    TCP_KIND_TIMESTAMPS = 8,
};

enum {
    TCP_MSS_BYTES = 4,
    TCP_WINDOW_SCALE_BYTES = 3,
    TCP_SACK_PERMITTED_BYTES = 2,
    TCP_TIMESTAMPS_BYTES = 10,
};

/* The four bytes that open an option as tcp_write lays it out; _WORD ones lack their value. */
enum {
    TCP_MSS_WORD = 0x02040000,
    TCP_NOP_WINDOW_SCALE_WORD = 0x01030300,
    TCP_NOP_NOP_SACK_PERMITTED = 0x01010402,
    TCP_SACK_PERMITTED_TIMESTAMPS = 0x0402080a,
    TCP_NOP_NOP_TIMESTAMPS = 0x0101080a,
    TCP_NOP_NOP_SACK_WORD = 0x01010500,
};

/* The bytes of the option at at, 0 when its length is zero, short or beyond end. fits: has it the
   length that its kind asks for? at is below end. */
size_t tcp_option_length(const uint8_t *at, const uint8_t *end, bool *fits);

#endif

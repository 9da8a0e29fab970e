/* The TAP device: frames with their offload header in and out of a descriptor. */
#ifndef TAPSTACK_HOST_TAP_H
#define TAPSTACK_HOST_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/frame.h"

enum tap_offload { TAP_OFFLOAD_NONE, TAP_OFFLOAD_CHECKSUM, TAP_OFFLOAD_CHECKSUM_TSO };

enum { TAP_ERROR_MAX = 192, TAP_AGAIN = -1, TAP_REFUSED = -2, TAP_GONE = -3 };

struct tap {
    int fd;
    char name[16];            /* as the kernel gave it: "tap%d" becomes "tap0" */
    enum tap_offload offload; /* what both sides may leave undone */
    char offload_text[64];    /* the same in words, with the reason when it is less than asked */
};

/* Opens or makes the TAP device `name`, non-blocking. offload: ask for checksum offload and TSO,
   and take what the kernel gives. Returns 0, or -1 with one line in error (TAP_ERROR_MAX bytes). */
int tap_open(struct tap *tap, const char *name, bool offload, char *error);
void tap_close(struct tap *tap);

/* Prepares the host's side through rtnetlink: MTU, address (host order; 0: none is added), link up.
   Returns 0, or -1 with one line in error. */
int tap_configure_host(const struct tap *tap, uint32_t address_v4, uint8_t prefix_bits,
                       uint16_t mtu_bytes, char *error);

/* Tells the host's side that the carrier is there, or gone. Returns 0 or a negative errno. */
int tap_set_carrier(const struct tap *tap, bool up);

/* Reads one frame to bytes (capacity bytes) and fills in frame's flags and offload fields.
   Returns its size, TAP_AGAIN (none waits), TAP_REFUSED (unusable, skip it) or TAP_GONE (the device
   was removed). */
int tap_read(const struct tap *tap, struct frame *frame, uint8_t *bytes, size_t capacity);

/* Writes one frame. Returns 0, TAP_AGAIN (full), TAP_REFUSED or TAP_GONE. */
int tap_write(const struct tap *tap, const struct frame *frame);

#endif

/* One interface's TAP device, with the card and the cable between it and the stack. */
#ifndef TAPSTACK_HOST_DEVICE_H
#define TAPSTACK_HOST_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "../link/cable.h"
#include "../link/impair_text.h"
#include "../link/nic.h"
#include "daemon.h"
#include "tap.h"

enum device_direction {
    DEVICE_IN = 0, /* from the TAP to the stack */
    DEVICE_OUT = 1,
};

/* Makes the device of daemon->config.interface[index] on an open TAP, which is taken over, and
   watches it. Returns NULL without memory; the TAP stays the caller's then. */
struct device *device_create(struct daemon *daemon, unsigned index, const struct tap *tap);
void device_destroy(struct device *device);

/* Makes two devices the ends of a bridge: each sends what the other receives. */
void device_join(struct device *a, struct device *b);

/* Sends a frame of the stack, and captures it. What finds the TAP full waits here, copied; what
   cannot be sent or kept is dropped and counted. */
void device_send(struct device *device, const struct frame *frame);

/* Does a frame go to the TAP without waiting here? */
bool device_has_room(const struct device *device);

/* Once a turn: answers the card's interrupt with a poll, and moves what the cable delivers now, into
   the stack and out to the TAP. Returns whether the card has more. */
bool device_serve(struct device *device);

/* When the cable has something to deliver: microseconds, UINT64_MAX: never. */
uint64_t device_deadline(const struct device *device);

/* Lays a cable of these settings (both ways) between card and TAP, in the place of the one that is
   there. Returns 0 or -ENOMEM, nothing changed. */
int device_cable_insert(struct device *device, const struct cable_settings *settings,
                        uint64_t seed);
/* Takes the cable out, if there is one. What is under way in it arrives now, in its order. */
void device_cable_remove(struct device *device);
/* NULL without a cable. Its FCS is settled by device_cable_insert. */
struct cable *device_cable(struct device *device, int direction);

/* What happened in the cable of this direction, and in those that lay there before it. */
void device_cable_totals(const struct device *device, int direction, struct cable_counters *totals);

/* Adds a rule, of one line or of one for each direction, and lays a cable where there is none.
   Returns its number, which no other rule of the device ever has; -ENOMEM, or -ENOSPC when there are
   CABLE_RULES_MAX. A cable that was laid for rules goes with the last of them, as soon as nothing is
   under way in it. */
int device_impair(struct device *device, const struct impair_line *lines, unsigned count);
/* Takes a rule away. Returns 0 or -ENOENT. */
int device_unimpair(struct device *device, uint32_t number);

/* Takes over what may change of its section of the configuration: accidents of the cable, filter,
   ring, budget. */
void device_configure(struct device *device);
/* A ring of another length; what waits in the old one is received first. Returns 0 or -ENOMEM. */
int device_set_ring(struct device *device, uint32_t slot_count);
/* Takes the interface out of service, and the carrier from the host's side, or puts it back.
   Returns 0 or a negative errno. */
int device_set_up(struct device *device, bool up);
bool device_is_up(const struct device *device);

/* The card: its counters, and its switches, which may be changed. */
struct nic *device_nic(struct device *device);
const char *device_name(const struct device *device);
/* What was asked for and what the kernel gave: "checksum+tso", "none (refused: ...)" . */
const char *device_offload(const struct device *device);
/* The other end of the bridge, or NULL. */
const struct device *device_peer(const struct device *device);
/* Fills in the stack's interface. */
void device_describe(const struct device *device, struct stack_interface_config *interface);

#endif

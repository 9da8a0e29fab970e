/* tapstackd's configuration: defaults, the file (libconfuse), the command line. */
#ifndef TAPSTACK_HOST_CONFIG_H
#define TAPSTACK_HOST_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/stack.h"
#include "../link/cable.h"

struct config {
    char dir[96];           /* folder of the sockets */
    char device[16];        /* "tap0" */
    char user[32];          /* to become after the device is open; "" stays root */
    struct mac_address mac; /* of the stack's card */
    uint32_t address_v4;    /* of the stack, host order */
    uint8_t prefix_bits;
    uint32_t host_address_v4; /* given to the TAP's own side; 0: leave the device as it is */
    uint32_t gateway_v4;      /* default route; 0: none */
    uint16_t mtu_bytes;
    bool offload;       /* ask for checksum offload and TSO */
    bool cable_present; /* a cable section was given */
    struct cable_settings cable;
    uint64_t cable_seed;
    uint32_t client_sockets_max; /* quota of one user of the API */
    uint32_t control_uid;        /* who may write besides root */
    uint32_t event_capacity;
    uint32_t shutdown_us; /* time for an orderly end */
    uint32_t spin_us;     /* to look for more before sleeping */
    int log_level;        /* of enum log_level */
    struct stack_settings settings;
};

void config_default(struct config *config);

/* Reads a file over what is there. On error writes one line "file:line:column: what is wrong" (with
   a suggestion for an unknown key) into error and returns -1, config unchanged. */
int config_read(struct config *config, const char *path, char *error, unsigned error_bytes);

#endif

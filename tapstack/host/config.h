/* tapstackd's configuration: defaults, the file (libconfuse), the command line. */
#ifndef TAPSTACK_HOST_CONFIG_H
#define TAPSTACK_HOST_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/stack.h"
#include "../link/cable.h"
#include "../link/impair_text.h"
#include "route_text.h"

enum {
    CONFIG_INTERFACES_MAX = 8,
    CONFIG_IMPAIR_MAX = 16, /* rules of one cable */
    CONFIG_RING_DEFAULT = 256,
    CONFIG_RING_MAX = 4096,
    CONFIG_NEIGHBORS_MAX = 64,
    CONFIG_ROUTES_MAX = 1024,
    CONFIG_ADDRESSES_MAX = 16, /* of an interface, besides its first */
};

/* An address of ours with the prefix of its network. */
struct config_address {
    uint32_t v4; /* host order */
    uint8_t prefix_bits;
};

/* A neighbor set by hand. */
struct config_neighbor {
    uint32_t v4; /* host order */
    struct mac_address mac;
};

/* One TAP device and what stands between it and the stack. */
struct config_interface {
    char device[16];        /* "tap0" */
    char netns[96];         /* where it is made: a name, or a path with a slash; "": here */
    struct mac_address mac; /* of the stack's card */
    uint32_t address_v4;    /* of the stack, host order; 0: none, it is one end of the bridge */
    uint8_t prefix_bits;
    struct config_address addresses[CONFIG_ADDRESSES_MAX]; /* more of them */
    unsigned address_count;
    uint32_t host_address_v4; /* given to the TAP's own side; 0: leave the device as it is */
    uint8_t host_prefix_bits;
    uint16_t mtu_bytes;
    uint16_t vlan; /* 0: frames without a tag */
    bool offload;  /* ask for checksum offload and TSO */
    bool promiscuous;
    bool proxy_arp; /* answers for hosts behind other interfaces */
    bool allmulti;
    uint32_t ring_slots;
    uint32_t budget_frames; /* of one poll of the ring */
    bool bridged;           /* frames go to the other bridged interface, not to the stack */
    bool cable_present;     /* a cable section was given */
    struct cable_settings cable;
    uint64_t cable_seed;
    struct impair_line impair[CONFIG_IMPAIR_MAX]; /* its rules */
    unsigned impair_count;
};

struct config {
    char dir[96];  /* folder of the sockets */
    char user[32]; /* to become after the devices are open; "" stays root */
    struct config_interface interface[CONFIG_INTERFACES_MAX];
    unsigned interface_count; /* at least 1; two bridged ones, if any, are the last */
    uint32_t gateway_v4;      /* default route; 0: none */
    struct route_text routes[CONFIG_ROUTES_MAX];
    unsigned route_count;
    struct config_neighbor neighbors[CONFIG_NEIGHBORS_MAX];
    unsigned neighbor_count;
    char filter[256];            /* a file with the packet filter's rules; "": none */
    char filter_rules[8192];     /* more of them */
    uint32_t client_sockets_max; /* quota of one user of the API */
    uint32_t control_uid;        /* who may write besides root */
    uint32_t event_capacity;
    uint32_t shutdown_us; /* time for an orderly end */
    uint32_t spin_us;     /* to look for more before sleeping */
    int log_level;        /* of enum log_level */
    struct stack_settings settings;
};

void config_default(struct config *config);

/* Has the configuration a bridge? It is the last two interfaces. */
bool config_has_bridge(const struct config *config);

/* Makes two bridged interfaces the only ones: "DEVICE,DEVICE", each perhaps followed by "@NETNS".
   On error writes one line into error and returns -1. */
int config_bridge(struct config *config, const char *text, char *error, unsigned error_bytes);

/* The interface in whose network the gateway is, or -1. */
int config_gateway_interface(const struct config *config);

/* Reads a file over what is there. On error writes one line "file:line:column: what is wrong" (with
   a suggestion for an unknown key) into error and returns -1, config unchanged. */
int config_read(struct config *config, const char *path, char *error, unsigned error_bytes);

#endif

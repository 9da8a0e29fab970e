/* The options of an IPv4 header (RFC 791, 3.1; RFC 1122, 3.2.1.8). */
#ifndef TAPSTACK_WIRE_IPV4_OPTION_H
#define TAPSTACK_WIRE_IPV4_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IPV4_OPTIONS_MAX = 40, /* bytes of all options */

    IPV4_OPTION_END = 0,
    IPV4_OPTION_NO_OPERATION = 1,
    IPV4_OPTION_RECORD_ROUTE = 7,
    IPV4_OPTION_TIMESTAMP = 68,
    IPV4_OPTION_LOOSE_ROUTE = 131,
    IPV4_OPTION_STRICT_ROUTE = 137,
    IPV4_OPTION_ROUTER_ALERT = 148,

    IPV4_OPTION_COPIED = 0x80, /* the bit of the type: into every fragment */

    IPV4_ROUTE_DATA = 4,     /* least pointer of a route: its first address, counted from 1 */
    IPV4_TIMESTAMP_DATA = 5, /* of a timestamp */
    IPV4_TIMESTAMP_ONLY = 0, /* the flags of a timestamp: no addresses, */
    IPV4_TIMESTAMP_ADDRESSED = 1,
    IPV4_TIMESTAMP_PRESPECIFIED = 3, /* only at the addresses that are named */
};

/* What a header holds that somebody may have to act on: offsets from the header's first byte; 0:
   there is none. All of them are well formed. */
struct ipv4_options {
    uint8_t record_route;
    uint8_t timestamp;
    uint8_t source_route; /* loose or strict */
    uint8_t router_alert;
    bool strict;
};

/* Reads the options between the first 20 bytes and header_bytes. Unknown ones are passed over by
   their length. Returns 0; or -1 when one is malformed or stands twice: then *pointer is the offset
   of the octet at fault, for a Parameter Problem. */
int ipv4_options_parse(const uint8_t *header, size_t header_bytes, struct ipv4_options *options,
                       uint8_t *pointer);

/* Has the route at option (its first byte) an address left, or room for one? */
static inline bool ipv4_route_has_room(const uint8_t *option) { return option[2] <= option[1]; }

#endif

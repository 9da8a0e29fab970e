/* The Ethernet II header. */
#ifndef TAPSTACK_WIRE_ETHERNET_H
#define TAPSTACK_WIRE_ETHERNET_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"

enum {
    ETHERNET_HEADER_BYTES = 14,
    ETHERNET_MIN_BYTES = 60, /* shortest frame without its FCS (IEEE 802.3, 4.4.2) */
    ETHERTYPE_MIN = 0x0600,  /* below it stands a length (IEEE 802.3, 3.2.6) */
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
};

struct ethernet_header {
    struct mac_address destination;
    struct mac_address source;
    uint16_t type; /* EtherType, host order */
};

/* Reads the first 14 bytes. Returns 0, or -1 when size is less. */
int ethernet_parse(const uint8_t *bytes, size_t size, struct ethernet_header *header);

/* Writes 14 bytes. Returns 14. */
size_t ethernet_write(const struct ethernet_header *header, uint8_t *bytes);

/* Brings a frame of size bytes to ETHERNET_MIN_BYTES with zeros, as the sender on a wire does.
   bytes: room for that many. Returns the size now. */
size_t ethernet_pad(uint8_t *bytes, size_t size);

#endif

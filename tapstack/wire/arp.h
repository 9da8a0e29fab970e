/* ARP for IPv4 over Ethernet (RFC 826). */
#ifndef TAPSTACK_WIRE_ARP_H
#define TAPSTACK_WIRE_ARP_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"

enum {
    ARP_BYTES = 28,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
};

enum arp_error {
    ARP_TRUNCATED = -1,     /* fewer than 28 bytes */
    ARP_BAD_FORMAT = -2,    /* not Ethernet/IPv4, or address lengths other than 6 and 4 */
    ARP_BAD_OPERATION = -3, /* neither request nor reply */
};

struct arp_packet {
    uint16_t operation;
    struct mac_address sender_mac;
    struct mac_address target_mac;
    uint32_t sender_v4; /* host order */
    uint32_t target_v4; /* host order */
};

/* bytes: what follows the Ethernet header; padding behind the packet is ignored.
   Returns 0 or one of enum arp_error. */
int arp_parse(const uint8_t *bytes, size_t size, struct arp_packet *packet);

/* Writes ARP_BYTES bytes. Returns ARP_BYTES. */
size_t arp_write(const struct arp_packet *packet, uint8_t *bytes);

#endif

/* Addresses: a MAC address, and an IP address wide enough for both families. */
#ifndef TAPSTACK_WIRE_ADDRESS_H
#define TAPSTACK_WIRE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"

enum {
    MAC_ADDRESS_BYTES = 6,
    IP_ADDRESS_TEXT_MAX = 46,  /* with the closing NUL, both families */
    MAC_ADDRESS_TEXT_MAX = 18, /* with the closing NUL */
};

struct mac_address {
    uint8_t octets[MAC_ADDRESS_BYTES];
};

/* IPv4 is held as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so one type serves both families.
   All zero octets: no address given ("any"). */
struct ip_address {
    uint8_t octets[16];
};

/* The address a.b.c.d, given as one number in host order: 0x0a4d0002 is 10.77.0.2.
   Zero gives the unspecified address. */
static inline struct ip_address ip_address_from_v4(uint32_t v4)
{
    struct ip_address address = {{0}};
    if (v4 != 0) {
        address.octets[10] = address.octets[11] = 0xff;
        bytes_put32(address.octets + 12, v4);
    }
    return address;
}

/* The IPv4 address as one number in host order; 0 for the unspecified address. */
static inline uint32_t ip_address_to_v4(const struct ip_address *address)
{
    return bytes_get32(address->octets + 12);
}

static inline bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static inline bool ip_address_is_unspecified(const struct ip_address *address)
{
    static const struct ip_address none = {{0}};
    return ip_address_equal(address, &none);
}

static inline bool mac_address_equal(const struct mac_address *a, const struct mac_address *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Group bit: multicast or broadcast (IEEE 802.3, 3.2.3). */
static inline bool mac_address_is_group(const struct mac_address *mac)
{
    return (mac->octets[0] & 1) != 0;
}

/* The address that frames for an IPv4 group go to (RFC 1112, 6.4): its lower 23 bits. */
static inline struct mac_address mac_address_from_group(uint32_t v4)
{
    return (struct mac_address){
        {0x01, 0x00, 0x5e, (uint8_t)(v4 >> 16 & 0x7f), (uint8_t)(v4 >> 8), (uint8_t)v4}};
}

static inline bool mac_address_is_broadcast(const struct mac_address *mac)
{
    static const struct mac_address all = {{255, 255, 255, 255, 255, 255}};
    return mac_address_equal(mac, &all);
}

/* 224.0.0.0/4 (RFC 1112, 4). */
static inline bool ipv4_is_multicast(uint32_t v4) { return v4 >> 28 == 0xe; }

/* 127.0.0.0/8 (RFC 1122, 3.2.1.3). */
static inline bool ipv4_is_loopback(uint32_t v4) { return v4 >> 24 == 127; }

/* May this address stand as the source of a datagram from another host?
   Not 0/8, 127/8, multicast, 240/4 or the limited broadcast (RFC 1122, 3.2.1.3). */
static inline bool ipv4_is_valid_source(uint32_t v4)
{
    return v4 >> 24 != 0 && !ipv4_is_loopback(v4) && v4 < 0xe0000000U;
}

/* Writes "10.77.0.2" (or "*" for the unspecified address) with its NUL.
   text: IP_ADDRESS_TEXT_MAX bytes. Returns the length without the NUL. */
int ip_address_format(const struct ip_address *address, char *text);

/* Reads a dotted quad that fills all of text. Returns 0, or -1 when it is none. */
int ip_address_parse(const char *text, struct ip_address *address);

/* Writes "02:00:00:00:00:02" with its NUL. text: MAC_ADDRESS_TEXT_MAX bytes. Returns 17. */
int mac_address_format(const struct mac_address *mac, char *text);

/* Reads six hexadecimal pairs between colons that fill all of text. Returns 0, or -1. */
int mac_address_parse(const char *text, struct mac_address *mac);

#endif

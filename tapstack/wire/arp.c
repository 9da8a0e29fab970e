/* ARP for IPv4 over Ethernet (RFC 826). */
#include "arp.h"

#include "bytes.h"
#include "ethernet.h"

enum { HARDWARE_ETHERNET = 1 };

int arp_parse(const uint8_t *bytes, size_t size, struct arp_packet *packet)
{
    if (size < ARP_BYTES)
        return ARP_TRUNCATED;
    if (bytes_get16(bytes) != HARDWARE_ETHERNET || bytes_get16(bytes + 2) != ETHERTYPE_IPV4 ||
        bytes[4] != MAC_ADDRESS_BYTES || bytes[5] != 4)
        return ARP_BAD_FORMAT;
    packet->operation = bytes_get16(bytes + 6);
    if (packet->operation != ARP_REQUEST && packet->operation != ARP_REPLY)
        return ARP_BAD_OPERATION;
    memcpy(packet->sender_mac.octets, bytes + 8, MAC_ADDRESS_BYTES);
    packet->sender_v4 = bytes_get32(bytes + 14);
    memcpy(packet->target_mac.octets, bytes + 18, MAC_ADDRESS_BYTES);
    packet->target_v4 = bytes_get32(bytes + 24);
    return 0;
}

size_t arp_write(const struct arp_packet *packet, uint8_t *bytes)
{
    bytes_put16(bytes, HARDWARE_ETHERNET);
    bytes_put16(bytes + 2, ETHERTYPE_IPV4);
    bytes[4] = MAC_ADDRESS_BYTES;
    bytes[5] = 4;
    bytes_put16(bytes + 6, packet->operation);
    memcpy(bytes + 8, packet->sender_mac.octets, MAC_ADDRESS_BYTES);
    bytes_put32(bytes + 14, packet->sender_v4);
    memcpy(bytes + 18, packet->target_mac.octets, MAC_ADDRESS_BYTES);
    bytes_put32(bytes + 24, packet->target_v4);
    return ARP_BYTES;
}

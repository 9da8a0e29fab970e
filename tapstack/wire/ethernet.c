/* The Ethernet II header. */
#include "ethernet.h"

#include "bytes.h"

int ethernet_parse(const uint8_t *bytes, size_t size, struct ethernet_header *header)
{
    if (size < ETHERNET_HEADER_BYTES)
        return -1;
    memcpy(header->destination.octets, bytes, MAC_ADDRESS_BYTES);
    memcpy(header->source.octets, bytes + 6, MAC_ADDRESS_BYTES);
    header->type = bytes_get16(bytes + 12);
    return 0;
}

size_t ethernet_write(const struct ethernet_header *header, uint8_t *bytes)
{
    memcpy(bytes, header->destination.octets, MAC_ADDRESS_BYTES);
    memcpy(bytes + 6, header->source.octets, MAC_ADDRESS_BYTES);
    bytes_put16(bytes + 12, header->type);
    return ETHERNET_HEADER_BYTES;
}

size_t ethernet_pad(uint8_t *bytes, size_t size)
{
    if (size >= ETHERNET_MIN_BYTES)
        return size;
    memset(bytes + size, 0, ETHERNET_MIN_BYTES - size);
    return ETHERNET_MIN_BYTES;
}

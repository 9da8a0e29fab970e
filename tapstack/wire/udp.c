/* The UDP header (RFC 768). */
#include "udp.h"

#include "bytes.h"
#include "checksum.h"
#include "ipv4.h"

int udp_parse(const uint8_t *bytes, size_t size, struct udp_header *header)
{
    if (size < UDP_HEADER_BYTES)
        return UDP_TRUNCATED;
    uint16_t length = bytes_get16(bytes + 4);
    if (length < UDP_HEADER_BYTES || length > size)
        return UDP_BAD_LENGTH;
    header->source_port = bytes_get16(bytes);
    header->destination_port = bytes_get16(bytes + 2);
    header->length = length;
    return 0;
}

int udp_verify(const uint8_t *bytes, const struct udp_header *header,
               const struct ip_address *source, const struct ip_address *destination)
{
    if (bytes_get16(bytes + 6) == 0)
        return 0;
    uint32_t sum = checksum_add_pseudo(0, source, destination, IPV4_PROTOCOL_UDP, header->length);
    sum = checksum_add(sum, bytes, header->length);
    return checksum_finish(sum) == 0 ? 0 : UDP_BAD_CHECKSUM;
}

size_t udp_write(const struct udp_header *header, uint8_t *bytes)
{
    bytes_put16(bytes, header->source_port);
    bytes_put16(bytes + 2, header->destination_port);
    bytes_put16(bytes + 4, header->length);
    bytes_put16(bytes + 6, 0);
    return UDP_HEADER_BYTES;
}

void udp_sum(uint8_t *bytes, const struct udp_header *header, const struct ip_address *source,
             const struct ip_address *destination)
{
    uint32_t sum = checksum_add_pseudo(0, source, destination, IPV4_PROTOCOL_UDP, header->length);
    uint16_t checksum = checksum_finish(checksum_add(sum, bytes, header->length));
    bytes_put16(bytes + 6, checksum ? checksum : 0xffff);
}

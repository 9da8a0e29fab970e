/* The IPv4 header (RFC 791). */
#include "ipv4.h"

#include "bytes.h"
#include "checksum.h"

enum {
    FLAG_DONT_FRAGMENT = 0x4000,
    FLAG_MORE_FRAGMENTS = 0x2000,
    OFFSET_MASK = 0x1fff, /* in units of eight bytes */
};

/* The header checksum is looked at before the total length, so that a flipped bit in the length is
   called what it is. */
int ipv4_parse(const uint8_t *bytes, size_t size, struct ipv4_header *header)
{
    if (size < IPV4_HEADER_BYTES)
        return IPV4_TRUNCATED;
    if (bytes[0] >> 4 != 4)
        return IPV4_BAD_VERSION;
    size_t header_bytes = (bytes[0] & 15) * 4U;
    if (header_bytes < IPV4_HEADER_BYTES)
        return IPV4_BAD_HEADER_LENGTH;
    if (header_bytes > size)
        return IPV4_TRUNCATED;
    if (checksum_finish(checksum_add(0, bytes, header_bytes)) != 0)
        return IPV4_BAD_CHECKSUM;
    uint16_t total_bytes = bytes_get16(bytes + 2);
    if (header_bytes > total_bytes)
        return IPV4_BAD_TOTAL_LENGTH;
    if (total_bytes > size)
        return IPV4_TRUNCATED;

    uint16_t fragment = bytes_get16(bytes + 6);
    *header = (struct ipv4_header){
        .header_bytes = (uint8_t)header_bytes,
        .tos = bytes[1],
        .ttl = bytes[8],
        .protocol = bytes[9],
        .total_bytes = total_bytes,
        .identification = bytes_get16(bytes + 4),
        .fragment_offset = (uint16_t)((fragment & OFFSET_MASK) * 8),
        .more_fragments = fragment & FLAG_MORE_FRAGMENTS,
        .dont_fragment = fragment & FLAG_DONT_FRAGMENT,
        .source_v4 = bytes_get32(bytes + 12),
        .destination_v4 = bytes_get32(bytes + 16),
    };
    return 0;
}

size_t ipv4_write(const struct ipv4_header *header, uint8_t *bytes)
{
    unsigned fragment = header->fragment_offset / 8U;
    if (header->more_fragments)
        fragment |= FLAG_MORE_FRAGMENTS;
    if (header->dont_fragment)
        fragment |= FLAG_DONT_FRAGMENT;
    bytes[0] = 4 << 4 | IPV4_HEADER_BYTES / 4;
    bytes[1] = header->tos;
    bytes_put16(bytes + 2, header->total_bytes);
    bytes_put16(bytes + 4, header->identification);
    bytes_put16(bytes + 6, (uint16_t)fragment);
    bytes[8] = header->ttl;
    bytes[9] = header->protocol;
    bytes_put32(bytes + 12, header->source_v4);
    bytes_put32(bytes + 16, header->destination_v4);
    ipv4_write_checksum(bytes);
    return IPV4_HEADER_BYTES;
}

void ipv4_write_checksum(uint8_t *bytes)
{
    bytes_put16(bytes + 10, 0);
    bytes_put16(bytes + 10, checksum_finish(checksum_add(0, bytes, (bytes[0] & 15) * 4U)));
}

/* HC' = ~(~HC + ~m + m'), where the word m of TTL and protocol becomes m' = m - 0x0100: so what is
   added to ~HC is ~0x0100, whatever m is. */
void ipv4_decrement_ttl(uint8_t *bytes)
{
    uint32_t sum = (uint16_t)~bytes_get16(bytes + 10);
    bytes[8]--;
    bytes_put16(bytes + 10, checksum_finish(sum + (uint16_t)~0x0100));
}

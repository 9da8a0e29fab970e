/* The frame check sequence of Ethernet: zlib's CRC-32, its lowest byte first on the wire. */
#include "fcs.h"

#include <zlib.h>

static uint32_t fcs_of(const uint8_t *bytes, size_t size)
{
    return (uint32_t)crc32(0, bytes, (uInt)size);
}

void fcs_append(uint8_t *bytes, size_t size)
{
    uint32_t fcs = fcs_of(bytes, size);
    for (int i = 0; i < FCS_BYTES; i++)
        bytes[size + (size_t)i] = (uint8_t)(fcs >> (8 * i));
}

bool fcs_check(const uint8_t *bytes, size_t size)
{
    if (size < FCS_BYTES)
        return false;
    const uint8_t *at = bytes + size - FCS_BYTES;
    uint32_t received =
        at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return fcs_of(bytes, size - FCS_BYTES) == received;
}

/* Explicit Congestion Notification as a router does it. */
#include "mark.h"

#include "../wire/bytes.h"
#include "../wire/checksum.h"
#include "../wire/fcs.h"

enum { ECN_MASK = 3, ECN_NOT_CAPABLE = 0, ECN_CONGESTION_EXPERIENCED = 3 };

bool mark_congestion(struct cable_frame *frame)
{
    if (!frame->view.is_ipv4 || frame->damaged)
        return false;
    uint8_t *ip = frame->bytes + frame->view.ip_offset;
    if ((ip[1] & ECN_MASK) == ECN_NOT_CAPABLE)
        return false;
    uint32_t before = bytes_get16(ip);
    ip[1] |= ECN_CONGESTION_EXPERIENCED;
    /* RFC 1624, equation 3. */
    uint32_t sum = (uint16_t)~bytes_get16(ip + 10) + (uint16_t)~before + (uint32_t)bytes_get16(ip);
    bytes_put16(ip + 10, checksum_finish(sum));
    if (frame->has_fcs)
        fcs_append(frame->bytes, frame->size - FCS_BYTES);
    return true;
}

/* Frames: copied together, and made fit for the wire in software.

   A frame leaves the stack with work left undone: a TCP checksum that only covers the pseudo
   header, or up to 64 KiB of payload behind one header. A device may do the rest; where none does,
   it is done here. A super-frame that is not TCP over IPv4, or whose header lengths do not hold
   together, cannot be cut and comes out as one plain frame. */
#include "frame.h"

#include <stdbool.h>

#include "bytes.h"
#include "checksum.h"
#include "ethernet.h"
#include "ipv4.h"
#include "tcp.h"

size_t frame_copy_range(const struct frame *frame, size_t offset, uint8_t *bytes, size_t size)
{
    size_t written = 0;
    for (unsigned i = 0; i < frame->piece_count && written < size; i++) {
        const struct frame_piece *piece = &frame->piece[i];
        if (offset >= piece->size) {
            offset -= piece->size;
            continue;
        }
        size_t part = piece->size - offset;
        if (part > size - written)
            part = size - written;
        memcpy(bytes + written, piece->data + offset, part);
        written += part;
        offset = 0;
    }
    return written;
}

size_t frame_copy(const struct frame *frame, uint8_t *bytes)
{
    return frame_copy_range(frame, 0, bytes, SIZE_MAX);
}

/* Where the IP header starts. */
static size_t ip_offset(const uint8_t *bytes)
{
    bool tagged = bytes_get16(bytes + 12) == ETHERTYPE_VLAN;
    return ETHERNET_HEADER_BYTES + (tagged ? 4 : 0);
}

static size_t tcp_offset(const uint8_t *bytes)
{
    size_t ip = ip_offset(bytes);
    return ip + (bytes[ip] & 15) * 4U;
}

/* Do these bytes, the first of a super-frame, hold IPv4 and TCP headers that end where header_bytes
   says? */
static bool can_be_cut(const uint8_t *bytes, size_t header_bytes)
{
    if (header_bytes < ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + TCP_HEADER_BYTES)
        return false;
    size_t ip = ip_offset(bytes);
    if (bytes_get16(bytes + ip - 2) != ETHERTYPE_IPV4 || bytes[ip] >> 4 != 4 ||
        (bytes[ip] & 15) * 4 < IPV4_HEADER_BYTES || bytes[ip + 9] != IPV4_PROTOCOL_TCP)
        return false;
    size_t tcp = tcp_offset(bytes);
    return tcp + TCP_HEADER_BYTES <= header_bytes &&
           tcp + (bytes[tcp + 12] >> 4) * 4U == header_bytes;
}

static bool is_super_frame(const struct frame *frame)
{
    uint8_t header[FRAME_HEADER_MAX];
    if (frame->segment_bytes == 0 || frame->header_bytes > FRAME_HEADER_MAX)
        return false;
    size_t header_bytes = frame_copy_range(frame, 0, header, frame->header_bytes);
    return header_bytes == frame->header_bytes && can_be_cut(header, header_bytes);
}

/* Fills in a checksum that was left undone. Zero becomes ffff, its equal: in UDP a zero would mean
   that there is no checksum (RFC 768). */
static void complete_checksum(const struct frame *frame, uint8_t *bytes, size_t size)
{
    size_t start = frame->checksum_start;
    size_t field = start + frame->checksum_offset;
    if (!(frame->flags & FRAME_CHECKSUM_PARTIAL) || field + 2 > size)
        return;
    uint16_t sum = checksum_finish(checksum_add(0, bytes + start, size - start));
    bytes_put16(bytes + field, sum != 0 ? sum : 0xffff);
}

static size_t write_plain(struct frame_splitter *splitter, uint8_t *bytes, size_t capacity)
{
    if (frame_size(splitter->frame) > capacity)
        return 0;
    size_t size = frame_copy(splitter->frame, bytes);
    complete_checksum(splitter->frame, bytes, size);
    splitter->done = true;
    return size;
}

/* Makes the IP header of the first segment that of this one. bytes: the frame. */
static void adapt_ip(const struct frame_splitter *splitter, uint8_t *bytes, size_t size)
{
    size_t start = ip_offset(bytes);
    uint8_t *ip = bytes + start;
    bytes_put16(ip + 2, (uint16_t)(size - start));
    bytes_put16(ip + 4, (uint16_t)(bytes_get16(ip + 4) + splitter->segment));
    bytes_put16(ip + 10, 0);
    bytes_put16(ip + 10, checksum_finish(checksum_add(0, ip, (ip[0] & 15) * 4U)));
}

static void adapt_tcp(const struct frame_splitter *splitter, uint8_t *bytes, size_t size, bool last)
{
    const uint8_t *ip = bytes + ip_offset(bytes);
    size_t start = tcp_offset(bytes);
    uint8_t *tcp = bytes + start;
    bytes_put32(tcp + 4, bytes_get32(tcp + 4) + (uint32_t)splitter->offset);
    if (!last)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (splitter->segment > 0)
        tcp[13] &= (uint8_t)~TCP_CWR;

    struct ip_address source = ip_address_from_v4(bytes_get32(ip + 12));
    struct ip_address destination = ip_address_from_v4(bytes_get32(ip + 16));
    bytes_put16(tcp + 16, 0);
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, IPV4_PROTOCOL_TCP, size - start);
    bytes_put16(tcp + 16, checksum_finish(checksum_add(sum, tcp, size - start)));
}

static size_t write_segment(struct frame_splitter *splitter, uint8_t *bytes, size_t capacity)
{
    const struct frame *frame = splitter->frame;
    size_t left = frame_size(frame) - frame->header_bytes - splitter->offset;
    bool last = left <= frame->segment_bytes;
    size_t payload_bytes = last ? left : frame->segment_bytes;
    size_t size = frame->header_bytes + payload_bytes;
    if (size > capacity)
        return 0;
    frame_copy_range(frame, 0, bytes, frame->header_bytes);
    frame_copy_range(frame, frame->header_bytes + splitter->offset, bytes + frame->header_bytes,
                     payload_bytes);
    adapt_ip(splitter, bytes, size);
    adapt_tcp(splitter, bytes, size, last);
    splitter->offset += payload_bytes;
    splitter->segment++;
    splitter->done = last;
    return size;
}

void frame_split_start(struct frame_splitter *splitter, const struct frame *frame)
{
    *splitter = (struct frame_splitter){.frame = frame};
}

size_t frame_split_next(struct frame_splitter *splitter, uint8_t *bytes, size_t capacity)
{
    if (splitter->done)
        return 0;
    if (splitter->segment > 0 || is_super_frame(splitter->frame))
        return write_segment(splitter, bytes, capacity);
    return write_plain(splitter, bytes, capacity);
}

/* A frame on its way: up to three pieces of memory and what is left to a device's offload. */
#ifndef TAPSTACK_WIRE_FRAME_H
#define TAPSTACK_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_PIECES_MAX = 3,                /* headers, and two pieces of a send buffer that wraps */
    FRAME_HEADER_MAX = 14 + 4 + 60 + 60, /* Ethernet, VLAN tag, IPv4 and TCP with all options */
    FRAME_BYTES_MAX = 14 + 4 + 65535,
};

enum frame_flags {
    /* The L4 checksum field holds the folded sum of the pseudo header only; the sum from
       checksum_start to the end, complemented, is to be stored at checksum_start +
       checksum_offset (the virtio NEEDS_CSUM contract). In: the sender is on this machine and
       left it undone, so there is nothing to verify. */
    FRAME_CHECKSUM_PARTIAL = 1,
    /* In: the device has verified the L4 checksum. */
    FRAME_CHECKSUM_VALID = 2,
};

struct frame_piece {
    const uint8_t *data;
    size_t size; /* bytes */
};

struct frame {
    uint16_t interface;       /* index of the interface it came by or leaves by */
    uint8_t flags;            /* of enum frame_flags */
    uint8_t piece_count;      /* on input always 1 */
    uint16_t checksum_start;  /* from the frame's first byte; with FRAME_CHECKSUM_PARTIAL */
    uint16_t checksum_offset; /* from checksum_start */
    uint16_t segment_bytes;   /* TCP payload per segment of a super-frame; 0: one plain frame */
    uint16_t header_bytes;    /* Ethernet + IP + TCP headers of a super-frame; else 0 */
    struct frame_piece piece[FRAME_PIECES_MAX];
    uint8_t header[FRAME_HEADER_MAX]; /* storage piece[0] may point to */
};

/* All bytes of the frame's pieces. */
static inline size_t frame_size(const struct frame *frame)
{
    size_t size = 0;
    for (unsigned i = 0; i < frame->piece_count; i++)
        size += frame->piece[i].size;
    return size;
}

/* Copies the frame's pieces one behind the other.
   bytes: room for frame_size(frame). Returns the bytes written. Sums nothing, splits nothing. */
size_t frame_copy(const struct frame *frame, uint8_t *bytes);

/* Copies size bytes from offset on, as far as there are that many. Returns the bytes written. */
size_t frame_copy_range(const struct frame *frame, size_t offset, uint8_t *bytes, size_t size);

/* The software half of every offload: cuts a super-frame into frames for the wire and fills in the
   checksums that were left to the device. A plain frame comes out once, complete.

   Each TCP segment of a super-frame gets the headers of the first, with its own IP total length,
   Identification (counting up), header checksum, sequence number and TCP checksum; FIN and PSH
   stand on the last only, CWR on the first only (RFC 3168, 6.1.2). */
struct frame_splitter {
    const struct frame *frame;
    size_t offset;    /* payload bytes already out */
    unsigned segment; /* segments already out */
    int done;
};

/* Starts on frame, which must stay untouched until the last piece is out. */
void frame_split_start(struct frame_splitter *splitter, const struct frame *frame);

/* Writes the next wire frame. bytes: room for capacity bytes, FRAME_BYTES_MAX always suffices.
   Returns its size, or 0 when the frame is used up (or capacity is too small). */
size_t frame_split_next(struct frame_splitter *splitter, uint8_t *bytes, size_t capacity);

#endif

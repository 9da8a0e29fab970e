/* Fragmentation: a datagram larger than the MTU leaves in pieces.

   Each fragment is a packet of its own in the stack's out queue, or in its neighbor's. Either all
   of them find room or none is sent: a datagram that lacks a fragment is a load on the network and
   on its receiver, and of no use to either. */
#include "fragment.h"

#include <string.h>

#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "state.h"

enum {
    OFFSET_UNIT = 8,
    FLAG_MORE_FRAGMENTS = 0x2000,
};

/* A datagram that is being cut. */
struct fragment_cut {
    const struct frame *frame;
    size_t mtu_bytes;
    size_t payload_bytes;
    size_t base;         /* offset of its payload, when it is a fragment itself */
    bool more;           /* fragments follow it, when it is one */
    size_t header_bytes; /* of the first fragment's header, which is the datagram's */
    uint8_t later_header[IPV4_HEADER_MAX]; /* of the others */
    size_t later_header_bytes;
    size_t checksum_at; /* place in the payload of a checksum that was left to the device */
    uint16_t checksum;
    bool has_checksum;
};

/* Leaves out the options that only the first fragment carries (RFC 791, 3.1). Bytes that are no options end the
   list. Returns the header's size. */
static size_t write_later_header(const uint8_t *header, size_t header_bytes, uint8_t *later)
{
    size_t at = IPV4_HEADER_BYTES, size = IPV4_HEADER_BYTES;
    memcpy(later, header, IPV4_HEADER_BYTES);
    while (at < header_bytes && header[at] != IPV4_OPTION_END) {
        if (header[at] == IPV4_OPTION_NO_OPERATION) {
            at++;
            continue;
        }
        size_t length = at + 1 < header_bytes ? header[at + 1] : 0;
        if (length < 2 || length > header_bytes - at)
            break;
        if (header[at] & IPV4_OPTION_COPIED) {
            memcpy(later + size, header + at, length);
            size += length;
        }
        at += length;
    }
    while (size % 4 != 0)
        later[size++] = IPV4_OPTION_END;
    later[0] = (uint8_t)(4 << 4 | size / 4);
    return size;
}

/* The checksum over the frame from a place on. Zero becomes ffff, as in frame_split_next. */
static uint16_t sum_frame(const struct frame *frame, size_t start)
{
    uint32_t sum = 0;
    size_t at = 0;
    for (unsigned i = 0; i < frame->piece_count; i++) {
        const struct frame_piece *piece = &frame->piece[i];
        size_t skipped = start > at ? start - at : 0;
        if (skipped < piece->size)
            sum = checksum_add_at(sum, piece->data + skipped, piece->size - skipped,
                                  at + skipped - start);
        at += piece->size;
    }
    uint16_t finished = checksum_finish(sum);
    return finished != 0 ? finished : 0xffff;
}

static void start_cut(struct fragment_cut *cut, const struct frame *frame, size_t mtu_bytes)
{
    const uint8_t *header = frame->piece[0].data + ETHERNET_HEADER_BYTES;
    uint16_t word = bytes_get16(header + 6);
    size_t header_bytes = (header[0] & 15) * 4U;
    size_t payload_at = ETHERNET_HEADER_BYTES + header_bytes;
    *cut = (struct fragment_cut){
        .frame = frame,
        .mtu_bytes = mtu_bytes,
        .payload_bytes = frame_size(frame) - payload_at,
        .base = (word & (FLAG_MORE_FRAGMENTS - 1U)) * OFFSET_UNIT,
        .more = word & FLAG_MORE_FRAGMENTS,
        .header_bytes = header_bytes,
        .has_checksum = frame->flags & FRAME_CHECKSUM_PARTIAL,
    };
    cut->later_header_bytes = write_later_header(header, header_bytes, cut->later_header);
    if (cut->has_checksum) {
        cut->checksum_at = frame->checksum_start + frame->checksum_offset - payload_at;
        cut->checksum = sum_frame(frame, frame->checksum_start);
    }
}

/* Payload of a fragment that is not the last. */
static size_t full_size(const struct fragment_cut *cut, size_t header_bytes)
{
    return (cut->mtu_bytes - header_bytes) / OFFSET_UNIT * OFFSET_UNIT;
}

/* How many fragments it becomes, or one more than that. */
static size_t count_fragments(const struct fragment_cut *cut)
{
    size_t first = full_size(cut, cut->header_bytes);
    size_t later = full_size(cut, cut->later_header_bytes);
    return 1 + (cut->payload_bytes - first + later - 1) / later;
}

/* The fragment that starts at offset in the datagram's payload, or NULL without memory. */
static struct packet *make_fragment(struct stack *stack, const struct fragment_cut *cut,
                                    size_t offset, size_t *size)
{
    const uint8_t *header =
        offset == 0 ? cut->frame->piece[0].data + ETHERNET_HEADER_BYTES : cut->later_header;
    size_t header_bytes = offset == 0 ? cut->header_bytes : cut->later_header_bytes;
    size_t left = cut->payload_bytes - offset;
    bool last = left <= cut->mtu_bytes - header_bytes;
    *size = last ? left : full_size(cut, header_bytes);
    struct packet *packet =
        packet_create(&stack->pool, ETHERNET_HEADER_BYTES + header_bytes + *size);
    if (!packet)
        return NULL;
    uint8_t *ip = packet->bytes + ETHERNET_HEADER_BYTES;
    uint8_t *payload = ip + header_bytes;
    memcpy(ip, header, header_bytes);
    frame_copy_range(cut->frame, ETHERNET_HEADER_BYTES + cut->header_bytes + offset, payload,
                     *size);
    /* Both are even, so a checksum never lies across two fragments. */
    if (cut->has_checksum && cut->checksum_at >= offset && cut->checksum_at < offset + *size)
        bytes_put16(payload + (cut->checksum_at - offset), cut->checksum);
    unsigned more = last && !cut->more ? 0 : FLAG_MORE_FRAGMENTS;
    bytes_put16(ip + 2, (uint16_t)(header_bytes + *size));
    bytes_put16(ip + 6, (uint16_t)(more | (cut->base + offset) / OFFSET_UNIT));
    ipv4_write_checksum(ip);
    return packet;
}

/* All fragments, or none. Returns 0, or -1 without memory. */
static int make_fragments(struct stack *stack, const struct fragment_cut *cut,
                          struct packet_queue *queue)
{
    size_t size;
    for (size_t offset = 0; offset < cut->payload_bytes; offset += size) {
        struct packet *packet = make_fragment(stack, cut, offset, &size);
        if (!packet) {
            packet_queue_clear(queue, &stack->pool);
            return -1;
        }
        packet_queue_push(queue, packet);
    }
    return 0;
}

/* Hands the fragments to their neighbor. When it can't take one, the rest is of no use. */
static int send_fragments(struct stack *stack, struct packet_queue *queue, const struct ip_hop *hop,
                          uint64_t now_us)
{
    struct packet *packet;
    while ((packet = packet_queue_pop(queue))) {
        int sent = ip_transmit(stack, &packet->frame, packet->bytes, hop, now_us);
        if (sent > 0)
            stack_queue_packet(stack, packet);
        else
            packet_destroy(&stack->pool, packet);
        if (sent < 0) {
            packet_queue_clear(queue, &stack->pool);
            return -1;
        }
        stack_count(stack, STACK_COUNTER_IP_FRAG_CREATES);
    }
    return 0;
}

int fragment_output(struct stack *stack, const struct frame *frame, size_t mtu_bytes,
                    const struct ip_hop *hop, uint64_t now_us)
{
    struct fragment_cut cut;
    struct packet_queue queue = {0};
    start_cut(&cut, frame, mtu_bytes);
    size_t count = count_fragments(&cut);
    if (stack->out.count + count > PACKET_QUEUE_MAX ||
        (!hop->group && !neighbor_has_room(stack, hop->interface, hop->v4, count, now_us)) ||
        make_fragments(stack, &cut, &queue) < 0)
        return stack_drop(stack, STACK_COUNTER_IP_FRAG_FAILS, 0, frame_size(frame), now_us);
    if (send_fragments(stack, &queue, hop, now_us) < 0)
        return -1;
    stack_count(stack, STACK_COUNTER_IP_FRAG_OKS);
    return 0;
}

/* Packets that have to wait: replies, and frames for a neighbor that is not resolved yet. */
#include "packet.h"

#include <string.h>

struct packet *packet_create(struct pool *pool, size_t size)
{
    struct packet *packet = pool_take(pool, sizeof *packet + size);
    if (!packet)
        return NULL;
    memset(packet, 0, sizeof *packet);
    packet->capacity = size;
    packet->frame.piece_count = 1;
    packet->frame.piece[0] = (struct frame_piece){packet->bytes, size};
    return packet;
}

struct packet *packet_copy(struct pool *pool, const struct frame *frame)
{
    size_t size = frame_size(frame);
    struct packet *packet = packet_create(pool, size);
    if (!packet)
        return NULL;
    packet->frame.interface = frame->interface;
    packet->frame.flags = frame->flags;
    packet->frame.checksum_start = frame->checksum_start;
    packet->frame.checksum_offset = frame->checksum_offset;
    packet->frame.segment_bytes = frame->segment_bytes;
    packet->frame.header_bytes = frame->header_bytes;
    frame_copy(frame, packet->bytes);
    return packet;
}

void packet_destroy(struct pool *pool, struct packet *packet)
{
    if (packet)
        pool_give(pool, packet, sizeof *packet + packet->capacity);
}

void packet_queue_push(struct packet_queue *queue, struct packet *packet)
{
    packet->next = NULL;
    if (queue->last)
        queue->last->next = packet;
    else
        queue->first = packet;
    queue->last = packet;
    queue->count++;
}

struct packet *packet_queue_pop(struct packet_queue *queue)
{
    struct packet *packet = queue->first;
    if (!packet)
        return NULL;
    queue->first = packet->next;
    if (!queue->first)
        queue->last = NULL;
    queue->count--;
    packet->next = NULL;
    return packet;
}

void packet_queue_clear(struct packet_queue *queue, struct pool *pool)
{
    struct packet *packet;
    while ((packet = packet_queue_pop(queue)))
        packet_destroy(pool, packet);
}

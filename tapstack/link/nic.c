/* A network card: receive ring, MAC filter, frame check sequence, EtherType (stages S13 to S18).

   head and tail count frames, their difference is the fill and their low bits are the slot; an
   empty ring counts from zero again. nic_poll frees the slot as it hands the frame out; that is
   safe since the ring fills slots in turn, so this one is written again by the next nic_ring_slot
   at the earliest. */
#include "nic.h"

#include <assert.h>

#include "../wire/ethernet.h"
#include "../wire/fcs.h"

static uint32_t slot_index(const struct nic *nic, uint32_t position)
{
    return position & (nic->slot_count - 1);
}

static uint8_t *slot_memory(const struct nic *nic, uint32_t position)
{
    return nic->memory + (size_t)slot_index(nic, position) * nic->slot_bytes;
}

void nic_init(struct nic *nic, const struct mac_address *mac, uint8_t *memory,
              struct nic_slot *slots, uint32_t slot_count, uint32_t slot_bytes)
{
    assert(slot_count > 0 && (slot_count & (slot_count - 1)) == 0);
    *nic = (struct nic){
        .mac = *mac,
        .memory = memory,
        .slots = slots,
        .slot_count = slot_count,
        .slot_bytes = slot_bytes,
    };
    for (uint32_t i = 0; i < slot_count; i++)
        slots[i].frame = (struct frame){.piece_count = 1, .piece = {{slot_memory(nic, i), 0}}};
}

/* An empty ring starts again at its first slot: the same memory, still warm in the cache, serves as
   long as the driver keeps up. Clears what the last frame left in the slot; the interface stays as
   it was set. */
struct frame *nic_ring_slot(struct nic *nic)
{
    if (nic->tail - nic->head == nic->slot_count)
        return NULL;
    if (nic->tail == nic->head)
        nic->tail = nic->head = 0;
    struct frame *frame = &nic->slots[slot_index(nic, nic->tail)].frame;
    frame->flags = 0;
    frame->piece_count = 1;
    frame->checksum_start = 0;
    frame->checksum_offset = 0;
    frame->segment_bytes = 0;
    frame->header_bytes = 0;
    frame->piece[0] = (struct frame_piece){slot_memory(nic, nic->tail), 0};
    return frame;
}

void nic_ring_push(struct nic *nic, size_t size)
{
    assert(size <= nic->slot_bytes);
    if (nic->head == nic->tail)
        nic->counters.interrupts++;
    nic->slots[slot_index(nic, nic->tail)].frame.piece[0].size = size;
    nic->tail++;
}

bool nic_receive(struct nic *nic, const uint8_t *bytes, size_t size)
{
    if (size > nic->slot_bytes) {
        nic->counters.rx_length_errors++;
        return false;
    }
    if (!nic_ring_slot(nic)) {
        nic->counters.rx_missed++;
        return false;
    }
    memcpy(slot_memory(nic, nic->tail), bytes, size);
    nic_ring_push(nic, size);
    return true;
}

/* S14. A super-frame was put together behind the wire and has no FCS. */
static bool check_fcs(struct nic *nic, struct frame *frame)
{
    struct frame_piece *piece = &frame->piece[0];
    if (!nic->carries_fcs || frame->segment_bytes > 0)
        return true;
    if (!fcs_check(piece->data, piece->size)) {
        nic->counters.rx_crc_errors++;
        return false;
    }
    piece->size -= FCS_BYTES;
    return true;
}

/* S15. The groups that IP joins are for IP to tell apart. */
static bool is_addressed_to(const struct nic *nic, const struct mac_address *destination)
{
    return nic->promiscuous || mac_address_is_group(destination) ||
           mac_address_equal(destination, &nic->mac);
}

/* S14, S15 and S18: is the frame good? Counts it either way. */
static bool accept_frame(struct nic *nic, struct frame *frame)
{
    struct ethernet_header header;
    if (!check_fcs(nic, frame))
        return false;
    if (ethernet_parse(frame->piece[0].data, frame->piece[0].size, &header) != 0) {
        nic->counters.rx_length_errors++;
        return false;
    }
    if (!is_addressed_to(nic, &header.destination)) {
        nic->counters.rx_filtered++;
        return false;
    }
    if (header.type != ETHERTYPE_IPV4 && header.type != ETHERTYPE_ARP) {
        nic->counters.rx_unknown_type++;
        return false;
    }
    nic->counters.rx_packets++;
    nic->counters.rx_bytes += frame->piece[0].size;
    if (mac_address_is_group(&header.destination) && !mac_address_is_broadcast(&header.destination))
        nic->counters.rx_multicast++;
    return true;
}

const struct frame *nic_poll(struct nic *nic)
{
    while (nic->head != nic->tail) {
        struct frame *frame = &nic->slots[slot_index(nic, nic->head++)].frame;
        if (accept_frame(nic, frame))
            return frame;
    }
    return NULL;
}

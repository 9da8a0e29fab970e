/* A network card: receive ring, MAC filter, frame check sequence, VLAN, EtherType (S13 to S18).

   The ring is the slots from head on, fill of them; an empty ring starts at its first slot again:
   the same memory, still warm in the cache, serves as long as the driver keeps up. nic_poll frees
   the slot as it hands the frame out; that is safe since the ring fills slots in turn, so this one
   is written again by the next nic_ring_slot at the earliest. */
#include "nic.h"

#include <assert.h>

#include "../wire/bytes.h"
#include "../wire/ethernet.h"
#include "../wire/fcs.h"

enum {
    TAG_AT = 12, /* of a frame: behind the addresses */
    TAG_BYTES = 4,
    TAG_VLAN_MASK = 0x0fff, /* of the tag's second half; above it are priority and DEI */
};

/* ---- The ring ---- */

void nic_set_ring(struct nic *nic, uint8_t *memory, struct nic_slot *slots, uint32_t slot_count,
                  uint32_t slot_bytes)
{
    assert(slot_count > 0 && nic->fill == 0);
    nic->memory = memory;
    nic->slots = slots;
    nic->slot_count = slot_count;
    nic->slot_bytes = slot_bytes;
    nic->head = 0;
}

void nic_init(struct nic *nic, const struct mac_address *mac, uint8_t *memory,
              struct nic_slot *slots, uint32_t slot_count, uint32_t slot_bytes)
{
    *nic = (struct nic){.mac = *mac, .budget = NIC_BUDGET};
    nic_set_ring(nic, memory, slots, slot_count, slot_bytes);
}

/* The slot behind the last one in use. */
static uint32_t next_slot(const struct nic *nic)
{
    uint32_t slot = nic->head + nic->fill;
    return slot < nic->slot_count ? slot : slot - nic->slot_count;
}

struct frame *nic_ring_slot(struct nic *nic)
{
    if (nic->fill == nic->slot_count)
        return NULL;
    if (nic->fill == 0)
        nic->head = 0;
    uint32_t slot = next_slot(nic);
    struct frame *frame = &nic->slots[slot].frame;
    frame->interface = nic->interface;
    frame->flags = 0;
    frame->piece_count = 1;
    frame->checksum_start = 0;
    frame->checksum_offset = 0;
    frame->segment_bytes = 0;
    frame->header_bytes = 0;
    frame->piece[0] = (struct frame_piece){nic->memory + (size_t)slot * nic->slot_bytes, 0};
    return frame;
}

void nic_ring_push(struct nic *nic, size_t size)
{
    assert(size <= nic->slot_bytes && nic->fill < nic->slot_count);
    nic->slots[next_slot(nic)].frame.piece[0].size = size;
    nic->fill++;
    if (!nic->raised)
        nic->counters.interrupts++;
    nic->raised = true;
}

/* Counts a frame that ends here, for its own reason and in the sum. Returns false. */
static bool discard(uint64_t *reason, uint64_t *sum)
{
    ++*reason;
    ++*sum;
    return false;
}

bool nic_receive(struct nic *nic, const uint8_t *bytes, size_t size)
{
    if (size > nic->slot_bytes)
        return discard(&nic->counters.rx_over_errors, &nic->counters.rx_errors);
    struct frame *frame = nic_ring_slot(nic);
    if (!frame) {
        nic->counters.rx_missed++;
        return false;
    }
    memcpy((uint8_t *)(uintptr_t)frame->piece[0].data, bytes, size);
    nic_ring_push(nic, size);
    return true;
}

/* ---- The multicast filter ---- */

void nic_join(struct nic *nic, const struct mac_address *group)
{
    if (nic->group_count == NIC_GROUPS_MAX)
        nic->crowded = true;
    else
        nic->group[nic->group_count++] = *group;
}

void nic_leave(struct nic *nic, const struct mac_address *group)
{
    for (uint32_t i = 0; i < nic->group_count; i++) {
        if (mac_address_equal(&nic->group[i], group)) {
            nic->group[i] = nic->group[--nic->group_count];
            return;
        }
    }
}

void nic_leave_all(struct nic *nic)
{
    nic->group_count = 0;
    nic->crowded = false;
}

static bool is_joined(const struct nic *nic, const struct mac_address *group)
{
    if (nic->allmulti || nic->crowded || mac_address_is_broadcast(group))
        return true;
    for (uint32_t i = 0; i < nic->group_count; i++)
        if (mac_address_equal(&nic->group[i], group))
            return true;
    return false;
}

/* ---- Receiving ---- */

/* S14. A super-frame was put together behind the wire and has no FCS. */
static bool check_fcs(struct nic *nic, struct frame *frame)
{
    struct frame_piece *piece = &frame->piece[0];
    if (!nic->carries_fcs || frame->segment_bytes > 0)
        return true;
    if (!fcs_check(piece->data, piece->size))
        return discard(&nic->counters.rx_crc_errors, &nic->counters.rx_errors);
    piece->size -= FCS_BYTES;
    return true;
}

/* The longest of a super-frame's frames, or the frame's own bytes. */
static size_t wire_bytes(const struct frame *frame)
{
    size_t size = frame->piece[0].size;
    size_t segment = (size_t)frame->header_bytes + frame->segment_bytes;
    return frame->segment_bytes > 0 && segment < size ? segment : size;
}

static bool is_tagged(const struct frame *frame)
{
    return frame->piece[0].size >= TAG_AT + 2 &&
           bytes_get16(frame->piece[0].data + TAG_AT) == ETHERTYPE_VLAN;
}

/* Runts and giants. Where no FCS is carried nothing pads a short frame either, so there only the
   header has to be whole. */
static bool check_length(struct nic *nic, const struct frame *frame)
{
    size_t size = frame->piece[0].size;
    size_t header = ETHERNET_HEADER_BYTES + (is_tagged(frame) ? TAG_BYTES : 0);
    size_t least = nic->carries_fcs ? ETHERNET_MIN_BYTES : header;
    if (size >= least && (nic->mtu_bytes == 0 || wire_bytes(frame) <= header + nic->mtu_bytes))
        return true;
    return discard(&nic->counters.rx_length_errors, &nic->counters.rx_errors);
}

/* S15. */
static bool check_destination(struct nic *nic, const struct mac_address *destination)
{
    bool wanted = nic->promiscuous || mac_address_equal(destination, &nic->mac) ||
                  (mac_address_is_group(destination) && is_joined(nic, destination));
    return wanted || discard(&nic->counters.rx_filtered, &nic->counters.rx_dropped);
}

/* A tag with VLAN 0 carries a priority alone, and the frame counts as untagged (802.1Q, 6.9.1).
   type: of the frame; becomes the one behind the tag. */
static bool check_vlan(struct nic *nic, const uint8_t *bytes, uint16_t *type)
{
    unsigned vlan = 0;
    if (*type == ETHERTYPE_VLAN) {
        vlan = bytes_get16(bytes + TAG_AT + 2) & TAG_VLAN_MASK;
        *type = bytes_get16(bytes + TAG_AT + TAG_BYTES);
    }
    return vlan == nic->vlan || discard(&nic->counters.rx_vlan_filtered, &nic->counters.rx_dropped);
}

/* S18. */
static bool check_type(struct nic *nic, uint16_t type)
{
    if (type == ETHERTYPE_IPV4 || type == ETHERTYPE_ARP)
        return true;
    if (type < ETHERTYPE_MIN)
        return discard(&nic->counters.rx_802_3, &nic->counters.rx_dropped);
    return discard(&nic->counters.rx_unknown_type, &nic->counters.rx_dropped);
}

/* S14, S15 and S18: is the frame good? Counts it either way. */
static bool accept_frame(struct nic *nic, struct frame *frame)
{
    struct ethernet_header header;
    if (!check_fcs(nic, frame) || !check_length(nic, frame))
        return false;
    const uint8_t *bytes = frame->piece[0].data;
    ethernet_parse(bytes, frame->piece[0].size, &header);
    if (!nic->transparent &&
        (!check_destination(nic, &header.destination) || !check_vlan(nic, bytes, &header.type) ||
         !check_type(nic, header.type)))
        return false;
    nic->counters.rx_packets++;
    nic->counters.rx_bytes += frame->piece[0].size;
    if (mac_address_is_group(&header.destination) && !mac_address_is_broadcast(&header.destination))
        nic->counters.rx_multicast++;
    return true;
}

void nic_poll_start(struct nic *nic)
{
    nic->counters.polls++;
    nic->budget_left = nic->budget;
}

struct frame *nic_poll(struct nic *nic)
{
    while (nic->fill > 0) {
        if (nic->budget_left == 0) {
            nic->counters.budget_exhausted++;
            return NULL;
        }
        nic->budget_left--;
        struct frame *frame = &nic->slots[nic->head].frame;
        nic->head = nic->head + 1 < nic->slot_count ? nic->head + 1 : 0;
        nic->fill--;
        if (accept_frame(nic, frame))
            return frame;
    }
    nic->raised = false;
    return NULL;
}

/* ---- Tags ---- */

static void move_offload(struct frame *frame, int bytes)
{
    if (frame->flags & FRAME_CHECKSUM_PARTIAL)
        frame->checksum_start = (uint16_t)(frame->checksum_start + bytes);
    if (frame->segment_bytes > 0)
        frame->header_bytes = (uint16_t)(frame->header_bytes + bytes);
}

void nic_untag(struct frame *frame)
{
    if (!is_tagged(frame))
        return;
    uint8_t *bytes = (uint8_t *)(uintptr_t)frame->piece[0].data;
    memmove(bytes + TAG_BYTES, bytes, TAG_AT);
    frame->piece[0].data += TAG_BYTES;
    frame->piece[0].size -= TAG_BYTES;
    move_offload(frame, -TAG_BYTES);
}

/* The addresses and the tag go to the frame's own storage. What is left of the first piece goes
   there too where it fits, or else becomes a piece of its own. */
const struct frame *nic_tag(const struct nic *nic, const struct frame *frame, struct frame *tagged)
{
    if (nic->vlan == 0)
        return frame;
    const struct frame_piece *first = &frame->piece[0];
    size_t rest = first->size - TAG_AT;
    bool fits = first->size + TAG_BYTES <= sizeof tagged->header;
    assert(first->size >= ETHERNET_HEADER_BYTES && (fits || frame->piece_count < FRAME_PIECES_MAX));

    *tagged = *frame;
    memcpy(tagged->header, first->data, TAG_AT);
    bytes_put16(tagged->header + TAG_AT, ETHERTYPE_VLAN);
    bytes_put16(tagged->header + TAG_AT + 2, nic->vlan);
    tagged->piece[0] = (struct frame_piece){tagged->header, TAG_AT + TAG_BYTES};
    if (fits) {
        memcpy(tagged->header + TAG_AT + TAG_BYTES, first->data + TAG_AT, rest);
        tagged->piece[0].size += rest;
    } else {
        tagged->piece[1] = (struct frame_piece){first->data + TAG_AT, rest};
        for (unsigned i = 1; i < frame->piece_count; i++)
            tagged->piece[i + 1] = frame->piece[i];
        tagged->piece_count++;
    }
    move_offload(tagged, TAG_BYTES);
    return tagged;
}

/* A network card: receive ring, MAC filter, frame check sequence, EtherType (stages S13 to S18).

   The frame is put into the receive ring (the "signal" has become bytes), which raises the
   interrupt; the driver then polls frames out, each checked. Pure: the ring's memory is given. */
#ifndef TAPSTACK_LINK_NIC_H
#define TAPSTACK_LINK_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/address.h"
#include "../wire/frame.h"

/* Every counter of the card, written once: NIC_COUNTER(field, name as ethtool and ip say it,
   what). */
#define NIC_COUNTERS(NIC_COUNTER)                                                                  \
    NIC_COUNTER(rx_packets, "rx_packets", "frames taken from the ring and found good")             \
    NIC_COUNTER(rx_bytes, "rx_bytes", "their bytes, without FCS")                                  \
    NIC_COUNTER(rx_missed, "rx_missed_errors", "frames lost because the receive ring was full")    \
    NIC_COUNTER(rx_crc_errors, "rx_crc_errors", "frames discarded: frame check sequence wrong")    \
    NIC_COUNTER(rx_length_errors, "rx_length_errors", "frames discarded: too short, or too long")  \
    NIC_COUNTER(rx_filtered, "rx_filtered", "frames discarded: addressed to another card")         \
    NIC_COUNTER(rx_unknown_type, "rx_unknown_type", "frames discarded: EtherType nobody handles")  \
    NIC_COUNTER(rx_multicast, "multicast", "good frames to a group address")                       \
    NIC_COUNTER(interrupts, "interrupts", "times the ring went from empty to not empty")           \
    NIC_COUNTER(tx_packets, "tx_packets", "frames sent")                                           \
    NIC_COUNTER(tx_bytes, "tx_bytes", "their bytes, without FCS")                                  \
    NIC_COUNTER(tx_errors, "tx_errors", "frames the device refused")

struct nic_counters {
#define NIC_COUNTER_FIELD(field, name, what) uint64_t field;
    NIC_COUNTERS(NIC_COUNTER_FIELD)
#undef NIC_COUNTER_FIELD
};

struct nic_slot {
    struct frame frame; /* piece[0] points to the slot's memory */
};

struct nic {
    struct mac_address mac;
    bool promiscuous; /* accept frames for others too */
    bool carries_fcs; /* the last four bytes of every frame are its FCS: verified, stripped */
    struct nic_counters counters;
    uint8_t *memory;        /* slots * slot_bytes, the caller's */
    struct nic_slot *slots; /* the caller's */
    uint32_t slot_count;    /* a power of two */
    uint32_t slot_bytes;
    uint32_t head; /* next to poll */
    uint32_t tail; /* next to fill */
};

/* Makes a card with an empty ring. memory: slot_count * slot_bytes; slots: slot_count of them; both
   stay the caller's and must outlive the card. slot_count: a power of two. */
void nic_init(struct nic *nic, const struct mac_address *mac, uint8_t *memory,
              struct nic_slot *slots, uint32_t slot_count, uint32_t slot_bytes);

/* The next free slot of the ring, to be filled with a frame's bytes (slot_bytes fit) and flags
   and then given to nic_ring_push; NULL when the ring is full (nothing is counted). */
struct frame *nic_ring_slot(struct nic *nic);

/* Completes the slot that nic_ring_slot gave: size bytes were written to its piece[0].data. */
void nic_ring_push(struct nic *nic, size_t size);

/* Copies one frame into the ring; a full ring counts rx_missed. Returns whether it was taken. */
bool nic_receive(struct nic *nic, const uint8_t *bytes, size_t size);

/* Takes the next good frame: FCS, length, destination MAC and EtherType are checked on the way, bad
   ones discarded and counted. Returns NULL when the ring is empty. The frame is valid until the
   slot is filled again, that is at least until the next nic_ring_slot or nic_receive. */
const struct frame *nic_poll(struct nic *nic);

#endif

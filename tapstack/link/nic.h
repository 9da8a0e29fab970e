/* A network card: receive ring, MAC filter, frame check sequence, VLAN, EtherType (S13 to S18).

   A frame is put into the receive ring (the "signal" has become bytes), which raises the interrupt
   unless it stands already. The driver answers it with polls: each takes up to `budget` frames out
   of the ring and checks them, and the poll that finds the ring empty arms the interrupt again. So
   one interrupt serves a burst, and one busy card does not keep the processor from the others.
   Pure: the ring's memory is given. */
#ifndef TAPSTACK_LINK_NIC_H
#define TAPSTACK_LINK_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/address.h"
#include "../wire/frame.h"

/* Every counter of the card, written once: NIC_COUNTER(field, name as ip and ethtool say it, what).
   rx_errors and rx_dropped are the sums of the lines that say so. */
#define NIC_COUNTERS(NIC_COUNTER)                                                                  \
    NIC_COUNTER(rx_packets, "rx_packets", "frames taken from the ring and found good")             \
    NIC_COUNTER(rx_bytes, "rx_bytes", "their bytes, without FCS")                                  \
    NIC_COUNTER(rx_errors, "rx_errors", "frames discarded as damaged: length, over, crc, frame")   \
    NIC_COUNTER(rx_dropped, "rx_dropped", "good frames that nobody here wants: the sum of such")   \
    NIC_COUNTER(rx_missed, "rx_missed_errors", "frames lost because the receive ring was full")    \
    NIC_COUNTER(rx_multicast, "multicast", "good frames to a group address")                       \
    NIC_COUNTER(rx_length_errors, "rx_length_errors", "error: a runt, or longer than the MTU")     \
    NIC_COUNTER(rx_over_errors, "rx_over_errors", "error: longer than a slot of the ring")         \
    NIC_COUNTER(rx_crc_errors, "rx_crc_errors", "error: the frame check sequence is wrong")        \
    NIC_COUNTER(rx_frame_errors, "rx_frame_errors", "error: not whole as the device gave it")      \
    NIC_COUNTER(rx_filtered, "rx_filtered", "dropped: addressed to another card")                  \
    NIC_COUNTER(rx_vlan_filtered, "rx_vlan_filtered", "dropped: of another VLAN")                  \
    NIC_COUNTER(rx_unknown_type, "rx_unknown_type", "dropped: EtherType nobody handles")           \
    NIC_COUNTER(rx_802_3, "rx_802_3", "dropped: a length (IEEE 802.3) instead of an EtherType")    \
    NIC_COUNTER(rx_down, "rx_down", "dropped: the interface is down")                              \
    NIC_COUNTER(interrupts, "interrupts", "times that the card called for its driver")             \
    NIC_COUNTER(polls, "polls", "times that the driver looked into the ring")                      \
    NIC_COUNTER(budget_exhausted, "budget_exhausted", "polls that left frames for the next one")   \
    NIC_COUNTER(tx_packets, "tx_packets", "frames sent")                                           \
    NIC_COUNTER(tx_bytes, "tx_bytes", "their bytes, without FCS")                                  \
    NIC_COUNTER(tx_errors, "tx_errors", "frames the device refused")                               \
    NIC_COUNTER(tx_dropped, "tx_dropped", "frames lost because the device's queue was full")       \
    NIC_COUNTER(tx_carrier_errors, "tx_carrier_errors", "frames for an interface that is down")

struct nic_counters {
#define NIC_COUNTER_FIELD(field, name, what) uint64_t field;
    NIC_COUNTERS(NIC_COUNTER_FIELD)
#undef NIC_COUNTER_FIELD
};

enum {
    NIC_GROUPS_MAX = 32, /* of the multicast filter; with more than these it lets all pass */
    NIC_VLAN_MAX = 4094, /* IEEE 802.1Q, 9.6: 0 is no VLAN, 4095 is reserved */
    NIC_BUDGET = 64,     /* what nic_init sets */
};

struct nic_slot {
    struct frame frame; /* piece[0] points to the slot's memory */
};

struct nic {
    struct mac_address mac;
    uint16_t interface; /* put into every frame that is received */
    uint16_t mtu_bytes; /* longest datagram; 0: any that fits a slot */
    uint16_t vlan;      /* the one whose frames are ours, 1..NIC_VLAN_MAX; 0: frames without tag */
    uint32_t budget;    /* frames of one poll, at least 1 */
    bool promiscuous;   /* accept frames for others too */
    bool allmulti;      /* accept every group */
    bool transparent;   /* a bridge's port: accept all that is whole, for whomever, of any kind */
    bool carries_fcs;   /* the last four bytes of every frame are its FCS: verified, stripped */
    bool raised;        /* the interrupt stands: the driver has to poll */
    struct nic_counters counters;
    uint8_t *memory;        /* slots * slot_bytes, the caller's */
    struct nic_slot *slots; /* the caller's */
    uint32_t slot_count;
    uint32_t slot_bytes;
    uint32_t head;        /* slot to poll next */
    uint32_t fill;        /* slots that wait for a poll */
    uint32_t budget_left; /* of the poll under way */
    bool crowded;         /* more groups were joined than the filter holds: it lets all pass */
    uint32_t group_count; /* joined */
    struct mac_address group[NIC_GROUPS_MAX];
};

/* Makes a card with an empty ring. memory: slot_count * slot_bytes; slots: slot_count of them; both
   stay the caller's and must outlive the card or its next nic_set_ring. slot_count: at least 1. */
void nic_init(struct nic *nic, const struct mac_address *mac, uint8_t *memory,
              struct nic_slot *slots, uint32_t slot_count, uint32_t slot_bytes);

/* Another ring in the place of the one that is there, which must be empty. */
void nic_set_ring(struct nic *nic, uint8_t *memory, struct nic_slot *slots, uint32_t slot_count,
                  uint32_t slot_bytes);

/* The multicast filter. A group joined twice is left by leaving it twice. One that was joined by
   too many lets all groups pass until nic_leave_all, with which it is filled anew. */
void nic_join(struct nic *nic, const struct mac_address *group);
void nic_leave(struct nic *nic, const struct mac_address *group);
void nic_leave_all(struct nic *nic);

/* The next free slot of the ring, to be filled with a frame's bytes (slot_bytes fit) and flags
   and then given to nic_ring_push; NULL when the ring is full (nothing is counted). */
struct frame *nic_ring_slot(struct nic *nic);

/* Completes the slot that nic_ring_slot gave: size bytes were written to its piece[0].data. Raises
   the interrupt. */
void nic_ring_push(struct nic *nic, size_t size);

/* Copies one frame into the ring; a full ring counts rx_missed. Returns whether it was taken. */
bool nic_receive(struct nic *nic, const uint8_t *bytes, size_t size);

/* The driver's answer to the interrupt: starts a poll. */
void nic_poll_start(struct nic *nic);

/* Takes the next good frame of this poll: FCS, length, destination, VLAN and EtherType are checked
   on the way, bad frames are discarded and counted; all of them use the budget up. Returns NULL
   when the ring is empty (nic->raised is false then), or the budget is used up (it is true: poll
   again). The frame is as it was on the wire, without FCS, and valid until the slot is filled
   again, that is at least until the next nic_ring_slot or nic_receive. */
struct frame *nic_poll(struct nic *nic);

/* Takes the 802.1Q tag off a received frame, in its place, and moves its offload fields along. One
   without a tag stays as it is. */
void nic_untag(struct frame *frame);

/* Puts the card's tag into a frame that is sent: returns tagged, filled in, whose pieces point into
   itself and into frame; or frame itself where the card has no VLAN. */
const struct frame *nic_tag(const struct nic *nic, const struct frame *frame, struct frame *tagged);

#endif

/* The network card: what it accepts, what it refuses and counts (S13 to S18), and its ring. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/link/nic.h"
#include "../../tapstack/wire/bytes.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/fcs.h"

enum { SLOTS = 4, SLOT_BYTES = 128 };

static const struct mac_address own = {{2, 0, 0, 0, 0, 2}};

struct card {
    struct nic nic;
    struct nic_slot slots[SLOTS];
    uint8_t memory[SLOTS * SLOT_BYTES];
};

static void open_card(struct card *card)
{
    nic_init(&card->nic, &own, card->memory, card->slots, SLOTS, SLOT_BYTES);
}

/* Writes a frame of size bytes whose last byte is mark. */
static void make_frame(uint8_t *bytes, size_t size, const char *destination, uint16_t type,
                       uint8_t mark)
{
    uint8_t full[SLOT_BYTES] = {0};
    struct ethernet_header header = {.source = {{2, 0, 0, 0, 0, 1}}, .type = type};
    mac_address_parse(destination, &header.destination);
    ethernet_write(&header, full);
    full[size > 14 ? size - 1 : 14] = mark;
    memcpy(bytes, full, size);
}

#define OWN       "02:00:00:00:00:02"
#define OTHER     "02:00:00:00:00:03"
#define BROADCAST "ff:ff:ff:ff:ff:ff"
#define MULTICAST "01:00:5e:00:00:01"

enum setting {
    PLAIN,
    PROMISCUOUS,
    ALLMULTI,
    JOINED,
    TRANSPARENT,
    VLAN_5,
    SMALL_MTU, /* of 46 bytes, so that a frame has 60 */
    WITH_FCS,
    BAD_FCS,
};

enum { TAGGED = 0x10000 }; /* in type: the EtherType stands behind the tag of VLAN `vlan` */

/* The counter that must be one after the frame; rx_packets says that it was accepted. */
static const struct {
    const char *what;
    const char *destination;
    uint32_t type;
    size_t size;
    enum setting setting;
    size_t counter;
    uint16_t vlan;
} cases[] = {
#define IS(field) offsetof(struct nic_counters, field)
    {"S18 own, IPv4", OWN, ETHERTYPE_IPV4, 60, PLAIN, IS(rx_packets)},
    {"S18 own, ARP", OWN, ETHERTYPE_ARP, 42, PLAIN, IS(rx_packets)},
    {"S18 IPv6", OWN, ETHERTYPE_IPV6, 60, PLAIN, IS(rx_unknown_type)},
    {"S18 unknown type, promiscuous", OTHER, 0x88cc, 60, PROMISCUOUS, IS(rx_unknown_type)},
    {"S18 a length instead of a type", OWN, 46, 60, PLAIN, IS(rx_802_3)},
    {"S18 the longest length", OWN, 0x05ff, 60, PLAIN, IS(rx_802_3)},
    {"S18 the first type", OWN, 0x0600, 60, PLAIN, IS(rx_unknown_type)},
    {"S13 header alone", OWN, ETHERTYPE_IPV4, 14, PLAIN, IS(rx_packets)},
    {"S13 13 bytes", OWN, ETHERTYPE_IPV4, 13, PLAIN, IS(rx_length_errors)},
    {"S13 no bytes", OWN, ETHERTYPE_IPV4, 0, PLAIN, IS(rx_length_errors)},
    {"S13 as long as the MTU", OWN, ETHERTYPE_IPV4, 60, SMALL_MTU, IS(rx_packets)},
    {"S13 longer than the MTU", OWN, ETHERTYPE_IPV4, 61, SMALL_MTU, IS(rx_length_errors)},
    {"S13 a tag does not count", OWN, TAGGED | ETHERTYPE_IPV4, 64, SMALL_MTU, IS(rx_packets)},
    {"S13 tagged and longer", OWN, TAGGED | ETHERTYPE_IPV4, 65, SMALL_MTU, IS(rx_length_errors)},
    {"S13 cut in the tag", OWN, TAGGED | ETHERTYPE_IPV4, 17, PLAIN, IS(rx_length_errors)},
    {"S15 broadcast", BROADCAST, ETHERTYPE_ARP, 42, PLAIN, IS(rx_packets)},
    {"S15 for another", OTHER, ETHERTYPE_IPV4, 60, PLAIN, IS(rx_filtered)},
    {"S15 for another, promiscuous", OTHER, ETHERTYPE_IPV4, 60, PROMISCUOUS, IS(rx_packets)},
    {"S15 a group nobody joined", MULTICAST, ETHERTYPE_IPV4, 60, PLAIN, IS(rx_filtered)},
    {"S15 a group that is joined", MULTICAST, ETHERTYPE_IPV4, 60, JOINED, IS(rx_packets)},
    {"S15 another group", "01:00:5e:00:00:02", ETHERTYPE_IPV4, 60, JOINED, IS(rx_filtered)},
    {"S15 any group", MULTICAST, ETHERTYPE_IPV4, 60, ALLMULTI, IS(rx_packets)},
    {"S15 a group, promiscuous", MULTICAST, ETHERTYPE_IPV4, 60, PROMISCUOUS, IS(rx_packets)},
    {"S15 for another, allmulti", OTHER, ETHERTYPE_IPV4, 60, ALLMULTI, IS(rx_filtered)},
    {"a bridge takes all", OTHER, 0x88cc, 60, TRANSPARENT, IS(rx_packets)},
    {"a bridge takes all VLANs", OTHER, TAGGED | 0x88cc, 60, TRANSPARENT, IS(rx_packets), 9},
    {"a bridge takes no runts", OTHER, 0x88cc, 13, TRANSPARENT, IS(rx_length_errors)},
    {"our VLAN", OWN, TAGGED | ETHERTYPE_IPV4, 64, VLAN_5, IS(rx_packets), 5},
    {"our VLAN, with a priority", OWN, TAGGED | ETHERTYPE_IPV4, 64, VLAN_5, IS(rx_packets), 0xe005},
    {"our VLAN, IPv6", OWN, TAGGED | ETHERTYPE_IPV6, 64, VLAN_5, IS(rx_unknown_type), 5},
    {"our VLAN, two tags", OWN, TAGGED | ETHERTYPE_VLAN, 64, VLAN_5, IS(rx_unknown_type), 5},
    {"another VLAN", OWN, TAGGED | ETHERTYPE_IPV4, 64, VLAN_5, IS(rx_vlan_filtered), 6},
    {"no tag where one must be", OWN, ETHERTYPE_IPV4, 60, VLAN_5, IS(rx_vlan_filtered)},
    {"a priority where a VLAN must be", OWN, TAGGED | ETHERTYPE_IPV4, 64, VLAN_5,
     IS(rx_vlan_filtered), 0xe000},
    {"a VLAN where none must be", OWN, TAGGED | ETHERTYPE_IPV4, 64, PLAIN, IS(rx_vlan_filtered), 5},
    {"a priority alone", OWN, TAGGED | ETHERTYPE_IPV4, 64, PLAIN, IS(rx_packets), 0xe000},
    {"S14 right FCS", OWN, ETHERTYPE_IPV4, 60, WITH_FCS, IS(rx_packets)},
    {"S14 right FCS, for another", OTHER, ETHERTYPE_IPV4, 60, WITH_FCS, IS(rx_filtered)},
    {"S14 right FCS, a runt", OWN, ETHERTYPE_IPV4, 59, WITH_FCS, IS(rx_length_errors)},
    {"S14 right FCS behind 13 bytes", OWN, ETHERTYPE_IPV4, 13, WITH_FCS, IS(rx_length_errors)},
    {"S14 wrong FCS", OWN, ETHERTYPE_IPV4, 60, BAD_FCS, IS(rx_crc_errors)},
    {"S14 wrong FCS, for another", OTHER, ETHERTYPE_IPV4, 60, BAD_FCS, IS(rx_crc_errors)},
#undef IS
};

static uint64_t counter_at(const struct nic_counters *counters, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *)counters + offset, sizeof value);
    return value;
}

/* The single reasons add up to the sums. */
static void check_sums(const struct nic_counters *c)
{
    assert_int_equal(c->rx_errors, c->rx_length_errors + c->rx_over_errors + c->rx_crc_errors +
                                       c->rx_frame_errors);
    assert_int_equal(c->rx_dropped, c->rx_filtered + c->rx_vlan_filtered + c->rx_unknown_type +
                                        c->rx_802_3 + c->rx_down);
}

static void set_card(struct nic *nic, enum setting setting)
{
    static const struct mac_address group = {{1, 0, 0x5e, 0, 0, 1}};
    nic->promiscuous = setting == PROMISCUOUS;
    nic->allmulti = setting == ALLMULTI;
    nic->transparent = setting == TRANSPARENT;
    nic->vlan = setting == VLAN_5 ? 5 : 0;
    nic->mtu_bytes = setting == SMALL_MTU ? 46 : 0;
    nic->carries_fcs = setting >= WITH_FCS;
    if (setting == JOINED)
        nic_join(nic, &group);
}

/* Of case i, as it comes by the wire. Returns its size. */
static size_t make_case(size_t i, uint8_t *bytes)
{
    size_t size = cases[i].size;
    bool tagged = cases[i].type & TAGGED;
    make_frame(bytes, size, cases[i].destination, tagged ? ETHERTYPE_VLAN : (uint16_t)cases[i].type,
               7);
    if (tagged && size >= 18) {
        bytes_put16(bytes + 14, cases[i].vlan);
        bytes_put16(bytes + 16, (uint16_t)cases[i].type);
    }
    if (cases[i].setting < WITH_FCS)
        return size;
    fcs_append(bytes, size);
    bytes[20] ^= cases[i].setting == BAD_FCS;
    return size + FCS_BYTES;
}

static struct frame *poll_one(struct nic *nic)
{
    nic_poll_start(nic);
    return nic_poll(nic);
}

static void s13_s14_s15_s18_accepts_and_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct card card;
        uint8_t bytes[SLOT_BYTES];
        open_card(&card);
        set_card(&card.nic, cases[i].setting);
        assert_true(nic_receive(&card.nic, bytes, make_case(i, bytes)));
        const struct frame *frame = poll_one(&card.nic);
        const struct nic_counters *counters = &card.nic.counters;
        if (counter_at(counters, cases[i].counter) != 1 ||
            counters->rx_packets + counters->rx_errors + counters->rx_dropped != 1 ||
            (frame != NULL) != (counters->rx_packets == 1))
            fail_msg("%s", cases[i].what);
        check_sums(counters);
        if (!frame)
            continue;
        assert_int_equal(frame_size(frame), cases[i].size);
        assert_memory_equal(frame->piece[0].data, bytes, cases[i].size);
        assert_int_equal(counters->rx_bytes, cases[i].size);
        assert_int_equal(counters->rx_multicast, strcmp(cases[i].destination, MULTICAST) == 0);
    }
}

/* ---- The multicast filter ---- */

static bool takes_group(struct card *card, uint8_t last)
{
    uint8_t bytes[60];
    char group[] = "01:00:5e:00:00:00";
    snprintf(group + 15, 3, "%02x", last);
    make_frame(bytes, sizeof bytes, group, ETHERTYPE_IPV4, 1);
    nic_receive(&card->nic, bytes, sizeof bytes);
    return poll_one(&card->nic) != NULL;
}

static void join_group(struct card *card, uint8_t last)
{
    nic_join(&card->nic, &(struct mac_address){{1, 0, 0x5e, 0, 0, last}});
}

static void leave_group(struct card *card, uint8_t last)
{
    nic_leave(&card->nic, &(struct mac_address){{1, 0, 0x5e, 0, 0, last}});
}

static void s15_groups_are_joined_and_left(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    join_group(&card, 1);
    join_group(&card, 2);
    join_group(&card, 1);
    leave_group(&card, 1);
    assert_true(takes_group(&card, 1)); /* once more than left */
    leave_group(&card, 1);
    leave_group(&card, 9); /* never joined */
    assert_false(takes_group(&card, 1));
    assert_true(takes_group(&card, 2));
    nic_leave_all(&card.nic);
    assert_false(takes_group(&card, 2));
}

static void s15_more_groups_than_the_filter_holds(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    for (uint8_t i = 0; i < NIC_GROUPS_MAX; i++)
        join_group(&card, i);
    assert_true(takes_group(&card, NIC_GROUPS_MAX - 1));
    assert_false(takes_group(&card, NIC_GROUPS_MAX));
    join_group(&card, NIC_GROUPS_MAX);
    assert_true(takes_group(&card, NIC_GROUPS_MAX));
    assert_true(takes_group(&card, 200));
    nic_leave_all(&card.nic);
    assert_false(takes_group(&card, 200));
}

/* ---- Tags ---- */

static void tag_is_taken_off(void **state)
{
    struct card card;
    uint8_t bytes[64], plain[60];
    (void)state;
    open_card(&card);
    card.nic.vlan = 5;
    make_frame(plain, sizeof plain, OWN, ETHERTYPE_IPV4, 7);
    memcpy(bytes, plain, 12);
    bytes_put16(bytes + 12, ETHERTYPE_VLAN);
    bytes_put16(bytes + 14, 5);
    memcpy(bytes + 16, plain + 12, 48);
    struct frame *slot = nic_ring_slot(&card.nic);
    memcpy(card.memory, bytes, sizeof bytes);
    slot->flags = FRAME_CHECKSUM_PARTIAL;
    slot->checksum_start = 38;
    slot->checksum_offset = 16;
    slot->segment_bytes = 1448;
    slot->header_bytes = 58;
    nic_ring_push(&card.nic, sizeof bytes);
    struct frame *frame = poll_one(&card.nic);
    assert_non_null(frame);
    nic_untag(frame);
    assert_int_equal(frame_size(frame), sizeof plain);
    assert_memory_equal(frame->piece[0].data, plain, sizeof plain);
    assert_int_equal(frame->checksum_start, 34);
    assert_int_equal(frame->checksum_offset, 16);
    assert_int_equal(frame->header_bytes, 54);
    nic_untag(frame); /* without a tag it stays */
    assert_memory_equal(frame->piece[0].data, plain, sizeof plain);
}

/* frame in pieces with these sizes comes out tagged, whatever way its storage takes. */
static void check_tagged(const size_t *sizes, unsigned count)
{
    static uint8_t plain[600], whole[604];
    struct card card;
    struct frame frame = {.flags = FRAME_CHECKSUM_PARTIAL,
                          .checksum_start = 34,
                          .checksum_offset = 16,
                          .segment_bytes = 100,
                          .header_bytes = 54,
                          .piece_count = (uint8_t)count};
    struct frame tagged;
    size_t at = 0;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 7 + 1);
    for (unsigned i = 0; i < count; at += sizes[i++])
        frame.piece[i] = (struct frame_piece){plain + at, sizes[i]};
    open_card(&card);
    assert_ptr_equal(nic_tag(&card.nic, &frame, &tagged), &frame);
    card.nic.vlan = 0x123;
    assert_ptr_equal(nic_tag(&card.nic, &frame, &tagged), &tagged);
    assert_int_equal(frame_size(&tagged), at + 4);
    frame_copy(&tagged, whole);
    assert_memory_equal(whole, plain, 12);
    assert_memory_equal(whole + 12, "\x81\x00\x01\x23", 4);
    assert_memory_equal(whole + 16, plain + 12, at - 12);
    assert_int_equal(tagged.checksum_start, 38);
    assert_int_equal(tagged.header_bytes, 58);
}

static void tag_is_put_in(void **state)
{
    (void)state;
    check_tagged((const size_t[]){42}, 1);
    check_tagged((const size_t[]){14}, 1);
    check_tagged((const size_t[]){600}, 1);
    check_tagged((const size_t[]){300, 300}, 2);
    check_tagged((const size_t[]){66, 200, 100}, 3);
    check_tagged((const size_t[]){134, 200, 100}, 3); /* all options of IP and TCP */
}

static void s14_fcs_shorter_than_itself_is_an_error(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    card.nic.carries_fcs = true;
    for (size_t size = 0; size < FCS_BYTES; size++) {
        assert_true(nic_receive(&card.nic, (const uint8_t *)"\0\0\0\0", size));
        assert_null(poll_one(&card.nic));
        assert_int_equal(card.nic.counters.rx_crc_errors, size + 1);
    }
}

static void s14_super_frame_has_no_fcs(void **state)
{
    struct card card;
    uint8_t bytes[60];
    (void)state;
    open_card(&card);
    card.nic.carries_fcs = true;
    make_frame(bytes, sizeof bytes, OWN, ETHERTYPE_IPV4, 7);
    struct frame *slot = nic_ring_slot(&card.nic);
    slot->segment_bytes = 1448;
    memcpy(card.memory, bytes, sizeof bytes);
    assert_ptr_equal(slot->piece[0].data, card.memory);
    nic_ring_push(&card.nic, sizeof bytes);
    const struct frame *frame = poll_one(&card.nic);
    assert_non_null(frame);
    assert_int_equal(frame->segment_bytes, 1448);
    assert_int_equal(frame_size(frame), sizeof bytes);
}

static void slot_comes_clean(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    for (int i = 0; i < 2 * SLOTS; i++) {
        struct frame *slot = nic_ring_slot(&card.nic);
        assert_int_equal(slot->flags | slot->segment_bytes | slot->header_bytes, 0);
        assert_int_equal(slot->checksum_start | slot->checksum_offset, 0);
        assert_int_equal(slot->piece_count, 1);
        slot->flags = FRAME_CHECKSUM_VALID;
        slot->segment_bytes = slot->header_bytes = 9;
        slot->checksum_start = slot->checksum_offset = 9;
        nic_ring_push(&card.nic, 0);
        assert_null(poll_one(&card.nic));
    }
}

static void s16_full_ring_loses_the_new_frame(void **state)
{
    struct card card;
    uint8_t bytes[60];
    (void)state;
    open_card(&card);
    for (uint8_t i = 0; i < SLOTS + 2; i++) {
        make_frame(bytes, sizeof bytes, OWN, ETHERTYPE_IPV4, i);
        assert_int_equal(nic_receive(&card.nic, bytes, sizeof bytes), i < SLOTS);
    }
    assert_null(nic_ring_slot(&card.nic));
    assert_int_equal(card.nic.counters.rx_missed, 2);
    for (uint8_t i = 0; i < SLOTS; i++)
        assert_int_equal(poll_one(&card.nic)->piece[0].data[59], i);
    assert_null(poll_one(&card.nic));
}

static void s16_frame_longer_than_a_slot_is_refused(void **state)
{
    struct card card;
    uint8_t bytes[SLOT_BYTES + 1] = {0};
    (void)state;
    open_card(&card);
    assert_false(nic_receive(&card.nic, bytes, sizeof bytes));
    assert_int_equal(card.nic.counters.rx_over_errors, 1);
    check_sums(&card.nic.counters);
    assert_null(poll_one(&card.nic));
}

static void receive_many(struct card *card, unsigned count)
{
    uint8_t bytes[60];
    make_frame(bytes, sizeof bytes, OWN, ETHERTYPE_IPV4, 0);
    while (count-- > 0)
        assert_true(nic_receive(&card->nic, bytes, sizeof bytes));
}

static void s17_one_interrupt_for_a_burst(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    for (unsigned round = 1; round <= 10; round++) {
        receive_many(&card, 3);
        assert_true(card.nic.raised);
        assert_int_equal(card.nic.counters.interrupts, round);
        nic_poll_start(&card.nic);
        while (nic_poll(&card.nic))
            ;
        assert_false(card.nic.raised);
    }
    assert_int_equal(card.nic.counters.polls, 10);
    assert_int_equal(card.nic.counters.budget_exhausted, 0);
}

static unsigned poll_all(struct nic *nic)
{
    unsigned count = 0;
    nic_poll_start(nic);
    while (nic_poll(nic))
        count++;
    return count;
}

/* While the interrupt stands, frames that come raise no other. */
static void s17_poll_ends_with_its_budget(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    card.nic.budget = 2;
    receive_many(&card, 4);
    assert_int_equal(poll_all(&card.nic), 2);
    assert_true(card.nic.raised);
    assert_int_equal(card.nic.counters.budget_exhausted, 1);
    receive_many(&card, 1);
    assert_int_equal(poll_all(&card.nic), 2);
    assert_int_equal(poll_all(&card.nic), 1);
    assert_false(card.nic.raised);
    assert_int_equal(card.nic.counters.interrupts, 1);
    assert_int_equal(card.nic.counters.polls, 3);
    assert_int_equal(card.nic.counters.budget_exhausted, 2);
}

/* Exactly the budget is no more than the budget. */
static void s17_budget_that_just_suffices(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    card.nic.budget = SLOTS;
    receive_many(&card, SLOTS);
    assert_int_equal(poll_all(&card.nic), SLOTS);
    assert_false(card.nic.raised);
    assert_int_equal(card.nic.counters.budget_exhausted, 0);
}

/* Bad frames use the budget up as well: looking at them is work. */
static void s17_bad_frames_cost_budget(void **state)
{
    struct card card;
    uint8_t bytes[60];
    (void)state;
    open_card(&card);
    card.nic.budget = 2;
    make_frame(bytes, sizeof bytes, OTHER, ETHERTYPE_IPV4, 0);
    for (int i = 0; i < 3; i++)
        nic_receive(&card.nic, bytes, sizeof bytes);
    assert_int_equal(poll_all(&card.nic), 0);
    assert_true(card.nic.raised);
    assert_int_equal(card.nic.counters.rx_filtered, 2);
}

/* Bad frames are passed over; order holds while the ring goes round, whatever its length. */
static void s16_order_holds_around_the_ring(void **state)
{
    uint8_t bytes[60];
    (void)state;
    for (uint32_t slots = 1; slots <= SLOTS; slots++) {
        struct card card;
        uint8_t in = 0, out = 0;
        open_card(&card);
        nic_set_ring(&card.nic, card.memory, card.slots, slots, SLOT_BYTES);
        for (unsigned i = 0; i < 200; i++) {
            make_frame(bytes, sizeof bytes, i % 3 == 0 ? OTHER : OWN, ETHERTYPE_IPV4, in);
            assert_true(nic_receive(&card.nic, bytes, sizeof bytes));
            in += i % 3 != 0;
            if (card.nic.fill < slots)
                continue;
            struct frame *frame = poll_one(&card.nic); /* one alone, so that the ring goes on */
            if (frame)
                assert_int_equal(frame->piece[0].data[59], out++);
        }
        assert_int_equal(card.nic.counters.rx_missed, 0);
        assert_true(out > 60);
    }
}

static void s16_frame_stays_until_its_slot_is_filled(void **state)
{
    struct card card;
    uint8_t bytes[60];
    (void)state;
    open_card(&card);
    for (uint8_t i = 0; i < SLOTS; i++) {
        make_frame(bytes, sizeof bytes, OWN, ETHERTYPE_IPV4, i);
        nic_receive(&card.nic, bytes, sizeof bytes);
    }
    const struct frame *first = poll_one(&card.nic);
    poll_one(&card.nic);
    poll_one(&card.nic);
    assert_int_equal(first->piece[0].data[59], 0);
    assert_int_equal(frame_size(first), 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s13_s14_s15_s18_accepts_and_refuses),
        cmocka_unit_test(s15_groups_are_joined_and_left),
        cmocka_unit_test(s15_more_groups_than_the_filter_holds),
        cmocka_unit_test(tag_is_taken_off),
        cmocka_unit_test(tag_is_put_in),
        cmocka_unit_test(s14_fcs_shorter_than_itself_is_an_error),
        cmocka_unit_test(s14_super_frame_has_no_fcs),
        cmocka_unit_test(slot_comes_clean),
        cmocka_unit_test(s16_full_ring_loses_the_new_frame),
        cmocka_unit_test(s16_frame_longer_than_a_slot_is_refused),
        cmocka_unit_test(s16_order_holds_around_the_ring),
        cmocka_unit_test(s16_frame_stays_until_its_slot_is_filled),
        cmocka_unit_test(s17_one_interrupt_for_a_burst),
        cmocka_unit_test(s17_poll_ends_with_its_budget),
        cmocka_unit_test(s17_budget_that_just_suffices),
        cmocka_unit_test(s17_bad_frames_cost_budget),
    };
    return cmocka_run_group_tests_name("nic", tests, NULL, NULL);
}

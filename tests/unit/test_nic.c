/* The network card: what it accepts, what it refuses and counts (S13 to S18), and its ring. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/link/nic.h"
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

enum setting { PLAIN, PROMISCUOUS, WITH_FCS, BAD_FCS };

/* The counter that must be one after the frame; rx_packets says that it was accepted. */
static const struct {
    const char *what;
    const char *destination;
    uint16_t type;
    size_t size;
    enum setting setting;
    size_t counter;
} cases[] = {
#define IS(field) offsetof(struct nic_counters, field)
    {"S18 own, IPv4", OWN, ETHERTYPE_IPV4, 60, PLAIN, IS(rx_packets)},
    {"S18 own, ARP", OWN, ETHERTYPE_ARP, 42, PLAIN, IS(rx_packets)},
    {"header alone", OWN, ETHERTYPE_IPV4, 14, PLAIN, IS(rx_packets)},
    {"broadcast", BROADCAST, ETHERTYPE_ARP, 42, PLAIN, IS(rx_packets)},
    {"multicast", MULTICAST, ETHERTYPE_IPV4, 60, PLAIN, IS(rx_packets)},
    {"S15 for another", OTHER, ETHERTYPE_IPV4, 60, PLAIN, IS(rx_filtered)},
    {"for another, promiscuous", OTHER, ETHERTYPE_IPV4, 60, PROMISCUOUS, IS(rx_packets)},
    {"13 bytes", OWN, ETHERTYPE_IPV4, 13, PLAIN, IS(rx_length_errors)},
    {"no bytes", OWN, ETHERTYPE_IPV4, 0, PLAIN, IS(rx_length_errors)},
    {"IPv6", OWN, ETHERTYPE_IPV6, 60, PLAIN, IS(rx_unknown_type)},
    {"VLAN", OWN, ETHERTYPE_VLAN, 60, PLAIN, IS(rx_unknown_type)},
    {"length instead of a type", OWN, 46, 60, PLAIN, IS(rx_unknown_type)},
    {"unknown type, promiscuous", OTHER, 0x88cc, 60, PROMISCUOUS, IS(rx_unknown_type)},
    {"S14 right FCS", OWN, ETHERTYPE_IPV4, 60, WITH_FCS, IS(rx_packets)},
    {"right FCS, for another", OTHER, ETHERTYPE_IPV4, 60, WITH_FCS, IS(rx_filtered)},
    {"right FCS behind 13 bytes", OWN, ETHERTYPE_IPV4, 13, WITH_FCS, IS(rx_length_errors)},
    {"S14 wrong FCS", OWN, ETHERTYPE_IPV4, 60, BAD_FCS, IS(rx_crc_errors)},
    {"wrong FCS, for another", OTHER, ETHERTYPE_IPV4, 60, BAD_FCS, IS(rx_crc_errors)},
#undef IS
};

static uint64_t counter_at(const struct nic_counters *counters, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *)counters + offset, sizeof value);
    return value;
}

static uint64_t discarded(const struct nic_counters *counters)
{
    return counters->rx_filtered + counters->rx_crc_errors + counters->rx_length_errors +
           counters->rx_unknown_type + counters->rx_missed;
}

static void accepts_and_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct card card;
        uint8_t bytes[SLOT_BYTES];
        size_t size = cases[i].size;
        open_card(&card);
        make_frame(bytes, size, cases[i].destination, cases[i].type, 7);
        card.nic.promiscuous = cases[i].setting == PROMISCUOUS;
        if (cases[i].setting >= WITH_FCS) {
            card.nic.carries_fcs = true;
            fcs_append(bytes, size);
            size += FCS_BYTES;
            bytes[20] ^= cases[i].setting == BAD_FCS;
        }
        assert_true(nic_receive(&card.nic, bytes, size));
        const struct frame *frame = nic_poll(&card.nic);
        const struct nic_counters *counters = &card.nic.counters;
        if (counter_at(counters, cases[i].counter) != 1 ||
            counters->rx_packets + discarded(counters) != 1 ||
            (frame != NULL) != (counters->rx_packets == 1))
            fail_msg("%s", cases[i].what);
        if (!frame)
            continue;
        assert_int_equal(frame_size(frame), cases[i].size);
        assert_memory_equal(frame->piece[0].data, bytes, cases[i].size);
        assert_int_equal(counters->rx_bytes, cases[i].size);
        assert_int_equal(counters->rx_multicast, strcmp(cases[i].destination, MULTICAST) == 0);
    }
}

static void fcs_shorter_than_itself_is_an_error(void **state)
{
    struct card card;
    (void)state;
    open_card(&card);
    card.nic.carries_fcs = true;
    for (size_t size = 0; size < FCS_BYTES; size++) {
        assert_true(nic_receive(&card.nic, (const uint8_t *)"\0\0\0\0", size));
        assert_null(nic_poll(&card.nic));
        assert_int_equal(card.nic.counters.rx_crc_errors, size + 1);
    }
}

static void super_frame_has_no_fcs(void **state)
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
    const struct frame *frame = nic_poll(&card.nic);
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
        assert_null(nic_poll(&card.nic));
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
        assert_int_equal(nic_poll(&card.nic)->piece[0].data[59], i);
    assert_null(nic_poll(&card.nic));
}

static void too_long_a_frame_is_refused(void **state)
{
    struct card card;
    uint8_t bytes[SLOT_BYTES + 1] = {0};
    (void)state;
    open_card(&card);
    assert_false(nic_receive(&card.nic, bytes, sizeof bytes));
    assert_int_equal(card.nic.counters.rx_length_errors, 1);
    assert_null(nic_poll(&card.nic));
}

static void s17_interrupt_when_the_ring_fills(void **state)
{
    struct card card;
    uint8_t bytes[60];
    (void)state;
    open_card(&card);
    make_frame(bytes, sizeof bytes, OWN, ETHERTYPE_IPV4, 0);
    for (int round = 1; round <= 10; round++) {
        for (int i = 0; i < 3; i++)
            nic_receive(&card.nic, bytes, sizeof bytes);
        assert_int_equal(card.nic.counters.interrupts, round);
        while (nic_poll(&card.nic))
            ;
    }
}

/* Bad frames are passed over; order holds while positions run over the end of their numbers. */
static void order_holds_across_the_wrap(void **state)
{
    struct card card;
    uint8_t bytes[60];
    (void)state;
    open_card(&card);
    card.nic.head = card.nic.tail = 0xfffffffe;
    for (unsigned i = 0; i < 100; i++) {
        make_frame(bytes, sizeof bytes, OTHER, ETHERTYPE_IPV4, 0);
        assert_true(nic_receive(&card.nic, bytes, sizeof bytes));
        make_frame(bytes, sizeof bytes, OWN, ETHERTYPE_IPV4, (uint8_t)i);
        assert_true(nic_receive(&card.nic, bytes, sizeof bytes));
        assert_int_equal(nic_poll(&card.nic)->piece[0].data[59], i);
    }
    assert_int_equal(card.nic.counters.rx_filtered, 100);
    assert_int_equal(card.nic.counters.rx_packets, 100);
}

static void frame_stays_until_its_slot_is_filled(void **state)
{
    struct card card;
    uint8_t bytes[60];
    (void)state;
    open_card(&card);
    for (uint8_t i = 0; i < SLOTS; i++) {
        make_frame(bytes, sizeof bytes, OWN, ETHERTYPE_IPV4, i);
        nic_receive(&card.nic, bytes, sizeof bytes);
    }
    const struct frame *first = nic_poll(&card.nic);
    nic_poll(&card.nic);
    nic_poll(&card.nic);
    assert_int_equal(first->piece[0].data[59], 0);
    assert_int_equal(frame_size(first), 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_and_refuses),
        cmocka_unit_test(fcs_shorter_than_itself_is_an_error),
        cmocka_unit_test(super_frame_has_no_fcs),
        cmocka_unit_test(slot_comes_clean),
        cmocka_unit_test(s16_full_ring_loses_the_new_frame),
        cmocka_unit_test(too_long_a_frame_is_refused),
        cmocka_unit_test(s17_interrupt_when_the_ring_fills),
        cmocka_unit_test(order_holds_across_the_wrap),
        cmocka_unit_test(frame_stays_until_its_slot_is_filled),
    };
    return cmocka_run_group_tests_name("nic", tests, NULL, NULL);
}

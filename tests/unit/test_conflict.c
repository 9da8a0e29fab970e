/* Our own address on its link (RFC 5227): probed before use, announced, defended, given up. */
#include "net_harness.h"

#include "../../tapstack/core/conflict.h"
#include "../../tapstack/core/state.h"

enum { SECOND = 1000000 };
static const struct mac_address other_mac = {{2, 0, 0, 0x0a, 0x0b, 9}};

static struct stack_address_state address_now(void)
{
    struct stack_address_state address;
    assert_true(stack_address_state(net, 0, OUR_V4, &address, net_now));
    return address;
}

static void expect_state(enum address_state state)
{
    assert_string_equal(address_state_name(address_now().state), address_state_name(state));
}

/* The pulled frame is a broadcast request for our address: a probe, or an announcement. */
static void expect_own(uint32_t sender_v4)
{
    struct ethernet_header ethernet;
    struct arp_packet arp = out_arp(&ethernet);
    assert_int_equal(arp.operation, ARP_REQUEST);
    assert_int_equal(arp.sender_v4, sender_v4);
    assert_int_equal(arp.target_v4, OUR_V4);
    assert_true(mac_address_equal(&arp.sender_mac, &our_mac));
    assert_true(mac_address_equal(&arp.target_mac, &no_mac)); /* SHOULD be zero */
    assert_true(mac_address_equal(&ethernet.destination, &all_macs));
}

static void expect_probe(void) { expect_own(0); }
static void expect_announcement(void) { expect_own(OUR_V4); }

/* Waits for the next frame. Returns the time it took. */
static uint64_t wait_frame(uint64_t most_us)
{
    uint64_t began = net_now;
    while (!net_pull()) {
        uint64_t next = stack_deadline(net);
        assert_true(next > net_now && next - began <= most_us);
        net_now = next;
    }
    return net_now - began;
}

static void set_defaults(struct stack_config *config) { config->settings.arp_announcements = 2; }

static void set_probes(struct stack_config *config)
{
    config->settings.arp_announcements = 2;
    config->settings.arp_address_probes = 3;
}

/* ---- Before use ---- */

static void test_address_is_announced_twice_and_used_at_once(void **state)
{
    (void)state;
    net_open(set_defaults); /* pulls the first */
    expect_announcement();
    expect_state(ADDRESS_ANNOUNCED);
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4), 0);
    assert_int_equal(net_drain(), 1);
    assert_int_equal(wait_frame(2 * SECOND), 2 * SECOND);
    expect_announcement();
    expect_state(ADDRESS_IN_USE);
    stack_flush_neighbors(net, -1, net_now);
    assert_true(stack_deadline(net) == UINT64_MAX);
    net_close();
}

/* RFC 5227, 2.1.1 and 2.3: the times, and that each run draws its own. */
static void test_address_is_probed_first(void **state)
{
    (void)state;
    net_open(set_probes);
    expect_state(ADDRESS_TENTATIVE);
    assert_in_range(wait_frame(SECOND), 1, SECOND);
    expect_probe();
    for (int i = 0; i < 2; i++) {
        assert_in_range(wait_frame(2 * SECOND), SECOND, 2 * SECOND);
        expect_probe();
    }
    expect_state(ADDRESS_TENTATIVE);
    assert_int_equal(wait_frame(2 * SECOND), 2 * SECOND);
    expect_announcement();
    expect_state(ADDRESS_ANNOUNCED);
    assert_int_equal(wait_frame(2 * SECOND), 2 * SECOND);
    expect_announcement();
    expect_state(ADDRESS_IN_USE);
    assert_true(stack_deadline(net) == UINT64_MAX);
    net_close();
}

static void test_tentative_address_is_not_used(void **state)
{
    (void)state;
    struct stack_endpoint peer = {ip_address_from_v4(PEER_V4), 80};
    net_open(set_probes);
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4), -1);
    assert_int_equal(give_echo(PEER_V4, OUR_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_ARP_ADDRESS_UNUSABLE), 1);
    int socket = stack_open(net, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_connect(net, socket, &peer, net_now), STACK_IN_PROGRESS);
    while (address_now().state == ADDRESS_TENTATIVE) {
        wait_frame(3 * SECOND);
        if (address_now().state == ADDRESS_TENTATIVE)
            expect_probe();
    }
    assert_true(counter(STACK_COUNTER_ARP_ADDRESS_UNUSABLE) > 1);
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4), 0);
    net_drain();
    assert_int_equal(give_echo(PEER_V4, OUR_V4), 0);
    assert_int_equal(net_drain(), 1);
    net_close();
}

/* Who has the address, or wants it at the same time as we do, gets it; and it is tried again. */
static void test_probed_address_that_is_taken_is_given_up(void **state)
{
    static const struct {
        const char *why;
        uint16_t operation;
        uint32_t sender_v4, target_v4;
    } rows[] = {
        {"its owner answers", ARP_REPLY, OUR_V4, 0},
        {"its owner asks for another", ARP_REQUEST, OUR_V4, PEER_V4},
        {"its owner announces", ARP_REQUEST, OUR_V4, OUR_V4},
        {"another probes for it", ARP_REQUEST, 0, OUR_V4},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        net_open(set_probes);
        wait_frame(SECOND);
        assert_int_equal(
            give_arp(rows[i].operation, &other_mac, rows[i].sender_v4, &our_mac, rows[i].target_v4),
            -1);
        expect_state(ADDRESS_GIVEN_UP);
        assert_int_equal(counter(STACK_COUNTER_ARP_CONFLICTS), 1);
        assert_int_equal(address_now().conflicts, 1);
        assert_memory_equal(address_now().conflict_by.octets, other_mac.octets, 6);
        assert_int_equal(net_wait(60 * SECOND - 1), 0);
        assert_int_equal(give_echo(PEER_V4, OUR_V4), -1);
        wait_frame(2 * SECOND);
        expect_probe();
        expect_state(ADDRESS_TENTATIVE);
        net_wait(8 * SECOND);
        assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4), 0);
        assert_int_equal(net_drain(), 1);
        net_close();
    }
}

static void test_what_does_not_take_a_probed_address(void **state)
{
    (void)state;
    net_open(set_probes);
    wait_frame(SECOND);
    give_arp(ARP_REQUEST, &our_mac, 0, &no_mac, OUR_V4);         /* our own, looped back */
    give_arp(ARP_REQUEST, &other_mac, 0, &no_mac, PEER_V4);      /* a probe for another */
    give_arp(ARP_REQUEST, &other_mac, PEER_V4, &no_mac, OUR_V4); /* somebody asks for it */
    give_arp(ARP_REPLY, &other_mac, PEER_V4, &our_mac, OUR_V4);
    expect_state(ADDRESS_TENTATIVE);
    assert_int_equal(counter(STACK_COUNTER_ARP_CONFLICTS), 0);
    net_close();
}

/* ---- In use ---- */

static void conflict(uint16_t operation)
{
    assert_int_equal(give_arp(operation, &other_mac, OUR_V4, &no_mac, OUR_V4), -1);
}

static void test_conflict_is_defended_at_most_every_ten_seconds(void **state)
{
    (void)state;
    net_open(NULL);
    for (uint16_t operation = ARP_REQUEST; operation <= ARP_REPLY; operation++) {
        conflict(operation);
        assert_true(net_pull());
        expect_announcement();
        for (int i = 0; i < 9; i++) {
            net_wait(SECOND);
            conflict(operation);
            assert_int_equal(net_drain(), 0);
        }
        net_wait(SECOND);
    }
    expect_state(ADDRESS_IN_USE);
    assert_int_equal(counter(STACK_COUNTER_ARP_DEFENCES), 2);
    assert_int_equal(counter(STACK_COUNTER_ARP_CONFLICTS), 20);
    assert_int_equal(address_now().conflicts, 20);
    assert_int_equal(address_now().conflict_us, SECOND);
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4), 0);
    net_close();
}

static void set_policy(unsigned policy)
{
    int index = stack_setting_find("arp.conflict");
    assert_int_equal(stack_setting_set(stack_settings(net), (unsigned)index, policy), 0);
}

static void test_conflict_ignored(void **state)
{
    (void)state;
    net_open(NULL);
    set_policy(0);
    conflict(ARP_REPLY);
    assert_int_equal(net_drain(), 0);
    expect_state(ADDRESS_IN_USE);
    assert_int_equal(address_now().conflicts, 1);
    net_close();
}

static void test_conflict_defended_once(void **state)
{
    (void)state;
    net_open(NULL);
    set_policy(2);
    conflict(ARP_REPLY);
    assert_int_equal(net_drain(), 1);
    net_wait(10 * SECOND);
    conflict(ARP_REPLY); /* ten seconds later: as the first */
    assert_int_equal(net_drain(), 1);
    expect_state(ADDRESS_IN_USE);
    net_wait(10 * SECOND - 1);
    conflict(ARP_REPLY);
    assert_int_equal(net_drain(), 0);
    expect_state(ADDRESS_GIVEN_UP);
    net_close();
}

/* Nothing at all leaves with an address that was given up, neighbor probes included. */
static void test_conflict_gives_up_at_once_and_comes_back(void **state)
{
    struct ethernet_header ethernet;
    (void)state;
    net_open(NULL);
    give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4);
    give_echo(PEER_V4, OUR_V4);
    net_drain(); /* the peer is in DELAY */
    set_policy(3);
    conflict(ARP_REQUEST);
    expect_state(ADDRESS_GIVEN_UP);
    assert_int_equal(net_wait(60 * SECOND - 1), 0);
    give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4);
    assert_int_equal(net_drain(), 0);
    for (int i = 0; i < 3; i++) { /* probes, though arp.address_probes is 0 */
        wait_frame(2 * SECOND);
        assert_int_equal(out_arp(&ethernet).sender_v4, 0);
    }
    assert_int_equal(wait_frame(2 * SECOND), 2 * SECOND);
    expect_announcement();
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4), 0);
    net_close();
}

static void test_conflict_is_an_event(void **state)
{
    struct stack_event event;
    uint64_t cursor = 0, lost = 0;
    unsigned found = 0;
    (void)state;
    net_open(NULL);
    conflict(ARP_REPLY);
    conflict(ARP_REPLY);
    while (stack_next_event(net, &cursor, &event, &lost)) {
        if (event.kind != STACK_EVENT_CONFLICT)
            continue;
        assert_int_equal(event.argument[0], OUR_V4);
        assert_int_equal(event.argument[1], found == 0); /* the first was defended */
        assert_int_equal(event.argument[2], 0x020000);
        assert_int_equal(event.argument[3], 0x0a0b09);
        found++;
    }
    assert_int_equal(found, 2);
    net_close();
}

/* Conflicts never touch the cache: our own address is no neighbor. */
static void test_flood_of_conflicts_costs_nothing(void **state)
{
    struct stack_neighbor neighbor;
    uint32_t cursor = 0;
    (void)state;
    net_open(NULL);
    conflict(ARP_REPLY);
    net_drain();
    size_t allocated = net_allocated;
    for (int i = 0; i < 100000; i++)
        conflict(ARP_REPLY);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(net_allocated, allocated);
    assert_false(stack_next_neighbor(net, &cursor, &neighbor, net_now));
    net_close();
}

/* ---- Several addresses ---- */

static void test_addresses_come_and_go(void **state)
{
    struct stack_address_state address;
    uint32_t second = OUR_V4 + 1;
    (void)state;
    net_open(set_probes);
    assert_int_equal(conflict_start(net, 0, OUR_V4, net_now), STACK_IN_USE);
    net_wait(20 * SECOND);
    expect_state(ADDRESS_IN_USE);
    assert_int_equal(conflict_start(net, 0, second, net_now), 0);
    assert_true(stack_address_state(net, 0, second, &address, net_now));
    assert_int_equal(address.state, ADDRESS_TENTATIVE);
    assert_false(conflict_may_use(net, second));
    assert_true(conflict_may_use(net, OUR_V4));
    assert_true(conflict_is_own(net, 0, OUR_V4));
    net_wait(20 * SECOND);
    assert_true(conflict_is_own(net, 0, second));
    assert_false(conflict_is_own(net, 1, second));
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, second), 0);
    net_drain();
    conflict_stop(net, 0, second, net_now);
    conflict_stop(net, 0, second, net_now);
    assert_false(stack_address_state(net, 0, second, &address, net_now));
    assert_true(conflict_may_use(net, second));
    for (uint32_t i = 1; i < CONFLICT_ADDRESSES_MAX; i++)
        assert_int_equal(conflict_start(net, 0, OUR_V4 + i, net_now), 0);
    assert_int_equal(conflict_start(net, 0, 1, net_now), STACK_NO_MEMORY);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_is_announced_twice_and_used_at_once),
        cmocka_unit_test(test_address_is_probed_first),
        cmocka_unit_test(test_tentative_address_is_not_used),
        cmocka_unit_test(test_probed_address_that_is_taken_is_given_up),
        cmocka_unit_test(test_what_does_not_take_a_probed_address),
        cmocka_unit_test(test_conflict_is_defended_at_most_every_ten_seconds),
        cmocka_unit_test(test_conflict_ignored),
        cmocka_unit_test(test_conflict_defended_once),
        cmocka_unit_test(test_conflict_gives_up_at_once_and_comes_back),
        cmocka_unit_test(test_conflict_is_an_event),
        cmocka_unit_test(test_flood_of_conflicts_costs_nothing),
        cmocka_unit_test(test_addresses_come_and_go),
    };
    return cmocka_run_group_tests_name("conflict", tests, NULL, NULL);
}

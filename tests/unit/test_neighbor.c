/* The neighbor cache: its states in exact virtual time, what it learns and refuses, its bounds. */
#include "net_harness.h"

#include "../../tapstack/core/neighbor.h"
#include "../../tapstack/core/state.h"

enum { SECOND = 1000000 };
static const struct mac_address other_mac = {{2, 0, 0, 0, 0, 9}};

static uint32_t host(unsigned last) { return UINT32_C(0x0a4d0000) + last; }

static void expect_state(uint32_t v4, enum neighbor_state state)
{
    assert_string_equal(neighbor_state_name(neighbor_of(v4).state), neighbor_state_name(state));
}

/* The pulled frame is a request for v4, to this MAC. */
static void expect_request(uint32_t v4, const struct mac_address *to)
{
    struct ethernet_header ethernet;
    struct arp_packet arp = out_arp(&ethernet);
    assert_int_equal(arp.operation, ARP_REQUEST);
    assert_int_equal(arp.target_v4, v4);
    assert_int_equal(arp.sender_v4, OUR_V4);
    assert_true(mac_address_equal(&arp.sender_mac, &our_mac));
    assert_true(mac_address_equal(&arp.target_mac, &no_mac));
    assert_true(mac_address_equal(&ethernet.source, &our_mac));
    assert_true(mac_address_equal(&ethernet.destination, to));
}

static void expect_echo_reply(uint32_t v4, const struct mac_address *to)
{
    const uint8_t *payload;
    size_t size;
    assert_int_equal(out_ip(&payload, &size).destination_v4, v4);
    assert_memory_equal(out_bytes, to->octets, 6);
}

static void test_request_for_us_is_answered(void **state)
{
    struct ethernet_header ethernet;
    (void)state;
    net_open(NULL);
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4), 0);
    assert_true(net_pull());
    struct arp_packet arp = out_arp(&ethernet);
    assert_int_equal(out_size, ETHERNET_MIN_BYTES);
    assert_int_equal(arp.operation, ARP_REPLY);
    assert_int_equal(arp.sender_v4, OUR_V4);
    assert_int_equal(arp.target_v4, PEER_V4);
    assert_true(mac_address_equal(&arp.target_mac, &peer_mac));
    assert_true(mac_address_equal(&ethernet.destination, &peer_mac));
    expect_state(PEER_V4, NEIGHBOR_STALE);
    assert_int_equal(neighbor_of(PEER_V4).confirmed_us, UINT64_MAX);
    assert_int_equal(counter(STACK_COUNTER_ARP_OUT_REPLIES), 1);
    net_close();
}

static void test_unknown_neighbor_is_asked_and_frames_wait(void **state)
{
    (void)state;
    net_open(NULL);
    give_echo(PEER_V4, OUR_V4);
    give_echo(PEER_V4, OUR_V4);
    assert_true(net_pull());
    expect_request(PEER_V4, &all_macs);
    assert_false(net_pull());
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    assert_int_equal(neighbor_of(PEER_V4).queued, 2);
    net_now += 1000;
    assert_int_equal(give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4), 0);
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
    assert_int_equal(neighbor_of(PEER_V4).confirmed_us, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(net_pull());
        expect_echo_reply(PEER_V4, &peer_mac);
    }
    assert_false(net_pull());
    net_close();
}

static void test_no_answer_fails_after_three_requests(void **state)
{
    (void)state;
    net_open(NULL);
    give_echo(PEER_V4, OUR_V4);
    uint64_t dropped = counter(STACK_COUNTER_FRAMES_DROPPED);
    assert_int_equal(net_drain(), 1);
    assert_int_equal(net_wait(SECOND - 1), 0);
    assert_int_equal(net_wait(1), 1);
    assert_int_equal(net_wait(SECOND), 1);
    assert_int_equal(counter(STACK_COUNTER_ARP_OUT_REQUESTS), 4); /* one announced us */
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    assert_int_equal(net_wait(SECOND), 0);
    expect_state(PEER_V4, NEIGHBOR_FAILED);
    assert_int_equal(counter(STACK_COUNTER_ARP_FAILED), 1);
    assert_int_equal(counter(STACK_COUNTER_FRAMES_DROPPED), dropped + 1);

    /* within the pause nothing is sent; after it, a new try */
    assert_int_equal(net_wait(SECOND - 1), 0);
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_ARP_FAILED), 2);
    net_now += 1;
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(net_drain(), 1);
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    net_wait(3 * SECOND);
    expect_state(PEER_V4, NEIGHBOR_FAILED);
    net_wait(60 * SECOND);
    expect_state(PEER_V4, NEIGHBOR_NONE);
    assert_true(stack_deadline(net) == UINT64_MAX);
    net_close();
}

/* How long the peer is trusted: drawn between a half and one and a half times arp.reachable. */
static uint64_t trust_us(void)
{
    const struct neighbor *neighbor = neighbor_table_find(net, 0, PEER_V4);
    assert_non_null(neighbor);
    assert_in_range(neighbor->trust_permille, 500, 1500);
    return UINT64_C(30000) * neighbor->trust_permille;
}

static void make_reachable(void)
{
    give_echo(PEER_V4, OUR_V4);
    net_drain();
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    net_drain();
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
}

static void test_reachable_stale_delay_probe_reachable(void **state)
{
    (void)state;
    net_open(NULL);
    make_reachable();
    assert_int_equal(net_wait(trust_us() - 1), 0);
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
    assert_int_equal(net_wait(1), 0);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    assert_int_equal(net_wait(100 * SECOND), 0); /* stays so while nobody sends */

    give_echo(PEER_V4, OUR_V4);
    expect_state(PEER_V4, NEIGHBOR_DELAY);
    assert_true(net_pull());
    expect_echo_reply(PEER_V4, &peer_mac); /* at once, to the address we have */
    assert_int_equal(net_wait(5 * SECOND - 1), 0);
    assert_int_equal(net_wait(1), 1);
    expect_request(PEER_V4, &peer_mac); /* unicast */
    expect_state(PEER_V4, NEIGHBOR_PROBE);
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
    assert_int_equal(neighbor_of(PEER_V4).confirmed_us, 0);
    net_close();
}

/* Progress of TCP proves a neighbor without a packet of ARP (RFC 4861, 7.3.1). */
static void test_confirmation_keeps_reachable(void **state)
{
    (void)state;
    net_open(NULL);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    expect_state(PEER_V4, NEIGHBOR_NONE); /* makes no entry */
    make_reachable();
    net_wait(trust_us() - SECOND);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    assert_int_equal(neighbor_of(PEER_V4).confirmed_us, 0);
    net_wait(trust_us() - 1);
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
    net_wait(1);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
    net_wait(trust_us());
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(net_wait(1 * SECOND), 1);
    expect_state(PEER_V4, NEIGHBOR_DELAY);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
    assert_int_equal(net_wait(trust_us() - 1), 0); /* no probe is sent */
    net_close();
}

static void test_failed_and_unresolved_are_not_confirmed(void **state)
{
    (void)state;
    net_open(NULL);
    give_echo(PEER_V4, OUR_V4);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    net_wait(3 * SECOND);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    expect_state(PEER_V4, NEIGHBOR_FAILED);
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4); /* late, but now we know */
    expect_state(PEER_V4, NEIGHBOR_STALE);
    net_close();
}

/* RFC 1122, 2.3.2.1, and RFC 4861, 7.3.3: the address we have is asked before all are asked. */
static void test_probe_asks_the_owner_then_everybody(void **state)
{
    (void)state;
    net_open(NULL);
    make_reachable();
    net_wait(trust_us());
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(net_wait(5 * SECOND), 2);
    expect_request(PEER_V4, &peer_mac);
    give_echo(PEER_V4, OUR_V4); /* is still sent while we probe */
    assert_int_equal(net_wait(2 * SECOND), 3);
    expect_state(PEER_V4, NEIGHBOR_PROBE);
    assert_int_equal(net_wait(1 * SECOND), 1);
    expect_request(PEER_V4, &all_macs);
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    give_echo(PEER_V4, OUR_V4); /* waits now */
    assert_int_equal(net_wait(2 * SECOND), 2);
    assert_int_equal(net_wait(1 * SECOND), 0);
    expect_state(PEER_V4, NEIGHBOR_FAILED);
    assert_int_equal(counter(STACK_COUNTER_ARP_FAILED), 1);
    net_close();
}

static void set_timers(struct stack_config *config)
{
    config->settings.arp_delay_us = 10000;
    config->settings.arp_retry_us = 20000;
    config->settings.arp_probes = 1;
    config->settings.arp_retries = 2;
    config->settings.arp_idle_us = 3 * SECOND;
    config->settings.arp_reachable_us = 1 * SECOND;
}

static void test_every_time_is_a_setting(void **state)
{
    (void)state;
    net_open(set_timers);
    make_reachable();
    net_wait(1500000);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(net_wait(9999), 1);
    assert_int_equal(net_wait(1), 1); /* the only probe */
    assert_int_equal(net_wait(20000), 1);
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    assert_int_equal(net_wait(20000), 1);
    assert_int_equal(net_wait(20000), 0);
    expect_state(PEER_V4, NEIGHBOR_FAILED);
    net_close();
}

static void test_idle_stale_entries_are_forgotten(void **state)
{
    (void)state;
    net_open(set_timers);
    learn_peer();
    net_wait(3 * SECOND - 1);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    net_wait(1);
    expect_state(PEER_V4, NEIGHBOR_NONE);
    assert_true(stack_deadline(net) == UINT64_MAX);
    net_close();
}

/* RFC 4861, 6.3.2: hosts that learned a router together do not ask it together. */
static void test_trust_is_drawn_evenly(void **state)
{
    uint64_t sum = 0, least = UINT64_MAX, most = 0;
    (void)state;
    net_open(NULL);
    for (int i = 0; i < 200; i++) {
        make_reachable();
        uint64_t trust = trust_us();
        sum += trust;
        least = trust < least ? trust : least;
        most = trust > most ? trust : most;
        stack_flush_neighbors(net, -1, net_now);
    }
    assert_in_range(sum / 200, 28 * SECOND, 32 * SECOND);
    assert_in_range(least, 15 * SECOND, 16 * SECOND);
    assert_in_range(most, 44 * SECOND, 45 * SECOND);
    net_close();
}

/* ---- Claims: another MAC for a neighbor that we use ---- */

static void expect_mac(uint32_t v4, const struct mac_address *mac)
{
    assert_memory_equal(neighbor_of(v4).mac.octets, mac->octets, MAC_ADDRESS_BYTES);
}

/* A packet that says that the peer's address is at another MAC. */
static void forge(bool request)
{
    if (request) /* gratuitous */
        give_arp(ARP_REQUEST, &other_mac, PEER_V4, &no_mac, PEER_V4);
    else
        give_arp(ARP_REPLY, &other_mac, PEER_V4, &our_mac, OUR_V4);
}

/* The states in which an entry is in use, and the way to them. */
static void make_state(enum neighbor_state state)
{
    make_reachable();
    net_wait(2 * SECOND);
    if (state == NEIGHBOR_REACHABLE)
        return;
    net_wait(trust_us());
    if (state == NEIGHBOR_STALE)
        return;
    give_echo(PEER_V4, OUR_V4);
    net_drain();
    if (state == NEIGHBOR_PROBE)
        net_wait(5 * SECOND);
}

static void test_forged_claims_do_not_move_a_living_neighbor(void **state)
{
    static const enum neighbor_state states[] = {NEIGHBOR_REACHABLE, NEIGHBOR_STALE, NEIGHBOR_DELAY,
                                                 NEIGHBOR_PROBE};
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        net_open(NULL);
        make_state(states[i / 2]);
        expect_state(PEER_V4, states[i / 2]);
        forge(i % 2);
        expect_state(PEER_V4, NEIGHBOR_PROBE);
        assert_true(neighbor_of(PEER_V4).contested);
        assert_true(net_pull());
        expect_request(PEER_V4, &peer_mac); /* the owner is asked */
        give_echo(PEER_V4, OUR_V4);
        assert_true(net_pull());
        expect_echo_reply(PEER_V4, &peer_mac); /* and frames go on to it */
        forge(i % 2);                          /* once more: nothing more */
        assert_false(net_pull());
        give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
        expect_state(PEER_V4, NEIGHBOR_REACHABLE);
        assert_false(neighbor_of(PEER_V4).contested);
        expect_mac(PEER_V4, &peer_mac);
        assert_int_equal(counter(STACK_COUNTER_ARP_CLAIMS), 2);
        assert_int_equal(counter(STACK_COUNTER_ARP_MOVED), 0);
        net_close();
    }
}

/* A standby takes over the address of a host that died, and says so once. */
static void test_failover_is_followed_within_a_second(void **state)
{
    static const enum neighbor_state states[] = {NEIGHBOR_REACHABLE, NEIGHBOR_STALE, NEIGHBOR_DELAY,
                                                 NEIGHBOR_PROBE};
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        net_open(NULL);
        make_state(states[i / 2]);
        forge(i % 2);
        assert_int_equal(net_wait(600000 - 1), 3);
        expect_request(PEER_V4, &peer_mac);
        assert_int_equal(net_wait(1), 1);
        expect_request(PEER_V4, &all_macs);
        give_arp(ARP_REPLY, &other_mac, PEER_V4, &our_mac, OUR_V4);
        expect_state(PEER_V4, NEIGHBOR_REACHABLE);
        expect_mac(PEER_V4, &other_mac);
        assert_int_equal(counter(STACK_COUNTER_ARP_MOVED), 1);
        give_echo(PEER_V4, OUR_V4);
        assert_true(net_pull());
        expect_echo_reply(PEER_V4, &other_mac);
        net_close();
    }
}

/* What was sent before the owner died may be acknowledged through its standby. */
static void test_tcp_does_not_end_a_contest(void **state)
{
    (void)state;
    net_open(NULL);
    make_state(NEIGHBOR_REACHABLE);
    forge(true);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    expect_state(PEER_V4, NEIGHBOR_PROBE);
    net_wait(600000);
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    net_close();
}

/* Claims all the time: the owner is asked once a second, and a claim that came too soon is looked
   at when the second is over. */
static void test_claims_are_contested_once_a_second(void **state)
{
    unsigned asked = 0;
    (void)state;
    net_open(NULL);
    make_state(NEIGHBOR_REACHABLE);
    for (int i = 0; i < 10000; i++) { /* ten seconds */
        forge(i % 2);
        net_now += 1000;
        while (net_pull()) {
            expect_request(PEER_V4, &peer_mac);
            asked++;
            give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
        }
        expect_mac(PEER_V4, &peer_mac);
    }
    assert_in_range(asked, 9, 11);
    forge(true); /* and now the owner dies */
    net_wait(1600000);
    expect_state(PEER_V4, NEIGHBOR_INCOMPLETE);
    net_close();
}

static void believe_all(struct stack_config *config) { config->settings.arp_verify_us = 0; }

static void test_verify_off_is_rfc_826(void **state)
{
    (void)state;
    net_open(believe_all);
    make_state(NEIGHBOR_REACHABLE);
    forge(false);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    expect_mac(PEER_V4, &other_mac);
    assert_int_equal(net_drain(), 0);
    net_close();
}

/* Nothing of ours has gone to an asker yet: RFC 826 holds. */
static void test_claim_of_an_unused_entry_is_believed(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    forge(true);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    expect_mac(PEER_V4, &other_mac);
    net_close();
}

static void test_requests_do_not_prove_reachability(void **state)
{
    (void)state;
    net_open(NULL);
    make_reachable();
    net_wait(trust_us());
    give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4); /* nobody asked */
    expect_state(PEER_V4, NEIGHBOR_STALE);
    net_close();
}

static void test_request_of_a_neighbor_we_ask_for_releases_its_frames(void **state)
{
    (void)state;
    net_open(NULL);
    give_echo(PEER_V4, OUR_V4);
    net_drain();
    give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4);
    expect_state(PEER_V4, NEIGHBOR_DELAY); /* used, but not proven */
    assert_int_equal(net_drain(), 2);      /* our answer, and the echo reply */
    assert_int_equal(neighbor_of(PEER_V4).queued, 0);
    assert_int_equal(net_wait(5 * SECOND), 1);
    expect_state(PEER_V4, NEIGHBOR_PROBE);
    net_close();
}

static void test_what_is_refused(void **state)
{
    static const struct mac_address multicast = {{1, 0, 0x5e, 0, 0, 1}};
    static const struct {
        const char *why;
        uint16_t operation;
        const struct mac_address *sender_mac;
        uint32_t sender_v4, target_v4;
        enum stack_counter counter;
    } rows[] = {
        {"sender MAC broadcast", 1, &all_macs, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender MAC multicast", 1, &multicast, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender MAC zero", 1, &no_mac, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender MAC ours", 1, &our_mac, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender loopback", 1, &peer_mac, 0x7f000001, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender multicast", 1, &peer_mac, 0xe0000001, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender limited broadcast", 1, &peer_mac, 0xffffffff, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender our broadcast", 1, &peer_mac, 0x0a4d00ff, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"sender our network", 1, &peer_mac, 0x0a4d0000, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"reply without sender", 2, &peer_mac, 0, OUR_V4, STACK_COUNTER_ARP_IN_ERRORS},
        {"operation 0", 0, &peer_mac, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_UNKNOWN_OPS},
        {"operation 3, reverse", 3, &peer_mac, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_UNKNOWN_OPS},
        {"operation 4, reverse", 4, &peer_mac, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_UNKNOWN_OPS},
        {"operation 24, experiment (RFC 5494)", 24, &peer_mac, PEER_V4, OUR_V4,
         STACK_COUNTER_ARP_IN_UNKNOWN_OPS},
        {"operation 65535, reserved", 65535, &peer_mac, PEER_V4, OUR_V4,
         STACK_COUNTER_ARP_IN_UNKNOWN_OPS},
        {"operation 9", 9, &peer_mac, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_UNKNOWN_OPS},
        {"unsolicited reply", 2, &peer_mac, PEER_V4, OUR_V4, STACK_COUNTER_ARP_IN_IGNORED},
        {"request for another", 1, &peer_mac, PEER_V4, 0x0a4d0007, STACK_COUNTER_ARP_IN_IGNORED},
        {"gratuitous of a stranger", 1, &peer_mac, PEER_V4, PEER_V4, STACK_COUNTER_ARP_IN_IGNORED},
        {"reply to another", 2, &peer_mac, PEER_V4, 0x0a4d0007, STACK_COUNTER_ARP_IN_IGNORED},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t before = counter(rows[i].counter);
        int result = give_arp(rows[i].operation, rows[i].sender_mac, rows[i].sender_v4, &no_mac,
                              rows[i].target_v4);
        if (result != -1 || counter(rows[i].counter) != before + 1 || net_drain() != 0 ||
            neighbor_of(PEER_V4).state != NEIGHBOR_NONE)
            fail_msg("not refused as it should be: %s", rows[i].why);
    }
    net_close();
}

static void test_short_and_foreign_formats(void **state)
{
    uint8_t good[ETHERNET_HEADER_BYTES + ARP_BYTES];
    struct ethernet_header ethernet = {all_macs, peer_mac, ETHERTYPE_ARP};
    struct arp_packet arp = {ARP_REQUEST, peer_mac, no_mac, PEER_V4, OUR_V4};
    (void)state;
    net_open(NULL);
    ethernet_write(&ethernet, good);
    arp_write(&arp, good + ETHERNET_HEADER_BYTES);
    for (size_t size = ETHERNET_HEADER_BYTES; size < sizeof good; size++)
        assert_int_equal(net_give(good, size), -1);
    assert_int_equal(counter(STACK_COUNTER_ARP_IN_ERRORS), ARP_BYTES);
    for (unsigned at = 0; at < 6; at++) { /* hardware, protocol, both lengths */
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof bad);
        bad[ETHERNET_HEADER_BYTES + at] ^= 0x40;
        assert_int_equal(net_give(bad, sizeof bad), -1);
    }
    assert_int_equal(net_drain(), 0);
    assert_int_equal(net_give(good, sizeof good), 0); /* without padding it is fine */
    assert_int_equal(net_drain(), 1);
    net_close();
}

static void test_probe_is_answered_but_not_learned(void **state)
{
    struct ethernet_header ethernet;
    struct stack_neighbor neighbor;
    uint32_t cursor = 0;
    (void)state;
    net_open(NULL);
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, 0, &no_mac, OUR_V4), 0);
    assert_true(net_pull());
    struct arp_packet arp = out_arp(&ethernet);
    assert_int_equal(arp.operation, ARP_REPLY);
    assert_int_equal(arp.target_v4, 0);
    assert_false(stack_next_neighbor(net, &cursor, &neighbor, net_now));
    net_close();
}

static void test_asker_of_another_network_is_answered_but_not_learned(void **state)
{
    (void)state;
    net_open(NULL);
    assert_int_equal(give_arp(ARP_REQUEST, &peer_mac, 0xc0000201, &no_mac, OUR_V4), 0);
    assert_int_equal(net_drain(), 1);
    expect_state(0xc0000201, NEIGHBOR_NONE);
    net_close();
}

static void small_queue(struct stack_config *config) { config->settings.arp_queue_max = 3; }

static void test_full_queue_loses_the_oldest(void **state)
{
    uint8_t bytes[200];
    (void)state;
    net_open(small_queue);
    for (uint32_t i = 1; i <= 5; i++)
        net_give(bytes, make_icmp(bytes, ICMP_ECHO_REQUEST, 0, i, "x", 1, PEER_V4, OUR_V4));
    assert_int_equal(neighbor_of(PEER_V4).queued, 3);
    assert_int_equal(counter(STACK_COUNTER_ARP_QUEUE_DROPS), 2);
    net_drain();
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    for (uint32_t i = 3; i <= 5; i++) {
        assert_true(net_pull());
        assert_int_equal(bytes_get32(out_bytes + IP_PAYLOAD_OFFSET + 4), i);
    }
    assert_false(net_pull());
    net_close();
}

static void small_table(struct stack_config *config) { config->settings.arp_table_max = 8; }

static unsigned table_size(void)
{
    struct stack_neighbor neighbor;
    uint32_t cursor = 0;
    unsigned count = 0;
    while (stack_next_neighbor(net, &cursor, &neighbor, net_now))
        count++;
    return count;
}

static void test_flood_of_askers_spares_the_gateway_and_the_used(void **state)
{
    (void)state;
    net_open(small_table);
    assert_int_equal(stack_add_route(net, 0, 0, host(250), 0), 0);
    give_arp(ARP_REQUEST, &other_mac, host(250), &no_mac, OUR_V4);
    make_reachable();
    net_wait(trust_us()); /* the peer is STALE, but we have sent to it */
    for (unsigned i = 10; i < 200; i++) {
        net_now += 10;
        assert_int_equal(give_arp(ARP_REQUEST, &other_mac, host(i), &no_mac, OUR_V4), 0);
        assert_int_equal(net_drain(), 1);
        assert_in_range(table_size(), 1, 8);
    }
    expect_state(host(250), NEIGHBOR_STALE);
    expect_state(PEER_V4, NEIGHBOR_STALE);
    expect_state(host(199), NEIGHBOR_STALE);
    expect_state(host(10), NEIGHBOR_NONE);
    net_close();
}

static void test_table_full_of_unresolved_refuses(void **state)
{
    (void)state;
    net_open(small_table);
    for (unsigned i = 10; i < 20; i++)
        give_echo(host(i), OUR_V4);
    assert_int_equal(table_size(), 8);
    assert_int_equal(counter(STACK_COUNTER_ARP_TABLE_FULL), 2);
    assert_int_equal(net_drain(), 8);
    net_wait(3 * SECOND); /* all have failed: they make room */
    give_echo(host(30), OUR_V4);
    expect_state(host(30), NEIGHBOR_INCOMPLETE);
    assert_int_equal(table_size(), 8);
    net_wait(100 * SECOND); /* no timer of those that had to go is left */
    assert_int_equal(table_size(), 0);
    assert_true(stack_deadline(net) == UINT64_MAX);
    net_close();
}

static void test_failed_goes_before_stale(void **state)
{
    (void)state;
    net_open(small_table);
    for (unsigned i = 10; i < 17; i++)
        give_arp(ARP_REQUEST, &other_mac, host(i), &no_mac, OUR_V4); /* never used */
    give_echo(host(20), OUR_V4);
    net_wait(3 * SECOND);
    expect_state(host(20), NEIGHBOR_FAILED);
    give_arp(ARP_REQUEST, &other_mac, host(30), &no_mac, OUR_V4);
    expect_state(host(20), NEIGHBOR_NONE);
    expect_state(host(10), NEIGHBOR_STALE);
    net_close();
}

static void test_permanent_is_changed_by_nothing(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    assert_int_equal(stack_set_neighbor(net, PEER_V4, &peer_mac, net_now), 0);
    give_arp(ARP_REQUEST, &other_mac, PEER_V4, &no_mac, OUR_V4);
    give_arp(ARP_REPLY, &other_mac, PEER_V4, &our_mac, OUR_V4);
    neighbor_confirm(net, 0, PEER_V4, net_now);
    assert_int_equal(stack_probe_neighbor(net, PEER_V4, net_now), STACK_INVALID);
    assert_int_equal(stack_flush_neighbors(net, -1, net_now), 0);
    net_wait(1000 * SECOND);
    expect_state(PEER_V4, NEIGHBOR_PERMANENT);
    give_echo(PEER_V4, OUR_V4);
    assert_true(net_pull());
    expect_echo_reply(PEER_V4, &peer_mac);
    assert_int_equal(stack_delete_neighbor(net, PEER_V4, net_now), 0);
    expect_state(PEER_V4, NEIGHBOR_NONE);
    assert_int_equal(stack_delete_neighbor(net, PEER_V4, net_now), STACK_NOT_AVAILABLE);
    net_close();
}

static void test_set_by_hand_releases_what_waits(void **state)
{
    (void)state;
    net_open(NULL);
    give_echo(PEER_V4, OUR_V4);
    net_drain();
    assert_int_equal(stack_set_neighbor(net, PEER_V4, &other_mac, net_now), 0);
    assert_true(net_pull());
    expect_echo_reply(PEER_V4, &other_mac);
    net_wait(10 * SECOND);
    expect_state(PEER_V4, NEIGHBOR_PERMANENT);
    net_close();
}

static void test_set_by_hand_is_checked(void **state)
{
    static const struct mac_address group = {{1, 0, 0, 0, 0, 1}};
    static const struct {
        uint32_t v4;
        const struct mac_address *mac;
        int result;
    } rows[] = {
        {PEER_V4, &peer_mac, 0},
        {PEER_V4, &group, STACK_INVALID},
        {PEER_V4, &all_macs, STACK_INVALID},
        {PEER_V4, &no_mac, STACK_INVALID},
        {PEER_V4, &our_mac, STACK_INVALID},
        {OUR_V4, &peer_mac, STACK_INVALID},
        {0x0a4d00ff, &peer_mac, STACK_INVALID},
        {0x0a4d0000, &peer_mac, STACK_INVALID},
        {0xe0000001, &peer_mac, STACK_INVALID},
        {0x7f000001, &peer_mac, STACK_INVALID},
        {0, &peer_mac, STACK_INVALID},
        {0xc0000201, &peer_mac, STACK_NO_ROUTE},
    };
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_add_route(net, 0, 0, host(250), 0), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(stack_set_neighbor(net, rows[i].v4, rows[i].mac, net_now), rows[i].result);
    assert_int_equal(stack_delete_neighbor(net, 0xc0000201, net_now), STACK_NO_ROUTE);
    assert_int_equal(stack_probe_neighbor(net, OUR_V4, net_now), STACK_INVALID);
    net_close();
}

static void test_probe_by_hand(void **state)
{
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_probe_neighbor(net, PEER_V4, net_now), 0);
    assert_true(net_pull());
    expect_request(PEER_V4, &all_macs);
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    assert_int_equal(stack_probe_neighbor(net, PEER_V4, net_now), 0);
    assert_true(net_pull());
    expect_request(PEER_V4, &peer_mac);
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    expect_state(PEER_V4, NEIGHBOR_REACHABLE);
    assert_int_equal(stack_flush_neighbors(net, 1, net_now), 0);
    assert_int_equal(stack_flush_neighbors(net, 0, net_now), 1);
    expect_state(PEER_V4, NEIGHBOR_NONE);
    net_close();
}

/* 65,000 askers: memory is bounded by the table. */
static void test_flood_is_bounded(void **state)
{
    (void)state;
    net_open(small_table);
    size_t most = 0;
    for (unsigned i = 0; i < 65000; i++) {
        give_arp(ARP_REQUEST, &other_mac, host(3 + i % 250), &no_mac, OUR_V4);
        net_drain();
        if (i == 1000)
            most = net_allocated;
    }
    assert_int_equal(net_allocated, most);
    assert_in_range(table_size(), 1, 8);
    net_close();
}

/* Without anybody pulling, what waits is bounded too. */
static void test_answers_nobody_pulls_are_bounded(void **state)
{
    (void)state;
    net_open(NULL);
    for (unsigned i = 0; i < 5000; i++)
        give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4);
    assert_in_range(net_drain(), 100, 2000);
    assert_true(counter(STACK_COUNTER_IP_OUT_DISCARDS) > 0);
    net_close();
}

static void test_every_change_of_state_is_an_event(void **state)
{
    static const enum neighbor_state path[] = {
        NEIGHBOR_NONE,  NEIGHBOR_INCOMPLETE, NEIGHBOR_REACHABLE, NEIGHBOR_STALE, NEIGHBOR_DELAY,
        NEIGHBOR_PROBE, NEIGHBOR_INCOMPLETE, NEIGHBOR_FAILED,    NEIGHBOR_NONE,
    };
    struct stack_event event;
    uint64_t cursor = 0, lost = 0;
    unsigned at = 0;
    (void)state;
    net_open(NULL);
    make_reachable();
    net_wait(trust_us());
    give_echo(PEER_V4, OUR_V4);
    net_wait(100 * SECOND);
    while (stack_next_event(net, &cursor, &event, &lost)) {
        if (event.kind != STACK_EVENT_NEIGHBOR)
            continue;
        assert_int_equal(event.argument[0], path[at]);
        assert_int_equal(event.argument[1], path[at + 1]);
        assert_int_equal(event.argument[2], PEER_V4);
        at++;
    }
    assert_int_equal(at, sizeof path / sizeof path[0] - 1);
    assert_int_equal(lost, 0);
    net_close();
}

/* ---- Proxy ARP (RFC 1027) ---- */

#define BEHIND UINT32_C(0x0a4e0000) /* 10.78.0.0/24, on the second interface */

static void open_router(bool forward, bool proxy)
{
    struct stack_interface_config second = {
        .name = "tap1",
        .mac = {{2, 0, 0, 0, 0, 3}},
        .mtu_bytes = 1500,
        .address_v4 = BEHIND + 1,
        .prefix_bits = 24,
    };
    net_open(NULL);
    net->settings.ip_forward = forward;
    net->interface[0].proxy_arp = proxy;
    assert_int_equal(stack_add_interface(net, &second, net_now), 1);
    assert_int_equal(stack_add_route(net, 0x0c000000, 8, BEHIND + 9, 1), 0);
    assert_int_equal(stack_add_route(net, 0, 0, host(250), 0), 0);
    net_drain();
}

static void test_proxy_answers_for_what_is_behind(void **state)
{
    static const struct {
        const char *why;
        bool forward, proxy;
        uint32_t sender_v4, target_v4;
        bool answered;
    } rows[] = {
        {"a host of the other network", true, true, PEER_V4, BEHIND + 5, true},
        {"a host behind a gateway there", true, true, PEER_V4, 0x0c000001, true},
        {"a probe for such a host", true, true, 0, BEHIND + 5, true},
        {"switched off", true, false, PEER_V4, BEHIND + 5, false},
        {"not forwarding", false, true, PEER_V4, BEHIND + 5, false},
        {"on the asker's own link", true, true, PEER_V4, 0x0a4d0007, false},
        {"back by the asker's own link", true, true, PEER_V4, 0x0d000001, false},
        {"our address on the other link", true, true, PEER_V4, BEHIND + 1, false},
        {"its network address", true, true, PEER_V4, BEHIND, false},
        {"its broadcast address", true, true, PEER_V4, BEHIND + 255, false},
        {"a multicast group", true, true, PEER_V4, 0xe0000005, false},
        {"loopback", true, true, PEER_V4, 0x7f000001, false},
        {"announced by its owner", true, true, BEHIND + 5, BEHIND + 5, false},
    };
    struct ethernet_header ethernet;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        open_router(rows[i].forward, rows[i].proxy);
        give_arp(ARP_REQUEST, &peer_mac, rows[i].sender_v4, &no_mac, rows[i].target_v4);
        bool answered = net_pull();
        if (answered != rows[i].answered ||
            counter(STACK_COUNTER_ARP_OUT_PROXIES) != rows[i].answered)
            fail_msg("proxy: %s", rows[i].why);
        if (answered) {
            struct arp_packet arp = out_arp(&ethernet);
            assert_int_equal(arp.operation, ARP_REPLY);
            assert_int_equal(arp.sender_v4, rows[i].target_v4);
            assert_true(mac_address_equal(&arp.sender_mac, &our_mac));
            assert_true(mac_address_equal(&ethernet.destination, &peer_mac));
        }
        net_close();
    }
}

/* ---- Frames around the packet ---- */

static int give_arp_frame(const struct mac_address *destination, const struct mac_address *source)
{
    uint8_t bytes[ETHERNET_MIN_BYTES] = {0};
    struct ethernet_header ethernet = {*destination, *source, ETHERTYPE_ARP};
    struct arp_packet arp = {ARP_REQUEST, peer_mac, no_mac, PEER_V4, OUR_V4};
    ethernet_write(&ethernet, bytes);
    arp_write(&arp, bytes + ETHERNET_HEADER_BYTES);
    return net_give(bytes, sizeof bytes);
}

static void test_S15_request_in_a_frame_for_others_is_not_answered(void **state)
{
    static const struct mac_address almost = {{255, 255, 255, 255, 255, 254}};
    (void)state;
    net_open(NULL);
    assert_int_equal(give_arp_frame(&almost, &peer_mac), -1); /* who hunts promiscuous cards */
    assert_int_equal(give_arp_frame(&other_mac, &peer_mac), -1);
    assert_int_equal(counter(STACK_COUNTER_ARP_IN_IGNORED), 2);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(give_arp_frame(&all_macs, &peer_mac), 0);
    assert_int_equal(give_arp_frame(&our_mac, &peer_mac), 0); /* RFC 1122, 2.3.2.1: a poll */
    assert_int_equal(net_drain(), 2);
    net_close();
}

static void test_another_source_than_the_sender_is_counted(void **state)
{
    struct ethernet_header ethernet;
    (void)state;
    net_open(NULL);
    assert_int_equal(give_arp_frame(&all_macs, &other_mac), 0);
    assert_int_equal(counter(STACK_COUNTER_ARP_IN_MISMATCHES), 1);
    assert_true(net_pull());
    out_arp(&ethernet);
    assert_true(mac_address_equal(&ethernet.destination, &peer_mac)); /* RFC 826 */
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_for_us_is_answered),
        cmocka_unit_test(test_unknown_neighbor_is_asked_and_frames_wait),
        cmocka_unit_test(test_no_answer_fails_after_three_requests),
        cmocka_unit_test(test_reachable_stale_delay_probe_reachable),
        cmocka_unit_test(test_confirmation_keeps_reachable),
        cmocka_unit_test(test_failed_and_unresolved_are_not_confirmed),
        cmocka_unit_test(test_probe_asks_the_owner_then_everybody),
        cmocka_unit_test(test_every_time_is_a_setting),
        cmocka_unit_test(test_idle_stale_entries_are_forgotten),
        cmocka_unit_test(test_trust_is_drawn_evenly),
        cmocka_unit_test(test_forged_claims_do_not_move_a_living_neighbor),
        cmocka_unit_test(test_failover_is_followed_within_a_second),
        cmocka_unit_test(test_tcp_does_not_end_a_contest),
        cmocka_unit_test(test_claims_are_contested_once_a_second),
        cmocka_unit_test(test_verify_off_is_rfc_826),
        cmocka_unit_test(test_claim_of_an_unused_entry_is_believed),
        cmocka_unit_test(test_requests_do_not_prove_reachability),
        cmocka_unit_test(test_request_of_a_neighbor_we_ask_for_releases_its_frames),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_short_and_foreign_formats),
        cmocka_unit_test(test_probe_is_answered_but_not_learned),
        cmocka_unit_test(test_asker_of_another_network_is_answered_but_not_learned),
        cmocka_unit_test(test_full_queue_loses_the_oldest),
        cmocka_unit_test(test_flood_of_askers_spares_the_gateway_and_the_used),
        cmocka_unit_test(test_table_full_of_unresolved_refuses),
        cmocka_unit_test(test_failed_goes_before_stale),
        cmocka_unit_test(test_permanent_is_changed_by_nothing),
        cmocka_unit_test(test_set_by_hand_releases_what_waits),
        cmocka_unit_test(test_set_by_hand_is_checked),
        cmocka_unit_test(test_probe_by_hand),
        cmocka_unit_test(test_flood_is_bounded),
        cmocka_unit_test(test_answers_nobody_pulls_are_bounded),
        cmocka_unit_test(test_every_change_of_state_is_an_event),
        cmocka_unit_test(test_proxy_answers_for_what_is_behind),
        cmocka_unit_test(test_S15_request_in_a_frame_for_others_is_not_answered),
        cmocka_unit_test(test_another_source_than_the_sender_is_counted),
    };
    return cmocka_run_group_tests_name("neighbor", tests, NULL, NULL);
}

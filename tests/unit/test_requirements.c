/* What RFC 1122 and RFC 1812 require of a host and of a router below TCP, a test a clause, where no
   other file has it. The harness' network is on interface 0; on interface 1 there is 10.78.0.0/24
   with a host FAR_V4, which is the first hop of 10.9.0.0/16, too. */
#include "net_harness.h"

#include "../../tapstack/core/state.h"

#define RIGHT_V4 UINT32_C(0x0a4e0002) /* ours on interface 1 */
#define FAR_V4   UINT32_C(0x0a4e0009)
#define BEYOND   UINT32_C(0x0a090101)
#define IP(f)    ((f) + ETHERNET_HEADER_BYTES)

static const struct mac_address right_mac = {{2, 0, 0, 0, 1, 2}};
static const struct mac_address far_mac = {{2, 0, 0, 0, 1, 9}};

static uint8_t bytes[FRAME_BYTES_MAX];

static void as_router(struct stack_config *config) { config->settings.ip_forward = 1; }

static void as_source_routed_router(struct stack_config *config)
{
    config->settings.ip_forward = 1;
    config->settings.ip_source_route = 1;
}

static void as_source_routed_host(struct stack_config *config)
{
    config->settings.ip_source_route = 1;
}

static void open_both(void (*change)(struct stack_config *config))
{
    struct stack_interface_config right = {"tap1", right_mac, 1500, RIGHT_V4, 24};
    net_open(change);
    assert_int_equal(stack_add_interface(net, &right, net_now), 1);
    assert_int_equal(stack_add_route(net, 0x0a090000, 16, FAR_V4, 1), 0);
    learn_peer();
    net_drain();
}

static void learn_far(void)
{
    struct ethernet_header ethernet = {right_mac, far_mac, ETHERTYPE_ARP};
    struct arp_packet arp = {ARP_REQUEST, far_mac, no_mac, FAR_V4, RIGHT_V4};
    memset(bytes, 0, ETHERNET_MIN_BYTES);
    ethernet_write(&ethernet, bytes);
    arp_write(&arp, IP(bytes));
    struct frame frame = {.interface = 1, .piece_count = 1, .piece = {{bytes, ETHERNET_MIN_BYTES}}};
    assert_int_equal(stack_input(net, &frame, net_now), 0);
    net_drain();
}

/* Puts options between the header and the payload of the frame in bytes. Returns its size. */
static size_t insert_options(size_t size, const uint8_t *options, size_t option_bytes)
{
    memmove(bytes + IP_PAYLOAD_OFFSET + option_bytes, bytes + IP_PAYLOAD_OFFSET,
            size - IP_PAYLOAD_OFFSET);
    memcpy(bytes + IP_PAYLOAD_OFFSET, options, option_bytes);
    IP(bytes)[0] = (uint8_t)(0x45 + option_bytes / 4);
    bytes_put16(IP(bytes) + 2, (uint16_t)(size + option_bytes - ETHERNET_HEADER_BYTES));
    sum_ip_header(bytes);
    return size + option_bytes;
}

/* Gives an echo request from the peer with these options. Returns what stack_input says. */
static int give_with_options(uint32_t destination, const uint8_t *options, size_t option_bytes)
{
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "abcdefgh", 8, PEER_V4, destination);
    return net_give(bytes, insert_options(size, options, option_bytes));
}

/* The frame that was pulled last is an ICMP error to the peer. */
static void check_error(uint8_t type, uint8_t code)
{
    const uint8_t *payload;
    size_t size;
    struct ipv4_header ip = out_ip(&payload, &size);
    assert_int_equal(ip.protocol, IPV4_PROTOCOL_ICMP);
    assert_int_equal(ip.destination_v4, PEER_V4);
    assert_int_equal(payload[0], type);
    assert_int_equal(payload[1], code);
}

static void expect_error(uint8_t type, uint8_t code)
{
    assert_true(net_pull());
    check_error(type, code);
}

/* ---- RFC 1122, 3.2.1.3: what is not for a host it discards silently ---- */

static void test_s19_rfc1122_3_2_1_3_others_are_discarded_silently(void **state)
{
    static const struct {
        const char *name;
        uint8_t options[8];
    } rows[] = {
        {"in order", {1, 1, 1, 0}},
        {"a malformed option", {7, 2, 0, 0}},
        {"a source route", {131, 7, 4, 10, 77, 0, 1, 0}},
    };
    (void)state;
    open_both(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(give_with_options(BEYOND, rows[i].options, sizeof rows[i].options), -1);
        if (net_pull())
            fail_msg("%s: answered", rows[i].name);
    }
    assert_int_equal(counter(STACK_COUNTER_IP_IN_ADDR_ERRORS), 3);
    net_close();
}

/* ---- RFC 1122, 3.3.5: a host that does not forward by a source route says so ---- */

static void test_s19_rfc1122_3_3_5_incomplete_source_route_at_a_host(void **state)
{
    static const uint8_t options[8] = {131, 7, 4, 10, 78, 0, 9, 0};
    (void)state;
    open_both(as_source_routed_host);
    assert_int_equal(give_with_options(OUR_V4, options, sizeof options), -1);
    expect_error(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_SOURCE_ROUTE_FAILED);
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_ROUTE_FAILED), 1);
    net_close();
}

/* ---- RFC 791, 3.1: options of a datagram that a router has put together ---- */

static void filter_forward_all(void)
{
    static const char rules[] = "forward drop proto tcp";
    struct stack_filter_error error;
    if (stack_filter_load(net, rules, sizeof rules - 1, &error, net_now) != 0)
        fail_msg("line %u: %s", error.line, error.message);
    assert_true(net->filter.watches[FILTER_FORWARD]);
}

/* An echo request to destination with options, in two fragments. Returns what stack_input says of
   the last. */
static int give_two_fragments(uint32_t destination, const uint8_t *options, size_t option_bytes)
{
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "abcdefgh", 8, PEER_V4, destination);
    size = insert_options(size, options, option_bytes);
    uint8_t *rest = bytes + size - 8, last[8];
    memcpy(last, rest, 8);
    bytes_put16(IP(bytes) + 2, (uint16_t)(size - 8 - ETHERNET_HEADER_BYTES));
    bytes_put16(IP(bytes) + 6, 0x2000);
    sum_ip_header(bytes);
    assert_int_equal(net_give(bytes, size - 8), 0);
    memcpy(rest - 8, last, 8);
    bytes_put16(IP(bytes) + 6, 1);
    sum_ip_header(bytes);
    return net_give(bytes, size - 8);
}

static void test_s22_rfc791_options_of_what_the_filter_wants_whole(void **state)
{
    static const uint8_t record[8] = {7, 7, 4, 0, 0, 0, 0, 0};
    static const uint8_t loose[8] = {131, 7, 4, 10, 78, 0, 9, 0};
    (void)state;
    open_both(as_source_routed_router);
    learn_far();
    filter_forward_all();
    assert_int_equal(give_two_fragments(FAR_V4, record, sizeof record), 0);
    assert_true(net_pull());
    assert_int_equal(bytes_get32(IP(out_bytes) + IPV4_HEADER_BYTES + 3), RIGHT_V4);
    assert_int_equal(give_two_fragments(OUR_V4, loose, sizeof loose), 0);
    assert_true(net_pull());
    assert_int_equal(bytes_get32(IP(out_bytes) + 16), FAR_V4);
    assert_int_equal(out_size, IP_PAYLOAD_OFFSET + 8 + ICMP_HEADER_BYTES + 8);
    net_close();
}

/* ---- RFC 1812, 5.2.7.1: a next hop that does not answer ARP ---- */

static int forward_echo(void)
{
    return net_give(bytes,
                    make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "abcdefgh", 8, PEER_V4, BEYOND));
}

static void test_s20_rfc1812_5_2_7_1_dead_next_hop_is_told_every_time(void **state)
{
    (void)state;
    open_both(as_router);
    assert_int_equal(forward_echo(), 0);
    net_wait(3000000);
    check_error(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE);
    assert_int_equal(neighbor_of(FAR_V4).state, NEIGHBOR_FAILED);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(forward_echo(), -1);
        expect_error(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE);
        assert_false(net_pull());
    }
    assert_int_equal(counter(STACK_COUNTER_ARP_FAILED), 4);
    net_close();
}

/* ---- RFC 1122, 3.3.3: what we fragment is cut for the path, not for the first link ---- */

static void expect_fragments_of_at_most(size_t mtu, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(net_pull());
        assert_true(out_size <= ETHERNET_HEADER_BYTES + mtu);
        assert_int_equal((bytes_get16(IP(out_bytes) + 6) & 0x2000) != 0, i + 1 < count);
    }
    assert_false(net_pull());
}

static void test_s22_rfc1122_3_3_3_fragments_for_the_path(void **state)
{
    static uint8_t data[2000];
    struct stack_datagram with = {.remote = {ip_address_from_v4(PEER_V4), 9}, .interface = -1};
    (void)state;
    open_both(NULL);
    int socket = stack_open(net, IPV4_PROTOCOL_UDP);
    assert_true(pmtu_lower(net, PEER_V4, 600, net_now));
    assert_int_equal(stack_send_to(net, socket, data, sizeof data, &with, net_now), 0);
    expect_fragments_of_at_most(600, 4);
    net_give(bytes, make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, data, 1000, PEER_V4, OUR_V4));
    expect_fragments_of_at_most(600, 2);
    assert_int_equal(stack_flush_pmtu(net), 1);
    assert_int_equal(stack_send_to(net, socket, data, sizeof data, &with, net_now), 0);
    expect_fragments_of_at_most(1500, 2);
    net_close();
}

/* ---- RFC 1122, 3.3.1.4 and 3.3.1.5: a dead gateway gives way to another ---- */

#define FIRST_V4 (PEER_V4 + 9) /* the better default gateway, which is dead */

/* Pings a host beyond. Returns whether it left for the second gateway at once. */
static bool ping_beyond(int prober)
{
    struct stack_probe probe = {
        .kind = STACK_PROBE_ECHO, .destination_v4 = 0x08080808, .timeout_us = 1000};
    assert_true(stack_probe_send(net, prober, &probe, net_now) >= 0);
    bool by_second = false;
    while (net_pull())
        by_second |= bytes_get16(out_bytes + 12) == ETHERTYPE_IPV4 &&
                     memcmp(out_bytes, peer_mac.octets, 6) == 0;
    return by_second;
}

static void test_s20_rfc1122_3_3_1_4_dead_gateway(void **state)
{
    struct stack_route route;
    uint32_t next_hop, source_v4;
    (void)state;
    net_open(NULL);
    learn_peer();
    assert_int_equal(stack_add_route_metric(net, 0, 0, FIRST_V4, 0, 0), 0);
    assert_int_equal(stack_add_route_metric(net, 0, 0, PEER_V4, 0, 10), 0);
    int prober = stack_probe_open(net);
    assert_false(ping_beyond(prober)); /* waits for the first gateway */
    assert_int_equal(neighbor_of(FIRST_V4).state, NEIGHBOR_INCOMPLETE);
    assert_true(ping_beyond(prober)); /* the second is known, the first not yet */
    net_wait(4000000);
    assert_int_equal(neighbor_of(FIRST_V4).state, NEIGHBOR_FAILED);
    for (unsigned i = 0; i < 50; i++) {
        assert_true(ping_beyond(prober));
        net_wait(1000000);
        give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4); /* to its probes */
    }
    assert_int_equal(stack_find_route(net, 0x08080808, &route, &next_hop, &source_v4, net_now), 0);
    assert_int_equal(next_hop, PEER_V4);
    assert_int_equal(route.metric, 10);
    /* It comes back: it is tried again when its failure is forgotten. */
    net_wait(20000000);
    assert_int_equal(neighbor_of(FIRST_V4).state, NEIGHBOR_NONE);
    assert_false(ping_beyond(prober));
    give_arp(ARP_REPLY, &far_mac, FIRST_V4, &our_mac, OUR_V4);
    net_drain();
    assert_false(ping_beyond(prober));
    assert_int_equal(neighbor_of(FIRST_V4).state, NEIGHBOR_REACHABLE);
    stack_probe_close(net, prober);
    net_close();
}

static void test_s20_rfc1122_3_3_1_4_gateway_that_was_never_tried(void **state)
{
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_add_route_metric(net, 0, 0, FIRST_V4, 0, 0), 0);
    assert_int_equal(stack_add_route_metric(net, 0, 0, PEER_V4, 0, 10), 0);
    int prober = stack_probe_open(net);
    ping_beyond(prober);
    ping_beyond(prober);
    assert_int_equal(neighbor_of(PEER_V4).state, NEIGHBOR_NONE);
    net_wait(1000000); /* the first has been asked twice */
    ping_beyond(prober);
    assert_int_equal(neighbor_of(PEER_V4).state, NEIGHBOR_INCOMPLETE);
    stack_probe_close(net, prober);
    net_close();
}

/* ---- RFC 6864, 4.3: what may be fragmented does not repeat its Identification ---- */

static uint8_t identification_seen[65536];

static void see_identification(void)
{
    const uint8_t *payload;
    size_t size;
    assert_true(net_pull());
    uint16_t identification = out_ip(&payload, &size).identification;
    assert_int_equal(identification_seen[identification], 0);
    identification_seen[identification] = 1;
}

static void test_rfc6864_4_3_identification_is_not_repeated(void **state)
{
    static uint8_t data[1000];
    struct stack_probe probe = {.kind = STACK_PROBE_ECHO,
                                .destination_v4 = PEER_V4,
                                .payload_bytes = sizeof data,
                                .timeout_us = 1};
    (void)state;
    open_both(NULL);
    int prober = stack_probe_open(net);
    for (unsigned i = 0; i < 2000; i++) {
        net_give(bytes,
                 make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, data, sizeof data, PEER_V4, OUR_V4));
        see_identification();
        assert_true(stack_probe_send(net, prober, &probe, net_now) >= 0);
        see_identification();
        net_now += 2;
    }
    stack_probe_close(net, prober);
    net_close();
}

/* ---- A redirect's route goes with the address that made it believable ---- */

static void test_route_of_a_redirect_goes_with_its_address(void **state)
{
    struct route learned = {.network = PEER_V4 + 7, .prefix_bits = 32, .kind = STACK_ROUTE_LEARNED};
    (void)state;
    open_both(NULL);
    learned.expires_at = net_now + 60000000;
    assert_int_equal(route_add(&net->routes, &learned, 100), 0);
    assert_int_equal(stack_remove_address(net, 0, OUR_V4, net_now), 0);
    assert_null(route_get(&net->routes, PEER_V4 + 7, 32, ROUTE_ANY_METRIC));
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s19_rfc1122_3_2_1_3_others_are_discarded_silently),
        cmocka_unit_test(test_s19_rfc1122_3_3_5_incomplete_source_route_at_a_host),
        cmocka_unit_test(test_s22_rfc791_options_of_what_the_filter_wants_whole),
        cmocka_unit_test(test_s20_rfc1812_5_2_7_1_dead_next_hop_is_told_every_time),
        cmocka_unit_test(test_s22_rfc1122_3_3_3_fragments_for_the_path),
        cmocka_unit_test(test_s20_rfc1122_3_3_1_4_dead_gateway),
        cmocka_unit_test(test_s20_rfc1122_3_3_1_4_gateway_that_was_never_tried),
        cmocka_unit_test(test_rfc6864_4_3_identification_is_not_repeated),
        cmocka_unit_test(test_route_of_a_redirect_goes_with_its_address),
    };
    return cmocka_run_group_tests_name("requirements", tests, NULL, NULL);
}

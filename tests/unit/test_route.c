/* Routes: longest prefix first, and what may be added; interfaces likewise. */
#include "../../tapstack/core/route.h"
#include "net_harness.h"

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static void test_longest_prefix_wins(void **state)
{
    static const struct {
        uint32_t destination, next_hop;
        int interface; /* -1: no route */
    } rows[] = {
        {V4(10, 77, 0, 1), V4(10, 77, 0, 1), 0}, {V4(10, 77, 1, 1), V4(10, 77, 0, 9), 0},
        {V4(10, 78, 0, 1), V4(10, 77, 0, 8), 1}, {V4(192, 0, 2, 1), V4(10, 77, 0, 254), 0},
        {V4(10, 77, 1, 7), V4(10, 77, 1, 7), 2},
    };
    struct route_table table = {.count = 0};
    uint32_t next_hop;
    (void)state;
    assert_null(route_find(&table, V4(10, 77, 0, 1), &next_hop));
    assert_int_equal(route_add(&table, 0, 0, V4(10, 77, 0, 254), 0), 0);
    assert_int_equal(route_add(&table, V4(10, 77, 0, 0), 16, V4(10, 77, 0, 9), 0), 0);
    assert_int_equal(route_add(&table, V4(10, 77, 1, 7), 32, 0, 2), 0);
    assert_int_equal(route_add(&table, V4(10, 77, 0, 0), 24, 0, 0), 0);
    assert_int_equal(route_add(&table, V4(10, 0, 0, 0), 8, V4(10, 77, 0, 8), 1), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct route *route = route_find(&table, rows[i].destination, &next_hop);
        assert_non_null(route);
        assert_int_equal(next_hop, rows[i].next_hop);
        assert_int_equal(route->interface, rows[i].interface);
    }
}

static void test_refusals(void **state)
{
    struct route_table table = {.count = 0};
    (void)state;
    assert_int_equal(route_add(&table, V4(10, 0, 0, 0), 33, 0, 0), STACK_INVALID);
    assert_int_equal(route_add(&table, V4(10, 0, 0, 1), 24, 0, 0), STACK_INVALID);
    assert_int_equal(route_add(&table, 1, 0, 0, 0), STACK_INVALID);
    assert_int_equal(route_add(&table, V4(10, 0, 0, 0), 24, 0, 0), 0);
    assert_int_equal(route_add(&table, V4(10, 0, 0, 0), 24, 1, 1), STACK_IN_USE);
    assert_int_equal(route_add(&table, V4(10, 0, 0, 0), 25, 0, 0), 0);
    for (unsigned i = 2; i < ROUTES_MAX; i++)
        assert_int_equal(route_add(&table, V4(10, 1, i, 0), 24, 0, 0), 0);
    assert_int_equal(route_add(&table, V4(10, 2, 0, 0), 16, 0, 0), STACK_NO_MEMORY);
    assert_int_equal(table.count, ROUTES_MAX);
}

/* 2,000 lookups in random tables give what the plainest search gives. */
static void test_against_plain_search(void **state)
{
    (void)state;
    srand(11);
    for (int round = 0; round < 20; round++) {
        struct route_table table = {.count = 0};
        struct route plain[ROUTES_MAX];
        unsigned count = 0;
        for (int i = 0; i < 40; i++) {
            unsigned bits = (unsigned)rand() % 33;
            uint32_t mask = bits ? ~UINT32_C(0) << (32 - bits) : 0;
            uint32_t network = (V4(10, 77, 0, 0) | (uint32_t)rand() % 4096) & mask;
            if (route_add(&table, network, bits, 0, (unsigned)i) == 0)
                plain[count++] = (struct route){.network = network,
                                                .mask = mask,
                                                .prefix_bits = (uint8_t)bits,
                                                .interface = (uint16_t)i};
        }
        for (int i = 0; i < 100; i++) {
            uint32_t v4 = V4(10, 77, 0, 0) | (uint32_t)rand() % 4096, next_hop;
            const struct route *best = NULL;
            for (unsigned j = 0; j < count; j++)
                if ((v4 & plain[j].mask) == plain[j].network &&
                    (!best || plain[j].prefix_bits > best->prefix_bits))
                    best = &plain[j];
            const struct route *found = route_find(&table, v4, &next_hop);
            assert_int_equal(found != NULL, best != NULL);
            if (found)
                assert_int_equal(found->interface, best->interface);
        }
    }
}

static void test_interfaces_that_are_refused(void **state)
{
    static const struct {
        const char *why;
        struct stack_interface_config config;
    } rows[] = {
        {"prefix above 32", {"a", {{2, 1}}, 1500, V4(10, 1, 0, 1), 33}},
        {"MTU below 68", {"a", {{2, 1}}, 67, V4(10, 1, 0, 1), 24}},
        {"no address", {"a", {{2, 1}}, 1500, 0, 24}},
        {"network address", {"a", {{2, 1}}, 1500, V4(10, 1, 0, 0), 24}},
        {"broadcast address", {"a", {{2, 1}}, 1500, V4(10, 1, 0, 255), 24}},
        {"loopback", {"a", {{2, 1}}, 1500, V4(127, 0, 0, 1), 8}},
        {"multicast", {"a", {{2, 1}}, 1500, V4(224, 0, 0, 5), 24}},
        {"group MAC", {"a", {{3, 1}}, 1500, V4(10, 1, 0, 1), 24}},
        {"no MAC", {"a", {{0}}, 1500, V4(10, 1, 0, 1), 24}},
        {"address taken", {"a", {{2, 1}}, 1500, OUR_V4, 30}},
        {"network taken", {"a", {{2, 1}}, 1500, V4(10, 77, 0, 3), 24}},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (stack_add_interface(net, &rows[i].config, net_now) != STACK_INVALID)
            fail_msg("accepted: %s", rows[i].why);
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_interface_is_announced_and_listed(void **state)
{
    struct stack_interface_config second = {"tap1", {{2, 1}}, 9000, V4(10, 88, 0, 2), 31};
    struct stack_route route;
    struct ethernet_header ethernet;
    uint32_t cursor = 0;
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_add_interface(net, &second, net_now), 1);
    assert_true(net_pull());
    struct arp_packet arp = out_arp(&ethernet);
    assert_int_equal(out_frame.interface, 1);
    assert_int_equal(arp.operation, ARP_REQUEST);
    assert_int_equal(arp.sender_v4, second.address_v4);
    assert_int_equal(arp.target_v4, second.address_v4);
    assert_true(mac_address_is_broadcast(&ethernet.destination));
    assert_string_equal(stack_interface(net, 1)->name, "tap1");
    assert_null(stack_interface(net, 2));
    assert_true(stack_next_route(net, &cursor, &route));
    assert_int_equal(route.prefix_bits, 31);
    assert_true(stack_next_route(net, &cursor, &route));
    assert_int_equal(route.network, V4(10, 77, 0, 0));
    assert_false(stack_next_route(net, &cursor, &route));
    net_close();
}

static void test_gateways(void **state)
{
    static const struct {
        uint32_t gateway;
        unsigned interface;
        int result;
    } rows[] = {
        {V4(10, 99, 0, 1), 0, STACK_INVALID}, /* not a neighbor */
        {OUR_V4, 0, STACK_INVALID},           {V4(10, 77, 0, 255), 0, STACK_INVALID},
        {PEER_V4, 1, STACK_INVALID},          {PEER_V4, 0, 0},
        {PEER_V4, 0, STACK_IN_USE},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(stack_add_route(net, 0, 0, rows[i].gateway, rows[i].interface),
                         rows[i].result);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest_prefix_wins),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_against_plain_search),
        cmocka_unit_test(test_interfaces_that_are_refused),
        cmocka_unit_test(test_interface_is_announced_and_listed),
        cmocka_unit_test(test_gateways),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}

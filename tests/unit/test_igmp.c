/* IGMP, the host's side: joins, queries, reports, leaves (RFC 2236). */
#include "net_harness.h"

#include "../../tapstack/wire/igmp.h"

#define GROUP_V4   UINT32_C(0xef010203)
#define OTHER_V4   UINT32_C(0xef010204)
#define SYSTEMS_V4 UINT32_C(0xe0000001)
#define ROUTERS_V4 UINT32_C(0xe0000002)

enum { TENTH_US = 100000 };

static uint8_t bytes[200];

static int member_of(uint32_t v4)
{
    int socket = stack_open(net, IPV4_PROTOCOL_UDP);
    struct ip_address group = ip_address_from_v4(v4);
    assert_int_equal(stack_join_group(net, socket, &group, 0, net_now), 0);
    return socket;
}

static int give_igmp(uint8_t type, uint8_t code, uint32_t group_v4, size_t size,
                     uint32_t destination_v4)
{
    uint8_t *message = bytes + IP_PAYLOAD_OFFSET;
    memset(message, 0, size);
    message[0] = type;
    message[1] = code;
    bytes_put32(message + 4, group_v4);
    bytes_put16(message + 2, checksum_finish(checksum_add(0, message, size)));
    return net_give(bytes, head_datagram(bytes, IPV4_PROTOCOL_IGMP, PEER_V4, destination_v4, size));
}

/* The pulled frame as IGMP, with all that RFC 2236 asks of it. */
static struct igmp_header out_igmp(uint32_t *destination_v4)
{
    static const uint8_t router_alert[4] = {0x94, 4, 0, 0};
    const uint8_t *payload;
    size_t payload_bytes;
    struct igmp_header header;
    struct ipv4_header ip = out_ip(&payload, &payload_bytes);
    assert_int_equal(ip.protocol, IPV4_PROTOCOL_IGMP);
    assert_int_equal(ip.ttl, 1);
    assert_int_equal(ip.header_bytes, 24);
    assert_memory_equal(payload - 4, router_alert, 4);
    assert_int_equal(out_bytes[0], 1);
    assert_int_equal(bytes_get32(out_bytes + 2) & 0x7fffff, ip.destination_v4 & 0x7fffff);
    assert_int_equal(igmp_parse(payload, payload_bytes, &header), 0);
    assert_int_equal(payload_bytes, IGMP_BYTES);
    *destination_v4 = ip.destination_v4;
    return header;
}

static void expect_report(uint32_t group_v4)
{
    uint32_t destination;
    struct igmp_header header = out_igmp(&destination);
    assert_int_equal(header.type, IGMP_REPORT_V2);
    assert_int_equal(header.group_v4, group_v4);
    assert_int_equal(destination, group_v4);
}

static void test_joining_reports_twice(void **state)
{
    (void)state;
    net_open(NULL);
    int first = member_of(GROUP_V4);
    assert_true(net_pull());
    expect_report(GROUP_V4);
    int second = member_of(GROUP_V4); /* the group is joined already */
    assert_false(net_pull());
    assert_int_equal(net_wait(10000000), 1); /* once more, as the first may be lost */
    expect_report(GROUP_V4);
    assert_int_equal(net_wait(100000000), 0);
    stack_close(net, first, net_now);
    assert_int_equal(net_drain(), 0);
    stack_close(net, second, net_now);
    uint32_t destination;
    assert_int_equal(net_drain(), 1);
    struct igmp_header header = out_igmp(&destination);
    assert_int_equal(header.type, IGMP_LEAVE);
    assert_int_equal(header.group_v4, GROUP_V4);
    assert_int_equal(destination, ROUTERS_V4);
    assert_int_equal(counter(STACK_COUNTER_IGMP_OUT_REPORTS), 2);
    assert_int_equal(counter(STACK_COUNTER_IGMP_OUT_LEAVES), 1);
    net_close();
}

static void test_queries_are_answered_in_time(void **state)
{
    static const struct {
        uint8_t code;
        uint32_t group_v4, destination_v4;
        size_t size;
        uint64_t within_us;
        unsigned reports;
    } cases[] = {
        {10, 0, SYSTEMS_V4, 8, 10 * TENTH_US, 2},
        {1, 0, SYSTEMS_V4, 8, TENTH_US, 2},
        {0, 0, SYSTEMS_V4, 8, 100 * TENTH_US, 2}, /* of version 1 */
        {255, 0, SYSTEMS_V4, 8, 255 * TENTH_US, 2},
        {20, GROUP_V4, GROUP_V4, 8, 20 * TENTH_US, 1},
        {20, GROUP_V4 + 9, SYSTEMS_V4, 8, 20 * TENTH_US, 0},
        {10, 0, SYSTEMS_V4, 12, 10 * TENTH_US, 2},    /* of version 3 */
        {0x80, 0, SYSTEMS_V4, 12, 128 * TENTH_US, 2}, /* its floating-point times */
        {0x9f, 0, SYSTEMS_V4, 12, 496 * TENTH_US, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net_open(NULL);
        member_of(GROUP_V4);
        member_of(OTHER_V4);
        member_of(SYSTEMS_V4); /* never reported */
        net_wait(20000000);
        assert_int_equal(give_igmp(IGMP_QUERY, cases[i].code, cases[i].group_v4, cases[i].size,
                                   cases[i].destination_v4),
                         0);
        assert_int_equal(net_wait(cases[i].within_us), cases[i].reports);
        assert_int_equal(net_wait(100000000), 0);
        net_close();
    }
}

/* RFC 2236, 3: a query does not put off a report that is due sooner. */
static void test_a_running_timer_is_only_shortened(void **state)
{
    (void)state;
    net_open(NULL);
    member_of(GROUP_V4);
    net_wait(20000000);
    give_igmp(IGMP_QUERY, 10, 0, 8, SYSTEMS_V4);
    give_igmp(IGMP_QUERY, 255, 0, 8, SYSTEMS_V4);
    assert_int_equal(net_wait(1000000), 1);
    give_igmp(IGMP_QUERY, 255, 0, 8, SYSTEMS_V4);
    give_igmp(IGMP_QUERY, 1, 0, 8, SYSTEMS_V4);
    assert_int_equal(net_wait(TENTH_US), 1);
    net_close();
}

static void test_another_report_makes_ours_superfluous(void **state)
{
    (void)state;
    net_open(NULL);
    int socket = member_of(GROUP_V4);
    net_wait(20000000);
    give_igmp(IGMP_QUERY, 100, 0, 8, SYSTEMS_V4);
    assert_int_equal(give_igmp(IGMP_REPORT_V2, 0, GROUP_V4, 8, GROUP_V4), 0);
    assert_int_equal(net_wait(20000000), 0);
    stack_close(net, socket, net_now); /* somebody else is known to be there: no leave */
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_what_is_refused(void **state)
{
    (void)state;
    net_open(NULL);
    member_of(GROUP_V4);
    net_wait(20000000);
    assert_int_equal(give_igmp(IGMP_QUERY, 1, 0, 7, SYSTEMS_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_IGMP_IN_ERRORS), 1);
    give_igmp(IGMP_QUERY, 1, 0, 8, SYSTEMS_V4);
    bytes[IP_PAYLOAD_OFFSET + 1] = 2;
    assert_int_equal(net_give(bytes, IP_PAYLOAD_OFFSET + 8), -1);
    assert_int_equal(counter(STACK_COUNTER_IGMP_IN_ERRORS), 2);
    assert_int_equal(give_igmp(0x22, 0, 0, 8, SYSTEMS_V4), -1);
    assert_int_equal(give_igmp(IGMP_REPORT_V2, 0, GROUP_V4 + 5, 8, SYSTEMS_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_IGMP_IN_IGNORED), 2);
    net_close();
}

static void two_groups(struct stack_config *config) { config->settings.igmp_groups_max = 2; }

static void test_the_list_of_groups(void **state)
{
    (void)state;
    net_open(two_groups);
    uint64_t generation = stack_group_generation(net);
    int a = member_of(GROUP_V4);
    assert_int_not_equal(stack_group_generation(net), generation);
    generation = stack_group_generation(net);
    member_of(GROUP_V4);
    assert_int_equal(stack_group_generation(net), generation);
    member_of(OTHER_V4);
    struct ip_address third = ip_address_from_v4(GROUP_V4 + 7);
    assert_int_equal(stack_join_group(net, a, &third, 0, net_now), STACK_NO_MEMORY);
    assert_int_equal(stack_join_group(net, a, &third, 1, net_now), STACK_NOT_AVAILABLE);
    struct stack_group group;
    uint32_t cursor = 0;
    unsigned seen = 0;
    while (stack_next_group(net, &cursor, &group)) {
        assert_int_equal(group.interface, 0);
        assert_int_equal(group.members, group.v4 == GROUP_V4 ? 2 : 1);
        seen++;
    }
    assert_int_equal(seen, 2);
    net_close();
}

static void test_a_socket_has_twenty_groups(void **state)
{
    (void)state;
    net_open(NULL);
    int socket = stack_open(net, IPV4_PROTOCOL_UDP);
    for (uint32_t i = 0; i < 21; i++) {
        struct ip_address group = ip_address_from_v4(GROUP_V4 + i);
        assert_int_equal(stack_join_group(net, socket, &group, 0, net_now),
                         i < 20 ? 0 : STACK_NO_MEMORY);
    }
    net_drain();
    stack_close(net, socket, net_now);
    assert_int_equal(net_drain(), 20);
    assert_int_equal(counter(STACK_COUNTER_IGMP_OUT_LEAVES), 20);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joining_reports_twice),
        cmocka_unit_test(test_queries_are_answered_in_time),
        cmocka_unit_test(test_a_running_timer_is_only_shortened),
        cmocka_unit_test(test_another_report_makes_ours_superfluous),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_the_list_of_groups),
        cmocka_unit_test(test_a_socket_has_twenty_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

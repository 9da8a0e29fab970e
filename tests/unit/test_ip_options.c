/* IP options (stage S19): what the parser finds, what a router and a host write into them, and what
   an echo reply carries back. */
#include "net_harness.h"

#include "../../tapstack/core/state.h"

#define RIGHT_V4 UINT32_C(0x0a4e0002)
#define FAR_V4   UINT32_C(0x0a4e0009)
#define IP(f)    ((f) + ETHERNET_HEADER_BYTES)

static const struct mac_address right_mac = {{2, 0, 0, 0, 1, 2}};
static const struct mac_address far_mac = {{2, 0, 0, 0, 1, 9}};

static uint8_t bytes[FRAME_BYTES_MAX];

static void router(struct stack_config *config) { config->settings.ip_forward = 1; }

static void routed(struct stack_config *config)
{
    config->settings.ip_forward = 1;
    config->settings.ip_source_route = 1;
}

static void obeying(struct stack_config *config) { config->settings.ip_source_route = 1; }

static void open_router(void (*change)(struct stack_config *config))
{
    struct stack_interface_config right = {"tap1", right_mac, 1500, RIGHT_V4, 24};
    net_open(change);
    assert_int_equal(stack_add_interface(net, &right, net_now), 1);
    learn_peer();
    struct ethernet_header ethernet = {right_mac, far_mac, ETHERTYPE_ARP};
    struct arp_packet arp = {ARP_REQUEST, far_mac, no_mac, FAR_V4, RIGHT_V4};
    memset(bytes, 0, ETHERNET_MIN_BYTES);
    ethernet_write(&ethernet, bytes);
    arp_write(&arp, bytes + ETHERNET_HEADER_BYTES);
    struct frame frame = {.interface = 1, .piece_count = 1, .piece = {{bytes, ETHERNET_MIN_BYTES}}};
    assert_int_equal(stack_input(net, &frame, net_now), 0);
    net_drain();
}

/* Gives an echo request from the peer with these options. Returns what stack_input says. */
static int give(uint32_t destination, const uint8_t *options, size_t option_bytes)
{
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "abcdefgh", 8, PEER_V4, destination);
    memmove(bytes + IP_PAYLOAD_OFFSET + option_bytes, bytes + IP_PAYLOAD_OFFSET,
            size - IP_PAYLOAD_OFFSET);
    memcpy(bytes + IP_PAYLOAD_OFFSET, options, option_bytes);
    IP(bytes)[0] = (uint8_t)(0x45 + option_bytes / 4);
    bytes_put16(IP(bytes) + 2, (uint16_t)(size + option_bytes - ETHERNET_HEADER_BYTES));
    sum_ip_header(bytes);
    return net_give(bytes, size + option_bytes);
}

/* The options of the pulled frame, whose header sum must be right. */
static const uint8_t *expect_options(uint32_t destination, size_t option_bytes)
{
    struct ipv4_header ip;
    assert_true(net_pull());
    assert_int_equal(ipv4_parse(IP(out_bytes), out_size - ETHERNET_HEADER_BYTES, &ip), 0);
    assert_int_equal(ip.header_bytes, IPV4_HEADER_BYTES + option_bytes);
    assert_int_equal(ip.destination_v4, destination);
    assert_memory_equal(out_bytes + ETHERNET_HEADER_BYTES + ip.header_bytes + ICMP_HEADER_BYTES,
                        "abcdefgh", 8);
    assert_false(net_pull());
    return IP(out_bytes) + IPV4_HEADER_BYTES;
}

static void test_what_the_parser_finds(void **state)
{
    static const struct {
        uint8_t options[12];
        size_t size;
        struct ipv4_options found;
    } rows[] = {
        {{1, 7, 7, 4, 0, 0, 0, 0}, 8, {.record_route = 21}},
        {{148, 4, 0, 0, 7, 3, 4, 0}, 8, {.router_alert = 20, .record_route = 24}},
        {{68, 4, 5, 0, 1, 1, 131, 3, 4, 0, 0, 0}, 12, {.timestamp = 20, .source_route = 26}},
        {{137, 7, 4, 1, 2, 3, 4, 0}, 8, {.source_route = 20, .strict = true}},
        {{0, 137, 7, 4, 1, 2, 3, 4}, 8, {0}},
        {{0x5e, 6, 137, 7, 4, 0, 7, 3, 99, 0, 0, 0}, 12, {.record_route = 26}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t header[IPV4_HEADER_BYTES + 12] = {0}, pointer;
        struct ipv4_options found;
        memcpy(header + IPV4_HEADER_BYTES, rows[i].options, rows[i].size);
        assert_int_equal(
            ipv4_options_parse(header, IPV4_HEADER_BYTES + rows[i].size, &found, &pointer), 0);
        assert_memory_equal(&found, &rows[i].found, sizeof found);
    }
}

/* Any bytes at all: the parser stays inside, and what it finds is well formed. */
static void test_parser_on_random_bytes(void **state)
{
    (void)state;
    srand(5);
    for (unsigned i = 0; i < 300000; i++) {
        size_t size = IPV4_HEADER_BYTES + (size_t)rand() % 11 * 4;
        uint8_t *header = malloc(size), pointer = 0;
        struct ipv4_options found;
        static const uint8_t types[] = {0, 1, 7, 68, 131, 137, 148, 99};
        for (size_t k = 0; k < size; k++)
            header[k] = (uint8_t)(rand() % 3 ? types[rand() % 8] : rand() % 48);
        if (ipv4_options_parse(header, size, &found, &pointer) != 0)
            assert_true(pointer >= IPV4_HEADER_BYTES && pointer < size);
        else if (found.record_route)
            assert_true(found.record_route + (size_t)header[found.record_route + 1] <= size);
        free(header);
    }
}

static void test_s19_record_route_on_the_way(void **state)
{
    static const uint8_t room[] = {7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t full[] = {7, 7, 8, 1, 2, 3, 4, 0};
    (void)state;
    open_router(router);
    assert_int_equal(give(FAR_V4, room, sizeof room), 0);
    const uint8_t *option = expect_options(FAR_V4, sizeof room);
    assert_int_equal(option[2], 8);
    assert_int_equal(bytes_get32(option + 3), RIGHT_V4); /* where it leaves (RFC 791) */
    assert_int_equal(bytes_get32(option + 7), 0);
    assert_int_equal(give(FAR_V4, full, sizeof full), 0);
    assert_memory_equal(expect_options(FAR_V4, sizeof full), full, sizeof full);
    net_close();
}

static void test_s19_timestamps_on_the_way(void **state)
{
    static const uint8_t only[] = {68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t both[] = {68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t named[] = {68, 12, 5, 3, 10, 78, 0, 2, 0, 0, 0, 0};
    static const uint8_t other[] = {68, 12, 5, 3, 10, 99, 0, 2, 0, 0, 0, 0};
    static const uint8_t full[] = {68, 4, 5, 0x20};
    uint32_t now = (uint32_t)(net_now / 1000);
    (void)state;
    open_router(router);
    now = (uint32_t)(net_now / 1000) | UINT32_C(1) << 31;
    assert_int_equal(give(FAR_V4, only, sizeof only), 0);
    const uint8_t *option = expect_options(FAR_V4, sizeof only);
    assert_int_equal(option[2], 9);
    assert_int_equal(bytes_get32(option + 4), now);
    assert_int_equal(give(FAR_V4, both, sizeof both), 0);
    option = expect_options(FAR_V4, sizeof both);
    assert_int_equal(option[2], 13);
    assert_int_equal(bytes_get32(option + 4), RIGHT_V4);
    assert_int_equal(bytes_get32(option + 8), now);
    assert_int_equal(give(FAR_V4, named, sizeof named), 0);
    option = expect_options(FAR_V4, sizeof named);
    assert_int_equal(option[2], 13);
    assert_int_equal(bytes_get32(option + 8), now);
    assert_int_equal(give(FAR_V4, other, sizeof other), 0);
    assert_memory_equal(expect_options(FAR_V4, sizeof other), other, sizeof other);
    assert_int_equal(give(FAR_V4, full, sizeof full), 0);
    assert_int_equal(expect_options(FAR_V4, sizeof full)[3], 0x30);
    net_close();
}

/* RFC 1122, 3.2.2.6: the reply tells the whole way, there and back. */
static void test_s19_echo_reply_carries_the_options(void **state)
{
    static const uint8_t options[] = {1, 7, 11, 8, 192, 0, 2, 1, 0, 0,
                                      0, 0, 68, 8, 5,   0, 0, 0, 0, 0};
    (void)state;
    open_router(NULL);
    assert_int_equal(give(OUR_V4, options, sizeof options), 0);
    const uint8_t *option = expect_options(PEER_V4, sizeof options);
    assert_int_equal(option[0], IPV4_OPTION_RECORD_ROUTE);
    assert_int_equal(option[2], 12);
    assert_int_equal(bytes_get32(option + 3), 0xc0000201);
    assert_int_equal(bytes_get32(option + 7), OUR_V4);
    assert_int_equal(option[11], IPV4_OPTION_TIMESTAMP);
    assert_int_equal(option[13], 9);
    assert_int_equal(option[19], IPV4_OPTION_END);
    net_close();
}

static void test_s19_source_route_through_us(void **state)
{
    static const uint8_t loose[] = {131, 11, 4, 10, 78, 0, 9, 192, 0, 2, 7, 0};
    static const uint8_t strict[] = {137, 7, 4, 10, 78, 0, 9, 0};
    static const uint8_t far_strict[] = {137, 7, 4, 10, 9, 0, 9, 0};
    static const uint8_t nowhere[] = {131, 7, 4, 192, 0, 2, 7, 0};
    (void)state;
    open_router(routed);
    assert_int_equal(stack_add_route(net, 0x0a090000, 16, FAR_V4, 1), 0);
    assert_int_equal(give(OUR_V4, loose, sizeof loose), 0);
    const uint8_t *option = expect_options(FAR_V4, sizeof loose);
    assert_int_equal(option[2], 8);
    assert_int_equal(bytes_get32(option + 3), RIGHT_V4);
    assert_int_equal(bytes_get32(option + 7), 0xc0000207);
    assert_int_equal(give(OUR_V4, strict, sizeof strict), 0);
    expect_options(FAR_V4, sizeof strict);
    /* Strict, but not a neighbor; strict, but we are not named; and no way at all. */
    assert_int_equal(give(OUR_V4, far_strict, sizeof far_strict), -1);
    assert_int_equal(give(FAR_V4, strict, sizeof strict), -1);
    assert_int_equal(give(OUR_V4, nowhere, sizeof nowhere), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_ROUTE_FAILED), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(net_pull());
        assert_int_equal(out_bytes[IP_PAYLOAD_OFFSET], ICMP_DESTINATION_UNREACHABLE);
        assert_int_equal(out_bytes[IP_PAYLOAD_OFFSET + 1], ICMP_CODE_SOURCE_ROUTE_FAILED);
    }
    net_close();
}

/* RFC 1122, 3.2.1.8(c): what came to its end here is answered by the way it came. */
static void test_s19_source_route_is_reversed(void **state)
{
    static const uint8_t done[] = {131, 11, 12, 10, 78, 0, 9, 10, 77, 0, 1, 0};
    (void)state;
    open_router(obeying);
    assert_int_equal(give(OUR_V4, done, sizeof done), 0);
    const uint8_t *option = expect_options(PEER_V4, sizeof done);
    assert_int_equal(option[0], IPV4_OPTION_LOOSE_ROUTE);
    assert_int_equal(option[2], 4);
    assert_int_equal(bytes_get32(option + 3), FAR_V4);
    assert_int_equal(bytes_get32(option + 7), PEER_V4);
    net_close();
}

/* Any options into a router that obeys all of them: what leaves has a good header. */
static void test_random_options_through_a_router(void **state)
{
    static const uint8_t types[] = {0, 1, 7, 68, 131, 137, 148, 99};
    static const uint32_t to[] = {OUR_V4, FAR_V4, RIGHT_V4};
    (void)state;
    srand(9);
    open_router(routed);
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t options[IPV4_OPTIONS_MAX];
        struct ipv4_header ip;
        size_t size = (size_t)rand() % 11 * 4;
        for (size_t k = 0; k < size; k++)
            options[k] = (uint8_t)(rand() % 3 ? types[rand() % 8] : rand() % 48);
        give(to[rand() % 3], options, size);
        net_now += 10000;
        while (net_pull())
            if (bytes_get16(out_bytes + 12) == ETHERTYPE_IPV4)
                assert_int_equal(ipv4_parse(IP(out_bytes), out_size - ETHERNET_HEADER_BYTES, &ip),
                                 0);
    }
    net_close();
}

/* RFC 6864, 4: no two alike for a pair within 65,536, and nothing to be learned from one pair about
   another. */
static void test_identification(void **state)
{
    static bool seen[65536];
    (void)state;
    net_open(NULL);
    uint16_t first = ip_identification(net, OUR_V4, PEER_V4, IPV4_PROTOCOL_UDP);
    uint16_t other = ip_identification(net, OUR_V4, FAR_V4, IPV4_PROTOCOL_UDP);
    assert_int_not_equal(first, other);
    assert_int_not_equal(first, ip_identification(net, OUR_V4, PEER_V4, IPV4_PROTOCOL_ICMP));
    for (unsigned i = 0; i < 65536; i++) {
        uint16_t id = ip_identification(net, OUR_V4, PEER_V4, IPV4_PROTOCOL_UDP);
        assert_false(seen[id]);
        seen[id] = true;
    }
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_parser_finds),
        cmocka_unit_test(test_parser_on_random_bytes),
        cmocka_unit_test(test_s19_record_route_on_the_way),
        cmocka_unit_test(test_s19_timestamps_on_the_way),
        cmocka_unit_test(test_s19_echo_reply_carries_the_options),
        cmocka_unit_test(test_s19_source_route_through_us),
        cmocka_unit_test(test_s19_source_route_is_reversed),
        cmocka_unit_test(test_random_options_through_a_router),
        cmocka_unit_test(test_identification),
    };
    return cmocka_run_group_tests_name("ip_options", tests, NULL, NULL);
}

/* Forwarding (stage S20): what a router does with the datagrams of others, and what it refuses;
   redirects sent and believed. The harness' network is on interface 0; on interface 1 there is
   10.78.0.0/24 with a host far_v4, the first hop of 10.9.0.0/16, too. */
#include "net_harness.h"

#include "../../tapstack/core/state.h"
#include "../../tapstack/wire/tcp.h"

#define RIGHT_V4 UINT32_C(0x0a4e0002) /* ours on interface 1 */
#define FAR_V4   UINT32_C(0x0a4e0009)
#define BEYOND   UINT32_C(0x0a090101)
#define IP(f)    ((f) + ETHERNET_HEADER_BYTES)

static const struct mac_address right_mac = {{2, 0, 0, 0, 1, 2}};
static const struct mac_address far_mac = {{2, 0, 0, 0, 1, 9}};

static uint8_t bytes[FRAME_BYTES_MAX];
static uint16_t right_mtu = 1500;

static void forwarding_on(struct stack_config *config) { config->settings.ip_forward = 1; }

static int give_by(unsigned interface, size_t size, uint8_t flags, uint16_t segment_bytes,
                   uint16_t header_bytes)
{
    uint8_t *exact = malloc(size);
    memcpy(exact, bytes, size);
    struct frame frame = {
        .interface = (uint16_t)interface,
        .flags = flags,
        .checksum_start = IP_PAYLOAD_OFFSET,
        .checksum_offset = 16,
        .segment_bytes = segment_bytes,
        .header_bytes = header_bytes,
        .piece_count = 1,
        .piece = {{exact, size}},
    };
    int result = stack_input(net, &frame, net_now);
    free(exact);
    return result;
}

static void arp_from_far(uint16_t operation)
{
    struct ethernet_header ethernet = {right_mac, far_mac, ETHERTYPE_ARP};
    struct arp_packet arp = {operation, far_mac, right_mac, FAR_V4, RIGHT_V4};
    memset(bytes, 0, ETHERNET_MIN_BYTES);
    ethernet_write(&ethernet, bytes);
    arp_write(&arp, bytes + ETHERNET_HEADER_BYTES);
    give_by(1, ETHERNET_MIN_BYTES, 0, 0, 0);
}

static void router_open(void (*change)(struct stack_config *config))
{
    struct stack_interface_config right = {"tap1", right_mac, right_mtu, RIGHT_V4, 24};
    net_open(change);
    assert_int_equal(stack_add_interface(net, &right, net_now), 1);
    assert_int_equal(stack_add_route(net, 0x0a090000, 16, FAR_V4, 1), 0);
    learn_peer();
    arp_from_far(ARP_REQUEST);
    net_drain();
}

static size_t make_echo(uint32_t source, uint32_t destination, size_t body_bytes)
{
    static uint8_t body[FRAME_BYTES_MAX];
    for (size_t i = 0; i < body_bytes; i++)
        body[i] = (uint8_t)(i * 7 + i / 251);
    return make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 0x00010002, body, body_bytes, source,
                     destination);
}

static void set_dont_fragment(void)
{
    bytes_put16(IP(bytes) + 6, 0x4000);
    sum_ip_header(bytes);
}

static void set_ttl(uint8_t ttl)
{
    IP(bytes)[8] = ttl;
    sum_ip_header(bytes);
}

/* The pulled frame as an ICMP message to the peer from our address there. */
static const uint8_t *expect_message(uint8_t type, uint8_t code)
{
    const uint8_t *payload;
    size_t size;
    assert_true(net_pull());
    struct ipv4_header ip = out_ip(&payload, &size);
    assert_int_equal(out_frame.interface, 0);
    assert_int_equal(ip.protocol, IPV4_PROTOCOL_ICMP);
    assert_int_equal(ip.source_v4, OUR_V4);
    assert_int_equal(ip.destination_v4, PEER_V4);
    assert_int_equal(payload[0], type);
    assert_int_equal(payload[1], code);
    return payload;
}

/* The pulled frame leaves to far_mac by interface 1. */
static const uint8_t *expect_forwarded(void)
{
    assert_true(net_pull());
    assert_int_equal(out_frame.interface, 1);
    assert_memory_equal(out_bytes, far_mac.octets, 6);
    assert_memory_equal(out_bytes + 6, right_mac.octets, 6);
    assert_int_equal(bytes_get16(out_bytes + 12), ETHERTYPE_IPV4);
    return IP(out_bytes);
}

static void test_s20_goes_on_with_one_less(void **state)
{
    (void)state;
    router_open(forwarding_on);
    for (unsigned ttl = 2; ttl < 256; ttl++) {
        size_t size = make_echo(PEER_V4, BEYOND, 20);
        IP(bytes)[1] = 0xb9; /* DSCP and ECN are the sender's */
        bytes_put16(IP(bytes) + 4, (uint16_t)(ttl * 259));
        set_ttl((uint8_t)ttl);
        memset(bytes + size, 0xee, 10); /* padding of the frame */
        assert_int_equal(give_by(0, size + 10, 0, 0, 0), 0);
        const uint8_t *ip = expect_forwarded();
        assert_int_equal(out_size, size);
        assert_int_equal(ip[8], ttl - 1);
        assert_int_equal(checksum_finish(checksum_add(0, ip, 20)), 0);
        memcpy(bytes + ETHERNET_HEADER_BYTES + 8, ip + 8, 1);
        memcpy(bytes + ETHERNET_HEADER_BYTES + 10, ip + 10, 2);
        assert_memory_equal(ip, IP(bytes), size - ETHERNET_HEADER_BYTES);
        assert_false(net_pull());
    }
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_DATAGRAMS), 254);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_DELIVERS), 0);
    net_close();
}

static void test_s20_off_unless_switched_on(void **state)
{
    (void)state;
    router_open(NULL);
    assert_int_equal(give_by(0, make_echo(PEER_V4, BEYOND, 20), 0, 0, 0), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_ADDR_ERRORS), 1);
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_s20_refusals_without_an_answer(void **state)
{
    static const struct {
        const char *name;
        uint32_t source, destination;
        enum stack_counter counter;
    } rows[] = {
        {"to another network's broadcast", PEER_V4, 0x0a4e00ff,
         STACK_COUNTER_IP_IN_DIRECTED_BROADCASTS},
        {"to another network's zero", PEER_V4, 0x0a4e0000, STACK_COUNTER_IP_IN_DIRECTED_BROADCASTS},
        {"to 240.0.0.1", PEER_V4, 0xf0000001, STACK_COUNTER_IP_IN_MARTIAN_DESTINATIONS},
        {"to 127.0.0.1", PEER_V4, 0x7f000001, STACK_COUNTER_IP_IN_MARTIAN_DESTINATIONS},
        {"to 0.0.0.9", PEER_V4, 9, STACK_COUNTER_IP_IN_MARTIAN_DESTINATIONS},
        {"to a group", PEER_V4, 0xe0000109, STACK_COUNTER_IP_IN_NOT_JOINED},
        {"from 127.0.0.1", 0x7f000001, BEYOND, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
        {"from 0.0.0.0", 0, BEYOND, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
        {"from 240.0.0.1", 0xf0000001, BEYOND, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
        {"from 255.255.255.255", UINT32_MAX, BEYOND, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
        {"from a group", 0xe0000109, BEYOND, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
        {"from the broadcast of a network", 0x0a4e00ff, BEYOND,
         STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
        {"from our other address", RIGHT_V4, BEYOND, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    };
    (void)state;
    router_open(forwarding_on);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t before = counter(rows[i].counter);
        size_t size = make_echo(rows[i].source, rows[i].destination, 20);
        if (give_by(0, size, 0, 0, 0) != -1 || counter(rows[i].counter) != before + 1 ||
            net_drain() != 0)
            fail_msg("not refused as it should be: %s", rows[i].name);
    }
    size_t size = make_echo(PEER_V4, BEYOND, 20);
    memset(bytes, 0xff, 6);
    assert_int_equal(give_by(0, size, 0, 0, 0), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_LINK_BROADCASTS), 1);
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_s20_time_exceeded(void **state)
{
    (void)state;
    router_open(forwarding_on);
    for (uint8_t ttl = 0; ttl < 2; ttl++) {
        size_t size = make_echo(PEER_V4, BEYOND, 20);
        set_ttl(ttl);
        assert_int_equal(give_by(0, size, 0, 0, 0), -1);
        const uint8_t *icmp = expect_message(ICMP_TIME_EXCEEDED, ICMP_CODE_TTL_EXCEEDED);
        assert_memory_equal(icmp + ICMP_HEADER_BYTES, IP(bytes), size - ETHERNET_HEADER_BYTES);
    }
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_TTL_EXCEEDED), 2);
    net_close();
}

static void test_s20_no_route_and_no_neighbor(void **state)
{
    (void)state;
    router_open(forwarding_on);
    assert_int_equal(give_by(0, make_echo(PEER_V4, 0xc0000201, 20), 0, 0, 0), -1);
    expect_message(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_NET_UNREACHABLE);
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_NO_ROUTES), 1);
    /* A host that is not there: its first hop does not answer. */
    assert_int_equal(give_by(0, make_echo(PEER_V4, 0x0a4e0063, 20), 0, 0, 0), 0);
    net_wait(3500000);
    const uint8_t *payload;
    size_t size;
    struct ipv4_header ip = out_ip(&payload, &size);
    assert_int_equal(ip.destination_v4, PEER_V4);
    assert_int_equal(payload[0], ICMP_DESTINATION_UNREACHABLE);
    assert_int_equal(payload[1], ICMP_CODE_HOST_UNREACHABLE);
    net_close();
}

static void test_s20_too_big_for_the_next_link(void **state)
{
    uint8_t whole[1500];
    (void)state;
    right_mtu = 900;
    router_open(forwarding_on);
    right_mtu = 1500;
    size_t size = make_echo(PEER_V4, BEYOND, 1472);
    set_dont_fragment();
    assert_int_equal(give_by(0, size, 0, 0, 0), -1);
    const uint8_t *icmp =
        expect_message(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED);
    assert_int_equal(bytes_get32(icmp + 4), 900);
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_TOO_BIG), 1);

    size = make_echo(PEER_V4, BEYOND, 1472);
    assert_int_equal(give_by(0, size, 0, 0, 0), 0);
    for (unsigned fragments = 0; fragments < 2; fragments++) {
        const uint8_t *ip = expect_forwarded();
        size_t offset = (bytes_get16(ip + 6) & 0x1fffU) * 8, total = bytes_get16(ip + 2);
        assert_true(total <= 900);
        assert_int_equal(ip[8], 63);
        memcpy(whole + offset, ip + 20, total - 20);
    }
    assert_memory_equal(whole, bytes + IP_PAYLOAD_OFFSET, size - IP_PAYLOAD_OFFSET);
    assert_false(net_pull());
    net_close();
}

enum { SEGMENT = 1448, SUPER_PAYLOAD = 5 * SEGMENT + 100, SUPER_HEADER = 14 + 20 + 20 };

/* A super-frame of TCP as a TAP gives it, its checksum left undone. */
static size_t make_super(void)
{
    struct tcp_header tcp = {40000, 80, 1000, 2000, 500, .flags = TCP_ACK | TCP_PSH};
    size_t size =
        head_datagram(bytes, IPV4_PROTOCOL_TCP, PEER_V4, BEYOND, TCP_HEADER_BYTES + SUPER_PAYLOAD);
    tcp_write(&tcp, bytes + IP_PAYLOAD_OFFSET);
    for (size_t i = 0; i < SUPER_PAYLOAD; i++)
        bytes[SUPER_HEADER + i] = (uint8_t)(i * 13 + i / 256);
    return size;
}

static void test_s20_super_frame_goes_whole(void **state)
{
    (void)state;
    router_open(forwarding_on);
    size_t size = make_super();
    set_dont_fragment();
    assert_int_equal(give_by(0, size, FRAME_CHECKSUM_PARTIAL, SEGMENT, SUPER_HEADER), 0);
    expect_forwarded();
    assert_int_equal(out_size, size);
    assert_int_equal(out_frame.flags, FRAME_CHECKSUM_PARTIAL);
    assert_int_equal(out_frame.checksum_start, IP_PAYLOAD_OFFSET);
    assert_int_equal(out_frame.checksum_offset, 16);
    assert_int_equal(out_frame.segment_bytes, SEGMENT);
    assert_int_equal(out_frame.header_bytes, SUPER_HEADER);
    assert_memory_equal(out_bytes + IP_PAYLOAD_OFFSET, bytes + IP_PAYLOAD_OFFSET,
                        size - IP_PAYLOAD_OFFSET);
    /* What a card has verified on the way in says nothing on the way out. */
    give_by(0, make_echo(PEER_V4, BEYOND, 9), FRAME_CHECKSUM_VALID, 0, 0);
    expect_forwarded();
    assert_int_equal(out_frame.flags, 0);
    net_close();
}

static void test_s20_super_frame_for_a_smaller_link(void **state)
{
    size_t payload_bytes = 0;
    (void)state;
    right_mtu = 900;
    router_open(forwarding_on);
    right_mtu = 1500;
    size_t size = make_super();
    set_dont_fragment();
    assert_int_equal(give_by(0, size, FRAME_CHECKSUM_PARTIAL, SEGMENT, SUPER_HEADER), -1);
    const uint8_t *icmp =
        expect_message(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED);
    assert_int_equal(bytes_get32(icmp + 4), 900);

    size = make_super();
    assert_int_equal(give_by(0, size, FRAME_CHECKSUM_PARTIAL, SEGMENT, SUPER_HEADER), 0);
    while (net_pull()) {
        const uint8_t *ip = IP(out_bytes);
        assert_int_equal(out_frame.interface, 1);
        assert_true(bytes_get16(ip + 2) <= 900);
        payload_bytes += bytes_get16(ip + 2) - 20U;
    }
    assert_int_equal(payload_bytes, 6 * TCP_HEADER_BYTES + SUPER_PAYLOAD);
    net_close();
}

static void small_queue(struct stack_config *config)
{
    config->settings.ip_forward = 1;
    config->settings.ip_forward_queue = 65536;
}

static void test_s20_queue_is_bounded(void **state)
{
    unsigned waiting = 0;
    (void)state;
    router_open(small_queue);
    for (unsigned i = 0; i < 1000; i++)
        waiting += give_by(0, make_echo(PEER_V4, BEYOND, 1000), 0, 0, 0) == 0;
    assert_int_equal(waiting, 65536 / 2048);
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_QUEUE_DROPS), 1000 - waiting);
    assert_int_equal(stack_deadline(net), 0);
    assert_int_equal(net_drain(), waiting);
    assert_int_equal(give_by(0, make_echo(PEER_V4, BEYOND, 1000), 0, 0, 0), 0);
    net_close(); /* with a frame still waiting */
}

static void strict_paths(struct stack_config *config)
{
    config->settings.ip_forward = 1;
    config->settings.ip_reverse_path = 1;
}

static void test_s20_reverse_path(void **state)
{
    (void)state;
    router_open(strict_paths);
    assert_int_equal(give_by(0, make_echo(PEER_V4, BEYOND, 9), 0, 0, 0), 0);
    assert_int_equal(give_by(0, make_echo(FAR_V4, BEYOND, 9), 0, 0, 0), -1);
    assert_int_equal(give_by(0, make_echo(0xc0000201, BEYOND, 9), 0, 0, 0), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_REVERSE_PATH), 2);
    assert_int_equal(net_drain(), 1);
    net_close();
}

/* ---- Redirects ---- */

static void test_redirects_are_sent(void **state)
{
    uint32_t gateway = PEER_V4 + 6;
    (void)state;
    router_open(forwarding_on);
    assert_int_equal(stack_add_route(net, 0xc6336400, 24, gateway, 0), 0);
    give_by(0, make_echo(PEER_V4, 0xc6336401, 9), 0, 0, 0);
    const uint8_t *icmp = expect_message(ICMP_REDIRECT, ICMP_CODE_REDIRECT_HOST);
    assert_int_equal(bytes_get32(icmp + 4), gateway);
    assert_memory_equal(icmp + ICMP_HEADER_BYTES, IP(bytes), 28);
    net_drain();
    /* The same pair is told again a second later, not before; the datagrams are forwarded. */
    for (unsigned i = 0; i < 10; i++)
        give_by(0, make_echo(PEER_V4, 0xc6336401, 9), 0, 0, 0);
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_REDIRECTS), 1);
    assert_int_equal(counter(STACK_COUNTER_IP_FORW_DATAGRAMS), 11);
    net_now += 1000000;
    give_by(0, make_echo(PEER_V4, 0xc6336401, 9), 0, 0, 0);
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_REDIRECTS), 2);
    /* Not to one who is not on that network, nor by another interface, nor when switched off. */
    net_now += 1000000;
    give_by(0, make_echo(0xc0000201, 0xc6336401, 9), 0, 0, 0);
    give_by(0, make_echo(PEER_V4, BEYOND, 9), 0, 0, 0);
    stack_settings(net)->ip_send_redirects = 0;
    give_by(0, make_echo(PEER_V4, 0xc6336401, 9), 0, 0, 0);
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_REDIRECTS), 2);
    net_close();
}

/* A redirect from `from` that says: to destination_v4 by gateway. */
static int give_redirect(uint32_t from, uint32_t destination_v4, uint32_t gateway)
{
    uint8_t quote[IP_PAYLOAD_OFFSET + 8] = {0};
    head_datagram(quote, IPV4_PROTOCOL_UDP, OUR_V4, destination_v4, 8);
    size_t size = make_icmp(bytes, ICMP_REDIRECT, ICMP_CODE_REDIRECT_HOST, gateway, IP(quote), 28,
                            from, OUR_V4);
    return give_by(0, size, 0, 0, 0);
}

static uint32_t next_hop_to(uint32_t destination_v4)
{
    struct stack_route route;
    uint32_t next_hop = 0, source;
    stack_find_route(net, destination_v4, &route, &next_hop, &source, net_now);
    return next_hop;
}

static void test_redirects_are_believed(void **state)
{
    static const struct {
        const char *name;
        uint32_t from, destination, gateway;
        bool believed;
    } rows[] = {
        {"from a stranger", PEER_V4 + 1, 0xc0000201, PEER_V4 + 6, false},
        {"to a gateway elsewhere", PEER_V4, 0xc0000201, 0x0a630001, false},
        {"to ourselves", PEER_V4, 0xc0000201, OUR_V4, false},
        {"to the broadcast", PEER_V4, 0xc0000201, 0x0a4d00ff, false},
        {"to itself", PEER_V4, 0xc0000201, PEER_V4, false},
        {"for a group", PEER_V4, 0xe0000001, PEER_V4 + 6, false},
        {"for a host of the network", PEER_V4, PEER_V4 + 3, PEER_V4 + 6, false},
        {"for what goes elsewhere", PEER_V4, BEYOND, PEER_V4 + 6, false},
        {"as it should be", PEER_V4, 0xc0000201, PEER_V4 + 6, true},
        {"again by another", PEER_V4 + 6, 0xc0000201, PEER_V4 + 7, true},
    };
    (void)state;
    router_open(NULL);
    assert_int_equal(stack_add_route(net, 0, 0, PEER_V4, 0), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int result = give_redirect(rows[i].from, rows[i].destination, rows[i].gateway);
        if ((result == 0) != rows[i].believed)
            fail_msg("%s: %d", rows[i].name, result);
    }
    assert_int_equal(next_hop_to(0xc0000201), PEER_V4 + 7);
    assert_int_equal(next_hop_to(0xc0000202), PEER_V4);
    net_wait(600000000);
    assert_int_equal(next_hop_to(0xc0000201), PEER_V4);
    net_close();
}

static void few_redirects(struct stack_config *config) { config->settings.ip_redirects_max = 8; }

static void test_redirects_are_bounded_and_forgotten(void **state)
{
    (void)state;
    router_open(few_redirects);
    assert_int_equal(stack_add_route(net, 0, 0, PEER_V4, 0), 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(give_redirect(PEER_V4, 0xc0000201 + i, PEER_V4 + 6), 0);
    assert_int_equal(net->routes.learned_count, 8);
    assert_int_equal(next_hop_to(0xc0000201 + 91), PEER_V4);
    assert_int_equal(next_hop_to(0xc0000201 + 99), PEER_V4 + 6);
    /* The new hop is dead: back to the old one. */
    struct ip_send send = {OUR_V4, 0xc0000201 + 99, IPV4_PROTOCOL_UDP, 64};
    struct frame frame = {.piece_count = 1, .piece = {{bytes, 100}}};
    assert_int_equal(ip_output(net, &frame, bytes, &send, net_now), 0);
    net_wait(5000000);
    assert_int_equal(next_hop_to(0xc0000201 + 99), PEER_V4);
    net_close();
}

static void test_a_router_believes_no_redirect(void **state)
{
    (void)state;
    router_open(forwarding_on);
    assert_int_equal(stack_add_route(net, 0, 0, PEER_V4, 0), 0);
    assert_int_equal(give_redirect(PEER_V4, 0xc0000201, PEER_V4 + 6), -1);
    assert_int_equal(counter(STACK_COUNTER_REDIRECTS_IGNORED), 1);
    net_close();
}

/* ---- Whose address is it? ---- */

static void strong_host(struct stack_config *config) { config->settings.ip_strong_host = 1; }

static void test_weak_and_strong_host(void **state)
{
    static void (*const models[])(struct stack_config *) = {NULL, strong_host};
    (void)state;
    for (unsigned strong = 0; strong < 2; strong++) {
        router_open(models[strong]);
        int result = give_by(0, make_echo(PEER_V4, RIGHT_V4, 9), 0, 0, 0);
        assert_int_equal(result, strong ? -1 : 0);
        assert_int_equal(counter(STACK_COUNTER_IP_IN_WRONG_INTERFACE), strong);
        assert_int_equal(net_drain(), !strong);
        /* From the address of interface 0 to the network of interface 1. */
        struct ip_send send = {OUR_V4, FAR_V4, IPV4_PROTOCOL_UDP, 64};
        struct frame frame = {.piece_count = 1, .piece = {{bytes, 100}}};
        assert_int_equal(ip_output(net, &frame, bytes, &send, net_now), strong ? -1 : 1);
        net_close();
    }
}

/* ---- Three stacks in a row: a client, the router, a server ---- */

enum { ALL_STACKS = 3, BULK = 1 << 20 };

static struct stack *row[ALL_STACKS];

static struct stack *open_one(uint8_t number, uint32_t address_v4, bool forward)
{
    struct stack_config config = {.seed = {number, 7, 7}, .memory = {net_allocate, net_release}};
    struct stack_interface_config interface = {"tap0",
                                               {{2, 1, 0, 0, 0, number}},
                                               1500,
                                               address_v4,
                                               24,
                                               .checksum_offload = true,
                                               .segment_max_bytes = 65535};
    stack_settings_default(&config.settings);
    config.settings.ip_forward = forward;
    struct stack *stack = stack_create(&config, net_now);
    assert_non_null(stack);
    assert_int_equal(stack_add_interface(stack, &interface, net_now), 0);
    return stack;
}

static void open_row(uint16_t second_mtu)
{
    struct stack_interface_config second = {"tap1",
                                            {{2, 1, 0, 0, 1, 1}},
                                            second_mtu,
                                            RIGHT_V4,
                                            24,
                                            .checksum_offload = true,
                                            .segment_max_bytes = 65535};
    net_now = 1000000;
    net_allocated = 0;
    row[0] = open_one(0, PEER_V4, false);
    row[1] = open_one(1, OUR_V4, true);
    row[2] = open_one(2, FAR_V4, false);
    assert_int_equal(stack_add_interface(row[1], &second, net_now), 1);
    assert_int_equal(stack_add_route(row[0], 0, 0, OUR_V4, 0), 0);
    assert_int_equal(stack_add_route(row[2], 0, 0, RIGHT_V4, 0), 0);
}

/* A frame arrives; its receiver gets it in wire frames when it does not fit in one. */
static void carry(unsigned from, const struct frame *frame)
{
    unsigned to = from != 1 ? 1 : frame->interface == 0 ? 0 : 2;
    struct frame copy = *frame;
    size_t size = frame_copy(frame, bytes);
    copy.piece_count = 1;
    copy.piece[0] = (struct frame_piece){bytes, size};
    copy.interface = from == 2;
    stack_input(row[to], &copy, net_now);
}

/* All that can be sent now, and then the next deadline. Returns false when nothing is left to do. */
static bool step_row(void)
{
    struct frame frame;
    uint64_t at = UINT64_MAX;
    for (bool any = true; any;) {
        any = false;
        for (unsigned i = 0; i < ALL_STACKS; i++)
            while (stack_output(row[i], &frame, net_now)) {
                carry(i, &frame);
                any = true;
            }
    }
    for (unsigned i = 0; i < ALL_STACKS; i++)
        at = stack_deadline(row[i]) < at ? stack_deadline(row[i]) : at;
    net_now = at > net_now && at != UINT64_MAX ? at : net_now + 1000;
    return at != UINT64_MAX;
}

static size_t receive_all(int socket, size_t received)
{
    static uint8_t got[65536];
    ptrdiff_t size;
    while ((size = stack_recv(row[2], socket, got, sizeof got, net_now)) > 0)
        for (ptrdiff_t i = 0; i < size; i++, received++)
            assert_int_equal(got[i], (uint8_t)(received * 31 + received / 509));
    return received;
}

/* The second link takes 1500 or 900 bytes: in the second case the client learns it by the router's
   error alone, for the server offers an MSS for 1500. */
static void transfer(uint16_t second_mtu)
{
    static uint8_t bulk[BULK];
    struct stack_endpoint port = {.port = 80}, server = {ip_address_from_v4(FAR_V4), 80};
    size_t sent = 0, received = 0;
    int accepted = STACK_AGAIN;
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (uint8_t)(i * 31 + i / 509);
    open_row(second_mtu);
    int listener = stack_open(row[2], IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_bind(row[2], listener, &port), 0);
    assert_int_equal(stack_listen(row[2], listener, 1), 0);
    int client = stack_open(row[0], IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_connect(row[0], client, &server, net_now), STACK_IN_PROGRESS);
    for (unsigned steps = 0; received < BULK && steps < 100000 && step_row(); steps++) {
        if (accepted < 0)
            accepted = stack_accept(row[2], listener);
        ptrdiff_t some =
            sent < BULK ? stack_send(row[0], client, bulk + sent, BULK - sent, 0, net_now) : 0;
        sent += some > 0 ? (size_t)some : 0;
        if (accepted > 0)
            received = receive_all(accepted, received);
    }
    assert_int_equal(received, BULK);
    assert_int_equal(stack_counters(row[1])[STACK_COUNTER_IP_FORW_TOO_BIG] > 0, second_mtu < 1500);
    for (unsigned i = 0; i < ALL_STACKS; i++)
        stack_destroy(row[i]);
    assert_int_equal(net_allocated, 0);
}

static void test_s20_tcp_through_a_router(void **state)
{
    (void)state;
    transfer(1500);
}

static void test_s20_tcp_finds_the_path_mtu(void **state)
{
    (void)state;
    transfer(900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s20_goes_on_with_one_less),
        cmocka_unit_test(test_s20_off_unless_switched_on),
        cmocka_unit_test(test_s20_refusals_without_an_answer),
        cmocka_unit_test(test_s20_time_exceeded),
        cmocka_unit_test(test_s20_no_route_and_no_neighbor),
        cmocka_unit_test(test_s20_too_big_for_the_next_link),
        cmocka_unit_test(test_s20_super_frame_goes_whole),
        cmocka_unit_test(test_s20_super_frame_for_a_smaller_link),
        cmocka_unit_test(test_s20_queue_is_bounded),
        cmocka_unit_test(test_s20_reverse_path),
        cmocka_unit_test(test_redirects_are_sent),
        cmocka_unit_test(test_redirects_are_believed),
        cmocka_unit_test(test_redirects_are_bounded_and_forgotten),
        cmocka_unit_test(test_a_router_believes_no_redirect),
        cmocka_unit_test(test_weak_and_strong_host),
        cmocka_unit_test(test_s20_tcp_through_a_router),
        cmocka_unit_test(test_s20_tcp_finds_the_path_mtu),
    };
    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}

/* ICMP and UDP: echo to the last byte, errors within their limits, nothing answered that must not
   be (stages S23 and S24). */
#include "net_harness.h"

#include "../../tapstack/core/icmp.h"
#include "../../tapstack/wire/udp.h"

static uint8_t bytes[FRAME_BYTES_MAX];
static uint8_t body[65536];

static const uint8_t *payload;
static size_t payload_bytes;

static void test_s23_echo_of_every_size(void **state)
{
    static const size_t sizes[] = {0,    1,    7,    8,    55,    56,    57,   100,
                                   1471, 1472, 1473, 9000, 20001, 65506, 65507};
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 31 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size =
            make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 0x12345678, body, sizes[i], PEER_V4, OUR_V4);
        struct icmp_header icmp;
        assert_int_equal(net_give(bytes, size), 0);
        assert_true(net_pull_whole());
        struct ipv4_header ip = out_ip(&payload, &payload_bytes);
        assert_int_equal(icmp_parse(payload, payload_bytes, &icmp), 0);
        assert_int_equal(icmp.type, ICMP_ECHO_REPLY);
        assert_int_equal(icmp.code, 0);
        assert_int_equal(icmp.rest, 0x12345678);
        assert_int_equal(payload_bytes, ICMP_HEADER_BYTES + sizes[i]);
        assert_memory_equal(payload + ICMP_HEADER_BYTES, body, sizes[i]);
        assert_int_equal(ip.source_v4, OUR_V4);
        assert_int_equal(ip.destination_v4, PEER_V4);
        assert_int_equal(ip.ttl, 64);
        assert_memory_equal(out_bytes, peer_mac.octets, 6);
        assert_false(net_pull());
    }
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_ECHO_REPS), sizeof sizes / sizeof sizes[0]);
    net_close();
}

/* Bytes behind the total length are not the datagram's: they are never sent back. */
static void test_padding_is_not_echoed(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "ab", 2, PEER_V4, OUR_V4);
    memset(bytes + size, 0xee, 100);
    assert_int_equal(net_give(bytes, size + 100), 0);
    assert_true(net_pull());
    assert_int_equal(out_size, size);
    net_close();
}

static void test_ttl_follows_its_setting(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    stack_settings(net)->ip_ttl = 7;
    give_echo(PEER_V4, OUR_V4);
    assert_true(net_pull());
    assert_int_equal(out_ip(&payload, &payload_bytes).ttl, 7);
    net_close();
}

static void test_diffserv_is_kept_without_ecn(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "", 0, PEER_V4, OUR_V4);
    bytes[ETHERNET_HEADER_BYTES + 1] = 0xbb;
    sum_ip_header(bytes);
    net_give(bytes, size);
    assert_true(net_pull());
    assert_int_equal(out_ip(&payload, &payload_bytes).tos, 0xb8);
    net_close();
}

static void test_echo_to_a_group_is_ignored(void **state)
{
    static const uint32_t groups[] = {0xffffffff, 0x0a4d00ff, 0xe0000001};
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(give_echo(PEER_V4, groups[i]), -1);
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "", 0, PEER_V4, OUR_V4);
    memset(bytes, 0xff, 6); /* our address in a broadcast frame */
    assert_int_equal(net_give(bytes, size), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_LINK_BROADCASTS), 1);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_IGNORED), 3);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_ECHOS), 3);
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_types_that_get_no_answer(void **state)
{
    static const struct {
        uint8_t type;
        enum stack_counter counter;
    } rows[] = {
        {ICMP_ECHO_REPLY, STACK_COUNTER_ICMP_IN_IGNORED},
        {ICMP_SOURCE_QUENCH, STACK_COUNTER_ICMP_IN_SRC_QUENCHS},
        {ICMP_ROUTER_ADVERTISEMENT, STACK_COUNTER_ICMP_IN_ROUTER_ADVERTS},
        {ICMP_ROUTER_SOLICITATION, STACK_COUNTER_ICMP_IN_ROUTER_SOLICITS},
        {ICMP_TIMESTAMP_REPLY, STACK_COUNTER_ICMP_IN_TIMESTAMP_REPS},
        {ICMP_INFORMATION_REQUEST, STACK_COUNTER_ICMP_IN_INFOS},
        {ICMP_INFORMATION_REPLY, STACK_COUNTER_ICMP_IN_INFO_REPS},
        {ICMP_ADDRESS_MASK_REQUEST, STACK_COUNTER_ICMP_IN_ADDR_MASKS},
        {ICMP_ADDRESS_MASK_REPLY, STACK_COUNTER_ICMP_IN_ADDR_MASK_REPS},
        {40, STACK_COUNTER_ICMP_IN_IGNORED},
        {255, STACK_COUNTER_ICMP_IN_IGNORED},
    };
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t before = counter(rows[i].counter);
        size_t size = make_icmp(bytes, rows[i].type, 0, 0, "abcdefghijklmnop", 16, PEER_V4, OUR_V4);
        assert_int_equal(net_give(bytes, size), -1);
        assert_int_equal(counter(rows[i].counter), before + 1);
        assert_int_equal(net_drain(), 0);
    }
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_MSGS), sizeof rows / sizeof rows[0]);
    net_close();
}

static void test_malformed_messages(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t size = 0; size < ICMP_HEADER_BYTES; size++) {
        make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 0, "", 0, PEER_V4, OUR_V4);
        size_t frame = head_datagram(bytes, IPV4_PROTOCOL_ICMP, PEER_V4, OUR_V4, size);
        assert_int_equal(net_give(bytes, frame), -1);
    }
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_ERRORS), ICMP_HEADER_BYTES);
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 0, "abcd", 4, PEER_V4, OUR_V4);
    bytes[size - 1] ^= 1;
    /* no device sums ICMP: what its flags say does not matter */
    assert_int_equal(net_give_flags(bytes, size, FRAME_CHECKSUM_VALID), -1);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_CSUM_ERRORS), 1);
    assert_int_equal(net_drain(), 0);
    net_close();
}

/* ---- errors received ---- */

/* Makes an error that quotes the first quote_bytes of a datagram from source. */
static size_t make_error(uint8_t type, uint8_t protocol, uint32_t source, size_t quote_bytes)
{
    uint8_t quoted[IP_PAYLOAD_OFFSET + 40] = {0};
    head_datagram(quoted, protocol, source, PEER_V4, 40);
    return make_icmp(bytes, type, 1, 0, quoted + ETHERNET_HEADER_BYTES, quote_bytes, PEER_V4,
                     OUR_V4);
}

static void test_errors_with_a_cut_quote_are_dropped(void **state)
{
    static const uint8_t types[] = {ICMP_DESTINATION_UNREACHABLE, ICMP_TIME_EXCEEDED,
                                    ICMP_PARAMETER_PROBLEM};
    (void)state;
    net_open(NULL);
    for (size_t t = 0; t < sizeof types; t++) {
        for (size_t quote = 0; quote < IPV4_HEADER_BYTES + 8; quote++) {
            size_t size = make_error(types[t], IPV4_PROTOCOL_TCP, OUR_V4, quote);
            assert_int_equal(net_give(bytes, size), -1);
        }
    }
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_ERRORS), 3 * (IPV4_HEADER_BYTES + 8));
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_DEST_UNREACHS), IPV4_HEADER_BYTES + 8);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_TIME_EXCDS), IPV4_HEADER_BYTES + 8);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_PARM_PROBS), IPV4_HEADER_BYTES + 8);
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_errors_that_quote_nothing_of_ours(void **state)
{
    enum { QUOTE = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + ICMP_HEADER_BYTES };
    static const struct {
        const char *name;
        uint8_t protocol;
        uint32_t source;
        int at; /* byte of the quoted header to set, or -1 */
        uint8_t value;
        enum stack_counter counter;
    } rows[] = {
        {"sent by another", IPV4_PROTOCOL_TCP, PEER_V4, -1, 0, STACK_COUNTER_ICMP_IN_ERRORS},
        {"version 6", IPV4_PROTOCOL_TCP, OUR_V4, 0, 0x65, STACK_COUNTER_ICMP_IN_ERRORS},
        {"header length 16", IPV4_PROTOCOL_TCP, OUR_V4, 0, 0x44, STACK_COUNTER_ICMP_IN_ERRORS},
        {"header length 60", IPV4_PROTOCOL_TCP, OUR_V4, 0, 0x4f, STACK_COUNTER_ICMP_IN_ERRORS},
        {"a later fragment", IPV4_PROTOCOL_TCP, OUR_V4, 7, 1, STACK_COUNTER_ICMP_IN_ERRORS},
        {"UDP of no socket", IPV4_PROTOCOL_UDP, OUR_V4, -1, 0, STACK_COUNTER_ICMP_IN_ERRORS},
        {"an echo reply", IPV4_PROTOCOL_ICMP, OUR_V4, -1, 0, STACK_COUNTER_ICMP_IN_IGNORED},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = make_error(ICMP_DESTINATION_UNREACHABLE, rows[i].protocol, rows[i].source,
                                 IPV4_HEADER_BYTES + 8);
        struct icmp_header icmp = {ICMP_DESTINATION_UNREACHABLE, 1, 0};
        uint64_t before = counter(rows[i].counter);
        if (rows[i].at >= 0)
            bytes[QUOTE + rows[i].at] = rows[i].value;
        icmp_write(&icmp, bytes + IP_PAYLOAD_OFFSET, IPV4_HEADER_BYTES + 8);
        if (net_give(bytes, size) != -1 || counter(rows[i].counter) != before + 1 ||
            net_drain() != 0)
            fail_msg("not dropped as it should be: %s", rows[i].name);
    }
    net_close();
}

static void test_error_about_tcp_is_taken(void **state)
{
    (void)state;
    net_open(NULL);
    size_t size =
        make_error(ICMP_DESTINATION_UNREACHABLE, IPV4_PROTOCOL_TCP, OUR_V4, IPV4_HEADER_BYTES + 8);
    net_give(bytes, size);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_DEST_UNREACHS), 1);
    assert_int_equal(net_drain(), 0);
    net_close();
}

/* ---- redirects ---- */

#define FAR_V4    UINT32_C(0x0a090909)
#define BETTER_V4 UINT32_C(0x0a4d0009)

/* The gateway that the routes name for FAR_V4, or 0. */
static uint32_t gateway_to_far(void)
{
    struct stack_route route;
    uint32_t next_hop, source;
    if (stack_find_route(net, FAR_V4, &route, &next_hop, &source, net_now) != 0)
        return 0;
    return next_hop;
}

/* RFC 1122, 3.2.2.2: only our gateway's word for that destination, about a datagram of ours, with a
   neighbor's name in it. */
static void test_s20_redirects_that_are_believed_and_not(void **state)
{
    static const struct {
        const char *name;
        uint32_t from, gateway, quoted_source, quoted_destination;
        uint8_t code, protocol;
        bool off, to_group, believed;
    } rows[] = {
        {"from another host", 0x0a4d0007, BETTER_V4, OUR_V4, FAR_V4, 1, 17, 0, 0, 0},
        {"to a gateway elsewhere", PEER_V4, 0x0a080001, OUR_V4, FAR_V4, 1, 17, 0, 0, 0},
        {"to itself", PEER_V4, PEER_V4, OUR_V4, FAR_V4, 1, 17, 0, 0, 0},
        {"to us", PEER_V4, OUR_V4, OUR_V4, FAR_V4, 1, 17, 0, 0, 0},
        {"to the broadcast", PEER_V4, 0x0a4d00ff, OUR_V4, FAR_V4, 1, 17, 0, 0, 0},
        {"to nobody", PEER_V4, 0, OUR_V4, FAR_V4, 1, 17, 0, 0, 0},
        {"about what we did not send", PEER_V4, BETTER_V4, 0x0a4d0008, FAR_V4, 1, 17, 0, 0, 0},
        {"about TCP not in flight", PEER_V4, BETTER_V4, OUR_V4, FAR_V4, 1, 6, 0, 0, 0},
        {"about a neighbor", PEER_V4, BETTER_V4, OUR_V4, 0x0a4d0020, 1, 17, 0, 0, 0},
        {"of no known code", PEER_V4, BETTER_V4, OUR_V4, FAR_V4, 4, 17, 0, 0, 0},
        {"switched off", PEER_V4, BETTER_V4, OUR_V4, FAR_V4, 1, 17, 1, 0, 0},
        {"to a group", PEER_V4, BETTER_V4, OUR_V4, FAR_V4, 1, 17, 0, 1, 0},
        {"for a host", PEER_V4, BETTER_V4, OUR_V4, FAR_V4, 1, 17, 0, 0, 1},
        {"for a network", PEER_V4, BETTER_V4, OUR_V4, FAR_V4, 0, 17, 0, 0, 1},
        {"for a host and service", PEER_V4, BETTER_V4, OUR_V4, FAR_V4, 3, 1, 0, 0, 1},
    };
    uint8_t quoted[IP_PAYLOAD_OFFSET + 8] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        net_open(NULL);
        learn_peer();
        assert_int_equal(stack_add_route(net, 0, 0, PEER_V4, 0), 0);
        stack_settings(net)->icmp_accept_redirects = !rows[i].off;
        head_datagram(quoted, rows[i].protocol, rows[i].quoted_source, rows[i].quoted_destination,
                      8);
        size_t size = make_icmp(bytes, ICMP_REDIRECT, rows[i].code, rows[i].gateway,
                                quoted + ETHERNET_HEADER_BYTES, IPV4_HEADER_BYTES + 8, rows[i].from,
                                rows[i].to_group ? 0x0a4d00ff : OUR_V4);
        int result = net_give(bytes, size);
        if (result != (rows[i].believed ? 0 : -1) ||
            counter(STACK_COUNTER_REDIRECTS_IGNORED) != !rows[i].believed ||
            counter(STACK_COUNTER_ICMP_IN_REDIRECTS) != 1 ||
            gateway_to_far() != (rows[i].believed ? BETTER_V4 : PEER_V4))
            fail_msg("not as it should be: %s", rows[i].name);
        net_close();
    }
}

/* ---- errors sent ---- */

/* Makes a UDP datagram to a port where nobody is. */
static size_t make_udp(size_t data_bytes, uint32_t destination)
{
    uint8_t *udp = bytes + IP_PAYLOAD_OFFSET;
    struct ip_address from = ip_address_from_v4(PEER_V4), to = ip_address_from_v4(destination);
    size_t size = UDP_HEADER_BYTES + data_bytes;
    bytes_put16(udp, 5000);
    bytes_put16(udp + 2, 53);
    bytes_put16(udp + 4, (uint16_t)size);
    bytes_put16(udp + 6, 0);
    for (size_t i = 0; i < data_bytes; i++)
        udp[UDP_HEADER_BYTES + i] = (uint8_t)i;
    uint32_t sum = checksum_add_pseudo(0, &from, &to, IPV4_PROTOCOL_UDP, size);
    bytes_put16(udp + 6, checksum_finish(checksum_add(sum, udp, size)));
    return head_datagram(bytes, IPV4_PROTOCOL_UDP, PEER_V4, destination, size);
}

static void test_s24_udp_without_a_socket_is_unreachable(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 519, 520, 521, 1472};
    struct icmp_header icmp;
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size = make_udp(sizes[i], OUR_V4);
        assert_int_equal(net_give(bytes, size), -1);
        assert_true(net_pull());
        struct ipv4_header ip = out_ip(&payload, &payload_bytes);
        assert_int_equal(icmp_parse(payload, payload_bytes, &icmp), 0);
        assert_int_equal(icmp.type, ICMP_DESTINATION_UNREACHABLE);
        assert_int_equal(icmp.code, ICMP_CODE_PORT_UNREACHABLE);
        assert_int_equal(icmp.rest, 0);
        assert_int_equal(ip.source_v4, OUR_V4);
        assert_in_range(ip.total_bytes, 0, 576);
        size_t quoted = size - ETHERNET_HEADER_BYTES < 548 ? size - ETHERNET_HEADER_BYTES : 548;
        assert_int_equal(payload_bytes, ICMP_HEADER_BYTES + quoted);
        assert_memory_equal(payload + ICMP_HEADER_BYTES, bytes + ETHERNET_HEADER_BYTES, quoted);
    }
    assert_int_equal(counter(STACK_COUNTER_UDP_NO_PORTS), sizeof sizes / sizeof sizes[0]);
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_DEST_UNREACHS), sizeof sizes / sizeof sizes[0]);
    net_close();
}

static void test_udp_that_is_malformed(void **state)
{
    static const struct {
        const char *name;
        size_t field, payload;
        int checksum; /* -1: as it is, 0: none, 1: wrong */
        uint8_t flags;
        enum stack_counter counter;
    } rows[] = {
        {"7 bytes", 8, 7, -1, 0, STACK_COUNTER_UDP_IN_ERRORS},
        {"no byte", 8, 0, -1, 0, STACK_COUNTER_UDP_IN_ERRORS},
        {"length 0", 0, 18, -1, 0, STACK_COUNTER_UDP_IN_ERRORS},
        {"length 7", 7, 18, -1, 0, STACK_COUNTER_UDP_IN_ERRORS},
        {"length beyond the datagram", 19, 18, -1, 0, STACK_COUNTER_UDP_IN_ERRORS},
        {"length 65535", 65535, 18, -1, 0, STACK_COUNTER_UDP_IN_ERRORS},
        {"wrong sum", 18, 18, 1, 0, STACK_COUNTER_UDP_IN_CSUM_ERRORS},
        {"no sum is fine", 18, 18, 0, 0, STACK_COUNTER_UDP_NO_PORTS},
        {"shorter than the datagram is fine", 12, 18, 0, 0, STACK_COUNTER_UDP_NO_PORTS},
        {"left undone by the sender", 18, 18, 1, FRAME_CHECKSUM_PARTIAL,
         STACK_COUNTER_UDP_NO_PORTS},
        {"verified by the device", 18, 18, 1, FRAME_CHECKSUM_VALID, STACK_COUNTER_UDP_NO_PORTS},
    };
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *udp = bytes + IP_PAYLOAD_OFFSET;
        uint64_t before = counter(rows[i].counter);
        make_udp(10, OUR_V4);
        bytes_put16(udp + 4, (uint16_t)rows[i].field);
        if (rows[i].checksum == 0)
            bytes_put16(udp + 6, 0);
        else if (rows[i].checksum == 1)
            udp[6] ^= 0x55;
        size_t size = head_datagram(bytes, IPV4_PROTOCOL_UDP, PEER_V4, OUR_V4, rows[i].payload);
        unsigned answers = rows[i].counter == STACK_COUNTER_UDP_NO_PORTS;
        if (net_give_flags(bytes, size, rows[i].flags) != -1 ||
            counter(rows[i].counter) != before + 1 || net_drain() != answers)
            fail_msg("not as it should be: %s", rows[i].name);
    }
    net_close();
}

static void test_no_error_to_groups(void **state)
{
    static const uint32_t groups[] = {0xffffffff, 0x0a4d00ff, 0xe0000001};
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(net_give(bytes, make_udp(4, groups[i])), -1);
    size_t size = make_udp(4, OUR_V4);
    memset(bytes, 0xff, 6);
    assert_int_equal(net_give(bytes, size), -1);
    assert_int_equal(net_give(bytes, head_datagram(bytes, 99, PEER_V4, 0xffffffff, 20)), -1);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_LINK_BROADCASTS), 1);
    assert_int_equal(counter(STACK_COUNTER_UDP_NO_PORTS), 3);
    net_close();
}

/* A datagram of size bytes of payload from the peer, as IP hands it on. */
static struct ip_datagram make_datagram(uint8_t protocol, uint32_t source, uint32_t destination,
                                        size_t size)
{
    static const struct frame frame = {.piece_count = 1};
    head_datagram(bytes, protocol, source, destination, size);
    struct ip_datagram datagram = {
        .frame = &frame,
        .packet = bytes + ETHERNET_HEADER_BYTES,
        .payload = bytes + IP_PAYLOAD_OFFSET,
        .payload_bytes = size,
        .source = ip_address_from_v4(source),
        .destination = ip_address_from_v4(destination),
    };
    /* a source that cannot be has no readable header either: it is filled in */
    ipv4_parse(datagram.packet, IPV4_HEADER_BYTES + size, &datagram.header);
    return datagram;
}

/* Every error that there is, to a datagram for us and to one that passes: from where, what it
   quotes, of what precedence (RFC 1812, 4.3.2). */
static void test_s20_every_error_is_sent(void **state)
{
    static const struct {
        uint8_t type, codes;
        uint32_t rest;
        enum stack_counter counter;
    } rows[] = {
        {ICMP_DESTINATION_UNREACHABLE, 16, 0x0384, STACK_COUNTER_ICMP_OUT_DEST_UNREACHS},
        {ICMP_REDIRECT, 4, 0x0a4d0009, STACK_COUNTER_ICMP_OUT_REDIRECTS},
        {ICMP_TIME_EXCEEDED, 2, 0, STACK_COUNTER_ICMP_OUT_TIME_EXCDS},
        {ICMP_PARAMETER_PROBLEM, 2, 0x14000000, STACK_COUNTER_ICMP_OUT_PARM_PROBS},
    };
    struct icmp_header icmp;
    uint64_t sent = 0;
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint8_t code = 0; code < rows[i].codes; code++) {
            for (int passing = 0; passing < 2; passing++) {
                uint64_t before = counter(rows[i].counter);
                size_t body_bytes = passing ? 1000 : 40;
                struct ip_datagram datagram = make_datagram(
                    IPV4_PROTOCOL_UDP, PEER_V4, passing ? 0x0a090909 : OUR_V4, body_bytes);
                icmp_send_error(net, &datagram, rows[i].type, code, rows[i].rest, net_now);
                assert_true(net_pull());
                struct ipv4_header ip = out_ip(&payload, &payload_bytes);
                assert_int_equal(ip.source_v4, OUR_V4);
                assert_int_equal(ip.destination_v4, PEER_V4);
                assert_int_equal(ip.tos, 0xc0);
                assert_int_equal(ip.total_bytes, passing ? 576 : 20 + 8 + 20 + 40);
                assert_int_equal(icmp_parse(payload, payload_bytes, &icmp), 0);
                assert_int_equal(icmp.type, rows[i].type);
                assert_int_equal(icmp.code, code);
                assert_int_equal(icmp.rest, rows[i].rest);
                assert_memory_equal(payload + 8, datagram.packet, payload_bytes - 8);
                assert_int_equal(counter(rows[i].counter), before + 1);
                assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_MSGS), ++sent);
            }
        }
    }
    net_close();
}

/* RFC 1122, 3.2.2 and RFC 1812, 4.3.2.7: what no error is ever sent about. */
static void test_what_no_error_is_sent_about(void **state)
{
    static const struct {
        const char *name;
        uint32_t source, destination;
        uint8_t protocol, first_byte;
        bool to_group;
        uint16_t fragment_offset;
    } rows[] = {
        {"a limited broadcast", PEER_V4, 0xffffffff, 17, 0, false, 0},
        {"a network's broadcast", PEER_V4, 0x0a4d00ff, 17, 0, false, 0},
        {"a multicast", PEER_V4, 0xe0000005, 17, 0, false, 0},
        {"a class E address", PEER_V4, 0xf0000001, 17, 0, false, 0},
        {"a broadcast frame", PEER_V4, OUR_V4, 17, 0, true, 0},
        {"a later fragment", PEER_V4, OUR_V4, 17, 0, false, 8},
        {"from nobody", 0, OUR_V4, 17, 0, false, 0},
        {"from network 0", 0x00000005, OUR_V4, 17, 0, false, 0},
        {"from loopback", 0x7f000001, OUR_V4, 17, 0, false, 0},
        {"from a multicast group", 0xe0000005, OUR_V4, 17, 0, false, 0},
        {"from class E", 0xf0000001, OUR_V4, 17, 0, false, 0},
        {"from the limited broadcast", 0xffffffff, OUR_V4, 17, 0, false, 0},
        {"from our network's broadcast", 0x0a4d00ff, OUR_V4, 17, 0, false, 0},
        {"from ourselves", OUR_V4, OUR_V4, 17, 0, false, 0},
        {"unreachable", PEER_V4, OUR_V4, 1, ICMP_DESTINATION_UNREACHABLE, false, 0},
        {"source quench", PEER_V4, OUR_V4, 1, ICMP_SOURCE_QUENCH, false, 0},
        {"redirect", PEER_V4, OUR_V4, 1, ICMP_REDIRECT, false, 0},
        {"time exceeded", PEER_V4, OUR_V4, 1, ICMP_TIME_EXCEEDED, false, 0},
        {"parameter problem", PEER_V4, OUR_V4, 1, ICMP_PARAMETER_PROBLEM, false, 0},
    };
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ip_datagram datagram =
            make_datagram(rows[i].protocol, rows[i].source, rows[i].destination, 40);
        bytes[IP_PAYLOAD_OFFSET] = rows[i].first_byte;
        datagram.to_group = rows[i].to_group;
        datagram.header.fragment_offset = rows[i].fragment_offset;
        icmp_send_error(net, &datagram, ICMP_TIME_EXCEEDED, 0, 0, net_now);
        if (net_drain() != 0)
            fail_msg("answered: %s", rows[i].name);
    }
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_MSGS), 0);
    struct ip_datagram empty = make_datagram(IPV4_PROTOCOL_ICMP, PEER_V4, OUR_V4, 0);
    icmp_send_error(net, &empty, ICMP_TIME_EXCEEDED, 0, 0, net_now); /* no type: may be an error */
    assert_int_equal(net_drain(), 0);
    struct ip_datagram echo = make_datagram(IPV4_PROTOCOL_ICMP, PEER_V4, OUR_V4, 8);
    bytes[IP_PAYLOAD_OFFSET] = ICMP_ECHO_REQUEST;
    icmp_send_error(net, &echo, ICMP_TIME_EXCEEDED, 0, 0, net_now); /* but a request is one */
    assert_int_equal(net_drain(), 1);
    net_close();
}

static void host_10(struct stack_config *config)
{
    config->settings.icmp_error_rate_host = 10;
    config->settings.icmp_error_rate = 100;
}

/* Who asks for a thousand errors leaves some to the others. */
static void test_errors_are_limited_for_each_host(void **state)
{
    (void)state;
    net_open(host_10);
    for (uint32_t host = 0; host < 3; host++) {
        struct mac_address mac = {{2, 0, 0, 0, 1, (uint8_t)host}};
        give_arp(ARP_REQUEST, &mac, 0x0a4d0050 + host, &no_mac, OUR_V4);
        net_drain();
        unsigned sent = 0;
        for (int i = 0; i < 1000; i++) {
            struct ip_datagram datagram =
                make_datagram(IPV4_PROTOCOL_UDP, 0x0a4d0050 + host, OUR_V4, 8);
            icmp_send_error(net, &datagram, ICMP_TIME_EXCEEDED, 0, 0, net_now);
            sent += net_drain();
        }
        assert_int_equal(sent, 10);
    }
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_RATE_LIMIT_HOST), 3 * 990);
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_RATE_LIMIT_GLOBAL), 0);
    net_close();
}

/* ---- timestamps ---- */

static void utc_known(struct stack_config *config)
{
    /* net_now is 1 s: the day began 3,661.5 s before it */
    config->utc_offset_us = UINT64_C(20000) * 86400 * 1000000 + UINT64_C(3660500000);
}

static void give_timestamp(uint32_t destination, size_t body_bytes)
{
    uint8_t times[ICMP_TIMESTAMP_BYTES + 1] = {1, 2, 3, 4, 9, 9, 9, 9, 9, 9, 9, 9};
    net_give(bytes, make_icmp(bytes, ICMP_TIMESTAMP_REQUEST, 0, 0x00070003, times, body_bytes,
                              PEER_V4, destination));
}

static void expect_timestamp(uint32_t received)
{
    struct icmp_header icmp;
    give_timestamp(OUR_V4, ICMP_TIMESTAMP_BYTES);
    assert_true(net_pull());
    out_ip(&payload, &payload_bytes);
    assert_int_equal(icmp_parse(payload, payload_bytes, &icmp), 0);
    assert_int_equal(icmp.type, ICMP_TIMESTAMP_REPLY);
    assert_int_equal(icmp.rest, 0x00070003);
    assert_int_equal(payload_bytes, 20);
    assert_int_equal(bytes_get32(payload + 8), 0x01020304);
    assert_int_equal(bytes_get32(payload + 12), received);
    assert_int_equal(bytes_get32(payload + 16), received);
}

static void test_timestamps_tell_the_time_of_day(void **state)
{
    (void)state;
    net_open(utc_known);
    learn_peer();
    expect_timestamp(3661500);
    net_now += (UINT64_C(86400) - 3662) * 1000000;
    learn_peer();
    expect_timestamp(86399500);
    net_now += 500000; /* midnight */
    expect_timestamp(0);
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_TIMESTAMP_REPS), 3);
    net_close();
}

static void test_timestamps_of_a_clock_of_our_own(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    expect_timestamp(UINT32_C(0x80000000) | 1000);
    net_close();
}

static void test_timestamps_that_get_no_answer(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t size = 0; size < ICMP_TIMESTAMP_BYTES; size++)
        give_timestamp(OUR_V4, size);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_ERRORS), ICMP_TIMESTAMP_BYTES);
    give_timestamp(0x0a4d00ff, ICMP_TIMESTAMP_BYTES);
    stack_settings(net)->icmp_timestamp = 0;
    give_timestamp(OUR_V4, ICMP_TIMESTAMP_BYTES);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_IGNORED), 2);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_TIMESTAMPS), ICMP_TIMESTAMP_BYTES + 2);
    assert_int_equal(net_drain(), 0);
    net_close();
}

/* ---- settings of echo ---- */

static void test_echo_can_be_switched_off(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    stack_settings(net)->icmp_echo = 0;
    assert_int_equal(give_echo(PEER_V4, OUR_V4), -1);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_ECHOS), 1);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_IGNORED), 1);
    net_close();
}

static void test_echo_to_a_group_can_be_answered(void **state)
{
    static const uint32_t groups[] = {0xffffffff, 0x0a4d00ff, 0xe0000001};
    (void)state;
    net_open(NULL);
    learn_peer();
    stack_settings(net)->icmp_echo_broadcast = 1;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(give_echo(PEER_V4, groups[i]), 0);
        assert_true(net_pull());
        assert_int_equal(out_ip(&payload, &payload_bytes).source_v4, OUR_V4);
    }
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "", 0, PEER_V4, OUR_V4);
    memset(bytes, 0xff, 6); /* our address in a broadcast frame */
    assert_int_equal(net_give(bytes, size), -1);
    net_close();
}

/* Errors sent for so many datagrams that come at this instant. */
static unsigned errors_for(unsigned datagrams)
{
    unsigned errors = 0;
    for (unsigned i = 0; i < datagrams; i++) {
        net_give(bytes, make_udp(4, OUR_V4));
        errors += net_drain();
    }
    return errors;
}

static void rate_100(struct stack_config *config) { config->settings.icmp_error_rate = 100; }
static void rate_0(struct stack_config *config) { config->settings.icmp_error_rate = 0; }

static void test_errors_are_limited(void **state)
{
    (void)state;
    net_open(rate_100);
    learn_peer();
    unsigned first = errors_for(1000);
    assert_in_range(first, 60, 100);
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_RATE_LIMIT_GLOBAL) +
                         counter(STACK_COUNTER_ICMP_OUT_RATE_LIMIT_HOST),
                     1000 - first);
    assert_int_equal(errors_for(10), 0);
    net_now += 100000; /* a tenth of the second's worth comes back */
    assert_in_range(errors_for(100), 6, 10);
    net_now += UINT64_C(3600000000); /* never more than a second's */
    learn_peer();
    assert_in_range(errors_for(1000), 60, 100);
    net_close();
}

static void test_rate_0_sends_none(void **state)
{
    (void)state;
    net_open(rate_0);
    learn_peer();
    assert_int_equal(errors_for(10), 0);
    net_now += 10000000;
    assert_int_equal(errors_for(10), 0);
    assert_int_equal(counter(STACK_COUNTER_UDP_NO_PORTS), 20);
    net_close();
}

/* The Identification of what we send to one host tells nothing of what we send to others. */
static void test_identification_is_no_counter(void **state)
{
    uint16_t last = 0;
    unsigned near = 0;
    (void)state;
    net_open(NULL);
    learn_peer();
    for (int i = 0; i < 100; i++) {
        give_echo(PEER_V4, OUR_V4);
        assert_true(net_pull());
        uint16_t identification = out_ip(&payload, &payload_bytes).identification;
        near += (uint16_t)(identification - last) < 256;
        last = identification;
    }
    assert_in_range(near, 0, 5);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s23_echo_of_every_size),
        cmocka_unit_test(test_padding_is_not_echoed),
        cmocka_unit_test(test_ttl_follows_its_setting),
        cmocka_unit_test(test_diffserv_is_kept_without_ecn),
        cmocka_unit_test(test_echo_to_a_group_is_ignored),
        cmocka_unit_test(test_types_that_get_no_answer),
        cmocka_unit_test(test_malformed_messages),
        cmocka_unit_test(test_errors_with_a_cut_quote_are_dropped),
        cmocka_unit_test(test_errors_that_quote_nothing_of_ours),
        cmocka_unit_test(test_error_about_tcp_is_taken),
        cmocka_unit_test(test_s24_udp_without_a_socket_is_unreachable),
        cmocka_unit_test(test_udp_that_is_malformed),
        cmocka_unit_test(test_no_error_to_groups),
        cmocka_unit_test(test_s20_redirects_that_are_believed_and_not),
        cmocka_unit_test(test_s20_every_error_is_sent),
        cmocka_unit_test(test_what_no_error_is_sent_about),
        cmocka_unit_test(test_errors_are_limited_for_each_host),
        cmocka_unit_test(test_timestamps_tell_the_time_of_day),
        cmocka_unit_test(test_timestamps_of_a_clock_of_our_own),
        cmocka_unit_test(test_timestamps_that_get_no_answer),
        cmocka_unit_test(test_echo_can_be_switched_off),
        cmocka_unit_test(test_echo_to_a_group_can_be_answered),
        cmocka_unit_test(test_errors_are_limited),
        cmocka_unit_test(test_rate_0_sends_none),
        cmocka_unit_test(test_identification_is_no_counter),
    };
    return cmocka_run_group_tests_name("icmp", tests, NULL, NULL);
}

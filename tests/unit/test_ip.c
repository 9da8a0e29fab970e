/* IPv4: what comes in is checked in order, each refusal by its counter; what goes out is headed,
   summed or left to the device, and routed (stages S18, S19, S22 and S23). */
#include "net_harness.h"

#include "../../tapstack/core/state.h"
#include "../../tapstack/wire/tcp.h"

enum { PROTOCOL_UNKNOWN = 132, PAYLOAD_MAX = 3000 };

static uint8_t bytes[FRAME_BYTES_MAX];

/* What one input row does to a good echo request before it arrives. */
struct row {
    const char *name;
    void (*change)(uint8_t *frame, size_t *size);
    enum stack_counter counter;
};

#define IP(frame) ((frame) + ETHERNET_HEADER_BYTES)

static void set_source(uint8_t *f, uint32_t v4)
{
    bytes_put32(IP(f) + 12, v4);
    sum_ip_header(f);
}

static void set_destination(uint8_t *f, uint32_t v4)
{
    bytes_put32(IP(f) + 16, v4);
    sum_ip_header(f);
}

static void set_total(uint8_t *f, uint16_t total)
{
    bytes_put16(IP(f) + 2, total);
    sum_ip_header(f);
}

static void set_ihl(uint8_t *f, uint8_t words)
{
    IP(f)[0] = 0x40 | words;
    sum_ip_header(f);
}

static void set_fragment(uint8_t *f, uint16_t word)
{
    bytes_put16(IP(f) + 6, word);
    sum_ip_header(f);
}

/* clang-format off */
static void no_bytes(uint8_t *f, size_t *n) { (void)f; *n = ETHERNET_HEADER_BYTES; }
static void nineteen_bytes(uint8_t *f, size_t *n) { (void)f; *n = ETHERNET_HEADER_BYTES + 19; }
static void version_6(uint8_t *f, size_t *n) { (void)n; IP(f)[0] = 0x65; }
static void version_0(uint8_t *f, size_t *n) { (void)n; IP(f)[0] = 0x05; }
static void ihl_0(uint8_t *f, size_t *n) { (void)n; set_ihl(f, 0); }
static void ihl_4(uint8_t *f, size_t *n) { (void)n; set_ihl(f, 4); }
static void ihl_past_total(uint8_t *f, size_t *n) { (void)n; set_ihl(f, 6); set_total(f, 20); }
static void ihl_past_frame(uint8_t *f, size_t *n) { IP(f)[0] = 0x4f; *n = ETHERNET_HEADER_BYTES + 40; }
static void checksum_off(uint8_t *f, size_t *n) { (void)n; IP(f)[10] ^= 1; }
static void ttl_flipped(uint8_t *f, size_t *n) { (void)n; IP(f)[8] ^= 0x80; }
static void total_0(uint8_t *f, size_t *n) { (void)n; set_total(f, 0); }
static void total_19(uint8_t *f, size_t *n) { (void)n; set_total(f, 19); }
static void total_past_frame(uint8_t *f, size_t *n) { (void)n; set_total(f, 37); }
static void total_65535(uint8_t *f, size_t *n) { (void)n; set_total(f, 65535); }
static void from_zero(uint8_t *f, size_t *n) { (void)n; set_source(f, 0); }
static void from_zero_net(uint8_t *f, size_t *n) { (void)n; set_source(f, 5); }
static void from_loopback(uint8_t *f, size_t *n) { (void)n; set_source(f, 0x7f000001); }
static void from_multicast(uint8_t *f, size_t *n) { (void)n; set_source(f, 0xe0000001); }
static void from_class_e(uint8_t *f, size_t *n) { (void)n; set_source(f, 0xf0000001); }
static void from_broadcast(uint8_t *f, size_t *n) { (void)n; set_source(f, 0xffffffff); }
static void from_our_broadcast(uint8_t *f, size_t *n) { (void)n; set_source(f, 0x0a4d00ff); }
static void from_us(uint8_t *f, size_t *n) { (void)n; set_source(f, OUR_V4); }
static void to_another(uint8_t *f, size_t *n) { (void)n; set_destination(f, 0x0a4d0007); }
static void to_loopback(uint8_t *f, size_t *n) { (void)n; set_destination(f, 0x7f000001); }
static void to_zero(uint8_t *f, size_t *n) { (void)n; set_destination(f, 0); }
static void to_other_group(uint8_t *f, size_t *n) { (void)n; set_destination(f, 0xe0000005); }
static void last_fragment(uint8_t *f, size_t *n) { (void)n; set_fragment(f, 0x1fff); }

static const struct row refused[] = {
    {"no byte of a header", no_bytes, STACK_COUNTER_IP_IN_TRUNCATED},
    {"19 bytes", nineteen_bytes, STACK_COUNTER_IP_IN_TRUNCATED},
    {"version 6", version_6, STACK_COUNTER_IP_IN_BAD_VERSION},
    {"version 0", version_0, STACK_COUNTER_IP_IN_BAD_VERSION},
    {"header length 0", ihl_0, STACK_COUNTER_IP_IN_BAD_HEADER_LENGTH},
    {"header length 16", ihl_4, STACK_COUNTER_IP_IN_BAD_HEADER_LENGTH},
    {"header beyond the total length", ihl_past_total, STACK_COUNTER_IP_IN_BAD_TOTAL_LENGTH},
    {"header beyond the frame", ihl_past_frame, STACK_COUNTER_IP_IN_TRUNCATED},
    {"checksum flipped", checksum_off, STACK_COUNTER_IP_IN_CSUM_ERRORS},
    {"TTL flipped", ttl_flipped, STACK_COUNTER_IP_IN_CSUM_ERRORS},
    {"total length 0", total_0, STACK_COUNTER_IP_IN_BAD_TOTAL_LENGTH},
    {"total length 19", total_19, STACK_COUNTER_IP_IN_BAD_TOTAL_LENGTH},
    {"total length one beyond the frame", total_past_frame, STACK_COUNTER_IP_IN_TRUNCATED},
    {"total length 65535", total_65535, STACK_COUNTER_IP_IN_TRUNCATED},
    {"from 0.0.0.0", from_zero, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"from 0.0.0.5", from_zero_net, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"from loopback", from_loopback, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"from a multicast group", from_multicast, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"from 240/4", from_class_e, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"from the limited broadcast", from_broadcast, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"from our network's broadcast", from_our_broadcast, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"from ourselves (LAND)", from_us, STACK_COUNTER_IP_IN_MARTIAN_SOURCES},
    {"to another host", to_another, STACK_COUNTER_IP_IN_ADDR_ERRORS},
    {"to loopback", to_loopback, STACK_COUNTER_IP_IN_MARTIAN_DESTINATIONS},
    {"to 0.0.0.0", to_zero, STACK_COUNTER_IP_IN_MARTIAN_DESTINATIONS},
    {"to a group we are not in", to_other_group, STACK_COUNTER_IP_IN_NOT_JOINED},
    {"a fragment behind the end", last_fragment, STACK_COUNTER_IP_REASM_TOO_LONG},
};
/* clang-format on */

static void test_s19_each_refusal_has_its_counter(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "abcdefgh", 8, PEER_V4, OUR_V4);
        uint64_t before = counter(refused[i].counter);
        uint64_t dropped = counter(STACK_COUNTER_FRAMES_DROPPED);
        refused[i].change(bytes, &size);
        if (net_give(bytes, size) != -1 || counter(refused[i].counter) != before + 1 ||
            counter(STACK_COUNTER_FRAMES_DROPPED) != dropped + 1 || net_drain() != 0)
            fail_msg("not refused as it should be: %s", refused[i].name);
    }
    assert_int_equal(counter(STACK_COUNTER_IP_IN_RECEIVES), sizeof refused / sizeof refused[0]);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_DELIVERS), 0);
    assert_int_equal(give_echo(PEER_V4, OUR_V4), 0);
    assert_int_equal(net_drain(), 1);
    net_close();
}

static void test_a_drop_is_told_with_its_reason(void **state)
{
    struct stack_event event = {0};
    (void)state;
    net_open(NULL);
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "", 0, PEER_V4, OUR_V4);
    uint64_t cursor = stack_event_count(net);
    checksum_off(bytes, &size);
    net_give(bytes, size);
    assert_true(stack_next_event(net, &cursor, &event, NULL));
    assert_int_equal(event.kind, STACK_EVENT_DROP);
    assert_int_equal(event.argument[0], STACK_COUNTER_IP_IN_CSUM_ERRORS);
    assert_int_equal(event.argument[1], size - ETHERNET_HEADER_BYTES);
    assert_true(event.at_us == net_now);
    assert_false(stack_next_event(net, &cursor, &event, NULL));
    net_close();
}

/* Puts options between header and payload of an echo request. Returns the frame's size. */
static size_t make_echo_with_options(const uint8_t *options, size_t option_bytes)
{
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "abcdefgh", 8, PEER_V4, OUR_V4);
    memmove(bytes + IP_PAYLOAD_OFFSET + option_bytes, bytes + IP_PAYLOAD_OFFSET,
            size - IP_PAYLOAD_OFFSET);
    memcpy(bytes + IP_PAYLOAD_OFFSET, options, option_bytes);
    IP(bytes)[0] = (uint8_t)(0x45 + option_bytes / 4);
    set_total(bytes, (uint16_t)(size + option_bytes - ETHERNET_HEADER_BYTES));
    return size + option_bytes;
}

/* MUST-50: unknown options, and those that need nothing here, do not keep a datagram out. */
static void test_s19_options_that_are_passed_over(void **state)
{
    static const struct {
        const char *name;
        uint8_t options[40];
        size_t size;
    } rows[] = {
        {"no operation", {1, 1, 1, 1}, 4},
        {"security", {130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 12},
        {"stream identifier", {136, 4, 1, 2}, 4},
        {"unknown, of two bytes", {0x5e, 2, 1, 0}, 4},
        {"unknown, of 40 bytes", {0xde, 40}, 40},
        {"router alert", {148, 4, 0, 0}, 4},
        {"the end in the middle", {0, 131, 0, 255}, 4},
    };
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (net_give(bytes, make_echo_with_options(rows[i].options, rows[i].size)) != 0 ||
            net_drain() != 1)
            fail_msg("not answered: %s", rows[i].name);
    net_close();
}

/* Each is dropped for its reason and answered with a Parameter Problem that points at the octet. */
static void test_s19_malformed_options(void **state)
{
    static const struct {
        const char *name;
        uint8_t options[40];
        size_t size;
        uint8_t pointer;
    } rows[] = {
        {"length 0", {131, 0, 0, 0}, 4, 21},
        {"length 1", {68, 1, 0, 0}, 4, 21},
        {"unknown with length 0", {99, 0, 0, 0}, 4, 21},
        {"no room for a length", {1, 1, 1, 7}, 4, 23},
        {"length past the end", {7, 39, 4, 0}, 4, 21},
        {"length past the end, behind another", {1, 99, 7, 4}, 4, 22},
        {"record route, no pointer", {7, 2, 0, 0}, 4, 21},
        {"record route, not in fours", {7, 8, 4, 0, 0, 0, 0, 0}, 8, 21},
        {"record route, pointer 3", {7, 7, 3, 0, 0, 0, 0, 0}, 8, 22},
        {"record route, pointer between", {7, 7, 5, 0, 0, 0, 0, 0}, 8, 22},
        {"two record routes", {7, 3, 4, 7, 3, 4, 0, 0}, 8, 23},
        {"source route, pointer 0", {131, 7, 0, 0, 0, 0, 0, 0}, 8, 22},
        {"loose and strict", {131, 7, 4, 192, 0, 2, 1, 137, 7, 4, 192, 0, 2, 2, 0, 0}, 16, 27},
        {"timestamp of 3 bytes", {68, 3, 5, 0}, 4, 21},
        {"timestamp, pointer 4", {68, 8, 4, 0, 0, 0, 0, 0}, 8, 22},
        {"timestamp, pointer between", {68, 12, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 12, 22},
        {"timestamp, half an entry", {68, 8, 5, 1, 0, 0, 0, 0}, 8, 22},
        {"timestamp, flags 2", {68, 8, 5, 2, 0, 0, 0, 0}, 8, 23},
        {"timestamp, overflow runs over", {68, 8, 9, 0xf0, 0, 0, 0, 0}, 8, 23},
        {"two timestamps", {68, 4, 5, 0, 68, 4, 5, 0}, 8, 24},
        {"router alert of 3 bytes", {148, 3, 0, 0}, 4, 21},
    };
    const uint8_t *payload;
    size_t size;
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t sent = make_echo_with_options(rows[i].options, rows[i].size);
        if (net_give(bytes, sent) != -1 || counter(STACK_COUNTER_IP_IN_BAD_OPTIONS) != i + 1 ||
            !net_pull())
            fail_msg("not refused and answered: %s", rows[i].name);
        out_ip(&payload, &size);
        if (payload[0] != ICMP_PARAMETER_PROBLEM || payload[1] != 0 ||
            payload[4] != rows[i].pointer)
            fail_msg("%s: points at %u, not at %u", rows[i].name, payload[4], rows[i].pointer);
        assert_memory_equal(payload + ICMP_HEADER_BYTES, IP(bytes), sent - ETHERNET_HEADER_BYTES);
        assert_false(net_pull());
    }
    net_close();
}

static void test_s19_source_routes_are_refused(void **state)
{
    static const uint8_t loose[] = {131, 7, 4, 192, 0, 2, 1, 0};
    static const uint8_t strict[] = {137, 7, 8, 192, 0, 2, 1, 0};
    const uint8_t *payload;
    size_t size;
    (void)state;
    net_open(NULL);
    learn_peer();
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(net_give(bytes, make_echo_with_options(i ? strict : loose, 8)), -1);
        assert_int_equal(counter(STACK_COUNTER_IP_IN_SOURCE_ROUTED), i + 1);
        assert_true(net_pull());
        out_ip(&payload, &size);
        assert_int_equal(payload[0], ICMP_DESTINATION_UNREACHABLE);
        assert_int_equal(payload[1], ICMP_CODE_SOURCE_ROUTE_FAILED);
    }
    net_close();
}

static void test_s23_unknown_protocol_is_unreachable(void **state)
{
    const uint8_t *payload;
    size_t size;
    (void)state;
    net_open(NULL);
    learn_peer();
    for (unsigned protocol = 0; protocol < 256; protocol++) {
        if (protocol == IPV4_PROTOCOL_ICMP || protocol == IPV4_PROTOCOL_IGMP ||
            protocol == IPV4_PROTOCOL_TCP || protocol == IPV4_PROTOCOL_UDP)
            continue;
        size_t sent = head_datagram(bytes, (uint8_t)protocol, PEER_V4, OUR_V4, 30);
        assert_int_equal(net_give(bytes, sent), -1);
        assert_true(net_pull());
        assert_int_equal(out_ip(&payload, &size).protocol, IPV4_PROTOCOL_ICMP);
        assert_int_equal(payload[0], ICMP_DESTINATION_UNREACHABLE);
        assert_int_equal(payload[1], ICMP_CODE_PROTOCOL_UNREACHABLE);
        assert_memory_equal(payload + ICMP_HEADER_BYTES, IP(bytes), sent - ETHERNET_HEADER_BYTES);
        assert_false(net_pull());
    }
    assert_int_equal(counter(STACK_COUNTER_IP_IN_UNKNOWN_PROTOS), 252);
    net_close();
}

static void test_addresses(void **state)
{
    struct stack_interface_config point = {"p", {{2, 7}}, 1500, 0x0a580000, 31};
    uint32_t source;
    unsigned interface;
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_add_interface(net, &point, net_now), 1);
    assert_true(ip_is_local(net, OUR_V4));
    assert_true(ip_is_local(net, 0x0a580000));
    assert_false(ip_is_local(net, PEER_V4));
    assert_true(ip_is_broadcast(net, 0xffffffff));
    assert_true(ip_is_broadcast(net, 0x0a4d00ff));
    assert_false(ip_is_broadcast(net, 0x0a580001)); /* RFC 3021: none on a /31 */
    assert_int_equal(ip_choose_source(net, PEER_V4, &source, &interface), 0);
    assert_int_equal(source, OUR_V4);
    assert_int_equal(interface, 0);
    assert_int_equal(ip_choose_source(net, 0x0a580001, &source, &interface), 0);
    assert_int_equal(source, 0x0a580000);
    assert_int_equal(interface, 1);
    net_close();
}

static void test_destinations_without_a_way(void **state)
{
    static const uint32_t destinations[] = {
        0, OUR_V4, 0x7f000001, 0xe0000001, 0xffffffff, 0x0a4d00ff, 0xf0000001, 0xc0000201,
    };
    struct ip_send send = {OUR_V4, 0, IPV4_PROTOCOL_UDP, 64};
    uint32_t source;
    unsigned interface;
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof destinations / sizeof destinations[0]; i++) {
        struct frame frame = {.piece_count = 1, .piece = {{bytes, 100}}};
        send.destination_v4 = destinations[i];
        assert_int_equal(ip_choose_source(net, destinations[i], &source, &interface),
                         STACK_NO_ROUTE);
        assert_int_equal(ip_output(net, &frame, bytes, &send, net_now), -1);
    }
    assert_int_equal(counter(STACK_COUNTER_IP_OUT_NO_ROUTES),
                     sizeof destinations / sizeof destinations[0]);
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_gateway_is_asked_for(void **state)
{
    struct ip_send send = {OUR_V4, 0xc0000201, IPV4_PROTOCOL_UDP, 64};
    struct frame frame = {.piece_count = 1, .piece = {{bytes, 100}}};
    struct ethernet_header ethernet;
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_add_route(net, 0, 0, PEER_V4, 0), 0);
    assert_int_equal(ip_output(net, &frame, bytes, &send, net_now), 0);
    assert_true(net_pull());
    assert_int_equal(out_arp(&ethernet).target_v4, PEER_V4);
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    assert_true(net_pull());
    assert_memory_equal(out_bytes, peer_mac.octets, 6);
    assert_int_equal(bytes_get32(out_bytes + 30), 0xc0000201);
    net_close();
}

/* ---- TCP's checksum on the way out ---- */

/* Builds a segment of three pieces, sends it through ip_output, and leaves it whole in
   out_bytes. */
static void send_segment(size_t first, size_t second, uint16_t segment_bytes)
{
    static uint8_t head[IP_PAYLOAD_OFFSET + TCP_HEADER_BYTES];
    static uint8_t body[PAYLOAD_MAX];
    struct tcp_header tcp = {80, 40000, 1000, 2000, 500, .flags = TCP_ACK};
    struct ip_send send = {OUR_V4, PEER_V4, IPV4_PROTOCOL_TCP, 33, 0x10, true};
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7 + i / 256);
    memset(&out_frame, 0, sizeof out_frame);
    out_frame.segment_bytes = segment_bytes;
    out_frame.piece_count = 3;
    out_frame.piece[0] = (struct frame_piece){head, sizeof head};
    out_frame.piece[1] = (struct frame_piece){body, first};
    out_frame.piece[2] = (struct frame_piece){body + first, second};
    tcp_write(&tcp, head + IP_PAYLOAD_OFFSET);
    assert_int_equal(ip_output(net, &out_frame, head, &send, net_now), 1);
    out_size = frame_size(&out_frame);
    frame_copy(&out_frame, out_bytes);
}

static void test_checksum_in_software_over_odd_pieces(void **state)
{
    static const size_t sizes[][2] = {{0, 0}, {1, 0},   {0, 1},   {1, 1},      {3, 5},
                                      {7, 8}, {100, 1}, {733, 1}, {1459, 1460}};
    struct ip_address us = ip_address_from_v4(OUR_V4), peer = ip_address_from_v4(PEER_V4);
    const uint8_t *payload;
    size_t size;
    (void)state;
    net_open(NULL);
    net->interface[0].mtu_bytes = 9000;
    learn_peer();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        send_segment(sizes[i][0], sizes[i][1], 0);
        struct ipv4_header ip = out_ip(&payload, &size);
        assert_int_equal(size, TCP_HEADER_BYTES + sizes[i][0] + sizes[i][1]);
        assert_int_equal(tcp_verify(payload, size, &us, &peer), 0);
        assert_int_equal(out_frame.flags, 0);
        assert_int_equal(ip.ttl, 33);
        assert_int_equal(ip.tos, 0x10);
        assert_true(ip.dont_fragment);
        assert_int_equal(ip.identification, 0);
        assert_memory_equal(out_bytes, peer_mac.octets, 6);
    }
    net_close();
}

/* What the device would make of a partial checksum is the right one. */
static void expect_partial(void)
{
    struct ip_address us = ip_address_from_v4(OUR_V4), peer = ip_address_from_v4(PEER_V4);
    const uint8_t *payload;
    size_t size;
    assert_int_equal(out_frame.flags, FRAME_CHECKSUM_PARTIAL);
    assert_int_equal(out_frame.checksum_start, 34);
    assert_int_equal(out_frame.checksum_offset, 16);
    uint8_t *start = out_bytes + out_frame.checksum_start;
    bytes_put16(start + out_frame.checksum_offset,
                checksum_finish(checksum_add(0, start, out_size - 34)));
    out_ip(&payload, &size);
    assert_int_equal(tcp_verify(payload, size, &us, &peer), 0);
}

static void test_checksum_is_left_to_the_device(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    send_segment(1000, 1461, 1460); /* a super-frame always */
    expect_partial();
    net->interface[0].checksum_offload = true;
    send_segment(100, 11, 0);
    expect_partial();
    net_close();
}

static void test_more_than_65535_bytes_are_refused(void **state)
{
    static uint8_t huge[ETHERNET_HEADER_BYTES + 65536];
    struct ip_send send = {OUR_V4, PEER_V4, IPV4_PROTOCOL_UDP, 64};
    struct frame frame = {.piece_count = 1, .piece = {{huge, sizeof huge}}};
    (void)state;
    net_open(NULL);
    learn_peer();
    assert_int_equal(ip_output(net, &frame, huge, &send, net_now), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_OUT_DISCARDS), 1);
    frame.piece[0].size--;
    assert_int_equal(ip_output(net, &frame, huge, &send, net_now), 0);
    assert_int_equal(net_drain(), 45); /* fragments */
    net_close();
}

/* What the link can't take in one piece leaves in several, but not against its will. */
static void test_s22_more_than_the_mtu_is_fragmented(void **state)
{
    static uint8_t large[ETHERNET_HEADER_BYTES + 1501];
    struct ip_send send = {OUR_V4, PEER_V4, IPV4_PROTOCOL_UDP, 64};
    struct frame frame = {.piece_count = 1, .piece = {{large, sizeof large}}};
    (void)state;
    net_open(NULL);
    learn_peer();
    assert_int_equal(ip_output(net, &frame, large, &send, net_now), 0);
    assert_int_equal(net_drain(), 2);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_OKS), 1);
    send.dont_fragment = true;
    assert_int_equal(ip_output(net, &frame, large, &send, net_now), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_FAILS), 1);
    frame.piece[0].size--;
    assert_int_equal(ip_output(net, &frame, large, &send, net_now), 1);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_CREATES), 2);
    net_close();
}

/* A frame that waits for its neighbor keeps what was left to the device. */
static void test_waiting_frame_keeps_its_offload_fields(void **state)
{
    static uint8_t head[IP_PAYLOAD_OFFSET + TCP_HEADER_BYTES];
    struct tcp_header tcp = {80, 40000, .flags = TCP_SYN};
    struct ip_send send = {OUR_V4, PEER_V4, IPV4_PROTOCOL_TCP, 64, .dont_fragment = true};
    struct frame frame = {.piece_count = 1, .piece = {{head, sizeof head}}};
    (void)state;
    net_open(NULL);
    net->interface[0].checksum_offload = true;
    tcp_write(&tcp, head + IP_PAYLOAD_OFFSET);
    assert_int_equal(ip_output(net, &frame, head, &send, net_now), 0);
    net_drain();
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    assert_true(net_pull());
    assert_memory_equal(out_bytes, peer_mac.octets, 6);
    expect_partial();
    net_close();
}

/* 200,000 random and mutated frames: nothing but what the sanitizer would say. */
static void test_random_frames(void **state)
{
    (void)state;
    srand(3);
    net_open(NULL);
    learn_peer();
    for (int i = 0; i < 200000; i++) {
        uint8_t options[8] = {7, 7, 4};
        size_t size = i % 2 ? make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, options, 8, PEER_V4, OUR_V4)
                            : make_echo_with_options(options, 8);
        for (int flips = rand() % 4; flips > 0; flips--)
            bytes[12 + (size_t)rand() % (size - 12)] ^= (uint8_t)(1 << rand() % 8);
        if (rand() % 2)
            sum_ip_header(bytes);
        net_give_flags(bytes, rand() % 3 ? size : (size_t)rand() % (size + 1),
                       (uint8_t)(rand() % 4));
        net_drain();
        net_now += 100;
    }
    learn_peer(); /* nobody has answered its probes meanwhile */
    assert_int_equal(give_echo(PEER_V4, OUR_V4), 0);
    assert_int_equal(net_drain(), 1);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s19_each_refusal_has_its_counter),
        cmocka_unit_test(test_a_drop_is_told_with_its_reason),
        cmocka_unit_test(test_s19_options_that_are_passed_over),
        cmocka_unit_test(test_s19_malformed_options),
        cmocka_unit_test(test_s19_source_routes_are_refused),
        cmocka_unit_test(test_s23_unknown_protocol_is_unreachable),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_destinations_without_a_way),
        cmocka_unit_test(test_gateway_is_asked_for),
        cmocka_unit_test(test_checksum_in_software_over_odd_pieces),
        cmocka_unit_test(test_checksum_is_left_to_the_device),
        cmocka_unit_test(test_more_than_65535_bytes_are_refused),
        cmocka_unit_test(test_s22_more_than_the_mtu_is_fragmented),
        cmocka_unit_test(test_waiting_frame_keeps_its_offload_fields),
        cmocka_unit_test(test_random_frames),
    };
    return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}

/* Frames: copied, completed and cut, each result held against sums and headers worked out here. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/frame.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"
#include "../../tapstack/wire/udp.h"

enum { SOURCE = 0x0a4d0002, DESTINATION = 0x0a4d0001, FIRST_SEQUENCE = (int)0xfffffe00 };

static uint8_t payload[65536];
static uint8_t wire[FRAME_BYTES_MAX];

/* A TCP frame with its headers in frame->header: payload_bytes in two pieces, cut at wrap, its
   checksum left to the device. */
static void make_frame(struct frame *frame, size_t payload_bytes, size_t wrap,
                       uint16_t segment_bytes, unsigned flags, bool tagged)
{
    struct ethernet_header ethernet = {{{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}, ETHERTYPE_IPV4};
    struct tcp_header tcp = {
        .source_port = 80,
        .destination_port = 40000,
        .sequence = (uint32_t)FIRST_SEQUENCE,
        .acknowledgment = 77,
        .window = 1000,
        .flags = (uint8_t)flags,
        .options_present = TCP_OPTION_TIMESTAMPS,
    };
    struct ip_address source = ip_address_from_v4(SOURCE);
    struct ip_address destination = ip_address_from_v4(DESTINATION);
    *frame = (struct frame){.flags = FRAME_CHECKSUM_PARTIAL, .checksum_offset = 16};
    size_t ip_at = ethernet_write(&ethernet, frame->header);
    if (tagged) {
        bytes_put16(frame->header + 12, ETHERTYPE_VLAN);
        bytes_put16(frame->header + 14, 5);
        bytes_put16(frame->header + 16, ETHERTYPE_IPV4);
        ip_at += 4;
    }
    size_t tcp_at = ip_at + IPV4_HEADER_BYTES;
    size_t tcp_bytes = tcp_write(&tcp, frame->header + tcp_at) + payload_bytes;
    struct ipv4_header ip = {
        .ttl = 64,
        .protocol = IPV4_PROTOCOL_TCP,
        .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + tcp_bytes),
        .identification = 0xfffe,
        .dont_fragment = true,
        .source_v4 = SOURCE,
        .destination_v4 = DESTINATION,
    };
    ipv4_write(&ip, frame->header + ip_at);
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, 6, tcp_bytes);
    bytes_put16(frame->header + tcp_at + 16, checksum_fold(sum));
    frame->checksum_start = (uint16_t)tcp_at;
    frame->segment_bytes = segment_bytes;
    frame->header_bytes = segment_bytes ? (uint16_t)(tcp_at + tcp.header_bytes) : 0;
    frame->piece_count = 3;
    frame->piece[0] = (struct frame_piece){frame->header, tcp_at + tcp.header_bytes};
    frame->piece[1] = (struct frame_piece){payload, wrap};
    frame->piece[2] = (struct frame_piece){payload + wrap, payload_bytes - wrap};
}

/* Checks one frame on the wire that carries payload_bytes from offset on. */
static void check_segment(size_t size, size_t ip_at, size_t offset, size_t payload_bytes,
                          unsigned segment, unsigned flags)
{
    struct ipv4_header ip;
    struct tcp_header tcp;
    struct ip_address source = ip_address_from_v4(SOURCE);
    struct ip_address destination = ip_address_from_v4(DESTINATION);
    assert_int_equal(ipv4_parse(wire + ip_at, size - ip_at, &ip), 0);
    assert_int_equal(ip.total_bytes, size - ip_at);
    assert_int_equal(ip.identification, (uint16_t)(0xfffe + segment));
    assert_true(ip.dont_fragment);
    const uint8_t *bytes = wire + ip_at + IPV4_HEADER_BYTES;
    size_t tcp_bytes = size - ip_at - IPV4_HEADER_BYTES;
    assert_int_equal(tcp_verify(bytes, tcp_bytes, &source, &destination), 0);
    assert_int_equal(tcp_parse(bytes, tcp_bytes, &tcp), 0);
    assert_int_equal(tcp.header_bytes, 32);
    assert_int_equal(tcp.sequence, (uint32_t)FIRST_SEQUENCE + (uint32_t)offset);
    assert_int_equal(tcp.acknowledgment, 77);
    assert_int_equal(tcp.window, 1000);
    assert_int_equal(tcp.flags, flags);
    assert_int_equal(tcp_bytes - tcp.header_bytes, payload_bytes);
    assert_memory_equal(bytes + tcp.header_bytes, payload + offset, payload_bytes);
}

static void super_frames_are_cut(void **state)
{
    static const struct {
        size_t bytes, wrap;
        uint16_t segment;
        unsigned segments;
        bool tagged;
    } cases[] = {
        {3500, 0, 1000, 4, false},   {3500, 3500, 1000, 4, false},    {3500, 1, 1000, 4, false},
        {3500, 1001, 1000, 4, true}, {4000, 1999, 1000, 4, false},    {1447, 701, 1448, 1, false},
        {1448, 700, 1448, 1, false}, {1449, 1448, 1448, 2, true},     {7, 3, 1, 7, false},
        {999, 500, 333, 3, false},   {65463, 30001, 1447, 46, false},
    };
    const unsigned flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR | TCP_ECE;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame frame;
        struct frame_splitter splitter;
        size_t ip_at = cases[i].tagged ? 18 : 14, offset = 0;
        make_frame(&frame, cases[i].bytes, cases[i].wrap, cases[i].segment, flags, cases[i].tagged);
        frame_split_start(&splitter, &frame);
        for (unsigned n = 0; n < cases[i].segments; n++) {
            bool last = n + 1 == cases[i].segments;
            size_t expected = last ? cases[i].bytes - offset : cases[i].segment;
            unsigned expected_flags =
                TCP_ACK | TCP_ECE | (n == 0 ? TCP_CWR : 0U) | (last ? TCP_PSH | TCP_FIN : 0U);
            size_t size = frame_split_next(&splitter, wire, sizeof wire);
            assert_int_equal(size, ip_at + 52 + expected);
            check_segment(size, ip_at, offset, expected, n, expected_flags);
            offset += expected;
        }
        assert_int_equal(frame_split_next(&splitter, wire, sizeof wire), 0);
        assert_int_equal(frame_split_next(&splitter, wire, sizeof wire), 0);
    }
}

/* As a device that merges segments delivers it: all in one piece. */
static void super_frame_in_one_piece(void **state)
{
    static uint8_t flat[FRAME_BYTES_MAX];
    struct frame frame;
    struct frame_splitter splitter;
    (void)state;
    make_frame(&frame, 2500, 100, 1000, TCP_ACK, false);
    size_t size = frame_copy(&frame, flat);
    assert_int_equal(size, frame_size(&frame));
    frame.piece_count = 1;
    frame.piece[0] = (struct frame_piece){flat, size};
    frame_split_start(&splitter, &frame);
    for (unsigned n = 0; n < 3; n++) {
        size = frame_split_next(&splitter, wire, sizeof wire);
        check_segment(size, 14, n * 1000, n < 2 ? 1000 : 500, n, TCP_ACK);
    }
    assert_int_equal(frame_split_next(&splitter, wire, sizeof wire), 0);
}

static void plain_frame_comes_once_and_complete(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 20; bytes++) {
        struct frame frame;
        struct frame_splitter splitter;
        make_frame(&frame, bytes, bytes / 2, 0, TCP_ACK | TCP_PSH, false);
        frame_split_start(&splitter, &frame);
        size_t size = frame_split_next(&splitter, wire, sizeof wire);
        check_segment(size, 14, 0, bytes, 0, TCP_ACK | TCP_PSH);
        assert_int_equal(frame_split_next(&splitter, wire, sizeof wire), 0);
    }
}

static void finished_frame_is_not_touched(void **state)
{
    struct frame frame;
    struct frame_splitter splitter;
    uint8_t copy[200];
    (void)state;
    make_frame(&frame, 100, 33, 0, TCP_ACK, false);
    frame.flags = 0;
    size_t size = frame_copy(&frame, copy);
    assert_int_equal(size, 14 + 52 + 100);
    assert_memory_equal(copy + 66, payload, 100);
    frame_split_start(&splitter, &frame);
    assert_int_equal(frame_split_next(&splitter, wire, sizeof wire), size);
    assert_memory_equal(wire, copy, size);
}

/* A UDP sum of zero is written as ffff: zero would say that there is none (RFC 768). */
static void partial_udp_sum_never_becomes_zero(void **state)
{
    struct ip_address source = ip_address_from_v4(SOURCE);
    struct ip_address destination = ip_address_from_v4(DESTINATION);
    uint8_t bytes[34 + 10] = {[34 + 5] = 10};
    struct frame frame = {.flags = FRAME_CHECKSUM_PARTIAL,
                          .checksum_start = 34,
                          .checksum_offset = 6,
                          .piece_count = 1,
                          .piece = {{bytes, sizeof bytes}}};
    struct frame_splitter splitter;
    (void)state;
    uint32_t pseudo = checksum_add_pseudo(0, &source, &destination, IPV4_PROTOCOL_UDP, 10);
    bytes_put16(bytes + 34 + 6, checksum_fold(pseudo));
    uint16_t rest = checksum_finish(checksum_add(0, bytes + 34, 10));
    bytes_put16(bytes + 34 + 8, rest); /* makes the sum ffff, its complement zero */
    frame_split_start(&splitter, &frame);
    frame_split_next(&splitter, wire, sizeof wire);
    struct udp_header header;
    assert_int_equal(bytes_get16(wire + 34 + 6), 0xffff);
    assert_int_equal(udp_parse(wire + 34, 10, &header), 0);
    assert_int_equal(udp_verify(wire + 34, &header, &source, &destination), 0);
}

static void capacity_is_kept(void **state)
{
    struct frame frame;
    struct frame_splitter splitter;
    (void)state;
    make_frame(&frame, 2500, 100, 1000, TCP_ACK, false);
    frame_split_start(&splitter, &frame);
    assert_int_equal(frame_split_next(&splitter, wire, 1065), 0);
    assert_int_equal(frame_split_next(&splitter, wire, 1066), 1066);
    make_frame(&frame, 100, 0, 0, TCP_ACK, false);
    frame_split_start(&splitter, &frame);
    assert_int_equal(frame_split_next(&splitter, wire, 165), 0);
    assert_int_equal(frame_split_next(&splitter, wire, 166), 166);
}

/* What a peer on this machine may say about its frame cannot lead outside of it. */
static void lies_about_offload_come_out_plain(void **state)
{
    static const struct {
        const char *what;
        uint16_t header_bytes, checksum_start, checksum_offset;
        uint8_t at, value; /* a byte of the header that is changed */
    } cases[] = {
        {"no header", 0, 34, 16, 0, 2},
        {"header of 53", 53, 34, 16, 0, 2},
        {"header longer than its lengths", 67, 34, 16, 0, 2},
        {"header longer than the store", 65535, 34, 16, 0, 2},
        {"not IPv4", 66, 34, 16, 13, 0xdd},
        {"version 6", 66, 34, 16, 14, 0x65},
        {"IHL 4", 66, 34, 16, 14, 0x44},
        {"IHL 15", 66, 34, 16, 14, 0x4f},
        {"not TCP", 66, 34, 16, 23, 17},
        {"data offset 4", 66, 34, 16, 46, 0x40},
        {"data offset 15", 66, 34, 16, 46, 0xf0},
        {"checksum start behind the frame", 0, 65535, 16, 0, 2},
        {"checksum field behind the frame", 0, 34, 65535, 0, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame frame;
        struct frame_splitter splitter;
        make_frame(&frame, 2500, 100, 1000, TCP_ACK, false);
        frame.header_bytes = cases[i].header_bytes;
        frame.checksum_start = cases[i].checksum_start;
        frame.checksum_offset = cases[i].checksum_offset;
        frame.header[cases[i].at] = cases[i].value;
        frame_split_start(&splitter, &frame);
        if (frame_split_next(&splitter, wire, sizeof wire) != frame_size(&frame) ||
            frame_split_next(&splitter, wire, sizeof wire) != 0)
            fail_msg("%s", cases[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(super_frames_are_cut),
        cmocka_unit_test(super_frame_in_one_piece),
        cmocka_unit_test(plain_frame_comes_once_and_complete),
        cmocka_unit_test(finished_frame_is_not_touched),
        cmocka_unit_test(partial_udp_sum_never_becomes_zero),
        cmocka_unit_test(capacity_is_kept),
        cmocka_unit_test(lies_about_offload_come_out_plain),
    };
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 31 + i / 256 * 7);
    return cmocka_run_group_tests_name("wire frame", tests, NULL, NULL);
}

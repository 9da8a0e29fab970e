/* Ethernet, ARP, IPv4, ICMP and UDP: what is written is read back, and lies about lengths, versions
   and sums are named. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/udp.h"

/* ---- Ethernet ---- */

static void ethernet_both_ways(void **state)
{
    static const uint8_t expected[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6};
    struct ethernet_header header = {{{2, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 1}}, ETHERTYPE_ARP};
    struct ethernet_header read;
    uint8_t bytes[ETHERNET_HEADER_BYTES];
    (void)state;
    assert_int_equal(ethernet_write(&header, bytes), sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(ethernet_parse(bytes, sizeof bytes, &read), 0);
    assert_true(mac_address_equal(&read.destination, &header.destination));
    assert_true(mac_address_equal(&read.source, &header.source));
    assert_int_equal(read.type, ETHERTYPE_ARP);
    for (size_t size = 0; size < ETHERNET_HEADER_BYTES; size++)
        assert_int_equal(ethernet_parse(bytes, size, &read), -1);
}

/* ---- ARP ---- */

static const uint8_t arp_request[ARP_BYTES] = {0,  1,  8, 0, 6, 4, 0, 1, 2, 0, 0,  0,  0, 1,
                                               10, 77, 0, 1, 0, 0, 0, 0, 0, 0, 10, 77, 0, 2};

static void arp_both_ways(void **state)
{
    struct arp_packet packet;
    uint8_t bytes[ARP_BYTES];
    (void)state;
    assert_int_equal(arp_parse(arp_request, sizeof arp_request, &packet), 0);
    assert_int_equal(packet.operation, ARP_REQUEST);
    assert_int_equal(packet.sender_v4, 0x0a4d0001);
    assert_int_equal(packet.target_v4, 0x0a4d0002);
    assert_memory_equal(packet.sender_mac.octets, "\x02\0\0\0\0\x01", 6);
    assert_int_equal(arp_write(&packet, bytes), ARP_BYTES);
    assert_memory_equal(bytes, arp_request, ARP_BYTES);
}

static void arp_refuses(void **state)
{
    static const struct {
        const char *what;
        size_t at; /* the byte that is changed */
        uint8_t value;
        int error;
    } cases[] = {
        {"hardware type", 1, 6, ARP_BAD_FORMAT},     {"protocol type", 2, 0x86, ARP_BAD_FORMAT},
        {"hardware length 0", 4, 0, ARP_BAD_FORMAT}, {"hardware length 8", 4, 8, ARP_BAD_FORMAT},
        {"protocol length 0", 5, 0, ARP_BAD_FORMAT}, {"protocol length 16", 5, 16, ARP_BAD_FORMAT},
        {"operation 0", 7, 0, ARP_BAD_OPERATION},    {"reverse request", 7, 3, ARP_BAD_OPERATION},
        {"reverse reply", 7, 4, ARP_BAD_OPERATION},  {"operation 9", 7, 9, ARP_BAD_OPERATION},
        {"operation 257", 6, 1, ARP_BAD_OPERATION},
    };
    struct arp_packet packet;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[ARP_BYTES];
        memcpy(bytes, arp_request, sizeof bytes);
        bytes[cases[i].at] = cases[i].value;
        if (arp_parse(bytes, sizeof bytes, &packet) != cases[i].error)
            fail_msg("%s", cases[i].what);
    }
    for (size_t size = 0; size < ARP_BYTES; size++)
        assert_int_equal(arp_parse(arp_request, size, &packet), ARP_TRUNCATED);
}

/* ---- IPv4 ---- */

static const struct ipv4_header datagram = {
    .header_bytes = 20,
    .tos = 0x12,
    .ttl = 64,
    .protocol = IPV4_PROTOCOL_TCP,
    .total_bytes = 40,
    .identification = 0xabcd,
    .dont_fragment = true,
    .source_v4 = 0x0a4d0001,
    .destination_v4 = 0x0a4d0002,
};

static void ipv4_both_ways(void **state)
{
    struct ipv4_header read;
    uint8_t bytes[40] = {0};
    (void)state;
    assert_int_equal(ipv4_write(&datagram, bytes), IPV4_HEADER_BYTES);
    assert_memory_equal(bytes, "\x45\x12\x00\x28\xab\xcd\x40\x00\x40\x06", 10);
    assert_memory_equal(bytes + 12, "\x0a\x4d\0\x01\x0a\x4d\0\x02", 8);
    assert_int_equal(ipv4_parse(bytes, sizeof bytes, &read), 0);
    assert_int_equal(read.header_bytes, 20);
    assert_int_equal(read.tos, 0x12);
    assert_int_equal(read.ttl, 64);
    assert_int_equal(read.protocol, IPV4_PROTOCOL_TCP);
    assert_int_equal(read.total_bytes, 40);
    assert_int_equal(read.identification, 0xabcd);
    assert_int_equal(read.fragment_offset, 0);
    assert_true(read.dont_fragment);
    assert_false(read.more_fragments);
    assert_int_equal(read.source_v4, 0x0a4d0001);
    assert_int_equal(read.destination_v4, 0x0a4d0002);
}

static void ipv4_fragments_both_ways(void **state)
{
    struct ipv4_header header = datagram, read;
    uint8_t bytes[40] = {0};
    (void)state;
    header.dont_fragment = false;
    header.more_fragments = true;
    header.fragment_offset = 65528;
    ipv4_write(&header, bytes);
    assert_memory_equal(bytes + 6, "\x3f\xff", 2);
    assert_int_equal(ipv4_parse(bytes, sizeof bytes, &read), 0);
    assert_int_equal(read.fragment_offset, 65528);
    assert_true(read.more_fragments);
    assert_false(read.dont_fragment);
}

/* Bytes of a datagram whose header says what the case says, with a right checksum, in a block of
   exactly size bytes, so that the sanitizers see a read beyond it. */
static uint8_t *make_datagram(unsigned version, unsigned ihl, unsigned total, size_t size)
{
    uint8_t header[60] = {0};
    uint8_t *bytes = calloc(1, size + (size == 0));
    assert_non_null(bytes);
    ipv4_write(&datagram, header);
    header[0] = (uint8_t)(version << 4 | ihl);
    header[2] = (uint8_t)(total >> 8);
    header[3] = (uint8_t)total;
    header[10] = header[11] = 0;
    uint16_t sum = checksum_finish(checksum_add(0, header, ihl * 4));
    header[10] = (uint8_t)(sum >> 8);
    header[11] = (uint8_t)sum;
    memcpy(bytes, header, size < 60 ? size : 60);
    return bytes;
}

static void ipv4_length_lies(void **state)
{
    static const struct {
        const char *what;
        unsigned version, ihl, total;
        size_t size;
        int result;
    } cases[] = {
        {"as it should be", 4, 5, 40, 40, 0},
        {"padding behind the datagram", 4, 5, 40, 46, 0},
        {"options", 4, 15, 60, 60, 0},
        {"header alone", 4, 5, 20, 20, 0},
        {"total = IHL * 4 with options", 4, 6, 24, 24, 0},
        {"version 6", 6, 5, 40, 40, IPV4_BAD_VERSION},
        {"version 0", 0, 5, 40, 40, IPV4_BAD_VERSION},
        {"IHL 0", 4, 0, 40, 40, IPV4_BAD_HEADER_LENGTH},
        {"IHL 1", 4, 1, 40, 40, IPV4_BAD_HEADER_LENGTH},
        {"IHL 4", 4, 4, 40, 40, IPV4_BAD_HEADER_LENGTH},
        {"IHL past the frame", 4, 15, 40, 40, IPV4_TRUNCATED},
        {"IHL past the total length", 4, 15, 40, 60, IPV4_BAD_TOTAL_LENGTH},
        {"total below the header", 4, 5, 19, 40, IPV4_BAD_TOTAL_LENGTH},
        {"total 0", 4, 5, 0, 40, IPV4_BAD_TOTAL_LENGTH},
        {"total past the frame", 4, 5, 41, 40, IPV4_TRUNCATED},
        {"total 65535", 4, 5, 65535, 40, IPV4_TRUNCATED},
        {"frame of 0", 4, 5, 40, 0, IPV4_TRUNCATED},
        {"frame of 1", 4, 5, 40, 1, IPV4_TRUNCATED},
        {"frame of 19", 4, 5, 40, 19, IPV4_TRUNCATED},
        {"frame of 20", 4, 5, 40, 20, IPV4_TRUNCATED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ipv4_header header;
        uint8_t *bytes =
            make_datagram(cases[i].version, cases[i].ihl, cases[i].total, cases[i].size);
        int result = ipv4_parse(bytes, cases[i].size, &header);
        free(bytes);
        if (result != cases[i].result)
            fail_msg("%s: %d", cases[i].what, result);
    }
}

static void ipv4_finds_every_flipped_bit(void **state)
{
    struct ipv4_header header;
    uint8_t bytes[40] = {0};
    (void)state;
    ipv4_write(&datagram, bytes);
    for (int bit = 8; bit < 20 * 8; bit++) { /* the first byte is version and length */
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(ipv4_parse(bytes, sizeof bytes, &header), IPV4_BAD_CHECKSUM);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* ---- ICMP ---- */

static void icmp_both_ways(void **state)
{
    struct icmp_header header = {ICMP_ECHO_REQUEST, 0, 0x12345678}, read;
    (void)state;
    for (size_t body = 0; body <= 9; body++) {
        uint8_t bytes[ICMP_HEADER_BYTES + 9];
        memcpy(bytes + ICMP_HEADER_BYTES, "a message", 9);
        assert_int_equal(icmp_write(&header, bytes, body), ICMP_HEADER_BYTES);
        assert_int_equal(icmp_parse(bytes, ICMP_HEADER_BYTES + body, &read), 0);
        assert_int_equal(read.type, ICMP_ECHO_REQUEST);
        assert_int_equal(read.code, 0);
        assert_int_equal(read.rest, 0x12345678);
        bytes[ICMP_HEADER_BYTES + body - 1] ^= 0x10;
        assert_int_equal(icmp_parse(bytes, ICMP_HEADER_BYTES + body, &read), ICMP_BAD_CHECKSUM);
    }
}

static void icmp_refuses_short_messages(void **state)
{
    static const uint8_t bytes[ICMP_HEADER_BYTES] = {8};
    struct icmp_header header;
    (void)state;
    for (size_t size = 0; size < sizeof bytes; size++)
        assert_int_equal(icmp_parse(bytes, size, &header), ICMP_TRUNCATED);
}

static void icmp_errors_are_known(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        int is_error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
        assert_int_equal(icmp_type_is_error((uint8_t)type), is_error);
    }
}

/* ---- UDP ---- */

static void udp_length_lies(void **state)
{
    static const struct {
        unsigned length;
        size_t size;
        int result;
    } cases[] = {
        {8, 8, 0},
        {12, 12, 0},
        {8, 12, 0}, /* bytes behind the message are not its own */
        {13, 12, UDP_BAD_LENGTH},
        {65535, 12, UDP_BAD_LENGTH},
        {7, 12, UDP_BAD_LENGTH},
        {0, 12, UDP_BAD_LENGTH},
        {8, 7, UDP_TRUNCATED},
        {8, 0, UDP_TRUNCATED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[12] = {0x12, 0x34, 0, 53};
        struct udp_header header;
        bytes[4] = (uint8_t)(cases[i].length >> 8);
        bytes[5] = (uint8_t)cases[i].length;
        assert_int_equal(udp_parse(bytes, cases[i].size, &header), cases[i].result);
        if (cases[i].result == 0) {
            assert_int_equal(header.source_port, 0x1234);
            assert_int_equal(header.destination_port, 53);
            assert_int_equal(header.length, cases[i].length);
        }
    }
}

static void udp_checksum_is_checked(void **state)
{
    uint8_t bytes[11] = {0x12, 0x34, 0, 53, 0, 11, 0, 0, 'a', 'b', 'c'};
    struct ip_address source = ip_address_from_v4(0x0a4d0001);
    struct ip_address destination = ip_address_from_v4(0x0a4d0002);
    struct udp_header header;
    (void)state;
    assert_int_equal(udp_parse(bytes, sizeof bytes, &header), 0);
    assert_int_equal(udp_verify(bytes, &header, &source, &destination), 0); /* no checksum */
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, IPV4_PROTOCOL_UDP, 11);
    bytes_put16(bytes + 6, checksum_finish(checksum_add(sum, bytes, sizeof bytes)));
    assert_int_equal(udp_verify(bytes, &header, &source, &destination), 0);
    bytes[10] ^= 1;
    assert_int_equal(udp_verify(bytes, &header, &source, &destination), UDP_BAD_CHECKSUM);
    bytes[10] ^= 1;
    assert_int_equal(udp_verify(bytes, &header, &source, &source), UDP_BAD_CHECKSUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ethernet_both_ways),
        cmocka_unit_test(arp_both_ways),
        cmocka_unit_test(arp_refuses),
        cmocka_unit_test(ipv4_both_ways),
        cmocka_unit_test(ipv4_fragments_both_ways),
        cmocka_unit_test(ipv4_length_lies),
        cmocka_unit_test(ipv4_finds_every_flipped_bit),
        cmocka_unit_test(icmp_both_ways),
        cmocka_unit_test(icmp_refuses_short_messages),
        cmocka_unit_test(icmp_errors_are_known),
        cmocka_unit_test(udp_length_lies),
        cmocka_unit_test(udp_checksum_is_checked),
    };
    return cmocka_run_group_tests_name("wire headers", tests, NULL, NULL);
}

/* Fuzzes wire: every parser, the text of a frame, the cutting of super-frames, pcapng blocks.

   Beside what the sanitizers find, the input must survive a round trip: what a parser accepted is
   written and read again, and must be the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/fcs.h"
#include "../../tapstack/wire/frame.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/pcapng.h"
#include "../../tapstack/wire/tcp.h"
#include "../../tapstack/wire/text.h"
#include "../../tapstack/wire/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert may be compiled out; a fuzzer's must not. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void fuzz_address(const uint8_t *data, size_t size)
{
    char given[64], text[IP_ADDRESS_TEXT_MAX];
    struct ip_address address;
    struct mac_address mac;
    size_t length = size < sizeof given - 1 ? size : sizeof given - 1;
    memcpy(given, data, length);
    given[length] = 0;
    if (ip_address_parse(given, &address) == 0 && !ip_address_is_unspecified(&address)) {
        require(ip_address_format(&address, text) == (int)strlen(text));
        require(strcmp(given, text) == 0);
    }
    if (mac_address_parse(given, &mac) == 0)
        require(mac_address_format(&mac, text) == 17);
    if (size >= sizeof address) {
        memcpy(&address, data, sizeof address);
        require(ip_address_format(&address, text) < IP_ADDRESS_TEXT_MAX);
    }
}

static void fuzz_tcp(const uint8_t *data, size_t size)
{
    struct ip_address any = {{0}};
    struct tcp_header header, again;
    uint8_t bytes[TCP_HEADER_MAX];
    char line[TEXT_LINE_MAX];
    if (tcp_parse(data, size, &header) != 0)
        return;
    tcp_verify(data, size, &any, &any);
    require(header.header_bytes <= size && header.sack_count <= TCP_SACK_BLOCKS_MAX);
    require(text_format_tcp(&header, size, 1, 2, line, sizeof line) == strlen(line));
    again = header;
    size_t header_bytes = tcp_write(&again, bytes);
    require(header_bytes <= sizeof bytes && header_bytes % 4 == 0);
    require(tcp_parse(bytes, header_bytes, &again) == 0);
    require(again.sequence == header.sequence && again.flags == header.flags);
    require((again.options_present & ~header.options_present) == 0);
    require(again.timestamp_value == header.timestamp_value);
}

static void fuzz_ipv4(const uint8_t *data, size_t size)
{
    struct ipv4_header header, again;
    uint8_t bytes[IPV4_HEADER_BYTES];
    if (ipv4_parse(data, size, &header) != 0)
        return;
    require(header.header_bytes <= header.total_bytes && header.total_bytes <= size);
    ipv4_write(&header, bytes);
    if (header.header_bytes == IPV4_HEADER_BYTES && header.total_bytes == IPV4_HEADER_BYTES) {
        require(ipv4_parse(bytes, sizeof bytes, &again) == 0);
        require(again.fragment_offset == header.fragment_offset);
    }
}

static void fuzz_small_headers(const uint8_t *data, size_t size)
{
    struct ip_address any = {{0}};
    struct arp_packet arp;
    struct icmp_header icmp;
    struct udp_header udp;
    uint8_t bytes[ARP_BYTES];
    if (arp_parse(data, size, &arp) == 0) {
        arp_write(&arp, bytes);
        require(memcmp(bytes, data, sizeof bytes) == 0);
    }
    icmp_parse(data, size, &icmp);
    if (udp_parse(data, size, &udp) == 0)
        udp_verify(data, &udp, &any, &any);
    fcs_check(data, size);
}

/* The first bytes are what a peer on this machine says about the frame. */
static void fuzz_frame(const uint8_t *data, size_t size)
{
    static uint8_t wire[FRAME_BYTES_MAX];
    struct frame frame = {.piece_count = 2};
    struct frame_splitter splitter;
    if (size < 10 || size > 4096)
        return;
    frame.flags = data[0] & 3;
    frame.checksum_start = data[1];
    frame.checksum_offset = data[2];
    frame.segment_bytes = data[3];
    frame.header_bytes = data[4];
    data += 5;
    size -= 5;
    size_t cut = data[0] % (size + 1);
    frame.piece[0] = (struct frame_piece){data, cut};
    frame.piece[1] = (struct frame_piece){data + cut, size - cut};
    frame_split_start(&splitter, &frame);
    size_t written, payload_bytes = 0, segments = 0;
    while ((written = frame_split_next(&splitter, wire, sizeof wire)) > 0) {
        require(segments++ <= size);
        payload_bytes += written - frame.header_bytes * (splitter.segment > 0);
    }
    require(payload_bytes == size - frame.header_bytes * (splitter.segment > 0));
}

static void fuzz_text(const uint8_t *data, size_t size)
{
    char line[TEXT_LINE_MAX], cut[TEXT_LINE_MAX];
    size_t length = text_format_frame(data, size, 0, 0, line, sizeof line);
    require(length < sizeof line && length == strlen(line));
    for (size_t capacity = 1; capacity < 80; capacity += 13) {
        size_t cut_length = text_format_frame(data, size, 0, 0, cut, capacity);
        require(cut_length == (length < capacity ? length : capacity - 1));
        require(memcmp(cut, line, cut_length) == 0 && cut[cut_length] == 0);
    }
}

static void fuzz_pcapng(const uint8_t *data, size_t size)
{
    static uint8_t block[8192];
    char comment[100];
    size_t length = size < sizeof comment - 1 ? size : sizeof comment - 1;
    memcpy(comment, data, length);
    comment[length] = 0;
    struct pcapng_packet packet = {.data = data, .size = size, .direction = 1, .comment = comment};
    size_t capacity = size > 0 ? data[0] * 32U : 0;
    size_t written = pcapng_write_packet(block, capacity, &packet);
    require(written <= capacity && written % 4 == 0);
    require(written > 0 || capacity < size + length + PCAPNG_BLOCK_OVERHEAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ethernet_header ethernet;
    if (size == 0)
        return 0;
    fuzz_address(data, size);
    fuzz_tcp(data, size);
    fuzz_ipv4(data, size);
    fuzz_small_headers(data, size);
    fuzz_frame(data, size);
    fuzz_text(data, size);
    fuzz_pcapng(data, size);
    if (ethernet_parse(data, size, &ethernet) == 0)
        fuzz_ipv4(data + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES);
    return 0;
}

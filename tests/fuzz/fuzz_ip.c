/* Fuzzes IPv4 with options in a stack that forwards between two links, obeys source routes or
   refuses them, and whose routes and addresses change meanwhile.

   The input's first byte says how the stack is set up; then come steps: a datagram of options and
   payload as given under a header that is mostly in order, raw bytes behind an Ethernet header,
   time, or a change by hand. Whatever comes out must be a frame for its link: a good header, no
   longer than the MTU, its checksum right. In the end no byte of memory is left. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/state.h"
#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"

enum { BODY_MAX = 255, SMALL_MTU = 296 };

#define LEFT_V4  UINT32_C(0x0a4d0002)
#define RIGHT_V4 UINT32_C(0x0a4e0002)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct stack *stack;
static const uint8_t *input;
static size_t input_left;
static uint64_t now_us;
static size_t allocated;

/* assert may be compiled out; a fuzzer's must not. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void *allocate(void *context, size_t size)
{
    (void)context;
    allocated += size;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    allocated -= size;
    free(block);
}

static uint8_t take(void)
{
    if (input_left == 0)
        return 0;
    input_left--;
    return *input++;
}

/* ---- Out ---- */

static void check_frame(const struct frame *frame)
{
    static uint8_t bytes[FRAME_BYTES_MAX];
    struct ipv4_header header;
    struct ipv4_options options;
    uint8_t pointer;
    size_t size = frame_copy(frame, bytes);
    require(frame->interface < 2 && size >= ETHERNET_HEADER_BYTES);
    if (bytes_get16(bytes + 12) != ETHERTYPE_IPV4)
        return;
    require(ipv4_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &header) == 0);
    require(header.total_bytes == size - ETHERNET_HEADER_BYTES);
    require(header.ttl > 0);
    require(frame->segment_bytes != 0 ||
            header.total_bytes <= stack_interface(stack, frame->interface)->mtu_bytes);
    /* Our stamp may be the last that a timestamp option has room for, or our counting the last that
       its overflow can hold: for the next router to complain about (RFC 791, 3.1). */
    require(ipv4_options_parse(bytes + ETHERNET_HEADER_BYTES, header.header_bytes, &options,
                               &pointer) == 0 ||
            (options.timestamp &&
             (pointer == options.timestamp + 2 || pointer == options.timestamp + 3)));
}

static void pump(void)
{
    struct frame frame;
    while (stack_output(stack, &frame, now_us))
        check_frame(&frame);
    require(stack->forward.queued_bytes == 0);
    require(stack->routes.learned_count <= stack->settings.ip_redirects_max);
}

/* ---- In ---- */

/* Gives a frame from a block of exactly its size. */
static void give(unsigned interface, const uint8_t *bytes, size_t size, uint8_t flags)
{
    uint8_t *exact = malloc(size);
    memcpy(exact, bytes, size);
    struct frame frame = {.interface = (uint16_t)interface,
                          .flags = flags & FRAME_CHECKSUM_VALID,
                          .piece_count = 1,
                          .piece = {{exact, size}}};
    stack_input(stack, &frame, now_us);
    free(exact);
}

static struct mac_address neighbor_mac(uint32_t v4)
{
    return (struct mac_address){{2, 9, (uint8_t)(v4 >> 16), 0, 0, (uint8_t)v4}};
}

/* A neighbor asks for us, so that it is known. */
static void introduce(unsigned interface, uint32_t neighbor_v4)
{
    uint8_t bytes[ETHERNET_MIN_BYTES] = {0};
    struct mac_address mac = neighbor_mac(neighbor_v4), none = {{0}};
    struct arp_packet arp = {ARP_REQUEST, mac, none, neighbor_v4, interface ? RIGHT_V4 : LEFT_V4};
    struct ethernet_header ethernet = {stack_interface(stack, interface)->mac, mac, ETHERTYPE_ARP};
    ethernet_write(&ethernet, bytes);
    arp_write(&arp, bytes + ETHERNET_HEADER_BYTES);
    give(interface, bytes, sizeof bytes, 0);
}

static uint32_t take_address(void)
{
    static const uint32_t some[] = {
        LEFT_V4,    RIGHT_V4,   0x0a4d0001, 0x0a4d0009, 0x0a4e0001, 0x0a4e0009, 0x0a090101,
        0xc0000201, 0x0a4f0002, 0x0a4d00ff, 0x0a4e0000, 0xe0000001, UINT32_MAX, 0x7f000001,
    };
    return some[take() % (sizeof some / sizeof some[0])];
}

/* Up to 40 bytes of options and some payload under a header of which only the first bits vary. */
static void step_datagram(uint8_t how)
{
    uint8_t bytes[ETHERNET_HEADER_BYTES + IPV4_HEADER_MAX + 8 * BODY_MAX];
    uint8_t *ip = bytes + ETHERNET_HEADER_BYTES;
    unsigned interface = how & 1;
    size_t option_bytes = take() % 11U * 4, payload_bytes = take() * 8U;
    struct ipv4_header header = {
        .ttl = how & 2 ? take() : 64,
        .protocol = how & 4 ? take() : IPV4_PROTOCOL_ICMP,
        .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + option_bytes + payload_bytes),
        .identification = take(),
        .fragment_offset = how & 8 ? (uint16_t)(take() * 8) : 0,
        .more_fragments = how & 16,
        .dont_fragment = how & 32,
        .source_v4 = take_address(),
        .destination_v4 = take_address(),
    };
    struct ethernet_header ethernet = {stack_interface(stack, interface)->mac,
                                       neighbor_mac(header.source_v4), ETHERTYPE_IPV4};
    memset(bytes, 0, sizeof bytes);
    ethernet_write(&ethernet, bytes);
    ipv4_write(&header, ip);
    for (size_t i = 0; i < option_bytes; i++)
        ip[IPV4_HEADER_BYTES + i] = take();
    for (size_t i = 0; i < payload_bytes && i < 16; i++)
        ip[IPV4_HEADER_BYTES + option_bytes + i] = take();
    ip[0] = (uint8_t)(4 << 4 | (IPV4_HEADER_BYTES + option_bytes) / 4);
    ipv4_write_checksum(ip);
    if (header.protocol == IPV4_PROTOCOL_ICMP && payload_bytes >= 8) {
        uint8_t *icmp = ip + IPV4_HEADER_BYTES + option_bytes;
        bytes_put16(icmp + 2, 0);
        bytes_put16(icmp + 2, checksum_finish(checksum_add(0, icmp, payload_bytes)));
    }
    give(interface, bytes, ETHERNET_HEADER_BYTES + header.total_bytes, how);
}

static void step_raw(uint8_t how)
{
    uint8_t bytes[ETHERNET_HEADER_BYTES + BODY_MAX];
    size_t size = take();
    struct ethernet_header ethernet = {
        stack_interface(stack, how & 1)->mac, {{2, 9}}, ETHERTYPE_IPV4};
    ethernet_write(&ethernet, bytes);
    for (size_t i = 0; i < size; i++)
        bytes[ETHERNET_HEADER_BYTES + i] = take();
    size_t header_bytes = size ? (bytes[ETHERNET_HEADER_BYTES] & 15U) * 4 : 0;
    if (how & 2 && header_bytes >= IPV4_HEADER_BYTES && header_bytes <= size)
        ipv4_write_checksum(bytes + ETHERNET_HEADER_BYTES);
    give(how & 1, bytes, ETHERNET_HEADER_BYTES + size, how);
}

static void step_change(uint8_t how)
{
    uint32_t v4 = take_address();
    uint8_t bits = take() % 34;
    uint32_t network = bits <= 32 ? v4 & address_mask(bits) : v4;
    switch (how % 4) {
    case 0:
        stack_add_route_metric(stack, network, bits, take_address(), take() % 3, take() % 3);
        break;
    case 1:
        stack_remove_route(stack, network, bits, take() % 3);
        break;
    case 2:
        stack_add_address(stack, take() % 3, v4, bits, now_us);
        break;
    default:
        stack_remove_address(stack, take() % 3, v4, now_us);
    }
}

static void step(void)
{
    uint8_t what = take(), how = take();
    switch (what % 8) {
    case 0:
        now_us += (uint64_t)how * 10000;
        break;
    case 1:
        step_raw(how);
        break;
    case 2:
        step_change(how);
        break;
    default:
        step_datagram(how);
    }
    pump();
}

/* ---- The program ---- */

static void start(uint8_t shape)
{
    struct stack_config config = {.memory = {allocate, release, NULL}};
    struct stack_interface_config left = {"left", {{2, 1}}, 1500, LEFT_V4, 24};
    struct stack_interface_config right = {"right", {{2, 2}}, 1500, RIGHT_V4, 24};
    stack_settings_default(&config.settings);
    config.settings.ip_forward = !(shape & 1);
    config.settings.ip_source_route = !(shape & 2);
    config.settings.ip_reverse_path = !!(shape & 4);
    config.settings.ip_strong_host = !!(shape & 8);
    config.settings.ip_redirects_max = 4;
    config.settings.ip_routes_max = 64;
    right.mtu_bytes = shape & 16 ? SMALL_MTU : 1500;
    now_us = 1000000;
    stack = stack_create(&config, now_us);
    require(stack && stack_add_interface(stack, &left, now_us) == 0 &&
            stack_add_interface(stack, &right, now_us) == 1 &&
            stack_add_route(stack, 0x0a090000, 16, 0x0a4e0009, 1) == 0 &&
            stack_add_route(stack, 0, 0, 0x0a4d0001, 0) == 0);
    introduce(0, 0x0a4d0001);
    introduce(1, 0x0a4e0009);
    pump();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_left = size;
    start(take());
    while (input_left > 0)
        step();
    stack_destroy(stack);
    require(allocated == 0);
    return 0;
}

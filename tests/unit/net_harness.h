/* A harness for everything below TCP: one stack (10.77.0.2/24) on one interface, with a peer
   (10.77.0.1) and strangers played by the test, frame by frame in virtual time.

   Frames are given from blocks of exactly their size, so that the sanitizer sees every byte read
   beyond them. The allocator counts; net_close expects that nothing is left. */
#ifndef TESTS_NET_HARNESS_H
#define TESTS_NET_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../tapstack/core/ip.h"
#include "../../tapstack/core/stack.h"
#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"

#define OUR_V4  UINT32_C(0x0a4d0002)
#define PEER_V4 UINT32_C(0x0a4d0001)
#define UNUSED  __attribute__((unused))

static const struct mac_address our_mac UNUSED = {{2, 0, 0, 0, 0, 2}};
static const struct mac_address peer_mac UNUSED = {{2, 0, 0, 0, 0, 1}};
static const struct mac_address all_macs UNUSED = {{255, 255, 255, 255, 255, 255}};
static const struct mac_address no_mac UNUSED = {{0, 0, 0, 0, 0, 0}};

static struct stack *net;
static uint64_t net_now;
static size_t net_allocated;

/* The frame that was pulled last. */
static uint8_t out_bytes[FRAME_BYTES_MAX];
static size_t out_size;
static struct frame out_frame;

static void *net_allocate(void *context, size_t size)
{
    (void)context;
    net_allocated += size;
    return malloc(size);
}

static void net_release(void *context, void *block, size_t size)
{
    (void)context;
    net_allocated -= size;
    free(block);
}

/* Pulls the next frame into out_bytes; false when there is none (the last one stays). */
UNUSED static bool net_pull(void)
{
    size_t size = stack_output(net, &out_frame, net_now);
    if (size == 0)
        return false;
    out_size = size;
    assert_int_equal(size, frame_size(&out_frame));
    frame_copy(&out_frame, out_bytes);
    return true;
}

UNUSED static unsigned net_drain(void)
{
    unsigned frames = 0;
    while (net_pull())
        frames++;
    return frames;
}

/* Opens the stack; change: adjusts the settings first, may be NULL. */
UNUSED static void net_open(void (*change)(struct stack_config *config))
{
    struct stack_config config = {
        .seed = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19},
        .memory = {net_allocate, net_release, NULL},
        .event_capacity = 1024,
    };
    struct stack_interface_config interface = {
        .name = "tap0",
        .mac = our_mac,
        .mtu_bytes = 1500,
        .address_v4 = OUR_V4,
        .prefix_bits = 24,
    };
    stack_settings_default(&config.settings);
    config.settings.arp_announcements = 1; /* nothing moves by itself */
    if (change)
        change(&config);
    net_now = 1000000;
    net_allocated = 0;
    net = stack_create(&config, net_now);
    assert_non_null(net);
    assert_int_equal(stack_add_interface(net, &interface, net_now), 0);
    net_drain();
}

UNUSED static void net_close(void)
{
    stack_destroy(net);
    net = NULL;
    assert_int_equal(net_allocated, 0);
}

UNUSED static uint64_t counter(enum stack_counter which) { return stack_counters(net)[which]; }

/* One frame arrives. Returns what stack_input says. */
UNUSED static int net_give_flags(const uint8_t *bytes, size_t size, uint8_t flags)
{
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, bytes, size);
    struct frame frame = {.flags = flags, .piece_count = 1, .piece = {{exact, size}}};
    int result = stack_input(net, &frame, net_now);
    free(exact);
    return result;
}

UNUSED static int net_give(const uint8_t *bytes, size_t size)
{
    return net_give_flags(bytes, size, 0);
}

/* Lets time pass, serving every deadline on the way. Returns the frames sent; the last is kept in
   out_bytes. */
UNUSED static unsigned net_wait(uint64_t us)
{
    uint64_t until = net_now + us;
    unsigned frames = net_drain();
    while (stack_deadline(net) <= until) {
        if (stack_deadline(net) > net_now)
            net_now = stack_deadline(net);
        frames += net_drain();
    }
    net_now = until;
    return frames + net_drain();
}

/* ---- ARP ---- */

UNUSED static int give_arp(uint16_t operation, const struct mac_address *sender_mac,
                           uint32_t sender_v4, const struct mac_address *target_mac,
                           uint32_t target_v4)
{
    uint8_t bytes[ETHERNET_MIN_BYTES] = {0};
    struct ethernet_header ethernet = {all_macs, *sender_mac, ETHERTYPE_ARP};
    struct arp_packet arp = {operation, *sender_mac, *target_mac, sender_v4, target_v4};
    /* A group address can't be the source of a frame; the packet alone may lie. */
    if (mac_address_is_group(sender_mac))
        ethernet.source = peer_mac;
    ethernet_write(&ethernet, bytes);
    arp_write(&arp, bytes + ETHERNET_HEADER_BYTES);
    return net_give(bytes, sizeof bytes);
}

/* The pulled frame as ARP; fails when it is none. */
UNUSED static struct arp_packet out_arp(struct ethernet_header *ethernet)
{
    struct arp_packet arp;
    assert_int_equal(ethernet_parse(out_bytes, out_size, ethernet), 0);
    assert_int_equal(ethernet->type, ETHERTYPE_ARP);
    assert_true(out_size >= ETHERNET_MIN_BYTES);
    assert_int_equal(
        arp_parse(out_bytes + ETHERNET_HEADER_BYTES, out_size - ETHERNET_HEADER_BYTES, &arp), 0);
    for (size_t i = ETHERNET_HEADER_BYTES + ARP_BYTES; i < out_size; i++)
        assert_int_equal(out_bytes[i], 0);
    return arp;
}

/* The stack learns the peer: it asks, and is answered. */
UNUSED static void learn_peer(void)
{
    give_arp(ARP_REQUEST, &peer_mac, PEER_V4, &no_mac, OUR_V4);
    net_drain();
}

/* The cache's entry for an address; state NEIGHBOR_NONE when there is none. */
UNUSED static struct stack_neighbor neighbor_of(uint32_t v4)
{
    struct stack_neighbor neighbor;
    uint32_t cursor = 0;
    while (stack_next_neighbor(net, &cursor, &neighbor, net_now))
        if (neighbor.v4 == v4)
            return neighbor;
    return (struct stack_neighbor){.state = NEIGHBOR_NONE};
}

/* ---- IP ---- */

/* Writes Ethernet and IP header in front of a payload at bytes + 34. Returns the frame's size. */
UNUSED static size_t head_datagram(uint8_t *bytes, uint8_t protocol, uint32_t source,
                                   uint32_t destination, size_t payload_bytes)
{
    struct ethernet_header ethernet = {our_mac, peer_mac, ETHERTYPE_IPV4};
    struct ipv4_header ip = {
        .ttl = 64,
        .protocol = protocol,
        .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + payload_bytes),
        .identification = 7,
        .source_v4 = source,
        .destination_v4 = destination,
    };
    ethernet_write(&ethernet, bytes);
    ipv4_write(&ip, bytes + ETHERNET_HEADER_BYTES);
    return IP_PAYLOAD_OFFSET + payload_bytes;
}

/* Sets the header checksum right after a test has changed the header. */
UNUSED static void sum_ip_header(uint8_t *bytes)
{
    uint8_t *ip = bytes + ETHERNET_HEADER_BYTES;
    bytes_put16(ip + 10, 0);
    bytes_put16(ip + 10, checksum_finish(checksum_add(0, ip, (ip[0] & 15) * 4U)));
}

/* Writes an ICMP message with its body. Returns the frame's size. */
UNUSED static size_t make_icmp(uint8_t *bytes, uint8_t type, uint8_t code, uint32_t rest,
                               const void *body, size_t body_bytes, uint32_t source,
                               uint32_t destination)
{
    struct icmp_header icmp = {type, code, rest};
    memcpy(bytes + IP_PAYLOAD_OFFSET + ICMP_HEADER_BYTES, body, body_bytes);
    icmp_write(&icmp, bytes + IP_PAYLOAD_OFFSET, body_bytes);
    return head_datagram(bytes, IPV4_PROTOCOL_ICMP, source, destination,
                         ICMP_HEADER_BYTES + body_bytes);
}

UNUSED static int give_echo(uint32_t source, uint32_t destination)
{
    uint8_t bytes[200];
    size_t size =
        make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 0x00010002, "abcdefgh", 8, source, destination);
    return net_give(bytes, size);
}

/* The pulled frame as IP; fails when it is none. payload: where it starts. */
UNUSED static struct ipv4_header out_ip(const uint8_t **payload, size_t *payload_bytes)
{
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    assert_int_equal(ethernet_parse(out_bytes, out_size, &ethernet), 0);
    assert_int_equal(ethernet.type, ETHERTYPE_IPV4);
    assert_true(mac_address_equal(&ethernet.source, &our_mac));
    assert_int_equal(
        ipv4_parse(out_bytes + ETHERNET_HEADER_BYTES, out_size - ETHERNET_HEADER_BYTES, &ip), 0);
    assert_int_equal(ip.total_bytes, out_size - ETHERNET_HEADER_BYTES);
    *payload = out_bytes + ETHERNET_HEADER_BYTES + ip.header_bytes;
    *payload_bytes = ip.total_bytes - ip.header_bytes;
    return ip;
}

/* Pulls a datagram as its receiver gets it: fragments, which we send in order, are joined in
   out_bytes under the first one's header. False when there is none. */
UNUSED static bool net_pull_whole(void)
{
    static uint8_t whole[FRAME_BYTES_MAX];
    size_t size = 0;
    for (bool more = true; more;) {
        if (!net_pull())
            return false;
        uint16_t word = bytes_get16(out_bytes + ETHERNET_HEADER_BYTES + 6);
        more = word & 0x2000;
        assert_int_equal((word & 0x1fff) * 8U, size == 0 ? 0 : size - IP_PAYLOAD_OFFSET);
        size_t skipped = size == 0 ? 0 : IP_PAYLOAD_OFFSET;
        memcpy(whole + size, out_bytes + skipped, out_size - skipped);
        size += out_size - skipped;
    }
    memcpy(out_bytes, whole, size);
    out_size = size;
    bytes_put16(out_bytes + ETHERNET_HEADER_BYTES + 2, (uint16_t)(size - ETHERNET_HEADER_BYTES));
    bytes_put16(out_bytes + ETHERNET_HEADER_BYTES + 6, 0);
    sum_ip_header(out_bytes);
    return true;
}

#endif

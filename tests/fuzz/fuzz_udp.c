/* Datagrams, ICMP errors, IGMP messages, time and socket calls in any order into one stack.

   The input is a program: each operation is a byte, its arguments follow. Datagrams are right but for
   what the input chooses, and errors quote what the stack has sent last, because random bytes alone
   die in the first check. Everything that the stack sends must be well formed; what the sockets hold
   stays within udp.memory and the groups within igmp.groups_max; a handle that was closed is dead;
   and at the end nothing is left. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/stack.h"
#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/igmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/udp.h"

enum {
    HANDLES = 8,
    FRAME_MAX = 4096,
    PAYLOAD_AT = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES,
    UDP_MEMORY = 65536,
    GROUPS_MAX = 6,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t addresses[8] = {
    0x0a4d0002, 0x0a4d0001, 0x0a4d0003, 0x0a4d00ff, 0xffffffff, 0xef010203, 0xe0000001, 0,
};

struct fuzz {
    const uint8_t *data;
    size_t size, at;
    struct stack *stack;
    uint64_t now_us;
    size_t allocated;
    int handle[HANDLES];
    uint8_t frame[FRAME_MAX];
    uint8_t sent[FRAME_MAX]; /* the last datagram that the stack sent, for quotes */
    size_t sent_bytes;
};

/* assert may be compiled out; a fuzzer's must not. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void *allocate(void *context, size_t size)
{
    ((struct fuzz *)context)->allocated += size;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    ((struct fuzz *)context)->allocated -= size;
    free(block);
}

/* ---- Reading the input ---- */

static uint8_t take8(struct fuzz *fuzz)
{
    return fuzz->at < fuzz->size ? fuzz->data[fuzz->at++] : 0;
}

static uint16_t take16(struct fuzz *fuzz)
{
    uint16_t high = take8(fuzz);
    return (uint16_t)(high << 8 | take8(fuzz));
}

static uint32_t take_v4(struct fuzz *fuzz) { return addresses[take8(fuzz) % 8]; }

/* Few ports, so that datagrams meet sockets. */
static uint16_t take_port(struct fuzz *fuzz) { return take8(fuzz) % 4; }

static int *take_handle(struct fuzz *fuzz) { return &fuzz->handle[take8(fuzz) % HANDLES]; }

static struct stack_endpoint take_endpoint(struct fuzz *fuzz)
{
    uint32_t v4 = take_v4(fuzz);
    return (struct stack_endpoint){ip_address_from_v4(v4), take_port(fuzz)};
}

/* ---- Frames ---- */

static void check_sent(struct fuzz *fuzz, const struct frame *frame)
{
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    struct udp_header udp;
    uint8_t bytes[FRAME_MAX];
    require(frame_size(frame) <= sizeof bytes);
    size_t size = frame_copy(frame, bytes);
    require(ethernet_parse(bytes, size, &ethernet) == 0);
    if (ethernet.type != ETHERTYPE_IPV4)
        return;
    require(ipv4_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &ip) == 0);
    require(ip.total_bytes <= 1500 && ip.total_bytes + ETHERNET_HEADER_BYTES == (int)size);
    require(ip.source_v4 == addresses[0]);
    require((ipv4_is_multicast(ip.destination_v4) || ip.destination_v4 == 0xffffffff ||
             ip.destination_v4 == addresses[3]) == mac_address_is_group(&ethernet.destination));
    if (ip.protocol != IPV4_PROTOCOL_UDP || ip.fragment_offset != 0 || ip.more_fragments)
        return;
    struct ip_address source = ip_address_from_v4(ip.source_v4);
    struct ip_address destination = ip_address_from_v4(ip.destination_v4);
    require(udp_parse(bytes + PAYLOAD_AT, size - PAYLOAD_AT, &udp) == 0);
    require(udp_verify(bytes + PAYLOAD_AT, &udp, &source, &destination) == 0);
    memcpy(fuzz->sent, bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES);
    fuzz->sent_bytes = size - ETHERNET_HEADER_BYTES;
}

static void give(struct fuzz *fuzz, uint16_t type, size_t size, bool group)
{
    struct ethernet_header ethernet = {
        .destination = {{2, 0, 0, 0, 0, 2}}, .source = {{2, 0, 0, 0, 0, 1}}, .type = type};
    if (group)
        memset(&ethernet.destination, 0xff, sizeof ethernet.destination);
    ethernet_write(&ethernet, fuzz->frame);
    uint8_t *exact = malloc(size);
    memcpy(exact, fuzz->frame, size);
    struct frame frame = {.piece_count = 1, .piece[0] = {exact, size}};
    stack_input(fuzz->stack, &frame, fuzz->now_us);
    free(exact);
}

static void give_ip(struct fuzz *fuzz, uint8_t protocol, uint32_t source, uint32_t destination,
                    size_t payload_bytes)
{
    struct ipv4_header ip = {
        .ttl = 64,
        .protocol = protocol,
        .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + payload_bytes),
        .source_v4 = source,
        .destination_v4 = destination,
    };
    ipv4_write(&ip, fuzz->frame + ETHERNET_HEADER_BYTES);
    give(fuzz, ETHERTYPE_IPV4, PAYLOAD_AT + payload_bytes, destination != addresses[0]);
}

static void give_datagram(struct fuzz *fuzz)
{
    uint8_t *message = fuzz->frame + PAYLOAD_AT;
    uint32_t source = take_v4(fuzz), destination = take_v4(fuzz);
    struct ip_address from = ip_address_from_v4(source), to = ip_address_from_v4(destination);
    struct udp_header header = {.source_port = take_port(fuzz),
                                .destination_port = take_port(fuzz)};
    size_t size = take16(fuzz) % 1473;
    uint8_t spoil = take8(fuzz);
    header.length = (uint16_t)(UDP_HEADER_BYTES + size);
    memset(message + UDP_HEADER_BYTES, spoil, size);
    udp_write(&header, message);
    if (spoil % 4 != 0)
        udp_sum(message, &header, &from, &to);
    if (spoil % 16 == 1)
        bytes_put16(message + 4, take16(fuzz));
    if (spoil % 16 == 2)
        message[6] ^= 1;
    give_ip(fuzz, IPV4_PROTOCOL_UDP, source, destination, UDP_HEADER_BYTES + size);
}

/* About what the stack has sent last, or about nothing. */
static void give_error(struct fuzz *fuzz)
{
    static const uint8_t types[4] = {ICMP_DESTINATION_UNREACHABLE, ICMP_TIME_EXCEEDED,
                                     ICMP_PARAMETER_PROBLEM, ICMP_DESTINATION_UNREACHABLE};
    struct icmp_header icmp = {types[take8(fuzz) % 4], take8(fuzz) % 18, take16(fuzz)};
    uint8_t *message = fuzz->frame + PAYLOAD_AT;
    size_t quote = fuzz->sent_bytes < 28U ? fuzz->sent_bytes : 28U + take8(fuzz) % 8U;
    if (quote > fuzz->sent_bytes)
        quote = fuzz->sent_bytes;
    memcpy(message + ICMP_HEADER_BYTES, fuzz->sent, quote);
    uint8_t spoil = take8(fuzz);
    if (spoil % 4 == 1 && quote > 0)
        message[ICMP_HEADER_BYTES + spoil % quote] ^= take8(fuzz);
    icmp_write(&icmp, message, quote);
    give_ip(fuzz, IPV4_PROTOCOL_ICMP, addresses[1], addresses[0], ICMP_HEADER_BYTES + quote);
}

static void give_igmp(struct fuzz *fuzz)
{
    static const uint8_t types[4] = {IGMP_QUERY, IGMP_REPORT_V2, IGMP_LEAVE, IGMP_REPORT_V1};
    uint8_t *message = fuzz->frame + PAYLOAD_AT;
    size_t size = take8(fuzz) % 16;
    memset(message, 0, 16);
    message[0] = types[take8(fuzz) % 4];
    message[1] = take8(fuzz);
    bytes_put32(message + 4, take_v4(fuzz));
    bytes_put16(message + 2, checksum_finish(checksum_add(0, message, size)));
    give_ip(fuzz, IPV4_PROTOCOL_IGMP, addresses[1], take_v4(fuzz), size);
}

static void give_arp(struct fuzz *fuzz)
{
    struct arp_packet arp = {
        ARP_REPLY, {{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}, addresses[1], addresses[0]};
    memset(fuzz->frame, 0, ETHERNET_MIN_BYTES);
    arp_write(&arp, fuzz->frame + ETHERNET_HEADER_BYTES);
    give(fuzz, ETHERTYPE_ARP, ETHERNET_MIN_BYTES, false);
}

/* ---- Calls ---- */

static void call_open(struct fuzz *fuzz)
{
    int *handle = take_handle(fuzz);
    if (*handle == 0)
        *handle = stack_open(fuzz->stack, take8(fuzz) % 8 == 0 ? IPV4_PROTOCOL_TCP : 17);
}

static void call_close(struct fuzz *fuzz)
{
    int *handle = take_handle(fuzz);
    stack_close(fuzz->stack, *handle, fuzz->now_us);
    require(stack_close(fuzz->stack, *handle, fuzz->now_us) == STACK_BAD_HANDLE);
    *handle = 0;
}

static void call_group(struct fuzz *fuzz)
{
    int handle = *take_handle(fuzz), interface = take8(fuzz) % 3 - 1;
    struct ip_address group = ip_address_from_v4(take_v4(fuzz) + take8(fuzz) % 8);
    if (take8(fuzz) % 2)
        stack_join_group(fuzz->stack, handle, &group, interface, fuzz->now_us);
    else
        stack_leave_group(fuzz->stack, handle, &group, interface, fuzz->now_us);
}

static void call_send(struct fuzz *fuzz)
{
    static uint8_t bytes[70000];
    struct stack_datagram with = {.interface = take8(fuzz) % 4 - 1, .ttl = take8(fuzz)};
    int handle = *take_handle(fuzz);
    size_t size = take16(fuzz);
    if (size < 60000)
        size %= 3000;
    with.remote = take_endpoint(fuzz);
    if (take8(fuzz) % 8 == 0)
        with.local = take_endpoint(fuzz);
    stack_send_to(fuzz->stack, handle, bytes, size, take8(fuzz) % 4 ? &with : NULL, fuzz->now_us);
}

static void call_receive(struct fuzz *fuzz)
{
    struct stack_datagram with;
    struct frame_piece piece;
    uint8_t bytes[100];
    int handle = *take_handle(fuzz);
    size_t size = take8(fuzz) % sizeof bytes;
    if (take8(fuzz) % 2) {
        ptrdiff_t got = stack_recv_from(fuzz->stack, handle, bytes, size, &with);
        require(got <= (ptrdiff_t)size && (got < 0 || (size_t)got <= with.size));
    } else if (stack_recv_from_peek(fuzz->stack, handle, &piece, &with) == 0) {
        require(piece.size == with.size);
        require(stack_recv_from_consume(fuzz->stack, handle, take16(fuzz)) == 0);
    }
}

static void call_name(struct fuzz *fuzz)
{
    int handle = *take_handle(fuzz);
    struct stack_endpoint endpoint = take_endpoint(fuzz);
    if (take8(fuzz) % 2)
        stack_bind(fuzz->stack, handle, &endpoint);
    else
        stack_connect(fuzz->stack, handle, &endpoint, fuzz->now_us);
}

static void call_option(struct fuzz *fuzz)
{
    int handle = *take_handle(fuzz);
    enum stack_option option = take8(fuzz) % (STACK_OPTION_NO_CHECKSUM + 1);
    uint64_t value = take8(fuzz) % 2 ? take8(fuzz) : take16(fuzz);
    if (stack_set_option(fuzz->stack, handle, option, value, fuzz->now_us) == 0 &&
        stack_get_option(fuzz->stack, handle, option, &value) == 0)
        require(stack_set_option(fuzz->stack, handle, option, value, fuzz->now_us) == 0);
}

static void pass_time(struct fuzz *fuzz)
{
    struct frame frame;
    struct stack_ready ready;
    fuzz->now_us += (uint64_t)take16(fuzz) << take8(fuzz) % 12;
    for (unsigned i = 0; i < 100 && stack_output(fuzz->stack, &frame, fuzz->now_us) > 0; i++)
        check_sent(fuzz, &frame);
    while (stack_next_ready(fuzz->stack, &ready))
        if (ready.what & STACK_READY_ERROR)
            stack_socket_error(fuzz->stack, ready.socket);
}

/* ---- One input ---- */

static void check_limits(struct fuzz *fuzz)
{
    struct stack_group group;
    struct stack_summary summary;
    struct stack_usage usage;
    uint32_t cursor = 0, groups = 0, sockets = 0;
    uint64_t bytes = 0;
    while (stack_next_group(fuzz->stack, &cursor, &group))
        groups++;
    require(groups <= GROUPS_MAX);
    for (cursor = 0; stack_next_summary(fuzz->stack, &cursor, &summary, fuzz->now_us);) {
        struct stack_info info;
        if (summary.protocol != 17)
            continue;
        require(stack_info(fuzz->stack, summary.socket, &info, fuzz->now_us) == 0);
        bytes += info.receive_memory + info.send_memory;
        sockets++;
    }
    require(bytes <= UDP_MEMORY);
    stack_usage(fuzz->stack, &usage);
    require(usage.datagram_sockets == sockets);
}

static void open_stack(struct fuzz *fuzz)
{
    struct stack_config config = {.seed = {7}, .memory = {allocate, release, fuzz}};
    struct stack_interface_config interface = {.name = "tap0",
                                               .mac = {{2, 0, 0, 0, 0, 2}},
                                               .mtu_bytes = 1500,
                                               .address_v4 = addresses[0],
                                               .prefix_bits = 24};
    stack_settings_default(&config.settings);
    config.settings.udp_memory = UDP_MEMORY;
    config.settings.igmp_groups_max = GROUPS_MAX;
    fuzz->stack = stack_create(&config, fuzz->now_us);
    require(fuzz->stack != NULL);
    require(stack_add_interface(fuzz->stack, &interface, fuzz->now_us) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const operations[])(struct fuzz *) = {
        call_open, call_name,   call_send, give_datagram, give_error, call_receive,
        pass_time, call_option, give_igmp, give_arp,      call_group, call_close,
    };
    static struct fuzz fuzz;
    fuzz = (struct fuzz){.data = data, .size = size, .now_us = 1000000};
    open_stack(&fuzz);
    while (fuzz.at < fuzz.size) {
        uint8_t operation = take8(&fuzz);
        if (operation == 255)
            stack_kill(fuzz.stack, (uint32_t)*take_handle(&fuzz), fuzz.now_us);
        else
            operations[operation % (sizeof operations / sizeof operations[0])](&fuzz);
        check_limits(&fuzz);
    }
    stack_destroy(fuzz.stack);
    require(fuzz.allocated == 0);
    return 0;
}

/* What the packet filter costs a router: frames a second from one interface to the other, without
   devices, for growing sets of rules that none of the frames matches.

   `build/plain/bench/filter [FRAMES]` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../tapstack/core/ip.h"
#include "../../tapstack/core/stack.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/ipv4.h"

enum { FRAME_BYTES = 64, FLOWS = 256 };

static const struct mac_address our_mac = {{2, 0, 0, 0, 0, 2}}, peer_mac = {{2, 0, 0, 0, 0, 1}};

static void *allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

static struct stack *open_router(void)
{
    struct stack_config config = {.memory = {allocate, release, NULL}};
    stack_settings_default(&config.settings);
    config.settings.ip_forward = 1;
    struct stack *stack = stack_create(&config, 0);
    for (uint32_t i = 0; stack && i < 2; i++) {
        uint32_t network = 0x0a4d0000 + (i << 16);
        struct stack_interface_config interface = {.name = {'t', 'a', 'p', (char)('0' + i)},
                                                   .mac = our_mac,
                                                   .mtu_bytes = 1500,
                                                   .address_v4 = network + 2,
                                                   .prefix_bits = 24};
        if (stack_add_interface(stack, &interface, 0) < 0 ||
            stack_set_neighbor(stack, network + 1, &peer_mac, 0) < 0)
            exit(1);
    }
    return stack;
}

static void make_frame(uint8_t *bytes, unsigned flow)
{
    struct ethernet_header ethernet = {our_mac, peer_mac, ETHERTYPE_IPV4};
    struct ipv4_header ip = {.ttl = 64,
                             .protocol = IPV4_PROTOCOL_UDP,
                             .total_bytes = FRAME_BYTES - ETHERNET_HEADER_BYTES,
                             .source_v4 = 0x0a4d0001,
                             .destination_v4 = 0x0a4e0001};
    uint8_t *udp = bytes + IP_PAYLOAD_OFFSET;
    memset(bytes, 0, FRAME_BYTES);
    ethernet_write(&ethernet, bytes);
    ipv4_write(&ip, bytes + ETHERNET_HEADER_BYTES);
    bytes_put16(udp, (uint16_t)(20000 + flow));
    bytes_put16(udp + 2, 9);
    bytes_put16(udp + 4, FRAME_BYTES - IP_PAYLOAD_OFFSET);
}

/* Rules of the kinds that people write, none of which matches. */
static void load_rules(struct stack *stack, unsigned count, bool state)
{
    size_t capacity = 100 * (count + 1), used = 0;
    char *text = malloc(capacity);
    struct stack_filter_error error;
    if (state)
        used += (size_t)snprintf(text, capacity, "forward drop state invalid\n");
    for (unsigned i = 0; i < count; i++) {
        static const char *const forms[] = {"forward drop proto tcp port %u\n",
                                            "forward drop from 10.99.%u.0/24\n",
                                            "forward accept proto udp to 10.78.0.1 port %u\n",
                                            "forward drop in tap1 to not 10.98.%u.0/24\n"};
        used += (size_t)snprintf(text + used, capacity - used, forms[i % 4], 10 + i / 4 % 240);
    }
    if (stack_filter_load(stack, text, used, &error, 0) != 0) {
        fprintf(stderr, "%u:%u: %s\n", error.line, error.column, error.message);
        exit(1);
    }
    free(text);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double measure(struct stack *stack, unsigned frames)
{
    static uint8_t bytes[FLOWS][FRAME_BYTES];
    struct frame out, in = {.piece_count = 1};
    unsigned sent = 0;
    for (unsigned i = 0; i < FLOWS; i++)
        make_frame(bytes[i], i);
    double start = seconds();
    for (unsigned i = 0; i < frames; i++) {
        in.piece[0] = (struct frame_piece){bytes[i % FLOWS], FRAME_BYTES};
        stack_input(stack, &in, i);
        while (stack_output(stack, &out, i) > 0)
            sent += out.interface == 1;
    }
    double took = seconds() - start;
    if (sent < frames)
        fprintf(stderr, "only %u of %u frames came through\n", sent, frames);
    return took / frames;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned rules;
        bool state;
    } rows[] = {{"no rules", 0, false},    {"10 rules", 10, false},
                {"100 rules", 100, false}, {"1,000 rules", 1000, false},
                {"state alone", 0, true},  {"state, 1,000 rules", 1000, true}};
    unsigned frames = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
    struct stack *stack = open_router();
    double first = 0;
    measure(stack, frames / 4); /* warm */
    printf("%-20s %12s %10s %8s\n", "forwarding", "frames/s", "ns", "share");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        load_rules(stack, rows[i].rules, rows[i].state);
        double each = measure(stack, frames);
        first = i == 0 ? each : first;
        printf("%-20s %12.0f %10.1f %7.1f%%\n", rows[i].name, 1 / each, each * 1e9,
               100 * first / each);
    }
    stack_destroy(stack);
    return 0;
}

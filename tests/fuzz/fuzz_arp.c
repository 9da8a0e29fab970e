/* Fuzzes the neighbor cache: frames, time and calls in any order, beside a model of what may change.

   The input is a program: an operation is a byte, its arguments follow. Most ARP packets are built
   from a few addresses and MACs, so that they meet; some are raw bytes. After every operation the
   whole table is compared with the one before:

       - a neighbor that we have used keeps its MAC as long as it is known: only the operator's call
         changes it, or losing it and finding it again;
       - who becomes known has the MAC of the packet that just came, in its own name;
       - the table grows only when we send, when somebody asks for us, or by a call, and never
         beyond its limit; the frames that wait never beyond theirs;
       - every entry stands in the line of its state, every queue among those that wait;
       - what is sent is well formed, from our MAC, in our name or, probing, in nobody's. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/neighbor.h"
#include "../../tapstack/core/state.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OUR_V4 = 0x0a4d0002,
    NETWORK_V4 = 0x0a4d0000,
    HOSTS = 24, /* 10.77.0.0 to 10.77.0.23: our own, the network's and more than the table holds */
    TABLE_MAX = 8,
    MEMORY_MAX = 8192,
    FRAME_MAX = 128,
    STEPS_MAX = 2000,
};

static const struct mac_address our_mac = {{2, 0, 0, 0, 0, 2}};

struct entry {
    bool present, known, used;
    uint8_t state;
    struct mac_address mac;
};

struct fuzz {
    const uint8_t *data;
    size_t size, at;
    struct stack *stack;
    uint64_t now_us;
    struct entry before[HOSTS];
    unsigned count_before;
    struct arp_packet packet; /* that came in this operation */
    bool came;                /* it did */
    bool may_grow;            /* the operation may make an entry */
    uint32_t set_v4;          /* that a call has set; 0: none */
};

/* assert may be compiled out; a fuzzer's must not. */
static void require(bool condition)
{
    if (!condition)
        abort();
}

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

static uint8_t take(struct fuzz *fuzz)
{
    return fuzz->at < fuzz->size ? fuzz->data[fuzz->at++] : 0;
}

static struct mac_address take_mac(struct fuzz *fuzz)
{
    uint8_t which = take(fuzz);
    if (which == 255)
        return (struct mac_address){{255, 255, 255, 255, 255, 255}};
    if (which == 254)
        return our_mac;
    return (struct mac_address){{(uint8_t)(which & 0x40 ? 1 : 6), 0, 0, 0, 0, which & 7}};
}

static uint32_t take_v4(struct fuzz *fuzz)
{
    uint8_t which = take(fuzz);
    switch (which) {
    case 255:
        return 0;
    case 254:
        return UINT32_MAX;
    case 253:
        return 0x0a4d00ff;
    case 252:
        return 0xe0000001;
    case 251:
        return 0xc0000201;
    default:
        return which & 0x80 ? OUR_V4 : NETWORK_V4 + which % HOSTS;
    }
}

/* ---- The model ---- */

static void look(const struct fuzz *fuzz, struct entry *entries)
{
    memset(entries, 0, HOSTS * sizeof *entries);
    for (uint32_t i = 0; i < HOSTS; i++) {
        const struct neighbor *n = neighbor_table_find(fuzz->stack, 0, NETWORK_V4 + i);
        if (n)
            entries[i] =
                (struct entry){true, neighbor_is_known(n), n->used_at != 0, n->state, n->mac};
    }
}

static void check_entry(const struct fuzz *fuzz, uint32_t v4, const struct entry *before,
                        const struct entry *now)
{
    bool same = mac_address_equal(&before->mac, &now->mac);
    if (fuzz->set_v4 == v4)
        return;
    if (before->known && before->used && now->known && !same)
        abort(); /* a neighbor in use has moved at once */
    if (before->state == NEIGHBOR_PERMANENT && now->present)
        require(now->state == NEIGHBOR_PERMANENT && same);
    if (now->known && (!before->known || !same)) {
        require(fuzz->came && fuzz->packet.sender_v4 == v4);
        require(mac_address_equal(&fuzz->packet.sender_mac, &now->mac));
    }
}

static void check_lists(const struct fuzz *fuzz)
{
    const struct neighbor_table *table = &fuzz->stack->neighbors;
    const struct neighbor *n;
    unsigned present = 0, waiting = 0, queues = 0;
    size_t memory = 0;
    for (unsigned bucket = 0; bucket < NEIGHBOR_BUCKETS; bucket++)
        for (n = table->bucket[bucket]; n; n = n->next) {
            present++;
            queues += n->queue.count > 0;
            for (const struct packet *p = n->queue.first; p; p = p->next)
                memory += pool_block_bytes(sizeof *p + p->capacity);
            require(n->queue.count == 0 || n->state == NEIGHBOR_INCOMPLETE);
            require(n->line == NEIGHBOR_LINES || n->state == NEIGHBOR_STALE ||
                    n->state == NEIGHBOR_FAILED || n->state == NEIGHBOR_INCOMPLETE);
            require(n->state == NEIGHBOR_PERMANENT || wheel_is_armed(&n->timer));
        }
    TAILQ_FOREACH (n, &table->waiting, waiting)
        waiting++;
    require(present == table->count && waiting == queues && memory == table->queued_bytes);
    for (unsigned line = 0; line < NEIGHBOR_LINES; line++)
        TAILQ_FOREACH (n, &table->line[line], place)
            require(n->line == line);
}

static void check(struct fuzz *fuzz)
{
    struct entry now[HOSTS];
    const struct neighbor_table *table = &fuzz->stack->neighbors;
    look(fuzz, now);
    for (uint32_t i = 0; i < HOSTS; i++)
        check_entry(fuzz, NETWORK_V4 + i, &fuzz->before[i], &now[i]);
    require(table->count <= TABLE_MAX && table->queued_bytes <= MEMORY_MAX);
    require(fuzz->may_grow || table->count <= fuzz->count_before);
    require(!now[0].present && !now[OUR_V4 - NETWORK_V4].present);
    check_lists(fuzz);
    memcpy(fuzz->before, now, sizeof now);
    fuzz->count_before = table->count;
    fuzz->came = fuzz->may_grow = false;
    fuzz->set_v4 = 0;
}

/* ---- Operations ---- */

static void give(struct fuzz *fuzz, const uint8_t *bytes, size_t size)
{
    struct frame frame = {.piece_count = 1, .piece = {{bytes, size}}};
    stack_input(fuzz->stack, &frame, fuzz->now_us);
}

static void give_packet(struct fuzz *fuzz, const struct mac_address *destination,
                        const struct mac_address *source)
{
    uint8_t bytes[ETHERNET_MIN_BYTES] = {0};
    struct ethernet_header ethernet = {*destination, *source, ETHERTYPE_ARP};
    ethernet_write(&ethernet, bytes);
    arp_write(&fuzz->packet, bytes + ETHERNET_HEADER_BYTES);
    fuzz->came = true;
    fuzz->may_grow = fuzz->packet.operation == ARP_REQUEST && fuzz->packet.target_v4 == OUR_V4;
    give(fuzz, bytes, sizeof bytes);
}

static void arrive_packet(struct fuzz *fuzz)
{
    static const struct mac_address all = {{255, 255, 255, 255, 255, 255}};
    uint8_t how = take(fuzz);
    fuzz->packet = (struct arp_packet){.operation = (uint16_t)(how & 0x0f ? 1 + how % 2 : how)};
    fuzz->packet.sender_mac = take_mac(fuzz);
    fuzz->packet.sender_v4 = take_v4(fuzz);
    fuzz->packet.target_v4 = how & 0x40 ? OUR_V4 : take_v4(fuzz);
    fuzz->packet.target_mac = how & 0x20 ? take_mac(fuzz) : our_mac;
    struct mac_address source = how & 0x10 ? take_mac(fuzz) : fuzz->packet.sender_mac;
    give_packet(fuzz, how & 0x80 ? &our_mac : &all, &source);
}

static void arrive_raw(struct fuzz *fuzz)
{
    uint8_t bytes[FRAME_MAX];
    size_t size = take(fuzz) % FRAME_MAX;
    for (size_t i = 0; i < size; i++)
        bytes[i] = take(fuzz);
    if (size >= ETHERNET_HEADER_BYTES)
        memcpy(bytes + 12, "\x08\x06", 2);
    fuzz->came =
        size > ETHERNET_HEADER_BYTES &&
        arp_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &fuzz->packet) == 0;
    fuzz->may_grow = fuzz->came && fuzz->packet.target_v4 == OUR_V4;
    give(fuzz, bytes, size);
}

/* An echo request in a host's name: we send to it. */
static void arrive_echo(struct fuzz *fuzz)
{
    uint8_t bytes[ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + ICMP_HEADER_BYTES];
    struct ethernet_header ethernet = {our_mac, {{6, 0, 0, 0, 0, 1}}, ETHERTYPE_IPV4};
    struct icmp_header icmp = {ICMP_ECHO_REQUEST, 0, 1};
    struct ipv4_header ip = {
        .ttl = 64,
        .protocol = IPV4_PROTOCOL_ICMP,
        .total_bytes = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES,
        .source_v4 = take_v4(fuzz),
        .destination_v4 = OUR_V4,
    };
    ethernet_write(&ethernet, bytes);
    ipv4_write(&ip, bytes + ETHERNET_HEADER_BYTES);
    icmp_write(&icmp, bytes + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, 0);
    fuzz->may_grow = true;
    give(fuzz, bytes, sizeof bytes);
}

static void check_sent(const uint8_t *bytes, size_t size)
{
    struct ethernet_header ethernet;
    struct arp_packet arp;
    require(ethernet_parse(bytes, size, &ethernet) == 0);
    require(mac_address_equal(&ethernet.source, &our_mac));
    if (ethernet.type != ETHERTYPE_ARP)
        return;
    require(size == ETHERNET_MIN_BYTES);
    require(arp_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &arp) == 0);
    require(mac_address_equal(&arp.sender_mac, &our_mac));
    require(arp.sender_v4 == OUR_V4 || (arp.sender_v4 == 0 && arp.target_v4 == OUR_V4));
}

/* Takes what is sent. */
static void pull(struct fuzz *fuzz)
{
    struct frame frame;
    uint8_t bytes[2048];
    size_t size;
    while ((size = stack_output(fuzz->stack, &frame, fuzz->now_us)) != 0) {
        require(size <= sizeof bytes);
        frame_copy(&frame, bytes);
        check_sent(bytes, size);
    }
}

/* Time passes, from deadline to deadline. */
static void pass_time(struct fuzz *fuzz)
{
    uint8_t amount = take(fuzz);
    uint64_t until_us = fuzz->now_us + (UINT64_C(1) << amount % 32);
    for (int i = 0; i < 100; i++) {
        uint64_t next_us = stack_deadline(fuzz->stack);
        if (next_us > until_us)
            break;
        if (next_us > fuzz->now_us)
            fuzz->now_us = next_us;
        pull(fuzz);
        check(fuzz);
    }
    fuzz->now_us = until_us;
    pull(fuzz);
}

static void call(struct fuzz *fuzz)
{
    uint32_t v4 = take_v4(fuzz);
    uint8_t which = take(fuzz) % 8;
    struct mac_address mac = take_mac(fuzz);
    if (which == 0)
        stack_flush_neighbors(fuzz->stack, (int)(mac.octets[5] & 1) - 1, fuzz->now_us);
    else if (which < 3)
        stack_delete_neighbor(fuzz->stack, v4, fuzz->now_us);
    else if (which == 3 && stack_set_neighbor(fuzz->stack, v4, &mac, fuzz->now_us) == 0)
        fuzz->set_v4 = v4;
    else if (which == 4)
        stack_probe_neighbor(fuzz->stack, v4, fuzz->now_us);
    else if (which > 4)
        neighbor_confirm(fuzz->stack, 0, v4, fuzz->now_us);
    fuzz->may_grow = which == 3 || which == 4;
}

static void step(struct fuzz *fuzz)
{
    switch (take(fuzz) % 8) {
    case 0:
        arrive_raw(fuzz);
        break;
    case 1:
    case 2:
        arrive_echo(fuzz);
        break;
    case 3:
        pass_time(fuzz);
        break;
    case 4:
        call(fuzz);
        break;
    default:
        arrive_packet(fuzz);
        break;
    }
    check(fuzz);
    pull(fuzz);
    check(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stack_config config = {.memory = {allocate, release, NULL}};
    struct stack_interface_config interface = {
        .name = "tap0", .mac = our_mac, .mtu_bytes = 1500, .address_v4 = OUR_V4, .prefix_bits = 24};
    struct fuzz fuzz = {.data = data, .size = size, .now_us = 1000000};
    uint8_t mode;
    stack_settings_default(&config.settings);
    config.settings.arp_table_max = TABLE_MAX;
    config.settings.arp_queue_memory = MEMORY_MAX;
    config.settings.arp_queue_max = 8;
    mode = take(&fuzz);
    config.settings.arp_address_probes = mode & 1 ? 3 : 0;
    config.settings.arp_conflict = mode >> 1 & 3;
    fuzz.stack = stack_create(&config, fuzz.now_us);
    require(fuzz.stack && stack_add_interface(fuzz.stack, &interface, fuzz.now_us) == 0);
    stack_add_route(fuzz.stack, 0, 0, NETWORK_V4 + 1, 0);
    for (int i = 0; i < STEPS_MAX && fuzz.at < fuzz.size; i++)
        step(&fuzz);
    stack_destroy(fuzz.stack);
    return 0;
}

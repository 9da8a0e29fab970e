/* Fuzzes reassembly against a plain model of it.

   The model keeps every byte of a datagram with a mark that it is there, and looks at all of them
   for each question. What the module says of each fragment, and every byte of what it puts
   together, must be the model's. Only the limits are the module's own: what it drops for want of
   room the model drops too, and the bounds are checked after each step.

   The input is a list of steps of five bytes: a fragment of one of 16 datagrams, time passes, or the limits
   widen. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/reassembly.h"
#include "../../tapstack/core/state.h"

enum {
    STEP_BYTES = 5,
    STEPS_MAX = 400,
    KEYS = 16,
    PAYLOAD_MAX = 65535,
    MEMORY_BYTES = 32 << 10,
    SOURCE_BYTES = 12 << 10,
    WIDE_BYTES = 1 << 20,
    DATAGRAMS = 9,
};

struct model_fragment {
    size_t offset, size;
    bool last;
};

struct model {
    bool open, refused;
    size_t total, received;
    unsigned ecn;
    size_t first_header_bytes;
    uint8_t first_tos;
    unsigned count;
    struct model_fragment fragment[STEPS_MAX];
    bool here[PAYLOAD_MAX + 1];
    uint8_t bytes[PAYLOAD_MAX + 1];
};

static struct model models[KEYS];
static struct stack *stack;
static uint64_t now_us;
static size_t allocated;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void open_stack(void)
{
    struct stack_config config = {.seed = {7}, .memory = {allocate, release, NULL}};
    struct stack_interface_config interface = {
        .mac = {{2, 0, 0, 0, 0, 2}},
        .mtu_bytes = 1500,
        .address_v4 = 0x0a4d0002,
        .prefix_bits = 24,
    };
    stack_settings_default(&config.settings);
    config.settings.ip_reassembly_memory = MEMORY_BYTES;
    config.settings.ip_reassembly_per_source = SOURCE_BYTES;
    config.settings.ip_reassembly_datagrams = DATAGRAMS;
    allocated = 0;
    now_us = 1000000;
    stack = stack_create(&config, now_us);
    require(stack != NULL && stack_add_interface(stack, &interface, now_us) == 0);
}

/* ---- The model ---- */

static void model_open(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->open = true;
}

static bool model_is_wrong(const struct ip_datagram *fragment)
{
    size_t size = fragment->payload_bytes, offset = fragment->header.fragment_offset;
    bool tcp = fragment->header.protocol == IPV4_PROTOCOL_TCP;
    if (size == 0 || fragment->header.header_bytes + offset + size > PAYLOAD_MAX)
        return true;
    if (fragment->header.more_fragments && size % 8 != 0)
        return true;
    if (offset == 0 && (size < 8 || (tcp && (size < 20 || size < fragment->payload[12] / 16 * 4U))))
        return true;
    return tcp && offset == 8;
}

static bool model_has(const struct model *model, const struct ip_datagram *fragment)
{
    for (unsigned i = 0; i < model->count; i++) {
        const struct model_fragment *f = &model->fragment[i];
        if (f->offset == fragment->header.fragment_offset && f->size == fragment->payload_bytes &&
            f->last == !fragment->header.more_fragments)
            return memcmp(model->bytes + f->offset, fragment->payload, f->size) == 0;
    }
    return false;
}

static bool model_contradicts(const struct model *model, const struct ip_datagram *fragment)
{
    size_t offset = fragment->header.fragment_offset, end = offset + fragment->payload_bytes;
    unsigned ecn = model->ecn | 1U << (fragment->header.tos & 3);
    for (size_t i = offset; i < end; i++)
        if (model->here[i])
            return true;
    for (size_t i = end; !fragment->header.more_fragments && i < PAYLOAD_MAX; i++)
        if (model->here[i])
            return true;
    if (model->total != 0 && (end > model->total || !fragment->header.more_fragments))
        return true;
    return ecn != 1 && (ecn & 1);
}

static void model_add(struct model *model, const struct ip_datagram *fragment)
{
    size_t offset = fragment->header.fragment_offset, size = fragment->payload_bytes;
    bool last = !fragment->header.more_fragments;
    model->fragment[model->count++] = (struct model_fragment){offset, size, last};
    memcpy(model->bytes + offset, fragment->payload, size);
    memset(model->here + offset, 1, size);
    model->received += size;
    model->ecn |= 1U << (fragment->header.tos & 3);
    if (last)
        model->total = offset + size;
    if (offset == 0) {
        model->first_header_bytes = fragment->header.header_bytes;
        model->first_tos = fragment->header.tos;
    }
}

/* What should come of a fragment that finds room: 1, 0 or -1. */
static int model_take(struct model *model, const struct ip_datagram *fragment)
{
    if (!model->open)
        model_open(model);
    if (model->refused || model_has(model, fragment))
        return -1;
    if (model_contradicts(model, fragment)) {
        model->refused = true;
        return -1;
    }
    model_add(model, fragment);
    for (size_t i = 0; i < model->total; i++)
        if (!model->here[i])
            return 0;
    if (model->total == 0)
        return 0;
    if (model->first_header_bytes + model->total > PAYLOAD_MAX) {
        model->refused = true;
        return -1;
    }
    return 1;
}

/* ---- The steps ---- */

static uint32_t key_source(unsigned key) { return 0x0a4d0010 + (key & 3); }
static uint16_t key_identification(unsigned key) { return (uint16_t)(key >> 2 & 1); }
static uint8_t key_protocol(unsigned key) { return key & 8 ? 6 : 17; }

/* Follows what the module has forgotten: for its limits, or for time. */
static void follow_module(void)
{
    struct stack_reassembly entry;
    uint32_t cursor = 0;
    bool waits[KEYS] = {false};
    size_t memory = 0;
    while (stack_next_reassembly(stack, &cursor, &entry, now_us)) {
        unsigned key = (entry.source_v4 & 3) | (unsigned)entry.identification << 2 |
                       (entry.protocol == 6 ? 8 : 0);
        require(models[key].open && models[key].refused == entry.refused);
        require(entry.refused ||
                (models[key].received == entry.received_bytes &&
                 models[key].total == entry.total_bytes && models[key].count == entry.fragments));
        waits[key] = true;
        memory += entry.memory_bytes;
    }
    require(memory <= stack->reassembly.used_bytes);
    require(stack->reassembly.used_bytes <= stack_settings(stack)->ip_reassembly_memory);
    require(stack->reassembly.count <= DATAGRAMS);
    for (unsigned key = 0; key < KEYS; key++)
        models[key].open = waits[key];
}

static void check_whole(const struct model *model, const struct reassembly_whole *whole)
{
    struct ipv4_header header;
    const struct ip_datagram *datagram = &whole->datagram;
    require(ipv4_parse(datagram->packet, datagram->header.total_bytes, &header) == 0);
    require(memcmp(&header, &datagram->header, sizeof header) == 0);
    require(header.fragment_offset == 0 && !header.more_fragments);
    require(header.header_bytes == model->first_header_bytes);
    require(header.tos == (model->first_tos | (model->ecn & 8 ? 3 : 0)));
    require(datagram->payload_bytes == model->total);
    require(memcmp(datagram->payload, model->bytes, model->total) == 0);
}

static void give_fragment(unsigned key, const struct frame *frame, const uint8_t *packet,
                          size_t size)
{
    struct ip_datagram fragment = {.frame = frame, .packet = packet};
    struct reassembly_whole whole;
    const uint64_t *no_room = stack_counters(stack) + STACK_COUNTER_IP_REASM_NO_ROOM;
    uint64_t before = *no_room;
    require(ipv4_parse(packet, size, &fragment.header) == 0);
    fragment.payload = packet + fragment.header.header_bytes;
    fragment.payload_bytes = size - fragment.header.header_bytes;
    if (!fragment.header.more_fragments && fragment.header.fragment_offset == 0)
        return;
    int result = reassembly_input(stack, &fragment, &whole, now_us);
    if (*no_room == before) {
        int expected = model_is_wrong(&fragment) ? -1 : model_take(&models[key], &fragment);
        require(result == expected);
    }
    if (result == 1) {
        check_whole(&models[key], &whole);
        reassembly_release(stack, &whole);
    }
    follow_module();
}

static void step_fragment(const uint8_t *step)
{
    unsigned key = step[0] & 15, flags = step[4];
    size_t header_bytes = step[0] & 16 ? 24 + (step[2] & 7) * 4U : 20;
    size_t units = step[0] & 32 ? (step[1] & 31) * 256U + step[2] : step[1] & 15;
    size_t size = flags & 1 ? step[3] % 41 : flags & 2 ? step[3] * 256U : step[3] % 32 * 8U;
    size = size < PAYLOAD_MAX - header_bytes ? size : PAYLOAD_MAX - header_bytes;
    uint8_t *packet = malloc(header_bytes + size);
    struct ipv4_header header = {
        .tos = (uint8_t)(flags >> 2 & 3 ? 2 | (flags >> 2 & 1) : 0),
        .ttl = 64,
        .protocol = key_protocol(key),
        .total_bytes = (uint16_t)(header_bytes + size),
        .identification = key_identification(key),
        .fragment_offset = (uint16_t)(units * 8),
        .more_fragments = flags & 16,
        .dont_fragment = flags & 32,
        .source_v4 = key_source(key),
        .destination_v4 = 0x0a4d0002,
    };
    ipv4_write(&header, packet);
    memset(packet + IPV4_HEADER_BYTES, 1, header_bytes - IPV4_HEADER_BYTES);
    packet[0] = (uint8_t)(0x40 | header_bytes / 4);
    ipv4_write_checksum(packet);
    for (size_t i = 0; i < size; i++)
        packet[header_bytes + i] = (uint8_t)((units * 8 + i) * 5 + key + (flags >> 7));
    struct frame frame = {.piece_count = 1, .piece = {{packet, header_bytes + size}}};
    give_fragment(key, &frame, packet, header_bytes + size);
    free(packet);
}

static void let_pass(uint64_t us)
{
    struct frame frame;
    now_us += us;
    while (stack_output(stack, &frame, now_us) > 0)
        continue;
    follow_module();
}

/* From now on there is room for the longest datagrams. */
static void widen_limits(void)
{
    stack_settings(stack)->ip_reassembly_memory = WIDE_BYTES;
    stack_settings(stack)->ip_reassembly_per_source = WIDE_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_stack();
    for (unsigned key = 0; key < KEYS; key++)
        models[key].open = false;
    for (unsigned i = 0; i < STEPS_MAX && size >= STEP_BYTES; i++) {
        if (data[0] == 0xff)
            widen_limits();
        else if (data[0] >= 0xf0)
            let_pass(data[1] * UINT64_C(250000));
        else
            step_fragment(data);
        data += STEP_BYTES;
        size -= STEP_BYTES;
    }
    let_pass(stack_settings(stack)->ip_reassembly_timeout_us);
    require(stack->reassembly.used_bytes == 0 && stack->reassembly.count == 0);
    stack_destroy(stack);
    require(allocated == 0);
    return 0;
}

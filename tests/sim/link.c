/* The link beside what cables do by themselves: accidents of single frames, and a router in the
   middle whose next link is smaller.

   The router answers a datagram that is too large and may not be fragmented with ICMP (RFC 1191, 4),
   which has to find its way back through the other cable with its accidents; what may be fragmented
   it fragments. It holds nothing back and loses nothing by itself. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include "../../tapstack/link/impair_text.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"

enum { QUOTED_PAYLOAD_BYTES = 8, ROUTER_V4 = 0x0a4d00fe };

static const uint64_t HOLD_US = 400000; /* a frame that nothing overtakes goes on then */

/* ---- The cables' rules ---- */

static void rules_add(struct run *run, uint32_t id, const char *text)
{
    struct impair_line line[IMPAIR_LINES_MAX];
    struct impair_error error;
    int count = impair_text_parse(text, line, &error);
    if (count < 0)
        sim_fail(run, -1, -1, "\"%s\", column %u: %s", text, error.column, error.message);
    for (int i = 0; i < count; i++) {
        if (line[i].direction & IMPAIR_OUT)
            cable_add_rule(world_cable(run->world, WORLD_A), id, &line[i].impairment, sim_now(run));
        if (line[i].direction & IMPAIR_IN)
            cable_add_rule(world_cable(run->world, WORLD_B), id, &line[i].impairment, sim_now(run));
    }
}

void link_start(struct run *run)
{
    for (unsigned i = 0; i < run->plan->lines; i++)
        rules_add(run, i + 1, run->plan->line[i]);
}

/* ---- The router ---- */

/* The MTU behind the router for frames from a side; UINT32_MAX: no limit just now. */
static uint32_t path_mtu(const struct run *run, int from)
{
    uint64_t since_us = sim_now(run) - run->plan->world.start_us;
    uint32_t mtu_bytes = UINT32_MAX;
    for (unsigned i = 0; i < run->plan->paths; i++) {
        const struct path_plan *path = &run->plan->path[i];
        bool holds = since_us >= path->after_us && since_us - path->after_us < path->for_us;
        if (holds && path->from == from && path->mtu_bytes < mtu_bytes)
            mtu_bytes = path->mtu_bytes;
    }
    return mtu_bytes;
}

static void inject(struct run *run, int from, size_t size)
{
    if (run->plan->world.cable[from].fcs)
        size = ethernet_pad(run->frame, size);
    world_inject(run->world, from, run->frame, size);
}

/* "Fragmentation needed" or "host unreachable", with the IP header and the first bytes of what did
   not pass. */
static void path_refuse(struct run *run, int from, const struct ethernet_header *ethernet,
                        const struct ipv4_header *ip, const uint8_t *datagram, uint32_t mtu_bytes)
{
    size_t quoted = ip->header_bytes + QUOTED_PAYLOAD_BYTES;
    uint8_t *icmp = run->frame + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
    const struct ethernet_header back = {
        .destination = ethernet->source, .source = {{2, 0, 0, 0, 0, 0xfe}}, .type = ETHERTYPE_IPV4};
    const struct ipv4_header header = {
        .ttl = 64,
        .protocol = IPV4_PROTOCOL_ICMP,
        .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quoted),
        .source_v4 = ROUTER_V4,
        .destination_v4 = ip->source_v4,
    };
    const struct icmp_header message = {.type = ICMP_DESTINATION_UNREACHABLE,
                                        .code = mtu_bytes ? ICMP_CODE_FRAGMENTATION_NEEDED
                                                          : ICMP_CODE_HOST_UNREACHABLE,
                                        .rest = mtu_bytes};
    memcpy(icmp + ICMP_HEADER_BYTES, datagram, quoted);
    icmp_write(&message, icmp, quoted);
    ipv4_write(&header, run->frame + ETHERNET_HEADER_BYTES);
    ethernet_write(&back, run->frame);
    inject(run, 1 - from, ETHERNET_HEADER_BYTES + header.total_bytes);
}

/* RFC 791, 3.2. The stack sends no IP options on TCP. */
static void path_fragment(struct run *run, int from, const struct ethernet_header *ethernet,
                          const struct ipv4_header *ip, const uint8_t *datagram, uint32_t mtu_bytes)
{
    uint32_t payload = ip->total_bytes - (uint32_t)ip->header_bytes;
    uint32_t most = (mtu_bytes - IPV4_HEADER_BYTES) & ~7U;
    for (uint32_t at = 0; at < payload; at += most) {
        uint32_t size = payload - at < most ? payload - at : most;
        struct ipv4_header piece = *ip;
        piece.total_bytes = (uint16_t)(IPV4_HEADER_BYTES + size);
        piece.fragment_offset = (uint16_t)(ip->fragment_offset + at);
        piece.more_fragments = ip->more_fragments || at + size < payload;
        ethernet_write(ethernet, run->frame);
        ipv4_write(&piece, run->frame + ETHERNET_HEADER_BYTES);
        memcpy(run->frame + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES,
               datagram + ip->header_bytes + at, size);
        inject(run, from, ETHERNET_HEADER_BYTES + piece.total_bytes);
    }
}

/* Returns whether the frame passes as it is. */
static bool path_pass(struct run *run, int from, const uint8_t *bytes, size_t size)
{
    uint32_t mtu_bytes = path_mtu(run, from);
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    const uint8_t *datagram = bytes + ETHERNET_HEADER_BYTES;
    if (size <= ETHERNET_HEADER_BYTES + (size_t)mtu_bytes ||
        ethernet_parse(bytes, size, &ethernet) != 0 || ethernet.type != ETHERTYPE_IPV4 ||
        ipv4_parse(datagram, size - ETHERNET_HEADER_BYTES, &ip) != 0)
        return true;
    if (ip.protocol != IPV4_PROTOCOL_TCP)
        return true;
    if (ip.dont_fragment || mtu_bytes == 0)
        path_refuse(run, from, &ethernet, &ip, datagram, mtu_bytes);
    else
        path_fragment(run, from, &ethernet, &ip, datagram, mtu_bytes);
    return false;
}

/* ---- Accidents ---- */

/* One bit flips: which one, the frame's number says. An ARP packet is as likely hit as any. */
static void accident_damage(struct run *run, int from, const uint8_t *bytes, size_t size)
{
    uint64_t random = (uint64_t)run->frame_number ^ run->plan->world.seed;
    uint64_t bit = random_below(&random, size * 8);
    memcpy(run->frame, bytes, size);
    run->frame[bit / 8] ^= (uint8_t)(1U << bit % 8);
    world_inject(run->world, from, run->frame, size);
}

static void accident_hold(struct run *run, int from, const uint8_t *bytes, size_t size)
{
    run->held =
        (struct held_frame){.from = from, .size = size, .release_at = sim_now(run) + HOLD_US};
    memcpy(run->held.bytes, bytes, size);
}

/* Returns whether the frame goes on. */
static bool accident_strike(struct run *run, enum accident what, int from, const uint8_t *bytes,
                            size_t size)
{
    switch (what) {
    case ACCIDENT_DROP:
        return false;
    case ACCIDENT_DUPLICATE:
        world_inject(run->world, from, bytes, size);
        return true;
    case ACCIDENT_DELAY:
        run->held.overtaken = true; /* by nothing, but one frame is kept at a time */
        link_release(run);
        accident_hold(run, from, bytes, size);
        return false;
    case ACCIDENT_CORRUPT:
        accident_damage(run, from, bytes, size);
        return false;
    default:
        return true;
    }
}

static bool accident_pass(struct run *run, int from, const uint8_t *bytes, size_t size)
{
    const struct accident_plan *accident = run->plan->accident;
    bool passes = true;
    for (int i = 0; i < SIM_ACCIDENTS_MAX && passes; i++) {
        if (accident[i].what == ACCIDENT_NONE || accident[i].frame != run->frame_number)
            continue;
        run->result->touched |= i + 1 == SIM_ACCIDENTS_MAX || !accident[i + 1].what;
        passes = accident_strike(run, accident[i].what, from, bytes, size);
    }
    return passes;
}

uint64_t link_release(struct run *run)
{
    if (run->held.size == 0)
        return UINT64_MAX;
    if (!run->held.overtaken && run->held.release_at > sim_now(run))
        return run->held.release_at;
    size_t size = run->held.size;
    run->held.size = 0;
    world_inject(run->world, run->held.from, run->held.bytes, size);
    return UINT64_MAX;
}

bool link_frame(struct run *run, int from, const uint8_t *bytes, size_t size)
{
    bool passes = path_pass(run, from, bytes, size) && accident_pass(run, from, bytes, size);
    if (passes && run->held.size > 0 && run->held.from == from)
        run->held.overtaken = true;
    run->frame_number++;
    return passes;
}

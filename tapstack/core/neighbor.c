/* The neighbor cache (ARP): IPv4 address to MAC address, and the frames that wait for one.

   An entry lives through these states (RFC 4861, 7.3.2, with ARP's packets):

       INCOMPLETE  broadcast requests are out, frames wait; arp.retries of them without an answer
                   make it FAILED, and the senders of the frames are told.
       REACHABLE   answered, or TCP saw progress, within arp.reachable (half to one and a half times
                   of it, drawn anew each time: RFC 4861, 6.3.2); then STALE.
       STALE       the address is known but unproven. Nothing happens until it is used: then DELAY.
                   Not used for arp.idle, it is forgotten.
       DELAY       used, and TCP has arp.delay to prove it; then PROBE.
       PROBE       unicast requests (RFC 1122, 2.3.2.1), arp.probes of them, while frames go on to
                   the address that we have. No answer: INCOMPLETE, everybody is asked.
       FAILED      nobody answered. Frames are dropped for one arp.retry, so that a dead neighbor
                   costs little; the next one after that starts over. Forgotten after a minute.
       PERMANENT   set by hand; no packet changes it.

   An entry is made when we have something to send, or when somebody on our network asks for us;
   nobody else can make one, so strangers can't fill the table. An entry made for an asker is STALE:
   that he asked does not prove that our frames reach him.

   Whom to believe. ARP proves nothing: anybody on the link can claim any address, and RFC 826 takes
   every claim. Where we do not know a MAC, or have never sent to it, so do we. But an entry that we
   have used does not follow a packet that names another MAC: it is contested, and the MAC that we
   have is asked first, by unicast, arp.probes times with arp.verify between them, while frames go
   on to it. Does its owner answer, then the claim was forged, or two hosts have one address: nothing
   changes. Does it not, then everybody is asked, and who answers is believed. So a forger can't
   take over a neighbor that is alive, and a standby that takes over the address of a dead one does
   so within arp.probes * arp.verify (0.6 s) of its announcement. An entry is contested at most once
   a second, so a flood of claims costs one question a second. TCP's progress does not end
   a contest: it may be the work of what was sent before. arp.verify 0 switches all this off. */
#include "neighbor.h"

#include <string.h>

#include "conflict.h"
#include "ip.h"
#include "state.h"

enum {
    FORGET_US = 60000000, /* how long a FAILED entry is shown and kept */
    CONTEST_US = 1000000, /* least time between two contests of an entry */
    PERMILLE = 1000,
};

static const struct mac_address broadcast_mac = {{255, 255, 255, 255, 255, 255}};

static void set_timer(struct stack *stack, struct neighbor *neighbor, uint64_t at_us)
{
    wheel_arm(&stack->neighbors.wheel, &neighbor->timer, at_us);
}

/* ---- Packets ---- */

void neighbor_send_arp(struct stack *stack, unsigned interface, const struct arp_packet *arp,
                       const struct mac_address *destination, uint64_t now_us)
{
    struct packet *packet = NULL;
    if (stack->out.count < PACKET_QUEUE_MAX)
        packet = packet_create(&stack->pool, ETHERNET_MIN_BYTES);
    if (!packet) {
        stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, ETHERNET_MIN_BYTES, now_us);
        return;
    }
    struct ethernet_header ethernet = {
        .destination = *destination,
        .source = arp->sender_mac,
        .type = ETHERTYPE_ARP,
    };
    memset(packet->bytes, 0, ETHERNET_MIN_BYTES);
    ethernet_write(&ethernet, packet->bytes);
    arp_write(arp, packet->bytes + ETHERNET_HEADER_BYTES);
    packet->frame.interface = (uint16_t)interface;
    stack_queue_packet(stack, packet);
    stack_count(stack, arp->operation == ARP_REQUEST ? STACK_COUNTER_ARP_OUT_REQUESTS
                                                     : STACK_COUNTER_ARP_OUT_REPLIES);
}

/* The next request of an INCOMPLETE or PROBE entry: to everybody, or to the MAC that we have. Not
   while our own address is in doubt, for the request would name it as ours (RFC 5227, 2.1.1). */
static void ask_neighbor(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    const struct address *own =
        address_choose(&stack->addresses, neighbor->interface, neighbor->v4);
    bool probe = neighbor->state == NEIGHBOR_PROBE;
    bool hurry = probe && neighbor->contested;
    struct arp_packet request = {
        .operation = ARP_REQUEST,
        .sender_mac = stack->interface[neighbor->interface].mac,
        .sender_v4 = own ? own->v4 : 0,
        .target_v4 = neighbor->v4,
    };
    neighbor->requests++;
    if (own && conflict_may_use(stack, own->v4))
        neighbor_send_arp(stack, neighbor->interface, &request,
                          probe ? &neighbor->mac : &broadcast_mac, now_us);
    set_timer(stack, neighbor,
              now_us + (hurry ? stack->settings.arp_verify_us : stack->settings.arp_retry_us));
}

static void start_asking(struct stack *stack, struct neighbor *neighbor, enum neighbor_state state,
                         uint64_t now_us)
{
    neighbor_table_set_state(stack, neighbor, state, now_us);
    neighbor->requests = 0;
    ask_neighbor(stack, neighbor, now_us);
}

void neighbor_ask(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    bool known = neighbor_is_known(neighbor);
    start_asking(stack, neighbor, known ? NEIGHBOR_PROBE : NEIGHBOR_INCOMPLETE, now_us);
}

/* ---- Sending ---- */

static int use_known(const struct neighbor *neighbor, uint8_t *destination)
{
    memcpy(destination, neighbor->mac.octets, MAC_ADDRESS_BYTES);
    return 1;
}

static void start_delay(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    neighbor_table_set_state(stack, neighbor, NEIGHBOR_DELAY, now_us);
    set_timer(stack, neighbor, now_us + stack->settings.arp_delay_us);
}

/* Has a neighbor that has failed been left alone for long enough? */
static bool has_paused(const struct stack *stack, const struct neighbor *neighbor, uint64_t now_us)
{
    return neighbor->state == NEIGHBOR_FAILED &&
           now_us - neighbor->changed_at >= stack->settings.arp_retry_us;
}

int neighbor_resolve(struct stack *stack, const struct frame *frame, uint8_t *destination,
                     uint32_t next_hop, uint64_t now_us)
{
    struct neighbor *neighbor = neighbor_table_find(stack, frame->interface, next_hop);
    if (!neighbor)
        neighbor = neighbor_table_create(stack, frame->interface, next_hop, true, now_us);
    if (!neighbor)
        return stack_drop(stack, STACK_COUNTER_ARP_TABLE_FULL, 0, frame_size(frame), now_us);
    neighbor->used_at = now_us;
    switch (neighbor->state) {
    case NEIGHBOR_STALE:
        start_delay(stack, neighbor, now_us);
        return use_known(neighbor, destination);
    case NEIGHBOR_FAILED:
        if (!has_paused(stack, neighbor, now_us))
            return stack_drop(stack, STACK_COUNTER_ARP_FAILED, 0, frame_size(frame), now_us);
        start_asking(stack, neighbor, NEIGHBOR_INCOMPLETE, now_us);
        return neighbor_table_push(stack, neighbor, frame, now_us);
    case NEIGHBOR_NONE:
        start_asking(stack, neighbor, NEIGHBOR_INCOMPLETE, now_us);
        return neighbor_table_push(stack, neighbor, frame, now_us);
    case NEIGHBOR_INCOMPLETE:
        return neighbor_table_push(stack, neighbor, frame, now_us);
    default:
        return use_known(neighbor, destination);
    }
}

bool neighbor_has_room(struct stack *stack, unsigned interface, uint32_t next_hop, size_t frames,
                       uint64_t now_us)
{
    if (frames <= stack->settings.arp_queue_max)
        return true;
    struct neighbor *neighbor = neighbor_table_find(stack, interface, next_hop);
    if (!neighbor)
        neighbor = neighbor_table_create(stack, interface, next_hop, true, now_us);
    if (!neighbor)
        return false;
    neighbor->used_at = now_us;
    if (neighbor->state == NEIGHBOR_NONE || has_paused(stack, neighbor, now_us))
        start_asking(stack, neighbor, NEIGHBOR_INCOMPLETE, now_us);
    return neighbor_is_known(neighbor);
}

bool neighbor_has_failed(const struct stack *stack, unsigned interface, uint32_t v4)
{
    const struct neighbor *neighbor = neighbor_table_find(stack, interface, v4);
    return neighbor && neighbor->state == NEIGHBOR_FAILED;
}

bool neighbor_is_silent(const struct stack *stack, unsigned interface, uint32_t v4)
{
    const struct neighbor *neighbor = neighbor_table_find(stack, interface, v4);
    return neighbor && (neighbor->state == NEIGHBOR_FAILED ||
                        (neighbor->state == NEIGHBOR_INCOMPLETE && neighbor->requests > 1));
}

/* ---- Believing ---- */

bool neighbor_is_known(const struct neighbor *neighbor)
{
    switch (neighbor->state) {
    case NEIGHBOR_NONE:
    case NEIGHBOR_INCOMPLETE:
    case NEIGHBOR_FAILED:
        return false;
    default:
        return true;
    }
}

void neighbor_release_queue(struct stack *stack, struct neighbor *neighbor)
{
    struct packet *packet;
    while ((packet = neighbor_table_pop(stack, neighbor))) {
        use_known(neighbor, packet->bytes);
        stack_queue_packet(stack, packet);
    }
}

static uint64_t trusted_until(const struct stack *stack, const struct neighbor *neighbor)
{
    uint64_t base_us = stack->settings.arp_reachable_us;
    return neighbor->confirmed_at + base_us / PERMILLE * neighbor->trust_permille;
}

static void become_reachable(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    neighbor->confirmed_at = now_us;
    neighbor->contested = false;
    if (neighbor->state == NEIGHBOR_REACHABLE)
        return; /* its timer finds the new time when it fires */
    neighbor->trust_permille =
        (uint16_t)(PERMILLE / 2 + stack_random32(stack) % (PERMILLE + 1)); /* RFC 4861, 6.3.2 */
    neighbor_table_set_state(stack, neighbor, NEIGHBOR_REACHABLE, now_us);
    set_timer(stack, neighbor, trusted_until(stack, neighbor));
}

static void become_stale(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    neighbor->contested = false;
    neighbor_table_set_state(stack, neighbor, NEIGHBOR_STALE, now_us);
    set_timer(stack, neighbor, now_us + stack->settings.arp_idle_us);
}

/* Takes over a MAC. answer: to a request of ours. */
static void believe(struct stack *stack, struct neighbor *neighbor, const struct mac_address *mac,
                    bool answer, uint64_t now_us)
{
    static const struct mac_address none = {{0}};
    if (neighbor->used_at != 0 && !mac_address_equal(&neighbor->mac, &none) &&
        !mac_address_equal(&neighbor->mac, mac))
        stack_count(stack, STACK_COUNTER_ARP_MOVED);
    neighbor->mac = *mac;
    if (answer)
        become_reachable(stack, neighbor, now_us);
    else if (neighbor->queue.count > 0)
        start_delay(stack, neighbor, now_us);
    else
        become_stale(stack, neighbor, now_us);
    neighbor_release_queue(stack, neighbor);
}

/* Another MAC claims the address of a neighbor that we know: the one we have is asked first. */
static void contest(struct stack *stack, struct neighbor *neighbor, const struct mac_address *mac,
                    uint64_t now_us)
{
    uint64_t again_at = neighbor->changed_at + CONTEST_US;
    stack_count(stack, STACK_COUNTER_ARP_CLAIMS);
    if (stack->settings.arp_verify_us == 0 || neighbor->used_at == 0) {
        believe(stack, neighbor, mac, false, now_us);
        return;
    }
    if (neighbor->contested)
        return;
    neighbor->contested = true;
    if (neighbor->state == NEIGHBOR_REACHABLE && again_at > now_us) {
        neighbor_table_set_state(stack, neighbor, NEIGHBOR_DELAY, now_us);
        set_timer(stack, neighbor, again_at);
    } else {
        start_asking(stack, neighbor, NEIGHBOR_PROBE, now_us);
    }
}

/* A packet of a neighbor that has an entry. answer: it is a reply to us. */
static void hear_neighbor(struct stack *stack, struct neighbor *neighbor,
                          const struct mac_address *mac, bool answer, uint64_t now_us)
{
    bool asked = neighbor->state == NEIGHBOR_INCOMPLETE || neighbor->state == NEIGHBOR_PROBE;
    if (neighbor->state == NEIGHBOR_PERMANENT)
        return;
    if (!neighbor_is_known(neighbor))
        believe(stack, neighbor, mac, answer && asked, now_us);
    else if (!mac_address_equal(&neighbor->mac, mac))
        contest(stack, neighbor, mac, now_us);
    else if (answer && asked)
        become_reachable(stack, neighbor, now_us);
}

void neighbor_confirm(struct stack *stack, unsigned interface, uint32_t next_hop, uint64_t now_us)
{
    struct neighbor *neighbor = neighbor_table_find(stack, interface, next_hop);
    if (neighbor && !neighbor->contested && neighbor_is_known(neighbor) &&
        neighbor->state != NEIGHBOR_PERMANENT)
        become_reachable(stack, neighbor, now_us);
}

/* ---- Receiving ---- */

/* Can a packet with this sender be true? An address probe (RFC 5227, 2.1.1) has no sender
   address. */
static bool is_valid_sender(const struct stack *stack, unsigned interface,
                            const struct arp_packet *arp)
{
    static const struct mac_address none = {{0}};
    if (mac_address_is_group(&arp->sender_mac) || mac_address_equal(&arp->sender_mac, &none) ||
        mac_address_equal(&arp->sender_mac, &stack->interface[interface].mac))
        return false;
    if (arp->sender_v4 == 0)
        return arp->operation == ARP_REQUEST;
    enum address_kind kind = address_find(&stack->addresses, arp->sender_v4, NULL);
    return ipv4_is_valid_source(arp->sender_v4) &&
           (kind == ADDRESS_FOREIGN || kind == ADDRESS_LOCAL);
}

/* Is the address on the network of this interface? Others are never neighbors. */
static bool is_on_link(const struct stack *stack, unsigned interface, uint32_t v4)
{
    uint32_t next_hop;
    const struct route *route = route_find(&stack->routes, v4, &next_hop);
    return route && route->interface == interface && next_hop == v4;
}

/* Do we answer for a host that we forward to on another interface (RFC 1027)? Never for one on the
   asker's own link, nor to one that announces its address. There is nobody on the link who could
   answer better, so the answer is not delayed. */
static bool is_proxied(const struct stack *stack, unsigned interface, const struct arp_packet *arp)
{
    uint32_t next_hop;
    if (!stack->interface[interface].proxy_arp || !stack->settings.ip_forward ||
        arp->sender_v4 == arp->target_v4 || !ipv4_is_valid_source(arp->target_v4) ||
        address_find(&stack->addresses, arp->target_v4, NULL) != ADDRESS_FOREIGN)
        return false;
    const struct route *route = route_find(&stack->routes, arp->target_v4, &next_hop);
    return route && route->interface != interface;
}

/* Answers a request with our MAC for the address that it asks for. */
static void send_reply(struct stack *stack, unsigned interface, const struct arp_packet *request,
                       uint64_t now_us)
{
    struct arp_packet reply = {
        .operation = ARP_REPLY,
        .sender_mac = stack->interface[interface].mac,
        .sender_v4 = request->target_v4,
        .target_mac = request->sender_mac,
        .target_v4 = request->sender_v4,
    };
    neighbor_send_arp(stack, interface, &reply, &request->sender_mac, now_us);
}

/* An asker that we do not know will be sent to soon: it is remembered, where there is room. */
static void remember_asker(struct stack *stack, unsigned interface, const struct arp_packet *arp,
                           uint64_t now_us)
{
    if (arp->sender_v4 == 0 || !is_on_link(stack, interface, arp->sender_v4))
        return;
    struct neighbor *neighbor =
        neighbor_table_create(stack, interface, arp->sender_v4, false, now_us);
    if (neighbor)
        believe(stack, neighbor, &arp->sender_mac, false, now_us);
    else
        stack_count(stack, STACK_COUNTER_ARP_NOT_LEARNED);
}

/* A packet whose sender is a host that can be. */
static int take_packet(struct stack *stack, unsigned interface, const struct arp_packet *arp,
                       uint64_t now_us)
{
    bool request = arp->operation == ARP_REQUEST;
    bool to_us = conflict_is_own(stack, interface, arp->target_v4);
    struct neighbor *neighbor = neighbor_table_find(stack, interface, arp->sender_v4);
    if (neighbor)
        hear_neighbor(stack, neighbor, &arp->sender_mac, to_us && !request, now_us);
    if (to_us && request) {
        send_reply(stack, interface, arp, now_us);
        if (!neighbor)
            remember_asker(stack, interface, arp, now_us);
    } else if (request && is_proxied(stack, interface, arp)) {
        stack_count(stack, STACK_COUNTER_ARP_OUT_PROXIES);
        send_reply(stack, interface, arp, now_us);
    } else if (!neighbor) {
        return stack_drop(stack, STACK_COUNTER_ARP_IN_IGNORED, 0, ARP_BYTES, now_us);
    }
    return 0;
}

/* A frame to another card reaches us when ours is promiscuous; answering it would tell. */
static bool is_addressed(const struct stack *stack, unsigned interface,
                         const struct mac_address *destination)
{
    return mac_address_equal(destination, &broadcast_mac) ||
           mac_address_equal(destination, &stack->interface[interface].mac);
}

int neighbor_input(struct stack *stack, unsigned interface, const struct ethernet_header *ethernet,
                   const uint8_t *bytes, size_t size, uint64_t now_us)
{
    struct arp_packet arp;
    int error = arp_parse(bytes, size, &arp);
    if (error)
        return stack_drop(stack,
                          error == ARP_BAD_OPERATION ? STACK_COUNTER_ARP_IN_UNKNOWN_OPS
                                                     : STACK_COUNTER_ARP_IN_ERRORS,
                          0, size, now_us);
    stack_count(stack, arp.operation == ARP_REQUEST ? STACK_COUNTER_ARP_IN_REQUESTS
                                                    : STACK_COUNTER_ARP_IN_REPLIES);
    if (!is_valid_sender(stack, interface, &arp))
        return stack_drop(stack, STACK_COUNTER_ARP_IN_ERRORS, 0, size, now_us);
    /* RFC 826 does not compare them, and proxies and clusters differ honestly: only counted. */
    if (!mac_address_equal(&arp.sender_mac, &ethernet->source))
        stack_count(stack, STACK_COUNTER_ARP_IN_MISMATCHES);
    if (!is_addressed(stack, interface, &ethernet->destination))
        return stack_drop(stack, STACK_COUNTER_ARP_IN_IGNORED, 0, size, now_us);
    if (conflict_input(stack, interface, &arp, now_us))
        return stack_drop(stack, STACK_COUNTER_ARP_CONFLICTS, 0, size, now_us);
    if (ip_is_local(stack, arp.sender_v4)) /* of ours on another link */
        return stack_drop(stack, STACK_COUNTER_ARP_IN_ERRORS, 0, size, now_us);
    return take_packet(stack, interface, &arp, now_us);
}

/* ---- Time ---- */

static void fail_neighbor(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    struct packet_queue lost = {0};
    struct packet *packet;
    neighbor_table_set_state(stack, neighbor, NEIGHBOR_FAILED, now_us);
    set_timer(stack, neighbor, now_us + FORGET_US);
    while ((packet = neighbor_table_pop(stack, neighbor)))
        packet_queue_push(&lost, packet);
    /* Telling the senders needs neighbors too, and may cost this one its place in the table. */
    while ((packet = packet_queue_pop(&lost))) {
        ip_undeliverable(stack, &packet->frame, now_us);
        stack_drop(stack, STACK_COUNTER_ARP_FAILED, 0, frame_size(&packet->frame), now_us);
        packet_destroy(&stack->pool, packet);
    }
}

/* No answer to the last unicast probe: the address may have moved, so everybody is asked. */
static void give_up_mac(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    neighbor->contested = false;
    start_asking(stack, neighbor, NEIGHBOR_INCOMPLETE, now_us);
}

void neighbor_timer(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    const struct stack_settings *settings = &stack->settings;
    switch (neighbor->state) {
    case NEIGHBOR_INCOMPLETE:
        if (neighbor->requests < settings->arp_retries)
            ask_neighbor(stack, neighbor, now_us);
        else
            fail_neighbor(stack, neighbor, now_us);
        break;
    case NEIGHBOR_PROBE:
        if (neighbor->requests < settings->arp_probes)
            ask_neighbor(stack, neighbor, now_us);
        else
            give_up_mac(stack, neighbor, now_us);
        break;
    case NEIGHBOR_REACHABLE:
        /* Confirmations do not move the timer: they come with every ACK. */
        if (trusted_until(stack, neighbor) > now_us)
            set_timer(stack, neighbor, trusted_until(stack, neighbor));
        else
            become_stale(stack, neighbor, now_us);
        break;
    case NEIGHBOR_DELAY:
        start_asking(stack, neighbor, NEIGHBOR_PROBE, now_us);
        break;
    case NEIGHBOR_STALE:
    case NEIGHBOR_FAILED:
        neighbor_table_remove(stack, neighbor, STACK_COUNTER_ARP_FAILED, now_us);
        break;
    default:
        break;
    }
}

/* The neighbor cache (ARP): IPv4 address to MAC address, and the frames that wait for one.

   An entry lives through these states (RFC 4861, 7.3.2, with ARP's packets):

       INCOMPLETE  a broadcast request is out, frames wait; arp_retries requests without an answer
                   make it FAILED and drop the frames.
       REACHABLE   answered, or TCP saw progress, within arp_reachable_us; then STALE.
       STALE       the address is known but unproven. Nothing happens until it is used: then DELAY.
       DELAY       used, and TCP has five seconds to prove it; then PROBE.
       PROBE       unicast requests, arp_retries of them; then FAILED.
       FAILED      nobody answered. Frames are dropped for one arp_retry_us, so that a dead neighbor
                   costs little; the next one after that starts over. Forgotten after a minute.
       PERMANENT   set by hand; no packet changes it.

   An entry is made when we have something to send, or when somebody on our network asks for us;
   nobody else can make one, so strangers can't fill the table. An entry made for an asker is STALE:
   that he asked does not prove that our frames reach him. What we believe of an entry that exists
   follows every packet of its owner, as RFC 826 has it.

   When the table is full the least useful entry goes: a FAILED one, else the STALE one that we have
   not sent to for the longest time, never a gateway. */
#include "neighbor.h"

#include <string.h>

#include "../wire/ethernet.h"
#include "ip.h"
#include "state.h"

enum {
    DELAY_US = 5000000,   /* DELAY_FIRST_PROBE_TIME of RFC 4861, 10 */
    FORGET_US = 60000000, /* how long a FAILED entry is shown and kept */
};

static const struct mac_address broadcast_mac = {{255, 255, 255, 255, 255, 255}};

/* The chain an address belongs to. The secret factor keeps strangers from choosing addresses that
   all fall into one chain (multiply-shift hashing); the constant spreads them under a poor seed
   too. */
static struct neighbor **find_bucket(struct stack *stack, uint32_t v4)
{
    uint64_t factor;
    memcpy(&factor, stack->seed, sizeof factor);
    factor = (factor ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
    return &stack->neighbors.bucket[v4 * factor >> 56];
}

static struct neighbor *find_neighbor(struct stack *stack, unsigned interface, uint32_t v4)
{
    struct neighbor *neighbor = *find_bucket(stack, v4);
    while (neighbor && (neighbor->v4 != v4 || neighbor->interface != interface))
        neighbor = neighbor->next;
    return neighbor;
}

static void set_state(struct stack *stack, struct neighbor *neighbor, enum neighbor_state state,
                      uint64_t now_us)
{
    if (neighbor->state == state)
        return;
    stack_event_add(stack, STACK_EVENT_NEIGHBOR, 0, now_us, neighbor->state, state, neighbor->v4,
                    0);
    neighbor->state = (uint8_t)state;
    neighbor->changed_at = now_us;
    wheel_cancel(&stack->neighbors.wheel, &neighbor->timer);
}

static void set_timer(struct stack *stack, struct neighbor *neighbor, uint64_t at_us)
{
    wheel_arm(&stack->neighbors.wheel, &neighbor->timer, at_us);
}

/* ---- The table ---- */

static void drop_queue(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    struct packet *packet;
    while ((packet = packet_queue_pop(&neighbor->queue))) {
        stack_drop(stack, STACK_COUNTER_ARP_FAILED, 0, frame_size(&packet->frame), now_us);
        packet_destroy(&stack->pool, packet);
    }
}

static void remove_neighbor(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    struct neighbor **link = find_bucket(stack, neighbor->v4);
    while (*link != neighbor)
        link = &(*link)->next;
    *link = neighbor->next;
    stack->neighbors.count--;
    set_state(stack, neighbor, NEIGHBOR_NONE, now_us);
    drop_queue(stack, neighbor, now_us);
    pool_give(&stack->pool, neighbor, sizeof *neighbor);
}

static bool is_gateway(const struct stack *stack, const struct neighbor *neighbor)
{
    for (unsigned i = 0; i < stack->routes.count; i++) {
        const struct route *route = &stack->routes.route[i];
        if (route->gateway == neighbor->v4 && route->interface == neighbor->interface)
            return true;
    }
    return false;
}

/* Would we rather lose a than b? Both are FAILED or STALE. */
static bool is_less_useful(const struct neighbor *a, const struct neighbor *b)
{
    if (a->state != b->state)
        return a->state == NEIGHBOR_FAILED;
    if (a->used_at != b->used_at)
        return a->used_at < b->used_at;
    return a->changed_at < b->changed_at;
}

/* Makes room for one entry. Looks at all of them, but only when the table is full. */
static bool evict_neighbor(struct stack *stack, uint64_t now_us)
{
    struct neighbor *victim = NULL;
    for (unsigned bucket = 0; bucket < NEIGHBOR_BUCKETS; bucket++) {
        for (struct neighbor *n = stack->neighbors.bucket[bucket]; n; n = n->next) {
            if ((n->state == NEIGHBOR_STALE || n->state == NEIGHBOR_FAILED) &&
                (!victim || is_less_useful(n, victim)) && !is_gateway(stack, n))
                victim = n;
        }
    }
    if (victim)
        remove_neighbor(stack, victim, now_us);
    return victim != NULL;
}

/* A new entry in no state yet, or NULL when there is no room. */
static struct neighbor *create_neighbor(struct stack *stack, unsigned interface, uint32_t v4,
                                        uint64_t now_us)
{
    if (stack->neighbors.count >= stack->settings.arp_table_max && !evict_neighbor(stack, now_us))
        return NULL;
    struct neighbor *neighbor = pool_take(&stack->pool, sizeof *neighbor);
    if (!neighbor)
        return NULL;
    struct neighbor **bucket = find_bucket(stack, v4);
    *neighbor = (struct neighbor){
        .next = *bucket,
        .v4 = v4,
        .interface = (uint16_t)interface,
        .changed_at = now_us,
    };
    *bucket = neighbor;
    stack->neighbors.count++;
    return neighbor;
}

void neighbor_close(struct stack *stack)
{
    for (unsigned bucket = 0; bucket < NEIGHBOR_BUCKETS; bucket++) {
        struct neighbor *neighbor;
        while ((neighbor = stack->neighbors.bucket[bucket])) {
            stack->neighbors.bucket[bucket] = neighbor->next;
            wheel_cancel(&stack->neighbors.wheel, &neighbor->timer);
            packet_queue_clear(&neighbor->queue, &stack->pool);
            pool_give(&stack->pool, neighbor, sizeof *neighbor);
        }
    }
    stack->neighbors.count = 0;
}

/* ---- Sending ---- */

/* Queues a frame with an ARP packet of ours, padded to Ethernet's least size. */
static void send_arp(struct stack *stack, unsigned interface, const struct arp_packet *arp,
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

/* Asks for an address: everybody, or only the host that last had it. */
static void send_request(struct stack *stack, unsigned interface, uint32_t target_v4,
                         const struct mac_address *destination, uint64_t now_us)
{
    const struct stack_interface_config *own = &stack->interface[interface];
    struct arp_packet request = {
        .operation = ARP_REQUEST,
        .sender_mac = own->mac,
        .sender_v4 = own->address_v4,
        .target_v4 = target_v4,
    };
    send_arp(stack, interface, &request, destination, now_us);
}

void neighbor_announce(struct stack *stack, unsigned interface, uint64_t now_us)
{
    send_request(stack, interface, stack->interface[interface].address_v4, &broadcast_mac, now_us);
}

static void send_reply(struct stack *stack, unsigned interface, const struct arp_packet *request,
                       uint64_t now_us)
{
    const struct stack_interface_config *own = &stack->interface[interface];
    struct arp_packet reply = {
        .operation = ARP_REPLY,
        .sender_mac = own->mac,
        .sender_v4 = own->address_v4,
        .target_mac = request->sender_mac,
        .target_v4 = request->sender_v4,
    };
    send_arp(stack, interface, &reply, &request->sender_mac, now_us);
}

/* The next request of an INCOMPLETE or PROBE entry. */
static void ask_neighbor(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    bool known = neighbor->state == NEIGHBOR_PROBE;
    neighbor->requests++;
    send_request(stack, neighbor->interface, neighbor->v4, known ? &neighbor->mac : &broadcast_mac,
                 now_us);
    set_timer(stack, neighbor, now_us + stack->settings.arp_retry_us);
}

static void start_asking(struct stack *stack, struct neighbor *neighbor, enum neighbor_state state,
                         uint64_t now_us)
{
    set_state(stack, neighbor, state, now_us);
    neighbor->requests = 0;
    ask_neighbor(stack, neighbor, now_us);
}

/* Keeps a copy of the frame until the neighbor is known. Returns 0, or -1 when it was dropped. */
static int queue_frame(struct stack *stack, struct neighbor *neighbor, const struct frame *frame,
                       uint64_t now_us)
{
    struct packet *packet = packet_copy(&stack->pool, frame);
    if (!packet)
        return stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, frame_size(frame), now_us);
    packet->queued_at = now_us;
    if (neighbor->queue.count >= stack->settings.arp_queue_max) {
        struct packet *oldest = packet_queue_pop(&neighbor->queue);
        stack_drop(stack, STACK_COUNTER_ARP_QUEUE_DROPS, 0, frame_size(&oldest->frame), now_us);
        packet_destroy(&stack->pool, oldest);
    }
    packet_queue_push(&neighbor->queue, packet);
    return 0;
}

static int use_known(const struct neighbor *neighbor, uint8_t *destination)
{
    memcpy(destination, neighbor->mac.octets, MAC_ADDRESS_BYTES);
    return 1;
}

static void start_delay(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    set_state(stack, neighbor, NEIGHBOR_DELAY, now_us);
    set_timer(stack, neighbor, now_us + DELAY_US);
}

int neighbor_resolve(struct stack *stack, const struct frame *frame, uint8_t *destination,
                     uint32_t next_hop, uint64_t now_us)
{
    struct neighbor *neighbor = find_neighbor(stack, frame->interface, next_hop);
    if (!neighbor)
        neighbor = create_neighbor(stack, frame->interface, next_hop, now_us);
    if (!neighbor)
        return stack_drop(stack, STACK_COUNTER_ARP_TABLE_FULL, 0, frame_size(frame), now_us);
    neighbor->used_at = now_us;
    switch (neighbor->state) {
    case NEIGHBOR_STALE:
        start_delay(stack, neighbor, now_us);
        return use_known(neighbor, destination);
    case NEIGHBOR_FAILED:
        if (now_us - neighbor->changed_at < stack->settings.arp_retry_us)
            return stack_drop(stack, STACK_COUNTER_ARP_FAILED, 0, frame_size(frame), now_us);
        start_asking(stack, neighbor, NEIGHBOR_INCOMPLETE, now_us);
        return queue_frame(stack, neighbor, frame, now_us);
    case NEIGHBOR_NONE:
        start_asking(stack, neighbor, NEIGHBOR_INCOMPLETE, now_us);
        return queue_frame(stack, neighbor, frame, now_us);
    case NEIGHBOR_INCOMPLETE:
        return queue_frame(stack, neighbor, frame, now_us);
    default:
        return use_known(neighbor, destination);
    }
}

/* ---- Learning ---- */

static void release_queue(struct stack *stack, struct neighbor *neighbor)
{
    struct packet *packet;
    while ((packet = packet_queue_pop(&neighbor->queue))) {
        use_known(neighbor, packet->bytes);
        stack_queue_packet(stack, packet);
    }
}

static void become_reachable(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    neighbor->confirmed_at = now_us;
    set_state(stack, neighbor, NEIGHBOR_REACHABLE, now_us);
    if (!wheel_is_armed(&neighbor->timer))
        set_timer(stack, neighbor, now_us + stack->settings.arp_reachable_us);
}

/* Takes over what a packet says of its sender. answer: it is a reply to a request of ours. */
static void learn_mac(struct stack *stack, struct neighbor *neighbor, const struct mac_address *mac,
                      bool answer, uint64_t now_us)
{
    if (neighbor->state == NEIGHBOR_PERMANENT)
        return;
    bool unknown = neighbor->state == NEIGHBOR_NONE || neighbor->state == NEIGHBOR_INCOMPLETE ||
                   neighbor->state == NEIGHBOR_FAILED;
    bool changed = unknown || !mac_address_equal(&neighbor->mac, mac);
    neighbor->mac = *mac;
    if (answer)
        become_reachable(stack, neighbor, now_us);
    else if (neighbor->queue.count > 0)
        start_delay(stack, neighbor, now_us);
    else if (changed)
        set_state(stack, neighbor, NEIGHBOR_STALE, now_us);
    release_queue(stack, neighbor);
}

void neighbor_confirm(struct stack *stack, unsigned interface, uint32_t next_hop, uint64_t now_us)
{
    struct neighbor *neighbor = find_neighbor(stack, interface, next_hop);
    if (!neighbor)
        return;
    switch (neighbor->state) {
    case NEIGHBOR_REACHABLE:
        neighbor->confirmed_at = now_us;
        break;
    case NEIGHBOR_STALE:
    case NEIGHBOR_DELAY:
    case NEIGHBOR_PROBE:
        become_reachable(stack, neighbor, now_us);
        break;
    default:
        break;
    }
}

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
    return ipv4_is_valid_source(arp->sender_v4) && !ip_is_local(stack, arp->sender_v4) &&
           !ip_is_broadcast(stack, arp->sender_v4);
}

/* Is the address on the network of this interface? Others are never neighbors. */
static bool is_on_link(const struct stack *stack, unsigned interface, uint32_t v4)
{
    uint32_t next_hop;
    const struct route *route = route_find(&stack->routes, v4, &next_hop);
    return route && route->interface == interface && next_hop == v4;
}

static void answer_request(struct stack *stack, unsigned interface, const struct arp_packet *arp,
                           struct neighbor *neighbor, uint64_t now_us)
{
    send_reply(stack, interface, arp, now_us);
    if (!neighbor && arp->sender_v4 != 0 && is_on_link(stack, interface, arp->sender_v4)) {
        neighbor = create_neighbor(stack, interface, arp->sender_v4, now_us);
        if (neighbor)
            learn_mac(stack, neighbor, &arp->sender_mac, false, now_us);
    }
}

int neighbor_input(struct stack *stack, unsigned interface, const uint8_t *bytes, size_t size,
                   uint64_t now_us)
{
    struct arp_packet arp;
    if (arp_parse(bytes, size, &arp) != 0)
        return stack_drop(stack, STACK_COUNTER_ARP_IN_ERRORS, 0, size, now_us);
    stack_count(stack, arp.operation == ARP_REQUEST ? STACK_COUNTER_ARP_IN_REQUESTS
                                                    : STACK_COUNTER_ARP_IN_REPLIES);
    if (!is_valid_sender(stack, interface, &arp))
        return stack_drop(stack, STACK_COUNTER_ARP_IN_ERRORS, 0, size, now_us);

    bool to_us = arp.target_v4 == stack->interface[interface].address_v4;
    bool for_us = to_us && arp.operation == ARP_REQUEST;
    struct neighbor *neighbor = find_neighbor(stack, interface, arp.sender_v4);
    if (neighbor) {
        bool asked = neighbor->state == NEIGHBOR_INCOMPLETE || neighbor->state == NEIGHBOR_PROBE;
        learn_mac(stack, neighbor, &arp.sender_mac, asked && to_us && arp.operation == ARP_REPLY,
                  now_us);
    }
    if (for_us)
        answer_request(stack, interface, &arp, neighbor, now_us);
    else if (!neighbor)
        return stack_drop(stack, STACK_COUNTER_ARP_IN_IGNORED, 0, size, now_us);
    return 0;
}

/* ---- Time ---- */

static void fail_neighbor(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    set_state(stack, neighbor, NEIGHBOR_FAILED, now_us);
    for (struct packet *packet = neighbor->queue.first; packet; packet = packet->next)
        ip_undeliverable(stack, &packet->frame, now_us);
    drop_queue(stack, neighbor, now_us);
    set_timer(stack, neighbor, now_us + FORGET_US);
}

void neighbor_timer(struct stack *stack, struct neighbor *neighbor, uint64_t now_us)
{
    uint64_t stale_at = neighbor->confirmed_at + stack->settings.arp_reachable_us;
    switch (neighbor->state) {
    case NEIGHBOR_INCOMPLETE:
    case NEIGHBOR_PROBE:
        if (neighbor->requests < stack->settings.arp_retries)
            ask_neighbor(stack, neighbor, now_us);
        else
            fail_neighbor(stack, neighbor, now_us);
        break;
    case NEIGHBOR_REACHABLE:
        /* Confirmations do not move the timer: they come with every ACK. */
        if (stale_at > now_us)
            set_timer(stack, neighbor, stale_at);
        else
            set_state(stack, neighbor, NEIGHBOR_STALE, now_us);
        break;
    case NEIGHBOR_DELAY:
        start_asking(stack, neighbor, NEIGHBOR_PROBE, now_us);
        break;
    case NEIGHBOR_FAILED:
        remove_neighbor(stack, neighbor, now_us);
        break;
    default:
        break;
    }
}

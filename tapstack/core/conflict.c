/* Our own addresses on their links: probed before use, announced, defended (RFC 5227).

       TENTATIVE   nothing is sent or taken under the address. arp.address_probes requests without
                   a sender go out; whoever answers, or probes for the same, has it: GIVEN_UP.
                   Silence until arp.announce_wait after the last: ANNOUNCED.
       ANNOUNCED   in use; arp.announcements requests for ourselves, then IN_USE.
       IN_USE      a packet of another host that names our address as its own is a conflict. By
                   arp.conflict it is ignored, answered with an announcement (a defence, at most one
                   every arp.defend_interval, RFC 5227 2.4(c)), answered once and given up when it
                   comes again within that time (2.4(b)), or given up at once (2.4(a)).
       GIVEN_UP    as TENTATIVE; after arp.recheck it is probed again, whatever arp.address_probes
                   says.

   Without probes (the default: a server must be there at once, and its address is set by a person)
   an address starts as ANNOUNCED. Connections of an address that was given up are not reset: a reset
   would have to use the address. They wait, as with a cable pulled, and go on when the recheck finds
   the address free, or time out. */
#include "conflict.h"

#include "neighbor.h"
#include "state.h"

enum conflict_policy { CONFLICT_IGNORE, CONFLICT_DEFEND, CONFLICT_DEFEND_ONCE, CONFLICT_GIVE_UP };

enum { RECHECK_PROBES = 3 /* PROBE_NUM of RFC 5227, 1.1 */ };

static const struct mac_address broadcast_mac = {{255, 255, 255, 255, 255, 255}};

static bool is_usable(const struct conflict_address *address)
{
    return address->state == ADDRESS_ANNOUNCED || address->state == ADDRESS_IN_USE;
}

static struct conflict_address *find_address(const struct stack *stack, unsigned interface,
                                             uint32_t v4)
{
    const struct conflict_table *table = &stack->conflicts;
    for (unsigned i = 0; i < table->count; i++)
        if (table->address[i].v4 == v4 && table->address[i].interface == interface)
            return (struct conflict_address *)(uintptr_t)&table->address[i];
    return NULL;
}

bool conflict_is_own(const struct stack *stack, unsigned interface, uint32_t v4)
{
    const struct conflict_address *address = find_address(stack, interface, v4);
    return address && is_usable(address);
}

bool conflict_may_use(const struct stack *stack, uint32_t v4)
{
    const struct conflict_table *table = &stack->conflicts;
    for (unsigned i = 0; table->unusable > 0 && i < table->count; i++)
        if (table->address[i].v4 == v4)
            return is_usable(&table->address[i]);
    return true;
}

/* ---- Steps ---- */

/* Finds the earliest step, and how many addresses can't be used, after a change. */
static void update_table(struct conflict_table *table)
{
    table->due_at = UINT64_MAX;
    table->unusable = 0;
    for (unsigned i = 0; i < table->count; i++) {
        const struct conflict_address *address = &table->address[i];
        table->unusable += !is_usable(address);
        if (address->due_at < table->due_at)
            table->due_at = address->due_at;
    }
}

static void set_state(struct stack *stack, struct conflict_address *address,
                      enum address_state state, uint64_t due_at, uint64_t now_us)
{
    stack_event_add(stack, STACK_EVENT_ADDRESS, 0, now_us, address->state, state, address->v4, 0);
    address->state = (uint8_t)state;
    address->sent = 0;
    address->due_at = due_at;
    update_table(&stack->conflicts);
}

static uint64_t draw_between(struct stack *stack, uint64_t least_us, uint64_t most_us)
{
    return most_us > least_us ? least_us + stack_random32(stack) % (most_us - least_us + 1)
                              : least_us;
}

/* A request for our own address: a probe (sender_v4 0) or an announcement. */
static void send_own(struct stack *stack, const struct conflict_address *address,
                     uint32_t sender_v4, uint64_t now_us)
{
    struct arp_packet arp = {
        .operation = ARP_REQUEST,
        .sender_mac = stack->interface[address->interface].mac,
        .sender_v4 = sender_v4,
        .target_v4 = address->v4,
    };
    neighbor_send_arp(stack, address->interface, &arp, &broadcast_mac, now_us);
}

static void announce(struct stack *stack, struct conflict_address *address, uint64_t now_us)
{
    send_own(stack, address, address->v4, now_us);
    address->sent++;
    address->due_at = now_us + stack->settings.arp_announce_interval_us;
    if (address->sent >= stack->settings.arp_announcements)
        set_state(stack, address, ADDRESS_IN_USE, UINT64_MAX, now_us);
}

static void start_announcing(struct stack *stack, struct conflict_address *address, uint64_t now_us)
{
    set_state(stack, address, ADDRESS_ANNOUNCED, now_us, now_us);
    announce(stack, address, now_us);
}

static void start_probing(struct stack *stack, struct conflict_address *address, uint64_t now_us)
{
    uint64_t wait_us = draw_between(stack, 0, stack->settings.arp_probe_wait_us);
    set_state(stack, address, ADDRESS_TENTATIVE, now_us + wait_us, now_us);
}

static void probe(struct stack *stack, struct conflict_address *address, uint64_t now_us)
{
    const struct stack_settings *settings = &stack->settings;
    uint64_t probes = settings->arp_address_probes ? settings->arp_address_probes : RECHECK_PROBES;
    if (address->sent >= probes) {
        start_announcing(stack, address, now_us);
        return;
    }
    send_own(stack, address, 0, now_us);
    address->sent++;
    address->due_at =
        now_us + (address->sent < probes
                      ? draw_between(stack, settings->arp_probe_min_us, settings->arp_probe_max_us)
                      : settings->arp_announce_wait_us);
}

static void give_up(struct stack *stack, struct conflict_address *address, uint64_t now_us)
{
    set_state(stack, address, ADDRESS_GIVEN_UP, now_us + stack->settings.arp_recheck_us, now_us);
}

void conflict_serve(struct stack *stack, uint64_t now_us)
{
    struct conflict_table *table = &stack->conflicts;
    if (now_us < table->due_at)
        return;
    for (unsigned i = 0; i < table->count; i++) {
        struct conflict_address *address = &table->address[i];
        if (now_us < address->due_at)
            continue;
        if (address->state == ADDRESS_ANNOUNCED)
            announce(stack, address, now_us);
        else if (address->state == ADDRESS_TENTATIVE)
            probe(stack, address, now_us);
        else
            start_probing(stack, address, now_us);
    }
    update_table(table);
}

/* ---- Addresses come and go ---- */

void conflict_open(struct conflict_table *table) { table->due_at = UINT64_MAX; }

int conflict_start(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us)
{
    struct conflict_table *table = &stack->conflicts;
    if (find_address(stack, interface, v4))
        return STACK_IN_USE;
    if (table->count == CONFLICT_ADDRESSES_MAX)
        return STACK_NO_MEMORY;
    struct conflict_address *address = &table->address[table->count++];
    *address =
        (struct conflict_address){.v4 = v4, .interface = (uint16_t)interface, .due_at = UINT64_MAX};
    if (stack->settings.arp_address_probes > 0)
        start_probing(stack, address, now_us);
    else
        start_announcing(stack, address, now_us);
    update_table(table);
    return 0;
}

void conflict_stop(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us)
{
    struct conflict_table *table = &stack->conflicts;
    struct conflict_address *address = find_address(stack, interface, v4);
    if (!address)
        return;
    set_state(stack, address, ADDRESS_NONE, UINT64_MAX, now_us);
    *address = table->address[--table->count];
    update_table(table);
}

/* ---- Conflicts ---- */

static bool may_defend(const struct stack *stack, const struct conflict_address *address,
                       uint64_t now_us)
{
    return address->defended_at == 0 ||
           now_us - address->defended_at >= stack->settings.arp_defend_interval_us;
}

static void defend(struct stack *stack, struct conflict_address *address, uint64_t now_us)
{
    address->defended_at = now_us;
    stack_count(stack, STACK_COUNTER_ARP_DEFENCES);
    send_own(stack, address, address->v4, now_us);
}

/* Acts by the policy on a conflict about an address in use. Returns whether it was defended. */
static bool resist(struct stack *stack, struct conflict_address *address, uint64_t now_us)
{
    uint64_t policy = stack->settings.arp_conflict;
    bool defends = (policy == CONFLICT_DEFEND || policy == CONFLICT_DEFEND_ONCE) &&
                   may_defend(stack, address, now_us);
    if (defends)
        defend(stack, address, now_us);
    else if (policy == CONFLICT_DEFEND_ONCE || policy == CONFLICT_GIVE_UP)
        give_up(stack, address, now_us);
    return defends;
}

/* The address that a packet claims, or NULL: its sender's, or the one it probes for as we do (RFC
   5227, 2.1.1). */
static struct conflict_address *find_claimed(const struct stack *stack, unsigned interface,
                                             const struct arp_packet *arp)
{
    struct conflict_address *address;
    if (arp->sender_v4 != 0)
        return find_address(stack, interface, arp->sender_v4);
    address = find_address(stack, interface, arp->target_v4);
    return address && address->state == ADDRESS_TENTATIVE ? address : NULL;
}

static uint32_t mac_half(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 16 | (uint32_t)octets[1] << 8 | octets[2];
}

bool conflict_input(struct stack *stack, unsigned interface, const struct arp_packet *arp,
                    uint64_t now_us)
{
    struct conflict_address *address = find_claimed(stack, interface, arp);
    bool defended = false;
    if (!address)
        return false;
    address->conflicts++;
    address->by = arp->sender_mac;
    address->seen_at = now_us;
    if (is_usable(address))
        defended = resist(stack, address, now_us);
    else if (address->state == ADDRESS_TENTATIVE)
        give_up(stack, address, now_us);
    stack_event_add(stack, STACK_EVENT_CONFLICT, 0, now_us, address->v4, defended,
                    mac_half(arp->sender_mac.octets), mac_half(arp->sender_mac.octets + 3));
    return true;
}

bool stack_address_state(const struct stack *stack, unsigned interface, uint32_t v4,
                         struct stack_address_state *state, uint64_t now_us)
{
    const struct conflict_address *address = find_address(stack, interface, v4);
    if (!address)
        return false;
    *state = (struct stack_address_state){
        .state = address->state,
        .conflicts = address->conflicts,
        .conflict_by = address->by,
        .conflict_us = address->seen_at ? now_us - address->seen_at : UINT64_MAX,
    };
    return true;
}

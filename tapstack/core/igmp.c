/* IGMP, the host's side (RFC 2236): which multicast groups this host is a member of, and telling the
   routers.

   A group is idle or has a report due at some moment (the delaying member of RFC 2236, 6). Joining
   reports at once and once more within ten seconds, as the first may be lost; a query makes a report
   due at a random moment within the time that it grants; another host's report of the group makes
   ours superfluous. Leaving is told when we were the last to report. Groups are few: the moment of
   the next report is found by looking at all of them, whenever one changes.

   Left out: queriers of version 1, to whom version 2 hosts would have to speak version 1; the source
   filters of version 3, whose queriers understand these reports (RFC 3376, 7.3.2). */
#include "igmp.h"

#include "../wire/igmp.h"
#include "state.h"

enum {
    UNSOLICITED_INTERVAL_US = 10000000, /* RFC 2236, 8.10 */
    ROBUSTNESS = 2,                     /* RFC 2236, 8.1 */
    TOS_INTERNETWORK_CONTROL = 0xc0,    /* DSCP CS6, as routers expect it (RFC 4594, 3.2) */
};

/* ---- The list ---- */

static struct igmp_group **find_place(struct igmp *igmp, unsigned interface, uint32_t v4)
{
    struct igmp_group **place = &igmp->bucket[v4 % IGMP_BUCKETS];
    while (*place && !((*place)->v4 == v4 && (*place)->interface == interface))
        place = &(*place)->next;
    return place;
}

bool igmp_is_member(const struct stack *stack, unsigned interface, uint32_t v4)
{
    const struct igmp_group *group = stack->igmp.bucket[v4 % IGMP_BUCKETS];
    while (group && !(group->v4 == v4 && group->interface == interface))
        group = group->next;
    return group || v4 == IGMP_ALL_SYSTEMS;
}

static void visit_all(struct stack *stack, uint64_t now_us,
                      void (*visit)(struct stack *stack, struct igmp_group *group, uint64_t now_us))
{
    stack->igmp.due_at = UINT64_MAX;
    for (unsigned i = 0; i < IGMP_BUCKETS; i++)
        for (struct igmp_group *group = stack->igmp.bucket[i]; group; group = group->next) {
            visit(stack, group, now_us);
            if (group->report_at < stack->igmp.due_at)
                stack->igmp.due_at = group->report_at;
        }
}

static void set_report(struct stack *stack, struct igmp_group *group, uint64_t at_us)
{
    group->report_at = at_us;
    if (at_us < stack->igmp.due_at)
        stack->igmp.due_at = at_us;
}

void igmp_close(struct stack *stack)
{
    for (unsigned i = 0; i < IGMP_BUCKETS; i++) {
        struct igmp_group *group;
        while ((group = stack->igmp.bucket[i]) != NULL) {
            stack->igmp.bucket[i] = group->next;
            pool_give(&stack->pool, group, sizeof *group);
        }
    }
    stack->igmp.count = 0;
}

/* The cursor holds the bucket in its upper half and the place in the bucket's chain in the
   lower. */
bool stack_next_group(const struct stack *stack, uint32_t *cursor, struct stack_group *group)
{
    for (uint32_t bucket = *cursor >> 16; bucket < IGMP_BUCKETS; bucket++) {
        const struct igmp_group *found = stack->igmp.bucket[bucket];
        for (uint32_t i = 0; found && i < (*cursor & 0xffff); i++)
            found = found->next;
        if (found) {
            *group = (struct stack_group){found->v4, found->interface, found->members};
            (*cursor)++;
            return true;
        }
        *cursor = (bucket + 1) << 16;
    }
    return false;
}

uint64_t stack_group_generation(const struct stack *stack) { return stack->igmp.generation; }

/* ---- Sending ---- */

/* A message to a group, with TTL 1 and the Router Alert option (RFC 2236, 2). */
static void send_message(struct stack *stack, unsigned interface, uint8_t type, uint32_t group_v4,
                         uint32_t destination_v4, uint64_t now_us)
{
    static const uint8_t router_alert[] = {0x94, 4, 0, 0}; /* RFC 2113 */
    const size_t size = IP_PAYLOAD_OFFSET + sizeof router_alert + IGMP_BYTES;
    const struct address *source = address_choose(&stack->addresses, interface, destination_v4);
    struct packet *packet = NULL;
    if (source && stack->out.count < PACKET_QUEUE_MAX)
        packet = packet_create(&stack->pool, size);
    if (!packet) {
        stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, size, now_us);
        return;
    }
    struct igmp_header message = {.type = type, .group_v4 = group_v4};
    igmp_write(&message, packet->bytes + size - IGMP_BYTES);
    struct ip_send send = {
        .source_v4 = source->v4,
        .destination_v4 = destination_v4,
        .protocol = IPV4_PROTOCOL_IGMP,
        .ttl = 1,
        .tos = TOS_INTERNETWORK_CONTROL,
        .dont_fragment = true,
        .by_interface = (uint16_t)(interface + 1),
        .to_group = true,
        .option_bytes = sizeof router_alert,
        .options = router_alert,
    };
    if (ip_output(stack, &packet->frame, packet->bytes, &send, now_us) != 1) {
        packet_destroy(&stack->pool, packet);
        return;
    }
    stack_queue_packet(stack, packet);
    stack_count(stack, type == IGMP_LEAVE ? STACK_COUNTER_IGMP_OUT_LEAVES
                                          : STACK_COUNTER_IGMP_OUT_REPORTS);
}

static void report(struct stack *stack, struct igmp_group *group, uint64_t now_us)
{
    send_message(stack, group->interface, IGMP_REPORT_V2, group->v4, group->v4, now_us);
    group->last_reporter = true;
    group->report_at = UINT64_MAX;
    if (group->unsolicited == 0)
        return;
    group->unsolicited--;
    group->report_at = now_us + 1 + stack_random32(stack) % UNSOLICITED_INTERVAL_US;
}

static void report_if_due(struct stack *stack, struct igmp_group *group, uint64_t now_us)
{
    if (group->report_at <= now_us)
        report(stack, group, now_us);
}

void igmp_serve(struct stack *stack, uint64_t now_us)
{
    if (stack->igmp.due_at <= now_us)
        visit_all(stack, now_us, report_if_due);
}

/* ---- Joining and leaving ---- */

int igmp_join(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us)
{
    struct igmp *igmp = &stack->igmp;
    struct igmp_group **place = find_place(igmp, interface, v4), *group = *place;
    if (group) {
        group->members++;
        return 0;
    }
    if (igmp->count >= stack->settings.igmp_groups_max)
        return STACK_NO_MEMORY;
    group = *place = pool_take(&stack->pool, sizeof *group);
    if (!group)
        return STACK_NO_MEMORY;
    *group = (struct igmp_group){
        .v4 = v4,
        .interface = (uint16_t)interface,
        .members = 1,
        .report_at = UINT64_MAX,
        .unsolicited = ROBUSTNESS - 1,
    };
    igmp->count++;
    igmp->generation++;
    if (v4 != IGMP_ALL_SYSTEMS) {
        report(stack, group, now_us);
        set_report(stack, group, group->report_at);
    }
    return 0;
}

void igmp_leave(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us)
{
    struct igmp *igmp = &stack->igmp;
    struct igmp_group **place = find_place(igmp, interface, v4), *group = *place;
    if (!group || --group->members > 0)
        return;
    if (group->last_reporter)
        send_message(stack, interface, IGMP_LEAVE, v4, IGMP_ALL_ROUTERS, now_us);
    *place = group->next;
    pool_give(&stack->pool, group, sizeof *group);
    igmp->count--;
    igmp->generation++;
}

/* ---- Receiving ---- */

/* A report becomes due at a random moment; one that is due sooner stays (RFC 2236, 3). */
static void answer_query(struct stack *stack, struct igmp_group *group, uint32_t response_us,
                         uint64_t now_us)
{
    if (group->v4 == IGMP_ALL_SYSTEMS || group->report_at <= now_us + response_us)
        return;
    set_report(stack, group, now_us + 1 + stack_random32(stack) % response_us);
}

static void take_query(struct stack *stack, const struct igmp_header *header, unsigned interface,
                       uint64_t now_us)
{
    for (unsigned i = 0; i < IGMP_BUCKETS; i++)
        for (struct igmp_group *group = stack->igmp.bucket[i]; group; group = group->next)
            if (group->interface == interface &&
                (header->group_v4 == 0 || header->group_v4 == group->v4))
                answer_query(stack, group, header->response_us, now_us);
}

/* Somebody else has reported a group: nobody needs ours (RFC 2236, 3). */
static int take_report(struct stack *stack, const struct igmp_header *header, unsigned interface,
                       size_t size, uint64_t now_us)
{
    struct igmp_group *group = *find_place(&stack->igmp, interface, header->group_v4);
    if (!group || group->v4 == IGMP_ALL_SYSTEMS)
        return stack_drop(stack, STACK_COUNTER_IGMP_IN_IGNORED, 0, size, now_us);
    if (group->report_at == UINT64_MAX)
        return 0;
    group->report_at = UINT64_MAX;
    group->unsolicited = 0;
    group->last_reporter = false;
    return 0;
}

int igmp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    struct igmp_header header;
    size_t size = datagram->payload_bytes;
    unsigned interface = datagram->frame->interface;
    stack_count(stack, STACK_COUNTER_IGMP_IN_MSGS);
    if (igmp_parse(datagram->payload, size, &header) != 0)
        return stack_drop(stack, STACK_COUNTER_IGMP_IN_ERRORS, 0, size, now_us);
    switch (header.type) {
    case IGMP_QUERY:
        stack_count(stack, STACK_COUNTER_IGMP_IN_QUERIES);
        take_query(stack, &header, interface, now_us);
        return 0;
    case IGMP_REPORT_V1:
    case IGMP_REPORT_V2:
        return take_report(stack, &header, interface, size, now_us);
    default:
        return stack_drop(stack, STACK_COUNTER_IGMP_IN_IGNORED, 0, size, now_us);
    }
}

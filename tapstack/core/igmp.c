/* IGMP, the host's side: which multicast groups this host is a member of, and telling the routers.

   A group is idle or has a report due at some moment. Joining reports at once and once more after a
   random time, as the first may be lost; a query makes a report due at a random moment within the
   time that it grants. Which version is spoken on an interface follows the oldest router that was
   heard there lately (RFC 3376, 7.2.1):

       3  reports go to 224.0.0.22 and say what has changed or what is; leaving is reported twice,
          so a group that was left is kept, without members, until that is done; reports of others
          mean nothing
       2  reports go to the group; another host's makes ours superfluous; leaving is told when we
          were the last to report
       1  as 2, but leaving is not told

   Groups are few: the moment of the next report is found by looking at all of them, whenever one
   changes. A general query of version 3 is answered by one report for each group, each in its own
   moment, where RFC 3376 would put them into one.

   Left out: source filters. All sources are wanted, so a query for some is answered for all. */
#include "igmp.h"

#include <string.h>

#include "../wire/igmp.h"
#include "state.h"

enum {
    UNSOLICITED_V2_US = 10000000,    /* RFC 2236, 8.10 */
    UNSOLICITED_V3_US = 1000000,     /* RFC 3376, 8.11 */
    ROBUSTNESS = 2,                  /* RFC 3376, 8.1 */
    OLDER_QUERIER_US = 260000000,    /* RFC 3376, 8.12, by the defaults that it is made of */
    TOS_INTERNETWORK_CONTROL = 0xc0, /* DSCP CS6, as routers expect it (RFC 4594, 3.2) */
};

_Static_assert((int)IGMP_INTERFACES == (int)STACK_INTERFACES_MAX, "a querier for each interface");

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
    return (group && group->members > 0) || v4 == IGMP_ALL_SYSTEMS;
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
    stack->igmp.count = stack->igmp.left_count = 0;
}

/* The cursor holds the bucket in its upper half and the place among the bucket's groups with members
   in the lower. */
bool stack_next_group(const struct stack *stack, uint32_t *cursor, struct stack_group *group)
{
    for (uint32_t bucket = *cursor >> 16; bucket < IGMP_BUCKETS; bucket++) {
        uint32_t place = *cursor & 0xffff;
        const struct igmp_group *found = stack->igmp.bucket[bucket];
        for (; found && (found->members == 0 || place > 0); found = found->next)
            place -= found->members > 0;
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

/* The version that is spoken on an interface. */
static unsigned spoken_version(const struct stack *stack, unsigned interface, uint64_t now_us)
{
    const struct igmp_querier *querier = &stack->igmp.querier[interface];
    if (now_us < querier->v1_until)
        return 1;
    return now_us < querier->v2_until ? 2 : 3;
}

/* Sends a message with TTL 1 and the Router Alert option (RFC 3376, 4). */
static void send_message(struct stack *stack, unsigned interface, const uint8_t *message,
                         size_t message_bytes, uint32_t destination_v4, uint64_t now_us)
{
    static const uint8_t router_alert[] = {0x94, 4, 0, 0}; /* RFC 2113 */
    const size_t start = IP_PAYLOAD_OFFSET + sizeof router_alert, size = start + message_bytes;
    const struct address *source = address_choose(&stack->addresses, interface, destination_v4);
    struct packet *packet = NULL;
    if (source && stack->out.count < PACKET_QUEUE_MAX)
        packet = packet_create(&stack->pool, size);
    if (!packet) {
        stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, size, now_us);
        return;
    }
    memcpy(packet->bytes + start, message, message_bytes);
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
    stack_count(stack, message[0] == IGMP_LEAVE ? STACK_COUNTER_IGMP_OUT_LEAVES
                                                : STACK_COUNTER_IGMP_OUT_REPORTS);
}

static void send_old(struct stack *stack, unsigned interface, uint8_t type, uint32_t group_v4,
                     uint32_t destination_v4, uint64_t now_us)
{
    uint8_t message[IGMP_BYTES];
    igmp_write(&(struct igmp_header){.type = type, .group_v4 = group_v4}, message);
    send_message(stack, interface, message, sizeof message, destination_v4, now_us);
}

/* RFC 3376, 5.1 and 5.2: what has changed, or what is. */
static void send_record(struct stack *stack, const struct igmp_group *group, uint64_t now_us)
{
    uint8_t message[IGMP_REPORT_V3_BYTES];
    enum igmp_record record = group->changed ? IGMP_CHANGE_TO_EXCLUDE : IGMP_MODE_IS_EXCLUDE;
    if (group->members == 0)
        record = IGMP_CHANGE_TO_INCLUDE;
    igmp_write_record(record, group->v4, message);
    send_message(stack, group->interface, message, sizeof message, IGMP_V3_ROUTERS, now_us);
}

static void report(struct stack *stack, struct igmp_group *group, uint64_t now_us)
{
    unsigned version = spoken_version(stack, group->interface, now_us);
    if (version == 3)
        send_record(stack, group, now_us);
    else if (group->members > 0)
        send_old(stack, group->interface, version == 1 ? IGMP_REPORT_V1 : IGMP_REPORT_V2, group->v4,
                 group->v4, now_us);
    group->last_reporter = true;
    group->report_at = UINT64_MAX;
    group->changed = group->unsolicited > 0;
    if (group->unsolicited == 0)
        return;
    group->unsolicited--;
    uint32_t within_us = version == 3 ? UNSOLICITED_V3_US : UNSOLICITED_V2_US;
    set_report(stack, group, now_us + 1 + stack_random32(stack) % within_us);
}

/* Reports a change at once, and again. */
static void report_change(struct stack *stack, struct igmp_group *group, uint64_t now_us)
{
    group->changed = true;
    group->unsolicited = ROBUSTNESS - 1;
    report(stack, group, now_us);
}

static void remove_group(struct stack *stack, struct igmp_group **place)
{
    struct igmp_group *group = *place;
    *place = group->next;
    pool_give(&stack->pool, group, sizeof *group);
}

/* Reports what is due, and forgets the groups whose leaving has been repeated. */
void igmp_serve(struct stack *stack, uint64_t now_us)
{
    struct igmp *igmp = &stack->igmp;
    if (igmp->due_at > now_us)
        return;
    igmp->due_at = UINT64_MAX;
    for (unsigned i = 0; i < IGMP_BUCKETS; i++) {
        struct igmp_group **place = &igmp->bucket[i], *group;
        while ((group = *place) != NULL) {
            if (group->report_at <= now_us)
                report(stack, group, now_us);
            if (group->members == 0 && group->report_at == UINT64_MAX) {
                igmp->left_count--;
                remove_group(stack, place);
                continue;
            }
            set_report(stack, group, group->report_at);
            place = &group->next;
        }
    }
}

/* ---- Joining and leaving ---- */

static struct igmp_group *add_group(struct stack *stack, unsigned interface, uint32_t v4)
{
    struct igmp_group *group = pool_take(&stack->pool, sizeof *group);
    if (!group)
        return NULL;
    struct igmp_group **bucket = &stack->igmp.bucket[v4 % IGMP_BUCKETS];
    *group = (struct igmp_group){
        .next = *bucket,
        .v4 = v4,
        .interface = (uint16_t)interface,
        .report_at = UINT64_MAX,
    };
    *bucket = group;
    return group;
}

int igmp_join(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us)
{
    struct igmp *igmp = &stack->igmp;
    struct igmp_group *group = *find_place(igmp, interface, v4);
    if (group && group->members > 0) {
        group->members++;
        return 0;
    }
    if (igmp->count >= stack->settings.igmp_groups_max)
        return STACK_NO_MEMORY;
    if (group)
        igmp->left_count--; /* and here it is again */
    else
        group = add_group(stack, interface, v4);
    if (!group)
        return STACK_NO_MEMORY;
    group->members = 1;
    igmp->count++;
    igmp->generation++;
    if (v4 != IGMP_ALL_SYSTEMS)
        report_change(stack, group, now_us);
    return 0;
}

/* In version 3 the group stays until the change has been repeated, as long as there are not too many
   such. */
void igmp_leave(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us)
{
    struct igmp *igmp = &stack->igmp;
    struct igmp_group **place = find_place(igmp, interface, v4), *group = *place;
    unsigned version = spoken_version(stack, interface, now_us);
    if (!group || group->members == 0 || --group->members > 0)
        return;
    igmp->count--;
    igmp->generation++;
    if (version == 2 && group->last_reporter)
        send_old(stack, interface, IGMP_LEAVE, v4, IGMP_ALL_ROUTERS, now_us);
    if (version == 3 && v4 != IGMP_ALL_SYSTEMS)
        report_change(stack, group, now_us);
    if (version == 3 && v4 != IGMP_ALL_SYSTEMS &&
        igmp->left_count < stack->settings.igmp_groups_max)
        igmp->left_count++;
    else
        remove_group(stack, place);
}

/* ---- Receiving ---- */

/* A report becomes due at a random moment; one that is due sooner stays (RFC 2236, 3). */
static void answer_query(struct stack *stack, struct igmp_group *group, uint32_t response_us,
                         uint64_t now_us)
{
    if (group->v4 == IGMP_ALL_SYSTEMS || group->members == 0 ||
        group->report_at <= now_us + response_us)
        return;
    set_report(stack, group, now_us + 1 + stack_random32(stack) % response_us);
}

/* The version has changed: what was to be said in the other is not said (RFC 3376, 7.2.1). */
static void forget_reports(struct stack *stack, unsigned interface)
{
    for (unsigned i = 0; i < IGMP_BUCKETS; i++)
        for (struct igmp_group *group = stack->igmp.bucket[i]; group; group = group->next)
            if (group->interface == interface) {
                group->report_at = UINT64_MAX;
                group->unsolicited = 0;
                group->changed = false;
            }
    stack->igmp.due_at = 0; /* groups that were left go */
}

/* A router speaks, in its version. Only general queries tell (RFC 3376, 7.2.1). */
static void hear_querier(struct stack *stack, const struct igmp_header *header, unsigned interface,
                         uint64_t now_us)
{
    struct igmp_querier *querier = &stack->igmp.querier[interface];
    unsigned before = spoken_version(stack, interface, now_us);
    if (header->group_v4 != 0)
        return;
    if (header->version == 1)
        querier->v1_until = now_us + OLDER_QUERIER_US;
    if (header->version == 2)
        querier->v2_until = now_us + OLDER_QUERIER_US;
    if (spoken_version(stack, interface, now_us) != before)
        forget_reports(stack, interface);
}

static void take_query(struct stack *stack, const struct igmp_header *header, unsigned interface,
                       uint64_t now_us)
{
    hear_querier(stack, header, interface, now_us);
    for (unsigned i = 0; i < IGMP_BUCKETS; i++)
        for (struct igmp_group *group = stack->igmp.bucket[i]; group; group = group->next)
            if (group->interface == interface &&
                (header->group_v4 == 0 || header->group_v4 == group->v4))
                answer_query(stack, group, header->response_us, now_us);
}

/* Somebody else has reported a group: nobody needs ours (RFC 2236, 3), but a router that speaks
   version 3 (RFC 3376, 5.2). */
static int take_report(struct stack *stack, const struct igmp_header *header, unsigned interface,
                       size_t size, uint64_t now_us)
{
    struct igmp_group *group = *find_place(&stack->igmp, interface, header->group_v4);
    if (!group || group->v4 == IGMP_ALL_SYSTEMS || spoken_version(stack, interface, now_us) == 3)
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

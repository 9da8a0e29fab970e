/* The filter's rules as a whole: loaded, changed one by one, listed, tried.

   Every change makes new lists and puts them in the place of the old ones when nothing can fail any
   more; a packet sees either all of the old rules or all of the new ones. A text is read twice: to
   find its errors and count its rules, then to fill the lists. */
#include <string.h>

#include "filter_text.h"
#include "state.h"

/* ---- Errors ---- */

static int refuse(struct stack_filter_error *error, int result, const char *message)
{
    size_t length = strlen(message);
    *error = (struct stack_filter_error){0};
    memcpy(error->message, message,
           length < sizeof error->message ? length : sizeof error->message - 1);
    return result;
}

/* ---- Lists ---- */

static void list_release(struct stack *stack, struct filter_list *list)
{
    pool_give(&stack->pool, list->rule, list->count * sizeof *list->rule);
    pool_give(&stack->pool, list->entry, filter_entries_bytes(list->count));
    filter_index_close(&list->index, &stack->pool);
    list->rule = NULL;
    list->entry = NULL;
    list->count = 0;
}

static void set_release(struct stack *stack, struct filter_set *set)
{
    for (unsigned i = 0; i < FILTER_CHAINS; i++)
        list_release(stack, &set->chain[i]);
}

/* Room for count rules; 0 or STACK_NO_MEMORY, and then nothing is held. */
static int list_allocate(struct stack *stack, struct filter_list *list, uint32_t count)
{
    if (count == 0)
        return 0;
    list->rule = pool_take(&stack->pool, count * sizeof *list->rule);
    list->entry = pool_take(&stack->pool, filter_entries_bytes(count));
    list->count = count;
    if (list->rule && list->entry)
        return 0;
    list_release(stack, list);
    return STACK_NO_MEMORY;
}

static int list_index(struct stack *stack, struct filter_list *list)
{
    return filter_index_open(&list->index, &stack->pool, list);
}

static int set_index(struct stack *stack, struct filter_set *set)
{
    int result = 0;
    for (unsigned i = 0; i < FILTER_CHAINS && result == 0; i++)
        result = list_index(stack, &set->chain[i]);
    return result;
}

/* ---- Putting a set into force ---- */

static bool set_asks_for_state(const struct filter_set *set)
{
    for (unsigned i = 0; i < FILTER_CHAINS; i++)
        for (uint32_t at = 0; at < set->chain[i].count; at++)
            if (set->chain[i].rule[at].given & FILTER_HAS_STATE)
                return true;
    return false;
}

/* Tracking begins: the stack's own connections are known to it already. */
static void adopt_connections(struct stack *stack, uint64_t now_us)
{
    for (uint32_t i = 0; i < stack->tcp.slot_capacity; i++) {
        const struct tcp_entry *entry = stack->tcp.slot[i];
        if (!entry || entry->datagram || entry->compact || !entry->in_table ||
            entry->state < TCP_SYN_RECEIVED)
            continue;
        struct stack_endpoint local = {entry->local_address, entry->local_port};
        struct stack_endpoint remote = {entry->remote_address, entry->remote_port};
        bool passive = ((const struct tcp_socket *)entry)->passive;
        flow_adopt(&stack->filter.flows, passive ? &remote : &local, passive ? &local : &remote,
                   now_us);
    }
}

/* Follows the rules in force: what has to be looked at, and whether flows are tracked. */
static void follow_rules(struct stack *stack, uint64_t now_us)
{
    struct filter *filter = &stack->filter;
    bool tracked = filter->tracks;
    filter->tracks = set_asks_for_state(&filter->set);
    for (unsigned i = 0; i < FILTER_CHAINS; i++) {
        const struct filter_list *list = &filter->set.chain[i];
        filter->watches[i] = list->count > 0 || list->policy != FILTER_ACCEPT || filter->tracks;
    }
    if (tracked && !filter->tracks)
        flow_stop(&filter->flows);
    if (!tracked && filter->tracks)
        adopt_connections(stack, now_us);
}

/* Makes set the one in force and releases the old one. Returns 0, or STACK_NO_MEMORY with set
   released and the old one still in force. */
static int set_install(struct stack *stack, struct filter_set *set,
                       struct stack_filter_error *error, uint64_t now_us)
{
    bool asks = set_asks_for_state(set);
    if (set_index(stack, set) != 0 || (asks && flow_start(&stack->filter.flows) != 0)) {
        set_release(stack, set);
        return refuse(error, STACK_NO_MEMORY, "no memory for the index or for filter.flows_max");
    }
    struct filter_set old = stack->filter.set;
    stack->filter.set = *set;
    set_release(stack, &old);
    follow_rules(stack, now_us);
    return 0;
}

/* ---- Reading a text ---- */

/* A walk over the lines of a text that knows where it is. */
struct walk {
    const char *at, *end;
    const char *line_start; /* of the line of text, in which `;` may end several rules */
    uint32_t line;
};

static struct walk walk_start(const char *text, size_t size)
{
    return (struct walk){text, text + size, text, 1};
}

static enum filter_line walk_next(struct walk *walk, struct filter_rule *rule,
                                  struct stack_filter_error *error)
{
    const char *start = walk->at;
    enum filter_line found = filter_text_read(&walk->at, walk->end, FILTER_TEXT_LINE, rule, error);
    if (found == FILTER_LINE_ERROR) {
        error->line = walk->line;
        error->column += (uint32_t)(start - walk->line_start);
    } else if (walk->at > start && walk->at[-1] == '\n') {
        walk->line++;
        walk->line_start = walk->at;
    }
    return found;
}

/* Counts the rules of each chain. Returns 0, or STACK_INVALID with error filled in. */
static int text_count(const char *text, size_t size, uint64_t most, uint32_t *count,
                      struct stack_filter_error *error)
{
    struct walk walk = walk_start(text, size);
    struct filter_rule rule;
    uint64_t all = 0;
    memset(count, 0, FILTER_CHAINS * sizeof *count);
    while (walk.at < walk.end) {
        uint32_t line = walk.line;
        enum filter_line found = walk_next(&walk, &rule, error);
        if (found == FILTER_LINE_ERROR)
            return STACK_INVALID;
        if (found != FILTER_LINE_RULE)
            continue;
        count[rule.chain]++;
        if (++all > most) {
            refuse(error, STACK_INVALID, "more rules than filter.rules_max");
            error->line = line;
            return STACK_INVALID;
        }
    }
    return 0;
}

int stack_filter_check(const char *text, size_t size, struct stack_filter_error *error)
{
    uint32_t count[FILTER_CHAINS];
    return text_count(text, size, UINT64_MAX, count, error);
}

/* Fills the lists, which have room, from a text without errors. */
static void set_fill(struct stack *stack, struct filter_set *set, const char *text, size_t size)
{
    struct walk walk = walk_start(text, size);
    uint32_t used[FILTER_CHAINS] = {0};
    struct stack_filter_error error;
    struct filter_rule rule;
    while (walk.at < walk.end) {
        enum filter_line found = walk_next(&walk, &rule, &error);
        struct filter_list *list = &set->chain[rule.chain];
        if (found == FILTER_LINE_POLICY)
            list->policy = rule.target;
        if (found != FILTER_LINE_RULE)
            continue;
        uint32_t at = used[rule.chain]++;
        list->rule[at] = rule;
        filter_compile(stack, list, at, true);
    }
}

int stack_filter_load(struct stack *stack, const char *text, size_t size,
                      struct stack_filter_error *error, uint64_t now_us)
{
    struct filter_set set = {0};
    uint32_t count[FILTER_CHAINS];
    if (text_count(text, size, stack->settings.filter_rules_max, count, error) != 0)
        return STACK_INVALID;
    for (unsigned i = 0; i < FILTER_CHAINS; i++)
        if (list_allocate(stack, &set.chain[i], count[i]) != 0) {
            set_release(stack, &set);
            return refuse(error, STACK_NO_MEMORY, "no memory for the rules");
        }
    set_fill(stack, &set, text, size);
    return set_install(stack, &set, error, now_us);
}

/* ---- One change ---- */

static uint32_t rules_in_force(const struct stack *stack)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < FILTER_CHAINS; i++)
        count += stack->filter.set.chain[i].count;
    return count;
}

/* Copies count rules with their entries. */
static void list_copy(struct filter_list *to, uint32_t to_at, const struct filter_list *from,
                      uint32_t from_at, uint32_t count)
{
    if (count == 0)
        return;
    size_t entries = filter_entries_bytes(count);
    memcpy(&to->rule[to_at], &from->rule[from_at], count * sizeof *to->rule);
    memcpy((char *)to->entry + filter_entries_bytes(to_at),
           (const char *)from->entry + filter_entries_bytes(from_at), entries);
}

/* Puts a list that takes over the old one's policy into force; the counters stay. Returns 0 or
   STACK_NO_MEMORY, and then nothing has changed. */
static int list_install(struct stack *stack, enum filter_chain chain, struct filter_list *list,
                        struct stack_filter_error *error, uint64_t now_us)
{
    struct filter_list old = stack->filter.set.chain[chain];
    if (list_index(stack, list) != 0) {
        list_release(stack, list);
        return refuse(error, STACK_NO_MEMORY, "no memory for the rules");
    }
    list->policy = old.policy;
    list->packets = old.packets;
    list->bytes = old.bytes;
    stack->filter.set.chain[chain] = *list;
    list_release(stack, &old);
    follow_rules(stack, now_us);
    return 0;
}

static int insert_rule(struct stack *stack, const struct filter_rule *rule, uint32_t at,
                       struct stack_filter_error *error, uint64_t now_us)
{
    const struct filter_list *old = &stack->filter.set.chain[rule->chain];
    struct filter_list list = {0};
    if (at > old->count + 1)
        return refuse(error, STACK_INVALID, "the chain has fewer rules than that");
    at = at == 0 ? old->count : at - 1;
    if (rules_in_force(stack) >= stack->settings.filter_rules_max)
        return refuse(error, STACK_INVALID, "there are filter.rules_max rules already");
    if ((rule->given & FILTER_HAS_STATE && flow_start(&stack->filter.flows) != 0) ||
        list_allocate(stack, &list, old->count + 1) != 0)
        return refuse(error, STACK_NO_MEMORY, "no memory for the rule");
    list_copy(&list, 0, old, 0, at);
    list_copy(&list, at + 1, old, at, old->count - at);
    list.rule[at] = *rule;
    filter_compile(stack, &list, at, true);
    return list_install(stack, rule->chain, &list, error, now_us);
}

int stack_filter_insert(struct stack *stack, const char *text, size_t size, uint32_t at,
                        struct stack_filter_error *error, uint64_t now_us)
{
    struct walk walk = walk_start(text, size);
    struct filter_rule rule, rest;
    enum filter_line found = walk_next(&walk, &rule, error);
    while (found != FILTER_LINE_ERROR && walk.at < walk.end) {
        enum filter_line behind = walk_next(&walk, &rest, error);
        if (behind == FILTER_LINE_ERROR || behind != FILTER_LINE_EMPTY)
            return behind == FILTER_LINE_ERROR ? STACK_INVALID
                                               : refuse(error, STACK_INVALID, "more than one rule");
    }
    if (found == FILTER_LINE_ERROR)
        return STACK_INVALID;
    if (found != FILTER_LINE_RULE)
        return refuse(error, STACK_INVALID, "this is not a rule");
    return insert_rule(stack, &rule, at, error, now_us);
}

int stack_filter_delete(struct stack *stack, const char *chain, uint32_t number,
                        struct stack_filter_error *error, uint64_t now_us)
{
    int which = filter_text_find_chain(chain);
    struct filter_list list = {0};
    if (which < 0)
        return refuse(error, STACK_INVALID, "the chains are input, forward and output");
    const struct filter_list *old = &stack->filter.set.chain[which];
    if (number == 0 || number > old->count)
        return refuse(error, STACK_INVALID, "the chain has no rule with this number");
    if (list_allocate(stack, &list, old->count - 1) != 0)
        return refuse(error, STACK_NO_MEMORY, "no memory for the rules");
    list_copy(&list, 0, old, 0, number - 1);
    list_copy(&list, number - 1, old, number, old->count - number);
    return list_install(stack, (enum filter_chain)which, &list, error, now_us);
}

int stack_filter_set_policy(struct stack *stack, const char *chain, const char *policy,
                            struct stack_filter_error *error, uint64_t now_us)
{
    int which = filter_text_find_chain(chain), target = filter_text_find_target(policy);
    if (which < 0)
        return refuse(error, STACK_INVALID, "the chains are input, forward and output");
    if (target != FILTER_ACCEPT && target != FILTER_DROP)
        return refuse(error, STACK_INVALID, "a policy is accept or drop");
    stack->filter.set.chain[which].policy = (uint8_t)target;
    follow_rules(stack, now_us);
    return 0;
}

/* ---- Opening, closing, interfaces ---- */

void filter_open(struct stack *stack, uint64_t now_us)
{
    flow_open(&stack->filter.flows, &stack->pool, &stack->settings, stack->seed, now_us);
}

void filter_close(struct stack *stack)
{
    set_release(stack, &stack->filter.set);
    flow_stop(&stack->filter.flows);
}

void filter_interfaces_changed(struct stack *stack)
{
    for (unsigned i = 0; i < FILTER_CHAINS; i++) {
        struct filter_list *list = &stack->filter.set.chain[i];
        for (uint32_t at = 0; at < list->count; at++)
            filter_compile(stack, list, at, false);
        filter_index_refill(&list->index, list);
    }
}

/* ---- Looking in ---- */

/* Describes a rule by its number, or a chain's policy by 0. */
static void describe(const struct filter_list *list, enum filter_chain chain, uint32_t number,
                     struct stack_filter_rule *rule)
{
    rule->chain = filter_text_chain_name(chain);
    rule->number = number;
    if (number == 0) {
        rule->packets = list->packets;
        rule->bytes = list->bytes;
        filter_text_write_policy(chain, list->policy, rule->text, sizeof rule->text);
        return;
    }
    filter_counters(list, number - 1, &rule->packets, &rule->bytes);
    filter_text_write(&list->rule[number - 1], rule->text, sizeof rule->text);
}

bool stack_next_filter_rule(const struct stack *stack, uint32_t *cursor,
                            struct stack_filter_rule *rule)
{
    uint32_t number = *cursor;
    for (unsigned chain = 0; chain < FILTER_CHAINS; chain++) {
        const struct filter_list *list = &stack->filter.set.chain[chain];
        if (number <= list->count) {
            describe(list, chain, number, rule);
            (*cursor)++;
            return true;
        }
        number -= list->count + 1;
    }
    return false;
}

/* ---- Trying ---- */

/* Each criterion of a test names one packet. */
static const char *test_fault(const struct filter_rule *rule)
{
    if (rule->negated)
        return "a packet has no criteria with not";
    if ((rule->given & FILTER_HAS_SOURCE && rule->source.prefix_bits != 32) ||
        (rule->given & FILTER_HAS_DESTINATION && rule->destination.prefix_bits != 32))
        return "a packet has single addresses";
    if (rule->source_port.first != rule->source_port.last ||
        rule->destination_port.first != rule->destination_port.last)
        return "a packet has single ports";
    if (rule->states & (rule->states - 1))
        return "a packet has one state";
    return NULL;
}

static int find_interface(const struct stack *stack, const char *name)
{
    for (unsigned i = 0; i < stack->interface_count; i++)
        if (strcmp(stack->interface[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void test_key(const struct stack *stack, const struct filter_rule *rule,
                     struct filter_key *key)
{
    struct flow_packet packet = {
        .source_v4 = rule->source.v4,
        .destination_v4 = rule->destination.v4,
        .protocol = rule->protocol,
        .readable = true,
        .tcp_flags = rule->flags,
        .icmp_type = rule->type,
        .icmp_code = rule->code,
        .source_port = rule->source_port.first,
        .destination_port = rule->destination_port.first,
    };
    int in = rule->given & FILTER_HAS_IN ? find_interface(stack, rule->in) : -1;
    int out = rule->given & FILTER_HAS_OUT ? find_interface(stack, rule->out) : -1;
    filter_key_make(key, &packet, in, out, rule->states ? rule->states : FLOW_NEW);
}

int stack_filter_test(const struct stack *stack, const char *text, size_t size,
                      struct stack_filter_rule *rule, uint32_t *logs,
                      struct stack_filter_error *error)
{
    const char *at = text;
    struct filter_rule packet;
    struct filter_key key;
    enum filter_line found = filter_text_read(&at, text + size, FILTER_TEXT_PACKET, &packet, error);
    error->line = 1;
    if (found == FILTER_LINE_ERROR)
        return STACK_INVALID;
    const char *fault =
        found == FILTER_LINE_EMPTY ? "name a chain and a packet" : test_fault(&packet);
    if (fault)
        return refuse(error, STACK_INVALID, fault);
    const struct filter_list *list = &stack->filter.set.chain[packet.chain];
    test_key(stack, &packet, &key);
    *logs = 0;
    uint32_t number = filter_find(list, 0, &key);
    while (number < list->count && list->rule[number].target == FILTER_LOG) {
        (*logs)++;
        number = filter_find(list, number + 1, &key);
    }
    describe(list, packet.chain, number < list->count ? number + 1 : 0, rule);
    return 0;
}

/* ---- Flows ---- */

static const char *flow_state_name(const struct flow *flow)
{
    static const char *const tcp[] = {
        [FLOW_TCP_SYN_SENT] = "SYN-SENT",       [FLOW_TCP_SYN_RECEIVED] = "SYN-RECEIVED",
        [FLOW_TCP_ESTABLISHED] = "ESTABLISHED", [FLOW_TCP_FIN_WAIT] = "FIN-WAIT",
        [FLOW_TCP_CLOSE_WAIT] = "CLOSE-WAIT",   [FLOW_TCP_LAST_ACK] = "LAST-ACK",
        [FLOW_TCP_TIME_WAIT] = "TIME-WAIT",     [FLOW_TCP_CLOSED] = "CLOSED",
    };
    if (flow->tcp != FLOW_TCP_NONE)
        return tcp[flow->tcp];
    return flow->replied ? "REPLIED" : "NEW";
}

bool stack_next_flow(const struct stack *stack, uint32_t *cursor, struct stack_flow *out,
                     uint64_t now_us)
{
    const struct flow_table *table = &stack->filter.flows;
    const struct flow *flow = NULL;
    while (*cursor < table->capacity && !flow)
        flow = table->slot[(*cursor)++];
    if (!flow)
        return false;
    unsigned from = flow->originator, to = !from;
    *out = (struct stack_flow){
        .protocol = (uint8_t)flow->key.protocol,
        .state = flow_state_name(flow),
        .assured = flow->assured,
        .from = {ip_address_from_v4(flow->key.address[from]), flow->key.port[from]},
        .to = {ip_address_from_v4(flow->key.address[to]), flow->key.port[to]},
        .packets = {flow->side[0].packets, flow->side[1].packets},
        .bytes = {flow->side[0].bytes, flow->side[1].bytes},
        .left_us = flow->expires_at > now_us ? flow->expires_at - now_us : 0,
    };
    return true;
}

void stack_flow_usage(const struct stack *stack, uint32_t *flows, uint32_t *most)
{
    *flows = stack->filter.flows.count;
    *most = (uint32_t)stack->settings.filter_flows_max;
}

void stack_flush_flows(struct stack *stack, uint64_t now_us)
{
    flow_clear(&stack->filter.flows);
    if (stack->filter.tracks)
        adopt_connections(stack, now_us);
}

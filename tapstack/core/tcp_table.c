/* Finding sockets: by four-tuple, by id, by listening port. UDP's stand beside TCP's in the first two.

   The four-tuple table is a hash table with chains, keyed with a secret so that nobody outside can
   aim at one bucket. It grows by doubling without a pause: the old buckets stay, and every
   insertion moves a few of them; a search looks at the old bucket first as long as it has not been
   moved.

   Ids count up and never repeat in a run (before 2^31). The id is its own place: slot id mod
   capacity. An id whose slot is still taken by a long-lived socket is skipped, so there are no
   chains. */
#include <assert.h>
#include <string.h>

#include "state.h"

enum {
    TABLE_BUCKETS_FIRST = 64,
    TABLE_MOVE_STEP = 4, /* old buckets moved at each insertion */
    SLOTS_FIRST = 64,
    PORT_TRIES_MAX = 65536,
};

static uint32_t table_hash(const struct stack *stack, const struct ip_address *local,
                           uint16_t local_port, const struct ip_address *remote,
                           uint16_t remote_port)
{
    struct {
        struct ip_address local, remote;
        uint16_t ports[2];
    } key = {*local, *remote, {local_port, remote_port}};
    return (uint32_t)stack_hash(stack, 0, &key, sizeof key);
}

static struct tcp_entry **table_allocate(struct stack *stack, uint32_t count)
{
    struct tcp_entry **table = pool_take(&stack->pool, count * sizeof(*table));
    if (table)
        memset(table, 0, count * sizeof(*table));
    return table;
}

int tcp_table_open(struct stack *stack)
{
    struct tcp *tcp = &stack->tcp;
    tcp->bucket = table_allocate(stack, TABLE_BUCKETS_FIRST);
    tcp->slot = table_allocate(stack, SLOTS_FIRST);
    tcp->bucket_count = TABLE_BUCKETS_FIRST;
    tcp->slot_capacity = SLOTS_FIRST;
    return tcp->bucket && tcp->slot ? 0 : STACK_NO_MEMORY;
}

void tcp_table_close(struct stack *stack)
{
    struct tcp *tcp = &stack->tcp;
    pool_give(&stack->pool, tcp->bucket, tcp->bucket_count * sizeof(*tcp->bucket));
    pool_give(&stack->pool, tcp->old_bucket, tcp->old_bucket_count * sizeof(*tcp->bucket));
    pool_give(&stack->pool, tcp->slot, tcp->slot_capacity * sizeof(*tcp->slot));
}

/* ---- by four-tuple ---- */

/* The head of the chain where an entry of this hash stands or belongs. */
static struct tcp_entry **table_chain(const struct tcp *tcp, uint32_t hash)
{
    if (tcp->old_bucket) {
        uint32_t old = hash & (tcp->old_bucket_count - 1);
        if (old >= tcp->moved)
            return &tcp->old_bucket[old];
    }
    return &tcp->bucket[hash & (tcp->bucket_count - 1)];
}

/* TCP's and UDP's entries of one four-tuple stand in one chain. */
static struct tcp_entry *table_find(const struct stack *stack, bool datagram,
                                    const struct ip_address *local, uint16_t local_port,
                                    const struct ip_address *remote, uint16_t remote_port)
{
    uint32_t hash = table_hash(stack, local, local_port, remote, remote_port);
    struct tcp_entry *entry = *table_chain(&stack->tcp, hash);
    for (; entry; entry = entry->next)
        if (entry->hash == hash && entry->datagram == datagram &&
            entry->remote_port == remote_port && entry->local_port == local_port &&
            ip_address_equal(&entry->remote_address, remote) &&
            ip_address_equal(&entry->local_address, local))
            return entry;
    return NULL;
}

struct tcp_entry *tcp_table_find(const struct stack *stack, const struct ip_address *local,
                                 uint16_t local_port, const struct ip_address *remote,
                                 uint16_t remote_port)
{
    return table_find(stack, false, local, local_port, remote, remote_port);
}

struct tcp_entry *tcp_table_find_datagram(const struct stack *stack, const struct ip_address *local,
                                          uint16_t local_port, const struct ip_address *remote,
                                          uint16_t remote_port)
{
    return table_find(stack, true, local, local_port, remote, remote_port);
}

struct tcp_entry *tcp_table_next_datagram(const struct tcp_entry *entry)
{
    struct tcp_entry *next = entry->next;
    for (; next; next = next->next)
        if (next->hash == entry->hash && next->datagram &&
            next->remote_port == entry->remote_port && next->local_port == entry->local_port &&
            ip_address_equal(&next->remote_address, &entry->remote_address) &&
            ip_address_equal(&next->local_address, &entry->local_address))
            return next;
    return NULL;
}

static void table_move_bucket(struct tcp *tcp)
{
    struct tcp_entry *entry = tcp->old_bucket[tcp->moved];
    tcp->old_bucket[tcp->moved++] = NULL;
    while (entry) {
        struct tcp_entry *next = entry->next;
        struct tcp_entry **head = &tcp->bucket[entry->hash & (tcp->bucket_count - 1)];
        entry->next = *head;
        *head = entry;
        entry = next;
    }
}

static void table_move_some(struct stack *stack)
{
    struct tcp *tcp = &stack->tcp;
    for (int i = 0; i < TABLE_MOVE_STEP && tcp->moved < tcp->old_bucket_count; i++)
        table_move_bucket(tcp);
    if (tcp->moved == tcp->old_bucket_count) {
        pool_give(&stack->pool, tcp->old_bucket, tcp->old_bucket_count * sizeof(*tcp->bucket));
        tcp->old_bucket = NULL;
        tcp->old_bucket_count = tcp->moved = 0;
    }
}

/* Starts growing when there are as many entries as buckets; without memory chains just get
   longer. */
static void table_grow(struct stack *stack)
{
    struct tcp *tcp = &stack->tcp;
    if (tcp->old_bucket || tcp->entries < tcp->bucket_count)
        return;
    struct tcp_entry **bucket = table_allocate(stack, tcp->bucket_count * 2);
    if (!bucket)
        return;
    tcp->old_bucket = tcp->bucket;
    tcp->old_bucket_count = tcp->bucket_count;
    tcp->moved = 0;
    tcp->bucket = bucket;
    tcp->bucket_count *= 2;
}

int tcp_table_insert(struct stack *stack, struct tcp_entry *entry)
{
    struct tcp *tcp = &stack->tcp;
    table_grow(stack);
    if (tcp->old_bucket)
        table_move_some(stack);
    entry->hash = table_hash(stack, &entry->local_address, entry->local_port,
                             &entry->remote_address, entry->remote_port);
    struct tcp_entry **head = table_chain(tcp, entry->hash);
    entry->next = *head;
    *head = entry;
    entry->in_table = true;
    tcp->entries++;
    return 0;
}

static struct tcp_entry **table_place(const struct tcp *tcp, const struct tcp_entry *entry)
{
    struct tcp_entry **place = table_chain(tcp, entry->hash);
    while (*place != entry)
        place = &(*place)->next;
    return place;
}

void tcp_table_remove(struct stack *stack, struct tcp_entry *entry)
{
    if (!entry->in_table)
        return;
    *table_place(&stack->tcp, entry) = entry->next;
    entry->in_table = false;
    stack->tcp.entries--;
}

void tcp_table_replace(struct stack *stack, struct tcp_entry *old, struct tcp_entry *entry)
{
    struct tcp *tcp = &stack->tcp;
    *table_place(tcp, old) = entry;
    entry->next = old->next;
    entry->hash = old->hash;
    entry->id = old->id;
    entry->in_table = true;
    old->in_table = false;
    tcp->slot[old->id & (tcp->slot_capacity - 1)] = entry;
    old->id = 0;
}

/* ---- by id ---- */

static int table_grow_slots(struct stack *stack)
{
    struct tcp *tcp = &stack->tcp;
    struct tcp_entry **slot = table_allocate(stack, tcp->slot_capacity * 2);
    if (!slot)
        return STACK_NO_MEMORY;
    for (uint32_t i = 0; i < tcp->slot_capacity; i++)
        if (tcp->slot[i])
            slot[tcp->slot[i]->id & (tcp->slot_capacity * 2 - 1)] = tcp->slot[i];
    pool_give(&stack->pool, tcp->slot, tcp->slot_capacity * sizeof(*slot));
    tcp->slot = slot;
    tcp->slot_capacity *= 2;
    return 0;
}

int tcp_table_number(struct stack *stack, struct tcp_entry *entry)
{
    struct tcp *tcp = &stack->tcp;
    if (tcp->slot_used >= tcp->slot_capacity / 4 * 3 && table_grow_slots(stack) < 0)
        return STACK_NO_MEMORY;
    do
        tcp->next_id = tcp->next_id >= INT32_MAX ? 1 : tcp->next_id + 1;
    while (tcp->slot[tcp->next_id & (tcp->slot_capacity - 1)]);
    entry->id = tcp->next_id;
    tcp->slot[entry->id & (tcp->slot_capacity - 1)] = entry;
    tcp->slot_used++;
    return 0;
}

void tcp_table_unnumber(struct stack *stack, struct tcp_entry *entry)
{
    if (entry->id == 0)
        return;
    stack->tcp.slot[entry->id & (stack->tcp.slot_capacity - 1)] = NULL;
    stack->tcp.slot_used--;
    entry->id = 0;
}

struct tcp_entry *tcp_table_by_id(const struct stack *stack, uint32_t id)
{
    struct tcp_entry *entry = stack->tcp.slot[id & (stack->tcp.slot_capacity - 1)];
    return entry && id != 0 && entry->id == id ? entry : NULL;
}

/* ---- by port ---- */

bool tcp_table_addresses_meet(const struct ip_address *a, const struct ip_address *b)
{
    return ip_address_is_unspecified(a) || ip_address_is_unspecified(b) || ip_address_equal(a, b);
}

/* A listener on the very address goes before one on any (RFC 9293, 3.9.1.1). */
struct tcp_socket *tcp_table_find_listener(const struct stack *stack,
                                           const struct ip_address *local, uint16_t local_port)
{
    struct tcp_socket *any = NULL;
    struct tcp_socket *socket;
    LIST_FOREACH (socket, &stack->tcp.port[local_port % TCP_PORT_BUCKETS], port) {
        if (socket->entry.state != TCP_LISTEN || socket->entry.local_port != local_port)
            continue;
        if (ip_address_equal(&socket->entry.local_address, local))
            return socket;
        if (ip_address_is_unspecified(&socket->entry.local_address))
            any = socket;
    }
    return any;
}

bool tcp_table_port_taken(const struct stack *stack, const struct ip_address *local,
                          uint16_t local_port)
{
    const struct tcp_socket *socket;
    LIST_FOREACH (socket, &stack->tcp.port[local_port % TCP_PORT_BUCKETS], port)
        if (socket->entry.local_port == local_port && socket->entry.state <= TCP_LISTEN &&
            tcp_table_addresses_meet(&socket->entry.local_address, local))
            return true;
    return false;
}

uint16_t tcp_table_draw_port(struct stack *stack, const struct tcp_entry *entry,
                             bool (*is_free)(const struct stack *stack,
                                             const struct tcp_entry *entry, uint16_t port))
{
    uint32_t first = (uint32_t)stack->settings.tcp_port_first;
    uint32_t last = (uint32_t)stack->settings.tcp_port_last;
    uint32_t count = last >= first ? last - first + 1 : 1;
    uint32_t start = stack_random32(stack) % count;
    for (uint32_t i = 0; i < count && i < PORT_TRIES_MAX; i++) {
        uint16_t port = (uint16_t)(first + (start + i) % count);
        if (is_free(stack, entry, port))
            return port;
    }
    return 0;
}

void tcp_table_bind(struct stack *stack, struct tcp_socket *socket)
{
    assert(!socket->listed);
    LIST_INSERT_HEAD(&stack->tcp.port[socket->entry.local_port % TCP_PORT_BUCKETS], socket, port);
    socket->listed = true;
}

void tcp_table_unbind(struct stack *stack, struct tcp_socket *socket)
{
    (void)stack;
    if (socket->listed)
        LIST_REMOVE(socket, port);
    socket->listed = false;
}

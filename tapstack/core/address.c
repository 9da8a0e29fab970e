/* The addresses of the stack. A change rebuilds the hash: changes are rare, and a hash that is
   only ever filled needs no marks of what was taken out. */
#include "address.h"

#include <string.h>

#include "stack.h"

enum { BROADCAST_PREFIX_MAX = 30 }; /* a smaller network has no broadcast address (RFC 3021) */

/* The first meaning that an address is given stays. */
static void insert_slot(struct address_table *table, uint32_t v4, const struct address *address,
                        enum address_kind kind)
{
    uint32_t at = address_slot_of(v4);
    while (table->slot[at].kind != ADDRESS_FOREIGN) {
        if (table->slot[at].v4 == v4)
            return;
        at = (at + 1) % ADDRESS_SLOTS;
    }
    table->slot[at] = (struct address_slot){v4, address->interface, (uint8_t)kind};
}

static void rebuild_slots(struct address_table *table)
{
    memset(table->slot, 0, sizeof table->slot);
    for (unsigned i = 0; i < table->count; i++)
        insert_slot(table, table->address[i].v4, &table->address[i], ADDRESS_LOCAL);
    for (unsigned i = 0; i < table->count; i++) {
        const struct address *address = &table->address[i];
        uint32_t mask = address_mask(address->prefix_bits);
        if (address->prefix_bits > BROADCAST_PREFIX_MAX)
            continue;
        insert_slot(table, address->v4 | ~mask, address, ADDRESS_BROADCAST);
        insert_slot(table, address->v4 & mask, address, ADDRESS_NETWORK);
    }
}

int address_add(struct address_table *table, uint32_t v4, unsigned prefix_bits, unsigned interface)
{
    if (table->count == ADDRESSES_MAX)
        return STACK_NO_MEMORY;
    table->address[table->count++] = (struct address){
        .v4 = v4,
        .interface = (uint16_t)interface,
        .prefix_bits = (uint8_t)prefix_bits,
    };
    rebuild_slots(table);
    return 0;
}

int address_remove(struct address_table *table, uint32_t v4, unsigned interface)
{
    unsigned at = 0;
    while (at < table->count &&
           (table->address[at].v4 != v4 || table->address[at].interface != interface))
        at++;
    if (at == table->count)
        return STACK_NOT_AVAILABLE;
    table->count--;
    memmove(&table->address[at], &table->address[at + 1],
            (table->count - at) * sizeof table->address[0]);
    rebuild_slots(table);
    return 0;
}

const struct address *address_network_of(const struct address_table *table, int interface,
                                         uint32_t v4)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct address *address = &table->address[i];
        if ((interface < 0 || address->interface == interface) &&
            ((address->v4 ^ v4) & address_mask(address->prefix_bits)) == 0)
            return address;
    }
    return NULL;
}

const struct address *address_choose(const struct address_table *table, unsigned interface,
                                     uint32_t to)
{
    const struct address *address = address_network_of(table, (int)interface, to);
    for (unsigned i = 0; !address && i < table->count; i++)
        if (table->address[i].interface == interface)
            address = &table->address[i];
    return address;
}

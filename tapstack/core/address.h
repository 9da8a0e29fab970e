/* The addresses of the stack: in order, and hashed with the broadcast addresses that follow from
   them, so that "is this ours?" costs the same with one address and with many. */
#ifndef TAPSTACK_CORE_ADDRESS_H
#define TAPSTACK_CORE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ADDRESSES_MAX = 64,  /* of all interfaces together */
    ADDRESS_SLOTS = 512, /* of the hash, a power of two; an address takes up to three */
};

/* What an address means to this stack. */
enum address_kind {
    ADDRESS_FOREIGN = 0, /* nothing: another host's, or a group's */
    ADDRESS_LOCAL,       /* ours */
    ADDRESS_BROADCAST,   /* {network, -1} of a connected network (RFC 1122, 3.2.1.3) */
    ADDRESS_NETWORK, /* {network, 0}: the broadcast of old, never to be used (RFC 1812, 4.2.3.1) */
};

struct address {
    uint32_t v4; /* host order */
    uint16_t interface;
    uint8_t prefix_bits;
};

struct address_slot {
    uint32_t v4;
    uint16_t interface;
    uint8_t kind; /* enum address_kind; ADDRESS_FOREIGN: the slot is free */
};

struct address_table {
    struct address address[ADDRESSES_MAX]; /* as added: the first of an interface is its primary */
    unsigned count;
    struct address_slot slot[ADDRESS_SLOTS]; /* open addressing, linear probes */
};

static inline uint32_t address_mask(unsigned prefix_bits)
{
    return prefix_bits ? ~UINT32_C(0) << (32 - prefix_bits) : 0;
}

/* Where the search for an address starts. */
static inline uint32_t address_slot_of(uint32_t v4)
{
    return v4 * UINT32_C(0x9e3779b1) >> 23; /* the upper nine bits: ADDRESS_SLOTS */
}

/* What an address is to us. interface: whose, when it is not foreign; may be NULL. */
static inline enum address_kind address_find(const struct address_table *table, uint32_t v4,
                                             unsigned *interface)
{
    const struct address_slot *slot = &table->slot[address_slot_of(v4)];
    while (slot->kind != ADDRESS_FOREIGN && slot->v4 != v4)
        slot = slot + 1 < table->slot + ADDRESS_SLOTS ? slot + 1 : table->slot;
    if (slot->kind != ADDRESS_FOREIGN && interface)
        *interface = slot->interface;
    return (enum address_kind)slot->kind;
}

/* Adds one behind the others. Returns 0 or STACK_NO_MEMORY. The caller has checked it. */
int address_add(struct address_table *table, uint32_t v4, unsigned prefix_bits, unsigned interface);

/* Returns 0, or STACK_NOT_AVAILABLE when the interface has no such address. */
int address_remove(struct address_table *table, uint32_t v4, unsigned interface);

/* The address of an interface to speak to `to` from: the first on its network, else the primary;
   NULL: the interface has none. */
const struct address *address_choose(const struct address_table *table, unsigned interface,
                                     uint32_t to);

/* The first address of this interface (-1: of any) whose network holds v4, or NULL. */
const struct address *address_network_of(const struct address_table *table, int interface,
                                         uint32_t v4);

#endif

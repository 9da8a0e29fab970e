/* pcapng blocks as bytes (draft-ietf-opsawg-pcapng).

   A block is its type, its length, a body, options of 32-bit aligned values, and its length again.
   All numbers are little-endian; the section header says so to the reader. */
#include "pcapng.h"

#include <stdbool.h>
#include <string.h>

enum block_type {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
};

enum {
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    VERSION_MAJOR = 1,
    VERSION_MINOR = 0,
    LINK_TYPE_ETHERNET = 1,
    RESOLUTION_NS = 9, /* a power of ten */

    OPTION_END = 0,
    OPTION_COMMENT = 1,
    SECTION_APPLICATION = 4,
    INTERFACE_NAME = 2,
    INTERFACE_RESOLUTION = 9,
    PACKET_FLAGS = 2,
    STATISTICS_RECEIVED = 4,
    STATISTICS_DROPPED = 5,
    OPTION_VALUE_MAX = 65532, /* the largest aligned value that the 16-bit length can say */
};

/* The block being written. Once something did not fit, nothing more is written. */
struct block {
    uint8_t *bytes;
    size_t capacity;
    size_t size;
    bool full;
};

static void put_bytes(struct block *block, const void *data, size_t size)
{
    if (block->full || size > block->capacity - block->size) {
        block->full = true;
        return;
    }
    if (size > 0)
        memcpy(block->bytes + block->size, data, size);
    block->size += size;
}

/* The lowest size bytes of number. */
static void put_number(struct block *block, uint64_t number, size_t size)
{
    uint8_t little[8];
    for (size_t i = 0; i < size; i++)
        little[i] = (uint8_t)(number >> (8 * i));
    put_bytes(block, little, size);
}

/* Data and the zeros that bring it to a multiple of 32 bits. */
static void put_padded(struct block *block, const void *data, size_t size)
{
    put_bytes(block, data, size);
    put_number(block, 0, -size & 3);
}

static void put_option(struct block *block, unsigned code, const void *value, size_t size)
{
    put_number(block, code, 2);
    put_number(block, size, 2);
    put_padded(block, value, size);
}

/* value: NULL leaves the option out. One that is too long is cut, before a character of UTF-8. */
static void put_text_option(struct block *block, unsigned code, const char *value)
{
    if (!value)
        return;
    size_t size = strlen(value);
    if (size > OPTION_VALUE_MAX) {
        size = OPTION_VALUE_MAX;
        while (size > 0 && ((uint8_t)value[size] & 0xc0) == 0x80)
            size--;
    }
    put_option(block, code, value, size);
}

/* size: of the number, 1, 4 or 8 bytes. */
static void put_number_option(struct block *block, unsigned code, uint64_t number, size_t size)
{
    put_number(block, code, 2);
    put_number(block, size, 2);
    put_number(block, number, size);
    put_number(block, 0, -size & 3);
}

/* A time stamp is two words, the upper one first. */
static void put_time(struct block *block, uint64_t at_ns)
{
    put_number(block, at_ns >> 32, 4);
    put_number(block, at_ns, 4);
}

static struct block start_block(uint8_t *bytes, size_t capacity, enum block_type type)
{
    struct block block = {bytes, capacity, 0, false};
    put_number(&block, type, 4);
    put_number(&block, 0, 4); /* the length, known at the end */
    return block;
}

/* Closes the options and the block. Returns its size, or 0 when it did not fit. */
static size_t end_block(struct block *block)
{
    put_number(block, OPTION_END, 2);
    put_number(block, 0, 2);
    size_t size = block->size + 4;
    put_number(block, size, 4);
    if (block->full || size > UINT32_MAX)
        return 0;
    memcpy(block->bytes + 4, block->bytes + size - 4, 4);
    return size;
}

size_t pcapng_write_section(uint8_t *bytes, size_t capacity, const char *application,
                            const char *comment)
{
    struct block block = start_block(bytes, capacity, BLOCK_SECTION);
    put_number(&block, BYTE_ORDER_MAGIC, 4);
    put_number(&block, VERSION_MAJOR, 2);
    put_number(&block, VERSION_MINOR, 2);
    put_number(&block, UINT64_MAX, 8); /* the section's length is not known */
    put_text_option(&block, SECTION_APPLICATION, application);
    put_text_option(&block, OPTION_COMMENT, comment);
    return end_block(&block);
}

size_t pcapng_write_interface(uint8_t *bytes, size_t capacity, const char *name,
                              uint32_t snap_length)
{
    struct block block = start_block(bytes, capacity, BLOCK_INTERFACE);
    put_number(&block, LINK_TYPE_ETHERNET, 2);
    put_number(&block, 0, 2); /* reserved */
    put_number(&block, snap_length, 4);
    put_text_option(&block, INTERFACE_NAME, name);
    put_number_option(&block, INTERFACE_RESOLUTION, RESOLUTION_NS, 1);
    return end_block(&block);
}

size_t pcapng_write_packet(uint8_t *bytes, size_t capacity, const struct pcapng_packet *packet)
{
    struct block block = start_block(bytes, capacity, BLOCK_PACKET);
    size_t wire_size = packet->wire_size > packet->size ? packet->wire_size : packet->size;
    put_number(&block, packet->interface, 4);
    put_time(&block, packet->at_ns);
    put_number(&block, packet->size, 4);
    put_number(&block, wire_size, 4);
    put_padded(&block, packet->data, packet->size);
    if (packet->direction != 0)
        put_number_option(&block, PACKET_FLAGS, (uint64_t)packet->direction, 4);
    put_text_option(&block, OPTION_COMMENT, packet->comment);
    return end_block(&block);
}

size_t pcapng_write_statistics(uint8_t *bytes, size_t capacity,
                               const struct pcapng_statistics *statistics)
{
    struct block block = start_block(bytes, capacity, BLOCK_STATISTICS);
    put_number(&block, statistics->interface, 4);
    put_time(&block, statistics->at_ns);
    put_number_option(&block, STATISTICS_RECEIVED, statistics->received, 8);
    put_number_option(&block, STATISTICS_DROPPED, statistics->dropped, 8);
    return end_block(&block);
}

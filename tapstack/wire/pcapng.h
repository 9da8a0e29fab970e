/* pcapng blocks as bytes (draft-ietf-opsawg-pcapng): section, interface, packet, statistics. */
#ifndef TAPSTACK_WIRE_PCAPNG_H
#define TAPSTACK_WIRE_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

enum {
    PCAPNG_BLOCK_OVERHEAD =
        512, /* a packet block needs its bytes, its comment and no more than this */
    PCAPNG_INBOUND = 1,
    PCAPNG_OUTBOUND = 2,
};

struct pcapng_packet {
    uint32_t interface;  /* number of the interface block */
    uint64_t at_ns;      /* since the epoch */
    int direction;       /* PCAPNG_INBOUND, PCAPNG_OUTBOUND or 0: not said */
    const uint8_t *data; /* captured bytes */
    size_t size;         /* of data */
    size_t wire_size;    /* of the frame on the wire; more than size when it was cut */
    const char *comment; /* UTF-8, or NULL */
};

struct pcapng_statistics {
    uint32_t interface;
    uint64_t at_ns;
    uint64_t received; /* frames seen */
    uint64_t dropped;  /* frames not written */
};

/* Each writes one whole block into bytes (capacity bytes) and returns its size, or 0 when it does
   not fit. Section header: application is our name and version, comment may be NULL. Interface:
   link type Ethernet, resolution 1 ns. */
size_t pcapng_write_section(uint8_t *bytes, size_t capacity, const char *application,
                            const char *comment);
size_t pcapng_write_interface(uint8_t *bytes, size_t capacity, const char *name,
                              uint32_t snap_length);
size_t pcapng_write_packet(uint8_t *bytes, size_t capacity, const struct pcapng_packet *packet);
size_t pcapng_write_statistics(uint8_t *bytes, size_t capacity,
                               const struct pcapng_statistics *statistics);

#endif

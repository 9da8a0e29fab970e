/* IP options as a host or router acts on them: record route, timestamp and source route. */
#include "ip_option.h"

#include <string.h>

#include "state.h"

enum { ADDRESS_BYTES = 4, ROUTE_HEAD_BYTES = 3 };

/* ---- Writing into them ---- */

/* Where the pointer of an option points. */
static uint8_t *at_pointer(uint8_t *option) { return option + option[2] - 1; }

static void record_address(uint8_t *option, uint32_t own_v4)
{
    if (!ipv4_route_has_room(option))
        return;
    bytes_put32(at_pointer(option), own_v4);
    option[2] += ADDRESS_BYTES;
}

/* An option that is full counts, in the upper half of its fourth byte, who found it so. The parser
   has refused one that would count too far. */
static void record_time(const struct stack *stack, uint8_t *option, uint32_t own_v4,
                        uint64_t now_us)
{
    uint8_t flags = option[3] & 15;
    if (option[2] > option[1]) {
        if (flags != IPV4_TIMESTAMP_PRESPECIFIED)
            option[3] += 1 << 4;
        return;
    }
    if (flags == IPV4_TIMESTAMP_PRESPECIFIED &&
        !ip_is_local(stack, bytes_get32(at_pointer(option))))
        return;
    if (flags != IPV4_TIMESTAMP_ONLY) {
        if (flags == IPV4_TIMESTAMP_ADDRESSED)
            bytes_put32(at_pointer(option), own_v4);
        option[2] += ADDRESS_BYTES;
    }
    bytes_put32(at_pointer(option), icmp_timestamp_now(stack, now_us));
    option[2] += ADDRESS_BYTES;
}

void ip_option_record(const struct stack *stack, uint8_t *header,
                      const struct ipv4_options *options, uint32_t own_v4, uint64_t now_us)
{
    if (options->record_route != 0)
        record_address(header + options->record_route, own_v4);
    if (options->timestamp != 0)
        record_time(stack, header + options->timestamp, own_v4, now_us);
}

/* ---- Source routes ---- */

uint32_t ip_option_next_stop(const uint8_t *header, const struct ipv4_options *options)
{
    const uint8_t *option = header + options->source_route;
    if (options->source_route == 0 || !ipv4_route_has_room(option))
        return 0;
    return bytes_get32(option + option[2] - 1);
}

void ip_option_advance(uint8_t *header, const struct ipv4_options *options, uint32_t own_v4)
{
    uint8_t *option = header + options->source_route;
    memcpy(header + 16, at_pointer(option), ADDRESS_BYTES);
    record_address(option, own_v4);
}

/* ---- Answers ---- */

static void append_option(struct ip_send *send, uint8_t *room, const uint8_t *option)
{
    memcpy(room + send->option_bytes, option, option[1]);
    send->option_bytes += option[1];
}

/* The stops that the datagram has made, the last first, and then its source. The first of them is
   where the answer goes. */
static void reverse_route(const struct ip_datagram *datagram, struct ip_send *send, uint8_t *room)
{
    const uint8_t *option = datagram->packet + datagram->options.source_route;
    uint8_t *reverse = room + send->option_bytes;
    size_t stops = (option[1] - ROUTE_HEAD_BYTES) / ADDRESS_BYTES;
    if (stops == 0)
        return;
    reverse[0] = option[0];
    reverse[1] = option[1];
    reverse[2] = IPV4_ROUTE_DATA;
    send->destination_v4 = bytes_get32(option + ROUTE_HEAD_BYTES + (stops - 1) * ADDRESS_BYTES);
    for (size_t i = 1; i < stops; i++)
        memcpy(reverse + ROUTE_HEAD_BYTES + (i - 1) * ADDRESS_BYTES,
               option + ROUTE_HEAD_BYTES + (stops - 1 - i) * ADDRESS_BYTES, ADDRESS_BYTES);
    bytes_put32(reverse + ROUTE_HEAD_BYTES + (stops - 1) * ADDRESS_BYTES,
                datagram->header.source_v4);
    send->option_bytes += option[1];
}

void ip_option_reply(const struct stack *stack, const struct ip_datagram *datagram,
                     struct ip_send *send, uint8_t *room, uint64_t now_us)
{
    const struct ipv4_options *options = &datagram->options;
    uint8_t header[IPV4_HEADER_MAX];
    if (options->source_route == 0 && options->record_route == 0 && options->timestamp == 0)
        return;
    memcpy(header, datagram->packet, datagram->header.header_bytes);
    ip_option_record(stack, header, options, send->source_v4, now_us);
    if (options->source_route != 0)
        reverse_route(datagram, send, room);
    if (options->record_route != 0)
        append_option(send, room, header + options->record_route);
    if (options->timestamp != 0)
        append_option(send, room, header + options->timestamp);
    while (send->option_bytes % 4 != 0)
        room[send->option_bytes++] = IPV4_OPTION_END;
    send->options = room;
}

/* The options of an IPv4 header (RFC 791, 3.1; RFC 1122, 3.2.1.8).

   Every option but the first two kinds is type, length, data. Routes and timestamps carry a
   pointer into themselves, counted from 1 at their type octet. A pointer beyond the length says
   that the option is full (a route: that its end is reached), which is no error. */
#include "ipv4_option.h"

#include "ipv4.h"

enum {
    ADDRESS_BYTES = 4,
    ROUTE_BYTES_MIN = 3,
    TIMESTAMP_BYTES_MIN = 4,
    ROUTER_ALERT_BYTES = 4, /* RFC 2113, 2.1 */
};

/* Faults are told as the offset in the option of the octet that is wrong, plus one; 0: none. */
enum { FAULT_TYPE = 1, FAULT_LENGTH = 2, FAULT_POINTER = 3, FAULT_FLAGS = 4 };

static unsigned check_route(const uint8_t *option)
{
    unsigned length = option[1];
    if (length < ROUTE_BYTES_MIN || (length - ROUTE_BYTES_MIN) % ADDRESS_BYTES != 0)
        return FAULT_LENGTH;
    unsigned pointer = option[2];
    if (pointer < IPV4_ROUTE_DATA || (pointer <= length && pointer % ADDRESS_BYTES != 0))
        return FAULT_POINTER;
    return 0;
}

/* A timestamp that is full counts those who found it so; its counter must not run over (RFC 791). */
static unsigned check_timestamp(const uint8_t *option)
{
    unsigned length = option[1];
    if (length < TIMESTAMP_BYTES_MIN)
        return FAULT_LENGTH;
    unsigned pointer = option[2], flags = option[3] & 15;
    if (pointer < IPV4_TIMESTAMP_DATA)
        return FAULT_POINTER;
    if (flags != IPV4_TIMESTAMP_ONLY && flags != IPV4_TIMESTAMP_ADDRESSED &&
        flags != IPV4_TIMESTAMP_PRESPECIFIED)
        return FAULT_FLAGS;
    unsigned entry = flags == IPV4_TIMESTAMP_ONLY ? ADDRESS_BYTES : 2 * ADDRESS_BYTES;
    if (pointer > length)
        return option[3] >> 4 == 15 && flags != IPV4_TIMESTAMP_PRESPECIFIED ? FAULT_FLAGS : 0;
    if ((pointer - IPV4_TIMESTAMP_DATA) % entry != 0 || pointer + entry - 1 > length)
        return FAULT_POINTER;
    return 0;
}

/* Takes note of an option of which there may be one. Returns its fault, or 0. */
static unsigned note_option(uint8_t *place, size_t at, unsigned fault)
{
    if (*place != 0)
        return FAULT_TYPE;
    *place = (uint8_t)at;
    return fault;
}

static unsigned read_option(const uint8_t *header, size_t at, struct ipv4_options *options)
{
    const uint8_t *option = header + at;
    switch (option[0]) {
    case IPV4_OPTION_RECORD_ROUTE:
        return note_option(&options->record_route, at, check_route(option));
    case IPV4_OPTION_TIMESTAMP:
        return note_option(&options->timestamp, at, check_timestamp(option));
    case IPV4_OPTION_STRICT_ROUTE:
        options->strict = true;
        return note_option(&options->source_route, at, check_route(option));
    case IPV4_OPTION_LOOSE_ROUTE:
        return note_option(&options->source_route, at, check_route(option));
    case IPV4_OPTION_ROUTER_ALERT:
        return note_option(&options->router_alert, at,
                           option[1] != ROUTER_ALERT_BYTES ? FAULT_LENGTH : 0);
    default:
        return 0;
    }
}

int ipv4_options_parse(const uint8_t *header, size_t header_bytes, struct ipv4_options *options,
                       uint8_t *pointer)
{
    *options = (struct ipv4_options){0};
    for (size_t at = IPV4_HEADER_BYTES; at < header_bytes && header[at] != IPV4_OPTION_END;) {
        if (header[at] == IPV4_OPTION_NO_OPERATION) {
            at++;
            continue;
        }
        unsigned fault = 0;
        if (at + 1 == header_bytes)
            fault = FAULT_TYPE;
        else if (header[at + 1] < 2 || at + header[at + 1] > header_bytes)
            fault = FAULT_LENGTH;
        else
            fault = read_option(header, at, options);
        if (fault != 0) {
            *pointer = (uint8_t)(at + fault - 1);
            return -1;
        }
        at += header[at + 1];
    }
    return 0;
}

/* Whether a packet is what a script expects, and in what it differs. */
#include <string.h>

#include "../wire/tcp.h"
#include "../wire/tcp_option.h"
#include "script_state.h"

static bool ip_differs(const struct script_packet *expected, const struct script_packet *actual)
{
    bool ect = actual->ecn == SCRIPT_ECN_ECT0 || actual->ecn == SCRIPT_ECN_ECT1;
    if (expected->ecn == SCRIPT_ECN_ECT01 ? !ect
                                          : expected->ecn >= 0 && expected->ecn != actual->ecn)
        return true;
    return (expected->ttl >= 0 && expected->ttl != actual->ttl) ||
           (expected->tos >= 0 && expected->tos != actual->tos);
}

/* How far our clock's timestamp may be from the script's. */
static bool stamp_differs(const struct run *run, uint32_t expected, uint32_t actual)
{
    if (run->stamp_tick_us == 0)
        return false;
    int32_t apart = (int32_t)(actual - expected);
    uint64_t ticks = apart < 0 ? (uint64_t) - (int64_t)apart : (uint64_t)apart;
    return ticks * run->stamp_tick_us > run->tolerance_us + run->stamp_tick_us;
}

static bool option_differs(const struct run *run, const struct script_option *expected,
                           const struct script_option *actual)
{
    if (expected->raw || expected->kind != actual->kind ||
        expected->value_count != actual->value_count || expected->size != actual->size)
        return true;
    if (expected->kind == TCP_KIND_TIMESTAMPS)
        return stamp_differs(run, expected->value[0], actual->value[0]) ||
               expected->value[1] != actual->value[1];
    return memcmp(expected->value, actual->value,
                  expected->value_count * sizeof *expected->value) != 0 ||
           memcmp(expected->bytes, actual->bytes, expected->size) != 0;
}

static bool options_differ(const struct run *run, const struct script_packet *expected,
                           const struct script_packet *actual)
{
    unsigned at = 0;
    if (expected->any_options)
        return false;
    for (unsigned i = 0; i < expected->option_count; i++, at++)
        if (at == actual->option_count ||
            option_differs(run, &expected->option[i], &actual->option[at]))
            return true;
    return at != actual->option_count;
}

static enum packet_field compare_tcp(struct run *run, const struct script_packet *expected,
                                     const struct script_packet *actual)
{
    if (expected->flags != actual->flags)
        return FIELD_FLAGS;
    if (expected->sequence != actual->sequence || expected->payload_bytes != actual->payload_bytes)
        return FIELD_SEQUENCE;
    if ((expected->flags & TCP_ACK) && expected->ack != actual->ack)
        return FIELD_ACK;
    if (expected->window >= 0 && expected->window != actual->window)
        return FIELD_WINDOW;
    if (expected->urgent >= 0 && expected->urgent != actual->urgent)
        return FIELD_URGENT;
    return options_differ(run, expected, actual) ? FIELD_OPTIONS : FIELD_NONE;
}

static enum packet_field compare_icmp(const struct script_packet *expected,
                                      const struct script_packet *actual)
{
    bool same = expected->icmp_type == actual->icmp_type &&
                expected->icmp_code == actual->icmp_code &&
                (expected->icmp_mtu < 0 || expected->icmp_mtu == actual->icmp_mtu) &&
                (expected->icmp_id < 0 || expected->icmp_id == actual->icmp_id);
    return same ? FIELD_NONE : FIELD_KIND;
}

enum packet_field packet_compare(struct run *run, const struct script_packet *expected,
                                 const struct script_packet *actual)
{
    if (expected->kind != actual->kind)
        return FIELD_KIND;
    bool ports =
        expected->source_port >= 0 && (expected->source_port != actual->source_port ||
                                       expected->destination_port != actual->destination_port);
    if (ports)
        return FIELD_PORTS;
    if (ip_differs(expected, actual))
        return FIELD_IP;
    if (expected->kind == SCRIPT_TCP)
        return compare_tcp(run, expected, actual);
    if (expected->kind == SCRIPT_ICMP)
        return compare_icmp(expected, actual);
    return expected->payload_bytes == actual->payload_bytes ? FIELD_NONE : FIELD_SEQUENCE;
}

bool packet_join(struct script_packet *whole, const struct script_packet *next)
{
    enum { MAY_DIFFER = TCP_PSH | TCP_CWR };
    bool continues =
        whole->kind == SCRIPT_TCP && next->kind == SCRIPT_TCP && whole->payload_bytes > 0 &&
        next->payload_bytes > 0 && whole->source_port == next->source_port &&
        whole->destination_port == next->destination_port &&
        (whole->flags & ~MAY_DIFFER) == (next->flags & ~(MAY_DIFFER | TCP_FIN)) &&
        whole->sequence + whole->payload_bytes == next->sequence && whole->ack == next->ack;
    if (!continues)
        return false;
    whole->payload_bytes += next->payload_bytes;
    whole->flags = (uint16_t)(next->flags | (whole->flags & TCP_CWR));
    return true;
}

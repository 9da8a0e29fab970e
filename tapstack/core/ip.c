/* IPv4, the way in: a datagram is checked and goes to its protocol or onward.

   ip_input passes it through these steps, each of which may refuse it with a counter of its own:

       check_header       version, lengths, checksum                        (RFC 1122, 3.2.1; S19)
       find_target        whose it is: ours, a group's, or another host's   (RFC 1122, 3.2.1.3; S19)
       check_source       can another host have sent it?                    (RFC 1812, 5.3.7; S19)
       check_options      are they well formed, and allowed?                (RFC 1122, 3.2.1.8; S19)
       receive_datagram   ours: a fragment, or whole and for its protocol   (S22, S23)
       forward_datagram   another host's: forward.c                         (S20)

   A multihomed host may take what comes for any of its addresses by any of its interfaces, or only
   by the interface that has the address (RFC 1122, 3.3.4.2: the weak and the strong model). Here it
   is weak, as in most systems, and strong with the setting ip.strong_host; a router is always weak,
   since its addresses are the router's and not the links' (RFC 1812, 5.2.3). */
#include "ip.h"

#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "forward.h"
#include "ip_option.h"
#include "state.h"
#include "tcp.h"
#include "udp.h"

bool ip_is_local(const struct stack *stack, uint32_t v4)
{
    return address_find(&stack->addresses, v4, NULL) == ADDRESS_LOCAL;
}

bool ip_is_broadcast(const struct stack *stack, uint32_t v4)
{
    return v4 == UINT32_MAX || address_find(&stack->addresses, v4, NULL) == ADDRESS_BROADCAST;
}

bool ip_is_joined(const struct stack *stack, unsigned interface, uint32_t group_v4)
{
    return igmp_is_member(stack, interface, group_v4);
}

bool ip_is_group(const struct stack *stack, uint32_t v4)
{
    return ipv4_is_multicast(v4) || ip_is_broadcast(stack, v4);
}

static int drop(struct stack *stack, const struct ip_datagram *datagram, enum stack_counter counter,
                uint64_t now_us)
{
    return stack_drop(stack, counter, 0, frame_size(datagram->frame) - ETHERNET_HEADER_BYTES,
                      now_us);
}

/* ---- Checks ---- */

static enum stack_counter parse_error_counter(int error)
{
    switch (error) {
    case IPV4_TRUNCATED:
        return STACK_COUNTER_IP_IN_TRUNCATED;
    case IPV4_BAD_CHECKSUM:
        return STACK_COUNTER_IP_IN_CSUM_ERRORS;
    case IPV4_BAD_VERSION:
        return STACK_COUNTER_IP_IN_BAD_VERSION;
    case IPV4_BAD_TOTAL_LENGTH:
        return STACK_COUNTER_IP_IN_BAD_TOTAL_LENGTH;
    default:
        return STACK_COUNTER_IP_IN_BAD_HEADER_LENGTH;
    }
}

/* Fills in the datagram from its header. Returns 0, or -1 when it was dropped. */
static int check_header(struct stack *stack, struct ip_datagram *datagram, size_t size,
                        uint64_t now_us)
{
    struct ipv4_header *header = &datagram->header;
    int error = ipv4_parse(datagram->packet, size, header);
    if (error)
        return drop(stack, datagram, parse_error_counter(error), now_us);
    datagram->payload = datagram->packet + header->header_bytes;
    datagram->payload_bytes = header->total_bytes - header->header_bytes;
    return 0;
}

enum ip_target {
    TARGET_REFUSED = -1, /* dropped and counted */
    TARGET_LOCAL,
    TARGET_GROUP, /* ours too */
    TARGET_OTHER,
};

/* Whose is an address that is not in our table? */
static enum ip_target find_foreign_target(struct stack *stack, const struct ip_datagram *datagram,
                                          uint64_t now_us)
{
    uint32_t v4 = datagram->header.destination_v4;
    if (ipv4_is_valid_source(v4))
        return TARGET_OTHER;
    if (v4 == UINT32_MAX ||
        (ipv4_is_multicast(v4) && ip_is_joined(stack, datagram->frame->interface, v4)))
        return TARGET_GROUP;
    return drop(stack, datagram,
                ipv4_is_multicast(v4) ? STACK_COUNTER_IP_IN_NOT_JOINED
                                      : STACK_COUNTER_IP_IN_MARTIAN_DESTINATIONS,
                now_us);
}

/* A broadcast of another link than its own would have to be forwarded, which nobody should do
   (RFC 2644). */
static enum ip_target find_target(struct stack *stack, const struct ip_datagram *datagram,
                                  uint64_t now_us)
{
    unsigned interface;
    switch (address_find(&stack->addresses, datagram->header.destination_v4, &interface)) {
    case ADDRESS_LOCAL:
        if (!conflict_may_use(stack, datagram->header.destination_v4))
            return drop(stack, datagram, STACK_COUNTER_ARP_ADDRESS_UNUSABLE, now_us);
        if (interface != datagram->frame->interface && stack->settings.ip_strong_host &&
            !stack->settings.ip_forward)
            return drop(stack, datagram, STACK_COUNTER_IP_IN_WRONG_INTERFACE, now_us);
        return TARGET_LOCAL;
    case ADDRESS_BROADCAST:
        if (interface == datagram->frame->interface)
            return TARGET_GROUP;
        return drop(stack, datagram, STACK_COUNTER_IP_IN_DIRECTED_BROADCASTS, now_us);
    case ADDRESS_NETWORK:
        return drop(stack, datagram, STACK_COUNTER_IP_IN_DIRECTED_BROADCASTS, now_us);
    default:
        return find_foreign_target(stack, datagram, now_us);
    }
}

/* Can another host have this address (RFC 1122, 3.2.1.3; RFC 1812, 5.3.7)? */
static bool is_foreign_host(const struct stack *stack, uint32_t v4)
{
    return ipv4_is_valid_source(v4) && address_find(&stack->addresses, v4, NULL) == ADDRESS_FOREIGN;
}

/* A switch that keeps track of groups may ask for them without an address of its own (RFC 4541,
   2.1.1): nothing is sent back to that. */
static bool is_nameless_query(const struct ip_datagram *datagram, enum ip_target target)
{
    return datagram->header.source_v4 == 0 && target == TARGET_GROUP &&
           datagram->header.protocol == IPV4_PROTOCOL_IGMP;
}

/* What options say is only believed of a datagram that is otherwise in order, so that nobody makes
   us answer to an address that cannot have asked. */
static int check_options(struct stack *stack, struct ip_datagram *datagram, uint64_t now_us)
{
    uint8_t pointer;
    if (ipv4_options_parse(datagram->packet, datagram->header.header_bytes, &datagram->options,
                           &pointer) != 0) {
        icmp_send_error(stack, datagram, ICMP_PARAMETER_PROBLEM, 0, (uint32_t)pointer << 24,
                        now_us);
        return drop(stack, datagram, STACK_COUNTER_IP_IN_BAD_OPTIONS, now_us);
    }
    if (datagram->options.source_route == 0 || stack->settings.ip_source_route)
        return 0;
    icmp_send_error(stack, datagram, ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_SOURCE_ROUTE_FAILED, 0,
                    now_us);
    return drop(stack, datagram, STACK_COUNTER_IP_IN_SOURCE_ROUTED, now_us);
}

/* ---- Local delivery ---- */

static bool is_known_protocol(uint8_t protocol)
{
    return protocol == IPV4_PROTOCOL_TCP || protocol == IPV4_PROTOCOL_ICMP ||
           protocol == IPV4_PROTOCOL_IGMP || protocol == IPV4_PROTOCOL_UDP;
}

int ip_deliver(struct stack *stack, struct ip_datagram *datagram, uint64_t now_us)
{
    uint8_t protocol = datagram->header.protocol;
    if (stack->filter.watches[FILTER_INPUT] && filter_input(stack, datagram, now_us) < 0)
        return -1;
    if (!is_known_protocol(protocol)) {
        icmp_send_error(stack, datagram, ICMP_DESTINATION_UNREACHABLE,
                        ICMP_CODE_PROTOCOL_UNREACHABLE, 0, now_us);
        return drop(stack, datagram, STACK_COUNTER_IP_IN_UNKNOWN_PROTOS, now_us);
    }
    stack_count(stack, STACK_COUNTER_IP_IN_DELIVERS);
    switch (protocol) {
    case IPV4_PROTOCOL_TCP:
        return tcp_input(stack, datagram, now_us);
    case IPV4_PROTOCOL_ICMP:
        return icmp_input(stack, datagram, now_us);
    case IPV4_PROTOCOL_IGMP:
        return igmp_input(stack, datagram, now_us);
    default:
        return udp_input(stack, datagram, now_us);
    }
}

/* A fragment waits for the others; the last to come makes the whole (stage S22). */
static int receive_fragment(struct stack *stack, const struct ip_datagram *fragment,
                            uint64_t now_us)
{
    struct reassembly_whole whole;
    int result = reassembly_input(stack, fragment, &whole, now_us);
    if (result != 1)
        return result;
    result = ip_deliver(stack, &whole.datagram, now_us);
    reassembly_release(stack, &whole);
    return result;
}

/* A datagram for this host, whole or in part. */
static int receive_datagram(struct stack *stack, struct ip_datagram *datagram, uint64_t now_us)
{
    const struct ipv4_header *header = &datagram->header;
    datagram->source = ip_address_from_v4(header->source_v4);
    datagram->destination = ip_address_from_v4(header->destination_v4);
    if (header->fragment_offset != 0 || header->more_fragments)
        return receive_fragment(stack, datagram, now_us);
    return ip_deliver(stack, datagram, now_us);
}

int ip_input(struct stack *stack, const struct frame *frame, const uint8_t *bytes, size_t size,
             bool to_group, uint64_t now_us)
{
    struct ip_datagram datagram = {.frame = frame, .packet = bytes};
    stack_count(stack, STACK_COUNTER_IP_IN_RECEIVES);
    if (check_header(stack, &datagram, size, now_us) != 0)
        return -1;
    enum ip_target target = find_target(stack, &datagram, now_us);
    if (target == TARGET_REFUSED)
        return -1;
    datagram.to_group = to_group || target == TARGET_GROUP;
    if (!is_foreign_host(stack, datagram.header.source_v4) && !is_nameless_query(&datagram, target))
        return drop(stack, &datagram, STACK_COUNTER_IP_IN_MARTIAN_SOURCES, now_us);
    /* RFC 1122, 3.3.6; RFC 1812, 5.3.4. */
    if (to_group && target != TARGET_GROUP)
        return drop(stack, &datagram, STACK_COUNTER_IP_IN_LINK_BROADCASTS, now_us);
    /* Silently, whatever its options say (RFC 1122, 3.2.1.3). */
    if (target == TARGET_OTHER && !stack->settings.ip_forward)
        return drop(stack, &datagram, STACK_COUNTER_IP_IN_ADDR_ERRORS, now_us);
    if (datagram.header.header_bytes > IPV4_HEADER_BYTES &&
        check_options(stack, &datagram, now_us) != 0)
        return -1;
    if (target == TARGET_OTHER || ip_option_next_stop(bytes, &datagram.options) != 0)
        return forward_datagram(stack, &datagram, now_us);
    return receive_datagram(stack, &datagram, now_us);
}

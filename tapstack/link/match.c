/* Which frames a rule is for. */
#include "match.h"

#include "../wire/bytes.h"
#include "../wire/ethernet.h"
#include "../wire/ipv4.h"
#include "../wire/tcp.h"

enum {
    VLAN_TAG_BYTES = 4,
    FRAGMENT_OFFSET_MASK = 0x1fff,
    PORT_BYTES = 4,
    /* A SYN is not a SYN-ACK: these count even where they are not named. */
    FLAGS_THAT_COUNT = TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK,
};

/* ---- What a frame says ---- */

static void look_at_tcp(struct match_view *view, const uint8_t *tcp, size_t size)
{
    size_t header_bytes = size >= TCP_HEADER_BYTES ? (size_t)(tcp[12] >> 4) * 4 : 0;
    if (header_bytes < TCP_HEADER_BYTES || header_bytes > size)
        return;
    view->is_tcp = true;
    view->tcp_flags = tcp[13];
    view->sequence = bytes_get32(tcp + 4);
    view->payload_bytes = (uint32_t)(size - header_bytes);
}

static void look_at_ipv4(struct match_view *view, const uint8_t *ip, size_t size)
{
    size_t header_bytes = size >= IPV4_HEADER_BYTES ? (ip[0] & 15) * 4U : 0;
    if (header_bytes < IPV4_HEADER_BYTES || ip[0] >> 4 != 4 || header_bytes > size)
        return;
    size_t total_bytes = bytes_get16(ip + 2);
    view->is_ipv4 = true;
    view->protocol = ip[9];
    view->source_v4 = bytes_get32(ip + 12);
    view->destination_v4 = bytes_get32(ip + 16);
    if (total_bytes < size)
        size = total_bytes; /* behind it is padding */
    if ((bytes_get16(ip + 6) & FRAGMENT_OFFSET_MASK) != 0 || size < header_bytes + PORT_BYTES ||
        (view->protocol != IPV4_PROTOCOL_TCP && view->protocol != IPV4_PROTOCOL_UDP))
        return;
    view->has_ports = true;
    view->source_port = bytes_get16(ip + header_bytes);
    view->destination_port = bytes_get16(ip + header_bytes + 2);
    if (view->protocol == IPV4_PROTOCOL_TCP)
        look_at_tcp(view, ip + header_bytes, size - header_bytes);
}

void match_look(struct match_view *view, const uint8_t *bytes, size_t size)
{
    size_t offset = ETHERNET_HEADER_BYTES;
    *view = (struct match_view){.size = (uint32_t)size};
    if (size < offset)
        return;
    view->ethertype = bytes_get16(bytes + 12);
    if (view->ethertype == ETHERTYPE_VLAN && size >= offset + VLAN_TAG_BYTES) {
        offset += VLAN_TAG_BYTES;
        view->ethertype = bytes_get16(bytes + 16);
    }
    view->ip_offset = (uint8_t)offset;
    if (view->ethertype == ETHERTYPE_IPV4)
        look_at_ipv4(view, bytes + offset, size - offset);
}

/* ---- Conditions ---- */

static bool network_fits(const struct match_network *network, uint32_t v4)
{
    return (v4 ^ network->v4) >> (32 - network->prefix_bits) == 0;
}

static bool addresses_fit(const struct match *match, const struct match_view *view)
{
    const struct match_network *network = match->network;
    if (network[MATCH_SOURCE].prefix_bits &&
        !(view->is_ipv4 && network_fits(&network[MATCH_SOURCE], view->source_v4)))
        return false;
    if (network[MATCH_DESTINATION].prefix_bits &&
        !(view->is_ipv4 && network_fits(&network[MATCH_DESTINATION], view->destination_v4)))
        return false;
    return !network[MATCH_EITHER].prefix_bits ||
           (view->is_ipv4 && (network_fits(&network[MATCH_EITHER], view->source_v4) ||
                              network_fits(&network[MATCH_EITHER], view->destination_v4)));
}

static bool ports_hold(const struct match_ports *ports, uint16_t port)
{
    return port >= ports->first && port <= ports->last;
}

static bool ports_fit(const struct match *match, const struct match_view *view)
{
    const struct match_ports *ports = match->ports;
    if (ports[MATCH_SOURCE].first &&
        !(view->has_ports && ports_hold(&ports[MATCH_SOURCE], view->source_port)))
        return false;
    if (ports[MATCH_DESTINATION].first &&
        !(view->has_ports && ports_hold(&ports[MATCH_DESTINATION], view->destination_port)))
        return false;
    return !ports[MATCH_EITHER].first ||
           (view->has_ports && (ports_hold(&ports[MATCH_EITHER], view->source_port) ||
                                ports_hold(&ports[MATCH_EITHER], view->destination_port)));
}

static bool flags_fit(const struct match *match, const struct match_view *view)
{
    return view->is_tcp && (view->tcp_flags & (match->flags | FLAGS_THAT_COUNT)) == match->flags;
}

static bool is_same_connection(const struct match_memory *memory, const struct match_view *view)
{
    return memory->knows_connection && memory->source_v4 == view->source_v4 &&
           memory->destination_v4 == view->destination_v4 &&
           memory->source_port == view->source_port &&
           memory->destination_port == view->destination_port;
}

static void remember_connection(struct match_memory *memory, const struct match_view *view)
{
    if (memory->knows_connection || !(view->tcp_flags & TCP_SYN))
        return;
    memory->knows_connection = true;
    memory->source_v4 = view->source_v4;
    memory->destination_v4 = view->destination_v4;
    memory->source_port = view->source_port;
    memory->destination_port = view->destination_port;
    memory->initial_sequence = view->sequence;
}

static bool sequence_fits(const struct match *match, struct match_memory *memory,
                          const struct match_view *view)
{
    uint32_t wanted = match->sequence;
    if (!view->is_tcp)
        return false;
    if (!(match->asks & MATCH_RAW_NUMBER)) {
        remember_connection(memory, view);
        if (!is_same_connection(memory, view))
            return false;
        wanted += memory->initial_sequence;
    }
    uint32_t first = view->sequence;
    uint32_t count = view->payload_bytes + (view->tcp_flags & TCP_SYN ? 1 : 0);
    return wanted - first < count; /* modulo 2^32 */
}

static bool number_fits(const struct match *match, struct match_memory *memory)
{
    memory->seen++;
    if (match->asks & MATCH_NTH)
        return memory->seen == match->nth;
    return memory->seen % match->nth == 0;
}

bool match_frame(const struct match *match, struct match_memory *memory,
                 const struct match_view *view)
{
    if ((match->asks & MATCH_ETHERTYPE) && view->ethertype != match->ethertype)
        return false;
    if ((match->asks & MATCH_PROTOCOL) && !(view->is_ipv4 && view->protocol == match->protocol))
        return false;
    if (!addresses_fit(match, view) || !ports_fit(match, view))
        return false;
    if ((match->asks & MATCH_LENGTH) &&
        (view->size < match->length_first || view->size > match->length_last))
        return false;
    if ((match->asks & MATCH_SEQUENCE) && !sequence_fits(match, memory, view))
        return false;
    if ((match->asks & MATCH_FLAGS) && !flags_fit(match, view))
        return false;
    return !(match->asks & (MATCH_NTH | MATCH_EVERY)) || number_fits(match, memory);
}

/* What can be told from the wire alone: the offered window's right edge never moves left (RFC 9293
   3.8.6, SHLD-14), but for what a shift count cannot express (RFC 7323, 2.4 and appendix F), and
   nobody sends beyond the edge that the peer has offered. */
#include "sim.h"

#include <string.h>

#include "../../tapstack/core/seq.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"

/* Reads a TCP frame; returns the connection's number, or -1 for any other frame. */
static int frame_read(int from, const uint8_t *bytes, size_t size, struct tcp_header *tcp,
                      uint32_t *payload)
{
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    if (ethernet_parse(bytes, size, &ethernet) < 0 || ethernet.type != ETHERTYPE_IPV4 ||
        ipv4_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &ip) < 0 ||
        ip.protocol != IPV4_PROTOCOL_TCP)
        return -1;
    const uint8_t *segment = bytes + ETHERNET_HEADER_BYTES + ip.header_bytes;
    size_t segment_bytes = (size_t)ip.total_bytes - ip.header_bytes;
    if (tcp_parse(segment, segment_bytes, tcp) < 0)
        return -1;
    *payload = (uint32_t)(segment_bytes - tcp->header_bytes);
    unsigned port = from == WORLD_A ? tcp->source_port : tcp->destination_port;
    return port >= SIM_PORT_A && port < SIM_PORT_A + SIM_CONNECTIONS_MAX ? (int)(port - SIM_PORT_A)
                                                                         : -1;
}

/* The edge is watched until the peer's FIN is acknowledged: behind it nothing can come. */
static const char *edge_check(struct watch_side *here, const struct watch_side *peer,
                              const struct tcp_header *tcp)
{
    bool scaled = here->scale_offered && peer->scale_offered && !(tcp->flags & TCP_SYN);
    uint32_t window = (uint32_t)tcp->window << (scaled ? here->scale : 0);
    uint32_t edge = tcp->acknowledgment + window;
    if (peer->fin_seen && seq_ge(tcp->acknowledgment, peer->fin_end))
        return NULL;
    uint32_t rounding = scaled ? (1U << here->scale) - 1 : 0;
    bool moved_left = here->edge_known && seq_lt(edge + rounding, here->edge) &&
                      !(tcp->flags & TCP_SYN); /* a SYN cannot say more than 65,535 */
    here->edge = here->edge_known ? seq_max(edge, here->edge) : edge;
    here->edge_known = true;
    return moved_left ? "the right edge of the window moved left" : NULL;
}

const char *watch_frame(struct watch *watch, int from, const uint8_t *bytes, size_t size)
{
    struct tcp_header tcp;
    uint32_t payload;
    int number = frame_read(from, bytes, size, &tcp, &payload);
    if (number < 0 || tcp.flags & TCP_RST)
        return NULL;
    struct watch_side *here = &watch->side[number][from];
    const struct watch_side *peer = &watch->side[number][1 - from];
    uint32_t end = tcp.sequence + payload;
    if (tcp.flags & TCP_SYN) {
        if (!here->syn_seen || here->iss != tcp.sequence)
            *here = (struct watch_side){.syn_seen = true, .iss = tcp.sequence};
        here->scale_offered = tcp.options_present & TCP_OPTION_WINDOW_SCALE;
        here->scale = tcp.window_scale > 14 ? 14 : tcp.window_scale;
    }
    if (tcp.flags & TCP_FIN) {
        here->fin_seen = true;
        here->fin_end = end + 1;
    }
    /* A probe may carry one byte into a closed window (3.8.6.1). */
    if (payload > 0 && peer->edge_known && seq_gt(end, peer->edge + 1))
        return "data beyond the window that the peer has offered";
    return tcp.flags & TCP_ACK ? edge_check(here, peer, &tcp) : NULL;
}

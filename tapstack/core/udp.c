/* UDP: datagrams to and from sockets; without a socket the sender gets port unreachable (S24).

   In: a datagram to one of our addresses goes to one socket, the most particular one: first by the
   whole four-tuple (a socket with this peer), then by local address and port, then by port alone.
   Each is one look into the table that TCP uses. A datagram to a broadcast address goes to every
   socket at these three places, one to a multicast address to every member of the group among them.
   It is copied once, into a block of the pool that is queued at the socket, and the block is what
   counts against the buffer: small datagrams cannot cost more memory than they are charged for.

   Out: a datagram is headed, summed, routed and its neighbor resolved when it is sent; the finished
   frame waits at its socket until stack_output asks. Sockets that have something to send take turns.
   What waits for a neighbor lies in the neighbor's queue, as bounded as that is.

   Left out: delivery to our own unicast addresses, as TCP has none; broadcasts and multicasts do
   come back to the members on this host. */
#include "udp.h"

#include <string.h>

#include "../wire/ethernet.h"
#include "state.h"

enum {
    PATH_MTU_LEAST = 552
}; /* a smaller one is not believed (Linux' ip_no_pmtu floor, RFC 5927) */

/* ---- Receiving ---- */

static size_t datagram_block_bytes(size_t payload_bytes)
{
    return pool_block_bytes(sizeof(struct udp_datagram) + payload_bytes);
}

void udp_release(struct stack *stack, struct udp_datagram *datagram)
{
    size_t size = datagram->with.size;
    stack->udp.memory_bytes -= datagram_block_bytes(size);
    pool_give(&stack->pool, datagram, sizeof *datagram + size);
}

/* A block for size bytes of payload, or NULL: no memory, or no more allowed. */
static struct udp_datagram *datagram_create(struct stack *stack, size_t size)
{
    size_t block = datagram_block_bytes(size);
    if (stack->udp.memory_bytes + block > stack->settings.udp_memory)
        return NULL;
    struct udp_datagram *datagram = pool_take(&stack->pool, sizeof *datagram + size);
    if (datagram)
        stack->udp.memory_bytes += block;
    return datagram;
}

static int receive_drop(struct stack *stack, struct udp_socket *socket, enum stack_counter counter,
                        size_t size, uint64_t now_us)
{
    socket->dropped++;
    return stack_drop(stack, counter, socket->entry.id, size, now_us);
}

/* As on Linux a socket takes datagrams as long as those that wait are below the limit, so that even
   the smallest buffer holds one of any size. */
static int receive(struct stack *stack, struct udp_socket *socket,
                   const struct ip_datagram *datagram, const struct udp_header *header,
                   uint64_t now_us)
{
    size_t size = header->length - UDP_HEADER_BYTES;
    if (socket->received_bytes + socket->held >= socket->options.receive_buffer)
        return receive_drop(stack, socket, STACK_COUNTER_UDP_RCVBUF_ERRORS, size, now_us);
    struct udp_datagram *copy = datagram_create(stack, size);
    if (!copy)
        return receive_drop(stack, socket, STACK_COUNTER_UDP_MEM_ERRORS, size, now_us);
    copy->with = (struct stack_datagram){
        .remote = {datagram->source, header->source_port},
        .local = {datagram->destination, header->destination_port},
        .interface = datagram->frame->interface,
        .ttl = datagram->header.ttl,
        .tos = datagram->header.tos,
        .to_group = ip_is_group(stack, datagram->header.destination_v4),
        .size = (uint32_t)size,
    };
    if (size > 0)
        memcpy(copy->bytes, datagram->payload + UDP_HEADER_BYTES, size);
    STAILQ_INSERT_TAIL(&socket->received, copy, next);
    socket->received_bytes += (uint32_t)datagram_block_bytes(size);
    socket->datagrams_received++;
    socket->bytes_received += size;
    socket->last_received_at = now_us;
    stack_count(stack, STACK_COUNTER_UDP_IN_DATAGRAMS);
    udp_signal(stack, socket, STACK_READY_RECV);
    return 0;
}

/* The three places where sockets for a datagram stand, the most particular first. */
enum { PLACES = 3 };

static struct udp_socket *find_at(const struct stack *stack, unsigned place,
                                  const struct ip_address *local, uint16_t local_port,
                                  const struct ip_address *remote, uint16_t remote_port)
{
    static const struct ip_address any;
    bool peer = place == 0;
    return (struct udp_socket *)tcp_table_find_datagram(
        stack, place < 2 ? local : &any, local_port, peer ? remote : &any, peer ? remote_port : 0);
}

static struct udp_socket *find_socket(const struct stack *stack, const struct ip_address *local,
                                      uint16_t local_port, const struct ip_address *remote,
                                      uint16_t remote_port)
{
    struct udp_socket *socket = NULL;
    for (unsigned place = 0; place < PLACES && !socket; place++)
        socket = find_at(stack, place, local, local_port, remote, remote_port);
    return socket;
}

/* Does this socket want what was sent to the group? All are members of 224.0.0.1 (RFC 1112, 4). */
static bool wants_group(const struct udp_socket *socket, uint32_t v4, unsigned interface)
{
    return !ipv4_is_multicast(v4) || v4 == IGMP_ALL_SYSTEMS || udp_is_member(socket, v4, interface);
}

/* Returns how many sockets there were that wanted it. */
static unsigned receive_group(struct stack *stack, const struct ip_datagram *datagram,
                              const struct udp_header *header, uint64_t now_us)
{
    uint32_t v4 = datagram->header.destination_v4;
    unsigned wanted = 0;
    for (unsigned place = 0; place < PLACES; place++) {
        struct udp_socket *socket =
            find_at(stack, place, &datagram->destination, header->destination_port,
                    &datagram->source, header->source_port);
        for (; socket; socket = (struct udp_socket *)tcp_table_next_datagram(&socket->entry)) {
            if (!wants_group(socket, v4, datagram->frame->interface))
                continue;
            receive(stack, socket, datagram, header, now_us);
            wanted++;
        }
    }
    return wanted;
}

int udp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    struct udp_header header;
    size_t size = datagram->payload_bytes;
    if (udp_parse(datagram->payload, size, &header) != 0)
        return stack_drop(stack, STACK_COUNTER_UDP_IN_ERRORS, 0, size, now_us);
    bool summed = datagram->frame->flags & (FRAME_CHECKSUM_PARTIAL | FRAME_CHECKSUM_VALID);
    if (!summed &&
        udp_verify(datagram->payload, &header, &datagram->source, &datagram->destination) != 0)
        return stack_drop(stack, STACK_COUNTER_UDP_IN_CSUM_ERRORS, 0, size, now_us);
    if (ip_is_group(stack, datagram->header.destination_v4)) {
        if (receive_group(stack, datagram, &header, now_us) > 0)
            return 0;
    } else {
        struct udp_socket *socket =
            find_socket(stack, &datagram->destination, header.destination_port, &datagram->source,
                        header.source_port);
        if (socket)
            return receive(stack, socket, datagram, &header, now_us);
    }
    if (probe_udp_reply(stack, datagram, &header, now_us))
        return 0;
    icmp_send_error(stack, datagram, ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_PORT_UNREACHABLE, 0,
                    now_us);
    return stack_drop(stack, STACK_COUNTER_UDP_NO_PORTS, 0, size, now_us);
}

/* ---- ICMP errors ---- */

/* What destination unreachable means to the application: Linux' icmp_err_convert. 0: it may pass,
   and only the event tells it. */
static int unreachable_error(uint8_t code)
{
    static const int8_t error[] = {
        [ICMP_CODE_PROTOCOL_UNREACHABLE] = STACK_NO_PROTOCOL,
        [ICMP_CODE_PORT_UNREACHABLE] = STACK_REFUSED,
        [ICMP_CODE_NET_UNKNOWN] = STACK_NO_ROUTE,
        [ICMP_CODE_HOST_UNKNOWN] = STACK_UNREACHABLE,
        [ICMP_CODE_HOST_ISOLATED] = STACK_UNREACHABLE,
        [ICMP_CODE_NET_PROHIBITED] = STACK_NO_ROUTE,
        [ICMP_CODE_HOST_PROHIBITED] = STACK_UNREACHABLE,
        [ICMP_CODE_PROHIBITED] = STACK_UNREACHABLE,
        [ICMP_CODE_PRECEDENCE_VIOLATION] = STACK_UNREACHABLE,
        [ICMP_CODE_PRECEDENCE_CUTOFF] = STACK_UNREACHABLE,
    };
    return code < sizeof error ? error[code] : 0;
}

/* Fragmentation needed (RFC 1191): believed when it can be about a datagram of this socket, which is
   told that it was too large. */
static int shrink_path_mtu(struct stack *stack, const struct udp_socket *socket,
                           const struct icmp_header *icmp, const struct ipv4_header *quoted,
                           uint64_t now_us)
{
    uint16_t claimed = pmtu_claimed(icmp, quoted, socket->largest_df);
    if (claimed == 0 || !stack->settings.ip_pmtu_discovery)
        return 0;
    pmtu_lower(stack, quoted->destination_v4, claimed, now_us);
    return STACK_MESSAGE_SIZE;
}

/* RFC 1122, 4.1.3.3. A socket with a peer gets what is final as its pending error; whoever sends to
   many would not know which of them it is about, and is told nothing, as by Linux. */
int udp_icmp_error(struct stack *stack, const struct ip_datagram *datagram,
                   const struct icmp_header *icmp, const struct ipv4_header *quoted,
                   const uint8_t *quoted_udp, uint64_t now_us)
{
    struct ip_address local = ip_address_from_v4(quoted->source_v4);
    struct ip_address remote = ip_address_from_v4(quoted->destination_v4);
    struct udp_socket *socket =
        find_socket(stack, &local, bytes_get16(quoted_udp), &remote, bytes_get16(quoted_udp + 2));
    if (!socket)
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_ERRORS, 0, datagram->payload_bytes, now_us);
    stack_event_add(stack, STACK_EVENT_SOFT_ERROR, socket->entry.id, now_us, icmp->type, icmp->code,
                    0, 0);
    int error = 0;
    if (icmp->type == ICMP_DESTINATION_UNREACHABLE)
        error = icmp->code == ICMP_CODE_FRAGMENTATION_NEEDED
                    ? shrink_path_mtu(stack, socket, icmp, quoted, now_us)
                    : unreachable_error(icmp->code);
    if (socket->entry.remote_port == 0 || !error) {
        udp_signal(stack, socket, STACK_READY_SOFT_ERROR);
        return 0;
    }
    socket->error = (int8_t)error;
    udp_signal(stack, socket, STACK_READY_ERROR);
    return 0;
}

/* ---- Sending ---- */

/* The interface that an address is of in this sense, or -1. */
static int interface_of(const struct stack *stack, uint32_t v4, enum address_kind kind)
{
    unsigned interface;
    return address_find(&stack->addresses, v4, &interface) == kind ? (int)interface : -1;
}

int udp_group_interface(const struct stack *stack, const struct udp_socket *socket, uint32_t v4,
                        int wanted)
{
    uint32_t next_hop;
    int interface = wanted;
    if (interface < 0)
        interface = interface_of(stack, v4, ADDRESS_BROADCAST);
    if (interface < 0)
        interface = socket->options.multicast_interface - 1;
    if (interface < 0)
        interface =
            interface_of(stack, ip_address_to_v4(&socket->entry.local_address), ADDRESS_LOCAL);
    if (interface < 0) {
        const struct route *route = route_find(&stack->routes, v4, &next_hop);
        interface = route ? route->interface : 0;
    }
    return interface < (int)stack->interface_count ? interface : STACK_NO_ROUTE;
}

/* The interface and the source address of what goes to a group. wanted: the source asked for, or
   0. */
static int choose_group_way(const struct stack *stack, const struct udp_socket *socket,
                            uint32_t wanted, int given, struct ip_send *send)
{
    uint32_t to = send->destination_v4;
    if (given < 0)
        given = interface_of(stack, wanted, ADDRESS_LOCAL);
    int interface = udp_group_interface(stack, socket, to, given);
    if (interface < 0)
        return interface;
    const struct address *source = address_choose(&stack->addresses, (unsigned)interface, to);
    if (!source)
        return STACK_NO_ROUTE;
    send->source_v4 = source->v4;
    send->by_interface = (uint16_t)(interface + 1);
    send->to_group = true;
    return interface;
}

/* Chooses interface and source of a datagram whose destination stands in send. Returns the
   interface, or an enum stack_error. */
static int choose_way(const struct stack *stack, const struct udp_socket *socket,
                      const struct stack_datagram *with, struct ip_send *send)
{
    uint32_t wanted = with ? ip_address_to_v4(&with->local.address) : 0;
    unsigned interface;
    int result;
    if (wanted != 0 && !ip_is_local(stack, wanted))
        return STACK_NOT_AVAILABLE;
    if (ip_is_group(stack, send->destination_v4)) {
        result = choose_group_way(stack, socket, wanted, with ? with->interface : -1, send);
    } else {
        result = ip_choose_source(stack, send->destination_v4, &send->source_v4, &interface);
        if (result == 0)
            result = (int)interface;
    }
    if (wanted == 0)
        wanted = ip_address_to_v4(&socket->entry.local_address);
    if (wanted != 0 && !ip_is_group(stack, wanted))
        send->source_v4 = wanted;
    return result;
}

/* May this be sent to at all? */
static int check_destination(const struct stack *stack, const struct udp_socket *socket,
                             uint32_t v4)
{
    if (ip_is_broadcast(stack, v4))
        return socket->options.broadcast ? 0 : STACK_DENIED;
    if (ipv4_is_multicast(v4))
        return 0;
    return ipv4_is_valid_source(v4) && !ip_is_local(stack, v4) ? 0 : STACK_NOT_AVAILABLE;
}

/* Does the DF bit stand on a datagram of so many bytes? An enum stack_error: it cannot be sent. */
static int choose_fragmenting(const struct stack *stack, const struct udp_socket *socket,
                              const struct ip_send *send, unsigned interface, size_t ip_bytes)
{
    struct pmtu path = {.mtu_bytes = stack->interface[interface].mtu_bytes};
    uint8_t discovery = socket->options.path_mtu_discovery;
    bool group = ip_is_group(stack, send->destination_v4);
    if (discovery != STACK_PATH_MTU_PROBE && !group)
        path = pmtu_find(stack, send->destination_v4);
    switch (discovery) {
    case STACK_PATH_MTU_DONT:
        return 0;
    case STACK_PATH_MTU_WANT:
        return ip_bytes <= path.mtu_bytes && !path.locked && !group;
    default:
        return ip_bytes <= path.mtu_bytes ? 1 : STACK_MESSAGE_SIZE;
    }
}

/* Where to, how, and whether at all. send, remote_port, interface: filled in. */
static int plan(struct stack *stack, struct udp_socket *socket, size_t size,
                const struct stack_datagram *with, struct ip_send *send, uint16_t *remote_port,
                uint16_t *interface)
{
    bool to_peer = !with || with->remote.port == 0;
    *remote_port = to_peer ? socket->entry.remote_port : with->remote.port;
    send->destination_v4 =
        ip_address_to_v4(to_peer ? &socket->entry.remote_address : &with->remote.address);
    if (*remote_port == 0)
        return STACK_NOT_CONNECTED;
    if (size > UDP_PAYLOAD_MAX)
        return STACK_MESSAGE_SIZE;
    int result = check_destination(stack, socket, send->destination_v4);
    if (result == 0)
        result = choose_way(stack, socket, with, send);
    if (result < 0)
        return result;
    *interface = (uint16_t)result;
    result = choose_fragmenting(stack, socket, send, *interface,
                                IPV4_HEADER_BYTES + UDP_HEADER_BYTES + size);
    if (result < 0)
        return result;
    send->dont_fragment = result == 1;
    if (!send->dont_fragment)
        send->identification =
            ip_identification(stack, send->source_v4, send->destination_v4, IPV4_PROTOCOL_UDP);
    send->protocol = IPV4_PROTOCOL_UDP;
    send->tos = socket->options.tos;
    send->ttl = ipv4_is_multicast(send->destination_v4) ? socket->options.multicast_ttl
                                                        : socket->options.ttl;
    if (with && with->ttl != 0)
        send->ttl = with->ttl;
    return 0;
}

/* The block that a packet of a frame of so many bytes takes. */
static size_t packet_block_bytes(size_t frame_bytes)
{
    return pool_block_bytes(sizeof(struct packet) + frame_bytes);
}

static struct packet *build(struct stack *stack, const struct udp_socket *socket, const void *bytes,
                            size_t size, const struct ip_send *send, uint16_t remote_port)
{
    size_t frame_bytes = IP_PAYLOAD_OFFSET + UDP_HEADER_BYTES + size;
    if (stack->udp.memory_bytes + packet_block_bytes(frame_bytes) > stack->settings.udp_memory)
        return NULL;
    struct packet *packet = packet_create(&stack->pool, frame_bytes);
    if (!packet)
        return NULL;
    struct ip_address source = ip_address_from_v4(send->source_v4);
    struct ip_address destination = ip_address_from_v4(send->destination_v4);
    struct udp_header header = {
        .source_port = socket->entry.local_port,
        .destination_port = remote_port,
        .length = (uint16_t)(UDP_HEADER_BYTES + size),
    };
    uint8_t *message = packet->bytes + IP_PAYLOAD_OFFSET;
    if (size > 0)
        memcpy(message + UDP_HEADER_BYTES, bytes, size);
    udp_write(&header, message);
    if (!socket->options.no_checksum)
        udp_sum(message, &header, &source, &destination);
    return packet;
}

/* What was sent to a group comes to its members on this host, too (RFC 1112, 6.1). */
static void loop_back(struct stack *stack, const struct packet *packet, const struct ip_send *send,
                      uint64_t now_us)
{
    struct ip_datagram datagram = {
        .frame = &packet->frame,
        .header = {.ttl = send->ttl,
                   .tos = send->tos,
                   .source_v4 = send->source_v4,
                   .destination_v4 = send->destination_v4},
        .packet = packet->bytes + ETHERNET_HEADER_BYTES,
        .payload = packet->bytes + IP_PAYLOAD_OFFSET,
        .payload_bytes = packet->capacity - IP_PAYLOAD_OFFSET,
        .source = ip_address_from_v4(send->source_v4),
        .destination = ip_address_from_v4(send->destination_v4),
        .to_group = true,
    };
    struct udp_header header;
    if (udp_parse(datagram.payload, datagram.payload_bytes, &header) == 0)
        receive_group(stack, &datagram, &header, now_us);
}

static void want_output(struct stack *stack, struct udp_socket *socket)
{
    if (!socket->out_queued)
        TAILQ_INSERT_TAIL(&stack->udp.out, socket, out);
    socket->out_queued = true;
}

static void queue(struct stack *stack, struct udp_socket *socket, struct packet *packet)
{
    uint32_t block = (uint32_t)packet_block_bytes(packet->capacity);
    packet_queue_push(&socket->send, packet);
    socket->send_bytes += block;
    stack->udp.memory_bytes += block;
    want_output(stack, socket);
}

int udp_send(struct stack *stack, struct udp_socket *socket, const void *bytes, size_t size,
             const struct stack_datagram *with, uint64_t now_us)
{
    struct ip_send send = {0};
    uint16_t remote_port, interface;
    int result = plan(stack, socket, size, with, &send, &remote_port, &interface);
    if (result == 0 && socket->entry.local_port == 0)
        result = udp_bind_any(stack, socket);
    if (result < 0)
        return result;
    struct packet *packet = build(stack, socket, bytes, size, &send, remote_port);
    if (!packet) {
        stack_count(stack, STACK_COUNTER_UDP_SNDBUF_ERRORS);
        return STACK_NO_MEMORY;
    }
    packet->frame.interface = interface;
    if (ip_is_group(stack, send.destination_v4) && socket->options.multicast_loop)
        loop_back(stack, packet, &send, now_us);
    if (ipv4_is_multicast(send.destination_v4) && send.ttl == 0) { /* for this host alone */
        packet_destroy(&stack->pool, packet);
        return 0;
    }
    int sent = ip_output(stack, &packet->frame, packet->bytes, &send, now_us);
    if (sent == 1)
        queue(stack, socket, packet);
    else
        packet_destroy(&stack->pool, packet);
    if (sent < 0)
        return 0; /* dropped below us, and counted there: a datagram is not owed to anybody */
    if (send.dont_fragment && size + UDP_HEADER_BYTES + IPV4_HEADER_BYTES > socket->largest_df)
        socket->largest_df = (uint16_t)(size + UDP_HEADER_BYTES + IPV4_HEADER_BYTES);
    stack_count(stack, STACK_COUNTER_UDP_OUT_DATAGRAMS);
    socket->datagrams_sent++;
    socket->bytes_sent += size;
    socket->last_sent_at = now_us;
    return 0;
}

/* ---- Leaving ---- */

bool udp_has_output(const struct stack *stack)
{
    return stack->udp.orphans.first || !TAILQ_EMPTY(&stack->udp.out);
}

static struct packet *output_of(struct stack *stack, struct udp_socket *socket)
{
    struct packet *packet = packet_queue_pop(&socket->send);
    socket->send_bytes -= (uint32_t)packet_block_bytes(packet->capacity);
    TAILQ_REMOVE(&stack->udp.out, socket, out);
    socket->out_queued = false;
    if (socket->send.first)
        want_output(stack, socket);
    if (socket->send_full && socket->send_bytes <= socket->options.send_buffer / 2) {
        socket->send_full = false;
        udp_signal(stack, socket, STACK_READY_SEND);
    }
    return packet;
}

struct packet *udp_output(struct stack *stack)
{
    struct udp_socket *socket = TAILQ_FIRST(&stack->udp.out);
    struct packet *packet = packet_queue_pop(&stack->udp.orphans);
    if (!packet && socket)
        packet = output_of(stack, socket);
    if (packet)
        stack->udp.memory_bytes -= packet_block_bytes(packet->capacity);
    return packet;
}

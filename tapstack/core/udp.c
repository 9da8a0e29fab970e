/* UDP: checks datagrams; without a socket the sender gets port unreachable (stage S24). */
#include "udp.h"

#include "../wire/icmp.h"
#include "../wire/udp.h"
#include "state.h"

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
    icmp_send_error(stack, datagram, ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_PORT_UNREACHABLE, 0,
                    now_us);
    return stack_drop(stack, STACK_COUNTER_UDP_NO_PORTS, 0, size, now_us);
}

/* How large a segment may be on its path (RFC 1191, RFC 5927).

   A connection starts with what the path MTU cache knows, and looks again before it sends when the
   cache has changed (`generation`). Segments carry DF, so a router that they are too big for says
   "fragmentation needed". Such an error lowers the MTU only when a segment could have caused it:
   it quotes data in flight, and claims less than the largest segment sent at the present MTU. Then
   what was sent goes again at once, in smaller pieces and as slow start paces it; nothing of this is
   taken for congestion.

   An error may be forged by somebody who has guessed a sequence number in flight. So one that
   claims less than a segment that is known to have arrived is doubted: it is kept until the segment
   that it quotes is acknowledged (then it was a lie), or has timed out tcp.pmtu_evidence times (RFC
   5927, 7.2). The size and the end of the largest segment sent are noted (`size_sent`, `size_end`);
   once acknowledged the size is proven (`size_proven`). */
#include "state.h"

static uint32_t mtu_remote_v4(const struct tcp_socket *socket)
{
    return ip_address_to_v4(&socket->entry.remote_address);
}

static void mtu_forget_sizes(struct tcp_socket *socket)
{
    socket->mtu.size_sent = socket->mtu.size_proven = socket->mtu.doubted = 0;
}

void tcp_mtu_open(struct stack *stack, struct tcp_socket *socket)
{
    uint32_t source_v4;
    unsigned interface;
    struct pmtu path = pmtu_find(stack, mtu_remote_v4(socket));
    bool routed = ip_choose_source(stack, mtu_remote_v4(socket), &source_v4, &interface) == 0;
    socket->pmtu = path.mtu_bytes;
    socket->mtu.locked = path.locked;
    socket->mtu.generation = stack->pmtu.generation;
    /* What we can take does not depend on what the way back can (RFC 1191, 3.1). */
    socket->advmss = (uint16_t)((routed ? stack->interface[interface].mtu_bytes : path.mtu_bytes) -
                                IPV4_HEADER_BYTES - TCP_HEADER_BYTES);
    mtu_forget_sizes(socket);
}

/* Takes over what the cache says. too_big: something in flight is known to be too big. */
static void mtu_change(struct stack *stack, struct tcp_socket *socket, bool too_big,
                       uint64_t now_us)
{
    struct pmtu path = pmtu_find(stack, mtu_remote_v4(socket));
    uint16_t before = socket->pmtu;
    socket->mtu.generation = stack->pmtu.generation;
    socket->mtu.locked = path.locked;
    too_big |= socket->mtu.size_sent > path.mtu_bytes;
    if (path.mtu_bytes != before) {
        socket->pmtu = path.mtu_bytes;
        tcp_out_update_mss(stack, socket);
        mtu_forget_sizes(socket);
        stack_event_add(stack, STACK_EVENT_PATH_MTU, socket->entry.id, now_us, before, socket->pmtu,
                        0, 0);
    }
    if (too_big && socket->snd.una != socket->snd.max)
        tcp_recovery_resend(stack, socket, now_us);
}

void tcp_mtu_refresh(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    mtu_change(stack, socket, false, now_us);
}

static void mtu_believe(struct stack *stack, struct tcp_socket *socket, uint16_t claimed,
                        uint64_t now_us)
{
    socket->mtu.doubted = 0;
    pmtu_lower(stack, mtu_remote_v4(socket), claimed, now_us);
    if (socket->mtu.generation != stack->pmtu.generation) /* by us now, or by another before */
        mtu_change(stack, socket, true, now_us);
}

void tcp_mtu_sent(struct tcp_socket *socket, uint32_t size, uint32_t end)
{
    if (size <= socket->mtu.size_sent)
        return;
    socket->mtu.size_sent = (uint16_t)size;
    socket->mtu.size_end = end;
}

void tcp_mtu_acked(struct tcp_socket *socket, uint32_t ack)
{
    if (socket->mtu.size_proven < socket->mtu.size_sent && seq_ge(ack, socket->mtu.size_end))
        socket->mtu.size_proven = socket->mtu.size_sent;
    if (socket->mtu.doubted && seq_gt(ack, socket->mtu.doubted_sequence))
        socket->mtu.doubted = 0;
}

void tcp_mtu_timeout(struct stack *stack, struct tcp_socket *socket, uint64_t now_us)
{
    if (socket->mtu.doubted && socket->retransmits >= stack->settings.tcp_pmtu_evidence)
        mtu_believe(stack, socket, socket->mtu.doubted, now_us);
}

int tcp_mtu_too_big(struct stack *stack, struct tcp_socket *socket, const struct icmp_header *icmp,
                    const struct ipv4_header *quoted, uint32_t sequence, uint64_t now_us)
{
    uint16_t claimed = pmtu_claimed(icmp, quoted, socket->mtu.size_sent);
    if (claimed == 0 || !stack->settings.ip_pmtu_discovery || socket->mtu.locked)
        return -1;
    if (claimed >= socket->mtu.size_proven || stack->settings.tcp_pmtu_evidence == 0) {
        mtu_believe(stack, socket, claimed, now_us);
        return 0;
    }
    socket->mtu.doubted = claimed;
    socket->mtu.doubted_sequence = sequence;
    stack_count(stack, STACK_COUNTER_PMTU_DOUBTED);
    return 0;
}

/* The TAP device of Linux.

   Every frame travels with the ten bytes of struct virtio_net_hdr before it, both ways. They carry
   what the sender left undone: a checksum (NEEDS_CSUM: where it starts, where it goes) and, for a
   TCP super-frame, the cutting (GSO_TCPV4: payload of a segment). With TUN_F_CSUM and TUN_F_TSO4
   granted the kernel hands us its own super-frames uncut; both sides are on one machine, so nothing
   is ever summed or cut at all. One frame is one system call. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>

#include "../wire/address.h"

/* Of the TCP header, which wire/tcp.h names too; libnl brings the kernel's clashing names along. */
enum {
    TAP_TCP_HEADER_BYTES = 20,
    TAP_TCP_DATA_OFFSET_AT = 12,
    TAP_QUEUE_FRAMES =
        10000, /* of the kernel towards us; its 1000 overflow when thousands open at once */
};

/* ---- Opening ---- */

static int tap_fail(char *error, const char *what, const char *name, int code)
{
    snprintf(error, TAP_ERROR_MAX, "%s %s: %s", what, name, strerror(code));
    return -1;
}

/* Settles on the most the kernel grants of what was asked. */
static void tap_negotiate_offload(struct tap *tap, bool wanted)
{
    tap->offload = TAP_OFFLOAD_NONE;
    if (!wanted) {
        ioctl(tap->fd, TUNSETOFFLOAD, 0);
        snprintf(tap->offload_text, sizeof tap->offload_text, "none (switched off)");
    } else if (ioctl(tap->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) == 0) {
        tap->offload = TAP_OFFLOAD_CHECKSUM_TSO;
        snprintf(tap->offload_text, sizeof tap->offload_text, "checksum+tso");
    } else if (ioctl(tap->fd, TUNSETOFFLOAD, TUN_F_CSUM) == 0) {
        tap->offload = TAP_OFFLOAD_CHECKSUM;
        snprintf(tap->offload_text, sizeof tap->offload_text, "checksum (tso refused)");
    } else {
        snprintf(tap->offload_text, sizeof tap->offload_text, "none (refused: %s)",
                 strerror(errno));
    }
}

static int tap_attach(struct tap *tap, const char *name, char *error)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header_bytes = sizeof(struct virtio_net_hdr);

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(tap->fd, TUNSETIFF, &request) < 0)
        return tap_fail(error, "cannot attach to device", name, errno);
    if (ioctl(tap->fd, TUNSETVNETHDRSZ, &header_bytes) < 0)
        return tap_fail(error, "cannot set the offload header of device", name, errno);
    snprintf(tap->name, sizeof tap->name, "%s", request.ifr_name);
    return 0;
}

int tap_open(struct tap *tap, const char *name, bool offload, char *error)
{
    memset(tap, 0, sizeof *tap);
    tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap->fd < 0)
        return tap_fail(error, "cannot open", "/dev/net/tun", errno);
    if (tap_attach(tap, name, error) < 0) {
        tap_close(tap);
        return -1;
    }
    tap_negotiate_offload(tap, offload);
    return 0;
}

void tap_close(struct tap *tap)
{
    close(tap->fd);
    tap->fd = -1;
}

/* ---- The host's side ---- */

/* Without a link-local address the host sends no router solicitations and no multicast listener
   reports into captures that are about something else. Not every kernel has IPv6; it is no loss. */
static void tap_silence_ipv6(struct nl_sock *netlink, struct rtnl_link *link)
{
    struct rtnl_link *change = rtnl_link_alloc();
    if (change &&
        rtnl_link_inet6_set_addr_gen_mode(change, rtnl_link_inet6_str2addrgenmode("none")) == 0)
        rtnl_link_change(netlink, link, change, 0);
    rtnl_link_put(change);
}

static int tap_raise_link(struct nl_sock *netlink, struct rtnl_link *link, uint16_t mtu_bytes)
{
    struct rtnl_link *change = rtnl_link_alloc();
    if (!change)
        return -NLE_NOMEM;
    rtnl_link_set_mtu(change, mtu_bytes);
    rtnl_link_set_txqlen(change, TAP_QUEUE_FRAMES);
    rtnl_link_set_flags(change, IFF_UP);
    int result = rtnl_link_change(netlink, link, change, 0);
    rtnl_link_put(change);
    return result;
}

static int tap_add_address(struct nl_sock *netlink, int index, uint32_t v4, uint8_t prefix_bits)
{
    uint8_t octets[4];
    bytes_put32(octets, v4);
    struct rtnl_addr *address = rtnl_addr_alloc();
    struct nl_addr *local = nl_addr_build(AF_INET, octets, sizeof octets);
    int result = -NLE_NOMEM;
    if (address && local) {
        nl_addr_set_prefixlen(local, prefix_bits);
        rtnl_addr_set_ifindex(address, index);
        rtnl_addr_set_local(address, local);
        result = rtnl_addr_add(netlink, address, NLM_F_CREATE | NLM_F_REPLACE);
    }
    nl_addr_put(local);
    rtnl_addr_put(address);
    return result;
}

static int tap_configure_link(struct nl_sock *netlink, const struct tap *tap, uint32_t address_v4,
                              uint8_t prefix_bits, uint16_t mtu_bytes)
{
    struct rtnl_link *link = NULL;
    int result = rtnl_link_get_kernel(netlink, 0, tap->name, &link);
    if (result < 0)
        return result;
    tap_silence_ipv6(netlink, link);
    if (address_v4 != 0)
        result = tap_add_address(netlink, rtnl_link_get_ifindex(link), address_v4, prefix_bits);
    if (result >= 0)
        result = tap_raise_link(netlink, link, mtu_bytes);
    rtnl_link_put(link);
    return result;
}

int tap_configure_host(const struct tap *tap, uint32_t address_v4, uint8_t prefix_bits,
                       uint16_t mtu_bytes, char *error)
{
    struct nl_sock *netlink = nl_socket_alloc();
    int result = netlink ? nl_connect(netlink, NETLINK_ROUTE) : -NLE_NOMEM;
    if (result == 0)
        result = tap_configure_link(netlink, tap, address_v4, prefix_bits, mtu_bytes);
    nl_socket_free(netlink);
    if (result >= 0)
        return 0;
    snprintf(error, TAP_ERROR_MAX, "cannot configure the host's side of device %s: %s", tap->name,
             nl_geterror(result));
    return -1;
}

int tap_set_carrier(const struct tap *tap, bool up)
{
    int carrier = up;
    return ioctl(tap->fd, TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
}

/* ---- Frames ---- */

/* How many bytes of headers a super-frame has, from its TCP data offset; 0: it is damaged. */
static uint16_t tap_super_header_bytes(const struct frame *frame, const uint8_t *bytes, size_t size)
{
    size_t start = frame->checksum_start;
    if (start + TAP_TCP_HEADER_BYTES > size)
        return 0;
    size_t header_bytes = start + (size_t)(bytes[start + TAP_TCP_DATA_OFFSET_AT] >> 4) * 4;
    return header_bytes <= size ? (uint16_t)header_bytes : 0;
}

/* Takes over what the kernel left undone. Returns 0, or -1 when it is nothing we asked for. */
static int tap_accept_offload(struct frame *frame, const struct virtio_net_hdr *header,
                              const uint8_t *bytes, size_t size)
{
    frame->flags = 0;
    frame->checksum_start = frame->checksum_offset = 0;
    frame->segment_bytes = frame->header_bytes = 0;
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        frame->flags = FRAME_CHECKSUM_PARTIAL;
        frame->checksum_start = header->csum_start;
        frame->checksum_offset = header->csum_offset;
        if ((size_t)header->csum_start + header->csum_offset + 2 > size)
            return -1;
    } else if (header->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        frame->flags = FRAME_CHECKSUM_VALID;
    }
    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
        return 0;
    if (header->gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || !(frame->flags & FRAME_CHECKSUM_PARTIAL))
        return -1;
    frame->segment_bytes = header->gso_size;
    frame->header_bytes = tap_super_header_bytes(frame, bytes, size);
    return frame->header_bytes != 0 && frame->segment_bytes != 0 ? 0 : -1;
}

int tap_read(const struct tap *tap, struct frame *frame, uint8_t *bytes, size_t capacity)
{
    struct virtio_net_hdr header;
    struct iovec pieces[2] = {{&header, sizeof header}, {bytes, capacity}};

    ssize_t got = readv(tap->fd, pieces, 2);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return TAP_AGAIN;
    if (got < 0)
        return errno == EBADFD || errno == ENODEV ? TAP_GONE : TAP_REFUSED;
    if ((size_t)got < sizeof header)
        return TAP_REFUSED;
    size_t size = (size_t)got - sizeof header;
    return tap_accept_offload(frame, &header, bytes, size) < 0 ? TAP_REFUSED : (int)size;
}

static void tap_request_offload(struct virtio_net_hdr *header, const struct frame *frame)
{
    memset(header, 0, sizeof *header);
    if (frame->flags & FRAME_CHECKSUM_PARTIAL) {
        header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header->csum_start = frame->checksum_start;
        header->csum_offset = frame->checksum_offset;
    }
    if (frame->segment_bytes != 0) {
        header->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        header->gso_size = frame->segment_bytes;
        header->hdr_len = frame->header_bytes;
    }
}

int tap_write(const struct tap *tap, const struct frame *frame)
{
    struct virtio_net_hdr header;
    struct iovec pieces[1 + FRAME_PIECES_MAX] = {{&header, sizeof header}};

    tap_request_offload(&header, frame);
    for (unsigned i = 0; i < frame->piece_count; i++)
        pieces[i + 1] =
            (struct iovec){(void *)(uintptr_t)frame->piece[i].data, frame->piece[i].size};
    if (writev(tap->fd, pieces, 1 + frame->piece_count) >= 0)
        return 0;
    if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
        return TAP_AGAIN;
    return errno == EBADFD || errno == ENODEV ? TAP_GONE : TAP_REFUSED;
}

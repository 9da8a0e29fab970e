/* Small UDP frames, as many as go: frames INTERFACE MAC SOURCE DESTINATION SECONDS. They are sent in
   batches (sendmmsg) past the kernel's IP, to a router whose card has the MAC address. Prints how many
   the interface took. */
#define _GNU_SOURCE /* sendmmsg */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_BYTES = 60, ETHERNET_BYTES = 14, IP_BYTES = 20, BATCH = 64, FULL_US = 50 };

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static unsigned sum_header(const unsigned char *ip)
{
    unsigned sum = 0;
    for (int i = 0; i < IP_BYTES; i += 2)
        sum += (unsigned)ip[i] << 8 | ip[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

/* Returns 0, or -1 when an argument cannot be read. */
static int make_frame(unsigned char *frame, const char *mac, const char *source,
                      const char *destination)
{
    unsigned octet[6];
    unsigned char *ip = frame + ETHERNET_BYTES, *udp = ip + IP_BYTES;
    memset(frame, 0, FRAME_BYTES);
    if (sscanf(mac, "%x:%x:%x:%x:%x:%x", octet, octet + 1, octet + 2, octet + 3, octet + 4,
               octet + 5) != 6)
        return -1;
    for (int i = 0; i < 6; i++)
        frame[i] = (unsigned char)octet[i];
    memcpy(frame + 6, "\2\0\0\0\0\1\x08\0", 8);
    ip[0] = 0x45;
    put16(ip + 2, FRAME_BYTES - ETHERNET_BYTES);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    if (inet_pton(AF_INET, source, ip + 12) != 1 || inet_pton(AF_INET, destination, ip + 16) != 1)
        return -1;
    put16(ip + 10, sum_header(ip));
    put16(udp, 4000);
    put16(udp + 2, 4000);
    put16(udp + 4, FRAME_BYTES - ETHERNET_BYTES - IP_BYTES);
    return 0;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t flood(int fd, unsigned char *frame, double seconds)
{
    struct iovec piece = {frame, FRAME_BYTES};
    struct mmsghdr batch[BATCH];
    uint64_t sent = 0;
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < BATCH; i++)
        batch[i].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};
    for (double end = now() + seconds; now() < end;) {
        int count = sendmmsg(fd, batch, BATCH, 0);
        if (count > 0)
            sent += (uint64_t)count;
        else if (errno == ENOBUFS || errno == EAGAIN)
            usleep(FULL_US); /* the device's queue is full: it goes as fast as it can */
        else
            return sent;
    }
    return sent;
}

int main(int argc, char **argv)
{
    unsigned char frame[FRAME_BYTES];
    if (argc != 6 || make_frame(frame, argv[2], argv[3], argv[4]) < 0) {
        fprintf(stderr, "usage: frames INTERFACE MAC SOURCE DESTINATION SECONDS\n");
        return 2;
    }
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0 || to.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        perror("frames");
        return 1;
    }
    printf("%llu\n", (unsigned long long)flood(fd, frame, atof(argv[5])));
    close(fd);
    return 0;
}

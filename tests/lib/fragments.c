/* Puts fragments on an interface as they are, from 10.77.0.1 to 10.77.0.2: what the kernel would never
   send.

       fragments INTERFACE MAC send PROTOCOL ID OFFSET:SIZE:+|- ...   these; + more follow, - the last
       fragments INTERFACE MAC echo SIZE PIECE SEED   an echo of SIZE bytes in pieces, shuffled, each
                                                      third twice; 0 when the answer is right
       fragments INTERFACE MAC flood COUNT            lonely fragments from everywhere
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ETHERNET_BYTES = 14,
    IP_BYTES = 20,
    ICMP_BYTES = 8,
    PAYLOAD_MAX = 65535,
    PIECE_MAX = 1480,
    PIECES_MAX = 8192,
    BURST = 250, /* frames that the device's queue surely takes */
    BURST_PAUSE_NS = 1000000,
};

static const uint32_t kernel_v4 = 0x0a4d0001, stack_v4 = 0x0a4d0002;

static int device = -1;
static struct sockaddr_ll to = {.sll_family = AF_PACKET};
static uint8_t stack_mac[6];
static uint8_t payload[PAYLOAD_MAX + PIECE_MAX];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t internet_sum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* The queue of the device is short: after a burst its reader gets a moment. */
static void pace(void)
{
    static unsigned sent;
    struct timespec pause = {.tv_nsec = BURST_PAUSE_NS};
    if (++sent % BURST == 0)
        nanosleep(&pause, NULL);
}

static void send_piece(uint32_t source, unsigned protocol, unsigned id, unsigned offset,
                       unsigned size, bool more)
{
    uint8_t frame[ETHERNET_BYTES + IP_BYTES + PIECE_MAX] = {0};
    uint8_t *ip = frame + ETHERNET_BYTES;
    uint32_t from = htonl(source), dest = htonl(stack_v4);
    memcpy(frame, stack_mac, 6);
    frame[6] = 2;
    frame[11] = 15;
    put16(frame + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, IP_BYTES + size);
    put16(ip + 4, id);
    put16(ip + 6, offset / 8 | (more ? 0x2000 : 0));
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    memcpy(ip + 12, &from, 4);
    memcpy(ip + 16, &dest, 4);
    put16(ip + 10, internet_sum(ip, IP_BYTES));
    memcpy(ip + IP_BYTES, payload + offset, size);
    size_t bytes = ETHERNET_BYTES + IP_BYTES + size;
    if (sendto(device, frame, bytes, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)bytes)
        die("sendto");
    pace();
}

static int send_list(int count, char **arguments)
{
    unsigned protocol = (unsigned)atoi(arguments[0]), id = (unsigned)atoi(arguments[1]);
    for (int i = 2; i < count; i++) {
        unsigned offset, size;
        char end;
        if (sscanf(arguments[i], "%u:%u:%c", &offset, &size, &end) != 3 || size > PIECE_MAX)
            return 2;
        send_piece(kernel_v4, protocol, id, offset, size, end == '+');
    }
    return 0;
}

/* ---- An echo in disorder ---- */

static unsigned make_order(unsigned pieces, unsigned *order)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pieces; i++) {
        order[count++] = i;
        if (i % 3 == 0)
            order[count++] = i;
    }
    for (unsigned i = count; i > 1; i--) {
        unsigned other = (unsigned)rand() % i, kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
    return count;
}

/* The last to be sent must be the only one of its place, or its twin would begin another datagram
   that never ends; so of twins only the first counts, and what follows the whole is left out. */
static void send_disordered(unsigned size, unsigned piece, unsigned id)
{
    static unsigned order[2 * PIECES_MAX];
    static bool sent[PIECES_MAX];
    unsigned pieces = (size + piece - 1) / piece, count = make_order(pieces, order), left = pieces;
    for (unsigned i = 0; i < count && left > 0; i++) {
        unsigned offset = order[i] * piece;
        bool more = offset + piece < size;
        send_piece(kernel_v4, 1, id, offset, more ? piece : size - offset, more);
        left -= !sent[order[i]];
        sent[order[i]] = true;
    }
}

/* Waits for the kernel to put our answer together. */
static int expect_answer(int icmp, unsigned size)
{
    static uint8_t answer[IP_BYTES + PAYLOAD_MAX];
    for (;;) {
        ssize_t got = recv(icmp, answer, sizeof answer, 0);
        if (got < 0)
            die("no answer");
        if ((size_t)got < IP_BYTES + ICMP_BYTES || answer[IP_BYTES] != 0 ||
            memcmp(answer + IP_BYTES + 4, payload + 4, 4) != 0)
            continue;
        return (size_t)got == IP_BYTES + size &&
                       memcmp(answer + IP_BYTES + ICMP_BYTES, payload + ICMP_BYTES,
                              size - ICMP_BYTES) == 0
                   ? 0
                   : 1;
    }
}

static int send_echo(char **arguments)
{
    unsigned size = (unsigned)atoi(arguments[0]) + ICMP_BYTES, piece = (unsigned)atoi(arguments[1]);
    unsigned seed = (unsigned)atoi(arguments[2]);
    struct timeval patience = {.tv_sec = 10};
    int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (size > PAYLOAD_MAX - IP_BYTES || piece == 0 || piece % 8 != 0 || piece > PIECE_MAX)
        return 2;
    int room = 4 << 20;
    if (icmp < 0 || setsockopt(icmp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        setsockopt(icmp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
        die("socket");
    srand(seed);
    put16(payload, 8 << 8);
    put16(payload + 2, 0);
    put16(payload + 4, 0xf00d);
    put16(payload + 6, seed);
    put16(payload + 2, internet_sum(payload, size));
    send_disordered(size, piece, 1000 + seed);
    return expect_answer(icmp, size);
}

static void flood(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t source = 0x0b000000U + (uint32_t)rand() % 0x00ffffff;
        send_piece(source, 17, i & 0xffff, (unsigned)rand() % 8000 * 8, 8 + i % 185 * 8, true);
    }
}

int main(int count, char **arguments)
{
    if (count < 5) {
        fprintf(stderr, "usage: fragments INTERFACE MAC send|echo|flood ...\n");
        return 2;
    }
    to.sll_ifindex = (int)if_nametoindex(arguments[1]);
    device = socket(AF_PACKET, SOCK_RAW, 0);
    if (device < 0 || to.sll_ifindex == 0)
        die(arguments[1]);
    if (sscanf(arguments[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &stack_mac[0], &stack_mac[1],
               &stack_mac[2], &stack_mac[3], &stack_mac[4], &stack_mac[5]) != 6)
        return 2;
    for (unsigned i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 31 + i / 251);
    payload[12] = 0x50; /* the length of a TCP header */
    if (strcmp(arguments[3], "send") == 0)
        return send_list(count - 4, arguments + 4);
    if (strcmp(arguments[3], "echo") == 0 && count == 7)
        return send_echo(arguments + 4);
    flood((unsigned)atoi(arguments[4]));
    return 0;
}

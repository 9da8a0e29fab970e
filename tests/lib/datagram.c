/* Datagrams for the tests, over the stack (libtapstack) or, with -k, over the kernel's UDP.

   datagram [-k] echo PORT                       sends back what comes, until killed
   datagram [-k] ask ADDRESS PORT SIZE...        sends one of each size, and waits for the echo of it
   datagram [-k] send [-b] ADDRESS PORT TEXT     sends one; -b: broadcast is permitted
   datagram [-k] refused ADDRESS PORT            sends one to a peer, and prints the error that comes
   datagram [-k] take [-g GROUP] PORT COUNT      prints so many, one a line, with source and local address
   datagram [-k] flood ADDRESS PORT SIZE COUNT   sends so many
   datagram [-k] sleep PORT BUFFER               binds with this receive buffer, reads when a line comes
                                                 on standard input, and prints how many there were

   Says `ready` on standard error once bound. A call that fails ends it with status 1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tapstack/api/tapstack.h"

enum { PATIENCE_MS = 10000 };

static bool kernel;
static char bytes[65536], back[65536];

static long must(const char *call, long result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "datagram: %s: %s\n", call, strerror(errno));
    exit(1);
}

static void set(int fd, int level, int name, const void *value, socklen_t size)
{
    must("setsockopt", kernel ? setsockopt(fd, level, name, value, size)
                              : ts_setsockopt(fd, level, name, value, size));
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (address && inet_pton(AF_INET, address, &in.sin_addr) != 1) {
        fprintf(stderr, "datagram: %s is no address\n", address);
        exit(2);
    }
    return in;
}

static int open_socket(void)
{
    return (int)must("socket",
                     kernel ? socket(AF_INET, SOCK_DGRAM, 0) : ts_socket(AF_INET, SOCK_DGRAM, 0));
}

static int open_bound(const char *port)
{
    struct sockaddr_in local = address_of(NULL, port);
    int fd = open_socket(), one = 1;
    set(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    must("bind", kernel ? bind(fd, (struct sockaddr *)&local, sizeof local)
                        : ts_bind(fd, (struct sockaddr *)&local, sizeof local));
    return fd;
}

static void ready(void) { fputs("ready\n", stderr); }

static ssize_t send_to(int fd, size_t size, const struct sockaddr_in *to)
{
    const struct sockaddr *address = (const struct sockaddr *)(const void *)to;
    return kernel ? sendto(fd, bytes, size, 0, address, sizeof *to)
                  : ts_sendto(fd, bytes, size, 0, address, sizeof *to);
}

static ssize_t receive(int fd, struct sockaddr_in *from, int flags)
{
    socklen_t length = sizeof *from;
    struct sockaddr *address = (struct sockaddr *)(void *)from;
    return kernel ? recvfrom(fd, back, sizeof back, flags, address, &length)
                  : ts_recvfrom(fd, back, sizeof back, flags, address, &length);
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) == 1)
        return;
    fputs("datagram: nothing came\n", stderr);
    exit(1);
}

static void echo(const char *port)
{
    struct sockaddr_in from;
    int fd = open_bound(port);
    ready();
    for (;;) {
        ssize_t got = must("recvfrom", receive(fd, &from, 0));
        memcpy(bytes, back, (size_t)got);
        send_to(fd, (size_t)got, &from);
    }
}

static void ask(const char *address, const char *port, char **sizes)
{
    struct sockaddr_in to = address_of(address, port), from;
    int fd = open_socket();
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    for (; *sizes; sizes++) {
        size_t size = (size_t)atol(*sizes);
        must("sendto", send_to(fd, size, &to));
        wait_for(fd);
        ssize_t got = must("recvfrom", receive(fd, &from, 0));
        bool same = (size_t)got == size && memcmp(bytes, back, size) == 0 &&
                    from.sin_addr.s_addr == to.sin_addr.s_addr && from.sin_port == to.sin_port;
        printf("%zu %s\n", size, same ? "same" : "other");
    }
}

static void refused(const char *address, const char *port)
{
    struct sockaddr_in to = address_of(address, port);
    int fd = open_socket();
    must("connect", kernel ? connect(fd, (struct sockaddr *)&to, sizeof to)
                           : ts_connect(fd, (struct sockaddr *)&to, sizeof to));
    must("send", kernel ? send(fd, "x", 1, 0) : ts_send(fd, "x", 1, 0));
    wait_for(fd);
    ssize_t got = kernel ? recv(fd, back, sizeof back, 0) : ts_recv(fd, back, sizeof back, 0);
    puts(got < 0 ? strerrorname_np(errno) : "answered");
}

static void take(const char *group, const char *port, int count)
{
    struct sockaddr_in from;
    int fd = open_bound(port);
    if (group) {
        struct ip_mreq member = {.imr_multiaddr = address_of(group, port).sin_addr};
        member.imr_interface = address_of(kernel ? "10.77.0.1" : "10.77.0.2", port).sin_addr;
        set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof member);
    }
    ready();
    while (count-- > 0) {
        char source[INET_ADDRSTRLEN];
        wait_for(fd);
        ssize_t got = must("recvfrom", receive(fd, &from, 0));
        inet_ntop(AF_INET, &from.sin_addr, source, sizeof source);
        printf("%s %.*s\n", source, (int)got, back);
        fflush(stdout);
    }
}

static void sleep_and_count(const char *port, int buffer)
{
    struct sockaddr_in from;
    int fd = open_bound(port), count = 0;
    set(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    ready();
    if (read(STDIN_FILENO, bytes, sizeof bytes) < 0)
        exit(1);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 300) == 1 && receive(fd, &from, MSG_DONTWAIT) >= 0)
        count++;
    printf("%d\n", count);
}

static int usage(void)
{
    fputs("usage: datagram [-k] echo|ask|send|refused|take|flood|sleep ...\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    kernel = argc > 1 && strcmp(argv[1], "-k") == 0;
    char **word = argv + 1 + kernel;
    int words = argc - 1 - kernel, one = 1;
    const char *verb = words > 0 ? word[0] : "";
    if (strcmp(verb, "echo") == 0 && words == 2) {
        echo(word[1]);
    } else if (strcmp(verb, "ask") == 0 && words >= 4) {
        ask(word[1], word[2], word + 3);
    } else if (strcmp(verb, "send") == 0 && words >= 4) {
        bool broadcast = strcmp(word[1], "-b") == 0;
        struct sockaddr_in to = address_of(word[1 + broadcast], word[2 + broadcast]);
        int fd = open_socket();
        if (broadcast)
            set(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
        strncpy(bytes, word[3 + broadcast], sizeof bytes - 1);
        must("sendto", send_to(fd, strlen(bytes), &to));
    } else if (strcmp(verb, "refused") == 0 && words == 3) {
        refused(word[1], word[2]);
    } else if (strcmp(verb, "take") == 0 && words == 3) {
        take(NULL, word[1], atoi(word[2]));
    } else if (strcmp(verb, "take") == 0 && words == 5 && strcmp(word[1], "-g") == 0) {
        take(word[2], word[3], atoi(word[4]));
    } else if (strcmp(verb, "flood") == 0 && words == 5) {
        struct sockaddr_in to = address_of(word[1], word[2]);
        int fd = open_socket();
        for (int i = 0; i < atoi(word[4]); i++)
            must("sendto", send_to(fd, (size_t)atol(word[3]), &to));
    } else if (strcmp(verb, "sleep") == 0 && words == 3) {
        sleep_and_count(word[1], atoi(word[2]));
    } else {
        return usage();
    }
    return 0;
}

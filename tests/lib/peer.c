/* A small application of libtapstack for the tests: the other end of a transfer.

   peer [-w] receive PORT         takes one connection, copies its bytes to standard output
   peer echo PORT                 sends back what comes, one connection after another, until killed
   peer connect ADDRESS PORT      sends standard input, a FIN, and copies the answer to standard
   output

   -w: reads nothing of the connection before a line comes on standard input. Says `listening` and
   `accepted` on standard error. A call that fails ends it with status 1 and the call's name. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tapstack/api/tapstack.h"

static char bytes[262144];

static long must(const char *call, long result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "peer: %s: %s\n", call, strerror(errno));
    exit(1);
}

static void write_all(const char *data, size_t size)
{
    while (size > 0) {
        size_t part = (size_t)must("write", write(STDOUT_FILENO, data, size));

        data += part;
        size -= part;
    }
}

static void send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        size_t part = (size_t)must("ts_send", ts_send(fd, data, size, 0));

        data += part;
        size -= part;
    }
}

static void copy_to_output(int fd)
{
    long size;

    while ((size = must("ts_recv", ts_recv(fd, bytes, sizeof(bytes), 0))) > 0)
        write_all(bytes, (size_t)size);
}

static int listen_at(const char *port)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = (int)must("ts_socket", ts_socket(AF_INET, SOCK_STREAM, 0));

    must("ts_bind", ts_bind(fd, (const struct sockaddr *)&local, sizeof(local)));
    must("ts_listen", ts_listen(fd, 16));
    fprintf(stderr, "listening\n");
    return fd;
}

static int accept_one(int listener)
{
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    int fd = (int)must("ts_accept", ts_accept(listener, (struct sockaddr *)&from, &length));

    fprintf(stderr, "accepted %s:%d\n", inet_ntoa(from.sin_addr), ntohs(from.sin_port));
    return fd;
}

static void peer_receive(const char *port, bool wait)
{
    int fd = accept_one(listen_at(port));

    while (wait && getchar() != '\n')
        ;
    copy_to_output(fd);
    must("ts_close", ts_close(fd));
}

static void peer_echo(const char *port)
{
    int listener = listen_at(port);

    for (;;) {
        int fd = accept_one(listener);
        long size;

        while ((size = ts_recv(fd, bytes, sizeof(bytes), 0)) > 0)
            send_all(fd, bytes, (size_t)size);
        ts_close(fd);
    }
}

/* A child sends, so that what comes back meanwhile is taken. */
static void peer_connect(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = (int)must("ts_socket", ts_socket(AF_INET, SOCK_STREAM, 0));
    int status = 0;
    long size;

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        exit(2);
    must("ts_connect", ts_connect(fd, (const struct sockaddr *)&to, sizeof(to)));
    if (must("fork", fork()) == 0) {
        while ((size = must("read", read(STDIN_FILENO, bytes, sizeof(bytes)))) > 0)
            send_all(fd, bytes, (size_t)size);
        must("ts_shutdown", ts_shutdown(fd, SHUT_WR));
        exit(0);
    }
    copy_to_output(fd);
    must("wait", wait(&status));
    must("ts_close", ts_close(fd));
    exit(status == 0 ? 0 : 1);
}

int main(int argc, char **argv)
{
    bool wait = argc > 1 && strcmp(argv[1], "-w") == 0;

    argc -= wait;
    argv += wait;
    if (argc == 3 && strcmp(argv[1], "receive") == 0)
        peer_receive(argv[2], wait);
    else if (argc == 3 && strcmp(argv[1], "echo") == 0)
        peer_echo(argv[2]);
    else if (argc == 4 && strcmp(argv[1], "connect") == 0)
        peer_connect(argv[2], argv[3]);
    else
        return fprintf(stderr,
                       "usage: peer [-w] receive PORT | echo PORT | connect ADDRESS PORT\n"),
               2;
    return 0;
}

/* Many connections to a web server, over the kernel's TCP: a client for the tests and the bench.

   load [-a ADDRESS] [-p PORT] [-u PATH] [-k] [-q] open|serial COUNT

   open    COUNT connections at once; when all stand, each asks for PATH, and all must be answered.
           -q: asks for nothing. -k: prints its line and keeps them open until standard input ends.
   serial  COUNT connections one after another, each with one request and `Connection: close`.

   Every answer must be a 200 with as many bytes as its Content-Length says. Prints one line,
   `N answered, N failed in N.NNN s`, and ends with 1 when one failed. */
#define _GNU_SOURCE /* strcasestr */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_BYTES_MAX = 1024, /* of an answer; more is a failure */
    SILENCE_MS = 20000,    /* nothing at all for so long: give up */
    UNDER_WAY_MAX = 256,   /* connections opened and not yet standing */
};

struct client {
    int fd;
    bool stands;
    bool done;
    size_t head_bytes; /* of the answer's head, so far */
    int64_t body_left; /* -1: the head is not complete */
    char head[HEAD_BYTES_MAX + 1];
};

struct load {
    struct sockaddr_in server;
    char request[512];
    size_t request_bytes;
    bool quiet;
    bool keep;
    int epoll_fd;
    struct client *clients;
    int count;
    int answered;
    int failed;
};

static uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void usage(void)
{
    fprintf(stderr, "usage: load [-a ADDRESS] [-p PORT] [-u PATH] [-k] [-q] open|serial COUNT\n");
    exit(2);
}

static void client_end(struct load *load, struct client *client, const char *why)
{
    if (client->done)
        return;
    client->done = true;
    if (!why) {
        load->answered++;
        return;
    }
    if (load->failed++ < 5)
        fprintf(stderr, "load: connection %d: %s (errno: %s)\n", (int)(client - load->clients), why,
                strerror(errno));
}

/* The head has come: it must be a 200 with a length. Returns NULL or what is wrong. */
static const char *client_judge_head(struct client *client, size_t end)
{
    const char *length;

    if (strncmp(client->head, "HTTP/1.1 200 ", 13) != 0)
        return "the status is not 200";
    length = strcasestr(client->head, "\r\nContent-Length: ");
    if (!length)
        return "no Content-Length";
    client->body_left = atoll(length + 18) - (int64_t)(client->head_bytes - end);
    return NULL;
}

/* Takes bytes of the answer. Returns NULL or what is wrong. */
static const char *client_take(struct client *client, const char *bytes, size_t size)
{
    size_t room = HEAD_BYTES_MAX - client->head_bytes;
    size_t part = size < room ? size : room;
    const char *end;
    const char *wrong;

    if (client->body_left >= 0) {
        client->body_left -= (int64_t)size;
        return NULL;
    }
    memcpy(client->head + client->head_bytes, bytes, part);
    client->head_bytes += part;
    client->head[client->head_bytes] = '\0';
    end = strstr(client->head, "\r\n\r\n");
    if (!end)
        return part < size ? "the head is too long" : NULL;
    wrong = client_judge_head(client, (size_t)(end + 4 - client->head));
    client->body_left -= (int64_t)(size - part);
    return wrong;
}

/* Reads what is there. Returns NULL, also when the answer is complete, or what is wrong. */
static const char *client_read(struct client *client)
{
    char bytes[65536];
    ssize_t size = recv(client->fd, bytes, sizeof(bytes), 0);
    const char *wrong;

    if (size < 0)
        return errno == EAGAIN ? NULL : "receiving failed";
    if (size == 0)
        return "closed before the answer was complete";
    wrong = client_take(client, bytes, (size_t)size);
    if (!wrong && client->body_left < -1)
        wrong = "more bytes than Content-Length says";
    return wrong;
}

static const char *client_ask(const struct load *load, const struct client *client)
{
    ssize_t size = send(client->fd, load->request, load->request_bytes, MSG_NOSIGNAL);

    return size == (ssize_t)load->request_bytes ? NULL : "sending failed";
}

static void client_open(struct load *load, struct client *client, int flags)
{
    memset(client, 0, sizeof(*client));
    client->body_left = -1;
    client->fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (client->fd < 0 ||
        (connect(client->fd, (const struct sockaddr *)&load->server, sizeof(load->server)) != 0 &&
         errno != EINPROGRESS))
        client_end(load, client, "connecting failed");
}

static void client_watch(struct load *load, struct client *client, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};

    epoll_ctl(load->epoll_fd, operation, client->fd, &event);
}

/* Serves events until `goal` of them were final, or nothing happens any more. */
static void load_serve(struct load *load, int goal, bool (*serve)(struct load *, struct client *))
{
    struct epoll_event events[256];

    while (goal > 0) {
        int ready = epoll_wait(load->epoll_fd, events, 256, SILENCE_MS);

        if (ready <= 0)
            return;
        for (int i = 0; i < ready; i++)
            goal -= serve(load, events[i].data.ptr);
    }
}

/* A connection stands, or not. */
static bool load_connected(struct load *load, struct client *client)
{
    socklen_t length = sizeof(errno);

    client_watch(load, client, EPOLL_CTL_DEL, 0);
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &errno, &length);
    if (errno)
        client_end(load, client, "connecting failed");
    client->stands = true;
    return true;
}

static bool load_answered(struct load *load, struct client *client)
{
    const char *wrong = client_read(client);

    if (!wrong && client->body_left != 0)
        return false;
    client_end(load, client, wrong);
    client_watch(load, client, EPOLL_CTL_DEL, 0);
    return true;
}

static void load_open_all(struct load *load)
{
    for (int first = 0; first < load->count; first += UNDER_WAY_MAX) {
        int under_way = 0;

        for (int i = first; i < load->count && i < first + UNDER_WAY_MAX; i++) {
            client_open(load, &load->clients[i], SOCK_NONBLOCK);
            if (load->clients[i].done)
                continue;
            client_watch(load, &load->clients[i], EPOLL_CTL_ADD, EPOLLOUT);
            under_way++;
        }
        load_serve(load, under_way, load_connected);
    }
    for (int i = 0; i < load->count; i++)
        if (!load->clients[i].stands)
            client_end(load, &load->clients[i], "connecting took too long");
}

static void load_ask_all(struct load *load)
{
    int under_way = 0;

    for (int i = 0; i < load->count; i++) {
        const char *wrong;

        if (load->clients[i].done)
            continue;
        wrong = client_ask(load, &load->clients[i]);
        if (wrong) {
            client_end(load, &load->clients[i], wrong);
            continue;
        }
        client_watch(load, &load->clients[i], EPOLL_CTL_ADD, EPOLLIN);
        under_way++;
    }
    load_serve(load, under_way, load_answered);
    for (int i = 0; i < load->count; i++)
        client_end(load, &load->clients[i], "no answer");
}

static void load_serial(struct load *load)
{
    struct client *client = load->clients;
    struct timeval patience = {.tv_sec = SILENCE_MS / 1000};

    for (int i = 0; i < load->count && load->failed < 100; i++) {
        const char *wrong = NULL;
        char more;

        client_open(load, client, 0);
        setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (!client->done)
            wrong = client_ask(load, client);
        while (!client->done && !wrong && client->body_left != 0)
            wrong = client_read(client);
        /* The server closes first, so that TIME-WAIT is its own and our ports stay free. */
        if (!client->done && !wrong && recv(client->fd, &more, 1, 0) != 0)
            wrong = "no end behind the answer";
        client_end(load, client, wrong);
        close(client->fd);
    }
}

static void load_prepare(struct load *load, const char *path, bool serial)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    load->request_bytes = (size_t)snprintf(load->request, sizeof(load->request),
                                           "GET %s HTTP/1.1\r\nHost: load\r\n%s\r\n", path,
                                           serial ? "Connection: close\r\n" : "");
    load->epoll_fd = epoll_create1(0);
    load->clients = calloc(serial ? 1 : (size_t)load->count, sizeof(*load->clients));
    if (load->epoll_fd < 0 || !load->clients || load->request_bytes >= sizeof(load->request))
        exit(2);
}

int main(int argc, char **argv)
{
    struct load load = {.server = {.sin_family = AF_INET, .sin_port = htons(80)}};
    const char *address = "10.77.0.2";
    const char *path = "/";
    uint64_t begin;
    bool serial;
    int option;

    while ((option = getopt(argc, argv, "a:p:u:kq")) != -1) {
        switch (option) {
        case 'a':
            address = optarg;
            break;
        case 'p':
            load.server.sin_port = htons((uint16_t)atoi(optarg));
            break;
        case 'u':
            path = optarg;
            break;
        case 'k':
            load.keep = true;
            break;
        case 'q':
            load.quiet = true;
            break;
        default:
            usage();
        }
    }
    if (argc - optind != 2 || inet_pton(AF_INET, address, &load.server.sin_addr) != 1)
        usage();
    serial = strcmp(argv[optind], "serial") == 0;
    load.count = atoi(argv[optind + 1]);
    if (load.count <= 0 || (!serial && strcmp(argv[optind], "open") != 0))
        usage();
    load_prepare(&load, path, serial);
    begin = clock_us();
    if (serial)
        load_serial(&load);
    else
        load_open_all(&load);
    if (!serial && !load.quiet)
        load_ask_all(&load);
    printf("%d %s, %d failed in %.3f s\n", load.quiet ? load.count - load.failed : load.answered,
           load.quiet ? "open" : "answered", load.failed, (double)(clock_us() - begin) / 1e6);
    fflush(stdout);
    while (load.keep && getchar() != EOF)
        ;
    return load.failed ? 1 : 0;
}

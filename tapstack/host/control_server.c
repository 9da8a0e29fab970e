/* The control socket: connections of consoles, their lines in and out.

   A client sends requests, one JSON object a line; control_request.c reads a line, the command's
   step function answers it. A step writes a bounded piece into the client's output buffer and is
   called again only when the buffer has drained below a mark, so that a big answer takes as much
   memory as a small one, and a client that does not read holds up nothing but itself: its
   requests wait in its own socket. Each turn of the loop serves a client for a few steps only.

   A stream (events with follow) parks its client between steps; one timer wakes all parked
   clients. What happened meanwhile waits in the stack's event ring; what was overwritten there
   is counted as lost. Any request of the client ends its stream.

   Left out on purpose: requests of one client are served one after the other, never at once. */
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../api/message.h"
#include "door.h"
#include "log.h"
#include "passed.h"

enum {
    CLIENTS_MAX = 64,
    STEPS_PER_TURN = 4,
    OUTPUT_MARK = 64 * 1024, /* bytes waiting from which on no step is called */
    STREAM_PERIOD_US = 50000,
};

struct control_server {
    struct door door; /* first: the door's hook gets the server from it */
    struct loop_watch timer;
    struct daemon *daemon;
    struct control_client *clients;
    unsigned client_count;
    uint32_t period_us; /* of the timer; 0: it is off */
};

/* ---- Output ---- */

static void output_append(struct control_client *client, const char *bytes, size_t size)
{
    size_t wanted = client->output_used + size;
    if (wanted > client->output_capacity) {
        size_t capacity = wanted + wanted / 2;
        char *grown = realloc(client->output, capacity);
        if (!grown) {
            client->gone = true;
            return;
        }
        client->output = grown;
        client->output_capacity = capacity;
    }
    memcpy(client->output + client->output_used, bytes, size);
    client->output_used += size;
}

void control_put(struct control_client *client, json_t *part)
{
    char *line = part ? json_dumps(part, JSON_COMPACT) : NULL;
    json_decref(part);
    if (!line) {
        log_warning("control: an answer cannot be written; its client is cut off");
        client->gone = true;
        return;
    }
    output_append(client, line, strlen(line));
    output_append(client, "\n", 1);
    free(line);
}

enum control_progress control_end(struct control_client *client, json_t *part)
{
    if (!part)
        part = json_object();
    json_object_set_new(part, "ok", json_true());
    control_put(client, part);
    return CONTROL_DONE;
}

/* Bytes of the UTF-8 character that begins here, 0 when a part of it is missing. */
static size_t character_size(const char *at)
{
    unsigned char lead = (unsigned char)*at;
    size_t size = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < size; i++)
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* Takes out what is left of characters that were cut when a message quoted a part of the request:
   JSON is whole UTF-8. */
static void text_mend(char *text)
{
    char *to = text;
    for (size_t size; *text; text += size > 0 ? size : 1) {
        size = character_size(text);
        memmove(to, text, size);
        to += size;
    }
    *to = '\0';
}

static void error_put(struct control_client *client, struct control_error *error)
{
    text_mend(error->message);
    json_t *object = json_pack("{s:s, s:s}", "code", error->code, "message", error->message);
    if (error->column > 0)
        json_object_set_new(object, "column", json_integer(error->column));
    control_put(client, json_pack("{s:o}", "error", object));
}

enum control_progress control_fail(struct control_client *client, const char *code,
                                   const char *format, ...)
{
    struct control_error error = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof error.message, format, arguments);
    va_end(arguments);
    error_put(client, &error);
    return CONTROL_DONE;
}

static size_t output_waiting(const struct control_client *client)
{
    return client->output_used - client->output_sent;
}

static void output_release(struct control_client *client)
{
    free(client->output);
    client->output = NULL;
    client->output_used = client->output_sent = client->output_capacity = 0;
}

static void output_flush(struct control_client *client)
{
    while (output_waiting(client) > 0 && !client->gone) {
        ssize_t sent = send(client->watch.fd, client->output + client->output_sent,
                            output_waiting(client), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            client->output_sent += (size_t)sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            client->gone = true;
    }
    if (client->gone || output_waiting(client) == 0)
        output_release(client);
}

/* ---- Arguments ---- */

const char *control_text(const struct control_client *client, const char *name)
{
    return json_string_value(json_object_get(client->arguments, name));
}

uint64_t control_number(const struct control_client *client, const char *name, uint64_t otherwise)
{
    const json_t *value = json_object_get(client->arguments, name);
    return value ? (uint64_t)json_integer_value(value) : otherwise;
}

bool control_flag(const struct control_client *client, const char *name)
{
    return json_is_true(json_object_get(client->arguments, name));
}

bool control_may_write(const struct control_client *client)
{
    return client->uid == 0 || client->uid == geteuid() ||
           client->uid == client->daemon->config.control_uid;
}

/* ---- Requests ---- */

static void command_finish(struct control_client *client)
{
    json_decref(client->arguments);
    client->arguments = NULL;
    client->command = NULL;
    client->streaming = false;
    client->period_us = 0;
    control_probe_close(client);
}

static void command_step(struct control_client *client)
{
    enum control_progress progress = client->command->step(client);
    client->steps++;
    client->streaming = progress == CONTROL_STREAM;
    if (progress == CONTROL_DONE)
        command_finish(client);
}

static void command_start(struct control_client *client, const char *line, size_t size)
{
    struct control_request request;
    struct control_error error;
    if (control_request_parse(line, size, &request, &error) != 0) {
        error_put(client, &error);
        return;
    }
    client->command = request.command;
    client->arguments = request.arguments;
    client->steps = 0;
    client->cursor = 0;
    if (request.command->write && !client->writes) {
        control_fail(client, "read-only", "%s changes something: send {\"do\": \"write\"} first",
                     request.command->name);
        command_finish(client);
    }
}

static bool line_is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", line[i]) || line[i] == '\0')
            return false;
    return true;
}

static void input_drop(struct control_client *client, size_t size)
{
    client->input_used -= size;
    memmove(client->input, client->input + size, client->input_used);
}

static void line_serve(struct control_client *client, const char *line, size_t size)
{
    if (client->skipping)
        client->skipping = false;
    else if (!line_is_blank(line, size))
        command_start(client, line, size);
}

/* Serves the next line that is complete. Returns false when there is none. */
static bool line_take(struct control_client *client)
{
    char *end = memchr(client->input, '\n', client->input_used);
    size_t size = end ? (size_t)(end - client->input) : client->input_used;
    bool complete = end || (client->ended && size > 0);
    if (!complete && client->input_used < sizeof client->input)
        return false;
    if (client->streaming) { /* any line ends the stream, and is then served */
        client->command->end(client);
        command_finish(client);
    }
    if (complete) {
        line_serve(client, client->input, size);
    } else if (!client->skipping) {
        client->skipping = true;
        control_fail(client, "too-long", "a line may have %d bytes", CONTROL_LINE_MAX);
    }
    input_drop(client, size + (end ? 1 : 0));
    return true;
}

/* ---- Input ---- */

/* Keeps the last descriptor that came along: a capture will want it. */
static void descriptor_keep(struct control_client *client, int fd)
{
    if (fd < 0)
        return;
    if (client->descriptor >= 0)
        passed_close(client->descriptor);
    client->descriptor = fd;
}

static void input_read(struct control_client *client)
{
    struct iovec room = {client->input + client->input_used,
                         sizeof client->input - client->input_used};
    int fd;
    if (room.iov_len == 0 || client->ended)
        return;
    ssize_t got = passed_receive(client->watch.fd, &room, 1, 0, &fd, NULL);
    descriptor_keep(client, fd);
    if (got > 0)
        client->input_used += (size_t)got;
    else if (got == 0)
        client->ended = true;
    else if (errno != EAGAIN && errno != EINTR)
        client->ended = client->gone = true;
}

/* ---- Clients ---- */

static void client_close(struct control_client *client)
{
    struct control_server *server = client->server;
    struct control_client **link = &server->clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    server->client_count--;
    command_finish(client);
    loop_forget(&server->daemon->loop, &client->watch);
    passed_close_socket(client->watch.fd);
    if (client->descriptor >= 0)
        passed_close(client->descriptor);
    free(client->output);
    free(client);
}

static void timer_set(struct control_server *server, uint32_t period_us)
{
    struct timespec period = {0, (long)period_us * 1000};
    struct itimerspec setting = {.it_interval = period, .it_value = period};
    if (server->period_us != period_us && timerfd_settime(server->timer.fd, 0, &setting, NULL) == 0)
        server->period_us = period_us;
}

static uint32_t stream_period(const struct control_client *client)
{
    return client->period_us ? client->period_us : STREAM_PERIOD_US;
}

/* The timer's period: as the most impatient stream wants it. */
static void timer_update(struct control_server *server)
{
    uint32_t period_us = 0;
    for (const struct control_client *client = server->clients; client; client = client->next)
        if (client->streaming && (period_us == 0 || stream_period(client) < period_us))
            period_us = stream_period(client);
    timer_set(server, period_us);
}

/* Some work for this turn. Returns whether more is left than waiting for the client to speak. */
static bool client_work(struct control_client *client)
{
    for (int i = 0; i < STEPS_PER_TURN; i++) {
        if (client->gone && client->command)
            command_finish(client);
        if (output_waiting(client) >= OUTPUT_MARK)
            return true;
        if (client->command && !client->streaming)
            command_step(client);
        else if (!line_take(client))
            return false;
    }
    return true;
}

/* Watches for what can bring the client on. more: work is left, whatever happens. */
static void client_watch(struct control_client *client, bool more)
{
    bool answering = client->command && !client->streaming;
    uint32_t events = 0;
    if (!client->ended && !answering && client->input_used < sizeof client->input)
        events |= EPOLLIN;
    if (more || answering || output_waiting(client) > 0)
        events |= EPOLLOUT;
    loop_change(&client->daemon->loop, &client->watch, events);
}

static void client_serve(struct control_client *client)
{
    bool more = client_work(client);
    output_flush(client);
    if (client->streaming &&
        (client->server->period_us == 0 || stream_period(client) < client->server->period_us))
        timer_set(client->server, stream_period(client));
    if (client->gone && !client->ended)
        shutdown(client->watch.fd, SHUT_RDWR); /* what it has sent is still served */
    bool idle = !more && !client->command && output_waiting(client) == 0;
    if (idle && client->ended)
        client_close(client);
    else
        client_watch(client, more);
}

static void client_ready(struct loop_watch *watch, uint32_t events)
{
    struct control_client *client = (struct control_client *)watch;
    if (events & (EPOLLHUP | EPOLLERR))
        client->gone = true;
    if ((events & EPOLLIN) || client->gone)
        input_read(client);
    client_serve(client);
}

static void client_greet(struct control_client *client)
{
    control_put(client, json_pack("{s:s, s:s, s:i}", "program", "tapstackd", "version",
                                  TAPSTACK_VERSION, "protocol", CONTROL_PROTOCOL));
}

/* Returns NULL without memory. */
static struct control_client *client_open(struct control_server *server,
                                          const struct visitor *visitor)
{
    struct control_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->watch = (struct loop_watch){visitor->fd, EPOLLIN, client_ready};
    client->server = server;
    client->daemon = server->daemon;
    client->uid = visitor->uid;
    client->pid = visitor->pid;
    client->descriptor = -1;
    if (loop_add(&server->daemon->loop, &client->watch) != 0) {
        free(client);
        return NULL;
    }
    client->next = server->clients;
    server->clients = client;
    server->client_count++;
    return client;
}

/* ---- The server ---- */

static void visitor_refuse(const struct visitor *visitor)
{
    static const char busy[] =
        "{\"error\":{\"code\":\"busy\",\"message\":\"no room for another console\"}}\n";
    (void)!send(visitor->fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    passed_close_socket(visitor->fd);
}

static bool server_has_place(const struct control_server *server, uid_t uid)
{
    struct door_share share = {.places = CLIENTS_MAX, .taken = server->client_count};
    for (const struct control_client *c = server->clients; c; c = c->next)
        share.taken_by_user += c->uid == uid;
    return door_has_place(&share, uid);
}

static void server_enter(struct door *door, const struct visitor *visitor, bool room)
{
    struct control_server *server = (struct control_server *)door;
    struct control_client *client =
        room && server_has_place(server, visitor->uid) ? client_open(server, visitor) : NULL;
    if (!client) {
        visitor_refuse(visitor);
        return;
    }
    client_greet(client);
    client_serve(client);
}

static void server_tick(struct loop_watch *watch, uint32_t events)
{
    struct control_server *server =
        (struct control_server *)((char *)watch - offsetof(struct control_server, timer));
    uint64_t ticks;
    (void)events;
    (void)!read(watch->fd, &ticks, sizeof ticks);
    for (struct control_client *client = server->clients, *next; client; client = next) {
        next = client->next;
        if (!client->streaming)
            continue;
        client->streaming = false;
        client_serve(client);
    }
    timer_update(server);
}

static int server_open(struct control_server *server, const char *dir)
{
    struct loop *loop = &server->daemon->loop;
    server->timer = (struct loop_watch){timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                                        EPOLLIN, server_tick};
    if (server->timer.fd < 0)
        return -errno;
    int error = loop_add(loop, &server->timer);
    return error
               ? error
               : door_open(&server->door, loop, dir, TS_CONTROL_SOCKET, SOCK_STREAM, server_enter);
}

struct control_server *control_server_create(struct daemon *daemon, const char *dir)
{
    struct control_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->daemon = daemon;
    int error = server_open(server, dir);
    if (error < 0) {
        log_error("control: %s/%s: %s", dir, TS_CONTROL_SOCKET, strerror(-error));
        control_server_destroy(server);
        return NULL;
    }
    return server;
}

void control_server_destroy(struct control_server *server)
{
    if (!server)
        return;
    while (server->clients)
        client_close(server->clients);
    door_close(&server->door);
    if (server->timer.fd >= 0) {
        loop_remove(&server->daemon->loop, &server->timer);
        close(server->timer.fd);
    }
    free(server);
}

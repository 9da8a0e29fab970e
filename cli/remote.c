/* The daemon's control socket, as a client sees it: requests out, answers in. */
#include "remote.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Says what went wrong. Returns -1. */
static int fail(struct remote *remote, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct remote *remote, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(remote->error, sizeof remote->error, format, arguments);
    va_end(arguments);
    return -1;
}

void remote_init(struct remote *remote, const char *dir)
{
    *remote = (struct remote){.dir = dir, .fd = -1};
}

static void disconnect(struct remote *remote)
{
    if (remote->fd >= 0)
        close(remote->fd);
    remote->fd = -1;
    remote->writes = false;
    remote->input_used = 0;
}

void remote_close(struct remote *remote)
{
    disconnect(remote);
    free(remote->input);
    remote->input = NULL;
    remote->input_capacity = 0;
}

/* ---- Lines in ---- */

bool remote_has_line(const struct remote *remote)
{
    return remote->input_used > 0 && memchr(remote->input, '\n', remote->input_used) != NULL;
}

static int input_read(struct remote *remote)
{
    if (remote->input_used == remote->input_capacity) {
        size_t capacity = remote->input_capacity ? remote->input_capacity * 2 : 64 * 1024;
        char *grown = realloc(remote->input, capacity);
        if (!grown)
            return fail(remote, "no memory for the answer");
        remote->input = grown;
        remote->input_capacity = capacity;
    }
    ssize_t got = recv(remote->fd, remote->input + remote->input_used,
                       remote->input_capacity - remote->input_used, 0);
    if (got > 0)
        remote->input_used += (size_t)got;
    else if (got == 0 || errno != EINTR)
        return fail(remote, "the daemon has gone%s%s", got ? ": " : "", got ? strerror(errno) : "");
    return 0;
}

static json_t *line_take(struct remote *remote)
{
    json_error_t place;
    char *end = memchr(remote->input, '\n', remote->input_used);
    size_t size = (size_t)(end - remote->input);
    json_t *line = json_loadb(remote->input, size, 0, &place);
    remote->input_used -= size + 1;
    memmove(remote->input, end + 1, remote->input_used);
    if (!json_is_object(line)) {
        fail(remote, "the daemon sent no JSON object (column %d: %s)", place.column, place.text);
        json_decref(line);
        return NULL;
    }
    return line;
}

/* The next line as it is, or NULL with the connection given up. */
static json_t *line_wait(struct remote *remote)
{
    while (!remote_has_line(remote))
        if (input_read(remote) != 0) {
            disconnect(remote);
            return NULL;
        }
    json_t *line = line_take(remote);
    if (!line)
        disconnect(remote);
    return line;
}

json_t *remote_next(struct remote *remote, bool *last)
{
    json_t *line = line_wait(remote);
    *last = true;
    if (!line)
        return NULL;
    const json_t *error = json_object_get(line, "error");
    if (error) {
        const char *message = json_string_value(json_object_get(error, "message"));
        fail(remote, "%s", message ? message : "an error that says nothing");
        json_decref(line);
        return NULL;
    }
    *last = json_object_get(line, "ok") != NULL;
    return line;
}

/* ---- Connecting ---- */

static int greeting_check(struct remote *remote)
{
    bool last;
    json_t *greeting = remote_next(remote, &last);
    if (!greeting)
        return -1;
    json_int_t protocol = json_integer_value(json_object_get(greeting, "protocol"));
    json_decref(greeting);
    if (protocol == REMOTE_PROTOCOL)
        return 0;
    disconnect(remote);
    return fail(remote, "the daemon speaks protocol %lld, this console %d", (long long)protocol,
                REMOTE_PROTOCOL);
}

static int connect_daemon(struct remote *remote)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", remote->dir, REMOTE_SOCKET);
    if (length >= (int)sizeof address.sun_path)
        return fail(remote, "%s: the folder's name is too long", remote->dir);
    remote->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (remote->fd < 0)
        return fail(remote, "socket: %s", strerror(errno));
    if (connect(remote->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        disconnect(remote);
        return fail(remote, "cannot reach tapstackd at %s: %s", address.sun_path, strerror(error));
    }
    return greeting_check(remote);
}

/* ---- Requests out ---- */

static ssize_t send_some(int fd, const char *bytes, size_t size, int descriptor)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static int send_line(struct remote *remote, const char *line, size_t size, int descriptor)
{
    if (remote->fd < 0 && connect_daemon(remote) != 0)
        return -1;
    while (size > 0) {
        ssize_t sent = send_some(remote->fd, line, size, descriptor);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            int error = errno;
            disconnect(remote);
            return fail(remote, "the daemon has gone: %s", strerror(error));
        }
        line += sent;
        size -= (size_t)sent;
        descriptor = -1; /* it went with the first byte */
    }
    return 0;
}

/* A daemon that was started anew while we waited at the prompt is simply connected again. */
static void stale_check(struct remote *remote)
{
    char byte;
    if (remote->fd >= 0 && recv(remote->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        disconnect(remote);
}

int remote_send(struct remote *remote, json_t *request, int descriptor)
{
    char *line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (!line)
        return fail(remote, "no memory for the request");
    size_t size = strlen(line);
    line[size] = '\n'; /* in the place of its NUL */
    stale_check(remote);
    int result = send_line(remote, line, size + 1, descriptor);
    free(line);
    return result;
}

void remote_merge(json_t *answer, json_t *line)
{
    const char *name;
    json_t *value;
    json_object_foreach(line, name, value)
    {
        json_t *before = json_object_get(answer, name);
        if (strcmp(name, "ok") == 0)
            continue;
        if (json_is_array(before) && json_is_array(value))
            json_array_extend(before, value);
        else
            json_object_set(answer, name, value);
    }
    json_decref(line);
}

json_t *remote_ask(struct remote *remote, json_t *request, int descriptor)
{
    bool last = false;
    if (remote_send(remote, request, descriptor) != 0)
        return NULL;
    json_t *answer = json_object();
    while (!last) {
        json_t *line = remote_next(remote, &last);
        if (!line) {
            json_decref(answer);
            return NULL;
        }
        remote_merge(answer, line);
    }
    return answer;
}

int remote_ask_writing(struct remote *remote)
{
    stale_check(remote);
    if (remote->writes)
        return 0;
    json_t *answer = remote_ask(remote, json_pack("{s:s}", "do", "write"), -1);
    if (!answer)
        return -1;
    json_decref(answer);
    remote->writes = true;
    return 0;
}

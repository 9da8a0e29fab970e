/* The daemon's control socket, as a client sees it: requests out, answers in. */
#ifndef TAPSTACK_CLI_REMOTE_H
#define TAPSTACK_CLI_REMOTE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define REMOTE_DIR_DEFAULT "/run/tapstack"
#define REMOTE_SOCKET      "control" /* below the folder */

enum { REMOTE_PROTOCOL = 1 };

struct remote {
    const char *dir;
    int fd;      /* -1: not connected */
    bool writes; /* this connection may change things */
    char *input; /* input_used bytes, not yet taken as lines */
    size_t input_used, input_capacity;
    char error[320]; /* what went wrong with the last call */
};

/* dir: folder of the socket; must outlive the remote. Nothing is connected yet. */
void remote_init(struct remote *remote, const char *dir);
void remote_close(struct remote *remote);

/* Sends a request (released in any case), connecting first where needed, with a descriptor attached
   (-1: none). Returns 0, or -1 with remote->error. */
int remote_send(struct remote *remote, json_t *request, int descriptor);

/* Asks for the right to change things, once a connection. Returns 0, or -1 with remote->error. */
int remote_ask_writing(struct remote *remote);

/* Waits for the next line of an answer: the caller's to release. last: it is the last one. An error
   answer is NULL with remote->error, and so is a daemon that went away. */
json_t *remote_next(struct remote *remote, bool *last);

/* Is a whole line there already? */
bool remote_has_line(const struct remote *remote);

/* Sends a request and waits for all of the answer: its lines put together to one object, arrays of
   the same name one behind the other, without "ok". Returns NULL with remote->error. */
json_t *remote_ask(struct remote *remote, json_t *request, int descriptor);

/* Adds a line to an answer that is being put together; line is released. */
void remote_merge(json_t *answer, json_t *line);

#endif

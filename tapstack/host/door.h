/* The door: a Unix socket in the file system that clients connect to. */
#ifndef TAPSTACK_HOST_DOOR_H
#define TAPSTACK_HOST_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

#include "loop.h"

/* A client that came in, as the kernel tells it. */
struct visitor {
    int fd;
    pid_t pid;
    uid_t uid;
};

struct door {
    struct loop_watch watch; /* first: the loop's hooks get the door from it */
    struct loop_watch timer; /* opens the door again after a pause */
    struct loop *loop;
    int spare_fd; /* given up for a moment to refuse a visitor when no descriptor is left */
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    /* Takes visitor->fd over. room false: there is no descriptor for it, it can only be told so. */
    void (*enter)(struct door *door, const struct visitor *visitor, bool room);
};

/* Listens at DIR/name for sockets of this type; everybody may connect. A file that a dead daemon
   left there is removed. Returns 0, or a negative errno with nothing left open. */
int door_open(struct door *door, struct loop *loop, const char *dir, const char *name, int type,
              void (*enter)(struct door *door, const struct visitor *visitor, bool room));
/* Closes it and removes the file. A door that was never opened (all zero) is left alone. */
void door_close(struct door *door);

/* How many places a server has, and how many of them one user may take: all of them root and the
   daemon's own user, half of them anybody else, who leave an eighth free for those two. */
struct door_share {
    unsigned places;
    unsigned taken;         /* by anybody */
    unsigned taken_by_user; /* by the one who asks */
};
bool door_has_place(const struct door_share *share, uid_t uid);

#endif

/* The door: a Unix socket in the file system that clients connect to.

   When the process is out of descriptors a visitor would knock for ever and keep the loop spinning.
   One descriptor is kept in reserve: it is given up, the visitor let in with its number, told and
   turned away, and the reserve made anew. Should that fail (the machine's table of files is full,
   and somebody else was quicker) the door pauses: it is not watched until a timer rings. */
#define _GNU_SOURCE /* accept4, struct ucred */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "log.h"

enum { VISITORS_PER_TURN = 16, BACKLOG = 1024, PAUSE_MS = 100 };

bool door_has_place(const struct door_share *share, uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return share->taken < share->places;
    return share->taken < share->places - share->places / 8 &&
           share->taken_by_user < share->places / 2;
}

static void reserve_fill(struct door *door)
{
    if (door->spare_fd < 0)
        door->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void reserve_empty(struct door *door)
{
    if (door->spare_fd >= 0)
        close(door->spare_fd);
    door->spare_fd = -1;
}

/* Returns false when nobody came in; errno tells why. */
static bool visitor_admit(struct door *door, bool room)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    int fd = accept4(door->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    door->enter(door, &(struct visitor){fd, peer.pid, peer.uid}, room);
    return true;
}

static void door_pause(struct door *door)
{
    struct itimerspec once = {.it_value = {0, PAUSE_MS * 1000000L}};
    if (timerfd_settime(door->timer.fd, 0, &once, NULL) == 0)
        loop_change(door->loop, &door->watch, 0);
}

static void door_resume(struct loop_watch *watch, uint32_t events)
{
    struct door *door = (struct door *)(void *)((char *)watch - offsetof(struct door, timer));
    uint64_t rings;
    (void)events;
    (void)!read(watch->fd, &rings, sizeof rings);
    reserve_fill(door);
    loop_change(door->loop, &door->watch, EPOLLIN);
}

static void door_turn_away(struct door *door)
{
    log_warning("%s: a client is refused: no descriptor left", door->path);
    reserve_empty(door);
    visitor_admit(door, false);
    reserve_fill(door);
    if (door->spare_fd < 0)
        door_pause(door);
}

static void door_ready(struct loop_watch *watch, uint32_t events)
{
    struct door *door = (struct door *)(void *)watch; /* watch is its first member */
    (void)events;
    for (int i = 0; i < VISITORS_PER_TURN; i++) {
        if (visitor_admit(door, true))
            continue;
        if (errno == EMFILE || errno == ENFILE)
            door_turn_away(door);
        return;
    }
}

/* Takes away the file of a daemon that died; of one that answers it is not. */
static int path_clear(const struct sockaddr_un *address, int type)
{
    int probe = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return -errno;
    int result = connect(probe, (const struct sockaddr *)address, sizeof *address);
    int error = result == 0 ? EADDRINUSE : errno;
    close(probe);
    if (error != ECONNREFUSED)
        return error == ENOENT ? 0 : -error;
    return unlink(address->sun_path) == 0 ? 0 : -errno;
}

/* Returns a listening descriptor or a negative errno. */
static int socket_listen(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int error = path_clear(&address, type);
    if (error)
        return error;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Everybody may ask; who may do what is decided by who the kernel says it is. */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && chmod(path, 0666) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    error = -errno;
    close(fd);
    return error;
}

/* The descriptors beside the listening one. */
static int door_equip(struct door *door)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    door->timer = (struct loop_watch){timer, EPOLLIN, door_resume};
    reserve_fill(door);
    if (timer < 0 || door->spare_fd < 0)
        return -errno;
    int error = loop_add(door->loop, &door->watch);
    return error ? error : loop_add(door->loop, &door->timer);
}

int door_open(struct door *door, struct loop *loop, const char *dir, const char *name, int type,
              void (*enter)(struct door *door, const struct visitor *visitor, bool room))
{
    *door = (struct door){.loop = loop, .spare_fd = -1, .enter = enter, .timer.fd = -1};
    int length = snprintf(door->path, sizeof door->path, "%s/%s", dir, name);
    int fd = length < (int)sizeof door->path ? socket_listen(door->path, type) : -ENAMETOOLONG;
    if (fd < 0) {
        door->loop = NULL;
        return fd;
    }
    door->watch = (struct loop_watch){fd, EPOLLIN, door_ready};
    int error = door_equip(door);
    if (error)
        door_close(door);
    return error;
}

void door_close(struct door *door)
{
    if (!door->loop)
        return;
    reserve_empty(door);
    loop_remove(door->loop, &door->watch);
    close(door->watch.fd);
    if (door->timer.fd >= 0) {
        loop_remove(door->loop, &door->timer);
        close(door->timer.fd);
    }
    unlink(door->path);
    door->loop = NULL;
}

/* Network namespaces: stepping into another one, and back.

   A TAP belongs to the namespace in which it is made, and a netlink socket to the one in which it
   is opened. So the daemon steps in for the length of a device's making, instead of making the
   device at home and moving it: its name is free there, whatever it is at home. */
#define _GNU_SOURCE /* setns */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int netns_open(const char *name, char *error)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", strchr(name, '/') ? "" : "/run/netns/", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        snprintf(error, NETNS_ERROR_MAX, "no network namespace %s: %s", path, strerror(errno));
    return fd;
}

int netns_enter(const char *name, char *error)
{
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) {
        snprintf(error, NETNS_ERROR_MAX, "cannot open /proc/self/ns/net: %s", strerror(errno));
        return -1;
    }
    int there = netns_open(name, error);
    if (there >= 0 && setns(there, CLONE_NEWNET) == 0) {
        close(there);
        return home;
    }
    if (there >= 0) {
        snprintf(error, NETNS_ERROR_MAX, "cannot enter network namespace %s: %s", name,
                 strerror(errno));
        close(there);
    }
    close(home);
    return -1;
}

int netns_leave(int home)
{
    int result = setns(home, CLONE_NEWNET);
    close(home);
    return result;
}

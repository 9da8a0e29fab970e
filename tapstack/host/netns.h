/* Network namespaces: stepping into another one, and back. */
#ifndef TAPSTACK_HOST_NETNS_H
#define TAPSTACK_HOST_NETNS_H

enum { NETNS_ERROR_MAX = 192 };

/* Steps into the namespace: a name as `ip netns` has it, or a path (with a slash). What is opened
   there stays there. Returns a descriptor for netns_leave, or -1 with one line in error
   (NETNS_ERROR_MAX bytes). */
int netns_enter(const char *name, char *error);

/* Steps back. Returns 0, or -1 with errno: the process is still in there. */
int netns_leave(int home);

#endif

/* Giving up what the daemon needs to start but not to run. */
#ifndef TAPSTACK_HOST_PRIVILEGE_H
#define TAPSTACK_HOST_PRIVILEGE_H

enum { PRIVILEGE_ERROR_MAX = 160 };

/* Becomes user (when started as root and user is not ""), drops every capability, and can never
   gain one again. Returns 0, or -1 with one line in error (PRIVILEGE_ERROR_MAX bytes). */
int privilege_drop(const char *user, char *error);

/* Leaves only the system calls that the running daemon makes; any other fails with EPERM and is
   reported in the kernel's log. Returns 0, or -1 with one line in error. */
int privilege_confine(char *error);

#endif

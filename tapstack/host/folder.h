/* The folder of the daemon's sockets: made, owned, and held by one daemon at a time. */
#ifndef TAPSTACK_HOST_FOLDER_H
#define TAPSTACK_HOST_FOLDER_H

enum { FOLDER_ERROR_MAX = 192 };

/* Makes the folder (mode 0755) or takes one that holds nothing but our sockets, and locks it
   against other daemons. Returns a descriptor that keeps the lock, or -1 with one line in error. */
int folder_open(const char *dir, char *error);

/* Gives the folder and the sockets in it to user, so that they can be removed without root. Does
   nothing for user "" or when not root. Returns 0, or -1 with one line in error. */
int folder_give(int folder, const char *dir, const char *user, char *error);

/* Removes the sockets and, where that is allowed, the folder. */
void folder_close(int folder, const char *dir);

#endif

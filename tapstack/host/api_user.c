/* Users of the API: what each has taken, and how its connections ended.

   Whatever is limited is counted by user ID, as a process can be had for nothing. The ends of
   connections lie in a table of their own for each user, so that one user's (or its peers') resets
   do not drive out another's; within it a place is chosen by the cookie, which the kernel numbers
   one after the other, so that only an end many connections later takes it again. */
#include "api_server.h"

#include <stdlib.h>

struct api_user *api_user_get(struct api_server *server, uid_t uid)
{
    struct api_user *user = server->users;
    while (user && user->uid != uid)
        user = user->next;
    if (!user && (user = calloc(1, sizeof *user))) {
        user->uid = uid;
        user->next = server->users;
        server->users = user;
    }
    if (user)
        user->references++;
    return user;
}

void api_user_release(struct api_server *server, struct api_user *user)
{
    if (--user->references > 0)
        return;
    struct api_user **at = &server->users;
    while (*at != user)
        at = &(*at)->next;
    *at = user->next;
    free(user->ended);
    free(user);
}

void api_ended_remember(struct api_user *user, uint64_t cookie, int error)
{
    if (!user->ended)
        user->ended = calloc(API_ENDED_MAX, sizeof *user->ended);
    if (user->ended)
        user->ended[cookie % API_ENDED_MAX] = (struct api_ended){cookie, error};
}

static struct api_ended *ended_entry(const struct api_server *server, uint64_t cookie)
{
    for (struct api_user *user = server->users; user; user = user->next) {
        struct api_ended *entry = user->ended ? &user->ended[cookie % API_ENDED_MAX] : NULL;
        if (entry && entry->cookie == cookie)
            return entry;
    }
    return NULL;
}

int api_ended_find(const struct api_server *server, uint64_t cookie)
{
    const struct api_ended *entry = ended_entry(server, cookie);
    return entry ? entry->error : 0;
}

void api_ended_clear(struct api_server *server, uint64_t cookie)
{
    struct api_ended *entry = ended_entry(server, cookie);
    if (entry)
        entry->error = 0;
}

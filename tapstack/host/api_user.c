/* Users of the API: what each has taken, and how its connections ended.

   Whatever is limited is counted by user ID, as a process can be had for nothing. The ends of
   connections lie in a table of their own for each user, so that one user's (or its peers') resets
   do not drive out another's. The cookie chooses a few places of it; the oldest of them is taken,
   which is the one with the smallest cookie, as the kernel numbers sockets one after the other. */
#include "api_server.h"

#include <stdlib.h>

enum {
    WAYS = 8, /* places that a cookie may have */
    SETS_BITS = 11,
};
_Static_assert(API_ENDED_MAX == WAYS << SETS_BITS, "all places are used");

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
    if (--user->references == 0)
        api_user_trim(server, API_USERS_IDLE_MAX);
}

void api_user_trim(struct api_server *server, unsigned kept)
{
    struct api_user **at = &server->users, *user;
    while ((user = *at)) {
        if (user->references > 0 || kept > 0) {
            kept -= user->references == 0;
            at = &user->next;
            continue;
        }
        *at = user->next;
        free(user->ended);
        free(user);
    }
}

/* The places of a cookie. Multiplied (Fibonacci hashing), neighbors fall far apart and evenly. */
static struct api_ended *ended_places(const struct api_user *user, uint64_t cookie)
{
    return user->ended + (cookie * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SETS_BITS)) * WAYS;
}

void api_ended_remember(struct api_user *user, uint64_t cookie, int error)
{
    if (!user->ended)
        user->ended = calloc(API_ENDED_MAX, sizeof *user->ended);
    if (!user->ended)
        return;
    struct api_ended *places = ended_places(user, cookie), *oldest = places;
    for (int i = 1; i < WAYS; i++)
        if (places[i].cookie < oldest->cookie)
            oldest = &places[i];
    *oldest = (struct api_ended){cookie, error};
}

static struct api_ended *ended_entry(const struct api_server *server, uint64_t cookie)
{
    for (struct api_user *user = server->users; user; user = user->next) {
        if (!user->ended)
            continue;
        struct api_ended *places = ended_places(user, cookie);
        for (int i = 0; i < WAYS; i++)
            if (places[i].cookie == cookie)
                return &places[i];
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

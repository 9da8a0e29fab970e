/* The pool of communication modules as waiting module and supervisor see it: one page of counts
   that all processes share. The waiting module picks from it without asking anybody (S8). */
#ifndef TAPSTACK_HTTPD_SCOREBOARD_H
#define TAPSTACK_HTTPD_SCOREBOARD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "site_config.h"

/* One place in the pool. The place outlives the worker in it. */
struct scoreboard_place {
    atomic_uint handed;  /* connections that the listener has put into the place's socket */
    atomic_uint taken;   /* and those that a worker has taken out */
    atomic_uint open;    /* connections the worker has under way */
    atomic_int owner;    /* pid of the worker whose connections `open` counts */
    atomic_ullong total; /* connections ever taken */
} __attribute__((aligned(64)));

struct scoreboard {
    unsigned count;
    struct scoreboard_place places[SITE_WORKERS_MAX];
};

/* In memory shared with all processes forked later; NULL with errno. */
struct scoreboard *scoreboard_open(unsigned count);

/* Connections waiting for or held by the worker of a place. */
unsigned scoreboard_load(const struct scoreboard_place *place);

/* The place for the next connection: an idle one first, else the least loaded; among equals in
   turn. tried: bit i set leaves place i out. -1 when all are left out. */
int scoreboard_pick(const struct scoreboard *board, unsigned *turn, uint64_t tried);

/* The worker's own count; ignored from a worker that has been replaced. */
void scoreboard_set_open(struct scoreboard_place *place, pid_t self, unsigned open);

#endif

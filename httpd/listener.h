/* The waiting module (S1): one process that waits for connections and hands them on. */
#ifndef TAPSTACK_HTTPD_LISTENER_H
#define TAPSTACK_HTTPD_LISTENER_H

#include "scoreboard.h"
#include "site_config.h"

/* The life of the listener process; returns its exit status. ends: the listener's ends of the
   workers' socket pairs, one per place. SIGTERM ends it; the signal is blocked by the caller. */
int listener_run(const struct site_config *config, struct scoreboard *board, const int *ends);

#endif

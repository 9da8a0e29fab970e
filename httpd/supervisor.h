/* The parent of all: keeps one listener and the configured number of workers alive. */
#ifndef TAPSTACK_HTTPD_SUPERVISOR_H
#define TAPSTACK_HTTPD_SUPERVISOR_H

#include "site_config.h"

/* Runs until SIGTERM or SIGINT; returns the exit status. config: loaded from source, which is read
   again on SIGHUP. */
int supervisor_run(const struct site_source *source, struct site_config *config);

#endif

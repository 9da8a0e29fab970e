/* The console: its commands, and one line done. */
#ifndef TAPSTACK_CLI_CONSOLE_H
#define TAPSTACK_CLI_CONSOLE_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "command.h"
#include "remote.h"

struct console {
    struct remote remote;
    FILE *out;
    bool interactive; /* a person at a terminal */
    bool quit;
    sigset_t signals; /* blocked outside of a command */
};

/* Does one line. where: put before an error message ("stdin:3: "), or "". Errors go to standard
   error. Returns 0, or -1 on any error. */
int console_execute(struct console *console, const char *line, const char *where);

/* prompt.c: reads lines with readline until quit or end of file. Returns 0. */
int prompt_run(struct console *console);

#endif

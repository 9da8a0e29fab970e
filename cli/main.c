/* tapctl: the console of tapstackd. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"

enum { ONE_SHOTS_MAX = 64 };

static const char usage[] =
    "usage: tapctl [-d DIR] [COMMAND... | -c COMMAND]...\n"
    "  -d DIR      folder of the daemon's sockets ($TAPSTACK_DIR, or " REMOTE_DIR_DEFAULT ")\n"
    "  -c COMMAND  do this line (may be given several times)\n"
    "  -V          print the version\n"
    "  -h          print this\n"
    "Without a command: a prompt, or commands from standard input. `tapctl help` lists them.\n";

static int lines_run(struct console *console, FILE *in)
{
    char where[32], *line = NULL;
    size_t capacity = 0;
    int failed = 0;
    ssize_t length;
    for (unsigned number = 1; !console->quit && (length = getline(&line, &capacity, in)) > 0;
         number++) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(where, sizeof where, "stdin:%u: ", number);
        failed |= console_execute(console, line, where) != 0;
    }
    free(line);
    return failed;
}

/* Words as the shell has cut them, quoted again for the console's own reading. */
static int words_run(struct console *console, char **words, int count)
{
    size_t size = 1;
    for (int i = 0; i < count; i++)
        size += strlen(words[i]) + 3;
    char *line = malloc(size), *at = line;
    if (!line)
        return 1;
    for (int i = 0; i < count; i++) {
        char quote = strchr(words[i], '"') ? '\'' : '"';
        at += sprintf(at, "%s%c%s%c", i ? " " : "", quote, words[i], quote);
    }
    int result = console_execute(console, line, "");
    free(line);
    return result != 0;
}

struct options {
    const char *dir;
    const char *lines[ONE_SHOTS_MAX];
    int line_count;
};

/* Returns -1 to go on, or the exit status. */
static int options_read(struct options *options, int argc, char **argv)
{
    int option;
    const char *dir = getenv("TAPSTACK_DIR");
    options->dir = dir && dir[0] ? dir : REMOTE_DIR_DEFAULT;
    while ((option = getopt(argc, argv, "+d:c:hV")) != -1) {
        switch (option) {
        case 'd':
            options->dir = optarg;
            break;
        case 'c':
            if (options->line_count < ONE_SHOTS_MAX)
                options->lines[options->line_count++] = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'V':
            puts("tapctl " TAPSTACK_VERSION);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    return -1;
}

static int console_run(struct console *console, const struct options *options, char **words,
                       int count)
{
    int failed = 0;
    for (int i = 0; i < options->line_count && !console->quit; i++)
        failed |= console_execute(console, options->lines[i], "") != 0;
    if (count > 0)
        return failed | words_run(console, words, count);
    if (options->line_count > 0)
        return failed;
    console->interactive = isatty(STDIN_FILENO);
    return console->interactive ? prompt_run(console) : lines_run(console, stdin);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct console console = {.out = stdout};
    int status = options_read(&options, argc, argv);
    if (status >= 0)
        return status;
    sigprocmask(SIG_SETMASK, NULL, &console.signals);
    remote_init(&console.remote, options.dir);
    status = console_run(&console, &options, argv + optind, argc - optind);
    remote_close(&console.remote);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("tapctl: standard output cannot be written\n", stderr);
        return 1;
    }
    return status;
}

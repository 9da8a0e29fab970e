/* tapstack-httpd: the web server on tapstack's own TCP.

   Reading order: main (S2) -> supervisor (S1, S8) -> listener (S3 to S7) -> handoff (S7) ->
   worker (S8) -> exchange (S9, S10, S35) -> request, body, target, files, response. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "site_config.h"
#include "supervisor.h"

static void print_usage(FILE *out)
{
    fputs("usage: tapstack-httpd [-t] [-c FILE] [-r DIR] [-l ADDRESS:PORT] [-w WORKERS]\n"
          "  -c FILE          read the configuration from FILE\n"
          "  -t               check the configuration and end\n"
          "  -r DIR           serve the files below DIR\n"
          "  -l ADDRESS:PORT  listen there (0.0.0.0:80)\n"
          "  -w WORKERS       start so many communication modules (2)\n"
          "  -h               show this\n"
          "  -V               show the version\n",
          out);
}

enum todo { TODO_SERVE, TODO_CHECK, TODO_HELP, TODO_VERSION, TODO_COMPLAIN };

static enum todo read_arguments(int argc, char **argv, struct site_source *source)
{
    enum todo todo = TODO_SERVE;
    int option;
    while ((option = getopt(argc, argv, "c:tr:l:w:hV")) != -1) {
        if (option == 'c')
            source->file = optarg;
        else if (option == 'r')
            source->root = optarg;
        else if (option == 'l')
            source->listen = optarg;
        else if (option == 'w')
            source->workers = optarg;
        else if (option == 't')
            todo = TODO_CHECK;
        else if (option == 'h')
            return TODO_HELP;
        else
            return option == 'V' ? TODO_VERSION : TODO_COMPLAIN;
    }
    if (optind == argc)
        return todo;
    fprintf(stderr, "tapstack-httpd: what is '%s'?\n", argv[optind]);
    return TODO_COMPLAIN;
}

/* Reads the configuration and initializes itself from it (S2). */
static int serve(const struct site_source *source, bool check_only)
{
    static struct site_config config;
    char error[SITE_ERROR_BYTES];
    if (site_config_load(source, &config, error) < 0) {
        fprintf(stderr, "tapstack-httpd: %s\n", error);
        return 1;
    }
    if (!check_only)
        return supervisor_run(source, &config);
    printf("%s: good\n", source->file ? source->file : "configuration");
    return 0;
}

int main(int argc, char **argv)
{
    struct site_source source = {0};
    enum todo todo = read_arguments(argc, argv, &source);
    switch (todo) {
    case TODO_HELP:
        print_usage(stdout);
        return 0;
    case TODO_VERSION:
        puts("tapstack-httpd " TAPSTACK_VERSION);
        return 0;
    case TODO_COMPLAIN:
        print_usage(stderr);
        return 2;
    default:
        return serve(&source, todo == TODO_CHECK);
    }
}

/* tapstack-httpd's configuration: defaults, then the file (libconfuse), then the command line. */
#ifndef TAPSTACK_HTTPD_SITE_CONFIG_H
#define TAPSTACK_HTTPD_SITE_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "body.h"
#include "request.h"

enum {
    SITE_WORKERS_MAX = 64,
    SITE_LINE_BYTES_MAX = 16384, /* an answer that repeats the target has to fit into an output */
    SITE_TEXT_BYTES = 1024,
    SITE_ERROR_BYTES = 512,
};

/* Keys with a number: name, default, least, greatest. */
#define SITE_NUMBERS(X)                                                                            \
    X(workers, 2, 1, SITE_WORKERS_MAX)                                                             \
    X(backlog, 4096, 1, 65535)                                                                     \
    X(exempt, 0, 0, 1)                                                                             \
    X(connections, 8192, 1, 1000000)                                                               \
    X(requests, 1000000, 1, 2000000000)                                                            \
    X(header_timeout, 10, 1, 86400)                                                                \
    X(body_timeout, 30, 1, 86400)                                                                  \
    X(idle_timeout, 15, 1, 86400)                                                                  \
    X(write_timeout, 60, 1, 86400)                                                                 \
    X(stop_timeout, 5, 1, 86400)                                                                   \
    X(line_bytes, 8192, 1024, SITE_LINE_BYTES_MAX)                                                 \
    X(header_bytes, 16384, 1024, 262144)                                                           \
    X(fields, 100, 8, 10000)                                                                       \
    X(body_bytes, 1048576, 0, 2000000000)

/* Keys with a text: name, default. */
#define SITE_TEXTS(X)                                                                              \
    X(stack, "")                                                                                   \
    X(listen, "0.0.0.0:80")                                                                        \
    X(root, "")                                                                                    \
    X(index, "index.html")                                                                         \
    X(access_log, "off")

/* The keys as tapstack-httpd.conf(5) tells them; timeouts in seconds. */
struct site_config {
#define X(name, initial, least, greatest) uint32_t name;
    SITE_NUMBERS(X)
#undef X
#define X(name, initial) char name[SITE_TEXT_BYTES];
    SITE_TEXTS(X)
#undef X
    /* made from the keys by site_config_finish */
    struct sockaddr_in listen_address;
    struct request_limits request_limits;
    struct body_limits body_limits;
};

/* Where a configuration comes from: the file, then what the command line puts over it. */
struct site_source {
    const char *file;    /* NULL: none */
    const char *root;    /* NULL: as in the file */
    const char *listen;  /* NULL: as in the file */
    const char *workers; /* NULL: as in the file */
};

/* Default, file, command line, and a check that root and access log can be opened. 0, or -1 with
   one line in error, and config unchanged. */
int site_config_load(const struct site_source *source, struct site_config *config,
                     char error[SITE_ERROR_BYTES]);

void site_config_default(struct site_config *config);

/* Reads a file over what is there. On error returns -1, config unchanged, and error holds one line:
   "file:line:column: what is wrong", with a suggestion for an unknown key. */
int site_config_read(struct site_config *config, const char *path, char error[SITE_ERROR_BYTES]);

/* The same from text in memory; name: as errors shall call it. */
int site_config_parse(struct site_config *config, const char *name, const char *text,
                      char error[SITE_ERROR_BYTES]);

/* "ADDRESS:PORT" or ":PORT". */
bool site_config_address(const char *text, struct sockaddr_in *address);

/* Derives the rest once all overrides are in. -1 and error when something needed is missing. */
int site_config_finish(struct site_config *config, char error[SITE_ERROR_BYTES]);

#endif

/* The access log in the combined format, buffered; each worker writes whole lines only, with
   O_APPEND, so that the workers' lines never mix. */
#ifndef TAPSTACK_HTTPD_ACCESSLOG_H
#define TAPSTACK_HTTPD_ACCESSLOG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACCESSLOG_BYTES = 64 * 1024, ACCESSLOG_DELAY_US = 1000 * 1000 };

struct accesslog {
    int fd; /* -1: off */
    const char *path;
    size_t used;
    uint64_t flush_at_us; /* UINT64_MAX: nothing waits */
    int64_t stamp_s;      /* second that `stamp` tells */
    char stamp[32];
    char bytes[ACCESSLOG_BYTES];
};

/* A text of the request, or NULL. */
struct accesslog_text {
    const char *bytes;
    size_t size;
};

struct accesslog_entry {
    struct sockaddr_in peer;
    struct accesslog_text line, referer, agent;
    unsigned status;
    uint64_t body_bytes; /* of the answer, as announced */
};

/* path: a file, "-" for standard output, "off"; it must outlive the log. 0, or -1 with errno. */
int accesslog_open(struct accesslog *log, const char *path);

void accesslog_add(struct accesslog *log, const struct accesslog_entry *entry, uint64_t now_us,
                   int64_t now_s);

/* Writes what waits. */
void accesslog_flush(struct accesslog *log);

/* Flushes, then opens the path anew (after logrotate). Keeps the old file when that fails. */
int accesslog_reopen(struct accesslog *log);

#endif

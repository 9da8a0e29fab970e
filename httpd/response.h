/* Answers: what a request gets, written into the connection's output (S35). */
#ifndef TAPSTACK_HTTPD_RESPONSE_H
#define TAPSTACK_HTTPD_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "files.h"
#include "output.h"
#include "request.h"

/* The part of every header that changes once a second. */
struct response_clock {
    int64_t now_s;
    uint64_t now_us;
    uint32_t common_bytes;
    char common[96]; /* "Server: ...\r\nDate: ...\r\n" */
};

/* Takes the time; rewrites the common fields when the second has changed. */
void response_clock_set(struct response_clock *clock, uint64_t now_us, int64_t now_s);

struct response {
    uint16_t status;
    bool keep_alive;
    uint64_t body_bytes; /* of the body that goes out; 0 with HEAD and 304 */
    struct file *file;   /* its bytes are to be sent from file->fd behind the output; else NULL */
};

/* Answers a whole request by its content. bytes: where its offsets count from. keep_alive: whether
   the connection may go on behind it. The output needs room for OUTPUT_ANSWER_BYTES. */
struct response response_make(struct output *output, struct files *files,
                              const struct response_clock *clock, const struct request *request,
                              const char *bytes, bool keep_alive);

/* An error page, with why (static text, or NULL) and the line of the request it is about (0: none);
   no body with head_only. */
struct response response_error(struct output *output, const struct response_clock *clock,
                               unsigned status, const char *why, unsigned line, bool head_only,
                               bool keep_alive);

/* The reason phrase of a status (RFC 9110 15). */
const char *response_phrase(unsigned status);

/* Whether If-None-Match's value names this entity tag (RFC 9110 13.1.2, weak comparison). */
bool response_etag_matches(const char *list, size_t size, const char *etag);

#endif

/* The body of a request, read to be passed over: so many bytes, or chunks (RFC 9112 6 and 7.1).

   Pure and resumable at every byte, like the parser of the head. */
#ifndef TAPSTACK_HTTPD_BODY_H
#define TAPSTACK_HTTPD_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "request.h"

enum body_state {
    BODY_DONE,
    BODY_PLAIN,          /* Content-Length: left bytes */
    BODY_SIZE_FIRST,     /* the first digit of a chunk's size */
    BODY_SIZE,           /* more digits, CR or ';' */
    BODY_EXTENSION_NAME, /* behind ';' */
    BODY_EXTENSION_VALUE,
    BODY_EXTENSION_QUOTED,
    BODY_EXTENSION_ESCAPED, /* behind '\' in a quoted value */
    BODY_EXTENSION_AFTER,   /* behind a quoted value */
    BODY_SIZE_END,          /* LF behind the size line's CR */
    BODY_DATA,              /* left bytes of a chunk */
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILER_FIRST, /* a trailer's name, or CR of the empty line */
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_END, /* LF behind a trailer's CR */
    BODY_END,         /* LF of the empty line */
};

struct body_limits {
    uint64_t body_bytes;     /* of content; above: 413 */
    uint32_t overhead_bytes; /* of size lines' extensions and trailers; above: 431 */
};

struct body {
    enum body_state state;
    uint64_t left;     /* of the chunk, or of the whole */
    uint64_t size;     /* of the content, as far as it is known */
    uint32_t overhead; /* bytes of extensions and trailers so far */
    uint32_t token;    /* bytes of the extension's name or value so far */
    uint16_t status;   /* of a refusal */
    const char *reason;
};

/* What the head announced. BODY_DONE at once where there is no body. Returns REQUEST_MORE,
   REQUEST_DONE or REQUEST_REFUSED (413: Content-Length above the limit). */
enum request_result body_begin(struct body *body, const struct body_limits *limits,
                               const struct request *request);

/* Passes over bytes[0..size). *used: bytes that belonged to the body. */
enum request_result body_skip(struct body *body, const struct body_limits *limits,
                              const char *bytes, size_t size, size_t *used);

#endif

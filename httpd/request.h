/* The head of an HTTP/1.x request: bytes in; a request, "more", or a refusal with its status out.

   Pure: no allocation, no copy, no clock. The parser works on the buffer of the connection and
   remembers offsets, not pointers, so the bytes may move between two calls as long as the request
   still starts at bytes[0]. Every byte is looked for its line's end once, whatever the splits. */
#ifndef TAPSTACK_HTTPD_REQUEST_H
#define TAPSTACK_HTTPD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of the buffer, as an offset from the start of the request. */
struct span {
    uint32_t at;
    uint32_t size;
};

/* The methods we know (RFC 9110 9, RFC 5789). Knowing one is not allowing it. */
#define REQUEST_METHODS(X)                                                                         \
    X(GET)                                                                                         \
    X(HEAD)                                                                                        \
    X(POST)                                                                                        \
    X(PUT)                                                                                         \
    X(DELETE)                                                                                      \
    X(CONNECT)                                                                                     \
    X(OPTIONS)                                                                                     \
    X(TRACE)                                                                                       \
    X(PATCH)

enum request_method {
#define X(name) METHOD_##name,
    REQUEST_METHODS(X)
#undef X
        METHOD_UNKNOWN,
};

/* The fields whose value somebody asks for later; the rest are checked and passed over. */
#define REQUEST_FIELDS(X)                                                                          \
    X(HOST, "host")                                                                                \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(EXPECT, "expect")                                                                            \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(IF_MODIFIED_SINCE, "if-modified-since")                                                      \
    X(REFERER, "referer")                                                                          \
    X(USER_AGENT, "user-agent")

enum request_field {
#define X(name, text) FIELD_##name,
    REQUEST_FIELDS(X)
#undef X
        FIELD_COUNT,
};

enum request_target {
    TARGET_ORIGIN,    /* "/path?query" */
    TARGET_ABSOLUTE,  /* "http://host/path?query" */
    TARGET_ASTERISK,  /* "*", with OPTIONS only */
    TARGET_AUTHORITY, /* "host:port", with CONNECT only */
};

struct request_limits {
    uint32_t line_bytes;   /* request line with its CR; above: 414 */
    uint32_t header_bytes; /* all field lines together; above: 431 */
    uint32_t fields;       /* number of field lines; above: 431 */
};

enum request_result { REQUEST_MORE, REQUEST_DONE, REQUEST_REFUSED };

struct request {
    /* where the parser is */
    uint32_t line_at;     /* start of the line under way */
    uint32_t scanned;     /* no line end before this offset */
    uint32_t line_number; /* of the line under way, 1: the request line */
    uint32_t fields_at;   /* where the field lines begin; 0 until the request line is whole */
    uint32_t field_count;

    /* the refusal */
    uint16_t status;    /* 0, or the status to answer; the connection is closed behind it */
    const char *reason; /* a sentence for the error page, without full stop */

    /* the request */
    enum request_method method;
    enum request_target target_form;
    uint8_t minor;        /* HTTP/1.minor; 2 and above are spoken to as 1 */
    bool keep_alive;      /* what the client wishes and the version grants */
    bool close_after;     /* framing was legal but suspicious: answer, then close */
    bool chunked;         /* the body is chunked */
    bool expect_continue; /* the client waits for 100 before it sends the body */
    uint64_t body_bytes;  /* Content-Length, or 0 */
    uint32_t head_bytes;  /* all that was consumed, up to and with the empty line */
    struct span line;     /* the request line */
    struct span target;   /* as it came */
    struct span path;     /* raw, not decoded; with TARGET_ABSOLUTE it may be empty: "/" is meant */
    struct span query;    /* behind '?', without it */
    struct span host; /* the target's host, or the Host field's value; may be empty in HTTP/1.0 */
    bool close_token;
    bool keep_alive_token;
    bool seen[FIELD_COUNT];
    struct span field[FIELD_COUNT]; /* the first line's value, white space trimmed */
};

void request_begin(struct request *request);

/* Goes on with bytes[0..size), which holds all of the request so far and may hold more.
   REQUEST_DONE: head_bytes are consumed. REQUEST_REFUSED: status, reason and line_number tell. */
enum request_result request_parse(struct request *request, const struct request_limits *limits,
                                  const char *bytes, size_t size);

/* Whether the comma-separated list holds the token, compared without regard to case. */
bool request_list_has(const char *list, size_t size, const char *token);

/* Whether a byte may stand in a token (RFC 9110 5.6.2), in a field value. */
bool request_is_token(unsigned char byte);
bool request_is_value(unsigned char byte);

#endif

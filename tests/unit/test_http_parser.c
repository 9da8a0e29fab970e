/* The parser of requests, in tables: every row is parsed whole, split in two at every byte, and
   byte by byte, and must come out the same (S35). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../httpd/body.h"
#include "../../httpd/http_date.h"
#include "../../httpd/request.h"
#include "../../httpd/response.h"

static const struct request_limits LIMITS = {8192, 16384, 100};
static const struct body_limits BODY_LIMITS = {1000, 200};

/* What became of the bytes: 0 complete, 1 more needed, else the status of the refusal. */
struct outcome {
    int status;
    size_t consumed;
    bool keep_alive;
    struct request request;
};

enum { COMPLETE = 0, MORE = 1 };

/* Parses bytes that arrive in pieces that end at cut, cut + step, ...; head and body. */
static struct outcome parse(const char *bytes, size_t size, size_t cut, size_t step)
{
    struct outcome outcome = {.status = MORE};
    struct body body;
    bool in_body = false;
    request_begin(&outcome.request);
    for (size_t have = cut < size ? cut : size;; have = have + step < size ? have + step : size) {
        /* A copy of exactly these bytes, so that a sanitizer sees a read beyond them. */
        char *copy = malloc(have + 1);
        enum request_result result = REQUEST_DONE;
        memcpy(copy, bytes, have);
        if (!in_body) {
            result = request_parse(&outcome.request, &LIMITS, copy, have);
            outcome.status = result == REQUEST_REFUSED ? outcome.request.status : MORE;
            outcome.consumed = result == REQUEST_DONE ? outcome.request.head_bytes : 0;
            in_body = result == REQUEST_DONE;
            if (in_body && body_begin(&body, &BODY_LIMITS, &outcome.request) == REQUEST_REFUSED) {
                outcome.status = body.status;
                result = REQUEST_REFUSED;
            }
        }
        if (in_body && result != REQUEST_REFUSED) {
            size_t used;
            result = body_skip(&body, &BODY_LIMITS, copy + outcome.consumed,
                               have - outcome.consumed, &used);
            outcome.consumed += used;
            outcome.status = result == REQUEST_DONE      ? COMPLETE
                             : result == REQUEST_REFUSED ? body.status
                                                         : MORE;
        }
        free(copy);
        if (result == REQUEST_REFUSED || (result == REQUEST_DONE && in_body) || have == size)
            break;
    }
    outcome.keep_alive = outcome.request.keep_alive;
    return outcome;
}

static void same(const char *name, const struct outcome *whole, const struct outcome *split)
{
    if (whole->status != split->status || whole->keep_alive != split->keep_alive ||
        (whole->status == COMPLETE && whole->consumed != split->consumed) ||
        whole->request.line_number != split->request.line_number)
        fail_msg("%s: whole %d (%zu bytes), split %d (%zu bytes)", name, whole->status,
                 whole->consumed, split->status, split->consumed);
}

/* The outcome, the same for every way to split. */
static struct outcome parse_all_ways(const char *name, const char *bytes, size_t size)
{
    struct outcome whole = parse(bytes, size, size, size), split = parse(bytes, size, 1, 1);
    same(name, &whole, &split);
    for (size_t cut = 1; cut < size; cut++) {
        split = parse(bytes, size, cut, size);
        same(name, &whole, &split);
    }
    return whole;
}

#define H       "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

struct row {
    const char *name;
    int status;
    const char *bytes;
    size_t size; /* 0: strlen(bytes) */
};

#define ROW(name, status, bytes)                                                                   \
    {                                                                                              \
        name, status, bytes, sizeof(bytes) - 1                                                     \
    }

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome = parse_all_ways(rows[i].name, rows[i].bytes, rows[i].size);
        if (outcome.status != rows[i].status)
            fail_msg("%s: %d instead of %d (%s)", rows[i].name, outcome.status, rows[i].status,
                     outcome.request.reason ? outcome.request.reason : "");
        if (outcome.status > MORE && outcome.request.status && outcome.keep_alive)
            fail_msg("%s: refused, but kept alive", rows[i].name);
    }
}

static void test_request_line(void **state)
{
    static const struct row rows[] = {
        ROW("plain", COMPLETE, "GET / HTTP/1.1\r\n" H "\r\n"),
        ROW("one leading CRLF", COMPLETE, "\r\nGET / HTTP/1.1\r\n" H "\r\n"),
        ROW("two leading CRLF", 400, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
        ROW("leading bare LF", 400, "\nGET / HTTP/1.1\r\n" H "\r\n"),
        ROW("absolute form", COMPLETE, "GET http://b:80/x?y HTTP/1.1\r\n" H "\r\n"),
        ROW("absolute form, no path", COMPLETE, "GET HTTP://b HTTP/1.1\r\n" H "\r\n"),
        ROW("absolute form, user", 400, "GET http://u@b/ HTTP/1.1\r\n" H "\r\n"),
        ROW("absolute form, no host", 400, "GET http:/// HTTP/1.1\r\n" H "\r\n"),
        ROW("absolute form, other scheme", 400, "GET ftp://b/ HTTP/1.1\r\n" H "\r\n"),
        ROW("relative target", 400, "GET x HTTP/1.1\r\n" H "\r\n"),
        ROW("GET *", 400, "GET * HTTP/1.1\r\n" H "\r\n"),
        ROW("OPTIONS *", COMPLETE, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
        ROW("CONNECT", COMPLETE, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n"),
        ROW("CONNECT with a path", 400, "CONNECT /a HTTP/1.1\r\n" H "\r\n"),
        ROW("unknown method", COMPLETE, "BREW / HTTP/1.1\r\n" H "\r\n"),
        ROW("lower-case method", COMPLETE, "get / HTTP/1.1\r\n" H "\r\n"),
        ROW("HTTP/1.0", COMPLETE, "GET / HTTP/1.0\r\n\r\n"),
        ROW("HTTP/1.2 is 1.x", COMPLETE, "GET / HTTP/1.2\r\n" H "\r\n"),
        ROW("HTTP/2.0", 505, "GET / HTTP/2.0\r\n" H "\r\n"),
        ROW("HTTP/3.1", 505, "GET / HTTP/3.1\r\n" H "\r\n"),
        ROW("HTTP/2 preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ROW("HTTP/01.01", 400, "GET / HTTP/01.01\r\n" H "\r\n"),
        ROW("HTTP/1", 400, "GET / HTTP/1\r\n" H "\r\n"),
        ROW("http/1.1", 400, "GET / http/1.1\r\n" H "\r\n"),
        ROW("HTTP/ 1.1", 400, "GET / HTTP/ 1.1\r\n" H "\r\n"),
        ROW("HTTP/1.1x", 400, "GET / HTTP/1.1x\r\n" H "\r\n"),
        ROW("HTTP/1.10", 400, "GET / HTTP/1.10\r\n" H "\r\n"),
        ROW("no version (HTTP/0.9)", 400, "GET /\r\n"),
        ROW("space behind the version", 400, "GET / HTTP/1.1 \r\n" H "\r\n"),
        ROW("two spaces", 400, "GET  / HTTP/1.1\r\n" H "\r\n"),
        ROW("leading space", 400, " GET / HTTP/1.1\r\n" H "\r\n"),
        ROW("tab instead of space", 400, "GET\t/\tHTTP/1.1\r\n" H "\r\n"),
        ROW("space in the target", 400, "GET /a b HTTP/1.1\r\n" H "\r\n"),
        ROW("method not a token", 400, "G(T / HTTP/1.1\r\n" H "\r\n"),
        ROW("non-ASCII method", 400, "G\xc3\x84T / HTTP/1.1\r\n" H "\r\n"),
        ROW("non-ASCII target", 400, "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"),
        ROW("NUL in the target", 400, "GET /\0 HTTP/1.1\r\n" H "\r\n"),
        ROW("DEL in the target", 400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"),
        ROW("fragment in the target", 400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
        ROW("bare LF", 400, "GET / HTTP/1.1\n" H "\r\n"),
        ROW("bare CR in the line", 400, "GET /\rx HTTP/1.1\r\n" H "\r\n"),
        ROW("CR CR LF", 400, "GET / HTTP/1.1\r\r\n" H "\r\n"),
        ROW("cut in the line", MORE, "GET / HT"),
        ROW("cut before the end", MORE, "GET / HTTP/1.1\r\n" H "\r"),
    };
    (void)state;
    check_rows(rows, sizeof(rows) / sizeof(*rows));
}

#define FIELD(name, status, field) ROW(name, status, "GET / HTTP/1.1\r\n" H field "\r\n\r\n")
#define HOST(name, status, host)   ROW(name, status, "GET / HTTP/1.1\r\nHost:" host "\r\n\r\n")

static void test_fields(void **state)
{
    static const struct row rows[] = {
        FIELD("empty value", COMPLETE, "X:"),
        FIELD("optional white space", COMPLETE, "X: \t b \t "),
        FIELD("obs-text in a value", COMPLETE, "X: \xe4"),
        FIELD("space before the colon", 400, "X : b"),
        FIELD("tab before the colon", 400, "X\t: b"),
        FIELD("obs-fold", 400, "X: a\r\n b"),
        FIELD("obs-fold with a tab", 400, "X: a\r\n\tb"),
        FIELD("empty name", 400, ": b"),
        FIELD("no colon", 400, "X"),
        FIELD("space in the name", 400, "X Y: b"),
        FIELD("at sign in the name", 400, "X@: b"),
        FIELD("non-ASCII name", 400, "\xc3\xa4: b"),
        FIELD("NUL in the name", 400, "X\0: b"),
        FIELD("NUL in the value", 400, "X: a\0b"),
        FIELD("ESC in the value", 400, "X: \x1b[2J"),
        FIELD("DEL in the value", 400, "X: \x7f"),
        FIELD("VT in the value", 400, "X: a\vb"),
        FIELD("bare CR in the value", 400, "X: a\rb"),
        FIELD("bare CR before the end", 400, "X: a\r"),
        FIELD("bare LF in the value", 400, "X: a\nY: b"),
        ROW("white space before the first field", 400, "GET / HTTP/1.1\r\n X: y\r\n" H "\r\n"),
        ROW("bare LF as the end", 400, "GET / HTTP/1.1\r\n" H "\n"),
        ROW("no Host", 400, "GET / HTTP/1.1\r\n\r\n"),
        ROW("no Host, absolute form", 400, "GET http://a/ HTTP/1.1\r\n\r\n"),
        ROW("no Host in HTTP/1.0", COMPLETE, "GET / HTTP/1.0\r\nX: y\r\n\r\n"),
        HOST("name and port", COMPLETE, " a.example:8080"),
        HOST("empty port", COMPLETE, "a:"),
        HOST("IPv4", COMPLETE, " 10.77.0.2"),
        HOST("IPv6", COMPLETE, " [::1]:80"),
        HOST("empty Host", 400, ""),
        HOST("port alone", 400, " :80"),
        HOST("port too large", 400, " a:65536"),
        HOST("port not a number", 400, " a:8o"),
        HOST("comma-joined Host", 400, " a, b"),
        HOST("comma-joined Host, no space", 400, " a,b"),
        HOST("userinfo", 400, " u@a"),
        HOST("path", 400, " a/b"),
        HOST("query", 400, " a?b"),
        HOST("space", 400, " a b"),
        HOST("IPv6 not closed", 400, " [::1"),
        HOST("IPv6 with letters", 400, " [::g]"),
        HOST("behind IPv6", 400, " [::1]x"),
        ROW("two Host fields", 400, "GET / HTTP/1.1\r\n" H H "\r\n"),
        ROW("two Host fields in HTTP/1.0", 400, "GET / HTTP/1.0\r\n" H H "\r\n"),
        FIELD("Expect", COMPLETE, "Expect: 100-Continue"),
        FIELD("unknown Expect", 417, "Expect: a-miracle"),
    };
    (void)state;
    check_rows(rows, sizeof(rows) / sizeof(*rows));
}

#define LENGTH(name, status, value)                                                                \
    ROW(name, status, "POST / HTTP/1.1\r\n" H "Content-Length:" value "\r\n\r\nabc")
#define CODING(name, status, value)                                                                \
    ROW(name, status, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:" value "\r\n\r\n0\r\n\r\n")

static void test_framing(void **state)
{
    static const struct row rows[] = {
        LENGTH("length", COMPLETE, " 3"),
        LENGTH("length with zeros", COMPLETE, " 003"),
        LENGTH("length of more", MORE, " 4"),
        LENGTH("length +", 400, " +3"),
        LENGTH("length -", 400, " -3"),
        LENGTH("length 0x", 400, " 0x3"),
        LENGTH("length _", 400, " 1_0"),
        LENGTH("length with an inner space", 400, " 1 0"),
        LENGTH("empty length", 400, ""),
        LENGTH("length list", 400, " 3, 3"),
        LENGTH("length overflow", 400, " 18446744073709551616"),
        LENGTH("length far overflow", 400, " 99999999999999999999999"),
        LENGTH("length above the limit", 413, " 1001"),
        LENGTH("same length twice", COMPLETE, " 3\r\nContent-Length: 3"),
        LENGTH("differing lengths", 400, " 3\r\nContent-Length: 4"),
        LENGTH("differing lengths, 0 first", 400, " 0\r\nContent-Length: 4"),
        CODING("chunked", COMPLETE, " chunked"),
        CODING("upper case", COMPLETE, " CHUNKED"),
        CODING("unknown coding", 501, " zebra"),
        CODING("unknown coding, then chunked", 501, " zebra, chunked"),
        CODING("x and chunked in one word", 501, " xchunked"),
        CODING("gzip, then chunked", 501, " gzip, chunked"),
        CODING("gzip alone", 400, " gzip"),
        CODING("identity", 400, " identity"),
        CODING("chunked not last", 400, " chunked, gzip"),
        CODING("chunked twice", 400, " chunked, chunked"),
        CODING("chunked twice, two fields", 400, " chunked\r\nTransfer-Encoding: chunked"),
        CODING("chunked, then another field", 400, " chunked\r\nTransfer-Encoding: identity"),
        CODING("empty coding", 400, ""),
        CODING("empty element", 400, " ,chunked"),
        CODING("VT before chunked", 400, " \vchunked"),
        CODING("FF behind chunked", 400, " chunked\f"),
        CODING("NUL behind chunked", 400, " chunked\0"),
        CODING("quoted chunked", 400, " \"chunked\""),
        CODING("beside a length", COMPLETE, " chunked\r\nContent-Length: 5"),
        CODING("beside a bad length", 400, " chunked\r\nContent-Length: +5"),
        ROW("coding in HTTP/1.0", 400,
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    };
    (void)state;
    check_rows(rows, sizeof(rows) / sizeof(*rows));
}

static void test_chunks(void **state)
{
    static const struct row rows[] = {
        ROW("two chunks", COMPLETE, CHUNKED "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
        ROW("upper and lower hex", COMPLETE,
            CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
        ROW("leading zeros", COMPLETE, CHUNKED "0003\r\nabc\r\n000\r\n\r\n"),
        ROW("extension", COMPLETE, CHUNKED "3;a\r\nabc\r\n0;b=c;d=\"e\\\"f\"\r\n\r\n"),
        ROW("trailers", COMPLETE, CHUNKED "0\r\nX: y\r\nContent-Length: 7\r\n\r\n"),
        ROW("cut", MORE, CHUNKED "3\r\nabc\r\n0\r\n"),
        ROW("0x", 400, CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"),
        ROW("sign", 400, CHUNKED "+3\r\nabc\r\n0\r\n\r\n"),
        ROW("minus", 400, CHUNKED "-3\r\nabc\r\n0\r\n\r\n"),
        ROW("underscore", 400, CHUNKED "1_0\r\nabc\r\n0\r\n\r\n"),
        ROW("leading space", 400, CHUNKED " 3\r\nabc\r\n0\r\n\r\n"),
        ROW("space behind the size", 400, CHUNKED "3 \r\nabc\r\n0\r\n\r\n"),
        ROW("no size", 400, CHUNKED "\r\nabc\r\n0\r\n\r\n"),
        ROW("no size but an extension", 400, CHUNKED ";a\r\nabc\r\n0\r\n\r\n"),
        ROW("overflow", 400, CHUNKED "10000000000000000\r\nabc\r\n0\r\n\r\n"),
        ROW("above the limit", 413, CHUNKED "3e9\r\n"),
        ROW("above the limit in sum", 413, CHUNKED "1\r\na\r\n3e8\r\n"),
        ROW("largest number", 413, CHUNKED "ffffffffffffffff\r\n"),
        ROW("bare LF behind the size", 400, CHUNKED "3\nabc\r\n0\r\n\r\n"),
        ROW("bare CR behind the size", 400, CHUNKED "3\rabc\r\n0\r\n\r\n"),
        ROW("no CRLF behind the data", 400, CHUNKED "3\r\nabc0\r\n\r\n"),
        ROW("data longer than its size", 400, CHUNKED "3\r\nabcd\r\n0\r\n\r\n"),
        ROW("bare LF behind the data", 400, CHUNKED "3\r\nabc\n0\r\n\r\n"),
        ROW("NUL in an extension", 400, CHUNKED "3;a\0\r\nabc\r\n0\r\n\r\n"),
        ROW("NUL in a quoted extension", 400, CHUNKED "3;a=\"\0\"\r\nabc\r\n0\r\n\r\n"),
        ROW("LF in an extension", 400, CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        ROW("CR in an extension", 400, CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        ROW("empty extension", 400, CHUNKED "3;\r\nabc\r\n0\r\n\r\n"),
        ROW("extension without value", 400, CHUNKED "3;a=\r\nabc\r\n0\r\n\r\n"),
        ROW("trailer without colon", 400, CHUNKED "0\r\nX\r\n\r\n"),
        ROW("trailer with an empty name", 400, CHUNKED "0\r\n: y\r\n\r\n"),
        ROW("folded trailer", 400, CHUNKED "0\r\nX: y\r\n z\r\n\r\n"),
        ROW("NUL in a trailer", 400, CHUNKED "0\r\nX: \0\r\n\r\n"),
        ROW("bare LF in the trailers", 400, CHUNKED "0\r\nX: y\n\r\n"),
    };
    (void)state;
    check_rows(rows, sizeof(rows) / sizeof(*rows));
}

/* A head with one long piece: prefix, then count times piece, then suffix. */
static struct outcome parse_long(const char *prefix, const char *piece, size_t count,
                                 const char *suffix, bool split)
{
    size_t piece_bytes = strlen(piece), size = strlen(prefix);
    char *bytes = malloc(size + count * piece_bytes + strlen(suffix) + 1);
    struct outcome outcome;
    memcpy(bytes, prefix, size);
    for (size_t i = 0; i < count; i++, size += piece_bytes)
        memcpy(bytes + size, piece, piece_bytes);
    memcpy(bytes + size, suffix, strlen(suffix) + 1);
    size += strlen(suffix);
    outcome = split ? parse(bytes, size, 1, 997) : parse(bytes, size, size, size);
    free(bytes);
    return outcome;
}

static void test_limits(void **state)
{
    static const struct {
        const char *name, *prefix, *piece;
        size_t count;
        const char *suffix;
        int status;
    } rows[] = {
        {"a request line of 8,000", "GET /", "a", 7986, " HTTP/1.1\r\n" H "\r\n", COMPLETE},
        {"a target of 100 KB", "GET /", "a", 100000, " HTTP/1.1\r\n" H "\r\n", 414},
        {"a line without end", "GET /", "a", 100000, "", 414},
        {"100 KB of header", "GET / HTTP/1.1\r\n" H "X: ", "a", 100000, "\r\n\r\n", 431},
        {"a header without end", "GET / HTTP/1.1\r\n" H, "X: aaaaaaaaaaaaaaaa\r\n", 5000, "", 431},
        {"10,000 fields", "GET / HTTP/1.1\r\n" H, "X:y\r\n", 9999, "\r\n", 431},
        {"100 fields", "GET / HTTP/1.1\r\n" H, "X:y\r\n", 99, "\r\n", COMPLETE},
        {"101 fields", "GET / HTTP/1.1\r\n" H, "X:y\r\n", 100, "\r\n", 431},
        {"endless extensions", CHUNKED "3", ";a=b", 1000, "\r\nabc\r\n0\r\n\r\n", 431},
        {"endless trailers", CHUNKED "0\r\n", "X: y\r\n", 1000, "\r\n", 431},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int split = 0; split < 2; split++) {
            struct outcome outcome =
                parse_long(rows[i].prefix, rows[i].piece, rows[i].count, rows[i].suffix, split);
            if (outcome.status != rows[i].status)
                fail_msg("%s: %d instead of %d", rows[i].name, outcome.status, rows[i].status);
        }
}

static void test_persistence(void **state)
{
    static const struct {
        const char *bytes;
        bool keep_alive;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: x, CLOSE\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct outcome outcome =
            parse_all_ways(rows[i].bytes, rows[i].bytes, strlen(rows[i].bytes));
        assert_int_equal(outcome.status, COMPLETE);
        if (outcome.keep_alive != rows[i].keep_alive)
            fail_msg("%s: kept alive %d", rows[i].bytes, outcome.keep_alive);
    }
}

static void assert_span(const char *bytes, struct span span, const char *wanted)
{
    assert_int_equal(span.size, strlen(wanted));
    assert_memory_equal(bytes + span.at, wanted, span.size);
}

static void test_pieces(void **state)
{
    static const char bytes[] = "\r\nHEAD http://b.example:81/p/q?r=s&t HTTP/1.1\r\nhOST: a\r\n"
                                "If-None-Match:\t\"x\", \"y\" \r\nUSER-agent: u\r\n\r\nGET";
    struct outcome outcome = parse_all_ways("pieces", bytes, sizeof(bytes) - 1);
    const struct request *request = &outcome.request;
    (void)state;
    assert_int_equal(outcome.status, COMPLETE);
    assert_int_equal(request->method, METHOD_HEAD);
    assert_int_equal(request->target_form, TARGET_ABSOLUTE);
    assert_int_equal(outcome.consumed, sizeof(bytes) - 1 - 3);
    assert_span(bytes, request->path, "/p/q");
    assert_span(bytes, request->query, "r=s&t");
    assert_span(bytes, request->host, "b.example:81");
    assert_span(bytes, request->field[FIELD_IF_NONE_MATCH], "\"x\", \"y\"");
    assert_span(bytes, request->field[FIELD_USER_AGENT], "u");
    assert_false(request->seen[FIELD_REFERER]);
}

/* The place of an error: the line that is wrong. */
static void test_place(void **state)
{
    static const struct {
        const char *bytes;
        unsigned line;
    } rows[] = {
        {"GET\r\n", 1},
        {"\r\nGET\r\n", 1},
        {"GET / HTTP/1.1\r\nHost : a\r\n", 2},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\nX\r\n", 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct outcome outcome = parse_all_ways("place", rows[i].bytes, strlen(rows[i].bytes));
        assert_int_equal(outcome.status, 400);
        assert_int_equal(outcome.request.line_number, rows[i].line);
    }
}

static void test_etag_list(void **state)
{
    static const struct {
        const char *list;
        bool matches;
    } rows[] = {
        {"\"e\"", true},
        {"*", true},
        {"W/\"e\"", true},
        {"\"a\", \"e\"", true},
        {"\"a\" ,W/\"e\"", true},
        {"\"a,\",\"e\"", true},
        {"\"f\"", false},
        {"e", false},
        {"\"e", false},
        {"", false},
        {"W/", false},
        {"\"\"", false},
        {"w/\"e\"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (response_etag_matches(rows[i].list, strlen(rows[i].list), "\"e\"") != rows[i].matches)
            fail_msg("If-None-Match: %s", rows[i].list);
}

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: not a date */
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
        {"Wednesday, 01-Jan-70 00:00:00 GMT", 3155760000},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nox 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 24:49:37 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 GM", -1},
        {",", -1},
        {"", -1},
        {"yesterday", -1},
    };
    static const int64_t now = 1795390000; /* in 2026 */
    char text[HTTP_DATE_BYTES + 1];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t seconds = -1;
        bool good = http_date_parse(rows[i].text, strlen(rows[i].text), now, &seconds);
        if (good != (rows[i].seconds >= 0) || (good && seconds != rows[i].seconds))
            fail_msg("%s: %lld", rows[i].text, (long long)seconds);
    }
    http_date_format(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    for (int64_t at = 0; at < 253402300800; at += 86400 * 97 + 3601) {
        int64_t back = -1;
        http_date_format(at, text);
        assert_true(http_date_parse(text, HTTP_DATE_BYTES, now, &back));
        assert_true(back == at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_line), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_framing),      cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_persistence),
        cmocka_unit_test(test_pieces),       cmocka_unit_test(test_place),
        cmocka_unit_test(test_etag_list),    cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests_name("http_parser", tests, NULL, NULL);
}

/* The strict parser of an HTTP/1.x request's head (RFC 9112).

   Theory of operation. The head is a sequence of lines that end with CRLF. The parser waits for a
   whole line, judges it, takes what it needs, and goes on; where the bytes end within a line it
   remembers how far it has looked. So the result cannot depend on how the bytes were split.

   What is refused is what two readers could read differently, for that is how requests are smuggled
   past a proxy: bare CR or LF, white space before a colon, folded lines, doubtful lengths. Such a
   connection has lost its framing and is closed behind the answer. */
#include "request.h"

#include <string.h>
#include <strings.h>

enum { CLASS_TOKEN = 1, CLASS_VALUE = 2, CLASS_TARGET = 4, CLASS_HOST = 8 };

#define T  (CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET)
#define TH (CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST)
#define VT (CLASS_VALUE | CLASS_TARGET)
#define VH (CLASS_VALUE | CLASS_TARGET | CLASS_HOST)
#define V  CLASS_VALUE

/* What each byte may be part of. The target takes what RFC 3986 allows and the few signs that
   browsers send unescaped ([ ] { } | ^ `); a comma is no part of a host, since two joined Host
   fields would hide behind it. */
static const uint8_t CLASS[256] = {
    ['\t'] = V,         [' '] = V,  ['!'] = TH,          ['"'] = V,   ['#'] = CLASS_TOKEN | V,
    ['$'] = TH,         ['%'] = TH, ['&'] = TH,          ['\''] = TH, ['('] = VH,
    [')'] = VH,         ['*'] = TH, ['+'] = TH,          [','] = VT,  ['-'] = TH,
    ['.'] = TH,         ['/'] = VT, ['0' ... '9'] = TH,  [':'] = VT,  [';'] = VH,
    ['<'] = V,          ['='] = VH, ['>'] = V,           ['?'] = VT,  ['@'] = VT,
    ['A' ... 'Z'] = TH, ['['] = VT, ['\\'] = V,          [']'] = VT,  ['^'] = T,
    ['_'] = TH,         ['`'] = T,  ['a' ... 'z'] = TH,  ['{'] = VT,  ['|'] = T,
    ['}'] = VT,         ['~'] = TH, [0x80 ... 0xff] = V,
};

#undef T
#undef TH
#undef VT
#undef VH
#undef V

static const char *const METHOD_NAME[] = {
#define X(name) #name,
    REQUEST_METHODS(X)
#undef X
        "-",
};

static const struct {
    const char *name;
    uint32_t size;
} FIELD_NAME[FIELD_COUNT] = {
#define X(name, text) {text, sizeof(text) - 1},
    REQUEST_FIELDS(X)
#undef X
};

bool request_is_token(unsigned char byte) { return CLASS[byte] & CLASS_TOKEN; }
bool request_is_value(unsigned char byte) { return CLASS[byte] & CLASS_VALUE; }

static bool all_of(uint8_t mask, const char *bytes, size_t size)
{
    uint8_t all = 0xff;
    for (size_t i = 0; i < size; i++)
        all &= CLASS[(unsigned char)bytes[i]];
    return all & mask;
}

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

/* ---- refusals ---- */

static enum request_result refuse(struct request *request, uint16_t status, const char *reason)
{
    request->status = status;
    request->reason = reason;
    request->keep_alive = false;
    return REQUEST_REFUSED;
}

/* ---- host (RFC 9112 3.2, RFC 3986 3.2.2) ---- */

static bool port_is_valid(const char *text, size_t size)
{
    uint32_t port = 0;
    if (size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!is_digit(text[i]))
            return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    return port <= 65535;
}

static bool literal_is_valid(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr("0123456789abcdefABCDEF:.", text[i]) || !text[i])
            return false;
    return size >= 2;
}

/* host [":" port]; no user, no path, no list, not empty. */
static bool host_is_valid(const char *text, size_t size)
{
    const char *end = text + size, *colon;
    if (size > 0 && *text == '[') {
        const char *close = memchr(text, ']', size);
        if (!close || !literal_is_valid(text + 1, (size_t)(close - text - 1)))
            return false;
        colon = close + 1;
    } else {
        colon = memchr(text, ':', size);
        colon = colon ? colon : end;
        if (colon == text || !all_of(CLASS_HOST, text, (size_t)(colon - text)))
            return false;
    }
    return colon == end || (*colon == ':' && port_is_valid(colon + 1, (size_t)(end - colon - 1)));
}

/* ---- the request line (RFC 9112 3) ---- */

static enum request_method method_of(const char *text, size_t size)
{
    for (int i = 0; i < METHOD_UNKNOWN; i++)
        if (strlen(METHOD_NAME[i]) == size && memcmp(METHOD_NAME[i], text, size) == 0)
            return (enum request_method)i;
    return METHOD_UNKNOWN;
}

static void split_query(struct request *request, const char *bytes, uint32_t at, uint32_t end)
{
    const char *mark = memchr(bytes + at, '?', end - at);
    uint32_t path_end = mark ? (uint32_t)(mark - bytes) : end;
    request->path = (struct span){at, path_end - at};
    request->query = mark ? (struct span){path_end + 1, end - path_end - 1} : (struct span){end, 0};
}

static enum request_result parse_absolute(struct request *request, const char *bytes)
{
    static const char scheme[] = "http://";
    uint32_t at = request->target.at, end = at + request->target.size, host_end;
    if (request->target.size < sizeof(scheme) - 1 ||
        strncasecmp(bytes + at, scheme, sizeof(scheme) - 1) != 0)
        return refuse(request, 400, "the target is neither a path nor an http URI");
    at += sizeof(scheme) - 1;
    for (host_end = at; host_end < end && bytes[host_end] != '/' && bytes[host_end] != '?';)
        host_end++;
    if (!host_is_valid(bytes + at, host_end - at))
        return refuse(request, 400, "the target's host is not valid");
    request->target_form = TARGET_ABSOLUTE;
    request->host = (struct span){at, host_end - at};
    split_query(request, bytes, host_end, end);
    return REQUEST_MORE;
}

static enum request_result parse_target(struct request *request, const char *bytes)
{
    const char *target = bytes + request->target.at;
    uint32_t size = request->target.size;
    if (size == 0 || !all_of(CLASS_TARGET, target, size))
        return refuse(request, 400,
                      "the target is empty or holds a character that must be escaped");
    if (request->method == METHOD_CONNECT) {
        request->target_form = TARGET_AUTHORITY;
        return host_is_valid(target, size)
                   ? REQUEST_MORE
                   : refuse(request, 400, "the target of CONNECT is not host:port");
    }
    if (size == 1 && *target == '*') {
        request->target_form = TARGET_ASTERISK;
        return request->method == METHOD_OPTIONS
                   ? REQUEST_MORE
                   : refuse(request, 400, "the target * belongs to OPTIONS alone");
    }
    if (*target != '/')
        return parse_absolute(request, bytes);
    request->target_form = TARGET_ORIGIN;
    split_query(request, bytes, request->target.at, request->target.at + size);
    return REQUEST_MORE;
}

static enum request_result parse_version(struct request *request, const char *text, size_t size)
{
    if (size != 8 || memcmp(text, "HTTP/", 5) != 0 || !is_digit(text[5]) || text[6] != '.' ||
        !is_digit(text[7]))
        return refuse(request, 400, "the request line does not end in HTTP/1.1 or HTTP/1.0");
    if (text[5] != '1')
        return refuse(request, 505, "only HTTP/1.x is spoken here");
    request->minor = (uint8_t)(text[7] - '0');
    return REQUEST_MORE;
}

static enum request_result parse_request_line(struct request *request, const char *bytes,
                                              uint32_t size)
{
    const char *line = bytes + request->line_at, *end = line + size;
    const char *method_end = memchr(line, ' ', size), *target_end;
    request->line = (struct span){request->line_at, size};
    if (!method_end || method_end == line ||
        !all_of(CLASS_TOKEN, line, (size_t)(method_end - line)))
        return refuse(request, 400, "the request line does not begin with a method and a space");
    request->method = method_of(line, (size_t)(method_end - line));
    target_end = memchr(method_end + 1, ' ', (size_t)(end - method_end - 1));
    if (!target_end)
        return refuse(request, 400, "the request line has no version");
    if (parse_version(request, target_end + 1, (size_t)(end - target_end - 1)) == REQUEST_REFUSED)
        return REQUEST_REFUSED;
    request->target =
        (struct span){(uint32_t)(method_end + 1 - bytes), (uint32_t)(target_end - method_end - 1)};
    return parse_target(request, bytes);
}

/* ---- fields (RFC 9112 5) ---- */

static enum request_field field_of(const char *name, size_t size)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (FIELD_NAME[i].size == size && strncasecmp(FIELD_NAME[i].name, name, size) == 0)
            return (enum request_field)i;
    return FIELD_COUNT;
}

static bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

/* The next element of a comma-separated list (RFC 9110 5.6.1), trimmed; false at its end. */
static bool list_next(const char **cursor, const char *end, const char **item, size_t *size)
{
    const char *at = *cursor, *stop;
    if (at > end)
        return false;
    stop = memchr(at, ',', (size_t)(end - at));
    stop = stop ? stop : end;
    *cursor = stop + 1;
    while (at < stop && is_blank(*at))
        at++;
    while (stop > at && is_blank(stop[-1]))
        stop--;
    *item = at;
    *size = (size_t)(stop - at);
    return true;
}

static bool same_token(const char *item, size_t size, const char *token)
{
    return strlen(token) == size && strncasecmp(item, token, size) == 0;
}

bool request_list_has(const char *list, size_t size, const char *token)
{
    const char *cursor = list, *item;
    size_t item_size;
    while (list_next(&cursor, list + size, &item, &item_size))
        if (same_token(item, item_size, token))
            return true;
    return false;
}

static enum request_result take_host(struct request *request, const char *value, size_t size,
                                     struct span span)
{
    if (request->seen[FIELD_HOST])
        return refuse(request, 400, "more than one Host field");
    if (!host_is_valid(value, size))
        return refuse(request, 400, "the Host field is not host or host:port");
    if (request->target_form != TARGET_ABSOLUTE)
        request->host = span;
    return REQUEST_MORE;
}

static enum request_result take_length(struct request *request, const char *value, size_t size)
{
    uint64_t length = 0;
    if (size == 0)
        return refuse(request, 400, "Content-Length is empty");
    for (size_t i = 0; i < size; i++) {
        if (!is_digit(value[i]))
            return refuse(request, 400, "Content-Length is not digits only");
        if (length > (UINT64_MAX - 9) / 10)
            return refuse(request, 400, "Content-Length is too large to be a number");
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    if (request->seen[FIELD_CONTENT_LENGTH] && length != request->body_bytes)
        return refuse(request, 400, "Content-Length fields that differ");
    request->body_bytes = length;
    return REQUEST_MORE;
}

static bool coding_is_known(const char *item, size_t size)
{
    static const char *const known[] = {"gzip",     "x-gzip",     "deflate",
                                        "compress", "x-compress", "identity"};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (same_token(item, size, known[i]))
            return true;
    return false;
}

/* RFC 9112 6.1 and 6.3: chunked must be there, once, and last. Chunked alone is what we decode. */
static enum request_result take_coding(struct request *request, const char *value, size_t size)
{
    const char *cursor = value, *item;
    size_t item_size;
    bool others = false, unknown = false, chunked = request->chunked;
    if (request->minor == 0)
        return refuse(request, 400, "Transfer-Encoding in an HTTP/1.0 request");
    while (list_next(&cursor, value + size, &item, &item_size)) {
        if (chunked || item_size == 0 || !all_of(CLASS_TOKEN, item, item_size))
            return refuse(request, 400, "Transfer-Encoding is empty or chunked is not its last");
        if (same_token(item, item_size, "chunked"))
            chunked = true;
        else if (coding_is_known(item, item_size))
            others = true;
        else
            unknown = true;
    }
    if (unknown)
        return refuse(request, 501, "Transfer-Encoding names an unknown coding");
    if (!chunked)
        return refuse(request, 400, "Transfer-Encoding does not end in chunked");
    if (others)
        return refuse(request, 501, "Transfer-Encoding other than chunked is not served");
    request->chunked = true;
    return REQUEST_MORE;
}

static enum request_result take_expect(struct request *request, const char *value, size_t size)
{
    if (!same_token(value, size, "100-continue"))
        return refuse(request, 417, "Expect knows nothing but 100-continue");
    request->expect_continue = request->minor >= 1; /* RFC 9110 10.1.1: ignored in HTTP/1.0 */
    return REQUEST_MORE;
}

static enum request_result take_field(struct request *request, const char *bytes,
                                      enum request_field field, struct span span)
{
    const char *value = bytes + span.at;
    enum request_result result = REQUEST_MORE;
    if (field == FIELD_HOST) {
        result = take_host(request, value, span.size, span);
    } else if (field == FIELD_CONTENT_LENGTH) {
        result = take_length(request, value, span.size);
    } else if (field == FIELD_TRANSFER_ENCODING) {
        result = take_coding(request, value, span.size);
    } else if (field == FIELD_EXPECT) {
        result = take_expect(request, value, span.size);
    } else if (field == FIELD_CONNECTION) {
        request->close_token |= request_list_has(value, span.size, "close");
        request->keep_alive_token |= request_list_has(value, span.size, "keep-alive");
    }
    if (!request->seen[field])
        request->field[field] = span;
    request->seen[field] = true;
    return result;
}

static enum request_result parse_field_line(struct request *request,
                                            const struct request_limits *limits, const char *bytes,
                                            uint32_t size)
{
    const char *line = bytes + request->line_at, *end = line + size, *colon, *value;
    enum request_field field;
    if (++request->field_count > limits->fields)
        return refuse(request, 431, "too many header fields");
    if (is_blank(*line))
        return refuse(request, 400, "a header line begins with white space");
    colon = memchr(line, ':', size);
    if (!colon)
        return refuse(request, 400, "a header line has no colon");
    if (colon == line || !all_of(CLASS_TOKEN, line, (size_t)(colon - line)))
        return refuse(request, 400, "a header field's name is empty or not a token");
    for (value = colon + 1; value < end && is_blank(*value);)
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    if (!all_of(CLASS_VALUE, value, (size_t)(end - value)))
        return refuse(request, 400, "a header field holds a control character");
    field = field_of(line, (size_t)(colon - line));
    if (field == FIELD_COUNT)
        return REQUEST_MORE;
    return take_field(request, bytes, field,
                      (struct span){(uint32_t)(value - bytes), (uint32_t)(end - value)});
}

/* ---- the whole ---- */

static enum request_result finish(struct request *request)
{
    request->head_bytes = request->line_at + 2;
    if (request->minor >= 1 && !request->seen[FIELD_HOST])
        return refuse(request, 400, "no Host field");
    if (request->chunked && request->seen[FIELD_CONTENT_LENGTH]) {
        request->body_bytes = 0; /* RFC 9112 6.3: Transfer-Encoding overrides, then close */
        request->close_after = true;
    }
    request->keep_alive = !request->close_token && !request->close_after &&
                          (request->minor >= 1 || request->keep_alive_token);
    return REQUEST_DONE;
}

static enum request_result check_sizes(struct request *request, const struct request_limits *limits,
                                       uint32_t line_end)
{
    if (!request->fields_at && line_end - request->line_at > limits->line_bytes)
        return refuse(request, 414, "the request line is too long");
    if (request->fields_at && line_end - request->fields_at > limits->header_bytes)
        return refuse(request, 431, "the header fields are too large");
    return REQUEST_MORE;
}

/* One whole line, CRLF excluded. */
static enum request_result parse_line(struct request *request, const struct request_limits *limits,
                                      const char *bytes, uint32_t size)
{
    enum request_result result;
    if (request->fields_at)
        return size == 0 ? finish(request) : parse_field_line(request, limits, bytes, size);
    if (size == 0 && request->line_at == 0)
        return REQUEST_MORE; /* RFC 9112 2.2: one empty line before the request is forgiven */
    result = parse_request_line(request, bytes, size);
    request->fields_at = request->line_at + size + 2;
    return result;
}

void request_begin(struct request *request)
{
    memset(request, 0, sizeof(*request));
    request->line_number = 1;
}

enum request_result request_parse(struct request *request, const struct request_limits *limits,
                                  const char *bytes, size_t size)
{
    if (request->status)
        return REQUEST_REFUSED;
    for (;;) {
        const char *feed = memchr(bytes + request->scanned, '\n', size - request->scanned);
        uint32_t feed_at = feed ? (uint32_t)(feed - bytes) : (uint32_t)size;
        enum request_result result;
        request->scanned = feed_at;
        if (check_sizes(request, limits, feed_at) == REQUEST_REFUSED)
            return REQUEST_REFUSED;
        if (!feed)
            return REQUEST_MORE;
        if (feed_at == request->line_at || bytes[feed_at - 1] != '\r')
            return refuse(request, 400, "a line does not end with CR LF");
        result = parse_line(request, limits, bytes, feed_at - 1 - request->line_at);
        if (result != REQUEST_MORE)
            return result;
        request->line_number += request->fields_at != 0; /* the forgiven empty line has none */
        request->line_at = request->scanned = feed_at + 1;
    }
}

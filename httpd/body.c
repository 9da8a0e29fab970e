/* Passing over a request's body, strictly: a chunk that two readers could measure differently is
   refused (RFC 9112 7.1). Trailers are checked and dropped, as RFC 9110 6.5.1 allows. */
#include "body.h"

#include <stdbool.h>
#include <string.h>

static enum request_result refuse(struct body *body, uint16_t status, const char *reason)
{
    body->status = status;
    body->reason = reason;
    return REQUEST_REFUSED;
}

static enum request_result bad_chunk(struct body *body)
{
    return refuse(body, 400, "the chunked body is malformed");
}

static enum request_result go(struct body *body, enum body_state state)
{
    body->state = state;
    body->token = 0;
    return REQUEST_MORE;
}

static int digit_of(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

static enum request_result size_digit(struct body *body, int digit)
{
    if (body->left >> 60)
        return refuse(body, 400, "a chunk's size is too large to be a number");
    body->left = body->left << 4 | (uint64_t)digit;
    body->state = BODY_SIZE;
    return REQUEST_MORE;
}

static enum request_result step_size(struct body *body, char byte)
{
    int digit = digit_of(byte);
    if (digit >= 0)
        return size_digit(body, digit);
    if (body->state == BODY_SIZE_FIRST)
        return bad_chunk(body);
    if (byte == ';')
        return go(body, BODY_EXTENSION_NAME);
    return byte == '\r' ? go(body, BODY_SIZE_END) : bad_chunk(body);
}

/* Name and value of an extension are tokens, not empty; a value may be quoted instead. No white
   space: RFC 9112 7.1.1 calls it bad, and two readers may differ about it. */
static enum request_result step_extension(struct body *body, char byte)
{
    if (body->state == BODY_EXTENSION_VALUE && body->token == 0 && byte == '"')
        return go(body, BODY_EXTENSION_QUOTED);
    if (request_is_token((unsigned char)byte)) {
        body->token++;
        return REQUEST_MORE;
    }
    if (body->token == 0)
        return bad_chunk(body);
    if (byte == '=' && body->state == BODY_EXTENSION_NAME)
        return go(body, BODY_EXTENSION_VALUE);
    if (byte == ';')
        return go(body, BODY_EXTENSION_NAME);
    return byte == '\r' ? go(body, BODY_SIZE_END) : bad_chunk(body);
}

static enum request_result step_quoted(struct body *body, char byte)
{
    if (body->state == BODY_EXTENSION_AFTER) {
        if (byte == ';')
            return go(body, BODY_EXTENSION_NAME);
        return byte == '\r' ? go(body, BODY_SIZE_END) : bad_chunk(body);
    }
    if (!request_is_value((unsigned char)byte))
        return bad_chunk(body);
    if (body->state == BODY_EXTENSION_ESCAPED)
        return go(body, BODY_EXTENSION_QUOTED);
    if (byte == '\\')
        return go(body, BODY_EXTENSION_ESCAPED);
    return byte == '"' ? go(body, BODY_EXTENSION_AFTER) : REQUEST_MORE;
}

static enum request_result step_size_end(struct body *body, const struct body_limits *limits,
                                         char byte)
{
    if (byte != '\n')
        return bad_chunk(body);
    if (body->left > limits->body_bytes || body->size + body->left > limits->body_bytes)
        return refuse(body, 413, "the body is larger than this server takes");
    body->size += body->left;
    return go(body, body->left ? BODY_DATA : BODY_TRAILER_FIRST);
}

static enum request_result step_trailer(struct body *body, char byte)
{
    if (body->state == BODY_TRAILER_VALUE) {
        if (byte == '\r')
            return go(body, BODY_TRAILER_END);
        return request_is_value((unsigned char)byte) ? REQUEST_MORE : bad_chunk(body);
    }
    if (body->state == BODY_TRAILER_FIRST && byte == '\r')
        return go(body, BODY_END);
    if (body->state == BODY_TRAILER_NAME && byte == ':')
        return go(body, BODY_TRAILER_VALUE);
    return request_is_token((unsigned char)byte) ? go(body, BODY_TRAILER_NAME) : bad_chunk(body);
}

/* Exactly this byte, then that state. */
static enum request_result step_exact(struct body *body, char byte, char wanted,
                                      enum body_state next)
{
    return byte == wanted ? go(body, next) : bad_chunk(body);
}

static enum request_result step(struct body *body, const struct body_limits *limits, char byte)
{
    if (body->state >= BODY_EXTENSION_NAME && body->state != BODY_DATA_CR &&
        body->state != BODY_DATA_LF && ++body->overhead > limits->overhead_bytes)
        return refuse(body, 431, "chunk extensions and trailers are too large");
    switch (body->state) {
    case BODY_SIZE_FIRST:
    case BODY_SIZE:
        return step_size(body, byte);
    case BODY_EXTENSION_NAME:
    case BODY_EXTENSION_VALUE:
        return step_extension(body, byte);
    case BODY_EXTENSION_QUOTED:
    case BODY_EXTENSION_ESCAPED:
    case BODY_EXTENSION_AFTER:
        return step_quoted(body, byte);
    case BODY_SIZE_END:
        return step_size_end(body, limits, byte);
    case BODY_DATA_CR:
        return step_exact(body, byte, '\r', BODY_DATA_LF);
    case BODY_DATA_LF:
        return step_exact(body, byte, '\n', BODY_SIZE_FIRST);
    case BODY_TRAILER_FIRST:
    case BODY_TRAILER_NAME:
    case BODY_TRAILER_VALUE:
        return step_trailer(body, byte);
    case BODY_TRAILER_END:
        return step_exact(body, byte, '\n', BODY_TRAILER_FIRST);
    case BODY_END:
        return step_exact(body, byte, '\n', BODY_DONE);
    case BODY_PLAIN:
    case BODY_DATA:
    case BODY_DONE:
        break;
    }
    return REQUEST_MORE;
}

/* Content is passed over in one go. */
static size_t skip_content(struct body *body, size_t size)
{
    size_t taken = size < body->left ? size : (size_t)body->left;
    body->left -= taken;
    if (body->left == 0)
        body->state = body->state == BODY_PLAIN ? BODY_DONE : BODY_DATA_CR;
    return taken;
}

enum request_result body_begin(struct body *body, const struct body_limits *limits,
                               const struct request *request)
{
    memset(body, 0, sizeof(*body));
    if (request->chunked) {
        body->state = BODY_SIZE_FIRST;
        return REQUEST_MORE;
    }
    if (request->body_bytes == 0)
        return REQUEST_DONE;
    if (request->body_bytes > limits->body_bytes)
        return refuse(body, 413, "the body is larger than this server takes");
    body->state = BODY_PLAIN;
    body->left = body->size = request->body_bytes;
    return REQUEST_MORE;
}

enum request_result body_skip(struct body *body, const struct body_limits *limits,
                              const char *bytes, size_t size, size_t *used)
{
    enum request_result result = body->status ? REQUEST_REFUSED : REQUEST_MORE;
    size_t at = 0;
    while (result == REQUEST_MORE && body->state != BODY_DONE && at < size) {
        if (body->state == BODY_PLAIN || body->state == BODY_DATA)
            at += skip_content(body, size - at);
        else
            result = step(body, limits, bytes[at++]);
    }
    *used = at;
    return result == REQUEST_MORE && body->state == BODY_DONE ? REQUEST_DONE : result;
}

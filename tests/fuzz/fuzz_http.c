/* Fuzzes tapstack-httpd's pure parts: head, body, path, date, entity tags.

   Beside what the sanitizers find: the same bytes must come out the same however they are split,
   what was consumed must be there, every piece must lie within the head, and a decoded name must be
   one that stays below the root. The first byte of the input says where to split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../httpd/body.h"
#include "../../httpd/http_date.h"
#include "../../httpd/request.h"
#include "../../httpd/response.h"
#include "../../httpd/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct request_limits LIMITS = {300, 600, 8};
static const struct body_limits BODY_LIMITS = {1000, 64};

struct outcome {
    enum request_result head, body;
    unsigned status;
    size_t consumed;
    struct request request;
};

/* assert may be compiled out; a fuzzer's must not. */
static void require(int condition)
{
    if (!condition)
        abort();
}

/* One more piece has arrived; bytes[0..size) is all so far. False: nothing more can change. */
static int advance(struct outcome *outcome, struct body *body, const char *bytes, size_t size)
{
    size_t used = 0;
    if (outcome->head == REQUEST_MORE) {
        outcome->head = request_parse(&outcome->request, &LIMITS, bytes, size);
        outcome->status = outcome->request.status;
        if (outcome->head != REQUEST_DONE)
            return outcome->head == REQUEST_MORE;
        outcome->consumed = outcome->request.head_bytes;
        require(outcome->consumed <= size);
        outcome->body = body_begin(body, &BODY_LIMITS, &outcome->request);
    }
    if (outcome->body == REQUEST_MORE) {
        outcome->body = body_skip(body, &BODY_LIMITS, bytes + outcome->consumed,
                                  size - outcome->consumed, &used);
        outcome->consumed += used;
        require(outcome->consumed <= size);
    }
    outcome->status = body->status;
    return outcome->body == REQUEST_MORE;
}

static struct outcome parse(const char *bytes, size_t size, size_t step)
{
    struct outcome outcome = {.head = REQUEST_MORE, .body = REQUEST_MORE};
    struct body body = {0};
    request_begin(&outcome.request);
    for (size_t have = step < size ? step : size;; have = size - have > step ? have + step : size) {
        char *copy = malloc(have + 1); /* exactly these bytes, for the sanitizer to watch */
        memcpy(copy, bytes, have);
        int more = advance(&outcome, &body, copy, have);
        free(copy);
        if (!more || have == size)
            return outcome;
    }
}

static void check_piece(const struct outcome *outcome, struct span span)
{
    require((size_t)span.at + span.size <= outcome->request.head_bytes);
}

static void check_name(const char *name)
{
    require(strlen(name) < TARGET_NAME_BYTES && *name != '/' && *name != '.');
    require(!strstr(name, "/.") && !strstr(name, "//"));
}

/* A whole request: what an answer would look at. */
static void check_request(const struct outcome *outcome, const char *bytes)
{
    const struct request *request = &outcome->request;
    char name[TARGET_NAME_BYTES];
    int64_t seconds;
    check_piece(outcome, request->line);
    check_piece(outcome, request->target);
    check_piece(outcome, request->path);
    check_piece(outcome, request->query);
    check_piece(outcome, request->host);
    for (int i = 0; i < FIELD_COUNT; i++)
        check_piece(outcome, request->field[i]);
    require(request->minor == 0 || request->host.size > 0 || request->target_form != TARGET_ORIGIN);
    if (target_decode(bytes + request->path.at, request->path.size, name) == 0)
        check_name(name);
    for (int i = 0; i < FIELD_COUNT; i++) {
        const struct span *span = &request->field[i];
        response_etag_matches(bytes + span->at, span->size, "\"x\"");
        http_date_parse(bytes + span->at, span->size, 1795390000, &seconds);
    }
}

static void fuzz_text(const char *text, size_t size)
{
    char name[TARGET_NAME_BYTES], date[HTTP_DATE_BYTES + 1];
    int64_t seconds;
    if (target_decode(text, size, name) == 0)
        check_name(name);
    response_etag_matches(text, size, "\"x\"");
    if (http_date_parse(text, size, 1795390000, &seconds))
        http_date_format(seconds, date);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, split;
    char *bytes;
    size_t step;
    if (size < 2)
        return 0;
    step = 1 + data[0];
    size--;
    bytes = malloc(size);
    memcpy(bytes, data + 1, size);
    whole = parse(bytes, size, size);
    split = parse(bytes, size, step);
    require(whole.head == split.head && whole.body == split.body);
    require(whole.status == split.status);
    if (whole.head == REQUEST_DONE && whole.body == REQUEST_DONE) {
        require(whole.consumed == split.consumed);
        check_request(&whole, bytes);
    }
    fuzz_text(bytes, size);
    free(bytes);
    return 0;
}

/* Choosing and writing the answer: the file, 304, a redirect to the directory, or an error page. */
#include "response.h"

#include <stdio.h>

#include "target.h"

#define SERVER_NAME "tapstack"

static const struct {
    uint16_t status;
    const char *phrase;
} PHRASES[] = {
    {200, "OK"},
    {301, "Moved Permanently"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {417, "Expectation Failed"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {505, "HTTP Version Not Supported"},
};

const char *response_phrase(unsigned status)
{
    for (size_t i = 0; i < sizeof(PHRASES) / sizeof(*PHRASES); i++)
        if (PHRASES[i].status == status)
            return PHRASES[i].phrase;
    return "Unknown";
}

void response_clock_set(struct response_clock *clock, uint64_t now_us, int64_t now_s)
{
    char date[HTTP_DATE_BYTES + 1];
    clock->now_us = now_us;
    if (clock->now_s == now_s && clock->common_bytes)
        return;
    clock->now_s = now_s;
    http_date_format(now_s, date);
    clock->common_bytes = (uint32_t)snprintf(clock->common, sizeof(clock->common),
                                             "Server: " SERVER_NAME "\r\nDate: %s\r\n", date);
}

/* ---- the beginning of every answer ---- */

static void add_start(struct output *output, const struct response_clock *clock, unsigned status,
                      bool keep_alive)
{
    if (status == 200) {
        output_text(output, "HTTP/1.1 200 OK\r\n");
    } else {
        output_text(output, "HTTP/1.1 ");
        output_number(output, status);
        output_text(output, " ");
        output_text(output, response_phrase(status));
        output_text(output, "\r\n");
    }
    output_add(output, clock->common, clock->common_bytes);
    output_text(output, keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
}

/* ---- error pages ---- */

static size_t make_page(char *page, size_t size, unsigned status, const char *why, unsigned line)
{
    char place[32] = "";
    int used;
    if (line)
        snprintf(place, sizeof(place), " (line %u)", line);
    used = snprintf(
        page, size,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%u %s</title>\n"
        "<style>:root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;"
        "max-width:32rem;margin:18vh auto;padding:0 1rem}b{font-size:4rem;line-height:1}"
        "</style>\n<b>%u</b>\n<h1>%s</h1>\n<p>%s%s</p>\n<p><a href=\"/\">Start page</a></p>\n",
        status, response_phrase(status), status, response_phrase(status), why ? why : "", place);
    return used < 0 ? 0 : (size_t)used < size ? (size_t)used : size - 1;
}

/* extra: further field lines, whole. */
static struct response add_page(struct output *output, const struct response_clock *clock,
                                struct response response, const char *extra, const char *why,
                                unsigned line, bool head_only)
{
    char page[1024];
    size_t size = make_page(page, sizeof(page), response.status, why, line);
    add_start(output, clock, response.status, response.keep_alive);
    output_text(output, extra);
    output_text(output, "Content-Type: text/html; charset=utf-8\r\nContent-Length: ");
    output_number(output, size);
    output_text(output, "\r\n\r\n");
    if (!head_only) {
        output_add(output, page, size);
        response.body_bytes = size;
    }
    return response;
}

struct response response_error(struct output *output, const struct response_clock *clock,
                               unsigned status, const char *why, unsigned line, bool head_only,
                               bool keep_alive)
{
    struct response response = {.status = (uint16_t)status, .keep_alive = keep_alive};
    const char *extra = status == 405 ? "Allow: GET, HEAD\r\n" : "";
    return add_page(output, clock, response, extra, why, line, head_only);
}

/* ---- the directory without its slash ---- */

/* Location repeats the raw path, which holds nothing that would have to be escaped. Slashes at its
   start are made one: "//host/" would lead away from here. */
static struct response redirect(struct output *output, const struct response_clock *clock,
                                const struct request *request, const char *bytes, bool keep_alive)
{
    struct response response = {.status = 301, .keep_alive = keep_alive};
    const char *path = bytes + request->path.at;
    uint32_t size = request->path.size;
    char page[1024];
    size_t page_bytes =
        make_page(page, sizeof(page), 301, "The directory's name ends in a slash", 0);
    for (; size > 1 && path[1] == '/'; path++)
        size--;
    add_start(output, clock, 301, keep_alive);
    output_text(output, "Location: ");
    output_add(output, path, size);
    output_text(output, "/");
    if (request->query.size) {
        output_text(output, "?");
        output_add(output, bytes + request->query.at, request->query.size);
    }
    output_text(output, "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: ");
    output_number(output, page_bytes);
    output_text(output, "\r\n\r\n");
    if (request->method != METHOD_HEAD) {
        output_add(output, page, page_bytes);
        response.body_bytes = page_bytes;
    }
    return response;
}

/* ---- conditions (RFC 9110 13.2.2) ---- */

bool response_etag_matches(const char *list, size_t size, const char *etag)
{
    const char *at = list, *end = list + size;
    size_t etag_bytes = strlen(etag);
    if (size == 1 && *list == '*')
        return true;
    while (at < end) {
        const char *close;
        if (*at == ' ' || *at == '\t' || *at == ',') {
            at++;
            continue;
        }
        if (end - at > 2 && at[0] == 'W' && at[1] == '/')
            at += 2;
        if (*at != '"' || !(close = memchr(at + 1, '"', (size_t)(end - at - 1))))
            return false; /* not a list of entity tags: no condition that could hold */
        if ((size_t)(close + 1 - at) == etag_bytes && memcmp(at, etag, etag_bytes) == 0)
            return true;
        at = close + 1;
    }
    return false;
}

static bool not_modified(const struct request *request, const char *bytes, const struct file *file,
                         int64_t now_s)
{
    const struct span *tags = &request->field[FIELD_IF_NONE_MATCH];
    const struct span *since = &request->field[FIELD_IF_MODIFIED_SINCE];
    int64_t seconds;
    if (request->seen[FIELD_IF_NONE_MATCH])
        return response_etag_matches(bytes + tags->at, tags->size, file->etag);
    return request->seen[FIELD_IF_MODIFIED_SINCE] &&
           http_date_parse(bytes + since->at, since->size, now_s, &seconds) &&
           file->modified_s <= seconds;
}

/* ---- files ---- */

static struct response send_file(struct output *output, const struct response_clock *clock,
                                 const struct request *request, const char *bytes,
                                 struct file *file, bool keep_alive)
{
    struct response response = {.status = 200, .keep_alive = keep_alive};
    if (not_modified(request, bytes, file, clock->now_s)) {
        response.status = 304;
        add_start(output, clock, 304, keep_alive);
        output_add(output, file->head + file->validators_at,
                   file->head_bytes - file->validators_at);
        return response;
    }
    add_start(output, clock, 200, keep_alive);
    output_add(output, file->head, file->head_bytes);
    if (request->method == METHOD_HEAD)
        return response;
    response.body_bytes = file->size;
    if (file->body)
        output_add(output, file->body, file->size);
    else
        response.file = file;
    return response;
}

static const char *why_of(int status)
{
    switch (status) {
    case 400:
        return "The path holds an escape or a character that cannot be part of a name";
    case 403:
        return "The file exists, but this server may not read it";
    case 404:
        return "There is nothing under this name";
    default:
        return "The file could not be read; the server's log tells more";
    }
}

struct response response_make(struct output *output, struct files *files,
                              const struct response_clock *clock, const struct request *request,
                              const char *bytes, bool keep_alive)
{
    bool head_only = request->method == METHOD_HEAD;
    char name[TARGET_NAME_BYTES];
    struct file *file;
    int status;
    if (request->method == METHOD_UNKNOWN)
        return response_error(output, clock, 501, "This method is unknown here", 1, false,
                              keep_alive);
    if (request->method != METHOD_GET && !head_only)
        return response_error(output, clock, 405, "This method is not allowed here", 1, false,
                              keep_alive);
    status = target_decode(bytes + request->path.at, request->path.size, name);
    if (status == 0)
        status = files_find(files, name, clock->now_us, &file);
    if (status == 200)
        return send_file(output, clock, request, bytes, file, keep_alive);
    if (status == 301)
        return redirect(output, clock, request, bytes, keep_alive);
    return response_error(output, clock, (unsigned)status, why_of(status), 0, head_only,
                          keep_alive);
}

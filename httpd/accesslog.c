/* The access log: lines put together by hand, for they cost on every request. */
#include "accesslog.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 2048, LINE_BYTES_MAX = 3 * 4 * TEXT_BYTES_MAX + 256 };

static int open_path(const char *path)
{
    if (strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
}

int accesslog_open(struct accesslog *log, const char *path)
{
    log->path = path;
    log->used = 0;
    log->flush_at_us = UINT64_MAX;
    log->stamp_s = -1;
    log->fd = -1;
    if (strcmp(path, "off") == 0)
        return 0;
    log->fd = open_path(path);
    return log->fd < 0 ? -1 : 0;
}

void accesslog_flush(struct accesslog *log)
{
    size_t at = 0;
    while (at < log->used) {
        ssize_t written = write(log->fd, log->bytes + at, log->used - at);
        if (written <= 0)
            break; /* a full disk must not stop the service: the lines are lost */
        at += (size_t)written;
    }
    log->used = 0;
    log->flush_at_us = UINT64_MAX;
}

int accesslog_reopen(struct accesslog *log)
{
    int fd;
    if (log->fd < 0 || log->fd == STDOUT_FILENO)
        return 0;
    accesslog_flush(log);
    fd = open_path(log->path);
    if (fd < 0)
        return -1;
    close(log->fd);
    log->fd = fd;
    return 0;
}

static void add(struct accesslog *log, const char *text, size_t size)
{
    memcpy(log->bytes + log->used, text, size);
    log->used += size;
}

static void add_number(struct accesslog *log, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    add(log, digits + at, sizeof(digits) - at);
}

/* What a client sent is never trusted to be printable: quotes and controls become \xHH. */
static void add_quoted(struct accesslog *log, struct accesslog_text text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t size = text.size < TEXT_BYTES_MAX ? text.size : TEXT_BYTES_MAX;
    log->bytes[log->used++] = '"';
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')
            log->bytes[log->used++] = (char)byte;
        else
            add(log, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
    }
    if (size == 0)
        log->bytes[log->used++] = '-';
    log->bytes[log->used++] = '"';
}

static void add_address(struct accesslog *log, struct in_addr address)
{
    uint32_t host = ntohl(address.s_addr);
    for (int shift = 24; shift >= 0; shift -= 8) {
        add_number(log, host >> shift & 255);
        if (shift)
            add(log, ".", 1);
    }
}

static void renew_stamp(struct accesslog *log, int64_t now_s)
{
    time_t now = (time_t)now_s;
    struct tm parts;
    if (log->stamp_s == now_s)
        return;
    localtime_r(&now, &parts);
    strftime(log->stamp, sizeof(log->stamp), "%d/%b/%Y:%H:%M:%S %z", &parts);
    log->stamp_s = now_s;
}

void accesslog_add(struct accesslog *log, const struct accesslog_entry *entry, uint64_t now_us,
                   int64_t now_s)
{
    if (log->fd < 0)
        return;
    if (log->used + LINE_BYTES_MAX > sizeof(log->bytes))
        accesslog_flush(log);
    if (log->used == 0)
        log->flush_at_us = now_us + ACCESSLOG_DELAY_US;
    renew_stamp(log, now_s);
    add_address(log, entry->peer.sin_addr);
    add(log, " - - [", 6);
    add(log, log->stamp, strlen(log->stamp));
    add(log, "] ", 2);
    add_quoted(log, entry->line);
    add(log, " ", 1);
    add_number(log, entry->status);
    add(log, " ", 1);
    add_number(log, entry->body_bytes);
    add(log, " ", 1);
    add_quoted(log, entry->referer);
    add(log, " ", 1);
    add_quoted(log, entry->agent);
    add(log, "\n", 1);
}

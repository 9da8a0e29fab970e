/* The log: one write a line, so that the lines of several programs do not mix.

   Under systemd every line starts with "<N>", which the journal takes as its priority
   (sd-daemon(3)); elsewhere with the time of day and the level's name. */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 1024 };

static int log_threshold = LOG_LEVEL_INFO;

void log_set_level(int level) { log_threshold = level; }

/* Is standard error the journal? systemd names its device and inode (systemd.exec(5)); the variable
   alone does not tell, it outlives a redirection. */
static bool log_is_journal(void)
{
    char place[48];
    struct stat status;
    const char *journal = getenv("JOURNAL_STREAM");
    if (!journal || fstat(STDERR_FILENO, &status) < 0)
        return false;
    snprintf(place, sizeof place, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    return strcmp(place, journal) == 0;
}

static int log_format_prefix(int level, char *line, size_t capacity)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const int priorities[] = {3, 4, 6, 7}; /* of syslog(3) */
    struct timespec now;
    struct tm local;

    if (log_is_journal())
        return snprintf(line, capacity, "<%d>", priorities[level]);
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    return snprintf(line, capacity, "%02d:%02d:%02d.%03d %s: ", local.tm_hour, local.tm_min,
                    local.tm_sec, (int)(now.tv_nsec / 1000000), names[level]);
}

/* The text may be cut, the newline never is. What clients have said stands in some lines: it must
   neither begin another one nor play tricks on a terminal. */
static void log_write_line(char *line, int length)
{
    if (length > LOG_LINE_MAX - 1)
        length = LOG_LINE_MAX - 1;
    for (int i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[length] = '\n';
    if (write(STDERR_FILENO, line, (size_t)length + 1) < 0)
        return; /* there is no other place to complain */
}

void log_write(int level, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list arguments;

    if (level > log_threshold)
        return;
    int length = log_format_prefix(level, line, sizeof line);
    va_start(arguments, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length, format, arguments);
    va_end(arguments);
    log_write_line(line, length);
}

/* Counts a message. Returns whether it is written; unwritten: those before it that were not. */
static bool log_site_passes(struct log_site *site, unsigned *unwritten)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    *unwritten = 0;
    if (now.tv_sec != site->second) {
        *unwritten = site->count > LOG_SITE_MOST ? site->count - LOG_SITE_MOST : 0;
        *site = (struct log_site){now.tv_sec, 0};
    }
    return ++site->count <= LOG_SITE_MOST;
}

void log_write_limited(struct log_site *site, int level, const char *format, ...)
{
    char text[LOG_LINE_MAX];
    unsigned unwritten;
    va_list arguments;

    if (level > log_threshold || !log_site_passes(site, &unwritten))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (unwritten > 0)
        log_write(level, "%s (%u more before it)", text, unwritten);
    else if (site->count == LOG_SITE_MOST)
        log_write(level, "%s (more of these in this second are only counted)", text);
    else
        log_write(level, "%s", text);
}

void die(const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list arguments;

    int length = snprintf(line, sizeof line, "tapstackd: ");
    va_start(arguments, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length, format, arguments);
    va_end(arguments);
    log_write_line(line, length);
    exit(1);
}

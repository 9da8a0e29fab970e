/* The log: lines on standard error, with a level, as journald and a terminal expect them. */
#ifndef TAPSTACK_HOST_LOG_H
#define TAPSTACK_HOST_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(int level);
void log_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A place in the program that writes warnings, and how many it has to write. */
struct log_site {
    long long second; /* the one being counted, CLOCK_MONOTONIC */
    unsigned count;   /* of messages in that second */
};
/* The first LOG_SITE_MOST messages of a second are written, the others counted: the next one that
   is written tells how many there were. So nobody fills the disk by provoking warnings. */
enum { LOG_SITE_MOST = 5 };
void log_write_limited(struct log_site *site, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says why and ends the process with status 1. Only before the loop starts. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...)                                                                           \
    do {                                                                                           \
        static struct log_site log_site_here;                                                      \
        log_write_limited(&log_site_here, LOG_LEVEL_WARNING, __VA_ARGS__);                         \
    } while (0)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif

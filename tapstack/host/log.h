/* The log: lines on standard error, with a level, as journald and a terminal expect them. */
#ifndef TAPSTACK_HOST_LOG_H
#define TAPSTACK_HOST_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(int level);
void log_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says why and ends the process with status 1. Only before the loop starts. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif

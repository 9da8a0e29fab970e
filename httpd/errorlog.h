/* The error log: lines on standard error, each with the time, the level and the process's role. */
#ifndef TAPSTACK_HTTPD_ERRORLOG_H
#define TAPSTACK_HTTPD_ERRORLOG_H

enum errorlog_level { ERRORLOG_ERROR, ERRORLOG_WARNING, ERRORLOG_INFO };

/* role: "listener", "worker 0", ... as every line shows it; it is copied. */
void errorlog_set_role(const char *role);

void errorlog_write(enum errorlog_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

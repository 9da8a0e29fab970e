/* The error log, one write(2) a line, so that the lines of several processes never mix. */
#include "errorlog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char role_name[32] = "supervisor";

void errorlog_set_role(const char *role) { snprintf(role_name, sizeof(role_name), "%s", role); }

void errorlog_write(enum errorlog_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info"};
    char line[1024];
    time_t now = time(NULL);
    struct tm parts;
    size_t used;
    int added;
    va_list arguments;
    localtime_r(&now, &parts);
    used = strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S ", &parts);
    used += (size_t)snprintf(line + used, sizeof(line) - used,
                             "tapstack-httpd[%d] %s: %s: ", (int)getpid(), role_name, names[level]);
    va_start(arguments, format);
    added = vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
    va_end(arguments);
    used += added < 0 ? 0 : (size_t)added;
    if (used > sizeof(line) - 2)
        used = sizeof(line) - 2;
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* nobody is left to tell */
}

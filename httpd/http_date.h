/* HTTP's dates: seconds since 1970 <-> text (RFC 9110 5.6.7). */
#ifndef TAPSTACK_HTTPD_HTTP_DATE_H
#define TAPSTACK_HTTPD_HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_DATE_BYTES = 29 }; /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Writes exactly HTTP_DATE_BYTES and a closing zero. */
void http_date_format(int64_t seconds, char text[HTTP_DATE_BYTES + 1]);

/* Reads the three forms that a server must take: IMF-fixdate, RFC 850's, asctime's.
   now: for the century of a two-digit year (never more than 50 years ahead). */
bool http_date_parse(const char *text, size_t size, int64_t now, int64_t *seconds);

#endif

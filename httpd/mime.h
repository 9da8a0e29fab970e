/* Media types by a file name's ending. */
#ifndef TAPSTACK_HTTPD_MIME_H
#define TAPSTACK_HTTPD_MIME_H

/* The value of Content-Type; never NULL ("application/octet-stream" for an unknown ending). */
const char *mime_of(const char *name);

#endif

/* From a request's path to a file's name below the root: decoded once, checked, nothing hidden. */
#ifndef TAPSTACK_HTTPD_TARGET_H
#define TAPSTACK_HTTPD_TARGET_H

#include <stddef.h>

enum { TARGET_NAME_BYTES = 1024 }; /* of a name, with its closing zero */

/* path: raw, as in the request line; "" means "/". name: the decoded name without the leading
   slash, slashes in a row made one, closed by a zero; "" is the root itself; a directory's name
   keeps its closing slash. Returns 0, or the status to refuse with: 400 for a broken escape, a NUL
   or control character, or bytes that are not UTF-8; 404 for a segment that begins with a dot, an
   escaped slash, or a name that is too long to exist. */
int target_decode(const char *path, size_t size, char name[TARGET_NAME_BYTES]);

#endif

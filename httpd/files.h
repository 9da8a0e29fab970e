/* The files below the root: opened safely, remembered, watched for changes.

   A worker keeps the last few hundred files open. For one that is small enough it keeps the bytes
   too, so that an answer costs no system call but the send. What it remembers is held against the
   file system at most once a second. */
#ifndef TAPSTACK_HTTPD_FILES_H
#define TAPSTACK_HTTPD_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "http_date.h"

enum {
    FILES_SMALL_BYTES = 16 * 1024, /* up to here the body is kept in memory */
    FILES_OPEN_MAX = 512,          /* remembered per worker */
    FILES_BUCKETS = 1024,
    FILES_ETAG_BYTES = 64,
};

struct file {
    struct file *bucket_next;
    struct file *newer, *older; /* order of last use */
    uint64_t hash;
    unsigned holders; /* answers under way that send from fd */
    bool dropped;     /* no longer found; freed with its last holder */
    int fd;
    uint64_t checked_at_us;
    dev_t device;
    ino_t inode;
    int64_t changed_s, changed_ns; /* ctime: also moves when mtime is set back */
    int64_t modified_s;
    uint64_t size;
    char modified[HTTP_DATE_BYTES + 1];
    char etag[FILES_ETAG_BYTES]; /* with its quotes */
    char *head;                  /* field lines: type, length, validators, and the empty line */
    uint32_t head_bytes;
    uint32_t
        validators_at; /* in head: Last-Modified and ETag and the empty line, as 304 has them */
    char *body;        /* NULL: send from fd */
    char *path;        /* below the root, index file included */
    char name[];       /* as asked for */
};

struct files {
    int root_fd;
    char index[64];
    unsigned count, count_max;
    struct file *newest, *oldest;
    struct file *buckets[FILES_BUCKETS];
};

/* Opens the root. index: file of a directory. Returns 0, or -1 with errno. Remembers
   FILES_OPEN_MAX files; who has few descriptors sets count_max lower (at least 1) afterwards. */
int files_open(struct files *files, const char *root, const char *index);
void files_close(struct files *files);

/* name: from target_decode. Returns 200 with *file, valid until the next call unless held; 301: it
   is a directory and the name lacks the closing slash; 403: the system does not let us read it;
   404; 500: an unforeseen error, in errno. */
int files_find(struct files *files, const char *name, uint64_t now_us, struct file **file);

/* An answer that sends from the descriptor holds the file until it has ended. */
void files_hold(struct file *file);
void files_release(struct file *file);

#endif

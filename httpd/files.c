/* Finding files: a hash table of open ones in front of openat2(2), which keeps every path, and
   every symbolic link on it, below the root. */
#define _GNU_SOURCE /* asprintf, O_PATH */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mime.h"

enum { CHECK_INTERVAL_US = 1000 * 1000, OPEN_TRIES = 64 };

int files_open(struct files *files, const char *root, const char *index)
{
    memset(files, 0, sizeof(*files));
    files->count_max = FILES_OPEN_MAX;
    snprintf(files->index, sizeof(files->index), "%s", index);
    files->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return files->root_fd < 0 ? -1 : 0;
}

/* ---- one file ---- */

static void file_free(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->head);
    free(file->body);
    free(file->path);
    free(file);
}

void files_hold(struct file *file) { file->holders++; }

void files_release(struct file *file)
{
    if (--file->holders == 0 && file->dropped)
        file_free(file);
}

static bool same_file(const struct file *file, const struct stat *now)
{
    return file->device == now->st_dev && file->inode == now->st_ino &&
           file->size == (uint64_t)now->st_size && file->changed_s == now->st_ctim.tv_sec &&
           file->changed_ns == now->st_ctim.tv_nsec;
}

static void take_stat(struct file *file, const struct stat *now)
{
    file->device = now->st_dev;
    file->inode = now->st_ino;
    file->size = (uint64_t)now->st_size;
    file->changed_s = now->st_ctim.tv_sec;
    file->changed_ns = now->st_ctim.tv_nsec;
    file->modified_s = now->st_mtim.tv_sec;
    http_date_format(file->modified_s, file->modified);
    /* Strong (RFC 9110 8.8.1): inode, size and the time in nanoseconds change with the bytes. */
    snprintf(file->etag, sizeof(file->etag), "\"%llx-%llx-%llx\"", (unsigned long long)now->st_ino,
             (unsigned long long)now->st_size,
             (unsigned long long)now->st_mtim.tv_sec * 1000000000ull +
                 (unsigned long long)now->st_mtim.tv_nsec);
}

/* The field lines of every answer with this file, written once. */
static int prepare_head(struct file *file)
{
    char head[512];
    int content = snprintf(head, sizeof(head), "Content-Type: %s\r\nContent-Length: %llu\r\n",
                           mime_of(file->path), (unsigned long long)file->size);
    int all =
        content + snprintf(head + content, sizeof(head) - (size_t)content,
                           "Last-Modified: %s\r\nETag: %s\r\n\r\n", file->modified, file->etag);
    file->head = malloc((size_t)all);
    if (!file->head)
        return -1;
    memcpy(file->head, head, (size_t)all);
    file->head_bytes = (uint32_t)all;
    file->validators_at = (uint32_t)content;
    return 0;
}

/* Reads a small body; a file that shrank while it was read is an error, and tried anew next
   time. */
static int prepare_body(struct file *file)
{
    if (file->size > FILES_SMALL_BYTES)
        return 0;
    file->body = malloc(file->size + 1);
    if (!file->body)
        return -1;
    for (uint64_t at = 0; at < file->size;) {
        ssize_t got = pread(file->fd, file->body + at, file->size - at, (off_t)at);
        if (got == 0)
            errno = EIO;
        if (got <= 0)
            return -1;
        at += (uint64_t)got;
    }
    close(file->fd);
    file->fd = -1;
    return 0;
}

static int open_below(int root_fd, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int fd = -1;
    /* EAGAIN: something was renamed meanwhile, anywhere, and the kernel cannot tell whether ".."
       has stayed below the root. */
    for (int i = 0; i < OPEN_TRIES; i++) {
        fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd;
}

static int status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV: /* a link that leads out of the root */
    case ENXIO: /* a socket, or a pipe without an end */
        return 404;
    case EACCES:
    case EPERM:
        return 403;
    default:
        return 500;
    }
}

/* ---- the table ---- */

static uint64_t hash_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a; a full table only costs time, and is bounded */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
    return hash ^ hash >> 32;
}

static void unlink_use(struct files *files, struct file *file)
{
    *(file->newer ? &file->newer->older : &files->newest) = file->older;
    *(file->older ? &file->older->newer : &files->oldest) = file->newer;
}

static void link_newest(struct files *files, struct file *file)
{
    file->newer = NULL;
    file->older = files->newest;
    *(files->newest ? &files->newest->newer : &files->oldest) = file;
    files->newest = file;
}

static void drop(struct files *files, struct file *file)
{
    struct file **at = &files->buckets[file->hash % FILES_BUCKETS];
    while (*at != file)
        at = &(*at)->bucket_next;
    *at = file->bucket_next;
    unlink_use(files, file);
    files->count--;
    file->dropped = true;
    if (file->holders == 0)
        file_free(file);
}

static void insert(struct files *files, struct file *file)
{
    struct file **bucket = &files->buckets[file->hash % FILES_BUCKETS];
    if (files->count >= files->count_max)
        drop(files, files->oldest);
    file->bucket_next = *bucket;
    *bucket = file;
    link_newest(files, file);
    files->count++;
}

/* Gives up the oldest files until a descriptor is free. False: none of them had one to give. */
static bool free_descriptor(struct files *files)
{
    bool freed = false;
    while (!freed && files->oldest) {
        freed = files->oldest->fd >= 0 && files->oldest->holders == 0;
        drop(files, files->oldest);
    }
    return freed;
}

static struct file *lookup(struct files *files, const char *name, uint64_t hash)
{
    struct file *file = files->buckets[hash % FILES_BUCKETS];
    while (file && (file->hash != hash || strcmp(file->name, name) != 0))
        file = file->bucket_next;
    return file;
}

static struct file *file_new(const struct files *files, const char *name, uint64_t hash)
{
    size_t size = strlen(name);
    bool directory = size == 0 || name[size - 1] == '/';
    struct file *file = calloc(1, sizeof(*file) + size + 1);
    if (!file)
        return NULL;
    file->fd = -1;
    file->hash = hash;
    memcpy(file->name, name, size + 1);
    if (asprintf(&file->path, "%s%s", name, directory ? files->index : "") < 0) {
        free(file);
        return NULL;
    }
    return file;
}

/* Opens and reads; 200, or a status and errno. */
static int load(const struct files *files, struct file *file)
{
    struct stat now;
    file->fd = open_below(files->root_fd, file->path);
    if (file->fd < 0)
        return status_of_errno(errno);
    if (fstat(file->fd, &now) < 0)
        return 500;
    if (S_ISDIR(now.st_mode))
        return strcmp(file->path, file->name) == 0 ? 301 : 404;
    if (!S_ISREG(now.st_mode))
        return 404;
    take_stat(file, &now);
    return prepare_head(file) < 0 || prepare_body(file) < 0 ? 500 : 200;
}

static bool still_true(const struct files *files, struct file *file, uint64_t now_us)
{
    struct stat now;
    if (now_us - file->checked_at_us < CHECK_INTERVAL_US)
        return true;
    if (fstatat(files->root_fd, file->path, &now, 0) < 0 || !same_file(file, &now))
        return false;
    file->checked_at_us = now_us;
    return true;
}

int files_find(struct files *files, const char *name, uint64_t now_us, struct file **file)
{
    uint64_t hash = hash_of(name);
    struct file *found = lookup(files, name, hash);
    int status;
    if (found && still_true(files, found, now_us)) {
        unlink_use(files, found);
        link_newest(files, found);
        *file = found;
        return 200;
    }
    if (found)
        drop(files, found);
    found = file_new(files, name, hash);
    status = found ? load(files, found) : 500;
    if (found && status == 500 && (errno == EMFILE || errno == ENFILE) && free_descriptor(files))
        status = load(files, found);
    if (status != 200) {
        int error = errno;
        if (found)
            file_free(found);
        errno = error;
        return status;
    }
    found->checked_at_us = now_us;
    insert(files, found);
    *file = found;
    return 200;
}

void files_close(struct files *files)
{
    while (files->oldest)
        drop(files, files->oldest);
    close(files->root_fd);
}

/* From a path to a file: decoding, and what openat2 lets through (S35). */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../httpd/files.h"
#include "../../httpd/mime.h"
#include "../../httpd/response.h"
#include "../../httpd/site_config.h"
#include "../../httpd/target.h"

static void test_decode(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *name;
    } rows[] = {
        {"", 0, ""},
        {"/", 0, ""},
        {"/a", 0, "a"},
        {"/a/", 0, "a/"},
        {"//a///b", 0, "a/b"},
        {"/%61%2E%62", 0, "a.b"},
        {"/a%20b", 0, "a b"},
        {"/a+b", 0, "a+b"},
        {"/%c3%a4", 0, "\xc3\xa4"},
        {"/%2561", 0, "%61"}, /* once, not twice */
        {"/a..b", 0, "a..b"},
        {"/..", 404, NULL},
        {"/../etc/passwd", 404, NULL},
        {"/a/../b", 404, NULL},
        {"/a/./b", 404, NULL},
        {"/.git/config", 404, NULL},
        {"/a/.hidden", 404, NULL},
        {"/%2e%2e/x", 404, NULL},
        {"/%2E./x", 404, NULL},
        {"/a%2f..%2fb", 404, NULL},
        {"/a%2Fb", 404, NULL},
        {"/%00", 400, NULL},
        {"/a%00.html", 400, NULL},
        {"/%", 400, NULL},
        {"/%4", 400, NULL},
        {"/%4g", 400, NULL},
        {"/%%34", 400, NULL},
        {"/..%", 400, NULL},
        {"/%0a", 400, NULL},
        {"/%7f", 400, NULL},
        {"/%c0%af", 400, NULL},        /* overlong slash */
        {"/%c0%ae%c0%ae/", 400, NULL}, /* overlong dots */
        {"/%e0%80%af", 400, NULL},     /* overlong, three bytes */
        {"/%f0%80%80%af", 400, NULL},  /* overlong, four bytes */
        {"/%ed%a0%80", 400, NULL},     /* a surrogate */
        {"/%f4%90%80%80", 400, NULL},  /* above U+10FFFF */
        {"/%ff", 400, NULL},
        {"/%c3", 400, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char name[TARGET_NAME_BYTES];
        int status = target_decode(rows[i].path, strlen(rows[i].path), name);
        if (status != rows[i].status || (status == 0 && strcmp(name, rows[i].name) != 0))
            fail_msg("%s: %d '%s'", rows[i].path, status, name);
    }
}

static void test_long_name(void **state)
{
    char path[3 * TARGET_NAME_BYTES], name[TARGET_NAME_BYTES];
    (void)state;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    assert_int_equal(target_decode(path, TARGET_NAME_BYTES, name), 0);
    assert_int_equal(target_decode(path, TARGET_NAME_BYTES + 1, name), 404);
    assert_int_equal(target_decode(path, sizeof(path), name), 404);
}

/* ---- files below a root of our own ---- */

static char root[] = "/tmp/test_http_path.XXXXXX";
static char outside[] = "/tmp/test_http_outside.XXXXXX";

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *file;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void link_file(const char *target, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(symlink(target, path), 0);
}

static void make_folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int set_up(void **state)
{
    char secret[64];
    (void)state;
    if (!mkdtemp(root) || !mkdtemp(outside))
        return -1;
    write_file(outside, "secret", "secret");
    write_file(root, "index.html", "start");
    write_file(root, "a.txt", "hello");
    make_folder("sub");
    make_folder("bare");
    write_file(root, "sub/index.html", "sub");
    snprintf(secret, sizeof(secret), "%s/secret", outside);
    link_file(secret, "absolute");
    link_file("../../../../../../etc/passwd", "climbing");
    link_file(outside, "folder");
    link_file("a.txt", "inside");
    link_file("loop", "loop");
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"sub/index.html", "index.html", "a.txt",  "big",
                                        "absolute",       "climbing",   "folder", "inside",
                                        "loop",           "sub",        "bare"};
    char path[256];
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, names[i]);
        remove(path);
    }
    snprintf(path, sizeof(path), "%s/secret", outside);
    remove(path);
    return rmdir(root) | rmdir(outside);
}

static void test_find(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
    } rows[] = {
        {"", 200, "start"},
        {"index.html", 200, "start"},
        {"a.txt", 200, "hello"},
        {"sub/", 200, "sub"},
        {"sub", 301, NULL},
        {"bare/", 404, NULL},
        {"bare", 301, NULL},
        {"nothing", 404, NULL},
        {"a.txt/", 404, NULL},
        {"a.txt/x", 404, NULL},
        {"absolute", 404, NULL},
        {"climbing", 404, NULL},
        {"folder/", 404, NULL},
        {"folder/secret", 404, NULL},
        {"inside", 200, "hello"},
        {"loop", 404, NULL},
        {"../etc/passwd", 404, NULL},
        {"/etc/passwd", 404, NULL},
        {"sub/../a.txt", 200, "hello"}, /* below the root: target_decode is who refuses dots */
    };
    struct files files;
    struct file *file;
    (void)state;
    assert_int_equal(files_open(&files, root, "index.html"), 0);
    for (int round = 0; round < 2; round++) /* from the disk, then from memory */
        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
            int status = files_find(&files, rows[i].name, 1000, &file);
            if (status != rows[i].status)
                fail_msg("%s: %d", rows[i].name, status);
            if (rows[i].body)
                assert_memory_equal(file->body, rows[i].body, strlen(rows[i].body));
        }
    files_close(&files);
}

/* A change is seen within a second, and an answer under way keeps the file it began with. */
static void test_change(void **state)
{
    struct files files;
    struct file *first, *second;
    char *big = calloc(1, FILES_SMALL_BYTES + 2);
    (void)state;
    memset(big, 'x', FILES_SMALL_BYTES + 1);
    write_file(root, "big", big);
    free(big);
    assert_int_equal(files_open(&files, root, "index.html"), 0);
    assert_int_equal(files_find(&files, "big", 1000, &first), 200);
    assert_null(first->body);
    files_hold(first);
    write_file(root, "big", "small now");
    assert_int_equal(files_find(&files, "big", 2000, &second), 200);
    assert_ptr_equal(first, second);
    assert_int_equal(files_find(&files, "big", 1001000, &second), 200);
    assert_ptr_not_equal(first, second);
    assert_int_equal(second->size, 9);
    assert_string_not_equal(first->etag, second->etag);
    assert_true(first->dropped);
    files_release(first);
    files_close(&files);
}

static void test_many(void **state)
{
    struct files files;
    struct file *file;
    (void)state;
    assert_int_equal(files_open(&files, root, "index.html"), 0);
    for (int i = 0; i < 3 * FILES_OPEN_MAX; i++) {
        char name[TARGET_NAME_BYTES] = "";
        for (int j = 0; j < 8; j++) /* the same file under many names */
            strcat(name, i >> j & 1 ? "sub/../" : "bare/../");
        for (int j = 8; j < 12 && i >> j; j++)
            strcat(name, i >> j & 1 ? "sub/../" : "bare/../");
        strcat(name, "a.txt");
        assert_int_equal(files_find(&files, name, 1000, &file), 200);
        assert_true(files.count <= FILES_OPEN_MAX);
    }
    files_close(&files);
    assert_int_equal(files.count, 0);
}

/* A rename anywhere makes openat2(2) give up on ".."; that is no error of ours. */
static void test_renames_meanwhile(void **state)
{
    char one[64], two[64];
    struct files files;
    struct file *file;
    pid_t renamer;
    unsigned errors = 0;
    (void)state;
    snprintf(one, sizeof(one), "%s/one", outside);
    snprintf(two, sizeof(two), "%s/two", outside);
    assert_int_equal(mkdir(one, 0755), 0);
    renamer = fork();
    if (renamer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            if (rename(one, two) < 0 || rename(two, one) < 0)
                _exit(1);
    }
    assert_int_equal(files_open(&files, root, "index.html"), 0);
    for (int i = 0; i < 20000; i++) { /* every time from the disk: a directory is not remembered */
        int status = files_find(&files, "bare/../sub/../bare/../sub", 1000, &file);
        errors += status != 301;
    }
    files_close(&files);
    kill(renamer, SIGKILL);
    waitpid(renamer, NULL, 0);
    rmdir(one);
    rmdir(two);
    assert_int_equal(errors, 0);
}

/* Without a free descriptor the oldest remembered file gives its own. */
static void test_few_descriptors(void **state)
{
    struct rlimit before, few;
    struct files files;
    struct file *file;
    char *big = calloc(1, FILES_SMALL_BYTES + 2);
    (void)state;
    memset(big, 'x', FILES_SMALL_BYTES + 1);
    write_file(root, "big", big);
    free(big);
    assert_int_equal(files_open(&files, root, "index.html"), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){(rlim_t)files.root_fd + 8, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 64; i++) { /* the same file under many names */
        char name[TARGET_NAME_BYTES] = "";
        for (int j = 0; j < 6; j++)
            strcat(name, i >> j & 1 ? "sub/../" : "bare/../");
        strcat(name, i & 1 ? "big" : "a.txt");
        if (files_find(&files, name, 1000, &file) != 200)
            fail_msg("%d: errno %d", i, errno);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    files_close(&files);
}

/* ---- answers ---- */

/* The redirect repeats the target: the longest one that the configuration allows has to fit. */
static void test_long_redirect(void **state)
{
    static char bytes[SITE_LINE_BYTES_MAX] = "/sub?";
    static struct output output;
    struct request request = {
        .method = METHOD_GET, .path = {0, 4}, .query = {5, SITE_LINE_BYTES_MAX - 5}};
    struct response_clock clock = {0};
    struct response response;
    struct files files;
    (void)state;
    memset(bytes + 5, 'q', sizeof(bytes) - 5);
    assert_int_equal(files_open(&files, root, "index.html"), 0);
    response_clock_set(&clock, 1000, 1000);
    output.used = OUTPUT_BYTES - OUTPUT_ANSWER_BYTES;
    response = response_make(&output, &files, &clock, &request, bytes, true);
    assert_int_equal(response.status, 301);
    assert_in_range(output.used, OUTPUT_BYTES - OUTPUT_ANSWER_BYTES + sizeof(bytes), OUTPUT_BYTES);
    files_close(&files);
}

static void test_mime(void **state)
{
    (void)state;
    assert_string_equal(mime_of("index.html"), "text/html; charset=utf-8");
    assert_string_equal(mime_of("a.b/PICTURE.PNG"), "image/png");
    assert_string_equal(mime_of("a.html/raw"), "application/octet-stream");
    assert_string_equal(mime_of("none"), "application/octet-stream");
    assert_string_equal(mime_of("7z.7z"), "application/x-7z-compressed");
    assert_string_equal(mime_of("z.zst"), "application/zstd");
    assert_string_equal(mime_of("dot."), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_renames_meanwhile),
        cmocka_unit_test(test_few_descriptors),
        cmocka_unit_test(test_long_redirect),
        cmocka_unit_test(test_mime),
    };
    return cmocka_run_group_tests_name("http_path", tests, set_up, tear_down);
}

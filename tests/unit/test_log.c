/* The log: warnings of one place are limited, and told about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "../../tapstack/host/log.h"

static char text[16 * 1024];
static const char *message = "message"; /* what is written */

/* Writes count messages of one place; what has come out is in text. Returns its lines. */
static unsigned lines_of(struct log_site *site, int level, unsigned count)
{
    int ends[2], before = dup(STDERR_FILENO);
    unsigned lines = 0;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    for (unsigned i = 0; i < count; i++)
        log_write_limited(site, level, "%s %u", message, i);
    dup2(before, STDERR_FILENO);
    close(ends[1]);
    close(before);
    ssize_t size = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    text[size > 0 ? size : 0] = '\0';
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    return lines;
}

static void test_a_place_writes_a_few_lines_a_second(void **state)
{
    struct log_site site = {0}, other = {0};
    (void)state;
    unsigned lines = lines_of(&site, LOG_LEVEL_WARNING, 100);
    assert_in_range(lines, LOG_SITE_MOST, 2 * LOG_SITE_MOST); /* a second may begin meanwhile */
    assert_non_null(strstr(text, "message 0\n"));
    assert_non_null(strstr(text, "only counted"));
    assert_int_equal(lines_of(&other, LOG_LEVEL_WARNING, 1), 1); /* each has its own count */
    site.second--;                                               /* a second later */
    site.count = 100;
    assert_int_equal(lines_of(&site, LOG_LEVEL_WARNING, 1), 1);
    assert_non_null(strstr(text, "message 0 (95 more before it)\n"));
    site.second--;
    site.count = LOG_SITE_MOST;
    assert_int_equal(lines_of(&site, LOG_LEVEL_WARNING, 1), 1);
    assert_null(strstr(text, "more"));
}

static void test_the_level_comes_first(void **state)
{
    struct log_site site = {0};
    (void)state;
    assert_int_equal(lines_of(&site, LOG_LEVEL_DEBUG, 100), 0);
    assert_int_equal(site.count, 0);
}

static void test_a_message_is_one_line(void **state)
{
    struct log_site site = {0};
    (void)state;
    message = "one\ntwo\033[2J\x7f \xc3\xa4";
    assert_int_equal(lines_of(&site, LOG_LEVEL_WARNING, 1), 1);
    assert_non_null(strstr(text, "warning: one?two?[2J? \xc3\xa4 0\n"));
    message = "message";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_place_writes_a_few_lines_a_second),
        cmocka_unit_test(test_the_level_comes_first),
        cmocka_unit_test(test_a_message_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

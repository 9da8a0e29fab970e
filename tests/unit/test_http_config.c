/* The configuration of tapstack-httpd (S2), its errors with their places, and the pool's choice
 * (S8). */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../httpd/handoff.h"
#include "../../httpd/scoreboard.h"
#include "../../httpd/site_config.h"

#include <sys/socket.h>
#include <unistd.h>

static void test_good(void **state)
{
    static const char text[] = "# a comment\n"
                               "listen = \"10.77.0.2:8080\" // another\n"
                               "/* and\n one more */ root = '/srv/www'\n"
                               "workers=4 idle_timeout = 3\n";
    struct site_config config;
    char error[SITE_ERROR_BYTES];
    (void)state;
    site_config_default(&config);
    assert_int_equal(site_config_parse(&config, "f", text, error), 0);
    assert_int_equal(config.workers, 4);
    assert_int_equal(config.idle_timeout, 3);
    assert_int_equal(config.backlog, 4096); /* untouched */
    assert_string_equal(config.root, "/srv/www");
    assert_string_equal(config.index, "index.html");
    assert_int_equal(site_config_finish(&config, error), 0);
    assert_int_equal(ntohs(config.listen_address.sin_port), 8080);
    assert_int_equal(ntohl(config.listen_address.sin_addr.s_addr), 0x0a4d0002);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"lisen = \"x\"\n", "f:1:1: unknown key 'lisen'; did you mean 'listen'?"},
        {"workers = 2\n  idle_timout = 3\n",
         "f:2:3: unknown key 'idle_timout'; did you mean 'idle_timeout'?"},
        {"# x\nzebra_crossing = 1\n", "f:2:1: unknown key 'zebra_crossing'"},
        {"workers = 0\n", "f:1:11: workers must be between 1 and 64, not 0"},
        {"\nworkers =\n   65\n", "f:3:4: workers must be between 1 and 64, not 65"},
        {"workers = many\n", "f:1:11: "},
        {"line_bytes = 16385\n", "f:1:14: line_bytes must be between 1024 and 16384, not 16385"},
        {"listen = \"nowhere\"\n", "f:1:10: listen must be ADDRESS:PORT, such as 10.77.0.2:80"},
        {"listen = \"1.2.3.4:0\"\n", "f:1:10: listen must be"},
        {"listen = \"1.2.3.4:65536\"\n", "f:1:10: listen must be"},
        {"listen = \"1.2.3:80\"\n", "f:1:10: listen must be"},
        {"listen = \"1.2.3.4:80x\"\n", "f:1:10: listen must be"},
        {"index = \"a/b\"\n", "f:1:9: index must be"},
        {"index = \"\"\n", "f:1:9: index must be"},
        {"workers 2\n", "f:1:9: "},
        {"workers = 2\n}\n", "f:2:1: "},
        {"root = \"open\n", "f:"},
        {"server { }\n", "f:1:1: unknown key 'server'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct site_config config, before;
        char error[SITE_ERROR_BYTES];
        site_config_default(&config);
        before = config;
        if (site_config_parse(&config, "f", rows[i].text, error) != -1)
            fail_msg("taken: %s", rows[i].text);
        if (strncmp(error, rows[i].error, strlen(rows[i].error)) != 0)
            fail_msg("%s: '%s' instead of '%s'", rows[i].text, error, rows[i].error);
        assert_memory_equal(&config, &before, sizeof(config));
    }
}

static void test_no_root(void **state)
{
    struct site_config config;
    char error[SITE_ERROR_BYTES];
    (void)state;
    site_config_default(&config);
    assert_int_equal(site_config_finish(&config, error), -1);
    assert_non_null(strstr(error, "root"));
}

static void test_command_line(void **state)
{
    struct site_source source = {.root = "/", .listen = ":8080", .workers = "3"};
    struct site_config config;
    char error[SITE_ERROR_BYTES];
    (void)state;
    assert_int_equal(site_config_load(&source, &config, error), 0);
    assert_int_equal(config.workers, 3);
    assert_int_equal(ntohs(config.listen_address.sin_port), 8080);
    source.workers = "3x";
    assert_int_equal(site_config_load(&source, &config, error), -1);
    source.workers = NULL;
    source.root = "/nonexistent-root";
    assert_int_equal(site_config_load(&source, &config, error), -1);
    assert_non_null(strstr(error, "No such file"));
}

/* S8: an idle module first, in turn; else the least loaded; never one that was tried in vain. */
static void test_pick(void **state)
{
    struct scoreboard *board = scoreboard_open(3);
    unsigned turn = 0;
    (void)state;
    assert_int_equal(scoreboard_pick(board, &turn, 0), 0);
    assert_int_equal(scoreboard_pick(board, &turn, 0), 1);
    assert_int_equal(scoreboard_pick(board, &turn, 0), 2);
    board->places[0].open = 1;
    assert_int_equal(scoreboard_pick(board, &turn, 0), 1);
    board->places[1].handed = 5;
    board->places[1].taken = 3; /* two wait in its queue */
    board->places[2].open = 3;
    assert_int_equal(scoreboard_load(&board->places[1]), 2);
    assert_int_equal(scoreboard_pick(board, &turn, 0), 0);
    assert_int_equal(scoreboard_pick(board, &turn, 1), 1);
    assert_int_equal(scoreboard_pick(board, &turn, 1 | 2), 2);
    assert_int_equal(scoreboard_pick(board, &turn, 1 | 2 | 4), -1);
    board->places[0].owner = 77;
    scoreboard_set_open(&board->places[0], 78, 9); /* replaced: ignored */
    assert_int_equal(board->places[0].open, 1);
    scoreboard_set_open(&board->places[0], 77, 9);
    assert_int_equal(board->places[0].open, 9);
}

/* S7: the descriptor arrives with both addresses and is the same socket; S12. */
static void test_handoff(void **state)
{
    struct handoff sent = {.peer = {.sin_port = 1}, .local = {.sin_port = 2}};
    struct handoff got[HANDOFF_BATCH];
    int ends[2], pair[2];
    char byte = 0;
    (void)state;
    assert_int_equal(handoff_open(ends), 0);
    assert_int_equal(handoff_receive(ends[1], got), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    sent.fd = pair[0];
    for (int i = 0; i < 3; i++)
        assert_int_equal(handoff_send(ends[0], &sent), 0);
    close(pair[0]);
    assert_int_equal(handoff_receive(ends[1], got), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(got[i].peer.sin_port, 1);
        assert_int_equal(got[i].local.sin_port, 2);
        assert_int_equal(write(got[i].fd, "x", 1), 1);
        assert_int_equal(read(pair[1], &byte, 1), 1);
        assert_int_equal(byte, 'x');
        close(got[i].fd);
    }
    assert_int_equal(read(pair[1], &byte, 1), 0); /* the last copy is closed */
    close(pair[1]);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_errors),
        cmocka_unit_test(test_no_root), cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_pick),    cmocka_unit_test(test_handoff),
    };
    return cmocka_run_group_tests_name("http_config", tests, NULL, NULL);
}

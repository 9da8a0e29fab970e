/* The console: lines read against its command table, answers put together and set in columns. */
#define _GNU_SOURCE
#include "../../cli/command.h"
#include "../../cli/console.h"
#include "../../cli/remote.h"
#include "../../cli/show.h"
#include "../../cli/table.h"
#include "../../cli/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Lines ---- */

static void test_lines_are_cut_into_words(void **state)
{
    static const struct {
        const char *line;
        int count;
        const char *words[4];
    } cases[] = {
        {"", 0, {NULL}},
        {"  \t ", 0, {NULL}},
        {"# all of it", 0, {NULL}},
        {"show", 1, {"show"}},
        {"  show\tarp  ", 2, {"show", "arp"}},
        {"kill 3 # the slow one", 2, {"kill", "3"}},
        {"capture start \"a file\"", 3, {"capture", "start", "a file"}},
        {"capture start a' 'file'#1'", 3, {"capture", "start", "a file#1"}},
        {"events a#b", 2, {"events", "a#b"}},
        {"x '' y", 3, {"x", "", "y"}},
        {"x 'y", -1, {"column 3"}},
        {"1 2 3 4 5", -1, {"more than 4"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[80], error[80] = "", *words[4];
        strcpy(line, cases[i].line);
        assert_int_equal(command_split(line, words, 4, error, sizeof error), cases[i].count);
        if (cases[i].count < 0)
            assert_non_null(strstr(error, cases[i].words[0]));
        for (int j = 0; j < cases[i].count; j++)
            assert_string_equal(words[j], cases[i].words[j]);
    }
}

/* Reads a whole line. Returns "words {arguments}" or "! error", to be freed. */
static char *line_read(const char *line)
{
    char copy[160], error[200] = "", *words[COMMAND_WORDS_MAX], *result = NULL;
    int used;
    strcpy(copy, line);
    int count = command_split(copy, words, COMMAND_WORDS_MAX, error, sizeof error);
    const struct command *command = command_find(words, count, &used, error, sizeof error);
    json_t *arguments =
        command ? command_arguments(command, words + used, count - used, error, sizeof error)
                : NULL;
    char *dump = arguments ? json_dumps(arguments, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    assert_true(asprintf(&result, arguments ? "%s %s" : "! %s", arguments ? command->words : error,
                         dump) > 0);
    free(dump);
    json_decref(arguments);
    return result;
}

static void test_commands_are_read(void **state)
{
    static const struct {
        const char *line, *begins;
    } cases[] = {
        {"show", "show {}"},
        {"sh", "show {}"},
        {"show json", "show {\"json\":true}"},
        {"show connections", "show connections {}"},
        {"show connections state LISTEN port 80",
         "show connections {\"port\":80,\"state\":\"LISTEN\"}"},
        {"show connections peer 10.77.0.1 json",
         "show connections {\"json\":true,\"peer\":\"10.77.0.1\"}"},
        {"show connection 3", "show connection {\"id\":3}"},
        {"show connection json 3", "show connection {\"id\":3,\"json\":true}"},
        {"sh li", "show listeners {}"},
        {"sh arp", "show arp {}"},
        {"counters Tcp* -z", "counters {\"glob\":\"Tcp*\",\"z\":true}"},
        {"counters -z", "counters {\"z\":true}"},
        {"events 5", "events {\"count\":5}"},
        {"k 7", "kill {\"id\":7}"},
        {"set tcp.msl 2s", "set {\"name\":\"tcp.msl\",\"value\":\"2s\"}"},
        {"cap start /tmp/x limit 1000", "capture start {\"file\":\"/tmp/x\",\"limit\":1000}"},
        {"help show conn", "help {\"command\":\"show\",\"part\":\"conn\"}"},
        {"impair add out loss 1% 25%", "impair add {\"rule\":\"out loss 1% 25%\"}"},
        {"impair add interface tap1 json in mtu 900",
         "impair add {\"interface\":\"tap1\",\"json\":true,\"rule\":\"in mtu 900\"}"},
        {"imp add", "! missing \"RULE\"; usage: impair add [interface NAME] [json] RULE..."},
        {"impair del 3 tap1", "impair del {\"interface\":\"tap1\",\"number\":3}"},
        {"impair del x", "! NUMBER must be a number"},
        {"filter add input at 2 drop proto tcp name \"two words\"",
         "filter add {\"at\":2,\"chain\":\"input\",\"rule\":\"drop proto tcp name "
         "\\\"two words\\\"\"}"},
        {"filter add input drop in at port 5",
         "filter add {\"chain\":\"input\",\"rule\":\"drop in at port 5\"}"},
        {"filter add input", "! missing \"RULE\"; usage: filter add CHAIN [at NUMBER] RULE..."},
        {"filter test output out tap0",
         "filter test {\"chain\":\"output\",\"packet\":\"out tap0\"}"},
        {"frob", "! unknown command \"frob\""},
        {"showing", "! unknown command \"showing\""},
        {"show conn", "! incomplete or not clear; there are: show connections, show connection"},
        {"c", "! incomplete or not clear; there are: counters, capture start"},
        {"capture", "! incomplete or not clear; there are: capture start, capture stop"},
        {"capture begin", "! \"begin\" is not known here; there are: capture start"},
        {"show nothing", "! unexpected \"nothing\"; usage: show [json]"},
        {"show connection", "! missing \"ID\"; usage: show connection ID [json] (show conn"},
        {"show connection x", "! ID must be a number, not \"x\""},
        {"kill -1", "! ID must be a number, not \"-1\""},
        {"kill 1x", "! ID must be a number"},
        {"kill 99999999999999999999", "! ID must be a number"},
        {"kill 1 2", "! unexpected \"2\"; usage: kill ID"},
        {"kill", "! missing \"ID\""},
        {"show connections state", "! state: STATE is missing"},
        {"show connections port http", "! PORT must be a number"},
        {"set tcp.msl", "! missing \"VALUE\""},
        {"show json json", "! unexpected \"json\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *read = line_read(cases[i].line);
        if (strncmp(read, cases[i].begins, strlen(cases[i].begins)) != 0)
            fail_msg("%s: %s", cases[i].line, read);
        free(read);
    }
}

static void test_what_may_come_next(void **state)
{
    static const struct {
        const char *before, *words, *value;
    } cases[] = {
        {"",
         "show arp route address interface counters events watch ping traceroute pmtu kill set "
         "filter flows "
         "impair capture help "
         "quit",
         ""},
        {"capture", "start stop status", ""},
        {"impair", "add list del clear presets", ""},
        {"impair add", "interface json", "RULE"},
        {"show connections", "state port peer json", ""},
        {"show connections state", "", "STATE"},
        {"show connections state LISTEN", "port peer json", ""},
        {"show connection", "json", "ID"},
        {"show connection 3", "json", ""},
        {"kill", "", "ID"},
        {"kill 3", "", ""},
        {"set", "json", "NAME"},
        {"set tcp.msl", "json", "VALUE"},
        {"capture start", "limit", "FILE"},
        {"frob", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char before[80], error[80], words_text[512], value[16], *words[8], joined[512] = "";
        const char *list[32];
        strcpy(before, cases[i].before);
        int count = command_split(before, words, 8, error, sizeof error);
        int found = command_candidates(words, count, list, 32, words_text, sizeof words_text, value,
                                       sizeof value);
        for (int j = 0; j < found; j++)
            sprintf(joined + strlen(joined), "%s%s", j ? " " : "", list[j]);
        assert_string_equal(joined, cases[i].words);
        assert_string_equal(value, cases[i].value);
    }
}

/* ---- Help and the manual page say what there is ---- */

static void test_the_manual_page_has_every_command(void **state)
{
    static char page[65536];
    FILE *file = fopen("cli/tapctl.8", "r");
    (void)state;
    if (!file) {
        print_message("SKIP test_the_manual_page_has_every_command: not run from the root\n");
        skip();
    }
    assert_true(fread(page, 1, sizeof page - 1, file) > 0);
    fclose(file);
    for (const struct command *c = command_list; c->words; c++) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "\n.It Cm %s", c->words);
        if (!strstr(page, wanted))
            fail_msg("the page has no .It Cm %s", c->words);
    }
}

static char *output; /* of the function under test */
static size_t output_size;

static FILE *output_open(void) { return open_memstream(&output, &output_size); }

/* No line is longer than the width. */
static void expect_narrow(void)
{
    for (const char *line = output; *line;) {
        size_t length = strcspn(line, "\n");
        if (length > TABLE_WIDTH)
            fail_msg("%zu columns: %.*s", length, (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void test_help_lists_every_command(void **state)
{
    struct console console = {.out = output_open()};
    (void)state;
    assert_int_equal(console_execute(&console, "help", ""), 0);
    fclose(console.out);
    for (const struct command *c = command_list; c->words; c++)
        assert_non_null(strstr(output, c->words));
    expect_narrow();
    free(output);
}

/* ---- Columns ---- */

static void test_columns_are_aligned(void **state)
{
    static const char *const headings[] = {"Id", "State", "Local"};
    struct table table;
    FILE *out = output_open();
    (void)state;
    table_open(&table, "rll", headings);
    table_add(&table, "%d", 7);
    table_add(&table, "LISTEN");
    table_add(&table, "*:80");
    table_add(&table, "%d", 12345);
    table_add(&table, "ESTABLISHED");
    table_add(&table, "10.77.0.2:80");
    table_print(&table, out);
    fclose(out);
    assert_string_equal(output, "   Id  State        Local\n"
                                "    7  LISTEN       *:80\n"
                                "12345  ESTABLISHED  10.77.0.2:80\n");
    free(output);
}

static void test_a_long_last_column_goes_on_below(void **state)
{
    static const char *const headings[] = {"Name", "What"};
    struct table table;
    FILE *out = output_open();
    (void)state;
    table_open(&table, "ll", headings);
    table_add(&table, "%-60s", "name");
    table_add(&table, "one two three four five six seven eight nine ten");
    table_print(&table, out);
    fclose(out);
    expect_narrow();
    assert_non_null(strstr(output, "seven\n"));
    assert_non_null(strstr(output, "  eight nine ten\n"));
    free(output);
}

static void test_units_are_chosen(void **state)
{
    char text[UNIT_TEXT_MAX];
    (void)state;
    assert_string_equal(unit_ms(312, text), "0.312 ms");
    assert_string_equal(unit_ms(201100, text), "201.100 ms");
    assert_string_equal(unit_duration(12345678, text), "12.345 s");
    assert_string_equal(unit_duration(UINT64_C(3723000000), text), "1h 02m 03s");
    assert_string_equal(unit_bytes(1023, text), "1023 B");
    assert_string_equal(unit_bytes(1536, text), "1.5 KiB");
    assert_string_equal(unit_rate(1500000, text), "1.5 Mbit/s");
    assert_string_equal(unit_setting(200000, "us", text), "200ms");
    assert_string_equal(unit_setting(1500000, "us", text), "1500ms");
    assert_string_equal(unit_setting(0, "us", text), "0us");
    assert_string_equal(unit_setting(6291456, "bytes", text), "6M");
    assert_string_equal(unit_setting(10, "segments", text), "10 segments");
    assert_string_equal(unit_setting(1000, "/s", text), "1000/s");
}

static const char wide_connection[] =
    "{\"connection\":{\"id\":9999999,\"protocol\":\"tcp\",\"state\":\"ESTABLISHED\",\"recv_q\":"
    "4294967295,"
    "\"send_q\":4294967295,\"local\":{\"address\":\"255.255.255.255\",\"port\":65535},"
    "\"remote\":{\"address\":\"255.255.255.255\",\"port\":65535},\"pid\":4194304,"
    "\"passive\":true,\"timestamps\":true,\"sack\":true,\"window_scaling\":true,"
    "\"fin_sent\":true,\"fin_received\":true,\"outcome\":\"connection reset\","
    "\"iss\":4294967290,\"snd_una\":5,\"snd_nxt\":4294967295,\"irs\":100,\"rcv_nxt\":178,"
    "\"rto_left_us\":201333,\"persist_left_us\":null,\"keepalive_left_us\":7199000000,"
    "\"rtt\":312,\"rto\":200000,\"ssthresh\":null,\"cwnd\":14480,\"busy_time\":1000,"
    "\"rwnd_limited\":830,\"age_us\":86400000000}}";

static void test_a_connection_is_shown(void **state)
{
    static const char *const wanted[] = {
        "ESTABLISHED  255.255.255.255:65535 <- 255.255.255.255:65535",
        "snd.una +11", /* beyond the wrap of sequence numbers */
        "rcv.nxt +78",
        "srtt 0.312 ms",
        "retransmission in 201.333 ms",
        "ssthresh -",
        "(83 %)",
        "ended: connection reset",
    };
    json_t *answer = json_loads(wide_connection, 0, NULL);
    FILE *out = output_open();
    (void)state;
    assert_non_null(answer);
    show_connection(out, answer);
    fclose(out);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(output, wanted[i]))
            fail_msg("no %s in:\n%s", wanted[i], output);
    assert_null(strstr(output, "persist"));
    expect_narrow();
    free(output);
    json_decref(answer);
}

static void test_the_widest_connection_fits(void **state)
{
    json_t *answer = json_loads(wide_connection, 0, NULL), *list = json_array();
    FILE *out = output_open();
    (void)state;
    json_array_append(list, json_object_get(answer, "connection"));
    json_object_set_new(answer, "connections", list);
    show_connections(out, answer);
    fclose(out);
    expect_narrow();
    free(output);
    json_decref(answer);
}

/* An answer that lacks what is shown (of another version) is shown without it. */
static void test_empty_answers_are_shown(void **state)
{
    (void)state;
    for (const struct command *c = command_list; c->words; c++) {
        if (!c->print)
            continue;
        json_t *answer = json_object();
        FILE *out = output_open();
        c->print(out, answer);
        fclose(out);
        expect_narrow();
        free(output);
        json_decref(answer);
    }
}

/* ---- The daemon's side, played ---- */

static const char greeting[] = "{\"program\":\"tapstackd\",\"version\":\"0\",\"protocol\":1}\n";

/* Plays a daemon that says this to each of two connections, once something was asked. */
static pid_t play(const char *dir, const char *first_line, const char *answer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control", dir);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 2), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 2; i++) {
            char request[1000];
            int fd = accept(listener, NULL, NULL);
            (void)!write(fd, first_line, strlen(first_line));
            if (read(fd, request, sizeof request) > 0)
                (void)!write(fd, answer, strlen(answer));
            close(fd);
        }
        _exit(0);
    }
    close(listener);
    return pid;
}

/* Asks twice what the played daemon answers; the second time over a new connection. */
static void with_daemon(const char *first_line, const char *answer, const char *expected,
                        const char *error)
{
    char dir[] = "/tmp/tapstack-test-XXXXXX", path[64];
    struct remote remote;
    assert_non_null(mkdtemp(dir));
    pid_t pid = play(dir, first_line, answer);
    remote_init(&remote, dir);
    for (int i = 0; i < 2; i++) {
        json_t *got = remote_ask(&remote, json_pack("{s:s}", "do", "show"), -1);
        char *dump = got ? json_dumps(got, JSON_COMPACT) : NULL;
        if (expected) {
            assert_non_null(dump);
            assert_string_equal(dump, expected);
        } else {
            assert_null(got);
            if (!strstr(remote.error, error))
                fail_msg("not %s, but: %s", error, remote.error);
        }
        free(dump);
        json_decref(got);
        struct pollfd end = {.fd = remote.fd, .events = POLLIN};
        if (remote.fd >= 0)
            assert_int_equal(poll(&end, 1, -1), 1); /* the played daemon has closed */
    }
    remote_close(&remote);
    waitpid(pid, NULL, 0);
    snprintf(path, sizeof path, "%s/control", dir);
    unlink(path);
    rmdir(dir);
}

static void test_answers_are_put_together(void **state)
{
    (void)state;
    with_daemon(greeting, "{\"a\":[1,2],\"b\":1}\n{\"a\":[3]}\n{\"a\":[],\"c\":2,\"ok\":true}\n",
                "{\"a\":[1,2,3],\"b\":1,\"c\":2}", NULL);
    with_daemon(greeting, "{\"ok\":true}\n", "{}", NULL);
}

static void test_bad_answers_are_errors(void **state)
{
    (void)state;
    with_daemon(greeting, "{\"error\":{\"code\":\"not-found\",\"message\":\"no connection 9\"}}\n",
                NULL, "no connection 9");
    with_daemon(greeting, "{\"a\":[1]}\n", NULL, "the daemon has gone");
    with_daemon(greeting, "nonsense\n", NULL, "no JSON object");
    with_daemon("{\"program\":\"tapstackd\",\"protocol\":9}\n", "", NULL, "protocol 9");
}

static void test_no_daemon_is_an_error(void **state)
{
    struct remote remote;
    (void)state;
    remote_init(&remote, "/nonexistent");
    assert_null(remote_ask(&remote, json_pack("{s:s}", "do", "show"), -1));
    assert_non_null(strstr(remote.error, "/nonexistent/control"));
    remote_close(&remote);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_cut_into_words),
        cmocka_unit_test(test_commands_are_read),
        cmocka_unit_test(test_what_may_come_next),
        cmocka_unit_test(test_the_manual_page_has_every_command),
        cmocka_unit_test(test_help_lists_every_command),
        cmocka_unit_test(test_columns_are_aligned),
        cmocka_unit_test(test_a_long_last_column_goes_on_below),
        cmocka_unit_test(test_units_are_chosen),
        cmocka_unit_test(test_a_connection_is_shown),
        cmocka_unit_test(test_the_widest_connection_fits),
        cmocka_unit_test(test_empty_answers_are_shown),
        cmocka_unit_test(test_answers_are_put_together),
        cmocka_unit_test(test_bad_answers_are_errors),
        cmocka_unit_test(test_no_daemon_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

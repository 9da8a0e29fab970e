/* The control socket: requests read, answered and refused; captures written. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../tapstack/host/control.h"
#include "../../tapstack/host/device.h"
#include "../../tapstack/host/heap.h"
#include "../../tapstack/host/log.h"
#include "../../tapstack/wire/pcapng.h"

/* ---- One line ---- */

static void test_requests_are_read(void **state)
{
    static const struct {
        const char *line, *code; /* code NULL: good */
        int column;
    } cases[] = {
        {"{\"do\":\"show\"}", NULL, 0},
        {" { \"do\" : \"show.connection\", \"id\": 3 } ", NULL, 0},
        {"{\"do\":\"show.connections\",\"state\":\"LISTEN\",\"port\":80}", NULL, 0},
        {"{\"do\":\"set\",\"name\":\"tcp.msl\",\"value\":1000}", NULL, 0},
        {"{\"do\":\"set\",\"name\":\"tcp.msl\",\"value\":\"1s\"}", NULL, 0},
        {"", "syntax", 1},
        {"show", "syntax", 4},
        {"{\"do\":\"show\"", "syntax", 12},
        {"{\"do\":\"show\"} x", "syntax", 15},
        {"{\"do\":\"show\",\"do\":\"kill\"}", "syntax", 17},
        {"{\"do\":\"\xff\"}", "syntax", 7},
        {"[\"show\"]", "no-object", 1},
        {"{}", "no-command", 0},
        {"{\"do\":3}", "no-command", 0},
        {"{\"do\":\"shwo\"}", "unknown-command", 0},
        {"{\"do\":\"show\",\"id\":3}", "unknown-argument", 0},
        {"{\"do\":\"show.connection\"}", "missing-argument", 0},
        {"{\"do\":\"show.connection\",\"id\":\"3\"}", "bad-argument", 0},
        {"{\"do\":\"show.connection\",\"id\":-3}", "bad-argument", 0},
        {"{\"do\":\"show.connection\",\"id\":3.5}", "bad-argument", 0},
        {"{\"do\":\"show.connection\",\"id\":null}", "bad-argument", 0},
        {"{\"do\":\"counters\",\"all\":1}", "bad-argument", 0},
        {"{\"do\":\"set\",\"name\":\"tcp.msl\",\"value\":true}", "bad-argument", 0},
        {"{\"do\":\"set\",\"name\":\"tcp.msl\"}", "missing-argument", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct control_request request;
        struct control_error error;
        int result = control_request_parse(cases[i].line, strlen(cases[i].line), &request, &error);
        if (!cases[i].code) {
            assert_int_equal(result, 0);
            json_decref(request.arguments);
            continue;
        }
        assert_int_equal(result, -1);
        if (strcmp(error.code, cases[i].code) != 0 || error.column != cases[i].column)
            fail_msg("%s: %s at %d (%s)", cases[i].line, error.code, error.column, error.message);
        assert_true(strlen(error.message) > 10);
    }
}

/* ---- A daemon of little more than a loop ---- */

struct house {
    struct daemon daemon;
    char dir[64];
    int listener; /* of the stack */
    int far;      /* the other side of tap0 */
};

static uint64_t at_once(struct loop *loop) { return loop->now_us; }

static bool one_turn(struct loop *loop)
{
    loop->stop = true;
    return false;
}

static void turn(struct house *house)
{
    house->daemon.loop.stop = false;
    loop_run(&house->daemon.loop);
}

static struct stack *stack_make(uint64_t now_us)
{
    struct stack_config config = {.memory = heap_memory, .event_capacity = 256};
    struct stack_interface_config interface = {.name = "tap0",
                                               .mac = {{2, 0, 0, 0, 0, 2}},
                                               .mtu_bytes = 1500,
                                               .address_v4 = 0x0a4d0002,
                                               .prefix_bits = 24};
    stack_settings_default(&config.settings);
    struct stack *stack = stack_create(&config, now_us);
    assert_non_null(stack);
    assert_int_equal(stack_add_interface(stack, &interface, now_us), 0);
    return stack;
}

/* tap0 is one end of a socket pair. */
static void device_make(struct house *house)
{
    int ends[2];
    struct tap tap = {.name = "tap0", .offload_text = "none (a test)"};
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    tap.fd = ends[0];
    house->far = ends[1];
    house->daemon.device[0] = device_create(&house->daemon, 0, &tap);
    assert_non_null(house->daemon.device[0]);
    house->daemon.device_count = 1;
}

static int house_open(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    struct daemon *daemon = &house->daemon;
    log_set_level(LOG_LEVEL_ERROR);
    strcpy(house->dir, "/tmp/tapstack-test-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    assert_int_equal(loop_open(&daemon->loop), 0);
    daemon->loop.tail = one_turn;
    daemon->loop.deadline = at_once;
    daemon->started_at = daemon->loop.now_us;
    config_default(&daemon->config);
    daemon->config.control_uid = UINT32_MAX;
    device_make(house);
    daemon->stack = stack_make(daemon->loop.now_us);
    daemon->capture = capture_create(daemon);
    assert_non_null(daemon->capture);
    daemon->control = control_server_create(daemon, house->dir);
    assert_non_null(daemon->control);
    struct stack_endpoint local = {.address = ip_address_from_v4(0x0a4d0002), .port = 80};
    house->listener = stack_open(daemon->stack, 6);
    assert_int_equal(stack_bind(daemon->stack, house->listener, &local), 0);
    assert_int_equal(stack_listen(daemon->stack, house->listener, 16), 0);
    *state = house;
    return 0;
}

static int house_close(void **state)
{
    struct house *house = *state;
    control_server_destroy(house->daemon.control);
    capture_destroy(house->daemon.capture);
    stack_destroy(house->daemon.stack);
    device_destroy(house->daemon.device[0]);
    close(house->far);
    loop_close(&house->daemon.loop);
    assert_int_equal(rmdir(house->dir), 0); /* the socket is gone too */
    free(house);
    return 0;
}

static int console_open(struct house *house)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control", house->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line of the daemon, as an object; NULL when none came in many turns. */
static json_t *hear(struct house *house, int fd)
{
    static char line[1 << 20];
    size_t used = 0;
    for (int i = 0; i < 1000;) {
        ssize_t got = recv(fd, line + used, 1, 0);
        if (got == 0)
            return NULL;
        if (got < 0) {
            turn(house);
            i++;
            continue;
        }
        if (line[used++] == '\n') {
            json_t *object = json_loadb(line, used - 1, 0, NULL);
            assert_true(json_is_object(object));
            return object;
        }
    }
    return NULL;
}

/* All of an answer: its lines put together, the last one's "ok" or "error" included. */
static json_t *ask(struct house *house, int fd, const char *request)
{
    json_t *answer = json_object(), *line;
    const char *name;
    json_t *value;
    say(fd, request);
    say(fd, "\n");
    for (;;) {
        line = hear(house, fd);
        assert_non_null(line);
        bool last = json_object_get(line, "ok") || json_object_get(line, "error");
        json_object_foreach(line, name, value)
        {
            json_t *before = json_object_get(answer, name);
            if (json_is_array(before) && json_is_array(value))
                json_array_extend(before, value);
            else
                json_object_set(answer, name, value);
        }
        json_decref(line);
        if (last)
            return answer;
    }
}

static const char *error_code(const json_t *answer)
{
    const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
    return code ? code : "none";
}

static void expect_error(struct house *house, int fd, const char *request, const char *code)
{
    json_t *answer = ask(house, fd, request);
    assert_string_equal(error_code(answer), code);
    json_decref(answer);
}

static void expect_ok(struct house *house, int fd, const char *request)
{
    json_t *answer = ask(house, fd, request);
    if (!json_object_get(answer, "ok"))
        fail_msg("%s: %s", request, error_code(answer));
    json_decref(answer);
}

static int greeted(struct house *house)
{
    int fd = console_open(house);
    json_t *greeting = hear(house, fd);
    assert_string_equal(json_string_value(json_object_get(greeting, "program")), "tapstackd");
    assert_int_equal(json_integer_value(json_object_get(greeting, "protocol")), CONTROL_PROTOCOL);
    json_decref(greeting);
    return fd;
}

/* ---- The server ---- */

static void test_errors_leave_the_connection(void **state)
{
    struct house *house = *state;
    int fd = greeted(house);
    expect_error(house, fd, "nonsense", "syntax");
    expect_error(house, fd, "[]", "no-object");
    expect_error(house, fd, "{\"do\":\"show.connection\",\"id\":99}", "not-found");
    expect_error(house, fd, "{\"do\":\"show.connections\",\"state\":\"OPEN\"}", "bad-argument");
    expect_error(house, fd, "{\"do\":\"show.connections\",\"port\":65536}", "bad-argument");
    expect_error(house, fd, "{\"do\":\"show.connections\",\"peer\":\"10.77\"}", "bad-argument");
    expect_ok(house, fd, "{\"do\":\"show\"}");
    close(fd);
}

/* A message quotes a part of the request; what is cut in the middle of a character stays JSON. */
static void test_quotes_may_cut_characters(void **state)
{
    static const char *const requests[] = {"{\"do\":\"%s\"}",
                                           "{\"do\":\"show\",\"%s\":1}",
                                           "{\"do\":\"show.connections\",\"state\":\"%s\"}",
                                           "{\"do\":\"show.connections\",\"peer\":\"%s\"}",
                                           "\"%s\"",
                                           "%s"};
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa7"};
    struct house *house = *state;
    int fd = greeted(house);
    for (size_t r = 0; r < sizeof requests / sizeof requests[0]; r++) {
        for (int i = 0; i < 12; i++) { /* each place in each character */
            char text[512], line[600];
            size_t used = (size_t)(i % 4);
            memset(text, 'a', used);
            for (int n = 0; n < 100; n++)
                used += (size_t)sprintf(text + used, "%s", characters[i / 4]);
            snprintf(line, sizeof line, requests[r], text);
            json_t *answer = ask(house, fd, line);
            assert_string_not_equal(error_code(answer), "none");
            json_decref(answer);
        }
    }
    close(fd);
}

static void test_every_reading_command_answers(void **state)
{
    struct house *house = *state;
    char request[80];
    int fd = greeted(house);
    for (const struct control_command *c = control_commands; c->name; c++) {
        if (c->write || c->arguments[0].required)
            continue;
        snprintf(request, sizeof request, "{\"do\":\"%s\"}", c->name);
        expect_ok(house, fd, request);
    }
    close(fd);
}

static void test_a_line_may_come_in_pieces(void **state)
{
    struct house *house = *state;
    int fd = greeted(house);
    say(fd, "{\"do\":\"sh");
    turn(house);
    turn(house);
    expect_ok(house, fd, "ow\"}");
    close(fd);
}

static void test_a_long_line_is_refused_once(void **state)
{
    struct house *house = *state;
    int fd = greeted(house);
    char piece[1025];
    memset(piece, 'x', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    for (int i = 0; i < 150; i++) {
        say(fd, piece);
        turn(house);
    }
    json_t *line = hear(house, fd);
    assert_string_equal(error_code(line), "too-long");
    json_decref(line);
    expect_ok(house, fd, "\n{\"do\":\"show\"}");
    close(fd);
}

static void test_listeners_are_shown(void **state)
{
    struct house *house = *state;
    int fd = greeted(house);
    json_t *answer = ask(house, fd, "{\"do\":\"show.listeners\"}");
    json_t *list = json_object_get(answer, "listeners");
    assert_int_equal(json_array_size(list), 1);
    json_t *local = json_object_get(json_array_get(list, 0), "local");
    assert_string_equal(json_string_value(json_object_get(local, "address")), "10.77.0.2");
    assert_int_equal(json_integer_value(json_object_get(local, "port")), 80);
    json_decref(answer);
    answer = ask(house, fd, "{\"do\":\"show.connections\",\"state\":\"listen\",\"port\":80}");
    assert_int_equal(json_array_size(json_object_get(answer, "connections")), 1);
    json_decref(answer);
    answer = ask(house, fd, "{\"do\":\"show.connections\",\"port\":81}");
    assert_int_equal(json_array_size(json_object_get(answer, "connections")), 0);
    json_decref(answer);
    close(fd);
}

static void test_writing_must_be_asked_for(void **state)
{
    struct house *house = *state;
    struct stack_settings *settings = stack_settings(house->daemon.stack);
    int fd = greeted(house), other = greeted(house);
    expect_error(house, fd, "{\"do\":\"set\",\"name\":\"ip.ttl\",\"value\":10}", "read-only");
    assert_int_equal(settings->ip_ttl, 64);
    expect_ok(house, fd, "{\"do\":\"write\"}");
    expect_ok(house, fd, "{\"do\":\"set\",\"name\":\"ip.ttl\",\"value\":10}");
    assert_int_equal(settings->ip_ttl, 10);
    expect_error(house, other, "{\"do\":\"set\",\"name\":\"ip.ttl\",\"value\":11}", "read-only");
    expect_ok(house, fd, "{\"do\":\"set\",\"name\":\"tcp.msl\",\"value\":\"1500ms\"}");
    assert_int_equal(settings->tcp_msl_us, 1500000);
    expect_error(house, fd, "{\"do\":\"set\",\"name\":\"ip.ttl\",\"value\":256}", "out-of-bounds");
    expect_error(house, fd, "{\"do\":\"set\",\"name\":\"ip.tll\",\"value\":1}", "not-found");
    expect_error(house, fd, "{\"do\":\"set\",\"name\":\"tcp.msl\",\"value\":\"1 day\"}",
                 "bad-argument");
    expect_error(house, fd, "{\"do\":\"kill\",\"id\":4000000000}", "not-found");
    close(fd);
    close(other);
}

static void test_neighbors_are_changed_by_hand(void **state)
{
    static const struct {
        const char *arguments, *error; /* NULL: it is done */
    } rows[] = {
        {"arp.add\",\"address\":\"10.77.0.9\",\"mac\":\"02:00:00:00:00:09\"", NULL},
        {"arp.add\",\"address\":\"10.77.0.9\",\"mac\":\"02:00:00:00:00\"", "bad-argument"},
        {"arp.add\",\"address\":\"10.77.0.9\",\"mac\":\"01:00:00:00:00:00\"", "bad-argument"},
        {"arp.add\",\"address\":\"ten\",\"mac\":\"02:00:00:00:00:09\"", "bad-argument"},
        {"arp.add\",\"address\":\"10.77.0.2\",\"mac\":\"02:00:00:00:00:09\"", "bad-argument"},
        {"arp.add\",\"address\":\"10.9.0.9\",\"mac\":\"02:00:00:00:00:09\"", "bad-argument"},
        {"arp.add\",\"address\":\"10.77.0.9\"", "missing-argument"},
        {"arp.probe\",\"address\":\"10.77.0.8\"", NULL},
        {"arp.probe\",\"address\":\"10.77.0.9\"", "bad-argument"}, /* set by hand */
        {"arp.flush\",\"interface\":\"tap7\"", "not-found"},
        {"arp.flush\",\"interface\":\"tap0\"", NULL},
        {"arp.flush\"", NULL},
        {"arp.delete\",\"address\":\"10.77.0.8\"", "not-found"}, /* flushed */
        {"arp.delete\",\"address\":\"10.77.0.9\"", NULL},
        {"arp.delete\",\"address\":\"10.77.0.9\"", "not-found"},
        {"arp.delete\",\"address\":\"\"", "bad-argument"},
    };
    struct house *house = *state;
    char request[200];
    int fd = greeted(house);
    expect_error(house, fd, "{\"do\":\"arp.flush\"}", "read-only");
    expect_ok(house, fd, "{\"do\":\"write\"}");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(request, sizeof request, "{\"do\":\"%s}", rows[i].arguments);
        if (rows[i].error)
            expect_error(house, fd, request, rows[i].error);
        else
            expect_ok(house, fd, request);
    }
    close(fd);
}

static void test_routes_and_addresses_are_changed_by_hand(void **state)
{
    static const struct {
        const char *arguments, *error; /* NULL: it is done */
    } rows[] = {
        {"route.add\",\"route\":\"10.9.0.0/16 via 10.77.0.9 metric 10\"", NULL},
        {"route.add\",\"route\":\"10.9.0.0/16 via 10.77.0.8 metric 10\"", "bad-argument"},
        {"route.add\",\"route\":\"10.9.0.0/16 via 10.77.0.8\"", NULL},
        {"route.add\",\"route\":\"10.8.0.0/16 via 10.78.0.9\"", "bad-argument"},
        {"route.add\",\"route\":\"10.8.0.0/16 dev tap7\"", "bad-argument"},
        {"route.add\",\"route\":\"10.8.0.0/16\"", "bad-argument"},
        {"route.add\",\"route\":\"10.8.0.1/16 dev tap0\"", "bad-argument"},
        {"route.add\"", "missing-argument"},
        {"route.get\",\"address\":\"10.9.1.2\"", NULL},
        {"route.get\",\"address\":\"192.0.2.1\"", "not-found"},
        {"route.get\",\"address\":\"10.77.0.2\"", "not-found"},
        {"route.get\",\"address\":\"x\"", "bad-argument"},
        {"show.routes\"", NULL},
        {"route.del\",\"route\":\"10.9.0.0/16 via 10.77.0.9\"", "bad-argument"},
        {"route.del\",\"route\":\"10.9.0.0/16 metric 10\"", NULL},
        {"route.del\",\"route\":\"10.9.0.0/16 metric 10\"", "not-found"},
        {"route.del\",\"route\":\"10.9.0.0/16\"", NULL},
        {"route.del\",\"route\":\"10.77.0.0/24\"", "bad-argument"}, /* connected */
        {"address.add\",\"address\":\"10.79.0.2/24\"", NULL},
        {"address.add\",\"address\":\"10.79.0.2/24\",\"interface\":\"tap0\"", "bad-argument"},
        {"address.add\",\"address\":\"10.80.0.2/24\",\"interface\":\"tap7\"", "not-found"},
        {"address.add\",\"address\":\"10.80.0.0/24\"", "bad-argument"},
        {"address.add\",\"address\":\"10.80.0.1/0\"", "bad-argument"},
        {"address.add\",\"address\":\"ten\"", "bad-argument"},
        {"show.addresses\"", NULL},
        {"route.add\",\"route\":\"default via 10.79.0.1\"", NULL},
        {"address.del\",\"address\":\"10.79.0.2\"", NULL},
        {"route.get\",\"address\":\"192.0.2.1\"", "not-found"}, /* gone with it */
        {"address.del\",\"address\":\"10.79.0.2\"", "not-found"},
    };
    struct house *house = *state;
    char request[200];
    int fd = greeted(house);
    expect_error(house, fd, "{\"do\":\"route.del\",\"route\":\"default\"}", "read-only");
    expect_ok(house, fd, "{\"do\":\"write\"}");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(request, sizeof request, "{\"do\":\"%s}", rows[i].arguments);
        if (rows[i].error)
            expect_error(house, fd, request, rows[i].error);
        else
            expect_ok(house, fd, request);
    }
    close(fd);
}

/* A client that never reads gets no more memory, and no time of the others. */
static void test_a_client_that_does_not_read(void **state)
{
    struct house *house = *state;
    int deaf = console_open(house), fd = greeted(house);
    const char request[] = "{\"do\":\"show.settings\"}\n";
    size_t sent = 0;
    for (int i = 0; i < 20000; i++) {
        ssize_t count = send(deaf, request, sizeof request - 1, MSG_NOSIGNAL);
        if (count < (ssize_t)sizeof request - 1)
            break; /* the daemon has stopped reading, too */
        sent += (size_t)count;
        if (i % 16 == 0)
            turn(house);
    }
    assert_true(sent < 1 << 20);
    expect_ok(house, fd, "{\"do\":\"show\"}");
    close(deaf);
    expect_ok(house, fd, "{\"do\":\"show\"}");
    close(fd);
}

/* One that sent far ahead and reads late gets all of its answers. */
static void test_a_client_that_reads_late(void **state)
{
    enum { REQUESTS = 500 };
    static char bytes[1 << 16];
    struct house *house = *state;
    unsigned lines = 0;
    int fd = greeted(house);
    for (int i = 0; i < REQUESTS; i++) {
        say(fd, "{\"do\":\"show.settings\"}\n");
        turn(house);
    }
    for (int idle = 0; lines < REQUESTS && idle < 100;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        for (ssize_t i = 0; i < got; i++)
            lines += bytes[i] == '\n';
        idle = got > 0 ? 0 : idle + 1;
        turn(house);
    }
    assert_int_equal(lines, REQUESTS);
    close(fd);
}

static void test_requests_of_one_who_closed_are_served(void **state)
{
    struct house *house = *state;
    int fd = greeted(house);
    say(fd,
        "{\"do\":\"write\"}\n{\"do\":\"set\",\"name\":\"ip.ttl\",\"value\":7}"); /* no newline */
    shutdown(fd, SHUT_WR);
    json_t *first = hear(house, fd), *second = hear(house, fd);
    assert_non_null(first);
    assert_non_null(json_object_get(second, "ok"));
    assert_null(hear(house, fd)); /* and then the end */
    assert_int_equal(stack_settings(house->daemon.stack)->ip_ttl, 7);
    json_decref(first);
    json_decref(second);
    close(fd);
}

static void test_a_stream_ends_with_the_next_request(void **state)
{
    struct house *house = *state;
    int fd = greeted(house);
    say(fd, "{\"do\":\"events\",\"follow\":true}\n");
    for (int i = 0; i < 5; i++)
        turn(house);
    say(fd, "{\"do\":\"stop\"}\n");
    json_t *line = hear(house, fd);
    while (json_object_get(line, "events")) {
        json_decref(line);
        line = hear(house, fd);
    }
    assert_int_equal(json_integer_value(json_object_get(line, "lost")), 0);
    assert_non_null(json_object_get(line, "ok"));
    json_decref(line);
    line = hear(house, fd);
    assert_non_null(json_object_get(line, "ok"));
    json_decref(line);
    close(fd);
}

static void test_a_second_daemon_is_refused(void **state)
{
    struct house *house = *state;
    log_set_level(-1);
    assert_null(control_server_create(&house->daemon, house->dir));
    log_set_level(LOG_LEVEL_ERROR);
    int fd = greeted(house); /* the first one still has its socket */
    close(fd);
}

static void test_too_many_consoles(void **state)
{
    struct house *house = *state;
    int fds[80], refused = 0;
    for (int i = 0; i < 80; i++)
        fds[i] = console_open(house), turn(house);
    for (int i = 0; i < 80; i++) {
        json_t *line = hear(house, fds[i]);
        refused += strcmp(error_code(line), "busy") == 0;
        json_decref(line);
        close(fds[i]);
    }
    assert_int_equal(refused, 80 - 64);
    for (int i = 0; i < 20; i++)
        turn(house);
    close(greeted(house));
}

/* ---- Connections ---- */

/* Opens a connection that stays in SYN-SENT; its id. */
static uint32_t connect_out(struct house *house, uint16_t port)
{
    struct stack *stack = house->daemon.stack;
    struct stack_endpoint remote = {.address = ip_address_from_v4(0x0a4d0001), .port = port};
    struct stack_summary summary;
    int socket = stack_open(stack, 6);
    assert_int_equal(stack_connect(stack, socket, &remote, house->daemon.loop.now_us),
                     STACK_IN_PROGRESS);
    assert_int_equal(stack_summary(stack, socket, &summary, house->daemon.loop.now_us), 0);
    return summary.id;
}

static void test_a_connection_is_shown_and_killed(void **state)
{
    static const char *const wanted[] = {
        "state", "local", "remote",      "iss",     "snd_una",       "rcv_wnd",    "cwnd",
        "rtt",   "rto",   "rto_left_us", "snd_mss", "total_retrans", "bytes_acked"};
    struct house *house = *state;
    char request[80];
    unsigned id = connect_out(house, 7777);
    int fd = greeted(house);
    snprintf(request, sizeof request, "{\"do\":\"show.connection\",\"id\":%u}", id);
    json_t *answer = ask(house, fd, request), *c = json_object_get(answer, "connection");
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        assert_non_null(json_object_get(c, wanted[i]));
    assert_string_equal(json_string_value(json_object_get(c, "state")), "SYN-SENT");
    assert_true(json_is_false(json_object_get(c, "passive")));
    assert_true(json_is_null(json_object_get(c, "persist_left_us"))); /* does not run */
    json_decref(answer);
    expect_ok(house, fd, "{\"do\":\"write\"}");
    snprintf(request, sizeof request, "{\"do\":\"kill\",\"id\":%u}", id);
    expect_ok(house, fd, request);
    answer = ask(house, fd, "{\"do\":\"show.connections\",\"state\":\"SYN-SENT\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "connections")), 0);
    json_decref(answer);
    close(fd);
}

static void test_a_long_list_comes_in_parts(void **state)
{
    enum { COUNT = 1000 };
    struct house *house = *state;
    bool seen[COUNT] = {false};
    unsigned lines = 0, entries = 0;
    for (unsigned i = 0; i < COUNT; i++)
        connect_out(house, (uint16_t)(1000 + i));
    int fd = greeted(house);
    say(fd, "{\"do\":\"show.connections\",\"state\":\"syn_sent\",\"peer\":\"10.77.0.1\"}\n");
    for (bool last = false; !last; lines++) {
        json_t *line = hear(house, fd), *c;
        size_t index;
        json_array_foreach(json_object_get(line, "connections"), index, c)
        {
            json_t *port = json_object_get(json_object_get(c, "remote"), "port");
            seen[json_integer_value(port) - 1000] = true;
            entries++;
        }
        last = json_object_get(line, "ok") != NULL;
        json_decref(line);
    }
    assert_int_equal(entries, COUNT); /* each once */
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(seen[i]);
    assert_true(lines > 5);
    close(fd);
}

/* ---- Events ---- */

static void test_a_stream_brings_events(void **state)
{
    struct house *house = *state;
    bool found = false;
    int fd = greeted(house);
    say(fd, "{\"do\":\"events\",\"follow\":true}\n");
    turn(house);
    turn(house);
    unsigned id = connect_out(house, 7777);
    house->daemon.loop.deadline = NULL; /* turns wait for the timer of streams */
    while (!found) {
        json_t *line, *event;
        size_t index;
        line = hear(house, fd);
        json_array_foreach(json_object_get(line, "events"), index, event)
        {
            const char *to = json_string_value(json_object_get(event, "to"));
            if (json_integer_value(json_object_get(event, "id")) == id && to)
                found |= strcmp(to, "SYN-SENT") == 0;
        }
        json_decref(line);
    }
    assert_true(found);
    close(fd);
}

/* One that dies in the middle of its stream leaves nothing behind. */
static void test_a_stream_may_break_off(void **state)
{
    struct house *house = *state;
    for (int i = 0; i < 200; i++) { /* more than may be connected at once */
        int fd = greeted(house);
        say(fd, "{\"do\":\"events\",\"follow\":true}\n");
        turn(house);
        close(fd);
        turn(house);
        turn(house);
    }
    int fd = greeted(house);
    expect_ok(house, fd, "{\"do\":\"show\"}");
    close(fd);
}

static void test_the_last_events_are_shown(void **state)
{
    struct house *house = *state;
    for (uint16_t port = 1; port <= 300; port++) /* more events than are kept */
        connect_out(house, port);
    int fd = greeted(house);
    json_t *answer = ask(house, fd, "{\"do\":\"events\",\"count\":3}");
    assert_int_equal(json_array_size(json_object_get(answer, "events")), 3);
    json_decref(answer);
    answer = ask(house, fd, "{\"do\":\"events\",\"count\":100000}");
    assert_int_equal(json_array_size(json_object_get(answer, "events")), 256);
    assert_true(json_integer_value(json_object_get(answer, "lost")) > 0);
    json_decref(answer);
    close(fd);
}

/* ---- Captures ---- */

static void say_with_descriptor(int fd, const char *text, int descriptor)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    assert_int_equal(sendmsg(fd, &message, 0), strlen(text));
}

static struct frame frame_make(uint8_t *bytes, size_t size)
{
    memset(bytes, 0, size);
    bytes[12] = 0x88; /* an EtherType for experiments */
    bytes[13] = 0xb5;
    return (struct frame){.piece_count = 1, .piece = {{bytes, size}}};
}

/* Counts the blocks of each type, and checks that lengths lead from one to the next. */
static void blocks_count(const uint8_t *bytes, size_t size, unsigned *packets, unsigned *others)
{
    *packets = *others = 0;
    for (size_t at = 0; at < size;) {
        uint32_t type, length, again;
        assert_true(size - at >= 12);
        memcpy(&type, bytes + at, 4);
        memcpy(&length, bytes + at + 4, 4);
        assert_true(length >= 12 && length % 4 == 0 && length <= size - at);
        memcpy(&again, bytes + at + length - 4, 4);
        assert_int_equal(length, again);
        ++*(type == 6 ? packets : others);
        at += length;
    }
}

static void test_capture_to_a_file(void **state)
{
    struct house *house = *state;
    uint8_t bytes[60], file[8192];
    char path[] = "/tmp/tapstack-test-XXXXXX";
    unsigned packets, others;
    int fd = greeted(house), target = mkstemp(path);
    expect_ok(house, fd, "{\"do\":\"write\"}");
    expect_error(house, fd, "{\"do\":\"capture.start\"}", "no-descriptor");
    expect_error(house, fd, "{\"do\":\"capture.stop\"}", "not-running");
    say_with_descriptor(fd, "{\"do\":\"capture.start\"}", target);
    expect_ok(house, fd, "");
    struct frame frame = frame_make(bytes, sizeof bytes);
    for (int i = 0; i < 10; i++)
        capture_frame(house->daemon.capture, &frame, i % 2 ? PCAPNG_OUTBOUND : PCAPNG_INBOUND);
    json_t *answer = ask(house, fd, "{\"do\":\"capture.stop\"}");
    assert_int_equal(json_integer_value(json_object_get(answer, "frames")), 10);
    assert_int_equal(json_integer_value(json_object_get(answer, "lost")), 0);
    ssize_t size = pread(target, file, sizeof file, 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "bytes")), size);
    blocks_count(file, (size_t)size, &packets, &others);
    assert_int_equal(packets, 10);
    assert_int_equal(others, 3); /* section, interface, statistics */
    json_decref(answer);
    unlink(path);
    close(target);
    close(fd);
}

static void test_capture_read_by_tshark(void **state)
{
    struct house *house = *state;
    uint8_t bytes[60];
    char path[] = "/tmp/tapstack-test-XXXXXX", command[160], line[80] = "";
    if (system("command -v tshark >/dev/null 2>&1") != 0) {
        print_message("SKIP test_capture_read_by_tshark: tshark is not installed\n");
        skip();
    }
    int target = mkstemp(path);
    uint64_t frames, lost;
    struct frame frame = frame_make(bytes, sizeof bytes);
    assert_int_equal(capture_start(house->daemon.capture, dup(target), 0), 0);
    capture_frame(house->daemon.capture, &frame, PCAPNG_INBOUND);
    capture_frame(house->daemon.capture, &frame, PCAPNG_OUTBOUND);
    assert_int_equal(capture_stop(house->daemon.capture, &frames, &lost), 0);
    snprintf(command, sizeof command,
             "tshark -r %s -T fields -e frame.len -e frame.packet_flags_direction 2>/dev/null"
             " | tr '\\t\\n' '  '",
             path);
    FILE *out = popen(command, "r");
    assert_non_null(fgets(line, sizeof line, out));
    pclose(out);
    assert_string_equal(line, "60 0x00000001 60 0x00000002 ");
    unlink(path);
    close(target);
}

/* Takes the stack's next frame that has this EtherType. */
static bool frame_pull(struct house *house, uint8_t type, struct frame *frame)
{
    while (stack_output(house->daemon.stack, frame, house->daemon.loop.now_us) > 0)
        if (frame->piece[0].data[13] == type)
            return true;
    return false;
}

static void test_capture_says_why_a_segment_was_sent(void **state)
{
    static const uint8_t reply[60] = {2, 0, 0, 0, 0, 2,        /* to the stack */
                                      2, 0, 0, 0, 0, 1, 8,  6, /* from the peer, ARP */
                                      0, 1, 8, 0, 6, 4, 0,  2, /* Ethernet, IPv4, a reply */
                                      2, 0, 0, 0, 0, 1, 10, 77, 0, 1,
                                      2, 0, 0, 0, 0, 2, 10, 77, 0, 2};
    struct house *house = *state;
    struct daemon *daemon = &house->daemon;
    char path[] = "/tmp/tapstack-test-XXXXXX", file[2048], wanted[80];
    int target = mkstemp(path);
    uint64_t frames, lost;
    struct frame frame, arp = {.piece_count = 1, .piece = {{reply, sizeof reply}}};
    assert_int_equal(capture_start(daemon->capture, dup(target), 0), 0);
    unsigned id = connect_out(house, 7777);
    while (frame_pull(house, 6, &frame)) /* an announcement, and the question for the peer */
        continue;
    assert_int_equal(stack_input(daemon->stack, &arp, daemon->loop.now_us), 0);
    assert_true(frame_pull(house, 0, &frame));
    capture_frame(daemon->capture, &frame, PCAPNG_OUTBOUND);
    capture_stop(daemon->capture, &frames, &lost);
    ssize_t size = pread(target, file, sizeof file, 0);
    snprintf(wanted, sizeof wanted, "ts1 conn=%u ev=sent reason=open", id);
    assert_true(size > 0);
    assert_non_null(memmem(file, (size_t)size, wanted, strlen(wanted)));
    unlink(path);
    close(target);
}

static void test_capture_to_a_slow_pipe_loses_and_counts(void **state)
{
    struct house *house = *state;
    static uint8_t bytes[1500], sink[1 << 16];
    struct capture_status status;
    uint64_t frames, lost;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(capture_start(house->daemon.capture, ends[1], 0), 0);
    struct frame frame = frame_make(bytes, sizeof bytes);
    for (int i = 0; i < 10000; i++) {
        capture_frame(house->daemon.capture, &frame, PCAPNG_INBOUND);
        if (i % 100 == 0)
            turn(house);
    }
    capture_stop(house->daemon.capture, &frames, &lost);
    assert_true(lost > 0);
    assert_int_equal(frames + lost, 10000);
    /* What was taken still comes, whole. */
    capture_status(house->daemon.capture, &status);
    uint64_t got = 0;
    for (int i = 0; i < 100000 && got < status.bytes; i++) {
        ssize_t count = read(ends[0], sink, sizeof sink);
        got += count > 0 ? (uint64_t)count : 0;
        turn(house);
    }
    assert_int_equal(got, status.bytes);
    turn(house);
    assert_int_equal(read(ends[0], sink, sizeof sink), 0);
    close(ends[0]);
}

static void test_capture_ends_at_its_limit(void **state)
{
    struct house *house = *state;
    uint8_t bytes[1000];
    char path[] = "/tmp/tapstack-test-XXXXXX";
    struct capture_status status;
    int target = mkstemp(path);
    struct frame frame = frame_make(bytes, sizeof bytes);
    assert_int_equal(capture_start(house->daemon.capture, dup(target), 20000), 0);
    for (int i = 0; i < 100; i++)
        capture_frame(house->daemon.capture, &frame, PCAPNG_INBOUND);
    capture_status(house->daemon.capture, &status);
    assert_false(status.running);
    assert_string_equal(status.ended, "the limit is reached");
    assert_int_equal(lseek(target, 0, SEEK_END), status.bytes);
    assert_in_range(status.bytes, 17000, 20000);
    unlink(path);
    close(target);
}

static void test_capture_wants_a_writable_file(void **state)
{
    struct house *house = *state;
    int fd = open("/dev/null", O_RDONLY);
    assert_int_equal(capture_start(house->daemon.capture, fd, 0), -EBADF);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken over, so closed */
    fd = open("/dev/null", O_WRONLY);
    assert_int_equal(capture_start(house->daemon.capture, fd, 0), 0);
    assert_int_equal(capture_start(house->daemon.capture, dup(fd), 0), -EBUSY);
}

#define WITH_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_open, house_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_read),
        WITH_HOUSE(test_errors_leave_the_connection),
        WITH_HOUSE(test_quotes_may_cut_characters),
        WITH_HOUSE(test_every_reading_command_answers),
        WITH_HOUSE(test_a_line_may_come_in_pieces),
        WITH_HOUSE(test_a_long_line_is_refused_once),
        WITH_HOUSE(test_listeners_are_shown),
        WITH_HOUSE(test_writing_must_be_asked_for),
        WITH_HOUSE(test_neighbors_are_changed_by_hand),
        WITH_HOUSE(test_routes_and_addresses_are_changed_by_hand),
        WITH_HOUSE(test_a_client_that_does_not_read),
        WITH_HOUSE(test_a_client_that_reads_late),
        WITH_HOUSE(test_requests_of_one_who_closed_are_served),
        WITH_HOUSE(test_a_stream_ends_with_the_next_request),
        WITH_HOUSE(test_a_second_daemon_is_refused),
        WITH_HOUSE(test_too_many_consoles),
        WITH_HOUSE(test_a_connection_is_shown_and_killed),
        WITH_HOUSE(test_a_long_list_comes_in_parts),
        WITH_HOUSE(test_a_stream_brings_events),
        WITH_HOUSE(test_a_stream_may_break_off),
        WITH_HOUSE(test_the_last_events_are_shown),
        WITH_HOUSE(test_capture_to_a_file),
        WITH_HOUSE(test_capture_read_by_tshark),
        WITH_HOUSE(test_capture_says_why_a_segment_was_sent),
        WITH_HOUSE(test_capture_to_a_slow_pipe_loses_and_counts),
        WITH_HOUSE(test_capture_ends_at_its_limit),
        WITH_HOUSE(test_capture_wants_a_writable_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A worker and a supervisor as processes, without a daemon: socket pairs stand for connections. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../httpd/handoff.h"
#include "../../httpd/scoreboard.h"
#include "../../httpd/supervisor.h"
#include "../../httpd/worker.h"

#define GET "GET /a.txt HTTP/1.1\r\nHost: t\r\n\r\n"

enum { WAIT_MS = 10000 };

static char root[] = "/tmp/test_http_worker.XXXXXX";
static char small_path[sizeof(root) + 8], big_path[sizeof(root) + 8];

static void write_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc('x', file);
    fclose(file);
}

static int set_up(void **state)
{
    sigset_t signals;
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(small_path, sizeof(small_path), "%s/a.txt", root);
    snprintf(big_path, sizeof(big_path), "%s/big", root);
    write_file(small_path, 10);
    write_file(big_path, 3 * 1024 * 1024);
    setenv("TAPSTACK_DIR", root, 1); /* where no daemon is */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    return sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(small_path);
    unlink(big_path);
    return rmdir(root);
}

/* In a child: it dies with the test, and without cmocka's handlers, which would turn its crash into
   a second run of the tests. */
static void become_child(void)
{
    static const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        signal(signals[i], SIG_DFL);
}

/* ---- a worker, and connections to it ---- */

struct bench {
    struct site_config config;
    struct scoreboard *board;
    int ends[2];
    pid_t pid;
};

static void bench_open(struct bench *bench, unsigned requests)
{
    struct site_source source = {.root = root};
    char error[SITE_ERROR_BYTES];
    assert_int_equal(site_config_load(&source, &bench->config, error), 0);
    bench->config.requests = requests;
    bench->board = scoreboard_open(1);
    assert_non_null(bench->board);
    assert_int_equal(handoff_open(bench->ends), 0);
    bench->pid = fork();
    if (bench->pid == 0) {
        become_child();
        close(bench->ends[0]);
        _exit(worker_run(&bench->config, &bench->board->places[0], bench->ends[1]));
    }
    assert_true(bench->pid > 0);
    close(bench->ends[1]);
}

/* Ends the worker in order; it has to end well. */
static void bench_close(struct bench *bench)
{
    int status;
    kill(bench->pid, SIGTERM);
    assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
    close(bench->ends[0]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the worker's status is %#x", (unsigned)status);
}

static int connect_to(struct bench *bench)
{
    struct handoff handoff = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    handoff.fd = pair[0];
    atomic_fetch_add(&bench->board->places[0].handed, 1);
    while (handoff_send(bench->ends[0], &handoff) < 0) {
        struct pollfd room = {bench->ends[0], POLLOUT, 0};
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(poll(&room, 1, WAIT_MS), 1);
    }
    close(pair[0]);
    return pair[1];
}

static ssize_t receive(int fd, char *bytes, size_t size)
{
    struct pollfd ready = {fd, POLLIN, 0};
    if (poll(&ready, 1, WAIT_MS) != 1)
        fail_msg("no answer");
    return recv(fd, bytes, size, 0);
}

static void ask(int fd, const char *request)
{
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

static void expect_answer(int fd)
{
    char answer[1024] = "";
    assert_true(receive(fd, answer, sizeof(answer) - 1) > 0);
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
}

/* ---- the cases ---- */

/* S10: SIGTERM and requests in one batch of events; every request is answered, and the worker ends
   well. It is stopped meanwhile, so that all of it is there when it looks. */
static void test_finish_with_requests(void **state)
{
    struct bench bench;
    int clients[8];
    (void)state;
    bench_open(&bench, 1000);
    for (int i = 0; i < 8; i++) {
        clients[i] = connect_to(&bench);
        ask(clients[i], GET);
        expect_answer(clients[i]);
    }
    kill(bench.pid, SIGSTOP);
    assert_int_equal(waitpid(bench.pid, NULL, WUNTRACED), bench.pid);
    kill(bench.pid, SIGTERM);
    for (int i = 0; i < 8; i++)
        ask(clients[i], GET);
    kill(bench.pid, SIGCONT);
    for (int i = 0; i < 8; i++) {
        expect_answer(clients[i]);
        close(clients[i]);
    }
    bench_close(&bench);
}

/* S10: the server's own close does not cut off a client that has sent more meanwhile. */
static void test_last_request_lingers(void **state)
{
    struct bench bench;
    char bytes[1024];
    int client;
    (void)state;
    bench_open(&bench, 2);
    client = connect_to(&bench);
    ask(client, GET);
    expect_answer(client);
    ask(client, GET);
    expect_answer(client);
    assert_int_equal(receive(client, bytes, sizeof(bytes)), 0);
    ask(client, GET); /* a closed connection would give EPIPE */
    close(client);
    bench_close(&bench);
}

/* S10: who asked for the close gets it at once. */
static void test_close_at_once(void **state)
{
    struct bench bench;
    char bytes[1024];
    int client;
    (void)state;
    bench_open(&bench, 1000);
    client = connect_to(&bench);
    ask(client, "GET /a.txt HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    expect_answer(client);
    assert_int_equal(receive(client, bytes, sizeof(bytes)), 0);
    assert_int_equal(send(client, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    close(client);
    bench_close(&bench);
}

/* S9: a client that does not read stalls nobody, on a blocking descriptor too, and gets all of its
   file when it reads. */
static void test_slow_reader(void **state)
{
    static char bytes[65536];
    struct bench bench;
    size_t total = 0;
    ssize_t got;
    int slow, other;
    (void)state;
    bench_open(&bench, 1000);
    slow = connect_to(&bench);
    ask(slow, "GET /big HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    other = connect_to(&bench);
    ask(other, GET);
    expect_answer(other);
    close(other);
    while ((got = receive(slow, bytes, sizeof(bytes))) > 0)
        total += (size_t)got;
    assert_in_range(total, 3 * 1024 * 1024, 3 * 1024 * 1024 + 1024);
    close(slow);
    bench_close(&bench);
}

/* ---- memory ---- */

static long resident_kb(pid_t pid)
{
    char path[64];
    long pages = 0;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void wait_open(const struct bench *bench, unsigned open)
{
    for (int i = 0; i < WAIT_MS && scoreboard_load(&bench->board->places[0]) != open; i++)
        usleep(1000);
    assert_int_equal(scoreboard_load(&bench->board->places[0]), open);
}

/* The address sanitizer keeps freed memory for a while, to catch who still uses it. */
#if defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Buffers of many half requests go back to the system when the clients have gone. */
static void test_memory_comes_back(void **state)
{
    enum { CLIENTS = 400 };
    static char half[6000] = "GET /a.txt HTTP/1.1\r\nX: ";
    struct bench bench;
    int clients[CLIENTS];
    long before_kb, loaded_kb, after_kb;
    (void)state;
    if (SANITIZED)
        skip();
    memset(half + strlen(half), 'a', sizeof(half) - 1 - strlen(half));
    bench_open(&bench, 1000);
    clients[0] = connect_to(&bench);
    ask(clients[0], GET);
    expect_answer(clients[0]);
    before_kb = resident_kb(bench.pid);
    for (int i = 1; i < CLIENTS; i++) {
        clients[i] = connect_to(&bench);
        ask(clients[i], half);
    }
    wait_open(&bench, CLIENTS);
    for (int i = 0; i < 100 && resident_kb(bench.pid) < before_kb + 2000; i++)
        usleep(10000);
    loaded_kb = resident_kb(bench.pid);
    assert_true(loaded_kb >= before_kb + 2000);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    wait_open(&bench, 0);
    after_kb = resident_kb(bench.pid);
    if (after_kb > before_kb + (loaded_kb - before_kb) / 2)
        fail_msg("%ld kB before, %ld under load, %ld after", before_kb, loaded_kb, after_kb);
    bench_close(&bench);
}

/* ---- the supervisor ---- */

static int children_of(pid_t pid, pid_t *children, int max)
{
    char path[64];
    int count = 0;
    FILE *file;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    file = fopen(path, "r");
    while (file && count < max && fscanf(file, "%d", &children[count]) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

static int wait_children(pid_t pid, pid_t *children, int count)
{
    int have = -1;
    for (int i = 0; i < WAIT_MS && (have = children_of(pid, children, 8)) != count; i++)
        usleep(1000);
    return have;
}

/* Starts a supervisor whose log goes into a pipe; returns its end to read. */
static int supervisor_start(pid_t *pid)
{
    int log[2];
    assert_int_equal(pipe(log), 0);
    *pid = fork();
    if (*pid == 0) {
        struct site_source source = {.root = root};
        static struct site_config config;
        char error[SITE_ERROR_BYTES];
        become_child();
        dup2(log[1], STDERR_FILENO);
        close(log[0]);
        close(log[1]);
        site_config_load(&source, &config, error);
        _exit(supervisor_run(&source, &config));
    }
    assert_true(*pid > 0);
    close(log[1]);
    return log[0];
}

/* S1: a worker that crashes while the server ends is told of, and keeps nobody from ending. */
static void test_crash_at_the_end(void **state)
{
    static char text[65536];
    pid_t supervisor, children[8], worker;
    size_t size = 0;
    ssize_t got;
    int status, log = supervisor_start(&supervisor);
    (void)state;
    assert_int_equal(wait_children(supervisor, children, 3), 3);
    worker = children[0];
    kill(worker, SIGSTOP);
    kill(supervisor, SIGTERM);
    assert_int_equal(wait_children(supervisor, children, 1), 1);
    assert_int_equal(children[0], worker);
    kill(worker, SIGABRT);
    kill(worker, SIGCONT);
    assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
    assert_int_equal(status, 0);
    while ((got = read(log, text + size, sizeof(text) - 1 - size)) > 0)
        size += (size_t)got;
    close(log);
    if (!strstr(text, "was killed by signal 6"))
        fail_msg("not told: %s", text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finish_with_requests), cmocka_unit_test(test_last_request_lingers),
        cmocka_unit_test(test_close_at_once),        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_memory_comes_back),    cmocka_unit_test(test_crash_at_the_end),
    };
    return cmocka_run_group_tests_name("http_worker", tests, set_up, tear_down);
}

/* The supervisor: starts the modules in advance (S8), replaces those that die, ends them in order.

   Every place of the pool has a socket pair that lives as long as the supervisor. So connections
   that wait in the queue of a worker that dies are served by its successor; only those it had under
   way are lost. Signals are taken one by one with sigtimedwait(2); there is no handler.

   SIGTERM, SIGINT  the listener closes its socket; then the workers finish within stop_timeout
   SIGHUP           reads the configuration again, starts new workers on it; the old ones retire:
                    they take no new connections, finish what they have, and go

   SIGUSR1          the workers open the access log anew */
#define _GNU_SOURCE
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "errorlog.h"
#include "handoff.h"
#include "listener.h"
#include "scoreboard.h"
#include "worker.h"

enum {
    RETIRED_MAX = 2 * SITE_WORKERS_MAX,
    BACKOFF_FIRST_US = 100 * 1000,
    BACKOFF_LAST_US = 5 * 1000 * 1000,
    STEADY_US = 1000 * 1000, /* who lived so long is replaced at once */
    LISTENER_GRACE_US = 1000 * 1000,
};

/* A module that has to run: the listener, or the worker of a place. */
struct module {
    pid_t pid; /* 0: not running */
    uint64_t started_at_us;
    uint64_t start_at_us; /* not before */
    uint64_t backoff_us;
};

enum stage { STAGE_RUNNING, STAGE_STOPPING_LISTENER, STAGE_STOPPING_WORKERS, STAGE_DONE };

struct supervisor {
    const struct site_source *source;
    struct site_config *config;
    struct scoreboard *board;
    pid_t self;
    enum stage stage;
    uint64_t stage_ends_at_us; /* patience with the stage */
    sigset_t signals;
    struct module listener;
    struct module workers[SITE_WORKERS_MAX];
    unsigned retired_count;
    pid_t retired[RETIRED_MAX];
    int listener_ends[SITE_WORKERS_MAX];
    int worker_ends[SITE_WORKERS_MAX];
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- starting ---- */

/* In the child: dies with the supervisor. */
static void follow_parent(const struct supervisor *supervisor)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != supervisor->self)
        _exit(1);
}

static void run_listener(struct supervisor *supervisor)
{
    follow_parent(supervisor);
    errorlog_set_role("listener");
    for (unsigned i = 0; i < supervisor->board->count; i++)
        close(supervisor->worker_ends[i]);
    _exit(listener_run(supervisor->config, supervisor->board, supervisor->listener_ends));
}

static void run_worker(struct supervisor *supervisor, unsigned place)
{
    char role[] = "worker 00";
    follow_parent(supervisor);
    role[7] = (char)('0' + place / 10);
    role[8] = (char)('0' + place % 10);
    errorlog_set_role(role);
    for (unsigned i = 0; i < supervisor->board->count; i++) {
        close(supervisor->listener_ends[i]);
        if (i != place)
            close(supervisor->worker_ends[i]);
    }
    _exit(worker_run(supervisor->config, &supervisor->board->places[place],
                     supervisor->worker_ends[place]));
}

/* place: of a worker; -1: the listener. */
static void start(struct supervisor *supervisor, struct module *module, int place)
{
    pid_t pid = fork();
    if (pid == 0 && place < 0)
        run_listener(supervisor);
    if (pid == 0)
        run_worker(supervisor, (unsigned)place);
    module->started_at_us = now_us();
    if (pid > 0) {
        module->pid = pid;
        return;
    }
    errorlog_write(ERRORLOG_ERROR, "fork: %s", strerror(errno));
    module->start_at_us = module->started_at_us + BACKOFF_LAST_US;
}

static void start_due(struct supervisor *supervisor)
{
    uint64_t now = now_us();
    if (supervisor->stage != STAGE_RUNNING)
        return;
    /* Workers first: a connection shall find them waiting. */
    for (unsigned i = 0; i < supervisor->board->count; i++)
        if (!supervisor->workers[i].pid && supervisor->workers[i].start_at_us <= now)
            start(supervisor, &supervisor->workers[i], (int)i);
    if (!supervisor->listener.pid && supervisor->listener.start_at_us <= now)
        start(supervisor, &supervisor->listener, -1);
}

/* ---- children that ended ---- */

static void schedule(struct module *module, bool expected)
{
    uint64_t now = now_us();
    module->pid = 0;
    if (expected || now - module->started_at_us >= STEADY_US)
        module->backoff_us = 0;
    else if (module->backoff_us == 0)
        module->backoff_us = BACKOFF_FIRST_US;
    else
        module->backoff_us =
            module->backoff_us * 2 < BACKOFF_LAST_US ? module->backoff_us * 2 : BACKOFF_LAST_US;
    module->start_at_us = now + module->backoff_us;
}

/* module: what has to run again, NULL when nothing has. */
static void tell_end(const char *name, pid_t pid, int status, const struct module *module)
{
    char again[32] = "";
    if (module)
        snprintf(again, sizeof(again), "; a new one in %u ms",
                 (unsigned)(module->backoff_us / 1000));
    if (WIFSIGNALED(status))
        errorlog_write(ERRORLOG_WARNING, "%s %d was killed by signal %d%s", name, (int)pid,
                       WTERMSIG(status), again);
    else
        errorlog_write(ERRORLOG_WARNING, "%s %d ended with status %d%s", name, (int)pid,
                       WEXITSTATUS(status), again);
}

/* While the server ends, and of a retired worker, an end is news only when it is a crash; SIGKILL
   is how we end who does not end himself. */
static void tell_crash(const char *name, pid_t pid, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        tell_end(name, pid, status, NULL);
}

static void forget_retired(struct supervisor *supervisor, pid_t pid)
{
    for (unsigned i = 0; i < supervisor->retired_count; i++)
        if (supervisor->retired[i] == pid)
            supervisor->retired[i--] = supervisor->retired[--supervisor->retired_count];
}

static void child_ended(struct supervisor *supervisor, pid_t pid, int status)
{
    bool running = supervisor->stage == STAGE_RUNNING;
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (pid == supervisor->listener.pid) {
        schedule(&supervisor->listener, clean);
        if (!running)
            tell_crash("listener", pid, status);
        else if (!clean)
            tell_end("listener", pid, status, &supervisor->listener);
        return;
    }
    for (unsigned i = 0; i < supervisor->board->count; i++) {
        if (pid != supervisor->workers[i].pid)
            continue;
        atomic_store(&supervisor->board->places[i].open, 0);
        schedule(&supervisor->workers[i], false);
        if (running)
            tell_end("worker", pid, status, &supervisor->workers[i]);
        else
            tell_crash("worker", pid, status);
        return;
    }
    tell_crash("retired worker", pid, status);
    forget_retired(supervisor, pid);
}

static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(supervisor, pid, status);
}

/* ---- signals ---- */

static void tell_module(const struct module *module, int signal)
{
    if (module->pid > 0)
        kill(module->pid, signal);
}

static void tell_workers(struct supervisor *supervisor, int signal, bool retired)
{
    for (unsigned i = 0; i < supervisor->board->count; i++)
        tell_module(&supervisor->workers[i], signal);
    for (unsigned i = 0; retired && i < supervisor->retired_count; i++)
        kill(supervisor->retired[i], signal);
}

/* The worker gives its place to a successor, which shall find the pool as it was. */
static void retire_worker(struct supervisor *supervisor, unsigned place)
{
    struct module *module = &supervisor->workers[place];
    if (module->pid > 0) {
        if (supervisor->retired_count == RETIRED_MAX) { /* reloads faster than answers end */
            kill(supervisor->retired[0], SIGTERM);
            supervisor->retired[0] = supervisor->retired[--supervisor->retired_count];
        }
        supervisor->retired[supervisor->retired_count++] = module->pid;
        kill(module->pid, SIGHUP);
    }
    *module = (struct module){0};
}

static bool must_listen_anew(const struct site_config *old, const struct site_config *fresh)
{
    return strcmp(old->listen, fresh->listen) != 0 || strcmp(old->stack, fresh->stack) != 0 ||
           old->backlog != fresh->backlog || old->exempt != fresh->exempt;
}

static void reload(struct supervisor *supervisor)
{
    struct site_config fresh;
    char error[SITE_ERROR_BYTES];
    bool listen_anew;
    if (site_config_load(supervisor->source, &fresh, error) < 0) {
        errorlog_write(ERRORLOG_ERROR, "not reloaded: %s", error);
        return;
    }
    if (fresh.workers != supervisor->config->workers)
        errorlog_write(ERRORLOG_WARNING, "the number of workers changes with a restart only");
    fresh.workers = supervisor->config->workers;
    listen_anew = must_listen_anew(supervisor->config, &fresh);
    *supervisor->config = fresh;
    for (unsigned i = 0; i < supervisor->board->count; i++)
        retire_worker(supervisor, i);
    if (listen_anew)
        tell_module(&supervisor->listener, SIGTERM);
    errorlog_write(ERRORLOG_INFO, "reloaded");
}

static void begin_stop(struct supervisor *supervisor)
{
    if (supervisor->stage != STAGE_RUNNING)
        return;
    supervisor->stage = STAGE_STOPPING_LISTENER;
    supervisor->stage_ends_at_us = now_us() + LISTENER_GRACE_US;
    tell_module(&supervisor->listener, SIGTERM);
}

static void take_signal(struct supervisor *supervisor, int signal)
{
    if (signal == SIGTERM || signal == SIGINT)
        begin_stop(supervisor);
    else if (signal == SIGHUP && supervisor->stage == STAGE_RUNNING)
        reload(supervisor);
    else if (signal == SIGUSR1)
        tell_workers(supervisor, SIGUSR1, true);
    else if (signal == SIGCHLD)
        reap(supervisor);
}

/* ---- the order of the end ---- */

static bool any_worker(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->board->count; i++)
        if (supervisor->workers[i].pid)
            return true;
    return supervisor->retired_count > 0;
}

static void advance_stop(struct supervisor *supervisor)
{
    uint64_t now = now_us();
    if (supervisor->stage == STAGE_STOPPING_LISTENER &&
        (!supervisor->listener.pid || now >= supervisor->stage_ends_at_us)) {
        tell_module(&supervisor->listener, SIGKILL);
        supervisor->stage = STAGE_STOPPING_WORKERS;
        supervisor->stage_ends_at_us =
            now + supervisor->config->stop_timeout * 1000000ull + LISTENER_GRACE_US;
        tell_workers(supervisor, SIGTERM, true);
    }
    if (supervisor->stage != STAGE_STOPPING_WORKERS)
        return;
    if (!any_worker(supervisor) && !supervisor->listener.pid)
        supervisor->stage = STAGE_DONE;
    else if (now >= supervisor->stage_ends_at_us) {
        tell_workers(supervisor, SIGKILL, true);
        supervisor->stage_ends_at_us = now + LISTENER_GRACE_US;
    }
}

/* ---- the loop ---- */

static uint64_t next_due(const struct supervisor *supervisor)
{
    uint64_t due = UINT64_MAX;
    if (supervisor->stage != STAGE_RUNNING)
        return supervisor->stage_ends_at_us;
    if (!supervisor->listener.pid)
        due = supervisor->listener.start_at_us;
    for (unsigned i = 0; i < supervisor->board->count; i++)
        if (!supervisor->workers[i].pid && supervisor->workers[i].start_at_us < due)
            due = supervisor->workers[i].start_at_us;
    return due;
}

static int wait_signal(const struct supervisor *supervisor)
{
    uint64_t due = next_due(supervisor), now = now_us(), left = due > now ? due - now : 0;
    struct timespec timeout = {(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
    if (due == UINT64_MAX)
        return sigwaitinfo(&supervisor->signals, NULL);
    return sigtimedwait(&supervisor->signals, NULL, &timeout);
}

static int supervisor_open(struct supervisor *supervisor)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    struct rlimit limit;
    sigemptyset(&supervisor->signals);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        sigaddset(&supervisor->signals, signals[i]);
    sigprocmask(SIG_BLOCK, &supervisor->signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* a client may leave in the middle of sendfile(2) */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    supervisor->board = scoreboard_open(supervisor->config->workers);
    if (!supervisor->board)
        return -1;
    for (unsigned i = 0; i < supervisor->board->count; i++) {
        int ends[2];
        if (handoff_open(ends) < 0)
            return -1;
        supervisor->listener_ends[i] = ends[0];
        supervisor->worker_ends[i] = ends[1];
    }
    return 0;
}

int supervisor_run(const struct site_source *source, struct site_config *config)
{
    static struct supervisor supervisor;
    supervisor = (struct supervisor){.source = source, .config = config, .self = getpid()};
    if (supervisor_open(&supervisor) < 0) {
        errorlog_write(ERRORLOG_ERROR, "cannot start: %s", strerror(errno));
        return 1;
    }
    errorlog_write(ERRORLOG_INFO, "%s serves %s with %u workers", config->listen, config->root,
                   config->workers);
    while (supervisor.stage != STAGE_DONE) {
        start_due(&supervisor);
        take_signal(&supervisor, wait_signal(&supervisor));
        advance_stop(&supervisor);
    }
    errorlog_write(ERRORLOG_INFO, "stopped");
    return 0;
}

/* The communication module's process: an epoll loop over the connections it was handed (S8 to S10).

   It sleeps until the listener hands it a connection, a client sends something, or the next
   deadline is due. Everything it does in between is a turn of one exchange, bounded in length. */
#include "worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "errorlog.h"
#include "exchange.h"
#include "handoff.h"

enum {
    EVENTS_MAX = 128,
    DESCRIPTORS_KEPT = 64,
    LINGER_US = 2 * 1000 * 1000,
    /* Buffers of exchanges are above it and get pages of their own, which a burst of clients gives
       back; what files keep in memory is below. */
    BUFFER_MAPPED_BYTES = FILES_SMALL_BYTES + 4096,
};

static void take_time(struct worker *worker)
{
    struct timespec monotonic, real;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_REALTIME_COARSE, &real);
    response_clock_set(&worker->clock,
                       (uint64_t)monotonic.tv_sec * 1000000 + (uint64_t)monotonic.tv_nsec / 1000,
                       real.tv_sec);
}

/* ---- start (S2) ---- */

/* Divides the descriptors this process may have: a quarter at most for files, some for itself, the
   rest for connections. */
static void share_descriptors(struct worker *worker)
{
    unsigned wanted = worker->config->connections;
    struct rlimit limit;
    worker->open_max = wanted;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    if (limit.rlim_cur / 4 < FILES_OPEN_MAX)
        worker->files.count_max = (unsigned)limit.rlim_cur / 4;
    if (limit.rlim_cur < worker->files.count_max + DESCRIPTORS_KEPT + HANDOFF_BATCH)
        worker->open_max = HANDOFF_BATCH;
    else if (limit.rlim_cur - worker->files.count_max - DESCRIPTORS_KEPT < wanted)
        worker->open_max = (unsigned)limit.rlim_cur - worker->files.count_max - DESCRIPTORS_KEPT;
}

static int add_fixed(struct worker *worker, int fd, void *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_descriptors(struct worker *worker)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (worker->epoll_fd < 0 || worker->signal_fd < 0 ||
        add_fixed(worker, worker->signal_fd, &worker->signal_fd) < 0 ||
        add_fixed(worker, worker->intake_fd, &worker->intake_fd) < 0)
        return -1;
    worker->intake_watched = true;
    return 0;
}

static void open_waits(struct worker *worker)
{
    const struct site_config *config = worker->config;
    const uint64_t waits_us[WAIT_COUNT] = {
        [WAIT_HEADER] = config->header_timeout * 1000000ull,
        [WAIT_BODY] = config->body_timeout * 1000000ull,
        [WAIT_IDLE] = config->idle_timeout * 1000000ull,
        [WAIT_WRITE] = config->write_timeout * 1000000ull,
        [WAIT_LINGER] = LINGER_US,
    };
    for (int i = 0; i < WAIT_COUNT; i++)
        deadline_list_open(&worker->waits[i], waits_us[i]);
}

static int worker_open(struct worker *worker)
{
    const struct site_config *config = worker->config;
    mallopt(M_MMAP_THRESHOLD, BUFFER_MAPPED_BYTES);
    worker->self = getpid();
    worker->stop_at_us = UINT64_MAX;
    worker->input_bytes = (size_t)config->line_bytes + config->header_bytes + 64;
    open_waits(worker);
    atomic_store(&worker->place->open, 0);
    atomic_store(&worker->place->owner, worker->self);
    if (files_open(&worker->files, config->root, config->index) < 0) {
        errorlog_write(ERRORLOG_ERROR, "root %s: %s", config->root, strerror(errno));
        return -1;
    }
    share_descriptors(worker);
    if (accesslog_open(&worker->log, config->access_log) < 0) {
        errorlog_write(ERRORLOG_ERROR, "access log %s: %s", config->access_log, strerror(errno));
        return -1;
    }
    if (open_descriptors(worker) < 0) {
        errorlog_write(ERRORLOG_ERROR, "epoll: %s", strerror(errno));
        return -1;
    }
    return 0;
}

/* ---- intake (S7) ---- */

static void watch_intake(struct worker *worker, bool wanted)
{
    struct epoll_event event = {.events = wanted ? EPOLLIN : 0, .data.ptr = &worker->intake_fd};
    if (worker->intake_watched == wanted)
        return;
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, worker->intake_fd, &event);
    worker->intake_watched = wanted;
}

/* Takes what the listener has handed over; full: leaves it queued, where others see the load. */
static int take_connections(struct worker *worker)
{
    struct handoff batch[HANDOFF_BATCH];
    int count;
    if (worker->open + HANDOFF_BATCH > worker->open_max && worker->open > 0) {
        watch_intake(worker, false);
        return 0;
    }
    count = handoff_receive(worker->intake_fd, batch);
    if (count < 0)
        errorlog_write(ERRORLOG_ERROR, "cannot take connections: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        atomic_fetch_add(&worker->place->taken, 1);
        atomic_fetch_add_explicit(&worker->place->total, 1, memory_order_relaxed);
        if (batch[i].fd >= 0)
            exchange_open(worker, &batch[i]);
        else
            errorlog_write(ERRORLOG_WARNING, "a connection was lost: too many open files");
    }
    return count;
}

/* ---- the end ---- */

static void finish_list(struct worker *worker, struct deadline_list *list)
{
    struct deadline *next;
    for (struct deadline *at = list->head.next; at != &list->head; at = next) {
        next = at->next;
        exchange_finish(worker, at);
    }
}

/* A successor has the place: take no more connections, close behind every answer. Nothing is closed
   at once, for a request may be on its way on every connection; the idle timeout ends the rest. */
static void retire(struct worker *worker)
{
    if (!worker->finishing)
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->intake_fd, NULL);
    worker->finishing = true;
}

/* The server ends: serve what has arrived, close what is idle, give the rest its time. */
static void finish(struct worker *worker)
{
    while (!worker->finishing && take_connections(worker) > 0)
        continue;
    retire(worker);
    finish_list(worker, &worker->waits[WAIT_IDLE]);
    finish_list(worker, &worker->waits[WAIT_HEADER]);
    worker->stop_at_us = worker->clock.now_us + worker->config->stop_timeout * 1000000ull;
}

static void take_signals(struct worker *worker)
{
    struct signalfd_siginfo signal;
    worker->signalled = false;
    while (read(worker->signal_fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
        if (signal.ssi_signo == SIGTERM) {
            finish(worker);
        } else if (signal.ssi_signo == SIGHUP) {
            retire(worker);
        } else if (accesslog_reopen(&worker->log) < 0) {
            errorlog_write(ERRORLOG_ERROR, "access log %s: %s", worker->log.path, strerror(errno));
        }
    }
}

/* ---- the loop ---- */

static void expire(struct worker *worker)
{
    for (int kind = 0; kind < WAIT_COUNT; kind++) {
        struct deadline *first;
        while ((first = deadline_first(&worker->waits[kind])) &&
               first->at_us <= worker->clock.now_us)
            exchange_expire(worker, first, (enum worker_wait)kind);
    }
    if (worker->log.flush_at_us <= worker->clock.now_us)
        accesslog_flush(&worker->log);
}

static int sleep_ms(const struct worker *worker)
{
    uint64_t at =
        worker->log.flush_at_us < worker->stop_at_us ? worker->log.flush_at_us : worker->stop_at_us;
    uint64_t left_ms;
    for (int kind = 0; kind < WAIT_COUNT; kind++) {
        const struct deadline *first = deadline_first(&worker->waits[kind]);
        if (first && first->at_us < at)
            at = first->at_us;
    }
    if (at == UINT64_MAX)
        return -1;
    if (at <= worker->clock.now_us)
        return 0;
    left_ms = (at - worker->clock.now_us) / 1000 + 1;
    return left_ms > 60000 ? 60000 : (int)left_ms;
}

static void dispatch(struct worker *worker, const struct epoll_event *event)
{
    if (event->data.ptr == &worker->intake_fd)
        take_connections(worker);
    else if (event->data.ptr == &worker->signal_fd)
        worker->signalled = true;
    else
        exchange_ready(worker, event->data.ptr, event->events);
}

static void turn(struct worker *worker)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, sleep_ms(worker));
    take_time(worker);
    for (int i = 0; i < count; i++)
        dispatch(worker, &events[i]);
    if (worker
            ->signalled) /* not before: SIGTERM closes exchanges that have an event in the batch */
        take_signals(worker);
    expire(worker);
    if (!worker->intake_watched && worker->open + HANDOFF_BATCH <= worker->open_max)
        watch_intake(worker, !worker->finishing);
}

int worker_run(const struct site_config *config, struct scoreboard_place *place, int intake_fd)
{
    static struct worker worker;
    worker = (struct worker){.config = config, .place = place, .intake_fd = intake_fd};
    if (worker_open(&worker) < 0)
        return 1;
    take_time(&worker);
    while (!worker.finishing || (worker.open > 0 && worker.clock.now_us < worker.stop_at_us))
        turn(&worker);
    if (worker.open > 0)
        errorlog_write(ERRORLOG_WARNING, "%u answers were cut short at the end", worker.open);
    accesslog_flush(&worker.log);
    files_close(&worker.files);
    exchange_free_spares(&worker);
    return 0;
}

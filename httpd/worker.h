/* A communication module (S1): one process that talks with many clients at once. */
#ifndef TAPSTACK_HTTPD_WORKER_H
#define TAPSTACK_HTTPD_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "accesslog.h"
#include "deadline.h"
#include "files.h"
#include "response.h"
#include "scoreboard.h"
#include "site_config.h"

struct exchange;
struct input;

/* What an exchange can be waiting for. */
enum worker_wait { WAIT_HEADER, WAIT_BODY, WAIT_IDLE, WAIT_WRITE, WAIT_LINGER, WAIT_COUNT };

struct worker {
    const struct site_config *config;
    struct scoreboard_place *place;
    pid_t self;
    int epoll_fd;
    int intake_fd; /* connections come from the listener here */
    int signal_fd;
    bool intake_watched;
    bool signalled;      /* signals wait to be taken, once the batch of events is through */
    bool finishing;      /* no new connections; close behind every answer */
    uint64_t stop_at_us; /* give up then; UINT64_MAX: never */
    unsigned open;       /* exchanges under way */
    unsigned open_max;
    struct response_clock clock;
    struct files files;
    struct accesslog log;
    struct deadline_list waits[WAIT_COUNT];
    size_t input_bytes; /* room of an input */
    unsigned spare_input_count, spare_output_count;
    struct input *spare_inputs;
    struct output *spare_outputs;
    struct exchange *spare_exchanges;
};

/* The life of a worker process; returns its exit status. Signals: SIGTERM finishes within the
   configured time, SIGHUP retires (a successor has taken the place) and takes all the time it
   needs, SIGUSR1 opens the access log anew. The signals are blocked by the caller. */
int worker_run(const struct site_config *config, struct scoreboard_place *place, int intake_fd);

#endif

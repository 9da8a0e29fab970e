/* tapstackd: a TCP/IP stack on a TAP device.

   The start goes from what needs root to what does not: configuration, folder, device, stack,
   servers; then the privileges go, and the loop runs. In a turn of the loop the watches come
   first: frames go into the stack, and bytes that applications wrote. The tail then works off what
   came of it, in this order: frames that the cable delivers, sockets that became ready, frames to
   send. So all frames of a batch are in the stack before it is asked for output, and their ACKs go
   out as one (RFC 9293 3.8.6.3, MUST-58 and MUST-59).

   A frame that the device has no room for is copied aside, because the stack's own bytes are only
   valid until the next call; until it is gone the stack is not asked for another.

   The end (SIGTERM, SIGINT) has three steps: the API server closes listeners and connections; the
   loop goes on until TCP has closed them, too, or the time for it is over; what is left is
   reset. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../api/message.h"
#include "clock.h"
#include "daemon.h"
#include "entropy.h"
#include "folder.h"
#include "heap.h"
#include "log.h"
#include "privilege.h"

#define MAIN_CONFIG_DEFAULT "/etc/tapstack/tapstackd.conf"

enum {
    MAIN_BATCH_FRAMES = 256,
    MAIN_BATCH_BYTES = 4 << 20,
    MAIN_KILL_BATCH = 256,
    MAIN_LAST_FRAMES_US = 1000000,
    MAIN_ERROR_MAX = 512,
};

struct options {
    const char *config; /* NULL: the default, if it is there */
    const char *dir;
    const char *device;
    bool check;
    bool verbose;
};

struct program {
    struct daemon daemon; /* first: hooks of the loop get the program from it */
    struct options options;
    struct loop_watch signals;
    int folder;
    uint64_t stop_at;    /* when the end waits no longer; UINT64_MAX: not ending */
    bool closed;         /* no connection is left, the last frames may be */
    struct frame held;   /* a frame that found the device full */
    uint8_t *held_bytes; /* FRAME_BYTES_MAX, made when first needed */
    bool holding;
};

static struct program *program_of(struct loop *loop) { return (struct program *)(void *)loop; }

/* ---- Configuration ---- */

static void program_usage(FILE *to)
{
    fprintf(to, "usage: tapstackd [-nvhV] [-c FILE] [-d DIR] [-i DEVICE]\n"
                "  -c FILE    read FILE instead of " MAIN_CONFIG_DEFAULT "\n"
                "  -d DIR     folder of the sockets\n"
                "  -i DEVICE  TAP device\n"
                "  -n         check the configuration and leave\n"
                "  -v         log everything (level debug)\n"
                "  -V, -h     version, this text\n");
}

static void program_parse_options(struct options *options, int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "c:d:i:nvhV")) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 'd':
            options->dir = optarg;
            break;
        case 'i':
            options->device = optarg;
            break;
        case 'n':
            options->check = true;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'h':
            program_usage(stdout);
            exit(0);
        case 'V':
            puts("tapstackd " TAPSTACK_VERSION);
            exit(0);
        default:
            program_usage(stderr);
            exit(2);
        }
    }
    if (optind < argc) {
        program_usage(stderr);
        exit(2);
    }
}

static int program_override(char *field, size_t capacity, const char *value, char option,
                            char *error)
{
    if (value && strlen(value) >= capacity) {
        snprintf(error, MAIN_ERROR_MAX, "-%c %s: longer than %zu bytes", option, value,
                 capacity - 1);
        return -1;
    }
    if (value)
        memcpy(field, value, strlen(value) + 1);
    return 0;
}

/* Defaults, the file over them, the command line over both. Returns 0, or -1 with a line in
   error. */
static int program_configure(const struct options *options, struct config *config, char *error)
{
    const char *path = options->config ? options->config : MAIN_CONFIG_DEFAULT;

    config_default(config);
    if ((options->config || access(path, F_OK) == 0) &&
        config_read(config, path, error, MAIN_ERROR_MAX) < 0)
        return -1;
    if (program_override(config->dir, sizeof config->dir, options->dir, 'd', error) < 0 ||
        program_override(config->device, sizeof config->device, options->device, 'i', error) < 0)
        return -1;
    if (options->verbose)
        config->log_level = LOG_LEVEL_DEBUG;
    return 0;
}

/* ---- Reload (SIGHUP) ---- */

/* What is settled when the device and the stack are made. */
#define PROGRAM_FIXED(FIXED)                                                                       \
    FIXED("dir", dir)                                                                              \
    FIXED("device", device)                                                                        \
    FIXED("user", user)                                                                            \
    FIXED("mac", mac)                                                                              \
    FIXED("address", address_v4)                                                                   \
    FIXED("address", prefix_bits)                                                                  \
    FIXED("host_address", host_address_v4)                                                         \
    FIXED("gateway", gateway_v4)                                                                   \
    FIXED("mtu", mtu_bytes)                                                                        \
    FIXED("offload", offload)                                                                      \
    FIXED("events", event_capacity)                                                                \
    FIXED("cable", cable_present)                                                                  \
    FIXED("cable seed", cable_seed)                                                                \
    FIXED("cable fcs", cable.fcs)

/* Puts the old value back where a new one cannot hold, and names it. */
static void program_keep_fixed(struct config *config, const struct config *old)
{
#define PROGRAM_KEEP(name, field)                                                                  \
    if (memcmp(&config->field, &old->field, sizeof config->field) != 0) {                          \
        log_warning("reload: %s changes only with a restart", name);                               \
        memcpy(&config->field, &old->field, sizeof config->field);                                 \
    }
    PROGRAM_FIXED(PROGRAM_KEEP)
#undef PROGRAM_KEEP
}

static void program_reload(struct program *program)
{
    struct daemon *daemon = &program->daemon;
    struct config config;
    char error[MAIN_ERROR_MAX];

    if (program_configure(&program->options, &config, error) < 0) {
        log_error("reload: %s; nothing is changed", error);
        return;
    }
    program_keep_fixed(&config, &daemon->config);
    daemon->config = config;
    *stack_settings(daemon->stack) = config.settings;
    device_configure(daemon->device, &config.cable);
    log_set_level(config.log_level);
    log_info("reloaded");
}

/* ---- The end ---- */

static void program_begin_stop(struct program *program, const char *signal_name)
{
    struct daemon *daemon = &program->daemon;
    if (daemon->stopping) {
        log_info("%s again: not waiting any longer", signal_name);
        program->stop_at = daemon->loop.now_us;
        return;
    }
    log_info("%s: closing all connections", signal_name);
    daemon->stopping = true;
    program->stop_at = daemon->loop.now_us + daemon->config.shutdown_us;
    api_server_shutdown(daemon->api);
}

/* Is this a connection that still owes its peer something? */
static bool program_is_open(unsigned state)
{
    return state != TCP_CLOSED && state != TCP_LISTEN && state != TCP_TIME_WAIT;
}

static bool program_is_idle(const struct daemon *daemon)
{
    struct stack_usage usage;
    if (!api_server_idle(daemon->api))
        return false;
    stack_usage(daemon->stack, &usage);
    for (unsigned state = 0; state < TCP_STATE_COUNT; state++)
        if (program_is_open(state) && usage.connections_by_state[state] != 0)
            return false;
    return true;
}

/* Resets up to MAIN_KILL_BATCH connections: the ids first, because a kill may move the list.
   Returns how many. */
static unsigned program_kill_some(struct daemon *daemon)
{
    uint32_t ids[MAIN_KILL_BATCH];
    uint32_t cursor = 0;
    unsigned count = 0, killed = 0;
    struct stack_summary summary;

    while (count < MAIN_KILL_BATCH &&
           stack_next_summary(daemon->stack, &cursor, &summary, daemon->loop.now_us))
        if (program_is_open(summary.state))
            ids[count++] = summary.id;
    for (unsigned i = 0; i < count; i++)
        if (stack_kill(daemon->stack, ids[i], daemon->loop.now_us) == 0)
            killed++;
    return killed;
}

static void program_kill_all(struct daemon *daemon)
{
    unsigned some, all = 0;
    struct frame frame;
    while ((some = program_kill_some(daemon)) > 0)
        all += some;
    while (stack_output(daemon->stack, &frame, daemon->loop.now_us) > 0)
        device_send(daemon->device, &frame);
    log_warning("time is over, connections reset: %u", all);
}

/* Once a turn while stopping. The last frames may still have a cable to pass. */
static void program_try_stop(struct program *program)
{
    struct daemon *daemon = &program->daemon;
    if (!program->closed) {
        bool idle = program_is_idle(daemon);
        if (!idle && daemon->loop.now_us < program->stop_at)
            return;
        if (!idle)
            program_kill_all(daemon);
        program->closed = true;
        program->stop_at = daemon->loop.now_us + MAIN_LAST_FRAMES_US;
    }
    if (device_deadline(daemon->device) == UINT64_MAX || daemon->loop.now_us >= program->stop_at)
        daemon->loop.stop = true;
}

static void program_signal(struct loop_watch *watch, uint32_t events)
{
    struct program *program =
        (struct program *)(void *)((char *)watch - offsetof(struct program, signals));
    struct signalfd_siginfo info;
    (void)events;
    while (read(watch->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            program_reload(program);
        else
            program_begin_stop(program, info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    }
}

/* ---- The tail of a turn ---- */

/* Returns whether there was any. */
static bool program_serve_ready(struct daemon *daemon)
{
    struct stack_ready ready;
    bool any = false;
    while (stack_next_ready(daemon->stack, &ready)) {
        api_server_ready(daemon->api, &ready);
        any = true;
    }
    return any;
}

/* Copies a frame aside that the device did not take. */
static void program_hold(struct program *program, const struct frame *frame)
{
    if (!program->held_bytes)
        program->held_bytes = malloc(FRAME_BYTES_MAX);
    if (!program->held_bytes)
        return; /* lost, as on a wire */
    size_t size = frame_copy(frame, program->held_bytes);
    program->held = *frame;
    program->held.piece_count = 1;
    program->held.piece[0] = (struct frame_piece){program->held_bytes, size};
    program->holding = true;
}

/* Sends a batch of the stack's frames. Returns true when the batch was too small for all. */
static bool program_transmit(struct program *program)
{
    struct daemon *daemon = &program->daemon;
    struct frame frame;
    size_t bytes = 0;

    if (program->holding && device_send(daemon->device, &program->held) == 1)
        return false;
    program->holding = false;
    for (unsigned frames = 0; frames < MAIN_BATCH_FRAMES && bytes < MAIN_BATCH_BYTES; frames++) {
        size_t size = stack_output(daemon->stack, &frame, daemon->loop.now_us);
        if (size == 0)
            return false;
        if (device_send(daemon->device, &frame) == 1) {
            program_hold(program, &frame);
            return false;
        }
        bytes += size;
    }
    return true;
}

/* Readiness is served again behind the output, because timers expire in there. */
static bool program_tail(struct loop *loop)
{
    struct program *program = program_of(loop);
    device_serve(program->daemon.device);
    program_serve_ready(&program->daemon);
    bool more = program_transmit(program);
    if (program_serve_ready(&program->daemon))
        more = true;
    if (program->daemon.stopping)
        program_try_stop(program);
    heap_trim(loop->now_us);
    return more;
}

static uint64_t program_deadline(struct loop *loop)
{
    struct program *program = program_of(loop);
    uint64_t deadline = program->holding ? UINT64_MAX : stack_deadline(program->daemon.stack);
    uint64_t device = device_deadline(program->daemon.device);
    if (device < deadline)
        deadline = device;
    return program->stop_at < deadline ? program->stop_at : deadline;
}

/* ---- The start ---- */

static void program_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warning("cannot raise the limit of descriptors: %s", strerror(errno));
}

static void program_open_signals(struct program *program)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    program->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    program->signals.events = EPOLLIN;
    program->signals.ready = program_signal;
    if (program->signals.fd < 0 || loop_add(&program->daemon.loop, &program->signals) < 0)
        die("cannot watch signals: %s", strerror(errno));
}

static void program_create_stack(struct daemon *daemon)
{
    const struct config *config = &daemon->config;
    struct stack_config stack = {.memory = heap_memory,
                                 .settings = config->settings,
                                 .event_capacity = config->event_capacity,
                                 .utc_offset_us = clock_realtime_ns() / 1000 - daemon->loop.now_us};
    struct stack_interface_config interface = {.mac = config->mac,
                                               .mtu_bytes = config->mtu_bytes,
                                               .address_v4 = config->address_v4,
                                               .prefix_bits = config->prefix_bits};

    if (entropy_fill(stack.seed, sizeof stack.seed) < 0)
        die("the kernel gives no random numbers: %s", strerror(errno));
    daemon->stack = stack_create(&stack, daemon->loop.now_us);
    if (!daemon->stack)
        die("no memory for the stack");
    device_describe(daemon->device, &interface);
    int index = stack_add_interface(daemon->stack, &interface, daemon->loop.now_us);
    if (index < 0)
        die("cannot add the interface: %s", stack_error_text(index));
    if (config->gateway_v4 == 0)
        return;
    int result = stack_add_route(daemon->stack, 0, 0, config->gateway_v4, (unsigned)index);
    if (result < 0)
        die("cannot add the default route: %s", stack_error_text(result));
}

/* Once there are sockets to leave behind. */
static void program_give_up(const struct program *program, const char *why)
{
    folder_close(program->folder, program->daemon.config.dir);
    die("%s", why);
}

static void program_drop_privileges(const struct program *program)
{
    const struct config *config = &program->daemon.config;
    char error[MAIN_ERROR_MAX];
    if (folder_give(program->folder, config->dir, config->user, error) < 0 ||
        privilege_drop(config->user, error) < 0 || privilege_confine(error) < 0)
        program_give_up(program, error);
}

static void program_announce(const struct daemon *daemon)
{
    char address[IP_ADDRESS_TEXT_MAX], mac[MAC_ADDRESS_TEXT_MAX];
    struct ip_address ip = ip_address_from_v4(daemon->config.address_v4);
    ip_address_format(&ip, address);
    mac_address_format(&daemon->config.mac, mac);
    log_info("%s: %s/%u, MAC %s, MTU %u, offload %s%s", device_name(daemon->device), address,
             daemon->config.prefix_bits, mac, daemon->config.mtu_bytes,
             device_offload(daemon->device), daemon->config.cable_present ? ", with a cable" : "");
    log_info("ready: %s/%s and %s/%s", daemon->config.dir, TS_API_SOCKET, daemon->config.dir,
             TS_CONTROL_SOCKET);
}

/* Everything up to the loop; dies when something fails. */
static void program_start(struct program *program)
{
    struct daemon *daemon = &program->daemon;
    char error[FOLDER_ERROR_MAX];

    program_raise_descriptors();
    if (loop_open(&daemon->loop) < 0)
        die("cannot make an epoll descriptor: %s", strerror(errno));
    daemon->loop.tail = program_tail;
    daemon->loop.spin_us = daemon->config.spin_us;
    daemon->loop.deadline = program_deadline;
    daemon->started_at = daemon->loop.now_us;
    program->stop_at = UINT64_MAX;
    program_open_signals(program);
    program->folder = folder_open(daemon->config.dir, error);
    if (program->folder < 0)
        die("%s", error);
    daemon->device = device_create(daemon);
    if (!daemon->device)
        die("no device");
    program_create_stack(daemon);
    daemon->capture = capture_create(daemon);
    daemon->control = control_server_create(daemon, daemon->config.dir);
    daemon->api = api_server_create(daemon, daemon->config.dir);
    if (!daemon->capture || !daemon->control || !daemon->api)
        program_give_up(program, "no servers");
    program_drop_privileges(program);
    program_announce(daemon);
}

static void program_finish(struct program *program)
{
    struct daemon *daemon = &program->daemon;
    api_server_destroy(daemon->api);
    control_server_destroy(daemon->control);
    capture_destroy(daemon->capture);
    device_destroy(daemon->device);
    stack_destroy(daemon->stack);
    folder_close(program->folder, daemon->config.dir);
    close(program->signals.fd);
    loop_close(&daemon->loop);
    free(program->held_bytes);
}

int main(int argc, char **argv)
{
    static struct program program;
    char error[MAIN_ERROR_MAX];

    heap_tune();
    program_parse_options(&program.options, argc, argv);
    if (program_configure(&program.options, &program.daemon.config, error) < 0)
        die("%s", error);
    if (program.options.check) {
        puts("the configuration is good");
        return 0;
    }
    log_set_level(program.daemon.config.log_level);
    program_start(&program);
    loop_run(&program.daemon.loop);
    program_finish(&program);
    log_info("ended");
    return program.daemon.stopping ? 0 : 1; /* 1: the device went away */
}

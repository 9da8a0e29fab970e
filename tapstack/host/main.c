/* tapstackd: a TCP/IP stack on a TAP device.

   The start goes from what needs root to what does not: configuration, folder, device, stack,
   servers; then the privileges go, and the loop runs. In a turn of the loop the watches come
   first: frames go into the stack, and bytes that applications wrote. The tail then works off what
   came of it, in this order: frames that the cable delivers, sockets that became ready, frames to
   send. So all frames of a batch are in the stack before it is asked for output, and their ACKs go
   out as one (RFC 9293 3.8.6.3, MUST-58 and MUST-59).

   A frame that its device has no room for waits there. While no device has room the stack is not
   asked for another; as long as one has, the full ones stall or lose only their own traffic.

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
#include "device.h"
#include "entropy.h"
#include "filter_file.h"
#include "folder.h"
#include "heap.h"
#include "log.h"
#include "netns.h"
#include "privilege.h"
#include "route_text.h"

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
    const char *bridge;
    bool check;
    bool verbose;
};

struct program {
    struct daemon daemon; /* first: hooks of the loop get the program from it */
    struct options options;
    struct loop_watch signals;
    int folder;
    uint64_t stop_at; /* when the end waits no longer; UINT64_MAX: not ending */
    bool closed;      /* no connection is left, the last frames may be */
};

static struct program *program_of(struct loop *loop) { return (struct program *)(void *)loop; }

/* ---- Configuration ---- */

static void program_usage(FILE *to)
{
    fprintf(to, "usage: tapstackd [-nvhV] [-b DEVICE,DEVICE] [-c FILE] [-d DIR] [-i DEVICE]\n"
                "  -b A@X,B@Y a cable alone, between TAP A (in network namespace X) and B (in Y)\n"
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
    while ((option = getopt(argc, argv, "b:c:d:i:nvhV")) != -1) {
        switch (option) {
        case 'b':
            options->bridge = optarg;
            break;
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
        program_override(config->interface[0].device, sizeof config->interface[0].device,
                         options->device, 'i', error) < 0)
        return -1;
    if (options->bridge && config_bridge(config, options->bridge, error, MAIN_ERROR_MAX) < 0)
        return -1;
    if (options->verbose)
        config->log_level = LOG_LEVEL_DEBUG;
    return 0;
}

/* ---- Reload (SIGHUP) ---- */

/* What is settled when the devices and the stack are made. */
#define PROGRAM_FIXED(FIXED)                                                                       \
    FIXED("dir", dir)                                                                              \
    FIXED("user", user)                                                                            \
    FIXED("gateway", gateway_v4)                                                                   \
    FIXED("routes", routes)                                                                        \
    FIXED("routes", route_count)                                                                   \
    FIXED("neighbors", neighbors)                                                                  \
    FIXED("neighbors", neighbor_count)                                                             \
    FIXED("events", event_capacity)

#define PROGRAM_FIXED_INTERFACE(FIXED)                                                             \
    FIXED("device", device)                                                                        \
    FIXED("netns", netns)                                                                          \
    FIXED("mac", mac)                                                                              \
    FIXED("address", address_v4)                                                                   \
    FIXED("address", prefix_bits)                                                                  \
    FIXED("addresses", addresses)                                                                  \
    FIXED("addresses", address_count)                                                              \
    FIXED("host_address", host_address_v4)                                                         \
    FIXED("mtu", mtu_bytes)                                                                        \
    FIXED("vlan", vlan)                                                                            \
    FIXED("proxy_arp", proxy_arp)                                                                  \
    FIXED("offload", offload)                                                                      \
    FIXED("bridge", bridged)                                                                       \
    FIXED("cable", cable_present)                                                                  \
    FIXED("cable seed", cable_seed)                                                                \
    FIXED("cable fcs", cable.fcs)                                                                  \
    FIXED("cable impair", impair)                                                                  \
    FIXED("cable impair", impair_count)

#define PROGRAM_KEEP(name, field)                                                                  \
    if (memcmp(&new->field, &old->field, sizeof new->field) != 0) {                                \
        log_warning("reload: %s changes only with a restart", name);                               \
        memcpy(&new->field, &old->field, sizeof new->field);                                       \
    }

static void program_keep_interface(struct config_interface *new, const struct config_interface *old)
{
    PROGRAM_FIXED_INTERFACE(PROGRAM_KEEP)
}

/* Puts the old value back where a new one cannot hold, and names it. */
static void program_keep_fixed(struct config *new, const struct config *old)
{
    PROGRAM_FIXED(PROGRAM_KEEP)
    if (new->interface_count != old->interface_count) {
        log_warning("reload: interfaces come and go only with a restart");
        new->interface_count = old->interface_count;
        memcpy(new->interface, old->interface, sizeof new->interface);
    }
    for (unsigned i = 0; i < new->interface_count; i++)
        program_keep_interface(&new->interface[i], &old->interface[i]);
}
#undef PROGRAM_KEEP

static bool program_has_filter(const struct config *config)
{
    return config->filter[0] != '\0' || config->filter_rules[0] != '\0';
}

/* Reads the filter's rules again. The file may have become unreadable with the privileges. */
static void program_reload_filter(struct daemon *daemon)
{
    char error[MAIN_ERROR_MAX];
    char *text = filter_file_text(&daemon->config, error, sizeof error);
    if (!text ||
        filter_file_load(daemon->stack, text, daemon->loop.now_us, error, sizeof error) < 0)
        log_error("reload: %s; the filter stays as it was", error);
    free(text);
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
    bool filtered = program_has_filter(&config) || program_has_filter(&daemon->config);
    daemon->config = config;
    *stack_settings(daemon->stack) = config.settings;
    for (unsigned i = 0; i < daemon->device_count; i++)
        device_configure(daemon->device[i]);
    if (filtered)
        program_reload_filter(daemon);
    daemon->loop.spin_us = config.spin_us;
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
        device_send(daemon->device[frame.interface], &frame);
    log_warning("time is over, connections reset: %u", all);
}

static uint64_t program_device_deadline(const struct daemon *daemon)
{
    uint64_t deadline = UINT64_MAX;
    for (unsigned i = 0; i < daemon->device_count; i++) {
        uint64_t device = device_deadline(daemon->device[i]);
        deadline = device < deadline ? device : deadline;
    }
    return deadline;
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
    if (program_device_deadline(daemon) == UINT64_MAX || daemon->loop.now_us >= program->stop_at)
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

static bool program_has_room(const struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->device_count; i++)
        if (device_has_room(daemon->device[i]))
            return true;
    return false;
}

/* Sends a batch of the stack's frames. Returns true when the batch was too small for all. */
static bool program_transmit(struct daemon *daemon)
{
    struct frame frame;
    size_t bytes = 0;
    for (unsigned frames = 0; frames < MAIN_BATCH_FRAMES && bytes < MAIN_BATCH_BYTES; frames++) {
        size_t size =
            program_has_room(daemon) ? stack_output(daemon->stack, &frame, daemon->loop.now_us) : 0;
        if (size == 0)
            return false;
        device_send(daemon->device[frame.interface], &frame);
        bytes += size;
    }
    return true;
}

/* Returns true when a card has more frames than its budget lets pass in a turn. */
static bool program_serve_devices(struct daemon *daemon)
{
    bool more = false;
    for (unsigned i = 0; i < daemon->device_count; i++)
        if (device_serve(daemon->device[i]))
            more = true;
    return more;
}

/* Readiness is served again behind the output, because timers expire in there. */
static bool program_tail(struct loop *loop)
{
    struct program *program = program_of(loop);
    bool more = program_serve_devices(&program->daemon);
    program_serve_ready(&program->daemon);
    if (program_transmit(&program->daemon))
        more = true;
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
    const struct daemon *daemon = &program->daemon;
    uint64_t deadline = program_has_room(daemon) ? stack_deadline(daemon->stack) : UINT64_MAX;
    uint64_t device = program_device_deadline(daemon);
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

static void program_add_addresses(struct daemon *daemon, const struct config_interface *config,
                                  unsigned index)
{
    for (unsigned i = 0; i < config->address_count; i++) {
        const struct config_address *address = &config->addresses[i];
        char text[ROUTE_TEXT_MAX];
        int result = stack_add_address(daemon->stack, index, address->v4, address->prefix_bits,
                                       daemon->loop.now_us);
        route_text_format_network(address->v4, address->prefix_bits, text);
        if (result < 0)
            die("cannot add the address %s: %s", text, stack_error_text(result));
    }
}

static void program_add_interfaces(struct daemon *daemon)
{
    struct stack_interface_config interface;
    for (unsigned i = 0; i < daemon->device_count; i++) {
        if (daemon->config.interface[i].bridged)
            continue;
        device_describe(daemon->device[i], &interface);
        int index = stack_add_interface(daemon->stack, &interface, daemon->loop.now_us);
        if (index < 0)
            die("cannot add interface %s: %s", interface.name, stack_error_text(index));
        program_add_addresses(daemon, &daemon->config.interface[i], (unsigned)index);
    }
}

static void program_add_gateway(struct daemon *daemon)
{
    const struct config *config = &daemon->config;
    if (config->gateway_v4 == 0)
        return;
    int result = stack_add_route(daemon->stack, 0, 0, config->gateway_v4,
                                 (unsigned)config_gateway_interface(config));
    if (result < 0)
        die("cannot add the default route: %s", stack_error_text(result));
}

static void program_add_routes(struct daemon *daemon)
{
    const struct config *config = &daemon->config;
    for (unsigned i = 0; i < config->route_count; i++) {
        char network[ROUTE_TEXT_MAX], error[ROUTE_TEXT_MAX];
        route_text_format_network(config->routes[i].network, config->routes[i].prefix_bits,
                                  network);
        if (route_text_add(daemon->stack, &config->routes[i], error) < 0)
            die("cannot add the route to %s: %s", network, error);
    }
}

static void program_set_neighbors(struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->config.neighbor_count; i++) {
        const struct config_neighbor *neighbor = &daemon->config.neighbors[i];
        char text[IP_ADDRESS_TEXT_MAX];
        struct ip_address address = ip_address_from_v4(neighbor->v4);
        int result =
            stack_set_neighbor(daemon->stack, neighbor->v4, &neighbor->mac, daemon->loop.now_us);
        ip_address_format(&address, text);
        if (result < 0)
            die("cannot set the neighbor %s: %s", text, stack_error_text(result));
    }
}

/* Before anything can be sent or received, and with the rights to read the file. */
static void program_load_filter(struct daemon *daemon)
{
    char error[MAIN_ERROR_MAX];
    char *text = filter_file_text(&daemon->config, error, sizeof error);
    if (!text ||
        filter_file_load(daemon->stack, text, daemon->loop.now_us, error, sizeof error) < 0)
        die("%s", error);
    free(text);
}

static void program_create_stack(struct daemon *daemon)
{
    const struct config *config = &daemon->config;
    struct stack_config stack = {.memory = heap_memory,
                                 .settings = config->settings,
                                 .event_capacity = config->event_capacity,
                                 .utc_offset_us = clock_realtime_ns() / 1000 - daemon->loop.now_us};

    if (entropy_fill(stack.seed, sizeof stack.seed) < 0)
        die("the kernel gives no random numbers: %s", strerror(errno));
    daemon->stack = stack_create(&stack, daemon->loop.now_us);
    if (!daemon->stack)
        die("no memory for the stack");
    program_load_filter(daemon);
    program_add_interfaces(daemon);
    program_set_neighbors(daemon);
    program_add_gateway(daemon);
    program_add_routes(daemon);
}

/* Opens the TAP of an interface, in the namespace where it belongs. */
static void program_open_tap(const struct config_interface *config, struct tap *tap)
{
    char error[MAIN_ERROR_MAX];
    int home = config->netns[0] ? netns_enter(config->netns, error) : -1;
    if (config->netns[0] && home < 0)
        die("%s: %s", config->device, error);
    uint8_t prefix_bits = config->host_prefix_bits ? config->host_prefix_bits : config->prefix_bits;
    if (tap_open(tap, config->device, config->offload, error) < 0 ||
        (config->host_address_v4 != 0 &&
         tap_configure_host(tap, config->host_address_v4, prefix_bits, config->mtu_bytes, error) <
             0))
        die("%s", error);
    if (home >= 0 && netns_leave(home) < 0)
        die("cannot return to the own network namespace: %s", strerror(errno));
}

static void program_open_devices(struct daemon *daemon)
{
    const struct config *config = &daemon->config;
    for (unsigned i = 0; i < config->interface_count; i++) {
        struct tap tap;
        program_open_tap(&config->interface[i], &tap);
        daemon->device[i] = device_create(daemon, i, &tap);
        if (!daemon->device[i])
            die("%s: no memory for the card", config->interface[i].device);
        daemon->device_count++;
    }
    if (config_has_bridge(config))
        device_join(daemon->device[config->interface_count - 2],
                    daemon->device[config->interface_count - 1]);
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

static void program_announce_device(const struct config_interface *config,
                                    const struct device *device)
{
    char address[IP_ADDRESS_TEXT_MAX], mac[MAC_ADDRESS_TEXT_MAX];
    struct ip_address ip = ip_address_from_v4(config->address_v4);
    const char *cable = config->cable_present ? ", with a cable" : "";
    ip_address_format(&ip, address);
    mac_address_format(&config->mac, mac);
    if (config->bridged)
        log_info("%s: bridged with %s, MTU %u, offload %s%s", device_name(device),
                 device_name(device_peer(device)), config->mtu_bytes, device_offload(device),
                 cable);
    else
        log_info("%s: %s/%u, MAC %s, MTU %u, offload %s%s", device_name(device), address,
                 config->prefix_bits, mac, config->mtu_bytes, device_offload(device), cable);
}

static void program_announce(const struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->device_count; i++)
        program_announce_device(&daemon->config.interface[i], daemon->device[i]);
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
    program_open_devices(daemon);
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
    for (unsigned i = 0; i < daemon->device_count; i++)
        device_destroy(daemon->device[i]);
    stack_destroy(daemon->stack);
    folder_close(program->folder, daemon->config.dir);
    close(program->signals.fd);
    loop_close(&daemon->loop);
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
        char *rules = filter_file_text(&program.daemon.config, error, sizeof error);
        if (!rules)
            die("%s", error);
        free(rules);
        puts("the configuration is good");
        return 0;
    }
    log_set_level(program.daemon.config.log_level);
    program_start(&program);
    loop_run(&program.daemon.loop);
    program_finish(&program);
    log_info("ended");
    return program.daemon.stopping ? 0 : 1; /* 1: the devices went away */
}

/* The console's commands, and one line done: ask the daemon, print its answer. */
#define _GNU_SOURCE /* ppoll, memfd_create */
#include "console.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "show.h"

static int run_help(struct console *, const struct command *, json_t *);
static int run_quit(struct console *, const struct command *, json_t *);
static int run_counters(struct console *, const struct command *, json_t *);
static int run_watch(struct console *, const struct command *, json_t *);
static int run_ping(struct console *, const struct command *, json_t *);
static int run_traceroute(struct console *, const struct command *, json_t *);
static int run_capture_start(struct console *, const struct command *, json_t *);
static int run_filter_load(struct console *, const struct command *, json_t *);

const struct command command_list[] = {
    {.words = "show",
     .arguments = "[json]",
     .help = "one screen: interface, connections by state, queues, drops",
     .request = "show",
     .print = show_overview},
    {.words = "show connections",
     .arguments = "[state STATE] [port PORT] [peer ADDRESS] [json]",
     .help = "all sockets, TIME-WAIT too, or those with this state, port, peer",
     .request = "show.connections",
     .print = show_connections},
    {.words = "show connection",
     .arguments = "ID [json]",
     .help = "all of a connection's control block (sequences from iss, irs)",
     .request = "show.connection",
     .print = show_connection},
    {.words = "show listeners",
     .arguments = "[json]",
     .help = "listening sockets and their accept queues",
     .request = "show.listeners",
     .print = show_listeners},
    {.words = "show arp",
     .arguments = "[json]",
     .help = "the neighbor cache",
     .request = "show.arp",
     .print = show_arp},
    {.words = "arp add",
     .arguments = "ADDRESS MAC",
     .help = "set a neighbor by hand: arp add 10.77.0.9 02:00:00:00:00:09",
     .request = "arp.add",
     .writes = true},
    {.words = "arp delete",
     .arguments = "ADDRESS",
     .help = "forget a neighbor, set by hand or not",
     .request = "arp.delete",
     .writes = true},
    {.words = "arp flush",
     .arguments = "[INTERFACE] [json]",
     .help = "forget all neighbors (of an interface) but those set by hand",
     .request = "arp.flush",
     .writes = true,
     .print = show_flushed},
    {.words = "arp probe",
     .arguments = "ADDRESS",
     .help = "ask for a neighbor now; show arp tells what came of it",
     .request = "arp.probe",
     .writes = true},
    {.words = "show reassembly",
     .arguments = "[json]",
     .help = "datagrams whose fragments wait for the rest",
     .request = "show.reassembly",
     .print = show_reassembly},
    {.words = "show routes",
     .arguments = "[json]",
     .help = "the routing table",
     .request = "show.routes",
     .print = show_routes},
    {.words = "route get",
     .arguments = "ADDRESS [json]",
     .help = "which route would be taken, and from which address",
     .request = "route.get",
     .print = show_route},
    {.words = "route add",
     .arguments = "ROUTE...",
     .help = "add a route: route add 10.9.0.0/16 via 10.77.0.9 metric 10",
     .request = "route.add",
     .writes = true},
    {.words = "route del",
     .arguments = "ROUTE...",
     .help = "delete a route by network and metric: route del default",
     .request = "route.del",
     .writes = true},
    {.words = "show addresses",
     .arguments = "[json]",
     .help = "our addresses, and how they stand on their links",
     .request = "show.addresses",
     .print = show_addresses},
    {.words = "address add",
     .arguments = "ADDRESS [INTERFACE]",
     .help = "one more address: address add 10.79.0.2/24 tap1",
     .request = "address.add",
     .writes = true},
    {.words = "address del",
     .arguments = "ADDRESS [INTERFACE]",
     .help = "take an address away, with what was reached by it alone",
     .request = "address.del",
     .writes = true},
    {.words = "show interfaces",
     .arguments = "[json]",
     .help = "interfaces, their offload, and the counters of card and cable",
     .request = "show.interfaces",
     .print = show_interfaces},
    {.words = "interface",
     .arguments = "NAME [up] [down] [promiscuous SWITCH] [allmulti SWITCH] [ring COUNT] "
                  "[budget COUNT] [json]",
     .help = "change a card: its service, filter and ring",
     .request = "interface",
     .writes = true,
     .print = show_interface},
    {.words = "show pmtu",
     .arguments = "[json]",
     .help = "what ICMP has told of the MTUs of paths",
     .request = "show.pmtu",
     .print = show_pmtu},
    {.words = "show settings",
     .arguments = "[json]",
     .help = "settings in force; * marks one that was changed",
     .request = "show.settings",
     .print = show_settings},
    {.words = "counters",
     .arguments = "[GLOB] [-z] [json]",
     .help = "counters whose name matches; -z also those that are zero",
     .request = "counters",
     .print = show_counters,
     .run = run_counters},
    {.words = "events",
     .arguments = "[COUNT] [json]",
     .help = "the last events of the stack (20)",
     .request = "events",
     .print = show_events},
    {.words = "watch",
     .arguments = "[json]",
     .help = "events as they happen, until Ctrl-C (or Enter at the prompt)",
     .request = "events",
     .print = show_events,
     .run = run_watch},
    {.words = "ping",
     .arguments = "ADDRESS [count COUNT] [size BYTES] [ttl TTL] [interval TIME] [timeout TIME] "
                  "[df] [json]",
     .help = "ask for echoes, until Ctrl-C or count",
     .request = "ping",
     .print = show_ping,
     .run = run_ping},
    {.words = "traceroute",
     .arguments = "ADDRESS [max HOPS] [queries COUNT] [timeout TIME] [udp] [icmp] [json]",
     .help = "the routers on the way, asked with UDP or ICMP",
     .request = "traceroute",
     .print = show_traceroute,
     .run = run_traceroute},
    {.words = "pmtu flush",
     .arguments = "[json]",
     .help = "forget what is known of the MTUs of paths",
     .request = "pmtu.flush",
     .writes = true,
     .print = show_pmtu_flush},
    {.words = "kill",
     .arguments = "ID",
     .help = "reset a connection, or close a listener",
     .request = "kill",
     .writes = true},
    {.words = "set",
     .arguments = "NAME VALUE [json]",
     .help = "change a setting: set tcp.delayed_ack_timeout 20ms",
     .request = "set",
     .writes = true,
     .print = show_set},
    {.words = "filter show",
     .arguments = "[json]",
     .help = "the packet filter: policies, rules, and what they have decided on",
     .request = "filter.show",
     .print = show_filter},
    {.words = "filter add",
     .arguments = "CHAIN [at NUMBER] RULE...",
     .help = "add a rule: filter add input reject proto tcp port 22",
     .request = "filter.add",
     .writes = true},
    {.words = "filter delete",
     .arguments = "CHAIN NUMBER",
     .help = "delete a rule",
     .request = "filter.delete",
     .writes = true},
    {.words = "filter policy",
     .arguments = "CHAIN POLICY",
     .help = "accept or drop what no rule decides on",
     .request = "filter.policy",
     .writes = true},
    {.words = "filter load",
     .arguments = "FILE",
     .help = "put the rules of FILE in the place of all (- is standard input)",
     .request = "filter.load",
     .writes = true,
     .run = run_filter_load},
    {.words = "filter save",
     .arguments = "",
     .help = "print the rules as filter load reads them",
     .request = "filter.show",
     .print = show_filter_text},
    {.words = "filter flush",
     .arguments = "",
     .help = "delete all rules and let everything pass",
     .request = "filter.flush",
     .writes = true},
    {.words = "filter test",
     .arguments = "CHAIN PACKET...",
     .help = "which rule decides: filter test input proto tcp to 10.77.0.2 port 80",
     .request = "filter.test",
     .print = show_filter_test},
    {.words = "show flows",
     .arguments = "[json]",
     .help = "the flows that the packet filter tracks",
     .request = "show.flows",
     .print = show_flows},
    {.words = "flows flush",
     .arguments = "",
     .help = "forget all flows",
     .request = "flows.flush",
     .writes = true},
    {.words = "impair add",
     .arguments = "[interface NAME] [json] RULE...",
     .help = "impair frames: impair add out loss 1% for 30s",
     .request = "impair.add",
     .writes = true,
     .print = show_impair_added},
    {.words = "impair list",
     .arguments = "[INTERFACE] [json]",
     .help = "impairments, and what each has done",
     .request = "impair.list",
     .print = show_impairments},
    {.words = "impair del",
     .arguments = "NUMBER [INTERFACE]",
     .help = "take an impairment away",
     .request = "impair.del",
     .writes = true},
    {.words = "impair clear",
     .arguments = "[INTERFACE]",
     .help = "take all impairments away",
     .request = "impair.clear",
     .writes = true},
    {.words = "impair presets",
     .arguments = "[json]",
     .help = "networks that one word stands for: impair add both dsl",
     .request = "impair.presets",
     .print = show_impair_presets},
    {.words = "capture start",
     .arguments = "FILE [limit BYTES]",
     .help = "write all frames to FILE as pcapng (- is standard output)",
     .request = "capture.start",
     .writes = true,
     .run = run_capture_start},
    {.words = "capture stop",
     .arguments = "[json]",
     .help = "end the capture",
     .request = "capture.stop",
     .writes = true,
     .print = show_capture},
    {.words = "capture status",
     .arguments = "[json]",
     .help = "whether a capture runs, and what it has written",
     .request = "capture.status",
     .print = show_capture},
    {.words = "help",
     .arguments = "[COMMAND] [PART]",
     .help = "this list, or the part of it that begins so (also: ?)",
     .run = run_help},
    {.words = "quit", .arguments = "", .help = "leave (also: Ctrl-D)", .run = run_quit},
    {.words = NULL},
};

/* ---- Asking and printing ---- */

static json_t *request_make(const struct command *command, json_t *arguments)
{
    json_t *request = json_copy(arguments);
    json_object_del(request, "json");
    json_object_set_new(request, "do", json_string(command->request));
    return request;
}

static void answer_print(const struct console *console, const struct command *command,
                         const json_t *arguments, const json_t *answer)
{
    if (json_object_get(arguments, "json")) {
        json_dumpf(answer, console->out, JSON_INDENT(2));
        fputc('\n', console->out);
    } else if (command->print) {
        command->print(console->out, answer);
    }
}

static int run_plain(struct console *console, const struct command *command, json_t *arguments)
{
    json_t *answer = remote_ask(&console->remote, request_make(command, arguments), -1);
    if (!answer)
        return -1;
    answer_print(console, command, arguments, answer);
    json_decref(answer);
    return 0;
}

static void counters_filter(json_t *answer, const char *glob)
{
    json_t *all = json_object_get(answer, "counters"), *kept = json_array(), *counter;
    size_t index;
    json_array_foreach(all, index, counter)
    {
        const char *name = json_string_value(json_object_get(counter, "name"));
        if (name && fnmatch(glob, name, 0) == 0)
            json_array_append(kept, counter);
    }
    json_object_set_new(answer, "counters", kept);
}

static int run_counters(struct console *console, const struct command *command, json_t *arguments)
{
    bool zeros = json_object_get(arguments, "z") != NULL;
    json_t *request = json_pack("{s:s, s:b}", "do", command->request, "all", zeros);
    json_t *answer = remote_ask(&console->remote, request, -1);
    const char *glob = json_string_value(json_object_get(arguments, "glob"));
    if (!answer)
        return -1;
    if (glob)
        counters_filter(answer, glob);
    answer_print(console, command, arguments, answer);
    json_decref(answer);
    return 0;
}

/* ---- Watching ---- */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* Waits for a line of the stream. Returns false when the user wants no more. */
static bool watch_wait(struct console *console)
{
    struct pollfd ready[2] = {{console->remote.fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    while (!remote_has_line(&console->remote)) {
        if (interrupted)
            return false;
        if (ppoll(ready, console->interactive ? 2 : 1, NULL, &console->signals) < 0)
            continue; /* EINTR */
        if (ready[1].revents) {
            char line[256];
            (void)!read(STDIN_FILENO, line, sizeof line);
            return false;
        }
        if (ready[0].revents)
            return true;
    }
    return !interrupted;
}

static void watch_print(struct console *console, const struct command *command,
                        const json_t *arguments, const json_t *line)
{
    if (json_object_get(arguments, "json")) {
        json_dumpf(line, console->out, JSON_COMPACT);
        fputc('\n', console->out);
    } else {
        command->print(console->out, line);
    }
    fflush(console->out);
}

/* Prints lines until the stream's last one, which becomes the caller's; asks for the end when the
   user does. Returns NULL with remote.error. */
static json_t *stream_print(struct console *console, const struct command *command,
                            const json_t *arguments, bool *stopping)
{
    bool last = false;
    for (;;) {
        if (!*stopping && !watch_wait(console)) {
            if (remote_send(&console->remote, json_pack("{s:s}", "do", "stop"), -1) != 0)
                return NULL;
            *stopping = true;
        }
        json_t *line = remote_next(&console->remote, &last);
        if (!line || last)
            return line;
        if (!*stopping)
            watch_print(console, command, arguments, line);
        json_decref(line);
    }
}

/* Sends a request whose answer is a stream (released in any case), and prints it until it ends or
   the user ends it. Returns its last line, not printed yet, or NULL with remote.error. */
static json_t *stream_run(struct console *console, const struct command *command,
                          const json_t *arguments, json_t *request)
{
    struct sigaction ours = {.sa_handler = interrupt}, before;
    sigset_t blocked;
    bool stopping = false, last;
    if (remote_send(&console->remote, request, -1) != 0)
        return NULL;
    interrupted = 0;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT); /* let in by ppoll alone, so that none slips by before it */
    sigprocmask(SIG_BLOCK, &blocked, &console->signals);
    sigaction(SIGINT, &ours, &before);
    json_t *end = stream_print(console, command, arguments, &stopping);
    if (end && stopping)
        json_decref(remote_next(&console->remote, &last)); /* the answer to "stop" */
    /* To ignore a signal forgets one that waits: an impatient second one asked for the same end. */
    sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigaction(SIGINT, &before, NULL);
    sigprocmask(SIG_SETMASK, &console->signals, NULL);
    return end;
}

/* The last line of the events tells only what was lost. */
static int run_watch(struct console *console, const struct command *command, json_t *arguments)
{
    json_t *request = json_pack("{s:s, s:b}", "do", command->request, "follow", 1);
    json_t *end = stream_run(console, command, arguments, request);
    if (json_integer_value(json_object_get(end, "lost")) > 0)
        watch_print(console, command, arguments, end);
    json_decref(end);
    return end ? 0 : -1;
}

static int run_ping(struct console *console, const struct command *command, json_t *arguments)
{
    json_t *end = stream_run(console, command, arguments, request_make(command, arguments));
    if (!end)
        return -1;
    watch_print(console, command, arguments, end);
    bool any = json_integer_value(json_object_get(end, "received")) > 0;
    if (!any)
        snprintf(console->remote.error, sizeof console->remote.error, "no answer from %s",
                 json_string_value(json_object_get(arguments, "address")));
    json_decref(end);
    return any ? 0 : -1;
}

static int run_traceroute(struct console *console, const struct command *command, json_t *arguments)
{
    json_t *end = stream_run(console, command, arguments, request_make(command, arguments));
    if (!end)
        return -1;
    if (json_object_get(arguments, "json"))
        watch_print(console, command, arguments, end);
    json_decref(end);
    return 0;
}

/* ---- Capture, help, quit ---- */

/* A capture that runs may be writing to the very file that would be emptied here. */
static int capture_is_free(struct remote *remote)
{
    json_t *status = remote_ask(remote, json_pack("{s:s}", "do", "capture.status"), -1);
    bool running = json_is_true(json_object_get(status, "running"));
    json_decref(status);
    if (running)
        snprintf(remote->error, sizeof remote->error, "a capture is running already");
    return status && !running ? 0 : -1;
}

/* Opens the file here, with this user's rights; the daemon only writes. */
static int capture_open(struct remote *remote, const char *path)
{
    if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO)) {
        snprintf(remote->error, sizeof remote->error, "standard output is a terminal");
        return -1;
    }
    int fd = strcmp(path, "-") == 0
                 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0)
        snprintf(remote->error, sizeof remote->error, "%s: %s", path, strerror(errno));
    return fd;
}

static int run_capture_start(struct console *console, const struct command *command,
                             json_t *arguments)
{
    struct remote *remote = &console->remote;
    const char *path = json_string_value(json_object_get(arguments, "file"));
    if (remote_ask_writing(remote) != 0 || capture_is_free(remote) != 0)
        return -1;
    int fd = capture_open(remote, path);
    if (fd < 0)
        return -1;
    json_t *request = request_make(command, arguments);
    json_object_del(request, "file");
    json_t *answer = remote_ask(remote, request, fd);
    close(fd);
    json_decref(answer);
    return answer ? 0 : -1;
}

/* ---- The filter's rules ---- */

/* The file's text in memory that can be passed to the daemon; -1 with remote->error. */
static int rules_open(struct remote *remote, const char *path)
{
    char piece[16384];
    ssize_t got = -1;
    bool standard = strcmp(path, "-") == 0;
    int from = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int to = from >= 0 ? memfd_create("rules", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
    while (to >= 0 && (got = read(from, piece, sizeof piece)) > 0)
        if (write(to, piece, (size_t)got) != got)
            break;
    if (got != 0)
        snprintf(remote->error, sizeof remote->error, "%s: %s", path, strerror(errno));
    if (from >= 0 && !standard)
        close(from);
    if (got != 0 && to >= 0) {
        close(to);
        to = -1;
    }
    return to;
}

static int run_filter_load(struct console *console, const struct command *command,
                           json_t *arguments)
{
    struct remote *remote = &console->remote;
    const char *path = json_string_value(json_object_get(arguments, "file"));
    if (remote_ask_writing(remote) != 0)
        return -1;
    int fd = rules_open(remote, path);
    if (fd < 0)
        return -1;
    json_t *answer = remote_ask(remote, json_pack("{s:s}", "do", command->request), fd);
    close(fd);
    json_decref(answer);
    if (answer)
        return 0;
    if (isdigit((unsigned char)remote->error[0])) { /* the place of an error in the file */
        char place[sizeof remote->error];
        memcpy(place, remote->error, sizeof place);
        snprintf(remote->error, sizeof remote->error, "%.60s:%.250s", path, place);
    }
    return -1;
}

static bool words_begin(const char *words, const char *first, const char *second)
{
    char wanted[80];
    snprintf(wanted, sizeof wanted, "%s%s%s", first, second ? " " : "", second ? second : "");
    return strncmp(words, wanted, strlen(wanted)) == 0;
}

/* One command: its line, and beside it or below what it does. */
static void help_print(FILE *out, const struct command *command)
{
    enum { COLUMN = 32 };
    const char *json = strstr(command->arguments, "[json]"); /* said once, below the list */
    int length = (int)(json ? json - command->arguments : (long)strlen(command->arguments));
    int used = fprintf(out, "%s %.*s", command->words, length, command->arguments);
    if (used >= COLUMN)
        used = fprintf(out, "\n") - 1;
    fprintf(out, "%*s%s\n", COLUMN - used, "", command->help);
}

static int run_help(struct console *console, const struct command *command, json_t *arguments)
{
    const char *first = json_string_value(json_object_get(arguments, "command"));
    const char *second = json_string_value(json_object_get(arguments, "part"));
    bool any = false;
    (void)command;
    for (const struct command *c = command_list; c->words; c++) {
        if (first && !words_begin(c->words, first, second))
            continue;
        help_print(console->out, c);
        any = true;
    }
    if (!any) {
        snprintf(console->remote.error, sizeof console->remote.error, "no command begins so");
        return -1;
    }
    if (!first)
        fputs("\nWith json at its end, a command prints its answer as JSON. Words may be cut "
              "short.\n",
              console->out);
    return 0;
}

static int run_quit(struct console *console, const struct command *command, json_t *arguments)
{
    (void)command;
    (void)arguments;
    console->quit = true;
    return 0;
}

/* ---- A line ---- */

static int command_run(struct console *console, const struct command *command, json_t *arguments)
{
    if (command->run)
        return command->run(console, command, arguments);
    if (command->writes && remote_ask_writing(&console->remote) != 0)
        return -1;
    return run_plain(console, command, arguments);
}

/* `?` is help, and `show ?` is help about show. */
static int words_for_help(char **words, int count)
{
    static char help[] = "help";
    if (count == 0 || strcmp(words[count - 1], "?") != 0)
        return count;
    memmove(words + 1, words, (size_t)(count - 1) * sizeof *words);
    words[0] = help;
    return count;
}

static int words_execute(struct console *console, char **words, int count)
{
    char *error = console->remote.error;
    size_t size = sizeof console->remote.error;
    int used;
    count = words_for_help(words, count);
    const struct command *command = command_find(words, count, &used, error, size);
    json_t *arguments =
        command ? command_arguments(command, words + used, count - used, error, size) : NULL;
    if (!arguments)
        return -1;
    int result = command_run(console, command, arguments);
    json_decref(arguments);
    return result;
}

int console_execute(struct console *console, const char *line, const char *where)
{
    char *words[COMMAND_WORDS_MAX];
    char *copy = strdup(line);
    if (!copy)
        return -1;
    console->remote.error[0] = '\0';
    int count = command_split(copy, words, COMMAND_WORDS_MAX, console->remote.error,
                              sizeof console->remote.error);
    int result = count <= 0 ? count : words_execute(console, words, count);
    fflush(console->out);
    if (result != 0)
        fprintf(stderr, "tapctl: %s%s\n", where, console->remote.error);
    free(copy);
    return result;
}

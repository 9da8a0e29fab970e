/* The console's server: what control_*.c share. The protocol is described in tapctl(8). */
#ifndef TAPSTACK_HOST_CONTROL_H
#define TAPSTACK_HOST_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon.h"

enum {
    CONTROL_PROTOCOL = 1,         /* version, told in the greeting */
    CONTROL_LINE_MAX = 64 * 1024, /* longest request, its newline included */
    CONTROL_ARGUMENTS_MAX = 8,
};

struct control_client;

enum control_progress {
    CONTROL_DONE,   /* the last line of the answer is written */
    CONTROL_MORE,   /* call the step again when the client has read on */
    CONTROL_STREAM, /* nothing now; call the step again after a while */
};

enum control_kind {
    CONTROL_NUMBER, /* integer, not negative */
    CONTROL_TEXT,
    CONTROL_FLAG,   /* true or false */
    CONTROL_SCALAR, /* a number or a text */
};

struct control_argument {
    const char *name;
    enum control_kind kind;
    bool required;
};

/* A request that the server understands. step answers it, a bounded piece a call, with
   control_put, control_end and control_fail. */
struct control_command {
    const char *name; /* "show.connections" */
    const char *what;
    bool write; /* only for who asked for writing and may */
    struct control_argument arguments[CONTROL_ARGUMENTS_MAX];
    enum control_progress (*step)(struct control_client *client);
    void (*end)(struct control_client *client); /* a stream's last line, when its client ends it */
};

/* All commands, ended by one without a name. */
extern const struct control_command control_commands[];

struct control_request {
    const struct control_command *command;
    json_t *arguments; /* the whole object; the receiver's to release */
};

struct control_error {
    const char *code;
    char message[240];
    int column; /* in the line, from 1; 0: none in particular */
};

/* Reads one line (without its newline). Returns 0, or -1 with error filled in. */
int control_request_parse(const char *line, size_t size, struct control_request *request,
                          struct control_error *error);

/* One connection of a console. */
struct control_client {
    struct loop_watch watch; /* first: the loop's hooks get the client from it */
    struct control_server *server;
    struct daemon *daemon;
    struct control_client *next;
    uid_t uid; /* as the kernel tells it */
    pid_t pid;
    bool writes;    /* it asked for writing, and may */
    bool skipping;  /* inside a line that was too long */
    bool streaming; /* its answer waits for something to happen */
    bool ended;     /* it sends nothing more */
    bool gone;      /* it reads nothing more */
    int descriptor; /* passed with the last message that had one; -1: none */

    /* The answer under way. */
    const struct control_command *command; /* NULL: none */
    json_t *arguments;
    unsigned steps;        /* calls of the step before this one */
    uint32_t cursor;       /* of a walk through the stack */
    uint64_t event_cursor; /* of events */
    uint64_t events_left;  /* to be shown before the answer ends or follows */
    uint64_t events_lost;
    uint32_t period_us;          /* of a stream: its step is called this often; 0: as it comes */
    struct control_probe *probe; /* a ping or traceroute under way, or NULL */

    size_t input_used;
    char input[CONTROL_LINE_MAX];
    char *output; /* output_sent of output_used bytes have gone */
    size_t output_used, output_sent, output_capacity;
};

/* Queues a line of the answer; part is released. */
void control_put(struct control_client *client, json_t *part);
/* The last line: part (NULL for nothing more to say) with "ok". Returns CONTROL_DONE. */
enum control_progress control_end(struct control_client *client, json_t *part);
/* The last line: an error. Returns CONTROL_DONE. */
enum control_progress control_fail(struct control_client *client, const char *code,
                                   const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Arguments of the request under way; they have the kind that the table says. */
const char *control_text(const struct control_client *client, const char *name); /* or NULL */
uint64_t control_number(const struct control_client *client, const char *name, uint64_t otherwise);
bool control_flag(const struct control_client *client, const char *name);

/* May this user change anything? */
bool control_may_write(const struct control_client *client);

/* Text of an address and port: {"address": "10.77.0.2", "port": 80}. */
json_t *control_endpoint(const struct stack_endpoint *endpoint);
json_t *control_integer(uint64_t value);
json_t *control_v4(uint32_t v4); /* "10.77.0.2" */
json_t *control_mac(const struct mac_address *mac);

/* control_show.c */
enum control_progress control_show_overview(struct control_client *client);
enum control_progress control_show_connections(struct control_client *client);
enum control_progress control_show_connection(struct control_client *client);
enum control_progress control_show_listeners(struct control_client *client);
enum control_progress control_show_interfaces(struct control_client *client);
enum control_progress control_show_settings(struct control_client *client);
enum control_progress control_show_counters(struct control_client *client);

/* What a device knows of itself, added to an interface's object. */
struct device;
void control_device(json_t *json, struct device *device);

/* control_interface.c */
enum control_progress control_act_interface(struct control_client *client);

/* control_reassembly.c */
enum control_progress control_show_reassembly(struct control_client *client);

/* control_neighbor.c */
enum control_progress control_neighbor_show(struct control_client *client);
enum control_progress control_neighbor_add(struct control_client *client);
enum control_progress control_neighbor_delete(struct control_client *client);
enum control_progress control_neighbor_flush(struct control_client *client);
enum control_progress control_neighbor_probe(struct control_client *client);
/* How an address of ours stands on its link: state and conflicts; null: it is not ours. */
json_t *control_neighbor_address(const struct stack *stack, unsigned interface, uint32_t v4,
                                 uint64_t now_us);

/* control_route.c */
enum control_progress control_route_show(struct control_client *client);
enum control_progress control_route_get(struct control_client *client);
enum control_progress control_route_add(struct control_client *client);
enum control_progress control_route_delete(struct control_client *client);
enum control_progress control_address_show(struct control_client *client);
enum control_progress control_address_add(struct control_client *client);
enum control_progress control_address_delete(struct control_client *client);

/* control_filter.c */
enum control_progress control_filter_show(struct control_client *client);
enum control_progress control_filter_add(struct control_client *client);
enum control_progress control_filter_delete(struct control_client *client);
enum control_progress control_filter_policy(struct control_client *client);
enum control_progress control_filter_load(struct control_client *client);
enum control_progress control_filter_flush(struct control_client *client);
enum control_progress control_filter_test(struct control_client *client);
enum control_progress control_show_flows(struct control_client *client);
enum control_progress control_flows_flush(struct control_client *client);

/* control_impair.c */
enum control_progress control_impair_add(struct control_client *client);
enum control_progress control_impair_list(struct control_client *client);
enum control_progress control_impair_del(struct control_client *client);
enum control_progress control_impair_clear(struct control_client *client);
enum control_progress control_impair_presets(struct control_client *client);

/* control_event.c */
enum control_progress control_event_show(struct control_client *client);
/* The last line of a stream that its client ends. */
void control_event_end(struct control_client *client);

/* control_probe.c */
enum control_progress control_probe_ping(struct control_client *client);
enum control_progress control_probe_trace(struct control_client *client);
void control_probe_end_ping(struct control_client *client);
void control_probe_end_trace(struct control_client *client);
/* The command under way is over, however: gives back what it held. */
void control_probe_close(struct control_client *client);

/* control_pmtu.c */
enum control_progress control_pmtu_show(struct control_client *client);
enum control_progress control_pmtu_flush(struct control_client *client);

/* control_act.c */
enum control_progress control_act_write(struct control_client *client);
enum control_progress control_act_kill(struct control_client *client);
enum control_progress control_act_set(struct control_client *client);
enum control_progress control_act_capture_start(struct control_client *client);
enum control_progress control_act_capture_stop(struct control_client *client);
enum control_progress control_act_capture_status(struct control_client *client);

#endif

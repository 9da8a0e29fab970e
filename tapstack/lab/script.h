/* Packet scripts: what is written in packetdrill's notation, read into events.

   A script is text; script_parse turns it into a list of events, script_run (script_run.h) carries
   them out. Everything that the parser does not know is an error with its place: nothing is ever
   skipped. A script owns all of its memory; script_destroy frees it. */
#ifndef TAPSTACK_LAB_SCRIPT_H
#define TAPSTACK_LAB_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script_place {
    int line;   /* from 1 */
    int column; /* from 1 */
};

struct script_error {
    struct script_place place;
    char text[240];
};

/* ---- Values: arguments of calls ---- */

enum script_value_kind {
    SCRIPT_ANY,     /* `...` */
    SCRIPT_INTEGER, /* also a constant, and what an expression comes to */
    SCRIPT_TEXT,    /* "quoted" */
    SCRIPT_LIST,    /* [a, b] */
    SCRIPT_RECORD,  /* {a, name = b, name(size) = c} */
};

struct script_value {
    enum script_value_kind kind;
    struct script_place place;
    int64_t integer;
    const char *text;
    const char *name;           /* in a record: of the field, or NULL */
    struct script_value *first; /* of a list or record */
    struct script_value *next;  /* beside this one */
    unsigned count;             /* of a list's or record's elements */
};

/* The field of a record by name, else the one at that position without a name, or NULL. */
const struct script_value *script_field(const struct script_value *record, const char *name,
                                        unsigned position);

/* A constant by its name ("SOCK_STREAM", "EAGAIN"). Returns whether it is known. */
bool script_constant(const char *name, size_t size, int64_t *value);
/* The name of an errno ("EAGAIN"), or NULL. */
const char *script_errno_name(int64_t number);

/* ---- Calls ---- */

/* CALL(its name in a script, the function (script_call.h), its arguments: least, most) */
#define SCRIPT_CALLS(CALL)                                                                         \
    CALL("socket", call_socket, 3, 3)                                                              \
    CALL("bind", call_bind, 3, 3)                                                                  \
    CALL("listen", call_listen, 2, 2)                                                              \
    CALL("accept", call_accept, 3, 3)                                                              \
    CALL("accept4", call_accept4, 4, 4)                                                            \
    CALL("connect", call_connect, 3, 3)                                                            \
    CALL("close", call_close, 1, 1)                                                                \
    CALL("shutdown", call_shutdown, 2, 2)                                                          \
    CALL("read", call_read, 3, 3)                                                                  \
    CALL("readv", call_readv, 3, 3)                                                                \
    CALL("recv", call_recv, 4, 4)                                                                  \
    CALL("recvfrom", call_recvfrom, 6, 6)                                                          \
    CALL("recvmsg", call_recvmsg, 3, 3)                                                            \
    CALL("write", call_write, 3, 3)                                                                \
    CALL("writev", call_writev, 3, 3)                                                              \
    CALL("send", call_send, 4, 4)                                                                  \
    CALL("sendto", call_sendto, 6, 6)                                                              \
    CALL("sendmsg", call_sendmsg, 3, 3)                                                            \
    CALL("setsockopt", call_setoption, 5, 5)                                                       \
    CALL("getsockopt", call_getoption, 5, 5)                                                       \
    CALL("fcntl", call_fcntl, 2, 3)                                                                \
    CALL("ioctl", call_ioctl, 3, 3)                                                                \
    CALL("poll", call_poll, 3, 3)                                                                  \
    CALL("epoll_create", call_epoll_create, 1, 1)                                                  \
    CALL("epoll_create1", call_epoll_create, 1, 1)                                                 \
    CALL("epoll_ctl", call_epoll_ctl, 4, 4)                                                        \
    CALL("epoll_wait", call_epoll_wait, 4, 4)

/* ---- Packets ---- */

enum script_packet_kind { SCRIPT_TCP, SCRIPT_UDP, SCRIPT_ICMP };

enum {
    SCRIPT_OPTIONS_MAX = 40,
    SCRIPT_FLAG_AE = 0x100, /* beside the eight of enum tcp_flags (RFC 9293, 3.1: bit 7) */
};

enum script_ecn {
    SCRIPT_ECN_UNSAID = -1,
    SCRIPT_ECN_NONE = 0,
    SCRIPT_ECN_ECT1 = 1,
    SCRIPT_ECN_ECT0 = 2,
    SCRIPT_ECN_CE = 3,
    SCRIPT_ECN_ECT01 = 4, /* either of the two */
};

/* One TCP option. SACK blocks and timestamps stand in script numbers. */
struct script_option {
    uint8_t kind;
    bool numbered; /* given as kind and bytes, also where the kind has a name */
    bool raw;      /* bytes are all that stands on the wire: no kind, no length before them */
    uint8_t size;  /* of bytes */
    uint32_t value[8];
    uint8_t value_count;
    uint8_t bytes[38];
};

struct script_packet {
    enum script_packet_kind kind;
    bool inbound;
    int ecn;         /* of enum script_ecn */
    int ttl, tos;    /* -1: not said */
    int source_port; /* -1: not said */
    int destination_port;
    uint16_t flags;
    uint32_t sequence, ack;
    uint32_t payload_bytes;
    int64_t window;   /* as on the wire; -1: not said */
    int64_t urgent;   /* -1: not said */
    bool any_options; /* <...> */
    unsigned option_count;
    struct script_option option[SCRIPT_OPTIONS_MAX];
    /* ICMP */
    uint8_t icmp_type, icmp_code;
    int64_t icmp_mtu; /* -1: not said */
    int64_t icmp_id;  /* of an echo; -1: not said */
    bool quotes, quotes_udp;
    uint32_t quoted_sequence, quoted_bytes;
};

/* ---- Events ---- */

enum script_time_kind { SCRIPT_AT, SCRIPT_AFTER, SCRIPT_ANYTIME };

struct script_time {
    enum script_time_kind kind;
    int64_t at_us;
    int64_t until_us; /* `a~b`: latest; -1: at that time */
    int64_t ends_us;  /* `a...b`: a blocking call returns then; -1: at once */
};

struct script_call {
    const char *name;
    unsigned number;                /* in SCRIPT_CALLS */
    const char *source;             /* name and arguments, in one line */
    struct script_value *arguments; /* the first, or NULL */
    unsigned argument_count;
    struct script_value *result; /* NULL: `= ?` or none given */
    int64_t error_number;        /* errno expected with -1; 0: none */
    bool result_any;
};

enum script_event_kind { SCRIPT_PACKET, SCRIPT_CALL, SCRIPT_CODE, SCRIPT_COMMAND };

struct script_event {
    struct script_event *next;
    struct script_place place;
    struct script_time time;
    enum script_event_kind kind;
    const char *source; /* the event's text, one line of it */
    struct script_packet packet;
    struct script_call call;
    const char *text; /* of code and command */
};

/* `--name=value` at the head, and commands before the first event. */
struct script_setting {
    struct script_setting *next;
    struct script_place place;
    const char *name;
    const char *value; /* "" when none was given */
};

/* `--define=NAME=value`: stands for the value in all that follows. */
struct script_define {
    struct script_define *next;
    const char *name;
    int64_t value;
};

struct script {
    const char *name; /* of the file, for messages */
    struct script_setting *settings;
    struct script_define *defines;
    struct script_event *events;
    struct script_block *blocks; /* all memory */
};

/* Reads a script of size bytes. name: of the file, copied. Returns NULL with error filled in. */
struct script *script_parse(const char *name, const char *text, size_t size,
                            struct script_error *error);
void script_destroy(struct script *script);

#endif

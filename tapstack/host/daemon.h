/* The daemon's parts, and how they reach each other. */
#ifndef TAPSTACK_HOST_DAEMON_H
#define TAPSTACK_HOST_DAEMON_H

#include "../core/stack.h"
#include "../link/cable.h"
#include "config.h"
#include "loop.h"

struct api_server;
struct capture;
struct control_server;
struct device;

struct daemon {
    struct loop loop; /* first: the loop's hooks get the daemon from it */
    struct config config;
    struct stack *stack;
    /* TAP, card and cable; those of the stack's interfaces first, under their numbers. */
    struct device *device[CONFIG_INTERFACES_MAX];
    unsigned device_count;
    struct cable_exempt exempt; /* ports of listeners that asked for it */
    struct api_server *api;
    struct control_server *control;
    struct capture *capture; /* always there; does nothing until started */
    uint64_t started_at;     /* CLOCK_MONOTONIC, microseconds */
    bool stopping;
};

/* host/api_server.c: the socket-like API. dir: folder of the socket. Returns NULL and logs on
   failure. */
struct api_server *api_server_create(struct daemon *daemon, const char *dir);
/* A socket of the stack is ready (from stack_next_ready). */
void api_server_ready(struct api_server *server, const struct stack_ready *ready);
/* Ends in order: listeners closed, connections closed; api_server_idle tells when all are gone. */
void api_server_shutdown(struct api_server *server);
bool api_server_idle(const struct api_server *server);
void api_server_destroy(struct api_server *server);
/* For the console: clients, sockets, descriptors in use. Who owns a stack socket: pid, or 0. */
struct api_usage {
    uint32_t clients;
    uint32_t listeners;
    uint32_t connections;
    uint32_t datagrams;        /* datagram sockets */
    uint64_t refused_requests; /* malformed, of the wrong version, over quota */
};
void api_server_usage(const struct api_server *server, struct api_usage *usage);
int api_server_owner(const struct api_server *server, int socket);
/* Before bytes held by applications are shown: what they have read meanwhile is asked of the kernel
   and told to the stack. socket: of one stack socket, or 0: of all. */
void api_server_refresh(struct api_server *server, int socket);

/* host/control_server.c: the console's side. */
struct control_server *control_server_create(struct daemon *daemon, const char *dir);
void control_server_destroy(struct control_server *server);

/* host/capture.c: pcapng of the frames at the device, started by the console. */
struct capture *capture_create(struct daemon *daemon);
void capture_destroy(struct capture *capture);
/* fd: where to write; taken over. limit_bytes: 0 for none. Returns 0 or a negative errno. */
int capture_start(struct capture *capture, int fd, uint64_t limit_bytes);
/* frames: written; lost: not written because the reader was slow. */
int capture_stop(struct capture *capture, uint64_t *frames, uint64_t *lost);
bool capture_is_running(const struct capture *capture);
/* Of the capture that runs, or of the last one. */
struct capture_status {
    bool running;
    uint64_t frames;   /* written */
    uint64_t lost;     /* not written */
    uint64_t bytes;    /* of the file */
    const char *ended; /* why it ended by itself; "" when it did not */
};
void capture_status(const struct capture *capture, struct capture_status *status);
/* One frame passes the device numbered frame->interface; direction: PCAPNG_INBOUND or
   PCAPNG_OUTBOUND. Super-frames are split to wire frames. Costs one comparison while no capture
   runs. */
void capture_frame(struct capture *capture, const struct frame *frame, int direction);

#endif

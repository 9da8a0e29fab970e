/* The capture: frames at the device as pcapng, written from the loop without ever waiting.

   capture_frame puts a frame's block into a buffer; the buffer is written when it is half full, and
   at the latest FLUSH_US after its first block, so that a viewer at the other end of a pipe sees
   frames soon and a file gets them in large writes. A pipe whose reader is slow keeps the buffer
   full: frames that find no room are lost and counted, nobody waits. Stopping closes a file at
   once; a pipe that is full is drained first, in the background.

   Times are CLOCK_REALTIME at the start of the capture, moved on by the monotonic clock: distances
   between frames are right whatever is done to the wall clock meanwhile.

   A TCP frame on its way out carries a comment that says why it was sent. The stack writes an event
   for each segment that it hands out; the one with the frame's sequence number that came after the
   last frame is the frame's. A cable between stack and device that holds frames back breaks that
   pairing, and such frames go without a comment. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../wire/bytes.h"
#include "../wire/pcapng.h"
#include "../wire/tcp.h"
#include "clock.h"
#include "daemon.h"
#include "device.h"
#include "log.h"

enum {
    BUFFER_BYTES = 4 * 1024 * 1024,
    FLUSH_BYTES = BUFFER_BYTES / 2,
    FLUSH_US = 10000,
    COMMENT_MAX = 256,
    EVENTS_LOOKED_AT = 64, /* for one frame's comment */
};

struct capture {
    struct loop_watch target; /* first; fd -1: no file. In the loop only while a pipe is full */
    struct loop_watch timer;
    struct daemon *daemon;
    bool running; /* takes frames */
    bool waiting; /* target is in the loop */
    bool ticking; /* the timer is set */
    uint8_t *buffer;
    size_t used, written; /* written of used bytes have gone */
    uint64_t frames, lost, bytes, limit_bytes;
    struct capture_interface {
        uint64_t frames, lost;
    } interface[CONFIG_INTERFACES_MAX]; /* of the frames and lost above */
    uint64_t epoch_offset_ns;           /* from monotonic time to the epoch's */
    uint64_t event_cursor;
    const char *ended;
    uint8_t wire[FRAME_BYTES_MAX]; /* one frame as it would be on a wire */
};

/* ---- Writing ---- */

static void wait_end(struct capture *capture)
{
    if (capture->waiting)
        loop_remove(&capture->daemon->loop, &capture->target);
    capture->waiting = false;
}

/* Closes the file; what could not be written is given up. */
static void target_close(struct capture *capture)
{
    wait_end(capture);
    if (capture->target.fd >= 0)
        close(capture->target.fd);
    capture->target.fd = -1;
    capture->running = false;
    free(capture->buffer);
    capture->buffer = NULL;
    capture->used = capture->written = 0;
}

static void target_failed(struct capture *capture, int error)
{
    capture->ended = error == EPIPE    ? "the reader has gone"
                     : error == ENOSPC ? "the disk is full"
                                       : "writing failed";
    log_warning("capture: ended after %llu frames: %s", (unsigned long long)capture->frames,
                strerror(error));
    target_close(capture);
}

/* Writes what it can. Returns 0, EAGAIN or another errno. */
static int buffer_write(struct capture *capture)
{
    while (capture->written < capture->used) {
        ssize_t count = write(capture->target.fd, capture->buffer + capture->written,
                              capture->used - capture->written);
        if (count > 0)
            capture->written += (size_t)count;
        else if (count < 0 && errno != EINTR)
            return errno;
    }
    capture->used = capture->written = 0;
    return 0;
}

static void capture_flush(struct capture *capture)
{
    int error = buffer_write(capture);
    if (error == EAGAIN) {
        if (!capture->waiting)
            capture->waiting = loop_add(&capture->daemon->loop, &capture->target) == 0;
        return;
    }
    wait_end(capture);
    if (error)
        target_failed(capture, error);
    else if (!capture->running)
        target_close(capture);
}

static void target_ready(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    capture_flush((struct capture *)watch);
}

static void timer_set(struct capture *capture)
{
    struct itimerspec once = {.it_value = {0, FLUSH_US * 1000}};
    if (!capture->ticking)
        capture->ticking = timerfd_settime(capture->timer.fd, 0, &once, NULL) == 0;
}

static void timer_ready(struct loop_watch *watch, uint32_t events)
{
    struct capture *capture = (struct capture *)((char *)watch - offsetof(struct capture, timer));
    uint64_t ticks;
    (void)events;
    (void)!read(watch->fd, &ticks, sizeof ticks);
    capture->ticking = false;
    if (capture->target.fd >= 0 && !capture->waiting)
        capture_flush(capture);
}

/* Moves what is not written yet to the front when size bytes do not fit behind it. */
static bool buffer_has_room(struct capture *capture, size_t size)
{
    if (capture->used + size > BUFFER_BYTES && capture->written > 0) {
        capture->used -= capture->written;
        memmove(capture->buffer, capture->buffer + capture->written, capture->used);
        capture->written = 0;
    }
    return capture->used + size <= BUFFER_BYTES;
}

static void buffer_added(struct capture *capture, size_t size)
{
    capture->used += size;
    capture->bytes += size;
    if (capture->used - capture->written >= FLUSH_BYTES && !capture->waiting)
        capture_flush(capture);
    else
        timer_set(capture);
}

/* ---- Comments ---- */

/* The sequence number of an outbound TCP segment. Returns false when the frame is none. */
static bool frame_sequence(const uint8_t *bytes, size_t size, uint32_t *sequence)
{
    enum { ETHERNET = 14, TAG = 4, VLAN = 0x8100, IPV4 = 0x0800, PROTOCOL_TCP = 6 };
    if (size < ETHERNET + TAG + 20 + TCP_HEADER_BYTES)
        return false;
    size_t ip = ETHERNET + (bytes_get16(bytes + 12) == VLAN ? TAG : 0);
    if (bytes_get16(bytes + ip - 2) != IPV4 || bytes[ip + 9] != PROTOCOL_TCP)
        return false;
    size_t tcp = ip + (size_t)(bytes[ip] & 15) * 4;
    if (tcp + TCP_HEADER_BYTES > size)
        return false;
    *sequence = bytes_get32(bytes + tcp + 4);
    return true;
}

struct story {
    struct stack_event sent; /* of the frame */
    struct stack_event cwnd; /* what happened to its connection since the last frame; kind */
    struct stack_event rtt;  /* STACK_EVENT_COUNT: nothing */
};

/* Reads the events since the last frame. Returns whether the frame's own was among them. */
static bool story_read(struct capture *capture, uint32_t sequence, struct story *story)
{
    const struct stack *stack = capture->daemon->stack;
    struct stack_event event;
    uint64_t count = stack_event_count(stack);
    bool found = false;
    story->cwnd.kind = story->rtt.kind = STACK_EVENT_COUNT;
    if (count - capture->event_cursor > EVENTS_LOOKED_AT)
        capture->event_cursor = count - EVENTS_LOOKED_AT;
    while (stack_next_event(stack, &capture->event_cursor, &event, NULL)) {
        if (event.kind == STACK_EVENT_CWND)
            story->cwnd = event;
        else if (event.kind == STACK_EVENT_RTT)
            story->rtt = event;
        else if ((event.kind == STACK_EVENT_SENT || event.kind == STACK_EVENT_RETRANSMITTED) &&
                 event.argument[1] == sequence) {
            story->sent = event;
            found = true;
        }
    }
    return found;
}

/* Writes `ts1 conn=3 ev=sent reason=data ...`; comment: COMMENT_MAX bytes. */
static const char *comment_write(struct capture *capture, const uint8_t *bytes, size_t size,
                                 char *comment)
{
    struct story story;
    uint32_t sequence;
    if (!frame_sequence(bytes, size, &sequence) || !story_read(capture, sequence, &story))
        return NULL;
    int length =
        snprintf(comment, COMMENT_MAX, "ts1 conn=%u ev=%s reason=%s", (unsigned)story.sent.id,
                 stack_event_name(story.sent.kind), stack_reason_name(story.sent.argument[0]));
    if (story.cwnd.kind == STACK_EVENT_CWND && story.cwnd.id == story.sent.id)
        length += snprintf(comment + length, COMMENT_MAX - (size_t)length,
                           " cwnd=%u ssthresh=%u inflight=%u", (unsigned)story.cwnd.argument[1],
                           (unsigned)story.cwnd.argument[2], (unsigned)story.cwnd.argument[3]);
    if (story.rtt.kind == STACK_EVENT_RTT && story.rtt.id == story.sent.id)
        snprintf(comment + length, COMMENT_MAX - (size_t)length, " srtt_us=%u rto_us=%u",
                 (unsigned)story.rtt.argument[1], (unsigned)story.rtt.argument[3]);
    return comment;
}

/* ---- Frames ---- */

static void limit_reached(struct capture *capture)
{
    uint64_t frames, lost;
    capture->ended = "the limit is reached";
    capture_stop(capture, &frames, &lost);
}

static void block_write(struct capture *capture, const struct pcapng_packet *packet)
{
    size_t most = packet->size + COMMENT_MAX + PCAPNG_BLOCK_OVERHEAD;
    if (capture->limit_bytes && capture->bytes + most > capture->limit_bytes) {
        limit_reached(capture);
        return;
    }
    struct capture_interface *interface = &capture->interface[packet->interface];
    if (!buffer_has_room(capture, most)) {
        capture->lost++;
        interface->lost++;
        return;
    }
    size_t size =
        pcapng_write_packet(capture->buffer + capture->used, BUFFER_BYTES - capture->used, packet);
    capture->frames++;
    interface->frames++;
    buffer_added(capture, size);
}

static void frame_write(struct capture *capture, const struct frame *frame, int direction)
{
    struct frame_splitter splitter;
    char comment[COMMENT_MAX];
    size_t size;
    bool first = true;
    frame_split_start(&splitter, frame);
    while (capture->running &&
           (size = frame_split_next(&splitter, capture->wire, sizeof capture->wire)) > 0) {
        struct pcapng_packet packet = {
            .interface = frame->interface,
            .at_ns = capture->daemon->loop.now_us * 1000 + capture->epoch_offset_ns,
            .direction = direction,
            .data = capture->wire,
            .size = size,
            .wire_size = size,
        };
        if (first && direction == PCAPNG_OUTBOUND)
            packet.comment = comment_write(capture, capture->wire, size, comment);
        first = false;
        block_write(capture, &packet);
    }
}

void capture_frame(struct capture *capture, const struct frame *frame, int direction)
{
    if (capture->running)
        frame_write(capture, frame, direction);
}

/* ---- Start and stop ---- */

struct capture *capture_create(struct daemon *daemon)
{
    struct capture *capture = calloc(1, sizeof *capture);
    if (!capture)
        return NULL;
    capture->daemon = daemon;
    capture->ended = "";
    capture->target = (struct loop_watch){-1, EPOLLOUT, target_ready};
    capture->timer = (struct loop_watch){
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), EPOLLIN, timer_ready};
    if (capture->timer.fd < 0 || loop_add(&daemon->loop, &capture->timer) != 0) {
        if (capture->timer.fd >= 0)
            close(capture->timer.fd);
        free(capture);
        return NULL;
    }
    return capture;
}

void capture_destroy(struct capture *capture)
{
    uint64_t frames, lost;
    if (!capture)
        return;
    if (capture->running)
        capture_stop(capture, &frames, &lost);
    target_close(capture);
    loop_remove(&capture->daemon->loop, &capture->timer);
    close(capture->timer.fd);
    free(capture);
}

static int target_check(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &status) != 0)
        return -errno;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode) &&
        !S_ISCHR(status.st_mode))
        return -EINVAL;
    if (!S_ISREG(status.st_mode) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return -errno;
    return 0;
}

/* The section, and a block for each device under its number. */
static void header_write(struct capture *capture)
{
    const struct daemon *daemon = capture->daemon;
    size_t size =
        pcapng_write_section(capture->buffer, BUFFER_BYTES, "tapstackd " TAPSTACK_VERSION, NULL);
    for (unsigned i = 0; i < daemon->device_count; i++)
        size += pcapng_write_interface(capture->buffer + size, BUFFER_BYTES - size,
                                       device_name(daemon->device[i]), FRAME_BYTES_MAX);
    buffer_added(capture, size);
}

int capture_start(struct capture *capture, int fd, uint64_t limit_bytes)
{
    int error = capture->target.fd >= 0 ? -EBUSY : target_check(fd);
    uint8_t *buffer = error ? NULL : malloc(BUFFER_BYTES);
    if (!buffer) {
        close(fd);
        return error ? error : -ENOMEM;
    }
    capture->buffer = buffer;
    capture->target.fd = fd;
    capture->running = true;
    capture->frames = capture->lost = capture->bytes = 0;
    memset(capture->interface, 0, sizeof capture->interface);
    capture->limit_bytes = limit_bytes;
    capture->ended = "";
    capture->event_cursor = stack_event_count(capture->daemon->stack);
    capture->epoch_offset_ns = clock_realtime_ns() - clock_monotonic_us() * 1000;
    header_write(capture);
    return 0;
}

static void statistics_write(struct capture *capture)
{
    for (unsigned i = 0; i < capture->daemon->device_count; i++) {
        const struct capture_interface *interface = &capture->interface[i];
        struct pcapng_statistics statistics = {
            .interface = i,
            .at_ns = capture->daemon->loop.now_us * 1000 + capture->epoch_offset_ns,
            .received = interface->frames + interface->lost,
            .dropped = interface->lost,
        };
        if (!buffer_has_room(capture, PCAPNG_BLOCK_OVERHEAD))
            return;
        size_t size = pcapng_write_statistics(capture->buffer + capture->used,
                                              BUFFER_BYTES - capture->used, &statistics);
        capture->used += size;
        capture->bytes += size;
    }
}

int capture_stop(struct capture *capture, uint64_t *frames, uint64_t *lost)
{
    if (!capture->running)
        return -ENOENT;
    *frames = capture->frames;
    *lost = capture->lost;
    capture->running = false;
    statistics_write(capture);
    capture_flush(capture);
    return 0;
}

bool capture_is_running(const struct capture *capture) { return capture->running; }

void capture_status(const struct capture *capture, struct capture_status *status)
{
    *status = (struct capture_status){
        .running = capture->running,
        .frames = capture->frames,
        .lost = capture->lost,
        .bytes = capture->bytes,
        .ended = capture->ended,
    };
}

/* One client's exchange.

   Theory of operation. An exchange is a descriptor and what is unfinished about it. Bytes arrive in
   an input, which the exchange takes from the worker when there is something to read and gives back
   as soon as all of it is answered: an idle connection holds no buffer. All requests in an input
   are answered in order into one output, which is sent at the end with one system call (pipelining
   costs less, not more). A small file is copied into the output, a large one follows it by
   sendfile(2).

   When the socket is full the exchange is blocked: it keeps its output, stops reading and parsing,
   and waits for EPOLLOUT. So a slow reader closes its own window and costs bounded memory.

   Phases:  HEAD    a request's head is awaited or under way
            BODY    the head is whole, its body is being passed over
            LINGER  the last answer is out and our half is shut down; what the client still sends is
                    thrown away for a while, because closing with unread bytes would send a RST, and
                    the RST could overtake the answer (RFC 9112 9.6)

   Left out: bodies are not kept, for GET and HEAD need none. */
#define _GNU_SOURCE
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "../tapstack/api/tapstack.h"
#include "errorlog.h"

enum {
    FILE_TURN_BYTES = 4 * 1024 * 1024,  /* of one file before others get their turn */
    LINGER_BYTES_MAX = 4 * 1024 * 1024, /* thrown away before we close regardless */
    SPARES_MAX = 64,                    /* buffers of a kind kept for later */
};

_Static_assert(SITE_LINE_BYTES_MAX + 2048 <= OUTPUT_ANSWER_BYTES, "a redirect repeats the target");
_Static_assert(FILES_SMALL_BYTES + 2048 <= OUTPUT_ANSWER_BYTES, "a small file is copied");

enum exchange_phase { PHASE_HEAD, PHASE_BODY, PHASE_LINGER };

struct input {
    struct input *next; /* in the worker's list of spare ones */
    struct request request;
    uint32_t start; /* of the request under way */
    uint32_t end;   /* of what has arrived */
    char bytes[];   /* worker->input_bytes */
};

struct exchange {
    struct deadline deadline; /* first: the worker's lists lead back to the exchange */
    enum worker_wait wait;
    int fd;
    uint32_t watched; /* events that epoll looks for; 0: not registered */
    enum exchange_phase phase;
    bool broken;   /* the connection is of no use any more */
    bool ending;   /* no request is read any more; close once all is sent */
    bool linger;   /* but the client may still be sending */
    bool answered; /* in this turn */
    unsigned requests;
    uint32_t lingered_bytes;
    uint64_t acked_bytes;  /* by the client when the time to linger was over last */
    struct input *input;   /* NULL: nothing has arrived that is not answered */
    struct output *output; /* NULL: nothing waits to be sent */
    struct file *file;     /* NULL, or what follows the output */
    off_t file_at;
    uint64_t file_left;
    struct body body;
    struct sockaddr_in peer, local;
};

/* ---- buffers ---- */

static struct input *input_take(struct worker *worker)
{
    struct input *input = worker->spare_inputs;
    if (input) {
        worker->spare_inputs = input->next;
        worker->spare_input_count--;
    } else {
        input = malloc(sizeof(*input) + worker->input_bytes);
    }
    if (input) {
        input->start = input->end = 0;
        request_begin(&input->request);
    }
    return input;
}

static void input_give(struct worker *worker, struct exchange *exchange)
{
    struct input *input = exchange->input;
    exchange->input = NULL;
    if (!input)
        return;
    if (worker->spare_input_count == SPARES_MAX) {
        free(input);
        return;
    }
    input->next = worker->spare_inputs;
    worker->spare_inputs = input;
    worker->spare_input_count++;
}

static struct output *output_take(struct worker *worker)
{
    struct output *output = worker->spare_outputs;
    if (output) {
        worker->spare_outputs = output->next;
        worker->spare_output_count--;
    } else {
        output = malloc(sizeof(*output));
    }
    if (output)
        output->start = output->used = 0;
    return output;
}

static void output_give(struct worker *worker, struct exchange *exchange)
{
    struct output *output = exchange->output;
    exchange->output = NULL;
    if (!output)
        return;
    if (worker->spare_output_count == SPARES_MAX) {
        free(output);
        return;
    }
    output->next = worker->spare_outputs;
    worker->spare_outputs = output;
    worker->spare_output_count++;
}

void exchange_free_spares(struct worker *worker)
{
    for (struct input *next, *at = worker->spare_inputs; at; at = next) {
        next = at->next;
        free(at);
    }
    for (struct output *next, *at = worker->spare_outputs; at; at = next) {
        next = at->next;
        free(at);
    }
    for (struct exchange *next, *at = worker->spare_exchanges; at; at = next) {
        next = (struct exchange *)(void *)at->deadline.next;
        free(at);
    }
    worker->spare_inputs = NULL;
    worker->spare_outputs = NULL;
    worker->spare_input_count = worker->spare_output_count = 0;
    worker->spare_exchanges = NULL;
}

/* ---- sending ---- */

static void file_done(struct exchange *exchange)
{
    files_release(exchange->file);
    exchange->file = NULL;
}

/* What a failed or partial send means: full, or gone. */
static bool send_failed(struct exchange *exchange)
{
    if (errno != EAGAIN && errno != EINTR)
        exchange->broken = true;
    return false;
}

static bool push_output(struct worker *worker, struct exchange *exchange)
{
    struct output *output = exchange->output;
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (exchange->file ? MSG_MORE : 0);
    ssize_t sent;
    if (!output)
        return true;
    sent =
        ts_send(exchange->fd, output->bytes + output->start, output->used - output->start, flags);
    if (sent < 0)
        return send_failed(exchange);
    output->start += (uint32_t)sent;
    if (output->start < output->used)
        return false;
    output_give(worker, exchange);
    return true;
}

static bool push_file(struct exchange *exchange)
{
    uint64_t turn = FILE_TURN_BYTES;
    while (exchange->file_left > 0) {
        size_t size = exchange->file_left < turn ? (size_t)exchange->file_left : (size_t)turn;
        ssize_t sent =
            size ? sendfile(exchange->fd, exchange->file->fd, &exchange->file_at, size) : -2;
        if (sent == -2)
            return false; /* the turn is over; EPOLLOUT brings the next at once */
        if (sent < 0)
            return send_failed(exchange);
        if (sent == 0) { /* the file has shrunk: the promised length cannot be kept */
            exchange->broken = true;
            return false;
        }
        exchange->file_left -= (uint64_t)sent;
        turn -= (uint64_t)sent;
    }
    file_done(exchange);
    return true;
}

/* Sends what waits. True when all of it is out. */
static bool push(struct worker *worker, struct exchange *exchange)
{
    return push_output(worker, exchange) && (!exchange->file || push_file(exchange));
}

/* ---- answering ---- */

static struct accesslog_text text_of(const struct request *request, const char *bytes,
                                     enum request_field field)
{
    if (!request->seen[field])
        return (struct accesslog_text){NULL, 0};
    return (struct accesslog_text){bytes + request->field[field].at, request->field[field].size};
}

static void log_answer(struct worker *worker, const struct exchange *exchange,
                       const struct response *response)
{
    const struct input *input = exchange->input;
    struct accesslog_entry entry = {
        .peer = exchange->peer, .status = response->status, .body_bytes = response->body_bytes};
    if (worker->log.fd < 0)
        return;
    if (input) {
        const char *bytes = input->bytes + input->start;
        const struct request *request = &input->request;
        entry.line = (struct accesslog_text){bytes + request->line.at, request->line.size};
        entry.referer = text_of(request, bytes, FIELD_REFERER);
        entry.agent = text_of(request, bytes, FIELD_USER_AGENT);
    }
    accesslog_add(&worker->log, &entry, worker->clock.now_us, worker->clock.now_s);
}

/* Room for one more answer. False: blocked, broken, or out of memory. */
static bool make_room(struct worker *worker, struct exchange *exchange)
{
    if (exchange->file ||
        (exchange->output && OUTPUT_BYTES - exchange->output->used < OUTPUT_ANSWER_BYTES))
        if (!push(worker, exchange))
            return false;
    if (!exchange->output)
        exchange->output = output_take(worker);
    if (!exchange->output)
        exchange->broken = true;
    return exchange->output != NULL;
}

static void after_answer(struct worker *worker, struct exchange *exchange,
                         const struct response *response)
{
    log_answer(worker, exchange, response);
    exchange->requests++;
    exchange->answered = true;
    exchange->ending = !response->keep_alive;
    exchange->phase = PHASE_HEAD;
    if (response->file) {
        files_hold(response->file);
        exchange->file = response->file;
        exchange->file_at = 0;
        exchange->file_left = response->body_bytes;
        fcntl(exchange->fd, F_SETFL, O_RDWR | O_NONBLOCK); /* sendfile(2) has no MSG_DONTWAIT */
    }
}

/* The client is not understood any more: say why, then close. */
static void refuse(struct worker *worker, struct exchange *exchange, unsigned status,
                   const char *why, unsigned line)
{
    bool head_only = exchange->input && exchange->input->request.method == METHOD_HEAD;
    struct response response =
        response_error(exchange->output, &worker->clock, status, why, line, head_only, false);
    after_answer(worker, exchange, &response);
    exchange->linger = true;
}

static void answer(struct worker *worker, struct exchange *exchange, bool keep_alive)
{
    struct input *input = exchange->input;
    struct response response;
    /* Who has not asked for the close may have sent more; its RST would overtake the answer. */
    bool may_send = input->request.keep_alive || input->request.close_after;
    keep_alive = keep_alive && input->request.keep_alive && !worker->finishing &&
                 exchange->requests + 1 < worker->config->requests;
    response = response_make(exchange->output, &worker->files, &worker->clock, &input->request,
                             input->bytes + input->start, keep_alive);
    if (response.status == 500)
        errorlog_write(ERRORLOG_ERROR, "500 for %.*s: %s", (int)input->request.target.size,
                       input->bytes + input->start + input->request.target.at, strerror(errno));
    after_answer(worker, exchange, &response);
    exchange->linger = may_send && !response.keep_alive;
}

/* The body behind a whole head. False: more bytes are needed. */
static bool pass_body(struct worker *worker, struct exchange *exchange)
{
    struct input *input = exchange->input;
    uint32_t head = input->start + input->request.head_bytes;
    size_t used;
    enum request_result result = body_skip(&exchange->body, &worker->config->body_limits,
                                           input->bytes + head, input->end - head, &used);
    if (result == REQUEST_MORE) {
        input->end = head;
        return false;
    }
    if (result == REQUEST_REFUSED) {
        refuse(worker, exchange, exchange->body.status, exchange->body.reason, 0);
        return true;
    }
    answer(worker, exchange, true);
    input->start = head + (uint32_t)used;
    request_begin(&input->request);
    return true;
}

/* Takes the next request from the input and answers it. False: more bytes are needed. */
static bool next_answer(struct worker *worker, struct exchange *exchange)
{
    struct input *input = exchange->input;
    struct request *request;
    enum request_result result;
    if (!input || input->start == input->end)
        return false;
    request = &input->request;
    if (exchange->phase == PHASE_BODY)
        return pass_body(worker, exchange);
    result = request_parse(request, &worker->config->request_limits, input->bytes + input->start,
                           input->end - input->start);
    if (result == REQUEST_MORE)
        return false;
    if (result == REQUEST_REFUSED) {
        refuse(worker, exchange, request->status, request->reason, request->line_number);
        return true;
    }
    result = body_begin(&exchange->body, &worker->config->body_limits, request);
    if (result == REQUEST_REFUSED) {
        refuse(worker, exchange, exchange->body.status, exchange->body.reason, 0);
        return true;
    }
    if (result == REQUEST_MORE && request->expect_continue &&
        input->end - input->start == request->head_bytes) {
        /* RFC 9110 10.1.1: a final answer instead of 100; the body may never come, so close. */
        answer(worker, exchange, false);
        exchange->linger = true;
        return true;
    }
    exchange->phase = PHASE_BODY;
    return pass_body(worker, exchange);
}

/* ---- the end ---- */

/* Disconnect (S10): the exchange is done, the worker has one less under way. */
static void exchange_close(struct worker *worker, struct exchange *exchange)
{
    deadline_clear(&exchange->deadline);
    if (exchange->file)
        file_done(exchange);
    input_give(worker, exchange);
    output_give(worker, exchange);
    if (exchange->watched) /* by hand, for the listener may still hold its copy of the descriptor */
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, exchange->fd, NULL);
    ts_close(exchange->fd);
    exchange->deadline.next = (struct deadline *)(void *)worker->spare_exchanges;
    worker->spare_exchanges = exchange;
    scoreboard_set_open(worker->place, worker->self, --worker->open);
}

static void watch(struct worker *worker, struct exchange *exchange, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = exchange};
    int operation = exchange->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (exchange->watched == events)
        return;
    if (epoll_ctl(worker->epoll_fd, operation, exchange->fd, &event) < 0)
        exchange->broken = true;
    exchange->watched = events;
}

/* A request's head has one deadline, from its first byte to its last, whatever trickles in; for the
   others every turn is progress. */
static void set_wait(struct worker *worker, struct exchange *exchange, enum worker_wait wait)
{
    bool fixed = wait == WAIT_HEADER || wait == WAIT_LINGER;
    if (fixed && exchange->wait == wait && exchange->deadline.next && !exchange->answered)
        return;
    exchange->wait = wait;
    deadline_set(&worker->waits[wait], &exchange->deadline, worker->clock.now_us);
}

static enum worker_wait wait_of(const struct exchange *exchange)
{
    if (exchange->output || exchange->file)
        return WAIT_WRITE;
    if (exchange->phase == PHASE_LINGER)
        return WAIT_LINGER;
    if (exchange->phase == PHASE_BODY)
        return WAIT_BODY;
    return exchange->input || exchange->requests == 0 ? WAIT_HEADER : WAIT_IDLE;
}

/* After every turn: what is the exchange waiting for now? */
static void settle(struct worker *worker, struct exchange *exchange)
{
    bool blocked = exchange->output || exchange->file;
    if (exchange->input && exchange->input->start == exchange->input->end)
        input_give(worker, exchange);
    if (!exchange->broken && exchange->ending && !blocked && exchange->phase != PHASE_LINGER) {
        if (!exchange->linger && !exchange->input) {
            exchange_close(worker, exchange);
            return;
        }
        exchange->phase = PHASE_LINGER;
        input_give(worker, exchange);
        ts_shutdown(exchange->fd, SHUT_WR);
    }
    if (!exchange->broken)
        watch(worker, exchange, blocked ? EPOLLOUT : EPOLLIN);
    if (exchange->broken) {
        exchange_close(worker, exchange);
        return;
    }
    set_wait(worker, exchange, wait_of(exchange));
}

/* ---- turns ---- */

/* Answers all that has arrived, as far as the socket takes it. */
static void serve(struct worker *worker, struct exchange *exchange)
{
    bool room = true;
    exchange->answered = false;
    while (!exchange->ending && (room = make_room(worker, exchange)))
        if (!next_answer(worker, exchange))
            break;
    if (exchange->output && exchange->output->used == 0)
        output_give(worker, exchange); /* taken for an answer that is not due yet */
    if (room)
        push(worker, exchange);
    settle(worker, exchange);
}

/* One read a turn; when more is there, epoll says so again. False: nothing came. */
static bool fill(struct worker *worker, struct exchange *exchange)
{
    struct input *input = exchange->input;
    ssize_t got;
    if (!input)
        input = exchange->input = input_take(worker);
    if (!input) {
        exchange->broken = true;
        return false;
    }
    if (input->start > 0) {
        memmove(input->bytes, input->bytes + input->start, input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
    got = ts_recv(exchange->fd, input->bytes + input->end, worker->input_bytes - input->end,
                  MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        exchange->broken = true; /* closed by the client, in good order or not */
    if (got > 0)
        input->end += (uint32_t)got;
    return got > 0;
}

static void discard(struct worker *worker, struct exchange *exchange)
{
    exchange->answered = false;
    if (fill(worker, exchange)) {
        exchange->lingered_bytes += exchange->input->end;
        exchange->broken = exchange->lingered_bytes > LINGER_BYTES_MAX;
    }
    input_give(worker, exchange);
    settle(worker, exchange);
}

void exchange_ready(struct worker *worker, struct exchange *exchange, uint32_t events)
{
    if (exchange->phase == PHASE_LINGER) {
        discard(worker, exchange);
    } else if (exchange->output || exchange->file) {
        (void)events; /* whatever it is, the send tells */
        if (push(worker, exchange))
            serve(worker, exchange);
        else
            settle(worker, exchange);
    } else {
        fill(worker, exchange);
        if (exchange->broken)
            settle(worker, exchange);
        else
            serve(worker, exchange);
    }
}

void exchange_open(struct worker *worker, const struct handoff *handoff)
{
    struct exchange *exchange = worker->spare_exchanges;
    if (exchange)
        worker->spare_exchanges = (struct exchange *)(void *)exchange->deadline.next;
    else
        exchange = malloc(sizeof(*exchange));
    if (!exchange) {
        ts_close(handoff->fd);
        return;
    }
    *exchange =
        (struct exchange){.fd = handoff->fd, .peer = handoff->peer, .local = handoff->local};
    scoreboard_set_open(worker->place, worker->self, ++worker->open);
    /* The request has often arrived while the connection was handed over: look before waiting. */
    exchange_ready(worker, exchange, EPOLLIN);
}

/* Whether a lingering client is still busy with our answer: some of it is not acknowledged yet, but
   more than the last time. */
static bool still_reading(struct exchange *exchange)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    uint64_t acked_before = exchange->acked_bytes;
    if (ts_getsockopt(exchange->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return false;
    exchange->acked_bytes = info.tcpi_bytes_acked;
    return exchange->acked_bytes > acked_before &&
           (info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0);
}

void exchange_expire(struct worker *worker, struct deadline *deadline, enum worker_wait kind)
{
    struct exchange *exchange = (struct exchange *)(void *)deadline;
    bool late = (kind == WAIT_HEADER && exchange->input) || kind == WAIT_BODY;
    if (kind == WAIT_LINGER && still_reading(exchange))
        deadline_set(&worker->waits[kind], deadline, worker->clock.now_us);
    else if (late && make_room(worker, exchange)) {
        refuse(worker, exchange, 408, "The request took too long to arrive", 0);
        serve(worker, exchange);
    } else {
        exchange_close(worker, exchange);
    }
}

void exchange_finish(struct worker *worker, struct deadline *deadline)
{
    struct exchange *exchange = (struct exchange *)(void *)deadline;
    if (exchange->input || exchange->output || exchange->file || exchange->phase != PHASE_HEAD)
        return;
    if (!fill(worker, exchange))
        exchange_close(worker, exchange);
    else
        serve(worker, exchange);
}

/* ping and traceroute for consoles: streams of what comes back, and a last line with the sum.

   A client under such a command holds a prober of the stack, which goes with the command however it
   ends. The server's timer calls the step; the times shown are the stack's, from frame to frame. */
#include "control.h"

#include <stdlib.h>
#include <string.h>

#include "../wire/icmp.h"
#include "quantity.h"

enum {
    PING_SIZE = 56,
    PING_INTERVAL_US = 1000000,
    PING_TIMEOUT_US = 1000000,
    INTERVAL_LEAST_US = 10000,          /* one of the timer's ticks */
    INTERVAL_LEAST_FOR_ALL_US = 200000, /* who may not change anything may not flood either */
    TRACE_HOPS = 30,
    TRACE_QUERIES = 3,
    TRACE_QUERIES_MAX = 10,
    TRACE_SIZE = 32,
    TRACE_TIMEOUT_US = 2000000,
    TIMEOUT_MOST_US = 60000000,
    PROBE_PERIOD_US = 10000,
    ANSWERS_PER_LINE = 32,
};

struct control_probe {
    int prober;
    struct stack_probe probe;
    uint64_t waiting; /* sent, and neither answered nor given up */
    /* ping */
    uint64_t count; /* 0: until stopped */
    uint64_t interval_us, next_at;
    uint64_t tried; /* sent, or refused by the stack */
    uint64_t sent, received, duplicates, errors, damaged;
    uint64_t rtt_min_us, rtt_max_us, rtt_sum_us, rtt_square_sum;
    /* traceroute */
    uint64_t hops, queries, hop;
    uint16_t hop_first; /* sequence number of the hop's first query */
    bool reached;
    json_t *answers; /* of this hop, in the order of the queries */
};

/* ---- Begin and end ---- */

void control_probe_close(struct control_client *client)
{
    if (!client->probe)
        return;
    stack_probe_close(client->daemon->stack, client->probe->prober);
    json_decref(client->probe->answers);
    free(client->probe);
    client->probe = NULL;
}

/* A time among the arguments: a number of microseconds, or a text such as "200ms". Returns false
   when it is none between least and most. */
static bool time_read(const struct control_client *client, const char *name, uint64_t least,
                      uint64_t most, uint64_t *value)
{
    const json_t *json = json_object_get(client->arguments, name);
    if (json_is_integer(json))
        *value = (uint64_t)json_integer_value(json);
    else if (json && quantity_parse(json_string_value(json), QUANTITY_TIME, value) != 0)
        return false;
    return *value >= least && *value <= most;
}

/* Reads what both commands take. Returns NULL, or what is wrong. */
static const char *probe_read(struct control_client *client, struct stack_probe *probe)
{
    struct ip_address address;
    uint64_t size = control_number(client, "size", probe->payload_bytes);
    uint64_t ttl = control_number(client, "ttl", 0);
    if (ip_address_parse(control_text(client, "address"), &address) != 0)
        return "address must be like 10.77.0.1";
    if (size > 65507)
        return "size must be at most 65507";
    if (ttl > 255)
        return "ttl must be at most 255";
    if (!time_read(client, "timeout", 1000, TIMEOUT_MOST_US, &probe->timeout_us))
        return "timeout must be a time from 1ms to 60s";
    probe->destination_v4 = ip_address_to_v4(&address);
    probe->payload_bytes = (uint16_t)size;
    probe->ttl = (uint8_t)ttl;
    probe->dont_fragment = control_flag(client, "df");
    return NULL;
}

/* Opens a prober for the client. Returns its work, or NULL: the answer is an error already. */
static struct control_probe *probe_begin(struct control_client *client,
                                         const struct stack_probe *defaults)
{
    struct stack_probe probe = *defaults;
    const char *wrong = probe_read(client, &probe);
    if (wrong) {
        control_fail(client, "bad-argument", "%s", wrong);
        return NULL;
    }
    struct control_probe *work = calloc(1, sizeof *work);
    if (work)
        work->prober = stack_probe_open(client->daemon->stack);
    if (!work || work->prober < 0) {
        free(work);
        control_fail(client, "busy", "no room for another ping or traceroute");
        return NULL;
    }
    work->probe = probe;
    client->probe = work;
    client->period_us = PROBE_PERIOD_US;
    return work;
}

/* Returns the sequence number or an enum stack_error. */
static int probe_send(struct control_client *client)
{
    struct control_probe *work = client->probe;
    int sequence = stack_probe_send(client->daemon->stack, work->prober, &work->probe,
                                    client->daemon->loop.now_us);
    if (sequence >= 0)
        work->waiting++;
    return sequence;
}

static enum control_progress probe_refuse(struct control_client *client, int error)
{
    return control_fail(client, "not-sent", "%s: %s", control_text(client, "address"),
                        stack_error_text(error));
}

/* ---- Answers ---- */

static json_t *v4_json(uint32_t v4)
{
    char text[IP_ADDRESS_TEXT_MAX];
    struct ip_address address = ip_address_from_v4(v4);
    if (v4 == 0)
        return json_null();
    ip_address_format(&address, text);
    return json_string(text);
}

static const char *outcome_name(unsigned outcome)
{
    static const char *const names[] = {
        [STACK_PROBE_REPLY] = "reply",
        [STACK_PROBE_DUPLICATE] = "duplicate",
        [STACK_PROBE_ERROR] = "error",
        [STACK_PROBE_TIMED_OUT] = "timeout",
    };
    return names[outcome];
}

static const char *error_name(const struct stack_probe_answer *answer)
{
    const char *name = NULL;
    if (answer->type == ICMP_DESTINATION_UNREACHABLE)
        name = icmp_unreachable_name(answer->code);
    else if (answer->type == ICMP_TIME_EXCEEDED)
        name = answer->code == ICMP_CODE_TTL_EXCEEDED ? "time_exceeded" : "reassembly_exceeded";
    else if (answer->type == ICMP_PARAMETER_PROBLEM)
        name = "parameter_problem";
    return name ? name : "unknown_error";
}

static json_t *answer_json(const struct stack_probe_answer *answer, uint64_t number)
{
    json_t *json = json_pack("{s:I, s:s}", "sequence", (json_int_t)number, "outcome",
                             outcome_name(answer->outcome));
    if (answer->outcome == STACK_PROBE_TIMED_OUT)
        return json;
    json_object_set_new(json, "from", v4_json(answer->from_v4));
    json_object_set_new(json, "ttl", control_integer(answer->ttl));
    json_object_set_new(json, "rtt_us", control_integer(answer->rtt_us));
    if (answer->outcome == STACK_PROBE_ERROR) {
        json_object_set_new(json, "type", control_integer(answer->type));
        json_object_set_new(json, "code", control_integer(answer->code));
        json_object_set_new(json, "error", json_string(error_name(answer)));
    } else {
        json_object_set_new(json, "bytes", control_integer(answer->bytes));
    }
    if (answer->mtu)
        json_object_set_new(json, "mtu", control_integer(answer->mtu));
    if (answer->damaged)
        json_object_set_new(json, "damaged", json_true());
    if (answer->late)
        json_object_set_new(json, "late", json_true());
    return json;
}

/* Has this answer settled a probe that was waited for? */
static bool answer_settles(const struct stack_probe_answer *answer)
{
    return answer->outcome != STACK_PROBE_DUPLICATE && !answer->late;
}

/* ---- ping ---- */

static enum control_progress ping_begin(struct control_client *client)
{
    static const struct stack_probe defaults = {.kind = STACK_PROBE_ECHO,
                                                .payload_bytes = PING_SIZE,
                                                .pattern = -1,
                                                .timeout_us = PING_TIMEOUT_US};
    uint64_t least = control_may_write(client) ? INTERVAL_LEAST_US : INTERVAL_LEAST_FOR_ALL_US;
    uint64_t interval_us = PING_INTERVAL_US;
    if (!time_read(client, "interval", least, TIMEOUT_MOST_US, &interval_us))
        return control_fail(client, "bad-argument", "interval must be a time from %ums to 60s",
                            (unsigned)(least / 1000));
    struct control_probe *work = probe_begin(client, &defaults);
    if (!work)
        return CONTROL_DONE;
    work->count = control_number(client, "count", 0);
    work->interval_us = interval_us;
    work->rtt_min_us = UINT64_MAX;
    int sequence = probe_send(client);
    if (sequence < 0)
        return probe_refuse(client, sequence);
    work->tried = work->sent = 1;
    work->next_at = client->daemon->loop.now_us + interval_us;
    return CONTROL_STREAM;
}

static void ping_count(struct control_probe *work, const struct stack_probe_answer *answer)
{
    if (answer_settles(answer) && work->waiting > 0)
        work->waiting--;
    work->duplicates += answer->outcome == STACK_PROBE_DUPLICATE;
    work->errors += answer->outcome == STACK_PROBE_ERROR;
    work->damaged += answer->damaged;
    if (answer->outcome != STACK_PROBE_REPLY)
        return;
    uint64_t rtt_us = answer->rtt_us;
    work->received++;
    work->rtt_min_us = rtt_us < work->rtt_min_us ? rtt_us : work->rtt_min_us;
    work->rtt_max_us = rtt_us > work->rtt_max_us ? rtt_us : work->rtt_max_us;
    work->rtt_sum_us += rtt_us;
    work->rtt_square_sum += rtt_us * rtt_us;
}

/* Queues a line with what has come. Returns whether there may be more. */
static bool ping_answers(struct control_client *client)
{
    struct control_probe *work = client->probe;
    struct stack_probe_answer answer;
    json_t *list = json_array();
    while (json_array_size(list) < ANSWERS_PER_LINE &&
           stack_probe_next(client->daemon->stack, work->prober, &answer,
                            client->daemon->loop.now_us)) {
        uint16_t ago = (uint16_t)(work->sent - 1 - answer.sequence);
        ping_count(work, &answer);
        json_array_append_new(list, answer_json(&answer, work->sent - ago));
    }
    size_t count = json_array_size(list);
    if (count > 0)
        control_put(client, json_pack("{s:o}", "answers", list));
    else
        json_decref(list);
    return count == ANSWERS_PER_LINE;
}

static uint64_t square_root(uint64_t square)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1)
        if ((root | bit) * (root | bit) <= square)
            root |= bit;
    return root;
}

/* The last line: what was sent and what came of it. */
static enum control_progress ping_end(struct control_client *client)
{
    const struct control_probe *work = client->probe;
    json_t *part =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:f}", "address", control_text(client, "address"),
                  "sent", (json_int_t)work->sent, "received", (json_int_t)work->received,
                  "duplicates", (json_int_t)work->duplicates, "errors", (json_int_t)work->errors,
                  "damaged", (json_int_t)work->damaged, "loss",
                  1 - (double)(work->received < work->sent ? work->received : work->sent) /
                          (double)work->sent);
    if (work->received > 0) {
        uint64_t average = work->rtt_sum_us / work->received;
        uint64_t squares = work->rtt_square_sum / work->received;
        uint64_t spread = squares > average * average ? squares - average * average : 0;
        json_object_set_new(part, "rtt_us",
                            json_pack("{s:I, s:I, s:I, s:I}", "min", (json_int_t)work->rtt_min_us,
                                      "avg", (json_int_t)average, "max",
                                      (json_int_t)work->rtt_max_us, "mdev",
                                      (json_int_t)square_root(spread)));
    }
    return control_end(client, part);
}

enum control_progress control_probe_ping(struct control_client *client)
{
    struct control_probe *work = client->probe;
    uint64_t now_us = client->daemon->loop.now_us;
    if (client->steps == 0)
        return ping_begin(client);
    if (ping_answers(client))
        return CONTROL_MORE;
    bool more = work->count == 0 || work->tried < work->count;
    if (more && now_us >= work->next_at) {
        /* What cannot go now is lost, as on a wire. */
        work->tried++;
        if (probe_send(client) < 0)
            work->errors++;
        else
            work->sent++;
        work->next_at += work->interval_us;
        if (work->next_at <= now_us)
            work->next_at = now_us + work->interval_us;
    }
    return more || work->waiting > 0 ? CONTROL_STREAM : ping_end(client);
}

/* ---- traceroute ---- */

/* Sends the queries of the next hop. Returns 0, or an enum stack_error. */
static int trace_hop(struct control_client *client)
{
    struct control_probe *work = client->probe;
    work->probe.ttl = (uint8_t)++work->hop;
    work->answers = json_array();
    for (uint64_t i = 0; i < work->queries; i++) {
        int sequence = probe_send(client);
        if (sequence < 0)
            return sequence;
        if (i == 0)
            work->hop_first = (uint16_t)sequence;
        json_array_append_new(work->answers, json_object());
    }
    return 0;
}

static enum control_progress trace_begin(struct control_client *client)
{
    const struct stack_probe defaults = {
        .kind = control_flag(client, "icmp") ? STACK_PROBE_ECHO : STACK_PROBE_UDP,
        .payload_bytes = TRACE_SIZE,
        .pattern = -1,
        .timeout_us = TRACE_TIMEOUT_US,
    };
    uint64_t hops = control_number(client, "max", TRACE_HOPS);
    uint64_t queries = control_number(client, "queries", TRACE_QUERIES);
    if (hops < 1 || hops > 255)
        return control_fail(client, "bad-argument", "max must be 1 to 255");
    if (queries < 1 || queries > TRACE_QUERIES_MAX)
        return control_fail(client, "bad-argument", "queries must be 1 to %d", TRACE_QUERIES_MAX);
    struct control_probe *work = probe_begin(client, &defaults);
    if (!work)
        return CONTROL_DONE;
    work->hops = hops;
    work->queries = queries;
    int error = trace_hop(client);
    return error ? probe_refuse(client, error) : CONTROL_STREAM;
}

/* Does this answer say that there is nothing to be found further on? */
static bool trace_ends(const struct stack_probe_answer *answer)
{
    return answer->outcome == STACK_PROBE_REPLY ||
           (answer->outcome == STACK_PROBE_ERROR && answer->type != ICMP_TIME_EXCEEDED);
}

static void trace_answers(struct control_client *client)
{
    struct control_probe *work = client->probe;
    struct stack_probe_answer answer;
    while (stack_probe_next(client->daemon->stack, work->prober, &answer,
                            client->daemon->loop.now_us)) {
        uint16_t index = (uint16_t)(answer.sequence - work->hop_first);
        if (!answer_settles(&answer) || index >= work->queries)
            continue; /* too late for its hop */
        work->waiting--;
        work->reached |= trace_ends(&answer);
        json_array_set_new(work->answers, index, answer_json(&answer, index + 1U));
    }
}

enum control_progress control_probe_trace(struct control_client *client)
{
    struct control_probe *work = client->probe;
    if (client->steps == 0)
        return trace_begin(client);
    trace_answers(client);
    if (work->waiting > 0)
        return CONTROL_STREAM;
    json_t *hop = json_pack("{s:I, s:o}", "ttl", (json_int_t)work->hop, "answers", work->answers);
    work->answers = NULL;
    control_put(client, json_pack("{s:[o]}", "hops", hop));
    if (work->reached || work->hop == work->hops)
        return control_end(client,
                           json_pack("{s:s, s:b}", "address", control_text(client, "address"),
                                     "reached", work->reached));
    int error = trace_hop(client);
    return error ? probe_refuse(client, error) : CONTROL_STREAM;
}

/* ---- Stopped by the client ---- */

void control_probe_end_ping(struct control_client *client)
{
    while (ping_answers(client))
        ;
    ping_end(client);
}

void control_probe_end_trace(struct control_client *client)
{
    control_end(client, json_pack("{s:s, s:b}", "address", control_text(client, "address"),
                                  "reached", false));
}

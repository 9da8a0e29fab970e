/* Answers of the control socket about the packet filter and the flows it tracks. */
#define _GNU_SOURCE /* asprintf, F_GET_SEALS */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "filter_file.h"
#include "log.h"
#include "passed.h"

enum { WALK_STEP = 128 }; /* rules or flows looked at in one step */

/* ---- Looking ---- */

static json_t *rule_json(const struct stack_filter_rule *rule)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:s}", "chain", rule->chain, "number",
                     (json_int_t)rule->number, "packets", (json_int_t)rule->packets, "bytes",
                     (json_int_t)rule->bytes, "text", rule->text);
}

enum control_progress control_filter_show(struct control_client *client)
{
    struct stack_filter_rule rule;
    json_t *list = json_array();
    bool more = true;
    for (int i = 0; i < WALK_STEP && more; i++) {
        more = stack_next_filter_rule(client->daemon->stack, &client->cursor, &rule);
        if (more)
            json_array_append_new(list, rule_json(&rule));
    }
    json_t *part = json_pack("{s:o}", "rules", list);
    if (!more)
        return control_end(client, part);
    control_put(client, part);
    return CONTROL_MORE;
}

static json_t *protocol_json(uint8_t protocol)
{
    char number[8];
    switch (protocol) {
    case 1:
        return json_string("icmp");
    case 6:
        return json_string("tcp");
    case 17:
        return json_string("udp");
    }
    snprintf(number, sizeof number, "%u", protocol);
    return json_string(number);
}

static json_t *flow_json(const struct stack_flow *flow)
{
    return json_pack("{s:o, s:s, s:b, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "protocol",
                     protocol_json(flow->protocol), "state", flow->state, "assured", flow->assured,
                     "from", control_endpoint(&flow->from), "to", control_endpoint(&flow->to),
                     "packets_out", (json_int_t)flow->packets[0], "packets_back",
                     (json_int_t)flow->packets[1], "bytes_out", (json_int_t)flow->bytes[0],
                     "bytes_back", (json_int_t)flow->bytes[1], "left_us",
                     (json_int_t)flow->left_us);
}

enum control_progress control_show_flows(struct control_client *client)
{
    const struct stack *stack = client->daemon->stack;
    struct stack_flow flow;
    uint32_t flows, most;
    json_t *list = json_array();
    bool more = true;
    for (int i = 0; i < WALK_STEP && more; i++) {
        more = stack_next_flow(stack, &client->cursor, &flow, client->daemon->loop.now_us);
        if (more)
            json_array_append_new(list, flow_json(&flow));
    }
    json_t *part = json_pack("{s:o}", "flows", list);
    if (more) {
        control_put(client, part);
        return CONTROL_MORE;
    }
    stack_flow_usage(stack, &flows, &most);
    json_object_set_new(part, "count", control_integer(flows));
    json_object_set_new(part, "most", control_integer(most));
    return control_end(client, part);
}

/* ---- Changing ---- */

/* An answer to a change; the error's column is named with the text it counts in, if any. */
static enum control_progress change_end(struct control_client *client, int result,
                                        const struct stack_filter_error *error, const char *text)
{
    if (result == 0)
        return control_end(client, NULL);
    if (text && error->column > 0)
        return control_fail(client, "bad-rule", "column %u of \"%.80s\": %s", error->column, text,
                            error->message);
    if (error->line > 0)
        return control_fail(client, "bad-rule", "%u:%u: %s", error->line, error->column,
                            error->message);
    return control_fail(client, "bad-rule", "%s", error->message);
}

/* "CHAIN WORDS", the caller's to free. */
static char *line_join(struct control_client *client, const char *name)
{
    const char *chain = control_text(client, "chain"), *words = control_text(client, name);
    char *line = NULL;
    if (asprintf(&line, "%s %s", chain, words) < 0)
        return NULL;
    return line;
}

enum control_progress control_filter_add(struct control_client *client)
{
    struct daemon *daemon = client->daemon;
    struct stack_filter_error error;
    uint64_t at = control_number(client, "at", 0);
    char *line = line_join(client, "rule");
    if (!line)
        return control_fail(client, "no-memory", "no memory for the rule");
    int result = stack_filter_insert(daemon->stack, line, strlen(line),
                                     at > UINT32_MAX ? UINT32_MAX : (uint32_t)at, &error,
                                     daemon->loop.now_us);
    if (result == 0)
        log_info("control: uid %u added a rule: %.200s", (unsigned)client->uid, line);
    enum control_progress progress = change_end(client, result, &error, line);
    free(line);
    return progress;
}

enum control_progress control_filter_delete(struct control_client *client)
{
    struct daemon *daemon = client->daemon;
    struct stack_filter_error error;
    const char *chain = control_text(client, "chain");
    uint64_t number = control_number(client, "number", 0);
    int result =
        stack_filter_delete(daemon->stack, chain, number > UINT32_MAX ? 0 : (uint32_t)number,
                            &error, daemon->loop.now_us);
    if (result == 0)
        log_info("control: uid %u deleted rule %llu of %s", (unsigned)client->uid,
                 (unsigned long long)number, chain);
    return change_end(client, result, &error, NULL);
}

enum control_progress control_filter_policy(struct control_client *client)
{
    struct daemon *daemon = client->daemon;
    struct stack_filter_error error;
    const char *chain = control_text(client, "chain"), *policy = control_text(client, "policy");
    int result = stack_filter_set_policy(daemon->stack, chain, policy, &error, daemon->loop.now_us);
    if (result == 0)
        log_info("control: uid %u set the policy of %s to %s", (unsigned)client->uid, chain,
                 policy);
    return change_end(client, result, &error, NULL);
}

/* The text in a descriptor that came with the request; only of a memfd, which never makes us wait.
   Returns NULL with the request answered. */
static char *passed_text(struct control_client *client, size_t *size)
{
    struct stat status;
    int fd = client->descriptor;
    client->descriptor = -1;
    if (fd < 0 || fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &status) < 0 || status.st_size < 0 ||
        status.st_size > FILTER_FILE_MAX) {
        control_fail(client, "bad-descriptor",
                     "give the rules as \"text\", or pass a memfd with them (SCM_RIGHTS), at most "
                     "8 MiB");
        if (fd >= 0)
            passed_close(fd);
        return NULL;
    }
    char *text = malloc((size_t)status.st_size + 1);
    ssize_t got = text ? pread(fd, text, (size_t)status.st_size, 0) : -1;
    passed_close(fd);
    if (got < 0) {
        control_fail(client, "failed", "cannot read the rules: %s", strerror(errno));
        free(text);
        return NULL;
    }
    *size = (size_t)got;
    return text;
}

/* what: for the log. */
static enum control_progress load(struct control_client *client, const char *text, size_t size,
                                  const char *what)
{
    struct daemon *daemon = client->daemon;
    struct stack_filter_error error;
    int result = stack_filter_load(daemon->stack, text, size, &error, daemon->loop.now_us);
    if (result == 0)
        log_info("control: uid %u %s the filter's rules", (unsigned)client->uid, what);
    return change_end(client, result, &error, NULL);
}

enum control_progress control_filter_load(struct control_client *client)
{
    const char *text = control_text(client, "text");
    size_t size;
    if (text)
        return load(client, text, strlen(text), "loaded");
    char *passed = passed_text(client, &size);
    if (!passed)
        return CONTROL_DONE;
    enum control_progress progress = load(client, passed, size, "loaded");
    free(passed);
    return progress;
}

enum control_progress control_filter_flush(struct control_client *client)
{
    return load(client, "", 0, "flushed");
}

enum control_progress control_flows_flush(struct control_client *client)
{
    stack_flush_flows(client->daemon->stack, client->daemon->loop.now_us);
    log_info("control: uid %u flushed the flows", (unsigned)client->uid);
    return control_end(client, NULL);
}

/* ---- Trying ---- */

enum control_progress control_filter_test(struct control_client *client)
{
    struct stack_filter_error error;
    struct stack_filter_rule rule;
    uint32_t logs;
    char *line = line_join(client, "packet");
    if (!line)
        return control_fail(client, "no-memory", "no memory for the packet");
    int result = stack_filter_test(client->daemon->stack, line, strlen(line), &rule, &logs, &error);
    enum control_progress progress = CONTROL_DONE;
    if (result == 0)
        control_end(client,
                    json_pack("{s:o, s:I}", "rule", rule_json(&rule), "logs", (json_int_t)logs));
    else
        progress = change_end(client, result, &error, line);
    free(line);
    return progress;
}

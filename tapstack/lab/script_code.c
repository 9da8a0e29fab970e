/* Assertions on a connection: the small part of Python that packet scripts use between %{ and }%.

       assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd
       assert 200000 <= tcpi_rto < 210000 and not tcpi_retransmits
       print(tcpi_rtt)

   Statements stand a line each or behind `;`. Values are numbers; names are the fields of Linux'
   TCP_INFO, of the connection that the script is about, and the constants of the calls. A text may
   stand where a message may. What a name means is written here once, from struct stack_info. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "script_state.h"

struct code {
    struct run *run;
    struct script_place place;
    const char *line; /* begin of the line under way */
    const char *at;
    unsigned depth; /* of expressions in expressions */
};

__attribute__((noreturn)) static void code_fail(const struct code *code, const char *what)
{
    struct script_place place = code->place;
    place.column += (int)(code->at - code->line);
    run_fail(code->run, place, "%s", what);
}

/* ---- TCP_INFO ---- */

static double segments(uint64_t bytes, uint32_t segment_bytes)
{
    return segment_bytes ? (double)((bytes + segment_bytes - 1) / segment_bytes) : 0;
}

static double linux_state(unsigned state)
{
    static const uint8_t numbers[TCP_STATE_COUNT] = {
        [TCP_CLOSED] = 7,      [TCP_LISTEN] = 10,    [TCP_SYN_SENT] = 2,   [TCP_SYN_RECEIVED] = 3,
        [TCP_ESTABLISHED] = 1, [TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5, [TCP_CLOSE_WAIT] = 8,
        [TCP_CLOSING] = 11,    [TCP_LAST_ACK] = 9,   [TCP_TIME_WAIT] = 6};
    return state < TCP_STATE_COUNT ? numbers[state] : 7;
}

static double info_options(const struct stack_info *info)
{
    return (info->timestamps ? 1 : 0) + (info->sack ? 2 : 0) + (info->window_scaling ? 4 : 0);
}

/* FIELD(name, its value from `info`) */
#define INFO_FIELDS(FIELD)                                                                         \
    FIELD(tcpi_state, linux_state(info->summary.state))                                            \
    FIELD(tcpi_ca_state, info->in_loss ? 4 : info->in_recovery ? 3 : info->duplicate_acks ? 1 : 0) \
    FIELD(tcpi_retransmits, info->retransmits)                                                     \
    FIELD(tcpi_probes, info->probes)                                                               \
    FIELD(tcpi_backoff, info->backoff)                                                             \
    FIELD(tcpi_options, info_options(info))                                                        \
    FIELD(tcpi_snd_wscale, info->snd_wscale)                                                       \
    FIELD(tcpi_rcv_wscale, info->rcv_wscale)                                                       \
    FIELD(tcpi_rto, info->rto_us)                                                                  \
    FIELD(tcpi_snd_mss, info->snd_mss)                                                             \
    FIELD(tcpi_rcv_mss, info->rcv_mss)                                                             \
    FIELD(tcpi_advmss, info->advmss)                                                               \
    FIELD(tcpi_pmtu, info->pmtu)                                                                   \
    FIELD(tcpi_unacked, segments(info->snd_nxt - info->snd_una, info->snd_mss))                    \
    FIELD(tcpi_last_data_sent, info->last_sent_us / 1000)                                          \
    FIELD(tcpi_last_data_recv, info->last_received_us / 1000)                                      \
    FIELD(tcpi_last_ack_recv, info->last_ack_received_us / 1000)                                   \
    FIELD(tcpi_rtt, info->srtt_us)                                                                 \
    FIELD(tcpi_rttvar, info->rttvar_us)                                                            \
    FIELD(tcpi_min_rtt, info->min_rtt_us ? info->min_rtt_us : UINT32_MAX)                          \
    FIELD(tcpi_snd_cwnd, segments(info->cwnd, info->snd_mss))                                      \
    FIELD(tcpi_snd_ssthresh,                                                                       \
          info->ssthresh == UINT32_MAX ? INT32_MAX : segments(info->ssthresh, info->snd_mss))      \
    FIELD(tcpi_rcv_ssthresh, info->rcv_wnd)                                                        \
    FIELD(tcpi_rcv_space, info->receive_buffer)                                                    \
    FIELD(tcpi_rcv_ooopack, info->out_of_order_ranges)                                             \
    FIELD(tcpi_snd_wnd, info->snd_wnd)                                                             \
    FIELD(tcpi_rcv_wnd, info->rcv_wnd)                                                             \
    FIELD(tcpi_notsent_bytes, info->not_sent)                                                      \
    FIELD(tcpi_total_retrans, info->total_retransmits)                                             \
    FIELD(tcpi_bytes_sent, info->bytes_sent)                                                       \
    FIELD(tcpi_bytes_acked, info->bytes_acked)                                                     \
    FIELD(tcpi_bytes_retrans, info->bytes_retransmitted)                                           \
    FIELD(tcpi_bytes_received, info->bytes_received)                                               \
    FIELD(tcpi_segs_out, info->segs_out)                                                           \
    FIELD(tcpi_segs_in, info->segs_in)                                                             \
    FIELD(tcpi_data_segs_out, info->data_segs_out)                                                 \
    FIELD(tcpi_data_segs_in, info->data_segs_in)                                                   \
    FIELD(tcpi_busy_time, info->busy_us)                                                           \
    FIELD(tcpi_rwnd_limited, info->rwnd_limited_us)                                                \
    FIELD(tcpi_sndbuf_limited, info->sndbuf_limited_us)

static bool info_field(const struct stack_info *info, const char *name, size_t size, double *value)
{
#define FIELD(field, expression)                                                                   \
    if (size == sizeof #field - 1 && memcmp(name, #field, size) == 0) {                            \
        *value = (double)(expression);                                                             \
        return true;                                                                               \
    }
    INFO_FIELDS(FIELD)
#undef FIELD
    return false;
}

/* The connection that the script is about. */
static void find_info(const struct code *code, struct stack_info *info)
{
    struct run *run = code->run;
    const struct run_flow *flow = run->current;
    struct stack_summary summary;
    uint32_t cursor = 0;
    while (stack_next_summary(run->stack, &cursor, &summary, run->now_us)) {
        bool ours = flow ? summary.local.port == flow->local_port &&
                               summary.remote.port == flow->remote_port
                         : summary.state != TCP_LISTEN;
        if (ours && stack_info_by_id(run->stack, summary.id, info, run->now_us) == 0)
            return;
    }
    code_fail(code, "there is no connection whose TCP_INFO could be asked");
}

/* ---- Characters ---- */

/* A backslash at a line's end carries the line on. */
static bool skip_continuation(struct code *code)
{
    const char *at = code->at;
    if (*at++ != '\\')
        return false;
    at += *at == '\r';
    if (*at++ != '\n')
        return false;
    code->line = code->at = at;
    code->place.line++;
    code->place.column = 1;
    return true;
}

static void skip_blanks(struct code *code)
{
    do
        while (*code->at == ' ' || *code->at == '\t' || *code->at == '\r')
            code->at++;
    while (skip_continuation(code));
}

static bool accept(struct code *code, const char *sign)
{
    size_t size = strlen(sign);
    skip_blanks(code);
    if (strncmp(code->at, sign, size) != 0)
        return false;
    bool word = isalpha((unsigned char)sign[0]);
    if (word && (isalnum((unsigned char)code->at[size]) || code->at[size] == '_'))
        return false;
    code->at += size;
    return true;
}

static void expect(struct code *code, const char *sign)
{
    char what[64];
    if (accept(code, sign))
        return;
    snprintf(what, sizeof what, "`%s` is meant here", sign);
    code_fail(code, what);
}

/* ---- Expressions: Python's, loosest first ---- */

static double parse_or(struct code *code);

static double parse_name(struct code *code)
{
    const char *name = code->at;
    size_t size = 0;
    int64_t constant;
    double value = 0;
    while (isalnum((unsigned char)name[size]) || name[size] == '_')
        size++;
    if (script_constant(name, size, &constant)) {
        value = (double)constant;
    } else {
        struct stack_info info = {0};
        if (!info_field(&info, name, size, &value))
            code_fail(code, "this is no name that the stack can tell the value of");
        find_info(code, &info);
        info_field(&info, name, size, &value);
    }
    code->at += size;
    return value;
}

/* For what only whole numbers have: bits. */
static int64_t whole(double value) { return value > -9e18 && value < 9e18 ? (int64_t)value : 0; }

/* abs(x), int(x), min(x, y), max(x, y) */
static bool parse_function(struct code *code, double *value)
{
    static const char *const names[] = {"abs", "int", "min", "max"};
    for (unsigned i = 0; i < 4; i++) {
        if (!accept(code, names[i]))
            continue;
        expect(code, "(");
        *value = parse_or(code);
        if (i == 0)
            *value = *value < 0 ? -*value : *value;
        else if (i == 1)
            *value = (double)whole(*value);
        while (i >= 2 && accept(code, ",")) {
            double other = parse_or(code);
            *value = (i == 2) == (other < *value) ? other : *value;
        }
        expect(code, ")");
        return true;
    }
    return false;
}

static double parse_atom(struct code *code);

static double parse_operand(struct code *code)
{
    double value;
    skip_blanks(code);
    if (accept(code, "(")) {
        value = parse_or(code);
        expect(code, ")");
        return value;
    }
    if (accept(code, "-"))
        return -parse_atom(code);
    if (accept(code, "+"))
        return parse_atom(code);
    if (accept(code, "~"))
        return (double)~whole(parse_atom(code));
    if (isdigit((unsigned char)*code->at) || *code->at == '.') {
        char *end;
        value = strtod(code->at, &end);
        if (end == code->at)
            code_fail(code, "a number is meant here");
        code->at = end;
        return value;
    }
    if (parse_function(code, &value))
        return value;
    if (!isalpha((unsigned char)*code->at) && *code->at != '_')
        code_fail(code, "a number or a name is meant here");
    return parse_name(code);
}

static double parse_atom(struct code *code)
{
    enum { DEPTH_MAX = 64 };
    if (++code->depth > DEPTH_MAX)
        code_fail(code, "this is nested too deeply");
    double value = parse_operand(code);
    code->depth--;
    return value;
}

static double divide(struct code *code, double a, double b, bool floored)
{
    if (b == 0)
        code_fail(code, "division by zero");
    double quotient = a / b;
    if (!floored)
        return quotient;
    double rounded = (double)whole(quotient);
    return rounded > quotient ? rounded - 1 : rounded;
}

static double parse_product(struct code *code)
{
    double value = parse_atom(code);
    for (;;) {
        if (accept(code, "//"))
            value = divide(code, value, parse_atom(code), true);
        else if (accept(code, "*"))
            value *= parse_atom(code);
        else if (accept(code, "/"))
            value = divide(code, value, parse_atom(code), false);
        else if (accept(code, "%")) {
            double by = parse_atom(code);
            value -= by * divide(code, value, by, true);
        } else
            return value;
    }
}

static double parse_sum(struct code *code)
{
    double value = parse_product(code);
    for (;;) {
        if (accept(code, "+"))
            value += parse_product(code);
        else if (accept(code, "-"))
            value -= parse_product(code);
        else
            return value;
    }
}

static double parse_bits(struct code *code)
{
    double value = parse_sum(code);
    for (;;) {
        if (accept(code, "<<"))
            value = (double)((uint64_t)whole(value) << (whole(parse_sum(code)) & 63));
        else if (accept(code, ">>"))
            value = (double)(whole(value) >> (whole(parse_sum(code)) & 63));
        else if (accept(code, "&"))
            value = (double)(whole(value) & whole(parse_sum(code)));
        else if (accept(code, "|"))
            value = (double)(whole(value) | whole(parse_sum(code)));
        else if (accept(code, "^"))
            value = (double)(whole(value) ^ whole(parse_sum(code)));
        else
            return value;
    }
}

/* x in (a, b, c) */
static bool parse_in(struct code *code, double value)
{
    bool found = false;
    const char *closing = accept(code, "[") ? "]" : ")";
    if (*closing == ')')
        expect(code, "(");
    do
        found |= parse_or(code) == value;
    while (accept(code, ","));
    expect(code, closing);
    return found;
}

/* A chain as Python has it: a <= b < c. */
static double parse_comparison(struct code *code)
{
    double left = parse_bits(code);
    bool holds = true, compared = false;
    for (;; compared = true) {
        double right;
        if (accept(code, "==")) {
            holds &= left == (right = parse_bits(code));
        } else if (accept(code, "!=")) {
            holds &= left != (right = parse_bits(code));
        } else if (accept(code, "<=")) {
            holds &= left <= (right = parse_bits(code));
        } else if (accept(code, ">=")) {
            holds &= left >= (right = parse_bits(code));
        } else if (accept(code, "<")) {
            holds &= left < (right = parse_bits(code));
        } else if (accept(code, ">")) {
            holds &= left > (right = parse_bits(code));
        } else if (accept(code, "not")) {
            expect(code, "in");
            holds &= !parse_in(code, left);
            right = left;
        } else if (accept(code, "in")) {
            holds &= parse_in(code, left);
            right = left;
        } else {
            return compared ? holds : left;
        }
        left = right;
    }
}

static double parse_not(struct code *code)
{
    bool negated = false;
    while (accept(code, "not"))
        negated = !negated;
    double value = parse_comparison(code);
    return negated ? value == 0 : value;
}

static double parse_and(struct code *code)
{
    double value = parse_not(code);
    while (accept(code, "and")) {
        double right = parse_not(code);
        value = value != 0 ? right : value;
    }
    return value;
}

static double parse_or(struct code *code)
{
    double value = parse_and(code);
    while (accept(code, "or")) {
        double right = parse_and(code);
        value = value != 0 ? value : right;
    }
    return value;
}

/* ---- Statements ---- */

struct message {
    char text[512]; /* cut off where it is longer */
    size_t size;
};

static void message_add(struct message *message, const char *text, size_t size)
{
    size_t room = sizeof message->text - 1 - message->size;
    size = size < room ? size : room;
    memcpy(message->text + message->size, text, size);
    message->text[message->size += size] = '\0';
}

/* A text in quotes, or a value. */
static void message_add_value(struct code *code, struct message *message)
{
    char number[32];
    skip_blanks(code);
    char quote = *code->at;
    if (quote != '"' && quote != '\'') {
        snprintf(number, sizeof number, "%.15g", parse_or(code));
        message_add(message, number, strlen(number));
        return;
    }
    const char *end = strchr(code->at + 1, quote);
    if (!end)
        code_fail(code, "this text is not closed");
    message_add(message, code->at + 1, (size_t)(end - code->at - 1));
    code->at = end + 1;
}

static void run_assert(struct code *code)
{
    struct message message = {.size = 0};
    skip_blanks(code);
    const char *from = code->at;
    struct script_place place = code->place;
    place.column += (int)(from - code->line);
    bool holds = parse_or(code) != 0;
    const char *to = code->at;
    while (accept(code, ",")) {
        message_add(&message, message.size ? ", " : ": ", 2);
        message_add_value(code, &message);
    }
    if (!holds)
        run_differs(code->run, place, "assertion failed: %.*s%s", (int)(to - from), from,
                    message.text);
}

static void run_print(struct code *code)
{
    struct message message = {.size = 0};
    expect(code, "(");
    do {
        if (message.size > 0)
            message_add(&message, " ", 1);
        message_add_value(code, &message);
    } while (accept(code, ","));
    expect(code, ")");
    trace_printed(code->run, message.text);
}

static void end_statement(struct code *code)
{
    skip_blanks(code);
    if (*code->at == '#')
        while (*code->at && *code->at != '\n')
            code->at++;
    if (*code->at && *code->at != '\n' && *code->at != ';')
        code_fail(code, "the statement should end here");
}

void code_run(struct run *run, const struct script_event *event)
{
    struct code code = {.run = run, .place = event->place, .line = event->text, .at = event->text};
    code.place.column += 2; /* behind the opening bracket */
    while (*code.at) {
        skip_blanks(&code);
        if (*code.at == '\n') {
            code.line = ++code.at;
            code.place.line++;
            code.place.column = 1;
            continue;
        }
        if (*code.at == ';') {
            code.at++;
            continue;
        }
        if (*code.at == '\0')
            break;
        if (accept(&code, "assert"))
            run_assert(&code);
        else if (accept(&code, "print"))
            run_print(&code);
        else if (*code.at != '#' && !accept(&code, "pass"))
            code_fail(&code, "only assert and print are known here");
        end_statement(&code);
    }
}

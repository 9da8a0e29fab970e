/* What ping and traceroute tell, a line each, as people know it; and the path MTUs. */
#include <inttypes.h>
#include <string.h>

#include "answer.h"
#include "show.h"
#include "table.h"
#include "unit.h"

/* ---- ping ---- */

/* "host_unreachable" with spaces. */
static void error_print(FILE *out, const char *name)
{
    for (; *name; name++)
        fputc(*name == '_' ? ' ' : *name, out);
}

static void ping_answer_print(FILE *out, const json_t *answer)
{
    char time[UNIT_TEXT_MAX];
    const char *outcome = text(answer, "outcome");
    const char *from = is_given(answer, "from") ? text(answer, "from") : "this host";
    if (strcmp(outcome, "timeout") == 0) {
        fprintf(out, "no answer: seq=%" PRIu64 "\n", number(answer, "sequence"));
        return;
    }
    if (strcmp(outcome, "error") == 0) {
        fprintf(out, "from %s: seq=%" PRIu64 " ", from, number(answer, "sequence"));
        error_print(out, text(answer, "error"));
        if (is_given(answer, "mtu"))
            fprintf(out, ", mtu %" PRIu64, number(answer, "mtu"));
        fputc('\n', out);
        return;
    }
    fprintf(out, "%" PRIu64 " bytes from %s: seq=%" PRIu64 " ttl=%" PRIu64 " time=%s%s%s%s\n",
            number(answer, "bytes"), from, number(answer, "sequence"), number(answer, "ttl"),
            unit_ms(number(answer, "rtt_us"), time),
            strcmp(outcome, "duplicate") == 0 ? " (duplicate)" : "",
            flag(answer, "late") ? " (late)" : "", flag(answer, "damaged") ? " (damaged)" : "");
}

static void ping_summary_print(FILE *out, const json_t *sum)
{
    const json_t *rtt = json_object_get(sum, "rtt_us");
    char min[UNIT_TEXT_MAX], avg[UNIT_TEXT_MAX], max[UNIT_TEXT_MAX], mdev[UNIT_TEXT_MAX];
    fprintf(out, "%s: %" PRIu64 " sent, %" PRIu64 " received", text(sum, "address"),
            number(sum, "sent"), number(sum, "received"));
    static const char *const rest[] = {"duplicates", "errors", "damaged"};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        if (number(sum, rest[i]))
            fprintf(out, ", %" PRIu64 " %s", number(sum, rest[i]), rest[i]);
    fprintf(out, ", %.3g%% lost\n", 100 * json_real_value(json_object_get(sum, "loss")));
    if (rtt)
        fprintf(out, "round trip: min %s, avg %s, max %s, mdev %s\n",
                unit_ms(number(rtt, "min"), min), unit_ms(number(rtt, "avg"), avg),
                unit_ms(number(rtt, "max"), max), unit_ms(number(rtt, "mdev"), mdev));
}

void show_ping(FILE *out, const json_t *line)
{
    size_t i;
    const json_t *answer;
    json_array_foreach(json_object_get(line, "answers"), i, answer) ping_answer_print(out, answer);
    if (is_given(line, "sent"))
        ping_summary_print(out, line);
}

/* ---- traceroute ---- */

/* The marks of traceroute(8): what a router says beside "time exceeded". */
static void trace_mark_print(FILE *out, const json_t *answer)
{
    static const struct {
        const char *error, *mark;
    } marks[] = {
        {"net_unreachable", " !N"},      {"host_unreachable", " !H"},
        {"protocol_unreachable", " !P"}, {"source_route_failed", " !S"},
        {"admin_prohibited", " !X"},     {"precedence_violation", " !V"},
        {"precedence_cutoff", " !C"},    {"port_unreachable", ""},
        {"time_exceeded", ""},
    };
    const char *error = text(answer, "error");
    if (!is_given(answer, "error"))
        return;
    if (is_given(answer, "mtu")) {
        fprintf(out, " !F-%" PRIu64, number(answer, "mtu"));
        return;
    }
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (strcmp(error, marks[i].error) == 0) {
            fputs(marks[i].mark, out);
            return;
        }
    fprintf(out, " !<%" PRIu64 ">", number(answer, "code"));
}

static void trace_hop_print(FILE *out, const json_t *hop)
{
    size_t i;
    const json_t *answer;
    const char *last = "";
    char time[UNIT_TEXT_MAX];
    fprintf(out, "%2" PRIu64, number(hop, "ttl"));
    json_array_foreach(json_object_get(hop, "answers"), i, answer)
    {
        const char *from = is_given(answer, "from") ? text(answer, "from") : "this host";
        if (strcmp(text(answer, "outcome"), "timeout") == 0) {
            fputs("  *", out);
            continue;
        }
        if (strcmp(from, last) != 0)
            fprintf(out, "  %s", from);
        last = from;
        fprintf(out, "  %s", unit_ms(number(answer, "rtt_us"), time));
        trace_mark_print(out, answer);
    }
    fputc('\n', out);
}

void show_traceroute(FILE *out, const json_t *line)
{
    size_t i;
    const json_t *hop;
    json_array_foreach(json_object_get(line, "hops"), i, hop) trace_hop_print(out, hop);
}

/* ---- Path MTUs ---- */

void show_pmtu(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Destination", "MTU", "Expires", "DF"};
    struct table table;
    const json_t *entry;
    size_t i;
    char left[UNIT_TEXT_MAX];
    table_open(&table, "lrrl", headings);
    json_array_foreach(json_object_get(answer, "pmtu"), i, entry)
    {
        table_add(&table, "%s", text(entry, "destination"));
        table_add(&table, "%" PRIu64, number(entry, "mtu"));
        table_add(&table, "%s", unit_duration(number(entry, "left_us"), left));
        table_add(&table, "%s", flag(entry, "locked") ? "no: the path takes less" : "yes");
    }
    table_print(&table, out);
}

void show_pmtu_flush(FILE *out, const json_t *answer)
{
    fprintf(out, "%" PRIu64 " forgotten\n", number(answer, "flushed"));
}

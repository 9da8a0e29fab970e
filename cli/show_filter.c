/* The packet filter and its flows as text. */
#include <inttypes.h>
#include <string.h>

#include "answer.h"
#include "show.h"
#include "table.h"
#include "unit.h"

enum { TEXT_MAX = UNIT_TEXT_MAX };

void show_filter(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"No", "Packets", "Bytes", "Rule"};
    struct table table;
    const json_t *rule;
    size_t i;
    table_open(&table, "rrrl", headings);
    json_array_foreach(json_object_get(answer, "rules"), i, rule)
    {
        if (number(rule, "number"))
            table_add(&table, "%" PRIu64, number(rule, "number"));
        else
            table_add(&table, "-");
        table_add(&table, "%" PRIu64, number(rule, "packets"));
        table_add(&table, "%" PRIu64, number(rule, "bytes"));
        table_add(&table, "%s", text(rule, "text"));
    }
    table_print(&table, out);
}

void show_filter_text(FILE *out, const json_t *answer)
{
    const json_t *rule;
    size_t i;
    json_array_foreach(json_object_get(answer, "rules"), i, rule)
        fprintf(out, "%s\n", text(rule, "text"));
}

void show_filter_test(FILE *out, const json_t *answer)
{
    const json_t *rule = json_object_get(answer, "rule");
    uint64_t logs = number(answer, "logs");
    if (number(rule, "number"))
        fprintf(out, "rule %" PRIu64 ": ", number(rule, "number"));
    else
        fprintf(out, "no rule: ");
    fprintf(out, "%s", text(rule, "text"));
    if (logs)
        fprintf(out, " (logged %" PRIu64 " times before)", logs);
    fputc('\n', out);
}

/* "10.77.0.2:80"; out: TEXT_MAX bytes. */
static const char *end_text(const json_t *flow, const char *name, char *out)
{
    const json_t *end = json_object_get(flow, name);
    snprintf(out, TEXT_MAX, "%s:%" PRIu64, text(end, "address"), number(end, "port"));
    return out;
}

void show_flows(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Proto", "State", "From", "To",
                                           "Out",   "Back",  "Left", "Assured"};
    char end[TEXT_MAX];
    struct table table;
    const json_t *flow;
    size_t i;
    table_open(&table, "llllrrrl", headings);
    json_array_foreach(json_object_get(answer, "flows"), i, flow)
    {
        table_add(&table, "%s", text(flow, "protocol"));
        table_add(&table, "%s", text(flow, "state"));
        table_add(&table, "%s", end_text(flow, "from", end));
        table_add(&table, "%s", end_text(flow, "to", end));
        table_add(&table, "%" PRIu64, number(flow, "packets_out"));
        table_add(&table, "%" PRIu64, number(flow, "packets_back"));
        table_add(&table, "%s", unit_duration(number(flow, "left_us"), end));
        table_add(&table, "%s", flag(flow, "assured") ? "yes" : "no");
    }
    table_print(&table, out);
    fprintf(out, "%" PRIu64 " of at most %" PRIu64 "\n", number(answer, "count"),
            number(answer, "most"));
}

/* Impairments as text: each rule with what it has done. */
#include <inttypes.h>
#include <string.h>

#include "answer.h"
#include "show.h"
#include "table.h"
#include "unit.h"

enum { DID_MAX = 256 };

/* "matched 1000, lost 12": the counters that are not zero. */
static const char *did_text(const json_t *rule, char *out)
{
    json_t *did = json_object_get(rule, "did"), *value;
    const char *name;
    size_t used = 0;
    out[0] = '\0';
    json_object_foreach(did, name, value)
    {
        if (json_integer_value(value) == 0 || used >= DID_MAX)
            continue;
        used += (size_t)snprintf(out + used, DID_MAX - used, "%s%s %" PRIu64, used ? ", " : "",
                                 name, (uint64_t)json_integer_value(value));
    }
    if (number(rule, "waiting") > 0 && used < DID_MAX)
        snprintf(out + used, DID_MAX - used, "%s%" PRIu64 " wait", used ? ", " : "",
                 number(rule, "waiting"));
    return out;
}

static const char *left_text(const json_t *rule, char *out)
{
    char time[UNIT_TEXT_MAX];
    bool begun = number(rule, "starts_in_us") == 0;
    if (begun && !is_given(rule, "ends_in_us"))
        return "-";
    unit_duration(number(rule, begun ? "ends_in_us" : "starts_in_us"), time);
    snprintf(out, UNIT_TEXT_MAX, "%s%.50s", begun ? "" : "in ", time);
    return out;
}

void show_impairments(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"No", "Interface", "Left", "Rule"};
    json_t *rules = json_object_get(answer, "impairments"), *rule;
    char left[UNIT_TEXT_MAX], did[DID_MAX];
    struct table table;
    size_t i;
    if (json_array_size(rules) == 0) {
        fputs("no impairments\n", out);
        return;
    }
    table_open(&table, "rlrl", headings);
    json_array_foreach(rules, i, rule)
    {
        table_add(&table, "%" PRIu64, number(rule, "number"));
        table_add(&table, "%s", text(rule, "interface"));
        table_add(&table, "%s", left_text(rule, left));
        table_add(&table, "%s", text(rule, "rule"));
        table_add(&table, "%s", "");
        table_add(&table, "%s", "");
        table_add(&table, "%s", "");
        table_add(&table, "  %s", did_text(rule, did)[0] ? did : "nothing yet");
    }
    table_print(&table, out);
}

void show_impair_added(FILE *out, const json_t *answer)
{
    fprintf(out, "%" PRIu64 " on %s\n", number(answer, "number"), text(answer, "interface"));
}

void show_impair_presets(FILE *out, const json_t *answer)
{
    const json_t *preset;
    size_t i;
    json_array_foreach(json_object_get(answer, "presets"), i, preset)
        fprintf(out, "%s: %s\n    in  %s\n    out %s\n", text(preset, "name"), text(preset, "what"),
                text(preset, "in"), text(preset, "out"));
}

/* `show routes`, `show addresses` and `route get`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "show.h"
#include "table.h"
#include "unit.h"

/* ---- Routes in order ---- */

/* A route with what it is sorted by. */
struct entry {
    uint64_t key; /* network, prefix */
    uint64_t metric;
    const json_t *route;
};

static uint64_t network_key(const char *network)
{
    unsigned a = 0, b = 0, c = 0, d = 0, bits = 0;
    if (sscanf(network, "%u.%u.%u.%u/%u", &a, &b, &c, &d, &bits) != 5)
        return 0; /* default: first */
    return (uint64_t)(a << 24 | b << 16 | c << 8 | d) << 8 | bits;
}

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->metric > b->metric) - (a->metric < b->metric);
}

static void route_add(struct table *table, const json_t *route)
{
    char left[UNIT_TEXT_MAX];
    table_add(table, "%s", text(route, "network"));
    table_add(table, "%s", is_given(route, "gateway") ? text(route, "gateway") : "-");
    table_add(table, "%s", text(route, "interface"));
    table_add(table, "%" PRIu64, number(route, "metric"));
    table_add(table, "%s", text(route, "kind"));
    table_add(table, "%s",
              is_given(route, "expires_us") ? unit_duration(number(route, "expires_us"), left)
                                            : "-");
}

void show_routes(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Network", "Gateway", "Interface",
                                           "Metric",  "Kind",    "Expires"};
    const json_t *routes = json_object_get(answer, "routes"), *route;
    size_t count = json_array_size(routes), i;
    struct entry *entries = calloc(count + 1, sizeof *entries);
    struct table table;
    if (!entries)
        return;
    json_array_foreach(routes, i, route) entries[i] =
        (struct entry){network_key(text(route, "network")), number(route, "metric"), route};
    qsort(entries, count, sizeof *entries, compare);
    table_open(&table, "lllrlr", headings);
    for (i = 0; i < count; i++)
        route_add(&table, entries[i].route);
    table_print(&table, out);
    free(entries);
}

/* "10.9.1.2 via 10.78.0.9 dev tap1 src 10.78.0.2 (10.9.0.0/16, static, metric 10)" */
void show_route(FILE *out, const json_t *answer)
{
    fprintf(out, "%s ", text(answer, "destination"));
    if (is_given(answer, "gateway"))
        fprintf(out, "via %s ", text(answer, "next_hop"));
    fprintf(out, "dev %s src %s (%s, %s, metric %" PRIu64 ")\n", text(answer, "interface"),
            text(answer, "source"), text(answer, "network"), text(answer, "kind"),
            number(answer, "metric"));
}

/* ---- Addresses ---- */

void show_addresses(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Interface", "Address", "Rank", "State", "Conflicts"};
    struct table table;
    const json_t *address;
    size_t i;
    table_open(&table, "llllr", headings);
    json_array_foreach(json_object_get(answer, "addresses"), i, address)
    {
        const json_t *link = json_object_get(address, "link");
        table_add(&table, "%s", text(address, "interface"));
        table_add(&table, "%s", text(address, "address"));
        table_add(&table, "%s", flag(address, "primary") ? "primary" : "secondary");
        table_add(&table, "%s", text(link, "state"));
        table_add(&table, "%" PRIu64, number(link, "conflicts"));
    }
    table_print(&table, out);
}

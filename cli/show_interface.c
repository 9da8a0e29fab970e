/* `show interfaces`: every counter of the card, laid out as `ip -s -s link` does. */
#include <inttypes.h>
#include <string.h>

#include "answer.h"
#include "show.h"
#include "unit.h"

enum { COLUMNS_MAX = 6, NUMBER_MAX = 24 };

/* A counter and its heading; the rows of a table are ended by an empty one. */
struct column {
    const char *heading, *counter;
};

struct row {
    const char *title;
    struct column columns[COLUMNS_MAX];
};

static const struct row card_rows[] = {
    {"RX:",
     {{"bytes", "rx_bytes"},
      {"packets", "rx_packets"},
      {"errors", "rx_errors"},
      {"dropped", "rx_dropped"},
      {"missed", "rx_missed_errors"},
      {"mcast", "multicast"}}},
    {"RX errors:",
     {{"length", "rx_length_errors"},
      {"over", "rx_over_errors"},
      {"crc", "rx_crc_errors"},
      {"frame", "rx_frame_errors"}}},
    {"RX dropped:",
     {{"filtered", "rx_filtered"},
      {"vlan", "rx_vlan_filtered"},
      {"type", "rx_unknown_type"},
      {"802.3", "rx_802_3"},
      {"down", "rx_down"}}},
    {"RX driver:",
     {{"interrupts", "interrupts"}, {"polls", "polls"}, {"budget-out", "budget_exhausted"}}},
    {"TX:",
     {{"bytes", "tx_bytes"},
      {"packets", "tx_packets"},
      {"errors", "tx_errors"},
      {"dropped", "tx_dropped"},
      {"carrier", "tx_carrier_errors"}}},
};

static uint64_t counter_of(const json_t *counters, const char *name)
{
    size_t i;
    const json_t *counter;
    json_array_foreach(counters, i, counter)
    {
        if (strcmp(text(counter, "name"), name) == 0)
            return number(counter, "value");
    }
    return 0;
}

static void row_print(FILE *out, const struct row *row, const json_t *counters)
{
    char values[COLUMNS_MAX][NUMBER_MAX];
    int widths[COLUMNS_MAX], count = 0;
    for (const struct column *c = row->columns; count < COLUMNS_MAX && c->heading; c++, count++) {
        int width =
            snprintf(values[count], NUMBER_MAX, "%" PRIu64, counter_of(counters, c->counter));
        int heading = (int)strlen(c->heading);
        widths[count] = width > heading ? width : heading;
    }
    fprintf(out, "    %-11s", row->title);
    for (int i = 0; i < count; i++)
        fprintf(out, " %*s", widths[i], row->columns[i].heading);
    fprintf(out, "\n    %11s", "");
    for (int i = 0; i < count; i++)
        fprintf(out, " %*s", widths[i], values[i]);
    fputc('\n', out);
}

static void flags_print(FILE *out, const json_t *interface)
{
    fprintf(out, "<%s%s%s%s%s>", flag(interface, "up") ? "UP" : "DOWN",
            flag(interface, "promiscuous") ? ",PROMISC" : "",
            flag(interface, "allmulti") ? ",ALLMULTI" : "",
            is_given(interface, "bridged_with") ? ",BRIDGED" : "",
            flag(interface, "proxy_arp") ? ",PROXYARP" : "");
}

static void device_print(FILE *out, const json_t *interface)
{
    fprintf(out, "    device %s offload %s ring %" PRIu64 " budget %" PRIu64,
            text(interface, "device"), text(interface, "offload"), number(interface, "ring"),
            number(interface, "budget"));
    if (is_given(interface, "vlan"))
        fprintf(out, " vlan %" PRIu64, number(interface, "vlan"));
    if (is_given(interface, "bridged_with"))
        fprintf(out, " bridged with %s", text(interface, "bridged_with"));
    fputc('\n', out);
}

/* How the address stands on its link (RFC 5227). */
static void link_print(FILE *out, const json_t *link)
{
    char ago[UNIT_TEXT_MAX];
    fprintf(out, " %s", text(link, "state"));
    if (is_given(link, "conflict_us"))
        fprintf(out, "\n    %" PRIu64 " conflicts over the address, the last with %s %s ago",
                number(link, "conflicts"), text(link, "conflict_by"),
                unit_duration(number(link, "conflict_us"), ago));
}

static void interface_print(FILE *out, const json_t *interface)
{
    fprintf(out, "%s: ", text(interface, "name"));
    flags_print(out, interface);
    fprintf(out, " mtu %" PRIu64 "\n    link/ether %s", number(interface, "mtu"),
            text(interface, "mac"));
    if (is_given(interface, "address"))
        fprintf(out, " inet %s", text(interface, "address"));
    if (is_given(interface, "link"))
        link_print(out, json_object_get(interface, "link"));
    fputc('\n', out);
    if (is_given(interface, "device"))
        device_print(out, interface);
    if (!is_given(interface, "counters"))
        return;
    for (size_t i = 0; i < sizeof card_rows / sizeof card_rows[0]; i++)
        row_print(out, &card_rows[i], json_object_get(interface, "counters"));
}

void show_interfaces(FILE *out, const json_t *answer)
{
    const json_t *interface;
    size_t i;
    json_array_foreach(json_object_get(answer, "interfaces"), i, interface)
    {
        interface_print(out, interface);
        if (is_given(interface, "cable_in"))
            show_counter_list(out, json_object_get(interface, "cable_in"), "Cable, inward");
        if (is_given(interface, "cable_out"))
            show_counter_list(out, json_object_get(interface, "cable_out"), "Cable, outward");
    }
}

/* What `interface` answers: the interface as it is now. */
void show_interface(FILE *out, const json_t *answer)
{
    const json_t *interface = json_object_get(answer, "interface");
    fprintf(out, "%s: ", text(interface, "name"));
    flags_print(out, interface);
    fputc('\n', out);
    device_print(out, interface);
}

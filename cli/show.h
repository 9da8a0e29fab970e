/* Answers of the daemon as text, in tables and blocks of at most 100 columns. */
#ifndef TAPSTACK_CLI_SHOW_H
#define TAPSTACK_CLI_SHOW_H

#include <jansson.h>
#include <stdio.h>

void show_overview(FILE *out, const json_t *answer);
void show_connections(FILE *out, const json_t *answer);
void show_connection(FILE *out, const json_t *answer);
void show_listeners(FILE *out, const json_t *answer);
void show_arp(FILE *out, const json_t *answer);
void show_flushed(FILE *out, const json_t *answer);
void show_reassembly(FILE *out, const json_t *answer);
void show_interfaces(FILE *out, const json_t *answer);
void show_settings(FILE *out, const json_t *answer);
void show_counters(FILE *out, const json_t *answer);
void show_events(FILE *out, const json_t *answer);
void show_interface(FILE *out, const json_t *answer);
void show_ping(FILE *out, const json_t *line);
void show_traceroute(FILE *out, const json_t *line);
void show_pmtu(FILE *out, const json_t *answer);
void show_pmtu_flush(FILE *out, const json_t *answer);
void show_impair_added(FILE *out, const json_t *answer);
void show_impairments(FILE *out, const json_t *answer);
void show_impair_presets(FILE *out, const json_t *answer);
void show_set(FILE *out, const json_t *answer);
void show_capture(FILE *out, const json_t *answer);

/* show_route.c */
void show_routes(FILE *out, const json_t *answer);
void show_route(FILE *out, const json_t *answer);
void show_addresses(FILE *out, const json_t *answer);

/* show_filter.c */
void show_filter(FILE *out, const json_t *answer);
void show_filter_text(FILE *out, const json_t *answer);
void show_filter_test(FILE *out, const json_t *answer);
void show_flows(FILE *out, const json_t *answer);

/* A list of counters: names, values and what they count. heading: of the names. */
void show_counter_list(FILE *out, const json_t *list, const char *heading);

#endif

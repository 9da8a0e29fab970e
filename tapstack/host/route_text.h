/* Routes and addresses as people write them: "10.9.0.0/16 via 10.78.0.9 metric 10". */
#ifndef TAPSTACK_HOST_ROUTE_TEXT_H
#define TAPSTACK_HOST_ROUTE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "../core/stack.h"

enum { ROUTE_TEXT_MAX = 160 /* of a message */ };

struct route_text {
    uint32_t network; /* host order */
    uint8_t prefix_bits;
    uint32_t gateway_v4; /* 0: none was given */
    uint32_t metric;     /* UINT32_MAX: none was given */
    char interface[16];  /* "": none was given */
};

/* Reads "default" or a network, then in any order `via ADDRESS`, `dev INTERFACE`, `metric NUMBER`.
   A network without a prefix is one host. Returns 0, or -1 with a sentence in error (ROUTE_TEXT_MAX
   bytes). */
int route_text_parse(const char *text, struct route_text *route, char *error);

/* Reads "10.77.0.2/24", or without the prefix, which is then 32. Returns 0 or -1. */
int route_text_parse_network(const char *text, uint32_t *v4, uint8_t *prefix_bits);

/* Writes "10.9.0.0/16" (or "default"). text: ROUTE_TEXT_MAX bytes. */
void route_text_format_network(uint32_t network, uint8_t prefix_bits, char *text);

/* The interface with this name, or -1. */
int route_text_find_interface(const struct stack *stack, const char *name);

/* Adds the route, over the interface in whose network its gateway is when none is named. Returns 0,
   or an enum stack_error with a sentence in error. */
int route_text_add(struct stack *stack, const struct route_text *route, char *error);

#endif

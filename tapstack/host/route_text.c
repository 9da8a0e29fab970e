/* Routes and addresses as people write them: "10.9.0.0/16 via 10.78.0.9 metric 10". */
#include "route_text.h"

#include <stdio.h>
#include <string.h>

#include "quantity.h"

enum { WORD_MAX = 64 };

#define REFUSE(result, ...) ((void)snprintf(error, ROUTE_TEXT_MAX, __VA_ARGS__), result)

int route_text_parse_network(const char *text, uint32_t *v4, uint8_t *prefix_bits)
{
    char quad[IP_ADDRESS_TEXT_MAX];
    struct ip_address address;
    uint64_t bits = 32;
    size_t length = strcspn(text, "/");
    if (length >= sizeof quad)
        return -1;
    memcpy(quad, text, length);
    quad[length] = '\0';
    if (ip_address_parse(quad, &address) < 0 ||
        (text[length] == '/' &&
         (quantity_parse(text + length + 1, QUANTITY_COUNT, &bits) < 0 || bits > 32)))
        return -1;
    *v4 = ip_address_to_v4(&address);
    *prefix_bits = (uint8_t)bits;
    return 0;
}

void route_text_format_network(uint32_t network, uint8_t prefix_bits, char *text)
{
    struct ip_address address = ip_address_from_v4(network);
    if (prefix_bits == 0) {
        snprintf(text, ROUTE_TEXT_MAX, "default");
        return;
    }
    int length = ip_address_format(&address, text);
    snprintf(text + length, (size_t)(ROUTE_TEXT_MAX - length), "/%u", prefix_bits);
}

/* Takes the next word of *at into word (WORD_MAX bytes). Returns false when there is none. */
static bool take_word(const char **at, char *word)
{
    *at += strspn(*at, " \t");
    size_t length = strcspn(*at, " \t");
    snprintf(word, WORD_MAX, "%.*s", (int)length, *at);
    *at += length;
    return length > 0;
}

static int read_pair(struct route_text *route, const char *key, const char *word, char *error)
{
    uint64_t metric;
    uint8_t bits;
    if (strcmp(key, "via") == 0)
        return route_text_parse_network(word, &route->gateway_v4, &bits) == 0 && bits == 32 &&
                       route->gateway_v4 != 0
                   ? 0
                   : REFUSE(-1, "via wants an address, not \"%.40s\"", word);
    if (strcmp(key, "dev") == 0)
        return (size_t)snprintf(route->interface, sizeof route->interface, "%s", word) <
                       sizeof route->interface
                   ? 0
                   : REFUSE(-1, "no interface has a name as long as \"%.40s\"", word);
    if (strcmp(key, "metric") != 0)
        return REFUSE(-1, "\"%.40s\" is not via, dev or metric", key);
    if (quantity_parse(word, QUANTITY_COUNT, &metric) < 0 || metric >= UINT32_MAX)
        return REFUSE(-1, "metric wants a number, not \"%.40s\"", word);
    route->metric = (uint32_t)metric;
    return 0;
}

int route_text_parse(const char *text, struct route_text *route, char *error)
{
    char key[WORD_MAX], word[WORD_MAX];
    *route = (struct route_text){.metric = UINT32_MAX};
    if (!take_word(&text, word))
        return REFUSE(-1, "a route starts with its network, or with default");
    if (strcmp(word, "default") != 0 &&
        route_text_parse_network(word, &route->network, &route->prefix_bits) < 0)
        return REFUSE(-1, "\"%.40s\" is no network such as 10.9.0.0/16", word);
    uint32_t host_bits = route->prefix_bits < 32 ? UINT32_MAX >> route->prefix_bits : 0;
    if (route->network & host_bits)
        return REFUSE(-1, "\"%.40s\" has bits set behind its prefix", word);
    while (take_word(&text, key)) {
        if (!take_word(&text, word))
            return REFUSE(-1, "\"%.40s\" wants a value", key);
        if (read_pair(route, key, word, error) < 0)
            return -1;
    }
    return 0;
}

int route_text_find_interface(const struct stack *stack, const char *name)
{
    const struct stack_interface_config *interface;
    for (unsigned i = 0; (interface = stack_interface(stack, i)) != NULL; i++)
        if (strcmp(interface->name, name) == 0)
            return (int)i;
    return -1;
}

/* The interface on whose network an address is, or -1. */
static int find_network(const struct stack *stack, uint32_t v4)
{
    struct stack_address address;
    uint32_t cursor = 0;
    while (stack_next_address(stack, &cursor, &address))
        if (((address.v4 ^ v4) >> (32 - address.prefix_bits)) == 0)
            return address.interface;
    return -1;
}

int route_text_add(struct stack *stack, const struct route_text *route, char *error)
{
    char network[ROUTE_TEXT_MAX];
    if (route->interface[0] == '\0' && route->gateway_v4 == 0)
        return REFUSE(STACK_INVALID, "a route wants via ADDRESS, or dev INTERFACE");
    int interface = route->interface[0] != '\0' ? route_text_find_interface(stack, route->interface)
                                                : find_network(stack, route->gateway_v4);
    if (interface < 0)
        return route->interface[0] != '\0'
                   ? REFUSE(STACK_INVALID, "there is no interface \"%.40s\"", route->interface)
                   : REFUSE(STACK_INVALID, "the gateway is on no network of ours");
    int result = stack_add_route_metric(stack, route->network, route->prefix_bits,
                                        route->gateway_v4, (unsigned)interface,
                                        route->metric != UINT32_MAX ? route->metric : 0);
    route_text_format_network(route->network, route->prefix_bits, network);
    switch (result) {
    case STACK_INVALID:
        return REFUSE(result, "the gateway is no neighbor on that interface");
    case STACK_IN_USE:
        return REFUSE(result, "there is a route to %.40s with that metric", network);
    case STACK_NO_MEMORY:
        return REFUSE(result, "there are as many routes as ip.routes_max allows");
    default:
        return result;
    }
}

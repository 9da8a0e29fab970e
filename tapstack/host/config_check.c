/* What no key of the configuration file can tell alone. */
#include "config_reader.h"

#include <pwd.h>
#include <string.h>

/* ---- Interfaces ---- */

static bool config_same_network(const struct config_interface *interface, uint32_t v4)
{
    return interface->prefix_bits > 0 &&
           (v4 ^ interface->address_v4) >> (32 - interface->prefix_bits) == 0;
}

static int config_check_own_address(const struct config_interface *interface, unsigned section)
{
    uint32_t host_bits = UINT32_MAX >> interface->prefix_bits;
    uint32_t host = interface->address_v4 & host_bits;

    if (interface->address_v4 == 0)
        return CONFIG_REFUSE_IN(section, "interface",
                                "interface \"%s\" needs an address, or a place in the bridge",
                                interface->device);
    if (!ipv4_is_valid_source(interface->address_v4) ||
        (interface->prefix_bits < 31 && (host == 0 || host == host_bits)))
        return CONFIG_REFUSE_IN(section, "address", "address is not one that a host can have");
    return 0;
}

static int config_check_host_address(const struct config_interface *interface, unsigned section)
{
    if (interface->host_address_v4 == 0)
        return 0;
    if (interface->host_prefix_bits != 0 && interface->host_prefix_bits != interface->prefix_bits)
        return CONFIG_REFUSE_IN(section, "host_address",
                                "host_address has the prefix /%u, address has /%u",
                                interface->host_prefix_bits, interface->prefix_bits);
    if (!config_same_network(interface, interface->host_address_v4))
        return CONFIG_REFUSE_IN(section, config_blame(section, "host_address", "address"),
                                "host_address is not in the network of address; set both");
    if (interface->host_address_v4 == interface->address_v4)
        return CONFIG_REFUSE_IN(section, config_blame(section, "host_address", "address"),
                                "host_address is the stack's own address");
    return 0;
}

/* An end of the bridge has no place in the stack. */
static int config_check_bridged(const struct config_interface *interface, unsigned section)
{
    if (interface->address_v4 != 0 && config_line_of(section, "address") != 0)
        return CONFIG_REFUSE_IN(section, "address", "an end of the bridge has no address");
    if (interface->vlan != 0)
        return CONFIG_REFUSE_IN(section, "vlan", "an end of the bridge lets all VLANs pass");
    if (interface->host_address_v4 != 0 && interface->host_prefix_bits == 0)
        return CONFIG_REFUSE_IN(section, "host_address",
                                "host_address of an end of the bridge needs its prefix");
    return 0;
}

bool config_same_place(const struct config_interface *a, const struct config_interface *b)
{
    return strcmp(a->device, b->device) == 0 && strcmp(a->netns, b->netns) == 0;
}

/* Once more against those before it. */
static int config_check_others(const struct config *config, unsigned index, unsigned section)
{
    const struct config_interface *interface = &config->interface[index];
    for (unsigned i = 0; i < index; i++) {
        const struct config_interface *other = &config->interface[i];
        if (config_same_place(other, interface))
            return CONFIG_REFUSE_IN(section, "interface", "interface \"%s\" is there twice",
                                    interface->device);
        if (!interface->bridged && other->address_v4 == interface->address_v4)
            return CONFIG_REFUSE_IN(section, "address", "address is that of interface \"%s\" too",
                                    other->device);
    }
    return 0;
}

int config_check_interface(const struct config *config, unsigned index, unsigned section)
{
    const struct config_interface *interface = &config->interface[index];
    if (config_check_others(config, index, section) < 0)
        return -1;
    if (interface->bridged)
        return config_check_bridged(interface, section);
    if (config_check_own_address(interface, section) < 0)
        return -1;
    return config_check_host_address(interface, section);
}

/* ---- The rest ---- */

int config_gateway_interface(const struct config *config)
{
    for (unsigned i = 0; i < config->interface_count; i++)
        if (config_same_network(&config->interface[i], config->gateway_v4))
            return (int)i;
    return -1;
}

static int config_check_gateway(const struct config *config)
{
    if (config->gateway_v4 == 0)
        return 0;
    int index = config_gateway_interface(config);
    if (index < 0)
        return CONFIG_REFUSE("gateway", "gateway is not in the network of address");
    if (config->gateway_v4 == config->interface[index].address_v4)
        return CONFIG_REFUSE("gateway", "gateway is the stack's own address");
    return 0;
}

int config_check(const struct config *config)
{
    const struct stack_settings *settings = &config->settings;
    if (config_check_gateway(config) < 0)
        return -1;
    struct stack_filter_error error;
    if (stack_filter_check(config->filter_rules, strlen(config->filter_rules), &error) != 0)
        return CONFIG_REFUSE("filter_rules", "filter_rules: %u:%u: %s", error.line, error.column,
                             error.message);
    if ((config->event_capacity & (config->event_capacity - 1)) != 0)
        return CONFIG_REFUSE("events", "events must be a power of two, or 0");
    if (config->user[0] != '\0' && !getpwnam(config->user))
        return CONFIG_REFUSE("user", "there is no user \"%s\"", config->user);
    if (settings->tcp_port_first > settings->tcp_port_last)
        return CONFIG_REFUSE_IN(CONFIG_ELSEWHERE,
                                config_blame(CONFIG_ELSEWHERE, "tcp.port_last", "tcp.port_first"),
                                "tcp.port_last is below tcp.port_first");
    if (settings->tcp_rto_min_us > settings->tcp_rto_max_us)
        return CONFIG_REFUSE_IN(CONFIG_ELSEWHERE,
                                config_blame(CONFIG_ELSEWHERE, "tcp.rto_max", "tcp.rto_min"),
                                "tcp.rto_max is below tcp.rto_min");
    return 0;
}

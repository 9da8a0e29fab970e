/* What stands at a script's head: packetdrill's --name=value, settings of the stack, sysctl lines.

   A name that is not known is an error. Of packetdrill's own names those that only say how it talks
   to a kernel (--tcp_ts_tick_usecs apart, which is checked here) have nothing to say here and are
   taken when their value asks for nothing else than what is done anyway. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "script_state.h"

/* ---- Values ---- */

static uint64_t parse_unsigned(struct run *run, const struct script_setting *setting, uint64_t most)
{
    char *end;
    unsigned long long value = strtoull(setting->value, &end, 0);
    if (*setting->value == '\0' || *setting->value == '-' || *end != '\0' || value > most)
        run_fail(run, setting->place, "--%s: a number up to %llu is meant, not \"%s\"",
                 setting->name, (unsigned long long)most, setting->value);
    return value;
}

static uint32_t parse_address(struct run *run, const struct script_setting *setting)
{
    struct in_addr address;
    if (inet_pton(AF_INET, setting->value, &address) != 1)
        run_fail(run, setting->place, "--%s: an IPv4 address is meant, not \"%s\"", setting->name,
                 setting->value);
    return ntohl(address.s_addr);
}

/* ---- Settings of the stack, by their own names and by Linux' ---- */

static void set_stack(struct run *run, struct script_place place, const char *name,
                      const char *text)
{
    int index = stack_setting_find(name);
    char *end;
    if (index < 0)
        run_fail(run, place, "unknown setting \"%s\"", name);
    unsigned long long value = strtoull(text, &end, 0);
    const struct stack_setting_info *info = stack_setting_info((unsigned)index);
    bool time = strcmp(info->unit, "us") == 0;
    if (time && strcmp(end, "ms") == 0)
        value *= 1000, end += 2;
    else if (time && strcmp(end, "s") == 0)
        value *= 1000000, end += 1;
    else if (time && strcmp(end, "us") == 0)
        end += 2;
    if (end == text || *end != '\0' ||
        stack_setting_set(&run->settings, (unsigned)index, value) != 0)
        run_fail(run, place, "%s: a value from %llu to %llu %s is meant, not \"%s\"", name,
                 (unsigned long long)info->least, (unsigned long long)info->most, info->unit, text);
}

/* Linux' names below net.ipv4, and what one of their units is of ours. */
static const struct {
    const char *linux_name;
    const char *name;
    unsigned unit;
} sysctls[] = {
    {"ip_default_ttl", "ip.ttl", 1},
    {"ip_forward", "ip.forward", 1},
    {"tcp_window_scaling", "tcp.window_scaling", 1},
    {"tcp_timestamps", "tcp.timestamps", 1},
    {"tcp_sack", "tcp.sack", 1},
    {"tcp_slow_start_after_idle", "tcp.slow_start_after_idle", 1},
    {"tcp_syn_retries", "tcp.syn_retries", 1},
    {"tcp_syn_linear_timeouts", "tcp.syn_linear_timeouts", 1},
    {"tcp_synack_retries", "tcp.synack_retries", 1},
    {"tcp_retries1", "tcp.retries1", 1},
    {"tcp_retries2", "tcp.retries2", 1},
    {"tcp_fin_timeout", "tcp.fin_wait_2", 1000000},
    {"tcp_keepalive_time", "tcp.keepalive_time", 1000000},
    {"tcp_keepalive_intvl", "tcp.keepalive_interval", 1000000},
    {"tcp_keepalive_probes", "tcp.keepalive_probes", 1},
    {"tcp_max_tw_buckets", "tcp.time_wait_max", 1},
    {"tcp_rto_min_us", "tcp.rto_min", 1},
};

static void set_sysctl(struct run *run, struct script_place place, const char *linux_name,
                       const char *value)
{
    char scaled[32];
    for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++)
        if (strcmp(sysctls[i].linux_name, linux_name) == 0) {
            snprintf(scaled, sizeof scaled, "%llu", strtoull(value, NULL, 0) * sysctls[i].unit);
            set_stack(run, place, sysctls[i].name, scaled);
            return;
        }
    run_fail(run, place, "this stack has nothing like the sysctl net.ipv4.%s", linux_name);
}

/* net.ipv4.tcp_sack=0 or /proc/sys/net/ipv4/tcp_sack=0. Returns false for another word. */
static bool command_word(struct run *run, struct script_place place, char *word)
{
    static const char *const prefixes[] = {"net.ipv4.", "/proc/sys/net/ipv4/"};
    char *equals = strchr(word, '=');
    for (size_t i = 0; equals && i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t size = strlen(prefixes[i]);
        if (strncmp(word, prefixes[i], size) == 0) {
            *equals = '\0';
            set_sysctl(run, place, word + size, equals + 1);
            return true;
        }
    }
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), wanted = strlen(end);
    return size >= wanted && strcmp(text + size - wanted, end) == 0;
}

/* sysctl -q net.ipv4.x=y, set_sysctls.py /proc/sys/...=y, and defaults.sh, which asks for the
   defaults that hold here in any case. */
void run_command(struct run *run, const struct script_event *event)
{
    char text[1024], *rest = text, *word;
    bool known = false;
    if (strlen(event->text) >= sizeof text)
        run_fail(run, event->place, "this command is too long");
    strcpy(text, event->text);
    while ((word = strtok_r(rest, " \t\r\n;&", &rest)) != NULL) {
        if (ends_with(word, "defaults.sh") || strcmp(word, "sysctl") == 0 ||
            ends_with(word, "set_sysctls.py"))
            known = true;
        else if (!known || (word[0] != '-' && !command_word(run, event->place, word)))
            run_fail(run, event->place,
                     "commands are not run here: only sysctl lines are "
                     "understood, not \"%s\"",
                     word);
    }
    if (run->stack)
        *stack_settings(run->stack) = run->settings;
}

/* ---- packetdrill's names ---- */

static void set_version(struct run *run, const struct script_setting *setting)
{
    if (strcmp(setting->value, "ipv4") != 0)
        run_fail(run, setting->place, "--ip_version: only ipv4 is known here, not \"%s\"",
                 setting->value);
}

static void set_prefix(struct run *run, const struct script_setting *setting)
{
    uint32_t mask = parse_address(run, setting);
    if (mask == 0 || (~mask & (~mask + 1)) != 0)
        run_fail(run, setting->place, "--%s: \"%s\" is no netmask", setting->name, setting->value);
    run->prefix_bits = (uint8_t)__builtin_popcount(mask);
}

/* --set=tcp.rto_min=200ms */
static void set_named(struct run *run, const struct script_setting *setting)
{
    char name[64];
    const char *equals = strchr(setting->value, '=');
    if (!equals || (size_t)(equals - setting->value) >= sizeof name)
        run_fail(run, setting->place, "--set=NAME=VALUE is meant");
    memcpy(name, setting->value, (size_t)(equals - setting->value));
    name[equals - setting->value] = '\0';
    set_stack(run, setting->place, name, equals + 1);
}

/* What FreeBSD shows: no quick ACKs at first, a receive buffer of 64 KiB and so a shift of 6; SYNs
   after 1, 3.2, 7.4 s and on. */
static void set_profile(struct run *run, const struct script_setting *setting)
{
    static const char *const bsd[][2] = {{"tcp.quick_ack_segments", "0"},
                                         {"tcp.receive_buffer", "65536"},
                                         {"tcp.window_scale", "6"},
                                         {"tcp.syn_slack", "200ms"}};
    if (strcmp(setting->value, "linux") == 0)
        return;
    if (strcmp(setting->value, "bsd") != 0)
        run_fail(run, setting->place, "--profile is linux or bsd, not \"%s\"", setting->value);
    for (size_t i = 0; i < sizeof bsd / sizeof *bsd; i++)
        set_stack(run, setting->place, bsd[i][0], bsd[i][1]);
}

static void set_one(struct run *run, const struct script_setting *setting)
{
    const char *name = setting->name;
    if (strcmp(name, "tolerance_usecs") == 0)
        run->tolerance_us = parse_unsigned(run, setting, 3600000000);
    else if (strcmp(name, "tcp_ts_tick_usecs") == 0)
        run->stamp_tick_us = parse_unsigned(run, setting, 1000000);
    else if (strcmp(name, "mtu") == 0)
        run->mtu_bytes = (uint16_t)parse_unsigned(run, setting, 65535);
    else if (strcmp(name, "local_ip") == 0)
        run->local_v4 = parse_address(run, setting);
    else if (strcmp(name, "remote_ip") == 0)
        run->remote_v4 = parse_address(run, setting);
    else if (strcmp(name, "gateway_ip") == 0)
        run->gateway_v4 = parse_address(run, setting);
    else if (strcmp(name, "netmask_ip") == 0)
        set_prefix(run, setting);
    else if (strcmp(name, "ip_version") == 0)
        set_version(run, setting);
    else if (strcmp(name, "bind_port") == 0)
        run->bind_port = (uint16_t)parse_unsigned(run, setting, 65535);
    else if (strcmp(name, "connect_port") == 0)
        run->connect_port = (uint16_t)parse_unsigned(run, setting, 65535);
    else if (strcmp(name, "seed") == 0)
        run->seed = parse_unsigned(run, setting, UINT64_MAX);
    else if (strcmp(name, "start_usecs") == 0)
        run->start_us = parse_unsigned(run, setting, UINT64_MAX / 2);
    else if (strcmp(name, "profile") == 0)
        set_profile(run, setting);
    else if (strcmp(name, "set") == 0)
        set_named(run, setting);
    else if (strcmp(name, "non_fatal") != 0 && strcmp(name, "verbose") != 0)
        run_fail(run, setting->place, "unknown setting --%s", name);
}

void run_setup(struct run *run)
{
    run->local_v4 = 0xc0a80001;  /* 192.168.0.1 */
    run->remote_v4 = 0xc0000201; /* 192.0.2.1 */
    run->gateway_v4 = 0;
    run->prefix_bits = 16;
    run->bind_port = run->connect_port = 8080;
    run->next_remote_port = 40000;
    run->mtu_bytes = 1500;
    run->tolerance_us = 4000;
    run->seed = 1;
    run->start_us = 1000000000;
    stack_settings_default(&run->settings);
    for (const struct script_setting *setting = run->script->settings; setting;
         setting = setting->next)
        set_one(run, setting);
}

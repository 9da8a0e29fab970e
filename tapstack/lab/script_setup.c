/* What stands at a script's head: packetdrill's --name=value, settings of the stack, sysctl lines.

   A name that is not known is an error, and so is a sysctl that asks for what this stack does not
   do. Of packetdrill's own names those that only say how it talks to a kernel have no meaning here
   and are taken. */
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
    {"tcp_rto_max_ms", "tcp.rto_max", 1000},
    {"tcp_reordering", "tcp.duplicate_threshold", 1},
};

/* Names that ask for something this stack does, or does not do, in any case: the one value that is
   true here. NULL: how Linux cuts bursts into frames, which a script does not see. */
static const struct {
    const char *linux_name;
    const char *value;
} fixed[] = {
    {"tcp_dsack", "1"},
    {"tcp_fack", "0"},
    {"tcp_frto", "0"},
    {"tcp_recovery", "0"},
    {"tcp_early_retrans", "0"},
    {"tcp_ecn", "0"},
    {"tcp_fastopen", "0"},
    {"tcp_syncookies", "0"},
    {"tcp_mtu_probing", "0"},
    {"tcp_autocorking", "0"},
    {"tcp_congestion_control", "reno"},
    {"tcp_notsent_lowat", "4294967295"},
    {"tcp_no_metrics_save", "1"},
    {"tcp_moderate_rcvbuf", "0"},
    {"tcp_min_tso_segs", NULL},
    {"tcp_tso_win_divisor", NULL},
    {"tcp_tso_rtt_log", NULL},
};

/* tcp_rmem="4096 131072 6291456": Linux takes the shift count it offers from the last of them. */
static void set_buffer(struct run *run, struct script_place place, const char *linux_name,
                       const char *value)
{
    bool receive = strcmp(linux_name, "tcp_rmem") == 0;
    unsigned long long least, usual, most;
    char text[32];
    if (sscanf(value, "%llu %llu %llu", &least, &usual, &most) != 3 || most == 0)
        run_fail(run, place, "%s: \"LEAST USUAL MOST\" is meant, not \"%s\"", linux_name, value);
    snprintf(text, sizeof text, "%llu", most);
    set_stack(run, place, receive ? "tcp.receive_buffer" : "tcp.send_buffer", text);
    if (!receive)
        return;
    int shift = 63 - __builtin_clzll(most) - 15;
    snprintf(text, sizeof text, "%d", shift < 0 ? 0 : shift > 14 ? 14 : shift);
    set_stack(run, place, "tcp.window_scale", text);
}

static bool set_fixed(struct run *run, struct script_place place, const char *linux_name,
                      const char *value)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (strcmp(fixed[i].linux_name, linux_name) != 0)
            continue;
        if (fixed[i].value && strcmp(fixed[i].value, value) != 0)
            run_fail(run, place, "net.ipv4.%s can only be %s here, not \"%s\"", linux_name,
                     fixed[i].value, value);
        return true;
    }
    return false;
}

static void set_sysctl(struct run *run, struct script_place place, const char *linux_name,
                       const char *value)
{
    char scaled[32], *end;
    if (strcmp(linux_name, "tcp_rmem") == 0 || strcmp(linux_name, "tcp_wmem") == 0) {
        set_buffer(run, place, linux_name, value);
        return;
    }
    if (set_fixed(run, place, linux_name, value))
        return;
    for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++)
        if (strcmp(sysctls[i].linux_name, linux_name) == 0) {
            unsigned long long number = strtoull(value, &end, 0);
            if (end == value || *end || number > UINT32_MAX)
                run_fail(run, place, "net.ipv4.%s: a number is meant, not \"%s\"", linux_name,
                         value);
            snprintf(scaled, sizeof scaled, "%llu", number * sysctls[i].unit);
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

/* $((15*1024*1024)): products. Returns behind it. */
static const char *expand_product(struct run *run, struct script_place place, const char *at,
                                  char *to, size_t room)
{
    unsigned long long product = 1;
    char *end;
    do {
        product *= strtoull(at, &end, 10);
        if (end == at)
            run_fail(run, place, "of the shell's arithmetic only $((A*B)) is known here");
        at = end + strspn(end, " ");
    } while (*at++ == '*');
    if (at[-1] != ')' || *at != ')')
        run_fail(run, place, "of the shell's arithmetic only $((A*B)) is known here");
    snprintf(to, room, "%llu", product);
    return at + 1;
}

/* The next word as the shell takes it: quotes keep blanks together. Returns false at the end. */
static bool next_word(struct run *run, struct script_place place, const char **at, char *word,
                      size_t room)
{
    size_t size = 0;
    char quote = 0;
    *at += strspn(*at, " \t\r\n;&");
    if (**at == '\0')
        return false;
    for (; **at && (quote || !strchr(" \t\r\n;&", **at)) && size + 24 < room; ++*at) {
        if (**at == quote || (!quote && (**at == '"' || **at == '\''))) {
            quote = quote ? 0 : **at;
        } else if (quote != '\'' && strncmp(*at, "$((", 3) == 0) {
            *at = expand_product(run, place, *at + 3, word + size, room - size) - 1;
            size += strlen(word + size);
        } else {
            word[size++] = **at;
        }
    }
    word[size] = '\0';
    return true;
}

/* sysctl -q net.ipv4.x=y, set_sysctls.py /proc/sys/...=y; also defaults.sh, which asks for the
   defaults that hold here in any case, and what puts sysctls back at the end. */
void run_command(struct run *run, const struct script_event *event)
{
    const char *at = event->text;
    char word[512];
    bool known = false;
    while (next_word(run, event->place, &at, word, sizeof word)) {
        if (ends_with(word, "defaults.sh") || strcmp(word, "sysctl") == 0 ||
            ends_with(word, "set_sysctls.py") || strstr(word, "/sysctl_restore_"))
            known = true;
        else if (!known || (word[0] != '-' && !command_word(run, event->place, word)))
            run_fail(run, event->place,
                     "commands are not run here: only sysctl lines are understood, not \"%s\"",
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

static void set_profile(struct run *run, const struct script_setting *setting)
{
    bool bsd = strcmp(setting->value, "bsd") == 0;
    if (!bsd && strcmp(setting->value, "linux") != 0)
        run_fail(run, setting->place, "--profile is linux or bsd, not \"%s\"", setting->value);
    set_stack(run, setting->place, "tcp.profile", bsd ? "1" : "0");
}

/* packetdrill's names for what it does to a kernel, or how it looks, without a meaning here. */
static bool is_idle(const char *name)
{
    static const char *const names[] = {"define",       "mss",   "send_omit_free", "non_fatal",
                                        "verbose",      "debug", "code_command",   "code_format",
                                        "code_sockopt", "speed", "init_scripts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
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
    else if (!is_idle(name))
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

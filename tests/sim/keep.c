/* One connection of a run, seen from one side, as a packet script (tapstack-lab script).

   What the application called and got, what its stack sent, and what came to it out of the cable,
   each with its time. Segments of the script carry the numbers of the wire, relative to both SYNs,
   as the notation wants them; what is no whole segment stands as a comment. It tells the exchange,
   and is where a script for the suite begins; ISNs, ports and timestamps of a replay are its own. */
#include "run.h"

#include <stdarg.h>

#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"
#include "../../tapstack/wire/text.h"

static FILE *script_of(const struct run *run, int side, int number)
{
    const struct run_wishes *wishes = run->wishes;
    return side == wishes->side && number == wishes->connection ? wishes->script : NULL;
}

static void time_write(const struct run *run, FILE *script)
{
    uint64_t at_us = sim_now(run) - run->plan->world.start_us;
    fprintf(script, "%llu.%06llu ", (unsigned long long)(at_us / SIM_S),
            (unsigned long long)(at_us % SIM_S));
}

void keep_begin(struct run *run)
{
    FILE *script = run->wishes->script;
    int side = run->wishes->side;
    struct stack_settings usual;
    if (!script)
        return;
    fprintf(script, "// Connection %d of seed %llu, seen from %c.\n", run->wishes->connection,
            (unsigned long long)run->plan->seed, "AB"[side]);
    fprintf(script, "--local_ip=10.77.0.%d\n--remote_ip=10.77.0.%d\n--mtu=%u\n", 1 + side, 2 - side,
            run->plan->world.mtu_bytes);
    stack_settings_default(&usual);
    for (unsigned i = 0; i < stack_setting_count(); i++) {
        uint64_t value = stack_setting_get(&run->plan->world.settings[side], i);
        if (value != stack_setting_get(&usual, i))
            fprintf(script, "--set=%s=%llu\n", stack_setting_info(i)->name,
                    (unsigned long long)value);
    }
    fputc('\n', script);
}

/* A segment whose checksum is right. */
static bool is_whole_segment(const uint8_t *bytes, size_t size)
{
    struct ipv4_header ip;
    const uint8_t *datagram = bytes + ETHERNET_HEADER_BYTES;
    if (size < ETHERNET_HEADER_BYTES ||
        ipv4_parse(datagram, size - ETHERNET_HEADER_BYTES, &ip) < 0 ||
        ip.protocol != IPV4_PROTOCOL_TCP || ip.fragment_offset > 0 || ip.more_fragments)
        return false;
    struct ip_address source = ip_address_from_v4(ip.source_v4);
    struct ip_address destination = ip_address_from_v4(ip.destination_v4);
    return tcp_verify(datagram + ip.header_bytes, (size_t)ip.total_bytes - ip.header_bytes, &source,
                      &destination) == 0;
}

void keep_frame(struct run *run, int side, bool inbound, const uint8_t *bytes, size_t size)
{
    if (!run->wishes->script || side != run->wishes->side)
        return;
    char line[TEXT_LINE_MAX];
    unsigned ports[2];
    int behind = 0, number = run->wishes->connection;
    const struct watch_side *watch = run->watch[number];
    int from = inbound ? 1 - side : side;
    text_format_frame(bytes, size, watch[from].iss, watch[1 - from].iss, line, sizeof line);
    bool is_ours = is_whole_segment(bytes, size) &&
                   sscanf(line, "%*[0-9.]:%u > %*[0-9.]:%u %n", &ports[0], &ports[1], &behind) >= 2;
    if (!is_ours || behind == 0) {
        fprintf(run->wishes->script, "// %c %s\n", inbound ? '<' : '>', line);
        return;
    }
    if (ports[0] != sim_port(from, number) || ports[1] != sim_port(1 - from, number))
        return; /* of another connection */
    time_write(run, run->wishes->script);
    fprintf(run->wishes->script, "%c %s\n", inbound ? '<' : '>', line + behind);
}

void keep_call(struct run *run, const struct end *end, const char *format, ...)
{
    FILE *script = script_of(run, end->side, end->number);
    va_list arguments;
    if (!script)
        return;
    time_write(run, script);
    va_start(arguments, format);
    vfprintf(script, format, arguments);
    va_end(arguments);
    fputc('\n', script);
}

const char *keep_result(ptrdiff_t result, char text[32])
{
    const char *number = result == STACK_AGAIN         ? "EAGAIN"
                         : result == STACK_IN_PROGRESS ? "EAGAIN"
                         : result == STACK_CLOSED      ? "EPIPE"
                         : result == STACK_REFUSED     ? "ECONNREFUSED"
                         : result == STACK_RESET       ? "ECONNRESET"
                         : result == STACK_TIMED_OUT   ? "ETIMEDOUT"
                         : result == STACK_UNREACHABLE ? "EHOSTUNREACH"
                                                       : "ENOTCONN";
    if (result >= 0)
        snprintf(text, 32, "%lld", (long long)result);
    else
        snprintf(text, 32, "-1 %s", number);
    return text;
}

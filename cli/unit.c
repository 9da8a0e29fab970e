/* Quantities as text: times, sizes, rates, settings. */
#include "unit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *unit_ms(uint64_t us, char *out)
{
    snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 ".%03u ms", us / 1000, (unsigned)(us % 1000));
    return out;
}

const char *unit_duration(uint64_t us, char *out)
{
    uint64_t seconds = us / 1000000;
    unsigned days = (unsigned)(seconds / 86400), hours = (unsigned)(seconds / 3600 % 24);
    unsigned minutes = (unsigned)(seconds / 60 % 60), rest = (unsigned)(seconds % 60);
    if (days)
        snprintf(out, UNIT_TEXT_MAX, "%ud %uh %02um %02us", days, hours, minutes, rest);
    else if (hours)
        snprintf(out, UNIT_TEXT_MAX, "%uh %02um %02us", hours, minutes, rest);
    else if (minutes)
        snprintf(out, UNIT_TEXT_MAX, "%um %02us", minutes, rest);
    else
        snprintf(out, UNIT_TEXT_MAX, "%u.%03u s", rest, (unsigned)(us / 1000 % 1000));
    return out;
}

const char *unit_rate(double bits, char *out)
{
    static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
    unsigned unit = 0;
    for (; bits >= 1000 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        bits /= 1000;
    snprintf(out, UNIT_TEXT_MAX, "%.1f %s", bits, units[unit]);
    return out;
}

const char *unit_bytes(uint64_t count, char *out)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (count < 1024) {
        snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 " B", count);
        return out;
    }
    double value = (double)count / 1024;
    unsigned unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1024;
    snprintf(out, UNIT_TEXT_MAX, "%.1f %s", value, units[unit]);
    return out;
}

struct unit {
    uint64_t size;
    const char *name;
};
static const struct unit time_units[] = {{3600000000, "h"},
                                         {60000000, "min"},
                                         {1000000, "s"},
                                         {1000, "ms"},
                                         {1, "us"}};
static const struct unit byte_units[] = {{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}, {1, ""}};

const char *unit_setting(uint64_t value, const char *unit, char *out)
{
    bool time = strcmp(unit, "us") == 0;
    if (!time && strcmp(unit, "bytes") != 0) {
        snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 "%s%s", value, unit[0] && unit[0] != '/' ? " " : "",
                 unit);
        return out;
    }
    const struct unit *u = time ? time_units : byte_units;
    while (u->size > 1 && (value < u->size || value % u->size != 0))
        u++;
    snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 "%s", value / u->size, u->name);
    return out;
}

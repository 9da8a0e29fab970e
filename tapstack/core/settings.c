/* The settings as a table: what the configuration, the console and the tests walk over. */
#include <stddef.h>
#include <string.h>

#include "stack.h"

static const struct stack_setting_info setting_table[] = {
#define SETTING_ENTRY(field, name, initial, least, most, unit, what)                               \
    {name, unit, what, initial, least, most},
    STACK_SETTINGS(SETTING_ENTRY)
#undef SETTING_ENTRY
};

enum { SETTING_COUNT = sizeof setting_table / sizeof setting_table[0] };

/* Where each setting lies; all of them are 64 bits wide. */
static const size_t setting_offset[] = {
#define SETTING_OFFSET(field, name, initial, least, most, unit, what)                              \
    offsetof(struct stack_settings, field),
    STACK_SETTINGS(SETTING_OFFSET)
#undef SETTING_OFFSET
};

unsigned stack_setting_count(void) { return SETTING_COUNT; }

const struct stack_setting_info *stack_setting_info(unsigned index)
{
    return index < SETTING_COUNT ? &setting_table[index] : NULL;
}

int stack_setting_find(const char *name)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcmp(setting_table[i].name, name) == 0)
            return i;
    return -1;
}

uint64_t stack_setting_get(const struct stack_settings *settings, unsigned index)
{
    uint64_t value = 0;
    if (index < SETTING_COUNT)
        memcpy(&value, (const char *)settings + setting_offset[index], sizeof value);
    return value;
}

/* What FreeBSD shows where it differs from Linux: ACKs are delayed from the first segment on, the
   receive buffer and so the shift count are small, and SYNs come 200 ms later. */
static const struct {
    const char *name;
    uint64_t bsd;
} profile_table[] = {
    {"tcp.quick_ack_segments", 0},
    {"tcp.receive_buffer", 65536},
    {"tcp.window_scale", 6},
    {"tcp.syn_slack", 200000},
};

static void setting_store(struct stack_settings *settings, unsigned index, uint64_t value)
{
    memcpy((char *)settings + setting_offset[index], &value, sizeof value);
}

static void setting_apply_profile(struct stack_settings *settings)
{
    for (size_t i = 0; i < sizeof profile_table / sizeof profile_table[0]; i++) {
        unsigned index = (unsigned)stack_setting_find(profile_table[i].name);
        setting_store(settings, index,
                      settings->tcp_profile ? profile_table[i].bsd : setting_table[index].initial);
    }
}

int stack_setting_set(struct stack_settings *settings, unsigned index, uint64_t value)
{
    if (index >= SETTING_COUNT || value < setting_table[index].least ||
        value > setting_table[index].most)
        return STACK_INVALID;
    setting_store(settings, index, value);
    if (setting_offset[index] == offsetof(struct stack_settings, tcp_profile))
        setting_apply_profile(settings);
    return 0;
}

void stack_settings_default(struct stack_settings *settings)
{
    for (unsigned i = 0; i < SETTING_COUNT; i++)
        setting_store(settings, i, setting_table[i].initial);
}

/* Lines read against the command table: words, arguments, and what may come next. */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(result, ...) ((void)snprintf(error, error_size, __VA_ARGS__), result)

/* ---- Words ---- */

/* Reads the word at *at and cuts it off; *at moves behind it. Returns NULL for an open quote. */
static char *word_take(char **at)
{
    char *from = *at, *to = *at, *word = *at, quote = '\0';
    for (; *from && (quote || !isspace((unsigned char)*from)); from++) {
        if (quote ? *from == quote : (*from == '"' || *from == '\''))
            quote = quote ? '\0' : *from;
        else
            *to++ = *from;
    }
    *at = *from ? from + 1 : from;
    *to = '\0';
    return quote ? NULL : word;
}

int command_split(char *line, char **words, int max, char *error, size_t error_size)
{
    int count = 0;
    for (char *at = line;;) {
        while (isspace((unsigned char)*at))
            at++;
        if (*at == '\0' || *at == '#')
            return count;
        if (count == max)
            return REFUSE(-1, "more than %d words in a line", max);
        int column = (int)(at - line) + 1;
        words[count] = word_take(&at);
        if (!words[count++])
            return REFUSE(-1, "column %d: the quote is not closed", column);
    }
}

/* The word of a command with this number, as length bytes of its words; NULL behind the last. */
static const char *command_word(const struct command *command, int number, size_t *length)
{
    const char *at = command->words;
    for (; number > 0 && at; number--) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    *length = at ? strcspn(at, " ") : 0;
    return at;
}

enum match { MATCH_NONE, MATCH_PREFIX, MATCH_EXACT };

static enum match word_match(const struct command *command, int number, const char *text)
{
    size_t length, size = strlen(text);
    const char *word = command_word(command, number, &length);
    if (!word || size == 0 || size > length || memcmp(word, text, size) != 0)
        return MATCH_NONE;
    return size == length ? MATCH_EXACT : MATCH_PREFIX;
}

/* Do the first count words lead to this command? An exact match elsewhere shuts out a prefix. */
static bool words_lead(const struct command *command, char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        enum match match = word_match(command, i, words[i]);
        if (match == MATCH_EXACT)
            continue;
        if (match == MATCH_NONE)
            return false;
        for (const struct command *other = command_list; other->words; other++)
            if (word_match(other, i, words[i]) == MATCH_EXACT && words_lead(other, words, i))
                return false;
    }
    return true;
}

static bool command_ends(const struct command *command, int count)
{
    size_t length;
    return command_word(command, count, &length) == NULL;
}

/* How many of the words lead to some command. */
static int words_known(char *const *words, int count)
{
    int best = 0;
    for (const struct command *c = command_list; c->words; c++)
        for (int n = count; n > best; n--)
            if (words_lead(c, words, n))
                best = n;
    return best;
}

/* Lists the commands that the words lead to, as far as they fit: "show connection, show
   connections". */
static void leads_list(char *const *words, int count, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (const struct command *c = command_list; c->words && used < size; c++)
        if (words_lead(c, words, count))
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", c->words);
}

/* Is the last of these words cut so short that it could be the start of another one? */
static bool words_unclear(char *const *words, int count)
{
    const struct command *first = NULL;
    for (const struct command *c = command_list; c->words; c++) {
        size_t length, first_length;
        if (!words_lead(c, words, count))
            continue;
        first = first ? first : c;
        const char *word = command_word(c, count - 1, &length);
        const char *other = command_word(first, count - 1, &first_length);
        if (length != first_length || memcmp(word, other, length) != 0)
            return true;
    }
    return false;
}

static const struct command *command_of(char *const *words, int count)
{
    for (const struct command *c = command_list; c->words; c++)
        if (words_lead(c, words, count) && command_ends(c, count))
            return c;
    return NULL;
}

const struct command *command_find(char *const *words, int count, int *used, char *error,
                                   size_t error_size)
{
    char names[160];
    int known = words_known(words, count);
    *used = known;
    if (known == 0)
        return REFUSE(NULL, "unknown command \"%.40s\"; help lists them", words[0]);
    bool unclear = words_unclear(words, known);
    const struct command *found = unclear ? NULL : command_of(words, known);
    if (found)
        return found;
    leads_list(words, known, names, sizeof names);
    if (known < count && !unclear)
        return REFUSE(NULL, "\"%.40s\" is not known here; there are: %s", words[known], names);
    return REFUSE(NULL, "incomplete or not clear; there are: %s", names);
}

/* ---- Arguments ---- */

/* Reads `[key WORD]`, `[key]`, `[WORD]` or `WORD` of size bytes. */
static struct command_slot slot_read(const char *text, size_t size)
{
    struct command_slot slot = {.optional = text[0] == '['};
    if (slot.optional) {
        text++;
        size -= 2;
    }
    const char *space = memchr(text, ' ', size);
    size_t first = space ? (size_t)(space - text) : size;
    bool key = space || !isupper((unsigned char)text[0]);
    snprintf(key ? slot.key : slot.word, sizeof slot.key, "%.*s", (int)first, text);
    if (space)
        snprintf(slot.word, sizeof slot.word, "%.*s", (int)(size - first - 1), space + 1);
    char *dots = strstr(slot.word, "...");
    slot.rest = dots != NULL;
    if (dots)
        *dots = '\0';
    return slot;
}

int command_slots(const struct command *command, struct command_slot *slots)
{
    int count = 0;
    for (const char *at = command->arguments; *at && count < COMMAND_ARGUMENTS_MAX;) {
        size_t size = at[0] == '[' ? strcspn(at, "]") + 1 : strcspn(at, " ");
        slots[count++] = slot_read(at, size);
        at += size;
        at += *at == ' ';
    }
    return count;
}

static bool word_is_number(const char *word)
{
    static const char *const numbers[] = {"ID", "COUNT", "PORT", "BYTES", "TTL", "HOPS", "NUMBER"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(word, numbers[i]) == 0)
            return true;
    return false;
}

static json_t *value_read(const char *word, const char *text, char *error, size_t error_size)
{
    char *end;
    if (!word_is_number(word))
        return json_string(text);
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < 0)
        return REFUSE(NULL, "%s must be a number, not \"%.40s\"", word, text);
    return json_integer(number);
}

/* The name a slot's value goes by in a request: its key, or its word in small letters. */
static const char *slot_name(const struct command_slot *slot, char *name)
{
    if (slot->key[0])
        return slot->key[0] == '-' ? slot->key + 1 : slot->key;
    for (size_t i = 0; i < sizeof slot->word; i++)
        name[i] = (char)tolower((unsigned char)slot->word[i]);
    return name;
}

/* The free slot that this word opens: one with this key, else the first positional one. */
static int slot_choose(const struct command_slot *slots, int count, unsigned taken,
                       const char *word)
{
    int positional = -1;
    for (int i = count - 1; i >= 0; i--) {
        if (taken & 1U << i)
            continue;
        if (slots[i].key[0] && strcmp(slots[i].key, word) == 0)
            return i;
        if (!slots[i].key[0])
            positional = i;
    }
    return positional;
}

/* Says that a line does not fit, and how it should look. */
static void usage_write(const struct command *command, const char *problem, const char *word,
                        char *error, size_t error_size)
{
    snprintf(error, error_size, "%s \"%.40s\"; usage: %s%s%s%s", problem, word, command->words,
             command->arguments[0] ? " " : "", command->arguments,
             strcmp(word, "ID") == 0 ? " (show connections lists them)" : "");
}

/* Words as one text again; what only quotes have held together is put in quotes. */
static json_t *rest_read(char *const *words, int count)
{
    size_t size = 1;
    for (int i = 0; i < count; i++)
        size += strlen(words[i]) + 3;
    char *text = malloc(size);
    size_t used = 0;
    if (!text)
        return NULL;
    for (int i = 0; i < count; i++) {
        const char *quote = words[i][strcspn(words[i], " \t#;")] || !words[i][0] ? "\"" : "";
        used += (size_t)snprintf(text + used, size - used, "%s%s%s%s", i > 0 ? " " : "", quote,
                                 words[i], quote);
    }
    json_t *json = json_string(text);
    free(text);
    return json;
}

/* Takes the slot's value from words. Returns how many words that took, or -1. */
static int slot_take(const struct command_slot *slot, char *const *words, int count, json_t *object,
                     char *error, size_t error_size)
{
    char lower[sizeof slot->word];
    const char *name = slot_name(slot, lower);
    int pair = slot->key[0] && slot->word[0];
    if (slot->rest) {
        json_object_set_new(object, name, rest_read(words, count));
        return count;
    }
    if (!slot->word[0]) {
        json_object_set_new(object, name, json_true());
        return 1;
    }
    if (pair && count < 2)
        return REFUSE(-1, "%s: %s is missing", slot->key, slot->word);
    json_t *value = value_read(slot->word, words[pair], error, error_size);
    if (!value)
        return -1;
    json_object_set_new(object, name, value);
    return 1 + pair;
}

static int arguments_read(const struct command *command, char *const *words, int count,
                          json_t *object, char *error, size_t error_size)
{
    struct command_slot slots[COMMAND_ARGUMENTS_MAX];
    int slot_count = command_slots(command, slots);
    unsigned taken = 0;
    for (int i = 0; i < count;) {
        int slot = slot_choose(slots, slot_count, taken, words[i]);
        if (slot < 0) {
            usage_write(command, "unexpected", words[i], error, error_size);
            return -1;
        }
        int used = slot_take(&slots[slot], words + i, count - i, object, error, error_size);
        if (used < 0)
            return -1;
        taken |= 1U << slot;
        i += used;
    }
    for (int i = 0; i < slot_count; i++)
        if (!slots[i].optional && !(taken & 1U << i)) {
            usage_write(command, "missing", slots[i].word, error, error_size);
            return -1;
        }
    return 0;
}

json_t *command_arguments(const struct command *command, char *const *words, int count, char *error,
                          size_t error_size)
{
    json_t *object = json_object();
    if (arguments_read(command, words, count, object, error, error_size) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* ---- What may come next ---- */

struct collector {
    const char **list;
    int count, max;
    char *text; /* room for copies of the words */
    size_t text_size;
};

static void collect(struct collector *collector, const char *word, size_t length)
{
    for (int i = 0; i < collector->count; i++)
        if (strlen(collector->list[i]) == length && memcmp(collector->list[i], word, length) == 0)
            return;
    if (collector->count == collector->max || length + 1 > collector->text_size)
        return;
    memcpy(collector->text, word, length);
    collector->text[length] = '\0';
    collector->list[collector->count++] = collector->text;
    collector->text += length + 1;
    collector->text_size -= length + 1;
}

/* Names of the arguments that are still to come, and the value that may stand here. */
static void collect_arguments(struct collector *collector, const struct command *command,
                              char *const *words, int count, char *value, size_t value_size)
{
    struct command_slot slots[COMMAND_ARGUMENTS_MAX];
    int slot_count = command_slots(command, slots);
    unsigned taken = 0;
    for (int i = 0; i < count; i++) {
        int slot = slot_choose(slots, slot_count, taken, words[i]);
        if (slot < 0)
            return;
        taken |= 1U << slot;
        if (!slots[slot].key[0] || !slots[slot].word[0])
            continue;
        if (i + 1 == count) { /* the key of a pair: only its value may come */
            snprintf(value, value_size, "%s", slots[slot].word);
            return;
        }
        i++;
    }
    for (int i = 0; i < slot_count; i++) {
        if (taken & 1U << i)
            continue;
        if (slots[i].key[0])
            collect(collector, slots[i].key, strlen(slots[i].key));
        else if (!value[0])
            snprintf(value, value_size, "%s", slots[i].word);
    }
}

int command_candidates(char *const *words, int count, const char **list, int max, char *text,
                       size_t text_size, char *value, size_t value_size)
{
    struct collector collector = {list, 0, max, text, text_size};
    int known = words_known(words, count);
    value[0] = '\0';
    for (const struct command *c = command_list; c->words; c++) {
        size_t length;
        if (!words_lead(c, words, known))
            continue;
        const char *word = command_word(c, known, &length);
        if (word && known == count)
            collect(&collector, word, length);
        else if (!word && known > 0)
            collect_arguments(&collector, c, words + known, count - known, value, value_size);
    }
    return collector.count;
}

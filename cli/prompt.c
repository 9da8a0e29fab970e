/* The prompt: readline with history, and completion from the command table and the live stack. */
#include "console.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <readline/history.h>
#include <readline/readline.h>

enum {
    HISTORY_LINES = 1000,
    CANDIDATES_MAX = 32,
    VALUES_MAX = 256, /* of the live stack, offered at once */
};

/* readline's hooks have no argument of their own. */
static struct console *prompt_console;
static char **prompt_matches;

static const char *const states[] = {"CLOSED",      "LISTEN",     "SYN-SENT",   "SYN-RECEIVED",
                                     "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",
                                     "CLOSING",     "LAST-ACK",   "TIME-WAIT"};

struct matches {
    const char *prefix;
    char **list; /* VALUES_MAX + 1, ended by NULL; readline frees the texts */
    int count;
};

static void match_add(struct matches *matches, const char *text)
{
    if (matches->count < VALUES_MAX &&
        strncasecmp(text, matches->prefix, strlen(matches->prefix)) == 0)
        matches->list[matches->count++] = strdup(text);
}

/* Offers one member of every entry of a list that the daemon answers with. */
static void match_answer(struct matches *matches, const char *request, const char *list,
                         const char *member)
{
    char number[24];
    size_t index;
    json_t *entry;
    json_t *answer = remote_ask(&prompt_console->remote, json_pack("{s:s}", "do", request), -1);
    json_array_foreach(json_object_get(answer, list), index, entry)
    {
        const json_t *value = json_object_get(entry, member);
        if (json_is_integer(value)) {
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
            match_add(matches, number);
        } else if (json_is_string(value)) {
            match_add(matches, json_string_value(value));
        }
    }
    json_decref(answer);
}

static void match_value(struct matches *matches, const char *value)
{
    if (strcmp(value, "ID") == 0)
        match_answer(matches, "show.connections", "connections", "id");
    else if (strcmp(value, "NAME") == 0)
        match_answer(matches, "show.settings", "settings", "name");
    else if (strcmp(value, "ADDRESS") == 0)
        match_answer(matches, "show.arp", "neighbors", "address");
    else if (strcmp(value, "STATE") == 0)
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
            match_add(matches, states[i]);
}

/* Fills matches for what stands before the word. Returns whether file names are wanted instead. */
static bool matches_fill(struct matches *matches, char *before)
{
    char *words[COMMAND_WORDS_MAX];
    const char *list[CANDIDATES_MAX];
    char text[512], value[16], error[80];
    int count = command_split(before, words, COMMAND_WORDS_MAX, error, sizeof error);
    if (count < 0)
        return false;
    int found = command_candidates(words, count, list, CANDIDATES_MAX, text, sizeof text, value,
                                   sizeof value);
    for (int i = 0; i < found; i++)
        match_add(matches, list[i]);
    match_value(matches, value);
    return strcmp(value, "FILE") == 0;
}

static char *match_next(const char *text, int again)
{
    static int index;
    (void)text;
    if (!again)
        index = 0;
    return prompt_matches[index] ? prompt_matches[index++] : NULL;
}

static char **complete(const char *text, int start, int end)
{
    static char *list[VALUES_MAX + 1];
    struct matches matches = {.prefix = text, .list = list};
    char *before = strndup(rl_line_buffer, (size_t)start);
    (void)end;
    if (!before)
        return NULL;
    bool files = matches_fill(&matches, before);
    free(before);
    rl_attempted_completion_over = !files;
    list[matches.count] = NULL;
    prompt_matches = list;
    return matches.count ? rl_completion_matches(text, match_next) : NULL;
}

static char *history_path(void)
{
    const char *home = getenv("HOME");
    char *path = NULL;
    if (home && home[0]) {
        size_t size = strlen(home) + sizeof "/.tapctl_history";
        path = malloc(size);
        if (path)
            snprintf(path, size, "%s/.tapctl_history", home);
    }
    return path;
}

int prompt_run(struct console *console)
{
    static char breaks[] = " \t\"'";
    char *path = history_path(), *line;
    prompt_console = console;
    rl_readline_name = "tapctl";
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = breaks;
    using_history();
    stifle_history(HISTORY_LINES);
    if (path)
        read_history(path);
    while (!console->quit && (line = readline("tapctl> ")) != NULL) {
        if (line[0])
            add_history(line);
        console_execute(console, line, "");
        free(line);
    }
    if (!console->quit)
        fputc('\n', console->out);
    if (path)
        write_history(path);
    free(path);
    return 0;
}

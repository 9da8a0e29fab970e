/* The text of the configuration file: comments, sections, and the place of an error in it.

   libconfuse knows the line but not the column, and it miscounts the lines of files with comments.
   So comments are blanked out before it parses, and the column is found by looking for the
   offending word in the line. */
#include "config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_DEPTH_MAX = 8 /* of sections in sections */ };

/* ---- Errors ---- */

/* The start of a line (from 1) of the file. */
static const char *config_line(int line)
{
    const char *at = config_reading->text;
    while (line-- > 1) {
        const char *end = strchr(at, '\n');
        if (!end)
            break;
        at = end + 1;
    }
    return at;
}

/* Finds word as a whole between start and end; NULL: it is not there. */
static const char *config_find_word(const char *start, const char *end, const char *word)
{
    static const char separators[] = " \t\r\n={}\"',;";
    size_t length = strlen(word);
    for (const char *at = start; length > 0 && at + length <= end; at++)
        if (strncmp(at, word, length) == 0 && (at == start || strchr(separators, at[-1])) &&
            strchr(separators, at[length]))
            return at;
    return NULL;
}

void config_complain(int line, const char *key, const char *word, const char *format, ...)
{
    struct config_reader *reader = config_reading;
    va_list arguments;
    if (reader->error[0] != '\0')
        return;
    if (line < 1)
        line = 1;
    const char *start = config_line(line);
    const char *end = start + strcspn(start, "\n");
    const char *place = start + strspn(start, " \t");
    const char *found = key ? config_find_word(start, end, key) : NULL;
    if (found)
        place = found;
    found = word ? config_find_word(found ? found + strlen(key) : start, end, word) : NULL;
    if (found)
        place = found;
    int length = snprintf(reader->error, reader->error_bytes, "%s:%d:%d: ", reader->path, line,
                          (int)(place - start) + 1);
    if (length < 0 || (unsigned)length >= reader->error_bytes)
        return;
    va_start(arguments, format);
    vsnprintf(reader->error + length, reader->error_bytes - (unsigned)length, format, arguments);
    va_end(arguments);
    for (char *at = reader->error; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?'; /* what the file holds must not play tricks on a terminal */
}

/* ---- Comments and sections ---- */

/* The end of a comment that starts at text, or NULL when none does. `//` only counts where a word
   may start, so that it can stand inside of one. */
static char *config_comment_end(const char *file, char *text)
{
    bool word_start = text == file || strchr(" \t\r\n", text[-1]);
    if (*text == '#' || (text[0] == '/' && text[1] == '/' && word_start))
        return text + strcspn(text, "\n");
    if (text[0] != '/' || text[1] != '*' || !word_start)
        return NULL;
    char *end = strstr(text + 2, "*/");
    return end ? end + 2 : text + strlen(text);
}

void config_blank_comments(char *text)
{
    const char *file = text;
    char quote = '\0';

    for (; *text != '\0'; text++) {
        char *end = quote ? NULL : config_comment_end(file, text);
        if (end) {
            for (; text < end; text++)
                if (*text != '\n')
                    *text = ' ';
            text--;
        } else if (quote && *text == '\\' && text[1] != '\0') {
            text++;
        } else if (quote ? *text == quote : *text == '"' || *text == '\'') {
            quote = quote ? '\0' : *text;
        }
    }
}

int config_check_braces(void)
{
    int line = 1, open_line[CONFIG_DEPTH_MAX];
    unsigned depth = 0;
    char quote = '\0';
    for (const char *at = config_reading->text; *at != '\0'; at++) {
        if (*at == '\n')
            line++;
        else if (quote && *at == '\\' && at[1] != '\0')
            at++;
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        else if (!quote && *at == '{' && depth < CONFIG_DEPTH_MAX)
            open_line[depth++] = line;
        else if (!quote && *at == '}' && depth > 0)
            depth--;
    }
    if (depth > 0)
        config_complain(open_line[depth - 1], NULL, NULL, "this section is not closed");
    return depth > 0 ? -1 : 0;
}

/* Does `name =` stand here, behind other than a word? */
static bool config_is_key(const char *at, const char *name)
{
    size_t length = strlen(name);
    if (at > config_reading->text && !strchr(" \t\r\n{};", at[-1]))
        return false;
    return strncmp(at, name, length) == 0 && at[length + strspn(at + length, " \t\r\n")] == '=';
}

int config_line_of(unsigned section, const char *name)
{
    const char *since = config_reading->text;
    unsigned depth = 0, count = 0, inside = 0;
    int line = 1;
    char quote = '\0';
    for (const char *at = since; *at != '\0'; at++) {
        if (!quote && name && inside == section && config_is_key(at, name))
            return line;
        if (*at == '\n')
            line++;
        else if (quote && *at == '\\' && at[1] != '\0')
            at++;
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        else if (!quote && *at == '{' && depth++ == 0) {
            bool interface = config_find_word(since, at, "interface") != NULL;
            inside = interface ? ++count : CONFIG_ELSEWHERE;
            if (!name && inside == section)
                return line;
        } else if (!quote && *at == '}' && depth > 0 && --depth == 0) {
            inside = 0;
            since = at;
        }
    }
    return 0;
}

const char *config_blame(unsigned section, const char *key, const char *other)
{
    return config_line_of(section, key) != 0 ? key : other;
}

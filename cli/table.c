/* Text in columns, and named blocks of items, both held within a line's width. */
#include "table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAP = 2,         /* between columns */
    BLOCK_NAME = 16, /* columns for a block's name */
    BLOCK_GAP = 3,   /* between items */
    LAST_LEAST = 20, /* a last column gets at least this, whatever the others take */
    CELL_MAX = 256,
};

void table_open(struct table *table, const char *align, const char *const *headings)
{
    *table = (struct table){.columns = (int)strlen(align), .align = align, .headings = headings};
    for (int i = 0; i < table->columns; i++)
        table->widths[i] = (int)strlen(headings[i]);
}

void table_add(struct table *table, const char *format, ...)
{
    char text[CELL_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (table->count == table->capacity) {
        int capacity = table->capacity ? table->capacity * 2 : 64;
        char **grown = realloc(table->cells, (size_t)capacity * sizeof *grown);
        if (!grown)
            return;
        table->cells = grown;
        table->capacity = capacity;
    }
    int *width = &table->widths[table->count % table->columns];
    int length = (int)strlen(text);
    if (length > *width)
        *width = length;
    table->cells[table->count++] = strdup(text);
}

/* How much of text fits into width, broken between words where there is one. */
static int break_at(const char *text, int width)
{
    int length = (int)strlen(text);
    if (length <= width)
        return length;
    for (int i = width; i > 0; i--)
        if (text[i] == ' ')
            return i;
    return width;
}

static void last_print(const char *text, int indent, FILE *out)
{
    int width = TABLE_WIDTH - indent > LAST_LEAST ? TABLE_WIDTH - indent : LAST_LEAST;
    for (;;) {
        int length = break_at(text, width);
        fprintf(out, "%.*s\n", length, text);
        text += length + (text[length] == ' ');
        if (*text == '\0')
            return;
        fprintf(out, "%*s", indent, "");
    }
}

static void row_print(const struct table *table, const char *const *cells, FILE *out)
{
    int indent = 0;
    for (int i = 0; i < table->columns; i++) {
        const char *text = cells[i] ? cells[i] : "";
        bool last = i == table->columns - 1;
        int width = table->widths[i];
        if (last && table->align[i] == 'l') {
            last_print(text, indent, out);
            return;
        }
        fprintf(out, "%*s%*s", table->align[i] == 'l' ? -width : width, text, last ? 0 : GAP, "");
        indent += width + GAP;
    }
    fputc('\n', out);
}

void table_print(struct table *table, FILE *out)
{
    row_print(table, table->headings, out);
    for (int i = 0; i + table->columns <= table->count; i += table->columns)
        row_print(table, (const char *const *)(table->cells + i), out);
    for (int i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->count = table->capacity = 0;
}

void block_open(struct block *block, FILE *out, const char *name)
{
    block->out = out;
    block->column = fprintf(out, "  %-*s", BLOCK_NAME - 2, name);
}

void block_add(struct block *block, const char *format, ...)
{
    char text[CELL_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int length = (int)strlen(text), gap = block->column > BLOCK_NAME ? BLOCK_GAP : 0;
    if (gap && block->column + gap + length > TABLE_WIDTH) {
        fprintf(block->out, "\n%*s", BLOCK_NAME, "");
        block->column = BLOCK_NAME;
        gap = 0;
    }
    fprintf(block->out, "%*s%s", gap, "", text);
    block->column += gap + length;
}

void block_close(struct block *block) { fputc('\n', block->out); }

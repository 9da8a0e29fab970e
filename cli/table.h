/* Text in columns, and named blocks of items, both held within a line's width. */
#ifndef TAPSTACK_CLI_TABLE_H
#define TAPSTACK_CLI_TABLE_H

#include <stdio.h>

enum {
    TABLE_WIDTH = 100, /* of a line */
    TABLE_COLUMNS_MAX = 10,
};

struct table {
    int columns;
    const char *align;           /* one letter a column: 'l' or 'r' */
    const char *const *headings; /* one a column */
    char **cells;                /* row by row */
    int count, capacity;
    int widths[TABLE_COLUMNS_MAX];
};

/* align and headings stay the caller's. */
void table_open(struct table *table, const char *align, const char *const *headings);

/* Appends the next cell; rows fill from the left. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints it, headings first, and gives its memory back. A last column that would leave the width
   goes on in the next line, below itself. */
void table_print(struct table *table, FILE *out);

struct block {
    FILE *out;
    int column;
};

/* Starts a line with the block's name. */
void block_open(struct block *block, FILE *out, const char *name);
/* Appends an item, in a new line when it does not fit. */
void block_add(struct block *block, const char *format, ...) __attribute__((format(printf, 2, 3)));
void block_close(struct block *block);

#endif

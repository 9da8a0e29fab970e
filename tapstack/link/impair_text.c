/* Impairments as text: a line is a direction, then words in any order, each once (impair_word.c). What
   no word can tell alone is checked when all are read. */
#include <string.h>

#include "impair_reader.h"

enum { NEAR_WORD_MAX = 16 };

const struct impair_preset impair_presets[] = {
    {"wifi", "rate 54mbit limit 300 stall 8ms every 50ms delay 2ms loss 0.1%",
     "rate 54mbit limit 300 stall 8ms every 50ms delay 2ms loss 0.1%",
     "a busy wireless network: 54 Mbit/s, silent for 8 of each 50 ms"},
    {"dsl", "rate 16mbit 24 48 5 limit 100 delay 15ms", "rate 1mbit 24 48 5 limit 50 delay 15ms",
     "ADSL with its ATM cells: 16 Mbit/s down, 1 Mbit/s up, 30 ms"},
    {"lte", "rate 30mbit limit 500 stall 10ms every 100ms delay 25ms loss 0.01%",
     "rate 10mbit limit 500 stall 10ms every 100ms delay 25ms loss 0.01%",
     "a mobile network: 30 Mbit/s down, 10 Mbit/s up, 50 ms, with deep queues"},
    {"satellite", "rate 25mbit limit 1000 delay 300ms gemodel 0.01% 10%",
     "rate 3mbit limit 500 delay 300ms gemodel 0.01% 10%",
     "a geostationary satellite: 25 Mbit/s down, 3 Mbit/s up, 600 ms, losses in bursts"},
    {NULL, NULL, NULL, NULL},
};

/* ---- The reader ---- */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

void impair_next(struct impair_reader *reader)
{
    while (is_blank(*reader->at))
        reader->at++;
    reader->word = (struct impair_word){reader->at, 0};
    for (; *reader->at && !is_blank(*reader->at); reader->at++)
        reader->word.length++;
}

unsigned impair_column(const struct impair_reader *reader)
{
    return (unsigned)(reader->word.text - reader->text) + 1;
}

/* What the text holds must not play tricks on a terminal. */
static void append_quoted(struct append *to, struct impair_word word)
{
    append_char(to, '"');
    for (size_t i = 0; i < word.length && i < 40; i++)
        append_char(to, word.text[i] >= ' ' && word.text[i] < 0x7f ? word.text[i] : '?');
    append_char(to, '"');
}

/* Complains of the word at hand. */
bool impair_refuse(struct impair_reader *reader, const char *wants)
{
    struct append to = append_start(reader->error->message, sizeof reader->error->message);
    reader->error->column = impair_column(reader);
    append_string(&to, wants);
    if (reader->word.length > 0) {
        append_string(&to, ", not ");
        append_quoted(&to, reader->word);
    }
    return false;
}

bool impair_refuse_at(struct impair_reader *reader, unsigned at, const char *what)
{
    struct append to = append_start(reader->error->message, sizeof reader->error->message);
    reader->error->column = at;
    append_string(&to, what);
    return false;
}

/* ---- Words ---- */

static bool read_words(struct impair_reader *reader);
static unsigned column_of(const struct impair_reader *reader, const char *name);

/* A preset's own words, in the direction's place; none of them may stand in the line besides. */
bool impair_read_preset(struct impair_reader *reader, unsigned index)
{
    const struct impair_preset *preset = &impair_presets[index];
    unsigned at = column_of(reader, preset->name);
    struct impair_reader own = *reader;
    own.text = own.at = reader->line->direction == IMPAIR_IN ? preset->in : preset->out;
    impair_next(&own);
    if (!read_words(&own))
        return impair_refuse_at(reader, at, "this preset and a word before it say the same");
    for (unsigned i = 0; i < IMPAIR_WORDS_MAX; i++)
        if (own.columns[i] && !reader->columns[i])
            reader->columns[i] = at;
    reader->preset = strcmp(preset->in, preset->out) != 0;
    return true;
}

static int keyword_find(struct impair_word word)
{
    for (unsigned i = 0; impair_keywords[i].name; i++)
        if (impair_word_is(word, impair_keywords[i].name))
            return (int)i;
    return -1;
}

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Letters to change, add or take away that lead from a word to a name. */
static unsigned distance(struct impair_word word, const char *name)
{
    unsigned row[NEAR_WORD_MAX + 1];
    size_t width = strlen(name);
    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (unsigned i = 1; i <= word.length; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            unsigned above = row[j];
            row[j] =
                least(least(above, row[j - 1]) + 1, diagonal + (word.text[i - 1] != name[j - 1]));
            diagonal = above;
        }
    }
    return row[width];
}

static bool refuse_unknown(struct impair_reader *reader)
{
    struct append to = append_start(reader->error->message, sizeof reader->error->message);
    const char *nearest = NULL;
    unsigned best = (unsigned)(reader->word.length / 3) + 2;
    for (unsigned i = 0; impair_keywords[i].name && reader->word.length <= NEAR_WORD_MAX; i++) {
        unsigned steps = distance(reader->word, impair_keywords[i].name);
        if (steps < best) {
            best = steps;
            nearest = impair_keywords[i].name;
        }
    }
    reader->error->column = impair_column(reader);
    append_string(&to, "unknown word ");
    append_quoted(&to, reader->word);
    if (nearest) {
        append_string(&to, "; did you mean ");
        append_string(&to, nearest);
        append_char(&to, '?');
    }
    return false;
}

static bool read_words(struct impair_reader *reader)
{
    while (reader->word.length > 0) {
        int index = keyword_find(reader->word);
        if (index < 0)
            return refuse_unknown(reader);
        if (reader->columns[index])
            return impair_refuse_at(reader, impair_column(reader), "this word stands here twice");
        reader->columns[index] = impair_column(reader);
        impair_next(reader);
        if (!impair_keywords[index].read(reader, impair_keywords[index].argument))
            return false;
    }
    return true;
}

/* ---- What no word can tell alone ---- */

/* Column of a word of the line, or 0. */
static unsigned column_of(const struct impair_reader *reader, const char *name)
{
    return reader->columns[keyword_find((struct impair_word){name, strlen(name)})];
}

/* Words that are nothing without others. */
static const struct {
    const char *word;
    uint32_t wants; /* one of these effects */
    const char *message;
} wants[] = {
    {"codel", IMPAIRMENT_RATE, "codel wants a rate in the same rule"},
    {"red", IMPAIRMENT_RATE, "red wants a rate in the same rule"},
    {"stall", IMPAIRMENT_RATE, "stall wants a rate in the same rule"},
    {"distribution", IMPAIRMENT_DELAY, "distribution wants a delay with its jitter"},
    {"gap", IMPAIRMENT_REORDER, "gap wants reorder in the same rule"},
    {"reorder-delay", IMPAIRMENT_REORDER, "reorder-delay wants reorder in the same rule"},
    {"limit", IMPAIRMENT_RATE | IMPAIRMENT_DELAY | IMPAIRMENT_REORDER,
     "limit wants a rate, delay or reorder in the same rule"},
};

/* Words of which a line has one at most, as pairs. */
static const char *const exclusive[][2] = {
    {"nth", "every"},  {"seq", "rawseq"},       {"codel", "red"},
    {"once", "count"}, {"once", "retransmits"}, {"count", "retransmits"},
};

static bool check_pairs(struct impair_reader *reader)
{
    for (size_t i = 0; i < sizeof exclusive / sizeof exclusive[0]; i++) {
        unsigned first = column_of(reader, exclusive[i][0]);
        unsigned second = column_of(reader, exclusive[i][1]);
        if (first && second)
            return impair_refuse_at(reader, first > second ? first : second,
                                    "this word and one before it exclude each other");
    }
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++)
        if (column_of(reader, wants[i].word) && !(reader->line->impairment.does & wants[i].wants))
            return impair_refuse_at(reader, column_of(reader, wants[i].word), wants[i].message);
    return true;
}

static bool has_one_of(const struct impair_reader *reader, const char *const *names, size_t count)
{
    unsigned found = 0;
    for (size_t i = 0; i < count; i++)
        found += column_of(reader, names[i]) > 0;
    return found <= 1;
}

static bool check_line(struct impair_reader *reader)
{
    static const char *const types[] = {"arp", "ip", "ipv6", "ethertype"};
    static const char *const protocols[] = {"icmp", "tcp", "udp", "protocol"};
    static const uint32_t losses = IMPAIRMENT_LOSS | IMPAIRMENT_GEMODEL | IMPAIRMENT_STATE;
    struct impairment *impairment = &reader->line->impairment;
    unsigned end = (unsigned)strlen(reader->text) + 1;
    if (!check_pairs(reader))
        return false;
    if (impairment->does == 0)
        return impair_refuse_at(reader, end,
                                "the line says which frames, but not what happens to them");
    if ((impairment->does & IMPAIRMENT_EXEMPT) && impairment->does != IMPAIRMENT_EXEMPT)
        return impair_refuse_at(reader, column_of(reader, "exempt"),
                                "exempt frames meet nothing else");
    if (!has_one_of(reader, types, 4) || !has_one_of(reader, protocols, 4))
        return impair_refuse_at(reader, end, "a frame has one EtherType and one protocol");
    if (impairment->ecn && !(impairment->does & losses) &&
        impairment->rate.discipline == IMPAIRMENT_TAIL_DROP)
        return impair_refuse_at(reader, column_of(reader, "ecn"),
                                "ecn wants loss, codel or red in the same rule");
    if (column_of(reader, "distribution") && impairment->delay.jitter_us == 0)
        return impair_refuse_at(reader, column_of(reader, "distribution"),
                                "distribution wants a delay with its jitter");
    if (column_of(reader, "retransmits") && !(impairment->match.asks & MATCH_SEQUENCE))
        return impair_refuse_at(reader, column_of(reader, "retransmits"), "retransmits wants seq");
    if ((impairment->match.asks & MATCH_SEQUENCE) && impairment->count == 0)
        impairment->count = 1; /* the segment, and none of its retransmissions */
    return true;
}

/* ---- A line ---- */

static bool read_line(const char *text, const char *words, struct impair_line *line,
                      struct impair_error *error, bool *preset)
{
    enum impair_direction direction = line->direction;
    struct impair_reader reader = {.text = text, .at = words, .line = line, .error = error};
    memset(line, 0, sizeof *line);
    line->direction = direction;
    impair_next(&reader);
    bool good = read_words(&reader) && check_line(&reader);
    *preset = reader.preset;
    return good;
}

int impair_text_parse(const char *text, struct impair_line lines[IMPAIR_LINES_MAX],
                      struct impair_error *error)
{
    static const char *const names[] = {"in", "out", "both"};
    struct impair_reader reader = {.text = text, .at = text, .error = error};
    enum impair_direction direction = IMPAIR_BOTH;
    bool preset;
    impair_next(&reader);
    const char *words = reader.word.text;
    for (unsigned i = 0; i < 3; i++) {
        if (!impair_word_is(reader.word, names[i]))
            continue;
        direction = (enum impair_direction)(i + 1);
        words = reader.at;
    }
    lines[0].direction = direction;
    if (!read_line(text, words, &lines[0], error, &preset))
        return -1;
    if (direction != IMPAIR_BOTH || !preset)
        return 1;
    for (int i = 0; i < 2; i++) {
        lines[i].direction = i == 0 ? IMPAIR_IN : IMPAIR_OUT;
        if (!read_line(text, words, &lines[i], error, &preset))
            return -1;
    }
    return 2;
}

/* The filter's rules as text, both ways.

   Reading goes word by word through one table of keywords, each with the function that reads what
   follows it. The first error wins; it knows the word it is about, and with it the column, and names
   the keyword that was probably meant. */
#include "filter_text.h"

#include <string.h>

#include "../wire/append.h"
#include "../wire/icmp.h"
#include "../wire/ipv4.h"
#include "../wire/tcp.h"

enum {
    WORD_MAX = 64,
    NOT_FOUND = -1,
};

/* A name and the number it stands for; a table ends with one without a name. */
struct name {
    const char *name;
    int value;
};

static const struct name chain_names[] = {{"input", FILTER_INPUT},
                                          {"forward", FILTER_FORWARD},
                                          {"output", FILTER_OUTPUT},
                                          {NULL, 0}};

static const struct name target_names[] = {{"accept", FILTER_ACCEPT},
                                           {"drop", FILTER_DROP},
                                           {"reject", FILTER_REJECT},
                                           {"log", FILTER_LOG},
                                           {NULL, 0}};

static const struct name answer_names[] = {
    {"tcp-reset", FILTER_ANSWER_TCP_RESET},
    {"net-unreachable", FILTER_ANSWER_NET_UNREACHABLE},
    {"host-unreachable", FILTER_ANSWER_HOST_UNREACHABLE},
    {"protocol-unreachable", FILTER_ANSWER_PROTOCOL_UNREACHABLE},
    {"port-unreachable", FILTER_ANSWER_PORT_UNREACHABLE},
    {"net-prohibited", FILTER_ANSWER_NET_PROHIBITED},
    {"host-prohibited", FILTER_ANSWER_HOST_PROHIBITED},
    {"admin-prohibited", FILTER_ANSWER_ADMIN_PROHIBITED},
    {NULL, 0}};

static const struct name protocol_names[] = {{"tcp", IPV4_PROTOCOL_TCP},
                                             {"udp", IPV4_PROTOCOL_UDP},
                                             {"icmp", IPV4_PROTOCOL_ICMP},
                                             {"igmp", IPV4_PROTOCOL_IGMP},
                                             {NULL, 0}};

static const struct name type_names[] = {{"echo-reply", ICMP_ECHO_REPLY},
                                         {"unreachable", ICMP_DESTINATION_UNREACHABLE},
                                         {"source-quench", ICMP_SOURCE_QUENCH},
                                         {"redirect", ICMP_REDIRECT},
                                         {"echo-request", ICMP_ECHO_REQUEST},
                                         {"router-advertisement", ICMP_ROUTER_ADVERTISEMENT},
                                         {"router-solicitation", ICMP_ROUTER_SOLICITATION},
                                         {"time-exceeded", ICMP_TIME_EXCEEDED},
                                         {"parameter-problem", ICMP_PARAMETER_PROBLEM},
                                         {"timestamp-request", ICMP_TIMESTAMP_REQUEST},
                                         {"timestamp-reply", ICMP_TIMESTAMP_REPLY},
                                         {NULL, 0}};

static const struct name state_names[] = {{"new", FLOW_NEW},
                                          {"established", FLOW_ESTABLISHED},
                                          {"related", FLOW_RELATED},
                                          {"invalid", FLOW_INVALID},
                                          {NULL, 0}};

static const struct name flag_names[] = {{"fin", TCP_FIN}, {"syn", TCP_SYN}, {"rst", TCP_RST},
                                         {"psh", TCP_PSH}, {"ack", TCP_ACK}, {"urg", TCP_URG},
                                         {"ece", TCP_ECE}, {"cwr", TCP_CWR}, {NULL, 0}};

/* One a bit of the TCP header, from FIN on. */
static const char flag_letters[] = "FSRPAUEW";

/* Where c stands in text; NULL: nowhere. */
static char *find_char(char *text, char c)
{
    while (*text && *text != c)
        text++;
    return *text ? text : NULL;
}

static int name_find(const struct name *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table->value;
    return NOT_FOUND;
}

static const char *name_of(const struct name *table, int value)
{
    for (; table->name; table++)
        if (table->value == value)
            return table->name;
    return NULL;
}

int filter_text_find_chain(const char *name) { return name_find(chain_names, name); }

int filter_text_find_target(const char *name) { return name_find(target_names, name); }

const char *filter_text_chain_name(enum filter_chain chain) { return name_of(chain_names, chain); }

/* ---- Words ---- */

struct reader {
    const char *line; /* its first character */
    const char *at;   /* behind the last word */
    const char *end;  /* of the whole text */
    const char *word_at;
    char word[WORD_MAX]; /* the word just taken; "": the line has no more */
    bool quoted;
    bool just_source; /* the last criterion was `from` */
    struct filter_rule *rule;
    struct stack_filter_error *error;
};

/* Writes the error about the last word, once. Returns -1. */
static int complain(struct reader *reader, const char *message, const char *word)
{
    struct stack_filter_error *error = reader->error;
    struct append text = append_start(error->message, sizeof error->message);
    error->column = (uint32_t)(reader->word_at - reader->line) + 1;
    append_string(&text, message);
    if (!word)
        return -1;
    append_string(&text, " \"");
    for (; *word; word++) /* what the text holds must not play tricks on a terminal */
        append_char(&text, *word < ' ' || *word > '~' ? '?' : *word);
    append_char(&text, '"');
    return -1;
}

static void complain_more(struct reader *reader, const char *more)
{
    struct stack_filter_error *error = reader->error;
    struct append text = {error->message, sizeof error->message, strlen(error->message)};
    append_string(&text, more);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static bool ends_line(const struct reader *reader)
{
    return reader->at == reader->end || *reader->at == '\n' || *reader->at == ';' ||
           *reader->at == '#' || *reader->at == '\0';
}

/* Takes a word in quotes; reader->at is at the first. */
static int take_quoted(struct reader *reader)
{
    size_t length = 0;
    reader->quoted = true;
    for (reader->at++; reader->at < reader->end && *reader->at != '\n'; reader->at++) {
        if (*reader->at == '"') {
            reader->word[length] = '\0';
            reader->at++;
            return 0;
        }
        if (length + 1 == WORD_MAX)
            return complain(reader, "this text is too long", NULL);
        reader->word[length++] = *reader->at;
    }
    return complain(reader, "the quote is not closed", NULL);
}

/* Takes the next word of the line into reader->word, "" at its end. Returns 0 or -1. */
static int take_word(struct reader *reader)
{
    size_t length = 0;
    reader->quoted = false;
    reader->word[0] = '\0';
    while (reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
    reader->word_at = reader->at;
    if (reader->at < reader->end && *reader->at == '"')
        return take_quoted(reader);
    for (; !ends_line(reader) && !is_blank(*reader->at); reader->at++) {
        if (length + 1 == WORD_MAX)
            return complain(reader, "this word is too long", NULL);
        reader->word[length++] = *reader->at;
    }
    reader->word[length] = '\0';
    return 0;
}

/* Is the line at its end, behind the word just taken? */
static bool at_end(const struct reader *reader) { return !reader->word[0] && !reader->quoted; }

/* The next word, which must be there. */
static int take_value(struct reader *reader, const char *what)
{
    if (take_word(reader) != 0)
        return -1;
    return at_end(reader) ? complain(reader, what, NULL) : 0;
}

/* Takes `not`, if it is next, and the value behind it. */
static int take_value_or_not(struct reader *reader, enum filter_criterion criterion,
                             const char *what)
{
    if (take_value(reader, what) != 0)
        return -1;
    if (strcmp(reader->word, "not") != 0)
        return 0;
    reader->rule->negated |= (uint16_t)criterion;
    return take_value(reader, what);
}

/* ---- What was probably meant ---- */

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Letters to add, take away or change that lead from a to b. */
static unsigned word_distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t width = strlen(b);
    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            unsigned above = row[j];
            row[j] = least(least(above, row[j - 1]) + 1, corner + (a[i - 1] != b[j - 1]));
            corner = above;
        }
    }
    return row[width];
}

struct guess {
    const char *word;
    const char *nearest;
    unsigned distance;
};

static struct guess guess_start(const char *word)
{
    return (struct guess){word, NULL, (unsigned)strlen(word) / 3 + 2};
}

static void guess_try(struct guess *guess, const char *name)
{
    unsigned distance = word_distance(guess->word, name);
    if (distance < guess->distance) {
        guess->distance = distance;
        guess->nearest = name;
    }
}

static int complain_guess(struct reader *reader, const char *message, const char *word,
                          const char *nearest)
{
    complain(reader, message, word);
    if (nearest) {
        complain_more(reader, "; did you mean \"");
        complain_more(reader, nearest);
        complain_more(reader, "\"?");
    }
    return -1;
}

/* The value of a name, or -1 with the nearest one named. */
static int read_name(struct reader *reader, const struct name *table, const char *word,
                     const char *message)
{
    int value = name_find(table, word);
    if (value != NOT_FOUND)
        return value;
    struct guess guess = guess_start(word);
    for (; table->name; table++)
        guess_try(&guess, table->name);
    return complain_guess(reader, message, word, guess.nearest);
}

/* ---- Values ---- */

/* A decimal number of at most `most`, without sign and leading zeros; -1 when text is none. text
   moves behind it. */
static int32_t read_number(const char **text, uint32_t most)
{
    uint32_t number = 0;
    const char *at = *text;
    if (*at < '0' || *at > '9' || (at[0] == '0' && at[1] >= '0' && at[1] <= '9'))
        return -1;
    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint32_t)(*at - '0');
        if (number > most)
            return -1;
    }
    *text = at;
    return (int32_t)number;
}

/* A whole word that is a number; -1 else. */
static int32_t word_number(const char *word, uint32_t most)
{
    int32_t number = read_number(&word, most);
    return *word == '\0' ? number : -1;
}

/* A name of the table or a number up to 255; -1 with the error. */
static int read_name_or_number(struct reader *reader, const struct name *table, const char *message)
{
    int32_t number = word_number(reader->word, UINT8_MAX);
    return number >= 0 ? number : read_name(reader, table, reader->word, message);
}

/* Marks a criterion as given; it may be so once. */
static int give(struct reader *reader, enum filter_criterion criterion)
{
    if (reader->rule->given & criterion)
        return complain(reader, "given twice:", reader->word);
    reader->rule->given |= (uint16_t)criterion;
    return 0;
}

/* Letters that may stand in JSON and on a terminal. */
static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '"')
            return false;
    return true;
}

static int read_interface(struct reader *reader, enum filter_criterion criterion, char *name)
{
    if (give(reader, criterion) != 0 ||
        take_value_or_not(reader, criterion, "an interface's name is missing") != 0)
        return -1;
    size_t length = strlen(reader->word);
    if (reader->quoted || length >= FILTER_INTERFACE_MAX || !is_printable(reader->word))
        return complain(reader, "not the name of an interface:", reader->word);
    memcpy(name, reader->word, length + 1);
    return 0;
}

static int read_in(struct reader *reader)
{
    if (reader->rule->chain == FILTER_OUTPUT)
        return complain(reader, "what the stack sends came in by no interface", NULL);
    return read_interface(reader, FILTER_HAS_IN, reader->rule->in);
}

static int read_out(struct reader *reader)
{
    if (reader->rule->chain == FILTER_INPUT)
        return complain(reader, "what is for the stack leaves by no interface", NULL);
    return read_interface(reader, FILTER_HAS_OUT, reader->rule->out);
}

/* "10.77.0.0/24", "10.77.0.2" */
static int parse_prefix(const char *word, struct filter_address *address)
{
    char quad[WORD_MAX];
    struct ip_address ip;
    const char *slash = word;
    while (*slash && *slash != '/')
        slash++;
    size_t length = (size_t)(slash - word);
    int32_t bits = *slash ? word_number(slash + 1, 32) : 32;
    memcpy(quad, word, length);
    quad[length] = '\0';
    if (bits < 0 || ip_address_parse(quad, &ip) != 0)
        return -1;
    address->v4 = ip_address_to_v4(&ip);
    address->prefix_bits = (uint8_t)bits;
    return 0;
}

static int read_address(struct reader *reader, enum filter_criterion criterion,
                        struct filter_address *address)
{
    if (give(reader, criterion) != 0 ||
        take_value_or_not(reader, criterion, "an address is missing") != 0)
        return -1;
    bool negated = reader->rule->negated & criterion;
    if (strcmp(reader->word, "any") == 0)
        *address = (struct filter_address){0, 0};
    else if (parse_prefix(reader->word, address) != 0)
        return complain(reader, "not an address such as 10.77.0.0/24:", reader->word);
    uint32_t behind = address->prefix_bits < 32 ? UINT32_MAX >> address->prefix_bits : 0;
    if (address->v4 & behind)
        return complain(reader, "bits are set behind the prefix of", reader->word);
    if (negated && address->prefix_bits == 0)
        return complain(reader, "not any address: nothing would match", NULL);
    if (address->prefix_bits == 0) /* the same as none given */
        reader->rule->given &= (uint16_t)~criterion;
    return 0;
}

static int read_from(struct reader *reader)
{
    int result = read_address(reader, FILTER_HAS_SOURCE, &reader->rule->source);
    reader->just_source = true;
    return result;
}

static int read_to(struct reader *reader)
{
    return read_address(reader, FILTER_HAS_DESTINATION, &reader->rule->destination);
}

static int read_port(struct reader *reader)
{
    struct filter_rule *rule = reader->rule;
    bool source = reader->just_source;
    enum filter_criterion criterion = source ? FILTER_HAS_SOURCE_PORT : FILTER_HAS_DESTINATION_PORT;
    struct filter_ports *ports = source ? &rule->source_port : &rule->destination_port;
    if (give(reader, criterion) != 0 ||
        take_value_or_not(reader, criterion, "a port is missing") != 0)
        return -1;
    const char *at = reader->word;
    int32_t first = read_number(&at, UINT16_MAX), last = first;
    if (first >= 0 && *at == '-') {
        at++;
        last = read_number(&at, UINT16_MAX);
    }
    if (first < 0 || last < first || *at != '\0')
        return complain(reader, "not a port or a range such as 1024-65535:", reader->word);
    if (rule->negated & criterion && first == 0 && last == UINT16_MAX)
        return complain(reader, "not any port: nothing would match", NULL);
    *ports = (struct filter_ports){(uint16_t)first, (uint16_t)last};
    return 0;
}

static int read_proto(struct reader *reader)
{
    if (give(reader, FILTER_HAS_PROTOCOL) != 0 || take_value(reader, "a protocol is missing") != 0)
        return -1;
    int protocol = read_name_or_number(reader, protocol_names, "no such protocol:");
    reader->rule->protocol = (uint8_t)protocol;
    return protocol < 0 ? -1 : 0;
}

/* Cuts a list at its next comma. Returns the part in front of it; rest: what is behind, or NULL. */
static const char *list_next(char *list, char **rest)
{
    *rest = find_char(list, ',');
    if (*rest)
        *(*rest)++ = '\0';
    return list;
}

static int letters_to_flags(const char *letters)
{
    int flags = 0;
    for (; *letters; letters++) {
        unsigned bit = 0;
        while (bit < 8 && flag_letters[bit] != *letters)
            bit++;
        if (bit == 8)
            return -1;
        flags |= 1 << bit;
    }
    return flags;
}

/* A set of flags: letters, words between commas, or "none". */
static int read_flag_set(struct reader *reader, char *text)
{
    int flags = text[0] ? letters_to_flags(text) : -1;
    if (flags >= 0)
        return flags;
    if (strcmp(text, "none") == 0)
        return 0;
    flags = 0;
    for (char *rest = text; rest;) {
        const char *word = list_next(rest, &rest);
        int flag = read_name(reader, flag_names, word, "no such TCP flag:");
        if (flag < 0)
            return -1;
        flags |= flag;
    }
    return flags;
}

static int read_flags(struct reader *reader)
{
    struct filter_rule *rule = reader->rule;
    if (give(reader, FILTER_HAS_FLAGS) != 0 || take_value(reader, "TCP flags are missing") != 0)
        return -1;
    char *slash = find_char(reader->word, '/');
    if (slash)
        *slash = '\0';
    int flags = read_flag_set(reader, reader->word);
    int mask = flags < 0 || !slash ? flags : read_flag_set(reader, slash + 1);
    if (mask < 0)
        return -1;
    if (flags & ~mask)
        return complain(reader, "flags that the mask leaves out can never be set", NULL);
    if (mask == 0)
        return complain(reader, "no flag is asked for", NULL);
    rule->flags = (uint8_t)flags;
    rule->flags_mask = (uint8_t)mask;
    return 0;
}

static int read_type(struct reader *reader)
{
    if (give(reader, FILTER_HAS_TYPE) != 0 || take_value(reader, "an ICMP type is missing") != 0)
        return -1;
    int type = read_name_or_number(reader, type_names, "no such ICMP type:");
    reader->rule->type = (uint8_t)type;
    return type < 0 ? -1 : 0;
}

static int read_code(struct reader *reader)
{
    if (!(reader->rule->given & FILTER_HAS_TYPE))
        return complain(reader, "a code needs a type in front of it", NULL);
    if (give(reader, FILTER_HAS_CODE) != 0 || take_value(reader, "an ICMP code is missing") != 0)
        return -1;
    int32_t code = word_number(reader->word, UINT8_MAX);
    reader->rule->code = (uint8_t)code;
    return code < 0 ? complain(reader, "not an ICMP code:", reader->word) : 0;
}

static int read_state(struct reader *reader)
{
    if (give(reader, FILTER_HAS_STATE) != 0 || take_value(reader, "a state is missing") != 0)
        return -1;
    for (char *rest = reader->word; rest;) {
        const char *word = list_next(rest, &rest);
        int state = read_name(reader, state_names, word, "no such state:");
        if (state < 0)
            return -1;
        reader->rule->states |= (uint8_t)state;
    }
    return 0;
}

static int read_label(struct reader *reader)
{
    struct filter_rule *rule = reader->rule;
    if (rule->name[0])
        return complain(reader, "given twice:", reader->word);
    if (take_value(reader, "a name is missing") != 0)
        return -1;
    size_t length = strlen(reader->word);
    if (!is_printable(reader->word))
        return complain(reader, "a name is made of printable ASCII characters", NULL);
    if (length == 0 || length >= FILTER_NAME_MAX)
        return complain(reader, "a name has 1 to 31 bytes", NULL);
    memcpy(rule->name, reader->word, length + 1);
    return 0;
}

/* ---- A line ---- */

static const struct keyword {
    const char *word;
    int (*read)(struct reader *reader);
} keywords[] = {{"in", read_in},       {"out", read_out},    {"from", read_from},
                {"to", read_to},       {"port", read_port},  {"proto", read_proto},
                {"flags", read_flags}, {"type", read_type},  {"code", read_code},
                {"state", read_state}, {"name", read_label}, {NULL, NULL}};

static int read_criterion(struct reader *reader)
{
    const struct keyword *keyword = keywords;
    while (keyword->word && strcmp(keyword->word, reader->word) != 0)
        keyword++;
    if (!keyword->word || reader->quoted) {
        struct guess guess = guess_start(reader->word);
        for (keyword = keywords; keyword->word; keyword++)
            guess_try(&guess, keyword->word);
        return complain_guess(reader, "no such criterion:", reader->word, guess.nearest);
    }
    if (keyword->read != read_port)
        reader->just_source = false;
    int result = keyword->read(reader);
    if (keyword->read == read_port)
        reader->just_source = false;
    return result;
}

/* What the criteria say together; implied protocols are filled in. */
static int check_protocol(struct reader *reader)
{
    struct filter_rule *rule = reader->rule;
    int wanted = NOT_FOUND;
    if (rule->given & FILTER_HAS_FLAGS || rule->answer == FILTER_ANSWER_TCP_RESET)
        wanted = IPV4_PROTOCOL_TCP;
    if (rule->given & FILTER_HAS_TYPE) {
        if (wanted != NOT_FOUND)
            return complain(reader, "ICMP types and TCP do not go together", NULL);
        wanted = IPV4_PROTOCOL_ICMP;
    }
    bool ports = rule->given & (FILTER_HAS_SOURCE_PORT | FILTER_HAS_DESTINATION_PORT);
    if (wanted != NOT_FOUND && !(rule->given & FILTER_HAS_PROTOCOL)) {
        rule->given |= FILTER_HAS_PROTOCOL;
        rule->protocol = (uint8_t)wanted;
    }
    if (wanted != NOT_FOUND && rule->protocol != wanted)
        return complain(reader,
                        wanted == IPV4_PROTOCOL_TCP ? "flags and tcp-reset need proto tcp"
                                                    : "a type needs proto icmp",
                        NULL);
    if (ports && rule->given & FILTER_HAS_PROTOCOL && rule->protocol != IPV4_PROTOCOL_TCP &&
        rule->protocol != IPV4_PROTOCOL_UDP)
        return complain(reader, "only TCP and UDP have ports", NULL);
    return 0;
}

static int read_criteria(struct reader *reader)
{
    while (!at_end(reader))
        if (read_criterion(reader) != 0 || take_word(reader) != 0)
            return -1;
    return check_protocol(reader);
}

/* The target and, behind reject, its answer; then the next word. */
static int read_target(struct reader *reader)
{
    struct filter_rule *rule = reader->rule;
    int target = read_name(reader, target_names, reader->word, "no such target:");
    if (target < 0 || take_word(reader) != 0)
        return -1;
    rule->target = (uint8_t)target;
    if (strcmp(reader->word, "with") != 0)
        return 0;
    if (target != FILTER_REJECT)
        return complain(reader, "only reject answers", NULL);
    if (take_value(reader, "an answer is missing") != 0)
        return -1;
    int answer = read_name(reader, answer_names, reader->word, "no such answer:");
    rule->answer = (uint8_t)answer;
    return answer < 0 ? -1 : take_word(reader);
}

static int read_policy(struct reader *reader)
{
    if (take_value(reader, "accept or drop is missing") != 0)
        return -1;
    int target = read_name(reader, target_names, reader->word, "a policy is accept or drop, not");
    if (target < 0)
        return -1;
    if (target != FILTER_ACCEPT && target != FILTER_DROP)
        return complain(reader, "a policy is accept or drop, not", reader->word);
    reader->rule->target = (uint8_t)target;
    if (take_word(reader) != 0)
        return -1;
    return at_end(reader) ? 0
                          : complain(reader, "nothing follows a policy, but here:", reader->word);
}

static int read_line(struct reader *reader, enum filter_text_kind kind)
{
    struct filter_rule *rule = reader->rule;
    if (take_word(reader) != 0)
        return FILTER_LINE_ERROR;
    if (at_end(reader))
        return FILTER_LINE_EMPTY;
    int chain = read_name(reader, chain_names, reader->word, "no such chain:");
    if (chain < 0)
        return FILTER_LINE_ERROR;
    rule->chain = (uint8_t)chain;
    if (kind == FILTER_TEXT_PACKET)
        return take_word(reader) == 0 && read_criteria(reader) == 0 ? FILTER_LINE_RULE
                                                                    : FILTER_LINE_ERROR;
    if (take_value(reader, "what to do is missing") != 0)
        return FILTER_LINE_ERROR;
    if (strcmp(reader->word, "policy") == 0)
        return read_policy(reader) == 0 ? FILTER_LINE_POLICY : FILTER_LINE_ERROR;
    return read_target(reader) == 0 && read_criteria(reader) == 0 ? FILTER_LINE_RULE
                                                                  : FILTER_LINE_ERROR;
}

enum filter_line filter_text_read(const char **text, const char *end, enum filter_text_kind kind,
                                  struct filter_rule *rule, struct stack_filter_error *error)
{
    struct reader reader = {.line = *text, .at = *text, .end = end, .rule = rule, .error = error};
    *rule = (struct filter_rule){0};
    int result = read_line(&reader, kind);
    if (result == FILTER_LINE_ERROR)
        return FILTER_LINE_ERROR;
    if (reader.at < end && *reader.at == '#')
        while (reader.at < end && *reader.at != '\n')
            reader.at++;
    if (reader.at < end && *reader.at == '\0') {
        reader.word_at = reader.at;
        return complain(&reader, "a NUL byte", NULL);
    }
    *text = reader.at < end ? reader.at + 1 : end;
    return result;
}

/* ---- Writing ---- */

static void write_word(struct append *to, const char *word)
{
    if (to->length > 0)
        append_char(to, ' ');
    append_string(to, word);
}

static void write_name_or_number(struct append *to, const struct name *table, int value)
{
    const char *name = name_of(table, value);
    append_char(to, ' ');
    if (name)
        append_string(to, name);
    else
        append_decimal(to, (uint64_t)value);
}

static void write_not(struct append *to, const struct filter_rule *rule,
                      enum filter_criterion criterion)
{
    if (rule->negated & criterion)
        append_string(to, " not");
}

static void write_interface(struct append *to, const struct filter_rule *rule, const char *keyword,
                            enum filter_criterion criterion, const char *name)
{
    if (!(rule->given & criterion))
        return;
    write_word(to, keyword);
    write_not(to, rule, criterion);
    write_word(to, name);
}

static void write_address(struct append *to, const struct filter_address *address)
{
    char text[IP_ADDRESS_TEXT_MAX];
    struct ip_address ip = ip_address_from_v4(address->v4);
    ip_address_format(&ip, text);
    write_word(to, address->v4 ? text : "0.0.0.0");
    if (address->prefix_bits < 32) {
        append_char(to, '/');
        append_decimal(to, address->prefix_bits);
    }
}

/* One end: `from ADDRESS port PORTS`. any: the address is written in any case, so that the port is
   not taken for the other end's. */
static void write_end(struct append *to, const struct filter_rule *rule, bool source, bool any)
{
    const struct filter_address *address = source ? &rule->source : &rule->destination;
    const struct filter_ports *ports = source ? &rule->source_port : &rule->destination_port;
    enum filter_criterion has = source ? FILTER_HAS_SOURCE : FILTER_HAS_DESTINATION;
    enum filter_criterion has_port = source ? FILTER_HAS_SOURCE_PORT : FILTER_HAS_DESTINATION_PORT;
    bool port = rule->given & has_port;
    if (rule->given & has || (port && any)) {
        write_word(to, source ? "from" : "to");
        write_not(to, rule, has);
        if (rule->given & has)
            write_address(to, address);
        else
            write_word(to, "any");
    }
    if (!port)
        return;
    write_word(to, "port");
    write_not(to, rule, has_port);
    append_field(to, " ", ports->first);
    if (ports->last != ports->first)
        append_field(to, "-", ports->last);
}

static void write_flag_set(struct append *to, uint8_t flags)
{
    if (flags == 0)
        append_string(to, "none");
    for (unsigned bit = 0; bit < 8; bit++)
        if (flags & 1U << bit)
            append_char(to, flag_letters[bit]);
}

static void write_states(struct append *to, uint8_t states)
{
    const char *between = " ";
    write_word(to, "state");
    for (const struct name *name = state_names; name->name; name++) {
        if (!(states & name->value))
            continue;
        append_string(to, between);
        append_string(to, name->name);
        between = ",";
    }
}

static void write_details(struct append *to, const struct filter_rule *rule)
{
    if (rule->given & FILTER_HAS_FLAGS) {
        write_word(to, "flags ");
        write_flag_set(to, rule->flags);
        append_char(to, '/');
        write_flag_set(to, rule->flags_mask);
    }
    if (rule->given & FILTER_HAS_TYPE) {
        write_word(to, "type");
        write_name_or_number(to, type_names, rule->type);
    }
    if (rule->given & FILTER_HAS_CODE)
        append_field(to, " code ", rule->code);
    if (rule->given & FILTER_HAS_STATE)
        write_states(to, rule->states);
    if (rule->name[0]) {
        write_word(to, "name \"");
        append_string(to, rule->name);
        append_char(to, '"');
    }
}

void filter_text_write(const struct filter_rule *rule, char *text, size_t capacity)
{
    struct append to = append_start(text, capacity);
    bool source = rule->given & (FILTER_HAS_SOURCE | FILTER_HAS_SOURCE_PORT);
    write_word(&to, name_of(chain_names, rule->chain));
    write_word(&to, name_of(target_names, rule->target));
    if (rule->answer != FILTER_ANSWER_DEFAULT) {
        write_word(&to, "with");
        write_word(&to, name_of(answer_names, rule->answer));
    }
    write_interface(&to, rule, "in", FILTER_HAS_IN, rule->in);
    write_interface(&to, rule, "out", FILTER_HAS_OUT, rule->out);
    if (rule->given & FILTER_HAS_PROTOCOL) {
        write_word(&to, "proto");
        write_name_or_number(&to, protocol_names, rule->protocol);
    }
    write_end(&to, rule, true, true);
    write_end(&to, rule, false, source);
    write_details(&to, rule);
}

void filter_text_write_policy(enum filter_chain chain, enum filter_target policy, char *text,
                              size_t capacity)
{
    struct append to = append_start(text, capacity);
    write_word(&to, name_of(chain_names, (int)chain));
    write_word(&to, "policy");
    write_word(&to, name_of(target_names, (int)policy));
}

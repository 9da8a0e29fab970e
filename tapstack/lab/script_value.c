/* Arguments of a script's calls: C expressions, constants, lists and records. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "script_token.h"

/* ---- Constants ---- */

#define NAMED(name)                                                                                \
    {                                                                                              \
#name, name                                                                                \
    }

static const struct constant {
    const char *name;
    int64_t value;
} constants[] = {
    NAMED(AF_INET),
    NAMED(AF_INET6),
    NAMED(AF_UNSPEC),
    NAMED(PF_INET),
    NAMED(SOCK_STREAM),
    NAMED(SOCK_DGRAM),
    NAMED(SOCK_NONBLOCK),
    NAMED(SOCK_CLOEXEC),
    NAMED(IPPROTO_IP),
    NAMED(IPPROTO_TCP),
    NAMED(IPPROTO_UDP),
    NAMED(IPPROTO_ICMP),
    NAMED(INADDR_ANY),
    NAMED(SOL_SOCKET),
    NAMED(SOL_IP),
    NAMED(SOL_TCP),
    NAMED(SO_REUSEADDR),
    NAMED(SO_REUSEPORT),
    NAMED(SO_ERROR),
    NAMED(SO_TYPE),
    NAMED(SO_SNDBUF),
    NAMED(SO_RCVBUF),
    NAMED(SO_KEEPALIVE),
    NAMED(SO_LINGER),
    NAMED(SO_OOBINLINE),
    NAMED(SO_ACCEPTCONN),
    NAMED(SO_BROADCAST),
    NAMED(SO_DOMAIN),
    NAMED(SO_PROTOCOL),
    NAMED(IP_TOS),
    NAMED(IP_TTL),
    NAMED(IP_MTU_DISCOVER),
    NAMED(IP_PMTUDISC_DO),
    NAMED(IP_PMTUDISC_DONT),
    NAMED(IP_PMTUDISC_WANT),
    NAMED(TCP_NODELAY),
    NAMED(TCP_MAXSEG),
    NAMED(TCP_CORK),
    NAMED(TCP_KEEPIDLE),
    NAMED(TCP_KEEPINTVL),
    NAMED(TCP_KEEPCNT),
    NAMED(TCP_SYNCNT),
    NAMED(TCP_LINGER2),
    NAMED(TCP_DEFER_ACCEPT),
    NAMED(TCP_WINDOW_CLAMP),
    NAMED(TCP_INFO),
    NAMED(TCP_QUICKACK),
    NAMED(TCP_CONGESTION),
    NAMED(TCP_USER_TIMEOUT),
    NAMED(TCP_NOTSENT_LOWAT),
    NAMED(SHUT_RD),
    NAMED(SHUT_WR),
    NAMED(SHUT_RDWR),
    NAMED(MSG_DONTWAIT),
    NAMED(MSG_PEEK),
    NAMED(MSG_OOB),
    NAMED(MSG_MORE),
    NAMED(MSG_NOSIGNAL),
    NAMED(MSG_WAITALL),
    NAMED(MSG_TRUNC),
    NAMED(F_GETFL),
    NAMED(F_SETFL),
    NAMED(O_RDWR),
    NAMED(O_RDONLY),
    NAMED(O_WRONLY),
    NAMED(O_NONBLOCK),
    NAMED(SIOCINQ),
    NAMED(SIOCOUTQ),
    NAMED(FIONREAD),
    NAMED(POLLIN),
    NAMED(POLLOUT),
    NAMED(POLLERR),
    NAMED(POLLHUP),
    NAMED(POLLPRI),
    NAMED(POLLRDHUP),
    NAMED(POLLNVAL),
    NAMED(EPOLLIN),
    NAMED(EPOLLOUT),
    NAMED(EPOLLERR),
    NAMED(EPOLLHUP),
    NAMED(EPOLLPRI),
    NAMED(EPOLLRDHUP),
    NAMED(EPOLLET),
    NAMED(EPOLLONESHOT),
    NAMED(EPOLL_CTL_ADD),
    NAMED(EPOLL_CTL_MOD),
    NAMED(EPOLL_CTL_DEL),
    NAMED(EPOLL_CLOEXEC),
    {"NULL", 0},
    {"true", 1},
    {"false", 0},
    {"True", 1},
    {"False", 0},
    /* states and the like, as TCP_INFO shows them */
    {"TCP_ESTABLISHED", 1},
    {"TCP_SYN_SENT", 2},
    {"TCP_SYN_RECV", 3},
    {"TCP_FIN_WAIT1", 4},
    {"TCP_FIN_WAIT2", 5},
    {"TCP_TIME_WAIT", 6},
    {"TCP_CLOSE", 7},
    {"TCP_CLOSE_WAIT", 8},
    {"TCP_LAST_ACK", 9},
    {"TCP_LISTEN", 10},
    {"TCP_CLOSING", 11},
    {"TCP_CA_Open", 0},
    {"TCP_CA_Disorder", 1},
    {"TCP_CA_CWR", 2},
    {"TCP_CA_Recovery", 3},
    {"TCP_CA_Loss", 4},
    {"TCPI_OPT_TIMESTAMPS", 1},
    {"TCPI_OPT_SACK", 2},
    {"TCPI_OPT_WSCALE", 4},
    {"TCPI_OPT_ECN", 8},
};

static const struct constant errnos[] = {
    NAMED(EAGAIN),          NAMED(EWOULDBLOCK),  NAMED(EBADF),        NAMED(EINVAL),
    NAMED(EINTR),           NAMED(EPIPE),        NAMED(EINPROGRESS),  NAMED(EALREADY),
    NAMED(EISCONN),         NAMED(ENOTCONN),     NAMED(ECONNREFUSED), NAMED(ECONNRESET),
    NAMED(ECONNABORTED),    NAMED(ETIMEDOUT),    NAMED(EADDRINUSE),   NAMED(EADDRNOTAVAIL),
    NAMED(ENETUNREACH),     NAMED(EHOSTUNREACH), NAMED(ENOPROTOOPT),  NAMED(EOPNOTSUPP),
    NAMED(EMSGSIZE),        NAMED(ENOTSOCK),     NAMED(ENOBUFS),      NAMED(ENOMEM),
    NAMED(EFAULT),          NAMED(EACCES),       NAMED(EPERM),        NAMED(EDESTADDRREQ),
    NAMED(EPROTONOSUPPORT), NAMED(EAFNOSUPPORT), NAMED(EEXIST),       NAMED(ENOENT),
    NAMED(EPROTO),          NAMED(ENETDOWN),
};

static bool find_constant(const struct constant *table, size_t count, const char *name, size_t size,
                          int64_t *value)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0) {
            *value = table[i].value;
            return true;
        }
    return false;
}

bool script_constant(const char *name, size_t size, int64_t *value)
{
    return find_constant(constants, sizeof constants / sizeof *constants, name, size, value) ||
           find_constant(errnos, sizeof errnos / sizeof *errnos, name, size, value);
}

const char *script_errno_name(int64_t number)
{
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++)
        if (errnos[i].value == number)
            return errnos[i].name;
    return NULL;
}

/* ---- Expressions: C's operators on integers, loosest first ---- */

enum { VALUE_DEPTH_MAX = 64 };

static struct script_value *parse_unary(struct reader *reader);
static struct script_value *parse_binary(struct reader *reader, unsigned level);

static struct script_value *value_make(struct reader *reader, enum script_value_kind kind)
{
    struct script_value *value = script_allocate(reader, sizeof *value);
    value->kind = kind;
    value->place = reader->token.place;
    return value;
}

static int64_t want_integer(struct reader *reader, const struct script_value *value)
{
    if (value->kind != SCRIPT_INTEGER)
        script_fail(reader, value->place, "a number is meant here");
    return value->integer;
}

/* htons(8080), htonl(x), inet_addr("192.0.2.1"): addresses and ports are kept in host order. */
static struct script_value *parse_function(struct reader *reader, const struct token *name)
{
    struct script_value *value = value_make(reader, SCRIPT_INTEGER);
    value->place = name->place;
    token_expect(reader, "(");
    struct script_value *argument = script_parse_value(reader);
    token_expect(reader, ")");
    if (name->size == 5 &&
        (memcmp(name->text, "htons", 5) == 0 || memcmp(name->text, "htonl", 5) == 0)) {
        value->integer = want_integer(reader, argument);
    } else if (name->size == 9 && memcmp(name->text, "inet_addr", 9) == 0) {
        struct in_addr address;
        if (argument->kind != SCRIPT_TEXT || inet_pton(AF_INET, argument->text, &address) != 1)
            script_fail(reader, argument->place, "an IPv4 address in quotes is meant here");
        value->integer = ntohl(address.s_addr);
    } else {
        script_fail(reader, name->place, "unknown function `%.*s`", (int)name->size, name->text);
    }
    return value;
}

static bool find_define(const struct script *script, const char *name, size_t size, int64_t *value)
{
    for (const struct script_define *define = script->defines; define; define = define->next)
        if (strlen(define->name) == size && memcmp(define->name, name, size) == 0) {
            *value = define->value;
            return true;
        }
    return false;
}

static struct script_value *parse_word(struct reader *reader)
{
    struct token name = reader->token;
    token_next(reader);
    if (token_is(reader, "("))
        return parse_function(reader, &name);
    struct script_value *value = value_make(reader, SCRIPT_INTEGER);
    value->place = name.place;
    if (!find_define(reader->script, name.text, name.size, &value->integer) &&
        !script_constant(name.text, name.size, &value->integer))
        script_fail(reader, name.place, "unknown constant `%.*s`", (int)name.size, name.text);
    return value;
}

/* Elements up to `closing`, which is read too. A record's may be named: `events = POLLIN`, also
   with a size as in `msg_iov(1) = [...]`. */
static const char *parse_name(struct reader *reader)
{
    struct reader before = *reader;
    if (reader->token.kind != TOKEN_WORD)
        return NULL;
    struct token name = reader->token;
    token_next(reader);
    if (token_is(reader, "(")) {
        while (!token_is(reader, ")") && reader->token.kind != TOKEN_END)
            token_next(reader);
        token_next(reader);
    }
    if (token_accept(reader, "="))
        return script_copy(reader, name.text, name.size);
    memcpy(reader, &before, offsetof(struct reader, error));
    return NULL;
}

static struct script_value *parse_elements(struct reader *reader, enum script_value_kind kind,
                                           const char *closing)
{
    struct script_value *list = value_make(reader, kind);
    struct script_value **end = &list->first;
    token_next(reader);
    while (!token_is(reader, closing)) {
        const char *name = kind == SCRIPT_RECORD ? parse_name(reader) : NULL;
        *end = script_parse_value(reader);
        (*end)->name = name;
        end = &(*end)->next;
        list->count++;
        if (!token_accept(reader, ","))
            break;
    }
    token_expect(reader, closing);
    return list;
}

static struct script_value *parse_operand(struct reader *reader)
{
    struct script_place place = reader->token.place;
    struct script_value *value;
    if (token_accept(reader, "-")) {
        value = parse_unary(reader);
        value->integer = (int64_t)(0 - (uint64_t)want_integer(reader, value));
    } else if (token_accept(reader, "~")) {
        value = parse_unary(reader);
        value->integer = ~want_integer(reader, value);
    } else if (token_accept(reader, "!")) {
        value = parse_unary(reader);
        value->integer = !want_integer(reader, value);
    } else if (token_accept(reader, "&")) { /* the address of a record: the record */
        value = parse_unary(reader);
    } else if (token_accept(reader, "(")) {
        value = script_parse_value(reader);
        token_expect(reader, ")");
    } else if (reader->token.kind == TOKEN_INTEGER) {
        value = value_make(reader, SCRIPT_INTEGER);
        value->integer = reader->token.integer;
        token_next(reader);
    } else if (reader->token.kind == TOKEN_WORD) {
        value = parse_word(reader);
    } else {
        char text[64];
        script_fail(reader, place, "a value is meant here, not %s",
                    token_describe(&reader->token, text, sizeof text));
    }
    return value;
}

static struct script_value *parse_unary(struct reader *reader)
{
    if (++reader->depth > VALUE_DEPTH_MAX)
        script_fail(reader, reader->token.place, "this is nested too deeply");
    struct script_value *value = parse_operand(reader);
    reader->depth--;
    return value;
}

static const char *const levels[][4] = {{"|"},        {"^"},      {"&"},
                                        {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"}};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static int64_t apply(struct reader *reader, const char *sign, struct script_place place, int64_t a,
                     int64_t b)
{
    switch (*sign) {
    case '|':
        return a | b;
    case '^':
        return a ^ b;
    case '&':
        return a & b;
    case '<':
        return (int64_t)((uint64_t)a << (b & 63));
    case '>':
        return a >> (b & 63);
    case '+':
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case '-':
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case '*':
        return (int64_t)((uint64_t)a * (uint64_t)b);
    default:
        if (b == 0 || b == -1)
            script_fail(reader, place, "division by %d", (int)b);
        return *sign == '/' ? a / b : a % b;
    }
}

static const char *level_sign(const struct reader *reader, unsigned level)
{
    for (unsigned i = 0; i < 4 && levels[level][i]; i++)
        if (token_is(reader, levels[level][i]))
            return levels[level][i];
    return NULL;
}

static struct script_value *parse_binary(struct reader *reader, unsigned level)
{
    if (level == LEVELS)
        return parse_unary(reader);
    struct script_value *left = parse_binary(reader, level + 1);
    const char *sign;
    while ((sign = level_sign(reader, level)) != NULL) {
        struct script_place place = reader->token.place;
        token_next(reader);
        const struct script_value *right = parse_binary(reader, level + 1);
        left->integer =
            apply(reader, sign, place, want_integer(reader, left), want_integer(reader, right));
    }
    return left;
}

struct script_value *script_parse_value(struct reader *reader)
{
    struct script_value *value;
    if (reader->token.kind == TOKEN_ELLIPSIS) {
        value = value_make(reader, SCRIPT_ANY);
        token_next(reader);
        return value;
    }
    if (reader->token.kind == TOKEN_TEXT) {
        value = value_make(reader, SCRIPT_TEXT);
        value->text = script_copy(reader, reader->token.text, reader->token.size);
        token_next(reader);
        return value;
    }
    if (token_is(reader, "[") || token_is(reader, "{")) {
        if (++reader->depth > VALUE_DEPTH_MAX)
            script_fail(reader, reader->token.place, "this is nested too deeply");
        value = token_is(reader, "[") ? parse_elements(reader, SCRIPT_LIST, "]")
                                      : parse_elements(reader, SCRIPT_RECORD, "}");
        reader->depth--;
        return value;
    }
    return parse_binary(reader, 0);
}

/* The next event may begin with `+` or `*`: of the operators only `|` can stand here. */
struct script_value *script_parse_result(struct reader *reader)
{
    if (reader->token.kind == TOKEN_ELLIPSIS)
        return script_parse_value(reader);
    struct script_value *value = parse_unary(reader);
    while (token_accept(reader, "|"))
        value->integer = want_integer(reader, value) | want_integer(reader, parse_unary(reader));
    return value;
}

int64_t script_parse_integer(struct reader *reader, int64_t least, int64_t most, const char *what)
{
    char text[64];
    bool negative = least < 0 && token_accept(reader, "-");
    if (reader->token.kind != TOKEN_INTEGER)
        script_fail(reader, reader->token.place, "%s is meant here, not %s", what,
                    token_describe(&reader->token, text, sizeof text));
    int64_t value = negative ? -reader->token.integer : reader->token.integer;
    if (value < least || value > most)
        script_fail(reader, reader->token.place, "%s is from %lld to %lld", what, (long long)least,
                    (long long)most);
    token_next(reader);
    return value;
}

const struct script_value *script_field(const struct script_value *record, const char *name,
                                        unsigned position)
{
    unsigned at = 0;
    for (const struct script_value *field = record->first; field; field = field->next, at++) {
        if (field->name ? strcmp(field->name, name) == 0 : at == position)
            return field;
    }
    return NULL;
}

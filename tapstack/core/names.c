/* Names for people: of states, events, reasons, counters and errors. */
#include "stack.h"

#define TABLE_SIZE(table) (sizeof(table) / sizeof(table)[0])

static const char *table_name(const char *const *table, size_t size, unsigned number)
{
    return number < size && table[number] ? table[number] : "?";
}

const char *stack_error_text(int error)
{
    static const char *const text[] = {
        [0] = "success",
        [-STACK_AGAIN] = "nothing now, try again",
        [-STACK_BAD_HANDLE] = "no such socket",
        [-STACK_INVALID] = "invalid argument or state",
        [-STACK_IN_USE] = "already in use",
        [-STACK_NOT_AVAILABLE] = "address or port not available",
        [-STACK_NOT_CONNECTED] = "not connected",
        [-STACK_IS_CONNECTED] = "already connected",
        [-STACK_IN_PROGRESS] = "connection being opened",
        [-STACK_CLOSED] = "direction closed",
        [-STACK_REFUSED] = "connection refused",
        [-STACK_RESET] = "connection reset",
        [-STACK_TIMED_OUT] = "connection timed out",
        [-STACK_UNREACHABLE] = "destination unreachable",
        [-STACK_NO_ROUTE] = "no route to the destination",
        [-STACK_NO_MEMORY] = "out of memory",
        [-STACK_NOT_SUPPORTED] = "not supported",
        [-STACK_ABORTED] = "connection aborted here",
        [-STACK_MESSAGE_SIZE] = "datagram too large",
        [-STACK_DENIED] = "broadcast not permitted",
        [-STACK_NO_PROTOCOL] = "the peer has no such protocol",
    };
    if (error > 0 || error <= -(int)TABLE_SIZE(text))
        return "unknown error";
    return text[-error];
}

const char *tcp_state_name(unsigned state)
{
    static const char *const name[TCP_STATE_COUNT] = {
        [TCP_CLOSED] = "CLOSED",           [TCP_LISTEN] = "LISTEN",
        [TCP_SYN_SENT] = "SYN-SENT",       [TCP_SYN_RECEIVED] = "SYN-RECEIVED",
        [TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT_1] = "FIN-WAIT-1",
        [TCP_FIN_WAIT_2] = "FIN-WAIT-2",   [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [TCP_CLOSING] = "CLOSING",         [TCP_LAST_ACK] = "LAST-ACK",
        [TCP_TIME_WAIT] = "TIME-WAIT",
    };
    return table_name(name, TABLE_SIZE(name), state);
}

const char *neighbor_state_name(unsigned state)
{
    static const char *const name[NEIGHBOR_STATE_COUNT] = {
        [NEIGHBOR_NONE] = "NONE",           [NEIGHBOR_INCOMPLETE] = "INCOMPLETE",
        [NEIGHBOR_REACHABLE] = "REACHABLE", [NEIGHBOR_STALE] = "STALE",
        [NEIGHBOR_DELAY] = "DELAY",         [NEIGHBOR_PROBE] = "PROBE",
        [NEIGHBOR_FAILED] = "FAILED",       [NEIGHBOR_PERMANENT] = "PERMANENT",
    };
    return table_name(name, TABLE_SIZE(name), state);
}

const char *address_state_name(unsigned state)
{
    static const char *const name[ADDRESS_STATE_COUNT] = {
        [ADDRESS_NONE] = "NONE",           [ADDRESS_TENTATIVE] = "TENTATIVE",
        [ADDRESS_ANNOUNCED] = "ANNOUNCED", [ADDRESS_IN_USE] = "IN-USE",
        [ADDRESS_GIVEN_UP] = "GIVEN-UP",
    };
    return table_name(name, TABLE_SIZE(name), state);
}

const char *stack_route_kind_name(unsigned kind)
{
    static const char *const name[STACK_ROUTE_KIND_COUNT] = {
        [STACK_ROUTE_CONNECTED] = "connected",
        [STACK_ROUTE_STATIC] = "static",
        [STACK_ROUTE_LEARNED] = "redirect",
    };
    return table_name(name, TABLE_SIZE(name), kind);
}

const char *stack_event_name(unsigned kind)
{
    static const char *const name[] = {
#define EVENT_NAME(id, name, a, b, c, d) name,
        STACK_EVENTS(EVENT_NAME)
#undef EVENT_NAME
    };
    return table_name(name, TABLE_SIZE(name), kind);
}

const char *stack_event_argument_name(unsigned kind, unsigned number)
{
    static const char *const name[][4] = {
#define EVENT_ARGUMENTS(id, name, a, b, c, d) {a, b, c, d},
        STACK_EVENTS(EVENT_ARGUMENTS)
#undef EVENT_ARGUMENTS
    };
    return kind < TABLE_SIZE(name) && number < 4 ? name[kind][number] : "";
}

const char *stack_reason_name(unsigned reason)
{
    static const char *const name[] = {
#define REASON_NAME(id, name) name,
        STACK_REASONS(REASON_NAME)
#undef REASON_NAME
    };
    return table_name(name, TABLE_SIZE(name), reason);
}

const char *stack_counter_name(unsigned counter)
{
    static const char *const name[] = {
#define COUNTER_NAME(id, name, what) name,
        STACK_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
    };
    return table_name(name, TABLE_SIZE(name), counter);
}

const char *stack_counter_what(unsigned counter)
{
    static const char *const what[] = {
#define COUNTER_WHAT(id, name, what) what,
        STACK_COUNTERS(COUNTER_WHAT)
#undef COUNTER_WHAT
    };
    return table_name(what, TABLE_SIZE(what), counter);
}

const char *stack_timer_name(unsigned timer)
{
    static const char *const name[] = {
#define TIMER_NAME(id, name) name,
        STACK_TIMERS(TIMER_NAME)
#undef TIMER_NAME
    };
    return table_name(name, TABLE_SIZE(name), timer);
}

/* The packet filter: ordered rules in three chains, each with a policy for what no rule decides.

   A packet passes exactly one chain: FILTER_INPUT when it is for the stack, before its protocol
   sees it; FILTER_FORWARD when it goes through, between the choice of the route and sending;
   FILTER_OUTPUT when the stack sends it. The rules of the chain are tried in order; the first that
   matches and does more than log decides. What the filter itself answers (a reset, an ICMP error)
   passes no chain.

   Fragments: while a chain has rules, its datagrams are put together before they come here. A later
   fragment that comes nevertheless has no ports, flags, type or code, so it matches no rule that
   asks for one, and its state is invalid. A super-frame is one packet.

   Rejecting: TCP is answered with a reset, all else with an ICMP error, which icmp_send_error
   limits. What the stack itself sends is not answered: FILTER_REJECT in the output chain drops. */
#ifndef TAPSTACK_CORE_FILTER_H
#define TAPSTACK_CORE_FILTER_H

#include "filter_index.h"
#include "flow.h"

struct frame;
struct ip_datagram;
struct ip_send;

enum filter_chain { FILTER_INPUT, FILTER_FORWARD, FILTER_OUTPUT, FILTER_CHAINS };

enum filter_target { FILTER_ACCEPT, FILTER_DROP, FILTER_REJECT, FILTER_LOG, FILTER_TARGETS };

enum filter_answer {
    FILTER_ANSWER_DEFAULT, /* reset for TCP, port unreachable else */
    FILTER_ANSWER_TCP_RESET,
    FILTER_ANSWER_NET_UNREACHABLE,
    FILTER_ANSWER_HOST_UNREACHABLE,
    FILTER_ANSWER_PROTOCOL_UNREACHABLE,
    FILTER_ANSWER_PORT_UNREACHABLE,
    FILTER_ANSWER_NET_PROHIBITED,
    FILTER_ANSWER_HOST_PROHIBITED,
    FILTER_ANSWER_ADMIN_PROHIBITED,
    FILTER_ANSWERS
};

/* Which criteria a rule has (filter_rule.given) and which of them are turned round (.negated). */
enum filter_criterion {
    FILTER_HAS_IN = 0x001,
    FILTER_HAS_OUT = 0x002,
    FILTER_HAS_SOURCE = 0x004,
    FILTER_HAS_DESTINATION = 0x008,
    FILTER_HAS_SOURCE_PORT = 0x010,
    FILTER_HAS_DESTINATION_PORT = 0x020,
    FILTER_HAS_PROTOCOL = 0x040,
    FILTER_HAS_FLAGS = 0x080,
    FILTER_HAS_TYPE = 0x100,
    FILTER_HAS_CODE = 0x200,
    FILTER_HAS_STATE = 0x400,
};

enum { FILTER_NAME_MAX = 32, FILTER_INTERFACE_MAX = 16 }; /* with the closing NUL */

struct filter_address {
    uint32_t v4; /* host order, nothing set behind the prefix */
    uint8_t prefix_bits;
};

struct filter_ports {
    uint16_t first, last;
};

/* A rule as it is written. A criterion counts only when it is given. */
struct filter_rule {
    uint8_t chain;  /* enum filter_chain */
    uint8_t target; /* enum filter_target */
    uint8_t answer; /* enum filter_answer; with FILTER_REJECT */
    uint8_t states; /* of enum flow_state */
    uint16_t given; /* of enum filter_criterion */
    uint16_t negated;
    uint8_t protocol;
    uint8_t flags, flags_mask; /* TCP: of the masked flags exactly these are set */
    uint8_t type, code;        /* ICMP */
    struct filter_address source, destination;
    struct filter_ports source_port, destination_port;
    char in[FILTER_INTERFACE_MAX], out[FILTER_INTERFACE_MAX];
    char name[FILTER_NAME_MAX]; /* for people; "": none */
};

struct filter_entry; /* a rule made ready for matching, with its counters */

struct filter_list {
    struct filter_rule *rule;
    struct filter_entry *entry; /* as many; their order is that of the rules */
    struct filter_index index;
    uint32_t count;
    uint8_t policy;          /* FILTER_ACCEPT or FILTER_DROP */
    uint64_t packets, bytes; /* that the policy decided on */
};

struct filter_set {
    struct filter_list chain[FILTER_CHAINS];
};

/* The filter of a stack. All zero but for the flows: everything passes. */
struct filter {
    bool watches[FILTER_CHAINS]; /* is there anything to do with a packet of this chain? */
    bool tracks;                 /* some rule asks for a state */
    bool answering;              /* what is being sent is the filter's own answer */
    struct filter_set set;
    struct flow_table flows;
};

/* ---- filter.c: packets ----
   Each returns 0 when the packet passes, or -1 when it was dropped, counted, and answered where the
   rule says so. Call them only for a chain that `watches`. */

int filter_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* out: the interface it would leave by. */
int filter_forward(struct stack *stack, const struct ip_datagram *datagram, unsigned out,
                   uint64_t now_us);

/* frame: whole, its interface known, its IP header perhaps not yet written; piece[0] holds
   the headers of Ethernet and IP, options included, and at least the transport header. */
int filter_output(struct stack *stack, const struct frame *frame, const struct ip_send *send,
                  uint64_t now_us);

/* ---- filter.c: matching ---- */

/* A packet in the form that entries are compared with. */
struct filter_key {
    uint64_t traits; /* a bit for the interface in, one for the interface out, one for the state */
    uint32_t source, destination;
    uint32_t kind; /* from the lowest byte: protocol, flags or type, code, what is there of all */
    uint16_t source_port, destination_port;
};

/* in, out: indexes of interfaces, or -1. */
void filter_key_make(struct filter_key *key, const struct flow_packet *packet, int in, int out,
                     enum flow_state state);

/* The number of the first rule from `from` on (both from 0) that matches; list->count: none. */
uint32_t filter_find(const struct filter_list *list, uint32_t from, const struct filter_key *key);

/* For the index: interface in, interface out and state as bytes 0 to 2. The values of a byte that an
   entry does not refuse, as 256 bits; all of them when it is not asked for. */
void filter_trait_values(const struct filter_list *list, uint32_t at, unsigned byte,
                         uint64_t bits[4]);
/* The three bytes of a packet. */
void filter_trait_bytes(const struct filter_key *key, uint8_t bytes[3]);

/* Bytes of count entries. */
size_t filter_entries_bytes(uint32_t count);

/* Makes entry number at of a list from its rule; its counters are kept, or cleared when fresh. */
void filter_compile(const struct stack *stack, struct filter_list *list, uint32_t at, bool fresh);

/* Reads an entry's counters. */
void filter_counters(const struct filter_list *list, uint32_t at, uint64_t *packets,
                     uint64_t *bytes);

/* ---- filter_rules.c ---- */

void filter_open(struct stack *stack, uint64_t now_us);
void filter_close(struct stack *stack);

/* An interface has come or gone: the names in the rules are looked up anew. */
void filter_interfaces_changed(struct stack *stack);

#endif

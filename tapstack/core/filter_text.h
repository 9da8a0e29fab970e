/* The filter's rules as text, both ways.

   A line is one of

       CHAIN policy accept|drop
       CHAIN accept|drop|reject [with ANSWER]|log CRITERION...

   CHAIN is input, forward or output; a criterion is one of

       in [not] INTERFACE                out [not] INTERFACE
       from [not] ADDRESS[/BITS]|any     to [not] ADDRESS[/BITS]|any
       port [not] PORT[-PORT]            of the source directly behind `from ...`, else of the
                                         destination
       proto tcp|udp|icmp|igmp|NUMBER
       flags SET[/MASK]                  letters of FSRPAUEW, or fin,syn,...; none; implies tcp
       type NAME|NUMBER                  of ICMP; implies icmp
       code NUMBER                       behind type
       state new,established,related,invalid
       name "TEXT"                       for people

   Words are parted by blanks, `#` starts a comment, a newline or `;` ends a line. A rule that is
   written and read again is the same rule. */
#ifndef TAPSTACK_CORE_FILTER_TEXT_H
#define TAPSTACK_CORE_FILTER_TEXT_H

#include "filter.h"

enum filter_line {
    FILTER_LINE_EMPTY,
    FILTER_LINE_RULE,
    FILTER_LINE_POLICY, /* rule->chain and rule->target tell it */
    FILTER_LINE_ERROR = -1,
};

/* What the line may be beside a rule. */
enum filter_text_kind {
    FILTER_TEXT_LINE,   /* a rule or a policy */
    FILTER_TEXT_PACKET, /* CHAIN and criteria without a target, for a test */
};

/* Reads the line at text; end: where the whole text ends. text moves to the next line, which is at
   end when there is none. On an error text stays, and error tells column and message. */
enum filter_line filter_text_read(const char **text, const char *end, enum filter_text_kind kind,
                                  struct filter_rule *rule, struct stack_filter_error *error);

/* Writes a rule with its NUL, without newline. text: STACK_FILTER_TEXT_MAX bytes suffice. */
void filter_text_write(const struct filter_rule *rule, char *text, size_t capacity);

/* "input policy drop" */
void filter_text_write_policy(enum filter_chain chain, enum filter_target policy, char *text,
                              size_t capacity);

/* The chain or target of this name, or -1. */
int filter_text_find_chain(const char *name);
int filter_text_find_target(const char *name);
const char *filter_text_chain_name(enum filter_chain chain);

#endif

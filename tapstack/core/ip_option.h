/* IP options as a host or router acts on them: record route, timestamp and source route (RFC 791,
   3.1; RFC 1122, 3.2.1.8; RFC 1812, 5.2.4). The options are those that ipv4_options_parse found. */
#ifndef TAPSTACK_CORE_IP_OPTION_H
#define TAPSTACK_CORE_IP_OPTION_H

#include "ip.h"

/* Enters our address and the time into a record route and a timestamp that have room. header: may
   be written to, and is to be summed again. own_v4: how we are known where it goes. */
void ip_option_record(const struct stack *stack, uint8_t *header,
                      const struct ipv4_options *options, uint32_t own_v4, uint64_t now_us);

/* The next address of a source route, or 0 when there is none (any more). */
uint32_t ip_option_next_stop(const uint8_t *header, const struct ipv4_options *options);

/* Sends a source-routed datagram on from here: its next stop becomes the destination, our address
   takes the place of that in the list. There must be a next stop. */
void ip_option_advance(uint8_t *header, const struct ipv4_options *options, uint32_t own_v4);

/* The options for an answer to a datagram that was sent to us: its record route and timestamp with
   our own entry, so that they tell the whole way there and back (RFC 1122, 3.2.2.6), and its source
   route reversed (3.2.1.8(c)), whose first stop becomes the destination. Fills in send; room:
   IPV4_OPTIONS_MAX bytes that must last as long. */
void ip_option_reply(const struct stack *stack, const struct ip_datagram *datagram,
                     struct ip_send *send, uint8_t *room, uint64_t now_us);

#endif

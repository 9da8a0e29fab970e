/* Probes: echo requests and UDP datagrams sent to see what comes back, as ping and traceroute do. */
#ifndef TAPSTACK_CORE_PROBE_H
#define TAPSTACK_CORE_PROBE_H

#include "../wire/icmp.h"
#include "../wire/udp.h"
#include "ip.h"

enum {
    PROBERS_MAX = 64,        /* open at a time */
    PROBE_SLOTS = 256,       /* probes of one that can be under way; a power of two */
    PROBE_ANSWERS = 256,     /* not yet fetched; more are dropped */
    PROBE_UDP_PORT = 33434,  /* of the first slot: where traceroute knocks */
    PROBE_OUR_PORT = 0x8000, /* our UDP port: this bit and the identifier's others */
};

enum probe_state { PROBE_FREE, PROBE_WAITING, PROBE_ANSWERED, PROBE_LOST };

struct probe_slot {
    uint64_t sent_at;
    uint64_t expires_at;
    uint32_t destination_v4;
    uint16_t sequence;
    uint16_t payload_bytes;
    uint8_t state; /* enum probe_state */
    uint8_t kind;  /* enum stack_probe_kind */
    uint8_t ttl;
    int16_t pattern;
    bool dont_fragment;
};

struct prober {
    uint16_t identifier;
    uint16_t next_sequence;
    uint16_t answer_first, answer_count; /* a ring */
    struct stack_probe_answer answer[PROBE_ANSWERS];
    struct probe_slot slot[PROBE_SLOTS]; /* by sequence number */
};

struct probes {
    struct prober *prober[PROBERS_MAX];
};

void probe_close_all(struct stack *stack);

/* An echo reply has come. Returns 0, or -1 when it was dropped: it answers nothing of ours. */
int probe_echo_reply(struct stack *stack, const struct ip_datagram *datagram,
                     const struct icmp_header *icmp, uint64_t now_us);

/* An error by from_v4 (0: by ourselves) quotes a datagram of ours; ttl: the error's. Returns whether
   that was a probe. quoted_payload: 8 bytes at least. */
bool probe_error(struct stack *stack, uint32_t from_v4, uint8_t ttl, const struct icmp_header *icmp,
                 const struct ipv4_header *quoted, const uint8_t *quoted_payload, uint64_t now_us);

/* A UDP datagram for a port of ours that no socket has. Returns whether it answers a probe. */
bool probe_udp_reply(struct stack *stack, const struct ip_datagram *datagram,
                     const struct udp_header *header, uint64_t now_us);

#endif

/* IGMP, the host's side (RFC 3376, and RFC 2236 and 1112 where a router speaks those): which multicast
   groups this host is a member of, and telling the routers. */
#ifndef TAPSTACK_CORE_IGMP_H
#define TAPSTACK_CORE_IGMP_H

#include "ip.h"

#define IGMP_ALL_SYSTEMS UINT32_C(0xe0000001) /* 224.0.0.1: every host, always, never reported */
#define IGMP_ALL_ROUTERS UINT32_C(0xe0000002) /* 224.0.0.2: who is told of leaves */
#define IGMP_V3_ROUTERS  UINT32_C(0xe0000016) /* 224.0.0.22: where reports of version 3 go */

struct igmp_group {
    struct igmp_group *next; /* in its hash chain */
    uint32_t v4;
    uint16_t interface;
    uint32_t members;    /* sockets; 0: it was left, and that is still to be repeated */
    uint64_t report_at;  /* when the next report is due; UINT64_MAX: none is */
    uint8_t unsolicited; /* reports still to repeat after joining or leaving */
    bool changed;        /* the next report is one of those, and no answer to a query */
    bool last_reporter;  /* we were the last to report it: leaving must be told (RFC 2236, 3) */
};

enum { IGMP_BUCKETS = 64, IGMP_INTERFACES = 8 };

/* Until when routers of older versions are taken to be there (RFC 3376, 7.2.1). */
struct igmp_querier {
    uint64_t v1_until, v2_until;
};

struct igmp {
    struct igmp_group *bucket[IGMP_BUCKETS];
    struct igmp_querier querier[IGMP_INTERFACES];
    uint32_t count;      /* groups with members */
    uint32_t left_count; /* groups without */
    uint64_t generation; /* changes with the list of groups */
    uint64_t due_at;     /* of the first report; UINT64_MAX: none */
};

/* One more, or one less, socket of this host is a member. join: 0 or STACK_NO_MEMORY. */
int igmp_join(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us);
void igmp_leave(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us);

/* Is the host a member of this group on this interface? Always of 224.0.0.1. */
bool igmp_is_member(const struct stack *stack, unsigned interface, uint32_t v4);

/* Takes a datagram with an IGMP message. Returns 0, or -1 when it was dropped. */
int igmp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* Queues the reports that are due. */
void igmp_serve(struct stack *stack, uint64_t now_us);

/* Forgets all groups; nothing is sent. */
void igmp_close(struct stack *stack);

#endif

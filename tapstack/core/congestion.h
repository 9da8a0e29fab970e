/* Congestion control: what an algorithm must answer, one file an algorithm.

   Loss recovery (tcp_recovery.c) decides when something was lost; the algorithm decides how much
   may be in flight. All amounts are bytes. */
#ifndef TAPSTACK_CORE_CONGESTION_H
#define TAPSTACK_CORE_CONGESTION_H

#include <stdint.h>

/* What loss recovery and an algorithm share about one connection. */
struct congestion {
    const struct congestion_algorithm *algorithm;
    uint32_t cwnd;     /* congestion window */
    uint32_t ssthresh; /* UINT32_MAX: no loss yet */
    uint32_t acked;    /* in congestion avoidance: bytes acknowledged since cwnd last grew */
    uint32_t private_state[3]; /* the algorithm's own */
};

struct congestion_algorithm {
    const char *name;
    void (*open)(struct congestion *congestion, uint32_t mss_bytes, uint32_t initial_segments);
    /* New data was acknowledged outside recovery, and cwnd was what limited sending. */
    void (*acked)(struct congestion *congestion, uint32_t bytes, uint32_t mss_bytes,
                  uint64_t now_us);
    /* Loss: the new ssthresh for a flight of this many bytes. */
    uint32_t (*ssthresh)(struct congestion *congestion, uint32_t flight_bytes, uint32_t mss_bytes);
};

extern const struct congestion_algorithm congestion_newreno;

/* The algorithm of that name, or NULL. */
const struct congestion_algorithm *congestion_find(const char *name);

#endif

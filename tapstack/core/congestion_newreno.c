/* NewReno's congestion window: slow start and congestion avoidance of RFC 5681, counted in bytes
   (RFC 3465) so that an ACK that covers many segments counts for all of them and a split one for no
   more than it acknowledges. */
#include <stddef.h>
#include <string.h>

#include "congestion.h"

static void newreno_open(struct congestion *congestion, uint32_t mss_bytes,
                         uint32_t initial_segments)
{
    congestion->cwnd = mss_bytes * initial_segments; /* RFC 6928 */
    congestion->ssthresh = UINT32_MAX;
    congestion->acked = 0;
}

static void newreno_acked(struct congestion *congestion, uint32_t bytes, uint32_t mss_bytes,
                          uint64_t now_us)
{
    const uint32_t cwnd_max = 1U << 30;
    (void)now_us;
    if (congestion->cwnd >= cwnd_max)
        return;
    if (congestion->cwnd < congestion->ssthresh) {
        uint32_t room = congestion->ssthresh - congestion->cwnd;
        congestion->cwnd += bytes < room ? bytes : room;
        return;
    }
    congestion->acked += bytes;
    if (congestion->acked >= congestion->cwnd) {
        congestion->acked -= congestion->cwnd;
        congestion->cwnd += mss_bytes;
    }
}

/* RFC 5681, (4). */
static uint32_t newreno_ssthresh(struct congestion *congestion, uint32_t flight_bytes,
                                 uint32_t mss_bytes)
{
    uint32_t least = 2 * mss_bytes;
    (void)congestion;
    return flight_bytes / 2 > least ? flight_bytes / 2 : least;
}

const struct congestion_algorithm congestion_newreno = {
    .name = "newreno",
    .open = newreno_open,
    .acked = newreno_acked,
    .ssthresh = newreno_ssthresh,
};

const struct congestion_algorithm *congestion_find(const char *name)
{
    static const struct congestion_algorithm *const all[] = {&congestion_newreno};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

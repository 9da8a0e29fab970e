/* Counting connections per place of the pool, in shared memory and without locks: every number has
   one writer at a time, and a stale reading costs no more than a less even distribution. */
#include "scoreboard.h"

#include <limits.h>
#include <sys/mman.h>

struct scoreboard *scoreboard_open(unsigned count)
{
    struct scoreboard *board =
        mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return NULL;
    board->count = count;
    return board;
}

unsigned scoreboard_load(const struct scoreboard_place *place)
{
    unsigned queued = atomic_load_explicit(&place->handed, memory_order_relaxed) -
                      atomic_load_explicit(&place->taken, memory_order_relaxed);
    return queued + atomic_load_explicit(&place->open, memory_order_relaxed);
}

int scoreboard_pick(const struct scoreboard *board, unsigned *turn, uint64_t tried)
{
    unsigned best_load = UINT_MAX;
    int best = -1;
    for (unsigned i = 0; i < board->count && best_load > 0; i++) {
        unsigned at = (*turn + i) % board->count, load = scoreboard_load(&board->places[at]);
        if (load < best_load && !(tried >> at & 1)) {
            best_load = load;
            best = (int)at;
        }
    }
    *turn = best < 0 ? *turn : (unsigned)best + 1;
    return best;
}

void scoreboard_set_open(struct scoreboard_place *place, pid_t self, unsigned open)
{
    if (atomic_load_explicit(&place->owner, memory_order_relaxed) == self)
        atomic_store_explicit(&place->open, open, memory_order_relaxed);
}

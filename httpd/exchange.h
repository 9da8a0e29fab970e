/* One client's exchange: requests in, answers out, on one connection (S9, S10). */
#ifndef TAPSTACK_HTTPD_EXCHANGE_H
#define TAPSTACK_HTTPD_EXCHANGE_H

#include "handoff.h"
#include "worker.h"

struct exchange;

/* Begins the exchange on a connection just handed over; the descriptor belongs to it from now
   on. */
void exchange_open(struct worker *worker, const struct handoff *handoff);

/* epoll says that its descriptor is ready. */
void exchange_ready(struct worker *worker, struct exchange *exchange, uint32_t events);

/* Its deadline has passed. kind: what it waited for. */
void exchange_expire(struct worker *worker, struct deadline *deadline, enum worker_wait kind);

/* The worker finishes: serve what has already arrived, close if it was idle. */
void exchange_finish(struct worker *worker, struct deadline *deadline);

/* Frees the spare buffers (for leak checkers; the end of the process would do). */
void exchange_free_spares(struct worker *worker);

#endif

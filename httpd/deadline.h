/* Deadlines without a heap: one list per kind of waiting. All of a kind wait equally long, so who
   is appended last expires last, and the head is the next to expire. Setting and clearing cost
   O(1). */
#ifndef TAPSTACK_HTTPD_DEADLINE_H
#define TAPSTACK_HTTPD_DEADLINE_H

#include <stddef.h>
#include <stdint.h>

struct deadline {
    struct deadline *next, *previous; /* both NULL: not set */
    uint64_t at_us;
};

struct deadline_list {
    struct deadline head; /* of a ring */
    uint64_t wait_us;
};

static inline void deadline_list_open(struct deadline_list *list, uint64_t wait_us)
{
    list->head.next = list->head.previous = &list->head;
    list->wait_us = wait_us;
}

static inline void deadline_clear(struct deadline *deadline)
{
    if (!deadline->next)
        return;
    deadline->next->previous = deadline->previous;
    deadline->previous->next = deadline->next;
    deadline->next = deadline->previous = NULL;
}

static inline void deadline_set(struct deadline_list *list, struct deadline *deadline,
                                uint64_t now_us)
{
    deadline_clear(deadline);
    deadline->at_us = now_us + list->wait_us;
    deadline->next = &list->head;
    deadline->previous = list->head.previous;
    list->head.previous->next = deadline;
    list->head.previous = deadline;
}

/* The next to expire, or NULL. */
static inline struct deadline *deadline_first(const struct deadline_list *list)
{
    return list->head.next == &list->head ? NULL : list->head.next;
}

#endif

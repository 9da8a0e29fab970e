/* Carries out a packet script against one stack, in exact virtual time. */
#ifndef TAPSTACK_LAB_SCRIPT_RUN_H
#define TAPSTACK_LAB_SCRIPT_RUN_H

#include "script.h"

struct script_options {
    bool trace;    /* write the run itself as a script */
    bool overlook; /* go on behind a difference: for a trace of what the stack really does */
    bool strict;   /* at the end, a packet of the stack's that no event asked for is a difference */
};

/* What a run came to. The texts and the capture are allocated: script_outcome_release. */
struct script_outcome {
    bool passed;
    char *report; /* "" when it passed; else file:line:column, what differs, what led there */
    struct script_place place; /* of what differs */
    char *trace;      /* a script; without the option only what code has printed, as comments */
    uint8_t *capture; /* all frames as pcapng */
    size_t capture_size;
    uint64_t duration_us; /* virtual */
};

void script_run(const struct script *script, const struct script_options *options,
                struct script_outcome *outcome);
void script_outcome_release(struct script_outcome *outcome);

#endif

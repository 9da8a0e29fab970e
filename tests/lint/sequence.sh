# Sequence numbers are compared by seq.h alone: no cast of a difference, no < between them.
set -u
cast='\(int32_t\) *\([^()]*-[^()]*\)'
member='(->|\.)(una|nxt|iss|irs|seq|ack|up|wl1|wl2|sequence|acknowledgment|recover|high_rxt) *[<>]=? '
! grep -nE "$cast|$member" tapstack/core/*.[ch] | grep -v '^tapstack/core/seq\.h:'

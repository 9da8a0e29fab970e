# Each lint finds the fault that it is for: a small tree with one of each.
set -u
lints=$PWD/tests/lint
config=$PWD/.clang-format
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 1
mkdir -p tapstack/{wire,link,core,host,api,lab} httpd cli tests build/plain
cp "$config" .
status=0

expect() { # lint pattern: the lint must fail and say so
    local said
    if said=$(BUILD=build/plain bash "$lints/$1.sh" 2>&1); then
        echo "tests/lint/$1.sh:1: passes a tree with a fault of its kind"
        status=1
    elif ! grep -qE "$2" <<<"$said"; then
        echo "tests/lint/$1.sh:1: does not report $2, but: $said"
        status=1
    fi
}

cat >tapstack/wire/a.c <<'C'
#include <stdio.h>
#include "../core/b.h"
#include "../core/missing.h"
static int writable;
int puts_it(void);
int puts_it(void) { return puts("x") + writable++; }
C
cat >tapstack/core/b.h <<'C'
/* FIXM-E */
C
sed -i 's/-E/E/' tapstack/core/b.h
{
    echo "int"
    echo "long_one(void)"
    echo "{"
    for _ in $(seq 68); do echo "    ;"; done
    echo "}"
} >tapstack/core/c.c
echo 'int x(void) { return s->una < t; }' >tapstack/core/d.c
echo 'STACK' >notes.txt
printf '#!/bin/bash\nif\n' >tests/broken.sh
mkdir -p tapstack/core tapstack/link
printf '#define STACK_COUNTERS(COUNTER) \\\n    COUNTER(NEVER, "Never", "never")\n' >tapstack/core/counters.h
${CC:-cc} -c tapstack/wire/a.c -o a.o -Itapstack 2>/dev/null || { sed -i '/core/d' tapstack/wire/a.c; ${CC:-cc} -g -c tapstack/wire/a.c -o a.o; }
ar rcs build/plain/libtapstack-core.a a.o && rm -f a.o
printf '#include <stdio.h>\n#include "../core/b.h"\n#include "../core/missing.h"\n' >tapstack/wire/e.c

expect layering 'e\.c:1: .*<stdio\.h>'
expect layering 'e\.c:2: .*may not include tapstack/core/b\.h'
expect layering 'e\.c:3: .*not there'
expect purity 'needs puts'
expect purity 'writable data writable'
expect function_length 'c\.c:1: long_one\(\) is 72 lines'
expect marks 'b\.h:1:'
expect top_level 'notes\.txt:1:'
expect manual_pages 'tapctl has no manual page'
expect counters 'counters\.h:2: nobody counts NEVER'
expect scripts 'broken\.sh: line 3'
expect sequence 'd\.c:1:'
command -v clang-format >/dev/null && expect format 'c\.c:'
exit $status

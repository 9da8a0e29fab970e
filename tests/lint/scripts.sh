# Every shell script parses (and pleases shellcheck where that is installed); every Tcl script is complete.
set -u
status=0
scripts=$({ grep -rlE '^#!.*\b(ba)?sh\b' --exclude-dir=.git --exclude-dir=build . && find ./tests -name '*.sh'; } | sort -u)
for script in $scripts; do
    bash -n "$script" || status=1
done
if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2086
    shellcheck -s bash -S warning -f gcc $scripts || status=1
fi
for script in $(find tests -name '*.tcl' -o -name '*.test' | sort); do
    tclsh <<<"set f [open $script]; exit [expr {![info complete [read \$f]]}]" && continue
    echo "$script:1: a brace, bracket or quote is not closed"
    status=1
done
exit $status

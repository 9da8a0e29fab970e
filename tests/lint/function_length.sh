# No function is longer than 70 lines, from the first line of its head to its closing brace.
# The format lint guarantees that the braces of functions, and of nothing else, stand in column 1.
set -u
limit=70

find tapstack httpd cli tests -name '*.[ch]' | sort | xargs awk -v limit="$limit" '
FNR == 1 { head = 0; inside = 0 }
inside {
    if (/^}/) {
        if (FNR - head + 1 > limit) {
            printf "%s:%d: %s is %d lines long (at most %d)\n", FILENAME, head, name, FNR - head + 1, limit
            bad = 1
        }
        inside = 0
        head = 0
    }
    next
}
/^{/ { inside = 1; next }
/^[A-Za-z_]/ && !head { head = FNR; name = "" }
head && name == "" && /\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name); name = name "()" }
/^$|^#|^\/[\/*]|[;}][ \t]*(\/\*.*)?$/ { head = 0 }
END { exit bad }
'

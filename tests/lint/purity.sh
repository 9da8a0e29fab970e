# The core archive needs nothing but memcpy-class and pure functions (and the compiler's own arithmetic),
# and defines no writable data.
set -u

archive=$BUILD/libtapstack-core.a
case $BUILD in *sanitize*) echo "instrumented objects bring symbols of their own"; exit 77 ;; esac
[ -f "$archive" ] || { echo "$archive:1: is not built"; exit 1; }

allowed='^(mem(cpy|move|set|cmp|chr)|__mem(cpy|move|set)_chk|str(len|nlen|cmp|ncmp)|crypto_shorthash(_siphash24)?|crc32|__u?(div|mod)ti3|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$'
status=0

# Undefined symbols that no member of the archive defines, each with the line that uses it.
defined=$(nm --defined-only --format=just-symbols "$archive" | sort -u)
foreign=$(nm -u --format=just-symbols "$archive" | grep -v -e ':$' -e '^$' | sort -u |
    comm -23 - <(echo "$defined") | grep -Ev "$allowed")
for symbol in $foreign; do
    nm -u -l "$archive" 2>/dev/null |
        awk -v symbol="$symbol" '$1 == "U" && $2 == symbol { print ($3 ? $3 : "?:0") ": pure code needs " symbol }'
    status=1
done

# Objects in sections that can be written. Constant tables of pointers (.data.rel.ro) are constant.
writable=$(objdump -t "$archive" | awk '
    / file format / { member = $1; sub(/:$/, "", member) }
    $0 ~ /[ \t]\.(data|bss|tdata|tbss)[.a-z_A-Z0-9]*\t/ || /\*COM\*/ {
        if ($0 !~ /\.data\.rel\.ro/ && $(NF - 1) !~ /^0+$/) print member ":0: writable data " $NF
    }')
if [ -n "$writable" ]; then
    echo "$writable"
    status=1
fi
exit $status

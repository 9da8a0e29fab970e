# Every counter is counted by some line of code, and every list of counters is shown by the console.
set -u
status=0

# list macro, header with the list, how a line that counts looks like (NAME: the counter's first argument)
check_list() {
    local macro=$1 header=$2 pattern=$3 line number name
    [ -f "$header" ] || { echo "$header:1: is not there"; status=1; return; }
    while IFS=: read -r number line; do
        name=$(sed -E 's/^[^(]*\(([A-Za-z0-9_]+),.*/\1/' <<<"$line")
        grep -rqE --include='*.[ch]' --exclude="$(basename "$header")" "${pattern//NAME/$name}" tapstack && continue
        echo "$header:$number: nobody counts $name"
        status=1
    done < <(awk -v macro="$macro" '
        $0 ~ "#define +" macro "\\(" { inside = 1; next }
        inside && /[A-Z_]\([A-Za-z_0-9]+, *"/ { print FNR ":" $0 }
        inside && !/\\$/ { exit }' "$header")
    grep -rqE --include='*.c' "$macro\(" tapstack/host tapstack/core tapstack/link tapstack/lab || {
        echo "$header:1: nobody lists $macro by name"
        status=1
    }
}

check_list STACK_COUNTERS tapstack/core/counters.h '\bSTACK_COUNTER_NAME\b|[(,] *NAME\)'
check_list CABLE_COUNTERS tapstack/link/cable.h '(->|\.)NAME(\+\+| \+= )'
check_list NIC_COUNTERS tapstack/link/nic.h '(->|\.)NAME(\+\+| \+= )|discard\(&nic->counters\.NAME,'

# The lists must reach the user: the control server walks them.
for reader in stack_counter cable_counters nic_counters; do
    grep -rq --include='*.c' "$reader" tapstack/host && continue
    echo "tapstack/host:1: $reader is never shown"
    status=1
done
exit $status

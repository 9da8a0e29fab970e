# Every source is formatted as .clang-format says.
set -u
command -v clang-format >/dev/null || { echo "clang-format is not installed"; exit 77; }
faults=$(find tapstack httpd cli tests -name '*.[ch]' -print0 | sort -z |
    xargs -0 clang-format --dry-run -Werror 2>&1 | grep -E '^[^ ]+:[0-9]+:[0-9]+: error: ' | sort -s -u -t: -k1,1)
[ -z "$faults" ] && exit 0
sed -E 's/^([^:]*:[0-9]+):.*/\1: not as clang-format has it (clang-format -i)/' <<<"$faults"
exit 1

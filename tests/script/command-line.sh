#!/usr/bin/env bash
# The command line of tapstack-lab script: verdicts, exit status, JSON, captures, traces that run again,
# and the tutorial of its manual page, whose commands must print what the page says.
# `tests/script/command-line.sh BUILD`
set -u
cd "$(dirname "$0")/../.." || exit 2
root=$PWD
PATH=$root/$1:$PATH
page=$root/tapstack/lab/tapstack-lab-script.7
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tapstack-lab.XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
failures=0

fail() { # what
    echo "$1"
    failures=$((failures + 1))
}

# Runs a command; its status and words of what it says must be as given.
expect() { # status words command...
    local status=0 said wanted=$1 words=$2
    shift 2
    said=$("$@" 2>&1) || status=$?
    [ "$status" -eq "$wanted" ] || fail "$*: status $status, not $wanted: $said"
    case $said in
    *"$words"*) ;;
    *) fail "$*: no \"$words\" in: $said" ;;
    esac
}

cd "$scratch" || exit 2
echo '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3' >good.pkt
echo '0 close(3) = 0' >bad.pkt
echo '0 oops' >broken.pkt
printf '0 \377(3) = 0\n' >binary.pkt

expect 0 "1 passed, 0 failed" tapstack-lab script good.pkt
expect 0 "ok      good.pkt" tapstack-lab script good.pkt
expect 1 "1 passed, 1 failed" tapstack-lab script good.pkt bad.pkt
expect 1 "bad.pkt:1:1: close() returned -1 EBADF (Bad file descriptor)" tapstack-lab script bad.pkt
expect 1 "broken.pkt:1:3: unknown call" tapstack-lab script broken.pkt
expect 1 "missing.pkt: No such file" tapstack-lab script missing.pkt
expect 1 "0 passed, 1 failed" tapstack-lab script .
expect 2 "usage:" tapstack-lab script
expect 2 "usage:" tapstack-lab script -x good.pkt
expect 2 "usage:" tapstack-lab
expect 0 "usage:" tapstack-lab script --help
expect 0 "tapstack-lab " tapstack-lab -V
expect 1 '"report":"broken.pkt:1:3: ' tapstack-lab script -j broken.pkt
expect 1 '"line":1,"column":1,"capture":"./bad.pkt.pcapng"}' tapstack-lab script -j good.pkt bad.pkt
expect 1 '{"passed":1,"failed":1}' tapstack-lab script -j good.pkt bad.pkt
expect 1 '{"passed":0,"failed":1}' tapstack-lab script -j binary.pkt
expect 1 "capture: kept/bad.pkt.pcapng" bash -c 'mkdir kept; tapstack-lab script -k kept bad.pkt'
[ "$(od -An -tx4 -N4 kept/bad.pkt.pcapng | tr -d ' ')" = 0a0d0d0a ] || fail "kept/bad.pkt.pcapng is no pcapng"
[ "$(tapstack-lab script -q good.pkt)" = "1 passed, 0 failed" ] || fail "-q is not quiet"

# Each script's trace is a script that passes, and with nothing to add.
mkdir traces
while IFS= read -r script; do
    name=${script#"$root/tests/script/"}
    tapstack-lab script -t "$script" >"traces/${name//\//-}" 2>verdict || fail "$(cat verdict)"
done < <(find "$root/tests/script" -name '*.pkt')
tapstack-lab script --strict -q traces/*.pkt >verdict || fail "$(cat verdict)"

# The tutorial: files are written as the page has them, commands print what stands behind them.
mkdir tutorial && cd tutorial || exit 2
awk '
    /^\.\\" file / { name = $3; next }
    /^\.\\" shell/ { name = "session"; next }
    name != "" && /^\.Bd/ { inside = 1; next }
    name != "" && /^\.Ed/ { inside = 0; name = ""; next }
    inside { sub(/^\\&/, ""); gsub(/\\e/, "\\"); print > name }' "$page"
[ -s session ] || fail "$page has no session"
while IFS= read -r line; do
    case $line in
    '$ '*)
        echo "$line"
        bash -c "${line#\$ }" 2>&1 </dev/null
        ;;
    esac
done <session >said
diff session said || fail "the tutorial of $page does not say what happens"

[ "$failures" -eq 0 ]

#!/usr/bin/env bash
# Goes on with new seeds of the simulator for so many seconds, one process a core (`make soak`).
# `tests/lib/soak.sh BUILD SECONDS`. Stops at the first failure; its seed and its capture are named.
set -u
cd "$(dirname "$0")/../.." || exit 2

build=$1
seconds=$2
out=$build/soak
batch=500
mkdir -p "$out"
first=$(($(date +%s) * 100000))
end=$((SECONDS + seconds))
workers=()
trap 'kill "${workers[@]}" 2>/dev/null' EXIT
trap 'exit 130' INT TERM HUP

soak() { # worker
    local seed=$((first + $1 * 50000000)) count=0
    while [ $SECONDS -lt $end ]; do
        SIM_OUT=$out "$build/sim/sim" --seeds $seed $batch >"$out/log.$1" 2>&1 || return 1
        seed=$((seed + batch))
        count=$((count + batch))
        echo $count >"$out/count.$1"
    done
}

cores=$(nproc)
for worker in $(seq "$cores"); do
    echo 0 >"$out/count.$worker"
    soak "$worker" &
    workers+=($!)
done
failed=0
for worker in $(seq "$cores"); do
    wait "${workers[worker - 1]}" || { failed=$((failed + 1)); cat "$out/log.$worker"; }
done
cat "$out"/count.* | awk -v failed=$failed '{ seeds += $1 } END { print seeds " passed, " failed " failed" }'
[ $failed -eq 0 ]

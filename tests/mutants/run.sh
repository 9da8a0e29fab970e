#!/usr/bin/env bash
# Planted faults (`make mutants`): each tests/mutants/*.patch makes one small mistake in a copy of the
# stack, and the tests must notice. `tests/mutants/run.sh [NAME...]`, names without .patch.
#
# Tried in this order, the quickest first: the packet scripts, the simulator, the unit tests of TCP. The
# table says which of them noticed. Ends with 0 when every fault was found.
set -u
cd "$(dirname "$0")/../.." || exit 2
here=$PWD
scratch=$(mktemp -d /tmp/tapstack-mutants.XXXXXX) || exit 2
workers=()
trap 'kill "${workers[@]}" 2>/dev/null; wait; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP
jobs=$(nproc)

# A fresh copy of the sources with what is built already, so that only the mutated file is compiled.
prepare() { # folder
    mkdir -p "$1"
    (cd "$here" && git ls-files -z | tar --null -T - -cf -) | tar -xf - -C "$1"
    cp -a "$here/build" "$1/" 2>/dev/null || mkdir "$1/build"
}

build() { make -s VARIANT=plain "$@" >build.log 2>&1; }

scripts_notice() {
    local paths
    build build/plain/tapstack-lab || return 0
    mapfile -t paths < <(find tests/script -name '*.pkt')
    ! timeout 120 build/plain/tapstack-lab script -q -k "$1" "${paths[@]}" >"$1/script.log" 2>&1
}

simulator_notices() {
    build build/plain/sim/sim || return 0
    ! timeout 300 build/plain/sim/sim >"$1/sim.log" 2>&1
}

units_notice() {
    local unit
    for unit in tests/unit/test_tcp_*.c tests/unit/test_wire_tcp.c; do
        unit=build/plain/unit/$(basename "$unit" .c)
        build "$unit" || return 0
        timeout 120 "$unit" >"$1/unit.log" 2>&1 </dev/null || return 0
    done
    return 1
}

# Applies a fault, asks the tests in turn, takes it out again.
try() { # patch; prints: name, who noticed
    local name by=nobody log
    name=$(basename "$1" .patch)
    log=$(mktemp -d "$scratch/log.XXXXXX")
    if ! patch -s -p1 <"$here/$1" >"$log/patch" 2>&1; then
        echo "$name does-not-apply"
        return
    fi
    if scripts_notice "$log"; then
        by=scripts
    elif simulator_notices "$log"; then
        by=simulator
    elif units_notice "$log"; then
        by=units
    fi
    patch -s -R -p1 <"$here/$1"
    echo "$name $by"
}

worker() { # number
    local at=$1 folder=$scratch/$1
    prepare "$folder"
    cd "$folder" || exit 2
    for ((; at < ${#patches[@]}; at += jobs)); do
        try "${patches[at]}"
    done
}

patches=()
if [ $# -gt 0 ]; then
    for name in "$@"; do patches+=("tests/mutants/$name.patch"); done
else
    patches=(tests/mutants/*.patch)
fi
for ((number = 0; number < jobs; number++)); do
    worker "$number" >"$scratch/table.$number" &
    workers+=($!)
done
wait "${workers[@]}"
workers=()
sort "$scratch"/table.* | awk '
    { printf "%-32s %s\n", $1, $2; count[$2]++ }
    END {
        printf "%d faults: %d noticed by scripts, %d by the simulator, %d by units, %d by nobody, %d do not apply\n",
            NR, count["scripts"], count["simulator"], count["units"], count["nobody"], count["does-not-apply"]
        exit NR == 0 || count["nobody"] + count["does-not-apply"] > 0
    }'

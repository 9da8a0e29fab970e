#!/usr/bin/env bash
# Random and mutated frames into the stack, then every libFuzzer program (`make fuzz`).
# `tests/lib/fuzz.sh FRAMES SECONDS`. The fuzzers start from tests/fuzz/corpus/NAME; what they find new
# stays in a scratch folder, a finding is kept in build/fuzz-findings.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/lib/report.sh

frames=$1
seconds=$2
findings=build/fuzz-findings
mkdir -p $findings
scratch=$(mktemp -d /tmp/tapstack-fuzz.XXXXXX) || exit 2
trap 'rm -rf "$scratch"; rmdir $findings 2>/dev/null' EXIT
trap 'exit 130' INT TERM HUP

report_run "fuzz: $frames frames" build/sanitize/fuzz/frames "$frames"
for program in build/fuzz-sanitize/fuzz/fuzz_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    corpus=tests/fuzz/corpus/${name#fuzz_}
    mkdir "$scratch/$name"
    [ -d "$corpus" ] || corpus=
    # shellcheck disable=SC2086 # no corpus: no argument
    report_run "fuzz: $name for $seconds s" "$program" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix=$findings/ "$scratch/$name" $corpus
done
report_sum

#!/usr/bin/env bash
# Runs every test of what `make` has built (`make check`). `tests/lib/check.sh BUILD`.
#
# Layers, in this order; SUITES="unit e2e" runs only those, TESTS=PATTERN only files whose name matches:
#   lint  rules of the house, tests/lint
#   unit  cmocka programs, BUILD/unit/test_*
#   script packet scripts, tests/script, by BUILD/tapstack-lab in virtual time
#   sim   two stacks over a hostile simulated link, BUILD/sim/*
#   e2e   programs on a TAP device against the kernel's TCP, tests/e2e (root and /dev/net/tun)
# LONG=1 adds the ones that take minutes: 1 GiB through a bad cable, 100,000 connections.
# A test that is not permitted here is skipped by name, with the reason. Ends with 0 when nothing failed.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/lib/report.sh

BUILD=${1:-build/plain}
SUITES=${SUITES:-lint unit script sim e2e}
TESTS=${TESTS:-*}
file_timeout_seconds=150
[ -z "${LONG:-}" ] || file_timeout_seconds=1800
export BUILD
scratch=$(mktemp -d /tmp/tapstack-check.XXXXXX) || exit 2
chmod 755 "$scratch" # the daemon, not root any more, reads its configuration again
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch
trap 'exit 130' INT TERM HUP

is_wanted() { # path
    # shellcheck disable=SC2254 # TESTS is a pattern
    case $(basename "$1") in
    $TESTS) return 0 ;;
    *) return 1 ;;
    esac
}

check_lint() {
    local lint
    for lint in tests/lint/*.sh; do
        report_run "lint: $(basename "$lint" .sh)" bash "$lint"
    done
}

# A cmocka program, read by its TAP output: one result a test; a crash counts as one failure.
check_cmocka() { # suite program
    local name output=$scratch/unit begin took status=0 failed=$report_failed line count
    name="$1: $(basename "$2")"
    begin=$(report_clock)
    CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 "$file_timeout_seconds" "$2" >"$output" 2>&1 </dev/null || status=$?
    took=$(($(report_clock) - begin))
    count=$(grep -cE '^(not )?ok' "$output")
    while IFS= read -r line; do
        case $line in
        "ok "*"# SKIP"*) report_skip "$name: ${line#ok * - }" "the program says so" ;;
        "not ok"*"# SKIP"*) report_skip "$name: ${line##*# SKIP }" "the program says so" ;;
        "ok "*) report_ok "$name: ${line#ok * - }" $((took / count)) ;;
        "not ok "*) report_fail "$name: ${line#not ok * - }" $((took / count)) ;;
        esac
    done < <(grep -E '^(not )?ok' "$output")
    if [ "$report_failed" -gt "$failed" ]; then
        sed 's/^/    | /' "$output"
    elif [ "$status" -ne 0 ] || [ "$count" -eq 0 ]; then
        report_fail "$name: ended with status $status" "$took" "$output"
    fi
}

check_unit() {
    local program
    for program in "$BUILD"/unit/test_*; do
        [ -x "$program" ] && is_wanted "$program" || continue
        check_cmocka unit "$program"
    done
}

# Packet scripts, one result a file.
check_script() {
    local scripts=() path output=$scratch/script begin took
    for path in tests/script/*.sh; do
        is_wanted "$path" && report_run "script: $(basename "$path" .sh)" bash "$path" "$BUILD"
    done
    while IFS= read -r path; do
        is_wanted "$path" && scripts+=("$path")
    done < <(find tests/script -name '*.pkt' | sort)
    [ "${#scripts[@]}" -gt 0 ] || return
    begin=$(report_clock)
    timeout -k 5 "$file_timeout_seconds" "$BUILD/tapstack-lab" script -k "$scratch" "${scripts[@]}" >"$output" 2>&1 </dev/null
    took=$((($(report_clock) - begin) / ${#scripts[@]}))
    for path in "${scripts[@]}"; do
        if grep -qxF "ok      $path" "$output"; then
            report_ok "script: ${path#tests/script/}" "$took"
        else
            awk -v name="FAILED  $path" '$0 == name { on = 1; next } /^(ok|FAILED)  /{ on = 0 } on' "$output" >"$output.one"
            [ -s "$output.one" ] || tail -5 "$output" >"$output.one"
            report_fail "script: ${path#tests/script/}" "$took" "$output.one"
        fi
    done
}

check_sim() {
    local program
    for program in "$BUILD"/sim/*; do
        [ -f "$program" ] && [ -x "$program" ] && is_wanted "$program" || continue
        report_run "sim: $(basename "$program")" timeout -k 5 "$file_timeout_seconds" "$program"
    done
}

# One file of tcltest tests: one result a test, with the times that tcltest gives.
check_tcltest() { # file
    local file=$1 output=$scratch/e2e begin status=0 failed=$report_failed took=0 word name rest
    begin=$(report_clock)
    timeout -k 10 "$file_timeout_seconds" tclsh "$file" >"$output" 2>&1 </dev/null || status=$?
    while read -r word name rest; do
        case "$word $rest" in
        "++++ took "*) rest=${rest#took } took=$((${rest%% *} * 1000)) ;;
        "++++ PASSED") report_ok "e2e: $name" $took ;;
        "++++ SKIPPED: "*) report_skip "e2e: $name" "${rest#SKIPPED: }" ;;
        "==== "*"FAILED") [ "$rest" = FAILED ] || report_fail "e2e: $name ${rest% FAILED}" $took ;;
        esac
    done < <(grep -E '^(\+\+\+\+|====) ' "$output")
    if [ "$report_failed" -gt "$failed" ]; then
        sed 's/^/    | /' "$output"
    elif [ "$status" -ne 0 ]; then
        report_fail "e2e: $(basename "$file") ended with status $status" $(($(report_clock) - begin)) "$output"
    fi
}

check_e2e() {
    local file
    for file in tests/e2e/*.test; do
        is_wanted "$file" || continue
        check_tcltest "$file"
    done
}

begin=$(report_clock)
for suite in $SUITES; do
    "check_$suite"
done
took=$(($(report_clock) - begin))
echo "$BUILD: $SUITES took $((took / 1000000)) s"
report_sum

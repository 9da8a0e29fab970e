# Result lines that every runner prints, and their sum. Sourced by bash scripts.
#
#   ok      0.12 s  lint: layering
#   FAIL    0.40 s  unit: checksum: odd length     (the full output follows, indented)
#   skip            e2e: http-1.1 (needs root)
#
# The last line a runner prints is `N passed, N failed`, with `, N skipped` where there were any.

report_passed=0
report_failed=0
report_skipped=0
report_failures=()

report_clock() { # microseconds, for the two calls around a test
    local now=$EPOCHREALTIME
    echo "${now/[.,]/}"
}

report_line() { # word microseconds name
    printf '%-4s %4d.%02d s  %s\n' "$1" $(($2 / 1000000)) $(($2 / 10000 % 100)) "$3"
}

report_ok() { # name microseconds
    report_passed=$((report_passed + 1))
    report_line ok "$2" "$1"
}

report_fail() { # name microseconds [file with the output]
    report_failed=$((report_failed + 1))
    report_failures+=("$1")
    report_line FAIL "$2" "$1"
    [ -z "${3:-}" ] || sed 's/^/    | /' "$3"
}

report_skip() { # name reason
    report_skipped=$((report_skipped + 1))
    printf '%-4s %7s    %s (%s)\n' skip "" "$1" "$2"
}

# Runs a command as one test: its output is shown only when it fails.
# Status 77 means skipped; the last line of output is then the reason.
report_run() { # name command...
    local name=$1 output begin status=0
    shift
    output=$(mktemp)
    begin=$(report_clock)
    "$@" >"$output" 2>&1 </dev/null || status=$?
    case $status in
    0) report_ok "$name" $(($(report_clock) - begin)) ;;
    77) report_skip "$name" "$(tail -n 1 "$output")" ;;
    *) report_fail "$name" $(($(report_clock) - begin)) "$output" ;;
    esac
    rm -f "$output"
}

report_sum() { # prints the last line; returns 0 only when nothing failed
    local failure
    for failure in "${report_failures[@]}"; do
        echo "failed: $failure"
    done
    printf '%d passed, %d failed' "$report_passed" "$report_failed"
    [ "$report_skipped" -eq 0 ] || printf ', %d skipped' "$report_skipped"
    echo
    [ "$report_failed" -eq 0 ]
}

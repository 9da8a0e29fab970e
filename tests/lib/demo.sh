#!/usr/bin/env bash
# The tour (`make demo`, as root): from a raw frame on tap0 to a web page, and what the console shows of
# it. `tests/lib/demo.sh BUILD`. Everything happens inside a network and a process namespace of its own,
# which end with the tour: no device, address or process can be left behind. Status 0: all went right.
set -u
cd "$(dirname "$0")/../.." || exit 2
here=$PWD
build=$(realpath "${1:-build/plain}")

# ---- outside: make the namespaces, pass signals on, remove the scratch folder ----

outside() {
    local tour status=0
    if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/net/tun ]; then
        echo "demo: needs root and /dev/net/tun: sudo make demo" >&2
        exit 1
    fi
    for program in tapstackd tapstack-httpd tapctl; do
        [ -x "$build/$program" ] || { echo "demo: $build/$program is not built" >&2; exit 1; }
    done
    scratch=$(mktemp -d -t tapstack-demo.XXXXXX) || exit 1
    trap 'rm -rf "$scratch"' EXIT
    chmod 755 "$scratch"
    unshare --net --pid --fork --kill-child --mount-proc \
        bash "$here/tests/lib/demo.sh" "$build" inside "$scratch" </dev/null &
    tour=$!
    # The end of unshare is the end of everything in its namespaces.
    trap 'kill -KILL $tour; wait $tour; exit 130' INT TERM HUP
    wait $tour || status=$?
    exit $status
}

# ---- inside ----

step() { printf '\n== %s\n' "$*"; }

fail() {
    echo "demo: $*" >&2
    sed 's/^/    | /' "$scratch"/*.log >&2
    exit 1
}

# Waits at most ten seconds until a command succeeds.
await() { # what command...
    local what=$1 tries
    shift
    for tries in $(seq 200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "waited in vain for $what ($tries times)"
}

show() { printf '  $ %s\n' "$*"; }
run() { show "$@"; "$@" 2>&1 | sed 's/^/    /'; [ "${PIPESTATUS[0]}" -eq 0 ] || fail "failed: $*"; }

start_programs() {
    step "starting tapstackd on tap0: a TAP device, and behind it a TCP/IP stack of our own"
    show tapstackd -c tapstack/host/tapstackd.conf
    tapstackd -c tapstack/host/tapstackd.conf -d "$TAPSTACK_DIR" 2>"$scratch/tapstackd.log" &
    daemon=$!
    await "the daemon" tapctl show
    run ip -br address show tap0

    step "starting tapstack-httpd on it: a listener and a pool of workers, on libtapstack"
    show tapstack-httpd -c httpd/tapstack-httpd.conf
    tapstack-httpd -c httpd/tapstack-httpd.conf -r "$scratch/www" 2>"$scratch/httpd.log" >&2 &
    httpd=$!
    await "the web server" curl -sf -o /dev/null http://10.77.0.2/
}

fetch_site() {
    step "pinging the stack: the answers come from our ICMP"
    run ping -c 3 -i 0.2 10.77.0.2

    step "fetching the site with curl: the kernel's TCP on one side, ours on the other"
    show curl http://10.77.0.2/
    curl -sSf http://10.77.0.2/ >"$scratch/page" || fail "curl"
    head -n 12 "$scratch/page" | sed 's/^/    /'
    cmp "$scratch/page" "$scratch/www/index.html" || fail "the page differs from its file"
}

fetch_big_file() {
    local sent received begin took
    step "fetching 256 MiB and comparing the SHA-256"
    show 'curl http://10.77.0.2/big | sha256sum'
    sent=$(sha256sum <"$scratch/www/big")
    begin=${EPOCHREALTIME/[.,]/}
    curl -sSf -o "$scratch/big" http://10.77.0.2/big || fail "curl"
    took=$((${EPOCHREALTIME/[.,]/} - begin))
    received=$(sha256sum <"$scratch/big")
    rm -f "$scratch/big"
    printf '    sent      %s\n    received  %s\n    %d MB/s\n' "${sent%% *}" "${received%% *}" $((268435456 / took))
    [ "$sent" = "$received" ] || fail "the file has changed on its way"
}

show_tables() {
    local slow
    step "looking at the sockets while a slow transfer is under way"
    show 'curl --limit-rate 2M http://10.77.0.2/big &'
    curl -s --limit-rate 2M -o /dev/null http://10.77.0.2/big &
    slow=$!
    await "the connection" sh -c "tapctl show connections | grep -q ESTABLISHED"
    run tapctl show listeners
    run tapctl show connections
    kill $slow
    wait $slow 2>/dev/null
}

capture_exchange() {
    local file=$scratch/exchange.pcapng
    step "capturing one exchange as pcapng, and printing its packets"
    run tapctl capture start "$file"
    run curl -sSf -o /dev/null http://10.77.0.2/
    # The FIN of the other side may still be under way.
    await "the whole exchange" sh -c "! tapctl show connections | grep -qE 'ESTAB|FIN-WAIT|CLOS|LAST-ACK'"
    run tapctl capture stop
    if command -v tshark >/dev/null; then
        show tshark -r exchange.pcapng
        tshark -r "$file" 2>/dev/null | sed 's/^/    /'
    else
        show tcpdump -nr exchange.pcapng
        tcpdump -nr "$file" 2>/dev/null | sed 's/^/    /'
    fi
    [ "${PIPESTATUS[0]}" -eq 0 ] && [ -s "$file" ] || fail "the capture cannot be read"
}

stop_programs() {
    step "stopping: the web server, then the daemon, each in order"
    kill -TERM $httpd
    wait $httpd || fail "tapstack-httpd ended with status $?"
    kill -TERM $daemon
    wait $daemon || fail "tapstackd ended with status $?"
    [ -z "$(ip -br link show type tun)" ] || fail "a device was left behind"
    [ -z "$(ls -A "$TAPSTACK_DIR")" ] || fail "files were left in the folder of the sockets"
    step "all done; nothing is left behind"
}

inside() {
    scratch=$1
    export TAPSTACK_DIR=$scratch/run PATH=$build:$PATH HOME=$scratch
    mkdir "$TAPSTACK_DIR"
    cp -r httpd/www "$scratch/www"
    head -c 268435456 /dev/urandom >"$scratch/www/big"
    trap 'exit 130' INT TERM HUP
    step "a network namespace of its own: nothing here touches this machine's network"
    ip link set lo up
    run ip -br link
    start_programs
    fetch_site
    fetch_big_file
    show_tables
    capture_exchange
    stop_programs
}

if [ "${2:-}" = inside ]; then
    inside "$3"
else
    outside
fi

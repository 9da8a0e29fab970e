#!/usr/bin/env bash
# Keeps the stack and the web server running for real use (`make run`, as root): the site stands at
# http://10.77.0.2/, and this terminal has the console's prompt. Leaving the prompt stops everything.
# tap0 is made in the host's namespace, or in the network namespace NETNS=name.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$(realpath "${1:-build/plain}")

if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/net/tun ]; then
    echo "run: needs root and /dev/net/tun: sudo make run" >&2
    exit 1
fi
if [ -n "${NETNS:-}" ] && [ -z "${RUN_IN_NETNS:-}" ]; then
    exec env RUN_IN_NETNS=1 ip netns exec "$NETNS" bash tests/lib/run.sh "$build"
fi
if ip link show tap0 >/dev/null 2>&1; then
    echo "run: tap0 is there already; another tapstackd is running, or someone else has made it" >&2
    exit 1
fi

scratch=$(mktemp -d -t tapstack-run.XXXXXX) || exit 1
chmod 755 "$scratch"
export TAPSTACK_DIR=$scratch/run
mkdir "$TAPSTACK_DIR"
children=()

# The last started first; whatever ignores its SIGTERM for ten seconds is killed.
stop_all() {
    local i tries
    trap '' INT TERM HUP
    for ((i = ${#children[@]} - 1; i >= 0; i--)); do
        kill -TERM "${children[i]}" 2>/dev/null
        for tries in $(seq 100); do
            kill -0 "${children[i]}" 2>/dev/null || break
            sleep 0.1
        done
        [ "$tries" -lt 100 ] || kill -KILL "${children[i]}" 2>/dev/null
    done
    rm -rf "$scratch"
}
trap stop_all EXIT
trap 'exit 130' INT TERM HUP

# Waits at most ten seconds until a command succeeds, or the program has ended.
await() { # program pid command...
    local program=$1 pid=$2 tries
    shift 2
    for tries in $(seq 200); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    echo "run: $program does not answer (after $tries tries); it said:" >&2
    cat "$scratch/$program.log" >&2
    exit 1
}

# In a session of their own, so that Ctrl-C at the prompt does not reach them.
setsid "$build/tapstackd" -c tapstack/host/tapstackd.conf -d "$TAPSTACK_DIR" 2>"$scratch/tapstackd.log" &
children+=($!)
await tapstackd $! "$build/tapctl" show
setsid "$build/tapstack-httpd" -c httpd/tapstack-httpd.conf -r "$PWD/httpd/www" >"$scratch/tapstack-httpd.log" 2>&1 &
children+=($!)
await tapstack-httpd $! bash -c '</dev/tcp/10.77.0.2/80'

echo "The site stands at http://10.77.0.2/ ${NETNS:+(ip netns exec $NETNS curl http://10.77.0.2/)}"
echo "The logs are in $scratch. Leave the prompt (quit, Ctrl-D) to stop everything."
"$build/tapctl"

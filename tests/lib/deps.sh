#!/usr/bin/env bash
# Installs what is missing of the Debian packages in tests/lib/packages (`make deps`).
# Not root, or no Debian: says what to install and ends with 1. BENCH=1 takes the bench's in.
set -u
cd "$(dirname "$0")/../.." || exit 2
[ "${1:-}" != bench ] || BENCH=1

wanted() {
    local group words
    while read -r group words; do
        case $group in
        build | test) echo "$words" ;;
        bench) [ "${BENCH:-}" ] && echo "$words" ;;
        esac
    done <tests/lib/packages
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for package in $(wanted); do
    if ! command -v dpkg-query >/dev/null || ! is_installed "$package"; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "deps: all packages are installed"
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "deps: this is not Debian; install what these Debian packages contain, then go on: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "deps: to install packages takes root; run: sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update </dev/null || echo "deps: apt-get update failed; going on with the lists there are" >&2
apt-get -qq -y --no-install-recommends install "${missing[@]}" </dev/null

# Who may include whom: the rules of the house, folder by folder.
set -u

list=$(find tapstack httpd cli -name '*.[ch]' 2>/dev/null | sort)
[ -n "$list" ] || { echo "no sources found"; exit 1; }

# shellcheck disable=SC2086
awk '
function allow(folder, names,    n, i, part) {
    n = split(names, part, " ")
    for (i = 1; i <= n; i++)
        allowed[folder, part[i]] = 1
}

function folder_of(path) {
    sub("/[^/]*$", "", path)
    return path
}

# "a/b" + "../c/d.h" -> "a/c/d.h"
function resolve(folder, name) {
    while (sub("^\\.\\./", "", name))
        if (!sub("/[^/]*$", "", folder))
            folder = "."
    return folder == "." ? name : folder "/" name
}

function complain(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what
    bad = 1
}

BEGIN {
    allow("tapstack/wire", "tapstack/wire")
    allow("tapstack/link", "tapstack/wire tapstack/link")
    allow("tapstack/core", "tapstack/wire tapstack/core")
    allow("tapstack/lab", "tapstack/wire tapstack/link tapstack/core tapstack/lab")
    allow("tapstack/host", "tapstack/wire tapstack/link tapstack/core tapstack/host tapstack/api/message.h")
    allow("tapstack/api", "tapstack/api")
    allow("tapstack/api/examples", "tapstack/api/tapstack.h")
    allow("httpd", "httpd tapstack/api/tapstack.h")
    allow("cli", "cli tapstack/api/tapstack.h")
    n = split("wire link core", pure, " ")
    for (i = 1; i <= n; i++)
        is_pure["tapstack/" pure[i]] = 1
    n = split("assert.h limits.h stdalign.h stdbool.h stddef.h stdint.h string.h sys/queue.h zlib.h sodium.h " \
              "sodium/crypto_shorthash.h sodium/crypto_shorthash_siphash24.h", system_headers, " ")
    for (i = 1; i <= n; i++)
        is_harmless[system_headers[i]] = 1
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    folder = folder_of(FILENAME)
    target = resolve(folder, quoted[2])
    if ((getline ignored < target) < 0)
        complain("includes " quoted[2] ", which is not there")
    close(target)
    if (!((folder, folder_of(target)) in allowed) && !((folder, target) in allowed))
        complain(folder " may not include " target)
}

/^[ \t]*#[ \t]*include[ \t]*</ {
    match($0, /<[^>]*>/)
    header = substr($0, RSTART + 1, RLENGTH - 2)
    folder = folder_of(FILENAME)
    if ((folder in is_pure) && !(header in is_harmless))
        complain(folder " is pure and may not include <" header ">")
    # The packet scripts speak of sockets in the words of the system headers, but open none.
    if (folder == "tapstack/lab" && FILENAME !~ /(main|script_(value|call|open|bytes|poll|socket))\.c$/ && header ~ /^(sys\/|unistd|fcntl|time\.h|pthread)/)
        complain("only the main of the lab may include <" header ">")
}

END { exit bad }
' $list

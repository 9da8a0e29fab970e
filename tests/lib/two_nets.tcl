# Two more network namespaces, for what lies between two hosts: a forwarding stack, or a cable. Sourced
# after net.tcl.

namespace eval nets {
    # Makes the namespaces. Their names are mounts of this test alone and end with it.
    proc make {args} {
        file mkdir /run/netns
        exec mount -t tmpfs none /run/netns
        foreach name $args {
            exec ip netns add $name
            in $name ip link set lo up
        }
    }

    # Runs a command in a namespace and returns its output.
    proc in {name args} { return [exec ip netns exec $name {*}$args 2>@1] }

    # The status of such a command, and what it said.
    proc status_in {name args} { return [net::status_of ip netns exec $name {*}$args] }

    # Starts a program in a namespace, in the background.
    proc start_in {name program args} {
        net::start $program ip netns exec $name {*}$args
    }

    # Starts the daemon with this configuration alone, or with these options.
    proc daemon {more args} {
        file mkdir $net::scratch/run
        net::spit $net::scratch/tapstackd.conf "dir = \"$net::scratch/run\"\n$more\n"
        net::start daemon $net::build/tapstackd -c $net::scratch/tapstackd.conf {*}$args
        if {[catch {net::wait_until "the daemon" {net::tapctl show interfaces; expr 1}} message]} {
            error "$message\n[net::log_of daemon]"
        }
    }

    # A web server of the kernel in a namespace: every request gets scratch/NAME of so many MiB.
    proc serve {name address mib} {
        exec head -c [expr {$mib * 1048576}] /dev/urandom > $net::scratch/served
        start_in $name server $net::build/tools/serve $address 80 $net::scratch/served
        net::wait_until "the server" {regexp listening [net::log_of server]}
        return [net::sha256 $net::scratch/served]
    }

    # Fetches it from a namespace. Returns its SHA-256.
    proc fetch {name address} {
        return [lindex [in $name bash -c "set -o pipefail
            curl -sSf --max-time 120 http://$address/ | sha256sum"] 0]
    }

    # The same for its speed alone, in Mbit/s.
    proc speed {name address} {
        return [expr {round([in $name curl -sSf --max-time 120 -o /dev/null -w {%{speed_download}} http://$address/] * 8 / 1e6)}]
    }

    # A counter of an interface of the daemon: of its card, or of its cable (cable_in, cable_out).
    proc counter {interface where name} {
        return [net::ask {{"do":"show.interfaces"}} "map(.interfaces // \[\] | .\[\]) | map(select(.name == \"$interface\"))\[0\].$where | map(select(.name == \"$name\"))\[0\].value"]
    }
}

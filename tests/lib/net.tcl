# What every end-to-end test stands on: a network namespace of its own, the programs in it, and waiting
# for conditions instead of for time.
#
# A test file sources this first. That runs the file again inside new network, process and mount
# namespaces, which die with it: whatever happens, no namespace, device or process is left behind, and
# the scratch folder is removed by the outside. In the namespace the kernel's side of tap0 is
# 10.77.0.1 and the stack's 10.77.0.2.
#
# Without root or /dev/net/tun the file runs where it is, and each test is skipped by name.

package require Tcl 8.6
package require tcltest 2.5

namespace eval net {
    namespace export e2e
    variable root [file normalize [file join [file dirname [info script]] .. ..]]
    variable build [file join $root [expr {[info exists ::env(BUILD)] ? $::env(BUILD) : "build/plain"}]]
    variable file [file rootname [file tail $::argv0]]
    variable scratch ""
    variable stack 10.77.0.2
    variable permitted 0
    # Sanitized programs are slower and bigger: bounds stretch, amounts shrink.
    variable sanitized [string match *sanitize* $build]
    variable long [info exists ::env(LONG)]
    variable patience_ms [expr {$sanitized ? 30000 : 15000}]
    variable programs [dict create] ;# name -> {channel pid log}

    # ---- the namespace ----

    # Why no namespace with a TAP can be made here, or "".
    proc obstacle {} {
        if {[exec id -u] != 0} { return needs_root }
        if {![file exists /dev/net/tun]} { return needs_dev_net_tun }
        if {[catch {exec unshare --net --pid --fork --mount-proc true}]} {
            return needs_permission_to_make_namespaces
        }
        return ""
    }

    # Runs this file again in namespaces of its own, and ends with its status. Process 1 in there is a
    # shell, which reaps what others leave.
    proc isolate {} {
        variable scratch
        if {[info exists ::env(TAPSTACK_TEST_SCRATCH)]} {
            set scratch $::env(TAPSTACK_TEST_SCRATCH)
            return [permit]
        }
        if {[set why [obstacle]] ne ""} { return [refuse $why] }
        set ::env(TAPSTACK_TEST_SCRATCH) [exec mktemp -d -t tapstack-e2e.XXXXXX]
        set failed [catch {
            exec unshare --net --pid --fork --kill-child --mount-proc \
                bash -c {ip link set lo up; "$@"; exit $?} init \
                [info nameofexecutable] $::argv0 {*}$::argv <@stdin >@stdout 2>@stderr
        } message options]
        file delete -force $::env(TAPSTACK_TEST_SCRATCH)
        if {!$failed} { exit 0 }
        set code [dict get $options -errorcode]
        exit [expr {[lindex $code 0] eq "CHILDSTATUS" ? [lindex $code 2] : 1}]
    }

    proc permit {} {
        variable permitted 1
        variable scratch
        file attributes $scratch -permissions 0755
        set ::env(TAPSTACK_DIR) $scratch/run
    }

    # Every test is skipped under the name of the reason.
    proc refuse {why} {
        variable refusal $why
        tcltest::testConstraint $why 0
    }

    # A test that needs the namespace: tcltest::test, skipped where it cannot be. Tests are named by what
    # they show, with the stages of the system in front: S24-closed-port-is-refused.
    # -constraints needs_plain_build: not sanitized; needs_LONG: takes minutes.
    proc e2e {name description args} {
        variable refusal
        set constraints [expr {[dict exists $args -constraints] ? [dict get $args -constraints] : ""}]
        if {[info exists refusal]} { set constraints $refusal }
        dict set args -constraints $constraints
        uplevel 1 [list tcltest::test $name $description {*}$args]
    }

    # ---- waiting ----

    # Waits until the condition (a script) is true, or fails with what was awaited. Errors are "not yet".
    proc wait_until {what condition {ms 0}} {
        variable patience_ms
        set end [expr {[clock milliseconds] + ($ms ? $ms : $patience_ms)}]
        while {[catch {uplevel 1 $condition} result] || !$result} {
            if {[clock milliseconds] > $end} { error "waited in vain for $what (last: $result)" }
            after 20
        }
    }

    # A process is there and not a zombie.
    proc alive {pid} {
        if {[catch {slurp /proc/$pid/stat} stat]} { return 0 }
        return [expr {[lindex [string range $stat [string last ) $stat]+2 end] 0] ni {Z X}}]
    }

    proc slurp {path} {
        set channel [open $path rb]
        try { return [read $channel] } finally { close $channel }
    }

    proc spit {path text} {
        set channel [open $path wb]
        puts -nonewline $channel $text
        close $channel
    }

    # ---- programs in the background ----

    # Starts a program; its output goes to a log in the scratch folder. Returns its process id.
    proc start {name args} {
        variable programs
        variable scratch
        set channel [open "|[list {*}$args >>& $scratch/$name.log]" w]
        fconfigure $channel -blocking 0
        dict set programs $name [list $channel [lindex [pid $channel] end] $scratch/$name.log]
        return [lindex [pid $channel] end]
    }

    proc pid_of {name} { variable programs; return [lindex [dict get $programs $name] 1] }
    proc log_of {name} { variable programs; return [slurp [lindex [dict get $programs $name] 2]] }
    proc tell {name text} {
        variable programs
        set channel [lindex [dict get $programs $name] 0]
        puts -nonewline $channel $text
        flush $channel
    }

    # Ends a program with a signal ("" for none: it ends by itself) and waits for it.
    # Returns its exit status, or the name of the signal that killed it.
    proc stop {name {signal TERM}} {
        variable programs
        lassign [dict get $programs $name] channel pid log
        dict unset programs $name
        if {$signal ne ""} { catch {exec kill -$signal $pid} }
        if {[catch {wait_until "the end of $name" {expr {![net::alive $pid]}}} message]} {
            exec kill -KILL $pid
            error "$message\n[slurp $log]"
        }
        fconfigure $channel -blocking 1
        if {![catch {close $channel} message options]} { return 0 }
        lassign [dict get $options -errorcode] kind process value
        return [expr {$kind in {CHILDSTATUS CHILDKILLED} ? $value : 0}]
    }

    # ---- the daemon, the web server, the console ----

    # Starts tapstackd on tap0 with more lines of configuration, and waits until it answers.
    proc daemon_start {{more ""}} {
        variable scratch
        variable build
        file mkdir $scratch/run
        spit $scratch/tapstackd.conf "dir = \"$scratch/run\"\ndevice = \"tap0\"\naddress = \"10.77.0.2/24\"\nhost_address = \"10.77.0.1/24\"\n$more\n"
        start daemon $build/tapstackd -c $scratch/tapstackd.conf
        if {[catch {wait_until "the daemon" {net::tapctl show interfaces; expr 1}} message]} {
            error "$message\n[log_of daemon]"
        }
        return [pid_of daemon]
    }

    # Starts the web server over the folder scratch/www, and waits until it serves.
    proc httpd_start {args} {
        variable scratch
        variable build
        file mkdir $scratch/www
        spit $scratch/httpd.conf "root = \"$scratch/www\"\nlisten = \"10.77.0.2:80\"\nworkers = 2\naccess_log = \"-\"\n"
        start httpd $build/tapstack-httpd -c $scratch/httpd.conf {*}$args
        if {[catch {wait_until "the web server" {close [socket 10.77.0.2 80]; expr 1}} message]} {
            error "$message\n[log_of httpd]"
        }
        return [pid_of httpd]
    }

    # The process of the web server that waits for connections: the last one that said so.
    proc listener {{name httpd}} {
        return [lindex [regexp -all -inline {\[(\d+)\] listener: info: listening} [log_of $name]] end]
    }

    # Its communication modules: the other children of its first process.
    proc workers {{name httpd}} {
        set listener [listener $name]
        return [lmap pid [exec pgrep -P [pid_of $name]] {expr {$pid eq $listener ? [continue] : $pid}}]
    }

    # One command of the console. Returns its output; an error has its status in -errorcode.
    proc tapctl {args} {
        variable build
        variable scratch
        return [exec $build/tapctl -d $scratch/run {*}$args 2>@1]
    }

    # The status of a command and what it said.
    proc status_of {args} {
        if {![catch {exec {*}$args 2>@1} output options]} { return [list 0 $output] }
        set code [dict get $options -errorcode]
        if {[lindex $code 0] ne "CHILDSTATUS"} { return [list -1 $output] }
        return [list [lindex $code 2] [regsub {\nchild process exited abnormally$} $output ""]]
    }

    # One request to the control socket, and what a jq filter makes of its parts, put together.
    proc ask {request filter} {
        variable build
        variable scratch
        return [exec $build/tools/line $scratch/run/control << "$request\n" | jq -rs ".\[1:\] | $filter"]
    }

    proc counter {name} {
        return [ask {{"do":"counters","all":true}} "map(.counters // \[\] | .\[\]) | map(select(.name == \"$name\"))\[0\].value"]
    }

    # The MAC address of the stack's card.
    proc stack_mac {} {
        return [ask {{"do":"show.interfaces"}} {map(.interfaces // [] | .[])[0].mac}]
    }

    # The first interface's counter: of the card, or of the cable (cable_in, cable_out).
    proc interface_counter {where name} {
        return [ask {{"do":"show.interfaces"}} "map(.interfaces // \[\] | .\[\])\[0\].$where | map(select(.name == \"$name\"))\[0\].value"]
    }

    # The connections, each a list: id state remote-port local-port.
    proc connections {} {
        set lines [ask {{"do":"show.connections"}} {map(.connections // [] | .[]) | .[] | "\(.id) \(.state) \(.remote.port) \(.local.port)"}]
        return [expr {$lines eq "" ? {} : [split $lines \n]}]
    }

    # The id of a kernel channel's connection, or "".
    proc id_of {channel} {
        set port [lindex [fconfigure $channel -sockname] 2]
        return [lindex [lsearch -inline -index 2 -exact [connections] $port] 0]
    }

    # How many connections are not merely in TIME-WAIT.
    proc live_connections {} {
        return [llength [lsearch -all -not -index 1 -exact [lsearch -all -inline -not -index 1 -exact [connections] LISTEN] TIME-WAIT]]
    }

    # Ends what runs, the web server first.
    proc stop_all {} {
        variable programs
        foreach name [lreverse [dict keys $programs]] { catch {stop $name} }
    }

    # The last call of a file: everything ends in order, no sanitizer has complained, and the result.
    proc finish {} {
        variable file
        variable programs
        variable scratch
        e2e $file-ends-in-order {the programs end with status 0 and nothing to complain about} -body {
            set ends {}
            foreach name [lreverse [dict keys $net::programs]] {
                if {[set status [net::stop $name]] ne "0" && $name in {daemon httpd}} {
                    lappend ends "$name ended with $status" [net::slurp $net::scratch/$name.log]
                }
            }
            foreach log [glob -nocomplain $net::scratch/*.log] {
                if {[regexp {(ERROR: \w+Sanitizer|runtime error:|Assertion .* failed).*} [net::slurp $log] report]} {
                    lappend ends $log $report
                }
            }
            join $ends \n
        } -result ""
        set failed [expr {$tcltest::numTests(Failed) > 0}]
        if {$failed} { show_logs }
        tcltest::cleanupTests
        exit $failed
    }

    proc show_logs {} {
        variable scratch
        foreach log [glob -nocomplain $scratch/*.log] {
            puts "-- the end of [file tail $log]:\n[string range [slurp $log] end-3000 end]"
        }
    }

    # ---- clients ----

    # Sends bytes on a new connection and returns all that comes until the peer closes, or, with a
    # pattern, until it has come. The connection is closed after.
    proc exchange {bytes {pattern ""} {port 80}} {
        variable patience_ms
        set channel [socket 10.77.0.2 $port]
        fconfigure $channel -translation binary -buffering none
        set got ""
        set end [expr {[clock milliseconds] + $patience_ms}]
        try {
            puts -nonewline $channel $bytes
            fconfigure $channel -blocking 0
            while {![eof $channel] && ($pattern eq "" || ![regexp -- $pattern $got])} {
                append got [read $channel]
                if {[clock milliseconds] > $end} { error "no end of the answer; so far: $got" }
                after 2
            }
        } finally {
            close $channel
        }
        return $got
    }

    # A file of random bytes below www. Returns its SHA-256.
    proc make_file {name mib} {
        variable scratch
        exec head -c [expr {$mib * 1048576}] /dev/urandom > $scratch/www/$name
        return [sha256 $scratch/www/$name]
    }

    proc sha256 {path} { return [lindex [exec sha256sum $path] 0] }

    proc fetch_sha256 {name} {
        return [lindex [exec bash -c "set -o pipefail; curl -sSf --max-time 120 http://10.77.0.2/$name | sha256sum"] 0]
    }

    # ---- figures of a process ----

    proc rss_kb {pid} {
        regexp {VmRSS:\s+(\d+) kB} [slurp /proc/$pid/status] -> kb
        return $kb
    }
    proc descriptors {pid} { return [llength [glob -nocomplain -directory /proc/$pid/fd *]] }
}

tcltest::configure -verbose {pass skip error msec body}
tcltest::testConstraint needs_plain_build [expr {!$net::sanitized}]
tcltest::testConstraint needs_LONG $net::long
tcltest::testConstraint needs_traceroute [expr {[auto_execok traceroute] ne ""}]
net::isolate
namespace import net::e2e

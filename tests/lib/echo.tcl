#!/usr/bin/env tclsh
# An echo server on the kernel's TCP: `echo.tcl ADDRESS PORT`. The peer of ts_connect in the tests.
proc serve {channel args} {
    fconfigure $channel -translation binary
    fcopy $channel $channel -command [list finish $channel]
}
proc finish {channel args} { close $channel }
lassign $argv address port
socket -server serve -myaddr $address $port
puts stderr listening
vwait forever

/* Every setting of the stack, written once: SETTING(field, name, default, least, most, unit, what).

   Configuration file, console, lab and tests all read this list. Times are microseconds. */
#ifndef TAPSTACK_CORE_SETTINGS_H
#define TAPSTACK_CORE_SETTINGS_H

#include <stdint.h>

#define STACK_SETTINGS(SETTING)                                                                    \
    SETTING(ip_ttl, "ip.ttl", 64, 1, 255, "", "time to live of what we send")                      \
    SETTING(                                                                                       \
        ip_pmtu_discovery, "ip.pmtu_discovery", 1, 0, 1, "",                                       \
        "find the path MTU: send TCP segments with DF, believe fragmentation needed (RFC 1191)")   \
    SETTING(ip_min_pmtu, "ip.min_pmtu", 552, 68, 65535, "bytes",                                   \
            "a path MTU is never believed to be less; below it, no DF")                            \
    SETTING(ip_pmtu_expires_us, "ip.pmtu_expires", 600000000, 1000000, 86400000000, "us",          \
            "a path MTU is remembered this long, then tried larger")                               \
    SETTING(ip_pmtu_entries, "ip.pmtu_entries", 4096, 1, 1048576, "",                              \
            "path MTUs remembered at most")                                                        \
    SETTING(ip_reassembly_memory, "ip.reassembly_memory", 4194304, 0, 1073741824, "bytes",         \
            "fragments waiting for their datagram hold this much at most; 0: none is taken")       \
    SETTING(ip_reassembly_per_source, "ip.reassembly_per_source", 1048576, 0, 1073741824, "bytes", \
            "of it, what the fragments of one source may hold")                                    \
    SETTING(ip_reassembly_datagrams, "ip.reassembly_datagrams", 4096, 0, 65536, "",                \
            "datagrams that may wait for fragments")                                               \
    SETTING(ip_reassembly_timeout_us, "ip.reassembly_timeout", 30000000, 1000000, 120000000, "us", \
            "fragments wait this long for the rest (RFC 1122, 3.3.2)")                             \
    SETTING(ip_forward, "ip.forward", 0, 0, 1, "",                                                 \
            "forward what is not for us, as a router does (RFC 1812)")                             \
    SETTING(ip_source_route, "ip.source_route", 0, 0, 1, "",                                       \
            "obey source routes instead of refusing them")                                         \
    SETTING(ip_strong_host, "ip.strong_host", 0, 0, 1, "",                                         \
            "an address is only reached by its own interface (RFC 1122, 3.3.4.2)")                 \
    SETTING(ip_routes_max, "ip.routes_max", 16384, 16, 65536, "", "routes kept at most")           \
    SETTING(ip_forward_queue, "ip.forward_queue", 16777216, 65536, 1073741824, "bytes",            \
            "forwarded frames that wait to be sent hold this much at most")                        \
    SETTING(ip_reverse_path, "ip.reverse_path", 0, 0, 1, "",                                       \
            "forward only what comes from where an answer would go (RFC 1812, 5.3.8)")             \
    SETTING(ip_send_redirects, "ip.send_redirects", 1, 0, 1, "",                                   \
            "tell neighbors of a better first hop, while forwarding")                              \
    SETTING(ip_redirects_max, "ip.redirects_max", 1024, 0, 65536, "",                              \
            "routes learned from redirects at most; the oldest goes")                              \
    SETTING(ip_redirect_lifetime_us, "ip.redirect_lifetime", 600000000, 1000000, 86400000000,      \
            "us", "a learned route is kept this long")                                             \
    SETTING(icmp_error_rate, "icmp.error_rate", 1000, 0, 1000000, "/s",                            \
            "ICMP errors sent a second at most")                                                   \
    SETTING(icmp_error_rate_host, "icmp.error_rate_host", 500, 0, 1000000, "/s",                   \
            "ICMP errors sent a second to one host at most")                                       \
    SETTING(icmp_echo, "icmp.echo", 1, 0, 1, "", "answer echo requests")                           \
    SETTING(icmp_echo_broadcast, "icmp.echo_broadcast", 0, 0, 1, "",                               \
            "answer echo requests to broadcast and multicast addresses")                           \
    SETTING(icmp_timestamp, "icmp.timestamp", 1, 0, 1, "", "answer timestamp requests")            \
    SETTING(icmp_accept_redirects, "icmp.accept_redirects", 1, 0, 1, "",                           \
            "believe the redirects of a gateway in use, while not forwarding")                     \
    SETTING(filter_rules_max, "filter.rules_max", 4096, 1, 65536, "",                              \
            "rules of the packet filter at most")                                                  \
    SETTING(filter_flows_max, "filter.flows_max", 65536, 1, 1048576, "",                           \
            "flows tracked at most; a larger one counts from the next change of the rules")        \
    SETTING(filter_tcp_loose, "filter.tcp_loose", 0, 0, 1, "",                                     \
            "TCP connections may be joined under way")                                             \
    SETTING(filter_tcp_opening_us, "filter.tcp_opening", 120000000, 1000000, 3600000000, "us",     \
            "a handshake that goes no further is forgotten")                                       \
    SETTING(filter_tcp_established_us, "filter.tcp_established", 432000000000, 1000000,            \
            31536000000000, "us", "a silent connection is forgotten")                              \
    SETTING(filter_tcp_closing_us, "filter.tcp_closing", 120000000, 1000000, 3600000000, "us",     \
            "a connection with a FIN is forgotten when silent")                                    \
    SETTING(filter_tcp_reset_us, "filter.tcp_reset", 10000000, 1000000, 3600000000, "us",          \
            "a connection that was reset is forgotten")                                            \
    SETTING(filter_udp_us, "filter.udp", 30000000, 1000000, 3600000000, "us",                      \
            "a flow of UDP is forgotten when silent")                                              \
    SETTING(filter_udp_assured_us, "filter.udp_assured", 180000000, 1000000, 86400000000, "us",    \
            "... that has gone on after an answer")                                                \
    SETTING(filter_icmp_us, "filter.icmp", 30000000, 1000000, 3600000000, "us",                    \
            "a flow of ICMP queries is forgotten when silent")                                     \
    SETTING(filter_other_us, "filter.other", 600000000, 1000000, 86400000000, "us",                \
            "a flow of another protocol is forgotten when silent")                                 \
    SETTING(arp_reachable_us, "arp.reachable", 30000000, 1000000, 3600000000, "us",                \
            "a confirmed neighbor is trusted this long, half to one and a half times")             \
    SETTING(arp_delay_us, "arp.delay", 5000000, 1000, 600000000, "us",                             \
            "a neighbor in doubt is used this long before it is probed")                           \
    SETTING(arp_retry_us, "arp.retry", 1000000, 1000, 60000000, "us", "pause between requests")    \
    SETTING(arp_retries, "arp.retries", 3, 1, 20, "",                                              \
            "broadcast requests before a neighbor has failed")                                     \
    SETTING(arp_probes, "arp.probes", 3, 1, 20, "", "unicast requests before everybody is asked")  \
    SETTING(arp_verify_us, "arp.verify", 200000, 0, 10000000, "us",                                \
            "pause between probes of a neighbor whose address another claims; 0: believe it")      \
    SETTING(arp_idle_us, "arp.idle", 600000000, 1000000, 86400000000, "us",                        \
            "a stale neighbor that is not used is forgotten after this")                           \
    SETTING(arp_table_max, "arp.table_max", 1024, 8, 65536, "", "neighbors kept at most")          \
    SETTING(arp_queue_max, "arp.queue_max", 64, 1, 1024, "",                                       \
            "frames kept for an unresolved neighbor")                                              \
    SETTING(arp_queue_memory, "arp.queue_memory", 16777216, 4096, 17179869184, "bytes",            \
            "frames kept for all unresolved neighbors together")                                   \
    SETTING(arp_address_probes, "arp.address_probes", 0, 0, 20, "",                                \
            "probes before we use an address of ours (RFC 5227: 3); 0: used at once")              \
    SETTING(arp_probe_wait_us, "arp.probe_wait", 1000000, 0, 60000000, "us",                       \
            "random time before the first of them")                                                \
    SETTING(arp_probe_min_us, "arp.probe_min", 1000000, 1000, 60000000, "us",                      \
            "least pause between them")                                                            \
    SETTING(arp_probe_max_us, "arp.probe_max", 2000000, 1000, 60000000, "us",                      \
            "greatest pause between them")                                                         \
    SETTING(arp_announce_wait_us, "arp.announce_wait", 2000000, 1000, 60000000, "us",              \
            "time after the last of them until the address is ours")                               \
    SETTING(arp_announcements, "arp.announcements", 2, 1, 20, "",                                  \
            "announcements of an address that has become ours")                                    \
    SETTING(arp_announce_interval_us, "arp.announce_interval", 2000000, 1000, 60000000, "us",      \
            "pause between them")                                                                  \
    SETTING(arp_conflict, "arp.conflict", 1, 0, 3, "",                                             \
            "another host uses our address: 0 ignore, 1 defend, 2 defend once, 3 give it up")      \
    SETTING(arp_defend_interval_us, "arp.defend_interval", 10000000, 1000, 600000000, "us",        \
            "least time between two defences of an address")                                       \
    SETTING(arp_recheck_us, "arp.recheck", 60000000, 1000, 86400000000, "us",                      \
            "time until an address that was given up is probed again")                             \
    SETTING(udp_receive_buffer, "udp.receive_buffer", 212992, 2048, 1073741824, "bytes",           \
            "datagrams kept for a socket at most, with their overhead")                            \
    SETTING(udp_send_buffer, "udp.send_buffer", 212992, 2048, 1073741824, "bytes",                 \
            "datagrams of a socket that may wait to leave")                                        \
    SETTING(udp_memory, "udp.memory", 67108864, 65536, 1099511627776, "bytes",                     \
            "datagrams of all sockets, in and out")                                                \
    SETTING(igmp_groups_max, "igmp.groups_max", 256, 0, 65536, "",                                 \
            "multicast groups the host is a member of at most")                                    \
    SETTING(tcp_profile, "tcp.profile", 0, 0, 1, "",                                               \
            "look like 0 Linux, 1 BSD: sets others, which may be set behind it")                   \
    SETTING(tcp_window_scaling, "tcp.window_scaling", 1, 0, 1, "",                                 \
            "offer window scaling (RFC 7323, 2)")                                                  \
    SETTING(tcp_window_scale, "tcp.window_scale", 8, 0, 14, "", "the shift count we offer")        \
    SETTING(tcp_timestamps, "tcp.timestamps", 1, 0, 1, "", "offer timestamps (RFC 7323, 3)")       \
    SETTING(tcp_timestamp_tick_us, "tcp.timestamp_tick", 1000, 1, 1000000, "us",                   \
            "tick of our timestamp clock")                                                         \
    SETTING(tcp_sack, "tcp.sack", 1, 0, 1, "", "offer selective acknowledgments (RFC 2018)")       \
    SETTING(tcp_receive_buffer, "tcp.receive_buffer", 6291456, 2048, 1073741824, "bytes",          \
            "receive buffer of a connection at most")                                              \
    SETTING(tcp_send_buffer, "tcp.send_buffer", 4194304, 2048, 1073741824, "bytes",                \
            "send buffer of a connection at most")                                                 \
    SETTING(tcp_memory, "tcp.memory", 1073741824, 65536, 1099511627776, "bytes",                   \
            "socket buffers in all, beyond which none grows")                                      \
    SETTING(tcp_initial_window, "tcp.initial_window", 10, 1, 1000, "segments",                     \
            "initial congestion window (RFC 6928)")                                                \
    SETTING(tcp_slow_start_after_idle, "tcp.slow_start_after_idle", 0, 0, 1, "",                   \
            "restart the congestion window after an idle RTO (RFC 5681, 4.1)")                     \
    SETTING(tcp_rto_initial_us, "tcp.rto_initial", 1000000, 1000, 60000000, "us",                  \
            "RTO before the first sample (RFC 6298, 2.1)")                                         \
    SETTING(tcp_rto_min_us, "tcp.rto_min", 200000, 1000, 60000000, "us",                           \
            "least allowance of the RTO over the round trip")                                      \
    SETTING(tcp_rto_max_us, "tcp.rto_max", 120000000, 1000000, 600000000, "us",                    \
            "greatest RTO (RFC 6298, 2.5)")                                                        \
    SETTING(tcp_syn_retries, "tcp.syn_retries", 7, 0, 127, "",                                     \
            "SYN retransmissions before giving up (R2 of MUST-23: 3 minutes)")                     \
    SETTING(tcp_synack_retries, "tcp.synack_retries", 5, 0, 127, "",                               \
            "SYN-ACK retransmissions before giving up")                                            \
    SETTING(tcp_syn_linear_timeouts, "tcp.syn_linear_timeouts", 0, 0, 16, "",                      \
            "first SYN retransmissions without back-off")                                          \
    SETTING(tcp_syn_slack_us, "tcp.syn_slack", 0, 0, 10000000, "us",                               \
            "added to each backed-off timeout of a SYN (FreeBSD: 200 ms)")                         \
    SETTING(tcp_retries1, "tcp.retries1", 3, 1, 255, "",                                           \
            "R1: retransmissions before trouble is reported")                                      \
    SETTING(tcp_retries2, "tcp.retries2", 15, 1, 255, "",                                          \
            "R2: retransmissions before the connection is given up")                               \
    SETTING(tcp_delayed_ack, "tcp.delayed_ack", 1, 0, 1, "", "delay ACKs (RFC 9293 3.8.6.3)")      \
    SETTING(tcp_delayed_ack_us, "tcp.delayed_ack_timeout", 40000, 1000, 499999, "us",              \
            "an ACK is delayed this long at most (MUST-40)")                                       \
    SETTING(tcp_quick_ack_segments, "tcp.quick_ack_segments", 16, 0, 1000, "segments",             \
            "full segments ACKed at once when a connection starts")                                \
    SETTING(tcp_nagle, "tcp.nagle", 1, 0, 1, "",                                                   \
            "Nagle's algorithm where the socket does not say (SHLD-7)")                            \
    SETTING(tcp_msl_us, "tcp.msl", 30000000, 1000, 240000000, "us",                                \
            "maximum segment lifetime; TIME-WAIT lasts two")                                       \
    SETTING(tcp_time_wait_max, "tcp.time_wait_max", 32768, 0, 1048576, "",                         \
            "connections in TIME-WAIT kept at most")                                               \
    SETTING(tcp_fin_wait_2_us, "tcp.fin_wait_2", 60000000, 1000, 3600000000, "us",                 \
            "FIN-WAIT-2 of a closed socket lasts this long")                                       \
    SETTING(tcp_keepalive_time_us, "tcp.keepalive_time", 7200000000, 1000000, 32767000000, "us",   \
            "idle time before the first probe (MUST-28)")                                          \
    SETTING(tcp_keepalive_interval_us, "tcp.keepalive_interval", 75000000, 1000000, 32767000000,   \
            "us", "pause between probes")                                                          \
    SETTING(tcp_keepalive_probes, "tcp.keepalive_probes", 9, 1, 127, "",                           \
            "unanswered probes before the peer is dead")                                           \
    SETTING(tcp_challenge_ack_limit, "tcp.challenge_ack_limit", 10, 0, 1000, "/5 s",               \
            "challenge ACKs a connection sends in five seconds (RFC 5961, 7)")                     \
    SETTING(tcp_backlog_max, "tcp.backlog_max", 4096, 1, 65535, "",                                \
            "longest accept queue, and embryonic connections of a listener")                       \
    SETTING(tcp_out_of_order_ranges, "tcp.out_of_order_ranges", 128, 1, 4096, "",                  \
            "separate out-of-order ranges kept a connection")                                      \
    SETTING(tcp_duplicate_threshold, "tcp.duplicate_threshold", 3, 1, 300, "",                     \
            "duplicate ACKs that mean a loss (RFC 5681, 3.2)")                                     \
    SETTING(                                                                                       \
        tcp_pmtu_evidence, "tcp.pmtu_evidence", 1, 0, 15, "",                                      \
        "timeouts awaited before a path is believed to take less than it has taken (RFC 5927)")    \
    SETTING(tcp_port_first, "tcp.port_first", 32768, 1, 65535, "", "first ephemeral port")         \
    SETTING(tcp_port_last, "tcp.port_last", 60999, 1, 65535, "", "last ephemeral port")            \
    SETTING(tcp_push_bursts, "tcp.push_bursts", 1, 0, 1, "",                                       \
            "PSH ends every super-frame: the receiver waits for no more of it")                    \
    SETTING(tcp_segmentation_offload, "tcp.segmentation_offload", 1, 0, 1, "",                     \
            "send super-frames where the interface can")

struct stack_settings {
#define STACK_SETTING_FIELD(field, name, initial, least, most, unit, what) uint64_t field;
    STACK_SETTINGS(STACK_SETTING_FIELD)
#undef STACK_SETTING_FIELD
};

#endif

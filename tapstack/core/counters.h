/* Every counter of the stack, written once: COUNTER(id, name, what it counts).

   Names are those of Linux' /proc/net/snmp and netstat where the meaning is the same. Drops are
   counters too: whoever drops a frame does it with stack_drop and the counter that says why, so
   that no frame is lost without a reason that a user can see. */
#ifndef TAPSTACK_CORE_COUNTERS_H
#define TAPSTACK_CORE_COUNTERS_H

#define STACK_COUNTERS(COUNTER)                                                                    \
    /* ARP and the neighbor cache */                                                               \
    COUNTER(ARP_IN_REQUESTS, "ArpInRequests", "requests received")                                 \
    COUNTER(ARP_IN_REPLIES, "ArpInReplies", "replies received")                                    \
    COUNTER(ARP_OUT_REQUESTS, "ArpOutRequests", "requests sent")                                   \
    COUNTER(ARP_OUT_REPLIES, "ArpOutReplies", "replies sent")                                      \
    COUNTER(ARP_IN_ERRORS, "ArpInErrors", "dropped: malformed, or a sender that cannot be")        \
    COUNTER(ARP_IN_UNKNOWN_OPS, "ArpInUnknownOps",                                                 \
            "dropped: neither request nor reply (RFC 5494)")                                       \
    COUNTER(ARP_IN_MISMATCHES, "ArpInMismatches",                                                  \
            "packets whose sender is not the source of their frame")                               \
    COUNTER(ARP_IN_IGNORED, "ArpInIgnored", "dropped: nothing of ours was asked or answered")      \
    COUNTER(ARP_TABLE_FULL, "ArpTableFull", "dropped: no room in the neighbor cache")              \
    COUNTER(ARP_QUEUE_DROPS, "ArpQueueDrops",                                                      \
            "dropped: the queue of an unresolved neighbor was full")                               \
    COUNTER(ARP_FAILED, "ArpFailed", "dropped: the neighbor did not answer")                       \
    COUNTER(ARP_NOT_LEARNED, "ArpNotLearned",                                                      \
            "askers not remembered: the neighbor cache is full of others in use")                  \
    COUNTER(ARP_CLAIMS, "ArpClaims", "packets with another MAC for a neighbor that we know")       \
    COUNTER(ARP_MOVED, "ArpMoved", "neighbors in use that were found at another MAC")              \
    COUNTER(ARP_OUT_PROXIES, "ArpOutProxies", "replies sent for hosts that we forward to")         \
    COUNTER(ARP_CONFLICTS, "ArpConflicts",                                                         \
            "dropped: another host uses an address of ours (RFC 5227, 2.4)")                       \
    COUNTER(ARP_DEFENCES, "ArpDefences", "announcements that defended an address of ours")         \
    COUNTER(ARP_ADDRESS_UNUSABLE, "ArpAddressUnusable",                                            \
            "dropped: to or from an address of ours that is being probed or was given up")         \
    /* Ethernet */                                                                                 \
    COUNTER(ETH_IN_TRUNCATED, "EthInTruncated", "dropped: shorter than an Ethernet header")        \
    COUNTER(ETH_IN_UNKNOWN_TYPE, "EthInUnknownType", "dropped: EtherType without a handler")       \
    COUNTER(ETH_IN_BAD_INTERFACE, "EthInBadInterface", "dropped: no such interface")               \
    /* IP-MIB (RFC 4293) */                                                                        \
    COUNTER(IP_IN_RECEIVES, "IpInReceives", "datagrams received")                                  \
    COUNTER(IP_IN_TRUNCATED, "IpInTruncatedPkts",                                                  \
            "dropped: shorter than a header, or than its total length")                            \
    COUNTER(IP_IN_BAD_VERSION, "IpInBadVersion", "dropped: not version 4")                         \
    COUNTER(IP_IN_BAD_HEADER_LENGTH, "IpInBadHeaderLength", "dropped: header length below 20")     \
    COUNTER(IP_IN_CSUM_ERRORS, "IpInCsumErrors", "dropped: header checksum wrong")                 \
    COUNTER(IP_IN_BAD_TOTAL_LENGTH, "IpInBadTotalLength",                                          \
            "dropped: total length below the header's")                                            \
    COUNTER(IP_IN_MARTIAN_SOURCES, "IpInMartianSources",                                           \
            "dropped: from an address that no other host can have")                                \
    COUNTER(IP_IN_MARTIAN_DESTINATIONS, "IpInMartianDestinations",                                 \
            "dropped: to an address that no host can have")                                        \
    COUNTER(IP_IN_LINK_BROADCASTS, "IpInLinkBroadcasts",                                           \
            "dropped: for one host, but in a frame for many (RFC 1122, 3.3.6)")                    \
    COUNTER(IP_IN_DIRECTED_BROADCASTS, "IpInDirectedBroadcasts",                                   \
            "dropped: to a network as a whole, from outside or in the old form")                   \
    COUNTER(IP_IN_NOT_JOINED, "IpInNotJoined",                                                     \
            "dropped: to a multicast group that nobody has joined")                                \
    COUNTER(IP_IN_WRONG_INTERFACE, "IpInWrongInterface",                                           \
            "dropped: for an address of another interface (ip.strong_host)")                       \
    COUNTER(IP_IN_BAD_OPTIONS, "IpInBadOptions",                                                   \
            "dropped: an option is malformed, or stands twice")                                    \
    COUNTER(IP_IN_SOURCE_ROUTED, "IpInSourceRouted",                                               \
            "dropped: a source route, which ip.source_route forbids")                              \
    COUNTER(IP_IN_ADDR_ERRORS, "IpInAddrErrors",                                                   \
            "dropped: for another host, and ip.forward is off")                                    \
    COUNTER(IP_IN_UNKNOWN_PROTOS, "IpInUnknownProtos", "dropped: protocol without a handler")      \
    COUNTER(IP_REASM_REQDS, "IpReasmReqds", "fragments received that are to be put together")      \
    COUNTER(IP_REASM_OKS, "IpReasmOKs", "datagrams put together from fragments")                   \
    COUNTER(IP_REASM_FAILS, "IpReasmFails", "failures to put a datagram together, for any reason") \
    COUNTER(IP_REASM_TIMEOUT, "IpReasmTimeout",                                                    \
            "dropped: a datagram whose fragments did not all come in time")                        \
    COUNTER(IP_REASM_OVERLAPS, "IpReasmOverlaps",                                                  \
            "dropped: a datagram whose fragments overlap (RFC 5722)")                              \
    COUNTER(IP_REASM_BAD_ENDS, "IpReasmBadEnds",                                                   \
            "dropped: a datagram with two ends, or a fragment behind its end")                     \
    COUNTER(IP_REASM_BAD_ECN, "IpReasmBadEcn",                                                     \
            "dropped: a datagram whose fragments contradict in ECN (RFC 3168, 5.3)")               \
    COUNTER(IP_REASM_REFUSED, "IpReasmRefused",                                                    \
            "dropped: a fragment of a datagram that was dropped before")                           \
    COUNTER(IP_REASM_DUPLICATES, "IpReasmDuplicates", "dropped: a fragment that is there already") \
    COUNTER(IP_REASM_EVICTED, "IpReasmEvicted",                                                    \
            "dropped: the oldest datagram of a source, for its newer fragments")                   \
    COUNTER(IP_REASM_NO_ROOM, "IpReasmNoRoom", "dropped: a fragment, the limits being reached")    \
    COUNTER(IP_REASM_TOO_LONG, "IpReasmTooLong",                                                   \
            "dropped: a fragment that ends behind byte 65,535 (ping of death)")                    \
    COUNTER(IP_REASM_TINY, "IpReasmTiny",                                                          \
            "dropped: a first fragment without its transport header (RFC 1858, 3)")                \
    COUNTER(IP_REASM_TCP_OFFSET, "IpReasmTcpOffset",                                               \
            "dropped: a fragment that starts inside the TCP header (RFC 3128, 2)")                 \
    COUNTER(IP_REASM_UNALIGNED, "IpReasmUnaligned",                                                \
            "dropped: a fragment, not the last, of a length no multiple of 8")                     \
    COUNTER(IP_REASM_EMPTY, "IpReasmEmpty", "dropped: a fragment without payload")                 \
    COUNTER(IP_IN_DELIVERS, "IpInDelivers", "datagrams handed to a protocol")                      \
    COUNTER(IP_FORW_DATAGRAMS, "IpForwDatagrams", "datagrams forwarded")                           \
    COUNTER(IP_FORW_TTL_EXCEEDED, "IpForwTtlExceeded", "dropped: the time to live ended here")     \
    COUNTER(IP_FORW_NO_ROUTES, "IpForwNoRoutes", "dropped: no route for a datagram of others")     \
    COUNTER(IP_FORW_REVERSE_PATH, "IpForwReversePath",                                             \
            "dropped: came from where no answer would go (ip.reverse_path)")                       \
    COUNTER(IP_FORW_ROUTE_FAILED, "IpForwRouteFailed",                                             \
            "dropped: a stop of a source route that cannot be reached")                            \
    COUNTER(IP_FORW_TOO_BIG, "IpForwTooBig",                                                       \
            "dropped: larger than the next link takes, and not to be fragmented")                  \
    COUNTER(IP_FORW_QUEUE_DROPS, "IpForwQueueDrops",                                               \
            "dropped: too much waits to be forwarded, or no memory")                               \
    COUNTER(IP_OUT_REQUESTS, "IpOutRequests", "datagrams that protocols asked to send")            \
    COUNTER(IP_OUT_NO_ROUTES, "IpOutNoRoutes", "dropped: no route to the destination")             \
    COUNTER(IP_OUT_DISCARDS, "IpOutDiscards", "dropped: no memory for the datagram")               \
    COUNTER(IP_FRAG_OKS, "IpFragOKs", "datagrams sent as fragments")                               \
    COUNTER(IP_FRAG_FAILS, "IpFragFails",                                                          \
            "dropped: larger than the MTU, and not to be or not able to be fragmented")            \
    COUNTER(IP_FRAG_CREATES, "IpFragCreates", "fragments made")                                    \
    /* The packet filter */                                                                        \
    COUNTER(FILTER_IN_DROPS, "FilterInDrops", "dropped: by the input chain")                       \
    COUNTER(FILTER_IN_REJECTS, "FilterInRejects", "dropped: rejected by the input chain")          \
    COUNTER(FILTER_FORWARD_DROPS, "FilterForwardDrops", "dropped: by the forward chain")           \
    COUNTER(FILTER_FORWARD_REJECTS, "FilterForwardRejects",                                        \
            "dropped: rejected by the forward chain")                                              \
    COUNTER(FILTER_OUT_DROPS, "FilterOutDrops", "dropped: by the output chain")                    \
    COUNTER(FILTER_OUT_REJECTS, "FilterOutRejects", "dropped: rejected by the output chain")       \
    COUNTER(FILTER_FLOWS_FULL, "FilterFlowsFull",                                                  \
            "dropped: would begin a flow, and no room for it")                                     \
    COUNTER(FILTER_FLOWS_EARLY, "FilterFlowsEarlyDrops",                                           \
            "flows not assured that made way for newer ones")                                      \
    /* ICMP-MIB (RFC 4293), and what came of errors */                                             \
    COUNTER(ICMP_IN_MSGS, "IcmpInMsgs", "messages received")                                       \
    COUNTER(ICMP_IN_ERRORS, "IcmpInErrors", "dropped: malformed, or quoting nothing of ours")      \
    COUNTER(ICMP_IN_CSUM_ERRORS, "IcmpInCsumErrors", "dropped: checksum wrong")                    \
    COUNTER(ICMP_IN_DEST_UNREACHS, "IcmpInDestUnreachs", "destination unreachable received")       \
    COUNTER(ICMP_IN_TIME_EXCDS, "IcmpInTimeExcds", "time exceeded received")                       \
    COUNTER(ICMP_IN_PARM_PROBS, "IcmpInParmProbs", "parameter problem received")                   \
    COUNTER(ICMP_IN_SRC_QUENCHS, "IcmpInSrcQuenchs", "dropped: source quench (RFC 9293, MUST-55)") \
    COUNTER(ICMP_IN_REDIRECTS, "IcmpInRedirects", "redirects received")                            \
    COUNTER(ICMP_IN_ECHOS, "IcmpInEchos", "echo requests received")                                \
    COUNTER(ICMP_IN_ECHO_REPS, "IcmpInEchoReps", "echo replies received")                          \
    COUNTER(ICMP_IN_TIMESTAMPS, "IcmpInTimestamps", "timestamp requests received")                 \
    COUNTER(ICMP_IN_TIMESTAMP_REPS, "IcmpInTimestampReps", "dropped: timestamp reply")             \
    COUNTER(ICMP_IN_ADDR_MASKS, "IcmpInAddrMasks", "dropped: address mask request")                \
    COUNTER(ICMP_IN_ADDR_MASK_REPS, "IcmpInAddrMaskReps", "dropped: address mask reply")           \
    COUNTER(ICMP_IN_ROUTER_ADVERTS, "IcmpMsgInType9", "dropped: router advertisement")             \
    COUNTER(ICMP_IN_ROUTER_SOLICITS, "IcmpMsgInType10", "dropped: router solicitation")            \
    COUNTER(ICMP_IN_INFOS, "IcmpMsgInType15", "dropped: information request")                      \
    COUNTER(ICMP_IN_INFO_REPS, "IcmpMsgInType16", "dropped: information reply")                    \
    COUNTER(ICMP_IN_IGNORED, "IcmpInIgnored", "dropped: of an unknown type, or nobody wants it")   \
    COUNTER(ICMP_OUT_MSGS, "IcmpOutMsgs", "messages sent")                                         \
    COUNTER(ICMP_OUT_ERRORS, "IcmpOutErrors", "messages not sent: no memory or no way")            \
    COUNTER(ICMP_OUT_RATE_LIMIT_GLOBAL, "IcmpOutRateLimitGlobal",                                  \
            "errors not sent: the limit for all was reached")                                      \
    COUNTER(ICMP_OUT_RATE_LIMIT_HOST, "IcmpOutRateLimitHost",                                      \
            "errors not sent: the limit for their receiver was reached")                           \
    COUNTER(ICMP_OUT_DEST_UNREACHS, "IcmpOutDestUnreachs", "destination unreachable sent")         \
    COUNTER(ICMP_OUT_TIME_EXCDS, "IcmpOutTimeExcds", "time exceeded sent")                         \
    COUNTER(ICMP_OUT_PARM_PROBS, "IcmpOutParmProbs", "parameter problem sent")                     \
    COUNTER(ICMP_OUT_REDIRECTS, "IcmpOutRedirects", "redirects sent")                              \
    COUNTER(ICMP_OUT_ECHOS, "IcmpOutEchos", "echo requests sent")                                  \
    COUNTER(ICMP_OUT_ECHO_REPS, "IcmpOutEchoReps", "echo replies sent")                            \
    COUNTER(ICMP_OUT_TIMESTAMP_REPS, "IcmpOutTimestampReps", "timestamp replies sent")             \
    COUNTER(REDIRECTS_IGNORED, "RedirectsIgnored",                                                 \
            "dropped: a redirect that is not to be believed (RFC 1122, 3.2.2.2)")                  \
    COUNTER(PMTU_LOWERED, "PmtuLowered", "path MTUs lowered by fragmentation needed")              \
    COUNTER(PMTU_IGNORED, "PmtuIgnored",                                                           \
            "dropped: fragmentation needed for nothing so large (RFC 5927, 7)")                    \
    COUNTER(PMTU_DOUBTED, "PmtuDoubted",                                                           \
            "fragmentation needed that waits for a timeout (RFC 5927, 7.2)")                       \
    /* UDP */                                                                                      \
    COUNTER(UDP_IN_DATAGRAMS, "UdpInDatagrams", "datagrams queued for a socket")                   \
    COUNTER(UDP_OUT_DATAGRAMS, "UdpOutDatagrams", "datagrams sent")                                \
    COUNTER(UDP_IN_ERRORS, "UdpInErrors", "dropped: malformed")                                    \
    COUNTER(UDP_IN_CSUM_ERRORS, "UdpInCsumErrors", "dropped: checksum wrong")                      \
    COUNTER(UDP_NO_PORTS, "UdpNoPorts", "dropped: nobody at the port")                             \
    COUNTER(UDP_RCVBUF_ERRORS, "UdpRcvbufErrors", "dropped: the socket's receive buffer was full") \
    COUNTER(UDP_SNDBUF_ERRORS, "UdpSndbufErrors", "not sent: no memory, or over udp.memory")       \
    COUNTER(UDP_MEM_ERRORS, "UdpMemErrors", "dropped: no memory, or over udp.memory")              \
    /* IGMP */                                                                                     \
    COUNTER(IGMP_IN_MSGS, "IgmpInMsgs", "messages received")                                       \
    COUNTER(IGMP_IN_ERRORS, "IgmpInErrors", "dropped: malformed")                                  \
    COUNTER(IGMP_IN_QUERIES, "IgmpInQueries", "queries received")                                  \
    COUNTER(IGMP_IN_IGNORED, "IgmpInIgnored", "dropped: of a type, or about a group, not ours")    \
    COUNTER(IGMP_OUT_REPORTS, "IgmpOutReports", "membership reports sent")                         \
    COUNTER(IGMP_OUT_LEAVES, "IgmpOutLeaves", "leaves sent")                                       \
    /* TCP-MIB (RFC 4022) */                                                                       \
    COUNTER(TCP_ACTIVE_OPENS, "TcpActiveOpens", "connections opened from here")                    \
    COUNTER(TCP_PASSIVE_OPENS, "TcpPassiveOpens", "connections opened by a peer")                  \
    COUNTER(TCP_ATTEMPT_FAILS, "TcpAttemptFails", "connections that failed before they stood")     \
    COUNTER(TCP_ESTAB_RESETS, "TcpEstabResets", "standing connections that were reset")            \
    COUNTER(TCP_IN_SEGS, "TcpInSegs", "segments received")                                         \
    COUNTER(TCP_OUT_SEGS, "TcpOutSegs", "segments sent, without retransmissions")                  \
    COUNTER(TCP_RETRANS_SEGS, "TcpRetransSegs", "segments retransmitted")                          \
    COUNTER(TCP_IN_ERRS, "TcpInErrs", "dropped: malformed header")                                 \
    COUNTER(TCP_IN_CSUM_ERRORS, "TcpInCsumErrors", "dropped: checksum wrong")                      \
    COUNTER(TCP_OUT_RSTS, "TcpOutRsts", "resets sent")                                             \
    COUNTER(TCP_NO_PORTS, "TcpNoPorts",                                                            \
            "dropped: no socket for the segment; answered with a reset")                           \
    COUNTER(TCP_BAD_ADDRESS, "TcpBadAddress",                                                      \
            "dropped: to or from a broadcast or multicast address")                                \
    COUNTER(TCP_BAD_OPTIONS, "TcpBadOptions", "segments with an option of illegal length")         \
    COUNTER(TCP_NO_ACK, "TcpNoAck", "dropped: no ACK bit where one must be")                       \
    COUNTER(TCP_BAD_ACK, "TcpBadAck", "dropped: acknowledges what was never sent, or too old")     \
    COUNTER(TCP_OUT_OF_WINDOW, "TcpOutOfWindow", "dropped: nothing of it inside the window")       \
    COUNTER(TCP_AFTER_CLOSE, "TcpAfterClose", "dropped: data for a direction that is closed")      \
    COUNTER(TCP_LISTEN_BAD_SEGMENT, "TcpListenBadSegment",                                         \
            "dropped: neither SYN nor ACK nor RST for a listener")                                 \
    COUNTER(TCP_RST_IGNORED, "TcpRstIgnored", "dropped: a reset outside the window")               \
    /* TcpExt, as Linux has them */                                                                \
    COUNTER(LISTEN_OVERFLOWS, "ListenOverflows", "dropped: accept queue full")                     \
    COUNTER(LISTEN_DROPS, "ListenDrops", "dropped: SYN for which there was no room")               \
    COUNTER(TW, "TW", "connections that entered TIME-WAIT")                                        \
    COUNTER(TW_RECYCLED, "TWRecycled", "TIME-WAIT left early for a new SYN")                       \
    COUNTER(TW_OVERFLOW, "TCPTimeWaitOverflow", "oldest TIME-WAIT given up for a newer one")       \
    COUNTER(PAWS_ESTAB, "PAWSEstab", "dropped: timestamp older than the last (RFC 7323, 5)")       \
    COUNTER(DELAYED_ACKS, "DelayedACKs", "ACKs sent by the delayed-ACK timer")                     \
    COUNTER(TCP_PURE_ACKS, "TCPPureAcks", "segments without data that moved snd.una")              \
    COUNTER(TCP_RENO_RECOVERY, "TCPRenoRecovery", "fast recoveries entered (NewReno)")             \
    COUNTER(TCP_FAST_RETRANS, "TCPFastRetrans", "segments retransmitted in fast recovery")         \
    COUNTER(TCP_SLOW_START_RETRANS, "TCPSlowStartRetrans",                                         \
            "segments retransmitted after a timeout")                                              \
    COUNTER(TCP_TIMEOUTS, "TCPTimeouts", "retransmission timeouts")                                \
    COUNTER(TCP_SYN_RETRANS, "TCPSynRetrans", "SYN and SYN-ACK retransmissions")                   \
    COUNTER(TCP_ABORT_ON_DATA, "TCPAbortOnData", "connections reset: data came after close")       \
    COUNTER(TCP_ABORT_ON_CLOSE, "TCPAbortOnClose", "connections reset: closed with data unread")   \
    COUNTER(TCP_ABORT_ON_TIMEOUT, "TCPAbortOnTimeout", "connections given up: the peer is silent") \
    COUNTER(TCP_ABORT_ON_LINGER, "TCPAbortOnLinger",                                               \
            "FIN-WAIT-2 given up: the peer did not close")                                         \
    COUNTER(TCP_RCV_Q_DROP, "TCPRcvQDrop", "dropped: no memory for received data")                 \
    COUNTER(TCP_OFO_QUEUE, "TCPOFOQueue", "segments kept out of order")                            \
    COUNTER(TCP_OFO_DROP, "TCPOFODrop", "dropped: out-of-order queue full")                        \
    COUNTER(TCP_DUPLICATE_DATA, "TCPDuplicateData", "dropped: only data received before")          \
    COUNTER(TCP_DSACK_OLD_SENT, "TCPDSACKOldSent", "D-SACKs sent for data below rcv.nxt")          \
    COUNTER(TCP_CHALLENGE_ACK, "TCPChallengeACK", "challenge ACKs sent (RFC 5961)")                \
    COUNTER(TCP_SYN_CHALLENGE, "TCPSYNChallenge",                                                  \
            "dropped: SYN in a synchronized state (RFC 5961, 4)")                                  \
    COUNTER(TCP_RST_CHALLENGE, "TCPRSTChallenge",                                                  \
            "dropped: RST in the window but not at its edge (RFC 5961, 3)")                        \
    COUNTER(TCP_ACK_SKIPPED_CHALLENGE, "TCPACKSkippedChallenge",                                   \
            "challenge ACKs not sent: the limit was reached")                                      \
    COUNTER(TCP_FROM_ZERO_WINDOW_ADV, "TCPFromZeroWindowAdv", "windows opened from zero")          \
    COUNTER(TCP_TO_ZERO_WINDOW_ADV, "TCPToZeroWindowAdv", "windows closed to zero")                \
    COUNTER(TCP_WIN_PROBE, "TCPWinProbe", "zero-window probes sent")                               \
    COUNTER(TCP_KEEP_ALIVE, "TCPKeepAlive", "keep-alive probes sent")                              \
    COUNTER(TCP_ORIG_DATA_SENT, "TCPOrigDataSent", "segments with new data sent")                  \
    COUNTER(TCP_HP_HITS, "TCPHPHits", "segments with data that came in order")                     \
    /* The frames as such */                                                                       \
    COUNTER(FRAMES_IN, "StackFramesIn", "frames given to the stack")                               \
    COUNTER(FRAMES_OUT, "StackFramesOut", "frames taken from the stack")                           \
    COUNTER(FRAMES_DROPPED, "StackFramesDropped", "frames dropped, for any reason")

enum stack_counter {
#define STACK_COUNTER_ID(id, name, what) STACK_COUNTER_##id,
    STACK_COUNTERS(STACK_COUNTER_ID)
#undef STACK_COUNTER_ID
        STACK_COUNTER_COUNT
};

#endif

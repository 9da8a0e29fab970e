/* Packet scripts: what the notation is, where an error in it is told, and what a run that differs
   says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../tapstack/lab/script_run.h"

#define OPEN                                                                                       \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"                                                \
    "+0 bind(3, ..., ...) = 0\n"                                                                   \
    "+0 listen(3, 1) = 0\n"                                                                        \
    "+0 < S 0:0(0) win 32792 <mss 1000>\n"                                                         \
    "+0 > S. 0:0(0) ack 1 <mss 1460>\n"                                                            \
    "+.1 < . 1:1(0) ack 1 win 30000\n"                                                             \
    "+0 accept(3, ..., ...) = 4\n"
enum { OPEN_LINES = 7 };

/* ---- Reading ---- */

static const struct {
    const char *text;
    int line, column;
    const char *words;
} errors[] = {
    {"0 frobnicate(3) = 0", 1, 3, "unknown call `frobnicate`"},
    {"0 sendfile(3, 4, [0], 100) = 100", 1, 3, "unknown call"},
    {"0 listen(3) = 0", 1, 9, "listen takes 2 arguments, not 1"},
    {"0 close(3, 4) = 0", 1, 8, "close takes 1 arguments, not 2"},
    {"0 setsockopt(3, SOL_TCP, TCP_ZEROCOPY_RECEIVE, [1], 4) = 0", 1, 26, "unknown constant"},
    {"0 send(3, ..., 5, MSG_ZEROCOPY) = 5", 1, 19, "unknown constant `MSG_ZEROCOPY`"},
    {"0 close(3) = -1 EWHATEVER", 1, 17, "unknown errno"},
    {"0 close(3) = \"x\"", 1, 14, "a value is meant here"},
    {"0 close(3", 1, 10, "`)` is meant here, not the end"},
    {"0 fcntl(3, F_GETFL) = 0x2 (flags", 1, 27, "not closed"},
    {"0 write(3, ..., 1/0) = 0", 1, 18, "division by 0"},
    {"0 write(3, ..., htons(\"x\")) = 0", 1, 23, "a number is meant here"},
    {"0 write(3, ..., inet_addr(\"1.2.3\")) = 0", 1, 27, "IPv4 address"},
    {"0 write(3, ..., getpid(1)) = 0", 1, 17, "unknown function `getpid`"},
    {"\n  x", 2, 3, "a time in seconds is meant here, not `x`"},
    {"12345678 close(3) = 0", 1, 1, "too far away"},
    {"0.2~0.1 > . 1:1(0)", 1, 4, "the end is before the beginning"},
    {"0.2...0.1 close(3) = 0", 1, 4, "the end is before the beginning"},
    {"0...1 < . 1:1(0) ack 1 win 1", 1, 1, "only a call takes its time"},
    {"+0~+1 close(3) = 0", 1, 1, "may come at any time"},
    {"* < . 1:1(0) ack 1 win 1", 1, 1, "may come at any time"},
    {"0 < Q 1:1(0)", 1, 5, "TCP flags"},
    {"0 < . 1:2(2) ack 1", 1, 7, "1 + 2 is not 2"},
    {"0 < . 1:1(0) ack 1 win 70000", 1, 24, "a window is from 0 to 65535"},
    {"0 < . 1:1(0) ack 1 win 1 <...>", 1, 3, "say which options"},
    {"0 < S 0:0(0) win 1 <mss 1460, mood 3>", 1, 31, "unknown TCP option: `mood`"},
    {"0 < S 0:0(0) win 1 <mss 99999>", 1, 25, "an MSS is from"},
    {"0 < S 0:0(0) win 1 <FO 12fg>", 1, 24, "a cookie in hexadecimal"},
    {"0 < S 0:0(0) win 1 <FO TFO_COOKIE>", 1, 24, "a cookie in hexadecimal"},
    {"0 < S 0:0(0) win 1 <TS val 1>", 1, 29, "behind TS val"},
    {"0 < . 1:1(0) ack 1 <sack 1:2 3:4 5:6 7:8 9:10>", 1, 42, "four blocks at most"},
    {"0 > [ect2] . 1:1(0)", 1, 6, "unknown word about the IP header"},
    {"0 < [ect01] . 1:1(0) ack 1 win 1", 1, 3, "[ect01]"},
    {"0 < [1:2(1)] . 1:1(0) ack 1 win 1", 1, 3, "only an ICMP packet quotes"},
    {"0 < icmp oops", 1, 10, "unknown ICMP type"},
    {"0 < icmp unreachable code_256", 1, 22, "unknown ICMP type or code"},
    {"0 < ipv4 1.2.3.4 > 5.6.7.8: . 1:1(0)", 1, 5, "TCP flags"},
    {"0 close(3) = 0\n--mtu=1500", 2, 1, "in front of the first event"},
    {"--define=X=what\n0 close(3) = 0", 1, 1, "neither a number nor a constant"},
    {"/* open", 1, 1, "this comment is not closed"},
    {"0 %{ assert 1", 1, 3, "this code is not closed"},
    {"0 `sysctl", 1, 3, "this command is not closed"},
    {"0 write(3, \"abc, 3) = 3", 1, 12, "this text is not closed"},
    {"0 close('ab') = 0", 1, 9, "a character in quotes"},
    {"0 close(0x) = 0", 1, 9, "not one"},
    {"0 close(12ab) = 0", 1, 9, "is not a number"},
};

static void test_errors_have_a_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct script_error error = {{0, 0}, ""};
        struct script *script =
            script_parse("x.pkt", errors[i].text, strlen(errors[i].text), &error);
        bool as_said = !script && error.place.line == errors[i].line &&
                       error.place.column == errors[i].column &&
                       strstr(error.text, errors[i].words);
        if (!as_said)
            fail_msg("%s\n-> %d:%d %s", errors[i].text, error.place.line, error.place.column,
                     script ? "no error" : error.text);
    }
}

static void test_nesting_is_bounded(void **state)
{
    char text[2048] = "0 close(";
    struct script_error error;
    (void)state;
    memset(text + strlen(text), '(', 1000);
    assert_null(script_parse("x.pkt", text, strlen(text), &error));
    assert_non_null(strstr(error.text, "nested too deeply"));
}

/* ---- Running ---- */

static bool run_text(const char *text, const struct script_options *options,
                     struct script_outcome *outcome)
{
    struct script_error error = {{0, 0}, ""};
    struct script *script = script_parse("x.pkt", text, strlen(text), &error);
    if (!script)
        fail_msg("%s\n-> %d:%d %s", text, error.place.line, error.place.column, error.text);
    script_run(script, options, outcome);
    script_destroy(script);
    return outcome->passed;
}

static const char *const passing[] = {
    "# one\n// two\n/* three\n   lines */ 0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, 0) = 3 // end\n",
    "--define=SIZE=1000\n" OPEN "+0 write(4, ..., SIZE) = 1000\n+0 > P. 1:1001(1000) ack 1\n",
    "--tolerance_usecs=0\n" OPEN "+0 write(4, ..., 2*(3+4)-4) = 10\n+0 > P. 1:11(10) ack 1\n",
    /* times: ranges, any time, absolute */
    OPEN "+0 write(4, ..., 10) = 10\n+0~+.01 > P. 1:11(10) ack 1\n* > P. 1:11(10) ack 1\n",
    OPEN "+0 write(4, ..., 10) = 10\n0.100 > P. 1:11(10) ack 1\n0.3~0.5 > P. 1:11(10) ack 1\n",
    /* a blocking call and its end */
    OPEN "+0...0.2 read(4, ..., 100) = 50\n+.2 < P. 1:51(50) ack 1 win 30000\n+0 > . 1:1(0) ack 51",
    /* a packet larger than a segment; each segment */
    OPEN "+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1\n",
    OPEN "+0 write(4, ..., 2000) = 2000\n+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:2001(1000) ack 1",
    /* options by name, by number, as bytes */
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
    "+0 < S 0:0(0) win 1000 <mss 1000,nop,nop,sackOK,kind 254 0x01 0x02,FO 0123456789abcdef>\n"
    "+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>\n",
    /* notes, errno with its text, results nobody asks for */
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)\n"
    "+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n+0 close(9) = -1 EBADF (Bad file descriptor)\n"
    "+0 close(3) = ?\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = ...\n",
    /* structures and addresses */
    OPEN "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0\n+0 close(4) = 0\n"
         "+0 > R. 1:1(0) ack 1\n",
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
    "+0 bind(3, {sa_family = AF_INET, sin_port = htons(99), sin_addr = inet_addr(\"0.0.0.0\")}, 16)"
    " = 0\n+0 listen(3, 1) = 0\n"
    "+0 < 555 > 99 S 0:0(0) win 1000 <mss 1000>\n+0 > 99 > 555 S. 0:0(0) ack 1 <...>\n"
    "+0 < 555 > 99 . 1:1(0) ack 1 win 1000\n"
    "+0 accept(3, {sa_family = AF_INET, sin_port = htons(555), "
    "sin_addr = inet_addr(\"192.0.2.1\")}, [16]) = 4\n",
    OPEN "+0 < P. 1:101(100) ack 1 win 30000\n+0 > . 1:1(0) ack 101\n"
         "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN|POLLOUT}], 1, 0) = 1\n"
         "+0 recvmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 60}, {..., 60}], msg_flags=0}, 0)"
         " = 100\n+0 ioctl(4, SIOCINQ, [0]) = 0\n",
    OPEN "+0 write(4, NULL, 10) = -1 EFAULT (Bad address)\n",
    /* IP: marks, TTL, TOS */
    OPEN "+0 < [ce] P. 1:11(10) ack 1 win 30000\n+0 > [noecn] . 1:1(0) ack 11\n"
         "+0 setsockopt(4, SOL_IP, IP_TTL, [9], 4) = 0\n+0 write(4, ..., 5) = 5\n"
         "+0 > [ttl 9] P. 1:6(5) ack 11\n",
    /* ICMP, in both orders */
    OPEN "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n"
         "+0 < icmp unreachable frag_needed mtu 600 [1:1001(1000)]\n"
         "+0 > . 1:561(560) ack 1\n+0 > P. 561:1001(440) ack 1\n",
    OPEN "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n"
         "+0 < [1:1001(1000)] icmp unreachable frag_needed mtu 600\n+0 > . 1:561(560) ack 1\n",
    OPEN "+0 < icmp echo_request id 7\n+0 > icmp echo_reply id 7\n",
    /* UDP: ports on either side of the word */
    "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n+0 bind(3, ..., ...) = 0\n"
    "+0 < udp 700 > 8080 (50)\n+0 < 700 > 8080 udp (60)\n"
    "+0 recvfrom(3, ..., 100, 0, {sa_family = AF_INET, sin_port = htons(700), "
    "sin_addr = inet_addr(\"192.0.2.1\")}, [16]) = 50\n+0 read(3, ..., 100) = 60\n",
    /* code: lines, carried on, chains, functions */
    OPEN "+0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd; \\\n assert 1 < 2 <= 2 and not 0\n"
         "assert tcpi_state in (TCP_ESTABLISHED, 7) and abs(3 - 5) == max(1, 2) // 1\n"
         "assert tcpi_options & TCPI_OPT_SACK == 0 # none\nprint(tcpi_snd_mss) }%\n",
    /* settings by sysctl */
    "`./defaults.sh`\n`sysctl -q net.ipv4.tcp_rmem=\"4096 87380 $((6*1024*1024))\"; "
    "sysctl net.ipv4.tcp_timestamps=0`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
    "+0...0.1 connect(3, ..., ...) = 0\n+0 > S 0:0(0) <mss 1460,nop,nop,sackOK,nop,wscale 7>\n"
    "+.1 < S. 0:0(0) ack 1 win 1000 <mss 1000>\n+0 > . 1:1(0) ack 1\n",
    "--profile=bsd\n--mtu=1400\n--local_ip=10.1.1.1\n--netmask_ip=255.255.255.0\n"
    "--remote_ip=10.1.1.2\n--set=tcp.timestamps=0\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
    "+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n+0 connect(3, ..., ...) = -1 EINPROGRESS (...)\n"
    "+0 > S 0:0(0) <mss 1360,nop,nop,sackOK,nop,wscale 6>\n",
    /* packets of the stack's that no event asks for */
    OPEN "+0 write(4, ..., 10) = 10\n+1 close(3) = 0\n",
    /* a timestamp that is echoed is what was on the wire, whatever the script calls it */
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
    "+0 < S 0:0(0) win 9000 <mss 1000,TS val 7 ecr 0>\n"
    "+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,TS val 4000 ecr 7>\n"
    "+.05 < . 1:1(0) ack 1 win 9000 <nop,nop,TS val 9 ecr 4000>\n+0 accept(3, ..., ...) = 4\n"
    "+0 %{ assert tcpi_rtt == 50000, tcpi_rtt }%\n+0 write(4, ..., 5) = 5\n"
    "+0 > P. 1:6(5) ack 1 <nop,nop,TS val 77777 ecr 9>\n"
    "+.05 < . 1:1(0) ack 6 win 9000 <nop,nop,TS val 10 ecr 77777>\n"
    "+0 %{ assert tcpi_rtt == 50000, tcpi_rtt }%\n",
};

static void test_what_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        struct script_outcome outcome;
        if (!run_text(passing[i], &(struct script_options){.trace = false}, &outcome))
            fail_msg("%s\n-> %s", passing[i], outcome.report);
        assert_string_equal(outcome.report, "");
        script_outcome_release(&outcome);
    }
}

static const struct {
    const char *text;
    int line; /* behind those of OPEN */
    const char *words;
} differing[] = {
    {"+0 write(4, ..., 10) = 11\n", 1, "write() returned 10"},
    {"+0 read(9, ..., 10) = 0\n", 1, "read() returned -1 EBADF (Bad file descriptor)"},
    {"+0 close(3) = -1 EINVAL\n", 1, "close() returned 0"},
    {"+0 read(4, ..., 10) = 0\n", 1, "has to wait: the script must say until when"},
    {"+0...0.2 read(4, ..., 9) = 9\n+.3 write(4, ..., 1) = 1\n", 1, "not returned until 0.3040"},
    {"+0...0.5 read(4, ..., 9) = 9\n+.1 < P. 1:10(9) ack 1 win 99\n", 1, "returned at 0.200000 s"},
    {"+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1\n", 2, "flags: the packet differs"},
    {"+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1\n", 2, "sequence range: "},
    {"+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 2\n", 2, "acknowledgment: "},
    {"+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 win 5\n", 2, "window: "},
    {"+0 write(4, ..., 10) = 10\n+0 > [ect0] P. 1:11(10) ack 1\n", 2, "IP header: "},
    {"+0 write(4, ..., 10) = 10\n+0 > 8080 > 9 P. 1:11(10) ack 1\n", 2, "ports: "},
    {"+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <nop>\n", 2, "options: "},
    {"+0 < P. 1:9(8) ack 1 win 99\n+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 9\n", 3,
     "flags: "}, /* an ACK in front of data is a packet of its own */
    {"+0 write(4, ..., 10) = 10\n+0 > udp (10)\n", 2, "kind of packet: "},
    {"+0 > . 1:1(0) ack 1\n", 1, "no packet came, where one was expected until 0.104000 s"},
    {"+0 write(4, ..., 10) = 10\n+.2 > P. 1:11(10) ack 1\n", 2, "came at 0.100000 s, not at 0.3"},
    {"+0 %{ assert tcpi_snd_cwnd == 9, tcpi_snd_cwnd }%\n", 1, "tcpi_snd_cwnd == 9: 10"},
    {"+0 %{ assert tcpi_mood }%\n", 1, "no name that the stack can tell the value of"},
    {"+0 %{ import os }%\n", 1, "only assert and print are known here"},
    {"+0 %{ assert 1 / 0 }%\n", 1, "division by zero"},
    {"+0 `rm -rf /tmp/x`\n", 1, "commands are not run here"},
    {"+0 `sysctl net.ipv4.tcp_thin_linear=1`\n", 1, "nothing like the sysctl"},
    {"+0 `sysctl net.ipv4.tcp_recovery=1`\n", 1, "can only be 0 here"},
    {"+0 setsockopt(4, SOL_TCP, TCP_NOTSENT_LOWAT, [1], 4) = 0\n", 1, "no such option"},
    {"+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0\n", 1, "the value is 0"},
    {"+0 ioctl(4, SIOCINQ, [5]) = 0\n", 1, "ioctl: the value is 0"},
    {"+0 poll([{fd=4, events=POLLOUT, revents=POLLIN}], 1, 0) = 1\n", 1, "poll: the value is 4"},
    {"0.05 close(4) = 0\n", 1, "it is 0.100000 s already"},
};

static void test_what_differs_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof differing / sizeof *differing; i++) {
        char text[1024];
        struct script_outcome outcome;
        snprintf(text, sizeof text, "%s%s", OPEN, differing[i].text);
        bool passed = run_text(text, &(struct script_options){.trace = false}, &outcome);
        int line = OPEN_LINES + differing[i].line;
        if (passed || outcome.place.line != line || !strstr(outcome.report, differing[i].words))
            fail_msg("%s\n-> line %d: %s", differing[i].text, outcome.place.line, outcome.report);
        script_outcome_release(&outcome);
    }
}

static void test_report_marks_the_field(void **state)
{
    static const char wanted[] = "x.pkt:9:1: acknowledgment: the packet differs\n"
                                 "  script: > P. 1:11(10) ack 7\n"
                                 "  actual: > P. 1:11(10) ack 1 win 65535\n"
                                 "                        ^^^^^\n"
                                 "  at:     0.100000 s\n"
                                 "  what the stack did last:\n";
    struct script_outcome outcome;
    (void)state;
    assert_false(run_text(OPEN "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 7\n",
                          &(struct script_options){.trace = false}, &outcome));
    assert_memory_equal(outcome.report, wanted, sizeof wanted - 1);
    assert_non_null(strstr(outcome.report, "sent P. 1:11(10) (data)\n"));
    assert_non_null(strstr(outcome.report, "received . 1:1(0) ack 1\n"));
    assert_true(outcome.capture_size > 0);
    script_outcome_release(&outcome);
}

static void test_settings_have_errors_too(void **state)
{
    static const char *const heads[] = {
        "--colour=red\n",   "--mtu=many\n",       "--local_ip=1.2\n", "--ip_version=ipv6\n",
        "--set=tcp.no=1\n", "--set=tcp.sack=7\n", "--profile=vms\n",  "--netmask_ip=255.0.255.0\n"};
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct script_outcome outcome;
        char text[256];
        snprintf(text, sizeof text, "\n%s0 close(3) = 0\n", heads[i]);
        assert_false(run_text(text, &(struct script_options){.trace = false}, &outcome));
        assert_int_equal(outcome.place.line, 2);
        assert_int_equal(outcome.place.column, 1);
        script_outcome_release(&outcome);
    }
}

static void test_strict_wants_every_packet(void **state)
{
    struct script_outcome outcome;
    (void)state;
    assert_false(run_text(OPEN "+0 write(4, ..., 10) = 10\n",
                          &(struct script_options){.strict = true}, &outcome));
    assert_non_null(strstr(outcome.report, "no event asks for what the stack sent at 0.100000 s: "
                                           "> P. 1:11(10) ack 1"));
    script_outcome_release(&outcome);
}

/* ---- Traces ---- */

static void test_trace_is_a_script(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        struct script_outcome first, second;
        run_text(passing[i], &(struct script_options){.trace = true}, &first);
        if (!run_text(first.trace, &(struct script_options){.strict = true, .trace = true},
                      &second))
            fail_msg("%s\n-> %s\n%s", passing[i], first.trace, second.report);
        assert_string_equal(first.trace, second.trace);
        script_outcome_release(&first);
        script_outcome_release(&second);
    }
}

static void test_trace_goes_on_and_tells_what_was(void **state)
{
    struct script_outcome outcome, again;
    (void)state;
    assert_false(run_text(OPEN "+0 write(4, ..., 10) = 99\n+0 > F. 1:1(0) ack 7\n+5 > . 1:1(0)\n"
                               "+0...9 read(4, ..., 10) = 4\n+.1 < P. 1:5(4) ack 11 win 9\n",
                          &(struct script_options){.trace = true, .overlook = true}, &outcome));
    assert_int_equal(outcome.place.line, OPEN_LINES + 1);
    assert_non_null(strstr(outcome.trace, "0.100000 write(4, ..., 10) = 10\n"));
    assert_non_null(strstr(outcome.trace, "0.100000 > P. 1:11(10) ack 1 win"));
    assert_true(run_text(outcome.trace, &(struct script_options){.strict = true}, &again));
    script_outcome_release(&outcome);
    script_outcome_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_have_a_place),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_what_passes),
        cmocka_unit_test(test_what_differs_is_told),
        cmocka_unit_test(test_report_marks_the_field),
        cmocka_unit_test(test_settings_have_errors_too),
        cmocka_unit_test(test_strict_wants_every_packet),
        cmocka_unit_test(test_trace_is_a_script),
        cmocka_unit_test(test_trace_goes_on_and_tells_what_was),
    };
    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}

/* Root and its capabilities end here, and most of the kernel with them.

   The TAP descriptor, the sockets and their folder are all that needed root, and they are open.
   What is left: another user (capng_change_id), no capability in any set, no-new-privileges, and a
   seccomp list of the calls an event loop over descriptors makes. An unknown call gets EPERM
   instead of death: a feature that fails with a message beats a daemon that vanishes with all
   connections. */
#include "privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"

#if defined(__SANITIZE_ADDRESS__)
#define PRIVILEGE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PRIVILEGE_SANITIZED 1
#endif
#endif
#ifndef PRIVILEGE_SANITIZED
#define PRIVILEGE_SANITIZED 0
#endif

static int privilege_fail(char *error, const char *what, const char *why)
{
    snprintf(error, PRIVILEGE_ERROR_MAX, "%s: %s", what, why);
    return -1;
}

static int privilege_become(const char *user, char *error)
{
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (!entry)
        return privilege_fail(error, user, errno ? strerror(errno) : "no such user");
    int result = capng_change_id((int)entry->pw_uid, (int)entry->pw_gid,
                                 CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    if (result == 0)
        return 0;
    snprintf(error, PRIVILEGE_ERROR_MAX,
             "cannot become user %s (capng_change_id: %d, %s); user = \"\" stays root", user,
             result, strerror(errno));
    return -1;
}

int privilege_drop(const char *user, char *error)
{
    capng_clear(CAPNG_SELECT_ALL);
    if (geteuid() == 0 && user[0] != '\0') {
        if (privilege_become(user, error) < 0)
            return -1;
    } else if (capng_apply(geteuid() == 0 ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS) != 0) {
        return privilege_fail(error, "cannot drop capabilities", strerror(errno));
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return privilege_fail(error, "cannot set no-new-privileges", strerror(errno));
    return 0;
}

/* Without argument checks the kernel answers from a bitmap, at no cost a call. */
static const int privilege_calls[] = {
    /* descriptors */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
    SCMP_SYS(pwrite64), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2),
    SCMP_SYS(dup3), SCMP_SYS(fcntl), SCMP_SYS(ioctl), SCMP_SYS(pipe2), SCMP_SYS(splice),
    /* the loop */
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(eventfd2),
    SCMP_SYS(signalfd4), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    /* Unix sockets that are open, and pairs */
    SCMP_SYS(socketpair), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(mprotect),
    SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(memfd_create),
    /* files: captures, the configuration again, the time zone */
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(creat), SCMP_SYS(stat), SCMP_SYS(lstat),
    SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(lseek), SCMP_SYS(fsync),
    SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fchmod),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir), SCMP_SYS(getdents64), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(umask),
    /* time and randomness */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(getrandom),
    /* the process itself */
    SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(prlimit64), SCMP_SYS(getpid),
    SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(getpriority), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill), SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
    SCMP_SYS(exit), SCMP_SYS(exit_group)};
enum { PRIVILEGE_CALLS = sizeof privilege_calls / sizeof privilege_calls[0] };

/* The first error of a row of calls, or 0. */
static int privilege_fill_filter(scmp_filter_ctx filter)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    /* Without this, kernels before 5.16 slow the whole process down for a speculation attack that
       takes code the attacker chose. */
    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a search tree */
    for (unsigned i = 0; i < PRIVILEGE_CALLS && result == 0; i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, privilege_calls[i], 0);
    return result;
}

int privilege_confine(char *error)
{
    if (PRIVILEGE_SANITIZED) {
        log_info("no system call filter: the sanitizers need calls of their own");
        return 0;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = filter ? privilege_fill_filter(filter) : -ENOMEM;
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return result == 0 ? 0 : privilege_fail(error, "cannot filter system calls", strerror(-result));
}

/*
 * SPDX-License-Identifier: ISC
 *
 * Three locks, of which each holds without the others: no_new_privs (a program that it would run gains nothing),
 * Landlock (no file outside of the spool, no TCP connection; Linux 5.13, grown since), and a list of system calls by
 * libseccomp (no program, no process, no socket). A call that is not in the list fails with ENOSYS and does not kill: a
 * C library that takes another way must not cost an event.
 */
#include <config.h>

#include "intake/confine.h"

#include "base/no_core.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock ---- */

/* As the kernel has it today; the header of an older one lacks what came later. A kernel takes the first bytes of it.
 */
struct landlock_rights {
    uint64_t files, network, scope;
};

#define FILE_RIGHTS_1 ((1ULL << 13) - 1) /* of the first version: LANDLOCK_ACCESS_FS_EXECUTE and all that follow */
#define FILE_REFER (1ULL << 13)          /* 2 */
#define FILE_TRUNCATE (1ULL << 14)       /* 3 */
#define FILE_IOCTL (1ULL << 15)          /* 5 */
#define NETWORK_TCP 3ULL                 /* 4: bind and connect */
#define SCOPE_ALL 3ULL                   /* 6: abstract unix sockets and signals of others */
#define SPOOL_RIGHTS                                                                                                   \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR |                      \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | FILE_TRUNCATE)

/* Makes the ruleset of all that this kernel can forbid. *FILES is what it forbids of files. Returns -1 with errno. */
static int make_ruleset(uint64_t *files)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_rights rights = {.files = FILE_RIGHTS_1};
    size_t size = sizeof rights.files;

    if (version < 1)
        return -1;
    rights.files |= version >= 2 ? FILE_REFER : 0;
    rights.files |= version >= 3 ? FILE_TRUNCATE : 0;
    rights.files |= version >= 5 ? FILE_IOCTL : 0;
    if (version >= 4) {
        rights.network = NETWORK_TCP;
        size += sizeof rights.network;
    }
    if (version >= 6) {
        rights.scope = SCOPE_ALL;
        size += sizeof rights.scope;
    }
    *files = rights.files;
    return (int)syscall(SYS_landlock_create_ruleset, &rights, size, 0);
}

static bool forbid_files(const char *spool)
{
    uint64_t files = 0;
    int ruleset = make_ruleset(&files);
    struct landlock_path_beneath_attr rule = {.parent_fd = open(spool, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    bool done;

    rule.allowed_access = SPOOL_RIGHTS & files;
    done = ruleset >= 0 && rule.parent_fd >= 0 &&
           syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    if (ruleset >= 0)
        close(ruleset);
    if (rule.parent_fd >= 0)
        close(rule.parent_fd);
    return done;
}

/* ---- system calls ---- */

/* What libfcgi, the C library, the spool and the log use, and what the C library uses in their place elsewhere. */
static const char *const allowed_calls[] = {
    "accept4",       "access",
    "brk",           "clock_getres",
    "clock_gettime", "clock_nanosleep",
    "close",         "close_range",
    "dup",           "exit",
    "exit_group",    "faccessat",
    "faccessat2",    "fcntl",
    "fdatasync",     "flock",
    "fstat",         "fstatfs",
    "fsync",         "ftruncate",
    "futex",         "getcwd",
    "getdents64",    "getegid",
    "geteuid",       "getgid",
    "getpeername",   "getpid",
    "getppid",       "getrandom",
    "getsockname",   "getsockopt",
    "gettid",        "gettimeofday",
    "getuid",        "lseek",
    "lstat",         "madvise",
    "memfd_create",  "mkdirat",
    "mremap",        "munmap",
    "nanosleep",     "newfstatat",
    "open",          "openat",
    "poll",          "ppoll",
    "pread64",       "preadv",
    "pselect6",      "pwrite64",
    "pwritev",       "pwritev2",
    "read",          "readlink",
    "readlinkat",    "readv",
    "recvfrom",      "recvmsg",
    "rename",        "renameat",
    "renameat2",     "restart_syscall",
    "rseq",          "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask",
    "rt_sigreturn",  "rt_sigtimedwait",
    "select",        "sendmsg",
    "sendto",        "set_robust_list",
    "setsockopt",    "shutdown",
    "sigaltstack",   "stat",
    "statfs",        "statx",
    "time",          "umask",
    "uname",         "unlink",
    "unlinkat",      "utimensat",
    "write",         "writev",
};

static bool allow_call(scmp_filter_ctx filter, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);

    /* One that this processor or libseccomp does not know is none that could be called. */
    return number == __NR_SCMP_ERROR || seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) == 0;
}

static bool add_rules(scmp_filter_ctx filter)
{
    const unsigned self = (unsigned)getpid();

    for (size_t i = 0; i < sizeof allowed_calls / sizeof *allowed_calls; i++)
        if (!allow_call(filter, allowed_calls[i]))
            return false;
    /* Limits of its own; memory, but none that can be run; abort(), but no signal to others. */
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0, 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ==
               0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ==
               0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self, 0)) == 0;
}

static bool forbid_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    bool done = filter != NULL && add_rules(filter) && seccomp_load(filter) == 0;

    if (filter != NULL)
        seccomp_release(filter);
    return done;
}

/* ---- all of it ---- */

void confine_process(const char *spool, char text[CONFINE_TEXT_BYTES])
{
    no_core();
    *text = '\0';
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        strcat(text, "no_new_privs");
    if (forbid_files(spool))
        strcat(text, ",landlock");
    if (forbid_calls())
        strcat(text, ",seccomp");
}

/*
 * SPDX-License-Identifier: ISC
 *
 * Locks between processes.
 */
#include <config.h>

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spool_rig.h"
#include "tap.h"

static int file, to_parent[2], to_child[2];

/* As lock.h says: closing any descriptor of the file does it. */
static void release_lock(void)
{
    close(dup(file));
}

static int try_to_take(void *context)
{
    (void)context;
    if (lock_take(file))
        return 0;
    return errno == EAGAIN || errno == EACCES ? 1 : 2;
}

/* Whether the holder that another process sees is the one given. */
static int sees_holder(void *context)
{
    const pid_t *wanted = context;

    return lock_holder(file) == *wanted ? 0 : 1;
}

static int hold_until_told(void *context)
{
    (void)context;
    if (!lock_take(file))
        return 1;
    rig_tell(to_parent[1]);
    rig_hear(to_child[0]);
    return 0;
}

/* A holder that forks a child, which lives on without exec, as a careless library might. */
static int hold_with_a_child(void *context)
{
    pid_t *grandchild = context;

    if (!lock_take(file))
        return 1;
    *grandchild = fork();
    if (*grandchild == 0) {
        rig_hear(to_child[0]);
        _exit(0);
    }
    rig_tell(to_parent[1]);
    pause();
    return 0;
}

static void test_holding(void)
{
    pid_t self = getpid(), nobody = 0;

    ok(lock_holder(file) == 0, "at first nobody holds it");
    ok(lock_take(file), "it can be taken");
    ok(rig_run(try_to_take, NULL) == 1, "another process cannot take it, nor can a child made by fork");
    ok(rig_run(sees_holder, &self) == 0, "another process sees who holds it");
    ok(lock_holder(file) == 0, "the holder itself sees no other process");
    release_lock();
    ok(rig_run(sees_holder, &nobody) == 0, "another descriptor of the file is closed: nobody holds it");
    ok(rig_run(try_to_take, NULL) == 0, "and another process takes it");
    ok(rig_run(sees_holder, &nobody) == 0, "whose end let go of it");
    ok(lock_holder(-1) == -1 && errno == EBADF, "an error is told apart from nobody");
}

static void test_ends(void)
{
    pid_t child = rig_start(hold_until_told, NULL);

    rig_hear(to_parent[0]);
    ok(lock_holder(file) == child, "the child holds it");
    ok(!lock_take(file) && (errno == EAGAIN || errno == EACCES), "and it cannot be taken from it");
    kill(child, SIGKILL);
    ok(rig_wait(child) == 128 + SIGKILL, "the child is killed");
    ok(lock_take(file), "kill -9 let go of it");
    release_lock();
}

static void test_fork(pid_t *grandchild)
{
    pid_t child = rig_start(hold_with_a_child, grandchild);

    rig_hear(to_parent[0]);
    ok(lock_holder(file) == child, "a holder that forked holds it still");
    kill(child, SIGKILL);
    rig_wait(child);
    ok(kill(*grandchild, 0) == 0 && lock_holder(file) == 0, "killed, it holds nothing, though its child lives on");
    rig_tell(to_child[1]);
}

static int sees_unknown_holder(void *context)
{
    (void)context;
    return lock_holder(file) == -1 && errno == ESRCH ? 0 : 1;
}

/* Asks from a pid namespace that does not see the holder. Ends with 77 where none can be made. */
static int ask_from_elsewhere(void *context)
{
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        return 77;
    return rig_run(sees_unknown_holder, context);
}

static void test_containers(void)
{
    int result;

    if (!lock_take(file))
        return;
    result = rig_run(ask_from_elsewhere, NULL);
    ok(result == 0 || result == 77, "a holder in another container is not taken for nobody%s",
       result == 77 ? " # SKIP no pid namespaces here" : "");
    release_lock();
}

int main(void)
{
    pid_t *grandchild = mmap(NULL, sizeof *grandchild, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct rig rig;

    rig_open(&rig);
    file = openat(rig.folder, "file", O_RDWR | O_CREAT, 0600);
    if (grandchild == MAP_FAILED || file < 0 || pipe(to_parent) != 0 || pipe(to_child) != 0)
        return 99;
    test_holding();
    test_ends();
    test_fork(grandchild);
    test_containers();
    close(file);
    rig_close(&rig);
    return done();
}

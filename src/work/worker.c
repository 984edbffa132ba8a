/*
 * SPDX-License-Identifier: ISC
 *
 * The worker. Its main process holds the spool's worker lock and is the recorder. The runners are forked before it
 * connects, and die with it (PDEATHSIG). What must stay true: a process that appends to the spool and then finds the
 * lock taken may rely on its holder to read the spool again. So `--once` reads it again after releasing the lock.
 */
#include <config.h>

#include "work/worker.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/no_core.h"
#include "base/signals.h"
#include "spool/spool.h"
#include "store/store.h"
#include "work/backoff.h"
#include "work/child.h"
#include "work/dispatch.h"
#include "work/kind_sql.h"
#include "work/outcomes.h"
#include "work/recorder.h"
#include "work/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 1000             /* longest wait of an idle worker */
#define MAINTAIN_SECONDS 3600    /* how often store_maintain is called */
#define VERSION_SECONDS 5        /* how often the schema's version is checked */
#define RUNNER_RESTART_SECONDS 1 /* at least this long between two starts of one runner */
#define ONCE_SECONDS 900         /* after this long `--once` leaves the rest to the next worker */

struct runner_process {
    pid_t pid;          /* 0: not running */
    int64_t started_at; /* monotonic seconds */
    char name[160];
    struct runner_options options;
};

struct worker {
    const struct conf *conf;
    int folder, lock_file;
    struct store *store;
    struct recorder *recorder;
    struct runner_process *runners;
    unsigned runner_count;  /* those of kind sql, and one with the dispatcher; 0: none */
    struct stat executable; /* when the worker started */
    char executable_path[PATH_MAX];
    char spool_id[UUID_TEXT];
    int64_t maintained_at, version_checked_at, processes_checked_at; /* monotonic seconds; 0: never */
    bool schema_changed;
    bool released; /* leases of earlier workers */
    struct backoff backoff;
};

/* ---- runners ---- */

static int64_t monotonic_seconds(void)
{
    return clock_monotonic_ms() / 1000;
}

/*
 * Lease names begin with HOST/SPOOL/, the spool's id. One worker runs per spool, so when one starts, every lease with
 * this prefix belongs to a dead one. (The folder's inode is no name: two hosts' file systems may give the same.)
 */
static void make_name_prefix(const struct worker *worker, char *name, size_t size)
{
    char host[64] = "";

    gethostname(host, sizeof host - 1);
    snprintf(name, size, "%s/%s/", host, worker->spool_id);
}

static void make_name(const struct worker *worker, char *name, size_t size, unsigned index)
{
    char prefix[128];

    make_name_prefix(worker, prefix, sizeof prefix);
    snprintf(name, size, "%s%d/%u", prefix, (int)getpid(), index);
}

/* Ends the leases of earlier workers of this spool, which were killed. */
static enum result release_dead_leases(struct worker *worker, struct err *err)
{
    char prefix[128];

    make_name_prefix(worker, prefix, sizeof prefix);
    return store_release(worker->store, prefix, err);
}

static void start_runner(struct worker *worker, struct runner_process *runner)
{
    pid_t parent = getpid();

    runner->started_at = monotonic_seconds();
    runner->pid = fork();
    if (runner->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the next worker ends its leases at once */
    prctl(PR_SET_NAME, "candhook-runner");
    if (getppid() != parent)
        _exit(0);
    store_abandon(worker->store);
    recorder_free(worker->recorder);
    close(worker->lock_file);
    outcomes_open(worker->folder);
    close(worker->folder);
    for (unsigned i = 0; i < worker->runner_count; i++)
        if (&worker->runners[i] != runner)
            close(worker->runners[i].options.wake_fd);
    runner_main(worker->conf, &runner->options);
    outcomes_close();
    _exit(0);
}

/* Notes that a runner has ended, and ends its leases. */
static void note_runner_end(struct worker *worker, struct runner_process *runner, int status)
{
    struct err err;

    runner->pid = 0;
    log_warning("runner=%s state=ended status=%d", runner->name, status);
    if (store_release(worker->store, runner->name, &err) != RESULT_OK)
        log_debug("runner=%s leases=not_released reason=%s", runner->name, err.text);
}

/* Ends what the programs of a runner that was killed have started: it became ours. */
static void end_left_processes(const struct worker *worker)
{
    pid_t *ours = memory_new(worker->runner_count, sizeof *ours);

    for (unsigned i = 0; i < worker->runner_count; i++)
        ours[i] = worker->runners[i].pid;
    child_end_others(ours, worker->runner_count);
    free(ours);
}

/* Starts again the runners that have ended. */
static void restart_runners(struct worker *worker)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < worker->runner_count; i++)
            if (worker->runners[i].pid == pid)
                note_runner_end(worker, &worker->runners[i], status);
    end_left_processes(worker);
    for (unsigned i = 0; i < worker->runner_count; i++)
        if (worker->runners[i].pid <= 0 &&
            monotonic_seconds() - worker->runners[i].started_at >= RUNNER_RESTART_SECONDS)
            start_runner(worker, &worker->runners[i]);
}

static void start_runners(struct worker *worker)
{
    unsigned sql = worker->conf->runners;

    worker->runner_count = sql > 0 ? sql + 1 : 0;
    worker->runners = memory_new(worker->runner_count, sizeof *worker->runners);
    for (unsigned i = 0; i < worker->runner_count; i++) {
        struct runner_process *runner = &worker->runners[i];

        make_name(worker, runner->name, sizeof runner->name, i);
        runner->options = (struct runner_options){
            .name = runner->name, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .dispatch = i == sql};
    }
    for (unsigned i = 0; i < worker->runner_count; i++)
        start_runner(worker, &worker->runners[i]);
}

/* Wakes up the runners for which deliveries were made. */
static void wake_runners(const struct worker *worker, const struct recorder_done *done)
{
    const uint64_t one = 1;

    for (unsigned i = 0; i < worker->runner_count; i++) {
        const struct runner_options *options = &worker->runners[i].options;

        if (options->dispatch ? done->delivered_outside : done->delivered_sql)
            (void)!write(options->wake_fd, &one, sizeof one);
    }
}

/* Tells the runners to end, and waits until they have finished their batches. */
static void end_runners(struct worker *worker)
{
    for (unsigned i = 0; i < worker->runner_count; i++)
        if (worker->runners[i].pid > 0)
            kill(worker->runners[i].pid, SIGTERM);
    for (unsigned i = 0; i < worker->runner_count; i++) {
        while (worker->runners[i].pid > 0 && waitpid(worker->runners[i].pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close(worker->runners[i].options.wake_fd);
    }
    child_end_others(NULL, 0);
    free(worker->runners);
    worker->runners = NULL;
    worker->runner_count = 0;
}

/* ---- what ends or changes a worker ---- */

static void remember_executable(struct worker *worker)
{
    ssize_t length = readlink("/proc/self/exe", worker->executable_path, sizeof worker->executable_path - 1);

    worker->executable_path[length > 0 ? length : 0] = '\0';
    stat(worker->executable_path, &worker->executable); /* one that has gone is another one later, too */
}

static bool executable_changed(const struct worker *worker)
{
    struct stat now;

    return worker->executable_path[0] != '\0' &&
           (stat(worker->executable_path, &now) != 0 || now.st_ino != worker->executable.st_ino ||
            now.st_dev != worker->executable.st_dev || now.st_mtim.tv_sec != worker->executable.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != worker->executable.st_mtim.tv_nsec);
}

static void log_maintained(const char *text)
{
    log_info("maintained=%s", text);
}

/* Checks the version of the schema and maintains it, each at its interval. */
static enum result maintain_schema(struct worker *worker, struct err *err)
{
    int64_t now = monotonic_seconds();
    enum result result = RESULT_OK;

    if (worker->version_checked_at == 0 || now - worker->version_checked_at >= VERSION_SECONDS) {
        result = store_check_version(worker->store, err);
        worker->schema_changed = result == RESULT_FAIL;
        worker->version_checked_at = now;
    }
    if (result == RESULT_OK && (worker->maintained_at == 0 || now - worker->maintained_at >= MAINTAIN_SECONDS)) {
        result = store_maintain(worker->store, log_maintained, err);
        worker->maintained_at = now;
    }
    return result;
}

/* Once a second, checks the runners and the executable. Returns false when the worker has to end. */
static bool check_processes(struct worker *worker)
{
    if (monotonic_seconds() == worker->processes_checked_at)
        return true;
    worker->processes_checked_at = monotonic_seconds();
    restart_runners(worker);
    if (!executable_changed(worker))
        return true;
    log_info("worker=ending reason=\"its program changed\" program=%s", worker->executable_path);
    unlinkat(worker->folder, SPOOL_WORKER_START, 0); /* this is no failure: no back-off for the next worker */
    return false;
}

/* ---- the two ways to work ---- */

/* Records a batch, after connecting, maintaining the schema and releasing the leases of dead workers if needed. */
static enum result step_recorder(struct worker *worker, struct recorder_done *done, struct err *err)
{
    enum result result = store_connect(worker->store, true, err);

    if (result == RESULT_FAIL && worker->version_checked_at != 0)
        worker->schema_changed = true; /* while the worker was not connected */
    if (result == RESULT_OK)
        result = maintain_schema(worker, err);
    if (result == RESULT_OK && !worker->released) {
        result = release_dead_leases(worker, err);
        worker->released = result == RESULT_OK;
    }
    if (result == RESULT_OK)
        result = recorder_step(worker->recorder, done, err);
    return result;
}

static void work_until_end(struct worker *worker)
{
    start_runners(worker);
    while (check_processes(worker) && !signals_stop_asked()) {
        struct recorder_done done = {0};
        struct err err;

        if (step_recorder(worker, &done, &err) != RESULT_OK) {
            if (worker->schema_changed) {
                log_info("worker=ending reason=%s", err.text);
                break;
            }
            store_disconnect(worker->store);
            backoff_wait(&worker->backoff, "recording", &err);
            continue;
        }
        backoff_reset(&worker->backoff, "recording");
        wake_runners(worker, &done);
        outcomes_write_due();
        recorder_wait(worker->recorder, done.recorded > 0 ? 0 : TICK_MS);
        signals_poll(NULL, 0, 0); /* lets a signal in, however busy the spool is */
    }
    end_runners(worker);
}

/* Runs handlers in this process. *RAN is the number of sql deliveries, *WORK whether attempts of other kinds run. */
static enum result step_handlers(struct worker *worker, const char *name, struct dispatch *dispatch, size_t *ran,
                                 bool *work, struct err *err)
{
    enum result result = kind_sql_step(worker->store, name, ran, err);

    *work = dispatch_step(dispatch);
    if (result == RESULT_OK && dispatch_trouble(dispatch) != NULL) {
        *err = *dispatch_trouble(dispatch);
        result = RESULT_RETRY;
    }
    return result;
}

/*
 * Records everything that the spool holds and runs everything that is due, for ONCE_SECONDS at most. With the setting
 * runners = 0, nothing is run here.
 */
static enum result work_once(struct worker *worker, struct err *err)
{
    char name[160];
    struct recorder_done done;
    size_t ran = 0;
    bool work = false;
    int64_t until = clock_monotonic_ms() + ONCE_SECONDS * 1000;
    struct dispatch *dispatch;
    enum result result;

    make_name(worker, name, sizeof name, 0);
    dispatch = dispatch_new(worker->conf, name);
    do {
        if (signals_stop_asked() || clock_monotonic_ms() >= until)
            dispatch_stop(dispatch);
        result = step_recorder(worker, &done, err);
        if (result == RESULT_OK && done.delivered_outside)
            dispatch_claim_now(dispatch);
        if (result == RESULT_OK && worker->conf->runners > 0)
            result = step_handlers(worker, name, dispatch, &ran, &work, err);
        if (result == RESULT_OK && work && done.recorded == 0 && ran == 0)
            dispatch_wait(dispatch, NULL, 0, TICK_MS);
        signals_poll(NULL, 0, 0); /* lets a signal in */
    } while (result == RESULT_OK &&
             (work || ((done.recorded > 0 || ran > 0) && !signals_stop_asked() && clock_monotonic_ms() < until)));
    dispatch_finish(dispatch);
    dispatch_free(dispatch);
    if (result == RESULT_OK && recorder_trouble(worker->recorder) != NULL) {
        *err = *recorder_trouble(worker->recorder); /* a part of the spool cannot be read now */
        result = RESULT_RETRY;
    }
    return result;
}

/* ---- life ---- */

static enum result take_worker_lock(struct worker *worker, struct err *err)
{
    pid_t holder;

    worker->lock_file = openat(worker->folder, SPOOL_WORKER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (worker->lock_file < 0) {
        err_set_errno(err, "cannot open %s/" SPOOL_WORKER_LOCK, worker->conf->spool);
        return RESULT_FAIL;
    }
    if (lock_take(worker->lock_file))
        return RESULT_OK;
    holder = lock_holder(worker->lock_file);
    err_set(err, "a worker runs for the spool %s already (process %d)", worker->conf->spool, (int)holder);
    close(worker->lock_file);
    return RESULT_RETRY;
}

static bool is_stopped(const struct worker *worker)
{
    return faccessat(worker->folder, SPOOL_STOPPED, F_OK, 0) == 0;
}

/* Works, with the lock held, unless a person's stop is in force. */
static enum result work_locked(struct worker *worker, const struct worker_options *options, struct err *err)
{
    enum result result = RESULT_OK;

    if (!options->unless_stopped)
        unlinkat(worker->folder, SPOOL_STOPPED, 0);
    else if (is_stopped(worker))
        return RESULT_OK;
    result = spool_get_id(worker->folder, worker->spool_id, err);
    if (result != RESULT_OK)
        return result;
    log_info("worker=started spool=%s once=%s", worker->conf->spool, options->once ? "yes" : "no");
    if (options->once)
        result = work_once(worker, err);
    else
        work_until_end(worker);
    if (result != RESULT_OK)
        log_warning("worker=failing reason=%s", err->text);
    log_info("worker=ended");
    return result;
}

/* Takes the lock and works. With `once`, repeats that if something came in before the lock was released. */
static enum result lock_and_work(struct worker *worker, const struct worker_options *options, struct err *err)
{
    enum result result = take_worker_lock(worker, err);

    while (result == RESULT_OK) {
        result = work_locked(worker, options, err);
        close(worker->lock_file); /* releases the lock */
        if (result != RESULT_OK || !options->once || signals_stop_asked() || !recorder_has_more(worker->recorder))
            return result;
        if (take_worker_lock(worker, err) != RESULT_OK)
            return RESULT_OK; /* another worker has it by now */
    }
    return result;
}

enum result worker_run(const struct conf *conf, const struct worker_options *options, struct err *err)
{
    struct worker worker = {.conf = conf};
    enum result result;

    no_core();
    child_adopt();
    signals_catch();
    remember_executable(&worker);
    result = spool_open(conf->spool, &worker.folder, err);
    if (result != RESULT_OK)
        return result;
    outcomes_open(worker.folder);
    worker.store = store_new(conf->database);
    worker.recorder = recorder_new(conf, worker.folder, worker.store);
    result = lock_and_work(&worker, options, err);
    recorder_free(worker.recorder);
    store_free(worker.store);
    outcomes_close();
    close(worker.folder);
    return result;
}

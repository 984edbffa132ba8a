/*
 * SPDX-License-Identifier: ISC
 *
 * The worker. Its main process holds the spool's worker lock and is the recorder; the runners are forked before it
 * connects, and end with it (PDEATHSIG). What must stay true: whoever appends to the spool and then sees the lock taken
 * may rely on it that the holder looks at the spool again. So `--once` looks again after it let go of the lock.
 */
#include <config.h>

#include "work/worker.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/signals.h"
#include "spool/spool.h"
#include "store/store.h"
#include "work/backoff.h"
#include "work/dispatch.h"
#include "work/kind_sql.h"
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 1000          /* how often an idle worker looks around */
#define MAINTAIN_SECONDS 3600 /* how often the schema keeps house */
#define VERSION_SECONDS 5     /* how often the schema's version is asked for */
#define STUCK_MS 500          /* a runner that does not take a word for so long is at something that lasts */
#define RUNNER_REST_SECONDS 1 /* at least so long between two starts of one runner */
#define ONCE_SECONDS 900      /* after so long `--once` leaves the rest to the next one */

struct runner {
    pid_t pid; /* 0: not running */
    int64_t started;
    int64_t told; /* monotonic ms, when it was given the word that it has not taken yet */
    char name[128];
    struct runner_post post;
};

struct worker {
    const struct conf *conf;
    int folder, lock_file;
    struct store *store;
    struct recorder *recorder;
    struct runner *runners;
    unsigned runner_count;     /* those of sql, and one for all that runs outside the database */
    _Atomic int64_t *recorded; /* when something was recorded last: shared with the runners */
    struct stat executable;    /* as it was when we started */
    char executable_path[PATH_MAX];
    int64_t maintained, version_checked, looked; /* seconds */
    int schema_changed, released;
    struct backoff backoff;
};

/* ---- runners ---- */

/* HOST/SPOOL/: whose leases begin so, is or was a worker of this spool, of which there is one at a time. */
static void name_workers(const struct worker *worker, char *name, size_t size)
{
    char host[64] = "";
    struct stat folder = {.st_ino = 0};

    gethostname(host, sizeof host - 1);
    (void)!fstat(worker->folder, &folder);
    snprintf(name, size, "%s/%jx/", host, (uintmax_t)folder.st_ino);
}

static void name_worker(const struct worker *worker, char *name, size_t size, unsigned index)
{
    char prefix[100];

    name_workers(worker, prefix, sizeof prefix);
    snprintf(name, size, "%s%d/%u", prefix, (int)getpid(), index);
}

/* Gives back what earlier workers of this spool had leased when they ended without a word. */
static enum result release_former(struct worker *worker, struct err *err)
{
    char prefix[100];

    name_workers(worker, prefix, sizeof prefix);
    return store_release(worker->store, prefix, err);
}

static void start_runner(struct worker *worker, struct runner *runner)
{
    pid_t parent = getpid();

    runner->started = clock_monotonic_ms() / 1000;
    runner->pid = fork();
    if (runner->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the next worker gives back its leases at once: they must be nobody's */
    prctl(PR_SET_NAME, "candhook-runner");
    if (getppid() != parent)
        _exit(0);
    store_abandon(worker->store);
    recorder_free(worker->recorder);
    close(worker->lock_file);
    close(worker->folder);
    for (unsigned i = 0; i < worker->runner_count; i++)
        if (&worker->runners[i] != runner)
            close(worker->runners[i].post.wake);
    runner_main(worker->conf, &runner->post);
    _exit(0);
}

/* Reaps runners that ended, gives back what they had leased, and starts them again. */
static void mind_runners(struct worker *worker)
{
    struct err err;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < worker->runner_count; i++) {
            if (worker->runners[i].pid != pid)
                continue;
            worker->runners[i].pid = 0;
            log_warning("runner=%s state=ended status=%d", worker->runners[i].name, status);
            if (store_release(worker->store, worker->runners[i].name, &err) != RESULT_OK)
                log_debug("runner=%s leases=not_released reason=%s", worker->runners[i].name, err.text);
        }
    for (unsigned i = 0; i < worker->runner_count; i++)
        if (worker->runners[i].pid <= 0 &&
            clock_monotonic_ms() / 1000 - worker->runners[i].started >= RUNNER_REST_SECONDS)
            start_runner(worker, &worker->runners[i]);
}

static void start_runners(struct worker *worker)
{
    unsigned sql = worker->conf->runners;

    worker->runner_count = sql > 0 ? sql + 1 : 0;
    worker->runners = calloc(worker->runner_count + 1, sizeof *worker->runners);
    worker->recorded = mmap(NULL, sizeof *worker->recorded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (worker->runners == NULL || worker->recorded == MAP_FAILED)
        abort();
    for (unsigned i = 0; i < worker->runner_count; i++) {
        struct runner *runner = &worker->runners[i];

        name_worker(worker, runner->name, sizeof runner->name, i);
        runner->post = (struct runner_post){.name = runner->name,
                                            .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                            .dispatch = i == sql,
                                            .first = i == 0 && sql > 1,
                                            .spare = i > 0 && i < sql,
                                            .recorded = worker->recorded};
    }
    for (unsigned i = 0; i < worker->runner_count; i++)
        start_runner(worker, &worker->runners[i]);
}

/* Gives a runner the word that something was recorded. Returns whether it is stuck: it left the last one for long. */
static int wake(struct runner *runner)
{
    const uint64_t once = 1;
    struct pollfd fd = {.fd = runner->post.wake, .events = POLLIN};

    if (poll(&fd, 1, 0) > 0)
        return clock_monotonic_ms() - runner->told >= STUCK_MS;
    runner->told = clock_monotonic_ms();
    (void)!write(runner->post.wake, &once, sizeof once);
    return 0;
}

/* Something was recorded: the first runner of sql that is not stuck looks, and the one for all other kinds. */
static void wake_runners(const struct worker *worker)
{
    atomic_store(worker->recorded, clock_monotonic_ms());
    for (unsigned i = 0; i + 1 < worker->runner_count && wake(&worker->runners[i]); i++)
        ;
    if (worker->runner_count > 0)
        (void)wake(&worker->runners[worker->runner_count - 1]);
}

/* Tells the runners to end, and waits until they finished their batches. */
static void end_runners(struct worker *worker)
{
    for (unsigned i = 0; i < worker->runner_count; i++)
        if (worker->runners[i].pid > 0)
            kill(worker->runners[i].pid, SIGTERM);
    for (unsigned i = 0; i < worker->runner_count; i++) {
        while (worker->runners[i].pid > 0 && waitpid(worker->runners[i].pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close(worker->runners[i].post.wake);
    }
    free(worker->runners);
    munmap(worker->recorded, sizeof *worker->recorded);
    worker->runners = NULL;
    worker->runner_count = 0;
}

/* ---- looking around ---- */

static void remember_executable(struct worker *worker)
{
    ssize_t length = readlink("/proc/self/exe", worker->executable_path, sizeof worker->executable_path - 1);

    worker->executable_path[length > 0 ? length : 0] = '\0';
    if (stat(worker->executable_path, &worker->executable) != 0)
        worker->executable_path[0] = '\0';
}

static int executable_changed(const struct worker *worker)
{
    struct stat now;

    if (worker->executable_path[0] == '\0')
        return 0;
    return stat(worker->executable_path, &now) != 0 || now.st_ino != worker->executable.st_ino ||
           now.st_dev != worker->executable.st_dev || now.st_mtim.tv_sec != worker->executable.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != worker->executable.st_mtim.tv_nsec;
}

static void say_maintained(const char *text)
{
    log_info("maintained=%s", text);
}

/* Keeps the schema's house and asks whether it still is the one that we know. */
static enum result tend_schema(struct worker *worker, struct err *err)
{
    int64_t now = clock_monotonic_ms() / 1000;
    enum result result = RESULT_OK;

    if (worker->version_checked == 0 || now - worker->version_checked >= VERSION_SECONDS) {
        result = store_check_version(worker->store, err);
        worker->schema_changed = result == RESULT_FAIL;
        worker->version_checked = now;
    }
    if (result == RESULT_OK && (worker->maintained == 0 || now - worker->maintained >= MAINTAIN_SECONDS)) {
        result = store_maintain(worker->store, say_maintained, err);
        worker->maintained = now;
    }
    return result;
}

/* Once a second: what may end or change a worker. Returns 0 when it is time to end. */
static int look_around(struct worker *worker)
{
    if (clock_monotonic_ms() / 1000 == worker->looked)
        return 1;
    worker->looked = clock_monotonic_ms() / 1000;
    mind_runners(worker);
    if (!executable_changed(worker))
        return 1;
    log_info("worker=ending reason=\"its program changed\" program=%s", worker->executable_path);
    unlinkat(worker->folder, SPOOL_WORKER_START, 0); /* no failure: the new one may start at once */
    return 0;
}

/* ---- the two ways to work ---- */

/* One step of the recorder, on a connection that is known to be good. */
static enum result record_step(struct worker *worker, size_t *recorded, struct err *err)
{
    enum result result = store_connect(worker->store, 1, err);

    if (result == RESULT_FAIL && worker->version_checked != 0)
        worker->schema_changed = 1; /* while we were not connected */
    if (result == RESULT_OK)
        result = tend_schema(worker, err);
    if (result == RESULT_OK && !worker->released) {
        result = release_former(worker, err);
        worker->released = result == RESULT_OK;
    }
    if (result == RESULT_OK)
        result = recorder_step(worker->recorder, recorded, err);
    return result;
}

static void work(struct worker *worker)
{
    start_runners(worker);
    while (look_around(worker) && !signals_stop_asked()) {
        struct err err;
        size_t recorded = 0;

        if (record_step(worker, &recorded, &err) != RESULT_OK) {
            if (worker->schema_changed) {
                log_info("worker=ending reason=%s", err.text);
                break;
            }
            store_disconnect(worker->store);
            backoff_wait(&worker->backoff, "recording", &err);
            continue;
        }
        backoff_reset(&worker->backoff, "recording");
        if (recorded > 0)
            wake_runners(worker);
        recorder_wait(worker->recorder, recorded > 0 ? 0 : TICK_MS);
        signals_poll(NULL, 0, 0); /* lets a signal in, however busy the spool is */
    }
    end_runners(worker);
}

/* One step of the handlers, all in this process. *RAN is how many sql deliveries, *WORK whether others run. */
static enum result handle_step(struct kind_sql *sql, struct dispatch *dispatch, size_t *ran, int *work, struct err *err)
{
    char *handler;
    enum result result = kind_sql_step(sql, NULL, 0, ran, &handler, err);

    free(handler);
    if (result == RESULT_OK)
        result = dispatch_step(dispatch, work, err);
    return result;
}

/*
 * Records all that the spool holds and runs all that is due, or leaves that to others where no runners are to be. Under
 * steady traffic, for ONCE_SECONDS.
 */
static enum result work_once(struct worker *worker, struct err *err)
{
    char name[128];
    size_t recorded = 0, ran = 0;
    int work = 0;
    struct kind_sql sql = {.store = worker->store, .worker = name};
    int64_t until = clock_monotonic_ms() + ONCE_SECONDS * 1000;
    struct dispatch *dispatch;
    enum result result;

    name_worker(worker, name, sizeof name, 0);
    dispatch = dispatch_new(worker->conf, worker->store, name);
    do {
        if (signals_stop_asked() || clock_monotonic_ms() >= until)
            dispatch_stop(dispatch);
        result = record_step(worker, &recorded, err);
        if (result == RESULT_OK && recorded > 0)
            dispatch_claim_now(dispatch);
        if (result == RESULT_OK && worker->conf->runners > 0)
            result = handle_step(&sql, dispatch, &ran, &work, err);
        if (result == RESULT_OK && work && recorded == 0 && ran == 0)
            dispatch_wait(dispatch, NULL, 0, TICK_MS);
        signals_poll(NULL, 0, 0); /* lets a signal in */
    } while (result == RESULT_OK &&
             (work || ((recorded > 0 || ran > 0) && !signals_stop_asked() && clock_monotonic_ms() < until)));
    dispatch_free(dispatch);
    if (result == RESULT_OK &&
        recorder_trouble(worker->recorder) != NULL) { /* there is more, which cannot be had now */
        *err = *recorder_trouble(worker->recorder);
        result = RESULT_RETRY;
    }
    return result;
}

/* ---- life ---- */

static enum result take_lock(struct worker *worker, struct err *err)
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

static int is_stopped(const struct worker *worker)
{
    return faccessat(worker->folder, SPOOL_STOPPED, F_OK, 0) == 0;
}

/* Works while holding the lock, unless a person's stop is still in force. */
static enum result work_locked(struct worker *worker, const struct worker_options *options, struct err *err)
{
    enum result result = RESULT_OK;
    if (!options->unless_stopped)
        unlinkat(worker->folder, SPOOL_STOPPED, 0);
    else if (is_stopped(worker))
        return RESULT_OK;
    log_info("worker=started spool=%s once=%s", worker->conf->spool, options->once ? "yes" : "no");
    if (options->once)
        result = work_once(worker, err);
    else
        work(worker);
    if (result != RESULT_OK)
        log_warning("worker=failing reason=%s", err->text);
    log_info("worker=ended");
    return result;
}

/* Takes the lock, works, and, if once, does so again while something came in before the lock was free. */
static enum result work_in_turn(struct worker *worker, const struct worker_options *options, struct err *err)
{
    enum result result = take_lock(worker, err);

    while (result == RESULT_OK) {
        result = work_locked(worker, options, err);
        close(worker->lock_file); /* lets go of the lock */
        if (result != RESULT_OK || !options->once || signals_stop_asked() || !recorder_has_more(worker->recorder))
            return result;
        if (take_lock(worker, err) != RESULT_OK)
            return RESULT_OK; /* somebody took over meanwhile: it is theirs now */
    }
    return result;
}

enum result worker_run(const struct conf *conf, const struct worker_options *options, struct err *err)
{
    struct worker worker = {.conf = conf};
    enum result result;

    signals_catch();
    remember_executable(&worker);
    result = spool_open(conf->spool, &worker.folder, err);
    if (result != RESULT_OK)
        return result;
    worker.store = store_new(conf->database);
    worker.recorder = recorder_new(conf, worker.folder, worker.store);
    result = work_in_turn(&worker, options, err);
    recorder_free(worker.recorder);
    store_free(worker.store);
    close(worker.folder);
    return result;
}

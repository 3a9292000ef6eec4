/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lock.c - one writer of a sweep file: S.h5.lock.
 *
 * The holder makes the lock file (O_EXCL), holds a kernel lock on it, writes into it who it is, and
 * touches it now and then. A lock file in the way is taken over (removed and made anew) where its
 * holder is surely gone: the kernel says so on the holder's own host, Slurm says so of its job, or
 * it has not been touched for a minute by the clock of the file system. Nothing depends on kernel
 * locks that reach other hosts. Who was taken over sees that the file is no longer its own and
 * commits no more.
 */
#define _DEFAULT_SOURCE /* flock() */
#include "store/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STALE_S = 60, ASK_S = 15, BEAT_S = 5, TRIES = 20, LOCK_TRIES = 1000, FIELD = 128 };

struct store_lock {
    char *path; /* S.h5.lock */
    int fd;
    time_t beaten; /* last heartbeat */
};

enum kernel_lock { KERNEL_FREE, KERNEL_HELD, KERNEL_UNKNOWN };

/* Who holds a lock, from the text in its file. Empty where not said. */
struct holder {
    char host[FIELD], pid[FIELD], lock[FIELD], job[FIELD], restart[FIELD], since[FIELD];
    char cluster[FIELD];
    enum kernel_lock kernel;
    double age_s; /* of the heartbeat */
    dev_t device;
    ino_t inode;
};

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "";
}

static void this_host(char host[FIELD])
{
    if (gethostname(host, FIELD) != 0)
        snprintf(host, FIELD, "unknown");
    host[FIELD - 1] = '\0';
}

static bool write_holder(int fd, bool kernel_lock)
{
    char host[FIELD], since[32] = "", text[7 * FIELD];
    const time_t now = time(NULL);
    struct tm utc;
    this_host(host);
    if (gmtime_r(&now, &utc) != NULL)
        strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &utc);
    const int n =
        snprintf(text, sizeof text,
                 "host=%s\npid=%ld\nlock=%s\njob=%.100s\nrestart=%.100s\ncluster=%.100s\n"
                 "since=%s\n",
                 host, (long)getpid(), kernel_lock ? "kernel" : "none", environment("SLURM_JOB_ID"),
                 environment("SLURM_RESTART_COUNT"), environment("SLURM_CLUSTER_NAME"), since);
    return n > 0 && write(fd, text, (size_t)n) == n;
}

/* Value of "name=" at the start of a line of the text. */
static void find_field(const char *text, const char *name, char value[FIELD])
{
    const size_t length = strlen(name);
    value[0] = '\0';
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || line[length] != '=')
            continue;
        const char *from = line + length + 1;
        size_t n = strcspn(from, "\n");
        n = n < FIELD - 1 ? n : FIELD - 1;
        memcpy(value, from, n);
        value[n] = '\0';
        for (size_t i = 0; i < n; i++) /* it goes to a terminal */
            if (value[i] < ' ' || value[i] > '~')
                value[i] = '?';
        return;
    }
}

/* The time by the clock that also makes the times of the lock file: on network file systems that of
 * the server. */
static time_t folder_time(const char *lock_path)
{
    struct stat info = {.st_mtime = time(NULL)};
    const size_t n = strlen(lock_path) + 32, n_path = strlen(lock_path) - strlen(".lock");
    char *probe = malloc(n);
    if (probe == NULL)
        return info.st_mtime;
    snprintf(probe, n, "%.*s.tmp.%ld", (int)n_path, lock_path, (long)getpid());
    /* Another machine's process of this number may be writing the file: its draft has this name. */
    const int fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        fstat(fd, &info);
        close(fd);
        unlink(probe);
    }
    free(probe);
    return info.st_mtime;
}

/* False where the file has gone. */
static bool read_holder(const char *path, struct holder *holder)
{
    char text[8 * FIELD];
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    const ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    find_field(text, "host", holder->host);
    find_field(text, "pid", holder->pid);
    find_field(text, "lock", holder->lock);
    find_field(text, "job", holder->job);
    find_field(text, "restart", holder->restart);
    find_field(text, "cluster", holder->cluster);
    find_field(text, "since", holder->since);
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        holder->kernel = KERNEL_FREE;
    else
        holder->kernel = errno == EWOULDBLOCK ? KERNEL_HELD : KERNEL_UNKNOWN;
    holder->age_s = difftime(folder_time(path), info.st_mtime);
    holder->device = info.st_dev;
    holder->inode = info.st_ino;
    close(fd); /* releases the shared lock */
    return true;
}

static bool process_is_gone(const char *pid)
{
    const long number = strtol(pid, NULL, 10);
    return number > 0 && kill((pid_t)number, 0) != 0 && errno == ESRCH;
}

static bool holder_is_gone(const struct holder *holder)
{
    char host[FIELD];
    this_host(host);
    /* A process of this host that holds the kernel lock lives, however old its heartbeat: it may be
     * stopped, or busy for minutes in one computation. */
    if (strcmp(holder->host, host) == 0 && holder->kernel == KERNEL_HELD)
        return false;
    if (holder->age_s > STALE_S)
        return true;
    /* The kernel drops the lock of a process that dies; its pid may live on for a while, as a
     * zombie that nobody reaps. Where there are no kernel locks the pid must do. */
    const bool same_host = strcmp(holder->host, host) == 0;
    if (same_host && holder->kernel == KERNEL_FREE && strcmp(holder->lock, "kernel") == 0)
        return true;
    if (same_host && process_is_gone(holder->pid))
        return true;
    /* A requeued job may come back to another node before its old lock is a minute old. Two steps
     * of one allocation have the same job id too, but also the same restart count. */
    const bool same_job =
        holder->job[0] != '\0' && strcmp(holder->job, environment("SLURM_JOB_ID")) == 0;
    const bool restarted = strcmp(holder->restart, environment("SLURM_RESTART_COUNT")) != 0;
    if (same_job)
        return restarted;
    return holder->age_s > ASK_S && store_job_is_dead(holder->job, holder->cluster);
}

static bool is_file(const char *path, dev_t device, ino_t inode)
{
    struct stat info;
    return stat(path, &info) == 0 && info.st_dev == device && info.st_ino == inode;
}

static enum mix_status fail_locked(const char *path, const struct holder *holder,
                                   struct mix_error *err)
{
    return mix_fail(
        err, MIX_ELOCKED,
        "%.*s is being written by process %s on %s%s%s since %s (heartbeat %.0f s ago); "
        "wait for it, or use --break-lock if it is dead",
        (int)(strlen(path) - strlen(".lock")), path, holder->pid[0] != '\0' ? holder->pid : "?",
        holder->host[0] != '\0' ? holder->host : "an unknown host",
        holder->job[0] != '\0' ? ", Slurm job " : "", holder->job,
        holder->since[0] != '\0' ? holder->since : "an unknown time",
        holder->age_s > 0 ? holder->age_s : 0.0);
}

/* What is wrong is nearly always the folder, which the user chose; the lock file is our affair. */
static enum mix_status fail_make(const char *path, int reason, struct mix_error *err)
{
    char *folder = store_folder_of(path);
    if (folder != NULL && access(folder, F_OK) != 0 && errno == ENOENT)
        mix_fail(err, MIX_EIO, "the folder %s does not exist", folder);
    else if (folder != NULL &&
             (reason == EACCES || reason == EPERM || reason == EROFS || reason == ENOTDIR))
        mix_fail(err, MIX_EIO, "cannot write in the folder %s: %s", folder, strerror(reason));
    else
        mix_fail(err, MIX_EIO, "%s: cannot make the lock file: %s", path, strerror(reason));
    free(folder);
    return MIX_EIO;
}

/* Others look at the lock for a moment only. A file system without locks is fine. */
static bool lock_file(int fd)
{
    const struct timespec moment = {0, 1000 * 1000};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return false;
        nanosleep(&moment, NULL);
    }
    return false;
}

/* Make the lock file ours; *made = false where there is one already. */
static enum mix_status make_lock(struct store_lock *lock, bool *made, struct mix_error *err)
{
    lock->fd = open(lock->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    *made = lock->fd >= 0;
    if (lock->fd < 0)
        return errno == EEXIST ? MIX_OK : fail_make(lock->path, errno, err);
    if (!write_holder(lock->fd, lock_file(lock->fd))) {
        const int reason = errno;
        unlink(lock->path);
        return mix_fail(err, MIX_EIO, "%s: cannot write the lock file: %s", lock->path,
                        strerror(reason));
    }
    lock->beaten = time(NULL);
    return MIX_OK;
}

static enum mix_status take(struct store_lock *lock, bool break_lock, struct mix_error *err)
{
    struct holder holder = {0};
    for (int i = 0; i < TRIES; i++) {
        bool made = false;
        const enum mix_status status = make_lock(lock, &made, err);
        if (status != MIX_OK || made)
            return status;
        if (!read_holder(lock->path, &holder))
            continue;
        if (!break_lock && !holder_is_gone(&holder))
            return fail_locked(lock->path, &holder, err);
        if (is_file(lock->path, holder.device, holder.inode))
            unlink(lock->path);
    }
    return fail_locked(lock->path, &holder, err);
}

enum mix_status store_lock_take(const char *path, bool break_lock, struct store_lock **out,
                                struct mix_error *err)
{
    struct store_lock *lock = calloc(1, sizeof *lock);
    const size_t n = strlen(path) + sizeof ".lock";
    if (lock != NULL)
        lock->path = malloc(n);
    if (lock == NULL || lock->path == NULL) {
        free(lock);
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the lock", path);
    }
    snprintf(lock->path, n, "%s.lock", path);
    lock->fd = -1;
    const enum mix_status status = take(lock, break_lock, err);
    if (status == MIX_OK) {
        *out = lock;
    } else {
        if (lock->fd >= 0)
            close(lock->fd);
        free(lock->path);
        free(lock);
    }
    return status;
}

/* "2026-01-01T00:00:00Z" as Unix time; NaN where it is not one. */
static double parse_time(const char *text)
{
    struct tm utc = {0};
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
               &utc.tm_hour, &utc.tm_min, &utc.tm_sec) != 6)
        return NAN;
    utc.tm_year -= 1900;
    utc.tm_mon--;
    return (double)timegm(&utc);
}

bool store_lock_holder(const char *path, struct mix_writer *out)
{
    struct holder holder = {0};
    const size_t n = strlen(path) + sizeof ".lock";
    char *lock_path = malloc(n);
    if (lock_path == NULL)
        return false;
    snprintf(lock_path, n, "%s.lock", path);
    const bool is_held = read_holder(lock_path, &holder) && !holder_is_gone(&holder);
    free(lock_path);
    if (!is_held)
        return false;
    *out = (struct mix_writer){.since = parse_time(holder.since), .heartbeat_s = holder.age_s};
    snprintf(out->host, sizeof out->host, "%s", holder.host);
    snprintf(out->pid, sizeof out->pid, "%.23s", holder.pid);
    snprintf(out->job, sizeof out->job, "%.23s", holder.job);
    return true;
}

static bool is_ours(const struct store_lock *lock)
{
    struct stat info;
    return fstat(lock->fd, &info) == 0 && is_file(lock->path, info.st_dev, info.st_ino);
}

enum mix_status store_lock_check(const struct store_lock *lock, struct mix_error *err)
{
    if (is_ours(lock))
        return MIX_OK;
    struct holder holder = {0};
    if (read_holder(lock->path, &holder))
        return mix_fail(err, MIX_ELOCKED,
                        "%s was taken over by process %s on %s; nothing more is written, the logs "
                        "are kept",
                        lock->path, holder.pid, holder.host);
    return mix_fail(err, MIX_ELOCKED, "%s was removed; nothing more is written, the logs are kept",
                    lock->path);
}

void store_lock_beat(struct store_lock *lock)
{
    const time_t now = time(NULL);
    if (now - lock->beaten < BEAT_S && now >= lock->beaten)
        return;
    lock->beaten = now;
    futimens(lock->fd, NULL);
}

void store_lock_release(struct store_lock *lock)
{
    if (lock == NULL)
        return;
    if (is_ours(lock))
        unlink(lock->path);
    close(lock->fd);
    free(lock->path);
    free(lock);
}

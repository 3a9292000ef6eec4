/* SPDX-License-Identifier: GPL-3.0-or-later */
/* child.c - starting, watching and ending child processes; see child.h. */
#define _GNU_SOURCE /* wait4, syscall, O_PATH, folder and descriptors in posix_spawn */
#include "mixsweep/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/environment.h"

struct mix_child {
    pid_t pid; /* its process group has the same number */
    int pidfd;
    int to_stdin, from_stdout; /* our ends of the pipes, or -1 */
    bool ended;
    bool group_gone; /* its number may by now be that of a stranger */
    double start_s;
    struct mix_child_end end;
};

static double clock_s(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A lock belongs to the open file, which the child inherits; file systems without locks say so by
 * another error. */
static bool is_claimed(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool mix_child_claimed(const char *path)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
    const bool claimed = fd >= 0 && is_claimed(fd);
    if (fd >= 0)
        close(fd);
    return claimed;
}

/* ---- what is opened for a child. posix_spawn tells only an errno: all that may fail is done
 * before it, here, where it is known what failed. */

enum { N_STREAMS = 3 };

struct opened {
    int dir;               /* of the child, or AT_FDCWD */
    int stream[N_STREAMS]; /* for the child; all above 2, close-on-exec; -1 = not open */
    int to_stdin, from_stdout;
};

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_opened(struct opened *opened)
{
    close_one(&opened->dir); /* AT_FDCWD is negative */
    for (int i = 0; i < N_STREAMS; i++)
        close_one(&opened->stream[i]);
    close_one(&opened->to_stdin);
    close_one(&opened->from_stdout);
}

/* Away from 0, 1, 2, which our process may have been started without: dup2 in the child would
 * overwrite one stream by another. */
static int above_streams(int fd)
{
    if (fd < 0 || fd >= N_STREAMS)
        return fd;
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, N_STREAMS);
    const int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return moved;
}

static enum mix_status open_dir(const char *path, struct opened *opened, struct mix_error *err)
{
    if (path == NULL)
        return MIX_OK;
    opened->dir = above_streams(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (opened->dir < 0 || faccessat(opened->dir, ".", X_OK, AT_EACCESS) != 0)
        return mix_fail(err, MIX_EIO, "%s cannot be the working folder of a command: %s.", path,
                        strerror(errno));
    return MIX_OK;
}

static enum mix_status open_stream(const char *path, int i, struct opened *opened,
                                   struct mix_error *err)
{
    const int flags = i == 0 ? O_RDONLY : O_WRONLY | O_APPEND | O_CREAT;
    const char *file = path != NULL ? path : "/dev/null";
    opened->stream[i] = above_streams(open(file, flags | O_CLOEXEC | O_NOCTTY, 0666));
    if (opened->stream[i] >= 0)
        return MIX_OK;
    return mix_fail(err, MIX_EIO, "%s cannot be opened as the %s of a command: %s.", file,
                    i == 0 ? "input" : "output", strerror(errno));
}

/* `ours` is the end that we keep; it never blocks us. */
static int make_pipe(int *childs, int *ours, int childs_end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    *childs = above_streams(ends[childs_end]);
    *ours = above_streams(ends[1 - childs_end]);
    return *childs < 0 || *ours < 0 ? -1 : fcntl(*ours, F_SETFL, O_NONBLOCK);
}

static enum mix_status open_streams(const struct mix_child_spec *spec, struct opened *opened,
                                    struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (spec->pipes) {
        if (make_pipe(&opened->stream[0], &opened->to_stdin, 0) != 0 ||
            make_pipe(&opened->stream[1], &opened->from_stdout, 1) != 0)
            status = mix_fail(err, MIX_EIO, "no pipe to a command: %s.", strerror(errno));
    } else {
        status = open_stream(spec->stdin_path, 0, opened, err);
        if (status == MIX_OK)
            status = open_stream(spec->stdout_path, 1, opened, err);
    }
    if (spec->own_stderr && status == MIX_OK)
        opened->stream[2] = fcntl(2, F_DUPFD_CLOEXEC, N_STREAMS); /* without one: /dev/null */
    if (status != MIX_OK || opened->stream[2] >= 0)
        return status;
    status = open_stream(spec->own_stderr ? NULL : spec->stderr_path, 2, opened, err);
    if (status == MIX_OK && spec->claims_stderr && is_claimed(opened->stream[2]))
        return mix_fail(err, MIX_ELOCKED, "%s is in use by a command that was started earlier.",
                        spec->stderr_path);
    return status;
}

/* ---- the program */

/* 0, or why this file cannot be executed; relative to the child's folder. */
static int why_not_executable(int dir, const char *path)
{
    struct stat info;
    if (fstatat(dir, path, &info, 0) != 0)
        return errno;
    if (!S_ISREG(info.st_mode))
        return EACCES;
    return faccessat(dir, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* The next folder of a PATH and `name`; an empty one is the working folder. False where it is too
 * long. */
static bool next_candidate(const char **path, const char *name, char out[PATH_MAX])
{
    const size_t n = strcspn(*path, ":");
    const int length = snprintf(out, PATH_MAX, "%.*s%s%s", (int)(n < PATH_MAX ? n : PATH_MAX),
                                *path, n > 0 ? "/" : "./", name);
    *path += n;
    return n < PATH_MAX && length < PATH_MAX;
}

/* As the shell does it: a name with a slash is a path, others are looked for in PATH; a file that
 * is there but cannot be executed is reported only where none follows that can. */
static enum mix_status find_program(const char *name, const char *path, int dir, char out[PATH_MAX],
                                    struct mix_error *err)
{
    if (strchr(name, '/') != NULL) {
        const int why = strlen(name) < PATH_MAX ? why_not_executable(dir, name) : ENAMETOOLONG;
        if (why != 0)
            return mix_fail(err, MIX_ENOTFOUND, "%s cannot be run: %s.", name, strerror(why));
        memcpy(out, name, strlen(name) + 1);
        return MIX_OK;
    }
    char denied[PATH_MAX] = "";
    for (const char *rest = path; name[0] != '\0';) {
        if (next_candidate(&rest, name, out)) {
            const int why = why_not_executable(dir, out);
            if (why == 0)
                return MIX_OK;
            if (why == EACCES && denied[0] == '\0')
                memcpy(denied, out, sizeof denied);
        }
        if (*rest++ == '\0')
            break;
    }
    if (denied[0] != '\0')
        return mix_fail(err, MIX_ENOTFOUND, "%s cannot be run: it is not executable.", denied);
    return mix_fail(err, MIX_ENOTFOUND, "there is no program \"%s\" in the PATH %s.", name, path);
}

/* What posix_spawn may still say of a file that is there and executable. */
static enum mix_status explain(int error, const char *program, struct mix_error *err)
{
    switch (error) {
    case ENOEXEC:
        return mix_fail(err, MIX_ENOTFOUND,
                        "%s cannot be run: it is neither a program for this machine nor a script "
                        "whose first line begins with #!.",
                        program);
    case ENOENT:
        return mix_fail(err, MIX_ENOTFOUND,
                        "%s cannot be run: the interpreter that it asks for does not exist.",
                        program);
    case E2BIG:
        return mix_fail(err, MIX_EIO,
                        "%s cannot be run: its arguments and environment are too long.", program);
    case EACCES:
    case EPERM:
        return mix_fail(err, MIX_ENOTFOUND, "%s cannot be run: %s.", program, strerror(error));
    default:
        return mix_fail(err, MIX_EIO, "no process for %s: %s.", program, strerror(error));
    }
}

/* ---- starting */

/* In the order in which the child does it. 0 or an errno. */
static int add_actions(posix_spawn_file_actions_t *actions, const struct opened *opened)
{
    int error = 0;
    if (opened->dir >= 0)
        error = posix_spawn_file_actions_addfchdir_np(actions, opened->dir);
    for (int i = 0; error == 0 && i < N_STREAMS; i++)
        error = posix_spawn_file_actions_adddup2(actions, opened->stream[i], i);
#if __GLIBC_PREREQ(2, 34) /* with an older one, what is not close-on-exec is inherited */
    /* Libraries open descriptors without close-on-exec: sockets of MPI, devices of GPUs. */
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(actions, N_STREAMS);
#endif
    return error;
}

/* Nothing of our signal handling goes to the child: main ignores SIGPIPE, MPI libraries block. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int error = posix_spawnattr_setsigdefault(attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (error == 0)
        error = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    return error;
}

static int spawn(const char *program, const struct mix_child_spec *spec,
                 const struct mix_environment *environment, const struct opened *opened, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = add_actions(&actions, opened);
        if (error == 0)
            error = set_attributes(&attributes);
        if (error == 0)
            error = posix_spawn(pid, program, &actions, &attributes, (char *const *)spec->argv,
                                mix_environment_strings(environment));
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* A launcher may have handed down that ended children vanish at once: then no exit code is left to
 * be read. */
static void keep_exit_codes(void)
{
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) == 0 &&
        (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0)) {
        action.sa_flags &= ~SA_NOCLDWAIT;
        if (action.sa_handler == SIG_IGN)
            action.sa_handler = SIG_DFL;
        sigaction(SIGCHLD, &action, NULL);
    }
}

static enum mix_status start(const struct mix_child_spec *spec,
                             const struct mix_environment *environment, struct opened *opened,
                             struct mix_child *child, struct mix_error *err)
{
    char program[PATH_MAX];
    const char *path = mix_environment_get(environment, "PATH");
    enum mix_status status = open_dir(spec->dir, opened, err);
    if (status == MIX_OK)
        status = find_program(spec->argv[0], path != NULL ? path : "/bin:/usr/bin", opened->dir,
                              program, err);
    if (status == MIX_OK)
        status = open_streams(spec, opened, err);
    if (status != MIX_OK)
        return status;
    keep_exit_codes();
    child->start_s = clock_s();
    const int error = spawn(program, spec, environment, opened, &child->pid);
    if (error != 0)
        return explain(error, program, err);
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    child->to_stdin = opened->to_stdin;
    child->from_stdout = opened->from_stdout;
    opened->to_stdin = opened->from_stdout = -1;
    return MIX_OK;
}

enum mix_status mix_child_start(const struct mix_child_spec *spec, struct mix_child **out,
                                struct mix_error *err)
{
    struct opened opened = {AT_FDCWD, {-1, -1, -1}, -1, -1};
    struct mix_environment *scrubbed = NULL;
    struct mix_child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a child process.");
    child->pidfd = child->to_stdin = child->from_stdout = -1;
    enum mix_status status = MIX_OK;
    if (spec->environment == NULL)
        status = mix_environment_create(true, &scrubbed, err);
    if (status == MIX_OK)
        status = start(spec, scrubbed != NULL ? scrubbed : spec->environment, &opened, child, err);
    close_opened(&opened);
    mix_environment_destroy(scrubbed);
    if (status == MIX_OK)
        *out = child;
    else
        free(child);
    return status;
}

/* ---- watching and ending */

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

/* Waits for this pid only: other children of the process belong to others. */
static bool reap(struct mix_child *child)
{
    int status = 0;
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    const pid_t pid = wait4(child->pid, &status, WNOHANG, &usage);
    if (pid == 0 || (pid < 0 && errno != ECHILD))
        return false;
    child->ended = true;
    child->group_gone = kill(-child->pid, 0) != 0;
    child->end = (struct mix_child_end){.exit_code = -1,
                                        .wall_s = clock_s() - child->start_s,
                                        .user_s = seconds(usage.ru_utime),
                                        .system_s = seconds(usage.ru_stime),
                                        .max_rss_bytes = (size_t)usage.ru_maxrss * 1024};
    if (pid > 0 && WIFEXITED(status))
        child->end.exit_code = WEXITSTATUS(status);
    if (pid > 0 && WIFSIGNALED(status))
        child->end.signal = WTERMSIG(status);
    return true;
}

bool mix_child_ended(struct mix_child *child, struct mix_child_end *end)
{
    if (!child->ended && !reap(child))
        return false;
    *end = child->end;
    return true;
}

void mix_child_signal(struct mix_child *child, int number)
{
    if (!child->group_gone)
        kill(-child->pid, number);
}

int mix_child_descriptor(const struct mix_child *child)
{
    return child->pidfd;
}

int mix_child_stdin(const struct mix_child *child)
{
    return child->to_stdin;
}

int mix_child_stdout(const struct mix_child *child)
{
    return child->from_stdout;
}

void mix_child_close_stdin(struct mix_child *child)
{
    close_one(&child->to_stdin);
}

/* A killed process ends at once unless the kernel holds it, in a file system that hangs, say: then
 * it is left behind after some seconds. */
static void reap_killed(struct mix_child *child)
{
    enum { STEP_MS = 5, STEPS = 1000 };
    for (int i = 0; i < STEPS && !reap(child); i++) {
        struct pollfd wait = {.fd = child->pidfd, .events = POLLIN};
        poll(&wait, child->pidfd >= 0, STEP_MS);
    }
}

void mix_child_destroy(struct mix_child *child)
{
    if (child == NULL)
        return;
    mix_child_signal(child, SIGKILL);
    if (!child->ended)
        reap_killed(child);
    close_one(&child->pidfd);
    close_one(&child->to_stdin);
    close_one(&child->from_stdout);
    free(child);
}

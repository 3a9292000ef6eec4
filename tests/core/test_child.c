/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Children: what they are given, what they are not, how their end is seen, what failing says. */
#define _GNU_SOURCE /* affinity */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four first. */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/environment.h"
#include "mixsweep/child.h"

enum { WAIT_MS = 60000 }; /* longer than any machine stalls */

static char folder[32];

static int new_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "child-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[4][64];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_file(const char *path, mode_t mode, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static const char *read_file(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static struct mix_child *start(const struct mix_child_spec *spec)
{
    struct mix_error err = {""};
    struct mix_child *child = NULL;
    const enum mix_status status = mix_child_start(spec, &child, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(status, MIX_OK);
    return child;
}

static struct mix_child_end wait_for(struct mix_child *child)
{
    struct mix_child_end end = {.exit_code = -2};
    for (int ms = 0; !mix_child_ended(child, &end) && ms < WAIT_MS; ms += 10) {
        struct pollfd wait = {.fd = mix_child_descriptor(child), .events = POLLIN};
        poll(&wait, wait.fd >= 0, 10);
    }
    return end;
}

/* Run a shell command with its output in folder/out; its end. */
static struct mix_child_end run_shell(const char *command,
                                      const struct mix_environment *environment)
{
    char out[64];
    snprintf(out, sizeof out, "%s", in_folder("out"));
    unlink(out);
    const char *argv[] = {"sh", "-c", command, NULL};
    struct mix_child *child = start(&(struct mix_child_spec){
        .argv = argv, .environment = environment, .stdout_path = out, .stderr_path = out});
    const struct mix_child_end end = wait_for(child);
    mix_child_destroy(child);
    return end;
}

/* Everything the other ends write until all have closed; waits. */
static size_t read_to_end(int fd, char *text, size_t size)
{
    size_t n = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        const ssize_t got = read(fd, text + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
    return n;
}

static void test_end_of_a_child(void **state)
{
    (void)state;
    const struct mix_child_end end = run_shell("exit 7", NULL);
    assert_int_equal(end.exit_code, 7);
    assert_int_equal(end.signal, 0);
    assert_true(end.wall_s > 0 && end.wall_s < 60);
    assert_true(end.max_rss_bytes > 100000);
    assert_int_equal(run_shell("exit 255", NULL).exit_code, 255);
    const struct mix_child_end killed = run_shell("kill -SEGV $$", NULL);
    assert_int_equal(killed.exit_code, -1);
    assert_int_equal(killed.signal, SIGSEGV);
    const struct mix_child_end busy =
        run_shell("i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done", NULL);
    assert_true(busy.user_s > 0.005);
}

static void test_descriptor_is_readable_at_the_end(void **state)
{
    (void)state;
    const char *argv[] = {"cat", NULL};
    struct mix_child *child = start(&(struct mix_child_spec){.argv = argv, .pipes = true});
    struct mix_child_end end;
    assert_false(mix_child_ended(child, &end));
    struct pollfd wait = {.fd = mix_child_descriptor(child), .events = POLLIN};
    if (wait.fd >= 0) {
        assert_int_equal(poll(&wait, 1, 0), 0);
        mix_child_close_stdin(child);
        assert_int_equal(mix_child_stdin(child), -1);
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        assert_true(mix_child_ended(child, &end));
        assert_true(mix_child_ended(child, &end)); /* and again */
        assert_int_equal(end.exit_code, 0);
    }
    mix_child_destroy(child);
}

static void test_pipes(void **state)
{
    (void)state;
    char text[64];
    const char *argv[] = {"sed", "s/a/b/", NULL};
    struct mix_child *child = start(&(struct mix_child_spec){.argv = argv, .pipes = true});
    const int fds[] = {mix_child_stdin(child), mix_child_stdout(child)};
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(read(fds[1], text, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(write(fds[0], "cat\n", 4), 4);
    mix_child_close_stdin(child);
    assert_int_equal(read_to_end(fds[1], text, sizeof text), 4);
    assert_string_equal(text, "cbt\n");
    assert_int_equal(wait_for(child).exit_code, 0);
    mix_child_destroy(child);
}

static void test_signal_reaches_the_whole_group(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "sleep 600 & sleep 600 & echo up; wait", NULL};
    char text[64];
    struct mix_child *child = start(&(struct mix_child_spec){.argv = argv, .pipes = true});
    struct pollfd wait = {.fd = mix_child_stdout(child), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
    mix_child_signal(child, SIGTERM);
    read_to_end(mix_child_stdout(child), text, sizeof text); /* both sleeps hold the pipe */
    assert_string_equal(text, "up\n");
    assert_int_equal(wait_for(child).signal, SIGTERM);
    mix_child_signal(child, SIGTERM); /* of none that are left: nothing */
    mix_child_destroy(child);
}

static void destroy_ends_the_group(const char *command, bool ended)
{
    const char *fifo = in_folder("fifo");
    char text[64];
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const char *argv[] = {"sh", "-c", command, NULL};
    struct mix_child *child = start(&(struct mix_child_spec){.argv = argv, .stdout_path = fifo});
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
    if (ended)
        assert_int_equal(wait_for(child).exit_code, 0);
    mix_child_destroy(child);
    read_to_end(fd, text, sizeof text);
    assert_string_equal(text, "up\n");
    close(fd);
}

static void test_destroy_ends_the_group(void **state)
{
    (void)state;
    destroy_ends_the_group("trap '' TERM; sleep 600 & echo up; wait", false);
    destroy_ends_the_group("sleep 600 & echo up", true); /* what an ended child left behind */
    mix_child_destroy(NULL);
}

static void test_streams(void **state)
{
    (void)state;
    assert_int_equal(run_shell("cat; echo out; echo err >&2; echo out", NULL).exit_code, 0);
    assert_string_equal(read_file(in_folder("out")), "out\nerr\nout\n"); /* stdin was empty */

    const char *argv[] = {"cat", NULL};
    write_file(in_folder("in"), 0600, "in\n");
    struct mix_child *child = start(&(struct mix_child_spec){
        .argv = argv, .stdin_path = in_folder("in"), .stdout_path = in_folder("out")});
    assert_int_equal(wait_for(child).exit_code, 0);
    mix_child_destroy(child);
    assert_string_equal(read_file(in_folder("out")), "out\nerr\nout\nin\n");
}

/* A daemon may run without standard streams: ours then get the numbers 0, 1, 2. */
static void test_streams_of_a_process_without_any(void **state)
{
    (void)state;
    write_file(in_folder("in"), 0600, "in\n");
    unlink(in_folder("out"));
    const pid_t pid = fork();
    if (pid == 0) {
        const char *argv[] = {"sh", "-c", "cat; echo err >&2", NULL};
        struct mix_child *child = NULL;
        struct mix_child_end end;
        close(0), close(1), close(2);
        if (mix_child_start(&(struct mix_child_spec){.argv = argv,
                                                     .dir = ".",
                                                     .stdin_path = in_folder("in"),
                                                     .stdout_path = in_folder("out"),
                                                     .stderr_path = in_folder("out")},
                            &child, NULL) != MIX_OK)
            _exit(1);
        while (!mix_child_ended(child, &end))
            usleep(1000);
        _exit(end.exit_code);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(read_file(in_folder("out")), "in\nerr\n");
}

static void test_nothing_of_ours_is_inherited(void **state)
{
    (void)state;
    const int fd = dup2(STDERR_FILENO, 77); /* not close-on-exec */
    assert_int_equal(fd, 77);
    sigset_t blocked, old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    signal(SIGPIPE, SIG_IGN);
    const struct mix_child_end end = run_shell("ls /proc/self/fd; "
                                               "grep -E 'Sig(Blk|Ign):' /proc/self/status; "
                                               "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ]",
                                               NULL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(fd);
    assert_int_equal(end.exit_code, 0); /* it leads its process group */
    unsigned long long blocked_now = 1, ignored = 1;
    const char *text = read_file(in_folder("out"));
    assert_int_equal(strncmp(text, "0\n1\n2\n3\nSig", 11), 0); /* 3 is that of ls */
    assert_int_equal(sscanf(text + 8, "SigBlk: %llx SigIgn: %llx", &blocked_now, &ignored), 2);
    assert_int_equal(blocked_now, 0);
    assert_int_equal(ignored & ~(3ull << 31), 0); /* 32 and 33 are glibc's own affair */
}

static void test_folder(void **state)
{
    (void)state;
    const char *argv[] = {"./prog", NULL};
    write_file(in_folder("prog"), 0700, "#!/bin/sh\npwd\n");
    struct mix_child *child = start(
        &(struct mix_child_spec){.argv = argv, .dir = folder, .stdout_path = in_folder("pwd")});
    assert_int_equal(wait_for(child).exit_code, 0);
    mix_child_destroy(child);
    assert_non_null(strstr(read_file(in_folder("pwd")), folder));
}

static void expect_failure(const struct mix_child_spec *spec, enum mix_status expected,
                           const char *part, const char *reason)
{
    struct mix_error err = {""};
    struct mix_child *child = NULL;
    assert_int_equal(mix_child_start(spec, &child, &err), expected);
    assert_null(child);
    if (strstr(err.text, part) == NULL || strstr(err.text, reason) == NULL)
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", err.text, part, reason);
}

static void expect_no_program(const char *name, const char *reason)
{
    const char *argv[] = {name, NULL};
    const char *base = strrchr(name, '/');
    expect_failure(&(struct mix_child_spec){.argv = argv}, MIX_ENOTFOUND,
                   base != NULL ? base : name, reason);
}

static void test_programs_that_cannot_run(void **state)
{
    (void)state;
    expect_no_program("no-such-program", "there is no program");
    expect_no_program("", "there is no program");
    expect_no_program(in_folder("nothing"), "No such file");
    expect_no_program("/", "Permission denied");
    write_file(in_folder("plain"), 0600, "text");
    expect_no_program(in_folder("plain"), "Permission denied");
    write_file(in_folder("text"), 0700, "exit 0\n");
    expect_no_program(in_folder("text"), "first line begins with #!");
    write_file(in_folder("lost"), 0700, "#!/no/such/interpreter\n");
    expect_no_program(in_folder("lost"), "interpreter");
    static char argument[300000]; /* the kernel takes 128 KiB each */
    memset(argument, 'x', sizeof argument - 1);
    const char *argv[] = {argument, argument, NULL};
    expect_failure(&(struct mix_child_spec){.argv = argv}, MIX_ENOTFOUND, "xxx",
                   "there is no program");
    argument[0] = '/';
    expect_failure(&(struct mix_child_spec){.argv = argv}, MIX_ENOTFOUND, "/xxx", "");
    argv[0] = "true";
    expect_failure(&(struct mix_child_spec){.argv = argv}, MIX_EIO, "true", "too long");
}

/* Also what a child has started, and what outlives it, claims the file. */
static void test_a_claimed_file_is_not_shared(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s", in_folder("claimed"));
    assert_false(mix_child_claimed(path));
    const char *stays[] = {"sh", "-c", "sleep 1000 & exit 0", NULL}, *ends[] = {"true", NULL};
    const struct mix_child_spec second = {.argv = ends, .stderr_path = path, .claims_stderr = true};
    struct mix_child *child =
        start(&(struct mix_child_spec){.argv = stays, .stderr_path = path, .claims_stderr = true});
    assert_int_equal(wait_for(child).exit_code, 0);
    assert_true(mix_child_claimed(path));
    expect_failure(&second, MIX_ELOCKED, path, "started earlier");
    mix_child_destroy(child); /* with its group */
    for (int ms = 0; mix_child_claimed(path) && ms < WAIT_MS; ms += 10)
        poll(NULL, 0, 10);
    child = start(&second);
    assert_int_equal(wait_for(child).exit_code, 0);
    mix_child_destroy(child);
}

static void test_folders_and_files_that_are_not_there(void **state)
{
    (void)state;
    const char *argv[] = {"true", NULL};
    expect_failure(&(struct mix_child_spec){.argv = argv, .dir = in_folder("none")}, MIX_EIO,
                   in_folder("none"), "working folder");
    write_file(in_folder("file"), 0600, "");
    expect_failure(&(struct mix_child_spec){.argv = argv, .dir = in_folder("file")}, MIX_EIO,
                   in_folder("file"), "Not a directory");
    expect_failure(&(struct mix_child_spec){.argv = argv, .stdin_path = in_folder("none")}, MIX_EIO,
                   in_folder("none"), "input");
    expect_failure(&(struct mix_child_spec){.argv = argv, .stdout_path = in_folder("none/out")},
                   MIX_EIO, in_folder("none/out"), "output");
    expect_failure(&(struct mix_child_spec){.argv = argv, .stderr_path = folder}, MIX_EIO, folder,
                   "Is a directory");
}

static void test_path_of_the_child(void **state)
{
    (void)state;
    char path[128];
    struct mix_environment *environment = NULL;
    const char *argv[] = {"tool", NULL};
    assert_int_equal(mix_environment_create(true, &environment, NULL), MIX_OK);
    assert_int_equal(mkdir(in_folder("a"), 0700), 0);
    assert_int_equal(mkdir(in_folder("b"), 0700), 0);
    assert_int_equal(mkdir(in_folder("c"), 0700), 0);
    assert_int_equal(mkdir(in_folder("a/tool"), 0700), 0); /* a folder is no program */
    write_file(in_folder("b/tool"), 0600, "");
    snprintf(path, sizeof path, "/no/such:%s/a:%s/b:c", folder, folder);
    mix_environment_set(environment, "PATH", path, NULL);
    expect_failure(&(struct mix_child_spec){.argv = argv, .environment = environment},
                   MIX_ENOTFOUND, "a/tool", "not executable");
    write_file(in_folder("c/tool"), 0700, "#!/bin/sh\nexit 5\n");
    struct mix_child *child =
        start(&(struct mix_child_spec){.argv = argv, .environment = environment, .dir = folder});
    assert_int_equal(wait_for(child).exit_code, 5); /* c is a folder of the child's folder */
    mix_child_destroy(child);
    snprintf(path, sizeof path, "/no/such:");
    mix_environment_set(environment, "PATH", path, NULL);
    child = start(
        &(struct mix_child_spec){.argv = argv, .environment = environment, .dir = in_folder("c")});
    assert_int_equal(wait_for(child).exit_code, 5);
    mix_child_destroy(child);
    mix_environment_destroy(environment);
}

static void test_exit_code_where_ended_children_vanish(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(run_shell("exit 3", NULL).exit_code, 3);
    const struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, NULL);
    assert_int_equal(run_shell("exit 4", NULL).exit_code, 4);
    signal(SIGCHLD, SIG_DFL);
}

static void test_exit_code_taken_by_somebody_else(void **state)
{
    (void)state;
    const char *argv[] = {"true", NULL};
    struct mix_child *child = start(&(struct mix_child_spec){.argv = argv});
    assert_true(waitpid(-1, NULL, 0) > 0);
    const struct mix_child_end end = wait_for(child);
    assert_int_equal(end.exit_code, -1);
    assert_int_equal(end.signal, 0);
    mix_child_destroy(child);
}

/* A child takes no other child's end for its own. */
static void test_many_children(void **state)
{
    (void)state;
    enum { N = 12 };
    struct mix_child *children[N];
    for (int i = 0; i < N; i++) {
        char command[32];
        snprintf(command, sizeof command, "exit %d", i);
        const char *argv[] = {"sh", "-c", command, NULL};
        children[i] = start(&(struct mix_child_spec){.argv = argv});
    }
    for (int i = N - 1; i >= 0; i--) {
        assert_int_equal(wait_for(children[i]).exit_code, i);
        mix_child_destroy(children[i]);
    }
}

static void test_environment_is_scrubbed(void **state)
{
    (void)state;
    static const char *const gone[] = {"OMPI_COMM_WORLD_RANK",
                                       "OMPI_MCA_orte_hnp_uri",
                                       "OMPI_MCA_ess",
                                       "OMPI_MCA_pmix",
                                       "OMPI_MCA_ess_base_vpid",
                                       "OMPI_MCA_rmaps_base_mapping_policy",
                                       "PMIX_RANK",
                                       "PMI_RANK",
                                       "PRTE_LAUNCHED",
                                       "ORTE_X",
                                       "SRUN_DEBUG",
                                       "SLURM_PROCID",
                                       "SLURM_LOCALID",
                                       "SLURM_NTASKS",
                                       "SLURM_STEP_ID",
                                       "SLURM_STEPID",
                                       "SLURM_OVERLAP",
                                       "SLURM_EXACT",
                                       "SLURM_CPU_BIND",
                                       "SLURM_CPU_BIND_TYPE",
                                       "SLURM_MPI_TYPE",
                                       "SLURM_GPUS",
                                       "SLURM_GPUS_PER_NODE",
                                       "SLURM_MEM_PER_NODE",
                                       "SLURM_MEM_PER_CPU",
                                       "SLURM_EXPORT_ENV",
                                       "SLURM_NNODES",
                                       "SLURM_LAUNCH_NODE_IPADDR",
                                       "SLURM_SRUN_COMM_PORT",
                                       "SLURM_GTIDS"};
    static const char *const kept[] = {"SLURM_JOB_ID",
                                       "SLURM_JOBID",
                                       "SLURM_JOB_NUM_NODES",
                                       "SLURM_ARRAY_TASK_ID",
                                       "SLURM_CONF",
                                       "SLURM_RESTART_COUNT",
                                       "SLURMD_NODENAME",
                                       "OMPI_ALLOW_RUN_AS_ROOT",
                                       "OMPI_MCA_btl_tcp_if_include",
                                       "OMPI_MCA_plm_slurm_args",
                                       "OMPI",
                                       "CUDA_VISIBLE_DEVICES"};
    struct mix_environment *scrubbed = NULL, *whole = NULL;
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        setenv(gone[i], "1", 1);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        setenv(kept[i], "2", 1);
    unsetenv("OMPI_MCA_ras");
    setenv("SLURM_JOB_NODELIST", "n[1-2]", 1);
    setenv("SLURM_NODELIST", "n2", 1);
    setenv("SLURM_JOB_CPUS_PER_NODE", "4(x2)", 1);
    setenv("SLURM_TASKS_PER_NODE", "1", 1);
    assert_int_equal(mix_environment_create(true, &scrubbed, NULL), MIX_OK);
    assert_int_equal(mix_environment_create(false, &whole, NULL), MIX_OK);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        if (mix_environment_get(scrubbed, gone[i]) != NULL)
            fail_msg("%s was not removed", gone[i]);
        assert_string_equal(mix_environment_get(whole, gone[i]), "1");
        unsetenv(gone[i]);
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (mix_environment_get(scrubbed, kept[i]) == NULL)
            fail_msg("%s was removed", kept[i]);
        unsetenv(kept[i]);
    }
    assert_string_equal(mix_environment_get(scrubbed, "SLURM_NODELIST"), "n[1-2]");
    assert_string_equal(mix_environment_get(scrubbed, "SLURM_TASKS_PER_NODE"), "4(x2)");
    assert_string_equal(mix_environment_get(whole, "SLURM_TASKS_PER_NODE"), "1");
    assert_string_equal(mix_environment_get(scrubbed, "OMPI_MCA_ras"), "^slurm");
    assert_string_equal(mix_environment_get(scrubbed, "OMPI_MCA_plm_slurm_args"), "2");
    assert_non_null(mix_environment_get(scrubbed, "PATH"));
    unsetenv("SLURM_JOB_NODELIST"), unsetenv("SLURM_NODELIST");
    unsetenv("SLURM_JOB_CPUS_PER_NODE"), unsetenv("SLURM_TASKS_PER_NODE");
    mix_environment_destroy(scrubbed);
    mix_environment_destroy(whole);
}

static void test_environment_variables(void **state)
{
    (void)state;
    struct mix_environment *environment = NULL, *copy = NULL;
    struct mix_error err = {""};
    assert_int_equal(mix_environment_create(true, &environment, &err), MIX_OK);
    for (int i = 0; i < 300; i++) { /* grows */
        char name[32], value[32];
        snprintf(name, sizeof name, "MIX_TEST_%d", i % 150);
        snprintf(value, sizeof value, "%d", i);
        assert_int_equal(mix_environment_set(environment, name, value, &err), MIX_OK);
    }
    assert_int_equal(mix_environment_set(environment, "MIX_TEST_EMPTY", "", &err), MIX_OK);
    assert_int_equal(mix_environment_copy(environment, &copy, &err), MIX_OK);
    assert_int_equal(mix_environment_set(copy, "MIX_TEST_7", "x=y\nz", &err), MIX_OK);
    assert_string_equal(mix_environment_get(environment, "MIX_TEST_7"), "157");
    assert_null(mix_environment_get(environment, "MIX_TEST_"));
    assert_int_equal(
        run_shell("[ \"$MIX_TEST_7\" = 157 ] && [ \"${MIX_TEST_EMPTY-x}\" = '' ]", environment)
            .exit_code,
        0);
    assert_int_equal(run_shell("printf %s \"$MIX_TEST_7\"", copy).exit_code, 0);
    assert_string_equal(read_file(in_folder("out")), "x=y\nz");
    assert_int_equal(mix_environment_set(copy, "", "x", &err), MIX_EINVAL);
    assert_int_equal(mix_environment_set(copy, "A=B", "x", &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "A=B"));
    mix_environment_destroy(copy);
    mix_environment_destroy(environment);
    mix_environment_destroy(NULL);
}

static void test_affinity_is_widened_where_nobody_asked(void **state)
{
    (void)state;
    cpu_set_t all, one, now;
    assert_int_equal(sched_getaffinity(getppid(), sizeof all, &all), 0);
    int first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    sched_setaffinity(0, sizeof one, &one);
    assert_int_equal(mix_child_widen_affinity(), 1); /* not started by mpirun */
    setenv("OMPI_MCA_orte_bound_at_launch", "1", 1);
    setenv("OMPI_MCA_hwloc_base_binding_policy", "core", 1);
    assert_int_equal(mix_child_widen_affinity(), 1);
    unsetenv("OMPI_MCA_hwloc_base_binding_policy");
    setenv("OMPI_MCA_rmaps_base_mapping_policy", "slot:PE=1", 1);
    assert_int_equal(mix_child_widen_affinity(), 1);
    setenv("OMPI_MCA_rmaps_base_mapping_policy", "node", 1);
    assert_int_equal(mix_child_widen_affinity(), CPU_COUNT(&all));
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&all, &now));
    unsetenv("OMPI_MCA_rmaps_base_mapping_policy");
    unsetenv("OMPI_MCA_orte_bound_at_launch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_of_a_child),
        cmocka_unit_test(test_descriptor_is_readable_at_the_end),
        cmocka_unit_test(test_pipes),
        cmocka_unit_test(test_signal_reaches_the_whole_group),
        cmocka_unit_test(test_destroy_ends_the_group),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_streams_of_a_process_without_any),
        cmocka_unit_test(test_nothing_of_ours_is_inherited),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_programs_that_cannot_run),
        cmocka_unit_test(test_a_claimed_file_is_not_shared),
        cmocka_unit_test(test_folders_and_files_that_are_not_there),
        cmocka_unit_test(test_path_of_the_child),
        cmocka_unit_test(test_exit_code_where_ended_children_vanish),
        cmocka_unit_test(test_exit_code_taken_by_somebody_else),
        cmocka_unit_test(test_many_children),
        cmocka_unit_test(test_environment_is_scrubbed),
        cmocka_unit_test(test_environment_variables),
        cmocka_unit_test(test_affinity_is_widened_where_nobody_asked),
    };
    return cmocka_run_group_tests_name("child", tests, new_folder, remove_folder);
}

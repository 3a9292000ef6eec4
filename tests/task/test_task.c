/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stage in one process: what a task may do and what its stage then gives back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "mixsweep/task.h"

enum { N = 20 };

struct record {
    uint64_t task;
    double square;
};

struct script {
    size_t n_run[N];
    size_t fails_at;     /* N = never */
    size_t silent_at;    /* fails without a sentence */
    size_t signalled_at; /* and ends as the poll says */
    size_t ignores_signal_at;
    size_t dirty;
};

static struct script make_script(void)
{
    return (struct script){
        .fails_at = N, .silent_at = N, .signalled_at = N, .ignores_signal_at = N};
}

static enum mix_status run(void *context, size_t task, void *record, struct mix_poll *poll,
                           struct mix_error *err)
{
    struct script *script = context;
    struct record *out = record;
    script->n_run[task]++;
    if (out->task != 0 || out->square != 0)
        script->dirty++;
    *out = (struct record){.task = task, .square = (double)(task * task)};
    if (task == script->fails_at)
        return mix_fail(err, MIX_ENUMERIC, "task %zu does not converge", task);
    if (task == script->silent_at)
        return MIX_EFORMAT;
    if (task == script->signalled_at || task == script->ignores_signal_at)
        raise(SIGUSR1);
    const bool stops = mix_poll(poll);
    return stops && task != script->ignores_signal_at ? MIX_EINTERRUPTED : MIX_OK;
}

struct fixture {
    struct script script;
    struct record records[N];
    uint8_t finished[N];
    struct mix_error err;
};

static struct mix_stage make_stage(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->script = make_script();
    memset(f->records, 0xff, sizeof f->records);
    memset(f->finished, 0xff, sizeof f->finished);
    return (struct mix_stage){.name = "trial",
                              .n_tasks = N,
                              .record_bytes = sizeof(struct record),
                              .run = run,
                              .context = &f->script,
                              .records = (uint8_t *)f->records,
                              .finished = f->finished};
}

/* Tasks first .. end-1 were delivered, and no other. */
static void assert_delivered(const struct fixture *f, size_t first, size_t end)
{
    for (size_t task = 0; task < N; task++) {
        const bool expected = task >= first && task < end;
        assert_int_equal(f->finished[task], expected);
        assert_int_equal(f->records[task].task, expected ? task : UINT64_MAX);
        if (expected)
            assert_true(f->records[task].square == (double)(task * task));
    }
}

static void test_task_stage_runs_every_task_once(void **state)
{
    (void)state;
    struct fixture f;
    const struct mix_stage stage = make_stage(&f);
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_OK);
    for (size_t task = 0; task < N; task++)
        assert_int_equal(f.script.n_run[task], 1);
    assert_int_equal(f.script.dirty, 0);
    assert_delivered(&f, 0, N);
}

static void test_task_stage_skips_what_is_done(void **state)
{
    (void)state;
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    uint8_t done[N];
    for (size_t task = 0; task < N; task++)
        done[task] = task < 5 || task >= 17;
    stage.done = done;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_OK);
    for (size_t task = 0; task < N; task++)
        assert_int_equal(f.script.n_run[task], !done[task]);
    assert_delivered(&f, 5, 17);
}

static void test_task_finished_may_be_done(void **state)
{
    (void)state;
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    for (size_t task = 0; task < N; task++)
        f.finished[task] = task % 3 == 0;
    stage.done = f.finished;
    f.script.fails_at = 7;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_ENUMERIC);
    for (size_t task = 0; task < N; task++) {
        assert_int_equal(f.finished[task], task % 3 == 0 || task < 7);
        assert_int_equal(f.script.n_run[task], task % 3 != 0 && task <= 7);
    }
}

static void test_task_failure_ends_the_stage(void **state)
{
    (void)state;
    struct fixture f;
    const struct mix_stage stage = make_stage(&f);
    f.script.fails_at = 7;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_ENUMERIC);
    assert_string_equal(f.err.text, "task 7 does not converge");
    assert_int_equal(f.script.n_run[8], 0);
    assert_delivered(&f, 0, 7);
    assert_int_equal(mix_stage_run(NULL, &stage, NULL), MIX_ENUMERIC);
}

static void test_task_failure_without_a_sentence_gets_one(void **state)
{
    (void)state;
    struct fixture f;
    const struct mix_stage stage = make_stage(&f);
    f.script.silent_at = 3;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_EFORMAT);
    assert_non_null(strstr(f.err.text, "trial"));
    assert_non_null(strstr(f.err.text, "task 3"));
}

static void test_task_signal_stops_this_and_later_stages(void **state)
{
    (void)state;
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    f.script.signalled_at = 6;
    mix_signals_install();
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_EINTERRUPTED);
    assert_non_null(strstr(f.err.text, "6 of 20"));
    assert_delivered(&f, 0, 6);

    stage = make_stage(&f);
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_EINTERRUPTED);
    assert_delivered(&f, 0, 0);

    mix_signals_install();
    stage = make_stage(&f);
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_OK);
}

static void test_task_finished_stage_is_whole_in_spite_of_a_signal(void **state)
{
    (void)state;
    struct fixture f;
    const struct mix_stage stage = make_stage(&f);
    f.script.ignores_signal_at = N - 1;
    mix_signals_install();
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_OK);
    assert_delivered(&f, 0, N);
    mix_signals_install();
}

struct logged {
    size_t n;
    size_t n_of[N];
};

static enum mix_status count_record(void *context, enum mix_log_kind kind, const void *head,
                                    size_t n_head, const void *body, size_t n_body,
                                    struct mix_error *err)
{
    (void)err;
    struct logged *logged = context;
    struct record record;
    assert_int_equal(kind, MIX_LOG_DRAW);
    assert_int_equal(n_head, 4);
    assert_memory_equal(head, "head", 4);
    assert_int_equal(n_body, sizeof record);
    memcpy(&record, body, sizeof record);
    assert_true(record.task < N && record.square == (double)(record.task * record.task));
    logged->n++;
    logged->n_of[record.task]++;
    return MIX_OK;
}

static void test_task_record_is_in_the_log_once(void **state)
{
    (void)state;
    char dir[] = "mixsweep-task-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    stage.log_dir = dir;
    stage.log_kind = MIX_LOG_DRAW;
    stage.log_head = "head";
    stage.log_head_bytes = 4;
    f.script.fails_at = 12;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_ENUMERIC);
    struct logged logged = {0};
    assert_int_equal(mix_log_read(dir, count_record, &logged, NULL, &f.err), MIX_OK);
    assert_int_equal(logged.n, 12);
    for (size_t task = 0; task < N; task++)
        assert_int_equal(logged.n_of[task], task < 12);
}

static void test_task_log_that_cannot_be_written_ends_the_stage(void **state)
{
    (void)state;
    char path[] = "mixsweep-task-XXXXXX"; /* a file where the folder should be */
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    stage.log_dir = path;
    stage.log_kind = MIX_LOG_DRAW;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_EIO);
    assert_non_null(strstr(f.err.text, path));
    assert_delivered(&f, 0, 0);
    remove(path);
}

struct progress {
    size_t n_calls, n_done, n_total;
};

static void note_progress(void *context, size_t n_done, size_t n_total, double elapsed_s)
{
    struct progress *progress = context;
    assert_true(elapsed_s >= 0);
    progress->n_calls++;
    progress->n_done = n_done;
    progress->n_total = n_total;
}

static void test_task_progress_ends_with_the_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    struct progress progress = {0};
    const uint8_t done[N] = {1, 1, 1};
    stage.progress = note_progress;
    stage.progress_context = &progress;
    stage.done = done;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_OK);
    assert_true(progress.n_calls >= 1 && progress.n_calls <= 3); /* 20 tasks take microseconds */
    assert_int_equal(progress.n_done, N - 3);
    assert_int_equal(progress.n_total, N - 3);
}

static enum mix_status run_nothing(void *context, size_t task, void *record, struct mix_poll *poll,
                                   struct mix_error *err)
{
    (void)record, (void)poll, (void)err;
    *(size_t *)context += task;
    return MIX_OK;
}

static void test_task_stage_may_be_empty_or_without_records(void **state)
{
    (void)state;
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    stage.n_tasks = 0;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_OK);

    size_t sum = 0;
    const struct mix_stage bare = {
        .name = "bare", .n_tasks = 1000, .run = run_nothing, .context = &sum};
    assert_int_equal(mix_stage_run(NULL, &bare, &f.err), MIX_OK);
    assert_int_equal(sum, 499500);
}

static void test_task_record_too_large_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct mix_stage stage = make_stage(&f);
    stage.record_bytes = (size_t)1 << 31;
    assert_int_equal(mix_stage_run(NULL, &stage, &f.err), MIX_EINVAL);
    assert_non_null(strstr(f.err.text, "2147483648"));
}

static void test_task_login_node_does_not_start_mpi(void **state)
{
    (void)state;
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMIX_NAMESPACE",
                                        "PMI_RANK", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    struct mix_ranks *ranks = NULL;
    struct mix_error err = {{0}};
    assert_int_equal(mix_ranks_create(NULL, NULL, &ranks, &err), MIX_OK);
    int is_started = 1;
    MPI_Initialized(&is_started);
    assert_false(is_started);
    assert_int_equal(mix_ranks_rank(ranks), 0);
    assert_int_equal(mix_ranks_count(ranks), 1);
    assert_int_equal(mix_ranks_nodes(ranks), 1);
    mix_fail(&err, MIX_EINVAL, "mine");
    assert_int_equal(mix_ranks_agree(ranks, MIX_EINVAL, &err), MIX_EINVAL);
    assert_string_equal(err.text, "mine");
    mix_ranks_broadcast(ranks, err.text, sizeof err.text);
    mix_ranks_destroy(ranks);
    mix_ranks_destroy(NULL);
    assert_int_equal(mix_ranks_count(NULL), 1);
    assert_false(mix_poll(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_stage_runs_every_task_once),
        cmocka_unit_test(test_task_stage_skips_what_is_done),
        cmocka_unit_test(test_task_finished_may_be_done),
        cmocka_unit_test(test_task_failure_ends_the_stage),
        cmocka_unit_test(test_task_failure_without_a_sentence_gets_one),
        cmocka_unit_test(test_task_signal_stops_this_and_later_stages),
        cmocka_unit_test(test_task_finished_stage_is_whole_in_spite_of_a_signal),
        cmocka_unit_test(test_task_record_is_in_the_log_once),
        cmocka_unit_test(test_task_log_that_cannot_be_written_ends_the_stage),
        cmocka_unit_test(test_task_progress_ends_with_the_whole),
        cmocka_unit_test(test_task_stage_may_be_empty_or_without_records),
        cmocka_unit_test(test_task_record_too_large_is_refused),
        cmocka_unit_test(test_task_login_node_does_not_start_mpi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

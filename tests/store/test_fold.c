/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dead jobs left in the logs reaches the file, once and whole. */
#include "store/logged.h"

/* A file with the first `n_rows` rows of the table, and a fit. */
static void make_file(const struct mix_table *all, size_t n_rows, const struct mix_fit *fit)
{
    struct mix_error err = {""};
    struct mix_table *part = sample_table(0, all->n_domains, all->n_targets);
    for (size_t r = 0; r < n_rows; r++) {
        const struct mix_table one = one_row(all, r);
        void *bytes = NULL;
        size_t n = 0;
        check(mix_store_result_pack(&one, &bytes, &n, &err), &err);
        check(mix_store_result_unpack(part, bytes, n, &err), &err);
        free(bytes);
    }
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    check(mix_table_finish(part, &err), &err);
    check(mix_store_put_table(store, part, &err), &err);
    if (fit != NULL)
        check(mix_store_put_fit(store, fit, &err), &err);
    check(mix_store_commit(store, &err), &err);
    mix_store_close(store);
    mix_table_destroy(part);
}

static void log_draws(int rank, const struct mix_draws *draws, size_t first, size_t last)
{
    struct mix_error err = {""};
    struct mix_log *log = NULL;
    struct mix_draw_head head = {.fit_key = draws->fit_key,
                                 .seed = draws->seed,
                                 .cluster_run = draws->cluster_run,
                                 .bayesian = draws->bayesian};
    memcpy(head.fit, draws->fit, sizeof head.fit);
    const size_t n_params = draws->n_params * sizeof(double);
    struct mix_draw_body *body = malloc(sizeof *body + n_params);
    assert_non_null(body);
    check(mix_log_open(log_dir, rank, &log, &err), &err);
    for (size_t b = first; b < last; b++) {
        if (!draws->done[b])
            continue;
        *body = (struct mix_draw_body){b, draws->objective[b]};
        memcpy(body + 1, draws->params + b * draws->n_params, n_params);
        check(mix_log_append(log, MIX_LOG_DRAW, &head, sizeof head, body, sizeof *body + n_params,
                             0, &err),
              &err);
    }
    mix_log_close(log);
    free(body);
}

static void test_fold_runs(void **state)
{
    (void)state;
    struct mix_table *all = sample_table(12, 3, 4);
    make_file(all, 5, NULL);
    for (size_t r = 3; r < 12; r++) /* rows 3 and 4 arrive twice */
        log_run((int)(r % 3), all, r);
    log_run(7, all, 11);
    assert_file_has(MIX_STORE_READ, all);
    assert_true(has_logs());
    assert_file_has(MIX_STORE_WRITE, all);
    assert_false(has_logs());
    assert_file_has(MIX_STORE_READ, all);
    mix_table_destroy(all);
}

static void test_fold_before_the_first_commit(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_table *all = sample_table(6, 3, 4), *table = sample_table(0, 3, 4), *none = NULL;
    for (size_t r = 0; r < 6; r++)
        log_run(0, all, r);
    struct mix_store *store = open_store(MIX_STORE_OPEN);
    assert_int_equal(mix_store_read_table(store, &none, &err), MIX_ENOTFOUND);
    mix_store_close(store);
    assert_true(has_logs()); /* killed once more */
    store = open_store(MIX_STORE_OPEN);
    check(mix_store_fold_runs(store, table, &err), &err);
    assert_table_equal(all, table);
    check(mix_store_put_table(store, table, &err), &err);
    check(mix_store_commit(store, &err), &err);
    mix_store_close(store);
    assert_false(has_logs());
    assert_file_has(MIX_STORE_READ, all);
    mix_table_destroy(all);
    mix_table_destroy(table);
}

/* The caller forgot to add what a rank logged: the commit that removes the logs still takes it. */
static void test_fold_at_commit(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_table *all = sample_table(8, 3, 4);
    make_file(all, 4, NULL);
    struct mix_table *table = NULL;
    struct mix_store *store = open_store(MIX_STORE_WRITE);
    check(mix_store_read_table(store, &table, &err), &err);
    for (size_t r = 4; r < 8; r++)
        log_run(1, all, r);
    check(mix_store_put_table(store, table, &err), &err);
    check(mix_store_commit(store, &err), &err);
    mix_store_close(store);
    assert_table_equal(all, table);
    assert_false(has_logs());
    assert_file_has(MIX_STORE_READ, all);
    mix_table_destroy(all);
    mix_table_destroy(table);
}

static void test_fold_keeps_runs_of_other_columns(void **state)
{
    (void)state;
    struct mix_table *all = sample_table(3, 3, 4), *other = sample_table(2, 4, 4);
    struct mix_table *renamed = sample_table(2, 3, 4);
    snprintf(renamed->domains[0].name, MIX_NAME_MAX, "domain1");
    snprintf(renamed->domains[1].name, MIX_NAME_MAX, "domain0");
    make_file(all, 3, NULL);
    log_run(0, other, 0);
    log_run(0, renamed, 1);
    assert_file_has(MIX_STORE_READ, all);
    assert_file_has(MIX_STORE_WRITE, all);
    assert_true(has_logs());
    mix_table_destroy(all);
    mix_table_destroy(other);
    mix_table_destroy(renamed);
}

static void test_fold_later_attempt_replaces_a_failed_one(void **state)
{
    (void)state;
    struct mix_table *all = sample_table(3, 3, 4);
    struct mix_run done = all->runs[1];
    all->runs[1].status = MIX_RUN_FAILED;
    make_file(all, 3, NULL);
    all->runs[1] = done;
    all->runs[1].attempts++;
    all->loss[1 * 4] = 2.5;
    log_run(0, all, 1);
    all->runs[0].status = MIX_RUN_FAILED; /* a failure does not replace a result */
    log_run(0, all, 0);
    all->runs[0].status = MIX_RUN_DONE;
    assert_file_has(MIX_STORE_WRITE, all);
    mix_table_destroy(all);
}

static void assert_file_has_draws(enum mix_store_mode mode, const struct mix_draws *expected)
{
    struct mix_error err = {""};
    struct mix_draws *draws = NULL;
    struct mix_names names = {0};
    struct mix_store *store = open_store(mode);
    check(mix_store_list(store, "bootstrap", &names, &err), &err);
    assert_int_equal(names.n, 1);
    assert_string_equal(names.name[0], expected->fit);
    check(mix_store_read_draws(store, expected->fit, &draws, &err), &err);
    assert_draws_equal(expected, draws);
    mix_names_destroy(&names);
    mix_draws_destroy(draws);
    mix_store_close(store);
}

/* Draws that are not done are zeros. */
static struct mix_draws *clean_draws(const struct mix_fit *fit, size_t n_draws)
{
    struct mix_draws *draws = sample_draws(fit, n_draws);
    for (size_t b = 0; b < n_draws; b++) {
        if (draws->done[b])
            continue;
        draws->objective[b] = 0.0;
        memset(draws->params + b * draws->n_params, 0, draws->n_params * sizeof(double));
    }
    return draws;
}

static void test_fold_draws_without_a_group(void **state)
{
    (void)state;
    struct mix_table *table = sample_table(3, 3, 4);
    struct mix_fit *fit = sample_fit("transfer", 5, 0);
    struct mix_draws *draws = clean_draws(fit, 10); /* 0 1 - 3 4 - 6 7 - 9 */
    make_file(table, 3, fit);
    log_draws(1, draws, 5, 10);
    log_draws(0, draws, 0, 6);
    assert_file_has_draws(MIX_STORE_READ, draws);
    assert_true(has_logs());
    assert_file_has_draws(MIX_STORE_WRITE, draws);
    assert_false(has_logs());
    assert_file_has_draws(MIX_STORE_READ, draws);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    mix_draws_destroy(draws);
}

static void test_fold_draws_into_a_group(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_table *table = sample_table(3, 3, 4);
    struct mix_fit *fit = sample_fit("transfer", 5, 0);
    struct mix_draws *draws = clean_draws(fit, 31), *part = clean_draws(fit, 31);
    for (size_t b = 10; b < 31; b++) { /* 31 are asked for, 10 of them were there to be done */
        part->done[b] = 0;
        part->objective[b] = 0.0;
        memset(part->params + b * part->n_params, 0, part->n_params * sizeof *part->params);
    }
    make_file(table, 3, fit);
    struct mix_store *store = open_store(MIX_STORE_WRITE);
    check(mix_store_put_draws(store, part, &err), &err);
    check(mix_store_commit(store, &err), &err);
    memcpy(draws->objective, part->objective, 10 * sizeof(double));
    memcpy(draws->params, part->params, 10 * part->n_params * sizeof(double));
    log_draws(0, draws, 5, 31);
    struct mix_draws *more = clean_draws(fit, 40);
    log_draws(1, more, 31, 40); /* nobody asked for these */
    mix_draws_destroy(more);
    check(mix_store_put_draws(store, part, &err), &err); /* the commit merges what is staged too */
    check(mix_store_commit(store, &err), &err);
    mix_store_close(store);
    assert_false(has_logs());
    assert_file_has_draws(MIX_STORE_READ, draws);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    mix_draws_destroy(draws);
    mix_draws_destroy(part);
}

static void test_fold_ignores_draws_of_another_fit(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_table *table = sample_table(3, 3, 4);
    struct mix_fit *fit = sample_fit("transfer", 5, 0);
    struct mix_draws *draws = clean_draws(fit, 10), *none = NULL;
    make_file(table, 3, fit);
    draws->fit_key.lo++; /* of an earlier fit of that name */
    log_draws(0, draws, 0, 10);
    draws->fit_key.lo--;
    snprintf(draws->fit, sizeof draws->fit, "dropped");
    log_draws(0, draws, 0, 10);
    struct mix_store *store = open_store(MIX_STORE_READ);
    assert_int_equal(mix_store_read_draws(store, "transfer", &none, &err), MIX_ENOTFOUND);
    assert_int_equal(mix_store_read_draws(store, "dropped", &none, &err), MIX_ENOTFOUND);
    mix_store_close(store);
    store = open_store(MIX_STORE_WRITE);
    assert_false(has_logs());
    assert_int_equal(mix_store_read_draws(store, "transfer", &none, &err), MIX_ENOTFOUND);
    /* Draws of the present fit take the place of those of an earlier one. */
    snprintf(draws->fit, sizeof draws->fit, "transfer");
    draws->fit_key.lo++;
    check(mix_store_put_draws(store, draws, &err), &err);
    check(mix_store_commit(store, &err), &err);
    mix_store_close(store);
    draws->fit_key.lo--;
    log_draws(0, draws, 0, 10);
    assert_file_has_draws(MIX_STORE_WRITE, draws);
    mix_table_destroy(table);
    mix_fit_destroy(fit);
    mix_draws_destroy(draws);
}

/* Records with sound CRCs and nonsense in them. */
static void test_fold_survives_nonsense(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_table *all = sample_table(4, 3, 4);
    struct mix_fit *fit = sample_fit("transfer", 5, 0);
    make_file(all, 4, fit);
    struct mix_log *log = NULL;
    void *bytes = NULL;
    size_t n = 0;
    const struct mix_table one = one_row(all, 0);
    check(mix_store_result_pack(&one, &bytes, &n, &err), &err);
    check(mix_log_open(log_dir, 0, &log, &err), &err);
    uint8_t *cut = bytes;
    for (size_t length = 0; length < n; length += 7) /* too short for what it says */
        check(mix_log_append(log, MIX_LOG_RESULT, NULL, 0, cut, length, 0, &err), &err);
    for (size_t at = 0; at < n; at++) { /* any byte wrong, of a run that the file has */
        cut[at] ^= 0xff;
        check(mix_log_append(log, MIX_LOG_DRAW, cut, at % 100, cut, n - at, 0, &err), &err);
        struct mix_table *table = sample_table(0, 3, 4);
        (void)mix_store_result_unpack(table, cut, n, NULL);
        mix_table_destroy(table);
        cut[at] ^= 0xff;
    }
    struct mix_draw_head head = {.fit_key = mix_fit_key(fit)};
    memset(head.fit, 'x', sizeof head.fit); /* a name without end */
    double body[2 + 6] = {0};
    check(mix_log_append(log, MIX_LOG_DRAW, &head, sizeof head, body, sizeof body, 0, &err), &err);
    memcpy(head.fit, fit->name, sizeof head.fit);
    const uint64_t far = UINT64_MAX;
    memcpy(body, &far, sizeof far); /* a draw that would need all memory */
    check(mix_log_append(log, MIX_LOG_DRAW, &head, sizeof head, body, sizeof body, 0, &err), &err);
    check(mix_log_append(log, (enum mix_log_kind)77, NULL, 0, NULL, 0, 0, &err), &err);
    mix_log_close(log);
    free(bytes);
    assert_file_has(MIX_STORE_READ, all);
    assert_file_has(MIX_STORE_WRITE, all);
    mix_table_destroy(all);
    mix_fit_destroy(fit);
}

static size_t draw(uint64_t *state, size_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*state >> 33) % n;
}

/* A row of one of 800 runs of up to four checkpoints, of 40 mixtures, some of them nearly equal. */
static void draw_run(struct mix_table *one, uint64_t *state)
{
    const size_t run = draw(state, 800), pair = run % 40 / 2, attempt = draw(state, 3);
    one->runs[0] = (struct mix_run){.n_params = 1e6 * (double)(1 + run % 3),
                                    .n_tokens = 1e6 * (double)(1 + draw(state, 4)),
                                    .n_tokens_planned = run % 2 ? NAN : 3e6,
                                    .flops = run % 5 ? NAN : 1e15,
                                    .seed = run / 200,
                                    .attempts = (int32_t)attempt,
                                    .status = (int32_t)draw(state, 3),
                                    .excluded = draw(state, 4) == 0,
                                    .n_params_non_embedding = NAN,
                                    .n_params_active = NAN,
                                    .wall_s = 1,
                                    .started = 1,
                                    .ended = 2};
    if (run % 7)
        snprintf(one->runs[0].run, MIX_NAME_MAX, "run%zu", run);
    snprintf(one->runs[0].reason, MIX_NAME_MAX, "reason %zu", draw(state, 1000));
    const double share = 0.1 + 0.02 * (double)pair + (run % 2 ? 4e-6 : 0);
    for (size_t k = 0; k < 3; k++)
        one->mixture[k] = one->asked[k] = k == 0 ? share : k == 1 ? 0.1 : 0.9 - share;
    one->loss[0] = (double)draw(state, 1000);
    free(one->metadata[0]);
    one->metadata[0] = NULL;
    if (run % 3 == 0 && (one->metadata[0] = calloc(1, 64)) != NULL)
        snprintf(one->metadata[0], 64, "{\"a\": %zu}", draw(state, 100000));
}

static void log_many(size_t n, uint64_t *state)
{
    struct mix_table *one = sample_table(0, 3, 4);
    assert_int_equal(mix_table_append(one), 0);
    for (size_t i = 0; i < n; i++) {
        draw_run(one, state);
        log_run((int)draw(state, 5), one, 0);
    }
    mix_table_destroy(one);
}

/* What a commit writes row by row is what a table of all would be: readers overlay one. The file's
 * rows and the logs' meet under one key in every order of their states. */
static void test_fold_row_by_row(void **state)
{
    (void)state;
    struct mix_error err = {""};
    struct mix_table *none = sample_table(0, 3, 4), *expected = NULL;
    uint64_t draws = 5;
    make_file(none, 0, NULL);
    for (int fold = 0; fold < 3; fold++) {
        log_many(fold == 0 ? 3000 : 700, &draws);
        struct mix_store *store = open_store(MIX_STORE_READ);
        check(mix_store_read_table(store, &expected, &err), &err);
        mix_store_close(store);
        assert_true(has_logs());
        assert_file_has(MIX_STORE_WRITE, expected);
        assert_false(has_logs());
        mix_table_destroy(expected);
    }
    mix_table_destroy(none);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_fold_runs),
        TEST(test_fold_before_the_first_commit),
        TEST(test_fold_at_commit),
        TEST(test_fold_keeps_runs_of_other_columns),
        TEST(test_fold_later_attempt_replaces_a_failed_one),
        TEST(test_fold_draws_without_a_group),
        TEST(test_fold_draws_into_a_group),
        TEST(test_fold_ignores_draws_of_another_fit),
        TEST(test_fold_survives_nonsense),
        TEST(test_fold_row_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

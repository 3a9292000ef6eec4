/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jackknife and rolling origin of a bootstrap in the file, and what a dead job left of them in the
 * logs. */
#include "store/logged.h"

enum { LEFT = 6, ORIGINS = 2 };

static struct mix_draws *complete_draws(const struct mix_fit *fit)
{
    uint64_t state = 17;
    struct mix_draws *draws = sample_draws(fit, 4);
    assert_true(mix_draws_hold_left(draws, LEFT) && mix_draws_hold_origins(draws, ORIGINS));
    sample_numbers(draws->left, LEFT * draws->n_params, &state);
    memset(draws->left_done, 1, LEFT);
    for (size_t k = 0; k < ORIGINS; k++)
        draws->origins[k] = (struct mix_origin){1e7, 2e9, 4e7, 8e9, 10 + k, -0.01, 0.02, 0.003};
    draws->residual = 0.004;
    return draws;
}

static void make_file(const struct mix_fit *fit, const struct mix_draws *draws)
{
    struct mix_error err = {""};
    struct mix_table *table = sample_table(3, 3, 4);
    struct mix_store *store = open_store(MIX_STORE_CREATE);
    check(mix_store_put_table(store, table, &err), &err);
    check(mix_store_put_fit(store, fit, &err), &err);
    check(mix_store_put_draws(store, draws, &err), &err);
    check(mix_store_commit(store, &err), &err);
    mix_store_close(store);
    mix_table_destroy(table);
}

static struct mix_draws *read_draws(enum mix_store_mode mode)
{
    struct mix_error err = {""};
    struct mix_draws *draws = NULL;
    struct mix_store *store = open_store(mode);
    check(mix_store_read_draws(store, "transfer", &draws, &err), &err);
    mix_store_close(store);
    return draws;
}

static void test_what_is_stored_is_read(void **state)
{
    (void)state;
    struct mix_fit *fit = sample_fit("transfer", 5, 0);
    struct mix_draws *draws = complete_draws(fit);
    make_file(fit, draws);
    struct mix_draws *read = read_draws(MIX_STORE_READ);
    assert_draws_equal(draws, read);
    mix_draws_destroy(read);
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
}

/* As in files of the first versions. */
static void test_draws_without_a_jackknife(void **state)
{
    (void)state;
    struct mix_fit *fit = sample_fit("transfer", 5, 0);
    struct mix_draws *draws = sample_draws(fit, 4);
    make_file(fit, draws);
    struct mix_draws *read = read_draws(MIX_STORE_READ);
    assert_draws_equal(draws, read);
    assert_int_equal(read->n_left, 0);
    assert_int_equal(read->n_origins, 0);
    assert_true(isnan(read->residual));
    mix_draws_destroy(read);
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
}

/* Log refit `group` as of `n_groups`, of a fit whose key is `key_off` higher. */
static void log_left(const struct mix_draws *draws, size_t group, size_t n_groups, uint64_t key_off)
{
    struct mix_error err = {""};
    struct mix_log *log = NULL;
    struct mix_draw_head head = {.fit_key = draws->fit_key, .cluster_run = draws->cluster_run};
    memcpy(head.fit, draws->fit, sizeof head.fit);
    head.fit_key.lo += key_off;
    const size_t n_params = draws->n_params * sizeof(double);
    struct mix_left_body *body = malloc(sizeof *body + n_params);
    assert_non_null(body);
    *body = (struct mix_left_body){group, n_groups};
    memcpy(body + 1, draws->left + (group % LEFT) * draws->n_params, n_params);
    check(mix_log_open(log_dir, 0, &log, &err), &err);
    check(mix_log_append(log, MIX_LOG_JACKKNIFE, &head, sizeof head, body, sizeof *body + n_params,
                         0, &err),
          &err);
    mix_log_close(log);
    free(body);
}

/* Refits of the logs join those of the file, which asked for all or for none; records of another
 * fit, or out of range, do not. */
static void test_fold_refits(void **state)
{
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        struct mix_fit *fit = sample_fit("transfer", 5, 0);
        struct mix_draws *draws = complete_draws(fit), *part = sample_draws(fit, 4);
        if (asked)
            assert_true(mix_draws_hold_left(part, LEFT));
        assert_true(mix_draws_hold_origins(draws, 0)); /* they are not logged */
        draws->residual = NAN;
        draws->left_done[3] = 0;
        memset(draws->left + 3 * draws->n_params, 0, draws->n_params * sizeof(double));
        make_file(fit, part);
        for (size_t g = 0; g < LEFT; g++)
            if (draws->left_done[g])
                log_left(draws, g, LEFT, 0);
        log_left(draws, 3, LEFT, 1);
        log_left(draws, LEFT, LEFT, 0);
        log_left(draws, 3, MIX_LEFT_MAX + 1, 0);
        for (int mode = 0; mode < 3; mode++) { /* overlaid, folded, and from the file */
            struct mix_draws *read = read_draws(mode == 1 ? MIX_STORE_WRITE : MIX_STORE_READ);
            assert_draws_equal(draws, read);
            assert_int_equal(has_logs(), mode == 0);
            mix_draws_destroy(read);
        }
        assert_int_equal(remove(path), 0);
        mix_draws_destroy(draws);
        mix_draws_destroy(part);
        mix_fit_destroy(fit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_stored_is_read, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_draws_without_a_jackknife, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_fold_refits, new_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Draws depend on the seed and their number alone, and reach the log before they count. */
#include "expect.h"
#include "world.h"

#include <signal.h>

static const struct world_plan plan = {"capacity", 3, 3, 12, {10, 40}, {2, 8}, 0.003, 3};

/* A table, a fit of it, and where its logs go. */
struct setting {
    struct world world;
    struct mix_fit *fit;
};

static struct setting setting_create(void)
{
    const struct mix_fit_options options = quick_options("capacity", 6);
    struct setting s = {world_create(&plan), NULL};
    s.fit = quick_fit(s.world.table, &options);
    return s;
}

static void setting_destroy(struct setting *s)
{
    mix_fit_destroy(s->fit);
    world_destroy(&s->world);
}

static struct mix_draws *draws_of(const struct setting *s, size_t n)
{
    struct mix_draws *draws = mix_draws_create(n, s->fit->n_params);
    if (draws == NULL)
        abort();
    snprintf(draws->fit, sizeof draws->fit, "%s", s->fit->name);
    draws->fit_key = mix_fit_key(s->fit);
    draws->seed = 1;
    return draws;
}

static void bootstrap(const struct setting *s, struct mix_draws *draws)
{
    struct mix_error err = {{0}};
    assert_ok(mix_bootstrap_run(NULL, s->world.table, s->fit, draws, NULL, NULL, NULL, &err), err);
    for (size_t b = 0; b < draws->n_draws; b++) {
        assert_int_equal(draws->done[b], 1);
        assert_true(isfinite(draws->objective[b]) && draws->objective[b] >= 0.0);
    }
}

static void expect_equal_draws(const struct mix_draws *a, const struct mix_draws *b, size_t n)
{
    assert_memory_equal(a->objective, b->objective, n * sizeof(double));
    assert_memory_equal(a->params, b->params, n * a->n_params * sizeof(double));
}

static void test_a_draw_depends_on_seed_and_number(void **state)
{
    (void)state;
    struct setting s = setting_create();
    struct mix_draws *ten = draws_of(&s, 10), *thirty = draws_of(&s, 30);
    struct mix_draws *resumed = draws_of(&s, 30), *other = draws_of(&s, 10);
    bootstrap(&s, ten);
    bootstrap(&s, thirty);
    expect_equal_draws(ten, thirty, 10);
    for (size_t b = 0; b < 30; b++) { /* every third is there already */
        if (b % 3 != 1)
            continue;
        resumed->done[b] = 1;
        resumed->objective[b] = thirty->objective[b];
        memcpy(resumed->params + b * s.fit->n_params, thirty->params + b * s.fit->n_params,
               s.fit->n_params * sizeof(double));
    }
    bootstrap(&s, resumed);
    expect_equal_draws(resumed, thirty, 30);
    for (size_t b = 1; b < 30; b++)
        assert_true(thirty->objective[b] != thirty->objective[b - 1]);
    other->seed = 2;
    bootstrap(&s, other);
    for (size_t b = 0; b < 10; b++)
        assert_true(other->objective[b] != ten->objective[b]);
    mix_draws_destroy(ten);
    mix_draws_destroy(thirty);
    mix_draws_destroy(resumed);
    mix_draws_destroy(other);
    setting_destroy(&s);
}

/* Draws that are done are not touched, whatever is in them. */
static void test_a_done_draw_is_left_alone(void **state)
{
    (void)state;
    struct setting s = setting_create();
    struct mix_draws *draws = draws_of(&s, 4);
    draws->done[2] = 1;
    draws->objective[2] = 42.0;
    bootstrap(&s, draws);
    assert_true(draws->objective[2] == 42.0);
    assert_true(draws->params[2 * s.fit->n_params] == 0.0);
    mix_draws_destroy(draws);
    setting_destroy(&s);
}

/* The spread of the draws is of the size of the standard errors, if larger where a draw can lose
 * the few mixtures that a parameter hangs on: another order of magnitude would be a wrong weight.
 */
static void test_spread_of_draws_is_of_the_size_of_standard_errors(void **state)
{
    (void)state;
    enum { N = 60 };
    const struct world_plan many = {"capacity", 2, 2, 40, {10, 40, 160}, {2, 8}, 2e-4, 9};
    const struct mix_fit_options options = quick_options("capacity", 4);
    struct setting s = {world_create(&many), NULL};
    s.fit = quick_fit(s.world.table, &options);
    for (int kind = 0; kind < 3; kind++) {
        struct mix_draws *draws = draws_of(&s, N);
        draws->bayesian = kind == 1;
        draws->cluster_run = kind == 2;
        bootstrap(&s, draws);
        for (size_t p = 0; p < s.fit->n_params; p++) {
            double mean = 0.0, square = 0.0;
            for (size_t b = 0; b < N; b++)
                mean += draws->params[b * s.fit->n_params + p] / N;
            for (size_t b = 0; b < N; b++)
                square += pow(draws->params[b * s.fit->n_params + p] - mean, 2) / (N - 1);
            const double ratio = sqrt(square) / s.fit->std_error[p];
            if (!(ratio > 0.4 && ratio < 3.0))
                fail_msg("kind %d, %s: spread / standard error %.2f", kind, s.fit->param_names[p],
                         ratio);
        }
        mix_draws_destroy(draws);
    }
    setting_destroy(&s);
}

/* With one run per mixture, mixtures and runs are the same units; with several they are not. */
static void test_clusters_are_mixtures_or_runs(void **state)
{
    (void)state;
    struct world_plan single = plan;
    single.n_mixtures = 40;
    single.sizes[1] = single.lengths[1] = 0.0;
    for (int several = 0; several < 2; several++) {
        const struct mix_fit_options options = quick_options("capacity", 3);
        struct setting s = {world_create(several ? &plan : &single), NULL};
        s.fit = quick_fit(s.world.table, &options);
        struct mix_draws *by_mixture = draws_of(&s, 5), *by_run = draws_of(&s, 5);
        by_run->cluster_run = 1;
        bootstrap(&s, by_mixture);
        bootstrap(&s, by_run);
        for (size_t b = 0; b < 5; b++)
            assert_int_equal(by_mixture->objective[b] == by_run->objective[b], !several);
        mix_draws_destroy(by_mixture);
        mix_draws_destroy(by_run);
        setting_destroy(&s);
    }
}

static void test_bayesian_draws_use_all_mixtures(void **state)
{
    (void)state;
    struct setting s = setting_create();
    struct mix_draws *counts = draws_of(&s, 5), *bayesian = draws_of(&s, 5);
    bayesian->bayesian = 1;
    bootstrap(&s, counts);
    bootstrap(&s, bayesian);
    for (size_t b = 0; b < 5; b++)
        assert_true(bayesian->objective[b] != counts->objective[b]);
    mix_draws_destroy(counts);
    mix_draws_destroy(bayesian);
    setting_destroy(&s);
}

static void test_changed_runs_are_refused(void **state)
{
    (void)state;
    struct setting s = setting_create();
    struct mix_draws *draws = draws_of(&s, 3);
    struct mix_error err = {{0}};
    s.world.table->loss[4] += 1e-6;
    assert_refused(mix_bootstrap_run(NULL, s.world.table, s.fit, draws, NULL, NULL, NULL, &err),
                   MIX_EINVAL, err, "fit again");
    s.world.table->loss[4] -= 1e-6;
    s.world.table->runs[0].excluded = 1;
    assert_refused(mix_bootstrap_run(NULL, s.world.table, s.fit, draws, NULL, NULL, NULL, &err),
                   MIX_EINVAL, err, "have changed");
    assert_int_equal(draws->done[0], 0);
    mix_draws_destroy(draws);
    setting_destroy(&s);
}

struct logged {
    const struct setting *setting;
    const struct mix_draws *draws;
    size_t n;
};

static enum mix_status compare_record(void *context, enum mix_log_kind kind, const void *head,
                                      size_t n_head, const void *body, size_t n_body,
                                      struct mix_error *err)
{
    (void)err;
    struct logged *logged = context;
    const size_t n_params = logged->setting->fit->n_params;
    struct mix_draw_head h;
    struct mix_draw_body b;
    assert_int_equal(kind, MIX_LOG_DRAW);
    assert_int_equal(n_head, sizeof h);
    assert_int_equal(n_body, sizeof b + n_params * sizeof(double));
    memcpy(&h, head, sizeof h);
    memcpy(&b, body, sizeof b);
    assert_string_equal(h.fit, logged->setting->fit->name);
    assert_true(h.fit_key.hi == logged->draws->fit_key.hi);
    assert_true(h.fit_key.lo == logged->draws->fit_key.lo);
    assert_int_equal(h.seed, logged->draws->seed);
    assert_int_equal(h.cluster_run, logged->draws->cluster_run);
    assert_int_equal(h.bayesian, logged->draws->bayesian);
    assert_true(b.draw < logged->draws->n_draws);
    assert_true(b.objective == logged->draws->objective[b.draw]);
    assert_memory_equal((const char *)body + sizeof b, logged->draws->params + b.draw * n_params,
                        n_params * sizeof(double));
    logged->n++;
    return MIX_OK;
}

static void test_the_log_holds_every_new_draw(void **state)
{
    (void)state;
    struct setting s = setting_create();
    struct mix_draws *draws = draws_of(&s, 8);
    struct mix_error err = {{0}};
    const char *const folder = "bootstrap.log";
    draws->bayesian = 1;
    draws->done[0] = draws->done[5] = 1;
    assert_ok(mix_bootstrap_run(NULL, s.world.table, s.fit, draws, folder, NULL, NULL, &err), err);
    struct logged logged = {&s, draws, 0};
    size_t n_bad = 1;
    assert_ok(mix_log_read(folder, compare_record, &logged, &n_bad, &err), err);
    assert_int_equal(logged.n, 6);
    assert_int_equal(n_bad, 0);
    assert_ok(mix_log_remove(folder, &err), err);
    mix_draws_destroy(draws);
    setting_destroy(&s);
}

static void stop_after_some(void *context, size_t n_done, size_t n_total, double elapsed_s)
{
    (void)context;
    (void)elapsed_s;
    if (n_done > 0 && n_done < n_total)
        raise(SIGTERM);
}

/* What is finished when the signal comes is kept, and the rest comes later. */
static void test_an_interrupted_bootstrap_goes_on(void **state)
{
    (void)state;
    struct setting s = setting_create();
    struct mix_draws *draws = draws_of(&s, 4000);
    struct mix_error err = {{0}};
    mix_signals_install();
    assert_int_equal(
        mix_bootstrap_run(NULL, s.world.table, s.fit, draws, NULL, stop_after_some, NULL, &err),
        MIX_EINTERRUPTED);
    mix_signals_install();
    size_t n_done = 0;
    for (size_t b = 0; b < draws->n_draws; b++) {
        n_done += draws->done[b];
        assert_int_equal(draws->done[b], draws->objective[b] > 0.0);
    }
    assert_in_range(n_done, 1, 3999);
    struct mix_draws *few = draws_of(&s, 3);
    bootstrap(&s, few);
    for (size_t b = 0; b < 3; b++)
        if (draws->done[b])
            assert_true(draws->objective[b] == few->objective[b]);
    mix_draws_destroy(few);
    mix_draws_destroy(draws);
    setting_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_draw_depends_on_seed_and_number),
        cmocka_unit_test(test_a_done_draw_is_left_alone),
        cmocka_unit_test(test_spread_of_draws_is_of_the_size_of_standard_errors),
        cmocka_unit_test(test_clusters_are_mixtures_or_runs),
        cmocka_unit_test(test_bayesian_draws_use_all_mixtures),
        cmocka_unit_test(test_changed_runs_are_refused),
        cmocka_unit_test(test_the_log_holds_every_new_draw),
        cmocka_unit_test(test_an_interrupted_bootstrap_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

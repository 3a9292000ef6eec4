/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scores linked to losses: fitted, predicted and maximised in a world whose law and link are
 * known. */
#include "fit/expect.h"
#include "fit/world.h"

#include "mixsweep/optimum.h"
#include "mixsweep/predict.h"

enum { N_MIXTURES = 24, K = 2, M = 3 };
static const double LO = 0.25, HI = 0.85, U = 3.0, S[2] = {0.9, 0.7};
static const struct world_plan plan = {"chinchilla",  K,      2,   N_MIXTURES,
                                       {20, 60, 180}, {1, 5}, 0.0, 1};

/* Losses that know the mixture: 1 + h_j^-.3 / 2 + 2 N^-.3 + D^-.4. */
static double loss_of(const double *h, double n, double d, size_t j)
{
    return 1.0 + 0.5 * pow(h[j], -0.3) + (2.0 + (double)j) * pow(n, -0.3) + pow(d, -0.4);
}

static double score_of(const double *loss)
{
    return LO + (HI - LO) / (1.0 + exp(-(U - S[0] * (loss[0] - 2.0) - S[1] * (loss[1] - 2.0))));
}

/* The score first, losses behind it, with noise relative to what they are. */
static struct mix_table *make_table(double noise)
{
    struct world world = world_create(&plan);
    struct mix_table *table = mix_table_create(K, M);
    gsl_rng *rng = stream(7, "score");
    struct mix_error err = {{0}};
    for (size_t j = 0; j < K; j++)
        table->domains[j] = world.table->domains[j];
    snprintf(table->targets[0].name, MIX_NAME_MAX, "quiz");
    snprintf(table->targets[0].unit, MIX_UNIT_MAX, "accuracy");
    table->targets[0].direction = 1;
    table->targets[0].chance = LO;
    for (size_t j = 0; j < K; j++)
        snprintf(table->targets[1 + j].name, MIX_NAME_MAX, "%s", world_names[j]);
    mix_table_link_targets(table);
    for (size_t r = 0; r < world.table->n_rows; r++) {
        double loss[K], *out;
        const double *h = world.table->mixture + r * K;
        if (mix_table_append(table) != r)
            abort();
        table->runs[r] = world.table->runs[r];
        memcpy(table->mixture + r * K, h, K * sizeof *h);
        memcpy(table->asked + r * K, h, K * sizeof *h);
        for (size_t j = 0; j < K; j++)
            loss[j] = loss_of(h, table->runs[r].n_params / 1e6, table->runs[r].n_tokens / 1e9, j);
        out = table->loss + r * M;
        out[0] = score_of(loss) + noise * gsl_ran_gaussian_ziggurat(rng, 1.0);
        for (size_t j = 0; j < K; j++)
            out[1 + j] = loss[j] * (1.0 + 0.2 * noise * gsl_ran_gaussian_ziggurat(rng, 1.0));
    }
    must(mix_table_finish(table, &err), &err);
    gsl_rng_free(rng);
    world_destroy(&world);
    return table;
}

static struct mix_fit_options all_targets(const char *holdout)
{
    struct mix_fit_options options = quick_options("additive", 4);
    snprintf(options.selection.targets, sizeof options.selection.targets, "all");
    options.holdout = holdout;
    return options;
}

static double param(const struct mix_fit *fit, const char *name)
{
    for (size_t p = 0; p < fit->n_params; p++)
        if (strcmp(fit->param_names[p], name) == 0)
            return fit->params[p];
    fail_msg("no parameter %s", name);
    return NAN;
}

static void test_link_without_noise_is_exact(void **state)
{
    (void)state;
    struct mix_table *table = make_table(0.0);
    const struct mix_fit_options options = all_targets("scale");
    struct mix_fit *fit = quick_fit(table, &options);
    assert_int_equal(fit->spec.n_scores, 1);
    assert_string_equal(fit->targets[2], "quiz"); /* behind the losses */
    assert_near(param(fit, "lo[quiz]"), LO, 0.0);
    assert_near(param(fit, "hi[quiz]"), HI, 1e-7);
    assert_near(param(fit, "u[quiz]"), U + 2.0 * (S[0] + S[1]), 1e-6);
    assert_near(param(fit, "s[quiz,arxiv]"), S[0], 1e-6);
    assert_near(param(fit, "s[quiz,book]"), S[1], 1e-6);
    assert_true(fit->train_by_target[2].rmse < 1e-7);
    assert_int_equal(fit->holdout_by_target[2].n, N_MIXTURES * 2);
    assert_true(fit->holdout_by_target[2].mre < 0.01);
    mix_fit_destroy(fit);
    mix_table_destroy(table);
}

static void test_score_has_the_gradient_of_differences(void **state)
{
    (void)state;
    struct mix_table *table = make_table(0.01);
    const struct mix_fit_options options = all_targets("none");
    struct mix_fit *fit = quick_fit(table, &options);
    struct mix_model *model = NULL;
    struct mix_error err = {{0}};
    must(mix_fit_model(fit, &model, &err), &err);
    const double h[K] = {0.4, 0.6}, n = 500.0, d = 10.0, step = 1e-6;
    double loss[M], slope[M * K], up[M], down[M];
    must(mix_model_gradient(model, fit->params, h, n, d, loss, slope, &err), &err);
    for (size_t j = 0; j < K; j++) {
        double moved[K] = {h[0], h[1]};
        moved[j] = h[j] + step;
        must(mix_model_predict(model, fit->params, 1, moved, &n, &d, up, &err), &err);
        moved[j] = h[j] - step;
        must(mix_model_predict(model, fit->params, 1, moved, &n, &d, down, &err), &err);
        for (size_t m = 0; m < M; m++)
            assert_near(slope[m * K + j], (up[m] - down[m]) / (2.0 * step), 1e-7);
    }
    mix_model_destroy(model);
    mix_fit_destroy(fit);
    mix_table_destroy(table);
}

/* The best share of the first domain by the truth. */
static double best_share(double n, double d, double *best)
{
    double share = 0.0;
    *best = 0.0;
    for (double x = 0.01; x < 0.99; x += 0.0005) {
        const double h[K] = {x, 1.0 - x};
        const double loss[K] = {loss_of(h, n, d, 0), loss_of(h, n, d, 1)};
        if (score_of(loss) > *best) {
            *best = score_of(loss);
            share = x;
        }
    }
    return share;
}

static void test_score_is_predicted_and_maximised(void **state)
{
    (void)state;
    struct mix_table *table = make_table(0.004);
    const struct mix_fit_options options = all_targets("none");
    const struct mix_bootstrap_options resample = {.n_draws = 40, .seed = 1};
    struct mix_fit *fit = quick_fit(table, &options);
    struct mix_draws *draws = mix_draws_plan(fit, &resample, NULL);
    struct mix_error err = {{0}};
    must(mix_bootstrap_run(NULL, table, fit, draws, NULL, NULL, NULL, &err), &err);
    double best;
    const double share = best_share(500.0, 10.0, &best);
    const double h[K] = {share, 1.0 - share}, weight[M] = {0.0, 0.0, 1.0};
    struct mix_forecast forecast = {0};
    must(mix_predict_mixture(fit, draws, h, 500e6, 10e9, 0.95, &forecast, &err), &err);
    assert_true(forecast.loss[2].lo <= best && best <= forecast.loss[2].hi);
    assert_true(forecast.loss[2].hi - forecast.loss[2].lo < 0.1);
    mix_forecast_clear(&forecast);

    struct mix_optimum_options ask = {
        .n_params = 500e6, .n_tokens = 10e9, .weight = weight, .level = 0.9, .n_starts = 8};
    struct mix_optimum *optimum = NULL;
    for (int relative = 0; relative < 2; relative++) {
        ask.goal = relative ? MIX_GOAL_MEAN_GAIN : MIX_GOAL_MEAN;
        must(mix_optimum_run(NULL, table, fit, draws, &ask, &optimum, &err), &err);
        assert_near(optimum->mixture[0], share, 0.05);
        assert_near(optimum->loss[2].value, best, 0.05);
        assert_true(optimum->gain[0].value >= 0.0);
        assert_non_null(strstr(optimum->warnings, "quiz is a score (accuracy)"));
        mix_optimum_destroy(optimum);
    }
    ask.weight = NULL; /* a mean loss leaves the score out */
    ask.goal = MIX_GOAL_MEAN;
    must(mix_optimum_run(NULL, table, fit, NULL, &ask, &optimum, &err), &err);
    assert_true(optimum->weight[0] == 1.0 && optimum->weight[2] == 0.0);
    assert_true(optimum->objective.value > 0.0);
    mix_optimum_destroy(optimum);
    const double all[M] = {1.0, 1.0, 1.0};
    ask.weight = all;
    assert_int_equal(mix_optimum_run(NULL, table, fit, NULL, &ask, &optimum, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "mean-gain"));
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
    mix_table_destroy(table);
}

static void expect_refusal(struct mix_table *table, const char *targets, const char *what)
{
    struct mix_fit_options options = all_targets("none");
    struct mix_fit *fit = NULL;
    struct mix_error err = {{0}};
    options.n_starts = 1;
    snprintf(options.selection.targets, sizeof options.selection.targets, "%s", targets);
    assert_int_equal(mix_fit_run(NULL, table, &options, NULL, NULL, &fit, &err), MIX_EINVAL);
    if (strstr(err.text, what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, what);
}

static void test_links_that_cannot_be(void **state)
{
    (void)state;
    struct mix_table *table = make_table(0.0);
    gsl_rng *rng = stream(3, "flat");
    expect_refusal(table, "quiz", "only scores are selected");
    table->targets[0].chance = 0.9;
    expect_refusal(table, "all", "chance gives 0.9");
    table->targets[0].chance = LO;
    for (size_t r = 0; r < table->n_rows; r++)
        table->loss[r * M] = 0.3 + 0.05 * gsl_rng_uniform(rng);
    expect_refusal(table, "all", "does not follow the losses: over 144 runs its correlation");
    table->loss[0] = 1.5;
    expect_refusal(table, "all", "an accuracy is between 0 and 1");
    for (size_t r = 0; r < table->n_rows; r++)
        table->loss[r * M] = 0.5;
    expect_refusal(table, "all", "a constant has no link");
    for (size_t r = 7; r < table->n_rows; r++)
        table->loss[r * M] = NAN;
    expect_refusal(table, "all", "was measured in 7 runs");
    gsl_rng_free(rng);
    mix_table_destroy(table);
}

/* Bits of a target where others are nats: the law that targets share weighs them by their size. */
static void test_units_are_mixed(void **state)
{
    (void)state;
    const struct world_plan shared = {"capacity", 2, 2, 30, {20, 80, 300}, {2, 20}, 0.0, 1};
    struct world world = world_create(&shared);
    struct mix_fit_options options = quick_options("capacity", 8);
    const double weight[2] = {1.0, 1.0}, mixture[2] = {0.5, 0.5};
    struct mix_forecast forecast = {0};
    struct mix_error err = {{0}};
    snprintf(world.table->targets[1].unit, MIX_UNIT_MAX, "bits/byte");
    struct mix_fit *fit = quick_fit(world.table, &options);
    assert_true(fit->target_size[0] > 0.0 && fit->target_size[0] != fit->target_size[1]);
    assert_true(fit->objective < 1e-12 && fit->train.mse < 1e-12);
    must(mix_predict_mixture(fit, NULL, mixture, 300e6, 20e9, 0.9, &forecast, &err), &err);
    const double loss[2] = {forecast.loss[0].value, forecast.loss[1].value};
    assert_near(mix_fit_mean(fit, weight, loss),
                0.5 * (loss[0] / fit->target_size[0] + loss[1] / fit->target_size[1]), 1e-12);
    mix_forecast_clear(&forecast);
    mix_fit_destroy(fit);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_without_noise_is_exact),
        cmocka_unit_test(test_score_has_the_gradient_of_differences),
        cmocka_unit_test(test_score_is_predicted_and_maximised),
        cmocka_unit_test(test_links_that_cannot_be),
        cmocka_unit_test(test_units_are_mixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

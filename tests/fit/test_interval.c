/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intervals against SciPy's, the jackknife against fits without a mixture, the rolling origin and
 * the error budget against worlds whose errors are known. */
#include "expect.h"
#include "world.h"

#include "mixsweep/interval.h"
#include "mixsweep/predict.h"

enum { N = 15, B = 400 };

/* The resamples that tests of BCa share with the SciPy that their values come from: a linear
 * congruential generator of period 2^31, upper bits. */
static const double sample[N] = {12.1, 3.4, 7.7,  0.9, 25.3, 4.8, 1.6, 9.2,
                                 2.2,  6.1, 14.9, 3.0, 0.4,  5.5, 8.3};

static double mean_of(size_t n, const double *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] / (double)n;
    return sum;
}

static double variance_of(size_t n, const double *x)
{
    const double mean = mean_of(n, x);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean) / (double)n;
    return sum;
}

static struct mix_intervals resampled(double (*figure)(size_t, const double *), uint64_t state,
                                      double level)
{
    double draws[B], left[N], x[N];
    for (size_t b = 0; b < B; b++) {
        for (size_t i = 0; i < N; i++) {
            state = (1103515245u * state + 12345u) % 2147483648u;
            x[i] = sample[(state >> 16) % N];
        }
        draws[b] = figure(N, x);
    }
    for (size_t g = 0; g < N; g++) {
        size_t n = 0;
        for (size_t i = 0; i < N; i++)
            if (i != g)
                x[n++] = sample[i];
        left[g] = figure(n, x);
    }
    return mix_intervals_over_draws(figure(N, sample), B, draws, N, left, level);
}

/* numpy.percentile(method = "weibull") of the same draws, at the levels themselves and at those of
 * scipy.stats._resampling._bca_interval of SciPy 1.10.1. */
static void test_bca_is_that_of_scipy(void **state)
{
    (void)state;
    const struct mix_intervals mean = resampled(mean_of, 12345, 0.9);
    assert_near(mean.percentile.lo, 4.448666666666667, 1e-8);
    assert_near(mean.percentile.hi, 9.726, 1e-8);
    assert_near(mean.bca.lo, 4.9027690746820705, 1e-9);
    assert_near(mean.bca.hi, 10.433300643626497, 1e-9);
    const struct mix_intervals variance = resampled(variance_of, 777, 0.95);
    assert_near(variance.percentile.lo, 7.639475555555557, 1e-8);
    assert_near(variance.percentile.hi, 80.2989888888889, 1e-8);
    assert_near(variance.bca.lo, 14.019672368683382, 1e-9);
    assert_near(variance.bca.hi, 96.34515555555556, 1e-8);
}

/* One more draw is below the k-th of B with probability k / (B + 1): 19 draws just hold a 90%
 * interval, fewer cannot. About a figure the interval is as wide, and the figure is its middle. */
static void test_quantiles_of_few_draws(void **state)
{
    (void)state;
    double draws[20];
    for (size_t n = 9; n <= 19; n += 10) {
        for (size_t b = 0; b < n; b++)
            draws[b] = (double)((7 * b) % n);
        draws[n] = NAN;
        const struct mix_interval all = mix_interval_over_draws(3.0, n + 1, draws, 0.9);
        assert_true(all.lo == 0.0 && all.hi == (double)n - 1.0);
    }
    const struct mix_interval half = mix_interval_over_draws(3.0, 19, draws, 0.47);
    assert_near(half.lo, 20.0 * 0.265 - 1.0, 1e-12);
    assert_near(half.hi, 20.0 * 0.735 - 1.0, 1e-12);
    for (size_t b = 0; b < 19; b++)
        draws[b] = (double)(b * b);
    const struct mix_interval about = mix_interval_about(100.0, 19, draws, 0.9);
    assert_near(about.lo, 100.0 - 81.0, 1e-12);
    assert_near(about.hi, 100.0 + 324.0 - 81.0, 1e-12);
    double holed[] = {NAN, NAN, 1.0, 2.0, 3.0, 100.0}, whole[] = {1.0, 2.0, 3.0, 100.0};
    const struct mix_interval with = mix_interval_about(2.5, 6, holed, 0.5),
                              without = mix_interval_about(2.5, 4, whole, 0.5);
    assert_true(with.lo == without.lo && with.hi == without.hi);
    double none[1] = {NAN};
    assert_true(isnan(mix_interval_about(1.0, 1, none, 0.9).lo));
}

/* Without a jackknife there is no BCa interval; symmetric draws about the estimate leave it at the
 * percentiles; draws that all lie on one side have one with ends among them. */
static void test_bca_at_its_limits(void **state)
{
    (void)state;
    double draws[101];
    const double flat[3] = {1.0, 1.0, NAN};
    for (int i = 0; i < 101; i++)
        draws[i] = i < 100 ? i - 50.0 + (i >= 50) : NAN; /* -50 .. -1, 1 .. 50 */
    const struct mix_intervals none = mix_intervals_over_draws(0.0, 101, draws, 0, NULL, 0.9);
    assert_true(isfinite(none.percentile.lo) && isnan(none.bca.lo) && isnan(none.bca.hi));
    const struct mix_intervals even = mix_intervals_over_draws(0.0, 101, draws, 3, flat, 0.9);
    assert_near(even.bca.lo, even.percentile.lo, 1e-9);
    assert_near(even.bca.hi, even.percentile.hi, 1e-9);
    const struct mix_intervals below = mix_intervals_over_draws(-99.0, 101, draws, 3, flat, 0.9);
    assert_true(below.bca.lo >= -50.0 && below.bca.hi <= below.percentile.hi);
    assert_true(below.bca.hi >= below.bca.lo);
    double unknown[2] = {NAN, NAN};
    const struct mix_intervals lost = mix_intervals_over_draws(1.0, 2, unknown, 3, flat, 0.9);
    assert_true(isnan(lost.percentile.lo) && isnan(lost.bca.lo));
}

/* ---- fits */

static const struct world_plan plan = {"capacity", 3, 3, 12, {10, 40, 160}, {2, 8}, 0.003, 3};

struct setting {
    struct world world;
    struct mix_fit *fit;
    struct mix_draws *draws;
};

static struct mix_draws *draws_of(const struct mix_fit *fit, size_t n)
{
    const struct mix_bootstrap_options options = {.n_draws = n, .seed = 1};
    struct mix_draws *draws = mix_draws_plan(fit, &options, NULL);
    if (draws == NULL)
        abort();
    return draws;
}

static struct setting setting_create(const struct world_plan *what, size_t n_draws)
{
    struct mix_fit_options options = quick_options(what->law, 6);
    options.selection.checkpoints = MIX_CHECKPOINTS_ALL;
    struct setting s = {world_create(what), NULL, NULL};
    struct mix_error err = {{0}};
    s.fit = quick_fit(s.world.table, &options);
    s.draws = draws_of(s.fit, n_draws);
    if (n_draws > 0)
        must(mix_bootstrap_run(NULL, s.world.table, s.fit, s.draws, NULL, NULL, NULL, &err), &err);
    return s;
}

static void setting_destroy(struct setting *s)
{
    mix_draws_destroy(s->draws);
    mix_fit_destroy(s->fit);
    world_destroy(&s->world);
}

static void jackknife(const struct setting *s, struct mix_draws *draws)
{
    struct mix_error err = {{0}};
    assert_ok(mix_jackknife_run(NULL, s->world.table, s->fit, draws, NULL, NULL, NULL, &err), err);
    assert_int_equal(mix_jackknife_count(draws), draws->n_left);
}

/* Each refit is as good as a fit of the table without that mixture. */
static void test_a_refit_is_a_fit_without_the_mixture(void **state)
{
    (void)state;
    struct setting s = setting_create(&plan, 0);
    struct mix_fit_options options = quick_options("capacity", 6);
    const double even[3] = {1.0 / 3, 1.0 / 3, 1.0 / 3}, size = 160.0, tokens = 8.0;
    struct mix_error err = {{0}};
    options.selection.checkpoints = MIX_CHECKPOINTS_ALL;
    jackknife(&s, s.draws);
    assert_int_equal(s.draws->n_left, plan.n_mixtures);
    for (size_t g = 0; g < 3; g++) {
        double there[3], here[3];
        for (size_t r = 0; r < s.world.table->n_rows; r++)
            s.world.table->runs[r].excluded = r / 6 == g; /* six rows a mixture, in their order */
        struct mix_fit *without = quick_fit(s.world.table, &options);
        assert_ok(
            mix_model_predict(s.world.model, without->params, 1, even, &size, &tokens, there, &err),
            err);
        assert_ok(mix_model_predict(s.world.model, s.draws->left + g * s.fit->n_params, 1, even,
                                    &size, &tokens, here, &err),
                  err);
        for (size_t m = 0; m < 3; m++)
            assert_near(here[m], there[m], 2e-5);
        mix_fit_destroy(without);
    }
    setting_destroy(&s);
}

static enum mix_status count_left(void *context, enum mix_log_kind kind, const void *head,
                                  size_t n_head, const void *body, size_t n_body,
                                  struct mix_error *err)
{
    const struct mix_draws *draws = context;
    struct mix_left_body left;
    (void)head;
    (void)err;
    assert_int_equal(kind, MIX_LOG_JACKKNIFE);
    assert_int_equal(n_head, sizeof(struct mix_draw_head));
    assert_int_equal(n_body, sizeof left + draws->n_params * sizeof(double));
    memcpy(&left, body, sizeof left);
    assert_int_equal(left.n_groups, draws->n_left);
    assert_true(left.group % 3 != 0);
    assert_memory_equal((const char *)body + sizeof left,
                        draws->left + left.group * draws->n_params,
                        draws->n_params * sizeof(double));
    return MIX_OK;
}

/* What is there is not made again; what is new is in the log, and is what one go gives. */
static void test_a_jackknife_goes_on(void **state)
{
    (void)state;
    struct setting s = setting_create(&plan, 0);
    struct mix_draws *resumed = draws_of(s.fit, 0);
    struct mix_error err = {{0}};
    const size_t n_p = s.fit->n_params;
    jackknife(&s, s.draws);
    assert_true(mix_draws_copy_left(resumed, s.draws));
    for (size_t g = 0; g < resumed->n_left; g++) {
        if (g % 3 == 0)
            continue;
        resumed->left_done[g] = 0;
        memset(resumed->left + g * n_p, 0, n_p * sizeof(double));
    }
    resumed->left[0] = 42.0;
    assert_ok(
        mix_jackknife_run(NULL, s.world.table, s.fit, resumed, "jackknife.log", NULL, NULL, &err),
        err);
    assert_true(resumed->left[0] == 42.0);
    assert_memory_equal(resumed->left + 1, s.draws->left + 1,
                        (s.draws->n_left * n_p - 1) * sizeof(double));
    assert_ok(mix_log_read("jackknife.log", count_left, resumed, NULL, &err), err);
    assert_ok(mix_log_remove("jackknife.log", &err), err);
    mix_draws_destroy(resumed);
    setting_destroy(&s);
}

/* Of parameters, losses and a gain: percentiles are those of predict, BCa ends are near them, and
 * draws of another fit are refused. */
static void test_figures_have_both_intervals(void **state)
{
    (void)state;
    struct setting s = setting_create(&plan, 60);
    const double even[3] = {1.0 / 3, 1.0 / 3, 1.0 / 3}, other[3] = {0.6, 0.2, 0.2};
    struct mix_intervals both[4], gain[4], back[4];
    struct mix_forecast forecast;
    struct mix_error err = {{0}};
    jackknife(&s, s.draws);
    assert_ok(mix_intervals_predict(s.fit, s.draws, NULL, even, 640e6, 8e9, 0.9, both, &err), err);
    assert_ok(mix_predict_mixture(s.fit, s.draws, even, 640e6, 8e9, 0.9, &forecast, &err), err);
    for (size_t m = 0; m < 4; m++) {
        const struct mix_interval p = m < 3 ? forecast.loss[m] : forecast.objective;
        const double width = p.hi - p.lo;
        assert_near(both[m].percentile.lo, p.lo, 1e-12);
        assert_near(both[m].percentile.hi, p.hi, 1e-12);
        assert_near(both[m].bca.lo, p.lo, width);
        assert_near(both[m].bca.hi, p.hi, width);
        assert_true(both[m].bca.lo < both[m].bca.hi);
    }
    mix_forecast_clear(&forecast);
    assert_ok(mix_intervals_gain(s.fit, s.draws, NULL, even, other, 640e6, 8e9, 0.9, gain, &err),
              err);
    assert_ok(mix_intervals_gain(s.fit, s.draws, NULL, other, even, 640e6, 8e9, 0.9, back, &err),
              err);
    assert_near(gain[3].percentile.lo, -back[3].percentile.hi, 1e-12);
    assert_near(gain[3].percentile.value, -back[3].percentile.value, 1e-12);
    struct mix_intervals *params = zeros(s.fit->n_params, sizeof *params);
    assert_ok(mix_intervals_params(s.fit, s.draws, 0.9, params, &err), err);
    for (size_t p = 0; p < s.fit->n_params; p++)
        assert_true(params[p].percentile.value == s.fit->params[p] &&
                    params[p].percentile.lo <= params[p].percentile.hi);
    free(params);
    s.fit->params[0] *= 1.01;
    assert_refused(mix_intervals_predict(s.fit, s.draws, NULL, even, 640e6, 8e9, 0.9, both, &err),
                   MIX_EINVAL, err, "earlier fit");
    setting_destroy(&s);
}

/* The interval of what a run shows covers about as many runs of the table as it says. */
static void test_intervals_of_a_table_cover_its_runs(void **state)
{
    (void)state;
    struct setting s = setting_create(&plan, 60);
    struct mix_prediction_intervals wide, narrow;
    struct mix_error err = {{0}};
    s.draws->residual = 0.0;
    assert_ok(mix_predict_intervals(s.fit, s.draws, s.world.table, 0.9, &narrow, &err), err);
    s.draws->residual = 0.003 / 2.0 / sqrt(3.0); /* of the mean of three losses of about 2 */
    assert_ok(mix_predict_intervals(s.fit, s.draws, s.world.table, 0.9, &wide, &err), err);
    assert_int_equal(wide.n, 72);
    assert_in_range(wide.n_covered, 58, 72);
    assert_true(narrow.n_covered < wide.n_covered);
    for (size_t r = 0; r < 72; r++)
        assert_true(wide.mean[r].lo < narrow.mean[r].lo && wide.mean[r].hi > narrow.mean[r].hi);
    mix_prediction_intervals_clear(&wide);
    mix_prediction_intervals_clear(&narrow);
    setting_destroy(&s);
}

/* Where few sizes hardly tell an exponent, the law pulls it; the draws know that. */
static void test_draws_doubt_what_is_only_pulled(void **state)
{
    (void)state;
    const struct world_plan few = {"transfer", 2, 2, 14, {10, 11}, {2}, 0.01, 5};
    struct setting s = {world_create(&few), NULL, NULL};
    const struct mix_fit_options options = quick_options("additive", 4);
    struct mix_error err = {{0}};
    s.fit = quick_fit(s.world.table, &options);
    s.draws = draws_of(s.fit, 60);
    assert_ok(mix_bootstrap_run(NULL, s.world.table, s.fit, s.draws, NULL, NULL, NULL, &err), err);
    for (size_t p = 0; p < s.fit->n_params; p++) {
        double ln[60];
        if (strncmp(s.fit->param_names[p], "alpha", 5) != 0)
            continue;
        for (size_t b = 0; b < 60; b++)
            ln[b] = log(s.draws->params[b * s.fit->n_params + p]);
        const double spread = sqrt(variance_of(60, ln));
        if (!(spread > 0.2 && spread < 0.8))
            fail_msg("%s = %g spreads by %.3f in its logarithm", s.fit->param_names[p],
                     s.fit->params[p], spread);
    }
    setting_destroy(&s);
}

/* A law that holds predicts the later sizes: without noise to 1e-4, in as many steps as there are
 * scales behind each origin. */
static void test_rolling_origin_of_a_law_that_holds(void **state)
{
    (void)state;
    const struct world_plan exact = {"capacity", 2, 2, 12, {10, 20, 80, 160}, {2, 8}, 0.0, 3};
    struct setting s = setting_create(&exact, 0);
    struct mix_error err = {{0}};
    assert_ok(mix_rolling_origin_run(NULL, s.world.table, s.fit, s.draws, &err), err);
    assert_int_equal(s.draws->n_origins, 2 * 2 + 2); /* up to 20 M: 80, 160; up to 80 M: 160 */
    for (size_t k = 0; k < s.draws->n_origins; k++) {
        const struct mix_origin *o = &s.draws->origins[k];
        assert_int_equal(o->n_runs, 12);
        assert_true(o->rms < 1e-3 && fabs(o->bias) <= o->rms);
        assert_near(o->from_d, 8e9, 1.0);
    }
    assert_near(s.draws->origins[0].from_n, 20e6, 1.0);
    assert_near(s.draws->origins[0].to_n, 80e6, 1.0);
    assert_near(s.draws->origins[5].to_d, 8e9, 1.0);
    assert_true(s.draws->residual < 1e-4);
    setting_destroy(&s);
}

/* ---- the budget */

/* Second seeds of the mixtures at the largest scale, by +-2% of the loss: sd sqrt(2) %, but for the
 * ratio's second order. */
static void add_seeds(struct world *world)
{
    struct mix_error err = {{0}};
    const size_t n_rows = world->table->n_rows, n_k = 3;
    for (size_t r = 0; r < n_rows; r++) {
        if (world->table->runs[r].n_params != 160e6 || world->table->runs[r].n_tokens != 8e9)
            continue;
        const size_t copy = mix_table_append(world->table);
        if (copy == SIZE_MAX)
            abort();
        world->table->runs[copy] = world->table->runs[r];
        snprintf(world->table->runs[copy].run, MIX_NAME_MAX, "again-%zu", r);
        memcpy(world->table->mixture + copy * n_k, world->table->mixture + r * n_k,
               n_k * sizeof(double));
        memcpy(world->table->asked + copy * n_k, world->table->asked + r * n_k,
               n_k * sizeof(double));
        for (size_t m = 0; m < n_k; m++)
            world->table->loss[copy * n_k + m] = 1.02 * world->table->loss[r * n_k + m];
    }
    must(mix_table_finish(world->table, &err), &err);
}

static void test_budget_adds_what_is_known(void **state)
{
    (void)state;
    struct setting s = setting_create(&plan, 40);
    const double even[3] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
    struct mix_error_budget b;
    struct mix_intervals both[4];
    struct mix_error err = {{0}};
    assert_ok(mix_error_budget_compute(s.world.table, s.fit, s.draws, 0, NULL, NULL, even, 640e6,
                                       8e9, &b, &err),
              err);
    assert_true(b.resampling > 0.0 && b.n_draws == 40 && b.n_laws == 1);
    assert_true(isnan(b.seed) && isnan(b.law) && isnan(b.scale) && isnan(b.reach));
    assert_near(b.total, b.resampling, 1e-15);
    assert_true(isnan(mix_error_budget_widen(&b, (struct mix_interval){2, 1, 3}, 0.9).lo));
    const double usual = b.resampling;
    for (size_t p = 0; p < 3; p++) /* one wild draw of forty is not the error */
        s.draws->params[p] *= 1e6;
    assert_ok(mix_error_budget_compute(s.world.table, s.fit, s.draws, 0, NULL, NULL, even, 640e6,
                                       8e9, &b, &err),
              err);
    assert_true(fabs(b.resampling - usual) < 0.2 * usual);
    for (size_t p = 0; p < 3; p++)
        s.draws->params[p] /= 1e6;
    s.fit->scale_error = 0.02; /* at twice the size */
    s.fit->scale_factor = 2.0;
    assert_ok(mix_error_budget_compute(s.world.table, s.fit, s.draws, 0, NULL, NULL, even, 640e6,
                                       8e9, &b, &err),
              err);
    assert_near(b.scale, 0.04 * b.value, 1e-9);
    assert_near(b.reach, 2.0, 1e-12);

    /* Two steps of the rolling origin, both an error of 1% for each e-fold once the known parts are
     * taken off: 4 times the largest size is ln 4 of them, at the same length. */
    s.draws->residual = 0.003;
    assert_true(mix_draws_hold_origins(s.draws, 2));
    const double d[2] = {log(4.0), hypot(log(16.0), log(4.0))};
    for (size_t k = 0; k < 2; k++)
        s.draws->origins[k] =
            (struct mix_origin){.from_n = 10e6,
                                .from_d = 2e9,
                                .to_n = k == 0 ? 40e6 : 160e6,
                                .to_d = k == 0 ? 2e9 : 8e9,
                                .n_runs = 12,
                                .rms = sqrt(0.003 * 0.003 + 0.004 * 0.004 + 1e-4 * d[k] * d[k]),
                                .spread = 0.004};
    add_seeds(&s.world);
    assert_ok(mix_error_budget_compute(s.world.table, s.fit, s.draws, 0, NULL, NULL, even, 640e6,
                                       8e9, &b, &err),
              err);
    assert_near(b.scale, 0.01 * log(4.0) * b.value, 1e-9);
    assert_near(b.reach, log(4.0) / d[1], 1e-12);
    assert_int_equal(b.n_origins, 2);
    assert_int_equal(b.n_replicates, plan.n_mixtures);
    assert_near(b.seed / b.value, log(1.02) / sqrt(2.0), 1e-9);
    assert_near(b.total * b.total,
                b.resampling * b.resampling + b.seed * b.seed + b.scale * b.scale, 1e-15);
    assert_true(b.fit == 0.0); /* the residuals are less than seed noise */

    assert_ok(mix_intervals_predict(s.fit, s.draws, NULL, even, 640e6, 8e9, 0.9, both, &err), err);
    const struct mix_interval narrow = both[3].percentile,
                              wide = mix_error_budget_widen(&b, narrow, 0.9);
    const double other = 1.6448536269514722 * hypot(b.seed, b.scale);
    assert_near(wide.lo, narrow.value - hypot(narrow.value - narrow.lo, other), 1e-12);
    assert_near(wide.hi, narrow.value + hypot(narrow.hi - narrow.value, other), 1e-12);

    assert_ok(mix_error_budget_compute(s.world.table, s.fit, s.draws, 0, NULL, NULL, even, 100e6,
                                       4e9, &b, &err),
              err); /* within the runs nothing is extrapolated */
    assert_true(b.scale == 0.0 && b.reach == 0.0);

    /* A law that does not fit: what the runs are off it beyond seed noise counts in full, and what
     * all runs of a larger size are off is no noise. */
    s.draws->residual = 0.02;
    s.draws->origins[0].bias = 0.015;
    s.draws->origins[1].rms = 0.02;
    assert_ok(mix_error_budget_compute(s.world.table, s.fit, s.draws, 0, NULL, NULL, even, 640e6,
                                       8e9, &b, &err),
              err);
    assert_near(b.fit / b.value, sqrt(4e-4 - 0.5 * log(1.02) * log(1.02)), 1e-9);
    assert_near(b.scale / b.value, sqrt(0.5 * (2.25e-4 - 4e-4 / 12 - 1.6e-5)), 1e-9);
    assert_true(b.total > hypot(b.fit, b.scale));

    const struct mix_error_budget nothing = {.seed = NAN, .law = NAN, .scale = 0.0};
    const struct mix_interval bare = {2, NAN, NAN}, drawn = {2, 1, 3};
    assert_true(isnan(mix_error_budget_widen(&nothing, bare, 0.9).lo)); /* not 2 ... 2 */
    assert_true(mix_error_budget_widen(&nothing, drawn, 0.9).hi == 3.0);
    setting_destroy(&s);
}

static double law_error(const struct setting *s, const struct mix_fit *const *fits,
                        const double *mixture, struct mix_error_budget *b)
{
    struct mix_error err = {{0}};
    assert_ok(mix_error_budget_compute(s->world.table, s->fit, NULL, 3, fits, NULL, mixture, 640e6,
                                       8e9, b, &err),
              err);
    return b->law;
}

/* Two laws: how far the other is, by the root of its weight. A fit of other targets does not
 * count. */
static void test_budget_of_several_laws(void **state)
{
    (void)state;
    struct setting s = setting_create(&plan, 0);
    struct mix_fit_options options = quick_options("additive", 4);
    const double even[3] = {1.0 / 3, 1.0 / 3, 1.0 / 3}, size = 640.0, tokens = 8.0;
    struct mix_error_budget b;
    struct mix_error err = {{0}};
    options.selection.checkpoints = MIX_CHECKPOINTS_ALL;
    struct mix_fit *other = quick_fit(s.world.table, &options), *alien;
    options.name = "alien";
    snprintf(options.selection.targets, sizeof options.selection.targets, "%s", world_names[0]);
    alien = quick_fit(s.world.table, &options);
    const struct mix_fit *const fits[] = {s.fit, other, alien};
    assert_ok(mix_error_budget_compute(s.world.table, s.fit, NULL, 3, fits, NULL, even, 640e6, 8e9,
                                       &b, &err),
              err);
    struct mix_model *model = NULL;
    double loss[3];
    assert_ok(mix_fit_model(other, &model, &err), err);
    assert_ok(mix_model_predict(model, other->params, 1, even, &size, &tokens, loss, &err), err);
    assert_int_equal(b.n_laws, 2);
    assert_true(isnan(b.resampling) && b.law > 0.0);
    const double off = fabs(mean_of(3, loss) - b.value), mine = 1.0 / s.fit->train.mse,
                 its = 1.0 / other->train.mse;
    assert_near(b.law, off * sqrt(its / (mine + its)), 1e-9);
    assert_near(b.total, b.law, 1e-15);
    assert_false(b.stacked);

    /* the weights of a stack take the place of 1 / mse: all on the fit, all on the other */
    s.fit->stacked = 0.75;
    other->stacked = alien->stacked = 0.25;
    assert_near(law_error(&s, fits, even, &b), 0.5 * off, 1e-9);
    assert_true(b.stacked);
    s.fit->stacked = 0.0;
    assert_near(law_error(&s, fits, even, &b), off, 1e-9);
    const struct mix_fit *const twice[] = {other, other, s.fit}; /* a law counts once */
    s.fit->stacked = 0.75;
    assert_near(law_error(&s, twice, even, &b), 0.5 * off, 1e-9);
    assert_int_equal(b.n_laws, 2);

    /* the same of one target, and of a gain, of which the error that all mixtures share is none */
    struct mix_error_budget one, gain;
    double there[3];
    const double corner[3] = {0.6, 0.2, 0.2};
    assert_ok(mix_error_budget_target(s.world.table, s.fit, 3, fits, NULL, 1, even, 640e6, 8e9, &b,
                                      &one, &err),
              err);
    assert_near(one.law, 0.5 * fabs(loss[1] - one.value), 1e-9);
    assert_true(isnan(one.scale)); /* nothing is known of the mean, so nothing of it */
    assert_ok(mix_error_budget_gain(s.fit, NULL, 3, fits, NULL, even, corner, 640e6, 8e9, &b, &gain,
                                    &err),
              err);
    assert_ok(mix_model_predict(model, other->params, 1, corner, &size, &tokens, there, &err), err);
    assert_near(gain.law, 0.5 * fabs(mean_of(3, there) - mean_of(3, loss) - gain.value), 1e-9);
    assert_true(isnan(gain.seed) && isnan(gain.scale));
    struct mix_draws *draws = draws_of(s.fit, 0);
    assert_true(mix_draws_hold_origins(draws, 1));
    draws->residual = 0.003;
    draws->origins[0] =
        (struct mix_origin){.from_n = 10e6,
                            .from_d = 8e9,
                            .to_n = 40e6,
                            .to_d = 8e9,
                            .n_runs = 12,
                            .bias = 0.02,
                            .rms = sqrt(0.02 * 0.02 + 0.003 * 0.003 + 0.004 * 0.004)};
    assert_ok(mix_error_budget_gain(s.fit, draws, 3, fits, NULL, even, corner, 640e6, 8e9, &b,
                                    &gain, &err),
              err);
    assert_near(gain.scale, sqrt(2.0) * 0.004 * b.value, 1e-9); /* 4 times the size, as tested */
    mix_draws_destroy(draws);
    const double small[3] = {0.2, 0.3, 0.5};
    assert_refused(mix_error_budget_compute(s.world.table, s.fit, NULL, 0, NULL, NULL, small, 1.0,
                                            8e9, &b, &err),
                   MIX_EINVAL, err, "predicts nothing there");
    mix_model_destroy(model);
    mix_fit_destroy(other);
    mix_fit_destroy(alien);
    setting_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bca_is_that_of_scipy),
        cmocka_unit_test(test_quantiles_of_few_draws),
        cmocka_unit_test(test_bca_at_its_limits),
        cmocka_unit_test(test_a_refit_is_a_fit_without_the_mixture),
        cmocka_unit_test(test_a_jackknife_goes_on),
        cmocka_unit_test(test_figures_have_both_intervals),
        cmocka_unit_test(test_intervals_of_a_table_cover_its_runs),
        cmocka_unit_test(test_draws_doubt_what_is_only_pulled),
        cmocka_unit_test(test_rolling_origin_of_a_law_that_holds),
        cmocka_unit_test(test_budget_adds_what_is_known),
        cmocka_unit_test(test_budget_of_several_laws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

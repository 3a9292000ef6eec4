/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_optimum.c - the optimum of a known law: against brute force, under bounds, with draws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mixsweep/interval.h"
#include "optimum/near.h"
#include "optimum/toy.h"

struct toy {
    struct mix_table *table;
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct mix_optimum *optimum;
};

static int set_up(void **state)
{
    struct toy *toy = calloc(1, sizeof *toy);
    toy->table = toy_table();
    toy->fit = toy_fit(toy->table);
    *state = toy;
    return 0;
}

static int tear_down(void **state)
{
    struct toy *toy = *state;
    mix_optimum_destroy(toy->optimum);
    mix_draws_destroy(toy->draws);
    mix_fit_destroy(toy->fit);
    mix_table_destroy(toy->table);
    free(toy);
    return 0;
}

static const struct mix_optimum *solve(struct toy *toy, const struct mix_optimum_options *options)
{
    struct mix_error err = {{0}};
    mix_optimum_destroy(toy->optimum);
    toy->optimum = NULL;
    if (mix_optimum_run(NULL, toy->table, toy->fit, toy->draws, options, &toy->optimum, &err) !=
        MIX_OK)
        fail_msg("%s", err.text);
    return toy->optimum;
}

static void assert_refused(struct toy *toy, const struct mix_optimum_options *options,
                           const char *sentence)
{
    struct mix_error err = {{0}};
    struct mix_optimum *optimum = NULL;
    assert_int_equal(
        mix_optimum_run(NULL, toy->table, toy->fit, toy->draws, options, &optimum, &err),
        MIX_EINVAL);
    assert_null(optimum);
    if (strstr(err.text, sentence) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
}

static double mean_loss(const struct mix_fit *fit, const struct mix_optimum_options *options,
                        const double *weight, double code, double web)
{
    const double h[3] = {code, web, 1.0 - code - web};
    const double size = options->n_params / 1e6, tokens = options->n_tokens / 1e9;
    double loss[3];
    struct mix_model *model = NULL;
    assert_int_equal(mix_fit_model(fit, &model, NULL), MIX_OK);
    assert_int_equal(mix_model_predict(model, fit->params, 1, h, &size, &tokens, loss, NULL),
                     MIX_OK);
    mix_model_destroy(model);
    return (weight[0] * loss[0] + weight[1] * loss[1] + weight[2] * loss[2]) /
           (weight[0] + weight[1] + weight[2]);
}

/* Nested grids: the whole simplex in steps of 1/40, then ever smaller squares around the best. */
static void brute_force(const struct toy *toy, const struct mix_optimum_options *options,
                        const double *weight, const double *lower, const double *upper,
                        double best[3])
{
    double centre[2] = {0.5, 0.5}, width = 0.5, least = INFINITY;
    for (int zoom = 0; zoom < 14; zoom++, width *= 0.4) {
        const double from[2] = {centre[0], centre[1]};
        for (int i = -20; i <= 20; i++)
            for (int j = -20; j <= 20; j++) {
                const double h[3] = {from[0] + i * width / 20, from[1] + j * width / 20,
                                     1.0 - from[0] - from[1] - (i + j) * width / 20};
                bool inside = true;
                for (size_t k = 0; k < 3; k++)
                    inside = inside && h[k] >= lower[k] - 1e-12 && h[k] <= upper[k] + 1e-12;
                const double value =
                    inside ? mean_loss(toy->fit, options, weight, h[0], h[1]) : INFINITY;
                if (value < least) {
                    least = value;
                    memcpy(best, h, 3 * sizeof *h);
                    memcpy(centre, h, sizeof centre);
                }
            }
    }
}

static void assert_meets_brute_force(struct toy *toy, const struct mix_optimum_options *options,
                                     const double *weight, const double *lower, const double *upper)
{
    double best[3];
    const struct mix_optimum *o = solve(toy, options);
    brute_force(toy, options, weight, lower, upper, best);
    for (size_t k = 0; k < 3; k++)
        assert_near(o->mixture[k], best[k], 1e-5);
    assert_near(o->mixture[0] + o->mixture[1] + o->mixture[2], 1.0, 1e-15);
    assert_true(o->objective.value <=
                mean_loss(toy->fit, options, weight, best[0], best[1]) + 1e-14);
    assert_true(o->kkt <= 1e-9);
}

static const double ones[3] = {1, 1, 1}, floors[3] = {1e-4, 1e-4, 1e-4};

static void test_optimum_meets_brute_force(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = toy_options();
    assert_meets_brute_force(toy, &options, ones, floors, ones);
    assert_true(toy->optimum->mixture[0] > 0.05 && toy->optimum->mixture[2] > 0.05);
    options.n_params = 20e6; /* between the sizes seen, and more tokens */
    options.n_tokens = 1e12;
    assert_meets_brute_force(toy, &options, ones, floors, ones);
}

static void test_optimum_with_weights_and_bounds_meets_brute_force(void **state)
{
    struct toy *toy = *state;
    const double weight[3] = {3, 1, 0}, lower[3] = {0.05, 0.3, 0.1}, upper[3] = {0.4, 1, 0.3};
    struct mix_optimum_options options = toy_options();
    options.weight = weight;
    assert_meets_brute_force(toy, &options, weight, floors, ones);
    assert_int_equal(toy->optimum->binding[2], 1); /* nobody asks for wiki */
    options.lower = lower;
    options.upper = upper;
    assert_meets_brute_force(toy, &options, weight, lower, upper);
    assert_int_equal(toy->optimum->binding[0], 2);
    assert_int_equal(toy->optimum->binding[2], 1);
    assert_non_null(strstr(toy->optimum->warnings, "on the cap, the law asks for more: code"));
    assert_non_null(strstr(toy->optimum->warnings, "on the floor, the law asks for less: wiki"));
}

static void test_optimum_without_draws_has_no_intervals(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    const struct mix_optimum *o = solve(toy, &options);
    assert_string_equal(o->name, "truth");
    assert_string_equal(o->baseline_name, "uniform");
    assert_near(o->prior[1], 0.6, 0);
    assert_int_equal(o->n_draws, 0);
    assert_true(isnan(o->objective.lo) && isnan(o->mixture_lo[0]) && isnan(o->p_better[0]));
    assert_true(isnan(o->tied_loss) && isnan(o->tied[0]));
    /* 1% at ln 4, the held-out test, so much more at 10 times the size and 5 times the tokens;
     * z(0.95) = 1.6449 */
    const double steps = hypot(log(10.0), log(5.0)) / log(4.0);
    const double half = 1.6448536269514722 * 0.01 * steps * o->objective.value;
    assert_near(o->objective_wide.lo, o->objective.value - half, 1e-12);
    assert_near(o->objective_wide.hi, o->objective.value + half, 1e-12);
    assert_near(o->extrapolation_n, 10.0, 1e-12);
    assert_near(o->extrapolation_d, 5.0, 1e-12);
    assert_non_null(strstr(o->warnings, "no bootstrap"));
    assert_non_null(strstr(o->warnings, "the size is 10 times the largest fitted one (held-out "
                                        "test: 4 times)"));
    assert_non_null(strstr(o->warnings, "tokens are 5 times"));
    for (size_t g = 0; g < MIX_GAINS; g++)
        assert_true(o->gain[g].value > 0.0);
    assert_near(o->gain[0].value, o->gain[1].value, 1e-15); /* baseline is uniform */
}

static void test_optimum_best_observed_is_least_at_largest_scale(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    size_t best = 0;
    double least = INFINITY;
    toy->table->loss[1 * 3 + 2] = NAN; /* this row lacks a target: never the best */
    for (size_t r = 3; r < toy->table->n_rows; r += 2) {
        const double *loss = toy->table->loss + r * 3;
        if (loss[0] + loss[1] + loss[2] < least) {
            least = loss[0] + loss[1] + loss[2];
            best = r;
        }
    }
    const struct mix_optimum *o = solve(toy, &options);
    assert_memory_equal(o->best_observed, toy->table->mixture + best * 3, 3 * sizeof(double));
    for (size_t r = 0; r < toy->table->n_rows; r++)
        toy->table->loss[r * 3 + (r == 0)] = NAN; /* no row has all targets, each target some row */
    o = solve(toy, &options);
    assert_true(isnan(o->best_observed[0]) && isnan(o->gain[2].value) && isnan(o->p_better[2]));
}

static void test_optimum_warns_outside_what_was_seen(void **state)
{
    struct toy *toy = *state;
    const double lower[3] = {0.97, 0, 0};
    struct mix_optimum_options options = toy_options();
    options.lower = lower;
    options.n_params = 4e9;
    const struct mix_optimum *o = solve(toy, &options);
    assert_true(o->hull_distance > 0.02);
    assert_non_null(strstr(o->warnings, "outside the observed mixtures"));
    assert_non_null(strstr(o->warnings, "the largest share seen) of code"));
    assert_non_null(strstr(o->warnings, "caution: the size is 100 times"));
}

static void test_optimum_intervals_hold_the_draws(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = toy_options();
    const double baseline[3] = {0.05, 0.9, 0.05};
    options.baseline = baseline;
    options.baseline_name = "prior";
    toy->draws = toy_draws(toy->fit, 201, 0.05);
    toy->draws->done[7] = 0;
    const struct mix_optimum *o = solve(toy, &options);
    assert_int_equal(o->n_draws, 200);
    assert_true(o->objective.lo < o->objective.value && o->objective.value < o->objective.hi);
    assert_true(o->objective_wide.lo < o->objective.lo && o->objective_wide.hi > o->objective.hi);
    assert_near(o->p_better[0], 1.0, 0);
    assert_true(o->gain[0].lo > 0.0 && o->gain[0].lo < o->gain[0].value);
    for (size_t k = 0; k < 3; k++) {
        size_t below = 0, above = 0;
        for (size_t b = 0; b < 200; b++) {
            below += o->draw_mixture[b * 3 + k] < o->mixture_lo[k];
            above += o->draw_mixture[b * 3 + k] > o->mixture_hi[k];
        }
        assert_int_equal(below, 10); /* 0.05 * 201 = 10.05 */
        assert_int_equal(above, 10);
    }
    /* the tie lies on the way to the baseline, and one draw in twenty likes it no less */
    assert_true(o->tied[1] > o->mixture[1] && o->tied[1] < baseline[1]);
    assert_true(o->tied_loss > o->objective.value);
    assert_null(strstr(o->warnings, "draws: the ends"));
}

/* Draws that all like another mixture better, the best of the law that they lie about: moved, as
 * the interval is, they agree with it. */
static void test_optimum_probability_agrees_with_its_interval(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = toy_options();
    const size_t n = toy->fit->n_params;
    double truth[32], baseline[3];
    assert_true(n <= 32);
    memcpy(truth, toy->fit->params, n * sizeof *truth);
    for (size_t p = 0; p < n; p++)
        if (strcmp(toy->fit->param_names[p], "A[code]") == 0)
            toy->fit->params[p] *= 1.5;
    memcpy(baseline, solve(toy, &options)->mixture, sizeof baseline);
    toy->draws = toy_draws(toy->fit, 101, 0.02);
    memcpy(toy->fit->params, truth, n * sizeof *truth);
    toy->draws->fit_key = mix_fit_key(toy->fit);
    options.baseline = baseline;
    const struct mix_optimum *o = solve(toy, &options);
    assert_true(o->gain[0].value > 0.0 && o->p_better[0] > 0.5);
    for (size_t g = 0; g < MIX_GAINS; g++)
        assert_int_equal(o->gain[g].lo > 0.0, o->p_better[g] > 0.95);
}

/* A law that a floor beats on its hold-out says so, and which fit of the same runs does better. */
static void test_optimum_repeats_that_the_law_loses_to_a_floor(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = toy_options();
    struct mix_fit better = *toy->fit;
    const struct mix_fit *others[] = {toy->fit, &better};
    struct mix_holdout *held = &toy->fit->holdouts[0];
    toy->fit->n_holdouts = better.n_holdouts = 1;
    snprintf(held->kind, sizeof held->kind, "scale 40M");
    held->law.mre = 0.0647;
    held->floor[1].n = 12;
    held->floor[1].mre = 0.0147;
    better.holdouts[0] = *held;
    better.holdouts[0].law.mre = 0.0092;
    snprintf(better.name, sizeof better.name, "other");
    options.n_others = 2;
    options.others = others;
    const char *says = "on held-out scale 40M law capacity (MRE 6.47%) loses to scale-only (1.47%)";
    const char *at = strstr(solve(toy, &options)->warnings, says);
    assert_non_null(at);
    assert_memory_equal(at + strlen(says), "; fit other does better there (0.92%)", 37);
    better.table_key.lo++; /* of other runs */
    at = strstr(solve(toy, &options)->warnings, says);
    assert_true(at != NULL && at[strlen(says)] != ';');
    held->law.mre = 0.01;
    assert_null(strstr(solve(toy, &options)->warnings, "loses to"));
}

/* Each draw's own optimum is what the fit with that draw's parameters has as its optimum. */
static void test_optimum_of_a_draw_is_its_own(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    toy->draws = toy_draws(toy->fit, 10, 0.1);
    const struct mix_optimum *o = solve(toy, &options);
    double own[3];
    memcpy(own, o->draw_mixture + 4 * 3, sizeof own);
    assert_non_null(strstr(o->warnings, "only 10 draws"));
    memcpy(toy->fit->params, toy->draws->params + 4 * toy->fit->n_params,
           toy->fit->n_params * sizeof(double));
    mix_draws_destroy(toy->draws);
    toy->draws = NULL;
    o = solve(toy, &options);
    for (size_t k = 0; k < 3; k++)
        assert_near(o->mixture[k], own[k], 1e-8);
}

/* Share of the draws of a toy that put h no higher than the optimum. */
static double share_tied(const struct toy *toy, const struct mix_optimum_options *options,
                         const double *h)
{
    struct mix_fit fit = *toy->fit;
    double n = 0.0;
    for (size_t b = 0; b < toy->draws->n_draws; b++) {
        fit.params = toy->draws->params + b * fit.n_params;
        n += mean_loss(&fit, options, ones, h[0], h[1]) <=
             mean_loss(&fit, options, ones, toy->optimum->mixture[0], toy->optimum->mixture[1]);
    }
    return n / (double)toy->draws->n_draws;
}

/* The ends of the shares of tied mixtures: what the fit likes best a little within them is tied,
 * and a little beyond it is not. */
static void test_optimum_tied_shares_end_where_draws_can_tell(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    toy->draws = toy_draws(toy->fit, 100, 0.05);
    const struct mix_optimum *o = solve(toy, &options);
    for (size_t k = 0; k < 3; k++) {
        assert_true(o->tied_lo[k] < o->mixture[k] && o->mixture[k] < o->tied_hi[k]);
        assert_true(o->tied_lo[k] <= o->tied[k] && o->tied[k] <= o->tied_hi[k]);
        for (int side = 0; side < 4; side++) { /* within and beyond the least, then the largest */
            const double end = side < 2 ? o->tied_lo[k] : o->tied_hi[k];
            const double to = o->mixture[k] + (end - o->mixture[k]) * (side % 2 == 0 ? 0.9 : 1.15);
            double best[3] = {0}, least = INFINITY;
            if (end == o->tied[k])
                continue; /* the tie nearest the baseline, which need not be what the fit likes */
            for (int i = 1; i < 2000; i++) {
                double h[3];
                h[k] = to;
                h[(k + 1) % 3] = (1.0 - to) * i / 2000;
                h[(k + 2) % 3] = 1.0 - to - h[(k + 1) % 3];
                const double value = mean_loss(toy->fit, &options, ones, h[0], h[1]);
                if (value < least)
                    memcpy(best, h, sizeof best);
                least = fmin(least, value);
            }
            if (share_tied(toy, &options, best) >= 0.05 ? side % 2 == 1 : side % 2 == 0)
                fail_msg("share %zu, side %d: %g of %g … %g is tied in %g of the draws", k, side,
                         to, o->tied_lo[k], o->tied_hi[k], share_tied(toy, &options, best));
        }
    }
    for (size_t g = 0; g < MIX_GAINS; g++) {
        const double even[3] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
        const double *h = g == 2 ? o->best_observed : even;
        assert_near(o->not_worse[g], share_tied(toy, &options, h), 1e-12);
    }
}

/* BCa intervals of losses and gains are those of the mixture by the intervals of predictions; the
 * shares have one too, and none has without a jackknife. */
static void test_optimum_bca_intervals(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    struct mix_intervals both[4];
    struct mix_error err = {{0}};
    toy->draws = toy_draws(toy->fit, 60, 0.05);
    assert_true(isnan(solve(toy, &options)->objective_bca.lo));
    assert_true(toy_jackknife(toy->draws, 12));
    const struct mix_optimum *o = solve(toy, &options);
    assert_int_equal(mix_intervals_predict(toy->fit, toy->draws, NULL, o->mixture, options.n_params,
                                           options.n_tokens, 0.9, both, &err),
                     MIX_OK);
    for (size_t m = 0; m < 3; m++) {
        assert_near(o->loss_bca[m].lo, both[m].bca.lo, 1e-12);
        assert_near(o->loss_bca[m].hi, both[m].bca.hi, 1e-12);
        assert_true(o->mixture_bca_lo[m] < o->mixture_bca_hi[m]);
        assert_true(o->mixture_bca_lo[m] != o->mixture_lo[m]);
    }
    assert_near(o->objective_bca.hi, both[3].bca.hi, 1e-12);
    assert_int_equal(mix_intervals_gain(toy->fit, toy->draws, NULL, o->mixture, o->baseline,
                                        options.n_params, options.n_tokens, 0.9, both, &err),
                     MIX_OK);
    assert_near(o->gain_bca[0].lo, both[3].bca.lo, 1e-12);
}

/* The fit of a toy with more of one parameter, as another law: repetition that no run sees. */
static struct mix_fit *other_law(const struct mix_fit *fit)
{
    const size_t n = fit->n_params;
    struct mix_fit *other = mix_fit_create(3, 3, n + 1, 1, 1);
    if (other == NULL)
        abort();
    other->spec = fit->spec;
    snprintf(other->name, sizeof other->name, "other");
    snprintf(other->spec.law, sizeof other->spec.law, "capacity+repetition");
    memcpy(other->domains, fit->domains, 3 * sizeof *fit->domains);
    memcpy(other->targets, fit->targets, 3 * sizeof *fit->targets);
    for (size_t k = 0; k < 3; k++) {
        other->target_domain[k] = (int32_t)k;
        other->target_weight[k] = 1.0;
        other->supply[k] = NAN;
    }
    for (size_t p = 0; p < n; p++)
        other->params[p] = fit->params[p] * (strcmp(fit->param_names[p], "A[code]") == 0 ? 1.3 : 1);
    other->params[n] = 15.4;
    other->max_n_params = fit->max_n_params;
    other->max_n_tokens = fit->max_n_tokens;
    return other;
}

/* Another law's optimum widens the shares: with all weight on it, to at least its distance. */
static void test_optimum_shares_know_of_other_laws(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = toy_options();
    struct toy other = {.table = toy->table, .fit = other_law(toy->fit)};
    const double z = 1.6448536269514722;
    const struct mix_fit *const others[] = {toy->fit, other.fit};
    const struct mix_optimum *o = solve(toy, &options);
    assert_true(isnan(o->mixture_wide_lo[0]) && isnan(o->gain_wide[0].lo));
    double own[3];
    memcpy(own, solve(&other, &options)->mixture, sizeof own);
    toy->fit->stacked = 0.0;
    other.fit->stacked = 1.0;
    options.n_others = 2;
    options.others = others;
    o = solve(toy, &options);
    for (size_t k = 0; k < 3; k++) {
        assert_near(o->mixture_wide_hi[k] - o->mixture[k], z * fabs(own[k] - o->mixture[k]), 1e-8);
        assert_near(o->mixture[k] - o->mixture_wide_lo[k], z * fabs(own[k] - o->mixture[k]), 1e-8);
    }
    assert_true(o->gain_wide[0].lo < o->gain[0].value && isnan(o->gain[0].lo));
    assert_true(o->loss_wide[0].hi - o->loss[0].value > 0.01);
    mix_optimum_destroy(other.optimum);
    mix_fit_destroy(other.fit);
}

static void test_optimum_draws_that_agree_leave_no_tie(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    toy->draws = toy_draws(toy->fit, 100, 0.0);
    const struct mix_optimum *o = solve(toy, &options);
    for (size_t k = 0; k < 3; k++) {
        assert_near(o->tied[k], o->mixture[k], 1e-4);
        assert_near(o->tied_lo[k], o->mixture[k], 2e-3);
        assert_near(o->tied_hi[k], o->mixture[k], 2e-3);
        assert_near(o->mixture_lo[k], o->mixture[k], 1e-8);
        assert_near(o->mixture_hi[k], o->mixture[k], 1e-8);
    }
}

static void test_optimum_draws_that_know_nothing_tie_with_the_baseline(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    toy->draws = toy_draws(toy->fit, 100, 1.0);
    const struct mix_optimum *o = solve(toy, &options);
    for (size_t k = 0; k < 3; k++) {
        assert_near(o->tied[k], 1.0 / 3, 1e-12);
        assert_true(o->tied_lo[k] <= 1.0 / 3 && o->tied_hi[k] >= 1.0 / 3);
    }
    assert_true(o->not_worse[1] >= 0.05);
    assert_non_null(strstr(o->warnings, "a tie set, not a point"));
}

static void test_optimum_leaves_out_draws_without_an_answer(void **state)
{
    struct toy *toy = *state;
    const struct mix_optimum_options options = toy_options();
    toy->draws = toy_draws(toy->fit, 20, 0.05);
    for (size_t p = 0; p < toy->fit->n_params; p++)
        if (strcmp(toy->fit->param_names[p], "H") == 0)
            toy->draws->params[3 * toy->fit->n_params + p] = 500.0; /* N* is 400 */
    const struct mix_optimum *o = solve(toy, &options);
    assert_true(isnan(o->draw_mixture[3 * 3]) && isfinite(o->draw_mixture[4 * 3]));
    assert_true(isfinite(o->mixture_lo[0]));
    assert_non_null(strstr(o->warnings, "1 of 20 draws have no answer"));
}

static void test_optimum_refuses_infeasible_constraints(void **state)
{
    struct toy *toy = *state;
    const double high[3] = {0.4, 0.4, 0.4}, caps[3] = {1, 0.02, 0.01}, low[3] = {0.3, 0.3, 0.3};
    const double negative[3] = {-0.1, 0, 0}, above[3] = {1, 1, 1.5};
    struct mix_optimum_options options = toy_options();
    options.lower = high;
    options.upper = caps;
    assert_refused(toy, &options,
                   "no mixture satisfies the constraints: the floor 0.4 exceeds the cap of wiki "
                   "(0.01).\n  Lower --floor to 0.01 or less, or raise the cap.");
    options.upper = NULL;
    assert_refused(toy, &options, "sum to 1.2, more than 1.\n  Lower --floor to 0.3333 or less.");
    options.lower = NULL;
    options.upper = low;
    assert_refused(toy, &options,
                   "the caps of the 3 domains sum to 0.9, less than 1.\n  Raise "
                   "caps by 0.1 in all.");
    options.upper = above;
    assert_refused(toy, &options, "the cap 1.5 of wiki is not between 0 and 1");
    options.upper = NULL;
    options.lower = negative;
    assert_refused(toy, &options, "the floor -0.1 of code is not between 0 and 1");
}

static void test_optimum_refuses_other_wrong_input(void **state)
{
    struct toy *toy = *state;
    const double none[3] = {0, 0, 0}, negative[3] = {1, -1, 1}, halves[3] = {0.5, 0.5, 0.5};
    struct mix_optimum_options options = toy_options();
    options.n_params = 0.1e6;
    assert_refused(toy, &options, "below H = 0.5 million");
    options.n_params = NAN;
    assert_refused(toy, &options, "the target size is nan");
    options = toy_options();
    options.n_tokens = 0;
    assert_refused(toy, &options, "the target length is 0");
    options = toy_options();
    options.level = 1.0;
    assert_refused(toy, &options, "the level 1");
    options = toy_options();
    options.weight = none;
    assert_refused(toy, &options, "all target weights are 0");
    options.weight = negative;
    assert_refused(toy, &options, "the weight -1 of target web");
    options = toy_options();
    options.baseline = halves;
    assert_refused(toy, &options, "the baseline sum to 1.5");
    options = toy_options();
    toy->table->targets[1].direction = 1;
    assert_refused(toy, &options, "1 of the selected targets are better when higher");
    toy->table->targets[1].direction = -1;
    toy->draws = toy_draws(toy->fit, 5, 0.1);
    toy->fit->params[0] *= 1.5;
    assert_refused(toy, &options, "belong to an earlier fit truth");
}

static void test_optimum_cap_of_zero_takes_a_domain_out(void **state)
{
    struct toy *toy = *state;
    const double upper[3] = {1, 1, 0};
    struct mix_optimum_options options = toy_options();
    options.upper = upper;
    const struct mix_optimum *o = solve(toy, &options);
    assert_near(o->mixture[2], 0.0, 0);
    assert_near(o->lower[2], 0.0, 0);
    assert_near(o->mixture[0] + o->mixture[1], 1.0, 1e-15);
}

static void test_optimum_is_the_same_from_any_seed(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = toy_options();
    double first[3];
    memcpy(first, solve(toy, &options)->mixture, sizeof first);
    assert_memory_equal(first, solve(toy, &options)->mixture, sizeof first);
    options.seed = 99;
    for (size_t k = 0; k < 3; k++)
        assert_near(solve(toy, &options)->mixture[k], first[k], 1e-9);
    options.n_starts = 1; /* baseline, centre and best observed are always tried */
    for (size_t k = 0; k < 3; k++)
        assert_near(solve(toy, &options)->mixture[k], first[k], 1e-9);
}

#define TOY_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Two questions of one fit: each value is that of the law, and no other mixture is better by its
 * own question. */
static void test_trade_off_is_what_the_law_says(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = toy_options();
    const double code[3] = {1.0, 0.0, 0.0}, cap[3] = {0.2, 1.0, 1.0}, even[3] = {1.0, 1.0, 1.0};
    struct mix_optimum *optima[2] = {NULL, NULL};
    struct mix_error err = {{0}};
    for (int i = 0; i < 2; i++) {
        options.weight = i == 0 ? even : code;
        options.upper = i == 0 ? cap : NULL;
        if (mix_optimum_run(NULL, toy->table, toy->fit, NULL, &options, &optima[i], &err) != MIX_OK)
            fail_msg("%s", err.text);
    }
    struct mix_trade_off t;
    const struct mix_optimum *const both[2] = {optima[0], optima[1]};
    assert_int_equal(mix_trade_off_compute(toy->fit, NULL, 2, both, &t, &err), MIX_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_near(t.objective[3 * i], optima[i]->objective.value, 1e-12);
        assert_true(t.allowed[3 * i] == 1 && isnan(t.not_worse[3 * i]));
    }
    const double *h = optima[1]->mixture;
    assert_near(t.objective[1], mean_loss(toy->fit, &options, even, h[0], h[1]), 1e-9);
    assert_true(t.objective[1] > t.objective[0] && t.objective[2] > t.objective[3]);
    assert_true(t.allowed[1] == 0 && t.allowed[2] == 1); /* above the cap of code */
    mix_trade_off_clear(&t);
    optima[0]->fit_key.lo++;
    assert_int_equal(mix_trade_off_compute(toy->fit, NULL, 2, both, &t, &err), MIX_EINVAL);
    for (int i = 0; i < 2; i++)
        mix_optimum_destroy(optima[i]);
}

static void test_chance_above_knows_of_a_normal_error(void **state)
{
    (void)state;
    double draws[5] = {3.0, 1.0, 2.0, NAN, NAN}, more[3] = {1.0, 2.0, 3.0};
    assert_near(mix_chance_above(0.0, 0.5, 0.0, 5, draws), 2.0 / 3.0, 1e-15); /* -0.5, 0.5, 1.5 */
    assert_near(mix_chance_above(0.0, 0.5, 1e-9, 3, more), 2.0 / 3.0, 1e-9);
    assert_near(mix_chance_above(0.0, 1.6448536269514722, 1.0, 0, more), 0.95, 1e-12);
    assert_near(mix_chance_above(1.0, 1.0, 0.3, 3, more), 0.5, 1e-12);
    assert_true(isnan(mix_chance_above(0.0, 0.5, NAN, 3, more)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOY_TEST(test_optimum_meets_brute_force),
        TOY_TEST(test_optimum_with_weights_and_bounds_meets_brute_force),
        TOY_TEST(test_optimum_without_draws_has_no_intervals),
        TOY_TEST(test_optimum_best_observed_is_least_at_largest_scale),
        TOY_TEST(test_optimum_warns_outside_what_was_seen),
        TOY_TEST(test_optimum_intervals_hold_the_draws),
        TOY_TEST(test_optimum_probability_agrees_with_its_interval),
        TOY_TEST(test_optimum_repeats_that_the_law_loses_to_a_floor),
        TOY_TEST(test_optimum_of_a_draw_is_its_own),
        TOY_TEST(test_optimum_tied_shares_end_where_draws_can_tell),
        TOY_TEST(test_optimum_bca_intervals),
        TOY_TEST(test_optimum_shares_know_of_other_laws),
        TOY_TEST(test_optimum_draws_that_agree_leave_no_tie),
        TOY_TEST(test_optimum_draws_that_know_nothing_tie_with_the_baseline),
        TOY_TEST(test_optimum_leaves_out_draws_without_an_answer),
        TOY_TEST(test_optimum_refuses_infeasible_constraints),
        TOY_TEST(test_optimum_refuses_other_wrong_input),
        TOY_TEST(test_optimum_cap_of_zero_takes_a_domain_out),
        TOY_TEST(test_optimum_is_the_same_from_any_seed),
        TOY_TEST(test_trade_off_is_what_the_law_says),
        cmocka_unit_test(test_chance_above_knows_of_a_normal_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

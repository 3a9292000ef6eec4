/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_deploy.c - an optimum that one can deploy: worst case, guards, distance, supply, prices,
 * lattice and scale path, against brute force and against solving again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gsl/gsl_sort.h>

#include "optimum/near.h"
#include "optimum/toy.h"

struct toy {
    struct mix_table *table;
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct mix_model *model;
    struct mix_optimum *optimum;
};

static const double prior[3] = {0.2, 0.6, 0.2};

static int set_up(void **state)
{
    struct toy *toy = calloc(1, sizeof *toy);
    toy->table = toy_table();
    toy->fit = toy_fit(toy->table);
    *state = toy;
    return mix_fit_model(toy->fit, &toy->model, NULL) == MIX_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct toy *toy = *state;
    mix_optimum_destroy(toy->optimum);
    mix_model_destroy(toy->model);
    mix_draws_destroy(toy->draws);
    mix_fit_destroy(toy->fit);
    mix_table_destroy(toy->table);
    free(toy);
    return 0;
}

static struct mix_optimum_options with_prior(void)
{
    struct mix_optimum_options options = toy_options();
    options.baseline = prior;
    options.baseline_name = "prior";
    return options;
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
                           const char *const *words)
{
    struct mix_error err = {{0}};
    struct mix_optimum *optimum = NULL;
    assert_int_equal(
        mix_optimum_run(NULL, toy->table, toy->fit, toy->draws, options, &optimum, &err),
        MIX_EINVAL);
    assert_null(optimum);
    for (; *words != NULL; words++)
        if (strstr(err.text, *words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, *words);
}
#define ASSERT_REFUSED(toy, options, ...)                                                          \
    assert_refused(toy, options, (const char *const[]){__VA_ARGS__, NULL})

static void losses(struct toy *toy, const struct mix_optimum_options *o, const double *h,
                   double *loss)
{
    const double size = o->n_params / 1e6, tokens = o->n_tokens / 1e9;
    assert_int_equal(
        mix_model_predict(toy->model, toy->fit->params, 1, h, &size, &tokens, loss, NULL), MIX_OK);
}

/* The objective by its definition; infinite where a constraint is broken. */
static double judge(struct toy *toy, const struct mix_optimum_options *o, const uint8_t *guard,
                    const double *h)
{
    double loss[3], base[3], mean = 0.0, worst = -INFINITY, tv = 0.0, kl = 0.0, weights = 0.0;
    losses(toy, o, h, loss);
    losses(toy, o, o->baseline, base);
    const bool relative = o->goal == MIX_GOAL_MEAN_GAIN || o->goal == MIX_GOAL_WORST_GAIN;
    for (size_t m = 0; m < 3; m++) {
        const double weight = o->weight != NULL ? o->weight[m] : 1.0;
        const double value = relative ? loss[m] / base[m] : loss[m];
        if (guard[m] && loss[m] > base[m] * (1 + 1e-6 + 1e-9))
            return INFINITY;
        mean += weight * value;
        weights += weight;
        if (weight > 0.0)
            worst = fmax(worst, value);
        tv += 0.5 * fabs(h[m] - o->baseline[m]);
        kl += h[m] > 0.0 ? h[m] * log(h[m] / o->baseline[m]) : 0.0;
    }
    if ((o->distance == MIX_DISTANCE_TV && tv > o->radius + 1e-9) ||
        (o->distance == MIX_DISTANCE_KL && kl > o->radius + 1e-9))
        return INFINITY;
    return o->goal == MIX_GOAL_WORST || o->goal == MIX_GOAL_WORST_GAIN ? worst : mean / weights;
}

/* Nested grids within the bounds; those of later rounds are finer and around the best. */
static double brute_force(struct toy *toy, const struct mix_optimum_options *o,
                          const uint8_t *guard, double best[3])
{
    double centre[2] = {0.5, 0.5}, width = 0.5, least = INFINITY;
    for (int zoom = 0; zoom < 30; zoom++, width *= 0.6) {
        const double from[2] = {centre[0], centre[1]};
        for (int i = -20; i <= 20; i++)
            for (int j = -20; j <= 20; j++) {
                const double h[3] = {from[0] + i * width / 20, from[1] + j * width / 20,
                                     1.0 - from[0] - from[1] - (i + j) * width / 20};
                bool inside = true;
                for (size_t k = 0; k < 3; k++)
                    inside = inside && h[k] >= (o->lower != NULL ? o->lower[k] : 1e-4) &&
                             h[k] <= (o->upper != NULL ? o->upper[k] : 1.0);
                const double value = inside ? judge(toy, o, guard, h) : INFINITY;
                if (value < least) {
                    least = value;
                    memcpy(best, h, 3 * sizeof *h);
                    memcpy(centre, h, sizeof centre);
                }
            }
    }
    return least;
}

/* The answer keeps the constraints, is as good as brute force, and is certified. */
static const struct mix_optimum *
assert_meets(struct toy *toy, const struct mix_optimum_options *options, const uint8_t *guard)
{
    double best[3];
    const struct mix_optimum *o = solve(toy, options);
    const double least = brute_force(toy, options, guard, best);
    const double value = judge(toy, options, guard, o->mixture);
    if (!(value <= least + 1e-7 * least))
        fail_msg("%.12g at %.6f %.6f %.6f is worse than %.12g at %.6f %.6f %.6f", value,
                 o->mixture[0], o->mixture[1], o->mixture[2], least, best[0], best[1], best[2]);
    assert_near(o->objective.value, value, 1e-12);
    assert_near(o->mixture[0] + o->mixture[1] + o->mixture[2], 1.0, 1e-15);
    if (!(o->kkt <= 1e-8))
        fail_msg("KKT residual %g", o->kkt);
    return o;
}

static const uint8_t none[3] = {0, 0, 0};

static void test_worst_case_meets_brute_force(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    options.goal = MIX_GOAL_WORST;
    const struct mix_optimum *o = assert_meets(toy, &options, none);
    assert_string_equal(o->question, "objective worst");
    options.goal = MIX_GOAL_WORST_GAIN;
    o = assert_meets(toy, &options, none);
    assert_true(o->objective.value <= 1.0 + 1e-9); /* no loss is above the baseline's */
    assert_near(o->gain[0].value, 1.0 - o->objective.value, 1e-12);
    const double weight[3] = {1, 0, 1}; /* a target without weight does not count */
    options.weight = weight;
    assert_meets(toy, &options, none);
    options.goal = MIX_GOAL_MEAN_GAIN;
    assert_meets(toy, &options, none);
}

/* The minimax of losses that pull apart is where the worst of them are equal. */
static void test_worst_gain_equalises(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    options.goal = MIX_GOAL_WORST_GAIN;
    const struct mix_optimum *o = solve(toy, &options);
    size_t n_equal = 0;
    for (size_t m = 0; m < 3; m++)
        n_equal += fabs(o->loss[m].value / o->baseline_loss[m] - o->objective.value) < 1e-8;
    assert_true(n_equal >= 2);
}

static void test_guards_meet_brute_force(void **state)
{
    struct toy *toy = *state;
    const uint8_t web[3] = {0, 1, 0}, all[3] = {1, 1, 1};
    struct mix_optimum_options options = with_prior();
    options.no_worse = "web";
    const struct mix_optimum *o = assert_meets(toy, &options, web);
    assert_near(o->loss[1].value, o->baseline_loss[1], 1e-5); /* the free optimum gives web up */
    assert_true(o->guard[1] && !o->guard[0]);
    assert_true(o->guard_price[1] > 0.0 && isnan(o->guard_price[0]));
    options.no_worse = "all";
    o = assert_meets(toy, &options, all);
    for (size_t m = 0; m < 3; m++)
        assert_true(o->loss[m].value <= o->baseline_loss[m] * (1 + 1.02e-6));
    options.no_worse = "web,code";
    options.goal = MIX_GOAL_WORST;
    const uint8_t two[3] = {1, 1, 0};
    assert_meets(toy, &options, two);
}

static void test_distance_meets_brute_force(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    const double radii[] = {0.02, 0.1, 0.2, 0.9};
    for (size_t i = 0; i < 4; i++) {
        options.distance = MIX_DISTANCE_TV;
        options.radius = radii[i];
        const struct mix_optimum *o = assert_meets(toy, &options, none);
        double tv = 0.0;
        for (size_t k = 0; k < 3; k++)
            tv += 0.5 * fabs(o->mixture[k] - prior[k]);
        assert_true(tv <= radii[i] + 1e-8);
        assert_int_equal(o->near_price > 0.0, i < 3);
        options.distance = MIX_DISTANCE_KL;
        options.radius = 0.3 * radii[i];
        assert_meets(toy, &options, none);
    }
    const uint8_t web[3] = {0, 1, 0};
    const double upper[3] = {1, 1, 0.3};
    options.upper = upper;
    options.no_worse = "web";
    options.distance = MIX_DISTANCE_TV;
    options.radius = 0.2;
    options.goal = MIX_GOAL_WORST_GAIN;
    assert_meets(toy, &options, web);
}

static double objective_of(struct toy *toy, const struct mix_optimum_options *options)
{
    return solve(toy, options)->objective.value;
}

static void test_supply_price_is_the_slope_of_the_optimum(void **state)
{
    struct toy *toy = *state;
    double supply[3] = {NAN, NAN, 1e9};
    struct mix_optimum_options options = with_prior();
    options.supply = supply;
    options.max_epochs = 2.0;
    const struct mix_optimum *o = solve(toy, &options); /* 2e9 of 10e9 tokens */
    assert_near(o->mixture[2], 0.2, 1e-12);
    assert_int_equal(o->binding[2], MIX_ON_SUPPLY);
    assert_near(o->limit[2], 0.2, 1e-15);
    const double price = o->price[2] * options.max_epochs / options.n_tokens; /* per token */
    supply[2] = 1.001e9;
    const double more = objective_of(toy, &options);
    supply[2] = 0.999e9;
    const double less = objective_of(toy, &options);
    assert_near((less - more) / 2e6 / price, 1.0, 1e-4);

    supply[2] = 1e5; /* less than a floor of 1e-4, which gives way */
    o = solve(toy, &options);
    assert_near(o->mixture[2], 2e-5, 1e-15);
    assert_int_equal(o->binding[2], MIX_ON_SUPPLY);
    assert_true(o->price[2] > 0.0);

    /* what the table knows counts where no supply is given, and is no constraint without epochs */
    toy->table->domains[2].supply_tokens = 1e9;
    options.supply = NULL;
    assert_int_equal(solve(toy, &options)->binding[2], MIX_ON_SUPPLY);
    options.max_epochs = 0.0;
    assert_int_equal(solve(toy, &options)->binding[2], MIX_INTERIOR);
}

static void test_prices_of_caps_and_floors_are_slopes(void **state)
{
    struct toy *toy = *state;
    double lower[3] = {0.0001, 0.4, 0.0001}, upper[3] = {0.25, 1, 1};
    struct mix_optimum_options options = with_prior();
    options.lower = lower;
    options.upper = upper;
    for (int corner = 0; corner < 2; corner++) {
        upper[2] = corner ? 0.35 : 1.0; /* then nothing is free: cap, floor and cap */
        const struct mix_optimum *o = solve(toy, &options);
        const double of_cap = o->price[0], of_floor = o->price[1];
        assert_int_equal(o->binding[0], MIX_ON_CAP);
        assert_int_equal(o->binding[1], MIX_ON_FLOOR);
        assert_near(o->mixture[2], 0.35, 1e-12);
        const double here = o->objective.value;
        /* in the corner the two caps leave the floor's share nowhere to go */
        assert_true(corner ? of_floor == 0.0 : of_floor > 0.1);
        upper[0] = 0.2501;
        assert_near((here - objective_of(toy, &options)) / 1e-4, of_cap, 1e-3);
        upper[0] = 0.25;
        lower[1] = 0.3999;
        assert_near((here - objective_of(toy, &options)) / 1e-4, of_floor, 1e-3);
        lower[1] = 0.4;
    }
}

static void test_prices_of_guard_and_distance_are_slopes(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    options.distance = MIX_DISTANCE_TV;
    for (int kl = 0; kl < 2; kl++) {
        options.distance = kl ? MIX_DISTANCE_KL : MIX_DISTANCE_TV;
        options.radius = 0.1;
        const double price = solve(toy, &options)->near_price;
        options.radius = 0.1001;
        const double more = objective_of(toy, &options);
        options.radius = 0.0999;
        assert_near((objective_of(toy, &options) - more) / 2e-4 / price, 1.0, 1e-4);
    }
    /* a guard is loosened by another baseline that is a little worse on web alone is not to be had:
     * the Lagrangian is stationary with the price */
    options.distance = MIX_DISTANCE_NONE;
    options.no_worse = "web";
    const struct mix_optimum *o = solve(toy, &options);
    double loss[3], base[3];
    for (size_t a = 0; a < 3; a++) {
        double slope = 0.0;
        for (int side = -1; side <= 1; side += 2) {
            double h[3];
            memcpy(h, o->mixture, sizeof h);
            h[a] += side * 1e-6;
            h[(a + 1) % 3] -= side * 1e-6;
            losses(toy, &options, h, loss);
            losses(toy, &options, prior, base);
            slope += side * ((loss[0] + loss[1] + loss[2]) / 3.0 + o->guard_price[1] * loss[1]);
        }
        assert_near(slope / 2e-6, 0.0, 1e-6);
    }
}

static void test_lattice_keeps_caps_and_guards(void **state)
{
    struct toy *toy = *state;
    const size_t lattices[] = {8, 100, 2048, 1000000};
    const double upper[3] = {0.3, 1, 0.377};
    struct mix_optimum_options options = with_prior();
    options.upper = upper;
    options.no_worse = "web";
    for (size_t i = 0; i < 4; i++) {
        const double q = (double)(options.lattice = lattices[i]);
        const struct mix_optimum *o = solve(toy, &options);
        double sum = 0.0, loss[3];
        for (size_t k = 0; k < 3; k++) {
            const double count = o->lattice_mixture[k] * q;
            assert_near(count, nearbyint(count), 1e-9);
            assert_true(o->lattice_mixture[k] <= upper[k] + 1e-15);
            assert_true(fabs(o->lattice_mixture[k] - o->mixture[k]) <= 3.0 / q);
            sum += nearbyint(count);
        }
        assert_true(sum == q);
        losses(toy, &options, o->lattice_mixture, loss);
        assert_true(loss[1] <= o->baseline_loss[1] * (1 + 1.02e-6));
        assert_near(o->lattice_value, (loss[0] + loss[1] + loss[2]) / 3.0, 1e-12);
        assert_true(o->lattice_value >= o->objective.value - 1e-9);
    }
    options.no_worse = NULL;
    options.lattice = 2; /* nothing below the cap 0.3 but 0 */
    ASSERT_REFUSED(toy, &options, "the lattice 1/2 is too coarse");
}

static void test_lattice_rounds_by_largest_remainder(void **state)
{
    (void)state;
    const double h[4] = {0.47, 0.33, 0.12, 0.08}, lower[4] = {0}, upper[4] = {1, 1, 1, 1};
    size_t n[4];
    assert_true(mix_lattice_round(4, 10, h, lower, upper, n)); /* 4.7 3.3 1.2 0.8 */
    assert_true(n[0] == 5 && n[1] == 3 && n[2] == 1 && n[3] == 1);
    const double caps[4] = {0.45, 1, 1, 1}, floors[4] = {0, 0, 0.15, 0};
    assert_true(mix_lattice_round(4, 10, h, floors, caps, n)); /* at most 4, at least 2 */
    assert_true(n[0] == 4 && n[1] == 3 && n[2] == 2 && n[3] == 1);
    const double tight[4] = {0.25, 0.25, 0.25, 0.3};
    assert_false(mix_lattice_round(4, 10, h, lower, tight, n));
    gsl_rng *rng = mix_rng_create(mix_key_make(3, "lattice", NULL, 0));
    for (int round = 0; round < 500; round++) {
        double x[6], low[6], high[6], ones[6] = {1, 1, 1, 1, 1, 1};
        size_t counts[6], q = 1 + gsl_rng_uniform_int(rng, 3000), sum = 0;
        gsl_ran_dirichlet(rng, 6, ones, x);
        for (size_t k = 0; k < 6; k++) {
            low[k] = x[k] * gsl_rng_uniform(rng) * gsl_rng_uniform(rng);
            high[k] = fmin(1.0, x[k] * (1.0 + gsl_rng_uniform(rng)));
        }
        if (!mix_lattice_round(6, q, x, low, high, counts))
            continue;
        for (size_t k = 0; k < 6; k++) {
            sum += counts[k];
            assert_true((double)counts[k] <= high[k] * (double)q + 1e-9);
            assert_true((double)counts[k] >= low[k] * (double)q - 1e-9);
        }
        assert_int_equal(sum, q);
    }
    gsl_rng_free(rng);
}

static void test_path_ends_at_the_target_and_every_point_is_an_optimum(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    double supply[3] = {NAN, NAN, 1e9};
    options.supply = supply;
    options.max_epochs = 2.0;
    options.path = true;
    const struct mix_optimum *path = solve(toy, &options);
    toy->optimum = NULL;
    assert_int_equal(path->n_path, MIX_PATH_STEPS * MIX_PATH_STEPS);
    assert_near(path->path_n_params[0], 40e6, 1.0); /* the largest fitted */
    assert_near(path->path_n_tokens[0], 2e9, 10.0);
    options.path = false;
    for (size_t i = 0; i < path->n_path; i++) {
        options.n_params = path->path_n_params[i];
        options.n_tokens = path->path_n_tokens[i];
        const struct mix_optimum *o = solve(toy, &options);
        assert_near(path->path_value[i], o->objective.value, 1e-8);
        for (size_t k = 0; k < 3; k++)
            assert_near(path->path_mixture[3 * i + k], o->mixture[k], 1e-5);
        assert_true(path->path_mixture[3 * i + 2] <= 2e9 / options.n_tokens + 1e-12);
    }
    assert_near(options.n_params, 400e6, 1e-3);
    assert_near(options.n_tokens, 10e9, 1e-3);
    mix_optimum_destroy((struct mix_optimum *)path);
}

static void test_draws_keep_the_constraints(void **state)
{
    struct toy *toy = *state;
    toy->draws = toy_draws(toy->fit, 60, 0.05);
    struct mix_optimum_options options = with_prior();
    options.no_worse = "web";
    options.distance = MIX_DISTANCE_TV;
    options.radius = 0.25;
    const struct mix_optimum *o = solve(toy, &options);
    const double size = options.n_params / 1e6, tokens = options.n_tokens / 1e9;
    for (size_t b = 0; b < 60; b++) {
        const double *h = o->draw_mixture + 3 * b,
                     *params = toy->draws->params + b * toy->fit->n_params;
        double loss[3], base[3], tv = 0.0;
        assert_true(isfinite(h[0]));
        assert_int_equal(mix_model_predict(toy->model, params, 1, h, &size, &tokens, loss, NULL),
                         0);
        assert_int_equal(
            mix_model_predict(toy->model, params, 1, prior, &size, &tokens, base, NULL), 0);
        for (size_t k = 0; k < 3; k++)
            tv += 0.5 * fabs(h[k] - prior[k]);
        assert_true(loss[1] <= base[1] * (1 + 1.1e-6));
        assert_true(tv <= 0.25 + 1e-7);
    }
    double tv = 0.0;
    for (size_t k = 0; k < 3; k++)
        tv += 0.5 * fabs(o->tied[k] - prior[k]);
    assert_true(tv <= 0.25 + 1e-7);
}

/* By its definition: what the draws claim for their own optima less what the fit grants them; 5% of
 * the draws at either end do not count. */
static void test_gain_is_corrected_for_the_winners_curse(void **state)
{
    struct toy *toy = *state;
    toy->draws = toy_draws(toy->fit, 80, 0.1);
    const struct mix_optimum_options options = with_prior();
    const struct mix_optimum *o = solve(toy, &options);
    const double size = options.n_params / 1e6, tokens = options.n_tokens / 1e9;
    double base[3], excess[80] = {0}, sum = 0.0;
    losses(toy, &options, prior, base);
    for (size_t b = 0; b < 80; b++) {
        const double *h = o->draw_mixture + 3 * b,
                     *params = toy->draws->params + b * toy->fit->n_params;
        double there[3], own[3], here[3];
        mix_model_predict(toy->model, params, 1, prior, &size, &tokens, there, NULL);
        mix_model_predict(toy->model, params, 1, h, &size, &tokens, own, NULL);
        losses(toy, &options, h, here);
        for (size_t m = 0; m < 3; m++)
            excess[b] += (there[m] - own[m] - base[m] + here[m]) / 3.0;
    }
    gsl_sort(excess, 1, 80);
    for (size_t b = 4; b < 76; b++)
        sum += excess[b] / 72.0;
    assert_near(o->gain_bias, sum, 1e-12);
    assert_true(o->gain_bias > 0.0);
}

static void test_conflicts_are_named(void **state)
{
    struct toy *toy = *state;
    double upper[3] = {1, 1, 1}, lower[3] = {0.1, 0.1, 0.1}, supply[3] = {1e9, 1e9, 1e9};
    struct mix_optimum_options options = with_prior();
    options.upper = upper;
    options.lower = lower;
    options.supply = supply;
    options.max_epochs = 4.0;
    options.n_tokens = 100e9;
    ASSERT_REFUSED(toy, &options,
                   "the floor 0.1 exceeds the supply of code (0.04: 1e+09 tokens, 4 "
                   "epochs, of 1e+11)",
                   "allow more epochs");
    options.lower = NULL;
    ASSERT_REFUSED(toy, &options, "the supplies of the 3 domains allow 1.2e+10 tokens in 4 epochs",
                   "trained on 1e+11.\n  Allow --max-epochs 33.4 or more");
    upper[0] = 0.03;
    ASSERT_REFUSED(toy, &options, "the caps and supplies of the 3 domains allow 1.1e+10 tokens",
                   "Allow --max-epochs 48.5 or more"); /* 3e9 tokens by the cap, 97e9 / 2e9 */
    upper[1] = upper[2] = 0.4;
    ASSERT_REFUSED(toy, &options, "Raise caps", "no number of epochs suffices");
    upper[1] = upper[2] = 1.0;
    options = with_prior();
    options.upper = upper;
    upper[0] = 1.0;
    upper[1] = 0.3;
    options.distance = MIX_DISTANCE_TV;
    options.radius = 0.2;
    ASSERT_REFUSED(toy, &options, "with the cap of web (0.3), where the baseline has 0.6",
                   "tv=0.3, and --near asks for 0.2");
    options.distance = MIX_DISTANCE_KL;
    options.radius = 0.01;
    ASSERT_REFUSED(toy, &options, "with the cap of web (0.3)", "than kl=0.18");
    options.distance = MIX_DISTANCE_NONE;
    options.no_worse = "wiki,web";
    ASSERT_REFUSED(toy, &options, "with at most 0.3 of web the loss of web is at best ",
                   "leave web out of --no-worse");
    options.no_worse = "web,wikis";
    ASSERT_REFUSED(toy, &options, "has no target \"wikis\"", "say all, or names");
    options = with_prior();
    lower[0] = 0.38; /* web and wiki each can have what the baseline gives, not both */
    lower[1] = lower[2] = 0.0;
    options.lower = lower;
    options.no_worse = "all";
    ASSERT_REFUSED(toy, &options, "with at least 0.38 of code the losses of ",
                   "cannot both be as low");
    options.no_worse = NULL;
    options.lattice = 1;
    ASSERT_REFUSED(toy, &options, "the lattice 1/1 is not one of");
}

static void test_mixed_units_want_a_relative_objective(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    snprintf(toy->table->targets[1].unit, MIX_UNIT_MAX, "bits/byte");
    ASSERT_REFUSED(toy, &options, "code (nats/token) and web (bits/byte) have different units",
                   "mean-gain");
    options.goal = MIX_GOAL_MEAN_GAIN;
    assert_meets(toy, &options, none);
    options.goal = MIX_GOAL_MEAN;
    const double weight[3] = {1, 0, 1};
    options.weight = weight;
    solve(toy, &options);
}

static void test_support_is_a_limit(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    toy->fit->seen_max[2] = 0.1;
    assert_non_null(strstr(solve(toy, &options)->warnings, "wiki (4.17)"));
    options.within_support = true;
    const struct mix_optimum *o = solve(toy, &options);
    assert_near(o->mixture[2], 0.1, 1e-12);
    assert_int_equal(o->binding[2], MIX_ON_SUPPORT);
    toy->fit->seen_max[0] = toy->fit->seen_max[1] = 0.4;
    ASSERT_REFUSED(toy, &options, "the largest observed shares of the 3 domains sum to 0.9");
}

static void test_same_question(void **state)
{
    struct toy *toy = *state;
    struct mix_optimum_options options = with_prior();
    double supply[3] = {NAN, NAN, 1e9};
    options.supply = supply;
    options.max_epochs = 4.0;
    options.no_worse = "web";
    const struct mix_optimum *o = solve(toy, &options);
    assert_true(mix_optimum_same_question(o, toy->table, toy->fit, &options));
    supply[2] = 2e9;
    assert_false(mix_optimum_same_question(o, toy->table, toy->fit, &options));
    supply[2] = 1e9;
    options.no_worse = "web,code";
    assert_false(mix_optimum_same_question(o, toy->table, toy->fit, &options));
    options.no_worse = "web";
    options.baseline = NULL;
    assert_false(mix_optimum_same_question(o, toy->table, toy->fit, &options));
}

static void test_near_is_parsed(void **state)
{
    (void)state;
    enum mix_distance distance = MIX_DISTANCE_NONE;
    double radius = 0.0;
    assert_true(mix_near_parse("baseline:tv=0.2", &distance, &radius));
    assert_int_equal(distance, MIX_DISTANCE_TV);
    assert_near(radius, 0.2, 0.0);
    assert_true(mix_near_parse("kl=1e-2", &distance, &radius));
    assert_int_equal(distance, MIX_DISTANCE_KL);
    const char *const bad[] = {"",      "tv",   "tv=",    "tv=0",       "tv=-1", "tv=inf",
                               "tv=1x", "l2=1", "kl=nan", "prior:tv=1", "tv= 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mix_near_parse(bad[i], &distance, &radius))
            fail_msg("\"%s\" passes", bad[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_worst_case_meets_brute_force),
        TEST(test_worst_gain_equalises),
        TEST(test_guards_meet_brute_force),
        TEST(test_distance_meets_brute_force),
        TEST(test_supply_price_is_the_slope_of_the_optimum),
        TEST(test_prices_of_caps_and_floors_are_slopes),
        TEST(test_prices_of_guard_and_distance_are_slopes),
        TEST(test_lattice_keeps_caps_and_guards),
        TEST(test_lattice_rounds_by_largest_remainder),
        TEST(test_path_ends_at_the_target_and_every_point_is_an_optimum),
        TEST(test_draws_keep_the_constraints),
        TEST(test_gain_is_corrected_for_the_winners_curse),
        TEST(test_conflicts_are_named),
        TEST(test_mixed_units_want_a_relative_objective),
        TEST(test_support_is_a_limit),
        TEST(test_same_question),
        TEST(test_near_is_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

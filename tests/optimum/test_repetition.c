/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A scarce good domain, seen again and again at the target: which proxies find its share, what the
 * law with repetition says, and what more of the domain would be worth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "optimum/near.h"
#include "optimum/next_impl.h"
#include "optimum/scarce.h"

/* Under a sanitizer fewer worlds and starts do. */
#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 1, FEW = 2 };
#else
enum { SEEDS = 4, FEW = 8 };
#endif
enum { STARTS = 24, STARTS_OFF = 4 }; /* what is far off is so from any start */

static struct mix_fit *fit_of(const struct scarce *s, const char *law, size_t n_starts)
{
    struct mix_fit *fit = NULL;
    struct mix_error err = {{0}};
    struct mix_fit_options options = mix_fit_options_default();
    options.law = law;
    options.holdout = "none";
    options.n_starts = n_starts;
    scarce_must(mix_fit_run(NULL, s->table, &options, NULL, NULL, &fit, &err), &err);
    return fit;
}

static struct mix_optimum_options target(void)
{
    return (struct mix_optimum_options){.n_params = SCARCE_N * 1e6,
                                        .n_tokens = SCARCE_D * 1e9,
                                        .level = 0.9,
                                        .seed = 1,
                                        .n_starts = 8};
}

static struct mix_optimum *optimum_of(const struct scarce *s, const struct mix_fit *fit,
                                      const struct mix_optimum_options *options)
{
    struct mix_optimum *optimum = NULL;
    struct mix_error err = {{0}};
    scarce_must(mix_optimum_run(NULL, s->table, fit, NULL, options, &optimum, &err), &err);
    return optimum;
}

static double largest_difference(const double *a, const double *b)
{
    double largest = 0.0;
    for (size_t j = 0; j < SCARCE_DOMAINS; j++)
        largest = fmax(largest, fabs(a[j] - b[j]));
    return largest;
}

/* How far the optimum of a law on such runs is from the true one, in the share that is worst. */
static double miss(bool matched, const char *law, uint64_t seed, const double *best, double *r1)
{
    struct scarce s = scarce_create(matched, 0.002, seed);
    struct mix_fit *fit = fit_of(&s, law, matched ? STARTS : STARTS_OFF);
    const struct mix_optimum_options options = target();
    struct mix_optimum *optimum = optimum_of(&s, fit, &options);
    const double off = largest_difference(optimum->mixture, best);
    print_message("seed %d, %-9s %-20s good %.3f (best %.3f), off %.3f\n", (int)seed,
                  matched ? "matched" : "as it is", law, optimum->mixture[0], best[0], off);
    if (r1 != NULL)
        *r1 = optimum->r1;
    mix_optimum_destroy(optimum);
    mix_fit_destroy(fit);
    scarce_destroy(&s);
    return off;
}

/* Without matched passes a law that knows nothing of repeats puts the good domain first; with them
 * it finds the optimum, and the law with repetition finds out what repeats are worth. */
static void test_matched_passes_find_the_optimum(void **state)
{
    (void)state;
    double best[SCARCE_DOMAINS] = {0}, endless[SCARCE_DOMAINS] = {0}, r1;
    struct scarce s = scarce_create(true, 0.0, 1);
    scarce_best(&s, SCARCE_SUPPLY, best);
    scarce_best(&s, NAN, endless);
    assert_true(endless[0] - best[0] > 0.4);
    scarce_destroy(&s);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        assert_true(miss(false, "transfer", seed, best, NULL) >= 0.3);
        assert_true(miss(true, "transfer", seed, best, NULL) <= 0.05);
        assert_true(miss(true, "transfer+repetition", seed, best, &r1) <= 0.05);
        assert_true(fabs(log(r1 / SCARCE_R1)) < 0.25);
    }
}

/* Losses without noise: the fit finds r1 again, but for the weak pull to the published value. */
static void test_r1_is_recovered(void **state)
{
    (void)state;
    struct scarce s = scarce_create(true, 0.0, 5);
    struct mix_fit *fit = fit_of(&s, "transfer+repetition", FEW);
    const size_t last = fit->n_params - 1;
    assert_string_equal(fit->param_names[last], "r1");
    assert_int_equal(fit->param_state[last], 0);
    assert_true(fabs(fit->params[last] / SCARCE_R1 - 1.0) < 0.02);
    assert_true(fit->objective < 1e-6);
    assert_null(strstr(fit->warnings, "r1"));
    mix_fit_destroy(fit);
    scarce_destroy(&s);
}

/* Where nothing repeats, r1 is the published one, and all say so. */
static void test_r1_is_held_where_nothing_repeats(void **state)
{
    (void)state;
    struct scarce s = scarce_create(false, 0.002, 1);
    struct mix_fit *plain = fit_of(&s, "transfer", 3 * FEW), /* both are to find the best */
        *fit = fit_of(&s, "transfer+repetition", 3 * FEW);
    const size_t last = fit->n_params - 1;
    assert_int_equal(fit->n_params, plain->n_params + 1);
    assert_true(fabs(fit->params[last] - 15.4) < 0.01);
    assert_int_equal(fit->param_state[last], 2);
    assert_non_null(strstr(fit->warnings, "no selected run sees a domain more than once"));
    assert_true(fabs(fit->train.mse / plain->train.mse - 1.0) < 1e-3);
    const struct mix_optimum_options options = target();
    struct mix_optimum *optimum = optimum_of(&s, fit, &options);
    assert_non_null(strstr(optimum->warnings, "what that is worth (r1 = 15.4) is not known"));
    mix_optimum_destroy(optimum);
    mix_fit_destroy(plain);
    mix_fit_destroy(fit);
    scarce_destroy(&s);
}

/* Repeats taken for new promise more and hold less. */
static void test_optimum_beside_the_one_blind_to_repeats(void **state)
{
    (void)state;
    struct scarce s = scarce_create(true, 0.002, 1);
    struct mix_fit *fit = fit_of(&s, "transfer+repetition", FEW);
    struct mix_optimum_options options = target();
    struct mix_optimum *o = optimum_of(&s, fit, &options);
    assert_true(o->r1 == fit->params[fit->n_params - 1]);
    assert_true(o->supply[0] == SCARCE_SUPPLY * 1e9 && isnan(o->supply[1]));
    assert_true(o->fresh_mixture[0] > o->mixture[0] + 0.3);
    assert_true(o->fresh_expected < o->objective.value);
    assert_true(o->fresh_value > o->objective.value + 0.005);
    assert_null(strstr(o->warnings, "would be seen"));
    assert_true(mix_optimum_same_question(o, s.table, fit, &options));
    const double more[SCARCE_DOMAINS] = {2.0 * SCARCE_SUPPLY * 1e9, NAN, NAN};
    options.supply = more; /* another supply is another question, and another answer */
    assert_false(mix_optimum_same_question(o, s.table, fit, &options));
    struct mix_optimum *richer = optimum_of(&s, fit, &options);
    assert_true(richer->mixture[0] > o->mixture[0] + 0.05);
    assert_true(richer->objective.value < o->objective.value);
    mix_optimum_destroy(richer);
    mix_optimum_destroy(o);
    mix_fit_destroy(fit);
    scarce_destroy(&s);
}

/* The price of supply against the optima with a little more and a little less of it. */
static void check_price(const struct scarce *s, const struct mix_fit *fit,
                        struct mix_optimum_options options, const char *what)
{
    static const double STEP = 1e-3;
    double supply[SCARCE_DOMAINS] = {SCARCE_SUPPLY * 1e9, NAN, NAN}, value[3], price = NAN;
    options.supply = supply;
    for (int i = -1; i <= 1; i++) {
        supply[0] = SCARCE_SUPPLY * 1e9 * (1.0 + i * STEP);
        struct mix_optimum *o = optimum_of(s, fit, &options);
        value[i + 1] = o->objective.value;
        if (i == 0)
            price = o->supply_price[0];
        assert_true(isnan(o->supply_price[1]));
        mix_optimum_destroy(o);
    }
    const double difference = (value[0] - value[2]) / (2.0 * STEP * SCARCE_SUPPLY);
    print_message("%-28s price %.6g, by differences %.6g\n", what, price, difference);
    assert_true(price != 0.0 && fabs(price / difference - 1.0) < 1e-3);
}

static void test_price_of_supply(void **state)
{
    (void)state;
    struct scarce s = scarce_create(true, 0.002, 1);
    struct mix_fit *fit = fit_of(&s, "transfer+repetition", FEW),
                   *plain = fit_of(&s, "transfer", FEW);
    const double baseline[SCARCE_DOMAINS] = {0.25, 0.6, 0.15};
    struct mix_optimum_options options = target();
    check_price(&s, fit, options, "worth less");
    options.max_epochs = 3.0;
    check_price(&s, fit, options, "worth less, and 3 passes");
    check_price(&s, plain, options, "3 passes");
    options.max_epochs = 0.0;
    options.goal = MIX_GOAL_WORST;
    check_price(&s, fit, options, "worst");
    options.baseline = baseline;
    options.goal = MIX_GOAL_MEAN_GAIN;
    check_price(&s, fit, options, "mean gain");
    options.goal = MIX_GOAL_MEAN;
    options.no_worse = "web";
    check_price(&s, fit, options, "web no worse");
    mix_fit_destroy(fit);
    mix_fit_destroy(plain);
    scarce_destroy(&s);
}

/* A small run that `next` proposes sees the part of the supply that its job says. */
static void test_next_knows_what_a_candidate_sees(void **state)
{
    (void)state;
    enum { DRAWS = MIX_NEXT_DRAWS_MIN };
    struct scarce s = scarce_create(true, 0.002, 1);
    struct mix_fit *fit = fit_of(&s, "transfer+repetition", 1);
    struct mix_draws *draws = mix_draws_create(DRAWS, fit->n_params);
    struct mix_optimum *optimum = NULL;
    struct mix_optimum_options question = target();
    struct mix_next_options options = mix_next_defaults();
    const struct mix_next_scale scale = {40e6, 1.6e9, 0};
    question.supply = (const double[]){2 * SCARCE_SUPPLY * 1e9, NAN, NAN}; /* of the target only */
    question.weight = (const double[]){0, 1, 1};
    fit->train_by_target[0].mse = 1e4; /* nothing to the mean */
    draws->fit_key = mix_fit_key(fit);
    for (size_t b = 0; b < DRAWS; b++) { /* but for E all alike, and one wild */
        draws->done[b] = 1;
        draws->objective[b] = fit->objective;
        for (size_t p = 0; p < fit->n_params; p++)
            draws->params[b * fit->n_params + p] =
                fit->params[p] * (fit->param_names[p][0] != 'E' ? 1
                                  : b + 1 < DRAWS               ? 1 + 0.001 * (double)b
                                                                : 50);
    }
    question.n_starts = 1;
    assert_int_equal(mix_optimum_run(NULL, s.table, fit, draws, &question, &optimum, NULL), MIX_OK);
    options.scales = &scale;
    options.n_scales = 1;
    options.n_mixtures = 4;
    options.flops = 1e19;
    options.match_tokens = SCARCE_D * 1e9;
    struct mix_proposing p = {.fit = fit, .draws = draws, .options = &options};
    assert_int_equal(mix_proposing_open(&p, s.table, optimum, NULL), MIX_OK);
    const double part = 1.6 / SCARCE_D, n = 40, d = 1.6;
    const double supply[SCARCE_DOMAINS] = {SCARCE_SUPPLY * part, NAN, NAN};
    size_t n_repeat = 0;
    mix_model_set_supply(s.model, supply);
    for (size_t c = 0; c < p.ask.n_candidates; c++) {
        double loss[SCARCE_DOMAINS];
        const double *h = p.mixture + p.of_mixture[c] * SCARCE_DOMAINS;
        n_repeat += h[0] * d > supply[0];
        assert_int_equal(mix_model_predict(s.model, fit->params, 1, h, &n, &d, loss, NULL), MIX_OK);
        for (size_t m = 0; m < SCARCE_DOMAINS; m++)
            assert_true(fabs(p.records[1 + c * SCARCE_DOMAINS + m] - loss[m]) < 1e-9);
    }
    assert_true(n_repeat > 0);
    assert_near(p.row_unique[p.ask.n_candidates * SCARCE_DOMAINS], 2 * SCARCE_SUPPLY, 1e-9);
    const double *goal = p.records + 1 + p.ask.n_candidates * SCARCE_DOMAINS;
    assert_near(goal[(DRAWS - 1) * p.width], goal[0], 1); /* the wild one is brought in */
    mix_proposing_close(&p);
    mix_optimum_destroy(optimum);
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
    scarce_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matched_passes_find_the_optimum),
        cmocka_unit_test(test_r1_is_recovered),
        cmocka_unit_test(test_r1_is_held_where_nothing_repeats),
        cmocka_unit_test(test_optimum_beside_the_one_blind_to_repeats),
        cmocka_unit_test(test_price_of_supply),
        cmocka_unit_test(test_next_knows_what_a_candidate_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

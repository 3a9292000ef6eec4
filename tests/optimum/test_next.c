/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The belief behind `next`, against what is known of normal distributions, and its doubts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_randist.h>

#include "mixsweep/random.h"
#include "optimum/belief.h"

enum { DRAWS = 20000, TARGETS = 2, CANDIDATES = 2, DECISIONS = 40 };
static const double SPREAD = 0.5; /* of the optimum x */
static const double NOISE[TARGETS] = {0.25, 0.4};

/* A mixture h loses (h - x)^2 / 2, x ~ N(0, SPREAD). Decision 0 is h = 0, the others are the optima
 * of the first draws. Candidate 0 shows x at its first target and nothing at its second; candidate
 * 1 shows what has nothing to do with it. */
struct world {
    double *loss, *goal;
    struct mix_belief *belief;
};

static struct world make_world(size_t n_draws)
{
    struct world w = {.loss = calloc(n_draws * CANDIDATES * TARGETS, sizeof *w.loss),
                      .goal = calloc(n_draws * DECISIONS, sizeof *w.goal)};
    double *x = calloc(n_draws, sizeof *x);
    gsl_rng *rng = mix_rng_create(mix_key_make(5, "test", NULL, 0));
    for (size_t d = 0; d < n_draws; d++) {
        x[d] = gsl_ran_gaussian_ziggurat(rng, SPREAD);
        w.loss[d * 4] = 3 + x[d];
        w.loss[d * 4 + 1] = 1 + gsl_ran_gaussian_ziggurat(rng, 0.3);
        w.loss[d * 4 + 2] = 2 + gsl_ran_gaussian_ziggurat(rng, 0.3);
        w.loss[d * 4 + 3] = 2 + gsl_ran_gaussian_ziggurat(rng, 0.3);
    }
    for (size_t d = 0; d < n_draws; d++)
        for (size_t c = 0; c < DECISIONS; c++)
            w.goal[d * DECISIONS + c] = gsl_pow_2((c > 0 ? x[c] : 0) - x[d]) / 2;
    gsl_rng_free(rng);
    free(x);
    assert_int_equal(mix_belief_create(n_draws, CANDIDATES, TARGETS, DECISIONS, w.loss, w.goal,
                                       NOISE, 1, &w.belief, NULL),
                     MIX_OK);
    return w;
}

static void destroy_world(struct world *w)
{
    mix_belief_destroy(w->belief);
    free(w->loss);
    free(w->goal);
}

static double regret_now(const struct world *w, size_t n_draws)
{
    double *regret = calloc(n_draws, sizeof *regret), sum = 0;
    mix_belief_regret(w->belief, regret);
    for (size_t d = 0; d < n_draws; d++)
        sum += regret[d] / (double)n_draws;
    free(regret);
    return sum;
}

/* Who decides by the mean of a normal belief loses half of its variance. */
static void test_prospects_are_those_of_normal_distributions(void **state)
{
    (void)state;
    struct world w = make_world(DRAWS);
    struct mix_prospect tells, does_not;
    const double before = regret_now(&w, DRAWS);
    assert_true(fabs(before / (SPREAD * SPREAD / 2) - 1) < 0.05);
    assert_int_equal(mix_belief_prospect(w.belief, 0, 1, &tells, NULL), MIX_OK);
    assert_int_equal(mix_belief_prospect(w.belief, 1, 1, &does_not, NULL), MIX_OK);
    const double v = SPREAD * SPREAD, r = NOISE[0] * NOISE[0], shown = v * v / (v + r);
    assert_true(fabs(tells.regret / (shown / 2) - 1) < 0.05);
    const double nats = 0.5 * (log(1 + v / r) + log(1 + 0.09 / (NOISE[1] * NOISE[1])));
    assert_true(fabs(tells.information / nats - 1) < 0.02);
    assert_true(does_not.variance < 1e-3 * tells.variance);
    assert_true(does_not.regret < 1e-3 * before);
    destroy_world(&w);
}

/* Two measurements of one candidate are one with half the noise, and the prospect said so before.
 */
static void test_a_second_seed_halves_the_noise(void **state)
{
    (void)state;
    struct world w = make_world(DRAWS);
    struct mix_prospect second, both;
    const double v = SPREAD * SPREAD, r = NOISE[0] * NOISE[0], before = regret_now(&w, DRAWS);
    assert_int_equal(mix_belief_prospect(w.belief, 0, 2, &both, NULL), MIX_OK);
    assert_int_equal(mix_belief_measure(w.belief, 0, 1, NULL), MIX_OK);
    const double once = regret_now(&w, DRAWS);
    assert_true(fabs(once / before / (r / (v + r)) - 1) < 0.01);
    assert_int_equal(mix_belief_prospect(w.belief, 0, 1, &second, NULL), MIX_OK);
    assert_int_equal(mix_belief_measure(w.belief, 0, 1, NULL), MIX_OK);
    const double twice = regret_now(&w, DRAWS);
    assert_true(fabs(twice / before / (r / (2 * v + r)) - 1) < 0.02);
    assert_true(fabs((once - twice) / second.regret - 1) < 0.01);
    assert_true(fabs((before - twice) / both.regret - 1) < 0.01);
    mix_belief_reset(w.belief);
    assert_true(regret_now(&w, DRAWS) == before);
    destroy_world(&w);
}

/* With few draws all goes along with all by chance: measuring what says nothing never looks good.
 */
static void test_noise_does_not_look_like_knowledge(void **state)
{
    (void)state;
    struct world w = make_world(60);
    const double before = regret_now(&w, 60);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(mix_belief_measure(w.belief, 1, 1, NULL), MIX_OK);
    assert_true(regret_now(&w, 60) > 0.9 * before);
    destroy_world(&w);
}

/* Ten draws in which runs lower the regret by `some` in the first n, else not. */
static struct mix_next weigh(size_t n, double some, double *lower, double worth)
{
    struct mix_next next = {.n_draws = 10, .n_runs = 1, .lower = lower, .noise = 0.02};
    next.reduction.value = some * (double)n / 10;
    next.before.value = 1;
    for (size_t d = 0; d < 10; d++)
        lower[d] = d < n ? some : 0;
    mix_next_weigh(&next, worth);
    return next;
}

static void test_advice_is_sure_where_nearly_all_draws_agree(void **state)
{
    (void)state;
    double lower[10];
    struct mix_next next = weigh(9, 1, lower, 0.5);
    assert_true(next.pays && next.is_sure && fabs(next.chance - 0.9) < 1e-12);
    assert_int_equal(next.advice, MIX_ADVICE_GO_ON);
    next = weigh(8, 1, lower, 0.5);
    assert_true(next.pays && !next.is_sure && next.advice == MIX_ADVICE_UNSURE);
    assert_non_null(
        strstr(next.reason, "more than 0.5. That is not sure: 20% of the draws say the contrary."));
    next = weigh(1, 4, lower, 0.5);
    assert_true(!next.pays && next.is_sure && next.advice == MIX_ADVICE_STOP);
    assert_non_null(strstr(next.reason, "less than 0.5. 90% of the draws agree."));
    next = weigh(1, 6, lower, 0.5); /* seldom, but then much */
    assert_true(next.pays && !next.is_sure);
    assert_non_null(strstr(next.reason, "That is not sure: 90% of the draws say the contrary."));
    next = weigh(3, 1, lower, 0.5);
    assert_true(!next.pays && !next.is_sure);
    next = weigh(0, 1, lower, NAN);
    assert_true(!next.pays && next.is_sure && fabs(next.worth - 0.002) < 1e-12);
    next = weigh(10, 1, lower, 0.5);
    next.is_doubted = true;
    mix_next_weigh(&next, 0.5);
    assert_true(next.pays && !next.is_sure);
    assert_non_null(strstr(next.reason, "That is not sure: the law does not hold."));
    next.is_doubted = false;
    next.reduction.se = 0.6;
    mix_next_weigh(&next, 0.5);
    assert_true(next.pays && !next.is_sure);
}

/* ---- whether a law holds */

/* Ten mixtures of two domains with losses 2 + exp(1 - 3 h), of three seeds or one, and a wave that
 * no law knows. */
static struct mix_table *make_runs(size_t n_seeds, double noise, double wave)
{
    struct mix_table *table = mix_table_create(2, 2);
    gsl_rng *rng = mix_rng_create(mix_key_make(6, "test", NULL, 0));
    for (size_t k = 0; k < 2; k++) {
        snprintf(table->domains[k].name, MIX_NAME_MAX, "d%zu", k);
        snprintf(table->targets[k].name, MIX_NAME_MAX, "d%zu", k);
    }
    mix_table_link_targets(table);
    for (size_t i = 0; i < 10 * n_seeds; i++) {
        const size_t r = mix_table_append(table);
        struct mix_run *run = &table->runs[r];
        run->n_params = 1e8;
        run->n_tokens = run->n_tokens_planned = 1e9;
        run->seed = r;
        snprintf(run->run, sizeof run->run, "r%zu", r);
        for (size_t k = 0; k < 2; k++) {
            const double h = (double)(i % 10) / 9, share = k == 0 ? h : 1 - h;
            table->mixture[2 * r + k] = table->asked[2 * r + k] = share;
            table->loss[2 * r + k] = 2 + exp(1 - 3 * share) + wave * sin(20 * share) +
                                     gsl_ran_gaussian_ziggurat(rng, noise);
        }
    }
    gsl_rng_free(rng);
    assert_int_equal(mix_table_finish(table, NULL), MIX_OK);
    return table;
}

static struct mix_fit *fit_law(const struct mix_table *table, const char *law)
{
    struct mix_fit *fit = NULL;
    struct mix_fit_options options = mix_fit_options_default();
    options.law = law;
    options.holdout = "none";
    options.n_starts = 4;
    assert_int_equal(mix_fit_run(NULL, table, &options, NULL, NULL, &fit, NULL), MIX_OK);
    return fit;
}

static struct mix_law_check check(const struct mix_table *table, const struct mix_fit *fit,
                                  size_t n_others, const struct mix_fit *const *others)
{
    struct mix_law_check out;
    assert_int_equal(mix_law_check(NULL, table, fit, n_others, others, NULL, NULL, &out, NULL),
                     MIX_OK);
    assert_true(out.is_doubted == (out.doubt[0] != '\0'));
    return out;
}

static void test_a_law_is_doubted_where_the_runs_speak_against_it(void **state)
{
    (void)state;
    for (size_t n_seeds = 1; n_seeds <= 3; n_seeds += 2) {
        struct mix_table *table = make_runs(n_seeds, 0.01, 0);
        struct mix_fit *wrong = fit_law(table, "linear"), *right = fit_law(table, "loglinear");
        const struct mix_fit *const both[] = {wrong, right};
        struct mix_law_check of = check(table, wrong, 2, both);
        assert_non_null(strstr(of.doubt, "law loglinear) leaves 0.0"));
        assert_non_null(strstr(of.against, "fit loglinear\nproduct\ntransfer"));
        assert_false(check(table, right, 2, both).is_doubted);
        /* a file that has nothing else */
        assert_false(check(table, right, 0, NULL).is_doubted);
        of = check(table, wrong, 0, NULL);
        assert_string_equal(of.against,
                            n_seeds > 1 ? "seeds\nproduct\ntransfer" : "product\ntransfer");
        assert_non_null(strstr(of.doubt, "law product leaves 0.0"));
        mix_fit_destroy(wrong);
        mix_fit_destroy(right);
        mix_table_destroy(table);
    }
}

/* Seeds alone convict a law where no other does better. */
static void test_a_law_is_doubted_by_seeds(void **state)
{
    (void)state;
    for (size_t n_seeds = 1; n_seeds <= 3; n_seeds += 2) {
        struct mix_table *table = make_runs(n_seeds, 0.001, 0.05);
        struct mix_fit *fit = fit_law(table, "loglinear");
        const struct mix_law_check of = check(table, fit, 0, NULL);
        assert_int_equal(of.is_doubted, n_seeds > 1);
        assert_true(n_seeds == 1 || strstr(of.doubt, "seeds of one mixture") != NULL);
        mix_fit_destroy(fit);
        mix_table_destroy(table);
    }
}

/* Without noise a fit that is exact but for rounding is none to doubt. */
static void test_rounding_is_no_lack_of_fit(void **state)
{
    (void)state;
    struct mix_table *table = make_runs(2, 0, 0);
    struct mix_fit *fit = fit_law(table, "loglinear");
    assert_false(check(table, fit, 0, NULL).is_doubted);
    mix_fit_destroy(fit);
    mix_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prospects_are_those_of_normal_distributions),
        cmocka_unit_test(test_a_second_seed_halves_the_noise),
        cmocka_unit_test(test_noise_does_not_look_like_knowledge),
        cmocka_unit_test(test_advice_is_sure_where_nearly_all_draws_agree),
        cmocka_unit_test(test_a_law_is_doubted_where_the_runs_speak_against_it),
        cmocka_unit_test(test_a_law_is_doubted_by_seeds),
        cmocka_unit_test(test_rounding_is_no_lack_of_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fits and bootstrap draws over 1 to 4 ranks: byte for byte what one process gives. */
#include <mpi.h>

#include "world.h"

#include "mixsweep/interval.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static const struct world_plan plan = {"capacity", 3, 3, 14, {10, 40, 90}, {4}, 0.003, 3};

static struct mix_fit_options options_of(void)
{
    struct mix_fit_options options = quick_options("capacity", 9);
    options.holdout = "auto"; /* five hold-out fits beside the one that is stored */
    return options;
}

static void expect_equal_metrics(const struct mix_metrics *a, const struct mix_metrics *b, size_t n)
{
    CHECK(memcmp(a, b, n * sizeof *a) == 0);
}

static void expect_equal_fits(const struct mix_fit *a, const struct mix_fit *b)
{
    const size_t n_p = a->n_params, n_m = a->spec.n_targets;
    CHECK(a->n_params == b->n_params && a->n_starts == b->n_starts && a->n_optima == b->n_optima);
    CHECK(memcmp(a->params, b->params, n_p * sizeof(double)) == 0);
    CHECK(memcmp(a->std_error, b->std_error, n_p * sizeof(double)) == 0);
    CHECK(memcmp(a->covariance, b->covariance, n_p * n_p * sizeof(double)) == 0);
    CHECK(memcmp(a->param_state, b->param_state, n_p) == 0);
    CHECK(memcmp(a->start_objective, b->start_objective, a->n_starts * sizeof(double)) == 0);
    CHECK(memcmp(a->optima, b->optima, a->n_optima * n_p * sizeof(double)) == 0);
    CHECK(memcmp(&a->objective, &b->objective, sizeof a->objective) == 0);
    CHECK(memcmp(&a->scale_error, &b->scale_error, sizeof a->scale_error) == 0);
    CHECK(a->n_at_best == b->n_at_best && a->n_holdouts == 2 && b->n_holdouts == 2);
    expect_equal_metrics(&a->train, &b->train, 1);
    expect_equal_metrics(a->train_by_target, b->train_by_target, n_m);
    expect_equal_metrics(a->holdout_by_target, b->holdout_by_target, n_m);
    for (size_t i = 0; i < a->n_holdouts; i++) {
        CHECK(strcmp(a->holdouts[i].kind, b->holdouts[i].kind) == 0);
        expect_equal_metrics(&a->holdouts[i].law, &b->holdouts[i].law, 1);
        expect_equal_metrics(a->holdouts[i].floor, b->holdouts[i].floor, MIX_FLOORS);
    }
    CHECK(a->n_held > 0 && a->n_held == b->n_held);
    CHECK(memcmp(a->held_out, b->held_out, a->n_held * sizeof *a->held_out) == 0);
    CHECK(memcmp(a->held_key, b->held_key, a->n_held * sizeof *a->held_key) == 0);
    CHECK(memcmp(a->held_n_params, b->held_n_params, a->n_held * sizeof(double)) == 0);
    CHECK(memcmp(a->held_loss, b->held_loss, a->n_held * n_m * sizeof(double)) == 0);
    CHECK(memcmp(a->held_predicted, b->held_predicted, a->n_held * n_m * sizeof(double)) == 0);
    CHECK(strcmp(a->warnings, b->warnings) == 0);
    const struct mix_key key_a = mix_fit_key(a), key_b = mix_fit_key(b);
    CHECK(key_a.hi == key_b.hi && key_a.lo == key_b.lo);
}

/* The fit, on every rank: rank 0 alone gets one from the ranks. */
static struct mix_fit *test_fit_is_the_same_on_any_ranks(struct mix_ranks *ranks,
                                                         const struct mix_table *table)
{
    const struct mix_fit_options options = options_of();
    struct mix_fit *together = NULL, *alone = NULL;
    struct mix_error err = {{0}};
    CHECK(mix_fit_run(ranks, table, &options, NULL, NULL, &together, &err) == MIX_OK);
    CHECK((together != NULL) == (mix_ranks_rank(ranks) == 0));
    CHECK(mix_fit_run(NULL, table, &options, NULL, NULL, &alone, &err) == MIX_OK);
    if (together != NULL)
        expect_equal_fits(together, alone);
    mix_fit_destroy(together);
    return alone;
}

static struct mix_draws *draws_of(const struct mix_fit *fit, size_t n, int bayesian)
{
    struct mix_draws *draws = mix_draws_create(n, fit->n_params);
    CHECK(draws != NULL);
    draws->seed = 7;
    draws->bayesian = bayesian;
    return draws;
}

/* All draws at once, and in two goes with holes in the first. */
static void test_draws_are_the_same_on_any_ranks(struct mix_ranks *ranks,
                                                 const struct mix_table *table,
                                                 const struct mix_fit *fit, int bayesian)
{
    const size_t n = bayesian ? 20 : 70; /* the latter are two generations */
    const bool first = mix_ranks_rank(ranks) == 0;
    struct mix_draws *alone = draws_of(fit, n, bayesian), *together = NULL, *resumed = NULL;
    struct mix_error err = {{0}};
    CHECK(mix_bootstrap_run(NULL, table, fit, alone, NULL, NULL, NULL, &err) == MIX_OK);
    if (first) {
        together = draws_of(fit, n, bayesian);
        resumed = draws_of(fit, n, bayesian);
        for (size_t b = 0; b < n; b += 1 + b % 3) {
            resumed->done[b] = 1;
            resumed->objective[b] = alone->objective[b];
            memcpy(resumed->params + b * fit->n_params, alone->params + b * fit->n_params,
                   fit->n_params * sizeof(double));
        }
    }
    CHECK(mix_bootstrap_run(ranks, table, fit, together, NULL, NULL, NULL, &err) == MIX_OK);
    CHECK(mix_bootstrap_run(ranks, table, fit, resumed, NULL, NULL, NULL, &err) == MIX_OK);
    for (int i = 0; first && i < 2; i++) {
        const struct mix_draws *draws = i == 0 ? together : resumed;
        CHECK(memcmp(draws->objective, alone->objective, n * sizeof(double)) == 0);
        CHECK(memcmp(draws->params, alone->params, n * fit->n_params * sizeof(double)) == 0);
        CHECK(memcmp(draws->done, alone->done, n) == 0);
    }
    mix_draws_destroy(alone);
    mix_draws_destroy(together);
    mix_draws_destroy(resumed);
}

/* Jackknife and rolling origin, at once and with holes in the jackknife. */
static void test_completion_is_the_same_on_any_ranks(struct mix_ranks *ranks,
                                                     const struct mix_table *table,
                                                     const struct mix_fit *fit)
{
    const bool first = mix_ranks_rank(ranks) == 0;
    struct mix_draws *alone = draws_of(fit, 0, 0), *together = NULL, *resumed = NULL;
    struct mix_error err = {{0}};
    CHECK(mix_bootstrap_complete(NULL, table, fit, alone, NULL, &err) == MIX_OK);
    CHECK(alone->n_left == 14 && mix_jackknife_count(alone) == 14 && alone->n_origins == 1);
    if (first) {
        together = draws_of(fit, 0, 0);
        resumed = draws_of(fit, 0, 0);
        CHECK(mix_draws_copy_left(resumed, alone));
        resumed->residual = NAN; /* the rolling origin is made anew */
        for (size_t g = 0; g < 14; g += 1 + g % 3)
            resumed->left_done[g] = 0;
    }
    CHECK(mix_bootstrap_complete(ranks, table, fit, together, NULL, &err) == MIX_OK);
    CHECK(mix_bootstrap_complete(ranks, table, fit, resumed, NULL, &err) == MIX_OK);
    for (int i = 0; first && i < 2; i++) {
        const struct mix_draws *draws = i == 0 ? together : resumed;
        CHECK(draws->n_left == 14 && draws->n_origins == 1);
        CHECK(memcmp(draws->left, alone->left, 14 * fit->n_params * sizeof(double)) == 0);
        CHECK(memcmp(draws->left_done, alone->left_done, 14) == 0);
        CHECK(memcmp(draws->origins, alone->origins, sizeof *draws->origins) == 0);
        CHECK(memcmp(&draws->residual, &alone->residual, sizeof draws->residual) == 0);
    }
    mix_draws_destroy(alone);
    mix_draws_destroy(together);
    mix_draws_destroy(resumed);
}

/* A refusal is everybody's, with one sentence. */
static void test_refusals_are_the_same_on_all_ranks(struct mix_ranks *ranks,
                                                    struct mix_table *table,
                                                    const struct mix_fit *fit)
{
    struct mix_fit_options options = options_of();
    struct mix_fit *none = NULL;
    struct mix_error err = {{0}};
    options.law = "nonesuch";
    CHECK(mix_fit_run(ranks, table, &options, NULL, NULL, &none, &err) == MIX_EINVAL);
    CHECK(none == NULL && strstr(err.text, "nonesuch") != NULL);
    struct mix_draws *draws = mix_ranks_rank(ranks) == 0 ? draws_of(fit, 3, 0) : NULL;
    const double before = table->loss[0];
    table->loss[0] += mix_ranks_rank(ranks) == mix_ranks_count(ranks) - 1 ? 1e-3 : 0.0;
    CHECK(mix_bootstrap_run(ranks, table, fit, draws, NULL, NULL, NULL, &err) == MIX_EINVAL);
    CHECK(strstr(err.text, "have changed") != NULL);
    table->loss[0] = before;
    mix_draws_destroy(draws);
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err;
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    struct world world = world_create(&plan);
    struct mix_fit *fit = test_fit_is_the_same_on_any_ranks(ranks, world.table);
    test_draws_are_the_same_on_any_ranks(ranks, world.table, fit, 0);
    test_draws_are_the_same_on_any_ranks(ranks, world.table, fit, 1);
    test_completion_is_the_same_on_any_ranks(ranks, world.table, fit);
    test_refusals_are_the_same_on_all_ranks(ranks, world.table, fit);
    mix_fit_destroy(fit);
    world_destroy(&world);
    mix_ranks_destroy(ranks);
    return 0;
}

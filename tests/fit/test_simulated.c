/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A fit made again of its own losses: the same without noise, and off by less the more runs there
 * are. */
#include "expect.h"
#include "world.h"

#include "fit/simulated.h"

static const struct world_plan plan = {"transfer", 3, 3, 16, {10, 40}, {2, 8}, 0.01, 3};
enum { DRAWS = 16, SEEDS = 50 };

/* Mean square over draws of how far a loss at 1B parameters is off the fit's. */
static double error_of(const struct world *world, const struct mix_fit *fit, double noise,
                       size_t n_more, const struct mix_simulated_run *more, double *left)
{
    const double h[3] = {0.2, 0.3, 0.5}, n = 1000, d = 20;
    const double sd[3] = {noise, noise, noise};
    double loss[3], was[3], *params = numbers(fit->n_params), sum = 0, one = 0;
    struct mix_simulated *simulated = NULL;
    struct mix_model *model = NULL;
    struct mix_error err = {{0}};
    gsl_rng *rng = stream(1, "simulated");
    assert_ok(mix_fit_model(fit, &model, &err), err);
    assert_ok(mix_model_predict(model, fit->params, 1, h, &n, &d, was, &err), err);
    assert_ok(mix_simulated_create(world->table, fit, mix_isa_best(), &simulated, &err), err);
    *left = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        assert_ok(mix_simulated_fit(simulated, sd, n_more, more, rng, NULL, params, &one, &err),
                  err);
        assert_ok(mix_model_predict(model, params, 1, h, &n, &d, loss, &err), err);
        for (size_t m = 0; m < 3; m++)
            sum += (loss[m] - was[m]) * (loss[m] - was[m]);
        *left += one / DRAWS;
    }
    mix_simulated_destroy(simulated);
    mix_model_destroy(model);
    gsl_rng_free(rng);
    free(params);
    return sum / DRAWS;
}

static void test_more_runs_leave_less_error(void **state)
{
    (void)state;
    const struct mix_fit_options options = quick_options("transfer", 6);
    struct world world = world_create(&plan);
    struct mix_fit *fit = quick_fit(world.table, &options);
    const double unique[3] = {INFINITY, INFINITY, INFINITY};
    struct mix_simulated_run more[16];
    double left = 0;
    for (size_t i = 0; i < 16; i++)
        more[i] = (struct mix_simulated_run){world.table->mixture + i * 3, unique, i % 2 ? 40 : 10,
                                             i % 2 ? 8 : 2, SEEDS};
    const double before = error_of(&world, fit, 0.01, 0, NULL, &left);
    assert_true(left > 0.4 && left < 1); /* of 192 losses, as many as parameters are followed */
    assert_true(error_of(&world, fit, 0.001, 0, NULL, &left) < before / 10);
    assert_true(error_of(&world, fit, 0.01, 16, more, &left) < before / 2);
    assert_true(error_of(&world, fit, 0.01, 1, more, &left) > before / 10);
    mix_fit_destroy(fit);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_more_runs_leave_less_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

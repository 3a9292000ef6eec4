/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Losses of a known law without noise: the fit finds the law again. */
#include "expect.h"
#include "world.h"

/* Under a sanitizer fewer starts do. */
#ifdef __SANITIZE_ADDRESS__
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

/* Every identified parameter to 1e-4 relative; at least `n_least` of them are identified. */
static void expect_recovery(const struct world_plan *plan, size_t n_starts, size_t n_least)
{
    struct world world = world_create(plan);
    struct mix_fit_options options = quick_options(plan->law, SLOW ? 8 : n_starts);
    snprintf(options.selection.targets, sizeof options.selection.targets, "all");
    struct mix_fit *fit = quick_fit(world.table, &options);
    size_t n_known = 0;
    assert_int_equal(fit->n_params, mix_model_n_params(world.model));
    assert_true(fit->objective < 1e-12);
    for (size_t p = 0; p < fit->n_params; p++) {
        if (fit->param_state[p] != 0)
            continue;
        n_known++;
        if (!(fabs(fit->params[p] / world.params[p] - 1.0) <= 1e-4))
            fail_msg("%s is %.8g, not %.8g", fit->param_names[p], fit->params[p], world.params[p]);
    }
    print_message("%s: %zu of %zu parameters identified, %zu of %zu starts at the best, MSE %.2g\n",
                  plan->law, n_known, fit->n_params, fit->n_at_best, fit->n_starts, fit->objective);
    assert_true(n_known >= n_least);
    assert_true(2 * fit->n_at_best > fit->n_starts);
    mix_fit_destroy(fit);
    world_destroy(&world);
}

static void test_capacity_is_recovered(void **state)
{
    (void)state;
    const struct world_plan plan = {"capacity", 4, 4, 40, {20, 80, 300}, {2, 20}, 0.0, 1};
    expect_recovery(&plan, mix_fit_options_default().n_starts, 21);
}

static void test_transfer_is_recovered(void **state)
{
    (void)state;
    const struct world_plan plan = {"transfer", 3, 3, 40, {20, 80, 300}, {2, 20}, 0.0, 2};
    expect_recovery(&plan, mix_fit_options_default().n_starts,
                    23); /* at two lengths Q, q and E are hardly told apart */
}

static void test_transfer_is_recovered_at_three_lengths(void **state)
{
    (void)state;
    const struct world_plan plan = {"transfer", 3, 3, 20, {20, 80, 300}, {2, 8, 30}, 0.0, 3};
    expect_recovery(&plan, 8, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capacity_is_recovered),
        cmocka_unit_test(test_transfer_is_recovered),
        cmocka_unit_test(test_transfer_is_recovered_at_three_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a fit records, warns of, refuses, and claims about its own errors. */
#include "expect.h"
#include "world.h"

#include <gsl/gsl_linalg.h>
#include <signal.h>

#include "fit/fit_parts.h"

static const struct world_plan capacity_plan = {"capacity", 3, 3, 16, {10, 40}, {2, 8}, 0.003, 3};
static const struct world_plan three_sizes = {"capacity", 3, 3, 14, {10, 40, 120}, {4}, 0.003, 3};

static size_t param_of(const struct mix_fit *fit, const char *name)
{
    for (size_t p = 0; p < fit->n_params; p++)
        if (strcmp(fit->param_names[p], name) == 0)
            return p;
    fail_msg("there is no parameter %s", name);
    return 0;
}

static void expect_warning(const struct mix_fit *fit, const char *words)
{
    if (strstr(fit->warnings, words) == NULL)
        fail_msg("\"%s\" does not warn of \"%s\"", fit->warnings, words);
}

static void test_fit_records_what_was_fitted(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    world.table->targets[1].weight = 2.5;
    struct mix_fit_options options = quick_options("capacity", 8);
    options.name = "first";
    options.selection.mask_below = 0.1;
    snprintf(options.selection.where, sizeof options.selection.where, "n_params<=40e6");
    struct mix_fit *fit = quick_fit(world.table, &options);
    assert_string_equal(fit->name, "first");
    assert_string_equal(fit->spec.law, "capacity");
    assert_string_equal(fit->selection.where, "n_params<=40e6");
    assert_string_equal(fit->holdout_option, "none");
    assert_int_equal(fit->n_rows, 64);
    assert_int_equal(fit->n_clusters, 16);
    assert_int_equal(fit->n_params, 16);
    assert_int_equal(fit->n_holdouts, 0);
    assert_null(fit->holdout_by_target);
    assert_true(isnan(fit->scale_error));
    size_t n_unmasked = 0;
    for (size_t e = 0; e < 64 * 3; e++)
        n_unmasked += world.table->mixture[e] >= 0.1; /* target m is domain m */
    assert_true(n_unmasked < 64 * 3);
    assert_int_equal(fit->n_fitted, n_unmasked);
    assert_near(fit->max_n_params, 40e6, 1e-3);
    assert_near(fit->max_n_tokens, 8e9, 1e-1);
    for (size_t j = 0; j < 3; j++) {
        double top = 0.0;
        for (size_t r = 0; r < 64; r++)
            top = fmax(top, world.table->mixture[r * 3 + j]);
        assert_true(fit->seen_max[j] == top);
        assert_string_equal(fit->domains[j], world_names[j]);
        assert_string_equal(fit->targets[j], world_names[j]);
        assert_int_equal(fit->target_domain[j], j);
        assert_true(fit->target_weight[j] == (j == 1 ? 2.5 : 1.0));
    }
    assert_string_equal(fit->param_units[param_of(fit, "H")], "1e6 parameters");
    assert_string_equal(fit->param_units[param_of(fit, "b[book]")], "1");
    assert_int_equal(fit->train.n, fit->n_fitted);
    assert_near(fit->train.mse, fit->objective, 1e-9 * fit->objective);
    size_t n = 0;
    for (size_t m = 0; m < 3; m++)
        n += fit->train_by_target[m].n;
    assert_int_equal(n, fit->n_fitted);
    mix_fit_destroy(fit);
    world_destroy(&world);
}

static void test_fit_records_its_starts(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    struct mix_fit_options options = quick_options("capacity", 12);
    struct mix_fit *fit = quick_fit(world.table, &options),
                   *again = quick_fit(world.table, &options);
    double least = INFINITY;
    size_t n_at_best = 0;
    assert_int_equal(fit->n_starts, 12);
    for (size_t i = 0; i < fit->n_starts; i++) {
        assert_true(fit->start_objective[i] >= fit->objective * (1.0 - 1e-9));
        least = fmin(least, fit->start_objective[i]);
        n_at_best += fit->start_objective[i] <= 1.001 * fit->objective;
    }
    assert_near(fit->objective, least, 1e-3 * least);
    assert_int_equal(fit->n_at_best, n_at_best);
    assert_true(n_at_best >= 1);
    assert_in_range(fit->n_optima, 1, 12);
    assert_memory_equal(fit->optima, fit->params, fit->n_params * sizeof(double));
    assert_memory_equal(again->params, fit->params, fit->n_params * sizeof(double));
    assert_memory_equal(again->start_objective, fit->start_objective, 12 * sizeof(double));
    mix_fit_destroy(again);
    options.seed = 2;
    again = quick_fit(world.table, &options);
    assert_true(memcmp(again->start_objective, fit->start_objective, 12 * sizeof(double)) != 0);
    assert_near(again->objective, fit->objective, 1e-3 * fit->objective);
    mix_fit_destroy(again);
    mix_fit_destroy(fit);
    world_destroy(&world);
}

/* A start is the same however many there are: more starts only add to the list. */
static void test_more_starts_keep_the_first(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    struct mix_fit_options options = quick_options("capacity", 3);
    struct mix_fit *few = quick_fit(world.table, &options);
    options.n_starts = 5;
    options.holdout = "mixture:0.25";
    struct mix_fit *more = quick_fit(world.table, &options);
    assert_memory_equal(few->start_objective, more->start_objective, 3 * sizeof(double));
    mix_fit_destroy(few);
    mix_fit_destroy(more);
    world_destroy(&world);
}

static void test_fit_is_current_until_something_changes(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    char text[MIX_TEXT_MAX];
    const struct mix_fit_options options = quick_options("capacity", 2);
    struct mix_fit *fit = quick_fit(world.table, &options);
    assert_null(mix_fit_difference(fit, world.table, &options, text));
    struct mix_fit_options changed[9];
    for (size_t i = 0; i < 9; i++)
        changed[i] = options;
    changed[0].law = "transfer";
    changed[1].form = 3;
    changed[2].holdout = "auto";
    changed[3].n_starts = 3;
    changed[4].seed = 2;
    changed[5].selection.mask_below = 0.01;
    changed[6].selection.checkpoints = MIX_CHECKPOINTS_ALL;
    snprintf(changed[7].selection.where, MIX_TEXT_MAX, "n_params<=40e6");
    snprintf(changed[8].selection.targets, MIX_TEXT_MAX, "all");
    for (size_t i = 0; i < 9; i++)
        if (mix_fit_difference(fit, world.table, &changed[i], text) == NULL)
            fail_msg("change %zu of the options is not seen", i);
    assert_string_equal(mix_fit_difference(fit, world.table, &changed[4], text),
                        "the seed has changed (from 1 to 2)");
    assert_string_equal(mix_fit_difference(fit, world.table, &changed[3], text),
                        "the starts have changed (from 2 to 3)");
    assert_string_equal(mix_fit_difference(fit, world.table, &changed[7], text),
                        "the selection (where) has changed (from none to n_params<=40e6)");
    changed[0] = options;
    changed[0].name = "other"; /* a name is not what is fitted */
    assert_null(mix_fit_difference(fit, world.table, &changed[0], text));

    double *const numbers_of_a_run[] = {world.table->loss + 7, world.table->mixture + 5,
                                        &world.table->runs[2].n_params,
                                        &world.table->runs[2].n_tokens};
    for (size_t i = 0; i < 4; i++) {
        const double before = *numbers_of_a_run[i];
        *numbers_of_a_run[i] = nextafter(before, 0.0);
        assert_non_null(mix_fit_difference(fit, world.table, &options, text));
        *numbers_of_a_run[i] = before;
    }
    world.table->runs[3].excluded = 1;
    assert_non_null(mix_fit_difference(fit, world.table, &options, text));
    world.table->runs[3].excluded = 0;
    snprintf(world.table->targets[1].name, MIX_NAME_MAX, "renamed");
    assert_non_null(mix_fit_difference(fit, world.table, &options, text));
    mix_fit_destroy(fit);
    world_destroy(&world);
}

/* The key changes with what draws depend on, and not with how the fit was found. */
static void test_fit_key_names_what_draws_depend_on(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    const struct mix_fit_options options = quick_options("capacity", 2);
    struct mix_fit *fit = quick_fit(world.table, &options);
    const struct mix_key key = mix_fit_key(fit);
    snprintf(fit->name, sizeof fit->name, "another name");
    fit->n_at_best++;
    struct mix_key now = mix_fit_key(fit);
    assert_true(now.hi == key.hi && now.lo == key.lo);
    double *const numbers_of_it[] = {&fit->params[3], &fit->optima[1], &fit->spec.n_min,
                                     &fit->spec.h_min, &fit->selection.mask_below};
    for (size_t i = 0; i < 5; i++) {
        const double before = *numbers_of_it[i];
        *numbers_of_it[i] = nextafter(before, INFINITY);
        now = mix_fit_key(fit);
        assert_true(now.hi != key.hi || now.lo != key.lo);
        *numbers_of_it[i] = before;
    }
    mix_fit_destroy(fit);
    world_destroy(&world);
}

/* Losses without a floor: E ends on its bound 0. */
static void test_fit_warns_of_parameters_on_a_bound(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    for (size_t r = 0; r < world.table->n_rows; r++)
        world.table->loss[r * 3 + 1] -= 1.3 * world.params[param_index(world.model, "E[book]")];
    const struct mix_fit_options options = quick_options("capacity", 8);
    struct mix_fit *fit = quick_fit(world.table, &options);
    const size_t p = param_of(fit, "E[book]");
    assert_true(fit->params[p] == 0.0);
    assert_int_equal(fit->param_state[p], 1);
    assert_true(isnan(fit->std_error[p]));
    expect_warning(fit, "sit on a bound: ");
    expect_warning(fit, "E[book]");
    mix_fit_destroy(fit);
    world_destroy(&world);
}

/* All runs at one D and with one share of `code`: noise and floor of its loss cannot be told
 * apart. */
static void test_fit_warns_of_what_the_design_does_not_identify(void **state)
{
    (void)state;
    struct world_plan plan = capacity_plan;
    plan.n_mixtures = 0;
    plan.lengths[1] = 0.0;
    struct world world = world_create(&plan);
    gsl_rng *rng = stream(4, "constant share");
    for (size_t i = 0; i < 30; i++) {
        const double h = uniform(rng, 0.02, 0.78), mixture[3] = {h, 0.8 - h, 0.2};
        add_mixture(&plan, &world, i, mixture, rng);
    }
    gsl_rng_free(rng);
    struct mix_error err = {{0}};
    must(mix_table_finish(world.table, &err), &err);
    const struct mix_fit_options options = quick_options("capacity", 8);
    struct mix_fit *fit = quick_fit(world.table, &options);
    assert_int_equal(fit->param_state[param_of(fit, "a[code]")], 2);
    assert_true(isnan(fit->std_error[param_of(fit, "a[code]")]));
    assert_int_equal(fit->param_state[param_of(fit, "b[arxiv]")], 0);
    assert_true(fit->std_error[param_of(fit, "b[arxiv]")] > 0.0);
    expect_warning(fit, "not identified by the design: ");
    expect_warning(fit, "a[code]");
    mix_fit_destroy(fit);
    world_destroy(&world);
}

static void test_fit_warns_of_intermediate_checkpoints(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    struct mix_fit_options options = quick_options("capacity", 2);
    struct mix_error err = {{0}};
    for (size_t r = 0; r < world.table->n_rows; r++) /* the shorter run is a checkpoint */
        world.table->runs[r].run[strcspn(world.table->runs[r].run, "-")] = '\0';
    must(mix_table_finish(world.table, &err), &err);
    struct mix_fit *last = quick_fit(world.table, &options);
    assert_int_equal(last->n_rows, 32);
    assert_null(strstr(last->warnings, "intermediate"));
    options.selection.checkpoints = MIX_CHECKPOINTS_ALL;
    struct mix_fit *all = quick_fit(world.table, &options);
    assert_int_equal(all->n_rows, 64);
    expect_warning(all, "32 of 64 rows are intermediate checkpoints");
    mix_fit_destroy(last);
    mix_fit_destroy(all);
    world_destroy(&world);
}

/* Terms whose variable takes one value are dropped, and it is said. */
static void test_fit_of_one_size_drops_terms(void **state)
{
    (void)state;
    struct world_plan plan = {"transfer", 3, 3, 24, {40}, {2, 8}, 0.003, 6};
    struct world world = world_create(&plan);
    const struct mix_fit_options options = quick_options("transfer", 2);
    struct mix_fit *fit = quick_fit(world.table, &options);
    assert_false(fit->spec.has_size_term);
    assert_true(fit->spec.has_token_term);
    expect_warning(fit, "P N^-p is dropped");
    assert_null(strstr(fit->warnings, "Q D^-q"));
    for (size_t p = 0; p < fit->n_params; p++)
        assert_true(fit->param_names[p][0] != 'P' && fit->param_names[p][0] != 'p');
    mix_fit_destroy(fit);
    world_destroy(&world);
    plan.sizes[1] = 160.0;
    plan.lengths[1] = 0.0;
    world = world_create(&plan);
    fit = quick_fit(world.table, &options);
    assert_true(fit->spec.has_size_term);
    assert_false(fit->spec.has_token_term);
    expect_warning(fit, "Q D^-q is dropped");
    mix_fit_destroy(fit);
    world_destroy(&world);
}

static void test_prediction_below_h_is_refused(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    const struct mix_fit_options options = quick_options("capacity", 4);
    struct mix_fit *fit = quick_fit(world.table, &options);
    struct mix_model *model = NULL;
    struct mix_error err = {{0}};
    const double h[3] = {0.2, 0.3, 0.5}, tokens = 4.0, size = fit->params[param_of(fit, "H")];
    const double below = 0.99 * size, above = 1.01 * size;
    double loss[3];
    assert_ok(mix_fit_model(fit, &model, &err), err);
    assert_refused(mix_model_predict(model, fit->params, 1, h, &below, &tokens, loss, &err),
                   MIX_EINVAL, err, "H = ");
    assert_ok(mix_model_predict(model, fit->params, 1, h, &above, &tokens, loss, &err), err);
    mix_model_destroy(model);
    fit->n_params--;
    assert_refused(mix_fit_model(fit, &model, &err), MIX_EFORMAT, err, "15 parameters");
    mix_fit_destroy(fit);
    world_destroy(&world);
}

static void expect_status(const struct world *world, const struct mix_fit_options *options,
                          enum mix_status status, const char *words)
{
    struct mix_fit *fit = NULL;
    struct mix_error err = {{0}};
    assert_refused(mix_fit_run(NULL, world->table, options, NULL, NULL, &fit, &err), status, err,
                   words);
    assert_null(fit);
}

static void expect_refusal(const struct world *world, const struct mix_fit_options *options,
                           const char *words)
{
    expect_status(world, options, MIX_EINVAL, words);
}

static void test_tables_that_do_not_suit_are_refused(void **state)
{
    (void)state;
    struct world world = world_create(&capacity_plan);
    struct mix_fit_options options = quick_options("nonesuch", 2);
    expect_refusal(&world, &options, "capacity, transfer, demand");
    options = quick_options("capacity", 2);
    options.form = 2;
    expect_refusal(&world, &options, "eq2");
    options = quick_options("transfer", 2);
    options.form = 1;
    expect_refusal(&world, &options, "eq1");
    options = quick_options("capacity", 2);
    snprintf(options.selection.targets, MIX_TEXT_MAX, "arxiv,book");
    expect_refusal(&world, &options, "code has none");
    snprintf(options.selection.targets, MIX_TEXT_MAX, "arxiv,bok");
    expect_status(&world, &options, MIX_EUSAGE, "bok");
    options = quick_options("capacity", 2);
    snprintf(options.selection.where, MIX_TEXT_MAX, "n_params>1e12");
    expect_refusal(&world, &options, "n_params>1e12");
    options = quick_options("capacity", 2);
    options.selection.mask_below = 0.98;
    expect_refusal(&world, &options, "unmasked losses");
    options = quick_options("capacity", 2);
    snprintf(options.selection.where, MIX_TEXT_MAX, "n_params=40e6,n_tokens=8e9,h_book>0.65");
    expect_refusal(&world, &options, "16 parameters");
    options = quick_options("capacity", 2);
    options.holdout = "sideways";
    expect_status(&world, &options, MIX_EUSAGE, "sideways");
    world_destroy(&world);

    const struct world_plan demand = {"demand", 3, 4, 16, {10, 40}, {2, 8}, 0.0, 3};
    world = world_create(&demand);
    options = quick_options("transfer", 2);
    snprintf(options.selection.targets, MIX_TEXT_MAX, "all");
    expect_refusal(&world, &options, "dialogue is none");
    world_destroy(&world);
}

static void test_holdouts_of_three_sizes(void **state)
{
    (void)state;
    struct world world = world_create(&three_sizes);
    struct mix_fit_options options = quick_options("capacity", 32);
    options.holdout = "auto";
    struct mix_fit *fit = quick_fit(world.table, &options);
    assert_int_equal(fit->n_holdouts, 2);
    assert_string_equal(fit->holdouts[0].kind, "scale 120M");
    assert_string_equal(fit->holdouts[1].kind, "scale 120M and mixture, 4 folds");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fit->holdouts[i].law.n, 14 * 3);
        assert_true(fit->holdouts[i].law.mre < 0.02);
        assert_true(fit->holdouts[i].law.mre < fit->holdouts[i].floor[0].mre);
    }
    assert_int_equal(fit->holdouts[0].floor[2].n, 14 * 3);
    assert_int_equal(fit->holdouts[1].floor[2].n, 0); /* the mixtures were never seen */
    assert_int_equal(fit->holdout_by_target[0].n, 14);
    assert_near(fit->scale_factor, 3.0, 1e-12);
    assert_true(fit->scale_error > 0.0 && fit->scale_error < 0.02);

    /* the same by hand: fit the smaller sizes, predict the largest */
    struct mix_fit_options smaller = quick_options("capacity", 32);
    snprintf(smaller.selection.where, MIX_TEXT_MAX, "n_params<100e6");
    struct mix_fit *part = quick_fit(world.table, &smaller);
    struct mix_data *data = world_data(&world);
    struct mix_model *model = NULL;
    struct mix_metrics by_hand;
    struct mix_error err = {{0}};
    double *predicted = numbers(data->n_rows * 3);
    uint8_t *large = zeros(data->n_rows, 1);
    for (size_t r = 0; r < data->n_rows; r++)
        large[r] = data->n_params[r] == 120.0;
    must(mix_fit_model(part, &model, &err), &err);
    must(mix_model_predict(model, part->params, data->n_rows, data->mixture, data->n_params,
                           data->n_tokens, predicted, &err),
         &err);
    must(mix_metrics_compute(data, NULL, predicted, large, -1, &by_hand, &err), &err);
    assert_near(fit->holdouts[0].law.mre, by_hand.mre, 1e-4 * by_hand.mre);
    assert_near(fit->holdouts[0].law.skill, by_hand.skill, 1e-4);
    mix_model_destroy(model);
    mix_data_destroy(data);
    mix_fit_destroy(part);
    mix_fit_destroy(fit);
    free(predicted);
    free(large);
    world_destroy(&world);
}

/* The smallest size is there for one mixture alone: where that is held out, the law may not be able
 * to say anything at N below its H, and the fit goes on. */
static void test_holdout_rows_out_of_reach_are_left_out(void **state)
{
    (void)state;
    const struct world_plan plan = {"capacity", 3, 3, 16, {10, 40}, {2, 8}, 0.003, 8};
    struct world world = world_create(&plan);
    for (size_t r = 0; r < world.table->n_rows; r++)
        world.table->runs[r].excluded =
            world.table->runs[r].n_params < 20e6 && world.table->runs[r].mixture_id != 5;
    for (size_t r = 0; r < world.table->n_rows; r++)
        if (world.table->runs[r].n_params < 20e6)
            world.table->runs[r].n_params = 0.5e6; /* below any H of the others */
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct mix_fit_options options = quick_options("capacity", 2);
        options.holdout = "mixture:0.5";
        options.seed = seed;
        struct mix_fit *fit = quick_fit(world.table, &options);
        assert_int_equal(fit->n_holdouts, 1);
        assert_true(fit->holdouts[0].law.n >= 8 * 2 * 3);
        mix_fit_destroy(fit);
    }
    world_destroy(&world);
}

/* Two of three sizes without one of the losses: the law cannot be fitted without the third. */
static void test_holdout_that_the_law_refuses_is_skipped(void **state)
{
    (void)state;
    struct world world = world_create(&three_sizes);
    for (size_t r = 0; r < world.table->n_rows; r++)
        if (world.table->runs[r].n_params < 100e6)
            world.table->loss[r * 3 + 2] = NAN;
    struct mix_fit_options options = quick_options("capacity", 2);
    options.holdout = "scale";
    struct mix_fit *fit = quick_fit(world.table, &options);
    assert_int_equal(fit->n_holdouts, 0);
    expect_warning(fit, "a hold-out was skipped");
    mix_fit_destroy(fit);
    world_destroy(&world);
}

/* Standard errors against the spread of 300 fits to fresh noise, each from the truth. */
static void test_standard_errors_are_those_of_repeated_fits(void **state)
{
    (void)state;
    enum { N = 300, P_MAX = 16 };
    const struct world_plan plan = {"capacity", 2, 2, 20, {10, 40, 160}, {2, 8}, 0.0, 9};
    const double noise = 2e-4;
    struct world world = world_create(&plan);
    struct mix_data *data = world_data(&world);
    const struct mix_law_spec spec = world_spec(&plan);
    const size_t n_e = data->n_rows * 2, n_params = mix_model_n_params(world.model);
    struct mix_error err = {{0}};
    struct lsq *lsq = NULL;
    struct mix_fit *fit = mix_fit_create(2, 2, n_params, 1, 1);
    double *exact = numbers(n_e), theta[P_MAX], lambda[P_MAX], params[P_MAX];
    double mean[P_MAX] = {0}, square[P_MAX] = {0}, claimed[P_MAX] = {0};
    memcpy(exact, data->loss, n_e * sizeof *exact);
    gsl_rng *rng = stream(9, "repeated");
    for (int i = 0; i < N; i++) {
        for (size_t e = 0; e < n_e; e++)
            data->loss[e] = exact[e] + noise * gsl_ran_gaussian_ziggurat(rng, 1.0);
        must(lsq_create(&spec, data->target_domain, data, &lsq, &err), &err);
        struct mix_model *model = lsq_model(lsq);
        struct lsq_result result;
        model->law->from_natural(model, world.params, theta, lambda);
        must(lsq_minimise(lsq, theta, 500, 1e-9, NULL, &result, &err), &err);
        lsq_evaluate(lsq, theta, lambda);
        model->law->to_natural(model, theta, lambda, params);
        must(fit_errors(lsq, theta, lambda, NULL, fit, &err), &err);
        for (size_t p = 0; p < n_params; p++) {
            assert_int_equal(fit->param_state[p], 0);
            mean[p] += params[p] / N;
            square[p] += (params[p] - world.params[p]) * (params[p] - world.params[p]) / N;
            claimed[p] += fit->std_error[p] * fit->std_error[p] / N;
        }
        lsq_destroy(lsq);
    }
    for (size_t p = 0; p < n_params; p++) {
        const double bias = mean[p] - world.params[p];
        const double ratio = sqrt(claimed[p] / (square[p] - bias * bias));
        print_message("parameter %zu: %.4g, claimed error / spread %.2f\n", p, world.params[p],
                      ratio);
        assert_true(ratio > 0.8 && ratio < 1.25);
    }
    gsl_rng_free(rng);
    mix_fit_destroy(fit);
    mix_data_destroy(data);
    free(exact);
    world_destroy(&world);
}

/* Numbers twice over; the caller frees. */
static void *twice(const void *once, size_t n_bytes)
{
    char *out = zeros(2, n_bytes);
    memcpy(out, once, n_bytes);
    memcpy(out + n_bytes, once, n_bytes);
    return out;
}

/* A table with every row twice says nothing that the rows once do not. */
static void test_errors_are_the_same_where_rows_come_twice(void **state)
{
    (void)state;
    enum { P_MAX = 16, ROWS = 20 };
    const struct world_plan plan = {"loglinear", 2, 2, ROWS, {40}, {8}, 1e-3, 11};
    struct world world = world_create(&plan);
    struct mix_data *once = world_data(&world), both = *once;
    const struct mix_law_spec spec = world_spec(&plan);
    const size_t n_params = mix_model_n_params(world.model);
    double theta[P_MAX], lambda[P_MAX], expected[P_MAX];
    struct mix_fit *fit = mix_fit_create(2, 2, n_params, 1, 1);
    struct mix_error err = {{0}};
    assert_int_equal(once->n_rows, ROWS);
    assert_int_equal(once->n_clusters, ROWS);
    both.n_rows *= 2;
    both.mixture = twice(once->mixture, ROWS * 2 * sizeof *once->mixture);
    both.unique = twice(once->unique, ROWS * 2 * sizeof *once->unique);
    both.n_params = twice(once->n_params, ROWS * sizeof *once->n_params);
    both.n_tokens = twice(once->n_tokens, ROWS * sizeof *once->n_tokens);
    both.loss = twice(once->loss, ROWS * 2 * sizeof *once->loss);
    both.weight = twice(once->weight, ROWS * 2 * sizeof *once->weight);
    both.cluster = twice(once->cluster, ROWS * sizeof *once->cluster);
    for (int i = 0; i < 2; i++) {
        struct lsq *lsq = NULL;
        must(lsq_create(&spec, once->target_domain, i == 0 ? once : &both, &lsq, &err), &err);
        struct mix_model *model = lsq_model(lsq);
        model->law->from_natural(model, world.params, theta, lambda);
        lsq_evaluate(lsq, theta, lambda);
        assert_ok(fit_errors(lsq, theta, lambda, NULL, fit, &err), err);
        for (size_t p = 0; p < n_params; p++) {
            assert_int_equal(fit->param_state[p], 0);
            if (i == 0)
                expected[p] = fit->std_error[p];
            else
                assert_near(fit->std_error[p], expected[p], 1e-6 * expected[p]);
        }
        lsq_destroy(lsq);
    }
    free(both.mixture);
    free(both.unique);
    free(both.n_params);
    free(both.n_tokens);
    free(both.loss);
    free(both.weight);
    free(both.cluster);
    mix_fit_destroy(fit);
    mix_data_destroy(once);
    world_destroy(&world);
}

/* Errors of thousands of parameters take seconds, and hear signals all the while. */
static enum mix_status errors_after_a_signal(void *context, size_t task, void *record,
                                             struct mix_poll *poll, struct mix_error *err)
{
    const struct world *world = context;
    struct mix_data *data = world_data(world);
    struct lsq *lsq = NULL;
    double theta[16], lambda[16];
    (void)task, (void)record;
    must(lsq_create(&world->model->spec, data->target_domain, data, &lsq, err), err);
    struct mix_fit *fit = mix_fit_create(2, 2, mix_model_n_params(world->model), 1, 1);
    world->model->law->from_natural(world->model, world->params, theta, lambda);
    lsq_evaluate(lsq, theta, lambda);
    raise(SIGTERM);
    const enum mix_status status = fit_errors(lsq, theta, lambda, poll, fit, err);
    mix_fit_destroy(fit);
    lsq_destroy(lsq);
    mix_data_destroy(data);
    return status;
}

static void test_errors_hear_signals(void **state)
{
    (void)state;
    const struct world_plan plan = {"capacity", 2, 2, 20, {10, 40, 160}, {2, 8}, 1e-3, 9};
    struct world world = world_create(&plan);
    const struct mix_stage stage = {
        .name = "errors", .n_tasks = 1, .run = errors_after_a_signal, .context = &world};
    mix_signals_install();
    assert_int_equal(mix_stage_run(NULL, &stage, NULL), MIX_EINTERRUPTED);
    mix_signals_install();
    world_destroy(&world);
}

/* J_p N^+ J_p' by the singular values of N, which must have rank `rank`. */
static double variance_of(const gsl_matrix *u, const gsl_vector *values, const double *row,
                          size_t rank)
{
    double sum = 0.0;
    for (size_t k = 0; k < rank; k++) {
        double dot = 0.0;
        for (size_t i = 0; i < u->size1; i++)
            dot += gsl_matrix_get(u, i, k) * row[i];
        sum += dot * dot / gsl_vector_get(values, k);
    }
    return sum;
}

/* The logits behind the rows of demand's T have M directions that move nothing: they are neither
 * unknown parameters nor degrees of freedom spent. */
static void test_errors_of_a_law_with_a_gauge(void **state)
{
    (void)state;
    const struct world_plan plan = {"demand", 2, 3, 8, {10, 40, 160}, {2, 8, 30}, 1e-3, 10};
    struct world world = world_create(&plan);
    struct mix_data *data = world_data(&world);
    const struct mix_law_spec spec = world_spec(&plan);
    struct mix_error err = {{0}};
    struct lsq *lsq = NULL;
    must(lsq_create(&spec, data->target_domain, data, &lsq, &err), &err);
    struct mix_model *model = lsq_model(lsq);
    const size_t n_params = model->n_params, n_all = model->n_theta + 3 * model->n_linear;
    const size_t rank = mix_model_n_free(model);
    assert_int_equal(n_params, n_all);
    assert_int_equal(rank, n_all - 3);
    double *theta = numbers(model->n_theta), *lambda = numbers(3 * model->n_linear);
    double *natural = numbers(n_params * n_all), squares;
    gsl_matrix *u = gsl_matrix_alloc(n_all, n_all), *v = gsl_matrix_alloc(n_all, n_all);
    gsl_vector *values = gsl_vector_alloc(n_all);
    size_t n_entries = 0;
    model->law->from_natural(model, world.params, theta, lambda);
    lsq_evaluate(lsq, theta, lambda);
    squares = lsq_squares(lsq, theta);
    lsq_normal_matrix(lsq, theta, u->data, &n_entries);
    model->law->natural_jacobian(model, theta, natural);
    gsl_linalg_SV_decomp_jacobi(u, v, values);
    const double s2 = squares / (double)(n_entries - rank);
    struct mix_fit *fit = mix_fit_create(2, 3, n_params, 1, 1);
    assert_ok(fit_errors(lsq, theta, lambda, NULL, fit, &err), err);
    for (size_t p = 0; p < n_params; p++) {
        const double expected = sqrt(s2 * variance_of(u, values, natural + p * n_all, rank));
        assert_int_equal(fit->param_state[p], 0);
        assert_near(fit->std_error[p], expected, 1e-5 * expected);
    }
    gsl_matrix_free(u);
    gsl_matrix_free(v);
    gsl_vector_free(values);
    mix_fit_destroy(fit);
    lsq_destroy(lsq);
    mix_data_destroy(data);
    free(theta);
    free(lambda);
    free(natural);
    world_destroy(&world);
}

struct reports {
    size_t n_calls, n_done, n_total;
    size_t stop_at; /* starts; 0 = never */
};

static void report(void *context, size_t n_done, size_t n_total, double elapsed_s)
{
    struct reports *reports = context;
    assert_true(elapsed_s >= 0.0);
    assert_true(n_done >= reports->n_done && n_done <= n_total);
    reports->n_calls++;
    reports->n_done = n_done;
    reports->n_total = n_total;
    if (reports->stop_at > 0 && n_done >= reports->stop_at)
        raise(SIGTERM);
}

static void test_fit_reports_its_starts(void **state)
{
    (void)state;
    struct world world = world_create(&three_sizes);
    struct mix_fit_options options = quick_options("capacity", 4);
    struct mix_fit *fit = NULL;
    struct mix_error err = {{0}};
    struct reports reports = {0};
    options.holdout = "scale";
    assert_ok(mix_fit_run(NULL, world.table, &options, report, &reports, &fit, &err), err);
    assert_int_equal(reports.n_done, reports.n_total);
    assert_int_equal(reports.n_total, 4 + 8); /* a hold-out fit has 8 starts at least */
    mix_fit_destroy(fit);
    world_destroy(&world);
}

/* Among its starts, and once they are made. */
static void test_fit_stops_when_asked(void **state)
{
    (void)state;
    struct world world = world_create(&three_sizes);
    for (size_t i = 0; i < 2; i++) {
        const size_t n_starts = i == 0 ? 5000 : 2;
        const struct mix_fit_options options = quick_options("capacity", n_starts);
        struct mix_fit *fit = NULL;
        struct mix_error err = {{0}};
        struct reports reports = {.stop_at = i == 0 ? 1 : n_starts};
        mix_signals_install();
        assert_int_equal(mix_fit_run(NULL, world.table, &options, report, &reports, &fit, &err),
                         MIX_EINTERRUPTED);
        assert_null(fit);
        assert_non_null(strstr(err.text, "the same command begins this fit again"));
        assert_int_equal(reports.n_done == n_starts, i == 1);
    }
    mix_signals_install();
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit_records_what_was_fitted),
        cmocka_unit_test(test_fit_records_its_starts),
        cmocka_unit_test(test_more_starts_keep_the_first),
        cmocka_unit_test(test_fit_is_current_until_something_changes),
        cmocka_unit_test(test_fit_key_names_what_draws_depend_on),
        cmocka_unit_test(test_fit_warns_of_parameters_on_a_bound),
        cmocka_unit_test(test_fit_warns_of_what_the_design_does_not_identify),
        cmocka_unit_test(test_fit_warns_of_intermediate_checkpoints),
        cmocka_unit_test(test_fit_of_one_size_drops_terms),
        cmocka_unit_test(test_prediction_below_h_is_refused),
        cmocka_unit_test(test_tables_that_do_not_suit_are_refused),
        cmocka_unit_test(test_holdouts_of_three_sizes),
        cmocka_unit_test(test_holdout_rows_out_of_reach_are_left_out),
        cmocka_unit_test(test_holdout_that_the_law_refuses_is_skipped),
        cmocka_unit_test(test_standard_errors_are_those_of_repeated_fits),
        cmocka_unit_test(test_errors_are_the_same_where_rows_come_twice),
        cmocka_unit_test(test_errors_hear_signals),
        cmocka_unit_test(test_errors_of_a_law_with_a_gauge),
        cmocka_unit_test(test_fit_reports_its_starts),
        cmocka_unit_test(test_fit_stops_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

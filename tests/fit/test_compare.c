/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comparisons: the law behind the data wins, floors that beat a law are marked, the test rows
 * choose nothing. */
#include "expect.h"
#include "world.h"

#include "fit/validate.h"
#include "mixsweep/compare.h"

static const struct world_plan mixing = {"capacity", 3, 3, 16, {10, 40, 160}, {4}, 0.002, 3};
static const struct world_plan blind = {"chinchilla", 3, 3, 16, {10, 40, 160}, {4}, 0.02, 4};

static struct mix_compare_options options_of(const char *laws, const char *holdout)
{
    struct mix_compare_options options = mix_compare_options_default();
    options.laws = laws;
    options.holdout = holdout;
    options.n_starts = 3;
    return options;
}

static struct mix_compare *compare(const struct mix_table *table, const char *laws,
                                   const char *holdout)
{
    const struct mix_compare_options options = options_of(laws, holdout);
    struct mix_compare *out = NULL;
    struct mix_error err = {{0}};
    assert_ok(mix_compare_run(NULL, table, &options, NULL, NULL, &out, &err), err);
    return out;
}

static const struct mix_compare_row *row(const struct mix_compare *c, size_t test, const char *name)
{
    for (size_t q = 0; q < c->n_predictors; q++)
        if (strcmp(c->predictors[q].name, name) == 0)
            return &c->rows[test * c->n_predictors + q];
    fail_msg("there is no row %s", name);
    return NULL;
}

static void test_true_law_wins_every_holdout(void **state)
{
    (void)state;
    struct world world = world_create(&mixing);
    struct mix_compare *c = compare(world.table, "capacity,chinchilla,linear", "all");
    static const char *const kinds[] = {"scale 160M", "mixture, 4 folds",
                                        "scale 160M and mixture, 4 folds"};
    assert_int_equal(c->n_tests, 3);
    assert_int_equal(c->n_predictors, 3 + MIX_FLOORS + 1);
    for (size_t t = 0; t < 3; t++) {
        const struct mix_compare_row *truth = row(c, t, "capacity");
        assert_string_equal(c->tests[t].kind, kinds[t]);
        assert_int_equal(c->tests[t].n_groups, t == 0 ? 16 : 4);
        assert_int_equal(c->tests[t].groups_are_folds, t > 0);
        assert_near(c->tests[t].trained_max, t == 1 ? 160e6 : 40e6, 1.0);
        assert_int_equal(truth->metrics.n, t == 1 ? 16 * 3 * 3 : 16 * 3);
        assert_int_equal(truth->n_params, 16);
        assert_true(truth->metrics.mre < 0.01 && truth->metrics.skill > 0.8);
        assert_int_equal(truth->loses_mre | truth->loses_skill, 0);
        assert_true(row(c, t, "chinchilla")->metrics.mre > 2.0 * truth->metrics.mre);
        assert_true(isnan(row(c, t, "chinchilla")->metrics.rho)); /* blind to the mixture */
        assert_non_null(strstr(row(c, t, "linear")->reason, "knows nothing of N"));
        assert_int_equal(row(c, t, "linear")->metrics.n, 0);
        const char *best = c->predictors[c->tests[t].best].name;
        assert_true(strcmp(best, "capacity") == 0 || strcmp(best, "stack") == 0);
        assert_true(row(c, t, best)->worse == 0.0 && row(c, t, best)->worse_se == 0.0);
    }
    assert_int_equal(row(c, 0, "copy-scale")->metrics.n, 16 * 3);
    assert_int_equal(row(c, 1, "copy-scale")->metrics.n, 0);
    assert_non_null(strstr(row(c, 2, "copy-scale")->reason, "no mixture of the test rows"));
    mix_compare_destroy(c);
    world_destroy(&world);
}

static void test_law_that_loses_to_a_floor_is_marked(void **state)
{
    (void)state;
    struct world world = world_create(&blind);
    struct mix_compare *c = compare(world.table, "joint", "mixture:4-fold");
    const struct mix_compare_row *law = row(c, 0, "joint"), *floor = row(c, 0, "scale-only");
    assert_true(law->metrics.mre > floor->metrics.mre);
    assert_int_equal(law->loses_mre, 1U << 1); /* to scale-only, not to the mean */
    assert_true(law->worse > 0.0 && law->worse_se > 0.0);
    assert_string_equal(c->predictors[c->tests[0].best].name, "scale-only");
    assert_int_equal(floor->loses_mre | floor->loses_skill, 0);
    mix_compare_destroy(c);
    world_destroy(&world);
}

static void expect_equal_rows(const struct mix_compare_row *a, const struct mix_compare_row *b)
{
    assert_int_equal(a->n_params, b->n_params);
    assert_memory_equal(&a->metrics, &b->metrics, sizeof a->metrics);
    assert_memory_equal(&a->mre_se, &b->mre_se, sizeof a->mre_se);
}

static void test_figures_do_not_depend_on_what_else_is_compared(void **state)
{
    (void)state;
    struct world world = world_create(&mixing);
    struct mix_compare *many = compare(world.table, "additive,capacity:eq1,capacity", "all");
    struct mix_compare *one = compare(world.table, "capacity", "both");
    expect_equal_rows(row(many, 2, "capacity"), row(one, 0, "capacity"));
    expect_equal_rows(row(many, 2, "scale-only"), row(one, 0, "scale-only"));
    assert_true(row(many, 0, "capacity:eq1")->n_params < row(many, 0, "capacity")->n_params);
    assert_non_null(strstr(row(one, 0, "stack")->reason, "needs two laws"));
    mix_compare_destroy(many);
    mix_compare_destroy(one);
    world_destroy(&world);
}

static void expect_weights(const struct mix_compare *c, size_t test)
{
    double sum = 0.0;
    for (size_t q = 0; q < c->n_predictors; q++) {
        const double weight = c->rows[test * c->n_predictors + q].weight;
        if (c->predictors[q].kind != MIX_PREDICTOR_LAW)
            assert_true(isnan(weight));
        else
            assert_true(weight >= 0.0 && weight <= 1.0 + 1e-12);
        sum += c->predictors[q].kind == MIX_PREDICTOR_LAW ? weight : 0.0;
    }
    assert_near(sum, 1.0, 1e-9);
}

/* Losses of the held-out size that are changed change neither the weights nor the predictions,
 * which are seen through errors: a factor on all of them is a factor on none of the weights. */
static void test_stack_learns_nothing_from_test_rows(void **state)
{
    (void)state;
    struct world world = world_create(&mixing);
    struct mix_compare *before = compare(world.table, "capacity,additive,chinchilla", "scale");
    for (size_t r = 0; r < world.table->n_rows; r++)
        for (size_t m = 0; world.table->runs[r].n_params > 150e6 && m < 3; m++)
            world.table->loss[r * 3 + m] *= 1.0 + 0.05 * (double)(r % 7);
    struct mix_compare *after = compare(world.table, "capacity,additive,chinchilla", "scale");
    expect_weights(before, 0);
    for (size_t q = 0; q < before->n_predictors; q++)
        assert_memory_equal(&before->rows[q].weight, &after->rows[q].weight, sizeof(double));
    assert_true(row(before, 0, "stack")->metrics.mre < row(after, 0, "stack")->metrics.mre);
    assert_true(row(before, 0, "capacity")->weight > 0.99);
    assert_true(row(before, 0, "chinchilla")->weight < 1e-3);
    mix_compare_destroy(before);
    mix_compare_destroy(after);
    world_destroy(&world);
}

static void test_stack_of_folds_sums_to_1(void **state)
{
    (void)state;
    struct world world = world_create(&mixing);
    struct mix_compare *c = compare(world.table, "capacity,additive,dml", "all");
    for (size_t t = 0; t < c->n_tests; t++) {
        expect_weights(c, t);
        assert_int_equal(row(c, t, "stack")->metrics.n, row(c, t, "capacity")->metrics.n);
        assert_true(row(c, t, "stack")->metrics.mre < row(c, t, "mean")->metrics.mre);
    }
    mix_compare_destroy(c);
    world_destroy(&world);
}

/* The mean of a fold's training rows, worked out here. */
static void test_standard_error_is_over_folds(void **state)
{
    (void)state;
    struct world world = world_create(&mixing);
    struct mix_data *data = world_data(&world);
    struct mix_compare *c = compare(world.table, "chinchilla", "mixture:5-fold");
    struct splits splits;
    struct mix_error err = {{0}};
    assert_ok(validate_splits("mixture:5-fold", data, 1, &splits, &err), err);
    double error[5] = {0}, n[5] = {0}, total = 0.0, count = 0.0, squares = 0.0;
    for (size_t f = 0; f < 5; f++)
        for (size_t m = 0; m < 3; m++) {
            const uint8_t *train = splits.split[0].train + f * data->n_rows;
            double sum = 0.0, trained = 0.0;
            for (size_t r = 0; r < data->n_rows; r++) {
                sum += train[r] ? data->loss[r * 3 + m] : 0.0;
                trained += train[r];
            }
            for (size_t r = 0; r < data->n_rows; r++)
                if (splits.split[0].test[f * data->n_rows + r]) {
                    error[f] += fabs(sum / trained / data->loss[r * 3 + m] - 1.0);
                    n[f] += 1.0;
                }
        }
    for (size_t f = 0; f < 5; f++) {
        total += error[f];
        count += n[f];
    }
    for (size_t f = 0; f < 5; f++)
        squares += pow(error[f] - total / count * n[f], 2);
    assert_near(row(c, 0, "mean")->metrics.mre, total / count, 1e-12);
    assert_near(row(c, 0, "mean")->mre_se, sqrt(squares * 5.0 / 4.0) / count, 1e-12);
    validate_splits_destroy(&splits);
    mix_compare_destroy(c);
    mix_data_destroy(data);
    world_destroy(&world);
}

static void test_every_mixture_is_in_one_fold(void **state)
{
    (void)state;
    struct world world = world_create(&mixing);
    struct mix_data *data = world_data(&world);
    struct mix_error err = {{0}};
    struct splits splits;
    assert_ok(validate_splits("mixture:3-fold", data, 1, &splits, &err), err);
    const struct split *split = &splits.split[0];
    assert_int_equal(split->n_folds, 3);
    for (size_t r = 0; r < data->n_rows; r++) {
        size_t tested = 0;
        for (size_t f = 0; f < 3; f++) {
            const size_t at = f * data->n_rows;
            tested += split->test[at + r];
            assert_int_equal(split->test[at + r] + split->train[at + r], 1);
            for (size_t i = 0; i < data->n_rows; i++)
                if (data->cluster[i] == data->cluster[r])
                    assert_int_equal(split->test[at + i], split->test[at + r]);
        }
        assert_int_equal(tested, 1);
    }
    validate_splits_destroy(&splits);
    mix_data_destroy(data);
    world_destroy(&world);
}

static void expect_refusal(const struct world *world, const char *laws, const char *holdout,
                           enum mix_status expected, const char *words)
{
    const struct mix_compare_options options = options_of(laws, holdout);
    struct mix_compare *out = NULL;
    struct mix_error err = {{0}};
    assert_refused(mix_compare_run(NULL, world->table, &options, NULL, NULL, &out, &err), expected,
                   err, words);
    assert_null(out);
}

static void test_what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    static const struct world_plan small = {"capacity", 3, 3, 3, {10}, {4}, 0.002, 3};
    struct world world = world_create(&mixing), few = world_create(&small);
    expect_refusal(&world, "capacity,nonesuch", "all", MIX_EUSAGE, "no law \"nonesuch\"");
    expect_refusal(&world, "", "all", MIX_EUSAGE, "no law \"\"");
    expect_refusal(&world, "capacity,", "all", MIX_EUSAGE, "no law \"\"");
    expect_refusal(&world, "capacity:eq2", "all", MIX_EUSAGE, "the forms capacity:eq1");
    expect_refusal(&world, "capacity,additive,capacity", "all", MIX_EUSAGE, "capacity twice");
    expect_refusal(&world, "capacity", "none", MIX_EUSAGE, "a comparison holds out");
    expect_refusal(&world, "capacity", "auto", MIX_EUSAGE, "a comparison holds out");
    expect_refusal(&world, "capacity", "sideways", MIX_EUSAGE, "--holdout \"sideways\"");
    expect_refusal(&world, "capacity", "mixture:1-fold", MIX_EUSAGE, "K of 2 or more");
    expect_refusal(&world, "capacity", "mixture:4-folds", MIX_EUSAGE, "K of 2 or more");
    expect_refusal(&world, "capacity", "mixture:17-fold", MIX_EINVAL, "the selection has 16");
    expect_refusal(&few, "capacity", "scale", MIX_EINVAL, "two sizes or more");
    expect_refusal(&few, "capacity", "all", MIX_EINVAL, "allows no hold-out");
    world_destroy(&world);
    world_destroy(&few);
}

static void test_changed_runs_are_seen(void **state)
{
    (void)state;
    struct world world = world_create(&mixing);
    struct mix_compare *c = compare(world.table, "chinchilla", "scale");
    assert_true(mix_compare_sees_same_runs(c, world.table));
    world.table->loss[4] += 1e-9;
    assert_false(mix_compare_sees_same_runs(c, world.table));
    mix_compare_destroy(c);
    world_destroy(&world);
}

static const struct world_plan scored = {"additive", 2, 3, 16, {10, 40, 160}, {4}, 0.002, 5};

/* Two losses, the second in another unit, and a score that follows them. */
static struct world scored_world(double factor)
{
    struct world world = world_create(&scored);
    struct mix_table *table = world.table;
    table->targets[2].direction = 1;
    snprintf(table->targets[2].unit, sizeof table->targets[2].unit, "accuracy");
    if (factor != 1.0)
        snprintf(table->targets[1].unit, sizeof table->targets[1].unit, "bits/byte");
    for (size_t r = 0; r < table->n_rows; r++) {
        double *loss = table->loss + r * 3;
        loss[2] = 0.2 + 0.6 / (1.0 + exp(loss[0] + loss[1] - 5.5));
        loss[1] *= factor;
    }
    return world;
}

static struct mix_compare *compare_targets(const struct mix_table *table, const char *laws,
                                           const char *targets, const char *holdout)
{
    struct mix_compare_options options = options_of(laws, holdout);
    snprintf(options.selection.targets, sizeof options.selection.targets, "%s", targets);
    struct mix_compare *out = NULL;
    struct mix_error err = {{0}};
    assert_ok(mix_compare_run(NULL, table, &options, NULL, NULL, &out, &err), err);
    return out;
}

static const struct mix_compare_target *on_score(const struct mix_compare *c, const char *name)
{
    const size_t q = (size_t)(row(c, 0, name) - c->rows);
    return mix_compare_on_target(c, 0, q, 2);
}

static void test_scores_are_judged_beside_losses(void **state)
{
    (void)state;
    struct world world = scored_world(1.0);
    struct mix_compare *all =
        compare_targets(world.table, "additive,chinchilla", "all", "mixture:4-fold");
    struct mix_compare *losses =
        compare_targets(world.table, "additive,chinchilla", "domains", "mixture:4-fold");
    assert_int_equal(all->n_targets, 3);
    assert_int_equal(all->n_scores, 1);
    assert_false(mix_compare_mixes_units(all));
    for (size_t q = 0; q < all->n_predictors; q++) { /* scores change nothing for the losses */
        expect_equal_rows(&all->rows[q], &losses->rows[q]);
        assert_memory_equal(&all->rows[q].weight, &losses->rows[q].weight, sizeof(double));
        for (size_t m = 0; m < 2; m++)
            assert_memory_equal(mix_compare_on_target(all, 0, q, m),
                                mix_compare_on_target(losses, 0, q, m),
                                sizeof(struct mix_compare_target));
    }
    const struct mix_compare_target *law = on_score(all, "additive");
    assert_int_equal(law->metrics.n, 48);
    assert_true(law->metrics.mae < 0.002 && law->metrics.rho > 0.9);
    assert_true(law->metrics.regret >= 0.0); /* of scores too less is better */
    assert_int_equal(law->loses_mae | law->loses_skill, 0);
    assert_true(isnan(on_score(all, "chinchilla")->metrics.rho));
    assert_true(on_score(all, "chinchilla")->metrics.skill == 0.0);
    assert_true(on_score(all, "mean")->worse > on_score(all, "scale-only")->worse);
    assert_int_equal(on_score(all, "copy-scale")->metrics.n, 0);
    mix_compare_destroy(all);
    mix_compare_destroy(losses);
    world_destroy(&world);
}

/* Held-out scores that are moved far above all that is predicted move the errors by as much, and
 * nothing else. The mean of the training scores is worked out here. */
static void test_links_learn_nothing_from_test_rows(void **state)
{
    (void)state;
    struct world world = scored_world(0.5);
    double mae[2], of_mean[2], trained = 0.0, n_trained = 0.0, tested = 0.0, n_tested = 0.0;
    for (size_t r = 0; r < world.table->n_rows; r++) {
        const bool held = world.table->runs[r].n_params > 150e6;
        *(held ? &tested : &trained) += world.table->loss[r * 3 + 2];
        *(held ? &n_tested : &n_trained) += 1.0;
    }
    for (size_t i = 0; i < 2; i++) {
        for (size_t r = 0; r < world.table->n_rows; r++)
            if (world.table->runs[r].n_params > 150e6)
                world.table->loss[r * 3 + 2] += 1.0;
        struct mix_compare *c = compare_targets(world.table, "additive,chinchilla", "all", "scale");
        mae[i] = on_score(c, "additive")->metrics.mae;
        of_mean[i] = on_score(c, "mean")->metrics.mae;
        assert_true(mix_compare_mixes_units(c));
        mix_compare_destroy(c);
    }
    assert_near(mae[1] - mae[0], 1.0, 1e-12);
    assert_near(of_mean[0], tested / n_tested + 1.0 - trained / n_trained, 1e-12);
    assert_near(of_mean[1] - of_mean[0], 1.0, 1e-12);
    world_destroy(&world);
}

/* With several units the sizes of losses are of the training rows of a fold, and of losses alone:
 * held-out losses of one unit that are three times as large, and a score in the other unit, move no
 * figure of the other target, of the score, or of the stack. */
static void test_sizes_are_of_training_losses(void **state)
{
    (void)state;
    struct world world = scored_world(0.125);
    struct mix_table *table = world.table;
    memcpy(table->targets[2].unit, table->targets[0].unit, sizeof table->targets[2].unit);
    struct mix_compare *losses = compare_targets(table, "transfer,additive", "domains", "scale");
    struct mix_compare *all = compare_targets(table, "transfer,additive", "all", "scale");
    for (size_t r = 0; r < table->n_rows; r++)
        if (table->runs[r].n_params > 150e6)
            table->loss[r * 3 + 1] *= 3.0;
    struct mix_compare *moved = compare_targets(table, "transfer,additive", "all", "scale");
    assert_memory_equal(all->target_size, losses->target_size, 2 * sizeof(double));
    assert_near(moved->target_size[0], all->target_size[0], 0.0);
    for (size_t q = 0; q < all->n_predictors; q++) {
        expect_equal_rows(&all->rows[q], &losses->rows[q]);
        assert_memory_equal(&all->rows[q].weight, &moved->rows[q].weight, sizeof(double));
        for (size_t m = 0; m < 3; m += 2)
            assert_memory_equal(mix_compare_on_target(all, 0, q, m),
                                mix_compare_on_target(moved, 0, q, m),
                                sizeof(struct mix_compare_target));
    }
    mix_compare_destroy(losses);
    mix_compare_destroy(all);
    mix_compare_destroy(moved);
    world_destroy(&world);
}

static void test_score_without_a_link_is_told(void **state)
{
    (void)state;
    struct world world = scored_world(1.0);
    for (size_t r = 0; r < world.table->n_rows; r++)
        world.table->loss[r * 3 + 2] = world.table->runs[r].n_params > 150e6 ? 0.5 : 0.4;
    struct mix_compare *c = compare_targets(world.table, "additive,chinchilla", "all", "scale");
    assert_non_null(strstr(c->no_link[2], "a constant has no link to the losses"));
    assert_true(c->no_link[0][0] == '\0');
    assert_int_equal(on_score(c, "additive")->metrics.n, 0);
    assert_int_equal(on_score(c, "stack")->metrics.n, 0);
    assert_near(on_score(c, "mean")->metrics.mae, 0.1, 1e-12);
    assert_int_equal(on_score(c, "copy-scale")->metrics.n, 16);
    assert_int_equal(row(c, 0, "additive")->metrics.n, 32);
    mix_compare_destroy(c);
    world_destroy(&world);
}

/* With several units figures over losses are relative, so that no unit has more say. */
static void test_a_unit_has_no_say(void **state)
{
    (void)state;
    struct world half = scored_world(0.5), eighth = scored_world(0.125);
    struct mix_compare *a = compare_targets(half.table, "additive,joint", "all", "mixture:4-fold");
    struct mix_compare *b =
        compare_targets(eighth.table, "additive,joint", "all", "mixture:4-fold");
    assert_near(a->target_size[1], 4.0 * b->target_size[1], 1e-12);
    assert_true(row(a, 0, "joint")->weight > 0.01 && row(a, 0, "additive")->weight > 0.01);
    for (size_t q = 0; q < a->n_predictors; q++) {
        const struct mix_metrics *x = &a->rows[q].metrics, *y = &b->rows[q].metrics;
        if (x->n == 0)
            continue;
        assert_near(x->mae, y->mae, 1e-6);
        assert_near(x->mre, y->mre, 1e-6);
        assert_near(mix_compare_on_target(a, 0, q, 1)->metrics.mae,
                    4.0 * mix_compare_on_target(b, 0, q, 1)->metrics.mae, 1e-6);
        if (a->predictors[q].kind == MIX_PREDICTOR_LAW)
            assert_near(a->rows[q].weight, b->rows[q].weight, 1e-4);
    }
    mix_compare_destroy(a);
    mix_compare_destroy(b);
    world_destroy(&half);
    world_destroy(&eighth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_law_wins_every_holdout),
        cmocka_unit_test(test_law_that_loses_to_a_floor_is_marked),
        cmocka_unit_test(test_figures_do_not_depend_on_what_else_is_compared),
        cmocka_unit_test(test_stack_learns_nothing_from_test_rows),
        cmocka_unit_test(test_stack_of_folds_sums_to_1),
        cmocka_unit_test(test_standard_error_is_over_folds),
        cmocka_unit_test(test_every_mixture_is_in_one_fold),
        cmocka_unit_test(test_what_cannot_be_compared_is_refused),
        cmocka_unit_test(test_changed_runs_are_seen),
        cmocka_unit_test(test_scores_are_judged_beside_losses),
        cmocka_unit_test(test_links_learn_nothing_from_test_rows),
        cmocka_unit_test(test_sizes_are_of_training_losses),
        cmocka_unit_test(test_score_without_a_link_is_told),
        cmocka_unit_test(test_a_unit_has_no_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

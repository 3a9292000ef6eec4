/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Splits keep a mixture whole, hold out what they say, and depend on the seed alone. */
#include "expect.h"
#include "world.h"

#include "fit/validate.h"

/* n mixtures, each at `sizes` and two lengths. */
static struct mix_data *data_of(size_t n_mixtures, const double *sizes)
{
    struct world_plan plan = {.law = "capacity",
                              .n_domains = 3,
                              .n_targets = 3,
                              .n_mixtures = n_mixtures,
                              .lengths = {2, 8},
                              .seed = 5};
    memcpy(plan.sizes, sizes, sizeof plan.sizes);
    struct world world = world_create(&plan);
    struct mix_data *data = world_data(&world);
    world_destroy(&world);
    return data;
}

static const double one_size[WORLD_MAX] = {40}, two_sizes[WORLD_MAX] = {10, 40},
                    three_sizes[WORLD_MAX] = {10, 40, 160};

static struct splits split(const char *option, const struct mix_data *data, uint64_t seed)
{
    struct splits splits;
    struct mix_error err = {{0}};
    assert_ok(validate_splits(option, data, seed, &splits, &err), err);
    return splits;
}

/* Rows of a fold that are trained on, or tested. */
static size_t count(const struct mix_data *data, const uint8_t *rows)
{
    size_t n = 0;
    for (size_t r = 0; r < data->n_rows; r++)
        n += rows[r] == 1;
    return n;
}

static void expect_no_shared_mixture(const struct mix_data *data, const struct split *split)
{
    for (size_t f = 0; f < split->n_folds; f++) {
        const uint8_t *train = split->train + f * data->n_rows;
        const uint8_t *test = split->test + f * data->n_rows;
        assert_true(count(data, train) > 0 && count(data, test) > 0);
        for (size_t r = 0; r < data->n_rows; r++)
            for (size_t i = 0; i < data->n_rows; i++)
                assert_false(train[r] && test[i] && data->cluster[r] == data->cluster[i]);
    }
}

static void expect_largest_size_held_out(const struct mix_data *data, const struct split *split,
                                         double size)
{
    assert_true(split->scale);
    assert_int_equal(split->n_folds, 1);
    for (size_t r = 0; r < data->n_rows; r++) {
        assert_int_equal(split->test[r], data->n_params[r] == size);
        assert_int_equal(split->train[r], data->n_params[r] != size);
    }
}

static void test_mixture_splits_keep_mixtures_whole(void **state)
{
    (void)state;
    struct mix_data *data = data_of(20, three_sizes);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct splits splits = split("mixture:0.3", data, seed);
        assert_int_equal(splits.n, 1);
        assert_int_equal(splits.split[0].n_folds, 1);
        assert_string_equal(splits.split[0].kind, "mixture 30%");
        assert_false(splits.split[0].scale);
        expect_no_shared_mixture(data, &splits.split[0]);
        assert_int_equal(count(data, splits.split[0].test), 6 * 6); /* mixtures x (size, length) */
        assert_int_equal(count(data, splits.split[0].train), 14 * 6);
        validate_splits_destroy(&splits);
    }
    mix_data_destroy(data);
}

static void test_scale_split_tests_the_largest_size(void **state)
{
    (void)state;
    struct mix_data *data = data_of(5, three_sizes);
    struct splits splits = split("scale", data, 1);
    assert_int_equal(splits.n, 1);
    assert_string_equal(splits.split[0].kind, "scale 160M");
    expect_largest_size_held_out(data, &splits.split[0], 160.0);
    validate_splits_destroy(&splits);
    mix_data_destroy(data);
}

/* Every mixture of the largest size is tested there once, by a fit that saw neither. */
static void test_both_holds_out_unseen_mixtures_at_the_unseen_size(void **state)
{
    (void)state;
    struct mix_data *data = data_of(14, three_sizes);
    struct splits splits = split("both", data, 3);
    assert_int_equal(splits.n, 1);
    const struct split *both = &splits.split[0];
    assert_int_equal(both->n_folds, VALIDATE_FOLDS);
    assert_string_equal(both->kind, "scale 160M and mixture, 4 folds");
    assert_false(both->scale);
    expect_no_shared_mixture(data, both);
    for (size_t r = 0; r < data->n_rows; r++) {
        int n_tested = 0;
        for (size_t f = 0; f < both->n_folds; f++) {
            n_tested += both->test[f * data->n_rows + r];
            assert_false(both->train[f * data->n_rows + r] && data->n_params[r] == 160.0);
        }
        assert_int_equal(n_tested, data->n_params[r] == 160.0);
    }
    size_t least = data->n_rows, most = 0;
    for (size_t f = 0; f < both->n_folds; f++) {
        const size_t n = count(data, both->test + f * data->n_rows);
        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    assert_int_equal(least, 3 * 2); /* 14 mixtures in 4 folds, at two lengths each */
    assert_int_equal(most, 4 * 2);
    validate_splits_destroy(&splits);
    mix_data_destroy(data);
}

static void test_auto_chooses_by_the_number_of_sizes(void **state)
{
    (void)state;
    const double *const sizes[] = {one_size, two_sizes, three_sizes};
    for (size_t i = 0; i < 3; i++) {
        struct mix_data *data = data_of(12, sizes[i]);
        struct splits splits = split("auto", data, 1);
        if (i < 2) {
            assert_int_equal(splits.n, 1);
            assert_string_equal(splits.split[0].kind, "mixture 30%");
        } else {
            assert_int_equal(splits.n, 2);
            expect_largest_size_held_out(data, &splits.split[0], 160.0);
            assert_string_equal(splits.split[1].kind, "scale 160M and mixture, 4 folds");
        }
        validate_splits_destroy(&splits);
        mix_data_destroy(data);
    }
}

static void test_auto_on_few_mixtures(void **state)
{
    (void)state;
    struct mix_data *data = data_of(3, one_size); /* 30% of three is less than one */
    struct splits splits = split("auto", data, 1);
    assert_int_equal(splits.n, 0);
    validate_splits_destroy(&splits);
    mix_data_destroy(data);
    data = data_of(3, three_sizes); /* too few mixtures for four folds of them */
    splits = split("auto", data, 1);
    assert_int_equal(splits.n, 1);
    assert_string_equal(splits.split[0].kind, "scale 160M");
    validate_splits_destroy(&splits);
    splits = split("none", data, 1);
    assert_int_equal(splits.n, 0);
    validate_splits_destroy(&splits);
    mix_data_destroy(data);
}

/* Four folds need eight mixtures at the largest size; many runs of few mixtures are not that. */
static void test_both_counts_mixtures_and_not_runs(void **state)
{
    (void)state;
    struct mix_data *data = data_of(14, three_sizes), *part = NULL;
    struct mix_error err = {{0}};
    uint8_t *rows = zeros(data->n_rows, 1);
    for (size_t n_large = 7; n_large <= 8; n_large++) {
        for (size_t r = 0; r < data->n_rows; r++)
            rows[r] = data->n_params[r] < 160.0 || data->cluster[r] < n_large;
        assert_ok(validate_subset(data, rows, &part, &err), err);
        struct splits splits = split("auto", part, 1);
        assert_int_equal(splits.n, n_large < 8 ? 1 : 2);
        for (size_t i = 0; i < splits.n; i++)
            for (size_t f = 0; f < splits.split[i].n_folds; f++)
                assert_true(count(part, splits.split[i].test + f * part->n_rows) > 0);
        validate_splits_destroy(&splits);
        mix_data_destroy(part);
    }
    mix_data_destroy(data);
    free(rows);
}

static void test_splits_depend_on_the_seed_alone(void **state)
{
    (void)state;
    struct mix_data *data = data_of(20, three_sizes);
    static const char *const options[] = {"mixture:0.25", "both"};
    for (size_t i = 0; i < 2; i++) {
        struct splits a = split(options[i], data, 7), b = split(options[i], data, 7);
        struct splits other = split(options[i], data, 8);
        const size_t n = a.split[0].n_folds * data->n_rows;
        assert_memory_equal(a.split[0].test, b.split[0].test, n);
        assert_memory_equal(a.split[0].train, b.split[0].train, n);
        assert_true(memcmp(a.split[0].test, other.split[0].test, n) != 0);
        validate_splits_destroy(&a);
        validate_splits_destroy(&b);
        validate_splits_destroy(&other);
    }
    mix_data_destroy(data);
}

static void test_sizes_are_named_in_units_people_use(void **state)
{
    (void)state;
    const double sizes[][WORLD_MAX] = {{0.01, 0.25}, {1, 937}, {300, 7000}};
    static const char *const names[] = {"scale 250k", "scale 937M", "scale 7B"};
    for (size_t i = 0; i < 3; i++) {
        struct mix_data *data = data_of(4, sizes[i]);
        struct splits splits = split("scale", data, 1);
        assert_string_equal(splits.split[0].kind, names[i]);
        validate_splits_destroy(&splits);
        mix_data_destroy(data);
    }
}

static void expect_refusal(const struct mix_data *data, const char *option,
                           enum mix_status expected, const char *words)
{
    struct splits splits;
    struct mix_error err = {{0}};
    assert_refused(validate_splits(option, data, 1, &splits, &err), expected, err, words);
    if (strstr(err.text, option) == NULL)
        fail_msg("\"%s\" does not name %s", err.text, option);
    validate_splits_destroy(&splits);
}

static void test_early_rows_are_trained_on_and_not_tested(void **state)
{
    (void)state;
    static const char *const options[] = {"auto", "scale", "both", "mixture:0.3", "mixture:3-fold"};
    struct mix_data *data = data_of(12, three_sizes);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct splits all = split(options[i], data, 7);
        for (size_t r = 0; r < data->n_rows; r++)
            data->early[r] = data->n_tokens[r] < 5.0;
        struct splits late = split(options[i], data, 7);
        assert_int_equal(late.n, all.n);
        for (size_t s = 0; s < all.n; s++)
            for (size_t e = 0; e < all.split[s].n_folds * data->n_rows; e++) {
                assert_int_equal(late.split[s].train[e], all.split[s].train[e]);
                assert_int_equal(late.split[s].test[e],
                                 all.split[s].test[e] && !data->early[e % data->n_rows]);
            }
        assert_true(count(data, late.split[0].test) > 0);
        memset(data->early, 0, data->n_rows);
        validate_splits_destroy(&late);
        validate_splits_destroy(&all);
    }
    mix_data_destroy(data);
}

static void test_splits_that_cannot_be_made_are_refused(void **state)
{
    (void)state;
    struct mix_data *one = data_of(20, one_size), *three = data_of(20, three_sizes);
    struct mix_data *few = data_of(3, three_sizes);
    expect_refusal(three, "everything", MIX_EUSAGE, "auto, none, scale, both and mixture:F");
    expect_refusal(three, "", MIX_EUSAGE, "allowed are");
    static const char *const bad_shares[] = {"mixture",     "mixture:",     "mixture:0",
                                             "mixture:1",   "mixture:-0.3", "mixture:nan",
                                             "mixture:0.3x"};
    for (size_t i = 0; i < sizeof bad_shares / sizeof bad_shares[0]; i++)
        expect_refusal(three, bad_shares[i], MIX_EUSAGE, "between 0 and 1");
    expect_refusal(one, "scale", MIX_EINVAL, "two sizes or more");
    expect_refusal(one, "both", MIX_EINVAL, "two sizes or more");
    expect_refusal(few, "both", MIX_EINVAL, "8 mixtures at the largest size");
    expect_refusal(few, "mixture:0.1", MIX_EINVAL, "of 3 mixtures holds out 0");
    expect_refusal(few, "mixture:0.9", MIX_EINVAL, "of 3 mixtures holds out 3");
    mix_data_destroy(one);
    mix_data_destroy(three);
    mix_data_destroy(few);
}

static void test_subset_holds_the_rows_marked(void **state)
{
    (void)state;
    struct mix_data *data = data_of(6, two_sizes), *part = NULL;
    struct mix_error err = {{0}};
    uint8_t *rows = zeros(data->n_rows, 1);
    for (size_t r = 0; r < data->n_rows; r++)
        rows[r] = r % 3 == 1;
    assert_ok(validate_subset(data, rows, &part, &err), err);
    assert_int_equal(part->n_rows, count(data, rows));
    assert_int_equal(part->n_clusters, data->n_clusters);
    for (size_t r = 0, next = 0; r < data->n_rows; r++) {
        if (!rows[r])
            continue;
        assert_int_equal(part->row[next], data->row[r]);
        assert_int_equal(part->cluster[next], data->cluster[r]);
        assert_memory_equal(part->loss + next * 3, data->loss + r * 3, 3 * sizeof(double));
        assert_memory_equal(part->weight + next * 3, data->weight + r * 3, 3 * sizeof(double));
        assert_memory_equal(part->mixture + next * 3, data->mixture + r * 3, 3 * sizeof(double));
        assert_true(part->n_params[next] == data->n_params[r]);
        assert_true(part->n_tokens[next] == data->n_tokens[r]);
        next++;
    }
    mix_data_destroy(part);
    mix_data_destroy(data);
    free(rows);
}

/* The floors, on a table whose losses depend on scale alone: mean is the mean of the training rows,
 * scale-only meets them, copy-scale copies the nearest other scale of the mixture. */
static void test_floors_say_what_their_names_say(void **state)
{
    (void)state;
    struct mix_data *data = data_of(6, three_sizes);
    const size_t n_m = data->n_targets, n_e = data->n_rows * n_m;
    struct splits splits = split("scale", data, 1);
    double *predicted = numbers(n_e), mean = 0.0;
    struct mix_error err = {{0}};
    for (size_t r = 0; r < data->n_rows; r++)
        for (size_t m = 0; m < n_m; m++)
            data->loss[r * n_m + m] = 1.0 + (double)m + 2.0 * pow(data->n_params[r], -0.4) +
                                      0.7 * pow(data->n_tokens[r], -0.3);
    for (size_t r = 0; r < data->n_rows; r++)
        mean += splits.split[0].train[r] * data->loss[r * n_m] / (6 * 4);
    assert_ok(validate_floor(0, data, splits.split[0].train, 1, predicted, &err), err);
    for (size_t r = 0; r < data->n_rows; r++)
        assert_near(predicted[r * n_m], mean, 1e-12);
    assert_ok(validate_floor(1, data, splits.split[0].train, 1, predicted, &err), err);
    for (size_t e = 0; e < n_e; e++)
        if (splits.split[0].train[e / n_m])
            assert_near(predicted[e], data->loss[e], 1e-4);
        else
            assert_true(isfinite(predicted[e]));
    assert_ok(validate_floor(2, data, splits.split[0].train, 1, predicted, &err), err);
    for (size_t r = 0; r < data->n_rows; r++) {
        if (data->n_params[r] != 160.0)
            continue;
        for (size_t i = 0; i < data->n_rows; i++)
            if (data->cluster[i] == data->cluster[r] && data->n_params[i] == 40.0 &&
                data->n_tokens[i] == data->n_tokens[r])
                assert_memory_equal(predicted + r * n_m, data->loss + i * n_m,
                                    n_m * sizeof(double));
    }
    validate_splits_destroy(&splits);
    mix_data_destroy(data);
    free(predicted);
}

/* A mixture seen at no other scale cannot be copied. */
static void test_copy_floor_without_a_smaller_run(void **state)
{
    (void)state;
    struct mix_data *data = data_of(12, three_sizes);
    struct splits splits = split("both", data, 1);
    double *predicted = numbers(data->n_rows * data->n_targets);
    struct mix_error err = {{0}};
    assert_ok(validate_floor(2, data, splits.split[0].train, 1, predicted, &err), err);
    for (size_t r = 0; r < data->n_rows; r++)
        if (splits.split[0].test[r])
            assert_true(isnan(predicted[r * data->n_targets]));
    validate_splits_destroy(&splits);
    mix_data_destroy(data);
    free(predicted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixture_splits_keep_mixtures_whole),
        cmocka_unit_test(test_scale_split_tests_the_largest_size),
        cmocka_unit_test(test_both_holds_out_unseen_mixtures_at_the_unseen_size),
        cmocka_unit_test(test_auto_chooses_by_the_number_of_sizes),
        cmocka_unit_test(test_auto_on_few_mixtures),
        cmocka_unit_test(test_both_counts_mixtures_and_not_runs),
        cmocka_unit_test(test_splits_depend_on_the_seed_alone),
        cmocka_unit_test(test_sizes_are_named_in_units_people_use),
        cmocka_unit_test(test_early_rows_are_trained_on_and_not_tested),
        cmocka_unit_test(test_splits_that_cannot_be_made_are_refused),
        cmocka_unit_test(test_subset_holds_the_rows_marked),
        cmocka_unit_test(test_floors_say_what_their_names_say),
        cmocka_unit_test(test_copy_floor_without_a_smaller_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

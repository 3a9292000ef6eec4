/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a selection takes, and which `where` is refused. */
#include "mixsweep/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/runs.h"

/* Domains code, web; targets web, code, exam. Two runs with checkpoints at 1e9 and 2e9, one short
 * larger one, one failed, one excluded. */
static struct mix_table *sample(void)
{
    static const struct {
        const char *run;
        double n_params, n_tokens, code;
        uint64_t seed;
    } rows[] = {
        {"a", 1e6, 1e9, 0.05, 0}, {"a", 1e6, 2e9, 0.05, 0}, {"b", 1e6, 1e9, 0.5, 0},
        {"b", 1e6, 2e9, 0.5, 0},  {"c", 7e6, 1e9, 0.5, 5},  {"d", 1e6, 1e9, 0.9, 0},
        {"e", 1e6, 1e9, 0.8, 0},
    };
    struct mix_table *table = mix_table_create(2, 3);
    assert_non_null(table);
    snprintf(table->domains[0].name, MIX_NAME_MAX, "%s", "code");
    snprintf(table->domains[1].name, MIX_NAME_MAX, "%s", "web");
    snprintf(table->targets[0].name, MIX_NAME_MAX, "%s", "web");
    snprintf(table->targets[1].name, MIX_NAME_MAX, "%s", "code");
    snprintf(table->targets[2].name, MIX_NAME_MAX, "%s", "exam");
    mix_table_link_targets(table);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t r = mix_table_append(table);
        snprintf(table->runs[r].run, MIX_NAME_MAX, "%s", rows[i].run);
        table->runs[r].n_params = rows[i].n_params;
        table->runs[r].n_tokens = rows[i].n_tokens;
        table->runs[r].seed = rows[i].seed;
        table->mixture[2 * r] = rows[i].code;
        table->mixture[2 * r + 1] = 1 - rows[i].code;
        for (size_t m = 0; m < 3; m++)
            table->loss[3 * r + m] = (double)(10 * r + m);
    }
    table->loss[3 * 3] = NAN;
    table->runs[5].status = MIX_RUN_FAILED;
    table->runs[6].excluded = 1;
    assert_int_equal(mix_table_finish(table, NULL), MIX_OK);
    return table;
}

static struct mix_data *pick(const struct mix_table *table, struct mix_selection selection)
{
    struct mix_data *data = NULL;
    struct mix_error err = {.text = ""};
    const enum mix_status status = mix_table_select(table, &selection, &data, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(status, MIX_OK);
    return data;
}

/* What was misspelt is wrong use; that nothing is left is not. */
static void refuse(const struct mix_table *table, struct mix_selection selection,
                   enum mix_status expected, const char *sentence)
{
    struct mix_data *data = NULL;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_table_select(table, &selection, &data, &err), expected);
    assert_null(data);
    if (strstr(err.text, sentence) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, sentence);
}

static void test_select_defaults(void **state)
{
    (void)state;
    struct mix_table *table = sample();
    struct mix_data *data = pick(table, (struct mix_selection){.targets = "domains"});
    assert_int_equal(data->n_rows, 3); /* last of a, b, c; d failed, e is excluded */
    assert_int_equal(data->row[0], 1);
    assert_int_equal(data->row[1], 3);
    assert_int_equal(data->row[2], 4);
    assert_int_equal(data->n_targets, 2);
    assert_int_equal(data->target_domain[0], 1);
    assert_int_equal(data->target_domain[1], 0);
    assert_int_equal(data->n_clusters, 2);
    assert_int_equal(data->cluster[0], 0);
    assert_int_equal(data->cluster[1], 1);
    assert_int_equal(data->cluster[2], 1);
    assert_true(data->n_params[2] == 7.0 && data->n_tokens[1] == 2.0);
    assert_true(data->loss[1] == 11.0 && data->weight[1] == 1.0);
    assert_true(isnan(data->loss[2]) && data->weight[2] == 0.0); /* not measured */
    assert_int_equal(data->n_intermediate, 0);
    mix_data_destroy(data);
    mix_data_destroy(NULL);
    mix_table_destroy(table);
}

static void test_select_checkpoints_and_mask(void **state)
{
    (void)state;
    struct mix_table *table = sample();
    struct mix_data *data = pick(table, (struct mix_selection){
                                            .targets = "exam, code",
                                            .checkpoints = MIX_CHECKPOINTS_ALL,
                                            .mask_below = 0.1,
                                        });
    assert_int_equal(data->n_rows, 5);
    assert_int_equal(data->n_intermediate, 2);
    assert_int_equal(data->target[0], 2);
    assert_int_equal(data->target_domain[0], -1);
    assert_true(data->weight[0] == 1.0); /* exam is no domain: never masked */
    assert_true(data->weight[1] == 0.0 && data->loss[1] == 1.0); /* h_code = 0.05 */
    assert_true(data->weight[5] == 1.0);
    mix_data_destroy(data);
    /* the last of the rows that pass, which is an intermediate one */
    data = pick(table, (struct mix_selection){.where = "n_tokens=1e9", .targets = "all"});
    assert_int_equal(data->n_rows, 3);
    assert_int_equal(data->row[0], 0);
    assert_int_equal(data->n_intermediate, 2);
    assert_int_equal(data->n_targets, 3);
    mix_data_destroy(data);
    mix_table_destroy(table);
}

static void test_late_checkpoints_are_fitted_only(void **state)
{
    (void)state;
    static const size_t rows[] = {0, 1, 3, 4};
    struct mix_table *table = sample();
    table->runs[0].n_tokens = 1.3e9; /* of 2e9; that of b, at half, is too early */
    struct mix_data *data =
        pick(table, (struct mix_selection){.targets = "all", .checkpoints = MIX_CHECKPOINTS_LATE});
    assert_int_equal(data->n_rows, 4);
    for (size_t r = 0; r < 4; r++) {
        assert_int_equal(data->row[r], rows[r]);
        assert_int_equal(data->early[r], r == 0);
    }
    mix_data_destroy(data);
    /* the end is that of the rows which pass */
    data = pick(table, (struct mix_selection){.where = "n_tokens<2e9",
                                              .targets = "all",
                                              .checkpoints = MIX_CHECKPOINTS_LATE});
    assert_int_equal(data->n_rows, 3);
    for (size_t r = 0; r < 3; r++)
        assert_int_equal(data->early[r], 0);
    mix_data_destroy(data);
    enum mix_checkpoints which = MIX_CHECKPOINTS_ALL;
    for (int i = 0; i < (int)MIX_N_CHECKPOINTS; i++) {
        assert_true(mix_checkpoints_read(mix_checkpoints_name((enum mix_checkpoints)i), &which));
        assert_int_equal(which, i);
    }
    assert_false(mix_checkpoints_read("lates", &which));
    mix_table_destroy(table);
}

static void test_where_terms(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        const char *rows; /* of a a b b c d e */
    } cases[] = {
        {"", "1111111"},
        {" ", "1111111"},
        {"n_params=1e6", "1111011"},
        {"n_params==1000000", "1111011"},
        {"n_params=1000000.0000001", "1111011"}, /* within 1e-9 relative */
        {"n_params=1000001", "0000000"},
        {"n_params != 1e6", "0000100"},
        {"n_params<1000000.0000001", "0000000"}, /* equal is not less */
        {"n_params<=999999.9999999,n_tokens>1e9", "0101000"},
        {"n_tokens>=2e9", "0101000"},
        {"h_code>0.5", "0000011"},
        {"h_code=0.5, h_web>=0.5", "0011100"},
        {"run=b", "0011000"},
        {"run!=b,run != a", "0000111"},
        {"seed=5", "0000100"},
        {"seed<1", "1111011"},
    };
    struct mix_table *table = sample();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t r = 0; r < 7; r++) {
            bool pass = false;
            struct mix_error err = {.text = ""};
            assert_int_equal(mix_table_where(table, cases[i].where, r, &pass, &err), MIX_OK);
            if (pass != (cases[i].rows[r] == '1'))
                fail_msg("\"%s\" row %zu", cases[i].where, r);
        }
    mix_table_destroy(table);
}

static void test_where_is_refused(void **state)
{
    (void)state;
    struct mix_table *table = sample();
    refuse(table, (struct mix_selection){.where = "n_params"}, MIX_EUSAGE,
           "\"n_params\" is not COLUMN OP");
    refuse(table, (struct mix_selection){.where = "n_params=1e6,"}, MIX_EUSAGE,
           "\"\" is not COLUMN OP");
    refuse(table, (struct mix_selection){.where = "=3"}, MIX_EUSAGE, "is not COLUMN OP");
    refuse(table, (struct mix_selection){.where = "n_parms=3"}, MIX_EUSAGE,
           "no column \"n_parms\"; allowed");
    refuse(table, (struct mix_selection){.where = "h_books=3"}, MIX_EUSAGE,
           "no column \"h_books\"");
    refuse(table, (struct mix_selection){.where = "n_params=nan"}, MIX_EUSAGE,
           "\"nan\" is not a finite");
    refuse(table, (struct mix_selection){.where = "n_params=0x10"}, MIX_EUSAGE,
           "\"0x10\" is not a finite");
    refuse(table, (struct mix_selection){.where = "n_params=1e999"}, MIX_EUSAGE,
           "is not a finite number");
    refuse(table, (struct mix_selection){.where = "n_params=<3"}, MIX_EUSAGE,
           "\"<3\" is not a finite");
    refuse(table, (struct mix_selection){.where = "run<b"}, MIX_EUSAGE,
           "run can only be compared by =");
    refuse(table, (struct mix_selection){.where = "n_params=5e6"}, MIX_EINVAL,
           "leaves none of 5 runs; they have n_params 1000000 to 7000000");
    bool pass = true;
    assert_int_equal(mix_table_where(table, "x=1", 0, &pass, NULL), MIX_EUSAGE);
    mix_table_destroy(table);
}

static void test_targets_are_refused(void **state)
{
    (void)state;
    struct mix_table *table = sample();
    refuse(table, (struct mix_selection){.targets = "code,books"}, MIX_EUSAGE,
           "no target \"books\"; the table has web, code, exam");
    refuse(table, (struct mix_selection){.targets = "code,code"}, MIX_EUSAGE,
           "\"code\" is named twice");
    refuse(table, (struct mix_selection){.targets = "code,"}, MIX_EUSAGE, "no target \"\"");
    table->targets[0].domain = table->targets[1].domain = -1;
    refuse(table, (struct mix_selection){.targets = "domains"}, MIX_EINVAL,
           "--targets all takes all of 3");
    for (size_t r = 0; r < table->n_rows; r++)
        table->runs[r].excluded = 1;
    refuse(table, (struct mix_selection){.targets = "all"}, MIX_EINVAL,
           "all failed or are excluded");
    mix_table_destroy(table);
}

static void test_numbers_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double number; /* NaN = refused */
    } cases[] = {
        {"7e9", 7e9},
        {"2.2T", 2.2e12},
        {"-1.5K", -1500},
        {"60_000_000", 6e7},
        {"40M", 4e7},
        {".5B", 5e8},
        {"", NAN},
        {"B", NAN},
        {"7BB", NAN},
        {"7e9B", NAN},
        {"1__0", NAN},
        {"_1", NAN},
        {"1_", NAN},
        {"7b", NAN},
        {"0x10", NAN},
        {"1e999", NAN},
        {"nan", NAN},
        {"inf", NAN},
        {"1 ", NAN},
        {"9e306K", NAN},
        {"1_000.5M", 1000.5e6},
        {"11111111111111111111111111111111111111111111111111111111111111111", NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double number = -7;
        assert_int_equal(mix_number_read(cases[i].text, &number), !isnan(cases[i].number));
        assert_true(number == (isnan(cases[i].number) ? -7 : cases[i].number));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select_defaults),
        cmocka_unit_test(test_numbers_as_people_write_them),
        cmocka_unit_test(test_select_checkpoints_and_mask),
        cmocka_unit_test(test_late_checkpoints_are_fitted_only),
        cmocka_unit_test(test_where_terms),
        cmocka_unit_test(test_where_is_refused),
        cmocka_unit_test(test_targets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

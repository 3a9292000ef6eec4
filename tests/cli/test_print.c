/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables, sizes and durations as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "cli/cli.h"
#include "mixsweep/interval.h"

static void assert_size(double value, const char *expected)
{
    char text[16];
    assert_string_equal(cli_size(value, text), expected);
}

static void test_print_sizes_have_four_digits_at_most(void **state)
{
    (void)state;
    assert_size(1.3e9, "1.3B");
    assert_size(122e6, "122M");
    assert_size(9.998e9, "9.998B");
    assert_size(5e5, "500k");
    assert_size(2e12, "2T");
    assert_size(1e6, "1M");
    assert_size(999.96e6, "1B"); /* not 1000M */
    assert_size(0.0, "0");
    assert_size(42.0, "42");
    assert_size(3.1e14, "310T");
    assert_size(1e300, "1e+288T");
    assert_size(NAN, "?");
    assert_size(INFINITY, "?");
}

static void assert_duration(double seconds, const char *expected)
{
    char text[16];
    assert_string_equal(cli_duration(seconds, text), expected);
}

static void test_print_durations_never_show_sixty(void **state)
{
    (void)state;
    assert_duration(0.0, "0.0s");
    assert_duration(0.44, "0.4s");
    assert_duration(9.96, "10s");
    assert_duration(59.7, "1m00s");
    assert_duration(108.0, "1m48s");
    assert_duration(3599.6, "1h00m");
    assert_duration(90000.0, "1d01h");
    assert_duration(NAN, "?");
    assert_duration(-1.0, "?");
    assert_duration(1e300, "?");
}

static void test_print_table_aligns_utf8(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct cli_table *table = cli_table_create(3);
    cli_table_cell(table, "domain");
    cli_table_cell(table, "ρ");
    cli_table_cell(table, "90%% interval");
    cli_table_cell(table, "%s", "é");
    cli_table_cell(table, "%.2f", 0.5);
    cli_table_cell(table, "%.1f … %.1f", 0.2, 0.8);
    cli_table_cell(table, "b"); /* lines do not end in blanks */
    cli_table_cell(table, "%s", "");
    cli_table_cell(table, "%s", "");
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    fclose(out);
    assert_string_equal(text, "  domain     ρ  90% interval\n"
                              "  é       0.50     0.2 … 0.8\n"
                              "  b\n");
    free(text);
}

static void test_print_table_without_rows_or_memory(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct cli_table *table = cli_table_create(2);
    cli_table_print(table, out, "");
    cli_table_cell(NULL, "x");
    cli_table_print(NULL, out, "");
    cli_table_destroy(table);
    cli_table_destroy(NULL);
    fclose(out);
    assert_string_equal(text, "(no memory for this table)\n");
    free(text);
}

static void test_print_json_numbers(void **state)
{
    (void)state;
    json_t *number = cli_json_number(0.25), *none = cli_json_number(NAN);
    assert_true(json_real_value(number) == 0.25);
    assert_true(json_is_null(none));
    json_decref(number);
    json_decref(none);
}

static void assert_budget_says(const struct mix_error_budget *budget, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cli_print_budget(out, budget);
    fclose(out);
    if (strstr(text, expected) == NULL)
        fail_msg("no \"%s\" in:\n%s", expected, text);
    free(text);
}

/* No error seen beyond the fitted scales is not an error of 0. */
static void test_print_extrapolation_without_error_is_words(void **state)
{
    (void)state;
    struct mix_error_budget b = {.law = NAN, .reach = 5.0, .n_origins = 1};
    assert_budget_says(&b, "extrapolation          not told apart from noise, in 1 step of the "
                           "rolling origin\n");
    b.n_origins = 3;
    assert_budget_says(&b, "in 3 steps of");
    b.scale = 0.01;
    assert_budget_says(&b, "extrapolation          0.0100\n");
    b.scale = b.reach = 0.0; /* within what was fitted */
    assert_budget_says(&b, "extrapolation          0.0000\n");
    assert_budget_says(&b, "all that is known      0.0000\n");
    b = (struct mix_error_budget){.law = NAN, .scale = NAN, .reach = NAN, .total = NAN};
    assert_budget_says(&b, "extrapolation          not known: no held-out size was tested");
    assert_budget_says(&b, "all that is known      nothing\n");
    b.blind = MIX_BLIND_TO_SIZE;
    assert_budget_says(&b, "extrapolation          not known: the law does not depend on size\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print_sizes_have_four_digits_at_most),
        cmocka_unit_test(test_print_durations_never_show_sixty),
        cmocka_unit_test(test_print_table_aligns_utf8),
        cmocka_unit_test(test_print_table_without_rows_or_memory),
        cmocka_unit_test(test_print_json_numbers),
        cmocka_unit_test(test_print_extrapolation_without_error_is_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

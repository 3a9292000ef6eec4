/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options by their tables: what is read, what is refused and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"

struct parsed {
    bool flag, help;
    const char *text;
    struct cli_list list;
    double number;
    size_t count;
    uint64_t seed;
    const char *words[2];
    enum mix_status status;
    struct mix_error err;
};

static const struct cli_verb verb = {.name = "try", .summary = "try", .synopsis = "A [B]"};

static struct parsed parse(char **argv)
{
    struct parsed p = {.number = -1.0, .count = 7, .seed = 5};
    const struct cli_option options[] = {
        {.name = "flag", .letter = 'f', .kind = CLI_FLAG, .target = &p.flag},
        {.name = "text", .letter = 't', .value = "TEXT", .kind = CLI_TEXT, .target = &p.text},
        {.name = "list", .value = "TEXT", .kind = CLI_TEXT_LIST, .target = &p.list},
        {.name = "number",
         .value = "N",
         .kind = CLI_NUMBER,
         .target = &p.number,
         .min = 0.5,
         .max = 2.5},
        {.name = "count",
         .value = "N",
         .kind = CLI_COUNT,
         .target = &p.count,
         .min = 1,
         .max = 1e6},
        {.name = "seed", .value = "SEED", .kind = CLI_SEED, .target = &p.seed},
        {.name = NULL}};
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    p.status = cli_parse(&verb, options, argc, argv, 1, 2, p.words, &p.help, &p.err);
    return p;
}
#define PARSE(...) parse((char *[]){"try", __VA_ARGS__, NULL})

static void assert_refused(const struct parsed *p, const char *words)
{
    assert_int_equal(p->status, MIX_EUSAGE);
    if (strstr(p->err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", p->err.text, words);
}

static void test_options_defaults_stay(void **state)
{
    (void)state;
    const struct parsed p = PARSE("a.h5");
    assert_int_equal(p.status, MIX_OK);
    assert_string_equal(p.words[0], "a.h5");
    assert_null(p.words[1]);
    assert_false(p.flag);
    assert_null(p.text);
    assert_true(p.number == -1.0);
    assert_int_equal(p.count, 7);
    assert_int_equal(p.seed, 5);
}

static void test_options_every_kind_and_spelling(void **state)
{
    (void)state;
    const struct parsed p =
        PARSE("-f", "a", "--text=x=y", "--list", "--one", "--list=two", "--number", "1.25e0",
              "--count=1e3", "--seed", "18446744073709551615", "b");
    assert_int_equal(p.status, MIX_OK);
    assert_true(p.flag);
    assert_string_equal(p.text, "x=y");
    assert_int_equal(p.list.n, 2);
    assert_string_equal(p.list.item[0], "--one");
    assert_string_equal(p.list.item[1], "two");
    assert_true(p.number == 1.25);
    assert_int_equal(p.count, 1000);
    assert_true(p.seed == UINT64_MAX);
    assert_string_equal(p.words[0], "a");
    assert_string_equal(p.words[1], "b");
    const struct parsed q = PARSE("-tjoined", "--", "--flag", "-");
    assert_int_equal(q.status, MIX_OK);
    assert_string_equal(q.text, "joined");
    assert_string_equal(q.words[0], "--flag");
    assert_string_equal(q.words[1], "-");
    assert_false(q.flag);
}

static void test_options_refused_with_the_reason(void **state)
{
    (void)state;
    struct parsed p = PARSE("a", "--numbre", "1");
    assert_refused(&p, "did you mean --number?");
    p = PARSE("a", "--num", "1");
    assert_refused(&p, "did you mean --number?");
    p = PARSE("a", "--zzzzzz");
    assert_refused(&p, "there is no option --zzzzzz.");
    p = PARSE("a", "-x");
    assert_refused(&p, "there is no option -x");
    p = PARSE("a", "--flag=yes");
    assert_refused(&p, "--flag takes no value");
    p = PARSE("a", "--text");
    assert_refused(&p, "--text needs a value: TEXT.");
    p = PARSE("--flag");
    assert_refused(&p, "try A [B]");
    p = PARSE("a", "b", "c");
    assert_refused(&p, "one word too many, \"c\"");
}

static void test_options_numbers_are_strict(void **state)
{
    (void)state;
    const char *const bad_numbers[] = {"",    "x",   "1x", " 1",    "0x1p0", "inf",
                                       "nan", "0.4", "3",  "1e999", "1,5",   "--"};
    for (size_t i = 0; i < sizeof bad_numbers / sizeof bad_numbers[0]; i++) {
        const struct parsed p = PARSE("a", "--number", (char *)bad_numbers[i]);
        assert_refused(&p, "a number from 0.5 to 2.5");
    }
    const char *const bad_counts[] = {"0", "-1", "1.5", "1e7", "1e30", "many", "1e-3"};
    for (size_t i = 0; i < sizeof bad_counts / sizeof bad_counts[0]; i++) {
        const struct parsed p = PARSE("a", "--count", (char *)bad_counts[i]);
        assert_refused(&p, "a whole number from 1 to 1e+06");
    }
    const char *const bad_seeds[] = {"", "-1", "1e3", "18446744073709551616", "+1", "0x1"};
    for (size_t i = 0; i < sizeof bad_seeds / sizeof bad_seeds[0]; i++) {
        const struct parsed p = PARSE("a", "--seed", (char *)bad_seeds[i]);
        assert_refused(&p, "--seed");
    }
}

static void test_options_list_is_bounded(void **state)
{
    (void)state;
    char *argv[CLI_LIST_MAX + 4] = {"try", "a"};
    for (size_t i = 2; i < CLI_LIST_MAX + 3; i++)
        argv[i] = "--list=x";
    const struct parsed p = parse(argv);
    assert_refused(&p, "--list is given more than 64 times");
}

static void test_options_assignment(void **state)
{
    (void)state;
    char name[MIX_NAME_MAX];
    double value = 0.0;
    struct mix_error err = {.text = ""};
    assert_int_equal(cli_parse_assignment("cap", "a=b=.25", name, &value, &err), MIX_OK);
    assert_string_equal(name, "a=b");
    assert_true(value == 0.25);
    const char *const bad[] = {"", "a", "=1", "a=", "a=x", "a=1 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(cli_parse_assignment("cap", bad[i], name, &value, &err), MIX_EUSAGE);
    char long_name[MIX_NAME_MAX + 3];
    memset(long_name, 'n', sizeof long_name);
    strcpy(long_name + MIX_NAME_MAX, "=1");
    assert_int_equal(cli_parse_assignment("cap", long_name, name, &value, &err), MIX_EUSAGE);
    assert_int_equal(cli_parse_assignment("cap", long_name + 1, name, &value, &err), MIX_OK);
}

static void test_options_nearest(void **state)
{
    (void)state;
    const char *const names[] = {"holdout", "starts", "seed", "format"};
    assert_string_equal(cli_nearest("holdotu", names, 4), "holdout");
    assert_string_equal(cli_nearest("start", names, 4), "starts");
    assert_string_equal(cli_nearest("fromat", names, 4), "format");
    assert_null(cli_nearest("bootstrap", names, 4));
    assert_null(cli_nearest("", names, 4));
    char long_word[5000];
    memset(long_word, 'x', sizeof long_word);
    long_word[sizeof long_word - 1] = '\0';
    assert_null(cli_nearest(long_word, names, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_defaults_stay),
        cmocka_unit_test(test_options_every_kind_and_spelling),
        cmocka_unit_test(test_options_refused_with_the_reason),
        cmocka_unit_test(test_options_numbers_are_strict),
        cmocka_unit_test(test_options_list_is_bounded),
        cmocka_unit_test(test_options_assignment),
        cmocka_unit_test(test_options_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

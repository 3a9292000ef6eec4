/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results of commands: what is taken, what is kept, what is refused and why. */
#include "sweep/sweep_help.h"

#include "sweep/result.h"

static const char job_text[] = "job: j\nfile: j.h5\n"
                               "domains: [{name: web, supply_tokens: 1e9}, {name: code}]\n"
                               "design: {mixtures: 1}\n"
                               "scales: [{n_params: 1e6, n_tokens: 2e9, checkpoints: [1e9, 2e9]}]\n"
                               "sweep: {evaluator: command, command: {argv: [x], loss_range: [0, "
                               "50]}}\n";

/* The planned run of the job, and rows for it. */
struct place {
    struct mix_job *job;
    struct mix_plan *plan;
    struct mix_request request;
    struct mix_table *rows;
    struct mix_error err;
};

static void open_place(struct place *at)
{
    struct mix_planned planned;
    *at = (struct place){.job = parse(job_text)};
    assert_int_equal(mix_plan_create(at->job, &at->plan, &at->err), MIX_OK);
    mix_plan_run(at->plan, 0, &planned);
    at->request = (struct mix_request){.job = at->job,
                                       .scale = &at->job->scales[0],
                                       .run = planned.run,
                                       .mixture = planned.mixture};
    at->rows = mix_table_create(2, 2);
    assert_non_null(at->rows);
}

static void close_place(struct place *at)
{
    mix_table_destroy(at->rows);
    mix_plan_destroy(at->plan);
    mix_job_destroy(at->job);
}

static enum mix_status take(struct place *at, const char *text)
{
    at->err.text[0] = '\0';
    mix_result_drop(at->rows, 0);
    return mix_result_parse(&at->request, text, strlen(text), at->rows, &at->err);
}

static void test_result_of_the_end(void **state)
{
    (void)state;
    struct place at;
    open_place(&at);
    static const char *const texts[] = {
        "{\"loss\": {\"web\": 2.5, \"code\": 1}}",
        "{\"code\": 1.0, \"web\": 2.5}",
        " {\"tokens\": 1.99e9, \"loss\": {\"web\": 2.5, \"code\": 1, \"other\": 7}}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(take(&at, texts[i]), MIX_OK);
        assert_int_equal(at.rows->n_rows, 1);
        assert_true(at.rows->loss[0] == 2.5 && at.rows->loss[1] == 1);
        assert_true(isnan(at.rows->loss_se[0]));
        assert_true(at.rows->runs[0].n_tokens == 2e9);
        assert_int_equal(at.rows->runs[0].is_final, 1);
        assert_true(at.rows->epochs[0] == at.request.mixture[0] * 2e9 / 1e9);
    }
    assert_string_equal(at.rows->metadata[0], "{\"tokens\":1990000000.0,\"loss\":{\"other\":7}}");
    /* not measured: said so, or with nothing that could be its misspelling */
    static const char *const without[] = {
        "{\"loss\": {\"web\": 2.5, \"code\": null, \"other\": 7}}",
        "{\"loss\": {\"web\": 2.5}, \"other\": 7}",
        "{\"web\": 2.5, \"other\": 7}",
    };
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        assert_int_equal(take(&at, without[i]), MIX_OK);
        assert_true(at.rows->loss[0] == 2.5 && isnan(at.rows->loss[1]));
    }
    close_place(&at);
}

static void test_result_checkpoints(void **state)
{
    (void)state;
    struct place at;
    open_place(&at);
    assert_int_equal(
        take(&at, "{\"checkpoints\": [{\"tokens\": 0.5e9, \"loss\": {\"web\": 4}, \"lr\": 0.1},\n"
                  "{\"n_tokens\": 1e9, \"loss\": {\"web\": 3}, \"loss_se\": {\"web\": 0.01}},\n"
                  "{\"tokens\": 1.995e9, \"loss\": {\"web\": 2, \"code\": null}}], \"seed\": 7}"),
        MIX_OK);
    assert_int_equal(at.rows->n_rows, 3);
    static const double tokens[] = {0.5e9, 1e9, 2e9}, losses[] = {4, 3, 2};
    for (size_t r = 0; r < 3; r++) {
        assert_true(at.rows->runs[r].n_tokens == tokens[r]);
        assert_true(at.rows->loss[2 * r] == losses[r] && isnan(at.rows->loss[2 * r + 1]));
        assert_int_equal(at.rows->runs[r].is_final, r == 2);
        assert_true(fabs(at.rows->runs[r].flops - 6e6 * tokens[r]) < 1);
    }
    assert_true(at.rows->loss_se[2] == 0.01);
    assert_string_equal(at.rows->metadata[0], "{\"lr\":0.1}");
    assert_null(at.rows->metadata[1]);
    assert_string_equal(at.rows->metadata[2], "{\"tokens\":1995000000.0,\"seed\":7}");
    close_place(&at);
}

static void test_result_takes_what_the_run_really_was(void **state)
{
    (void)state;
    struct place at;
    open_place(&at);
    assert_int_equal(take(&at, "{\"web\": 2, \"mixture\": {\"web\": 0.25, \"code\": 0.7501}, "
                               "\"epochs\": {\"web\": 1.5}, \"flops\": 1e17, "
                               "\"n_params_non_embedding\": 9e5, \"n_params\": 1.01e6}"),
                     MIX_OK);
    assert_true(fabs(at.rows->mixture[0] - 0.25 / 1.0001) < 1e-15);
    assert_true(fabs(at.rows->mixture[0] + at.rows->mixture[1] - 1) < 1e-15);
    assert_memory_equal(at.rows->asked, at.request.mixture, 2 * sizeof(double));
    assert_true(at.rows->epochs[0] == 1.5);
    assert_true(at.rows->runs[0].flops == 1e17);
    assert_true(at.rows->runs[0].n_params_non_embedding == 9e5);
    /* n_params is part of what the run is */
    assert_true(at.rows->runs[0].n_params == 1e6);
    assert_string_equal(at.rows->metadata[0], "{\"n_params\":1010000.0}");
    /* what is not sane stays where it is */
    assert_int_equal(take(&at, "{\"web\": 2, \"mixture\": {\"web\": 0.5, \"code\": 0.6}, "
                               "\"flops\": -1, \"epochs\": {\"code\": -2}}"),
                     MIX_OK);
    assert_memory_equal(at.rows->mixture, at.request.mixture, 2 * sizeof(double));
    assert_string_equal(at.rows->metadata[0],
                        "{\"mixture\":{\"web\":0.5,\"code\":0.6},\"flops\":-1,"
                        "\"epochs\":{\"code\":-2}}");
    close_place(&at);
}

static void test_result_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mix_status status;
        const char *says;
    } cases[] = {
        {"", MIX_EFORMAT, "it is not JSON"},
        {"loss: 3", MIX_EFORMAT, "it is not JSON: line 1"},
        {"{\"web\": 1", MIX_EFORMAT, "it is not JSON"},
        {"{\"web\": 1} trailing", MIX_EFORMAT, "it is not JSON"},
        {"{\"web\": 1, \"web\": 2}", MIX_EFORMAT, "it is not JSON"},
        {"{\"web\": \"\xff\"}", MIX_EFORMAT, "it is not JSON"},
        {"[1, 2]", MIX_EFORMAT, "not an object"},
        {"{}", MIX_EFORMAT, "neither \"loss\": {...} nor \"checkpoints\""},
        {"{\"wbe\": 1}", MIX_EFORMAT, "nor a target (web, code)"},
        {"{\"loss\": 3}", MIX_EFORMAT, "neither \"loss\": {...}"},
        {"{\"loss\": {}}", MIX_EFORMAT, "no loss of any target (web, code)"},
        {"{\"loss\": {\"web\": null}}", MIX_EFORMAT, "no loss of any target"},
        {"{\"web\": \"abc\"}", MIX_EFORMAT, "the loss of web is not a number"},
        {"{\"loss\": {\"web\": 1, \"cdoe\": 2}}", MIX_EFORMAT,
         "no target is called \"cdoe\"; code has no loss"},
        {"{\"checkpoints\": [{\"tokens\": 2e9, \"loss\": {\"wbe\\n\": 1, \"code\": 2}}]}",
         MIX_EFORMAT, "no target is called \"wbe"},
        {"{\"web\": 1, \"mixture\": {\"web\": 1}}", MIX_EFORMAT,
         "code has no share in \"mixture\""},
        {"{\"web\": 1, \"mixture\": {}}", MIX_EFORMAT, "web has no share in \"mixture\""},
        {"{\"web\": 1, \"mixture\": {\"web\": 0.5, \"cdoe\": 0.5}}", MIX_EFORMAT,
         "no domain is called \"cdoe\"; code has no share in \"mixture\""},
        {"{\"web\": 1, \"mixture\": {\"web\": 0.5, \"code\": 0.5, \"x\": 0}}", MIX_EFORMAT,
         "no domain is called \"x\""},
        {"{\"web\": true}", MIX_EFORMAT, "the loss of web is not a number"},
        {"{\"web\": NaN}", MIX_ENUMERIC, "the loss of web is not finite"},
        {"{\"loss\": {\"code\": -Infinity}}", MIX_ENUMERIC, "the loss of code is not finite"},
        {"{\"web\": \"NaN\"}", MIX_ENUMERIC, "the loss of web is not finite"},
        {"{\"web\": 1e999}", MIX_EFORMAT, "it is not JSON"},
        {"{\"web\": 51}", MIX_ENUMERIC, "the loss of web, 51, is outside 0 to 50"},
        {"{\"web\": -0.5}", MIX_ENUMERIC, "the loss of web, -0.5, is outside"},
        {"{\"web\": 1, \"tokens\": 1e9}", MIX_EFORMAT, "ends at 1e+09 tokens, not at the 2e+09"},
        {"{\"checkpoints\": []}", MIX_EFORMAT, "not a list with entries"},
        {"{\"checkpoints\": [3]}", MIX_EFORMAT, "checkpoint 1 is not of the form"},
        {"{\"checkpoints\": [{\"loss\": {\"web\": 1}}]}", MIX_EFORMAT, "checkpoint 1 is not"},
        {"{\"checkpoints\": [{\"tokens\": 1e9, \"loss\": {\"web\": 1}}]}", MIX_EFORMAT,
         "ends at 1e+09 tokens"},
        {"{\"checkpoints\": [{\"tokens\": 3e9, \"loss\": {\"web\": 1}}]}", MIX_EFORMAT,
         "ends at 3e+09 tokens"},
        {"{\"checkpoints\": [{\"tokens\": 1.99e9, \"loss\": {\"web\": 1}}, "
         "{\"tokens\": 2e9, \"loss\": {\"web\": 1}}]}",
         MIX_EFORMAT, "checkpoint 2 at 2e+09 tokens does not follow"},
        {"{\"checkpoints\": [{\"tokens\": 1e9, \"loss\": {\"web\": 1}}, "
         "{\"tokens\": 2e9, \"loss\": {\"web\": NaN}}]}",
         MIX_ENUMERIC, "the loss of web is not finite"},
    };
    struct place at;
    open_place(&at);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(take(&at, cases[i].text), cases[i].status);
        if (!strstr(at.err.text, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, at.err.text, cases[i].says);
        assert_int_equal(at.rows->n_rows, 0);
    }
    close_place(&at);
}

static void test_result_too_long(void **state)
{
    (void)state;
    struct place at;
    open_place(&at);
    char *text = malloc(RESULT_BYTES_MAX + 2);
    assert_non_null(text);
    memset(text, ' ', RESULT_BYTES_MAX + 1);
    text[RESULT_BYTES_MAX + 1] = '\0';
    assert_int_equal(take(&at, text), MIX_EFORMAT);
    assert_non_null(strstr(at.err.text, "more than 1048576 bytes"));
    free(text);
    close_place(&at);
}

/* The last line that is an object with losses; what is said after it does not matter. */
static void test_result_among_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
        bool is_cut;
    } cases[] = {
        {"a\n{\"web\": 1}\n", "{\"web\": 1}", false},
        {"{\"web\": 1}\n {\"loss\": {\"web\": 2}} \r\n\nwandb: done\n", "{\"loss\": {\"web\": 2}}",
         false},
        {"{\"checkpoints\": []}\n{\"event\": \"end\"}\nbye", "{\"checkpoints\": []}", false},
        {"{\"web\": NaN}\n[1]", "{\"web\": NaN}", false},
        {"{\"web\": 1}\n{\"loss\": {\"we\nbye", "{\"loss\": {\"we", false},
        {"x\n{\"step\": 1}\n{\"event\": 2}\nbye\n", "{\"event\": 2}", false},
        {"{\"web\": 1}\n{'train_runtime': 1.2}\n{...}\n", "{\"web\": 1}", false},
        {"one\ntwo\n\n", "two", false},
        {"{\"web\": 1}\nbye", "bye", true},
        {"{\"web\": 1}", "", true},
        {" \n\n", "", false},
        {"", "", false},
    };
    struct place at;
    open_place(&at);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = 99;
        const char *line =
            mix_result_find(&at.request, cases[i].text, strlen(cases[i].text), cases[i].is_cut, &n);
        assert_non_null(line);
        assert_int_equal(n, strlen(cases[i].line));
        assert_memory_equal(line, cases[i].line, n);
    }
    close_place(&at);
}

static void test_clean_text_is_utf8(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain\ttext\n", "plain\ttext\n"},
        {"\x1b[31mred\r\n", "?[31mred?\n"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc3", "?"},
        {"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xff", "??????????"},
        {"a\xe2\x82", "a??"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *clean = mix_result_clean_text(cases[i][0], strlen(cases[i][0]));
        assert_string_equal(clean, cases[i][1]);
        free(clean);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_of_the_end),
        cmocka_unit_test(test_result_checkpoints),
        cmocka_unit_test(test_result_takes_what_the_run_really_was),
        cmocka_unit_test(test_result_refused),
        cmocka_unit_test(test_result_too_long),
        cmocka_unit_test(test_result_among_lines),
        cmocka_unit_test(test_clean_text_is_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

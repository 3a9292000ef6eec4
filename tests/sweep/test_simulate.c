/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulate evaluator: a known truth, noise of the stated size, equal on every call. */
#include "job/job_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "mixsweep/sweep.h"

static struct mix_job *parse_with(const char *from, const char *to)
{
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    char *text = job_text_with(from, to);
    mix_job_parse("small.yaml", text, &job, &err);
    assert_string_equal(err.text, "");
    free(text);
    return job;
}

static struct mix_table *sweep(const struct mix_job *job)
{
    struct mix_error err = {.text = ""};
    struct mix_table *table = mix_table_create(job->n_domains, job->n_targets);
    assert_non_null(table);
    memcpy(table->domains, job->domains, job->n_domains * sizeof *table->domains);
    memcpy(table->targets, job->targets, job->n_targets * sizeof *table->targets);
    mix_sweep_run(NULL, job, table, NULL, NULL, NULL, &err);
    assert_string_equal(err.text, "");
    return table;
}

/* Parameters by name, for a law that the test evaluates itself. */
static double truth(const struct mix_job *job, const char *law, const char *wanted)
{
    struct mix_error err = {.text = ""};
    struct mix_model *model;
    const char *domains[8];
    double value = NAN;
    assert_int_equal(mix_job_model(job, law, 0, &model, &err), MIX_OK);
    double *params = calloc(mix_model_n_params(model), sizeof *params);
    assert_non_null(params);
    assert_int_equal(mix_simulate_truth(job, model, params, &err), MIX_OK);
    for (size_t k = 0; k < job->n_domains; k++)
        domains[k] = job->domains[k].name;
    for (size_t p = 0; p < mix_model_n_params(model); p++) {
        char name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(model, p, domains, domains, name, unit);
        if (strcmp(name, wanted) == 0)
            value = params[p];
    }
    free(params);
    mix_model_destroy(model);
    assert_true(isfinite(value));
    return value;
}

static void test_simulate_truth_is_given_or_drawn(void **state)
{
    (void)state;
    struct mix_job *job =
        parse_with("seed: 3}", "seed: 3, params: {\"E[web]\": 1.5, \"b[web]\": 1, H: 2}}");
    assert_true(truth(job, "capacity", "E[web]") == 1.5);
    assert_true(truth(job, "capacity", "H") == 2);
    const double e = truth(job, "capacity", "E[code]");
    assert_true(e >= 1 && e <= 2.5 && e == truth(job, "capacity", "E[code]"));
    /* c belongs to the exponent that was given: the capacity term at the middle, N = sqrt(60 150)
     * over 3 domains, is 0.3 to 1 with b = 1. */
    const double c = truth(job, "capacity", "c[web]") / (sqrt(60 * 150.0) / 3);
    assert_true(c >= 0.3 && c <= 1);
    job->simulate.seed = 4;
    assert_true(e != truth(job, "capacity", "E[code]"));
    mix_job_destroy(job);
}

/* Without competition (one domain: x = N) the law is c N^-b + A D^-a + E, evaluated here. */
static void test_simulate_without_noise_is_the_law(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    mix_job_parse("one.yaml",
                  "job: one\nfile: j.h5\ndomains: [{name: a}]\ndesign: {mixtures: 1}\n"
                  "scales: [{n_params: 50e6, n_tokens: 2e9}]\n"
                  "sweep: {evaluator: simulate, simulate: {law: capacity, params: {\"c[a]\": 3, "
                  "\"b[a]\": 0.5, \"A[a]\": 0.4, \"a[a]\": 0.3, \"E[a]\": 1.7, H: 1}}}\n",
                  &job, &err);
    assert_string_equal(err.text, "");
    struct mix_table *table = sweep(job);
    const double wanted = 3 * pow(50, -0.5) + 0.4 * pow(2, -0.3) + 1.7;
    assert_int_equal(table->n_rows, 1);
    assert_true(fabs(table->loss[0] - wanted) < 1e-12);
    assert_int_equal(table->runs[0].status, MIX_RUN_DONE);
    assert_int_equal(table->runs[0].attempts, 1);
    assert_true(table->runs[0].wall_s >= 0 && table->runs[0].started > 1.6e9);
    mix_table_destroy(table);
    mix_job_destroy(job);
}

static void test_simulate_demand_rows_sum_to_1(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("law: capacity, noise", "law: demand, noise");
    const double sum = truth(job, "demand", "T[code,web]") + truth(job, "demand", "T[code,code]") +
                       truth(job, "demand", "T[code,wiki]");
    assert_true(fabs(sum - 1) < 1e-12);
    mix_job_destroy(job);
}

/* 600 runs x 3 targets: z = (loss / clean - 1) / noise is standard normal; 4 sigma of the mean and
 * of the variance of 1800 values are 0.094 and 0.133. Targets and runs must not share noise. */
static void test_simulate_noise_statistics(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("mixtures: 12", "mixtures: 300\n  replicates: 2");
    job->scales[1].n_mixtures = 1;
    struct mix_table *noisy = sweep(job);
    job->simulate.noise = 0;
    struct mix_table *clean = sweep(job);
    const size_t n = noisy->n_rows * noisy->n_targets;
    double mean = 0, square = 0, across = 0;
    assert_int_equal(noisy->n_rows, 602);
    for (size_t e = 0; e < n; e++) {
        const double z = (noisy->loss[e] / clean->loss[e] - 1) / 0.01;
        mean += z / (double)n;
        square += z * z / (double)n;
        if (e % 3 == 0)
            across += z * (noisy->loss[e + 1] / clean->loss[e + 1] - 1) / 0.01 * 3 / (double)n;
    }
    assert_true(fabs(mean) < 0.094);
    assert_true(fabs(square - 1) < 0.133);
    assert_true(fabs(across) < 0.163); /* 4 sigma of 602 products */
    mix_table_destroy(noisy);
    mix_table_destroy(clean);
    mix_job_destroy(job);
}

/* A loss belongs to its run: a larger job has the same losses for the same runs, and a sweep that
 * finds some of them done adds the rest. */
static void test_simulate_losses_do_not_depend_on_the_job_around(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *few = parse_with("seed: 3}", "seed: 3}"),
                   *many = parse_with("seed: 3}", "seed: 3}");
    many->n_mixtures = 30;
    struct mix_table *grown = sweep(few), *whole = sweep(many);
    size_t n_planned, n_had;
    assert_int_equal(mix_sweep_count(many, grown, &n_planned, &n_had, &err), MIX_OK);
    assert_int_equal(n_planned, 36);
    assert_int_equal(n_had, 18);
    assert_int_equal(mix_sweep_run(NULL, many, grown, NULL, NULL, NULL, &err), MIX_OK);
    assert_int_equal(grown->n_rows, 36);
    for (size_t r = 0; r < 36; r++)
        assert_string_equal(grown->runs[r].run, whole->runs[r].run);
    assert_memory_equal(grown->loss, whole->loss, 36 * 3 * sizeof *whole->loss);
    assert_memory_equal(grown->mixture, whole->mixture, 36 * 3 * sizeof *whole->mixture);
    mix_table_destroy(grown);
    mix_table_destroy(whole);
    mix_job_destroy(few);
    mix_job_destroy(many);
}

static void test_sweep_refuses_a_table_of_other_names(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse_with("seed: 3}", "seed: 3}");
    struct mix_table *table = sweep(job);
    snprintf(table->domains[1].name, MIX_NAME_MAX, "books");
    assert_int_equal(mix_sweep_run(NULL, job, table, NULL, NULL, NULL, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "small.h5 holds runs of other domains or targets"));
    mix_table_destroy(table);
    mix_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simulate_truth_is_given_or_drawn),
        cmocka_unit_test(test_simulate_without_noise_is_the_law),
        cmocka_unit_test(test_simulate_demand_rows_sum_to_1),
        cmocka_unit_test(test_simulate_noise_statistics),
        cmocka_unit_test(test_simulate_losses_do_not_depend_on_the_job_around),
        cmocka_unit_test(test_sweep_refuses_a_table_of_other_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Designs and plans: on the lattice, distinct, with the prefix property, and the same everywhere.
 */
#include "job_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct mix_job *parse(const char *text)
{
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    mix_job_parse("small.yaml", text, &job, &err);
    assert_string_equal(err.text, "");
    return job;
}

static struct mix_job *parse_with(const char *from, const char *to)
{
    char *text = job_text_with(from, to);
    struct mix_job *job = parse(text);
    free(text);
    return job;
}

static double *design(const struct mix_job *job)
{
    struct mix_error err = {.text = ""};
    double *mixtures = calloc(job->n_mixtures * job->n_domains, sizeof *mixtures);
    assert_non_null(mixtures);
    mix_job_design(job, mixtures, &err);
    assert_string_equal(err.text, "");
    return mixtures;
}

static void test_design_sums_to_1_on_the_lattice(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("mixtures: 12", "mixtures: 500");
    double *mixtures = design(job);
    for (size_t i = 0; i < job->n_mixtures; i++) {
        long units = 0;
        for (size_t k = 0; k < job->n_domains; k++) {
            const double share = mixtures[i * job->n_domains + k];
            const long n = lround(share * 1e6);
            assert_true(share == (double)n / 1e6);
            assert_true(share == 0 || share >= job->minimum_share - 1e-6);
            units += n;
        }
        assert_int_equal(units, 1000000);
    }
    free(mixtures);
    mix_job_destroy(job);
}

static void test_design_begins_with_prior_and_uniform(void **state)
{
    (void)state;
    static const double first[] = {0.5, 0.3, 0.2, 0.333334, 0.333333, 0.333333};
    struct mix_job *job = parse(job_text);
    double *mixtures = design(job);
    assert_memory_equal(mixtures, first, sizeof first);
    free(mixtures);
    mix_job_destroy(job);
}

static void test_design_mixtures_are_distinct(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("mixtures: 12", "mixtures: 500");
    double *mixtures = design(job);
    for (size_t i = 0; i < job->n_mixtures; i++)
        for (size_t j = 0; j < i; j++) {
            double distance = 0;
            for (size_t k = 0; k < job->n_domains; k++)
                distance +=
                    fabs(mixtures[i * job->n_domains + k] - mixtures[j * job->n_domains + k]);
            assert_true(distance > 1e-5);
        }
    free(mixtures);
    mix_job_destroy(job);
}

static void test_design_prefix(void **state)
{
    (void)state;
    struct mix_job *few = parse(job_text), *many = parse_with("mixtures: 12", "mixtures: 200");
    double *short_design = design(few), *long_design = design(many);
    assert_memory_equal(short_design, long_design, 12 * 3 * sizeof *short_design);
    free(short_design);
    free(long_design);
    mix_job_destroy(few);
    mix_job_destroy(many);
}

/* A domain of the prior has the prior's share on average: the Dirichlet's mean, whatever the
 * strength. 2000 draws; the standard deviation of a share is below 0.5, so 5 sigma is 0.056. */
static void test_design_mean_is_the_prior(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("minimum_share: 0.02", "include_uniform: false");
    job->n_mixtures = 2000;
    double *mixtures = design(job);
    for (size_t k = 0; k < job->n_domains; k++) {
        double mean = 0;
        for (size_t i = 0; i < job->n_mixtures; i++)
            mean += mixtures[i * job->n_domains + k] / (double)job->n_mixtures;
        assert_true(fabs(mean - job->domains[k].prior) < 0.056);
    }
    free(mixtures);
    mix_job_destroy(job);
}

/* Pinned from our own output of 2026: a design must never change under a user's feet. */
static void test_design_known_answer(void **state)
{
    (void)state;
    static const double pinned[] = {0.721133, 0.091389, 0.187478, 0.492438, 0.09099,
                                    0.416572, 0.077104, 0.763007, 0.159889};
    struct mix_job *job = parse(job_text);
    double *mixtures = design(job);
    assert_memory_equal(mixtures + 6, pinned, sizeof pinned);
    free(mixtures);
    mix_job_destroy(job);
}

static void test_design_refuses_what_cannot_be_distinct(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse("job: one\nfile: j.h5\ndomains: [{name: a}]\n"
                                "design: {mixtures: 4}\nscales: [{n_params: 1e6, n_tokens: 1e8}]\n"
                                "sweep: {evaluator: simulate, simulate: {law: capacity}}\n");
    double mixtures[4];
    assert_int_equal(mix_job_design(job, mixtures, &err), MIX_EINVAL);
    assert_string_equal(err.text, "the design of job one has 1 distinct mixtures, not 4: lower "
                                  "design.mixtures, design.strength or design.minimum_share.");
    mix_job_destroy(job);
}

static struct mix_table *plan(const struct mix_job *job)
{
    struct mix_error err = {.text = ""};
    struct mix_table *table = NULL;
    mix_job_plan(job, &table, &err);
    assert_string_equal(err.text, "");
    return table;
}

static void test_plan_rows(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("mixtures: 12", "mixtures: 12\n  replicates: 2");
    struct mix_table *table = plan(job);
    assert_int_equal(table->n_rows, 2 * (12 + 6));
    assert_string_equal(table->runs[0].run + 8, "-60M-1.2B-s1"); /* before it: the mixture's hash */
    assert_string_equal(table->runs[35].run + 8, "-150M-3B-s2");
    assert_memory_equal(table->runs[11].run, table->runs[35].run, 8);
    assert_memory_not_equal(table->runs[9].run, table->runs[35].run, 8);
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        assert_true(run->flops == 6 * run->n_params * run->n_tokens);
        assert_true(run->seed < (UINT64_C(1) << 31));
        assert_int_equal(run->is_final, 1);
        assert_true(run->n_tokens_planned == run->n_tokens);
        assert_true(isnan(table->loss[r * 3]));
        assert_true(isnan(table->epochs[r * 3]));
        assert_true(fabs(table->epochs[r * 3 + 1] -
                         table->mixture[r * 3 + 1] * run->n_tokens / 1e9) < 1e-12);
        for (size_t q = 0; q < r; q++) {
            assert_false(table->runs[q].key.hi == run->key.hi &&
                         table->runs[q].key.lo == run->key.lo);
            assert_int_not_equal(table->runs[q].seed, run->seed);
        }
    }
    mix_table_destroy(table);
    mix_job_destroy(job);
}

/* What else the job holds does not change the identity of a run. */
static void test_plan_keys_survive_edits(void **state)
{
    (void)state;
    struct mix_job *before = parse(job_text);
    struct mix_job *after =
        parse_with("n_params: 60e6, n_tokens: 1.2e9", "n_params: 30e6, n_tokens: 6e8}\n"
                                                      "  - {n_params: 60_000_000, n_tokens: 12e8");
    after->n_mixtures = 40;
    after->fit.n_starts = 99;
    struct mix_table *few = plan(before), *many = plan(after);
    for (size_t r = 0; r < 12; r++) {
        assert_string_equal(few->runs[r].run, many->runs[40 + r].run);
        assert_memory_equal(&few->runs[r].key, &many->runs[40 + r].key, sizeof few->runs[r].key);
        assert_int_equal(few->runs[r].seed, many->runs[40 + r].seed);
    }
    snprintf(before->recipe, sizeof before->recipe, "other");
    struct mix_table *other = plan(before);
    assert_memory_not_equal(&few->runs[0].key, &other->runs[0].key, sizeof few->runs[0].key);
    mix_table_destroy(few);
    mix_table_destroy(many);
    mix_table_destroy(other);
    mix_job_destroy(before);
    mix_job_destroy(after);
}

/* Two sizes never share a text, or their runs would look like checkpoints of one. */
static void test_plan_run_names_are_exact(void **state)
{
    (void)state;
    struct mix_job *job = parse(job_text);
    job->scales[0].n_tokens = 67760078203.0;
    job->scales[0].n_params = 1.5;
    job->scales[1].n_tokens = 67760078204.0;
    struct mix_table *table = plan(job);
    assert_string_equal(table->runs[0].run + 8, "-1.5-67760078203-s1");
    assert_string_equal(table->runs[12].run + 8, "-150M-67760078204-s1");
    mix_table_destroy(table);
    mix_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_design_sums_to_1_on_the_lattice),
        cmocka_unit_test(test_design_begins_with_prior_and_uniform),
        cmocka_unit_test(test_design_mixtures_are_distinct),
        cmocka_unit_test(test_design_prefix),
        cmocka_unit_test(test_design_mean_is_the_prior),
        cmocka_unit_test(test_design_known_answer),
        cmocka_unit_test(test_design_refuses_what_cannot_be_distinct),
        cmocka_unit_test(test_plan_rows),
        cmocka_unit_test(test_plan_keys_survive_edits),
        cmocka_unit_test(test_plan_run_names_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

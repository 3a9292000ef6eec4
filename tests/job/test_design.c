/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Designs and plans: on the lattice, distinct, with the prefix property, and the same everywhere.
 */
#include "job_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

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
    struct mix_job *job = parse_with("replicates: 1", "replicates: 2");
    struct mix_table *table = plan(job);
    assert_int_equal(table->n_rows, 2 * (12 + 6));
    assert_string_equal(table->runs[0].run + 8, "-150M-3B-s1"); /* before it: the mixture's hash */
    assert_string_equal(table->runs[6].run + 8, "-150M-3B-s2");
    assert_string_equal(table->runs[35].run + 8, "-60M-1.2B-s2");
    assert_memory_equal(table->runs[5].run, table->runs[29].run, 8);
    assert_memory_equal(table->runs[23].run, table->runs[35].run, 8);
    assert_memory_not_equal(table->runs[22].run, table->runs[35].run, 8);
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
    for (size_t r = 6; r < 18; r++) { /* few: 6 at 150M, 12 at 60M; many: 6, 40 at 60M, 40 at 30M */
        assert_string_equal(few->runs[r].run, many->runs[r].run);
        assert_memory_equal(&few->runs[r].key, &many->runs[r].key, sizeof few->runs[r].key);
        assert_int_equal(few->runs[r].seed, many->runs[r].seed);
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
    assert_string_equal(table->runs[6].run + 8, "-1.5-67760078203-s1");
    assert_string_equal(table->runs[0].run + 8, "-150M-67760078204-s1");
    mix_table_destroy(table);
    mix_job_destroy(job);
}

/* ---- corners, caps, distances */

static const char *const more_keys = "minimum_share: 0.02";

static void test_design_corners(void **state)
{
    (void)state;
    static const double wanted[3][3] = {
        {0.8, 0.12, 0.08}, {0.2 * 5 / 7, 0.8, 0.2 * 2 / 7}, {0.125, 0.075, 0.8}};
    struct mix_job *job = parse_with(more_keys, "corner_share: 0.8");
    double *mixtures = design(job);
    for (size_t c = 0; c < 3; c++) /* behind prior and uniform mixture */
        for (size_t k = 0; k < 3; k++)
            assert_true(fabs(mixtures[(2 + c) * 3 + k] - wanted[c][k]) < 2e-6);
    free(mixtures);
    job->corner_share = 1;
    mixtures = design(job);
    for (size_t c = 0; c < 3; c++)
        for (size_t k = 0; k < 3; k++)
            assert_true(mixtures[(2 + c) * 3 + k] == (c == k));
    free(mixtures);
    mix_job_destroy(job);
}

/* code has 1e9 tokens and the largest scale 3e9: 1.2 passes are a share of 0.4. */
static void expect_caps(struct mix_job *job, double cap)
{
    double *mixtures = design(job), largest = 0;
    size_t n_on_cap = 0;
    for (size_t i = 0; i < job->n_mixtures; i++) {
        long units = 0;
        for (size_t k = 0; k < 3; k++) {
            const double share = mixtures[i * 3 + k];
            units += lround(share * 1e6);
            assert_true(share == 0 || share >= fmin(job->minimum_share, cap) - 1e-6);
        }
        assert_int_equal(units, 1000000);
        assert_true(mixtures[i * 3 + 1] <= cap);
        largest = fmax(largest, mixtures[i * 3 + 1]);
        n_on_cap += mixtures[i * 3 + 1] == cap;
    }
    assert_true(largest == cap);
    assert_true(n_on_cap < job->n_mixtures / 20);
    free(mixtures);
}

static void test_design_keeps_within_max_epochs(void **state)
{
    (void)state;
    static const enum mix_design_method methods[] = {MIX_DESIGN_DIRICHLET, MIX_DESIGN_SOBOL};
    for (size_t m = 0; m < 2; m++) {
        struct mix_job *job = parse_with(more_keys, "minimum_share: 0.02\n  max_epochs: 1.2\n"
                                                    "  corner_share: 0.9");
        job->method = methods[m];
        job->n_mixtures = 300;
        expect_caps(job, 0.4);
        job->match_tokens = 12e9; /* of the target: 0.1 of it */
        expect_caps(job, 0.1);
        job->max_epochs = 0.2; /* 0.0166.., which is below the minimum share: none at all */
        double *mixtures = design(job);
        for (size_t i = 0; i < job->n_mixtures; i++)
            assert_true(mixtures[i * 3 + 1] == 0);
        free(mixtures);
        mix_job_destroy(job);
    }
}

/* The same with caps on all but one domain: all that is cut goes to it. */
static void test_design_caps_leave_one_domain(void **state)
{
    (void)state;
    struct mix_job *job = parse_with(more_keys, "max_epochs: 1");
    job->domains[1].supply_tokens = job->domains[2].supply_tokens = 3e7; /* 0.01 of 3e9 */
    double *mixtures = design(job);
    for (size_t i = 0; i < job->n_mixtures; i++)
        assert_true(mixtures[i * 3] >= 0.98 && mixtures[i * 3 + 1] <= 0.01 &&
                    mixtures[i * 3 + 2] <= 0.01);
    free(mixtures);
    mix_job_destroy(job);
}

static double half_distance(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += fabs(a[k] - b[k]);
    return sum / 2;
}

static void test_design_min_distance(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse_with(more_keys, "min_distance: 0.05");
    job->n_mixtures = 40;
    double *mixtures = design(job);
    for (size_t i = 0; i < 40; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(half_distance(&mixtures[i * 3], &mixtures[j * 3], 3) > 0.05);
    job->min_distance = 0.4;
    assert_int_equal(mix_job_design(job, mixtures, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, " distinct mixtures, not 40: lower design.mixtures, "
                                     "design.min_distance, design.strength or "));
    free(mixtures);
    mix_job_destroy(job);
}

/* ---- sobol */

/* Mean distance of a point of the simplex to the nearest mixture of the design, over a fine
 * lattice: how well a design covers it. */
static double coverage(const struct mix_job *job)
{
    enum { STEPS = 40 };
    double *mixtures = design(job), sum = 0, n = 0;
    for (int a = 0; a <= STEPS; a++)
        for (int b = 0; a + b <= STEPS; b++) {
            const double point[3] = {(double)a / STEPS, (double)b / STEPS,
                                     (double)(STEPS - a - b) / STEPS};
            double nearest = 1;
            for (size_t i = 0; i < job->n_mixtures; i++)
                nearest = fmin(nearest, half_distance(point, &mixtures[i * 3], 3));
            sum += nearest;
            n++;
        }
    free(mixtures);
    return sum / n;
}

/* A uniform distribution over the simplex: strength 1, flat prior. */
static void test_design_sobol_covers_better_than_chance(void **state)
{
    (void)state;
    double random = 0, sobol = 0;
    struct mix_job *job = parse_with("prior: 0.5}", "prior: 0.5}");
    job->include_prior = job->include_uniform = false;
    job->strength_min = job->strength_max = 1;
    job->temperature = 100;
    job->minimum_share = 0;
    job->n_mixtures = 64;
    for (job->seed = 1; job->seed <= 20; job->seed++) {
        job->method = MIX_DESIGN_DIRICHLET;
        random += coverage(job) / 20;
        job->method = MIX_DESIGN_SOBOL;
        sobol += coverage(job) / 20;
    }
    assert_true(sobol < 0.9 * random); /* 0.0413 against 0.0496 */
    mix_job_destroy(job);
}

/* Mean and variance of Dirichlet shares, a_k / a and a_k (a - a_k) / (a^2 (a + 1)), from 4096
 * points: the sequence integrates them to well below 1 in a hundred. */
static void test_design_sobol_is_dirichlet(void **state)
{
    (void)state;
    static const double strengths[] = {0.8, 3, 200};
    struct mix_job *job = parse_with("prior: 0.5}", "prior: 0.5}");
    job->include_prior = job->include_uniform = false;
    job->method = MIX_DESIGN_SOBOL;
    job->minimum_share = 0;
    job->n_mixtures = 4096;
    for (size_t s = 0; s < 3; s++) {
        job->strength_min = job->strength_max = strengths[s];
        double *mixtures = design(job);
        const size_t n = job->n_mixtures;
        for (size_t k = 0; k < 3; k++) {
            double mean = 0, square = 0;
            for (size_t i = 0; i < n; i++) {
                mean += mixtures[i * 3 + k] / (double)n;
                square += mixtures[i * 3 + k] * mixtures[i * 3 + k] / (double)n;
            }
            const double a = 3 * strengths[s], p = job->domains[k].prior;
            assert_true(fabs(mean - p) < 0.01 * p);
            assert_true(fabs((square - mean * mean) / (p * (1 - p) / (a + 1)) - 1) < 0.02);
        }
        free(mixtures);
    }
    mix_job_destroy(job);
}

static void test_design_sobol_prefix_and_seed(void **state)
{
    (void)state;
    struct mix_job *few = parse_with(more_keys, "method: sobol"),
                   *many = parse_with(more_keys, "method: sobol\n  corner_share: 0");
    many->n_mixtures = 500;
    double *short_design = design(few), *long_design = design(many);
    assert_memory_equal(short_design, long_design, 12 * 3 * sizeof *short_design);
    free(short_design);
    few->seed++;
    short_design = design(few);
    assert_memory_not_equal(short_design + 6, long_design + 6, 3 * sizeof *short_design);
    free(short_design);
    free(long_design);
    mix_job_destroy(few);
    mix_job_destroy(many);
}

/* ---- lattice and file */

static void test_design_lattice(void **state)
{
    (void)state;
    struct mix_job *all = parse_with("  mixtures: 12\n  replicates: 1\n", "  step: 0.1\n");
    struct mix_job *some = parse_with("mixtures: 12\n", "step: 0.1\n  mixtures: 20\n");
    assert_int_equal(all->n_mixtures, 66); /* C(12, 2) */
    double *mixtures = design(all), *first = design(some);
    assert_memory_equal(mixtures, first, 20 * 3 * sizeof *first);
    for (size_t i = 0; i < 66 * 3; i++)
        assert_true(fabs(mixtures[i] * 10 - round(mixtures[i] * 10)) < 1e-9);
    for (size_t i = 0; i < 66; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(half_distance(&mixtures[i * 3], &mixtures[j * 3], 3) > 0.09);
    free(mixtures);
    free(first);
    mix_job_destroy(all);
    mix_job_destroy(some);
    /* Without shares of 0.1: 3 + 3 x 7 + 21 mixtures of one, two and three domains, less those of
     * three with a part of 1/10. */
    all = parse_with("mixtures: 12\n  replicates: 1\n  strength: [0.5, 4]\n  minimum_share: 0.02",
                     "step: 0.1\n  minimum_share: 0.15");
    assert_int_equal(all->n_mixtures, 3 + 3 * 7 + 15);
    mix_job_destroy(all);
}

/* Where the beta quantiles of a draw are hardest: tiny and huge parameters, all dimensions. */
static void test_design_sobol_at_its_limits(void **state)
{
    (void)state;
    enum { K = 40 };
    static const double strengths[] = {1e-3, 0.03, 1, 1e3, 1e6};
    char text[4096], *at = text;
    at += sprintf(at, "job: j\nfile: j.h5\ndesign: {mixtures: 60, method: sobol}\n"
                      "scales: [{n_params: 1e6, n_tokens: 1e8}]\n"
                      "sweep: {evaluator: simulate, simulate: {law: chinchilla}}\ndomains:\n");
    for (int k = 0; k < K; k++)
        at += sprintf(at, " - {name: d%d, prior: %g}\n", k, k ? 0.0001 : 1 - 0.0001 * (K - 1));
    struct mix_job *job = parse(text);
    for (size_t s = 0; s < 5; s++) {
        job->strength_min = job->strength_max = strengths[s];
        job->temperature = s < 2 ? 100 : 1;
        double *mixtures = design(job);
        for (size_t i = 0; i < job->n_mixtures; i++) {
            double sum = 0;
            for (size_t k = 0; k < K; k++) {
                assert_true(mixtures[i * K + k] >= 0);
                sum += mixtures[i * K + k];
            }
            assert_true(fabs(sum - 1) < 1e-12);
        }
        free(mixtures);
    }
    mix_job_destroy(job);
}

static void test_design_lattice_keeps_within_caps(void **state)
{
    (void)state;
    struct mix_job *job =
        parse_with("mixtures: 12\n", "step: 0.1\n  max_epochs: 0.9\n"); /* code at most 0.3 */
    double *mixtures = design(job), largest = 0;
    assert_int_equal(job->n_mixtures, 11 + 10 + 9 + 8);
    for (size_t i = 0; i < job->n_mixtures; i++)
        largest = fmax(largest, mixtures[i * 3 + 1]);
    assert_true(fabs(largest - 0.3) < 1e-9);
    free(mixtures);
    mix_job_destroy(job);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_design_file(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
    } files[] = {
        {"mixtures.csv", "run,h_wiki,h_web,code\na,0.2,0.5,0.3\nb,0.1,0.1,0.8001\nc,0,1,0\n"},
        {"mixtures.yaml", "- {web: 0.5, code: 0.3, wiki: 0.2}\n- {web: 0.1, code: 0.8001, wiki: "
                          "0.1}\n- web: 1\n"},
        {"mixtures.jsonl", "{\"web\": 0.5, \"code\": 0.3, \"wiki\": 0.2}\n{\"web\": 0.1, \"code\": "
                           "0.8001, \"wiki\": 0.1}\n{\"web\": 1, \"code\": 0, \"wiki\": 0}\n"},
    };
    static const double wanted[] = {0.5, 0.3, 0.2, 0.09999, 0.80002, 0.09999, 1, 0, 0};
    for (size_t f = 0; f < 3; f++) {
        char keys[64];
        write_text(files[f].path, files[f].text);
        snprintf(keys, sizeof keys, "file: %s\n", files[f].path);
        char *text = job_text_with("mixtures: 12\n  replicates: 1\n", keys);
        char *six = strstr(text, ", mixtures: 6");
        memset(six, ' ', strlen(", mixtures: 6"));
        struct mix_job *job = parse(text);
        free(text);
        assert_int_equal(job->method, MIX_DESIGN_FILE);
        assert_int_equal(job->n_mixtures, 3);
        for (size_t s = 0; s < job->n_scales; s++) /* each once, unless replicates are asked for */
            assert_int_equal(mix_job_n_runs(job, &job->scales[s]), 3);
        double *mixtures = design(job);
        for (size_t i = 0; i < 9; i++)
            assert_true(fabs(mixtures[i] - wanted[i]) < 1.5e-6);
        free(mixtures);
        mix_job_destroy(job);
        unlink(files[f].path);
    }
}

/* Rows with sizes are runs, as `next` and `domains` write them: each at its scale alone, a mixture
 * again being another seed. */
static void test_design_file_of_runs(void **state)
{
    (void)state;
    static const char runs[] = "n_params,n_tokens,round,replicate,h_web,h_code,h_wiki\n"
                               "60e6,1.2e9,2,1,0.5,0.3,0.2\n"
                               "150e6,3e9,2,3,0.5,0.3,0.2\n"
                               "60000000,1200000000,0,2,0.5,0.3,0.2\n"
                               "60e6,1.2e9,2,1,0.2,0.2,0.6\n";
    static const char *const wanted[] = {"-150M-3B-s3", "-60M-1.2B-s1", "-60M-1.2B-s2",
                                         "-60M-1.2B-s1"};
    static const int rounds[] = {2, 2, 0, 2};
    write_text("runs.csv", runs);
    char *text = job_text_with("mixtures: 12\n", "file: runs.csv\n");
    char *six = strstr(text, ", mixtures: 6");
    memset(six, ' ', strlen(", mixtures: 6"));
    struct mix_job *job = parse(text);
    assert_int_equal(job->n_mixtures, 2);
    assert_int_equal(mix_job_n_runs(job, &job->scales[0]), 3);
    assert_int_equal(mix_job_n_runs(job, &job->scales[1]), 1);
    struct mix_table *table = plan(job);
    assert_int_equal(table->n_rows, 4);
    for (size_t r = 0; r < 4; r++) {
        assert_string_equal(table->runs[r].run + 8, wanted[r]);
        assert_int_equal(table->runs[r].round, rounds[r]);
        assert_true(table->asked[r * 3] == (r == 3 ? 0.2 : 0.5));
    }
    /* what the file has of it already is not planned again */
    assert_int_equal(mix_job_take_chosen(job, table, NULL), MIX_OK);
    struct mix_table *again = plan(job);
    assert_int_equal(again->n_rows, 4);
    mix_table_destroy(again);
    mix_table_destroy(table);
    mix_job_destroy(job);
    free(text);
    unlink("runs.csv");
}

static void test_design_file_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *sentence;
    } cases[] = {
        {"m.csv", "web,code\n1,0\n", "m.csv: there is no column for the domain wiki."},
        {"m.csv", "web,code,wiki,books\n1,0,0,0\n", "m.csv: the column \"books\" is no domain."},
        {"m.csv", "web,code,wiki,h_web\n1,0,0,0\n", "m.csv: two columns are the domain web."},
        {"m.csv", "web,code,wiki\n", "m.csv has no data rows."},
        {"m.csv", "web,code,wiki\n0.5,0.5,0.1\n",
         "m.csv, line 2: the shares sum to 1.1; they must sum to 1 within 0.001."},
        {"m.csv", "web,code,wiki\n1,0,\n", "m.csv, line 2: \"\" is not a share from 0 to 1."},
        {"m.csv", "web,code,wiki\n1.2,-0.2,0\n",
         "m.csv, line 2: \"1.2\" is not a share from 0 to 1."},
        {"m.csv", "web,code,wiki\n1,0,0\n0,1,0\n1.0,0,0\n",
         "m.csv, line 4: the same as mixture 1."},
        {"m.csv", "web,code,wiki\n0,1,0\n",
         "mixture 1 has 1 of code; design.max_epochs allows 0.666666."},
        {"m.csv", "n_params,web,code,wiki\n1,1,0,0\n",
         "m.csv: of n_params and n_tokens one is missing."},
        {"m.csv", "n_params,n_tokens,web,code,wiki\n60e6,3e9,0.5,0.5,0\n",
         "m.csv, line 2: no scale has 60000000 parameters and 3000000000 tokens."},
        {"m.csv", "n_params,n_tokens,web,code,wiki\n60e6,,0.5,0.5,0\n",
         "m.csv, line 2: \"\" is no n_tokens."},
        {"m.csv",
         "n_params,n_tokens,web,code,wiki,replicate\n60e6,1.2e9,1,0,0,1\n60e6,1.2e9,1,0,0,1\n",
         "m.csv, line 3: the same run as number 1."},
        {"m.yaml", "web: 1\n", "m.yaml, line 1: is a mapping; a list is wanted."},
        {"m.yaml", "- web\n", "m.yaml, line 1, key [0]: is a single value; a mapping"},
        {"m.yaml", "- {web: 1}\n- {books: 1}\n", "m.yaml, line 2: \"books\" is no domain."},
        {"m.yaml", "- {web: 1}\n- {code: [1]}\n",
         "m.yaml, line 2: \"\" is not a share from 0 to 1."},
        {"m.yaml", "- {web: 0.5, code: 0.5, web: 0.5}\n",
         "m.yaml, line 1, key [0].web: given twice"},
        {"m.yaml", "[]\n", "m.yaml, line 1: 0 entries are not in 1 … 10000."},
        {".", NULL, "\".\" is not a file."},
        {"none.csv", NULL, "there is no file \"none.csv\"."},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char keys[80], wanted[256];
        struct mix_error err = {.text = ""};
        struct mix_job *job = NULL;
        if (cases[c].text)
            write_text(cases[c].path, cases[c].text);
        snprintf(keys, sizeof keys, "file: %s\n  max_epochs: 2\n", cases[c].path);
        char *text = job_text_with("mixtures: 12\n", keys);
        assert_int_equal(mix_job_parse("small.yaml", text, &job, &err), MIX_EINVAL);
        snprintf(wanted, sizeof wanted, "small.yaml, line 9, key design.file: %s",
                 cases[c].sentence);
        if (strncmp(err.text, wanted, strlen(wanted)) != 0)
            assert_string_equal(err.text, wanted);
        free(text);
        if (cases[c].text)
            unlink(cases[c].path);
    }
}

/* ---- the plan */

static void expect_runs(const char *from, const char *to, size_t n_large, size_t n_small)
{
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse_with(from, to);
    struct mix_plan *lazy = NULL;
    assert_int_equal(mix_plan_create(job, &lazy, &err), MIX_OK);
    assert_int_equal(mix_plan_n_runs(lazy), n_large + n_small);
    assert_int_equal(mix_job_n_runs(job, &job->scales[0]), n_small);
    assert_int_equal(mix_job_n_runs(job, &job->scales[1]), n_large);
    for (size_t i = 0; i < n_large + n_small; i++) {
        struct mix_planned run;
        mix_plan_run(lazy, i, &run);
        assert_int_equal(run.scale, i < n_large); /* the dearest first */
    }
    mix_plan_destroy(lazy);
    mix_job_destroy(job);
}

static void test_plan_replicates(void **state)
{
    (void)state;
    expect_runs("replicates: 1", "replicates: 1", 6, 12);
    expect_runs("replicates: 1", "replicates: 3", 18, 36);
    expect_runs("  replicates: 1\n", "", 6 + 4 * 2, 12 + 4 * 2);
    expect_runs("replicates: 1", "replicates: {mixtures: 2, seeds: 5}", 6 + 2 * 4, 12 + 2 * 4);
    expect_runs("replicates: 1", "replicates: {seeds: 2}", 6 + 4, 12 + 4);
    expect_runs("replicates: 1", "replicates: {mixtures: 9}", 6 * 3, 12 + 9 * 2);
    expect_runs("mixtures: 6}", "mixtures: 6, replicates: 4}", 24, 12);
}

/* Not at a scale in the middle. */
static void test_plan_replicates_at_the_ends(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("  replicates: 1\n", "");
    mix_job_destroy(job);
    char *text = job_text_with("  - {n_params: 150e6", "  - {n_params: 90e6, n_tokens: 2e9}\n"
                                                       "  - {n_params: 150e6");
    char *key = strstr(text, "  replicates: 1\n");
    memset(key, ' ', strlen("  replicates: 1"));
    job = parse(text);
    free(text);
    assert_int_equal(mix_job_n_runs(job, &job->scales[0]), 20);
    assert_int_equal(mix_job_n_runs(job, &job->scales[1]), 12);
    assert_int_equal(mix_job_n_runs(job, &job->scales[2]), 14);
    mix_job_destroy(job);
}

/* What a plan says run by run is what the table makes of the same rows. */
static void test_plan_keys_are_those_of_the_table(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse_with("replicates: 1", "replicates: 2");
    snprintf(job->recipe, sizeof job->recipe, "r");
    snprintf(job->schedule, sizeof job->schedule, "cosine");
    job->scales[0].n_checkpoints = 2;
    job->scales[0].checkpoints[0] = 6e8;
    job->scales[0].checkpoints[1] = 1.2e9;
    struct mix_plan *lazy = NULL;
    struct mix_table *table = plan(job), *copy = plan(job);
    assert_int_equal(mix_plan_create(job, &lazy, &err), MIX_OK);
    assert_int_equal(mix_plan_n_runs(lazy), table->n_rows);
    for (size_t r = 0; r < copy->n_rows; r++)
        memset(&copy->runs[r].key, 0, sizeof copy->runs[r].key);
    assert_int_equal(mix_table_finish(copy, &err), MIX_OK);
    for (size_t r = 0; r < table->n_rows; r++) {
        struct mix_planned run;
        mix_plan_run(lazy, r, &run);
        assert_memory_equal(&run.run.key, &table->runs[r].key, sizeof run.run.key);
        assert_memory_equal(&run.run.key, &copy->runs[r].key, sizeof run.run.key);
        assert_string_equal(run.run.run, table->runs[r].run);
        assert_string_equal(run.run.schedule, "cosine");
        assert_string_equal(run.run.recipe, "r");
        assert_true(run.run.flops == 6 * run.run.n_params * run.run.n_tokens);
        assert_memory_equal(run.mixture, &table->asked[r * 3], 3 * sizeof(double));
    }
    mix_plan_destroy(lazy);
    mix_table_destroy(table);
    mix_table_destroy(copy);
    mix_job_destroy(job);
}

/* Other mixtures in place of the design's, with seeds that do not depend on them. */
static void test_plan_given_mixtures(void **state)
{
    (void)state;
    static const double given[] = {0.2, 0.3, 0.5, 1.0 / 3, 1.0 / 3, 1.0 / 3};
    struct mix_job *job = parse(job_text);
    job->given = given;
    job->n_given = 2;
    job->paired_seeds = true;
    for (size_t s = 0; s < 2; s++) {
        job->scales[s].n_mixtures = 0;
        job->scales[s].n_replicates = 3;
        job->scales[s].n_replicated = 1; /* all the same */
    }
    struct mix_table *table = plan(job);
    assert_int_equal(table->n_rows, 2 * 2 * 3);
    for (size_t r = 0; r < 12; r++) {
        const size_t pair = r ^ 1; /* mixtures change fastest */
        assert_int_equal(table->runs[r].seed, table->runs[pair].seed);
        assert_string_not_equal(table->runs[r].run, table->runs[pair].run);
        if (r >= 2)
            assert_int_not_equal(table->runs[r].seed, table->runs[r - 2].seed);
    }
    assert_true(table->asked[3] == 0.333334 && table->asked[4] == 0.333333);
    mix_table_destroy(table);
    mix_job_destroy(job);
}

/* The proxies pass over code as often as the run of 12e9 tokens would. */
static void test_plan_matches_epochs(void **state)
{
    (void)state;
    struct mix_job *job = parse_with(more_keys, "match_epochs: {n_tokens: 12e9}");
    struct mix_table *table = plan(job);
    assert_true(mix_job_subsample(job, &job->scales[0], 1) == 0.1);
    assert_true(mix_job_subsample(job, &job->scales[1], 1) == 0.25);
    assert_true(mix_job_subsample(job, &job->scales[1], 0) == 1); /* no known supply */
    for (size_t r = 0; r < table->n_rows; r++)
        assert_true(fabs(table->epochs[r * 3 + 1] - table->asked[r * 3 + 1] * 12) < 1e-9);
    job->match_tokens = NAN;
    assert_true(mix_job_subsample(job, &job->scales[0], 1) == 1);
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
        cmocka_unit_test(test_design_corners),
        cmocka_unit_test(test_design_keeps_within_max_epochs),
        cmocka_unit_test(test_design_caps_leave_one_domain),
        cmocka_unit_test(test_design_min_distance),
        cmocka_unit_test(test_design_sobol_covers_better_than_chance),
        cmocka_unit_test(test_design_sobol_is_dirichlet),
        cmocka_unit_test(test_design_sobol_prefix_and_seed),
        cmocka_unit_test(test_design_lattice),
        cmocka_unit_test(test_design_sobol_at_its_limits),
        cmocka_unit_test(test_design_lattice_keeps_within_caps),
        cmocka_unit_test(test_design_file),
        cmocka_unit_test(test_design_file_of_runs),
        cmocka_unit_test(test_design_file_refusals),
        cmocka_unit_test(test_plan_replicates),
        cmocka_unit_test(test_plan_replicates_at_the_ends),
        cmocka_unit_test(test_plan_keys_are_those_of_the_table),
        cmocka_unit_test(test_plan_given_mixtures),
        cmocka_unit_test(test_plan_matches_epochs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulate evaluator: a known truth, noise of the stated size, equal on every call. */
#include "job/job_text.h"
#include "sweep/sweep_help.h"

#include <sys/stat.h>

#include "sweep/evaluators.h"

static struct mix_job *parse_with(const char *from, const char *to)
{
    char *text = job_text_with(from, to);
    struct mix_job *job = parse(text);
    free(text);
    return job;
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
    mix_job_parse(
        "one.yaml",
        "job: one\nfile: j.h5\ndomains: [{name: a}]\ndesign: {mixtures: 1, replicates: 1}\n"
        "scales: [{n_params: 50e6, n_tokens: 2e9}]\n"
        "sweep: {evaluator: simulate, simulate: {law: capacity, params: {\"c[a]\": 3, "
        "\"b[a]\": 0.5, \"A[a]\": 0.4, \"a[a]\": 0.3, \"E[a]\": 1.7, H: 1}}}\n",
        &job, &err);
    assert_string_equal(err.text, "");
    struct mix_table *table = sweep_new(job);
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
    struct mix_job *job =
        parse_with("mixtures: 12\n  replicates: 1", "mixtures: 300\n  replicates: 2");
    job->scales[1].n_mixtures = 1;
    struct mix_table *noisy = sweep_new(job);
    job->simulate.noise = 0;
    struct mix_table *clean = sweep_new(job);
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
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    struct mix_sweep_progress before, after;
    struct mix_job *few = parse_with("seed: 3}", "seed: 3}"),
                   *many = parse_with("mixtures: 12", "mixtures: 30");
    struct mix_table *some = sweep_new(few);
    assert_int_equal(mix_sweep_count(many, some, &options, &before, &err), MIX_OK);
    assert_int_equal(before.n_done, some->n_rows);
    assert_true(before.n_planned > before.n_done);
    assert_int_equal(before.n_waiting, before.n_planned - before.n_done);
    assert_int_equal(sweep_with(many, &options, &after, &err), MIX_OK);
    assert_int_equal(after.n_done, before.n_planned);
    assert_int_equal(after.n_waiting, 0);
    struct mix_table *grown = read_runs(few->file), *whole = sweep_new(many);
    assert_int_equal(grown->n_rows, whole->n_rows);
    assert_int_equal(grown->n_rows, before.n_planned);
    for (size_t r = 0; r < grown->n_rows; r++)
        assert_string_equal(grown->runs[r].run, whole->runs[r].run);
    const size_t n_bytes = grown->n_rows * 3 * sizeof *whole->loss;
    assert_memory_equal(grown->loss, whole->loss, n_bytes);
    assert_memory_equal(grown->mixture, whole->mixture, n_bytes);
    mix_table_destroy(some);
    mix_table_destroy(grown);
    mix_table_destroy(whole);
    mix_job_destroy(few);
    mix_job_destroy(many);
}

/* Each checkpoint is a row; the last one has the loss that it has without the others. */
/* What confirms an optimum is trained at scales of its own, be it one, in the world of the sweep.
 */
static void test_simulate_confirms_in_the_world_of_the_sweep(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("law: capacity, noise", "law: transfer, noise");
    struct mix_table *all = sweep_new(job);
    struct mix_job confirming = *job;
    confirming.confirmed = job;
    confirming.scales = &job->scales[1];
    confirming.n_scales = 1;
    struct mix_table *again = sweep_new(&confirming);
    size_t n_found = 0;
    for (size_t r = 0; r < again->n_rows; r++)
        for (size_t o = 0; o < all->n_rows; o++)
            if (strcmp(again->runs[r].run, all->runs[o].run) == 0 &&
                again->runs[r].n_tokens == all->runs[o].n_tokens) {
                assert_memory_equal(again->loss + 3 * r, all->loss + 3 * o, 3 * sizeof(double));
                n_found++;
            }
    assert_true(n_found > 0 && n_found == again->n_rows);
    mix_table_destroy(again);
    mix_table_destroy(all);
    mix_job_destroy(job);
}

static void test_simulate_checkpoints_are_rows(void **state)
{
    (void)state;
    struct mix_job *plain = parse_with("seed: 3}", "seed: 3}"),
                   *job = parse_with("n_tokens: 1.2e9}",
                                     "n_tokens: 1.2e9, checkpoints: [3e8, 6e8, 1.2e9]}");
    struct mix_table *ends = sweep_new(plain), *all = sweep_new(job);
    size_t n_ends = 0, n_early = 0;
    for (size_t r = 0; r < all->n_rows; r++) {
        const struct mix_run *run = &all->runs[r];
        assert_int_equal(run->is_final, run->n_tokens == run->n_tokens_planned);
        n_early += !run->is_final;
        for (size_t e = 0; run->is_final && e < ends->n_rows; e++)
            if (strcmp(ends->runs[e].run, run->run) == 0) {
                assert_memory_equal(&ends->loss[e * 3], &all->loss[r * 3], 3 * sizeof(double));
                n_ends++;
            }
    }
    assert_int_equal(n_ends, ends->n_rows);
    assert_int_equal(all->n_rows, n_ends + n_early);
    assert_true(n_early >= 2 * 12);
    mix_table_destroy(ends);
    mix_table_destroy(all);
    mix_job_destroy(plain);
    mix_job_destroy(job);
}

static void test_simulate_refuses_runs_of_another_truth(void **state)
{
    (void)state;
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse_with("seed: 3}", "seed: 3}"),
                   *other = parse_with("mixtures: 12", "mixtures: 13");
    mix_table_destroy(sweep_new(job));
    other->simulate.seed = 4;
    assert_int_equal(sweep_with(other, &options, NULL, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "small.h5 holds runs that were simulated otherwise"));
    mix_job_destroy(job);
    mix_job_destroy(other);
}

static void test_sweep_refuses_a_table_of_other_names(void **state)
{
    (void)state;
    const struct mix_sweep_options options = {.stop_before_s = NAN};
    struct mix_error err = {.text = ""};
    struct mix_sweep_progress progress;
    struct mix_job *job = parse_with("seed: 3}", "seed: 3}");
    struct mix_table *table = sweep_new(job);
    snprintf(table->domains[1].name, MIX_NAME_MAX, "books");
    assert_int_equal(mix_sweep_count(job, table, &options, &progress, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "small.h5 holds runs of other domains or targets"));
    mix_table_destroy(table);
    mix_job_destroy(job);
}

/* Shards share out the runs without rest, and together make the file of the whole. */
static void test_sweep_by_shards(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse_with("seed: 3}", "seed: 3}");
    struct mix_table *whole = sweep_new(job);
    size_t n = 0;
    unlink(job->file);
    for (size_t shard = 0; shard < 3; shard++) {
        const struct mix_sweep_options options = {
            .stop_before_s = NAN, .shard = shard, .n_shards = 3};
        struct mix_sweep_progress after;
        assert_int_equal(sweep_with(job, &options, &after, &err), MIX_OK);
        assert_true(after.n_planned > 0 && after.n_planned < whole->n_rows);
        assert_int_equal(after.n_done, after.n_planned);
        n += after.n_planned;
    }
    struct mix_table *parts = read_runs(job->file);
    assert_int_equal(n, whole->n_rows);
    assert_int_equal(parts->n_rows, whole->n_rows);
    assert_memory_equal(parts->loss, whole->loss, n * 3 * sizeof *whole->loss);
    mix_table_destroy(parts);
    mix_table_destroy(whole);
    mix_job_destroy(job);
}

/* What rank 0 is told while a sweep goes on. */
struct seen {
    size_t n_calls, n_most;
    double best_loss, n_tokens;
    char best_run[MIX_NAME_MAX];
    off_t n_bytes; /* written by folds */
    ino_t file;
};

static void see(void *context, const struct mix_sweep_progress *progress)
{
    struct seen *seen = context;
    struct stat info;
    seen->n_calls++;
    assert_int_equal(progress->n_planned, progress->n_done + progress->n_failed +
                                              progress->n_running + progress->n_waiting);
    seen->n_most = progress->n_running > seen->n_most ? progress->n_running : seen->n_most;
    seen->best_loss = progress->best_loss;
    seen->n_tokens = progress->n_tokens;
    memcpy(seen->best_run, progress->best_run, sizeof seen->best_run);
    if (stat("small.h5", &info) == 0 && info.st_ino != seen->file) {
        seen->n_bytes += info.st_size;
        seen->file = info.st_ino;
    }
}

/* The file grows while the sweep goes on, and what is written for that is bounded. */
static void test_sweep_folds_at_intervals_and_tells_the_best(void **state)
{
    (void)state;
    struct seen seen = {.n_bytes = 0};
    const struct mix_sweep_options options = {
        .stop_before_s = NAN, .fold_s = 1e-3, .progress = see, .progress_context = &seen};
    struct mix_error err = {.text = ""};
    struct mix_job *job = parse_with("seed: 3}", "seed: 3, delay_s: 0.02}");
    unlink(job->file);
    assert_int_equal(sweep_with(job, &options, NULL, &err), MIX_OK);
    struct mix_table *table = read_runs(job->file);
    double best = INFINITY, n_tokens = 0;
    const char *run = "";
    for (size_t r = 0; r < table->n_rows; r++) {
        n_tokens += table->runs[r].is_final ? table->runs[r].n_tokens : 0;
        const double *loss = &table->loss[r * 3];
        const double mean = (loss[0] + loss[1] + loss[2]) / 3; /* all weights are 1 */
        if (table->runs[r].n_params == 150e6 && mean < best) {
            best = mean;
            run = table->runs[r].run;
        }
    }
    assert_true(fabs(seen.best_loss - best) < 1e-12);
    assert_true(fabs(seen.n_tokens / n_tokens - 1) < 1e-12);
    assert_string_equal(seen.best_run, run);
    assert_true(seen.n_calls >= 3);
    assert_int_equal(seen.n_most, 1);
    struct stat info;
    assert_int_equal(stat(job->file, &info), 0);
    assert_true(seen.n_bytes > info.st_size); /* it was there before the end */
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
        cmocka_unit_test(test_simulate_confirms_in_the_world_of_the_sweep),
        cmocka_unit_test(test_simulate_checkpoints_are_rows),
        cmocka_unit_test(test_simulate_refuses_runs_of_another_truth),
        cmocka_unit_test(test_sweep_refuses_a_table_of_other_names),
        cmocka_unit_test(test_sweep_by_shards),
        cmocka_unit_test(test_sweep_folds_at_intervals_and_tells_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table against stratified: differences of equal seeds, their errors, what counts as better;
 * and the table of runs in memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mixsweep/online.h"
#include "mixsweep/online_campaign.h"
#include "online/campaign_impl.h"

static const char job_text[] = "job: t\n"
                               "file: t.h5\n"
                               "domains: [{name: a}, {name: b}, {name: c}]\n"
                               "scales: [{n_params: 1e6, n_tokens: 1e6}]\n"
                               "sweep: {evaluator: simulate, simulate: {law: chinchilla}}\n"
                               "online:\n"
                               "  settings: [[a, b], [b, c]]\n"
                               "  methods: [aioli, grid]\n"
                               "  seeds: 3\n"
                               "  steps: 100\n"
                               "  trainer: simulate\n"
                               "  options: {rounds: 5, interval: 2, static_runs: 3}\n";

static struct mix_job *read_job(void)
{
    struct mix_job *job = NULL;
    struct mix_error err = {""};
    if (mix_job_parse("t.yaml", job_text, &job, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return job;
}

/* A final run whose test losses are those. */
static void add_run(struct mix_online *online, const char *setting, const char *method,
                    uint64_t seed, double a, double b, double c)
{
    const size_t row = mix_online_append(online);
    struct mix_online_run *run = &online->runs[row];
    run->key = mix_key_make(seed, setting, method, strlen(method));
    snprintf(run->setting, sizeof run->setting, "%s", setting);
    snprintf(run->method, sizeof run->method, "%s", method);
    run->role = MIX_ONLINE_FINAL;
    run->seed = seed;
    run->extra_steps = strcmp(method, "grid") == 0 ? 300 : 0;
    run->n_evaluations = 10;
    run->mixer_s = 0.001;
    run->train_s = 2;
    const double test[] = {a, b, c};
    memcpy(online->test + row * 3, test, sizeof test);
}

static void test_summary(void **state)
{
    (void)state;
    struct mix_job *job = read_job();
    struct mix_online *online = NULL;
    struct mix_online_summary *summary = NULL;
    struct mix_error err = {""};
    assert_int_equal(mix_campaign_plan(job, &online, &err), MIX_OK);
    const double noise[] = {0.1, -0.2, 0.4}, gain[] = {0.01, 0.02, 0.06};
    for (uint64_t seed = 0; seed < 3; seed++) {
        add_run(online, "a+b", "stratified", seed, 2 + noise[seed], 3, NAN);
        add_run(online, "a+b", "aioli", seed, 2 + noise[seed] - 2 * gain[seed], 3, NAN);
        add_run(online, "b+c", "stratified", seed, NAN, 1, 2);
        add_run(online, "b+c", "aioli", seed, NAN, 1.02, 2.04);
        if (seed < 2)
            add_run(online, "b+c", "grid", seed, NAN, 1, 2 - 0.5);
    }
    online->runs[online->n_runs - 1].diverged = 0;
    assert_int_equal(mix_online_sort(online, &err), MIX_OK);
    assert_int_equal(mix_online_summarise(job, online, &summary, &err), MIX_OK);
    assert_int_equal(summary->n_entries, 3); /* stratified, aioli, grid */
    assert_string_equal(summary->entries[1].method, "aioli");
    const struct mix_online_score *aioli = summary->scores + 2, *grid = summary->scores + 4;
    assert_int_equal(aioli->n_seeds, 3);
    assert_true(fabs(aioli->difference[MIX_METRIC_LOSS] + 0.03) < 1e-12);
    /* standard deviation of gain over sqrt(3): the noise of the seeds is in both */
    assert_true(fabs(aioli->se[MIX_METRIC_LOSS] - sqrt(0.0007 / 3)) < 1e-12);
    const double before = (exp(2.1) + exp(1.8) + exp(2.4)) / 3;
    const double after = (exp(2.1 - 0.02) + exp(1.8 - 0.04) + exp(2.4 - 0.12)) / 3;
    assert_true(fabs(aioli->difference[MIX_METRIC_MEAN_EXP] - (after - before) / 2) < 1e-12);
    assert_true(fabs(aioli[1].difference[MIX_METRIC_LOSS] - 0.03) < 1e-12);
    assert_true(fabs(aioli[1].difference[MIX_METRIC_EXP_MEAN] - (exp(1.53) - exp(1.5))) < 1e-12);
    assert_true(fabs(aioli->mixer_share - 0.0005) < 1e-15);
    assert_true(fabs(summary->total[1].difference[MIX_METRIC_LOSS]) < 1e-12);
    assert_true(fabs(summary->total[1].se[MIX_METRIC_LOSS] - sqrt(0.0007 / 3) / 2) < 1e-9);
    assert_true(summary->n_better[1] == 1 && summary->n_measured[1] == 2);
    assert_int_equal(summary->n_clear[1], 0); /* 0.03 < 2 x 0.0153 */
    assert_int_equal(grid[0].n_seeds, 0);
    assert_int_equal(grid[1].n_seeds, 2);
    assert_true(grid[1].extra_runs == 3 && fabs(grid[1].difference[0] + 0.25) < 1e-12);
    assert_true(summary->n_better[2] == 1 && summary->n_measured[2] == 1);
    assert_int_equal(summary->n_clear[2], 1);
    mix_online_summary_destroy(summary);
    mix_online_destroy(online);
    mix_job_destroy(job);
}

/* One rank, no logs: all runs of the plan, each once; what is there is not run again. */
static void test_run_and_resume(void **state)
{
    (void)state;
    struct mix_job *job = read_job();
    struct mix_online *online = NULL, *again = NULL;
    struct mix_error err = {""};
    const struct mix_campaign_options options = {.log_dir = NULL};
    assert_int_equal(mix_campaign_plan(job, &online, &err), MIX_OK);
    if (mix_campaign_run(NULL, job, online, &options, &err) != MIX_OK)
        fail_msg("%s", err.text);
    /* by setting and seed: 3 static ones, of which the middle is stratified, and aioli; then the
     * lines of the table for stratified and grid */
    assert_int_equal(online->n_runs, 2 * 3 * (3 + 1 + 2));
    assert_int_equal(mix_campaign_plan(job, &again, &err), MIX_OK);
    const struct mix_online_head head = mix_online_head(online);
    const size_t n_bytes = mix_online_record_bytes(3, online->n_points, online->n_rounds);
    uint8_t record[16384], other[16384];
    assert_true(n_bytes <= sizeof record);
    for (size_t i = 0; i < online->n_runs; i += 2) {
        mix_online_pack(online, i, record);
        assert_int_equal(mix_online_take(again, &head, sizeof head, record, n_bytes, &err), MIX_OK);
    }
    assert_int_equal(mix_campaign_run(NULL, job, again, &options, &err), MIX_OK);
    assert_int_equal(again->n_runs, online->n_runs);
    for (size_t i = 0; i < online->n_runs; i++) {
        again->runs[i].mixer_s = online->runs[i].mixer_s;
        again->runs[i].train_s = online->runs[i].train_s;
        again->runs[i].measure_s = online->runs[i].measure_s;
        mix_online_pack(online, i, record);
        mix_online_pack(again, i, other);
        assert_memory_equal(record, other, n_bytes);
    }
    /* Aioli's run and the sweep begin with the same model. */
    const size_t k = online->n_groups;
    for (size_t i = 1; i < online->n_runs; i++)
        if (strcmp(online->runs[i].setting, online->runs[0].setting) == 0)
            assert_memory_equal(online->loss_start, online->loss_start + i * k, 2 * sizeof(double));
    mix_online_destroy(online);
    mix_online_destroy(again);
    mix_job_destroy(job);
}

/* Fewer static runs than the law of dml has parameters: a sentence before anything is trained. */
static void test_too_few_static_runs_for_dml(void **state)
{
    (void)state;
    for (int n = 2; n <= 3; n++) {
        char text[512];
        struct mix_job *job = NULL;
        struct mix_online *online = NULL;
        struct mix_error err = {""};
        snprintf(text, sizeof text,
                 "job: t\nfile: t.h5\ndomains: [{name: a}, {name: b}]\n"
                 "online: {methods: [dml], steps: 50, trainer: simulate, options: {static_runs: "
                 "%d}}\n",
                 n);
        if (mix_job_parse("t.yaml", text, &job, &err) != MIX_OK)
            fail_msg("%s", err.text);
        assert_int_equal(mix_campaign_plan(job, &online, &err), n < 3 ? MIX_EINVAL : MIX_OK);
        if (n < 3)
            assert_non_null(strstr(err.text, "static_runs is 2; the law of dml has 3 parameters"));
        mix_online_destroy(online);
        mix_job_destroy(job);
    }
}

/* Text that is made: a domain has the same in every setting, and what is trained on it learns. */
static void test_made_text(void **state)
{
    (void)state;
    static const char text[] =
        "job: t\nfile: t.h5\nseed: 1\ndomains: [{name: a}, {name: b}, {name: c}]\n"
        "scales: [{width: 16, layers: 1, heads: 2, context: 16, n_tokens: 10240}]\n"
        "sweep: {evaluator: embedded, embedded: {batch: 8, synthetic:\n"
        "  {bytes: 20000, validation_bytes: 2000, shared: 0.5}}}\n"
        "online: {methods: [aioli], settings: [[a, b], [b, c]], seeds: 1, steps: 80,\n"
        "  validation_bytes: 512, test_bytes: 0, options: {rounds: 2}}\n";
    struct mix_job *job = NULL;
    struct mix_online *online = NULL;
    struct campaign_world world;
    struct mix_error err = {""};
    if (mix_job_parse("t.yaml", text, &job, &err) != MIX_OK)
        fail_msg("%s", err.text);
    if (campaign_world_open(job, MIX_ISA_GENERIC, &world, &err) != MIX_OK)
        fail_msg("%s", err.text);
    const struct mix_key a = mix_corpus_hash(world.corpora[0], 0);
    const struct mix_key b = mix_corpus_hash(world.corpora[0], 1);
    const struct mix_key b_too = mix_corpus_hash(world.corpora[1], 0);
    assert_memory_equal(&b, &b_too, sizeof b);
    assert_memory_not_equal(&a, &b, sizeof a);
    campaign_world_close(&world);
    const struct mix_campaign_options options = {.log_dir = NULL};
    assert_int_equal(mix_campaign_plan(job, &online, &err), MIX_OK);
    if (mix_campaign_run(NULL, job, online, &options, &err) != MIX_OK)
        fail_msg("%s", err.text);
    size_t n_final = 0;
    for (size_t i = 0; i < online->n_runs; i++) {
        if (online->runs[i].role != MIX_ONLINE_FINAL)
            continue;
        n_final++;
        const bool first = strcmp(online->runs[i].setting, "a+b") == 0;
        for (size_t k = 0; k < 3; k++)
            if (k == 1 || (k == 0) == first)
                assert_true(online->test[i * 3 + k] < 3.2 && online->test[i * 3 + k] > 1.1);
            else
                assert_true(isnan(online->test[i * 3 + k]));
    }
    assert_int_equal(n_final, 4); /* stratified and aioli in each setting */
    mix_online_destroy(online);
    mix_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_run_and_resume),
        cmocka_unit_test(test_too_few_static_runs_for_dml),
        cmocka_unit_test(test_made_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

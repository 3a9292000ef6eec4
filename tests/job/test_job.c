/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job file: what it says comes out, and every refusal names file, line and key. */
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
    const enum mix_status status = mix_job_parse("small.yaml", text, &job, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(status, MIX_OK);
    return job;
}

static void test_job_values_come_out(void **state)
{
    (void)state;
    struct mix_job *job = parse(job_text);
    assert_string_equal(job->name, "small");
    assert_string_equal(job->file, "small.h5");
    assert_int_equal(job->seed, 7);
    assert_int_equal(job->n_domains, 3);
    assert_string_equal(job->domains[1].name, "code");
    assert_true(job->domains[1].prior == 0.3 && job->domains[1].supply_tokens == 1e9);
    assert_true(isnan(job->domains[0].supply_tokens));
    assert_int_equal(job->n_mixtures, 12);
    assert_true(job->strength_min == 0.5 && job->strength_max == 4);
    assert_true(job->minimum_share == 0.02);
    assert_int_equal(job->n_scales, 2);
    assert_true(job->scales[0].n_params == 60e6 && job->scales[0].n_tokens == 1.2e9);
    assert_int_equal(job->scales[0].n_mixtures, 0);
    assert_int_equal(job->scales[1].n_mixtures, 6);
    assert_string_equal(job->evaluator, "simulate");
    assert_string_equal(job->simulate.law, "capacity");
    assert_true(job->simulate.noise == 0.01);
    assert_int_equal(job->simulate.seed, 3);
    assert_string_equal(job->fit.law, "capacity");
    assert_int_equal(job->fit.n_starts, 8);
    assert_int_equal(job->n_draws, 20);
    assert_true(job->optima[0].n_params == 1.3e9);
    assert_true(job->optima[0].n_tokens == 67760078203.0);
    assert_true(job->optima[0].lower[0] == 0.01 && job->optima[0].upper[0] == 1);
    assert_true(job->optima[0].upper[2] == 0.4);
    assert_true(isnan(job->optima[0].weight[0]) && job->optima[0].weight[1] == 2);
    assert_string_equal(job->text, job_text);
    mix_job_destroy(job);
}

static void test_job_defaults(void **state)
{
    (void)state;
    struct mix_job *job = parse("job: j\nfile: j.h5\ndomains: [{name: a}, {name: b}]\n"
                                "design: {mixtures: 4}\nscales: [{n_params: 1e6, n_tokens: 1e8}]\n"
                                "sweep: {evaluator: simulate, simulate: {law: capacity}}\n");
    assert_int_equal(job->seed, 1);
    assert_true(job->domains[0].prior == 0.5);
    assert_int_equal(job->n_targets, 2);
    assert_string_equal(job->targets[1].name, "b");
    assert_string_equal(job->targets[1].unit, "nats/token");
    assert_int_equal(job->targets[1].domain, 1);
    assert_int_equal(job->targets[1].direction, -1);
    assert_int_equal(job->scales[0].n_replicates, 3);
    assert_int_equal(job->scales[0].n_replicated, 4);
    assert_true(job->include_prior && job->include_uniform);
    assert_null(job->fit.law);
    assert_int_equal(job->n_draws, 0);
    assert_int_equal(job->n_optima, 0);
    mix_job_destroy(job);
}

static void test_job_priors_are_normalised(void **state)
{
    (void)state;
    char *text = job_text_with("prior: 0.2", "prior: 0.2005");
    struct mix_job *job = parse(text);
    const double sum = job->domains[0].prior + job->domains[1].prior + job->domains[2].prior;
    assert_true(fabs(sum - 1) < 1e-15);
    assert_true(fabs(job->domains[2].prior - 0.2005 / 1.0005) < 1e-15);
    mix_job_destroy(job);
    free(text);
}

static void test_job_simulate_params_and_targets(void **state)
{
    (void)state;
    char *text = job_text_with("seed: 3}", "seed: 3, params: {\"E[web]\": 1.5, H: 2}}");
    struct mix_job *job = parse(text);
    assert_int_equal(job->simulate.n_params, 2);
    assert_string_equal(job->simulate.param_names[0], "E[web]");
    assert_true(job->simulate.params[0] == 1.5 && job->simulate.params[1] == 2);
    mix_job_destroy(job);
    free(text);
    text = job_text_with("sweep:\n  evaluator: simulate\n", "targets:\n"
                                                            "  - {name: wiki, unit: bits/byte, "
                                                            "weight: 3}\n"
                                                            "  - {name: code, direction: higher}\n"
                                                            "  - {name: web}\n"
                                                            "sweep:\n"
                                                            "  table: {file: old.csv}\n"
                                                            "  evaluator: table\n");
    job = parse(text);
    assert_int_equal(job->targets[0].domain, 2);
    assert_string_equal(job->targets[0].unit, "bits/byte");
    assert_true(job->targets[0].weight == 3);
    assert_int_equal(job->targets[1].direction, 1);
    assert_true(isnan(job->optima[0].weight[0]) && job->optima[0].weight[1] == 2);
    mix_job_destroy(job);
    free(text);
}

/* One change of job_text and the whole sentence that refuses it. */
struct refusal {
    const char *from, *to, *sentence;
};

static const struct refusal refusals[] = {
    {"starts: 8", "starts: 0", "small.yaml, line 21, key fit.starts: 0 is not in 1 … 100000."},
    {"starts: 8", "starts: 8.5",
     "small.yaml, line 21, key fit.starts: 8.5 is not a whole number in 1 … 100000."},
    {"starts: 8", "starts: many", "small.yaml, line 21, key fit.starts: \"many\" is not a number."},
    {"starts: 8", "starts: 1__0", "small.yaml, line 21, key fit.starts: \"1__0\" is not a number."},
    {"starts: 8", "starts: nan", "small.yaml, line 21, key fit.starts: \"nan\" is not a number."},
    {"starts: 8", "starts: 0x10", "small.yaml, line 21, key fit.starts: \"0x10\" is not a number."},
    {"starts: 8", "starts:", "small.yaml, line 21, key fit.starts: \"\" is not a number."},
    {"starts: 8", "starts: [8]",
     "small.yaml, line 21, key fit.starts: is a list; a single value is wanted."},
    {"starts: 8", "strats: 8",
     "small.yaml, line 21, key fit.strats: unknown key; did you mean starts?"},
    {"starts: 8", "colour: 8",
     "small.yaml, line 21, key fit.colour: unknown key; known here: law, form, name, where, "
     "checkpoints, targets, starts, mask_below, holdout, seed."},
    {"starts: 8", "law: capacity",
     "small.yaml, line 20, key fit.law: given twice, the second time in line 21."},
    {"fit:\n  law: capacity\n  starts: 8\n", "fit: 3\n",
     "small.yaml, line 19, key fit: is a single value; a mapping (name: value) is wanted."},
    {"fit:\n  law: capacity\n  starts: 8\n", "fit:\n",
     "small.yaml, line 19, key fit: is empty; a mapping (name: value) is wanted."},
    {"fit:\n  law: capacity\n  starts: 8\n", "",
     "small.yaml, line 19, key bootstrap: there is no section fit to resample."},
    {"law: capacity\n", "law: additive9\n",
     "small.yaml, line 20, key fit.law: \"additive9\" is not one of "},
    {"starts: 8", "holdout: some",
     "small.yaml, line 21, key fit.holdout: \"some\" is not one of auto, none, scale, both, "
     "mixture."},
    {"starts: 8", "holdout: mixture:1.5",
     "small.yaml, line 21, key fit.holdout: the share in \"mixture:1.5\" is not between 0 and 1."},
    {"starts: 8", "targets: web,cod",
     "small.yaml, line 21, key fit.targets: \"cod\" is not a target; allowed are domains, all, or "
     "names joined by commas."},
    {"starts: 8", "where: n_params<=1e6",
     "small.yaml, line 21, key fit.where: no planned run passes \"n_params<=1e6\"."},
    {"starts: 8", "where: wat<3", "small.yaml, line 21, key fit.where: "},
    {"starts: 8", "mask_below: 1.1",
     "small.yaml, line 21, key fit.mask_below: 1.1 is not in 0 … 1."},
    {"starts: 8", "checkpoints: some",
     "small.yaml, line 21, key fit.checkpoints: \"some\" is not one of last, all, late."},
    {"starts: 8", "seed: -1",
     "small.yaml, line 21, key fit.seed: \"-1\" is not a whole number in 0 … "
     "18446744073709551615."},
    {"starts: 8", "seed: 18446744073709551616",
     "small.yaml, line 21, key fit.seed: \"18446744073709551616\" is not a whole number in 0 … "
     "18446744073709551615."},
    {"draws: 20", "draws: 0", "small.yaml, line 22, key bootstrap.draws: 0 is not in 1 … 1000000."},
    {"draws: 20", "draws: 20, bayesian: maybe",
     "small.yaml, line 22, key bootstrap.bayesian: \"maybe\" is neither true nor false."},
    {"draws: 20", "draws: 20, cluster: seed",
     "small.yaml, line 22, key bootstrap.cluster: \"seed\" is not one of mixture, run."},
    {"job: small", "job: ", "small.yaml, line 1, key job: a text of 0 bytes is not in 1 … 63."},
    {"job: small", "job: a=b",
     "small.yaml, line 1, key job: a name has none of , = < > ! [ ] \" and /, but \"a=b\" has =."},
    {"job: small", "job: \"a\\tb\"",
     "small.yaml, line 1, key job: control characters are not allowed."},
    {"job: small\n", "", "small.yaml, line 1: the key job is missing."},
    {"name: code", "name: web",
     "small.yaml, line 6, key domains[1].name: web is the name of an earlier entry too."},
    {"{name: code, prior: 0.3", "{prior: 0.3",
     "small.yaml, line 6, key domains[1]: the key name is missing."},
    {"prior: 0.3", "prior: 1.3",
     "small.yaml, line 6, key domains[1].prior: 1.3 is not in 1e-06 … 1."},
    {"prior: 0.3", "prior: 0.31",
     "small.yaml, line 4, key domains: the priors sum to 1.01; they must sum to 1 within 0.001."},
    {", prior: 0.3", "",
     "small.yaml, line 6, key domains[1]: prior is missing; give it for all domains or for none."},
    {"supply_tokens: 1e9", "supply_tokens: -1",
     "small.yaml, line 6, key domains[1].supply_tokens: -1 is not in 1 … 1e+18."},
    {"design:", "targets: [{name: web, direction: up}]\ndesign:",
     "small.yaml, line 8, key targets[0].direction: \"up\" is not one of lower, higher."},
    {"design:", "targets: [{name: web}, {name: exam, direction: higher}]\ndesign:",
     "small.yaml, line 8, key targets[1].direction: exam is a score (higher), but the evaluator "
     "simulate measures losses alone; scores come from command and table."},
    {"design:", "targets: [{name: web, weight: 0}]\ndesign:",
     "small.yaml, line 8, key targets: all weights are 0; at least one must be larger."},
    {"design:", "targets: []\ndesign:",
     "small.yaml, line 8, key targets: 0 entries are not in 1 … 256."},
    {"mixtures: 12", "mixtures: 10001",
     "small.yaml, line 9, key design.mixtures: 10001 is not in 1 … 10000."},
    {"[0.5, 4]", "[4, 0.5]",
     "small.yaml, line 11, key design.strength: the least, 4, is larger than the largest, 0.5."},
    {"[0.5, 4]", "[0.5]", "small.yaml, line 11, key design.strength: 1 entries; 2 are wanted."},
    {"[0.5, 4]", "[0, 4]",
     "small.yaml, line 11, key design.strength[0]: 0 is not in 0.001 … 1000000."},
    {"minimum_share: 0.02", "minimum_share: 0.4",
     "small.yaml, line 12, key design.minimum_share: 0.4 is not in 0 … 0.333333333333333."},
    {"minimum_share: 0.02", "temperature: 0",
     "small.yaml, line 12, key design.temperature: 0 is not in 0.01 … 100."},
    {"n_params: 150e6", "n_params: 0",
     "small.yaml, line 15, key scales[1].n_params: 0 is not in 1 … 1e+18."},
    {"n_params: 150e6", "n_params: 1e999",
     "small.yaml, line 15, key scales[1].n_params: \"1e999\" is not a number."},
    {"n_params: 150e6, n_tokens: 3e9", "n_params: 150e6, n_tokens: 3e9, checkpoints: []",
     "small.yaml, line 15, key scales[1].checkpoints: is empty; without the key"},
    {"n_params: 150e6, n_tokens: 3e9", "n_params: 60e6, n_tokens: 1.2e9",
     "small.yaml, line 15, key scales[1]: the same n_params and n_tokens as an earlier entry."},
    {"mixtures: 6", "mixtures: 13",
     "small.yaml, line 15, key scales[1].mixtures: 13 is not in 1 … 12."},
    {"mixtures: 12\n  replicates: 1\n", "mixtures: 10000\n  replicates: 1000\n",
     "small.yaml, line 13, key scales: 10006000 runs are more than 1000000."},
    {"evaluator: simulate", "evaluator: slurm",
     "small.yaml, line 17, key sweep.evaluator: \"slurm\" is not one of simulate, table, command, "
     "embedded."},
    {"evaluator: simulate", "evaluator: command",
     "small.yaml, line 16, key sweep: the evaluator command wants a section command."},
    {"  simulate: {law: capacity, noise: 0.01, seed: 3}\n", "",
     "small.yaml, line 16, key sweep: the evaluator simulate wants a section simulate."},
    {"noise: 0.01", "noise: 2",
     "small.yaml, line 18, key sweep.simulate.noise: 2 is not in 0 … 1."},
    {"seed: 3}", "seed: 3, params: {Z: 1}}",
     "small.yaml, line 18, key sweep.simulate.params.Z: the law capacity has no such parameter"},
    {"seed: 3}", "seed: 3, params: {\"E[wbe]\": 1}}",
     "small.yaml, line 18, key sweep.simulate.params.E[wbe]: the law capacity has no such "
     "parameter; did you mean E[web]?"},
    {"seed: 3}", "seed: 3, params: {H: [1]}}",
     "small.yaml, line 18, key sweep.simulate.params.H: \"\" is not a number."},
    {"n_params: 1.3e9", "n_params: 0",
     "small.yaml, line 24, key optimum.n_params: 0 is not in 1 … 1e+18."},
    {"  n_tokens: 67_760_078_203\n", "",
     "small.yaml, line 23, key optimum: the key n_tokens is missing."},
    {"floor: 0.01", "floor: 0.5",
     "small.yaml, line 27, key optimum.caps.wiki: the cap 0.4 is below the floor 0.5."},
    {"floor: 0.01", "floor: 0.39",
     "small.yaml, line 26, key optimum.floor: 3 floors of 0.39 sum to more than 1; at most "
     "0.333333 is possible."},
    {"{wiki: 0.4}", "{wiki: 0.4, web: 0.2, code: 0.2}",
     "small.yaml, line 27, key optimum.caps: the caps sum to 0.8; they must leave room for 1."},
    {"{wiki: 0.4}", "{wikis: 0.4}",
     "small.yaml, line 27, key optimum.caps.wikis: there is no such name; did you mean wiki?"},
    {"{wiki: 0.4}", "{wiki: 1.4}",
     "small.yaml, line 27, key optimum.caps.wiki: 1.4 is not in 0 … 1."},
    {"{wiki: 0.4}", "{}",
     "small.yaml, line 27, key optimum.caps: is empty; at least one name: value is wanted, or no "
     "such key."},
    {"{wiki: 0.4}", "",
     "small.yaml, line 27, key optimum.caps: is empty; a mapping (name: value) is wanted."},
    {"{code: 2}", "{}", "small.yaml, line 28, key optimum.weights: is empty; at least one "},
    {"{code: 2}", "{german: 2}",
     "small.yaml, line 28, key optimum.weights.german: there is no such name; allowed are web, "
     "code"},
    {"{code: 2}", "{code: -2}",
     "small.yaml, line 28, key optimum.weights.code: -2 is not in 0 … 1000000."},
    {"{code: 2}", "[code, 2]",
     "small.yaml, line 28, key optimum.weights: is a list; a mapping (name: value) is wanted."},
    {"floor: 0.01", "baseline: mine",
     "small.yaml, line 26, key optimum.baseline: \"mine\" is not one of uniform, prior."},
    {"floor: 0.01", "level: 1",
     "small.yaml, line 26, key optimum.level: 1 is not in 0.01 … 0.9999."},
    {"job: small", "job: [small",
     "small.yaml, line 2, column 5: not YAML: did not find expected ',' or ']'."},
    {"job: small", "job: &a small",
     "small.yaml, line 1: an anchor (&name) or tag (!name) is not allowed in a job file."},
    {"job: small", "job: *a",
     "small.yaml, line 1: an alias (*name) is not allowed in a job file; write the value out."},
    {"job: small", "job: !!str small",
     "small.yaml, line 1: an anchor (&name) or tag (!name) is not allowed in a job file."},
    {"job: small", "job: [[[[[[[[[[[[[[[[[[",
     "small.yaml, line 1: more than 16 levels of nesting."},
    {"scales:", "--- \nscales:",
     "small.yaml, line 13: a second document (---) begins; a job file has one."},
    {"job: small", "? [a]\n: small", "small.yaml, line 1: a list or mapping is used as a key."},
    {"job: small",
     "job: sm\xff"
     "all",
     "small.yaml, byte 8: not UTF-8 text ("},
    {"job: small", "job: \"a\\0b\"", "small.yaml, line 1: a zero byte is not allowed in a value."},
};

static void test_job_refusals_name_line_and_key(void **state)
{
    (void)state;
    size_t n_wrong = 0;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct mix_error err = {.text = ""};
        struct mix_job *job = NULL;
        char *text = job_text_with(refusals[i].from, refusals[i].to);
        const enum mix_status status = mix_job_parse("small.yaml", text, &job, &err);
        if (status != MIX_EINVAL ||
            strncmp(err.text, refusals[i].sentence, strlen(refusals[i].sentence)) != 0) {
            print_error("%s -> %s: status %d\n  got    %s\n  wanted %s\n", refusals[i].from,
                        refusals[i].to, (int)status, err.text, refusals[i].sentence);
            n_wrong++;
        }
        mix_job_destroy(job);
        free(text);
    }
    assert_int_equal(n_wrong, 0);
}

/* A list that is cut says so, once, at its end. */
static void test_job_refusal_lists_what_there_is_room_for(void **state)
{
    (void)state;
    for (int n = 3; n <= 40; n += 37) {
        struct mix_error err = {.text = ""};
        struct mix_job *job = NULL;
        char domains[4000] = "";
        for (int i = 0, used = 0; i < n; i++)
            used +=
                snprintf(domains + used, sizeof domains - (size_t)used,
                         "  - {name: quite_a_long_name_of_a_domain_%d, prior: %g}\n", i, 0.8 / n);
        char *text = job_text_with("  - {name: web, prior: 0.5}\n"
                                   "  - {name: code, prior: 0.3, supply_tokens: 1e9}\n",
                                   domains);
        assert_int_equal(mix_job_parse("small.yaml", text, &job, &err), MIX_EINVAL);
        assert_non_null(strstr(err.text, "allowed are quite_a_long"));
        const char *cut = strstr(err.text, "…");
        assert_true(n == 3 ? cut == NULL : cut != NULL && strcmp(cut, "….") == 0);
        free(text);
    }
}

static void test_job_no_document(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# only a comment\n", "---\n...\n"};
    for (size_t i = 0; i < 3; i++) {
        struct mix_error err = {.text = ""};
        struct mix_job *job = NULL;
        assert_int_equal(mix_job_parse("e.yaml", texts[i], &job, &err), MIX_EINVAL);
        assert_ptr_equal(strstr(err.text, "e.yaml"), err.text);
    }
}

static void test_job_long_and_deep_texts_are_refused_at_once(void **state)
{
    (void)state;
    enum { N = 1000000 };
    static const char *const units[] = {"[", "{", "- ", "? ", "a: ", "[a, ", "\"", "- - \n"};
    char *text = malloc(N + 1);
    assert_non_null(text);
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        struct mix_error err = {.text = ""};
        struct mix_job *job = NULL;
        const size_t n = strlen(units[u]);
        for (size_t i = 0; i < N; i++)
            text[i] = units[u][i % n];
        text[N] = '\0';
        assert_int_equal(mix_job_parse("deep.yaml", text, &job, &err), MIX_EINVAL);
        assert_null(job);
    }
    free(text);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void test_job_files(void **state)
{
    (void)state;
    enum { N = (1 << 20) + 1 };
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    assert_int_equal(mix_job_read("none.yaml", &job, &err), MIX_ENOTFOUND);
    assert_string_equal(err.text, "none.yaml: No such file or directory.");
    char *text = malloc(N);
    assert_non_null(text);
    memset(text, '#', N);
    write_file("test_job.yaml", text, N);
    free(text);
    assert_int_equal(mix_job_read("test_job.yaml", &job, &err), MIX_EINVAL);
    assert_string_equal(err.text, "test_job.yaml: longer than 1 MB, which no job file is.");
    write_file("test_job.yaml", "job: a\0b\n", 9);
    assert_int_equal(mix_job_read("test_job.yaml", &job, &err), MIX_EINVAL);
    assert_string_equal(err.text, "test_job.yaml: not a text file (it has a zero byte).");
    assert_int_equal(mix_job_read(".", &job, &err), MIX_EIO);
    write_file("test_job.yaml", job_text, strlen(job_text));
    assert_int_equal(mix_job_read("test_job.yaml", &job, &err), MIX_OK);
    assert_string_equal(job->name, "small");
    mix_job_destroy(job);
    unlink("test_job.yaml");
}

/* Runs are chosen among runs of the job's own domains. */
static void test_job_of_other_domains_chooses_nothing(void **state)
{
    (void)state;
    const double mixture[3] = {0.25, 0.25, 0.5};
    struct mix_error err = {.text = ""};
    struct mix_table *table = mix_table_create(3, 1), *other = mix_table_create(2, 1);
    struct mix_job *job = NULL;
    size_t scale = 9;
    assert_non_null(table);
    assert_non_null(other);
    for (size_t k = 0; k < 3; k++)
        snprintf(table->domains[k].name, MIX_NAME_MAX, "%c", (int)('a' + k));
    memcpy(other->domains, table->domains, 2 * sizeof *other->domains);
    assert_int_equal(mix_job_of_table(table, "S.h5", &job, &err), MIX_OK);
    assert_int_equal(mix_job_add_scale(job, 1e6, 1e8, &scale, &err), MIX_OK);
    assert_int_equal(mix_job_choose(job, table, scale, mixture, 1, &err), MIX_OK);
    assert_int_equal(mix_job_take_chosen(job, table, &err), MIX_OK);
    assert_non_null(job->chosen);
    assert_int_equal(job->chosen->n_rows, 1);
    assert_int_equal(mix_job_choose(job, other, scale, mixture, 1, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "has 3 domains and 1 targets, the runs in S.h5 have 2 and 1"));
    assert_int_equal(other->n_rows, 0);
    mix_job_destroy(job);
    mix_table_destroy(table);
    mix_table_destroy(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_values_come_out),
        cmocka_unit_test(test_job_defaults),
        cmocka_unit_test(test_job_priors_are_normalised),
        cmocka_unit_test(test_job_simulate_params_and_targets),
        cmocka_unit_test(test_job_refusals_name_line_and_key),
        cmocka_unit_test(test_job_refusal_lists_what_there_is_room_for),
        cmocka_unit_test(test_job_no_document),
        cmocka_unit_test(test_job_long_and_deep_texts_are_refused_at_once),
        cmocka_unit_test(test_job_files),
        cmocka_unit_test(test_job_of_other_domains_chooses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

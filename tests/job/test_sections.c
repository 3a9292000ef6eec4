/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scales, evaluators, sources and confirm: what the job file says comes out, and every refusal
 * names file, line and key. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mixsweep/job.h"

static const char text_of_all[] =
    "job: full\n"                                                                /* 1 */
    "file: full.h5\n"                                                            /* 2 */
    "seed: 5\n"                                                                  /* 3 */
    "schedule: mine\n"                                                           /* 4 */
    "domains:\n"                                                                 /* 5 */
    "  - {name: web, prior: 0.5, supply_tokens: 1e9, paths: [a/*.txt, b]}\n"     /* 6 */
    "  - {name: code, prior: 0.5, paths: c.gz, document: paragraph}\n"           /* 7 */
    "targets:\n"                                                                 /* 8 */
    "  - {name: web}\n"                                                          /* 9 */
    "  - {name: exam, paths: [x, y], document: line}\n"                          /* 10 */
    "design:\n"                                                                  /* 11 */
    "  mixtures: 10\n"                                                           /* 12 */
    "  max_epochs: 3\n"                                                          /* 13 */
    "  match_epochs: {n_tokens: 1e8}\n"                                          /* 14 */
    "scales:\n"                                                                  /* 15 */
    "  - {size: 10k, n_tokens: 1e6, checkpoints: 3}\n"                           /* 16 */
    "  - n_tokens: 4e6\n"                                                        /* 17 */
    "    width: 64\n"                                                            /* 18 */
    "    layers: 3\n"                                                            /* 19 */
    "    heads: 4\n"                                                             /* 20 */
    "    context: 32\n"                                                          /* 21 */
    "    checkpoints: [1e6, 3e6]\n"                                              /* 22 */
    "    replicates: 2\n"                                                        /* 23 */
    "    resources: {nodes: 2, gpus: 8, cpus: 16, mem: 16GiB, wall: 01:30:00}\n" /* 24 */
    "sweep:\n"                                                                   /* 25 */
    "  evaluator: embedded\n"                                                    /* 26 */
    "  simulate: {law: chinchilla}\n"                                            /* 27 */
    "  table: {file: t.csv, delay: 0.5s}\n"                                      /* 28 */
    "  command:\n"                                                               /* 29 */
    "    argv: python train.py  --mix {mixture}\n"                               /* 30 */
    "    launcher: [srun, --exact, -n1]\n"                                       /* 31 */
    "    environment: {A_1: \"x y\", B: 2}\n"                                    /* 32 */
    "    fatal_exit: [3, 4]\n"                                                   /* 33 */
    "    requeue_exit: 99\n"                                                     /* 34 */
    "    loss_range: [0, 20]\n"                                                  /* 35 */
    "    time_limit: 2h\n"                                                       /* 36 */
    "    mem: 64GB\n"                                                            /* 37 */
    "    keep: all\n"                                                            /* 38 */
    "  embedded:\n"                                                              /* 39 */
    "    batch: 8\n"                                                             /* 40 */
    "    learning_rate: 0.01\n"                                                  /* 41 */
    "    schedule: wsd\n"                                                        /* 42 */
    "    warmup: 0.1\n"                                                          /* 43 */
    "    decay: 0.3\n"                                                           /* 44 */
    "    split_seed: 9\n"                                                        /* 45 */
    "fit: {law: chinchilla, targets: all}\n"                                     /* 46 */
    "optimum: {n_params: 1e9, n_tokens: 1e10}\n"                                 /* 47 */
    "confirm: {seeds: 4, scales: [{size: 1m, n_tokens: 1e8}]}\n";                /* 48 */

/* text_of_all with the first `from` replaced by `to`; the caller frees it. */
static char *text_with(const char *from, const char *to)
{
    const char *at = strstr(text_of_all, from);
    char *text = malloc(sizeof text_of_all + strlen(to));
    if (!at || !text)
        fail_msg("there is no \"%s\"", from);
    else
        snprintf(text, sizeof text_of_all + strlen(to), "%.*s%s%s", (int)(at - text_of_all),
                 text_of_all, to, at + strlen(from));
    return text;
}

static struct mix_job *parse_with(const char *from, const char *to)
{
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    char *text = text_with(from, to);
    mix_job_parse("full.yaml", text, &job, &err);
    assert_string_equal(err.text, "");
    free(text);
    return job;
}

static void test_scales_come_out(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("seed: 5", "seed: 5");
    const struct mix_job_scale *small = &job->scales[0], *own = &job->scales[1];
    assert_memory_equal(&small->shape, &mix_proxy_size(0)->shape, sizeof small->shape);
    assert_true(small->n_params == (double)mix_proxy_n_params(&small->shape, 1));
    assert_int_equal(small->n_checkpoints, 3);
    assert_true(small->checkpoints[0] == 2.5e5 && small->checkpoints[1] == 5e5 &&
                small->checkpoints[2] == 1e6);
    assert_int_equal(small->resources.n_nodes, 1);
    assert_true(isnan(small->resources.wall_s));
    assert_int_equal(own->shape.width, 64);
    assert_int_equal(own->shape.n_layers, 3);
    assert_int_equal(own->shape.n_heads, 4);
    assert_int_equal(own->shape.context, 32);
    assert_true(own->n_params == (double)mix_proxy_n_params(&own->shape, 1));
    assert_int_equal(own->n_checkpoints, 3);
    assert_true(own->checkpoints[1] == 3e6 && own->checkpoints[2] == 4e6);
    assert_int_equal(own->n_replicates, 2);
    assert_true(own->n_replicated == SIZE_MAX);
    assert_int_equal(own->resources.n_nodes, 2);
    assert_int_equal(own->resources.gpus, 8);
    assert_int_equal(own->resources.cpus, 16);
    assert_true(own->resources.mem_bytes == 16.0 * (1 << 30));
    assert_true(own->resources.wall_s == 5400);
    assert_true(mix_job_flops(own) == mix_proxy_flops(&own->shape, 4e6));
    mix_job_destroy(job);
}

static void test_command_comes_out(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("evaluator: embedded", "evaluator: command");
    const struct mix_job_command *command = &job->command;
    assert_int_equal(command->n_argv, 4);
    assert_string_equal(command->argv[1], "train.py");
    assert_string_equal(command->argv[3], "{mixture}");
    assert_null(command->argv[4]);
    assert_int_equal(command->n_launcher, 3);
    assert_string_equal(command->launcher[2], "-n1");
    assert_null(command->launcher[3]);
    assert_int_equal(command->n_environment, 2);
    assert_string_equal(command->environment[0], "A_1");
    assert_string_equal(command->environment_value[0], "x y");
    assert_string_equal(command->environment_value[1], "2");
    assert_int_equal(command->n_fatal, 2);
    assert_int_equal(command->fatal[1], 4);
    assert_int_equal(command->n_requeue, 1);
    assert_int_equal(command->requeue[0], 99);
    assert_true(command->loss_min == 0 && command->loss_max == 20);
    assert_true(command->time_limit_s == 7200);
    assert_true(command->mem_bytes == 64e9);
    assert_int_equal(command->keep, MIX_KEEP_ALL);
    assert_string_equal(job->schedule, "mine");
    mix_job_destroy(job);
}

static void test_command_defaults(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("    launcher: [srun, --exact, -n1]\n"
                                     "    environment: {A_1: \"x y\", B: 2}\n"
                                     "    fatal_exit: [3, 4]\n"
                                     "    requeue_exit: 99\n"
                                     "    loss_range: [0, 20]\n"
                                     "    time_limit: 2h\n"
                                     "    mem: 64GB\n"
                                     "    keep: all\n",
                                     "");
    const struct mix_job_command *command = &job->command;
    assert_null(command->launcher);
    assert_false(command->shell);
    assert_true(command->scrub);
    assert_int_equal(command->n_environment, 0);
    assert_int_equal(command->result, MIX_RESULT_FILE);
    assert_string_equal(command->result_file, "result.json");
    assert_string_equal(command->run_dir, "full.h5.runs");
    assert_int_equal(command->keep, MIX_KEEP_FAILED);
    assert_true(command->time_limit_s == INFINITY && command->grace_s == 30);
    assert_int_equal(command->n_retries, 2);
    assert_true(command->backoff_s == 10);
    assert_int_equal(command->n_fatal, 0);
    assert_int_equal(command->n_requeue, 1);
    assert_int_equal(command->requeue[0], 75);
    assert_int_equal(command->slots, 1);
    assert_int_equal(command->gpus, -1);
    assert_int_equal(command->cpus, -1);
    assert_true(command->mem_bytes == 0 && command->max_failures == 0);
    assert_true(command->loss_min == -INFINITY && command->loss_max == INFINITY);
    mix_job_destroy(job);
}

static void test_command_by_shell_and_empty_lists(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("argv: python train.py  --mix {mixture}",
                                     "argv: \"a 'b c' | d > e\"\n    shell: yes");
    assert_int_equal(job->command.n_argv, 1);
    assert_string_equal(job->command.argv[0], "a 'b c' | d > e");
    mix_job_destroy(job);
    job = parse_with("argv: python train.py  --mix {mixture}", "argv: [./a b, \"\", \"$X\"]");
    assert_int_equal(job->command.n_argv, 3);
    assert_string_equal(job->command.argv[0], "./a b");
    assert_string_equal(job->command.argv[2], "$X");
    mix_job_destroy(job);
    job = parse_with("requeue_exit: 99", "requeue_exit: []\n    slots: 0\n    result: stdout");
    assert_int_equal(job->command.n_requeue, 0);
    assert_int_equal(job->command.slots, 0);
    assert_int_equal(job->command.result, MIX_RESULT_STDOUT);
    mix_job_destroy(job);
}

static void test_embedded_comes_out(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("seed: 5", "seed: 5");
    const struct mix_trainer_options *trainer = &job->scales[1].trainer;
    struct mix_trainer_options usual = mix_trainer_defaults(&job->scales[1].shape);
    assert_int_equal(trainer->shape.width, 64);
    assert_int_equal(trainer->batch, 8);
    assert_true(trainer->learning_rate == 0.01 && trainer->warmup == 0.1 && trainer->decay == 0.3);
    assert_true(trainer->clip == usual.clip && trainer->beta2 == usual.beta2);
    assert_int_equal(trainer->schedule, MIX_SCHEDULE_WSD);
    assert_int_equal(trainer->n_steps, 4000000 / (8 * 32));
    assert_true(job->embedded.decay_checkpoints);
    assert_int_equal(job->embedded.corpus.seed, 9);
    assert_true(job->embedded.corpus.validation_share == 0.1);
    assert_false(job->embedded.is_synthetic);
    assert_int_equal(job->domain_sources[0].n_paths, 2);
    assert_string_equal(job->domain_sources[0].paths[0], "a/*.txt");
    assert_int_equal(job->domain_sources[1].document, MIX_DOCUMENT_PARAGRAPH);
    assert_string_equal(job->domain_sources[1].paths[0], "c.gz");
    assert_int_equal(job->target_sources[0].n_paths, 0);
    assert_int_equal(job->target_sources[1].n_paths, 2);
    assert_int_equal(job->target_sources[1].document, MIX_DOCUMENT_LINE);
    assert_int_equal(job->confirm.n_seeds, 4);
    assert_int_equal(job->confirm.n_scales, 1);
    assert_int_equal(job->confirm.scales[0].n_replicates, 4);
    assert_int_equal(job->confirm.scales[0].trainer.batch, 8);
    assert_true(job->confirm.scales[0].n_params ==
                (double)mix_proxy_n_params(&job->confirm.scales[0].shape, 1));
    assert_string_equal(job->table.file, "t.csv");
    assert_true(job->table.delay_s == 0.5);
    assert_string_equal(job->simulate.law, "chinchilla");
    assert_true(job->max_epochs == 3 && job->match_tokens == 1e8);
    mix_job_destroy(job);
}

/* The label of runs trained here is their schedule; other evaluators have none of their own. */
static void test_schedule_is_a_label(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("schedule: mine\n", "");
    assert_string_equal(job->schedule, "wsd");
    mix_job_destroy(job);
    char *text = text_with("schedule: mine\n", "");
    memcpy(strstr(text, "evaluator: embedded"), "evaluator: command ", 19);
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_job_parse("full.yaml", text, &job, &err), MIX_OK);
    assert_string_equal(job->schedule, "");
    mix_job_destroy(job);
    free(text);
}

static void test_synthetic_comes_out(void **state)
{
    (void)state;
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    mix_job_parse("s.yaml",
                  "job: s\nfile: s.h5\nseed: 3\ndomains: [{name: a}, {name: b}]\n"
                  "design: {mixtures: 4}\nscales: [{size: 10k, n_tokens: 1e5}]\n"
                  "sweep: {evaluator: embedded, embedded: {schedule: constant, synthetic: "
                  "{bytes: 5e4, shared: 0.3}}}\n",
                  &job, &err);
    assert_string_equal(err.text, "");
    assert_true(job->embedded.is_synthetic);
    assert_int_equal(job->embedded.synthetic.n_sources, 2);
    assert_int_equal(job->embedded.synthetic.n_bytes, 50000);
    assert_int_equal(job->embedded.synthetic.n_validation_bytes, 100000);
    assert_int_equal(job->embedded.synthetic.seed, 3);
    assert_true(job->embedded.synthetic.shared == 0.3);
    assert_false(job->embedded.decay_checkpoints);
    assert_string_equal(job->schedule, "constant");
    mix_job_destroy(job);
}

/* Recorded runs have no seeds but their own; a section confirm may do without scales. */
static void test_defaults_that_depend_on_other_keys(void **state)
{
    (void)state;
    struct mix_job *job = parse_with("evaluator: embedded", "evaluator: table");
    assert_int_equal(job->scales[0].n_replicates, 1);
    mix_job_destroy(job);
    job = parse_with("confirm: {seeds: 4, scales: [{size: 1m, n_tokens: 1e8}]}", "confirm: {}");
    assert_int_equal(job->confirm.n_seeds, 3);
    assert_int_equal(job->confirm.n_scales, 0);
    mix_job_destroy(job);
}

static void test_durations_and_amounts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } walls[] = {{"300s", 300},         {"20m", 1200},         {"1.5h", 5400}, {"2d", 172800},
                 {"\"1:00:05\"", 3605}, {"1-02:03:04", 93784}, {"20 m", 1200}},
      mems[] = {{"4GB", 4e9},      {"16GiB", 17179869184.0}, {"16G", 17179869184.0},
                {"512 MB", 512e6}, {"1.5KiB", 1536},         {"64B", 64}};
    for (size_t i = 0; i < sizeof walls / sizeof walls[0]; i++) {
        struct mix_job *job = parse_with("01:30:00", walls[i].text);
        assert_true(job->scales[1].resources.wall_s == walls[i].value);
        mix_job_destroy(job);
    }
    for (size_t i = 0; i < sizeof mems / sizeof mems[0]; i++) {
        struct mix_job *job = parse_with("16GiB", mems[i].text);
        assert_true(job->scales[1].resources.mem_bytes == mems[i].value);
        mix_job_destroy(job);
    }
}

/* One change of text_of_all and the sentence that refuses it, after "full.yaml, line ". */
struct refusal {
    const char *from, *to, *sentence;
};

static const struct refusal refusals[] = {
    /* scales */
    {"size: 10k", "size: 11k",
     "16, key scales[0].size: \"11k\" is not one of 10k, 30k, 100k, 300k, 1m"},
    {"size: 10k", "size: 10k, width: 3",
     "16, key scales[0].size: a size has its own width, layers, heads and context."},
    {"size: 10k, ", "",
     "16, key scales[0]: the key n_params is missing (or size, or width, layers, heads, context)."},
    {"size: 10k", "size: 10k, n_params: 1e4", "16, key scales[0].n_params: 1e4 are not the "},
    {"    heads: 4\n", "",
     "17, key scales[1]: a shape has all of width, layers, heads and context."},
    {"heads: 4", "heads: 5",
     "20, key scales[1].heads: 5 heads do not divide the width 64 into multiples of 8."},
    {"width: 64", "width: 0", "18, key scales[1].width: 0 is not in 16 … 16384."},
    {"width: 64", "width: 72", "18, key scales[1].width: 72 is not a multiple of 16."},
    {"context: 32", "context: 40", "21, key scales[1].context: 40 is not a multiple of 16."},
    {"width: 64", "n_prams: 64", "18, key scales[1].n_prams: unknown key; did you mean n_params?"},
    {"checkpoints: 3", "checkpoints: 0", "16, key scales[0].checkpoints: 0 is not in 1 … 32."},
    {"checkpoints: 3", "checkpoints: many",
     "16, key scales[0].checkpoints: \"many\" is not a number."},
    {"checkpoints: 3", "checkpoints: 22",
     "16, key scales[0].checkpoints: 21 halvings of 1000000 tokens leave nothing."},
    {"checkpoints: 3", "checkpoints: {a: 1}",
     "16, key scales[0].checkpoints: is a mapping; a list is wanted."},
    {"[1e6, 3e6]", "[3e6, 1e6]",
     "22, key scales[1].checkpoints[1]: 1e6 is not more than the checkpoint before, 3000000."},
    {"[1e6, 3e6]", "[5e6]", "22, key scales[1].checkpoints[0]: 5e6 is not in 1 … 4000000."},
    {"[1e6, 3e6]", "[[1e6]]",
     "22, key scales[1].checkpoints[0]: is a list; a single value is wanted."},
    {"[1e6, 3e6]",
     "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32]",
     "22, key scales[1].checkpoints: more than 32 checkpoints."},
    {"replicates: 2", "replicates: 0", "23, key scales[1].replicates: 0 is not in 1 … 1000."},
    {"nodes: 2", "nodes: 0", "24, key scales[1].resources.nodes: 0 is not in 1 … 100000."},
    {"gpus: 8", "gpus: 1.5",
     "24, key scales[1].resources.gpus: 1.5 is not a whole number in 0 … 64."},
    {"16GiB", "16",
     "24, key scales[1].resources.mem: \"16\" is not an amount such as 4GB (10^9), "
     "16GiB (2^30) or 16G (2^30)."},
    {"16GiB", "-1GB", "24, key scales[1].resources.mem: \"-1GB\" is not an amount"},
    {"01:30:00", "90",
     "24, key scales[1].resources.wall: \"90\" is not a duration such as 300s, 20m, 2h, 1d or "
     "01:30:00."},
    {"01:30:00", "01:30", "24, key scales[1].resources.wall: \"01:30\" is not a duration"},
    {"01:30:00", "01:61:00", "24, key scales[1].resources.wall: \"01:61:00\" is not a duration"},
    {"01:30:00", "2 hours", "24, key scales[1].resources.wall: \"2 hours\" is not a duration"},
    {"01:30:00", "0.5s", "24, key scales[1].resources.wall: 0.5s is not in 1s … 31622400s."},
    /* sources */
    {"[a/*.txt, b]", "[]", "6, key domains[0].paths: is empty."},
    {"[a/*.txt, b]", "[\"\"]", "6, key domains[0].paths: a path is empty."},
    {"document: paragraph", "document: page",
     "7, key domains[1].document: \"page\" is not one of file, paragraph, line."},
    {", paths: c.gz", "",
     "7, key domains[1]: the key paths is missing, which the evaluator embedded wants (or "
     "sweep.embedded.synthetic)."},
    {"paths: [x, y], ", "",
     "10, key targets[1]: exam is no domain: the key paths is missing, which the evaluator "
     "embedded "
     "wants."},
    {"{name: web}", "{name: web, paths: z}",
     "9, key targets[0].paths: web is a domain: its loss is that on the domain's own validation "
     "part."},
    /* design */
    {"  mixtures: 10\n", "", "11, key design: the key mixtures is missing."},
    {"mixtures: 10", "mixtures: 10\n  method: random",
     "13, key design.method: \"random\" is not one of dirichlet, sobol, lattice, file."},
    {"mixtures: 10", "method: lattice",
     "11, key design: the key step is missing, which method lattice wants."},
    {"mixtures: 10", "method: file",
     "11, key design: the key file is missing, which method file wants."},
    {"mixtures: 10", "step: 0.3", "12, key design.step: 1 is not a multiple of 0.3."},
    {"mixtures: 10", "step: 0.001\n  min_distance: 0.9", NULL}, /* few are so far apart: fine */
    {"mixtures: 10", "mixtures: 10\n  corner_share: 1.1",
     "13, key design.corner_share: 1.1 is not in 0 … 1."},
    {"mixtures: 10", "mixtures: 10\n  min_distance: -1",
     "13, key design.min_distance: -1 is not in 0 … 1."},
    {"mixtures: 10", "mixtures: 10\n  replicates: {mixture: 3}",
     "13, key design.replicates.mixture: unknown key; did you mean mixtures?"},
    {"mixtures: 10", "mixtures: 10\n  replicates: {seeds: 0}",
     "13, key design.replicates.seeds: 0 is not in 1 … 1000."},
    {"mixtures: 10", "mixtures: 10\n  replicates: [3]",
     "13, key design.replicates: is a list; a mapping (name: value) is wanted."},
    {"max_epochs: 3", "max_epochs: 0", "13, key design.max_epochs: 0 is not in 0.001 … 1000000."},
    {"supply_tokens: 1e9, ", "",
     "13, key design.max_epochs: no domain has supply_tokens, so that nothing repeats."},
    {"{n_tokens: 1e8}", "{n_tokens: 3e6}",
     "14, key design.match_epochs.n_tokens: 3e6 are fewer than the 4000000 of scales[1]."},
    {"{n_tokens: 1e8}", "1e8",
     "14, key design.match_epochs: is a single value; a mapping (name: value) is wanted."},
    /* table and command */
    {"file: t.csv, ", "", "28, key sweep.table: the key file is missing."},
    {"delay: 0.5s", "delay: 0.5", "28, key sweep.table.delay: \"0.5\" is not a duration"},
    {"    argv: python train.py  --mix {mixture}\n", "",
     "29, key sweep.command: the key argv is missing."},
    {"python train.py  --mix {mixture}", "[]",
     "30, key sweep.command.argv: is empty; the first entry is a program."},
    {"python train.py  --mix {mixture}", "\"  \"",
     "30, key sweep.command.argv: is empty; the first entry is a program."},
    {"python train.py  --mix {mixture}", "a | b",
     "30, key sweep.command.argv: a text with quotes or shell characters is for a shell; write a "
     "list, one entry for each argument, or say shell: true."},
    {"python train.py  --mix {mixture}", "\"a\\nb\"",
     "30, key sweep.command.argv: a text with several lines is for a shell; "},
    {"python train.py  --mix {mixture}", "[a, b]\n    shell: true",
     "30, key sweep.command.argv: with shell: true it is one text, not 2."},
    {"[srun, --exact, -n1]", "srun $X",
     "31, key sweep.command.launcher: a text with quotes or shell characters is for a shell; write "
     "a list, one entry for each argument."},
    {"A_1:", "1A:",
     "32, key sweep.command.environment.1A: a variable has 1 … 63 letters, digits and _, no digit "
     "first."},
    {"A_1: \"x y\"", "A: [1]", "32, key sweep.command.environment.A: a single value is wanted."},
    {"[3, 4]", "[0]", "33, key sweep.command.fatal_exit[0]: 0 is not in 1 … 255."},
    {"[3, 4]", "[99]", "33, key sweep.command.fatal_exit: 99 is in requeue_exit too."},
    {"[3, 4]", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]",
     "33, key sweep.command.fatal_exit: has more than 16 entries."},
    {"    fatal_exit: [3, 4]\n    requeue_exit: 99\n", "    fatal_exit: 75\n",
     "33, key sweep.command.fatal_exit: 75 is in requeue_exit too, where it is unless you say "
     "otherwise."},
    {"[0, 20]", "[20, 0]",
     "35, key sweep.command.loss_range: the least, 20, is not below the largest, 0."},
    {"time_limit: 2h", "time_limit: 2",
     "36, key sweep.command.time_limit: \"2\" is not a duration"},
    {"keep: all", "keep: some",
     "38, key sweep.command.keep: \"some\" is not one of failed, all, none."},
    {"keep: all", "result: json",
     "38, key sweep.command.result: \"json\" is not one of file, stdout, none."},
    {"keep: all", "result_file: ../r.json",
     "38, key sweep.command.result_file: \"../r.json\" is not within the run folder; neither / "
     "first nor .. is allowed."},
    {"keep: all", "retries: -1", "38, key sweep.command.retries: -1 is not in 0 … 1000."},
    {"keep: all", "grace: 2d", "38, key sweep.command.grace: 2d is not in 0s … 86400s."},
    {"keep: all", "slots: some", "38, key sweep.command.slots: \"some\" is not a number."},
    {"keep: all", "cpus: 0", "38, key sweep.command.cpus: 0 is not in 1 … 100000."},
    {"keep: all", "shell: maybe",
     "38, key sweep.command.shell: \"maybe\" is neither true nor false."},
    {"keep: all", "kep: all", "38, key sweep.command.kep: unknown key; did you mean keep?"},
    /* embedded */
    {"batch: 8", "batch: 0", "40, key sweep.embedded.batch: 0 is not in 1 … 65536."},
    {"batch: 8", "batch: 65536",
     "16, key scales[0].n_tokens: a checkpoint after 250000 bytes is less than one step of "},
    {"learning_rate: 0.01", "learning_rate: 0",
     "41, key sweep.embedded.learning_rate: 0 is not in 1e-09 … 10."},
    {"schedule: wsd", "schedule: linear",
     "42, key sweep.embedded.schedule: \"linear\" is not one of constant, cosine, wsd."},
    {"schedule: wsd", "schedule: cosine\n    decay_checkpoints: true",
     "43, key sweep.embedded.decay_checkpoints: true is for schedule: wsd only."},
    {"warmup: 0.1", "warmup: 0.8",
     "44, key sweep.embedded.decay: warmup and decay are 1.1 of a run together, more than all."},
    {"decay: 0.3", "sampling: all",
     "44, key sweep.embedded.sampling: \"all\" is not one of exact, iid."},
    {"split_seed: 9", "validation_share: 0.95",
     "45, key sweep.embedded.validation_share: 0.95 is not in 1e-06 … 0.9."},
    {"split_seed: 9", "synthetic: {shared: 2}",
     "45, key sweep.embedded.synthetic.shared: 2 is not in 0 … 1."},
    {"split_seed: 9", "synthetic: {bytes: 1e6}",
     "6, key domains[0]: has paths, but sweep.embedded.synthetic makes the text."},
    {"size: 10k", "n_params: 1e4",
     "16, key scales[0]: the evaluator embedded wants size, or width, layers, heads and context."},
    /* confirm */
    {"optimum: {n_params: 1e9, n_tokens: 1e10}\n", "",
     "47, key confirm: there is no section optimum to confirm."},
    {"seeds: 4", "of: small", "48, key confirm.of: \"small\" is not one of chinchilla."},
    {"{n_params: 1e9, n_tokens: 1e10}", "[]", "47, key optimum: 0 entries are not in 1 … 16."},
    {"{n_params: 1e9, n_tokens: 1e10}", "[{n_params: 1e9}]",
     "47, key optimum[0]: the key n_tokens is missing."},
    {"{n_params: 1e9, n_tokens: 1e10}", "[{n_params: 1e9, n_tokens: 1e10, flor: 0.1}]",
     "47, key optimum[0].flor: unknown key; did you mean floor?"},
    {"{n_params: 1e9, n_tokens: 1e10}",
     "\n  - {name: a, n_params: 1e9, n_tokens: 1e10}\n  - {n_params: 1e9, n_tokens: 1e10}",
     "49, key optimum[1]: the key name is missing: each of several optima has one."},
    {"{n_params: 1e9, n_tokens: 1e10}",
     "\n  - {name: a, n_params: 1e9, n_tokens: 1e10}\n  - {name: a, n_params: 1e9, n_tokens: 1e10}",
     "49, key optimum[1].name: a is the name of an earlier entry too."},
    {"{n_params: 1e9, n_tokens: 1e10}",
     "\n  - {name: a, n_params: 1e9, n_tokens: 1e10}\n"
     "  - {name: b, n_params: 1e9, n_tokens: 1e10, caps: {cod: 0.1}}",
     "49, key optimum[1].caps.cod: there is no such name; did you mean code?"},
    {"{n_params: 1e9, n_tokens: 1e10}",
     "\n  - {name: a, n_params: 1e9, n_tokens: 1e10, max_epochs: 1, caps: {code: 0.1}}\n",
     "48, key optimum[0].max_epochs: the supply_tokens of the domains, seen 1 time and within "
     "caps, "
     "are 2e+09 tokens, and n_tokens is 1e+10;"},
    {"seeds: 4", "seeds: 0", "48, key confirm.seeds: 0 is not in 1 … 1000."},
    {"{size: 1m, n_tokens: 1e8}", "{size: 1m, n_tokens: 1e8, mixtures: 3}",
     "48, key confirm.scales[0].mixtures: is not for confirm, which has the same mixtures and "
     "seeds "
     "everywhere."},
    {"{size: 1m, n_tokens: 1e8}", "{n_params: 1e6, n_tokens: 1e8}",
     "48, key confirm.scales[0]: the evaluator embedded wants size, or width, layers, heads and "
     "context."},
    {"{size: 1m, n_tokens: 1e8}", "{size: 2m, n_tokens: 1e8}",
     "48, key confirm.scales[0].size: \"2m\" is not one of "},
};

static void test_several_optima_come_out(void **state)
{
    (void)state;
    struct mix_job *job =
        parse_with("optimum: {n_params: 1e9, n_tokens: 1e10}\nconfirm: {seeds: 4,",
                   "optimum:\n"
                   "  - {name: small, n_params: 1e9, n_tokens: 1e10, weights: {exam: 3}}\n"
                   "  - {name: large, n_params: 7e9, n_tokens: 2e10, caps: {code: 0.25}, "
                   "objective: worst}\n"
                   "confirm: {of: large,");
    assert_int_equal(job->n_optima, 2);
    assert_string_equal(job->optima[0].name, "small");
    assert_true(job->optima[0].n_params == 1e9 && job->optima[0].weight[1] == 3);
    assert_true(job->optima[0].upper[1] == 1 && job->optima[1].upper[1] == 0.25);
    assert_string_equal(job->optima[1].name, "large");
    assert_true(job->optima[1].n_tokens == 2e10 && job->optima[1].weight == NULL);
    assert_int_equal(job->optima[1].goal, MIX_GOAL_WORST);
    assert_int_equal(job->confirm.of, 1);
    mix_job_destroy(job);
    job = parse_with("seed: 5", "seed: 5"); /* a single one has the name of the fit */
    assert_int_equal(job->n_optima, 1);
    assert_string_equal(job->optima[0].name, job->fit.name);
    mix_job_destroy(job);
}

static void test_refusals_name_line_and_key(void **state)
{
    (void)state;
    size_t n_wrong = 0;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *refusal = &refusals[i];
        struct mix_error err = {.text = ""};
        struct mix_job *job = NULL;
        char wanted[400] = "", *text = text_with(refusal->from, refusal->to);
        const enum mix_status status = mix_job_parse("full.yaml", text, &job, &err);
        if (refusal->sentence)
            snprintf(wanted, sizeof wanted, "full.yaml, line %s", refusal->sentence);
        if (status != (refusal->sentence ? MIX_EINVAL : MIX_OK) ||
            strncmp(err.text, wanted, strlen(wanted)) != 0) {
            print_error("%s -> %s: status %d\n  got    %s\n  wanted %s\n", refusal->from,
                        refusal->to, (int)status, err.text, wanted);
            n_wrong++;
        }
        mix_job_destroy(job);
        free(text);
    }
    assert_int_equal(n_wrong, 0);
}

/* What depends on the number of domains. */
static void test_refusals_of_large_designs(void **state)
{
    (void)state;
    static const struct {
        const char *design, *sentence;
    } cases[] = {
        {"{method: sobol, mixtures: 9}",
         "b.yaml, line 3, key design.method: sobol has at most 40 domains, not 41."},
        {"{step: 0.1}", "b.yaml, line 3, key design.step: 41 domains in steps of 0.1 are 1.03e+10 "
                        "mixtures, more than 1000000."},
        {"{step: 0.3333333}",
         "b.yaml, line 3, key design: the key mixtures is missing; there are more "
         "than 10000."},
        {"{mixtures: 9, max_epochs: 1}",
         "b.yaml, line 3, key design.max_epochs: 1 passes over every domain are 0.41 of the tokens "
         "of the largest scale; more passes or supply are needed."},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct mix_error err = {.text = ""};
        struct mix_job *job = NULL;
        char text[4096], *at = text;
        at += snprintf(at, 512,
                       "job: b\nfile: b.h5\ndesign: %s\nscales: [{n_params: 1e6, n_tokens: 1e8}]\n"
                       "sweep: {evaluator: simulate, simulate: {law: chinchilla}}\ndomains:\n",
                       cases[c].design);
        for (int k = 0; k < 41; k++)
            at += snprintf(at, 64, " - {name: d%d, supply_tokens: 1e6}\n", k);
        assert_int_equal(mix_job_parse("b.yaml", text, &job, &err), MIX_EINVAL);
        assert_string_equal(err.text, cases[c].sentence);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scales_come_out),
        cmocka_unit_test(test_command_comes_out),
        cmocka_unit_test(test_command_defaults),
        cmocka_unit_test(test_command_by_shell_and_empty_lists),
        cmocka_unit_test(test_embedded_comes_out),
        cmocka_unit_test(test_schedule_is_a_label),
        cmocka_unit_test(test_synthetic_comes_out),
        cmocka_unit_test(test_defaults_that_depend_on_other_keys),
        cmocka_unit_test(test_durations_and_amounts),
        cmocka_unit_test(test_several_optima_come_out),
        cmocka_unit_test(test_refusals_name_line_and_key),
        cmocka_unit_test(test_refusals_of_large_designs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The section online: what the job file says comes out, with its defaults, and every refusal names
 * file, line and key. */
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

static const char head[] = "job: small\n"                                                   /* 1 */
                           "file: small.h5\n"                                               /* 2 */
                           "seed: 7\n"                                                      /* 3 */
                           "domains:\n"                                                     /* 4 */
                           "  - {name: web, paths: a}\n"                                    /* 5 */
                           "  - {name: code, paths: b}\n"                                   /* 6 */
                           "  - {name: wiki, paths: c}\n"                                   /* 7 */
                           "scales:\n"                                                      /* 8 */
                           "  - {width: 32, layers: 2, heads: 4, context: 64, "             /* 9 */
                           "n_tokens: 256000}\n"                                            /* 9 */
                           "sweep:\n"                                                       /* 10 */
                           "  evaluator: embedded\n"                                        /* 11 */
                           "  embedded: {batch: 8, learning_rate: 0.01, max_bytes: 1e6}\n"; /* 12 */

static enum mix_status parse(const char *section, struct mix_job **job, struct mix_error *err)
{
    char text[4096];
    snprintf(text, sizeof text, "%s%s", head, section);
    return mix_job_parse("j.yaml", text, job, err);
}

static void test_online_defaults(void **state)
{
    (void)state;
    struct mix_job *job = NULL;
    struct mix_error err = {""};
    if (parse("online: {seeds: 4}\n", &job, &err) != MIX_OK)
        fail_msg("%s", err.text);
    const struct mix_job_online *online = &job->online;
    assert_string_equal(online->name, "small");
    assert_int_equal(online->n_methods, 7);
    assert_string_equal(online->methods[0], "stratified");
    assert_string_equal(online->methods[6], "aioli");
    assert_int_equal(online->n_settings, 1);
    assert_string_equal(online->settings[0].name, "web+code+wiki");
    assert_int_equal(online->settings[0].domain[2], 2);
    assert_int_equal(online->n_seeds, 4);
    assert_int_equal(online->n_steps, 500); /* 256000 / (8 64) */
    assert_int_equal(online->options.n_steps, 500);
    assert_int_equal(online->options.batch, 8);
    assert_true(online->options.learning_rate == 0.01);
    assert_int_equal(online->options.validation_bytes, 8192);
    assert_int_equal(online->test_bytes, 65536);
    assert_true(online->test_share == 0.1 && !online->restricted && !online->analysis);
    assert_true(isnan(online->mixer.eta) && isnan(online->mixer.static_runs));
    assert_int_equal(online->trainer, MIX_ONLINE_EMBEDDED);
    mix_job_destroy(job);
}

static void test_online_all_keys(void **state)
{
    (void)state;
    struct mix_job *job = NULL;
    struct mix_error err = {""};
    const char *section =
        "online:\n"
        "  name: world\n"
        "  methods: [doge, aioli, stratified, aioli-raw]\n"
        "  settings: [[wiki, web], [code, wiki]]\n"
        "  steps: 30\n"
        "  trainer: command\n"
        "  command: {argv: [./t.py, \"a b\"], time_limit: 2m, grace: 5s}\n"
        "  simulate: {loss: [3, 4, 5], floor: [1, 2, 3], noise: 0.5, decay: 0.1,\n"
        "    gain: [[1, 2, 3], [4, 5, 6], [7, 8, -9]], curvature: 0.2, seed: 11}\n"
        "  restricted: true\n"
        "  analysis: true\n"
        "  options: {rounds: 3, eta: 0.7, static_runs: 4, doge_mu: 0.02}\n";
    if (parse(section, &job, &err) != MIX_OK)
        fail_msg("%s", err.text);
    const struct mix_job_online *online = &job->online;
    assert_string_equal(online->name, "world");
    assert_int_equal(online->n_methods, 4);
    assert_string_equal(online->methods[0], "stratified"); /* first, wherever it stands */
    assert_string_equal(online->methods[1], "doge");
    assert_string_equal(online->methods[3], "aioli-raw");
    assert_int_equal(online->n_settings, 2);
    assert_string_equal(online->settings[0].name, "wiki+web");
    assert_int_equal(online->settings[1].domain[0], 1);
    assert_int_equal(online->n_steps, 30);
    assert_int_equal(online->trainer, MIX_ONLINE_COMMAND);
    assert_string_equal(online->argv[1], "a b");
    assert_null(online->argv[2]);
    assert_true(online->answer_s == 120 && online->grace_s == 5);
    assert_true(online->world.loss[2] == 5 && online->world.floor[0] == 1);
    assert_true(online->world.gain[5] == 6 && online->world.gain[8] == -9);
    assert_true(online->world.noise == 0.5 && online->world.decay == 0.1);
    assert_true(online->world.curvature == 0.2 && online->world.seed == 11);
    assert_true(online->restricted && online->analysis && online->mixer.rounds == 3 &&
                online->mixer.eta == 0.7);
    assert_true(online->mixer.static_runs == 4 && online->mixer.doge_mu == 0.02);
    assert_true(isnan(online->mixer.smoothing));
    mix_job_destroy(job);
}

static void test_online_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *section, *sentence;
    } cases[] = {
        {"online: 3\n", "j.yaml, line 13, key online: is a single value; a mapping"},
        {"online:\n  methods: [aioli, aioli]\n", "line 14, key online.methods[1]: aioli is in the"},
        {"online:\n  methods: [grid, doremy]\n", "\"doremy\"; did you mean doremi?"},
        {"online:\n  methods: []\n", "online.methods: is empty; without the key it is all"},
        {"online:\n  methods: [nonesuch]\n", "\"nonesuch\"; known are stratified, grid, dml"},
        {"online:\n  methods: [agent]\n", "methods[0]: agent is trained first, on a field to come"},
        {"online:\n  settings: [web, code]\n",
         "key online.settings[0]: a setting has at least two"},
        {"online:\n  settings: [[web, web]]\n", "settings[0][1]: web is in the setting already."},
        {"online:\n  settings: []\n", "line 14, key online.settings: 0 entries are not in 1"},
        {"online:\n  settings: [[web, [code]]]\n", "settings[0][1]: is a list; a single value"},
        {"online: {seeds: 0}\n", "key online.seeds: 0 is not in 1 … 1000."},
        {"online: {steps: 1}\n", "key online.steps: 1 is not in 2"},
        {"online: {restricted: maybe}\n", "key online.restricted: \"maybe\" is neither"},
        {"online: {test_share: 0.9}\n", "key online.test_share: 0.9 beside validation_share 0.1"},
        {"online: {name: a/b}\n", "key online.name: a name has none of"},
        {"online: {options: {rounds: 2.5}}\n", "online.options.rounds: 2.5 is not a whole number"},
        {"online: {options: {smoothing: 1}}\n", "online.options.smoothing: 1 is not in 0 … 0.99."},
        {"online: {options: {speed: 1}}\n",
         "online.options.speed: unknown key; known here: rounds"},
        {"online: {simulate: {loss: [1, 2]}}\n", "simulate.loss: 2 numbers; one for each of the 3"},
        {"online: {simulate: {loss: [1, 2, x]}}\n", "simulate.loss[2]: \"x\" is not a number."},
        {"online: {simulate: {floor: [1, 1, 1]}}\n",
         "simulate.floor[0]: a floor is below the loss"},
        {"online: {simulate: {gain: [[1, 2, 3], [1, 2], [1, 2, 3]]}}\n",
         "simulate.gain[1]: 2 numbers"},
        {"online: {simulate: {gain: [1, 2, 3, 4]}}\n", "simulate.gain[0]: 1 numbers"},
        {"online: {command: {grace: 1s}}\n", "key online.command: the key argv is missing."},
        {"online: {command: {argv: []}}\n", "online.command.argv: is empty"},
        {"online: {command: {argv: x, time_limit: 0s}}\n", "time_limit: 0s is not in 0.1s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mix_job *job = NULL;
        struct mix_error err = {""};
        if (parse(cases[i].section, &job, &err) != MIX_EINVAL ||
            strstr(err.text, cases[i].sentence) == NULL)
            fail_msg("%s says \"%s\", not \"%s\"", cases[i].section, err.text, cases[i].sentence);
    }
}

static void test_agent_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *section, *sentence;
    } cases[] = {
        {"source: [web], target: [web]", "agent.target[0]: web is a slot already."},
        {"source: [], target: [web]", "agent.source: is empty; at least one domain is wanted."},
        {"source: [wbe], target: [code]", "agent.source[0]: there is no domain \"wbe\""},
        {"source: [web], target: [code], training: {alpha: []}",
         "agent.training.alpha: is empty; without the key"},
        {"source: [web], target: [code], training: {alpha: [1, 1]}",
         "agent.training.alpha[1]: 1 is in the list already."},
        {"source: [web], target: [code], transfers: [{name: t, target: [web]}]",
         "agent.transfers[0]: web would be in two slots."},
        {"source: [web], target: [code], transfers: [{name: t, target: [wiki, code]}]",
         "agent.transfers[0].target: 2 domains for 1 slots."},
        {"source: [web], target: [code], transfers: [{name: own}]",
         "agent.transfers[0]: own is what the job's own setting is called."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mix_job *job = NULL;
        struct mix_error err = {""};
        char section[256];
        snprintf(section, sizeof section, "agent: {trainer: simulate, %s}\n", cases[i].section);
        if (parse(section, &job, &err) != MIX_EINVAL || strstr(err.text, cases[i].sentence) == NULL)
            fail_msg("%s says \"%s\", not \"%s\"", section, err.text, cases[i].sentence);
    }
}

/* Text that is made: no domain names files. */
static void test_online_takes_made_text(void **state)
{
    (void)state;
    struct mix_job *job = NULL;
    struct mix_error err = {""};
    const char *text =
        "job: j\nfile: j.h5\ndomains: [{name: web}, {name: code}]\n"
        "scales: [{width: 16, layers: 1, heads: 2, context: 16, n_tokens: 4000}]\n"
        "sweep: {evaluator: embedded, embedded: {synthetic: {bytes: 5000, shared: 0.2}}}\n"
        "online: {seeds: 2}\nagent: {source: [web], target: [code], decisions: 2}\n";
    if (mix_job_parse("j.yaml", text, &job, &err) != MIX_OK)
        fail_msg("%s", err.text);
    assert_true(job->embedded.is_synthetic && job->embedded.synthetic.shared == 0.2);
    assert_int_equal(job->online.n_seeds, 2);
    assert_int_equal(job->agent.n_slots, 2);
    mix_job_destroy(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_online_defaults), cmocka_unit_test(test_online_all_keys),
        cmocka_unit_test(test_online_refusals), cmocka_unit_test(test_online_takes_made_text),
        cmocka_unit_test(test_agent_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

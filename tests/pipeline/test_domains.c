/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_domains.c - what a change of domains makes of a table, by hand-computed shares. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimum/scarce.h"
#include "pipeline/path.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

enum { K = 3, ROWS = 5 };
static const char *const names[K] = {"web", "code", "wiki"};
static const double shares[ROWS][K] = {
    {0.5, 0.3, 0.2}, {0.6, 0.4, 0}, {0.25, 0.005, 0.745}, {0, 1, 0}, {0.75, 0, 0.25}};

/* Five runs of three domains, which are the targets; the last is excluded. */
static struct mix_table *make_table(void)
{
    struct mix_table *table = mix_table_create(K, K);
    assert_non_null(table);
    for (size_t k = 0; k < K; k++) {
        snprintf(table->domains[k].name, MIX_NAME_MAX, "%s", names[k]);
        snprintf(table->targets[k].name, MIX_NAME_MAX, "%s", names[k]);
        table->targets[k].weight = (double)(k + 1);
        table->domains[k].prior = (double)(k + 1) / 6;
        table->domains[k].supply_tokens = 1e9 * (double)(k + 1);
    }
    snprintf(table->domains[0].content, MIX_NAME_MAX, "v1");
    for (size_t r = 0; r < ROWS; r++) {
        assert_int_equal(mix_table_append(table), r);
        struct mix_run *run = &table->runs[r];
        snprintf(run->run, MIX_NAME_MAX, "r%zu", r);
        run->n_params = 1e6;
        run->n_tokens = run->n_tokens_planned = 2e9;
        for (size_t k = 0; k < K; k++) {
            table->asked[r * K + k] = table->mixture[r * K + k] = shares[r][k];
            table->epochs[r * K + k] = shares[r][k] * 2e9 / table->domains[k].supply_tokens;
            table->loss[r * K + k] = 3 + (double)k - shares[r][k];
            table->loss_se[r * K + k] = 0.1 * (double)(k + 1);
        }
    }
    table->runs[4].excluded = 1;
    snprintf(table->runs[4].reason, MIX_NAME_MAX, "spike");
    mix_table_link_targets(table);
    assert_int_equal(mix_table_finish(table, NULL), MIX_OK);
    return table;
}

static struct mix_domains_change change_of(enum mix_domains_action action, const char *domain)
{
    return (struct mix_domains_change){.action = action,
                                       .domain = domain,
                                       .tolerance = MIX_DOMAINS_EXACT,
                                       .prior = NAN,
                                       .supply_tokens = NAN};
}

static struct mix_domains_outcome apply(const struct mix_table *table,
                                        const struct mix_domains_change *change)
{
    struct mix_domains_outcome out;
    struct mix_error err = {.text = ""};
    const enum mix_status status = mix_domains_apply(table, change, &out, &err);
    if (status != MIX_OK)
        fail_msg("%s", err.text);
    return out;
}

static void expect_shares(const struct mix_table *table, size_t row, size_t n, const double *share)
{
    assert_int_equal(table->n_domains, n);
    for (size_t k = 0; k < n; k++) {
        assert_near(table->mixture[row * n + k], share[k], 1e-15);
        assert_near(table->asked[row * n + k], share[k], 1e-15);
    }
}

static void expect_fates(const struct mix_domains_outcome *out, const char *fates)
{
    static const char letters[] = "vnxbg"; /* valid, near, void, before, gone */
    for (size_t r = 0; r < ROWS; r++)
        assert_int_equal(letters[out->fate[r]], fates[r]);
}

static void test_add_gives_old_runs_no_share(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    struct mix_domains_change change = change_of(MIX_DOMAINS_ADD, "math");
    change.prior = 0.5;
    change.supply_tokens = 7e9;
    change.content = "m1";
    struct mix_domains_outcome out = apply(table, &change);
    expect_fates(&out, "vvvvb");
    assert_int_equal(out.table->n_domains, 4);
    assert_string_equal(out.table->domains[3].name, "math");
    assert_string_equal(out.table->domains[3].content, "m1");
    assert_near(out.table->domains[3].supply_tokens, 7e9, 0);
    assert_near(out.table->domains[3].prior, 0.5, 0);
    assert_near(out.table->domains[0].prior, table->domains[0].prior / 2, 1e-15);
    expect_shares(out.table, 0, 4, (const double[]){0.5, 0.3, 0.2, 0});
    assert_near(out.table->epochs[3], 0, 0);
    /* it is a target as the others are, not measured yet */
    assert_int_equal(out.table->n_targets, 4);
    assert_int_equal(out.table->targets[3].domain, 3);
    assert_near(out.table->targets[3].weight, 1, 0);
    assert_true(isnan(out.table->loss[3]));
    assert_near(out.table->loss[0], 2.5, 1e-15);
    assert_int_equal(out.table->runs[4].excluded, 1);
    assert_string_equal(out.table->runs[4].reason, "spike");
    mix_domains_outcome_clear(&out);
    mix_table_destroy(table);
}

static const struct mix_domains_part web_parts[] = {{"news", 0.75}, {"forum", 0.25}};

static struct mix_domains_outcome split_web(const struct mix_table *table)
{
    struct mix_domains_change change = change_of(MIX_DOMAINS_SPLIT, "web");
    change.parts = web_parts;
    change.n_parts = 2;
    return apply(table, &change);
}

static void test_split_divides_shares_and_supply(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    struct mix_domains_outcome out = split_web(table);
    expect_fates(&out, "vvvvb");
    assert_string_equal(out.table->domains[0].name, "news");
    assert_string_equal(out.table->domains[1].name, "forum");
    assert_string_equal(out.table->domains[0].content, "");
    assert_near(out.table->domains[1].supply_tokens, 0.25e9, 1e-3);
    expect_shares(out.table, 0, 4, (const double[]){0.375, 0.125, 0.3, 0.2});
    assert_near(out.table->epochs[0], table->epochs[0], 0);
    assert_near(out.table->epochs[1], table->epochs[0], 0);
    /* web: a validation set of its own; its parts are targets that no run has measured */
    assert_int_equal(out.table->n_targets, 5);
    assert_string_equal(out.table->targets[0].name, "web");
    assert_int_equal(out.table->targets[0].domain, -1);
    assert_near(out.table->loss[0], table->loss[0], 0);
    assert_string_equal(out.table->targets[3].name, "news");
    assert_int_equal(out.table->targets[3].domain, 0);
    assert_near(out.table->targets[4].weight, 0.25, 0);
    assert_true(isnan(out.table->loss[4]));
    mix_domains_outcome_clear(&out);
    mix_table_destroy(table);
}

static void test_split_then_merge_is_the_old_table(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    struct mix_domains_outcome split = split_web(table);
    struct mix_domains_change change = change_of(MIX_DOMAINS_MERGE, "web");
    change.parts = web_parts;
    change.n_parts = 2;
    struct mix_domains_outcome out = apply(split.table, &change);
    expect_fates(&out, "vvvvb");
    assert_int_equal(out.table->n_rows, ROWS);
    assert_int_equal(out.table->n_targets, K);
    for (size_t k = 0; k < K; k++) {
        assert_string_equal(out.table->domains[k].name, names[k]);
        assert_near(out.table->domains[k].supply_tokens, table->domains[k].supply_tokens, 1e-3);
        assert_near(out.table->domains[k].prior, table->domains[k].prior, 1e-15);
        assert_memory_equal(&out.table->targets[k], &table->targets[k], sizeof *table->targets);
    }
    assert_memory_equal(out.table->runs, table->runs, ROWS * sizeof *table->runs);
    assert_memory_equal(out.table->mixture, table->mixture, ROWS * K * sizeof(double));
    assert_memory_equal(out.table->asked, table->asked, ROWS * K * sizeof(double));
    assert_memory_equal(out.table->loss, table->loss, ROWS * K * sizeof(double));
    assert_memory_equal(out.table->loss_se, table->loss_se, ROWS * K * sizeof(double));
    for (size_t i = 0; i < ROWS * K; i++)
        assert_near(out.table->epochs[i], table->epochs[i], 1e-12);
    mix_domains_outcome_clear(&out);
    mix_domains_outcome_clear(&split);
    mix_table_destroy(table);
}

static void test_merge_keeps_runs_in_proportion(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    const struct mix_domains_part parts[] = {{"web", 0.6}, {"code", 0.4}};
    struct mix_domains_change change = change_of(MIX_DOMAINS_MERGE, "text");
    change.parts = parts;
    change.n_parts = 2;
    change.tolerance = 0.021; /* row 0 is 0.48, 0.32 in proportion: off by 0.02 */
    struct mix_domains_outcome out = apply(table, &change);
    /* row 2 is off by 0.097, row 3 by 0.6 */
    expect_fates(&out, "nvxxb");
    assert_int_equal(out.n[MIX_DOMAINS_NEAR], 1);
    assert_int_equal(out.n[MIX_DOMAINS_VOID], 2);
    expect_shares(out.table, 0, 2, (const double[]){0.8, 0.2});
    expect_shares(out.table, 1, 2, (const double[]){1, 0});
    assert_string_equal(out.table->domains[0].name, "text");
    assert_near(out.table->domains[0].supply_tokens, 3e9, 0);
    /* 0.8 of 2e9 tokens out of 3e9 */
    assert_near(out.table->epochs[0], 1.6 / 3, 1e-15);
    /* the loss of text: 0.6 (3 - 0.5) + 0.4 (4 - 0.3); its standard error */
    assert_int_equal(out.table->n_targets, 4);
    assert_string_equal(out.table->targets[3].name, "text");
    assert_int_equal(out.table->targets[3].domain, 0);
    assert_int_equal(out.table->targets[0].domain, -1);
    assert_near(out.table->targets[3].weight, 3, 0);
    assert_near(out.table->loss[3], 0.6 * 2.5 + 0.4 * 3.7, 1e-15);
    assert_near(out.table->loss_se[3], sqrt(0.06 * 0.06 + 0.08 * 0.08), 1e-15);
    /* what is void: excluded, with what it was, out of the way of the same run */
    assert_int_equal(out.table->runs[2].excluded, 1);
    assert_string_equal(out.table->runs[2].reason, "parts in other proportions than in text");
    assert_string_equal(out.table->runs[2].recipe, "before merge text");
    assert_string_equal(out.table->metadata[2],
                        "{\"before merge text\":{\"code\":0.0050000000000000001,\"web\":0.25}}");
    assert_null(out.table->metadata[1]);
    mix_domains_outcome_clear(&out);
    mix_table_destroy(table);
}

static void test_revise_voids_what_had_the_content(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    struct mix_domains_change change = change_of(MIX_DOMAINS_REVISE, "wiki");
    change.content = "v2";
    change.tolerance = 0.2;
    struct mix_domains_outcome out = apply(table, &change);
    expect_fates(&out, "nvxvb");
    assert_string_equal(out.table->domains[2].content, "v2");
    expect_shares(out.table, 0, K, shares[0]);
    assert_near(out.table->loss[2], table->loss[2], 0); /* the same validation set */
    assert_true(out.table->runs[2].key.lo != table->runs[2].key.lo);
    assert_true(out.table->runs[1].key.lo == table->runs[1].key.lo);
    /* row 4 had been excluded for another reason, and had wiki too */
    assert_string_equal(out.table->runs[4].reason, "trained on the former content of wiki");
    mix_domains_outcome_clear(&out);

    change.new_validation = true;
    out = apply(table, &change);
    assert_true(isnan(out.table->loss[2]));
    assert_near(out.table->loss[1], table->loss[1], 0);
    mix_domains_outcome_clear(&out);

    change.new_validation = false;
    snprintf(table->domains[2].content, MIX_NAME_MAX, "text:00ff");
    out = apply(table, &change);
    assert_true(isnan(out.table->loss[2])); /* validation documents are of that text */
    mix_domains_outcome_clear(&out);
    mix_table_destroy(table);
}

static void test_drop_keeps_runs_without_the_domain(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    struct mix_domains_change change = change_of(MIX_DOMAINS_DROP, "code");
    change.tolerance = 0.01;
    table->runs[4].excluded = 0;
    for (size_t r = 0; r < ROWS; r++)
        table->loss[r * K + 2] = NAN; /* wiki is no measured target */
    struct mix_domains_outcome out = apply(table, &change);
    expect_fates(&out, "xxngv");
    assert_int_equal(out.table->n_rows, 4);
    assert_int_equal(out.table->n_domains, 2);
    expect_shares(out.table, 2, 2, (const double[]){0.25 / 0.995, 0.745 / 0.995});
    expect_shares(out.table, 3, 2, (const double[]){0.75, 0.25});
    assert_near(out.table->domains[0].prior,
                table->domains[0].prior / (1 - table->domains[1].prior), 1e-15);
    assert_int_equal(out.table->n_targets, K);
    assert_int_equal(out.table->targets[1].domain, -1);
    mix_domains_outcome_clear(&out);

    change.domain = "wiki"; /* with its target, which nobody has measured */
    out = apply(table, &change);
    assert_int_equal(out.table->n_targets, 2);
    mix_domains_outcome_clear(&out);
    mix_table_destroy(table);
}

static void test_twins_are_told_apart(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    const struct mix_domains_part parts[] = {{"web", 0.5}, {"code", 0.5}};
    struct mix_domains_change change = change_of(MIX_DOMAINS_MERGE, "text");
    change.parts = parts;
    change.n_parts = 2;
    for (size_t r = 0; r < 2; r++) { /* 0.8 of text, by different shares, under one name */
        const double mixture[K] = {r == 0 ? 0.4 : 0.400005, r == 0 ? 0.4 : 0.399995, 0.2};
        memcpy(table->mixture + r * K, mixture, sizeof mixture);
        memcpy(table->asked + r * K, mixture, sizeof mixture);
        snprintf(table->runs[r].run, MIX_NAME_MAX, "same");
    }
    assert_int_equal(mix_table_finish(table, NULL), MIX_OK);
    struct mix_domains_outcome out = apply(table, &change);
    assert_int_equal(out.n[MIX_DOMAINS_VALID], 2);
    assert_string_equal(out.table->runs[0].recipe, "");
    assert_string_equal(out.table->runs[1].recipe, "~2");
    mix_domains_outcome_clear(&out);
    mix_table_destroy(table);
}

static void expect_refusal(struct mix_domains_change change, const char *sentence)
{
    struct mix_table *table = make_table();
    struct mix_domains_outcome out;
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_domains_apply(table, &change, &out, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, sentence));
    assert_null(out.table);
    mix_table_destroy(table);
}

static void test_what_cannot_be_is_refused(void **state)
{
    (void)state;
    const struct mix_domains_part off[] = {{"a", 0.5}, {"b", 0.4}};
    const struct mix_domains_part all[] = {{"a", 1}, {"b", 0.4}};
    const struct mix_domains_part twice[] = {{"a", 0.5}, {"a", 0.5}};
    const struct mix_domains_part taken[] = {{"a", 0.5}, {"wiki", 0.5}};
    const struct mix_domains_part unknown[] = {{"web", 0.5}, {"math", 0.5}};
    struct mix_domains_change change = change_of(MIX_DOMAINS_SPLIT, "web");
    change.n_parts = 2;
    change.parts = off;
    expect_refusal(change, "the proportions in web sum to 0.9; they must sum to 1 within 1e-06");
    change.parts = all;
    expect_refusal(change, "the proportion 1 of a is not between 0 and 1");
    change.parts = twice;
    expect_refusal(change, "a is named twice");
    change.parts = taken;
    expect_refusal(change, "there is a domain \"wiki\" already");
    change.n_parts = 1;
    expect_refusal(change, "split of web: give 2 to 256 parts, not 1");
    change = change_of(MIX_DOMAINS_MERGE, "text");
    change.n_parts = 2;
    change.parts = unknown;
    expect_refusal(change, "there is no domain \"math\"; there are web, code, wiki");
    expect_refusal(change_of(MIX_DOMAINS_ADD, "code"), "there is a domain \"code\" already");
    expect_refusal(change_of(MIX_DOMAINS_ADD, ""), "cannot name a domain");
    expect_refusal(change_of(MIX_DOMAINS_DROP, "math"), "there is no domain \"math\"");
    change = change_of(MIX_DOMAINS_REVISE, "web");
    change.tolerance = 1;
    expect_refusal(change, "a tolerance of 1 is not from 1e-05 to below 1");
}

static void test_bound_without_a_fit_is_the_steepest_slope(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    struct mix_domains_change change = change_of(MIX_DOMAINS_DROP, "code");
    struct mix_domains_bound bound;
    change.tolerance = 0.01;
    /* loss of code falls by 1 a share: its slope over total variation is at most 1; web: 0.5 / 0.7
     * and less; only row 2, share 0.005, is within the tolerance */
    struct mix_domains_outcome out = apply(table, &change);
    assert_int_equal(mix_domains_bound(table, NULL, &change, out.fate, &bound, NULL), MIX_OK);
    assert_int_equal(bound.n_rows, 1);
    assert_string_equal(bound.run, "r2");
    assert_true(isnan(bound.noise));
    assert_near(bound.loss, 0.005, 1e-12);
    assert_true(bound.rms > 0 && bound.rms <= bound.loss);
    mix_domains_outcome_clear(&out);
    mix_table_destroy(table);
}

static void test_exploration_keeps_the_proportions(void **state)
{
    (void)state;
    struct mix_table *table = make_table();
    const uint8_t changed[K] = {0, 1, 0};
    const double fixed[K] = {3, 9, 1};
    double mixtures[9 * K];
    struct mix_domains_design design = {
        .changed = changed, .fixed = fixed, .n_mixtures = 9, .seed = 5};
    assert_int_equal(mix_domains_explore(table, &design, mixtures, NULL), MIX_OK);
    double least = 1, largest = 0;
    for (size_t i = 0; i < 9; i++) {
        const double *h = mixtures + i * K;
        assert_near(h[0] + h[1] + h[2], 1, 1e-12);
        assert_near(h[0], 3 * h[2], 1e-12);
        least = fmin(least, h[1]);
        largest = fmax(largest, h[1]);
    }
    assert_true(least < 0.3 && largest > 0.4);
    design.fixed = (const double[]){0, 1, 0};
    struct mix_error err = {.text = ""};
    assert_int_equal(mix_domains_explore(table, &design, mixtures, &err), MIX_EINVAL);
    assert_string_equal(err.text, "the untouched domains have no shares to keep");
    mix_table_destroy(table);
}

static void test_needed_runs_are_what_is_lacking(void **state)
{
    (void)state;
    struct mix_table *table = make_table(); /* four mixtures that count */
    uint8_t changed[K] = {0, 1, 0};
    size_t n = 0;
    /* 4 and 9 of code and the others as one are more than the 12 of three domains */
    assert_int_equal(mix_domains_needed(table, changed, &n, NULL), MIX_OK);
    assert_int_equal(n, 9);
    assert_memory_equal(changed, ((uint8_t[K]){0, 1, 0}), K);
    table->runs[0].excluded = table->runs[1].excluded = 1;
    assert_int_equal(mix_domains_needed(table, changed, &n, NULL), MIX_OK);
    assert_int_equal(n, 10);
    assert_memory_equal(changed, ((uint8_t[K]){1, 1, 1}), K);
    memset(changed, 0, K); /* nothing is new after a drop, but runs lack */
    assert_int_equal(mix_domains_needed(table, changed, &n, NULL), MIX_OK);
    assert_int_equal(n, 10);
    /* of a target that no run has measured they say nothing, unless it does not count */
    for (size_t r = 0; r < ROWS; r++)
        table->loss[r * K + 1] = NAN;
    assert_int_equal(mix_domains_needed(table, changed, &n, NULL), MIX_OK);
    assert_int_equal(n, 12);
    table->targets[1].weight = 0;
    memset(changed, 0, K);
    assert_int_equal(mix_domains_needed(table, changed, &n, NULL), MIX_OK);
    assert_int_equal(n, 10);
    mix_table_destroy(table);
}

/* ---- in a world of known truth */

static void expect_truth(const struct path_world *w, const struct mix_table *table)
{
    for (size_t r = 0; r < table->n_rows; r++)
        for (int m = 0; m < PATH_TARGETS && !table->runs[r].excluded; m++)
            assert_near(table->loss[r * PATH_TARGETS + (size_t)m],
                        path_loss(w, table->n_domains, table->domains,
                                  table->mixture + r * table->n_domains, m),
                        1e-4); /* mixtures are equal within 1e-5 */
}

static void test_valid_runs_are_true_after_every_update(void **state)
{
    (void)state;
    struct path_world w;
    size_t n_valid = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        path_begin(&w, seed, 0, false);
        struct mix_table *table = path_table(&w, NULL);
        for (int u = 0; u <= PATH_UPDATES; u++) {
            struct path_update update;
            struct mix_domains_outcome out;
            if (u > 0) {
                path_update(&w, u - 1, &update);
                assert_int_equal(mix_domains_apply(table, &update.change, &out, NULL), MIX_OK);
                mix_table_destroy(table);
                table = out.table;
                out.table = NULL;
                n_valid += out.n[MIX_DOMAINS_VALID];
                mix_domains_outcome_clear(&out);
                expect_truth(&w, table);
            }
            assert_true(path_sweep(&w, table, NULL, NULL, 30, u));
        }
        mix_table_destroy(table);
        gsl_rng_free(w.rng);
    }
    assert_true(n_valid > 8 * 2 * 30); /* all at the first two updates, and more */
}

static void test_reuse_needs_fewer_runs_for_the_same_regret(void **state)
{
    (void)state;
    double runs[PATH_ARMS] = {0}, regret[PATH_ARMS] = {0}, cost = 0;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct path_outcome out;
        path_walk(seed, 0.003, false, &out);
        for (int arm = 0; arm < PATH_ARMS; arm++)
            for (int u = 1; u <= PATH_UPDATES; u++) {
                runs[arm] += out.runs[arm][u];
                regret[arm] += out.regret[arm][u] / (2 * PATH_UPDATES);
            }
        for (int u = 1; u <= PATH_UPDATES; u++) {
            cost += out.cost[u];
            assert_true(out.high[u] >= out.cost[u]);
            assert_true(out.bound[u] >= out.cost[u] || out.cost[u] < 1e-3);
            assert_true(out.bound[u] < 50 * out.cost[u] + 0.01);
        }
    }
    assert_true(cost > 0.005); /* there was something to bound */
    assert_true(runs[PATH_REUSE] < 0.8 * runs[PATH_SCRATCH]);
    assert_true(runs[PATH_COLLAPSE] < 0.5 * runs[PATH_SCRATCH]);
    assert_true(regret[PATH_REUSE] < 2 * regret[PATH_SCRATCH] + 3e-4); /* NaN fails too */
    assert_true(regret[PATH_REUSE] < regret[PATH_UNIFORM] / 10);
    assert_true(regret[PATH_COLLAPSE] < regret[PATH_UNIFORM] / 2);
    assert_true(regret[PATH_APART] < regret[PATH_COLLAPSE]);
}

/* A fit of a world without noise bounds the error by what it is. */
static void test_bound_by_a_fit_is_the_true_error(void **state)
{
    (void)state;
    struct path_world w;
    struct mix_fit *fit = NULL;
    struct mix_domains_outcome out;
    struct mix_domains_bound bound;
    path_begin(&w, 4, 0, false);
    struct mix_table *table = path_table(&w, NULL);
    assert_true(path_sweep(&w, table, NULL, NULL, 40, 0));
    struct mix_fit_options options = mix_fit_options_default();
    options.law = "loglinear";
    options.holdout = "none";
    options.n_starts = 4;
    snprintf(options.selection.targets, sizeof options.selection.targets, "all");
    assert_int_equal(mix_fit_run(NULL, table, &options, NULL, NULL, &fit, NULL), MIX_OK);
    struct mix_domains_change change = change_of(MIX_DOMAINS_DROP, "d1");
    change.tolerance = 0.12;
    out = apply(table, &change);
    assert_true(out.n[MIX_DOMAINS_NEAR] > 0);
    double largest = 0;
    for (size_t r = 0, to = 0; r < table->n_rows; r++) {
        for (int m = 0; m < PATH_TARGETS && out.fate[r] == MIX_DOMAINS_NEAR; m++)
            largest =
                fmax(largest, fabs(table->loss[r * PATH_TARGETS + (size_t)m] -
                                   path_loss(&w, out.table->n_domains, out.table->domains,
                                             out.table->mixture + to * out.table->n_domains, m)));
        to += out.fate[r] != MIX_DOMAINS_GONE;
    }
    assert_int_equal(mix_domains_bound(table, fit, &change, out.fate, &bound, NULL), MIX_OK);
    assert_int_equal(bound.n_rows, out.n[MIX_DOMAINS_NEAR]);
    assert_true(largest > 0.01 && fabs(bound.loss - largest) < 0.01 * largest);
    assert_true(bound.noise < 1e-3);
    mix_domains_outcome_clear(&out);

    /* new content that is another domain's, or none that is like it: within the bound */
    change.action = MIX_DOMAINS_REVISE;
    out = apply(table, &change);
    assert_int_equal(mix_domains_bound(table, fit, &change, out.fate, &bound, NULL), MIX_OK);
    memcpy(w.t[1], w.t[3], sizeof w.t[1]);
    for (size_t r = 0; r < table->n_rows; r++)
        for (int m = 0; m < PATH_TARGETS && out.fate[r] == MIX_DOMAINS_NEAR; m++)
            assert_true(fabs(table->loss[r * PATH_TARGETS + (size_t)m] -
                             path_loss(&w, PATH_DOMAINS, table->domains,
                                       table->mixture + r * PATH_DOMAINS, m)) < 1.01 * bound.loss);
    mix_domains_outcome_clear(&out);

    struct mix_error err = {.text = ""};
    snprintf(table->domains[2].name, MIX_NAME_MAX, "other");
    out = apply(table, &change);
    assert_int_equal(mix_domains_bound(table, fit, &change, out.fate, &bound, &err), MIX_EINVAL);
    assert_string_equal(err.text, "fit loglinear is of other domains than the runs");
    mix_domains_outcome_clear(&out);
    mix_fit_destroy(fit);
    mix_table_destroy(table);
    gsl_rng_free(w.rng);
}

/* The law with its true parameters. */
static struct mix_fit *true_fit(const struct scarce *s)
{
    struct mix_fit *fit = NULL;
    struct mix_fit_options options = mix_fit_options_default();
    options.law = "transfer+repetition";
    options.holdout = "none";
    options.n_starts = 1;
    assert_int_equal(mix_fit_run(NULL, s->table, &options, NULL, NULL, &fit, NULL), MIX_OK);
    assert_int_equal(fit->n_params, mix_model_n_params(s->model));
    memcpy(fit->params, s->params, fit->n_params * sizeof *fit->params);
    fit->spec = *mix_model_spec(s->model);
    return fit;
}

/* A draw whose law says nothing at N is left out of what most draws say. */
static void reuse_leaves_out_silent_draws(const struct mix_fit *fit)
{
    struct mix_draws *draws = mix_draws_create(2, fit->n_params);
    const struct mix_domains_part parts[2] = {{"web", 0.5}, {"code", 0.5}};
    struct mix_domains_kept kept = {.before = fit,
                                    .n_parts = 2,
                                    .parts = parts,
                                    .n_params = SCARCE_N * 1e6,
                                    .n_tokens = SCARCE_D * 1e9};
    struct mix_domains_reuse without, with;
    assert_int_equal(mix_domains_reuse(&kept, &without, NULL), MIX_OK);
    for (size_t b = 0; b < 2; b++) {
        draws->done[b] = 1;
        draws->objective[b] = fit->objective;
        for (size_t p = 0; p < fit->n_params; p++)
            draws->params[b * fit->n_params + p] =
                b == 0 && fit->param_names[p][0] == 'H' ? 10 * SCARCE_N : fit->params[p];
    }
    kept.draws = draws;
    assert_int_equal(mix_domains_reuse(&kept, &with, NULL), MIX_OK);
    assert_true(isnan(without.high) && with.high == with.loss && with.loss == without.loss);
    kept.draws = NULL;
    mix_draws_destroy(draws);
}

/* Runs that repeat: the bound is by what each of them could see. */
static void test_bound_knows_what_runs_repeat(void **state)
{
    (void)state;
    struct scarce s = scarce_create(true, 0, 1);
    struct mix_fit *fit = true_fit(&s);
    struct mix_domains_bound bound;
    struct mix_domains_change change = change_of(MIX_DOMAINS_DROP, "code");
    change.tolerance = 0.15;
    struct mix_domains_outcome out = apply(s.table, &change);
    double largest = 0, if_new = 0;
    for (size_t r = 0; r < s.table->n_rows; r++) {
        const double *h = s.table->mixture + r * SCARCE_DOMAINS;
        const double n = s.table->runs[r].n_params / 1e6, d = s.table->runs[r].n_tokens / 1e9;
        const double other[SCARCE_DOMAINS] = {h[0] / (1 - h[2]), h[1] / (1 - h[2]), 0};
        const double supply[SCARCE_DOMAINS] = {mix_table_unique(s.table, r, 0) / 1e9, NAN, NAN};
        double loss[2][SCARCE_DOMAINS];
        for (int is_new = 0; is_new < 2 && out.fate[r] == MIX_DOMAINS_NEAR; is_new++) {
            mix_model_set_supply(s.model, is_new ? NULL : supply);
            assert_int_equal(mix_model_predict(s.model, s.params, 1, h, &n, &d, loss[0], NULL), 0);
            assert_int_equal(mix_model_predict(s.model, s.params, 1, other, &n, &d, loss[1], NULL),
                             0);
            for (size_t m = 0; m < SCARCE_DOMAINS; m++) {
                double *most = is_new ? &if_new : &largest;
                *most = fmax(*most, fabs(loss[1][m] - loss[0][m]));
            }
        }
    }
    assert_int_equal(mix_domains_bound(s.table, fit, &change, out.fate, &bound, NULL), MIX_OK);
    assert_true(out.n[MIX_DOMAINS_NEAR] > 0 && bound.n_rows == out.n[MIX_DOMAINS_NEAR]);
    assert_near(bound.loss, largest, 1e-9);
    assert_true(fabs(if_new - largest) > 0.05 * largest);
    reuse_leaves_out_silent_draws(fit);
    mix_domains_outcome_clear(&out);
    mix_fit_destroy(fit);
    scarce_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_gives_old_runs_no_share),
        cmocka_unit_test(test_split_divides_shares_and_supply),
        cmocka_unit_test(test_split_then_merge_is_the_old_table),
        cmocka_unit_test(test_merge_keeps_runs_in_proportion),
        cmocka_unit_test(test_revise_voids_what_had_the_content),
        cmocka_unit_test(test_drop_keeps_runs_without_the_domain),
        cmocka_unit_test(test_twins_are_told_apart),
        cmocka_unit_test(test_what_cannot_be_is_refused),
        cmocka_unit_test(test_bound_without_a_fit_is_the_steepest_slope),
        cmocka_unit_test(test_exploration_keeps_the_proportions),
        cmocka_unit_test(test_needed_runs_are_what_is_lacking),
        cmocka_unit_test(test_valid_runs_are_true_after_every_update),
        cmocka_unit_test(test_reuse_needs_fewer_runs_for_the_same_regret),
        cmocka_unit_test(test_bound_by_a_fit_is_the_true_error),
        cmocka_unit_test(test_bound_knows_what_runs_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

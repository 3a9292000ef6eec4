/* SPDX-License-Identifier: GPL-3.0-or-later */
/* path.h - five updates of domains in a world of known truth, as a team lives through them: add,
 * split, revise, merge, drop; after each a mixture is recommended. By the runs that stay valid and
 * some new ones, or all anew.
 *
 * The truth is L_m = c_m + g(sum_k t_mk h_k): a domain that is made of parts in fixed proportions
 * has the mean of their t, so every update has an exact truth. In a log-linear world g is exp,
 * which is the law that is fitted, at one scale, as Olmix does; in a power world g(v) is 1 /
 * sqrt(v), as of losses that are a power of useful data, and the fit is wrong by that. Losses carry
 * relative Gaussian noise.
 */
#ifndef TESTS_PIPELINE_PATH_H
#define TESTS_PIPELINE_PATH_H

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/domains.h"
#include "mixsweep/optimum.h"

enum { PATH_TARGETS = 10, PATH_DOMAINS = 6, PATH_UPDATES = 5, PATH_MAX = 16 };
/* All anew; old runs and new ones of what changed; the untouched domains as one, new runs only; as
 * many runs as the second, all anew. Equal shares, for comparison. */
enum { PATH_SCRATCH, PATH_REUSE, PATH_COLLAPSE, PATH_FEW, PATH_UNIFORM, PATH_ARMS };

struct path_outcome {
    double regret[PATH_ARMS][PATH_UPDATES + 1]; /* true, after each update; NaN = no answer */
    double runs[PATH_ARMS][PATH_UPDATES + 1];   /* made for it */
};

struct path_world {
    gsl_rng *rng;
    double noise;
    bool is_power;
    size_t n; /* domains now */
    char name[PATH_MAX][MIX_NAME_MAX];
    double t[PATH_MAX][PATH_TARGETS];
    double c[PATH_TARGETS];
    double best; /* least true objective */
    size_t n_named;
};

static void path_draw(const struct path_world *w, double size, double *t)
{
    double relevance[PATH_TARGETS], alpha[PATH_TARGETS];
    for (int m = 0; m < PATH_TARGETS; m++)
        alpha[m] = 0.5;
    gsl_ran_dirichlet(w->rng, PATH_TARGETS, alpha, relevance);
    for (int m = 0; m < PATH_TARGETS; m++)
        t[m] = -size * sqrt(relevance[m] * PATH_TARGETS) * (0.5 + gsl_rng_uniform(w->rng));
    for (int m = 0; w->is_power && m < PATH_TARGETS; m++)
        t[m] = exp(-2 * t[m]); /* a domain alone has the loss of the other world */
}

static double path_link(const struct path_world *w, double v)
{
    return w->is_power ? 1 / sqrt(v) : exp(v);
}

static double path_link_slope(const struct path_world *w, double v)
{
    return w->is_power ? -0.5 / (v * sqrt(v)) : exp(v);
}

static void path_begin(struct path_world *w, uint64_t seed, double noise, bool is_power)
{
    *w = (struct path_world){
        .noise = noise, .is_power = is_power, .n = PATH_DOMAINS, .n_named = PATH_DOMAINS};
    w->rng = mix_rng_create(mix_key_make(seed, "path", NULL, 0));
    for (int m = 0; m < PATH_TARGETS; m++)
        w->c[m] = 1 + gsl_rng_uniform(w->rng);
    for (size_t k = 0; k < w->n; k++) {
        (void)snprintf(w->name[k], MIX_NAME_MAX, "d%zu", k);
        path_draw(w, 0.7, w->t[k]);
    }
}

static double path_loss(const struct path_world *w, size_t n, const struct mix_domain *domains,
                        const double *mixture, int m)
{
    double dot = 0;
    for (size_t k = 0; k < n; k++)
        for (size_t j = 0; j < w->n; j++)
            if (strcmp(domains[k].name, w->name[j]) == 0)
                dot += mixture[k] * w->t[j][m];
    return w->c[m] + path_link(w, dot);
}

static double path_objective(const struct path_world *w, const struct mix_table *table,
                             const double *mixture)
{
    double sum = 0;
    for (int m = 0; m < PATH_TARGETS; m++)
        sum += path_loss(w, table->n_domains, table->domains, mixture, m) / PATH_TARGETS;
    return sum;
}

/* The true optimum: the objective is convex, exponentiated gradients find it. */
static void path_solve(struct path_world *w)
{
    double h[PATH_MAX], slope[PATH_MAX];
    for (size_t k = 0; k < w->n; k++)
        h[k] = 1 / (double)w->n;
    for (int step = 0; step < 20000; step++) {
        double sum = 0;
        w->best = 0;
        memset(slope, 0, sizeof slope);
        for (int m = 0; m < PATH_TARGETS; m++) {
            double dot = 0;
            for (size_t k = 0; k < w->n; k++)
                dot += h[k] * w->t[k][m];
            w->best += (w->c[m] + path_link(w, dot)) / PATH_TARGETS;
            for (size_t k = 0; k < w->n; k++)
                slope[k] += path_link_slope(w, dot) * w->t[k][m] / PATH_TARGETS;
        }
        for (size_t k = 0; k < w->n; k++)
            sum += h[k] *= exp(-slope[k]);
        for (size_t k = 0; k < w->n; k++)
            h[k] /= sum;
    }
}

/* ---- an update: of the world, and as a change of tables */

struct path_update {
    struct mix_domains_change change;
    char name[MIX_NAME_MAX];
    struct mix_domains_part parts[2];
};

static size_t path_pick(struct path_world *w)
{
    return gsl_rng_uniform_int(w->rng, w->n);
}

static void path_forget(struct path_world *w, size_t k)
{
    w->n--;
    memmove(w->name[k], w->name[k + 1], (w->n - k) * sizeof w->name[0]);
    memmove(w->t[k], w->t[k + 1], (w->n - k) * sizeof w->t[0]);
}

static double *path_new(struct path_world *w, char *name)
{
    (void)snprintf(name, MIX_NAME_MAX, "d%zu", w->n_named++);
    memcpy(w->name[w->n], name, MIX_NAME_MAX);
    return w->t[w->n++];
}

static void path_split(struct path_world *w, struct path_update *u)
{
    const size_t k = path_pick(w);
    double old[PATH_TARGETS], towards[PATH_TARGETS];
    memcpy(old, w->t[k], sizeof old);
    memcpy(u->name, w->name[k], MIX_NAME_MAX);
    path_draw(w, 0.7, towards);
    path_forget(w, k);
    const double p = 0.3 + 0.4 * gsl_rng_uniform(w->rng);
    double *a = path_new(w, u->parts[0].name), *b = path_new(w, u->parts[1].name);
    for (int m = 0; m < PATH_TARGETS; m++) { /* p a + (1 - p) b is what the whole was */
        if (w->is_power)                     /* b stays positive */
            towards[m] = fmin(towards[m], old[m] * (1 + 0.9 / p));
        a[m] = old[m] + (1 - p) * (towards[m] - old[m]);
        b[m] = old[m] - p * (towards[m] - old[m]);
    }
    u->parts[0].proportion = p;
    u->parts[1].proportion = 1 - p;
}

static void path_merge(struct path_world *w, struct path_update *u)
{
    const double p = 0.3 + 0.4 * gsl_rng_uniform(w->rng);
    double merged[PATH_TARGETS] = {0};
    for (int i = 0; i < 2; i++) {
        const size_t k = path_pick(w);
        u->parts[i].proportion = i == 0 ? p : 1 - p;
        memcpy(u->parts[i].name, w->name[k], MIX_NAME_MAX);
        for (int m = 0; m < PATH_TARGETS; m++)
            merged[m] += u->parts[i].proportion * w->t[k][m];
        path_forget(w, k);
    }
    memcpy(path_new(w, u->name), merged, sizeof merged);
}

static void path_update(struct path_world *w, int i, struct path_update *u)
{
    static const enum mix_domains_action actions[PATH_UPDATES] = {
        MIX_DOMAINS_ADD, MIX_DOMAINS_SPLIT, MIX_DOMAINS_REVISE, MIX_DOMAINS_MERGE,
        MIX_DOMAINS_DROP};
    *u = (struct path_update){.change = {.action = actions[i],
                                         .tolerance = MIX_DOMAINS_EXACT,
                                         .prior = NAN,
                                         .supply_tokens = NAN}};
    u->change.domain = u->name;
    if (actions[i] == MIX_DOMAINS_ADD)
        path_draw(w, 0.7, path_new(w, u->name));
    if (actions[i] == MIX_DOMAINS_SPLIT)
        path_split(w, u);
    if (actions[i] == MIX_DOMAINS_MERGE)
        path_merge(w, u);
    if (actions[i] == MIX_DOMAINS_REVISE || actions[i] == MIX_DOMAINS_DROP) {
        const size_t k = path_pick(w);
        memcpy(u->name, w->name[k], MIX_NAME_MAX);
        if (actions[i] == MIX_DOMAINS_DROP)
            path_forget(w, k);
        else
            path_draw(w, 0.7, w->t[k]);
    }
    if (actions[i] == MIX_DOMAINS_SPLIT || actions[i] == MIX_DOMAINS_MERGE) {
        u->change.parts = u->parts;
        u->change.n_parts = 2;
    }
    path_solve(w);
}

/* ---- runs, fits, answers */

/* Measure a mixture; the seed tells the runs of different updates apart. */
static bool path_run(struct path_world *w, struct mix_table *table, const double *mixture, int seed)
{
    const size_t r = mix_table_append(table), n = table->n_domains;
    if (r == SIZE_MAX)
        return false;
    struct mix_run *run = &table->runs[r];
    run->n_params = 3e7;
    run->n_tokens = run->n_tokens_planned = 3e9;
    run->seed = (uint64_t)seed;
    (void)snprintf(run->run, MIX_NAME_MAX, "u%d-%zu", seed, r);
    memcpy(table->mixture + r * n, mixture, n * sizeof *mixture);
    memcpy(table->asked + r * n, mixture, n * sizeof *mixture);
    for (int m = 0; m < PATH_TARGETS; m++)
        table->loss[r * PATH_TARGETS + (size_t)m] =
            path_loss(w, n, table->domains, mixture, m) *
            (1 + gsl_ran_gaussian_ziggurat(w->rng, w->noise));
    return true;
}

/* Add runs: of what has changed, all others in fixed proportions (NULL: of all domains). */
static bool path_sweep(struct path_world *w, struct mix_table *table, const uint8_t *changed,
                       const double *fixed, size_t n_runs, int update)
{
    static const uint8_t all[PATH_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const double none[PATH_MAX] = {0};
    double mixtures[3 * (PATH_MAX + 1) * PATH_MAX];
    const struct mix_domains_design design = {.changed = changed != NULL ? changed : all,
                                              .fixed = fixed != NULL ? fixed : none,
                                              .n_mixtures = n_runs,
                                              .seed = gsl_rng_get(w->rng)};
    bool good = n_runs == 0 || mix_domains_explore(table, &design, mixtures, NULL) == MIX_OK;
    for (size_t i = 0; good && i < n_runs; i++)
        good = path_run(w, table, mixtures + i * table->n_domains, update);
    return good && mix_table_finish(table, NULL) == MIX_OK;
}

/* The optimum of a log-linear fit (K). */
static bool path_answer(const struct mix_table *table, double *mixture)
{
    struct mix_fit *fit = NULL;
    struct mix_optimum *optimum = NULL;
    struct mix_error err = {.text = ""};
    struct mix_fit_options options = mix_fit_options_default();
    options.law = "loglinear";
    options.holdout = "none";
    options.n_starts = 4;
    (void)snprintf(options.selection.targets, sizeof options.selection.targets, "all");
    const struct mix_optimum_options question = {
        .n_params = 3e7, .n_tokens = 3e9, .level = 0.9, .seed = 1, .n_starts = 4};
    bool good = mix_fit_run(NULL, table, &options, NULL, NULL, &fit, &err) == MIX_OK &&
                mix_optimum_run(NULL, table, fit, NULL, &question, &optimum, &err) == MIX_OK;
    if (good)
        memcpy(mixture, optimum->mixture, table->n_domains * sizeof *mixture);
    else
        fprintf(stderr, "path: %s\n", err.text);
    mix_optimum_destroy(optimum);
    mix_fit_destroy(fit);
    return good;
}

/* An empty table of the domains of another one. */
static struct mix_table *path_table(const struct path_world *w, const struct mix_table *like)
{
    struct mix_table *table = mix_table_create(like != NULL ? like->n_domains : w->n, PATH_TARGETS);
    for (size_t k = 0; table != NULL && k < table->n_domains; k++)
        memcpy(table->domains[k].name, like != NULL ? like->domains[k].name : w->name[k],
               MIX_NAME_MAX);
    for (size_t m = 0; table != NULL && m < PATH_TARGETS; m++)
        (void)snprintf(table->targets[m].name, MIX_NAME_MAX, "task%zu", m);
    return table;
}

/* All anew with so many runs. */
static void path_scratch(struct path_world *w, const struct mix_table *like, size_t n_runs, int arm,
                         int update, struct path_outcome *out)
{
    double mixture[PATH_MAX];
    struct mix_table *table = path_table(w, like);
    out->runs[arm][update] = (double)n_runs;
    if (table != NULL && path_sweep(w, table, NULL, NULL, n_runs, update) &&
        path_answer(table, mixture))
        out->regret[arm][update] = path_objective(w, table, mixture) - w->best;
    mix_table_destroy(table);
}

/* The domains of a table that an update made or changed, and the shares that the others had. */
static size_t path_changed(const struct path_update *u, const struct mix_table *old,
                           const double *mixture, const struct mix_table *table, uint8_t *changed,
                           double *fixed)
{
    size_t n = 0;
    for (size_t k = 0; k < table->n_domains; k++) {
        const int from = mix_table_domain(old, table->domains[k].name);
        const bool revised =
            u->change.action == MIX_DOMAINS_REVISE && strcmp(table->domains[k].name, u->name) == 0;
        changed[k] = from < 0 || revised;
        fixed[k] = from >= 0 ? mixture[from] : 0;
        n += changed[k];
    }
    return n;
}

/* The others as one domain, whose few runs are fitted alone; `mixture` is of all domains. */
static void path_collapse(struct path_world *w, const struct mix_table *table,
                          const uint8_t *changed, const double *fixed, int update, double *mixture,
                          struct path_outcome *out)
{
    struct mix_table *small = mix_table_create(0, 0), *like = path_table(w, table);
    double sum = 0, shares[PATH_MAX] = {0}, all[PATH_MAX], mixtures[64 * PATH_MAX];
    size_t n_changed = 0, of[PATH_MAX] = {0};
    for (size_t k = 0; k < table->n_domains; k++) {
        sum += changed[k] ? 0 : fixed[k];
        if (changed[k])
            of[n_changed++] = k;
    }
    mix_table_destroy(small);
    small = mix_table_create(n_changed + 1, PATH_TARGETS);
    for (size_t i = 0; small != NULL && i <= n_changed; i++)
        (void)snprintf(small->domains[i].name, MIX_NAME_MAX, "%s",
                       i < n_changed ? table->domains[of[i]].name : "rest");
    for (size_t m = 0; small != NULL && m < PATH_TARGETS; m++)
        (void)snprintf(small->targets[m].name, MIX_NAME_MAX, "task%zu", m);
    const struct mix_domains_design design = {.changed = changed,
                                              .fixed = fixed,
                                              .n_mixtures = n_changed > 0 ? 3 * (n_changed + 2) : 0,
                                              .seed = gsl_rng_get(w->rng)};
    bool good = small != NULL && like != NULL &&
                (n_changed == 0 || mix_domains_explore(table, &design, mixtures, NULL) == MIX_OK);
    out->runs[PATH_COLLAPSE][update] = (double)design.n_mixtures;
    for (size_t r = 0; good && r < design.n_mixtures; r++) {
        const double *h = mixtures + r * table->n_domains;
        good = path_run(w, like, h, update) && path_run(w, small, all, update);
        double *share = good ? small->mixture + r * small->n_domains : shares;
        share[n_changed] = 1;
        for (size_t i = 0; i < n_changed; i++)
            share[n_changed] -= share[i] = h[of[i]];
        if (good)
            memcpy(small->asked + r * small->n_domains, share, small->n_domains * sizeof *share);
        if (good)
            memcpy(small->loss + r * PATH_TARGETS, like->loss + r * PATH_TARGETS,
                   PATH_TARGETS * sizeof *small->loss);
    }
    shares[n_changed] = 1;
    if (good && n_changed > 0)
        good = mix_table_finish(small, NULL) == MIX_OK && path_answer(small, shares);
    for (size_t k = 0; k < table->n_domains; k++)
        mixture[k] = shares[n_changed] * fixed[k] / sum;
    for (size_t i = 0; i < n_changed; i++)
        mixture[of[i]] = shares[i];
    if (good)
        out->regret[PATH_COLLAPSE][update] = path_objective(w, table, mixture) - w->best;
    mix_table_destroy(small);
    mix_table_destroy(like);
}

static void path_uniform(const struct path_world *w, const struct mix_table *table, int update,
                         struct path_outcome *out)
{
    double mixture[PATH_MAX];
    for (size_t k = 0; k < w->n; k++)
        mixture[k] = 1 / (double)w->n;
    out->runs[PATH_UNIFORM][update] = 0;
    out->regret[PATH_UNIFORM][update] = path_objective(w, table, mixture) - w->best;
}

/* One update for all arms; `table` and the mixtures are those before and after. */
static bool path_step(struct path_world *w, int update, struct mix_table **table, double *reuse,
                      double *collapse, struct path_outcome *out)
{
    struct path_update u;
    struct mix_domains_outcome made;
    uint8_t changed[PATH_MAX] = {0};
    double fixed[PATH_MAX], rest[PATH_MAX];
    path_update(w, update - 1, &u);
    if (mix_domains_apply(*table, &u.change, &made, NULL) != MIX_OK)
        return false;
    (void)path_changed(&u, *table, collapse, made.table, changed, rest);
    path_collapse(w, made.table, changed, rest, update, collapse, out);
    (void)path_changed(&u, *table, reuse, made.table, changed, fixed);
    mix_table_destroy(*table);
    *table = made.table;
    made.table = NULL;
    mix_domains_outcome_clear(&made);
    path_uniform(w, *table, update, out);
    size_t n_runs = 0;
    if (mix_domains_needed(*table, changed, &n_runs, NULL) != MIX_OK)
        return false;
    out->runs[PATH_REUSE][update] = (double)n_runs;
    path_scratch(w, *table, 3 * (w->n + 1), PATH_SCRATCH, update, out);
    path_scratch(w, *table, n_runs > 0 ? n_runs : 1, PATH_FEW, update, out);
    if (!path_sweep(w, *table, changed, fixed, n_runs, update) || !path_answer(*table, reuse))
        return false;
    out->regret[PATH_REUSE][update] = path_objective(w, *table, reuse) - w->best;
    return true;
}

/* A world from its first sweep, which all arms share, to the last update. */
static void path_walk(uint64_t seed, double noise, bool is_power, struct path_outcome *out)
{
    struct path_world w;
    double reuse[PATH_MAX], collapse[PATH_MAX];
    for (int arm = 0; arm < PATH_ARMS; arm++)
        for (int u = 0; u <= PATH_UPDATES; u++)
            out->regret[arm][u] = out->runs[arm][u] = NAN;
    path_begin(&w, seed, noise, is_power);
    path_solve(&w);
    struct mix_table *table = path_table(&w, NULL);
    const size_t n_runs = 3 * (w.n + 1);
    bool good =
        table != NULL && path_sweep(&w, table, NULL, NULL, n_runs, 0) && path_answer(table, reuse);
    memcpy(collapse, reuse, sizeof collapse);
    for (int arm = 0; good && arm < PATH_ARMS; arm++) {
        out->runs[arm][0] = (double)n_runs;
        out->regret[arm][0] = path_objective(&w, table, reuse) - w.best;
    }
    if (good)
        path_uniform(&w, table, 0, out);
    for (int u = 1; good && u <= PATH_UPDATES; u++)
        good = path_step(&w, u, &table, reuse, collapse, out);
    mix_table_destroy(table);
    gsl_rng_free(w.rng);
}

#endif

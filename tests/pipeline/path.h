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
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/domains.h"
#include "mixsweep/optimum.h"

enum { PATH_TARGETS = 10, PATH_DOMAINS = 6, PATH_UPDATES = 5, PATH_MAX = 16, PATH_DRAWS = 40 };
/* All anew; old runs and new ones of what changed; the untouched domains as one, new runs only; the
 * same but for the two of them whose proportions may cost most; as many runs as the second, all
 * anew. Equal shares, for comparison. */
enum { PATH_SCRATCH, PATH_REUSE, PATH_COLLAPSE, PATH_APART, PATH_FEW, PATH_UNIFORM, PATH_ARMS };

struct path_outcome {
    double regret[PATH_ARMS][PATH_UPDATES + 1]; /* true, after each update; NaN = no answer */
    double runs[PATH_ARMS][PATH_UPDATES + 1];   /* made for it */
    double cost[PATH_UPDATES + 1];  /* true, of the proportions that PATH_COLLAPSE keeps */
    double bound[PATH_UPDATES + 1]; /* on it; and by 95 in 100 draws */
    double high[PATH_UPDATES + 1];
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

/* The least true objective of the mixtures of n of its domains, or of mixtures of them: it is
 * convex, exponentiated gradients find it. */
static double path_least(const struct path_world *w, size_t n, double (*t)[PATH_TARGETS])
{
    double h[PATH_MAX], slope[PATH_MAX], least = INFINITY;
    for (size_t k = 0; k < n; k++)
        h[k] = 1 / (double)n;
    for (int step = 0; step < 20000; step++) {
        double sum = 0;
        least = 0;
        memset(slope, 0, sizeof slope);
        for (int m = 0; m < PATH_TARGETS; m++) {
            double dot = 0;
            for (size_t k = 0; k < n; k++)
                dot += h[k] * t[k][m];
            least += (w->c[m] + path_link(w, dot)) / PATH_TARGETS;
            for (size_t k = 0; k < n; k++)
                slope[k] += path_link_slope(w, dot) * t[k][m] / PATH_TARGETS;
        }
        for (size_t k = 0; k < n; k++)
            sum += h[k] *= exp(-slope[k]);
        for (size_t k = 0; k < n; k++)
            h[k] /= sum;
    }
    return least;
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
    w->best = path_least(w, w->n, w->t);
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

/* The optimum of a log-linear fit (K), and the fit. */
static bool path_answer(const struct mix_table *table, double *mixture, struct mix_fit **out)
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
    mix_fit_destroy(*out);
    *out = fit;
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
    struct mix_fit *fit = NULL;
    struct mix_table *table = path_table(w, like);
    out->runs[arm][update] = (double)n_runs;
    if (table != NULL && path_sweep(w, table, NULL, NULL, n_runs, update) &&
        path_answer(table, mixture, &fit))
        out->regret[arm][update] = path_objective(w, table, mixture) - w->best;
    mix_fit_destroy(fit);
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

/* The domains that an update leaves alone as one, to be explored beside those that it changes. */
struct path_rest {
    size_t n_changed, of[PATH_MAX]; /* (n_changed) of the table */
    size_t n_parts, part_of[PATH_MAX];
    struct mix_domains_part parts[PATH_MAX];
};

static struct path_rest path_rest(const struct mix_table *table, const uint8_t *changed,
                                  const double *fixed)
{
    struct path_rest rest = {.n_changed = 0};
    double sum = 0;
    for (size_t k = 0; k < table->n_domains; k++)
        sum += changed[k] ? 0 : fixed[k];
    for (size_t k = 0; k < table->n_domains; k++) {
        if (changed[k]) {
            rest.of[rest.n_changed++] = k;
            continue;
        }
        memcpy(rest.parts[rest.n_parts].name, table->domains[k].name, MIX_NAME_MAX);
        rest.parts[rest.n_parts].proportion = fixed[k] / sum;
        rest.part_of[rest.n_parts++] = k;
    }
    return rest;
}

/* The least true objective with the proportions of the rest as they are. */
static double path_least_kept(const struct path_world *w, const struct mix_table *table,
                              const struct path_rest *rest)
{
    double t[PATH_MAX][PATH_TARGETS] = {{0}};
    for (size_t k = 0; k < table->n_domains; k++)
        for (size_t j = 0; j < w->n; j++) {
            if (strcmp(table->domains[k].name, w->name[j]) != 0)
                continue;
            for (size_t i = 0; i < rest->n_changed; i++)
                for (int m = 0; rest->of[i] == k && m < PATH_TARGETS; m++)
                    t[i][m] = w->t[j][m];
            for (size_t i = 0; i < rest->n_parts; i++)
                for (int m = 0; rest->part_of[i] == k && m < PATH_TARGETS; m++)
                    t[rest->n_changed][m] += rest->parts[i].proportion * w->t[j][m];
        }
    return path_least(w, rest->n_changed + 1, t);
}

/* The two parts whose proportions may cost most are explored too. */
static void path_set_apart(const struct mix_domains_kept *kept, const struct path_rest *rest,
                           uint8_t *changed)
{
    struct mix_domains_reuse reuse;
    double risk[PATH_MAX];
    if (mix_domains_reuse(kept, &reuse, NULL) != MIX_OK)
        return;
    for (size_t i = 0; i < rest->n_parts; i++)
        risk[i] = reuse.gain[i] + MIX_DOMAINS_SPREAD * reuse.coupling[i];
    for (size_t n = 0; n < 2 && n + 2 < rest->n_parts; n++) {
        const size_t most = gsl_stats_max_index(risk, 1, rest->n_parts);
        changed[rest->part_of[most]] = 1;
        risk[most] = -INFINITY;
    }
}

/* Runs of what changes and the rest as one. */
static bool path_collapsed_runs(struct path_world *w, const struct mix_table *table,
                                const uint8_t *changed, const double *fixed,
                                const struct path_rest *rest, size_t n_runs, int update,
                                struct mix_table *small)
{
    double mixtures[64 * PATH_MAX], share[PATH_MAX];
    struct mix_table *like = path_table(w, table);
    const struct mix_domains_design design = {
        .changed = changed, .fixed = fixed, .n_mixtures = n_runs, .seed = gsl_rng_get(w->rng)};
    bool good = like != NULL && mix_domains_explore(table, &design, mixtures, NULL) == MIX_OK;
    for (size_t r = 0; r < n_runs && good; r++) {
        const double *h = mixtures + r * table->n_domains;
        share[rest->n_changed] = 1;
        for (size_t i = 0; i < rest->n_changed; i++)
            share[rest->n_changed] -= share[i] = h[rest->of[i]];
        good = path_run(w, like, h, update) && path_run(w, small, share, update);
        if (good)
            memcpy(small->loss + r * PATH_TARGETS, like->loss + r * PATH_TARGETS,
                   PATH_TARGETS * sizeof *small->loss);
    }
    mix_table_destroy(like);
    return good && mix_table_finish(small, NULL) == MIX_OK;
}

/* The rest as one domain, whose few runs are fitted alone; `mixture` is of all domains. */
static void path_collapse(struct path_world *w, const struct mix_table *table,
                          const struct mix_domains_kept *before, const uint8_t *changed,
                          const double *fixed, int arm, int update, double *mixture,
                          struct path_outcome *out)
{
    const struct path_rest rest = path_rest(table, changed, fixed);
    const size_t n_runs = rest.n_changed > 0 ? 3 * (rest.n_changed + 2) : 0;
    double shares[PATH_MAX] = {0};
    struct mix_table *small = mix_table_create(rest.n_changed + 1, PATH_TARGETS);
    struct mix_fit *after = NULL;
    for (size_t i = 0; small != NULL && i <= rest.n_changed; i++)
        (void)snprintf(small->domains[i].name, MIX_NAME_MAX, "%s",
                       i < rest.n_changed ? table->domains[rest.of[i]].name : "rest");
    for (size_t m = 0; small != NULL && m < PATH_TARGETS; m++)
        (void)snprintf(small->targets[m].name, MIX_NAME_MAX, "task%zu", m);
    out->runs[arm][update] = (double)n_runs;
    shares[rest.n_changed] = 1;
    bool good = small != NULL;
    if (good && n_runs > 0)
        good = path_collapsed_runs(w, table, changed, fixed, &rest, n_runs, update, small) &&
               path_answer(small, shares, &after);
    for (size_t i = 0; i < rest.n_changed; i++)
        mixture[rest.of[i]] = shares[i];
    for (size_t i = 0; i < rest.n_parts; i++)
        mixture[rest.part_of[i]] = shares[rest.n_changed] * rest.parts[i].proportion;
    if (good)
        out->regret[arm][update] = path_objective(w, table, mixture) - w->best;
    struct mix_domains_kept kept = *before;
    kept.n_parts = rest.n_parts;
    kept.parts = rest.parts;
    kept.after = after;
    kept.mixture = shares;
    struct mix_domains_reuse reuse;
    if (arm == PATH_COLLAPSE && good && mix_domains_reuse(&kept, &reuse, NULL) == MIX_OK) {
        out->cost[update] = path_least_kept(w, table, &rest) - w->best;
        out->bound[update] = reuse.loss;
        out->high[update] = reuse.high;
    }
    mix_fit_destroy(after);
    mix_table_destroy(small);
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

/* What goes from one update to the next: the valid runs and their fit, the answers of arms. */
struct path_state {
    struct mix_table *table;
    struct mix_fit *fit;
    double reuse[PATH_MAX], collapse[PATH_MAX], apart[PATH_MAX];
};

static struct mix_draws *path_draws(const struct path_state *s)
{
    const struct mix_bootstrap_options options = {.n_draws = PATH_DRAWS, .seed = 1};
    struct mix_draws *draws = mix_draws_plan(s->fit, &options, NULL);
    if (draws != NULL &&
        mix_bootstrap_run(NULL, s->table, s->fit, draws, NULL, NULL, NULL, NULL) == MIX_OK)
        return draws;
    mix_draws_destroy(draws);
    return NULL;
}

/* Both arms that collapse. */
static void path_collapse_both(struct path_world *w, const struct path_update *u, int update,
                               const struct mix_table *made, struct path_state *s,
                               struct path_outcome *out)
{
    uint8_t changed[PATH_MAX] = {0};
    double fixed[PATH_MAX];
    struct mix_domains_kept kept = {.before = s->fit,
                                    .draws = path_draws(s),
                                    .n_params = 3e7,
                                    .n_tokens = 3e9,
                                    .domain = "rest"};
    (void)path_changed(u, s->table, s->collapse, made, changed, fixed);
    path_collapse(w, made, &kept, changed, fixed, PATH_COLLAPSE, update, s->collapse, out);
    (void)path_changed(u, s->table, s->apart, made, changed, fixed);
    const struct path_rest rest = path_rest(made, changed, fixed);
    struct mix_domains_kept now = kept;
    now.n_parts = rest.n_parts;
    now.parts = rest.parts;
    path_set_apart(&now, &rest, changed);
    path_collapse(w, made, &kept, changed, fixed, PATH_APART, update, s->apart, out);
    mix_draws_destroy((struct mix_draws *)kept.draws);
}

/* One update for all arms. */
static bool path_step(struct path_world *w, int update, struct path_state *s,
                      struct path_outcome *out)
{
    struct path_update u;
    struct mix_domains_outcome made;
    uint8_t changed[PATH_MAX] = {0};
    double fixed[PATH_MAX];
    size_t n_runs = 0;
    path_update(w, update - 1, &u);
    if (mix_domains_apply(s->table, &u.change, &made, NULL) != MIX_OK)
        return false;
    path_collapse_both(w, &u, update, made.table, s, out);
    (void)path_changed(&u, s->table, s->reuse, made.table, changed, fixed);
    mix_table_destroy(s->table);
    s->table = made.table;
    made.table = NULL;
    mix_domains_outcome_clear(&made);
    path_uniform(w, s->table, update, out);
    if (mix_domains_needed(s->table, changed, &n_runs, NULL) != MIX_OK)
        return false;
    out->runs[PATH_REUSE][update] = (double)n_runs;
    path_scratch(w, s->table, 3 * (w->n + 1), PATH_SCRATCH, update, out);
    path_scratch(w, s->table, n_runs > 0 ? n_runs : 1, PATH_FEW, update, out);
    if (!path_sweep(w, s->table, changed, fixed, n_runs, update) ||
        !path_answer(s->table, s->reuse, &s->fit))
        return false;
    out->regret[PATH_REUSE][update] = path_objective(w, s->table, s->reuse) - w->best;
    return true;
}

/* A world from its first sweep, which all arms share, to the last update. */
static void path_walk(uint64_t seed, double noise, bool is_power, struct path_outcome *out)
{
    struct path_world w;
    struct path_state s = {.fit = NULL};
    for (int u = 0; u <= PATH_UPDATES; u++) {
        out->cost[u] = out->bound[u] = out->high[u] = NAN;
        for (int arm = 0; arm < PATH_ARMS; arm++)
            out->regret[arm][u] = out->runs[arm][u] = NAN;
    }
    path_begin(&w, seed, noise, is_power);
    w.best = path_least(&w, w.n, w.t);
    s.table = path_table(&w, NULL);
    const size_t n_runs = 3 * (w.n + 1);
    bool good = s.table != NULL && path_sweep(&w, s.table, NULL, NULL, n_runs, 0) &&
                path_answer(s.table, s.reuse, &s.fit);
    memcpy(s.collapse, s.reuse, sizeof s.collapse);
    memcpy(s.apart, s.reuse, sizeof s.apart);
    for (int arm = 0; good && arm < PATH_ARMS; arm++) {
        out->runs[arm][0] = (double)n_runs;
        out->regret[arm][0] = path_objective(&w, s.table, s.reuse) - w.best;
    }
    if (good)
        path_uniform(&w, s.table, 0, out);
    for (int u = 1; good && u <= PATH_UPDATES; u++)
        good = path_step(&w, u, &s, out);
    mix_fit_destroy(s.fit);
    mix_table_destroy(s.table);
    gsl_rng_free(w.rng);
}

#endif

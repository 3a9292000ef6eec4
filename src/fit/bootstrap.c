/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap.c - refits on resampled mixtures and without each mixture, each a task; see fit.h.
 *
 * A draw weighs every mixture (or run) by how often it was drawn, or by Dirichlet weights, and
 * refits from points that suit its weights: the distinct good optima of the fit and, where skills
 * compete, the draws of the generations before its own. The competition laws are rugged, and what
 * is best for one resample is near what is best for a few of some thousands of others. Hops, most
 * of them in the first generations, see to it that there are good ones, and where searches disagree
 * random starts and exchanges of parameters. Streams depend on (seed, number of the draw) alone,
 * and so does a draw.
 */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "mixsweep/share.h"
#include "pool.h"

/* Searches from several points, a few steps each, then on from the best of them. */
struct round {
    size_t n;
    int n_steps;
};
enum { ROUNDS = 3, CANDIDATES_MAX = 192, DRAW_STEPS = 400, GENERATIONS = 5 };

/* What a draw is searched with: points of the pool that suit it best, random ones, and then hops
 * and exchanges. */
struct effort {
    size_t n_pool, n_fresh;
    struct round rounds[ROUNDS];
    int n_hops, n_exchanges;
};
/* joint creeps on for hundreds of steps, by 0.1% of its objective */
static const struct effort SEPARABLE = {.n_pool = 10, .rounds = {{10, 12}, {2, 150}}};
static const struct effort SMOOTH[GENERATIONS] = {{6, 0, {{6, 8}, {2, 16}}, 16, 0},
                                                  {6, 0, {{6, 8}, {2, 16}}, 16, 0},
                                                  {6, 0, {{6, 8}, {2, 16}}, 12, 0},
                                                  {6, 0, {{6, 8}, {2, 16}}, 3, 0},
                                                  {6, 0, {{6, 8}, {2, 16}}, 2, 0}};
/* Of rugged problems: what the pool does not hold hardly any draw finds by hops, so the early
 * generations, few of all draws, look for it from random points. */
static const struct effort RUGGED[GENERATIONS] = {
    {6, 0, {{6, 8}, {2, 16}}, 16, 0}, /* what is rugged is seen after it */
    {10, 180, {{190, 12}, {48, 40}, {15, 100}}, 16, 20},
    {10, 60, {{70, 12}, {18, 40}, {6, 100}}, 12, 20},
    {10, 20, {{30, 8}, {8, 16}, {3, 30}}, 3, 30},
    {10, 20, {{30, 8}, {8, 16}, {3, 30}}, 2, 30}};
/* A problem is rugged where searches of one draw disagree by more than this of the objective, the
 * worst from the best after the first round, on average over probes behind the first generation:
 * 2.4% for 420 losses of law capacity, 6.7% for the 225 of them in domains of 10% or more. */
static const double RUGGED_FROM = 0.04;
enum { N_PROBES = 64 };
/* Optima of the competition laws lie on kinks, where skills meet their bound. Steps undamped cross
 * them, and are refused. */
static const double KINK_DAMPING = 1.0;
/* A hop moves what all targets share, the bound in the first place, and with it all kinks. */
enum { HOP_STEPS = 20 };
static const double HOP_SD = 0.3;
/* An exchange takes the parameters of one target, and in one of five what all share, from another
 * point of the pool that suits the draw: the best of some, if after a few steps it is near. */
enum { MATES = 16, EXCHANGE_TRIALS = 4, EXCHANGE_FIRST_STEPS = 6, EXCHANGE_STEPS = 14 };
static const double EXCHANGE_SHARED = 0.2, EXCHANGE_NEAR = 1.02;
/* Draws of the first generation; each has four times as many as there were before it, the last all
 * others. */
enum { FIRST_GENERATION = 64, GENERATION_GROWTH = 4, POOL_MAX = 4096 };
/* Half of the draws are then within 2e-5 of where longer searches end, nine of ten within 1e-4,
 * relative to the objective. */
static const double DRAW_TOLERANCE = 3e-4;

bool mix_draws_match(const struct mix_draws *draws, const struct mix_fit *fit,
                     const struct mix_bootstrap_options *options)
{
    const struct mix_key key = mix_fit_key(fit);
    return draws->fit_key.hi == key.hi && draws->fit_key.lo == key.lo &&
           draws->n_params == fit->n_params && draws->seed == options->seed &&
           (draws->cluster_run != 0) == options->cluster_run &&
           (draws->bayesian != 0) == options->bayesian;
}

struct mix_draws *mix_draws_plan(const struct mix_fit *fit,
                                 const struct mix_bootstrap_options *options,
                                 const struct mix_draws *old)
{
    const size_t n_old = old != NULL ? old->n_draws : 0;
    struct mix_draws *draws =
        mix_draws_create(options->n_draws > n_old ? options->n_draws : n_old, fit->n_params);
    if (draws == NULL)
        return NULL;
    memcpy(draws->fit, fit->name, sizeof draws->fit);
    draws->fit_key = mix_fit_key(fit);
    draws->seed = options->seed;
    draws->cluster_run = options->cluster_run;
    draws->bayesian = options->bayesian;
    if (old != NULL) {
        memcpy(draws->objective, old->objective, n_old * sizeof *old->objective);
        memcpy(draws->params, old->params, n_old * old->n_params * sizeof *old->params);
        memcpy(draws->done, old->done, n_old);
        if (!mix_draws_copy_left(draws, old)) {
            mix_draws_destroy(draws);
            return NULL;
        }
    }
    return draws;
}

size_t mix_draws_count(const struct mix_draws *draws)
{
    size_t n = 0;
    for (size_t b = 0; b < draws->n_draws; b++)
        n += draws->done[b] != 0;
    return n;
}

size_t mix_jackknife_count(const struct mix_draws *draws)
{
    size_t n = 0;
    for (size_t g = 0; g < draws->n_left; g++)
        n += draws->left_done[g] != 0;
    return n;
}

struct resampler {
    const struct mix_fit *fit;
    enum mix_isa isa;              /* that all ranks have */
    const struct mix_draws *draws; /* options only */
    struct mix_data *all;          /* as selected */
    struct mix_data *data;         /* the losses of it; `all` itself where there are no scores */
    struct fit_names names;
    struct lsq *lsq;
    struct links *links; /* NULL where there are no scores */
    size_t n_units;      /* mixtures or runs */
    size_t n_groups;     /* of the jackknife: unit u is in group u % n_groups */
    size_t *unit;        /* (R) */
    double *unit_weight; /* (n_units) */
    double *row_weight;  /* (R) */
    struct pool pool;
    int generation;
    bool rugged;
    size_t mates[MATES], n_mates; /* of the pool, the best first */
    double *points; /* (CANDIDATES_MAX + 1), see lsq_point_doubles(); the best first */
    double *spare;  /* a point */
    double *trial;  /* a point */
    double *lambda; /* (M,L) */
    size_t *shared; /* (n_shared) parameters that several targets depend on by themselves */
    size_t n_shared;
    bool *is_shared;   /* (Q) */
    double *centre;    /* (Q) of the priors, NULL where there are none */
    double *centre_sd; /* (Q) of the priors; 0 = there is none */
};

static void destroy_resampler(struct resampler *s)
{
    lsq_destroy(s->lsq);
    free(s->names.domains);
    free(s->names.targets);
    free(s->unit);
    free(s->unit_weight);
    free(s->row_weight);
    pool_destroy(&s->pool);
    free(s->points);
    free(s->spare);
    free(s->trial);
    free(s->lambda);
    free(s->shared);
    free(s->is_shared);
    free(s->centre);
    free(s->centre_sd);
    links_destroy(s->links);
    if (s->data != s->all)
        mix_data_destroy(s->data);
    mix_data_destroy(s->all);
}

/* Rows of one run (name and size) are one unit, numbered by first appearance. */
static void number_runs(const struct mix_table *table, struct resampler *s)
{
    for (size_t r = 0; r < s->data->n_rows; r++) {
        const struct mix_run *run = &table->runs[s->data->row[r]];
        s->unit[r] = s->n_units;
        for (size_t i = 0; i < r; i++) {
            const struct mix_run *other = &table->runs[s->data->row[i]];
            if (strcmp(run->run, other->run) == 0 && run->n_params == other->n_params &&
                s->data->cluster[i] == s->data->cluster[r]) {
                s->unit[r] = s->unit[i];
                break;
            }
        }
        s->n_units += s->unit[r] == s->n_units;
    }
}

static enum mix_status select_again(const struct mix_table *table, struct resampler *s,
                                    struct mix_error *err)
{
    enum mix_status status = mix_table_select(table, &s->fit->selection, &s->all, err);
    s->data = s->all;
    if (status == MIX_OK)
        status = fit_names(table, s->all, &s->names, err);
    if (status != MIX_OK)
        return status;
    const struct mix_key key = fit_table_key(s->all, &s->names, s->fit->spec.law);
    if (key.hi != s->fit->table_key.hi || key.lo != s->fit->table_key.lo ||
        s->all->n_scores != s->fit->spec.n_scores)
        return mix_fail(err, MIX_EINVAL,
                        "the runs have changed since fit %s was made; fit again with --replace",
                        s->fit->name);
    if (s->all->n_scores == 0)
        return MIX_OK;
    status = fit_split_scores(s->all, &s->data, err);
    return status == MIX_OK ? links_create(table, s->all, s->fit->target_weight, &s->links, err)
                            : status;
}

/* Draws count priors against the residuals of the fit. If all were pulled to one centre they would
 * know the pulled parameters better than the runs do: each draws its own centre from the prior,
 * which for linear Gaussian problems makes it a draw of the posterior. */
static enum mix_status keep_centres(struct resampler *s, struct mix_error *err)
{
    const struct mix_model *model = lsq_model(s->lsq);
    double *theta = s->spare;
    model->law->from_natural(model, s->fit->params, theta, s->lambda);
    for (size_t k = 0; k < model->n_theta; k++)
        theta[k] = fmin(fmax(theta[k], model->lower[k]), model->upper[k]);
    lsq_hold_priors(s->lsq, theta);
    if (model->pull == NULL)
        return MIX_OK;
    s->centre = calloc(model->n_theta + 1, sizeof *s->centre);
    s->centre_sd = calloc(model->n_theta + 1, sizeof *s->centre_sd);
    if (s->centre == NULL || s->centre_sd == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a bootstrap");
    memcpy(s->centre, model->centre, model->n_theta * sizeof *s->centre);
    for (size_t i = 0; i < model->n_theta; i++)
        s->centre_sd[i] = lsq_prior_sd(s->lsq, i);
    return MIX_OK;
}

/* The centres of a draw; without a stream those of the law. */
static void set_centres(struct resampler *s, gsl_rng *rng)
{
    const struct mix_model *model = lsq_model(s->lsq);
    for (size_t i = 0; s->centre != NULL && i < model->n_theta; i++)
        model->centre[i] = s->centre[i] + (rng != NULL && s->centre_sd[i] > 0.0
                                               ? gsl_ran_gaussian_ziggurat(rng, s->centre_sd[i])
                                               : 0.0);
}

/* Natural parameters (n,P) become points to start from. */
static enum mix_status add_to_pool(struct resampler *s, size_t n, const double *params,
                                   struct mix_error *err)
{
    const struct mix_model *model = lsq_model(s->lsq);
    double *theta = s->spare;
    const enum mix_status status = pool_reserve(&s->pool, s->pool.n + n, err);
    lsq_weigh_rows(s->lsq, NULL);
    for (size_t i = 0; status == MIX_OK && i < n; i++) {
        const double *natural = params + i * s->fit->n_params;
        if (isnan(natural[0])) /* a draw that could not be fitted */
            continue;
        model->law->from_natural(model, natural, theta, s->lambda);
        for (size_t k = 0; k < model->n_theta; k++)
            theta[k] = fmin(fmax(theta[k], model->lower[k]), model->upper[k]);
        pool_add(&s->pool, s->lsq, theta, s->data->n_rows, s->unit, s->row_weight);
    }
    return status;
}

/* Of laws without such parameters none: their draws do not hop. */
static void find_shared(const struct mix_model *model, struct resampler *s)
{
    for (size_t k = 0; !model->separable && k < model->n_theta; k++) {
        size_t n_users = 0;
        for (size_t i = 0; i < model->spec.n_targets * model->n_own; i++)
            n_users += model->own_column[i] == k;
        s->is_shared[k] = n_users > 1;
        if (n_users > 1)
            s->shared[s->n_shared++] = k;
    }
}

static enum mix_status create_resampler(const struct mix_table *table, struct resampler *s,
                                        struct mix_error *err)
{
    struct mix_law_spec spec = s->fit->spec;
    enum mix_status status = select_again(table, s, err);
    spec.n_targets -= spec.n_scores;
    spec.n_scores = 0;
    if (status == MIX_OK)
        status = lsq_create(&spec, s->data->target_domain, s->data, &s->lsq, err);
    if (status != MIX_OK)
        return status;
    struct mix_model *model = lsq_model(s->lsq);
    const size_t n_rows = s->data->n_rows;
    law_model_set_isa(model, s->isa);
    const size_t n_linked = s->fit->spec.n_scores * score_params(spec.n_targets);
    if (model->n_params + n_linked != s->fit->n_params)
        return mix_fail(err, MIX_EFORMAT, "fit %s has %zu parameters where law %s has %zu",
                        s->fit->name, s->fit->n_params, s->fit->spec.law,
                        model->n_params + n_linked);
    s->unit = calloc(n_rows, sizeof *s->unit);
    s->row_weight = calloc(n_rows, sizeof *s->row_weight);
    s->points = calloc((CANDIDATES_MAX + 1) * lsq_point_doubles(s->lsq), sizeof *s->points);
    s->spare = calloc(lsq_point_doubles(s->lsq), sizeof *s->spare);
    s->trial = calloc(lsq_point_doubles(s->lsq), sizeof *s->trial);
    s->shared = calloc(model->n_theta + 1, sizeof *s->shared);
    s->is_shared = calloc(model->n_theta + 1, sizeof *s->is_shared);
    s->lambda = calloc(model->spec.n_targets * model->n_linear, sizeof *s->lambda);
    if (s->unit == NULL || s->row_weight == NULL || s->points == NULL || s->spare == NULL ||
        s->trial == NULL || s->lambda == NULL || s->shared == NULL || s->is_shared == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a bootstrap of %zu rows", n_rows);
    if (s->draws->cluster_run) {
        number_runs(table, s);
    } else {
        memcpy(s->unit, s->data->cluster, n_rows * sizeof *s->unit);
        s->n_units = s->data->n_clusters;
    }
    s->unit_weight = calloc(s->n_units, sizeof *s->unit_weight);
    if (s->unit_weight == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a bootstrap of %zu rows", n_rows);
    find_shared(model, s);
    s->pool = (struct pool){.n_theta = model->n_theta, .n_units = s->n_units};
    status = add_to_pool(s, s->fit->n_optima, s->fit->optima, err);
    return status == MIX_OK ? keep_centres(s, err) : status;
}

static void resample(struct resampler *s, gsl_rng *rng)
{
    double total = 0.0;
    memset(s->unit_weight, 0, s->n_units * sizeof *s->unit_weight);
    for (size_t i = 0; i < s->n_units; i++) {
        if (s->draws->bayesian)
            total += s->unit_weight[i] = gsl_ran_exponential(rng, 1.0);
        else
            s->unit_weight[gsl_rng_uniform_int(rng, s->n_units)] += 1.0;
    }
    set_centres(s, rng);
    for (size_t r = 0; r < s->data->n_rows; r++) {
        const double w = s->unit_weight[s->unit[r]];
        s->row_weight[r] = s->draws->bayesian ? w * (double)s->n_units / total : w;
    }
    lsq_weigh_rows(s->lsq, s->row_weight);
}

/* All rows but those of one group of units. */
static void leave_out(struct resampler *s, size_t group)
{
    for (size_t u = 0; u < s->n_units; u++)
        s->unit_weight[u] = u % s->n_groups != group;
    for (size_t r = 0; r < s->data->n_rows; r++)
        s->row_weight[r] = s->unit_weight[s->unit[r]];
    lsq_weigh_rows(s->lsq, s->row_weight);
    set_centres(s, NULL);
}

/* Put the point behind the n best in order; returns how many there are then. */
static size_t insert_point(struct resampler *s, size_t n)
{
    const size_t n_point = lsq_point_doubles(s->lsq);
    double *point = s->points + n * n_point;
    const double reached = lsq_point_objective(s->lsq, point);
    size_t at = n;
    while (at > 0 && reached < lsq_point_objective(s->lsq, s->points + (at - 1) * n_point))
        at--;
    memcpy(s->spare, point, n_point * sizeof *point);
    memmove(s->points + (at + 1) * n_point, s->points + at * n_point,
            (n - at) * n_point * sizeof *point);
    memcpy(s->points + at * n_point, s->spare, n_point * sizeof *point);
    return n + 1;
}

/* The points of the pool that suit the weights, and random ones; returns how many. */
static size_t take_candidates(struct resampler *s, const struct effort *effort, gsl_rng *rng)
{
    struct mix_model *model = lsq_model(s->lsq);
    const size_t n_point = lsq_point_doubles(s->lsq);
    s->n_mates = pool_choose(&s->pool, s->unit_weight, MATES, s->mates);
    const size_t n_pool = s->n_mates < effort->n_pool ? s->n_mates : effort->n_pool;
    const size_t n_fresh = rng != NULL ? effort->n_fresh : 0;
    for (size_t i = 0; i < n_pool; i++) {
        double *point = s->points + i * n_point;
        memcpy(point, s->pool.theta + s->mates[i] * model->n_theta, model->n_theta * sizeof *point);
        lsq_set_damping(s->lsq, point, model->separable ? LSQ_DAMPING : KINK_DAMPING);
    }
    for (size_t i = n_pool; i < n_pool + n_fresh; i++) {
        model->law->start(model, lsq_scales(s->lsq), rng, s->points + i * n_point);
        lsq_set_damping(s->lsq, s->points + i * n_point, LSQ_DAMPING);
    }
    return n_pool + n_fresh;
}

/* Search on from the first n points; what has a finite loss then comes first, the best of it at the
 * head, and *n_good tells how many those are. */
static enum mix_status search_on(struct resampler *s, size_t n, int n_steps, struct mix_poll *poll,
                                 size_t *n_good, struct mix_error *err)
{
    const size_t n_point = lsq_point_doubles(s->lsq);
    struct lsq_result result;
    size_t good = 0;
    for (size_t i = 0; i < n; i++) {
        double *point = s->points + i * n_point;
        const enum mix_status status =
            lsq_continue(s->lsq, point, n_steps, DRAW_TOLERANCE, poll, &result, err);
        if (status == MIX_ENUMERIC) /* it has run away */
            continue;
        if (status != MIX_OK)
            return status;
        if (i > good)
            memcpy(s->points + good * n_point, point, n_point * sizeof *point);
        good = insert_point(s, good);
    }
    *n_good = good;
    return lsq_sort_blocks(s->lsq, good, n_point, s->points, err);
}

/* Move what targets share, search from there, and keep what is better. */
static enum mix_status hop(struct resampler *s, gsl_rng *rng, struct mix_poll *poll,
                           struct mix_error *err)
{
    const struct mix_model *model = lsq_model(s->lsq);
    double *theta = s->spare;
    struct lsq_result result;
    memcpy(theta, s->points, lsq_point_doubles(s->lsq) * sizeof *theta);
    for (size_t i = 0; i < s->n_shared; i++) {
        const size_t k = s->shared[i];
        theta[k] += gsl_ran_gaussian_ziggurat(rng, HOP_SD);
        theta[k] = fmin(fmax(theta[k], model->lower[k]), model->upper[k]);
    }
    lsq_set_damping(s->lsq, theta, KINK_DAMPING);
    const enum mix_status status =
        lsq_continue(s->lsq, theta, HOP_STEPS, DRAW_TOLERANCE, poll, &result, err);
    if (status == MIX_OK)
        lsq_keep_better(s->lsq, theta, s->points);
    return status == MIX_ENUMERIC ? MIX_OK : status; /* a hop to nowhere is no loss */
}

/* The best point with one target's parameters of another. */
static void exchange(const struct resampler *s, gsl_rng *rng, double *theta)
{
    const struct mix_model *model = lsq_model(s->lsq);
    const size_t mate = s->mates[gsl_rng_uniform_int(rng, s->n_mates)];
    const double *from = s->pool.theta + mate * model->n_theta;
    const size_t m = gsl_rng_uniform_int(rng, model->spec.n_targets);
    const bool shared = gsl_rng_uniform(rng) < EXCHANGE_SHARED;
    memcpy(theta, s->points, model->n_theta * sizeof *theta);
    for (size_t k = 0; k < model->n_own; k++) {
        const size_t i = model->own_column[m * model->n_own + k];
        if (shared || !s->is_shared[i])
            theta[i] = from[i];
    }
    lsq_set_damping(s->lsq, theta, KINK_DAMPING);
}

/* Search from the best of some exchanges, and keep what is better. */
static enum mix_status try_exchanges(struct resampler *s, gsl_rng *rng, struct mix_poll *poll,
                                     struct mix_error *err)
{
    const size_t n_point = lsq_point_doubles(s->lsq);
    double least = INFINITY;
    struct lsq_result result;
    for (int i = 0; i < EXCHANGE_TRIALS; i++) {
        exchange(s, rng, s->trial);
        const enum mix_status status =
            lsq_continue(s->lsq, s->trial, 0, DRAW_TOLERANCE, poll, &result, err);
        if (status != MIX_OK && status != MIX_ENUMERIC)
            return status;
        if (status == MIX_OK && result.objective < least) {
            least = result.objective;
            memcpy(s->spare, s->trial, n_point * sizeof *s->spare);
        }
    }
    if (!isfinite(least))
        return MIX_OK;
    enum mix_status status =
        lsq_continue(s->lsq, s->spare, EXCHANGE_FIRST_STEPS, DRAW_TOLERANCE, poll, &result, err);
    if (status == MIX_OK &&
        result.objective < EXCHANGE_NEAR * lsq_point_objective(s->lsq, s->points))
        status = lsq_continue(s->lsq, s->spare, EXCHANGE_STEPS, DRAW_TOLERANCE, poll, &result, err);
    if (status == MIX_OK)
        lsq_keep_better(s->lsq, s->spare, s->points);
    return status == MIX_ENUMERIC ? MIX_OK : status;
}

/* Where skills compete the best point hops, takes from others, and searches to the end. Without a
 * stream it only searches. */
static enum mix_status finish(struct resampler *s, const struct effort *effort, gsl_rng *rng,
                              struct mix_poll *poll, struct mix_error *err)
{
    const bool moves = rng != NULL && s->n_shared > 0;
    struct lsq_result result;
    enum mix_status status = MIX_OK;
    for (int i = 0; status == MIX_OK && moves && i < effort->n_hops; i++)
        status = hop(s, rng, poll, err);
    for (int i = 0; status == MIX_OK && moves && s->n_mates > 0 && i < effort->n_exchanges; i++)
        status = try_exchanges(s, rng, poll, err);
    if (status != MIX_OK)
        return status;
    memcpy(s->spare, s->points, lsq_point_doubles(s->lsq) * sizeof *s->spare);
    status = lsq_continue(s->lsq, s->spare, DRAW_STEPS, DRAW_TOLERANCE, poll, &result, err);
    if (status == MIX_OK)
        lsq_keep_better(s->lsq, s->spare, s->points);
    return status == MIX_ENUMERIC ? MIX_OK : status;
}

static const struct effort *effort_of(const struct resampler *s)
{
    if (lsq_model(s->lsq)->separable)
        return &SEPARABLE;
    return &(s->rugged ? RUGGED : SMOOTH)[s->generation];
}

/* Refit with the weights of now; all NaN where nothing has a finite loss. */
static enum mix_status refit(struct resampler *s, gsl_rng *rng, struct mix_poll *poll,
                             double *objective, double *params, struct mix_error *err)
{
    struct mix_model *model = lsq_model(s->lsq);
    const struct effort *effort = effort_of(s);
    const struct round *rounds = effort->rounds;
    enum mix_status status = MIX_OK;
    size_t n = take_candidates(s, effort, rng);
    for (int i = 0; status == MIX_OK && i < ROUNDS && rounds[i].n > 0; i++)
        status = search_on(s, n < rounds[i].n ? n : rounds[i].n, rounds[i].n_steps, poll, &n, err);
    if (status == MIX_OK && n > 0 && !model->separable)
        status = finish(s, effort, rng, poll, err);
    if (status != MIX_OK)
        return status;
    *objective = NAN;
    for (size_t p = 0; p < s->fit->n_params; p++)
        params[p] = NAN;
    if (n > 0) {
        *objective = lsq_point_objective(s->lsq, s->points);
        lsq_evaluate(s->lsq, s->points, s->lambda);
        model->law->to_natural(model, s->points, s->lambda, params);
        if (s->links != NULL)
            links_refit(s->links, s->row_weight, s->fit->link + s->data->n_targets,
                        s->fit->params + model->n_params, params + model->n_params);
    }
    return MIX_OK;
}

/* By how much searches of one draw differ after the first round, of the best's objective. */
static enum mix_status disagree(struct resampler *s, size_t probe, double *by,
                                struct mix_error *err)
{
    const uint64_t what = probe;
    const struct effort *effort = &SMOOTH[s->generation];
    const size_t n_point = lsq_point_doubles(s->lsq);
    gsl_rng *rng =
        mix_rng_create(mix_key_make(s->draws->seed, "bootstrap probe", &what, sizeof what));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a random stream");
    resample(s, rng);
    size_t n = take_candidates(s, effort, rng);
    const enum mix_status status = search_on(s, n, effort->rounds[0].n_steps, NULL, &n, err);
    gsl_rng_free(rng);
    *by = status == MIX_OK && n > 1 ? lsq_point_objective(s->lsq, s->points + (n - 1) * n_point) /
                                              lsq_point_objective(s->lsq, s->points) -
                                          1.0
                                    : 0.0;
    return status;
}

/* Every rank sees for itself whether the problem is rugged: the same, for it is little work. Laws
 * with priors have fewer optima, and searches of theirs cost more. */
static enum mix_status see_ruggedness(struct resampler *s, struct mix_error *err)
{
    double sum = 0.0, by = 0.0;
    enum mix_status status = MIX_OK;
    if (lsq_model(s->lsq)->pull != NULL)
        return MIX_OK;
    for (size_t i = 0; status == MIX_OK && i < N_PROBES; i++) {
        status = disagree(s, i, &by, err);
        sum += isfinite(by) ? by : 0.0;
    }
    s->rugged = sum > RUGGED_FROM * N_PROBES;
    return status;
}

static enum mix_status run_draw(void *context, size_t task, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct resampler *s = context;
    struct mix_draw_body body = {.draw = task};
    gsl_rng *rng =
        mix_rng_create(mix_key_make(s->draws->seed, "bootstrap", &body.draw, sizeof body.draw));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a random stream");
    resample(s, rng);
    const enum mix_status status =
        refit(s, rng, poll, &body.objective, (double *)((char *)record + sizeof body), err);
    gsl_rng_free(rng);
    memcpy(record, &body, sizeof body);
    return status;
}

static enum mix_status run_left(void *context, size_t task, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct resampler *s = context;
    const struct mix_left_body body = {.group = task, .n_groups = s->n_groups};
    double objective;
    memcpy(record, &body, sizeof body);
    leave_out(s, task);
    return refit(s, NULL, poll, &objective, (double *)((char *)record + sizeof body), err);
}

/* Copy finished records into the draws of rank 0. */
static void keep_draws(const uint8_t *records, const uint8_t *finished, size_t record_bytes,
                       size_t n_tasks, struct mix_draws *draws)
{
    for (size_t b = 0; b < n_tasks; b++) {
        if (!finished[b])
            continue;
        const uint8_t *record = records + b * record_bytes;
        struct mix_draw_body body;
        memcpy(&body, record, sizeof body);
        draws->objective[b] = body.objective;
        memcpy(draws->params + b * draws->n_params, record + sizeof body,
               draws->n_params * sizeof(double));
        draws->done[b] = 1;
    }
}

static void keep_left(const uint8_t *records, const uint8_t *finished, size_t record_bytes,
                      struct mix_draws *draws)
{
    for (size_t g = 0; g < draws->n_left; g++) {
        if (!finished[g])
            continue;
        memcpy(draws->left + g * draws->n_params,
               records + g * record_bytes + sizeof(struct mix_left_body),
               draws->n_params * sizeof(double));
        draws->left_done[g] = 1;
    }
}

/* The options of rank 0's draws on all ranks. */
static struct mix_draws share_options(struct mix_ranks *ranks, const struct mix_draws *draws)
{
    uint64_t what[4] = {0};
    if (draws != NULL) {
        what[0] = draws->seed;
        what[1] = (uint64_t)draws->cluster_run;
        what[2] = (uint64_t)draws->bayesian;
        what[3] = draws->n_draws;
    }
    mix_ranks_broadcast(ranks, what, sizeof what);
    return (struct mix_draws){.seed = what[0],
                              .cluster_run = (int32_t)what[1],
                              .bayesian = (int32_t)what[2],
                              .n_draws = (size_t)what[3]};
}

static void fill_head(const struct mix_fit *fit, const struct mix_draws *draws,
                      struct mix_draw_head *head)
{
    memset(head, 0, sizeof *head);
    memcpy(head->fit, fit->name, sizeof head->fit);
    head->fit_key = mix_fit_key(fit);
    head->seed = draws->seed;
    head->cluster_run = draws->cluster_run;
    head->bayesian = draws->bayesian;
}

/* Where rank 0 gathers the records of a stage; NULLs elsewhere. */
struct gathered {
    uint8_t *records, *finished;
};

static enum mix_status gather_into(struct mix_ranks *ranks, size_t n, size_t record_bytes,
                                   struct gathered *out, enum mix_status status,
                                   struct mix_error *err)
{
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0) {
        out->records = calloc(n + 1, record_bytes);
        out->finished = calloc(n + 1, 1);
        if (out->records == NULL || out->finished == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", n);
    }
    return mix_ranks_agree(ranks, status, err);
}

/* Progress over all generations, on rank 0. */
struct whole {
    mix_progress_fn progress;
    void *context;
    size_t n_before, n_todo; /* of all generations: finished before this one, and to be made */
    double seconds;          /* taken by those before */
    double last;             /* of this one, when last heard */
};

static void report_whole(void *context, size_t n_done, size_t n_todo, double seconds)
{
    struct whole *whole = context;
    (void)n_todo;
    whole->last = seconds;
    whole->progress(whole->context, whole->n_before + n_done, whole->n_todo,
                    whole->seconds + seconds);
}

/* The draws up to the end of a generation, into `draws` of rank 0. */
static enum mix_status run_generation(struct mix_ranks *ranks, struct mix_stage *stage,
                                      struct mix_draws *draws, struct whole *whole,
                                      struct mix_error *err)
{
    struct gathered got = {NULL, NULL};
    enum mix_status status =
        gather_into(ranks, stage->n_tasks, stage->record_bytes, &got, MIX_OK, err);
    if (status == MIX_OK) {
        const size_t n_before = draws != NULL ? mix_draws_count(draws) : 0;
        stage->records = got.records;
        stage->finished = got.finished;
        whole->last = 0.0;
        status = mix_stage_run(ranks, stage, err);
        if (draws != NULL && got.finished != NULL) {
            keep_draws(got.records, got.finished, stage->record_bytes, stage->n_tasks, draws);
            whole->n_before += mix_draws_count(draws) - n_before;
            whole->seconds += whole->last;
        }
    }
    free(got.records);
    free(got.finished);
    return status;
}

/* Draws `first` to `end` of rank 0 become points to start from, on all ranks. */
static enum mix_status share_generation(struct mix_ranks *ranks, struct resampler *s,
                                        const struct mix_draws *draws, size_t first, size_t end,
                                        struct mix_error *err)
{
    const size_t n_doubles = (end - first) * s->fit->n_params;
    double *params = malloc((n_doubles + 1) * sizeof *params);
    enum mix_status status =
        params != NULL ? MIX_OK
                       : mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", end - first);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        if (draws != NULL)
            memcpy(params, draws->params + first * s->fit->n_params, n_doubles * sizeof *params);
        mix_ranks_broadcast(ranks, params, n_doubles * sizeof *params);
        status = mix_ranks_agree(ranks, add_to_pool(s, end - first, params, err), err);
    }
    free(params);
    return status;
}

enum mix_status mix_bootstrap_run(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, struct mix_draws *draws,
                                  const char *log_dir, mix_progress_fn progress,
                                  void *progress_context, struct mix_error *err)
{
    const struct mix_draws shared = share_options(ranks, draws);
    struct resampler resampler = {.fit = fit, .draws = &shared};
    struct mix_draw_head head;
    struct whole whole = {.progress = progress, .context = progress_context};
    struct mix_stage stage = {.name = "bootstrap",
                              .record_bytes =
                                  sizeof(struct mix_draw_body) + fit->n_params * sizeof(double),
                              .run = run_draw,
                              .context = &resampler,
                              .done = draws != NULL ? draws->done : NULL,
                              .log_kind = MIX_LOG_DRAW,
                              .log_head = &head,
                              .log_head_bytes = sizeof head,
                              .log_dir = log_dir,
                              .progress = progress != NULL ? report_whole : NULL,
                              .progress_context = &whole};
    if (draws != NULL)
        whole.n_todo = draws->n_draws - mix_draws_count(draws);
    enum mix_status status = mix_share_isa(ranks, &resampler.isa, err);
    if (status == MIX_OK)
        status = mix_ranks_agree(ranks, create_resampler(table, &resampler, err), err);
    if (status == MIX_OK)
        fill_head(fit, &shared, &head);
    const bool competes = status == MIX_OK && !lsq_model(resampler.lsq)->separable;
    for (size_t first = 0, end; status == MIX_OK && first < shared.n_draws; first = end) {
        end = first > 0 ? first * GENERATION_GROWTH : FIRST_GENERATION;
        if (!competes || end > POOL_MAX || end > shared.n_draws)
            end = shared.n_draws;
        stage.n_tasks = end;
        status = run_generation(ranks, &stage, draws, &whole, err);
        if (status == MIX_OK && end < shared.n_draws)
            status = share_generation(ranks, &resampler, draws, first, end, err);
        resampler.generation++;
        if (status == MIX_OK && first == 0 && end < shared.n_draws)
            status = mix_ranks_agree(ranks, see_ruggedness(&resampler, err), err);
    }
    destroy_resampler(&resampler);
    return status;
}

enum mix_status mix_jackknife_run(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, struct mix_draws *draws,
                                  const char *log_dir, mix_progress_fn progress,
                                  void *progress_context, struct mix_error *err)
{
    const struct mix_draws shared = share_options(ranks, draws);
    struct resampler resampler = {.fit = fit, .draws = &shared};
    struct gathered got = {NULL, NULL};
    struct mix_draw_head head;
    struct mix_stage stage = {.name = "jackknife",
                              .record_bytes =
                                  sizeof(struct mix_left_body) + fit->n_params * sizeof(double),
                              .run = run_left,
                              .context = &resampler,
                              .log_kind = MIX_LOG_JACKKNIFE,
                              .log_head = &head,
                              .log_head_bytes = sizeof head,
                              .log_dir = log_dir,
                              .progress = progress,
                              .progress_context = progress_context};
    enum mix_status status = mix_share_isa(ranks, &resampler.isa, err);
    if (status == MIX_OK)
        status = create_resampler(table, &resampler, err);
    if (status == MIX_OK) {
        resampler.n_groups = resampler.n_units < MIX_LEFT_MAX ? resampler.n_units : MIX_LEFT_MAX;
        stage.n_tasks = resampler.n_groups;
        if (draws != NULL && draws->n_left != resampler.n_groups &&
            !mix_draws_hold_left(draws, resampler.n_groups))
            status = mix_fail(err, MIX_ENOMEM, "out of memory for a jackknife");
    }
    status = gather_into(ranks, stage.n_tasks, stage.record_bytes, &got, status, err);
    if (status == MIX_OK) {
        fill_head(fit, &shared, &head);
        stage.done = draws != NULL ? draws->left_done : NULL;
        stage.records = got.records;
        stage.finished = got.finished;
        status = mix_stage_run(ranks, &stage, err);
        if (draws != NULL && got.finished != NULL)
            keep_left(got.records, got.finished, stage.record_bytes, draws);
    }
    free(got.records);
    free(got.finished);
    destroy_resampler(&resampler);
    return status;
}

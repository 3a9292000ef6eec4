/* SPDX-License-Identifier: GPL-3.0-or-later */
/* refit.c - one refit: from points that suit its weights, the distinct good optima of the fit and,
 * where skills compete, the draws of the generations before its own. The competition laws are
 * rugged, and what is best for one resample is near what is best for a few of some thousands of
 * others. Hops, most of them in the first generations, see to it that there are good ones, and
 * where searches disagree random starts and exchanges of parameters. */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <string.h>

#include "bootstrap_parts.h"

/* Searches from several points, a few steps each, then on from the best of them. */
struct round {
    size_t n;
    int n_steps;
};
enum { ROUNDS = 3, DRAW_STEPS = 400, GENERATIONS = 5 };

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
enum { EXCHANGE_TRIALS = 4, EXCHANGE_FIRST_STEPS = 6, EXCHANGE_STEPS = 14 };
static const double EXCHANGE_SHARED = 0.2, EXCHANGE_NEAR = 1.02;
/* Half of the draws are then within 2e-5 of where longer searches end, nine of ten within 1e-4,
 * relative to the objective. */
static const double DRAW_TOLERANCE = 3e-4;

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
enum mix_status refit(struct resampler *s, gsl_rng *rng, struct mix_poll *poll, double *objective,
                      double *params, struct mix_error *err)
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
    resampler_draw(s, rng);
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
enum mix_status refit_see_ruggedness(struct resampler *s, struct mix_error *err)
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

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_search.c - Levenberg-Marquardt, every block with a damping of its own. */
#include <math.h>
#include <string.h>

#include "lsq_parts.h"

/* A search that goes on elsewhere is not to be held back by the last refusals of another. */
static const double DAMPING_MAX = 1e3;
static const double LEAST_GAIN = 1e-13;

static bool is_done(const struct search *search)
{
    return search->converged || search->damping > 1e20;
}

/* Assemble the blocks that have moved, and see which have converged. */
static enum mix_status look_around(struct lsq *s, const double *theta, bool goes_on,
                                   double tolerance, struct lsq_result *result, bool *done,
                                   struct mix_error *err)
{
    bool any = false;
    for (size_t b = 0; b < s->n_blocks; b++)
        any = any || !s->search[b].assembled;
    if (any)
        lsq_assemble(s, theta);
    *done = result->converged = true;
    result->gradient = 0.0;
    for (size_t b = 0; b < s->n_blocks; b++) {
        struct search *at = &s->search[b];
        if (!at->assembled) {
            at->gradient = lsq_survey(s, b, theta);
            if (!isfinite(at->gradient))
                return mix_fail(err, MIX_ENUMERIC, "the derivatives of the law are not finite");
            if (!goes_on) /* those stop early; corrected, the worst draw was 3% off, not 1% */
                lsq_correct(s, b);
            at->assembled = true;
        }
        at->converged = at->gradient <= tolerance || at->stalled >= 3 || at->n_free == 0;
        result->gradient = fmax(result->gradient, at->gradient);
        result->converged = result->converged && at->converged;
        *done = *done && is_done(at);
    }
    return MIX_OK;
}

/* Try a step of every block that is not done; sets `sums` where any has one. */
static void try_steps(struct lsq *s, const double *theta)
{
    bool any = false;
    memcpy(s->trial, theta, s->n_theta * sizeof *theta);
    for (size_t b = 0; b < s->n_blocks; b++) {
        struct search *at = &s->search[b];
        at->predicted = 0.0;
        if (is_done(at))
            continue;
        at->predicted = at->slope * lsq_try_step(s, b, theta);
        any = any || at->predicted > 0.0;
    }
    for (size_t b = 0; s->model->separable && b < s->n_blocks; b++)
        s->model->idle[b] = !(s->search[b].predicted > 0.0);
    if (any)
        lsq_project_out(s, s->trial);
}

/* Block b stands at the last evaluated theta. */
static void stand_here(struct lsq *s, size_t b)
{
    s->search[b].sum = s->sums[b];
    s->search[b].squares = s->squares[b];
    s->search[b].slope = s->slope[b];
}

/* Take the step of block b where it pays, and set the damping by how well it was predicted. Three
 * gains in a row below `least_gain` of the sum end the search. */
static void judge_step(struct lsq *s, size_t b, double least_gain, double *theta)
{
    struct search *at = &s->search[b];
    const double next = at->predicted > 0.0 ? s->sums[b] : INFINITY, gain = at->sum - next;
    if (gain > 1e-4 * at->predicted && at->predicted > 0.0) {
        const double t = 2.0 * gain / at->predicted - 1.0;
        at->damping = fmax(at->damping * fmax(1.0 / 3.0, 1.0 - t * t * t), 1e-14);
        at->growth = 2.0;
        at->last_gain = fmax(gain, at->predicted);
        at->stalled = gain <= least_gain * at->sum ? at->stalled + 1 : 0;
        memcpy(theta + b * s->width, s->trial + b * s->width, s->width * sizeof *theta);
        stand_here(s, b);
        at->assembled = false;
    } else if (!is_done(at)) {
        at->damping *= at->growth;
        at->growth *= 2.0;
        if (at->predicted > 0.0 && at->predicted <= 0.1 * least_gain * at->sum)
            at->stalled = 3;
    }
}

/* Minimise; where `goes_on`, theta is that of a complete point, whose damping counts, and the law
 * may begin with what it knows of the last one. */
static enum mix_status search_from(struct lsq *s, double *theta, bool goes_on, int max_steps,
                                   double tolerance, struct mix_poll *poll,
                                   struct lsq_result *result, struct mix_error *err)
{
    const double least_gain = fmax(LEAST_GAIN, tolerance * tolerance);
    if (!goes_on || s->model->separable) /* else targets stay idle that are elsewhere now */
        law_model_reset(s->model);
    memset(s->scale, 0, s->n_theta * sizeof *s->scale);
    for (size_t b = 0; b < s->n_blocks; b++) {
        s->reached[b] = INFINITY; /* until it is known */
        s->search[b] = (struct search){
            .damping =
                goes_on ? fmin(theta[s->n_theta + s->n_blocks + b], DAMPING_MAX) : LSQ_DAMPING,
            .growth = 2.0,
            .last_gain = INFINITY};
    }
    if (!isfinite(lsq_project_out(s, theta)))
        return mix_fail(err, MIX_ENUMERIC, "the start has no finite loss");
    for (size_t b = 0; b < s->n_blocks; b++)
        stand_here(s, b);
    *result = (struct lsq_result){0};
    for (result->steps = 0; result->steps < max_steps; result->steps++) {
        bool done;
        if (mix_poll(poll))
            return mix_fail(err, MIX_EINTERRUPTED, "interrupted");
        const enum mix_status status =
            look_around(s, theta, goes_on, tolerance, result, &done, err);
        if (status != MIX_OK)
            return status;
        if (done)
            break;
        try_steps(s, theta);
        for (size_t b = 0; b < s->n_blocks; b++)
            judge_step(s, b, least_gain, theta);
    }
    for (size_t b = 0; b < s->n_blocks; b++) {
        s->reached[b] = s->search[b].sum / s->weight_sum;
        result->objective += s->reached[b];
        s->search[b].assembled = false;
    }
    return MIX_OK;
}

enum mix_status lsq_minimise(struct lsq *s, double *theta, int max_steps, double tolerance,
                             struct mix_poll *poll, struct lsq_result *result,
                             struct mix_error *err)
{
    return search_from(s, theta, false, max_steps, tolerance, poll, result, err);
}

enum mix_status lsq_continue(struct lsq *s, double *point, int max_steps, double tolerance,
                             struct mix_poll *poll, struct lsq_result *result,
                             struct mix_error *err)
{
    const enum mix_status status =
        search_from(s, point, true, max_steps, tolerance, poll, result, err);
    if (status == MIX_OK)
        lsq_complete_point(s, point);
    return status;
}

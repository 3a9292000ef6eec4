/* SPDX-License-Identifier: GPL-3.0-or-later */
/* probe.c - a run forked on its way: short sweeps from where it is; see
 * mixsweep/online_analysis.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/online_analysis.h"

/* ---- a sweep */

/* Room for what is measured. */
struct sweep {
    double *room;
    struct mix_observation seen;
    double *before; /* (m) */
};

static enum mix_status make_room(size_t m, struct sweep *sweep, struct mix_error *err)
{
    sweep->room = calloc(m * (m + 5), sizeof *sweep->room);
    if (sweep->room == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the losses of %zu groups.", m);
    sweep->before = sweep->room;
    sweep->seen = (struct mix_observation){.loss = sweep->room + m,
                                           .train_loss = sweep->room + 2 * m,
                                           .reference_loss = sweep->room + 3 * m,
                                           .train_norm = sweep->room + 4 * m,
                                           .alignment = sweep->room + 5 * m};
    return MIX_OK;
}

/* Train under one mixture, look, go back. */
static enum mix_status fork_once(struct mix_trainee *trainee, const double *mixture,
                                 uint64_t horizon, int slot, struct sweep *sweep, double *drop,
                                 struct mix_poll *poll, struct mix_error *err)
{
    const size_t m = trainee->n_groups;
    double *share = sweep->seen.train_norm; /* a segment's mixture is not const */
    memcpy(share, mixture, m * sizeof *share);
    const struct mix_segment segment = {.n_steps = horizon, .mixture = share, .exact = true};
    enum mix_status status = trainee->kind->train(trainee, &segment, poll, err);
    if (status == MIX_OK)
        status = trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &sweep->seen, poll, err);
    for (size_t i = 0; status == MIX_OK && i < m; i++)
        drop[i] = sweep->before[i] - sweep->seen.loss[i];
    return status == MIX_OK ? trainee->kind->restore(trainee, slot, poll, err) : status;
}

enum mix_status mix_online_fork(struct mix_trainee *trainee, size_t n, const double *mixture,
                                uint64_t horizon, int slot, double *drop, struct mix_poll *poll,
                                struct mix_error *err)
{
    const size_t m = trainee->n_groups;
    struct sweep sweep = {.room = NULL};
    if ((trainee->can & MIX_CAN_FORK) == 0)
        return mix_fail(err, MIX_EINVAL,
                        "the %s trainer cannot go back to a snapshot: no sweep from there.",
                        trainee->kind->name);
    enum mix_status status = make_room(m, &sweep, err);
    if (status == MIX_OK)
        status = trainee->kind->snapshot(trainee, slot, poll, err);
    if (status == MIX_OK)
        status = trainee->kind->measure(trainee, MIX_MEASURE_LOSS, &sweep.seen, poll, err);
    if (status == MIX_OK) {
        memcpy(sweep.before, sweep.seen.loss, m * sizeof *sweep.before);
        status = trainee->kind->restore(trainee, slot, poll, err);
    }
    for (size_t r = 0; status == MIX_OK && r < n; r++)
        status =
            fork_once(trainee, mixture + r * m, horizon, slot, &sweep, drop + r * m, poll, err);
    free(sweep.room);
    return status;
}

/* ---- the probe */

struct probed {
    struct mix_trainee head;
    struct mix_trainee *inner;
    struct mix_probe_options options; /* arrays are its own */
    uint64_t *step;
    double *mixture;
    uint64_t now; /* steps trained in this run */
    struct mix_probe probe;
};

static struct probed *probed_of(struct mix_trainee *trainee)
{
    return (struct probed *)trainee;
}

static void destroy(struct mix_trainee *trainee)
{
    struct probed *probed = probed_of(trainee);
    free(probed->step);
    free(probed->mixture);
    free(probed->probe.drop);
    free(probed);
}

static enum mix_status restart(struct mix_trainee *trainee, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct probed *probed = probed_of(trainee);
    probed->now = 0;
    probed->probe.n_done = 0;
    return probed->inner->kind->restart(probed->inner, poll, err);
}

static enum mix_status look(struct probed *probed, struct mix_poll *poll, struct mix_error *err)
{
    const struct mix_probe_options *o = &probed->options;
    double *drop =
        probed->probe.drop + probed->probe.n_done * o->n_mixtures * probed->head.n_groups;
    const enum mix_status status = mix_online_fork(probed->inner, o->n_mixtures, o->mixture,
                                                   o->horizon, o->slot, drop, poll, err);
    if (status == MIX_OK)
        probed->probe.n_done++;
    return status;
}

/* A segment is cut where the next point is; trainees train the same in two parts. */
static enum mix_status train(struct mix_trainee *trainee, const struct mix_segment *segment,
                             struct mix_poll *poll, struct mix_error *err)
{
    struct probed *probed = probed_of(trainee);
    struct mix_segment part = *segment;
    uint64_t left = segment->n_steps;
    enum mix_status status = MIX_OK;
    while (status == MIX_OK && left > 0) {
        const size_t next = probed->probe.n_done;
        const bool more = next < probed->options.n_points;
        if (more && probed->step[next] <= probed->now) {
            status = look(probed, poll, err);
            continue;
        }
        part.n_steps = more && probed->step[next] - probed->now < left
                           ? probed->step[next] - probed->now
                           : left;
        status = probed->inner->kind->train(probed->inner, &part, poll, err);
        probed->now += part.n_steps;
        left -= part.n_steps;
    }
    return status;
}

static enum mix_status measure(struct mix_trainee *trainee, unsigned what,
                               struct mix_observation *out, struct mix_poll *poll,
                               struct mix_error *err)
{
    struct mix_trainee *inner = probed_of(trainee)->inner;
    return inner->kind->measure(inner, what, out, poll, err);
}

static enum mix_status test(struct mix_trainee *trainee, double *loss, double *se,
                            struct mix_poll *poll, struct mix_error *err)
{
    struct mix_trainee *inner = probed_of(trainee)->inner;
    return inner->kind->test(inner, loss, se, poll, err);
}

static enum mix_status freeze(struct mix_trainee *trainee, struct mix_poll *poll,
                              struct mix_error *err)
{
    struct mix_trainee *inner = probed_of(trainee)->inner;
    return inner->kind->freeze(inner, poll, err);
}

static const struct mix_trainee_kind probed_kind = {
    .name = "probed",
    .destroy = destroy,
    .restart = restart,
    .train = train,
    .measure = measure,
    .test = test,
    .freeze = freeze,
};

static enum mix_status check(const struct mix_trainee *inner,
                             const struct mix_probe_options *options, struct mix_error *err)
{
    if ((inner->can & MIX_CAN_FORK) == 0)
        return mix_fail(err, MIX_EINVAL,
                        "the %s trainer cannot go back to a snapshot: it cannot be probed.",
                        inner->kind->name);
    for (size_t i = 1; i < options->n_points; i++)
        if (options->step[i] <= options->step[i - 1])
            return mix_fail(err, MIX_EINVAL, "a probe at step %llu behind step %llu.",
                            (unsigned long long)options->step[i],
                            (unsigned long long)options->step[i - 1]);
    return MIX_OK;
}

static double *copy_of(const double *from, size_t n)
{
    double *to = malloc((n > 0 ? n : 1) * sizeof *to);
    if (to != NULL && n > 0)
        memcpy(to, from, n * sizeof *to);
    return to;
}

enum mix_status mix_trainee_probed(struct mix_trainee *inner,
                                   const struct mix_probe_options *options,
                                   struct mix_trainee **out, const struct mix_probe **probe,
                                   struct mix_error *err)
{
    const size_t n = options->n_mixtures * inner->n_groups;
    const enum mix_status status = check(inner, options, err);
    if (status != MIX_OK)
        return status;
    struct probed *probed = calloc(1, sizeof *probed);
    if (probed == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a probe.");
    probed->head = *inner;
    probed->head.kind = &probed_kind;
    probed->head.can &= ~(unsigned)MIX_CAN_FORK; /* its points are of one run */
    probed->inner = inner;
    probed->options = *options;
    probed->options.mixture = probed->mixture = copy_of(options->mixture, n);
    probed->options.step = probed->step = calloc(options->n_points + 1, sizeof *probed->step);
    probed->probe.drop = calloc(options->n_points * n + 1, sizeof *probed->probe.drop);
    if (probed->mixture == NULL || probed->step == NULL || probed->probe.drop == NULL) {
        destroy(&probed->head);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a probe at %zu steps.",
                        options->n_points);
    }
    if (options->n_points > 0)
        memcpy(probed->step, options->step, options->n_points * sizeof *probed->step);
    *out = &probed->head;
    *probe = &probed->probe;
    return MIX_OK;
}

/* ---- a run and its points */

void mix_analysis_destroy(struct mix_analysis *analysis)
{
    if (analysis == NULL)
        return;
    free(analysis->points);
    free(analysis->optimal);
    free(analysis->own);
    free(analysis);
}

static struct mix_analysis *analysis_create(size_t n_groups, size_t n_points)
{
    const size_t n_entries = n_points * n_groups * n_groups;
    struct mix_analysis *analysis = calloc(1, sizeof *analysis);
    if (analysis == NULL)
        return NULL;
    analysis->n_groups = n_groups;
    analysis->points = calloc(n_points + 1, sizeof *analysis->points);
    analysis->optimal = calloc(n_entries + 1, sizeof *analysis->optimal);
    analysis->own = calloc(n_entries + 1, sizeof *analysis->own);
    if (analysis->points != NULL && analysis->optimal != NULL && analysis->own != NULL)
        return analysis;
    mix_analysis_destroy(analysis);
    return NULL;
}

static struct mix_law_quality mean_of(size_t m, const struct mix_law_quality *quality)
{
    struct mix_law_quality mean = {0};
    for (size_t i = 0; i < m; i++) {
        mean.mse += quality[i].mse / (double)m;
        mean.r2 += quality[i].r2 / (double)m;
    }
    return mean;
}

/* Point k from its drops; the work is (m) of either kind. */
static enum mix_status analyse_point(const struct mix_probe_options *o, const double *drop,
                                     const struct mix_trajectory *trajectory, size_t n_last,
                                     size_t k, double *d, struct mix_law_quality *quality,
                                     struct mix_analysis *analysis, struct mix_error *err)
{
    const size_t m = analysis->n_groups;
    struct mix_analysis_point *point = &analysis->points[k];
    double *optimal = analysis->optimal + k * m * m, *own = analysis->own + k * m * m;
    *point = (struct mix_analysis_point){
        .step = o->step[k], .own = {NAN, NAN}, .scale = NAN, .similarity = NAN};
    const enum mix_status status =
        mix_online_fit_linear(o->n_mixtures, m, o->mixture, drop, false, optimal, d, quality, err);
    if (status != MIX_OK)
        return status;
    point->linear = mean_of(m, quality);
    if (mix_online_matrix_at(trajectory, o->step[k], n_last, own)) {
        point->similarity = mix_online_similarity(m, own, optimal);
        mix_online_fit_scale(o->n_mixtures, m, o->mixture, drop, true, own, &point->scale, d,
                             quality);
        point->own = mean_of(m, quality);
    } else {
        for (size_t i = 0; i < m * m; i++)
            own[i] = NAN;
    }
    analysis->n_points = k + 1;
    return MIX_OK;
}

static enum mix_status analyse_points(const struct mix_probe_options *o,
                                      const struct mix_probe *probe,
                                      const struct mix_trajectory *trajectory, size_t n_last,
                                      struct mix_analysis *analysis, struct mix_error *err)
{
    const size_t m = analysis->n_groups;
    double *d = malloc(m * sizeof *d);
    struct mix_law_quality *quality = malloc(m * sizeof *quality);
    enum mix_status status = MIX_OK;
    if (d == NULL || quality == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the analysis of a run.");
    for (size_t k = 0; status == MIX_OK && k < probe->n_done; k++)
        status = analyse_point(o, probe->drop + k * o->n_mixtures * m, trajectory, n_last, k, d,
                               quality, analysis, err);
    free(d);
    free(quality);
    return status;
}

enum mix_status mix_online_analyse(struct mix_trainee *trainee, struct mix_mixer *mixer,
                                   const struct mix_probe_options *options, size_t n_last,
                                   struct mix_trajectory *trajectory, struct mix_analysis **out,
                                   struct mix_poll *poll, struct mix_error *err)
{
    struct mix_trainee *probed = NULL;
    const struct mix_probe *probe = NULL;
    struct mix_analysis *analysis = analysis_create(trainee->n_groups, options->n_points);
    if (analysis == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the analysis of a run.");
    enum mix_status status = mix_trainee_probed(trainee, options, &probed, &probe, err);
    if (status == MIX_OK)
        status = mix_online_steer(probed, mixer, trajectory, poll, err);
    if (status == MIX_OK)
        status = analyse_points(options, probe, trajectory, n_last, analysis, err);
    mix_trainee_destroy(probed);
    if (status == MIX_OK)
        *out = analysis;
    else
        mix_analysis_destroy(analysis);
    return status;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* skillit.c - Skill-It (Chen et al., arXiv 2307.14430): a graph of what training on one group alone
 * does to every loss,
 *
 *     G_ij = (L_i(start) - L_i(end; on j)) / L_i(start),
 *
 * and EGD over the last w evaluations, begun anew from uniform at every update:
 *
 *     p_j ~ exp(eta sum_i G_ij sum_{last w} L_i),     before the first evaluation exp(eta sum_i
 * G_ij).
 *
 * In the frame: A_ij = L_i G_ij. */
#include <stdlib.h>
#include <string.h>

#include "online/online_impl.h"

struct skillit {
    size_t n_updates; /* stretches of one mixture */
    size_t update;    /* handed out */
    size_t n_seen;    /* evaluations */
    double *graph;    /* (m,m) G */
    double *window;   /* (w,m) losses, evaluation n in row n mod w; 0 until then */
    double *score;    /* (m) */
};

static size_t plan(const struct mix_method_setup *setup, struct mix_static_run *runs)
{
    const size_t m = setup->n_groups;
    for (size_t j = 0; runs != NULL && j < m; j++) {
        for (size_t l = 0; l < m; l++)
            runs[j].mixture[l] = l == j ? 1.0 : 0.0;
        runs[j].n_steps = online_run_steps(setup, m);
    }
    return m;
}

static uint64_t extra_steps(const struct mix_method_setup *setup)
{
    return setup->n_groups * online_run_steps(setup, setup->n_groups);
}

static enum mix_status read_graph(const struct mix_mixer *mixer, struct mix_error *err)
{
    struct skillit *s = mixer->state;
    const size_t m = mixer->setup.n_groups;
    for (size_t j = 0; j < m; j++) {
        const struct mix_static_run *run = &mixer->setup.statics[j];
        if (run->mixture[j] != 1.0)
            return mix_fail(err, MIX_EINVAL,
                            "skillit: static run %zu is not on group %zu alone; give the runs of "
                            "its own plan",
                            j + 1, j + 1);
        for (size_t i = 0; i < m; i++) {
            if (!(run->loss_start[i] > 0.0))
                return mix_fail(err, MIX_EINVAL,
                                "skillit: the loss of group %zu at the start of static run %zu is "
                                "%g; it must be positive",
                                i + 1, j + 1, run->loss_start[i]);
            s->graph[i * m + j] = 1.0 - run->loss_end[i] / run->loss_start[i];
        }
    }
    return MIX_OK;
}

static enum mix_status create(struct mix_mixer *mixer, struct mix_error *err)
{
    struct skillit *s = mixer->state;
    const struct mix_method_options *options = &mixer->setup.options;
    const size_t m = mixer->setup.n_groups;
    s->n_updates = options->skillit_updates;
    if (s->n_updates > online_own_steps(mixer))
        return mix_fail(err, MIX_EINVAL,
                        "skillit: skillit_updates is %zu, but there are %llu steps; lower it",
                        s->n_updates, (unsigned long long)online_own_steps(mixer));
    s->graph = calloc(m * (m + options->skillit_window + 1), sizeof *s->graph);
    if (s->graph == NULL)
        return mix_fail(err, MIX_ENOMEM, "skillit: out of memory for %zu groups", m);
    s->window = s->graph + m * m;
    s->score = s->window + options->skillit_window * m;
    const enum mix_status status = read_graph(mixer, err);
    if (status != MIX_OK)
        return status;
    mix_column_sums(m, s->graph, s->score);
    online_uniform(m, mixer->mixture);
    mix_egd(m, mixer->mixture, s->score, options->skillit_eta);
    return MIX_OK;
}

static void destroy(struct mix_mixer *mixer)
{
    struct skillit *s = mixer->state;
    free(s->graph);
}

static bool next(struct mix_mixer *mixer, struct mix_segment *segment)
{
    struct skillit *s = mixer->state;
    if (s->update == s->n_updates)
        return false;
    segment->n_steps = online_piece(online_own_steps(mixer), s->n_updates, s->update++);
    segment->measure = s->update < s->n_updates ? MIX_MEASURE_LOSS : 0;
    memcpy(segment->mixture, mixer->mixture, mixer->setup.n_groups * sizeof *segment->mixture);
    return true;
}

static enum mix_status observe(struct mix_mixer *mixer, const struct mix_observation *seen,
                               struct mix_error *err)
{
    (void)err;
    struct skillit *s = mixer->state;
    const size_t m = mixer->setup.n_groups, w = mixer->setup.options.skillit_window;
    memcpy(s->window + s->n_seen++ % w * m, seen->loss, m * sizeof *seen->loss);
    for (size_t j = 0; j < m; j++) {
        s->score[j] = 0.0;
        for (size_t i = 0; i < m; i++) {
            mixer->matrix[i * m + j] = seen->loss[i] * s->graph[i * m + j];
            for (size_t t = 0; t < w; t++)
                s->score[j] += s->window[t * m + i] * s->graph[i * m + j];
        }
    }
    mixer->n_matrices++;
    online_uniform(m, mixer->mixture);
    mix_egd(m, mixer->mixture, s->score, mixer->setup.options.skillit_eta);
    return MIX_OK;
}

const struct mix_method mix_method_skillit = {
    .name = "skillit",
    .summary = "a graph from one run on each group alone, weighted by the losses now",
    .law = "linear, dynamic",
    .estimate = "L_i G_ij, G from m one-group runs",
    .update = "EGD over the last w evaluations",
    .kind = MIX_METHOD_DYNAMIC,
    .state_bytes = sizeof(struct skillit),
    .plan = plan,
    .create = create,
    .destroy = destroy,
    .next = next,
    .observe = observe,
    .extra_steps = extra_steps,
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doge.c - DoGE (Fan et al., arXiv 2310.15393): group weights of a proxy run that grow with how far
 * a group's gradient g_j points along that of the mean validation loss, v, both clipped to norm 1:
 *
 *     s_j = lr <g_j, v> / mean_l |g_l|   within [0, 5 lr],     alpha_j <- alpha_j exp(s_j / mu) /
 * sum.
 *
 * In the frame: A_ij = <gradient of i's validation loss, of j's training loss>, so that <g_j, v> is
 * m times less than a column sum. */
#include <math.h>

#include "online/online_impl.h"

static const double CLIP = 1.0;   /* of both gradients' norms */
static const double MOST = 5.0;   /* times the learning rate */
static const double SMALL = 1e-6; /* keeps the quotient finite where all gradients vanish */

static uint64_t steered_steps(const struct mix_method_setup *setup)
{
    return online_run_steps(setup, 1);
}

static bool next(struct mix_mixer *mixer, struct mix_segment *segment)
{
    return online_proxy_next(mixer, MIX_MEASURE_GRADIENT, segment);
}

static double clip_factor(double norm)
{
    return norm > CLIP ? CLIP / norm : 1.0;
}

static enum mix_status observe(struct mix_mixer *mixer, const struct mix_observation *seen,
                               struct mix_error *err)
{
    const struct online_proxy *proxy = mixer->state;
    const size_t m = mixer->setup.n_groups;
    const double rate = seen->learning_rate;
    if (!(rate >= 0.0 && isfinite(rate)))
        return mix_fail(err, MIX_ENUMERIC,
                        "doge: the learning rate at step %llu is %g; the trainer must say it, 0 or "
                        "more",
                        (unsigned long long)seen->step, rate);
    double mean_norm = 0.0;
    for (size_t j = 0; j < m; j++)
        mean_norm += fmin(seen->train_norm[j], CLIP) / (double)m;
    for (size_t e = 0; e < m * m; e++)
        mixer->matrix[e] = seen->alignment[e];
    mix_column_sums(m, mixer->matrix, proxy->exponent);
    for (size_t j = 0; j < m; j++) {
        const double along = proxy->exponent[j] / (double)m * clip_factor(seen->train_norm[j]) *
                             clip_factor(seen->validation_norm);
        const double score = rate * along / (mean_norm + SMALL);
        proxy->exponent[j] = fmin(fmax(score, 0.0), MOST * rate) / mixer->setup.options.doge_mu;
    }
    online_proxy_update(mixer, mixer->setup.options.doge_smoothing);
    return MIX_OK;
}

const struct mix_method mix_method_doge = {
    .name = "doge",
    .summary = "group weights of a proxy run, by the alignment of gradients",
    .law = "linear, dynamic",
    .estimate = "inner products of validation and training gradients",
    .update = "EGD each step; mean over the run",
    .kind = MIX_METHOD_PROXY,
    .needs = MIX_CAN_WEIGHT | MIX_CAN_GRADIENT,
    .state_bytes = sizeof(struct online_proxy),
    .steered_steps = steered_steps,
    .create = online_proxy_create,
    .destroy = online_proxy_destroy,
    .next = next,
    .observe = observe,
    .result = online_proxy_result,
    .extra_steps = steered_steps,
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doremi.c - DoReMi (Xie et al., arXiv 2305.10429): group weights of a proxy run that grow with its
 * excess loss over a reference model trained on the uniform mixture,
 *
 *     e_i = max(l_i - r_i, 0),   alpha_i <- alpha_i exp(mu e_i) / sum,   then (1 - c) alpha + c /
 * m.
 *
 * In the frame: A is diagonal, A_ii = e_i. */
#include <math.h>

#include "online/online_impl.h"

/* Reference and proxy. */
static uint64_t steered_steps(const struct mix_method_setup *setup)
{
    return online_run_steps(setup, 2);
}

static uint64_t extra_steps(const struct mix_method_setup *setup)
{
    return 2 * steered_steps(setup);
}

static bool next(struct mix_mixer *mixer, struct mix_segment *segment)
{
    return online_proxy_next(mixer, MIX_MEASURE_EXCESS, segment);
}

static enum mix_status observe(struct mix_mixer *mixer, const struct mix_observation *seen,
                               struct mix_error *err)
{
    (void)err;
    const struct online_proxy *proxy = mixer->state;
    const size_t m = mixer->setup.n_groups;
    for (size_t i = 0; i < m; i++) {
        const double excess = fmax(seen->train_loss[i] - seen->reference_loss[i], 0.0);
        mixer->matrix[i * m + i] = excess; /* the others stay 0 */
        proxy->exponent[i] = mixer->setup.options.doremi_rate * excess;
    }
    online_proxy_update(mixer, mixer->setup.options.doremi_smoothing);
    return MIX_OK;
}

const struct mix_method mix_method_doremi = {
    .name = "doremi",
    .summary = "group weights of a proxy run, by its excess loss over a reference run",
    .law = "linear, dynamic, diagonal",
    .estimate = "excess loss of the proxy over a reference",
    .update = "EGD each step, smoothed; mean over the run",
    .kind = MIX_METHOD_PROXY,
    .needs = MIX_CAN_WEIGHT | MIX_CAN_REFERENCE,
    .state_bytes = sizeof(struct online_proxy),
    .steered_steps = steered_steps,
    .create = online_proxy_create,
    .destroy = online_proxy_destroy,
    .next = next,
    .observe = observe,
    .result = online_proxy_result,
    .extra_steps = extra_steps,
};

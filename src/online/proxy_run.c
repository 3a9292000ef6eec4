/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proxy_run.c - the run that doremi and doge learn from: groups are sampled evenly and the losses
 * are weighted by m alpha, so that the gradient is sum_j alpha_j (that of group j). alpha moves
 * before every step, or every few; its mean over all steps is the answer. */
#include <math.h>
#include <stdlib.h>

#include "online/online_impl.h"

enum mix_status online_proxy_create(struct mix_mixer *mixer, struct mix_error *err)
{
    struct online_proxy *proxy = mixer->state;
    const size_t m = mixer->setup.n_groups;
    proxy->sum = calloc(2 * m, sizeof *proxy->sum);
    if (proxy->sum == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: out of memory for %zu groups", mixer->method->name,
                        m);
    proxy->exponent = proxy->sum + m;
    online_uniform(m, mixer->mixture);
    return MIX_OK;
}

void online_proxy_destroy(struct mix_mixer *mixer)
{
    struct online_proxy *proxy = mixer->state;
    free(proxy->sum);
}

/* Steps from here to the next update, or to the end. */
static uint64_t stretch(const struct mix_mixer *mixer)
{
    const uint64_t left = mixer->n_steps - mixer->step;
    const uint64_t every = mixer->setup.options.proxy_every;
    return left < every ? left : every;
}

bool online_proxy_next(struct mix_mixer *mixer, unsigned measure, struct mix_segment *segment)
{
    struct online_proxy *proxy = mixer->state;
    const size_t m = mixer->setup.n_groups;
    online_uniform(m, segment->mixture);
    if (proxy->begun && mixer->step == mixer->n_steps)
        return false;
    if (proxy->begun)
        segment->n_steps = stretch(mixer);
    proxy->begun = true;
    segment->weighted = segment->n_steps > 0;
    for (size_t j = 0; j < m; j++)
        segment->weight[j] = (double)m * mixer->mixture[j];
    segment->measure = mixer->step + segment->n_steps < mixer->n_steps ? measure : 0;
    return true;
}

void online_proxy_update(struct mix_mixer *mixer, double smoothing)
{
    struct online_proxy *proxy = mixer->state;
    const size_t m = mixer->setup.n_groups;
    const double n = (double)stretch(mixer);
    const double keep = pow(1.0 - smoothing, n);
    mix_egd(m, mixer->mixture, proxy->exponent, n);
    for (size_t j = 0; j < m; j++) {
        mixer->mixture[j] = keep * mixer->mixture[j] + (1.0 - keep) / (double)m;
        proxy->sum[j] += n * mixer->mixture[j];
    }
    proxy->n_steps += stretch(mixer);
    mixer->n_matrices++;
}

enum mix_status online_proxy_result(struct mix_mixer *mixer, double *mixture, struct mix_error *err)
{
    const struct online_proxy *proxy = mixer->state;
    if (proxy->n_steps < mixer->n_steps)
        return mix_fail(err, MIX_EINVAL,
                        "%s: its proxy run has %llu of %llu steps; its mixture is known at the end",
                        mixer->method->name, (unsigned long long)proxy->n_steps,
                        (unsigned long long)mixer->n_steps);
    for (size_t j = 0; j < mixer->setup.n_groups; j++)
        mixture[j] = proxy->sum[j] / (double)proxy->n_steps;
    return MIX_OK;
}

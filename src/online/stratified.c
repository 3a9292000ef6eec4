/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stratified.c - every group the same share: what all others are compared with. */
#include "online/online_impl.h"

static enum mix_status result(struct mix_mixer *mixer, double *mixture, struct mix_error *err)
{
    (void)err;
    online_uniform(mixer->setup.n_groups, mixture);
    return MIX_OK;
}

static uint64_t extra_steps(const struct mix_method_setup *setup)
{
    (void)setup;
    return 0;
}

const struct mix_method mix_method_stratified = {
    .name = "stratified",
    .summary = "the uniform mixture",
    .law = "none",
    .estimate = "none",
    .update = "none",
    .kind = MIX_METHOD_STATIC,
    .result = result,
    .extra_steps = extra_steps,
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grid.c - the best mixture of a sweep of static runs, by the mean loss over groups at the end. */
#include <math.h>
#include <string.h>

#include "online/online_impl.h"

static enum mix_status result(struct mix_mixer *mixer, double *mixture, struct mix_error *err)
{
    (void)err;
    const size_t m = mixer->setup.n_groups;
    double least = INFINITY;
    for (size_t r = 0; r < mixer->setup.n_static; r++) {
        const struct mix_static_run *run = &mixer->setup.statics[r];
        double sum = 0.0;
        for (size_t i = 0; i < m; i++)
            sum += run->loss_end[i];
        if (sum < least) {
            least = sum;
            memcpy(mixture, run->mixture, m * sizeof *mixture);
        }
    }
    return MIX_OK;
}

const struct mix_method mix_method_grid = {
    .name = "grid",
    .summary = "the best of a sweep of static mixtures",
    .law = "none",
    .estimate = "static runs",
    .update = "least mean loss of the sweep",
    .kind = MIX_METHOD_STATIC,
    .plan = online_sweep,
    .result = result,
    .extra_steps = online_sweep_steps,
};

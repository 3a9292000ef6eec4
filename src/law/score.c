/* SPDX-License-Identifier: GPL-3.0-or-later */
/* score.c - benchmark scores behind the losses of a law; see score.h. */
#include "score.h"

#include <math.h>
#include <stdio.h>

#include "mixsweep/table.h"

double score_rise(size_t n_losses, const double *params, const double *loss)
{
    double z = params[SCORE_U];
    for (size_t i = 0; i < n_losses; i++)
        z -= params[SCORE_S + i] != 0.0 ? params[SCORE_S + i] * loss[i] : 0.0;
    return 1.0 / (1.0 + exp(-z));
}

void scores_from_losses(size_t n_losses, size_t n_scores, const double *params, double *loss)
{
    for (size_t m = 0; m < n_scores; m++) {
        const double *of = params + m * score_params(n_losses);
        loss[n_losses + m] =
            of[SCORE_LO] + (of[SCORE_HI] - of[SCORE_LO]) * score_rise(n_losses, of, loss);
    }
}

void score_slopes(size_t n_losses, size_t n_scores, const double *params, const double *loss,
                  size_t n_domains, double *slope)
{
    for (size_t m = 0; m < n_scores; m++) {
        const double *of = params + m * score_params(n_losses);
        const double rise = score_rise(n_losses, of, loss);
        const double steep = (of[SCORE_HI] - of[SCORE_LO]) * rise * (1.0 - rise);
        double *out = slope + (n_losses + m) * n_domains;
        for (size_t j = 0; j < n_domains; j++) {
            out[j] = 0.0;
            for (size_t i = 0; i < n_losses; i++)
                out[j] -= steep * of[SCORE_S + i] * slope[i * n_domains + j];
        }
    }
}

void score_param_name(size_t p, const char *score, const char *const *losses, char *name,
                      char *unit)
{
    static const char *const symbols[] = {"lo", "hi", "u"};
    if (p < SCORE_S)
        snprintf(name, 2 * MIX_NAME_MAX, "%s[%s]", symbols[p], score);
    else
        snprintf(name, 2 * MIX_NAME_MAX, "s[%.60s,%.60s]", score, losses[p - SCORE_S]);
    snprintf(unit, MIX_UNIT_MAX, "%s", p < SCORE_U ? "score" : p == SCORE_U ? "1" : "1/loss");
}

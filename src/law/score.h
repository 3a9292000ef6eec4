/* SPDX-License-Identifier: GPL-3.0-or-later */
/* score.h - benchmark scores behind the losses of a law; see mixsweep/law.h. Private to law/ and
 * fit/.
 *
 * Shapes: I losses, S scores, K domains. Parameters (S, 3 + I): lo, hi, u, s_1 .. s_I of each.
 */
#ifndef MIXSWEEP_LAW_SCORE_H
#define MIXSWEEP_LAW_SCORE_H

#include <stddef.h>

enum { SCORE_LO, SCORE_HI, SCORE_U, SCORE_S };

/** Parameters of one score. */
static inline size_t score_params(size_t n_losses)
{
    return SCORE_S + n_losses;
}

/** 1 / (1 + exp(-z)) at z = u - sum_i s_i L_i. */
double score_rise(size_t n_losses, const double *params, const double *loss);

/** loss (I + S): from the losses in front the scores behind them. */
void scores_from_losses(size_t n_losses, size_t n_scores, const double *params, double *loss);

/** The same of derivatives, slope (I + S, K), at the losses (I). */
void score_slopes(size_t n_losses, size_t n_scores, const double *params, const double *loss,
                  size_t n_domains, double *slope);

/** Name and unit of parameter p of a score; see mix_model_param_name(). `losses` (I) are names. */
void score_param_name(size_t p, const char *score, const char *const *losses, char *name,
                      char *unit);

#endif

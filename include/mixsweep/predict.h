/* SPDX-License-Identifier: GPL-3.0-or-later */
/* predict.h - a stored fit on runs it has not seen, or on one mixture. */
#ifndef MIXSWEEP_PREDICT_H
#define MIXSWEEP_PREDICT_H

#include "mixsweep/fit.h"
#include "mixsweep/optimum.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Score of the runs of one size and length. */
struct mix_prediction_scale {
    double n_params, n_tokens; /* in parameters and tokens */
    struct mix_metrics metrics;
};

/** Predictions for a table of runs. Owns its arrays; free with mix_prediction_destroy(). */
struct mix_prediction {
    size_t n_rows, n_targets; /* R rows of the table; M targets of the fit */
    double *predicted;        /* (R,M) */
    size_t n_scored;          /* targets of the fit that the table measures; 0: nothing to score */
    size_t n_ignored;         /* targets of the table that the fit does not know */
    uint8_t *measured;        /* (M) 1 = scored */
    struct mix_metrics all;
    struct mix_metrics *by_target; /* (M) n = 0 where not measured */
    size_t n_scales;
    struct mix_prediction_scale *by_scale; /* (n_scales) by size, then tokens */
};

/**
 * Predict the losses of every row, and score them where the table has losses. Domains and targets
 * are matched by name in any order; the fit's mask_below holds. Local.
 *
 * @param fit    the fit
 * @param table  runs; excluded and failed ones are predicted, not scored
 * @param out    out: the predictions
 * @return MIX_OK; MIX_EINVAL a domain of the fit is missing or one of the table is unknown to it
 * (sentence names it), or a row has N < H; MIX_ENOMEM
 */
enum mix_status mix_predict_table(const struct mix_fit *fit, const struct mix_table *table,
                                  struct mix_prediction **out, struct mix_error *err);
void mix_prediction_destroy(struct mix_prediction *prediction);

/** Intervals of the weighted mean loss of runs, over the targets that the table measures (all of
 * the fit's where it measures none). Owns its array. */
struct mix_prediction_intervals {
    struct mix_interval *mean; /* (R) of what a run shows */
    size_t n, n_covered;       /* runs with a mean loss, and those whose interval holds it */
};

/**
 * Interval of each row: percentiles over the draws, and in quadrature the residual of the runs
 * behind the fit where it is known. Rows are those of mix_predict_table(). Local.
 *
 * @param draws  of the fit
 * @param out    out: free with mix_prediction_intervals_clear()
 * @return as mix_predict_table(); MIX_EINVAL also where the draws are of another fit
 */
enum mix_status mix_predict_intervals(const struct mix_fit *fit, const struct mix_draws *draws,
                                      const struct mix_table *table, double level,
                                      struct mix_prediction_intervals *out, struct mix_error *err);
void mix_prediction_intervals_clear(struct mix_prediction_intervals *intervals);

/**
 * Interval of each loss of each row over the draws, as mix_predict_mixture() has it. Rows are those
 * of mix_predict_table(). Local.
 *
 * @param draws  of the fit
 * @param out    (R,M) out: M targets of the fit; draws that have no answer for a row do not count
 * @return as mix_predict_table(); MIX_EINVAL also where the draws are of another fit
 */
enum mix_status mix_predict_losses(const struct mix_fit *fit, const struct mix_draws *draws,
                                   const struct mix_table *table, double level,
                                   struct mix_interval *out, struct mix_error *err);

/** Losses of one mixture at one scale. Owns its array. */
struct mix_forecast {
    struct mix_interval objective; /* weighted mean loss; ends over the draws */
    struct mix_interval *loss;     /* (M) */
    size_t n_draws;                /* draws behind the intervals; 0: their ends are NaN */
};

/**
 * Predict one mixture, with intervals over the draws. Local.
 *
 * @param draws     of the fit, or NULL
 * @param mixture   (K) sums to 1
 * @param n_params  in parameters
 * @param n_tokens  in tokens
 * @param level     of the intervals
 * @param out       out: free with mix_forecast_clear()
 * @return MIX_OK; MIX_EINVAL N < H, or the draws are of another fit; MIX_ENOMEM
 */
enum mix_status mix_predict_mixture(const struct mix_fit *fit, const struct mix_draws *draws,
                                    const double *mixture, double n_params, double n_tokens,
                                    double level, struct mix_forecast *out, struct mix_error *err);
void mix_forecast_clear(struct mix_forecast *forecast);

#ifdef __cplusplus
}
#endif
#endif

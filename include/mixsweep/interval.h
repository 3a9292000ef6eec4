/* SPDX-License-Identifier: GPL-3.0-or-later */
/* interval.h - how far the figures of a fit may be off.
 *
 * Two intervals over bootstrap draws: percentiles, and the BCa interval of Efron ("Better bootstrap
 * confidence intervals", JASA 82, 1987), which takes percentiles at other levels:
 *
 *     p(z) = Phi(z0 + (z0 + z) / (1 - a (z0 + z))),    z = -+ quantile of (1 + level) / 2
 *     z0 = quantile of the share of draws below the estimate (half of those equal to it)
 *     a  = sum d^3 / (6 (sum d^2)^(3/2)),  d = mean of the jackknife's figures - each of them
 *
 * Both know what resampling of mixtures knows. An error budget puts beside it what they do not:
 * noise of the seed, choice of the law, extrapolation across scale.
 */
#ifndef MIXSWEEP_INTERVAL_H
#define MIXSWEEP_INTERVAL_H

#include "mixsweep/fit.h"
#include "mixsweep/optimum.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A figure with both intervals. Ends of `percentile` are NaN without draws, those of `bca` also
 * without a jackknife. */
struct mix_intervals {
    struct mix_interval percentile, bca;
};

/**
 * Both intervals of a figure.
 *
 * @param value   the figure of the fit
 * @param draws   (n) of the draws, NaN = none; is sorted
 * @param left    (n_left) of the jackknife's refits, NaN = none
 * @param level   0.9
 */
struct mix_intervals mix_intervals_over_draws(double value, size_t n, double *draws, size_t n_left,
                                              const double *left, double level);

/** MIX_EINVAL where the draws are of another fit (sentence says what to do). */
enum mix_status mix_draws_check(const struct mix_fit *fit, const struct mix_draws *draws,
                                struct mix_error *err);

/**
 * The parameters of a fit. Local.
 *
 * @param out  (P) out
 * @return MIX_OK; MIX_EINVAL the draws are of another fit; MIX_ENOMEM
 */
enum mix_status mix_intervals_params(const struct mix_fit *fit, const struct mix_draws *draws,
                                     double level, struct mix_intervals *out,
                                     struct mix_error *err);

/**
 * The losses of a mixture and their weighted mean. Local.
 *
 * @param weight    (M) of the mean; NULL = those of the fit
 * @param mixture   (K) sums to 1
 * @param n_params  in parameters
 * @param n_tokens  in tokens
 * @param out       (M + 1) out: the last is the mean
 * @return MIX_OK; MIX_EINVAL N < H, or the draws are of another fit; MIX_ENOMEM
 */
enum mix_status mix_intervals_predict(const struct mix_fit *fit, const struct mix_draws *draws,
                                      const double *weight, const double *mixture, double n_params,
                                      double n_tokens, double level, struct mix_intervals *out,
                                      struct mix_error *err);

/** The same for what `mixture` gains over `other`: out (M + 1) losses of `other` - of `mixture`. */
enum mix_status mix_intervals_gain(const struct mix_fit *fit, const struct mix_draws *draws,
                                   const double *weight, const double *mixture, const double *other,
                                   double n_params, double n_tokens, double level,
                                   struct mix_intervals *out, struct mix_error *err);

/**
 * Collective. The rolling origin: fit the law to the runs of up to each size but the largest (two
 * sizes at least), predict all later scales. Sets draws->origins and draws->residual.
 *
 * @param draws  on rank 0; NULL elsewhere
 * @return MIX_OK; MIX_EINTERRUPTED; MIX_EINVAL the runs have changed; MIX_ENOMEM
 */
enum mix_status mix_rolling_origin_run(struct mix_ranks *ranks, const struct mix_table *table,
                                       const struct mix_fit *fit, struct mix_draws *draws,
                                       struct mix_error *err);

/**
 * Collective. What belongs to a finished bootstrap: its jackknife and its rolling origin, as far as
 * `draws` does not have them.
 *
 * @param log_dir  folder of the logs, or NULL
 * @return as mix_jackknife_run() and mix_rolling_origin_run()
 */
enum mix_status mix_bootstrap_complete(struct mix_ranks *ranks, const struct mix_table *table,
                                       const struct mix_fit *fit, struct mix_draws *draws,
                                       const char *log_dir, struct mix_error *err);

/**
 * Standard deviation between seeds of one mixture at one scale, of the weighted mean loss relative
 * to itself: pooled over the mixtures with replicates at the largest size (then length) that has
 * any.
 *
 * @param sd  out: NaN = not measured
 * @param n   out: replicates beyond the first of each mixture
 */
enum mix_status mix_seed_noise(const struct mix_table *table, const struct mix_fit *fit,
                               const double *weight, double *sd, size_t *n, struct mix_error *err);

/** What a law does not look at, though it is asked for another value of it than was fitted. */
enum { MIX_BLIND_TO_SIZE = 1, MIX_BLIND_TO_TOKENS = 2 };

/** Of a fit asked for a mixture at a scale: bits of the above, 0 = it is not blind. The losses of a
 * blind law are those of the runs that it was fitted to, whatever the target. */
unsigned mix_fit_blind(const struct mix_fit *fit, const double *mixture, double n_params,
                       double n_tokens);

/** Where the error of a predicted mean loss comes from, as standard deviations in its unit. NaN =
 * not known. */
struct mix_error_budget {
    double value;       /* weighted mean loss */
    double resampling;  /* over the draws, half the width of their middle 68%: which mixtures were
                           run, and their noise */
    double seed;        /* between runs of one mixture; of a single run at the target */
    double fit;         /* what runs are off the law beyond seed noise, as draws->residual says;
                           where that noise is not measured it is in here; NaN without draws */
    double law;         /* between the laws fitted to the same targets */
    double scale;       /* extrapolation, from the rolling origin; of a law blind to what is
                           extrapolated NaN */
    double total;       /* of those that are known, added in quadrature; NaN where no part is
                           above 0 */
    double least, most; /* what `value` can be at all: of scores the ends of their links, else
                           infinite */
    size_t n_draws, n_replicates, n_laws, n_origins; /* behind each */
    double reach;   /* log-distance in (N, D) from the largest fitted scale to the target, over the
                       longest that the rolling origin, or else the held-out size, has tested; 0
                       within, NaN   where none is tested */
    unsigned blind; /* see mix_fit_blind() */
    bool stacked;   /* laws are weighed by the stack of a comparison; else by 1 / mse */
};

/**
 * Weights of laws in a choice of law, sum 1: those in the stack of a comparison (mix_fit.stacked)
 * where it has the fit's law and one of the others, else 1 / mse of the first hold-out where all
 * were held out the same way, else of the runs. Of the others count those of other laws on the same
 * runs and targets, each law once, and none that answers for the scale of the runs where `fit` does
 * not.
 *
 * @param weight  (n_others + 1) out: of the others, 0 = does not count; behind them of `fit`
 * @return whether they are of a stack
 */
bool mix_law_weights(const struct mix_fit *fit, size_t n_others,
                     const struct mix_fit *const *others, const double *mixture, double n_params,
                     double n_tokens, double *weight);

/**
 * The error budget of a mixture at a scale. Local.
 *
 * Scale: with d = sqrt(ln(N/N0)^2 + ln(D/D0)^2), where a factor below 1 counts as 1, the relative
 * error is k d, with k^2 the mean over the steps of the rolling origin of e^2 / d^2, e^2 the
 * largest of rms^2 - residual^2 - spread^2, bias^2 - residual^2 / runs - spread^2 and 0; without a
 * rolling origin k is that of the fit's held-out size, scale_error / ln(scale_factor). Law: root
 * mean square distance of what the laws say, `fit` among them, from what `fit` says, by
 * mix_law_weights().
 *
 * @param table     the runs, for replicates
 * @param draws     of `fit`, or NULL
 * @param others    (n_others) fits of the same file; `fit` may be among them
 * @param weight    (M) of the mean; NULL = those of the fit
 * @return MIX_OK; MIX_EINVAL N < H, or the draws are of another fit; MIX_ENOMEM
 */
enum mix_status mix_error_budget_compute(const struct mix_table *table, const struct mix_fit *fit,
                                         const struct mix_draws *draws, size_t n_others,
                                         const struct mix_fit *const *others, const double *weight,
                                         const double *mixture, double n_params, double n_tokens,
                                         struct mix_error_budget *out, struct mix_error *err);

/** The same of the loss of one target, from the budget of the mean loss there. Scale: that of the
 * mean, relative to the loss, times how much larger the relative error of the target was on the
 * held-out size (rms); not known where no size was held out. Fit: by the mean relative error of its
 * runs. No resampling, no total. */
enum mix_status mix_error_budget_target(const struct mix_table *table, const struct mix_fit *fit,
                                        size_t n_others, const struct mix_fit *const *others,
                                        const double *weight, size_t target, const double *mixture,
                                        double n_params, double n_tokens,
                                        const struct mix_error_budget *mean,
                                        struct mix_error_budget *out, struct mix_error *err);

/** The same of what `mixture` gains over `other` in mean loss. No seed noise, as it is of expected
 * losses; scale: relative to the mean loss k d with k^2 the mean over the steps of the rolling
 * origin of 2 (rms^2 - bias^2 - noise^2) / d^2, the errors of two mixtures without what they share,
 * noise that of the seed, or the residual where that is not measured; without a rolling origin that
 * of the held-out size. */
enum mix_status mix_error_budget_gain(const struct mix_fit *fit, const struct mix_draws *draws,
                                      size_t n_others, const struct mix_fit *const *others,
                                      const double *weight, const double *mixture,
                                      const double *other, double n_params, double n_tokens,
                                      const struct mix_error_budget *mean,
                                      struct mix_error_budget *out, struct mix_error *err);

/** Standard deviation of the sources beside resampling, in quadrature: NaN where none is known, but
 * 0 where there are draws (`drawn`) and nothing is extrapolated. */
double mix_error_budget_other(const struct mix_error_budget *budget, bool drawn);

/** Widen an interval over draws by the other sources: each half becomes sqrt(half^2 + (z s)^2), s^2
 * the sum of their known squares; where the interval has no ends, z s alone. NaN ends where no
 * other source is known, but for scales within the fitted, where the interval stays. Of scores it
 * is cut at the ends of their links, unless the draws go beyond. */
struct mix_interval mix_error_budget_widen(const struct mix_error_budget *budget,
                                           struct mix_interval over_draws, double level);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum.h - the mixture with the least weighted loss at a target scale, with intervals over
 * bootstrap draws.
 *
 *     min_h  F(h) = sum_m w_m L_m(h, N*, D*) / sum_m w_m     s.t.  sum_j h_j = 1,  lower_j <= h_j
 * <= upper_j
 *
 * Multi-start: spectral projected gradient with the laws' exact derivative, then Newton on the free
 * shares; then each domain in turn is left out, starved and fed. The certificate is the KKT
 * residual g max_j |h_j - P(h - dF/dh / g)_j|, P the projection onto the constraints and g the
 * largest slope of the shares between their bounds: 0 at an optimum, and for a share between its
 * bounds |dF/dh_j - nu|, in units of loss. Where the optimum sits on a kink of the law (a domain
 * starts to get capacity above H), dF/dh is the combination of the gradients on its sides nearest
 * to such a 0.
 */
#ifndef MIXSWEEP_OPTIMUM_H
#define MIXSWEEP_OPTIMUM_H

#include "mixsweep/fit.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A value with its interval over the draws. */
struct mix_interval {
    double value, lo, hi;
};

/** What is asked. Arrays are borrowed. */
struct mix_optimum_options {
    const char *name;          /* of the result; NULL = the fit's name */
    double n_params;           /* N* in parameters */
    double n_tokens;           /* D* in tokens */
    const double *weight;      /* (M) target weights; NULL = those of the fit */
    const double *lower;       /* (K) floors; NULL = 1e-4 each */
    const double *upper;       /* (K) caps; NULL = 1 each */
    const double *baseline;    /* (K) mixture to compare with; NULL = uniform */
    const char *baseline_name; /* "uniform", "prior", or a file's name */
    double level;              /* of intervals; 0.9 */
    uint64_t seed;             /* of the extra starts */
    size_t n_starts;           /* 32 */
};

enum { MIX_GAINS = 3 }; /* over baseline, uniform, best observed mixture */
extern const char *const mix_gain_names[MIX_GAINS]; /* "baseline", "uniform", "best_observed" */

/** The answer as stored. Owns its arrays. */
struct mix_optimum {
    char name[MIX_NAME_MAX];
    char fit[MIX_NAME_MAX];
    char law[MIX_UNIT_MAX];
    char baseline_name[MIX_NAME_MAX];
    struct mix_key fit_key;
    size_t n_domains, n_targets, n_draws; /* K, M, B (0 = no bootstrap: intervals are NaN) */
    char (*domains)[MIX_NAME_MAX];
    char (*targets)[MIX_NAME_MAX];
    double n_params, n_tokens, level;
    double *weight;        /* (M) */
    double *lower;         /* (K) */
    double *upper;         /* (K) */
    double *prior;         /* (K) NaN = unknown */
    double *baseline;      /* (K) */
    double *seen_max;      /* (K) largest observed share */
    double *best_observed; /* (K) mixture with the least mean observed loss at the largest observed
                              scale */
    double *mixture;       /* (K) the optimum */
    double *mixture_lo, *mixture_hi; /* (K) quantiles of the draws' own optima */
    double *
        tied; /* (K) the mixture nearest the baseline that the draws cannot tell from the optimum */
    uint8_t *binding;              /* (K) 0 = interior, 1 = on its floor, 2 = on its cap */
    struct mix_interval objective; /* resampling only */
    struct mix_interval
        objective_wide;        /* widened by the fit's scale_error; NaN where that is unknown */
    struct mix_interval *loss; /* (M) */
    struct mix_interval gain[MIX_GAINS]; /* loss of the other mixture minus loss of the optimum */
    double p_better[MIX_GAINS];          /* share of draws in which the gain is positive */
    double tied_loss;                    /* predicted objective at `tied` */
    double kkt;                          /* certificate: largest KKT residual */
    size_t n_starts, n_at_best;
    double hull_distance; /* largest share difference to the nearest convex combination of observed
                             mixtures */
    double extrapolation_n, extrapolation_d; /* N* / largest fitted N, D* / largest fitted D */
    double *draw_mixture;                    /* (B,K) optimum of each draw; NULL where B = 0 */
    char warnings[4 * MIX_TEXT_MAX];         /* one a line */
};

struct mix_optimum *mix_optimum_create(size_t n_domains, size_t n_targets, size_t n_draws);
void mix_optimum_destroy(struct mix_optimum *optimum);

/**
 * Find the optimum. Collective where `ranks` has several (draws are tasks); the result is set on
 * rank 0.
 *
 * @param ranks    NULL = this process alone
 * @param table    the runs (observed mixtures); on all ranks
 * @param fit      the fit; on all ranks
 * @param draws    its bootstrap draws, or NULL; on all ranks
 * @return MIX_OK; MIX_EINVAL infeasible constraints (sentence names a conflicting pair or sum and a
 * remedy), N* < H, unknown sizes
 */
enum mix_status mix_optimum_run(struct mix_ranks *ranks, const struct mix_table *table,
                                const struct mix_fit *fit, const struct mix_draws *draws,
                                const struct mix_optimum_options *options, struct mix_optimum **out,
                                struct mix_error *err);

/**
 * Interval of a figure over draws: quantiles of type 7 at (1 - level)/2 and (1 + level)/2 of the
 * finite ones; NaN where there are none.
 *
 * @param draws  (n) is sorted
 */
struct mix_interval mix_interval_over_draws(double value, size_t n, double *draws, double level);

/**
 * Widen an interval of a mean loss by what the law missed at the held-out size: with
 * s = scale_error * max(1, ln(N* / N_max) / ln(scale_factor)) of the fit and z the normal quantile
 * of (1 + level)/2, each half of the interval becomes sqrt(half^2 + (z s value)^2).
 * NaN where the fit knows no scale_error; where `draws` has no ends, the held-out part alone.
 *
 * @param n_params  N* in parameters
 */
struct mix_interval mix_interval_widen(const struct mix_fit *fit, double n_params, double level,
                                       struct mix_interval draws);

/**
 * Least squared distance of a mixture to the convex hull of (R,K) mixtures, as the largest share
 * difference to the nearest point (0 inside).
 */
double mix_hull_distance(size_t n_rows, size_t n_domains, const double *mixtures,
                         const double *mixture);

/** Euclidean projection of v (K) onto {sum = 1, lower <= h <= upper}; NULL bounds are 0 and 1. In
 * place. */
void mix_simplex_project(size_t n, double *v, const double *lower, const double *upper);

#ifdef __cplusplus
}
#endif
#endif

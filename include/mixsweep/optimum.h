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
 *
 * F is the mean of losses, the mean of loss ratios to the baseline's, or the largest of either
 * (enum mix_goal). The upper bounds are caps, token supply and largest observed shares, whichever
 * is least; they and the floors live in the projection. Losses no worse than the baseline's, a
 * distance to the baseline, and the largest of several losses are terms of an augmented Lagrangian,
 * whose multipliers join the KKT certificate and are the shadow prices.
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

/** What is minimised: over the targets with a weight. */
enum mix_goal {
    MIX_GOAL_MEAN,       /* weighted mean loss */
    MIX_GOAL_WORST,      /* the largest loss; a weight says only that the target counts */
    MIX_GOAL_MEAN_GAIN,  /* weighted mean of loss / loss of the baseline */
    MIX_GOAL_WORST_GAIN, /* the largest loss / loss of the baseline */
    MIX_GOALS
};
extern const char *const mix_goal_names[MIX_GOALS]; /* "mean", "worst", "mean-gain", "worst-gain" */

/** How far a mixture h is from the baseline b. */
enum mix_distance {
    MIX_DISTANCE_NONE,
    MIX_DISTANCE_TV, /* total variation: half the sum of |h_j - b_j| */
    MIX_DISTANCE_KL  /* sum of h_j ln(h_j / b_j) */
};

/** Parse "tv=0.2" or "kl=0.05", "baseline:" before it or not; false where the text is neither, the
 * radius not above 0, or that of tv above 1. */
bool mix_near_parse(const char *text, enum mix_distance *distance, double *radius);

/** What is asked. Arrays and texts are borrowed. */
struct mix_optimum_options {
    const char *name;          /* of the result; NULL = the fit's name */
    double n_params;           /* N* in parameters */
    double n_tokens;           /* D* in tokens */
    const double *weight;      /* (M) target weights; NULL = as mix_goal_fill_weights() says */
    const double *lower;       /* (K) floors; NULL = 1e-4 each */
    const double *upper;       /* (K) caps; NULL = 1 each */
    const double *baseline;    /* (K) mixture to compare with; NULL = uniform */
    const char *baseline_name; /* "uniform", "prior", or a file's name */
    double level;              /* of intervals; 0.9 */
    uint64_t seed;             /* of the extra starts */
    size_t n_starts;           /* 32 */
    const double *supply; /* (K) tokens there are, NaN = unlimited; NULL = what the table says */
    double max_epochs;    /* a domain is seen at most so often at D*; 0 = supply does not bind, but
                             where the law has repetition passes are worth less and less */
    bool within_support;  /* no share above the largest observed */
    enum mix_goal goal;
    const char *no_worse; /* targets joined by commas, or "all", whose losses may not exceed the
                             baseline's; NULL = none */
    enum mix_distance distance; /* of the mixture to the baseline */
    double radius;              /* its largest value */
    size_t lattice;             /* Q: give the nearest mixture of shares n/Q too; 0 = no */
    bool path;                  /* give the optimum at smaller scales too */
    size_t n_others;
    const struct mix_fit *const *others; /* (n_others) fits of the same file, on rank 0, for the
                                            choice of law in objective_wide, and for warnings */
};

enum { MIX_LATTICE_MAX = 1000000000, MIX_PATH_STEPS = 4 };

/** Which bound an optimal share is on. */
enum mix_bound {
    MIX_INTERIOR,
    MIX_ON_FLOOR,
    MIX_ON_CAP,
    MIX_ON_SUPPLY,  /* the limit is supply times epochs */
    MIX_ON_SUPPORT, /* the limit is the largest observed share */
    MIX_BOUNDS
};
extern const char *const mix_bound_names[MIX_BOUNDS]; /* "interior", "floor", ... */

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
    double *mixture_lo, *mixture_hi;           /* (K) quantiles of the draws' own optima */
    double *mixture_wide_lo, *mixture_wide_hi; /* (K) widened by how far the optima of other laws
                                                  are; NaN where there is no other law */
    double *mixture_bca_lo, *mixture_bca_hi;   /* (K) BCa (interval.h); NaN without a jackknife */
    double *
        tied; /* (K) the mixture nearest the baseline that the draws cannot tell from the optimum */
    uint8_t *binding;                   /* (K) enum mix_bound */
    struct mix_interval objective;      /* resampling only */
    struct mix_interval objective_wide; /* widened by the error budget at `mixture` (interval.h);
                                           NaN where none of its other sources is known */
    double seed_error, law_error, scale_error; /* what it adds: noise of the seed, choice of law,
                                                  extrapolation, as standard deviations; NaN = not
                                                  known */
    double fit_error;                          /* and lack of fit */
    struct mix_interval objective_bca;
    struct mix_interval *loss;                 /* (M) */
    struct mix_interval *loss_wide, *loss_bca; /* (M) */
    struct mix_interval gain[MIX_GAINS]; /* loss of the other mixture minus loss of the optimum */
    struct mix_interval gain_wide[MIX_GAINS], gain_bca[MIX_GAINS]; /* wide: of mean losses */
    double p_better[MIX_GAINS];   /* share of draws, moved as for `gain`, in which it is positive */
    double gain_error[MIX_GAINS]; /* what gain_wide adds to resampling, as a standard deviation; NaN
                                     = not known */
    double p_better_wide[MIX_GAINS]; /* the same with gain_error beside; NaN
                                        where none of them is known */
    double tied_loss;                /* predicted objective at `tied` */
    double *tied_lo, *tied_hi;   /* (K) least and largest share found with which a mixture is tied:
                                    that which the fit likes best among those of the share, or
                                    `tied`; NaN without draws */
    double not_worse[MIX_GAINS]; /* share of draws that put the other mixture no higher than the
                                    optimum; from (1 - level) / 2 on it is tied with it */
    double kkt;                  /* certificate: largest KKT residual */
    size_t n_starts, n_at_best;
    double hull_distance; /* largest share difference to the nearest convex combination of observed
                             mixtures */
    double extrapolation_n, extrapolation_d; /* N* / largest fitted N, D* / largest fitted D */
    double *draw_mixture;                    /* (B,K) optimum of each draw; NULL where B = 0 */
    char warnings[4 * MIX_TEXT_MAX];         /* one a line */
    /* Absent in files of earlier versions, which could not be asked for these. */
    char question[3 * MIX_TEXT_MAX]; /* what was asked beyond weights, floors, caps and baseline:
                                        "objective worst; near tv=0.2"; empty = nothing */
    enum mix_goal goal;
    double max_epochs;   /* 0 = supply was no constraint */
    double *supply;      /* (K) tokens of a domain; NaN = unlimited, or nothing to this optimum */
    double *limit;       /* (K) largest share allowed: by cap, supply, support */
    double *price;       /* (K) fall of the objective per unit of share by which the floor or limit
                            that a share is on is moved; 0 = on none */
    uint8_t *guard;      /* (M) 1 = no worse than the baseline was asked for */
    double *guard_price; /* (M) fall of the objective per unit of loss that the guard is loosened */
    double *baseline_loss; /* (M) predicted loss of the baseline */
    enum mix_distance near;
    double near_radius, near_price; /* price: fall of the objective per unit of distance */
    double gain_bias; /* mean over draws, but for the 5% at either end, of what a draw's own optimum
                         gains over the baseline by the draw, less what it gains by the fit */
    double *supply_price; /* (K) fall of the objective per 1e9 more tokens of a domain; NaN where
                             supply is NaN */
    /* Of laws with repetition where a supply is known; else NaN. */
    double r1;
    double *fresh_mixture;   /* (K) the optimum if what is seen again were as good as new */
    double fresh_expected;   /* objective there, if so */
    double fresh_value;      /* objective there, by the law */
    size_t lattice;          /* Q; 0 = not asked */
    double *lattice_mixture; /* (K) NaN = not asked */
    double lattice_value;    /* objective there */
    size_t n_path;           /* points of the scale path; 0 = not asked */
    double *path_n_params, *path_n_tokens, *path_value; /* (n_path) */
    double *path_mixture;                               /* (n_path,K) NaN = none satisfies the
                                                           constraints there */
};

/** Zero, but for the figures of what was not asked for (supply, limit, prices, baseline's losses,
 * repetition, lattice), which are NaN; no path. NULL when memory is out. */
struct mix_optimum *mix_optimum_create(size_t n_domains, size_t n_targets, size_t n_draws);
/** Make room for a path; false when memory is out. */
bool mix_optimum_add_path(struct mix_optimum *optimum, size_t n_path);
void mix_optimum_destroy(struct mix_optimum *optimum);
/** Each of `optima` (n), and the array. */
void mix_optima_destroy(size_t n, struct mix_optimum **optima);

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

/** What optima of one fit are worth in each other's question. Free by mix_trade_off_clear(). */
struct mix_trade_off {
    size_t n;
    double *objective; /* (n,n) row i: what question i minimises, under the mixture of each optimum;
                          NaN where the law has no answer */
    double *not_worse; /* (n,n) row i: share of the draws that put each mixture no higher there than
                          optimum i; NaN without draws */
    uint8_t *allowed;  /* (n,n) row i: 1 = the mixture keeps bounds, guards and distance */
};

/**
 * Ask each optimum's question of every optimum's mixture. Local.
 *
 * @param fit     that all `optima` (n) are of
 * @param draws   its draws, or NULL
 * @return MIX_OK; MIX_EINVAL an optimum is of another fit, or the draws are; MIX_ENOMEM
 */
enum mix_status mix_trade_off_compute(const struct mix_fit *fit, const struct mix_draws *draws,
                                      size_t n, const struct mix_optimum *const *optima,
                                      struct mix_trade_off *out, struct mix_error *err);
void mix_trade_off_clear(struct mix_trade_off *trade_off);

/**
 * What to know of a fit before it is believed, one a line: that the runs have changed since, and
 * where the law loses to a floor on runs that it has not seen, with the best of `others` that does
 * better on the same hold-out of the same runs.
 *
 * @param text  (n_text) out: empty = nothing to say; what does not fit is left out
 */
void mix_fit_caveats(const struct mix_table *table, const struct mix_fit *fit, size_t n_others,
                     const struct mix_fit *const *others, size_t n_text, char *text);

/**
 * What an optimum minimises.
 *
 * @param weight    (M) 0 = does not count
 * @param loss      (M) losses and scores of a mixture; those that do not count may be NaN
 * @param baseline  (M) those of the baseline, for goals that are relative to it; else NULL
 */
double mix_goal_value(const struct mix_fit *fit, enum mix_goal goal, const double *weight,
                      const double *loss, const double *baseline);
/** Weights (M) that nobody has given, which are NaN: those of the fit; the plain mean or largest of
 * losses leaves scores out where a loss has a weight. */
void mix_goal_fill_weights(const struct mix_fit *fit, enum mix_goal goal, double *weight);
/** Whether a goal is relative to the baseline. */
bool mix_goal_is_relative(enum mix_goal goal);

/** What was minimised, in words: "weighted mean loss". */
const char *mix_optimum_objective_text(const struct mix_optimum *optimum);
/** What the mixture behind a gain (0 … MIX_GAINS-1) breaks, in words: "floors and caps"; empty
 * where it breaks neither bounds nor the distance. */
const char *mix_optimum_broken_text(const struct mix_optimum *optimum, size_t gain,
                                    char text[MIX_NAME_MAX]);

/** True where the optimum answers these options on this fit and table, but for name, draws, seed
 * and starts. */
bool mix_optimum_same_question(const struct mix_optimum *optimum, const struct mix_table *table,
                               const struct mix_fit *fit,
                               const struct mix_optimum_options *options);

/**
 * The mixture of shares n/Q nearest to h within the bounds: largest remainders.
 *
 * @param counts  (n) out: n_j, of sum Q
 * @return false where no such mixture keeps the bounds
 */
bool mix_lattice_round(size_t n, size_t lattice, const double *h, const double *lower,
                       const double *upper, size_t *counts);

/**
 * Interval of a figure over draws: quantiles at (1 - level)/2 and (1 + level)/2 of the finite ones;
 * NaN where there are none.
 *
 * @param draws  (n) is sorted
 */
struct mix_interval mix_interval_over_draws(double value, size_t n, double *draws, double level);

/**
 * The same for losses and their differences: moved so that the median of the draws comes to lie on
 * the figure. Where a law bends, draws are off the fit in the direction in which the fit is off the
 * truth, and bare percentiles would be off twice.
 */
struct mix_interval mix_interval_about(double value, size_t n, double *draws, double level);

/** Share of the finite draws that are above `limit` when moved as mix_interval_about() moves them;
 * NaN where there are none. `draws` (n) is sorted. */
double mix_share_above(double limit, double value, size_t n, double *draws);

/** The same with a normal error of standard deviation `spread` on each; without draws that of the
 * value alone. NaN where `spread` is. */
double mix_chance_above(double limit, double value, double spread, size_t n, double *draws);

/**
 * Quantile of n > 0 sorted draws, type 6: the k-th of them is that of k / (n + 1), so that one more
 * draw would lie between two of them with the probability that they say, however few they are.
 */
double mix_quantile_of_draws(size_t n, const double *sorted, double p);

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

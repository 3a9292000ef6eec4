/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fit.h - fitting a law to a table of runs, judging it on runs it has not seen, and refitting it on
 * resamples.
 *
 * Least squares over the unmasked entries of the selection (mse = sum of squared residuals /
 * entries), box constraints on the nonlinear parameters, non-negative linear parameters by variable
 * projection, many starts, each a task over the ranks.
 */
#ifndef MIXSWEEP_FIT_H
#define MIXSWEEP_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "mixsweep/law.h"
#include "mixsweep/table.h"
#include "mixsweep/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How well predictions meet observations. `mse`, `mre` (mean |error| / observed), `mae`, `rmse`
 * over unmasked entries; `rho` Spearman over mixtures of the weighted mean loss over all measured
 * targets within one (N, D), averaged over those; `slope` observed on predicted of the same means;
 * `regret` observed mean loss of the mixture predicted best minus the best observed; `skill` = 1 -
 * RMSE of losses centred per target and scale / their standard deviation across mixtures. NaN where
 * undefined.
 */
struct mix_metrics {
    size_t n;          /* entries */
    size_t n_left_out; /* mixtures that lack a target, not in rho, slope and regret */
    double mse, mre, mae, rmse, rho, regret, slope, skill;
};

/**
 * Score predictions.
 *
 * @param data       selected runs: loss, weight, scales
 * @param target_weight (M) weights of the mean loss; NULL = 1
 * @param predicted  (R,M)
 * @param rows       (R) 1 = score this row; NULL = all
 * @param target     only this target, or -1 for all
 */
enum mix_status mix_metrics_compute(const struct mix_data *data, const double *target_weight,
                                    const double *predicted, const uint8_t *rows, int target,
                                    struct mix_metrics *out, struct mix_error *err);

enum { MIX_HOLDOUTS_MAX = 3, MIX_FLOORS = 3, MIX_KIND_MAX = 48 };

/** One hold-out: rows that the fit behind these figures did not see. */
struct mix_holdout {
    char kind[MIX_KIND_MAX]; /* "scale 937M", "mixture 30%", "scale 937M and mixture, 4 folds" */
    struct mix_metrics law;
    struct mix_metrics floor[MIX_FLOORS]; /* mean, scale-only (Chinchilla), copy nearest scale; n =
                                             0: not possible */
};
extern const char *const mix_floor_names[MIX_FLOORS]; /* "mean", "scale-only", "copy-scale" */

/** A fit as stored. Owns its arrays; free with mix_fit_destroy(). */
struct mix_fit {
    char name[MIX_NAME_MAX];
    struct mix_law_spec spec;
    struct mix_selection selection;
    char
        holdout_option[MIX_KIND_MAX]; /* as asked: "auto", "none", "mixture:0.3", "scale", "both" */
    uint64_t seed;
    struct mix_key
        table_key; /* hash of the selected numbers: says when the table has changed since */
    struct mix_key priors_key; /* hash of what its law's priors were; 0 of a law without, and where
                                  the file is older than it */
    size_t n_rows, n_fitted;   /* rows, entries */
    size_t n_clusters;         /* mixtures */
    char (*domains)[MIX_NAME_MAX]; /* (K) */
    char (*targets)[MIX_NAME_MAX]; /* (M) */
    int32_t *target_domain;        /* (M) */
    double *target_weight;         /* (M) */
    double *target_size; /* (M) what a loss counts relative to in means over targets, see mix_data;
                            scores count in none */
    uint8_t *link; /* (M) 0 = a loss; of a score 1, + 2 where lo is the chance level, + 4 where one
                      slope holds for the mean loss */
    size_t n_params;                       /* P */
    char (*param_names)[2 * MIX_NAME_MAX]; /* (P) */
    char (*param_units)[MIX_UNIT_MAX];     /* (P) */
    double *params;                        /* (P) */
    double *std_error;                     /* (P) NaN = not identified or on a bound */
    double *covariance;   /* (P,P) of the losses alone, without priors; rows of one mixture count as
                             correlated as their residuals are, see errors.c */
    uint8_t *param_state; /* (P) 0 = free, 1 = on its bound, 2 = not identified by the design */
    double objective;     /* mse, priors included */
    size_t n_starts;
    double *start_objective; /* (n_starts) objective reached by each */
    size_t n_at_best;        /* starts within 0.1% of the best */
    size_t n_optima; /* warm starts kept for the bootstrap: distinct good optima, the best first */
    double *optima;  /* (n_optima,P) natural parameters */
    struct mix_metrics train;
    struct mix_metrics *train_by_target; /* (M) */
    size_t n_holdouts;
    struct mix_holdout holdouts[MIX_HOLDOUTS_MAX];
    struct mix_metrics *holdout_by_target; /* (M) of holdouts[0]; NULL where n_holdouts = 0 */
    /* losses that were predicted without having been fitted, a row of a hold-out each */
    size_t n_held;
    int32_t *held_out;        /* (n_held) index of holdouts */
    struct mix_key *held_key; /* (n_held) key of the run's row in the table */
    double *held_n_params;    /* (n_held) parameters */
    double *held_loss;        /* (n_held,M) NaN = not measured, or masked */
    double *held_predicted;   /* (n_held,M) NaN = the law has nothing to say */
    double scale_error; /* rms relative error of the weighted mean loss on the held-out scale; NaN =
                           not known */
    double scale_factor;               /* held-out N / largest fitted N of that figure */
    double max_n_params, max_n_tokens; /* largest fitted, in parameters and tokens */
    double *seen_max;                  /* (K) largest share of each domain in the selection */
    double *supply;                    /* (K) tokens of each domain, for predictions of a law with
                                          repetition; NaN = not known, or a law without */
    char warnings[4 * MIX_TEXT_MAX];   /* one a line */
    double stacked; /* weight of the law in the stack of a comparison of the same file, see
                       mix_store_read_fits(); NaN = not known */
};

struct mix_fit *mix_fit_create(size_t n_domains, size_t n_targets, size_t n_params, size_t n_starts,
                               size_t n_optima);
/** Room for n_held rows of hold-outs, those that are there kept; false: memory is out. */
bool mix_fit_hold(struct mix_fit *fit, size_t n_held);
void mix_fit_destroy(struct mix_fit *fit);
void mix_fits_destroy(size_t n, struct mix_fit **fits);

/** Weighted mean of losses (M), relative to their sizes where those that weigh have several units;
 * of scores where no loss has a weight. Targets of weight 0 may be NaN. */
double mix_fit_mean(const struct mix_fit *fit, const double *weight, const double *loss);
/** Whether that is a mean of scores, which are better when higher. */
bool mix_fit_mean_is_score(const struct mix_fit *fit, const double *weight);

/** The model of a stored fit, for predictions. */
enum mix_status mix_fit_model(const struct mix_fit *fit, struct mix_model **out,
                              struct mix_error *err);

/** What to fit. */
struct mix_fit_options {
    const char *name; /* NULL = the law */
    const char *law;
    int form;
    struct mix_selection selection;
    const char *holdout; /* "auto", ... */
    size_t n_starts;
    uint64_t seed;
};

/** Defaults: law "transfer", targets "domains", last checkpoints, holdout "auto", 64 starts,
 * seed 1. */
struct mix_fit_options mix_fit_options_default(void);

/**
 * Collective. Fit a law; the result is set on rank 0 only (NULL elsewhere).
 *
 * @param ranks    ranks to use
 * @param table    the runs, equal on all ranks
 * @param options  what to fit
 * @param progress reports starts done; may be NULL
 * @return MIX_OK; MIX_EUSAGE unknown hold-out, bad `where` or target; MIX_EINVAL the table does not
 * suit the law; MIX_ENUMERIC no start converged; MIX_EINTERRUPTED
 */
enum mix_status mix_fit_run(struct mix_ranks *ranks, const struct mix_table *table,
                            const struct mix_fit_options *options, mix_progress_fn progress,
                            void *progress_context, struct mix_fit **out, struct mix_error *err);

/** Whether two fits of a file were made from the same runs, targets and losses: by table_key, or
 * where one law sees the supplies of domains and the other does not, by what was selected. */
bool mix_fits_of_same_runs(const struct mix_fit *a, const struct mix_fit *b);

/** What a fit should be made again for, as the end of a sentence: "the runs have changed" where its
 * selection gives other numbers now, "the priors of its law have changed" where another version of
 * the program made it and draws of this one would not be its own; else NULL. */
const char *mix_fit_outdated(const struct mix_fit *fit, const struct mix_table *table);

/**
 * Why `fit` is not what these options give on this table, as the end of a sentence ("the seed has
 * changed (from 3 to 1)"), in `text`; or NULL where fitting again would change nothing.
 */
const char *mix_fit_difference(const struct mix_fit *fit, const struct mix_table *table,
                               const struct mix_fit_options *options, char text[MIX_TEXT_MAX]);

/** One step of the rolling origin: the law fitted on the runs up to one size, on a later scale. */
struct mix_origin {
    double from_n, from_d; /* largest fitted, in parameters and tokens */
    double to_n, to_d;     /* predicted */
    size_t n_runs;         /* predicted; 0 = the law could not be fitted from here */
    double bias, rms;      /* relative error of the weighted mean loss, predicted - observed */
    double spread;         /* what resampling explains of it: relative standard deviation over a few
                              draws of the fit made here */
};

/** Bootstrap draws of a fit, its jackknife and its rolling origin. Owns its arrays. Draw b depends
 * on (seed, b) alone. */
struct mix_draws {
    char fit[MIX_NAME_MAX];
    struct mix_key fit_key; /* which fit exactly: hash of its parameters and options */
    uint64_t seed;
    int32_t cluster_run; /* 0 = mixtures are resampled, 1 = runs */
    int32_t bayesian;    /* 1 = Dirichlet weights instead of counts */
    size_t n_draws;      /* B */
    size_t n_params;     /* P */
    double *objective;   /* (B) weighted mse; NaN, with NaN parameters, where a draw could not be
                            fitted */
    double *params;      /* (B,P) natural parameters */
    uint8_t *done;       /* (B) 1 where the draw is there */
    size_t n_left;       /* C: groups of the jackknife, 0 = none was asked for */
    double *left;        /* (C,P) parameters fitted without each group; NULL where C = 0 */
    uint8_t *left_done;  /* (C) 1 where the refit is there */
    size_t n_origins;
    struct mix_origin *origins; /* (n_origins) by from_n, to_n, to_d; NULL where there are none */
    double residual; /* relative standard deviation of the observed weighted mean loss about the
                        fit; NaN = not known */
};

struct mix_draws *mix_draws_create(size_t n_draws, size_t n_params);
void mix_draws_destroy(struct mix_draws *draws);

/** Make room for a jackknife of C groups, none done; what was there goes. False = out of memory. */
bool mix_draws_hold_left(struct mix_draws *draws, size_t n_left);
/** The same for n steps of a rolling origin. */
bool mix_draws_hold_origins(struct mix_draws *draws, size_t n_origins);
/** Copy jackknife, rolling origin and residual. False = out of memory. */
bool mix_draws_copy_left(struct mix_draws *to, const struct mix_draws *from);

/** What to resample, and how often. */
struct mix_bootstrap_options {
    size_t n_draws;
    uint64_t seed;
    bool cluster_run; /* runs instead of mixtures */
    bool bayesian;    /* Dirichlet weights instead of counts */
};

/** True where draws belong to this fit and to these options, whatever their number. */
bool mix_draws_match(const struct mix_draws *draws, const struct mix_fit *fit,
                     const struct mix_bootstrap_options *options);

/**
 * The draws to complete: n_draws of them, or as many as `old` has where that is more; those of
 * `old` are done.
 *
 * @param old  matching draws (copied), or NULL
 * @return the draws, or NULL when memory is out; free with mix_draws_destroy()
 */
struct mix_draws *mix_draws_plan(const struct mix_fit *fit,
                                 const struct mix_bootstrap_options *options,
                                 const struct mix_draws *old);

/** Draws that are done. */
size_t mix_draws_count(const struct mix_draws *draws);

/** Identity of a fit: changes when a refit changes anything that draws depend on. */
struct mix_key mix_fit_key(const struct mix_fit *fit);

/**
 * Collective. Make the draws that are not done. `draws` holds on rank 0 what was done before (other
 * ranks pass NULL) and is completed there; each finished draw is in the log first.
 *
 * @param log_dir  folder of the logs, or NULL
 * @return MIX_OK; MIX_EINVAL the table is not the one of the fit; MIX_EINTERRUPTED (finished draws
 * are in `draws`)
 */
enum mix_status mix_bootstrap_run(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, struct mix_draws *draws,
                                  const char *log_dir, mix_progress_fn progress,
                                  void *progress_context, struct mix_error *err);

enum { MIX_LEFT_MAX = 200 }; /* groups of a jackknife at most */

/**
 * Collective. The jackknife of a fit: refits without one mixture (or run, as the draws resample),
 * from the optima of the fit as the draws are; above MIX_LEFT_MAX mixtures groups of them are left
 * out, which leaves the acceleration of BCa intervals as it is. What `draws` has is not made again;
 * a finished refit is in the log first.
 *
 * @param draws  as in mix_bootstrap_run()
 * @return as mix_bootstrap_run()
 */
enum mix_status mix_jackknife_run(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, struct mix_draws *draws,
                                  const char *log_dir, mix_progress_fn progress,
                                  void *progress_context, struct mix_error *err);

/** Jackknife refits that are done. */
size_t mix_jackknife_count(const struct mix_draws *draws);

/** Log record of a draw: head. Body: struct mix_draw_body then P doubles. A refit of the jackknife
 * has the same head, of which fit, fit_key and cluster_run count. */
struct mix_draw_head {
    char fit[MIX_NAME_MAX];
    struct mix_key fit_key;
    uint64_t seed;
    int32_t cluster_run;
    int32_t bayesian;
};
struct mix_draw_body {
    uint64_t draw;
    double objective;
};
/** The same for MIX_LOG_JACKKNIFE. */
struct mix_left_body {
    uint64_t group, n_groups;
};

#ifdef __cplusplus
}
#endif
#endif

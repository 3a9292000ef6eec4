/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online_analysis.h - is a mixing law true, and are a method's parameters the right ones?
 *
 * The protocol of Chen et al., arXiv 2411.05735: from one point of a run, short runs under several
 * mixtures show how much each group's loss drops; regressed on the mixture, the drops give the
 * optimal A of that point, which a method's own A is compared with. A run is forked for that
 * without being disturbed: put a probe between method and trainee.
 *
 * Shapes: m groups, n mixtures. Shares sum to 1: a constant per row of A is one with an intercept.
 */
#ifndef MIXSWEEP_ONLINE_ANALYSIS_H
#define MIXSWEEP_ONLINE_ANALYSIS_H

#include "mixsweep/online.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- short sweeps ---- */

/**
 * Train under each of the mixtures from where the trainee is, and go back there. Local.
 *
 * @param mixture  (n,m)
 * @param horizon  steps of each
 * @param slot     of the trainee, for the way back: what was there is lost
 * @param drop     (n,m) out: validation loss before less validation loss after
 * @return MIX_OK; MIX_EINVAL the trainee cannot fork; what training may say
 */
enum mix_status mix_online_fork(struct mix_trainee *trainee, size_t n, const double *mixture,
                                uint64_t horizon, int slot, double *drop, struct mix_poll *poll,
                                struct mix_error *err);

/** Where and how a probe forks. */
struct mix_probe_options {
    size_t n_points;
    const uint64_t *step;  /* (n_points) of the run, ascending */
    size_t n_mixtures;     /* n */
    const double *mixture; /* (n,m) */
    uint64_t horizon;
    int slot;
};

/** What a probe has seen since the run last began; owned by the probe. */
struct mix_probe {
    size_t n_done; /* points passed */
    double *drop;  /* (n_points,n,m) */
};

/**
 * A trainee that does what another does and forks it at the given steps: no method sees it, and the
 * run goes on as if nothing had been.
 *
 * @param inner    borrowed
 * @param options  copied
 * @param probe    out: borrowed, goes with the trainee
 * @return MIX_OK; MIX_EINVAL it cannot fork, or the steps do not ascend; MIX_ENOMEM
 */
enum mix_status mix_trainee_probed(struct mix_trainee *inner,
                                   const struct mix_probe_options *options,
                                   struct mix_trainee **out, const struct mix_probe **probe,
                                   struct mix_error *err);

/* ---- laws ---- */

/** How well a fit meets the points it was fitted to. */
struct mix_law_quality {
    double mse;
    double r2; /* 1 - SSE / SST; NaN where the points do not differ */
};

/**
 * The linear dynamic law: drop_i = d_i + sum_j A_ij q_j by least squares, a row at a time.
 *
 * @param intercept  true: the rows of A are centred and their means are d. False: d = 0 (the drops
 *                   are known in full, and so is A). Predictions are the same
 * @param a          (m,m) out
 * @param d          (m) out
 * @param quality    (m) out
 * @return MIX_OK; MIX_EINVAL the mixtures do not tell all groups apart; MIX_ENOMEM
 */
enum mix_status mix_online_fit_linear(size_t n, size_t m, const double *mixture, const double *drop,
                                      bool intercept, double *a, double *d,
                                      struct mix_law_quality *quality, struct mix_error *err);

/**
 * The best that a given A can do with one factor free: drop_i = d_i + b sum_j A_ij q_j.
 *
 * @param intercept  false: d = 0
 * @param b          out; NaN where A tells no two mixtures apart
 * @param d          (m) out
 * @param quality    (m) out
 */
void mix_online_fit_scale(size_t n, size_t m, const double *mixture, const double *drop,
                          bool intercept, const double *a, double *b, double *d,
                          struct mix_law_quality *quality);

/**
 * The log-linear static law: loss_i = c_i + exp(sum_j t_ij q_j), c_i >= 0, by the law "loglinear"
 * of mixsweep/law.h and the starts of mixsweep/fit.h. Local.
 *
 * @param loss     (n,m) at the end of runs under the mixtures
 * @param c        (m) out
 * @param t        (m,m) out; a share more of j at the cost of l changes the logarithm by t_ij -
 * t_il
 * @param quality  (m) out
 * @return MIX_OK; what mix_fit_run() may say
 */
enum mix_status mix_online_fit_loglinear(size_t n, size_t m, const double *mixture,
                                         const double *loss, uint64_t seed, double *c, double *t,
                                         struct mix_law_quality *quality, struct mix_error *err);

/* ---- comparing ---- */

/**
 * Similarity of two matrices as EGD sees them: half the cosine of their column sums and half the
 * rank correlation (Spearman) of these. Two groups: of both matrices made diagonal first, as only
 * A_11 - A_12 and A_22 - A_21 are identified. NaN where the column sums of one are equal, or zero.
 */
double mix_online_similarity(size_t m, const double *a, const double *b);

/** Two groups: A <- diag(A_11 - A_12, A_22 - A_21); the difference of its column sums stays. */
void mix_online_diagonalise(double a[4]);

/**
 * The mean of the last matrices that a method had estimated by a step.
 *
 * @param n_last  of so many rounds; all where there are fewer
 * @param a       (m,m) out
 * @return false: it had estimated none
 */
bool mix_online_matrix_at(const struct mix_trajectory *trajectory, uint64_t step, size_t n_last,
                          double *a);

/* ---- all of it, along one run ---- */

/** What was found at one point of a run. */
struct mix_analysis_point {
    uint64_t step;
    struct mix_law_quality linear; /* of the linear dynamic law, mean over groups */
    struct mix_law_quality own;    /* the same with the method's A, one factor and intercepts */
    double scale;                  /* that factor */
    double similarity;             /* of the method's A with the optimal one */
};

/** Along a run. Owns its arrays. What the method's own A enters is NaN where it had none yet. */
struct mix_analysis {
    size_t n_groups, n_points;
    struct mix_analysis_point *points; /* (n_points) */
    double *optimal;                   /* (n_points,m,m) drop within the horizon */
    double *own;                       /* (n_points,m,m) mean of the method's last matrices */
};
void mix_analysis_destroy(struct mix_analysis *analysis); /* NULL is fine */

/**
 * Let a method steer a trainee, as mix_online_steer() does, and look at the given steps whether the
 * linear law holds and how near the method's A is to the optimal one. Local.
 *
 * @param n_last      mean of so many of the method's last matrices
 * @param trajectory  out: as if there had been no probe
 * @param out         out: the points that were reached; free with mix_analysis_destroy()
 * @return as mix_online_steer(), mix_trainee_probed() and mix_online_fit_linear()
 */
enum mix_status mix_online_analyse(struct mix_trainee *trainee, struct mix_mixer *mixer,
                                   const struct mix_probe_options *options, size_t n_last,
                                   struct mix_trajectory *trajectory, struct mix_analysis **out,
                                   struct mix_poll *poll, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

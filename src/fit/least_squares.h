/* SPDX-License-Identifier: GPL-3.0-or-later */
/* least_squares.h - separable nonlinear least squares for one law and one table. Private to
 * src/fit/.
 *
 *     min over theta in a box, lambda >= 0 of  S = sum_e w_e (y_e - g_e(theta) - sum_l lambda_l
 * phi_le(theta))^2, over sum w
 *
 * Priors of theta (model->pull) are weighed against the fit's own residuals: with P = -2 ln of the
 * prior and n losses beyond the parameters, n ln v + S / v + P is least in the variance v at S / n,
 * and what is left of it grows with S exp(P / n), which is minimised in place of S. So a prior
 * vanishes where a law fits exactly, and counts the more the less the losses say. Where v is given
 * it is S + v P.
 *
 * Variable projection (Golub & Pereyra; Kaufman's Jacobian) with an exact non-negative solve per
 * target, and Levenberg-Marquardt in theta with an active set for the box, near its end with what
 * gradients tell of the curvature (lsq_secant.c). The normal equations are assembled from the laws'
 * block + rank-one Jacobian, which is never formed.
 *
 * Shapes: R rows, M targets, L linear parameters per target, Q nonlinear; e = r * M + m.
 */
#ifndef MIXSWEEP_LEAST_SQUARES_H
#define MIXSWEEP_LEAST_SQUARES_H

#include "law/law_impl.h"
#include "mixsweep/task.h"

/** A problem with its workspace. */
struct lsq;

struct lsq_result {
    double objective; /* weighted mean of squared residuals, priors included */
    double gradient;  /* largest cosine between a free column of the Jacobian and the residual */
    int steps;        /* accepted and refused trial points */
    bool converged;
};

enum mix_status lsq_create(const struct mix_law_spec *spec, const int *target_domain,
                           const struct mix_data *data, struct lsq **out, struct mix_error *err);
void lsq_destroy(struct lsq *s);

struct mix_model *lsq_model(struct lsq *s);
const struct mix_data *lsq_data(const struct lsq *s);

/** What starts are scaled by: of all rows, whatever the weights. */
const struct law_scales *lsq_scales(const struct lsq *s);

/** Weight rows by row_weight (R), NULL = 1 each, on top of data->weight. Rows of weight 0 cost
 * nothing. */
void lsq_weigh_rows(struct lsq *s, const double *row_weight);

/** Priors count against the least residuals that laws leave, or (false) against the fit's own. Far
 * from the optimum its own are large, and would hold a search where the priors are. */
void lsq_expect_least_residuals(struct lsq *s, bool least);

/** From now on priors count against the variance of the residuals at theta with the weights of now,
 * and heavy tails are the normal ones that they are there: for refits of a fit. */
void lsq_hold_priors(struct lsq *s, const double *theta);

/**
 * Minimise from theta (Q), in place.
 *
 * @param max_steps  trial points at most
 * @param tolerance  stop at this gradient (cosine), or when three gains in a row are below its
 *                   square, 1e-13 at least, of the objective: at a kink gradients do not vanish
 * @return MIX_OK; MIX_ENUMERIC the start has no finite objective; MIX_EINTERRUPTED
 */
enum mix_status lsq_minimise(struct lsq *s, double *theta, int max_steps, double tolerance,
                             struct mix_poll *poll, struct lsq_result *result,
                             struct mix_error *err);

/**
 * Points of several searches: theta (Q), then the objective of each block (its share of the whole)
 * and the damping that its search ended with. Targets of a separable law are blocks, fitted apart;
 * other laws are one block.
 */
size_t lsq_point_doubles(const struct lsq *s);
/** Put objectives and damping of the last lsq_minimise() behind its theta. */
void lsq_complete_point(const struct lsq *s, double *point);
/** The damping of a search that has not begun. */
#define LSQ_DAMPING 1e-3
/** Set the damping that lsq_continue() begins with, for theta that another search found; the point
 * then counts as complete. */
void lsq_set_damping(const struct lsq *s, double *point, double damping);
/** lsq_minimise() from a complete point with its damping; completes it again. */
enum mix_status lsq_continue(struct lsq *s, double *point, int max_steps, double tolerance,
                             struct mix_poll *poll, struct lsq_result *result,
                             struct mix_error *err);
/** The sum of the block objectives. */
double lsq_point_objective(const struct lsq *s, const double *point);
/** Copy to `to` the blocks of `from` that are better. */
void lsq_keep_better(const struct lsq *s, const double *from, double *to);
/**
 * Exchange blocks between n points, `stride` doubles apart, so that the first has the best of every
 * block, the next the second best, and so on; the points of other laws stay as they are.
 */
enum mix_status lsq_sort_blocks(const struct lsq *s, size_t n, size_t stride, double *points,
                                struct mix_error *err);

/** Linear parameters (M,L) and objective at theta. */
double lsq_evaluate(struct lsq *s, const double *theta, double *lambda);

/** Standard deviation of the prior of theta_i, 0 = there is none; what lsq_hold_priors() made of
 * it.
 */
double lsq_prior_sd(const struct lsq *s, size_t i);

/** Sum of the squared residuals at theta with the weights of now. */
double lsq_squares(struct lsq *s, const double *theta);

/** The same, summed over targets only: (R) of the data. */
void lsq_row_squares(struct lsq *s, const double *theta, double *squares);

/**
 * Gauss-Newton matrix of all parameters (theta, lambda) at theta: (Q+ML, Q+ML), unreduced,
 * weighted.
 *
 * @param n_entries  out: entries of positive weight
 */
void lsq_normal_matrix(struct lsq *s, const double *theta, double *matrix, size_t *n_entries);

/**
 * Sums over the rows of one cluster of the data, weighted, at the theta of the last
 * lsq_normal_matrix(): entries of different targets are not added up.
 *
 * @param residual  (M) out
 * @param jacobian  (Q+ML, M) out: of the rows of the Jacobian of all parameters
 */
void lsq_cluster_sums(struct lsq *s, size_t cluster, double *residual, double *jacobian);

#endif

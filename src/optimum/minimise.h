/* SPDX-License-Identifier: GPL-3.0-or-later */
/* minimise.h - local minimum of a smooth function over {sum h = 1, lower <= h <= upper}.
 *
 * Far away: the spectral projected gradient (Birgin, Martinez, Raydan, SIAM J. Optim. 10 (2000)
 * 1196) with its non-monotone line search finds the valley and the bounds that hold. Near: Newton
 * on the free shares, the Hessian by differences of the exact gradient, gives the last digits. The
 * laws have kinks (a domain starts to get capacity above H); a minimum that sits on one is found by
 * a bundle of gradients from its sides.
 * Private to src/optimum/ and its tests; mix_hull_weights() also serves src/fit/compare_judge.c.
 */
#ifndef MIXSWEEP_OPTIMUM_MINIMISE_H
#define MIXSWEEP_OPTIMUM_MINIMISE_H

#include <stdbool.h>
#include <stddef.h>

#include "mixsweep/status.h"

/**
 * Value and gradient at h, a point of the simplex (the h_j taken as free variables).
 *
 * @param h         (n) sums to 1, every share in [0,1]
 * @param value     out
 * @param gradient  (n) out
 * @return MIX_OK, or a status that ends the search
 */
typedef enum mix_status (*mix_objective_fn)(void *context, const double *h, double *value,
                                            double *gradient, struct mix_error *err);

/** What is minimised, where. The bounds must be feasible: sum lower <= 1 <= sum upper. */
struct mix_problem {
    size_t n;
    const double *lower; /* (n) >= 0 */
    const double *upper; /* (n) <= 1 */
    mix_objective_fn objective;
    void *context;
    double enough; /* KKT residual below which no kink is looked for; 0 = as near as can be */
};

/** What was reached. */
struct mix_minimum {
    double value;
    double kkt;   /* KKT residual in units of the value: g max_j |h_j - P(h - gradient / g)_j|, P
                     the projection */
    double scale; /* g: largest |gradient_j| of the shares between their bounds; kkt / scale <=
                     1e-10 where the function is smooth around the minimum. On a kink the
                     gradient is the combination of those on its sides that comes nearest to 0 */
    size_t n_evaluations;
};

/** Scratch of a search, made once and used for many. Opaque. */
struct mix_minimiser;
struct mix_minimiser *mix_minimiser_create(size_t n); /* NULL when memory is out */
void mix_minimiser_destroy(struct mix_minimiser *minimiser);

/**
 * Go downhill from h.
 *
 * @param h        (n) in: start, projected onto the constraints first; out: the minimum
 * @param minimum  out
 * @return MIX_OK; MIX_ENUMERIC the start has no finite value; else what the objective returned
 */
enum mix_status mix_minimise(struct mix_minimiser *minimiser, const struct mix_problem *problem,
                             double *h, struct mix_minimum *minimum, struct mix_error *err);

/** Gradient (n) at the minimum that the last search found; on a kink the certifying combination. */
const double *mix_minimiser_gradient(const struct mix_minimiser *minimiser);

/** Replace the lower triangle of a symmetric positive definite (n,n) by its Cholesky factor L;
 * false where it is not positive definite. Then solve L x = b and L' x = b in place. */
bool mix_cholesky_factor(size_t n, double *a);
void mix_cholesky_forward(size_t n, const double *l, double *b);
void mix_cholesky_back(size_t n, const double *l, double *b);

/**
 * Weights w (R), >= 0 and of sum 1, with the least ½ |sum_r w_r p_r|^2 - sum_r w_r bonus_r.
 *
 * @param points  (R,K)
 * @param bonus   (R) -inf = leave the row out; NULL = 0
 * @return false when memory is out; w then picks the best single row
 */
bool mix_hull_weights(size_t n_rows, size_t n_domains, const double *points, const double *bonus,
                      double *weights);

#endif

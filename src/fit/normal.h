/* SPDX-License-Identifier: GPL-3.0-or-later */
/* normal.h - the loops of least squares over rows and parameters, once per instruction set.
 * Private to src/fit/.
 *
 * Columns are (R,M) arrays, a target in each lane; loops read up to LANES_MOST doubles behind
 * them. What is summed over rows is (.., ld), ld = M rounded up to a multiple of LANES_MOST. Sums
 * are taken in the same order whatever the width.
 */
#ifndef MIXSWEEP_FIT_NORMAL_H
#define MIXSWEEP_FIT_NORMAL_H

#include <stdbool.h>
#include <stddef.h>

#include "mixsweep/isa.h"

/** R rows of M targets. */
struct normal_rows {
    size_t n_rows, n_targets, ld;
};

struct normal_kernels {
    /** out (n_a, n_b, ld) = sums over rows of a_i b_j; where `lower` is set only j <= i are asked
     * for. */
    void (*products)(const struct normal_rows *rows, size_t n_a, const double *const *a, size_t n_b,
                     const double *const *b, bool lower, double *out);
    /** out (n_a, ld) = sums over rows of a_i u. */
    void (*along)(const struct normal_rows *rows, size_t n_a, const double *const *a,
                  const double *u, double *out);
    /**
     * Modified Gram-Schmidt on the weighted columns phi sw (n_l, R M) of every target.
     *
     * @param basis     (n_l, R M) out: orthonormal; 0 where a column depends on those before it
     * @param triangle  (n_l, n_l, ld) out: R factor; diagonal 0 where a column is dependent
     * @param rhs       (n_l, ld) out: basis' residual
     */
    void (*orthogonalise)(const struct normal_rows *rows, size_t n_l, size_t stride,
                          const double *phi, const double *sw, const double *residual,
                          double *basis, double *triangle, double *rhs);
    /** residual = (y - g) sw, n numbers. */
    void (*residuals)(size_t n, const double *y, const double *g, const double *sw,
                      double *residual);
    /** residual -= sum_l lambda_l phi_l sw; squares (ld) out: sums over rows. lambda (n_l, ld). */
    void (*subtract)(const struct normal_rows *rows, size_t n_l, size_t stride,
                     const double *lambda, const double *phi, const double *sw, double *residual,
                     double *squares);
    /** columns (n, n_e) *= sw (n_e). */
    void (*weigh)(size_t n, size_t n_e, const double *sw, double *columns);
    /** out (n_i, ldo) += factor a' b: a (n, lda), b (n, ldb); where `upper` is set only j >= i are
     * asked for. Rows of a that are 0 in columns next to each other in `order` cost nothing there.
     *
     * @param order  (n_i) all columns of a that count
     * @param rows   (n) scratch
     */
    void (*multiply)(size_t n, double factor, size_t n_i, const size_t *order, const double *a,
                     size_t lda, size_t n_j, const double *b, size_t ldb, bool upper, size_t *rows,
                     double *out, size_t ldo);
    /**
     * Cholesky's factor of a (n, lda) in place, a = u'u in the upper triangle; lda a multiple of
     * LANES_MOST, with zeros behind n. Row i has zeros from end[i] to `shared`.
     *
     * @return false where a is not positive definite
     */
    bool (*factorise)(size_t n, double *a, size_t lda, const size_t *end, size_t shared);
    /** x = (u'u)^-1 x in place. */
    void (*solve)(size_t n, const double *u, size_t lda, double *x);
    /** x' a x of a symmetric matrix, of which the upper triangle is there. */
    double (*quadratic)(size_t n, const double *a, size_t lda, const double *x);
};

const struct normal_kernels *normal_kernels(enum mix_isa isa);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_normal.c - matrix and gradient, from the laws' block + rank-one Jacobian, which is never
 * formed. */
#include <math.h>
#include <string.h>

#include "lsq_parts.h"

extern const struct normal_kernels normal_kernels_generic;
#ifdef __x86_64__
extern const struct normal_kernels normal_kernels_avx2, normal_kernels_avx512;
#endif

const struct normal_kernels *normal_kernels(enum mix_isa isa)
{
#ifdef __x86_64__
    if (isa == MIX_ISA_AVX512)
        return &normal_kernels_avx512;
    if (isa == MIX_ISA_AVX2)
        return &normal_kernels_avx2;
#endif
    (void)isa;
    return &normal_kernels_generic;
}

const struct normal_kernels *lsq_kernels(const struct lsq *s)
{
    return normal_kernels(s->model->isa);
}

/* Products of the own columns with each other, the residual and the basis, into s->product. */
static void multiply_columns(struct lsq *s)
{
    const size_t n_e = s->n_rows * s->n_targets, n_own = s->n_own, n_l = s->n_linear;
    const struct normal_kernels *kernels = lsq_kernels(s);
    for (size_t k = 0; k < n_own; k++)
        s->column[k] = s->own + k * n_e;
    s->column[n_own] = s->residual;
    for (size_t l = 0; l < n_l; l++)
        s->column[n_own + 1 + l] = s->basis + l * n_e;
    s->column[n_own + 1 + n_l] = s->u;
    if (n_own == 0)
        return;
    kernels->products(&s->rows, n_own, s->column, n_own, s->column, true, s->product);
    kernels->products(&s->rows, n_own, s->column, 1 + n_l, s->column + n_own, false,
                      s->product + n_own * n_own * s->rows.ld);
}

/* Of own columns k and l of target m, l <= k. */
static double own_product(const struct lsq *s, size_t m, size_t k, size_t l)
{
    return s->product[(k * s->n_own + l) * s->rows.ld + m];
}

/* Of own column k of target m with the residual (l = 0) or basis vector l - 1. */
static double right_product(const struct lsq *s, size_t m, size_t k, size_t l)
{
    const double *right = s->product + s->n_own * s->n_own * s->rows.ld;
    return right[(k * (1 + s->n_linear) + l) * s->rows.ld + m];
}

/* The own blocks' share of matrix and gradient. */
static void assemble_own(struct lsq *s)
{
    const size_t n_own = s->n_own, ld = s->rows.ld;
    const size_t *column = s->model->own_column, *place = s->own_place;
    const double *right = s->product + n_own * n_own * ld;
    for (size_t m = 0; m < s->n_targets; m++, column += n_own, place += n_own * n_own)
        for (size_t k = 0; k < n_own; k++) {
            s->gradient[column[k]] -= right[k * (1 + s->n_linear) * ld + m];
            for (size_t l = 0; l <= k; l++)
                s->matrix[place[k * n_own + l]] += s->product[(k * n_own + l) * ld + m];
        }
}

/* Sum over the rows from `begin` to `end`, which have one v, into cell c. */
static void assemble_cell(struct lsq *s, size_t begin, size_t end, size_t c)
{
    const size_t n_m = s->n_targets, n_own = s->n_own, n_l = s->n_linear, ld = s->rows.ld;
    const struct normal_rows rows = {end - begin, n_m, ld};
    double *along = s->cell_along + s->n_rows * n_l * ld; /* (n_own + 2 + L, ld) */
    double *v = s->cell_v + c * s->n_v, *z = s->cell_z + c * s->n_theta, uu = 0.0, ur = 0.0;
    for (size_t k = 0; k < n_own + n_l + 2; k++)
        s->column[k] += begin * n_m;
    lsq_kernels(s)->along(&rows, n_own + n_l + 2, s->column, s->u + begin * n_m, along);
    for (size_t k = 0; k < n_own + n_l + 2; k++)
        s->column[k] -= begin * n_m;
    memset(z, 0, s->n_theta * sizeof *z);
    for (size_t m = 0; m < n_m; m++) {
        const size_t *column = s->model->own_column + m * n_own;
        for (size_t k = 0; k < n_own; k++)
            z[column[k]] += along[k * ld + m];
        ur += along[n_own * ld + m];
        uu += along[(n_own + 1 + n_l) * ld + m];
    }
    memcpy(s->cell_along + c * n_l * ld, along + (n_own + 1) * ld, n_l * ld * sizeof *along);
    memcpy(v, s->v + begin * s->n_v, s->n_v * sizeof *v);
    for (size_t i = 0; i < s->n_v; i++) {
        z[i] += 0.5 * uu * v[i];
        s->gradient[i] -= ur * v[i];
    }
}

/* The rank-one parts: with w = sum_m u_m own_m and z = w + |u|^2 v / 2 every row adds v z' + z v'.
 * Neighbours of one mixture and size have one v. */
static void assemble_rank_one(struct lsq *s)
{
    const size_t q = s->n_theta, n_v = s->n_v, ld = s->rows.ld, n_l = s->n_linear;
    const struct normal_kernels *kernels = lsq_kernels(s);
    size_t n_cells = 0;
    for (size_t begin = 0, end; n_v > 0 && begin < s->n_rows; begin = end) {
        const double *v = s->v + begin * n_v;
        for (end = begin + 1; end < s->n_rows; end++)
            if (memcmp(v, s->v + end * n_v, n_v * sizeof *v) != 0)
                break;
        assemble_cell(s, begin, end, n_cells++);
    }
    memset(s->cross, 0, n_v * q * sizeof *s->cross);
    memset(s->follow_v, 0, n_l * ld * n_v * sizeof *s->follow_v);
    if (n_cells == 0)
        return;
    kernels->multiply(n_cells, 1.0, n_v, s->v_by_target, s->cell_v, n_v, q, s->cell_z, q, false,
                      s->nonzero, s->cross, q);
    kernels->multiply(n_cells, 1.0, n_l * s->n_targets, s->along_by_target, s->cell_along, n_l * ld,
                      n_v, s->cell_v, n_v, false, s->nonzero, s->follow_v, n_v);
    for (size_t i = 0; i < n_v; i++) {
        for (size_t j = i; j < n_v; j++)
            s->matrix[i * q + j] += s->cross[j * q + i];
        for (size_t j = i; j < q; j++)
            s->matrix[i * q + j] += s->cross[i * q + j];
    }
}

/* Kaufman: what the linear parameters can follow is taken out of the matrix. */
static void eliminate_linear(struct lsq *s)
{
    const size_t q = s->n_theta, n_l = s->n_linear;
    size_t n = 0;
    for (size_t m = 0; m < s->n_targets; m++) {
        const size_t *column = s->model->own_column + m * s->n_own;
        for (size_t k = 0; k < s->n_basis[m]; k++) {
            double *z = s->follow + n++ * q;
            memset(z, 0, q * sizeof *z);
            for (size_t l = 0; l < n_l; l++) {
                const double f = s->rotation[(m * L_MAX + l) * L_MAX + k];
                const double *by_v = s->follow_v + (l * s->rows.ld + m) * s->n_v;
                for (size_t i = 0; f != 0.0 && i < s->n_v; i++)
                    z[i] += f * by_v[i];
                for (size_t i = 0; f != 0.0 && i < s->n_own; i++)
                    z[column[i]] += f * right_product(s, m, i, 1 + l);
            }
        }
    }
    lsq_kernels(s)->multiply(n, -1.0, q, s->by_target, s->follow, q, q, s->follow, q, true,
                             s->nonzero, s->matrix, q);
}

/* Matrix and gradient of the one target m of a separable law, what its linear parameters can follow
 * taken out. */
static void assemble_target(struct lsq *s, size_t m)
{
    const size_t n = s->width, q = s->n_theta;
    double *matrix = s->matrix + m * n * (q + 1), *gradient = s->gradient + m * n;
    for (size_t k = 0; k < n; k++) {
        gradient[k] = -right_product(s, m, k, 0);
        for (size_t l = 0; l <= k; l++)
            matrix[l * q + k] = own_product(s, m, k, l);
    }
    for (size_t k = 0; k < s->n_basis[m]; k++) {
        double *z = s->z;
        memset(z, 0, n * sizeof *z);
        for (size_t l = 0; l < s->n_linear; l++)
            for (size_t i = 0; i < n; i++)
                z[i] += s->rotation[(m * L_MAX + l) * L_MAX + k] * right_product(s, m, i, 1 + l);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++)
                matrix[i * q + j] -= z[i] * z[j];
    }
}

/* Weighted derivatives at the last evaluated theta: own, u (weighted) and v. */
static void differentiate(struct lsq *s, const double *theta)
{
    const size_t n_e = s->n_rows * s->n_targets;
    const struct normal_kernels *kernels = lsq_kernels(s);
    s->model->law->jacobian(s->model, theta, &s->points, s->lambda, s->phi, s->own, s->u, s->v);
    if (s->n_v > 0)
        kernels->weigh(1, n_e, s->sw, s->u);
    kernels->weigh(s->n_own, n_e, s->sw, s->own);
}

/* Matrix and gradient, of a separable law those of the targets that have moved, at the last
 * evaluated theta. */
void lsq_assemble(struct lsq *s, const double *theta)
{
    if (s->model->separable) {
        for (size_t m = 0; m < s->n_targets; m++)
            s->model->idle[m] = s->search[m].assembled;
        differentiate(s, theta);
        multiply_columns(s);
        for (size_t m = 0; m < s->n_targets; m++)
            if (!s->model->idle[m]) {
                assemble_target(s, m);
                lsq_add_pull(s, m, theta);
            }
        return;
    }
    differentiate(s, theta);
    memset(s->matrix, 0, s->n_theta * s->n_theta * sizeof *s->matrix);
    memset(s->gradient, 0, s->n_theta * sizeof *s->gradient);
    multiply_columns(s);
    assemble_own(s);
    assemble_rank_one(s);
    eliminate_linear(s);
    if (s->model->pull != NULL)
        lsq_add_pull(s, 0, theta);
}

/* Row of the full Jacobian for entry e but for u v: where it is not zero values and their columns,
 * theta then lambda. Returns how many. */
static size_t own_row(const struct lsq *s, size_t r, size_t m, double *row, size_t *columns)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, e = r * n_m + m;
    size_t n = 0;
    for (size_t k = 0; k < s->n_own; k++) {
        row[n] = s->own[k * n_e + e];
        columns[n++] = s->model->own_column[m * s->n_own + k];
    }
    for (size_t l = 0; l < s->n_linear; l++) {
        row[n] = s->phi[l * n_e + e] * s->sw[e];
        columns[n++] = s->n_theta + m * s->n_linear + l;
    }
    return n;
}

/* The rank-one parts of the targets of a row: with z = sum u_e own_e + |u|^2 v / 2 they are
 * v z' + z v'. */
static void add_rank_one(size_t n_v, const double *v, size_t n, const double *z, double *matrix)
{
    for (size_t i = 0; i < n_v; i++)
        for (size_t j = 0; j < n; j++)
            matrix[i * n + j] += v[i] * z[j];
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; z[j] != 0.0 && i < n_v; i++)
            matrix[j * n + i] += z[j] * v[i];
}

void lsq_normal_matrix(struct lsq *s, const double *theta, double *matrix, size_t *n_entries)
{
    const size_t n = s->n_theta + s->n_targets * s->n_linear;
    double *z = s->full_row, *row = s->full_row + n;
    law_model_reset(s->model);
    lsq_project_out(s, theta);
    differentiate(s, theta);
    memset(matrix, 0, n * n * sizeof *matrix);
    *n_entries = 0;
    for (size_t r = 0; r < s->n_rows; r++) {
        const double *v = s->v + r * s->n_v;
        memset(z, 0, n * sizeof *z);
        for (size_t m = 0; m < s->n_targets; m++) {
            const double u = s->n_v > 0 ? s->u[r * s->n_targets + m] : 0.0;
            if (!(s->sw[r * s->n_targets + m] > 0.0))
                continue;
            ++*n_entries;
            const size_t n_row = own_row(s, r, m, row, s->full_column);
            for (size_t i = 0; i < n_row; i++) {
                double *to = matrix + s->full_column[i] * n;
                for (size_t j = 0; j < n_row; j++)
                    to[s->full_column[j]] += row[i] * row[j];
                z[s->full_column[i]] += u * row[i];
            }
            for (size_t i = 0; i < s->n_v; i++)
                z[i] += 0.5 * u * u * v[i];
        }
        add_rank_one(s->n_v, v, n, z, matrix);
    }
}

void lsq_cluster_sums(struct lsq *s, size_t cluster, double *residual, double *jacobian)
{
    const size_t n_m = s->n_targets, n = s->n_theta + n_m * s->n_linear;
    memset(residual, 0, n_m * sizeof *residual);
    memset(jacobian, 0, n * n_m * sizeof *jacobian);
    for (size_t r = 0; r < s->n_rows; r++)
        for (size_t m = 0; s->data->cluster[s->row[r]] == cluster && m < n_m; m++) {
            const size_t e = r * n_m + m;
            if (!(s->sw[e] > 0.0))
                continue;
            residual[m] += s->residual[e];
            for (size_t i = 0; i < s->n_v; i++)
                jacobian[i * n_m + m] += s->u[e] * s->v[r * s->n_v + i];
            const size_t n_row = own_row(s, r, m, s->full_row, s->full_column);
            for (size_t i = 0; i < n_row; i++)
                jacobian[s->full_column[i] * n_m + m] += s->full_row[i];
        }
}

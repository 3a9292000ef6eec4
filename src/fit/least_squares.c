/* SPDX-License-Identifier: GPL-3.0-or-later */
/* least_squares.c - see least_squares.h. */
#include "least_squares.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { L_MAX = MIX_LAW_LINEAR_MAX };

struct lsq {
    struct mix_model *model;
    const struct mix_data *data; /* borrowed */
    size_t n_rows;               /* of positive weight, the first of `points` */
    size_t n_targets, n_theta, n_linear, n_own, n_v;
    struct law_points points;
    double *mean_loss; /* (M) */
    struct law_scales scales;
    double weight_sum;
    double *y, *sw;      /* (R,M) losses and square roots of weights */
    double *g, *phi;     /* (R,M), (L,R,M) */
    double *basis;       /* (L,R,M) orthonormal basis of the free linear columns, weighted */
    double *residual;    /* (R,M) weighted */
    double *lambda;      /* (M,L) */
    size_t *n_basis;     /* (M) free linear columns of each target */
    double *own, *u, *v; /* (n_own,R,M), (R,M), (R,n_v) */
    double *matrix;      /* (Q,Q) reduced Gauss-Newton matrix */
    double *factor;      /* (Q,Q) Cholesky factor of the damped matrix */
    double *gradient, *step, *trial, *scale; /* (Q) */
    double *cross;                           /* (n_v,Q) */
    double *block;                           /* (n_own (n_own+1)/2, M) */
    double *z;                               /* (Q) */
    double *w_row;                           /* (Q) */
    size_t *free_index;                      /* (Q) */
    double *triangle;                        /* (L,L,M) R factor of the linear columns */
    double *rhs;                             /* (L,M) */
    double *project;                         /* (n_own, M) and (M, n_v) */
    double *full_row;                        /* (Q + M L) a row of the whole Jacobian */
};

static double *allocate(size_t n, int *failed)
{
    double *p = calloc(n ? n : 1, sizeof *p);
    if (p == NULL)
        *failed = 1;
    return p;
}

static int allocate_workspace(struct lsq *s, size_t n_rows)
{
    const size_t n_e = n_rows * s->n_targets, q = s->n_theta, n_m = s->n_targets;
    int failed = 0;
    s->mean_loss = allocate(n_m, &failed);
    s->y = allocate(n_e, &failed);
    s->sw = allocate(n_e, &failed);
    s->g = allocate(n_e, &failed);
    s->phi = allocate(n_e * s->n_linear, &failed);
    s->basis = allocate(n_e * s->n_linear, &failed);
    s->residual = allocate(n_e, &failed);
    s->lambda = allocate(n_m * s->n_linear, &failed);
    s->own = allocate(n_e * s->n_own, &failed);
    s->u = allocate(n_e, &failed);
    s->v = allocate(n_rows * s->n_v, &failed);
    s->matrix = allocate(q * q, &failed);
    s->factor = allocate(q * q, &failed);
    s->gradient = allocate(q, &failed);
    s->step = allocate(q, &failed);
    s->trial = allocate(q, &failed);
    s->scale = allocate(q, &failed);
    s->cross = allocate(s->n_v * q, &failed);
    s->block = allocate(s->n_own * (s->n_own + 1) / 2 * n_m, &failed);
    s->z = allocate(q, &failed);
    s->w_row = allocate(q, &failed);
    s->triangle = allocate(L_MAX * L_MAX * n_m, &failed);
    s->rhs = allocate(L_MAX * n_m, &failed);
    const size_t n_project = s->n_own + s->n_v; /* orthogonalise() needs two numbers per target */
    s->project = allocate((n_project > 2 ? n_project : 2) * n_m, &failed);
    s->full_row = allocate(q + n_m * s->n_linear, &failed);
    s->free_index = calloc(q + 1, sizeof *s->free_index);
    s->n_basis = calloc(n_m, sizeof *s->n_basis);
    return failed || s->free_index == NULL || s->n_basis == NULL;
}

static void set_scales(struct lsq *s)
{
    const struct mix_data *data = s->data;
    double ln_n = 0.0;
    for (size_t m = 0; m < s->n_targets; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t r = 0; r < data->n_rows; r++)
            if (data->weight[r * s->n_targets + m] > 0.0) {
                sum += data->loss[r * s->n_targets + m];
                n += 1.0;
            }
        s->mean_loss[m] = n > 0.0 && sum > 0.0 ? sum / n : 1.0;
    }
    for (size_t r = 0; r < data->n_rows; r++)
        ln_n += log(data->n_params[r]);
    s->scales = (struct law_scales){s->mean_loss, exp(ln_n / (double)data->n_rows)};
}

enum mix_status lsq_create(const struct mix_law_spec *spec, const int *target_domain,
                           const struct mix_data *data, struct lsq **out, struct mix_error *err)
{
    struct lsq *s = calloc(1, sizeof *s);
    if (s == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
    enum mix_status status = mix_model_create(spec, target_domain, &s->model, err);
    if (status == MIX_OK)
        status = law_model_reserve(s->model, data->n_rows, err);
    if (status == MIX_OK)
        status = law_points_create(data->n_rows, data->n_domains, &s->points, err);
    if (status != MIX_OK) {
        lsq_destroy(s);
        return status;
    }
    s->data = data;
    s->n_targets = data->n_targets;
    s->n_theta = s->model->n_theta;
    s->n_linear = s->model->n_linear;
    s->n_own = s->model->n_own;
    s->n_v = s->model->n_v;
    if (allocate_workspace(s, data->n_rows)) {
        lsq_destroy(s);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit of %zu rows", data->n_rows);
    }
    set_scales(s);
    lsq_weigh_rows(s, NULL);
    *out = s;
    return MIX_OK;
}

void lsq_destroy(struct lsq *s)
{
    if (s == NULL)
        return;
    double *const arrays[] = {s->mean_loss, s->y,        s->sw,     s->g,        s->phi,
                              s->basis,     s->residual, s->lambda, s->own,      s->u,
                              s->v,         s->matrix,   s->factor, s->gradient, s->step,
                              s->trial,     s->scale,    s->cross,  s->block,    s->z,
                              s->w_row,     s->triangle, s->rhs,    s->project,  s->full_row};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    free(s->free_index);
    free(s->n_basis);
    law_points_destroy(&s->points);
    mix_model_destroy(s->model);
    free(s);
}

struct mix_model *lsq_model(struct lsq *s)
{
    return s->model;
}

const struct law_scales *lsq_scales(const struct lsq *s)
{
    return &s->scales;
}

void lsq_weigh_rows(struct lsq *s, const double *row_weight)
{
    const struct mix_data *data = s->data;
    size_t next = 0;
    s->weight_sum = 0.0;
    for (size_t r = 0; r < data->n_rows; r++) {
        const double of_row = row_weight != NULL ? row_weight[r] : 1.0;
        double row_sum = 0.0;
        for (size_t m = 0; m < s->n_targets; m++) {
            const double w = of_row * data->weight[r * s->n_targets + m];
            row_sum += w;
            s->sw[next * s->n_targets + m] = sqrt(w);
            s->y[next * s->n_targets + m] = w > 0.0 ? data->loss[r * s->n_targets + m] : 0.0;
        }
        if (!(row_sum > 0.0))
            continue;
        s->weight_sum += row_sum;
        law_points_set(&s->points, next, data->mixture + r * data->n_domains, data->n_params[r],
                       data->n_tokens[r]);
        next++;
    }
    s->n_rows = s->points.n_rows = next;
}

/* Modified Gram-Schmidt on the weighted linear columns of all targets at once: basis, triangle and
 * rhs. A column that depends on its predecessors gets a zero basis vector and a zero diagonal. */
static void orthogonalise(struct lsq *s)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, n_l = s->n_linear;
    memset(s->triangle, 0, L_MAX * L_MAX * n_m * sizeof *s->triangle);
    memset(s->rhs, 0, L_MAX * n_m * sizeof *s->rhs);
    for (size_t l = 0; l < n_l; l++) {
        double *restrict q = s->basis + l * n_e;
        double *restrict norm = s->project, *restrict before = s->project + n_m;
        memset(s->project, 0, 2 * n_m * sizeof *s->project);
        const double *restrict phi = s->phi + l * n_e, *restrict sw = s->sw;
        for (size_t r = 0; r < s->n_rows; r++)
            for (size_t m = 0; m < n_m; m++) {
                q[r * n_m + m] = phi[r * n_m + m] * sw[r * n_m + m];
                before[m] += q[r * n_m + m] * q[r * n_m + m];
            }
        for (size_t i = 0; i < l; i++) {
            const double *restrict p = s->basis + i * n_e;
            double *restrict t = s->triangle + (i * L_MAX + l) * n_m;
            for (size_t r = 0; r < s->n_rows; r++)
                for (size_t m = 0; m < n_m; m++)
                    t[m] += p[r * n_m + m] * q[r * n_m + m];
            for (size_t r = 0; r < s->n_rows; r++)
                for (size_t m = 0; m < n_m; m++)
                    q[r * n_m + m] -= t[m] * p[r * n_m + m];
        }
        for (size_t r = 0; r < s->n_rows; r++)
            for (size_t m = 0; m < n_m; m++)
                norm[m] += q[r * n_m + m] * q[r * n_m + m];
        for (size_t m = 0; m < n_m; m++) {
            const bool independent = norm[m] > 1e-20 * before[m] && before[m] > 0.0;
            s->triangle[(l * L_MAX + l) * n_m + m] = independent ? sqrt(norm[m]) : 0.0;
            norm[m] = independent ? 1.0 / sqrt(norm[m]) : 0.0;
        }
        double *restrict c = s->rhs + l * n_m;
        for (size_t r = 0; r < s->n_rows; r++)
            for (size_t m = 0; m < n_m; m++) {
                q[r * n_m + m] *= norm[m];
                c[m] += q[r * n_m + m] * s->residual[r * n_m + m];
            }
    }
}

/* min |c - T[:,set] x| by Gram-Schmidt on the small triangle; rotation (n_l, n_set) spans T[:,set].
 * Returns the explained sum of squares, or -1 where a column is dependent or an x is negative. */
static double solve_subset(size_t n_l, double t[L_MAX][L_MAX], const double *c, unsigned set,
                           double x[L_MAX], double rotation[L_MAX][L_MAX])
{
    double upper[L_MAX][L_MAX] = {{0}}, project[L_MAX] = {0}, explained = 0.0;
    size_t column[L_MAX], n = 0;
    for (size_t l = 0; l < n_l; l++) {
        if (!(set & 1u << l))
            continue;
        double w[L_MAX], norm = 0.0, before = 0.0;
        for (size_t i = 0; i < n_l; i++) {
            w[i] = t[i][l];
            before += w[i] * w[i];
        }
        for (size_t k = 0; k < n; k++) {
            for (size_t i = 0; i < n_l; i++)
                upper[k][n] += rotation[i][k] * w[i];
            for (size_t i = 0; i < n_l; i++)
                w[i] -= upper[k][n] * rotation[i][k];
        }
        for (size_t i = 0; i < n_l; i++)
            norm += w[i] * w[i];
        if (!(norm > 1e-20 * before) || !(before > 0.0))
            return -1.0;
        upper[n][n] = sqrt(norm);
        for (size_t i = 0; i < n_l; i++) {
            rotation[i][n] = w[i] / upper[n][n];
            project[n] += rotation[i][n] * c[i];
        }
        explained += project[n] * project[n];
        column[n++] = l;
    }
    for (size_t l = 0; l < n_l; l++)
        x[l] = 0.0;
    for (size_t k = n; k-- > 0;) {
        double value = project[k];
        for (size_t i = k + 1; i < n; i++)
            value -= upper[k][i] * x[column[i]];
        x[column[k]] = value / upper[k][k];
        if (!(x[column[k]] >= 0.0))
            return -1.0;
    }
    return explained;
}

/* Non-negative linear parameters of one target: the best feasible subset of at most four columns.
 */
static void solve_target(struct lsq *s, size_t m)
{
    const size_t n_m = s->n_targets, n_l = s->n_linear;
    double t[L_MAX][L_MAX], c[L_MAX], x[L_MAX], rotation[L_MAX][L_MAX] = {{0}};
    double best_rotation[L_MAX][L_MAX] = {{0}};
    unsigned all = 0, best_set = 0;
    double best = 0.0;
    for (size_t l = 0; l < n_l; l++) {
        for (size_t i = 0; i < n_l; i++)
            t[i][l] = s->triangle[(i * L_MAX + l) * n_m + m];
        c[l] = s->rhs[l * n_m + m];
        s->lambda[m * n_l + l] = 0.0;
        all |= 1u << l;
    }
    for (unsigned set = all; set > 0; set--) {
        const double explained = solve_subset(n_l, t, c, set, x, rotation);
        if (explained > best) {
            best = explained;
            best_set = set;
            memcpy(best_rotation, rotation, sizeof rotation);
            memcpy(s->lambda + m * n_l, x, n_l * sizeof *x);
        }
        if (set == all && explained >= 0.0)
            break; /* unconstrained solution is feasible */
    }
    s->n_basis[m] = (size_t)__builtin_popcount(best_set);
    if (best_set == all)
        return; /* the basis as it is spans the free columns */
    for (size_t r = 0; r < s->n_rows; r++) {
        double old[L_MAX];
        for (size_t l = 0; l < n_l; l++)
            old[l] = s->basis[(l * s->n_rows + r) * n_m + m];
        for (size_t k = 0; k < n_l; k++) {
            double value = 0.0;
            for (size_t l = 0; k < s->n_basis[m] && l < n_l; l++)
                value += old[l] * best_rotation[l][k];
            s->basis[(k * s->n_rows + r) * n_m + m] = value;
        }
    }
}

/* Evaluate the law, solve for lambda, set basis and residual; returns the sum of squares. */
static double project_out(struct lsq *s, const double *theta)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, n_l = s->n_linear;
    s->model->law->eval(s->model, theta, &s->points, s->g, s->phi);
    for (size_t e = 0; e < n_e; e++)
        s->residual[e] = (s->y[e] - s->g[e]) * s->sw[e];
    orthogonalise(s);
    for (size_t m = 0; m < n_m; m++)
        solve_target(s, m);
    for (size_t l = 0; l < n_l; l++) {
        const double *restrict phi = s->phi + l * n_e;
        for (size_t r = 0; r < s->n_rows; r++)
            for (size_t m = 0; m < n_m; m++)
                s->residual[r * n_m + m] -=
                    s->lambda[m * n_l + l] * phi[r * n_m + m] * s->sw[r * n_m + m];
    }
    double sum = 0.0;
    for (size_t e = 0; e < n_e; e++)
        sum += s->residual[e] * s->residual[e];
    return sum;
}

/* The own blocks' share of matrix and gradient. */
static void assemble_own(struct lsq *s)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, q = s->n_theta;
    double *block = s->block;
    memset(block, 0, s->n_own * (s->n_own + 1) / 2 * n_m * sizeof *block);
    for (size_t k = 0; k < s->n_own; k++)
        for (size_t l = 0; l <= k; l++, block += n_m) {
            const double *restrict x = s->own + k * n_e, *restrict y = s->own + l * n_e;
            double *restrict sum = block;
            for (size_t r = 0; r < s->n_rows; r++)
                for (size_t m = 0; m < n_m; m++)
                    sum[m] += x[r * n_m + m] * y[r * n_m + m];
        }
    for (size_t m = 0; m < n_m; m++) {
        const size_t *column = s->model->own_column + m * s->n_own;
        block = s->block + m;
        for (size_t k = 0; k < s->n_own; k++)
            for (size_t l = 0; l <= k; l++, block += n_m) {
                s->matrix[column[k] * q + column[l]] += *block;
                if (k != l)
                    s->matrix[column[l] * q + column[k]] += *block;
            }
    }
}

/* The rank-one parts: with w = sum_m u_m own_m and z = w + |u|^2 v / 2 every row adds v z' + z v'.
 */
static void assemble_rank_one(struct lsq *s)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, q = s->n_theta;
    memset(s->cross, 0, s->n_v * q * sizeof *s->cross);
    for (size_t r = 0; r < s->n_rows; r++) {
        const double *restrict v = s->v + r * s->n_v;
        double *restrict z = s->w_row;
        double uu = 0.0, ur = 0.0;
        memset(z, 0, q * sizeof *z);
        for (size_t m = 0; m < n_m; m++) {
            const size_t e = r * n_m + m, *column = s->model->own_column + m * s->n_own;
            uu += s->u[e] * s->u[e];
            ur += s->u[e] * s->residual[e];
            for (size_t k = 0; k < s->n_own; k++) {
                z[column[k]] += s->own[k * n_e + e] * s->u[e];
                s->gradient[column[k]] -= s->own[k * n_e + e] * s->residual[e];
            }
        }
        for (size_t i = 0; i < s->n_v; i++) {
            z[i] += 0.5 * uu * v[i];
            s->gradient[i] -= ur * v[i];
        }
        for (size_t i = 0; i < s->n_v; i++) {
            double *restrict row = s->cross + i * q;
            for (size_t j = 0; j < q; j++)
                row[j] += v[i] * z[j];
        }
    }
    for (size_t i = 0; i < s->n_v; i++)
        for (size_t j = 0; j < q; j++) {
            s->matrix[i * q + j] += s->cross[i * q + j];
            s->matrix[j * q + i] += s->cross[i * q + j];
        }
}

/* z = J' q for basis vector k of all targets: own part (n_own, M) and v part (n_v, M) into
 * s->project. */
static void project_basis(struct lsq *s, size_t k)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m;
    const double *restrict q = s->basis + k * n_e;
    memset(s->project, 0, (s->n_own + s->n_v) * n_m * sizeof *s->project);
    for (size_t l = 0; l < s->n_own; l++) {
        const double *restrict own = s->own + l * n_e;
        double *restrict sum = s->project + l * n_m;
        for (size_t r = 0; r < s->n_rows; r++)
            for (size_t m = 0; m < n_m; m++)
                sum[m] += own[r * n_m + m] * q[r * n_m + m];
    }
    for (size_t r = 0; r < s->n_rows; r++) {
        const double *restrict v = s->v + r * s->n_v;
        for (size_t m = 0; m < n_m; m++) {
            const double f = s->u[r * n_m + m] * q[r * n_m + m];
            double *restrict sum = s->project + s->n_own * n_m + m * s->n_v;
            for (size_t i = 0; i < s->n_v; i++)
                sum[i] += f * v[i];
        }
    }
}

/* Kaufman: what the linear parameters can follow is taken out of the matrix. */
static void eliminate_linear(struct lsq *s)
{
    const size_t n_m = s->n_targets, q = s->n_theta;
    for (size_t k = 0; k < s->n_linear; k++) {
        project_basis(s, k);
        for (size_t m = 0; m < n_m; m++) {
            if (k >= s->n_basis[m])
                continue;
            const size_t *column = s->model->own_column + m * s->n_own;
            memset(s->z, 0, q * sizeof *s->z);
            for (size_t i = 0; i < s->n_v; i++)
                s->z[i] = s->project[s->n_own * n_m + m * s->n_v + i];
            for (size_t l = 0; l < s->n_own; l++)
                s->z[column[l]] += s->project[l * n_m + m];
            for (size_t i = 0; i < q; i++) {
                const double zi = s->z[i];
                double *restrict row = s->matrix + i * q;
                for (size_t j = 0; zi != 0.0 && j < q; j++)
                    row[j] -= zi * s->z[j];
            }
        }
    }
}

/* Weighted derivatives at the last evaluated theta: own, u (weighted) and v. */
static void differentiate(struct lsq *s, const double *theta)
{
    const size_t n_e = s->n_rows * s->n_targets;
    s->model->law->jacobian(s->model, theta, &s->points, s->lambda, s->phi, s->own, s->u, s->v);
    for (size_t e = 0; e < n_e; e++)
        s->u[e] *= s->sw[e];
    for (size_t k = 0; k < s->n_own; k++)
        for (size_t e = 0; e < n_e; e++)
            s->own[k * n_e + e] *= s->sw[e];
}

static void assemble(struct lsq *s, const double *theta)
{
    differentiate(s, theta);
    memset(s->matrix, 0, s->n_theta * s->n_theta * sizeof *s->matrix);
    memset(s->gradient, 0, s->n_theta * sizeof *s->gradient);
    assemble_own(s);
    assemble_rank_one(s);
    eliminate_linear(s);
}

/* Free parameters: not on a bound that the gradient pushes against. Returns their number. */
static size_t find_free(struct lsq *s, const double *theta)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_theta; i++) {
        const bool low = theta[i] <= s->model->lower[i] && s->gradient[i] > 0.0;
        const bool high = theta[i] >= s->model->upper[i] && s->gradient[i] < 0.0;
        if (!low && !high)
            s->free_index[n++] = i;
    }
    return n;
}

/* Cosine of the angle between the residual and the free column it is nearest to. */
static double gradient_cosine(const struct lsq *s, size_t n_free, double sum)
{
    double worst = 0.0;
    for (size_t k = 0; k < n_free; k++) {
        const size_t i = s->free_index[k];
        const double norm = sqrt(fmax(s->matrix[i * s->n_theta + i], 0.0) * sum);
        if (!isfinite(norm) || !isfinite(s->gradient[i]))
            return INFINITY;
        if (norm > DBL_MIN)
            worst = fmax(worst, fabs(s->gradient[i]) / norm);
    }
    return worst;
}

/* Cholesky of the n x n matrix in place: a = u'u, u in the upper triangle; false where a is not
 * positive definite. Right-looking, so that the inner loop runs along rows. */
static bool factorise(double *a, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        double *restrict pivot_row = a + k * n;
        if (!(pivot_row[k] > 0.0))
            return false;
        const double inverse = 1.0 / sqrt(pivot_row[k]);
        for (size_t j = k; j < n; j++)
            pivot_row[j] *= inverse;
        for (size_t i = k + 1; i < n; i++) {
            const double f = pivot_row[i];
            double *restrict row = a + i * n;
            for (size_t j = i; f != 0.0 && j < n; j++)
                row[j] -= f * pivot_row[j];
        }
    }
    return true;
}

/* step = -(matrix + damping diag(scale))^-1 gradient on the free parameters, 0 elsewhere. */
static bool solve_damped(struct lsq *s, size_t n_free, double damping)
{
    double *a = s->factor, *x = s->z;
    for (size_t i = 0; i < n_free; i++) {
        const size_t fi = s->free_index[i];
        for (size_t j = i; j < n_free; j++)
            a[i * n_free + j] = s->matrix[fi * s->n_theta + s->free_index[j]];
        a[i * n_free + i] += damping * s->scale[fi];
        x[i] = -s->gradient[fi];
    }
    if (!factorise(a, n_free))
        return false;
    for (size_t k = 0; k < n_free; k++) {
        x[k] /= a[k * n_free + k];
        for (size_t i = k + 1; i < n_free; i++)
            x[i] -= a[k * n_free + i] * x[k];
    }
    for (size_t i = n_free; i-- > 0;) {
        for (size_t j = i + 1; j < n_free; j++)
            x[i] -= a[i * n_free + j] * x[j];
        x[i] /= a[i * n_free + i];
    }
    memset(s->step, 0, s->n_theta * sizeof *s->step);
    for (size_t i = 0; i < n_free; i++)
        s->step[s->free_index[i]] = x[i];
    return true;
}

/* Clip the trial point to the box; returns the reduction of the sum of squares that the model
 * predicts. */
static double clip_and_predict(struct lsq *s, const double *theta)
{
    const size_t q = s->n_theta;
    double linear = 0.0, quadratic = 0.0;
    for (size_t i = 0; i < q; i++) {
        s->trial[i] = fmin(fmax(theta[i] + s->step[i], s->model->lower[i]), s->model->upper[i]);
        s->step[i] = s->trial[i] - theta[i];
        linear += s->gradient[i] * s->step[i];
    }
    for (size_t i = 0; i < q; i++) {
        double row = 0.0;
        for (size_t j = 0; s->step[i] != 0.0 && j < q; j++)
            row += s->matrix[i * q + j] * s->step[j];
        quadratic += row * s->step[i];
    }
    return -2.0 * linear - quadratic;
}

static void update_scale(struct lsq *s)
{
    double top = 0.0;
    for (size_t i = 0; i < s->n_theta; i++) {
        s->scale[i] = fmax(s->scale[i], s->matrix[i * s->n_theta + i]);
        top = fmax(top, s->scale[i]);
    }
    for (size_t i = 0; i < s->n_theta; i++)
        s->scale[i] = fmax(s->scale[i], 1e-10 * top);
}

enum mix_status lsq_minimise(struct lsq *s, double *theta, int max_steps, double tolerance,
                             struct mix_poll *poll, struct lsq_result *result,
                             struct mix_error *err)
{
    const size_t bytes = s->n_theta * sizeof *theta;
    double damping = 1e-3, growth = 2.0;
    int stalled = 0;
    law_model_reset(s->model);
    memset(s->scale, 0, bytes);
    double sum = project_out(s, theta);
    if (!isfinite(sum))
        return mix_fail(err, MIX_ENUMERIC, "the start has no finite loss");
    *result = (struct lsq_result){0};
    bool fresh = true;
    size_t n_free = 0;
    for (result->steps = 0; result->steps < max_steps; result->steps++) {
        if (mix_poll(poll))
            return mix_fail(err, MIX_EINTERRUPTED, "interrupted");
        if (fresh) {
            assemble(s, theta);
            update_scale(s);
            n_free = find_free(s, theta);
            result->gradient = gradient_cosine(s, n_free, sum);
            if (!isfinite(result->gradient))
                return mix_fail(err, MIX_ENUMERIC, "the derivatives of the law are not finite");
            fresh = false;
        }
        result->converged = result->gradient <= tolerance || stalled >= 3 || n_free == 0;
        if (result->converged || damping > 1e20)
            break;
        double predicted = 0.0, next = INFINITY;
        if (solve_damped(s, n_free, damping)) {
            predicted = clip_and_predict(s, theta);
            if (predicted > 0.0)
                next = project_out(s, s->trial);
        }
        const double gain = sum - next;
        if (gain > 1e-4 * predicted && predicted > 0.0) {
            const double t = 2.0 * gain / predicted - 1.0;
            damping = fmax(damping * fmax(1.0 / 3.0, 1.0 - t * t * t), 1e-14);
            growth = 2.0;
            stalled = gain <= 1e-13 * sum ? stalled + 1 : 0;
            memcpy(theta, s->trial, bytes);
            sum = next;
            fresh = true;
        } else {
            damping *= growth;
            growth *= 2.0;
            if (predicted > 0.0 && predicted <= 1e-14 * sum)
                stalled = 3;
        }
    }
    result->objective = sum / s->weight_sum;
    return MIX_OK;
}

double lsq_evaluate(struct lsq *s, const double *theta, double *lambda)
{
    law_model_reset(s->model);
    const double sum = project_out(s, theta);
    memcpy(lambda, s->lambda, s->n_targets * s->n_linear * sizeof *lambda);
    return sum / s->weight_sum;
}

/* Row of the full Jacobian for entry e, columns theta then lambda. */
static void jacobian_row(const struct lsq *s, size_t r, size_t m, double *row)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, e = r * n_m + m;
    memset(row, 0, (s->n_theta + n_m * s->n_linear) * sizeof *row);
    for (size_t i = 0; i < s->n_v; i++)
        row[i] = s->u[e] * s->v[r * s->n_v + i];
    for (size_t k = 0; k < s->n_own; k++)
        row[s->model->own_column[m * s->n_own + k]] += s->own[k * n_e + e];
    for (size_t l = 0; l < s->n_linear; l++)
        row[s->n_theta + m * s->n_linear + l] = s->phi[l * n_e + e] * s->sw[e];
}

void lsq_normal_matrix(struct lsq *s, const double *theta, double *matrix, size_t *n_entries)
{
    const size_t n = s->n_theta + s->n_targets * s->n_linear;
    law_model_reset(s->model);
    project_out(s, theta);
    differentiate(s, theta);
    memset(matrix, 0, n * n * sizeof *matrix);
    *n_entries = 0;
    for (size_t r = 0; r < s->n_rows; r++)
        for (size_t m = 0; m < s->n_targets; m++) {
            if (!(s->sw[r * s->n_targets + m] > 0.0))
                continue;
            ++*n_entries;
            double *row = s->full_row;
            jacobian_row(s, r, m, row);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; row[i] != 0.0 && j < n; j++)
                    matrix[i * n + j] += row[i] * row[j];
        }
}

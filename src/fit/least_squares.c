/* SPDX-License-Identifier: GPL-3.0-or-later */
/* least_squares.c - see least_squares.h. */
#include "least_squares.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "normal.h"

enum { L_MAX = MIX_LAW_LINEAR_MAX };
/* Residuals, relative to the mean loss, that laws usually leave, and the least that any does. */
static const double FREEDOM_MIN = 4.0, USUAL_RESIDUAL = 0.005, LEAST_RESIDUAL = 0.001;
/* A search that goes on elsewhere is not to be held back by the last refusals of another. */
/* Of what priors cost, which is far off then. */
static const double EXPONENT_MAX = 300.0;
static const double DAMPING_MAX = 1e3, LEAST_GAIN = 1e-13;

/* Where the search of one block stands. */
struct search {
    double sum;      /* what is minimised, at theta */
    double squares;  /* of residuals and priors at theta */
    double slope;    /* of the sum by squares */
    double gradient; /* cosine at theta */
    double damping, growth;
    double predicted; /* reduction of the sum at the trial point; 0 = there is none */
    size_t n_free;
    int stalled;
    bool assembled; /* matrix and gradient are those at theta */
    bool converged;
};

/* Targets that have no parameter in common are blocks of their own, each with its own damping: what
 * one accepts does not wait for the others. All are evaluated at once. */
struct lsq {
    struct mix_model *model;
    const struct mix_data *data; /* borrowed */
    size_t n_rows;               /* of positive weight, the first of `points` */
    size_t *row_order;           /* (R) rows of the data, those of one mixture and size together */
    size_t *row;                 /* (R) row of the data behind each of the first n_rows */
    size_t n_targets, n_theta, n_linear, n_own, n_v;
    size_t n_blocks;       /* M where the targets are blocks, else 1 */
    size_t width;          /* of a block: theta b * width .. */
    struct search *search; /* (n_blocks) */
    double *sums;          /* (n_blocks) what is minimised at the last evaluated theta */
    double *squares;       /* (n_blocks) of residuals and priors there */
    double *slope;         /* (n_blocks) of the sum by squares there */
    double *penalty;       /* (n_blocks) -2 ln of the priors there */
    double *variance;      /* (n_blocks) of the residuals, there or as given */
    double *given;         /* (n_blocks) by lsq_hold_priors(); NaN = not */
    double *freedom;       /* (n_blocks) losses less parameters, FREEDOM_MIN at least */
    double *missing;       /* (n_blocks) sum of squares of the losses that it takes for that */
    double *reached;       /* (n_blocks) of the last minimum, over weight_sum */
    double *block_weight;  /* (n_blocks) sum of the weights */
    struct law_points points;
    double *mean_loss; /* (M) */
    double *worth;     /* (M) by which squares count: 1 where the losses have one unit */
    double *unit;      /* (M) mean loss with the weights of now, or of when priors were held */
    bool priors_held;
    struct law_scales scales;
    double weight_sum;
    double *y, *sw;      /* (R,M) losses and square roots of weights */
    double *g, *phi;     /* (R,M), (L,R,M) */
    double *basis;       /* (L,R,M) orthonormal basis of the free linear columns, weighted */
    double *residual;    /* (R,M) weighted */
    double *lambda;      /* (M,L) */
    size_t *n_basis;     /* (M) free linear columns of each target */
    double *own, *u, *v; /* (n_own,R,M), (R,M), (R,n_v) */
    struct normal_rows rows;
    const double **column; /* (n_own + L + 2) those of `own`, `basis`, `residual` and `u` */
    double *matrix;        /* (Q,Q) reduced Gauss-Newton matrix, upper triangle of each block */
    double *factor;        /* (width,width) Cholesky factor of the damped matrix, rows padded */
    double *gradient, *step, *trial, *scale; /* (Q) */
    double *cross;                           /* (n_v,Q) */
    double *product;                         /* (n_own, n_own + 1 + L, ld) of columns */
    double *z;                               /* (Q) */
    double *cell_v, *cell_z;                 /* (R,n_v), (R,Q) of neighbours with one v */
    double *cell_along;                      /* (R,L,ld) u' basis of the same */
    double *follow_v;                        /* (L,ld,n_v) */
    double *follow;                          /* (M L,Q) J' q of each free linear direction */
    size_t *free_index;                      /* (Q) within its block, in the order of `order` */
    size_t *order;                           /* (width) parameters of single targets first */
    size_t *order_end;                       /* (width) where those of a target end, in order */
    size_t *end;                             /* (width) the same among the free ones */
    size_t *own_place;                       /* (M,n_own,n_own) of two own columns in `matrix` */
    size_t n_private;                        /* parameters of single targets */
    double *triangle;                        /* (L,L,ld) R factor of the linear columns */
    double *rhs;                             /* (L,ld) */
    double *lambda_by_term;                  /* (L,ld) */
    double *rotation;                        /* (M,L,L) from `basis` to the free directions */
    double *square;                          /* (ld) */
    double *full_row;                        /* (Q + M L) a row of the whole Jacobian */
    size_t *full_column;                     /* and the columns of its entries */
};

static double *allocate(size_t n, int *failed)
{
    double *p = calloc(n + 2 * LANES_MOST, sizeof *p); /* kernels read beyond the end */
    if (p == NULL)
        *failed = 1;
    return p;
}

static size_t padded(size_t n)
{
    return (n + LANES_MOST - 1) / LANES_MOST * LANES_MOST;
}

static int allocate_blocks(struct lsq *s)
{
    const size_t n_b = s->n_blocks;
    int failed = 0;
    s->sums = allocate(n_b, &failed);
    s->reached = allocate(n_b, &failed);
    s->block_weight = allocate(n_b, &failed);
    s->squares = allocate(n_b, &failed);
    s->slope = allocate(n_b, &failed);
    s->penalty = allocate(n_b, &failed);
    s->variance = allocate(n_b, &failed);
    s->given = allocate(n_b, &failed);
    s->freedom = allocate(n_b, &failed);
    s->missing = allocate(n_b, &failed);
    s->search = calloc(n_b, sizeof *s->search);
    return failed || s->search == NULL;
}

static int allocate_workspace(struct lsq *s, size_t n_rows)
{
    const size_t n_e = n_rows * s->n_targets, q = s->n_theta, n_m = s->n_targets;
    const size_t ld = s->rows.ld;
    int failed = allocate_blocks(s);
    s->mean_loss = allocate(n_m, &failed);
    s->unit = allocate(n_m, &failed);
    s->worth = allocate(n_m, &failed);
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
    s->factor = allocate(s->width * padded(s->width), &failed);
    s->gradient = allocate(q, &failed);
    s->step = allocate(q, &failed);
    s->trial = allocate(q, &failed);
    s->scale = allocate(q, &failed);
    s->cross = allocate(s->n_v * q, &failed);
    s->product = allocate(s->n_own * (s->n_own + 1 + s->n_linear) * ld, &failed);
    s->z = allocate(q, &failed);
    const size_t n_cells = s->n_v > 0 ? n_rows : 0;
    s->cell_v = allocate(n_cells * s->n_v, &failed);
    s->cell_z = allocate(n_cells * q, &failed);
    s->cell_along = allocate((n_cells + 1) * (s->n_own + s->n_linear + 2) * ld, &failed);
    s->follow_v = allocate(s->n_linear * ld * s->n_v, &failed);
    s->follow = allocate(n_m * s->n_linear * q, &failed);
    s->triangle = allocate(L_MAX * L_MAX * ld, &failed);
    s->rhs = allocate(L_MAX * ld, &failed);
    s->lambda_by_term = allocate(L_MAX * ld, &failed);
    s->rotation = allocate(n_m * L_MAX * L_MAX, &failed);
    s->square = allocate(ld, &failed);
    s->full_row = allocate(q + n_m * s->n_linear, &failed);
    s->free_index = calloc(q + 1, sizeof *s->free_index);
    s->full_column = calloc(q + n_m * s->n_linear, sizeof *s->full_column);
    s->order = calloc(s->width + 1, sizeof *s->order);
    s->order_end = calloc(s->width + 1, sizeof *s->order_end);
    s->end = calloc(s->width + 1, sizeof *s->end);
    s->own_place = calloc(n_m * s->n_own * s->n_own + 1, sizeof *s->own_place);
    s->column = calloc(s->n_own + s->n_linear + 2, sizeof *s->column);
    s->n_basis = calloc(n_m, sizeof *s->n_basis);
    return failed || s->free_index == NULL || s->n_basis == NULL || s->full_column == NULL ||
           s->order == NULL || s->order_end == NULL || s->end == NULL || s->own_place == NULL ||
           s->column == NULL;
}

static void set_blocks(struct lsq *s)
{
    s->n_blocks = s->model->separable ? s->n_targets : 1;
    s->width = s->n_theta / s->n_blocks;
}

/* Parameters that only one target's loss depends on come first, target by target: their part of the
 * matrix is block diagonal, and the factor stays so. */
static void set_order(struct lsq *s)
{
    size_t n = 0;
    for (size_t m = 0; s->n_blocks == 1 && m < s->n_targets; m++) {
        const size_t begin = n;
        for (size_t k = 0; k < s->n_own; k++) {
            const size_t column = s->model->own_column[m * s->n_own + k];
            size_t n_users = 0;
            for (size_t i = 0; i < s->n_targets * s->n_own; i++)
                n_users += s->model->own_column[i] == column;
            if (n_users == 1 && column >= s->n_v)
                s->order[n++] = column;
        }
        for (size_t i = begin; i < n; i++)
            s->order_end[i] = n;
    }
    s->n_private = n;
    for (size_t i = 0; i < s->width; i++) {
        bool there = false;
        for (size_t k = 0; !there && k < s->n_private; k++)
            there = s->order[k] == i;
        if (!there)
            s->order[n++] = i;
    }
}

static void set_own_places(struct lsq *s)
{
    for (size_t m = 0; !s->model->separable && m < s->n_targets; m++) {
        const size_t *column = s->model->own_column + m * s->n_own;
        size_t *place = s->own_place + m * s->n_own * s->n_own;
        for (size_t k = 0; k < s->n_own; k++)
            for (size_t l = 0; l < s->n_own; l++) {
                const size_t a = column[k], b = column[l];
                place[k * s->n_own + l] = (a < b ? a : b) * s->n_theta + (a < b ? b : a);
            }
    }
}

/* A row and what it is sorted by. */
struct sorted_row {
    const double *mixture;
    size_t n_domains, row;
    double n_params, n_tokens;
};

static int compare_numbers(double x, double y)
{
    return (x > y) - (x < y);
}

static int compare_rows(const void *a, const void *b)
{
    const struct sorted_row *x = a, *y = b;
    int by = 0;
    for (size_t j = 0; by == 0 && j < x->n_domains; j++)
        by = compare_numbers(x->mixture[j], y->mixture[j]);
    if (by == 0)
        by = compare_numbers(x->n_params, y->n_params);
    if (by == 0)
        by = compare_numbers(x->n_tokens, y->n_tokens);
    return by != 0 ? by : (x->row > y->row) - (x->row < y->row);
}

static enum mix_status set_row_order(struct lsq *s, struct mix_error *err)
{
    const struct mix_data *data = s->data;
    struct sorted_row *rows = calloc(data->n_rows, sizeof *rows);
    s->row_order = calloc(data->n_rows, sizeof *s->row_order);
    s->row = calloc(data->n_rows, sizeof *s->row);
    if (rows == NULL || s->row_order == NULL || s->row == NULL) {
        free(rows);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit of %zu rows", data->n_rows);
    }
    for (size_t r = 0; r < data->n_rows; r++)
        rows[r] = (struct sorted_row){data->mixture + r * data->n_domains, data->n_domains, r,
                                      data->n_params[r], data->n_tokens[r]};
    qsort(rows, data->n_rows, sizeof *rows, compare_rows);
    for (size_t r = 0; r < data->n_rows; r++)
        s->row_order[r] = rows[r].row;
    free(rows);
    return MIX_OK;
}

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

static const struct normal_kernels *kernels_of(const struct lsq *s)
{
    return normal_kernels(s->model->isa);
}

static size_t block_of(const struct lsq *s, size_t m)
{
    return s->n_blocks > 1 ? m : 0;
}

static void set_scales(struct lsq *s)
{
    const struct mix_data *data = s->data;
    double ln_n = 0.0, ln_d = 0.0;
    for (size_t m = 0; m < s->n_targets; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t r = 0; r < data->n_rows; r++)
            if (data->weight[r * s->n_targets + m] > 0.0) {
                sum += data->loss[r * s->n_targets + m];
                n += 1.0;
            }
        s->mean_loss[m] = n > 0.0 && sum > 0.0 ? sum / n : 1.0;
    }
    for (size_t r = 0; r < data->n_rows; r++) {
        ln_n += log(data->n_params[r]);
        ln_d += log(data->n_tokens[r]);
    }
    const double n_rows = (double)data->n_rows;
    s->scales = (struct law_scales){s->mean_loss, exp(ln_n / n_rows), exp(ln_d / n_rows)};
}

/* Targets that share parameters are weighed against each other: where they differ in unit, by
 * squares relative to their sizes. Together they count as many as they are. */
static void set_worth(struct lsq *s)
{
    double sum = 0.0, n = 0.0;
    bool equal = s->data->size == NULL || s->n_blocks > 1;
    for (size_t m = 0; m < s->n_targets && !equal; m++)
        for (size_t r = 0; r < s->data->n_rows; r++)
            if (s->data->weight[r * s->n_targets + m] > 0.0) {
                sum += 1.0 / (s->data->size[m] * s->data->size[m]);
                n += 1.0;
            }
    for (size_t m = 0; m < s->n_targets; m++)
        s->worth[m] = equal ? 1.0 : n / sum / (s->data->size[m] * s->data->size[m]);
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
    s->rows = (struct normal_rows){0, s->n_targets, padded(s->n_targets)};
    set_blocks(s);
    if (allocate_workspace(s, data->n_rows)) {
        lsq_destroy(s);
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit of %zu rows", data->n_rows);
    }
    status = set_row_order(s, err);
    if (status != MIX_OK) {
        lsq_destroy(s);
        return status;
    }
    set_order(s);
    set_own_places(s);
    set_scales(s);
    set_worth(s);
    for (size_t b = 0; b < s->n_blocks; b++)
        s->given[b] = NAN;
    lsq_weigh_rows(s, NULL);
    *out = s;
    return MIX_OK;
}

void lsq_destroy(struct lsq *s)
{
    if (s == NULL)
        return;
    double *const arrays[] = {s->worth,
                              s->mean_loss,
                              s->unit,
                              s->y,
                              s->sw,
                              s->g,
                              s->phi,
                              s->basis,
                              s->residual,
                              s->lambda,
                              s->own,
                              s->u,
                              s->v,
                              s->matrix,
                              s->factor,
                              s->gradient,
                              s->step,
                              s->trial,
                              s->scale,
                              s->cross,
                              s->product,
                              s->z,
                              s->cell_v,
                              s->cell_z,
                              s->cell_along,
                              s->follow_v,
                              s->follow,
                              s->triangle,
                              s->rhs,
                              s->rotation,
                              s->lambda_by_term,
                              s->square,
                              s->full_row,
                              s->sums,
                              s->reached,
                              s->block_weight,
                              s->squares,
                              s->slope,
                              s->penalty,
                              s->variance,
                              s->given,
                              s->freedom,
                              s->missing};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    free(s->free_index);
    free(s->full_column);
    free(s->row_order);
    free(s->row);
    free(s->order);
    free(s->order_end);
    free(s->end);
    free(s->own_place);
    free(s->column);
    free(s->n_basis);
    free(s->search);
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

/* Where losses leave less than FREEDOM_MIN, residuals do not tell their variance, and a law could
 * follow every loss at any price: the missing ones are taken to leave USUAL_RESIDUAL of the mean
 * loss, as laws do that suit a table. */
static void set_freedom(struct lsq *s)
{
    const double n_params = (double)mix_model_n_free(s->model) / (double)s->n_blocks;
    memset(s->missing, 0, s->n_blocks * sizeof *s->missing);
    for (size_t m = 0; m < s->n_targets; m++) {
        const size_t b = block_of(s, m);
        const double left = s->block_weight[b] - n_params, usual = USUAL_RESIDUAL * s->unit[m];
        s->freedom[b] = fmax(left, FREEDOM_MIN);
        if (s->model->pull != NULL)
            s->missing[b] += (s->freedom[b] - left) * usual * usual * (double)s->n_blocks /
                             (double)s->n_targets * s->worth[m];
    }
}

static void set_units(struct lsq *s)
{
    for (size_t m = 0; !s->priors_held && m < s->n_targets; m++) {
        double sum = 0.0, n = 0.0;
        for (size_t e = m; e < s->n_rows * s->n_targets; e += s->n_targets) {
            sum += s->sw[e] * s->sw[e] * s->y[e];
            n += s->sw[e] * s->sw[e];
        }
        s->unit[m] = n > 0.0 && sum > 0.0 ? sum / n : 1.0;
    }
}

void lsq_weigh_rows(struct lsq *s, const double *row_weight)
{
    const struct mix_data *data = s->data;
    size_t next = 0;
    s->weight_sum = 0.0;
    memset(s->block_weight, 0, s->n_blocks * sizeof *s->block_weight);
    for (size_t i = 0; i < data->n_rows; i++) {
        const size_t r = s->row_order[i];
        const double of_row = row_weight != NULL ? row_weight[r] : 1.0;
        double row_sum = 0.0;
        for (size_t m = 0; m < s->n_targets; m++) {
            const double w = of_row * data->weight[r * s->n_targets + m] * s->worth[m];
            row_sum += w;
            s->block_weight[block_of(s, m)] += w;
            s->sw[next * s->n_targets + m] = sqrt(w);
            s->y[next * s->n_targets + m] = w > 0.0 ? data->loss[r * s->n_targets + m] : 0.0;
        }
        if (!(row_sum > 0.0))
            continue;
        s->weight_sum += row_sum;
        law_points_set(&s->points, next, data->mixture + r * data->n_domains, data->n_params[r],
                       data->n_tokens[r]);
        if (data->unique != NULL)
            law_points_set_unique(&s->points, next, data->unique + r * data->n_domains);
        s->row[next++] = r;
    }
    s->n_rows = s->points.n_rows = s->rows.n_rows = next;
    law_model_reset(s->model);
    set_units(s);
    set_freedom(s);
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

/* All linear parameters of one target by the triangle alone; false where a column is dependent or a
 * parameter negative. */
static bool solve_all(struct lsq *s, size_t m)
{
    const size_t n_l = s->n_linear, ld = s->rows.ld;
    double *x = s->lambda + m * n_l, *rotation = s->rotation + m * L_MAX * L_MAX;
    for (size_t l = n_l; l-- > 0;) {
        const double diagonal = s->triangle[(l * n_l + l) * ld + m];
        double value = s->rhs[l * ld + m];
        for (size_t i = l + 1; i < n_l; i++)
            value -= s->triangle[(l * n_l + i) * ld + m] * x[i];
        if (!(diagonal > 0.0) || !(value >= 0.0))
            return false;
        x[l] = value / diagonal;
    }
    memset(rotation, 0, L_MAX * L_MAX * sizeof *rotation);
    for (size_t l = 0; l < n_l; l++)
        rotation[l * L_MAX + l] = 1.0;
    s->n_basis[m] = n_l;
    return true;
}

/* Non-negative linear parameters of one target: the best feasible subset of at most four columns.
 */
static void solve_target(struct lsq *s, size_t m)
{
    const size_t n_l = s->n_linear;
    if (solve_all(s, m))
        return;
    double t[L_MAX][L_MAX], c[L_MAX], x[L_MAX], rotation[L_MAX][L_MAX] = {{0}};
    double *best_rotation = s->rotation + m * L_MAX * L_MAX;
    unsigned all = 0, best_set = 0;
    double best = 0.0;
    for (size_t l = 0; l < n_l; l++) {
        for (size_t i = 0; i < n_l; i++)
            t[i][l] = i <= l ? s->triangle[(i * n_l + l) * s->rows.ld + m] : 0.0;
        c[l] = s->rhs[l * s->rows.ld + m];
        s->lambda[m * n_l + l] = 0.0;
        all |= 1u << l;
    }
    for (unsigned set = all; set > 0; set--) {
        const double explained = solve_subset(n_l, t, c, set, x, rotation);
        if (explained > best) {
            best = explained;
            best_set = set;
            memcpy(best_rotation, rotation, sizeof rotation); /* rows l, columns k */
            memcpy(s->lambda + m * n_l, x, n_l * sizeof *x);
        }
        if (set == all && explained >= 0.0)
            break; /* unconstrained solution is feasible */
    }
    s->n_basis[m] = (size_t)__builtin_popcount(best_set);
}

/* Those of losses are in units of the target's. */
static double pull_of(const struct lsq *s, size_t i)
{
    const size_t n = s->model->n_loss_priors;
    if (i >= n)
        return s->model->pull[i];
    const double unit = s->unit[i / (n / s->n_targets)];
    return s->model->pull[i] / (unit * unit);
}

/* Precision of the prior of theta_i, off its centre by so much: a Cauchy prior is a normal one
 * whose precision falls with the distance. */
static double precision_of(const struct lsq *s, size_t i, double off)
{
    const double pull = pull_of(s, i);
    return s->model->heavy_tails[i] ? 2.0 * pull / (1.0 + pull * off * off) : pull;
}

/* Set -2 ln of the prior of every block. */
static void set_penalties(struct lsq *s, const double *theta)
{
    memset(s->penalty, 0, s->n_blocks * sizeof *s->penalty);
    for (size_t i = 0; s->model->pull != NULL && i < s->n_theta; i++) {
        const double off = theta[i] - s->model->centre[i], square = pull_of(s, i) * off * off;
        s->penalty[i / s->width] += s->model->heavy_tails[i] ? 2.0 * log1p(square) : square;
    }
}

/* Set what is minimised of every block, see least_squares.h; returns the total. */
static double sum_squares(struct lsq *s, const double *theta)
{
    double total = 0.0;
    set_penalties(s, theta);
    memcpy(s->squares, s->missing, s->n_blocks * sizeof *s->squares);
    for (size_t m = 0; m < s->n_targets; m++)
        s->squares[block_of(s, m)] += s->square[m];
    for (size_t b = 0; b < s->n_blocks; b++) {
        const bool given = !isnan(s->given[b]);
        s->variance[b] = given ? s->given[b] : s->squares[b] / s->freedom[b];
        s->slope[b] = given ? 1.0 : exp(fmin(s->penalty[b] / s->freedom[b], EXPONENT_MAX));
        s->sums[b] = s->slope[b] * s->squares[b];
        s->squares[b] += s->variance[b] * s->penalty[b];
        if (given)
            s->sums[b] = s->squares[b];
        total += s->sums[b];
    }
    return total;
}

/* Evaluate the law, solve for lambda, set basis and residual; returns the sum of squares. */
static double project_out(struct lsq *s, const double *theta)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, n_l = s->n_linear;
    const struct normal_kernels *kernels = kernels_of(s);
    s->model->law->eval(s->model, theta, &s->points, s->g, s->phi);
    kernels->residuals(n_e, s->y, s->g, s->sw, s->residual);
    kernels->orthogonalise(&s->rows, n_l, n_e, s->phi, s->sw, s->residual, s->basis, s->triangle,
                           s->rhs);
    for (size_t m = 0; m < n_m; m++)
        solve_target(s, m);
    for (size_t l = 0; l < n_l; l++)
        for (size_t m = 0; m < n_m; m++)
            s->lambda_by_term[l * s->rows.ld + m] = s->lambda[m * n_l + l];
    kernels->subtract(&s->rows, n_l, n_e, s->lambda_by_term, s->phi, s->sw, s->residual, s->square);
    return sum_squares(s, theta);
}

/* Products of the own columns with each other, the residual and the basis, into s->product. */
static void multiply_columns(struct lsq *s)
{
    const size_t n_e = s->n_rows * s->n_targets, n_own = s->n_own, n_l = s->n_linear;
    const struct normal_kernels *kernels = kernels_of(s);
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
    kernels_of(s)->along(&rows, n_own + n_l + 2, s->column, s->u + begin * n_m, along);
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
    const struct normal_kernels *kernels = kernels_of(s);
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
    kernels->multiply(n_cells, 1.0, n_v, s->cell_v, n_v, q, s->cell_z, q, false, s->cross, q);
    kernels->multiply(n_cells, 1.0, n_l * ld, s->cell_along, n_l * ld, n_v, s->cell_v, n_v, false,
                      s->follow_v, n_v);
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
    kernels_of(s)->multiply(n, -1.0, q, s->follow, q, q, s->follow, q, true, s->matrix, q);
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

/* Parameters are pulled to their centres, the harder the larger the residuals of now. */
static void add_pull(struct lsq *s, size_t b, const double *theta)
{
    const size_t n = s->width, first = b * n;
    for (size_t i = first; i < first + n; i++) {
        const double off = theta[i] - s->model->centre[i];
        const double pull = s->variance[b] * precision_of(s, i, off);
        s->matrix[i * (s->n_theta + 1)] += pull;
        s->gradient[i] += pull * off;
    }
}

/* Weighted derivatives at the last evaluated theta: own, u (weighted) and v. */
static void differentiate(struct lsq *s, const double *theta)
{
    const size_t n_e = s->n_rows * s->n_targets;
    const struct normal_kernels *kernels = kernels_of(s);
    s->model->law->jacobian(s->model, theta, &s->points, s->lambda, s->phi, s->own, s->u, s->v);
    if (s->n_v > 0)
        kernels->weigh(1, n_e, s->sw, s->u);
    kernels->weigh(s->n_own, n_e, s->sw, s->own);
}

/* Matrix and gradient, of a separable law those of the targets that have moved, at the last
 * evaluated theta. */
static void assemble(struct lsq *s, const double *theta)
{
    if (s->model->separable) {
        for (size_t m = 0; m < s->n_targets; m++)
            s->model->idle[m] = s->search[m].assembled;
        differentiate(s, theta);
        multiply_columns(s);
        for (size_t m = 0; m < s->n_targets; m++)
            if (!s->model->idle[m]) {
                assemble_target(s, m);
                add_pull(s, m, theta);
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
        add_pull(s, 0, theta);
}

/* Free parameters of block b: not on a bound that the gradient pushes against. Returns their
 * number. */
static size_t find_free(struct lsq *s, size_t b, const double *theta)
{
    const size_t first = b * s->width;
    size_t n = 0;
    for (size_t k = 0; k < s->width; k++) {
        const size_t i = first + s->order[k];
        const bool low = theta[i] <= s->model->lower[i] && s->gradient[i] > 0.0;
        const bool high = theta[i] >= s->model->upper[i] && s->gradient[i] < 0.0;
        if (!low && !high)
            s->free_index[first + n++] = i - first;
    }
    return n;
}

/* Cosine of the angle between the residual and the free column of block b it is nearest to. Of a
 * separable law a column that has all but vanished, as that of a power of something that has no
 * weight, counts as long as 1e-5 of the longest: its own gradient is rounding. */
static double gradient_cosine(const struct lsq *s, size_t b)
{
    const size_t first = b * s->width;
    const double *matrix = s->matrix + first * (s->n_theta + 1);
    double worst = 0.0, least = 0.0;
    for (size_t i = 0; s->model->separable && i < s->width; i++)
        least = fmax(least, 1e-10 * matrix[i * (s->n_theta + 1)]);
    for (size_t k = 0; k < s->search[b].n_free; k++) {
        const size_t i = s->free_index[first + k];
        const double norm = sqrt(fmax(matrix[i * (s->n_theta + 1)], least) * s->search[b].squares);
        if (!isfinite(norm) || !isfinite(s->gradient[first + i]))
            return INFINITY;
        if (norm > DBL_MIN)
            worst = fmax(worst, fabs(s->gradient[first + i]) / norm);
    }
    return worst;
}

/* Where the free parameters of each single target end, into s->end; returns how many there are. */
static size_t find_ends(struct lsq *s, size_t n_free, const size_t *free_index)
{
    size_t n = 0;
    for (size_t place = 0; place < s->n_private && n < n_free; place++)
        if (s->order[place] == free_index[n]) /* both are in the same order */
            s->end[n++] = s->order_end[place];
    for (size_t k = n, after = SIZE_MAX, end = n; k-- > 0;) {
        const size_t of_target = s->end[k];
        end = of_target == after ? end : k + 1;
        after = of_target;
        s->end[k] = end;
    }
    return n;
}

/* step = -(matrix + damping diag(scale))^-1 gradient on the free parameters of block b, 0
 * elsewhere.
 */
static bool solve_damped(struct lsq *s, size_t b)
{
    const size_t first = b * s->width, n_free = s->search[b].n_free;
    const size_t *free_index = s->free_index + first;
    const double *matrix = s->matrix + first * (s->n_theta + 1);
    const size_t lda = padded(n_free);
    double *a = s->factor, *x = s->z;
    for (size_t i = 0; i < n_free; i++) {
        const size_t fi = free_index[i];
        double *row = a + i * lda;
        for (size_t j = i; j < n_free; j++) {
            const size_t fj = free_index[j];
            row[j] = matrix[(fi < fj ? fi : fj) * s->n_theta + (fi < fj ? fj : fi)];
        }
        memset(row + n_free, 0, (lda - n_free) * sizeof *row);
        row[i] += s->search[b].damping * s->scale[first + fi];
        x[i] = -s->gradient[first + fi];
    }
    const size_t n_private = find_ends(s, n_free, free_index);
    if (!kernels_of(s)->factorise(n_free, a, lda, s->end, n_private))
        return false;
    kernels_of(s)->solve(n_free, a, lda, x);
    memset(s->step + first, 0, s->width * sizeof *s->step);
    for (size_t i = 0; i < n_free; i++)
        s->step[first + free_index[i]] = x[i];
    return true;
}

/* Clip the trial point of block b to the box; returns the reduction of the sum of squares that the
 * model predicts. */
static double clip_and_predict(struct lsq *s, size_t b, const double *theta)
{
    const size_t first = b * s->width, width = s->width;
    const double *matrix = s->matrix + first * (s->n_theta + 1), *gradient = s->gradient + first;
    double *trial = s->trial + first, *step = s->step + first;
    double linear = 0.0;
    for (size_t i = 0; i < width; i++) {
        trial[i] = fmin(fmax(theta[first + i] + step[i], s->model->lower[first + i]),
                        s->model->upper[first + i]);
        step[i] = trial[i] - theta[first + i];
        linear += gradient[i] * step[i];
    }
    return -2.0 * linear - kernels_of(s)->quadratic(width, matrix, s->n_theta, step);
}

static void update_scale(struct lsq *s, size_t b)
{
    const double *matrix = s->matrix + b * s->width * (s->n_theta + 1);
    double *scale = s->scale + b * s->width, top = 0.0;
    for (size_t i = 0; i < s->width; i++) {
        scale[i] = fmax(scale[i], matrix[i * (s->n_theta + 1)]);
        top = fmax(top, scale[i]);
    }
    for (size_t i = 0; i < s->width; i++)
        scale[i] = fmax(scale[i], 1e-10 * top);
}

static bool is_done(const struct search *search)
{
    return search->converged || search->damping > 1e20;
}

/* Assemble the blocks that have moved, and see which have converged. */
static enum mix_status look_around(struct lsq *s, const double *theta, double tolerance,
                                   struct lsq_result *result, bool *done, struct mix_error *err)
{
    bool any = false;
    for (size_t b = 0; b < s->n_blocks; b++)
        any = any || !s->search[b].assembled;
    if (any)
        assemble(s, theta);
    *done = result->converged = true;
    result->gradient = 0.0;
    for (size_t b = 0; b < s->n_blocks; b++) {
        struct search *at = &s->search[b];
        if (!at->assembled) {
            update_scale(s, b);
            at->n_free = find_free(s, b, theta);
            at->gradient = gradient_cosine(s, b);
            if (!isfinite(at->gradient))
                return mix_fail(err, MIX_ENUMERIC, "the derivatives of the law are not finite");
            at->assembled = true;
        }
        at->converged = at->gradient <= tolerance || at->stalled >= 3 || at->n_free == 0;
        result->gradient = fmax(result->gradient, at->gradient);
        result->converged = result->converged && at->converged;
        *done = *done && is_done(at);
    }
    return MIX_OK;
}

/* Try a step of every block that is not done; sets `sums` where any has one. */
static void try_steps(struct lsq *s, const double *theta)
{
    bool any = false;
    memcpy(s->trial, theta, s->n_theta * sizeof *theta);
    for (size_t b = 0; b < s->n_blocks; b++) {
        struct search *at = &s->search[b];
        at->predicted = 0.0;
        if (is_done(at) || !solve_damped(s, b))
            continue;
        at->predicted = at->slope * clip_and_predict(s, b, theta);
        any = any || at->predicted > 0.0;
    }
    for (size_t b = 0; s->model->separable && b < s->n_blocks; b++)
        s->model->idle[b] = !(s->search[b].predicted > 0.0);
    if (any)
        project_out(s, s->trial);
}

/* Block b stands at the last evaluated theta. */
static void stand_here(struct lsq *s, size_t b)
{
    s->search[b].sum = s->sums[b];
    s->search[b].squares = s->squares[b];
    s->search[b].slope = s->slope[b];
}

/* Take the step of block b where it pays, and set the damping by how well it was predicted. Three
 * gains in a row below `least_gain` of the sum end the search. */
static void judge_step(struct lsq *s, size_t b, double least_gain, double *theta)
{
    struct search *at = &s->search[b];
    const double next = at->predicted > 0.0 ? s->sums[b] : INFINITY, gain = at->sum - next;
    if (gain > 1e-4 * at->predicted && at->predicted > 0.0) {
        const double t = 2.0 * gain / at->predicted - 1.0;
        at->damping = fmax(at->damping * fmax(1.0 / 3.0, 1.0 - t * t * t), 1e-14);
        at->growth = 2.0;
        at->stalled = gain <= least_gain * at->sum ? at->stalled + 1 : 0;
        memcpy(theta + b * s->width, s->trial + b * s->width, s->width * sizeof *theta);
        stand_here(s, b);
        at->assembled = false;
    } else if (!is_done(at)) {
        at->damping *= at->growth;
        at->growth *= 2.0;
        if (at->predicted > 0.0 && at->predicted <= 0.1 * least_gain * at->sum)
            at->stalled = 3;
    }
}

/* Minimise; where `goes_on`, theta is that of a complete point, whose damping counts, and the law
 * may begin with what it knows of the last one. */
static enum mix_status search_from(struct lsq *s, double *theta, bool goes_on, int max_steps,
                                   double tolerance, struct mix_poll *poll,
                                   struct lsq_result *result, struct mix_error *err)
{
    const double least_gain = fmax(LEAST_GAIN, tolerance * tolerance);
    if (!goes_on || s->model->separable) /* else targets stay idle that are elsewhere now */
        law_model_reset(s->model);
    memset(s->scale, 0, s->n_theta * sizeof *s->scale);
    for (size_t b = 0; b < s->n_blocks; b++) {
        s->reached[b] = INFINITY; /* until it is known */
        s->search[b] = (struct search){
            .damping =
                goes_on ? fmin(theta[s->n_theta + s->n_blocks + b], DAMPING_MAX) : LSQ_DAMPING,
            .growth = 2.0};
    }
    if (!isfinite(project_out(s, theta)))
        return mix_fail(err, MIX_ENUMERIC, "the start has no finite loss");
    for (size_t b = 0; b < s->n_blocks; b++)
        stand_here(s, b);
    *result = (struct lsq_result){0};
    for (result->steps = 0; result->steps < max_steps; result->steps++) {
        bool done;
        if (mix_poll(poll))
            return mix_fail(err, MIX_EINTERRUPTED, "interrupted");
        const enum mix_status status = look_around(s, theta, tolerance, result, &done, err);
        if (status != MIX_OK)
            return status;
        if (done)
            break;
        try_steps(s, theta);
        for (size_t b = 0; b < s->n_blocks; b++)
            judge_step(s, b, least_gain, theta);
    }
    for (size_t b = 0; b < s->n_blocks; b++) {
        s->reached[b] = s->search[b].sum / s->weight_sum;
        result->objective += s->reached[b];
        s->search[b].assembled = false;
    }
    return MIX_OK;
}

enum mix_status lsq_minimise(struct lsq *s, double *theta, int max_steps, double tolerance,
                             struct mix_poll *poll, struct lsq_result *result,
                             struct mix_error *err)
{
    return search_from(s, theta, false, max_steps, tolerance, poll, result, err);
}

enum mix_status lsq_continue(struct lsq *s, double *point, int max_steps, double tolerance,
                             struct mix_poll *poll, struct lsq_result *result,
                             struct mix_error *err)
{
    const enum mix_status status =
        search_from(s, point, true, max_steps, tolerance, poll, result, err);
    if (status == MIX_OK)
        lsq_complete_point(s, point);
    return status;
}

size_t lsq_point_doubles(const struct lsq *s)
{
    return s->n_theta + 2 * s->n_blocks;
}

void lsq_complete_point(const struct lsq *s, double *point)
{
    memcpy(point + s->n_theta, s->reached, s->n_blocks * sizeof *point);
    for (size_t b = 0; b < s->n_blocks; b++)
        point[s->n_theta + s->n_blocks + b] = s->search[b].damping;
}

void lsq_set_damping(const struct lsq *s, double *point, double damping)
{
    for (size_t b = 0; b < s->n_blocks; b++)
        point[s->n_theta + s->n_blocks + b] = damping;
}

double lsq_point_objective(const struct lsq *s, const double *point)
{
    double sum = 0.0;
    for (size_t b = 0; b < s->n_blocks; b++)
        sum += point[s->n_theta + b];
    return sum;
}

static void copy_block(const struct lsq *s, size_t b, const double *from, double *to)
{
    memcpy(to + b * s->width, from + b * s->width, s->width * sizeof *to);
    to[s->n_theta + b] = from[s->n_theta + b];
    to[s->n_theta + s->n_blocks + b] = from[s->n_theta + s->n_blocks + b];
}

void lsq_keep_better(const struct lsq *s, const double *from, double *to)
{
    for (size_t b = 0; b < s->n_blocks; b++)
        if (from[s->n_theta + b] < to[s->n_theta + b])
            copy_block(s, b, from, to);
}

/* A point by what a block reached there; ties by its place, so that the order is defined. */
struct ranked {
    double objective;
    size_t place;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->objective != y->objective)
        return x->objective < y->objective ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

enum mix_status lsq_sort_blocks(const struct lsq *s, size_t n, size_t stride, double *points,
                                struct mix_error *err)
{
    if (s->n_blocks == 1)
        return MIX_OK;
    const size_t n_doubles = lsq_point_doubles(s);
    double *old = malloc((n * n_doubles + 1) * sizeof *old);
    struct ranked *ranked = malloc((n + 1) * sizeof *ranked);
    if (old == NULL || ranked == NULL) {
        free(old);
        free(ranked);
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu starts", n);
    }
    for (size_t i = 0; i < n; i++)
        memcpy(old + i * n_doubles, points + i * stride, n_doubles * sizeof *old);
    for (size_t b = 0; b < s->n_blocks; b++) {
        for (size_t i = 0; i < n; i++)
            ranked[i] = (struct ranked){old[i * n_doubles + s->n_theta + b], i};
        qsort(ranked, n, sizeof *ranked, compare_ranked);
        for (size_t i = 0; i < n; i++)
            copy_block(s, b, old + ranked[i].place * n_doubles, points + i * stride);
    }
    free(old);
    free(ranked);
    return MIX_OK;
}

double lsq_evaluate(struct lsq *s, const double *theta, double *lambda)
{
    law_model_reset(s->model);
    const double sum = project_out(s, theta);
    memcpy(lambda, s->lambda, s->n_targets * s->n_linear * sizeof *lambda);
    return sum / s->weight_sum;
}

void lsq_expect_least_residuals(struct lsq *s, bool least)
{
    for (size_t b = 0; b < s->n_blocks; b++)
        s->given[b] = least ? 0.0 : NAN;
    for (size_t m = 0; least && m < s->n_targets; m++)
        s->given[block_of(s, m)] +=
            pow(LEAST_RESIDUAL * s->mean_loss[m], 2) * (double)s->n_blocks / (double)s->n_targets;
}

void lsq_hold_priors(struct lsq *s, const double *theta)
{
    struct mix_model *model = s->model;
    law_model_reset(model);
    project_out(s, theta);
    memcpy(s->given, s->variance, s->n_blocks * sizeof *s->given);
    s->priors_held = true;
    for (size_t i = 0; model->pull != NULL && i < s->n_theta; i++)
        if (model->heavy_tails[i]) {
            model->pull[i] = precision_of(s, i, theta[i] - model->centre[i]);
            model->heavy_tails[i] = false;
        }
}

double lsq_prior_sd(const struct lsq *s, size_t i)
{
    return s->model->pull != NULL && s->model->pull[i] > 0.0 ? 1.0 / sqrt(pull_of(s, i)) : 0.0;
}

void lsq_row_squares(struct lsq *s, const double *theta, double *squares)
{
    law_model_reset(s->model);
    project_out(s, theta);
    memset(squares, 0, s->data->n_rows * sizeof *squares);
    for (size_t r = 0; r < s->n_rows; r++)
        for (size_t m = 0; m < s->n_targets; m++) {
            const double off = s->residual[r * s->n_targets + m];
            squares[s->row[r]] += off * off;
        }
}

double lsq_squares(struct lsq *s, const double *theta)
{
    double sum = 0.0;
    law_model_reset(s->model);
    project_out(s, theta);
    for (size_t m = 0; m < s->n_targets; m++)
        sum += s->square[m];
    return sum;
}

/* Row of the full Jacobian for entry e where it is not zero: values and their columns, theta then
 * lambda. Returns how many. */
static size_t jacobian_row(const struct lsq *s, size_t r, size_t m, double *row, size_t *columns)
{
    const size_t n_m = s->n_targets, n_e = s->n_rows * n_m, e = r * n_m + m;
    size_t n = s->n_v;
    for (size_t i = 0; i < s->n_v; i++) {
        row[i] = s->u[e] * s->v[r * s->n_v + i];
        columns[i] = i;
    }
    for (size_t k = 0; k < s->n_own; k++) {
        const size_t column = s->model->own_column[m * s->n_own + k];
        if (column < s->n_v) {
            row[column] += s->own[k * n_e + e];
        } else {
            row[n] = s->own[k * n_e + e];
            columns[n++] = column;
        }
    }
    for (size_t l = 0; l < s->n_linear; l++) {
        row[n] = s->phi[l * n_e + e] * s->sw[e];
        columns[n++] = s->n_theta + m * s->n_linear + l;
    }
    return n;
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
            const size_t n_row = jacobian_row(s, r, m, s->full_row, s->full_column);
            for (size_t i = 0; i < n_row; i++) {
                double *to = matrix + s->full_column[i] * n;
                for (size_t j = 0; j < n_row; j++)
                    to[s->full_column[j]] += s->full_row[i] * s->full_row[j];
            }
        }
}

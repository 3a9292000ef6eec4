/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_workspace.c - room for one problem, and what its shapes alone decide: blocks, the orders of
 * parameters and rows, and where products of columns belong. */
#include <stdlib.h>
#include <string.h>

#include "lsq_parts.h"

/* Parameters of a block at most whose correction fills all of its matrix. */
enum { DENSE_MOST = 256 };

static double *numbers(size_t n, int *failed)
{
    double *p = calloc(n + 2 * LANES_MOST, sizeof *p); /* kernels read beyond the end */
    if (p == NULL)
        *failed = 1;
    return p;
}

static int allocate_blocks(struct lsq *s)
{
    const size_t n_b = s->n_blocks;
    int failed = 0;
    s->sums = numbers(n_b, &failed);
    s->reached = numbers(n_b, &failed);
    s->block_weight = numbers(n_b, &failed);
    s->squares = numbers(n_b, &failed);
    s->slope = numbers(n_b, &failed);
    s->penalty = numbers(n_b, &failed);
    s->variance = numbers(n_b, &failed);
    s->given = numbers(n_b, &failed);
    s->freedom = numbers(n_b, &failed);
    s->missing = numbers(n_b, &failed);
    s->search = calloc(n_b, sizeof *s->search);
    return failed || s->search == NULL;
}

static int allocate(struct lsq *s)
{
    const size_t n_rows = s->data->n_rows;
    const size_t n_e = n_rows * s->n_targets, q = s->n_theta, n_m = s->n_targets;
    const size_t ld = s->rows.ld;
    int failed = allocate_blocks(s);
    s->mean_loss = numbers(n_m, &failed);
    s->unit = numbers(n_m, &failed);
    s->worth = numbers(n_m, &failed);
    s->y = numbers(n_e, &failed);
    s->sw = numbers(n_e, &failed);
    s->g = numbers(n_e, &failed);
    s->phi = numbers(n_e * s->n_linear, &failed);
    s->basis = numbers(n_e * s->n_linear, &failed);
    s->residual = numbers(n_e, &failed);
    s->lambda = numbers(n_m * s->n_linear, &failed);
    s->own = numbers(n_e * s->n_own, &failed);
    s->u = numbers(n_e, &failed);
    s->v = numbers(n_rows * s->n_v, &failed);
    s->matrix = numbers(q * q, &failed);
    s->factor = numbers(s->width * lsq_padded(s->width), &failed);
    s->gradient = numbers(q, &failed);
    s->step = numbers(q, &failed);
    s->trial = numbers(q, &failed);
    s->last_gradient = numbers(q, &failed);
    s->scale = numbers(q, &failed);
    s->cross = numbers(s->n_v * q, &failed);
    s->product = numbers(s->n_own * (s->n_own + 1 + s->n_linear) * ld, &failed);
    s->z = numbers(q, &failed);
    const size_t n_cells = s->n_v > 0 ? n_rows : 0;
    s->cell_v = numbers(n_cells * s->n_v, &failed);
    s->cell_z = numbers(n_cells * q, &failed);
    s->cell_along = numbers((n_cells + 1) * (s->n_own + s->n_linear + 2) * ld, &failed);
    s->follow_v = numbers(s->n_linear * ld * s->n_v, &failed);
    s->follow = numbers(n_m * s->n_linear * q, &failed);
    s->triangle = numbers(L_MAX * L_MAX * ld, &failed);
    s->rhs = numbers(L_MAX * ld, &failed);
    s->lambda_by_term = numbers(L_MAX * ld, &failed);
    s->rotation = numbers(n_m * L_MAX * L_MAX, &failed);
    s->square = numbers(ld, &failed);
    s->full_row = numbers(2 * (q + n_m * s->n_linear), &failed);
    s->free_index = calloc(q + 1, sizeof *s->free_index);
    s->full_column = calloc(q + n_m * s->n_linear, sizeof *s->full_column);
    s->by_target = calloc(q + 1, sizeof *s->by_target);
    s->v_by_target = calloc(s->n_v + 1, sizeof *s->v_by_target);
    s->along_by_target = calloc(n_m * s->n_linear + 1, sizeof *s->along_by_target);
    s->nonzero = calloc(n_rows + n_m * s->n_linear + 1, sizeof *s->nonzero);
    s->order = calloc(s->width + 1, sizeof *s->order);
    s->order_end = calloc(s->width + 1, sizeof *s->order_end);
    s->end = calloc(s->width + 1, sizeof *s->end);
    s->own_place = calloc(n_m * s->n_own * s->n_own + 1, sizeof *s->own_place);
    s->column = calloc(s->n_own + s->n_linear + 2, sizeof *s->column);
    s->n_basis = calloc(n_m, sizeof *s->n_basis);
    return failed || s->free_index == NULL || s->n_basis == NULL || s->full_column == NULL ||
           s->nonzero == NULL || s->by_target == NULL || s->v_by_target == NULL ||
           s->along_by_target == NULL || s->order == NULL || s->order_end == NULL ||
           s->end == NULL || s->own_place == NULL || s->column == NULL;
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

/* Where a target does not count, all that is its own is 0: parameters, and places in a row of
 * cell_along, those of a target next to each other. */
static void set_by_target(struct lsq *s)
{
    const size_t n_m = s->n_targets, n_listed = n_m * s->n_own;
    size_t n = 0, n_v = 0, n_along = 0;
    for (size_t i = 0; i < n_listed + s->n_theta; i++) { /* of the targets, then all others */
        const size_t column = i < n_listed ? s->model->own_column[i] : i - n_listed;
        bool seen = false;
        for (size_t k = n; !seen && k-- > 0;)
            seen = s->by_target[k] == column;
        if (!seen)
            s->by_target[n++] = column;
    }
    for (size_t k = 0; k < n; k++)
        if (s->by_target[k] < s->n_v)
            s->v_by_target[n_v++] = s->by_target[k];
    for (size_t m = 0; m < n_m; m++)
        for (size_t l = 0; l < s->n_linear; l++)
            s->along_by_target[n_along++] = l * s->rows.ld + m;
}

/* Where that costs much, the correction leaves the zeros of the matrix. */
static int allocate_correction(struct lsq *s)
{
    const size_t n = s->width <= DENSE_MOST ? s->width : s->width - s->n_private;
    int failed = 0;
    s->n_corrected = n;
    s->correction = numbers(s->n_blocks * n * n, &failed);
    s->secant = numbers(4 * n, &failed);
    return failed;
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

enum mix_status lsq_create_workspace(struct lsq *s, struct mix_error *err)
{
    set_blocks(s);
    if (allocate(s))
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit of %zu rows", s->data->n_rows);
    set_order(s);
    if (allocate_correction(s))
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit of %zu rows", s->data->n_rows);
    set_by_target(s);
    set_own_places(s);
    return set_row_order(s, err);
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
                              s->last_gradient,
                              s->correction,
                              s->secant,
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
    free(s->nonzero);
    free(s->by_target);
    free(s->v_by_target);
    free(s->along_by_target);
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

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq_parts.h - what the files of least_squares.h share: least_squares.c (the problem),
 * lsq_workspace.c (its room and orders), lsq_linear.c (linear parameters), lsq_priors.c,
 * lsq_normal.c (matrix and gradient), lsq_secant.c (their correction), lsq_step.c and lsq_search.c
 * (steps of a search), lsq_points.c. Private to them.
 */
#ifndef MIXSWEEP_FIT_LSQ_PARTS_H
#define MIXSWEEP_FIT_LSQ_PARTS_H

#include "least_squares.h"
#include "normal.h"

enum { L_MAX = MIX_LAW_LINEAR_MAX };

/* Where the search of one block stands. */
struct search {
    double sum;      /* what is minimised, at theta */
    double squares;  /* of residuals and priors at theta */
    double slope;    /* of the sum by squares */
    double gradient; /* cosine at theta */
    double damping, growth;
    double predicted;  /* reduction of the sum at the trial point; 0 = there is none */
    double last_gain;  /* of the sum by the last step taken, or what was predicted if that is more;
                          INFINITY = none was */
    bool corrected;    /* the matrix is */
    double last_slope; /* before it */
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
    double *last_gradient;                   /* (Q) before the last step taken */
    double *correction;      /* (n_blocks,n,n) of the matrix, n = n_corrected; upper triangle */
    double *secant;          /* (4,n) scratch */
    double *cross;           /* (n_v,Q) */
    double *product;         /* (n_own, n_own + 1 + L, ld) of columns */
    double *z;               /* (Q) */
    size_t *by_target;       /* (Q) parameters, those of a target next to each other */
    size_t *v_by_target;     /* (n_v) the first of them */
    size_t *along_by_target; /* (L M) places in a row of cell_along, the same */
    size_t *nonzero;         /* (R + M L) scratch of products */
    double *cell_v, *cell_z; /* (R,n_v), (R,Q) of neighbours with one v */
    double *cell_along;      /* (R,L,ld) u' basis of the same */
    double *follow_v;        /* (L,ld,n_v) */
    double *follow;          /* (M L,Q) J' q of each free linear direction */
    size_t *free_index;      /* (Q) within its block, in the order of `order` */
    size_t *order;           /* (width) parameters of single targets first */
    size_t *order_end;       /* (width) where those of a target end, in order */
    size_t *end;             /* (width) the same among the free ones */
    size_t *own_place;       /* (M,n_own,n_own) of two own columns in `matrix` */
    size_t n_private;        /* parameters of single targets */
    size_t n_corrected;      /* the last of `order`, of which the matrix is corrected */
    double *triangle;        /* (L,L,ld) R factor of the linear columns */
    double *rhs;             /* (L,ld) */
    double *lambda_by_term;  /* (L,ld) */
    double *rotation;        /* (M,L,L) from `basis` to the free directions */
    double *square;          /* (ld) */
    double *full_row;        /* (2, Q + M L) a sum of rows of the whole Jacobian, and one of them */
    size_t *full_column;     /* and the columns of its entries */
};

/** n rounded up to whole vectors. */
static inline size_t lsq_padded(size_t n)
{
    return (n + LANES_MOST - 1) / LANES_MOST * LANES_MOST;
}

/** The block that target m belongs to. */
static inline size_t lsq_block_of(const struct lsq *s, size_t m)
{
    return s->n_blocks > 1 ? m : 0;
}

/** Room for the problem, whose shapes are set, and what follows from them. On failure lsq_destroy()
 * frees what is there. */
enum mix_status lsq_create_workspace(struct lsq *s, struct mix_error *err);

/** The loops for the instruction set of the model. */
const struct normal_kernels *lsq_kernels(const struct lsq *s);

/** Evaluate the law at theta, solve for lambda, set basis, residual and what is minimised of every
 * block; returns the total of that. Idle targets of a separable law keep what they had. */
double lsq_project_out(struct lsq *s, const double *theta);

/** Set what the weights of now decide of priors: mean losses, until priors are held, and how many
 * losses are left beyond the parameters. */
void lsq_weigh_priors(struct lsq *s);
/** Set what is minimised of every block, see least_squares.h, at theta, whose squares are known;
 * returns the total. */
double lsq_sum_squares(struct lsq *s, const double *theta);
/** Add to matrix and gradient of block b how priors pull: the harder the larger the residuals of
 * now. */
void lsq_add_pull(struct lsq *s, size_t b, const double *theta);

/** Matrix and gradient at the last evaluated theta; of a separable law those of the targets that
 * have moved, the others become idle. */
void lsq_assemble(struct lsq *s, const double *theta);

/** Add to the matrix of block b, just assembled and surveyed, what the steps before have shown of
 * the curvature. */
void lsq_correct(struct lsq *s, size_t b);

/** Set scale and free parameters of block b, whose matrix and gradient are those at theta; returns
 * the cosine of the angle between the residual and the free column it is nearest to. */
double lsq_survey(struct lsq *s, size_t b, const double *theta);
/** Set the trial point of block b, a damped step from theta, inside the box; returns the reduction
 * of the sum of squares that is predicted, 0 where there is no step. */
double lsq_try_step(struct lsq *s, size_t b, const double *theta);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* minimise_impl.h - what minimise.c and kink.c share. */
#ifndef MIXSWEEP_OPTIMUM_MINIMISE_IMPL_H
#define MIXSWEEP_OPTIMUM_MINIMISE_IMPL_H

#include "optimum/minimise.h"

/* A point with all that is known there. */
struct point {
    double *h, *gradient; /* (n) */
    double value, kkt, scale;
};

struct mix_minimiser {
    size_t n;
    struct point here, trial;
    double *direction, *work; /* (n) */
    double *step;             /* (n) of the free shares but the reference */
    double *hessian, *matrix; /* (n,n) of those: lower triangles */
    struct point aside;       /* where second derivatives are taken */
    double *seen, *slopes;    /* (n_seen,n) points of the bundle and their gradients */
    double *values;           /* (n_seen) */
    double *pieces;           /* (n_seen,n) their slopes in the metric of the matrix */
    double *bonus, *weights;  /* (n_seen) value of each piece here, and its weight */
    size_t *free;             /* (n) */
    double *block;
    size_t n_seen, n_remembered, n_evaluations;
};

/** Value and gradient of a point, whose h is set. */
enum mix_status minimise_evaluate(struct mix_minimiser *m, const struct mix_problem *p,
                                  struct point *point, struct mix_error *err);

/** Set scale and kkt of a point. */
void minimise_certify(struct mix_minimiser *m, const struct mix_problem *p, struct point *point);

/** The trial point becomes the current one. */
void minimise_swap(struct mix_minimiser *m);

/** trial = here + alpha * direction, kept inside the bounds; what comes within rounding of a bound
 * is put on it. */
void minimise_set_trial(struct mix_minimiser *m, const struct mix_problem *p, double alpha);

/** Slope of the value along m->direction. */
double minimise_slope(const struct mix_minimiser *m);

/** Largest step <= `most` along the direction that keeps the bounds. */
double minimise_longest_step(const struct mix_minimiser *m, const struct mix_problem *p,
                             double most);

/**
 * Fill m->free with the shares that a gradient step would not leave on their bound. The one with
 * most room is the reference, which gives what the others take; it comes last.
 *
 * @return how many; 0 where no share can move
 */
size_t minimise_find_free(struct mix_minimiser *m, const struct mix_problem *p);

/** Set m->direction from m->step, the free shares' part but for the reference. */
void minimise_set_direction(struct mix_minimiser *m, size_t n_free);

/** Add `weight` times the second derivatives at a point (along e_i - e_reference for the free
 * shares, by forward differences of the gradient) to the lower triangle of m->hessian. */
enum mix_status minimise_add_hessian(struct mix_minimiser *m, const struct mix_problem *p,
                                     const struct point *at, size_t n_free, double weight,
                                     struct mix_error *err);

/**
 * Go on where the gradient jumps, as it does where a domain starts to get capacity: a minimum on a
 * kink, which is no zero of any gradient. The gradient and the certificate of m->here become those
 * of the combination of the gradients on the sides that comes nearest to zero.
 */
enum mix_status minimise_on_kink(struct mix_minimiser *m, const struct mix_problem *p,
                                 struct mix_error *err);

#endif

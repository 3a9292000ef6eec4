/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap_parts.h - what bootstrap.c (the tasks and their ranks), resample.c (weights) and
 * refit.c (the search of one) share. Private to them. */
#ifndef MIXSWEEP_BOOTSTRAP_PARTS_H
#define MIXSWEEP_BOOTSTRAP_PARTS_H

#include "link.h"
#include "pool.h"

/** Points that one refit begins with, and those of the pool that it may take parameters from. */
enum { CANDIDATES_MAX = 192, MATES = 16 };

/** A fit that is refitted with other weights. Zero-initialise but for what it is made of. */
struct resampler {
    const struct mix_fit *fit;
    enum mix_isa isa;              /* that all ranks have */
    const struct mix_draws *draws; /* options only */
    struct mix_data *all;          /* as selected */
    struct mix_data *data;         /* the losses of it; `all` itself where there are no scores */
    struct fit_names names;
    struct lsq *lsq;
    struct links *links; /* NULL where there are no scores */
    size_t n_units;      /* mixtures or runs */
    size_t n_groups;     /* of the jackknife: unit u is in group u % n_groups */
    size_t *unit;        /* (R) */
    double *unit_weight; /* (n_units) */
    double *row_weight;  /* (R) */
    struct pool pool;
    int generation;
    bool rugged;
    size_t mates[MATES], n_mates; /* of the pool, the best first */
    double *points; /* (CANDIDATES_MAX + 1), see lsq_point_doubles(); the best first */
    double *spare;  /* a point */
    double *trial;  /* a point */
    double *lambda; /* (M,L) */
    size_t *shared; /* (n_shared) parameters that several targets depend on by themselves */
    size_t n_shared;
    bool *is_shared;   /* (Q) */
    double *centre;    /* (Q) of the priors, NULL where there are none */
    double *centre_sd; /* (Q) of the priors; 0 = there is none */
};

/**
 * Select the runs of s->fit again, and put its optima into the pool.
 *
 * @return MIX_OK; MIX_EINVAL the runs or the priors have changed; MIX_EFORMAT; MIX_ENOMEM
 */
enum mix_status resampler_create(const struct mix_table *table, struct resampler *s,
                                 struct mix_error *err);
/** Free what it owns, complete or not. */
void resampler_destroy(struct resampler *s);

/** Natural parameters (n,P) become points to start from; those that are NaN do not. */
enum mix_status resampler_add_points(struct resampler *s, size_t n, const double *params,
                                     struct mix_error *err);

/** Weights and centres of priors of a draw. */
void resampler_draw(struct resampler *s, gsl_rng *rng);
/** Weigh all rows but those of one group of units. */
void resampler_leave_out(struct resampler *s, size_t group);

/** Refit with the weights of now; without a stream it does not hop. params (P) out: all NaN where
 * nothing has a finite loss. */
enum mix_status refit(struct resampler *s, gsl_rng *rng, struct mix_poll *poll, double *objective,
                      double *params, struct mix_error *err);

/** Set s->rugged. Every rank sees for itself: the same, for it is little work. */
enum mix_status refit_see_ruggedness(struct resampler *s, struct mix_error *err);

#endif

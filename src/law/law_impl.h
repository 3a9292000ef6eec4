/* SPDX-License-Identifier: GPL-3.0-or-later */
/* law_impl.h - what a law family provides; see mixsweep/law.h for the form of a law. Private to
 * law/ and fit/.
 *
 * Batches of R points are evaluated at once. Layouts, with e = r * M + m:
 *
 *     g[e], phi[l * R * M + e], own[k * R * M + e], u[e], v[r * n_v + i]
 *
 * so that loops over targets are contiguous. v covers the leading n_v entries of theta.
 */
#ifndef MIXSWEEP_LAW_IMPL_H
#define MIXSWEEP_LAW_IMPL_H

#include <gsl/gsl_rng.h>

#include "mixsweep/isa.h"
#include "mixsweep/law.h"

/** Doubles of a vector at most. */
enum { LANES_MOST = 8 };

/** R points with the logarithms that every law needs. Owns its arrays. */
struct law_points {
    size_t n_rows, n_domains, capacity;
    size_t ld;         /* rows and cells, rounded up to a multiple of LANES_MOST */
    size_t n_cells;    /* neighbouring rows of one mixture and size are a cell */
    size_t *cell;      /* (R) */
    double *cell_ln_h; /* (K,ld) */
    double *cell_n;    /* (ld) */
    double *cell_ln_n; /* (ld) */
    double *h;         /* (R,K) */
    double *ln_h;      /* (R,K); -inf where h = 0 */
    double *unique;    /* (R,K) tokens that can be seen without a repeat, 1e9; INFINITY = no end */
    double *n;         /* (R) 1e6 parameters */
    double *ln_n;      /* (R) */
    double *ln_d;      /* (R) of 1e9 tokens */
};

/** What starts are scaled by. */
struct law_scales {
    const double *mean_loss; /* (M) */
    double n_mean;           /* geometric mean of N, 1e6 parameters */
    double d_mean;           /* geometric mean of D, 1e9 tokens */
};

/** What the targets of a law may be. */
enum law_targets {
    LAW_ALL_DOMAINS, /* the training domains, each of them */
    LAW_OWN_DOMAIN,  /* training domains */
    LAW_ANY_TARGET
};

struct mix_model {
    const struct mix_law *law;
    enum mix_isa isa;          /* of its loops: the best here, see law_model_set_isa() */
    struct mix_law_spec spec;  /* of the law: without scores, M counts losses in all of this */
    struct mix_law_spec whole; /* as asked for */
    int *target_domain;        /* (M) */
    size_t n_theta;            /* Q */
    size_t n_linear;           /* L per target */
    size_t n_own, n_v;
    bool separable;                    /* targets have no parameter in common; see separable.h */
    struct separable_symbols *symbols; /* of a separable law; else NULL */
    size_t n_params;                   /* P */
    size_t n_gauge;                    /* natural parameters that others follow from */
    bool *idle; /* (M) of a separable law: eval and jacobian may leave these targets out */
    double *pull, *centre; /* (Q) pull (theta - centre)^2 is -2 ln of the prior, pull = 1 / sd^2;
                              NULL = no priors */
    bool *heavy_tails;     /* (Q) Cauchy's prior: 2 ln(1 + pull (theta - centre)^2) */
    size_t n_loss_priors;  /* the first of theta, as many of each target: their priors are in units
                              of the target's mean loss */
    size_t *own_column;    /* (M, n_own) column of theta */
    double *lower, *upper; /* (Q) box of theta */
    double ln_h_min, ln_n_min, ln_n_domains;
    double ln_x_ref;     /* capacity at which theta holds the capacity term; decorrelates b and c */
    double *scratch;     /* of the law */
    size_t *offset;      /* of the law: where its blocks of theta begin */
    double *theta_1;     /* (Q) for the one-point functions */
    double *lambda_1;    /* (M,L) */
    double *g_1, *phi_1; /* (M), (L,M) */
    double *slope_1;     /* (M) */
    struct law_points point_1;
    double *supply;              /* (K) tokens of each domain for the one-point functions, 1e9 */
    struct mix_model *inner;     /* of LAW+repetition: the model of LAW; else NULL */
    struct law_points effective; /* of LAW+repetition: the points as LAW sees them */
    struct law_worth *worth;     /* (K) scratch of LAW+repetition */
    double *cache;               /* (R, cache_row) what eval leaves for jac */
    size_t cache_rows, cache_row;
    size_t cache_entry; /* of a separable law: numbers of one (row, target) */
};

struct mix_law {
    const char *name;
    const char *summary;
    enum law_targets targets;
    const struct separable_law *separable; /* one target of a separable law; else NULL */
    /** See mix_law_spec_from_data(); shapes and n_min are set already. */
    enum mix_status (*check)(const struct mix_data *data, const char *const *domains,
                             const char *const *targets, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX], struct mix_error *err);
    /** Fill counts, own_column, bounds and scratch of a model whose spec is set. */
    enum mix_status (*layout)(struct mix_model *model, struct mix_error *err);
    /** A data-scaled random start. theta (Q) out, inside the box. */
    void (*start)(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                  double *theta);
    /** Values: g (R,M) and phi (L,R,M). */
    void (*eval)(struct mix_model *model, const double *theta, const struct law_points *points,
                 double *g, double *phi);
    /** Derivatives at the theta of the last eval, for linear parameters lambda (M,L). */
    void (*jacobian)(struct mix_model *model, const double *theta, const struct law_points *points,
                     const double *lambda, const double *phi, double *own, double *u, double *v);
    /** d loss / d h and d loss / d ln D at point r of the last eval: (M,K), (M). */
    void (*point_gradient)(struct mix_model *model, const double *theta,
                           const struct law_points *points, size_t r, const double *lambda,
                           const double *phi, double *dloss_dh, double *dloss_dln_d);
    void (*to_natural)(const struct mix_model *model, const double *theta, const double *lambda,
                       double *params);
    void (*from_natural)(const struct mix_model *model, const double *params, double *theta,
                         double *lambda);
    /** d natural / d (theta, lambda): (P, Q + M L), zeroed before the call. */
    void (*natural_jacobian)(const struct mix_model *model, const double *theta, double *jac);
    void (*param_name)(const struct mix_model *model, size_t p, const char *const *domains,
                       const char *const *targets, char *name, char *unit);
    /** H in 1e6 parameters: least N that can be evaluated; 0 where any N is fine. */
    double (*least_size)(const struct mix_model *model, const double *params);
};

extern const struct mix_law mix_law_capacity, mix_law_transfer, mix_law_demand, mix_law_product,
    mix_law_chinchilla, mix_law_additive, mix_law_joint, mix_law_bimix, mix_law_dml,
    mix_law_loglinear, mix_law_linear, mix_law_repetition;

/** What a law of training domains asks for beside another law: "select --targets domains or ", or
 * nothing where no target is a domain. */
const char *law_domains_hint(const struct mix_data *data);

/** Say in the notes where no run repeats anything, so that r1 is not to be known. */
void law_note_repetition(const struct mix_data *data, char notes[MIX_TEXT_MAX]);

/** d loss / d supply (M,K) at the one point of the last evaluation; 0 of laws without repetition.
 */
void law_supply_gradient(struct mix_model *model, double *dloss_dsupply);

enum mix_status law_points_create(size_t n_rows, size_t n_domains, struct law_points *points,
                                  struct mix_error *err);
void law_points_destroy(struct law_points *points);
/** Set row r, without an end to any domain, in ascending order from 0 on; sizes in 1e6 parameters
 * and 1e9 tokens. */
void law_points_set(struct law_points *points, size_t r, const double *h, double n, double d);
/** Set what row r can see without a repeat: (K) 1e9 tokens. */
void law_points_set_unique(struct law_points *points, size_t r, const double *unique);

/** Put row r, set but for its cell, into one; in ascending order from 0 on. */
void law_points_find_cell(struct law_points *points, size_t r);

/** Standard deviation of the prior of the ln of an exponent of N or D: ln 2 / sqrt(3), that
 * of exponents spread evenly over a factor of 2 either way. Where they are, 90% intervals of losses
 * at larger scales hold in 88 to 95% of cases, with 0.5 in 94 to 98% (bench_coverage.c). */
#define LAW_EXPONENT_SD 0.4

/** Room for priors of n_theta entries, none of them set; false: memory is out. */
bool law_make_priors(struct mix_model *model);
/** A normal prior of n entries of theta; see fit/least_squares.h for what it counts against. */
void law_set_prior(struct mix_model *model, size_t at, size_t n, double centre, double sd);
/** Make their tails those of Cauchy's distribution: a few may be far off, at little cost. */
void law_set_heavy_tails(struct mix_model *model, size_t at, size_t n);

/** Make room for R rows in the cache between eval and jacobian. */
enum mix_status law_model_reserve(struct mix_model *model, size_t n_rows, struct mix_error *err);

/** Use an instruction set that all ranks have. */
void law_model_set_isa(struct mix_model *model, enum mix_isa isa);

/** Forget warm starts kept in the cache and idle targets, so that the next eval depends on its
 * arguments alone. */
void law_model_reset(struct mix_model *model);

#endif

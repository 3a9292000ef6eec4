/* SPDX-License-Identifier: GPL-3.0-or-later */
/* separable.h - what laws share whose targets have no parameter in common: additive, joint, dml,
 * loglinear, bimix, linear.
 *
 * theta and the natural parameters are laid out target by target: those of target m are
 * theta + m * n_own and params + m * (P / M). So n_v = 0 and u = 0, and a fit takes the targets
 * apart.
 */
#ifndef MIXSWEEP_SEPARABLE_H
#define MIXSWEEP_SEPARABLE_H

#include "law_impl.h"

/** A natural parameter of every target, or one for each of its K domains. */
struct separable_symbol {
    const char *symbol, *unit;
    bool per_domain;
};

enum { SEPARABLE_SYMBOLS_MAX = 12 };

/** The natural parameters of one target, in order. */
struct separable_symbols {
    size_t n;
    struct separable_symbol symbol[SEPARABLE_SYMBOLS_MAX];
};

/** Append a symbol; nothing where it is not `present`. */
void separable_add(struct separable_symbols *symbols, bool present, const char *symbol,
                   const char *unit, bool per_domain);

/** A point and a target, as a law sees them. */
struct separable_entry {
    const struct law_points *points;
    size_t r, m;
    const double *theta;    /* (n_own) of the target */
    const double *h, *ln_h; /* (K) of the point */
    double *kept;           /* (n_cache) what value() leaves for the derivatives */
    size_t stride;          /* from a number of the entry to the next, in phi and own */
    const double *linear;   /* (L) of the target; NULL in value() */
    const double *phi;      /* (L); NULL in value() */
};

/**
 * A law as a function of one target. The frames below loop over points and targets, leave out those
 * that are idle, and find the target's parameters.
 */
struct separable_law {
    /** Unpack theta of all targets into model->scratch; NULL = nothing to do. */
    void (*unpack)(const struct mix_model *model, const double *theta);
    /** Numbers of point r that all targets share, into model->scratch; NULL = none. */
    void (*at_point)(const struct mix_model *model, const struct law_points *points, size_t r);
    /** The value but for the linear terms, and phi (L) out. */
    double (*value)(const struct mix_model *model, const struct separable_entry *at, double *phi);
    /** own (n_own) out, at->stride apart: derivatives of the loss by the target's theta. */
    void (*derivatives)(const struct mix_model *model, const struct separable_entry *at,
                        double *own);
    /** slope (K) out: derivatives of the loss by h. */
    void (*slopes)(const struct mix_model *model, const struct separable_entry *at, double *slope);
    /** The derivative of the loss by ln D; NULL where D is no part of the law. */
    double (*token_slope)(const struct mix_model *model, const struct separable_entry *at);
    /** Natural parameters (P / M) of the target and back. */
    void (*to_natural)(const struct mix_model *model, const double *theta, const double *linear,
                       double *params);
    void (*from_natural)(const struct mix_model *model, const double *params, double *theta,
                         double *linear);
    /** Rows of the target's natural parameters; theta (n_own) stands in column `own`, the linear
     * parameters from column `linear` on. */
    void (*natural_rows)(const struct mix_model *model, const double *theta, size_t own,
                         size_t linear, double *jac, size_t n_columns);
};

/** The functions of struct mix_law, by the law's struct separable_law. */
void separable_eval(struct mix_model *model, const double *theta, const struct law_points *points,
                    double *g, double *phi);
void separable_jacobian(struct mix_model *model, const double *theta,
                        const struct law_points *points, const double *lambda, const double *phi,
                        double *own, double *u, double *v);
void separable_point_gradient(struct mix_model *model, const double *theta,
                              const struct law_points *points, size_t r, const double *lambda,
                              const double *phi, double *dloss_dh, double *dloss_dln_d);
void separable_to_natural(const struct mix_model *model, const double *theta, const double *lambda,
                          double *params);
void separable_from_natural(const struct mix_model *model, const double *params, double *theta,
                            double *lambda);
void separable_natural_jacobian(const struct mix_model *model, const double *theta, double *jac);
void separable_param_name(const struct mix_model *model, size_t p, const char *const *domains,
                          const char *const *targets, char *name, char *unit);
/** Any size can be evaluated. */
double separable_least_size(const struct mix_model *model, const double *params);

/** What is alike in the table entries of separable laws. */
#define SEPARABLE_FUNCTIONS                                                                        \
    .eval = separable_eval, .jacobian = separable_jacobian,                                        \
    .point_gradient = separable_point_gradient, .to_natural = separable_to_natural,                \
    .from_natural = separable_from_natural, .natural_jacobian = separable_natural_jacobian,        \
    .param_name = separable_param_name, .least_size = separable_least_size

/**
 * Counts, columns and a box of +-40 for n_own entries of theta per target and the symbols, which
 * are copied.
 *
 * @param n_cache  numbers that value() leaves for each (row, target)
 * @param n_scratch  size of model->scratch
 */
enum mix_status separable_layout(struct mix_model *model, size_t n_own, size_t n_linear,
                                 const struct separable_symbols *symbols, size_t n_cache,
                                 size_t n_scratch, struct mix_error *err);

/** Set the box of entries [at, at + n) of every target. */
void separable_box(struct mix_model *model, size_t at, size_t n, double lower, double upper);

/** A prior of entries [at, at + n) of every target. */
void separable_prior(struct mix_model *model, size_t at, size_t n, double centre, double sd);

/** Bring theta into the box. */
void separable_clip(const struct mix_model *model, double *theta);

/**
 * Box and prior of entry `at` of every target, the ln of an exponent of N (`is_size`) or D. Few
 * sizes do not identify an exponent beside a constant and a factor, so each is pulled to what was
 * found where it was measured, give or take a factor of 2: 0.34 for N and 0.28 for D (Hoffmann et
 * al., arXiv 2203.15556, approach 3).
 */
void separable_exponent(struct mix_model *model, size_t at, bool is_size);

/** Start of such an entry: ln of a number between 0.05 and 1. */
double separable_start_exponent(gsl_rng *rng);

/* Functions `check` of struct mix_law; all refuse forms. */

/** Set has_size_term and has_token_term by what varies in the table, and note what is dropped. */
enum mix_status separable_check_terms(const struct mix_data *data, const char *const *domains,
                                      const char *const *targets, struct mix_law_spec *spec,
                                      char notes[MIX_TEXT_MAX], struct mix_error *err);

/** Refuse tables of several N, and note that the law answers for one size only. */
enum mix_status separable_check_one_size(const struct mix_data *data, struct mix_law_spec *spec,
                                         char notes[MIX_TEXT_MAX], struct mix_error *err);
/** Refuse tables of several N or D, and note that the law answers for one scale only. */
enum mix_status separable_check_one_scale(const struct mix_data *data, const char *const *domains,
                                          const char *const *targets, struct mix_law_spec *spec,
                                          char notes[MIX_TEXT_MAX], struct mix_error *err);

/**
 * Coordinates of vectors (n) whose entries sum to 0 in an orthonormal basis (Helmert's): y (n-1) =
 * B' x, and x = B y. |x| = |y| for such x.
 */
void separable_contrasts(size_t n, const double *x, double *y);
void separable_from_contrasts(size_t n, const double *y, double *x);
/** dx / dy: (n, n-1), the rows n_columns apart. */
void separable_contrasts_jacobian(size_t n, double *jac, size_t n_columns);

static inline double separable_dot(size_t n, const double *x, const double *y)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/** Terms of scale present: A N^-alpha and B D^-beta; 0, 1 or 2. */
static inline size_t separable_n_scales(const struct mix_model *model)
{
    return (size_t)(model->spec.has_size_term != 0) + (size_t)(model->spec.has_token_term != 0);
}

/** True where scale term k is that of the size. */
static inline bool separable_is_size(const struct mix_model *model, size_t k)
{
    return k == 0 && model->spec.has_size_term;
}

/** ln N or ln D at the point. */
static inline double separable_ln_scale(const struct mix_model *model, size_t k,
                                        const struct separable_entry *at)
{
    return separable_is_size(model, k) ? at->points->ln_n[at->r] : at->points->ln_d[at->r];
}

/**
 * The mixing term of additive and joint (additive.c), 1 / sum_j C_j h_j^gamma_j, of one target. Its
 * theta is
 * C_j K^-gamma_j (K), what domain j has at the even mixture, then gamma (K).
 */
void mixing_box(struct mix_model *model);
/** A start whose term is `value` at the even mixture. */
void mixing_start(const struct mix_model *model, double value, gsl_rng *rng, double *theta);
/** The loop over domains in it, once per instruction set. */
struct mixing_kernels {
    /** out (n) = exp(power (max(ln_h, ln_h_min) + ln_even)) */
    void (*powers)(size_t n, const double *power, const double *ln_h, double ln_h_min,
                   double ln_even, double *out);
};
/** The term at ln_h (K). kept (K+1) out, for the derivatives: (K h_j)^gamma_j, and the term. */
double mixing_value(const struct mix_model *model, const double *theta, const double *ln_h,
                    double *kept);
/** Its derivatives by theta: own entries 0 .. 2K-1, `stride` apart. */
void mixing_derivatives(const struct mix_model *model, const double *theta, const double *ln_h,
                        const double *kept, double *own, size_t stride);
/** Its derivatives by h: slope (K) out. */
void mixing_slopes(const struct mix_model *model, const double *theta, const double *h,
                   const double *kept, double *slope);
/** C (K), gamma (K) from theta and back. */
void mixing_to_natural(const struct mix_model *model, const double *theta, double *params);
void mixing_from_natural(const struct mix_model *model, const double *params, double *theta);
/** Rows of C and gamma; theta (2K) stands in column `own`. */
void mixing_natural_jacobian(const struct mix_model *model, const double *theta, size_t own,
                             double *jac, size_t n_columns);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* competition.h - capacity competition between skills, the core of capacity, transfer and demand.
 *
 *     L_m = E_m + c_m x_m*^(-b_m) + A_m (D n_m(h))^(-a_m) + P_m N^(-p) + Q_m D^(-q)
 *     x*  = argmin sum_m s_m(h) c_m x_m^(-b_m)   s.t.  sum_m x_m = C,  x_m >= H,   C = N + (M-1) H
 *
 *     law        s_m    n_m    T
 *     capacity   h_m    h_m    -
 *     transfer   h_m    t_m    T_mm = 1, T_mj >= 0
 *     demand     t_m    t_m    rows sum to 1
 *
 *     t_m = (sum_j T_mj h_j^gamma_m)^(1/gamma_m)
 *
 * t is what the mixture holds of target m. Domains stand in for each other with constant elasticity
 * 1 / (1 - gamma) (Arrow, Chenery, Minhas & Solow 1961): at gamma = 1 a token is worth the same
 * whatever there is of its domain, below it the first ones are worth most, as in the powers of the
 * shares in arXiv 2507.09404. On three public tables it ranks unseen mixtures at an unseen size
 * better than the plain sum. h_j stands for max(h_j, h_min) in t, so that slopes stay finite.
 *
 * Source: Dai & Zheng, "Explaining Data Mixing Scaling Laws", arXiv 2606.08167, for s = n = h.
 *
 * KKT: ln x_m = max(ln H, e_m (q_m - mu)) with q_m = ln(s_m b_m c_m), e_m = 1/(b_m+1) and mu the
 * root of F(mu) = ln sum_m x_m(mu) - ln C. F is a log-sum-exp of convex decreasing functions, hence
 * convex and decreasing: Newton from the left converges monotonically. F is flatter than sum x - C
 * itself, which saves half of the steps.
 *
 * transfer and demand have priors; see competition.c.
 *
 * Box: b, a, q in [1e-3, 8] (b of transfer and demand at most 2), p in [1e-3, 0.5], gamma in [0.1,
 * 1], 0 < H < n_min.
 *
 * theta: ln b (M), gamma (M) = ln c - b ln x_ref, eta (H = n_min / (1 + exp(-eta))), then T of
 * demand (logits), ln gamma (M) of demand, ln a (M), T of transfer (off-diagonal values), ln gamma
 * (M) of transfer, ln p, ln q. The first n_v entries move mu. One domain has no gamma.
 */
#ifndef MIXSWEEP_COMPETITION_H
#define MIXSWEEP_COMPETITION_H

#include "law_impl.h"
#include "mixsweep/isa.h"

enum competition_kind { COMPETITION_PLAIN, COMPETITION_TRANSFER, COMPETITION_DEMAND };

/**
 * Share out the capacity: solve F(mu) = 0.
 *
 * @param n       skills
 * @param q       (n) ln(s b c); -inf where s = 0
 * @param e       (n) 1 / (b + 1)
 * @param ln_low  ln H
 * @param ln_n    ln N, N >= H
 * @param total   C = N + (n-1) H
 * @param mu      in: a guess from a nearby problem, or NaN; out: the multiplier ln lambda
 * @param ln_x    (n) out: ln of the capacities
 * @return Newton steps taken; at most 30. On legal input (b from 1e-3 to 8) it needs far fewer, and
 * sum x = C holds within rounding.
 */
int competition_allocate(size_t n, const double *q, const double *e, double ln_low, double ln_n,
                         double total, double *mu, double *ln_x);

/** Blocks of theta, as indices of model->offset; SIZE_MAX there where a model has no such block. */
enum competition_block {
    AT_B,
    AT_C,
    AT_H,
    AT_DEMAND,
    AT_NOISE,
    AT_TRANSFER,
    AT_GAMMA,
    AT_SIZE,
    AT_TOKEN,
    N_BLOCKS
};

/** Which of the linear terms is which, or -1; term 0 is E. */
struct competition_terms {
    int noise, size, token;
};

/** The parameters that a theta stands for, and room for one point; all in model->scratch. */
struct competition_values {
    double *b, *e, *ln_c, *ln_bc, *a; /* (M) */
    double *gamma;                    /* (M) 1 where the law has none */
    double *transfer;                 /* (M,K) T; unused by capacity */
    double *share;                    /* (M) of one point: d mu / d ln s */
    double *point;                    /* (3 M + M K) one point */
    double *q, *row, *block;          /* of the kernels */
    double h_low, ln_low;             /* H */
    double d_ln_h;                    /* d ln H / d eta */
    double p_size, p_token;
};

/** What eval leaves of the cells of the points, in model->cache; arrays (.., ld). */
struct competition_cells {
    size_t ld;
    double *mu;       /* ln lambda, a guess for the next eval too */
    double *ln_x;     /* (M) capacities */
    double *term;     /* (M) c x^-b */
    double *ln_noise; /* (M) ln max(n, h_min) */
    double *sum;      /* (M) t^gamma */
    double *power;    /* (M,K) h_j^gamma */
};

static inline struct competition_cells competition_cells_of(const struct mix_model *model)
{
    const size_t ld = model->cache_rows, n = model->spec.n_targets * ld;
    double *x = model->cache + ld;
    return (struct competition_cells){ld, model->cache, x, x + n, x + 2 * n, x + 3 * n, x + 4 * n};
}

/** The loops over points, once per instruction set. */
struct competition_kernels {
    /** As the functions of struct mix_law. */
    void (*eval)(const struct mix_model *model, const struct competition_values *k,
                 const struct law_points *points, double *g, double *phi);
    void (*jacobian)(const struct mix_model *model, const struct competition_values *k,
                     const struct law_points *points, const double *lambda, const double *phi,
                     double *own, double *u, double *v);
    /** competition_allocate() of as many problems as there are lanes: q (n, lanes), ln_n, total and
     * mu (lanes), ln_x (n, stride). */
    int (*allocate)(size_t n, const double *q, const double *e, double ln_low, const double *ln_n,
                    const double *total, double *mu, double *ln_x, size_t stride);
    size_t n_lanes;
};
const struct competition_kernels *competition_kernels(enum mix_isa isa);

enum competition_kind competition_kind_of(const struct mix_model *model);
struct competition_terms competition_terms_of(const struct mix_model *model);
struct competition_values competition_unpack(const struct mix_model *model, const double *theta);

/** H of the forms eq1 and eq3, which do not fit it; 1e6 parameters. */
double competition_fixed_h(const struct mix_model *model);

/** The members of struct mix_law, shared by the three families; the kind follows from the law's
 * name. */
enum mix_status competition_layout(struct mix_model *model, struct mix_error *err);
void competition_start(const struct mix_model *model, const struct law_scales *scales, gsl_rng *rng,
                       double *theta);
void competition_eval(struct mix_model *model, const double *theta, const struct law_points *points,
                      double *g, double *phi);
void competition_jacobian(struct mix_model *model, const double *theta,
                          const struct law_points *points, const double *lambda, const double *phi,
                          double *own, double *u, double *v);
void competition_point_gradient(struct mix_model *model, const double *theta,
                                const struct law_points *points, size_t r, const double *lambda,
                                const double *phi, double *dloss_dh, double *dloss_dln_d);
void competition_to_natural(const struct mix_model *model, const double *theta,
                            const double *lambda, double *params);
void competition_from_natural(const struct mix_model *model, const double *params, double *theta,
                              double *lambda);
void competition_natural_jacobian(const struct mix_model *model, const double *theta, double *jac);
void competition_param_name(const struct mix_model *model, size_t p, const char *const *domains,
                            const char *const *targets, char *name, char *unit);
double competition_least_size(const struct mix_model *model, const double *params);

/** The lines of a law's descriptor that the three families share. */
#define COMPETITION_FUNCTIONS                                                                      \
    .layout = competition_layout, .start = competition_start, .eval = competition_eval,            \
    .jacobian = competition_jacobian, .point_gradient = competition_point_gradient,                \
    .to_natural = competition_to_natural, .from_natural = competition_from_natural,                \
    .natural_jacobian = competition_natural_jacobian, .param_name = competition_param_name,        \
    .least_size = competition_least_size

/** Refuse tables in which the targets are not exactly the training domains. */
enum mix_status competition_check_domains(const struct mix_data *data, const char *law,
                                          const char *const *domains, const char *const *targets,
                                          struct mix_error *err);
/** Set has_size_term and has_token_term by what varies in the table, and note what is dropped. */
void competition_check_terms(const struct mix_data *data, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX]);

#endif

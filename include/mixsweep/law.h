/* SPDX-License-Identifier: GPL-3.0-or-later */
/* law.h - mixing laws: loss of every target as a function of mixture h, model size N and tokens D.
 *
 * Every family has the separable form
 *
 *     L_m(h,N,D) = g_m(theta; h,N,D) + sum_l lambda_ml phi_ml(theta; h,N,D),    lambda_ml >= 0
 *
 * with theta (Q) the internal nonlinear parameters (logarithms, logits, or box-bounded values) and
 * lambda (M,L) the linear ones, which a fit eliminates (variable projection). d L_m / d theta is a
 * sparse own block plus rank one:  J[m,:] = own[m,:] scattered to own_column[m,:]  +  u[m] v[:],
 * with u, v common to a point.
 *
 * The program, the file and people see natural parameters only: params (P), named and with units,
 * in the order of mix_model_param_name().
 *
 * Every law NAME is there as NAME+repetition too, with one parameter r1 more: with U_j tokens of
 * domain j that differ and r_j = h_j D / U_j passes over them,
 *
 *     f(r) = r  for r <= 1,    1 + r1 (1 - exp(-(r - 1) / r1))  beyond
 *     D' = sum_j U_j f(r_j),   h'_j = U_j f(r_j) / D',   L_m(h,N,D;U) = L_m(h',N,D') of NAME
 *
 * so a run that repeats counts as one of D' tokens that does not (Muennighoff et al., arXiv
 * 2305.16264, domain by domain as in arXiv 2605.12715). U is a run's own where the table knows it
 * (mix_data.unique), else what mix_model_set_supply() says.
 *
 * A law describes losses. Behind them a model may have S benchmark scores, each by a link from the
 * I = M - S losses, a two-step prediction in the form of Bhagia et al. (arXiv 2412.04403: a sigmoid
 * from task loss to accuracy) with a weighted sum of losses in place of one:
 *
 *     score = lo + (hi - lo) / (1 + exp(-(u - sum_i s_i L_i))),   s_i >= 0
 *
 * with 3 + I natural parameters each, behind those of the law. Far below hi it is exponential in
 * the loss, the form of Gadre et al. (arXiv 2403.08540).
 *
 * Shapes: K domains, M targets, R points, Q nonlinear, L linear per target, P = Q' + M L natural.
 * Units: N in 1e6 parameters, D in 1e9 tokens, losses in the target's unit.
 */
#ifndef MIXSWEEP_LAW_H
#define MIXSWEEP_LAW_H

#include <gsl/gsl_rng.h>
#include <stdbool.h>
#include <stddef.h>

#include "mixsweep/table.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MIX_LAW_LINEAR_MAX = 4 };

/** Which law, on what: everything that predictions need beside the parameters. Saved with a fit. */
struct mix_law_spec {
    char law[MIX_UNIT_MAX]; /* its name: "capacity", "transfer", "additive", ... */
    int form; /* capacity: 0 = the full law, 1 = Eq. 1, 3 = Eq. 3 of arXiv 2606.08167; others 0 */
    size_t n_domains;   /* K */
    size_t n_targets;   /* M */
    size_t n_scores;    /* S, the last of them; 0 = losses only */
    int has_size_term;  /* the law's own terms in N are there (N takes several values) */
    int has_token_term; /* the law's own terms in D are there (D takes several values) */
    double n_min;       /* smallest N of the table, 1e6 parameters: 0 < H < n_min */
    double h_min;       /* noise terms see max(h, h_min); 1e-4 */
};

/** A law family. One file and one line of the table in law.c each. */
struct mix_law;

/** A law with its spec, index tables and workspace. Not thread-safe (it owns scratch). */
struct mix_model;

/** Families by index, NULL behind the last; and their name and one-line summary. Found too by
 * NAME+repetition. */
const struct mix_law *mix_law_get(size_t index);
const struct mix_law *mix_law_find(const char *name);
const char *mix_law_name(const struct mix_law *law);
const char *mix_law_summary(const struct mix_law *law);

/** True of NAME+repetition. */
bool mix_law_repeats(const char *name);

/** True where `name` is the family, with or without repetition. */
bool mix_law_is(const char *name, const char *family);

/** f(r): what r passes are worth, in passes over tokens that are all new. */
double mix_law_worth(double passes, double r1);

/** The names of all families, joined by ", ". */
void mix_law_list(char text[MIX_TEXT_MAX]);

/**
 * Say whether the law can be fitted on the data, and derive its spec.
 *
 * @param name     family
 * @param form     see mix_law_spec
 * @param data     selected runs
 * @param domains  (K) names for messages
 * @param targets  (M) names for messages
 * @param spec     out: the spec
 * @param notes    out: terms dropped and why, one line each, at most MIX_TEXT_MAX bytes
 * @param err      out: which requirement the table misses; may be NULL
 * @return MIX_OK; MIX_EINVAL unknown family or form, or the table does not suit the law
 */
enum mix_status mix_law_spec_from_data(const char *name, int form, const struct mix_data *data,
                                       const char *const *domains, const char *const *targets,
                                       struct mix_law_spec *spec, char notes[MIX_TEXT_MAX],
                                       struct mix_error *err);

/**
 * Make a model of a law.
 *
 * @param spec           shape and options
 * @param target_domain  (M) training domain of each target or -1; copied
 * @param out            out: the model; free with mix_model_destroy()
 * @return MIX_OK; MIX_EINVAL unknown law, or a target that the law cannot have; MIX_ENOMEM
 */
enum mix_status mix_model_create(const struct mix_law_spec *spec, const int *target_domain,
                                 struct mix_model **out, struct mix_error *err);
void mix_model_destroy(struct mix_model *model);
const struct mix_law_spec *mix_model_spec(const struct mix_model *model);

/** P: number of natural parameters. */
size_t mix_model_n_params(const struct mix_model *model);

/** Natural parameters that a fit is free to choose: P less one for each row of `demand`'s T, which
 * sums to 1, and of `dml`'s t, which sums to 0. */
size_t mix_model_n_free(const struct mix_model *model);

/**
 * Name and unit of natural parameter `p`, for example "c[github]" and "loss" (the unit of the
 * target).
 *
 * @param name  out: (2 * MIX_NAME_MAX) bytes
 * @param unit  out: (MIX_UNIT_MAX) bytes
 */
void mix_model_param_name(const struct mix_model *model, size_t p, const char *const *domains,
                          const char *const *targets, char *name, char *unit);

/**
 * Set the tokens of each domain that a run can see without a repeat: what predictions of laws with
 * repetition are for. A new model has no end of any.
 *
 * @param supply  (K) in 1e9 tokens, copied; NaN and INFINITY = no end; NULL = of none
 */
void mix_model_set_supply(struct mix_model *model, const double *supply);

/**
 * Predict losses.
 *
 * @param params    (P) natural parameters
 * @param n_rows    R
 * @param mixture   (R,K) rows on the simplex
 * @param n_params  (R) N in 1e6
 * @param n_tokens  (R) D in 1e9
 * @param loss      (R,M) out: losses; unspecified after an error
 * @return MIX_OK; MIX_EINVAL a row has N < H (sentence names both)
 */
enum mix_status mix_model_predict(struct mix_model *model, const double *params, size_t n_rows,
                                  const double *mixture, const double *n_params,
                                  const double *n_tokens, double *loss, struct mix_error *err);

/** The same for runs of which each has its own supply, unique (R,K) in 1e9 tokens; NULL = as
 * mix_model_predict(). */
enum mix_status mix_model_predict_runs(struct mix_model *model, const double *params, size_t n_rows,
                                       const double *mixture, const double *unique,
                                       const double *n_params, const double *n_tokens, double *loss,
                                       struct mix_error *err);

/**
 * Losses at one point and their exact derivative by the mixture (the h_j taken as free variables).
 *
 * @param params    (P) natural parameters
 * @param mixture   (K)
 * @param n_params  N in 1e6
 * @param n_tokens  D in 1e9
 * @param loss      (M) out
 * @param dloss_dh  (M,K) out: d loss_m / d h_j, of scores too
 * @return MIX_OK; MIX_EINVAL N < H
 */
enum mix_status mix_model_gradient(struct mix_model *model, const double *params,
                                   const double *mixture, double n_params, double n_tokens,
                                   double *loss, double *dloss_dh, struct mix_error *err);

/**
 * What more tokens of a domain are worth at a point: dloss_dsupply (M,K) out, d loss_m / d U_j per
 * 1e9 tokens that differ. 0 where a domain is not repeated, and of laws without repetition.
 *
 * @return as mix_model_gradient()
 */
enum mix_status mix_model_supply_gradient(struct mix_model *model, const double *params,
                                          const double *mixture, double n_params, double n_tokens,
                                          double *dloss_dsupply, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

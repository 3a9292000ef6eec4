/* SPDX-License-Identifier: GPL-3.0-or-later */
/* search.h - the objective of one set of parameters over mixtures, and what mix_optimum_run() is
 * made of. Private to src/optimum/ and its tests.
 */
#ifndef MIXSWEEP_OPTIMUM_SEARCH_H
#define MIXSWEEP_OPTIMUM_SEARCH_H

#include "mixsweep/optimum.h"
#include "optimum/minimise.h"

enum { MIX_WARM_MAX = 6 };

/** Mixtures that every draw is asked about: the recommended one, and those it is compared with in
 * the order of mix_gain_names. */
enum { MIX_AT_OPTIMUM = 0, MIX_REFERENCES = 1 + MIX_GAINS };

/**
 * F(h) of one set of parameters, plus rho/2 |h - anchor|^2 where an anchor is set. Owns its model
 * and scratch; one per rank.
 */
struct mix_search {
    size_t n_domains, n_targets;
    struct mix_model *model;
    const double *params;        /* (P) borrowed; may be pointed at a draw's */
    double n_params, n_tokens;   /* in the law's units: 1e6 parameters, 1e9 tokens */
    double *weight;              /* (M) sums to 1 */
    const double *lower, *upper; /* (K) borrowed */
    const double *anchor;        /* (K) borrowed, or NULL */
    double rho;
    struct mix_minimiser *minimiser;
    double *loss;  /* (M) */
    double *slope; /* (M,K) */
};

/** Make a search for the point parameters of a fit. `weight` (M) need not sum to 1. */
enum mix_status mix_search_create(const struct mix_fit *fit,
                                  const struct mix_optimum_options *options, const double *weight,
                                  const double *lower, const double *upper, struct mix_search **out,
                                  struct mix_error *err);
void mix_search_destroy(struct mix_search *search);

/** F(h) without the anchor's term; `loss` (M) out, may be NULL. */
enum mix_status mix_search_value(struct mix_search *search, const double *h, double *value,
                                 double *loss, struct mix_error *err);

/** Go downhill from h (K), see mix_minimise(). */
enum mix_status mix_search_descend(struct mix_search *search, double *h,
                                   struct mix_minimum *minimum, struct mix_error *err);

/** What a search from many starts found. */
struct mix_valleys {
    struct mix_minimum best;
    size_t n_starts, n_at_best;
    size_t n;       /* distinct valleys kept, the lowest first; at most MIX_WARM_MAX */
    double *bottom; /* (MIX_WARM_MAX,K) */
};

/**
 * Search from the given mixtures, the centre, every domain's corner and Dirichlet draws,
 * `n_starts` in all.
 *
 * @param given  (n_given,K) mixtures to start from; rows with NaN are skipped
 */
enum mix_status mix_search_valleys(struct mix_search *search, size_t n_given, const double *given,
                                   size_t n_starts, uint64_t seed, struct mix_valleys *out,
                                   struct mix_error *err);

/** The runs behind a fit, as far as an optimum looks at them. */
struct mix_observed {
    size_t n_mixtures;
    double *mixtures; /* (n_mixtures,K) distinct */
    double *best;     /* (K) NaN where no run has all weighted targets */
};
enum mix_status mix_observed_read(const struct mix_table *table, const struct mix_fit *fit,
                                  const double *weight, struct mix_observed *out,
                                  struct mix_error *err);
void mix_observed_clear(struct mix_observed *observed);

/** What one draw says, as doubles: (ok, own value, values at the references, own mixture (K),
 * losses at the optimum (M)). */
enum { MIX_ANSWER_OK = 0, MIX_ANSWER_OWN = 1, MIX_ANSWER_AT = 2 };
enum { MIX_ANSWER_MIXTURE = MIX_ANSWER_AT + MIX_REFERENCES };

/** The draws of a bootstrap at their own optima. */
struct mix_answers {
    size_t n, width; /* B, doubles per draw: MIX_ANSWER_MIXTURE + K + M */
    size_t *draw;    /* (B) row of the bootstrap */
    double *answer;  /* (B,width) on rank 0 */
};

/**
 * Collective. Ask every finished draw.
 *
 * @param references  (MIX_REFERENCES,K) NaN rows are answered by NaN
 * @param n_warm      starts of each draw's search
 * @param warm        (n_warm,K)
 */
enum mix_status mix_answers_collect(struct mix_ranks *ranks, struct mix_search *search,
                                    const struct mix_draws *draws, const double *references,
                                    size_t n_warm, const double *warm, struct mix_answers *out,
                                    struct mix_error *err);
void mix_answers_clear(struct mix_answers *answers);

/**
 * The mixture nearest the baseline that the draws cannot tell from the optimum: the minimum of
 * F(h) + rho/2 |h - baseline|^2 for the largest rho at which at least (1 - level)/2 of the draws
 * put h no higher than the optimum. `tied` is the baseline itself where that passes.
 */
enum mix_status mix_search_tied(struct mix_search *search, const struct mix_draws *draws,
                                const struct mix_answers *answers, const double *optimum,
                                const double *baseline, double level, double *tied,
                                double *tied_loss, struct mix_error *err);

/** Append the warnings of a finished optimum to optimum->warnings. */
void mix_optimum_warn(const struct mix_table *table, const struct mix_fit *fit,
                      const struct mix_answers *answers, struct mix_optimum *optimum);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* search.h - the objective of one set of parameters over mixtures, and what mix_optimum_run() is
 * made of. Private to src/optimum/ and its tests.
 */
#ifndef MIXSWEEP_OPTIMUM_SEARCH_H
#define MIXSWEEP_OPTIMUM_SEARCH_H

#include "mixsweep/optimum.h"
#include "optimum/minimise.h"

enum { MIX_WARM_MAX = 6 };

/** A loss is no worse than the baseline's up to this factor of it, and a constraint is kept up to
 * this excess. */
#define MIX_NO_WORSE (1.0 + 1e-6)
#define MIX_KEEPS 1e-8

/** Mixtures that every draw is asked about: the recommended one, and those it is compared with in
 * the order of mix_gain_names. */
enum { MIX_AT_OPTIMUM = 0, MIX_REFERENCES = 1 + MIX_GAINS };

/** What is asked, as numbers. Arrays are borrowed. */
struct mix_question {
    double n_params, n_tokens;   /* in parameters and tokens */
    const double *weight;        /* (M) need not sum to 1 */
    const double *lower, *upper; /* (K) */
    const double *baseline;      /* (K) */
    const double *supply;        /* (K) tokens that a law with repetition sees; NaN = no end; NULL =
                                    those of the fit */
    const uint8_t *guard;        /* (M) 1 = no worse than the baseline; NULL = none */
    enum mix_goal goal;
    enum mix_distance distance;
    double radius;
};

/**
 * F(h) of one set of parameters, plus rho/2 |h - anchor|^2 where an anchor is set. Owns its model
 * and scratch; one per rank.
 *
 * Terms that are no bounds (the largest of several losses, guards, the distance) have a multiplier
 * for each of their parts; see terms.c.
 */
struct mix_search {
    size_t n_domains, n_targets;
    struct mix_model *model;
    const double *params;      /* (P) borrowed: see mix_search_aim() */
    double n_params, n_tokens; /* in the law's units: 1e6 parameters, 1e9 tokens */
    struct mix_question asked; /* its bounds are those of a search; they may be pointed elsewhere */
    double *weight;            /* (M) sums to 1 */
    const double *anchor;      /* (K) borrowed, or NULL */
    double rho;
    struct mix_minimiser *minimiser;
    double *loss;          /* (M) losses and scores */
    double *slope;         /* (M,K), and room for a gradient (K) */
    double *baseline_loss; /* (M) by these parameters; NaN where no term asks for it */
    double *unit;          /* (M) by which a loss counts: 1, or 1 / loss of the baseline; negative
                              of a score */
    double *offset;        /* (M) what is added then: 2 of a score relative to the baseline's */
    uint8_t *is_score;     /* (M) better when higher */
    double size;           /* F(baseline), the scale of losses; 1 where nothing asks for it */
    bool has_terms;
    size_t n_multipliers; /* 2 M + K: of the goal (M), the guards (M), the distance (K) */
    double *start;        /* (2M+K) multipliers with which a descent begins */
    double *multiplier;   /* (2M+K) */
    double *next;         /* (2M+K) what the last evaluation makes of them */
    double *part;         /* (M+K) scratch */
    double penalty;
};

/** Make a search for the point parameters of a fit. */
enum mix_status mix_search_create(const struct mix_fit *fit, const struct mix_question *question,
                                  struct mix_search **out, struct mix_error *err);
void mix_search_destroy(struct mix_search *search);

/** Ask another set of parameters (P), or the same at another scale. */
enum mix_status mix_search_aim(struct mix_search *search, const double *params,
                               struct mix_error *err);

/** Whether a mixture keeps guards and distance; bounds are not looked at. */
bool mix_search_keeps(struct mix_search *search, const double *h);

/** Largest excess of a mixture over guards (relative to the baseline's loss) and distance; 0 or
 * less where it keeps them, infinite where it has no losses. */
double mix_search_excess(struct mix_search *search, const double *h);

/** The terms of the augmented Lagrangian at h with the losses and slopes in the search: *value in
 * and out, gradient (K) in and out. Sets search->next. */
void mix_terms_add(struct mix_search *search, const double *h, double *value, double *gradient);
/** How far the multipliers are from settled, relative to the losses' scale. */
double mix_terms_residual(const struct mix_search *search);
/** Distance of h to the baseline, less the largest allowed. */
double mix_terms_distance(const struct mix_question *asked, size_t n_domains, const double *h);
/** How target m does by losses (M), relative to the baseline: loss / baseline's loss, 2 - score /
 * baseline's score. */
double mix_terms_ratio(const struct mix_search *search, size_t m, const double *loss);
/** F of losses (M). */
double mix_terms_goal(const struct mix_search *search, const double *loss);

/** F(h) without the anchor's term; `loss` (M) out, may be NULL. */
enum mix_status mix_search_value(struct mix_search *search, const double *h, double *value,
                                 double *loss, struct mix_error *err);

/** Go downhill from h (K), see mix_minimise(); the value is F(h), without anchor and terms.
 * MIX_ENUMERIC too where no mixture that keeps the terms is found on the way. */
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
    double *mixtures;                      /* (n_mixtures,K) distinct */
    double least_n_params, least_n_tokens; /* smallest scale, in parameters and tokens */
    double *best;                          /* (K) NaN where no run has all weighted targets */
};
enum mix_status mix_observed_read(const struct mix_table *table, const struct mix_fit *fit,
                                  const double *weight, enum mix_goal goal,
                                  struct mix_observed *out, struct mix_error *err);
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

/**
 * Least and largest share (K) of each domain among tied mixtures: of those with a share the one
 * that the fit likes best is looked at, from the optimum outwards, by every n-th draw where there
 * are many.
 */
enum mix_status mix_search_tied_range(struct mix_search *search, const struct mix_draws *draws,
                                      const struct mix_answers *answers, const double *optimum,
                                      double level, double *least, double *most,
                                      struct mix_error *err);

/** What intervals with all known errors are made of. */
struct mix_wide {
    const struct mix_table *table;
    const struct mix_fit *fit;
    const struct mix_draws *draws; /* or NULL */
    const struct mix_optimum_options *options;
    const struct mix_question *question;
    const double *references; /* (MIX_REFERENCES,K) */
};

/** Behind all other figures: objective_wide and what it adds, loss_wide, gain_wide, gain_error,
 * mixture_wide_*. */
enum mix_status mix_wide_set(const struct mix_wide *w, struct mix_optimum *out,
                             struct mix_error *err);

/** Tokens of each domain (K) that count as a constraint; NaN = unlimited, or none is asked for. */
void mix_question_supply(const struct mix_optimum_options *options, const struct mix_table *table,
                         const struct mix_fit *fit, double *supply);
/** What is asked beyond weights, floors, caps and baseline, as a text. */
void mix_question_text(const struct mix_optimum_options *options, size_t size, char *text);
/** Which targets are scores, and how they count, one a line. */
void mix_question_scores(const struct mix_table *table, const struct mix_fit *fit,
                         enum mix_goal goal, const double *weight, size_t size, char *text);
/** Targets (M) that are to be no worse than with the baseline; MIX_EINVAL an unknown one. */
enum mix_status mix_question_guards(const struct mix_optimum_options *options,
                                    const struct mix_fit *fit, uint8_t *guard,
                                    struct mix_error *err);

/**
 * Largest shares by caps (NULL = 1), supply and support, and the floors (NULL = 1e-4) that fit
 * below them: a floor of 1e-4 or less gives way.
 *
 * @param supply  (K) tokens, NaN = unlimited
 * @param lower   (K) out
 * @param limit   (K) out
 */
void mix_bounds_set(const struct mix_optimum_options *options, const struct mix_fit *fit,
                    const double *supply, double n_tokens, double *lower, double *limit);

/** Which of cap, supply and support the limit of a domain is. */
enum mix_bound mix_bound_of(const struct mix_optimum_options *options, const double *supply,
                            double n_tokens, size_t domain, double limit);

/** Floors, limits and distance leave a mixture; else a sentence that names a pair or a sum. */
enum mix_status mix_bounds_check(const struct mix_optimum_options *options,
                                 const struct mix_fit *fit, const double *supply,
                                 const struct mix_question *question, struct mix_error *err);

/**
 * Rank 0: why no mixture keeps the guards within bounds and distance, as MIX_EINVAL with a sentence
 * that names a conflict; MIX_OK where one does, which is then put in `h` (K).
 */
enum mix_status mix_conflict_explain(const struct mix_fit *fit, const struct mix_question *question,
                                     double *h, struct mix_error *err);

/** Shadow prices at the optimum: from the gradient (K) of the Lagrangian there. */
void mix_prices_set(const struct mix_search *search, const double *gradient,
                    struct mix_optimum *optimum);

/** The same of every domain's supply, into optimum->supply_price; behind mix_prices_set(), with the
 * multipliers, losses and baseline's losses of the optimum. */
enum mix_status mix_supply_prices_set(struct mix_search *search, struct mix_optimum *optimum,
                                      struct mix_error *err);

/** Of a law with repetition: r1, and the optimum that takes repeats for new, into
 * optimum->fresh_*. */
enum mix_status mix_fresh_find(struct mix_search *search, const struct mix_optimum_options *options,
                               const struct mix_fit *fit, const struct mix_question *question,
                               struct mix_optimum *optimum, struct mix_error *err);

/** The optimum at scales up to the target, into optimum->path_*. */
enum mix_status mix_path_find(struct mix_search *search, const struct mix_optimum_options *options,
                              const struct mix_fit *fit, const struct mix_observed *observed,
                              struct mix_optimum *optimum, struct mix_error *err);

/** The mixture on the lattice into optimum->lattice_*. MIX_EINVAL the lattice is too coarse. */
enum mix_status mix_lattice_find(struct mix_search *search, struct mix_optimum *optimum,
                                 struct mix_error *err);

/** Append the warnings of a finished optimum to optimum->warnings. */
void mix_optimum_warn(const struct mix_table *table, const struct mix_fit *fit,
                      const struct mix_optimum_options *options, const struct mix_answers *answers,
                      struct mix_optimum *optimum);

#endif

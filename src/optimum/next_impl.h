/* SPDX-License-Identifier: GPL-3.0-or-later */
/* next_impl.h - what a proposal and an allocation of runs have in common: candidates, decisions,
 * what every draw says of both, and the belief that follows. Private to src/optimum/.
 */
#ifndef MIXSWEEP_OPTIMUM_NEXT_IMPL_H
#define MIXSWEEP_OPTIMUM_NEXT_IMPL_H

#include "mixsweep/next.h"
#include "optimum/belief.h"

enum { NEXT_DECISIONS_MAX = 128, NEXT_SCALES_MAX = MIX_NEXT_SCALES_MAX };
#define NEXT_SAME_SCALE 0.01   /* relative */
#define NEXT_LEAST_NOISE 1e-6  /* relative to the loss */
#define NEXT_LEAST_FREEDOM 0.2 /* of a fit: else it says nothing of the noise */

/** What rank 0 tells all. */
struct mix_next_question {
    size_t n_mixtures, n_scales, n_decisions, n_candidates;
    double n_params, n_tokens; /* of the target */
    enum mix_goal goal;
    bool is_doubted; /* the law */
    struct mix_next_scale scale[NEXT_SCALES_MAX];
};

struct mix_proposing {
    struct mix_ranks *ranks;
    bool is_first;
    const struct mix_fit *fit;
    const struct mix_draws *draws;
    const struct mix_next_options *options;
    mix_progress_fn progress;
    void *progress_context;
    size_t n_domains, n_targets;
    struct mix_next_question ask;
    double *mixture;                  /* (n_mixtures,K) */
    double *decision;                 /* (n_decisions,K), the recommended one first */
    size_t *of_mixture, *of_scale;    /* (n_candidates), all of a scale together */
    double baseline[MIX_DOMAINS_MAX]; /* (K) */
    double *weight;                   /* (M) sums to 1 */
    double *unit;  /* (M) 1 / loss of the baseline where the goal is relative to it */
    double *noise; /* (M) */
    size_t *draw;  /* (n_known) rows of draws that are fitted */
    size_t n_known, width;
    double *records; /* (n_known,width) on rank 0: 1 = answered, losses, objectives */
    struct mix_model *model;
    double *rows, *row_params, *row_tokens, *row_loss; /* what a draw is asked, laid out:
                                                          candidates, decisions, the baseline */
    double supply[MIX_DOMAINS_MAX];     /* (K) tokens there are at the target; NaN = no end */
    double run_supply[MIX_DOMAINS_MAX]; /* (K) the same of runs: a what-if of the target is none of
                                           theirs */
    double match_tokens;                /* of the options of rank 0 */
    double *row_unique; /* (rows,K) in 1e9 tokens: what the run of a row sees without a repeat */
    bool by_turns;      /* scales are */
    size_t n_draws;     /* answered */
    double *loss, *goal;
    struct mix_belief *belief;
    size_t n_seeds[NEXT_SCALES_MAX]; /* at once of a candidate of a scale; 0 = not to be chosen */
    struct mix_prospect *prospect;   /* (n_candidates) */
    uint8_t *left_out, *barred;      /* (n_candidates) not scored now; nothing is known of it */
};

/** FLOPs of a run. */
double mix_next_cost(const struct mix_next_scale *scale);

/** Standard deviation of a measured mean loss; of the worst loss that of the noisiest. */
double mix_proposing_noise(const struct mix_proposing *p);

/** What part of the losses' scatter a fit with so many parameters leaves. */
double mix_next_freedom(const struct mix_fit *fit);

/** The largest difference of a share. */
double mix_next_distance(const double *a, const double *b, size_t n);

/** Rank 0: candidates, decisions, scales, weights and noise. */
enum mix_status mix_proposing_list(struct mix_proposing *p, const struct mix_table *table,
                                   const struct mix_optimum *optimum, struct mix_error *err);

/** Collective. List, ask every draw, and make the belief. Close it also after a failure. */
enum mix_status mix_proposing_open(struct mix_proposing *p, const struct mix_table *table,
                                   const struct mix_optimum *optimum, struct mix_error *err);
void mix_proposing_close(struct mix_proposing *p);

/** Collective. Prospects of all candidates within `flops`, on rank 0. */
enum mix_status mix_proposing_score(struct mix_proposing *p, double flops, struct mix_error *err);

/** Rank 0: the best of those scored, by FLOP or as such. SIZE_MAX = none tells anything.
 * @param best  out: its merit */
size_t mix_proposing_best(const struct mix_proposing *p, bool per_flop, double *best);
/** What a scored candidate is good for, by the criterion. */
double mix_proposing_merit(const struct mix_proposing *p, size_t candidate);

/** Mean regret now; that of every draw into (n_draws). */
double mix_proposing_regret(const struct mix_proposing *p, double *regret);

/** Mean and its standard error. */
struct mix_estimate mix_next_estimate(size_t n, const double *value);

#endif

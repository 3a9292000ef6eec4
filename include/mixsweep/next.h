/* SPDX-License-Identifier: GPL-3.0-or-later */
/* next.h - which proxy runs to make next, so that the recommended mixture is wrong by less.
 *
 * Bootstrap draws of a fit are samples of what the law might be. Each has its own optimum at the
 * target scale; the regret of a recommendation under a draw is what it loses there against that
 * optimum. A run would show losses that the draws predict differently: the more these go along with
 * the losses of the mixtures to decide between, the more it tells. Losses of the candidates and
 * losses at the target are taken as jointly normal with the draws' own covariance, and measurements
 * as that plus the scatter of the fit, so what is left of the variance after a batch of runs
 * follows by linear regression (the ensemble form of Bayes' rule). Near an optimum regret is
 * quadratic in errors: it falls as the variance falls of the differences between the mixtures to
 * decide between, which are the draws' optima (L-optimality: Atkinson, Donev, Tobias, Optimum
 * Experimental Designs, 2007, par. 10). What few draws lose of their variance by chance does not
 * count.
 *
 * What no draw knows, it cannot tell: an error of the law's form, or of the scales beyond those
 * that were fitted. Where the runs show that the law does not hold (mix_law_check()), runs at the
 * edges or at the cheapest scale, which tell most of its parameters, would draw it away from what
 * is to be decided (Box & Draper, J. Am. Stat. Assoc. 54, 1959: against bias runs are spread as
 * what they are asked for): the scales take turns, and mixtures are inner ones and those near the
 * optimum.
 */
#ifndef MIXSWEEP_NEXT_H
#define MIXSWEEP_NEXT_H

#include "mixsweep/optimum.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a batch is chosen by. */
enum mix_next_criterion {
    MIX_NEXT_REGRET = 0,   /* expected regret of the recommendation */
    MIX_NEXT_VARIANCE = 1, /* variance of the differences between the mixtures to decide between */
    MIX_NEXT_INFORMATION = 2, /* entropy of the law's parameters (D-optimality) */
    MIX_NEXT_CRITERIA = 3
};
extern const char *const mix_next_criteria[MIX_NEXT_CRITERIA]; /* "regret", ... */

enum {
    MIX_NEXT_DRAWS_MIN = 20, /* of fewer draws nothing can be learnt */
    MIX_NEXT_RUNS_MAX = 64,  /* in a batch */
    MIX_NEXT_SCALES_MAX = 16
};

/** A scale at which runs may be made. */
struct mix_next_scale {
    double n_params, n_tokens; /* parameters, tokens */
    double flops;              /* of a run; 0 = 6 n_params n_tokens */
};

struct mix_next_options {
    enum mix_next_criterion criterion;
    double flops;  /* for all runs together; INFINITY = no limit */
    size_t n_runs; /* at most; 32 */
    size_t n_scales;
    const struct mix_next_scale *scales; /* (n_scales) borrowed; NULL = those of the fitted runs */
    const struct mix_table *among; /* choose among these runs, each once, instead; borrowed; NULL =
                                      any mixture at the scales */
    double max_epochs;             /* passes over a domain's supply in a run; INFINITY = no limit */
    /** Tokens of the run whose passes smaller ones have, as a job's match_epochs says: they see
     * that part of the supply. NaN = all of it. */
    double match_tokens;
    double worth;      /* a lower regret pays where it is lower by more than this; NaN = by a tenth
                          of the noise */
    size_t n_mixtures; /* candidates at each scale; 64 */
    uint64_t seed;
    bool is_doubted; /* the law, by mix_law_check(); of rank 0 */
};
struct mix_next_options mix_next_defaults(void);

/** What the runs say of the law of a fit. */
struct mix_law_check {
    bool is_doubted;
    char doubt[MIX_TEXT_MAX];   /* how they show that it does not hold, in one sentence, or empty */
    char against[MIX_TEXT_MAX]; /* what it was tested against, one a line: "seeds", "fit NAME", the
                                   name of a law; empty = nothing says anything of it */
};

/**
 * Collective. Whether the runs show that the law of a fit does not hold: they are farther from it
 * than seeds of one mixture are from each other (F test, 1%), or another law, fitted to the same
 * runs, leaves less than half of its mean square residual, as it stands and by degrees of freedom,
 * which is no chance (F test, 1%). Other laws are those of `others` and two of product, transfer
 * and demand, which are fitted here (four starts) where `others` lack them.
 *
 * @param table     the runs; on all ranks
 * @param fit       on all ranks
 * @param n_others  fits of the file, of which those of the same runs and another law count; `fit`
 * may be among them; on rank 0
 * @param progress  reports starts done of each fit; may be NULL
 * @param out       out on rank 0
 * @return MIX_OK; MIX_EINVAL the table does not have what was fitted; MIX_ENOMEM; MIX_EINTERRUPTED
 */
enum mix_status mix_law_check(struct mix_ranks *ranks, const struct mix_table *table,
                              const struct mix_fit *fit, size_t n_others,
                              const struct mix_fit *const *others, mix_progress_fn progress,
                              void *progress_context, struct mix_law_check *out,
                              struct mix_error *err);

/** A figure with its standard error over the draws. */
struct mix_estimate {
    double value, se;
};

/** A proposed run. */
struct mix_next_run {
    double n_params, n_tokens, flops;
    size_t n_seen;              /* fitted runs of the same mixture and scale: it is a replicate */
    struct mix_estimate regret; /* expected once it and those before it are made */
};

/** Whether to make more runs. */
enum mix_advice { MIX_ADVICE_UNSURE = 0, MIX_ADVICE_STOP = 1, MIX_ADVICE_GO_ON = 2 };
extern const char *const mix_advices[MIX_ADVICE_GO_ON + 1]; /* "cannot tell", "stop", "go on" */

/** The proposal. Owns its arrays. */
struct mix_next {
    size_t n_domains, n_runs;
    char (*domains)[MIX_NAME_MAX]; /* (K) */
    struct mix_next_run *runs;     /* (n_runs) the most useful first */
    double *mixture;               /* (n_runs,K) */
    double flops;                  /* of all */
    size_t n_draws, n_candidates, n_decisions;
    struct mix_estimate before, after; /* expected regret, units of the mean loss */
    struct mix_estimate reduction;     /* by pairs of draws */
    double *lower;                     /* (n_draws) the reduction in each draw's world */
    bool few_draws; /* for so many runs: what they tell of each other is chance for the most part */
    double noise;   /* standard deviation around the fit of the objective of one run */
    double worth;   /* what the reduction has to be more than */
    double chance;  /* part of the draws in which it is */
    bool pays;      /* on average it is */
    bool is_sure;   /* at most MIX_NEXT_DOUBT of the draws say the contrary; where it pays, by more
                       than twice its standard error; and the law is not in doubt */
    bool is_doubted;           /* of the options */
    enum mix_advice advice;    /* what `pays` says where that is sure */
    char reason[MIX_TEXT_MAX]; /* what the runs are expected to bring, and how many draws agree */
};
void mix_next_destroy(struct mix_next *next);

#define MIX_NEXT_DOUBT 0.1

/** Weigh the runs against what they have to bring: sets worth, chance, pays, is_sure, advice and
 * reason.
 * @param worth  as in the options */
void mix_next_weigh(struct mix_next *next, double worth);

/**
 * Collective. Propose runs; candidates are scored as tasks over the ranks.
 *
 * @param table    the runs; on all ranks
 * @param fit      the fit; on all ranks
 * @param draws    its bootstrap draws; on all ranks
 * @param optimum  an answer of this fit with its draws: says the target scale, the weights, the
 *                 caps, and each draw's own optimum; on all ranks
 * @param out      out on rank 0; NULL elsewhere
 * @return MIX_OK; MIX_EINVAL draws or optimum belong to another fit, fewer than MIX_NEXT_DRAWS_MIN
 * draws, no run is within the budget or the supply (sentence says what the cheapest costs);
 * MIX_ENOMEM; MIX_EINTERRUPTED
 */
enum mix_status mix_next_propose(struct mix_ranks *ranks, const struct mix_table *table,
                                 const struct mix_fit *fit, const struct mix_draws *draws,
                                 const struct mix_optimum *optimum,
                                 const struct mix_next_options *options, mix_progress_fn progress,
                                 void *progress_context, struct mix_next **out,
                                 struct mix_error *err);

/** Ways to spend a budget on runs. */
enum mix_spending {
    MIX_SPEND_SMALL = 0, /* at the cheapest scale */
    MIX_SPEND_LARGE = 1, /* at the dearest */
    MIX_SPEND_EVEN = 2,  /* as many FLOPs at each */
    MIX_SPEND_MIXED = 3, /* where a FLOP lowers the regret most */
    MIX_SPENDINGS = 4
};
extern const char *const mix_spendings[MIX_SPENDINGS]; /* "all small", ... */

enum { MIX_BUDGETS = 5 };

/** What a budget is spent on, and what is expected of it. */
struct mix_allocated {
    enum mix_spending how;
    size_t n_mixtures[MIX_NEXT_SCALES_MAX], n_runs[MIX_NEXT_SCALES_MAX]; /* at each scale */
    double flops;
    struct mix_estimate regret;
};

/** Expected regret against budget. Free with free(). */
struct mix_allocation {
    size_t n_scales;
    struct mix_next_scale scale[MIX_NEXT_SCALES_MAX]; /* the cheapest first */
    double
        budget[MIX_BUDGETS]; /* ascending: each twice the one before, the last is options.flops */
    struct mix_allocated way[MIX_BUDGETS][MIX_SPENDINGS];
    struct mix_allocated best[MIX_BUDGETS]; /* of the ways within the budget: less may be spent */
    struct mix_estimate before;
    size_t n_draws;
    bool few_draws; /* for the runs of some way */
};

/**
 * Collective. How many runs at which scales: budgets spent in different ways, each by the belief
 * behind mix_next_propose(), and what comes of it. Expected regrets are of fits made again of
 * losses that are drawn as the fit has them, of the old runs and the new ones, 64 times; the error
 * of a figure is that of their mean. `n_runs` and `worth` of the options do not count.
 *
 * @param out  out on rank 0; NULL elsewhere
 * @return as mix_next_propose(); MIX_ENUMERIC most of these fits have no answer
 */
enum mix_status mix_next_allocate(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, const struct mix_draws *draws,
                                  const struct mix_optimum *optimum,
                                  const struct mix_next_options *options, mix_progress_fn progress,
                                  void *progress_context, struct mix_allocation **out,
                                  struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

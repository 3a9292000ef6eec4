/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.h - all laws on the same hold-outs: which of them answers for runs it has not seen?
 *
 * A hold-out is one or more folds; in each, every law is fitted on the training rows and predicts
 * the test rows. Beside the laws stand floors that know nothing of mixing, and a stack: a mean of
 * the laws whose weights come from hold-outs within the training rows of a fold. Test rows choose
 * nothing.
 *
 * Scores are linked to the losses on the training rows of a fold (see mixsweep/law.h), and what a
 * predictor says of the losses of a test row gives its scores. The floors mean and copy-scale take
 * those of the training rows.
 */
#ifndef MIXSWEEP_COMPARE_H
#define MIXSWEEP_COMPARE_H

#include "mixsweep/fit.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What makes a prediction. */
enum mix_predictor_kind { MIX_PREDICTOR_LAW, MIX_PREDICTOR_FLOOR, MIX_PREDICTOR_STACK };

struct mix_predictor {
    char name[MIX_NAME_MAX]; /* "transfer", "capacity:eq1", "mean", "stack" */
    int32_t kind;            /* enum mix_predictor_kind */
};

/** A predictor on one hold-out; NaN where something is not defined (ranks of what is blind to the
 * mixture), metrics.n = 0 where nothing was predicted. */
struct mix_compare_row {
    size_t n_params; /* free parameters; of the stack those of its members, and their weights */
    struct mix_metrics metrics;
    double mre_se;          /* standard error of metrics.mre over groups, see mix_compare_test */
    double worse, worse_se; /* MRE less that of the best row on the losses both predict */
    double weight;          /* of a law in the stack, mean over folds */
    double fit_s;           /* processor time of all starts of a fold, mean over folds */
    uint8_t loses_mre;      /* bit f: floor f has a smaller MRE on the losses both predict */
    uint8_t loses_skill;    /* bit f: floor f has a larger skill */
    char reason[MIX_ERROR_MAX]; /* why nothing was predicted; else empty */
};

/** A predictor on one target of one hold-out, in the unit of that target; metrics.n = 0 where
 * nothing was predicted. */
struct mix_compare_target {
    struct mix_metrics metrics;
    double worse, worse_se; /* MAE less that of the best predictor, where both predict */
    uint8_t loses_mae;      /* bit f: floor f has a smaller MAE where both predict */
    uint8_t loses_skill;    /* bit f: floor f has a larger skill */
};

/** One hold-out. */
struct mix_compare_test {
    char kind[MIX_KIND_MAX]; /* as in struct mix_holdout */
    size_t n_folds;
    size_t n_groups;                 /* that standard errors are over */
    uint8_t groups_are_folds;        /* 1: folds; 0: mixtures, as there is one fold */
    uint8_t best;                    /* predictor of the smallest MRE of those that predict most */
    double trained_min, trained_max; /* sizes trained on, in parameters */
};

/** A comparison as stored. Owns its arrays; free with mix_compare_destroy(). */
struct mix_compare {
    char name[MIX_NAME_MAX];
    struct mix_selection selection;
    char laws[MIX_TEXT_MAX];           /* as asked */
    char holdout_option[MIX_KIND_MAX]; /* as asked */
    uint64_t seed;
    size_t n_starts;
    struct mix_key table_key;         /* hash of the selected numbers */
    size_t n_rows, n_fitted;          /* rows, entries selected */
    size_t n_clusters;                /* mixtures */
    size_t n_targets;                 /* M: losses, behind them scores */
    size_t n_scores;                  /* the last of them */
    size_t n_predictors;              /* Q: laws in their order, floors, stack */
    struct mix_predictor *predictors; /* (Q) */
    size_t n_tests;                   /* H */
    struct mix_compare_test *tests;   /* (H) */
    struct mix_compare_row *rows;     /* (H,Q) of the losses */
    /* by target; NULL in comparisons of files that were written before scores were compared */
    char (*targets)[MIX_NAME_MAX];
    char (*units)[MIX_UNIT_MAX];
    double *target_size; /* (M) what losses count relative to in `rows`, see mix_data.size */
    struct mix_compare_target *by_target; /* (H,Q,M) */
    char (*no_link)[MIX_ERROR_MAX];       /* (H,M) why a score has no link in a fold; else empty */
};

enum { MIX_COMPARE_LAWS_MAX = 32 };

/** NULL when memory is out. */
struct mix_compare *mix_compare_create(size_t n_tests, size_t n_predictors);
/** Room for what is by target; false: memory is out. */
bool mix_compare_hold_targets(struct mix_compare *compare, size_t n_targets);
void mix_compare_destroy(struct mix_compare *compare);

/** A predictor on a target of a hold-out, where there is something by target. */
const struct mix_compare_target *mix_compare_on_target(const struct mix_compare *compare,
                                                       size_t test, size_t predictor,
                                                       size_t target);
/** True where losses have several units: then errors and means over them are of each relative to
 * its target_size. */
bool mix_compare_mixes_units(const struct mix_compare *compare);

/** What to compare. */
struct mix_compare_options {
    const char *name;    /* in the file */
    const char *laws;    /* "all", or names joined by commas; "capacity:eq1" is a form of a law */
    const char *holdout; /* "scale", "mixture:4-fold", "both", or "all" of them that can be made */
    struct mix_selection selection;
    size_t n_starts; /* of each fit; fits that serve the weights of the stack take half of them */
    uint64_t seed;
};

/** Defaults: name "laws", all laws, all hold-outs, targets "domains", last checkpoints, 16 starts,
 * seed 1. */
struct mix_compare_options mix_compare_options_default(void);

/**
 * Collective. Fit every law on every fold and judge it; the result is set on rank 0 only (NULL
 * elsewhere). A law that cannot be fitted is a row with the reason.
 *
 * @param ranks    ranks to use
 * @param table    the runs, equal on all ranks
 * @param progress reports starts done; may be NULL
 * @return MIX_OK; MIX_EUSAGE unknown law or hold-out; MIX_EINVAL none can be made of the
 * selection; MIX_EINTERRUPTED
 */
enum mix_status mix_compare_run(struct mix_ranks *ranks, const struct mix_table *table,
                                const struct mix_compare_options *options, mix_progress_fn progress,
                                void *progress_context, struct mix_compare **out,
                                struct mix_error *err);

/** True where the selection gives the numbers now that were compared. */
bool mix_compare_sees_same_runs(const struct mix_compare *compare, const struct mix_table *table);

#ifdef __cplusplus
}
#endif
#endif

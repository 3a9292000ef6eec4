/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare_parts.h - what compare.c (which fits) and compare_judge.c (what they are worth) share.
 * Private to src/fit/. */
#ifndef MIXSWEEP_COMPARE_PARTS_H
#define MIXSWEEP_COMPARE_PARTS_H

#include "fit_parts.h"
#include "mixsweep/compare.h"

/** A law or a form of one, as asked. */
struct compare_law {
    char label[MIX_NAME_MAX]; /* "capacity:eq1" */
    char law[MIX_UNIT_MAX];
    int form;
};

/** The rows of a fit: a fold of a hold-out, or a fold within the training rows of one. */
struct compare_part {
    size_t test, fold;
    size_t inner;            /* 0: the fold itself; else 1, 2, ... within its training rows */
    uint8_t *train, *tested; /* (R) */
    struct mix_data *data;   /* the training rows */
};

/** A hold-out. */
struct compare_test {
    const char *option; /* that made it */
    struct splits splits;
    char (*reason)[MIX_ERROR_MAX]; /* (L) why a law is left out; else empty */
    size_t *n_params;              /* (L) */
};

enum { COMPARE_TESTS_MAX = MIX_HOLDOUTS_MAX };

/** All fits of a comparison. */
struct compare_plan {
    const struct mix_compare_options *options;
    const struct mix_table *table;
    struct fit_plan fits; /* its subfits: (parts, L); one with n_starts = 0 is not made */
    size_t n_laws;        /* L */
    struct compare_law law[MIX_COMPARE_LAWS_MAX];
    size_t n_tests;
    struct compare_test test[COMPARE_TESTS_MAX];
    size_t n_parts;
    struct compare_part *part; /* by test and fold, the fold itself before those within it */
    size_t live;               /* the subfit that has its workspace; SIZE_MAX = none */
};

static inline struct subfit *compare_subfit(const struct compare_plan *plan, size_t part,
                                            size_t law)
{
    return &plan->fits.subfit[part * plan->n_laws + law];
}

/** Predictions on one hold-out. Predictors (Q): laws (L), floors, stack; targets (M): losses (I),
 * scores. */
struct compare_board {
    struct compare_plan *plan;
    size_t test;
    const struct split *split;
    const double *target_weight;  /* (M) */
    struct mix_compare_row *rows; /* (Q) out */
    double *predicted;            /* (Q,R,I) NaN = not */
    double *all;     /* (Q,R,M) the same with scores; `predicted` where there are none */
    double *inner;   /* (L,R,I) within the training rows of a fold */
    double *errors;  /* (L, R I + L) of those that are members */
    double *none;    /* (L) zeros */
    uint8_t *tested; /* (R) in some fold */
    size_t *group;   /* (R) that a tested row belongs to */
    size_t n_groups;
    double *sum, *n;                                   /* (n_groups) */
    bool blind[MIX_COMPARE_LAWS_MAX + MIX_FLOORS + 1]; /* (Q) to the mixture */
};

static inline size_t compare_n_predictors(const struct compare_board *b)
{
    return b->plan->n_laws + MIX_FLOORS + 1;
}

/** What differs by less from a floor does not lose to it. */
static const double COMPARE_TIE = 1e-3;

/** Mean error of predictor `one`, less that of `other` where it is one (else SIZE_MAX), on what
 * both predict; and its standard error over groups, as of a ratio of sums. Of one target, or,
 * relative to them, of all losses (target -1). */
double compare_mean_error(const struct compare_board *b, size_t one, size_t other, int target,
                          double *se);

/** Scores by the links of each fold, and what floors say of them: b->all. */
enum mix_status compare_link_scores(struct compare_board *b, char (*no_link)[MIX_ERROR_MAX],
                                    struct mix_error *err);
/** What predictors are worth on each target: (Q,M). */
enum mix_status compare_judge_targets(const struct compare_board *b, struct mix_compare_target *out,
                                      struct mix_error *err);

/** Give a subfit its workspace, and take it from the one that had it. */
enum mix_status compare_enliven(struct compare_plan *plan, struct subfit *subfit,
                                struct mix_error *err);
/** Take it from all. */
void compare_rest(struct compare_plan *plan);

/** From the records of all starts to the comparison: rank 0 only. */
enum mix_status compare_judge(struct compare_plan *plan, struct mix_compare **out,
                              struct mix_error *err);

#endif

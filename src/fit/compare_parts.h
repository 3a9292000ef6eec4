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

/** Give a subfit its workspace, and take it from the one that had it. */
enum mix_status compare_enliven(struct compare_plan *plan, struct subfit *subfit,
                                struct mix_error *err);
/** Take it from all. */
void compare_rest(struct compare_plan *plan);

/** From the records of all starts to the comparison: rank 0 only. */
enum mix_status compare_judge(struct compare_plan *plan, struct mix_compare **out,
                              struct mix_error *err);

#endif

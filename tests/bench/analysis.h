/* SPDX-License-Identifier: GPL-3.0-or-later */
/* analysis.h - what benchmarks make of some runs. */
#ifndef MIXSWEEP_TESTS_BENCH_ANALYSIS_H
#define MIXSWEEP_TESTS_BENCH_ANALYSIS_H

#include "mixsweep/fit.h"
#include "mixsweep/optimum.h"

struct analysis {
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct mix_optimum *optimum;
};

static inline void clear(struct analysis *a)
{
    mix_optimum_destroy(a->optimum);
    mix_draws_destroy(a->draws);
    mix_fit_destroy(a->fit);
    *a = (struct analysis){NULL, NULL, NULL};
}

#endif

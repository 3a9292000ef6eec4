/* SPDX-License-Identifier: GPL-3.0-or-later */
/* evaluators.h - the evaluators of proxy runs; one file and one line here and in sweep.c each.
 * Private to src/sweep/. */
#ifndef MIXSWEEP_SWEEP_EVALUATORS_H
#define MIXSWEEP_SWEEP_EVALUATORS_H

#include "mixsweep/sweep.h"

extern const struct mix_evaluator mix_evaluator_simulate;

#endif

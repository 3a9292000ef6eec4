/* SPDX-License-Identifier: GPL-3.0-or-later */
/* evaluators.h - the evaluators of proxy runs; one file and one line here and in sweep.c each.
 * Private to src/sweep/. */
#ifndef MIXSWEEP_SWEEP_EVALUATORS_H
#define MIXSWEEP_SWEEP_EVALUATORS_H

#include "mixsweep/sweep.h"

extern const struct mix_evaluator mix_evaluator_simulate;
extern const struct mix_evaluator mix_evaluator_table;
extern const struct mix_evaluator mix_evaluator_command;
extern const struct mix_evaluator mix_evaluator_embedded;

/** The files behind a domain or target. */
struct mix_corpus_source mix_source_of(const char *name, const struct mix_job_source *source);
/** "files:" and a hash of the files behind a domain; empty where there are none to be read. */
void mix_content_of_files(const struct mix_job *job, size_t domain, char out[MIX_NAME_MAX]);

/** Sleep as an evaluator that pretends to work; false: the poll says stop. */
bool mix_pretend(double seconds, struct mix_poll *poll);

#endif

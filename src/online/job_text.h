/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_text.h - the text of a job's domains for what trains online. Private to src/online/ and its
 * tests. */
#ifndef MIXSWEEP_ONLINE_JOB_TEXT_H
#define MIXSWEEP_ONLINE_JOB_TEXT_H

#include "mixsweep/corpus.h"
#include "mixsweep/job.h"

/**
 * Read the text of some domains, or make it where sweep.embedded.synthetic says so: a domain then
 * has the same text in whatever list it stands, and its held-out parts have validation_bytes each.
 *
 * @param domain  (n) numbers of domains, at most MIX_GROUPS_MAX
 * @param select  with the part MIX_PART_SELECT
 * @param share   of documents, for the part MIX_PART_TEST and, if asked for, MIX_PART_SELECT
 * @return as mix_corpus_load()
 */
enum mix_status online_load_text(const struct mix_job *job, const size_t *domain, size_t n,
                                 bool select, double share, struct mix_corpus **out,
                                 struct mix_error *err);

#endif

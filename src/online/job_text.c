/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job_text.c - see job_text.h. */
#include "online/job_text.h"

#include "mixsweep/online.h"

enum mix_status online_load_text(const struct mix_job *job, const size_t *domain, size_t n,
                                 bool select, double share, struct mix_corpus **out,
                                 struct mix_error *err)
{
    struct mix_corpus_source sources[MIX_GROUPS_MAX];
    struct mix_corpus_options options = job->embedded.corpus;
    struct mix_corpus_synthetic synthetic = job->embedded.synthetic;
    if (job->embedded.is_synthetic) {
        synthetic.n_sources = n;
        synthetic.numbers = domain;
        synthetic.n_test_bytes = synthetic.n_validation_bytes;
        synthetic.n_select_bytes = select ? synthetic.n_validation_bytes : 0;
        return mix_corpus_synthesise(&synthetic, NULL, out, err);
    }
    options.test_share = share;
    options.select_share = select ? share : 0;
    for (size_t i = 0; i < n; i++) {
        const struct mix_job_source *source = &job->domain_sources[domain[i]];
        sources[i] = (struct mix_corpus_source){.name = job->domains[domain[i]].name,
                                                .paths = (const char *const *)source->paths,
                                                .n_paths = source->n_paths,
                                                .document = source->document};
    }
    return mix_corpus_load(sources, n, &options, out, err);
}

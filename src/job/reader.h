/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reader.h - from the text of a key to a field of the job, with its range.
 *
 * Every take_ function leaves `out` alone where the text is NULL (the key was
 * left out: the default stays) and does nothing once something has failed, so
 * that the first failure is the one told. Private to src/job/.
 */
#ifndef MIXSWEEP_JOB_READER_H
#define MIXSWEEP_JOB_READER_H

#include <stdio.h>

#include "document.h"
#include "mixsweep/job.h"
#include "schema.h"

struct reader {
    struct job_document document;
    struct mix_job *job;
    enum mix_status status;
    struct mix_error *err;
};

/** Fail with FILE, line and key: FAIL(in, key, format, ...). */
#define FAIL(in, ...) ((in)->status = job_document_fail(&(in)->document, (in)->err, __VA_ARGS__))

/** The key of an entry of a list or mapping, as a local variable: ITEM_KEY(key, "scales[%zu]", s).
 */
#define ITEM_KEY(key, ...)                                                                         \
    char key[JOB_KEY_MAX];                                                                         \
    snprintf(key, sizeof key, __VA_ARGS__)

void take_number(struct reader *in, const char *key, const char *text, double min, double max,
                 double *out);
/** A whole number; 1e3 and 1000 are both fine. */
void take_count(struct reader *in, const char *key, const char *text, size_t min, size_t max,
                size_t *out);
void take_int(struct reader *in, const char *key, const char *text, int min, int max, int *out);
/** A duration: 300s, 20m, 1.5h, 2d, 01:30:00 or 1-00:00:00. */
void take_seconds(struct reader *in, const char *key, const char *text, double min, double max,
                  double *out);
/** An amount of memory: 4GB (10^9), 16GiB (2^30), 16G (as Slurm, 2^30). */
void take_bytes(struct reader *in, const char *key, const char *text, double *out);
void take_seed(struct reader *in, const char *key, const char *text, uint64_t *out);
void take_bool(struct reader *in, const char *key, const char *text, bool *out);
/** Index of the text among `words`, which the message lists. */
void take_word(struct reader *in, const char *key, const char *text, const char *const *words,
               size_t n_words, int *out);
/** A text of 1 … size-1 bytes without control characters. */
void take_text(struct reader *in, const char *key, const char *text, char *out, size_t size);
/** A name that can stand in a column, a `where` term and a parameter's
 * brackets. */
void take_name(struct reader *in, const char *key, const char *text, char *out, size_t size);
/** A copy that the job owns. */
void take_copy(struct reader *in, const char *text, const char **out);
/** The texts of a list in the document, as a new array with NULL behind the last; NULL where the
 * key is left out. Freed by job_free_texts(), also after a failure. */
void take_texts(struct reader *in, const char *key, size_t *n, char ***out);
void job_free_texts(size_t n, char **texts);
/** Whole numbers of a list in the document; where the key is left out `out` stays. */
void take_ints(struct reader *in, const char *key, int min, int max, size_t n_max, size_t *n,
               int *out);
/** Zeroed memory for n entries, or NULL with the failure noted. */
void *take_memory(struct reader *in, size_t n, size_t size);

/* The sections of the job file, in the order in which they are read. */

/** Scales without what depends on the design: how many mixtures and seeds. `list` is their key. */
void take_scales(struct reader *in, const char *list, const struct raw_scale *raw, size_t n,
                 size_t *n_out, struct mix_job_scale **out);
/** The design, and how many mixtures and seeds each scale has. */
void take_design(struct reader *in, const struct raw_job *raw);
void take_sweep(struct reader *in, const struct raw_job *raw);
void take_fit(struct reader *in, const struct raw_fit *raw);
void take_bootstrap(struct reader *in, const struct raw_bootstrap *raw);
void take_optima(struct reader *in);
void take_adaptive(struct reader *in, const struct raw_adaptive *raw);
/** After the sweep: the trainer of its scales is the sweep's. */
void take_confirm(struct reader *in, const struct raw_job *raw);
/** After the sweep: the text is the sweep's, the shape that of the first scale. */
void take_online(struct reader *in, const struct raw_job *raw);

/** After the sweep, as for the section online. */
void take_agent(struct reader *in, const struct raw_job *raw);

void job_free_online(struct mix_job_online *online);
void job_free_agent(struct mix_job_agent *agent);

/** The trainer of each scale that has a shape, from the section embedded (NULL = its defaults). */
void take_trainers(struct reader *in, const struct raw_embedded *raw, const char *list, size_t n,
                   struct mix_job_scale *scales);
/** The evaluator embedded wants a shape at every scale. */
void check_shapes(struct reader *in, const char *list, size_t n,
                  const struct mix_job_scale *scales);
/** A law by name. */
void take_law(struct reader *in, const char *key, const char *text, const char **out);

/** The mixtures of a file into job->listed: CSV, JSON lines, or YAML. */
void take_mixtures(struct reader *in, const char *key, const char *path);

/**
 * Make the first `n` mixtures of the design, or as many as there are.
 *
 * @param mixtures  (n,K) out
 * @return their number; SIZE_MAX when memory is out
 */
size_t job_make_mixtures(const struct mix_job *job, size_t n, double *mixtures);
/** The largest share of each domain that design.max_epochs allows, on the lattice; (K) out. Returns
 * their sum. */
double job_caps(const struct mix_job *job, double *caps);
/** Bring a mixture onto the lattice of 1e-6. */
void job_round_mixture(size_t n_domains, double *mixture);
/** A run of a job: identity and what is known before it is made. */
void job_make_run(const struct mix_job *job, const struct mix_job_scale *scale,
                  const double *mixture, size_t replicate, struct mix_run *out);
/** Number of mixtures of method lattice. */
double job_lattice_points(const struct mix_job *job);

#endif

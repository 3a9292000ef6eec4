/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reader.h - from the text of a key to a field of the job, with its range.
 *
 * Every take_ function leaves `out` alone where the text is NULL (the key was
 * left out: the default stays) and does nothing once something has failed, so
 * that the first failure is the one told. Private to src/job/.
 */
#ifndef MIXSWEEP_JOB_READER_H
#define MIXSWEEP_JOB_READER_H

#include "document.h"
#include "mixsweep/job.h"

struct reader {
    struct job_document document;
    struct mix_job *job;
    enum mix_status status;
    struct mix_error *err;
};

/** Fail with FILE, line and key: FAIL(in, key, format, ...). */
#define FAIL(in, ...) ((in)->status = job_document_fail(&(in)->document, (in)->err, __VA_ARGS__))

/** A number as people write it: 7e9, 1.3e9, 67_760_078_203 (underscores between
 * digits). */
bool parse_number(const char *text, double *out);

void take_number(struct reader *in, const char *key, const char *text, double min, double max,
                 double *out);
/** A whole number; 1e3 and 1000 are both fine. */
void take_count(struct reader *in, const char *key, const char *text, size_t min, size_t max,
                size_t *out);
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
/** Zeroed memory for n entries, or NULL with the failure noted. */
void *take_memory(struct reader *in, size_t n, size_t size);

#endif

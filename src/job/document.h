/* SPDX-License-Identifier: GPL-3.0-or-later */
/* document.h - the text of a job file as a YAML document whose places can be
 * named.
 *
 * A key is written as people write it: "fit.starts", "domains[2].prior".
 * Private to src/job/.
 */
#ifndef MIXSWEEP_JOB_DOCUMENT_H
#define MIXSWEEP_JOB_DOCUMENT_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <yaml.h>

#include "mixsweep/status.h"

enum { JOB_KEY_MAX = 160, JOB_ITEMS_MAX = 4096, JOB_SECTIONS_MAX = 16 };

/** Values that libcyaml has no type for are CYAML_IGNORE in a schema and read from the document;
 * `data_size` of the schema says which of these they are. */
enum job_free {
    JOB_FREE_MAPPING = 0, /* names of the user's own, each with a single value */
    JOB_FREE_LIST,        /* a single value, or a list of them */
    JOB_FREE_LISTS,       /* a list of these */
    JOB_FREE_SECTION,     /* a single value, or a mapping with the fields of the schema */
    JOB_FREE_SECTIONS     /* such a mapping, or a list of them */
};

/** The schema of a single value. */
extern const cyaml_schema_value_t job_text_schema;

struct job_document {
    const char *path; /* for messages; borrowed */
    yaml_document_t document;
};

/**
 * Parse one YAML document: no anchors, aliases or tags, at most 16 levels. Free
 * with job_document_close().
 *
 * @return MIX_OK; MIX_EINVAL with file and line; MIX_ENOMEM. After an error
 * there is nothing to close.
 */
enum mix_status job_document_parse(const char *path, const char *text, size_t n_bytes,
                                   struct job_document *out, struct mix_error *err);
void job_document_close(struct job_document *self);

/**
 * Check the document against a schema of mappings, sequences and strings:
 * unknown, missing and repeated keys, and values of another kind. What it
 * accepts cyaml_load_data() accepts.
 */
enum mix_status job_document_check(struct job_document *self, const cyaml_schema_value_t *schema,
                                   struct mix_error *err);

/** Fail with "FILE, line L, key KEY: ..."; a key that is not there has the line
 * of its nearest parent. */
enum mix_status job_document_fail(struct job_document *self, struct mix_error *err, const char *key,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/** Entry `i` of the free mapping at `key`: name and text. False behind the
 * last, or where there is no such mapping. A value that is no scalar has the
 * text NULL. */
bool job_document_entry(struct job_document *self, const char *key, size_t i, const char **name,
                        const char **text);

/** Line of item `i` of a document that is a list; 0 behind the last. */
size_t job_document_line(struct job_document *self, size_t i);

/** The single value at `key`, or NULL. */
const char *job_document_text(struct job_document *self, const char *key);

/** True where the key is there, whatever its value. */
bool job_document_has(struct job_document *self, const char *key);

/** Item `i` of the list at `key`; a single value is a list of one. False behind the last. */
bool job_document_item(struct job_document *self, const char *key, size_t i, const char **text);

/** The known name nearest to a mistyped one, or NULL where none is near. */
const char *job_nearest(const char *name, const char *const *known, size_t n_known);

#endif

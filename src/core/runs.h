/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runs.h - which rows of a table belong to one run, and numbers and names in text. Private to the
 * library.
 */
#ifndef MIXSWEEP_CORE_RUNS_H
#define MIXSWEEP_CORE_RUNS_H

#include "mixsweep/table.h"

/* What no name of a domain or target has: it stands in columns, `where` terms and brackets. */
#define MIX_NOT_IN_NAMES ",=<>![]\"/"

/**
 * Keep of the rows with keep[r] = 1 only the last checkpoint of each run. A run is the rows of
 * equal name, size, mixture_id, seed, schedule and recipe; a row without a name is a run of its
 * own.
 *
 * @param keep  (R) in and out
 * @return MIX_OK; MIX_ENOMEM
 */
enum mix_status mix_runs_keep_last(const struct mix_table *table, uint8_t *keep,
                                   struct mix_error *err);

/** The same with those of at least `part` of the last one's tokens. */
enum mix_status mix_runs_keep_late(const struct mix_table *table, double part, uint8_t *keep,
                                   struct mix_error *err);

/**
 * Find two rows of equal key, the first such pair in row order.
 *
 * @param first, second  out: rows, first < second; set where *found
 */
enum mix_status mix_runs_find_twins(const struct mix_table *table, bool *found, size_t *first,
                                    size_t *second, struct mix_error *err);

/** Clear keep[r] (R) of the rows that do not pass `where`; see mix_table_where(). */
enum mix_status mix_runs_where(const struct mix_table *table, const char *where, uint8_t *keep,
                               struct mix_error *err);

/** Whether two rows are checkpoints of one run. */
bool mix_runs_same(const struct mix_run *a, const struct mix_run *b);

/** Whether a row takes the place of another one with its key: what is done stays; of attempts that
 * did not get to the end the last one counts. */
bool mix_runs_supersedes(const struct mix_run *later, const struct mix_run *earlier);

/** The mixture that a row was to have, or the realised one where nobody says. */
const double *mix_runs_mixture(const struct mix_table *table, size_t row);

/** Within which shares of one mixture are equal. */
extern const double mix_runs_tolerance;
bool mix_runs_equal_mixtures(const double *a, const double *b, size_t n_domains, double tolerance);

/** Where a mixture lies on the line that all are projected onto, to find near ones by sorting: the
 * weights of the shares are within 1. INFINITY where it is not known. */
double mix_runs_project(const double *mixture, size_t n_domains);

/** Set the key of one row, as mix_table_finish() does. */
void mix_runs_set_key(struct mix_table *table, size_t row);

/** Copy row `from` over row `to`; the metadata of `to` is not freed. */
void mix_runs_move(struct mix_table *table, size_t to, size_t from);

/** Drop the rows with keep[r] = 0; the others stay in order. */
void mix_runs_drop(struct mix_table *table, const uint8_t *keep);

/** Read a finite decimal number as people write it, the whole text: 7e9, 67_760_078_203, 7B (K, M,
 * B, T: thousand to 1e12); no hexadecimal, "inf" or "nan". */
bool mix_number_read(const char *text, double *value);

#endif

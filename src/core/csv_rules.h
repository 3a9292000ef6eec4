/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_rules.h - the rules of a map for names: drop, rename, regex, factor; and which of them fitted
 * something, as one that never does is misspelt. Private to src/core/.
 */
#ifndef MIXSWEEP_CORE_CSV_RULES_H
#define MIXSWEEP_CORE_CSV_RULES_H

#include <regex.h>

#include "core/csv_text.h"

enum { CSV_NAME_BYTES = 512 };

/** Zero-initialise; free with csv_rules_free(). */
struct csv_rules {
    const struct mix_map *map; /* borrowed; NULL = no rules */
    size_t n_compiled;
    regex_t *patterns; /* (n_compiled) of drop, then regex, then factor */
    uint8_t *used;     /* (n_rename + n_regex) 1 = fitted a name */
};

/** MIX_EINVAL a pattern is none (sentence names its key); MIX_ENOMEM. */
enum mix_status csv_rules_make(const struct mix_map *map, struct csv_rules *out,
                               struct mix_error *err);
void csv_rules_free(struct csv_rules *rules);

enum csv_fate { CSV_KEPT, CSV_RENAMED, CSV_DROPPED };

/**
 * What becomes of a name: of a column, or of a target in the long form.
 *
 * @param name  out: the new one where it is CSV_RENAMED
 * @return MIX_OK; MIX_EINVAL the new name is too long
 */
enum mix_status csv_rules_name(struct csv_rules *rules, const char *original, enum csv_fate *fate,
                               char name[CSV_NAME_BYTES], struct mix_error *err);

/** Refuse a rename or regex that has fitted nothing. The sentence tells columns of `text` and
 * `metrics` (NULL = one file). */
enum mix_status csv_rules_all_used(const struct csv_rules *rules, const struct csv_text *text,
                                   const struct csv_text *metrics, struct mix_error *err);

/** Set the factors of columns, by our names. MIX_EINVAL one fits no column. */
enum mix_status csv_rules_factors(const struct csv_rules *rules, struct csv_text *text,
                                  struct mix_error *err);

/** Long form (a row per loss) into a row per run; the rules hold for the names of targets too. */
enum mix_status csv_long_widen(struct csv_rules *rules, struct csv_text *text,
                               struct mix_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_help.h - imports from text in tests. */
#ifndef MIXSWEEP_TESTS_CSV_HELP_H
#define MIXSWEEP_TESTS_CSV_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/csv_text.h"

/* An import whose files are texts. `map` is YAML or NULL, `metrics` NULL but in the two-CSV form.
 */
struct texts {
    const char *file, *table, *metrics, *map;
    struct mix_import import;
};

static inline enum mix_status import_texts(struct texts texts, struct mix_table **out,
                                           struct mix_import_notes *notes, struct mix_error *err)
{
    struct csv_text table = {0}, metrics = {0};
    struct mix_map *map = NULL;
    enum mix_status status = MIX_OK;
    if (texts.map != NULL)
        status = mix_map_parse("map.yaml", texts.map, &map, err);
    texts.import.map = map;
    if (status == MIX_OK)
        status = csv_text_parse(texts.file != NULL ? texts.file : "runs.csv", texts.table,
                                strlen(texts.table), &table, err);
    if (status == MIX_OK && texts.metrics != NULL)
        status = csv_text_parse("metrics.csv", texts.metrics, strlen(texts.metrics), &metrics, err);
    if (status == MIX_OK)
        status = csv_build(&texts.import, &table, texts.metrics != NULL ? &metrics : NULL, out,
                           notes, err);
    csv_text_free(&table);
    csv_text_free(&metrics);
    mix_map_destroy(map);
    return status;
}

/* All rows of a table that is fine. */
static inline struct mix_table *take(struct texts texts)
{
    struct mix_table *table = NULL;
    struct mix_error err = {.text = ""};
    texts.import.checkpoints = MIX_CHECKPOINTS_ALL;
    const enum mix_status status = import_texts(texts, &table, NULL, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(status, MIX_OK);
    return table;
}

/* The whole sentence of a table that is not. */
static inline void refuse_as(enum mix_status status, struct texts texts, const char *sentence)
{
    struct mix_table *table = NULL;
    struct mix_error err = {.text = ""};
    assert_int_equal(import_texts(texts, &table, NULL, &err), status);
    assert_null(table);
    assert_string_equal(err.text, sentence);
}

static inline void refuse(struct texts texts, const char *sentence)
{
    refuse_as(MIX_EINVAL, texts, sentence);
}

#endif

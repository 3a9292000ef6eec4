/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_map.c - other people's columns and forms into ours; see csv.h and csv_text.h. */
#include "core/csv_text.h"

#include <stdlib.h>
#include <string.h>

#include "core/csv_rules.h"

static enum mix_status no_memory(struct mix_error *err)
{
    (void)mix_fail(err, MIX_ENOMEM, "not enough memory for the table.");
    return MIX_ENOMEM;
}

/* Keep the columns with keep[c] = 1. */
static void keep_columns(struct csv_text *text, const uint8_t *keep)
{
    size_t to = 0;
    for (size_t r = 0; r < text->n_rows; r++)
        for (size_t c = 0; c < text->n_columns; c++)
            if (keep[c])
                text->cells[to++] = text->cells[r * text->n_columns + c];
    size_t n = 0;
    for (size_t c = 0; c < text->n_columns; c++)
        if (keep[c])
            text->columns[n++] = text->columns[c];
    text->n_columns = n;
}

/* Drop and rename. */
static enum mix_status rename_columns(struct csv_rules *rules, struct csv_text *text,
                                      struct mix_error *err)
{
    uint8_t keep[CSV_COLUMNS_MAX];
    for (size_t c = 0; c < text->n_columns; c++) {
        char name[CSV_NAME_BYTES];
        enum csv_fate fate = CSV_KEPT;
        const enum mix_status status =
            csv_rules_name(rules, text->columns[c].original, &fate, name, err);
        if (status != MIX_OK)
            return status;
        keep[c] = fate != CSV_DROPPED;
        if (fate != CSV_RENAMED)
            continue;
        const char *kept = csv_text_keep(text, name);
        if (kept == NULL)
            return no_memory(err);
        text->columns[c].name = kept;
    }
    keep_columns(text, keep);
    return MIX_OK;
}

static int compare_names(const void *left, const void *right)
{
    const struct csv_column *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* Names are unique and not empty. */
static enum mix_status check_names(const struct csv_text *text, struct mix_error *err)
{
    const struct csv_column *sorted[CSV_COLUMNS_MAX];
    for (size_t c = 0; c < text->n_columns; c++) {
        sorted[c] = &text->columns[c];
        if (text->columns[c].name[0] == '\0')
            return csv_text_fail_column(text, c, err, "column %zu has no name.", c + 1);
    }
    qsort(sorted, text->n_columns, sizeof(struct csv_column *), compare_names);
    for (size_t i = 0; i + 1 < text->n_columns; i++)
        if (strcmp(sorted[i]->name, sorted[i + 1]->name) == 0) {
            const bool renamed = strcmp(sorted[i]->name, sorted[i]->original) != 0;
            return csv_text_fail_column(
                text, (size_t)(sorted[i + 1] - text->columns), err,
                "two columns are named \"%.80s\"%s%.80s%s; names have to be unique.",
                sorted[i]->name, renamed ? " (the other was \"" : "",
                renamed ? sorted[i]->original : "", renamed ? "\")" : "");
        }
    return MIX_OK;
}

/* Make the id column `run`, drop the other labels, and put `prefix` before what is not ours. */
static enum mix_status name_half(struct csv_text *text, const char *prefix, struct mix_error *err)
{
    static const char *const labels[] = {"run", "run_id", "index", "name"};
    enum { N_LABELS = sizeof labels / sizeof labels[0] };
    size_t id = SIZE_MAX;
    for (size_t i = 0; i < N_LABELS && id == SIZE_MAX; i++)
        id = csv_text_find(text, labels[i]);
    if (id == SIZE_MAX)
        id = 0;
    uint8_t keep[CSV_COLUMNS_MAX];
    memset(keep, 1, sizeof keep);
    for (size_t c = 0; c < text->n_columns; c++) {
        const char *rest = NULL;
        struct csv_column *column = &text->columns[c];
        if (c == id) {
            column->name = "run";
            continue;
        }
        for (size_t i = 0; i < N_LABELS; i++)
            if (strcmp(column->name, labels[i]) == 0)
                keep[c] = 0;
        if (!keep[c] || csv_field_find(column->name) != NULL ||
            csv_vector_find(column->name, &rest) != CSV_VECTORS)
            continue;
        const size_t n = strlen(prefix) + strlen(column->name) + 1;
        char *name = csv_text_alloc(text, n);
        if (name == NULL)
            return no_memory(err);
        (void)snprintf(name, n, "%s%s", prefix, column->name);
        column->name = name;
    }
    keep_columns(text, keep);
    return MIX_OK;
}

struct id_row {
    const char *id;
    size_t row;
};

static int compare_ids(const void *left, const void *right)
{
    const struct id_row *a = left, *b = right;
    const int order = strcmp(a->id, b->id);
    return order != 0 ? order : a->row < b->row ? -1 : a->row > b->row;
}

/* Rows by run id, each once; the caller frees. */
static enum mix_status sort_ids(const struct csv_text *text, size_t id, struct id_row **out,
                                struct mix_error *err)
{
    struct id_row *rows = calloc(text->n_rows + 1, sizeof *rows);
    if (rows == NULL)
        return no_memory(err);
    for (size_t r = 0; r < text->n_rows; r++)
        rows[r] = (struct id_row){text->cells[r * text->n_columns + id].text, r};
    qsort(rows, text->n_rows, sizeof *rows, compare_ids);
    for (size_t i = 0; i < text->n_rows; i++) {
        enum mix_status status = MIX_OK;
        if (rows[i].id[0] == '\0')
            status = csv_text_fail(text, rows[i].row, id, err, "the run has no id.");
        else if (i > 0 && strcmp(rows[i].id, rows[i - 1].id) == 0)
            status = csv_text_fail(text, rows[i].row, id, err,
                                   "run \"%.80s\" is there before, in line %zu.", rows[i].id,
                                   text->cells[rows[i - 1].row * text->n_columns + id].line);
        if (status != MIX_OK) {
            free(rows);
            return status;
        }
    }
    *out = rows;
    return MIX_OK;
}

/* Both lists are sorted and the ids in each are distinct: they have to be equal one by one. */
static enum mix_status match_ids(const struct csv_text *a, size_t a_id, const struct id_row *a_rows,
                                 const struct csv_text *b, size_t b_id, const struct id_row *b_rows,
                                 struct mix_error *err)
{
    for (size_t i = 0; i < a->n_rows || i < b->n_rows; i++) {
        const int order = i == a->n_rows   ? 1
                          : i == b->n_rows ? -1
                                           : strcmp(a_rows[i].id, b_rows[i].id);
        if (order < 0)
            return csv_text_fail(a, a_rows[i].row, a_id, err, "run \"%.80s\" is not in %s.",
                                 a_rows[i].id, b->columns[b_id].file);
        if (order > 0)
            return csv_text_fail(b, b_rows[i].row, b_id, err, "run \"%.80s\" is not in %s.",
                                 b_rows[i].id, a->columns[a_id].file);
    }
    return MIX_OK;
}

/* Cells of both halves side by side, in the row order of the ratios. */
static enum mix_status join_rows(const struct csv_text *ratios, const struct id_row *ratio_rows,
                                 const struct csv_text *metrics, const struct id_row *metric_rows,
                                 size_t metric_id, struct csv_text *joined, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t c = 0; c < ratios->n_columns && status == MIX_OK; c++) {
        status = csv_text_add_column(joined, "", 0, "", err);
        if (status == MIX_OK)
            joined->columns[joined->n_columns - 1] = ratios->columns[c];
    }
    for (size_t c = 0; c < metrics->n_columns && status == MIX_OK; c++) {
        if (c == metric_id)
            continue;
        status = csv_text_add_column(joined, "", 0, "", err);
        if (status == MIX_OK)
            joined->columns[joined->n_columns - 1] = metrics->columns[c];
    }
    for (size_t r = 0; r < ratios->n_rows && status == MIX_OK; r++)
        status = csv_text_add_row(joined, 0, err);
    for (size_t i = 0; i < joined->n_rows && status == MIX_OK; i++) {
        struct csv_cell *to = joined->cells + ratio_rows[i].row * joined->n_columns;
        for (size_t c = 0; c < ratios->n_columns; c++)
            *to++ = ratios->cells[ratio_rows[i].row * ratios->n_columns + c];
        for (size_t c = 0; c < metrics->n_columns; c++)
            if (c != metric_id)
                *to++ = metrics->cells[metric_rows[i].row * metrics->n_columns + c];
    }
    return status;
}

/* Join the two halves by run id; the result replaces the ratios. */
static enum mix_status join(struct csv_text *ratios, struct csv_text *metrics,
                            struct mix_error *err)
{
    const size_t ratio_id = csv_text_find(ratios, "run");
    const size_t metric_id = csv_text_find(metrics, "run");
    struct id_row *ratio_rows = NULL, *metric_rows = NULL;
    struct csv_text joined = {0};
    enum mix_status status = sort_ids(ratios, ratio_id, &ratio_rows, err);
    if (status == MIX_OK)
        status = sort_ids(metrics, metric_id, &metric_rows, err);
    if (status == MIX_OK)
        status = match_ids(ratios, ratio_id, ratio_rows, metrics, metric_id, metric_rows, err);
    if (status == MIX_OK)
        status = join_rows(ratios, ratio_rows, metrics, metric_rows, metric_id, &joined, err);
    free(ratio_rows);
    free(metric_rows);
    if (status != MIX_OK) {
        csv_text_free(&joined);
        return status;
    }
    csv_text_replace(ratios, &joined);
    csv_text_adopt(ratios, metrics);
    return MIX_OK;
}

/* A column with the same text in every row. */
static enum mix_status add_constant(struct csv_text *text, const char *where, const char *name,
                                    const char *value, struct mix_error *err)
{
    const size_t n = text->n_columns;
    if (csv_text_find(text, name) != SIZE_MAX)
        return mix_fail(err, MIX_EINVAL, "%s gives %.80s, which is a column of %s too.", where,
                        name, text->columns[0].file);
    const char *kept = csv_text_keep(text, value);
    if (kept == NULL)
        return no_memory(err);
    struct csv_text wider = {0};
    enum mix_status status = MIX_OK;
    for (size_t c = 0; c <= n && status == MIX_OK; c++) {
        status = csv_text_add_column(&wider, where, 0, name, err);
        if (status == MIX_OK && c < n)
            wider.columns[c] = text->columns[c];
    }
    for (size_t r = 0; r < text->n_rows && status == MIX_OK; r++) {
        const struct csv_cell *from = text->cells + r * n;
        status = csv_text_add_row(&wider, from[0].line, err);
        if (status != MIX_OK)
            break;
        memcpy(wider.cells + r * (n + 1), from, n * sizeof *from);
        wider.cells[r * (n + 1) + n] = (struct csv_cell){kept, 0};
    }
    if (status == MIX_OK)
        csv_text_replace(text, &wider);
    else
        csv_text_free(&wider);
    return status;
}

static enum mix_status add_constants(const struct mix_import *import, struct csv_text *text,
                                     struct mix_error *err)
{
    const struct mix_map *map = import->map;
    enum mix_status status = MIX_OK;
    for (size_t i = 0; map != NULL && i < map->n_constants && status == MIX_OK; i++)
        status =
            add_constant(text, map->path, map->constants[i].name, map->constants[i].value, err);
    char number[64];
    if (status == MIX_OK && import->n_params > 0) {
        (void)snprintf(number, sizeof number, "%.17g", import->n_params);
        status = add_constant(text, "--params", "n_params", number, err);
    }
    if (status == MIX_OK && import->n_tokens > 0) {
        (void)snprintf(number, sizeof number, "%.17g", import->n_tokens);
        status = add_constant(text, "--tokens", "n_tokens", number, err);
    }
    return status;
}

/* Names of one file's columns. */
static enum mix_status prepare(struct csv_rules *rules, struct csv_text *text, const char *prefix,
                               struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (rules->map != NULL)
        status = rename_columns(rules, text, err);
    if (status == MIX_OK && rules->map != NULL && text->n_columns == 0)
        status = mix_fail(err, MIX_EINVAL, "%s, key drop: no column is left.", rules->map->path);
    if (status == MIX_OK && prefix != NULL)
        status = name_half(text, prefix, err);
    if (status == MIX_OK)
        status = check_names(text, err);
    return status;
}

static enum mix_status apply(const struct mix_import *import, struct csv_rules *rules,
                             struct csv_text *text, struct csv_text *metrics, struct mix_error *err)
{
    struct csv_text *const losses = metrics != NULL ? metrics : text;
    const bool is_long = import->map != NULL && import->map->long_target != NULL;
    enum mix_status status = prepare(rules, text, metrics != NULL ? "h_" : NULL, err);
    if (status == MIX_OK && metrics != NULL)
        status = prepare(rules, metrics, "loss_", err);
    if (status == MIX_OK && is_long)
        status = csv_long_widen(rules, losses, err);
    if (status == MIX_OK)
        status = csv_rules_all_used(rules, text, metrics, err);
    if (status == MIX_OK && metrics != NULL)
        status = join(text, metrics, err);
    if (status == MIX_OK)
        status = add_constants(import, text, err);
    if (status == MIX_OK)
        status = csv_rules_factors(rules, text, err);
    return status == MIX_OK ? check_names(text, err) : status;
}

enum mix_status csv_map_apply(const struct mix_import *import, struct csv_text *text,
                              struct csv_text *metrics, struct mix_error *err)
{
    struct csv_rules rules;
    enum mix_status status = csv_rules_make(import->map, &rules, err);
    if (status == MIX_OK)
        status = apply(import, &rules, text, metrics, err);
    csv_rules_free(&rules);
    return status;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_long.c - a table with a row per loss into one with a row per run; see csv_rules.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv_rules.h"

static enum mix_status no_memory(struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "not enough memory for the table.");
}

/* The order of long rows: equal in all columns but two come together. */
struct long_row {
    const struct csv_text *text;
    size_t row, target, value;
};

static int compare_identity(const struct long_row *a, const struct long_row *b)
{
    const struct csv_text *text = a->text;
    const struct csv_cell *p = text->cells + a->row * text->n_columns;
    const struct csv_cell *q = text->cells + b->row * text->n_columns;
    for (size_t c = 0; c < text->n_columns; c++) {
        const int order = c == a->target || c == a->value ? 0 : strcmp(p[c].text, q[c].text);
        if (order != 0)
            return order;
    }
    return 0;
}

static int compare_long(const void *left, const void *right)
{
    const struct long_row *a = left, *b = right;
    const int order = compare_identity(a, b);
    return order != 0 ? order : a->row < b->row ? -1 : a->row > b->row;
}

/* Set first[r] to the first row that is the same run as row r. */
static enum mix_status group_long(const struct csv_text *text, size_t target, size_t value,
                                  size_t *first, struct mix_error *err)
{
    struct long_row *sorted = calloc(text->n_rows + 1, sizeof *sorted);
    if (sorted == NULL)
        return no_memory(err);
    for (size_t r = 0; r < text->n_rows; r++)
        sorted[r] = (struct long_row){text, r, target, value};
    qsort(sorted, text->n_rows, sizeof *sorted, compare_long);
    for (size_t i = 0; i < text->n_rows; i++)
        first[sorted[i].row] = i > 0 && compare_identity(&sorted[i - 1], &sorted[i]) == 0
                                   ? first[sorted[i - 1].row]
                                   : sorted[i].row;
    free(sorted);
    return MIX_OK;
}

/* The targets of a long table, by first appearance. */
struct targets {
    size_t n;
    const char *name[CSV_COLUMNS_MAX];
    size_t column[CSV_COLUMNS_MAX]; /* of the wide form; SIZE_MAX = dropped */
};

/* Our name of the column of a target: "loss_" is put before what has no such prefix. */
static enum mix_status name_target(struct csv_rules *rules, const char *target,
                                   char name[CSV_NAME_BYTES], bool *dropped, struct mix_error *err)
{
    enum csv_fate fate = CSV_KEPT;
    char ours[CSV_NAME_BYTES];
    const char *rest;
    const enum mix_status status = csv_rules_name(rules, target, &fate, ours, err);
    const char *const base = fate == CSV_RENAMED ? ours : target;
    *dropped = fate == CSV_DROPPED;
    if (status != MIX_OK)
        return status;
    const bool is_whole = fate == CSV_RENAMED && (csv_vector_find(base, &rest) == CSV_LOSS ||
                                                  csv_vector_find(base, &rest) == CSV_SE);
    const char *prefix = is_whole ? "" : "loss_";
    if (snprintf(name, CSV_NAME_BYTES, "%s%s", prefix, base) >= CSV_NAME_BYTES)
        return mix_fail(err, MIX_EINVAL,
                        "%s: the new name of target \"%.80s\" is longer than %d bytes.",
                        rules->map->path, target, CSV_NAME_BYTES - 1);
    return MIX_OK;
}

/* Add a target that was not there before, and its column where that is new. */
static enum mix_status add_target(struct csv_rules *rules, const char *target,
                                  const struct csv_column *value, struct targets *targets,
                                  struct csv_text *wide, struct mix_error *err)
{
    char name[CSV_NAME_BYTES] = "";
    bool dropped = false;
    if (targets->n == CSV_COLUMNS_MAX)
        return mix_fail(err, MIX_EINVAL, "%s has more than %d targets.", value->file,
                        CSV_COLUMNS_MAX);
    enum mix_status status = name_target(rules, target, name, &dropped, err);
    if (status != MIX_OK)
        return status;
    size_t column = dropped ? SIZE_MAX : csv_text_find(wide, name);
    if (!dropped && column == SIZE_MAX) {
        column = wide->n_columns;
        status = csv_text_add_column(wide, value->file, value->line, name, err);
        if (status == MIX_OK)
            wide->columns[column].original = value->original;
    }
    targets->name[targets->n] = target;
    targets->column[targets->n++] = column;
    return status;
}

/* Columns of the wide form: those of the long one but two, then the targets by first appearance.
 * column[r] is the wide column of the loss in row r, SIZE_MAX = of a target that is dropped. */
static enum mix_status wide_columns(struct csv_rules *rules, const struct csv_text *text,
                                    size_t target, size_t value, struct csv_text *wide,
                                    size_t *column, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    struct targets *targets = calloc(1, sizeof *targets);
    if (targets == NULL)
        return no_memory(err);
    for (size_t c = 0; c < text->n_columns && status == MIX_OK; c++) {
        if (c == target || c == value)
            continue;
        status = csv_text_add_column(wide, "", 0, "", err);
        if (status == MIX_OK)
            wide->columns[wide->n_columns - 1] = text->columns[c];
    }
    for (size_t r = 0; r < text->n_rows && status == MIX_OK; r++) {
        const struct csv_cell *cell = &text->cells[r * text->n_columns + target];
        size_t i = 0;
        while (i < targets->n && strcmp(targets->name[i], cell->text) != 0)
            i++;
        if (cell->text[0] == '\0' || strlen(cell->text) + sizeof "loss_" > CSV_NAME_BYTES)
            status = csv_text_fail(text, r, target, err, "\"%.80s\" is not the name of a target.",
                                   cell->text);
        else if (i == targets->n)
            status = add_target(rules, cell->text, &text->columns[value], targets, wide, err);
        column[r] = status == MIX_OK ? targets->column[i] : SIZE_MAX;
    }
    free(targets);
    return status;
}

static enum mix_status wide_rows(const struct csv_text *text, size_t target, size_t value,
                                 const size_t *first, const size_t *column, size_t *row_of,
                                 struct csv_text *wide, struct mix_error *err)
{
    for (size_t r = 0; r < text->n_rows; r++) {
        const struct csv_cell *cells = text->cells + r * text->n_columns;
        if (first[r] == r) {
            const enum mix_status status = csv_text_add_row(wide, cells[value].line, err);
            if (status != MIX_OK)
                return status;
            row_of[r] = wide->n_rows - 1;
            struct csv_cell *to = wide->cells + row_of[r] * wide->n_columns;
            for (size_t c = 0; c < wide->n_columns; c++)
                to[c].line = 0; /* not given yet */
            for (size_t c = 0; c < text->n_columns; c++)
                if (c != target && c != value)
                    *to++ = cells[c];
        }
        if (column[r] == SIZE_MAX)
            continue;
        assert(wide->cells != NULL); /* first[r] <= r: the row is there */
        struct csv_cell *to = wide->cells + row_of[first[r]] * wide->n_columns + column[r];
        if (to->line != 0)
            return csv_text_fail(text, r, target, err,
                                 "\"%.80s\" was given for this run before, in line %zu.",
                                 cells[target].text, to->line);
        *to = cells[value];
    }
    return MIX_OK;
}

enum mix_status csv_long_widen(struct csv_rules *rules, struct csv_text *text,
                               struct mix_error *err)
{
    const struct mix_map *map = rules->map;
    const size_t target = csv_text_find(text, map->long_target);
    const size_t value = csv_text_find(text, map->long_value);
    if (target == SIZE_MAX || value == SIZE_MAX || target == value)
        return mix_fail(err, MIX_EINVAL,
                        "%s, key long: %s has no two columns \"%.80s\" and \"%.80s\".", map->path,
                        text->columns[0].file, map->long_target, map->long_value);
    struct csv_text wide = {0};
    size_t *first = calloc(3 * text->n_rows + 1, sizeof *first);
    if (first == NULL)
        return no_memory(err);
    size_t *column = first + text->n_rows, *row_of = column + text->n_rows;
    enum mix_status status = group_long(text, target, value, first, err);
    if (status == MIX_OK)
        status = wide_columns(rules, text, target, value, &wide, column, err);
    if (status == MIX_OK && wide.n_columns == 0) /* all targets were dropped */
        status = mix_fail(err, MIX_EINVAL, "%s, key drop: no column is left.", map->path);
    if (status == MIX_OK)
        status = wide_rows(text, target, value, first, column, row_of, &wide, err);
    free(first);
    if (status != MIX_OK) {
        csv_text_free(&wide);
        return status;
    }
    for (size_t r = 0; r < wide.n_rows; r++) /* losses that no row gave */
        for (size_t c = 0; c < wide.n_columns; c++)
            if (wide.cells[r * wide.n_columns + c].line == 0)
                wide.cells[r * wide.n_columns + c].line = wide.cells[r * wide.n_columns].line;
    csv_text_replace(text, &wide);
    return MIX_OK;
}

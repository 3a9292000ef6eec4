/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_map.c - other people's columns and forms into ours; see csv.h and csv_text.h. */
#include "core/csv_text.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 10, NAME_BYTES = 512 };

static enum mix_status no_memory(struct mix_error *err)
{
    (void)mix_fail(err, MIX_ENOMEM, "not enough memory for the table.");
    return MIX_ENOMEM;
}

static enum mix_status compile(const struct mix_map *map, const char *key, const char *pattern,
                               regex_t *regex, struct mix_error *err)
{
    const int failure = regcomp(regex, pattern, REG_EXTENDED);
    if (failure == 0)
        return MIX_OK;
    char reason[128];
    (void)regerror(failure, regex, reason, sizeof reason);
    return mix_fail(err, MIX_EINVAL, "%s, key %s: \"%.80s\" is not a regular expression: %s.",
                    map->path, key, pattern, reason);
}

/* POSIX takes the longest match, so a pattern that fits the whole name is found to do so. */
static bool fits(const regex_t *regex, const char *name, regmatch_t groups[GROUPS])
{
    return regexec(regex, name, GROUPS, groups, 0) == 0 && groups[0].rm_so == 0 &&
           name[groups[0].rm_eo] == '\0';
}

/* The replacement with \0 .. \9 filled in; false where it is too long. */
static bool replace(const char *name, const regmatch_t groups[GROUPS], const char *to,
                    char out[NAME_BYTES])
{
    size_t n = 0;
    for (; *to != '\0'; to++) {
        const char *from = to;
        size_t length = 1;
        if (to[0] == '\\' && to[1] >= '0' && to[1] <= '9') {
            const regmatch_t *group = &groups[*++to - '0'];
            from = group->rm_so >= 0 ? name + group->rm_so : name;
            length = group->rm_so >= 0 ? (size_t)(group->rm_eo - group->rm_so) : 0;
        }
        if (n + length >= NAME_BYTES)
            return false;
        memcpy(out + n, from, length);
        n += length;
    }
    out[n] = '\0';
    return true;
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

static enum mix_status drop_columns(const struct mix_map *map, struct csv_text *text,
                                    struct mix_error *err)
{
    uint8_t keep[CSV_COLUMNS_MAX];
    memset(keep, 1, sizeof keep);
    for (size_t i = 0; i < map->n_drop; i++) {
        regex_t regex;
        regmatch_t groups[GROUPS];
        const enum mix_status status = compile(map, "drop", map->drop[i], &regex, err);
        if (status != MIX_OK)
            return status;
        for (size_t c = 0; c < text->n_columns; c++)
            if (fits(&regex, text->columns[c].original, groups))
                keep[c] = 0;
        regfree(&regex);
    }
    keep_columns(text, keep);
    return MIX_OK;
}

static enum mix_status rename_by_pattern(const struct mix_map *map, const struct mix_map_pair *rule,
                                         struct csv_text *text, uint8_t *renamed,
                                         struct mix_error *err)
{
    regex_t regex;
    enum mix_status status = compile(map, "regex", rule->name, &regex, err);
    if (status != MIX_OK)
        return status;
    for (size_t c = 0; c < text->n_columns && status == MIX_OK; c++) {
        regmatch_t groups[GROUPS];
        char name[NAME_BYTES];
        if (renamed[c] || !fits(&regex, text->columns[c].original, groups))
            continue;
        if (!replace(text->columns[c].original, groups, rule->value, name)) {
            status = mix_fail(err, MIX_EINVAL,
                              "%s, key regex: the new name of \"%.80s\" is longer "
                              "than %d bytes.",
                              map->path, text->columns[c].original, NAME_BYTES - 1);
            break;
        }
        text->columns[c].name = csv_text_keep(text, name);
        renamed[c] = 1;
        if (text->columns[c].name == NULL) {
            text->columns[c].name = "";
            status = no_memory(err);
        }
    }
    regfree(&regex);
    return status;
}

/* Drop and rename; used[i] is set where a rename found its column. */
static enum mix_status rename_columns(const struct mix_map *map, struct csv_text *text,
                                      uint8_t *used, struct mix_error *err)
{
    enum mix_status status = drop_columns(map, text, err);
    uint8_t renamed[CSV_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < map->n_rename && status == MIX_OK; i++)
        for (size_t c = 0; c < text->n_columns; c++)
            if (strcmp(text->columns[c].original, map->rename[i].name) == 0) {
                text->columns[c].name = csv_text_keep(text, map->rename[i].value);
                if (text->columns[c].name == NULL) {
                    text->columns[c].name = "";
                    return no_memory(err);
                }
                renamed[c] = 1;
                used[i] = 1;
            }
    for (size_t i = 0; i < map->n_regex && status == MIX_OK; i++)
        status = rename_by_pattern(map, &map->regex[i], text, renamed, err);
    return status;
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

/* Columns of the wide form: those of the long one but two, then the targets by first appearance.
 * column[r] is the wide column of the loss in row r. */
static enum mix_status wide_columns(const struct csv_text *text, size_t target, size_t value,
                                    struct csv_text *wide, size_t *column, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t c = 0; c < text->n_columns && status == MIX_OK; c++) {
        if (c == target || c == value)
            continue;
        status = csv_text_add_column(wide, "", 0, "", err);
        if (status == MIX_OK)
            wide->columns[wide->n_columns - 1] = text->columns[c];
    }
    for (size_t r = 0; r < text->n_rows && status == MIX_OK; r++) {
        const struct csv_cell *cell = &text->cells[r * text->n_columns + target];
        char name[NAME_BYTES];
        if (cell->text[0] == '\0' || strlen(cell->text) + sizeof "loss_" > sizeof name)
            return csv_text_fail(text, r, target, err, "\"%.80s\" is not the name of a target.",
                                 cell->text);
        (void)snprintf(name, sizeof name, "loss_%s", cell->text);
        column[r] = csv_text_find(wide, name);
        if (column[r] == SIZE_MAX) {
            column[r] = wide->n_columns;
            status = csv_text_add_column(wide, text->columns[value].file, text->columns[value].line,
                                         name, err);
            if (status == MIX_OK)
                wide->columns[column[r]].original = text->columns[value].original;
        }
    }
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

/* Long form (one row per loss) to wide form. */
static enum mix_status widen(const struct mix_map *map, struct csv_text *text,
                             struct mix_error *err)
{
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
        status = wide_columns(text, target, value, &wide, column, err);
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

static enum mix_status set_factors(const struct mix_map *map, struct csv_text *text,
                                   struct mix_error *err)
{
    uint8_t done[CSV_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < map->n_factors; i++) {
        regex_t regex;
        regmatch_t groups[GROUPS];
        const enum mix_status status = compile(map, "factor", map->factors[i].match, &regex, err);
        if (status != MIX_OK)
            return status;
        bool found = false;
        for (size_t c = 0; c < text->n_columns; c++) {
            if (!fits(&regex, text->columns[c].name, groups))
                continue;
            found = true;
            if (!done[c])
                text->columns[c].factor = map->factors[i].factor;
            done[c] = 1;
        }
        regfree(&regex);
        if (!found) /* a misspelt one would leave a column in the wrong unit */
            return mix_fail(err, MIX_EINVAL, "%s, key factor: \"%.80s\" fits no column.", map->path,
                            map->factors[i].match);
    }
    return MIX_OK;
}

/* Names of one file's columns. */
static enum mix_status prepare(const struct mix_import *import, struct csv_text *text,
                               const char *prefix, uint8_t *used, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (import->map != NULL)
        status = rename_columns(import->map, text, used, err);
    if (status == MIX_OK && import->map != NULL && text->n_columns == 0)
        status = mix_fail(err, MIX_EINVAL, "%s, key drop: no column is left.", import->map->path);
    if (status == MIX_OK && prefix != NULL)
        status = name_half(text, prefix, err);
    if (status == MIX_OK)
        status = check_names(text, err);
    return status;
}

enum mix_status csv_map_apply(const struct mix_import *import, struct csv_text *text,
                              struct csv_text *metrics, struct mix_error *err)
{
    const struct mix_map *map = import->map;
    const size_t n_rename = map != NULL ? map->n_rename : 0;
    const char *file = text->columns[0].file;
    uint8_t *used = calloc(n_rename + 1, sizeof *used);
    if (used == NULL)
        return no_memory(err);
    enum mix_status status = prepare(import, text, metrics != NULL ? "h_" : NULL, used, err);
    if (status == MIX_OK && metrics != NULL)
        status = prepare(import, metrics, "loss_", used, err);
    for (size_t i = 0; i < n_rename && status == MIX_OK; i++)
        if (!used[i])
            status = mix_fail(err, MIX_EINVAL, "%s, key rename: %s has no column \"%.80s\".",
                              map->path, file, map->rename[i].name);
    free(used);
    if (status == MIX_OK && map != NULL && map->long_target != NULL)
        status = widen(map, metrics != NULL ? metrics : text, err);
    if (status == MIX_OK && metrics != NULL)
        status = join(text, metrics, err);
    if (status == MIX_OK)
        status = add_constants(import, text, err);
    if (status == MIX_OK && map != NULL)
        status = set_factors(map, text, err);
    if (status == MIX_OK)
        status = check_names(text, err);
    return status;
}

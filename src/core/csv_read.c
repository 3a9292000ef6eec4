/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_read.c - text cells to the table of runs: every check of an import; see csv.h. */
#include "core/csv_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

static const double SUM_TOLERANCE = 1e-3; /* proportions rounded to three digits are fine */
static const double SUM_EXACT = 1e-9;     /* less is left as it is: an export reads back equal */

/* What a column is: a field of the run, or element `index` of a vector. */
struct slot {
    const struct csv_field *field; /* NULL = vector */
    enum csv_vector vector;
    size_t index;
};

struct builder {
    const struct csv_text *text;
    struct mix_table *table;
    struct slot *slots; /* (n_columns) */
    struct mix_import_notes notes;
};

/* Names go into options (--mixture a=.3,b=.7) and messages. */
static bool is_name(const char *name)
{
    const size_t n = strlen(name);
    if (n == 0 || n >= MIX_NAME_MAX || name[strcspn(name, ",=!<>\"")] != '\0')
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++)
        if (*c < ' ' || *c == 0x7F)
            return false;
    return true;
}

static enum mix_status unknown_column(const struct csv_text *text, size_t column,
                                      struct mix_error *err)
{
    const char *name = text->columns[column].name;
    const char *separator = strpbrk(name, ";\t|");
    if (text->n_columns == 1 && separator != NULL)
        return csv_text_fail_column(text, column, err,
                                    "the whole line is one column; are its columns separated by "
                                    "%s? They must be by commas.",
                                    *separator == '\t'  ? "tabs"
                                    : *separator == ';' ? ";"
                                                        : "|");
    return csv_text_fail_column(text, column, err,
                                "unknown column; known are run, n_params, n_tokens, h_DOMAIN, "
                                "loss_TARGET, se_TARGET, seed, schedule, recipe and those of an "
                                "export. `import --map` can rename or drop it.");
}

/* Count domains and targets and check all names. */
static enum mix_status count_vectors(const struct csv_text *text, size_t *n_domains,
                                     size_t *n_targets, struct mix_error *err)
{
    *n_domains = *n_targets = 0;
    for (size_t c = 0; c < text->n_columns; c++) {
        const char *rest = NULL;
        const enum csv_vector vector = csv_vector_find(text->columns[c].name, &rest);
        if (csv_field_find(text->columns[c].name) != NULL)
            continue;
        if (vector == CSV_VECTORS)
            return unknown_column(text, c, err);
        if (!is_name(rest))
            return csv_text_fail_column(text, c, err,
                                        "\"%.80s\" is not a name: 1 to %d bytes without , = ! < > "
                                        "\" and control characters.",
                                        rest, MIX_NAME_MAX - 1);
        *n_domains += vector == CSV_H;
        *n_targets += vector == CSV_LOSS;
    }
    return MIX_OK;
}

static enum mix_status check_columns(const struct csv_text *text, size_t n_domains,
                                     size_t n_targets, bool without_losses_ok,
                                     struct mix_error *err)
{
    static const char *const required[] = {"n_params", "n_tokens"};
    const char *file = text->columns[0].file;
    for (size_t i = 0; i < 2; i++)
        if (csv_text_find(text, required[i]) == SIZE_MAX)
            return mix_fail(err, MIX_EINVAL,
                            "%s: the column %s is missing; --%s or the constants of a --map can "
                            "give it.",
                            file, required[i], required[i] + 2);
    if (n_domains == 0)
        return mix_fail(err, MIX_EINVAL, "%s: there is no column h_DOMAIN.", file);
    if (n_domains > MIX_DOMAINS_MAX)
        return mix_fail(err, MIX_EINVAL, "%s: %zu domains are more than %d.", file, n_domains,
                        MIX_DOMAINS_MAX);
    if (n_targets == 0 && !without_losses_ok)
        return mix_fail(err, MIX_EINVAL, "%s: there is no column loss_TARGET.", file);
    return MIX_OK;
}

/* Name domains and targets in the order of their columns, and find the slot of each column. */
static enum mix_status assign_slots(struct builder *builder, struct mix_error *err)
{
    const struct csv_text *text = builder->text;
    struct mix_table *table = builder->table;
    size_t n_domains = 0, n_targets = 0, n_asked = 0, asked = 0;
    for (size_t c = 0; c < text->n_columns; c++) {
        const char *rest = NULL;
        struct slot *slot = &builder->slots[c];
        slot->field = csv_field_find(text->columns[c].name);
        slot->vector = csv_vector_find(text->columns[c].name, &rest);
        if (slot->field != NULL)
            continue;
        if (slot->vector == CSV_H) {
            slot->index = n_domains++;
            (void)snprintf(table->domains[slot->index].name, MIX_NAME_MAX, "%s", rest);
        } else if (slot->vector == CSV_LOSS) {
            slot->index = n_targets++;
            (void)snprintf(table->targets[slot->index].name, MIX_NAME_MAX, "%s", rest);
        }
    }
    for (size_t c = 0; c < text->n_columns; c++) {
        const char *rest = NULL;
        struct slot *slot = &builder->slots[c];
        if (slot->field != NULL || slot->vector == CSV_H || slot->vector == CSV_LOSS)
            continue;
        (void)csv_vector_find(text->columns[c].name, &rest);
        const bool target = slot->vector == CSV_SE;
        const int index = target ? mix_table_target(table, rest) : mix_table_domain(table, rest);
        if (index < 0)
            return csv_text_fail_column(text, c, err, "there is no column %s%s beside it.",
                                        csv_prefixes[target ? CSV_LOSS : CSV_H], rest);
        slot->index = (size_t)index;
        n_asked += slot->vector == CSV_ASKED;
        asked = slot->vector == CSV_ASKED ? c : asked;
    }
    if (n_asked != 0 && n_asked != n_domains)
        return csv_text_fail_column(text, asked, err,
                                    "asked_DOMAIN has to be there for all %zu "
                                    "domains or for none.",
                                    n_domains);
    return MIX_OK;
}

static const char MAY_BE_EMPTY[] = "finite number; an empty cell is \"not measured\"";

/* Without n_params and n_tokens a row says nothing. */
static bool is_required(const struct csv_field *field)
{
    return strcmp(field->name, "n_params") == 0 || strcmp(field->name, "n_tokens") == 0;
}

/* A number of a cell that is not empty; `allowed` ends the sentence of one that is none. */
static enum mix_status read_number(const struct csv_text *text, size_t row, size_t column,
                                   const char *allowed, double *out, struct mix_error *err)
{
    const char *cell = text->cells[row * text->n_columns + column].text;
    double value = 0.0;
    if (!mix_number_read(cell, &value) || !isfinite(value * text->columns[column].factor))
        return csv_text_fail(text, row, column, err, "\"%.40s\" is not a %s.", cell, allowed);
    *out = value * text->columns[column].factor;
    return MIX_OK;
}

static enum mix_status read_label(const struct csv_text *text, size_t row, size_t column,
                                  const struct csv_field *field, char *to, struct mix_error *err)
{
    const char *cell = text->cells[row * text->n_columns + column].text;
    const size_t n = strlen(cell);
    if (n >= field->size)
        return csv_text_fail(text, row, column, err, "\"%.80s\" is longer than %zu bytes.", cell,
                             field->size - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)cell[i] < ' ' || cell[i] == 0x7F)
            return csv_text_fail(text, row, column, err, "a control character (byte 0x%02x).",
                                 (unsigned)cell[i]);
    memcpy(to, cell, n + 1);
    return MIX_OK;
}

static enum mix_status read_seed(const struct csv_text *text, size_t row, size_t column,
                                 uint64_t *to, struct mix_error *err)
{
    const char *cell = text->cells[row * text->n_columns + column].text;
    errno = 0;
    const unsigned long long value = strtoull(cell, NULL, 10);
    if (cell[strspn(cell, "0123456789")] != '\0' || errno != 0 || value > UINT64_MAX)
        return csv_text_fail(text, row, column, err,
                             "\"%.40s\" is not a whole number from 0 to 18446744073709551615.",
                             cell);
    *to = value;
    return MIX_OK;
}

static enum mix_status read_field(const struct csv_text *text, size_t row, size_t column,
                                  const struct csv_field *field, struct mix_run *run,
                                  struct mix_error *err)
{
    char *to = (char *)run + field->offset;
    if (field->kind == CSV_LABEL)
        return read_label(text, row, column, field, to, err);
    if (field->kind == CSV_SEED)
        return read_seed(text, row, column, (uint64_t *)(void *)to, err);
    double value = 0.0;
    const char *allowed = is_required(field) ? "finite number above 0" : MAY_BE_EMPTY;
    const enum mix_status status = read_number(text, row, column, allowed, &value, err);
    if (status != MIX_OK)
        return status;
    if (field->kind == CSV_SIZE && !(value > 0.0))
        return csv_text_fail(text, row, column, err, "%s %.10g is not positive.", field->name,
                             value);
    if (field->kind == CSV_WHOLE) {
        if (value != floor(value) || value < field->min || value > field->max)
            return csv_text_fail(text, row, column, err,
                                 "%s %.10g is not a whole number from %d to %d.", field->name,
                                 value, field->min, field->max);
        *(int32_t *)(void *)to = (int32_t)value;
    } else {
        *(double *)(void *)to = value;
    }
    return MIX_OK;
}

static bool is_proportion(const struct slot *slot)
{
    return slot->field == NULL && (slot->vector == CSV_H || slot->vector == CSV_ASKED);
}

/* An entropy cannot be 0 or less: such a number is a mistake or stands for "not measured". */
static bool is_entropy(const struct mix_target *target)
{
    return target->direction < 0 &&
           (strcmp(target->unit, "nats/token") == 0 || strcmp(target->unit, "bits/byte") == 0);
}

static enum mix_status read_element(struct builder *builder, size_t row, size_t column,
                                    struct mix_error *err)
{
    struct mix_table *table = builder->table;
    const struct slot *slot = &builder->slots[column];
    const size_t n_domains = table->n_domains, n_targets = table->n_targets;
    double value = 0.0;
    const char *allowed = is_proportion(slot) ? "number from 0 to 1" : MAY_BE_EMPTY;
    const enum mix_status status = read_number(builder->text, row, column, allowed, &value, err);
    if (status != MIX_OK)
        return status;
    switch (slot->vector) {
    case CSV_H:
    case CSV_ASKED:
        if (!(value >= 0.0 && value <= 1.0 + SUM_EXACT))
            return csv_text_fail(builder->text, row, column, err,
                                 "proportion %.10g is not in [0, 1]%s.", value,
                                 value >= 1.5 && value <= 100.0
                                     ? "; of percents `factor` of --map makes shares, as in "
                                       "factor: {'h_.*': 0.01}"
                                     : "");
        (slot->vector == CSV_H ? table->mixture : table->asked)[row * n_domains + slot->index] =
            fmin(value, 1.0);
        break;
    case CSV_EPOCHS:
    case CSV_UNIQUE:
        if (!isnan(table->epochs[row * n_domains + slot->index]))
            return csv_text_fail(builder->text, row, column, err,
                                 "epochs_ and unique_ of a domain say the same; leave one out.");
        if (!(value >= 0.0) || (slot->vector == CSV_UNIQUE && value == 0.0))
            return csv_text_fail(builder->text, row, column, err, "%.10g is %s.", value,
                                 value < 0.0 ? "negative" : "not positive");
        table->epochs[row * n_domains + slot->index] =
            slot->vector == CSV_UNIQUE ? -value : value; /* see set_epochs() */
        break;
    case CSV_SE:
        if (!(value >= 0.0))
            return csv_text_fail(builder->text, row, column, err, "%.10g is negative.", value);
        table->loss_se[row * n_targets + slot->index] = value;
        break;
    case CSV_LOSS:
    case CSV_VECTORS:
        if (is_entropy(&table->targets[slot->index]) && !(value > 0.0))
            return csv_text_fail(builder->text, row, column, err, "loss %.10g is not positive.",
                                 value);
        table->loss[row * n_targets + slot->index] = value;
        break;
    }
    return MIX_OK;
}

/* An empty cell: fine but in the columns that say what was trained. */
static enum mix_status read_empty(const struct builder *builder, size_t row, size_t column,
                                  struct mix_error *err)
{
    const struct slot *slot = &builder->slots[column];
    if (is_proportion(slot))
        return csv_text_fail(builder->text, row, column, err,
                             "the proportion is missing; a domain that was not used has 0.");
    if (slot->field != NULL && is_required(slot->field))
        return csv_text_fail(builder->text, row, column, err, "%s is missing.", slot->field->name);
    return MIX_OK;
}

/* Bring proportions to the sum 1, or refuse them. */
static enum mix_status normalise(struct builder *builder, size_t row, enum csv_vector vector,
                                 double *shares, struct mix_error *err)
{
    const struct csv_text *text = builder->text;
    const size_t n = builder->table->n_domains;
    double sum = 0.0;
    for (size_t k = 0; k < n; k++)
        sum += shares[k];
    const double off = fabs(sum - 1.0);
    if (off <= SUM_EXACT)
        return MIX_OK;
    if (off > SUM_TOLERANCE) {
        size_t column = 0;
        while (builder->slots[column].field != NULL || builder->slots[column].vector != vector)
            column++;
        return csv_text_fail(text, row, column, err,
                             "this and the other proportions %sDOMAIN of the row sum to %.6g, not "
                             "to 1 within %g.",
                             csv_prefixes[vector], sum, SUM_TOLERANCE);
    }
    for (size_t k = 0; k < n; k++)
        shares[k] /= sum;
    if (vector == CSV_H) {
        builder->notes.n_renormalised++;
        builder->notes.largest_off = fmax(builder->notes.largest_off, off);
    }
    return MIX_OK;
}

/* Tokens that the run could see without a repeat, until now the negative epochs, become epochs. */
static void set_epochs(struct mix_table *table, size_t row)
{
    for (size_t i = row * table->n_domains; i < (row + 1) * table->n_domains; i++)
        if (table->epochs[i] < 0.0)
            table->epochs[i] = table->mixture[i] * table->runs[row].n_tokens / -table->epochs[i];
}

static enum mix_status read_row(struct builder *builder, size_t row, struct mix_error *err)
{
    const struct csv_text *text = builder->text;
    struct mix_table *table = builder->table;
    if (mix_table_append(table) == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the table.");
    for (size_t c = 0; c < text->n_columns; c++) {
        const struct slot *slot = &builder->slots[c];
        enum mix_status status;
        if (text->cells[row * text->n_columns + c].text[0] == '\0')
            status = read_empty(builder, row, c, err);
        else if (slot->field != NULL)
            status = read_field(text, row, c, slot->field, &table->runs[row], err);
        else
            status = read_element(builder, row, c, err);
        if (status != MIX_OK)
            return status;
    }
    double *mixture = table->mixture + row * table->n_domains;
    double *asked = table->asked + row * table->n_domains;
    enum mix_status status = normalise(builder, row, CSV_H, mixture, err);
    if (status == MIX_OK && isnan(asked[0]))
        memcpy(asked, mixture, table->n_domains * sizeof *asked);
    else if (status == MIX_OK)
        status = normalise(builder, row, CSV_ASKED, asked, err);
    if (status == MIX_OK)
        set_epochs(table, row);
    return status;
}

static enum mix_status set_targets(const struct mix_map *map, struct mix_table *table,
                                   struct mix_error *err)
{
    for (size_t i = 0; map != NULL && i < map->n_targets; i++) {
        const int m = mix_table_target(table, map->targets[i].name);
        if (m < 0)
            return mix_fail(err, MIX_EINVAL, "%s, key targets: the table has no target \"%.80s\".",
                            map->path, map->targets[i].name);
        struct mix_target *target = &table->targets[m];
        target->direction = map->targets[i].direction;
        target->chance = map->targets[i].chance;
        if (map->targets[i].unit != NULL)
            (void)snprintf(target->unit, sizeof target->unit, "%s", map->targets[i].unit);
    }
    mix_table_link_targets(table);
    return MIX_OK;
}

/* mix_table_finish(), with the lines of two equal rows. */
static enum mix_status finish(const struct csv_text *text, struct mix_table *table,
                              struct mix_error *err)
{
    const enum mix_status status = mix_table_finish(table, err);
    bool found = false;
    size_t first = 0, second = 0;
    if (status != MIX_EINVAL ||
        mix_runs_find_twins(table, &found, &first, &second, NULL) != MIX_OK || !found)
        return status;
    const size_t named = csv_text_find(text, "run");
    const size_t column = named == SIZE_MAX ? 0 : named;
    return csv_text_fail(text, second, column, err,
                         "the same run as in line %zu: equal name, mixture, n_params %.10g, "
                         "n_tokens %.10g, seed and labels.",
                         text->cells[first * text->n_columns + column].line,
                         table->runs[second].n_params, table->runs[second].n_tokens);
}

/* Note what is likely a slip in the rows kept; those of the table are still those of the text. */
static enum mix_status note_outliers(struct builder *builder, const uint8_t *keep,
                                     struct mix_error *err)
{
    const struct csv_text *text = builder->text;
    const struct mix_table *table = builder->table;
    struct csv_value *values = calloc(table->n_rows + 1, sizeof *values);
    if (values == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory to look at %zu runs.", table->n_rows);
    for (size_t c = 0; c < text->n_columns; c++) {
        const struct slot *slot = &builder->slots[c];
        const bool is_loss = slot->field == NULL && slot->vector == CSV_LOSS;
        const bool is_size = slot->field != NULL && is_required(slot->field);
        size_t n = 0;
        for (size_t r = 0; r < table->n_rows && (is_loss || is_size); r++) {
            const double value =
                is_loss ? table->loss[r * table->n_targets + slot->index]
                        : *(const double *)(const void *)((const char *)&table->runs[r] +
                                                          slot->field->offset);
            if (keep[r] && isfinite(value))
                values[n++] = (struct csv_value){value, r};
        }
        if (is_loss && is_entropy(&table->targets[slot->index]))
            csv_note_losses(text, c, values, n, &builder->notes);
        else if (is_size)
            csv_note_sizes(text, c, table, values, n, &builder->notes);
    }
    free(values);
    return MIX_OK;
}

/* Drop the rows that were not asked for. What is final was decided on all rows and stays. */
static enum mix_status filter(const struct mix_import *import, struct builder *builder,
                              struct mix_error *err)
{
    struct mix_table *table = builder->table;
    struct mix_import_notes *notes = &builder->notes;
    uint8_t *keep = malloc(table->n_rows + 1);
    if (keep == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory to filter %zu runs.", table->n_rows);
    memset(keep, 1, table->n_rows);
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < import->n_where && status == MIX_OK; i++)
        status = mix_runs_where(table, import->where[i], keep, err);
    if (status == MIX_OK && import->checkpoints == MIX_CHECKPOINTS_LAST)
        status = mix_runs_keep_last(table, keep, err);
    if (status == MIX_OK)
        status = note_outliers(builder, keep, err);
    if (status == MIX_OK)
        mix_runs_drop(table, keep);
    free(keep);
    if (status == MIX_OK && table->n_rows == 0)
        return mix_fail(err, MIX_EINVAL, "no row of %zu passes --where \"%.200s\"%s.",
                        notes->n_read, import->where[0],
                        import->n_where > 1 ? " and the others" : "");
    if (status == MIX_OK)
        status = mix_table_finish(table, err);
    notes->n_kept = table->n_rows;
    for (size_t r = 0; r < table->n_rows; r++)
        notes->n_intermediate += table->runs[r].is_final == 0;
    for (size_t i = 0; i < table->n_rows * table->n_targets; i++)
        notes->n_cells_empty += isnan(table->loss[i]) != 0;
    return status;
}

static enum mix_status build(const struct mix_import *import, struct builder *builder,
                             struct mix_error *err)
{
    const struct csv_text *text = builder->text;
    size_t n_domains = 0, n_targets = 0;
    enum mix_status status = count_vectors(text, &n_domains, &n_targets, err);
    if (status == MIX_OK)
        status = check_columns(text, n_domains, n_targets, import->without_losses_ok, err);
    if (status != MIX_OK)
        return status;
    builder->table = mix_table_create(n_domains, n_targets);
    builder->slots = calloc(text->n_columns, sizeof *builder->slots);
    if (builder->table == NULL || builder->slots == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the table.");
    status = assign_slots(builder, err);
    if (status == MIX_OK)
        status = set_targets(import->map, builder->table, err);
    for (size_t r = 0; r < text->n_rows && status == MIX_OK; r++)
        status = read_row(builder, r, err);
    builder->notes.n_read = text->n_rows;
    if (status == MIX_OK)
        status = finish(text, builder->table, err);
    if (status == MIX_OK)
        status = filter(import, builder, err);
    return status;
}

enum mix_status csv_build(const struct mix_import *import, struct csv_text *text,
                          struct csv_text *metrics, struct mix_table **out,
                          struct mix_import_notes *notes, struct mix_error *err)
{
    struct builder builder = {.text = text};
    enum mix_status status = csv_map_apply(import, text, metrics, err);
    if (status == MIX_OK)
        status = build(import, &builder, err);
    free(builder.slots);
    if (status != MIX_OK) {
        mix_table_destroy(builder.table);
        return status;
    }
    *out = builder.table;
    if (notes != NULL)
        *notes = builder.notes;
    return MIX_OK;
}

enum mix_status mix_csv_import(const struct mix_import *import, struct mix_table **out,
                               struct mix_import_notes *notes, struct mix_error *err)
{
    const bool two = import->ratios_path != NULL || import->metrics_path != NULL;
    if (two == (import->path != NULL) || (two && (!import->ratios_path || !import->metrics_path)))
        return mix_fail(err, MIX_EINVAL, "either one table, or ratios and metrics, are wanted.");
    struct csv_text text = {0}, metrics = {0};
    enum mix_status status = csv_text_load(two ? import->ratios_path : import->path, &text, err);
    if (status == MIX_OK && two)
        status = csv_text_load(import->metrics_path, &metrics, err);
    if (status == MIX_OK)
        status = csv_build(import, &text, two ? &metrics : NULL, out, notes, err);
    csv_text_free(&metrics);
    csv_text_free(&text);
    return status;
}

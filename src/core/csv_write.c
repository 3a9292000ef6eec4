/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_write.c - the table of runs as CSV; see csv.h. */
#include "core/csv_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void mix_csv_put_text(FILE *out, const char *text)
{
    const size_t n = strlen(text);
    const bool blank = n > 0 && (strchr(" \t", text[0]) != NULL || strchr(" \t", text[n - 1]));
    if (!blank && text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void mix_csv_put_number(FILE *out, double value)
{
    char text[32];
    if (isnan(value))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, out);
}

static const void *field_of(const struct mix_run *run, const struct csv_field *field)
{
    return (const char *)run + field->offset;
}

static double number_of(const struct mix_run *run, const struct csv_field *field)
{
    double value;
    memcpy(&value, field_of(run, field), sizeof value);
    return value;
}

/* Whether a field says more than what reading would put there. */
static bool field_says(const struct mix_run *run, const struct csv_field *field)
{
    uint64_t seed;
    int32_t whole;
    switch (field->kind) {
    case CSV_LABEL:
        return *(const char *)field_of(run, field) != '\0';
    case CSV_SEED:
        memcpy(&seed, field_of(run, field), sizeof seed);
        return seed != 0;
    case CSV_WHOLE:
        memcpy(&whole, field_of(run, field), sizeof whole);
        return whole != 0;
    case CSV_SIZE:
    case CSV_TIME:
        break;
    }
    const double value = number_of(run, field);
    if (isnan(value))
        return false;
    if (field->offset == offsetof(struct mix_run, flops))
        return value != 6.0 * run->n_params * run->n_tokens;
    if (field->offset == offsetof(struct mix_run, n_tokens_planned))
        return value != run->n_tokens;
    return true;
}

static bool field_needed(const struct mix_table *table, const struct csv_field *field)
{
    if (strcmp(field->name, "run") == 0 || strcmp(field->name, "n_params") == 0 ||
        strcmp(field->name, "n_tokens") == 0)
        return true;
    for (size_t r = 0; r < table->n_rows; r++)
        if (field_says(&table->runs[r], field))
            return true;
    return false;
}

static void put_field(FILE *out, const struct mix_run *run, const struct csv_field *field)
{
    uint64_t seed;
    int32_t whole;
    switch (field->kind) {
    case CSV_LABEL:
        mix_csv_put_text(out, field_of(run, field));
        break;
    case CSV_SEED:
        memcpy(&seed, field_of(run, field), sizeof seed);
        fprintf(out, "%" PRIu64, seed);
        break;
    case CSV_WHOLE:
        memcpy(&whole, field_of(run, field), sizeof whole);
        fprintf(out, "%" PRId32, whole);
        break;
    case CSV_SIZE:
    case CSV_TIME:
        mix_csv_put_number(out, number_of(run, field));
        break;
    }
}

/* Element of a vector column; the mixture of a run that did not start is the one asked for. */
static double element(const struct mix_table *table, enum csv_vector vector, size_t row, size_t i)
{
    const size_t domain = row * table->n_domains + i, target = row * table->n_targets + i;
    switch (vector) {
    case CSV_H:
        return isnan(table->mixture[domain]) ? table->asked[domain] : table->mixture[domain];
    case CSV_ASKED:
        return table->asked[domain];
    case CSV_EPOCHS:
        return table->epochs[domain];
    case CSV_LOSS:
        return table->loss[target];
    case CSV_SE:
        return table->loss_se[target];
    case CSV_UNIQUE: /* follows from epochs */
    case CSV_VECTORS:
        break;
    }
    return NAN;
}

/* Whether any row has something in element i; asked_ only where it differs from h_. */
static bool element_needed(const struct mix_table *table, enum csv_vector vector, size_t i)
{
    if (vector == CSV_H || vector == CSV_LOSS)
        return true;
    for (size_t r = 0; r < table->n_rows; r++) {
        const double value = element(table, vector, r, i);
        if (!isnan(value) && (vector != CSV_ASKED || value != element(table, CSV_H, r, i)))
            return true;
    }
    return false;
}

static bool is_target(enum csv_vector vector)
{
    return vector == CSV_LOSS || vector == CSV_SE;
}

/* Set needed[] (CSV_FIELDS + CSV_VECTORS (K or M)) in the order of writing. */
struct layout {
    bool field[CSV_FIELDS];
    bool vector[CSV_VECTORS];
};

static struct layout plan(const struct mix_table *table)
{
    struct layout layout = {{false}, {false}};
    for (size_t f = 0; f < CSV_FIELDS; f++)
        layout.field[f] = field_needed(table, &csv_fields[f]);
    for (int v = 0; v < CSV_VECTORS; v++) {
        const size_t n = is_target((enum csv_vector)v) ? table->n_targets : table->n_domains;
        for (size_t i = 0; i < n && !layout.vector[v]; i++)
            layout.vector[v] = element_needed(table, (enum csv_vector)v, i);
    }
    return layout;
}

static void put_header(const struct mix_table *table, const struct layout *layout, FILE *out)
{
    const char *comma = "";
    for (size_t f = 0; f < CSV_FIELDS; f++)
        if (layout->field[f]) {
            fprintf(out, "%s%s", comma, csv_fields[f].name);
            comma = ",";
        }
    for (int v = 0; v < CSV_VECTORS; v++) {
        const bool target = is_target((enum csv_vector)v);
        const size_t n = target ? table->n_targets : table->n_domains;
        for (size_t i = 0; i < n && layout->vector[v]; i++) {
            char name[2 * MIX_NAME_MAX];
            (void)snprintf(name, sizeof name, "%s%s", csv_prefixes[v],
                           target ? table->targets[i].name : table->domains[i].name);
            fputc(',', out);
            mix_csv_put_text(out, name);
        }
    }
    fputc('\n', out);
}

static void put_row(const struct mix_table *table, size_t row, const struct layout *layout,
                    FILE *out)
{
    const char *comma = "";
    for (size_t f = 0; f < CSV_FIELDS; f++)
        if (layout->field[f]) {
            fputs(comma, out);
            put_field(out, &table->runs[row], &csv_fields[f]);
            comma = ",";
        }
    for (int v = 0; v < CSV_VECTORS; v++) {
        const size_t n = is_target((enum csv_vector)v) ? table->n_targets : table->n_domains;
        for (size_t i = 0; i < n && layout->vector[v]; i++) {
            fputc(',', out);
            mix_csv_put_number(out, element(table, (enum csv_vector)v, row, i));
        }
    }
    fputc('\n', out);
}

enum mix_status mix_csv_write_runs(const struct mix_table *table, FILE *out, struct mix_error *err)
{
    const struct layout layout = plan(table);
    put_header(table, &layout, out);
    for (size_t r = 0; r < table->n_rows; r++)
        put_row(table, r, &layout, out);
    errno = 0;
    if (fflush(out) != 0 || ferror(out))
        return mix_fail(err, MIX_EIO, "cannot write the runs: %s.",
                        errno != 0 ? strerror(errno) : "an earlier write failed");
    return MIX_OK;
}

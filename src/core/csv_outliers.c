/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_outliers.c - values of an import that are likely slips: said, not refused. */
#include "core/csv_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A domain that a run never saw is a few times the median at most: a loss ends at the logarithm of
 * the vocabulary. Sizes of one study seldom leave a factor 1000 between neighbours. */
static const double LOSS_FACTOR = 10.0, SIZE_FACTOR = 1000.0;
enum { ENOUGH = 3, LINES_MAX = 8 };

static int compare(const void *left, const void *right)
{
    const struct csv_value *a = left, *b = right;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static void add(const struct csv_text *text, size_t row, size_t column,
                struct mix_import_notes *notes, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* A line "FILE, line L: ..."; beyond LINES_MAX they are counted only. */
static void add(const struct csv_text *text, size_t row, size_t column,
                struct mix_import_notes *notes, const char *format, ...)
{
    const size_t size = sizeof notes->outliers, used = strlen(notes->outliers);
    char line[MIX_TEXT_MAX];
    int n = snprintf(line, sizeof line, "%.200s, line %zu: ", text->columns[column].file,
                     text->cells[row * text->n_columns + column].line);
    va_list arguments;
    va_start(arguments, format);
    n += vsnprintf(line + n, sizeof line - (size_t)n, format, arguments);
    va_end(arguments);
    if (notes->n_outliers++ < LINES_MAX && n > 0 && used + strlen(line) + 2 <= size)
        (void)snprintf(notes->outliers + used, size - used, "%s\n", line);
}

void csv_note_losses(const struct csv_text *text, size_t column, struct csv_value *values, size_t n,
                     struct mix_import_notes *notes)
{
    if (n < ENOUGH)
        return;
    qsort(values, n, sizeof *values, compare);
    const double median = values[n / 2].value;
    for (size_t i = 0; i < n; i++) {
        const double ratio = values[i].value / median;
        if (ratio > LOSS_FACTOR || ratio < 1.0 / LOSS_FACTOR)
            add(text, values[i].row, column, notes, "%.80s %.10g is %.*g times the median",
                text->columns[column].name, values[i].value,
                ratio >= 100.0 && ratio < 1e6 ? (int)log10(ratio) + 1 : 2, ratio);
    }
}

/* The end of the rows that have the value of row `i`, if all are of one run; else 0. */
static size_t end_of_run(const struct mix_table *table, const struct csv_value *values, size_t n,
                         size_t i)
{
    const char *run = table->runs[values[i].row].run;
    size_t end = i + 1;
    for (; end < n && values[end].value == values[i].value; end++)
        if (run[0] == '\0' || strcmp(run, table->runs[values[end].row].run) != 0)
            return 0;
    return end;
}

void csv_note_sizes(const struct csv_text *text, size_t column, const struct mix_table *table,
                    struct csv_value *values, size_t n, struct mix_import_notes *notes)
{
    qsort(values, n, sizeof *values, compare);
    for (size_t i = 0, next = 0; i < n; i = next) {
        const double value = values[i].value;
        const size_t end = end_of_run(table, values, n, i);
        for (next = i + 1; next < n && values[next].value == value;)
            next++;
        if (end == 0 || n - (end - i) < ENOUGH)
            continue;
        const double below = i > 0 ? value / values[i - 1].value : INFINITY;
        const double above = end < n ? values[end].value / value : INFINITY;
        if (fmin(below, above) >= SIZE_FACTOR)
            add(text, values[i].row, column, notes,
                "%s %.10g is of this run alone, a factor %.2g from the nearest other",
                text->columns[column].name, value, fmin(below, above));
    }
}

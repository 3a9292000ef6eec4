/* SPDX-License-Identifier: GPL-3.0-or-later */
/* print.c - tables, sizes, durations and progress for people; numbers for JSON. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct cli_table {
    size_t n_columns;
    size_t n_cells;
    size_t capacity;
    char **cells; /* (rows,n_columns) */
    bool failed;  /* memory ran out */
};

struct cli_table *cli_table_create(size_t n_columns)
{
    struct cli_table *table = calloc(1, sizeof *table);
    if (table != NULL)
        table->n_columns = n_columns;
    return table;
}

/* Make room for one more cell of `size` bytes; NULL when memory is out. */
static char *add_cell(struct cli_table *table, size_t size)
{
    if (table->n_cells == table->capacity) {
        const size_t capacity = table->capacity > 0 ? 2 * table->capacity : 64;
        char **cells = realloc(table->cells, capacity * sizeof *cells);
        if (cells == NULL)
            return NULL;
        table->cells = cells;
        table->capacity = capacity;
    }
    char *cell = malloc(size);
    if (cell != NULL)
        table->cells[table->n_cells++] = cell;
    return cell;
}

void cli_table_cell(struct cli_table *table, const char *format, ...)
{
    va_list arguments;
    if (table == NULL || table->failed)
        return;
    va_start(arguments, format);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *cell = length < 0 ? NULL : add_cell(table, (size_t)length + 1);
    if (cell == NULL) {
        table->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(cell, (size_t)length + 1, format, arguments);
    va_end(arguments);
}

/* Code points, which is the width on a terminal for the scripts that names are written in. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static size_t column_width(const struct cli_table *table, size_t column)
{
    size_t width = 0;
    for (size_t i = column; i < table->n_cells; i += table->n_columns) {
        const size_t w = text_width(table->cells[i]);
        if (w > width)
            width = w;
    }
    return width;
}

/* Cells of a row up to its last one that is not empty: no line ends in blanks. */
static size_t count_used(const struct cli_table *table, size_t row)
{
    size_t n = table->n_cells - row < table->n_columns ? table->n_cells - row : table->n_columns;
    while (n > 0 && table->cells[row + n - 1][0] == '\0')
        n--;
    return n;
}

void cli_table_print(struct cli_table *table, FILE *out, const char *indent)
{
    size_t *width = table == NULL ? NULL : calloc(table->n_columns + 1, sizeof *width);
    if (width == NULL || table->failed) {
        fprintf(out, "%s(no memory for this table)\n", indent);
        free(width);
        return;
    }
    for (size_t j = 0; j < table->n_columns; j++)
        width[j] = column_width(table, j);
    for (size_t row = 0; row < table->n_cells; row += table->n_columns) {
        const size_t n = count_used(table, row);
        for (size_t j = 0; j < n; j++) {
            const char *cell = table->cells[row + j];
            const int pad = (int)(width[j] - text_width(cell));
            if (j == 0)
                fprintf(out, "%s%s%*s", indent, cell, n > 1 ? pad : 0, "");
            else
                fprintf(out, "  %*s%s", pad, "", cell);
        }
        fputc('\n', out);
    }
    free(width);
}

void cli_table_destroy(struct cli_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

const char *cli_size(double value, char text[16])
{
    static const char *const suffixes[] = {"", "k", "M", "B", "T"};
    size_t s = 0;
    if (!isfinite(value)) {
        snprintf(text, 16, "?");
        return text;
    }
    for (; fabs(value) >= 999.95 && s + 1 < sizeof suffixes / sizeof suffixes[0]; s++)
        value /= 1000.0;
    snprintf(text, 16, "%.4g%s", value, suffixes[s]);
    return text;
}

double cli_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const char *cli_duration(double seconds, char text[16])
{
    if (!(seconds >= 0.0 && seconds < 1e9)) {
        snprintf(text, 16, "?");
        return text;
    }
    const unsigned whole = (unsigned)lround(seconds);
    if (seconds < 9.95)
        snprintf(text, 16, "%.1fs", seconds);
    else if (whole < 60)
        snprintf(text, 16, "%us", whole);
    else if (whole < 3600)
        snprintf(text, 16, "%um%02us", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(text, 16, "%uh%02um", whole / 3600, whole % 3600 / 60);
    else
        snprintf(text, 16, "%ud%02uh", whole / 86400, whole % 86400 / 3600);
    return text;
}

/* mpirun gives its ranks a pipe for stderr, so what counts is where its own stderr goes. */
static bool stderr_is_terminal(void)
{
    char path[64], target[64] = "";
    if (isatty(STDERR_FILENO))
        return true;
    if (getenv("OMPI_COMM_WORLD_SIZE") == NULL)
        return false;
    snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)getppid());
    if (readlink(path, target, sizeof target - 1) < 0)
        return false;
    return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0;
}

enum { BAR = 20 };
static const double LINE_S = 60.0; /* between lines in a log */

static void print_counts(const struct cli_progress *progress, size_t n_done, size_t n_total)
{
    fprintf(stderr, "%-10s %zu/%zu %s", progress->stage, n_done, n_total, progress->unit);
}

static void print_rate(const struct cli_progress *progress, size_t n_done, double elapsed_s,
                       double left_s)
{
    char left[16];
    if (n_done == 0 || elapsed_s <= 0.0)
        return;
    const double rate = (double)n_done / elapsed_s;
    if (rate >= 0.1)
        fprintf(stderr, "  %.3g %s/s", rate, progress->unit);
    else
        fprintf(stderr, "  %.3g %s/h", 3600 * rate, progress->unit);
    if (isfinite(left_s))
        fprintf(stderr, "  %s left", cli_duration(left_s, left));
}

/* Start the line that is due, on a terminal or in a log; false: none is. */
static bool begin_line(struct cli_progress *progress, size_t n_done, size_t n_total,
                       double elapsed_s)
{
    const bool on_terminal = stderr_is_terminal();
    if (!on_terminal && (n_done == n_total || elapsed_s - progress->last_line_s < LINE_S))
        return false;
    if (on_terminal)
        fputs("\r\033[?7l", stderr); /* what is too long is cut, not wrapped */
    print_counts(progress, n_done, n_total);
    if (on_terminal) {
        const size_t full = BAR * n_done / n_total;
        fputs("  ", stderr);
        for (size_t i = 0; i < BAR; i++)
            fputs(i < full ? "█" : "░", stderr);
    } else {
        progress->last_line_s = elapsed_s;
    }
    progress->drawn = on_terminal;
    return true;
}

static void end_line(const struct cli_progress *progress)
{
    fputs(progress->drawn ? "\033[K\033[?7h" : "\n", stderr); /* K: what a longer line left */
    fflush(stderr);
}

void cli_progress(void *context, size_t n_done, size_t n_total, double elapsed_s)
{
    struct cli_progress *progress = context;
    if (progress->store != NULL)
        mix_store_heartbeat(progress->store);
    if (n_total == 0 || n_done > n_total || !begin_line(progress, n_done, n_total, elapsed_s))
        return;
    print_rate(progress, n_done, elapsed_s,
               n_done > 0 ? elapsed_s * (double)(n_total - n_done) / (double)n_done : NAN);
    end_line(progress);
}

void cli_sweep_progress(void *context, const struct mix_sweep_progress *sweep)
{
    struct cli_progress *progress = context;
    const size_t n_over = sweep->n_done + sweep->n_failed;
    if (sweep->n_planned == 0 || n_over < progress->n_before ||
        !begin_line(progress, n_over, sweep->n_planned, sweep->elapsed_s))
        return;
    char tokens[16];
    fprintf(stderr, "  %zu failed  %zu running", sweep->n_failed, sweep->n_running);
    if (sweep->n_tokens > 0 && sweep->elapsed_s > 0)
        fprintf(stderr, "  %s tokens/s", cli_size(sweep->n_tokens / sweep->elapsed_s, tokens));
    print_rate(progress, n_over - progress->n_before, sweep->elapsed_s, sweep->left_s);
    if (isfinite(sweep->best_loss))
        fprintf(stderr, "  best %.4g (%s)", sweep->best_loss, sweep->best_run);
    end_line(progress);
}

void cli_progress_clear(struct cli_progress *progress)
{
    if (!progress->drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->drawn = false;
}

struct json_t *cli_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

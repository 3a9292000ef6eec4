/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read_mixtures.c - a list of mixtures from a file, for the method file of a design.
 *
 * CSV or JSON lines with a column for each domain, named as the domain or h_NAME, or YAML: a list
 * of mappings from domains to shares, in which what is not named has no share. Where a table says
 * n_params and n_tokens too, as `next` and `domains` write them, a row is a run at that scale
 * alone.
 */
#include "reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/csv_text.h"
#include "core/runs.h"

enum { LISTED_MAX = 10000, SIZES = 4 };
static const double sum_tolerance = 1e-3; /* as for priors */

static int find_domain(const struct mix_job *job, const char *name)
{
    const char *bare = strncmp(name, "h_", 2) == 0 ? name + 2 : name;
    for (size_t k = 0; k < job->n_domains; k++)
        if (strcmp(job->domains[k].name, name) == 0 || strcmp(job->domains[k].name, bare) == 0)
            return (int)k;
    return -1;
}

/* Columns that make a row a run: size, which seed (1 is the first), and which round. */
static const char *const sizes[SIZES] = {"n_params", "n_tokens", "replicate", "round"};

/* The shares of the row behind the last mixture sum to 1 within the tolerance; they are made to
 * exactly. Its number, or that of the same mixture before it, which runs may share. */
static size_t take_row(struct reader *in, const char *key, const char *path, bool is_run,
                       size_t line)
{
    struct mix_job *job = in->job;
    const size_t i = job->n_listed;
    double *share = &job->listed[i * job->n_domains], sum = 0;
    for (size_t k = 0; k < job->n_domains; k++)
        sum += share[k];
    if (in->status == MIX_OK && !(fabs(sum - 1) <= sum_tolerance))
        FAIL(in, key, "%.80s, line %zu: the shares sum to %.6g; they must sum to 1 within %g.",
             path, line, sum, sum_tolerance);
    for (size_t k = 0; k < job->n_domains; k++)
        share[k] /= sum;
    for (size_t j = 0; in->status == MIX_OK && j < i; j++) {
        double distance = 0;
        for (size_t k = 0; k < job->n_domains; k++)
            distance += fabs(share[k] - job->listed[j * job->n_domains + k]);
        if (distance <= 1e-5 && is_run)
            return j;
        if (distance <= 1e-5)
            FAIL(in, key, "%.80s, line %zu: the same as mixture %zu.", path, line, j + 1);
    }
    job->n_listed = i + 1;
    return i;
}

static double read_size(struct reader *in, const char *key, const char *path,
                        const struct csv_cell *cell, size_t size)
{
    static const double most[SIZES] = {1e15, 1e18, 10000, 1e6};
    double value = NAN;
    if (in->status == MIX_OK &&
        (!cell->text || !mix_number_read(cell->text, &value) || !(value >= (size < 3)) ||
         value > most[size] || (size >= 2 && value != floor(value))))
        FAIL(in, key, "%.80s, line %zu: \"%.40s\" is no %s.", path, cell->line,
             cell->text ? cell->text : "", sizes[size]);
    return value;
}

/* The run of a row: `column` (SIZES) says where its size is, SIZE_MAX = nowhere. */
static void take_run(struct reader *in, const char *key, const char *path, size_t mixture,
                     const struct csv_cell *cells, const size_t *column)
{
    struct mix_job *job = in->job;
    struct mix_job_listed *run = &job->listed_runs[job->n_listed_runs];
    double value[SIZES] = {NAN, NAN, 0, 0};
    for (size_t i = 0; i < SIZES; i++)
        if (column[i] != SIZE_MAX)
            value[i] = read_size(in, key, path, &cells[column[i]], i);
    if (in->status != MIX_OK)
        return;
    *run = (struct mix_job_listed){.mixture = mixture, .round = (int)value[3]};
    while (run->scale < job->n_scales && (job->scales[run->scale].n_params != value[0] ||
                                          job->scales[run->scale].n_tokens != value[1]))
        run->scale++;
    if (run->scale == job->n_scales)
        FAIL(in, key, "%.80s, line %zu: no scale has %.15g parameters and %.15g tokens.", path,
             cells[0].line, value[0], value[1]);
    for (size_t r = 0; r < job->n_listed_runs; r++) {
        const struct mix_job_listed *other = &job->listed_runs[r];
        if (other->mixture != mixture || other->scale != run->scale)
            continue;
        if (value[2] == (double)other->replicate + 1)
            FAIL(in, key, "%.80s, line %zu: the same run as number %zu.", path, cells[0].line,
                 r + 1);
        if (value[2] == 0 && other->replicate >= run->replicate)
            run->replicate = other->replicate + 1;
    }
    if (value[2] > 0)
        run->replicate = (size_t)value[2] - 1;
    job->n_listed_runs++;
}

static void check_number(struct reader *in, const char *key, const char *path, size_t line,
                         const char *text, double *out)
{
    if (in->status != MIX_OK)
        return;
    if (!text || !mix_number_read(text, out) || *out < 0 || *out > 1)
        FAIL(in, key, "%.80s, line %zu: \"%.40s\" is not a share from 0 to 1.", path, line,
             text ? text : "");
}

/* Where a column of `sizes` is goes into `size` (SIZES); false: it is none. */
static bool match_size(const char *name, size_t c, size_t *size)
{
    for (size_t i = 0; i < SIZES; i++)
        if (strcmp(name, sizes[i]) == 0) {
            size[i] = c;
            return true;
        }
    return false;
}

/* Which column is which domain, and where sizes are; columns that say what a mixture is called are
 * passed over. */
static void match_columns(struct reader *in, const char *key, const char *path,
                          const struct csv_text *text, int *domain, size_t *size)
{
    static const char *const labels = " run name index id mixture ";
    const struct mix_job *job = in->job;
    size_t column[MIX_DOMAINS_MAX];
    memset(column, -1, sizeof column);
    for (size_t c = 0; in->status == MIX_OK && c < text->n_columns; c++) {
        const char *name = text->columns[c].name;
        char word[MIX_NAME_MAX];
        snprintf(word, sizeof word, " %.60s ", name);
        domain[c] = find_domain(job, name);
        if (domain[c] >= 0 && column[domain[c]] != SIZE_MAX)
            FAIL(in, key, "%.80s: two columns are the domain %s.", path,
                 job->domains[domain[c]].name);
        else if (domain[c] >= 0)
            column[domain[c]] = c;
        else if (!match_size(name, c, size) && !strstr(labels, word))
            FAIL(in, key, "%.80s: the column \"%.60s\" is no domain.", path, name);
    }
    for (size_t k = 0; in->status == MIX_OK && k < job->n_domains; k++)
        if (column[k] == SIZE_MAX)
            FAIL(in, key, "%.80s: there is no column for the domain %s.", path,
                 job->domains[k].name);
    if (in->status == MIX_OK && (size[0] == SIZE_MAX) != (size[1] == SIZE_MAX))
        FAIL(in, key, "%.80s: of n_params and n_tokens one is missing.", path);
    if (in->status == MIX_OK && size[0] == SIZE_MAX && (size[2] != SIZE_MAX || size[3] != SIZE_MAX))
        FAIL(in, key,
             "%.80s: replicate and round are of runs, which have n_params and n_tokens too.", path);
}

static void take_table(struct reader *in, const char *key, const char *path)
{
    struct mix_job *job = in->job;
    struct csv_text text = {.n_columns = 0};
    struct mix_error reason = {.text = ""};
    int domain[CSV_COLUMNS_MAX] = {0};
    size_t size[SIZES];
    memset(size, -1, sizeof size);
    if (csv_text_load(path, &text, &reason) != MIX_OK) {
        FAIL(in, key, "%s", reason.text);
        return;
    }
    match_columns(in, key, path, &text, domain, size);
    const bool is_run = size[0] != SIZE_MAX;
    if (in->status == MIX_OK && (text.n_rows == 0 || text.n_rows > LISTED_MAX))
        FAIL(in, key, "%.80s: %zu mixtures are not in 1 … %d.", path, text.n_rows, LISTED_MAX);
    job->listed = take_memory(in, text.n_rows * job->n_domains, sizeof *job->listed);
    if (is_run)
        job->listed_runs = take_memory(in, text.n_rows, sizeof *job->listed_runs);
    for (size_t i = 0; in->status == MIX_OK && i < text.n_rows; i++) {
        const struct csv_cell *cells = &text.cells[i * text.n_columns];
        for (size_t c = 0; c < text.n_columns; c++)
            if (domain[c] >= 0)
                check_number(in, key, path, cells[c].line, cells[c].text,
                             &job->listed[job->n_listed * job->n_domains + (size_t)domain[c]]);
        const size_t mixture = take_row(in, key, path, is_run, cells[0].line);
        if (is_run)
            take_run(in, key, path, mixture, cells, size);
    }
    csv_text_free(&text);
}

static void take_entries(struct reader *in, const char *key, const char *path,
                         struct job_document *list)
{
    struct mix_job *job = in->job;
    size_t n = 0;
    while (job_document_line(list, n) > 0)
        n++;
    job->listed = take_memory(in, n * job->n_domains, sizeof *job->listed);
    for (size_t i = 0; in->status == MIX_OK && i < n; i++) {
        const char *name, *text;
        const size_t line = job_document_line(list, i);
        ITEM_KEY(item, "[%zu]", i);
        for (size_t e = 0; in->status == MIX_OK && job_document_entry(list, item, e, &name, &text);
             e++) {
            const int k = name ? find_domain(job, name) : -1;
            if (k < 0)
                FAIL(in, key, "%.80s, line %zu: \"%.60s\" is no domain.", path, line,
                     name ? name : "");
            else
                check_number(in, key, path, line, text,
                             &job->listed[i * job->n_domains + (size_t)k]);
        }
        take_row(in, key, path, false, line);
    }
}

static void take_yaml(struct reader *in, const char *key, const char *path)
{
    static const cyaml_schema_value_t entry = {.type = CYAML_IGNORE, .data_size = JOB_FREE_MAPPING};
    static const cyaml_schema_value_t schema = {
        .type = CYAML_SEQUENCE, .sequence = {.entry = &entry, .min = 1, .max = LISTED_MAX}};
    char *text = NULL;
    struct job_document list;
    struct mix_error reason = {.text = ""};
    enum mix_status status = mix_job_text(path, &text, &reason);
    if (status == MIX_OK)
        status = job_document_parse(path, text, strlen(text), &list, &reason);
    if (status == MIX_OK) {
        status = job_document_check(&list, &schema, &reason);
        if (status == MIX_OK)
            take_entries(in, key, path, &list);
        job_document_close(&list);
    }
    if (status != MIX_OK)
        FAIL(in, key, "%s", reason.text);
    free(text);
}

void take_mixtures(struct reader *in, const char *key, const char *path)
{
    struct stat about;
    const size_t n = strlen(path);
    const bool is_yaml = (n > 5 && strcmp(path + n - 5, ".yaml") == 0) ||
                         (n > 4 && strcmp(path + n - 4, ".yml") == 0);
    if (stat(path, &about) != 0)
        FAIL(in, key, "there is no file \"%.200s\".", path);
    else if (!S_ISREG(about.st_mode)) /* a pipe would wait for ever */
        FAIL(in, key, "\"%.200s\" is not a file.", path);
    else if (is_yaml)
        take_yaml(in, key, path);
    else
        take_table(in, key, path);
}

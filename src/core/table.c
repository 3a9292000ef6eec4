/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table.c - see table.h. */
#include "mixsweep/table.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

const double mix_runs_tolerance = 1e-5; /* published mixtures are rounded to 4 to 6 digits */
static const double KEY_LATTICE = 1e6;

static void fill_nan(double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = NAN;
}

struct mix_table *mix_table_create(size_t n_domains, size_t n_targets)
{
    struct mix_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->n_domains = n_domains;
    table->n_targets = n_targets;
    table->domains = calloc(n_domains + 1, sizeof *table->domains);
    table->targets = calloc(n_targets + 1, sizeof *table->targets);
    if (table->domains == NULL || table->targets == NULL) {
        mix_table_destroy(table);
        return NULL;
    }
    for (size_t k = 0; k < n_domains; k++) {
        table->domains[k].prior = NAN;
        table->domains[k].supply_tokens = NAN;
    }
    for (size_t m = 0; m < n_targets; m++) {
        struct mix_target *target = &table->targets[m];
        (void)snprintf(target->unit, sizeof target->unit, "nats/token");
        (void)snprintf(target->transform, sizeof target->transform, "none");
        target->weight = 1.0;
        target->direction = -1;
        target->domain = -1;
        target->chance = NAN;
    }
    return table;
}

void mix_table_destroy(struct mix_table *table)
{
    if (table == NULL)
        return;
    if (table->metadata != NULL)
        for (size_t r = 0; r < table->n_rows; r++)
            free(table->metadata[r]);
    free(table->metadata);
    free(table->loss_se);
    free(table->loss);
    free(table->epochs);
    free(table->mixture);
    free(table->asked);
    free(table->runs);
    free(table->targets);
    free(table->domains);
    free(table);
}

/* Grow *array to n_rows rows of row_bytes; on failure it keeps its size and content. */
static bool grow(void *array, size_t n_rows, size_t row_bytes)
{
    void *pointer;
    memcpy(&pointer, array, sizeof pointer); /* whatever it points to */
    if (row_bytes == 0)
        row_bytes = 1;
    if (n_rows > SIZE_MAX / row_bytes)
        return false;
    void *grown = realloc(pointer, n_rows * row_bytes);
    if (grown == NULL)
        return false;
    memcpy(array, &grown, sizeof grown);
    return true;
}

static bool grow_rows(struct mix_table *table, size_t capacity)
{
    const size_t domain_bytes = table->n_domains * sizeof(double);
    const size_t target_bytes = table->n_targets * sizeof(double);
    if (!grow(&table->runs, capacity, sizeof *table->runs) ||
        !grow(&table->asked, capacity, domain_bytes) ||
        !grow(&table->mixture, capacity, domain_bytes) ||
        !grow(&table->epochs, capacity, domain_bytes) ||
        !grow(&table->loss, capacity, target_bytes) ||
        !grow(&table->loss_se, capacity, target_bytes) ||
        !grow(&table->metadata, capacity, sizeof *table->metadata))
        return false;
    table->capacity = capacity;
    return true;
}

size_t mix_table_append(struct mix_table *table)
{
    if (table->n_rows == table->capacity) {
        const size_t capacity = table->capacity == 0 ? 16 : 2 * table->capacity;
        if (capacity <= table->capacity || !grow_rows(table, capacity))
            return SIZE_MAX;
    }
    const size_t row = table->n_rows++;
    table->runs[row] = (struct mix_run){
        .is_final = 1,
        .n_params = NAN,
        .n_params_non_embedding = NAN,
        .n_params_active = NAN,
        .n_tokens = NAN,
        .n_tokens_planned = NAN,
        .flops = NAN,
        .wall_s = NAN,
        .started = NAN,
        .ended = NAN,
    };
    fill_nan(table->asked + row * table->n_domains, table->n_domains);
    fill_nan(table->mixture + row * table->n_domains, table->n_domains);
    fill_nan(table->epochs + row * table->n_domains, table->n_domains);
    fill_nan(table->loss + row * table->n_targets, table->n_targets);
    fill_nan(table->loss_se + row * table->n_targets, table->n_targets);
    table->metadata[row] = NULL;
    return row;
}

int mix_table_domain(const struct mix_table *table, const char *name)
{
    for (size_t k = 0; k < table->n_domains; k++)
        if (strcmp(table->domains[k].name, name) == 0)
            return (int)k;
    return -1;
}

int mix_table_target(const struct mix_table *table, const char *name)
{
    for (size_t m = 0; m < table->n_targets; m++)
        if (strcmp(table->targets[m].name, name) == 0)
            return (int)m;
    return -1;
}

void mix_table_link_targets(struct mix_table *table)
{
    for (size_t m = 0; m < table->n_targets; m++)
        table->targets[m].domain = mix_table_domain(table, table->targets[m].name);
}

/* The mixture that a row was to have, or the realised one where nobody says: what a trainer makes
 * of one mixture differs a little between checkpoints, sizes and seeds, and is still one design. */
const double *mix_runs_mixture(const struct mix_table *table, size_t row)
{
    const double *asked = table->asked + row * table->n_domains;
    if (table->n_domains > 0 && isnan(asked[0]))
        return table->mixture + row * table->n_domains;
    return asked;
}

/* A row on the line that all mixtures are projected onto, to find near ones by sorting. */
struct projected {
    double position;
    const double *mixture; /* (K) */
    size_t n_domains;
    size_t row;
};

double mix_runs_project(const double *mixture, size_t n_domains)
{
    double position = 0.0;
    for (size_t k = 0; k < n_domains; k++) /* multiples of the golden ratio spread the weights */
        position += (fmod(0.6180339887498949 * (double)(k + 1), 1.0) - 0.5) * mixture[k];
    return isnan(position) ? INFINITY : position; /* no mixture known: behind all others */
}

static int compare_projected(const void *left, const void *right)
{
    const struct projected *a = left, *b = right;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    for (size_t k = 0; k < a->n_domains; k++)
        if (a->mixture[k] < b->mixture[k] || a->mixture[k] > b->mixture[k])
            return a->mixture[k] < b->mixture[k] ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

bool mix_runs_equal_mixtures(const double *a, const double *b, size_t n_domains, double tolerance)
{
    for (size_t k = 0; k < n_domains; k++)
        if (!(fabs(a[k] - b[k]) <= tolerance))
            return false;
    return true;
}

static size_t find_root(size_t *parent, size_t i)
{
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

/* Join the rows whose mixtures are equal within the tolerance: connected components, which do not
 * depend on the order of the rows. Equal mixtures are neighbours in the sorted order and need one
 * comparison; the rest are compared within the window that the tolerance spans on the line. */
static void join_mixtures(const struct projected *sorted, size_t n_rows, size_t *parent)
{
    const size_t n_domains = n_rows > 0 ? sorted[0].n_domains : 0;
    const double window = mix_runs_tolerance * (double)n_domains; /* |weight| < 1 */
    size_t n_distinct = 0;
    size_t *distinct = parent + n_rows; /* second half of the scratch */
    for (size_t i = 0; i < n_rows; i++) {
        parent[i] = i;
        if (n_distinct > 0 && mix_runs_equal_mixtures(sorted[distinct[n_distinct - 1]].mixture,
                                                      sorted[i].mixture, n_domains, 0.0))
            parent[i] = distinct[n_distinct - 1];
        else
            distinct[n_distinct++] = i;
    }
    for (size_t i = 0; i < n_distinct; i++) {
        const struct projected *a = &sorted[distinct[i]];
        for (size_t j = i + 1; j < n_distinct; j++) {
            const struct projected *b = &sorted[distinct[j]];
            if (b->position - a->position > window)
                break;
            if (mix_runs_equal_mixtures(a->mixture, b->mixture, n_domains, mix_runs_tolerance))
                parent[find_root(parent, distinct[j])] = find_root(parent, distinct[i]);
        }
    }
}

/* Number groups by the first row that belongs to each. */
static enum mix_status number_mixtures(struct mix_table *table, struct mix_error *err)
{
    const size_t n_rows = table->n_rows;
    struct projected *sorted = calloc(n_rows + 1, sizeof *sorted);
    size_t *parent = calloc(2 * n_rows + 1, sizeof *parent);
    size_t *group = calloc(n_rows + 1, sizeof *group);    /* (R) root of each row */
    int32_t *number = calloc(n_rows + 1, sizeof *number); /* (R) of each root, 0 = none */
    enum mix_status status = MIX_OK;
    if (sorted == NULL || parent == NULL || group == NULL || number == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "not enough memory to number %zu mixtures.", n_rows);
        goto out;
    }
    for (size_t r = 0; r < n_rows; r++) {
        const double *mixture = mix_runs_mixture(table, r);
        sorted[r] = (struct projected){mix_runs_project(mixture, table->n_domains), mixture,
                                       table->n_domains, r};
    }
    qsort(sorted, n_rows, sizeof *sorted, compare_projected);
    join_mixtures(sorted, n_rows, parent);
    for (size_t i = 0; i < n_rows; i++)
        group[sorted[i].row] = find_root(parent, i);
    int32_t n_mixtures = 0;
    for (size_t r = 0; r < n_rows; r++) {
        if (number[group[r]] == 0)
            number[group[r]] = ++n_mixtures;
        table->runs[r].mixture_id = number[group[r]] - 1;
    }
out:
    free(number);
    free(group);
    free(parent);
    free(sorted);
    return status;
}

struct ordered {
    const struct mix_run *run;
    size_t row;
};

static int compare_runs(const struct mix_run *a, const struct mix_run *b)
{
    int order = strcmp(a->run, b->run);
    if (order == 0 && a->n_params != b->n_params)
        order = a->n_params < b->n_params ? -1 : 1;
    if (order == 0 && a->mixture_id != b->mixture_id)
        order = a->mixture_id < b->mixture_id ? -1 : 1;
    if (order == 0 && a->seed != b->seed)
        order = a->seed < b->seed ? -1 : 1;
    if (order == 0)
        order = strcmp(a->schedule, b->schedule);
    if (order == 0)
        order = strcmp(a->recipe, b->recipe);
    return order;
}

bool mix_runs_same(const struct mix_run *a, const struct mix_run *b)
{
    return a->run[0] != '\0' && compare_runs(a, b) == 0;
}

/* Runs together, checkpoints by tokens. */
static int compare_checkpoints(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;
    int order = compare_runs(a->run, b->run);
    if (order == 0 && a->run->n_tokens != b->run->n_tokens)
        order = a->run->n_tokens < b->run->n_tokens ? -1 : 1;
    if (order == 0)
        order = a->row < b->row ? -1 : a->row > b->row;
    return order;
}

static int compare_keys(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;
    const struct mix_key p = a->run->key, q = b->run->key;
    if (p.hi != q.hi)
        return p.hi < q.hi ? -1 : 1;
    if (p.lo != q.lo)
        return p.lo < q.lo ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Small runs first, then by name (2 before 10), then by checkpoint. */
static int compare_for_people(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;
    if (a->run->n_params != b->run->n_params)
        return a->run->n_params < b->run->n_params ? -1 : 1;
    const size_t n_a = strlen(a->run->run), n_b = strlen(b->run->run);
    int order = strcmp(a->run->run, b->run->run);
    if (n_a != n_b && strspn(a->run->run, "0123456789") == n_a &&
        strspn(b->run->run, "0123456789") == n_b)
        order = n_a < n_b ? -1 : 1;
    if (order == 0 && a->run->n_tokens != b->run->n_tokens)
        order = a->run->n_tokens < b->run->n_tokens ? -1 : 1;
    return order != 0 ? order : compare_keys(left, right);
}

/* All rows, or those with keep[r] = 1, in the order of `compare`; the caller frees. */
static enum mix_status order_rows(const struct mix_table *table, const uint8_t *keep,
                                  int (*compare)(const void *, const void *), struct ordered **out,
                                  size_t *n_out, struct mix_error *err)
{
    struct ordered *ordered = calloc(table->n_rows + 1, sizeof *ordered);
    if (ordered == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory to sort %zu runs.", table->n_rows);
    size_t n = 0;
    for (size_t r = 0; r < table->n_rows; r++)
        if (keep == NULL || keep[r])
            ordered[n++] = (struct ordered){&table->runs[r], r};
    qsort(ordered, n, sizeof *ordered, compare);
    *out = ordered;
    *n_out = n;
    return MIX_OK;
}

enum mix_status mix_runs_keep_late(const struct mix_table *table, double part, uint8_t *keep,
                                   struct mix_error *err)
{
    struct ordered *ordered = NULL;
    size_t n = 0;
    const enum mix_status status = order_rows(table, keep, compare_checkpoints, &ordered, &n, err);
    if (status != MIX_OK)
        return status;
    for (size_t i = n, last = n; i-- > 0;) {
        const bool ends = last == n || !mix_runs_same(ordered[i].run, ordered[last].run);
        if (ends)
            last = i;
        keep[ordered[i].row] =
            ends || ordered[i].run->n_tokens >= part * ordered[last].run->n_tokens;
    }
    free(ordered);
    return MIX_OK;
}

enum mix_status mix_runs_keep_last(const struct mix_table *table, uint8_t *keep,
                                   struct mix_error *err)
{
    return mix_runs_keep_late(table, INFINITY, keep, err);
}

/* A run ends at its largest checkpoint, or later where that was known before: rows of a file whose
 * last checkpoints were filtered out stay intermediate. */
static enum mix_status mark_final(struct mix_table *table, struct mix_error *err)
{
    struct ordered *ordered = NULL;
    size_t n = 0;
    const enum mix_status status = order_rows(table, NULL, compare_checkpoints, &ordered, &n, err);
    if (status != MIX_OK)
        return status;
    for (size_t begin = 0, end; begin < n; begin = end) {
        double planned = -INFINITY;
        for (end = begin;
             end < n && (end == begin || mix_runs_same(ordered[begin].run, ordered[end].run));
             end++)
            planned = fmax(planned, fmax(ordered[end].run->n_tokens,
                                         ordered[end].run->n_tokens_planned)); /* fmax skips NaN */
        for (size_t i = begin; i < end; i++) {
            struct mix_run *run = &table->runs[ordered[i].row];
            run->n_tokens_planned = planned;
            run->is_final = run->n_tokens >= planned;
        }
    }
    free(ordered);
    return MIX_OK;
}

static void put_u64(unsigned char **at, uint64_t word)
{
    for (int i = 0; i < 8; i++)
        *(*at)++ = (unsigned char)(word >> (8 * i));
}

static void put_double(unsigned char **at, double value)
{
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    put_u64(at, word);
}

static void put_text(unsigned char **at, const char *text)
{
    const size_t n = strlen(text);
    put_u64(at, n);
    memcpy(*at, text, n);
    *at += n;
}

struct mix_key mix_run_key(const struct mix_run *run, const double *asked, size_t n_domains)
{
    unsigned char bytes[8 * (MIX_DOMAINS_MAX + 6) + MIX_UNIT_MAX + 2 * MIX_NAME_MAX];
    unsigned char *at = bytes;
    assert(n_domains <= MIX_DOMAINS_MAX);
    for (size_t k = 0; k < n_domains; k++)
        put_u64(&at, (uint64_t)llround(KEY_LATTICE * asked[k]));
    put_double(&at, run->n_params);
    put_double(&at, run->n_tokens);
    put_u64(&at, run->seed);
    put_text(&at, run->schedule);
    put_text(&at, run->recipe);
    put_text(&at, run->run);
    return mix_key_make(0, "run", bytes, (size_t)(at - bytes));
}

void mix_runs_set_key(struct mix_table *table, size_t row)
{
    const double *mixture = table->asked + row * table->n_domains;
    if (table->n_domains > 0 && isnan(mixture[0])) /* not asked for: imported by other means */
        mixture = table->mixture + row * table->n_domains;
    table->runs[row].key = mix_run_key(&table->runs[row], mixture, table->n_domains);
}

static void set_keys(struct mix_table *table)
{
    for (size_t r = 0; r < table->n_rows; r++) {
        struct mix_run *run = &table->runs[r];
        mix_runs_set_key(table, r);
        if (isnan(run->flops))
            run->flops = 6.0 * run->n_params * run->n_tokens;
    }
}

enum mix_status mix_runs_find_twins(const struct mix_table *table, bool *found, size_t *first,
                                    size_t *second, struct mix_error *err)
{
    struct ordered *ordered = NULL;
    size_t n = 0;
    const enum mix_status status = order_rows(table, NULL, compare_keys, &ordered, &n, err);
    if (status != MIX_OK)
        return status;
    *found = false;
    for (size_t i = 0; i + 1 < n; i++) {
        const struct mix_key a = ordered[i].run->key, b = ordered[i + 1].run->key;
        if (a.hi != b.hi || a.lo != b.lo || (*found && ordered[i + 1].row >= *second))
            continue;
        *found = true;
        *first = ordered[i].row;
        *second = ordered[i + 1].row;
    }
    free(ordered);
    return MIX_OK;
}

enum mix_status mix_table_finish(struct mix_table *table, struct mix_error *err)
{
    enum mix_status status = number_mixtures(table, err);
    if (status == MIX_OK)
        status = mark_final(table, err);
    if (status == MIX_OK)
        set_keys(table);
    bool found = false;
    size_t a = 0, b = 0;
    if (status == MIX_OK)
        status = mix_runs_find_twins(table, &found, &a, &b, err);
    if (status == MIX_OK && found)
        return mix_fail(err, MIX_EINVAL,
                        "rows %zu and %zu (runs \"%s\" and \"%s\") are the same: equal mixture, "
                        "n_params %.10g, n_tokens %.10g, seed and labels.",
                        a + 1, b + 1, table->runs[a].run, table->runs[b].run,
                        table->runs[a].n_params, table->runs[a].n_tokens);
    return status;
}

void mix_runs_move(struct mix_table *table, size_t to, size_t from)
{
    const size_t n_domains = table->n_domains, n_targets = table->n_targets;
    const size_t domain_bytes = n_domains * sizeof(double),
                 target_bytes = n_targets * sizeof(double);
    table->runs[to] = table->runs[from];
    memcpy(table->asked + to * n_domains, table->asked + from * n_domains, domain_bytes);
    memcpy(table->mixture + to * n_domains, table->mixture + from * n_domains, domain_bytes);
    memcpy(table->epochs + to * n_domains, table->epochs + from * n_domains, domain_bytes);
    memcpy(table->loss + to * n_targets, table->loss + from * n_targets, target_bytes);
    memcpy(table->loss_se + to * n_targets, table->loss_se + from * n_targets, target_bytes);
    table->metadata[to] = table->metadata[from];
}

void mix_runs_drop(struct mix_table *table, const uint8_t *keep)
{
    size_t n_kept = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        if (!keep[r]) {
            free(table->metadata[r]);
            continue;
        }
        if (n_kept != r)
            mix_runs_move(table, n_kept, r);
        n_kept++;
    }
    table->n_rows = n_kept;
}

/* Rows of *array (R of row_bytes) in the given order, through `scratch` of the same size. */
static void permute(void *array, size_t row_bytes, const struct ordered *ordered, size_t n_rows,
                    unsigned char *scratch)
{
    if (row_bytes == 0 || n_rows == 0)
        return;
    for (size_t i = 0; i < n_rows; i++)
        memcpy(scratch + i * row_bytes, (unsigned char *)array + ordered[i].row * row_bytes,
               row_bytes);
    memcpy(array, scratch, n_rows * row_bytes);
}

/* Bring the rows into the order of `compare`. */
static enum mix_status sort_rows(struct mix_table *table,
                                 int (*compare)(const void *, const void *), struct mix_error *err)
{
    const size_t n_rows = table->n_rows;
    const size_t domain_bytes = table->n_domains * sizeof(double);
    const size_t target_bytes = table->n_targets * sizeof(double);
    size_t widest = sizeof *table->runs;
    widest = domain_bytes > widest ? domain_bytes : widest;
    widest = target_bytes > widest ? target_bytes : widest;
    struct ordered *ordered = NULL;
    size_t n = 0;
    enum mix_status status = order_rows(table, NULL, compare, &ordered, &n, err);
    if (status != MIX_OK)
        return status;
    unsigned char *scratch = calloc(n_rows + 1, widest);
    if (scratch == NULL) {
        free(ordered);
        return mix_fail(err, MIX_ENOMEM, "not enough memory to sort %zu runs.", n_rows);
    }
    permute(table->runs, sizeof *table->runs, ordered, n, scratch);
    permute(table->asked, domain_bytes, ordered, n, scratch);
    permute(table->mixture, domain_bytes, ordered, n, scratch);
    permute(table->epochs, domain_bytes, ordered, n, scratch);
    permute(table->loss, target_bytes, ordered, n, scratch);
    permute(table->loss_se, target_bytes, ordered, n, scratch);
    permute(table->metadata, sizeof *table->metadata, ordered, n, scratch);
    free(scratch);
    free(ordered);
    return number_mixtures(table, err);
}

enum mix_status mix_table_sort(struct mix_table *table, struct mix_error *err)
{
    return sort_rows(table, compare_keys, err);
}

enum mix_status mix_table_sort_by_run(struct mix_table *table, struct mix_error *err)
{
    return sort_rows(table, compare_for_people, err);
}

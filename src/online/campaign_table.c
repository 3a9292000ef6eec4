/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign_table.c - the trainings of a campaign in memory, and as records of a log. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/online_campaign.h"

enum { COLUMNS = 11, POINT_STEP = 5, ROUND_STEP = 8 }; /* see list_columns() */
enum { WIDEST = 1 << 20 };

/* An array of a row, and how many numbers a row of it has. */
struct column {
    double **array;
    size_t n;
};

static void list_columns(struct mix_online *online, struct column columns[COLUMNS])
{
    const size_t k = online->n_groups, p = online->n_points, r = online->n_rounds;
    const struct column list[COLUMNS] = {
        {&online->mixture, k},           {&online->loss_start, k},
        {&online->loss_end, k},          {&online->test, k},
        {&online->test_se, k},           {&online->point_step, p},
        {&online->point_mixture, p * k}, {&online->point_loss, p * k},
        {&online->round_step, r},        {&online->round_mixture, r * k},
        {&online->matrix, r * k * k},
    };
    memcpy(columns, list, sizeof list);
}

struct mix_online *mix_online_create(const char *name, size_t n_groups, size_t n_points,
                                     size_t n_rounds)
{
    struct mix_online *online = calloc(1, sizeof *online);
    if (online == NULL)
        return NULL;
    online->n_groups = n_groups;
    online->n_points = n_points;
    online->n_rounds = n_rounds;
    snprintf(online->name, sizeof online->name, "%s", name);
    online->groups = calloc(n_groups + 1, sizeof *online->groups);
    if (online->groups == NULL) {
        free(online);
        return NULL;
    }
    return online;
}

void mix_online_destroy(struct mix_online *online)
{
    struct column columns[COLUMNS];
    if (online == NULL)
        return;
    list_columns(online, columns);
    for (int c = 0; c < COLUMNS; c++)
        free(*columns[c].array);
    free(online->groups);
    free(online->runs);
    free(online);
}

static bool reserve(struct mix_online *online, size_t capacity)
{
    struct column columns[COLUMNS];
    list_columns(online, columns);
    struct mix_online_run *runs = realloc(online->runs, capacity * sizeof *runs);
    if (runs == NULL)
        return false;
    online->runs = runs;
    for (int c = 0; c < COLUMNS; c++) {
        if (columns[c].n > SIZE_MAX / 16 / sizeof(double) / capacity)
            return false;
        double *larger = realloc(*columns[c].array, (capacity * columns[c].n + 1) * sizeof *larger);
        if (larger == NULL)
            return false;
        *columns[c].array = larger;
    }
    online->capacity = capacity;
    return true;
}

size_t mix_online_append(struct mix_online *online)
{
    struct column columns[COLUMNS];
    const size_t row = online->n_runs;
    if (row == online->capacity && !reserve(online, row < 16 ? 16 : 2 * row))
        return SIZE_MAX;
    list_columns(online, columns);
    for (int c = 0; c < COLUMNS; c++)
        for (size_t i = 0; i < columns[c].n; i++)
            (*columns[c].array)[row * columns[c].n + i] = NAN;
    struct mix_online_run *run = &online->runs[row];
    memset(run, 0, sizeof *run);
    run->law_r2 = run->own_r2 = run->similarity = NAN;
    return online->n_runs++;
}

size_t mix_online_find(const struct mix_online *online, struct mix_key key)
{
    for (size_t i = 0; i < online->n_runs; i++)
        if (online->runs[i].key.lo == key.lo && online->runs[i].key.hi == key.hi)
            return i;
    return SIZE_MAX;
}

/* ---- order */

static int compare_keys(struct mix_key a, struct mix_key b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo == b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}

static int compare_runs(const void *left, const void *right)
{
    const struct mix_online_run *a = left, *b = right;
    int order = strcmp(a->setting, b->setting);
    if (order == 0)
        order = strcmp(a->method, b->method);
    if (order == 0)
        order = strcmp(a->after, b->after);
    if (order == 0)
        order = a->restricted - b->restricted;
    if (order == 0)
        order = a->role - b->role;
    if (order == 0)
        order = (a->seed > b->seed) - (a->seed < b->seed);
    return order != 0 ? order : compare_keys(a->key, b->key);
}

/* The rows of `from` in the order of its keys are those of `to`. */
static void reorder(const double *from, double *to, size_t n, const size_t *row, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++)
        memcpy(to + i * n, from + row[i] * n, n * sizeof *to);
}

enum mix_status mix_online_sort(struct mix_online *online, struct mix_error *err)
{
    struct column columns[COLUMNS];
    const size_t n = online->n_runs;
    enum mix_status status = MIX_OK;
    if (n == 0)
        return MIX_OK;
    struct mix_online_run *runs = calloc(n + 1, sizeof *runs);
    size_t *row = calloc(n + 1, sizeof *row);
    if (runs == NULL || row == NULL)
        status = mix_fail(err, MIX_ENOMEM, "no memory for %zu runs", n);
    if (status == MIX_OK) {
        memcpy(runs, online->runs, n * sizeof *runs);
        qsort(runs, n, sizeof *runs, compare_runs);
        for (size_t i = 0; i < n; i++)
            row[i] = mix_online_find(online, runs[i].key);
    }
    list_columns(online, columns);
    for (int c = 0; c < COLUMNS && status == MIX_OK; c++) {
        double *sorted = malloc((online->capacity * columns[c].n + 1) * sizeof *sorted);
        if (sorted == NULL) {
            status = mix_fail(err, MIX_ENOMEM, "no memory for %zu runs", n);
            break;
        }
        reorder(*columns[c].array, sorted, columns[c].n, row, n);
        free(*columns[c].array);
        *columns[c].array = sorted;
    }
    if (status == MIX_OK)
        memcpy(online->runs, runs, n * sizeof *runs);
    free(runs);
    free(row);
    return status;
}

/* ---- width */

/* Arrays for wider rows; all or none. */
static bool make_wider(const struct column columns[COLUMNS], size_t capacity,
                       double *wider[COLUMNS])
{
    bool ok = true;
    for (int c = 0; c < COLUMNS; c++) {
        const size_t n = columns[c].n > 0 ? columns[c].n : 1;
        wider[c] = ok && capacity < SIZE_MAX / 16 / sizeof(double) / n
                       ? malloc((capacity * n + 1) * sizeof(double))
                       : NULL;
        ok = wider[c] != NULL;
    }
    for (int c = 0; c < COLUMNS && !ok; c++)
        free(wider[c]);
    return ok;
}

enum mix_status mix_online_widen(struct mix_online *online, size_t n_points, size_t n_rounds,
                                 struct mix_error *err)
{
    struct column old[COLUMNS], wide[COLUMNS];
    double *wider[COLUMNS];
    if (n_points <= online->n_points && n_rounds <= online->n_rounds)
        return MIX_OK;
    list_columns(online, old);
    online->n_points = n_points > online->n_points ? n_points : online->n_points;
    online->n_rounds = n_rounds > online->n_rounds ? n_rounds : online->n_rounds;
    list_columns(online, wide);
    if (!make_wider(wide, online->capacity, wider)) {
        online->n_points = old[POINT_STEP].n;
        online->n_rounds = old[ROUND_STEP].n;
        return mix_fail(err, MIX_ENOMEM, "no memory for %zu points of %zu runs", n_points,
                        online->n_runs);
    }
    for (int c = 0; c < COLUMNS; c++) {
        for (size_t i = 0; i < online->n_runs; i++)
            for (size_t j = 0; j < wide[c].n; j++)
                wider[c][i * wide[c].n + j] =
                    j < old[c].n ? (*old[c].array)[i * old[c].n + j] : (double)NAN;
        free(*old[c].array);
        *old[c].array = wider[c];
    }
    return MIX_OK;
}

/* ---- records */

bool mix_online_run_is_sound(const struct mix_online_run *run)
{
    return memchr(run->setting, 0, sizeof run->setting) != NULL &&
           memchr(run->method, 0, sizeof run->method) != NULL &&
           memchr(run->after, 0, sizeof run->after) != NULL && run->role >= MIX_ONLINE_STATIC &&
           run->role <= MIX_ONLINE_ANALYSIS && (run->restricted == 0 || run->restricted == 1) &&
           (run->diverged == 0 || run->diverged == 1);
}

struct mix_online_head mix_online_head(const struct mix_online *online)
{
    struct mix_online_head head;
    memset(&head, 0, sizeof head);
    snprintf(head.name, sizeof head.name, "%s", online->name);
    head.options = online->options;
    head.groups =
        mix_key_make(0, "groups", online->groups, online->n_groups * sizeof *online->groups);
    head.n_groups = online->n_groups;
    head.n_points = online->n_points;
    head.n_rounds = online->n_rounds;
    return head;
}

size_t mix_online_record_bytes(size_t n_groups, size_t n_points, size_t n_rounds)
{
    const size_t k = n_groups;
    return sizeof(struct mix_online_run) +
           (5 * k + n_points * (1 + 2 * k) + n_rounds * (1 + k + k * k)) * sizeof(double);
}

void mix_online_pack(const struct mix_online *online, size_t row, void *record)
{
    struct column columns[COLUMNS];
    struct mix_online copy = *online; /* its pointers are only read */
    uint8_t *to = record;
    memcpy(to, &online->runs[row], sizeof online->runs[row]);
    to += sizeof online->runs[row];
    list_columns(&copy, columns);
    for (int c = 0; c < COLUMNS; c++) {
        memcpy(to, *columns[c].array + row * columns[c].n, columns[c].n * sizeof(double));
        to += columns[c].n * sizeof(double);
    }
}

static bool same_key(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* MIX_ENOTFOUND where the record is of another campaign. */
static enum mix_status check_head(const struct mix_online *online,
                                  const struct mix_online_head *head, size_t n_record,
                                  struct mix_error *err)
{
    const struct mix_online_head ours = mix_online_head(online);
    if (memcmp(head->name, ours.name, sizeof head->name) != 0 ||
        !same_key(head->options, ours.options) || !same_key(head->groups, ours.groups) ||
        head->n_groups != ours.n_groups)
        return mix_fail(err, MIX_ENOTFOUND, "a record is not of the online runs %s", online->name);
    if (head->n_points > WIDEST || head->n_rounds > WIDEST ||
        n_record != mix_online_record_bytes(online->n_groups, (size_t)head->n_points,
                                            (size_t)head->n_rounds))
        return mix_fail(err, MIX_EFORMAT, "a record of the online runs %s has %zu bytes",
                        online->name, n_record);
    return MIX_OK;
}

/* The arrays of a record into row `row` of a table that is as wide or wider. */
static void take_arrays(struct mix_online *online, size_t row, const struct mix_online_head *head,
                        const uint8_t *from)
{
    struct column columns[COLUMNS], narrow[COLUMNS];
    struct mix_online recorded = {.n_groups = online->n_groups,
                                  .n_points = (size_t)head->n_points,
                                  .n_rounds = (size_t)head->n_rounds};
    list_columns(online, columns);
    list_columns(&recorded, narrow);
    for (int c = 0; c < COLUMNS; c++) {
        memcpy(*columns[c].array + row * columns[c].n, from, narrow[c].n * sizeof(double));
        from += narrow[c].n * sizeof(double);
    }
}

enum mix_status mix_online_take(struct mix_online *online, const void *head, size_t n_head,
                                const void *record, size_t n_record, struct mix_error *err)
{
    struct mix_online_head known;
    struct mix_online_run run;
    if (n_head != sizeof known || n_record < sizeof run)
        return mix_fail(err, MIX_EFORMAT, "a record of online runs has %zu bytes", n_record);
    memcpy(&known, head, sizeof known);
    memcpy(&run, record, sizeof run);
    enum mix_status status = check_head(online, &known, n_record, err);
    if (status == MIX_OK && !mix_online_run_is_sound(&run))
        status =
            mix_fail(err, MIX_EFORMAT, "a record of the online runs %s is damaged", online->name);
    if (status != MIX_OK || mix_online_find(online, run.key) != SIZE_MAX)
        return status;
    status = mix_online_widen(online, (size_t)known.n_points, (size_t)known.n_rounds, err);
    if (status != MIX_OK)
        return status;
    const size_t row = mix_online_append(online);
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "no memory for %zu online runs", online->n_runs + 1);
    online->runs[row] = run;
    take_arrays(online, row, &known, (const uint8_t *)record + sizeof run);
    return MIX_OK;
}

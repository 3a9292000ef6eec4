/* SPDX-License-Identifier: GPL-3.0-or-later */
/* numbering.c - which rows of a table share a mixture, and when their runs end, without the table.
 *
 * What mix_table_finish() and mix_table_sort() find out of all rows at once is found here out of
 * notes on a nameless file beside the sweep's: per row its place on the line of mixtures, a hash of
 * its run, its last tokens and its mixture. Held are at most 20 bytes of a row: the places are
 * sorted and near mixtures read back in that order; the runs come in parts, by their hashes.
 */
#include "store/store_impl.h"

#include <gsl/gsl_heapsort.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/runs.h"

enum { PARTS = 8 };

struct note {
    double place;
    double planned; /* tokens at the end of the run, as this row has it */
    struct mix_key run;
    uint32_t is_named;
    uint32_t round_up; /* to 8 bytes */
};

/* A row whose run ends later than the row says. */
struct extended {
    size_t row;
    double planned;
};

struct store_numbering {
    const char *path; /* borrowed */
    size_t n_domains, n_rows;
    FILE *notes;       /* per row: struct note, mixture (K) */
    uint32_t *mixture; /* (R) number; while they are found, a row before this one of the same */
    size_t n_named[PARTS];
    size_t n_extended, at; /* at: of the next to be applied */
    struct extended *extended;
};

static enum mix_status no_memory(const struct store_numbering *n, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "%s: no memory to number %zu runs", n->path, n->n_rows);
}

enum mix_status store_numbering_begin(const char *path, size_t n_domains,
                                      struct store_numbering **out, struct mix_error *err)
{
    struct store_numbering *n = calloc(1, sizeof *n);
    if (n == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory to number runs", path);
    n->path = path;
    n->n_domains = n_domains;
    const enum mix_status status = store_scratch_open(path, &n->notes, err);
    if (status == MIX_OK)
        *out = n;
    else
        store_numbering_destroy(n);
    return status;
}

void store_numbering_destroy(struct store_numbering *numbering)
{
    if (numbering == NULL)
        return;
    if (numbering->notes != NULL)
        fclose(numbering->notes);
    free(numbering->mixture);
    free(numbering->extended);
    free(numbering);
}

static double planned_of(const struct mix_run *run)
{
    return fmax(-INFINITY, fmax(run->n_tokens, run->n_tokens_planned)); /* fmax skips NaN */
}

static size_t put(uint8_t *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    return n;
}

/* All that makes rows checkpoints of one run, but for their mixture. */
static struct mix_key hash_of(const struct mix_run *run)
{
    uint8_t what[sizeof *run]; /* three of its texts, two of its numbers */
    size_t n = put(what, run->run, strlen(run->run) + 1);
    n += put(what + n, run->schedule, strlen(run->schedule) + 1);
    n += put(what + n, run->recipe, strlen(run->recipe) + 1);
    n += put(what + n, &run->n_params, sizeof run->n_params);
    n += put(what + n, &run->seed, sizeof run->seed);
    return mix_key_make(0, "checkpoints", what, n);
}

enum mix_status store_numbering_add(struct store_numbering *numbering,
                                    const struct mix_table *table, size_t row,
                                    struct mix_error *err)
{
    const struct mix_run *run = &table->runs[row];
    const double *mixture = mix_runs_mixture(table, row);
    const struct note note = {.place = mix_runs_project(mixture, table->n_domains),
                              .planned = planned_of(run),
                              .run = hash_of(run),
                              .is_named = run->run[0] != '\0'};
    if (note.is_named)
        numbering->n_named[note.run.lo % PARTS]++;
    numbering->n_rows++;
    return fwrite(&note, sizeof note, 1, numbering->notes) == 1 &&
                   fwrite(mixture, sizeof *mixture, table->n_domains, numbering->notes) ==
                       table->n_domains
               ? MIX_OK
               : store_scratch_check(numbering->path, numbering->notes, err);
}

static enum mix_status fail_back(const struct store_numbering *n, struct mix_error *err)
{
    return mix_fail(err, MIX_EIO, "%s: what was noted beside it cannot be read back", n->path);
}

static off_t note_bytes(const struct store_numbering *n)
{
    return (off_t)(sizeof(struct note) + n->n_domains * sizeof(double));
}

/* The next note, its mixture left out. */
static bool next_note(const struct store_numbering *n, struct note *note)
{
    double mixture[MIX_DOMAINS_MAX];
    return fread(note, sizeof *note, 1, n->notes) == 1 &&
           fread(mixture, sizeof *mixture, n->n_domains, n->notes) == n->n_domains;
}

/* ---- mixtures */

struct placed {
    double place;
    uint32_t row;
};

static int compare_placed(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static uint32_t first_of(uint32_t *same, uint32_t row)
{
    while (same[row] != row) {
        same[row] = same[same[row]];
        row = same[row];
    }
    return row;
}

/* The first row of both stands for them. */
static void join(uint32_t *same, uint32_t a, uint32_t b)
{
    a = first_of(same, a);
    b = first_of(same, b);
    same[a > b ? a : b] = a > b ? b : a;
}

/* Different mixtures that may be near the next one, in order of place: each struct placed and its
 * mixture (K). */
struct window {
    size_t begin, end, capacity;
    struct placed *placed;
    double *mixture;
};

static bool window_room(struct window *w, size_t n_domains)
{
    if (w->end < w->capacity)
        return true;
    if (2 * w->begin > w->capacity) {
        memmove(w->placed, w->placed + w->begin, (w->end - w->begin) * sizeof *w->placed);
        memmove(w->mixture, w->mixture + w->begin * n_domains,
                (w->end - w->begin) * n_domains * sizeof *w->mixture);
        w->end -= w->begin;
        w->begin = 0;
        return true;
    }
    const size_t capacity = 2 * w->capacity + 64;
    struct placed *placed = realloc(w->placed, capacity * sizeof *placed);
    w->placed = placed != NULL ? placed : w->placed;
    double *mixture = realloc(w->mixture, capacity * n_domains * sizeof *mixture);
    w->mixture = mixture != NULL ? mixture : w->mixture;
    if (placed == NULL || mixture == NULL)
        return false;
    w->capacity = capacity;
    return true;
}

/* Join a row with those in the window that have its mixture, and put it there if it is another. */
static bool enter(struct store_numbering *n, struct window *w, struct placed next)
{
    const size_t n_domains = n->n_domains;
    const double width = mix_runs_tolerance * (double)n_domains;
    if (!window_room(w, n_domains))
        return false;
    double *mixture = w->mixture + w->end * n_domains;
    if (pread(fileno(n->notes), mixture, n_domains * sizeof *mixture,
              (off_t)next.row * note_bytes(n) + (off_t)sizeof(struct note)) !=
        (ssize_t)(n_domains * sizeof *mixture))
        return false;
    if (w->end > w->begin &&
        mix_runs_equal_mixtures(mixture - n_domains, mixture, n_domains, 0.0)) {
        join(n->mixture, w->placed[w->end - 1].row, next.row);
        return true;
    }
    while (w->begin < w->end && next.place - w->placed[w->begin].place > width)
        w->begin++;
    for (size_t i = w->begin; i < w->end; i++)
        if (mix_runs_equal_mixtures(w->mixture + i * n_domains, mixture, n_domains,
                                    mix_runs_tolerance))
            join(n->mixture, w->placed[i].row, next.row);
    w->placed[w->end++] = next;
    return true;
}

static enum mix_status join_mixtures(struct store_numbering *n, struct placed *placed,
                                     struct mix_error *err)
{
    struct window window = {0};
    enum mix_status status = MIX_OK;
    rewind(n->notes);
    for (size_t r = 0; r < n->n_rows && status == MIX_OK; r++) {
        struct note note;
        if (!next_note(n, &note))
            return fail_back(n, err);
        placed[r] = (struct placed){note.place, (uint32_t)r};
        n->mixture[r] = (uint32_t)r;
    }
    gsl_heapsort(placed, n->n_rows, sizeof *placed, compare_placed);
    for (size_t i = 0; i < n->n_rows && status == MIX_OK; i++)
        if (!enter(n, &window, placed[i]))
            status = fail_back(n, err);
    free(window.placed);
    free(window.mixture);
    return status;
}

/* Numbers by first appearance: rows are numbered before those that point to them. */
static void number_mixtures(const struct store_numbering *n)
{
    uint32_t next = 0;
    for (size_t r = 0; r < n->n_rows; r++)
        n->mixture[r] = n->mixture[r] == r ? next++ : n->mixture[n->mixture[r]];
}

/* ---- runs */

struct named {
    struct mix_key run;
    double planned;
    uint32_t mixture, row;
};

static int compare_named(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    if (a->run.hi != b->run.hi)
        return a->run.hi < b->run.hi ? -1 : 1;
    if (a->run.lo != b->run.lo)
        return a->run.lo < b->run.lo ? -1 : 1;
    return (a->mixture > b->mixture) - (a->mixture < b->mixture);
}

static enum mix_status extend(struct store_numbering *n, struct named *named, size_t n_rows,
                              double planned, struct mix_error *err)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (!(named[i].planned < planned))
            continue;
        if ((n->n_extended & (n->n_extended - 1)) == 0) { /* a power of two, or none */
            const size_t capacity = n->n_extended > 0 ? 2 * n->n_extended : 1;
            struct extended *larger = realloc(n->extended, capacity * sizeof *larger);
            if (larger == NULL)
                return no_memory(n, err);
            n->extended = larger;
        }
        n->extended[n->n_extended++] = (struct extended){named[i].row, planned};
    }
    return MIX_OK;
}

/* The runs whose hashes are of one part. */
static enum mix_status end_runs(struct store_numbering *n, size_t part, struct named *named,
                                struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    size_t n_named = 0;
    rewind(n->notes);
    for (size_t r = 0; r < n->n_rows; r++) {
        struct note note;
        if (!next_note(n, &note))
            return fail_back(n, err);
        if (note.is_named && note.run.lo % PARTS == part && n_named < n->n_named[part])
            named[n_named++] = (struct named){note.run, note.planned, n->mixture[r], (uint32_t)r};
    }
    gsl_heapsort(named, n_named, sizeof *named, compare_named);
    for (size_t begin = 0, end; begin < n_named && status == MIX_OK; begin = end) {
        double planned = -INFINITY;
        for (end = begin; end < n_named && compare_named(&named[begin], &named[end]) == 0; end++)
            planned = fmax(planned, named[end].planned);
        status = extend(n, named + begin, end - begin, planned, err);
    }
    return status;
}

static int compare_extended(const void *left, const void *right)
{
    const struct extended *a = left, *b = right;
    return (a->row > b->row) - (a->row < b->row);
}

enum mix_status store_numbering_finish(struct store_numbering *numbering, struct mix_error *err)
{
    struct store_numbering *n = numbering;
    enum mix_status status = store_scratch_check(n->path, n->notes, err);
    if (status != MIX_OK)
        return status;
    n->mixture = malloc(n->n_rows * sizeof *n->mixture + 1);
    struct placed *placed = malloc(n->n_rows * sizeof *placed + 1);
    status =
        n->mixture == NULL || placed == NULL ? no_memory(n, err) : join_mixtures(n, placed, err);
    free(placed);
    if (status != MIX_OK)
        return status;
    number_mixtures(n);
    for (size_t part = 0; part < PARTS && status == MIX_OK; part++) {
        struct named *named = malloc(n->n_named[part] * sizeof *named + 1);
        status = named == NULL ? no_memory(n, err) : end_runs(n, part, named, err);
        free(named);
    }
    if (n->n_extended > 1)
        gsl_heapsort(n->extended, n->n_extended, sizeof *n->extended, compare_extended);
    return status;
}

void store_numbering_apply(struct store_numbering *numbering, size_t number, struct mix_run *run)
{
    struct store_numbering *n = numbering;
    run->mixture_id = (int32_t)n->mixture[number];
    run->n_tokens_planned = planned_of(run);
    while (n->at < n->n_extended && n->extended[n->at].row < number)
        n->at++;
    if (n->at < n->n_extended && n->extended[n->at].row == number)
        run->n_tokens_planned = n->extended[n->at].planned;
    run->is_final = run->n_tokens >= run->n_tokens_planned;
    if (isnan(run->flops))
        run->flops = 6.0 * run->n_params * run->n_tokens;
}

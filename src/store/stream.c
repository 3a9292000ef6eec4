/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stream.c - the runs of a file and those of logs on their way into the next file, row by row.
 *
 * The file has its rows in the order of their keys. Of the rows of the logs the keys are sorted;
 * then both are merged twice: to see which rows stay and to number them (numbering.c), and to write
 * them. A row of a log is read again where it is needed.
 */
#include "store/store_impl.h"

#include <gsl/gsl_heapsort.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

/* A row of a log: the place of its record, and which row of it. */
struct entry {
    struct mix_key key;
    uint64_t place;
};

enum { BLOCK_ROWS = 2048, PLACE_BITS = 47, ROW_BITS = 16 };

/* Of a source: the next row of the file, or a row of a log that takes the place of it. */
static const uint64_t OF_FILE = UINT64_MAX, REPLACES = (uint64_t)1 << 63;

/* A row that keeps the exclusion of the one whose place it takes. */
struct excluded {
    size_t row;
    char reason[MIX_NAME_MAX];
};

/* A row in memory. */
struct at {
    struct mix_table *table;
    size_t row;
};

struct store_stream {
    const struct h5_group *root;
    struct store_lock *lock; /* its heart beats while this takes its time */
    struct store_rows *file;
    struct mix_log_reader *logs;
    struct mix_key columns;
    struct mix_table *block;    /* rows of the file */
    size_t n_file, first, next; /* rows of it; first of the block; the next one */
    struct mix_table *log[2];   /* rows of records, the last and the one before */
    struct mix_table *out;      /* rows for the new file */
    size_t n_entries;
    struct entry *entry; /* (n_entries) */
    size_t n_rows;
    uint64_t *source; /* (R) */
    size_t n_excluded;
    struct excluded *excluded;
    size_t metadata_width;
    struct store_numbering *numbering;
    struct store_folded *count;
    bool is_unfit;   /* the file is not as we write it */
    uint64_t record; /* where the record is that is surveyed */
    size_t n_room;   /* for entries */
};

static enum mix_status no_memory(const struct store_stream *s, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "%s: no memory for the keys of %zu runs", s->root->file,
                    s->n_file + s->n_entries);
}

void store_stream_close(struct store_stream *stream)
{
    if (stream == NULL)
        return;
    store_rows_close(stream->file);
    mix_log_reader_close(stream->logs);
    mix_table_destroy(stream->block);
    mix_table_destroy(stream->log[0]);
    mix_table_destroy(stream->log[1]);
    mix_table_destroy(stream->out);
    store_numbering_destroy(stream->numbering);
    free(stream->entry);
    free(stream->source);
    free(stream->excluded);
    free(stream);
}

/* ---- the rows of the logs */

static int compare_keys(struct mix_key a, struct mix_key b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return (a.lo > b.lo) - (a.lo < b.lo);
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    const int order = compare_keys(a->key, b->key);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

static enum mix_status enter_record(void *context, enum mix_log_kind kind, const void *head,
                                    size_t n_head, const void *body, size_t n_body,
                                    struct mix_error *err)
{
    struct store_stream *s = context;
    struct mix_error fault = {""};
    struct mix_table *rows = s->log[0];
    (void)head;
    (void)n_head;
    if (kind != MIX_LOG_RESULT)
        return MIX_OK;
    store_drop_rows(rows, 0);
    const enum mix_status status = store_result_unpack(rows, s->columns, body, n_body, &fault);
    if (status == MIX_ENOMEM)
        return mix_fail(err, status, "%s", fault.text);
    if (status != MIX_OK)
        store_count_left(s->count, status, &fault);
    s->is_unfit |= rows->n_rows >> ROW_BITS != 0 || s->record >> PLACE_BITS != 0;
    for (size_t r = 0; r < rows->n_rows; r++) {
        if (s->n_entries == s->n_room) /* not when it was looked for */
            return mix_fail(err, MIX_EIO, "%s: its logs have changed while they were read",
                            s->root->file);
        s->entry[s->n_entries++] =
            (struct entry){rows->runs[r].key, s->record << ROW_BITS | (uint64_t)r};
    }
    return MIX_OK;
}

static enum mix_status enter_logs(struct store_stream *s, const struct store_logged *logged,
                                  struct mix_error *err)
{
    s->n_room = logged->n_rows;
    s->entry = malloc(s->n_room * sizeof *s->entry + 1);
    if (s->entry == NULL)
        return no_memory(s, err);
    const enum mix_status status = mix_logs_survey(logged->logs, enter_record, s, &s->record, err);
    if (status == MIX_OK)
        gsl_heapsort(s->entry, s->n_entries, sizeof *s->entry, compare_entries);
    return status;
}

/* Bring the row of a log into log[which]. */
static enum mix_status fetch(struct store_stream *s, uint64_t place, int which, struct at *at,
                             struct mix_error *err)
{
    const uint64_t number = place & (((uint64_t)1 << ROW_BITS) - 1);
    const void *body = NULL;
    size_t n_body = 0;
    *at = (struct at){s->log[which], 0};
    const enum mix_status status =
        mix_log_reader_read(s->logs, place >> ROW_BITS, &body, &n_body, err);
    return status == MIX_OK ? store_result_row(at->table, body, n_body, (size_t)number, err)
                            : status;
}

/* ---- the rows of the file */

/* Rows that are not as we would write them are for those who have the whole table. */
static void check_block(struct store_stream *s, const struct mix_key *before)
{
    struct mix_table *block = s->block;
    for (size_t r = 0; r < block->n_rows; r++) {
        const struct mix_key stored = block->runs[r].key;
        mix_runs_set_key(block, r);
        if (compare_keys(stored, block->runs[r].key) != 0 ||
            (before != NULL && compare_keys(*before, stored) >= 0))
            s->is_unfit = true;
        before = &block->runs[r].key;
    }
}

/* The next row of the file; it has one. */
static enum mix_status look_at_file(struct store_stream *s, struct at *at, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (s->next == s->first + s->block->n_rows) {
        const size_t left = s->n_file - s->next, n_before = s->block->n_rows;
        const struct mix_key before =
            n_before > 0 ? s->block->runs[n_before - 1].key : (struct mix_key){0, 0};
        s->first = s->next;
        status = store_rows_read(s->file, s->block, s->first, left < BLOCK_ROWS ? left : BLOCK_ROWS,
                                 err);
        if (status == MIX_OK)
            check_block(s, n_before > 0 ? &before : NULL);
    }
    *at = (struct at){s->block, s->next - s->first};
    return status;
}

static void rewind_file(struct store_stream *s)
{
    store_drop_rows(s->block, 0);
    s->first = s->next = 0;
}

/* ---- which rows stay */

static struct mix_run *run_of(struct at at)
{
    return &at.table->runs[at.row];
}

static enum mix_status note_excluded(struct store_stream *s, const struct mix_run *before,
                                     struct mix_error *err)
{
    struct excluded *larger = realloc(s->excluded, (s->n_excluded + 1) * sizeof *larger);
    if (larger == NULL)
        return no_memory(s, err);
    s->excluded = larger;
    s->excluded[s->n_excluded].row = s->n_rows;
    memcpy(s->excluded[s->n_excluded++].reason, before->reason, sizeof before->reason);
    return MIX_OK;
}

/* The row stays: number it. */
static enum mix_status keep(struct store_stream *s, struct at at, uint64_t source,
                            struct mix_error *err)
{
    const char *metadata = at.table->metadata[at.row];
    if (metadata != NULL && strlen(metadata) >= s->metadata_width)
        s->metadata_width = strlen(metadata) + 1;
    s->source[s->n_rows++] = source;
    return store_numbering_add(s->numbering, at.table, at.row, err);
}

/* Of the file's row (NULL = none) and the logs' under its key, each takes the place of the one
 * before or goes, as in a table. */
static enum mix_status settle(struct store_stream *s, const struct at *of_file,
                              const struct entry *entry, size_t n, struct mix_error *err)
{
    struct at kept = {0}, next;
    int free_log = 0; /* the kept row may be in the other one */
    uint64_t source = OF_FILE;
    struct mix_run excluded = {.excluded = 0};
    enum mix_status status = MIX_OK;
    if (of_file != NULL)
        kept = *of_file;
    for (size_t i = 0; i < n && status == MIX_OK; i++) {
        const struct mix_run *run = kept.table != NULL ? run_of(kept) : NULL;
        if (run != NULL && run->status == MIX_RUN_DONE)
            break; /* nothing takes its place */
        status = fetch(s, entry[i].place, free_log, &next, err);
        if (status != MIX_OK || (run != NULL && !mix_runs_supersedes(run_of(next), run)))
            continue;
        if (run != NULL && run->excluded)
            excluded = *run;
        if (run_of(next)->excluded)
            excluded.excluded = 0;
        s->count->n_added++;
        kept = next;
        free_log = 1 - free_log;
        source = of_file != NULL ? REPLACES | entry[i].place : entry[i].place;
    }
    if (status == MIX_OK && excluded.excluded)
        status = note_excluded(s, &excluded, err);
    return status != MIX_OK || kept.table == NULL ? status : keep(s, kept, source, err);
}

/* Merge the rows of the file and of the logs. */
static enum mix_status settle_all(struct store_stream *s, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t e = 0;
         status == MIX_OK && !s->is_unfit && (s->next < s->n_file || e < s->n_entries);) {
        struct at of_file;
        int order = 1; /* of the file's next key and the logs' */
        size_t end = e;
        store_lock_beat(s->lock);
        if (s->next < s->n_file)
            status = look_at_file(s, &of_file, err);
        if (status != MIX_OK)
            return status;
        if (s->next < s->n_file)
            order = e == s->n_entries ? -1 : compare_keys(run_of(of_file)->key, s->entry[e].key);
        if (order >= 0)
            for (end = e + 1;
                 end < s->n_entries && compare_keys(s->entry[end].key, s->entry[e].key) == 0;)
                end++;
        status = settle(s, order <= 0 ? &of_file : NULL, s->entry + e, end - e, err);
        s->next += order <= 0;
        e = end;
    }
    return status;
}

static enum mix_status make_tables(struct store_stream *s, struct mix_error *err)
{
    const struct mix_table *names = store_rows_names(s->file);
    struct mix_table **tables[] = {&s->block, &s->log[0], &s->log[1], &s->out};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct mix_table *table = mix_table_create(names->n_domains, names->n_targets);
        if (table == NULL)
            return no_memory(s, err);
        memcpy(table->domains, names->domains, names->n_domains * sizeof *names->domains);
        memcpy(table->targets, names->targets, names->n_targets * sizeof *names->targets);
        *tables[i] = table;
    }
    s->columns = store_columns_key(names);
    return MIX_OK;
}

static enum mix_status survey(struct store_stream *s, const struct store_logged *logged,
                              struct mix_error *err)
{
    enum mix_status status = store_rows_open(s->root, &s->file, err);
    if (status == MIX_OK)
        status = make_tables(s, err);
    if (status == MIX_OK)
        status = mix_log_reader_open(logged->logs, &s->logs, err);
    if (status == MIX_OK)
        status = enter_logs(s, logged, err);
    if (status != MIX_OK || s->is_unfit)
        return status;
    s->n_file = store_rows_count(s->file);
    s->source = malloc((s->n_file + s->n_entries) * sizeof *s->source + 1);
    if (s->source == NULL)
        return no_memory(s, err);
    status = store_numbering_begin(s->root->file, s->block->n_domains, &s->numbering, err);
    if (status == MIX_OK)
        status = settle_all(s, err);
    free(s->entry);
    s->entry = NULL;
    return status == MIX_OK && !s->is_unfit && s->count->n_added > 0
               ? store_numbering_finish(s->numbering, err)
               : status;
}

enum mix_status store_stream_open(const struct h5_group *root, struct store_lock *lock,
                                  const struct store_logged *logged, struct store_stream **out,
                                  struct store_folded *count, struct mix_error *err)
{
    struct store_stream *s = calloc(1, sizeof *s);
    *out = NULL;
    *count = (struct store_folded){0};
    if (s == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for its runs", root->file);
    s->root = root;
    s->lock = lock;
    s->count = count;
    s->metadata_width = 1;
    const enum mix_status status = survey(s, logged, err);
    s->count = NULL;
    if (status == MIX_OK && !s->is_unfit)
        *out = s;
    else
        store_stream_close(s);
    return status;
}

/* ---- the new file */

/* Add a row to those that are written next. Its metadata move. */
static enum mix_status put(struct store_stream *s, struct at from, struct mix_error *err)
{
    struct mix_table *to = s->out;
    const size_t n_domains = to->n_domains, n_targets = to->n_targets, row = mix_table_append(to);
    if (row == SIZE_MAX)
        return no_memory(s, err);
    const size_t domains = n_domains * sizeof(double), targets = n_targets * sizeof(double);
    to->runs[row] = from.table->runs[from.row];
    memcpy(to->asked + row * n_domains, from.table->asked + from.row * n_domains, domains);
    memcpy(to->mixture + row * n_domains, from.table->mixture + from.row * n_domains, domains);
    memcpy(to->epochs + row * n_domains, from.table->epochs + from.row * n_domains, domains);
    memcpy(to->loss + row * n_targets, from.table->loss + from.row * n_targets, targets);
    memcpy(to->loss_se + row * n_targets, from.table->loss_se + from.row * n_targets, targets);
    to->metadata[row] = from.table->metadata[from.row];
    from.table->metadata[from.row] = NULL;
    return MIX_OK;
}

static enum mix_status put_next(struct store_stream *s, size_t number, struct mix_error *err)
{
    const uint64_t source = s->source[number];
    const bool of_file = source == OF_FILE;
    struct at at;
    enum mix_status status =
        of_file ? look_at_file(s, &at, err) : fetch(s, source & ~REPLACES, 0, &at, err);
    if (status == MIX_OK)
        status = put(s, at, err);
    if (status != MIX_OK)
        return status;
    if (!of_file && (source & REPLACES) != 0)
        status = look_at_file(s, &at, err); /* to be left out */
    s->next += of_file || (source & REPLACES) != 0;
    if (!of_file)
        mix_runs_set_key(s->out, s->out->n_rows - 1);
    store_numbering_apply(s->numbering, number, &s->out->runs[s->out->n_rows - 1]);
    return status;
}

enum mix_status store_stream_write(struct store_stream *stream, const struct h5_group *root,
                                   struct mix_error *err)
{
    struct store_stream *s = stream;
    struct store_rows *rows = NULL;
    enum mix_status status = store_rows_create(root, store_rows_names(s->file), s->n_rows,
                                               s->metadata_width, &rows, err);
    rewind_file(s);
    size_t written = 0, excluded = 0;
    for (size_t r = 0; r < s->n_rows && status == MIX_OK; r++) {
        store_lock_beat(s->lock);
        status = put_next(s, r, err);
        if (status != MIX_OK)
            break;
        if (excluded < s->n_excluded && s->excluded[excluded].row == r) {
            struct mix_run *run = &s->out->runs[s->out->n_rows - 1];
            run->excluded = 1;
            memcpy(run->reason, s->excluded[excluded++].reason, sizeof run->reason);
        }
        if (s->out->n_rows < BLOCK_ROWS && r + 1 < s->n_rows)
            continue;
        status = store_rows_write(rows, s->out, written, err);
        written += s->out->n_rows;
        store_drop_rows(s->out, 0);
    }
    store_rows_close(rows);
    return status;
}

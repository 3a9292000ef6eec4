/* SPDX-License-Identifier: GPL-3.0-or-later */
/* results.c - proxy runs on their way through the logs into the table.
 *
 * A result is all rows of a run: header | rows, a row is struct mix_run | asked, mixture, epochs
 * (K) | loss, loss_se (M) | length of the metadata | metadata; in the byte order of the machine.
 */
#include "store/store_impl.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

/* Increase `version` when the layout changes. */
struct result_header {
    uint32_t version;
    uint32_t n_run; /* sizeof(struct mix_run) */
    uint32_t n_domains;
    uint32_t n_targets;
    struct mix_key columns; /* hash of the names of domains and targets */
    uint64_t n_rows;
};

enum { RESULT_VERSION = 2, BEFORE_ROUNDS = 1 };
_Static_assert(sizeof(struct mix_run) == 408, "a changed struct mix_run needs a RESULT_VERSION");

static const double SHARES_OFF = 1e-6; /* the sum of shares is 1 within the lattice of keys */

struct mix_key store_columns_key(const struct mix_table *table)
{
    struct mix_key key = {0, 0};
    for (size_t i = 0; i < table->n_domains + table->n_targets; i++) {
        const char *name = i < table->n_domains ? table->domains[i].name
                                                : table->targets[i - table->n_domains].name;
        char what[sizeof key + MIX_NAME_MAX] = {0};
        memcpy(what, &key, sizeof key);
        memcpy(what + sizeof key, name, strlen(name));
        key = mix_key_make(i < table->n_domains, "columns", what, sizeof what);
    }
    return key;
}

/* ---- packing */

static const char *metadata_of(const struct mix_table *table, size_t row)
{
    return table->metadata[row] != NULL ? table->metadata[row] : "";
}

/* Bytes of a row but for its metadata. */
static size_t row_bytes(const struct mix_table *table)
{
    return sizeof(struct mix_run) + (3 * table->n_domains + 2 * table->n_targets) * sizeof(double) +
           sizeof(uint64_t);
}

static uint8_t *put(uint8_t *to, const void *from, size_t n)
{
    if (n > 0)
        memcpy(to, from, n);
    return to + n;
}

static uint8_t *put_row(uint8_t *to, const struct mix_table *table, size_t row)
{
    const size_t n_domains = table->n_domains, n_targets = table->n_targets;
    const char *metadata = metadata_of(table, row);
    const uint64_t n_metadata = strlen(metadata);
    to = put(to, &table->runs[row], sizeof table->runs[row]);
    to = put(to, table->asked + row * n_domains, n_domains * sizeof(double));
    to = put(to, table->mixture + row * n_domains, n_domains * sizeof(double));
    to = put(to, table->epochs + row * n_domains, n_domains * sizeof(double));
    to = put(to, table->loss + row * n_targets, n_targets * sizeof(double));
    to = put(to, table->loss_se + row * n_targets, n_targets * sizeof(double));
    to = put(to, &n_metadata, sizeof n_metadata);
    return put(to, metadata, n_metadata);
}

enum mix_status mix_store_result_pack(const struct mix_table *rows, void **bytes, size_t *n_bytes,
                                      struct mix_error *err)
{
    const struct result_header header = {
        .version = RESULT_VERSION,
        .n_run = sizeof(struct mix_run),
        .n_domains = (uint32_t)rows->n_domains,
        .n_targets = (uint32_t)rows->n_targets,
        .columns = store_columns_key(rows),
        .n_rows = rows->n_rows,
    };
    size_t n = sizeof header + rows->n_rows * row_bytes(rows);
    for (size_t r = 0; r < rows->n_rows; r++)
        n += strlen(metadata_of(rows, r));
    uint8_t *packed = malloc(n);
    if (packed == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for the record of a run (%zu bytes)", n);
    uint8_t *to = put(packed, &header, sizeof header);
    for (size_t r = 0; r < rows->n_rows; r++)
        to = put_row(to, rows, r);
    *bytes = packed;
    *n_bytes = n;
    return MIX_OK;
}

/* ---- unpacking */

/* What is left of a record. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool has_rounds; /* else there was padding in their place */
};

static bool take(struct reader *reader, void *to, size_t n)
{
    if (n > reader->left)
        return false;
    if (n > 0)
        memcpy(to, reader->at, n);
    reader->at += n;
    reader->left -= n;
    return true;
}

static enum mix_status take_metadata(struct reader *reader, char **out, struct mix_error *err)
{
    uint64_t n = 0;
    if (!take(reader, &n, sizeof n) || n > reader->left)
        return mix_fail(err, MIX_EFORMAT, "a record of a run ends within a row");
    if (n == 0)
        return MIX_OK;
    if (memchr(reader->at, 0, n) != NULL)
        return mix_fail(err, MIX_EFORMAT, "a record of a run has metadata that are no text");
    char *metadata = malloc(n + 1);
    if (metadata == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for the metadata of a run");
    take(reader, metadata, n);
    metadata[n] = '\0';
    *out = metadata;
    return MIX_OK;
}

static bool take_vectors(struct reader *reader, struct mix_table *table, size_t row)
{
    const size_t n_domains = table->n_domains, n_targets = table->n_targets;
    return take(reader, table->asked + row * n_domains, n_domains * sizeof(double)) &&
           take(reader, table->mixture + row * n_domains, n_domains * sizeof(double)) &&
           take(reader, table->epochs + row * n_domains, n_domains * sizeof(double)) &&
           take(reader, table->loss + row * n_targets, n_targets * sizeof(double)) &&
           take(reader, table->loss_se + row * n_targets, n_targets * sizeof(double));
}

static bool is_shares(const double *shares, size_t n)
{
    double sum = 0.0;
    for (size_t k = 0; k < n; k++) {
        if (!(shares[k] >= 0.0 && shares[k] <= 1.0 + SHARES_OFF))
            return false;
        sum += shares[k];
    }
    return fabs(sum - 1.0) <= SHARES_OFF;
}

static bool all_nan(const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i]))
            return false;
    return true;
}

/* Of values that may be unknown, the known ones: finite and at least `min`. */
static bool known_at_least(const double *values, size_t n, double min)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i]) && !(values[i] >= min && values[i] < INFINITY))
            return false;
    return true;
}

/* What is out of range in a row of a log, or NULL. */
static const char *find_fault(const struct mix_table *table, size_t row)
{
    const struct mix_run *run = &table->runs[row];
    const size_t n_domains = table->n_domains, n_targets = table->n_targets;
    if (!store_run_is_sound(run))
        return "a text without end, or a status, flag or number of attempts that there is not";
    if (!(run->n_params > 0.0 && run->n_params < INFINITY))
        return "n_params that is not finite and positive";
    if (!(run->n_tokens > 0.0 && run->n_tokens < INFINITY))
        return "n_tokens that is not finite and positive";
    if (!known_at_least(&run->n_tokens_planned, 1, 0.0) ||
        !known_at_least(&run->n_params_non_embedding, 1, 0.0) ||
        !known_at_least(&run->n_params_active, 1, 0.0) || !known_at_least(&run->flops, 1, 0.0) ||
        !known_at_least(&run->wall_s, 1, 0.0) || !known_at_least(&run->started, 1, -DBL_MAX) ||
        !known_at_least(&run->ended, 1, -DBL_MAX))
        return "a size or time that is negative or infinite";
    if (!is_shares(table->mixture + row * n_domains, n_domains))
        return "a mixture whose shares are not in [0, 1] or do not sum to 1";
    const double *asked = table->asked + row * n_domains;
    if (!all_nan(asked, n_domains) && !is_shares(asked, n_domains))
        return "a mixture asked for whose shares are not in [0, 1] or do not sum to 1";
    if (!known_at_least(table->epochs + row * n_domains, n_domains, 0.0))
        return "epochs that are negative or infinite";
    if (!known_at_least(table->loss + row * n_targets, n_targets, -DBL_MAX) ||
        !known_at_least(table->loss_se + row * n_targets, n_targets, 0.0))
        return "a loss that is infinite, or a negative standard error";
    return NULL;
}

/* A run that never began has the mixture that was asked for. */
static void fill_mixture(struct mix_table *table, size_t row)
{
    const size_t n = table->n_domains;
    double *mixture = table->mixture + row * n;
    if (table->runs[row].status != MIX_RUN_DONE && all_nan(mixture, n))
        memcpy(mixture, table->asked + row * n, n * sizeof *mixture);
}

/* A row as it is in the record. */
static enum mix_status read_row(struct reader *reader, struct mix_table *table,
                                struct mix_error *err)
{
    const size_t row = mix_table_append(table);
    if (row == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "no memory for %zu runs", table->n_rows + 1);
    if (!take(reader, &table->runs[row], sizeof table->runs[row]) ||
        !take_vectors(reader, table, row))
        return mix_fail(err, MIX_EFORMAT, "a record of a run ends within a row");
    if (!reader->has_rounds)
        table->runs[row].round = 0;
    fill_mixture(table, row);
    return take_metadata(reader, &table->metadata[row], err);
}

static enum mix_status take_row(struct reader *reader, struct mix_table *table,
                                struct mix_error *err)
{
    const enum mix_status status = read_row(reader, table, err);
    if (status != MIX_OK)
        return status;
    const size_t row = table->n_rows - 1;
    const char *fault = find_fault(table, row);
    if (fault != NULL)
        return mix_fail(err, MIX_EFORMAT, "a record of run \"%.*s\" has %s", MIX_NAME_MAX - 1,
                        table->runs[row].run, fault);
    mix_runs_set_key(table, row);
    return MIX_OK;
}

void store_drop_rows(struct mix_table *table, size_t first)
{
    while (table->n_rows > first)
        free(table->metadata[--table->n_rows]);
}

static enum mix_status check_header(const struct result_header *header,
                                    const struct mix_table *table, struct mix_key columns,
                                    struct mix_error *err)
{
    if ((header->version != RESULT_VERSION && header->version != BEFORE_ROUNDS) ||
        header->n_run != sizeof(struct mix_run))
        return mix_fail(err, MIX_ENOTFOUND,
                        "a record of a run has version %u, not %d: another mixsweep wrote it",
                        header->version, RESULT_VERSION);
    if (header->n_domains != table->n_domains || header->n_targets != table->n_targets ||
        header->columns.hi != columns.hi || header->columns.lo != columns.lo)
        return mix_fail(err, MIX_ENOTFOUND,
                        "a record of a run has %u domains and %u targets, which are not those of "
                        "the table",
                        header->n_domains, header->n_targets);
    return MIX_OK;
}

enum mix_status store_result_unpack(struct mix_table *table, struct mix_key columns,
                                    const void *bytes, size_t n_bytes, struct mix_error *err)
{
    struct reader reader = {.at = bytes, .left = n_bytes};
    struct result_header header;
    if (!take(&reader, &header, sizeof header))
        return mix_fail(err, MIX_EFORMAT, "a record of a run has %zu bytes only", n_bytes);
    enum mix_status status = check_header(&header, table, columns, err);
    if (status != MIX_OK)
        return status;
    if (header.n_rows == 0 || header.n_rows > reader.left / row_bytes(table))
        return mix_fail(err, MIX_EFORMAT, "a record of a run has %zu bytes for %llu rows", n_bytes,
                        (unsigned long long)header.n_rows);
    reader.has_rounds = header.version >= RESULT_VERSION;
    const size_t first = table->n_rows;
    for (uint64_t r = 0; r < header.n_rows && status == MIX_OK; r++)
        status = take_row(&reader, table, err);
    if (status == MIX_OK && reader.left > 0)
        status = mix_fail(err, MIX_EFORMAT,
                          "a record of a run goes on for %zu bytes behind its end", reader.left);
    if (status != MIX_OK)
        store_drop_rows(table, first);
    return status;
}

enum mix_status store_result_row(struct mix_table *table, const void *bytes, size_t n_bytes,
                                 size_t number, struct mix_error *err)
{
    struct reader reader = {.at = bytes, .left = n_bytes};
    struct result_header header = {.version = 0};
    store_drop_rows(table, 0);
    bool whole = take(&reader, &header, sizeof header) && number < header.n_rows;
    reader.has_rounds = header.version >= RESULT_VERSION;
    for (size_t r = 0; r < number && whole; r++) {
        const size_t fixed = row_bytes(table);
        uint64_t n_metadata = 0;
        whole = fixed <= reader.left;
        if (whole)
            memcpy(&n_metadata, reader.at + fixed - sizeof n_metadata, sizeof n_metadata);
        whole = whole && n_metadata <= reader.left - fixed;
        if (whole) {
            reader.at += fixed + n_metadata;
            reader.left -= fixed + n_metadata;
        }
    }
    return whole ? read_row(&reader, table, err)
                 : mix_fail(err, MIX_EFORMAT, "a record of a run ends within a row");
}

enum mix_status mix_store_result_unpack(struct mix_table *table, const void *bytes, size_t n_bytes,
                                        struct mix_error *err)
{
    return store_result_unpack(table, store_columns_key(table), bytes, n_bytes, err);
}

/* ---- folding */

/* Rows by their keys, which are hashes: open addressing, at most half full. */
struct fold {
    struct mix_table *table;
    struct mix_key columns;
    size_t *slot; /* row + 1, 0 = empty */
    size_t n_slots;
    struct store_folded *count;
    enum mix_status status; /* of what ends the fold */
};

/* The slot of a key: that of its row, or an empty one. */
static size_t *find_slot(const struct fold *fold, struct mix_key key)
{
    for (size_t i = (size_t)key.lo & (fold->n_slots - 1);; i = (i + 1) & (fold->n_slots - 1)) {
        const size_t row = fold->slot[i];
        if (row == 0)
            return &fold->slot[i];
        const struct mix_key found = fold->table->runs[row - 1].key;
        if (found.lo == key.lo && found.hi == key.hi)
            return &fold->slot[i];
    }
}

/* Room for n_rows; the first n_known of the table are put in. */
static enum mix_status make_index(struct fold *fold, size_t n_rows, size_t n_known,
                                  struct mix_error *err)
{
    size_t n_slots = 64;
    while (n_slots < 2 * n_rows)
        n_slots *= 2;
    size_t *slot = calloc(n_slots, sizeof *slot);
    if (slot == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for the keys of %zu runs", n_rows);
    free(fold->slot);
    fold->slot = slot;
    fold->n_slots = n_slots;
    for (size_t r = 0; r < n_known; r++)
        *find_slot(fold, fold->table->runs[r].key) = r + 1;
    return MIX_OK;
}

static void replace_row(struct mix_table *table, size_t old, size_t new)
{
    const struct mix_run before = table->runs[old];
    free(table->metadata[old]);
    mix_runs_move(table, old, new);
    if (before.excluded && !table->runs[old].excluded) {
        table->runs[old].excluded = 1;
        memcpy(table->runs[old].reason, before.reason, sizeof before.reason);
    }
}

/* Settle the rows from `first` on: the new ones stay, the others take the place of a row or go. */
static enum mix_status settle(struct fold *fold, size_t first, struct mix_error *err)
{
    struct mix_table *table = fold->table;
    const size_t n_rows = table->n_rows;
    enum mix_status status = MIX_OK;
    if (2 * n_rows > fold->n_slots)
        status = make_index(fold, 2 * n_rows, first, err);
    if (status != MIX_OK) {
        store_drop_rows(table, first);
        return status;
    }
    size_t to = first;
    for (size_t r = first; r < n_rows; r++) {
        size_t *slot = find_slot(fold, table->runs[r].key);
        const bool known = *slot != 0;
        const bool newer = known && mix_runs_supersedes(&table->runs[r], &table->runs[*slot - 1]);
        fold->count->n_added += !known || newer;
        if (newer) {
            replace_row(table, *slot - 1, r);
        } else if (known) {
            free(table->metadata[r]);
        } else {
            if (to != r)
                mix_runs_move(table, to, r);
            *slot = ++to;
        }
    }
    table->n_rows = to;
    return MIX_OK;
}

void store_count_left(struct store_folded *count, enum mix_status status,
                      const struct mix_error *fault)
{
    if (count->n_alien + count->n_bad == 0)
        count->fault = *fault;
    count->n_alien += status == MIX_ENOTFOUND;
    count->n_bad += status != MIX_ENOTFOUND;
}

static enum mix_status fold_record(void *context, enum mix_log_kind kind, const void *head,
                                   size_t n_head, const void *body, size_t n_body,
                                   struct mix_error *err)
{
    struct fold *fold = context;
    struct mix_error fault = {""};
    (void)head;
    (void)n_head;
    if (kind != MIX_LOG_RESULT)
        return MIX_OK;
    const size_t first = fold->table->n_rows;
    const enum mix_status status =
        store_result_unpack(fold->table, fold->columns, body, n_body, &fault);
    if (status == MIX_OK)
        return settle(fold, first, err);
    if (status == MIX_ENOMEM)
        return mix_fail(err, status, "%s", fault.text);
    store_count_left(fold->count, status, &fault);
    return MIX_OK;
}

enum mix_status store_fold_results(const struct mix_logs *logs, size_t n_expected,
                                   struct mix_table *table, struct store_folded *count,
                                   struct mix_error *err)
{
    *count = (struct store_folded){0};
    struct fold fold = {.table = table, .columns = store_columns_key(table), .count = count};
    enum mix_status status = make_index(&fold, table->n_rows + n_expected, table->n_rows, err);
    if (status == MIX_OK)
        status = mix_logs_read(logs, fold_record, &fold, NULL, err);
    free(fold.slot);
    if (status == MIX_OK && count->n_added > 0)
        status = mix_table_finish(table, err);
    if (status == MIX_OK && count->n_added > 0)
        status = mix_table_sort(table, err);
    return status;
}

size_t store_result_rows(const void *body, size_t n_body)
{
    struct result_header header;
    if (n_body < sizeof header)
        return 0;
    memcpy(&header, body, sizeof header);
    const uint64_t most = n_body / sizeof(struct mix_run);
    return (size_t)(header.n_rows < most ? header.n_rows : most);
}

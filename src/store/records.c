/* SPDX-License-Identifier: GPL-3.0-or-later */
/* records.c - what the logs hold: proxy runs and bootstrap draws on their way into the file.
 *
 * A run is packed as: header | struct mix_run | asked, mixture, epochs (K) | loss, loss_se (M) |
 * metadata, in the byte order of the machine.
 */
#include "store/store_impl.h"

#include <stdlib.h>
#include <string.h>

/* Layout of a packed run. Increase `version` when struct mix_run changes. */
struct run_header {
    uint32_t version;
    uint32_t n_run; /* sizeof(struct mix_run) */
    uint32_t n_domains;
    uint32_t n_targets;
    struct mix_key columns; /* hash of the names of domains and targets */
    uint64_t n_metadata;    /* bytes of JSON text, without end */
};

enum { RUN_VERSION = 1, DRAWS_MAX = 10 * 1000 * 1000 };
_Static_assert(sizeof(struct mix_run) == 408, "a changed struct mix_run needs a new RUN_VERSION");

static struct mix_key columns_key(const struct mix_table *table)
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

enum mix_status mix_store_run_pack(const struct mix_table *table, size_t row, void **bytes,
                                   size_t *n_bytes, struct mix_error *err)
{
    const size_t n_domains = table->n_domains, n_targets = table->n_targets;
    const char *metadata = table->metadata[row] != NULL ? table->metadata[row] : "";
    const struct run_header header = {
        .version = RUN_VERSION,
        .n_run = sizeof(struct mix_run),
        .n_domains = (uint32_t)n_domains,
        .n_targets = (uint32_t)n_targets,
        .columns = columns_key(table),
        .n_metadata = strlen(metadata),
    };
    const struct {
        const void *from;
        size_t n;
    } parts[] = {
        {&header, sizeof header},
        {&table->runs[row], sizeof table->runs[row]},
        {table->asked + row * n_domains, n_domains * sizeof(double)},
        {table->mixture + row * n_domains, n_domains * sizeof(double)},
        {table->epochs + row * n_domains, n_domains * sizeof(double)},
        {table->loss + row * n_targets, n_targets * sizeof(double)},
        {table->loss_se + row * n_targets, n_targets * sizeof(double)},
        {metadata, strlen(metadata)},
    };
    size_t n = 0;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
        n += parts[p].n;
    uint8_t *packed = malloc(n);
    if (packed == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for the record of a run (%zu bytes)", n);
    uint8_t *to = packed;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        memcpy(to, parts[p].from, parts[p].n);
        to += parts[p].n;
    }
    *bytes = packed;
    *n_bytes = n;
    return MIX_OK;
}

/* A packed run, checked but not copied. */
struct run_view {
    struct mix_run run;
    const uint8_t *vectors, *metadata;
    size_t n_metadata;
};

/* MIX_ENOTFOUND: a run of other domains or targets. */
static enum mix_status view_run(const struct mix_table *table, const uint8_t *bytes, size_t n_bytes,
                                struct run_view *view, struct mix_error *err)
{
    struct run_header header;
    if (n_bytes < sizeof header)
        return mix_fail(err, MIX_EFORMAT, "record of a run: %zu bytes are too few", n_bytes);
    memcpy(&header, bytes, sizeof header);
    if (header.version != RUN_VERSION || header.n_run != sizeof(struct mix_run))
        return mix_fail(err, MIX_EFORMAT, "record of a run: version %u is not %d", header.version,
                        RUN_VERSION);
    const struct mix_key columns = columns_key(table);
    if (header.n_domains != table->n_domains || header.n_targets != table->n_targets ||
        header.columns.hi != columns.hi || header.columns.lo != columns.lo)
        return mix_fail(err, MIX_ENOTFOUND,
                        "record of a run: its %u domains and %u targets are not those of the table",
                        header.n_domains, header.n_targets);
    const size_t n_vectors = (3 * table->n_domains + 2 * table->n_targets) * sizeof(double);
    const size_t n_fixed = sizeof header + sizeof view->run + n_vectors;
    if (n_bytes < n_fixed || n_bytes - n_fixed != header.n_metadata)
        return mix_fail(err, MIX_EFORMAT, "record of a run: %zu bytes, %zu expected", n_bytes,
                        n_fixed + (size_t)header.n_metadata);
    memcpy(&view->run, bytes + sizeof header, sizeof view->run);
    if (!store_run_is_sound(&view->run))
        return mix_fail(err, MIX_EFORMAT, "record of a run: a field is out of range");
    view->vectors = bytes + sizeof header + sizeof view->run;
    view->metadata = view->vectors + n_vectors;
    view->n_metadata = (size_t)header.n_metadata;
    return MIX_OK;
}

static size_t find_run(const struct mix_table *table, struct mix_key key)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (table->runs[r].key.lo == key.lo && table->runs[r].key.hi == key.hi)
            return r;
    return SIZE_MAX;
}

/* A later attempt takes the place of one that failed. */
static bool supersedes(const struct mix_run *later, const struct mix_run *earlier)
{
    return earlier->status != MIX_RUN_DONE &&
           (later->status == MIX_RUN_DONE || later->attempts > earlier->attempts);
}

static void fill_row(struct mix_table *table, size_t row, const struct run_view *view,
                     char *metadata)
{
    const size_t n_domains = table->n_domains * sizeof(double);
    const size_t n_targets = table->n_targets * sizeof(double);
    const uint8_t *from = view->vectors;
    table->runs[row] = view->run;
    memcpy(table->asked + row * table->n_domains, from, n_domains);
    memcpy(table->mixture + row * table->n_domains, from + n_domains, n_domains);
    memcpy(table->epochs + row * table->n_domains, from + 2 * n_domains, n_domains);
    memcpy(table->loss + row * table->n_targets, from + 3 * n_domains, n_targets);
    memcpy(table->loss_se + row * table->n_targets, from + 3 * n_domains + n_targets, n_targets);
    free(table->metadata[row]);
    table->metadata[row] = metadata;
}

enum mix_status mix_store_run_unpack(struct mix_table *table, const void *bytes, size_t n_bytes,
                                     bool *added, struct mix_error *err)
{
    struct run_view view;
    enum mix_status status = view_run(table, bytes, n_bytes, &view, err);
    if (status != MIX_OK)
        return status;
    size_t row = find_run(table, view.run.key);
    if (row != SIZE_MAX && !supersedes(&view.run, &table->runs[row])) {
        *added = false;
        return MIX_OK;
    }
    char *metadata = NULL;
    if (view.n_metadata > 0) {
        metadata = malloc(view.n_metadata + 1);
        if (metadata == NULL)
            return mix_fail(err, MIX_ENOMEM, "no memory for the metadata of a run");
        memcpy(metadata, view.metadata, view.n_metadata);
        metadata[view.n_metadata] = '\0';
    }
    if (row == SIZE_MAX)
        row = mix_table_append(table);
    if (row == SIZE_MAX) {
        free(metadata);
        return mix_fail(err, MIX_ENOMEM, "no memory for %zu runs", table->n_rows + 1);
    }
    fill_row(table, row, &view, metadata);
    *added = true;
    return MIX_OK;
}

enum mix_status store_records_fold_runs(const struct store_records *records,
                                        struct mix_table *table, size_t *n_added, size_t *n_alien,
                                        struct mix_error *err)
{
    *n_added = 0;
    *n_alien = 0;
    for (size_t i = 0; i < records->n; i++) {
        const struct store_record *record = &records->record[i];
        if (record->kind != MIX_LOG_RUN)
            continue;
        bool added = false;
        const enum mix_status status =
            mix_store_run_unpack(table, record->body, record->n_body, &added, err);
        if (status == MIX_ENOMEM)
            return status;
        *n_added += added;
        *n_alien += status != MIX_OK;
    }
    if (*n_added == 0)
        return MIX_OK;
    const enum mix_status status = mix_table_finish(table, err);
    return status == MIX_OK ? mix_table_sort(table, err) : status;
}

/* The head of a record of draws and its number of parameters; false where it is not sound. */
static bool view_draw(const struct store_record *record, struct mix_draw_head *head,
                      struct mix_draw_body *body, size_t *n_params)
{
    if (record->kind != MIX_LOG_DRAW || record->n_head != sizeof *head ||
        record->n_body < sizeof *body || (record->n_body - sizeof *body) % sizeof(double) != 0)
        return false;
    memcpy(head, record->head, sizeof *head);
    memcpy(body, record->body, sizeof *body);
    *n_params = (record->n_body - sizeof *body) / sizeof(double);
    return memchr(head->fit, 0, sizeof head->fit) != NULL && head->fit[0] != '\0' &&
           body->draw < DRAWS_MAX;
}

/* Whether a record is a draw of this fit, and one that `like` asks for where there is one: a
 * bootstrap commits what it asks for before its first draw is logged. */
static bool draw_belongs(const struct store_record *record, const struct mix_fit *fit,
                         struct mix_key key, const struct mix_draws *like,
                         struct mix_draw_head *head, struct mix_draw_body *body)
{
    size_t n_params = 0;
    return view_draw(record, head, body, &n_params) && n_params == fit->n_params &&
           strcmp(head->fit, fit->name) == 0 && head->fit_key.hi == key.hi &&
           head->fit_key.lo == key.lo &&
           (like == NULL || (head->seed == like->seed && head->cluster_run == like->cluster_run &&
                             head->bayesian == like->bayesian && body->draw < like->n_draws));
}

/* Draws that take up `base` and have room for `n_draws`. */
static struct mix_draws *copy_draws(const struct mix_fit *fit, const struct mix_draws *base,
                                    size_t n_draws)
{
    struct mix_draws *draws = mix_draws_create(n_draws, fit->n_params);
    if (draws == NULL)
        return NULL;
    memcpy(draws->fit, fit->name, sizeof draws->fit);
    draws->fit_key = mix_fit_key(fit);
    if (base != NULL) {
        draws->seed = base->seed;
        draws->cluster_run = base->cluster_run;
        draws->bayesian = base->bayesian;
        memcpy(draws->objective, base->objective, base->n_draws * sizeof *base->objective);
        memcpy(draws->params, base->params, base->n_draws * base->n_params * sizeof *base->params);
        memcpy(draws->done, base->done, base->n_draws);
    }
    return draws;
}

/* Largest number of a draw that belongs, plus one; *news counts those that `base` lacks. */
static size_t count_draws(const struct store_records *records, const struct mix_fit *fit,
                          struct mix_key key, const struct mix_draws *base, size_t *news)
{
    size_t n_draws = base != NULL ? base->n_draws : 0;
    struct mix_draw_head head;
    struct mix_draw_body body;
    *news = 0;
    for (size_t i = 0; i < records->n; i++) {
        if (!draw_belongs(&records->record[i], fit, key, base, &head, &body))
            continue;
        if (base == NULL || body.draw >= base->n_draws || !base->done[body.draw])
            ++*news;
        if (body.draw >= n_draws)
            n_draws = (size_t)body.draw + 1;
    }
    return n_draws;
}

enum mix_status store_records_merge_draws(const struct store_records *records,
                                          const struct mix_fit *fit, const struct mix_draws *base,
                                          struct mix_draws **out, struct mix_error *err)
{
    const struct mix_key key = mix_fit_key(fit);
    *out = NULL;
    if (base != NULL && (base->n_params != fit->n_params || base->fit_key.hi != key.hi ||
                         base->fit_key.lo != key.lo))
        base = NULL; /* draws of an earlier fit of that name */
    size_t news = 0;
    const size_t n_draws = count_draws(records, fit, key, base, &news);
    if (news == 0)
        return MIX_OK;
    struct mix_draws *draws = copy_draws(fit, base, n_draws);
    if (draws == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for %zu draws of %s", n_draws, fit->name);
    const struct mix_draws *like = base;
    for (size_t i = 0; i < records->n; i++) {
        const struct store_record *record = &records->record[i];
        struct mix_draw_head head;
        struct mix_draw_body body;
        if (!draw_belongs(record, fit, key, like, &head, &body) || draws->done[body.draw])
            continue;
        if (like == NULL) { /* the first record says how all were made */
            draws->seed = head.seed;
            draws->cluster_run = head.cluster_run;
            draws->bayesian = head.bayesian;
            like = draws;
        }
        draws->objective[body.draw] = body.objective;
        memcpy(draws->params + body.draw * draws->n_params, record->body + sizeof body,
               draws->n_params * sizeof(double));
        draws->done[body.draw] = 1;
    }
    *out = draws;
    return MIX_OK;
}

enum mix_status store_records_fits(const struct store_records *records, struct mix_names *names,
                                   struct mix_error *err)
{
    for (size_t i = 0; i < records->n; i++) {
        struct mix_draw_head head;
        struct mix_draw_body body;
        size_t n_params = 0;
        if (!view_draw(&records->record[i], &head, &body, &n_params))
            continue;
        bool known = false;
        for (size_t n = 0; n < names->n && !known; n++)
            known = strcmp(names->name[n], head.fit) == 0;
        if (known)
            continue;
        char(*larger)[MIX_NAME_MAX] = realloc(names->name, (names->n + 1) * sizeof *names->name);
        if (larger == NULL)
            return mix_fail(err, MIX_ENOMEM, "no memory for names");
        names->name = larger;
        memcpy(names->name[names->n++], head.fit, MIX_NAME_MAX);
    }
    return MIX_OK;
}

static enum mix_status keep_record(void *context, enum mix_log_kind kind, const void *head,
                                   size_t n_head, const void *body, size_t n_body,
                                   struct mix_error *err)
{
    struct store_records *records = context;
    if (records->n == records->capacity) {
        const size_t capacity = records->capacity * 2 + 64;
        struct store_record *larger = realloc(records->record, capacity * sizeof *records->record);
        if (larger == NULL)
            return mix_fail(err, MIX_ENOMEM, "no memory for %zu records of logs", capacity);
        records->record = larger;
        records->capacity = capacity;
    }
    uint8_t *copy = malloc(n_head + n_body + 1);
    if (copy == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for the records of the logs");
    memcpy(copy, head, n_head);
    memcpy(copy + n_head, body, n_body);
    records->record[records->n++] = (struct store_record){
        .kind = kind, .n_head = n_head, .n_body = n_body, .head = copy, .body = copy + n_head};
    return MIX_OK;
}

enum mix_status store_records_read(const char *log_dir, struct store_records *out,
                                   struct mix_error *err)
{
    const enum mix_status status = mix_log_read(log_dir, keep_record, out, NULL, err);
    if (status != MIX_OK)
        store_records_clear(out);
    return status;
}

void store_records_clear(struct store_records *records)
{
    for (size_t i = 0; i < records->n; i++)
        free(records->record[i].head);
    free(records->record);
    *records = (struct store_records){0};
}

bool store_records_has(const struct store_records *records, enum mix_log_kind kind)
{
    for (size_t i = 0; i < records->n; i++)
        if (records->record[i].kind == kind)
            return true;
    return false;
}

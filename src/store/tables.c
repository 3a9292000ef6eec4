/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tables.c - the table of runs in the file: /domains, /targets and /runs. */
#include "store/store_impl.h"

#include <stdlib.h>
#include <string.h>

#include "store/h5_columns.h"
#include "store/h5_texts.h"

enum { DIM_ROW, DIM_DOMAIN, DIM_TARGET };
enum { ROWS_MAX = 100 * 1000 * 1000, TARGETS_MAX = 65536 };

#define DOMAIN(member, name, unit, type)                                                           \
    H5_COLUMN(struct mix_table, domains, struct mix_domain, member, name, unit, type, 0)
#define TARGET(member, unit, type)                                                                 \
    H5_COLUMN(struct mix_table, targets, struct mix_target, member, #member, unit, type, 0)
#define RUN(member, unit, type)                                                                    \
    H5_COLUMN(struct mix_table, runs, struct mix_run, member, #member, unit, type, DIM_ROW)
#define MATRIX(member, unit, dim)                                                                  \
    H5_ARRAY(struct mix_table, member, #member, unit, H5_DOUBLE, DIM_ROW, dim)

static const struct h5_field domain_fields[] = {
    DOMAIN(name, "name", NULL, H5_TEXT),
    DOMAIN(prior, "prior", "1", H5_DOUBLE),
    DOMAIN(supply_tokens, "supply_tokens", "tokens", H5_DOUBLE),
    DOMAIN(content, "content", NULL, H5_TEXT),
};

/* What files without a hash of text or files lack. */
static const struct h5_field files_fields[] = {DOMAIN(files, "files", NULL, H5_TEXT)};

static const struct h5_field target_fields[] = {
    TARGET(name, NULL, H5_TEXT),      TARGET(unit, NULL, H5_TEXT),
    TARGET(transform, NULL, H5_TEXT), TARGET(validation, NULL, H5_TEXT),
    TARGET(weight, "1", H5_DOUBLE),   TARGET(direction, NULL, H5_INT32),
    TARGET(domain, NULL, H5_INT32),
};

/* What files without a score lack. */
static const struct h5_field score_fields[] = {TARGET(chance, NULL, H5_DOUBLE)};

static const char SINCE[] = "seconds since 1970-01-01 00:00:00";

static const struct h5_field run_fields[] = {
    RUN(key, NULL, H5_KEY),
    H5_COLUMN(struct mix_table, domains, struct mix_domain, name, "domain", NULL, H5_TEXT,
              DIM_DOMAIN),
    H5_COLUMN(struct mix_table, targets, struct mix_target, name, "target", NULL, H5_TEXT,
              DIM_TARGET),
    RUN(run, NULL, H5_TEXT),
    RUN(mixture_id, NULL, H5_INT32),
    RUN(is_final, NULL, H5_INT32),
    RUN(n_params, "parameters", H5_DOUBLE),
    RUN(n_params_non_embedding, "parameters", H5_DOUBLE),
    RUN(n_params_active, "parameters", H5_DOUBLE),
    RUN(n_tokens, "tokens", H5_DOUBLE),
    RUN(n_tokens_planned, "tokens", H5_DOUBLE),
    RUN(flops, "FLOP", H5_DOUBLE),
    RUN(schedule, NULL, H5_TEXT),
    RUN(recipe, NULL, H5_TEXT),
    RUN(seed, NULL, H5_UINT64),
    RUN(status, NULL, H5_INT32),
    RUN(attempts, NULL, H5_INT32),
    RUN(exit_code, NULL, H5_INT32),
    RUN(rank, NULL, H5_INT32),
    RUN(wall_s, "s", H5_DOUBLE),
    RUN(started, SINCE, H5_DOUBLE),
    RUN(ended, SINCE, H5_DOUBLE),
    RUN(host, NULL, H5_TEXT),
    RUN(excluded, NULL, H5_INT32),
    RUN(reason, NULL, H5_TEXT),
    MATRIX(asked, "1", DIM_DOMAIN),
    MATRIX(mixture, "1", DIM_DOMAIN),
    MATRIX(epochs, "1", DIM_DOMAIN),
    MATRIX(loss, NULL, DIM_TARGET),
    MATRIX(loss_se, NULL, DIM_TARGET),
};

/* What files of before lack: all their runs are of the design. */
static const struct h5_field later_run_fields[] = {RUN(round, NULL, H5_INT32)};

static const struct h5_note target_notes[] = {
    {"direction", "meaning", "-1 lower is better, +1 higher is better"},
    {"domain", "meaning", "index into /domains, -1 = no training domain"},
};
static const struct h5_note score_notes[] = {
    {"chance", "description", "what guessing reaches, of a score; NaN = unknown"},
};

static const struct h5_note run_notes[] = {
    {"status", "meaning", "0 done, 1 failed, 2 interrupted"},
    {"is_final", "meaning", "1 the last checkpoint of its run, 0 an earlier one"},
    {"excluded", "meaning", "1 left out of every fit, 0 not"},
    {"round", "meaning", "0 of the design, n chosen in round n by the runs before it"},
    {"asked", "description", "mixture asked for; mixture is what the run realised"},
    {"attempts", "description", "how often the run was tried"},
    {"metadata", "description", "anything else known of the run, as JSON; empty = nothing"},
    {"loss", "description", "each target in its unit, /targets/unit; NaN = not measured"},
    {"loss_se", "description", "standard error of loss, in the same units; NaN = unknown"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool has_score(const struct mix_table *table)
{
    for (size_t m = 0; m < table->n_targets; m++)
        if (table->targets[m].direction > 0)
            return true;
    return false;
}

static bool has_files(const struct mix_table *table)
{
    for (size_t k = 0; k < table->n_domains; k++)
        if (table->domains[k].files[0] != '\0')
            return true;
    return false;
}

/* /domains and /targets */
static enum mix_status write_names(const struct h5_group *root, const struct mix_table *table,
                                   struct mix_error *err)
{
    const struct h5_dim domains = {"name", table->n_domains, "domain"};
    const struct h5_dim targets = {"name", table->n_targets, "target"};
    struct h5_group group = {.id = -1};
    enum mix_status status = h5_group_create(root, "domains", &group, err);
    if (status == MIX_OK)
        status = h5_write(&group, table, domain_fields, COUNT(domain_fields), &domains, err);
    if (status == MIX_OK && has_files(table))
        status = h5_write(&group, table, files_fields, COUNT(files_fields), &domains, err);
    h5_group_close(&group);
    if (status == MIX_OK)
        status = h5_group_create(root, "targets", &group, err);
    if (status == MIX_OK)
        status = h5_write(&group, table, target_fields, COUNT(target_fields), &targets, err);
    if (status == MIX_OK)
        status = h5_annotate(&group, target_notes, COUNT(target_notes), err);
    if (status == MIX_OK && has_score(table))
        status = h5_write(&group, table, score_fields, COUNT(score_fields), &targets, err);
    if (status == MIX_OK && has_score(table))
        status = h5_annotate(&group, score_notes, COUNT(score_notes), err);
    h5_group_close(&group);
    return status;
}

enum mix_status store_write_table(const struct h5_group *root, const struct mix_table *table,
                                  struct mix_error *err)
{
    const struct h5_dim dims[] = {
        [DIM_ROW] = {"key", table->n_rows, "run"},
        [DIM_DOMAIN] = {"domain", table->n_domains, "domain"},
        [DIM_TARGET] = {"target", table->n_targets, "target"},
    };
    struct h5_group group = {.id = -1};
    enum mix_status status = write_names(root, table, err);
    if (status == MIX_OK)
        status = h5_group_create(root, "runs", &group, err);
    if (status == MIX_OK)
        status = h5_write(&group, table, run_fields, COUNT(run_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write(&group, table, later_run_fields, COUNT(later_run_fields), dims, err);
    if (status == MIX_OK)
        status = h5_write_texts(&group, "metadata", &dims[DIM_ROW], table->metadata, err);
    if (status == MIX_OK)
        status = h5_annotate(&group, run_notes, COUNT(run_notes), err);
    h5_group_close(&group);
    return status;
}

static bool text_ends(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

bool store_run_is_sound(const struct mix_run *run)
{
    return text_ends(run->run, sizeof run->run) && text_ends(run->schedule, sizeof run->schedule) &&
           text_ends(run->recipe, sizeof run->recipe) && text_ends(run->host, sizeof run->host) &&
           text_ends(run->reason, sizeof run->reason) && run->status >= MIX_RUN_DONE &&
           run->status <= MIX_RUN_INTERRUPTED && (run->is_final == 0 || run->is_final == 1) &&
           (run->excluded == 0 || run->excluded == 1) && run->attempts >= 0 && run->round >= 0;
}

static enum mix_status check_range(const struct h5_group *root, const char *column, size_t row,
                                   int64_t value, int64_t min, int64_t max, struct mix_error *err)
{
    if (value >= min && value <= max)
        return MIX_OK;
    return mix_fail(err, MIX_EFORMAT, "%s: %s, row %zu: %lld is not in %lld ... %lld", root->file,
                    column, row, (long long)value, (long long)min, (long long)max);
}

static enum mix_status check_targets(const struct h5_group *root, const struct mix_table *table,
                                     struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t m = 0; m < table->n_targets && status == MIX_OK; m++) {
        const struct mix_target *target = &table->targets[m];
        status = check_range(root, "/targets/domain", m, target->domain, -1,
                             (int64_t)table->n_domains - 1, err);
        if (status == MIX_OK && target->direction != -1)
            status = check_range(root, "/targets/direction", m, target->direction, 1, 1, err);
    }
    return status;
}

/* Numbers that readers of a table take for granted, in rows first ... first + n of n_rows. */
static enum mix_status check_rows(const struct h5_group *root, const struct mix_table *table,
                                  size_t first, size_t n, size_t n_rows, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t i = 0; i < n && status == MIX_OK; i++) {
        const struct mix_run *run = &table->runs[i];
        const size_t r = first + i;
        status = check_range(root, "/runs/status", r, run->status, MIX_RUN_DONE,
                             MIX_RUN_INTERRUPTED, err);
        if (status == MIX_OK)
            status = check_range(root, "/runs/is_final", r, run->is_final, 0, 1, err);
        if (status == MIX_OK)
            status = check_range(root, "/runs/excluded", r, run->excluded, 0, 1, err);
        if (status == MIX_OK)
            status = check_range(root, "/runs/round", r, run->round, 0, INT32_MAX, err);
        if (status == MIX_OK)
            status = check_range(root, "/runs/mixture_id", r, run->mixture_id, 0,
                                 (int64_t)n_rows - 1, err);
        for (size_t k = 0; k < table->n_domains && status == MIX_OK; k++) {
            const double share = table->mixture[i * table->n_domains + k];
            if (!(share >= 0.0 && share <= 1.0 + 1e-9))
                status =
                    mix_fail(err, MIX_EFORMAT, "%s: /runs/mixture, row %zu: %g is not in [0, 1]",
                             root->file, r, share);
        }
    }
    return status;
}

static enum mix_status read_runs(const struct h5_group *root, const struct h5_group *group,
                                 struct mix_table *table, struct mix_error *err)
{
    struct h5_dim dims[] = {
        [DIM_ROW] = {"key", 0, "run"},
        [DIM_DOMAIN] = {"domain", table->n_domains, "domain"},
        [DIM_TARGET] = {"target", table->n_targets, "target"},
    };
    enum mix_status status = h5_extent(group, "key", 0, ROWS_MAX, &dims[DIM_ROW].n, err);
    for (size_t r = 0; r < dims[DIM_ROW].n && status == MIX_OK; r++)
        if (mix_table_append(table) == SIZE_MAX)
            status = mix_fail(err, MIX_ENOMEM, "%s: no memory for %zu runs", root->file,
                              dims[DIM_ROW].n);
    if (status == MIX_OK)
        status = h5_read(group, table, run_fields, COUNT(run_fields), dims, err);
    if (status == MIX_OK && h5_has_any(group, later_run_fields, COUNT(later_run_fields)))
        status = h5_read(group, table, later_run_fields, COUNT(later_run_fields), dims, err);
    if (status == MIX_OK)
        status = h5_read_texts(group, "metadata", &dims[DIM_ROW], table->metadata, err);
    if (status == MIX_OK)
        status = check_targets(root, table, err);
    return status == MIX_OK ? check_rows(root, table, 0, table->n_rows, table->n_rows, err)
                            : status;
}

/* A table without rows, with the domains and targets of the file. */
static enum mix_status read_names(const struct h5_group *root, struct mix_table **out,
                                  struct mix_error *err)
{
    struct h5_group domains = {.id = -1}, targets = {.id = -1};
    struct h5_dim domain = {"name", 0, "domain"}, target = {"name", 0, "target"};
    struct mix_table *table = NULL;
    enum mix_status status = h5_group_open(root, "domains", &domains, err);
    if (status == MIX_OK)
        status = h5_group_open(root, "targets", &targets, err);
    if (status == MIX_OK)
        status = h5_extent(&domains, "name", 1, MIX_DOMAINS_MAX, &domain.n, err);
    if (status == MIX_OK)
        status = h5_extent(&targets, "name", 0, TARGETS_MAX, &target.n, err);
    if (status == MIX_OK && (table = mix_table_create(domain.n, target.n)) == NULL)
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for the table of runs", root->file);
    if (status == MIX_OK)
        status = h5_read(&domains, table, domain_fields, COUNT(domain_fields), &domain, err);
    if (status == MIX_OK && h5_has_any(&domains, files_fields, COUNT(files_fields)))
        status = h5_read(&domains, table, files_fields, COUNT(files_fields), &domain, err);
    if (status == MIX_OK)
        status = h5_read(&targets, table, target_fields, COUNT(target_fields), &target, err);
    if (status == MIX_OK && h5_has_any(&targets, score_fields, COUNT(score_fields)))
        status = h5_read(&targets, table, score_fields, COUNT(score_fields), &target, err);
    h5_group_close(&domains);
    h5_group_close(&targets);
    if (status == MIX_OK)
        *out = table;
    else
        mix_table_destroy(table);
    return status;
}

enum mix_status store_read_table(const struct h5_group *root, struct mix_table **out,
                                 struct mix_error *err)
{
    struct h5_group runs = {.id = -1};
    struct mix_table *table = NULL;
    enum mix_status status = h5_group_open(root, "runs", &runs, err);
    if (status == MIX_OK)
        status = read_names(root, &table, err);
    if (status == MIX_OK)
        status = read_runs(root, &runs, table, err);
    h5_group_close(&runs);
    if (status == MIX_OK)
        *out = table;
    else
        mix_table_destroy(table);
    return status;
}

/* ---- the rows in blocks */

struct store_rows {
    const struct h5_group *root;
    struct h5_group group;
    struct h5_dim dims[3];
    struct h5_columns columns, later;
    struct h5_texts metadata;
    struct mix_table *names; /* of a file that is read */
};

static struct store_rows *make_rows(const struct h5_group *root)
{
    struct store_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return NULL;
    rows->root = root;
    rows->group.id = rows->metadata.dataset = rows->metadata.type = -1;
    return rows;
}

static void set_dims(struct store_rows *rows, const struct mix_table *names, size_t n_rows)
{
    rows->dims[DIM_ROW] = (struct h5_dim){"key", n_rows, "run"};
    rows->dims[DIM_DOMAIN] = (struct h5_dim){"domain", names->n_domains, "domain"};
    rows->dims[DIM_TARGET] = (struct h5_dim){"target", names->n_targets, "target"};
}

void store_rows_close(struct store_rows *rows)
{
    if (rows == NULL)
        return;
    h5_columns_close(&rows->columns);
    h5_columns_close(&rows->later);
    h5_texts_close(&rows->metadata);
    h5_group_close(&rows->group);
    mix_table_destroy(rows->names);
    free(rows);
}

enum mix_status store_rows_create(const struct h5_group *root, const struct mix_table *names,
                                  size_t n_rows, size_t metadata_width, struct store_rows **out,
                                  struct mix_error *err)
{
    struct store_rows *rows = make_rows(root);
    if (rows == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the runs", root->file);
    set_dims(rows, names, n_rows);
    enum mix_status status = write_names(root, names, err);
    if (status == MIX_OK)
        status = h5_group_create(root, "runs", &rows->group, err);
    if (status == MIX_OK)
        status = h5_columns_create(&rows->group, names, run_fields, COUNT(run_fields), rows->dims,
                                   &rows->columns, err);
    if (status == MIX_OK)
        status = h5_columns_create(&rows->group, names, later_run_fields, COUNT(later_run_fields),
                                   rows->dims, &rows->later, err);
    if (status == MIX_OK)
        status = h5_texts_create(&rows->group, "metadata", &rows->dims[DIM_ROW], metadata_width,
                                 &rows->metadata, err);
    if (status == MIX_OK)
        status = h5_annotate(&rows->group, run_notes, COUNT(run_notes), err);
    if (status == MIX_OK)
        *out = rows;
    else
        store_rows_close(rows);
    return status;
}

enum mix_status store_rows_write(struct store_rows *rows, const struct mix_table *block,
                                 size_t first, struct mix_error *err)
{
    enum mix_status status = h5_columns_write(&rows->columns, block, first, block->n_rows, err);
    if (status == MIX_OK)
        status = h5_columns_write(&rows->later, block, first, block->n_rows, err);
    return status == MIX_OK
               ? h5_texts_write(&rows->metadata, block->metadata, first, block->n_rows, err)
               : status;
}

enum mix_status store_rows_open(const struct h5_group *root, struct store_rows **out,
                                struct mix_error *err)
{
    struct store_rows *rows = make_rows(root);
    size_t n_rows = 0;
    if (rows == NULL)
        return mix_fail(err, MIX_ENOMEM, "%s: no memory for the runs", root->file);
    enum mix_status status = h5_group_open(root, "runs", &rows->group, err);
    if (status == MIX_OK)
        status = read_names(root, &rows->names, err);
    if (status == MIX_OK)
        status = check_targets(root, rows->names, err);
    if (status == MIX_OK)
        status = h5_extent(&rows->group, "key", 0, ROWS_MAX, &n_rows, err);
    if (status == MIX_OK) {
        set_dims(rows, rows->names, n_rows);
        status = h5_columns_open(&rows->group, rows->names, run_fields, COUNT(run_fields),
                                 rows->dims, &rows->columns, err);
    }
    if (status == MIX_OK && h5_has_any(&rows->group, later_run_fields, COUNT(later_run_fields)))
        status = h5_columns_open(&rows->group, rows->names, later_run_fields,
                                 COUNT(later_run_fields), rows->dims, &rows->later, err);
    if (status == MIX_OK)
        status =
            h5_texts_open(&rows->group, "metadata", &rows->dims[DIM_ROW], &rows->metadata, err);
    if (status == MIX_OK)
        *out = rows;
    else
        store_rows_close(rows);
    return status;
}

const struct mix_table *store_rows_names(const struct store_rows *rows)
{
    return rows->names;
}

size_t store_rows_count(const struct store_rows *rows)
{
    return rows->dims[DIM_ROW].n;
}

enum mix_status store_rows_read(struct store_rows *rows, struct mix_table *block, size_t first,
                                size_t n, struct mix_error *err)
{
    store_drop_rows(block, 0);
    for (size_t r = 0; r < n; r++)
        if (mix_table_append(block) == SIZE_MAX)
            return mix_fail(err, MIX_ENOMEM, "%s: no memory for %zu runs", rows->root->file, n);
    enum mix_status status = h5_columns_read(&rows->columns, block, first, n, err);
    if (status == MIX_OK)
        status = h5_columns_read(&rows->later, block, first, n, err);
    if (status == MIX_OK)
        status = h5_texts_read(&rows->metadata, block->metadata, first, n, err);
    return status == MIX_OK ? check_rows(rows->root, block, first, n, rows->dims[DIM_ROW].n, err)
                            : status;
}

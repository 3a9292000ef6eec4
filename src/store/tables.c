/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tables.c - the table of runs in the file: /domains, /targets and /runs. */
#include "store/store_impl.h"

#include <stdlib.h>
#include <string.h>

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

static const struct h5_field target_fields[] = {
    TARGET(name, NULL, H5_TEXT),      TARGET(unit, NULL, H5_TEXT),
    TARGET(transform, NULL, H5_TEXT), TARGET(validation, NULL, H5_TEXT),
    TARGET(weight, "1", H5_DOUBLE),   TARGET(direction, NULL, H5_INT32),
    TARGET(domain, NULL, H5_INT32),
};

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

enum mix_status store_write_table(const struct h5_group *root, const struct mix_table *table,
                                  struct mix_error *err)
{
    const struct h5_dim domains = {"name", table->n_domains, "domain"};
    const struct h5_dim targets = {"name", table->n_targets, "target"};
    const struct h5_dim dims[] = {
        [DIM_ROW] = {"key", table->n_rows, "run"},
        [DIM_DOMAIN] = {"domain", table->n_domains, "domain"},
        [DIM_TARGET] = {"target", table->n_targets, "target"},
    };
    struct h5_group group = {.id = -1};
    enum mix_status status = h5_group_create(root, "domains", &group, err);
    if (status == MIX_OK)
        status = h5_write(&group, table, domain_fields, COUNT(domain_fields), &domains, err);
    h5_group_close(&group);
    if (status == MIX_OK)
        status = h5_group_create(root, "targets", &group, err);
    if (status == MIX_OK)
        status = h5_write(&group, table, target_fields, COUNT(target_fields), &targets, err);
    if (status == MIX_OK)
        status = h5_annotate(&group, target_notes, COUNT(target_notes), err);
    h5_group_close(&group);
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

/* Numbers that readers of a table take for granted. */
static enum mix_status check_rows(const struct h5_group *root, const struct mix_table *table,
                                  struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t r = 0; r < table->n_rows && status == MIX_OK; r++) {
        const struct mix_run *run = &table->runs[r];
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
                                 (int64_t)table->n_rows - 1, err);
        for (size_t k = 0; k < table->n_domains && status == MIX_OK; k++) {
            const double share = table->mixture[r * table->n_domains + k];
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
    return status == MIX_OK ? check_rows(root, table, err) : status;
}

enum mix_status store_read_table(const struct h5_group *root, struct mix_table **out,
                                 struct mix_error *err)
{
    struct h5_group domains = {.id = -1}, targets = {.id = -1}, runs = {.id = -1};
    struct h5_dim domain = {"name", 0, "domain"}, target = {"name", 0, "target"};
    struct mix_table *table = NULL;
    enum mix_status status = h5_group_open(root, "runs", &runs, err);
    if (status == MIX_OK)
        status = h5_group_open(root, "domains", &domains, err);
    if (status == MIX_OK)
        status = h5_group_open(root, "targets", &targets, err);
    if (status == MIX_OK)
        status = h5_extent(&domains, "name", 1, MIX_DOMAINS_MAX, &domain.n, err);
    if (status == MIX_OK)
        status = h5_extent(&targets, "name", 0, TARGETS_MAX, &target.n, err);
    if (status != MIX_OK)
        goto out;
    table = mix_table_create(domain.n, target.n);
    if (table == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for the table of runs", root->file);
        goto out;
    }
    status = h5_read(&domains, table, domain_fields, COUNT(domain_fields), &domain, err);
    if (status == MIX_OK)
        status = h5_read(&targets, table, target_fields, COUNT(target_fields), &target, err);
    if (status == MIX_OK)
        status = read_runs(root, &runs, table, err);
    if (status == MIX_OK) {
        *out = table;
        table = NULL;
    }
out:
    mix_table_destroy(table);
    h5_group_close(&domains);
    h5_group_close(&targets);
    h5_group_close(&runs);
    return status;
}

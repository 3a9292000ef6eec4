/* SPDX-License-Identifier: GPL-3.0-or-later */
/* merge.c - more rows for a table that is there; see mix_table_merge() in table.h. */
#include "mixsweep/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum mix_status no_memory(size_t n_rows, struct mix_error *err)
{
    (void)mix_fail(err, MIX_ENOMEM, "not enough memory to add %zu runs.", n_rows);
    return MIX_ENOMEM;
}

/* Row of `add` under its key, or of the table it joins. */
struct keyed {
    struct mix_key key;
    size_t row;
};

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    if (a->key.hi != b->key.hi)
        return a->key.hi < b->key.hi ? -1 : 1;
    return a->key.lo < b->key.lo ? -1 : a->key.lo > b->key.lo;
}

static enum mix_status match_domains(const struct mix_table *table, const struct mix_table *add,
                                     size_t *domain, struct mix_error *err)
{
    for (size_t k = 0; k < add->n_domains; k++)
        if (mix_table_domain(table, add->domains[k].name) < 0)
            return mix_fail(err, MIX_EINVAL,
                            "the file has no domain \"%s\"; rows can be added with the same "
                            "domains only.",
                            add->domains[k].name);
    for (size_t k = 0; k < table->n_domains; k++) {
        const int index = mix_table_domain(add, table->domains[k].name);
        if (index < 0)
            return mix_fail(err, MIX_EINVAL,
                            "the new rows have no domain \"%s\", which the file has.",
                            table->domains[k].name);
        domain[k] = (size_t)index;
    }
    return MIX_OK;
}

static enum mix_status match_targets(const struct mix_table *table, const struct mix_table *add,
                                     size_t *target, struct mix_error *err)
{
    for (size_t m = 0; m < add->n_targets; m++)
        if (mix_table_target(table, add->targets[m].name) < 0)
            return mix_fail(err, MIX_EINVAL,
                            "the file has no target \"%s\"; rows can be added with the same "
                            "targets only.",
                            add->targets[m].name);
    for (size_t m = 0; m < table->n_targets; m++) {
        const int index = mix_table_target(add, table->targets[m].name);
        if (index < 0)
            return mix_fail(err, MIX_EINVAL,
                            "the new rows have no target \"%s\", which the file has.",
                            table->targets[m].name);
        const struct mix_target *old = &table->targets[m], *new = &add->targets[index];
        if (strcmp(old->unit, new->unit) != 0 || old->direction != new->direction)
            return mix_fail(err, MIX_EINVAL,
                            "target \"%s\" is in %s (%s is better) in the file and in %s (%s is "
                            "better) in the new rows.",
                            old->name, old->unit, old->direction < 0 ? "lower" : "higher",
                            new->unit, new->direction < 0 ? "lower" : "higher");
        target[m] = (size_t)index;
    }
    return MIX_OK;
}

/* Append row `from` of `add` with its vectors in the order of `table`. */
static enum mix_status append_row(struct mix_table *table, const struct mix_table *add, size_t from,
                                  const size_t *domain, const size_t *target, struct mix_error *err)
{
    char *metadata = add->metadata[from] != NULL ? strdup(add->metadata[from]) : NULL;
    const size_t row = mix_table_append(table);
    if (row == SIZE_MAX || (metadata == NULL && add->metadata[from] != NULL)) {
        free(metadata);
        return no_memory(add->n_rows, err);
    }
    table->metadata[row] = metadata;
    table->runs[row] = add->runs[from];
    for (size_t k = 0; k < table->n_domains; k++) {
        const size_t to = row * table->n_domains + k, at = from * add->n_domains + domain[k];
        table->asked[to] = add->asked[at];
        table->mixture[to] = add->mixture[at];
        table->epochs[to] = add->epochs[at];
    }
    for (size_t m = 0; m < table->n_targets; m++) {
        const size_t to = row * table->n_targets + m, at = from * add->n_targets + target[m];
        table->loss[to] = add->loss[at];
        table->loss_se[to] = add->loss_se[at];
    }
    return MIX_OK;
}

/* The rows of `add` with domains and targets in the order of `table`, so that keys compare. */
static enum mix_status align(const struct mix_table *table, const struct mix_table *add,
                             struct mix_table **out, struct mix_error *err)
{
    struct mix_table *aligned = mix_table_create(table->n_domains, table->n_targets);
    size_t *domain = calloc(table->n_domains + 1, sizeof *domain);
    size_t *target = calloc(table->n_targets + 1, sizeof *target);
    enum mix_status status = MIX_OK;
    if (aligned == NULL || domain == NULL || target == NULL)
        status = no_memory(add->n_rows, err);
    if (status == MIX_OK)
        status = match_domains(table, add, domain, err);
    if (status == MIX_OK)
        status = match_targets(table, add, target, err);
    for (size_t r = 0; r < add->n_rows && status == MIX_OK; r++)
        status = append_row(aligned, add, r, domain, target, err);
    if (status == MIX_OK)
        status = mix_table_finish(aligned, err);
    free(target);
    free(domain);
    if (status != MIX_OK) {
        mix_table_destroy(aligned);
        return status;
    }
    *out = aligned;
    return MIX_OK;
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static enum mix_status compare_losses(const struct mix_table *table, size_t old_row,
                                      const struct mix_table *aligned, size_t new_row,
                                      struct mix_error *err)
{
    for (size_t m = 0; m < table->n_targets; m++) {
        const size_t a = old_row * table->n_targets + m, b = new_row * table->n_targets + m;
        if (!same_number(table->loss[a], aligned->loss[b]) ||
            !same_number(table->loss_se[a], aligned->loss_se[b]))
            return mix_fail(err, MIX_EINVAL,
                            "run \"%s\" (n_params %.10g, n_tokens %.10g) is in the file with loss "
                            "%.10g of %s, and the new row has %.10g.",
                            table->runs[old_row].run, table->runs[old_row].n_params,
                            table->runs[old_row].n_tokens, table->loss[a], table->targets[m].name,
                            aligned->loss[b]);
    }
    return MIX_OK;
}

/* Set fresh[r] = 1 for the rows of `aligned` that the table does not have. */
static enum mix_status find_fresh(const struct mix_table *table, const struct mix_table *aligned,
                                  uint8_t *fresh, struct mix_error *err)
{
    struct keyed *known = calloc(table->n_rows + 1, sizeof *known);
    if (known == NULL)
        return no_memory(aligned->n_rows, err);
    for (size_t r = 0; r < table->n_rows; r++)
        known[r] = (struct keyed){table->runs[r].key, r};
    qsort(known, table->n_rows, sizeof *known, compare_keyed);
    enum mix_status status = MIX_OK;
    for (size_t r = 0; r < aligned->n_rows && status == MIX_OK; r++) {
        const struct keyed wanted = {aligned->runs[r].key, r};
        const struct keyed *found =
            bsearch(&wanted, known, table->n_rows, sizeof *known, compare_keyed);
        fresh[r] = found == NULL;
        if (found != NULL)
            status = compare_losses(table, found->row, aligned, r, err);
    }
    free(known);
    return status;
}

enum mix_status mix_table_merge(struct mix_table *table, const struct mix_table *add,
                                size_t *n_same, struct mix_error *err)
{
    struct mix_table *aligned = NULL;
    enum mix_status status = align(table, add, &aligned, err);
    if (status != MIX_OK)
        return status;
    const size_t widest = table->n_domains > table->n_targets ? table->n_domains : table->n_targets;
    uint8_t *fresh = calloc(aligned->n_rows + 1, sizeof *fresh);
    size_t *identity = calloc(widest + 1, sizeof *identity);
    if (fresh == NULL || identity == NULL)
        status = no_memory(add->n_rows, err);
    for (size_t i = 0; status == MIX_OK && i < widest; i++)
        identity[i] = i;
    if (status == MIX_OK)
        status = find_fresh(table, aligned, fresh, err);
    size_t n_skipped = 0;
    for (size_t r = 0; r < aligned->n_rows && status == MIX_OK; r++) {
        if (fresh[r])
            status = append_row(table, aligned, r, identity, identity, err);
        n_skipped += !fresh[r];
    }
    if (status == MIX_OK)
        status = mix_table_finish(table, err);
    if (status == MIX_OK && n_same != NULL)
        *n_same = n_skipped;
    free(identity);
    free(fresh);
    mix_table_destroy(aligned);
    return status;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* merge.c - more rows for a table that is there; see mix_table_merge() in table.h. */
#include "mixsweep/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

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

/* Unknown content is taken to be the same. */
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
        const char *old = table->domains[k].content, *new = add->domains[index].content;
        if (old[0] != '\0' && new[0] != '\0' && strcmp(old, new) != 0)
            return mix_fail(
                err, MIX_EINVAL,
                "the content of domain \"%s\" is %s in the file and %s in the new rows: "
                "mixsweep domains revise makes a file of what is still valid.",
                table->domains[k].name, old, new);
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

bool mix_runs_supersedes(const struct mix_run *later, const struct mix_run *earlier)
{
    if (earlier->status == MIX_RUN_DONE || later->status == MIX_RUN_DONE)
        return earlier->status != MIX_RUN_DONE;
    if (later->attempts != earlier->attempts)
        return later->attempts > earlier->attempts;
    if (later->status != earlier->status) /* interrupted, begun again, failed */
        return later->status == MIX_RUN_FAILED;
    return later->ended > earlier->ended;
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* What differs between two done rows of one key; false where their losses are equal. */
static bool find_conflict(const struct mix_table *table, size_t old_row,
                          const struct mix_table *aligned, size_t new_row, struct mix_error *err)
{
    const struct mix_run *run = &table->runs[old_row];
    if (run->status != MIX_RUN_DONE || aligned->runs[new_row].status != MIX_RUN_DONE)
        return false;
    for (size_t m = 0; m < table->n_targets; m++) {
        const size_t a = old_row * table->n_targets + m, b = new_row * table->n_targets + m;
        if (same_number(table->loss[a], aligned->loss[b]) &&
            same_number(table->loss_se[a], aligned->loss_se[b]))
            continue;
        (void)mix_fail(err, MIX_EINVAL,
                       "run \"%s\" (n_params %.10g, n_tokens %.10g) is in the file with loss %.10g "
                       "of %s, and the new row has %.10g",
                       run->run, run->n_params, run->n_tokens, table->loss[a],
                       table->targets[m].name, aligned->loss[b]);
        return true;
    }
    return false;
}

/* Rows of the table in the order of their keys; NULL when memory is out. */
static struct keyed *order_keys(const struct mix_table *table)
{
    struct keyed *keyed = calloc(table->n_rows + 1, sizeof *keyed);
    if (keyed == NULL)
        return NULL;
    for (size_t r = 0; r < table->n_rows; r++)
        keyed[r] = (struct keyed){table->runs[r].key, r};
    qsort(keyed, table->n_rows, sizeof *keyed, compare_keyed);
    return keyed;
}

/* Set old[r] to the row of the table that has the key of row r of `aligned`, or SIZE_MAX. */
static enum mix_status find_known(const struct mix_table *table, const struct mix_table *aligned,
                                  size_t *old, struct mix_error *err)
{
    struct keyed *known = order_keys(table);
    struct mix_error first = {.text = ""};
    size_t n_conflicts = 0;
    if (known == NULL)
        return no_memory(aligned->n_rows, err);
    for (size_t r = 0; r < aligned->n_rows; r++) {
        const struct keyed wanted = {aligned->runs[r].key, r};
        const struct keyed *found =
            bsearch(&wanted, known, table->n_rows, sizeof *known, compare_keyed);
        old[r] = found != NULL ? found->row : SIZE_MAX;
        if (found != NULL)
            n_conflicts +=
                find_conflict(table, found->row, aligned, r, n_conflicts == 0 ? &first : NULL);
    }
    free(known);
    if (n_conflicts > 1)
        return mix_fail(err, MIX_EINVAL, "%s; so do %zu more rows.", first.text, n_conflicts - 1);
    return n_conflicts == 1 ? mix_fail(err, MIX_EINVAL, "%s.", first.text) : MIX_OK;
}

/* A row that the table has: a better attempt takes its place, an exclusion is kept. */
static void settle(struct mix_table *table, size_t old, size_t new, size_t *n_skipped)
{
    struct mix_run *run = &table->runs[old], before = *run;
    const struct mix_run *other = &table->runs[new];
    if (mix_runs_supersedes(other, run)) {
        free(table->metadata[old]);
        mix_runs_move(table, old, new);
        other = &before;
    } else {
        free(table->metadata[new]);
        ++*n_skipped;
    }
    if (other->excluded && !run->excluded) {
        run->excluded = 1;
        memcpy(run->reason, other->reason, sizeof run->reason);
    }
}

enum mix_status mix_table_merge(struct mix_table *table, const struct mix_table *add,
                                size_t *n_same, struct mix_error *err)
{
    struct mix_table *aligned = NULL;
    enum mix_status status = align(table, add, &aligned, err);
    if (status != MIX_OK)
        return status;
    const size_t widest = table->n_domains > table->n_targets ? table->n_domains : table->n_targets;
    size_t *old = calloc(aligned->n_rows + 1, sizeof *old);
    size_t *identity = calloc(widest + 1, sizeof *identity);
    if (old == NULL || identity == NULL)
        status = no_memory(add->n_rows, err);
    for (size_t i = 0; status == MIX_OK && i < widest; i++)
        identity[i] = i;
    if (status == MIX_OK)
        status = find_known(table, aligned, old, err);
    size_t n_skipped = 0;
    for (size_t r = 0; r < aligned->n_rows && status == MIX_OK; r++) {
        status = append_row(table, aligned, r, identity, identity, err);
        if (status == MIX_OK && old[r] != SIZE_MAX)
            settle(table, old[r], --table->n_rows, &n_skipped);
    }
    if (status == MIX_OK)
        status = mix_table_finish(table, err);
    if (status == MIX_OK && n_same != NULL)
        *n_same = n_skipped;
    free(identity);
    free(old);
    mix_table_destroy(aligned);
    return status;
}

/* ---- runs by what people call them */

static bool read_key(const char *text, struct mix_key *key)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t word[2] = {0, 0};
    if (strlen(text) != 32 || strspn(text, digits) != 32)
        return false;
    for (int i = 0; i < 32; i++)
        word[i / 16] = word[i / 16] << 4 | (uint64_t)(strchr(digits, text[i]) - digits);
    *key = (struct mix_key){.hi = word[0], .lo = word[1]};
    return true;
}

/* The first row of another run of that name than that of row `first`, or the number of rows. */
static size_t find_other(const struct mix_table *table, const char *name, size_t first)
{
    size_t r = first + 1;
    while (r < table->n_rows && (strcmp(table->runs[r].run, name) != 0 ||
                                 mix_runs_same(&table->runs[r], &table->runs[first])))
        r++;
    return r;
}

enum mix_status mix_table_find_run(const struct mix_table *table, const char *text, uint8_t *found,
                                   struct mix_error *err)
{
    struct mix_key key;
    const bool is_key = read_key(text, &key);
    size_t first = 0, other = table->n_rows;
    while (
        first < table->n_rows &&
        !(is_key && table->runs[first].key.hi == key.hi && table->runs[first].key.lo == key.lo) &&
        (strcmp(table->runs[first].run, text) != 0 || text[0] == '\0'))
        first++;
    if (first == table->n_rows)
        return mix_fail(err, MIX_ENOTFOUND, "there is no run \"%.80s\"", text);
    const struct mix_run *run = &table->runs[first];
    if (strcmp(run->run, text) == 0)
        other = find_other(table, text, first);
    if (other < table->n_rows) {
        const struct mix_run *twin = &table->runs[other];
        return mix_fail(err, MIX_EINVAL,
                        "\"%.80s\" is the name of several runs, as %016llx%016llx (n_params %.10g) "
                        "and %016llx%016llx (n_params %.10g): give such a key",
                        text, (unsigned long long)run->key.hi, (unsigned long long)run->key.lo,
                        run->n_params, (unsigned long long)twin->key.hi,
                        (unsigned long long)twin->key.lo, twin->n_params);
    }
    for (size_t r = 0; r < table->n_rows; r++)
        found[r] = r == first || mix_runs_same(&table->runs[r], run);
    return MIX_OK;
}

/* A row as it was stored when its run was chosen. */
static void begin_anew(struct mix_table *table, size_t row)
{
    struct mix_run *run = &table->runs[row];
    run->status = MIX_RUN_INTERRUPTED;
    run->attempts = run->exit_code = run->rank = 0;
    run->wall_s = run->started = run->ended = NAN;
    memset(run->host, 0, sizeof run->host);
    memset(run->reason, 0, sizeof run->reason);
    for (size_t m = 0; m < table->n_targets; m++)
        table->loss[row * table->n_targets + m] = table->loss_se[row * table->n_targets + m] = NAN;
    free(table->metadata[row]);
    table->metadata[row] = NULL;
}

void mix_table_forget(struct mix_table *table, uint8_t *keep)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (!keep[r] && table->runs[r].round > 0 && table->runs[r].is_final) {
            begin_anew(table, r);
            keep[r] = 1;
        }
    mix_runs_drop(table, keep);
}

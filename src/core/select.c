/* SPDX-License-Identifier: GPL-3.0-or-later */
/* select.c - which rows and targets of a table a fit sees; see table.h. */
#include "mixsweep/table.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

static const double EQUAL_TOLERANCE = 1e-9; /* relative */

/* 7B is read as 7e9 would be, to the last bit. */
bool mix_number_read(const char *text, double *value)
{
    enum { LONGEST = 64 };
    static const char suffixes[] = "KMBT";
    char plain[LONGEST + 4], *end = NULL;
    size_t n = 0;
    for (; *text != '\0' && n < LONGEST && strchr(suffixes, *text) == NULL; text++) {
        if (*text == '_' && n > 0 && isdigit((unsigned char)text[-1]) &&
            isdigit((unsigned char)text[1]))
            continue;
        if (strchr("0123456789+-.eE", *text) == NULL)
            return false;
        plain[n++] = *text;
    }
    plain[n] = '\0';
    const char *suffix = strchr(suffixes, *text); /* its end where there is none */
    if (n == 0 || suffix == NULL)
        return false;
    if (*suffix != '\0') {
        if (text[1] != '\0' || strpbrk(plain, "eE") != NULL)
            return false;
        snprintf(plain + n, sizeof plain - n, "e%d", 3 * (int)(suffix - suffixes + 1));
    }
    const double number = strtod(plain, &end);
    if (*end != '\0' || !isfinite(number))
        return false;
    *value = number;
    return true;
}

enum column {
    COLUMN_RUN,
    COLUMN_N_PARAMS,
    COLUMN_N_TOKENS,
    COLUMN_SEED,
    COLUMN_ROUND,
    COLUMN_DOMAIN
};
enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

static const struct {
    const char *text;
    enum op op;
} operators[] = {
    /* the longer ones first */
    {"<=", OP_LE}, {">=", OP_GE}, {"!=", OP_NE}, {"==", OP_EQ},
    {"=", OP_EQ},  {"<", OP_LT},  {">", OP_GT},
};

/* One condition of a `where`. */
struct term {
    enum column column;
    enum op op;
    int domain;              /* COLUMN_DOMAIN */
    char text[MIX_TEXT_MAX]; /* COLUMN_RUN */
    double number;
};

/* Copy [begin, end) without the blanks around it. */
static void copy_trimmed(char *to, size_t size, const char *begin, const char *end)
{
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    (void)snprintf(to, size, "%.*s", (int)(end - begin), begin);
}

static bool find_column(const struct mix_table *table, const char *name, struct term *term)
{
    static const struct {
        const char *name;
        enum column column;
    } columns[] = {{"run", COLUMN_RUN},
                   {"n_params", COLUMN_N_PARAMS},
                   {"n_tokens", COLUMN_N_TOKENS},
                   {"seed", COLUMN_SEED},
                   {"round", COLUMN_ROUND}};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        if (strcmp(columns[i].name, name) == 0) {
            term->column = columns[i].column;
            return true;
        }
    term->column = COLUMN_DOMAIN;
    term->domain = strncmp(name, "h_", 2) == 0 ? mix_table_domain(table, name + 2) : -1;
    return term->domain >= 0;
}

/* Parse the term [begin, end) of `where`. */
static enum mix_status parse_term(const struct mix_table *table, const char *begin, const char *end,
                                  struct term *term, struct mix_error *err)
{
    char whole[MIX_TEXT_MAX], name[MIX_TEXT_MAX];
    copy_trimmed(whole, sizeof whole, begin, end);
    const size_t at = strcspn(whole, "=!<>");
    size_t length = 0;
    for (size_t i = 0; i < sizeof operators / sizeof operators[0] && length == 0; i++)
        if (strncmp(whole + at, operators[i].text, strlen(operators[i].text)) == 0) {
            length = strlen(operators[i].text);
            term->op = operators[i].op;
        }
    copy_trimmed(name, sizeof name, whole, whole + at);
    if (length == 0 || name[0] == '\0')
        return mix_fail(err, MIX_EUSAGE,
                        "--where: \"%.80s\" is not COLUMN OP VALUE with OP one of = != < <= > >=.",
                        whole);
    if (!find_column(table, name, term))
        return mix_fail(
            err, MIX_EUSAGE,
            "--where: there is no column \"%.80s\"; allowed are run, n_params, n_tokens, "
            "seed, round and h_DOMAIN%s%s.",
            name, table->n_domains > 0 ? ", for example h_" : "",
            table->n_domains > 0 ? table->domains[0].name : "");
    copy_trimmed(term->text, sizeof term->text, whole + at + length, whole + strlen(whole));
    if (term->column == COLUMN_RUN) {
        if (term->op != OP_EQ && term->op != OP_NE)
            return mix_fail(err, MIX_EUSAGE,
                            "--where: \"%.80s\": run can only be compared by = or !=.", whole);
    } else if (!mix_number_read(term->text, &term->number)) {
        return mix_fail(err, MIX_EUSAGE, "--where: \"%.80s\": \"%.80s\" is not a finite number.",
                        whole, term->text);
    }
    return MIX_OK;
}

static bool compare_numbers(double value, enum op op, double number, double tolerance)
{
    const bool equal =
        value == number || fabs(value - number) <= tolerance * fmax(fabs(value), fabs(number));
    switch (op) {
    case OP_EQ:
        return equal;
    case OP_NE:
        return !equal;
    case OP_LT:
        return !equal && value < number;
    case OP_LE:
        return equal || value < number;
    case OP_GT:
        return !equal && value > number;
    case OP_GE:
        return equal || value > number;
    }
    return false;
}

static bool term_holds(const struct mix_table *table, size_t row, const struct term *term)
{
    const struct mix_run *run = &table->runs[row];
    switch (term->column) {
    case COLUMN_RUN:
        return (strcmp(run->run, term->text) == 0) == (term->op == OP_EQ);
    case COLUMN_N_PARAMS:
        return compare_numbers(run->n_params, term->op, term->number, EQUAL_TOLERANCE);
    case COLUMN_N_TOKENS:
        return compare_numbers(run->n_tokens, term->op, term->number, EQUAL_TOLERANCE);
    case COLUMN_SEED: /* neighbouring large seeds are different */
        return compare_numbers((double)run->seed, term->op, term->number, 0.0);
    case COLUMN_ROUND:
        return compare_numbers((double)run->round, term->op, term->number, 0.0);
    case COLUMN_DOMAIN:
        return compare_numbers(table->mixture[row * table->n_domains + (size_t)term->domain],
                               term->op, term->number, EQUAL_TOLERANCE);
    }
    return false;
}

/* Clear pass[r] of the n rows from `first` on where a term does not hold. */
static enum mix_status filter_rows(const struct mix_table *table, const char *where, size_t first,
                                   size_t n, uint8_t *pass, struct mix_error *err)
{
    if (where[strspn(where, " \t")] == '\0')
        return MIX_OK;
    for (const char *begin = where;;) {
        const char *end = begin + strcspn(begin, ",");
        struct term term;
        const enum mix_status status = parse_term(table, begin, end, &term, err);
        if (status != MIX_OK)
            return status;
        for (size_t i = 0; i < n; i++)
            pass[i] = pass[i] && term_holds(table, first + i, &term);
        if (*end == '\0')
            return MIX_OK;
        begin = end + 1;
    }
}

enum mix_status mix_runs_where(const struct mix_table *table, const char *where, uint8_t *keep,
                               struct mix_error *err)
{
    return filter_rows(table, where, 0, table->n_rows, keep, err);
}

enum mix_status mix_table_where(const struct mix_table *table, const char *where, size_t row,
                                bool *pass, struct mix_error *err)
{
    uint8_t holds = 1;
    const enum mix_status status = filter_rows(table, where, row, 1, &holds, err);
    if (status == MIX_OK)
        *pass = holds != 0;
    return status;
}

static enum mix_status add_target(const struct mix_table *table, const char *name,
                                  struct mix_data *data, struct mix_error *err)
{
    const int target = mix_table_target(table, name);
    if (target < 0) {
        char list[MIX_TEXT_MAX] = "";
        for (size_t m = 0, n = 0; m < table->n_targets && n + MIX_NAME_MAX + 2 < sizeof list; m++)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", m > 0 ? ", " : "",
                                  table->targets[m].name);
        return mix_fail(err, MIX_EUSAGE,
                        "--targets: there is no target \"%.80s\"; the table has %s.", name, list);
    }
    for (size_t m = 0; m < data->n_targets; m++)
        if (data->target[m] == (size_t)target)
            return mix_fail(err, MIX_EUSAGE, "--targets: \"%.80s\" is named twice.", name);
    data->target[data->n_targets++] = (size_t)target;
    return MIX_OK;
}

static bool is_measured(const struct mix_table *table, size_t m)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (isfinite(table->loss[r * table->n_targets + m]))
            return true;
    return false;
}

/* Fill data->target (room for all) by "domains", "all" or names; empty means domains. A target that
 * no run measured is taken by name only. */
static enum mix_status select_targets(const struct mix_table *table, const char *targets,
                                      struct mix_data *data, struct mix_error *err)
{
    const bool all = strcmp(targets, "all") == 0;
    if (all || targets[0] == '\0' || strcmp(targets, "domains") == 0) {
        for (size_t m = 0; m < table->n_targets; m++)
            if ((all || table->targets[m].domain >= 0) && is_measured(table, m))
                data->target[data->n_targets++] = m;
        if (data->n_targets == 0 && table->n_targets > 0)
            return mix_fail(
                err, MIX_EINVAL,
                all ? "--targets all: none of %zu targets has a measured loss."
                    : "--targets domains: no measured target has the name of a training "
                      "domain; --targets all takes all of %zu that are measured.",
                table->n_targets);
        return MIX_OK;
    }
    for (const char *begin = targets;;) {
        const char *end = begin + strcspn(begin, ",");
        char name[MIX_TEXT_MAX];
        copy_trimmed(name, sizeof name, begin, end);
        const enum mix_status status = add_target(table, name, data, err);
        if (status != MIX_OK || *end == '\0')
            return status;
        begin = end + 1;
    }
}

static const char *const checkpoints_names[MIX_N_CHECKPOINTS] = {[MIX_CHECKPOINTS_LAST] = "last",
                                                                 [MIX_CHECKPOINTS_ALL] = "all",
                                                                 [MIX_CHECKPOINTS_LATE] = "late"};

const char *mix_checkpoints_name(enum mix_checkpoints which)
{
    return checkpoints_names[which];
}

bool mix_checkpoints_read(const char *text, enum mix_checkpoints *which)
{
    for (size_t i = 0; i < MIX_N_CHECKPOINTS; i++)
        if (strcmp(text, checkpoints_names[i]) == 0) {
            *which = (enum mix_checkpoints)i;
            return true;
        }
    return false;
}

/* Set keep[r] by status, `where` and checkpoints; at least one row stays. */
static enum mix_status select_rows(const struct mix_table *table,
                                   const struct mix_selection *selection, uint8_t *keep,
                                   size_t *n_rows, struct mix_error *err)
{
    size_t n_usable = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        keep[r] = table->runs[r].status == MIX_RUN_DONE && !table->runs[r].excluded;
        n_usable += keep[r];
    }
    enum mix_status status = mix_runs_where(table, selection->where, keep, err);
    if (status == MIX_OK && selection->checkpoints == MIX_CHECKPOINTS_LAST)
        status = mix_runs_keep_last(table, keep, err);
    else if (status == MIX_OK && selection->checkpoints == MIX_CHECKPOINTS_LATE)
        status = mix_runs_keep_late(table, MIX_LATE_PART, keep, err);
    if (status != MIX_OK)
        return status;
    *n_rows = 0;
    for (size_t r = 0; r < table->n_rows; r++)
        *n_rows += keep[r];
    if (*n_rows > 0)
        return MIX_OK;
    if (n_usable == 0)
        return mix_fail(err, MIX_EINVAL, "no run can be used: of %zu, all failed or are excluded.",
                        table->n_rows);
    double n_lo = INFINITY, n_hi = 0.0, d_lo = INFINITY, d_hi = 0.0;
    for (size_t r = 0; r < table->n_rows; r++) {
        n_lo = fmin(n_lo, table->runs[r].n_params);
        n_hi = fmax(n_hi, table->runs[r].n_params);
        d_lo = fmin(d_lo, table->runs[r].n_tokens);
        d_hi = fmax(d_hi, table->runs[r].n_tokens);
    }
    return mix_fail(err, MIX_EINVAL,
                    "--where \"%s\" leaves none of %zu runs; they have n_params %.10g to %.10g and "
                    "n_tokens %.10g to %.10g.",
                    selection->where, n_usable, n_lo, n_hi, d_lo, d_hi);
}

static struct mix_data *create_data(size_t n_rows, size_t n_domains, size_t n_targets)
{
    struct mix_data *data = calloc(1, sizeof *data);
    if (data == NULL)
        return NULL;
    data->n_rows = n_rows;
    data->n_domains = n_domains;
    data->row = calloc(n_rows + 1, sizeof *data->row);
    data->early = calloc(n_rows + 1, sizeof *data->early);
    data->target = calloc(n_targets + 1, sizeof *data->target);
    data->target_domain = calloc(n_targets + 1, sizeof *data->target_domain);
    data->size = calloc(n_targets + 1, sizeof *data->size);
    data->mixture = calloc(n_rows * n_domains + 1, sizeof *data->mixture);
    data->n_params = calloc(n_rows + 1, sizeof *data->n_params);
    data->n_tokens = calloc(n_rows + 1, sizeof *data->n_tokens);
    data->unique = calloc(n_rows * n_domains + 1, sizeof *data->unique);
    data->loss = calloc(n_rows * n_targets + 1, sizeof *data->loss);
    data->weight = calloc(n_rows * n_targets + 1, sizeof *data->weight);
    data->cluster = calloc(n_rows + 1, sizeof *data->cluster);
    if (data->row == NULL || data->early == NULL || data->target == NULL ||
        data->target_domain == NULL || data->mixture == NULL || data->n_params == NULL ||
        data->n_tokens == NULL || data->unique == NULL || data->loss == NULL ||
        data->weight == NULL || data->cluster == NULL || data->size == NULL) {
        mix_data_destroy(data);
        return NULL;
    }
    return data;
}

void mix_data_destroy(struct mix_data *data)
{
    if (data == NULL)
        return;
    free(data->cluster);
    free(data->weight);
    free(data->loss);
    free(data->unique);
    free(data->n_tokens);
    free(data->n_params);
    free(data->mixture);
    free(data->size);
    free(data->target_domain);
    free(data->target);
    free(data->early);
    free(data->row);
    free(data);
}

double mix_table_unique(const struct mix_table *table, size_t row, size_t domain)
{
    const size_t at = row * table->n_domains + domain;
    const double seen = table->mixture[at] * table->runs[row].n_tokens;
    if (table->epochs[at] > 0.0 && seen > 0.0)
        return seen / table->epochs[at];
    const double supply = table->domains[domain].supply_tokens;
    return isnan(supply) ? INFINITY : supply;
}

static void fill_row(const struct mix_table *table, size_t row, double mask_below,
                     struct mix_data *data, size_t r)
{
    const size_t n_domains = data->n_domains, n_targets = data->n_targets;
    const double *mixture = table->mixture + row * n_domains;
    data->row[r] = row;
    data->n_params[r] = table->runs[row].n_params / 1e6;
    data->n_tokens[r] = table->runs[row].n_tokens / 1e9;
    data->n_intermediate += table->runs[row].is_final == 0;
    if (n_domains > 0)
        memcpy(data->mixture + r * n_domains, mixture, n_domains * sizeof *mixture);
    for (size_t j = 0; j < n_domains; j++)
        data->unique[r * n_domains + j] = mix_table_unique(table, row, j) / 1e9;
    for (size_t m = 0; m < n_targets; m++) {
        const double loss = table->loss[row * table->n_targets + data->target[m]];
        const int domain = data->target_domain[m];
        const bool masked = domain >= 0 && mixture[domain] < mask_below;
        data->loss[r * n_targets + m] = loss;
        data->weight[r * n_targets + m] = isnan(loss) || masked ? 0.0 : 1.0;
    }
}

/* Scores go behind the losses, each in their order. */
static void sort_scores(const struct mix_table *table, struct mix_data *data)
{
    for (size_t i = 0, n_losses = 0; i < data->n_targets; i++) {
        const size_t target = data->target[i];
        if (table->targets[target].direction > 0)
            continue;
        memmove(data->target + n_losses + 1, data->target + n_losses,
                (i - n_losses) * sizeof *data->target);
        data->target[n_losses++] = target;
        data->n_scores = data->n_targets - n_losses;
    }
    if (data->n_targets > 0 && table->targets[data->target[0]].direction > 0)
        data->n_scores = data->n_targets;
}

/* Mean of the losses in the unit of target m. */
static double mean_in_unit(const struct mix_table *table, const struct mix_data *data, size_t m)
{
    const char *unit = table->targets[data->target[m]].unit;
    const size_t n_losses = data->n_targets - data->n_scores;
    double sum = 0.0, n = 0.0;
    for (size_t e = 0; e < data->n_rows * data->n_targets; e++)
        if (data->weight[e] > 0.0 && e % data->n_targets < n_losses &&
            strcmp(table->targets[data->target[e % data->n_targets]].unit, unit) == 0) {
            sum += fabs(data->loss[e]);
            n += 1.0;
        }
    return sum > 0.0 ? sum / n : 1.0;
}

static void set_sizes(const struct mix_table *table, struct mix_data *data)
{
    const size_t n_losses = data->n_targets - data->n_scores;
    bool mixed = false;
    for (size_t m = 1; m < n_losses; m++)
        mixed = mixed || strcmp(table->targets[data->target[m]].unit,
                                table->targets[data->target[0]].unit) != 0;
    for (size_t m = 0; m < data->n_targets; m++)
        data->size[m] = mixed && m < n_losses ? mean_in_unit(table, data, m) : 1.0;
}

/* Mark the rows that are not the last of their run; keep (rows of the table) holds the selected
 * ones and is spent. */
static enum mix_status mark_early(const struct mix_table *table, struct mix_data *data,
                                  uint8_t *keep, struct mix_error *err)
{
    const enum mix_status status = mix_runs_keep_last(table, keep, err);
    for (size_t r = 0; status == MIX_OK && r < data->n_rows; r++)
        data->early[r] = !keep[data->row[r]];
    return status;
}

/* Number the mixtures of the selected rows by first appearance; `number` (R+1 entries of the table)
 * is scratch. */
static enum mix_status number_clusters(const struct mix_table *table, struct mix_data *data,
                                       size_t *number, struct mix_error *err)
{
    memset(number, 0, (table->n_rows + 1) * sizeof *number);
    for (size_t r = 0; r < data->n_rows; r++) {
        const size_t mixture = (size_t)table->runs[data->row[r]].mixture_id;
        if (mixture >= table->n_rows) /* a damaged file; negative ones are huge here */
            return mix_fail(err, MIX_EINVAL, "run %zu has the mixture number %d of %zu runs.",
                            data->row[r] + 1, (int)table->runs[data->row[r]].mixture_id,
                            table->n_rows);
        if (number[mixture] == 0)
            number[mixture] = ++data->n_clusters;
        data->cluster[r] = number[mixture] - 1;
    }
    return MIX_OK;
}

enum mix_status mix_table_select(const struct mix_table *table,
                                 const struct mix_selection *selection, struct mix_data **out,
                                 struct mix_error *err)
{
    struct mix_data *data = NULL;
    uint8_t *keep = calloc(table->n_rows + 1, sizeof *keep);
    size_t *number = calloc(table->n_rows + 1, sizeof *number);
    size_t n_rows = 0;
    enum mix_status status = MIX_OK;
    if (keep == NULL || number == NULL)
        goto no_memory;
    status = select_rows(table, selection, keep, &n_rows, err);
    if (status != MIX_OK)
        goto out;
    data = create_data(n_rows, table->n_domains, table->n_targets);
    if (data == NULL)
        goto no_memory;
    status = select_targets(table, selection->targets, data, err);
    if (status != MIX_OK)
        goto out;
    sort_scores(table, data);
    for (size_t m = 0; m < data->n_targets; m++) {
        const int domain = table->targets[data->target[m]].domain;
        data->target_domain[m] = domain < (int)table->n_domains ? domain : -1;
    }
    for (size_t row = 0, r = 0; row < table->n_rows; row++)
        if (keep[row])
            fill_row(table, row, selection->mask_below, data, r++);
    set_sizes(table, data);
    if (selection->checkpoints == MIX_CHECKPOINTS_LATE)
        status = mark_early(table, data, keep, err);
    if (status == MIX_OK)
        status = number_clusters(table, data, number, err);
    if (status != MIX_OK)
        goto out;
    *out = data;
    data = NULL;
    goto out;
no_memory:
    status = mix_fail(err, MIX_ENOMEM, "not enough memory to select from %zu runs.", table->n_rows);
out:
    mix_data_destroy(data);
    free(number);
    free(keep);
    return status;
}

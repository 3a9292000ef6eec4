/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains_change.c - domains are added, split, merged, revised, dropped: NEW.h5 of S.h5. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "domains_impl.h"

/* ---- the parts of a domain */

/* "news=0.6"; without a share NaN. */
static enum mix_status parse_part(const char *word, struct mix_domains_part *part,
                                  struct mix_error *err)
{
    const char *equals = strrchr(word, '=');
    const size_t n = equals != NULL ? (size_t)(equals - word) : strlen(word);
    char *end = NULL;
    part->proportion = equals != NULL ? strtod(equals + 1, &end) : NAN;
    if (n == 0 || n >= MIX_NAME_MAX || (equals != NULL && (end == equals + 1 || *end != '\0')))
        return mix_fail(err, MIX_EUSAGE, "\"%.80s\" is not NAME=SHARE.", word);
    memcpy(part->name, word, n);
    return MIX_OK;
}

/* Parts of a merge that are named without shares are in proportion to their supplies. */
static enum mix_status take_supplies(struct domains_asked *a, const struct mix_table *table,
                                     struct mix_error *err)
{
    double sum = 0;
    for (size_t i = 0; i < a->change.n_parts; i++) {
        const int k = mix_table_domain(table, a->part[i].name);
        const double supply = k >= 0 ? table->domains[k].supply_tokens : NAN;
        if (isnan(supply) && k >= 0)
            return mix_fail(err, MIX_EUSAGE,
                            "%s: the supply of %s is not known: give proportions as %s=0.5.",
                            a->word[1], a->part[i].name, a->part[i].name);
        a->part[i].proportion = supply;
        sum += supply;
    }
    for (size_t i = 0; i < a->change.n_parts; i++)
        if (!isnan(sum))
            a->part[i].proportion /= sum;
    return MIX_OK;
}

static enum mix_status take_parts(struct domains_asked *a, const struct mix_table *table,
                                  struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    size_t n_open = 0;
    a->change.parts = a->part;
    for (size_t i = 0; status == MIX_OK && a->word[3 + i] != NULL; i++) {
        status = parse_part(a->word[3 + i], &a->part[i], err);
        n_open += isnan(a->part[i].proportion);
        a->change.n_parts++;
    }
    if (status != MIX_OK || n_open == 0)
        return status;
    if (n_open < a->change.n_parts || a->change.action != MIX_DOMAINS_MERGE)
        return mix_fail(err, MIX_EUSAGE, "give each part of %.80s its share, as NAME=SHARE.",
                        a->word[2]);
    return take_supplies(a, table, err);
}

static enum mix_status check_output(const struct domains_asked *a, struct mix_error *err)
{
    return cli_refuse_output(a->output, a->force, 1, &a->word[1], err);
}

/* ---- a change and what it leaves alone */

static void mark_changed(struct domains_session *s, const struct mix_table *table)
{
    const struct mix_domains_change *c = &s->step[0].change;
    for (size_t i = 0; i < c->n_parts && c->action == MIX_DOMAINS_SPLIT; i++)
        s->plan.changed[mix_table_domain(table, c->parts[i].name)] = 1;
    if (c->action != MIX_DOMAINS_SPLIT && c->action != MIX_DOMAINS_DROP)
        s->plan.changed[mix_table_domain(table, c->domain)] = 1;
}

static enum mix_status apply(const char *path, const struct mix_table *table,
                             const struct mix_fit *fit, struct domains_step *step,
                             struct mix_error *err)
{
    struct mix_error reason = {.text = ""};
    enum mix_status status = mix_domains_apply(table, &step->change, &step->outcome, &reason);
    if (status == MIX_OK)
        status =
            mix_domains_bound(table, fit, &step->change, step->outcome.fate, &step->bound, &reason);
    return status == MIX_OK ? MIX_OK : mix_fail(err, status, "%s: %s.", path, reason.text);
}

/* The domains that are left alone, in their proportions. */
static void list_parts(struct domains_session *s, const struct mix_table *table)
{
    double sum = 0;
    for (size_t k = 0; k < table->n_domains; k++)
        sum += s->plan.changed[k] ? 0 : s->plan.fixed[k];
    s->step[1].change.n_parts = 0;
    for (size_t k = 0; k < table->n_domains; k++) {
        struct mix_domains_part *part = &s->virtual[s->step[1].change.n_parts];
        if (s->plan.changed[k])
            continue;
        part->proportion = s->plan.fixed[k] / sum;
        memcpy(part->name, table->domains[k].name, MIX_NAME_MAX);
        s->step[1].change.n_parts++;
    }
}

/* What their proportions may cost by the fit that the file has, at its optimum. */
static enum mix_status bound_parts(const struct domains_asked *a, struct domains_session *s,
                                   struct mix_error *err)
{
    const struct mix_optimum *o = s->optimum;
    const bool has_scale = o != NULL && s->fit != NULL && strcmp(o->fit, s->fit->name) == 0;
    if (s->fit == NULL)
        return MIX_OK;
    const struct mix_domains_kept kept = {
        .before = s->fit,
        .draws = s->draws,
        .n_parts = s->step[1].change.n_parts,
        .parts = s->virtual,
        .n_params = has_scale ? o->n_params : s->fit->max_n_params,
        .n_tokens = has_scale ? o->n_tokens : s->fit->max_n_tokens,
        .today = has_scale && a->mixture == NULL ? o->mixture : NULL,
    };
    const enum mix_status status = mix_domains_reuse(&kept, &s->step[1].reuse, err);
    s->step[1].has_reuse = status == MIX_OK;
    return status;
}

/* Only information, which refuses nothing unless --apart goes by it. */
static enum mix_status say_cost(const struct domains_asked *a, struct domains_session *s,
                                struct mix_error *err)
{
    const enum mix_status status = bound_parts(a, s, err);
    if (status != MIX_EINVAL || a->n_apart > 0)
        return status;
    fprintf(stderr, "note: what the kept proportions cost is not known: %s.\n", err->text);
    return MIX_OK;
}

/* One domain more is explored: that whose proportion may cost most. */
static enum mix_status set_apart(const struct domains_asked *a, struct domains_session *s,
                                 const struct mix_table *table, struct mix_error *err)
{
    const enum mix_status status = bound_parts(a, s, err);
    if (status == MIX_OK && s->fit == NULL)
        return mix_fail(
            err, MIX_ENOTFOUND,
            "--apart asks a fit, and the file has none, or several: say which by --fit.");
    if (status == MIX_OK) {
        const size_t most = domains_most_at_risk(&s->step[1]);
        s->plan.changed[mix_table_domain(table, s->virtual[most].name)] = 1;
        list_parts(s, table);
    }
    return status;
}

/* All domains that the change has left alone become one. */
static enum mix_status collapse(const struct domains_asked *a, struct domains_session *s,
                                struct mix_error *err)
{
    const struct mix_table *table = s->step[0].outcome.table;
    struct domains_plan *plan = &s->plan;
    struct mix_domains_change *c = &s->step[1].change;
    struct mix_error reason = {.text = ""};
    uint8_t changed[MIX_DOMAINS_MAX];
    *c = (struct mix_domains_change){.action = MIX_DOMAINS_MERGE,
                                     .domain = a->collapse,
                                     .parts = s->virtual,
                                     .tolerance = a->change.tolerance,
                                     .is_virtual = true};
    enum mix_status status = MIX_OK;
    list_parts(s, table);
    for (size_t i = 0; status == MIX_OK && i < a->n_apart && c->n_parts > 1; i++)
        status = set_apart(a, s, table, &reason);
    if (status == MIX_OK && (c->n_parts < 2 || c->n_parts == table->n_domains))
        status = mix_fail(&reason, MIX_EINVAL,
                          "--collapse %.80s: %s leaves %zu domains alone and changes %zu: there is "
                          "nothing to collapse",
                          a->collapse, mix_domains_action_names[a->change.action], c->n_parts,
                          table->n_domains - c->n_parts);
    if (status == MIX_OK)
        status = say_cost(a, s, &reason);
    if (status != MIX_OK)
        return mix_fail(err, status, "%s: %s.", a->word[1], reason.text);
    s->n_steps = 2;
    memcpy(changed, plan->changed, sizeof changed);
    status = apply(a->word[1], table, NULL, &s->step[1], err);
    memset(plan->changed, 0, sizeof plan->changed);
    for (size_t k = 0; status == MIX_OK && k < table->n_domains; k++)
        if (changed[k])
            plan->changed[mix_table_domain(s->step[1].outcome.table, table->domains[k].name)] = 1;
    for (size_t k = 0; status == MIX_OK && k < s->step[1].outcome.table->n_domains; k++)
        plan->fixed[k] = plan->changed[k] ? 0 : 1;
    return status;
}

static enum mix_status write_file(const struct domains_asked *a, struct domains_session *s,
                                  struct mix_error *err)
{
    struct mix_store *store = NULL;
    struct mix_table *table = s->step[s->n_steps - 1].outcome.table;
    for (size_t i = 0; i < s->n_steps; i++) {
        char *history = domains_history_add(s->history, a->word[1], &s->step[i]);
        if (history == NULL)
            return mix_fail(err, MIX_EINVAL, "%s: a name is not UTF-8.", a->word[1]);
        free(s->history);
        s->history = history;
    }
    enum mix_status status = mix_store_open(
        a->output, a->force ? MIX_STORE_REPLACE : MIX_STORE_CREATE, false, &store, err);
    if (status == MIX_OK) /* the old job is one of other domains */
        status = mix_store_set_job(store, "", mix_store_seed(s->store));
    if (status == MIX_OK)
        status = mix_store_set_history(store, s->history);
    if (status == MIX_OK)
        status = mix_store_put_table(store, table, err);
    if (status == MIX_OK)
        status = mix_store_commit(store, err);
    mix_store_close(store);
    return status;
}

/* The file is made while the list of mixtures waits for its name: both are there, or none. */
static enum mix_status write_all(const struct domains_asked *a, struct domains_session *s,
                                 struct mix_error *err)
{
    struct cli_output output = {.file = NULL};
    enum mix_status status = MIX_OK;
    const bool has_runs = a->runs != NULL && s->plan.n_mixtures > 0;
    if (has_runs)
        status = cli_output_open(&output, a->runs, a->force, 1, &a->word[1], err);
    if (status != MIX_OK)
        return status;
    if (has_runs)
        domains_write_mixtures(output.file, s->step[s->n_steps - 1].outcome.table, &s->plan);
    status = write_file(a, s, err);
    return has_runs ? cli_output_close(&output, status, err) : status;
}

enum mix_status domains_change(struct domains_asked *a, struct domains_session *s,
                               struct mix_error *err)
{
    enum mix_status status = check_output(a, err);
    if (status == MIX_OK)
        status = domains_read(a, s, err);
    if (status == MIX_OK)
        status = take_parts(a, s->table, err);
    if (status != MIX_OK)
        return status;
    s->step[0].change = a->change;
    s->n_steps = 1;
    status = apply(a->word[1], s->table, s->fit, &s->step[0], err);
    if (status != MIX_OK)
        return status;
    mark_changed(s, s->step[0].outcome.table);
    status = domains_find_proportions(a, s, s->step[0].outcome.table, err);
    if (status == MIX_OK && a->collapse != NULL)
        status = collapse(a, s, err);
    if (status == MIX_OK)
        status = domains_explore(a, s, s->step[s->n_steps - 1].outcome.table, err);
    if (status == MIX_OK)
        status = write_all(a, s, err);
    if (status != MIX_OK)
        return status;
    if (a->json)
        return domains_print_json(a->output, s->step, s->n_steps, &s->plan, a->runs, err);
    domains_print(a->word[1], a->output, s->step, s->n_steps, &s->plan, a->runs);
    return MIX_OK;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains.c - the verb domains: a sweep whose domains have changed. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "domains_impl.h"
#include "mixsweep/next.h"

enum { WORDS_MAX = 3 + MIX_DOMAINS_MAX };

/* The command line. */
struct asked {
    const char *word[WORDS_MAX + 1]; /* action, file, domain, parts */
    const char *output, *runs, *collapse, *optimum, *mixture, *fit, *format;
    struct mix_domains_change change;
    struct mix_domains_part part[MIX_DOMAINS_MAX];
    size_t n_mixtures, n_apart;
    uint64_t seed;
    double flops;
    bool force, json;
    enum asked_for { CHANGE, PLAN, EXPAND, BOUND } what;
};

/* What is read and made. */
struct session {
    struct mix_store *store;
    struct mix_table *table;
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct mix_optimum *optimum;
    struct domains_step step[DOMAINS_STEPS];
    size_t n_steps;
    struct mix_domains_part virtual[MIX_DOMAINS_MAX];
    struct domains_plan plan;
    char *history;
};

/* ---- the command line */

static enum mix_status parse(int argc, char **argv, struct asked *a, bool *help,
                             struct mix_error *err)
{
    struct mix_domains_change *c = &a->change;
    const struct cli_option options[] = {
        {"output", 'o', "FILE", "the sweep file to make; expand: a CSV of the mixture", CLI_TEXT,
         &a->output, 0, 0},
        {"runs", 0, "FILE", "write the mixtures to add as CSV, which a design takes as its file",
         CLI_TEXT, &a->runs, 0, 0},
        {"mixtures", 0, "N", "how many to add (see below)", CLI_COUNT, &a->n_mixtures, 1, 10000},
        {"seed", 0, "S", "seed of these mixtures (default 1)", CLI_SEED, &a->seed, 0, 0},
        {"tolerance", 0, "H",
         "shares so small, or so far from their proportion, count as none (default 1e-5)",
         CLI_NUMBER, &c->tolerance, MIX_DOMAINS_EXACT, 0.999},
        {"collapse", 0, "NAME", "make one domain of all that the change leaves alone", CLI_TEXT,
         &a->collapse, 0, 0},
        {"apart", 0, "N", "of these leave out the N whose proportion may cost most", CLI_COUNT,
         &a->n_apart, 1, MIX_DOMAINS_MAX},
        {"optimum", 0, "NAME", "whose shares the untouched domains keep (default the only one)",
         CLI_TEXT, &a->optimum, 0, 0},
        {"mixture", 0, "FILE", "the same from a file of domain,share lines", CLI_TEXT, &a->mixture,
         0, 0},
        {"fit", 0, "NAME", "what bounds the error of a tolerance (default the only one)", CLI_TEXT,
         &a->fit, 0, 0},
        {"content", 0, "LABEL", "add, revise: label of the new data", CLI_TEXT, &c->content, 0, 0},
        {"prior", 0, "H", "add: its share in the mixture of today", CLI_NUMBER, &c->prior, 0, 1},
        {"supply", 0, "D", "add, revise: tokens there are of it", CLI_NUMBER, &c->supply_tokens, 1,
         1e30},
        {"new-validation", 0, NULL, "revise: its validation set is another one too", CLI_FLAG,
         &c->new_validation, 0, 0},
        {"flops", 0, "F", "plan: compute for the runs (default that of the evenly spread ones)",
         CLI_NUMBER, &a->flops, 1, 1e40},
        {"force", 0, NULL, "replace what -o and --runs name where it exists", CLI_FLAG, &a->force,
         0, 0},
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &a->format, 0, 0},
        {.name = NULL}};
    enum mix_status status =
        cli_parse(&cli_verb_domains, options, argc, argv, 2, WORDS_MAX, a->word, help, err);
    return status == MIX_OK && !*help ? cli_parse_format(a->format, &a->json, err) : status;
}

/* An option of another word would have no effect. */
static enum mix_status refuse_strays(const struct mix_domains_change *c, struct mix_error *err)
{
    const bool adds = c->action == MIX_DOMAINS_ADD, revises = c->action == MIX_DOMAINS_REVISE;
    const char *stray = !adds && !isnan(c->prior)                       ? "prior"
                        : !adds && !revises && !isnan(c->supply_tokens) ? "supply"
                        : !adds && !revises && c->content != NULL       ? "content"
                        : !revises && c->new_validation                 ? "new-validation"
                                                                        : NULL;
    return stray == NULL ? MIX_OK
                         : mix_fail(err, MIX_EUSAGE, "%s takes no --%s.",
                                    mix_domains_action_names[c->action], stray);
}

static enum mix_status find_action(struct asked *a, struct mix_error *err)
{
    static const char *const others[] = {[PLAN] = "plan", [EXPAND] = "expand", [BOUND] = "bound"};
    const char *word = a->word[0];
    for (size_t i = PLAN; i <= BOUND; i++)
        a->what = strcmp(word, others[i]) == 0 ? (enum asked_for)i : a->what;
    const size_t n_files = a->what == BOUND ? 2 : 1;
    if (a->what != CHANGE && a->word[1 + n_files] != NULL)
        return mix_fail(err, MIX_EUSAGE, "%s takes %s only; \"%.80s\" is one word too many.", word,
                        n_files == 1 ? "a file" : "two files", a->word[1 + n_files]);
    if (a->what == BOUND && a->word[2] == NULL)
        return mix_fail(err, MIX_EUSAGE, "bound takes two files, REST.h5 and the one before it.");
    if (a->what != CHANGE)
        return MIX_OK;
    size_t i = 0;
    while (i < MIX_DOMAINS_ACTIONS && strcmp(word, mix_domains_action_names[i]) != 0)
        i++;
    if (i == MIX_DOMAINS_ACTIONS)
        return mix_fail(err, MIX_EUSAGE,
                        "\"%.80s\" is not add, split, merge, revise, drop, plan, expand or bound.",
                        word);
    a->change.action = (enum mix_domains_action)i;
    a->change.domain = a->word[2];
    const bool has_parts = i == MIX_DOMAINS_SPLIT || i == MIX_DOMAINS_MERGE;
    if (a->word[2] == NULL)
        return mix_fail(err, MIX_EUSAGE, "%s which domain?", word);
    if (has_parts != (a->word[3] != NULL))
        return has_parts ? mix_fail(err, MIX_EUSAGE, "%s %.80s: give its parts as NAME=SHARE ....",
                                    word, a->word[2])
                         : mix_fail(err, MIX_EUSAGE,
                                    "%s takes one domain; \"%.80s\" is one word "
                                    "too many.",
                                    word, a->word[3]);
    if (a->n_apart > 0 && a->collapse == NULL)
        return mix_fail(err, MIX_EUSAGE, "--apart says what --collapse leaves out: give both.");
    return a->output != NULL ? refuse_strays(&a->change, err)
                             : mix_fail(err, MIX_EUSAGE, "where to? Give -o NEW.h5.");
}

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
static enum mix_status take_supplies(struct asked *a, const struct mix_table *table,
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

static enum mix_status take_parts(struct asked *a, const struct mix_table *table,
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

static enum mix_status check_output(const struct asked *a, struct mix_error *err)
{
    return cli_refuse_output(a->output, a->force, 1, &a->word[1], err);
}

/* ---- reading */

/* The only result of a kind, or the one that is asked for; `name` stays empty where there is none,
 * or several. */
static enum mix_status choose(struct mix_store *store, const char *kind, const char *asked,
                              char name[MIX_NAME_MAX], struct mix_error *err)
{
    struct mix_names names = {0};
    name[0] = '\0';
    if (asked != NULL) {
        (void)snprintf(name, MIX_NAME_MAX, "%s", asked);
        return MIX_OK;
    }
    const enum mix_status status = mix_store_list(store, kind, &names, err);
    if (status == MIX_OK && names.n == 1)
        memcpy(name, names.name[0], MIX_NAME_MAX);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_file(const struct asked *a, struct session *s, struct mix_error *err)
{
    char name[MIX_NAME_MAX];
    enum mix_status status = mix_store_open(a->word[1], MIX_STORE_READ, false, &s->store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(s->store, &s->table, err);
    if (status == MIX_OK && mix_store_warning(s->store)[0] != '\0')
        fprintf(stderr, "warning: %s\n", mix_store_warning(s->store));
    if (status == MIX_OK)
        status = choose(s->store, "optimum", a->optimum, name, err);
    if (status == MIX_OK && name[0] != '\0')
        status = mix_store_read_optimum(s->store, name, &s->optimum, err);
    const char *fit = a->fit == NULL && s->optimum != NULL ? s->optimum->fit : a->fit;
    if (status == MIX_OK)
        status = choose(s->store, "fits", fit, name, err);
    if (status == MIX_OK && name[0] != '\0')
        status = cli_read_fit(s->store, name, &s->fit, &s->draws, err);
    if (status != MIX_OK)
        return status;
    s->history = strdup(mix_store_history(s->store));
    return s->history != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory.");
}

static void close_session(struct session *s)
{
    for (size_t i = 0; i < DOMAINS_STEPS; i++)
        mix_domains_outcome_clear(&s->step[i].outcome);
    mix_store_close(s->store);
    mix_table_destroy(s->table);
    mix_fit_destroy(s->fit);
    mix_draws_destroy(s->draws);
    mix_optimum_destroy(s->optimum);
    free(s->plan.mixtures);
    free(s->plan.scale);
    free(s->history);
}

/* ---- the proportions that untouched domains keep */

static void take_optimum(const struct mix_optimum *optimum, const struct mix_table *table,
                         double *share)
{
    for (size_t j = 0; j < optimum->n_domains; j++) {
        const int k = mix_table_domain(table, optimum->domains[j]);
        if (k >= 0)
            share[k] = optimum->mixture[j];
    }
}

/* By domain of the old table, in terms of the new one. */
static enum mix_status take_file(const struct asked *a, const struct mix_table *old,
                                 const struct mix_table *table, double *share,
                                 struct mix_error *err)
{
    char(*names)[MIX_NAME_MAX] = calloc(old->n_domains, sizeof *names);
    double mixture[MIX_DOMAINS_MAX];
    if (names == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains.", old->n_domains);
    for (size_t k = 0; k < old->n_domains; k++)
        memcpy(names[k], old->domains[k].name, sizeof names[k]);
    const enum mix_status status = cli_read_mixture(
        a->mixture, old->n_domains, (const char(*)[MIX_NAME_MAX])names, mixture, err);
    for (size_t k = 0; status == MIX_OK && k < old->n_domains; k++) {
        const int to = mix_table_domain(table, old->domains[k].name);
        if (to >= 0)
            share[to] = mixture[k];
    }
    free(names);
    return status;
}

/* Priors where all are known, else the mean of the runs. */
static const char *take_table(const struct mix_table *table, const uint8_t *changed, double *share)
{
    const size_t n = table->n_domains;
    bool known = true;
    for (size_t k = 0; k < n; k++) {
        share[k] = table->domains[k].prior;
        known = known && (changed[k] || share[k] >= 0);
    }
    if (known)
        return "prior";
    memset(share, 0, n * sizeof *share);
    for (size_t r = 0; r < table->n_rows; r++)
        for (size_t k = 0; k < n; k++)
            share[k] += table->runs[r].status == MIX_RUN_DONE ? table->mixture[r * n + k] : 0;
    return "mean of the runs";
}

static enum mix_status find_proportions(const struct asked *a, struct session *s,
                                        const struct mix_table *table, struct mix_error *err)
{
    struct domains_plan *plan = &s->plan;
    const char *file = strrchr(a->word[1], '/') != NULL ? strrchr(a->word[1], '/') + 1 : a->word[1];
    double sum = 0;
    enum mix_status status = MIX_OK;
    if (a->mixture != NULL) {
        status = take_file(a, s->table, table, plan->fixed, err);
        (void)snprintf(plan->source, sizeof plan->source, "%.100s", a->mixture);
    } else if (s->optimum != NULL) {
        take_optimum(s->optimum, table, plan->fixed);
        (void)snprintf(plan->source, sizeof plan->source, "optimum %s of %.50s", s->optimum->name,
                       file);
    } else {
        const char *source = take_table(table, plan->changed, plan->fixed);
        (void)snprintf(plan->source, sizeof plan->source, "%s", source);
    }
    for (size_t k = 0; k < table->n_domains; k++)
        sum += plan->changed[k] ? 0 : plan->fixed[k];
    for (size_t k = 0; k < table->n_domains; k++)
        plan->fixed[k] = plan->changed[k] || !(sum > 0) ? 0 : plan->fixed[k] / sum;
    return status;
}

/* ---- the runs to add */

static void mark_changed(struct session *s, const struct mix_table *table)
{
    const struct mix_domains_change *c = &s->step[0].change;
    for (size_t i = 0; i < c->n_parts && c->action == MIX_DOMAINS_SPLIT; i++)
        s->plan.changed[mix_table_domain(table, c->parts[i].name)] = 1;
    if (c->action != MIX_DOMAINS_SPLIT && c->action != MIX_DOMAINS_DROP)
        s->plan.changed[mix_table_domain(table, c->domain)] = 1;
}

/* Distinct sizes and tokens of finished runs, and what a mixture costs at all of them. */
static enum mix_status count_scales(const struct mix_table *table, struct domains_plan *plan,
                                    struct mix_error *err)
{
    size_t *first = calloc(table->n_rows + 1, sizeof *first);
    if (first == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu runs.", table->n_rows);
    double flops = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        size_t i = 0;
        if (run->status != MIX_RUN_DONE || !run->is_final)
            continue;
        while (i < plan->n_scales && (table->runs[first[i]].n_params != run->n_params ||
                                      table->runs[first[i]].n_tokens != run->n_tokens))
            i++;
        if (i < plan->n_scales)
            continue;
        first[plan->n_scales++] = r;
        flops += 6 * run->n_params * run->n_tokens;
    }
    free(first);
    plan->flops = flops;
    return MIX_OK;
}

static enum mix_status explore(const struct asked *a, struct session *s,
                               const struct mix_table *table, struct mix_error *err)
{
    struct domains_plan *plan = &s->plan;
    for (size_t k = 0; k < table->n_domains; k++)
        plan->n_touched += plan->changed[k];
    enum mix_status status = mix_domains_needed(table, plan->changed, &plan->n_mixtures, err);
    if (status != MIX_OK)
        return status;
    if (a->n_mixtures > 0)
        plan->n_mixtures = a->n_mixtures;
    for (size_t k = 0; k < table->n_domains; k++)
        plan->n_changed += plan->changed[k];
    plan->mixtures = calloc(plan->n_mixtures * table->n_domains + 1, sizeof *plan->mixtures);
    if (plan->mixtures == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu mixtures.", plan->n_mixtures);
    const struct mix_domains_design design = {.changed = plan->changed,
                                              .fixed = plan->fixed,
                                              .n_mixtures = plan->n_mixtures,
                                              .seed = a->seed};
    status = count_scales(s->table, plan, err);
    plan->flops *= (double)plan->n_mixtures;
    if (status == MIX_OK && plan->n_mixtures > 0)
        status = mix_domains_explore(table, &design, plan->mixtures, err);
    return status;
}

static void write_mixtures(FILE *out, const struct mix_table *table,
                           const struct domains_plan *plan)
{
    fprintf(out, plan->scale != NULL ? "n_params,n_tokens" : "mixture");
    for (size_t k = 0; k < table->n_domains; k++) {
        fputc(',', out);
        char column[MIX_NAME_MAX + 2];
        (void)snprintf(column, sizeof column, "h_%s", table->domains[k].name);
        cli_csv_text(out, column);
    }
    for (size_t i = 0; i < plan->n_mixtures; i++) {
        if (plan->scale != NULL)
            fprintf(out, "\n%.17g,%.17g", plan->scale[2 * i], plan->scale[2 * i + 1]);
        else
            fprintf(out, "\n%zu", i + 1);
        for (size_t k = 0; k < table->n_domains; k++)
            fprintf(out, ",%.17g", plan->mixtures[i * table->n_domains + k]);
    }
    fputc('\n', out);
}

/* ---- a change */

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
static void list_parts(struct session *s, const struct mix_table *table)
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
static enum mix_status bound_parts(const struct asked *a, struct session *s, struct mix_error *err)
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
static enum mix_status say_cost(const struct asked *a, struct session *s, struct mix_error *err)
{
    const enum mix_status status = bound_parts(a, s, err);
    if (status != MIX_EINVAL || a->n_apart > 0)
        return status;
    fprintf(stderr, "note: what the kept proportions cost is not known: %s.\n", err->text);
    return MIX_OK;
}

/* One domain more is explored: that whose proportion may cost most. */
static enum mix_status set_apart(const struct asked *a, struct session *s,
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
static enum mix_status collapse(const struct asked *a, struct session *s, struct mix_error *err)
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

static enum mix_status write_file(const struct asked *a, struct session *s, struct mix_error *err)
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
static enum mix_status write_all(const struct asked *a, struct session *s, struct mix_error *err)
{
    struct cli_output output = {.file = NULL};
    enum mix_status status = MIX_OK;
    const bool has_runs = a->runs != NULL && s->plan.n_mixtures > 0;
    if (has_runs)
        status = cli_output_open(&output, a->runs, a->force, 1, &a->word[1], err);
    if (status != MIX_OK)
        return status;
    if (has_runs)
        write_mixtures(output.file, s->step[s->n_steps - 1].outcome.table, &s->plan);
    status = write_file(a, s, err);
    return has_runs ? cli_output_close(&output, status, err) : status;
}

static enum mix_status change(struct asked *a, struct session *s, struct mix_error *err)
{
    enum mix_status status = check_output(a, err);
    if (status == MIX_OK)
        status = read_file(a, s, err);
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
    status = find_proportions(a, s, s->step[0].outcome.table, err);
    if (status == MIX_OK && a->collapse != NULL)
        status = collapse(a, s, err);
    if (status == MIX_OK)
        status = explore(a, s, s->step[s->n_steps - 1].outcome.table, err);
    if (status == MIX_OK)
        status = write_all(a, s, err);
    if (status != MIX_OK)
        return status;
    if (a->json)
        return domains_print_json(a->output, s->step, s->n_steps, &s->plan, a->runs, err);
    domains_print(a->word[1], a->output, s->step, s->n_steps, &s->plan, a->runs);
    return MIX_OK;
}

/* ---- plan: the runs to add to a file whose domains have changed */

/* By the draws of a fit: those after which the optimum is most certain. */
static enum mix_status propose(const struct asked *a, struct session *s, struct mix_error *err)
{
    struct mix_next_options options = mix_next_defaults();
    struct mix_next *next = NULL;
    options.seed = a->seed;
    options.n_runs = s->plan.n_mixtures < 64 ? s->plan.n_mixtures : 64;
    options.flops = isnan(a->flops) ? s->plan.flops : a->flops;
    const enum mix_status status = mix_next_propose(NULL, s->table, s->fit, s->draws, s->optimum,
                                                    &options, NULL, NULL, &next, err);
    if (status != MIX_OK)
        return status;
    s->plan.scale = calloc(2 * next->n_runs + 1, sizeof *s->plan.scale);
    for (size_t i = 0; s->plan.scale != NULL && i < next->n_runs; i++) {
        s->plan.scale[2 * i] = next->runs[i].n_params;
        s->plan.scale[2 * i + 1] = next->runs[i].n_tokens;
    }
    s->plan.n_mixtures = s->plan.scale != NULL ? next->n_runs : 0;
    s->plan.flops = next->flops;
    s->plan.n_scales = 0; /* each has its own */
    memset(s->plan.changed, 1, s->table->n_domains);
    s->plan.n_changed = s->table->n_domains;
    s->plan.n_touched = 0;
    memcpy(s->plan.mixtures, next->mixture,
           next->n_runs * s->table->n_domains * sizeof *next->mixture);
    mix_next_destroy(next);
    return s->plan.scale != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory.");
}

static enum mix_status plan(const struct asked *a, struct session *s, struct mix_error *err)
{
    struct cli_output output = {.file = NULL};
    enum mix_status status = read_file(a, s, err);
    if (status == MIX_OK)
        status = domains_history_changed(s->history, s->table, s->plan.changed, err);
    if (status == MIX_OK)
        status = find_proportions(a, s, s->table, err);
    if (status == MIX_OK)
        status = explore(a, s, s->table, err);
    const bool proposes = s->optimum != NULL && s->draws != NULL && s->plan.n_mixtures > 0;
    if (status == MIX_OK && proposes)
        status = propose(a, s, err);
    if (status == MIX_OK && a->runs != NULL && s->plan.n_mixtures > 0) {
        status = cli_output_open(&output, a->runs, a->force, 1, &a->word[1], err);
        if (status == MIX_OK) {
            write_mixtures(output.file, s->table, &s->plan);
            status = cli_output_close(&output, MIX_OK, err);
        }
    }
    if (status != MIX_OK)
        return status;
    if (!a->json) {
        printf("plan %s, %s\n", a->word[1],
               proposes ? "by the draws of its fit (as mixsweep next)" : "evenly spread");
        domains_print_plan(s->table, &s->plan, a->runs);
        return MIX_OK;
    }
    json_t *root = domains_json_plan(s->table, &s->plan, a->runs);
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s: a name is not UTF-8.", a->word[1]);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}

/* ---- expand: the optimum of collapsed domains for all of them */

static void print_expanded(const struct asked *a, FILE *out, size_t n,
                           const char (*names)[MIX_NAME_MAX], const double *shares)
{
    if (a->json && a->output == NULL) {
        json_t *root = cli_json_by_name(n, names, shares);
        json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        fputc('\n', out);
        json_decref(root);
        return;
    }
    fprintf(out, "domain,share\n");
    for (size_t k = 0; k < n; k++) {
        cli_csv_text(out, names[k]);
        fprintf(out, ",%.17g\n", shares[k]);
    }
}

static enum mix_status expand(const struct asked *a, struct session *s, struct mix_error *err)
{
    double shares[MIX_DOMAINS_MAX];
    struct cli_output output = {.file = NULL};
    char(*names)[MIX_NAME_MAX] = calloc(MIX_DOMAINS_MAX, sizeof *names);
    enum mix_status status =
        names != NULL ? read_file(a, s, err) : mix_fail(err, MIX_ENOMEM, "out of memory.");
    if (status == MIX_OK && s->optimum == NULL)
        status = mix_fail(err, MIX_ENOTFOUND,
                          "%s has no optimum to expand, or several: say which by --optimum.",
                          a->word[1]);
    size_t n = status == MIX_OK ? s->optimum->n_domains : 0;
    for (size_t k = 0; k < n; k++) {
        memcpy(names[k], s->optimum->domains[k], sizeof names[k]);
        shares[k] = s->optimum->mixture[k];
    }
    if (status == MIX_OK)
        status = domains_history_expand(s->history, names, shares, &n, err);
    if (status == MIX_OK && a->output != NULL)
        status = cli_output_open(&output, a->output, a->force, 1, &a->word[1], err);
    if (status == MIX_OK)
        print_expanded(a, a->output != NULL ? output.file : stdout, n,
                       (const char(*)[MIX_NAME_MAX])names, shares);
    if (status == MIX_OK && a->output != NULL)
        status = cli_output_close(&output, MIX_OK, err);
    free(names);
    return status;
}

/* ---- bound: what the proportions of a collapsed file cost, now that it has an optimum */

static enum mix_status ask_bound(const struct asked *a, struct session *s,
                                 const struct session *before, struct mix_error *err)
{
    char domain[MIX_NAME_MAX] = "";
    size_t n_parts = 0;
    struct mix_error reason = {.text = ""};
    enum mix_status status =
        domains_history_kept(s->history, domain, s->virtual, &n_parts, &reason);
    if (status != MIX_OK)
        return mix_fail(err, status, "%s: %s.", a->word[1], reason.text);
    const struct mix_domains_kept kept = {.before = before->fit,
                                          .draws = before->draws,
                                          .n_parts = n_parts,
                                          .parts = s->virtual,
                                          .n_params = s->optimum->n_params,
                                          .n_tokens = s->optimum->n_tokens,
                                          .after = s->fit,
                                          .domain = domain,
                                          .mixture = s->optimum->mixture};
    s->step[0].change =
        (struct mix_domains_change){.domain = domain, .n_parts = n_parts, .parts = s->virtual};
    s->step[0].has_reuse = true;
    status = mix_domains_reuse(&kept, &s->step[0].reuse, &reason);
    if (status == MIX_OK)
        status = domains_print_reuse(&s->step[0], a->json, &reason);
    return status == MIX_OK
               ? MIX_OK
               : mix_fail(err, status, "bound %s %s: %s.", a->word[1], a->word[2], reason.text);
}

static enum mix_status bound(const struct asked *a, struct session *s, struct mix_error *err)
{
    struct session before = {.store = NULL};
    struct asked first = *a, other = *a;
    first.fit = NULL; /* that of the optimum */
    other.word[1] = a->word[2];
    other.optimum = NULL;
    enum mix_status status = read_file(&first, s, err);
    if (status == MIX_OK)
        status = read_file(&other, &before, err);
    if (status == MIX_OK && (s->optimum == NULL || s->fit == NULL))
        status = mix_fail(err, MIX_ENOTFOUND,
                          "%s has no optimum, or several: say which by --optimum.", a->word[1]);
    if (status == MIX_OK && before.fit == NULL)
        status = mix_fail(err, MIX_ENOTFOUND, "%s has no fit, or several: say which by --fit.",
                          a->word[2]);
    if (status == MIX_OK)
        status = ask_bound(a, s, &before, err);
    close_session(&before);
    return status;
}

/* ---- the verb */

static enum mix_status run_domains(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    (void)ranks;
    struct asked *a = calloc(1, sizeof *a);
    struct session *s = calloc(1, sizeof *s);
    bool help = false;
    enum mix_status status = MIX_OK;
    if (a == NULL || s == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory.");
        goto out;
    }
    a->seed = 1;
    a->flops = a->change.prior = a->change.supply_tokens = NAN;
    a->change.tolerance = MIX_DOMAINS_EXACT;
    status = parse(argc, argv, a, &help, err);
    if (status == MIX_OK && !help)
        status = find_action(a, err);
    if (status != MIX_OK || help)
        goto out;
    status = a->what == PLAN     ? plan(a, s, err)
             : a->what == EXPAND ? expand(a, s, err)
             : a->what == BOUND  ? bound(a, s, err)
                                 : change(a, s, err);
    close_session(s);
out:
    free(s);
    free(a);
    return status;
}

const struct cli_verb cli_verb_domains = {
    .name = "domains",
    .summary = "carry the runs over where domains were added, split, merged, revised, dropped",
    .synopsis =
        "add|split|merge|revise|drop|plan|expand|bound S.h5 [DOMAIN [PART=SHARE ...]] -o NEW.h5",
    .details =
        "Makes NEW.h5 with the runs of S.h5 in terms of the new domains; S.h5 stays as it is.\n"
        "\n"
        "  add D              runs have no share of it: all stay valid\n"
        "  split D A=p B=q    D was sampled proportionally: its shares are divided so; all valid\n"
        "  merge D A=p B=q    valid are runs in which the shares of A and B are p to q; without\n"
        "                     shares the supplies say p and q\n"
        "  revise D           its content has changed: valid are runs without it\n"
        "  drop D             valid are runs without it; the others' shares are divided by their\n"
        "                     sum\n"
        "\n"
        "What is not valid stays in the file, excluded with the reason; it does not keep a sweep\n"
        "from making the same run anew. The loss of a domain that is split, merged or dropped\n"
        "stays a target, of no training domain; domains that are new are targets where domains\n"
        "are, not measured in old runs. The loss of a merged domain is the mean of its parts'. A\n"
        "revised domain is taken to keep its validation set, unless --new-validation says\n"
        "otherwise or its validation documents are held out of its text (embedded evaluator).\n"
        "Fits, draws, optima and the job of S.h5 are not taken over. The attribute domain_changes\n"
        "of NEW.h5 says in JSON lines what was done, in this file and in those before it.\n"
        "\n"
        "With --tolerance, runs count as valid that are so far off (in shares), and what that may\n"
        "do to a loss is printed. A run of mixture h is taken for one of h': the error is\n"
        "|L(h') - L(h)| by the fit of S.h5. What new content of a domain does no run knows: "
        "assumed\n"
        "is that its share is worth no less and no more than the same share of any other domain.\n"
        "Without a fit, that no loss changes faster with the mixture than between any two runs of\n"
        "one scale that are at least 0.1 apart (total variation).\n"
        "\n"
        "Runs to add explore what has changed, 3 (m + 1) mixtures of m free domains; the others\n"
        "keep their proportions to one another and are one of these m: those of the optimum in\n"
        "S.h5, else the priors', else the mean of the runs. Where some target has then fewer than\n"
        "3 (K + 1) valid mixtures in all, what lacks is added, of all domains. plan says it again\n"
        "for a file made before; with draws and an optimum in it, it proposes as the verb next\n"
        "does.\n"
        "\n"
        "--collapse makes one domain of the others in NEW.h5 too (mixture reuse of Olmix, arXiv\n"
        "2602.12237): then few old runs are valid, and a law has few parameters; expand gives the\n"
        "optimum of such a file for all domains. The fit of S.h5 says what it costs at most to "
        "keep\n"
        "the proportions: no mixture of all domains has a mean loss lower by more. That is little\n"
        "where no target minds what the others are made of (coupling), or the change moves what\n"
        "all targets gain from data alike; before there are runs a tenth of difference is\n"
        "supposed. --apart N leaves out the N domains for which it is largest. Once NEW.h5 has an\n"
        "optimum, bound NEW.h5 S.h5 says it by what the change has really moved.\n"
        "\n"
        "  mixsweep domains add S.h5 math --supply 2e11 -o NEW.h5 --runs math.csv\n"
        "  mixsweep domains split S.h5 web news=0.6 forum=0.4 -o NEW.h5\n"
        "  mixsweep domains revise S.h5 code --content v2 --tolerance 0.01 -o NEW.h5\n",
    .run = run_domains,
};

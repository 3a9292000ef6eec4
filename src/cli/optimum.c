/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum.c - the verb optimum: the mixture to train the large model on. */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "mixsweep/optimum.h"
#include "mixsweep/share.h"
#include "mixsweep/store.h"

enum format { TEXT, JSON, YAML, CSV };
static const double DEFAULT_FLOOR = 1e-4;

/* The command line. */
struct asked {
    const char *path, *fit, *baseline, *name, *format_text, *goal_text, *no_worse, *near,
        *lattice_text, *export, *output;
    double n_params, n_tokens, floor, level, max_epochs;
    struct cli_list weights, caps, supplies;
    size_t n_starts, lattice;
    uint64_t seed;
    bool replace, force, no_save, break_lock, within_support, show_path;
    enum format format;
    enum mix_goal goal;
    enum mix_distance distance;
    double radius;
};

/* What rank 0 has read; the numbers are shared by all ranks. */
struct session {
    struct mix_store *store;
    struct mix_table *table;
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct cli_output output; /* of --export, from the start */
    size_t n_others;
    struct mix_fit **others; /* all fits of the file; rank 0 */
    double *numbers;         /* (M + 4K): weight, lower, upper, baseline, supply */
    size_t n_numbers;
    double *weight, *lower, *upper, *baseline, *supply;
};

static enum mix_status parse(int argc, char **argv, struct asked *a, bool *help,
                             struct mix_error *err)
{
    const struct cli_option options[] = {
        {"fit", 0, "NAME", "the fit to ask (default: the only one of the file)", CLI_TEXT, &a->fit,
         0, 0},
        {"params", 0, "N", "size of the large model, in parameters (needed, but for --export)",
         CLI_NUMBER, &a->n_params, 1, INFINITY},
        {"tokens", 0, "D", "tokens it will be trained on (needed, but for --export)", CLI_NUMBER,
         &a->n_tokens, 1, INFINITY},
        {"objective", 0, "GOAL",
         "what is to be least: mean (loss) or worst (loss), mean-gain or worst-gain (the same of "
         "loss / the baseline's loss) (default mean)",
         CLI_TEXT, &a->goal_text, 0, 0},
        {"weight", 0, "TARGET=W",
         "weight of a target in the mean loss; may be given again, or joined by commas (default: "
         "those of the file; 0 of scores beside losses, but for gains)",
         CLI_TEXT_LIST, &a->weights, 0, 0},
        {"floor", 0, "SHARE",
         "least share of every domain (default 1e-4, or the cap where that is less)", CLI_NUMBER,
         &a->floor, 0, 1},
        {"cap", 0, "DOMAIN=SHARE", "largest share of a domain; likewise (default 1)", CLI_TEXT_LIST,
         &a->caps, 0, 0},
        {"supply", 0, "DOMAIN=TOKENS",
         "tokens there are of a domain; likewise (default: what the file says; with --supply and "
         "no "
         "--max-epochs the others are unlimited, but for a law with repetition)",
         CLI_TEXT_LIST, &a->supplies, 0, 0},
        {"max-epochs", 0, "E",
         "passes over the supply of a domain, at most (default: 1 with --supply, else no limit; "
         "none of a law with repetition either)",
         CLI_NUMBER, &a->max_epochs, 1e-6, 1e6},
        {"within-support", 0, NULL, "no share above the largest that a run had", CLI_FLAG,
         &a->within_support, 0, 0},
        {"no-worse", 0, "TARGETS",
         "whose losses may not exceed the baseline's: a,b or all (default none)", CLI_TEXT,
         &a->no_worse, 0, 0},
        {"near", 0, "baseline:tv=X",
         "distance to the baseline at most X: tv (total variation) or kl (nats) (default: no "
         "limit)",
         CLI_TEXT, &a->near, 0, 0},
        {"baseline", 0, "WHAT", "uniform, prior, or a file of domain,share lines (default uniform)",
         CLI_TEXT, &a->baseline, 0, 0},
        {"lattice", 0, "1/Q", "give the nearest mixture of shares n/Q too", CLI_TEXT,
         &a->lattice_text, 0, 0},
        {"path", 0, NULL, "give the optimum at scales on the way there too", CLI_FLAG,
         &a->show_path, 0, 0},
        {"export", 0, "FORM",
         "for a trainer: olmo-yaml, megatron, nanotron or json; without --params "
         "a stored optimum",
         CLI_TEXT, &a->export, 0, 0},
        {"output", 'o', "FILE", "where --export writes (default: standard output)", CLI_TEXT,
         &a->output, 0, 0},
        {"level", 0, "P", "level of the intervals, between 0 and 1 (default 0.9)", CLI_NUMBER,
         &a->level, 0.01, 0.999},
        {"starts", 0, "N", "starts of the search (default 32)", CLI_COUNT, &a->n_starts, 1, 100000},
        {"seed", 0, "S", "seed of the starts (default 1)", CLI_SEED, &a->seed, 0, 0},
        {"name", 0, "NAME", "name of the result in the file (default: the fit's)", CLI_TEXT,
         &a->name, 0, 0},
        {"replace", 0, NULL, "replace the answer to another question of this name", CLI_FLAG,
         &a->replace, 0, 0},
        {"force", 0, NULL, "replace the file of -o", CLI_FLAG, &a->force, 0, 0},
        {"no-save", 0, NULL, "print only; the file may be read-only", CLI_FLAG, &a->no_save, 0, 0},
        {"break-lock", 0, NULL, "take the file from a process that seems to be alive", CLI_FLAG,
         &a->break_lock, 0, 0},
        {"format", 0, "FORMAT", "text, json, yaml or csv (default text)", CLI_TEXT, &a->format_text,
         0, 0},
        {.name = NULL}};
    const char *words[1];
    const enum mix_status status =
        cli_parse(&cli_verb_optimum, options, argc, argv, 1, 1, words, help, err);
    a->path = words[0];
    return status;
}

/* "1/2048" or "2048". */
static enum mix_status check_lattice(struct asked *a, struct mix_error *err)
{
    const char *text = a->lattice_text;
    char *end = NULL;
    if (text == NULL)
        return MIX_OK;
    if (strncmp(text, "1/", 2) == 0)
        text += 2;
    const unsigned long long q = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (q < 2 || q > MIX_LATTICE_MAX || *end != '\0')
        return mix_fail(err, MIX_EUSAGE, "--lattice \"%s\": not one of 1/2 to 1/%d.",
                        a->lattice_text, MIX_LATTICE_MAX);
    a->lattice = (size_t)q;
    return MIX_OK;
}

static enum mix_status check_constraints(struct asked *a, struct mix_error *err)
{
    size_t goal = 0;
    while (goal < MIX_GOALS && a->goal_text != NULL &&
           strcmp(a->goal_text, mix_goal_names[goal]) != 0)
        goal++;
    if (goal == MIX_GOALS)
        return mix_fail(err, MIX_EUSAGE,
                        "--objective \"%s\": not mean, worst, mean-gain or worst-gain.",
                        a->goal_text);
    a->goal = (enum mix_goal)goal;
    if (a->near != NULL && !mix_near_parse(a->near, &a->distance, &a->radius))
        return mix_fail(err, MIX_EUSAGE,
                        "--near \"%s\": not baseline:tv=X or baseline:kl=X with a positive X.",
                        a->near);
    return check_lattice(a, err);
}

static enum mix_status check_format(struct asked *a, struct mix_error *err)
{
    static const char *const formats[] = {"text", "json", "yaml", "csv"};
    for (size_t i = 0; i < 4; i++) {
        if (a->format_text == NULL || strcmp(a->format_text, formats[i]) == 0) {
            a->format = (enum format)i;
            return MIX_OK;
        }
    }
    return mix_fail(err, MIX_EUSAGE, "--format \"%s\": not text, json, yaml or csv.",
                    a->format_text);
}

/* An export without a scale is that of a stored optimum. */
static bool is_stored(const struct asked *a)
{
    return a->export != NULL && isnan(a->n_params) && isnan(a->n_tokens);
}

static enum mix_status check(struct asked *a, struct mix_error *err)
{
    if ((isnan(a->n_params) || isnan(a->n_tokens)) && !is_stored(a))
        return mix_fail(err, MIX_EUSAGE,
                        "--params and --tokens say which model the mixture is for, for example "
                        "--params 7e9 --tokens 2e12.");
    if (a->output != NULL && a->export == NULL)
        return mix_fail(err, MIX_EUSAGE, "-o is for --export.");
    if (a->name != NULL &&
        (strlen(a->name) >= MIX_NAME_MAX || *a->name == '\0' || strchr(a->name, '/') != NULL))
        return mix_fail(err, MIX_EUSAGE, "--name \"%s\": not 1 to %d bytes without /.", a->name,
                        MIX_NAME_MAX - 1);
    enum mix_status status = cli_check_trainer(a->export, err);
    if (status == MIX_OK)
        status = check_format(a, err);
    return status == MIX_OK ? check_constraints(a, err) : status;
}

static size_t find_name(const char (*names)[MIX_NAME_MAX], size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && strcmp(names[i], name) != 0)
        i++;
    return i;
}

/* Refuse a name that is none of the (n) names; up to 8 of them are listed. */
static enum mix_status unknown_name(const char *option, const char *text, const char *kind,
                                    const char *name, const char (*names)[MIX_NAME_MAX], size_t n,
                                    struct mix_error *err)
{
    enum { LISTED = 8 };
    const char *known[MIX_DOMAINS_MAX] = {NULL};
    char list[LISTED * (MIX_NAME_MAX + 2)] = "";
    const size_t n_known = n < MIX_DOMAINS_MAX ? n : MIX_DOMAINS_MAX;
    for (size_t i = 0; i < n_known; i++)
        known[i] = names[i];
    for (size_t i = 0, used = 0; i < n && i < LISTED; i++)
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", names[i]);
    const char *nearest = cli_nearest(name, known, n_known);
    return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\": the fit has no %s %s%s%s%s has %s%s.", option,
                    text, kind, name, nearest != NULL ? "; did you mean " : "",
                    nearest != NULL ? nearest : "", nearest != NULL ? "? It" : "; it", list,
                    n > LISTED ? ", ..." : "");
}

/* What names and values of an option are about. */
struct naming {
    const char *option, *kind;
    const char (*names)[MIX_NAME_MAX];
    size_t n;
    double most;
    uint8_t *seen; /* (n) */
};

static enum mix_status assign_one(const struct naming *naming, const char *text, double *values,
                                  struct mix_error *err)
{
    char name[MIX_NAME_MAX];
    double value = 0.0;
    const enum mix_status status = cli_parse_assignment(naming->option, text, name, &value, err);
    if (status != MIX_OK)
        return status;
    const size_t at = find_name(naming->names, naming->n, name);
    if (at == naming->n)
        return unknown_name(naming->option, text, naming->kind, name, naming->names, naming->n,
                            err);
    if (naming->seen[at]++ != 0)
        return mix_fail(err, MIX_EUSAGE, "--%s \"%s\": %s is given twice.", naming->option, text,
                        name);
    if (!(value >= 0.0 && value <= naming->most))
        return mix_fail(err, MIX_EUSAGE, "--%s \"%s\": not a number from 0 to %g.", naming->option,
                        text, naming->most);
    values[at] = value;
    return MIX_OK;
}

/* Put the "NAME=VALUE" items of an option, each perhaps several joined by commas, into values by
 * name. */
static enum mix_status assign(struct naming naming, const struct cli_list *list, double *values,
                              struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    naming.seen = calloc(naming.n + 1, sizeof *naming.seen);
    for (size_t i = 0; i < list->n && status == MIX_OK; i++) {
        char *text = strdup(list->item[i]);
        if (naming.seen == NULL || text == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for --%s", naming.option);
        for (char *item = text; item != NULL && status == MIX_OK;) {
            char *comma = strchr(item, ',');
            if (comma != NULL)
                *comma++ = '\0';
            status = assign_one(&naming, item, values, err);
            item = comma;
        }
        free(text);
    }
    free(naming.seen);
    return status;
}

static enum mix_status set_prior(const struct session *s, struct mix_error *err)
{
    double sum = 0.0;
    for (size_t j = 0; j < s->fit->spec.n_domains; j++) {
        const int domain = mix_table_domain(s->table, s->fit->domains[j]);
        s->baseline[j] = domain >= 0 ? s->table->domains[domain].prior : NAN;
        if (!(s->baseline[j] >= 0.0))
            return mix_fail(err, MIX_EINVAL,
                            "--baseline prior: the file does not know the prior of %s (an "
                            "imported table has none); give the mixture as a file of domain,share "
                            "lines",
                            s->fit->domains[j]);
        sum += s->baseline[j];
    }
    for (size_t j = 0; j < s->fit->spec.n_domains; j++)
        s->baseline[j] /= sum;
    return MIX_OK;
}

/* A supply that is given is a limit, unless the law says what repeats are worth. */
static bool is_one_pass(const struct asked *a, const struct mix_fit *fit)
{
    return isnan(a->max_epochs) && a->supplies.n > 0 && !mix_law_repeats(fit->spec.law);
}

/* Rank 0: what the file knows of supply, and what the command line says instead; one pass over what
 * --supply names limits nothing else. */
static enum mix_status resolve_supply(const struct asked *a, struct session *s,
                                      struct naming domains, struct mix_error *err)
{
    bool known = false;
    domains.option = "supply";
    domains.most = 1e18;
    for (size_t j = 0; j < domains.n; j++) {
        const int domain = mix_table_domain(s->table, domains.names[j]);
        s->supply[j] =
            domain >= 0 && !is_one_pass(a, s->fit) ? s->table->domains[domain].supply_tokens : NAN;
    }
    const enum mix_status status = assign(domains, &a->supplies, s->supply, err);
    for (size_t j = 0; j < domains.n; j++)
        known = known || !isnan(s->supply[j]);
    if (status == MIX_OK && a->max_epochs > 0.0 && !known)
        return mix_fail(err, MIX_EUSAGE,
                        "--max-epochs: the file does not know the supply of any domain; give it "
                        "as --supply DOMAIN=TOKENS.");
    return status;
}

/* Rank 0: turn names into numbers. */
static enum mix_status resolve(const struct asked *a, struct session *s, struct mix_error *err)
{
    const struct mix_fit *fit = s->fit;
    const size_t n_domains = fit->spec.n_domains, n_targets = fit->spec.n_targets;
    struct naming domains = {.option = "cap",
                             .kind = "domain",
                             .names = (const char(*)[MIX_NAME_MAX])fit->domains,
                             .n = n_domains,
                             .most = 1.0};
    const struct naming targets = {.option = "weight",
                                   .kind = "target",
                                   .names = (const char(*)[MIX_NAME_MAX])fit->targets,
                                   .n = n_targets,
                                   .most = 1e12};
    for (size_t m = 0; m < n_targets; m++)
        s->weight[m] = NAN;
    for (size_t j = 0; j < n_domains; j++) {
        s->upper[j] = 1.0;
        s->baseline[j] = 1.0 / (double)n_domains;
    }
    enum mix_status status = assign(targets, &a->weights, s->weight, err);
    mix_goal_fill_weights(fit, a->goal, s->weight);
    if (status == MIX_OK)
        status = assign(domains, &a->caps, s->upper, err);
    if (status == MIX_OK)
        status = resolve_supply(a, s, domains, err);
    for (size_t j = 0; j < n_domains; j++)
        s->lower[j] = isnan(a->floor) ? fmin(DEFAULT_FLOOR, s->upper[j]) : a->floor;
    if (status != MIX_OK || a->baseline == NULL || strcmp(a->baseline, "uniform") == 0)
        return status;
    if (strcmp(a->baseline, "prior") == 0)
        return set_prior(s, err);
    return cli_read_mixture(a->baseline, n_domains, domains.names, s->baseline, err);
}

static double passes_allowed(const struct asked *a, const struct mix_fit *fit)
{
    if (!isnan(a->max_epochs))
        return a->max_epochs;
    return is_one_pass(a, fit) ? 1.0 : 0.0;
}

static struct mix_optimum_options make_options(const struct asked *a, const struct session *s)
{
    return (struct mix_optimum_options){.name = a->name,
                                        .n_params = a->n_params,
                                        .n_tokens = a->n_tokens,
                                        .weight = s->weight,
                                        .lower = s->lower,
                                        .upper = s->upper,
                                        .baseline = s->baseline,
                                        .baseline_name =
                                            a->baseline != NULL ? a->baseline : "uniform",
                                        .level = a->level,
                                        .seed = a->seed,
                                        .n_starts = a->n_starts,
                                        .supply = s->supply,
                                        .max_epochs = passes_allowed(a, s->fit),
                                        .within_support = a->within_support,
                                        .goal = a->goal,
                                        .no_worse = a->no_worse,
                                        .distance = a->distance,
                                        .radius = a->radius,
                                        .lattice = a->lattice,
                                        .path = a->show_path,
                                        .n_others = s->n_others,
                                        .others = (const struct mix_fit *const *)s->others};
}

/* The first domain whose bound differs, or n. */
static size_t find_bound(const double *there, const double *asked, size_t n)
{
    size_t j = 0;
    while (j < n && fabs(there[j] - asked[j]) < 1e-9)
        j++;
    return j;
}

/* What differs between a stored answer and what is asked: the first thing that does. */
static void tell_difference(const struct mix_optimum *old, const struct session *s,
                            const struct mix_optimum_options *o, char text[MIX_TEXT_MAX])
{
    const bool is_alike = old->n_domains == s->fit->spec.n_domains;
    const size_t n = is_alike ? old->n_domains : 0, cap = find_bound(old->upper, o->upper, n),
                 floor = find_bound(old->lower, o->lower, n),
                 share = find_bound(old->baseline, o->baseline, n);
    char size[16], tokens[16], now_size[16], now_tokens[16];
    if (strcmp(old->fit, s->fit->name) != 0)
        snprintf(text, MIX_TEXT_MAX, "of the fit %s, not %s", old->fit, s->fit->name);
    else if (!is_alike)
        snprintf(text, MIX_TEXT_MAX, "%zu domains there, %zu asked for", old->n_domains,
                 s->fit->spec.n_domains);
    else if (old->n_params != o->n_params || old->n_tokens != o->n_tokens)
        snprintf(text, MIX_TEXT_MAX, "%s parameters, %s tokens there, %s and %s asked for",
                 cli_size(old->n_params, size), cli_size(old->n_tokens, tokens),
                 cli_size(o->n_params, now_size), cli_size(o->n_tokens, now_tokens));
    else if (cap < n)
        snprintf(text, MIX_TEXT_MAX, "the cap of %s is %g there, %g asked for", old->domains[cap],
                 old->upper[cap], o->upper[cap]);
    else if (share < n)
        snprintf(text, MIX_TEXT_MAX, "another baseline, %s there, %s asked for", old->baseline_name,
                 o->baseline_name);
    else if (floor < n)
        snprintf(text, MIX_TEXT_MAX, "the floor of %s is %g there, %g asked for",
                 old->domains[floor], old->lower[floor], o->lower[floor]);
    else if (old->level != o->level)
        snprintf(text, MIX_TEXT_MAX, "the level is %g there, %g asked for", old->level, o->level);
    else
        snprintf(text, MIX_TEXT_MAX, "weights, supplies or constraints differ; there: %.200s",
                 old->question[0] != '\0' ? old->question : "no constraints");
}

/* An answer of this name to another question is not overwritten unasked. */
static enum mix_status check_name(const struct asked *a, const struct session *s,
                                  struct mix_error *err)
{
    const char *name = a->name != NULL ? a->name : s->fit->name;
    struct mix_optimum *old = NULL;
    if (a->replace || a->no_save)
        return MIX_OK;
    const enum mix_status status = mix_store_read_optimum(s->store, name, &old, err);
    if (status == MIX_ENOTFOUND)
        return mix_fail(err, MIX_OK, "%s", "");
    if (status != MIX_OK)
        return status;
    const struct mix_optimum_options options = make_options(a, s);
    const bool same = mix_optimum_same_question(old, s->table, s->fit, &options);
    char difference[MIX_TEXT_MAX];
    tell_difference(old, s, &options, difference);
    mix_optimum_destroy(old);
    if (same)
        return MIX_OK;
    return mix_fail(err, MIX_EEXIST,
                    "%s holds an optimum %s already, for another question (%s): give this one a "
                    "--name, or --replace that one, or --no-save",
                    a->path, name, difference);
}

/* The name of the only fit of a file. */
static enum mix_status only_fit(struct mix_store *store, char name[MIX_NAME_MAX],
                                struct mix_error *err)
{
    struct mix_names names = {0};
    char list[MIX_TEXT_MAX] = "";
    const enum mix_status status = mix_store_list(store, "fits", &names, err);
    if (status != MIX_OK)
        return status;
    const size_t n = names.n;
    for (size_t i = 0, used = 0; i < n && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "",
                                 names.name[i]);
    if (n == 1)
        memcpy(name, names.name[0], MIX_NAME_MAX);
    mix_names_destroy(&names);
    if (n == 0)
        return mix_fail(err, MIX_ENOTFOUND,
                        "%s has no fit yet: run mixsweep fit %s --law LAW first",
                        mix_store_path(store), mix_store_path(store));
    if (n > 1)
        return mix_fail(err, MIX_EUSAGE, "%s has %zu fits: say which by --fit (%s).",
                        mix_store_path(store), n, list);
    return MIX_OK;
}

enum mix_status cli_read_fit(struct mix_store *store, const char *name, struct mix_fit **fit,
                             struct mix_draws **draws, struct mix_error *err)
{
    char only[MIX_NAME_MAX];
    enum mix_status status = name != NULL ? MIX_OK : only_fit(store, only, err);
    if (status == MIX_OK)
        status = mix_store_read_fit(store, name != NULL ? name : only, fit, err);
    if (status != MIX_OK)
        return status;
    status = mix_store_read_draws(store, (*fit)->name, draws, err);
    if (status == MIX_ENOTFOUND)
        return mix_fail(err, MIX_OK, "%s", "");
    return status;
}

/* Rank 0: open the file and read what is asked about. */
static enum mix_status read_file(const struct asked *a, struct session *s, struct mix_error *err)
{
    enum mix_status status = mix_store_open(a->path, a->no_save ? MIX_STORE_READ : MIX_STORE_WRITE,
                                            a->break_lock, &s->store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(s->store, &s->table, err);
    if (status == MIX_OK)
        status = cli_read_fit(s->store, a->fit, &s->fit, &s->draws, err);
    if (status == MIX_OK)
        status = mix_store_read_fits(s->store, &s->n_others, &s->others, err);
    return status;
}

static enum mix_status make_numbers(struct session *s, struct mix_error *err)
{
    const size_t n_domains = s->fit->spec.n_domains, n_targets = s->fit->spec.n_targets;
    s->n_numbers = n_targets + 4 * n_domains;
    s->numbers = calloc(s->n_numbers, sizeof *s->numbers);
    if (s->numbers == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n_domains);
    s->weight = s->numbers;
    s->lower = s->weight + n_targets;
    s->upper = s->lower + n_domains;
    s->baseline = s->upper + n_domains;
    s->supply = s->baseline + n_domains;
    return MIX_OK;
}

/* Collective: everything of the session on every rank. */
static enum mix_status share(struct mix_ranks *ranks, const struct asked *a, struct session *s,
                             struct mix_error *err)
{
    const bool is_first = mix_ranks_rank(ranks) == 0;
    enum mix_status status = mix_share_table(ranks, &s->table, err);
    if (status == MIX_OK)
        status = mix_share_fit(ranks, &s->fit, err);
    if (status == MIX_OK)
        status = mix_share_draws(ranks, &s->draws, err);
    if (status != MIX_OK)
        return status;
    status = make_numbers(s, err);
    if (status == MIX_OK && is_first)
        status = resolve(a, s, err);
    if (status == MIX_OK && is_first)
        status = check_name(a, s, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        mix_ranks_broadcast(ranks, s->numbers, s->n_numbers * sizeof *s->numbers);
    return status;
}

static enum mix_status find_budget(const struct session *s, const struct mix_optimum *optimum,
                                   struct mix_error_budget *out, struct mix_error *err)
{
    return mix_error_budget_compute(
        s->table, s->fit, s->draws, s->n_others, (const struct mix_fit *const *)s->others,
        optimum->weight, optimum->mixture, optimum->n_params, optimum->n_tokens, out, err);
}

static enum mix_status print(const struct asked *a, const struct session *s,
                             const struct mix_optimum *optimum, struct mix_error *err)
{
    struct mix_error_budget budget;
    if (a->format == TEXT) {
        cli_print_optimum(stdout, a->path, optimum);
        const enum mix_status status = find_budget(s, optimum, &budget, err);
        if (status == MIX_OK)
            cli_print_budget(stdout, &budget);
        return status;
    }
    if (a->format == CSV) {
        cli_print_optimum_csv(stdout, optimum);
        return MIX_OK;
    }
    const enum mix_status status = find_budget(s, optimum, &budget, err);
    if (status != MIX_OK)
        return status;
    json_t *root = cli_json_optimum(optimum);
    if (root == NULL || json_object_set_new(root, "error", cli_json_budget(&budget)) != 0)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", a->path);
    if (a->format == YAML) {
        cli_print_yaml(stdout, root, 0);
    } else {
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
        putchar('\n');
    }
    json_decref(root);
    return MIX_OK;
}

/* Rank 0: into the file, then onto the terminal. */
static enum mix_status finish(const struct asked *a, struct session *s,
                              const struct mix_optimum *optimum, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (!a->no_save) {
        status = mix_store_put_optimum(s->store, optimum, err);
        if (status == MIX_OK)
            status = mix_store_commit(s->store, err);
    }
    if (status != MIX_OK || a->export == NULL)
        return status == MIX_OK ? print(a, s, optimum, err) : status;
    if (a->output == NULL)
        return cli_export_optimum(optimum, a->export, stdout, err);
    status = print(a, s, optimum, err);
    fflush(stdout); /* -o may be the same */
    return status == MIX_OK ? cli_export_optimum(optimum, a->export, s->output.file, err) : status;
}

/* Rank 0: --export without a scale. */
static enum mix_status export_stored(const struct asked *a, struct session *s,
                                     struct mix_error *err)
{
    struct mix_optimum *optimum = NULL;
    struct mix_names names = {0};
    enum mix_status status = mix_store_open(a->path, MIX_STORE_READ, false, &s->store, err);
    if (status == MIX_OK)
        status = mix_store_list(s->store, "optimum", &names, err);
    if (status != MIX_OK)
        return status;
    const char *name = a->name != NULL ? a->name : a->fit;
    if (name == NULL && names.n == 1)
        name = names.name[0];
    if (name == NULL && names.n == 0)
        status = mix_fail(err, MIX_ENOTFOUND,
                          "%s has no optimum yet: give --params and --tokens to find one", a->path);
    else if (name == NULL)
        status =
            mix_fail(err, MIX_EUSAGE, "%s has %zu optima: say which by --name.", a->path, names.n);
    else
        status = mix_store_read_optimum(s->store, name, &optimum, err);
    if (status == MIX_OK)
        status = cli_export_optimum(optimum, a->export, a->output != NULL ? s->output.file : stdout,
                                    err);
    mix_optimum_destroy(optimum);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status find(struct mix_ranks *ranks, const struct asked *a, struct session *s,
                            struct mix_error *err)
{
    struct mix_optimum *optimum = NULL;
    enum mix_status status = share(ranks, a, s, err);
    if (status != MIX_OK)
        return status;
    const struct mix_optimum_options options = make_options(a, s);
    status = mix_optimum_run(ranks, s->table, s->fit, s->draws, &options, &optimum, err);
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0)
        status = finish(a, s, optimum, err);
    mix_optimum_destroy(optimum);
    return status;
}

static enum mix_status answer(struct mix_ranks *ranks, const struct asked *a, struct session *s,
                              struct mix_error *err)
{
    const bool is_first = mix_ranks_rank(ranks) == 0;
    enum mix_status status = MIX_OK;
    if (is_first && a->output != NULL)
        status = cli_output_open(&s->output, a->output, a->force, 1, &a->path, err);
    if (is_first && status == MIX_OK)
        status = is_stored(a) ? export_stored(a, s, err) : read_file(a, s, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK && !is_stored(a))
        status = find(ranks, a, s, err);
    if (s->output.file != NULL)
        status = cli_output_close(&s->output, status, err);
    return mix_ranks_agree(ranks, status, err);
}

static enum mix_status run_optimum(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    struct asked asked = {.n_params = NAN,
                          .n_tokens = NAN,
                          .floor = NAN,
                          .max_epochs = NAN,
                          .level = 0.9,
                          .n_starts = 32,
                          .seed = 1};
    struct session session = {0};
    bool help = false;
    enum mix_status status = parse(argc, argv, &asked, &help, err);
    if (status == MIX_OK && !help)
        status = check(&asked, err);
    if (status != MIX_OK || help)
        return status;
    status = answer(ranks, &asked, &session, err);
    mix_store_close(session.store);
    mix_table_destroy(session.table);
    mix_fit_destroy(session.fit);
    mix_draws_destroy(session.draws);
    mix_fits_destroy(session.n_others, session.others);
    free(session.numbers);
    return status;
}

const struct cli_verb cli_verb_optimum = {
    .name = "optimum",
    .summary = "find the mixture for a large model, with intervals over the bootstrap draws",
    .synopsis = "S.h5 --params N --tokens D [--fit NAME] [OPTIONS]",
    .details =
        "Minimises the weighted mean loss that a fit predicts at N parameters and D tokens, over\n"
        "all mixtures within floors and caps, and asks every bootstrap draw of the fit the same.\n"
        "The answer is printed and kept in the file. Runs under mpirun too.\n\n"
        "  mixsweep optimum sweep.h5 --params 7e9 --tokens 2e12 --cap wikipedia=0.1\n"
        "  mixsweep optimum sweep.h5 --params 7e9 --tokens 2e12 --supply wiki=4e9 \\\n"
        "      --max-epochs 4 --no-worse code --near baseline:tv=0.2 --lattice 1/2048 \\\n"
        "      --export nanotron -o mix.yaml\n",
    .ranks = true,
    .run = run_optimum,
};

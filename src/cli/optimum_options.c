/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum_options.c - the command line of the verb optimum: texts, checked, and as numbers. */
#include "optimum_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double DEFAULT_FLOOR = 1e-4;

static enum mix_status parse_words(int argc, char **argv, struct optimum_asked *a, bool *help,
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
static enum mix_status check_lattice(struct optimum_asked *a, struct mix_error *err)
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

static enum mix_status check_constraints(struct optimum_asked *a, struct mix_error *err)
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
        return mix_fail(
            err, MIX_EUSAGE,
            "--near \"%.80s\": not baseline:tv=X or baseline:kl=X with X above 0, of tv at "
            "most 1.",
            a->near);
    return check_lattice(a, err);
}

static enum mix_status check_format(struct optimum_asked *a, struct mix_error *err)
{
    static const char *const formats[] = {"text", "json", "yaml", "csv"};
    for (size_t i = 0; i < 4; i++) {
        if (a->format_text == NULL || strcmp(a->format_text, formats[i]) == 0) {
            a->format = (enum optimum_format)i;
            return MIX_OK;
        }
    }
    return mix_fail(err, MIX_EUSAGE, "--format \"%s\": not text, json, yaml or csv.",
                    a->format_text);
}

bool optimum_is_stored(const struct optimum_asked *a)
{
    return a->export != NULL && isnan(a->n_params) && isnan(a->n_tokens);
}

static enum mix_status check(struct optimum_asked *a, struct mix_error *err)
{
    if ((isnan(a->n_params) || isnan(a->n_tokens)) && !optimum_is_stored(a))
        return mix_fail(err, MIX_EUSAGE,
                        "--params and --tokens say which model the mixture is for, for example "
                        "--params 7e9 --tokens 2e12.");
    if (a->output != NULL && a->export == NULL)
        return mix_fail(err, MIX_EUSAGE, "-o is for --export.");
    enum mix_status status = a->name != NULL ? cli_check_name("name", a->name, err) : MIX_OK;
    if (status == MIX_OK)
        status = cli_check_trainer(a->export, err);
    if (status == MIX_OK)
        status = check_format(a, err);
    return status == MIX_OK ? check_constraints(a, err) : status;
}

enum mix_status optimum_parse(int argc, char **argv, struct optimum_asked *a, bool *help,
                              struct mix_error *err)
{
    const enum mix_status status = parse_words(argc, argv, a, help, err);
    return status == MIX_OK && !*help ? check(a, err) : status;
}

static size_t find_name(const char (*names)[MIX_NAME_MAX], size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && strcmp(names[i], name) != 0)
        i++;
    return i;
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
        return cli_unknown_name(naming->option, text, "the fit", naming->kind, name, naming->names,
                                naming->n, err);
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

static enum mix_status set_prior(const struct optimum_session *s, struct mix_error *err)
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
static bool is_one_pass(const struct optimum_asked *a, const struct mix_fit *fit)
{
    return isnan(a->max_epochs) && a->supplies.n > 0 && !mix_law_repeats(fit->spec.law);
}

/* Rank 0: what the file knows of supply, and what the command line says instead; one pass over what
 * --supply names limits nothing else. */
static enum mix_status resolve_supply(const struct optimum_asked *a, struct optimum_session *s,
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

static bool any_positive(size_t n, const double *numbers)
{
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any = any || numbers[i] > 0.0;
    return any;
}

/* The targets of --no-worse, which mix_question_guards() reads; all but "all". */
static enum mix_status check_guards(const char *list, const struct naming *targets,
                                    struct mix_error *err)
{
    if (list == NULL || strcmp(list, "all") == 0)
        return MIX_OK;
    for (const char *at = list; at != NULL;) {
        char name[MIX_TEXT_MAX];
        const size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)fmin((double)length, MIX_TEXT_MAX - 1.0), at);
        if (find_name(targets->names, targets->n, name) == targets->n)
            return cli_unknown_name("no-worse", list, "the fit", "target", name, targets->names,
                                    targets->n, err);
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    return MIX_OK;
}

static enum mix_status resolve_baseline(const struct optimum_asked *a,
                                        const struct optimum_session *s, struct mix_error *err)
{
    const struct mix_fit *fit = s->fit;
    if (a->baseline == NULL || strcmp(a->baseline, "uniform") == 0)
        return MIX_OK;
    if (strcmp(a->baseline, "prior") == 0)
        return set_prior(s, err);
    if (access(a->baseline, F_OK) != 0)
        return mix_fail(err, MIX_EIO,
                        "--baseline \"%.80s\": not uniform or prior, and there is no such file.",
                        a->baseline);
    return cli_read_mixture(a->baseline, fit->spec.n_domains,
                            (const char(*)[MIX_NAME_MAX])fit->domains, s->baseline, err);
}

enum mix_status optimum_resolve(const struct optimum_asked *a, struct optimum_session *s,
                                struct mix_error *err)
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
    if (status == MIX_OK && a->weights.n > 0 && !any_positive(n_targets, s->weight))
        status =
            mix_fail(err, MIX_EUSAGE, "--weight: all weights are 0; at least one must not be.");
    if (status == MIX_OK)
        status = check_guards(a->no_worse, &targets, err);
    if (status == MIX_OK)
        status = assign(domains, &a->caps, s->upper, err);
    if (status == MIX_OK)
        status = resolve_supply(a, s, domains, err);
    for (size_t j = 0; j < n_domains; j++)
        s->lower[j] = isnan(a->floor) ? fmin(DEFAULT_FLOOR, s->upper[j]) : a->floor;
    return status == MIX_OK ? resolve_baseline(a, s, err) : status;
}

static double passes_allowed(const struct optimum_asked *a, const struct mix_fit *fit)
{
    if (!isnan(a->max_epochs))
        return a->max_epochs;
    return is_one_pass(a, fit) ? 1.0 : 0.0;
}

struct mix_optimum_options optimum_options(const struct optimum_asked *a,
                                           const struct optimum_session *s)
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

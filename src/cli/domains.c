/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains.c - the verb domains: a sweep whose domains have changed. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "domains_impl.h"

/* ---- the command line */

static enum mix_status parse(int argc, char **argv, struct domains_asked *a, bool *help,
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
        cli_parse(&cli_verb_domains, options, argc, argv, 2, DOMAINS_WORDS, a->word, help, err);
    return status == MIX_OK && !*help ? cli_parse_format(a->format, &a->json, err) : status;
}

/* An option of another word would have no effect. */
static enum mix_status refuse_strays(const struct domains_asked *a, struct mix_error *err)
{
    const struct mix_domains_change *c = &a->change;
    const bool changes = a->what == DOMAINS_CHANGE, plans = a->what == DOMAINS_PLAN;
    const bool adds = changes && c->action == MIX_DOMAINS_ADD;
    const bool revises = changes && c->action == MIX_DOMAINS_REVISE;
    const char *stray = !adds && !isnan(c->prior)                       ? "prior"
                        : !adds && !revises && !isnan(c->supply_tokens) ? "supply"
                        : !adds && !revises && c->content != NULL       ? "content"
                        : !revises && c->new_validation                 ? "new-validation"
                        : !plans && !isnan(a->flops)                    ? "flops"
                        : !changes && a->collapse != NULL               ? "collapse"
                        : !changes && a->n_apart > 0                    ? "apart"
                        : !changes && c->tolerance != MIX_DOMAINS_EXACT ? "tolerance"
                        : !changes && !plans && a->runs != NULL         ? "runs"
                        : !changes && !plans && a->mixture != NULL      ? "mixture"
                        : !changes && !plans && a->n_mixtures > 0       ? "mixtures"
                        : !changes && a->what != DOMAINS_EXPAND && a->output != NULL ? "output"
                                                                                     : NULL;
    return stray == NULL ? MIX_OK
                         : mix_fail(err, MIX_EUSAGE, "%s takes no --%s.", a->word[0], stray);
}

static enum mix_status find_action(struct domains_asked *a, struct mix_error *err)
{
    static const char *const others[] = {
        [DOMAINS_PLAN] = "plan", [DOMAINS_EXPAND] = "expand", [DOMAINS_BOUND] = "bound"};
    const char *word = a->word[0];
    for (size_t i = DOMAINS_PLAN; i <= DOMAINS_BOUND; i++)
        a->what = strcmp(word, others[i]) == 0 ? (enum domains_word)i : a->what;
    const size_t n_files = a->what == DOMAINS_BOUND ? 2 : 1;
    if (a->what != DOMAINS_CHANGE && a->word[1 + n_files] != NULL)
        return mix_fail(err, MIX_EUSAGE, "%s takes %s only; \"%.80s\" is one word too many.", word,
                        n_files == 1 ? "a file" : "two files", a->word[1 + n_files]);
    if (a->what == DOMAINS_BOUND && a->word[2] == NULL)
        return mix_fail(err, MIX_EUSAGE, "bound takes two files, REST.h5 and the one before it.");
    if (a->what != DOMAINS_CHANGE)
        return refuse_strays(a, err);
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
    if (a->output == NULL)
        return mix_fail(err, MIX_EUSAGE, "where to? Give -o NEW.h5.");
    if (a->runs != NULL && strcmp(a->runs, a->output) == 0)
        return mix_fail(err, MIX_EUSAGE, "-o and --runs are both %s: give two names.", a->runs);
    return refuse_strays(a, err);
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

enum mix_status domains_read(const struct domains_asked *a, struct domains_session *s,
                             struct mix_error *err)
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
    if (status == MIX_ENOTFOUND && s->table != NULL && a->optimum != NULL)
        return cli_unknown_result(s->store, "optimum", "optimum", "optimum", a->optimum, err);
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

static void close_session(struct domains_session *s)
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

/* ---- expand: the optimum of collapsed domains for all of them */

static void print_expanded(const struct domains_asked *a, FILE *out, size_t n,
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
        fputc(',', out);
        cli_csv_number(out, shares[k]);
        fputc('\n', out);
    }
}

static enum mix_status expand(const struct domains_asked *a, struct domains_session *s,
                              struct mix_error *err)
{
    double shares[MIX_DOMAINS_MAX];
    struct cli_output output = {.file = NULL};
    char(*names)[MIX_NAME_MAX] = calloc(MIX_DOMAINS_MAX, sizeof *names);
    enum mix_status status =
        names != NULL ? domains_read(a, s, err) : mix_fail(err, MIX_ENOMEM, "out of memory.");
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

static enum mix_status ask_bound(const struct domains_asked *a, struct domains_session *s,
                                 const struct domains_session *before, struct mix_error *err)
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

static enum mix_status bound(const struct domains_asked *a, struct domains_session *s,
                             struct mix_error *err)
{
    struct domains_session before = {.store = NULL};
    struct domains_asked first = *a, other = *a;
    first.fit = NULL; /* that of the optimum */
    other.word[1] = a->word[2];
    other.optimum = NULL;
    enum mix_status status = domains_read(&first, s, err);
    if (status == MIX_OK)
        status = domains_read(&other, &before, err);
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
    struct domains_asked *a = calloc(1, sizeof *a);
    struct domains_session *s = calloc(1, sizeof *s);
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
    status = a->what == DOMAINS_PLAN     ? domains_make_plan(a, s, err)
             : a->what == DOMAINS_EXPAND ? expand(a, s, err)
             : a->what == DOMAINS_BOUND  ? bound(a, s, err)
                                         : domains_change(a, s, err);
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
        "supposed. A law that need not be convex in the mixture gives no bound, only what its\n"
        "slopes promise, and that is said. --apart N leaves out the N domains for which it is\n"
        "largest. Once NEW.h5 has an optimum, bound NEW.h5 S.h5 says it by what the change has\n"
        "really moved.\n"
        "\n"
        "  mixsweep domains add S.h5 math --supply 2e11 -o NEW.h5 --runs math.csv\n"
        "  mixsweep domains split S.h5 web news=0.6 forum=0.4 -o NEW.h5\n"
        "  mixsweep domains revise S.h5 code --content v2 --tolerance 0.01 -o NEW.h5\n",
    .run = run_domains,
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains_print.c - what the verb domains says, and the history that it keeps in the file. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "domains_impl.h"

/* ---- the history: a JSON object a line */

static json_t *json_rows(const struct mix_domains_outcome *outcome)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I}", "valid", (json_int_t)outcome->n[MIX_DOMAINS_VALID], "near",
        (json_int_t)outcome->n[MIX_DOMAINS_NEAR], "void", (json_int_t)outcome->n[MIX_DOMAINS_VOID],
        "excluded_before", (json_int_t)outcome->n[MIX_DOMAINS_BEFORE], "left_out",
        (json_int_t)outcome->n[MIX_DOMAINS_GONE]);
}

/* NULL becomes null. */
static json_t *json_text(const char *text)
{
    return text != NULL && *text != '\0' ? json_string(text) : json_null();
}

static double risk(const struct mix_domains_reuse *reuse, size_t part)
{
    return reuse->gain[part] + MIX_DOMAINS_SPREAD * reuse->coupling[part];
}

size_t domains_most_at_risk(const struct domains_step *step)
{
    size_t most = 0;
    for (size_t i = 1; i < step->change.n_parts; i++)
        if (risk(&step->reuse, i) > risk(&step->reuse, most))
            most = i;
    return most;
}

static json_t *json_reuse(const struct domains_step *step)
{
    const struct mix_domains_reuse *reuse = &step->reuse;
    if (!step->has_reuse)
        return json_null();
    json_t *coupling = json_object();
    for (size_t i = 0; i < step->change.n_parts; i++)
        if (json_object_set_new(coupling, step->change.parts[i].name,
                                cli_json_number(reuse->coupling[i])) != 0) {
            json_decref(coupling);
            return NULL;
        }
    return json_pack("{s:o, s:o, s:b, s:s, s:o, s:I}", "loss", cli_json_number(reuse->loss),
                     "loss_high", cli_json_number(reuse->high), "is_bound", reuse->is_bound,
                     "towards", step->change.parts[reuse->most].name, "coupling", coupling,
                     "unknown_targets", (json_int_t)reuse->n_unknown);
}

static json_t *json_step(const struct domains_step *step)
{
    const struct mix_domains_change *c = &step->change;
    json_t *parts = json_object(), *bound = json_null();
    for (size_t i = 0; i < c->n_parts; i++)
        json_object_set_new(parts, c->parts[i].name, json_real(c->parts[i].proportion));
    if (step->bound.n_rows > 0)
        bound = json_pack("{s:o, s:o, s:s, s:s, s:o}", "loss", cli_json_number(step->bound.loss),
                          "rms", cli_json_number(step->bound.rms), "run", step->bound.run, "target",
                          step->bound.target, "noise", cli_json_number(step->bound.noise));
    return json_pack(
        "{s:s, s:s, s:o, s:b, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "action",
        mix_domains_action_names[c->action], "domain", c->domain, "parts", parts, "virtual",
        c->is_virtual, "tolerance", c->tolerance, "content", json_text(c->content), "rows",
        json_rows(&step->outcome), "reason",
        step->outcome.n[MIX_DOMAINS_VOID] > 0 ? json_text(step->outcome.reason) : json_null(),
        "targets", json_text(step->outcome.targets), "bound", bound, "reuse", json_reuse(step));
}

char *domains_history_add(const char *history, const char *from, const struct domains_step *step)
{
    const char *name = strrchr(from, '/') != NULL ? strrchr(from, '/') + 1 : from;
    json_t *line = json_step(step);
    char *text = NULL, *all = NULL;
    if (line != NULL && json_object_set_new(line, "from", json_string(name)) == 0)
        text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(line);
    if (text == NULL)
        return NULL;
    const size_t n_bytes = strlen(history) + strlen(text) + 2;
    all = malloc(n_bytes);
    if (all != NULL)
        (void)snprintf(all, n_bytes, "%s%s%s", history, *history != '\0' ? "\n" : "", text);
    free(text);
    return all;
}

/* The changes of a history as a list; NULL with a sentence where it is damaged. */
static json_t *read_history(const char *history, struct mix_error *err)
{
    json_t *list = json_array();
    while (list != NULL && *history != '\0') {
        const size_t n = strcspn(history, "\n");
        json_t *line = json_loadb(history, n, 0, NULL);
        if (!json_is_object(line) || json_array_append_new(list, line) != 0) {
            json_decref(list);
            list = NULL;
            break;
        }
        history += n + (history[n] == '\n');
    }
    if (list == NULL)
        (void)mix_fail(err, MIX_EFORMAT,
                       "the history of changes in the file is damaged: it is not JSON lines");
    return list;
}

static bool same_member(const json_t *a, const json_t *b, const char *name)
{
    const json_t *left = json_object_get(a, name), *right = json_object_get(b, name);
    return left == right || json_equal(left, right);
}

/* Whether the first n of a list have a step: 1 yes, -1 only another one of that kind to that
 * domain, 0 no. */
static int find_step(const json_t *list, size_t n, const json_t *step)
{
    int found = 0;
    for (size_t i = 0; i < n && found != 1; i++) {
        const json_t *known = json_array_get(list, i);
        if (same_member(known, step, "action") && same_member(known, step, "domain"))
            found =
                same_member(known, step, "parts") && same_member(known, step, "content") ? 1 : -1;
    }
    return found;
}

/* JSON lines; NULL when memory is out. */
static char *print_history(const json_t *list)
{
    char *all = calloc(1, 1);
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list) && all != NULL; i++) {
        char *line = json_dumps(json_array_get(list, i), JSON_COMPACT | JSON_REAL_PRECISION(17));
        char *larger = line != NULL ? realloc(all, n + strlen(line) + 2) : NULL;
        if (larger == NULL) {
            free(line);
            free(all);
            return NULL;
        }
        all = larger;
        n += (size_t)sprintf(all + n, "%s%s", n > 0 ? "\n" : "", line);
        free(line);
    }
    return all;
}

enum mix_status domains_history_join(const char *mine, const char *other, const char *path,
                                     char **joined, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    json_t *list = read_history(mine, err), *more = read_history(other, err);
    const size_t n_mine = json_array_size(list);
    if (list == NULL || more == NULL)
        status = MIX_EFORMAT;
    for (size_t i = 0; i < json_array_size(more) && status == MIX_OK; i++) {
        json_t *step = json_array_get(more, i);
        const int found = find_step(list, n_mine, step);
        if (found < 0)
            status = mix_fail(err, MIX_EINVAL,
                              "%s: \"%s %s\" has other parts, proportions or content in it than "
                              "in the files before it; `mixsweep domains` makes files of one kind",
                              path, json_string_value(json_object_get(step, "action")),
                              json_string_value(json_object_get(step, "domain")));
        else if (found == 0 && json_array_append(list, step) != 0)
            status = mix_fail(err, MIX_ENOMEM, "%s: no memory for its history", path);
    }
    if (status == MIX_OK && (*joined = print_history(list)) == NULL)
        status = mix_fail(err, MIX_ENOMEM, "%s: no memory for its history", path);
    json_decref(list);
    json_decref(more);
    return status;
}

static void mark(const struct mix_table *table, const char *name, uint8_t *changed)
{
    const int k = name != NULL ? mix_table_domain(table, name) : -1;
    if (k >= 0)
        changed[k] = 1;
}

enum mix_status domains_history_changed(const char *history, const struct mix_table *table,
                                        uint8_t *changed, struct mix_error *err)
{
    json_t *list = read_history(history, err);
    if (list == NULL)
        return MIX_EFORMAT;
    size_t n = json_array_size(list);
    while (n > 0 && json_is_true(json_object_get(json_array_get(list, n - 1), "virtual")))
        n--;
    const json_t *last = json_array_get(list, n - 1);
    const char *name, *action = json_string_value(json_object_get(last, "action"));
    json_t *share;
    if (n > 0 && action != NULL && strcmp(action, "split") == 0) {
        json_object_foreach(json_object_get(last, "parts"), name, share) mark(table, name, changed);
    } else if (n > 0) {
        mark(table, json_string_value(json_object_get(last, "domain")), changed);
    }
    json_decref(list);
    return n > 0 ? MIX_OK : mix_fail(err, MIX_ENOTFOUND, "no domain of the file has changed");
}

enum mix_status domains_history_kept(const char *history, char domain[MIX_NAME_MAX],
                                     struct mix_domains_part *parts, size_t *n,
                                     struct mix_error *err)
{
    json_t *list = read_history(history, err), *share;
    const char *name;
    size_t i = json_array_size(list);
    while (i > 0 && !json_is_true(json_object_get(json_array_get(list, i - 1), "virtual")))
        i--;
    const json_t *step = i > 0 ? json_array_get(list, i - 1) : NULL;
    *n = 0;
    json_object_foreach(json_object_get(step, "parts"), name, share)
    {
        if (*n == MIX_DOMAINS_MAX)
            break;
        (void)snprintf(parts[*n].name, MIX_NAME_MAX, "%s", name);
        parts[(*n)++].proportion = json_number_value(share);
    }
    name = json_string_value(json_object_get(step, "domain"));
    (void)snprintf(domain, MIX_NAME_MAX, "%s", name != NULL ? name : "");
    const bool is_damaged = list == NULL;
    json_decref(list);
    if (is_damaged)
        return MIX_EFORMAT;
    return *n > 0 ? MIX_OK
                  : mix_fail(err, MIX_ENOTFOUND, "no domains of the file have been collapsed");
}

/* Put the parts of a virtual domain in its place. */
static enum mix_status expand_step(const json_t *step, char (*names)[MIX_NAME_MAX], double *shares,
                                   size_t *n, struct mix_error *err)
{
    const char *domain = json_string_value(json_object_get(step, "domain")), *name;
    json_t *part;
    size_t at = 0;
    while (domain != NULL && at < *n && strcmp(names[at], domain) != 0)
        at++;
    if (domain == NULL || at == *n) /* it was dropped, split or merged since */
        return MIX_OK;
    const double share = shares[at];
    memmove(names + at, names + at + 1, (*n - at - 1) * sizeof *names);
    memmove(shares + at, shares + at + 1, (*n - at - 1) * sizeof *shares);
    --*n;
    json_object_foreach(json_object_get(step, "parts"), name, part)
    {
        if (*n == MIX_DOMAINS_MAX)
            return mix_fail(err, MIX_EFORMAT, "there are more than %d domains behind the mixture",
                            MIX_DOMAINS_MAX);
        (void)snprintf(names[*n], MIX_NAME_MAX, "%s", name);
        shares[(*n)++] = share * json_number_value(part);
    }
    return MIX_OK;
}

enum mix_status domains_history_expand(const char *history, char (*names)[MIX_NAME_MAX],
                                       double *shares, size_t *n, struct mix_error *err)
{
    json_t *list = read_history(history, err);
    enum mix_status status = list != NULL ? MIX_OK : MIX_EFORMAT;
    for (size_t i = json_array_size(list); status == MIX_OK && i-- > 0;) {
        const json_t *step = json_array_get(list, i);
        if (json_is_true(json_object_get(step, "virtual")))
            status = expand_step(step, names, shares, n, err);
    }
    json_decref(list);
    return status;
}

/* ---- for people */

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_change(const struct mix_domains_change *c)
{
    static const char *const links[MIX_DOMAINS_ACTIONS] = {"", " into", " out of", "", ""};
    printf("%s %s%s", mix_domains_action_names[c->action], c->domain, links[c->action]);
    for (size_t i = 0; i < c->n_parts; i++)
        printf("%s %s %.4g", i > 0 ? "," : "", c->parts[i].name, c->parts[i].proportion);
}

static void print_bound(const struct mix_domains_bound *bound)
{
    if (bound->n_rows == 0)
        return;
    printf("  bound     %zu of the valid rows only within the tolerance: their losses are off by "
           "%.2g (root mean square)\n"
           "            and by %.2g at most (%s of run %s)",
           bound->n_rows, bound->rms, bound->loss, bound->target, bound->run);
    if (isnan(bound->noise))
        printf(", if none changes faster than between the steepest pair of runs\n");
    else
        printf(", by the fit, whose residuals are %.2g\n", bound->noise);
}

/* Rounding is no loss. */
static void print_loss(double loss)
{
    printf("%.2g", loss > 1e-7 ? loss : 0);
}

static void print_cost(const struct mix_domains_reuse *reuse)
{
    printf("no other proportions are better by more than ");
    print_loss(reuse->loss);
    if (!isnan(reuse->high)) {
        printf(" (");
        print_loss(reuse->high);
        printf(" by 95 in 100 draws)");
    }
}

/* What the figures above are short of. */
static void print_limits(const struct mix_domains_reuse *reuse)
{
    if (!reuse->is_bound)
        printf("            no bound: that is what slopes promise, and the law need not be convex "
               "in the mixture\n");
    if (reuse->n_unknown > 0)
        printf("            of %zu target%s that the fit does not know nothing is said\n",
               reuse->n_unknown, plural(reuse->n_unknown));
}

/* Before the change has any runs. */
static void print_reuse(const struct domains_step *step)
{
    const size_t most = domains_most_at_risk(step);
    if (!step->has_reuse)
        return;
    printf("  kept      today ");
    print_cost(&step->reuse);
    printf(";\n            by ");
    print_loss(risk(&step->reuse, most));
    printf(" where the change makes a difference of %.0f%% in what targets gain from data: most by "
           "%s (--apart leaves it out)\n",
           100 * MIX_DOMAINS_SPREAD, step->change.parts[most].name);
    print_limits(&step->reuse);
}

enum mix_status domains_print_reuse(const struct domains_step *step, bool json,
                                    struct mix_error *err)
{
    const struct mix_domains_change *c = &step->change;
    if (json) {
        json_t *root = json_reuse(step);
        if (root == NULL)
            return mix_fail(err, MIX_EINVAL, "a name in the file is not UTF-8");
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        putchar('\n');
        json_decref(root);
        return MIX_OK;
    }
    printf("%s is", c->domain);
    for (size_t i = 0; i < c->n_parts; i++)
        printf("%s %s %.4g", i > 0 ? "," : "", c->parts[i].name, c->parts[i].proportion);
    printf("\n  kept      ");
    print_cost(&step->reuse);
    if (step->reuse.loss > 0)
        printf(", with more of %s", c->parts[step->reuse.most].name);
    printf("\n");
    print_limits(&step->reuse);
    return MIX_OK;
}

static void print_step(const struct domains_step *step)
{
    const struct mix_domains_outcome *o = &step->outcome;
    const size_t n_valid = o->n[MIX_DOMAINS_VALID] + o->n[MIX_DOMAINS_NEAR];
    printf("  rows      %zu valid", n_valid);
    if (o->n[MIX_DOMAINS_VOID] > 0)
        printf(", %zu not any more: %s", o->n[MIX_DOMAINS_VOID], o->reason);
    printf("\n");
    if (o->n[MIX_DOMAINS_BEFORE] > 0)
        printf("            %zu had failed or were excluded before\n", o->n[MIX_DOMAINS_BEFORE]);
    if (o->n[MIX_DOMAINS_GONE] > 0)
        printf("            %zu left out: they had nothing but %s\n", o->n[MIX_DOMAINS_GONE],
               step->change.domain);
    if (o->targets[0] != '\0')
        printf("  targets   %s\n", o->targets);
    print_bound(&step->bound);
    print_reuse(step);
}

void domains_print_plan(const struct mix_table *table, const struct domains_plan *plan,
                        const char *runs)
{
    if (plan->n_mixtures == 0) {
        printf("  to add    nothing more is needed\n");
        return;
    }
    printf("  to add    %zu mixture%s of", plan->n_mixtures, plural(plan->n_mixtures));
    size_t n = 0;
    for (size_t k = 0; k < table->n_domains; k++)
        if (plan->changed[k])
            printf("%s %s", n++ > 0 ? "," : "", table->domains[k].name);
    if (plan->n_changed + 1 < table->n_domains)
        printf(" and the other %zu in fixed proportions (%s)", table->n_domains - plan->n_changed,
               plan->source);
    for (size_t k = 0; plan->n_changed + 1 == table->n_domains && k < table->n_domains; k++)
        if (!plan->changed[k])
            printf(" and %s", table->domains[k].name);
    if (plan->n_scales > 0)
        printf("; at the %zu scale%s of the file %zu runs, %.2g FLOP", plan->n_scales,
               plural(plan->n_scales), plan->n_scales * plan->n_mixtures, plan->flops);
    printf("%s%s\n", runs != NULL ? " -> " : "", runs != NULL ? runs : "");
    if (plan->n_touched > 0 && plan->n_touched + 1 < plan->n_changed)
        printf(
            "note: that many as few old runs say something of all targets; --collapse NAME takes "
            "%zu and leaves the others' proportions as they are\n",
            3 * (plan->n_touched + 2));
}

void domains_print(const char *from, const char *to, const struct domains_step *steps,
                   size_t n_steps, const struct domains_plan *plan, const char *runs)
{
    for (size_t i = 0; i < n_steps; i++) {
        print_change(&steps[i].change);
        printf(i == 0 ? ": %s -> %s\n" : "\n", from, to);
        print_step(&steps[i]);
    }
    domains_print_plan(steps[n_steps - 1].outcome.table, plan, runs);
    if (steps[0].change.action == MIX_DOMAINS_DROP)
        printf("note: what the old runs say of mixtures without %s: mixsweep optimum %s --cap "
               "%s=0\n",
               steps[0].change.domain, from, steps[0].change.domain);
    if (runs != NULL && plan->n_mixtures > 0)
        printf("next: a job of these domains and targets with file: %s and design: {file: %s}; "
               "mixsweep sweep makes the runs\n",
               to, runs);
}

json_t *domains_json_plan(const struct mix_table *table, const struct domains_plan *plan,
                          const char *runs)
{
    json_t *mixtures = json_array(), *changed = json_array();
    for (size_t k = 0; k < table->n_domains; k++)
        if (plan->changed[k])
            json_array_append_new(changed, json_string(table->domains[k].name));
    for (size_t i = 0; i < plan->n_mixtures; i++) {
        json_t *mixture = json_object();
        for (size_t k = 0; k < table->n_domains; k++)
            json_object_set_new(mixture, table->domains[k].name,
                                json_real(plan->mixtures[i * table->n_domains + k]));
        json_array_append_new(mixtures, mixture);
    }
    return json_pack("{s:o, s:s, s:o, s:I, s:f, s:o}", "explores", changed, "fixed", plan->source,
                     "mixtures", mixtures, "scales", (json_int_t)plan->n_scales, "flops",
                     plan->flops, "file", json_text(runs));
}

enum mix_status domains_print_json(const char *to, const struct domains_step *steps, size_t n_steps,
                                   const struct domains_plan *plan, const char *runs,
                                   struct mix_error *err)
{
    const struct mix_table *table = steps[n_steps - 1].outcome.table;
    json_t *changes = json_array(), *domains = json_array();
    for (size_t i = 0; i < n_steps; i++)
        json_array_append_new(changes, json_step(&steps[i]));
    for (size_t k = 0; k < table->n_domains; k++)
        json_array_append_new(domains, json_string(table->domains[k].name));
    json_t *root = json_pack("{s:s, s:o, s:o, s:o}", "file", to, "changes", changes, "domains",
                             domains, "plan", domains_json_plan(table, plan, runs));
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s: a name is not UTF-8.", to);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains.c - the table of runs after a change of domains; see domains.h. */
#include "mixsweep/domains.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

static const double SUM_TOLERANCE = 1e-6; /* of proportions */

const char *const mix_domains_action_names[MIX_DOMAINS_ACTIONS] = {"add", "split", "merge",
                                                                   "revise", "drop"};

/* Where a domain or target of the new table comes from. */
struct origin {
    int old;     /* of the old table; -1 = it is new */
    size_t part; /* of the split; SIZE_MAX = not of it */
    bool merged;
};

/* A change while it is made. */
struct build {
    const struct mix_table *old;
    const struct mix_domains_change *change;
    struct mix_table *new;
    int domain;                            /* old index of the domain; -1 = it is new */
    int part[MIX_DOMAINS_MAX];             /* merge: old indices of the parts */
    uint8_t leaves[MIX_DOMAINS_MAX];       /* (K) old domains that are none any more */
    size_t n_domains, n_targets;           /* new */
    struct origin origin[MIX_DOMAINS_MAX]; /* (n_domains) */
    struct origin *target;                 /* (n_targets) */
    double prior[MIX_DOMAINS_MAX], supply[MIX_DOMAINS_MAX]; /* (K) old */
    bool averages; /* merge: the loss of the new domain is the mean of those of its parts */
    struct mix_domains_outcome *out;
};

/* ---- is the change possible? */

static enum mix_status no_domain(const struct mix_table *table, const char *name,
                                 struct mix_error *err)
{
    char list[MIX_TEXT_MAX] = "";
    size_t used = 0;
    for (size_t k = 0; k < table->n_domains && used < sizeof list; k++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", k > 0 ? ", " : "",
                                 table->domains[k].name);
    return mix_fail(err, MIX_EINVAL, "there is no domain \"%.80s\"; there are %.400s", name, list);
}

static enum mix_status check_name(const struct mix_table *table, const char *name,
                                  struct mix_error *err)
{
    if (name[0] == '\0' || strlen(name) >= MIX_NAME_MAX)
        return mix_fail(err, MIX_EINVAL,
                        "\"%.80s\" cannot name a domain: 1 to %d bytes are allowed", name,
                        MIX_NAME_MAX - 1);
    const size_t n = strlen(name), good = strcspn(name, MIX_NOT_IN_NAMES);
    if (good < n)
        return mix_fail(err, MIX_EINVAL,
                        "a name has none of , = < > ! [ ] \" and /, but \"%s\" has %c", name,
                        name[good]);
    if (name[0] == ' ' || name[n - 1] == ' ')
        return mix_fail(err, MIX_EINVAL, "\"%s\": a name neither begins nor ends with a space",
                        name);
    if (mix_table_domain(table, name) >= 0)
        return mix_fail(err, MIX_EINVAL, "there is a domain \"%s\" already; give another name",
                        name);
    return MIX_OK;
}

static enum mix_status count_parts(const struct mix_domains_change *c, struct mix_error *err)
{
    return c->n_parts >= 2 && c->n_parts <= MIX_DOMAINS_MAX
               ? MIX_OK
               : mix_fail(err, MIX_EINVAL, "%s of %s: give 2 to %d parts, not %zu",
                          mix_domains_action_names[c->action], c->domain, MIX_DOMAINS_MAX,
                          c->n_parts);
}

static enum mix_status check_parts(const struct build *b, struct mix_error *err)
{
    const struct mix_domains_change *c = b->change;
    double sum = 0;
    for (size_t i = 0; i < c->n_parts; i++) {
        if (!(c->parts[i].proportion > 0 && c->parts[i].proportion < 1))
            return mix_fail(err, MIX_EINVAL,
                            "the proportion %g of %s is not between 0 and 1 (both excluded)",
                            c->parts[i].proportion, c->parts[i].name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->parts[i].name, c->parts[j].name) == 0)
                return mix_fail(err, MIX_EINVAL, "%s is named twice", c->parts[i].name);
        sum += c->parts[i].proportion;
    }
    if (!(fabs(sum - 1) <= SUM_TOLERANCE))
        return mix_fail(err, MIX_EINVAL,
                        "the proportions in %s sum to %.10g; they must sum to 1 within %g",
                        c->domain, sum, SUM_TOLERANCE);
    return MIX_OK;
}

/* Find what is named, and say which old domains leave. */
static enum mix_status find_domains(struct build *b, struct mix_error *err)
{
    const struct mix_domains_change *c = b->change;
    const bool is_new = c->action == MIX_DOMAINS_ADD || c->action == MIX_DOMAINS_MERGE;
    const bool has_parts = c->action == MIX_DOMAINS_SPLIT || c->action == MIX_DOMAINS_MERGE;
    enum mix_status status = MIX_OK;
    b->domain = is_new ? -1 : mix_table_domain(b->old, c->domain);
    if (is_new)
        status = check_name(b->old, c->domain, err);
    else if (b->domain < 0)
        status = no_domain(b->old, c->domain, err);
    if (status == MIX_OK && has_parts)
        status = count_parts(c, err);
    for (size_t i = 0; status == MIX_OK && i < c->n_parts; i++) {
        if (c->action == MIX_DOMAINS_SPLIT) {
            status = check_name(b->old, c->parts[i].name, err);
            continue;
        }
        b->part[i] = mix_table_domain(b->old, c->parts[i].name);
        if (b->part[i] < 0)
            return no_domain(b->old, c->parts[i].name, err);
        b->leaves[b->part[i]] = 1;
    }
    if (status == MIX_OK && has_parts)
        status = check_parts(b, err);
    if (status == MIX_OK && (c->action == MIX_DOMAINS_SPLIT || c->action == MIX_DOMAINS_DROP))
        b->leaves[b->domain] = 1;
    if (status == MIX_OK && c->action == MIX_DOMAINS_REVISE && c->content != NULL &&
        c->content[0] != '\0' && strcmp(c->content, b->old->domains[b->domain].content) == 0)
        return mix_fail(err, MIX_EINVAL, "the content of %s is %s already; give another label",
                        c->domain, c->content);
    if (status == MIX_OK && !(c->tolerance >= MIX_DOMAINS_EXACT && c->tolerance < 1))
        return mix_fail(err, MIX_EINVAL, "a tolerance of %g is not from %g to below 1",
                        c->tolerance, MIX_DOMAINS_EXACT);
    return status;
}

/* ---- the new columns */

static void add_origin(struct build *b, struct origin origin)
{
    if (b->n_domains < MIX_DOMAINS_MAX)
        b->origin[b->n_domains] = origin;
    b->n_domains++;
}

/* What takes the place of an old domain: itself, its parts, what it is merged into, nothing. */
static void replace(struct build *b, int k, bool *merged)
{
    const struct mix_domains_change *c = b->change;
    if (!b->leaves[k])
        add_origin(b, (struct origin){.old = k, .part = SIZE_MAX});
    else if (c->action == MIX_DOMAINS_SPLIT)
        for (size_t i = 0; i < c->n_parts; i++)
            add_origin(b, (struct origin){.old = k, .part = i});
    else if (c->action == MIX_DOMAINS_MERGE && !*merged) {
        add_origin(b, (struct origin){.old = -1, .part = SIZE_MAX, .merged = true});
        *merged = true;
    }
}

static enum mix_status plan_domains(struct build *b, struct mix_error *err)
{
    bool merged = false;
    for (size_t k = 0; k < b->old->n_domains; k++)
        replace(b, (int)k, &merged);
    if (b->change->action == MIX_DOMAINS_ADD)
        add_origin(b, (struct origin){.old = -1, .part = SIZE_MAX});
    if (b->n_domains == 0 || b->n_domains > MIX_DOMAINS_MAX)
        return mix_fail(err, MIX_EINVAL, "%zu domains would be left; 1 to %d are allowed",
                        b->n_domains, MIX_DOMAINS_MAX);
    return MIX_OK;
}

/* A share, prior or supply of new domain k out of those of the old domains. The last part is what
 * the others leave, so that the sum is what it was. */
static double carry(const struct build *b, const double *old, size_t k)
{
    const struct mix_domains_change *c = b->change;
    const struct origin *o = &b->origin[k];
    double value = o->old >= 0 ? old[o->old] : 0;
    for (size_t i = 0; o->merged && i < c->n_parts; i++)
        value += old[b->part[i]];
    if (o->part == SIZE_MAX)
        return value;
    if (o->part + 1 < c->n_parts)
        return value * c->parts[o->part].proportion;
    double left = value;
    for (size_t i = 0; i + 1 < c->n_parts; i++)
        left -= value * c->parts[i].proportion;
    return isnan(left) ? left : fmax(left, 0);
}

static void name_domain(const struct build *b, size_t k, struct mix_domain *domain)
{
    const struct mix_domains_change *c = b->change;
    const struct origin *o = &b->origin[k];
    const char *name = o->part != SIZE_MAX ? c->parts[o->part].name : c->domain;
    const bool is_added = c->action == MIX_DOMAINS_ADD && o->old < 0;
    const bool is_revised = c->action == MIX_DOMAINS_REVISE && o->old == b->domain;
    if (o->old >= 0 && o->part == SIZE_MAX)
        *domain = b->old->domains[o->old];
    else
        (void)snprintf(domain->name, sizeof domain->name, "%s", name);
    domain->prior = is_added ? c->prior : carry(b, b->prior, k);
    domain->supply_tokens = is_added ? c->supply_tokens : carry(b, b->supply, k);
    if (c->action == MIX_DOMAINS_DROP && b->prior[b->domain] < 1)
        domain->prior /= 1 - b->prior[b->domain];
    if (c->action == MIX_DOMAINS_ADD && !is_added && !isnan(c->prior))
        domain->prior *= 1 - c->prior;
    if (is_revised && !isnan(c->supply_tokens))
        domain->supply_tokens = c->supply_tokens;
    if (is_added || is_revised) {
        (void)snprintf(domain->content, sizeof domain->content, "%s",
                       c->content != NULL ? c->content : "");
        domain->files[0] = '\0';
    }
}

/* ---- the targets */

static bool is_measured(const struct mix_table *table, size_t m)
{
    for (size_t r = 0; r < table->n_rows; r++)
        if (!isnan(table->loss[r * table->n_targets + m]))
            return true;
    return false;
}

/* The target of an old domain, or -1. */
static int target_of(const struct mix_table *table, int domain)
{
    for (size_t m = 0; m < table->n_targets; m++)
        if (domain >= 0 && table->targets[m].domain == domain)
            return (int)m;
    return -1;
}

static void note_target(struct build *b, const char *name, const char *what)
{
    char *text = b->out->targets;
    const size_t used = strlen(text);
    (void)snprintf(text + used, MIX_TEXT_MAX - used, "%s%s %s", used > 0 ? "; " : "", name, what);
}

/* Old targets that stay; a domain that leaves takes with it a target that was never measured. */
static void keep_targets(struct build *b)
{
    for (size_t m = 0; m < b->old->n_targets; m++) {
        const struct mix_target *target = &b->old->targets[m];
        const bool is_left = target->domain >= 0 && b->leaves[target->domain];
        if (is_left && !is_measured(b->old, m)) {
            note_target(b, target->name, "goes (never measured)");
            continue;
        }
        if (is_left)
            note_target(b, target->name, "stays a validation set, of no training domain");
        b->target[b->n_targets++] = (struct origin){.old = (int)m, .part = SIZE_MAX};
    }
}

/* Whether all parts of a merge are targets that can be averaged. */
static bool parts_are_targets(const struct build *b)
{
    const struct mix_table *t = b->old;
    const int first = target_of(t, b->part[0]);
    for (size_t i = 0; i < b->change->n_parts; i++) {
        const int m = target_of(t, b->part[i]);
        if (m < 0 || strcmp(t->targets[m].unit, t->targets[first].unit) != 0 ||
            strcmp(t->targets[m].transform, t->targets[first].transform) != 0 ||
            t->targets[m].direction != t->targets[first].direction)
            return false;
    }
    return true;
}

static void add_target(struct build *b, const char *name, struct origin origin)
{
    if (mix_table_target(b->old, name) >= 0)
        return; /* a validation set of that name is its target from now on */
    b->target[b->n_targets++] = origin;
    note_target(b, name, origin.merged ? "is the mean of its parts" : "is new, not measured yet");
}

static void new_targets(struct build *b)
{
    const struct mix_domains_change *c = b->change;
    int any = -1;
    for (size_t m = 0; m < b->old->n_targets && any < 0; m++)
        any = b->old->targets[m].domain >= 0 ? (int)m : -1;
    if (c->action == MIX_DOMAINS_ADD && any >= 0)
        add_target(b, c->domain, (struct origin){.old = -1, .part = SIZE_MAX});
    if (c->action == MIX_DOMAINS_SPLIT && target_of(b->old, b->domain) >= 0)
        for (size_t i = 0; i < c->n_parts; i++)
            add_target(b, c->parts[i].name, (struct origin){.old = -1, .part = i});
    b->averages = c->action == MIX_DOMAINS_MERGE && !c->is_virtual && parts_are_targets(b);
    if (b->averages)
        add_target(b, c->domain, (struct origin){.old = -1, .part = SIZE_MAX, .merged = true});
}

/* What a new target is measured in: as its domain's, its parts', or the first domain's. */
static void describe_target(const struct build *b, size_t m, struct mix_target *target)
{
    const struct mix_domains_change *c = b->change;
    const struct origin *o = &b->target[m];
    int like = o->old;
    if (like < 0)
        like = target_of(b->old, o->merged ? b->part[0] : b->domain);
    for (size_t i = 0; like < 0; i++) /* add: there is one, see new_targets() */
        like = b->old->targets[i].domain >= 0 ? (int)i : -1;
    *target = b->old->targets[like];
    if (o->old >= 0)
        return;
    (void)snprintf(target->name, sizeof target->name, "%s",
                   o->part != SIZE_MAX ? c->parts[o->part].name : c->domain);
    target->validation[0] = '\0';
    if (o->part != SIZE_MAX)
        target->weight *= c->parts[o->part].proportion;
    else if (!o->merged)
        target->weight = 1;
    for (size_t i = 1; o->merged && i < c->n_parts; i++)
        target->weight += b->old->targets[target_of(b->old, b->part[i])].weight;
}

/* ---- rows */

static enum mix_domains_fate judge_share(double share, double tolerance)
{
    if (share <= MIX_DOMAINS_EXACT)
        return MIX_DOMAINS_VALID;
    return share <= tolerance ? MIX_DOMAINS_NEAR : MIX_DOMAINS_VOID; /* NaN is void */
}

/* How far the parts of a merge are from their proportions, in shares. */
static double find_deviation(const struct build *b, const double *mixture)
{
    const struct mix_domains_change *c = b->change;
    double sum = 0, largest = 0;
    for (size_t i = 0; i < c->n_parts; i++)
        sum += mixture[b->part[i]];
    for (size_t i = 0; i < c->n_parts; i++) {
        const double off = fabs(mixture[b->part[i]] - c->parts[i].proportion * sum);
        if (!(off <= largest))
            largest = off;
    }
    return largest;
}

static enum mix_domains_fate judge(const struct build *b, size_t row)
{
    const double *mixture = b->old->mixture + row * b->old->n_domains;
    enum mix_domains_fate fate = MIX_DOMAINS_VALID;
    if (b->change->action == MIX_DOMAINS_MERGE)
        fate = judge_share(find_deviation(b, mixture), b->change->tolerance);
    else if (b->change->action == MIX_DOMAINS_REVISE || b->change->action == MIX_DOMAINS_DROP)
        fate = judge_share(mixture[b->domain], b->change->tolerance);
    if (b->change->action == MIX_DOMAINS_DROP && !(mixture[b->domain] < 1 - 1e-9))
        fate = MIX_DOMAINS_GONE;
    return fate;
}

/* The shares of a row in the new domains. */
static void carry_mixture(const struct build *b, const double *old, double *new)
{
    double sum = 0;
    for (size_t k = 0; k < b->n_domains; k++) {
        new[k] = isnan(old[0]) ? NAN : carry(b, old, k);
        sum += new[k];
    }
    const bool loses = b->change->action == MIX_DOMAINS_DROP && old[b->domain] > 0 && sum > 0;
    for (size_t k = 0; loses && k < b->n_domains; k++)
        new[k] /= sum;
}

/* Passes over a merged domain: tokens seen of all parts by tokens there are of them. */
static double merge_epochs(const struct build *b, const double *mixture, const double *epochs)
{
    double seen = 0, supply = 0;
    for (size_t i = 0; i < b->change->n_parts; i++) {
        const double share = mixture[b->part[i]];
        seen += share;
        supply += share > 0 ? share / epochs[b->part[i]] : 0;
    }
    return seen > 0 ? seen / supply : 0;
}

static void carry_epochs(const struct build *b, size_t row, double *new)
{
    const double *old = b->old->epochs + row * b->old->n_domains;
    const double *mixture = b->old->mixture + row * b->old->n_domains;
    for (size_t k = 0; k < b->n_domains; k++) {
        const struct origin *o = &b->origin[k];
        new[k] = o->old >= 0 ? old[o->old] : 0;
        if (o->merged)
            new[k] = merge_epochs(b, mixture, old);
        if (b->change->action == MIX_DOMAINS_DROP && mixture[b->domain] < 1) /* the shares grow */
            new[k] /= 1 - mixture[b->domain];
    }
    if (isnan(old[0])) /* not known of any */
        for (size_t k = 0; k < b->n_domains; k++)
            new[k] = NAN;
}

/* The loss of a merged domain where a row has those of all parts. */
static void merge_losses(const struct build *b, size_t row, double *loss, double *loss_se)
{
    const struct mix_domains_change *c = b->change;
    double sum = 0, square = 0;
    for (size_t i = 0; i < c->n_parts; i++) {
        const int m = target_of(b->old, b->part[i]);
        const size_t at = row * b->old->n_targets + (size_t)m;
        sum += c->parts[i].proportion * b->old->loss[at];
        square += pow(c->parts[i].proportion * b->old->loss_se[at], 2);
    }
    *loss = sum;
    *loss_se = sqrt(square);
}

/* Whether old losses of a target are of another validation set than those to come. */
static bool is_forgotten(const struct build *b, int target)
{
    const struct mix_domains_change *c = b->change;
    if (c->action != MIX_DOMAINS_REVISE || target_of(b->old, b->domain) != target)
        return false;
    return c->new_validation || strncmp(b->old->domains[b->domain].content, "text:", 5) == 0;
}

static void carry_losses(const struct build *b, size_t row, size_t to)
{
    for (size_t m = 0; m < b->n_targets; m++) {
        const struct origin *o = &b->target[m];
        double *loss = &b->new->loss[to * b->n_targets + m];
        double *loss_se = &b->new->loss_se[to * b->n_targets + m];
        if (o->old >= 0 && !is_forgotten(b, o->old)) {
            *loss = b->old->loss[row * b->old->n_targets + (size_t)o->old];
            *loss_se = b->old->loss_se[row * b->old->n_targets + (size_t)o->old];
        }
        const bool is_merged = o->merged || (o->old >= 0 && strcmp(b->old->targets[o->old].name,
                                                                   b->change->domain) == 0);
        if (b->averages && is_merged && isnan(*loss))
            merge_losses(b, row, loss, loss_se);
    }
}

/* Metadata with the shares of the domains that leave, which the new columns do not tell; left as it
 * is where it is no JSON object. */
static char *note_shares(const struct build *b, size_t row, const char *step)
{
    const char *text = b->old->metadata[row];
    json_t *root = text != NULL && *text != '\0' ? json_loads(text, 0, NULL) : json_object();
    json_t *mixture = json_object();
    for (size_t k = 0; k < b->old->n_domains; k++)
        if (b->leaves[k])
            json_object_set_new(mixture, b->old->domains[k].name,
                                json_real(b->old->mixture[row * b->old->n_domains + k]));
    char *out = NULL;
    if (json_is_object(root) && json_object_set(root, step, mixture) == 0)
        out = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17) | JSON_SORT_KEYS);
    json_decref(mixture);
    json_decref(root);
    return out != NULL || text == NULL ? out : strdup(text);
}

/* Out of every fit, and out of the way of the same run made anew. */
static void make_void(const struct build *b, size_t to, const char *step)
{
    struct mix_run *run = &b->new->runs[to];
    const char *const old = run->recipe[0] != '\0' ? run->recipe : NULL;
    char recipe[2 * MIX_NAME_MAX + 8] = ""; /* zeros behind: the run is stored as it is */
    (void)snprintf(recipe, sizeof recipe, "%s%s%s", step, old ? "; " : "", old ? old : "");
    memcpy(run->recipe, recipe, sizeof run->recipe - 1);
    run->recipe[sizeof run->recipe - 1] = '\0';
    run->excluded = 1;
    if (run->status == MIX_RUN_DONE)
        memcpy(run->reason, b->out->reason, sizeof run->reason);
}

static enum mix_status carry_row(const struct build *b, size_t row, enum mix_domains_fate fate,
                                 const char *step, struct mix_error *err)
{
    const size_t n_old = b->old->n_domains;
    const bool is_void = fate == MIX_DOMAINS_VOID;
    const size_t to = mix_table_append(b->new);
    if (to == SIZE_MAX)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs", b->old->n_rows);
    b->new->runs[to] = b->old->runs[row];
    carry_mixture(b, b->old->asked + row * n_old, b->new->asked + to * b->n_domains);
    carry_mixture(b, b->old->mixture + row * n_old, b->new->mixture + to * b->n_domains);
    carry_epochs(b, row, b->new->epochs + to * b->n_domains);
    carry_losses(b, row, to);
    if (is_void)
        make_void(b, to, step);
    if (is_void && b->change->action != MIX_DOMAINS_REVISE)
        b->new->metadata[to] = note_shares(b, row, step);
    else if (b->old->metadata[row] != NULL)
        b->new->metadata[to] = strdup(b->old->metadata[row]);
    if (b->old->metadata[row] != NULL && b->new->metadata[to] == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs", b->old->n_rows);
    return MIX_OK;
}

static void give_reason(const struct build *b)
{
    static const char *const reasons[MIX_DOMAINS_ACTIONS] = {
        [MIX_DOMAINS_MERGE] = "parts in other proportions than in",
        [MIX_DOMAINS_REVISE] = "trained on the former content of",
        [MIX_DOMAINS_DROP] = "trained on the dropped domain"};
    const char *reason = reasons[b->change->action];
    (void)snprintf(b->out->reason, MIX_NAME_MAX, "%s %.28s", reason != NULL ? reason : "",
                   b->change->domain);
}

static enum mix_status carry_rows(const struct build *b, struct mix_error *err)
{
    char step[MIX_NAME_MAX];
    enum mix_status status = MIX_OK;
    give_reason(b);
    (void)snprintf(step, sizeof step, "before %s %.40s",
                   mix_domains_action_names[b->change->action], b->change->domain);
    for (size_t r = 0; status == MIX_OK && r < b->old->n_rows; r++) {
        const struct mix_run *run = &b->old->runs[r];
        const bool is_out = run->status != MIX_RUN_DONE || run->excluded;
        const enum mix_domains_fate fate = judge(b, r);
        if (fate != MIX_DOMAINS_GONE)
            status = carry_row(b, r, fate, step, err);
        const bool counts = fate == MIX_DOMAINS_GONE || !is_out;
        b->out->fate[r] = (uint8_t)(counts ? fate : MIX_DOMAINS_BEFORE);
        b->out->n[b->out->fate[r]]++;
    }
    return status;
}

/* Runs that differed in what is one domain now may be equal in all that names them. */
static enum mix_status part_twins(struct mix_table *table, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    bool found = true;
    for (size_t r = 0; r < table->n_rows; r++)
        mix_runs_set_key(table, r);
    for (size_t n = 2; status == MIX_OK && found; n++) {
        size_t a = 0, twin = 0;
        status = mix_runs_find_twins(table, &found, &a, &twin, err);
        if (status != MIX_OK || !found)
            break;
        char *recipe = table->runs[twin].recipe, suffix[24];
        (void)snprintf(suffix, sizeof suffix, "~%zu", n);
        const size_t used = strlen(recipe), room = MIX_NAME_MAX - 1 - strlen(suffix);
        memcpy(recipe + (used < room ? used : room), suffix, strlen(suffix) + 1);
        mix_runs_set_key(table, twin);
    }
    return status == MIX_OK ? mix_table_finish(table, err) : status;
}

/* ---- all of it */

static enum mix_status make_table(struct build *b, struct mix_error *err)
{
    b->new = mix_table_create(b->n_domains, b->n_targets);
    b->out->fate = calloc(b->old->n_rows + 1, 1);
    if (b->new == NULL || b->out->fate == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs", b->old->n_rows);
    b->out->table = b->new;
    b->out->n_rows = b->old->n_rows;
    for (size_t k = 0; k < b->n_domains; k++)
        name_domain(b, k, &b->new->domains[k]);
    for (size_t m = 0; m < b->n_targets; m++) {
        describe_target(b, m, &b->new->targets[m]);
        if (b->target[m].old >= 0 && is_forgotten(b, b->target[m].old))
            note_target(b, b->new->targets[m].name,
                        "is not measured any more: its validation set is another one too");
    }
    mix_table_link_targets(b->new);
    for (size_t m = 0; m < b->n_targets; m++)
        if (b->target[m].old >= 0 && b->old->targets[b->target[m].old].domain < 0 &&
            b->new->targets[m].domain >= 0)
            note_target(b, b->new->targets[m].name,
                        "is the validation set of the domain of that name from now on");
    enum mix_status status = carry_rows(b, err);
    return status == MIX_OK ? part_twins(b->new, err) : status;
}

enum mix_status mix_domains_apply(const struct mix_table *old,
                                  const struct mix_domains_change *change,
                                  struct mix_domains_outcome *out, struct mix_error *err)
{
    struct build b = {.old = old, .change = change, .out = out};
    *out = (struct mix_domains_outcome){.table = NULL};
    for (size_t k = 0; k < old->n_domains; k++) {
        b.prior[k] = old->domains[k].prior;
        b.supply[k] = old->domains[k].supply_tokens;
    }
    enum mix_status status = find_domains(&b, err);
    if (status == MIX_OK)
        status = plan_domains(&b, err);
    if (status != MIX_OK)
        return status;
    b.target = calloc(old->n_targets + MIX_DOMAINS_MAX, sizeof *b.target);
    if (b.target == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu targets", old->n_targets);
    keep_targets(&b);
    new_targets(&b);
    status = make_table(&b, err);
    free(b.target);
    if (status != MIX_OK)
        mix_domains_outcome_clear(out);
    return status;
}

void mix_domains_outcome_clear(struct mix_domains_outcome *outcome)
{
    mix_table_destroy(outcome->table);
    free(outcome->fate);
    *outcome = (struct mix_domains_outcome){.table = NULL};
}

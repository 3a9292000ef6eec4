/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read_analysis.c - the sections fit, bootstrap, optimum, adaptive and confirm. */
#include "reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/runs.h"

enum {
    STARTS_MAX = 100000,
    DRAWS_MAX = 1000000,
    SEEDS_MAX = 1000,
    ROUNDS_MAX = 1000,
    ADAPTIVE_RUNS = 8
};
static const double size_max = 1e18;

void take_law(struct reader *in, const char *key, const char *text, const char **out)
{
    const char *names[16];
    size_t n = 0;
    int index = -1;
    if (text && mix_law_repeats(text) && mix_law_find(text)) {
        *out = text;
        return;
    }
    for (; n < 16 && mix_law_get(n); n++)
        names[n] = mix_law_name(mix_law_get(n));
    take_word(in, key, text, names, n, &index);
    if (index >= 0)
        *out = names[index];
}

/* "auto", "none", "scale", "both", "mixture:0.3" or "mixture:4-fold". */
static void check_holdout(struct reader *in, const char *text)
{
    static const char *const words[] = {"auto", "none", "scale", "both", "mixture"};
    double share;
    int ignored, n_folds = 0, length = 0;
    if (in->status != MIX_OK || !text)
        return;
    if (strncmp(text, "mixture:", 8) != 0)
        take_word(in, "fit.holdout", text, words, 5, &ignored);
    else if (sscanf(text, "mixture:%4d-fold%n", &n_folds, &length) == 1 && length > 0 &&
             text[length] == '\0' && n_folds >= 2)
        return;
    else if (!mix_number_read(text + 8, &share) || share <= 0 || share >= 1)
        FAIL(in, "fit.holdout", "the share in \"%.40s\" is not between 0 and 1.", text);
}

/* "all", or names of targets joined by commas. */
static void check_targets(struct reader *in, const char *key, const char *text)
{
    const struct mix_job *job = in->job;
    if (in->status != MIX_OK || strcmp(text, "all") == 0)
        return;
    for (const char *name = text; in->status == MIX_OK; name++) {
        size_t n = strcspn(name, ",");
        bool known = false;
        for (size_t m = 0; m < job->n_targets; m++)
            known |= strncmp(job->targets[m].name, name, n) == 0 && !job->targets[m].name[n];
        if (!known)
            FAIL(in, key, "\"%.*s\" is not a target; allowed are %sall, or names joined by commas.",
                 (int)(n < 64 ? n : 64), name, strcmp(key, "fit.targets") == 0 ? "domains, " : "");
        name += n;
        if (!*name)
            return;
    }
}

/* Whether a checkpoint of a planned run passes `where`, by a table of that one row. */
static enum mix_status some_run_passes(const struct mix_job *job, bool *passes,
                                       struct mix_error *err)
{
    struct mix_plan *plan = NULL;
    struct mix_table *table = mix_table_create(job->n_domains, job->n_targets);
    enum mix_status status = MIX_OK;
    *passes = false;
    if (!table || mix_table_append(table) == SIZE_MAX)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a run.");
    if (status == MIX_OK)
        status = mix_plan_create(job, &plan, err);
    if (status != MIX_OK)
        goto out;
    memcpy(table->domains, job->domains, job->n_domains * sizeof *table->domains);
    memcpy(table->targets, job->targets, job->n_targets * sizeof *table->targets);
    for (size_t i = 0; !*passes && i < mix_plan_n_runs(plan); i++) {
        struct mix_planned planned;
        mix_plan_run(plan, i, &planned);
        const struct mix_job_scale *scale = &job->scales[planned.scale];
        memcpy(table->asked, planned.mixture, job->n_domains * sizeof *table->asked);
        memcpy(table->mixture, planned.mixture, job->n_domains * sizeof *table->mixture);
        table->runs[0] = planned.run;
        for (size_t c = scale->n_checkpoints; status == MIX_OK && !*passes && c-- > 0;) {
            table->runs[0].n_tokens = scale->checkpoints[c];
            status = mix_table_where(table, job->fit.selection.where, 0, passes, err);
        }
        if (status != MIX_OK)
            break;
    }
out:
    mix_plan_destroy(plan);
    mix_table_destroy(table);
    return status;
}

/* The terms are tried on the planned runs, so that a slip shows before the
 * sweep. */
static void check_where(struct reader *in)
{
    static const char option[] = "--where: ";
    struct mix_error reason = {.text = ""};
    const char *why = reason.text;
    bool passes;
    if (in->status != MIX_OK || !in->job->fit.selection.where[0])
        return;
    const enum mix_status status = some_run_passes(in->job, &passes, &reason);
    if (strncmp(why, option, strlen(option)) == 0)
        why += strlen(option);
    if (status != MIX_OK)
        FAIL(in, "fit.where", "%s", why);
    else if (!passes)
        FAIL(in, "fit.where", "no planned run passes \"%.80s\".", in->job->fit.selection.where);
}

void take_fit(struct reader *in, const struct raw_fit *raw)
{
    const char *checkpoints[MIX_N_CHECKPOINTS];
    static const char *const forms[] = {"full", "eq1", "eq3"};
    static const int form_of[] = {0, 1, 3};
    int form = 0;
    struct mix_fit_options defaults = mix_fit_options_default();
    struct mix_fit_options *fit = &in->job->fit;
    int which = MIX_CHECKPOINTS_LAST;
    char name[MIX_NAME_MAX] = "";
    if (in->status != MIX_OK || !raw)
        return;
    const char *law = defaults.law;
    take_law(in, "fit.law", raw->law, &law);
    take_word(in, "fit.form", raw->form, forms, 3, &form);
    fit->form = form_of[form];
    if (form != 0 && !mix_law_is(law, "capacity"))
        FAIL(in, "fit.form", "%s is a form of law capacity, not of %s.", forms[form], law);
    take_name(in, "fit.name", raw->name, name, sizeof name);
    fit->selection = defaults.selection;
    for (int i = 0; i < MIX_N_CHECKPOINTS; i++)
        checkpoints[i] = mix_checkpoints_name((enum mix_checkpoints)i);
    take_text(in, "fit.where", raw->where, fit->selection.where, sizeof fit->selection.where);
    take_word(in, "fit.checkpoints", raw->checkpoints, checkpoints, MIX_N_CHECKPOINTS, &which);
    fit->selection.checkpoints = (enum mix_checkpoints)which;
    take_text(in, "fit.targets", raw->targets, fit->selection.targets,
              sizeof fit->selection.targets);
    fit->n_starts = defaults.n_starts;
    take_count(in, "fit.starts", raw->starts, 1, STARTS_MAX, &fit->n_starts);
    take_number(in, "fit.mask_below", raw->mask_below, 0, 1, &fit->selection.mask_below);
    fit->seed = in->job->seed;
    take_seed(in, "fit.seed", raw->seed, &fit->seed);
    check_holdout(in, raw->holdout);
    if (strcmp(fit->selection.targets, "domains") != 0)
        check_targets(in, "fit.targets", fit->selection.targets);
    check_where(in);
    take_copy(in, law, &fit->law);
    take_copy(in, raw->name ? name : law, &fit->name);
    take_copy(in, raw->holdout ? raw->holdout : defaults.holdout, &fit->holdout);
}

void take_bootstrap(struct reader *in, const struct raw_bootstrap *raw)
{
    static const char *const clusters[] = {"mixture", "run"};
    int cluster = 0;
    if (in->status != MIX_OK || !raw)
        return;
    if (!in->job->fit.law) {
        FAIL(in, "bootstrap", "there is no section fit to resample.");
        return;
    }
    in->job->n_draws = 1000;
    take_count(in, "bootstrap.draws", raw->draws, 1, DRAWS_MAX, &in->job->n_draws);
    take_word(in, "bootstrap.cluster", raw->cluster, clusters, 2, &cluster);
    take_bool(in, "bootstrap.bayesian", raw->bayesian, &in->job->bayesian);
    in->job->cluster_run = cluster == 1;
}

/* "web, code", as many as there is room for. */
static const char *join_names(const char *const *names, size_t n, char text[MIX_TEXT_MAX])
{
    size_t used = 0, i = 0;
    text[0] = '\0';
    for (; i < n && used + MIX_NAME_MAX + 8 < MIX_TEXT_MAX; i++)
        used +=
            (size_t)snprintf(text + used, MIX_TEXT_MAX - used, "%s%s", i > 0 ? ", " : "", names[i]);
    if (i < n)
        snprintf(text + used, MIX_TEXT_MAX - used, ", …");
    return text;
}

/* An optimum being read, and where the file has it: at "optimum", or at "optimum[1]" of a list. */
struct section {
    struct reader *in;
    const char *place;
    struct mix_optimum_options *optimum;
    double *upper;         /* (K) those of the optimum */
    char key[JOB_KEY_MAX]; /* what text_of() was last asked for */
};

static const char *text_of(struct section *s, const char *name)
{
    snprintf(s->key, sizeof s->key, "%.40s.%s", s->place, name);
    return s->in->status == MIX_OK ? job_document_text(&s->in->document, s->key) : NULL;
}

/* Numbers of a free mapping whose names are domains or targets, into `out` by
 * index. */
static void take_named(struct reader *in, const char *key, const char *names, size_t stride,
                       size_t n_names, double min, double max, double *out)
{
    const char *name, *text;
    for (size_t i = 0;
         in->status == MIX_OK && job_document_entry(&in->document, key, i, &name, &text); i++) {
        const char *known[MIX_DOMAINS_MAX];
        char list[MIX_TEXT_MAX];
        size_t j = n_names;
        for (size_t k = 0; k < n_names; k++) {
            known[k] = names + k * stride;
            if (strcmp(known[k], name) == 0)
                j = k;
        }
        ITEM_KEY(item, "%.90s.%.64s", key, name);
        if (j < n_names) {
            take_number(in, item, text ? text : "", min, max, &out[j]);
            continue;
        }
        const char *near = job_nearest(name, known, n_names);
        if (near)
            FAIL(in, item, "there is no such name; did you mean %s?", near);
        else
            FAIL(in, item, "there is no such name; allowed are %s.",
                 join_names(known, n_names, list));
    }
}

/* lower <= upper for each domain, and room for a sum of 1. */
static void check_bounds(struct section *s)
{
    struct reader *in = s->in;
    const struct mix_job *job = in->job;
    const struct mix_optimum_options *optimum = s->optimum;
    double sum_upper = 0, sum_lower = 0;
    ITEM_KEY(floor_key, "%.40s.floor", s->place);
    ITEM_KEY(caps_key, "%.40s.caps", s->place);
    for (size_t k = 0; in->status == MIX_OK && k < job->n_domains; k++) {
        ITEM_KEY(key, "%.60s.%s", caps_key, job->domains[k].name);
        if (optimum->upper[k] < optimum->lower[k])
            FAIL(in, key, "the cap %g is below the floor %g.", optimum->upper[k],
                 optimum->lower[k]);
        sum_upper += optimum->upper[k];
        sum_lower += optimum->lower[k];
    }
    if (in->status == MIX_OK && sum_lower > 1 + 1e-12)
        FAIL(in, floor_key, "%zu floors of %g sum to more than 1; at most %g is possible.",
             job->n_domains, optimum->lower[0], 1.0 / (double)job->n_domains);
    if (in->status == MIX_OK && sum_upper < 1 - 1e-12)
        FAIL(in, caps_key, "the caps sum to %g; they must leave room for 1.", sum_upper);
}

/* Tokens that caps and supplies leave in so many passes. */
static double tokens_allowed(const struct mix_job *job, const struct mix_optimum_options *optimum,
                             double epochs)
{
    double sum = 0;
    for (size_t k = 0; k < job->n_domains; k++) {
        const double cap = optimum->upper[k] * optimum->n_tokens;
        const double supply = job->domains[k].supply_tokens * epochs; /* NaN = unlimited */
        sum += fmin(cap, supply);
    }
    return sum * (1 + 1e-9); /* caps that people add up */
}

/* Passes with which caps and supplies leave a mixture, rounded up to three digits. */
static double epochs_needed(const struct mix_job *job, const struct mix_optimum_options *optimum,
                            double low)
{
    double high = 1.001 * size_max; /* of a supply of one token */
    while (high > (1 + 1e-7) * low) {
        const double middle = sqrt(low * high);
        if (tokens_allowed(job, optimum, middle) >= optimum->n_tokens)
            high = middle;
        else
            low = middle;
    }
    const double step = pow(10, floor(log10(high)) - 2);
    return ceil(high / step - 1e-3) * step;
}

/* Supplies must leave a mixture as caps must: else that is said when all runs are trained. A floor
 * of 1e-4, the default, gives way to them. */
static void check_supplies(struct section *s)
{
    struct reader *in = s->in;
    const struct mix_job *job = in->job;
    const struct mix_optimum_options *optimum = s->optimum;
    const double needed = optimum->n_tokens, epochs = optimum->max_epochs;
    ITEM_KEY(floor_key, "%.40s.floor", s->place);
    ITEM_KEY(epochs_key, "%.40s.max_epochs", s->place);
    for (size_t k = 0; in->status == MIX_OK && epochs > 0 && k < job->n_domains; k++) {
        const double share = job->domains[k].supply_tokens * epochs / needed;
        if (optimum->lower[k] > 1e-4 && optimum->lower[k] > share)
            FAIL(in, floor_key,
                 "%g is above what the supply of %s allows: %g tokens, %g epoch%s, are %.3g of %g.",
                 optimum->lower[k], job->domains[k].name, job->domains[k].supply_tokens, epochs,
                 epochs == 1 ? "" : "s", share, needed);
    }
    if (in->status == MIX_OK && epochs > 0 && tokens_allowed(job, optimum, epochs) < needed)
        FAIL(in, epochs_key,
             "the supply_tokens of the domains, seen %g time%s and within caps, are %.3g tokens, "
             "and n_tokens is %g; %.4g epochs suffice.",
             epochs, epochs == 1 ? "" : "s", tokens_allowed(job, optimum, epochs), needed,
             epochs_needed(job, optimum, epochs));
}

static void take_weights(struct section *s)
{
    struct reader *in = s->in;
    struct mix_job *job = in->job;
    const char *name, *text;
    double sum = 0;
    ITEM_KEY(key, "%.40s.weights", s->place);
    if (!job_document_entry(&in->document, key, 0, &name, &text))
        return;
    double *weight = take_memory(in, job->n_targets, sizeof *weight);
    s->optimum->weight = weight;
    if (!weight)
        return;
    for (size_t m = 0; m < job->n_targets; m++)
        weight[m] = NAN;
    take_named(in, key, job->targets->name, sizeof *job->targets, job->n_targets, 0, 1e6, weight);
    for (size_t m = 0; m < job->n_targets; m++)
        sum += isnan(weight[m]) ? job->targets[m].weight : weight[m];
    if (in->status == MIX_OK && sum <= 0)
        FAIL(in, key, "all weights are 0; at least one must be larger.");
}

/* "1/2048" or 2048. */
static void take_lattice(struct section *s)
{
    const char *text = text_of(s, "lattice");
    if (text != NULL && strncmp(text, "1/", 2) == 0)
        text += 2;
    take_count(s->in, s->key, text, 2, MIX_LATTICE_MAX, &s->optimum->lattice);
}

static void take_epochs(struct section *s)
{
    const struct mix_job *job = s->in->job;
    const char *text = text_of(s, "max_epochs");
    bool known = false;
    take_number(s->in, s->key, text, 1e-6, 1e6, &s->optimum->max_epochs);
    for (size_t k = 0; k < job->n_domains; k++)
        known = known || !isnan(job->domains[k].supply_tokens);
    if (s->in->status == MIX_OK && text != NULL && !known)
        FAIL(s->in, s->key, "no domain has supply_tokens.");
}

/* What an optimum is asked for beyond weights, floors, caps and baseline. */
static void take_constraints(struct section *s)
{
    struct reader *in = s->in;
    struct mix_optimum_options *optimum = s->optimum;
    int goal = MIX_GOAL_MEAN;
    const char *text = text_of(s, "objective");
    take_word(in, s->key, text, mix_goal_names, MIX_GOALS, &goal);
    optimum->goal = (enum mix_goal)goal;
    take_epochs(s);
    text = text_of(s, "within_support");
    take_bool(in, s->key, text, &optimum->within_support);
    text = text_of(s, "path");
    take_bool(in, s->key, text, &optimum->path);
    take_lattice(s);
    text = text_of(s, "no_worse");
    if (text != NULL)
        check_targets(in, s->key, text);
    take_copy(in, text, &optimum->no_worse);
    text = text_of(s, "near");
    if (in->status == MIX_OK && text != NULL &&
        !mix_near_parse(text, &optimum->distance, &optimum->radius))
        FAIL(in, s->key,
             "\"%.40s\" is not baseline:tv=X or baseline:kl=X with X above 0, of tv at most 1.",
             text);
}

/* The fit's, unless the file says another. */
static void take_optimum_name(struct section *s)
{
    const struct mix_job *job = s->in->job;
    char name[MIX_NAME_MAX];
    snprintf(name, sizeof name, "%s", job->fit.name);
    const char *text = text_of(s, "name");
    take_name(s->in, s->key, text, name, sizeof name);
    if (s->in->status == MIX_OK && text == NULL && job->n_optima > 1)
        FAIL(s->in, s->place, "the key name is missing: each of several optima has one.");
    for (const struct mix_optimum_options *other = job->optima;
         s->in->status == MIX_OK && other < s->optimum; other++)
        if (strcmp(other->name, name) == 0)
            FAIL(s->in, s->key, "%s is the name of an earlier entry too.", name);
    take_copy(s->in, name, &s->optimum->name);
}

static void take_optimum(struct section *s)
{
    static const char *const baselines[] = {"uniform", "prior"};
    struct reader *in = s->in;
    const struct mix_job *job = in->job;
    struct mix_optimum_options *optimum = s->optimum;
    int baseline = 0;
    double floor_share = 1e-4;
    double *lower = take_memory(in, job->n_domains, sizeof *lower);
    double *upper = take_memory(in, job->n_domains, sizeof *upper);
    double *prior = take_memory(in, job->n_domains, sizeof *prior);
    optimum->lower = lower;
    optimum->upper = s->upper = upper;
    optimum->baseline = prior;
    optimum->level = 0.9;
    const char *text = text_of(s, "n_params");
    take_number(in, s->key, text, 1, size_max, &optimum->n_params);
    text = text_of(s, "n_tokens");
    take_number(in, s->key, text, 1, size_max, &optimum->n_tokens);
    text = text_of(s, "floor");
    take_number(in, s->key, text, 0, 1, &floor_share);
    text = text_of(s, "level");
    take_number(in, s->key, text, 0.01, 0.9999, &optimum->level);
    text = text_of(s, "baseline");
    take_word(in, s->key, text, baselines, 2, &baseline);
    if (in->status != MIX_OK)
        return;
    for (size_t k = 0; k < job->n_domains; k++) {
        lower[k] = floor_share;
        upper[k] = 1;
        prior[k] = baseline ? job->domains[k].prior : 1.0 / (double)job->n_domains;
    }
    optimum->baseline_name = baselines[baseline];
    optimum->seed = 1;
    optimum->n_starts = 32;
}

static void take_limits(struct section *s)
{
    struct reader *in = s->in;
    const struct mix_job *job = in->job;
    if (in->status != MIX_OK)
        return;
    take_constraints(s);
    ITEM_KEY(caps_key, "%.40s.caps", s->place);
    take_named(in, caps_key, job->domains->name, sizeof *job->domains, job->n_domains, 0, 1,
               s->upper);
    check_bounds(s);
    check_supplies(s);
    take_weights(s);
}

void take_optima(struct reader *in)
{
    struct mix_job *job = in->job;
    size_t n = 0;
    if (in->status != MIX_OK || !job_document_has(&in->document, "optimum"))
        return;
    if (!job->fit.law) {
        FAIL(in, "optimum", "there is no section fit to extrapolate.");
        return;
    }
    for (bool more = true; more; n += more) {
        ITEM_KEY(place, "optimum[%zu]", n);
        more = job_document_has(&in->document, place);
    }
    const bool is_list = n > 0;
    n = is_list ? n : 1;
    job->optima = take_memory(in, n, sizeof *job->optima);
    job->n_optima = job->optima ? n : 0;
    for (size_t i = 0; in->status == MIX_OK && i < job->n_optima; i++) {
        ITEM_KEY(place, "optimum[%zu]", i);
        struct section section = {
            .in = in, .place = is_list ? place : "optimum", .optimum = &job->optima[i]};
        take_optimum(&section);
        take_optimum_name(&section);
        take_limits(&section);
    }
}

void take_adaptive(struct reader *in, const struct raw_adaptive *raw)
{
    struct mix_job_adaptive *adaptive = &in->job->adaptive;
    int criterion = MIX_NEXT_REGRET;
    if (in->status != MIX_OK || !raw)
        return;
    if (in->job->n_optima == 0)
        FAIL(in, "adaptive", "there is no section optimum to make more certain.");
    else if (in->job->n_draws < MIX_NEXT_DRAWS_MIN)
        FAIL(in, "adaptive",
             "runs are chosen by bootstrap draws: %zu are asked for, %d are needed.",
             in->job->n_draws, MIX_NEXT_DRAWS_MIN);
    if (in->status == MIX_OK && in->job->n_scales > MIX_NEXT_SCALES_MAX)
        FAIL(in, "adaptive", "%zu scales are given; runs are chosen among %d at most.",
             in->job->n_scales, MIX_NEXT_SCALES_MAX);
    adaptive->n_runs = ADAPTIVE_RUNS;
    adaptive->flops = INFINITY;
    take_count(in, "adaptive.runs", raw->runs, 1, MIX_NEXT_RUNS_MAX, &adaptive->n_runs);
    take_number(in, "adaptive.flops", raw->flops, 1, 1e40, &adaptive->flops);
    adaptive->worth = NAN;
    take_number(in, "adaptive.worth", raw->worth, 0, 1e6, &adaptive->worth);
    double cheapest = INFINITY;
    for (size_t s = 0; s < in->job->n_scales; s++)
        cheapest = fmin(cheapest, mix_job_flops(&in->job->scales[s]));
    if (in->status == MIX_OK && adaptive->flops < cheapest)
        FAIL(in, "adaptive.flops", "%g: the cheapest run takes %.4g.", adaptive->flops, cheapest);
    take_word(in, "adaptive.criterion", raw->criterion, mix_next_criteria, MIX_NEXT_CRITERIA,
              &criterion);
    adaptive->criterion = (enum mix_next_criterion)criterion;
    take_count(in, "adaptive.rounds", raw->rounds, 1, ROUNDS_MAX, &adaptive->n_rounds);
}

/* Which of the optima, by name. */
static void take_confirmed(struct reader *in, const char *text)
{
    const struct mix_job *job = in->job;
    const char *names[JOB_SECTIONS_MAX];
    int index = 0;
    for (size_t i = 0; i < job->n_optima; i++)
        names[i] = job->optima[i].name;
    take_word(in, "confirm.of", text, names, job->n_optima, &index);
    in->job->confirm.of = (size_t)index;
}

/* What is confirmed is trained as the runs of the sweep are, at scales of its own. */
void take_confirm(struct reader *in, const struct raw_job *raw_job)
{
    const struct raw_confirm *raw = raw_job->confirm;
    struct mix_job_confirm *confirm = &in->job->confirm;
    const struct raw_sweep *sweep = raw_job->sweep;
    if (in->status != MIX_OK || !raw)
        return;
    if (in->job->n_optima == 0) {
        FAIL(in, "confirm", "there is no section optimum to confirm.");
        return;
    }
    take_confirmed(in, raw->of);
    confirm->n_seeds = 3;
    take_count(in, "confirm.seeds", raw->seeds, 1, SEEDS_MAX, &confirm->n_seeds);
    take_scales(in, "confirm.scales", raw->scales, raw->n_scales, &confirm->n_scales,
                &confirm->scales);
    for (size_t s = 0; in->status == MIX_OK && s < raw->n_scales; s++) {
        ITEM_KEY(key, "confirm.scales[%zu].%s", s,
                 raw->scales[s].mixtures ? "mixtures" : "replicates");
        if (raw->scales[s].mixtures || raw->scales[s].replicates)
            FAIL(in, key, "is not for confirm, which has the same mixtures and seeds everywhere.");
        confirm->scales[s].n_replicates = confirm->n_seeds;
    }
    take_trainers(in, sweep->embedded, "confirm.scales", confirm->n_scales, confirm->scales);
    check_shapes(in, "confirm.scales", confirm->n_scales, confirm->scales);
}

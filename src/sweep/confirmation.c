/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confirmation.c - what is trained to check an optimum, and what came out beside what was claimed;
 * see confirm.h. */
#include "mixsweep/confirm.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"

static const double SAME = 5e-3;    /* mixtures whose shares differ by less compete once */
static const double ROUNDED = 1e-5; /* of a share, between what is asked for and what is trained */

static const char *const contender_names[MIX_CONTENDERS_MAX] = {"optimum", "nearest tie", "prior",
                                                                "uniform", "best observed"};

/* ---- what is trained */

/* The largest difference of a share. */
static double distance_of(size_t n, const double *a, const double *b)
{
    double distance = 0;
    for (size_t k = 0; k < n; k++)
        distance = fmax(distance, fabs(a[k] - b[k]));
    return distance;
}

/* A mixture that is none (no prior is known) or stands in the line already does not compete. */
static void enter(struct mix_line_up *line, int which, size_t n_domains, const double *mixture)
{
    double *place = &line->mixture[line->n * n_domains];
    for (size_t k = 0; k < n_domains; k++)
        if (!(mixture[k] >= 0))
            return;
    for (size_t c = 0; c < line->n; c++)
        if (distance_of(n_domains, mixture, &line->mixture[c * n_domains]) < SAME)
            return;
    memcpy(place, mixture, n_domains * sizeof *place);
    line->which[line->n++] = which;
}

void mix_line_up_set(const struct mix_job *job, const struct mix_optimum *optimum,
                     struct mix_line_up *line)
{
    double prior[MIX_DOMAINS_MAX], uniform[MIX_DOMAINS_MAX];
    const size_t n_domains = optimum->n_domains;
    for (size_t k = 0; k < n_domains; k++) {
        prior[k] = job ? job->domains[k].prior : optimum->prior[k];
        uniform[k] = 1.0 / (double)n_domains;
    }
    const double *const mixtures[MIX_CONTENDERS_MAX] = {optimum->mixture, optimum->tied, prior,
                                                        uniform, optimum->best_observed};
    line->n = 0;
    for (int c = 0; c < MIX_CONTENDERS_MAX; c++)
        enter(line, c, n_domains, mixtures[c]);
}

/* The optimum's own scale, trained as the job's largest scale is. */
static struct mix_job_scale target_scale(const struct mix_job *job)
{
    const struct mix_job_scale *largest = &job->scales[0];
    for (size_t s = 1; s < job->n_scales; s++)
        if (job->scales[s].n_params >= largest->n_params)
            largest = &job->scales[s];
    struct mix_job_scale scale = *largest;
    scale.n_params = job->optima[job->confirm.of].n_params;
    scale.n_tokens = job->optima[job->confirm.of].n_tokens;
    scale.n_checkpoints = 1;
    scale.checkpoints[0] = scale.n_tokens;
    scale.n_mixtures = 0;
    return scale;
}

enum mix_status mix_confirming_job(const struct mix_job *job, const struct mix_line_up *line,
                                   struct mix_job_scale *scales, struct mix_job *out,
                                   struct mix_error *err)
{
    *out = *job;
    out->confirmed = job;
    out->given = line->mixture;
    out->n_given = line->n;
    out->n_mixtures = line->n;
    out->paired_seeds = true;
    out->scales = scales;
    out->n_scales = job->confirm.n_scales > 0 ? job->confirm.n_scales : 1;
    if (job->confirm.n_scales > 0)
        memcpy(scales, job->confirm.scales, job->confirm.n_scales * sizeof *scales);
    else
        scales[0] = target_scale(job);
    for (size_t s = 0; s < out->n_scales; s++) {
        scales[s].n_replicates = job->confirm.n_seeds > 0 ? job->confirm.n_seeds : 3;
        if (scales[s].n_checkpoints > 1)
            return mix_fail(err, MIX_EINVAL,
                            "the job %s, key confirm.scales[%zu].checkpoints: %zu, but what is "
                            "confirmed is measured at the end only.",
                            job->name, s, scales[s].n_checkpoints);
        if (strcmp(job->evaluator, "embedded") == 0 && scales[s].shape.width > 0 &&
            scales[s].n_params != (double)mix_proxy_n_params(&scales[s].shape, 1))
            return mix_fail(err, MIX_EINVAL,
                            "the job %s trains embedded proxies, whose shape a number of "
                            "parameters does not say: give the section confirm its scales.",
                            job->name);
    }
    return MIX_OK;
}

/* ---- what was measured */

bool mix_run_confirms(const struct mix_run *run)
{
    return run->excluded != 0 && strcmp(run->reason, MIX_CONFIRMATION) == 0;
}

static bool same_key(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* Losses (M) of a row; NaN where a target is not measured. */
static void losses_of(const struct mix_claim *claim, size_t row, double *losses)
{
    const struct mix_fit *fit = claim->fit;
    const struct mix_table *table = claim->table;
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        const int t = mix_table_target(table, fit->targets[m]);
        losses[m] = t < 0 ? NAN : table->loss[row * table->n_targets + (size_t)t];
    }
}

/* Whether a run has all losses that the objective takes. */
static bool is_measured(const struct mix_claim *claim, const double *losses)
{
    for (size_t m = 0; m < claim->fit->spec.n_targets; m++)
        if (claim->optimum->weight[m] > 0 && !isfinite(losses[m]))
            return false;
    return true;
}

/* The contender that the plan has rounded to `mixture`. */
static size_t contender_of(const struct mix_confirmation *out, const double *mixture)
{
    size_t c = 0;
    while (c + 1 < out->n_contenders &&
           distance_of(out->n_domains, mixture, &out->mixture[c * out->n_domains]) >= SAME / 2)
        c++;
    return c;
}

/* Losses (n_scales, n_contenders, n_seeds, M) of the confirming plan; NaN where not measured. */
static enum mix_status gather(const struct mix_claim *claim, const struct mix_job *confirming,
                              struct mix_confirmation *out, double *losses, struct mix_error *err)
{
    struct mix_plan *plan = NULL;
    const struct mix_table *table = claim->table;
    const size_t n_targets = claim->fit->spec.n_targets;
    enum mix_status status = mix_plan_create(confirming, &plan, err);
    if (status != MIX_OK)
        return status;
    size_t *n_seen = calloc(out->n_scales * out->n_contenders, sizeof *n_seen);
    if (!n_seen)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    out->n_planned = mix_plan_n_runs(plan);
    for (size_t i = 0; status == MIX_OK && i < out->n_planned; i++) {
        struct mix_planned planned;
        mix_plan_run(plan, i, &planned);
        const size_t c = contender_of(out, planned.mixture);
        size_t row = 0;
        memcpy(&out->mixture[c * out->n_domains], planned.mixture,
               out->n_domains * sizeof *planned.mixture);
        while (row < table->n_rows && !same_key(table->runs[row].key, planned.run.key))
            row++;
        const size_t at = planned.scale * out->n_contenders + c;
        assert(n_seen[at] < out->n_seeds);
        const size_t seed = at * out->n_seeds + n_seen[at]++;
        if (row < table->n_rows && table->runs[row].status == MIX_RUN_DONE)
            losses_of(claim, row, &losses[seed * n_targets]);
    }
    free(n_seen);
    mix_plan_destroy(plan);
    return status;
}

/* What a table has of confirmations, by its own marks. */
struct found {
    size_t n, n_scales, n_seeds;
    size_t *row, *scale, *seed; /* (n); equal seeds of a scale have equal numbers */
    struct mix_job_scale *scales;
};

static void clear_found(struct found *found)
{
    free(found->row);
    free(found->scale);
    free(found->seed);
    free(found->scales);
}

static size_t scale_of(const struct found *found, const struct mix_run *run)
{
    size_t s = 0;
    while (s < found->n_scales && (found->scales[s].n_params != run->n_params ||
                                   found->scales[s].n_tokens != run->n_tokens_planned))
        s++;
    return s;
}

/* The number of a run's seed at its scale: a new one where no run before it has the seed. */
static size_t seed_of(const struct found *found, const struct mix_table *table, size_t scale,
                      uint64_t seed)
{
    size_t next = 0;
    for (size_t i = 0; i < found->n; i++) {
        if (found->scale[i] != scale)
            continue;
        if (table->runs[found->row[i]].seed == seed)
            return found->seed[i];
        next = found->seed[i] + 1 > next ? found->seed[i] + 1 : next;
    }
    return next;
}

static enum mix_status find_runs(const struct mix_table *table, struct found *found,
                                 struct mix_error *err)
{
    const size_t n = table->n_rows + 1;
    *found = (struct found){.row = calloc(n, sizeof(size_t)),
                            .scale = calloc(n, sizeof(size_t)),
                            .seed = calloc(n, sizeof(size_t))};
    bool full = !found->row || !found->scale || !found->seed;
    for (size_t r = 0; !full && r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        if (!mix_run_confirms(run) || (!run->is_final && run->status == MIX_RUN_DONE))
            continue;
        const size_t s = scale_of(found, run);
        struct mix_job_scale *scales =
            realloc(found->scales, (found->n_scales + 1) * sizeof *scales);
        full = !scales;
        if (full)
            break;
        found->scales = scales;
        if (s == found->n_scales)
            scales[found->n_scales++] = (struct mix_job_scale){.n_params = run->n_params,
                                                               .n_tokens = run->n_tokens_planned};
        const size_t seed = seed_of(found, table, s, run->seed);
        found->row[found->n] = r;
        found->scale[found->n] = s;
        found->seed[found->n++] = seed;
        found->n_seeds = seed + 1 > found->n_seeds ? seed + 1 : found->n_seeds;
    }
    return full ? mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.") : MIX_OK;
}

/* The same losses, of the runs that were found. */
static enum mix_status gather_found(const struct mix_claim *claim, const struct found *found,
                                    struct mix_confirmation *out, double *losses,
                                    struct mix_error *err)
{
    const struct mix_table *table = claim->table;
    bool *seen = calloc(out->n_scales * out->n_contenders * out->n_seeds + 1, sizeof *seen);
    if (!seen)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    for (size_t i = 0; i < found->n; i++) {
        const double *mixture = &table->mixture[found->row[i] * table->n_domains];
        const size_t c = contender_of(out, mixture);
        double *own = &out->mixture[c * out->n_domains];
        if (distance_of(out->n_domains, mixture, own) >= ROUNDED)
            continue; /* of another optimum, or an earlier one */
        memcpy(own, mixture, out->n_domains * sizeof *own);
        const size_t at = (found->scale[i] * out->n_contenders + c) * out->n_seeds + found->seed[i];
        out->n_planned += !seen[at]; /* merged files may have a seed twice */
        seen[at] = true;
        if (table->runs[found->row[i]].status == MIX_RUN_DONE)
            losses_of(claim, found->row[i], &losses[at * claim->fit->spec.n_targets]);
    }
    free(seen);
    return MIX_OK;
}

/* Objectives are of mean losses over seeds, as predictions are of expected ones. */
struct sample {
    const struct mix_claim *claim;
    size_t n_seeds;
    const double *of[3]; /* (n_seeds,M) losses of the mixture, of what is taken off, of the
                            baseline; NULL = none */
    double *at;          /* (3,M) scratch */
};

/* Objective of losses (3,M), less that of the second where there is one. */
static double value_at(const struct sample *sample, const double *at)
{
    const struct mix_claim *claim = sample->claim;
    const size_t n_m = claim->fit->spec.n_targets;
    const struct mix_optimum *o = claim->optimum;
    const double value = mix_goal_value(claim->fit, o->goal, o->weight, at, at + 2 * n_m);
    return sample->of[1] == NULL
               ? value
               : value - mix_goal_value(claim->fit, o->goal, o->weight, at + n_m, at + 2 * n_m);
}

static bool counts(const struct sample *sample, size_t seed)
{
    const size_t n_m = sample->claim->fit->spec.n_targets;
    for (size_t i = 0; i < 3; i++)
        if (sample->of[i] != NULL && !is_measured(sample->claim, sample->of[i] + seed * n_m))
            return false;
    return true;
}

/* The value where all means are moved by `step` of what a seed's losses lie beside them. */
static double value_beside(const struct sample *sample, const double *mean, size_t seed,
                           double step)
{
    const size_t n_m = sample->claim->fit->spec.n_targets;
    for (size_t i = 0; i < 3; i++)
        for (size_t m = 0; m < n_m && sample->of[i] != NULL; m++)
            sample->at[i * n_m + m] =
                mean[i * n_m + m] + step * (sample->of[i][seed * n_m + m] - mean[i * n_m + m]);
    return value_at(sample, sample->at);
}

/* Value of the mean losses over the seeds that all have, and its standard error by the delta
 * method: a seed's losses of mixture and baseline are moved together, as they are paired. mean
 * (3,M) scratch */
static size_t summarise(const struct sample *sample, double *mean, double *value, double *se)
{
    static const double STEP = 1e-3;
    const size_t n_m = sample->claim->fit->spec.n_targets;
    double squares = 0;
    size_t n = 0;
    memset(mean, 0, 3 * n_m * sizeof *mean);
    for (size_t s = 0; s < sample->n_seeds; s++) {
        if (!counts(sample, s))
            continue;
        n++;
        for (size_t i = 0; i < 3; i++)
            for (size_t m = 0; m < n_m && sample->of[i] != NULL; m++)
                mean[i * n_m + m] += (sample->of[i][s * n_m + m] - mean[i * n_m + m]) / (double)n;
    }
    *value = n > 0 ? value_at(sample, mean) : NAN;
    for (size_t s = 0; s < sample->n_seeds; s++)
        if (counts(sample, s)) {
            const double slope =
                (value_beside(sample, mean, s, STEP) - value_beside(sample, mean, s, -STEP)) /
                (2 * STEP);
            squares += slope * slope;
        }
    *se = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : NAN;
    return n;
}

/* The contender that is the optimum's baseline; n_contenders where none is. */
static size_t baseline_of(const struct mix_claim *claim, const struct mix_confirmation *out)
{
    size_t c = 0;
    while (c < out->n_contenders && distance_of(out->n_domains, claim->optimum->baseline,
                                                &out->mixture[c * out->n_domains]) >= SAME)
        c++;
    return c;
}

/* The contests of a scale, from losses (n_contenders,n_seeds,M). scratch (6,M) */
static void judge(const struct mix_claim *claim, const double *losses, double *scratch,
                  struct mix_confirmation *out, struct mix_contest *contest)
{
    const size_t n_m = claim->fit->spec.n_targets, n = out->n_seeds * n_m,
                 baseline = baseline_of(claim, out);
    const bool relative = mix_goal_is_relative(claim->optimum->goal);
    for (size_t c = 0; c < out->n_contenders; c++) {
        struct mix_contest *x = &contest[c];
        struct sample sample = {.claim = claim, .n_seeds = out->n_seeds, .at = scratch};
        x->measured = x->measured_se = x->gain = x->gain_se = NAN;
        for (size_t s = 0; s < out->n_seeds; s++)
            out->n_failed -= is_measured(claim, losses + c * n + s * n_m);
        if (relative && baseline == out->n_contenders)
            continue; /* it was not trained */
        sample.of[0] = losses + c * n;
        sample.of[2] = relative ? losses + baseline * n : NULL;
        x->n_done = summarise(&sample, scratch + 3 * n_m, &x->measured, &x->measured_se);
        sample.of[1] = losses;
        if (c > 0)
            (void)summarise(&sample, scratch + 3 * n_m, &x->gain, &x->gain_se);
    }
}

const char *mix_contest_verdict(const struct mix_contest *contest)
{
    if (isnan(contest->gain))
        return "was not compared with";
    if (isnan(contest->gain_se) || !(fabs(contest->gain) > 2 * contest->gain_se))
        return "cannot be told from";
    return contest->gain > 0 ? "beats" : "loses to";
}

/* Of the confirming job, or of the runs that were found. */
static enum mix_status measure(const struct mix_claim *claim, const struct mix_job *confirming,
                               const struct found *found, struct mix_confirmation *out,
                               struct mix_error *err)
{
    const size_t n_m = claim->fit->spec.n_targets, n = out->n_contenders * out->n_seeds * n_m;
    double *losses = calloc(out->n_scales * n + 6 * n_m, sizeof *losses);
    enum mix_status status = MIX_OK;
    if (!losses)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    for (size_t i = 0; i < out->n_scales * n; i++)
        losses[i] = NAN;
    if (confirming)
        status = gather(claim, confirming, out, losses, err);
    else
        status = gather_found(claim, found, out, losses, err);
    out->n_failed = out->n_planned;
    for (size_t s = 0; status == MIX_OK && s < out->n_scales; s++)
        judge(claim, losses + s * n, losses + out->n_scales * n, out,
              &out->contest[s * out->n_contenders]);
    free(losses);
    return status;
}

/* ---- what was claimed */

/* Objective of a mixture under one set of parameters; NaN where the law has no answer. losses (2M):
 * its losses and those of the baseline */
static double predict(const struct mix_claim *claim, struct mix_model *model, const double *params,
                      const double *mixture, const struct mix_job_scale *scale, double *losses)
{
    const double size = scale->n_params / 1e6, tokens = scale->n_tokens / 1e9;
    const struct mix_optimum *o = claim->optimum;
    double *baseline = losses + claim->fit->spec.n_targets;
    if (mix_model_predict(model, params, 1, mixture, &size, &tokens, losses, NULL) != MIX_OK ||
        (mix_goal_is_relative(o->goal) && mix_model_predict(model, params, 1, o->baseline, &size,
                                                            &tokens, baseline, NULL) != MIX_OK))
        return NAN;
    return mix_goal_value(claim->fit, o->goal, o->weight, losses, baseline);
}

/* What a law with repetition sees: the part of the text that runs of the scale are given, by the
 * job or by the passes that they made. */
static void set_supply(const struct mix_claim *claim, const struct mix_job_scale *scale,
                       struct mix_model *model)
{
    const struct mix_job *job = claim->job;
    const struct mix_fit *fit = claim->fit;
    const struct mix_table *table = claim->table;
    double supply[MIX_DOMAINS_MAX];
    for (size_t k = 0; k < fit->spec.n_domains; k++) {
        supply[k] = NAN;
        for (size_t j = 0; job && j < job->n_domains; j++)
            if (strcmp(job->domains[j].name, fit->domains[k]) == 0)
                supply[k] = job->domains[j].supply_tokens * mix_job_subsample(job, scale, j) / 1e9;
        for (size_t r = 0; !job && isnan(supply[k]) && r < table->n_rows; r++) {
            const size_t at = r * table->n_domains + k;
            if (mix_run_confirms(&table->runs[r]) && table->runs[r].n_params == scale->n_params &&
                table->runs[r].n_tokens == scale->n_tokens && table->epochs[at] > 0)
                supply[k] = table->mixture[at] * scale->n_tokens / table->epochs[at] / 1e9;
        }
    }
    mix_model_set_supply(model, supply);
}

/* The target whose loss is the objective, where that is the worst. weight (M) scratch */
static size_t worst_of(const struct mix_claim *claim, const double *losses, double *weight)
{
    const struct mix_optimum *o = claim->optimum;
    const size_t n_m = claim->fit->spec.n_targets;
    double most = -INFINITY;
    size_t worst = 0;
    for (size_t m = 0; m < n_m; m++) {
        memset(weight, 0, n_m * sizeof *weight);
        weight[m] = o->weight[m];
        const double value = o->weight[m] > 0
                                 ? mix_goal_value(claim->fit, o->goal, weight, losses, losses + n_m)
                                 : -INFINITY;
        if (value > most) {
            most = value;
            worst = m;
        }
    }
    return worst;
}

/* An objective and where it is asked for; borrowed. */
struct asked {
    const struct mix_claim *claim;
    const double *mixture; /* (K) */
    const struct mix_job_scale *scale;
    double value;
    const double *losses; /* (2M) of the mixture, of the baseline */
    double *weight;       /* (M) scratch */
};

static enum mix_status budget_of(const struct asked *a, const double *weight,
                                 struct mix_error_budget *out, struct mix_error *err)
{
    const struct mix_claim *claim = a->claim;
    return mix_error_budget_compute(claim->table, claim->fit, claim->draws, claim->n_others,
                                    claim->others, weight, a->mixture, a->scale->n_params,
                                    a->scale->n_tokens, out, err);
}

/* Of an objective relative to the baseline, by the delta method: with weights w / baseline it moves
 * as a mean loss less that of the baseline does, but for a factor. No other errors are known of one
 * that is no such mean: of scores, of losses of several units. */
static enum mix_status budget_relative(const struct asked *a, struct mix_error_budget *out,
                                       struct mix_error *err)
{
    const struct mix_claim *claim = a->claim;
    const struct mix_optimum *o = claim->optimum;
    const size_t n_m = claim->fit->spec.n_targets, worst = worst_of(claim, a->losses, a->weight);
    struct mix_error_budget mean;
    double sum = 0, total = 0;
    for (size_t m = 0; m < n_m; m++) {
        const double w = o->goal == MIX_GOAL_WORST_GAIN ? m == worst : o->weight[m];
        a->weight[m] = w > 0 ? w / a->losses[n_m + m] : 0;
        sum += a->weight[m];
        total += w;
    }
    const double factor = sum / total,
                 off = factor * mix_fit_mean(claim->fit, a->weight, a->losses) - a->value;
    *out = (struct mix_error_budget){.seed = NAN, .fit = NAN, .law = NAN, .scale = NAN};
    if (!(fabs(off) < 1e-9 * fabs(a->value)))
        return MIX_OK;
    enum mix_status status = budget_of(a, a->weight, &mean, err);
    if (status == MIX_OK)
        status = mix_error_budget_gain(claim->fit, claim->draws, claim->n_others, claim->others,
                                       a->weight, a->mixture, o->baseline, a->scale->n_params,
                                       a->scale->n_tokens, &mean, out, err);
    out->law *= factor;
    out->scale *= factor;
    out->least = -INFINITY;
    out->most = INFINITY;
    return status;
}

static enum mix_status budget_worst(const struct asked *a, struct mix_error_budget *out,
                                    struct mix_error *err)
{
    const struct mix_claim *claim = a->claim;
    const double *weight = claim->optimum->weight;
    struct mix_error_budget mean;
    const enum mix_status status = budget_of(a, weight, &mean, err);
    return status == MIX_OK
               ? mix_error_budget_target(claim->table, claim->fit, claim->n_others, claim->others,
                                         weight, worst_of(claim, a->losses, a->weight), a->mixture,
                                         a->scale->n_params, a->scale->n_tokens, &mean, out, err)
               : status;
}

/* Widened by all sources of error that are known; *known false where none is beside the draws. */
static enum mix_status widen(const struct asked *a, struct mix_interval draws,
                             struct mix_interval *wide, bool *known, struct mix_error *err)
{
    const struct mix_optimum *o = a->claim->optimum;
    struct mix_error_budget budget;
    enum mix_status status = MIX_OK;
    *wide = draws;
    if (mix_goal_is_relative(o->goal) && distance_of(o->n_domains, a->mixture, o->baseline) < SAME)
        return MIX_OK; /* 1 by definition */
    if (o->goal == MIX_GOAL_MEAN)
        status = budget_of(a, o->weight, &budget, err);
    else if (o->goal == MIX_GOAL_WORST)
        status = budget_worst(a, &budget, err);
    else
        status = budget_relative(a, &budget, err);
    if (status != MIX_OK) { /* EINVAL: the law predicts nothing for some of its own rows */
        *known = false;
        return status == MIX_EINVAL ? mix_fail(err, MIX_OK, "%s", "") : status;
    }
    *wide = mix_error_budget_widen(&budget, draws, o->level);
    *known = *known && isfinite(wide->lo);
    return MIX_OK;
}

/* A contender's objective and what it is worse by than the optimum, at a scale, of the fit and of
 * its draws. values (2B) scratch, losses (4M) scratch */
static enum mix_status forecast(const struct mix_claim *claim, struct mix_model *model,
                                const struct mix_confirmation *out, size_t c,
                                const struct mix_job_scale *scale, double *values, double *losses,
                                struct mix_contest *contest, struct mix_interval *wide, bool *known,
                                struct mix_error *err)
{
    const struct mix_draws *draws = claim->draws;
    const size_t n_m = claim->fit->spec.n_targets, n_draws = draws ? draws->n_draws : 0;
    const double *mixture = &out->mixture[c * out->n_domains];
    double *gains = values + n_draws, *scratch = losses + 2 * n_m;
    size_t n = 0;
    for (size_t b = 0; b < n_draws; b++) {
        const double *params = draws->params + b * draws->n_params;
        if (!draws->done[b])
            continue;
        values[n] = predict(claim, model, params, mixture, scale, scratch);
        gains[n] = values[n] - predict(claim, model, params, out->mixture, scale, scratch);
        n++;
    }
    const double *params = claim->fit->params,
                 best = predict(claim, model, params, out->mixture, scale, scratch),
                 value = predict(claim, model, params, mixture, scale, losses);
    const struct asked asked = {claim, mixture, scale, value, losses, scratch};
    contest->predicted = mix_interval_about(value, n, values, out->level);
    contest->predicted_gain = mix_interval_about(value - best, n, gains, out->level);
    return widen(&asked, contest->predicted, wide, known, err);
}

/* The law's own claim at all scales; its intervals are wide everywhere or nowhere, so that one
 * sentence is true of all. */
static enum mix_status forecast_all(const struct mix_claim *claim, struct mix_confirmation *out,
                                    struct mix_error *err)
{
    const size_t n_m = claim->fit->spec.n_targets,
                 n_draws = claim->draws ? claim->draws->n_draws : 0,
                 n_contests = out->n_scales * out->n_contenders;
    struct mix_model *model = NULL;
    double *values = calloc(2 * n_draws + 4 * n_m + 1, sizeof *values);
    struct mix_interval *wide = calloc(n_contests + 1, sizeof *wide);
    enum mix_status status = mix_fit_model(claim->fit, &model, err);
    if (status == MIX_OK && (!values || !wide))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws.", n_draws);
    out->is_wide = true;
    for (size_t s = 0; status == MIX_OK && s < out->n_scales; s++) {
        set_supply(claim, &out->scales[s], model);
        for (size_t c = 0; status == MIX_OK && c < out->n_contenders; c++) {
            const size_t at = s * out->n_contenders + c;
            status = forecast(claim, model, out, c, &out->scales[s], values, values + 2 * n_draws,
                              &out->contest[at], &wide[at], &out->is_wide, err);
        }
    }
    for (size_t i = 0; status == MIX_OK && out->is_wide && i < n_contests; i++)
        out->contest[i].predicted = wide[i];
    mix_model_destroy(model);
    free(values);
    free(wide);
    return status;
}

/* ---- both */

static struct mix_confirmation *create(const struct mix_claim *claim,
                                       const struct mix_line_up *line, size_t n_scales,
                                       const struct mix_job_scale *scales, size_t n_seeds)
{
    struct mix_confirmation *out = calloc(1, sizeof *out);
    if (!out)
        return NULL;
    out->n_contenders = line->n;
    out->n_scales = n_scales;
    out->n_seeds = n_seeds;
    out->n_domains = claim->optimum->n_domains;
    out->level = claim->optimum->level;
    out->objective = mix_optimum_objective_text(claim->optimum);
    out->is_mean = claim->optimum->goal == MIX_GOAL_MEAN;
    memcpy(out->optimum, claim->optimum->name, sizeof out->optimum);
    out->domains = calloc(out->n_domains, sizeof *out->domains);
    out->mixture = calloc(out->n_contenders * out->n_domains, sizeof *out->mixture);
    out->scales = calloc(out->n_scales + 1, sizeof *out->scales); /* there may be none */
    out->contest = calloc(out->n_scales * out->n_contenders + 1, sizeof *out->contest);
    if (!out->domains || !out->mixture || !out->scales || !out->contest) {
        mix_confirmation_destroy(out);
        return NULL;
    }
    memcpy(out->mixture, line->mixture, line->n * out->n_domains * sizeof *out->mixture);
    for (size_t c = 0; c < line->n; c++) {
        out->name[c] = contender_names[line->which[c]];
        struct mix_optimum other = *claim->optimum; /* asked as if it were the best observed one */
        other.best_observed = &out->mixture[c * out->n_domains];
        (void)mix_optimum_broken_text(&other, 2, out->breaks[c]);
    }
    for (size_t k = 0; k < out->n_domains; k++)
        memcpy(out->domains[k], claim->optimum->domains[k], MIX_NAME_MAX);
    for (size_t s = 0; s < n_scales; s++)
        out->scales[s] = scales[s];
    return out;
}

enum mix_status mix_confirmation_compute(const struct mix_claim *claim,
                                         struct mix_confirmation **out, struct mix_error *err)
{
    struct mix_line_up line;
    struct mix_job confirming;
    struct found found = {.n = 0};
    struct mix_confirmation *made = NULL;
    const struct mix_job *job = claim->job;
    struct mix_job_scale *scales = calloc((job ? job->confirm.n_scales : 0) + 1, sizeof *scales);
    enum mix_status status =
        scales ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    mix_line_up_set(job, claim->optimum, &line);
    if (status == MIX_OK)
        status = job ? mix_confirming_job(job, &line, scales, &confirming, err)
                     : find_runs(claim->table, &found, err);
    if (status == MIX_OK)
        made = job ? create(claim, &line, confirming.n_scales, scales, scales[0].n_replicates)
                   : create(claim, &line, found.n_scales, found.scales, found.n_seeds);
    if (status == MIX_OK && !made)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the confirmation.");
    if (status == MIX_OK)
        status = measure(claim, job ? &confirming : NULL, &found, made, err);
    if (status == MIX_OK)
        status = forecast_all(claim, made, err);
    free(scales);
    clear_found(&found);
    if (status == MIX_OK)
        *out = made;
    else
        mix_confirmation_destroy(made);
    return status;
}

void mix_confirmation_destroy(struct mix_confirmation *confirmation)
{
    if (!confirmation)
        return;
    free(confirmation->domains);
    free(confirmation->mixture);
    free(confirmation->scales);
    free(confirmation->contest);
    free(confirmation);
}

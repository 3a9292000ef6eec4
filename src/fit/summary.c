/* SPDX-License-Identifier: GPL-3.0-or-later */
/* summary.c - from the records of all starts to the fit that is stored: rank 0 only. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"

enum { N_OPTIMA = 6, POLISH_STEPS = 5000 };
static const double EXACT = 1e-20; /* mse of rounding alone: such starts are equals */
static const double SAME_OBJECTIVE = 1.0 + 1e-6, ZERO_OBJECTIVE = 1e-20, DISAGREEMENT = 0.02;
static const double AT_BEST = 1.001, POLISH_TOLERANCE = 1e-10;

void fit_note(char *notes, size_t size, const char *format, ...)
{
    char line[MIX_TEXT_MAX];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    const size_t used = strlen(notes), length = strlen(line);
    if (n >= 0 && used + length + 2 <= size) {
        memcpy(notes + used, line, length);
        memcpy(notes + used + length, "\n", 2);
    }
}

enum mix_status fit_names(const struct mix_table *table, const struct mix_data *data,
                          struct fit_names *out, struct mix_error *err)
{
    *out = (struct fit_names){calloc(data->n_domains, sizeof *out->domains),
                              calloc(data->n_targets, sizeof *out->targets)};
    if (out->domains == NULL || out->targets == NULL) {
        free(out->domains);
        free(out->targets);
        *out = (struct fit_names){NULL, NULL};
        return mix_fail(err, MIX_ENOMEM, "out of memory for names");
    }
    for (size_t k = 0; k < data->n_domains; k++)
        out->domains[k] = table->domains[k].name;
    for (size_t m = 0; m < data->n_targets; m++)
        out->targets[m] = table->targets[data->target[m]].name;
    return MIX_OK;
}

static void chain_key(struct mix_key *key, const char *what, const void *bytes, size_t n_bytes)
{
    const struct mix_key next = mix_key_make(key->lo, what, bytes, n_bytes);
    key->hi ^= next.hi;
    key->lo = next.lo;
}

struct mix_key fit_table_key(const struct mix_data *data, const struct fit_names *names,
                             const char *laws)
{
    struct mix_key key = {0, 0};
    const size_t n = data->n_rows;
    chain_key(&key, "mixture", data->mixture, n * data->n_domains * sizeof(double));
    chain_key(&key, "n_params", data->n_params, n * sizeof(double));
    chain_key(&key, "n_tokens", data->n_tokens, n * sizeof(double));
    chain_key(&key, "weight", data->weight, n * data->n_targets * sizeof(double));
    if (strchr(laws, '+') != NULL) /* of a law with repetition */
        chain_key(&key, "unique", data->unique, n * data->n_domains * sizeof(double));
    for (size_t e = 0; e < n * data->n_targets; e++)
        if (data->weight[e] > 0.0)
            chain_key(&key, "loss", &data->loss[e], sizeof(double));
    for (size_t k = 0; k < data->n_domains; k++)
        chain_key(&key, "domain", names->domains[k], strlen(names->domains[k]));
    for (size_t m = 0; m < data->n_targets; m++)
        chain_key(&key, "target", names->targets[m], strlen(names->targets[m]));
    return key;
}

struct mix_key mix_fit_key(const struct mix_fit *fit)
{
    const double spec[] = {
        fit->spec.form,          (double)fit->spec.n_domains, (double)fit->spec.n_targets,
        fit->spec.has_size_term, fit->spec.has_token_term,    fit->spec.n_min,
        fit->spec.h_min,         fit->selection.mask_below};
    struct mix_key key = fit->table_key;
    chain_key(&key, fit->spec.law, spec, sizeof spec);
    chain_key(&key, "params", fit->params, fit->n_params * sizeof(double));
    chain_key(&key, "optima", fit->optima, fit->n_optima * fit->n_params * sizeof(double));
    return key;
}

/* Priors and the box of theta, rounded as logarithms differ between machines. */
static struct mix_key priors_key(const struct mix_model *model)
{
    struct mix_key key = {0, 0};
    if (model->pull == NULL)
        return key;
    for (size_t i = 0; i < model->n_theta; i++) {
        const float prior[] = {(float)model->pull[i], (float)model->centre[i],
                               (float)model->lower[i], (float)model->upper[i],
                               model->heavy_tails[i] ? 1.0F : 0.0F};
        chain_key(&key, "prior", prior, sizeof prior);
    }
    return key;
}

static bool has_priors_of_now(const struct mix_fit *fit)
{
    struct mix_model *model;
    if (mix_model_create(&fit->spec, fit->target_domain, &model, NULL) != MIX_OK)
        return false;
    const struct mix_key key = priors_key(model);
    const bool is_separable = model->separable;
    mix_model_destroy(model);
    /* Files have the key since the priors of transfer and demand changed, and no other's did. */
    if (fit->priors_key.hi == 0 && fit->priors_key.lo == 0 && is_separable)
        return true;
    return key.hi == fit->priors_key.hi && key.lo == fit->priors_key.lo;
}

static bool sees_same_runs(const struct mix_fit *fit, const struct mix_table *table)
{
    struct mix_data *data = NULL;
    struct fit_names names = {NULL, NULL};
    struct mix_key key = {0, 0};
    if (mix_table_select(table, &fit->selection, &data, NULL) == MIX_OK &&
        fit_names(table, data, &names, NULL) == MIX_OK)
        key = fit_table_key(data, &names, fit->spec.law);
    free(names.domains);
    free(names.targets);
    mix_data_destroy(data);
    return key.hi == fit->table_key.hi && key.lo == fit->table_key.lo;
}

const char *mix_fit_outdated(const struct mix_fit *fit, const struct mix_table *table)
{
    if (!sees_same_runs(fit, table))
        return "the runs have changed";
    return has_priors_of_now(fit) ? NULL : "the priors of its law have changed";
}

/* "the seed has changed (from 3 to 1)" */
static const char *changed(char text[MIX_TEXT_MAX], const char *what, const char *from,
                           const char *to)
{
    snprintf(text, MIX_TEXT_MAX, "%s changed (from %.100s to %.100s)", what,
             from[0] != '\0' ? from : "none", to[0] != '\0' ? to : "none");
    return text;
}

static const char *changed_count(char text[MIX_TEXT_MAX], const char *what, uint64_t from,
                                 uint64_t to)
{
    char a[24], b[24];
    snprintf(a, sizeof a, "%" PRIu64, from);
    snprintf(b, sizeof b, "%" PRIu64, to);
    return changed(text, what, a, b);
}

/* What differs in the rows and targets that are selected, or NULL. */
static const char *selection_difference(const struct mix_selection *old,
                                        const struct mix_selection *now, char text[MIX_TEXT_MAX])
{
    char a[24], b[24];
    if (strcmp(old->where, now->where) != 0)
        return changed(text, "the selection (where) has", old->where, now->where);
    if (strcmp(old->targets, now->targets) != 0)
        return changed(text, "the selection (targets) has", old->targets, now->targets);
    if (old->checkpoints != now->checkpoints)
        return changed(text, "the selection (checkpoints) has",
                       mix_checkpoints_name(old->checkpoints),
                       mix_checkpoints_name(now->checkpoints));
    if (old->mask_below == now->mask_below)
        return NULL;
    snprintf(a, sizeof a, "%g", old->mask_below);
    snprintf(b, sizeof b, "%g", now->mask_below);
    return changed(text, "the selection (mask-below) has", a, b);
}

const char *mix_fit_difference(const struct mix_fit *fit, const struct mix_table *table,
                               const struct mix_fit_options *options, char text[MIX_TEXT_MAX])
{
    if (strcmp(fit->spec.law, options->law) != 0)
        return changed(text, "the law has", fit->spec.law, options->law);
    if (fit->spec.form != options->form)
        return "the form of the law has changed";
    const char *selection = selection_difference(&fit->selection, &options->selection, text);
    if (selection != NULL)
        return selection;
    if (fit->n_starts != options->n_starts)
        return changed_count(text, "the starts have", fit->n_starts, options->n_starts);
    if (fit->seed != options->seed)
        return changed_count(text, "the seed has", fit->seed, options->seed);
    if (strcmp(fit->holdout_option, options->holdout) != 0)
        return changed(text, "the hold-out has", fit->holdout_option, options->holdout);
    const char *outdated = mix_fit_outdated(fit, table);
    if (outdated != NULL)
        return outdated;
    for (size_t m = 0; m < fit->spec.n_targets; m++) {
        const int at = mix_table_target(table, fit->targets[m]);
        if (at >= 0 && table->targets[at].weight != fit->target_weight[m])
            return "the weights of the targets have changed";
    }
    return NULL;
}

double mix_fit_mean(const struct mix_fit *fit, const double *weight, const double *loss)
{
    return fit_mean(fit->spec.n_targets, fit->spec.n_scores, weight, fit->target_size, loss);
}

bool mix_fit_mean_is_score(const struct mix_fit *fit, const double *weight)
{
    return fit_is_mean_score(fit->spec.n_targets, fit->spec.n_scores, weight);
}

enum mix_status mix_fit_model(const struct mix_fit *fit, struct mix_model **out,
                              struct mix_error *err)
{
    struct mix_model *model;
    const enum mix_status status = mix_model_create(&fit->spec, fit->target_domain, &model, err);
    if (status != MIX_OK)
        return status;
    if (mix_model_n_params(model) != fit->n_params) {
        const size_t expected = mix_model_n_params(model);
        mix_model_destroy(model);
        return mix_fail(err, MIX_EFORMAT, "fit %s has %zu parameters where law %s has %zu",
                        fit->name, fit->n_params, fit->spec.law, expected);
    }
    double supply[MIX_DOMAINS_MAX];
    for (size_t k = 0; k < fit->spec.n_domains; k++)
        supply[k] = fit->supply[k] / 1e9;
    mix_model_set_supply(model, supply);
    *out = model;
    return MIX_OK;
}

/* Natural parameters at theta. */
static void natural_params(struct lsq *lsq, const double *theta, double *lambda, double *params)
{
    lsq_evaluate(lsq, theta, lambda);
    const struct mix_model *model = lsq_model(lsq);
    model->law->to_natural(model, theta, lambda, params);
}

/* Starts ordered by what they reached; returns how many distinct optima are worth keeping, their
 * starts in `kept`: each differs from the one before by 0.01% at least, and none is worse than the
 * best by half. */
static size_t distinct_optima(const struct fit_plan *plan, size_t kept[N_OPTIMA])
{
    const struct subfit *subfit = &plan->subfit[0];
    double last = 0.0, best = INFINITY;
    for (size_t i = 0; i < subfit->n_starts; i++)
        best = fmin(best, fit_record(plan, subfit, i)[0]);
    size_t n = 0;
    while (n < N_OPTIMA) {
        double next = INFINITY;
        for (size_t i = 0; i < subfit->n_starts; i++) {
            const double reached = fit_record(plan, subfit, i)[0];
            if (reached < next && (n == 0 || reached > last * (1.0 + 1e-4) + EXACT)) {
                next = reached;
                kept[n] = i;
            }
        }
        if (!isfinite(next) || next > 1.5 * best + EXACT)
            break;
        last = next;
        n++;
    }
    return n;
}

/* What is known before anything is judged: names, selection, scales. */
static void fill_facts(const struct mix_table *table, const struct mix_fit_options *options,
                       const struct fit_plan *plan, struct mix_fit *fit)
{
    const struct mix_data *data = plan->data;
    const char *name = options->name != NULL ? options->name : options->law;
    snprintf(fit->name, sizeof fit->name, "%s", name);
    fit->spec = plan->spec;
    fit->selection = options->selection;
    snprintf(fit->holdout_option, sizeof fit->holdout_option, "%s", options->holdout);
    fit->seed = options->seed;
    fit->table_key = fit_table_key(plan->all, &plan->names, options->law);
    fit->priors_key = priors_key(lsq_model(plan->subfit[0].lsq));
    fit->n_rows = data->n_rows;
    fit->n_clusters = data->n_clusters;
    for (size_t k = 0; k < data->n_domains; k++) {
        snprintf(fit->domains[k], MIX_NAME_MAX, "%s", plan->names.domains[k]);
        if (mix_law_repeats(options->law))
            fit->supply[k] = table->domains[k].supply_tokens;
    }
    for (size_t m = 0; m < data->n_targets; m++) {
        snprintf(fit->targets[m], MIX_NAME_MAX, "%s", plan->names.targets[m]);
        fit->target_domain[m] = data->target_domain[m];
        fit->target_weight[m] = table->targets[data->target[m]].weight;
        fit->target_size[m] = data->size[m];
    }
    for (size_t r = 0; r < data->n_rows; r++) {
        fit->max_n_params = fmax(fit->max_n_params, data->n_params[r] * 1e6);
        fit->max_n_tokens = fmax(fit->max_n_tokens, data->n_tokens[r] * 1e9);
        for (size_t k = 0; k < data->n_domains; k++)
            fit->seen_max[k] = fmax(fit->seen_max[k], data->mixture[r * data->n_domains + k]);
        for (size_t m = 0; m < data->n_targets; m++)
            fit->n_fitted += data->weight[r * data->n_targets + m] > 0.0;
    }
}

/* A parameter on which starts of the same objective disagree is not identified, whatever the
 * curvature at the best of them says: with two values of D, E + Q D^-q fits the same two numbers
 * for any q. */
static enum mix_status mark_disagreement(const struct fit_plan *plan, struct mix_fit *fit,
                                         double *lambda, struct mix_error *err)
{
    const struct subfit *main_fit = &plan->subfit[0];
    const size_t n_params = fit->n_params;
    double *low = calloc(3 * n_params, sizeof *low), *high = low + n_params,
           *other = high + n_params;
    if (low == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
    memcpy(low, fit->params, n_params * sizeof *low);
    memcpy(high, fit->params, n_params * sizeof *high);
    for (size_t i = 0; i < fit->n_starts; i++) {
        const double *record = fit_record(plan, main_fit, i);
        if (!(record[0] <= SAME_OBJECTIVE * fit->objective + ZERO_OBJECTIVE))
            continue;
        natural_params(main_fit->lsq, record + 2, lambda, other);
        for (size_t p = 0; p < n_params; p++) {
            low[p] = fmin(low[p], other[p]);
            high[p] = fmax(high[p], other[p]);
        }
    }
    for (size_t p = 0; p < n_params; p++) {
        if (high[p] - low[p] <= DISAGREEMENT * fmax(fabs(high[p]), fabs(low[p])) ||
            fit->param_state[p] != 0)
            continue;
        fit->param_state[p] = 2;
        fit->std_error[p] = NAN;
        for (size_t o = 0; o < n_params; o++)
            fit->covariance[p * n_params + o] = fit->covariance[o * n_params + p] = NAN;
    }
    free(low);
    return MIX_OK;
}

static enum mix_status fill_params(struct fit_plan *plan, double *theta, struct mix_fit *fit,
                                   const size_t *kept, struct mix_poll *poll, struct mix_error *err)
{
    struct subfit *main_fit = &plan->subfit[0];
    struct mix_model *model = lsq_model(main_fit->lsq);
    struct lsq_result result;
    enum mix_status status =
        lsq_minimise(main_fit->lsq, theta, POLISH_STEPS, POLISH_TOLERANCE, poll, &result, err);
    if (status != MIX_OK)
        return status;
    double *lambda = calloc(model->spec.n_targets * model->n_linear, sizeof *lambda);
    if (lambda == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
    for (size_t i = 1; i < fit->n_optima; i++)
        natural_params(main_fit->lsq, fit_record(plan, main_fit, kept[i]) + 2, lambda,
                       fit->optima + i * fit->n_params);
    natural_params(main_fit->lsq, theta, lambda, fit->params);
    memcpy(fit->optima, fit->params, fit->n_params * sizeof *fit->params);
    fit->objective = result.objective;
    for (size_t i = 0; i < fit->n_starts; i++) {
        fit->start_objective[i] = fit_record(plan, main_fit, i)[0];
        fit->n_at_best += fit->start_objective[i] <= AT_BEST * fit->objective + EXACT;
    }
    for (size_t p = 0; p < fit->n_params; p++)
        mix_model_param_name(model, p, plan->names.domains, plan->names.targets,
                             fit->param_names[p], fit->param_units[p]);
    status = fit_errors(main_fit->lsq, theta, lambda, poll, fit, err);
    if (status == MIX_OK)
        status = mark_disagreement(plan, fit, lambda, err);
    free(lambda);
    return status;
}

static enum mix_status judge_training(const struct fit_plan *plan, struct mix_fit *fit,
                                      double *predicted, struct mix_error *err)
{
    const struct mix_data *data = plan->data;
    enum mix_status status = mix_model_predict_runs(lsq_model(plan->subfit[0].lsq), fit->params,
                                                    data->n_rows, data->mixture, data->unique,
                                                    data->n_params, data->n_tokens, predicted, err);
    if (status == MIX_OK)
        status =
            mix_metrics_compute(data, fit->target_weight, predicted, NULL, -1, &fit->train, err);
    for (size_t m = 0; status == MIX_OK && m < data->n_targets; m++)
        status = mix_metrics_compute(data, fit->target_weight, predicted, NULL, (int)m,
                                     &fit->train_by_target[m], err);
    return status;
}

enum mix_status fit_predict_rows(const struct fit_plan *plan, const struct subfit *subfit,
                                 const uint8_t *test, double *predicted, struct mix_error *err)
{
    const struct mix_data *data = plan->data;
    double objective;
    const double *theta = fit_best_theta(plan, subfit, &objective);
    if (theta == NULL)
        return mix_fail(err, MIX_ENUMERIC, "no start of a hold-out fit has a finite loss");
    struct mix_model *model = lsq_model(subfit->lsq);
    double *work = calloc(model->n_params + model->spec.n_targets * model->n_linear, sizeof *work);
    if (work == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a hold-out");
    natural_params(subfit->lsq, theta, work + model->n_params, work);
    enum mix_status status = MIX_OK;
    for (size_t r = 0; r < data->n_rows && status == MIX_OK; r++) {
        double *of_row = predicted + r * data->n_targets;
        if (!test[r])
            continue;
        status = mix_model_predict_runs(model, work, 1, data->mixture + r * data->n_domains,
                                        data->unique + r * data->n_domains, data->n_params + r,
                                        data->n_tokens + r, of_row, err);
        for (size_t m = 0; m < data->n_targets && status == MIX_EINVAL; m++)
            of_row[m] = NAN; /* smaller than the H of runs that are all larger: not scored */
        if (status == MIX_EINVAL)
            status = MIX_OK;
    }
    free(work);
    return status;
}

/* Root mean square relative error of the weighted mean loss over test rows that have all targets.
 */
static double mean_loss_error(const struct mix_data *data, const double *weight,
                              const double *predicted, const uint8_t *test)
{
    double squares = 0.0, n = 0.0;
    for (size_t r = 0; r < data->n_rows; r++) {
        const size_t at = r * data->n_targets;
        const double of = fit_mean_loss(data, weight, data->loss + at, -1);
        const double by = fit_mean_loss(data, weight, predicted + at, -1);
        if (test[r] && isfinite(of) && isfinite(by)) {
            squares += pow(by / of - 1.0, 2);
            n += 1.0;
        }
    }
    return n > 0.0 ? sqrt(squares / n) : NAN;
}

/* Predictions of a split: by the law (floor = SIZE_MAX) or by a floor, each fold by its own
 * training rows. */
static enum mix_status predict_split(const struct fit_plan *plan, const struct split *split,
                                     size_t first_subfit, size_t floor, double *predicted,
                                     double *work, struct mix_error *err)
{
    const struct mix_data *data = plan->data;
    const size_t n_m = data->n_targets;
    enum mix_status status = MIX_OK;
    for (size_t e = 0; e < data->n_rows * n_m; e++)
        predicted[e] = NAN;
    for (size_t f = 0; status == MIX_OK && f < split->n_folds; f++) {
        const uint8_t *test = split->test + f * data->n_rows;
        if (floor == SIZE_MAX) {
            status = fit_predict_rows(plan, &plan->subfit[first_subfit + f], test, predicted, err);
            continue;
        }
        status =
            validate_floor(floor, data, split->train + f * data->n_rows, plan->seed, work, err);
        for (size_t r = 0; r < data->n_rows; r++)
            if (test[r])
                memcpy(predicted + r * n_m, work + r * n_m, n_m * sizeof *work);
    }
    return status;
}

static double largest_trained(const struct mix_data *data, const uint8_t *train)
{
    double top = 0.0;
    for (size_t r = 0; r < data->n_rows; r++)
        if (train[r])
            top = fmax(top, data->n_params[r]);
    return top;
}

enum { BLIND_FLOORS = 2 }; /* mean and scale-only do not look at the mixture */

static void blind(struct mix_metrics *metrics)
{
    metrics->rho = metrics->slope = metrics->regret = NAN;
    metrics->skill = metrics->n > 0 ? 0 : NAN;
}

/* Keep what the law says of the tested rows. */
static enum mix_status keep_predictions(const struct mix_table *table, const struct mix_data *data,
                                        const double *predicted, const uint8_t *tested,
                                        struct mix_fit *fit, struct mix_error *err)
{
    const size_t n_m = data->n_targets;
    size_t n = fit->n_held;
    for (size_t r = 0; r < data->n_rows; r++)
        n += tested[r] != 0;
    size_t at = fit->n_held;
    if (!mix_fit_hold(fit, n))
        return mix_fail(err, MIX_ENOMEM, "out of memory for a hold-out");
    for (size_t r = 0; r < data->n_rows; r++) {
        if (!tested[r])
            continue;
        fit->held_out[at] = (int32_t)fit->n_holdouts;
        fit->held_key[at] = table->runs[data->row[r]].key;
        fit->held_n_params[at] = data->n_params[r] * 1e6;
        for (size_t m = 0; m < n_m; m++)
            fit->held_loss[at * n_m + m] =
                data->weight[r * n_m + m] > 0.0 ? data->loss[r * n_m + m] : (double)NAN;
        memcpy(fit->held_predicted + at * n_m, predicted + r * n_m, n_m * sizeof *predicted);
        at++;
    }
    return MIX_OK;
}

static enum mix_status judge_split(const struct mix_table *table, const struct fit_plan *plan,
                                   const struct split *split, size_t first_subfit,
                                   struct mix_fit *fit, double *predicted, double *work,
                                   uint8_t *tested, struct mix_error *err)
{
    const struct mix_data *data = plan->data;
    struct mix_holdout *out = &fit->holdouts[fit->n_holdouts];
    for (size_t f = 0; f < split->n_folds; f++)
        if (plan->subfit[first_subfit + f].lsq == NULL)
            return MIX_OK; /* the law refuses a fold; the note says so */
    memset(tested, 0, data->n_rows);
    for (size_t i = 0; i < split->n_folds * data->n_rows; i++)
        tested[i % data->n_rows] |= split->test[i];
    snprintf(out->kind, sizeof out->kind, "%s", split->kind);
    enum mix_status status =
        predict_split(plan, split, first_subfit, SIZE_MAX, predicted, work, err);
    if (status == MIX_OK)
        status =
            mix_metrics_compute(data, fit->target_weight, predicted, tested, -1, &out->law, err);
    if (status == MIX_OK)
        status = keep_predictions(table, data, predicted, tested, fit, err);
    if (status == MIX_OK && fit->n_holdouts == 0) {
        fit->holdout_by_target = calloc(data->n_targets, sizeof *fit->holdout_by_target);
        if (fit->holdout_by_target == NULL)
            return mix_fail(err, MIX_ENOMEM, "out of memory for a hold-out");
        for (size_t m = 0; status == MIX_OK && m < data->n_targets; m++)
            status = mix_metrics_compute(data, fit->target_weight, predicted, tested, (int)m,
                                         &fit->holdout_by_target[m], err);
    }
    if (split->scale) {
        fit->scale_error = mean_loss_error(data, fit->target_weight, predicted, tested);
        fit->scale_factor = fit->max_n_params / 1e6 / largest_trained(data, split->train);
    }
    for (size_t floor = 0; status == MIX_OK && floor < MIX_FLOORS; floor++) {
        status = predict_split(plan, split, 0, floor, predicted, work, err);
        if (status == MIX_OK)
            status = mix_metrics_compute(data, fit->target_weight, predicted, tested, -1,
                                         &out->floor[floor], err);
        if (floor < BLIND_FLOORS) /* ranks over all folds would be those of the folds */
            blind(&out->floor[floor]);
    }
    fit->n_holdouts++;
    return status;
}

static enum mix_status judge_holdouts(const struct mix_table *table, const struct fit_plan *plan,
                                      struct mix_fit *fit, double *predicted, double *work,
                                      struct mix_error *err)
{
    uint8_t *tested = calloc(plan->data->n_rows, 1);
    if (tested == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a hold-out");
    enum mix_status status = MIX_OK;
    size_t first = 1;
    for (size_t i = 0; status == MIX_OK && i < plan->splits.n; i++) {
        status = judge_split(table, plan, &plan->splits.split[i], first, fit, predicted, work,
                             tested, err);
        first += plan->splits.split[i].n_folds;
    }
    free(tested);
    return status;
}

/* Names of the parameters in one state, at most six of them. */
static void note_state(struct mix_fit *fit, uint8_t state, const char *sentence)
{
    char names[MIX_TEXT_MAX / 2] = "";
    size_t n = 0, used = 0;
    for (size_t p = 0; p < fit->n_params; p++) {
        if (fit->param_state[p] != state)
            continue;
        if (n < 6 && used + 2 * MIX_NAME_MAX < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", n ? ", " : "",
                                     fit->param_names[p]);
        n++;
    }
    if (n > 0)
        fit_note(fit->warnings, sizeof fit->warnings, "%zu of the law's %zu parameters %s: %s%s", n,
                 fit->n_params, sentence, names, n > 6 ? ", ..." : "");
}

static void note_warnings(const struct fit_plan *plan, struct mix_fit *fit)
{
    const size_t size = sizeof fit->warnings;
    size_t n_early = 0;
    snprintf(fit->warnings, size, "%s", plan->notes);
    for (size_t r = 0; plan->data->early != NULL && r < plan->data->n_rows; r++)
        n_early += plan->data->early[r] != 0;
    if (n_early > 0)
        fit_note(fit->warnings, size,
                 "%zu of %zu rows are earlier checkpoints; they are fitted, and not judged on",
                 n_early, fit->n_rows);
    if (plan->data->n_intermediate > n_early)
        fit_note(fit->warnings, size,
                 "%zu of %zu rows are intermediate checkpoints; their losses are not those of "
                 "finished runs",
                 plan->data->n_intermediate - n_early, fit->n_rows);
    note_state(fit, 1, "sit on a bound");
    note_state(fit, 2, "are not identified by the design");
    if (fit->n_starts >= 16 && 20 * fit->n_at_best < fit->n_starts)
        fit_note(
            fit->warnings, size,
            "only %zu of %zu starts reached the best optimum; more --starts may find a better one",
            fit->n_at_best, fit->n_starts);
    for (size_t i = 0; i < fit->n_holdouts; i++)
        for (size_t floor = 0; floor < MIX_FLOORS; floor++) {
            const struct mix_metrics *f = &fit->holdouts[i].floor[floor];
            if (f->n > 0 && f->mre < fit->holdouts[i].law.mre)
                fit_note(fit->warnings, size, "on the held-out %s the law loses to the floor %s",
                         fit->holdouts[i].kind, mix_floor_names[floor]);
        }
}

enum mix_status fit_summarise(const struct mix_table *table, const struct mix_fit_options *options,
                              struct fit_plan *plan, struct mix_poll *poll, struct mix_fit **out,
                              struct mix_error *err)
{
    const struct subfit *main_fit = &plan->subfit[0];
    const struct mix_model *model = lsq_model(main_fit->lsq);
    double objective;
    const double *best = fit_best_theta(plan, main_fit, &objective);
    if (best == NULL)
        return mix_fail(err, MIX_ENUMERIC, "none of %zu starts of law %s has a finite loss",
                        main_fit->n_starts, options->law);
    size_t kept[N_OPTIMA] = {0};
    const size_t n_optima = distinct_optima(plan, kept);
    const size_t n_entries = plan->data->n_rows * plan->data->n_targets;
    struct mix_fit *fit = mix_fit_create(plan->data->n_domains, plan->data->n_targets,
                                         model->n_params, main_fit->n_starts, n_optima);
    double *work = calloc(2 * n_entries + model->n_theta + 1, sizeof *work);
    enum mix_status status = MIX_OK;
    if (fit == NULL || work == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a fit");
        goto out;
    }
    double *theta = work + 2 * n_entries;
    memcpy(theta, best, model->n_theta * sizeof *theta);
    fill_facts(table, options, plan, fit);
    status = fill_params(plan, theta, fit, kept, poll, err);
    if (status == MIX_OK)
        status = judge_training(plan, fit, work, err);
    if (status == MIX_OK)
        status = judge_holdouts(table, plan, fit, work, work + n_entries, err);
    if (status == MIX_OK) {
        note_warnings(plan, fit);
        status = fit_add_scores(table, plan, &fit, err);
    }
out:
    free(work);
    if (status != MIX_OK) {
        mix_fit_destroy(fit);
        fit = NULL;
    }
    *out = fit;
    return status;
}

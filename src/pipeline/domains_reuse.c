/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains_reuse.c - what it costs to keep the proportions of collapsed domains; see
 * mix_domains_reuse() in domains.h. */
#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/domains.h"

static const double STEP = 1e-4; /* of shares, for a second derivative */
static const double HIGH = 0.95; /* quantile over draws */

/* M targets of the fit before, R of the fit after (of the same where there is none). */
struct reuse {
    const struct mix_domains_kept *kept;
    struct mix_model *before, *after;
    size_t n, n_old, n_new;     /* parts, M, R */
    size_t at[MIX_DOMAINS_MAX]; /* (n) domains of the fit before */
    int *old;                   /* (R) targets of the fit before, or -1 */
    double *block, *weight;     /* (R) of sum 1 */
    double *move;               /* (R) losses after less those of the kept domains alone */
    double *loss, *all;         /* (M), (M,K): scratch */
    double *slope, *next;       /* (M,n) by the parts */
    double *bend, *most;        /* (M) */
};

static int find_name(const char (*names)[MIX_NAME_MAX], size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

/* Of a law with repetition the shares that count are not linear in those of the mixture. */
static bool is_convex(const struct mix_fit *fit)
{
    static const char *const laws[] = {"additive", "product", "dml",       "loglinear",
                                       "linear",   "bimix",   "chinchilla"};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
        if (strcmp(fit->spec.law, laws[i]) == 0)
            return true;
    return false;
}

static enum mix_status no_domain(const struct mix_fit *fit, const char *name, struct mix_error *err)
{
    return mix_fail(err, MIX_EINVAL, "fit %s knows no domain \"%s\"", fit->name, name);
}

/* ---- slopes of the fit before */

/* By the parts (M,n), at the mixture of today or where the parts are alone, a step nearer to one of
 * them. */
static enum mix_status find_slopes(const struct reuse *u, const double *params, size_t part,
                                   double step, double *slope, struct mix_error *err)
{
    const size_t n_domains = u->kept->before->spec.n_domains;
    double mixture[MIX_DOMAINS_MAX] = {0};
    if (u->kept->today != NULL)
        memcpy(mixture, u->kept->today, n_domains * sizeof *mixture);
    for (size_t i = 0; i < u->n && u->kept->today == NULL; i++)
        mixture[u->at[i]] = u->kept->parts[i].proportion;
    for (size_t k = 0; k < n_domains; k++)
        mixture[k] = (1 - step) * mixture[k] + (k == u->at[part] ? step : 0);
    const enum mix_status status =
        mix_model_gradient(u->before, params, mixture, u->kept->n_params / 1e6,
                           u->kept->n_tokens / 1e9, u->loss, u->all, err);
    for (size_t m = 0; m < u->n_old && status == MIX_OK; m++)
        for (size_t i = 0; i < u->n; i++)
            slope[m * u->n + i] = u->all[m * n_domains + u->at[i]];
    return status;
}

/* The slope of a target from all parts to one of them. */
static double towards(const struct reuse *u, const double *slope, size_t part)
{
    double mean = 0;
    for (size_t i = 0; i < u->n; i++)
        mean += u->kept->parts[i].proportion * slope[i];
    return slope[part] - mean;
}

/* d ln slope / d loss of each target: its second derivative by the square of the first, towards the
 * part that it minds most. */
static enum mix_status find_bends(const struct reuse *u, const double *params,
                                  struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t m = 0; m < u->n_old; m++)
        u->bend[m] = u->most[m] = 0;
    for (size_t i = 0; i < u->n && status == MIX_OK; i++) {
        status = find_slopes(u, params, i, STEP, u->next, err);
        for (size_t m = 0; m < u->n_old && status == MIX_OK; m++) {
            const double first = towards(u, u->slope + m * u->n, i);
            if (!(fabs(first) > u->most[m]))
                continue;
            u->most[m] = fabs(first);
            u->bend[m] = (towards(u, u->next + m * u->n, i) - first) / STEP / (first * first);
        }
    }
    return status;
}

/* The bound by these parameters of the fit before. */
static enum mix_status bound(const struct reuse *u, const double *params,
                             struct mix_domains_reuse *out, struct mix_error *err)
{
    enum mix_status status = find_slopes(u, params, 0, 0, u->slope, err);
    double mean = 0; /* no loss is below 0 */
    for (size_t m = 0; m < u->n_new; m++)
        mean += u->old[m] < 0 ? 0 : u->weight[m] * (u->loss[u->old[m]] + u->move[m]);
    if (status == MIX_OK)
        status = find_bends(u, params, err);
    memset(out->gain, 0, sizeof out->gain);
    memset(out->coupling, 0, sizeof out->coupling);
    for (size_t m = 0; m < u->n_new && status == MIX_OK; m++) {
        const size_t old = (size_t)u->old[m];
        if (u->old[m] < 0)
            continue;
        const double pull = u->weight[m] * fmax(1 + u->bend[old] * u->move[m], 0);
        for (size_t i = 0; i < u->n; i++) {
            out->gain[i] -= pull * towards(u, u->slope + old * u->n, i);
            out->coupling[i] += fabs(pull * towards(u, u->slope + old * u->n, i));
        }
    }
    out->loss = 0;
    for (size_t i = 0; i < u->n && status == MIX_OK; i++)
        if (!(out->gain[i] <= out->loss)) { /* NaN too */
            out->loss = out->gain[i];
            out->most = i;
        }
    if (out->loss > mean)
        out->loss = mean;
    return status;
}

/* ---- the rest */

static enum mix_status find_moves(const struct reuse *u, struct mix_error *err)
{
    const struct mix_domains_kept *kept = u->kept;
    const struct mix_fit *fit = kept->after;
    const size_t n = fit->spec.n_domains;
    const double n_params[2] = {kept->n_params / 1e6, kept->n_params / 1e6};
    const double n_tokens[2] = {kept->n_tokens / 1e9, kept->n_tokens / 1e9};
    const int v = find_name((const char(*)[MIX_NAME_MAX])fit->domains, n, kept->domain);
    double mixtures[2 * MIX_DOMAINS_MAX] = {0}, *loss = calloc(2 * u->n_new, sizeof *loss);
    enum mix_status status =
        loss != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "not enough memory for the targets");
    if (v < 0)
        status = no_domain(fit, kept->domain, err);
    if (status == MIX_OK) {
        mixtures[v] = 1;
        memcpy(mixtures + n, kept->mixture, n * sizeof *mixtures);
        status =
            mix_model_predict(u->after, fit->params, 2, mixtures, n_params, n_tokens, loss, err);
    }
    for (size_t m = 0; m < u->n_new && status == MIX_OK; m++)
        u->move[m] = loss[u->n_new + m] - loss[m];
    free(loss);
    return status;
}

/* The weight of a target in the mean of losses, relative to their sizes where these differ. */
static double weight_of(const struct mix_fit *fit, size_t m, bool mixed)
{
    const bool is_loss = m < fit->spec.n_targets - fit->spec.n_scores;
    return is_loss ? fit->target_weight[m] / (mixed ? fit->target_size[m] : 1) : 0;
}

static enum mix_status match_targets(struct reuse *u, const struct mix_fit *fit, size_t *n_unknown,
                                     struct mix_error *err)
{
    double sum = 0, size = NAN;
    bool mixed = false;
    for (size_t m = 0; m < u->n_new; m++) {
        const double weight = weight_of(fit, m, false);
        if (!(weight > 0))
            continue;
        mixed = mixed || (isfinite(size) && fit->target_size[m] != size);
        size = fit->target_size[m];
        sum += weight;
    }
    if (!(sum > 0))
        return mix_fail(err, MIX_EINVAL,
                        "no loss of fit %s has a weight, and the bound is one of their mean.",
                        fit->name);
    for (size_t m = 0; m < u->n_new; m++) {
        u->weight[m] = weight_of(fit, m, mixed) / sum;
        u->old[m] = find_name((const char(*)[MIX_NAME_MAX])u->kept->before->targets, u->n_old,
                              fit->targets[m]);
        *n_unknown += u->old[m] < 0 && u->weight[m] > 0;
    }
    return MIX_OK;
}

static enum mix_status open_reuse(struct reuse *u, size_t *n_unknown, struct mix_error *err)
{
    const struct mix_domains_kept *kept = u->kept;
    const struct mix_fit *before = kept->before, *fit = kept->after ? kept->after : before;
    u->n = kept->n_parts;
    u->n_old = before->spec.n_targets;
    u->n_new = fit->spec.n_targets;
    u->old = calloc(u->n_new, sizeof *u->old);
    u->block =
        calloc(2 * u->n_new + u->n_old * (3 + before->spec.n_domains + 2 * u->n), sizeof *u->block);
    if (u->old == NULL || u->block == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for the targets");
    u->weight = u->block;
    u->move = u->weight + u->n_new;
    u->loss = u->move + u->n_new;
    u->bend = u->loss + u->n_old;
    u->most = u->bend + u->n_old;
    u->slope = u->most + u->n_old;
    u->next = u->slope + u->n_old * u->n;
    u->all = u->next + u->n_old * u->n;
    for (size_t i = 0; i < u->n; i++) {
        const int k = find_name((const char(*)[MIX_NAME_MAX])before->domains,
                                before->spec.n_domains, kept->parts[i].name);
        if (k < 0)
            return no_domain(before, kept->parts[i].name, err);
        u->at[i] = (size_t)k;
    }
    enum mix_status status = match_targets(u, fit, n_unknown, err);
    if (status == MIX_OK)
        status = mix_fit_model(before, &u->before, err);
    if (status == MIX_OK && kept->after != NULL)
        status = mix_fit_model(kept->after, &u->after, err);
    return status == MIX_OK && kept->after != NULL ? find_moves(u, err) : status;
}

/* The bound of 95 in 100 draws of the fit before; those whose law says nothing at N are left out.
 */
static enum mix_status bound_draws(const struct reuse *u, double *high, struct mix_error *err)
{
    const struct mix_draws *draws = u->kept->draws;
    struct mix_domains_reuse one;
    double *loss = calloc(draws->n_draws + 1, sizeof *loss);
    size_t n = 0;
    enum mix_status status =
        loss != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "not enough memory for the draws");
    for (size_t b = 0; b < draws->n_draws && status == MIX_OK; b++) {
        struct mix_error reason = {.text = ""};
        if (!draws->done[b] || !isfinite(draws->objective[b]))
            continue;
        status = bound(u, draws->params + b * draws->n_params, &one, &reason);
        if (status == MIX_OK && !isnan(one.loss))
            loss[n++] = one.loss;
        else if (status == MIX_EINVAL)
            status = MIX_OK;
        else if (status != MIX_OK)
            (void)mix_fail(err, status, "%s", reason.text);
    }
    gsl_sort(loss, 1, n);
    if (status == MIX_OK && n > 0)
        *high = loss[(size_t)fmin(HIGH * (double)(n + 1), (double)(n - 1))];
    free(loss);
    return status;
}

enum mix_status mix_domains_reuse(const struct mix_domains_kept *kept,
                                  struct mix_domains_reuse *out, struct mix_error *err)
{
    struct reuse u = {.kept = kept};
    *out = (struct mix_domains_reuse){.high = NAN,
                                      .is_bound = is_convex(kept->before) &&
                                                  (kept->after == NULL || is_convex(kept->after))};
    enum mix_status status = open_reuse(&u, &out->n_unknown, err);
    if (status == MIX_OK && kept->draws != NULL)
        status = bound_draws(&u, &out->high, err);
    if (status == MIX_OK)
        status = bound(&u, kept->before->params, out, err);
    mix_model_destroy(u.before);
    mix_model_destroy(u.after);
    free(u.block);
    free(u.old);
    return status;
}

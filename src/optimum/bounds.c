/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bounds.c - floors, caps, supply and support as bounds of shares, and whether they leave a mixture
 * near enough to the baseline. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "optimum/search.h"

static const double DEFAULT_FLOOR = 1e-4;
static const double SUM_ERROR = 1e-9; /* of floors and caps that people add up */
enum { BISECTIONS = 200 };

static double cap_of(const struct mix_optimum_options *o, size_t j)
{
    return o->upper != NULL ? o->upper[j] : 1.0;
}

static double supply_share(const struct mix_optimum_options *o, double supply, double n_tokens)
{
    return isnan(supply) || o->max_epochs == 0.0 ? INFINITY : supply * o->max_epochs / n_tokens;
}

void mix_bounds_set(const struct mix_optimum_options *options, const struct mix_fit *fit,
                    const double *supply, double n_tokens, double *lower, double *limit)
{
    for (size_t j = 0; j < fit->spec.n_domains; j++) {
        const double cap = cap_of(options, j);
        limit[j] = fmin(cap, supply_share(options, supply[j], n_tokens));
        if (options->within_support)
            limit[j] = fmin(limit[j], fit->seen_max[j]);
        lower[j] = options->lower != NULL ? options->lower[j] : fmin(DEFAULT_FLOOR, cap);
        if (lower[j] <= DEFAULT_FLOOR && limit[j] < cap)
            lower[j] = fmin(lower[j], limit[j]);
    }
}

enum mix_bound mix_bound_of(const struct mix_optimum_options *options, const double *supply,
                            double n_tokens, size_t domain, double limit)
{
    if (limit == supply_share(options, supply[domain], n_tokens))
        return MIX_ON_SUPPLY;
    return limit < cap_of(options, domain) ? MIX_ON_SUPPORT : MIX_ON_CAP;
}

/* All that a check looks at. */
struct bounds {
    const struct mix_optimum_options *options;
    const struct mix_fit *fit;
    const double *supply;
    const struct mix_question *question;
    size_t n;
};

static enum mix_bound kind_of(const struct bounds *b, size_t j)
{
    return mix_bound_of(b->options, b->supply, b->question->n_tokens, j, b->question->upper[j]);
}

static enum mix_status check_number(const struct bounds *b, const char *what, double value,
                                    size_t j, struct mix_error *err)
{
    if (value >= 0.0 && value <= 1.0)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL, "the %s %g of %s is not between 0 and 1", what, value,
                    b->fit->domains[j]);
}

static enum mix_status check_numbers(const struct bounds *b, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    for (size_t j = 0; j < b->n && status == MIX_OK; j++) {
        status = check_number(b, "floor", b->question->lower[j], j, err);
        if (status == MIX_OK)
            status = check_number(b, "cap", cap_of(b->options, j), j, err);
        if (status == MIX_OK && b->supply[j] < 0.0)
            status =
                mix_fail(err, MIX_EINVAL, "the supply of %s is %g tokens; it must be 0 or more",
                         b->fit->domains[j], b->supply[j]);
    }
    return status;
}

/* What keeps a share from growing, as words: "cap of wiki (0.01)". */
static const char *limit_text(const struct bounds *b, size_t j, size_t size, char *text)
{
    const char *name = b->fit->domains[j];
    const double limit = b->question->upper[j];
    switch (kind_of(b, j)) {
    case MIX_ON_SUPPLY:
        snprintf(text, size, "supply of %s (%.3g: %.3g tokens, %g epoch%s, of %.3g)", name, limit,
                 b->supply[j], b->options->max_epochs, b->options->max_epochs == 1.0 ? "" : "s",
                 b->question->n_tokens);
        break;
    case MIX_ON_SUPPORT:
        snprintf(text, size, "largest observed share of %s (%g)", name, limit);
        break;
    default:
        snprintf(text, size, "cap of %s (%g)", name, limit);
    }
    return text;
}

static enum mix_status check_pairs(const struct bounds *b, struct mix_error *err)
{
    static const char *const remedy[MIX_BOUNDS] = {[MIX_ON_CAP] = "raise the cap",
                                                   [MIX_ON_SUPPLY] = "allow more epochs",
                                                   [MIX_ON_SUPPORT] =
                                                       "do without --within-support"};
    const double *lower = b->question->lower, *upper = b->question->upper;
    char text[2 * MIX_NAME_MAX + 64];
    size_t worst = b->n;
    for (size_t j = 0; j < b->n; j++)
        if (lower[j] > upper[j] && (worst == b->n || upper[j] < upper[worst]))
            worst = j;
    if (worst == b->n)
        return MIX_OK;
    return mix_fail(err, MIX_EINVAL,
                    "no mixture satisfies the constraints: the floor %g exceeds the %s.\n  Lower "
                    "--floor to %.4g or less, or %s.",
                    lower[worst], limit_text(b, worst, sizeof text, text),
                    floor(1e6 * upper[worst]) / 1e6, remedy[kind_of(b, worst)]);
}

/* Passes over the supplies with which the limits leave a mixture; infinite where none does. */
static double epochs_needed(const struct bounds *b)
{
    double most = 1.0;
    for (size_t j = 0; j < b->n; j++)
        if (b->supply[j] > 0.0)
            most = fmax(most, 2.0 * b->question->n_tokens / b->supply[j]);
    double left = b->options->max_epochs, right = INFINITY;
    for (int i = 0; i < BISECTIONS; i++) {
        const double epochs = i == 0 ? most : 0.5 * (left + right);
        double sum = 0.0;
        for (size_t j = 0; j < b->n; j++) {
            double limit = cap_of(b->options, j);
            if (b->options->within_support)
                limit = fmin(limit, b->fit->seen_max[j]);
            if (!isnan(b->supply[j]))
                limit = fmin(limit, b->supply[j] * epochs / b->question->n_tokens);
            sum += limit;
        }
        if (sum >= 1.0)
            right = epochs;
        else if (i == 0)
            return INFINITY;
        else
            left = epochs;
    }
    return right;
}

/* Too few tokens: how many there are, and passes that suffice. */
static enum mix_status fail_supplies(const struct bounds *b, double sum, const char *what,
                                     struct mix_error *err)
{
    const double needed = b->question->n_tokens, epochs = b->options->max_epochs;
    const double enough = epochs_needed(b), step = pow(10.0, floor(log10(enough)) - 2.0);
    char remedy[128] = "Raise caps, or do without --within-support: no number of epochs suffices";
    if (isfinite(enough))
        snprintf(remedy, sizeof remedy, "Allow --max-epochs %.3g or more",
                 ceil(enough / step) * step);
    return mix_fail(err, MIX_EINVAL,
                    "no mixture satisfies the constraints: the %s of the %zu domains allow %.3g "
                    "tokens in %g epoch%s, and the target is trained on %.3g.\n  %s.",
                    what, b->n, sum * needed, epochs, epochs == 1.0 ? "" : "s", needed, remedy);
}

static enum mix_status fail_limits(const struct bounds *b, double sum, struct mix_error *err)
{
    bool caps = false, supplies = false, support = false;
    for (size_t j = 0; j < b->n; j++) {
        const enum mix_bound kind = kind_of(b, j);
        caps = caps || kind == MIX_ON_CAP;
        supplies = supplies || kind == MIX_ON_SUPPLY;
        support = support || kind == MIX_ON_SUPPORT;
    }
    const char *what = supplies && support ? "caps, supplies and largest observed shares"
                       : supplies          ? caps ? "caps and supplies" : "supplies"
                       : support
                           ? caps ? "caps and largest observed shares" : "largest observed shares"
                           : "caps";
    if (supplies)
        return fail_supplies(b, sum, what, err);
    return mix_fail(err, MIX_EINVAL,
                    "no mixture satisfies the constraints: the %s of the %zu domains sum to %.4g, "
                    "less than 1.\n  Raise %s by %.4g in all.",
                    what, b->n, sum, support ? "them" : "caps", 1.0 - sum);
}

static enum mix_status check_sums(const struct bounds *b, struct mix_error *err)
{
    double floors = 0.0, limits = 0.0, largest_floor = 0.0;
    for (size_t j = 0; j < b->n; j++) {
        floors += b->question->lower[j];
        limits += b->question->upper[j];
        largest_floor = fmax(largest_floor, b->question->lower[j]);
    }
    if (floors > 1.0 + SUM_ERROR)
        return mix_fail(err, MIX_EINVAL,
                        "no mixture satisfies the constraints: the floors of the %zu domains (up "
                        "to %g) sum to %.4g, more than 1.\n  Lower --floor to %.4g or less.",
                        b->n, largest_floor, floors, floor(1e4 / (double)b->n) / 1e4);
    return limits < 1.0 - SUM_ERROR ? fail_limits(b, limits, err) : MIX_OK;
}

/* The mixture within the bounds that is nearest to the baseline by Kullback and Leibler's
 * distance: shares in the baseline's proportions but for those on a bound. */
static double least_kl(const struct bounds *b)
{
    const struct mix_question *q = b->question;
    double left = 0.0, right = 1.0, distance = 0.0;
    for (int i = 0; i < BISECTIONS; i++) {
        double sum = 0.0;
        const double scale = right < INFINITY && i > 0 ? 0.5 * (left + right) : right;
        for (size_t j = 0; j < b->n; j++)
            sum += fmin(fmax(q->baseline[j] * scale, q->lower[j]), q->upper[j]);
        if (sum < 1.0 && scale == right && right < 1e12)
            right *= 2.0; /* not yet bracketed */
        else if (sum < 1.0)
            left = scale;
        else
            right = scale;
    }
    for (size_t j = 0; j < b->n; j++) {
        const double h = fmin(fmax(q->baseline[j] * right, q->lower[j]), q->upper[j]);
        distance += h > 0.0 ? h * log(h / q->baseline[j]) : 0.0;
    }
    return distance;
}

/* The least distance is what the floors push in, or what the limits push out, whichever is more. */
static double least_tv(const struct bounds *b)
{
    double in = 0.0, out = 0.0;
    for (size_t j = 0; j < b->n; j++) {
        in += fmax(0.0, b->question->lower[j] - b->question->baseline[j]);
        out += fmax(0.0, b->question->baseline[j] - b->question->upper[j]);
    }
    return fmax(in, out);
}

static enum mix_status check_distance(const struct bounds *b, struct mix_error *err)
{
    const struct mix_question *q = b->question;
    const bool is_tv = q->distance == MIX_DISTANCE_TV;
    char text[2 * MIX_NAME_MAX + 64];
    size_t worst = 0;
    double most = -INFINITY;
    if (q->distance == MIX_DISTANCE_NONE)
        return MIX_OK;
    for (size_t j = 0; j < b->n; j++) {
        const double broken = fmax(q->lower[j] - q->baseline[j], q->baseline[j] - q->upper[j]);
        if (!is_tv && !(q->baseline[j] > 0.0))
            return mix_fail(err, MIX_EINVAL,
                            "--near kl: the baseline has no share of %s, so every mixture with "
                            "some of it is infinitely far; use tv",
                            b->fit->domains[j]);
        if (broken > most) {
            most = broken;
            worst = j;
        }
    }
    const double least = is_tv ? least_tv(b) : least_kl(b);
    if (least <= q->radius + SUM_ERROR)
        return MIX_OK;
    if (q->lower[worst] > q->baseline[worst])
        snprintf(text, sizeof text, "floor of %s (%g)", b->fit->domains[worst], q->lower[worst]);
    else
        limit_text(b, worst, sizeof text, text);
    return mix_fail(err, MIX_EINVAL,
                    "no mixture satisfies the constraints: with the %s, where the baseline has %g, "
                    "none is nearer to the baseline than %s=%.4g, and --near asks for %g.\n  Widen "
                    "--near to %.4g, or loosen that bound.",
                    text, q->baseline[worst], is_tv ? "tv" : "kl", least, q->radius,
                    ceil(1e4 * least) / 1e4);
}

enum mix_status mix_bounds_check(const struct mix_optimum_options *options,
                                 const struct mix_fit *fit, const double *supply,
                                 const struct mix_question *question, struct mix_error *err)
{
    const struct bounds b = {.options = options,
                             .fit = fit,
                             .supply = supply,
                             .question = question,
                             .n = fit->spec.n_domains};
    enum mix_status status = check_numbers(&b, err);
    if (status == MIX_OK)
        status = check_pairs(&b, err);
    if (status == MIX_OK)
        status = check_sums(&b, err);
    return status == MIX_OK ? check_distance(&b, err) : status;
}

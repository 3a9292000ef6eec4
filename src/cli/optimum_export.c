/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum_export.c - an optimum in the forms that trainers read.
 *
 * Shares are written as decimals of a whole number of units 10^-d, so that they sum to 1 exactly as
 * printed. Trainers name their data by paths, which a sweep does not know: the names of the domains
 * stand in their place.
 */
#include "cli.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ROUNDING = 1e-12; /* of a share on its bound */
enum { DIGITS_MIN = 6, DIGITS_MAX = 9 };

/* What is written. */
struct blend {
    const struct mix_optimum *optimum;
    size_t n;
    size_t *units; /* (K) shares in units of 10^-digits */
    int digits;
};

typedef void (*write_fn)(FILE *out, const struct blend *blend);

static void put_share(FILE *out, const struct blend *blend, size_t j)
{
    size_t one = 1;
    for (int d = 0; d < blend->digits; d++)
        one *= 10;
    fprintf(out, "%zu.%0*zu", blend->units[j] / one, blend->digits, blend->units[j] % one);
}

/* A name in double quotes, as JSON and YAML both read it. */
static void put_name(FILE *out, const char *name)
{
    json_t *text = json_string(name);
    if (text != NULL)
        json_dumpf(text, out, JSON_ENCODE_ANY);
    json_decref(text);
}

static void put_heading(FILE *out, const struct blend *blend)
{
    const struct mix_optimum *o = blend->optimum;
    fprintf(out, "# mixsweep: optimum of the fit %s at %g parameters and %g tokens\n", o->fit,
            o->n_params, o->n_tokens);
    if (o->lattice > 0)
        fprintf(out, "# shares in steps of 1/%zu\n", o->lattice);
    fprintf(out, "# the names stand where your paths belong\n");
}

static void write_olmo(FILE *out, const struct blend *blend)
{
    put_heading(out, blend);
    fprintf(out, "sources:\n");
    for (size_t j = 0; j < blend->n; j++) {
        const char *name = blend->optimum->domains[j];
        if (blend->units[j] == 0)
            continue;
        fprintf(out, "  - source_name: ");
        put_name(out, name);
        fprintf(out, "\n    target_ratio: ");
        put_share(out, blend, j);
        if (blend->optimum->max_epochs > 1.0)
            fprintf(out, "\n    max_repetition_ratio: %g", blend->optimum->max_epochs);
        fprintf(out, "\n    paths:\n      - ");
        put_name(out, name);
        fprintf(out, "\n");
    }
}

static void write_megatron(FILE *out, const struct blend *blend)
{
    const char *between = "";
    for (size_t j = 0; j < blend->n; j++) {
        if (blend->units[j] == 0)
            continue;
        fputs(between, out);
        put_share(out, blend, j);
        fprintf(out, " %s", blend->optimum->domains[j]);
        between = " ";
    }
    fputc('\n', out);
}

static void write_nanotron(FILE *out, const struct blend *blend)
{
    put_heading(out, blend);
    fprintf(out, "dataset_folder:\n");
    for (size_t j = 0; j < blend->n; j++) {
        if (blend->units[j] == 0)
            continue;
        fprintf(out, "  - ");
        put_name(out, blend->optimum->domains[j]);
        fprintf(out, "\n");
    }
    fprintf(out, "dataset_weights:\n");
    for (size_t j = 0; j < blend->n; j++) {
        if (blend->units[j] == 0)
            continue;
        fprintf(out, "  - ");
        put_share(out, blend, j);
        fprintf(out, "\n");
    }
}

static void write_json(FILE *out, const struct blend *blend)
{
    const struct mix_optimum *o = blend->optimum;
    fprintf(out, "{\n  \"fit\": ");
    put_name(out, o->fit);
    fprintf(out, ",\n  \"n_params\": %.17g,\n  \"n_tokens\": %.17g,\n  \"lattice\": ", o->n_params,
            o->n_tokens);
    if (o->lattice > 0)
        fprintf(out, "%zu", o->lattice);
    else
        fprintf(out, "null");
    fprintf(out, ",\n  \"mixture\": {");
    for (size_t j = 0; j < blend->n; j++) {
        fprintf(out, "%s\n    ", j > 0 ? "," : "");
        put_name(out, o->domains[j]);
        fprintf(out, ": ");
        put_share(out, blend, j);
    }
    fprintf(out, "\n  }\n}\n");
}

static const struct {
    const char *name;
    write_fn write;
} forms[] = {{"olmo-yaml", write_olmo},
             {"megatron", write_megatron},
             {"nanotron", write_nanotron},
             {"json", write_json}};
enum { FORMS = sizeof forms / sizeof forms[0] };

enum mix_status cli_check_trainer(const char *form, struct mix_error *err)
{
    for (size_t i = 0; i < FORMS && form != NULL; i++)
        if (strcmp(form, forms[i].name) == 0)
            return MIX_OK;
    if (form == NULL)
        return MIX_OK;
    return mix_fail(err, MIX_EUSAGE, "--export \"%s\": not olmo-yaml, megatron, nanotron or json.",
                    form);
}

/* The decimals that a lattice takes, at least DIGITS_MIN; 0 where it has none within `most`. */
static int digits_of(size_t lattice, int most)
{
    size_t unit = 1;
    for (int d = 0; d <= most; d++, unit *= 10)
        if (unit % lattice == 0)
            return d > DIGITS_MIN ? d : DIGITS_MIN;
    return 0;
}

/* On a lattice whose decimals end, its shares as they are; else the nearest decimals that sum to 1
 * and keep the bounds. */
static bool set_units(struct blend *blend)
{
    enum { LATTICE_DIGITS = 18 };
    const struct mix_optimum *o = blend->optimum;
    const double *limit = isnan(o->limit[0]) ? o->upper : o->limit; /* NaN: of an earlier version */
    const double *h = o->lattice > 0 ? o->lattice_mixture : o->mixture;
    blend->digits = o->lattice > 0 ? digits_of(o->lattice, LATTICE_DIGITS) : 0;
    if (blend->digits > 0) {
        size_t one = 1;
        for (int d = 0; d < blend->digits; d++)
            one *= 10;
        bool keeps = true;
        for (size_t j = 0; j < blend->n; j++) {
            keeps = keeps && h[j] >= o->lower[j] - ROUNDING && h[j] <= limit[j] + ROUNDING;
            blend->units[j] = (size_t)nearbyint(h[j] * (double)o->lattice) * (one / o->lattice);
        }
        return keeps;
    }
    size_t one = 1;
    for (int d = 1; d <= DIGITS_MAX; d++) {
        one *= 10;
        blend->digits = d;
        if (d >= DIGITS_MIN && mix_lattice_round(blend->n, one, h, o->lower, limit, blend->units))
            return true;
    }
    return false;
}

static enum mix_status check_names(const struct blend *blend, const char *form,
                                   struct mix_error *err)
{
    if (strcmp(form, "megatron") != 0)
        return MIX_OK;
    for (size_t j = 0; j < blend->n; j++)
        if (strpbrk(blend->optimum->domains[j], " \t\r\n") != NULL)
            return mix_fail(err, MIX_EINVAL,
                            "--export megatron: a blank ends a path there, and domain \"%s\" has "
                            "one",
                            blend->optimum->domains[j]);
    return MIX_OK;
}

static void write_blend(FILE *out, const struct blend *blend, const char *form)
{
    size_t i = 0;
    while (i + 1 < FORMS && strcmp(forms[i].name, form) != 0)
        i++;
    forms[i].write(out, blend);
}

enum mix_status cli_export_optimum(const struct mix_optimum *optimum, const char *form, FILE *out,
                                   struct mix_error *err)
{
    struct blend blend = {.optimum = optimum, .n = optimum->n_domains};
    blend.units = calloc(blend.n, sizeof *blend.units);
    if (blend.units == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", blend.n);
    enum mix_status status = check_names(&blend, form, err);
    if (status == MIX_OK && !set_units(&blend))
        status =
            mix_fail(err, MIX_EINVAL,
                     "--export: no decimal shares keep the floors and limits of %s", optimum->name);
    if (status == MIX_OK)
        write_blend(out, &blend, form);
    free(blend.units);
    return status;
}

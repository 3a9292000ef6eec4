/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains_explore.c - mixtures that explore the domains that have changed; see
 * mix_domains_explore() in domains.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/domains.h"

enum { SOBOL_MAX = 40, PER_DOMAIN = 3 }; /* dimensions of the library's sequence */
static const double SMALL_SHARE = 0.05;
static const double STRENGTH_MIN = 0.5, STRENGTH_MAX = 4; /* as a job's design */

/* The free domains of a design: those that change, then all others as one. */
struct face {
    size_t n;
    size_t domain[MIX_DOMAINS_MAX]; /* (n) of the table; SIZE_MAX = all others */
};

static struct face face_of(size_t n_domains, const uint8_t *changed)
{
    struct face face = {.n = 0};
    for (size_t k = 0; k < n_domains; k++)
        if (changed[k])
            face.domain[face.n++] = k;
    if (face.n < n_domains)
        face.domain[face.n++] = SIZE_MAX;
    return face;
}

/* Mixtures of valid rows that have the loss of a target.
 *
 * @param seen  (R) scratch
 */
static size_t count_mixtures(const struct mix_table *table, size_t target, uint8_t *seen)
{
    size_t n = 0;
    memset(seen, 0, table->n_rows);
    for (size_t r = 0; r < table->n_rows; r++) {
        uint8_t *mixture = &seen[table->runs[r].mixture_id];
        if (table->runs[r].status != MIX_RUN_DONE || table->runs[r].excluded || *mixture ||
            isnan(table->loss[r * table->n_targets + target]))
            continue;
        *mixture = 1;
        n++;
    }
    return n;
}

/* The same of the target that counts and has the fewest: a new one has none. */
static enum mix_status count_fewest(const struct mix_table *table, size_t *n, struct mix_error *err)
{
    uint8_t *seen = calloc(table->n_rows + 1, 1);
    if (seen == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %zu runs", table->n_rows);
    *n = table->n_rows;
    for (size_t m = 0; m < table->n_targets; m++) {
        const size_t n_here = table->targets[m].weight > 0 ? count_mixtures(table, m, seen) : *n;
        *n = n_here < *n ? n_here : *n;
    }
    free(seen);
    return MIX_OK;
}

enum mix_status mix_domains_needed(const struct mix_table *table, uint8_t *changed,
                                   size_t *n_needed, struct mix_error *err)
{
    const size_t n_domains = table->n_domains, n_all = PER_DOMAIN * (n_domains + 1);
    const struct face face = face_of(n_domains, changed);
    const size_t n_face = memchr(changed, 1, n_domains) != NULL ? PER_DOMAIN * (face.n + 1) : 0;
    size_t n_valid = 0;
    const enum mix_status status = count_fewest(table, &n_valid, err);
    *n_needed = n_face;
    if (status != MIX_OK || n_domains < 2 || n_valid + n_face >= n_all)
        return status;
    *n_needed = n_all - n_valid;
    memset(changed, 1, n_domains);
    return MIX_OK;
}

/* Priors where all changed domains have one and the others are left something, else equal shares.
 * Returns below what a share is none: a run without a domain outlives the domain. */
static double centre(const struct mix_table *table, const struct face *face,
                     struct mix_domain *domains)
{
    double left = 1;
    for (size_t i = 0; i < face->n; i++) {
        const bool is_rest = face->domain[i] == SIZE_MAX;
        domains[i].prior = is_rest ? left : table->domains[face->domain[i]].prior;
        domains[i].supply_tokens = NAN;
        left -= domains[i].prior;
    }
    bool known = fabs(left) < 1e-6;
    for (size_t i = 0; i < face->n; i++)
        known = known && domains[i].prior > 0;
    double least = 2 * SMALL_SHARE;
    for (size_t i = 0; i < face->n; i++) {
        if (!known)
            domains[i].prior = 1 / (double)face->n;
        least = fmin(least, domains[i].prior);
    }
    return least / 2;
}

enum mix_status mix_domains_explore(const struct mix_table *table,
                                    const struct mix_domains_design *design, double *mixtures,
                                    struct mix_error *err)
{
    const size_t n_domains = table->n_domains, n = design->n_mixtures;
    const struct face face = face_of(n_domains, design->changed);
    double sum = 0;
    for (size_t k = 0; k < n_domains; k++)
        sum += design->changed[k] ? 0 : design->fixed[k];
    if (face.n < 2)
        return mix_fail(err, MIX_EINVAL, "there is nothing to explore in one domain");
    if (face.domain[face.n - 1] == SIZE_MAX && !(sum > 0))
        return mix_fail(err, MIX_EINVAL, "the untouched domains have no shares to keep");
    struct mix_domain *domains = calloc(face.n, sizeof *domains);
    double *shares = calloc(n * face.n + 1, sizeof *shares);
    enum mix_status status = MIX_OK;
    if (domains == NULL || shares == NULL)
        status = mix_fail(err, MIX_ENOMEM, "not enough memory for %zu mixtures", n);
    if (status == MIX_OK) {
        const struct mix_job job = {
            .name = "domains",
            .seed = design->seed,
            .n_domains = face.n,
            .domains = domains,
            .method = face.n <= SOBOL_MAX ? MIX_DESIGN_SOBOL : MIX_DESIGN_DIRICHLET,
            .n_mixtures = n,
            .strength_min = STRENGTH_MIN,
            .strength_max = STRENGTH_MAX,
            .temperature = 1,
            .minimum_share = centre(table, &face, domains),
            .max_epochs = INFINITY,
            .match_tokens = NAN,
        };
        status = mix_job_design(&job, shares, err);
    }
    for (size_t i = 0; status == MIX_OK && i < n; i++)
        for (size_t f = 0; f < face.n; f++)
            for (size_t k = 0; k < n_domains; k++)
                if (face.domain[f] == k || (face.domain[f] == SIZE_MAX && !design->changed[k]))
                    mixtures[i * n_domains + k] =
                        shares[i * face.n + f] * (design->changed[k] ? 1 : design->fixed[k] / sum);
    free(shares);
    free(domains);
    return status;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* competition.isa.c - values and derivatives of the competition laws; see competition.h.
 *
 * What depends on mixture and size alone is worked out once per cell, a cell in each lane; what
 * depends on tokens too once per row and target, a target in each lane. */
#include "core/lanes.h"

#include "competition.h"
#include "core/isa_name.h"

#include <string.h>

enum { MAX_STEPS = 30 };

/* A Newton step leaves F'' step^2 / 2, exactly so but for the drift of F'' over the step. Where
 * that is below rounding the step is the last, and the next sum need not be taken to see it. Not so
 * where a skill meets its bound on the way; there the last step starts from nearer by. */
static const double LEFT_BY_LAST = 2e-15, LAST_EXCESS_AT_BOUND = 5e-14;

/* Cells are taken two vectors at a time, so that one need not wait for what the other waits for. */
enum { VECTORS = 2 };

/* ln x (n) at mu, lanes `stride` apart; returns how many skills lie above H. */
static inline lanes capacities(size_t n, const double *q, const double *e, double ln_low, lanes mu,
                               double *ln_x, size_t stride)
{
    const lanes low = lane_all(ln_low), one = lane_all(1.0);
    lanes n_active = {0};
    for (size_t i = 0; i < n; i++) {
        const lanes free = (lane_load(q + i * LANES) - mu) * e[i];
        lane_store(ln_x + i * stride, lane_max(free, low));
        n_active += (lanes)((free > low) & (lane_bits)one);
    }
    return n_active;
}

/* Newton's step on F from mu; F and F''. */
struct newton {
    lanes step, excess, curvature;
};

static inline void newton_steps(size_t n_vectors, size_t n, const double *e, double ln_low,
                                const lanes *ln_total, const double *ln_x, size_t stride,
                                struct newton *newton)
{
    lanes sum[VECTORS] = {{0}}, sum_e[VECTORS] = {{0}}, sum_e2[VECTORS] = {{0}};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_vectors; k++) { /* x, x e, x e^2, the latter where active */
            const lanes at = lane_load(ln_x + i * stride + k * LANES), x = lane_exp(at);
            const lanes x_e = lane_choose(at > ln_low, x * e[i], (lanes){0});
            sum[k] += x;
            sum_e[k] += x_e;
            sum_e2[k] += x_e * e[i];
        }
    for (size_t k = 0; k < n_vectors; k++) {
        const lanes excess = lane_log(sum[k]) - ln_total[k], rate = sum_e[k] / sum[k]; /* F, -F' */
        newton[k] = (struct newton){excess / rate, excess, sum_e2[k] / sum[k] - rate * rate};
    }
}

/* Where the search for mu stands in one vector of cells. */
struct multiplier {
    lanes at, floor, n_active;
    lane_bits last;
};

static inline struct multiplier begin(size_t n, const double *q, const double *e, double ln_low,
                                      lanes ln_n, lanes mu, double *ln_x, size_t stride)
{
    lanes floor_mu = lane_all(-INFINITY); /* F >= 0 here: no x exceeds N */
    for (size_t i = 0; i < n; i++)        /* skill i would have N */
        floor_mu = lane_max(lane_load(q + i * LANES) - ln_n / e[i], floor_mu);
    lanes at = lane_max(mu, floor_mu); /* NaN too */
    lanes n_active = capacities(n, q, e, ln_low, at, ln_x, stride);
    const lane_bits beyond = (n_active == 0.0) & (at > floor_mu); /* the last active skill */
    if (lane_any(beyond)) {
        at = lane_choose(beyond, floor_mu, at);
        n_active = capacities(n, q, e, ln_low, at, ln_x, stride);
    }
    return (struct multiplier){at, floor_mu, n_active, n_active == 0.0};
}

static inline void advance(size_t n, const double *q, const double *e, double ln_low,
                           const struct newton *newton, struct multiplier *mu, double *ln_x,
                           size_t stride)
{
    const lanes next = lane_choose(mu->last, mu->at, lane_max(mu->at + newton->step, mu->floor));
    const lanes n_before = mu->n_active; /* a step to one side only adds or only removes skills */
    mu->n_active = capacities(n, q, e, ln_low, next, ln_x, stride);
    const lanes excess = lane_max(newton->excess, -newton->excess);
    const lane_bits at_bound = mu->n_active != n_before;
    mu->last |=
        (next == mu->at) | (mu->n_active == 0.0) |
        (~at_bound & (newton->curvature * newton->step * newton->step <= 2.0 * LEFT_BY_LAST)) |
        (at_bound & (excess <= LAST_EXCESS_AT_BOUND));
    mu->at = next;
}

/* q (n_vectors, n, LANES); ln_n, total, mu (n_vectors, LANES); ln_x (n, stride). */
static inline int allocate_vectors(size_t n_vectors, size_t n, const double *q, const double *e,
                                   double ln_low, const double *ln_n, const double *total,
                                   double *mu, double *ln_x, size_t stride)
{
    struct multiplier at[VECTORS];
    struct newton newton[VECTORS];
    lanes ln_total[VECTORS];
    int steps = 0;
    for (size_t k = 0; k < n_vectors; k++) {
        ln_total[k] = lane_log(lane_load(total + k * LANES));
        at[k] = begin(n, q + k * n * LANES, e, ln_low, lane_load(ln_n + k * LANES),
                      lane_load(mu + k * LANES), ln_x + k * LANES, stride);
    }
    for (; steps < MAX_STEPS; steps++) {
        lane_bits all = at[0].last;
        for (size_t k = 1; k < n_vectors; k++)
            all &= at[k].last;
        if (!lane_any(~all))
            break;
        newton_steps(n_vectors, n, e, ln_low, ln_total, ln_x, stride, newton);
        for (size_t k = 0; k < n_vectors; k++)
            advance(n, q + k * n * LANES, e, ln_low, &newton[k], &at[k], ln_x + k * LANES, stride);
    }
    for (size_t k = 0; k < n_vectors; k++)
        lane_store(mu + k * LANES, at[k].at);
    return steps;
}

static int allocate(size_t n, const double *q, const double *e, double ln_low, const double *ln_n,
                    const double *total, double *mu, double *ln_x, size_t stride)
{
    return allocate_vectors(1, n, q, e, ln_low, ln_n, total, mu, ln_x, stride);
}

/* What target m makes of the mixtures of a block: returns ln t, and leaves power and sum. */
static lanes made_share(const struct mix_model *model, const struct competition_values *k,
                        const struct competition_cells *cells, const struct law_points *points,
                        size_t m, size_t c)
{
    const size_t n_domains = model->spec.n_domains, ld = cells->ld;
    const lanes least = lane_all(model->ln_h_min);
    lanes sum = {0};
    for (size_t j = 0; j < n_domains; j++) {
        const lanes ln_h = lane_max(lane_load(points->cell_ln_h + j * points->ld + c), least);
        const lanes power = lane_exp(ln_h * k->gamma[m]);
        lane_store(cells->power + (m * n_domains + j) * ld + c, power);
        sum += power * k->transfer[m * n_domains + j];
    }
    lane_store(cells->sum + m * ld + c, sum);
    return lane_log(sum) / k->gamma[m];
}

/* The shares s and n of the cells from c on: q (M) and ln n. */
static void set_shares(const struct mix_model *model, const struct competition_values *k,
                       const struct competition_cells *cells, const struct law_points *points,
                       size_t c, double *q)
{
    const enum competition_kind kind = competition_kind_of(model);
    const lanes least = lane_all(model->ln_h_min), none = {0};
    for (size_t m = 0; m < model->spec.n_targets; m++) {
        const lanes ln_t =
            kind != COMPETITION_PLAIN ? made_share(model, k, cells, points, m, c) : none;
        const lanes ln_s =
            kind == COMPETITION_DEMAND
                ? ln_t
                : lane_load(points->cell_ln_h + (size_t)model->target_domain[m] * points->ld + c);
        const lanes ln_n = kind == COMPETITION_PLAIN ? ln_s : ln_t;
        lane_store(cells->ln_noise + m * cells->ld + c, lane_max(ln_n, least));
        lane_store(q + m * LANES, ln_s + k->ln_bc[m]);
    }
}

/* Share out the capacity of the cells from c on, one or two vectors of them: N + (M-1) H, of form
 * eq1 n_min + (M-1) H whatever N is. */
static void set_capacities(const struct mix_model *model, const struct competition_values *k,
                           const struct competition_cells *cells, const struct law_points *points,
                           size_t n_vectors, size_t c)
{
    const size_t n_targets = model->spec.n_targets, ld = cells->ld;
    const bool fixed = model->spec.form == 1;
    double ln_n[VECTORS * LANES], total[VECTORS * LANES];
    double *mu = cells->mu + c, *ln_x = cells->ln_x + c;
    for (size_t i = 0; i < n_vectors * LANES; i++) {
        ln_n[i] = fixed ? model->ln_n_min : points->cell_ln_n[c + i];
        total[i] = (fixed ? model->spec.n_min : points->cell_n[c + i]) +
                   ((double)n_targets - 1.0) * k->h_low;
    }
    if (n_vectors == VECTORS)
        allocate_vectors(VECTORS, n_targets, k->q, k->e, k->ln_low, ln_n, total, mu, ln_x, ld);
    else
        allocate_vectors(1, n_targets, k->q, k->e, k->ln_low, ln_n, total, mu, ln_x, ld);
    for (size_t m = 0; m < n_targets; m++)
        for (size_t i = c; i < c + n_vectors * LANES; i += LANES)
            lane_store(cells->term + m * ld + i,
                       lane_exp(k->ln_c[m] - lane_load(cells->ln_x + m * ld + i) * k->b[m]));
}

static void fill(double *x, size_t n, double value)
{
    for (size_t i = 0; i < n; i += LANES)
        lane_store_some(x + i, lane_all(value), n - i);
}

/* phi (R,M) = exp(-power ln_size), the same for all targets. */
static void scale_term(size_t n_rows, size_t n_targets, const double *ln_size, double power,
                       double *phi)
{
    for (size_t r = 0; r < n_rows; r += LANES) {
        const lanes value = lane_exp(lane_load(ln_size + r) * -power);
        for (size_t i = 0; i < LANES && r + i < n_rows; i++)
            fill(phi + (r + i) * n_targets, n_targets, value[i]);
    }
}

/* The capacity terms of all rows, and what the noise terms are powers of, into g and phi. */
static void spread_cells(const struct mix_model *model, const struct competition_values *k,
                         const struct competition_cells *cells, const struct law_points *points,
                         double *g, double *phi)
{
    const size_t n_targets = model->spec.n_targets, ld = cells->ld, n = points->n_rows * n_targets;
    for (size_t r = 0; r < points->n_rows; r++) {
        const size_t c = points->cell[r], at = r * n_targets;
        if (r > 0 && points->cell[r - 1] == c) {
            memcpy(g + at, g + at - n_targets, n_targets * sizeof *g);
            if (phi != NULL)
                memcpy(phi + at, phi + at - n_targets, n_targets * sizeof *phi);
            continue;
        }
        for (size_t m = 0; m < n_targets; m++)
            g[at + m] = cells->term[m * ld + c];
        for (size_t m = 0; phi != NULL && m < n_targets; m++)
            phi[at + m] = cells->ln_noise[m * ld + c];
    }
    for (size_t r = 0; phi != NULL && r < points->n_rows; r++)
        for (size_t m = 0, at = r * n_targets; m < n_targets; m += LANES)
            lane_store_some(phi + at + m,
                            -lane_load(k->a + m) *
                                (points->ln_d[r] + lane_load_some(phi + at + m, n_targets - m)),
                            n_targets - m);
    for (size_t i = 0; phi != NULL && i < n; i += LANES)
        lane_store_some(phi + i, lane_exp(lane_load_some(phi + i, n - i)), n - i);
}

static void eval(const struct mix_model *model, const struct competition_values *k,
                 const struct law_points *points, double *g, double *phi)
{
    const size_t n_targets = model->spec.n_targets, stride = points->n_rows * n_targets;
    const struct competition_terms term = competition_terms_of(model);
    const struct competition_cells cells = competition_cells_of(model);
    for (size_t c = 0, n; c < points->n_cells; c += n * LANES) {
        n = points->n_cells - c > LANES ? VECTORS : 1;
        for (size_t i = 0; i < n; i++)
            set_shares(model, k, &cells, points, c + i * LANES, k->q + i * n_targets * LANES);
        set_capacities(model, k, &cells, points, n, c);
    }
    fill(phi, stride, 1.0);
    spread_cells(model, k, &cells, points, g,
                 term.noise > 0 ? phi + (size_t)term.noise * stride : NULL);
    if (term.size > 0)
        scale_term(points->n_rows, n_targets, points->ln_n, k->p_size,
                   phi + (size_t)term.size * stride);
    if (term.token > 0)
        scale_term(points->n_rows, n_targets, points->ln_d, k->p_token,
                   phi + (size_t)term.token * stride);
}

/* Derivatives of a block of cells, k->block: for every target the entries of own that depend on the
 * cell alone, or their factors; then v. */
struct block {
    double *own; /* (n_own, M, LANES) */
    double *u;   /* (M, LANES) */
    double *v;   /* (n_v, LANES) */
};

static struct block block_of(const struct mix_model *model, const struct competition_values *k)
{
    const size_t n_targets = model->spec.n_targets;
    double *u = k->block + model->n_own * n_targets * LANES;
    return (struct block){k->block, u, u + n_targets * LANES};
}

/* d ln t by each logit of demand's T, or by each off-diagonal entry of transfer's: own entries from
 * i on. Returns the next entry. */
static size_t made_by_transfer(const struct mix_model *model, const struct competition_values *k,
                               const struct competition_cells *cells, size_t m, size_t c, size_t i,
                               double *own)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const bool logits = model->offset[AT_DEMAND] != SIZE_MAX;
    const lanes scale = 1.0 / (lane_load(cells->sum + m * cells->ld + c) * k->gamma[m]);
    const double unit = 1.0 / k->gamma[m];
    for (size_t j = 0; j < n_domains; j++) {
        const lanes power = lane_load(cells->power + (m * n_domains + j) * cells->ld + c) * scale;
        if (logits)
            lane_store(own + (i++ * n_targets + m) * LANES,
                       (power - unit) * k->transfer[m * n_domains + j]);
        else if (j != (size_t)model->target_domain[m])
            lane_store(own + (i++ * n_targets + m) * LANES, power);
    }
    return i;
}

/* d ln t by ln gamma. */
static lanes made_by_gamma(const struct mix_model *model, const struct competition_values *k,
                           const struct competition_cells *cells, const struct law_points *points,
                           size_t m, size_t c)
{
    const size_t n_domains = model->spec.n_domains;
    const lanes least = lane_all(model->ln_h_min);
    lanes mean = {0};
    for (size_t j = 0; j < n_domains; j++)
        mean += lane_load(cells->power + (m * n_domains + j) * cells->ld + c) *
                lane_max(lane_load(points->cell_ln_h + j * points->ld + c), least) *
                k->transfer[m * n_domains + j];
    return mean / lane_load(cells->sum + m * cells->ld + c) -
           lane_load(cells->ln_noise + m * cells->ld + c);
}

/* One target of a block of cells at fixed mu. An active skill has ln x = e (ln (s b c) - mu), the
 * others stay on H. The noise term's own entry is left to the rows. */
static void block_own(const struct mix_model *model, const struct competition_values *k,
                      const struct competition_cells *cells, const struct law_points *points,
                      size_t m, size_t c, const struct block *block)
{
    const size_t n_targets = model->spec.n_targets;
    const size_t *at = model->offset;
    const lanes ln_x = lane_load(cells->ln_x + m * cells->ld + c), none = {0};
    const lanes term = lane_load(cells->term + m * cells->ld + c);
    const lane_bits active = ln_x > k->ln_low;
    const lanes by_ln_c = lane_choose(active, term * k->e[m], term);
    const lanes from_ref = model->ln_x_ref - ln_x - lane_choose(active, lane_all(1.0), none);
    size_t i = 0;
    lane_store(block->own + (i++ * n_targets + m) * LANES, by_ln_c * k->b[m] * from_ref);
    lane_store(block->own + (i++ * n_targets + m) * LANES, by_ln_c);
    if (at[AT_H] != SIZE_MAX)
        lane_store(block->own + (i++ * n_targets + m) * LANES,
                   lane_choose(active, none, -term * (k->b[m] * k->d_ln_h)));
    if (at[AT_DEMAND] != SIZE_MAX)
        i = made_by_transfer(model, k, cells, m, c, i, block->own);
    i += at[AT_NOISE] != SIZE_MAX;
    if (at[AT_TRANSFER] != SIZE_MAX)
        i = made_by_transfer(model, k, cells, m, c, i, block->own);
    if (at[AT_GAMMA] != SIZE_MAX)
        lane_store(block->own + (i * n_targets + m) * LANES,
                   made_by_gamma(model, k, cells, points, m, c));
    lane_store(block->u + m * LANES, lane_choose(active, term * (k->b[m] * k->e[m]), none));
}

/* v = d mu / d theta of a block of cells: d mu / d ln s_m = x e / W over active skills, W = sum of
 * x e. */
static void block_v(const struct mix_model *model, const struct competition_values *k,
                    const struct competition_cells *cells, size_t c, const struct block *block)
{
    const size_t n_targets = model->spec.n_targets, n_domains = model->spec.n_domains;
    const size_t *at = model->offset;
    const lanes none = {0}, one = lane_all(1.0);
    lanes weight = none, n_active = none;
    for (size_t m = 0; m < n_targets; m++) {
        const lanes ln_x = lane_load(cells->ln_x + m * cells->ld + c);
        const lane_bits active = ln_x > k->ln_low;
        const lanes x_e = lane_choose(active, lane_exp(ln_x) * k->e[m], none);
        lane_store(block->v + (at[AT_C] + m) * LANES, x_e);
        weight += x_e;
        n_active += (lanes)(active & (lane_bits)one);
    }
    const lanes inverse = lane_choose(weight > 0.0, 1.0 / weight, none);
    for (size_t m = 0; m < n_targets; m++) {
        const lanes ln_x = lane_load(cells->ln_x + m * cells->ld + c);
        const lanes share = lane_load(block->v + (at[AT_C] + m) * LANES) * inverse;
        const double *own = block->own + (size_t)(at[AT_H] != SIZE_MAX ? 3 : 2) * n_targets * LANES;
        lane_store(block->v + (at[AT_C] + m) * LANES, share);
        lane_store(block->v + (at[AT_B] + m) * LANES,
                   share * (1.0 + (model->ln_x_ref - ln_x) * k->b[m]));
        for (size_t j = 0; at[AT_DEMAND] != SIZE_MAX && j < n_domains; j++)
            lane_store(block->v + (at[AT_DEMAND] + m * n_domains + j) * LANES,
                       share * lane_load(own + (j * n_targets + m) * LANES));
        if (at[AT_DEMAND] != SIZE_MAX && at[AT_GAMMA] != SIZE_MAX)
            lane_store(block->v + (at[AT_GAMMA] + m) * LANES,
                       share * lane_load(own + ((n_domains + 1) * n_targets + m) * LANES));
    }
    if (at[AT_H] != SIZE_MAX)
        lane_store(block->v + at[AT_H] * LANES,
                   lane_choose(n_active > 0.0, (n_active - 1.0) * inverse * (-k->h_low * k->d_ln_h),
                               none));
}

/* Where the derivatives of a fit go, and what they are made of. */
struct rows {
    const struct law_points *points;
    const double *phi;
    double *own, *u, *v;
    size_t stride;
    struct competition_terms term;
    double *noise, *size, *token; /* (M) - A a, - P p, - Q q */
    double *cell;                 /* (n_own + 1, ld) a cell's part of own, then u */
    size_t ld;
};

/* Row r, targets m to m + LANES. */
static void row_own(const struct mix_model *model, const struct rows *rows, const double *ln_noise,
                    size_t r, size_t m)
{
    const size_t n_targets = model->spec.n_targets, n = n_targets - m, stride = rows->stride;
    const size_t *at = model->offset;
    const struct law_points *points = rows->points;
    const double *phi = rows->phi + r * n_targets + m, *cell = rows->cell + m;
    double *own = rows->own + r * n_targets + m;
    const lanes u = lane_load(rows->cell + model->n_own * rows->ld + m), none = {0};
    const lanes by_ln_n = rows->term.noise > 0
                              ? lane_load(rows->noise + m) *
                                    lane_load_some(phi + (size_t)rows->term.noise * stride, n)
                              : none;
    const lanes by_ln_t = at[AT_DEMAND] != SIZE_MAX ? by_ln_n - u : by_ln_n;
    size_t i = 0;
    for (const size_t n_cell = at[AT_H] != SIZE_MAX ? 3 : 2; i < n_cell; i++)
        lane_store_some(own + i * stride, lane_load(cell + i * rows->ld), n);
    for (size_t j = 0; at[AT_DEMAND] != SIZE_MAX && j < model->spec.n_domains; j++, i++)
        lane_store_some(own + i * stride, by_ln_t * lane_load(cell + i * rows->ld), n);
    if (at[AT_NOISE] != SIZE_MAX)
        lane_store_some(own + stride * i++, by_ln_n * (points->ln_d[r] + lane_load(ln_noise + m)),
                        n);
    for (size_t j = 0; at[AT_TRANSFER] != SIZE_MAX && j + 1 < model->spec.n_domains; j++, i++)
        lane_store_some(own + i * stride, by_ln_t * lane_load(cell + i * rows->ld), n);
    if (at[AT_GAMMA] != SIZE_MAX) {
        lane_store_some(own + i * stride, by_ln_t * lane_load(cell + i * rows->ld), n);
        i++;
    }
    if (at[AT_SIZE] != SIZE_MAX)
        lane_store_some(own + stride * i++,
                        lane_load(rows->size + m) *
                            lane_load_some(phi + (size_t)rows->term.size * stride, n) *
                            points->ln_n[r],
                        n);
    if (at[AT_TOKEN] != SIZE_MAX)
        lane_store_some(own + stride * i,
                        lane_load(rows->token + m) *
                            lane_load_some(phi + (size_t)rows->term.token * stride, n) *
                            points->ln_d[r],
                        n);
    lane_store_some(rows->u + r * n_targets + m, u, n);
}

/* The rows of the cells from c on, up to LANES of them; `r` is the first. Returns the next. */
static size_t spread_block(const struct mix_model *model, const struct competition_values *k,
                           const struct competition_cells *cells, const struct rows *rows,
                           const struct block *block, size_t c, size_t r)
{
    const size_t n_targets = model->spec.n_targets, n_v = model->n_v;
    const struct law_points *points = rows->points;
    for (; r < points->n_rows && points->cell[r] < c + LANES; r++) {
        const size_t lane = points->cell[r] - c;
        if (r > 0 && points->cell[r - 1] == points->cell[r]) {
            memcpy(rows->v + r * n_v, rows->v + (r - 1) * n_v, n_v * sizeof *rows->v);
        } else {
            for (size_t i = 0; i <= model->n_own; i++)
                for (size_t m = 0; m < n_targets; m++)
                    rows->cell[i * rows->ld + m] = block->own[(i * n_targets + m) * LANES + lane];
            for (size_t i = 0; i < n_v; i++)
                rows->v[r * n_v + i] = block->v[i * LANES + lane];
            for (size_t m = 0; m < n_targets; m++)
                k->row[m] = cells->ln_noise[m * cells->ld + c + lane];
        }
        for (size_t m = 0; m < n_targets; m += LANES)
            row_own(model, rows, k->row, r, m);
    }
    return r;
}

static void jacobian(const struct mix_model *model, const struct competition_values *k,
                     const struct law_points *points, const double *lambda, const double *phi,
                     double *own, double *u, double *v)
{
    const size_t n_targets = model->spec.n_targets, n_linear = model->n_linear;
    const struct competition_cells cells = competition_cells_of(model);
    const struct competition_terms term = competition_terms_of(model);
    const struct block block = block_of(model, k);
    const size_t ld = (n_targets + LANES_MOST - 1) / LANES_MOST * LANES_MOST;
    double *work = k->row + ld;
    const struct rows rows = {.points = points,
                              .phi = phi,
                              .own = own,
                              .u = u,
                              .v = v,
                              .stride = points->n_rows * n_targets,
                              .term = term,
                              .noise = work,
                              .size = work + ld,
                              .token = work + 2 * ld,
                              .cell = work + 3 * ld,
                              .ld = ld};
    for (size_t m = 0; m < n_targets; m++) {
        const double *linear = lambda + m * n_linear;
        rows.noise[m] = term.noise > 0 ? -linear[term.noise] * k->a[m] : 0.0;
        rows.size[m] = term.size > 0 ? -linear[term.size] * k->p_size : 0.0;
        rows.token[m] = term.token > 0 ? -linear[term.token] * k->p_token : 0.0;
    }
    size_t r = 0;
    for (size_t c = 0; c < points->n_cells; c += LANES) {
        for (size_t m = 0; m < n_targets; m++)
            block_own(model, k, &cells, points, m, c, &block);
        block_v(model, k, &cells, c, &block);
        r = spread_block(model, k, &cells, &rows, &block, c, r);
    }
}

const struct competition_kernels ISA_NAME(competition_kernels) = {
    .eval = eval, .jacobian = jacobian, .allocate = allocate, .n_lanes = LANES};

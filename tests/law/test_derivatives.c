/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_derivatives.c - every derivative that the laws promise, against central differences of
 * fourth order. Entries whose stencil crosses a kink (a skill becomes active, a noise share falls
 * below h_min) are left out and counted. */
#include "law/cases.h"

enum { N_STENCIL = 4 };
static const double STENCIL[N_STENCIL] = {-2.0, -1.0, 1.0, 2.0};
static const double STEP = 5e-4, TOLERANCE = 5e-9;

static double difference(const double f[N_STENCIL], double step)
{
    return (f[0] - 8.0 * f[1] + 8.0 * f[2] - f[3]) / (12.0 * step);
}

/* What a comparison has covered. */
struct coverage {
    size_t n_compared, n_kinks;
    size_t n_active, n_inactive, n_below; /* above H, on H, noise share below h_min */
    double worst;                         /* in units of |loss| + |derivative| */
};

static void compare(struct coverage *seen, double exact, double estimate, double scale)
{
    const double off = fabs(exact - estimate) / (scale + fabs(exact));
    seen->worst = fmax(seen->worst, off);
    seen->n_compared++;
    if (!(off <= TOLERANCE))
        fail_msg("derivative %.12g, central difference %.12g", exact, estimate);
}

static void count_side(struct coverage *seen, uint8_t side)
{
    *(side & 1 ? &seen->n_active : &seen->n_inactive) += 1;
    seen->n_below += (side & 2) == 0;
}

static void assert_covered(const struct coverage *seen, const char *what, bool rests)
{
    print_message("%-20s %7zu entries, %4zu on a kink, worst %.1e\n", what, seen->n_compared,
                  seen->n_kinks, seen->worst);
    assert_true(seen->n_compared > 100 && seen->n_kinks * 20 < seen->n_compared);
    assert_true(seen->n_active > 0);
    assert_true(!rests || seen->n_inactive > 0);
}

/* On which side of its kinks each (row, skill) lies: 1 = above H, 2 = noise share above h_min. */
static void sides(const struct trial *t, const double *phi, uint8_t *side)
{
    const struct mix_law_spec *spec = &t->model->spec;
    const size_t n_targets = spec->n_targets, n = t->points.n_rows * n_targets;
    memset(side, 1, n);
    if (t->model->n_v == 0) /* only the competition laws have some */
        return;
    double *params = numbers(t->model->n_params);
    t->model->law->to_natural(t->model, t->theta, t->lambda, params);
    const double low =
        spec->form == 0 ? t->model->law->least_size(t->model, params) : 0.1 * spec->n_min;
    for (size_t e = 0; e < n; e++) {
        const size_t r = e / n_targets, m = e % n_targets;
        side[e] = ln_capacity(t, r, m) > log(low) + 1e-12;
        if (spec->form != 1) {
            const double a = exp(t->theta[t->model->n_v + m]);
            const double most = exp(-a * (ln_tokens(t, r) + log(spec->h_min)));
            side[e] |= phi[n + e] < most * (1.0 - 1e-12) ? 2 : 0;
        }
    }
    free(params);
}

static void compare_column(struct trial *t, size_t column, const double *dense, const uint8_t *side,
                           struct coverage *seen)
{
    const size_t n = t->points.n_rows * t->model->spec.n_targets;
    double *f = numbers(N_STENCIL * n), *loss = numbers(n);
    uint8_t *now = flags(n), *kink = flags(n);
    const double middle = t->theta[column];
    memcpy(loss, t->loss, n * sizeof *loss);
    for (size_t s = 0; s < N_STENCIL; s++) {
        t->theta[column] = middle + STENCIL[s] * STEP;
        trial_eval(t);
        sides(t, t->phi, now);
        for (size_t e = 0; e < n; e++) {
            f[e * N_STENCIL + s] = t->loss[e];
            const size_t row = e / t->model->spec.n_targets * t->model->spec.n_targets;
            kink[e] |= memcmp(now + row, side + row, t->model->spec.n_targets) != 0;
        }
    }
    t->theta[column] = middle;
    for (size_t e = 0; e < n; e++) {
        if (kink[e])
            seen->n_kinks++;
        else
            compare(seen, dense[e * t->model->n_theta + column],
                    difference(f + e * N_STENCIL, STEP), fabs(loss[e]));
    }
    free(f);
    free(loss);
    free(now);
    free(kink);
}

/* Where targets are the domains, they come in reverse order. Half of the trials have a large H, so
 * that skills rest on it. T stays clear of 0, where (D T
 * h)^-a bends too much for the stencil. Columns of theta as laid out in competition.h. */
static void random_trial(struct trial *t, const struct mix_law_spec *spec, size_t n_rows,
                         bool large_h, gsl_rng *rng)
{
    int reversed[32];
    for (size_t m = 0; m < spec->n_targets; m++)
        reversed[m] = (int)(spec->n_targets - 1 - m);
    trial_create(t, spec, spec->n_targets == spec->n_domains ? reversed : NULL, n_rows);
    random_theta(t, rng);
    random_points(t, rng);
    if (large_h && spec->form == 0 && t->model->n_v > 0)
        t->theta[2 * spec->n_targets] = uniform(rng, 0.0, 3.0); /* eta */
    if (mix_law_is(spec->law, "transfer"))
        for (size_t i = 0; i < spec->n_targets * (spec->n_domains - 1); i++)
            t->theta[t->model->n_v + spec->n_targets + i] = uniform(rng, 0.1, 0.6);
    for (size_t i = 0; core(t)->separable && i < t->model->n_theta; i++)
        if (t->model->lower[i] >= 0.0) /* weights and powers: 1 / theta bends too much near 0 */
            t->theta[i] = fmax(t->theta[i], 0.1);
}

static void check_jacobian(const char *what, const struct mix_law_spec *spec, size_t n_trials,
                           bool rests)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    struct coverage seen = {0};
    for (size_t i = 0; i < n_trials; i++) {
        struct trial t;
        random_trial(&t, spec, 4, i % 2 == 1, rng);
        trial_eval(&t);
        const size_t n = t.points.n_rows * spec->n_targets;
        uint8_t *side = flags(n);
        sides(&t, t.phi, side);
        for (size_t e = 0; e < n; e++)
            count_side(&seen, side[e]);
        double *dense = dense_jacobian(&t);
        for (size_t column = 0; column < t.model->n_theta; column++)
            compare_column(&t, column, dense, side, &seen);
        free(dense);
        free(side);
        trial_destroy(&t);
    }
    gsl_rng_free(rng);
    assert_covered(&seen, what, rests);
    if (rests && strcmp(spec->law, "capacity") == 0) /* what the others make is above h_min */
        assert_true(seen.n_below > 0);
}

static void test_jacobian_of_capacity(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_of("capacity", 0, 7, 7, 122.0);
    check_jacobian("capacity", &spec, 40, true);
    spec.form = 1;
    check_jacobian("capacity eq1", &spec, 40, true);
    spec.form = 3;
    check_jacobian("capacity eq3", &spec, 40, true);
    spec = spec_of("capacity", 0, 1, 1, 0.01);
    check_jacobian("capacity, one domain", &spec, 40, false);
}

static void test_jacobian_of_transfer(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_of("transfer", 0, 5, 5, 1.0);
    spec.h_min = 0.2; /* in the midst of the shares */
    check_jacobian("transfer", &spec, 30, true);
    spec.has_size_term = 0;
    check_jacobian("transfer, one N", &spec, 30, true);
    spec.has_token_term = 0;
    check_jacobian("transfer, one N, D", &spec, 30, true);
    spec = spec_of("transfer", 0, 1, 1, 1.0);
    check_jacobian("transfer, one domain", &spec, 40, false);
}

static void test_jacobian_of_chinchilla(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_of("chinchilla", 0, 3, 5, 70.0);
    check_jacobian("chinchilla", &spec, 20, false);
    spec.has_size_term = 0;
    check_jacobian("chinchilla, one N", &spec, 20, false);
}

static void test_jacobian_of_demand(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_of("demand", 0, 3, 6, 70.0);
    spec.h_min = 0.2;
    check_jacobian("demand", &spec, 30, true);
    spec = spec_of("demand", 0, 5, 2, 70.0);
    spec.h_min = 0.2;
    spec.has_size_term = 0;
    check_jacobian("demand, M < K, one N", &spec, 60, true);
    spec = spec_of("demand", 0, 1, 3, 70.0);
    check_jacobian("demand, one domain", &spec, 40, false);
}

/* Laws whose targets share nothing, with as many targets as domains or not, and with and without
 * their scale terms. */
static const struct {
    const char *law;
    size_t n_domains, n_targets;
    int size, token;
} separable[] = {{"additive", 5, 5, 1, 1},  {"additive", 3, 6, 0, 1},  {"additive", 4, 2, 0, 0},
                 {"joint", 5, 5, 1, 1},     {"joint", 3, 6, 1, 0},     {"joint", 4, 2, 0, 0},
                 {"dml", 5, 5, 1, 1},       {"dml", 3, 6, 0, 1},       {"dml", 4, 2, 0, 0},
                 {"loglinear", 7, 7, 0, 0}, {"loglinear", 4, 6, 0, 0}, {"bimix", 5, 5, 0, 1},
                 {"bimix", 7, 6, 0, 0},     {"linear", 7, 7, 0, 0},    {"linear", 4, 6, 0, 0},
                 {"product", 5, 5, 1, 1},   {"product", 3, 6, 0, 1},   {"product", 4, 2, 0, 0}};
enum { N_SEPARABLE = sizeof separable / sizeof separable[0] };

/* The same on effective tokens, some domains being repeated. */
static const struct {
    const char *law;
    size_t n_domains, n_targets;
} repeated[] = {
    {"capacity+repetition", 5, 5},   {"transfer+repetition", 5, 5},  {"demand+repetition", 4, 6},
    {"chinchilla+repetition", 3, 5}, {"additive+repetition", 4, 2},  {"joint+repetition", 3, 3},
    {"dml+repetition", 4, 3},        {"loglinear+repetition", 4, 3}, {"bimix+repetition", 4, 4},
    {"linear+repetition", 4, 3},     {"transfer+repetition", 1, 1},  {"product+repetition", 4, 3}};
enum { N_REPEATED = sizeof repeated / sizeof repeated[0] };

static struct mix_law_spec repeated_spec(size_t i)
{
    struct mix_law_spec spec =
        spec_of(repeated[i].law, 0, repeated[i].n_domains, repeated[i].n_targets, 70.0);
    spec.has_size_term = spec.has_size_term && !mix_law_is(spec.law, "bimix");
    return spec;
}

static struct mix_law_spec separable_spec(size_t i)
{
    struct mix_law_spec spec =
        spec_of(separable[i].law, 0, separable[i].n_domains, separable[i].n_targets, 70.0);
    spec.has_size_term = separable[i].size;
    spec.has_token_term = separable[i].token;
    return spec;
}

static void test_jacobian_of_separable_laws(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SEPARABLE; i++) {
        const struct mix_law_spec spec = separable_spec(i);
        check_jacobian(spec.law, &spec, 20, false);
    }
}

static void test_jacobian_of_laws_with_repetition(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_REPEATED; i++) {
        const struct mix_law_spec spec = repeated_spec(i);
        check_jacobian(spec.law, &spec, spec.n_domains > 1 ? 20 : 60, false);
    }
}

/* Losses at one point; false where it lies beyond a kink, seen from the point of `side`. */
static bool losses_at(struct trial *t, const double *params, const double *h, const uint8_t *side,
                      double *loss)
{
    struct mix_error err;
    const double n = t->points.n[0], d = exp(t->points.ln_d[0]);
    if (mix_model_predict(t->model, params, 1, h, &n, &d, loss, &err) != MIX_OK)
        fail_msg("%s", err.text);
    uint8_t now[32] = {0};
    sides(t, t->model->phi_1, now);
    return memcmp(now, side, t->model->spec.n_targets) == 0;
}

/* d loss / d h_j for a zero share, from the inside: second-order forward difference. */
static void compare_share(struct trial *t, const double *params, double *h, size_t j,
                          const double *exact, const uint8_t *side, struct coverage *seen)
{
    const size_t n_targets = t->model->spec.n_targets, n_domains = t->model->spec.n_domains;
    const bool inside = h[j] > 0.0;
    const double step = inside ? 1e-3 * h[j] : 1e-7, middle = h[j];
    double *f = numbers(N_STENCIL * n_targets), column[N_STENCIL];
    bool smooth = true;
    for (size_t s = 0; s < N_STENCIL; s++) {
        h[j] = middle + (inside ? STENCIL[s] : (double)s) * step;
        smooth = losses_at(t, params, h, side, f + s * n_targets) && smooth;
    }
    h[j] = middle;
    for (size_t m = 0; m < n_targets; m++) {
        for (size_t s = 0; s < N_STENCIL; s++)
            column[s] = f[s * n_targets + m];
        const double estimate =
            inside ? difference(column, step)
                   : (-3.0 * column[0] + 4.0 * column[1] - column[2]) / (2.0 * step);
        if (!smooth)
            seen->n_kinks++;
        else
            compare(seen, exact[m * n_domains + j], estimate, fabs(column[1]) / fmax(middle, 0.1));
    }
    free(f);
}

static bool has_kinks(const struct mix_law_spec *spec)
{
    for (size_t i = 0; i < N_SEPARABLE; i++)
        if (mix_law_is(spec->law, separable[i].law))
            return false;
    return !mix_law_is(spec->law, "chinchilla");
}

/* d loss / d supply_j. */
static void compare_supply(struct trial *t, const double *params, const double *h,
                           const uint8_t *side, struct coverage *seen)
{
    const size_t n_targets = t->model->spec.n_targets, n_domains = t->model->spec.n_domains;
    double *exact = numbers(n_targets * n_domains), *f = numbers(N_STENCIL * n_targets);
    double *supply = numbers(n_domains), column[N_STENCIL];
    memcpy(supply, t->model->supply, n_domains * sizeof *supply);
    assert_int_equal(mix_model_supply_gradient(t->model, params, h, t->points.n[0],
                                               exp(t->points.ln_d[0]), exact, NULL),
                     MIX_OK);
    for (size_t j = 0; j < n_domains; j++) {
        const double middle = supply[j], step = 1e-3 * middle;
        bool smooth = true;
        for (size_t s = 0; s < N_STENCIL; s++) {
            supply[j] = middle + STENCIL[s] * step;
            mix_model_set_supply(t->model, supply);
            smooth = losses_at(t, params, h, side, f + s * n_targets) && smooth;
        }
        supply[j] = middle;
        for (size_t m = 0; m < n_targets && smooth; m++) {
            for (size_t s = 0; s < N_STENCIL; s++)
                column[s] = f[s * n_targets + m];
            compare(seen, exact[m * n_domains + j], difference(column, step),
                    fabs(column[1]) / fmax(middle, 0.1));
        }
    }
    mix_model_set_supply(t->model, supply);
    free(exact);
    free(f);
    free(supply);
}

static void check_mixture_gradient(const char *what, const struct mix_law_spec *spec,
                                   size_t n_trials)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 3);
    struct coverage seen = {0};
    const size_t n_domains = spec->n_domains, n_targets = spec->n_targets;
    for (size_t i = 0; i < n_trials; i++) {
        struct trial t;
        random_trial(&t, spec, 1, i % 2 == 1, rng);
        double *params = numbers(t.model->n_params), *loss = numbers(n_targets);
        double *exact = numbers(n_targets * n_domains), *h = numbers(n_domains);
        uint8_t side[32] = {0};
        t.model->law->to_natural(t.model, t.theta, t.lambda, params);
        const double off_simplex = uniform(rng, 0.5, 1.5);
        for (size_t j = 0; j < n_domains; j++)
            h[j] = t.points.h[j] * off_simplex;
        if (t.model->inner != NULL) {
            double *supply = numbers(n_domains);
            random_supply(rng, n_domains, h, exp(t.points.ln_d[0]), supply);
            mix_model_set_supply(t.model, supply);
            free(supply);
        }
        assert_int_equal(mix_model_gradient(t.model, params, h, t.points.n[0],
                                            exp(t.points.ln_d[0]), loss, exact, NULL),
                         MIX_OK);
        sides(&t, t.model->phi_1, side);
        for (size_t m = 0; m < n_targets; m++)
            count_side(&seen, side[m]);
        for (size_t j = 0; j < n_domains; j++)
            compare_share(&t, params, h, j, exact, side, &seen);
        if (t.model->inner != NULL)
            compare_supply(&t, params, h, side, &seen);
        free(params);
        free(loss);
        free(exact);
        free(h);
        trial_destroy(&t);
    }
    gsl_rng_free(rng);
    assert_covered(&seen, what, n_targets > 1 && has_kinks(spec));
}

static void test_mixture_gradient_of_separable_laws(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SEPARABLE; i++) {
        const struct mix_law_spec spec = separable_spec(i);
        check_mixture_gradient(spec.law, &spec, 40);
    }
}

static void test_gradients_of_laws_with_repetition(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_REPEATED; i++) {
        const struct mix_law_spec spec = repeated_spec(i);
        if (spec.n_domains > 1)
            check_mixture_gradient(spec.law, &spec, 40);
    }
}

static void test_mixture_gradient_of_all_laws(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_of("capacity", 0, 7, 7, 122.0);
    check_mixture_gradient("capacity", &spec, 200);
    spec.form = 1;
    check_mixture_gradient("capacity eq1", &spec, 100);
    spec.form = 3;
    check_mixture_gradient("capacity eq3", &spec, 100);
    spec = spec_of("transfer", 0, 5, 5, 122.0);
    check_mixture_gradient("transfer", &spec, 200);
    spec = spec_of("demand", 0, 5, 22, 70.0);
    check_mixture_gradient("demand", &spec, 60);
    spec = spec_of("transfer", 0, 1, 1, 122.0);
    check_mixture_gradient("transfer, one domain", &spec, 200);
}

static void check_natural_jacobian(const struct mix_law_spec *spec)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    struct trial t;
    trial_create(&t, spec, NULL, 1);
    random_theta(&t, rng);
    const struct mix_model *model = t.model;
    const size_t n_params = model->n_params, n_theta = model->n_theta;
    const size_t n_columns = n_theta + spec->n_targets * model->n_linear;
    double *jac = numbers(n_params * n_columns), *f = numbers(N_STENCIL * n_params);
    double *middle = numbers(n_params);
    model->law->to_natural(model, t.theta, t.lambda, middle);
    model->law->natural_jacobian(model, t.theta, jac);
    for (size_t column = 0; column < n_columns; column++) {
        double *x = column < n_theta ? t.theta + column : t.lambda + (column - n_theta);
        const double at = *x;
        for (size_t s = 0; s < N_STENCIL; s++) {
            *x = at + STENCIL[s] * STEP;
            model->law->to_natural(model, t.theta, t.lambda, f + s * n_params);
        }
        *x = at;
        for (size_t p = 0; p < n_params; p++) {
            const double values[N_STENCIL] = {f[p], f[n_params + p], f[2 * n_params + p],
                                              f[3 * n_params + p]};
            const double estimate = difference(values, STEP), exact = jac[p * n_columns + column];
            if (!(fabs(exact - estimate) <= TOLERANCE * (fabs(middle[p]) + fabs(exact))))
                fail_msg("%s: parameter %zu, column %zu: %g, central difference %g", spec->law, p,
                         column, exact, estimate);
        }
    }
    free(jac);
    free(f);
    free(middle);
    trial_destroy(&t);
    gsl_rng_free(rng);
}

static void test_natural_jacobian_of_all_laws(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_of("capacity", 0, 7, 7, 122.0);
    check_natural_jacobian(&spec);
    spec.form = 1;
    check_natural_jacobian(&spec);
    spec.form = 3;
    check_natural_jacobian(&spec);
    spec = spec_of("transfer", 0, 7, 7, 122.0);
    check_natural_jacobian(&spec);
    spec.has_size_term = 0;
    check_natural_jacobian(&spec);
    spec = spec_of("demand", 0, 5, 22, 70.0);
    check_natural_jacobian(&spec);
    spec = spec_of("chinchilla", 0, 3, 5, 70.0);
    check_natural_jacobian(&spec);
    spec.has_size_term = 0;
    check_natural_jacobian(&spec);
    for (size_t i = 0; i < N_SEPARABLE; i++) {
        spec = separable_spec(i);
        check_natural_jacobian(&spec);
    }
    for (size_t i = 0; i < N_REPEATED; i++) {
        spec = repeated_spec(i);
        check_natural_jacobian(&spec);
    }
}

/* A domain without share whose transfer from all others is on its bound 0: its noise share is
 * h_min, and the derivatives by T and gamma stay finite. */
static void test_jacobian_of_transfer_at_no_share(void **state)
{
    (void)state;
    const struct mix_law_spec spec = spec_of("transfer", 0, 2, 2, 50.0);
    const int target_domain[2] = {0, 1};
    const double corner[2] = {1.0, 0.0},
                 theta[] = {log(0.3), log(0.4), 0.1,      0.2,      -1.0,     log(0.3), log(0.5),
                            0.0,      0.0,      log(0.5), log(0.9), log(0.3), log(0.3)};
    const double lambda[8] = {1.0, 0.5, 0.2, 0.2, 1.0, 0.5, 0.2, 0.2};
    struct mix_model *model;
    struct law_points points;
    struct mix_error err = {{0}};
    assert_int_equal(mix_model_create(&spec, target_domain, &model, &err), MIX_OK);
    assert_int_equal(model->n_theta, sizeof theta / sizeof theta[0]);
    assert_int_equal(law_points_create(1, 2, &points, &err), MIX_OK);
    law_points_set(&points, 0, corner, 100.0, 2.0);
    double g[2], phi[8], u[2], *own = numbers(2 * model->n_own), *v = numbers(model->n_v);
    model->law->eval(model, theta, &points, g, phi);
    model->law->jacobian(model, theta, &points, lambda, phi, own, u, v);
    for (size_t i = 0; i < 2 * model->n_own; i++)
        assert_true(isfinite(own[i]));
    free(own);
    free(v);
    law_points_destroy(&points);
    mix_model_destroy(model);
}

/* Values and derivatives on every instruction set of this machine: they differ by rounding alone.
 */
static void test_instruction_sets_agree(void **state)
{
    (void)state;
    static const char *const laws[] = {"capacity", "transfer", "demand", "additive", "joint"};
    for (size_t i = 0; i < 5; i++) {
        const size_t n_targets = i == 2 ? 11 : 5, n_rows = 13;
        const struct mix_law_spec spec = spec_of(laws[i], 0, 5, n_targets, 100.0);
        double *first = NULL;
        for (int isa = 0; isa <= (int)mix_isa_best(); isa++) {
            gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
            struct trial t;
            trial_create(&t, &spec, NULL, n_rows);
            random_theta(&t, rng);
            random_points(&t, rng);
            law_model_set_isa(t.model, (enum mix_isa)isa);
            trial_eval(&t);
            double *dense = dense_jacobian(&t);
            const size_t n = n_rows * n_targets * t.model->n_theta;
            for (size_t k = 0; first != NULL && k < n; k++)
                assert_true(fabs(dense[k] - first[k]) <= 1e-10 * (1.0 + fabs(first[k])));
            if (first == NULL)
                first = dense;
            else
                free(dense);
            trial_destroy(&t);
            gsl_rng_free(rng);
        }
        free(first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instruction_sets_agree),
        cmocka_unit_test(test_jacobian_of_capacity),
        cmocka_unit_test(test_jacobian_of_transfer),
        cmocka_unit_test(test_jacobian_of_transfer_at_no_share),
        cmocka_unit_test(test_jacobian_of_demand),
        cmocka_unit_test(test_jacobian_of_chinchilla),
        cmocka_unit_test(test_jacobian_of_separable_laws),
        cmocka_unit_test(test_jacobian_of_laws_with_repetition),
        cmocka_unit_test(test_mixture_gradient_of_separable_laws),
        cmocka_unit_test(test_gradients_of_laws_with_repetition),
        cmocka_unit_test(test_mixture_gradient_of_all_laws),
        cmocka_unit_test(test_natural_jacobian_of_all_laws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

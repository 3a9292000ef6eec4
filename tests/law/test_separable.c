/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_separable.c - laws whose targets share nothing: values by hand and by their formulas,
 * parameters by name, convexity, and the tables that they refuse. Derivatives: test_derivatives.c.
 */
#include "law/cases.h"

#include <stdio.h>

static const char *const DOMAINS[] = {"web", "code", "wiki", "books"};
static const char *const TARGETS[] = {"web", "code", "wiki", "books", "exams", "chat"};

enum { N_MAX = 4, M_MAX = 6, P_MAX = 256 };

static struct mix_law_spec spec_at(const char *law, size_t n_domains, size_t n_targets, int size,
                                   int token)
{
    struct mix_law_spec spec = spec_of(law, 0, n_domains, n_targets, 50.0);
    spec.has_size_term = size;
    spec.has_token_term = token;
    return spec;
}

static struct mix_model *model_of(const struct mix_law_spec *spec)
{
    int linked[M_MAX];
    struct mix_model *model;
    struct mix_error err = {{0}};
    for (size_t m = 0; m < spec->n_targets; m++)
        linked[m] = m < spec->n_domains ? (int)m : -1;
    if (mix_model_create(spec, linked, &model, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return model;
}

static void assert_value(const struct mix_law_spec *spec, const double *params, size_t n_params,
                         double size, double tokens, double want)
{
    static const double h[] = {0.25, 0.75};
    struct mix_model *model = model_of(spec);
    double loss = 0.0;
    assert_int_equal(mix_model_n_params(model), n_params);
    assert_int_equal(mix_model_predict(model, params, 1, h, &size, &tokens, &loss, NULL), MIX_OK);
    if (!(fabs(loss / want - 1.0) <= 1e-14))
        fail_msg("%s: %.17g, by hand %.17g", spec->law, loss, want);
    mix_model_destroy(model);
}

/* One target at h = (1/4, 3/4), N = 64, D = 8, worked out by hand. */
static void test_values_by_hand(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_at("additive", 2, 1, 1, 1);
    /* 1 + 1 / (1 sqrt(1/4) + 2 (3/4)) + 4 / sqrt(64) + 1 / 8 */
    const double additive[] = {1.0, 1.0, 2.0, 0.5, 1.0, 4.0, 0.5, 1.0, 1.0};
    assert_value(&spec, additive, 9, 64.0, 8.0, 2.125);
    spec = spec_at("joint", 2, 1, 1, 1);
    /* 1 + 1/2 + sqrt(4/4 + 4 (3/4)) / sqrt(64) + (8/4 + (8/3) (3/4))^2 / 8 */
    const double joint[] = {1.0, 1.0, 2.0, 0.5, 1.0, 4.0, 4.0, 0.5, 0.5, 8.0, 8.0 / 3.0, 2.0, 1.0};
    assert_value(&spec, joint, 13, 64.0, 8.0, 1.0 + 0.5 + 0.25 + 2.0);
    spec = spec_at("product", 2, 1, 1, 1);
    /* F = 1 + 1/sqrt(4/4 + 4 (3/4)): 2 F + (4/sqrt(64) + 1/8) F^2 */
    const double product[] = {2.0, 4.0, 4.0, 1.0, 0.5, 2.0, 4.0, 0.5, 1.0, 1.0};
    assert_value(&spec, product, 10, 64.0, 8.0, 3.0 + 0.625 * 2.25);
    spec = spec_at("product", 2, 1, 0, 0);
    assert_value(&spec, product, 5, 64.0, 8.0, 3.0);
    spec = spec_at("dml", 2, 1, 0, 0);
    /* 1 + 3 exp((ln 4)/4 - (ln 4) (3/4)) */
    const double dml[] = {1.0, 3.0, log(4.0), -log(4.0)};
    assert_value(&spec, dml, 4, 64.0, 8.0, 2.5);
    spec = spec_at("dml", 2, 1, 1, 1);
    /* 1 + 3 / 2 / 64^(1/2) / 8^(1/3) + 4 / 64^(1/3) + 5 / 8^(2/3) */
    const double nested[] = {1.0,       3.0, log(4.0), -log(4.0), 4.0,
                             1.0 / 3.0, 0.5, 5.0,      2.0 / 3.0, 1.0 / 3.0};
    assert_value(&spec, nested, 10, 64.0, 8.0, 1.0 + 1.5 / 8.0 / 2.0 + 1.0 + 1.25);
    spec = spec_at("loglinear", 2, 1, 0, 0);
    const double loglinear[] = {1.0, 0.0, log(16.0)}; /* 1 + 16^(3/4) */
    assert_value(&spec, loglinear, 3, 64.0, 8.0, 9.0);
    spec = spec_at("bimix", 2, 1, 0, 1);
    const double bimix[] = {0.5, 1.0, 4.0, 1.0}; /* (1 + 4/8) / sqrt(1/4) */
    assert_value(&spec, bimix, 4, 64.0, 8.0, 3.0);
    spec = spec_at("bimix", 2, 1, 0, 0);
    const double one_length[] = {0.5, 1.0};
    assert_value(&spec, one_length, 2, 64.0, 8.0, 2.0);
    spec = spec_at("linear", 2, 1, 0, 0);
    const double linear[] = {2.0, 3.0};
    assert_value(&spec, linear, 2, 64.0, 8.0, 2.75);
}

/* Parameters with their names. */
struct named {
    struct mix_model *model;
    const double *params;
};

static double value(const struct named *named, const char *symbol, size_t m, size_t j)
{
    char wanted[4 * MIX_NAME_MAX], name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
    if (j == SIZE_MAX)
        snprintf(wanted, sizeof wanted, "%s[%s]", symbol, TARGETS[m]);
    else
        snprintf(wanted, sizeof wanted, "%s[%s,%s]", symbol, TARGETS[m], DOMAINS[j]);
    for (size_t p = 0; p < mix_model_n_params(named->model); p++) {
        mix_model_param_name(named->model, p, DOMAINS, TARGETS, name, unit);
        if (strcmp(name, wanted) == 0)
            return named->params[p];
    }
    fail_msg("%s has no parameter %s", mix_model_spec(named->model)->law, wanted);
    return NAN;
}

/* sum_j X_mj h_j, with h_j^gamma_mj where `power` is given. */
static double weighted(const struct named *named, const char *symbol, const char *power, size_t m,
                       const double *h)
{
    const struct mix_law_spec *spec = mix_model_spec(named->model);
    double sum = 0.0;
    for (size_t j = 0; j < spec->n_domains; j++)
        sum += value(named, symbol, m, j) *
               (power != NULL ? pow(fmax(h[j], spec->h_min), value(named, power, m, j)) : h[j]);
    return sum;
}

static double scale_terms(const struct named *named, const char *const symbols[4], size_t m,
                          double size, double tokens)
{
    const struct mix_law_spec *spec = mix_model_spec(named->model);
    double sum = 0.0;
    if (spec->has_size_term)
        sum += value(named, symbols[0], m, SIZE_MAX) *
               pow(size, -value(named, symbols[1], m, SIZE_MAX));
    if (spec->has_token_term)
        sum += value(named, symbols[2], m, SIZE_MAX) *
               pow(tokens, -value(named, symbols[3], m, SIZE_MAX));
    return sum;
}

static double formula_joint(const struct named *named, size_t m, const double *h, double size,
                            double tokens)
{
    const struct mix_law_spec *spec = mix_model_spec(named->model);
    double loss = value(named, "E", m, SIZE_MAX) + 1.0 / weighted(named, "C", "gamma", m, h);
    if (spec->has_size_term)
        loss += pow(weighted(named, "CA", NULL, m, h), value(named, "gammaA", m, SIZE_MAX)) *
                pow(size, -value(named, "alpha", m, SIZE_MAX));
    if (spec->has_token_term)
        loss += pow(weighted(named, "CB", NULL, m, h), value(named, "gammaB", m, SIZE_MAX)) *
                pow(tokens, -value(named, "beta", m, SIZE_MAX));
    return loss;
}

static double formula_dml(const struct named *named, size_t m, const double *h, double size,
                          double tokens)
{
    static const char *const symbols[] = {"P", "p", "Q", "q"};
    const struct mix_law_spec *spec = mix_model_spec(named->model);
    double k = value(named, "k", m, SIZE_MAX) * exp(weighted(named, "t", NULL, m, h));
    if (spec->has_size_term)
        k *= pow(size, -value(named, "u", m, SIZE_MAX));
    if (spec->has_token_term)
        k *= pow(tokens, -value(named, "v", m, SIZE_MAX));
    return value(named, "c", m, SIZE_MAX) + k + scale_terms(named, symbols, m, size, tokens);
}

static double formula_product(const struct named *named, size_t m, const double *h, double size,
                              double tokens)
{
    static const char *const symbols[] = {"A", "alpha", "B", "beta"};
    const struct mix_law_spec *spec = mix_model_spec(named->model);
    const double gamma = value(named, "gamma", m, SIZE_MAX);
    double sum = 0.0;
    for (size_t j = 0; j < spec->n_domains; j++)
        sum += value(named, "C", m, j) * pow(fmax(h[j], spec->h_min), gamma);
    const double factor = 1.0 + pow(sum, -value(named, "a", m, SIZE_MAX));
    double loss = value(named, "E", m, SIZE_MAX) * factor;
    if (spec->has_size_term || spec->has_token_term)
        loss += pow(factor, value(named, "kappa", m, SIZE_MAX)) *
                scale_terms(named, symbols, m, size, tokens);
    return loss;
}

static double formula(const struct named *named, size_t m, const double *h, double size,
                      double tokens)
{
    static const char *const additive[] = {"A", "alpha", "B", "beta"};
    const struct mix_law_spec *spec = mix_model_spec(named->model);
    if (strcmp(spec->law, "additive") == 0)
        return value(named, "E", m, SIZE_MAX) + 1.0 / weighted(named, "C", "gamma", m, h) +
               scale_terms(named, additive, m, size, tokens);
    if (strcmp(spec->law, "product") == 0)
        return formula_product(named, m, h, size, tokens);
    if (strcmp(spec->law, "joint") == 0)
        return formula_joint(named, m, h, size, tokens);
    if (strcmp(spec->law, "dml") == 0)
        return formula_dml(named, m, h, size, tokens);
    if (strcmp(spec->law, "loglinear") == 0)
        return value(named, "c", m, SIZE_MAX) + exp(weighted(named, "t", NULL, m, h));
    if (strcmp(spec->law, "linear") == 0)
        return weighted(named, "w", NULL, m, h);
    double loss = value(named, "C", m, SIZE_MAX);
    if (spec->has_token_term)
        loss += value(named, "B", m, SIZE_MAX) * pow(tokens, -value(named, "beta", m, SIZE_MAX));
    return loss * pow(fmax(h[m], spec->h_min), -value(named, "alpha", m, SIZE_MAX));
}

/* Laws, whether they know N and D, parameters at K domains and M targets that are free, and gauges
 * per target. */
static const struct law_case {
    const char *law;
    int size, token;
    size_t per_target, per_domain, n_gauge; /* M (per_target + K per_domain) parameters */
    size_t n_targets;
} cases[] = {
    {"additive", 1, 1, 5, 2, 0, 6},  {"additive", 0, 1, 3, 2, 0, 4}, {"additive", 0, 0, 1, 2, 0, 2},
    {"joint", 1, 1, 5, 4, 0, 6},     {"joint", 1, 0, 3, 3, 0, 4},    {"joint", 0, 0, 1, 2, 0, 4},
    {"dml", 1, 1, 8, 1, 1, 6},       {"dml", 0, 1, 5, 1, 1, 4},      {"dml", 0, 0, 2, 1, 1, 4},
    {"loglinear", 0, 0, 1, 1, 0, 6}, {"bimix", 0, 1, 4, 0, 0, 4},    {"bimix", 0, 0, 2, 0, 0, 3},
    {"linear", 0, 0, 0, 1, 0, 6},    {"product", 1, 1, 8, 1, 0, 6},  {"product", 0, 1, 6, 1, 0, 4},
    {"product", 0, 0, 3, 1, 0, 2}};
enum { N_CASES = sizeof cases / sizeof cases[0], N_ROWS = 6 };

static struct mix_law_spec spec_of_case(const struct law_case *law)
{
    return spec_at(law->law, N_MAX, law->n_targets, law->size, law->token);
}

static void test_parameter_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const struct mix_law_spec spec = spec_of_case(&cases[i]);
        struct mix_model *model = model_of(&spec);
        const size_t n = spec.n_targets * (cases[i].per_target + N_MAX * cases[i].per_domain);
        assert_int_equal(mix_model_n_params(model), n);
        assert_int_equal(mix_model_n_free(model), n - spec.n_targets * cases[i].n_gauge);
        mix_model_destroy(model);
    }
}

static void test_parameter_names_are_distinct_and_have_units(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const struct mix_law_spec spec = spec_of_case(&cases[i]);
        struct mix_model *model = model_of(&spec);
        const size_t n = mix_model_n_params(model);
        for (size_t p = 0; p < n; p++) {
            char name[2 * MIX_NAME_MAX], other[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
            for (size_t q = 0; q < p; q++) {
                mix_model_param_name(model, p, DOMAINS, TARGETS, name, unit);
                mix_model_param_name(model, q, DOMAINS, TARGETS, other, unit);
                assert_string_not_equal(name, other);
                assert_true(unit[0] != '\0');
            }
        }
        mix_model_destroy(model);
    }
}

/* A random trial of case i, its natural parameters in `params`. */
static void random_case(size_t i, gsl_rng *rng, struct trial *t, double params[P_MAX])
{
    const struct mix_law_spec spec = spec_of_case(&cases[i]);
    trial_create(t, &spec, NULL, N_ROWS);
    random_theta(t, rng);
    random_points(t, rng);
    assert_true(t->model->n_params <= P_MAX);
    t->model->law->to_natural(t->model, t->theta, t->lambda, params);
}

static void test_values_follow_the_formulas(void **state)
{
    (void)state;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t i = 0; i < 10 * N_CASES; i++) {
        struct trial t;
        double params[P_MAX], loss[N_ROWS * M_MAX], tokens[N_ROWS];
        random_case(i % N_CASES, rng, &t, params);
        for (size_t r = 0; r < N_ROWS; r++)
            tokens[r] = exp(t.points.ln_d[r]);
        assert_int_equal(
            mix_model_predict(t.model, params, N_ROWS, t.points.h, t.points.n, tokens, loss, NULL),
            MIX_OK);
        trial_eval(&t);
        const struct named named = {t.model, params};
        const size_t n_targets = t.model->spec.n_targets;
        for (size_t e = 0; e < N_ROWS * n_targets; e++) {
            const size_t r = e / n_targets;
            const double want =
                formula(&named, e % n_targets, t.points.h + r * N_MAX, t.points.n[r], tokens[r]);
            if (!(fabs(loss[e] / want - 1.0) <= 1e-11 && fabs(t.loss[e] / want - 1.0) <= 1e-11))
                fail_msg("%s: predicted %.15g, evaluated %.15g, by the formula %.15g",
                         t.model->spec.law, loss[e], t.loss[e], want);
        }
        trial_destroy(&t);
    }
    gsl_rng_free(rng);
}

static void test_natural_parameters_round_trip(void **state)
{
    (void)state;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t i = 0; i < 10 * N_CASES; i++) {
        struct trial t;
        double params[P_MAX], again[P_MAX], theta[P_MAX], lambda[M_MAX * MIX_LAW_LINEAR_MAX];
        random_case(i % N_CASES, rng, &t, params);
        t.model->law->from_natural(t.model, params, theta, lambda);
        t.model->law->to_natural(t.model, theta, lambda, again);
        for (size_t p = 0; p < t.model->n_params; p++)
            assert_true(fabs(again[p] - params[p]) <= 1e-12 * (1.0 + fabs(params[p])));
        for (size_t q = 0; q < t.model->n_theta; q++)
            assert_true(fabs(theta[q] - t.theta[q]) <= 1e-11 * (1.0 + fabs(theta[q])));
        trial_destroy(&t);
    }
    gsl_rng_free(rng);
}

/* Adding a constant to all t of a target is a factor of its k; the law holds sum t = 0. */
static void test_gauge_of_dml(void **state)
{
    (void)state;
    const struct mix_law_spec spec = spec_at("dml", 2, 1, 0, 0);
    struct mix_model *model = model_of(&spec);
    const double given[] = {1.0, 0.5, 2.0, 3.0}, h[] = {0.3, 0.7}, one = 1.0;
    double loss, theta[1], lambda[2], params[4];
    mix_model_predict(model, given, 1, h, &one, &one, &loss, NULL);
    assert_true(fabs(loss - (1.0 + 0.5 * exp(2.7))) <= 1e-13 * loss);
    model->law->from_natural(model, given, theta, lambda);
    model->law->to_natural(model, theta, lambda, params);
    assert_true(fabs(params[1] - 0.5 * exp(2.5)) <= 1e-13 * params[1]);
    assert_true(fabs(params[2] + 0.5) <= 1e-14 && fabs(params[3] - 0.5) <= 1e-14);
    mix_model_destroy(model);
}

/* At one scale all but bimix are convex in the mixture, and bimix too where no share is below
 * h_min: then their optimum is the only one. */
static void test_laws_are_convex_in_the_mixture(void **state)
{
    (void)state;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t i = 0; i < 20 * N_CASES; i++) {
        struct trial t;
        double params[P_MAX], h[3 * N_MAX], loss[3 * M_MAX];
        if (strcmp(cases[i % N_CASES].law, "joint") == 0 && cases[i % N_CASES].size)
            continue; /* A(h) and B(h) may bend either way */
        random_case(i % N_CASES, rng, &t, params);
        const size_t n_targets = t.model->spec.n_targets;
        const double size[] = {80.0, 80.0, 80.0}, tokens[] = {9.0, 9.0, 9.0};
        for (size_t k = 0; k < 2; k++)
            for (size_t j = 0; j < N_MAX; j++)
                h[k * N_MAX + j] = 0.02 + 0.92 * t.points.h[k * N_MAX + j];
        for (size_t j = 0; j < N_MAX; j++)
            h[2 * N_MAX + j] = 0.5 * (h[j] + h[N_MAX + j]);
        mix_model_predict(t.model, params, 3, h, size, tokens, loss, NULL);
        for (size_t m = 0; m < n_targets; m++) {
            const double ends = 0.5 * (loss[m] + loss[n_targets + m]);
            assert_true(loss[2 * n_targets + m] <= ends * (1.0 + 1e-12));
        }
        trial_destroy(&t);
    }
    gsl_rng_free(rng);
}

enum { TABLE_ROWS = 40 };

/* Two sizes and three lengths; four targets of which the last need not be a domain. */
struct table {
    struct mix_data data;
    int target_domain[4];
    double mixture[TABLE_ROWS * 4], n_params[TABLE_ROWS], n_tokens[TABLE_ROWS];
    double loss[TABLE_ROWS * 4], weight[TABLE_ROWS * 4];
};

static void fill_table(struct table *table, size_t n_sizes, size_t n_lengths)
{
    *table = (struct table){.target_domain = {0, 1, 2, 3}};
    table->data = (struct mix_data){.n_rows = TABLE_ROWS,
                                    .n_domains = 4,
                                    .n_targets = 4,
                                    .target_domain = table->target_domain,
                                    .mixture = table->mixture,
                                    .n_params = table->n_params,
                                    .n_tokens = table->n_tokens,
                                    .loss = table->loss,
                                    .weight = table->weight};
    for (size_t r = 0; r < TABLE_ROWS; r++) {
        table->n_params[r] = r % n_sizes == 0 ? 122.0 : 310.0;
        table->n_tokens[r] = 5.0 * (double)(1 + r % n_lengths);
        for (size_t j = 0; j < 4; j++) {
            table->mixture[r * 4 + j] = 0.25;
            table->loss[r * 4 + j] = 2.0;
            table->weight[r * 4 + j] = 1.0;
        }
    }
}

static void assert_refused(const struct table *table, const char *law, const char *sentence)
{
    struct mix_law_spec spec;
    struct mix_error err = {{0}};
    char notes[MIX_TEXT_MAX];
    assert_int_equal(
        mix_law_spec_from_data(law, 0, &table->data, DOMAINS, TARGETS, &spec, notes, &err),
        MIX_EINVAL);
    assert_string_equal(err.text, sentence);
}

static void assert_accepted(const struct table *table, const char *law, int size, int token,
                            const char *note)
{
    struct mix_law_spec spec;
    struct mix_error err = {{0}};
    char notes[MIX_TEXT_MAX];
    if (mix_law_spec_from_data(law, 0, &table->data, DOMAINS, TARGETS, &spec, notes, &err) !=
        MIX_OK)
        fail_msg("%s", err.text);
    assert_true(spec.has_size_term == size && spec.has_token_term == token);
    assert_string_equal(notes, note);
}

static void test_tables_of_several_scales(void **state)
{
    (void)state;
    struct table table;
    static const char *const all[] = {"additive", "joint", "dml", "product"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        fill_table(&table, 2, 3);
        assert_accepted(&table, all[i], 1, 1, "");
        fill_table(&table, 1, 3);
        assert_accepted(&table, all[i], 0, 1,
                        "what depends on N is dropped: all selected runs have one N\n");
        fill_table(&table, 1, 1);
        table.target_domain[3] = -1;
        assert_accepted(&table, all[i], 0, 0,
                        "what depends on N is dropped: all selected runs have one N\n"
                        "what depends on D is dropped: all selected runs have one D\n");
    }
}

static void test_tables_for_one_scale(void **state)
{
    (void)state;
    struct table table;
    fill_table(&table, 2, 1);
    assert_refused(&table, "linear",
                   "law linear knows nothing of N, and the selected runs have from 122 to 310 "
                   "million parameters; select one size by --where n_params=310000000, or use law "
                   "additive");
    assert_refused(&table, "bimix",
                   "law bimix knows nothing of N, and the selected runs have from 122 to 310 "
                   "million parameters; select one size by --where n_params=310000000, or use law "
                   "additive");
    fill_table(&table, 1, 3);
    assert_refused(&table, "loglinear",
                   "law loglinear knows nothing of D, and the selected runs saw from 5 to 15 "
                   "billion tokens; select one length by --where n_tokens=1.5e+10, or use law "
                   "additive");
    assert_accepted(&table, "bimix", 0, 1,
                    "law bimix answers for the N of the selected runs whatever is asked for\n");
    fill_table(&table, 1, 1);
    assert_accepted(&table, "bimix", 0, 0,
                    "law bimix answers for the scale of the selected runs whatever is asked for\n");
    table.target_domain[3] = -1;
    assert_accepted(
        &table, "loglinear", 0, 0,
        "law loglinear answers for the scale of the selected runs whatever is asked for\n");
    assert_accepted(
        &table, "linear", 0, 0,
        "law linear answers for the scale of the selected runs whatever is asked for\n");
    assert_refused(&table, "bimix",
                   "law bimix knows a target by the share of its own domain, and target books is "
                   "no training domain; select --targets domains or use law additive");
    struct mix_law_spec spec;
    struct mix_error err = {{0}};
    char notes[MIX_TEXT_MAX];
    assert_int_equal(
        mix_law_spec_from_data("dml", 1, &table.data, DOMAINS, TARGETS, &spec, notes, &err),
        MIX_EINVAL);
    assert_string_equal(err.text, "law dml has no forms; form eq1 belongs to capacity");
}

/* bimix needs the own domain of a target, but not all domains measured. */
static void test_bimix_takes_fewer_targets_than_domains(void **state)
{
    (void)state;
    static const int own[] = {3, 1}, none[] = {3, -1};
    const struct mix_law_spec spec = spec_at("bimix", 4, 2, 0, 0);
    struct mix_model *model;
    struct mix_error err = {{0}};
    const double params[] = {0.5, 2.0, 1.0, 3.0}, h[] = {0.1, 0.5, 0.15, 0.25}, one = 1.0;
    double loss[2];
    assert_int_equal(mix_model_create(&spec, own, &model, &err), MIX_OK);
    mix_model_predict(model, params, 1, h, &one, &one, loss, NULL);
    assert_true(fabs(loss[0] - 4.0) <= 1e-14 && fabs(loss[1] - 6.0) <= 1e-14);
    mix_model_destroy(model);
    assert_int_equal(mix_model_create(&spec, none, &model, &err), MIX_EINVAL);
    assert_string_equal(err.text, "law bimix: target 1 is not a training domain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_by_hand),
        cmocka_unit_test(test_parameter_counts),
        cmocka_unit_test(test_parameter_names_are_distinct_and_have_units),
        cmocka_unit_test(test_values_follow_the_formulas),
        cmocka_unit_test(test_natural_parameters_round_trip),
        cmocka_unit_test(test_gauge_of_dml),
        cmocka_unit_test(test_laws_are_convex_in_the_mixture),
        cmocka_unit_test(test_tables_of_several_scales),
        cmocka_unit_test(test_tables_for_one_scale),
        cmocka_unit_test(test_bimix_takes_fewer_targets_than_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

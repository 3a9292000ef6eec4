/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_law.c - values of the laws against independent ones, their parameters by name, and the
 * tables they refuse. */
#include "law/cases.h"

#include <jansson.h>
#include <stdio.h>

static const char *const DOMAINS[] = {"web", "code", "wiki", "books", "math", "law", "news"};

static json_t *golden_cases(void)
{
    const char *folder = getenv("MIXSWEEP_TESTS");
    if (folder == NULL) {
        print_message("MIXSWEEP_TESTS is not set: no golden values\n");
        skip();
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/law/capacity_law.json", folder);
    json_error_t why;
    json_t *root = json_load_file(path, 0, &why);
    if (root == NULL)
        fail_msg("%s: %s", path, why.text);
    json_t *cases = json_incref(json_object_get(root, "cases"));
    json_decref(root);
    assert_true(json_array_size(cases) == 6);
    return cases;
}

static double element(const json_t *array, size_t i)
{
    assert_true(json_is_number(json_array_get(array, i)));
    return json_number_value(json_array_get(array, i));
}

/* The case as a trial, by way of the natural parameters. */
static void golden_trial(struct trial *t, const json_t *test)
{
    const json_t *sizes = json_object_get(test, "N_millions");
    const json_t *tokens = json_object_get(test, "D_billions");
    const size_t n_domains = (size_t)json_integer_value(json_object_get(test, "K"));
    const size_t n_rows = json_array_size(sizes);
    double n_min = INFINITY;
    for (size_t r = 0; r < n_rows; r++)
        n_min = fmin(n_min, element(sizes, r));
    struct mix_law_spec spec = spec_of("capacity", 0, n_domains, n_domains, n_min);
    spec.h_min = json_number_value(json_object_get(test, "h_min"));
    trial_create(t, &spec, NULL, n_rows);
    static const char *const blocks[] = {"b", "c", "A", "a", "E"};
    double *params = numbers(t->model->n_params), *h = numbers(n_domains);
    assert_true(t->model->n_params == 5 * n_domains + 1);
    for (size_t block = 0; block < 5; block++)
        for (size_t i = 0; i < n_domains; i++)
            params[block * n_domains + i] = element(json_object_get(test, blocks[block]), i);
    params[5 * n_domains] = json_number_value(json_object_get(test, "H"));
    t->model->law->from_natural(t->model, params, t->theta, t->lambda);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t j = 0; j < n_domains; j++)
            h[j] = element(json_array_get(json_object_get(test, "h"), r), j);
        law_points_set(&t->points, r, h, element(sizes, r), element(tokens, r));
    }
    free(params);
    free(h);
    trial_eval(t);
}

static void assert_golden(double *worst, const char *what, double value, double golden)
{
    const double off = fabs(value - golden) / fabs(golden);
    if (golden == 0.0 ? value != 0.0 : !(off <= 1e-10))
        fail_msg("%s: %.17g, golden value %.17g", what, value, golden);
    *worst = golden != 0.0 ? fmax(*worst, off) : *worst;
}

/* d loss / d ln (b, c, A, a, E, H) of one residual, by the chain rule from
 * gamma = ln c - b ln x_ref and H = n_min / (1 + exp(-eta)). */
static void golden_derivatives(const struct trial *t, size_t e, const double *dense, double *out)
{
    const size_t n_domains = t->model->spec.n_domains, m = e % n_domains;
    const size_t n = t->points.n_rows * n_domains;
    const double *column = dense + e * t->model->n_theta;
    memset(out, 0, (5 * n_domains + 1) * sizeof *out);
    for (size_t i = 0; i < n_domains; i++) {
        const double by_gamma = column[n_domains + i];
        out[i] = column[i] - by_gamma * exp(t->theta[i]) * t->model->ln_x_ref;
        out[n_domains + i] = by_gamma;
        out[3 * n_domains + i] = column[2 * n_domains + 1 + i];
    }
    out[2 * n_domains + m] = t->lambda[2 * m + 1] * t->phi[n + e];
    out[4 * n_domains + m] = t->lambda[2 * m];
    const double eta = t->theta[2 * n_domains];
    out[5 * n_domains] = column[2 * n_domains] * (1.0 + exp(eta)); /* d eta / d ln H */
}

static void assert_golden_case(const json_t *test, double *worst)
{
    struct trial t;
    golden_trial(&t, test);
    const size_t n_domains = t.model->spec.n_domains, n_ln = 5 * n_domains + 1;
    double *dense = dense_jacobian(&t), *derivatives = numbers(n_ln);
    for (size_t r = 0; r < t.points.n_rows; r++) {
        const json_t *x = json_array_get(json_object_get(test, "x"), r);
        const json_t *loss = json_array_get(json_object_get(test, "loss"), r);
        const json_t *slopes = json_array_get(json_object_get(test, "dloss_dlntheta"), r);
        assert_golden(worst, "ln lambda", multiplier(&t, r),
                      element(json_object_get(test, "ln_lambda"), r));
        for (size_t m = 0; m < n_domains; m++) {
            assert_golden(worst, "x", exp(ln_capacity(&t, r, m)), element(x, m));
            assert_golden(worst, "loss", t.loss[r * n_domains + m], element(loss, m));
            golden_derivatives(&t, r * n_domains + m, dense, derivatives);
            for (size_t p = 0; p < n_ln; p++)
                assert_golden(worst, "dloss_dlntheta", derivatives[p],
                              element(json_array_get(slopes, m), p));
        }
    }
    free(dense);
    free(derivatives);
    trial_destroy(&t);
}

static void test_law_golden_values(void **state)
{
    (void)state;
    json_t *cases = golden_cases();
    size_t i;
    json_t *test;
    double worst = 0.0;
    json_array_foreach(cases, i, test) assert_golden_case(test, &worst);
    print_message("golden values: worst relative difference %.1e\n", worst);
    json_decref(cases);
}

static const char *const TARGETS[] = {"web",   "code",    "wiki",    "arxiv",   "patents", "forum",
                                      "mails", "chat",    "lyrics",  "recipes", "theses",  "maps",
                                      "plays", "letters", "minutes", "reports", "courts",  "trade",
                                      "sport", "travel",  "weather", "stars"};

/* Parameters of a trial with the names that its law gives them. */
struct named {
    const struct trial *t;
    const char *const *domains, *const *targets;
    double *params;
};

static size_t find(const struct named *named, const char *wanted)
{
    for (size_t p = 0; p < named->t->model->n_params; p++) {
        char name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(named->t->model, p, named->domains, named->targets, name, unit);
        if (strcmp(name, wanted) == 0)
            return p;
    }
    return SIZE_MAX;
}

/* 0 where the law has no such parameter. */
static double value(const struct named *named, const char *symbol, const char *index)
{
    char name[4 * MIX_NAME_MAX];
    snprintf(name, sizeof name, index != NULL ? "%s[%s]" : "%s", symbol, index);
    const size_t p = find(named, name);
    return p == SIZE_MAX ? 0.0 : named->params[p];
}

static double transfer(const struct named *named, size_t m, size_t j)
{
    const struct mix_model *model = named->t->model;
    if (strcmp(model->spec.law, "demand") != 0 && model->target_domain[m] == (int)j)
        return 1.0;
    char index[2 * MIX_NAME_MAX];
    snprintf(index, sizeof index, "%s,%s", named->targets[m], named->domains[j]);
    return value(named, "T", index);
}

/* Capacities by bisection on ln lambda: slow, and nothing in common with the law's Newton steps. */
static void bisect_capacities(size_t n, const double *s, const double *b, const double *c,
                              double low, double total, double *x)
{
    double left = -2000.0, right = 2000.0;
    for (int i = 0; i < 200; i++) {
        const double mu = 0.5 * (left + right);
        double sum = 0.0;
        for (size_t m = 0; m < n; m++)
            sum += x[m] = fmax(low, exp((log(s[m] * b[m] * c[m]) - mu) / (b[m] + 1.0)));
        *(sum > total ? &left : &right) = mu;
    }
}

/* Losses at point r, straight from the formulas of competition.h and chinchilla.c. */
static void formula(const struct named *named, size_t r, double *loss)
{
    const struct trial *t = named->t;
    const struct mix_law_spec *spec = &t->model->spec;
    const size_t n_domains = spec->n_domains, n_targets = spec->n_targets;
    const double *h = t->points.h + r * n_domains;
    const double size = t->points.n[r], tokens = exp(t->points.ln_d[r]);
    const bool demand = strcmp(spec->law, "demand") == 0;
    const bool made = demand || strcmp(spec->law, "transfer") == 0;
    const bool per_target = strcmp(spec->law, "chinchilla") == 0;
    double s[32], noise[32], b[32], c[32], x[32];
    for (size_t m = 0; m < n_targets; m++) {
        b[m] = value(named, "b", named->targets[m]);
        c[m] = value(named, "c", named->targets[m]);
        noise[m] = 0.0;
        const double gamma = made && n_domains > 1 ? value(named, "gamma", named->targets[m]) : 1.0;
        for (size_t j = 0; j < n_domains; j++)
            noise[m] += transfer(named, m, j) * pow(made ? fmax(h[j], spec->h_min) : h[j], gamma);
        noise[m] = pow(noise[m], 1.0 / gamma);
        s[m] = demand || per_target ? noise[m] : h[t->model->target_domain[m]];
    }
    if (!per_target) {
        const double low = spec->form == 0 ? value(named, "H", NULL) : 0.1 * spec->n_min;
        const double shared = spec->form == 1 ? spec->n_min : size;
        bisect_capacities(n_targets, s, b, c, low, shared + ((double)n_targets - 1.0) * low, x);
    }
    for (size_t m = 0; m < n_targets; m++) {
        const char *target = named->targets[m], *own = per_target ? target : NULL;
        loss[m] = value(named, "E", target);
        loss[m] += value(named, "P", target) * pow(size, -value(named, "p", own));
        loss[m] += value(named, "Q", target) * pow(tokens, -value(named, "q", own));
        if (per_target)
            continue;
        loss[m] += c[m] * pow(x[m], -b[m]);
        loss[m] += value(named, "A", target) *
                   pow(tokens * fmax(noise[m], spec->h_min), -value(named, "a", target));
    }
}

static void check_formula(const struct mix_law_spec *spec, const int *target_domain,
                          const char *const *targets)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t trial = 0; trial < 20; trial++) {
        struct trial t;
        trial_create(&t, spec, target_domain, 4);
        random_theta(&t, rng);
        random_points(&t, rng);
        const size_t n = t.points.n_rows * spec->n_targets;
        double *params = numbers(t.model->n_params), *loss = numbers(n);
        double wanted[32] = {0}, tokens[4];
        t.model->law->to_natural(t.model, t.theta, t.lambda, params);
        for (size_t r = 0; r < t.points.n_rows; r++)
            tokens[r] = exp(t.points.ln_d[r]);
        assert_int_equal(mix_model_predict(t.model, params, t.points.n_rows, t.points.h, t.points.n,
                                           tokens, loss, NULL),
                         MIX_OK);
        trial_eval(&t);
        const struct named named = {&t, DOMAINS, targets, params};
        for (size_t e = 0; e < n; e++) {
            if (e % spec->n_targets == 0)
                formula(&named, e / spec->n_targets, wanted);
            const double want = wanted[e % spec->n_targets];
            if (!(fabs(loss[e] / want - 1.0) <= 1e-11 && fabs(t.loss[e] / want - 1.0) <= 1e-11))
                fail_msg("%s: predicted %.15g, evaluated %.15g, by the formula %.15g", spec->law,
                         loss[e], t.loss[e], want);
        }
        free(params);
        free(loss);
        trial_destroy(&t);
    }
    gsl_rng_free(rng);
}

static void test_law_agrees_with_its_formula(void **state)
{
    (void)state;
    struct mix_law_spec spec = spec_of("capacity", 0, 7, 7, 122.0);
    check_formula(&spec, NULL, DOMAINS);
    spec.form = 1;
    check_formula(&spec, NULL, DOMAINS);
    spec.form = 3;
    check_formula(&spec, NULL, DOMAINS);
    spec = spec_of("capacity", 0, 1, 1, 0.01);
    check_formula(&spec, NULL, DOMAINS);
    spec = spec_of("transfer", 0, 7, 7, 122.0);
    check_formula(&spec, NULL, DOMAINS);
    spec.has_token_term = 0;
    check_formula(&spec, NULL, DOMAINS);
    spec = spec_of("transfer", 0, 1, 1, 122.0);
    check_formula(&spec, NULL, DOMAINS);
    spec = spec_of("demand", 0, 5, 22, 70.0);
    check_formula(&spec, NULL, TARGETS);
    spec.has_size_term = 0;
    check_formula(&spec, NULL, TARGETS);
    spec = spec_of("chinchilla", 0, 3, 5, 70.0);
    check_formula(&spec, NULL, TARGETS);
    spec.has_size_term = 0;
    check_formula(&spec, NULL, TARGETS);
}

/* Targets 0 .. 4 of the permuted model are domains 3, 0, 4, 1, 2. */
static void test_law_permuted_targets_permute_predictions(void **state)
{
    (void)state;
    static const int order[] = {3, 0, 4, 1, 2};
    static const char *const targets[] = {"books", "web", "math", "code", "wiki"};
    static const char *const laws[] = {"capacity", "transfer", "demand"};
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t law = 0; law < 3; law++) {
        const struct mix_law_spec spec = spec_of(laws[law], 0, 5, 5, 122.0);
        struct trial t, permuted;
        trial_create(&t, &spec, NULL, 6);
        trial_create(&permuted, &spec, order, 6);
        random_theta(&t, rng);
        random_points(&t, rng);
        struct named from = {&t, DOMAINS, DOMAINS, numbers(t.model->n_params)};
        struct named to = {&permuted, DOMAINS, targets, numbers(t.model->n_params)};
        t.model->law->to_natural(t.model, t.theta, t.lambda, from.params);
        for (size_t p = 0; p < t.model->n_params; p++) {
            char name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
            mix_model_param_name(permuted.model, p, DOMAINS, targets, name, unit);
            assert_true(find(&from, name) != SIZE_MAX);
            to.params[p] = from.params[find(&from, name)];
        }
        for (size_t r = 0; r < t.points.n_rows; r++) {
            const double *h = t.points.h + r * 5, n = t.points.n[r], d = exp(t.points.ln_d[r]);
            double loss[5], permuted_loss[5], slope[25], permuted_slope[25];
            mix_model_gradient(t.model, from.params, h, n, d, loss, slope, NULL);
            mix_model_gradient(permuted.model, to.params, h, n, d, permuted_loss, permuted_slope,
                               NULL);
            for (size_t m = 0; m < 5; m++) {
                const size_t same = (size_t)order[m];
                assert_true(fabs(permuted_loss[m] / loss[same] - 1.0) <= 1e-12);
                for (size_t j = 0; j < 5; j++)
                    assert_true(fabs(permuted_slope[m * 5 + j] - slope[same * 5 + j]) <=
                                1e-11 * (fabs(slope[same * 5 + j]) + loss[same]));
            }
        }
        check_formula(&spec, order, targets);
        free(from.params);
        free(to.params);
        trial_destroy(&t);
        trial_destroy(&permuted);
    }
    gsl_rng_free(rng);
}

static struct mix_model *model_of(const struct mix_law_spec *spec)
{
    int linked[32];
    for (size_t m = 0; m < spec->n_targets; m++)
        linked[m] = m < spec->n_domains ? (int)m : -1;
    struct mix_model *model;
    assert_int_equal(mix_model_create(spec, linked, &model, NULL), MIX_OK);
    return model;
}

static void assert_counts(const struct mix_law_spec *spec, size_t n_params, size_t n_free)
{
    struct mix_model *model = model_of(spec);
    assert_true(mix_model_n_params(model) == n_params);
    assert_true(mix_model_n_free(model) == n_free);
    mix_model_destroy(model);
}

static void test_law_parameter_counts(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 7; n++) {
        struct mix_law_spec spec = spec_of("capacity", 0, n, n, 122.0);
        assert_counts(&spec, 5 * n + 1, 5 * n + 1);
        spec.form = 1;
        assert_counts(&spec, 3 * n, 3 * n);
        spec.form = 3;
        assert_counts(&spec, 5 * n, 5 * n);
        spec = spec_of("transfer", 0, n, n, 122.0);
        const size_t n_mixing = n > 1 ? n * n : 0;                        /* T and gamma */
        assert_counts(&spec, n_mixing + 7 * n + 3, n_mixing + 7 * n + 3); /* 101 at K = 7 */
        spec.has_size_term = spec.has_token_term = 0;
        assert_counts(&spec, n_mixing + 5 * n + 1, n_mixing + 5 * n + 1);
    }
    struct mix_law_spec spec = spec_of("demand", 0, 5, 22, 70.0);
    assert_counts(&spec, 289, 267); /* 22 rows of T sum to 1 */
    spec = spec_of("chinchilla", 0, 5, 22, 70.0);
    assert_counts(&spec, 110, 110);
}

static void assert_names(const struct mix_law_spec *spec, const char *const *targets,
                         const char *const *some)
{
    struct mix_model *model = model_of(spec);
    const struct trial t = {.model = model};
    const struct named named = {&t, DOMAINS, targets, NULL};
    for (size_t p = 0; p < model->n_params; p++) {
        char name[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(model, p, DOMAINS, targets, name, unit);
        assert_true(find(&named, name) == p); /* distinct */
        assert_true(unit[0] != '\0');
    }
    for (size_t i = 0; some[i] != NULL; i++)
        if (find(&named, some[i]) == SIZE_MAX)
            fail_msg("%s has no parameter %s", spec->law, some[i]);
    mix_model_destroy(model);
}

static void test_law_parameter_names(void **state)
{
    (void)state;
    static const char *const capacity[] = {"b[web]",  "c[code]", "A[wiki]", "a[books]",
                                           "E[news]", "H",       NULL};
    static const char *const forms[] = {"b[web]", "c[code]", "E[news]", NULL};
    static const char *const scales[] = {"T[web,code]", "T[news,law]", "gamma[web]", "P[web]", "p",
                                         "Q[news]",     "q",           "H",          NULL};
    static const char *const demand[] = {
        "T[web,web]", "T[stars,math]", "gamma[stars]", "P[stars]", "p", "Q[maps]", "q", "H", NULL};
    static const char *const chinchilla[] = {"E[web]", "P[code]", "p[code]",
                                             "Q[web]", "q[web]",  NULL};
    struct mix_law_spec spec = spec_of("capacity", 0, 7, 7, 122.0);
    assert_names(&spec, DOMAINS, capacity);
    spec.form = 1;
    assert_names(&spec, DOMAINS, forms);
    spec.form = 3;
    assert_names(&spec, DOMAINS, forms);
    spec = spec_of("transfer", 0, 7, 7, 122.0);
    assert_names(&spec, DOMAINS, scales);
    spec = spec_of("demand", 0, 5, 22, 70.0);
    assert_names(&spec, TARGETS, demand);
    spec = spec_of("chinchilla", 0, 5, 22, 70.0);
    assert_names(&spec, TARGETS, chinchilla);
}

/* natural -> internal -> natural is the identity, and so is internal -> natural -> internal but for
 * the level of demand's logits, which nothing depends on. */
static void check_round_trip(const struct mix_law_spec *spec, gsl_rng *rng)
{
    struct trial t;
    trial_create(&t, spec, NULL, 1);
    const struct mix_model *model = t.model;
    const size_t n_lambda = spec->n_targets * model->n_linear;
    double *params = numbers(model->n_params), *again = numbers(model->n_params);
    double *theta = numbers(model->n_theta), *lambda = numbers(n_lambda);
    for (size_t i = 0; i < 20; i++) {
        random_theta(&t, rng);
        t.lambda[0] = 0.0;
        if (i < 2) /* the corners of the box */
            memcpy(t.theta, i == 0 ? model->lower : model->upper, model->n_theta * sizeof(double));
        model->law->to_natural(model, t.theta, t.lambda, params);
        model->law->from_natural(model, params, theta, lambda);
        model->law->to_natural(model, theta, lambda, again);
        for (size_t p = 0; p < model->n_params; p++)
            assert_true(fabs(again[p] - params[p]) <= 1e-13 * fabs(params[p]));
        assert_memory_equal(lambda, t.lambda, n_lambda * sizeof *lambda);
        for (size_t q = 0; strcmp(spec->law, "demand") != 0 && q < model->n_theta; q++)
            assert_true(fabs(theta[q] - t.theta[q]) <= (i < 2 ? 1e-7 : 1e-11));
    }
    free(params);
    free(again);
    free(theta);
    free(lambda);
    trial_destroy(&t);
}

static void test_law_natural_parameters_round_trip(void **state)
{
    (void)state;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    struct mix_law_spec spec = spec_of("capacity", 0, 7, 7, 122.0);
    check_round_trip(&spec, rng);
    spec.form = 1;
    check_round_trip(&spec, rng);
    spec.form = 3;
    check_round_trip(&spec, rng);
    spec = spec_of("transfer", 0, 7, 7, 0.01);
    check_round_trip(&spec, rng);
    spec = spec_of("demand", 0, 5, 22, 70.0);
    check_round_trip(&spec, rng);
    spec = spec_of("chinchilla", 0, 5, 22, 70.0);
    check_round_trip(&spec, rng);
    gsl_rng_free(rng);
}

static void test_law_starts_lie_in_the_box(void **state)
{
    (void)state;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t law = 0; mix_law_get(law) != NULL; law++) {
        const char *name = mix_law_name(mix_law_get(law));
        const struct mix_law_spec spec = spec_of(name, 0, 4, 4, 1e-2);
        struct trial t;
        trial_create(&t, &spec, NULL, 3);
        double *first = numbers(t.model->n_theta);
        for (unsigned long seed = 0; seed < 200; seed++) {
            gsl_rng_set(rng, seed + 1);
            random_theta(&t, rng);
            memcpy(first, t.theta, t.model->n_theta * sizeof *first);
            gsl_rng_set(rng, seed + 1);
            random_theta(&t, rng);
            assert_memory_equal(first, t.theta, t.model->n_theta * sizeof *first);
            for (size_t q = 0; q < t.model->n_theta; q++)
                assert_true(t.theta[q] >= t.model->lower[q] && t.theta[q] <= t.model->upper[q]);
            random_points(&t, rng);
            trial_eval(&t);
            for (size_t e = 0; e < t.points.n_rows * spec.n_targets; e++)
                assert_true(isfinite(t.loss[e]) && t.loss[e] > 0.0);
        }
        free(first);
        trial_destroy(&t);
    }
    gsl_rng_free(rng);
}

static void test_law_table_finds_every_law(void **state)
{
    (void)state;
    static const char *const names[] = {"capacity", "transfer",   "demand",    "additive",
                                        "joint",    "dml",        "loglinear", "bimix",
                                        "linear",   "chinchilla", "product"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(mix_law_find(names[i]));
        assert_string_equal(mix_law_name(mix_law_find(names[i])), names[i]);
        assert_true(strlen(mix_law_summary(mix_law_find(names[i]))) > 10);
    }
    assert_null(mix_law_find("capacit"));
    size_t n = 0;
    for (; mix_law_get(n) != NULL; n++)
        assert_ptr_equal(mix_law_find(mix_law_name(mix_law_get(n))), mix_law_get(n));
    assert_int_equal(n, sizeof names / sizeof names[0]);
}

enum { TABLE_ROWS = 60, TABLE_MAX = 4 };

/* A table of two sizes and three token counts; targets are the domains. */
struct table {
    struct mix_data data;
    int target_domain[TABLE_MAX];
    double mixture[TABLE_ROWS * TABLE_MAX], n_params[TABLE_ROWS], n_tokens[TABLE_ROWS];
    double loss[TABLE_ROWS * TABLE_MAX], weight[TABLE_ROWS * TABLE_MAX];
};

static void fill_table(struct table *table, size_t n_domains, size_t n_targets)
{
    *table = (struct table){.target_domain = {0, 1, 2, 3}};
    table->data = (struct mix_data){.n_rows = TABLE_ROWS,
                                    .n_domains = n_domains,
                                    .n_targets = n_targets,
                                    .target_domain = table->target_domain,
                                    .mixture = table->mixture,
                                    .n_params = table->n_params,
                                    .n_tokens = table->n_tokens,
                                    .loss = table->loss,
                                    .weight = table->weight};
    for (size_t r = 0; r < TABLE_ROWS; r++) {
        table->n_params[r] = r % 2 == 0 ? 122.0 : 310.0;
        table->n_tokens[r] = 5.0 * (double)(1 + r % 3);
        for (size_t j = 0; j < n_domains; j++)
            table->mixture[r * n_domains + j] = 1.0 / (double)n_domains;
        for (size_t m = 0; m < n_targets; m++) {
            table->loss[r * n_targets + m] = 2.0;
            table->weight[r * n_targets + m] = 1.0;
        }
    }
}

static enum mix_status spec_from(const struct table *table, const char *law, int form,
                                 struct mix_law_spec *spec, char notes[MIX_TEXT_MAX],
                                 struct mix_error *err)
{
    return mix_law_spec_from_data(law, form, &table->data, DOMAINS, DOMAINS, spec, notes, err);
}

static void assert_refused(const struct table *table, const char *law, int form,
                           const char *sentence)
{
    struct mix_law_spec spec;
    struct mix_error err = {0};
    char notes[MIX_TEXT_MAX];
    assert_int_equal(spec_from(table, law, form, &spec, notes, &err), MIX_EINVAL);
    assert_string_equal(err.text, sentence);
    assert_int_equal(spec_from(table, law, form, &spec, notes, NULL), MIX_EINVAL);
}

static void test_law_spec_of_a_table(void **state)
{
    (void)state;
    struct table table;
    fill_table(&table, 4, 4);
    static const char *const laws[] = {"capacity", "transfer", "demand",    "additive",
                                       "joint",    "dml",      "chinchilla"};
    for (size_t law = 0; law < sizeof laws / sizeof laws[0]; law++) {
        struct mix_law_spec spec;
        char notes[MIX_TEXT_MAX] = "left over";
        const char *name = laws[law];
        assert_int_equal(spec_from(&table, name, 0, &spec, notes, NULL), MIX_OK);
        assert_string_equal(spec.law, name);
        assert_string_equal(notes, "");
        assert_true(spec.n_domains == 4 && spec.n_targets == 4 && spec.form == 0);
        assert_true(spec.n_min == 122.0 && spec.h_min == 1e-4);
        const int scales = strcmp(name, "capacity") != 0;
        assert_true(spec.has_size_term == scales && spec.has_token_term == scales);
    }
    for (int form = 1; form <= 3; form += 2) {
        struct mix_law_spec spec;
        char notes[MIX_TEXT_MAX];
        assert_int_equal(spec_from(&table, "capacity", form, &spec, notes, NULL), MIX_OK);
        assert_int_equal(spec.form, form);
    }
}

static void test_law_refuses_unknown_law_and_form(void **state)
{
    (void)state;
    struct table table;
    fill_table(&table, 4, 4);
    struct mix_law_spec spec = {0};
    struct mix_error err;
    char notes[MIX_TEXT_MAX];
    assert_int_equal(spec_from(&table, "capacit", 0, &spec, notes, &err), MIX_EINVAL);
    static const char *const begins =
        "there is no law capacit; the laws are capacity, transfer, demand";
    assert_true(strncmp(err.text, begins, strlen(begins)) == 0);
    assert_refused(&table, "capacity", 2,
                   "law capacity has no form eq2; allowed are eq1 and eq3, or no form for the full "
                   "law");
    assert_refused(&table, "transfer", 1,
                   "law transfer has no forms; form eq1 belongs to capacity");
    assert_refused(&table, "demand", 3, "law demand has no forms; form eq3 belongs to capacity");
}

static void test_law_refuses_targets_that_are_not_the_domains(void **state)
{
    (void)state;
    struct table table;
    fill_table(&table, 4, 4);
    table.target_domain[2] = -1;
    assert_refused(&table, "capacity", 0,
                   "law capacity needs targets that are training domains, and target wiki is none; "
                   "select --targets domains or use law demand");
    assert_refused(&table, "transfer", 0,
                   "law transfer needs targets that are training domains, and target wiki is none; "
                   "select --targets domains or use law demand");
    for (size_t m = 0; m < 4; m++)
        table.target_domain[m] = -1;
    assert_refused(&table, "transfer", 0,
                   "law transfer needs targets that are training domains, and target web is none; "
                   "use law demand");
    fill_table(&table, 4, 3);
    assert_refused(&table, "capacity", 0,
                   "law capacity needs a measured loss for every training domain, and books has "
                   "none; use law demand");
    assert_refused(&table, "transfer", 0,
                   "law transfer needs a measured loss for every training domain, and books has "
                   "none; use law demand");
    struct mix_law_spec spec;
    char notes[MIX_TEXT_MAX];
    assert_int_equal(spec_from(&table, "demand", 0, &spec, notes, NULL), MIX_OK);
}

static void test_law_refuses_too_few_losses(void **state)
{
    (void)state;
    struct table table;
    fill_table(&table, 4, 4);
    table.data.n_rows = 5;
    assert_refused(&table, "capacity", 0,
                   "law capacity has 21 parameters and the selection only 20 losses; add runs or "
                   "use a smaller law");
    table.data.n_rows = 12; /* 48 losses for 51 parameters, of which 47 are free */
    struct mix_law_spec spec;
    char notes[MIX_TEXT_MAX];
    assert_int_equal(spec_from(&table, "demand", 0, &spec, notes, NULL), MIX_OK);
    fill_table(&table, 4, 4);
    for (size_t r = 2; r < TABLE_ROWS; r++)
        table.weight[r * 4 + 1] = 0.0;
    assert_refused(&table, "transfer", 0,
                   "target code has 2 unmasked losses in the selection; a law needs 3 or more "
                   "(lower --mask-below, or leave it out by --targets)");
}

static void test_law_drops_terms_of_what_does_not_vary(void **state)
{
    (void)state;
    struct table table;
    struct mix_law_spec spec;
    char notes[MIX_TEXT_MAX];
    static const char *const laws[] = {"transfer", "demand", "chinchilla"};
    for (size_t law = 0; law < 3; law++) {
        fill_table(&table, 4, 4);
        for (size_t r = 0; r < TABLE_ROWS; r++)
            table.n_params[r] = 122.0 * (1.0 + 1e-12 * (double)r);
        assert_int_equal(spec_from(&table, laws[law], 0, &spec, notes, NULL), MIX_OK);
        assert_true(!spec.has_size_term && spec.has_token_term);
        assert_string_equal(notes, "the term P N^-p is dropped: all selected runs have one N\n");
        for (size_t r = 0; r < TABLE_ROWS; r++)
            table.n_tokens[r] = 10.0;
        assert_int_equal(spec_from(&table, laws[law], 0, &spec, notes, NULL), MIX_OK);
        assert_true(!spec.has_size_term && !spec.has_token_term);
        assert_string_equal(notes, "the term P N^-p is dropped: all selected runs have one N\n"
                                   "the term Q D^-q is dropped: all selected runs have one D\n");
    }
}

static void test_law_model_refuses_impossible_shapes(void **state)
{
    (void)state;
    static const int linked[] = {0, 1, 2}, beyond[] = {0, 1, 3}, none[] = {0, 1, -1};
    struct mix_model *model;
    struct mix_error err;
    struct mix_law_spec spec = spec_of("capacit", 0, 3, 3, 1.0);
    assert_int_equal(mix_model_create(&spec, linked, &model, &err), MIX_EINVAL);
    spec = spec_of("capacity", 0, 0, 3, 1.0);
    assert_int_equal(mix_model_create(&spec, linked, &model, &err), MIX_EINVAL);
    spec = spec_of("capacity", 0, 3, 3, NAN);
    assert_int_equal(mix_model_create(&spec, linked, &model, &err), MIX_EINVAL);
    spec = spec_of("demand", 0, 3, 3, 1.0);
    assert_int_equal(mix_model_create(&spec, beyond, &model, &err), MIX_EINVAL);
    spec = spec_of("transfer", 0, 3, 3, 1.0);
    assert_int_equal(mix_model_create(&spec, none, &model, &err), MIX_EINVAL);
    assert_string_equal(err.text, "law transfer: target 2 is not a training domain");
    spec = spec_of("capacity", 0, 3, 2, 1.0);
    assert_int_equal(mix_model_create(&spec, linked, &model, &err), MIX_EINVAL);
    assert_string_equal(err.text, "law capacity needs one target for each training domain, not 2 "
                                  "targets on 3 domains");
    spec = spec_of("demand", 0, 3, 1000000, 1.0);
    assert_int_equal(mix_model_create(&spec, linked, &model, &err), MIX_EINVAL);
    assert_string_equal(err.text, "law demand on 3 domains and 1000000 targets from N = 1: allowed "
                                  "are 1 to 256 domains, 1 to 256 targets and N > 0");
    mix_model_destroy(NULL);
}

/* Parameters of `capacity` with H = 3 on four domains. */
static void test_law_predict_needs_more_than_h(void **state)
{
    (void)state;
    const struct mix_law_spec spec = spec_of("capacity", 0, 4, 4, 10.0);
    struct mix_model *model = model_of(&spec);
    double params[21], h[] = {0.4, 0.3, 0.2, 0.1}, loss[4], slope[16], n = 2.0, d = 10.0;
    for (size_t i = 0; i < 20; i++)
        params[i] = 0.5 + 0.05 * (double)(i % 4);
    params[20] = 3.0;
    struct mix_error err;
    static const char *const sentence =
        "N = 2 million parameters is below H = 3 million, the capacity that law capacity gives "
        "every domain; ask for a larger model";
    assert_int_equal(mix_model_predict(model, params, 1, h, &n, &d, loss, &err), MIX_EINVAL);
    assert_string_equal(err.text, sentence);
    assert_int_equal(mix_model_gradient(model, params, h, n, d, loss, slope, &err), MIX_EINVAL);
    assert_string_equal(err.text, sentence);
    n = 3.0; /* N = H: every domain has H */
    assert_int_equal(mix_model_predict(model, params, 1, h, &n, &d, loss, &err), MIX_OK);
    for (size_t m = 0; m < 4; m++) {
        const double b = params[m], c = params[4 + m], scale = params[8 + m], a = params[12 + m];
        const double want = c * pow(3.0, -b) + scale * pow(d * h[m], -a) + params[16 + m];
        assert_true(fabs(loss[m] / want - 1.0) <= 1e-12);
    }
    d = 0.0;
    assert_int_equal(mix_model_predict(model, params, 1, h, &n, &d, loss, &err), MIX_EINVAL);
    assert_string_equal(err.text, "N = 3 and D = 0 must be positive");
    n = NAN;
    assert_int_equal(mix_model_predict(model, params, 1, h, &n, &d, loss, &err), MIX_EINVAL);
    mix_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_law_golden_values),
        cmocka_unit_test(test_law_agrees_with_its_formula),
        cmocka_unit_test(test_law_permuted_targets_permute_predictions),
        cmocka_unit_test(test_law_parameter_counts),
        cmocka_unit_test(test_law_parameter_names),
        cmocka_unit_test(test_law_natural_parameters_round_trip),
        cmocka_unit_test(test_law_starts_lie_in_the_box),
        cmocka_unit_test(test_law_table_finds_every_law),
        cmocka_unit_test(test_law_spec_of_a_table),
        cmocka_unit_test(test_law_refuses_unknown_law_and_form),
        cmocka_unit_test(test_law_refuses_targets_that_are_not_the_domains),
        cmocka_unit_test(test_law_refuses_too_few_losses),
        cmocka_unit_test(test_law_drops_terms_of_what_does_not_vary),
        cmocka_unit_test(test_law_model_refuses_impossible_shapes),
        cmocka_unit_test(test_law_predict_needs_more_than_h),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_allocation.c - the shares of capacity meet the Karush-Kuhn-Tucker conditions on any legal
 * input, however the multiplier was guessed. */
#include "law/cases.h"
#include "law/competition.h"

enum { N_MAX = 64, N_CASES = 40000 };

/* min sum s c x^-b subject to sum x = C, x >= H; q = ln(s b c). */
struct problem {
    size_t n;
    double q[N_MAX], e[N_MAX];
    double low, size, total; /* H, N, C */
};

/* Exponents 1e-3 .. 8, scales over 40 orders of magnitude, shares down to 1e-12 and zero. */
static void random_skills(struct problem *p, gsl_rng *rng)
{
    p->n = gsl_rng_uniform_int(rng, 4) == 0 ? 1 + gsl_rng_uniform_int(rng, 3)
                                            : 1 + gsl_rng_uniform_int(rng, N_MAX);
    const double spread = gsl_rng_uniform_int(rng, 2) == 0 ? 20.0 : 1.0; /* decades each way */
    const size_t busy = gsl_rng_uniform_int(rng, p->n); /* this one has a share for certain */
    for (size_t i = 0; i < p->n; i++) {
        const double b = log_uniform(rng, 1e-3, 8.0), c = pow(10.0, uniform(rng, -spread, spread));
        const bool none = i != busy && gsl_rng_uniform_int(rng, 8) == 0;
        const double share = none ? 0.0 : log_uniform(rng, 1e-12, 1.0);
        p->q[i] = log(share) + log(b) + log(c);
        p->e[i] = 1.0 / (b + 1.0);
    }
}

static void random_sizes(struct problem *p, gsl_rng *rng)
{
    p->size = log_uniform(rng, 1e-3, 1e6);
    switch (gsl_rng_uniform_int(rng, 4)) {
    case 0:
        p->low = p->size; /* N = H: nothing to share out */
        break;
    case 1:
        p->low = p->size / (1.0 + log_uniform(rng, 1e-12, 1.0));
        break;
    default:
        p->low = p->size / log_uniform(rng, 1.0, 1e9);
    }
    p->total = p->size + ((double)p->n - 1.0) * p->low;
}

/* A problem made from its answer: a third of the skills exactly on the bound, a third within 1e-8
 * of it on either side, a third above it. */
static void on_the_bound(struct problem *p, gsl_rng *rng)
{
    random_skills(p, rng);
    const double mu = uniform(rng, -60.0, 60.0);
    p->low = log_uniform(rng, 1e-3, 1e3);
    p->total = 0.0;
    for (size_t i = 0; i < p->n; i++) {
        const double near = log_uniform(rng, 1e-13, 1e-8) * (i % 2 == 0 ? 1.0 : -1.0);
        const double factor[] = {1.0, 1.0 + near, log_uniform(rng, 1.0, 1e4)};
        const double x = p->low * factor[i % 3];
        p->q[i] = mu + log(x) / p->e[i];
        p->total += fmax(x, p->low);
    }
    p->size = p->total - ((double)p->n - 1.0) * p->low;
}

static int allocate(const struct problem *p, double *mu, double *ln_x)
{
    return competition_allocate(p->n, p->q, p->e, log(p->low), log(p->size), p->total, mu, ln_x);
}

static void assert_kkt(const struct problem *p, double mu, const double *ln_x)
{
    const double ln_low = log(p->low);
    long double sum = 0.0L;
    size_t n_active = 0;
    for (size_t i = 0; i < p->n; i++) {
        sum += expl((long double)ln_x[i]);
        assert_true(ln_x[i] >= ln_low);
        /* ln(s b c x^-(b+1)) - ln lambda: 0 where active, else no more than 0 */
        const double gap = p->q[i] - ln_x[i] / p->e[i] - mu;
        const double rounding =
            4e-16 * (fabs(p->q[i]) + fabs(mu) + fabs(ln_x[i] / p->e[i])) + 1e-300;
        if (p->q[i] == -INFINITY) {
            assert_true(ln_x[i] == ln_low);
        } else if (ln_x[i] > ln_low) {
            assert_true(fabs(gap) <= rounding);
            n_active++;
        } else {
            assert_true(gap <= rounding);
        }
    }
    if (n_active > 0 || p->size > p->low)
        assert_true(fabsl(sum - (long double)p->total) <= 1e-13L * (long double)p->total);
    else
        for (size_t i = 0; i < p->n; i++)
            assert_true(ln_x[i] == ln_low);
}

/* Guesses from nearby and from far away end in the same answer. */
static int assert_guesses(const struct problem *p, double mu, const double *ln_x)
{
    const double guess[] = {mu,          mu + 1e-9, mu - 1e-9, mu + 0.3, mu - 0.3, mu + 40.0,
                            mu - 1000.0, 1e300,     -1e300,    INFINITY, -INFINITY};
    int most = 0;
    for (size_t g = 0; g < sizeof guess / sizeof guess[0]; g++) {
        double at = guess[g], again[N_MAX];
        const int steps = allocate(p, &at, again);
        if (steps > most)
            most = steps;
        for (size_t i = 0; i < p->n; i++)
            assert_true(fabs(again[i] - ln_x[i]) <= 1e-12);
        assert_kkt(p, at, again);
    }
    return most;
}

static void run_cases(void (*make)(struct problem *, gsl_rng *), unsigned long seed)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, seed);
    struct problem p;
    int most = 0, most_warm = 0;
    double total = 0.0;
    for (size_t i = 0; i < N_CASES; i++) {
        make(&p, rng);
        double mu = NAN, ln_x[N_MAX];
        const int steps = allocate(&p, &mu, ln_x);
        assert_kkt(&p, mu, ln_x);
        most = steps > most ? steps : most;
        total += steps;
        if (i % 8 == 0) {
            const int warm = assert_guesses(&p, mu, ln_x);
            most_warm = warm > most_warm ? warm : most_warm;
        }
    }
    gsl_rng_free(rng);
    print_message("%d cases: at most %d steps, %.2f on average; at most %d from a guess\n", N_CASES,
                  most, total / N_CASES, most_warm);
    assert_in_range(most, 1, 30);
    assert_in_range(most_warm, 1, 30);
}

static void adversarial(struct problem *p, gsl_rng *rng)
{
    random_skills(p, rng);
    random_sizes(p, rng);
}

static void test_allocation_meets_kkt_on_adversarial_cases(void **state)
{
    (void)state;
    run_cases(adversarial, 20260607);
}

static void test_allocation_meets_kkt_with_skills_on_the_bound(void **state)
{
    (void)state;
    run_cases(on_the_bound, 8);
}

static void test_allocation_of_one_skill_is_the_whole_size(void **state)
{
    (void)state;
    struct problem p = {.n = 1, .low = 3.0, .size = 122.0, .total = 122.0};
    for (int decade = -20; decade <= 20; decade += 10) {
        p.q[0] = (double)decade * log(10.0);
        p.e[0] = 1.0 / 1.4;
        double mu = NAN, ln_x;
        allocate(&p, &mu, &ln_x);
        assert_true(fabs(exp(ln_x) / 122.0 - 1.0) <= 1e-13);
    }
}

static void test_allocation_without_any_share_rests_on_the_bound(void **state)
{
    (void)state;
    struct problem p = {.n = 3, .low = 2.0, .size = 50.0, .total = 54.0};
    for (size_t i = 0; i < p.n; i++) {
        p.q[i] = -INFINITY;
        p.e[i] = 0.5;
    }
    double mu = NAN, ln_x[N_MAX];
    allocate(&p, &mu, ln_x);
    for (size_t i = 0; i < p.n; i++)
        assert_true(ln_x[i] == log(2.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocation_meets_kkt_on_adversarial_cases),
        cmocka_unit_test(test_allocation_meets_kkt_with_skills_on_the_bound),
        cmocka_unit_test(test_allocation_of_one_skill_is_the_whole_size),
        cmocka_unit_test(test_allocation_without_any_share_rests_on_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The arithmetic of the frame: invariants I2 and I7 to I11 of the specification. */
#include "online/steered.h"

static double uniform(gsl_rng *rng, double low, double high)
{
    return low + (high - low) * gsl_rng_uniform(rng);
}

static gsl_rng *rng_of(const char *name)
{
    gsl_rng *rng = mix_rng_create(mix_key_make(3, name, NULL, 0));
    assert_non_null(rng);
    return rng;
}

static void random_matrix(gsl_rng *rng, size_t m, double low, double high, double *a)
{
    for (size_t e = 0; e < m * m; e++)
        a[e] = uniform(rng, low, high);
}

static void random_point(gsl_rng *rng, size_t m, double *p)
{
    double sum = 0.0;
    for (size_t j = 0; j < m; j++)
        sum += p[j] = -log(gsl_rng_uniform_pos(rng));
    for (size_t j = 0; j < m; j++)
        p[j] /= sum;
}

/* x of w x = y by elimination with pivots; w (m,m) and y are spoilt. */
static void eliminate(size_t m, double *w, double *y, double *x)
{
    for (size_t c = 0; c < m; c++) {
        size_t pivot = c;
        for (size_t r = c + 1; r < m; r++)
            if (fabs(w[r * m + c]) > fabs(w[pivot * m + c]))
                pivot = r;
        for (size_t k = 0; k < m; k++) {
            const double swap = w[c * m + k];
            w[c * m + k] = w[pivot * m + k];
            w[pivot * m + k] = swap;
        }
        const double swap = y[c];
        y[c] = y[pivot];
        y[pivot] = swap;
        for (size_t r = c + 1; r < m; r++) {
            const double factor = w[r * m + c] / w[c * m + c];
            for (size_t k = c; k < m; k++)
                w[r * m + k] -= factor * w[c * m + k];
            y[r] -= factor * y[c];
        }
    }
    for (size_t r = m; r-- > 0;) {
        x[r] = y[r];
        for (size_t k = r + 1; k < m; k++)
            x[r] -= w[r * m + k] * x[k];
        x[r] /= w[r * m + r];
    }
}

static void test_I2_closed_form_is_elimination(void **state)
{
    (void)state;
    gsl_rng *rng = rng_of("I2");
    const double smoothings[] = {0.0, 0.3, 0.75, 0.99};
    for (size_t m = 2; m <= 7; m++)
        for (size_t s = 0; s < 4; s++) {
            double a[49], b[49], w[49], y[7], x[7];
            random_matrix(rng, m, -1.0, 1.0, b);
            mix_solve_perturbed(m, smoothings[s], b, a);
            for (size_t i = 0; i < m; i++) {
                double sum = 0.0;
                for (size_t j = 0; j < m; j++) {
                    online_perturbed(m, smoothings[s], j, w + j * m);
                    y[j] = b[i * m + j];
                    sum += a[i * m + j] - b[i * m + j];
                }
                eliminate(m, w, y, x);
                assert_near(sum, 0.0, 1e-11);
                for (size_t j = 0; j < m; j++)
                    assert_near(a[i * m + j], x[j], 1e-10);
                for (size_t j = 0; smoothings[s] == 0.0 && j < m; j++)
                    assert_true(a[i * m + j] == b[i * m + j]);
            }
        }
    gsl_rng_free(rng);
}

/* W has the eigenvalues 1 (of 1) and 1 - e (of contrasts); e = (1 - omega) m / (m - 1). */
static void test_I2_smoothing_and_own_weight(void **state)
{
    (void)state;
    for (size_t m = 2; m <= 7; m++)
        for (double e = 0.0; e < 0.95; e += 0.3) {
            double p[7], a[49], contrast[49] = {0}, even[49];
            online_perturbed(m, e, m - 1, p);
            const double omega = p[m - 1];
            assert_near((1.0 - omega) * (double)m / (double)(m - 1), e, 1e-14);
            assert_near(omega - p[0], 1.0 - e, 1e-14);
            contrast[0] = 1.0;
            contrast[1] = -1.0;
            for (size_t k = 0; k < m * m; k++)
                even[k] = 1.0;
            mix_solve_perturbed(m, e, contrast, a);
            assert_near(a[0], 1.0 / (1.0 - e), 1e-12);
            mix_solve_perturbed(m, e, even, a);
            assert_near(a[0], 1.0, 1e-12);
        }
    struct mix_method_setup setup = setup_of(3, 500);
    struct mix_mixer *mixer = NULL;
    struct mix_error err;
    setup.options.smoothing = 1.0; /* omega = 1 / m */
    assert_int_equal(mix_mixer_create(mix_method_find("aioli"), &setup, &mixer, &err), MIX_EINVAL);
    assert_non_null(strstr(err.text, "option smoothing is 1"));
}

static void test_I7_normalised_matrix(void **state)
{
    (void)state;
    gsl_rng *rng = rng_of("I7");
    for (size_t m = 2; m <= 7; m++)
        for (int negative = 0; negative < 2; negative++) {
            double a[49], scaled[49], g[7], sum = 0.0, columns = 0.0;
            random_matrix(rng, m, negative ? -1.0 : 0.5, 1.0, a);
            a[m] = negative ? -1.0 : a[m];
            for (size_t e = 0; e < m * m; e++)
                scaled[e] = 7.0 * a[e] + (negative ? 3.0 : 0.0);
            assert_true(mix_normalise_matrix(m, a));
            assert_true(mix_normalise_matrix(m, scaled));
            mix_column_sums(m, a, g);
            for (size_t e = 0; e < m * m; e++) {
                assert_true(a[e] >= 0.0);
                assert_near(a[e], scaled[e], 1e-14);
                sum += a[e];
            }
            for (size_t j = 0; j < m; j++)
                columns += g[j];
            assert_near(sum, 1.0, 1e-14);
            assert_near(columns, 1.0, 1e-14);
        }
    gsl_rng_free(rng);
}

static void test_I7_nothing_to_normalise(void **state)
{
    (void)state;
    double zero[4] = {0}, level[4] = {-0.3, -0.3, -0.3, -0.3}, broken[4] = {1.0, NAN, 0.0, 0.0};
    assert_false(mix_normalise_matrix(2, zero));
    assert_false(mix_normalise_matrix(2, level));
    assert_false(mix_normalise_matrix(2, broken));
    assert_true(zero[0] == 0.0 && level[0] == -0.3 && broken[0] == 1.0);
}

static void test_I8_closed_form_of_egd(void **state)
{
    (void)state;
    gsl_rng *rng = rng_of("I8");
    for (size_t m = 2; m <= 7; m++) {
        double a[49], g[7], p[7], start[7], score[7], closed[7];
        const double eta = 0.7;
        random_matrix(rng, m, -1.0, 1.0, a);
        assert_true(mix_normalise_matrix(m, a));
        mix_column_sums(m, a, g);
        random_point(rng, m, p);
        memcpy(start, p, sizeof p);
        for (int t = 1; t <= 200; t++) {
            const double ratio = log(p[0] / p[1]);
            double sum = 0.0;
            mix_egd(m, p, g, eta);
            for (size_t j = 0; j < m; j++)
                score[j] = log(start[j]) + eta * t * g[j];
            mix_softmax(m, score, closed);
            for (size_t j = 0; j < m; j++) {
                assert_near(p[j] / closed[j], 1.0, 1e-9);
                assert_true(p[j] > 0.0);
                sum += p[j];
            }
            assert_near(sum, 1.0, 1e-12);
            assert_true(fabs(log(p[0] / p[1]) - ratio) <= eta);
        }
    }
    gsl_rng_free(rng);
}

static void test_I8_scores_beyond_the_exponential(void **state)
{
    (void)state;
    const double score[3] = {1e4, 1e4 - 1.0, -1e6};
    double p[3];
    mix_softmax(3, score, p);
    assert_near(p[0] / p[1], exp(1.0), 1e-9);
    assert_true(p[2] == 0.0);
}

/* Column sums of A + r 1'. */
static void sums_with_offsets(gsl_rng *rng, size_t m, double *a, double *g)
{
    for (size_t i = 0; i < m; i++) {
        const double r = uniform(rng, -2.0, 2.0);
        for (size_t j = 0; j < m; j++)
            a[i * m + j] += r;
    }
    mix_column_sums(m, a, g);
}

static void test_I9_equal_column_sums_move_nothing(void **state)
{
    (void)state;
    enum { M = 5 };
    gsl_rng *rng = rng_of("I9");
    for (int kind = 0; kind < 3; kind++)
        for (int normalised = 0; normalised < 2; normalised++) {
            double a[M * M], g[M], p[M], before[M], circulant[M];
            for (size_t j = 0; j < M; j++)
                circulant[j] = uniform(rng, -1.0, 1.0);
            for (size_t i = 0; i < M; i++)
                for (size_t j = 0; j < M; j++)
                    a[i * M + j] = kind == 0   ? (i == j ? 0.4 : 0.0)
                                   : kind == 1 ? 0.4
                                               : circulant[(i + j) % M];
            sums_with_offsets(rng, M, a, g);
            if (normalised && mix_normalise_matrix(M, a))
                mix_column_sums(M, a, g);
            random_point(rng, M, p);
            memcpy(before, p, sizeof p);
            mix_egd(M, p, g, 3.0);
            for (size_t j = 0; j < M; j++)
                assert_near(p[j], before[j], 1e-13);
        }
    double unequal[M] = {0.1, 0.1, 0.1, 0.1, 0.2}, p[M];
    online_uniform(M, p);
    mix_egd(M, p, unequal, 1.0);
    assert_true(p[4] > p[0] + 1e-3);
    gsl_rng_free(rng);
}

static void test_I10_row_offsets(void **state)
{
    (void)state;
    enum { M = 4 };
    gsl_rng *rng = rng_of("I10");
    double plain_a[M * M], offset_a[M * M], plain_g[M], offset_g[M], plain[M], offset[M];
    random_matrix(rng, M, 0.0, 1.0, plain_a);
    memcpy(offset_a, plain_a, sizeof plain_a);
    mix_column_sums(M, plain_a, plain_g);
    sums_with_offsets(rng, M, offset_a, offset_g);
    random_point(rng, M, plain);
    memcpy(offset, plain, sizeof plain);
    mix_egd(M, plain, plain_g, 0.5);
    mix_egd(M, offset, offset_g, 0.5);
    for (size_t j = 0; j < M; j++)
        assert_near(plain[j], offset[j], 1e-13);
    assert_true(mix_normalise_matrix(M, plain_a) && mix_normalise_matrix(M, offset_a));
    mix_column_sums(M, plain_a, plain_g);
    mix_column_sums(M, offset_a, offset_g);
    const double factor = (offset_g[1] - offset_g[0]) / (plain_g[1] - plain_g[0]);
    assert_true(factor > 0.0 && fabs(factor - 1.0) > 1e-3);
    for (size_t j = 1; j < M; j++)
        assert_near(offset_g[j] - offset_g[0], factor * (plain_g[j] - plain_g[0]), 1e-13);
    gsl_rng_free(rng);
}

static double egd_objective(size_t m, const double *p, const double *from, const double *g,
                            double eta)
{
    double value = 0.0;
    for (size_t j = 0; j < m; j++)
        value += eta * g[j] * p[j] - (p[j] > 0.0 ? p[j] * log(p[j] / from[j]) : 0.0);
    return value;
}

static void test_I11_egd_maximises_gain_less_divergence(void **state)
{
    (void)state;
    enum { M = 4 };
    gsl_rng *rng = rng_of("I11");
    for (int trial = 0; trial < 20; trial++) {
        double g[M], from[M], best[M], other[M];
        for (size_t j = 0; j < M; j++)
            g[j] = uniform(rng, -1.0, 1.0);
        random_point(rng, M, from);
        memcpy(best, from, sizeof best);
        mix_egd(M, best, g, 0.8);
        const double most = egd_objective(M, best, from, g, 0.8);
        for (int i = 0; i < 500; i++) {
            const double near = i % 2 == 0 ? 0.0 : 0.999; /* far points, and some around the best */
            random_point(rng, M, other);
            for (size_t j = 0; j < M; j++)
                other[j] = near * best[j] + (1.0 - near) * other[j];
            assert_true(egd_objective(M, other, from, g, 0.8) < most);
        }
    }
    gsl_rng_free(rng);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_I2_closed_form_is_elimination),
        cmocka_unit_test(test_I2_smoothing_and_own_weight),
        cmocka_unit_test(test_I7_normalised_matrix),
        cmocka_unit_test(test_I7_nothing_to_normalise),
        cmocka_unit_test(test_I8_closed_form_of_egd),
        cmocka_unit_test(test_I8_scores_beyond_the_exponential),
        cmocka_unit_test(test_I9_equal_column_sums_move_nothing),
        cmocka_unit_test(test_I10_row_offsets),
        cmocka_unit_test(test_I11_egd_maximises_gain_less_divergence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

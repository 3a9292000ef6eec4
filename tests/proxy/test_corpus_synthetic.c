/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The synthetic sources: the entropy rate against a direct solution and against the text, streams
 * that depend on nothing but what they are, bytes that are equal on every machine. */
#include "mixsweep/corpus.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_linalg.h>

#include "proxy/synthetic.h"

enum { A = SYNTHETIC_SYMBOLS, STATES = SYNTHETIC_STATES };

static struct mix_corpus *make(struct mix_corpus_synthetic options, double *entropy)
{
    struct mix_error err = {""};
    struct mix_corpus *corpus = NULL;
    if (mix_corpus_synthesise(&options, entropy, &corpus, &err) != MIX_OK)
        fail_msg("%s", err.text);
    return corpus;
}

static struct synthetic_chain *make_chain(uint64_t seed, double shared, size_t source)
{
    struct synthetic_chain *chain = calloc(1, sizeof *chain);
    gsl_rng *rng = mix_rng_create((struct mix_key){0});
    if (chain == NULL || rng == NULL)
        abort();
    synthetic_chain_make(seed, shared, source, rng, chain);
    gsl_rng_free(rng);
    return chain;
}

static double chance(const struct synthetic_chain *chain, size_t state, size_t c)
{
    const uint64_t *row = chain->rows[state];
    return ldexp((double)(row[c] - (c > 0 ? row[c - 1] : 0)), -32);
}

/* pi P = pi, sum pi = 1, solved as a dense system: pi (A, A). */
static void stationary(const struct synthetic_chain *chain, gsl_vector *pi)
{
    gsl_matrix *m = gsl_matrix_calloc(STATES, STATES);
    gsl_vector *right = gsl_vector_calloc(STATES);
    gsl_permutation *order = gsl_permutation_alloc(STATES);
    int sign = 0;
    for (size_t state = 0; state < STATES; state++) {
        *gsl_matrix_ptr(m, state, state) -= 1.0;
        for (size_t c = 0; c < A; c++)
            *gsl_matrix_ptr(m, state % A * A + c, state) += chance(chain, state, c);
    }
    for (size_t state = 0; state < STATES; state++)
        gsl_matrix_set(m, STATES - 1, state, 1.0); /* one equation is the sum of the others */
    gsl_vector_set(right, STATES - 1, 1.0);
    assert_int_equal(gsl_linalg_LU_decomp(m, order, &sign), 0);
    assert_int_equal(gsl_linalg_LU_solve(m, order, right, pi), 0);
    gsl_matrix_free(m);
    gsl_vector_free(right);
    gsl_permutation_free(order);
}

static void test_rows_are_distributions(void **state)
{
    (void)state;
    struct synthetic_chain *chain = make_chain(1, 0.5, 2);
    for (size_t s = 0; s < STATES; s++) {
        assert_true(chain->rows[s][A - 1] == (uint64_t)1 << 32);
        for (size_t c = 0; c < A; c++)
            assert_true(chance(chain, s, c) > 0.0);
    }
    free(chain);
    assert_int_equal(strlen(synthetic_alphabet), A);
    for (size_t c = 0; c < A; c++)
        assert_ptr_equal(strchr(synthetic_alphabet, synthetic_alphabet[c]), synthetic_alphabet + c);
}

static void test_entropy_is_that_of_the_stationary_distribution(void **state)
{
    (void)state;
    gsl_vector *pi = gsl_vector_alloc(STATES);
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct synthetic_chain *chain = make_chain(seed, 0.2 * (double)seed, 0);
        stationary(chain, pi);
        double expected = 0.0, entropy = 0.0;
        for (size_t s = 0; s < STATES; s++)
            for (size_t c = 0; c < A; c++)
                expected -= gsl_vector_get(pi, s) * chance(chain, s, c) * log(chance(chain, s, c));
        assert_true(synthetic_entropy(chain, &entropy));
        assert_true(fabs(entropy - expected) < 1e-12);
        assert_true(entropy > 0.8 && entropy < 1.5);
        free(chain);
    }
    gsl_vector_free(pi);
}

/* Of a long text: mean -log p of what follows, which is the entropy rate with the standard error of
 * a mean; and counts of what follows every pair, as chi square. */
static void test_text_has_the_entropy(void **state)
{
    (void)state;
    enum { N = 4000000 };
    double entropy[2];
    struct mix_corpus *corpus = make(
        (struct mix_corpus_synthetic){
            .seed = 5, .n_sources = 2, .n_bytes = N, .n_validation_bytes = 1000, .shared = 0.4},
        entropy);
    size_t symbol[256] = {0};
    for (size_t c = 0; c < A; c++)
        symbol[(unsigned char)synthetic_alphabet[c]] = c;
    double *count = malloc(sizeof(double) * STATES * A); /* (A, A, A) */
    assert_non_null(count);
    for (size_t k = 0; k < 2; k++) {
        struct synthetic_chain *chain = make_chain(5, 0.4, k);
        size_t n = 0;
        const uint8_t *bytes = mix_corpus_bytes(corpus, k, MIX_PART_TRAIN, &n);
        assert_int_equal(n, N);
        memset(count, 0, sizeof(double) * STATES * A);
        double sum = 0.0, squares = 0.0;
        for (size_t i = 2; i < n; i++) {
            const size_t s = symbol[bytes[i - 2]] * A + symbol[bytes[i - 1]];
            const double loss = -log(chance(chain, s, symbol[bytes[i]]));
            count[s * A + symbol[bytes[i]]]++;
            sum += loss;
            squares += loss * loss;
        }
        const double mean = sum / N, se = sqrt((squares / N - mean * mean) / N);
        assert_true(se < 1.5e-3);
        assert_true(fabs(mean - entropy[k]) < 6 * se); /* neighbours are not quite independent */
        double chi2 = 0.0, freedom = 0.0;
        for (size_t s = 0; s < STATES; s++) {
            double row = 0.0;
            for (size_t c = 0; c < A; c++)
                row += count[s * A + c];
            for (size_t c = 0; c < A; c++) {
                const double p = chance(chain, s, c), expected = row * p;
                if (expected < 5.0)
                    continue;
                freedom += 1.0 - p;
                chi2 += (count[s * A + c] - expected) * (count[s * A + c] - expected) / expected;
            }
        }
        assert_true(freedom > 1500);
        assert_true(fabs(chi2 - freedom) < 5 * sqrt(2.2 * freedom)); /* 2 + 1 / expected a cell */
        free(chain);
    }
    free(count);
    mix_corpus_destroy(corpus);
}

static void assert_prefix(const struct mix_corpus *a, const struct mix_corpus *b, size_t source,
                          enum mix_corpus_part part, size_t n)
{
    size_t n_a = 0, n_b = 0;
    const uint8_t *bytes_a = mix_corpus_bytes(a, source, part, &n_a);
    const uint8_t *bytes_b = mix_corpus_bytes(b, source, part, &n_b);
    assert_true(n <= n_a && n <= n_b);
    assert_memory_equal(bytes_a, bytes_b, n);
}

static void test_streams_depend_on_what_they_are_alone(void **state)
{
    (void)state;
    struct mix_corpus_synthetic options = {
        .seed = 9, .n_sources = 3, .n_bytes = 5000, .n_validation_bytes = 3000, .shared = 0.5};
    double entropy[3], more_entropy[5], other_entropy[3];
    struct mix_corpus *corpus = make(options, entropy);
    options.n_sources = 5;
    options.n_bytes = 2000;
    options.n_validation_bytes = 4000;
    struct mix_corpus *more = make(options, more_entropy);
    options.n_sources = 3;
    options.n_bytes = 5000;
    options.seed = 10;
    struct mix_corpus *other = make(options, other_entropy);
    for (size_t k = 0; k < 3; k++) {
        assert_prefix(corpus, more, k, MIX_PART_TRAIN, 2000);
        assert_prefix(corpus, more, k, MIX_PART_VALIDATION, 3000);
        assert_true(entropy[k] == more_entropy[k] && entropy[k] != other_entropy[k]);
        size_t n = 0;
        const uint8_t *train = mix_corpus_bytes(corpus, k, MIX_PART_TRAIN, &n);
        const uint8_t *validation = mix_corpus_bytes(corpus, k, MIX_PART_VALIDATION, &n);
        const uint8_t *next = mix_corpus_bytes(corpus, (k + 1) % 3, MIX_PART_TRAIN, &n);
        const uint8_t *seed = mix_corpus_bytes(other, k, MIX_PART_TRAIN, &n);
        assert_memory_not_equal(train, validation, 100);
        assert_memory_not_equal(train, next, 100);
        assert_memory_not_equal(train, seed, 100);
        mix_corpus_bytes(corpus, k, MIX_PART_TEST, &n);
        assert_int_equal(n, 0);
    }
    assert_string_equal(mix_corpus_name(more, 4), "skill5");
    mix_corpus_destroy(corpus);
    mix_corpus_destroy(more);
    mix_corpus_destroy(other);
}

/* shared = 1: one source K times, told apart by its streams; in between the states that are shared
 * are those of every source, and more of them keep those that were. */
static void test_shared_rows_are_nested(void **state)
{
    (void)state;
    struct synthetic_chain *all = make_chain(3, 1.0, 0), *all_too = make_chain(3, 1.0, 1);
    assert_memory_equal(all, all_too, sizeof *all);
    size_t n_before = 0;
    for (int tenth = 0; tenth < 10; tenth += 3) {
        struct synthetic_chain *one = make_chain(3, tenth / 10.0, 0);
        struct synthetic_chain *two = make_chain(3, tenth / 10.0, 1);
        struct synthetic_chain *more = make_chain(3, tenth / 10.0 + 0.1, 0);
        size_t n = 0;
        for (size_t s = 0; s < STATES; s++) {
            const bool same = memcmp(one->rows[s], two->rows[s], sizeof one->rows[s]) == 0;
            n += same;
            assert_int_equal(same, memcmp(one->rows[s], all->rows[s], sizeof one->rows[s]) == 0);
            if (same)
                assert_memory_equal(one->rows[s], more->rows[s], sizeof one->rows[s]);
        }
        assert_in_range(n, STATES * tenth / 10 - (tenth > 0) * 32,
                        STATES * tenth / 10 + (tenth > 0) * 32); /* four standard deviations */
        assert_true(n >= n_before);
        n_before = n;
        free(one);
        free(two);
        free(more);
    }
    free(all);
    free(all_too);
}

/* Sources by number are those of the endless row; the part select is another stream. */
static void test_sources_by_number(void **state)
{
    (void)state;
    static const size_t numbers[] = {2, 0};
    struct mix_corpus_synthetic options = {
        .seed = 1, .n_sources = 3, .n_bytes = 3000, .n_validation_bytes = 2000, .shared = 0.5};
    struct mix_corpus *all = make(options, NULL);
    options.n_sources = 2;
    options.numbers = numbers;
    options.n_test_bytes = options.n_select_bytes = 2000;
    struct mix_corpus *some = make(options, NULL);
    size_t n = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct mix_key a = mix_corpus_hash(all, numbers[i]), b = mix_corpus_hash(some, i);
        assert_memory_equal(&a, &b, sizeof a);
        assert_memory_equal(mix_corpus_bytes(all, numbers[i], MIX_PART_VALIDATION, &n),
                            mix_corpus_bytes(some, i, MIX_PART_VALIDATION, &n), 2000);
        const uint8_t *select = mix_corpus_bytes(some, i, MIX_PART_SELECT, &n);
        assert_int_equal(n, 2000);
        for (int p = 0; p < MIX_PART_SELECT; p++)
            for (size_t j = 0; j < 2; j++)
                assert_memory_not_equal(select,
                                        mix_corpus_bytes(some, j, (enum mix_corpus_part)p, &n), 64);
    }
    assert_string_equal(mix_corpus_name(some, 0), "skill3");
    mix_corpus_destroy(all);
    mix_corpus_destroy(some);
}

static void test_documents_are_kilobytes(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make(
        (struct mix_corpus_synthetic){.n_sources = 1, .n_bytes = 2500, .n_validation_bytes = 0},
        NULL);
    size_t n = 0;
    const size_t *starts = mix_corpus_documents(corpus, 0, MIX_PART_TRAIN, &n);
    assert_int_equal(n, 3);
    assert_int_equal(starts[1], 1024);
    assert_int_equal(starts[3], 2500);
    mix_corpus_documents(corpus, 0, MIX_PART_VALIDATION, &n);
    assert_int_equal(n, 0);
    mix_corpus_destroy(corpus);
}

/* The first bytes, noted once: they may never change. */
static void test_bytes_are_the_same_everywhere(void **state)
{
    (void)state;
    struct mix_corpus *corpus = make(
        (struct mix_corpus_synthetic){
            .seed = 1, .n_sources = 2, .n_bytes = 100000, .n_validation_bytes = 10, .shared = 0.5},
        NULL);
    size_t n = 0;
    assert_memory_equal(mix_corpus_bytes(corpus, 1, MIX_PART_TRAIN, &n),
                        "ththteeiciot usnrhlh.nhththcsedo", 32);
    assert_true(mix_corpus_hash(corpus, 0).hi == 0x5ecb0810c684f388);
    assert_true(mix_corpus_hash(corpus, 1).hi == 0x6edd6856fd008cfd);
    mix_corpus_destroy(corpus);
}

static void test_options_out_of_range(void **state)
{
    (void)state;
    const struct mix_corpus_synthetic wrong[] = {
        {.n_sources = 0, .n_bytes = 10},
        {.n_sources = 1, .n_bytes = 0},
        {.n_sources = 1, .n_bytes = 10, .shared = -0.1},
        {.n_sources = 1, .n_bytes = 10, .shared = 1.1},
        {.n_sources = 1, .n_bytes = 10, .shared = (double)NAN},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct mix_error err = {""};
        struct mix_corpus *corpus = NULL;
        assert_int_equal(mix_corpus_synthesise(&wrong[i], NULL, &corpus, &err), MIX_EINVAL);
        assert_null(corpus);
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_distributions),
        cmocka_unit_test(test_entropy_is_that_of_the_stationary_distribution),
        cmocka_unit_test(test_text_has_the_entropy),
        cmocka_unit_test(test_streams_depend_on_what_they_are_alone),
        cmocka_unit_test(test_shared_rows_are_nested),
        cmocka_unit_test(test_sources_by_number),
        cmocka_unit_test(test_documents_are_kilobytes),
        cmocka_unit_test(test_bytes_are_the_same_everywhere),
        cmocka_unit_test(test_options_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

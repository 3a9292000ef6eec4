/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Generator and hash: published answers, fields that count, streams that differ. */
#include "mixsweep/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Known answers of philox4x32-10: file kat_vectors of Random123 1.14.0. */
static void test_philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t ctr[4], key[2], image[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t ctr[4];
        memcpy(ctr, known[i].ctr, sizeof ctr);
        mix_philox(ctr, known[i].key);
        assert_memory_equal(ctr, known[i].image, sizeof ctr);
    }
}

/* The stream of key (hi, lo) is the blocks (0, lo), (1, lo), ... under hi. */
static void test_rng_walks_the_counter(void **state)
{
    (void)state;
    const struct mix_key key = {.hi = 0x299f31d0a4093822, .lo = 0x0370734413198a2e};
    gsl_rng *rng = mix_rng_create(key);
    assert_non_null(rng);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t ctr[4] = {block, 0, 0x13198a2e, 0x03707344};
        mix_philox(ctr, (const uint32_t[]){0xa4093822, 0x299f31d0});
        for (int i = 0; i < 4; i++)
            assert_int_equal(gsl_rng_get(rng), ctr[i]);
    }
    mix_rng_rekey(rng, key);
    uint32_t first[4] = {0, 0, 0x13198a2e, 0x03707344};
    mix_philox(first, (const uint32_t[]){0xa4093822, 0x299f31d0});
    assert_int_equal(gsl_rng_get(rng), first[0]);
    gsl_rng_free(rng);
}

static void test_rng_is_a_gsl_generator(void **state)
{
    (void)state;
    gsl_rng *rng = mix_rng_create((struct mix_key){1, 2});
    gsl_rng *copy = mix_rng_create((struct mix_key){3, 4});
    assert_string_equal(gsl_rng_name(rng), "philox4x32-10");
    assert_int_equal(gsl_rng_min(rng), 0);
    assert_int_equal(gsl_rng_max(rng), 0xFFFFFFFFul);
    gsl_rng_get(rng); /* in the middle of a block */
    gsl_rng_memcpy(copy, rng);
    double sum = 0.0, squares = 0.0;
    bool fine = false; /* some bit below the 32nd */
    enum { N = 100000 };
    for (int i = 0; i < N; i++) {
        const double u = gsl_rng_uniform(rng);
        assert_true(u >= 0.0 && u < 1.0);
        assert_true(u == gsl_rng_uniform(copy));
        fine = fine || u * 4294967296.0 != floor(u * 4294967296.0);
        sum += u;
        squares += u * u;
    }
    assert_true(fine);
    assert_true(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N)); /* five standard errors */
    assert_true(fabs(squares / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N));
    gsl_rng_free(copy);
    gsl_rng_free(rng);
}

static bool same_key(struct mix_key a, struct mix_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* Fields cannot run into each other, and every one counts. */
static void test_key_separates_its_fields(void **state)
{
    (void)state;
    const struct mix_key keys[] = {
        mix_key_make(1, "bootstrap", "abc", 3),  mix_key_make(2, "bootstrap", "abc", 3),
        mix_key_make(1, "bootstra", "pabc", 4),  mix_key_make(1, "bootstrap", "abc\0", 4),
        mix_key_make(1, "bootstrap", "ab", 2),   mix_key_make(1, "bootstrap", NULL, 0),
        mix_key_make(1, "", "bootstrapabc", 12), mix_key_make(0, "", NULL, 0),
        mix_key_make(1, "bootstrap", "abd", 3),
    };
    const size_t n = sizeof keys / sizeof keys[0];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(same_key(keys[i], keys[j]));
    assert_true(same_key(keys[0], mix_key_make(1, "bootstrap", "abc", 3)));
}

/* Stored files and results rest on the hash: it must never change. Values of this implementation,
 * checked against a second one in Python written from the header. */
static void test_key_never_changes(void **state)
{
    (void)state;
    const struct mix_key key = mix_key_make(42, "run", "mixsweep", 8);
    assert_true(key.hi == 0xe1d7e530417298d4 && key.lo == 0x073c2f566e655873);
}

/* The keys of 10^5 tasks are all different. */
static void test_key_of_many_tasks_differ(void **state)
{
    (void)state;
    enum { N = 100000 };
    uint64_t *seen = calloc(1 << 18, sizeof *seen);
    assert_non_null(seen);
    size_t n_equal = 0;
    for (uint64_t i = 0; i < N; i++) {
        const struct mix_key key = mix_key_make(1, "bootstrap", &i, sizeof i);
        size_t slot = key.hi % (1 << 18);
        while (seen[slot] != 0 && seen[slot] != key.lo)
            slot = (slot + 1) % (1 << 18);
        n_equal += seen[slot] == key.lo;
        seen[slot] = key.lo;
    }
    free(seen);
    assert_int_equal(n_equal, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_rng_walks_the_counter),
        cmocka_unit_test(test_rng_is_a_gsl_generator),
        cmocka_unit_test(test_key_separates_its_fields),
        cmocka_unit_test(test_key_never_changes),
        cmocka_unit_test(test_key_of_many_tasks_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

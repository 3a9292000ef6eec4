/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What suits a resample best is found by the squares of its mixtures. */
#include "expect.h"

#include "fit/pool.h"

enum { N = 5, UNITS = 2 };

/* Points with known squares. */
static struct pool pool_of(const double square[N][UNITS])
{
    struct pool pool = {.n_theta = 1, .n_units = UNITS};
    struct mix_error err = {{0}};
    assert_ok(pool_reserve(&pool, 2, &err), err);
    assert_ok(pool_reserve(&pool, N, &err), err);
    memcpy(pool.square, square, sizeof(double[N][UNITS]));
    pool.n = N;
    return pool;
}

static void test_best_come_first(void **state)
{
    (void)state;
    const double square[N][UNITS] = {{5, 1}, {1, 5}, {2, 2}, {9, 9}, {2, 2}};
    const double even[UNITS] = {1, 1}, only_first[UNITS] = {2, 0}, only_second[UNITS] = {0, 1};
    struct pool pool = pool_of(square);
    size_t chosen[2 * N];
    assert_int_equal(pool_choose(&pool, even, 3, chosen), 3);
    assert_int_equal(chosen[0], 2); /* of equals the first */
    assert_int_equal(chosen[1], 4);
    assert_int_equal(chosen[2], 0);
    assert_int_equal(pool_choose(&pool, only_first, 2, chosen), 2);
    assert_int_equal(chosen[0], 1);
    assert_int_equal(chosen[1], 2);
    assert_int_equal(pool_choose(&pool, only_second, 1, chosen), 1);
    assert_int_equal(chosen[0], 0);
    pool_destroy(&pool);
}

static void test_all_come_where_more_are_asked_for(void **state)
{
    (void)state;
    const double square[N][UNITS] = {{3, 0}, {1, 0}, {5, 0}, {2, 0}, {4, 0}};
    const size_t expected[N] = {1, 3, 0, 4, 2};
    const double even[UNITS] = {1, 1};
    struct pool pool = pool_of(square);
    size_t chosen[2 * N];
    assert_int_equal(pool_choose(&pool, even, 2 * N, chosen), N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(chosen[i], expected[i]);
    assert_int_equal(pool_choose(&pool, even, 0, chosen), 0);
    pool.n = 0;
    assert_int_equal(pool_choose(&pool, even, 3, chosen), 0);
    pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_come_first),
        cmocka_unit_test(test_all_come_where_more_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

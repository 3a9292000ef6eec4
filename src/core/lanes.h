/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lanes.h - vectors of doubles for files *.isa.c, with exp and log.
 *
 * The width follows from the flags that a file is compiled with, the order of sums must not: lanes
 * are things that are summed apart (targets, points). Then instruction sets differ by the rounding
 * of fused products alone. */
#ifndef MIXSWEEP_CORE_LANES_H
#define MIXSWEEP_CORE_LANES_H

#ifdef __AVX2__
#include <immintrin.h>
#endif
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__)
enum { LANES = 8 };
#elif defined(__AVX2__)
enum { LANES = 4 };
#else
enum { LANES = 2 };
#endif

typedef double lanes __attribute__((vector_size(8 * LANES)));
typedef int64_t lane_bits __attribute__((vector_size(8 * LANES)));
typedef double lanes_memory __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

static inline lanes lane_load(const double *from)
{
    return *(const lanes_memory *)(const void *)from;
}

/* The first n lanes, all where n >= LANES; 0 in the others. */
static inline lanes lane_load_some(const double *from, size_t n)
{
    if (n >= LANES)
        return lane_load(from);
#if defined(__AVX512F__)
    return (lanes)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1u), from);
#elif defined(__AVX2__)
    const __m256i count = _mm256_set1_epi64x((long long)n);
    return (lanes)_mm256_maskload_pd(from,
                                     _mm256_cmpgt_epi64(count, _mm256_set_epi64x(3, 2, 1, 0)));
#else
    lanes x = {0};
    for (size_t i = 0; i < n; i++)
        x[i] = from[i];
    return x;
#endif
}

static inline void lane_store(double *to, lanes x)
{
    *(lanes_memory *)(void *)to = x;
}

/* The first n lanes, all where n >= LANES. */
static inline void lane_store_some(double *to, lanes x, size_t n)
{
    if (n >= LANES) {
        lane_store(to, x);
        return;
    }
#if defined(__AVX512F__)
    _mm512_mask_storeu_pd(to, (__mmask8)((1u << n) - 1u), (__m512d)x);
#elif defined(__AVX2__)
    const __m256i count = _mm256_set1_epi64x((long long)n);
    _mm256_maskstore_pd(to, _mm256_cmpgt_epi64(count, _mm256_set_epi64x(3, 2, 1, 0)), (__m256d)x);
#else
    for (size_t i = 0; i < n; i++)
        to[i] = x[i];
#endif
}

static inline lanes lane_all(double x)
{
    return x - (lanes){0};
}

/* yes where the bits are set, else no */
static inline lanes lane_choose(lane_bits which, lanes yes, lanes no)
{
    return (lanes)((which & (lane_bits)yes) | (~which & (lane_bits)no));
}

/* The larger of each pair; b where they do not compare. */
static inline lanes lane_max(lanes a, lanes b)
{
    return lane_choose(a > b, a, b);
}

static inline bool lane_any(lane_bits which)
{
#if defined(__AVX512F__)
    return _mm512_movepi64_mask((__m512i)which) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_pd((__m256d)which) != 0;
#else
    return (which[0] | which[1]) != 0;
#endif
}

static const double LANE_LN2_HIGH = 0x1.62e42feep-1, LANE_LN2_LOW = 0x1.a39ef35793c76p-33;

/* e^x to 2 units in the last place; 0 below -708, infinite above 709. 2^n e^r with r = x - n ln 2:
 * adding 1.5 2^52 rounds x / ln 2 to an integer n, which then stands in the low bits. The high part
 * of ln 2 has 32 bits, so that its product with n is exact. Taylor's series is cut where |r| <=
 * ln(2) / 2 needs no more. */
static inline lanes lane_exp(lanes x)
{
    const double to_integer = 0x1.8p52;
    const lanes shifted = x * 0x1.71547652b82fep0 + to_integer, n = shifted - to_integer;
    const lanes r = (x - n * LANE_LN2_HIGH) - n * LANE_LN2_LOW;
    lanes series = r * (1.0 / 6227020800.0) + (1.0 / 479001600.0);
    series = series * r + (1.0 / 39916800.0);
    series = series * r + (1.0 / 3628800.0);
    series = series * r + (1.0 / 362880.0);
    series = series * r + (1.0 / 40320.0);
    series = series * r + (1.0 / 5040.0);
    series = series * r + (1.0 / 720.0);
    series = series * r + (1.0 / 120.0);
    series = series * r + (1.0 / 24.0);
    series = series * r + (1.0 / 6.0);
    series = series * r + 0.5;
    series = (series * r * r + r) + 1.0;
    const lanes value = (lanes)((lane_bits)series + ((lane_bits)shifted << 52));
    return lane_choose(x > 709.0, lane_all(INFINITY),
                       lane_choose(x < -708.0, lane_all(0.0), value));
}

/* ln x to 2 units in the last place, of normal numbers; -inf for what is below them. x = 2^k (1 +
 * f), 1 + f between sqrt(1/2) and sqrt(2), and ln(1 + f) = 2 artanh(s) = f - s (f - R), s = f / (2
 * + f), R = 2 (s^2 / 3 + s^4 / 5 + ...). */
static inline lanes lane_log(lanes x)
{
    const int64_t root_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
    const lane_bits from_root = (lane_bits)x - root_half + one; /* so that k counts from there */
    const lane_bits high = (from_root >> 52) & 0x7ff;
    const lanes k = (lanes)(high | 0x4330000000000000) - (0x1p52 + 1023.0);
    const lanes f = (lanes)((lane_bits)x - ((high - 1023) << 52)) - 1.0;
    const lanes s = f / (f + 2.0), z = s * s;
    lanes series = z * (2.0 / 23.0) + (2.0 / 21.0);
    series = series * z + (2.0 / 19.0);
    series = series * z + (2.0 / 17.0);
    series = series * z + (2.0 / 15.0);
    series = series * z + (2.0 / 13.0);
    series = series * z + (2.0 / 11.0);
    series = series * z + (2.0 / 9.0);
    series = series * z + (2.0 / 7.0);
    series = series * z + (2.0 / 5.0);
    series = series * z + (2.0 / 3.0);
    const lanes half = f * f * 0.5;
    const lanes low = s * (half + z * series) + k * LANE_LN2_LOW;
    const lanes value = k * LANE_LN2_HIGH - ((half - low) - f);
    return lane_choose(x < INFINITY, lane_choose(x >= 0x1p-1022, value, lane_all(-INFINITY)), x);
}

#endif

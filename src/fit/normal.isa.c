/* SPDX-License-Identifier: GPL-3.0-or-later */
/* normal.isa.c - see normal.h. */
#include "core/lanes.h"

#include "core/isa_name.h"
#include "law/law_impl.h"
#include "normal.h"

#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

enum { TILE = 4 };

/* Products of four columns with four, of one vector of targets. */
static void tile(size_t n_rows, size_t step, const double *const a[TILE],
                 const double *const b[TILE], lanes sum[TILE * TILE])
{
    lanes s[TILE * TILE];
    UNROLLED
    for (int i = 0; i < TILE * TILE; i++)
        s[i] = (lanes){0};
    for (size_t r = 0; r < n_rows; r++) {
        lanes x[TILE], y[TILE];
        UNROLLED
        for (int i = 0; i < TILE; i++) {
            x[i] = lane_load(a[i] + r * step);
            y[i] = lane_load(b[i] + r * step);
        }
        UNROLLED
        for (int i = 0; i < TILE * TILE; i++)
            s[i] += x[i / TILE] * y[i % TILE];
    }
    UNROLLED
    for (int i = 0; i < TILE * TILE; i++)
        sum[i] = s[i];
}

static void products(const struct normal_rows *rows, size_t n_a, const double *const *a, size_t n_b,
                     const double *const *b, bool lower, double *out)
{
    for (size_t m = 0; m < rows->n_targets; m += LANES)
        for (size_t i = 0; i < n_a; i += TILE)
            for (size_t j = 0; j < n_b && (!lower || j < i + TILE); j += TILE) {
                const double *x[TILE], *y[TILE];
                lanes sum[TILE * TILE];
                for (size_t t = 0; t < TILE; t++) { /* the last again where there are no four */
                    x[t] = a[i + t < n_a ? i + t : n_a - 1] + m;
                    y[t] = b[j + t < n_b ? j + t : n_b - 1] + m;
                }
                tile(rows->n_rows, rows->n_targets, x, y, sum);
                for (size_t t = 0; t < TILE * TILE; t++)
                    if (i + t / TILE < n_a && j + t % TILE < n_b)
                        lane_store(out + ((i + t / TILE) * n_b + j + t % TILE) * rows->ld + m,
                                   sum[t]);
            }
}

static void along(const struct normal_rows *rows, size_t n_a, const double *const *a,
                  const double *u, double *out)
{
    for (size_t m = 0; m < rows->n_targets; m += LANES)
        for (size_t i = 0; i < n_a; i += TILE) {
            const double *x[TILE];
            lanes sum[TILE] = {{0}};
            for (size_t t = 0; t < TILE; t++)
                x[t] = a[i + t < n_a ? i + t : n_a - 1] + m;
            for (size_t r = 0; r < rows->n_rows; r++) {
                const lanes of_row = lane_load(u + r * rows->n_targets + m);
                UNROLLED
                for (int t = 0; t < TILE; t++)
                    sum[t] += lane_load(x[t] + r * rows->n_targets) * of_row;
            }
            for (size_t t = 0; t < TILE && i + t < n_a; t++)
                lane_store(out + (i + t) * rows->ld + m, sum[t]);
        }
}

/* Sums over rows of q next and of q q, each in four parts, so that they need not wait for each
 * other. */
struct sums {
    lanes next[TILE], square[TILE];
};

static lanes sum_parts(const lanes part[TILE])
{
    return (part[0] + part[1]) + (part[2] + part[3]);
}

/* Rows r to r + n_rows, at most four: q = from by where t is NULL, else q -= t by; and the sums.
 * All loads come before the stores: one that overlaps a partial store before it would wait for
 * that. */
static inline void pass_rows(size_t n_rows, size_t step, size_t n, const double *from,
                             const double *by, const lanes *t, const double *next, double *q,
                             struct sums *sums)
{
    lanes value[TILE] = {{0}};
    UNROLLED
    for (size_t i = 0; i < TILE; i++)
        if (i < n_rows) {
            const lanes x = lane_load(from + i * step), y = lane_load(by + i * step);
            value[i] = t != NULL ? x - *t * y : x * y;
            sums->next[i] += value[i] * lane_load(next + i * step);
            sums->square[i] += value[i] * value[i];
        }
    UNROLLED
    for (size_t i = 0; i < TILE; i++)
        if (i < n_rows)
            lane_store_some(q + i * step, value[i], n);
}

static struct sums pass(size_t n_rows, size_t step, size_t n, const double *from, const double *by,
                        const lanes *t, const double *next, double *q)
{
    struct sums sums = {{{0}}, {{0}}};
    size_t r = 0;
    for (; r + TILE <= n_rows; r += TILE)
        pass_rows(TILE, step, n, from + r * step, by + r * step, t, next + r * step, q + r * step,
                  &sums);
    for (; r < n_rows; r++)
        pass_rows(1, step, n, from + r * step, by + r * step, t, next + r * step, q + r * step,
                  &sums);
    return sums;
}

static lanes roots(lanes x)
{
    UNROLLED
    for (int i = 0; i < LANES; i++)
        x[i] = sqrt(x[i] > 0.0 ? x[i] : 0.0);
    return x;
}

static void scale_column(size_t n_rows, size_t step, size_t n, lanes by, double *q)
{
    for (size_t r = 0; r < n_rows; r += TILE) {
        lanes value[TILE] = {{0}};
        for (size_t i = 0; i < TILE && r + i < n_rows; i++)
            value[i] = lane_load(q + (r + i) * step) * by;
        for (size_t i = 0; i < TILE && r + i < n_rows; i++)
            lane_store_some(q + (r + i) * step, value[i], n);
    }
}

static void orthogonalise_some(const struct normal_rows *rows, size_t n_l, size_t stride, size_t m,
                               const double *phi, const double *sw, const double *residual,
                               double *basis, double *triangle, double *rhs)
{
    const size_t step = rows->n_targets, n = rows->n_targets - m, n_rows = rows->n_rows;
    for (size_t l = 0; l < n_l; l++) {
        double *q = basis + l * stride + m;
        struct sums sums = pass(n_rows, step, n, phi + l * stride + m, sw + m, NULL,
                                (l > 0 ? basis : residual) + m, q);
        const lanes before = sum_parts(sums.square);
        for (size_t i = 0; i < l; i++) {
            const lanes t = sum_parts(sums.next);
            lane_store(triangle + (i * n_l + l) * rows->ld + m, t);
            sums = pass(n_rows, step, n, q, basis + i * stride + m, &t,
                        (i + 1 < l ? basis + (i + 1) * stride : residual) + m, q);
        }
        const lanes square = sum_parts(sums.square), none = {0};
        const lane_bits independent = (square > before * 1e-20) & (before > 0.0);
        const lanes norm = lane_choose(independent, roots(square), none);
        const lanes inverse = lane_choose(independent, 1.0 / norm, none);
        lane_store(triangle + (l * n_l + l) * rows->ld + m, norm);
        lane_store(rhs + l * rows->ld + m, sum_parts(sums.next) * inverse);
        scale_column(n_rows, step, n, inverse, q);
    }
}

static void orthogonalise(const struct normal_rows *rows, size_t n_l, size_t stride,
                          const double *phi, const double *sw, const double *residual,
                          double *basis, double *triangle, double *rhs)
{
    for (size_t m = 0; m < rows->n_targets; m += LANES)
        orthogonalise_some(rows, n_l, stride, m, phi, sw, residual, basis, triangle, rhs);
}

static void residuals(size_t n, const double *y, const double *g, const double *sw,
                      double *residual)
{
    for (size_t e = 0; e < n; e += LANES)
        lane_store_some(residual + e, (lane_load(y + e) - lane_load(g + e)) * lane_load(sw + e),
                        n - e);
}

static void subtract(const struct normal_rows *rows, size_t n_l, size_t stride,
                     const double *lambda, const double *phi, const double *sw, double *residual,
                     double *squares)
{
    const size_t step = rows->n_targets;
    for (size_t m = 0; m < step; m += LANES) {
        lanes sum[TILE] = {{0}}, value[TILE] = {{0}};
        for (size_t r = 0; r < rows->n_rows; r += TILE) {
            const size_t n = rows->n_rows - r < TILE ? rows->n_rows - r : TILE;
            for (size_t i = 0; i < n; i++) {
                const size_t e = (r + i) * step + m;
                value[i] = lane_load(lambda + m) * lane_load(phi + e);
                for (size_t l = 1; l < n_l; l++)
                    value[i] +=
                        lane_load(lambda + l * rows->ld + m) * lane_load(phi + l * stride + e);
                value[i] = lane_load(residual + e) - value[i] * lane_load(sw + e);
                sum[i] += value[i] * value[i];
            }
            for (size_t i = 0; i < n; i++)
                lane_store_some(residual + (r + i) * step + m, value[i], step - m);
        }
        lane_store(squares + m, sum_parts(sum));
    }
}

static void weigh(size_t n, size_t n_e, const double *sw, double *columns)
{
    for (size_t k = 0; k < n; k++) {
        double *column = columns + k * n_e;
        for (size_t e = 0; e < n_e; e += LANES)
            lane_store_some(column + e, lane_load(column + e) * lane_load(sw + e), n_e - e);
    }
}

/* Four rows of the product by two vectors of its columns, summed over the n rows c of a and b. */
static void multiply_tile(size_t n, const size_t *c, double factor, const double *const a[TILE],
                          size_t lda, const double *b, size_t ldb, size_t n_i, size_t n_j, size_t j,
                          double *const out[TILE])
{
    lanes left[TILE] = {{0}}, right[TILE] = {{0}};
    for (size_t k = 0; k < n; k++) {
        const lanes x = lane_load(b + c[k] * ldb), y = lane_load(b + c[k] * ldb + LANES);
        UNROLLED
        for (int t = 0; t < TILE; t++) {
            left[t] += x * a[t][c[k] * lda];
            right[t] += y * a[t][c[k] * lda];
        }
    }
    for (size_t t = 0; t < n_i; t++) {
        double *to = out[t] + j;
        lane_store_some(to, lane_load(to) + left[t] * factor, n_j);
        if (n_j > LANES)
            lane_store_some(to + LANES, lane_load(to + LANES) + right[t] * factor, n_j - LANES);
    }
}

/* The rows, of n, in which one of the four columns is not 0; returns how many. */
static size_t find_rows(size_t n, const double *const a[TILE], size_t lda, size_t *rows)
{
    size_t n_found = 0;
    for (size_t c = 0; c < n; c++) {
        rows[n_found] = c;
        n_found += a[0][c * lda] != 0.0 || a[1][c * lda] != 0.0 || a[2][c * lda] != 0.0 ||
                   a[3][c * lda] != 0.0;
    }
    return n_found;
}

static void multiply(size_t n, double factor, size_t n_i, const size_t *order, const double *a,
                     size_t lda, size_t n_j, const double *b, size_t ldb, bool upper, size_t *rows,
                     double *out, size_t ldo)
{
    for (size_t i = 0; i < n_i; i += TILE) {
        const size_t n_t = n_i - i < TILE ? n_i - i : TILE;
        const double *columns[TILE];
        double *to[TILE];
        size_t first = upper ? SIZE_MAX : 0;
        for (size_t t = 0; t < TILE; t++) { /* the last again where there are no four */
            const size_t column = order[t < n_t ? i + t : n_i - 1];
            columns[t] = a + column;
            to[t] = out + column * ldo;
            first = column < first ? column : first;
        }
        const size_t n_rows = find_rows(n, columns, lda, rows);
        first -= first % (2 * (size_t)LANES);
        for (size_t j = first; n_rows > 0 && j < n_j; j += 2 * LANES)
            multiply_tile(n_rows, rows, factor, columns, lda, b + j, ldb, n_t, n_j - j, j, to);
    }
}

enum { PIVOTS = 8 };

/* Rows i and, where there are two, i + 1, from column i to `end`, less their products with
 * `n_pivots` rows from `pivot` on. Columns begin on a vector's boundary: what lies before the
 * diagonal is not looked at. */
static inline void subtract_rows(size_t n_pivots, const double *pivot, size_t n_rows, double *a,
                                 size_t lda, size_t i, size_t begin, size_t end)
{
    lanes f[2][PIVOTS];
    UNROLLED
    for (size_t k = 0; k < PIVOTS; k++) {
        f[0][k] = lane_all(k < n_pivots ? pivot[k * lda + i] : 0.0);
        f[1][k] = lane_all(k < n_pivots && n_rows > 1 ? pivot[k * lda + i + 1] : 0.0);
    }
    for (size_t j = begin / LANES_MOST * LANES_MOST; j < end; j += LANES) {
        double *to = a + i * lda + j;
        lanes x = lane_load(to), y = n_rows > 1 ? lane_load(to + lda) : x;
        UNROLLED
        for (size_t k = 0; k < PIVOTS; k++)
            if (k < n_pivots) {
                const lanes p = lane_load(pivot + k * lda + j);
                x -= p * f[0][k];
                y -= p * f[1][k];
            }
        lane_store(to, x);
        if (n_rows > 1)
            lane_store(to + lda, y);
    }
}

/* Rows from `first` on less their products with rows k to `end`, which are complete. */
static void subtract_pivots(size_t k, size_t end, size_t first, size_t n, double *a, size_t lda)
{
    for (; k + PIVOTS <= end; k += PIVOTS) {
        size_t i = first;
        for (; i + 2 <= n; i += 2)
            subtract_rows(PIVOTS, a + k * lda, 2, a, lda, i, i, n);
        for (; i < n; i++)
            subtract_rows(PIVOTS, a + k * lda, 1, a, lda, i, i, n);
    }
    for (; k < end; k++)
        for (size_t i = first; i < n; i++)
            subtract_rows(1, a + k * lda, 1, a, lda, i, i, n);
}

/* Complete row k; false where its pivot is not positive. */
static bool complete_row(double *row, size_t k, size_t own_end, size_t next, size_t n)
{
    if (!(row[k] > 0.0))
        return false;
    const double inverse = 1.0 / sqrt(row[k]);
    for (size_t j = k; j < own_end; j++)
        row[j] *= inverse;
    for (size_t j = next; j < n; j++)
        row[j] *= inverse;
    return true;
}

/* The rows of single targets, each with those of its own; then what they take from the others; then
 * those, several pivots at a time. */
static bool factorise(size_t n, double *a, size_t lda, const size_t *end, size_t shared)
{
    for (size_t k = 0; k < shared; k++) {
        if (!complete_row(a + k * lda, k, end[k], shared, n))
            return false;
        const bool apart =
            (end[k] + LANES_MOST - 1) / LANES_MOST <= shared / LANES_MOST && end[k] < shared;
        for (size_t i = k + 1; i < end[k]; i++) {
            subtract_rows(1, a + k * lda, 1, a, lda, i, i, apart ? end[k] : n);
            if (apart)
                subtract_rows(1, a + k * lda, 1, a, lda, i, shared, n);
        }
    }
    subtract_pivots(0, shared, shared, n, a, lda);
    for (size_t k = shared; k < n; k += PIVOTS) {
        const size_t last = k + PIVOTS < n ? k + PIVOTS : n;
        for (size_t p = k; p < last; p++) {
            if (!complete_row(a + p * lda, p, n, n, n))
                return false;
            for (size_t i = p + 1; i < last; i++)
                subtract_rows(1, a + p * lda, 1, a, lda, i, i, n);
        }
        subtract_pivots(k, last, last, n, a, lda);
    }
    return true;
}

/* In eight parts whatever the width. */
static double dot(size_t n, const double *x, const double *y)
{
    lanes part[LANES_MOST / LANES] = {{0}};
    double sum = 0.0;
    size_t i = 0;
    for (; i + LANES_MOST <= n; i += LANES_MOST)
        UNROLLED
    for (size_t p = 0; p < LANES_MOST / LANES; p++)
        part[p] += lane_load(x + i + p * LANES) * lane_load(y + i + p * LANES);
    for (size_t p = 0; i < n; i += LANES, p++)
        part[p] += lane_load_some(x + i, n - i) * lane_load_some(y + i, n - i);
    for (size_t p = 0; p < LANES_MOST; p++)
        sum += part[p / LANES][p % LANES];
    return sum;
}

static void solve(size_t n, const double *u, size_t lda, double *x)
{
    for (size_t k = 0; k < n; k++) {
        const double *row = u + k * lda;
        x[k] /= row[k];
        for (size_t i = k + 1; i < n; i++)
            x[i] -= row[i] * x[k];
    }
    for (size_t i = n; i-- > 0;) {
        const double *row = u + i * lda;
        x[i] = (x[i] - dot(n - i - 1, row + i + 1, x + i + 1)) / row[i];
    }
}

static double quadratic(size_t n, const double *a, size_t lda, const double *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0.0)
            sum += x[i] *
                   (a[i * lda + i] * x[i] + 2.0 * dot(n - i - 1, a + i * lda + i + 1, x + i + 1));
    return sum;
}

const struct normal_kernels ISA_NAME(normal_kernels) = {.products = products,
                                                        .along = along,
                                                        .orthogonalise = orthogonalise,
                                                        .residuals = residuals,
                                                        .subtract = subtract,
                                                        .weigh = weigh,
                                                        .multiply = multiply,
                                                        .factorise = factorise,
                                                        .solve = solve,
                                                        .quadratic = quadratic};

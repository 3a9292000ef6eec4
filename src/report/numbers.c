/* SPDX-License-Identifier: GPL-3.0-or-later */
/* numbers.c - numbers of a report as people read them, and the small statistics behind figures. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>

const char *report_size(double value, char text[16])
{
    static const struct {
        double unit;
        const char *letter;
    } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}, {1.0, ""}};
    if (!isfinite(value))
        return "–";
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (value >= 0.9995 * units[i].unit || units[i].unit == 1.0) {
            snprintf(text, 16, "%.4g%s", value / units[i].unit, units[i].letter);
            break;
        }
    return text;
}

const char *report_share(double share, char text[32])
{
    if (!isfinite(share))
        return "–";
    snprintf(text, 32, share > 0.0 && share < 0.0095 ? "%.4f" : "%.3f", share);
    return text;
}

/* What rounds to 0 has no sign. */
static double unsigned_zero(double value, int digits)
{
    return fabs(value) < 0.5 * pow(10.0, -digits) ? 0.0 : value;
}

const char *report_number(double value, int digits, char text[32])
{
    if (!isfinite(value))
        return "–";
    snprintf(text, 32, "%.*f", digits, unsigned_zero(value, digits));
    return text;
}

const char *report_percent(double value, char text[32])
{
    if (!isfinite(value))
        return "–";
    snprintf(text, 32, "%.2f%%", 100.0 * value);
    return text;
}

const char *report_range(double lo, double hi, int digits, char text[64])
{
    if (!isfinite(lo) || !isfinite(hi))
        return "–";
    snprintf(text, 64, "%.*f … %.*f", digits, unsigned_zero(lo, digits), digits,
             unsigned_zero(hi, digits));
    return text;
}

const char *report_duration(double seconds, char text[16])
{
    if (!isfinite(seconds))
        return "–";
    if (seconds < 100.0)
        snprintf(text, 16, "%.3g s", seconds);
    else if (seconds < 6000.0)
        snprintf(text, 16, "%.3g min", seconds / 60.0);
    else
        snprintf(text, 16, "%.4g h", seconds / 3600.0);
    return text;
}

double report_quantile(const double *sorted, size_t n, double p)
{
    return n > 0 ? mix_quantile_of_draws(n, sorted, p) : NAN;
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

size_t report_sort(double *values, size_t n)
{
    size_t n_finite = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i]))
            values[n_finite++] = values[i];
    if (n_finite > 1)
        qsort(values, n_finite, sizeof *values, compare_numbers);
    return n_finite;
}

size_t report_size_index(const struct report_data *data, double n_params)
{
    size_t i = 0;
    while (i + 1 < data->n_sizes && data->sizes[i] < n_params)
        i++;
    return i;
}

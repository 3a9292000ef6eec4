/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plot.c - parts of gnuplot scripts. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const steps[PLOT_STEPS] = {"#9cc0e8", "#6fa3da", "#4685c6",
                                              "#2b69ad", "#174e8c", "#08336a"};

const char *plot_step(size_t i, size_t n)
{
    if (n < 2)
        return PLOT_BLUE;
    if (i >= n)
        i = n - 1;
    return steps[n <= PLOT_STEPS ? i * (PLOT_STEPS - 1) / (n - 1) : i * PLOT_STEPS / n];
}

void plot_series(FILE *script, size_t i)
{
    static const char *const colours[] = {PLOT_BLUE,   PLOT_ORANGE, PLOT_GREEN,
                                          PLOT_VIOLET, PLOT_MUTED,  PLOT_INK};
    static const int signs[] = {7, 5, 9, 13, 6, 4, 8, 12};
    enum { COLOURS = sizeof colours / sizeof colours[0], SIGNS = sizeof signs / sizeof signs[0] };
    fprintf(script, "lw 1.6 lc rgb '%s' dt %zu pt %d ps 0.6", colours[i % COLOURS], 1 + i / COLOURS,
            signs[i % SIGNS]);
}

static size_t count_characters(const char *text)
{
    size_t n = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; n++) {
        const size_t length = page_character(at);
        at += length > 0 ? length : 1;
    }
    return n;
}

/* In single quotes gnuplot takes everything as it is but the quote itself; the names of tics are
 * formats besides. */
static void put_character(FILE *script, const unsigned char *at, bool is_format)
{
    const size_t length = page_character(at);
    if (*at == '\'')
        fputs("''", script);
    else if (length == 0 || *at < ' ' || *at == 127)
        fputc('?', script);
    else if (*at == '%' && is_format)
        fputs("%%", script);
    else
        fwrite(at, 1, length, script);
}

/* A long name loses its middle: names often differ at their end. */
static void put_text(FILE *script, const char *text, size_t n_max, bool is_format)
{
    const size_t n = count_characters(text), head = n > n_max ? n_max / 2 : n,
                 tail = n > n_max ? n - (n_max - head - 1) : n; /* from here on it goes on */
    const unsigned char *at = (const unsigned char *)text;
    fputc('\'', script);
    for (size_t i = 0; *at != '\0'; i++) {
        const size_t length = page_character(at);
        if (i == head)
            fputs("…", script);
        if (i < head || i >= tail)
            put_character(script, at, is_format);
        at += length > 0 ? length : 1;
    }
    fputc('\'', script);
}

void plot_text(FILE *script, const char *text, size_t n_max)
{
    put_text(script, text, n_max, false);
}

void plot_tick(FILE *script, const char *text, size_t n_max)
{
    put_text(script, text, n_max, true);
}

void plot_names(FILE *script, size_t n, const char *(*name)(const void *names, size_t i),
                const void *names)
{
    enum { SHORT = 12, LONG = 16 };
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t length = count_characters(name(names, i));
        longest = length > longest ? length : longest;
    }
    longest = longest > LONG ? LONG : longest;
    const bool turned = n * (longest + 1) > 52; /* characters below an axis */
    fprintf(script, "set xtics scale 0 %s (", turned ? "rotate by 50 right" : "norotate");
    for (size_t i = 0; i < n; i++) {
        fputs(i > 0 ? ", " : "", script);
        plot_tick(script, name(names, i), turned ? LONG : SHORT);
        fprintf(script, " %zu", i);
    }
    fprintf(script, ")\nset xrange [-0.6:%g]\n", (double)n - 0.4);
    if (turned)
        fprintf(script, "set bmargin %g\n", 1.5 + 0.36 * (double)longest);
}

void plot_ticks(FILE *script, const char *axis, double lo, double hi)
{
    const double step = (hi - lo) / 5.0, power = pow(10.0, floor(log10(step)));
    const double nice = step <= power       ? 1.0
                        : step <= 2 * power ? 2.0
                        : step <= 5 * power ? 5.0
                                            : 10.0;
    if (isfinite(power) && power > 0.0)
        fprintf(script, "set %stics %.6g\n", axis, nice * power);
}

void plot_powers(FILE *script, const char *axis, double lo, double hi)
{
    static const double fine[] = {1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0};
    static const double coarse[] = {1.0, 2.0, 5.0};
    const bool wide = hi > 6.0 * lo;
    const double *parts = wide ? coarse : fine;
    const size_t n_coarse = hi > 100.0 * lo ? 1 : sizeof coarse / sizeof coarse[0];
    const size_t n_parts = wide ? n_coarse : sizeof fine / sizeof fine[0];
    char text[16];
    bool first = true;
    if (!(lo > 0.0) || !isfinite(hi))
        return;
    fprintf(script, "set logscale %s\nset %srange [%g:%g]\nset %stics (", axis, axis, lo / 1.2,
            1.2 * hi, axis);
    for (double power = pow(10.0, floor(log10(lo))); power <= hi; power *= 10.0)
        for (size_t i = 0; i < n_parts; i++)
            if (power * parts[i] >= lo / 1.2 && power * parts[i] <= 1.2 * hi) {
                fprintf(script, "%s'%s' %.6g", first ? "" : ", ",
                        report_size(power * parts[i], text), power * parts[i]);
                first = false;
            }
    fputs(first ? ")\nset xtics autofreq\n" : ")\n", script);
}

double plot_margin(size_t n, const char (*names)[MIX_NAME_MAX], size_t n_max)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t length = count_characters(names[i]);
        longest = length > longest ? length : longest;
    }
    return (double)(longest < n_max ? longest : n_max);
}

size_t plot_stride(size_t n)
{
    return n <= PLOT_POINTS_MAX ? 1 : (n + PLOT_POINTS_MAX - 1) / PLOT_POINTS_MAX;
}

const char *plot_thinned(size_t stride)
{
    return stride > 1 ? " Of so many points only a part is drawn." : "";
}

void plot_number(FILE *script, double value)
{
    if (isfinite(value))
        fprintf(script, " %.6g", value);
    else
        fputs(" NaN", script);
}

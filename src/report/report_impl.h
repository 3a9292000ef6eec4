/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report_impl.h - what the sections of a report share. Private to src/report/.
 *
 * A section is one file and one line in the table of report.c. It writes paragraphs, tables and
 * figures to the page; text from the sweep file goes through page_*() and plot_text() only, which
 * escape it. What fails on the way (memory, disk) the page remembers.
 */
#ifndef MIXSWEEP_REPORT_IMPL_H
#define MIXSWEEP_REPORT_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "mixsweep/confirm.h"
#include "mixsweep/job.h"
#include "mixsweep/predict.h"
#include "mixsweep/report.h"
#include "mixsweep/store.h"

/** Everything a file holds, read once. */
struct report_data {
    const char *path;
    struct mix_table *table; /* NULL = no runs; in the file's order, which fits know */
    double *mean;            /* (R) weighted mean loss of a done run; NaN = not known */
    size_t n_mixtures;       /* of the runs that confirm nothing */
    size_t n_sizes;
    double *sizes;       /* (n_sizes) n_params of the runs that confirm nothing, ascending */
    struct mix_job *job; /* NULL = none that can be read */
    size_t n_fits, n_draws, n_optima, n_compares, n_onlines;
    struct mix_fit **fits;
    struct mix_draws **draws;
    struct mix_optimum **optima;
    struct mix_compare **compares;
    struct mix_online **onlines;
    size_t n_campaigns; /* of agents */
    struct mix_agent_campaign **campaigns;
    size_t n_confirmations; /* of the optima that were trained */
    struct mix_confirmation **confirmations;
    char warning[MIX_ERROR_MAX]; /* results that were left out */
};

/** Read it. Free with report_data_clear(), after an error too. */
enum mix_status report_read(const char *path, struct report_data *data, struct mix_error *err);
void report_data_clear(struct report_data *data);

/** The draws of a fit, NULL where there are none. */
const struct mix_draws *report_draws(const struct report_data *data, const struct mix_fit *fit);

/** A fit by its name, NULL where there is none. */
const struct mix_fit *report_fit(const struct report_data *data, const char *name);

/* ---- the page */

struct figure {
    char name[MIX_NAME_MAX]; /* of its files; letters, digits and '-' */
    int width, height;
    char *alt;
    char *why;                 /* it could not be drawn; NULL = it could */
    size_t html_at, script_at; /* where it stands in the page, where its script begins */
};

struct page {
    FILE *html;   /* markup, without the figures */
    FILE *script; /* of gnuplot, all figures */
    char *html_text, *script_text;
    size_t n_html, n_script;
    size_t n_figures;
    struct figure *figures;
    bool row;    /* of a table, begun */
    bool failed; /* memory is out */
};

/** False when memory is out. */
bool page_open(struct page *page);
/** End the texts; then html_text and script_text are there. False when memory is out. */
bool page_close(struct page *page);
void page_clear(struct page *page);

/** Length of the UTF-8 character at `text`, 0 where it is none. */
size_t page_character(const unsigned char *text);
/** Write text as it stands in markup and in attributes. */
void page_escape(FILE *out, const char *text);

void page_raw(struct page *page, const char *markup);
/** Formatted, then escaped. */
void page_text(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A paragraph or heading: "p", "h2", "h3", "li", ... */
void page_element(struct page *page, const char *element, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** "p" of class "warning" for each line. */
void page_warnings(struct page *page, const char *lines);

/** A table; its first column is text, the others are numbers. `folded` hides it behind its
 * caption. */
void page_table(struct page *page, const char *caption, bool folded, size_t n_columns,
                const char *const *heads);
void page_row(struct page *page);
void page_cell(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A sentence in place of that many cells. */
void page_words(struct page *page, int n_columns, const char *text);
void page_table_end(struct page *page, bool folded);

/** Figures stand side by side where there is room. */
void page_figures(struct page *page);
void page_figures_end(struct page *page);

/**
 * Begin a figure; what is written to page->script from now on draws it.
 *
 * @param name  becomes the name of its files, made unique
 * @param alt   what it shows, in a sentence: caption and alternative text
 */
void page_figure(struct page *page, const char *name, int width, int height, const char *alt, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- gnuplot */

/* Colours that follow the reader's light or dark mode in the page: plot_colours of figures.c. */
#define PLOT_INK "#222221"
#define PLOT_MUTED "#8a8a88"
#define PLOT_GRID "#dddddc"
#define PLOT_BLUE "#2f6db3"
#define PLOT_ORANGE "#d3722c"
#define PLOT_GREEN "#3c8f62"
#define PLOT_VIOLET "#8a5fb5"
#define PLOT_FAINT "#a9bdd4"

enum { PLOT_STEPS = 6, PLOT_POINTS_MAX = 2500, PLOT_WIDTH = 480, PLOT_HEIGHT = 340 };
/** A colour of an ordered series: the larger the darker (lighter in dark mode). */
const char *plot_step(size_t i, size_t n);
/** Line, colour and sign of series `i` of many: "lc rgb '...' dt 2 pt 5 ...". */
void plot_series(FILE *script, size_t i);
/** A quoted text of at most `n_max` characters, of a longer one the middle is "…". */
void plot_text(FILE *script, const char *text, size_t n_max);
/** The same for the name of a tic, which gnuplot takes for a format. */
void plot_tick(FILE *script, const char *text, size_t n_max);
/** `set xtics (...)` of names at 0 … n - 1, turned where they need it. */
void plot_names(FILE *script, size_t n, const char *(*name)(const void *names, size_t i),
                const void *names);
/** Steps on an axis ("x", "y") such that five or fewer labels lie between lo and hi. */
void plot_ticks(FILE *script, const char *axis, double lo, double hi);
/** A logarithmic axis from lo to hi in sizes for people: 100M, 200M, 500M, 1B. */
void plot_powers(FILE *script, const char *axis, double lo, double hi);
/** Characters of the longest of (n) names, at most `n_max`. */
double plot_margin(size_t n, const char (*names)[MIX_NAME_MAX], size_t n_max);
/** Of `n` points every so many are drawn: the stride. */
size_t plot_stride(size_t n);
/** What a caption says of a stride. */
const char *plot_thinned(size_t stride);
/** A number of a data block; NaN is a missing one. */
void plot_number(FILE *script, double value);

/** Draw all figures of a closed page into `folder` (NAME.svg, NAME.png); one that cannot be drawn
 * says why. */
enum mix_status plot_draw(struct page *page, const char *folder, struct mix_error *err);
/** Write the page with its figures to `out`. */
enum mix_status plot_assemble(const struct page *page, const char *folder, FILE *out,
                              struct mix_error *err);

/* ---- numbers for people */

/** "1.3B", "500k". */
const char *report_size(double value, char text[16]);
/** Three digits that mean something; "–" where not known. */
const char *report_share(double share, char text[32]);
const char *report_number(double value, int digits, char text[32]);
const char *report_percent(double value, char text[32]);
/** "0.24 … 0.31", or "–". */
const char *report_range(double lo, double hi, int digits, char text[64]);
const char *report_duration(double seconds, char text[16]);
/** Quantile of sorted numbers by the rule of intervals: the k-th of n counts as k / (n + 1); NaN of
 * none. */
double report_quantile(const double *sorted, size_t n, double p);
/** Sort the finite ones to the front; their number. */
size_t report_sort(double *values, size_t n);
/** Which of data->sizes a run has. */
size_t report_size_index(const struct report_data *data, double n_params);

/* ---- sections */

/** Whether online runs are the comparison of an agent: not for the section on online mixing. */
bool report_is_comparison(const struct mix_online *online);

struct report_section {
    const char *id, *title;
    bool (*has)(const struct report_data *data);
    enum mix_status (*write)(struct page *page, const struct report_data *data,
                             struct mix_error *err);
};

extern const struct report_section report_sweep, report_design, report_losses, report_optimum,
    report_confirmation, report_fits, report_compare, report_transfer, report_bootstrap,
    report_online, report_agent;

#endif

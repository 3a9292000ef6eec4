/* SPDX-License-Identifier: GPL-3.0-or-later */
/* draw.c - the child that draws all figures of a page, and their way into the page. */
#include "report/report_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mixsweep/child.h"

/* ---- drawing */

static const char STYLE[] = "reset\n"
                            "set encoding utf8\n"
                            "set datafile missing 'NaN'\n"
                            "set border 3 lc rgb '" PLOT_MUTED "' lw 1\n"
                            "set tics nomirror out scale 0.5 textcolor rgb '" PLOT_INK "'\n"
                            "set xlabel tc rgb '" PLOT_INK "'\n"
                            "set ylabel tc rgb '" PLOT_INK "'\n"
                            "set key tc rgb '" PLOT_INK "' samplen 1 spacing 1.1 reverse Left\n"
                            "unset key\n"
                            "set grid lc rgb '" PLOT_GRID "' lt 1 lw 1\n"
                            "set style fill solid 1 noborder\n"
                            "set boxwidth 0.6\n"
                            "set format '%g'\n";

static enum mix_status cannot_write(const char *path, struct mix_error *err)
{
    return mix_fail(err, MIX_EIO, "cannot write %s: %s.", path, strerror(errno));
}

/* The figures from `first` on: a file for each, and one that draws each of them twice. */
static enum mix_status write_scripts(const struct page *page, size_t first, const char *folder,
                                     const char *main_path, struct mix_error *err)
{
    char path[2 * MIX_TEXT_MAX];
    FILE *script = fopen(main_path, "w");
    bool good = script != NULL;
    for (size_t i = first; good && i < page->n_figures; i++) {
        const struct figure *f = &page->figures[i];
        const size_t end = i + 1 < page->n_figures ? f[1].script_at : page->n_script;
        snprintf(path, sizeof path, "%s/%s.gp", folder, f->name);
        FILE *part = fopen(path, "w");
        good = part != NULL;
        if (!good)
            break;
        fwrite(page->script_text + f->script_at, 1, end - f->script_at, part);
        good = ferror(part) == 0;
        good = fclose(part) == 0 && good;
        fprintf(script,
                "set terminal svg size %d,%d dynamic noenhanced font 'sans-serif,13' "
                "background '#ffffff'\n"
                "set output '%s.svg'\n%sload '%s.gp'\n"
                "set terminal pngcairo size %d,%d noenhanced font 'sans,13' fontscale 2 "
                "linewidth 2 pointscale 2 background '#ffffff'\n"
                "set output '%s.png'\n%sload '%s.gp'\nset output\n",
                f->width, f->height, f->name, STYLE, f->name, 2 * f->width, 2 * f->height, f->name,
                STYLE, f->name);
    }
    if (script != NULL) {
        good = ferror(script) == 0 && good;
        good = fclose(script) == 0 && good;
    }
    return good ? MIX_OK : cannot_write(folder, err);
}

/* gnuplot says where and what on several lines, the last of them what. */
static void read_last_line(const char *log_path, char said[256])
{
    char line[256];
    FILE *log = fopen(log_path, "r");
    snprintf(said, 256, "nothing was said");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        if (line[strspn(line, " \t\n^")] != '\0') {
            line[strcspn(line, "\n")] = '\0';
            snprintf(said, 256, "%s", line);
        }
    if (log != NULL)
        fclose(log);
}

static enum mix_status fail_drawing(const struct mix_child_end *end, const char *said,
                                    struct mix_error *err)
{
    if (end->signal != 0)
        return mix_fail(err, MIX_EIO, "gnuplot was ended by signal %d: %s.", end->signal, said);
    return mix_fail(err, MIX_EIO, "gnuplot failed with exit code %d: %s.", end->exit_code, said);
}

static void wait_for(struct mix_child *child, struct mix_child_end *end)
{
    enum { LOOK_MS = 20 };
    while (!mix_child_ended(child, end)) {
        struct pollfd watched = {.fd = mix_child_descriptor(child), .events = POLLIN};
        (void)poll(&watched, 1, watched.fd < 0 ? LOOK_MS : 10 * LOOK_MS);
    }
}

static enum mix_status run_gnuplot(const char *folder, const char *log_path,
                                   struct mix_child_end *end, struct mix_error *err)
{
    const char *const argv[] = {"gnuplot", "-d", "all.gp", NULL}; /* -d: nobody's own settings */
    const struct mix_child_spec spec = {.argv = argv, .dir = folder, .stderr_path = log_path};
    struct mix_child *child = NULL;
    unlink(log_path);
    const enum mix_status status = mix_child_start(&spec, &child, err);
    if (status == MIX_ENOTFOUND)
        return mix_fail(err, status,
                        "a report needs gnuplot, which is not in the PATH (Debian gnuplot-nox, "
                        "Spack gnuplot); nothing was written.");
    if (status != MIX_OK)
        return status;
    wait_for(child, end);
    mix_child_destroy(child);
    return MIX_OK;
}

/* The last figure from `first` on that gnuplot had begun; n_figures: none. */
static size_t last_begun(const struct page *page, size_t first, const char *folder)
{
    char path[2 * MIX_TEXT_MAX];
    struct stat found;
    size_t last = page->n_figures;
    for (size_t i = first; i < page->n_figures; i++) {
        snprintf(path, sizeof path, "%s/%s.svg", folder, page->figures[i].name);
        if (stat(path, &found) != 0)
            break;
        last = i;
    }
    return last;
}

/* gnuplot gives up at a figure that it cannot draw, say where no value is finite. Such a figure
 * must not cost the others. */
enum mix_status plot_draw(struct page *page, const char *folder, struct mix_error *err)
{
    char main_path[2 * MIX_TEXT_MAX], log_path[2 * MIX_TEXT_MAX], said[256];
    snprintf(main_path, sizeof main_path, "%s/all.gp", folder);
    snprintf(log_path, sizeof log_path, "%s/gnuplot.log", folder);
    for (size_t first = 0; first < page->n_figures;) {
        struct mix_child_end end = {0};
        enum mix_status status = write_scripts(page, first, folder, main_path, err);
        if (status == MIX_OK)
            status = run_gnuplot(folder, log_path, &end, err);
        if (status != MIX_OK)
            return status;
        if (end.exit_code == 0)
            break;
        const size_t bad = last_begun(page, first, folder);
        read_last_line(log_path, said);
        if (bad == page->n_figures || end.signal != 0)
            return fail_drawing(&end, said, err);
        page->figures[bad].why = strdup(said);
        if (page->figures[bad].why == NULL)
            return mix_fail(err, MIX_ENOMEM, "not enough memory for the figures.");
        first = bad + 1;
    }
    return MIX_OK;
}

/* ---- into the page */

/* Colours of a figure, and what stands for them in the page, where they follow the reader's mode.
 */
static const struct {
    const char *rgb, *css;
} colours[] = {
    {PLOT_INK, "var(--ink)"},       {PLOT_MUTED, "var(--muted)"},   {PLOT_GRID, "var(--grid)"},
    {PLOT_BLUE, "var(--blue)"},     {PLOT_ORANGE, "var(--orange)"}, {PLOT_GREEN, "var(--green)"},
    {PLOT_VIOLET, "var(--violet)"}, {PLOT_FAINT, "var(--faint)"},   {"#9cc0e8", "var(--s1)"},
    {"#6fa3da", "var(--s2)"},       {"#4685c6", "var(--s3)"},       {"#2b69ad", "var(--s4)"},
    {"#174e8c", "var(--s5)"},       {"#08336a", "var(--s6)"},       {"#000000", "var(--ink)"},
    {"#ffffff", "var(--page)"},
};

/* What gnuplot writes and a page does not need. */
static const struct {
    const char *from, *to;
} plain[] = {
    {" stroke-linecap=\"butt\"", ""},
    {" stroke-linejoin=\"miter\"", ""},
    {" stroke-width=\"1.00\"", ""},
    {" font-family=\"sans-serif\"", ""},
    {" font-size=\"13.00\"", ""},
    {" class=\"gridline\"", ""},
    {"xlink:href", "href"},
    {"\"black\"", "\"var(--ink)\""},
    {"'black'", "'var(--ink)'"},
    {"\"gray\"", "\"var(--grid)\""},
    {"\t", ""},
};

static bool starts(const char *at, const char *with)
{
    return strncmp(at, with, strlen(with)) == 0;
}

static const char *put_colour(FILE *out, const char *at)
{
    unsigned r = 0, g = 0, b = 0;
    char hex[8];
    int n = 0;
    if (sscanf(at, "rgb(%3u,%3u,%3u)%n", &r, &g, &b, &n) != 3 || n == 0)
        return NULL;
    snprintf(hex, sizeof hex, "#%02x%02x%02x", r & 255, g & 255, b & 255);
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
        if (strcmp(colours[i].rgb, hex) == 0) {
            fputs(colours[i].css, out);
            return at + n;
        }
    fputs(hex, out);
    return at + n;
}

/* Behind the text `end` after `at`; `at` where there is none. */
static const char *behind(const char *at, const char *end)
{
    const char *found = strstr(at, end);
    return found != NULL ? found + strlen(end) : at;
}

/* What is dropped whole: paper, groups without content, names of plots, which would be shown as
 * tooltips, and definitions, which the page has once. */
static const char *skip_part(const char *at)
{
    const char *end;
    if (starts(at, "<rect x=\"0\" y=\"0\"")) /* white paper */
        return behind(at, "/>");
    if (starts(at, " id=\"gnuplot_"))
        return behind(at + 5, "\"");
    if (starts(at, "<title>"))
        return behind(at, "</title>");
    if (starts(at, "<desc>"))
        return behind(at, "</desc>");
    if (starts(at, "<defs>"))
        return behind(at, "</defs>");
    if (!starts(at, "<g fill=\"none\""))
        return at;
    end = strchr(at, '>');
    return end != NULL && starts(end, ">\n</g>\n") ? end + strlen(">\n</g>\n") : at;
}

static void put_svg(FILE *out, const char *at)
{
    while (*at != '\0') {
        const char *next = *at == '<' || *at == ' ' ? skip_part(at) : at;
        if (next == at && *at == 'r')
            next = put_colour(out, at) != NULL ? behind(at, ")") : at;
        for (size_t i = 0; next == at && i < sizeof plain / sizeof plain[0]; i++)
            if (starts(at, plain[i].from)) {
                fputs(plain[i].to, out);
                next = at + strlen(plain[i].from);
            }
        if (next == at)
            fputc(*next++, out);
        at = next;
    }
}

static enum mix_status read_svg(const char *folder, const char *name, char **out,
                                struct mix_error *err)
{
    char path[2 * MIX_TEXT_MAX];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s.svg", folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return mix_fail(err, MIX_EIO, "gnuplot did not draw %s: %s.", name, strerror(errno));
    const ssize_t got = getdelim(out, &n, '\0', file);
    fclose(file);
    return got > 0 ? MIX_OK : mix_fail(err, MIX_EIO, "gnuplot left %s empty.", path);
}

/* The signs of points are the same in all figures; `shared` where they are not out yet. */
static enum mix_status put_figure(const struct figure *figure, const char *folder, bool *shared,
                                  FILE *out, struct mix_error *err)
{
    char *svg = NULL;
    enum mix_status status = read_svg(folder, figure->name, &svg, err);
    const char *canvas = status == MIX_OK ? strstr(svg, "<g id=\"gnuplot_canvas\">") : NULL;
    const char *end = canvas != NULL ? strstr(canvas, "</svg>") : NULL;
    if (status == MIX_OK && end == NULL)
        status = mix_fail(err, MIX_EIO, "gnuplot drew %s not as expected.", figure->name);
    if (status != MIX_OK) {
        free(svg);
        return status;
    }
    fprintf(out,
            "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s-title\"><title "
            "id=\"%s-title\">",
            figure->width, figure->height, figure->name, figure->name);
    page_escape(out, figure->alt);
    fputs("</title>", out);
    const char *defs = strstr(canvas, "<defs>"), *defs_end = strstr(canvas, "<filter");
    if (!*shared && defs != NULL && defs_end != NULL) {
        fprintf(out, "%.*s</defs>", (int)(defs_end - defs), defs);
        *shared = true;
    }
    svg[end - svg] = '\0';
    fputs("<g>", out);
    put_svg(out, strchr(canvas, '>') + 1);
    fputs("</svg><figcaption>", out);
    page_escape(out, figure->alt);
    fprintf(out, " <a href=\"%s.svg\">SVG</a> <a href=\"%s.png\">PNG</a></figcaption>",
            figure->name, figure->name);
    free(svg);
    return MIX_OK;
}

static void put_reason(const struct figure *figure, FILE *out)
{
    fputs("<figcaption>", out);
    page_escape(out, figure->alt);
    fputs(" (It could not be drawn: ", out);
    page_escape(out, figure->why);
    fputs(")</figcaption>", out);
}

enum mix_status plot_assemble(const struct page *page, const char *folder, FILE *out,
                              struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    bool shared = false;
    size_t at = 0;
    for (size_t i = 0; i < page->n_figures && status == MIX_OK; i++) {
        fwrite(page->html_text + at, 1, page->figures[i].html_at - at, out);
        at = page->figures[i].html_at;
        if (page->figures[i].why != NULL)
            put_reason(&page->figures[i], out);
        else
            status = put_figure(&page->figures[i], folder, &shared, out, err);
    }
    fwrite(page->html_text + at, 1, page->n_html - at, out);
    return status;
}

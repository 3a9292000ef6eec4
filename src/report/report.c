/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.c - the page as a whole: its sections, its head, what it says first. */
#include "report/folder.h"
#include "report/report_impl.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "mixsweep/version.h"

/* In the order of the page: the answer first, then what it stands on. */
static const struct report_section *const sections[] = {
    &report_optimum,  &report_confirmation, &report_fits,   &report_compare,
    &report_transfer, &report_bootstrap,    &report_online, &report_agent,
    &report_sweep,    &report_design,       &report_losses,
};
enum { N_SECTIONS = sizeof sections / sizeof sections[0] };

static const char HEAD[] =
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"generator\" content=\"mixsweep " MIX_VERSION "\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<link rel=\"icon\" href=\"data:,\">\n";

static const char STYLE[] =
    "<style>\n"
    ":root{--page:#fff;--soft:#f4f5f7;--ink:#222221;--muted:#6e6e6c;--grid:#dddddc;--blue:#2f6db3;"
    "--orange:#c9641c;--green:#3c8f62;--violet:#8a5fb5;--faint:#a9bdd4;--warn:#fff3dc;"
    "--s1:#9cc0e8;--s2:#6fa3da;--s3:#4685c6;--s4:#2b69ad;--s5:#174e8c;--s6:#08336a}\n"
    "@media (prefers-color-scheme:dark){:root{--page:#16181b;--soft:#1f2226;--ink:#e4e4e2;"
    "--muted:#9b9b99;--grid:#35383c;--blue:#6ba6e8;--orange:#ee9450;--green:#67bf8f;"
    "--violet:#b592dc;--faint:#475a70;--warn:#3a2f18;"
    "--s1:#2c5480;--s2:#3a6ea6;--s3:#4f8bca;--s4:#74a8e0;--s5:#9cc4f0;--s6:#cfe3fa}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:1080px;padding:1rem;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\n"
    "h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.25rem;margin:2.2rem 0 .4rem;"
    "border-bottom:1px solid var(--grid)}h3{font-size:1.05rem;margin:1.4rem 0 .2rem}\n"
    "p{margin:.5rem 0;max-width:50rem}a{color:var(--blue)}nav{margin:.6rem 0}"
    "nav a{margin-right:1rem;white-space:nowrap}\n"
    ".cards{display:grid;gap:.6rem;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));"
    "margin:1rem 0}.card{background:var(--soft);border-radius:6px;padding:.6rem .8rem}\n"
    ".card strong{display:block;font-size:1.3rem}.card span{color:var(--muted);font-size:.85rem}\n"
    ".warning{background:var(--warn);border-left:4px solid var(--orange);padding:.3rem .7rem}\n"
    ".figures{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),"
    "1fr));align-items:start}figure{margin:.6rem 0;min-width:0;max-width:520px;overflow-x:auto}\n"
    "figure.large{grid-column:1/-1;max-width:860px}figure.large svg{min-width:640px}\n"
    "svg{width:100%;height:auto;display:block;font:13px sans-serif}\n"
    "figcaption{color:var(--muted);font-size:.85rem}\n"
    ".wide{overflow-x:auto;margin:.8rem 0}table{border-collapse:collapse;font-size:.88rem;"
    "font-variant-numeric:tabular-nums;overflow-wrap:normal}\n"
    "caption{text-align:left;color:var(--muted);padding:.2rem 0}"
    "th,td{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--grid);"
    "white-space:nowrap}th{font-weight:600;vertical-align:bottom;white-space:normal}\n"
    "th:first-child,td:first-child{text-align:left}td:first-child{white-space:normal;"
    "min-width:6rem}"
    "td.words{white-space:normal;text-align:left}\n"
    "summary{cursor:pointer;color:var(--blue)}\n"
    "@media print{details>*{display:block}}\n"
    "</style>\n";

static void put_head(struct page *page, const struct report_data *data, const char *name)
{
    char when[40] = "";
    const time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) != NULL)
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &local);
    page_raw(page, "<!DOCTYPE html>\n<html lang=\"en\"><head>\n");
    page_raw(page, HEAD);
    page_raw(page, "<title>");
    page_text(page, "%s · mixsweep", name);
    page_raw(page, "</title>\n");
    page_raw(page, STYLE);
    page_raw(page, "</head><body>\n<header>");
    page_element(page, "h1", "%s", name);
    page_element(page, "p", "%s, by mixsweep " MIX_VERSION ", %s", data->path, when);
    page_raw(page, "<nav>");
    for (size_t i = 0; i < N_SECTIONS; i++)
        if (sections[i]->has(data)) {
            page_raw(page, "<a href=\"#");
            page_raw(page, sections[i]->id);
            page_raw(page, "\">");
            page_text(page, "%s", sections[i]->title);
            page_raw(page, "</a>");
        }
    page_raw(page, "</nav></header>\n<main>\n");
}

/* ---- what a reader with one minute sees */

static void card(struct page *page, const char *figure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void card(struct page *page, const char *figure, const char *format, ...)
{
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    page_raw(page, "<div class=\"card\"><strong>");
    page_text(page, "%s", figure);
    page_raw(page, "</strong><span>");
    page_text(page, "%s", text);
    page_raw(page, "</span></div>\n");
}

static void put_runs_card(struct page *page, const struct report_data *data)
{
    const struct mix_table *table = data->table;
    size_t n = 0, n_done = 0, n_failed = 0, n_confirming = 0;
    char figure[64], confirming[64] = "";
    for (size_t r = 0; r < table->n_rows; r++) {
        const struct mix_run *run = &table->runs[r];
        if (mix_run_confirms(run)) {
            n_confirming += run->is_final != 0 && run->status == MIX_RUN_DONE;
            continue;
        }
        const bool end = run->is_final != 0 || run->status != MIX_RUN_DONE;
        n += end;
        n_done += end && run->status == MIX_RUN_DONE;
        n_failed += run->status == MIX_RUN_FAILED;
    }
    snprintf(figure, sizeof figure, "%zu runs done", n_done);
    if (n_confirming > 0)
        snprintf(confirming, sizeof confirming, "; %zu more confirm the optimum", n_confirming);
    card(page, figure, "%zu failed, %zu interrupted; %zu mixtures of %zu domains%s", n_failed,
         n - n_done - n_failed, data->n_mixtures, table->n_domains, confirming);
}

/* The first optimum of a fit, NULL where it has none. */
static const struct mix_optimum *optimum_of(const struct report_data *data,
                                            const struct mix_fit *fit)
{
    for (size_t i = 0; i < data->n_optima; i++)
        if (strcmp(data->optima[i]->fit, fit->name) == 0)
            return data->optima[i];
    return NULL;
}

/* Whether `fit` is the one to show rather than `best`: it has an optimum, it was held out, its
 * held-out error is less where both were held out alike. */
static bool is_rather(const struct report_data *data, const struct mix_fit *fit,
                      const struct mix_fit *best)
{
    const bool has = optimum_of(data, fit) != NULL, had = optimum_of(data, best) != NULL;
    if (has != had)
        return has;
    if (fit->n_holdouts == 0 || best->n_holdouts == 0)
        return fit->n_holdouts > best->n_holdouts;
    return strcmp(fit->holdouts[0].kind, best->holdouts[0].kind) == 0 &&
           fit->holdouts[0].law.mre < best->holdouts[0].law.mre;
}

/* The page begins with it; the others stay in the order of their names. */
static void put_main_fit_first(struct report_data *data)
{
    size_t best = 0;
    for (size_t i = 1; i < data->n_fits; i++)
        if (is_rather(data, data->fits[i], data->fits[best]))
            best = i;
    if (best == 0)
        return;
    struct mix_fit *fit = data->fits[best];
    memmove(data->fits + 1, data->fits, best * sizeof(*data->fits));
    data->fits[0] = fit;
}

static void put_fit_card(struct page *page, const struct mix_fit *fit)
{
    char figure[64], mre[32], rho[32], regret[32], floor[32];
    if (fit->n_holdouts == 0) {
        snprintf(figure, sizeof figure, "MRE %s", report_percent(fit->train.mre, mre));
        card(page, figure, "law %s, on what it was fitted to; nothing was held out", fit->spec.law);
        return;
    }
    const struct mix_holdout *held = &fit->holdouts[0];
    snprintf(figure, sizeof figure, "MRE %s", report_percent(held->law.mre, mre));
    card(page, figure, "law %s, held-out %s: ρ %s, regret %s; scale-only MRE %s", fit->spec.law,
         held->kind, report_number(held->law.rho, 3, rho),
         report_number(held->law.regret, 4, regret), report_percent(held->floor[1].mre, floor));
}

static void put_optimum_card(struct page *page, const struct mix_optimum *o)
{
    const size_t gain = strcmp(o->baseline_name, "uniform") == 0 ? 1 : 0;
    char figure[64], text[32], range[64], size[16], tokens[16], bounds[MIX_NAME_MAX];
    const bool breaks = mix_optimum_broken_text(o, gain, bounds)[0] != '\0';
    if (breaks && o->gain[gain].value < 0.0) { /* no mixture that one may choose is better */
        snprintf(figure, sizeof figure, "%s", report_number(o->objective.value, 4, text));
        card(page, figure,
             "optimum %s: %s at %s parameters, %s tokens; %s, which is %s lower, is not allowed "
             "by the %s",
             o->name, mix_optimum_objective_text(o), report_size(o->n_params, size),
             report_size(o->n_tokens, tokens), o->baseline_name,
             report_number(-o->gain[gain].value, 4, text), bounds);
        return;
    }
    snprintf(figure, sizeof figure, "gain %s", report_number(o->gain[gain].value, 4, text));
    card(page, figure, "optimum %s: in %s over %s%s%s%s at %s parameters, %s tokens%s%s", o->name,
         mix_optimum_objective_text(o), o->baseline_name, breaks ? " (not allowed by the " : "",
         bounds, breaks ? ")" : "", report_size(o->n_params, size),
         report_size(o->n_tokens, tokens), o->n_draws > 0 ? ", interval " : "",
         o->n_draws > 0 ? report_range(o->gain[gain].lo, o->gain[gain].hi, 4, range) : "");
}

/* What the largest scale says of the optimum and the mixtures it claims to beat. */
static void put_confirmation_card(struct page *page, const struct mix_confirmation *c)
{
    size_t n_beaten = 0, n_lost = 0, s = 0;
    char figure[64], size[16];
    for (size_t i = 0; i < c->n_scales; i++)
        if (c->contest[i * c->n_contenders].n_done > 0 &&
            (c->contest[s * c->n_contenders].n_done == 0 ||
             c->scales[i].n_params >= c->scales[s].n_params))
            s = i;
    for (size_t i = 1; i < c->n_contenders; i++) {
        const char *verdict = mix_contest_verdict(&c->contest[s * c->n_contenders + i]);
        n_beaten += strcmp(verdict, "beats") == 0;
        n_lost += strcmp(verdict, "loses to") == 0;
    }
    snprintf(figure, sizeof figure, "beats %zu, loses to %zu of %zu", n_beaten, n_lost,
             c->n_contenders - 1);
    card(page, figure, "measured: optimum %s at %s parameters against mixtures with the same seeds",
         c->optimum, report_size(c->scales[s].n_params, size));
}

/* Whether the job has a question of that name. */
static bool is_asked(const struct report_data *data, const struct mix_optimum *optimum)
{
    for (size_t i = 0; data->job != NULL && i < data->job->n_optima; i++)
        if (strcmp(data->job->optima[i].name, optimum->name) == 0)
            return true;
    return false;
}

static void put_summary(struct page *page, const struct report_data *data)
{
    const struct mix_fit *fit = data->n_fits > 0 ? data->fits[0] : NULL;
    const struct mix_optimum *optimum = fit != NULL ? optimum_of(data, fit) : NULL;
    if (optimum == NULL && data->n_optima > 0)
        optimum = data->optima[0];
    page_raw(page, "<div class=\"cards\">\n");
    if (data->table != NULL)
        put_runs_card(page, data);
    if (fit != NULL)
        put_fit_card(page, fit);
    for (size_t i = 0; i < data->n_optima && optimum != NULL; i++)
        if (data->optima[i] == optimum || is_asked(data, data->optima[i]))
            put_optimum_card(page, data->optima[i]);
    for (size_t i = 0; i < data->n_confirmations; i++)
        put_confirmation_card(page, data->confirmations[i]);
    page_raw(page, "</div>\n");
    page_warnings(page, data->warning);
    if (data->table == NULL && fit == NULL && data->n_optima == 0 && data->n_onlines == 0)
        page_element(page, "p", "The file has no runs and no results yet.");
}

/* ---- the whole */

static enum mix_status write_page(struct page *page, const struct report_data *data,
                                  size_t *n_sections, struct mix_error *err)
{
    const char *slash = strrchr(data->path, '/');
    enum mix_status status = MIX_OK;
    *n_sections = 0;
    put_head(page, data,
             data->job != NULL ? data->job->name
             : slash != NULL   ? slash + 1
                               : data->path);
    put_summary(page, data);
    for (size_t i = 0; i < N_SECTIONS && status == MIX_OK; i++) {
        if (!sections[i]->has(data))
            continue;
        page_raw(page, "<section id=\"");
        page_raw(page, sections[i]->id);
        page_raw(page, "\">\n");
        page_element(page, "h2", "%s", sections[i]->title);
        status = sections[i]->write(page, data, err);
        page_raw(page, "</section>\n");
        ++*n_sections;
    }
    page_raw(page, "</main></body></html>\n");
    if (!page_close(page) && status == MIX_OK)
        status = mix_fail(err, MIX_ENOMEM, "not enough memory for the page.");
    return status;
}

static enum mix_status write_index(const struct page *page, const char *folder, size_t *n_bytes,
                                   struct mix_error *err)
{
    char path[2 * MIX_TEXT_MAX];
    snprintf(path, sizeof path, "%s/index.html", folder);
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return mix_fail(err, MIX_EIO, "cannot write %s: %s.", path, strerror(errno));
    enum mix_status status = plot_assemble(page, folder, out, err);
    const long end = ftell(out);
    const bool bad = ferror(out) != 0;
    if ((fclose(out) != 0 || bad || end < 0) && status == MIX_OK)
        status = mix_fail(err, MIX_EIO, "cannot write %s: %s.", path, strerror(errno));
    *n_bytes = (size_t)end;
    return status;
}

static enum mix_status write_files(const struct report_data *data, const struct folder *folder,
                                   struct mix_report *out, struct mix_error *err)
{
    struct page page;
    enum mix_status status = MIX_OK;
    if (!page_open(&page))
        status = mix_fail(err, MIX_ENOMEM, "not enough memory for the page.");
    if (status == MIX_OK)
        status = write_page(&page, data, &out->n_sections, err);
    if (status == MIX_OK)
        status = plot_draw(&page, folder->work, err);
    if (status == MIX_OK)
        status = write_index(&page, folder->work, &out->n_bytes, err);
    out->n_figures = page.n_figures;
    if (status == MIX_OK)
        status = folder_publish(folder, page.n_figures, page.figures, err);
    page_clear(&page);
    return status;
}

enum mix_status mix_report_write(const char *path, const char *dir, bool force,
                                 struct mix_report *out, struct mix_error *err)
{
    struct report_data data;
    struct folder folder;
    struct mix_report written = {0};
    enum mix_status status = report_read(path, &data, err);
    put_main_fit_first(&data);
    if (status == MIX_OK)
        status = folder_open(dir, force, &folder, err);
    if (status == MIX_OK) {
        status = write_files(&data, &folder, &written, err);
        folder_close(&folder);
    }
    report_data_clear(&data);
    if (status == MIX_OK && out != NULL)
        *out = written;
    return status;
}

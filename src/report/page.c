/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page.c - the markup of a report: every text is escaped here, and nowhere else is there any. */
#include "report/report_impl.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool page_open(struct page *page)
{
    *page = (struct page){.failed = false};
    page->html = open_memstream(&page->html_text, &page->n_html);
    page->script = open_memstream(&page->script_text, &page->n_script);
    return page->html != NULL && page->script != NULL;
}

bool page_close(struct page *page)
{
    bool good = !page->failed;
    FILE **const streams[] = {&page->html, &page->script};
    for (size_t i = 0; i < 2; i++) {
        if (*streams[i] == NULL)
            continue;
        good = ferror(*streams[i]) == 0 && good;
        good = fclose(*streams[i]) == 0 && good;
        *streams[i] = NULL;
    }
    return good;
}

void page_clear(struct page *page)
{
    (void)page_close(page);
    for (size_t i = 0; i < page->n_figures; i++) {
        free(page->figures[i].alt);
        free(page->figures[i].why);
    }
    free(page->figures);
    free(page->html_text);
    free(page->script_text);
    *page = (struct page){.failed = false};
}

size_t page_character(const unsigned char *text)
{
    const size_t n = *text < 0x80                     ? 1
                     : *text >= 0xc2 && *text <= 0xdf ? 2
                     : (*text & 0xf0) == 0xe0         ? 3
                     : *text >= 0xf0 && *text <= 0xf4 ? 4
                                                      : 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* What a browser would take as markup, or not take at all, becomes harmless. */
void page_escape(FILE *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        const size_t n = page_character(at);
        if (n == 0 || (*at < ' ' && *at != '\n') || *at == 127)
            fputc('?', out);
        else if (*at == '<')
            fputs("&lt;", out);
        else if (*at == '>')
            fputs("&gt;", out);
        else if (*at == '&')
            fputs("&amp;", out);
        else if (*at == '"')
            fputs("&quot;", out);
        else
            fwrite(at, 1, n, out);
        at += n > 0 ? n : 1;
    }
}

static void put_formatted(FILE *out, const char *format, va_list values)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, values);
    page_escape(out, text);
}

void page_raw(struct page *page, const char *markup)
{
    fputs(markup, page->html);
}

void page_text(struct page *page, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    put_formatted(page->html, format, values);
    va_end(values);
}

void page_element(struct page *page, const char *element, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(page->html, "<%s>", element);
    put_formatted(page->html, format, values);
    fprintf(page->html, "</%s>\n", element);
    va_end(values);
}

void page_warnings(struct page *page, const char *lines)
{
    while (*lines != '\0') {
        const size_t length = strcspn(lines, "\n");
        page_raw(page, "<p class=\"warning\">");
        page_text(page, "%.*s", (int)length, lines);
        page_raw(page, "</p>\n");
        lines += length + (lines[length] == '\n');
    }
}

/* ---- tables */

void page_table(struct page *page, const char *caption, bool folded, size_t n_columns,
                const char *const *heads)
{
    page_raw(page, folded ? "<details><summary>" : "<div class=\"wide\"><table><caption>");
    page_text(page, "%s", caption);
    page_raw(page, folded ? "</summary><div class=\"wide\"><table>\n" : "</caption>\n");
    page_raw(page, "<thead><tr>");
    for (size_t i = 0; i < n_columns; i++) {
        page_raw(page, "<th scope=\"col\">");
        page_text(page, "%s", heads[i]);
        page_raw(page, "</th>");
    }
    page_raw(page, "</tr></thead><tbody>");
}

static void end_row(struct page *page)
{
    page_raw(page, page->row ? "</tr>\n" : "\n");
    page->row = false;
}

void page_row(struct page *page)
{
    end_row(page);
    page_raw(page, "<tr>");
    page->row = true;
}

void page_cell(struct page *page, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    page_raw(page, "<td>");
    put_formatted(page->html, format, values);
    page_raw(page, "</td>");
    va_end(values);
}

void page_words(struct page *page, int n_columns, const char *text)
{
    char start[48];
    snprintf(start, sizeof start, "<td class=\"words\" colspan=\"%d\">", n_columns);
    page_raw(page, start);
    page_text(page, "%s", text);
    page_raw(page, "</td>");
}

void page_table_end(struct page *page, bool folded)
{
    end_row(page);
    page_raw(page, folded ? "</tbody></table></div></details>\n" : "</tbody></table></div>\n");
}

/* ---- figures */

void page_figures(struct page *page)
{
    page_raw(page, "<div class=\"figures\">\n");
}

void page_figures_end(struct page *page)
{
    page_raw(page, "</div>\n");
}

/* A file name and an id: what is neither a letter nor a digit becomes '-'. */
static void make_name(const struct page *page, const char *name, char out[MIX_NAME_MAX])
{
    enum { LENGTH = 48 };
    size_t n = 0;
    for (; *name != '\0' && n < LENGTH; name++) {
        const int c = tolower((unsigned char)*name);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out[n++] = (char)c;
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    for (size_t i = 0, same = 1; i < page->n_figures; i++)
        if (strcmp(page->figures[i].name, out) == 0) {
            snprintf(out + n, MIX_NAME_MAX - n, "-%zu", ++same);
            i = (size_t)-1; /* the new name may be taken, too */
        }
}

void page_figure(struct page *page, const char *name, int width, int height, const char *alt, ...)
{
    char text[1024];
    va_list values;
    va_start(values, alt);
    vsnprintf(text, sizeof text, alt, values);
    va_end(values);
    struct figure *larger = realloc(page->figures, (page->n_figures + 1) * sizeof *larger);
    if (larger == NULL) {
        page->failed = true;
        return;
    }
    page->figures = larger;
    struct figure figure = {.width = width, .height = height, .alt = strdup(text)};
    make_name(page, name, figure.name);
    page->failed = page->failed || figure.alt == NULL;
    fprintf(page->html, "<figure id=\"figure-%s\"%s>", figure.name,
            width > PLOT_WIDTH ? " class=\"large\"" : "");
    figure.html_at = (size_t)ftello(page->html);
    figure.script_at = (size_t)ftello(page->script);
    page->figures[page->n_figures++] = figure;
    page_raw(page, "</figure>\n");
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "reader.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/runs.h"

enum { NUMBER_MAX = 64 };

void take_number(struct reader *in, const char *key, const char *text, double min, double max,
                 double *out)
{
    double value;
    if (in->status != MIX_OK || !text)
        return;
    if (!mix_number_read(text, &value))
        FAIL(in, key, "\"%.40s\" is not a number.", text);
    else if (value < min || value > max)
        FAIL(in, key, "%.40s is not in %.15g … %.15g.", text, min, max);
    else
        *out = value;
}

void take_count(struct reader *in, const char *key, const char *text, size_t min, size_t max,
                size_t *out)
{
    double value = 0;
    if (in->status != MIX_OK || !text)
        return;
    take_number(in, key, text, (double)min, (double)max, &value);
    if (in->status != MIX_OK)
        return;
    if (value != floor(value))
        FAIL(in, key, "%.40s is not a whole number in %zu … %zu.", text, min, max);
    else
        *out = (size_t)value;
}

void take_int(struct reader *in, const char *key, const char *text, int min, int max, int *out)
{
    double value = 0;
    if (in->status != MIX_OK || !text)
        return;
    take_number(in, key, text, min, max, &value);
    if (in->status != MIX_OK)
        return;
    if (value != floor(value))
        FAIL(in, key, "%.40s is not a whole number in %d … %d.", text, min, max);
    else
        *out = (int)value;
}

/* "1-02:03:04" or "02:03:04" in seconds. */
static bool parse_clock(const char *text, double *out)
{
    unsigned days = 0, hours, minutes, seconds;
    int n_read = 0;
    if (strspn(text, "0123456789:-") != strlen(text) || strlen(text) > 16)
        return false;
    if (sscanf(text, "%4u-%2u:%2u:%2u%n", &days, &hours, &minutes, &seconds, &n_read) != 4) {
        days = 0;
        n_read = 0;
        if (sscanf(text, "%6u:%2u:%2u%n", &hours, &minutes, &seconds, &n_read) != 3)
            return false;
    }
    if (text[n_read] || minutes > 59 || seconds > 59)
        return false;
    *out = ((days * 24.0 + hours) * 60 + minutes) * 60 + seconds;
    return true;
}

/* The number before a unit, and the unit; NULL where there is no number. */
static const char *split_unit(const char *text, double *number)
{
    char digits[NUMBER_MAX];
    const size_t n = strspn(text, "0123456789._");
    if (n == 0 || n >= sizeof digits)
        return NULL;
    memcpy(digits, text, n);
    digits[n] = '\0';
    return mix_number_read(digits, number) ? text + n + (text[n] == ' ') : NULL;
}

void take_seconds(struct reader *in, const char *key, const char *text, double min, double max,
                  double *out)
{
    static const char units[] = "smhd";
    static const double factor[] = {1, 60, 3600, 86400};
    double value = 0;
    if (in->status != MIX_OK || !text)
        return;
    if (!parse_clock(text, &value)) {
        const char *unit = split_unit(text, &value);
        const char *known = unit && *unit && !unit[1] ? strchr(units, *unit) : NULL;
        if (!known) {
            FAIL(in, key, "\"%.40s\" is not a duration such as 300s, 20m, 2h, 1d or 01:30:00.",
                 text);
            return;
        }
        value *= factor[known - units];
    }
    if (value < min || value > max)
        FAIL(in, key, "%.40s is not in %.15gs … %.15gs.", text, min, max);
    else
        *out = value;
}

void take_bytes(struct reader *in, const char *key, const char *text, double *out)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"B", 1},
                 {"kB", 1e3},
                 {"KB", 1e3},
                 {"MB", 1e6},
                 {"GB", 1e9},
                 {"TB", 1e12},
                 {"KiB", 1024.0},
                 {"MiB", 1048576.0},
                 {"K", 1024.0},
                 {"M", 1048576.0},
                 {"GiB", 1073741824.0},
                 {"G", 1073741824.0},
                 {"TiB", 1099511627776.0},
                 {"T", 1099511627776.0}};
    double value = 0;
    if (in->status != MIX_OK || !text)
        return;
    const char *unit = split_unit(text, &value);
    for (size_t i = 0; unit && i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0 && value * units[i].factor <= 1e18) {
            *out = value * units[i].factor;
            return;
        }
    FAIL(in, key, "\"%.40s\" is not an amount such as 4GB (10^9), 16GiB (2^30) or 16G (2^30).",
         text);
}

void take_seed(struct reader *in, const char *key, const char *text, uint64_t *out)
{
    if (in->status != MIX_OK || !text)
        return;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!strchr("0123456789", text[0]) || !text[0] || *end || errno == ERANGE)
        FAIL(in, key, "\"%.40s\" is not a whole number in 0 … 18446744073709551615.", text);
    else
        *out = value;
}

void take_bool(struct reader *in, const char *key, const char *text, bool *out)
{
    if (in->status != MIX_OK || !text)
        return;
    if (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0)
        *out = true;
    else if (strcmp(text, "false") == 0 || strcmp(text, "no") == 0)
        *out = false;
    else
        FAIL(in, key, "\"%.40s\" is neither true nor false.", text);
}

void take_word(struct reader *in, const char *key, const char *text, const char *const *words,
               size_t n_words, int *out)
{
    char list[MIX_TEXT_MAX] = "";
    size_t at = 0;
    if (in->status != MIX_OK || !text)
        return;
    for (size_t i = 0; i < n_words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (int)i;
            return;
        }
        int wrote = snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", words[i]);
        at += wrote > 0 && (size_t)wrote < sizeof list - at ? (size_t)wrote : 0;
    }
    FAIL(in, key, "\"%.40s\" is not one of %s.", text, list);
}

void take_text(struct reader *in, const char *key, const char *text, char *out, size_t size)
{
    if (in->status != MIX_OK || !text)
        return;
    size_t n = strlen(text);
    if (n == 0 || n >= size) {
        FAIL(in, key, "a text of %zu bytes is not in 1 … %zu.", n, size - 1);
        return;
    }
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) {
            FAIL(in, key, "control characters are not allowed.");
            return;
        }
    memcpy(out, text, n + 1);
}

/* A name that can stand in a column, a `where` term and a parameter's brackets.
 */
void take_name(struct reader *in, const char *key, const char *text, char *out, size_t size)
{
    take_text(in, key, text, out, size);
    if (in->status != MIX_OK || !text)
        return;
    size_t n = strlen(text);
    const char *bad = strpbrk(text, MIX_NOT_IN_NAMES);
    if (bad)
        FAIL(in, key, "a name has none of , = < > ! [ ] \" and /, but \"%s\" has %c.", text, *bad);
    else if (text[0] == ' ' || text[n - 1] == ' ')
        FAIL(in, key, "a name neither begins nor ends with a space.");
}

void take_copy(struct reader *in, const char *text, const char **out)
{
    if (in->status != MIX_OK || !text)
        return;
    size_t n = strlen(text) + 1;
    char *copy = malloc(n);
    if (!copy) {
        in->status = mix_fail(in->err, MIX_ENOMEM, "%s: out of memory.", in->document.path);
        return;
    }
    memcpy(copy, text, n);
    *out = copy;
}

void take_texts(struct reader *in, const char *key, size_t *n, char ***out)
{
    const char *text;
    size_t n_texts = 0;
    while (in->status == MIX_OK && job_document_item(&in->document, key, n_texts, &text))
        n_texts++;
    if (n_texts == 0)
        return;
    *out = take_memory(in, n_texts + 1, sizeof **out);
    for (size_t i = 0; *out && in->status == MIX_OK && i < n_texts; i++) {
        const char *copy = NULL;
        job_document_item(&in->document, key, i, &text);
        take_copy(in, text, &copy);
        (*out)[i] = (char *)copy;
        *n = i + 1;
    }
}

void job_free_texts(size_t n, char **texts)
{
    for (size_t i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

void take_ints(struct reader *in, const char *key, int min, int max, size_t n_max, size_t *n,
               int *out)
{
    const char *text;
    size_t line = 0;
    for (; in->status == MIX_OK && job_document_item(&in->document, key, line, &text); line++) {
        ITEM_KEY(item, "%.100s[%zu]", key, line);
        if (line == n_max) {
            FAIL(in, key, "has more than %zu entries.", n_max);
            return;
        }
        take_int(in, item, text, min, max, &out[line]);
    }
    if (line > 0 || job_document_has(&in->document, key))
        *n = line;
}

void *take_memory(struct reader *in, size_t n, size_t size)
{
    void *memory = in->status == MIX_OK ? calloc(n ? n : 1, size) : NULL;
    if (!memory && in->status == MIX_OK)
        in->status = mix_fail(in->err, MIX_ENOMEM, "%s: out of memory.", in->document.path);
    return memory;
}

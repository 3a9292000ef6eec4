/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mixture.c - mixtures as people write them: NAME=SHARE lists on the command
 * line, files of `domain,share` lines, `domain: share` lines or a JSON object.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20 };
static const double SUM_TOLERANCE = 1e-3; /* shares are often rounded to three digits */

/* A mixture that is being filled; `where` opens every sentence: "--mixture",
 * "base.csv, line 3". */
struct filling {
    size_t n_domains;
    const char (*domains)[MIX_NAME_MAX];
    double *mixture;      /* (K) NaN = not named yet */
    enum mix_status fail; /* MIX_EUSAGE on the command line, MIX_EINVAL in a file */
};

static enum mix_status fail_unknown(const struct filling *filling, const char *where,
                                    const char *name, struct mix_error *err)
{
    const char *names[MIX_DOMAINS_MAX];
    size_t n = 0;
    for (; n < filling->n_domains && n < MIX_DOMAINS_MAX; n++)
        names[n] = filling->domains[n];
    const char *nearest = cli_nearest(name, names, n);
    if (nearest != NULL)
        return mix_fail(err, filling->fail, "%s: there is no domain %s; did you mean %s?", where,
                        name, nearest);
    return mix_fail(err, filling->fail, "%s: there is no domain %s; the first of the %zu is %s.",
                    where, name, n, names[0]);
}

static enum mix_status fill(struct filling *filling, const char *where, const char *name,
                            double share, struct mix_error *err)
{
    size_t j = 0;
    while (j < filling->n_domains && strcmp(filling->domains[j], name) != 0)
        j++;
    if (j == filling->n_domains)
        return fail_unknown(filling, where, name, err);
    if (!isnan(filling->mixture[j]))
        return mix_fail(err, filling->fail, "%s: domain %s is given twice.", where, name);
    if (!(share >= 0.0 && share <= 1.0))
        return mix_fail(err, filling->fail, "%s: the share %g of %s is not in [0, 1].", where,
                        share, name);
    filling->mixture[j] = share;
    return MIX_OK;
}

static void begin(struct filling *filling)
{
    for (size_t j = 0; j < filling->n_domains; j++)
        filling->mixture[j] = NAN;
}

/* Domains that were not named have no share; rounded sums are made 1. */
static enum mix_status finish(struct filling *filling, const char *where, struct mix_error *err)
{
    double sum = 0.0;
    for (size_t j = 0; j < filling->n_domains; j++) {
        if (isnan(filling->mixture[j]))
            filling->mixture[j] = 0.0;
        sum += filling->mixture[j];
    }
    if (!(fabs(sum - 1.0) <= SUM_TOLERANCE))
        return mix_fail(err, filling->fail,
                        "%s: the shares sum to %g; they must sum to 1 within %g.", where, sum,
                        SUM_TOLERANCE);
    for (size_t j = 0; j < filling->n_domains; j++)
        filling->mixture[j] /= sum;
    return MIX_OK;
}

enum mix_status cli_parse_mixture(const char *option, const char *text, size_t n_domains,
                                  const char (*domains)[MIX_NAME_MAX], double *mixture,
                                  struct mix_error *err)
{
    struct filling filling = {n_domains, domains, mixture, MIX_EUSAGE};
    char where[MIX_NAME_MAX], name[MIX_NAME_MAX];
    snprintf(where, sizeof where, "--%s", option);
    begin(&filling);
    char *copy = strdup(text);
    if (copy == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for --%s", option);
    enum mix_status status = MIX_OK;
    for (char *term = copy, *next = NULL; term != NULL && status == MIX_OK; term = next) {
        double share = 0.0;
        next = strchr(term, ',');
        if (next != NULL)
            *next++ = '\0';
        status = cli_parse_assignment(option, term, name, &share, err);
        if (status == MIX_OK)
            status = fill(&filling, where, name, share, err);
    }
    free(copy);
    return status == MIX_OK ? finish(&filling, where, err) : status;
}

static enum mix_status read_text(const char *path, char **out, struct mix_error *err)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mix_fail(err, MIX_EIO, "cannot read %s: %s.", path, strerror(errno));
    char *text = malloc(FILE_BYTES_MAX + 1);
    const size_t n = text != NULL ? fread(text, 1, FILE_BYTES_MAX, file) : 0;
    enum mix_status status = MIX_OK;
    if (text == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %s", path);
    else if (ferror(file))
        status = mix_fail(err, MIX_EIO, "cannot read %s: %s.", path, strerror(errno));
    else if (n == FILE_BYTES_MAX || memchr(text, '\0', n) != NULL)
        status = mix_fail(err, MIX_EINVAL, "%s is no mixture: it is too long or not text.", path);
    fclose(file);
    if (status != MIX_OK) {
        free(text);
        return status;
    }
    text[n] = '\0';
    *out = text;
    return MIX_OK;
}

/* {"a": 0.3, "b": 0.7}, alone or as "mixture" of a larger object such as our
 * own output. */
static enum mix_status fill_from_json(struct filling *filling, const char *path, const char *text,
                                      struct mix_error *err)
{
    json_error_t json_error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &json_error);
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s, line %d: %s.", path, json_error.line,
                        json_error.text);
    json_t *shares = json_object_get(root, "mixture");
    if (!json_is_object(shares))
        shares = root;
    enum mix_status status = MIX_OK;
    const char *name;
    json_t *share;
    json_object_foreach(shares, name, share)
    {
        if (!json_is_number(share))
            status = mix_fail(err, MIX_EINVAL, "%s: the share of %s is not a number.", path, name);
        else
            status = fill(filling, path, name, json_number_value(share), err);
        if (status != MIX_OK)
            break;
    }
    json_decref(root);
    return status;
}

/* The name that opens a line, perhaps in double quotes; returns what follows
 * its comma or colon, NULL where there is none. */
static const char *read_name(const char *line, char name[MIX_NAME_MAX])
{
    size_t n = 0;
    const bool quoted = *line == '"';
    for (line += quoted; *line != '\0'; line++) {
        if (quoted && line[0] == '"' && line[1] == '"')
            line++;
        else if (quoted ? *line == '"' : *line == ',' || *line == ':')
            break;
        if (n + 1 < MIX_NAME_MAX)
            name[n++] = *line;
    }
    while (!quoted && n > 0 && isspace((unsigned char)name[n - 1]))
        n--;
    name[n] = '\0';
    line += quoted && *line == '"';
    line += strspn(line, " \t");
    return *line == ',' || *line == ':' ? line + 1 : NULL;
}

static enum mix_status fill_from_line(struct filling *filling, const char *path, size_t number,
                                      const char *line, struct mix_error *err)
{
    char where[MIX_TEXT_MAX], name[MIX_NAME_MAX];
    snprintf(where, sizeof where, "%.400s, line %zu", path, number);
    const char *value = read_name(line, name);
    char *end = NULL;
    const double share = value != NULL ? strtod(value, &end) : NAN;
    const bool is_number = value != NULL && end != value;
    if (is_number)
        end += strspn(end, " \t");
    if (!is_number || (*end != '\0' && *end != ',')) {
        if (number == 1 && value != NULL && !is_number)
            return MIX_OK; /* the line of column names */
        return mix_fail(err, MIX_EINVAL, "%s: \"%.40s\" is not DOMAIN,SHARE.", where, line);
    }
    return fill(filling, where, name, share, err);
}

static enum mix_status fill_from_lines(struct filling *filling, const char *path, char *text,
                                       struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    size_t number = 0;
    for (char *line = text, *next = NULL; line != NULL && status == MIX_OK; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        number++;
        line += strspn(line, " \t");
        line[strcspn(line, "\r")] = '\0';
        if (*line != '\0' && *line != '#')
            status = fill_from_line(filling, path, number, line, err);
    }
    return status;
}

enum mix_status cli_read_mixture(const char *path, size_t n_domains,
                                 const char (*domains)[MIX_NAME_MAX], double *mixture,
                                 struct mix_error *err)
{
    struct filling filling = {n_domains, domains, mixture, MIX_EINVAL};
    char *text = NULL;
    enum mix_status status = read_text(path, &text, err);
    if (status != MIX_OK)
        return status;
    begin(&filling);
    char *start = text + (strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0);
    if (start[strspn(start, " \t\r\n")] == '{')
        status = fill_from_json(&filling, path, start, err);
    else
        status = fill_from_lines(&filling, path, start, err);
    free(text);
    return status == MIX_OK ? finish(&filling, path, err) : status;
}

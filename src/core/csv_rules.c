/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_rules.c - see csv_rules.h. */
#include "core/csv_rules.h"

#include <stdlib.h>
#include <string.h>

enum { GROUPS = 10, TOLD = 6, TOLD_BYTES = 512 };

static const char *pattern_of(const struct mix_map *map, size_t i, const char **key)
{
    const size_t n = map->n_drop + map->n_regex;
    *key = i < map->n_drop ? "drop" : i < n ? "regex" : "factor";
    return i < map->n_drop ? map->drop[i]
           : i < n         ? map->regex[i - map->n_drop].name
                           : map->factors[i - n].match;
}

enum mix_status csv_rules_make(const struct mix_map *map, struct csv_rules *out,
                               struct mix_error *err)
{
    *out = (struct csv_rules){.map = map};
    if (map == NULL)
        return MIX_OK;
    const size_t n = map->n_drop + map->n_regex + map->n_factors;
    out->patterns = calloc(n + 1, sizeof *out->patterns);
    out->used = calloc(map->n_rename + map->n_regex + 1, sizeof *out->used);
    if (out->patterns == NULL || out->used == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for %s.", map->path);
    for (size_t i = 0; i < n; i++) {
        const char *key, *pattern = pattern_of(map, i, &key);
        const int failure = regcomp(&out->patterns[i], pattern, REG_EXTENDED);
        if (failure != 0) {
            char reason[128];
            (void)regerror(failure, &out->patterns[i], reason, sizeof reason);
            return mix_fail(err, MIX_EINVAL,
                            "%s, key %s: \"%.80s\" is not a regular expression: %s.", map->path,
                            key, pattern, reason);
        }
        out->n_compiled++;
    }
    return MIX_OK;
}

void csv_rules_free(struct csv_rules *rules)
{
    for (size_t i = 0; i < rules->n_compiled; i++)
        regfree(&rules->patterns[i]);
    free(rules->patterns);
    free(rules->used);
    *rules = (struct csv_rules){.map = NULL};
}

/* POSIX takes the longest match, so a pattern that fits the whole name is found to do so. */
static bool fits(const regex_t *regex, const char *name, regmatch_t groups[GROUPS])
{
    return regexec(regex, name, GROUPS, groups, 0) == 0 && groups[0].rm_so == 0 &&
           name[groups[0].rm_eo] == '\0';
}

/* The replacement with \0 .. \9 filled in; false where it is too long. */
static bool replace(const char *name, const regmatch_t groups[GROUPS], const char *to,
                    char out[CSV_NAME_BYTES])
{
    size_t n = 0;
    for (; *to != '\0'; to++) {
        const char *from = to;
        size_t length = 1;
        if (to[0] == '\\' && to[1] >= '0' && to[1] <= '9') {
            const regmatch_t *group = &groups[*++to - '0'];
            from = group->rm_so >= 0 ? name + group->rm_so : name;
            length = group->rm_so >= 0 ? (size_t)(group->rm_eo - group->rm_so) : 0;
        }
        if (n + length >= CSV_NAME_BYTES)
            return false;
        memcpy(out + n, from, length);
        n += length;
    }
    out[n] = '\0';
    return true;
}

static bool is_dropped(const struct csv_rules *rules, const char *original)
{
    regmatch_t groups[GROUPS];
    for (size_t i = 0; i < rules->map->n_drop; i++)
        if (fits(&rules->patterns[i], original, groups))
            return true;
    return false;
}

enum mix_status csv_rules_name(struct csv_rules *rules, const char *original, enum csv_fate *fate,
                               char name[CSV_NAME_BYTES], struct mix_error *err)
{
    const struct mix_map *map = rules->map;
    bool is_short = true;
    *fate = map != NULL && is_dropped(rules, original) ? CSV_DROPPED : CSV_KEPT;
    if (map == NULL || *fate == CSV_DROPPED)
        return MIX_OK;
    for (size_t i = 0; i < map->n_rename; i++)
        if (strcmp(original, map->rename[i].name) == 0) {
            is_short = snprintf(name, CSV_NAME_BYTES, "%s", map->rename[i].value) < CSV_NAME_BYTES;
            *fate = CSV_RENAMED;
            rules->used[i] = 1;
        }
    for (size_t i = 0; i < map->n_regex; i++) {
        regmatch_t groups[GROUPS];
        if (!fits(&rules->patterns[map->n_drop + i], original, groups))
            continue;
        rules->used[map->n_rename + i] = 1;
        if (*fate == CSV_RENAMED)
            continue;
        is_short = replace(original, groups, map->regex[i].value, name);
        *fate = CSV_RENAMED;
    }
    return is_short
               ? MIX_OK
               : mix_fail(err, MIX_EINVAL, "%s: the new name of \"%.80s\" is longer than %d bytes.",
                          map->path, original, CSV_NAME_BYTES - 1);
}

/* "FILE (a, b, c, ...)": names as the rules see them, but in the long form, where they are gone. */
static void tell_columns(const struct mix_map *map, const struct csv_text *text,
                         char told[TOLD_BYTES])
{
    char *at = told, *const end = told + TOLD_BYTES;
    at += snprintf(at, TOLD_BYTES, "%.200s (", text->columns[0].file);
    for (size_t c = 0; c < text->n_columns && c <= TOLD; c++) {
        const struct csv_column *column = &text->columns[c];
        const char *name = map->long_target != NULL ? column->name : column->original;
        at +=
            snprintf(at, (size_t)(end - at), "%s%.40s", c > 0 ? ", " : "", c < TOLD ? name : "...");
    }
    snprintf(at, (size_t)(end - at), ")");
}

enum mix_status csv_rules_all_used(const struct csv_rules *rules, const struct csv_text *text,
                                   const struct csv_text *metrics, struct mix_error *err)
{
    const struct mix_map *map = rules->map;
    char first[TOLD_BYTES], second[TOLD_BYTES] = "";
    const size_t n = map != NULL ? map->n_rename + map->n_regex : 0;
    size_t i = 0;
    while (i < n && rules->used[i])
        i++;
    if (i == n)
        return MIX_OK;
    tell_columns(map, text, first);
    if (metrics != NULL)
        tell_columns(map, metrics, second);
    const bool is_rename = i < map->n_rename;
    return mix_fail(err, MIX_EINVAL, "%s, key %s: \"%.80s\" fits no column%s of %s%s%s.", map->path,
                    is_rename ? "rename" : "regex",
                    is_rename ? map->rename[i].name : map->regex[i - map->n_rename].name,
                    map->long_target != NULL ? " or target" : "", first,
                    metrics != NULL ? " or " : "", second);
}

enum mix_status csv_rules_factors(const struct csv_rules *rules, struct csv_text *text,
                                  struct mix_error *err)
{
    const struct mix_map *map = rules->map;
    uint8_t done[CSV_COLUMNS_MAX] = {0};
    for (size_t i = 0; map != NULL && i < map->n_factors; i++) {
        const regex_t *regex = &rules->patterns[map->n_drop + map->n_regex + i];
        bool found = false;
        for (size_t c = 0; c < text->n_columns; c++) {
            regmatch_t groups[GROUPS];
            if (!fits(regex, text->columns[c].name, groups))
                continue;
            found = true;
            if (!done[c])
                text->columns[c].factor = map->factors[i].factor;
            done[c] = 1;
        }
        if (!found) /* a misspelt one would leave a column in the wrong unit */
            return mix_fail(err, MIX_EINVAL, "%s, key factor: \"%.80s\" fits no column.", map->path,
                            map->factors[i].match);
    }
    return MIX_OK;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* choose.c - what an option names: a fit, an optimum, a domain or target of a fit. */
#include "cli.h"

#include <jansson.h>
#include <string.h>

#include "mixsweep/store.h"

enum { LISTED = 8 }; /* of the names there are */

/* "a, b, c, ..." */
static void join_names(const char (*names)[MIX_NAME_MAX], size_t n,
                       char text[LISTED * (MIX_NAME_MAX + 2) + 8])
{
    char *at = text;
    *at = '\0';
    for (size_t i = 0; i < n && i < LISTED; i++)
        at += snprintf(at, MIX_NAME_MAX + 2, "%s%s", i > 0 ? ", " : "", names[i]);
    if (n > LISTED)
        snprintf(at, 8, ", ...");
}

enum mix_status cli_unknown_name(const char *option, const char *text, const char *holder,
                                 const char *kind, const char *name,
                                 const char (*names)[MIX_NAME_MAX], size_t n, struct mix_error *err)
{
    const char *known[MIX_DOMAINS_MAX] = {NULL};
    char list[LISTED * (MIX_NAME_MAX + 2) + 8];
    const size_t n_known = n < MIX_DOMAINS_MAX ? n : MIX_DOMAINS_MAX;
    for (size_t i = 0; i < n_known; i++)
        known[i] = names[i];
    join_names(names, n, list);
    const char *nearest = cli_nearest(name, known, n_known);
    return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\": %s has no %s %.80s%s%s%s has %s.", option,
                    text, holder, kind, name[0] != '\0' ? name : "\"\"",
                    nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "? It" : "; it", list);
}

enum mix_status cli_check_name(const char *option, const char *name, struct mix_error *err)
{
    json_t *text = json_string(name); /* NULL: not UTF-8 */
    bool is_fine = text != NULL && name[0] != '\0' && name[0] != '.' &&
                   strlen(name) < MIX_NAME_MAX && strchr(name, '/') == NULL;
    json_decref(text);
    for (const char *c = name; *c != '\0'; c++)
        is_fine = is_fine && (unsigned char)*c >= ' ' && *c != 0x7f;
    if (is_fine)
        return MIX_OK;
    return mix_fail(err, MIX_EUSAGE,
                    "--%s \"%.80s\": not 1 to %d bytes of text without / and control characters, "
                    "no dot in front.",
                    option, name, MIX_NAME_MAX - 1);
}

enum mix_status cli_unknown_result(struct mix_store *store, const char *option, const char *group,
                                   const char *kind, const char *name, struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, group, &names, err);
    if (status == MIX_OK && names.n == 0)
        status = mix_fail(err, MIX_ENOTFOUND, "%s has no %s yet, nor --%s \"%.80s\"",
                          mix_store_path(store), kind, option, name);
    else if (status == MIX_OK)
        status = cli_unknown_name(option, name, mix_store_path(store), kind, name,
                                  (const char(*)[MIX_NAME_MAX])names.name, names.n, err);
    mix_names_destroy(&names);
    return status;
}

enum mix_status cli_only_result(struct mix_store *store, const char *option, const char *group,
                                const char *kinds, char name[MIX_NAME_MAX], struct mix_error *err)
{
    struct mix_names names = {0};
    char list[LISTED * (MIX_NAME_MAX + 2) + 8];
    const enum mix_status status = mix_store_list(store, group, &names, err);
    name[0] = '\0';
    if (status != MIX_OK)
        return status;
    const size_t n = names.n;
    join_names((const char(*)[MIX_NAME_MAX])names.name, n, list);
    if (n == 1)
        memcpy(name, names.name[0], MIX_NAME_MAX);
    mix_names_destroy(&names);
    if (n > 1)
        return mix_fail(err, MIX_EUSAGE, "%s has %zu %s: say which by --%s (%s).",
                        mix_store_path(store), n, kinds, option, list);
    return MIX_OK;
}

enum mix_status cli_read_fit(struct mix_store *store, const char *name, struct mix_fit **fit,
                             struct mix_draws **draws, struct mix_error *err)
{
    char only[MIX_NAME_MAX] = "";
    enum mix_status status =
        name != NULL ? MIX_OK : cli_only_result(store, "fit", "fits", "fits", only, err);
    if (status == MIX_OK && name == NULL && only[0] == '\0')
        return mix_fail(err, MIX_ENOTFOUND,
                        "%s has no fit yet: run mixsweep fit %s --law LAW first",
                        mix_store_path(store), mix_store_path(store));
    if (status == MIX_OK)
        status = mix_store_read_fit(store, name != NULL ? name : only, fit, err);
    if (status == MIX_ENOTFOUND && name != NULL)
        return cli_unknown_result(store, "fit", "fits", "fit", name, err);
    if (status != MIX_OK)
        return status;
    status = mix_store_read_draws(store, (*fit)->name, draws, err);
    if (status == MIX_ENOTFOUND)
        return mix_fail(err, MIX_OK, "%s", "");
    return status;
}

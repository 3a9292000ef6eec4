/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dependents.c - what was made from a fit goes when the fit is made anew. */
#include <stdio.h>
#include <string.h>

#include "mixsweep/store.h"

static enum mix_status drop_one(struct mix_store *store, const char *kind, const char *name,
                                char *dropped, struct mix_error *err)
{
    const size_t used = strlen(dropped);
    snprintf(dropped + used, MIX_TEXT_MAX - used, "%s%s %s", used > 0 ? ", " : "", kind, name);
    return mix_store_drop(store, kind, name, err);
}

enum mix_status mix_store_drop_optima(struct mix_store *store, const char *fit, char *dropped,
                                      struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "optimum", &names, err);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++) {
        struct mix_optimum *optimum = NULL;
        status = mix_store_read_optimum(store, names.name[i], &optimum, err);
        if (status == MIX_OK && strcmp(optimum->fit, fit) == 0)
            status = drop_one(store, "optimum", names.name[i], dropped, err);
        mix_optimum_destroy(optimum);
    }
    mix_names_destroy(&names);
    return status;
}

enum mix_status mix_store_drop_dependents(struct mix_store *store, const char *fit, char *dropped,
                                          struct mix_error *err)
{
    struct mix_names names = {0};
    dropped[0] = '\0';
    enum mix_status status = mix_store_list(store, "bootstrap", &names, err);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        if (strcmp(names.name[i], fit) == 0)
            status = drop_one(store, "bootstrap", fit, dropped, err);
    mix_names_destroy(&names);
    return status == MIX_OK ? mix_store_drop_optima(store, fit, dropped, err) : status;
}

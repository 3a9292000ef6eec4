/* SPDX-License-Identifier: GPL-3.0-or-later */
/* csv_fields.c - the columns of our form; see csv_text.h. */
#include "core/csv_text.h"

#include <limits.h>
#include <string.h>

#define LABEL(member)                                                                              \
    {                                                                                              \
        .name = #member, .kind = CSV_LABEL, .offset = offsetof(struct mix_run, member),            \
        .size = sizeof(((struct mix_run *)0)->member)                                              \
    }
#define NUMBER(member, number_kind)                                                                \
    {                                                                                              \
        .name = #member, .kind = (number_kind), .offset = offsetof(struct mix_run, member)         \
    }
#define WHOLE(member, least, largest)                                                              \
    {                                                                                              \
        .name = #member, .kind = CSV_WHOLE, .offset = offsetof(struct mix_run, member),            \
        .min = (least), .max = (largest)                                                           \
    }

/* In the order in which they are written. */
const struct csv_field csv_fields[CSV_FIELDS] = {
    LABEL(run),
    NUMBER(n_params, CSV_SIZE),
    NUMBER(n_tokens, CSV_SIZE),
    NUMBER(n_tokens_planned, CSV_SIZE),
    NUMBER(n_params_non_embedding, CSV_SIZE),
    NUMBER(n_params_active, CSV_SIZE),
    NUMBER(flops, CSV_SIZE),
    NUMBER(seed, CSV_SEED),
    LABEL(schedule),
    LABEL(recipe),
    WHOLE(status, MIX_RUN_DONE, MIX_RUN_INTERRUPTED),
    WHOLE(attempts, 0, INT_MAX),
    WHOLE(exit_code, INT_MIN, INT_MAX),
    WHOLE(rank, 0, INT_MAX),
    NUMBER(wall_s, CSV_TIME),
    NUMBER(started, CSV_TIME),
    NUMBER(ended, CSV_TIME),
    LABEL(host),
    WHOLE(excluded, 0, 1),
    LABEL(reason),
    WHOLE(round, 0, INT_MAX),
};

const struct csv_field *csv_field_find(const char *name)
{
    for (size_t i = 0; i < CSV_FIELDS; i++)
        if (strcmp(csv_fields[i].name, name) == 0)
            return &csv_fields[i];
    return NULL;
}

const char *const csv_prefixes[CSV_VECTORS] = {
    [CSV_H] = "h_",           [CSV_ASKED] = "asked_", [CSV_EPOCHS] = "epochs_",
    [CSV_UNIQUE] = "unique_", [CSV_LOSS] = "loss_",   [CSV_SE] = "se_",
};

enum csv_vector csv_vector_find(const char *name, const char **rest)
{
    for (int v = 0; v < CSV_VECTORS; v++)
        if (strncmp(name, csv_prefixes[v], strlen(csv_prefixes[v])) == 0) {
            *rest = name + strlen(csv_prefixes[v]);
            return (enum csv_vector)v;
        }
    return CSV_VECTORS;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as the result of a run: refused with a sentence, or rows that the store takes. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rows(const struct mix_table *rows)
{
    const struct mix_run *last = &rows->runs[rows->n_rows - 1];
    if (last->n_tokens != 2e9 || !last->is_final)
        abort();
    for (size_t r = 0; r < rows->n_rows; r++) {
        const double *shares = &rows->mixture[2 * r];
        if (!(fabs(shares[0] + shares[1] - 1) < 1e-9) ||
            (r > 0 && rows->runs[r].n_tokens <= rows->runs[r - 1].n_tokens))
            abort();
        for (size_t m = 0; m < 2; m++)
            if (isinf(rows->loss[2 * r + m]) || rows->loss[2 * r + m] < 0 ||
                rows->loss_se[2 * r + m] < 0)
                abort();
    }
}

/* What is packed for the log comes out of it again. */
static void check_store(const struct mix_table *rows)
{
    struct mix_error err = {.text = ""};
    struct mix_table *again = mix_table_create(2, 2);
    void *bytes = NULL;
    size_t n_bytes = 0;
    if (!again || mix_store_result_pack(rows, &bytes, &n_bytes, &err) != MIX_OK)
        exit(1);
    memcpy(again->domains, rows->domains, 2 * sizeof *rows->domains);
    memcpy(again->targets, rows->targets, 2 * sizeof *rows->targets);
    if (mix_store_result_unpack(again, bytes, n_bytes, &err) != MIX_OK ||
        again->n_rows != rows->n_rows)
        abort();
    free(bytes);
    mix_table_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* One of the targets has a name that the form uses itself. */
    struct mix_domain domains[2] = {{.name = "web", .supply_tokens = 1e9},
                                    {.name = "code", .supply_tokens = NAN}};
    struct mix_target targets[2] = {{.name = "web"}, {.name = "loss"}};
    struct mix_job_scale scale = {
        .n_params = 1e6, .n_tokens = 2e9, .n_checkpoints = 2, .checkpoints = {1e9, 2e9}};
    const double mixture[2] = {0.25, 0.75};
    struct mix_job job = {.n_domains = 2,
                          .domains = domains,
                          .n_targets = 2,
                          .targets = targets,
                          .n_scales = 1,
                          .scales = &scale,
                          .match_tokens = NAN,
                          .command = {.loss_min = 0, .loss_max = 100}};
    struct mix_request request = {.job = &job, .scale = &scale, .mixture = mixture};
    struct mix_error err = {.text = ""};
    struct mix_table *rows = mix_table_create(2, 2);
    if (!rows)
        return 0;
    memcpy(rows->domains, domains, sizeof domains);
    memcpy(rows->targets, targets, sizeof targets);
    request.run = (struct mix_run){.run = "a",
                                   .n_params = 1e6,
                                   .n_params_non_embedding = NAN,
                                   .n_params_active = NAN,
                                   .n_tokens = 2e9,
                                   .n_tokens_planned = 2e9,
                                   .flops = 1e16,
                                   .attempts = 1,
                                   .wall_s = NAN,
                                   .started = NAN,
                                   .ended = NAN};
    const enum mix_status status = mix_result_parse(&request, (const char *)data, size, rows, &err);
    if ((status == MIX_OK) != (rows->n_rows > 0) || (status != MIX_OK && !err.text[0]))
        abort();
    if (status == MIX_OK) {
        check_rows(rows);
        check_store(rows);
    }
    size_t length = 0;
    const char *line = mix_result_find(&request, (const char *)data, size, false, &length);
    if (line && (line < (const char *)data || line + length > (const char *)data + size))
        abort();
    char *clean = mix_result_clean_text((const char *)data, size);
    free(clean);
    mix_table_destroy(rows);
    return 0;
}

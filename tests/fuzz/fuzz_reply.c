/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as the answer of an external trainer, to every kind of request: refused with a
 * sentence, or finite numbers for all that was asked. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "online/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { M = 2 };

/* The numbers that were asked for, and those that were not. */
static void check_numbers(const double *value, size_t n, bool asked)
{
    for (size_t i = 0; i < n; i++)
        if (asked != (isfinite(value[i]) != 0))
            abort();
}

static void check(const struct reply_form *form, const struct reply *reply)
{
    const bool measured = form->kind == REPLY_MEASURED;
    const bool loss = measured && (form->measure & MIX_MEASURE_LOSS) != 0;
    const bool excess = measured && (form->measure & MIX_MEASURE_EXCESS) != 0;
    const bool gradient = measured && (form->measure & MIX_MEASURE_GRADIENT) != 0;
    const struct mix_observation *seen = reply->seen;
    check_numbers(seen->loss, M, loss);
    check_numbers(seen->train_loss, M, excess);
    check_numbers(seen->reference_loss, M, excess);
    check_numbers(seen->alignment, (size_t)M * M, gradient);
    check_numbers(seen->train_norm, M, gradient);
    check_numbers(&seen->validation_norm, 1, gradient);
    check_numbers(reply->loss, M, form->kind == REPLY_TESTED);
    if (isinf(seen->learning_rate) || seen->learning_rate < 0 || isinf(reply->se[0]) ||
        reply->can > (MIX_CAN_FORK | MIX_CAN_WEIGHT | MIX_CAN_REFERENCE | MIX_CAN_GRADIENT |
                      MIX_CAN_SELECT) ||
        (gradient && (seen->validation_norm < 0 || seen->train_norm[M - 1] < 0)))
        abort();
}

static void try_form(struct reply_form form, const uint8_t *data, size_t size)
{
    static const char *const groups[M] = {"web", "loss"}; /* one is a key of the form, too */
    double numbers[M * (M + 7)];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        numbers[i] = NAN;
    struct mix_observation seen = {.learning_rate = NAN,
                                   .loss = numbers,
                                   .train_loss = numbers + M,
                                   .reference_loss = numbers + 2 * M,
                                   .train_norm = numbers + 3 * M,
                                   .alignment = numbers + 4 * M,
                                   .validation_norm = NAN};
    struct reply reply = {
        .seen = &seen, .loss = numbers + (M + 4) * M, .se = numbers + (M + 5) * M};
    struct mix_error err = {.text = ""};
    char *text = malloc(size + 1);
    if (text == NULL)
        return;
    memcpy(text, data, size);
    form.id = 1;
    form.n_groups = M;
    form.groups = groups;
    const enum mix_status status = reply_parse(&form, text, size, &reply, &err);
    free(text);
    if (status == MIX_OK)
        check(&form, &reply);
    else if (err.text[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_form((struct reply_form){.kind = REPLY_DONE}, data, size);
    try_form((struct reply_form){.kind = REPLY_HELLO}, data, size);
    try_form((struct reply_form){.kind = REPLY_TESTED}, data, size);
    for (unsigned measure = 0; measure < 8; measure++)
        try_form((struct reply_form){.kind = REPLY_MEASURED, .measure = measure}, data, size);
    return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* transfer.c - capacity competition with transfer between domains; see competition.h. */
#include "competition.h"

static enum mix_status check(const struct mix_data *data, const char *const *domains,
                             const char *const *targets, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    if (spec->form != 0)
        return mix_fail(err, MIX_EINVAL, "law transfer has no forms; form eq%d belongs to capacity",
                        spec->form);
    competition_check_terms(data, spec, notes);
    return competition_check_domains(data, "transfer", domains, targets, err);
}

const struct mix_law mix_law_transfer = {
    .name = "transfer",
    .summary = "capacity + noise with transfer between domains, K^2+7K+3 parameters",
    .check = check,
    COMPETITION_FUNCTIONS,
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* demand.c - capacity competition between targets that demand domains; see competition.h. */
#include "competition.h"

static enum mix_status check(const struct mix_data *data, const char *const *domains,
                             const char *const *targets, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    (void)domains;
    (void)targets;
    if (spec->form != 0)
        return mix_fail(err, MIX_EINVAL, "law demand has no forms; form eq%d belongs to capacity",
                        spec->form);
    competition_check_terms(data, spec, notes);
    return MIX_OK;
}

const struct mix_law mix_law_demand = {
    .name = "demand",
    .summary = "capacity + noise for targets that are no training domain, M(K+7)+3 parameters",
    .targets = LAW_ANY_TARGET,
    .check = check,
    COMPETITION_FUNCTIONS,
};

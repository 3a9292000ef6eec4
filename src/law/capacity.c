/* SPDX-License-Identifier: GPL-3.0-or-later */
/* capacity.c - capacity competition + noise reduction, 5K+1 parameters (arXiv 2606.08167); see
 * competition.h.
 *
 * form 1 (Eq. 1): A = 0, sum x = n_min + (K-1) H whatever N is, H fixed: 3K parameters;
 * form 3 (Eq. 3): H fixed: 5K parameters. The fixed H is n_min / 10.
 */
#include "competition.h"

static enum mix_status check(const struct mix_data *data, const char *const *domains,
                             const char *const *targets, struct mix_law_spec *spec,
                             char notes[MIX_TEXT_MAX], struct mix_error *err)
{
    (void)notes;
    if (spec->form != 0 && spec->form != 1 && spec->form != 3)
        return mix_fail(
            err, MIX_EINVAL,
            "law capacity has no form eq%d; allowed are eq1 and eq3, or no form for the "
            "full law",
            spec->form);
    return competition_check_domains(data, "capacity", domains, targets, err);
}

const struct mix_law mix_law_capacity = {
    .name = "capacity",
    .summary = "capacity competition + noise reduction (Dai & Zheng), 5K+1 parameters",
    .check = check,
    COMPETITION_FUNCTIONS,
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* job.c - the job file of a verb that runs on all ranks. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "mixsweep/share.h"

enum mix_status cli_read_job(struct mix_ranks *ranks, const char *path, const char *section,
                             struct mix_job **out, struct mix_error *err)
{
    char *text = NULL;
    enum mix_status status = mix_ranks_rank(ranks) == 0 ? mix_job_text(path, &text, err) : MIX_OK;
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        status = mix_share_text(ranks, &text, err);
    if (status == MIX_OK)
        status = mix_job_parse(path, text, out, err);
    free(text);
    if (status == MIX_OK) {
        const bool is_agent = strcmp(section, "agent") == 0;
        const char *name = is_agent ? (*out)->agent.name : (*out)->online.name;
        if (name[0] == '\0')
            status = mix_fail(err, MIX_EINVAL, "%s: the section %s is missing.", path, section);
    }
    return mix_ranks_agree(ranks, status, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_compare_print.h - a comparison as text and as JSON. Private to src/cli/. */
#ifndef MIXSWEEP_CLI_AGENT_COMPARE_PRINT_H
#define MIXSWEEP_CLI_AGENT_COMPARE_PRINT_H

#include "cli.h"
#include "mixsweep/agent_compare.h"

/** What there is to say of a setting. */
struct comparison_print {
    const struct mix_agent_space *space;
    const struct mix_online *online;
    const struct mix_agent_summary *summary;
    const struct mix_agent_summary *own;        /* of the agent's own setting; NULL = this is it */
    const struct mix_agent_contrast *contrasts; /* (D); NULL = not said here */
};

void cli_print_comparison(FILE *out, const struct comparison_print *of);
struct json_t *cli_json_comparison(const struct comparison_print *of);

#endif

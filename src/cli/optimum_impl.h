/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum_impl.h - the verb optimum: what its command line asks, and what was read for it. */
#ifndef MIXSWEEP_CLI_OPTIMUM_IMPL_H
#define MIXSWEEP_CLI_OPTIMUM_IMPL_H

#include "cli.h"

enum optimum_format { OPTIMUM_TEXT, OPTIMUM_JSON, OPTIMUM_YAML, OPTIMUM_CSV };

/** The command line. */
struct optimum_asked {
    const char *path, *fit, *baseline, *name, *format_text, *goal_text, *no_worse, *near,
        *lattice_text, *export, *output;
    double n_params, n_tokens, floor, level, max_epochs;
    struct cli_list weights, caps, supplies;
    size_t n_starts, lattice;
    uint64_t seed;
    bool replace, force, no_save, break_lock, within_support, show_path;
    enum optimum_format format;
    enum mix_goal goal;
    enum mix_distance distance;
    double radius;
};

/** What rank 0 has read; the numbers are shared by all ranks. */
struct optimum_session {
    struct mix_store *store;
    struct mix_table *table;
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct cli_output output; /* of --export, from the start */
    size_t n_others;
    struct mix_fit **others; /* all fits of the file; rank 0 */
    double *numbers;         /* (M + 4K): weight, lower, upper, baseline, supply */
    size_t n_numbers;
    double *weight, *lower, *upper, *baseline, *supply;
};

/** Parse the command line and refuse what can be refused without the file. */
enum mix_status optimum_parse(int argc, char **argv, struct optimum_asked *a, bool *help,
                              struct mix_error *err);
/** An export without a scale is that of a stored optimum. */
bool optimum_is_stored(const struct optimum_asked *a);
/** Rank 0: turn names into the numbers of the session. MIX_EUSAGE names option and value. */
enum mix_status optimum_resolve(const struct optimum_asked *a, struct optimum_session *s,
                                struct mix_error *err);
/** What is asked, as numbers; borrows from both. */
struct mix_optimum_options optimum_options(const struct optimum_asked *a,
                                           const struct optimum_session *s);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* predict_impl.h - the two halves of the verb predict: one mixture, and a table of runs. */
#ifndef MIXSWEEP_CLI_PREDICT_IMPL_H
#define MIXSWEEP_CLI_PREDICT_IMPL_H

#include "cli.h"

#include "mixsweep/interval.h"
#include "mixsweep/predict.h"
#include "mixsweep/store.h"

/** The command line. */
struct predict_asked {
    const char *path, *table, *fit, *checkpoints, *mixture, *output, *format;
    struct cli_list where;
    double n_params, n_tokens, level;
    bool force, json;
};

/** What was read of the file. */
struct predict_session {
    struct mix_store *store;
    struct mix_fit *fit;
    struct mix_draws *draws; /* of the fit; NULL = no bootstrap */
    struct mix_table *runs;
    size_t n_fits;
    struct mix_fit **fits; /* (n_fits) all of the file */
};

/** Error budgets (M + 1) of the loss of each target and, last, of their mean; see interval.h. */
enum mix_status predict_budget(const struct predict_session *s, const struct mix_draws *draws,
                               const double *mixture, double n_params, double n_tokens,
                               struct mix_error_budget *out, struct mix_error *err);

/** Predict the table that was asked for, and score it where it has losses. */
enum mix_status predict_table(const struct predict_asked *a, const struct predict_session *s,
                              struct mix_error *err);

/** Print and release a JSON value; MIX_EINVAL where it is NULL, for a name that is not UTF-8. */
struct json_t;
enum mix_status predict_print_json(struct json_t *root, const struct predict_asked *a,
                                   struct mix_error *err);

#endif

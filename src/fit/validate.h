/* SPDX-License-Identifier: GPL-3.0-or-later */
/* validate.h - splits of a table into rows that a fit sees and rows that it is judged on. Private
 * to src/fit/.
 *
 * The unit of every split is the mixture with all its sizes, seeds and checkpoints, or the largest
 * size. Rows that are data->early are fitted only.
 */
#ifndef MIXSWEEP_VALIDATE_H
#define MIXSWEEP_VALIDATE_H

#include "mixsweep/fit.h"

enum { VALIDATE_FOLDS = 4 };

/** One hold-out: its folds, each a fit on `train` rows that predicts `test` rows. */
struct split {
    char kind[MIX_KIND_MAX];
    size_t n_folds;
    uint8_t *train; /* (n_folds,R) */
    uint8_t *test;  /* (n_folds,R) */
    bool scale;     /* the largest size is held out */
};

/** The splits of one fit. */
struct splits {
    size_t n;
    struct split split[MIX_HOLDOUTS_MAX];
};

/**
 * Make the splits that `option` asks for: "none", "scale", "mixture:F", "mixture:K-fold",
 * "both", or "auto": the largest size where there are three sizes or more, and unseen mixtures at
 * that size; else 30% of the mixtures.
 *
 * @return MIX_OK; MIX_EUSAGE unknown option; MIX_EINVAL the table cannot be split so
 */
enum mix_status validate_splits(const char *option, const struct mix_data *data, uint64_t seed,
                                struct splits *out, struct mix_error *err);
void validate_splits_destroy(struct splits *splits);

/** mix_data.size (M) of the rows marked alone, so that rows held out have no say: losses of one
 * unit are those that count relative to the same in all of the data. */
void validate_sizes(const struct mix_data *data, const uint8_t *rows, double *size);

/** The rows marked in `rows` as data of their own: mix_data.size is of these rows too. */
enum mix_status validate_subset(const struct mix_data *data, const uint8_t *rows,
                                struct mix_data **out, struct mix_error *err);

/** mix_law_spec_from_data() with numbered names, for inner fits whose messages nobody reads. */
enum mix_status validate_spec(const char *law, int form, const struct mix_data *data,
                              struct mix_law_spec *spec, struct mix_error *err);

/** Predict all rows (R,M) by floor `floor` (see mix_floor_names) from the rows marked in `train`;
 * NaN = cannot. */
enum mix_status validate_floor(size_t floor, const struct mix_data *data, const uint8_t *train,
                               uint64_t seed, double *predicted, struct mix_error *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confirm.h - the check of an optimum: it and the mixtures it claims to beat are trained at larger
 * scales by the job's own evaluator, with the same seeds, and measured beside predicted.
 *
 * The runs go into the sweep's file, marked as left out of fits (reason "confirmation"), so that
 * the claim stays checked on what its law has not seen; `mixsweep exclude --undo` gives them to the
 * next fit.
 */
#ifndef MIXSWEEP_CONFIRM_H
#define MIXSWEEP_CONFIRM_H

#include "mixsweep/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MIX_CONTENDERS_MAX = 5 };

/** A mixture at a scale, against the optimum there, by what the optimum minimised: its objective.
 */
struct mix_contest {
    size_t n_done;                 /* seeds measured */
    double measured, measured_se;  /* mean over seeds, its standard error; NaN where not known */
    struct mix_interval predicted; /* of a mean with all known errors, else resampling only */
    double gain, gain_se; /* this mixture's objective less the optimum's, by pairs of equal seeds */
    struct mix_interval predicted_gain; /* of resampling only */
};

/** What came out. Owns its arrays. */
struct mix_confirmation {
    size_t n_contenders; /* the first is the optimum */
    size_t n_scales, n_seeds, n_domains;
    const char *name[MIX_CONTENDERS_MAX]; /* "optimum", "nearest tie", "prior", ... */
    double level;
    const char *objective;         /* in words: "mean loss" */
    bool is_mean;                  /* weighted mean of losses or scores */
    char (*domains)[MIX_NAME_MAX]; /* (n_domains) */
    double *mixture;               /* (n_contenders,K) */
    struct mix_job_scale *scales;  /* (n_scales) */
    struct mix_contest *contest;   /* (n_scales,n_contenders) */
    size_t n_planned, n_failed;    /* runs */
};
void mix_confirmation_destroy(struct mix_confirmation *confirmation);

/**
 * Collective. Train what the job's section confirm asks for (without one: the optimum's target
 * scale, 3 seeds) and compare.
 *
 * @param pipeline  open; its fit, draws and optimum are read from the file where it has none yet
 * @param out       out on rank 0: free with mix_confirmation_destroy(); NULL elsewhere
 * @return MIX_OK; MIX_ENOTFOUND no optimum in the file; MIX_EINVAL the job fits no law, or a scale
 * that the evaluator cannot train; MIX_EINTERRUPTED
 */
enum mix_status mix_pipeline_confirm(struct mix_pipeline *pipeline,
                                     const struct mix_sweep_options *options,
                                     struct mix_confirmation **out, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

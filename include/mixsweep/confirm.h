/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confirm.h - the check of an optimum: it and the mixtures it claims to beat are trained at larger
 * scales by the job's own evaluator, with the same seeds, and measured beside predicted.
 *
 * The runs go into the sweep's file, marked as left out of fits (reason MIX_CONFIRMATION), so that
 * the claim stays checked on what its law has not seen; `mixsweep exclude --undo` gives them to the
 * next fit. Nothing else is kept: what came out is computed from the runs, the job and the optimum.
 *
 * With f the objective, L and B a mixture's and the baseline's mean losses over the seeds (targets
 * that the objective takes), measured is f(L, B), what a mixture is worse by f(L, B) - f(O, B). The
 * standard errors are of the delta method: root of sum_s d_s^2 / (n (n - 1)), d_s the derivative of
 * the figure along what seed s lies beside the means in all its losses at once, as seeds are
 * paired.
 */
#ifndef MIXSWEEP_CONFIRM_H
#define MIXSWEEP_CONFIRM_H

#include "mixsweep/job.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MIX_CONFIRMATION "confirmation" /* the reason for which its runs are left out of fits */
enum { MIX_CONTENDERS_MAX = 5 };

/** Whether a run was made to confirm an optimum, and is in no fit. */
bool mix_run_confirms(const struct mix_run *run);

/** The mixtures to train: plain data, the same on all ranks. */
struct mix_line_up {
    size_t n;
    int which[MIX_CONTENDERS_MAX];                        /* 0 = optimum, nearest tie, prior, ... */
    double mixture[MIX_CONTENDERS_MAX * MIX_DOMAINS_MAX]; /* (n,K) */
};

/** Optimum, nearest tie, prior, uniform, best observed; of those within 0.005 of each other in all
 * shares the first. The prior is that of the job, or where that is NULL of the optimum. */
void mix_line_up_set(const struct mix_job *job, const struct mix_optimum *optimum,
                     struct mix_line_up *line);

/**
 * The job that trains the line-up and nothing else, at the scales of its section confirm, or at the
 * scale of the optimum that the section names.
 *
 * @param scales  (job->confirm.n_scales + 1) out
 * @param out     out: borrows from all of them
 * @return MIX_OK; MIX_EINVAL a scale that is not for this, or that the evaluator cannot train
 */
enum mix_status mix_confirming_job(const struct mix_job *job, const struct mix_line_up *line,
                                   struct mix_job_scale *scales, struct mix_job *out,
                                   struct mix_error *err);

/** A mixture at a scale, against the optimum there, by what the optimum minimised: its objective.
 */
struct mix_contest {
    size_t n_done;                 /* seeds measured */
    double measured, measured_se;  /* of the mean losses over seeds; NaN where not known */
    struct mix_interval predicted; /* see mix_confirmation.is_wide */
    double gain, gain_se; /* this mixture's objective less the optimum's, over seeds both have */
    struct mix_interval predicted_gain; /* of resampling only */
};

/** What the optimum does to a mixture, by two standard errors of the paired difference: "beats",
 * "loses to", "cannot be told from", "was not compared with". */
const char *mix_contest_verdict(const struct mix_contest *contest);

/** What came out. Owns its arrays. */
struct mix_confirmation {
    char optimum[MIX_NAME_MAX];
    size_t n_contenders;                           /* the first is the optimum */
    size_t n_scales, n_seeds, n_domains;           /* n_seeds: at most */
    const char *name[MIX_CONTENDERS_MAX];          /* "optimum", "nearest tie", "prior", ... */
    char breaks[MIX_CONTENDERS_MAX][MIX_NAME_MAX]; /* constraints of the optimum that it does not
                                                      keep: "supply"; "" = none that is known */
    double level;
    const char *objective;         /* in words: "mean loss" */
    bool is_mean;                  /* weighted mean of losses or scores */
    bool is_wide;                  /* all predicted have all known errors, else resampling only */
    char (*domains)[MIX_NAME_MAX]; /* (n_domains) */
    double *mixture;               /* (n_contenders,K) */
    struct mix_job_scale *scales;  /* (n_scales) */
    struct mix_contest *contest;   /* (n_scales,n_contenders) */
    size_t n_planned, n_failed;    /* runs, and those without a loss that the objective takes */
};
void mix_confirmation_destroy(struct mix_confirmation *confirmation);

/** What is confirmed, and by what; borrowed. */
struct mix_claim {
    const struct mix_job *job; /* confirm.of is the optimum; NULL = its runs are found in the table
                                  by mixture and mark, whatever scales they have */
    const struct mix_table *table;
    const struct mix_fit *fit;
    const struct mix_draws *draws; /* of the fit, or NULL */
    const struct mix_optimum *optimum;
    size_t n_others;
    const struct mix_fit *const *others; /* (n_others) fits of the file; `fit` may be among them */
};

/**
 * What was measured beside what was claimed. Local. Without a job only what is in the table counts,
 * which may be nothing. Errors beside resampling are those of the
 * budget (interval.h): of a mean loss as they are, of the worst loss those of its target, of an
 * objective relative to the baseline those of a gain over it in mean loss, weighed by
 * 1 / baseline (delta method).
 *
 * @param out  out: free with mix_confirmation_destroy()
 * @return MIX_OK; MIX_EINVAL as mix_confirming_job(); MIX_ENOMEM
 */
enum mix_status mix_confirmation_compute(const struct mix_claim *claim,
                                         struct mix_confirmation **out, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

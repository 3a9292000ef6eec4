/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online_campaign.h - methods x settings x seeds of online mixing as tasks over the ranks.
 *
 * A training is known by what it is: setting, text, method, what it comes after, mixture, steps,
 * seed, and the options of the job. Static runs belong to no method: a mixture that several methods
 * want is trained once. Equal seeds give all methods the same initial model and the same order of
 * the text, so that their differences are paired.
 *
 * Three stages: the static runs that methods want before they begin; proxies and dynamic runs; the
 * final runs of the mixtures that were found; where the job asks for it a fourth, the analysis of
 * mixsweep/online_analysis.h. Each finished training is logged as one record of
 * fixed size (MIX_LOG_ONLINE).
 *
 * Shapes: n runs, K domains of the job (a run's own groups are numbers, the others NaN), P points
 * of a trajectory, R rounds of a method.
 */
#ifndef MIXSWEEP_ONLINE_CAMPAIGN_H
#define MIXSWEEP_ONLINE_CAMPAIGN_H

#include "mixsweep/isa.h"
#include "mixsweep/job.h"
#include "mixsweep/random.h"
#include "mixsweep/task.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mix_online_role {
    MIX_ONLINE_STATIC = 0,   /* under one mixture, whoever wanted it */
    MIX_ONLINE_PROXY = 1,    /* in which a method learns a mixture */
    MIX_ONLINE_FINAL = 2,    /* what a method is judged by */
    MIX_ONLINE_ANALYSIS = 3, /* of a method's A along its run; of grid: of the static runs */
};

/** A training; plain bytes. */
struct mix_online_run {
    struct mix_key key;
    char setting[MIX_TEXT_MAX]; /* "web+code" */
    char method[MIX_UNIT_MAX];  /* empty: static */
    char after[MIX_UNIT_MAX];   /* the method whose mixture the first steps have; empty: none */
    int32_t role;               /* enum mix_online_role */
    int32_t restricted;         /* 1: what it learnt from had S / 2 extra steps at most */
    int32_t diverged;           /* 1: the loss was not finite; no test loss */
    int32_t unused;
    uint64_t seed;          /* its number, from 0 */
    uint64_t n_steps;       /* trained */
    uint64_t extra_steps;   /* role final: steps beside the run itself */
    uint64_t n_evaluations; /* passes over the validation parts; final: those of what it learnt from
                               too */
    double mixer_s, train_s, measure_s; /* final: with those of its proxy */
    /* role analysis, means over groups and points of the run; else NaN */
    double law_r2;     /* of the linear dynamic law with the optimal A; of grid: of the log-linear
                          static law */
    double own_r2;     /* of the linear law with the method's A and one factor */
    double similarity; /* of the method's A with the optimal one */
};

/** All trainings of a campaign. Owns its arrays. */
struct mix_online {
    char name[MIX_NAME_MAX];
    char trainer[MIX_UNIT_MAX];
    struct mix_key options; /* hash of all that the job says of trainer, methods and seed */
    uint64_t n_steps;       /* S */
    size_t n_runs, capacity, n_groups, n_points, n_rounds;
    char (*groups)[MIX_NAME_MAX];
    struct mix_online_run *runs;
    double *mixture;               /* (n,K) of a static run; found by a proxy; NaN: dynamic */
    double *loss_start, *loss_end; /* (n,K) validation */
    double *test, *test_se;        /* (n,K) */
    double *point_step;            /* (n,P) NaN behind the last */
    double *point_mixture;         /* (n,P,K) in use from there on */
    double *point_loss;            /* (n,P,K) */
    double *round_step;            /* (n,R) */
    double *round_mixture;         /* (n,R,K) chosen */
    double *matrix;                /* (n,R,K,K) A as the method estimated it; role analysis: the
                                      optimal one */
};

struct mix_online *mix_online_create(const char *name, size_t n_groups, size_t n_points,
                                     size_t n_rounds);
void mix_online_destroy(struct mix_online *online); /* NULL is fine */

/** A new run, all NaN, at the end; SIZE_MAX when memory is out. */
size_t mix_online_append(struct mix_online *online);

/** The row of a key; SIZE_MAX = none. */
size_t mix_online_find(const struct mix_online *online, struct mix_key key);

/** Sort the runs by setting, method, what they come after, role, seed, key. */
enum mix_status mix_online_sort(struct mix_online *online, struct mix_error *err);

/** What stands before the records of a campaign in a log. */
struct mix_online_head {
    char name[MIX_NAME_MAX];
    struct mix_key options, groups; /* groups: hash of the names */
    uint64_t n_groups, n_points, n_rounds;
};
struct mix_online_head mix_online_head(const struct mix_online *online);

/** A record: struct mix_online_run and the arrays of its row. */
size_t mix_online_record_bytes(size_t n_groups, size_t n_points, size_t n_rounds);
void mix_online_pack(const struct mix_online *online, size_t row, void *record);

/**
 * Append the run of a record whose key is not there yet; more points or rounds than there were make
 * the table wider.
 *
 * @return MIX_OK, also where it is there; MIX_ENOTFOUND a record of another campaign; MIX_EFORMAT
 * it is none; MIX_ENOMEM
 */
enum mix_status mix_online_take(struct mix_online *online, const void *head, size_t n_head,
                                const void *record, size_t n_record, struct mix_error *err);

/** Room for trajectories of so many points and rounds at least. */
enum mix_status mix_online_widen(struct mix_online *online, size_t n_points, size_t n_rounds,
                                 struct mix_error *err);

/** Whether a run's texts end and its numbers are what they can be. */
bool mix_online_run_is_sound(const struct mix_online_run *run);

/* ---- the campaign */

/** An empty result for a job: name, groups, options. */
enum mix_status mix_campaign_plan(const struct mix_job *job, struct mix_online **out,
                                  struct mix_error *err);

/** The options that the methods of a job have in a setting of n_groups. */
struct mix_method_options;
struct mix_method_options mix_campaign_method_options(const struct mix_job *job, size_t n_groups);

struct mix_campaign_options {
    enum mix_isa isa;    /* of the embedded trainer: the lowest of all ranks */
    double stop_s;       /* on the clock of mix_clock_s(); 0 = no limit */
    const char *log_dir; /* rank 0; NULL = no logs */
    mix_progress_fn progress;
    void *progress_context;
    /** Called on rank 0 before each stage, when no rank has its log open; may be NULL. */
    enum mix_status (*stage)(void *progress_context, const char *stage, struct mix_error *err);
};

/**
 * Collective. Run all that is missing.
 *
 * @param online  rank 0: what is there, and what comes; NULL elsewhere
 * @return MIX_OK; MIX_EINTERRUPTED finished runs are in `online`, and in the logs; MIX_EINVAL a
 * trainer that cannot do what a method needs, ...; MIX_EIO; MIX_ENOMEM
 */
enum mix_status mix_campaign_run(struct mix_ranks *ranks, const struct mix_job *job,
                                 struct mix_online *online,
                                 const struct mix_campaign_options *options, struct mix_error *err);

/* ---- the table against stratified */

/** Three ways to average test losses L_i over the groups of a setting. */
enum mix_online_metric {
    MIX_METRIC_LOSS = 0,     /* mean_i L_i */
    MIX_METRIC_MEAN_EXP = 1, /* mean_i exp L_i */
    MIX_METRIC_EXP_MEAN = 2  /* exp mean_i L_i */
};
enum { MIX_METRICS = 3 };
extern const char *const mix_metric_names[MIX_METRICS]; /* "mean_loss", ... */

/** A method, as it stands in the table. */
struct mix_online_entry {
    const char *method, *after; /* borrowed; after "" = none */
    bool restricted;
};

/** An entry in a setting, over seeds; NaN where there is no run. */
struct mix_online_score {
    size_t n_seeds;
    double value[MIX_METRICS];
    double difference[MIX_METRICS]; /* to stratified, paired by seed; negative = better */
    double se[MIX_METRICS];         /* of the difference; NaN for one seed */
    double extra_runs;              /* steps beside the run, in units of S */
    double n_evaluations;           /* of a seed */
    double mixer_share;             /* seconds in the method per second of training */
};

/** A mean over seeds with its standard error (NaN for one seed); n = 0: nothing. */
struct mix_online_figure {
    size_t n;
    double mean, se;
};

/** What the analysis says of a method in a setting. */
struct mix_online_law {
    struct mix_online_figure law_r2, own_r2, similarity;
};

/** Entries x settings. Owns its arrays. */
struct mix_online_summary {
    size_t n_entries, n_settings;
    struct mix_online_entry *entries; /* (n_entries) the first is stratified */
    struct mix_online_score *scores;  /* (n_entries,n_settings) */
    struct mix_online_score *total;   /* (n_entries) means over the settings */
    size_t *n_better, *n_measured;    /* (n_entries) settings with a lower mean loss; compared */
    /* restricted: a method alone and before Aioli, in a setting */
    size_t n_pairs, n_pairs_better; /* Aioli behind it has the lower mean loss */
    double pair_change;             /* mean change of the mean loss; NaN without pairs */
    size_t *n_clear;                /* (n_entries) of these by more than two standard errors */
    /* analysis; law_r2 of the first entry is that of the log-linear static law */
    bool has_laws;
    struct mix_online_law *laws;       /* (n_entries,n_settings) */
    struct mix_online_law *total_laws; /* (n_entries) over all settings and seeds */
};
enum mix_status mix_online_summarise(const struct mix_job *job, const struct mix_online *online,
                                     struct mix_online_summary **out, struct mix_error *err);
void mix_online_summary_destroy(struct mix_online_summary *summary);

#ifdef __cplusplus
}
#endif
#endif

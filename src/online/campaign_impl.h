/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign_impl.h - parts of a campaign of online mixing; see mixsweep/online_campaign.h. Private
 * to src/online/. */
#ifndef MIXSWEEP_ONLINE_CAMPAIGN_IMPL_H
#define MIXSWEEP_ONLINE_CAMPAIGN_IMPL_H

#include "mixsweep/online.h"
#include "mixsweep/online_campaign.h"

/* ---- what trains (campaign_world.c) ---- */

/** The text or the simulated world behind the settings; local. */
struct campaign_world {
    const struct mix_job *job;
    enum mix_isa isa;
    struct mix_corpus **corpora; /* (n_settings) embedded */
    double *loss, *gain, *floor; /* (K), (K,K), (K): simulate; floor may be NULL */
};

enum mix_status campaign_world_open(const struct mix_job *job, enum mix_isa isa,
                                    struct campaign_world *world, struct mix_error *err);
void campaign_world_close(struct campaign_world *world);

/** Hash of the groups of a setting: their names and their text. */
struct mix_key campaign_setting_key(const struct campaign_world *world, size_t setting);

/** A trainee for a run of n_steps; equal seeds give equal models and an equal order of the text. */
enum mix_status campaign_trainee(const struct campaign_world *world, size_t setting,
                                 uint64_t n_steps, uint64_t seed, struct mix_trainee **out,
                                 struct mix_poll *poll, struct mix_error *err);

/** Whether the trainer of the job can do what its methods need. */
enum mix_status campaign_check_abilities(const struct campaign_world *world, struct mix_error *err);

/* ---- what there is to do (campaign_plan.c) ---- */

enum { CAMPAIGN_PROBES = 3 }; /* points of a run at which it is analysed */

/** The lines of the table: methods, and restricted ones alone and before Aioli. */
enum mix_status campaign_entries(const struct mix_job *job, struct mix_online_entry **out,
                                 size_t *n_out, struct mix_error *err);

/** What an entry does in a setting with a seed. */
struct campaign_case {
    size_t setting;
    uint64_t seed;                           /* its number */
    const struct mix_method *method, *after; /* after may be NULL */
    bool restricted;
};

/** A training to be done; plain bytes. */
struct campaign_task {
    struct mix_key key;
    uint32_t setting, role, restricted, is_static;
    int32_t method, after; /* indices of mix_method_get(); -1 = none */
    uint64_t seed, n_steps;
    double cost;
    double mixture[MIX_GROUPS_MAX]; /* static; or of the initial steps */
};

struct campaign_tasks {
    size_t n, capacity;
    struct campaign_task *task;
};

/** What later stages want to know of a training that is done; plain bytes. */
struct campaign_known {
    struct mix_key key;
    uint64_t n_evaluations;
    double loss_start[MIX_GROUPS_MAX], loss_end[MIX_GROUPS_MAX]; /* (m); NaN where it diverged */
    double found[MIX_GROUPS_MAX];                                /* (m) of a proxy */
};

struct campaign {
    struct mix_ranks *ranks;
    const struct mix_job *job;
    const struct mix_campaign_options *options;
    struct campaign_world world;
    struct mix_key options_key;
    struct mix_key *setting_keys; /* (n_settings) */
    size_t n_entries;
    struct mix_online_entry *entries;
    size_t n_points, n_rounds; /* of steered runs */
    struct mix_online *online; /* rank 0 */
    struct mix_online *one;    /* a row to be packed */
    struct campaign_tasks tasks;
    size_t n_known;
    struct campaign_known *known; /* (n_known) sorted by key, on all ranks */
};

struct campaign_case campaign_case_of(const struct mix_online_entry *entry, size_t setting,
                                      uint64_t seed);

/** The setup of a case's method, or with `after` of the one that it comes after. */
struct mix_method_setup campaign_setup(const struct campaign *campaign,
                                       const struct campaign_case *which, bool after);

struct mix_key campaign_key(const struct campaign *campaign, const struct campaign_case *which,
                            enum mix_online_role role, uint64_t n_steps, const double *mixture);
/** Of a static run, whoever wants it. */
struct mix_key campaign_static_key(const struct campaign *campaign, size_t setting, uint64_t seed,
                                   uint64_t n_steps, const double *mixture);

const struct campaign_known *campaign_find(const struct campaign *campaign, struct mix_key key);

/** Tasks of the stages, in the order of their cost; each training once. */
enum mix_status campaign_plan_static(struct campaign *campaign, struct mix_error *err);
enum mix_status campaign_plan_steered(struct campaign *campaign, struct mix_error *err);
enum mix_status campaign_plan_final(struct campaign *campaign, struct mix_error *err);
enum mix_status campaign_plan_analysis(struct campaign *campaign, struct mix_error *err);

/** The mixtures at which laws are looked at: those of grid; free with mix_static_runs_destroy(). */
enum mix_status campaign_grid(const struct campaign *campaign, const struct campaign_case *which,
                              struct mix_static_run **runs, size_t *n_runs, struct mix_error *err);

/** An analysis (campaign_analysis.c): its figures into the one row, its optimal A too. */
enum mix_status campaign_analyse(const struct campaign *campaign, const struct campaign_task *task,
                                 const struct campaign_case *which,
                                 struct mix_trajectory *trajectory, struct mix_poll *poll,
                                 struct mix_error *err);

/** The mixture that a case's method ends with, from what is known. MIX_ENUMERIC: none. */
enum mix_status campaign_result(const struct campaign *campaign, const struct campaign_case *which,
                                double *mixture, struct mix_error *err);

/** A method that is ready to steer, and what it borrows. */
struct campaign_mixer {
    struct mix_mixer *mixer, *initial;
    struct mix_static_run *statics, *initial_statics;
    uint64_t n_evaluations; /* of the static runs */
};

/** @param initial  (m) mixture of the initial steps; used where a static one comes before */
enum mix_status campaign_mixer_open(const struct campaign *campaign,
                                    const struct campaign_case *which, const double *initial,
                                    struct campaign_mixer *out, struct mix_error *err);
void campaign_mixer_close(struct campaign_mixer *mixer);

/** Rank 0: rows for what methods are judged by, where that is a static run. */
enum mix_status campaign_add_finals(struct campaign *campaign, struct mix_error *err);

#endif

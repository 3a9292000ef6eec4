/* SPDX-License-Identifier: GPL-3.0-or-later */
/* farm.h - a stage of tasks that are waited for, not computed: child processes, for seconds to
 * days.
 *
 * Two parts. The packer decides what starts where and when: pure, with the time as an argument, so
 * that a simulated cluster and a real one are run by the same code. The farm carries its decisions
 * out over the ranks: rank 0 packs and tells a rank to start a task; that rank looks after the
 * child, logs its record and reports. All ranks work, rank 0 too; all sleep while they wait.
 *
 * In-process tasks, which compute, are run by mix_stage_run() (task.h).
 */
#ifndef MIXSWEEP_FARM_H
#define MIXSWEEP_FARM_H

#include "mixsweep/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a task occupies while it runs. */
struct mix_demand {
    int n_nodes;      /* places; at least 1 */
    int cpus;         /* on each of them; 0 = not counted */
    int gpus;         /* on each */
    double mem_bytes; /* on each; 0 = not counted */
};

/** Where tasks can be put: a rank with its share of a node, or a node of the allocation on which a
 * launcher (srun) puts them. */
struct mix_place {
    char host[64];
    int rank;         /* that starts the tasks of this place; -1 = any rank may */
    int slots;        /* tasks at once; 0 = as many as the rest allows */
    int cpus, gpus;   /* 0 cpus = not counted; at most 64 GPUs */
    double mem_bytes; /* 0 = not counted */
};

/** Tasks of one kind (in a sweep: of one scale). */
struct mix_task_class {
    char name[48]; /* for messages: "runs of 1.3e9 parameters"; may be empty */
    struct mix_demand demand;
    double declared_s; /* how long it may take; NaN = not said */
    double cost;       /* relative, known beforehand (FLOPs): gives the duration of kinds not yet
                          measured, shared by the GPUs (else the CPUs) of a task; NaN = not said */
    bool resumable;    /* may be started though the remaining time cannot hold it */
};

/** Where a task was put. Borrowed: from a packer until mix_packer_end() of the task, in start()
 * during the call. */
struct mix_placement {
    int n_places;
    const int *place;     /* (n_places) */
    const uint64_t *gpus; /* (n_places) bit g = GPU g of that place is its own */
    int index;            /* of the tasks running now, the lowest number not in use: makes ports */
    int attempt;          /* what attempt_of() of the farm said; 0 from a packer */
};

struct mix_packer;

/**
 * A packer without tasks. At most 32 bytes per task are kept (tasks are numbered from 0 without
 * large gaps); a decision costs O(classes x places), whatever the number of tasks. Equal calls give
 * equal decisions.
 *
 * @return MIX_OK; MIX_EINVAL a class that fits on no set of places even when all are empty, or on
 * one without limit (sentence says which and what is there); MIX_ENOMEM
 */
enum mix_status mix_packer_create(const struct mix_place *places, int n_places,
                                  const struct mix_task_class *classes, int n_classes,
                                  struct mix_packer **out, struct mix_error *err);
void mix_packer_destroy(struct mix_packer *packer);

/** Add a task, or put one back that ended unfinished; it is not started before `not_before_s`.
 * MIX_OK; MIX_EINVAL a task beyond 2^32 - 2; MIX_ENOMEM. */
enum mix_status mix_packer_add(struct mix_packer *packer, size_t task, int class_,
                               double not_before_s, struct mix_error *err);

/**
 * The task to start now. Longest expected first. A task that does not fit waits until enough places
 * come free by themselves, at most until its class would make the whole last longer: then they are
 * reserved as they come free, and shorter tasks fill the gap as long as they do not delay it.
 *
 * @param stop_s  nothing is started that is expected to last beyond it; INFINITY = no limit
 * @return false: nothing can start now
 */
bool mix_packer_next(struct mix_packer *packer, double now_s, double stop_s, size_t *task,
                     struct mix_placement *placement);

/** A started task is over; its places are free, and where it finished its class learns how long a
 * task takes. */
void mix_packer_end(struct mix_packer *packer, size_t task, double now_s, bool finished);

/** Start nothing on a place before `until_s`: its node is gone (INFINITY) or fails what is put
 * there. Tasks that run there stay until mix_packer_end(). A time that has passed brings it back.
 */
void mix_packer_set_aside(struct mix_packer *packer, int place, double until_s);

/** When mix_packer_next() is worth asking again though nothing ends: a back-off is over or a place
 * comes back. INFINITY = never. */
double mix_packer_wake_s(const struct mix_packer *packer);
size_t mix_packer_n_waiting(const struct mix_packer *packer);
size_t mix_packer_n_running(const struct mix_packer *packer);
/** Seconds until everything is done at the present pace; NaN = unknown. */
double mix_packer_left_s(const struct mix_packer *packer, double now_s);

/* ---- the farm */

/** What became of an attempt. */
enum mix_attempt {
    MIX_ATTEMPT_RUNNING = 0,
    MIX_ATTEMPT_DONE,        /* finished; a failure that is not to be tried again is finished too */
    MIX_ATTEMPT_RETRY,       /* to be started again, after delay_s */
    MIX_ATTEMPT_INTERRUPTED, /* ended because of the stop; to be started again by the next job */
};

struct mix_attempt_end {
    enum mix_attempt what;
    double delay_s;
    bool failed;  /* the attempt failed; where it is DONE the task counts as failed */
    void *record; /* malloc'ed; put into the log of the rank (synced), then freed; NULL = none.
                     Always NULL in ended() */
    size_t n_record;
    double objective; /* for progress: the smaller the better; NaN = none */
};

/** All ranks fill in the first part equally; the rest counts on rank 0 only. */
struct mix_farm {
    const char *name;
    size_t n_tasks;
    void *context;
    /** Start a task on this rank. What fails here ends the whole stage; a command that cannot be
     * started is an attempt that ends. */
    enum mix_status (*start)(void *context, size_t task, const struct mix_placement *placement,
                             void **run, struct mix_error *err);
    /** Look after it; never waits. `stop`: the stage ends, tell the child, give it its grace. Once
     * end->what is not RUNNING the run is freed. */
    enum mix_status (*check)(void *context, void *run, bool stop, struct mix_attempt_end *end,
                             struct mix_error *err);
    /** Descriptor to poll for, or -1; and when check wants to be called at the latest (monotonic
     * seconds, INFINITY = only when the descriptor says so). */
    int (*descriptor)(void *context, void *run, double *check_s);
    /** Kill it and free: the stage is lost. */
    void (*abandon)(void *context, void *run);
    /* rank 0 */
    const struct mix_place *places; /* (n_places) */
    int n_places;
    const struct mix_task_class *classes; /* (n_classes) */
    int n_classes;
    int (*class_of)(void *context, size_t task);
    const uint8_t *done; /* (n_tasks) bytes, 1 = not to be run; NULL = none is done */
    double (*delay_of)(void *context, size_t task); /* seconds before a first start; NULL = 0 */
    int (*attempt_of)(void *context, size_t task);  /* which attempt starts now; NULL = 0 */
    double stop_s;    /* on the clock of mix_clock_s(); 0 or INFINITY = no limit */
    int max_failures; /* start nothing more after so many failed tasks, those that run go on; 0 =
                         never */
    enum mix_log_kind log_kind;
    const char *log_dir;
    /** Called on rank 0 for each attempt that is over, its record being in a log; should be short;
     * may read the logs, but not remove them: ranks have them open. A failure ends the stage. (An
     * attempt that the stop overtook on its way to another rank ends MIX_ATTEMPT_INTERRUPTED
     * without start().) */
    enum mix_status (*ended)(void *context, size_t task, const struct mix_attempt_end *end,
                             struct mix_error *err);
    /** Called on rank 0, at most ten times a second. */
    void (*progress)(void *context, const struct mix_packer *packer, double elapsed_s);
    void *rank0_context; /* of ended and progress */
};

/**
 * Collective. Run the tasks that are not done, until all are or a signal or `stop_s` comes, or
 * nothing that is left can be finished before `stop_s`.
 *
 * A place on which three attempts in a row fail while three elsewhere go well is set aside for a
 * minute, then for two, four ..., at most for an hour: a broken node fails fast and would eat all
 * tasks.
 *
 * A second signal, at least a second after the first, ends the process at once as ever
 * (mix_signals_install()), but the runs are abandoned first.
 *
 * @param ranks  the ranks; NULL = this process alone
 * @return MIX_OK; MIX_EINTERRUPTED (what finished is in the logs); MIX_EINVAL a class fits nowhere,
 * ranks disagree on the number of tasks, or max_failures was reached; MIX_EIO a log could not be
 * written; MIX_ENOMEM; else the failure of start(), check() or ended(). After any failure running
 * tasks are told to stop, as after a signal. Equal on all ranks.
 */
enum mix_status mix_farm_run(struct mix_ranks *ranks, const struct mix_farm *farm,
                             struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

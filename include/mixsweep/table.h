/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table.h - the table of proxy runs: one row is one evaluated checkpoint of one run.
 *
 * Shapes: R rows, K domains, M targets; matrices are row-major. Sizes are counted in parameters and
 * tokens (not millions or billions); losses are in the target's unit; NaN = not measured.
 */
#ifndef MIXSWEEP_TABLE_H
#define MIXSWEEP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mixsweep/random.h"
#include "mixsweep/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MIX_NAME_MAX = 64, MIX_UNIT_MAX = 24, MIX_TEXT_MAX = 512, MIX_DOMAINS_MAX = 256 };

/** A training domain. */
struct mix_domain {
    char name[MIX_NAME_MAX];
    double prior;               /* share in the mixture in use; NaN = unknown */
    double supply_tokens;       /* tokens available; NaN = unknown */
    char content[MIX_NAME_MAX]; /* label or hash of the data behind the name; may be empty */
    char files[MIX_NAME_MAX];   /* hash of the names, sizes and times that its files had then; may
                                   be empty */
};

/** A loss target: a validation set. */
struct mix_target {
    char name[MIX_NAME_MAX];
    char unit[MIX_UNIT_MAX];       /* "nats/token", "bits/byte", "accuracy", ... */
    char transform[MIX_UNIT_MAX];  /* "none" */
    char validation[MIX_NAME_MAX]; /* label of the validation set; may be empty */
    double weight;                 /* in the objective; 1 unless the user says otherwise */
    int32_t direction;             /* -1: lower is better, +1: higher is better (a score) */
    int32_t domain;                /* index of the training domain of the same name, or -1 */
    double chance;                 /* of a score: what guessing reaches; NaN = unknown */
};

enum mix_run_status { MIX_RUN_DONE = 0, MIX_RUN_FAILED = 1, MIX_RUN_INTERRUPTED = 2 };

/** All of a run but its vectors. */
struct mix_run {
    struct mix_key key;     /* identity: mixture, sizes, tokens, schedule, seed, recipe */
    char run[MIX_NAME_MAX]; /* the user's own name of the run; rows with equal (run, n_params) are
                               checkpoints */
    int32_t mixture_id;     /* rows that were asked for with equal mixtures share it; numbered by
                               first appearance */
    int32_t is_final;       /* 1: the last checkpoint of its run */
    double n_params;        /* total */
    double n_params_non_embedding; /* NaN = unknown */
    double n_params_active;        /* NaN = unknown */
    double n_tokens;               /* seen at this checkpoint */
    double n_tokens_planned;       /* at the end of the run */
    double flops;                  /* 6 n_params n_tokens unless measured */
    char schedule[MIX_UNIT_MAX];   /* learning-rate schedule; may be empty */
    char recipe[MIX_NAME_MAX];     /* the job's own label; may be empty */
    uint64_t seed;
    int32_t status; /* enum mix_run_status */
    int32_t attempts;
    int32_t exit_code;
    int32_t rank;
    double wall_s;
    double started; /* Unix time in s; NaN = unknown */
    double ended;
    char host[MIX_NAME_MAX];
    int32_t excluded;          /* 1: kept in the file, left out of every fit */
    char reason[MIX_NAME_MAX]; /* why excluded or failed */
    int32_t round;             /* 0: of the design; n: chosen in round n by what was known then */
};

/** The table of runs. Owns its arrays; make with mix_table_create(). */
struct mix_table {
    size_t n_rows;              /* R */
    size_t n_domains;           /* K */
    size_t n_targets;           /* M */
    size_t capacity;            /* rows allocated */
    struct mix_domain *domains; /* (K) */
    struct mix_target *targets; /* (M) */
    struct mix_run *runs;       /* (R) */
    double *asked;              /* (R,K) mixture asked for */
    double *mixture;            /* (R,K) mixture realised; rows sum to 1 */
    double *epochs;             /* (R,K) passes over each domain; NaN = unknown */
    double *loss;               /* (R,M) NaN = not measured */
    double *loss_se;            /* (R,M) standard error of the loss; NaN = unknown */
    char **metadata;            /* (R) JSON text or NULL */
};

/**
 * Make an empty table (R = 0) with room for names; domains and targets are zeroed but for prior,
 * supply (NaN), weight (1), direction (-1), unit ("nats/token"), transform ("none"), domain (-1).
 *
 * @return the table or NULL when memory is out; free with mix_table_destroy()
 */
struct mix_table *mix_table_create(size_t n_domains, size_t n_targets);

/** Free a table; NULL is fine. */
void mix_table_destroy(struct mix_table *table);

/**
 * Append one row: `run` zeroed but for NaN sizes and times and is_final = 1, vectors NaN, metadata
 * NULL.
 *
 * @return index of the new row, or SIZE_MAX when memory is out (the table is then unchanged)
 */
size_t mix_table_append(struct mix_table *table);

/** Index of a domain or target by name, or -1. */
int mix_table_domain(const struct mix_table *table, const char *name);
int mix_table_target(const struct mix_table *table, const char *name);

/** Set targets[].domain by equal names. */
void mix_table_link_targets(struct mix_table *table);

/**
 * Recompute what follows from the rows: mixture_id (asked, or realised where that is not known,
 * equal within 1e-5 in every share, whatever the order of rows), n_tokens_planned (largest n_tokens
 * or n_tokens_planned of the same run, n_params, mixture_id, seed, schedule and recipe; a row
 * without a name is a run of its own), is_final (n_tokens reaches it), flops where NaN, and key.
 * Key: hash of the mixture asked for on a lattice of 1e-6, n_params, n_tokens, schedule, seed,
 * recipe and the run's name (replicates of an imported table differ by name only).
 *
 * @return MIX_OK; MIX_EINVAL two rows have the same key (sentence names both); MIX_ENOMEM
 */
enum mix_status mix_table_finish(struct mix_table *table, struct mix_error *err);

/**
 * The key that mix_table_finish() gives to a row; see there.
 *
 * @param asked      (K) mixture asked for
 * @param n_domains  K, at most MIX_DOMAINS_MAX
 */
struct mix_key mix_run_key(const struct mix_run *run, const double *asked, size_t n_domains);

/**
 * Sort rows by key, the order in which they are stored: equal tables are equal byte for byte
 * whatever the order of arrival. mixture_id is renumbered in the new order.
 */
enum mix_status mix_table_sort(struct mix_table *table, struct mix_error *err);

/** Sort rows by size, name ("2" before "10") and tokens: the order for people. */
enum mix_status mix_table_sort_by_run(struct mix_table *table, struct mix_error *err);

/**
 * Add the rows of another table with the same domains and targets, whose columns may be in another
 * order. A row that is there already with equal losses is skipped; a failed one gives way to a done
 * one, or to a later attempt; what is excluded in one of them is excluded. The result is finished.
 *
 * @param table   in and out; unspecified after MIX_ENOMEM, untouched after MIX_EINVAL
 * @param add     the rows to add
 * @param n_same  out: rows skipped; may be NULL
 * @return MIX_OK; MIX_EINVAL other domains (or content of one), targets, units or directions, or a
 * row that is there with other losses (sentence names the run, and says how many more there are);
 * MIX_ENOMEM
 */
enum mix_status mix_table_merge(struct mix_table *table, const struct mix_table *add,
                                size_t *n_same, struct mix_error *err);

/**
 * Find the rows of a run: all its checkpoints.
 *
 * @param text   its name, or the key of one of its rows as 32 hexadecimal digits
 * @param found  (R) out: 1 for its rows, else 0
 * @return MIX_OK; MIX_ENOTFOUND; MIX_EINVAL a name of several runs (sentence gives keys)
 */
enum mix_status mix_table_find_run(const struct mix_table *table, const char *text, uint8_t *found,
                                   struct mix_error *err);

/** Forget the results of the rows with keep[r] = 0 (R, in and out): they are dropped, the others
 * stay in order. The end of a run that was chosen in a round stays too, as not begun: nothing else
 * says that it is to be made. */
void mix_table_forget(struct mix_table *table, uint8_t *keep);

/* ---- selection: which rows and targets a fit sees
 * -------------------------------------------------- */

/** Of the rows of each run that pass `where`: the last, all, or the last and those from
 * MIX_LATE_PART of its tokens on, which a fit sees and is not judged on. */
enum mix_checkpoints {
    MIX_CHECKPOINTS_LAST = 0,
    MIX_CHECKPOINTS_ALL = 1,
    MIX_CHECKPOINTS_LATE = 2,
    MIX_N_CHECKPOINTS
};

/** Late checkpoints say how the loss falls with D, which the last ones of equally long runs do not;
 * those before tell of warm-up and high learning rates. From a part between 0.5 and 0.8 on, errors
 * at an unseen size are alike (slimpajama7, 680M and 937M); from one below 0.45 on they grow. */
#define MIX_LATE_PART 0.6

/** "last", "all", "late"; and the other way round, false on any other text. */
const char *mix_checkpoints_name(enum mix_checkpoints which);
bool mix_checkpoints_read(const char *text, enum mix_checkpoints *which);

/** What a fit selects, as the user wrote it; stored with the fit. */
struct mix_selection {
    char where[MIX_TEXT_MAX];   /* "n_params<=680e6,n_tokens=9.998e9"; empty = all rows */
    char targets[MIX_TEXT_MAX]; /* "domains" (those that are training domains), "all" (both: that
                                   some run measured), or "a,b,c" */
    enum mix_checkpoints checkpoints;
    double mask_below; /* a loss of domain i counts only where h_i >= mask_below; 0 = all count */
};

/** The selected numbers, in the order of the table. Owns its arrays. */
struct mix_data {
    size_t n_rows;     /* R */
    size_t n_domains;  /* K */
    size_t n_targets;  /* M: losses, behind them scores */
    size_t n_scores;   /* targets that are better when higher, the last of them */
    size_t n_clusters; /* G: mixtures */
    size_t *row;       /* (R) row of the table */
    uint8_t *early;    /* (R) of LATE: not the last of its run, so fits are not judged on it; NULL =
                          none */
    size_t *target;    /* (M) target of the table */
    int *target_domain; /* (M) training domain of the target, or -1 */
    double *mixture;    /* (R,K) */
    double *n_params;   /* (R) in 1e6 parameters */
    double *n_tokens;   /* (R) in 1e9 tokens */
    double *unique;     /* (R,K) tokens that the run can see without a repeat, in 1e9; INFINITY = no
                           end; see mix_table_unique(). NULL = no end of any */
    double *loss;       /* (R,M) NaN = not measured */
    double *weight;     /* (R,M) 1 = counts, 0 = masked or not measured */
    double *size;       /* (M) what a target counts relative to in sums over targets: 1 where the
                           losses have one unit, else the mean of those in its unit; NULL = 1 */
    size_t *cluster;    /* (R) mixture 0..G-1, numbered by first appearance: the unit of folds and
                           resamples */
    size_t n_intermediate; /* rows selected that are not the last checkpoint of their run in the
                              table */
};

/**
 * Select rows and targets. `where`: terms joined by commas, all must hold; a term is COLUMN OP
 * NUMBER with OP one of = != < <= > >= (= within 1e-9 relative) and COLUMN one of n_params,
 * n_tokens, seed, round, h_NAME, or run OP TEXT with = or !=. Excluded and failed rows never count.
 *
 * @param table      the runs
 * @param selection  what to take
 * @param out        out: the data; free with mix_data_destroy()
 * @param err        out: message on failure; may be NULL
 * @return MIX_OK; MIX_EUSAGE bad `where` term or unknown target (sentence names it and what is
 * allowed); MIX_EINVAL no row or no target is left; MIX_ENOMEM
 */
enum mix_status mix_table_select(const struct mix_table *table,
                                 const struct mix_selection *selection, struct mix_data **out,
                                 struct mix_error *err);

/** Free; NULL is fine. */
void mix_data_destroy(struct mix_data *data);

/** Tokens of a domain that the run of a row could see without a repeat: by the passes that it made
 * over it, else the domain's supply; INFINITY where neither is known. */
double mix_table_unique(const struct mix_table *table, size_t row, size_t domain);

/** True where the row passes `where`; used by import and predict. MIX_EUSAGE on a bad term. */
enum mix_status mix_table_where(const struct mix_table *table, const char *where, size_t row,
                                bool *pass, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

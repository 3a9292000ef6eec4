/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online.h - mixtures that change while a model trains: Linear Mixing Optimization.
 *
 * One frame for all methods (Chen et al., arXiv 2411.05735): choose p^1 ... p^T on the simplex to
 * make sum_i L_i^{T+1} least, where
 *
 *     L_i^{t+1} = c_i^t + b_i^t sigma(- sum_j A_ij^t p_j^t),      sigma the identity or exp.
 *
 * A method is a mixing law, a way to estimate its A, and a way to update p; here: one file and one
 * line of a table. Row of A = group evaluated, column = group trained on; A_ij > 0: training on j
 * lowers the loss of i. The online methods update by exponentiated gradient descent (EGD) on the
 * column sums of A.
 *
 * A method never trains. It says what is to be trained next and what is to be measured then
 * (struct mix_segment), and is told (struct mix_observation). What trains is behind struct
 * mix_trainee: the embedded proxy, a simulator, or an external program over a line protocol.
 *
 * Shapes: m groups (training domains; all losses are of groups), S steps.
 */
#ifndef MIXSWEEP_ONLINE_H
#define MIXSWEEP_ONLINE_H

#include "mixsweep/job.h"
#include "mixsweep/random.h"
#include "mixsweep/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what trains ---- */

/** What a trainee can do beyond training and evaluating; what a method needs. */
enum mix_ability {
    MIX_CAN_FORK = 1,      /* snapshot and restore */
    MIX_CAN_WEIGHT = 2,    /* loss weights by group */
    MIX_CAN_REFERENCE = 4, /* freeze a reference model and give its losses */
    MIX_CAN_GRADIENT = 8,  /* gradients by group */
    MIX_CAN_SELECT = 16,   /* a test on other text, to choose by */
};

/** What is measured at the end of a segment. */
enum mix_measure {
    MIX_MEASURE_LOSS = 1,     /* validation loss of every group */
    MIX_MEASURE_EXCESS = 2,   /* training loss by group of the model and of the reference, on the
                                 same sequences, others each time */
    MIX_MEASURE_GRADIENT = 4, /* inner products of group gradients, on other sequences each time */
};

/** A stretch of training under one mixture. */
struct mix_segment {
    uint64_t n_steps; /* 0 = only measure */
    double *mixture;  /* (m) shares of the sequences */
    double *weight;   /* (m) loss weights by group (MIX_CAN_WEIGHT) */
    bool weighted;    /* false: weight is not used */
    bool exact;       /* counts as near to the shares as can be; else as the trainee samples */
    unsigned measure; /* enum mix_measure, or-ed: at its end */
};

/** What was measured; arrays that were not asked for are NaN. */
struct mix_observation {
    uint64_t step;          /* trained so far in this run */
    double learning_rate;   /* of the next step; NaN = not known */
    double *loss;           /* (m) nats per token, validation part */
    double *train_loss;     /* (m) MIX_MEASURE_EXCESS */
    double *reference_loss; /* (m) MIX_MEASURE_EXCESS */
    double *alignment;      /* (m,m) <gradient of i's validation loss, of j's training loss> */
    double *train_norm;     /* (m) norms of the training gradients */
    double validation_norm; /* of the mean over groups of the validation gradients */
};

/** A model in training. Made by one of the constructors below. */
struct mix_trainee;
struct mix_trainee_kind {
    const char *name;
    void (*destroy)(struct mix_trainee *trainee);
    /** Begin anew from the initial model; steps, data streams and draws too. Does nothing where
     * nothing was trained yet: a trainee that cannot begin anew can still be steered once. */
    enum mix_status (*restart)(struct mix_trainee *trainee, struct mix_poll *poll,
                               struct mix_error *err);
    enum mix_status (*train)(struct mix_trainee *trainee, const struct mix_segment *segment,
                             struct mix_poll *poll, struct mix_error *err);
    enum mix_status (*measure)(struct mix_trainee *trainee, unsigned what,
                               struct mix_observation *out, struct mix_poll *poll,
                               struct mix_error *err);
    /** Loss of every group on the test part with its standard error: for reports only, never seen
     * by a method. */
    enum mix_status (*test)(struct mix_trainee *trainee, double *loss, double *se,
                            struct mix_poll *poll, struct mix_error *err);
    /** MIX_CAN_REFERENCE: the present model becomes the reference; restart keeps it. */
    enum mix_status (*freeze)(struct mix_trainee *trainee, struct mix_poll *poll,
                              struct mix_error *err);
    /** MIX_CAN_FORK: slots are 0, 1, ...; a slot may be taken again. */
    enum mix_status (*snapshot)(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                                struct mix_error *err);
    enum mix_status (*restore)(struct mix_trainee *trainee, int slot, struct mix_poll *poll,
                               struct mix_error *err);
};

/** The head of every trainee; kinds put their own state behind it. */
struct mix_trainee {
    const struct mix_trainee_kind *kind;
    size_t n_groups;  /* m */
    unsigned can;     /* enum mix_ability, or-ed */
    uint64_t n_steps; /* S, planned: what the learning-rate schedule is made for */
    bool on_select;   /* where it is tested; see mix_trainee_test_on() */
};

/** NULL is fine. */
void mix_trainee_destroy(struct mix_trainee *trainee);

/** How a simulated loss answers a mixture p in one step s:
 * L_i -= scale(s) sum_j G_ij(s, L) p_j + noise. */
struct mix_simulator_options {
    size_t n_groups;         /* m */
    uint64_t n_steps;        /* S */
    const double *loss;      /* (m) at the start */
    const double *gain;      /* (m,m) G, drop of loss i per step on group j alone */
    const double *gain_late; /* (m,m) takes its place from step `flip` on; NULL = none */
    uint64_t flip;
    const double *floor; /* (m) concave: G_ij is multiplied by (L_i - floor_i) / (loss_i - floor_i);
                            NULL = linear */
    double decay;        /* scale(s) = 1 / (1 + decay s); 0 = constant */
    double curvature;    /* the drop of i is x - curvature x^2 / loss_i, x = sum_j G_ij p_j */
    double noise;        /* standard deviation of each evaluation, not of the state */
    uint64_t seed;
};

/**
 * A trainee of known dynamics: all abilities (its "gradients" are the columns of G, its reference
 * the frozen losses). Arrays are copied.
 *
 * @return MIX_OK; MIX_EINVAL; MIX_ENOMEM
 */
enum mix_status mix_trainee_simulator(const struct mix_simulator_options *options,
                                      struct mix_trainee **out, struct mix_error *err);

/** The losses of a simulator without noise, (m), borrowed. */
const double *mix_simulator_loss(const struct mix_trainee *trainee);

/**
 * The embedded proxy as a trainee: groups are the first m sources of the corpus, all abilities.
 *
 * @param options  seed and n_steps set; sampling as for ordinary segments
 * @param corpus   borrowed; validation and test parts of every group must have text
 * @param test_bytes  evaluated per group of the test part at most
 */
enum mix_status mix_trainee_embedded(const struct mix_trainer_options *options,
                                     const struct mix_corpus *corpus, size_t n_groups,
                                     size_t test_bytes, struct mix_trainee **out,
                                     struct mix_error *err);

/**
 * A base model: a proxy trained from its seed for options->n_steps under one mixture.
 *
 * @param params   (mix_proxy_n_params(shape, 1)) out
 * @param curve    (n_curve) out: mean validation loss of the groups with a share, before the first
 *                 step and after equal stretches; n_curve is 2 or more
 */
enum mix_status mix_base_train(const struct mix_trainer_options *options,
                               const struct mix_corpus *corpus, size_t n_groups,
                               const double *mixture, float *params, size_t n_curve, double *curve,
                               struct mix_poll *poll, struct mix_error *err);

/**
 * The embedded proxy from a base model on: its run begins with those parameters, and restart goes
 * back to them. The optimiser and the order of the text begin anew, by options.
 *
 * @param params  (mix_proxy_n_params(shape, 1)) copied
 */
enum mix_status mix_trainee_from_base(const struct mix_trainer_options *options,
                                      const struct mix_corpus *corpus, size_t n_groups,
                                      size_t test_bytes, const float *params,
                                      struct mix_trainee **out, struct mix_error *err);

/** From now on a trainee that can (MIX_CAN_SELECT) is tested on this part: MIX_PART_TEST, as at
 * first, or MIX_PART_SELECT. The others have one test and stay with it. */
void mix_trainee_test_on(struct mix_trainee *trainee, enum mix_corpus_part part);

/** An external trainer. */
struct mix_external_options {
    char *const *argv; /* NULL behind the last; no shell */
    size_t n_groups;
    const char *const *groups; /* (m) names */
    uint64_t n_steps, seed;
    double answer_s;    /* the longest that a reply may take */
    double grace_s;     /* from closing its input, and from SIGTERM, to the next blow */
    const char *folder; /* its working folder; NULL = ours */
};

/**
 * Start a program that trains, and talk to it by lines of JSON on its stdin and stdout (the head of
 * jobs/steer.py): one request, one reply. Its stderr is ours.
 *
 * @return MIX_OK; MIX_EINVAL the program cannot be started, or its answer to hello is none (the
 * sentence has the request, what came, what is allowed); MIX_EINTERRUPTED
 */
enum mix_status mix_trainee_external(const struct mix_external_options *options,
                                     struct mix_trainee **out, struct mix_poll *poll,
                                     struct mix_error *err);

/* ---- methods ---- */

/** How a method comes to its mixture. */
enum mix_method_kind {
    MIX_METHOD_STATIC,  /* from static runs alone: `result` right after create */
    MIX_METHOD_PROXY,   /* from a run that it steers: `result` after its last segment */
    MIX_METHOD_DYNAMIC, /* the run that it steers is the one that counts */
};

/** What users may set, with the defaults of mix_online_defaults(). */
struct mix_method_options {
    /* aioli and its variants */
    size_t n_rounds;  /* T */
    size_t interval;  /* h: steps on one perturbed mixture */
    size_t n_sweeps;  /* k: each round, every perturbed mixture so often */
    double smoothing; /* epsilon: perturbed mixture j = (1 - e) one-hot j + e / m */
    double eta;       /* aioli-static: (T + 1) / 2 times it, so that its one update goes as far as p
                         would be on the mean over T rounds of an unchanging A */
    double ema;       /* gamma, the share of the past in A: aioli-ema and aioli-released */
    /* skillit */
    double skillit_eta;
    size_t skillit_window, skillit_updates; /* w; updates in a run */
    /* doremi */
    double doremi_rate, doremi_smoothing; /* mu, c */
    /* doge */
    double doge_mu, doge_smoothing;
    size_t proxy_every; /* doremi and doge: steps from update to update; 1. An update stands for so
                           many steps */
    /* grid, dml */
    size_t n_static; /* mixtures of the shared sweep */
};

/** Defaults for m groups and S steps (arXiv 2411.05735 and its released scripts; T, h and k such
 * that a round gives at most 0.3 of its steps to perturbed mixtures, eta = 2 / T). */
struct mix_method_options mix_online_defaults(size_t n_groups, uint64_t n_steps);

/** @return MIX_OK; MIX_EINVAL a value out of range (the sentence names it, and what is allowed) */
enum mix_status mix_method_options_check(const struct mix_method_options *options,
                                         struct mix_error *err);

/** A run under a static mixture that a method wants before it begins. */
struct mix_static_run {
    double *mixture; /* (m) */
    uint64_t n_steps;
    double *loss_start, *loss_end; /* (m) validation losses: in, once it has run */
};

/** What a method is made for. */
struct mix_method_setup {
    size_t n_groups;
    uint64_t n_steps; /* S of the run that counts */
    uint64_t budget;  /* steps that the method may train beside that run, in all: its static,
                         reference and proxy runs are shortened to shares of it; 0 = S each */
    uint64_t seed;    /* of the order of perturbed mixtures, of the sweep's mixtures */
    struct mix_method_options options;
    size_t n_static;
    const struct mix_static_run *statics; /* (n_static) what the method's plan asked for, run */
    /* restricted use of a dynamic method: the first steps go to what another method found with a
     * small budget, then it begins as if nothing had been */
    uint64_t initial_steps;
    const double *initial; /* (m) static mixture of these steps, or */
    struct mix_mixer
        *initial_mixer;            /* a dynamic method that steers them (borrowed); or both NULL */
    const struct mix_agent *agent; /* agent: the policy that steers (mixsweep/agent.h); copied */
};

/** A method at work. */
struct mix_mixer;

/** A method: one file, one line of the table in online.c. */
struct mix_method {
    const char *name;
    const char *summary;                 /* one line */
    const char *law, *estimate, *update; /* the three choices, as the table of --help shows them */
    enum mix_method_kind kind;
    unsigned needs; /* enum mix_ability, or-ed */
    size_t state_bytes;
    /** Static runs wanted before: their number, and with runs != NULL their mixtures and steps (0
     * = memory is out). NULL = none. See mix_method_plan(). */
    size_t (*plan)(const struct mix_method_setup *setup, struct mix_static_run *runs);
    /** Steps of the run that it steers; NULL = S. */
    uint64_t (*steered_steps)(const struct mix_method_setup *setup);
    enum mix_status (*create)(struct mix_mixer *mixer, struct mix_error *err);
    void (*destroy)(struct mix_mixer *mixer);
    /** The next segment; false = the run is over. NULL for MIX_METHOD_STATIC. */
    bool (*next)(struct mix_mixer *mixer, struct mix_segment *segment);
    enum mix_status (*observe)(struct mix_mixer *mixer, const struct mix_observation *seen,
                               struct mix_error *err);
    /** The static mixture that the method ends with; NULL for MIX_METHOD_DYNAMIC. */
    enum mix_status (*result)(struct mix_mixer *mixer, double *mixture, struct mix_error *err);
    /** Steps of training beside the run that counts, static runs of its plan included. */
    uint64_t (*extra_steps)(const struct mix_method_setup *setup);
};

/** Methods by index, NULL behind the last: stratified, grid, dml, skillit, doremi, doge, aioli,
 * aioli-diagonal, aioli-static, aioli-ema, aioli-released, aioli-raw (not normalised), agent. */
const struct mix_method *mix_method_get(size_t index);
const struct mix_method *mix_method_find(const char *name); /* NULL = no such method */
void mix_method_list(char text[MIX_TEXT_MAX]);

struct mix_mixer {
    const struct mix_method *method;
    struct mix_method_setup setup; /* arrays of it are copies */
    void *state;                   /* the method's own, (state_bytes) zeroed before create */
    uint64_t n_steps;              /* of the run that it steers, initial ones included: what a
                                      trainee's plan is to be made for. S, or what a proxy may have */
    uint64_t step;                 /* handed out in segments so far */
    bool initial;                  /* the last segment was one of the initial steps */
    unsigned asked;                /* enum mix_measure, or-ed: by the last segment */
    /* what it has worked out, for the record: the last A and the number of it */
    size_t n_matrices;
    double *matrix;  /* (m,m) A as estimated, before normalisation */
    double *mixture; /* (m) p that it has chosen */
};

/** @return MIX_OK; MIX_EINVAL options out of range, or that leave no step; MIX_ENOMEM */
enum mix_status mix_mixer_create(const struct mix_method *method,
                                 const struct mix_method_setup *setup, struct mix_mixer **out,
                                 struct mix_error *err);
void mix_mixer_destroy(struct mix_mixer *mixer);

/** The next segment, its arrays (m) allocated by the caller; false = the run is over. The steps of
 * all segments sum to mixer->n_steps. */
bool mix_mixer_next(struct mix_mixer *mixer, struct mix_segment *segment);

/** To be called after each segment that measures. @return MIX_OK; MIX_ENUMERIC a figure that was
 * asked for is not finite (the sentence names group and step) */
enum mix_status mix_mixer_observe(struct mix_mixer *mixer, const struct mix_observation *seen,
                                  struct mix_error *err);

/**
 * The static runs that a method wants before mix_mixer_create(); one block, of which the caller
 * fills loss_start and loss_end (NaN) and passes it on in the setup. Equal for equal setup; those
 * of `grid` and `dml` are the same.
 *
 * @param runs    out: (n_runs), NULL where there are none; free with mix_static_runs_destroy()
 * @return MIX_OK; MIX_EINVAL options out of range, or a budget that leaves no step; MIX_ENOMEM
 */
enum mix_status mix_method_plan(const struct mix_method *method,
                                const struct mix_method_setup *setup, struct mix_static_run **runs,
                                size_t *n_runs, struct mix_error *err);
void mix_static_runs_destroy(struct mix_static_run *runs);

/** What happened in a steered run: a point for every evaluation that a method asked for, one at
 * the start and one at the end. Owns its arrays. */
struct mix_trajectory {
    size_t n_groups, n_points, capacity;
    uint64_t *step;  /* (n_points) */
    double *mixture; /* (n_points,m) in use from there on */
    double *loss;    /* (n_points,m) validation */
    size_t n_rounds, rounds_capacity;
    uint64_t *round_step;               /* (n_rounds) */
    double *matrix;                     /* (n_rounds,m,m) A as the method estimated it */
    double *chosen;                     /* (n_rounds,m) p that it chose */
    double *test, *test_se;             /* (m) at the end */
    uint64_t n_steps;                   /* trained */
    uint64_t n_evaluations;             /* validation passes over all groups */
    double mixer_s, train_s, measure_s; /* seconds in the method, in training, in measuring */
};
struct mix_trajectory *mix_trajectory_create(size_t n_groups);
void mix_trajectory_destroy(struct mix_trajectory *trajectory);

/**
 * Let a method steer a trainee from its beginning to the method's end; a trainee under a
 * MIX_METHOD_PROXY that needs MIX_CAN_REFERENCE is first trained under the uniform mixture for as
 * many steps, frozen and begun anew. Test losses are measured in runs that count (NaN under a
 * MIX_METHOD_PROXY). Local.
 *
 * @param out  an empty trajectory
 * @return MIX_OK; MIX_EINVAL the trainee cannot do what the method needs (the sentence names it),
 * or the method steers nothing; MIX_ENUMERIC it diverged; MIX_EINTERRUPTED
 */
enum mix_status mix_online_steer(struct mix_trainee *trainee, struct mix_mixer *mixer,
                                 struct mix_trajectory *out, struct mix_poll *poll,
                                 struct mix_error *err);

/** The same under a static mixture: evaluated at the start and the end, and `n_points` times in
 * between. */
enum mix_status mix_online_static(struct mix_trainee *trainee, const double *mixture,
                                  uint64_t n_steps, size_t n_points, struct mix_trajectory *out,
                                  struct mix_poll *poll, struct mix_error *err);

/* ---- the arithmetic of the frame, for methods, analysis and tests ---- */

/** p_j <- p_j exp(eta g_j) / sum, in logarithms. */
void mix_egd(size_t m, double *p, const double *g, double eta);

/** g_j = sum_i A_ij. */
void mix_column_sums(size_t m, const double *a, double *g);

/** A shifted by its least entry where that is negative, then scaled to sum 1; false where it sums
 * to 0 (A is then left as it is). */
bool mix_normalise_matrix(size_t m, double *a);

/** p = exp(score) / sum. */
void mix_softmax(size_t m, const double *score, double *p);

/** Mean drops B (column j: under perturbed mixture j) to A; own weight omega = 1 - e + e / m. */
void mix_solve_perturbed(size_t m, double smoothing, const double *b, double *a);

#ifdef __cplusplus
}
#endif
#endif

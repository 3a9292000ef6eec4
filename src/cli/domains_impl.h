/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains_impl.h - parts of the verb domains. Private to src/cli/. */
#ifndef MIXSWEEP_CLI_DOMAINS_IMPL_H
#define MIXSWEEP_CLI_DOMAINS_IMPL_H

#include "cli.h"
#include "mixsweep/domains.h"

enum {
    DOMAINS_STEPS = 2, /* a change, and the collapse of what it leaves alone */
    DOMAINS_WORDS = 3 + MIX_DOMAINS_MAX
};

/** A change and what came of it. */
struct domains_step {
    struct mix_domains_change change;
    struct mix_domains_outcome outcome;
    struct mix_domains_bound bound;
    struct mix_domains_reuse reuse; /* of the parts of a collapse */
    bool has_reuse;
};

/** What is to be explored, and the mixtures for it. */
struct domains_plan {
    uint8_t changed[MIX_DOMAINS_MAX];
    double fixed[MIX_DOMAINS_MAX]; /* proportions of the others */
    char source[2 * MIX_NAME_MAX]; /* of these: "optimum transfer of old.h5" */
    size_t n_touched; /* domains that the change made or changed; fewer than are explored where too
                         few runs are left */
    size_t n_changed, n_mixtures;
    size_t n_scales;  /* of the runs that there are */
    double flops;     /* of the mixtures at all of them */
    double *mixtures; /* (n_mixtures,K) */
    double *scale;    /* (n_mixtures,2) parameters and tokens of proposed runs; NULL = any */
};

/** The command line. */
struct domains_asked {
    const char *word[DOMAINS_WORDS + 1]; /* action, file, domain, parts */
    const char *output, *runs, *collapse, *optimum, *mixture, *fit, *format;
    struct mix_domains_change change;
    struct mix_domains_part part[MIX_DOMAINS_MAX];
    size_t n_mixtures, n_apart;
    uint64_t seed;
    double flops;
    bool force, json;
    enum domains_word { DOMAINS_CHANGE, DOMAINS_PLAN, DOMAINS_EXPAND, DOMAINS_BOUND } what;
};

/** What is read and made. */
struct domains_session {
    struct mix_store *store;
    struct mix_table *table;
    struct mix_fit *fit;
    struct mix_draws *draws;
    struct mix_optimum *optimum;
    struct domains_step step[DOMAINS_STEPS];
    size_t n_steps;
    struct mix_domains_part virtual[MIX_DOMAINS_MAX];
    struct domains_plan plan;
    char *history;
};

/** Read the file of word 1: its table, history, and optimum, fit and draws where there is one of
 * them, or one is asked for. */
enum mix_status domains_read(const struct domains_asked *asked, struct domains_session *session,
                             struct mix_error *err);

/** Words add to drop: make the new file. */
enum mix_status domains_change(struct domains_asked *asked, struct domains_session *session,
                               struct mix_error *err);

/** Word plan: the runs to add to a file whose domains have changed. */
enum mix_status domains_make_plan(const struct domains_asked *asked,
                                  struct domains_session *session, struct mix_error *err);

/** Fill session->plan: the proportions that the untouched domains of a table keep, and where they
 * are from. */
enum mix_status domains_find_proportions(const struct domains_asked *asked,
                                         struct domains_session *session,
                                         const struct mix_table *table, struct mix_error *err);

/** Fill session->plan: the mixtures to add, and what they cost. */
enum mix_status domains_explore(const struct domains_asked *asked, struct domains_session *session,
                                const struct mix_table *table, struct mix_error *err);

/** The mixtures of a plan as CSV. */
void domains_write_mixtures(FILE *out, const struct mix_table *table,
                            const struct domains_plan *plan);

/** A line of the history for a step, in front of it those that there are. NULL when memory is out,
 * or a name is not UTF-8. */
char *domains_history_add(const char *history, const char *from, const struct domains_step *step);

/**
 * The changes of two histories: those of `mine`, then those that only `other` has.
 *
 * @param path    where the other one is from
 * @param joined  out: free with free()
 * @return MIX_OK; MIX_EINVAL one domain was changed in two ways; MIX_EFORMAT; MIX_ENOMEM
 */
enum mix_status domains_history_join(const char *mine, const char *other, const char *path,
                                     char **joined, struct mix_error *err);

/** The domains that the last change of a history made or changed, in the table; none after a drop.
 * MIX_ENOTFOUND where there is no change. */
enum mix_status domains_history_changed(const char *history, const struct mix_table *table,
                                        uint8_t *changed, struct mix_error *err);

/**
 * Shares of a collapsed mixture for the domains that virtual ones stand for.
 *
 * @param names   (MIX_DOMAINS_MAX) in and out
 * @param shares  (MIX_DOMAINS_MAX) in and out
 * @param n       in and out
 */
enum mix_status domains_history_expand(const char *history, char (*names)[MIX_NAME_MAX],
                                       double *shares, size_t *n, struct mix_error *err);

/** The last collapse of a history: its domain and (MIX_DOMAINS_MAX) parts; MIX_ENOTFOUND where
 * there is none. */
enum mix_status domains_history_kept(const char *history, char domain[MIX_NAME_MAX],
                                     struct mix_domains_part *parts, size_t *n,
                                     struct mix_error *err);

/** The part of a collapse whose proportion may cost most, and what, should the change make a part
 * MIX_DOMAINS_SPREAD of difference between the targets. */
size_t domains_most_at_risk(const struct domains_step *step);

/** What the proportions of a collapse cost, by what is known since. MIX_EINVAL where a name is not
 * UTF-8. */
enum mix_status domains_print_reuse(const struct domains_step *step, bool json,
                                    struct mix_error *err);

/** What was done, for people and as JSON. */
void domains_print(const char *from, const char *to, const struct domains_step *steps,
                   size_t n_steps, const struct domains_plan *plan, const char *runs);
enum mix_status domains_print_json(const char *to, const struct domains_step *steps, size_t n_steps,
                                   const struct domains_plan *plan, const char *runs,
                                   struct mix_error *err);
void domains_print_plan(const struct mix_table *table, const struct domains_plan *plan,
                        const char *runs);
struct json_t *domains_json_plan(const struct mix_table *table, const struct domains_plan *plan,
                                 const char *runs);

#endif

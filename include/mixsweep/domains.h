/* SPDX-License-Identifier: GPL-3.0-or-later */
/* domains.h - the runs of a sweep after its domains have changed: which of them stay valid, and as
 * runs of what, what the reuse may cost, and which runs to add.
 *
 *     add D           all runs have a share 0 of it
 *     split D         a share h of D is p_i h of its part i: D was sampled proportionally
 *     merge D_i       runs with h_i = p_i sum h within the tolerance have the share sum h of it
 *     revise D        its content changed: runs with a share of at most the tolerance
 *     drop D          the same; the other shares are divided by their sum
 *
 * A run that is not valid any more stays in the table, excluded with the reason. Its recipe gets
 * "before ACTION DOMAIN" in front, so that the same run can be made anew, and its metadata keeps
 * the shares that it had of domains that are no more.
 *
 * Targets are validation sets. That of a domain which is split, merged or dropped stays what it was
 * measured on, and belongs to no training domain any more; one that no run has measured goes. Where
 * domains are targets, new domains are too, not measured in old runs; the loss of a merged domain
 * is the mean of those of its parts, weighted by the proportions. A revised domain keeps its
 * validation set, unless that is held out of its text ("text:..." in its content).
 */
#ifndef MIXSWEEP_DOMAINS_H
#define MIXSWEEP_DOMAINS_H

#include "mixsweep/fit.h"
#include "mixsweep/job.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mix_domains_action {
    MIX_DOMAINS_ADD,
    MIX_DOMAINS_SPLIT,
    MIX_DOMAINS_MERGE,
    MIX_DOMAINS_REVISE,
    MIX_DOMAINS_DROP,
    MIX_DOMAINS_ACTIONS
};
extern const char *const mix_domains_action_names[MIX_DOMAINS_ACTIONS]; /* "add", "split", ... */

/** A part of the domain that is split, or made by a merge. */
struct mix_domains_part {
    char name[MIX_NAME_MAX];
    double proportion; /* above 0, below 1 */
};

/** One change. Texts and arrays are borrowed. */
struct mix_domains_change {
    enum mix_domains_action action;
    const char *domain; /* that is added, split, made by a merge, revised, dropped */
    size_t n_parts;     /* split, merge: at least 2 */
    const struct mix_domains_part *parts; /* (n_parts) their proportions sum to 1 */
    double tolerance;     /* merge, revise, drop: in shares; MIX_DOMAINS_EXACT at least */
    double prior;         /* add: share in the mixture in use; NaN = unknown */
    double supply_tokens; /* add, revise: NaN = unknown */
    const char *content;  /* add, revise: label of the data; NULL = unknown */
    bool new_validation;  /* revise: the validation set of that name is another one too */
    bool is_virtual;      /* merge: the untouched domains, which get no target of their own */
};
#define MIX_DOMAINS_EXACT 1e-5 /* mixtures this near are one: published ones are rounded */

/** What becomes of a row. */
enum mix_domains_fate {
    MIX_DOMAINS_VALID,
    MIX_DOMAINS_NEAR,   /* valid within the tolerance only */
    MIX_DOMAINS_VOID,   /* excluded from now on */
    MIX_DOMAINS_BEFORE, /* failed, or excluded before: in no fit anyway */
    MIX_DOMAINS_GONE,   /* had nothing but the domain that is dropped: it is left out */
    MIX_DOMAINS_FATES
};

/** What came out. Owns its arrays; free with mix_domains_outcome_clear(). */
struct mix_domains_outcome {
    struct mix_table *table; /* finished, rows in the old order */
    size_t n_rows;           /* of the old table */
    uint8_t *fate;           /* (n_rows) enum mix_domains_fate */
    size_t n[MIX_DOMAINS_FATES];
    char reason[MIX_NAME_MAX];  /* of the rows that are void */
    char targets[MIX_TEXT_MAX]; /* what becomes of targets, for people; empty = nothing */
};

/**
 * Make the table after a change; the old one is left as it is.
 *
 * @return MIX_OK; MIX_EINVAL a domain that is not there (sentence lists those that are), a name
 * that is taken, proportions that do not sum to 1 within 1e-6, or nothing would be left; MIX_ENOMEM
 */
enum mix_status mix_domains_apply(const struct mix_table *old,
                                  const struct mix_domains_change *change,
                                  struct mix_domains_outcome *out, struct mix_error *err);
void mix_domains_outcome_clear(struct mix_domains_outcome *outcome);

/** What the rows that are valid within the tolerance only may be wrong by. */
struct mix_domains_bound {
    size_t n_rows;             /* such rows; 0 = nothing to bound */
    double rms;                /* root mean square error of their losses */
    double loss;               /* the largest */
    char run[MIX_NAME_MAX];    /* of it */
    char target[MIX_NAME_MAX]; /* of it */
    double noise;              /* of the fit: root mean square residual; NaN without one */
};

/**
 * Bound the error of reuse. A row of mixture h is taken for a run of another mixture h' of the old
 * domains: with the parts in their proportions (merge), without the domain (drop). With a fit the
 * error is |L(h') - L(h)| by its law, a run seeing as many tokens of a domain before they repeat as
 * it did. The new content of a revised domain is in no run: assumed is
 * that the share of it is worth no less and no more than the same share of any other domain; the
 * error is the largest of these. Without a fit the assumption is that no loss changes faster with
 * the mixture than between any two runs of equal size and tokens that differ by 0.1 or more in
 * total variation; of more than 2000 rows so many are looked at.
 *
 * @param old   the table before the change
 * @param fit   of the old table, or NULL
 * @param fate  (R) of mix_domains_apply()
 * @return MIX_OK; MIX_EINVAL a fit of other domains; MIX_ENOMEM
 */
enum mix_status mix_domains_bound(const struct mix_table *old, const struct mix_fit *fit,
                                  const struct mix_domains_change *change, const uint8_t *fate,
                                  struct mix_domains_bound *out, struct mix_error *err);

/** Domains whose proportions are kept, as one virtual domain. All is borrowed. */
struct mix_domains_kept {
    const struct mix_fit *before;  /* knows the parts */
    const struct mix_draws *draws; /* of it, or NULL */
    size_t n_parts;
    const struct mix_domains_part *parts; /* (n_parts) in their proportions */
    double n_params, n_tokens;            /* the question is asked for them */
    const double *today;                  /* (K of before) without after: the mixture of today; NULL
                                             = the parts alone */
    const struct mix_fit *after;          /* knows them as one; NULL = not fitted yet */
    const char *domain;                   /* after: the virtual domain */
    const double *mixture;                /* after: (K) the optimum */
};

/** What keeping them costs: of the weighted mean loss. */
struct mix_domains_reuse {
    double loss;   /* bound: no mixture of all domains is better by more */
    bool is_bound; /* the laws are convex in the mixture; else one farther off may be better by
                      more */
    double high;   /* the same by 95 in 100 draws; NaN without draws */
    size_t most;   /* the part that would have to have more */
    double gain[MIX_DOMAINS_MAX];     /* (n_parts) g_j: what a share more of it would gain */
    double coupling[MIX_DOMAINS_MAX]; /* (n_parts) c_j: the same if targets did not offset */
    size_t n_unknown; /* targets with a weight of which the fit before knows nothing */
};
#define MIX_DOMAINS_SPREAD 0.1 /* d, where nothing is known of it */

/**
 * Bound what it costs to keep the proportions rho of domains U (mixture reuse, Olmix, arXiv
 * 2602.12237). F is the weighted mean of the losses, convex in the mixture by most laws (where it
 * is not, what follows says what slopes at h promise, and no more), and h the best mixture that
 * keeps rho. No changed domain has a slope there below that of U as one, so by convexity
 *
 *     F(h) - min F <= max_j g_j,    g_j = sum_i rho_i dF/dh_i - dF/dh_j,    i, j in U, at h.
 *
 * Of each target m the fit before knows g_mj where U is alone; since then all slopes of m have
 * changed by one factor x_m, if its loss depends on the mixture by one sum over the domains:
 * g_j = sum_m w_m x_m g_mj. The fit after knows by how much its loss has changed, the fit before
 * how slopes change with the loss: x_m = 1 + (l_m(h) - l_m(rho)) d ln slope / dl, exact where a
 * loss is c + exp(sum), else to first order.
 *
 * Where rho is the optimum of U, sum_m w_m g_mj <= 0: keeping it costs something only where the
 * factors of targets differ. Before there is a fit after, g_mj is that of today; should the
 * factors come to be off 1 by up to d, the bound is max_j (g_j + d c_j) with the *coupling* c_j =
 * sum_m w_m |g_mj|, which is 0 where no target minds what U is made of. The parts for which this is
 * largest are those to explore anew with what has changed.
 *
 * @return MIX_OK; MIX_EINVAL a fit does not know a domain, or N is too small for it; MIX_ENOMEM
 */
enum mix_status mix_domains_reuse(const struct mix_domains_kept *kept,
                                  struct mix_domains_reuse *out, struct mix_error *err);

/** Which mixtures to add. Arrays are borrowed. */
struct mix_domains_design {
    const uint8_t *changed; /* (K) 1 = to be explored */
    const double *fixed;    /* (K) proportions of the other domains, of any sum */
    size_t n_mixtures;
    uint64_t seed;
};

/**
 * How many mixtures to add, and of what. m free domains, those that change and one for all others
 * together, take 3 (m + 1) mixtures (Olmix, arXiv 2602.12237). Where these and the mixtures of the
 * valid rows are fewer than the 3 (K + 1) of all K domains, what lacks is added, of all domains.
 * Counted are rows that have the loss of the target that the fewest have (of a weight above 0): of
 * a new target old runs say nothing.
 *
 * @param changed   (K) in and out: 1 = to be explored; all of them where all are
 * @param n_needed  out
 */
enum mix_status mix_domains_needed(const struct mix_table *table, uint8_t *changed,
                                   size_t *n_needed, struct mix_error *err);

/**
 * Mixtures that explore the changed domains while all others keep their proportions to one another,
 * as one domain: Dirichlet shares, evenly spread, about the priors where all are known, else about
 * equal shares. Shares below 0.05 (or half the least prior) are 0: after a later change of a domain
 * the runs without it are those that stay valid.
 *
 * @param mixtures  (n_mixtures,K) out
 * @return MIX_OK; MIX_EINVAL nothing to explore, or no proportions; MIX_ENOMEM
 */
enum mix_status mix_domains_explore(const struct mix_table *table,
                                    const struct mix_domains_design *design, double *mixtures,
                                    struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

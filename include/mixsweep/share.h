/* SPDX-License-Identifier: GPL-3.0-or-later */
/* share.h - rank 0's table, fit, draws or text on every rank.
 *
 * Rank 0 owns the file; stages want the numbers everywhere. An object travels as one block of
 * bytes: its plain struct, then its arrays. All ranks run the same program, so no byte order is
 * translated.
 */
#ifndef MIXSWEEP_SHARE_H
#define MIXSWEEP_SHARE_H

#include "mixsweep/fit.h"
#include "mixsweep/isa.h"
#include "mixsweep/table.h"
#include "mixsweep/task.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Collective. Give every rank a copy of rank 0's table.
 *
 * @param ranks  the ranks; NULL or one rank: nothing is done
 * @param table  on rank 0 the table, or NULL; elsewhere in: NULL, out: a copy to free with
 * mix_table_destroy(), or NULL where rank 0 has none
 * @param err    out: message on failure; may be NULL
 * @return MIX_OK; MIX_ENOMEM on any rank (all return it, no copy stays)
 */
enum mix_status mix_share_table(struct mix_ranks *ranks, struct mix_table **table,
                                struct mix_error *err);

/** Collective. The same for a fit; copies are freed with mix_fit_destroy(). */
enum mix_status mix_share_fit(struct mix_ranks *ranks, struct mix_fit **fit, struct mix_error *err);

/** Collective. The same for bootstrap draws; copies are freed with mix_draws_destroy(). */
enum mix_status mix_share_draws(struct mix_ranks *ranks, struct mix_draws **draws,
                                struct mix_error *err);

/** Collective. The same for a text; copies are freed with free(). */
enum mix_status mix_share_text(struct mix_ranks *ranks, char **text, struct mix_error *err);

/** Collective. The best instruction set that every rank has. */
enum mix_status mix_share_isa(struct mix_ranks *ranks, enum mix_isa *out, struct mix_error *err);

#ifdef __cplusplus
}
#endif
#endif

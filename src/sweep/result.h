/* SPDX-License-Identifier: GPL-3.0-or-later */
/* result.h - what a command hands back about its run: one JSON object. Private to the library.
 *
 *     {"loss": {"web": 2.1, "code": 1.3}, "loss_se": {"web": 0.01}}        at the end of the run
 *     {"checkpoints": [{"tokens": 1e9, "loss": {...}}, {"tokens": 2e9, "loss": {...}}]}
 *     {"web": 2.1, "code": 1.3}
 *
 * A target that is missing or null was not measured; but where one is missing while "loss" names
 * something that is no target, that is taken for its misspelling and refused. So is a mixture
 * without a share of every domain, or of others. What the run really was is taken where it is sane:
 * mixture, epochs (by domain), flops, n_params_non_embedding, n_params_active. All the rest goes
 * into the row's metadata.
 */
#ifndef MIXSWEEP_SWEEP_RESULT_H
#define MIXSWEEP_SWEEP_RESULT_H

#include "mixsweep/sweep.h"

enum { RESULT_BYTES_MAX = 1 << 20 };

/**
 * Append the rows of a finished run: one per checkpoint, the last one at the planned tokens.
 * Checkpoints within 1% of a planned one are taken for it.
 *
 * @param text  (n_bytes) any bytes, at most RESULT_BYTES_MAX
 * @param err   out: the sentence says what is wrong without naming the file
 * @return MIX_OK; MIX_EFORMAT not such an object; MIX_ENUMERIC a loss is not finite or outside the
 * job's range; MIX_ENOMEM. After a failure the rows are as before.
 */
enum mix_status mix_result_parse(const struct mix_request *request, const char *text,
                                 size_t n_bytes, struct mix_table *rows, struct mix_error *err);

/**
 * Find the result among the lines of stdout: the last line that is a JSON object with losses, else
 * the last object, else the last line that is not empty. A line that begins as an object and is
 * none ends the search: the result may have been cut off.
 *
 * @param text    (n_bytes) at most RESULT_BYTES_MAX
 * @param is_cut  the first line lacks its beginning, and is not looked at
 * @param length  out: bytes of the line without white space around it; 0 = all lines are empty
 * @return its first byte, or NULL when memory is out
 */
const char *mix_result_find(const struct mix_request *request, const char *text, size_t n_bytes,
                            bool is_cut, size_t *length);

/** Drop the rows from `first` on. */
void mix_result_drop(struct mix_table *rows, size_t first);

/** `text` with every byte that is not UTF-8 or is a control character but line feed and tab
 * replaced by '?'; NULL when memory is out. The caller frees it. */
char *mix_result_clean_text(const char *text, size_t n_bytes);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* follower.c - what rank 0 does beside the runs: counts, reports, folds.
 *
 * The file is written anew at most once in FOLD_S, and only when the runs that have ended since are
 * at least half of those in it. Its size then grows by half from fold to fold, and all folds
 * together write at most 1 + 2/3 + 4/9 + ... = 3 times its last size, and the last one once more.
 * While it is small none of this matters.
 */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "sweep/sweep_impl.h"

static const double FOLD_S = 60;
static const off_t SMALL_BYTES = 1000000;

static double cost_of(const struct mix_follower *follower, size_t task)
{
    return mix_job_flops(&follower->job->scales[follower->marks->scale[task]]);
}

void mix_follower_begin(struct mix_follower *follower)
{
    const struct mix_marks *marks = follower->marks;
    follower->now = marks->counts;
    follower->now.n_again = 0;
    follower->n_folded = marks->counts.n_done + marks->counts.n_failed;
    follower->folded_s = mix_clock_s();
    for (size_t i = 0; i < marks->n; i++)
        if (!marks->done[i])
            follower->left_cost += cost_of(follower, i);
}

void mix_follower_end(struct mix_follower *follower, size_t task, const struct mix_attempt_end *end)
{
    struct mix_sweep_progress *now = &follower->now;
    uint16_t *failures = &follower->marks->failures[task];
    if (end->what == MIX_ATTEMPT_INTERRUPTED || (end->what == MIX_ATTEMPT_RETRY && !end->failed))
        return;
    follower->n_new++;
    if (end->what == MIX_ATTEMPT_RETRY) {
        if (*failures < UINT16_MAX)
            ++*failures;
        return;
    }
    now->n_waiting -= now->n_waiting > 0;
    *(end->failed ? &now->n_failed : &now->n_done) += 1;
    if (!end->failed)
        now->n_tokens += follower->job->scales[follower->marks->scale[task]].n_tokens;
    follower->done_cost += cost_of(follower, task);
    follower->left_cost -= cost_of(follower, task);
    if (isnan(end->objective) || end->objective >= now->best_loss)
        return;
    struct mix_planned planned;
    mix_plan_run(follower->plan, task, &planned);
    now->best_loss = end->objective;
    memcpy(now->best_run, planned.run.run, sizeof now->best_run);
}

/* A fold that fails now (a full disk, say) is no reason to stop: the logs have it all, and the last
 * fold will say so. */
static void fold_at_intervals(struct mix_follower *follower)
{
    struct stat info;
    const double interval_s = follower->options->fold_s > 0 ? follower->options->fold_s : FOLD_S;
    const double now_s = mix_clock_s();
    if (follower->n_new == 0 || now_s - follower->folded_s < interval_s)
        return;
    const bool is_small =
        stat(mix_store_path(follower->store), &info) != 0 || info.st_size < SMALL_BYTES;
    if (!is_small && 2 * follower->n_new < follower->n_folded)
        return;
    if (mix_store_checkpoint(follower->store, NULL) == MIX_OK) {
        follower->n_folded += follower->n_new;
        follower->n_new = 0;
    }
    follower->folded_s = mix_clock_s();
}

void mix_follower_tick(struct mix_follower *follower, size_t n_running, double elapsed_s,
                       double left_s)
{
    struct mix_sweep_progress shown = follower->now;
    mix_store_heartbeat(follower->store);
    fold_at_intervals(follower);
    shown.n_running = n_running < shown.n_waiting ? n_running : shown.n_waiting;
    shown.n_waiting -= shown.n_running;
    shown.elapsed_s = elapsed_s;
    shown.left_s = left_s;
    if (isnan(left_s) && follower->done_cost > 0)
        shown.left_s = elapsed_s * follower->left_cost / follower->done_cost;
    if (follower->options->progress)
        follower->options->progress(follower->options->progress_context, &shown);
}

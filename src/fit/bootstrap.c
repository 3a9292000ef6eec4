/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap.c - refits on resampled mixtures and without each mixture, each a task; see fit.h.
 * Draws go by generations, which begin where those before them ended. Streams depend on (seed,
 * number of the draw) alone, and so does a draw.
 */
#include <stdlib.h>
#include <string.h>

#include "bootstrap_parts.h"
#include "mixsweep/share.h"

/* Draws of the first generation; each has four times as many as there were before it, the last all
 * others. */
enum { FIRST_GENERATION = 64, GENERATION_GROWTH = 4, POOL_MAX = 4096 };

bool mix_draws_match(const struct mix_draws *draws, const struct mix_fit *fit,
                     const struct mix_bootstrap_options *options)
{
    const struct mix_key key = mix_fit_key(fit);
    return draws->fit_key.hi == key.hi && draws->fit_key.lo == key.lo &&
           draws->n_params == fit->n_params && draws->seed == options->seed &&
           (draws->cluster_run != 0) == options->cluster_run &&
           (draws->bayesian != 0) == options->bayesian;
}

struct mix_draws *mix_draws_plan(const struct mix_fit *fit,
                                 const struct mix_bootstrap_options *options,
                                 const struct mix_draws *old)
{
    const size_t n_old = old != NULL ? old->n_draws : 0;
    struct mix_draws *draws =
        mix_draws_create(options->n_draws > n_old ? options->n_draws : n_old, fit->n_params);
    if (draws == NULL)
        return NULL;
    memcpy(draws->fit, fit->name, sizeof draws->fit);
    draws->fit_key = mix_fit_key(fit);
    draws->seed = options->seed;
    draws->cluster_run = options->cluster_run;
    draws->bayesian = options->bayesian;
    if (old != NULL) {
        memcpy(draws->objective, old->objective, n_old * sizeof *old->objective);
        memcpy(draws->params, old->params, n_old * old->n_params * sizeof *old->params);
        memcpy(draws->done, old->done, n_old);
        if (!mix_draws_copy_left(draws, old)) {
            mix_draws_destroy(draws);
            return NULL;
        }
    }
    return draws;
}

size_t mix_draws_count(const struct mix_draws *draws)
{
    size_t n = 0;
    for (size_t b = 0; b < draws->n_draws; b++)
        n += draws->done[b] != 0;
    return n;
}

size_t mix_jackknife_count(const struct mix_draws *draws)
{
    size_t n = 0;
    for (size_t g = 0; g < draws->n_left; g++)
        n += draws->left_done[g] != 0;
    return n;
}

static enum mix_status run_draw(void *context, size_t task, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct resampler *s = context;
    struct mix_draw_body body = {.draw = task};
    gsl_rng *rng =
        mix_rng_create(mix_key_make(s->draws->seed, "bootstrap", &body.draw, sizeof body.draw));
    if (rng == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for a random stream");
    resampler_draw(s, rng);
    const enum mix_status status =
        refit(s, rng, poll, &body.objective, (double *)((char *)record + sizeof body), err);
    gsl_rng_free(rng);
    memcpy(record, &body, sizeof body);
    return status;
}

static enum mix_status run_left(void *context, size_t task, void *record, struct mix_poll *poll,
                                struct mix_error *err)
{
    struct resampler *s = context;
    const struct mix_left_body body = {.group = task, .n_groups = s->n_groups};
    double objective;
    memcpy(record, &body, sizeof body);
    resampler_leave_out(s, task);
    return refit(s, NULL, poll, &objective, (double *)((char *)record + sizeof body), err);
}

/* Copy finished records into the draws of rank 0. */
static void keep_draws(const uint8_t *records, const uint8_t *finished, size_t record_bytes,
                       size_t n_tasks, struct mix_draws *draws)
{
    for (size_t b = 0; b < n_tasks; b++) {
        if (!finished[b])
            continue;
        const uint8_t *record = records + b * record_bytes;
        struct mix_draw_body body;
        memcpy(&body, record, sizeof body);
        draws->objective[b] = body.objective;
        memcpy(draws->params + b * draws->n_params, record + sizeof body,
               draws->n_params * sizeof(double));
        draws->done[b] = 1;
    }
}

static void keep_left(const uint8_t *records, const uint8_t *finished, size_t record_bytes,
                      struct mix_draws *draws)
{
    for (size_t g = 0; g < draws->n_left; g++) {
        if (!finished[g])
            continue;
        memcpy(draws->left + g * draws->n_params,
               records + g * record_bytes + sizeof(struct mix_left_body),
               draws->n_params * sizeof(double));
        draws->left_done[g] = 1;
    }
}

/* The options of rank 0's draws on all ranks. */
static struct mix_draws share_options(struct mix_ranks *ranks, const struct mix_draws *draws)
{
    uint64_t what[4] = {0};
    if (draws != NULL) {
        what[0] = draws->seed;
        what[1] = (uint64_t)draws->cluster_run;
        what[2] = (uint64_t)draws->bayesian;
        what[3] = draws->n_draws;
    }
    mix_ranks_broadcast(ranks, what, sizeof what);
    return (struct mix_draws){.seed = what[0],
                              .cluster_run = (int32_t)what[1],
                              .bayesian = (int32_t)what[2],
                              .n_draws = (size_t)what[3]};
}

static void fill_head(const struct mix_fit *fit, const struct mix_draws *draws,
                      struct mix_draw_head *head)
{
    memset(head, 0, sizeof *head);
    memcpy(head->fit, fit->name, sizeof head->fit);
    head->fit_key = mix_fit_key(fit);
    head->seed = draws->seed;
    head->cluster_run = draws->cluster_run;
    head->bayesian = draws->bayesian;
}

/* Where rank 0 gathers the records of a stage; NULLs elsewhere. */
struct gathered {
    uint8_t *records, *finished;
};

static enum mix_status gather_into(struct mix_ranks *ranks, size_t n, size_t record_bytes,
                                   struct gathered *out, enum mix_status status,
                                   struct mix_error *err)
{
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0) {
        out->records = calloc(n + 1, record_bytes);
        out->finished = calloc(n + 1, 1);
        if (out->records == NULL || out->finished == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", n);
    }
    return mix_ranks_agree(ranks, status, err);
}

/* Progress over all generations, on rank 0. */
struct whole {
    mix_progress_fn progress;
    void *context;
    size_t n_before, n_todo; /* of all generations: finished before this one, and to be made */
    double seconds;          /* taken by those before */
    double last;             /* of this one, when last heard */
};

static void report_whole(void *context, size_t n_done, size_t n_todo, double seconds)
{
    struct whole *whole = context;
    (void)n_todo;
    whole->last = seconds;
    whole->progress(whole->context, whole->n_before + n_done, whole->n_todo,
                    whole->seconds + seconds);
}

/* The draws up to the end of a generation, into `draws` of rank 0. */
static enum mix_status run_generation(struct mix_ranks *ranks, struct mix_stage *stage,
                                      struct mix_draws *draws, struct whole *whole,
                                      struct mix_error *err)
{
    struct gathered got = {NULL, NULL};
    enum mix_status status =
        gather_into(ranks, stage->n_tasks, stage->record_bytes, &got, MIX_OK, err);
    if (status == MIX_OK) {
        const size_t n_before = draws != NULL ? mix_draws_count(draws) : 0;
        stage->records = got.records;
        stage->finished = got.finished;
        whole->last = 0.0;
        status = mix_stage_run(ranks, stage, err);
        if (draws != NULL && got.finished != NULL) {
            keep_draws(got.records, got.finished, stage->record_bytes, stage->n_tasks, draws);
            whole->n_before += mix_draws_count(draws) - n_before;
            whole->seconds += whole->last;
        }
    }
    free(got.records);
    free(got.finished);
    return status;
}

/* Draws `first` to `end` of rank 0 become points to start from, on all ranks. */
static enum mix_status share_generation(struct mix_ranks *ranks, struct resampler *s,
                                        const struct mix_draws *draws, size_t first, size_t end,
                                        struct mix_error *err)
{
    const size_t n_doubles = (end - first) * s->fit->n_params;
    double *params = malloc((n_doubles + 1) * sizeof *params);
    enum mix_status status =
        params != NULL ? MIX_OK
                       : mix_fail(err, MIX_ENOMEM, "out of memory for %zu draws", end - first);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        if (draws != NULL)
            memcpy(params, draws->params + first * s->fit->n_params, n_doubles * sizeof *params);
        mix_ranks_broadcast(ranks, params, n_doubles * sizeof *params);
        status = mix_ranks_agree(ranks, resampler_add_points(s, end - first, params, err), err);
    }
    free(params);
    return status;
}

enum mix_status mix_bootstrap_run(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, struct mix_draws *draws,
                                  const char *log_dir, mix_progress_fn progress,
                                  void *progress_context, struct mix_error *err)
{
    const struct mix_draws shared = share_options(ranks, draws);
    struct resampler resampler = {.fit = fit, .draws = &shared};
    struct mix_draw_head head;
    struct whole whole = {.progress = progress, .context = progress_context};
    struct mix_stage stage = {.name = "bootstrap",
                              .record_bytes =
                                  sizeof(struct mix_draw_body) + fit->n_params * sizeof(double),
                              .run = run_draw,
                              .context = &resampler,
                              .done = draws != NULL ? draws->done : NULL,
                              .log_kind = MIX_LOG_DRAW,
                              .log_head = &head,
                              .log_head_bytes = sizeof head,
                              .log_dir = log_dir,
                              .progress = progress != NULL ? report_whole : NULL,
                              .progress_context = &whole};
    if (draws != NULL)
        whole.n_todo = draws->n_draws - mix_draws_count(draws);
    enum mix_status status = mix_share_isa(ranks, &resampler.isa, err);
    if (status == MIX_OK)
        status = mix_ranks_agree(ranks, resampler_create(table, &resampler, err), err);
    if (status == MIX_OK)
        fill_head(fit, &shared, &head);
    const bool competes = status == MIX_OK && !lsq_model(resampler.lsq)->separable;
    for (size_t first = 0, end; status == MIX_OK && first < shared.n_draws; first = end) {
        end = first > 0 ? first * GENERATION_GROWTH : FIRST_GENERATION;
        if (!competes || end > POOL_MAX || end > shared.n_draws)
            end = shared.n_draws;
        stage.n_tasks = end;
        status = run_generation(ranks, &stage, draws, &whole, err);
        if (status == MIX_OK && end < shared.n_draws)
            status = share_generation(ranks, &resampler, draws, first, end, err);
        resampler.generation++;
        if (status == MIX_OK && first == 0 && end < shared.n_draws)
            status = mix_ranks_agree(ranks, refit_see_ruggedness(&resampler, err), err);
    }
    resampler_destroy(&resampler);
    return status;
}

enum mix_status mix_jackknife_run(struct mix_ranks *ranks, const struct mix_table *table,
                                  const struct mix_fit *fit, struct mix_draws *draws,
                                  const char *log_dir, mix_progress_fn progress,
                                  void *progress_context, struct mix_error *err)
{
    const struct mix_draws shared = share_options(ranks, draws);
    struct resampler resampler = {.fit = fit, .draws = &shared};
    struct gathered got = {NULL, NULL};
    struct mix_draw_head head;
    struct mix_stage stage = {.name = "jackknife",
                              .record_bytes =
                                  sizeof(struct mix_left_body) + fit->n_params * sizeof(double),
                              .run = run_left,
                              .context = &resampler,
                              .log_kind = MIX_LOG_JACKKNIFE,
                              .log_head = &head,
                              .log_head_bytes = sizeof head,
                              .log_dir = log_dir,
                              .progress = progress,
                              .progress_context = progress_context};
    enum mix_status status = mix_share_isa(ranks, &resampler.isa, err);
    if (status == MIX_OK)
        status = resampler_create(table, &resampler, err);
    if (status == MIX_OK) {
        resampler.n_groups = resampler.n_units < MIX_LEFT_MAX ? resampler.n_units : MIX_LEFT_MAX;
        stage.n_tasks = resampler.n_groups;
        if (draws != NULL && draws->n_left != resampler.n_groups &&
            !mix_draws_hold_left(draws, resampler.n_groups))
            status = mix_fail(err, MIX_ENOMEM, "out of memory for a jackknife");
    }
    status = gather_into(ranks, stage.n_tasks, stage.record_bytes, &got, status, err);
    if (status == MIX_OK) {
        fill_head(fit, &shared, &head);
        stage.done = draws != NULL ? draws->left_done : NULL;
        stage.records = got.records;
        stage.finished = got.finished;
        status = mix_stage_run(ranks, &stage, err);
        if (draws != NULL && got.finished != NULL)
            keep_left(got.records, got.finished, stage.record_bytes, draws);
    }
    free(got.records);
    free(got.finished);
    resampler_destroy(&resampler);
    return status;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* campaign_analysis.c - the analysis of mixsweep/online_analysis.h as tasks of a campaign.
 *
 * Of a method: its own run once more, with short runs off it under the mixtures of the grid, S / 25
 * steps each, from three points; its A there is the mean of its last four. Of grid: the log-linear
 * law over the static runs of its mixtures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/online_analysis.h"
#include "online/campaign_impl.h"

enum { N_LAST = 4, HORIZON_SHARE = 25 };

static double mean_r2(size_t m, const struct mix_law_quality *quality)
{
    double sum = 0.0;
    for (size_t i = 0; i < m; i++)
        sum += quality[i].r2 / (double)m;
    return sum;
}

/* Mixtures (n,m) and losses (n,m) at the end of the static runs; false where one has diverged. */
static bool gather(const struct campaign *campaign, const struct campaign_case *which,
                   const struct mix_static_run *runs, size_t n, double *mixture, double *loss)
{
    const size_t m = campaign->job->online.settings[which->setting].n_groups;
    for (size_t r = 0; r < n; r++) {
        const struct campaign_known *known =
            campaign_find(campaign, campaign_static_key(campaign, which->setting, which->seed,
                                                        runs[r].n_steps, runs[r].mixture));
        if (known == NULL || !isfinite(known->loss_end[0]))
            return false;
        memcpy(mixture + r * m, runs[r].mixture, m * sizeof *mixture);
        memcpy(loss + r * m, known->loss_end, m * sizeof *loss);
    }
    return true;
}

/* R2 of the log-linear law; stays NaN where a run has diverged or the law cannot be fitted. */
static enum mix_status judge_static_law(const struct campaign *campaign,
                                        const struct campaign_case *which,
                                        const struct mix_static_run *runs, size_t n,
                                        struct mix_error *err)
{
    const size_t m = campaign->job->online.settings[which->setting].n_groups;
    double *room = calloc(2 * n * m + m + m * m + 1, sizeof *room);
    struct mix_law_quality *quality = calloc(m + 1, sizeof *quality);
    enum mix_status status = MIX_OK;
    if (room == NULL || quality == NULL) {
        status = mix_fail(err, MIX_ENOMEM, "out of memory for a law of %zu groups", m);
    } else if (gather(campaign, which, runs, n, room, room + n * m)) {
        double *c = room + 2 * n * m, *t = c + m;
        struct mix_error reason = {.text = ""};
        status = mix_online_fit_loglinear(n, m, room, room + n * m, 1, c, t, quality, &reason);
        if (status == MIX_OK)
            campaign->one->runs[0].law_r2 = mean_r2(m, quality);
        else if (status == MIX_ENUMERIC || status == MIX_EINVAL) /* no law for these losses */
            status = MIX_OK;
        else
            status = mix_fail(err, status, "%s", reason.text);
    }
    free(room);
    free(quality);
    return status;
}

static void keep_points(const struct campaign *campaign, const struct mix_job_setting *setting,
                        const struct mix_analysis *analysis)
{
    struct mix_online *one = campaign->one;
    const size_t k = one->n_groups, m = setting->n_groups, n = analysis->n_points;
    struct mix_online_run *run = &one->runs[0];
    run->law_r2 = run->own_r2 = run->similarity = 0.0;
    for (size_t p = 0; p < n; p++) {
        const struct mix_analysis_point *point = &analysis->points[p];
        run->law_r2 += point->linear.r2 / (double)n;
        run->own_r2 += point->own.r2 / (double)n;
        run->similarity += point->similarity / (double)n;
        one->round_step[p] = (double)point->step;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < m; j++)
                one->matrix[(p * k + setting->domain[i]) * k + setting->domain[j]] =
                    analysis->optimal[(p * m + i) * m + j];
    }
    if (n == 0)
        run->law_r2 = run->own_r2 = run->similarity = NAN;
}

static enum mix_status judge_method(const struct campaign *campaign,
                                    const struct campaign_task *task,
                                    const struct campaign_case *which, const double *mixture,
                                    size_t n, struct mix_trajectory *trajectory,
                                    struct mix_poll *poll, struct mix_error *err)
{
    struct campaign_mixer mixer;
    struct mix_trainee *trainee = NULL;
    struct mix_analysis *analysis = NULL;
    enum mix_status status = campaign_mixer_open(campaign, which, NULL, &mixer, err);
    if (status != MIX_OK)
        return status;
    const uint64_t s = mixer.mixer->n_steps;
    const uint64_t steps[CAMPAIGN_PROBES] = {s / 5, s / 2, s - s / 5};
    const struct mix_probe_options points = {.n_points = CAMPAIGN_PROBES,
                                             .step = steps,
                                             .n_mixtures = n,
                                             .mixture = mixture,
                                             .horizon = s / HORIZON_SHARE + 1};
    status = campaign_trainee(&campaign->world, task->setting, s, task->seed, &trainee, poll, err);
    if (status == MIX_OK)
        status = mix_online_analyse(trainee, mixer.mixer, &points, N_LAST, trajectory, &analysis,
                                    poll, err);
    if (status == MIX_OK)
        keep_points(campaign, &campaign->job->online.settings[task->setting], analysis);
    campaign->one->runs[0].n_steps = trajectory->n_steps;
    mix_analysis_destroy(analysis);
    mix_trainee_destroy(trainee);
    campaign_mixer_close(&mixer);
    return status;
}

enum mix_status campaign_analyse(const struct campaign *campaign, const struct campaign_task *task,
                                 const struct campaign_case *which,
                                 struct mix_trajectory *trajectory, struct mix_poll *poll,
                                 struct mix_error *err)
{
    const size_t m = campaign->job->online.settings[which->setting].n_groups;
    struct mix_static_run *runs = NULL;
    size_t n = 0;
    enum mix_status status = campaign_grid(campaign, which, &runs, &n, err);
    if (status != MIX_OK)
        return status;
    if (which->method->kind == MIX_METHOD_STATIC) {
        status = judge_static_law(campaign, which, runs, n, err);
    } else {
        double *mixture = calloc(n * m + 1, sizeof *mixture);
        if (mixture == NULL)
            status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu mixtures", n);
        for (size_t r = 0; r < n && status == MIX_OK; r++)
            memcpy(mixture + r * m, runs[r].mixture, m * sizeof *mixture);
        if (status == MIX_OK)
            status = judge_method(campaign, task, which, mixture, n, trajectory, poll, err);
        free(mixture);
    }
    mix_static_runs_destroy(runs);
    return status;
}

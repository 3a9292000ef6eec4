/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_laws.c JOB.yaml [SEEDS] - do the mixing laws hold on the trainer of an online job, and how
 * near do the methods' A come to the optimal one? For all settings of the job; see
 * mixsweep/online_analysis.h for the protocol.
 *
 * Per setting: R2 of the log-linear static law over runs of S steps under the mixtures of the job's
 * grid; R2 of the linear dynamic law over short runs under the same mixtures, S / 25 steps from
 * three points of each method's own run; the similarity of the method's A there with the optimal
 * one. Means over groups, points and seeds, with standard errors over seeds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "mixsweep/online_analysis.h"
#include "online/campaign_impl.h"

enum { N_POINTS = 3, MOST_SEEDS = 64, N_LAST = 4 };

static const char *const methods[] = {"skillit", "doremi", "doge", "aioli", "aioli-diagonal"};
enum { N_METHODS = sizeof methods / sizeof methods[0] };

/* Figures of all seeds, for mean and standard error. */
struct figure {
    size_t n;
    double value[MOST_SEEDS];
};

static void add(struct figure *figure, double value)
{
    if (isfinite(value))
        figure->value[figure->n++] = value;
}

static void print(const struct figure *figure)
{
    double mean = 0.0, squares = 0.0;
    const double n = (double)figure->n;
    for (size_t i = 0; i < figure->n; i++)
        mean += figure->value[i] / n;
    for (size_t i = 0; i < figure->n; i++)
        squares += pow(figure->value[i] - mean, 2.0);
    if (figure->n == 0)
        printf("              -");
    else
        printf("  %6.3f +- %.3f", mean, figure->n > 1 ? sqrt(squares / (n - 1.0) / n) : NAN);
}

/* One setting of the job with one seed. */
struct world {
    const struct campaign_world *campaign;
    size_t setting, m, n; /* n mixtures */
    uint64_t seed, n_steps;
    double *mixture; /* (n,m) */
    struct figure law, linear[N_METHODS], own[N_METHODS], similarity[N_METHODS];
};

static struct mix_trainee *trainee_of(const struct world *world)
{
    struct mix_trainee *trainee = NULL;
    struct mix_error err = {.text = ""};
    must(campaign_trainee(world->campaign, world->setting, world->n_steps, world->seed, &trainee,
                          NULL, &err),
         &err);
    return trainee;
}

static struct mix_method_setup setup_of(const struct world *world)
{
    return (struct mix_method_setup){.n_groups = world->m,
                                     .n_steps = world->n_steps,
                                     .seed = world->seed,
                                     .options = mix_online_defaults(world->m, world->n_steps)};
}

static void run_static(const struct world *world, const double *mixture, uint64_t n_steps,
                       double *start, double *end)
{
    struct mix_error err = {.text = ""};
    struct mix_trainee *trainee = trainee_of(world);
    struct mix_trajectory *trajectory = mix_trajectory_create(world->m);
    if (trajectory == NULL)
        abort();
    must(mix_online_static(trainee, mixture, n_steps, 0, trajectory, NULL, &err), &err);
    const size_t bytes = world->m * sizeof(double);
    if (start != NULL)
        memcpy(start, trajectory->loss, bytes);
    memcpy(end, trajectory->loss + (trajectory->n_points - 1) * world->m, bytes);
    mix_trajectory_destroy(trajectory);
    mix_trainee_destroy(trainee);
}

static double mean_r2(size_t m, const struct mix_law_quality *quality)
{
    double sum = 0.0;
    for (size_t i = 0; i < m; i++)
        sum += quality[i].r2 / (double)m;
    return sum;
}

static void judge_static_law(struct world *world)
{
    const size_t n = world->n, m = world->m;
    struct mix_error err = {.text = ""};
    double *loss = room(n * m, sizeof *loss), *c = room(m, sizeof *c), *t = room(m * m, sizeof *t);
    struct mix_law_quality *quality = room(m, sizeof *quality);
    for (size_t r = 0; r < n; r++)
        run_static(world, world->mixture + r * m, world->n_steps, NULL, loss + r * m);
    must(mix_online_fit_loglinear(n, m, world->mixture, loss, 1, c, t, quality, &err), &err);
    add(&world->law, mean_r2(m, quality));
    free(loss);
    free(c);
    free(t);
    free(quality);
}

static void judge_method(struct world *world, size_t which)
{
    const struct mix_method *method = mix_method_find(methods[which]);
    const uint64_t s = world->n_steps, steps[N_POINTS] = {s / 5, s / 2, s / 5 * 4};
    const struct mix_probe_options points = {.n_points = N_POINTS,
                                             .step = steps,
                                             .n_mixtures = world->n,
                                             .mixture = world->mixture,
                                             .horizon = s / 25 + 1};
    struct mix_method_setup setup = setup_of(world);
    struct mix_static_run *statics = NULL;
    struct mix_mixer *mixer = NULL;
    struct mix_analysis *analysis = NULL;
    struct mix_error err = {.text = ""};
    must(mix_method_plan(method, &setup, &statics, &setup.n_static, &err), &err);
    for (size_t r = 0; r < setup.n_static; r++)
        run_static(world, statics[r].mixture, statics[r].n_steps, statics[r].loss_start,
                   statics[r].loss_end);
    setup.statics = statics;
    must(mix_mixer_create(method, &setup, &mixer, &err), &err);
    struct mix_trainee *trainee = trainee_of(world);
    struct mix_trajectory *trajectory = mix_trajectory_create(world->m);
    if (trajectory == NULL)
        abort();
    must(mix_online_analyse(trainee, mixer, &points, N_LAST, trajectory, &analysis, NULL, &err),
         &err);
    double linear = 0.0, own = 0.0, similarity = 0.0;
    for (size_t k = 0; k < analysis->n_points; k++) {
        linear += analysis->points[k].linear.r2 / (double)analysis->n_points;
        own += analysis->points[k].own.r2 / (double)analysis->n_points;
        similarity += analysis->points[k].similarity / (double)analysis->n_points;
    }
    add(&world->linear[which], linear);
    add(&world->own[which], own);
    add(&world->similarity[which], similarity);
    mix_analysis_destroy(analysis);
    mix_trajectory_destroy(trajectory);
    mix_mixer_destroy(mixer);
    mix_trainee_destroy(trainee);
    mix_static_runs_destroy(statics);
}

static void judge_setting(const struct campaign_world *campaign, size_t setting, size_t n_seeds)
{
    const struct mix_job *job = campaign->job;
    const struct mix_job_setting *groups = &job->online.settings[setting];
    struct world world = {.campaign = campaign,
                          .setting = setting,
                          .m = groups->n_groups,
                          .n_steps = job->online.n_steps};
    const struct mix_method_setup setup = setup_of(&world);
    struct mix_static_run *sweep = NULL;
    struct mix_error err = {.text = ""};
    must(mix_method_plan(mix_method_find("grid"), &setup, &sweep, &world.n, &err), &err);
    world.mixture = room(world.n * world.m, sizeof *world.mixture);
    for (size_t r = 0; r < world.n; r++)
        memcpy(world.mixture + r * world.m, sweep[r].mixture, world.m * sizeof *world.mixture);
    mix_static_runs_destroy(sweep);
    for (size_t i = 0; i < world.m; i++)
        printf("%s%s", i > 0 ? "+" : "", job->domains[groups->domain[i]].name);
    printf(", %zu mixtures\n", world.n);
    for (world.seed = 0; world.seed < n_seeds; world.seed++) {
        judge_static_law(&world);
        for (size_t k = 0; k < N_METHODS; k++)
            judge_method(&world, k);
    }
    printf("  static law R2        ");
    print(&world.law);
    printf("\n  %-16s  dynamic law R2    with its own A   similarity of A\n", "");
    for (size_t k = 0; k < N_METHODS; k++) {
        printf("  %-16s", methods[k]);
        print(&world.linear[k]);
        print(&world.own[k]);
        print(&world.similarity[k]);
        printf("\n");
    }
    (void)fflush(stdout);
    free(world.mixture);
}

int main(int argc, char **argv)
{
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    struct campaign_world world;
    const long n_seeds = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
    if (argc < 2 || n_seeds < 1 || n_seeds > MOST_SEEDS) {
        fprintf(stderr, "usage: %s JOB.yaml [SEEDS], at most %d\n", argv[0], MOST_SEEDS);
        return 2;
    }
    must(mix_job_read(argv[1], &job, &err), &err);
    must(campaign_world_open(job, mix_isa_best(), &world, &err), &err);
    for (size_t s = 0; s < job->online.n_settings; s++)
        judge_setting(&world, s, (size_t)n_seeds);
    campaign_world_close(&world);
    mix_job_destroy(job);
    return 0;
}

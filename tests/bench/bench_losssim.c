/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_losssim.c - what an agent learns in worlds of known dynamics, drawn anew for each episode:
 * utility at the end (higher is better) of the data set, of static mixtures, of the supervised
 * agent, and of reinforcement by alpha, over the same held-out episodes; with the fitted Q
 * evaluation that alpha is chosen by where episodes cannot be played.
 * Use: bench.losssim.bench time (what training and a decision take), or
 * bench.losssim.bench [TRAJECTORIES (128)] [EPISODES (200)] [UPDATES (default)] [SEED (1)]
 * [NAME=VALUE ...: clone, eta, critic, policy, polyak, good, supervised, noise, width, batch,
 * world, alpha, shuffle] */
#include <stdbool.h>

#include "online/losssim.h"

static const double alphas[] = {0.01, 0.03, 0.1, 0.3, 1.0, 5.0};
enum { N_ALPHAS = sizeof alphas / sizeof alphas[0], GRID = 20 };

struct bench {
    size_t n_trajectories, n_episodes;
    uint64_t seed;
    bool shuffle; /* feedback among trajectories: nothing is then to be learnt */
    double width; /* of the draw of worlds */
    double alpha; /* the only one to try; negative = all */
    struct mix_agent_data *data;
    struct mix_agent_scale scale;
    struct mix_agent_options options;
    double *end, *other; /* (E) */
};

/* Ends of all held-out episodes; their mean. */
static double play(struct bench *b, struct mix_agent *agent, const double *constant, double *end)
{
    double sum = 0.0;
    for (size_t e = 0; e < b->n_episodes; e++) {
        struct losssim_episode episode;
        struct mix_trainee *world = losssim_world(b->seed + 1000, e, b->width);
        losssim_play(world, agent, constant, &episode);
        end[e] = losssim_end(&b->scale, &episode);
        sum += end[e];
        mix_trainee_destroy(world);
    }
    return sum / (double)b->n_episodes;
}

/* Mean of end - other with its standard error. */
static void print_row(const struct bench *b, const char *name, double mean, const double *than)
{
    double gain = 0.0, squares = 0.0;
    const double n = (double)b->n_episodes;
    for (size_t e = 0; than != NULL && e < b->n_episodes; e++)
        gain += (b->end[e] - than[e]) / n;
    for (size_t e = 0; than != NULL && e < b->n_episodes; e++)
        squares += pow(b->end[e] - than[e] - gain, 2.0);
    printf("%-26s %8.4f", name, mean);
    if (than != NULL)
        printf("   %+8.4f +- %.4f", gain, sqrt(squares / (n - 1.0) / n));
}

static void print_statics(struct bench *b)
{
    double sum = 0.0, best[SIM_SLOTS] = {0}, most = -INFINITY, own = 0.0;
    const double naive[] = {0, 0, 1}, even[] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
    for (size_t i = 0; i < b->data->n; i++)
        sum += agent_end(b->data, &b->scale, i);
    printf("%-26s %8.4f\n", "data set", sum / (double)b->data->n);
    printf("%-26s %8.4f\n", "naive (target only)", play(b, NULL, naive, b->end));
    printf("%-26s %8.4f\n", "uniform", play(b, NULL, even, b->end));
    for (size_t e = 0; e < b->n_episodes; e++)
        b->other[e] = -INFINITY;
    for (int i = 0; i <= GRID; i++)
        for (int j = 0; i + j <= GRID; j++) {
            const double p[] = {(double)i / GRID, (double)j / GRID, (double)(GRID - i - j) / GRID};
            const double mean = play(b, NULL, p, b->end);
            if (mean > most) {
                most = mean;
                memcpy(best, p, sizeof best);
            }
            for (size_t e = 0; e < b->n_episodes; e++)
                b->other[e] = fmax(b->other[e], b->end[e]);
        }
    for (size_t e = 0; e < b->n_episodes; e++)
        own += b->other[e] / (double)b->n_episodes;
    printf("%-26s %8.4f   (%.2f, %.2f, %.2f)\n", "best static for all", most, best[0], best[1],
           best[2]);
    printf("%-26s %8.4f\n", "best static for each", own);
    play(b, NULL, best, b->other);
}

static double train(struct bench *b, struct mix_agent_report *report, double *end)
{
    struct mix_agent *agent = NULL;
    struct mix_error err = {.text = ""};
    losssim_must(mix_agent_train(b->data, &b->options, &agent, report, NULL, &err), &err);
    const double mean = play(b, agent, NULL, end);
    mix_agent_destroy(agent);
    return mean;
}

static void print_agents(struct bench *b)
{
    struct mix_agent_report report;
    double *static_ = b->other, *supervised = malloc(b->n_episodes * sizeof *supervised);
    if (supervised == NULL)
        return;
    printf("%-26s %8s   %-20s %s\n", "", "", "against best static", "fitted Q, seconds");
    b->options.supervised_only = true;
    const double mean = train(b, &report, b->end);
    print_row(b, "supervised", mean, static_);
    printf("   %8.4f %6.1f  (%zu steps)\n", report.value / b->scale.reward, report.train_s,
           report.n_supervised);
    memcpy(supervised, b->end, b->n_episodes * sizeof *supervised);
    b->options.supervised_only = false;
    for (size_t a = 0; a < (b->alpha >= 0.0 ? 1 : N_ALPHAS); a++) {
        char name[64];
        b->options.alpha = b->alpha >= 0.0 ? b->alpha : alphas[a];
        snprintf(name, sizeof name, "reinforced, alpha %g", b->options.alpha);
        const double reached = train(b, &report, b->end);
        print_row(b, name, reached, static_);
        printf("   %8.4f %6.1f  (%zu updates)\n", report.value / b->scale.reward, report.train_s,
               report.n_updates);
        print_row(b, "  against supervised", reached, supervised);
        printf("\n");
        fflush(stdout);
    }
    free(supervised);
}

/* What training at the defaults takes for six slots, and a decision: feedback is of no world, the
 * work is the same. */
static void print_time(size_t n_trajectories)
{
    enum { SLOTS = 6, ACTS = 1000 };
    const struct mix_agent_space space = {SLOTS, SLOTS / 2, SIM_DECISIONS, 0.5, 0.5};
    const double natural[SLOTS] = {1, 1, 1, 1, 1, 1};
    const struct mix_agent_options options = mix_agent_defaults(&space);
    struct mix_agent_data *data = mix_agent_data_create(&space);
    struct mix_agent_report report;
    struct mix_agent *agent = NULL;
    struct mix_error err = {.text = ""};
    double p[SLOTS];
    for (size_t i = 0; i < n_trajectories; i++) {
        if (data == NULL || mix_agent_data_append(data) == SIZE_MAX)
            abort();
        data->held_out[i] = mix_agent_held_out(i);
    }
    losssim_must(mix_agent_plan(&space, natural, data->n, 1, data->mixture, data->stratum, &err),
                 &err);
    for (size_t i = 0; i < data->n * (SIM_DECISIONS + 1) * SLOTS; i++)
        data->feedback[i] = sin((double)(i * i % 1009));
    losssim_must(mix_agent_train(data, &options, &agent, &report, NULL, &err), &err);
    const double before_s = mix_clock_s();
    for (size_t i = 0; i < ACTS; i++)
        mix_agent_act(agent, i % SIM_DECISIONS, data->mixture, data->feedback, p);
    printf("%d slots, %zu trajectories, %zu weights: trained in %.1f s (%zu steps, %zu updates), a "
           "decision takes %.3f ms\n",
           SLOTS, data->n, report.n_params, report.train_s, report.n_supervised, options.n_updates,
           1e3 * (mix_clock_s() - before_s) / ACTS);
    mix_agent_destroy(agent);
    mix_agent_data_destroy(data);
}

static void set(struct bench *b, const char *text)
{
    const struct {
        const char *name;
        double *at;
    } numbers[] = {{"clone", &b->options.clone_weight},
                   {"eta", &b->options.eta},
                   {"critic", &b->options.rate_critic},
                   {"policy", &b->options.rate_policy},
                   {"polyak", &b->options.polyak},
                   {"world", &b->width},
                   {"alpha", &b->alpha},
                   {"good", &b->options.good_share},
                   {"supervised", &b->options.rate_supervised},
                   {"noise", &b->options.noise}};
    const char *value = strchr(text, '=');
    for (size_t i = 0; value != NULL && i < sizeof numbers / sizeof numbers[0]; i++)
        if (strncmp(text, numbers[i].name, (size_t)(value - text)) == 0)
            *numbers[i].at = strtod(value + 1, NULL);
    if (value != NULL && strncmp(text, "shuffle", 7) == 0)
        b->shuffle = true;
    if (value != NULL && strncmp(text, "width", 5) == 0)
        b->options.width = strtoul(value + 1, NULL, 10);
    if (value != NULL && strncmp(text, "batch", 5) == 0)
        b->options.batch = strtoul(value + 1, NULL, 10);
}

int main(int argc, char **argv)
{
    const struct mix_agent_space space = losssim_space();
    struct mix_error err = {.text = ""};
    if (argc > 1 && strcmp(argv[1], "time") == 0) {
        print_time(128);
        return 0;
    }
    struct bench b = {.n_trajectories = argc > 1 ? strtoul(argv[1], NULL, 10) : 128,
                      .n_episodes = argc > 2 ? strtoul(argv[2], NULL, 10) : 200,
                      .seed = argc > 4 ? strtoul(argv[4], NULL, 10) : 1,
                      .width = 0.5,
                      .alpha = -1.0,
                      .options = mix_agent_defaults(&space)};
    if (argc > 3 && strtoul(argv[3], NULL, 10) > 0)
        b.options.n_updates = strtoul(argv[3], NULL, 10);
    b.options.seed = b.seed;
    for (int i = 5; i < argc; i++)
        set(&b, argv[i]);
    b.data = losssim_data(b.n_trajectories, b.seed, b.width);
    losssim_must(mix_agent_scale_of(b.data, &b.scale, &err), &err);
    if (b.shuffle)
        losssim_shuffle(b.data);
    b.end = calloc(b.n_episodes, sizeof *b.end);
    b.other = calloc(b.n_episodes, sizeof *b.other);
    if (b.end == NULL || b.other == NULL)
        abort();
    print_statics(&b);
    print_agents(&b);
    mix_agent_data_destroy(b.data);
    free(b.end);
    free(b.other);
    return 0;
}

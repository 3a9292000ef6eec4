/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_compare_measure.c - what the arms of a comparison came to, and who won; see
 * mixsweep/agent_compare.h. */
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/agent_compare.h"

const char *const mix_agent_arm_names[MIX_ARMS] = {
    [MIX_ARM_BASE] = "base",       [MIX_ARM_NAIVE] = "target-only", [MIX_ARM_UNIFORM] = "uniform",
    [MIX_ARM_HALF] = "half",       [MIX_ARM_ORACLE] = "oracle",     [MIX_ARM_REGMIX] = "regmix",
    [MIX_ARM_LOADING] = "loading", [MIX_ARM_HAND] = "hand",         [MIX_ARM_BEST] = "best-of-data",
    [MIX_ARM_CLONED] = "cloned",   [MIX_ARM_AGENT] = "agent",       [MIX_ARM_BLIND] = "blind",
    [MIX_ARM_MEAN] = "time-mean",  [MIX_ARM_SHUFFLED] = "shuffled", [MIX_ARM_REPLAYED] = "replayed",
};

void mix_agent_grid_name(size_t i, char name[MIX_UNIT_MAX])
{
    snprintf(name, MIX_UNIT_MAX, "grid-0.%zu", i + 1);
}

/* ---- measures ---- */

static const double BIT = 0.693147180559945309; /* nats */

/* Mean fall of the losses of slots from ... to - 1, in bits. */
static double fall(const double *before, const double *after, size_t from, size_t to)
{
    double sum = 0;
    for (size_t i = from; i < to; i++)
        sum += before[i] - after[i];
    return sum / (double)(to - from) / BIT;
}

struct mix_agent_measures mix_agent_measure(const struct mix_agent_space *space,
                                            const struct mix_agent_scale *scale, const double *base,
                                            const double *naive, const double *loss)
{
    const size_t d = space->n_slots, k = space->n_source;
    const double naive_gain = fall(base, naive, k, d), naive_forgetting = fall(naive, base, 0, k);
    double before[MIX_GROUPS_MAX], after[MIX_GROUPS_MAX];
    struct mix_agent_measures m = {.gain = fall(base, loss, k, d),
                                   .forgetting = fall(loss, base, 0, k)};
    m.adaptation = naive_gain > 0 ? m.gain / naive_gain : (double)NAN;
    m.retention = naive_forgetting > 0 ? 1 - m.forgetting / naive_forgetting : (double)NAN;
    m.balanced = (m.adaptation + m.retention) / 2;
    for (size_t i = 0; i < d; i++) {
        before[i] = -base[i];
        after[i] = -loss[i];
    }
    m.utility = mix_agent_utility(space, scale, before, after);
    return m;
}

struct mix_online_figure mix_agent_mean_of(size_t n, const double *values)
{
    struct mix_online_figure of = {.mean = 0};
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i])) {
            of.n++;
            of.mean += values[i];
        }
    of.mean = of.n > 0 ? of.mean / (double)of.n : (double)NAN;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i]))
            squares += (values[i] - of.mean) * (values[i] - of.mean);
    of.se = of.n > 1 ? sqrt(squares / (double)(of.n - 1) / (double)of.n) : (double)NAN;
    return of;
}

enum mix_agent_verdict mix_agent_judge(struct mix_online_figure difference)
{
    return difference.mean > 2 * difference.se    ? MIX_AGENT_WON
           : difference.mean < -2 * difference.se ? MIX_AGENT_LOST
                                                  : MIX_AGENT_TIED; /* NaN too */
}

enum mix_agent_verdict mix_agent_judge_source(struct mix_online_figure tokens,
                                              struct mix_online_figure balanced)
{
    const enum mix_agent_verdict more = mix_agent_judge(tokens);
    if (more == MIX_AGENT_WON || mix_agent_judge(balanced) == MIX_AGENT_LOST)
        return MIX_AGENT_LOST;
    return more == MIX_AGENT_LOST && balanced.mean >= 0 ? MIX_AGENT_WON : MIX_AGENT_TIED;
}

/* ---- heuristics (C5) ---- */

enum { SHUFFLES = 199 };

/* Decisions of the data: mixtures (n,T,D), and whether a slot's feedback rose behind them (n,T): 1,
 * 0, or -1 where that is not known. Trajectory r has the labels of trajectory order[r]: decisions
 * of one trajectory are alike, so chance is what whole trajectories give that change places. */
struct steps {
    size_t n, t_max, d, n_source;
    const double *mixture;
    int8_t *rose;
    size_t *order;
    size_t n_up, n_down;
};

/* L1 distance between the mean mixtures of decisions that a slot rose behind and of the others;
 * their target masses' difference. */
static double distance_of(const struct steps *steps, double *target)
{
    double sum[2][MIX_GROUPS_MAX] = {{0}, {0}}, distance = 0;
    for (size_t r = 0; r < steps->n; r++)
        for (size_t t = 0; t < steps->t_max; t++) {
            const int8_t rose = steps->rose[steps->order[r] * steps->t_max + t];
            const double *mixture = steps->mixture + (r * steps->t_max + t) * steps->d;
            for (size_t i = 0; rose >= 0 && i < steps->d; i++)
                sum[rose][i] += mixture[i];
        }
    *target = 0;
    for (size_t i = 0; i < steps->d; i++) {
        const double gap = sum[1][i] / (double)steps->n_up - sum[0][i] / (double)steps->n_down;
        distance += fabs(gap);
        *target += i >= steps->n_source ? gap : 0;
    }
    return distance;
}

/* The labels of a slot: all decisions with feedback at both ends. */
static void label_steps(const struct mix_agent_data *data, size_t slot, struct steps *steps)
{
    const size_t d = steps->d, t_max = steps->t_max;
    steps->n_up = steps->n_down = 0;
    for (size_t r = 0; r < steps->n; r++) {
        steps->order[r] = r;
        for (size_t t = 0; t < t_max; t++) {
            const double *seen = data->feedback + (r * (t_max + 1) + t) * d;
            const bool known = isfinite(seen[slot]) && isfinite(seen[d + slot]);
            const bool rose = known && seen[d + slot] > seen[slot];
            steps->rose[r * t_max + t] = (int8_t)(known ? rose : -1);
            steps->n_up += rose;
            steps->n_down += known && !rose;
        }
    }
}

static struct mix_agent_contrast contrast(struct steps *steps, gsl_rng *rng)
{
    struct mix_agent_contrast c = {.n_up = steps->n_up,
                                   .n_down = steps->n_down,
                                   .distance = NAN,
                                   .p_value = NAN,
                                   .target = NAN};
    size_t n_as_large = 0;
    double target;
    if (c.n_up == 0 || c.n_down == 0)
        return c;
    c.distance = distance_of(steps, &c.target);
    for (int k = 0; k < SHUFFLES; k++) {
        gsl_ran_shuffle(rng, steps->order, steps->n, sizeof *steps->order);
        n_as_large += distance_of(steps, &target) >= c.distance;
    }
    c.p_value = (double)(n_as_large + 1) / (SHUFFLES + 1);
    return c;
}

enum mix_status mix_agent_contrasts(const struct mix_agent_data *data, uint64_t seed,
                                    struct mix_agent_contrast *out, struct mix_error *err)
{
    const size_t n = data->n * data->space.n_decisions;
    struct steps steps = {.n = data->n,
                          .t_max = data->space.n_decisions,
                          .d = data->space.n_slots,
                          .n_source = data->space.n_source,
                          .mixture = data->mixture,
                          .rose = calloc(n + 1, sizeof *steps.rose),
                          .order = calloc(data->n + 1, sizeof *steps.order)};
    gsl_rng *rng = mix_rng_create(mix_key_make(seed, "agent contrasts", NULL, 0));
    enum mix_status status = MIX_OK;
    if (steps.rose == NULL || steps.order == NULL || rng == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %zu decisions", n);
    for (size_t i = 0; status == MIX_OK && i < steps.d; i++) {
        label_steps(data, i, &steps);
        out[i] = contrast(&steps, rng);
    }
    free(steps.rose);
    free(steps.order);
    if (rng != NULL)
        gsl_rng_free(rng);
    return status;
}

/* ---- arms over seeds ---- */

size_t mix_agent_find(const struct mix_online *online, const char *setting, const char *method,
                      uint64_t seed)
{
    for (size_t i = 0; i < online->n_runs; i++) {
        const struct mix_online_run *run = &online->runs[i];
        if (run->role == MIX_ONLINE_FINAL && run->seed == seed && run->diverged == 0 &&
            strcmp(run->setting, setting) == 0 && strcmp(run->method, method) == 0)
            return i;
    }
    return SIZE_MAX;
}

enum { SEEDS_MAX = 1000 };

struct table {
    const struct mix_agent_space *space;
    const struct mix_agent_scale *scale;
    const struct mix_online *online;
    const char *setting;
    double tokens_per_step;
    size_t n_seeds;
};

/* Figures of an arm by seed; NaN where there is no run. */
enum figure {
    GAIN,
    FORGETTING,
    ADAPTATION,
    RETENTION,
    BALANCED,
    UTILITY,
    SOURCE,
    TARGET,
    TRAIN_S,
    FIGURES
};

/* Tokens of the source field; of all slots from 0 to n_slots. */
static double tokens_of(const struct table *table, size_t row, size_t from, size_t to)
{
    const struct mix_online *o = table->online;
    double sum = 0;
    size_t n = 0;
    for (size_t t = 0; t + 1 < o->n_points; t++) {
        const double *mixture = o->point_mixture + (row * o->n_points + t) * o->n_groups;
        if (isnan(mixture[0]))
            continue;
        n++;
        for (size_t i = from; i < to; i++)
            sum += mixture[i];
    }
    return n > 0 ? sum / (double)n * (double)o->runs[row].n_steps * table->tokens_per_step : 0;
}

static void measure_seed(const struct table *table, const char *method, uint64_t seed,
                         double figure[FIGURES])
{
    const struct mix_online *o = table->online;
    const size_t row = mix_agent_find(o, table->setting, method, seed), d = o->n_groups;
    const size_t base = mix_agent_find(o, table->setting, mix_agent_arm_names[MIX_ARM_BASE], seed);
    const size_t naive =
        mix_agent_find(o, table->setting, mix_agent_arm_names[MIX_ARM_NAIVE], seed);
    for (int f = 0; f < FIGURES; f++)
        figure[f] = NAN;
    if (row == SIZE_MAX || base == SIZE_MAX)
        return;
    const struct mix_agent_measures m = mix_agent_measure(
        table->space, table->scale, o->test + base * d,
        o->test + (naive != SIZE_MAX ? naive : base) * d, /* it may have diverged */
        o->test + row * d);
    figure[GAIN] = m.gain;
    figure[FORGETTING] = m.forgetting;
    figure[ADAPTATION] = m.adaptation;
    figure[RETENTION] = m.retention;
    figure[BALANCED] = m.balanced;
    figure[UTILITY] = m.utility;
    figure[SOURCE] = tokens_of(table, row, 0, table->space->n_source);
    figure[TARGET] = tokens_of(table, row, table->space->n_source, d);
    figure[TRAIN_S] = o->runs[row].train_s;
}

/* The mean over seeds of a figure, less that of `minus` where it is given. */
static struct mix_online_figure mean_of(const struct table *table, double (*of)[FIGURES],
                                        double (*minus)[FIGURES], enum figure figure)
{
    double values[SEEDS_MAX];
    for (size_t s = 0; s < table->n_seeds; s++)
        values[s] = of[s][figure] - (minus != NULL ? minus[s][figure] : 0);
    return mix_agent_mean_of(table->n_seeds, values);
}

static struct mix_agent_line line_of(const struct table *table, const char *method,
                                     double (*agent)[FIGURES], double (*of)[FIGURES])
{
    for (size_t s = 0; s < table->n_seeds; s++)
        measure_seed(table, method, s, of[s]);
    return (struct mix_agent_line){
        .gain = mean_of(table, of, NULL, GAIN),
        .forgetting = mean_of(table, of, NULL, FORGETTING),
        .adaptation = mean_of(table, of, NULL, ADAPTATION),
        .retention = mean_of(table, of, NULL, RETENTION),
        .balanced = mean_of(table, of, NULL, BALANCED),
        .utility = mean_of(table, of, NULL, UTILITY),
        .source_tokens = mean_of(table, of, NULL, SOURCE),
        .target_tokens = mean_of(table, of, NULL, TARGET),
        .behind = {mean_of(table, agent, of, BALANCED), mean_of(table, agent, of, UTILITY)},
        .more_source = mean_of(table, agent, of, SOURCE),
        .train_s = mean_of(table, of, NULL, TRAIN_S).mean};
}

size_t mix_agent_oracle(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                        const struct mix_online *online, const char *setting, size_t n_seeds)
{
    const size_t d = online->n_groups;
    double most = -INFINITY;
    size_t oracle = SIZE_MAX;
    for (size_t g = 0; g < MIX_AGENT_GRID; g++) {
        char name[MIX_UNIT_MAX];
        double sum = 0, start[MIX_GROUPS_MAX], end[MIX_GROUPS_MAX];
        size_t n = 0;
        mix_agent_grid_name(g, name);
        for (size_t s = 0; s < n_seeds; s++) {
            const size_t row = mix_agent_find(online, setting, name, s);
            const size_t base =
                mix_agent_find(online, setting, mix_agent_arm_names[MIX_ARM_BASE], s);
            if (row == SIZE_MAX || base == SIZE_MAX)
                continue;
            for (size_t i = 0; i < d; i++) {
                start[i] = -online->loss_end[base * d + i];
                end[i] = -online->loss_end[row * d + i];
            }
            sum += mix_agent_utility(space, scale, start, end);
            n++;
        }
        if (n > 0 && sum / (double)n > most) {
            most = sum / (double)n;
            oracle = g;
        }
    }
    return oracle;
}

static size_t count_seeds(const struct mix_online *online, const char *setting)
{
    size_t n = 0;
    for (size_t i = 0; i < online->n_runs; i++)
        if (online->runs[i].role == MIX_ONLINE_FINAL && online->runs[i].seed < SEEDS_MAX &&
            strcmp(online->runs[i].setting, setting) == 0 && online->runs[i].seed >= n)
            n = (size_t)online->runs[i].seed + 1;
    return n;
}

void mix_agent_summarise(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                         const struct mix_online *online, const char *setting,
                         double tokens_per_step, struct mix_agent_summary *out)
{
    double agent[SEEDS_MAX][FIGURES], of[SEEDS_MAX][FIGURES];
    const struct table table = {.space = space,
                                .scale = scale,
                                .online = online,
                                .setting = setting,
                                .tokens_per_step = tokens_per_step,
                                .n_seeds = count_seeds(online, setting)};
    char name[MIX_UNIT_MAX];
    out->n_seeds = table.n_seeds;
    out->oracle = mix_agent_oracle(space, scale, online, setting, table.n_seeds);
    for (size_t s = 0; s < table.n_seeds; s++)
        measure_seed(&table, mix_agent_arm_names[MIX_ARM_AGENT], s, agent[s]);
    for (size_t g = 0; g < MIX_AGENT_GRID; g++) {
        mix_agent_grid_name(g, name);
        out->grid[g] = line_of(&table, name, agent, of);
    }
    for (int a = 0; a < MIX_ARMS; a++)
        out->arms[a] = line_of(&table, mix_agent_arm_names[a], agent, of);
    out->arms[MIX_ARM_HALF] = out->grid[MIX_AGENT_GRID / 2]; /* the same mixture */
    if (out->oracle != SIZE_MAX)
        out->arms[MIX_ARM_ORACLE] = out->grid[out->oracle];
}

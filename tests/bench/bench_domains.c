/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_domains.c - does it pay to carry runs over? Worlds of known truth live through five updates
 * of their domains (tests/pipeline/path.h): total runs and true regret of the mixtures recommended,
 * by reuse and from scratch. Worlds are tasks over the ranks.
 *
 * Seen, 200 worlds (the table of regrets is in the README): adding and splitting cost 9 and 12 runs
 * in place of 24 and 27; revising, merging and dropping a domain that most runs had cost 15 to 21
 * in place of 21 to 27, or 9 and some regret with the others collapsed; two set apart take most of
 * that back, for as many runs as keeping all that is valid. The bound on what the kept proportions
 * cost held by 95 in 100 of 40 draws in all of 1000 updates of log-linear and of 1000 of power
 * worlds, by the fit alone in 871 and 923 (where the cost is below 0.001 the fit's own error is as
 * large; above in 378 of 386 and 725 of 739). It was, where the cost was above 0.001, 8 times (by
 * the fit 5) as large in half of the updates and 20 times or less in 9 of 10; in power worlds 12
 * (8) and 32.
 * Use: mpirun -n 2 bench.domains.bench [WORLDS (40)] [NOISE (0.003)] */
#include <gsl/gsl_errno.h>

#include "mixsweep/task.h"
#include "pipeline/path.h"

struct study {
    size_t n_worlds;
    double noise;
};

static enum mix_status walk(void *context, size_t task, void *record, struct mix_poll *poll,
                            struct mix_error *err)
{
    const struct study *study = context;
    (void)err;
    if (mix_poll(poll))
        return MIX_EINTERRUPTED;
    path_walk(1 + task % study->n_worlds, study->noise, task >= study->n_worlds, record);
    return MIX_OK;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Worlds in which all arms have an answer count. */
static bool is_whole(const struct path_outcome *outcome)
{
    for (int arm = 0; arm < PATH_ARMS; arm++)
        if (arm != PATH_FEW && !isfinite(outcome->regret[arm][PATH_UPDATES]))
            return false;
    return true;
}

static void print_arm(const char *name, size_t n, const struct path_outcome *outcome, int arm,
                      double *last)
{
    double runs = 0, sum = 0, square = 0, all = 0;
    size_t known = 0, n_all = 0;
    for (size_t i = 0; i < n; i++) {
        const double *regret = outcome[i].regret[arm], x = regret[PATH_UPDATES];
        if (!is_whole(&outcome[i]) || !isfinite(x))
            continue;
        for (int u = 0; u <= PATH_UPDATES; u++)
            runs += outcome[i].runs[arm][u];
        for (int u = 1; u <= PATH_UPDATES; u++)
            if (isfinite(regret[u])) {
                all += regret[u];
                n_all++;
            }
        last[known++] = x;
        sum += x;
        square += x * x;
    }
    qsort(last, known, sizeof *last, compare);
    const double count = (double)known, mean = sum / count;
    printf("  %-45s %6.1f   %6.2f ± %4.2f  %6.2f   %6.2f  %5zu\n", name, runs / count, 1e3 * mean,
           1e3 * sqrt((square / count - mean * mean) / (count - 1)),
           1e3 * (known > 0 ? last[known / 2] : NAN), 1e3 * all / (double)n_all, known);
}

/* Mean regret and runs of the arms after each update. */
static void print_updates(size_t n, const struct path_outcome *outcome)
{
    static const char *const updates[PATH_UPDATES + 1] = {"first sweep", "add",   "split",
                                                          "revise",      "merge", "drop"};
    printf("  mean regret x 1000 (runs)\n");
    for (int u = 0; u <= PATH_UPDATES; u++) {
        printf("    %-12s", updates[u]);
        for (int arm = 0; arm < PATH_ARMS; arm++) {
            double sum = 0, runs = 0, known = 0;
            for (size_t i = 0; i < n; i++)
                if (isfinite(outcome[i].regret[arm][u])) {
                    sum += outcome[i].regret[arm][u];
                    runs += outcome[i].runs[arm][u];
                    known++;
                }
            printf("  %6.2f (%2.0f)", 1e3 * sum / known, runs / known);
        }
        printf("\n");
    }
}

/* A bound on what kept proportions cost: how often it holds, how tight it is. */
static void print_bound(const char *name, size_t n, const struct path_outcome *outcome, bool high,
                        double *ratio)
{
    size_t known = 0, held = 0, large = 0, held_large = 0;
    for (size_t i = 0; i < n; i++)
        for (int u = 1; u <= PATH_UPDATES; u++) {
            const struct path_outcome *o = &outcome[i];
            const double bound = high ? o->high[u] : o->bound[u];
            if (!isfinite(bound))
                continue;
            known++;
            held += bound >= o->cost[u];
            if (!(o->cost[u] > 1e-3))
                continue;
            held_large += bound >= o->cost[u];
            ratio[large++] = bound / o->cost[u];
        }
    qsort(ratio, large, sizeof *ratio, compare);
    printf(
        "  bound on what kept proportions cost, by %s: holds in %zu of %zu updates, in %zu of %zu "
        "that cost more than 0.001; bound / cost of these: median %.1f, 9 of 10 below %.0f\n",
        name, held, known, held_large, large, large ? ratio[large / 2] : NAN,
        large ? ratio[large * 9 / 10] : NAN);
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err = {.text = ""};
    gsl_set_error_handler_off();
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    const size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 40;
    struct study study = {.n_worlds = n, .noise = argc > 2 ? strtod(argv[2], NULL) : 0.003};
    struct path_outcome *outcome = calloc(2 * n + 1, sizeof *outcome);
    double *last = calloc(PATH_UPDATES * n + 1, sizeof *last);
    const struct mix_stage stage = {.name = "worlds",
                                    .n_tasks = 2 * n,
                                    .record_bytes = sizeof *outcome,
                                    .run = walk,
                                    .context = &study,
                                    .records = (uint8_t *)outcome};
    const enum mix_status status =
        outcome != NULL && last != NULL ? mix_stage_run(ranks, &stage, &err) : MIX_ENOMEM;
    if (status != MIX_OK)
        fprintf(stderr, "%s\n", err.text);
    static const char *const arms[PATH_ARMS] = {"all runs anew after each update",
                                                "old runs that stay valid, and new ones",
                                                "untouched domains as one, new runs only",
                                                "the same, two set apart",
                                                "as many new runs as the second, nothing else",
                                                "equal shares"};
    for (int power = 0; status == MIX_OK && mix_ranks_rank(ranks) == 0 && power < 2; power++) {
        printf("%zu %s worlds, %d targets, noise %g: add, split, revise, merge, drop from %d "
               "domains\n  %-45s %6s   %15s  %6s   %6s  %5s\n",
               n, power ? "power" : "log-linear", PATH_TARGETS, study.noise, PATH_DOMAINS,
               "true regret x 1000", "runs", "final, mean", "median", "of all 5", "worlds");
        for (int arm = 0; arm < PATH_ARMS; arm++)
            print_arm(arms[arm], n, outcome + (power ? n : 0), arm, last);
        print_updates(n, outcome + (power ? n : 0));
        print_bound("the fit", n, outcome + (power ? n : 0), false, last);
        print_bound("95 in 100 draws", n, outcome + (power ? n : 0), true, last);
    }
    free(last);
    free(outcome);
    mix_ranks_destroy(ranks);
    return status == MIX_OK ? 0 : 1;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* online.c - the section on online mixing: what each method chose over time, and how it ended. */
#include "report/report_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRAJECTORIES_MAX = 12, SETTINGS_MAX = 8 };

/* What a method chose, round by round; where it has no rounds, what was in use. */
struct choices {
    size_t n;
    const double *step;    /* (n) */
    const double *mixture; /* (n,K) */
};

static size_t count_steps(const double *step, size_t n_max)
{
    size_t n = 0;
    while (n < n_max && isfinite(step[n]))
        n++;
    return n;
}

static struct choices choices_of(const struct mix_online *o, size_t r)
{
    const struct choices rounds = {count_steps(o->round_step + r * o->n_rounds, o->n_rounds),
                                   o->round_step + r * o->n_rounds,
                                   o->round_mixture + r * o->n_rounds * o->n_groups};
    const struct choices points = {count_steps(o->point_step + r * o->n_points, o->n_points),
                                   o->point_step + r * o->n_points,
                                   o->point_mixture + r * o->n_points * o->n_groups};
    return rounds.n > 0 ? rounds : points;
}

static bool moves(const struct mix_online *o, size_t r)
{
    const struct choices choices = choices_of(o, r);
    const size_t n = o->n_groups;
    for (size_t i = n; i < choices.n * n; i++)
        if (fabs(choices.mixture[i] - choices.mixture[i - n]) > 1e-9)
            return true;
    return false;
}

/* The first seed of every method that moved its mixture, once per setting. */
static bool shows_trajectory(const struct mix_online *o, size_t r)
{
    const struct mix_online_run *run = &o->runs[r];
    return run->method[0] != '\0' && run->after[0] == '\0' && run->seed == 0 &&
           run->role == MIX_ONLINE_FINAL && run->restricted == 0 && moves(o, r);
}

/* What a setting is called: many groups, where they are all, by their number; others as they are,
 * and behind each + a line may end, at a space without width. */
static const char *setting_text(const struct mix_online *o, const char *setting, char *text,
                                size_t size)
{
    size_t n = 0, n_groups = 1;
    for (; *setting != '\0' && n + 5 < size; setting++) {
        text[n++] = *setting;
        if (*setting == '+') {
            n += (size_t)snprintf(text + n, size - n, "\xe2\x80\x8b");
            n_groups++;
        }
    }
    text[n] = '\0';
    if (n_groups == o->n_groups && n_groups > 4)
        snprintf(text, size, "all %zu domains", n_groups);
    return text;
}

static void plot_trajectory(struct page *page, const struct mix_online *o, size_t r)
{
    const struct mix_online_run *run = &o->runs[r];
    const struct choices choices = choices_of(o, r);
    const size_t n_groups = o->n_groups, stride = (choices.n + 199) / 200;
    char name[4 * MIX_NAME_MAX], text[2 * MIX_TEXT_MAX];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "online-%.60s-%.60s-%.60s", o->name, run->method, run->setting);
    page_figure(page, name, PLOT_WIDTH, PLOT_HEIGHT + (n_groups > 8 ? 180 : 0),
                "Online %s: mixture that %s chose over the steps of its first seed, setting %s.",
                o->name, run->method, setting_text(o, run->setting, text, sizeof text));
    fputs("$shares << EOD\n", gp);
    for (size_t p = 0; p < choices.n; p += stride) {
        fprintf(gp, "%.6g", choices.step[p]);
        for (size_t k = 0; k < n_groups; k++)
            plot_number(gp, choices.mixture[p * n_groups + k]);
        fputc('\n', gp);
    }
    fputs("EOD\nset xlabel 'step'\nset ylabel 'share'\nset yrange [0:*]\n"
          "set key outside top center horizontal\nplot ",
          gp);
    for (size_t k = 0, n = 0; k < n_groups; k++) {
        if (!isfinite(choices.mixture[k]))
            continue; /* not of this setting */
        fprintf(gp, "%s$shares using 1:%zu with steps ", n > 0 ? ", " : "", k + 2);
        plot_series(gp, n);
        fputs(" title ", gp);
        plot_text(gp, o->groups[k], 14);
        n++;
    }
    fputc('\n', gp);
}

/* ---- how it ended */

static double mean_test(const struct mix_online *o, size_t r)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t k = 0; k < o->n_groups; k++)
        if (isfinite(o->test[r * o->n_groups + k])) {
            sum += o->test[r * o->n_groups + k];
            n++;
        }
    return n > 0 ? sum / (double)n : NAN;
}

/* What a method is judged by, over its seeds; `gain` pairs equal seeds with the stratified mixture.
 */
struct arm {
    size_t n, n_paired, n_diverged;
    double test, test_se, gain, gain_se;
};

static bool same_arm(const struct mix_online_run *a, const struct mix_online_run *b)
{
    return a->role == b->role && a->restricted == b->restricted &&
           strcmp(a->setting, b->setting) == 0 && strcmp(a->method, b->method) == 0 &&
           strcmp(a->after, b->after) == 0;
}

static double stratified_test(const struct mix_online *o, const struct mix_online_run *run)
{
    for (size_t i = 0; i < o->n_runs; i++)
        if (o->runs[i].role == MIX_ONLINE_FINAL && o->runs[i].seed == run->seed &&
            strcmp(o->runs[i].method, "stratified") == 0 &&
            strcmp(o->runs[i].setting, run->setting) == 0)
            return mean_test(o, i);
    return NAN;
}

static void add_value(double value, size_t *n, double *sum, double *squares)
{
    if (!isfinite(value))
        return;
    *sum += value;
    *squares += value * value;
    ++*n;
}

/* Sum and squares become mean and its standard error. */
static void finish_mean(size_t n, double *sum, double *squares)
{
    const double count = (double)n, mean = n > 0 ? *sum / count : NAN;
    *squares = n > 1 ? sqrt(fmax(0.0, *squares - *sum * mean) / (count * (count - 1.0))) : NAN;
    *sum = mean;
}

static struct arm measure_arm(const struct mix_online *o, size_t r)
{
    struct arm arm = {0};
    for (size_t i = r; i < o->n_runs; i++) {
        if (!same_arm(&o->runs[r], &o->runs[i]))
            continue;
        const double test = mean_test(o, i);
        arm.n_diverged += o->runs[i].diverged != 0;
        add_value(test, &arm.n, &arm.test, &arm.test_se);
        add_value(test - stratified_test(o, &o->runs[i]), &arm.n_paired, &arm.gain, &arm.gain_se);
    }
    finish_mean(arm.n, &arm.test, &arm.test_se);
    finish_mean(arm.n_paired, &arm.gain, &arm.gain_se);
    return arm;
}

/* The first run of an arm that is judged. */
static bool begins_arm(const struct mix_online *o, size_t r)
{
    if (o->runs[r].role != MIX_ONLINE_FINAL)
        return false;
    for (size_t i = 0; i < r; i++)
        if (same_arm(&o->runs[i], &o->runs[r]))
            return false;
    return true;
}

static void put_arms(struct page *page, const struct mix_online *o)
{
    static const char *const heads[] = {"setting",
                                        "method",
                                        "after",
                                        "seeds",
                                        "mean test loss ± se",
                                        "less that of stratified ± se",
                                        "extra steps",
                                        "diverged"};
    char a[32], b[32], text[2 * MIX_TEXT_MAX];
    page_table(page, "How the methods ended", false, sizeof heads / sizeof heads[0], heads);
    for (size_t r = 0; r < o->n_runs; r++) {
        if (!begins_arm(o, r))
            continue;
        const struct mix_online_run *run = &o->runs[r];
        const struct arm arm = measure_arm(o, r);
        page_row(page);
        page_cell(page, "%s", setting_text(o, run->setting, text, sizeof text));
        page_cell(page, "%s%s", run->method, run->restricted != 0 ? ", restricted" : "");
        page_cell(page, "%s", run->after);
        page_cell(page, "%zu", arm.n);
        page_cell(page, "%s ± %s", report_number(arm.test, 4, a), report_number(arm.test_se, 4, b));
        page_cell(page, "%s ± %s", report_number(arm.gain, 4, a), report_number(arm.gain_se, 4, b));
        page_cell(page, "%llu", (unsigned long long)run->extra_steps);
        page_cell(page, "%zu", arm.n_diverged);
    }
    page_table_end(page, false);
}

/* The next run from `r` on that begins an arm of a setting, of a method on its own; n_runs: none.
 */
static size_t next_in_setting(const struct mix_online *o, size_t r, const char *setting)
{
    while (r < o->n_runs && !(o->runs[r].after[0] == '\0' && o->runs[r].restricted == 0 &&
                              strcmp(o->runs[r].setting, setting) == 0 && begins_arm(o, r)))
        r++;
    return r;
}

/* Differences to the stratified mixture in one setting. */
static void plot_setting(struct page *page, const struct mix_online *o, const char *setting)
{
    char name[2 * MIX_TEXT_MAX], text[2 * MIX_TEXT_MAX];
    double least = 0.0, most = 0.0;
    size_t n = 0;
    FILE *gp = page->script;
    for (size_t r = 0; (r = next_in_setting(o, r, setting)) < o->n_runs; r++)
        n++;
    snprintf(name, sizeof name, "methods-%s-%s", o->name, setting);
    page_figure(page, name, PLOT_WIDTH, 110 + 24 * (int)n,
                "Online %s, setting %s: mean test loss less that of the stratified mixture, with "
                "its standard error over seeds; left of 0 is better.",
                o->name, setting_text(o, setting, text, sizeof text));
    fputs("set ytics scale 0 (", gp);
    for (size_t r = 0, at = 0; (r = next_in_setting(o, r, setting)) < o->n_runs; r++) {
        fputs(at > 0 ? ", " : "", gp);
        plot_tick(gp, o->runs[r].method, 18);
        fprintf(gp, " %zu", at++);
    }
    fputs(")\n$difference << EOD\n", gp);
    for (size_t r = 0, at = 0; (r = next_in_setting(o, r, setting)) < o->n_runs; r++) {
        const struct arm arm = measure_arm(o, r);
        const double se = isfinite(arm.gain_se) ? arm.gain_se : 0.0;
        fprintf(gp, "%zu", at++);
        plot_number(gp, 1e3 * arm.gain);
        plot_number(gp, 1e3 * se);
        fputc('\n', gp);
        least = fmin(least, isfinite(arm.gain) ? 1e3 * (arm.gain - se) : 0.0);
        most = fmax(most, isfinite(arm.gain) ? 1e3 * (arm.gain + se) : 0.0);
    }
    fprintf(gp,
            "EOD\nset yrange [%g:-0.6]\nset border 1\nset grid noy\n"
            "set xlabel 'thousandths of a unit of loss'\n"
            "set arrow from 0,graph 0 to 0,graph 1 nohead lc rgb '" PLOT_MUTED "'\n",
            (double)n - 0.4);
    plot_ticks(gp, "x", least, most);
    fputs("plot $difference using 2:1:3 with xerrorbars pt 7 ps 0.8 lw 2 lc rgb '" PLOT_BLUE "'\n",
          gp);
}

static bool has_online(const struct report_data *data)
{
    for (size_t i = 0; i < data->n_onlines; i++)
        if (!report_is_comparison(data->onlines[i]))
            return true;
    return false;
}

static enum mix_status write_online(struct page *page, const struct report_data *data,
                                    struct mix_error *err)
{
    (void)err;
    for (size_t i = 0; i < data->n_onlines; i++) {
        const struct mix_online *o = data->onlines[i];
        size_t n = 0;
        if (report_is_comparison(o))
            continue;
        page_element(page, "h3", "%s", o->name);
        page_element(page, "p", "%zu trainings of %llu steps by the trainer %s, %zu groups.",
                     o->n_runs, (unsigned long long)o->n_steps, o->trainer, o->n_groups);
        page_figures(page);
        for (size_t r = 0, n_settings = 0; r < o->n_runs && n_settings < SETTINGS_MAX; r++)
            if (r == 0 || strcmp(o->runs[r].setting, o->runs[r - 1].setting) != 0) {
                plot_setting(page, o, o->runs[r].setting);
                n_settings++;
            }
        for (size_t r = 0; r < o->n_runs && n < TRAJECTORIES_MAX; r++)
            if (shows_trajectory(o, r)) {
                plot_trajectory(page, o, r);
                n++;
            }
        page_figures_end(page);
        put_arms(page, o);
    }
    return MIX_OK;
}

const struct report_section report_online = {"online", "Online mixing", has_online, write_online};

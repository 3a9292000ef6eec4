/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent.c - the section on data mixing agents: what each arm of a comparison gained and forgot, and
 * what the agent chose. */
#include "mixsweep/agent_compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report_impl.h"

bool report_is_comparison(const struct mix_online *online)
{
    for (size_t r = 0; r < online->n_runs; r++)
        if (strcmp(online->runs[r].method, mix_agent_arm_names[MIX_ARM_BASE]) == 0)
            return true;
    return false;
}

/* A comparison, and what it is measured by. */
struct shown {
    const struct mix_agent_campaign *campaign;
    const struct mix_online *online;
    const char *setting; /* "own", ... */
    struct mix_agent_summary *summary;
};

/* The comparison `online` of a campaign; false where it is none. Its name is CAMPAIGN-SETTING. */
static bool belongs(const struct mix_agent_campaign *campaign, const struct mix_online *online)
{
    char name[MIX_NAME_MAX];
    if (!report_is_comparison(online) || online->n_groups != campaign->space.n_slots)
        return false;
    mix_agent_comparison_name(campaign->name, online->runs[0].setting, name);
    return strcmp(online->name, name) == 0;
}

static double tokens_of(const struct report_data *data, const char *setting)
{
    const struct mix_job *job = data->job;
    if (job == NULL || job->agent.name[0] == '\0')
        return NAN;
    for (size_t i = 0; i < job->agent.n_transfers; i++)
        if (strcmp(job->agent.transfers[i].name, setting) == 0)
            return mix_agent_setting_tokens(job, (int)i);
    return mix_agent_setting_tokens(job, MIX_AGENT_OWN);
}

/* ---- figures ---- */

static void plot_point(FILE *gp, const struct mix_agent_line *line)
{
    plot_number(gp, line->forgetting.mean);
    plot_number(gp, line->gain.mean);
    plot_number(gp, isnan(line->forgetting.se) ? 0 : line->forgetting.se);
    plot_number(gp, isnan(line->gain.se) ? 0 : line->gain.se);
    fputc('\n', gp);
}

/* Arms that the figure names; the grid is a line of its own. */
static const enum mix_agent_arm drawn[] = {MIX_ARM_AGENT,   MIX_ARM_CLONED,  MIX_ARM_REGMIX,
                                           MIX_ARM_LOADING, MIX_ARM_NAIVE,   MIX_ARM_HAND,
                                           MIX_ARM_BEST,    MIX_ARM_UNIFORM, MIX_ARM_BLIND};
enum { DRAWN = sizeof drawn / sizeof drawn[0] };

static void plot_pareto(struct page *page, const struct shown *shown)
{
    const struct mix_agent_summary *summary = shown->summary;
    char name[2 * MIX_NAME_MAX];
    double least = 0, most = 0;
    FILE *gp = page->script;
    snprintf(name, sizeof name, "agent-%s", shown->online->name);
    page_figure(page, name, PLOT_WIDTH + 160, PLOT_HEIGHT + 40,
                "Comparison %s: what the target field gained against what the source field forgot, "
                "in bits per token, means over %zu seeds with standard errors; the line: static "
                "target masses 0.1 … 0.9. Up and left is better.",
                shown->online->name, summary->n_seeds);
    fputs("$grid << EOD\n", gp);
    for (size_t g = 0; g < MIX_AGENT_GRID; g++)
        if (summary->grid[g].gain.n > 0) {
            plot_point(gp, &summary->grid[g]);
            least = fmin(least, summary->grid[g].forgetting.mean);
            most = fmax(most, summary->grid[g].forgetting.mean);
        }
    fputs("EOD\n", gp);
    for (size_t a = 0; a < DRAWN; a++) {
        fprintf(gp, "$arm%zu << EOD\n", a);
        plot_point(gp, &summary->arms[drawn[a]]);
        fputs("EOD\n", gp);
        if (summary->arms[drawn[a]].gain.n > 0)
            most = fmax(most, summary->arms[drawn[a]].forgetting.mean);
    }
    plot_ticks(gp, "x", least, most);
    fputs("set xlabel 'forgetting F'\nset ylabel 'gain G'\n"
          "set key outside right top vertical\n"
          "plot $grid using 1:2 with linespoints lw 1.2 pt 7 ps 0.35 lc rgb '" PLOT_FAINT
          "' title 'static grid'",
          gp);
    for (size_t a = 0; a < DRAWN; a++) {
        if (summary->arms[drawn[a]].gain.n == 0)
            continue;
        fprintf(gp, ", $arm%zu using 1:2:3:4 with xyerrorbars ", a);
        plot_series(gp, a);
        fputs(" title ", gp);
        plot_text(gp, mix_agent_arm_names[drawn[a]], 14);
    }
    fputc('\n', gp);
}

/* The agent's mixture at decision t, the mean over seeds. */
static void mean_mixture(const struct shown *shown, size_t t, double *mean)
{
    const struct mix_online *o = shown->online;
    const size_t d = o->n_groups;
    size_t n = 0;
    memset(mean, 0, d * sizeof *mean);
    for (uint64_t s = 0; s < shown->summary->n_seeds; s++) {
        const size_t row = mix_agent_find(o, shown->setting, mix_agent_arm_names[MIX_ARM_AGENT], s);
        if (row == SIZE_MAX)
            continue;
        n++;
        for (size_t i = 0; i < d; i++)
            mean[i] += o->point_mixture[(row * o->n_points + t) * d + i];
    }
    for (size_t i = 0; i < d; i++)
        mean[i] /= (double)n;
}

static void plot_mixture(struct page *page, const struct shown *shown)
{
    const struct mix_online *o = shown->online;
    const size_t d = o->n_groups;
    double mean[MIX_DOMAINS_MAX] = {0};
    char name[2 * MIX_NAME_MAX];
    FILE *gp = page->script;
    snprintf(name, sizeof name, "agent-mixture-%s", o->name);
    page_figure(page, name, PLOT_WIDTH, PLOT_HEIGHT + (o->n_groups > 8 ? 180 : 0),
                "Comparison %s: the mixture that the agent chose, the mean over %zu seeds.",
                o->name, shown->summary->arms[MIX_ARM_AGENT].gain.n);
    fputs("$shares << EOD\n", gp);
    for (size_t t = 0; t < o->n_points; t++) { /* the last step has a width too */
        if (t + 1 < o->n_points)
            mean_mixture(shown, t, mean);
        fprintf(gp, "%zu", t);
        for (size_t i = 0; i < d; i++)
            plot_number(gp, mean[i]);
        fputc('\n', gp);
    }
    fputs("EOD\nset xlabel 'decisions made'\nset ylabel 'share'\nset yrange [0:*]\n"
          "set key outside top center horizontal\nplot ",
          gp);
    for (size_t i = 0; i < d; i++) {
        fprintf(gp, "%s$shares using 1:%zu with steps ", i > 0 ? ", " : "", i + 2);
        plot_series(gp, i);
        fputs(" title ", gp);
        plot_text(gp, o->groups[i], 14);
    }
    fputc('\n', gp);
}

/* ---- the table ---- */

static void put_figure(struct page *page, struct mix_online_figure of, int digits)
{
    char a[32], b[32];
    page_cell(page, "%s ± %s", report_number(of.mean, digits, a), report_number(of.se, digits, b));
}

static void put_line(struct page *page, const char *name, const struct mix_agent_line *line)
{
    static const char *const words[] = {"lost", "tied", "won"};
    page_row(page);
    page_cell(page, "%s", name);
    page_cell(page, "%zu", line->gain.n);
    put_figure(page, line->gain, 4);
    put_figure(page, line->forgetting, 4);
    put_figure(page, line->balanced, 3);
    put_figure(page, line->utility, 3);
    put_figure(page, line->behind[0], 3);
    page_cell(page, "%s", line->behind[0].n > 1 ? words[mix_agent_judge(line->behind[0]) + 1] : "");
    char source[16], target[16];
    page_cell(page, "%s", report_size(line->source_tokens.mean, source));
    page_cell(page, "%s", report_size(line->target_tokens.mean, target));
}

static void put_arms(struct page *page, const struct shown *shown)
{
    static const char *const heads[] = {"arm",
                                        "seeds",
                                        "gain G, bits",
                                        "forgetting F, bits",
                                        "balanced (A + R) / 2",
                                        "utility u",
                                        "the agent less this, balanced",
                                        "the agent has",
                                        "source tokens",
                                        "target tokens"};
    const struct mix_agent_summary *summary = shown->summary;
    char name[MIX_UNIT_MAX];
    page_table(page, "Arms: means over seeds ± standard errors, on the text for reports", false,
               sizeof heads / sizeof heads[0], heads);
    for (int a = 0; a < MIX_ARMS; a++)
        if (summary->arms[a].gain.n > 0)
            put_line(page, mix_agent_arm_names[a], &summary->arms[a]);
    for (size_t g = 0; g < MIX_AGENT_GRID; g++) {
        mix_agent_grid_name(g, name);
        if (summary->grid[g].gain.n > 0)
            put_line(page, name, &summary->grid[g]);
    }
    page_table_end(page, false);
}

/* ---- the section ---- */

static void write_comparison(struct page *page, const struct shown *shown)
{
    const struct mix_agent_summary *summary = shown->summary;
    page_element(page, "h3", "%s", shown->online->name);
    page_element(page, "p",
                 "%zu trainings of %llu steps, %zu seeds; slots 1 to %zu are the source field. Won "
                 "and lost: by more than two standard errors of differences paired by seed.",
                 shown->online->n_runs, (unsigned long long)shown->online->n_steps,
                 summary->n_seeds, shown->campaign->space.n_source);
    if (summary->oracle != SIZE_MAX)
        page_element(page, "p", "The oracle is the static target mass 0.%zu.", summary->oracle + 1);
    page_figures(page);
    plot_pareto(page, shown);
    if (summary->arms[MIX_ARM_AGENT].gain.n > 0)
        plot_mixture(page, shown);
    page_figures_end(page);
    put_arms(page, shown);
}

static bool has_agents(const struct report_data *data)
{
    for (size_t c = 0; c < data->n_campaigns; c++)
        for (size_t i = 0; i < data->n_onlines; i++)
            if (data->campaigns[c]->n_agents > 0 && belongs(data->campaigns[c], data->onlines[i]))
                return true;
    return false;
}

static enum mix_status write_agents(struct page *page, const struct report_data *data,
                                    struct mix_error *err)
{
    struct mix_agent_summary *summary = malloc(sizeof *summary);
    if (summary == NULL)
        return mix_fail(err, MIX_ENOMEM, "not enough memory for a report on %s.", data->path);
    for (size_t c = 0; c < data->n_campaigns; c++)
        for (size_t i = 0; i < data->n_onlines; i++) {
            const struct mix_agent_campaign *campaign = data->campaigns[c];
            const struct mix_online *online = data->onlines[i];
            if (campaign->n_agents == 0 || !belongs(campaign, online))
                continue;
            const struct shown shown = {.campaign = campaign,
                                        .online = online,
                                        .setting = online->runs[0].setting,
                                        .summary = summary};
            mix_agent_summarise(&campaign->space, &campaign->agents[0].head.scale, online,
                                shown.setting, tokens_of(data, shown.setting), summary);
            write_comparison(page, &shown);
        }
    free(summary);
    return MIX_OK;
}

const struct report_section report_agent = {"agent", "Data mixing agents", has_agents,
                                            write_agents};

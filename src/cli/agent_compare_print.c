/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_compare_print.c - a comparison of agents as the verb agent prints it. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "agent_compare_print.h"

/* ---- what is asked ---- */

static const char *word_of(enum mix_agent_verdict verdict)
{
    return verdict == MIX_AGENT_WON ? "won" : verdict == MIX_AGENT_LOST ? "lost" : "tied";
}

/* A question: the agent against an arm. */
struct question {
    const char *rule, *text;
    enum mix_agent_arm against;
};
static const struct question own_questions[] = {
    {"C1", "RegMix", MIX_ARM_REGMIX},
    {"C1", "dynamic batch loading", MIX_ARM_LOADING},
    {"C1 strong", "the static oracle", MIX_ARM_ORACLE},
    {"C6", "the agent before reinforcement", MIX_ARM_CLONED},
    {"", "the target field alone", MIX_ARM_NAIVE},
    {"", "a schedule by hand", MIX_ARM_HAND},
    {"", "the best trajectory of the data, open loop", MIX_ARM_BEST},
    {"control", "an agent without feedback", MIX_ARM_BLIND},
    {"control", "the mean of its mixtures over time", MIX_ARM_MEAN},
    {"control", "its mixtures in random order", MIX_ARM_SHUFFLED},
    {"control", "its mixtures of another seed, open loop", MIX_ARM_REPLAYED},
};
static const struct question transfer_questions[] = {
    {"transfer", "RegMix's ratio of the agent's own setting", MIX_ARM_REGMIX},
    {"transfer", "dynamic batch loading", MIX_ARM_LOADING},
    {"strong", "the static oracle, tuned here", MIX_ARM_ORACLE},
    {"", "the agent before reinforcement", MIX_ARM_CLONED},
    {"", "the target field alone", MIX_ARM_NAIVE},
    {"control", "an agent without feedback", MIX_ARM_BLIND},
    {"control", "the mean of its mixtures over time", MIX_ARM_MEAN},
    {"control", "its mixtures in random order", MIX_ARM_SHUFFLED},
    {"control", "its mixtures of another seed, open loop", MIX_ARM_REPLAYED},
};
enum {
    N_OWN = sizeof own_questions / sizeof own_questions[0],
    N_TRANSFER = sizeof transfer_questions / sizeof transfer_questions[0]
};

/* ---- text ---- */

static void put_figure(struct cli_table *table, struct mix_online_figure of, int digits,
                       double unit, bool sign)
{
    if (of.n == 0)
        cli_table_cell(table, "-");
    else if (isnan(of.se))
        cli_table_cell(table, sign ? "%+.*f" : "%.*f", digits, of.mean / unit);
    else
        cli_table_cell(table, sign ? "%+.*f ± %.*f" : "%.*f ± %.*f", digits, of.mean / unit, digits,
                       of.se / unit);
}

/* Of an arm that has lost a seed the number of those left stands beside its name. */
static void put_line(struct cli_table *table, const char *name, const struct mix_agent_line *line,
                     size_t n_seeds, double unit)
{
    if (line->gain.n < n_seeds)
        cli_table_cell(table, "%s (n = %zu)", name, line->gain.n);
    else
        cli_table_cell(table, "%s", name);
    put_figure(table, line->gain, 4, 1, false);
    put_figure(table, line->forgetting, 4, 1, false);
    put_figure(table, line->adaptation, 2, 1, false);
    put_figure(table, line->retention, 2, 1, false);
    put_figure(table, line->balanced, 3, 1, false);
    put_figure(table, line->utility, 3, 1, false);
    cli_table_cell(table, "%.1f", line->source_tokens.mean / unit);
    cli_table_cell(table, "%.1f", line->target_tokens.mean / unit);
    cli_table_cell(table, "%.1f", line->train_s);
}

/* Tokens of the longest run decide the unit. */
static double unit_of(const struct mix_agent_summary *summary)
{
    const struct mix_agent_line *naive = &summary->arms[MIX_ARM_NAIVE];
    const double most = naive->source_tokens.mean + naive->target_tokens.mean;
    return most >= 1e9 ? 1e9 : most >= 1e6 ? 1e6 : most >= 1e4 ? 1e3 : 1;
}

/* What the trainer counts: only the embedded one knows its tokens. */
static const char *counted(const struct comparison_print *of)
{
    return strcmp(of->online->trainer, "embedded") == 0 ? "tokens" : "steps";
}

static void print_arms(FILE *out, const struct comparison_print *of)
{
    const struct mix_agent_summary *summary = of->summary;
    static const char *const heads[] = {"arm",    "gain G",   "forgetting F", "A",
                                        "R",      "balanced", "utility u",    "source",
                                        "target", "train s"};
    const double unit = unit_of(summary);
    const char *name = unit == 1e9 ? "1e9 " : unit == 1e6 ? "1e6 " : unit == 1e3 ? "1e3 " : "";
    struct cli_table *table = cli_table_create(sizeof heads / sizeof heads[0]);
    for (size_t c = 0; c < sizeof heads / sizeof heads[0]; c++)
        cli_table_cell(table, "%s", heads[c]);
    for (int a = 0; a < MIX_ARMS; a++)
        if (summary->arms[a].gain.n > 0)
            put_line(table, mix_agent_arm_names[a], &summary->arms[a], summary->n_seeds, unit);
    for (size_t g = 0; g < MIX_AGENT_GRID; g++) {
        char grid[MIX_UNIT_MAX];
        mix_agent_grid_name(g, grid);
        if (summary->grid[g].gain.n > 0)
            put_line(table, grid, &summary->grid[g], summary->n_seeds, unit);
    }
    fprintf(out,
            "  on the text for reports, mean ± standard error over %zu seeds; G, F in bits per "
            "token; source, target in %s%s\n",
            summary->n_seeds, name, counted(of));
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
    if (summary->oracle != SIZE_MAX)
        fprintf(out,
                "  (A, R: shares of what target-only gains and forgets; balanced (A + R) / 2; "
                "oracle: grid-0.%zu, the best on the text for tuning)\n",
                summary->oracle + 1);
}

static void put_verdict(struct cli_table *table, struct mix_online_figure difference)
{
    put_figure(table, difference, 3, 1, true);
    cli_table_cell(table, "%s", difference.n > 1 ? word_of(mix_agent_judge(difference)) : "-");
}

static void put_question(struct cli_table *table, const char *rule, const char *text,
                         const struct mix_agent_line *line, size_t n_seeds)
{
    const size_t n = line->behind[1].n;
    if (n < n_seeds)
        cli_table_cell(table, "%-9s %s (n = %zu)", rule, text, n);
    else
        cli_table_cell(table, "%-9s %s", rule, text);
    put_verdict(table, line->behind[0]);
    put_verdict(table, line->behind[1]);
    if (line->source_tokens.mean > 0)
        cli_table_cell(table, "%+.1f%%", 100 * line->more_source.mean / line->source_tokens.mean);
    else
        cli_table_cell(table, "-");
}

static void print_questions(FILE *out, const struct comparison_print *of)
{
    static const char *const heads[] = {"the agent against", "balanced", "",
                                        "utility u",         "",         "source"};
    const struct question *questions = of->own == NULL ? own_questions : transfer_questions;
    const size_t n = of->own == NULL ? N_OWN : N_TRANSFER;
    struct cli_table *table = cli_table_create(sizeof heads / sizeof heads[0]);
    for (size_t c = 0; c < sizeof heads / sizeof heads[0]; c++)
        cli_table_cell(table, "%s", heads[c]);
    for (size_t q = 0; q < n; q++)
        if (of->summary->arms[questions[q].against].behind[1].n > 0)
            put_question(table, questions[q].rule, questions[q].text,
                         &of->summary->arms[questions[q].against], of->summary->n_seeds);
    if (of->own != NULL && of->own->oracle != SIZE_MAX)
        put_question(table, "transfer", "the static oracle of the agent's own setting",
                     &of->summary->grid[of->own->oracle], of->summary->n_seeds);
    fprintf(out, "\n  differences paired by seed; won or lost: by more than two standard errors\n");
    cli_table_print(table, out, "  ");
    cli_table_destroy(table);
}

/* The verdicts by both measures; against two arms: won against both, lost against one. */
static void print_rule(FILE *out, const char *rule, const struct mix_agent_line *a,
                       const struct mix_agent_line *b)
{
    enum mix_agent_verdict verdict[2];
    if (a->behind[0].n < 2 && a->behind[1].n < 2)
        return;
    for (int m = 0; m < 2; m++) {
        const enum mix_agent_verdict other = mix_agent_judge(b->behind[m]);
        verdict[m] = mix_agent_judge(a->behind[m]);
        verdict[m] = other < verdict[m] ? other : verdict[m];
    }
    fprintf(out, "  %s: %s by balance, %s by utility\n", rule, word_of(verdict[0]),
            word_of(verdict[1]));
}

static void print_rules(FILE *out, const struct mix_agent_summary *summary, bool is_own)
{
    const struct mix_agent_line *arms = summary->arms, *regmix = &arms[MIX_ARM_REGMIX];
    const struct mix_agent_line *oracle = &arms[MIX_ARM_ORACLE], *cloned = &arms[MIX_ARM_CLONED];
    fputc('\n', out);
    print_rule(out,
               is_own ? "C1  better than RegMix and than dynamic batch loading"
                      : "C2, C3  better than RegMix's ratio of the own setting and than dynamic "
                        "batch loading",
               regmix, &arms[MIX_ARM_LOADING]);
    print_rule(out,
               is_own ? "C1  in its strong form, better than the static oracle"
                      : "C2, C3  in its strong form, better than the static oracle tuned here",
               oracle, oracle);
    if (!is_own)
        return;
    if (regmix->more_source.n > 1)
        fprintf(out, "  C4  less source text than RegMix at no worse balance: %s\n",
                word_of(mix_agent_judge_source(regmix->more_source, regmix->behind[0])));
    print_rule(out, "C6  better than before reinforcement", cloned, cloned);
}

/* Whether a slot's contrast is as intuition has it. */
static bool is_expected(const struct mix_agent_contrast *c, bool is_target)
{
    return c->p_value < .05 && (is_target ? c->target > 0 : c->target < 0);
}

static void print_contrasts(FILE *out, const struct comparison_print *of)
{
    static const char *const heads[] = {"slot",        "raised", "lowered",
                                        "L1 distance", "p",      "target mass"};
    struct cli_table *table = cli_table_create(sizeof heads / sizeof heads[0]);
    size_t n = 0;
    for (size_t c = 0; c < sizeof heads / sizeof heads[0]; c++)
        cli_table_cell(table, "%s", heads[c]);
    for (size_t i = 0; i < of->space->n_slots; i++) {
        const struct mix_agent_contrast *c = &of->contrasts[i];
        cli_table_cell(table, "%s", of->online->groups[i]);
        cli_table_cell(table, "%zu", c->n_up);
        cli_table_cell(table, "%zu", c->n_down);
        cli_table_cell(table, "%.3f", c->distance);
        cli_table_cell(table, "%.3f", c->p_value);
        cli_table_cell(table, "%+.3f", c->target);
        n += is_expected(c, i >= of->space->n_source);
    }
    fprintf(out,
            "  C5  decisions of the data that raised a slot's feedback, less those that "
            "lowered it: as expected in %zu of %zu slots\n",
            n, of->space->n_slots);
    cli_table_print(table, out, "      ");
    cli_table_destroy(table);
}

void cli_print_comparison(FILE *out, const struct comparison_print *of)
{
    print_arms(out, of);
    if (of->summary->arms[MIX_ARM_AGENT].gain.n == 0) {
        fprintf(out, "  no reinforced agent has run here: nothing to decide\n");
        return;
    }
    print_questions(out, of);
    print_rules(out, of->summary, of->own == NULL);
    if (of->contrasts != NULL)
        print_contrasts(out, of);
}

/* ---- JSON ---- */

static json_t *json_figure(struct mix_online_figure of)
{
    return json_pack("{s:I, s:o, s:o}", "n", (json_int_t)of.n, "mean", cli_json_number(of.mean),
                     "se", cli_json_number(of.se));
}

static json_t *json_line(const char *name, const struct mix_agent_line *line)
{
    const struct {
        const char *name;
        struct mix_online_figure of;
    } figures[] = {{"gain", line->gain},
                   {"forgetting", line->forgetting},
                   {"adaptation", line->adaptation},
                   {"retention", line->retention},
                   {"balanced", line->balanced},
                   {"utility", line->utility},
                   {"source_tokens", line->source_tokens},
                   {"target_tokens", line->target_tokens},
                   {"agent_less_balanced", line->behind[0]},
                   {"agent_less_utility", line->behind[1]},
                   {"agent_less_source_tokens", line->more_source}};
    json_t *root =
        json_pack("{s:s, s:o, s:s, s:s}", "arm", name, "train_s", cli_json_number(line->train_s),
                  "balanced_verdict", word_of(mix_agent_judge(line->behind[0])), "utility_verdict",
                  word_of(mix_agent_judge(line->behind[1])));
    for (size_t f = 0; f < sizeof figures / sizeof figures[0]; f++)
        json_object_set_new(root, figures[f].name, json_figure(figures[f].of));
    return root;
}

static json_t *json_contrasts(const struct comparison_print *of)
{
    json_t *all = json_array();
    for (size_t i = 0; of->contrasts != NULL && i < of->space->n_slots; i++) {
        const struct mix_agent_contrast *c = &of->contrasts[i];
        json_array_append_new(
            all,
            json_pack("{s:s, s:b, s:I, s:I, s:o, s:o, s:o, s:b}", "slot", of->online->groups[i],
                      "target", i >= of->space->n_source, "raised", (json_int_t)c->n_up, "lowered",
                      (json_int_t)c->n_down, "distance", cli_json_number(c->distance), "p",
                      cli_json_number(c->p_value), "target_mass", cli_json_number(c->target),
                      "expected", is_expected(c, i >= of->space->n_source)));
    }
    return all;
}

json_t *cli_json_comparison(const struct comparison_print *of)
{
    const struct mix_agent_summary *summary = of->summary;
    const struct mix_agent_line *regmix = &summary->arms[MIX_ARM_REGMIX];
    char name[MIX_UNIT_MAX];
    json_t *arms = json_array();
    for (int a = 0; a < MIX_ARMS; a++)
        if (summary->arms[a].gain.n > 0)
            json_array_append_new(arms, json_line(mix_agent_arm_names[a], &summary->arms[a]));
    for (size_t g = 0; g < MIX_AGENT_GRID; g++) {
        mix_agent_grid_name(g, name);
        if (summary->grid[g].gain.n > 0)
            json_array_append_new(arms, json_line(name, &summary->grid[g]));
    }
    return json_pack("{s:s, s:I, s:s, s:o, s:o, s:s, s:o}", "result", of->online->name, "seeds",
                     (json_int_t)summary->n_seeds, "counted", counted(of), "oracle",
                     cli_json_number(summary->oracle != SIZE_MAX
                                         ? (double)(summary->oracle + 1) / 10
                                         : (double)NAN),
                     "arms", arms, "less_source_than_regmix",
                     word_of(mix_agent_judge_source(regmix->more_source, regmix->behind[0])),
                     "contrasts", json_contrasts(of));
}

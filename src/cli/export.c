/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export.c - the verb export: a table of a sweep file as CSV. */
#include "cli.h"

#include <string.h>

#include "mixsweep/agent_campaign.h"
#include "mixsweep/csv.h"
#include "mixsweep/store.h"

struct request {
    const char *words[2]; /* file, table */
    const char *output;   /* NULL = stdout */
    const char *fit;      /* or name of online runs; NULL = all */
    bool force;
};

static enum mix_status write_runs(struct mix_store *store, const struct request *request, FILE *out,
                                  struct mix_error *err)
{
    (void)request;
    struct mix_table *table = NULL;
    enum mix_status status = mix_store_read_table(store, &table, err);
    if (status == MIX_OK)
        status = mix_table_sort_by_run(table, err);
    if (status == MIX_OK)
        status = mix_csv_write_runs(table, out, err);
    mix_table_destroy(table);
    return status;
}

static void put_fit(FILE *out, const struct mix_fit *fit)
{
    for (size_t p = 0; p < fit->n_params; p++) {
        mix_csv_put_text(out, fit->name);
        fputc(',', out);
        mix_csv_put_text(out, fit->spec.law);
        fputc(',', out);
        mix_csv_put_text(out, fit->param_names[p]);
        fputc(',', out);
        mix_csv_put_text(out, fit->param_units[p]);
        fputc(',', out);
        mix_csv_put_number(out, fit->params[p]);
        fputc(',', out);
        mix_csv_put_number(out, fit->std_error[p]);
        fputc('\n', out);
    }
}

/* The names of a kind of result, or the one that --fit asks for; there is at least one. */
static enum mix_status list_results(struct mix_store *store, const struct request *request,
                                    const char *kind, struct mix_names *names,
                                    struct mix_error *err)
{
    const enum mix_status status = mix_store_list(store, kind, names, err);
    if (status != MIX_OK)
        return status;
    for (size_t i = 0; request->fit != NULL && i < names->n; i++)
        if (strcmp(names->name[i], request->fit) == 0) {
            memmove(names->name[0], names->name[i], sizeof names->name[0]);
            names->n = 1;
            return MIX_OK;
        }
    if (names->n > 0 && request->fit == NULL)
        return MIX_OK;
    const enum mix_status none =
        names->n == 0
            ? mix_fail(err, MIX_ENOTFOUND, "%s has no %s.", request->words[0], kind)
            : cli_unknown_name("fit", request->fit, request->words[0],
                               strcmp(kind, "fits") == 0 ? "fit" : "bootstrap of", request->fit,
                               (const char(*)[MIX_NAME_MAX])names->name, names->n, err);
    mix_names_destroy(names);
    return none;
}

static enum mix_status write_fits(struct mix_store *store, const struct request *request, FILE *out,
                                  struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = list_results(store, request, "fits", &names, err);
    if (status != MIX_OK)
        return status;
    fputs("fit,law,parameter,unit,value,std_error\n", out);
    for (size_t i = 0; i < names.n && status == MIX_OK; i++) {
        struct mix_fit *fit = NULL;
        status = mix_store_read_fit(store, names.name[i], &fit, err);
        if (status == MIX_OK)
            put_fit(out, fit);
        mix_fit_destroy(fit);
    }
    mix_names_destroy(&names);
    return status;
}

static void put_draws(FILE *out, const struct mix_fit *fit, const struct mix_draws *draws)
{
    fputs("fit,draw,objective", out);
    for (size_t p = 0; p < fit->n_params; p++) {
        fputc(',', out);
        mix_csv_put_text(out, fit->param_names[p]);
    }
    fputc('\n', out);
    for (size_t b = 0; b < draws->n_draws; b++) {
        if (!draws->done[b])
            continue;
        mix_csv_put_text(out, draws->fit);
        fprintf(out, ",%zu,", b);
        mix_csv_put_number(out, draws->objective[b]);
        for (size_t p = 0; p < draws->n_params; p++) {
            fputc(',', out);
            mix_csv_put_number(out, draws->params[b * draws->n_params + p]);
        }
        fputc('\n', out);
    }
}

/* Fits differ in their parameters, so a table holds the draws of one. */
static enum mix_status write_bootstrap(struct mix_store *store, const struct request *request,
                                       FILE *out, struct mix_error *err)
{
    struct mix_names names = {0};
    struct mix_fit *fit = NULL;
    struct mix_draws *draws = NULL;
    enum mix_status status = list_results(store, request, "bootstrap", &names, err);
    if (status != MIX_OK)
        return status;
    if (names.n > 1)
        status = mix_fail(err, MIX_EUSAGE, "%s has draws of %zu fits (%s, %s%s); say --fit NAME.",
                          request->words[0], names.n, names.name[0], names.name[1],
                          names.n > 2 ? ", ..." : "");
    if (status == MIX_OK)
        status = mix_store_read_draws(store, names.name[0], &draws, err);
    if (status == MIX_OK)
        status = mix_store_read_fit(store, names.name[0], &fit, err);
    if (status == MIX_OK && fit->n_params != draws->n_params)
        status = mix_fail(err, MIX_EFORMAT, "%s: the draws of %s have %zu parameters, its fit %zu.",
                          request->words[0], names.name[0], draws->n_params, fit->n_params);
    if (status == MIX_OK)
        put_draws(out, fit, draws);
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
    mix_names_destroy(&names);
    return status;
}

static void put_optimum(FILE *out, const struct mix_optimum *optimum)
{
    for (size_t k = 0; k < optimum->n_domains; k++) {
        const double numbers[] = {optimum->n_params,
                                  optimum->n_tokens,
                                  optimum->mixture[k],
                                  optimum->mixture_lo[k],
                                  optimum->mixture_hi[k],
                                  optimum->level,
                                  optimum->tied[k],
                                  optimum->baseline[k],
                                  optimum->prior[k],
                                  optimum->seen_max[k],
                                  optimum->lower[k],
                                  optimum->upper[k],
                                  optimum->limit[k],
                                  optimum->price[k],
                                  optimum->mixture_wide_lo[k],
                                  optimum->mixture_wide_hi[k],
                                  optimum->mixture_bca_lo[k],
                                  optimum->mixture_bca_hi[k]};
        mix_csv_put_text(out, optimum->name);
        fputc(',', out);
        mix_csv_put_text(out, optimum->fit);
        fputc(',', out);
        mix_csv_put_text(out, optimum->domains[k]);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            fputc(',', out);
            mix_csv_put_number(out, numbers[i]);
        }
        fputc('\n', out);
    }
}

static bool has_name(const struct mix_names *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names->name[i], name) == 0)
            return true;
    return false;
}

static enum mix_status write_optimum(struct mix_store *store, const struct request *request,
                                     FILE *out, struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "optimum", &names, err);
    if (status != MIX_OK)
        return status;
    size_t n_written = 0, n_fits = 0; /* others, whose names take the place of those read */
    fputs("optimum,fit,domain,n_params,n_tokens,share,lo,hi,level,tied,baseline,prior,seen_max,"
          "floor,cap,limit,price,wide_lo,wide_hi,bca_lo,bca_hi\n",
          out);
    for (size_t i = 0; i < names.n && status == MIX_OK; i++) {
        struct mix_optimum *optimum = NULL;
        status = mix_store_read_optimum(store, names.name[i], &optimum, err);
        if (status == MIX_OK && (request->fit == NULL || strcmp(optimum->fit, request->fit) == 0)) {
            put_optimum(out, optimum);
            n_written++;
        } else if (status == MIX_OK && !has_name(&names, n_fits, optimum->fit)) {
            memcpy(names.name[n_fits++], optimum->fit, MIX_NAME_MAX); /* n_fits <= i */
        }
        mix_optimum_destroy(optimum);
    }
    if (status == MIX_OK && names.n == 0)
        status = mix_fail(err, MIX_ENOTFOUND, "%s has no optimum.", request->words[0]);
    else if (status == MIX_OK && n_written == 0)
        status =
            cli_unknown_name("fit", request->fit, request->words[0], "optimum of", request->fit,
                             (const char(*)[MIX_NAME_MAX])names.name, n_fits, err);
    mix_names_destroy(&names);
    return status;
}

static void put_online(FILE *out, const struct mix_online *online)
{
    const size_t k = online->n_groups;
    const double *const columns[] = {online->mixture, online->loss_start, online->loss_end,
                                     online->test, online->test_se};
    for (size_t i = 0; i < online->n_runs; i++) {
        const struct mix_online_run *run = &online->runs[i];
        const char *const texts[] = {online->name, run->setting, run->method, run->after};
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
            mix_csv_put_text(out, texts[t]);
            fputc(',', out);
        }
        fprintf(out, "%d,%d,%d,%llu,%llu,%llu,%llu", run->role, run->restricted, run->diverged,
                (unsigned long long)run->seed, (unsigned long long)run->n_steps,
                (unsigned long long)run->extra_steps, (unsigned long long)run->n_evaluations);
        for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++)
            for (size_t g = 0; g < k; g++) {
                fputc(',', out);
                mix_csv_put_number(out, columns[c][i * k + g]);
            }
        fputc('\n', out);
    }
}

static void put_online_head(FILE *out, const struct mix_online *online)
{
    static const char *const columns[] = {"h", "loss_start", "loss_end", "test", "test_se"};
    fputs("online,setting,method,after,role,restricted,diverged,seed,n_steps,extra_steps,"
          "n_evaluations",
          out);
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++)
        for (size_t g = 0; g < online->n_groups; g++) {
            char name[2 * MIX_NAME_MAX];
            snprintf(name, sizeof name, "%s_%s", columns[c], online->groups[g]);
            fputc(',', out);
            mix_csv_put_text(out, name);
        }
    fputc('\n', out);
}

/* The name that --name gives, or the only one of a kind. */
static enum mix_status name_one(struct mix_store *store, const struct request *request,
                                const char *kind, const char *what, char name[MIX_NAME_MAX],
                                struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, kind, &names, err);
    if (status == MIX_OK && names.n == 0)
        status = mix_fail(err, MIX_ENOTFOUND, "%s has no %s.", request->words[0], what);
    else if (status == MIX_OK && names.n > 1 && request->fit == NULL)
        status = mix_fail(err, MIX_EUSAGE, "%s has %zu %s (%s, %s%s); say --name NAME.",
                          request->words[0], names.n, what, names.name[0], names.name[1],
                          names.n > 2 ? ", ..." : "");
    if (status == MIX_OK)
        snprintf(name, MIX_NAME_MAX, "%.63s", request->fit != NULL ? request->fit : names.name[0]);
    mix_names_destroy(&names);
    return status;
}

/* Groups differ from one to the next, so a table holds one. */
static enum mix_status write_online(struct mix_store *store, const struct request *request,
                                    FILE *out, struct mix_error *err)
{
    struct mix_online *online = NULL;
    char name[MIX_NAME_MAX];
    enum mix_status status = name_one(store, request, "online", "sets of online runs", name, err);
    if (status == MIX_OK)
        status = mix_store_read_online(store, name, &online, err);
    if (status == MIX_OK) {
        put_online_head(out, online);
        put_online(out, online);
    }
    mix_online_destroy(online);
    return status;
}

/* ---- the agent: a row per decision */

/* What a trajectory or a run that was steered has in common for its decisions. */
struct steered {
    const char *agent; /* "" = recorded for agents to learn from */
    uint64_t number;   /* in the plan, or of the seed */
    int32_t base, stratum, held_out, diverged;
    const double *mixture, *feedback; /* (T,D), (T+1,D) */
};

static void put_numbers(FILE *out, const double *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fputc(',', out);
        if (numbers != NULL)
            mix_csv_put_number(out, numbers[i]);
    }
}

/* Decision T has no mixture any more: its feedback is that of the end. */
static void put_steered(FILE *out, const struct mix_agent_campaign *campaign,
                        const struct steered *steered)
{
    const size_t n_slots = campaign->space.n_slots, n_decisions = campaign->space.n_decisions;
    const unsigned long long n_steps = campaign->n_steps / n_decisions; /* of a decision */
    for (size_t t = 0; t <= n_decisions; t++) {
        mix_csv_put_text(out, campaign->name);
        fputc(',', out);
        mix_csv_put_text(out, steered->agent);
        fprintf(out, ",%llu,%d,", (unsigned long long)steered->number, steered->base);
        if (steered->agent[0] == '\0')
            fprintf(out, "%d,%d", steered->stratum, steered->held_out);
        else
            fputc(',', out);
        fprintf(out, ",%d,%zu,%llu", steered->diverged, t, t * n_steps);
        put_numbers(out, t < n_decisions ? steered->mixture + t * n_slots : NULL, n_slots);
        put_numbers(out, steered->feedback + t * n_slots, n_slots);
        fputc('\n', out);
    }
}

static void put_agent_head(FILE *out, const struct mix_agent_campaign *campaign)
{
    static const char *const columns[] = {"h", "feedback"};
    fputs("campaign,agent,number,base,stratum,held_out,diverged,decision,step", out);
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++)
        for (size_t d = 0; d < campaign->space.n_slots; d++) {
            char name[2 * MIX_NAME_MAX];
            snprintf(name, sizeof name, "%s_%s", columns[c], campaign->slots[d]);
            fputc(',', out);
            mix_csv_put_text(out, name);
        }
    fputc('\n', out);
}

static void put_agent(FILE *out, const struct mix_agent_campaign *campaign)
{
    const size_t a = campaign->space.n_decisions * campaign->space.n_slots;
    const size_t f = a + campaign->space.n_slots;
    put_agent_head(out, campaign);
    for (size_t i = 0; i < campaign->n_rows; i++) {
        const struct mix_agent_row *row = &campaign->rows[i];
        put_steered(out, campaign,
                    &(struct steered){"", row->number, row->base, row->stratum, row->held_out,
                                      row->diverged, campaign->mixture + i * a,
                                      campaign->feedback + i * f});
    }
    for (size_t i = 0; i < campaign->n_runs; i++) {
        const struct mix_agent_run *run = &campaign->runs[i];
        put_steered(out, campaign,
                    &(struct steered){run->agent, run->seed, run->base, 0, 0, run->diverged,
                                      campaign->run_mixture + i * a,
                                      campaign->run_feedback + i * f});
    }
}

/* Slots differ from one to the next, so a table holds one. */
static enum mix_status write_agent(struct mix_store *store, const struct request *request,
                                   FILE *out, struct mix_error *err)
{
    struct mix_agent_campaign *campaign = NULL;
    char name[MIX_NAME_MAX];
    enum mix_status status = name_one(store, request, "agent", "campaigns of the agent", name, err);
    if (status == MIX_OK)
        status = mix_store_read_agent(store, name, &campaign, err);
    if (status == MIX_OK)
        put_agent(out, campaign);
    mix_agent_campaign_destroy(campaign);
    return status;
}

static const struct {
    const char *name, *option; /* the option that chooses one, or "" */
    enum mix_status (*write)(struct mix_store *store, const struct request *request, FILE *out,
                             struct mix_error *err);
} tables[] = {
    {"runs", "", write_runs},
    {"fits", "fit", write_fits},
    {"bootstrap", "fit", write_bootstrap},
    {"optimum", "fit", write_optimum},
    {"online", "name", write_online},
    {"agent", "name", write_agent},
};
enum { N_TABLES = sizeof tables / sizeof tables[0] };

static enum mix_status find_table(const char *name, size_t *index, struct mix_error *err)
{
    const char *names[N_TABLES];
    for (size_t i = 0; i < N_TABLES; i++) {
        names[i] = tables[i].name;
        if (strcmp(tables[i].name, name) == 0) {
            *index = i;
            return MIX_OK;
        }
    }
    const char *nearest = cli_nearest(name, names, N_TABLES);
    return mix_fail(err, MIX_EUSAGE,
                    "there is no table \"%s\"; allowed are runs, fits, bootstrap, optimum, online "
                    "and agent%s%s%s.",
                    name, nearest != NULL ? " (did you mean " : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "?)" : "");
}

/* One of --fit and --name chooses in a table, the other has nothing to say there. */
static enum mix_status check_choice(const char *option, const char *value, size_t table,
                                    struct mix_error *err)
{
    if (value == NULL || strcmp(tables[table].option, option) == 0)
        return MIX_OK;
    return mix_fail(err, MIX_EUSAGE, "--%s \"%.80s\" goes with %s, not with %s.", option, value,
                    option[0] == 'f' ? "fits, bootstrap and optimum" : "online and agent",
                    tables[table].name);
}

static enum mix_status write_output(struct mix_store *store, const struct request *request,
                                    size_t table, struct mix_error *err)
{
    struct cli_output output;
    const enum mix_status status =
        cli_output_open(&output, request->output, request->force, 1, request->words, err);
    if (status != MIX_OK)
        return status;
    return cli_output_close(&output, tables[table].write(store, request, output.file, err), err);
}

static enum mix_status run(struct mix_ranks *ranks, int argc, char **argv, struct mix_error *err)
{
    (void)ranks;
    struct request request = {.output = NULL};
    const char *name = NULL;
    const struct cli_option options[] = {
        {"output", 'o', "FILE", "the CSV to write (default: standard output)", CLI_TEXT,
         &request.output, 0, 0},
        {"fit", 0, "NAME", "only what belongs to this fit (default: all)", CLI_TEXT, &request.fit,
         0, 0},
        {"name", 0, "NAME", "which online runs, or which agent (default: the only one)", CLI_TEXT,
         &name, 0, 0},
        {"force", 0, NULL, "replace the output where it exists", CLI_FLAG, &request.force, 0, 0},
        {0},
    };
    bool help = false;
    size_t table = 0;
    enum mix_status status =
        cli_parse(&cli_verb_export, options, argc, argv, 2, 2, request.words, &help, err);
    if (status != MIX_OK || help)
        return status;
    status = find_table(request.words[1], &table, err);
    if (status == MIX_OK)
        status = check_choice("fit", request.fit, table, err);
    if (status == MIX_OK)
        status = check_choice("name", name, table, err);
    if (status != MIX_OK)
        return status;
    if (name != NULL)
        request.fit = name;
    struct mix_store *store = NULL;
    status = mix_store_open(request.words[0], MIX_STORE_READ, false, &store, err);
    if (status != MIX_OK)
        return status;
    status = request.output != NULL ? write_output(store, &request, table, err)
                                    : tables[table].write(store, &request, stdout, err);
    mix_store_close(store);
    return status;
}

const struct cli_verb cli_verb_export = {
    .name = "export",
    .summary = "write a table of a sweep file as CSV",
    .synopsis = "S.h5 TABLE [-o T.csv] [OPTIONS]",
    .details =
        "TABLE is one of\n"
        "  runs       the runs, as import reads them\n"
        "  fits       fit,law,parameter,unit,value,std_error\n"
        "  bootstrap  fit,draw,objective and a column per parameter; one fit at a time\n"
        "  optimum    a row per domain: share, nearest tie, baseline, bounds, and its interval: "
        "lo\n"
        "             and hi over the draws, wide_ with other laws, bca_ by the BCa bootstrap "
        "(empty\n"
        "             without a jackknife)\n"
        "  online     a row per training of the verb online; --name where there are several\n"
        "  agent      a row per decision of each recorded trajectory and of each run that an "
        "agent\n"
        "             steered: mixture from there on, feedback; the last row is the end\n"
        "Numbers have as many digits as bring them back unchanged; an empty cell is unknown.\n"
        "Units and directions of targets are not in a CSV: give them again by import --map.\n"
        "\n"
        "In the file /online/NAME has a row per training: setting, method (empty: a static run), "
        "after,\n"
        "role (0 static, 1 proxy, 2 what a method is judged by, 3 analysis: law_r2, own_r2, "
        "similarity,\n"
        "and in matrix the optimal A), restricted, seed, n_steps, extra_steps, n_evaluations; by "
        "domain\n"
        "(NaN outside the setting) mixture, loss_start, loss_end, test, test_se; the trajectory\n"
        "point_step (n,P), point_mixture, point_loss (n,P,K); the rounds round_step (n,R), "
        "round_mixture\n"
        "(n,R,K), matrix (n,R,K,K), A as estimated; at most 256 points and 64 rounds, evenly "
        "chosen.\n"
        "/agent/NAME has a row per trajectory: number in the plan, stratum, base, held_out, "
        "diverged,\n"
        "mixture (n,T,D), feedback (n,T+1,D; 0 is the base model's); of steered runs the same as\n"
        "run_..., and run_test (R,D); groups bases/SETTING-NUMBER with params, curve and hash,\n"
        "agents/LABEL with weights, sigma, sizes and how training went.\n"
        "\n"
        "Example: mixsweep export sweep.h5 runs -o runs.csv",
    .run = run,
};

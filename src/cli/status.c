/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.c - the verb status: what a sweep file holds. */
#include "cli/status.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void free_overview(struct overview *o)
{
    mix_table_destroy(o->table);
    for (struct mix_fit **fit = o->fits; fit != NULL && *fit != NULL; fit++)
        mix_fit_destroy(*fit);
    for (struct mix_draws **draws = o->draws; draws != NULL && *draws != NULL; draws++)
        mix_draws_destroy(*draws);
    for (struct mix_optimum **optimum = o->optima; optimum != NULL && *optimum != NULL; optimum++)
        mix_optimum_destroy(*optimum);
    for (struct mix_online **online = o->online; online != NULL && *online != NULL; online++)
        mix_online_destroy(*online);
    for (struct mix_agent_campaign **a = o->agents; a != NULL && *a != NULL; a++)
        mix_agent_campaign_destroy(*a);
    free(o->agents);
    free(o->online);
    free(o->fits);
    free(o->draws);
    free(o->optima);
    free(o->job);
    status_clear_work(o);
}

static size_t count_logs(const char *dir)
{
    size_t n = 0;
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return 0; /* no folder, no logs */
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

static enum mix_status read_fits(struct mix_store *store, struct overview *o, struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "fits", &names, err);
    if (status != MIX_OK)
        return status;
    o->fits = calloc(names.n + 1, sizeof(struct mix_fit *));
    if (o->fits == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the fits in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_fit(store, names.name[i], &o->fits[i], err);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_draws(struct mix_store *store, struct overview *o,
                                  struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "bootstrap", &names, err);
    if (status != MIX_OK)
        return status;
    o->draws = calloc(names.n + 1, sizeof(struct mix_draws *));
    if (o->draws == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the draws in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_draws(store, names.name[i], &o->draws[i], err);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_optima(struct mix_store *store, struct overview *o,
                                   struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "optimum", &names, err);
    if (status != MIX_OK)
        return status;
    o->optima = calloc(names.n + 1, sizeof(struct mix_optimum *));
    if (o->optima == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the optima in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_optimum(store, names.name[i], &o->optima[i], err);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_online(struct mix_store *store, struct overview *o,
                                   struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "online", &names, err);
    if (status != MIX_OK)
        return status;
    o->online = calloc(names.n + 1, sizeof(struct mix_online *));
    if (o->online == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the online runs in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_online(store, names.name[i], &o->online[i], err);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status read_agents(struct mix_store *store, struct overview *o,
                                   struct mix_error *err)
{
    struct mix_names names = {0};
    enum mix_status status = mix_store_list(store, "agent", &names, err);
    if (status != MIX_OK)
        return status;
    o->agents = calloc(names.n + 1, sizeof(struct mix_agent_campaign *));
    if (o->agents == NULL)
        status = mix_fail(err, MIX_ENOMEM, "out of memory for the agents in %s.", o->path);
    for (size_t i = 0; status == MIX_OK && i < names.n; i++)
        status = mix_store_read_agent(store, names.name[i], &o->agents[i], err);
    mix_names_destroy(&names);
    return status;
}

/* Results can wait for a file that is not there yet. */
static enum mix_status say_what_waits(const char *path, enum mix_status status,
                                      struct mix_error *err)
{
    char log_dir[MIX_TEXT_MAX];
    snprintf(log_dir, sizeof log_dir, "%s.log", path);
    const size_t n_logs = count_logs(log_dir);
    if (n_logs == 0)
        return status;
    return mix_fail(err, status,
                    "%s is not there yet; %zu log%s in %s wait%s for it: `mixsweep sweep JOB.yaml` "
                    "makes it.",
                    path, n_logs, n_logs == 1 ? "" : "s", log_dir, n_logs == 1 ? "s" : "");
}

static enum mix_status read_overview(struct overview *o, struct mix_error *err)
{
    struct mix_store *store = NULL;
    enum mix_status status = mix_store_open(o->path, MIX_STORE_READ, false, &store, err);
    if (status == MIX_ENOTFOUND)
        return say_what_waits(o->path, status, err);
    if (status != MIX_OK)
        return status;
    o->n_logs = count_logs(mix_store_log_dir(store));
    o->has_writer = mix_store_writer(store, &o->writer);
    o->job = strdup(mix_store_job(store));
    status = mix_store_read_table(store, &o->table, err);
    if (status == MIX_ENOTFOUND) {
        err->text[0] = '\0'; /* a file without runs is fine here */
        status = MIX_OK;
    }
    snprintf(o->warning, sizeof o->warning, "%s", mix_store_warning(store));
    if (status == MIX_OK && o->job == NULL)
        status = mix_fail(err, MIX_ENOMEM, "not enough memory for the job in %s.", o->path);
    if (status == MIX_OK)
        status = read_fits(store, o, err);
    if (status == MIX_OK)
        status = read_draws(store, o, err);
    if (status == MIX_OK)
        status = read_optima(store, o, err);
    if (status == MIX_OK)
        status = read_online(store, o, err);
    if (status == MIX_OK)
        status = read_agents(store, o, err);
    mix_store_close(store);
    return status == MIX_OK ? status_measure(o, err) : status;
}

static enum mix_status print_sizes(const struct mix_table *table, struct mix_error *err)
{
    char a[16], b[16];
    size_t n_groups = 0;
    struct size_group *groups = status_group_sizes(table, &n_groups);
    struct cli_table *lines = cli_table_create(3);
    if (groups == NULL || lines == NULL) {
        free(groups);
        cli_table_destroy(lines);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the sizes.");
    }
    cli_table_cell(lines, "parameters");
    cli_table_cell(lines, "tokens");
    cli_table_cell(lines, "rows");
    for (size_t g = 0; g < n_groups; g++) {
        const bool one = groups[g].min_tokens == groups[g].max_tokens;
        cli_table_cell(lines, "%s", cli_size(groups[g].n_params, a));
        cli_size(groups[g].min_tokens, a);
        cli_size(groups[g].max_tokens, b);
        cli_table_cell(lines, "%s%s%s", a, one ? "" : " … ", one ? "" : b);
        cli_table_cell(lines, "%zu", groups[g].n_rows);
    }
    putchar('\n');
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
    free(groups);
    return MIX_OK;
}

static void print_writer(const struct overview *o)
{
    char rate[32] = "", left[16] = "", since[40] = "";
    const struct mix_writer *writer = &o->writer;
    const time_t began = (time_t)writer->since;
    struct tm local;
    if (!o->has_writer)
        return;
    if (isfinite(writer->since) && localtime_r(&began, &local) != NULL)
        strftime(since, sizeof since, " since %Y-%m-%d %H:%M:%S", &local);
    printf("writer     process %s on %s%s%s%s, heartbeat %.0f s ago", writer->pid, writer->host,
           writer->job[0] != '\0' ? ", Slurm job " : "", writer->job, since, writer->heartbeat_s);
    if (isfinite(o->rate))
        snprintf(rate, sizeof rate, "; %.3g runs/%s", o->rate < 0.1 ? 3600 * o->rate : o->rate,
                 o->rate < 0.1 ? "h" : "s");
    printf("%s", rate);
    if (isfinite(o->left_s) && o->work.n_missing > 0)
        printf(", about %s left", cli_duration(o->left_s, left));
    putchar('\n');
}

static void print_work(const struct overview *o)
{
    char n_params[16], n_tokens[16];
    const struct work *work = &o->work;
    if (work->job == NULL)
        return;
    printf("job        %s", work->job->name);
    if (work->n_shards > 0)
        printf(", shard %zu of %zu", work->shard + 1, work->n_shards);
    printf(": %zu of %zu runs done, %zu failed, %zu missing", work->n_done, work->n_planned,
           work->n_failed, work->n_missing);
    if (work->n_again > 0)
        printf(" (%zu of them to be tried again)", work->n_again);
    putchar('\n');
    for (size_t s = 0; s < work->n_scales && work->n_missing > 0; s++) {
        const struct scale_counts *scale = &work->scale[s];
        const size_t n = scale->n_planned - scale->n_done - scale->n_failed;
        if (n > 0)
            printf("           missing %zu of %zu at %s parameters, %s tokens\n", n,
                   scale->n_planned, cli_size(scale->n_params, n_params),
                   cli_size(scale->n_tokens, n_tokens));
    }
}

static void print_hosts(const struct overview *o)
{
    enum { SHOWN = 8 };
    for (size_t i = 0; i < o->n_hosts && i < SHOWN; i++) {
        printf("%s%s %zu", i == 0 ? "hosts      " : ", ", o->hosts[i].name, o->hosts[i].n_runs);
        if (o->hosts[i].n_failed > 0)
            printf(" (%zu failed)", o->hosts[i].n_failed);
    }
    if (o->n_hosts > SHOWN)
        printf(" and %zu more", o->n_hosts - SHOWN);
    if (o->n_hosts > 0)
        putchar('\n');
}

/* A line of somebody's program may hold anything. */
static void print_said(const char *said)
{
    printf("      ");
    for (; *said != '\0'; said++) {
        if (*said == '\n')
            printf("\n      ");
        else
            putchar((unsigned char)*said < ' ' || *said == 127 ? '?' : *said);
    }
    putchar('\n');
}

/* Failed runs that give the same reason. */
enum { ALIKE_NAMED = 10 };
struct alike {
    char *reason;            /* its first line; NULL when memory is out */
    size_t row[ALIKE_NAMED]; /* of the table, the last to end first */
    size_t n;
};

/* "runs a, b and 3 more" */
static void print_names(const struct mix_table *table, const struct alike *alike)
{
    for (size_t i = 0; i < alike->n && i < ALIKE_NAMED; i++)
        printf("%s%s", i == 0 ? "      runs " : ", ", table->runs[alike->row[i]].run);
    if (alike->n > ALIKE_NAMED)
        printf(" and %zu more", alike->n - ALIKE_NAMED);
    putchar('\n');
}

static void print_alike(const struct mix_table *table, const struct alike *alike)
{
    enum { LINES = 3 };
    const struct mix_run *run = &table->runs[alike->row[0]];
    const char *why =
        alike->reason != NULL && alike->reason[0] != '\0' ? alike->reason : "no reason given";
    char *said = status_stderr(table, alike->row[0], LINES);
    if (alike->n > 1)
        printf("  %zu × %s (the last: %s, ", alike->n, why, run->run);
    else
        printf("  %s: %s (", run->run, why);
    printf("attempt %d%s%s)\n", run->attempts, run->host[0] != '\0' ? " on " : "", run->host);
    if (said != NULL)
        print_said(said);
    if (alike->n > 1)
        print_names(table, alike);
    free(said);
}

static void print_failures(const struct overview *o)
{
    enum { SHOWN = 5 };
    struct alike alike[SHOWN] = {{.n = 0}};
    size_t n = 0, n_more = 0;
    for (size_t i = 0; i < o->n_failures; i++) {
        char *reason = mix_run_reason(o->table, o->failures[i]);
        size_t at = 0;
        if (reason != NULL)
            reason[strcspn(reason, "\n")] = '\0';
        while (at < n && (reason == NULL || alike[at].reason == NULL ||
                          strcmp(reason, alike[at].reason) != 0))
            at++;
        if (at == n && n < SHOWN) {
            alike[n++] = (struct alike){.reason = reason, .row = {o->failures[i]}, .n = 1};
            continue;
        }
        free(reason);
        if (at == n) {
            n_more++;
            continue;
        }
        if (alike[at].n < ALIKE_NAMED)
            alike[at].row[alike[at].n] = o->failures[i];
        alike[at].n++;
    }
    if (n > 0)
        printf("\nfailed\n");
    for (size_t i = 0; i < n; i++) {
        print_alike(o->table, &alike[i]);
        free(alike[i].reason);
    }
    if (n < o->n_failures)
        printf("  ");
    if (n_more > 0)
        printf("and %zu more; ", n_more);
    if (n < o->n_failures)
        printf("all of them: mixsweep status %s --format json\n", o->path);
}

/* Rows that were left out for one reason. */
struct left_out {
    const char *reason;
    size_t named[3]; /* rows, the first of their runs */
    size_t n_named, n;
    bool has_more; /* runs than are named */
};

static void add_left_out(const struct mix_table *table, size_t row, struct left_out *of)
{
    bool is_new = true;
    of->reason = table->runs[row].reason;
    of->n++;
    for (size_t i = 0; i < of->n_named; i++)
        is_new = is_new && strcmp(table->runs[of->named[i]].run, table->runs[row].run) != 0;
    if (is_new && of->n_named < sizeof of->named / sizeof of->named[0])
        of->named[of->n_named++] = row;
    else
        of->has_more |= is_new;
}

static void print_exclusions(const struct overview *o)
{
    enum { SHOWN = 5 };
    struct left_out of[SHOWN] = {{.n = 0}};
    const struct mix_table *table = o->table;
    size_t n = 0, n_more = 0;
    for (size_t r = 0; table != NULL && r < table->n_rows; r++) {
        size_t at = 0;
        if (!table->runs[r].excluded)
            continue;
        while (at < n && strcmp(of[at].reason, table->runs[r].reason) != 0)
            at++;
        n += at == n && n < SHOWN;
        if (at < n)
            add_left_out(table, r, &of[at]);
        else
            n_more++;
    }
    if (n > 0)
        printf("\nexcluded\n");
    for (size_t i = 0; i < n; i++) {
        printf("  %zu row%s: %s (", of[i].n, of[i].n == 1 ? "" : "s",
               of[i].reason[0] != '\0' ? of[i].reason : "no reason given");
        for (size_t j = 0; j < of[i].n_named; j++)
            printf("%s%s", j > 0 ? ", " : "", table->runs[of[i].named[j]].run);
        printf("%s)\n", of[i].has_more ? ", …" : "");
    }
    if (n_more > 0)
        printf("  and %zu more: mixsweep status %s --format json\n", n_more, o->path);
}

static enum mix_status print_runs(const struct overview *o, struct mix_error *err)
{
    const struct mix_table *table = o->table;
    if (table == NULL) {
        printf("runs       none\n");
        return MIX_OK;
    }
    const struct row_counts counts = status_count_rows(table);
    printf("runs       %zu done, %zu failed, %zu interrupted, %zu excluded; %zu mixtures\n",
           counts.done, counts.failed, counts.interrupted, counts.excluded, counts.mixtures);
    if (counts.chosen > 0)
        printf("rounds     %d: %zu runs were chosen by those before them\n", counts.rounds,
               counts.chosen);
    printf("domains   ");
    for (size_t j = 0; j < table->n_domains; j++)
        printf(" %s", table->domains[j].name);
    printf("\ntargets   ");
    for (size_t m = 0; m < table->n_targets; m++)
        printf(" %s", table->targets[m].name);
    putchar('\n');
    return print_sizes(table, err);
}

static void number_cell(struct cli_table *lines, int digits, double value, const char *unit)
{
    if (isfinite(value))
        cli_table_cell(lines, "%.*f%s", digits, value, unit);
    else
        cli_table_cell(lines, "-");
}

static void print_fits(const struct overview *o)
{
    struct cli_table *lines = cli_table_create(7);
    static const char *const heads[] = {"fit", "law", "losses", "MRE", "held out", "MRE", "ρ"};
    for (size_t j = 0; j < sizeof heads / sizeof heads[0]; j++)
        cli_table_cell(lines, "%s", heads[j]);
    for (size_t i = 0; o->fits[i] != NULL; i++) {
        const struct mix_fit *fit = o->fits[i];
        cli_table_cell(lines, "%s", fit->name);
        cli_table_cell(lines, "%s", fit->spec.law);
        cli_table_cell(lines, "%zu", fit->n_fitted);
        number_cell(lines, 2, 100.0 * fit->train.mre, "%");
        if (fit->n_holdouts > 0) {
            cli_table_cell(lines, "%s", fit->holdouts[0].kind);
            number_cell(lines, 2, 100.0 * fit->holdouts[0].law.mre, "%");
            number_cell(lines, 3, fit->holdouts[0].law.rho, "");
        } else {
            for (int j = 0; j < 3; j++)
                cli_table_cell(lines, "-");
        }
    }
    putchar('\n');
    cli_table_print(lines, stdout, "  ");
    cli_table_destroy(lines);
    for (size_t i = 0; o->fits[i] != NULL; i++)
        if (status_is_stale(o, o->fits[i]))
            printf("  note: %s: %s since this fit; fit again with --replace\n", o->fits[i]->name,
                   o->table != NULL ? mix_fit_outdated(o->fits[i], o->table)
                                    : "the runs have changed");
}

static void print_optimum(const struct mix_optimum *optimum)
{
    char n_params[16], n_tokens[16], loss[32] = "-";
    if (isfinite(optimum->objective.value))
        snprintf(loss, sizeof loss, "%.4g", optimum->objective.value);
    printf("optimum    %s: fit %s at %s parameters, %s tokens, %s %s\n", optimum->name,
           optimum->fit, cli_size(optimum->n_params, n_params),
           cli_size(optimum->n_tokens, n_tokens), mix_optimum_objective_text(optimum), loss);
}

static enum mix_status print_text(const struct overview *o, struct mix_error *err)
{
    printf("file       %s\n", o->path);
    print_writer(o);
    print_work(o);
    print_hosts(o);
    const enum mix_status status = print_runs(o, err);
    if (status != MIX_OK)
        return status;
    print_failures(o);
    print_exclusions(o);
    if (o->fits[0] != NULL)
        print_fits(o);
    if (o->draws[0] != NULL || o->optima[0] != NULL || o->online[0] != NULL || o->agents[0] != NULL)
        putchar('\n');
    for (size_t i = 0; o->draws[i] != NULL; i++)
        printf("bootstrap  %s: %zu/%zu draws\n", o->draws[i]->fit, mix_draws_count(o->draws[i]),
               o->draws[i]->n_draws);
    for (size_t i = 0; o->optima[i] != NULL; i++)
        print_optimum(o->optima[i]);
    for (size_t i = 0; o->online[i] != NULL; i++)
        printf("online     %s: %zu runs, trainer %s\n", o->online[i]->name, o->online[i]->n_runs,
               o->online[i]->trainer);
    for (size_t i = 0; o->agents[i] != NULL; i++)
        printf("agent      %s: %zu trajectories, %zu agents, %zu steered runs, trainer %s\n",
               o->agents[i]->name, o->agents[i]->n_rows, o->agents[i]->n_agents,
               o->agents[i]->n_runs, o->agents[i]->trainer);
    if (o->warning[0] != '\0')
        printf("\nwarning: %s\n", o->warning);
    if (o->n_logs > 0)
        printf("\n%zu log%s beside the file (%s.log/): a job is at work, or one was stopped; what "
               "the logs hold is counted above.\n",
               o->n_logs, o->n_logs == 1 ? "" : "s", o->path);
    return MIX_OK;
}

static enum mix_status say(const char *path, bool json, bool *has_writer, struct mix_error *err)
{
    struct overview overview = {.path = path};
    enum mix_status status = read_overview(&overview, err);
    if (status == MIX_OK)
        status = json ? status_print_json(&overview, err) : print_text(&overview, err);
    *has_writer = overview.has_writer;
    free_overview(&overview);
    return status;
}

/* Draw the screen anew until nobody writes the file; what it says last stays. */
static enum mix_status watch(const char *path, struct mix_error *err)
{
    const struct timespec pause = {.tv_sec = 2};
    bool has_writer = true;
    enum mix_status status = MIX_OK;
    if (!isatty(STDOUT_FILENO))
        return mix_fail(err, MIX_EUSAGE,
                        "--watch redraws a terminal, and standard output is none.");
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ); /* a screen at once */
    while (status == MIX_OK && has_writer) {
        fputs("\033[H\033[2J", stdout);
        status = say(path, false, &has_writer, err);
        fflush(stdout);
        if (status == MIX_OK && has_writer)
            nanosleep(&pause, NULL);
    }
    return status;
}

static enum mix_status run_status(struct mix_ranks *ranks, int argc, char **argv,
                                  struct mix_error *err)
{
    (void)ranks;
    const char *format = NULL, *path = NULL;
    bool help = false, json = false, again = false, has_writer = false;
    const struct cli_option options[] = {
        {"format", 0, "FORMAT", "text or json (default text)", CLI_TEXT, &format, 0, 0},
        {"watch", 0, NULL, "redraw every two seconds until nobody writes the file", CLI_FLAG,
         &again, 0, 0},
        {0},
    };
    enum mix_status status =
        cli_parse(&cli_verb_status, options, argc, argv, 1, 1, &path, &help, err);
    if (status == MIX_OK && !help)
        status = cli_parse_format(format, &json, err);
    if (status == MIX_OK && json && again)
        status = mix_fail(err, MIX_EUSAGE, "--watch is for people: not with --format json.");
    if (status != MIX_OK || help)
        return status;
    return again ? watch(path, err) : say(path, json, &has_writer, err);
}

const struct cli_verb cli_verb_status = {
    .name = "status",
    .summary = "say what a sweep file holds, what is missing, what failed",
    .synopsis = "S.h5 [--watch | --format json]",
    .details =
        "Reads the file and the logs of a job that is still at work (or was stopped), so it\n"
        "can be asked at any time, on a login node too. Says who writes the file and how fast,\n"
        "what of the job is missing, which hosts did what, and what failed runs wrote last.\n\n"
        "  mixsweep status sweep.h5\n",
    .run = run_status,
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status_json.c - what the verb status says, as JSON. */
#include "cli/status.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *json_runs(const struct overview *o)
{
    if (o->table == NULL)
        return json_null();
    const struct row_counts counts = status_count_rows(o->table);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "n", (json_int_t)o->table->n_rows,
                     "done", (json_int_t)counts.done, "failed", (json_int_t)counts.failed,
                     "interrupted", (json_int_t)counts.interrupted, "excluded",
                     (json_int_t)counts.excluded, "mixtures", (json_int_t)counts.mixtures, "chosen",
                     (json_int_t)counts.chosen, "rounds", (json_int_t)counts.rounds);
}

static json_t *json_sizes(const struct overview *o)
{
    json_t *list = json_array();
    size_t n_groups = 0;
    struct size_group *groups = o->table == NULL ? NULL : status_group_sizes(o->table, &n_groups);
    for (size_t g = 0; g < n_groups; g++)
        json_array_append_new(list, json_pack("{s:o, s:[o, o], s:I}", "n_params",
                                              cli_json_number(groups[g].n_params), "n_tokens",
                                              cli_json_number(groups[g].min_tokens),
                                              cli_json_number(groups[g].max_tokens), "rows",
                                              (json_int_t)groups[g].n_rows));
    free(groups);
    return list;
}

static json_t *json_domains(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t j = 0; o->table != NULL && j < o->table->n_domains; j++)
        json_array_append_new(list,
                              json_pack("{s:s, s:o}", "name", o->table->domains[j].name, "prior",
                                        cli_json_number(o->table->domains[j].prior)));
    return list;
}

static json_t *json_targets(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t m = 0; o->table != NULL && m < o->table->n_targets; m++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", o->table->targets[m].name,
                                              "unit", o->table->targets[m].unit, "weight",
                                              cli_json_number(o->table->targets[m].weight)));
    return list;
}

static json_t *json_fits(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->fits[i] != NULL; i++) {
        const struct mix_fit *fit = o->fits[i];
        json_t *holdout = json_null();
        if (fit->n_holdouts > 0)
            holdout = json_pack("{s:s, s:o, s:o, s:o}", "kind", fit->holdouts[0].kind, "mre",
                                cli_json_number(fit->holdouts[0].law.mre), "rho",
                                cli_json_number(fit->holdouts[0].law.rho), "regret",
                                cli_json_number(fit->holdouts[0].law.regret));
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:I, s:o, s:o, s:o, s:o}", "name", fit->name, "law",
                            fit->spec.law, "stale", status_is_stale(o, fit), "n_fitted",
                            (json_int_t)fit->n_fitted, "objective", cli_json_number(fit->objective),
                            "mse", cli_json_number(fit->train.mse), "mre",
                            cli_json_number(fit->train.mre), "holdout", holdout));
    }
    return list;
}

static json_t *json_draws(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->draws[i] != NULL; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "fit", o->draws[i]->fit, "draws",
                                              (json_int_t)o->draws[i]->n_draws, "done",
                                              (json_int_t)mix_draws_count(o->draws[i])));
    return list;
}

static json_t *json_optima(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->optima[i] != NULL; i++) {
        const struct mix_optimum *optimum = o->optima[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", optimum->name,
                                              "fit", optimum->fit, "n_params",
                                              cli_json_number(optimum->n_params), "n_tokens",
                                              cli_json_number(optimum->n_tokens), "objective",
                                              cli_json_number(optimum->objective.value)));
    }
    return list;
}

static json_t *json_online(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->online[i] != NULL; i++) {
        const struct mix_online *online = o->online[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I, s:I}", "name", online->name, "trainer",
                                        online->trainer, "n_steps", (json_int_t)online->n_steps,
                                        "n_runs", (json_int_t)online->n_runs));
    }
    return list;
}

static json_t *json_agents(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; o->agents[i] != NULL; i++) {
        const struct mix_agent_campaign *agent = o->agents[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "name", agent->name, "trainer",
                            agent->trainer, "n_bases", (json_int_t)agent->n_bases, "n_trajectories",
                            (json_int_t)agent->n_rows, "n_agents", (json_int_t)agent->n_agents,
                            "n_runs", (json_int_t)agent->n_runs));
    }
    return list;
}

static json_t *json_job(const struct overview *o)
{
    const struct work *work = &o->work;
    if (work->job == NULL)
        return json_null();
    json_t *scales = json_array();
    for (size_t s = 0; s < work->n_scales; s++) {
        const struct scale_counts *scale = &work->scale[s];
        json_array_append_new(scales, json_pack("{s:o, s:o, s:I, s:I, s:I}", "n_params",
                                                cli_json_number(scale->n_params), "n_tokens",
                                                cli_json_number(scale->n_tokens), "planned",
                                                (json_int_t)scale->n_planned, "done",
                                                (json_int_t)scale->n_done, "failed",
                                                (json_int_t)scale->n_failed));
    }
    json_t *shard = work->n_shards == 0 ? json_null() : json_integer((json_int_t)work->shard + 1);
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name", work->job->name,
                     "shard", shard, "shards", (json_int_t)work->n_shards, "planned",
                     (json_int_t)work->n_planned, "done", (json_int_t)work->n_done, "failed",
                     (json_int_t)work->n_failed, "missing", (json_int_t)work->n_missing,
                     "to_try_again", (json_int_t)work->n_again, "scales", scales);
}

static json_t *json_hosts(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->n_hosts; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "host", o->hosts[i].name, "runs",
                                              (json_int_t)o->hosts[i].n_runs, "failed",
                                              (json_int_t)o->hosts[i].n_failed));
    return list;
}

static json_t *json_failures(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->n_failures; i++) {
        const struct mix_run *run = &o->table->runs[o->failures[i]];
        char key[33];
        char *said = status_stderr(o->table, o->failures[i], 0);
        char *reason = mix_run_reason(o->table, o->failures[i]);
        snprintf(key, sizeof key, "%016llx%016llx", (unsigned long long)run->key.hi,
                 (unsigned long long)run->key.lo);
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s?}", "run",
                                              run->run, "key", key, "attempts", (int)run->attempts,
                                              "exit_code", (int)run->exit_code, "reason",
                                              reason != NULL ? reason : run->reason, "host",
                                              run->host, "stderr", said));
        free(reason);
        free(said);
    }
    return list;
}

static json_t *json_exclusions(const struct overview *o)
{
    json_t *list = json_array();
    for (size_t r = 0; o->table != NULL && r < o->table->n_rows; r++) {
        const struct mix_run *run = &o->table->runs[r];
        char key[33];
        snprintf(key, sizeof key, "%016llx%016llx", (unsigned long long)run->key.hi,
                 (unsigned long long)run->key.lo);
        if (run->excluded)
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:o, s:o, s:s}", "run", run->run, "key", key,
                                "n_params", cli_json_number(run->n_params), "n_tokens",
                                cli_json_number(run->n_tokens), "reason", run->reason));
    }
    return list;
}

static json_t *json_writer(const struct overview *o)
{
    if (!o->has_writer)
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "host", o->writer.host, "pid",
                     o->writer.pid, "job", o->writer.job, "since", cli_json_number(o->writer.since),
                     "heartbeat_s", cli_json_number(o->writer.heartbeat_s), "runs_per_s",
                     cli_json_number(o->rate), "left_s", cli_json_number(o->left_s));
}

enum mix_status status_print_json(const struct overview *o, struct mix_error *err)
{
    json_t *root = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:s}",
        "file", o->path, "job", json_job(o), "writer", json_writer(o), "runs", json_runs(o),
        "failures", json_failures(o), "exclusions", json_exclusions(o), "hosts", json_hosts(o),
        "sizes", json_sizes(o), "domains", json_domains(o), "targets", json_targets(o), "fits",
        json_fits(o), "bootstrap", json_draws(o), "optimum", json_optima(o), "online",
        json_online(o), "agent", json_agents(o), "logs", (json_int_t)o->n_logs, "warning",
        o->warning);
    if (root == NULL)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", o->path);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
    putchar('\n');
    json_decref(root);
    return MIX_OK;
}

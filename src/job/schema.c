/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "schema.h"

#include "document.h"
#include "mixsweep/table.h"

enum { SCALES_MAX = 64 };

#define MUST(type, member)                                                                         \
    CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_DEFAULT, struct type, member, 0, CYAML_UNLIMITED)
#define MAY(type, member)                                                                          \
    CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_OPTIONAL, struct type, member, 0, CYAML_UNLIMITED)
#define SECTION(type, member, flag)                                                                \
    CYAML_FIELD_MAPPING_PTR(#member, flag, struct type, member, member##_fields)
/* Two numbers, the least and the largest. */
#define RANGE(type, member)                                                                        \
    CYAML_FIELD_SEQUENCE_COUNT(#member, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct type,     \
                               member, n_##member, &job_text_schema, 2, 2)
/* A value of a section that is read from the document. */
#define TEXT(name, flag)                                                                           \
    {                                                                                              \
        .key = name, .value = {.type = CYAML_STRING, .flags = (flag) }                             \
    }
#define FREE(name, kind, flag)                                                                     \
    {                                                                                              \
        .key = name, .value = {.type = CYAML_IGNORE, .flags = (flag), .data_size = (kind) }        \
    }

static const cyaml_schema_field_t domain_fields[] = {
    MUST(raw_domain, name),
    MAY(raw_domain, prior),
    MAY(raw_domain, supply_tokens),
    MAY(raw_domain, content),
    FREE("paths", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_domain, document),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t domain_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_domain, domain_fields),
};

static const cyaml_schema_field_t target_fields[] = {
    MUST(raw_target, name),     MAY(raw_target, unit),
    MAY(raw_target, direction), MAY(raw_target, chance),
    MAY(raw_target, weight),    FREE("paths", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_target, document),  CYAML_FIELD_END,
};

static const cyaml_schema_value_t target_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_target, target_fields),
};

static const cyaml_schema_field_t match_epochs_fields[] = {
    MUST(raw_match_epochs, n_tokens),
    CYAML_FIELD_END,
};

/* The fields of design.replicates, which is read from the document. */
static const cyaml_schema_field_t replicates_fields[] = {
    TEXT("mixtures", CYAML_FLAG_OPTIONAL),
    TEXT("seeds", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t design_fields[] = {
    MAY(raw_design, method),
    MAY(raw_design, mixtures),
    RANGE(raw_design, strength),
    MAY(raw_design, temperature),
    MAY(raw_design, minimum_share),
    MAY(raw_design, include_prior),
    MAY(raw_design, include_uniform),
    MAY(raw_design, corner_share),
    MAY(raw_design, step),
    MAY(raw_design, file),
    MAY(raw_design, min_distance),
    MAY(raw_design, max_epochs),
    SECTION(raw_design, match_epochs, CYAML_FLAG_OPTIONAL),
    {.key = "replicates",
     .value = {.type = CYAML_IGNORE,
               .flags = CYAML_FLAG_OPTIONAL,
               .data_size = JOB_FREE_SECTION,
               .mapping = {.fields = replicates_fields}}},
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t resources_fields[] = {
    MAY(raw_resources, nodes), MAY(raw_resources, gpus), MAY(raw_resources, cpus),
    MAY(raw_resources, mem),   MAY(raw_resources, wall), CYAML_FIELD_END,
};

static const cyaml_schema_field_t scale_fields[] = {
    MAY(raw_scale, n_params),
    MUST(raw_scale, n_tokens),
    MAY(raw_scale, size),
    MAY(raw_scale, width),
    MAY(raw_scale, layers),
    MAY(raw_scale, heads),
    MAY(raw_scale, context),
    MAY(raw_scale, mixtures),
    MAY(raw_scale, replicates),
    FREE("checkpoints", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    SECTION(raw_scale, resources, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t scale_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_scale, scale_fields),
};

static const cyaml_schema_field_t simulate_fields[] = {
    MUST(raw_simulate, law),
    MAY(raw_simulate, noise),
    MAY(raw_simulate, seed),
    MAY(raw_simulate, delay_s),
    FREE("params", JOB_FREE_MAPPING, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t table_fields[] = {
    MUST(raw_table, file),
    MAY(raw_table, delay),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t command_fields[] = {
    FREE("argv", JOB_FREE_LIST, CYAML_FLAG_DEFAULT),
    FREE("launcher", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_command, shell),
    FREE("environment", JOB_FREE_MAPPING, CYAML_FLAG_OPTIONAL),
    MAY(raw_command, scrub),
    MAY(raw_command, result),
    MAY(raw_command, result_file),
    MAY(raw_command, run_dir),
    MAY(raw_command, keep),
    MAY(raw_command, time_limit),
    MAY(raw_command, grace),
    MAY(raw_command, retries),
    MAY(raw_command, backoff),
    FREE("fatal_exit", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    FREE("requeue_exit", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_command, resumable),
    MAY(raw_command, slots),
    MAY(raw_command, gpus),
    MAY(raw_command, cpus),
    MAY(raw_command, mem),
    RANGE(raw_command, loss_range),
    MAY(raw_command, max_failures),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t synthetic_fields[] = {
    MAY(raw_synthetic, bytes),
    MAY(raw_synthetic, validation_bytes),
    MAY(raw_synthetic, shared),
    MAY(raw_synthetic, seed),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t embedded_fields[] = {
    MAY(raw_embedded, batch),
    MAY(raw_embedded, learning_rate),
    MAY(raw_embedded, schedule),
    MAY(raw_embedded, warmup),
    MAY(raw_embedded, decay),
    MAY(raw_embedded, final_rate),
    MAY(raw_embedded, weight_decay),
    MAY(raw_embedded, clip),
    MAY(raw_embedded, sampling),
    MAY(raw_embedded, decay_checkpoints),
    MAY(raw_embedded, validation_bytes),
    MAY(raw_embedded, validation_share),
    MAY(raw_embedded, split_seed),
    MAY(raw_embedded, max_bytes),
    SECTION(raw_embedded, synthetic, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t sweep_fields[] = {
    MUST(raw_sweep, evaluator),
    SECTION(raw_sweep, simulate, CYAML_FLAG_OPTIONAL),
    SECTION(raw_sweep, table, CYAML_FLAG_OPTIONAL),
    SECTION(raw_sweep, command, CYAML_FLAG_OPTIONAL),
    SECTION(raw_sweep, embedded, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t fit_fields[] = {
    MAY(raw_fit, law),    MAY(raw_fit, form),        MAY(raw_fit, name),
    MAY(raw_fit, where),  MAY(raw_fit, checkpoints), MAY(raw_fit, targets),
    MAY(raw_fit, starts), MAY(raw_fit, mask_below),  MAY(raw_fit, holdout),
    MAY(raw_fit, seed),   CYAML_FIELD_END,
};

static const cyaml_schema_field_t bootstrap_fields[] = {
    MAY(raw_bootstrap, draws),
    MAY(raw_bootstrap, cluster),
    MAY(raw_bootstrap, bayesian),
    CYAML_FIELD_END,
};

/* The fields of an optimum, read from the document. */
static const cyaml_schema_field_t optimum_fields[] = {
    TEXT("n_params", CYAML_FLAG_DEFAULT),
    TEXT("n_tokens", CYAML_FLAG_DEFAULT),
    TEXT("name", CYAML_FLAG_OPTIONAL),
    TEXT("floor", CYAML_FLAG_OPTIONAL),
    TEXT("baseline", CYAML_FLAG_OPTIONAL),
    TEXT("level", CYAML_FLAG_OPTIONAL),
    TEXT("max_epochs", CYAML_FLAG_OPTIONAL),
    TEXT("within_support", CYAML_FLAG_OPTIONAL),
    TEXT("objective", CYAML_FLAG_OPTIONAL),
    TEXT("no_worse", CYAML_FLAG_OPTIONAL),
    TEXT("near", CYAML_FLAG_OPTIONAL),
    TEXT("lattice", CYAML_FLAG_OPTIONAL),
    TEXT("path", CYAML_FLAG_OPTIONAL),
    FREE("weights", JOB_FREE_MAPPING, CYAML_FLAG_OPTIONAL),
    FREE("caps", JOB_FREE_MAPPING, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t adaptive_fields[] = {
    MUST(raw_adaptive, rounds), MAY(raw_adaptive, runs),      MAY(raw_adaptive, flops),
    MAY(raw_adaptive, worth),   MAY(raw_adaptive, criterion), CYAML_FIELD_END,
};

static const cyaml_schema_field_t confirm_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("scales", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_confirm, scales, n_scales, &scale_entry, 1, SCALES_MAX),
    MAY(raw_confirm, seeds),
    MAY(raw_confirm, of),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t online_simulate_fields[] = {
    FREE("loss", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    FREE("gain", JOB_FREE_LISTS, CYAML_FLAG_OPTIONAL),
    FREE("floor", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_online_simulate, noise),
    MAY(raw_online_simulate, decay),
    MAY(raw_online_simulate, curvature),
    MAY(raw_online_simulate, seed),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t online_command_fields[] = {
    FREE("argv", JOB_FREE_LIST, CYAML_FLAG_DEFAULT),
    MAY(raw_online_command, time_limit),
    MAY(raw_online_command, grace),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t online_options_fields[] = {
    MAY(raw_online_options, rounds),
    MAY(raw_online_options, interval),
    MAY(raw_online_options, sweeps),
    MAY(raw_online_options, smoothing),
    MAY(raw_online_options, eta),
    MAY(raw_online_options, ema),
    MAY(raw_online_options, skillit_eta),
    MAY(raw_online_options, skillit_window),
    MAY(raw_online_options, skillit_updates),
    MAY(raw_online_options, doremi_rate),
    MAY(raw_online_options, doremi_smoothing),
    MAY(raw_online_options, doge_mu),
    MAY(raw_online_options, doge_smoothing),
    MAY(raw_online_options, proxy_every),
    MAY(raw_online_options, static_runs),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t online_fields[] = {
    MAY(raw_online, name),
    FREE("methods", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    FREE("settings", JOB_FREE_LISTS, CYAML_FLAG_OPTIONAL),
    MAY(raw_online, seeds),
    MAY(raw_online, steps),
    MAY(raw_online, trainer),
    MAY(raw_online, validation_bytes),
    MAY(raw_online, test_bytes),
    MAY(raw_online, test_share),
    MAY(raw_online, restricted),
    MAY(raw_online, analysis),
    CYAML_FIELD_MAPPING_PTR("simulate", CYAML_FLAG_OPTIONAL, struct raw_online, simulate,
                            online_simulate_fields),
    CYAML_FIELD_MAPPING_PTR("command", CYAML_FLAG_OPTIONAL, struct raw_online, command,
                            online_command_fields),
    CYAML_FIELD_MAPPING_PTR("options", CYAML_FLAG_OPTIONAL, struct raw_online, options,
                            online_options_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t agent_base_fields[] = {
    MAY(raw_agent_base, tokens),
    MAY(raw_agent_base, seeds),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t agent_simulate_fields[] = {
    FREE("loss", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    FREE("low", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    FREE("high", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_agent_simulate, rate),
    MAY(raw_agent_simulate, forgetting),
    MAY(raw_agent_simulate, spread),
    MAY(raw_agent_simulate, noise),
    MAY(raw_agent_simulate, seed),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t agent_command_fields[] = {
    FREE("argv", JOB_FREE_LIST, CYAML_FLAG_DEFAULT),
    MAY(raw_agent_command, time_limit),
    MAY(raw_agent_command, grace),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t agent_training_fields[] = {
    FREE("alpha", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_agent_training, supervised),
    MAY(raw_agent_training, updates),
    MAY(raw_agent_training, width),
    MAY(raw_agent_training, seeds),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t agent_transfer_fields[] = {
    MUST(raw_agent_transfer, name),
    FREE("source", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    FREE("target", JOB_FREE_LIST, CYAML_FLAG_OPTIONAL),
    MAY(raw_agent_transfer, scale),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t agent_transfer_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_agent_transfer, agent_transfer_fields),
};

static const cyaml_schema_field_t agent_fields[] = {
    MAY(raw_agent, name),
    FREE("source", JOB_FREE_LIST, CYAML_FLAG_DEFAULT),
    FREE("target", JOB_FREE_LIST, CYAML_FLAG_DEFAULT),
    CYAML_FIELD_MAPPING_PTR("base", CYAML_FLAG_OPTIONAL, struct raw_agent, base, agent_base_fields),
    MAY(raw_agent, decisions),
    MAY(raw_agent, tokens),
    MAY(raw_agent, steps),
    MAY(raw_agent, trajectories),
    MAY(raw_agent, learning_rate),
    MAY(raw_agent, feedback_bytes),
    MAY(raw_agent, test_bytes),
    MAY(raw_agent, test_share),
    MAY(raw_agent, trainer),
    CYAML_FIELD_MAPPING_PTR("simulate", CYAML_FLAG_OPTIONAL, struct raw_agent, simulate,
                            agent_simulate_fields),
    CYAML_FIELD_MAPPING_PTR("command", CYAML_FLAG_OPTIONAL, struct raw_agent, command,
                            agent_command_fields),
    CYAML_FIELD_MAPPING_PTR("training", CYAML_FLAG_OPTIONAL, struct raw_agent, training,
                            agent_training_fields),
    MAY(raw_agent, compare_seeds),
    CYAML_FIELD_SEQUENCE_COUNT("transfers", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_agent, transfers, n_transfers, &agent_transfer_entry, 1,
                               SCALES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t job_fields[] = {
    MUST(raw_job, job),
    MUST(raw_job, file),
    MAY(raw_job, seed),
    MAY(raw_job, recipe),
    MAY(raw_job, schedule),
    CYAML_FIELD_SEQUENCE_COUNT("domains", CYAML_FLAG_POINTER, struct raw_job, domains, n_domains,
                               &domain_entry, 1, MIX_DOMAINS_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("targets", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_job,
                               targets, n_targets, &target_entry, 1, MIX_DOMAINS_MAX),
    SECTION(raw_job, design, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE_COUNT("scales", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_job,
                               scales, n_scales, &scale_entry, 1, SCALES_MAX),
    SECTION(raw_job, sweep, CYAML_FLAG_OPTIONAL),
    SECTION(raw_job, fit, CYAML_FLAG_OPTIONAL),
    SECTION(raw_job, bootstrap, CYAML_FLAG_OPTIONAL),
    {.key = "optimum",
     .value = {.type = CYAML_IGNORE,
               .flags = CYAML_FLAG_OPTIONAL,
               .data_size = JOB_FREE_SECTIONS,
               .mapping = {.fields = optimum_fields}}},
    SECTION(raw_job, adaptive, CYAML_FLAG_OPTIONAL),
    SECTION(raw_job, confirm, CYAML_FLAG_OPTIONAL),
    SECTION(raw_job, online, CYAML_FLAG_OPTIONAL),
    SECTION(raw_job, agent, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t job_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_job, job_fields),
};

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "schema.h"

#include "mixsweep/table.h"

enum { SCALES_MAX = 64 };

#define MUST(type, member)                                                                         \
    CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_DEFAULT, struct type, member, 0, CYAML_UNLIMITED)
#define MAY(type, member)                                                                          \
    CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_OPTIONAL, struct type, member, 0, CYAML_UNLIMITED)
#define SECTION(type, member, flag)                                                                \
    CYAML_FIELD_MAPPING_PTR(#member, flag, struct type, member, member##_fields)

static const cyaml_schema_field_t domain_fields[] = {
    MUST(raw_domain, name),   MAY(raw_domain, prior), MAY(raw_domain, supply_tokens),
    MAY(raw_domain, content), CYAML_FIELD_END,
};

static const cyaml_schema_value_t domain_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_domain, domain_fields),
};

static const cyaml_schema_field_t target_fields[] = {
    MUST(raw_target, name),  MAY(raw_target, unit), MAY(raw_target, direction),
    MAY(raw_target, weight), CYAML_FIELD_END,
};

static const cyaml_schema_value_t target_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_target, target_fields),
};

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t design_fields[] = {
    MUST(raw_design, mixtures),
    CYAML_FIELD_SEQUENCE_COUNT("strength", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct raw_design, strength, n_strength, &text_entry, 2, 2),
    MAY(raw_design, temperature),
    MAY(raw_design, minimum_share),
    MAY(raw_design, include_prior),
    MAY(raw_design, include_uniform),
    MAY(raw_design, replicates),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t scale_fields[] = {
    MUST(raw_scale, n_params),
    MUST(raw_scale, n_tokens),
    MAY(raw_scale, mixtures),
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
    CYAML_FIELD_IGNORE("params", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t sweep_fields[] = {
    MUST(raw_sweep, evaluator),
    SECTION(raw_sweep, simulate, CYAML_FLAG_OPTIONAL),
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

static const cyaml_schema_field_t optimum_fields[] = {
    MUST(raw_optimum, n_params),
    MUST(raw_optimum, n_tokens),
    MAY(raw_optimum, floor),
    MAY(raw_optimum, baseline),
    MAY(raw_optimum, level),
    CYAML_FIELD_IGNORE("weights", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("caps", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t job_fields[] = {
    MUST(raw_job, job),
    MUST(raw_job, file),
    MAY(raw_job, seed),
    MAY(raw_job, recipe),
    CYAML_FIELD_SEQUENCE_COUNT("domains", CYAML_FLAG_POINTER, struct raw_job, domains, n_domains,
                               &domain_entry, 1, MIX_DOMAINS_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("targets", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_job,
                               targets, n_targets, &target_entry, 1, MIX_DOMAINS_MAX),
    SECTION(raw_job, design, CYAML_FLAG_DEFAULT),
    CYAML_FIELD_SEQUENCE_COUNT("scales", CYAML_FLAG_POINTER, struct raw_job, scales, n_scales,
                               &scale_entry, 1, SCALES_MAX),
    SECTION(raw_job, sweep, CYAML_FLAG_DEFAULT),
    SECTION(raw_job, fit, CYAML_FLAG_OPTIONAL),
    SECTION(raw_job, bootstrap, CYAML_FLAG_OPTIONAL),
    SECTION(raw_job, optimum, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t job_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_job, job_fields),
};

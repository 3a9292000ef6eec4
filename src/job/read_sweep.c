/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read_sweep.c - the section sweep: an evaluator, and a section for it.
 *
 * There may be sections for several evaluators, so that a job can be tried with one and run with
 * another. All are checked, the chosen one is used.
 */
#include "reader.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CODES_MAX = 16, SLOTS_MAX = 100000, RETRIES_MAX = 1000 };
static const double year_s = 366 * 86400.0;

/* True where the law has a parameter of this name; else `near` is the nearest
 * or "". */
static bool law_has_param(const struct mix_job *job, struct mix_model *model, const char *name,
                          char near[2 * MIX_NAME_MAX])
{
    const char *domains[MIX_DOMAINS_MAX], *targets[MIX_DOMAINS_MAX];
    for (size_t k = 0; k < job->n_domains; k++)
        domains[k] = job->domains[k].name;
    for (size_t m = 0; m < job->n_targets; m++)
        targets[m] = job->targets[m].name;
    near[0] = '\0';
    for (size_t p = 0; p < mix_model_n_params(model); p++) {
        char known[2 * MIX_NAME_MAX], unit[MIX_UNIT_MAX];
        mix_model_param_name(model, p, domains, targets, known, unit);
        if (strcmp(known, name) == 0)
            return true;
        const char *const one = known;
        if (!near[0] && job_nearest(name, &one, 1))
            memcpy(near, known, sizeof known);
    }
    return false;
}

static void take_simulate_params(struct reader *in, struct mix_model *model)
{
    struct mix_job_simulate *simulate = &in->job->simulate;
    const char *key = "sweep.simulate.params", *name, *text;
    size_t n = 0;
    while (job_document_entry(&in->document, key, n, &name, &text))
        n++;
    simulate->param_names = take_memory(in, n, sizeof *simulate->param_names);
    simulate->params = take_memory(in, n, sizeof *simulate->params);
    for (size_t i = 0; in->status == MIX_OK && i < n; i++) {
        char near[2 * MIX_NAME_MAX];
        job_document_entry(&in->document, key, i, &name, &text);
        ITEM_KEY(item, "%s.%.64s", key, name);
        if (!law_has_param(in->job, model, name, near))
            FAIL(in, item, "the law %s has no such parameter%s%s%s.", simulate->law,
                 near[0] ? "; did you mean " : "", near, near[0] ? "?" : "");
        take_number(in, item, text ? text : "", 0, 1e12, &simulate->params[i]);
        snprintf(simulate->param_names[i], sizeof simulate->param_names[i], "%s", name);
        simulate->n_params = i + 1;
    }
}

static void take_simulate(struct reader *in, const struct raw_simulate *raw)
{
    struct mix_job_simulate *simulate = &in->job->simulate;
    const char *law = NULL;
    simulate->seed = in->job->seed;
    take_law(in, "sweep.simulate.law", raw->law, &law);
    take_number(in, "sweep.simulate.noise", raw->noise, 0, 1, &simulate->noise);
    take_seed(in, "sweep.simulate.seed", raw->seed, &simulate->seed);
    take_number(in, "sweep.simulate.delay_s", raw->delay_s, 0, 86400, &simulate->delay_s);
    if (in->status != MIX_OK)
        return;
    snprintf(simulate->law, sizeof simulate->law, "%s", law);
    struct mix_model *model;
    struct mix_error reason = {.text = ""};
    if (mix_job_model(in->job, law, 0, &model, &reason) != MIX_OK) {
        FAIL(in, "sweep.simulate", "%s", reason.text);
        return;
    }
    take_simulate_params(in, model);
    mix_model_destroy(model);
}

static void take_table(struct reader *in, const struct raw_table *raw)
{
    struct mix_job_table *table = &in->job->table;
    take_text(in, "sweep.table.file", raw->file, table->file, sizeof table->file);
    take_seconds(in, "sweep.table.delay", raw->delay, 0, 86400, &table->delay_s);
}

/* A command line in one text is split at blanks, as long as that is all there is to it. */
static void split_words(struct reader *in, const char *key, size_t *n, char ***words)
{
    static const char special[] = "\"'\\$`|&;<>()*?#~\n";
    const char *line = **words;
    char **split = NULL;
    if (line[strcspn(line, special)]) {
        FAIL(in, key, "a text with %s is for a shell; write a list, one entry for each argument%s.",
             line[strcspn(line, special)] == '\n' ? "several lines" : "quotes or shell characters",
             strcmp(key, "sweep.command.argv") == 0 ? ", or say shell: true" : "");
        return;
    }
    size_t n_split = 0;
    split = take_memory(in, strlen(line) / 2 + 2, sizeof *split);
    for (const char *at = line + strspn(line, " \t"); split && in->status == MIX_OK && *at;
         at += strspn(at, " \t")) {
        const size_t length = strcspn(at, " \t");
        split[n_split] = take_memory(in, length + 1, 1);
        if (split[n_split])
            memcpy(split[n_split++], at, length);
        at += length;
    }
    job_free_texts(*n, *words);
    *words = split;
    *n = n_split;
}

static void take_words(struct reader *in, const char *key, bool is_line, size_t *n, char ***words)
{
    take_texts(in, key, n, words);
    if (in->status == MIX_OK && *words && is_line && job_document_text(&in->document, key))
        split_words(in, key, n, words);
    if (in->status == MIX_OK && job_document_has(&in->document, key) &&
        (!*words || *n == 0 || !(*words)[0][0]))
        FAIL(in, key, "is empty; the first entry is a program.");
}

static void take_argv(struct reader *in, const struct raw_command *raw)
{
    static const char *const key = "sweep.command.argv";
    struct mix_job_command *command = &in->job->command;
    take_bool(in, "sweep.command.shell", raw->shell, &command->shell);
    take_words(in, key, !command->shell, &command->n_argv, &command->argv);
    if (in->status == MIX_OK && command->shell && command->n_argv != 1)
        FAIL(in, key, "with shell: true it is one text, not %zu.", command->n_argv);
    take_words(in, "sweep.command.launcher", true, &command->n_launcher, &command->launcher);
}

static void take_environment(struct reader *in)
{
    static const char *const key = "sweep.command.environment";
    struct mix_job_command *command = &in->job->command;
    const char *name, *text;
    size_t n = 0;
    while (job_document_entry(&in->document, key, n, &name, &text))
        n++;
    if (n == 0)
        return;
    command->environment = take_memory(in, n, sizeof *command->environment);
    command->environment_value = take_memory(in, n, sizeof *command->environment_value);
    for (size_t i = 0; in->status == MIX_OK && i < n; i++) {
        const char *value = NULL;
        job_document_entry(&in->document, key, i, &name, &text);
        ITEM_KEY(item, "%s.%.64s", key, name);
        size_t length = 0;
        while (isalnum((unsigned char)name[length]) || name[length] == '_')
            length++;
        if (length == 0 || name[length] || length >= MIX_NAME_MAX ||
            isdigit((unsigned char)name[0]))
            FAIL(in, item, "a variable has 1 … %d letters, digits and _, no digit first.",
                 MIX_NAME_MAX - 1);
        else if (!text)
            FAIL(in, item, "a single value is wanted.");
        take_copy(in, text, &value);
        if (in->status == MIX_OK)
            memcpy(command->environment[i], name, length + 1);
        command->environment_value[i] = (char *)value;
        command->n_environment = i + 1;
    }
}

/* Exit codes. 75 (EX_TEMPFAIL) asks to be started again unless the job says otherwise. */
static void take_codes(struct reader *in)
{
    struct mix_job_command *command = &in->job->command;
    take_ints(in, "sweep.command.fatal_exit", 1, 255, CODES_MAX, &command->n_fatal, command->fatal);
    command->n_requeue = 1;
    command->requeue[0] = 75;
    take_ints(in, "sweep.command.requeue_exit", 1, 255, CODES_MAX, &command->n_requeue,
              command->requeue);
    for (size_t i = 0; in->status == MIX_OK && i < command->n_fatal; i++)
        for (size_t j = 0; in->status == MIX_OK && j < command->n_requeue; j++)
            if (command->fatal[i] == command->requeue[j])
                FAIL(in, "sweep.command.fatal_exit", "%d is in requeue_exit too%s.",
                     command->fatal[i],
                     job_document_has(&in->document, "sweep.command.requeue_exit")
                         ? ""
                         : ", where it is unless you say otherwise");
}

static void take_result(struct reader *in, const struct raw_command *raw)
{
    static const char *const results[] = {"file", "stdout", "none"};
    static const char *const keeps[] = {"failed", "all", "none"};
    struct mix_job_command *command = &in->job->command;
    int result = MIX_RESULT_FILE, keep = MIX_KEEP_FAILED;
    take_word(in, "sweep.command.result", raw->result, results, 3, &result);
    take_word(in, "sweep.command.keep", raw->keep, keeps, 3, &keep);
    command->result = (enum mix_result_source)result;
    command->keep = (enum mix_keep)keep;
    snprintf(command->result_file, sizeof command->result_file, "result.json");
    take_text(in, "sweep.command.result_file", raw->result_file, command->result_file,
              sizeof command->result_file);
    if (in->status == MIX_OK &&
        (command->result_file[0] == '/' || strstr(command->result_file, "..")))
        FAIL(in, "sweep.command.result_file",
             "\"%s\" is not within the run folder; neither / first nor .. is allowed.",
             command->result_file);
    const int n = snprintf(command->run_dir, sizeof command->run_dir, "%s.runs", in->job->file);
    if (in->status == MIX_OK && (size_t)n >= sizeof command->run_dir && !raw->run_dir)
        FAIL(in, "sweep.command", "the key run_dir is missing: the name of file is too long.");
    take_text(in, "sweep.command.run_dir", raw->run_dir, command->run_dir, sizeof command->run_dir);
    command->loss_min = -INFINITY;
    command->loss_max = INFINITY;
    if (!raw->loss_range)
        return;
    take_number(in, "sweep.command.loss_range[0]", raw->loss_range[0], -1e300, 1e300,
                &command->loss_min);
    take_number(in, "sweep.command.loss_range[1]", raw->loss_range[1], -1e300, 1e300,
                &command->loss_max);
    if (in->status == MIX_OK && !(command->loss_min < command->loss_max))
        FAIL(in, "sweep.command.loss_range", "the least, %g, is not below the largest, %g.",
             command->loss_min, command->loss_max);
}

static void take_command(struct reader *in, const struct raw_command *raw)
{
    struct mix_job_command *command = &in->job->command;
    take_argv(in, raw);
    command->scrub = true;
    take_bool(in, "sweep.command.scrub", raw->scrub, &command->scrub);
    take_environment(in);
    take_result(in, raw);
    command->time_limit_s = INFINITY;
    command->grace_s = 30;
    command->n_retries = 2;
    command->backoff_s = 10;
    take_seconds(in, "sweep.command.time_limit", raw->time_limit, 1, year_s,
                 &command->time_limit_s);
    take_seconds(in, "sweep.command.grace", raw->grace, 0, 86400, &command->grace_s);
    take_count(in, "sweep.command.retries", raw->retries, 0, RETRIES_MAX, &command->n_retries);
    take_seconds(in, "sweep.command.backoff", raw->backoff, 0, 600, &command->backoff_s);
    take_codes(in);
    take_bool(in, "sweep.command.resumable", raw->resumable, &command->resumable);
    command->slots = command->launcher ? 0 : 1;
    command->gpus = command->cpus = -1;
    take_int(in, "sweep.command.slots", raw->slots, 0, SLOTS_MAX, &command->slots);
    take_int(in, "sweep.command.gpus", raw->gpus, 0, 64, &command->gpus);
    take_int(in, "sweep.command.cpus", raw->cpus, 1, SLOTS_MAX, &command->cpus);
    take_bytes(in, "sweep.command.mem", raw->mem, &command->mem_bytes);
    take_count(in, "sweep.command.max_failures", raw->max_failures, 0, SIZE_MAX >> 16,
               &command->max_failures);
}

static void take_rates(struct reader *in, const struct raw_embedded *raw,
                       struct mix_trainer_options *trainer)
{
    static const char *const schedules[] = {"constant", "cosine", "wsd"};
    static const char *const samplings[] = {"exact", "iid"};
    int schedule = (int)trainer->schedule, sampling = (int)trainer->sampling;
    take_count(in, "sweep.embedded.batch", raw->batch, 1, 65536, &trainer->batch);
    take_number(in, "sweep.embedded.learning_rate", raw->learning_rate, 1e-9, 10,
                &trainer->learning_rate);
    take_word(in, "sweep.embedded.schedule", raw->schedule, schedules, 3, &schedule);
    take_word(in, "sweep.embedded.sampling", raw->sampling, samplings, 2, &sampling);
    trainer->schedule = (enum mix_proxy_schedule)schedule;
    trainer->sampling = (enum mix_sampling)sampling;
    take_number(in, "sweep.embedded.warmup", raw->warmup, 0, 1, &trainer->warmup);
    take_number(in, "sweep.embedded.decay", raw->decay, 0, 1, &trainer->decay);
    take_number(in, "sweep.embedded.final_rate", raw->final_rate, 0, 1, &trainer->final_rate);
    take_number(in, "sweep.embedded.weight_decay", raw->weight_decay, 0, 100,
                &trainer->weight_decay);
    take_number(in, "sweep.embedded.clip", raw->clip, 0, 1e6, &trainer->clip);
    take_count(in, "sweep.embedded.validation_bytes", raw->validation_bytes, 0, SIZE_MAX >> 16,
               &trainer->validation_bytes);
    if (in->status == MIX_OK && trainer->schedule == MIX_SCHEDULE_WSD &&
        trainer->warmup + trainer->decay > 1)
        FAIL(in, "sweep.embedded.decay",
             "warmup and decay are %g of a run together, more than all.",
             trainer->warmup + trainer->decay);
}

void take_trainers(struct reader *in, const struct raw_embedded *raw, const char *list, size_t n,
                   struct mix_job_scale *scales)
{
    static const struct raw_embedded defaults = {.batch = NULL};
    for (size_t s = 0; in->status == MIX_OK && s < n; s++) {
        struct mix_job_scale *scale = &scales[s];
        if (scale->shape.width == 0)
            continue;
        ITEM_KEY(key, "%s[%zu].n_tokens", list, s);
        scale->trainer = mix_trainer_defaults(&scale->shape);
        scale->trainer.shape = scale->shape;
        take_rates(in, raw ? raw : &defaults, &scale->trainer);
        const double step = (double)(scale->trainer.batch * scale->shape.context);
        if (in->status == MIX_OK && scale->checkpoints[0] < step)
            FAIL(in, key, "a checkpoint after %.15g bytes is less than one step of %.0f.",
                 scale->checkpoints[0], step);
        scale->trainer.n_steps = (uint64_t)round(scale->n_tokens / step);
    }
}

static void take_synthetic(struct reader *in, const struct raw_synthetic *raw)
{
    struct mix_job_embedded *embedded = &in->job->embedded;
    struct mix_corpus_synthetic *synthetic = &embedded->synthetic;
    *synthetic = (struct mix_corpus_synthetic){.seed = in->job->seed,
                                               .n_sources = in->job->n_domains,
                                               .n_bytes = 1000000,
                                               .n_validation_bytes = 100000,
                                               .shared = 0.5};
    embedded->is_synthetic = raw != NULL;
    if (!raw)
        return;
    take_count(in, "sweep.embedded.synthetic.bytes", raw->bytes, 1000, SIZE_MAX >> 24,
               &synthetic->n_bytes);
    take_count(in, "sweep.embedded.synthetic.validation_bytes", raw->validation_bytes, 1000,
               SIZE_MAX >> 24, &synthetic->n_validation_bytes);
    take_number(in, "sweep.embedded.synthetic.shared", raw->shared, 0, 1, &synthetic->shared);
    take_seed(in, "sweep.embedded.synthetic.seed", raw->seed, &synthetic->seed);
}

static void take_embedded(struct reader *in, const struct raw_embedded *raw)
{
    struct mix_job *job = in->job;
    struct mix_job_embedded *embedded = &job->embedded;
    embedded->corpus = (struct mix_corpus_options){.seed = job->seed, .validation_share = 0.1};
    take_number(in, "sweep.embedded.validation_share", raw->validation_share, 1e-6, 0.9,
                &embedded->corpus.validation_share);
    take_seed(in, "sweep.embedded.split_seed", raw->split_seed, &embedded->corpus.seed);
    take_count(in, "sweep.embedded.max_bytes", raw->max_bytes, 0, SIZE_MAX >> 16,
               &embedded->corpus.max_bytes);
    take_synthetic(in, raw->synthetic);
    take_trainers(in, raw, "scales", job->n_scales, job->scales);
    const struct mix_job_scale *shaped = NULL; /* the schedule is that of any scale with a shape */
    for (size_t c = 0; c < job->n_scales && !shaped; c++)
        shaped = job->scales[c].shape.width > 0 ? &job->scales[c] : NULL;
    const bool is_wsd = shaped && shaped->trainer.schedule == MIX_SCHEDULE_WSD;
    embedded->decay_checkpoints = is_wsd;
    take_bool(in, "sweep.embedded.decay_checkpoints", raw->decay_checkpoints,
              &embedded->decay_checkpoints);
    if (in->status == MIX_OK && embedded->decay_checkpoints && shaped && !is_wsd)
        FAIL(in, "sweep.embedded.decay_checkpoints", "true is for schedule: wsd only.");
}

void check_shapes(struct reader *in, const char *list, size_t n, const struct mix_job_scale *scales)
{
    if (strcmp(in->job->evaluator, "embedded") != 0)
        return;
    for (size_t s = 0; in->status == MIX_OK && s < n; s++) {
        ITEM_KEY(key, "%s[%zu]", list, s);
        if (scales[s].shape.width == 0)
            FAIL(in, key,
                 "the evaluator embedded wants size, or width, layers, heads and context.");
    }
}

/* What is trained here has text for every domain and target. */
static void check_text(struct reader *in)
{
    const struct mix_job *job = in->job;
    const bool is_synthetic = job->embedded.is_synthetic;
    for (size_t k = 0; in->status == MIX_OK && k < job->n_domains; k++) {
        ITEM_KEY(key, "domains[%zu]", k);
        if (is_synthetic && job->domain_sources[k].n_paths > 0)
            FAIL(in, key, "has paths, but sweep.embedded.synthetic makes the text.");
        else if (!is_synthetic && job->domain_sources[k].n_paths == 0)
            FAIL(in, key,
                 "the key paths is missing, which the evaluator embedded wants (or "
                 "sweep.embedded.synthetic).");
    }
    for (size_t m = 0; in->status == MIX_OK && m < job->n_targets; m++) {
        ITEM_KEY(key, "targets[%zu]", m);
        if (job->targets[m].domain >= 0)
            continue;
        if (is_synthetic)
            FAIL(in, key,
                 "%s is no domain, and sweep.embedded.synthetic has text for domains only.",
                 job->targets[m].name);
        else if (job->target_sources[m].n_paths == 0)
            FAIL(in, key,
                 "%s is no domain: the key paths is missing, which the evaluator embedded "
                 "wants.",
                 job->targets[m].name);
    }
}

/* Laws and language models give losses. */
static void refuse_scores(struct reader *in)
{
    const struct mix_job *job = in->job;
    for (size_t m = 0; in->status == MIX_OK && m < job->n_targets; m++) {
        ITEM_KEY(key, "targets[%zu].direction", m);
        if (job->targets[m].direction > 0)
            FAIL(in, key,
                 "%s is a score (higher), but the evaluator %s measures losses alone; scores come "
                 "from command and table.",
                 job->targets[m].name, job->evaluator);
    }
}

void take_sweep(struct reader *in, const struct raw_job *raw_job)
{
    static const char *const evaluators[] = {"simulate", "table", "command", "embedded"};
    static const char *const schedules[] = {"constant", "cosine", "wsd"};
    static const struct raw_embedded defaults = {.batch = NULL};
    const struct raw_sweep *raw = raw_job->sweep;
    struct mix_job *job = in->job;
    int index = 0;
    take_word(in, "sweep.evaluator", raw->evaluator, evaluators, 4, &index);
    if (in->status != MIX_OK)
        return;
    snprintf(job->evaluator, sizeof job->evaluator, "%s", evaluators[index]);
    if (strcmp(job->evaluator, "simulate") == 0 || strcmp(job->evaluator, "embedded") == 0)
        refuse_scores(in);
    const void *const sections[] = {raw->simulate, raw->table, raw->command, &defaults};
    if (!sections[index])
        FAIL(in, "sweep", "the evaluator %s wants a section %s.", job->evaluator, job->evaluator);
    if (raw->simulate)
        take_simulate(in, raw->simulate);
    if (raw->table)
        take_table(in, raw->table);
    if (raw->command)
        take_command(in, raw->command);
    take_embedded(in, raw->embedded ? raw->embedded : &defaults);
    if (in->status != MIX_OK || strcmp(job->evaluator, "embedded") != 0)
        return;
    check_shapes(in, "scales", job->n_scales, job->scales);
    check_text(in);
    if (in->status == MIX_OK && !raw_job->schedule)
        snprintf(job->schedule, sizeof job->schedule, "%s",
                 schedules[job->scales[0].trainer.schedule]);
}

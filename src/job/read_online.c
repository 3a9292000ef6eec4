/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read_online.c - the section online: which methods mix which domains, and what trains. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/online.h"
#include "reader.h"

enum { METHODS_MAX = 32, SETTINGS_MAX = 256, SEEDS_MAX = 1000, STEPS_MAX = 1 << 30 };
static const char *const default_methods[] = {"stratified", "grid", "dml",  "skillit",
                                              "doremi",     "doge", "aioli"};
enum { N_DEFAULT = sizeof default_methods / sizeof default_methods[0] };

void job_free_online(struct mix_job_online *online)
{
    for (size_t s = 0; online->settings && s < online->n_settings; s++)
        free(online->settings[s].domain);
    free(online->settings);
    job_free_texts(online->n_methods, online->methods);
    job_free_texts(online->n_argv, online->argv);
    free(online->world.loss);
    free(online->world.gain);
    free(online->world.floor);
}

/* ---- methods */

static void check_method(struct reader *in, size_t i)
{
    const char *names[METHODS_MAX], *name = in->job->online.methods[i];
    char list[MIX_TEXT_MAX] = "";
    size_t n = 0;
    ITEM_KEY(key, "online.methods[%zu]", i);
    for (; n < METHODS_MAX && mix_method_get(n); n++)
        names[n] = mix_method_get(n)->name;
    const char *near = job_nearest(name, names, n);
    mix_method_list(list);
    if (!mix_method_find(name) && near)
        FAIL(in, key, "there is no method \"%.40s\"; did you mean %s?", name, near);
    else if (!mix_method_find(name))
        FAIL(in, key, "there is no method \"%.40s\"; known are %s.", name, list);
    else if (strcmp(name, "agent") == 0)
        FAIL(in, key, "%s is trained first, on a field to come from: the section agent does that.",
             name);
    for (size_t j = 0; in->status == MIX_OK && j < i; j++)
        if (strcmp(in->job->online.methods[j], name) == 0)
            FAIL(in, key, "%s is in the list already.", name);
}

/* One more method, at the place `at`; the others move up. */
static void insert_method(struct reader *in, size_t at, const char *name)
{
    struct mix_job_online *online = &in->job->online;
    const char *copy = NULL;
    take_copy(in, name, &copy);
    if (in->status != MIX_OK)
        return;
    memmove(online->methods + at + 1, online->methods + at,
            (online->n_methods - at) * sizeof *online->methods);
    online->methods[at] = (char *)copy;
    online->n_methods++;
}

/* Stratified is what the others are compared with: it is always there, and first. */
static void take_methods(struct reader *in)
{
    static const char *const key = "online.methods";
    struct mix_job_online *online = &in->job->online;
    const char *text;
    const bool is_given = job_document_has(&in->document, key);
    online->methods = take_memory(in, METHODS_MAX + 2, sizeof *online->methods);
    for (size_t i = 0; in->status == MIX_OK && !is_given && i < N_DEFAULT; i++)
        insert_method(in, i, default_methods[i]);
    for (size_t i = 0;
         in->status == MIX_OK && is_given && job_document_item(&in->document, key, i, &text); i++) {
        if (i == METHODS_MAX) {
            FAIL(in, key, "has more than %d entries.", METHODS_MAX);
            return;
        }
        insert_method(in, i, text);
        if (in->status == MIX_OK)
            check_method(in, i);
    }
    if (in->status == MIX_OK && online->n_methods == 0)
        FAIL(in, key, "is empty; without the key it is all of them.");
    if (in->status != MIX_OK)
        return;
    size_t at = 0;
    while (at < online->n_methods && strcmp(online->methods[at], default_methods[0]) != 0)
        at++;
    if (at == online->n_methods) {
        insert_method(in, 0, default_methods[0]);
        return;
    }
    char *stratified = online->methods[at];
    memmove(online->methods + 1, online->methods, at * sizeof *online->methods);
    online->methods[0] = stratified;
}

/* ---- settings */

static void take_group(struct reader *in, const char *key, const char *text,
                       struct mix_job_setting *setting)
{
    const struct mix_job *job = in->job;
    const char *names[MIX_DOMAINS_MAX];
    size_t k = 0;
    for (size_t i = 0; i < job->n_domains; i++)
        names[i] = job->domains[i].name;
    while (k < job->n_domains && strcmp(names[k], text) != 0)
        k++;
    const char *near = k == job->n_domains ? job_nearest(text, names, k) : NULL;
    if (near)
        FAIL(in, key, "there is no domain \"%.40s\"; did you mean %s?", text, near);
    else if (k == job->n_domains)
        FAIL(in, key, "there is no domain \"%.40s\".", text);
    for (size_t i = 0; in->status == MIX_OK && i < setting->n_groups; i++)
        if (setting->domain[i] == k)
            FAIL(in, key, "%.64s is in the setting already.", text);
    if (in->status == MIX_OK && setting->n_groups == MIX_GROUPS_MAX)
        FAIL(in, key, "a setting has at most %d domains.", MIX_GROUPS_MAX);
    if (in->status == MIX_OK)
        setting->domain[setting->n_groups++] = k;
}

/* "web+code"; names that do not fit are cut, the last with dots. */
static void name_setting(const struct mix_job *job, struct mix_job_setting *setting)
{
    size_t at = 0;
    for (size_t i = 0; i < setting->n_groups; i++) {
        const char *name = job->domains[setting->domain[i]].name;
        if (at + strlen(name) + 5 >= sizeof setting->name) {
            snprintf(setting->name + at, sizeof setting->name - at, "...");
            return;
        }
        at += (size_t)snprintf(setting->name + at, sizeof setting->name - at, "%s%s", i ? "+" : "",
                               name);
    }
}

static void take_setting(struct reader *in, size_t s)
{
    struct mix_job *job = in->job;
    struct mix_job_setting *setting = &job->online.settings[s];
    const char *text;
    ITEM_KEY(key, "online.settings[%zu]", s);
    const bool is_given = job_document_has(&in->document, key);
    setting->domain = take_memory(in, MIX_GROUPS_MAX, sizeof *setting->domain);
    if (in->status == MIX_OK && !is_given && job->n_domains > MIX_GROUPS_MAX)
        FAIL(in, "online", "%zu domains are more than the %d of a setting; name some in settings.",
             job->n_domains, MIX_GROUPS_MAX);
    for (size_t k = 0; in->status == MIX_OK && !is_given && k < job->n_domains; k++)
        setting->domain[setting->n_groups++] = k;
    for (size_t i = 0;
         in->status == MIX_OK && is_given && job_document_item(&in->document, key, i, &text); i++) {
        ITEM_KEY(item, "online.settings[%zu][%zu]", s, i);
        take_group(in, item, text, setting);
    }
    if (in->status == MIX_OK && setting->n_groups < 2)
        FAIL(in, is_given ? key : "online", "a setting has at least two domains, not %zu.",
             setting->n_groups);
    if (in->status == MIX_OK)
        name_setting(job, setting);
    for (size_t t = 0; in->status == MIX_OK && t < s; t++)
        if (strcmp(job->online.settings[t].name, setting->name) == 0)
            FAIL(in, key, "%.80s is in the list already.", setting->name);
}

static void take_settings(struct reader *in)
{
    struct mix_job_online *online = &in->job->online;
    size_t n = 0;
    for (;; n++) {
        ITEM_KEY(key, "online.settings[%zu]", n);
        if (!job_document_has(&in->document, key))
            break;
    }
    if (n > SETTINGS_MAX)
        FAIL(in, "online.settings", "%zu entries are not in 1 … %d.", n, SETTINGS_MAX);
    n = n > 0 ? n : 1;
    online->settings = take_memory(in, n, sizeof *online->settings);
    for (size_t s = 0; in->status == MIX_OK && s < n; s++) {
        online->n_settings = s + 1;
        take_setting(in, s);
    }
}

/* ---- options of the methods */

#define MIXER(name, least, most, whole)                                                            \
    {                                                                                              \
#name, offsetof(struct raw_online_options, name), offsetof(struct mix_job_mixer, name),    \
            least, most, whole                                                                     \
    }

static const struct {
    const char *name;
    size_t raw, offset;
    double min, max;
    bool is_whole;
} mixer_fields[] = {
    MIXER(rounds, 1, 1e6, true),
    MIXER(interval, 1, 1e6, true),
    MIXER(sweeps, 1, 1e4, true),
    MIXER(smoothing, 0, 0.99, false),
    MIXER(eta, 0, 1e6, false),
    MIXER(ema, 0, 0.999, false),
    MIXER(skillit_eta, 0, 1e6, false),
    MIXER(skillit_window, 1, 1e4, true),
    MIXER(skillit_updates, 1, 1e6, true),
    MIXER(doremi_rate, 0, 1e6, false),
    MIXER(doremi_smoothing, 0, 1, false),
    MIXER(doge_mu, 1e-6, 1e6, false),
    MIXER(doge_smoothing, 0, 1, false),
    MIXER(proxy_every, 1, 1e6, true),
    MIXER(static_runs, 1, 10000, true),
};

static void take_mixer(struct reader *in, const struct raw_online_options *raw)
{
    char *mixer = (char *)&in->job->online.mixer;
    for (size_t f = 0; f < sizeof mixer_fields / sizeof mixer_fields[0]; f++) {
        double value = NAN;
        const char *text = NULL;
        size_t count = 0;
        ITEM_KEY(key, "online.options.%s", mixer_fields[f].name);
        if (raw)
            memcpy(&text, (const char *)raw + mixer_fields[f].raw, sizeof text);
        if (mixer_fields[f].is_whole)
            take_count(in, key, text, (size_t)mixer_fields[f].min, (size_t)mixer_fields[f].max,
                       &count);
        else
            take_number(in, key, text, mixer_fields[f].min, mixer_fields[f].max, &value);
        if (text && mixer_fields[f].is_whole)
            value = (double)count;
        memcpy(mixer + mixer_fields[f].offset, &value, sizeof value);
    }
}

/* ---- what trains */

/* K numbers of a list into a new array; NULL where the key is left out. */
static void take_row(struct reader *in, const char *key, double min, double max, double *out)
{
    const struct mix_job *job = in->job;
    const char *text;
    size_t n = 0;
    for (; in->status == MIX_OK && job_document_item(&in->document, key, n, &text); n++) {
        ITEM_KEY(item, "%.100s[%zu]", key, n);
        if (n < job->n_domains)
            take_number(in, item, text, min, max, &out[n]);
    }
    if (in->status == MIX_OK && n != job->n_domains)
        FAIL(in, key, "%zu numbers; one for each of the %zu domains is wanted.", n, job->n_domains);
}

static void take_numbers(struct reader *in, const char *key, double min, double max, double **out)
{
    if (!job_document_has(&in->document, key))
        return;
    *out = take_memory(in, in->job->n_domains, sizeof **out);
    if (*out)
        take_row(in, key, min, max, *out);
}

static void take_gain(struct reader *in)
{
    static const char *const key = "online.simulate.gain";
    struct mix_job *job = in->job;
    const size_t n = job->n_domains;
    if (!job_document_has(&in->document, key))
        return;
    job->online.world.gain = take_memory(in, n * n, sizeof *job->online.world.gain);
    for (size_t i = 0; in->status == MIX_OK && i <= n; i++) {
        ITEM_KEY(row, "%s[%zu]", key, i);
        const bool is_there = job_document_has(&in->document, row);
        if (is_there != (i < n))
            FAIL(in, key, "%s rows than the %zu domains.", is_there ? "more" : "fewer", n);
        else if (is_there)
            take_row(in, row, -1e6, 1e6, job->online.world.gain + i * n);
    }
}

static void take_world(struct reader *in, const struct raw_online_simulate *raw)
{
    struct mix_job_world *world = &in->job->online.world;
    world->seed = in->job->seed;
    if (!raw)
        return;
    take_numbers(in, "online.simulate.loss", 1e-6, 1e6, &world->loss);
    take_numbers(in, "online.simulate.floor", 0, 1e6, &world->floor);
    take_gain(in);
    take_number(in, "online.simulate.noise", raw->noise, 0, 1e3, &world->noise);
    take_number(in, "online.simulate.decay", raw->decay, 0, 1e3, &world->decay);
    take_number(in, "online.simulate.curvature", raw->curvature, 0, 1e3, &world->curvature);
    take_seed(in, "online.simulate.seed", raw->seed, &world->seed);
    for (size_t k = 0; in->status == MIX_OK && world->floor && k < in->job->n_domains; k++) {
        ITEM_KEY(key, "online.simulate.floor[%zu]", k);
        if (!world->loss || world->floor[k] >= world->loss[k])
            FAIL(in, key, "a floor is below the loss at the start, which loss: gives.");
    }
}

static void take_program(struct reader *in, const struct raw_online_command *raw)
{
    struct mix_job_online *online = &in->job->online;
    online->answer_s = 600;
    online->grace_s = 30;
    if (!raw)
        return;
    take_texts(in, "online.command.argv", &online->n_argv, &online->argv);
    if (in->status == MIX_OK && (online->n_argv == 0 || !online->argv[0][0]))
        FAIL(in, "online.command.argv", "is empty; the first entry is a program.");
    take_seconds(in, "online.command.time_limit", raw->time_limit, 0.1, 86400 * 30.0,
                 &online->answer_s);
    take_seconds(in, "online.command.grace", raw->grace, 0, 86400, &online->grace_s);
}

/* The embedded trainer is that of the first scale, on the text of the sweep. */
static void take_shape(struct reader *in, const struct raw_online *raw)
{
    struct mix_job *job = in->job;
    struct mix_job_online *online = &job->online;
    const struct mix_job_scale *scale = &job->scales[0];
    if (job->n_scales == 0 || job->evaluator[0] == '\0') {
        FAIL(in, "", "the key %s is missing, which online.trainer embedded wants.",
             job->n_scales == 0 ? "scales" : "sweep");
        return;
    }
    if (scale->shape.width == 0)
        FAIL(in, "scales[0]",
             "online.trainer embedded wants size, or width, layers, heads and context.");
    online->options = scale->trainer;
    online->options.validation_bytes = 8192;
    online->test_bytes = 65536;
    online->test_share = 0.1;
    take_count(in, "online.validation_bytes", raw->validation_bytes, 0, SIZE_MAX >> 16,
               &online->options.validation_bytes);
    take_count(in, "online.test_bytes", raw->test_bytes, 0, SIZE_MAX >> 16, &online->test_bytes);
    take_number(in, "online.test_share", raw->test_share, 1e-6, 0.9, &online->test_share);
    if (in->status == MIX_OK && online->test_share + job->embedded.corpus.validation_share > 0.95)
        FAIL(in, "online.test_share",
             "%g beside validation_share %g leaves too little to train on.", online->test_share,
             job->embedded.corpus.validation_share);
    for (size_t s = 0; s < online->n_settings; s++)
        for (size_t i = 0; in->status == MIX_OK && i < online->settings[s].n_groups; i++) {
            const size_t k = online->settings[s].domain[i];
            ITEM_KEY(key, "domains[%zu]", k);
            if (job->domain_sources[k].n_paths == 0 && !job->embedded.is_synthetic)
                FAIL(in, key, "the key paths is missing, which online.trainer embedded wants.");
        }
}

static void take_trainer(struct reader *in, const struct raw_online *raw)
{
    static const char *const trainers[] = {"embedded", "simulate", "command"};
    struct mix_job_online *online = &in->job->online;
    int trainer = MIX_ONLINE_EMBEDDED;
    size_t n_steps = 0;
    take_word(in, "online.trainer", raw->trainer, trainers, 3, &trainer);
    online->trainer = (enum mix_online_trainer)trainer;
    take_world(in, raw->simulate);
    take_program(in, raw->command);
    if (in->status == MIX_OK && trainer == MIX_ONLINE_COMMAND && !raw->command)
        FAIL(in, "online", "the trainer command wants a section command.");
    if (in->status == MIX_OK && trainer == MIX_ONLINE_EMBEDDED)
        take_shape(in, raw);
    n_steps = trainer == MIX_ONLINE_EMBEDDED ? (size_t)online->options.n_steps : 0;
    take_count(in, "online.steps", raw->steps, 2, STEPS_MAX, &n_steps);
    if (in->status == MIX_OK && n_steps < 2)
        FAIL(in, "online", "the key steps is missing.");
    online->n_steps = online->options.n_steps = n_steps;
}

void take_online(struct reader *in, const struct raw_job *raw_job)
{
    const struct raw_online *raw = raw_job->online;
    struct mix_job_online *online = &in->job->online;
    if (in->status != MIX_OK || !raw)
        return;
    memcpy(online->name, in->job->name, sizeof online->name);
    take_name(in, "online.name", raw->name, online->name, sizeof online->name);
    take_methods(in);
    take_settings(in);
    online->n_seeds = 5;
    take_count(in, "online.seeds", raw->seeds, 1, SEEDS_MAX, &online->n_seeds);
    take_bool(in, "online.restricted", raw->restricted, &online->restricted);
    take_bool(in, "online.analysis", raw->analysis, &online->analysis);
    take_mixer(in, raw->options);
    if (in->status == MIX_OK)
        take_trainer(in, raw);
}

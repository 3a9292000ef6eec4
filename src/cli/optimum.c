/* SPDX-License-Identifier: GPL-3.0-or-later */
/* optimum.c - the verb optimum: the mixture to train the large model on. */
#include "optimum_impl.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/interval.h"
#include "mixsweep/optimum.h"
#include "mixsweep/share.h"
#include "mixsweep/store.h"

/* The first domain whose bound differs, or n. */
static size_t find_bound(const double *there, const double *asked, size_t n)
{
    size_t j = 0;
    while (j < n && fabs(there[j] - asked[j]) < 1e-9)
        j++;
    return j;
}

/* What differs between a stored answer and what is asked: the first thing that does. */
static void tell_difference(const struct mix_optimum *old, const struct optimum_session *s,
                            const struct mix_optimum_options *o, char text[MIX_TEXT_MAX])
{
    const bool is_alike = old->n_domains == s->fit->spec.n_domains;
    const size_t n = is_alike ? old->n_domains : 0, cap = find_bound(old->upper, o->upper, n),
                 floor = find_bound(old->lower, o->lower, n),
                 share = find_bound(old->baseline, o->baseline, n);
    char size[16], tokens[16], now_size[16], now_tokens[16];
    if (strcmp(old->fit, s->fit->name) != 0)
        snprintf(text, MIX_TEXT_MAX, "of the fit %s, not %s", old->fit, s->fit->name);
    else if (!is_alike)
        snprintf(text, MIX_TEXT_MAX, "%zu domains there, %zu asked for", old->n_domains,
                 s->fit->spec.n_domains);
    else if (old->n_params != o->n_params || old->n_tokens != o->n_tokens)
        snprintf(text, MIX_TEXT_MAX, "%s parameters, %s tokens there, %s and %s asked for",
                 cli_size(old->n_params, size), cli_size(old->n_tokens, tokens),
                 cli_size(o->n_params, now_size), cli_size(o->n_tokens, now_tokens));
    else if (cap < n)
        snprintf(text, MIX_TEXT_MAX, "the cap of %s is %g there, %g asked for", old->domains[cap],
                 old->upper[cap], o->upper[cap]);
    else if (share < n)
        snprintf(text, MIX_TEXT_MAX, "another baseline, %s there, %s asked for", old->baseline_name,
                 o->baseline_name);
    else if (floor < n)
        snprintf(text, MIX_TEXT_MAX, "the floor of %s is %g there, %g asked for",
                 old->domains[floor], old->lower[floor], o->lower[floor]);
    else if (old->level != o->level)
        snprintf(text, MIX_TEXT_MAX, "the level is %g there, %g asked for", old->level, o->level);
    else
        snprintf(text, MIX_TEXT_MAX, "weights, supplies or constraints differ; there: %.200s",
                 old->question[0] != '\0' ? old->question : "no constraints");
}

/* An answer of this name to another question is not overwritten unasked. */
static enum mix_status check_name(const struct optimum_asked *a, const struct optimum_session *s,
                                  struct mix_error *err)
{
    const char *name = a->name != NULL ? a->name : s->fit->name;
    struct mix_optimum *old = NULL;
    if (a->replace || a->no_save)
        return MIX_OK;
    const enum mix_status status = mix_store_read_optimum(s->store, name, &old, err);
    if (status == MIX_ENOTFOUND)
        return mix_fail(err, MIX_OK, "%s", "");
    if (status != MIX_OK)
        return status;
    const struct mix_optimum_options options = optimum_options(a, s);
    const bool same = mix_optimum_same_question(old, s->table, s->fit, &options);
    char difference[MIX_TEXT_MAX];
    tell_difference(old, s, &options, difference);
    mix_optimum_destroy(old);
    if (same)
        return MIX_OK;
    return mix_fail(err, MIX_EEXIST,
                    "%s holds an optimum %s already, for another question (%s): give this one a "
                    "--name, or --replace that one, or --no-save",
                    a->path, name, difference);
}

/* Rank 0: open the file and read what is asked about. */
static enum mix_status read_file(const struct optimum_asked *a, struct optimum_session *s,
                                 struct mix_error *err)
{
    enum mix_status status = mix_store_open(a->path, a->no_save ? MIX_STORE_READ : MIX_STORE_WRITE,
                                            a->break_lock, &s->store, err);
    if (status == MIX_OK)
        status = mix_store_read_table(s->store, &s->table, err);
    if (status == MIX_OK)
        status = cli_read_fit(s->store, a->fit, &s->fit, &s->draws, err);
    if (status == MIX_OK)
        status = mix_store_read_fits(s->store, &s->n_others, &s->others, err);
    return status;
}

static enum mix_status make_numbers(struct optimum_session *s, struct mix_error *err)
{
    const size_t n_domains = s->fit->spec.n_domains, n_targets = s->fit->spec.n_targets;
    s->n_numbers = n_targets + 4 * n_domains;
    s->numbers = calloc(s->n_numbers, sizeof *s->numbers);
    if (s->numbers == NULL)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu domains", n_domains);
    s->weight = s->numbers;
    s->lower = s->weight + n_targets;
    s->upper = s->lower + n_domains;
    s->baseline = s->upper + n_domains;
    s->supply = s->baseline + n_domains;
    return MIX_OK;
}

/* Collective: everything of the session on every rank. */
static enum mix_status share(struct mix_ranks *ranks, const struct optimum_asked *a,
                             struct optimum_session *s, struct mix_error *err)
{
    const bool is_first = mix_ranks_rank(ranks) == 0;
    enum mix_status status = mix_share_table(ranks, &s->table, err);
    if (status == MIX_OK)
        status = mix_share_fit(ranks, &s->fit, err);
    if (status == MIX_OK)
        status = mix_share_draws(ranks, &s->draws, err);
    if (status != MIX_OK)
        return status;
    status = make_numbers(s, err);
    if (status == MIX_OK && is_first)
        status = optimum_resolve(a, s, err);
    if (status == MIX_OK && is_first)
        status = check_name(a, s, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK)
        mix_ranks_broadcast(ranks, s->numbers, s->n_numbers * sizeof *s->numbers);
    return status;
}

static enum mix_status find_budget(const struct optimum_session *s,
                                   const struct mix_optimum *optimum, struct mix_error_budget *out,
                                   struct mix_error *err)
{
    return mix_error_budget_compute(
        s->table, s->fit, s->draws, s->n_others, (const struct mix_fit *const *)s->others,
        optimum->weight, optimum->mixture, optimum->n_params, optimum->n_tokens, out, err);
}

static enum mix_status print(const struct optimum_asked *a, const struct optimum_session *s,
                             const struct mix_optimum *optimum, struct mix_error *err)
{
    struct mix_error_budget budget;
    if (a->format == OPTIMUM_TEXT) {
        cli_print_optimum(stdout, a->path, s->fit, optimum);
        const enum mix_status status = find_budget(s, optimum, &budget, err);
        if (status == MIX_OK)
            cli_print_budget(stdout, &budget);
        return status;
    }
    if (a->format == OPTIMUM_CSV) {
        cli_print_optimum_csv(stdout, optimum);
        return MIX_OK;
    }
    const enum mix_status status = find_budget(s, optimum, &budget, err);
    if (status != MIX_OK)
        return status;
    json_t *root = cli_json_optimum(optimum);
    if (root == NULL || json_object_set_new(root, "error", cli_json_budget(&budget)) != 0)
        return mix_fail(err, MIX_EINVAL, "%s: a name in the file is not UTF-8.", a->path);
    if (a->format == OPTIMUM_YAML) {
        cli_print_yaml(stdout, root, 0);
    } else {
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)); /* checked at exit */
        putchar('\n');
    }
    json_decref(root);
    return MIX_OK;
}

/* Rank 0: into the file, then onto the terminal. */
static enum mix_status finish(const struct optimum_asked *a, struct optimum_session *s,
                              const struct mix_optimum *optimum, struct mix_error *err)
{
    enum mix_status status = MIX_OK;
    if (!a->no_save) {
        status = mix_store_put_optimum(s->store, optimum, err);
        if (status == MIX_OK)
            status = mix_store_commit(s->store, err);
    }
    if (status != MIX_OK || a->export == NULL)
        return status == MIX_OK ? print(a, s, optimum, err) : status;
    if (a->output == NULL)
        return cli_export_optimum(optimum, a->export, stdout, err);
    status = print(a, s, optimum, err);
    fflush(stdout); /* -o may be the same */
    return status == MIX_OK ? cli_export_optimum(optimum, a->export, s->output.file, err) : status;
}

/* Rank 0: --export without a scale. */
static enum mix_status export_stored(const struct optimum_asked *a, struct optimum_session *s,
                                     struct mix_error *err)
{
    struct mix_optimum *optimum = NULL;
    struct mix_names names = {0};
    enum mix_status status = mix_store_open(a->path, MIX_STORE_READ, false, &s->store, err);
    if (status == MIX_OK)
        status = mix_store_list(s->store, "optimum", &names, err);
    if (status != MIX_OK)
        return status;
    const char *name = a->name != NULL ? a->name : a->fit;
    if (name == NULL && names.n == 1)
        name = names.name[0];
    if (name == NULL && names.n == 0)
        status = mix_fail(err, MIX_ENOTFOUND,
                          "%s has no optimum yet: give --params and --tokens to find one", a->path);
    else if (name == NULL)
        status =
            mix_fail(err, MIX_EUSAGE, "%s has %zu optima: say which by --name.", a->path, names.n);
    else
        status = mix_store_read_optimum(s->store, name, &optimum, err);
    if (status == MIX_ENOTFOUND && name != NULL)
        status = cli_unknown_result(s->store, a->name != NULL ? "name" : "fit", "optimum",
                                    "optimum", name, err);
    if (status == MIX_OK)
        status = cli_export_optimum(optimum, a->export, a->output != NULL ? s->output.file : stdout,
                                    err);
    mix_optimum_destroy(optimum);
    mix_names_destroy(&names);
    return status;
}

static enum mix_status find(struct mix_ranks *ranks, const struct optimum_asked *a,
                            struct optimum_session *s, struct mix_error *err)
{
    struct mix_optimum *optimum = NULL;
    enum mix_status status = share(ranks, a, s, err);
    if (status != MIX_OK)
        return status;
    const struct mix_optimum_options options = optimum_options(a, s);
    status = mix_optimum_run(ranks, s->table, s->fit, s->draws, &options, &optimum, err);
    if (status == MIX_OK && mix_ranks_rank(ranks) == 0)
        status = finish(a, s, optimum, err);
    mix_optimum_destroy(optimum);
    return status;
}

static enum mix_status answer(struct mix_ranks *ranks, const struct optimum_asked *a,
                              struct optimum_session *s, struct mix_error *err)
{
    const bool is_first = mix_ranks_rank(ranks) == 0;
    enum mix_status status = MIX_OK;
    if (is_first && a->output != NULL)
        status = cli_output_open(&s->output, a->output, a->force, 1, &a->path, err);
    if (is_first && status == MIX_OK)
        status = optimum_is_stored(a) ? export_stored(a, s, err) : read_file(a, s, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK && !optimum_is_stored(a))
        status = find(ranks, a, s, err);
    if (s->output.file != NULL)
        status = cli_output_close(&s->output, status, err);
    return mix_ranks_agree(ranks, status, err);
}

static enum mix_status run_optimum(struct mix_ranks *ranks, int argc, char **argv,
                                   struct mix_error *err)
{
    struct optimum_asked asked = {.n_params = NAN,
                                  .n_tokens = NAN,
                                  .floor = NAN,
                                  .max_epochs = NAN,
                                  .level = 0.9,
                                  .n_starts = 32,
                                  .seed = 1};
    struct optimum_session session = {0};
    bool help = false;
    enum mix_status status = optimum_parse(argc, argv, &asked, &help, err);
    if (status != MIX_OK || help)
        return status;
    status = answer(ranks, &asked, &session, err);
    mix_store_close(session.store);
    mix_table_destroy(session.table);
    mix_fit_destroy(session.fit);
    mix_draws_destroy(session.draws);
    mix_fits_destroy(session.n_others, session.others);
    free(session.numbers);
    return status;
}

const struct cli_verb cli_verb_optimum = {
    .name = "optimum",
    .summary = "find the mixture for a large model, with intervals over the bootstrap draws",
    .synopsis = "S.h5 --params N --tokens D [--fit NAME] [OPTIONS]",
    .details =
        "Minimises the weighted mean loss that a fit predicts at N parameters and D tokens, over\n"
        "all mixtures within floors and caps, and asks every bootstrap draw of the fit the same.\n"
        "The answer is printed and kept in the file. Runs under mpirun too.\n\n"
        "  mixsweep optimum sweep.h5 --params 7e9 --tokens 2e12 --cap wikipedia=0.1\n"
        "  mixsweep optimum sweep.h5 --params 7e9 --tokens 2e12 --supply wiki=4e9 \\\n"
        "      --max-epochs 4 --no-worse code --near baseline:tv=0.2 --lattice 1/2048 \\\n"
        "      --export nanotron -o mix.yaml\n",
    .ranks = true,
    .run = run_optimum,
};

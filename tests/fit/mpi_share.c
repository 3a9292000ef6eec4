/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What rank 0 shares is on every rank, byte for byte: each rank makes the same objects itself and
 * compares. */
#include "mixsweep/share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_wrong;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            n_wrong++;                                                                             \
        }                                                                                          \
    } while (0)

static bool same_bytes(const void *a, const void *b, size_t n)
{
    return memcmp(a, b, n) == 0;
}

/* Bytes that differ from place to place; never a pointer. */
static void scribble(void *memory, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)memory)[i] = (unsigned char)(seed + 7 * i + i / 251);
}

#define SCRIBBLE(member, n) scribble(object->member, (n) * sizeof *object->member, __LINE__)
#define SAME(member, n) CHECK(same_bytes(mine->member, theirs->member, (n) * sizeof *mine->member))

enum { R = 700, K = 5, M = 3, P = 11, STARTS = 9, OPTIMA = 4, B = 400, LEFT = 7, ORIGINS = 2 };

static struct mix_table *make_table(void)
{
    struct mix_table *object = mix_table_create(K, M);
    for (size_t r = 0; r < R; r++)
        mix_table_append(object);
    SCRIBBLE(domains, K);
    SCRIBBLE(targets, M);
    SCRIBBLE(runs, R);
    SCRIBBLE(asked, R * K);
    SCRIBBLE(mixture, R * K);
    SCRIBBLE(epochs, R * K);
    SCRIBBLE(loss, R * M);
    SCRIBBLE(loss_se, R * M);
    object->metadata[3] = strdup("{\"lr\": 3e-4}");
    object->metadata[R - 1] = strdup("");
    return object;
}

static void check_tables(const struct mix_table *mine, const struct mix_table *theirs)
{
    CHECK(theirs && theirs->n_rows == R && theirs->n_domains == K && theirs->n_targets == M);
    if (!theirs)
        return;
    SAME(domains, K);
    SAME(targets, M);
    SAME(runs, R);
    SAME(asked, R * K);
    SAME(mixture, R * K);
    SAME(epochs, R * K);
    SAME(loss, R * M);
    SAME(loss_se, R * M);
    for (size_t r = 0; r < R; r++)
        CHECK((mine->metadata[r] == NULL) == (theirs->metadata[r] == NULL) &&
              (!mine->metadata[r] || strcmp(mine->metadata[r], theirs->metadata[r]) == 0));
}

static struct mix_fit *make_fit(size_t n_holdouts)
{
    struct mix_fit *object = mix_fit_create(K, M, P, STARTS, OPTIMA);
    SCRIBBLE(domains, K);
    SCRIBBLE(targets, M);
    SCRIBBLE(target_domain, M);
    SCRIBBLE(target_weight, M);
    SCRIBBLE(param_names, P);
    SCRIBBLE(param_units, P);
    SCRIBBLE(params, P);
    SCRIBBLE(std_error, P);
    SCRIBBLE(covariance, P * P);
    SCRIBBLE(param_state, P);
    SCRIBBLE(start_objective, STARTS);
    SCRIBBLE(optima, OPTIMA * P);
    SCRIBBLE(train_by_target, M);
    SCRIBBLE(seen_max, K);
    scribble(object->name, sizeof object->name, 3);
    scribble(&object->selection, sizeof object->selection, 5);
    scribble(object->holdouts, sizeof object->holdouts, 9);
    scribble(object->warnings, sizeof object->warnings, 13);
    object->scale_error = 0.25;
    object->seed = 99;
    object->n_holdouts = n_holdouts;
    if (n_holdouts > 0) {
        object->holdout_by_target = calloc(M, sizeof *object->holdout_by_target);
        SCRIBBLE(holdout_by_target, M);
    }
    return object;
}

static void check_fits(const struct mix_fit *mine, const struct mix_fit *theirs)
{
    CHECK(theirs != NULL);
    if (!theirs)
        return;
    CHECK(theirs->n_params == P && theirs->n_starts == STARTS && theirs->n_optima == OPTIMA);
    CHECK(theirs->n_holdouts == mine->n_holdouts && theirs->seed == 99);
    CHECK(theirs->scale_error == 0.25);
    SAME(domains, K);
    SAME(targets, M);
    SAME(target_domain, M);
    SAME(target_weight, M);
    SAME(param_names, P);
    SAME(param_units, P);
    SAME(params, P);
    SAME(std_error, P);
    SAME(covariance, P * P);
    SAME(param_state, P);
    SAME(start_objective, STARTS);
    SAME(optima, OPTIMA * P);
    SAME(train_by_target, M);
    SAME(seen_max, K);
    SAME(name, MIX_NAME_MAX);
    SAME(warnings, sizeof mine->warnings);
    CHECK(same_bytes(&mine->selection, &theirs->selection, sizeof mine->selection));
    CHECK(same_bytes(mine->holdouts, theirs->holdouts, sizeof mine->holdouts));
    if (mine->n_holdouts > 0)
        SAME(holdout_by_target, M);
}

static struct mix_draws *make_draws(void)
{
    struct mix_draws *object = mix_draws_create(B, P);
    object->seed = 7;
    object->bayesian = 1;
    scribble(object->fit, sizeof object->fit, 3);
    SCRIBBLE(objective, B);
    SCRIBBLE(params, B * P);
    SCRIBBLE(done, B);
    if (!mix_draws_hold_left(object, LEFT) || !mix_draws_hold_origins(object, ORIGINS))
        abort();
    SCRIBBLE(left, LEFT * P);
    SCRIBBLE(left_done, LEFT);
    SCRIBBLE(origins, ORIGINS);
    return object;
}

static void check_draws(const struct mix_draws *mine, const struct mix_draws *theirs)
{
    CHECK(theirs && theirs->n_draws == B && theirs->n_params == P && theirs->bayesian == 1);
    if (!theirs)
        return;
    SAME(fit, MIX_NAME_MAX);
    SAME(objective, B);
    SAME(params, B * P);
    SAME(done, B);
    CHECK(theirs->n_left == LEFT && theirs->n_origins == ORIGINS);
    SAME(left, LEFT * P);
    SAME(left_done, LEFT);
    SAME(origins, ORIGINS);
}

static void share_fits(struct mix_ranks *ranks, bool root, size_t n_holdouts)
{
    struct mix_error err = {.text = ""};
    struct mix_fit *mine = make_fit(n_holdouts), *theirs = root ? make_fit(n_holdouts) : NULL;
    CHECK(mix_share_fit(ranks, &theirs, &err) == MIX_OK);
    check_fits(mine, theirs);
    mix_fit_destroy(mine);
    mix_fit_destroy(theirs);
}

static void share_nothing(struct mix_ranks *ranks)
{
    struct mix_error err = {.text = ""};
    struct mix_table *table = NULL;
    struct mix_fit *fit = NULL;
    struct mix_draws *draws = NULL;
    CHECK(mix_share_table(ranks, &table, &err) == MIX_OK && !table);
    CHECK(mix_share_fit(ranks, &fit, &err) == MIX_OK && !fit);
    CHECK(mix_share_draws(ranks, &draws, &err) == MIX_OK && !draws);
}

int main(int argc, char **argv)
{
    struct mix_error err = {.text = ""};
    struct mix_ranks *ranks;
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    const bool root = mix_ranks_rank(ranks) == 0;
    struct mix_table *table = make_table(), *tables = root ? make_table() : NULL;
    CHECK(mix_share_table(ranks, &tables, &err) == MIX_OK);
    check_tables(table, tables);
    share_fits(ranks, root, 0);
    share_fits(ranks, root, 2);
    struct mix_draws *draws = make_draws(), *shared = root ? make_draws() : NULL;
    CHECK(mix_share_draws(ranks, &shared, &err) == MIX_OK);
    check_draws(draws, shared);
    char *text = root ? strdup("job: a\n") : NULL;
    CHECK(mix_share_text(ranks, &text, &err) == MIX_OK && strcmp(text, "job: a\n") == 0);
    share_nothing(ranks);
    free(text);
    mix_table_destroy(table);
    mix_table_destroy(tables);
    mix_draws_destroy(draws);
    mix_draws_destroy(shared);
    mix_ranks_destroy(ranks);
    return n_wrong > 0;
}

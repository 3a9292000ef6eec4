/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mpi_optimum.c - the optimum over ranks is that of one process, byte for byte. */
#include "optimum/toy.h"

static int compare(const struct mix_optimum *a, const struct mix_optimum *b)
{
    return memcmp(a->draw_mixture, b->draw_mixture, a->n_draws * 3 * sizeof(double)) != 0 ||
           memcmp(a->mixture, b->mixture, 3 * sizeof(double)) != 0 ||
           memcmp(a->tied, b->tied, 3 * sizeof(double)) != 0 ||
           memcmp(a->tied_lo, b->tied_lo, 3 * sizeof(double)) != 0 ||
           memcmp(a->mixture_bca_hi, b->mixture_bca_hi, 3 * sizeof(double)) != 0 ||
           memcmp(a->loss_bca, b->loss_bca, 3 * sizeof *a->loss_bca) != 0 ||
           memcmp(a->gain, b->gain, sizeof a->gain) != 0 ||
           memcmp(&a->objective, &b->objective, sizeof a->objective) != 0 ||
           memcmp(a->p_better, b->p_better, sizeof a->p_better) != 0 ||
           strcmp(a->warnings, b->warnings) != 0;
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err = {{0}};
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    struct mix_table *table = toy_table();
    struct mix_fit *fit = toy_fit(table);
    struct mix_draws *draws = toy_draws(fit, 300, 0.1);
    if (!toy_jackknife(draws, 5))
        return 1;
    struct mix_optimum_options options = toy_options();
    struct mix_optimum *together = NULL, *alone = NULL;
    int failed = 0;

    failed |= mix_optimum_run(ranks, table, fit, draws, &options, &together, &err) != MIX_OK;
    failed |= (together != NULL) != (mix_ranks_rank(ranks) == 0);
    if (mix_ranks_rank(ranks) == 0 && !failed) {
        failed |= mix_optimum_run(NULL, table, fit, draws, &options, &alone, &err) != MIX_OK;
        failed |= alone == NULL || compare(together, alone);
    }
    /* a refusal is everybody's, with the same sentence */
    struct mix_optimum *none = NULL;
    options.n_params = 1e3;
    failed |= mix_optimum_run(ranks, table, fit, draws, &options, &none, &err) != MIX_EINVAL;
    failed |= none != NULL || strstr(err.text, "below H") == NULL;

    mix_optimum_destroy(together);
    mix_optimum_destroy(alone);
    mix_draws_destroy(draws);
    mix_fit_destroy(fit);
    mix_table_destroy(table);
    if (failed)
        fprintf(stderr, "rank %d: failed: %s\n", mix_ranks_rank(ranks), err.text);
    mix_ranks_destroy(ranks);
    return failed;
}

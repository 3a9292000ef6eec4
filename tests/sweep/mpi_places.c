/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ranks share a node: each GPU is one rank's, and all ranks know the places alike. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sweep/places.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: rank %d: %s does not hold\n", __FILE__, __LINE__,              \
                    mix_ranks_rank(ranks), #condition);                                            \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct mix_job *parse(struct mix_ranks *ranks, const char *keys)
{
    struct mix_error err = {.text = ""};
    struct mix_job *job = NULL;
    char text[1024];
    snprintf(text, sizeof text,
             "job: j\nfile: j.h5\ndomains: [{name: web}, {name: code}]\ndesign: {mixtures: 3}\n"
             "scales: [{n_params: 1e6, n_tokens: 1e9}]\n"
             "sweep: {evaluator: command, command: {argv: [x], %s}}\n",
             keys);
    mix_job_parse("test.yaml", text, &job, &err);
    CHECK(err.text[0] == '\0');
    return job;
}

/* The names of the GPUs of a rank, in the order of ranks, make up `all`. */
static void check_gpus(struct mix_ranks *ranks, const struct mix_job *job, const char *all)
{
    struct mix_error err = {.text = ""};
    struct mix_places places;
    struct mix_seat seat;
    const int rank = mix_ranks_rank(ranks), n = mix_ranks_count(ranks);
    CHECK(mix_places_find(ranks, job, &places, &err) == MIX_OK);
    CHECK(places.n == n && places.place[rank].rank == rank && places.place[rank].cpus >= 1);
    const uint64_t none = 0;
    const struct mix_placement placement = {.n_places = 1, .place = &rank, .gpus = &none};
    CHECK(mix_seat_make(&places, &placement, &seat, &err) == MIX_OK);
    char mine[64] = "", (*each)[64] = rank == 0 ? calloc((size_t)n, sizeof *each) : NULL;
    CHECK(rank != 0 || each != NULL);
    if (seat.gpu_ids)
        snprintf(mine, sizeof mine, "%s", seat.gpu_ids);
    mix_ranks_gather(ranks, mine, sizeof mine, each);
    char joined[256] = "";
    int n_gpus = 0;
    size_t at = 0;
    for (int r = 0; r < n; r++) {
        n_gpus += places.place[r].gpus;
        if (each && each[r][0])
            at += (size_t)snprintf(joined + at, sizeof joined - at, "%s%s", at > 0 ? "," : "",
                                   each[r]);
    }
    CHECK(n_gpus == 5);
    CHECK(each == NULL || strcmp(joined, all) == 0);
    free(each);
    mix_seat_clear(&seat);
    mix_places_clear(&places);
}

/* With a launcher the places are nodes; runs that take nothing that is counted go as many at once
 * as there are ranks. */
static void check_launcher(struct mix_ranks *ranks, const struct mix_job *job)
{
    struct mix_error err = {.text = ""};
    struct mix_places places;
    CHECK(mix_places_find(ranks, job, &places, &err) == MIX_OK);
    CHECK(places.n == 1 && places.place[0].slots == mix_ranks_count(ranks));
    mix_places_clear(&places);
}

int main(int argc, char **argv)
{
    struct mix_ranks *ranks = NULL;
    struct mix_error err;
    if (mix_ranks_create(&argc, &argv, &ranks, &err) != MIX_OK)
        return 1;
    struct mix_job *found = parse(ranks, "slots: 2"), *told = parse(ranks, "gpus: 5");
    setenv("CUDA_VISIBLE_DEVICES", "7,6,5,GPU-4,3", 1);
    check_gpus(ranks, found, "7,6,5,GPU-4,3");
    unsetenv("CUDA_VISIBLE_DEVICES");
    check_gpus(ranks, told, "0,1,2,3,4");
    struct mix_job *launched = parse(ranks, "launcher: [srun]");
    check_launcher(ranks, launched);
    mix_job_destroy(launched);
    mix_job_destroy(found);
    mix_job_destroy(told);
    mix_ranks_destroy(ranks);
    return 0;
}

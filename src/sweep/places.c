/* SPDX-License-Identifier: GPL-3.0-or-later */
#define _GNU_SOURCE /* CPU sets */
#include "sweep/places.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mixsweep/child.h"

/* What a rank knows of its node. */
struct report {
    char host[64];
    int cpus, first_cpu; /* that its children may use */
    int gpus;
    struct mix_key gpus_key; /* of their names */
    bool gpus_are_own;       /* given to this rank alone, whatever their names */
};

/* What rank 0 tells a rank: its place, and which of the GPUs that it sees are its own. */
struct share {
    struct mix_place place;
    int first_gpu;
};

/* ---- what is on this node */

static int lowest_cpu(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 0;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &cpus))
            return i;
    return 0;
}

static int count_gpus(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/driver/nvidia/gpus");
    if (!folder)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n < GPUS_OF_PLACE_MAX ? n : GPUS_OF_PLACE_MAX;
}

/* The GPUs that this rank sees, by the names that CUDA_VISIBLE_DEVICES knows. */
static int name_gpus(const struct mix_job *job, char (*names)[GPU_NAME_MAX])
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    int n = 0;
    while (visible && *visible != '\0' && *visible != '-' && n < GPUS_OF_PLACE_MAX) { /* -1 ends */
        const size_t length = strcspn(visible, ",");
        if (length > 0 && length < GPU_NAME_MAX)
            snprintf(names[n++], GPU_NAME_MAX, "%.*s", (int)length, visible);
        visible += length + (visible[length] == ',');
    }
    const int asked = job->command.gpus;
    const int wanted = asked >= 0 ? asked : visible ? n : count_gpus();
    if (wanted <= n)
        return wanted;
    for (n = 0; n < wanted && n < GPUS_OF_PLACE_MAX; n++)
        snprintf(names[n], GPU_NAME_MAX, "%d", n);
    return n;
}

/* Slurm gave GPUs to the tasks of our step one by one. */
static bool has_own_gpus(void)
{
    const char *resources = getenv("SLURM_TRES_PER_TASK");
    return getenv("SLURM_GPUS_PER_TASK") || (resources && strstr(resources, "gpu"));
}

static struct report report_node(const char (*gpu_names)[GPU_NAME_MAX], int n_gpus)
{
    struct report report = {.gpus = n_gpus, .gpus_are_own = has_own_gpus()};
    report.gpus_key = mix_key_make(0, "gpus", gpu_names, (size_t)n_gpus * sizeof *gpu_names);
    report.cpus = mix_child_widen_affinity();
    report.first_cpu = lowest_cpu();
    if (gethostname(report.host, sizeof report.host - 1) != 0)
        snprintf(report.host, sizeof report.host, "localhost");
    return report;
}

/* ---- ranks as places */

/* Part i of n of a whole; the first parts get the remainder. */
static int part(int whole, int n, int i)
{
    return whole / n + (i < whole % n);
}

static bool demands_nothing(const struct mix_job_scale *scale)
{
    const struct mix_job_resources *is = &scale->resources;
    return is->cpus == 0 && is->gpus == 0 && is->mem_bytes == 0;
}

int mix_sweep_slots(const struct mix_job *job)
{
    for (size_t s = 0; job->command.slots == 0 && s < job->n_scales; s++)
        if (demands_nothing(&job->scales[s]))
            return 1;
    return job->command.slots;
}

static bool same_host(const struct report *a, const struct report *b)
{
    return strcmp(a->host, b->host) == 0;
}

static bool same_cpus(const struct report *a, const struct report *b)
{
    return same_host(a, b) && a->first_cpu == b->first_cpu && a->cpus == b->cpus;
}

static bool same_gpus(const struct report *a, const struct report *b)
{
    return same_host(a, b) && a->gpus_key.hi == b->gpus_key.hi && a->gpus_key.lo == b->gpus_key.lo;
}

/* How many ranks share something with rank r, and which of them it is. */
struct sharers {
    int n, index;
};

static struct sharers sharers_of(const struct report *reports, int n, int r,
                                 bool same(const struct report *, const struct report *))
{
    struct sharers sharers = {0, 0};
    for (int q = 0; q < n; q++) {
        const bool shares = same(&reports[q], &reports[r]);
        sharers.n += shares;
        sharers.index += shares && q < r;
    }
    return sharers;
}

/* A rank's share of its node. CPUs and GPUs that are found are shared by the ranks that see the
 * same ones. */
static struct share share_of(const struct mix_job *job, const struct report *reports, int n, int r)
{
    const struct report *mine = &reports[r];
    const struct mix_job_command *command = &job->command;
    const bool told_cpus = command->cpus >= 0, told_gpus = command->gpus >= 0;
    const struct sharers host = sharers_of(reports, n, r, same_host);
    const struct sharers cpus = told_cpus ? host : sharers_of(reports, n, r, same_cpus);
    struct sharers gpus = told_gpus ? host : sharers_of(reports, n, r, same_gpus);
    if (mine->gpus_are_own && !told_gpus)
        gpus = (struct sharers){1, 0};
    struct share share = {.place = {.rank = r, .slots = mix_sweep_slots(job)}};
    memcpy(share.place.host, mine->host, sizeof share.place.host);
    share.place.cpus = part(told_cpus ? command->cpus : mine->cpus, cpus.n, cpus.index);
    if (share.place.cpus == 0) /* more ranks than CPUs; 0 would be any number */
        share.place.cpus = 1;
    share.place.mem_bytes = command->mem_bytes / host.n;
    share.place.gpus = part(mine->gpus, gpus.n, gpus.index);
    for (int i = 0; i < gpus.index; i++)
        share.first_gpu += part(mine->gpus, gpus.n, i);
    return share;
}

/* ---- nodes as places */

/* "a100:4" or "4" */
static int trailing_count(const char *text)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    return mix_node_count(colon ? colon + 1 : text, 0);
}

static int slurm_gpus(void)
{
    const char *per_node = getenv("SLURM_GPUS_PER_NODE"), *list = getenv("SLURM_JOB_GPUS");
    if (per_node)
        return trailing_count(per_node);
    if (getenv("SLURM_GPUS_ON_NODE"))
        return trailing_count(getenv("SLURM_GPUS_ON_NODE"));
    int n = list && *list != '\0';
    for (; list && (list = strchr(list, ',')); list++)
        n++;
    return n;
}

/* Node i of n. Where runs take nothing that is counted, as many at once as there are ranks. */
static struct share node_share(const struct mix_job *job, const char *host, size_t i, size_t n,
                               int n_ranks)
{
    const struct mix_job_command *command = &job->command;
    struct share share = {.place = {.rank = -1, .slots = mix_sweep_slots(job)}};
    snprintf(share.place.host, sizeof share.place.host, "%.63s", host);
    if (share.place.slots > 0) { /* in all */
        const int all = command->slots > 0 ? command->slots : n_ranks;
        share.place.slots = part(all < (int)n ? (int)n : all, (int)n, (int)i);
    }
    share.place.cpus =
        command->cpus >= 0 ? command->cpus : mix_node_count(getenv("SLURM_JOB_CPUS_PER_NODE"), i);
    share.place.gpus = command->gpus >= 0 ? command->gpus : slurm_gpus();
    share.place.mem_bytes = command->mem_bytes;
    if (command->mem_bytes == 0)
        share.place.mem_bytes = 1048576.0 * mix_node_count(getenv("SLURM_MEM_PER_NODE"), 0);
    return share;
}

/* The nodes of the allocation; without Slurm those of the ranks. Names as mix_nodelist_expand()
 * gives them. */
static enum mix_status list_nodes(const struct report *reports, int n_ranks, char **names,
                                  size_t *n_names, struct mix_error *err)
{
    const char *list = getenv("SLURM_JOB_NODELIST");
    if (list)
        return mix_nodelist_expand(list, names, n_names, err);
    char *at = *names = calloc((size_t)n_ranks + 1, sizeof reports->host);
    if (!at)
        return mix_fail(err, MIX_ENOMEM, "out of memory for the names of the nodes.");
    *n_names = 0;
    for (int r = 0; r < n_ranks; r++) {
        int q = 0;
        while (strcmp(reports[q].host, reports[r].host) != 0)
            q++;
        if (q < r)
            continue;
        at = stpcpy(at, reports[r].host) + 1;
        ++*n_names;
    }
    return MIX_OK;
}

static enum mix_status share_nodes(const struct mix_job *job, const struct report *reports,
                                   int n_ranks, struct share **out, int *n_out,
                                   struct mix_error *err)
{
    char *names = NULL;
    size_t n = 0;
    const enum mix_status status = list_nodes(reports, n_ranks, &names, &n, err);
    if (status != MIX_OK)
        return status;
    struct share *shares = calloc(n + 1, sizeof *shares);
    const char *name = names;
    for (size_t i = 0; shares && i < n; i++, name += strlen(name) + 1)
        shares[i] = node_share(job, name, i, n, n_ranks);
    free(names);
    if (!shares)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %zu nodes.", n);
    *out = shares;
    *n_out = (int)n;
    return MIX_OK;
}

/* ---- all of them, on all ranks */

static enum mix_status share_out(struct mix_ranks *ranks, const struct mix_job *job,
                                 const struct report *reports, struct share **shares, int *n,
                                 struct mix_error *err)
{
    const int n_ranks = mix_ranks_count(ranks);
    if (job->command.n_launcher > 0)
        return share_nodes(job, reports, n_ranks, shares, n, err);
    for (size_t s = 0; s < job->n_scales; s++)
        if (job->scales[s].resources.n_nodes > 1)
            return mix_fail(err, MIX_EINVAL,
                            "job %s, scales[%zu].resources: a run on %d nodes needs "
                            "sweep.command.launcher, for example srun.",
                            job->name, s, job->scales[s].resources.n_nodes);
    *shares = calloc((size_t)n_ranks, sizeof **shares);
    if (!*shares)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %d places.", n_ranks);
    for (int r = 0; r < n_ranks; r++)
        (*shares)[r] = share_of(job, reports, n_ranks, r);
    *n = n_ranks;
    return MIX_OK;
}

static enum mix_status take_places(const struct mix_job *job, const struct share *shares, int rank,
                                   struct mix_places *out, struct mix_error *err)
{
    out->place = calloc((size_t)out->n, sizeof *out->place);
    if (!out->place)
        return mix_fail(err, MIX_ENOMEM, "out of memory for %d places.", out->n);
    for (int p = 0; p < out->n; p++)
        out->place[p] = shares[p].place;
    if (job->command.n_launcher == 0)
        out->first_gpu = shares[rank].first_gpu;
    return MIX_OK;
}

enum mix_status mix_places_find(struct mix_ranks *ranks, const struct mix_job *job,
                                struct mix_places *out, struct mix_error *err)
{
    const int n_ranks = mix_ranks_count(ranks), rank = mix_ranks_rank(ranks);
    struct share *shares = NULL;
    struct report *reports = rank == 0 ? calloc((size_t)n_ranks, sizeof *reports) : NULL;
    *out = (struct mix_places){.has_launcher = job->command.n_launcher > 0};
    out->gpu_names = calloc(GPUS_OF_PLACE_MAX, sizeof *out->gpu_names);
    enum mix_status status = MIX_OK;
    if (!out->gpu_names || (rank == 0 && !reports))
        status = mix_fail(err, MIX_ENOMEM, "out of memory for %d places.", n_ranks);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        goto out;
    const int n_gpus = name_gpus(job, out->gpu_names);
    const struct report mine = report_node((const char(*)[GPU_NAME_MAX])out->gpu_names, n_gpus);
    mix_ranks_gather(ranks, &mine, sizeof mine, reports);
    if (rank == 0)
        status = share_out(ranks, job, reports, &shares, &out->n, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        goto out;
    mix_ranks_broadcast(ranks, &out->n, sizeof out->n);
    if (rank != 0)
        shares = calloc((size_t)out->n, sizeof *shares);
    status = mix_ranks_agree(
        ranks, shares ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for the places."), err);
    if (status != MIX_OK)
        goto out;
    mix_ranks_broadcast(ranks, shares, (size_t)out->n * sizeof *shares);
    status = mix_ranks_agree(ranks, take_places(job, shares, rank, out, err), err);
out:
    free(shares);
    free(reports);
    return status;
}

void mix_places_clear(struct mix_places *places)
{
    free(places->place);
    free(places->gpu_names);
    *places = (struct mix_places){0};
}

/* ---- a placement in words */

/* The GPUs of a run: those given to it, or where it asks for none all of its rank's. */
static char *list_gpus(const struct mix_places *places, const struct mix_placement *placement)
{
    const struct mix_place *place = &places->place[placement->place[0]];
    const uint64_t all = place->gpus < 64 ? (UINT64_C(1) << place->gpus) - 1 : UINT64_MAX;
    const uint64_t mine = placement->gpus[0] ? placement->gpus[0] : all;
    char *text = calloc(GPUS_OF_PLACE_MAX + 1, GPU_NAME_MAX + 1);
    char *at = text;
    for (int g = 0; text && g < place->gpus; g++)
        if (mine >> g & 1) {
            if (at != text)
                at = stpcpy(at, ",");
            at = stpcpy(at, places->gpu_names[places->first_gpu + g]);
        }
    return text;
}

enum mix_status mix_seat_make(const struct mix_places *places,
                              const struct mix_placement *placement, struct mix_seat *out,
                              struct mix_error *err)
{
    const bool has_gpus = !places->has_launcher && places->place[placement->place[0]].gpus > 0;
    *out = (struct mix_seat){.n_nodes = placement->n_places, .index = placement->index};
    out->nodelist = calloc((size_t)placement->n_places, sizeof places->place->host + 1);
    out->gpu_ids = has_gpus ? list_gpus(places, placement) : NULL;
    if (!out->nodelist || (has_gpus && !out->gpu_ids)) {
        mix_seat_clear(out);
        return mix_fail(err, MIX_ENOMEM, "out of memory for the place of a run.");
    }
    char *at = out->nodelist;
    for (int i = 0; i < placement->n_places; i++) {
        if (i > 0)
            at = stpcpy(at, ",");
        at = stpcpy(at, places->place[placement->place[i]].host);
    }
    return MIX_OK;
}

void mix_seat_clear(struct mix_seat *seat)
{
    free(seat->nodelist);
    free(seat->gpu_ids);
    *seat = (struct mix_seat){0};
}

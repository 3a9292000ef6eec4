/* SPDX-License-Identifier: GPL-3.0-or-later */
/* snapshot.c - all that makes the future of a trainer, as bytes; see mixsweep/proxy.h. */
#include <string.h>

#include "proxy/trainer.h"

/* In front of: drawn (K), owed (K), parameters, first and second moments (P). */
struct snapshot {
    struct mix_key identity;
    uint64_t step;
    struct proxy_plan plan;
};

size_t mix_trainer_snapshot_bytes(const struct mix_trainer *trainer)
{
    return sizeof(struct snapshot) +
           trainer->n_domains * (sizeof *trainer->drawn + sizeof *trainer->owed) +
           3 * trainer->model.n_params * sizeof(float);
}

static unsigned char *put(unsigned char *to, const void *from, size_t n_bytes)
{
    memcpy(to, from, n_bytes);
    return to + n_bytes;
}

static const unsigned char *get(const unsigned char *from, void *to, size_t n_bytes)
{
    memcpy(to, from, n_bytes);
    return from + n_bytes;
}

void mix_trainer_snapshot(const struct mix_trainer *trainer, void *bytes)
{
    const size_t k = trainer->n_domains, p = trainer->model.n_params * sizeof(float);
    const struct snapshot head = {trainer->identity, trainer->step, trainer->plan};
    unsigned char *to = put(bytes, &head, sizeof head);
    to = put(to, trainer->drawn, k * sizeof *trainer->drawn);
    to = put(to, trainer->owed, k * sizeof *trainer->owed);
    to = put(to, trainer->model.params, p);
    to = put(to, trainer->first, p);
    put(to, trainer->second, p);
}

enum mix_status mix_trainer_restore(struct mix_trainer *trainer, const void *bytes, size_t n_bytes,
                                    struct mix_error *err)
{
    const size_t k = trainer->n_domains, p = trainer->model.n_params * sizeof(float);
    struct snapshot head;
    if (n_bytes != mix_trainer_snapshot_bytes(trainer))
        return mix_fail(err, MIX_EFORMAT, "proxy: a snapshot of %zu bytes; this trainer's has %zu",
                        n_bytes, mix_trainer_snapshot_bytes(trainer));
    const unsigned char *from = get(bytes, &head, sizeof head);
    if (memcmp(&head.identity, &trainer->identity, sizeof head.identity) != 0)
        return mix_fail(err, MIX_EFORMAT,
                        "proxy: a snapshot of another shape of model or of other "
                        "training text");
    trainer->step = head.step;
    trainer->plan = head.plan;
    from = get(from, trainer->drawn, k * sizeof *trainer->drawn);
    from = get(from, trainer->owed, k * sizeof *trainer->owed);
    from = get(from, trainer->model.params, p);
    from = get(from, trainer->first, p);
    get(from, trainer->second, p);
    proxy_trainer_count(trainer);
    return MIX_OK;
}

const float *mix_trainer_params(const struct mix_trainer *trainer)
{
    return trainer->model.params;
}

void mix_trainer_set_params(struct mix_trainer *trainer, const float *params)
{
    memcpy(trainer->model.params, params, trainer->model.n_params * sizeof *params);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mixsweep/share.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* One visitor per object is used to count, to write and to read, so that the two ends cannot
 * disagree. */
enum wire_mode { WIRE_COUNT, WIRE_WRITE, WIRE_READ };

struct wire {
    enum wire_mode mode;
    unsigned char *bytes; /* (n) */
    size_t n;
    size_t at;
    bool no_memory;
};

/* A visitor walks *object; in read mode it makes the object first. */
typedef void (*wire_fn)(struct wire *wire, void **object);

static void wire_bytes(struct wire *wire, void *data, size_t n)
{
    if (n > 0 && wire->mode != WIRE_COUNT && !wire->no_memory) {
        assert(data && wire->bytes && n <= wire->n - wire->at);
        unsigned char *place = wire->bytes + wire->at;
        if (wire->mode == WIRE_WRITE)
            memcpy(place, data, n);
        else
            memcpy(data, place, n);
    }
    wire->at += n;
}

/* X(member, entries): all arrays of the struct that travel. The struct itself travels as it is; a
 * reader puts its own array pointers back into it. */
#define WIRE_ARRAY(member, n) wire_bytes(wire, object->member, (n) * sizeof *object->member);
#define KEEP_POINTER(member, n) plain.member = object->member;

#define TABLE_ARRAYS(X)                                                                            \
    X(domains, n_domains)                                                                          \
    X(targets, n_targets)                                                                          \
    X(runs, n_rows)                                                                                \
    X(asked, n_rows *n_domains)                                                                    \
    X(mixture, n_rows *n_domains)                                                                  \
    X(epochs, n_rows *n_domains)                                                                   \
    X(loss, n_rows *n_targets)                                                                     \
    X(loss_se, n_rows *n_targets)

static void wire_string(struct wire *wire, char **text)
{
    uint64_t n = *text ? strlen(*text) + 1 : 0;
    wire_bytes(wire, &n, sizeof n);
    if (wire->mode == WIRE_READ && n > 0) {
        *text = malloc((size_t)n);
        wire->no_memory = wire->no_memory || !*text;
    }
    wire_bytes(wire, *text, (size_t)n);
}

static struct mix_table *table_make(size_t n_rows, size_t n_domains, size_t n_targets)
{
    struct mix_table *table = mix_table_create(n_domains, n_targets);
    for (size_t r = 0; table && r < n_rows; r++)
        if (mix_table_append(table) == SIZE_MAX) {
            mix_table_destroy(table);
            table = NULL;
        }
    return table;
}

static void wire_table(struct wire *wire, void **out)
{
    struct mix_table *object = *out;
    size_t n_rows = object ? object->n_rows : 0;
    size_t n_domains = object ? object->n_domains : 0;
    size_t n_targets = object ? object->n_targets : 0;
    wire_bytes(wire, &n_rows, sizeof n_rows);
    wire_bytes(wire, &n_domains, sizeof n_domains);
    wire_bytes(wire, &n_targets, sizeof n_targets);
    if (wire->mode == WIRE_READ) {
        *out = object = table_make(n_rows, n_domains, n_targets);
        wire->no_memory = !object;
        if (!object)
            return;
    }
    assert(object);
    TABLE_ARRAYS(WIRE_ARRAY)
    for (size_t r = 0; r < n_rows && !wire->no_memory; r++)
        wire_string(wire, &object->metadata[r]);
}

#define FIT_ARRAYS(X)                                                                              \
    X(domains, n_domains)                                                                          \
    X(targets, n_targets)                                                                          \
    X(target_domain, n_targets)                                                                    \
    X(target_weight, n_targets)                                                                    \
    X(target_size, n_targets)                                                                      \
    X(link, n_targets)                                                                             \
    X(param_names, n_params)                                                                       \
    X(param_units, n_params)                                                                       \
    X(params, n_params)                                                                            \
    X(std_error, n_params)                                                                         \
    X(covariance, n_params *n_params)                                                              \
    X(param_state, n_params)                                                                       \
    X(start_objective, n_starts)                                                                   \
    X(optima, n_optima *n_params)                                                                  \
    X(train_by_target, n_targets)                                                                  \
    X(seen_max, n_domains)                                                                         \
    X(supply, n_domains)

#define HELD_ARRAYS(X)                                                                             \
    X(held_out, n_held)                                                                            \
    X(held_key, n_held)                                                                            \
    X(held_n_params, n_held)                                                                       \
    X(held_loss, n_held *n_targets)                                                                \
    X(held_predicted, n_held *n_targets)

static void wire_fit(struct wire *wire, void **out)
{
    struct mix_fit *object = *out;
    struct mix_fit plain = {.n_params = 0};
    if (object)
        plain = *object;
    wire_bytes(wire, &plain, sizeof plain);
    size_t n_domains = plain.spec.n_domains, n_targets = plain.spec.n_targets;
    size_t n_params = plain.n_params, n_starts = plain.n_starts, n_optima = plain.n_optima;
    size_t n_by_target = plain.holdout_by_target ? n_targets : 0, n_held = plain.n_held;
    if (wire->mode == WIRE_READ) {
        *out = object = mix_fit_create(n_domains, n_targets, n_params, n_starts, n_optima);
        wire->no_memory = !object || !mix_fit_hold(object, n_held);
        if (wire->no_memory)
            return;
        FIT_ARRAYS(KEEP_POINTER)
        HELD_ARRAYS(KEEP_POINTER)
        plain.holdout_by_target = object->holdout_by_target;
        *object = plain;
        if (n_by_target > 0 && !object->holdout_by_target) {
            object->holdout_by_target = calloc(n_by_target, sizeof *object->holdout_by_target);
            wire->no_memory = !object->holdout_by_target;
        }
    }
    assert(object);
    FIT_ARRAYS(WIRE_ARRAY)
    HELD_ARRAYS(WIRE_ARRAY)
    WIRE_ARRAY(holdout_by_target, n_by_target)
}

#define DRAWS_ARRAYS(X)                                                                            \
    X(objective, n_draws)                                                                          \
    X(params, n_draws *n_params)                                                                   \
    X(done, n_draws)                                                                               \
    X(left, n_left *n_params)                                                                      \
    X(left_done, n_left)                                                                           \
    X(origins, n_origins)

static void wire_draws(struct wire *wire, void **out)
{
    struct mix_draws *object = *out;
    struct mix_draws plain = {.n_draws = 0};
    if (object)
        plain = *object;
    wire_bytes(wire, &plain, sizeof plain);
    size_t n_draws = plain.n_draws, n_params = plain.n_params;
    size_t n_left = plain.n_left, n_origins = plain.n_origins;
    if (wire->mode == WIRE_READ) {
        *out = object = mix_draws_create(n_draws, n_params);
        wire->no_memory = !object || !mix_draws_hold_left(object, n_left) ||
                          !mix_draws_hold_origins(object, n_origins);
        if (wire->no_memory)
            return;
        DRAWS_ARRAYS(KEEP_POINTER)
        *object = plain;
    }
    assert(object);
    DRAWS_ARRAYS(WIRE_ARRAY)
}

static void wire_text(struct wire *wire, void **out)
{
    char *text = *out;
    wire_string(wire, &text);
    *out = text;
}

static enum mix_status no_memory(const char *what, struct mix_error *err)
{
    return mix_fail(err, MIX_ENOMEM, "out of memory while %s is sent to all ranks.", what);
}

static void table_destroy(void *object)
{
    mix_table_destroy(object);
}

static void fit_destroy(void *object)
{
    mix_fit_destroy(object);
}

static void draws_destroy(void *object)
{
    mix_draws_destroy(object);
}

/* Collective. Rank 0 packs, all receive; a rank out of memory says so before the next collective.
 */
static enum mix_status share(struct mix_ranks *ranks, void **object, wire_fn visit,
                             void (*destroy)(void *), const char *what, struct mix_error *err)
{
    if (mix_ranks_count(ranks) < 2)
        return MIX_OK;
    bool root = mix_ranks_rank(ranks) == 0;
    struct wire wire = {.mode = WIRE_COUNT};
    if (root && *object)
        visit(&wire, object);
    uint64_t n = wire.at; /* 0: rank 0 has none */
    mix_ranks_broadcast(ranks, &n, sizeof n);
    if (n == 0)
        return MIX_OK;

    wire = (struct wire){
        .mode = root ? WIRE_WRITE : WIRE_READ, .bytes = malloc((size_t)n), .n = (size_t)n};
    enum mix_status status = wire.bytes ? MIX_OK : no_memory(what, err);
    status = mix_ranks_agree(ranks, status, err);
    if (status != MIX_OK)
        goto out;
    if (root)
        visit(&wire, object);
    mix_ranks_broadcast(ranks, wire.bytes, wire.n);
    if (!root)
        visit(&wire, object);
    status = mix_ranks_agree(ranks, wire.no_memory ? no_memory(what, err) : MIX_OK, err);
    if (status != MIX_OK && !root) {
        destroy(*object);
        *object = NULL;
    }
out:
    free(wire.bytes);
    return status;
}

enum mix_status mix_share_table(struct mix_ranks *ranks, struct mix_table **table,
                                struct mix_error *err)
{
    void *object = *table;
    enum mix_status status = share(ranks, &object, wire_table, table_destroy, "the table", err);
    *table = object;
    return status;
}

enum mix_status mix_share_fit(struct mix_ranks *ranks, struct mix_fit **fit, struct mix_error *err)
{
    void *object = *fit;
    enum mix_status status = share(ranks, &object, wire_fit, fit_destroy, "the fit", err);
    *fit = object;
    return status;
}

enum mix_status mix_share_draws(struct mix_ranks *ranks, struct mix_draws **draws,
                                struct mix_error *err)
{
    void *object = *draws;
    enum mix_status status = share(ranks, &object, wire_draws, draws_destroy, "the draws", err);
    *draws = object;
    return status;
}

enum mix_status mix_share_text(struct mix_ranks *ranks, char **text, struct mix_error *err)
{
    void *object = *text;
    enum mix_status status = share(ranks, &object, wire_text, free, "a text", err);
    *text = object;
    return status;
}

enum mix_status mix_share_isa(struct mix_ranks *ranks, enum mix_isa *out, struct mix_error *err)
{
    const int n_ranks = mix_ranks_count(ranks);
    int *all = calloc((size_t)n_ranks, sizeof *all), least = mix_isa_best();
    enum mix_status status =
        all != NULL ? MIX_OK : mix_fail(err, MIX_ENOMEM, "out of memory for %d ranks", n_ranks);
    status = mix_ranks_agree(ranks, status, err);
    if (status == MIX_OK) {
        mix_ranks_gather(ranks, &least, sizeof least, all);
        for (int r = 0; r < n_ranks && mix_ranks_rank(ranks) == 0; r++)
            least = all[r] < least ? all[r] : least;
        mix_ranks_broadcast(ranks, &least, sizeof least);
        *out = (enum mix_isa)least;
    }
    free(all);
    return status;
}

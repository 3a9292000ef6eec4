/* SPDX-License-Identifier: GPL-3.0-or-later */
/* records.c - what the logs hold, and the bootstrap draws among it; proxy runs are in results.c. */
#include "store/store_impl.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS_MAX = 10 * 1000 * 1000 };

/* A draw of a log, checked but not copied. */
struct draw_view {
    struct mix_draw_head head;
    struct mix_draw_body body;
    const uint8_t *params;
    size_t n_params;
};

/* False where the record is no draw, or not a sound one. */
static bool view_draw(enum mix_log_kind kind, const void *head, size_t n_head, const void *body,
                      size_t n_body, struct draw_view *view)
{
    if (kind != MIX_LOG_DRAW || n_head != sizeof view->head || n_body < sizeof view->body ||
        (n_body - sizeof view->body) % sizeof(double) != 0)
        return false;
    memcpy(&view->head, head, sizeof view->head);
    memcpy(&view->body, body, sizeof view->body);
    view->params = (const uint8_t *)body + sizeof view->body;
    view->n_params = (n_body - sizeof view->body) / sizeof(double);
    return memchr(view->head.fit, 0, sizeof view->head.fit) != NULL && view->head.fit[0] != '\0' &&
           view->body.draw < DRAWS_MAX;
}

/* A refit of the jackknife, checked but not copied. */
struct left_view {
    struct mix_draw_head head;
    struct mix_left_body body;
    const uint8_t *params;
    size_t n_params;
};

static bool view_left(enum mix_log_kind kind, const void *head, size_t n_head, const void *body,
                      size_t n_body, struct left_view *view)
{
    if (kind != MIX_LOG_JACKKNIFE || n_head != sizeof view->head || n_body < sizeof view->body ||
        (n_body - sizeof view->body) % sizeof(double) != 0)
        return false;
    memcpy(&view->head, head, sizeof view->head);
    memcpy(&view->body, body, sizeof view->body);
    view->params = (const uint8_t *)body + sizeof view->body;
    view->n_params = (n_body - sizeof view->body) / sizeof(double);
    return memchr(view->head.fit, 0, sizeof view->head.fit) != NULL && view->head.fit[0] != '\0' &&
           view->body.n_groups <= MIX_LEFT_MAX && view->body.group < view->body.n_groups;
}

/* ---- survey */

static enum mix_status add_name(struct mix_names *names, const char *name, struct mix_error *err)
{
    for (size_t n = 0; n < names->n; n++)
        if (strcmp(names->name[n], name) == 0)
            return MIX_OK;
    char(*larger)[MIX_NAME_MAX] = realloc(names->name, (names->n + 1) * sizeof *names->name);
    if (larger == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for names");
    names->name = larger;
    memcpy(names->name[names->n++], name, MIX_NAME_MAX);
    return MIX_OK;
}

/* A name stands first in the heads of online runs and of agents; false where there is none. */
static bool read_name(enum mix_log_kind kind, const void *head, size_t n_head,
                      char name[MIX_NAME_MAX])
{
    if (n_head != (kind == MIX_LOG_ONLINE  ? sizeof(struct mix_online_head)
                   : kind == MIX_LOG_AGENT ? sizeof(struct mix_agent_log_head)
                                           : SIZE_MAX))
        return false;
    memcpy(name, head, MIX_NAME_MAX);
    return memchr(name, 0, MIX_NAME_MAX) != NULL && name[0] != '\0';
}
static_assert(offsetof(struct mix_online_head, name) == 0 &&
                  offsetof(struct mix_agent_log_head, name) == 0,
              "read_name() takes the name from the front");

static enum mix_status survey_record(void *context, enum mix_log_kind kind, const void *head,
                                     size_t n_head, const void *body, size_t n_body,
                                     struct mix_error *err)
{
    struct store_logged *logged = context;
    struct draw_view draw;
    struct left_view left;
    if (kind == MIX_LOG_RESULT) {
        logged->n_results++;
        logged->n_rows += store_result_rows(body, n_body);
    }
    char name[MIX_NAME_MAX];
    if (read_name(kind, head, n_head, name))
        return add_name(kind == MIX_LOG_ONLINE ? &logged->online : &logged->agents, name, err);
    if (view_left(kind, head, n_head, body, n_body, &left))
        return add_name(&logged->fits, left.head.fit, err);
    return view_draw(kind, head, n_head, body, n_body, &draw)
               ? add_name(&logged->fits, draw.head.fit, err)
               : MIX_OK;
}

enum mix_status store_logged_find(const char *log_dir, struct store_logged *out,
                                  struct mix_error *err)
{
    struct store_logged logged = {0};
    enum mix_status status = mix_logs_find(log_dir, &logged.logs, err);
    if (status == MIX_OK)
        status = mix_logs_read(logged.logs, survey_record, &logged, NULL, err);
    if (status == MIX_OK)
        *out = logged;
    else
        store_logged_clear(&logged);
    return status;
}

void store_logged_clear(struct store_logged *logged)
{
    mix_logs_destroy(logged->logs);
    mix_names_destroy(&logged->fits);
    mix_names_destroy(&logged->online);
    mix_names_destroy(&logged->agents);
    *logged = (struct store_logged){0};
}

/* ---- online runs and campaigns of agents */

struct taking {
    enum mix_log_kind kind;
    store_take_fn take;
    void *object;
    size_t n_taken;
};

static enum mix_status take_record(void *context, enum mix_log_kind kind, const void *head,
                                   size_t n_head, const void *body, size_t n_body,
                                   struct mix_error *err)
{
    struct taking *taking = context;
    if (kind != taking->kind)
        return MIX_OK;
    const enum mix_status status = taking->take(taking->object, head, n_head, body, n_body, err);
    taking->n_taken += status == MIX_OK;
    return status == MIX_ENOMEM ? status : MIX_OK;
}

enum mix_status store_take_logged(const struct store_logged *logged, enum mix_log_kind kind,
                                  store_take_fn take, void *object, size_t *n_taken,
                                  struct mix_error *err)
{
    struct taking taking = {.kind = kind, .take = take, .object = object};
    const enum mix_status status = mix_logs_read(logged->logs, take_record, &taking, NULL, err);
    *n_taken = taking.n_taken;
    return status;
}

/* ---- draws of a fit */

struct merge {
    const struct mix_fit *fit;
    struct mix_key key;
    const struct mix_draws *base; /* NULL = none */
    size_t n_draws, n_new;        /* found by the first pass */
    struct mix_draws *draws;      /* filled by the second */
    bool is_alike;                /* the first record without a base says how all were made */
    size_t n_left;                /* groups of the jackknife; refits need a base */
};

/* Whether a refit of the jackknife is of this fit and of the clusters of its draws. */
static bool left_belongs(const struct merge *merge, const struct left_view *left)
{
    return merge->base != NULL && left->n_params == merge->fit->n_params &&
           strcmp(left->head.fit, merge->fit->name) == 0 &&
           left->head.fit_key.hi == merge->key.hi && left->head.fit_key.lo == merge->key.lo &&
           left->head.cluster_run == merge->base->cluster_run;
}

static void count_left(struct merge *merge, const struct left_view *left)
{
    const struct mix_draws *base = merge->base;
    if (!left_belongs(merge, left))
        return;
    merge->n_new += base->n_left != left->body.n_groups || !base->left_done[left->body.group];
    merge->n_left = (size_t)left->body.n_groups;
}

static enum mix_status take_left(const struct merge *merge, const struct left_view *left,
                                 struct mix_error *err)
{
    struct mix_draws *draws = merge->draws;
    if (!left_belongs(merge, left) || left->body.n_groups != merge->n_left)
        return MIX_OK;
    if (draws->n_left != merge->n_left && !mix_draws_hold_left(draws, merge->n_left))
        return mix_fail(err, MIX_ENOMEM, "no memory for the jackknife of %s", merge->fit->name);
    memcpy(draws->left + left->body.group * draws->n_params, left->params,
           draws->n_params * sizeof(double));
    draws->left_done[left->body.group] = 1;
    return MIX_OK;
}

/* Whether a draw is of this fit, and one that `like` asks for where there is one: a bootstrap
 * commits what it asks for before its first draw is logged. */
static bool belongs(const struct merge *merge, const struct draw_view *draw,
                    const struct mix_draws *like)
{
    const struct mix_draw_head *head = &draw->head;
    return draw->n_params == merge->fit->n_params && strcmp(head->fit, merge->fit->name) == 0 &&
           head->fit_key.hi == merge->key.hi && head->fit_key.lo == merge->key.lo &&
           (like == NULL || (head->seed == like->seed && head->cluster_run == like->cluster_run &&
                             head->bayesian == like->bayesian && draw->body.draw < like->n_draws));
}

static enum mix_status count_draw(void *context, enum mix_log_kind kind, const void *head,
                                  size_t n_head, const void *body, size_t n_body,
                                  struct mix_error *err)
{
    struct merge *merge = context;
    const struct mix_draws *base = merge->base;
    struct draw_view draw;
    struct left_view left;
    (void)err;
    if (view_left(kind, head, n_head, body, n_body, &left))
        count_left(merge, &left);
    if (!view_draw(kind, head, n_head, body, n_body, &draw) || !belongs(merge, &draw, base))
        return MIX_OK;
    const size_t number = (size_t)draw.body.draw;
    merge->n_new += base == NULL || number >= base->n_draws || !base->done[number];
    if (number >= merge->n_draws)
        merge->n_draws = number + 1;
    return MIX_OK;
}

static enum mix_status take_draw(void *context, enum mix_log_kind kind, const void *head,
                                 size_t n_head, const void *body, size_t n_body,
                                 struct mix_error *err)
{
    struct merge *merge = context;
    struct mix_draws *draws = merge->draws;
    struct draw_view draw;
    struct left_view left;
    if (view_left(kind, head, n_head, body, n_body, &left))
        return take_left(merge, &left, err);
    if (!view_draw(kind, head, n_head, body, n_body, &draw) ||
        !belongs(merge, &draw, merge->is_alike ? draws : NULL) || draws->done[draw.body.draw])
        return MIX_OK;
    if (!merge->is_alike) {
        draws->seed = draw.head.seed;
        draws->cluster_run = draw.head.cluster_run;
        draws->bayesian = draw.head.bayesian;
        merge->is_alike = true;
    }
    draws->objective[draw.body.draw] = draw.body.objective;
    memcpy(draws->params + draw.body.draw * draws->n_params, draw.params,
           draws->n_params * sizeof(double));
    draws->done[draw.body.draw] = 1;
    return MIX_OK;
}

/* Draws that take up `base` and have room for `n_draws`. */
static struct mix_draws *copy_draws(const struct mix_fit *fit, const struct mix_draws *base,
                                    size_t n_draws)
{
    struct mix_draws *draws = mix_draws_create(n_draws, fit->n_params);
    if (draws == NULL)
        return NULL;
    memcpy(draws->fit, fit->name, sizeof draws->fit);
    draws->fit_key = mix_fit_key(fit);
    if (base != NULL) {
        draws->seed = base->seed;
        draws->cluster_run = base->cluster_run;
        draws->bayesian = base->bayesian;
        memcpy(draws->objective, base->objective, base->n_draws * sizeof *base->objective);
        memcpy(draws->params, base->params, base->n_draws * base->n_params * sizeof *base->params);
        memcpy(draws->done, base->done, base->n_draws);
        if (!mix_draws_copy_left(draws, base)) {
            mix_draws_destroy(draws);
            return NULL;
        }
    }
    return draws;
}

enum mix_status store_merge_draws(const struct store_logged *logged, const struct mix_fit *fit,
                                  const struct mix_draws *base, struct mix_draws **out,
                                  struct mix_error *err)
{
    struct merge merge = {.fit = fit, .key = mix_fit_key(fit)};
    *out = NULL;
    if (base != NULL && base->n_params == fit->n_params && base->fit_key.hi == merge.key.hi &&
        base->fit_key.lo == merge.key.lo)
        merge.base = base; /* else they are draws of an earlier fit of that name */
    merge.n_draws = merge.base != NULL ? base->n_draws : 0;
    merge.is_alike = merge.base != NULL;
    enum mix_status status = mix_logs_read(logged->logs, count_draw, &merge, NULL, err);
    if (status != MIX_OK || merge.n_new == 0)
        return status;
    merge.draws = copy_draws(fit, merge.base, merge.n_draws);
    if (merge.draws == NULL)
        return mix_fail(err, MIX_ENOMEM, "no memory for %zu draws of %s", merge.n_draws, fit->name);
    status = mix_logs_read(logged->logs, take_draw, &merge, NULL, err);
    if (status == MIX_OK)
        *out = merge.draws;
    else
        mix_draws_destroy(merge.draws);
    return status;
}

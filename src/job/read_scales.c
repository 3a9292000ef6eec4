/* SPDX-License-Identifier: GPL-3.0-or-later */
/* read_scales.c - sizes, tokens, checkpoints and needs of the runs. */
#include "reader.h"

#include <math.h>
#include <string.h>

enum {
    WIDTH_MAX = 16384, /* width, context: in steps of 16, as the trainer wants them */
    LAYERS_MAX = 256,
    NODES_MAX = 100000
};
static const double size_max = 1e18; /* parameters or tokens */
static const double year_s = 366 * 86400.0;

/* What the functions below have at hand: an entry of the list at `list`. */
struct entry {
    struct reader *in;
    const char *list;
    size_t index;
    const struct raw_scale *raw;
    struct mix_job_scale *scale;
};

/* The key of a member of the entry, as a local variable. */
#define MEMBER(key, member) ITEM_KEY(key, "%s[%zu]." member, self->list, self->index)

static void list_sizes(char *list, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; mix_proxy_size(i); i++) {
        const int wrote =
            snprintf(list + at, size - at, "%s%s", i ? ", " : "", mix_proxy_size(i)->name);
        at += wrote > 0 && (size_t)wrote < size - at ? (size_t)wrote : 0;
    }
}

static void take_named_size(const struct entry *self)
{
    MEMBER(key, "size");
    char list[MIX_TEXT_MAX] = "";
    const struct raw_scale *raw = self->raw;
    if (raw->width || raw->layers || raw->heads || raw->context) {
        FAIL(self->in, key, "a size has its own width, layers, heads and context.");
        return;
    }
    for (size_t i = 0; mix_proxy_size(i); i++)
        if (strcmp(mix_proxy_size(i)->name, raw->size) == 0) {
            self->scale->shape = mix_proxy_size(i)->shape;
            return;
        }
    list_sizes(list, sizeof list);
    FAIL(self->in, key, "\"%.40s\" is not one of %s.", raw->size, list);
}

static void take_sixteens(struct reader *in, const char *key, const char *text, size_t *out)
{
    take_count(in, key, text, 16, WIDTH_MAX, out);
    if (in->status == MIX_OK && *out % 16 != 0)
        FAIL(in, key, "%.40s is not a multiple of 16.", text);
}

static void take_own_shape(const struct entry *self)
{
    struct mix_proxy_shape *shape = &self->scale->shape;
    struct reader *in = self->in;
    ITEM_KEY(item, "%s[%zu]", self->list, self->index);
    MEMBER(width, "width");
    MEMBER(layers, "layers");
    MEMBER(heads, "heads");
    MEMBER(context, "context");
    if (!self->raw->width || !self->raw->layers || !self->raw->heads || !self->raw->context) {
        FAIL(in, item, "a shape has all of width, layers, heads and context.");
        return;
    }
    take_sixteens(in, width, self->raw->width, &shape->width);
    take_count(in, layers, self->raw->layers, 1, LAYERS_MAX, &shape->n_layers);
    take_count(in, heads, self->raw->heads, 1, WIDTH_MAX, &shape->n_heads);
    take_sixteens(in, context, self->raw->context, &shape->context);
    if (in->status == MIX_OK && shape->width % (8 * shape->n_heads) != 0)
        FAIL(in, heads, "%zu heads do not divide the width %zu into multiples of 8.",
             shape->n_heads, shape->width);
}

/* The shape of an embedded proxy says its number of parameters. */
static void take_n_params(const struct entry *self)
{
    const struct raw_scale *raw = self->raw;
    struct mix_job_scale *scale = self->scale;
    struct reader *in = self->in;
    ITEM_KEY(item, "%s[%zu]", self->list, self->index);
    MEMBER(key, "n_params");
    if (in->status == MIX_OK && raw->size)
        take_named_size(self);
    else if (in->status == MIX_OK && (raw->width || raw->layers || raw->heads || raw->context))
        take_own_shape(self);
    take_number(in, key, raw->n_params, 1, size_max, &scale->n_params);
    if (in->status != MIX_OK)
        return;
    if (scale->shape.width > 0) {
        const double n_params = (double)mix_proxy_n_params(&scale->shape, 1);
        if (raw->n_params && scale->n_params != n_params)
            FAIL(in, key, "%.40s are not the %.0f of the shape; leave it out.", raw->n_params,
                 n_params);
        scale->n_params = n_params;
    } else if (!raw->n_params) {
        FAIL(in, item, "the key n_params is missing (or size, or width, layers, heads, context).");
    }
}

/* A number of checkpoints: each has half the tokens of the next. */
static void take_halvings(const struct entry *self, const char *key, const char *text)
{
    struct mix_job_scale *scale = self->scale;
    take_count(self->in, key, text, 1, MIX_CHECKPOINTS_MAX, &scale->n_checkpoints);
    if (self->in->status != MIX_OK)
        return;
    for (size_t c = 0; c < scale->n_checkpoints; c++)
        scale->checkpoints[c] = round(ldexp(scale->n_tokens, -(int)(scale->n_checkpoints - 1 - c)));
    if (scale->n_checkpoints > 1 && scale->n_tokens < ldexp(1, (int)scale->n_checkpoints - 1))
        FAIL(self->in, key, "%zu halvings of %.15g tokens leave nothing.", scale->n_checkpoints - 1,
             scale->n_tokens);
}

/* A number of them, or a list of tokens, to which the last, n_tokens, may or may not belong. */
static void take_checkpoints(const struct entry *self)
{
    MEMBER(key, "checkpoints");
    struct reader *in = self->in;
    struct mix_job_scale *scale = self->scale;
    const char *text = job_document_text(&in->document, key);
    scale->n_checkpoints = 1;
    scale->checkpoints[0] = scale->n_tokens;
    if (text) {
        take_halvings(self, key, text);
        return;
    }
    size_t n = 0;
    double before = 0;
    for (; in->status == MIX_OK && job_document_item(&in->document, key, n, &text); n++) {
        ITEM_KEY(item, "%.100s[%zu]", key, n);
        double n_tokens = 0;
        take_number(in, item, text, 1, scale->n_tokens, &n_tokens);
        if (in->status == MIX_OK && n_tokens <= before)
            FAIL(in, item, "%.40s is not more than the checkpoint before, %.15g.", text, before);
        if (in->status == MIX_OK && n + (n_tokens < scale->n_tokens) >= MIX_CHECKPOINTS_MAX)
            FAIL(in, key, "more than %d checkpoints.", MIX_CHECKPOINTS_MAX);
        if (in->status != MIX_OK)
            return;
        scale->checkpoints[n] = before = n_tokens;
    }
    if (in->status == MIX_OK && n == 0 && job_document_has(&in->document, key))
        FAIL(in, key, "is empty; without the key the end is the only one.");
    if (n > 0 && before < scale->n_tokens)
        scale->checkpoints[n++] = scale->n_tokens;
    if (n > 0)
        scale->n_checkpoints = n;
}

static void take_resources(const struct entry *self)
{
    const struct raw_resources none = {.nodes = NULL};
    const struct raw_resources *raw = self->raw->resources ? self->raw->resources : &none;
    struct mix_job_resources *resources = &self->scale->resources;
    MEMBER(nodes, "resources.nodes");
    MEMBER(gpus, "resources.gpus");
    MEMBER(cpus, "resources.cpus");
    MEMBER(mem, "resources.mem");
    MEMBER(wall, "resources.wall");
    *resources = (struct mix_job_resources){.n_nodes = 1, .wall_s = NAN};
    take_int(self->in, nodes, raw->nodes, 1, NODES_MAX, &resources->n_nodes);
    take_int(self->in, gpus, raw->gpus, 0, 64, &resources->gpus);
    take_int(self->in, cpus, raw->cpus, 0, NODES_MAX, &resources->cpus);
    take_bytes(self->in, mem, raw->mem, &resources->mem_bytes);
    take_seconds(self->in, wall, raw->wall, 1, year_s, &resources->wall_s);
}

void take_scales(struct reader *in, const char *list, const struct raw_scale *raw, size_t n,
                 size_t *n_out, struct mix_job_scale **out)
{
    struct mix_job_scale *scales = take_memory(in, n, sizeof *scales);
    if (!scales)
        return;
    *out = scales;
    *n_out = n;
    for (size_t s = 0; s < n; s++) {
        const struct entry entry = {in, list, s, &raw[s], &scales[s]};
        ITEM_KEY(item, "%s[%zu]", list, s);
        ITEM_KEY(n_tokens, "%s[%zu].n_tokens", list, s);
        take_n_params(&entry);
        take_number(in, n_tokens, raw[s].n_tokens, 1, size_max, &scales[s].n_tokens);
        for (size_t t = 0; in->status == MIX_OK && t < s; t++)
            if (scales[t].n_params == scales[s].n_params &&
                scales[t].n_tokens == scales[s].n_tokens)
                FAIL(in, item, "the same n_params and n_tokens as an earlier entry.");
        if (in->status == MIX_OK)
            take_checkpoints(&entry);
        take_resources(&entry);
        scales[s].n_replicates = 1;
        scales[s].n_replicated = SIZE_MAX;
    }
}

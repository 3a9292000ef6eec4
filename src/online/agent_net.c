/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_net.c - see agent_net.h for the networks. The tests compile this file a second time in
 * double. */
#include "online/agent_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 4,         /* tokens that the trunk without attention sees */
    WINDOW_WIDTH = 128, /* of its two layers */
    HEAD_WIDTH = 128,   /* of the critic's */
    ACTIONS = 256,      /* in a block: what a head has of them stays in the second-level cache */
    LINE = 16,          /* numbers that the kernels take at a time */
};

static const double LEAST_LOG_SIGMA = -4.0;

void agent_tokens(const struct mix_agent_space *space, const struct mix_agent_scale *scale,
                  bool blind, size_t n, const double *mixture, const double *feedback, real *tokens)
{
    const size_t d = space->n_slots;
    const double t = (double)space->n_decisions, even = 1.0 / (double)space->n_source;
    for (size_t j = 0; j < n; j++, tokens += agent_n_features(d)) {
        const double *now = feedback + j * d, *before = j == 0 ? feedback : now - d;
        for (size_t i = 0; i < d; i++) {
            const double a = j > 0 ? mixture[(j - 1) * d + i] : i < space->n_source ? even : 0.0;
            const double unit = 1.0 / scale->sigma[i];
            tokens[i] = (real)((double)d * a - 1.0);
            tokens[d + i] = blind ? 0 : (real)((now[i] - feedback[i]) * unit);
            tokens[2 * d + i] = blind ? 0 : (real)(sqrt(t) * (now[i] - before[i]) * unit);
        }
        tokens[3 * d] = (real)((double)j / t);
    }
}

static size_t up_to_line(size_t n)
{
    return (n + LINE - 1) / LINE * LINE;
}

static enum mix_status check(const struct agent_shape *s, enum agent_role role,
                             struct mix_error *err)
{
    const struct {
        const char *name;
        size_t value, least, most;
    } ranges[] = {
        {"slots", s->n_slots, 2, MIX_GROUPS_MAX},
        {"decisions", s->n_decisions, 1, AGENT_DECISIONS_MAX},
        {"channels of width", s->width, 16, 512},
        {"layers", s->n_layers, 1, 8},
        {"trajectories in a batch", s->batch, 1, 4096},
        {"actions per decision", role == AGENT_CRITIC ? s->n_actions : 1, 1, 1024},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
            return mix_fail(err, MIX_EINVAL, "agent: %zu %s; allowed are %zu to %zu",
                            ranges[i].value, ranges[i].name, ranges[i].least, ranges[i].most);
    if (s->trunk != MIX_AGENT_TRANSFORMER && s->trunk != MIX_AGENT_MLP)
        return mix_fail(err, MIX_EINVAL, "agent: no such trunk (%d)", (int)s->trunk);
    if (s->width % 16 != 0)
        return mix_fail(err, MIX_EINVAL, "agent: width is %zu; allowed are multiples of 16",
                        s->width);
    if (s->n_heads == 0 || s->width % s->n_heads != 0 || s->width / s->n_heads % 8 != 0)
        return mix_fail(err, MIX_EINVAL,
                        "agent: %zu heads do not divide width %zu into multiples of 8", s->n_heads,
                        s->width);
    return MIX_OK;
}

static size_t next(size_t *used, size_t n)
{
    const size_t here = *used;
    *used += n;
    return here;
}

static size_t n_outputs(const struct agent_net *net)
{
    return net->role == AGENT_POLICY ? 2 * (net->shape.n_slots - 1) : HEAD_WIDTH;
}

static void place_params(struct agent_net *net)
{
    const struct agent_shape *s = &net->shape;
    const size_t w = net->width;
    const bool window = s->trunk == MIX_AGENT_MLP;
    size_t used = 0;
    net->at.in = next(&used, net->input * w);
    net->at.place = next(&used, window ? w : s->n_decisions * w);
    net->at.weights = next(&used, window ? w * w : proxy_trunk_n_weights(w, s->n_layers));
    net->at.gains = next(&used, window ? w : proxy_trunk_n_gains(w, s->n_layers));
    net->at.head = next(&used, w * n_outputs(net));
    net->at.bias = next(&used, n_outputs(net));
    if (net->role == AGENT_CRITIC) {
        net->at.action = next(&used, s->n_slots * HEAD_WIDTH);
        net->at.last = next(&used, HEAD_WIDTH + 1);
    }
    net->n_params = used;
}

static void place_head(struct agent_net *net, size_t n_rows, real *base, size_t *used)
{
    const size_t d = net->shape.n_slots;
    net->out = proxy_take(base, used, n_rows * n_outputs(net));
    net->d_out = proxy_take(base, used, n_rows * n_outputs(net));
    if (net->role == AGENT_POLICY) {
        net->mu = proxy_take(base, used, n_rows * (d - 1));
        net->log_sigma = proxy_take(base, used, n_rows * (d - 1));
        return;
    }
    net->features = proxy_take(base, used, ACTIONS * d);
    net->up = proxy_take(base, used, n_rows * net->shape.n_actions * HEAD_WIDTH);
    net->act = proxy_take(base, used, ACTIONS * HEAD_WIDTH);
    net->d_act = proxy_take(base, used, ACTIONS * HEAD_WIDTH);
}

/* Numbers in the block; with a base, the arrays' places in it. */
static size_t place(struct agent_net *net, real *base)
{
    const struct agent_shape *s = &net->shape;
    const size_t n_rows = s->batch * s->n_decisions, n = up_to_line(net->n_params);
    size_t used = 0;
    net->params = proxy_take(base, &used, n);
    net->gradient = proxy_take(base, &used, n);
    net->first = proxy_take(base, &used, n);
    net->second = proxy_take(base, &used, n);
    net->tokens = proxy_take(base, &used, n_rows * net->input);
    net->h = proxy_take(base, &used, n_rows * net->width);
    net->d_h = proxy_take(base, &used, n_rows * net->width);
    if (s->trunk == MIX_AGENT_MLP) {
        net->up1 = proxy_take(base, &used, n_rows * WINDOW_WIDTH);
        net->act1 = proxy_take(base, &used, n_rows * WINDOW_WIDTH);
        net->d_act1 = proxy_take(base, &used, n_rows * WINDOW_WIDTH);
        net->up2 = proxy_take(base, &used, n_rows * WINDOW_WIDTH);
    } else {
        proxy_trunk_place(&net->layers, base, &used);
    }
    place_head(net, n_rows, base, &used);
    return used;
}

enum mix_status agent_net_create(const struct agent_shape *shape, enum agent_role role,
                                 const struct proxy_kernels *kernels, struct agent_net *net,
                                 struct mix_error *err)
{
    const bool window = shape->trunk == MIX_AGENT_MLP;
    const size_t n_features = agent_n_features(shape->n_slots);
    *net = (struct agent_net){0};
    enum mix_status status = check(shape, role, err);
    if (status != MIX_OK)
        return status;
    *net = (struct agent_net){
        .shape = *shape,
        .role = role,
        .kernels = kernels,
        .input = window ? WINDOW * n_features : n_features,
        .width = window ? WINDOW_WIDTH : shape->width,
    };
    if (!window)
        status = proxy_trunk_begin(&net->layers, shape->width, shape->n_layers, shape->n_heads,
                                   up_to_line(shape->n_decisions), shape->batch, kernels, err);
    if (status != MIX_OK)
        return status;
    place_params(net);
    const size_t n_bytes = place(net, NULL) * sizeof(real);
    net->block = aligned_alloc(64, n_bytes);
    if (net->block == NULL) {
        agent_net_destroy(net);
        return mix_fail(err, MIX_ENOMEM, "out of memory for an agent's network (%zu bytes)",
                        n_bytes);
    }
    memset(net->block, 0, n_bytes);
    place(net, net->block);
    if (!window)
        proxy_trunk_bind(&net->layers, net->params + net->at.weights,
                         net->gradient + net->at.weights, net->params + net->at.gains,
                         net->gradient + net->at.gains);
    return MIX_OK;
}

void agent_net_destroy(struct agent_net *net)
{
    proxy_trunk_end(&net->layers);
    free(net->block);
    *net = (struct agent_net){0};
}

/* Outputs begin near 0, which is the even mixture, with sigma near exp(-1). */
static void initialise_head(const struct agent_net *net, gsl_rng *rng)
{
    const size_t d = net->shape.n_slots, w = net->width;
    const double inward = 1.0 / sqrt((double)w);
    if (net->role == AGENT_POLICY) {
        proxy_draw(net->params + net->at.head, w * n_outputs(net), 0.1 * inward, rng);
        for (size_t i = 0; i + 1 < d; i++)
            net->params[net->at.bias + d - 1 + i] = (real)log(3.0); /* log sigma = -4 + 4 3 / 4 */
        return;
    }
    proxy_draw(net->params + net->at.head, w * HEAD_WIDTH, inward, rng);
    proxy_draw(net->params + net->at.action, d * HEAD_WIDTH, 1.0 / sqrt((double)d), rng);
    proxy_draw(net->params + net->at.last, HEAD_WIDTH, 0.1 / sqrt(HEAD_WIDTH), rng);
}

void agent_net_initialise(struct agent_net *net, gsl_rng *rng)
{
    const size_t w = net->width;
    real *p = net->params;
    memset(p, 0, net->n_params * sizeof *p);
    if (net->shape.trunk == MIX_AGENT_MLP) { /* twice the variance: GELU halves it */
        proxy_draw(p + net->at.in, net->input * w, sqrt(2.0 / (double)net->input), rng);
        proxy_draw(p + net->at.weights, w * w, sqrt(2.0 / (double)w), rng);
    } else {
        proxy_draw(p + net->at.in, net->input * w, 1.0 / sqrt((double)net->input), rng);
        proxy_draw(p + net->at.place, net->shape.n_decisions * w, 0.02, rng);
        proxy_trunk_initialise(&net->layers, p + net->at.weights, p + net->at.gains, rng);
    }
    initialise_head(net, rng);
}

/* out (n,w) = bias in each row */
static void repeat(size_t n, size_t w, const real *bias, real *out)
{
    for (size_t row = 0; row < n; row++)
        memcpy(out + row * w, bias, w * sizeof *out);
}

/* sum (w) += the rows of x (n,w) */
static void add_rows(size_t n, size_t w, const real *x, real *sum)
{
    for (size_t row = 0; row < n; row++)
        for (size_t i = 0; i < w; i++)
            sum[i] += x[row * w + i];
}

/* Histories are filled up to whole vectors; what stands behind their ends nobody before it sees. */
static void read_transformer(struct agent_net *net)
{
    struct proxy_trunk *layers = &net->layers;
    const size_t c = net->width, f = net->input, t = net->n_tokens, m = up_to_line(t);
    layers->context = m;
    layers->n_sequences = net->n_sequences;
    for (size_t s = 0; s < net->n_sequences; s++) {
        real *x = layers->x + s * m * c;
        memcpy(x, net->params + net->at.place, t * c * sizeof *x);
        memset(x + t * c, 0, (m - t) * c * sizeof *x);
        proxy_multiply(net->kernels, t, c, f, proxy_plain(net->tokens + s * t * f, f),
                       proxy_plain(net->params + net->at.in, c), 1, x, c);
    }
    proxy_trunk_forward(layers, NULL);
    for (size_t s = 0; s < net->n_sequences; s++)
        memcpy(net->h + s * t * c, layers->h + s * m * c, t * c * sizeof *net->h);
}

static void transformer_backward(struct agent_net *net)
{
    struct proxy_trunk *layers = &net->layers;
    const size_t c = net->width, f = net->input, t = net->n_tokens, m = layers->context;
    for (size_t s = 0; s < net->n_sequences; s++) {
        memcpy(layers->branch + s * m * c, net->d_h + s * t * c, t * c * sizeof *net->d_h);
        memset(layers->branch + (s * m + t) * c, 0, (m - t) * c * sizeof *net->d_h);
    }
    proxy_trunk_backward(layers, NULL);
    for (size_t s = 0; s < net->n_sequences; s++) {
        const real *d_x = layers->x + s * m * c;
        add_rows(1, t * c, d_x, net->gradient + net->at.place);
        proxy_multiply(net->kernels, f, c, t, proxy_flipped(net->tokens + s * t * f, f),
                       proxy_plain(d_x, c), 1, net->gradient + net->at.in, c);
    }
}

static void read_window(struct agent_net *net)
{
    const size_t n = net->n_rows, w = net->width, f = net->input;
    repeat(n, w, net->params + net->at.place, net->up1);
    proxy_multiply(net->kernels, n, w, f, proxy_plain(net->tokens, f),
                   proxy_plain(net->params + net->at.in, w), 1, net->up1, w);
    net->kernels->gelu_forward(n, w, w, net->up1, net->act1);
    repeat(n, w, net->params + net->at.gains, net->up2);
    proxy_multiply(net->kernels, n, w, w, proxy_plain(net->act1, w),
                   proxy_plain(net->params + net->at.weights, w), 1, net->up2, w);
    net->kernels->gelu_forward(n, w, w, net->up2, net->h);
}

static void window_backward(struct agent_net *net)
{
    const size_t n = net->n_rows, w = net->width, f = net->input;
    net->kernels->gelu_backward(n, w, w, net->up2, net->h, net->d_h);
    add_rows(n, w, net->d_h, net->gradient + net->at.gains);
    proxy_multiply(net->kernels, w, w, n, proxy_flipped(net->act1, w), proxy_plain(net->d_h, w), 1,
                   net->gradient + net->at.weights, w);
    /* act1 is not wanted until the next read, which makes it again */
    proxy_multiply(net->kernels, n, w, w, proxy_plain(net->d_h, w),
                   proxy_flipped(net->params + net->at.weights, w), 0, net->d_act1, w);
    net->kernels->gelu_backward(n, w, w, net->up1, net->act1, net->d_act1);
    add_rows(n, w, net->d_act1, net->gradient + net->at.place);
    proxy_multiply(net->kernels, f, w, n, proxy_flipped(net->tokens, f),
                   proxy_plain(net->d_act1, w), 1, net->gradient + net->at.in, w);
}

static size_t lesser(size_t n, size_t most)
{
    return n < most ? n : most;
}

/* Beside each token those before it, the newest first; before the first stand zeros. */
static void copy_windows(struct agent_net *net, const real *tokens)
{
    const size_t f = net->input / WINDOW;
    memset(net->tokens, 0, net->n_rows * net->input * sizeof *net->tokens);
    for (size_t row = 0; row < net->n_rows; row++)
        for (size_t i = 0; i < lesser(row % net->n_tokens + 1, WINDOW); i++)
            memcpy(net->tokens + row * net->input + i * f, tokens + (row - i) * f,
                   f * sizeof *tokens);
}

static void split_policy(struct agent_net *net)
{
    const size_t m = net->shape.n_slots - 1;
    for (size_t row = 0; row < net->n_rows; row++)
        for (size_t i = 0; i < m; i++) {
            const double raw = (double)net->out[(2 * row + 1) * m + i];
            net->mu[row * m + i] = net->out[2 * row * m + i];
            /* a logistic function: a hard bound would let nothing back that is beyond it */
            net->log_sigma[row * m + i] =
                (real)(LEAST_LOG_SIGMA - LEAST_LOG_SIGMA / (1.0 + exp(-raw)));
        }
}

/* From h to mu and log sigma, or to what the critic's head adds actions to. */
static void read_head(struct agent_net *net)
{
    const size_t w = net->width, n_out = n_outputs(net);
    repeat(net->n_rows, n_out, net->params + net->at.bias, net->out);
    proxy_multiply(net->kernels, net->n_rows, n_out, w, proxy_plain(net->h, w),
                   proxy_plain(net->params + net->at.head, n_out), 1, net->out, n_out);
    if (net->role == AGENT_POLICY)
        split_policy(net);
}

void agent_net_read(struct agent_net *net, size_t n, size_t t, const real *tokens)
{
    net->n_sequences = n;
    net->n_tokens = t;
    net->n_rows = n * t;
    if (net->shape.trunk == MIX_AGENT_MLP) {
        copy_windows(net, tokens);
        read_window(net);
    } else {
        memcpy(net->tokens, tokens, net->n_rows * net->input * sizeof *tokens);
        read_transformer(net);
    }
    read_head(net);
}

/* The window's trunk has its last tokens beside one another, the newest first. */
static void shift_window(struct agent_net *net, size_t row, const real *token)
{
    const size_t f = net->input / WINDOW;
    if (row == 0)
        memset(net->tokens, 0, net->input * sizeof *net->tokens);
    else
        memmove(net->tokens + f, net->tokens, (WINDOW - 1) * f * sizeof *net->tokens);
    memcpy(net->tokens, token, f * sizeof *token);
}

void agent_net_extend(struct agent_net *net, size_t row, const real *token)
{
    const size_t w = net->width, f = net->input;
    net->n_sequences = net->n_tokens = net->n_rows = 1;
    if (net->shape.trunk == MIX_AGENT_MLP) {
        shift_window(net, row, token);
        read_window(net);
    } else {
        memcpy(net->layers.x, net->params + net->at.place + row * w, w * sizeof *net->params);
        proxy_multiply(net->kernels, 1, w, f, proxy_plain(token, f),
                       proxy_plain(net->params + net->at.in, w), 1, net->layers.x, w);
        proxy_trunk_extend(&net->layers, row);
        memcpy(net->h, net->layers.h, w * sizeof *net->h);
    }
    read_head(net);
}

/* From d_out to the gradients of all that stands before it. */
static void read_backward(struct agent_net *net)
{
    const size_t n = net->n_rows, w = net->width, n_out = n_outputs(net);
    add_rows(n, n_out, net->d_out, net->gradient + net->at.bias);
    proxy_multiply(net->kernels, w, n_out, n, proxy_flipped(net->h, w),
                   proxy_plain(net->d_out, n_out), 1, net->gradient + net->at.head, n_out);
    proxy_multiply(net->kernels, n, w, n_out, proxy_plain(net->d_out, n_out),
                   proxy_flipped(net->params + net->at.head, n_out), 0, net->d_h, w);
    if (net->shape.trunk == MIX_AGENT_MLP)
        window_backward(net);
    else
        transformer_backward(net);
}

void agent_net_policy_backward(struct agent_net *net, const real *d_mu, const real *d_log_sigma)
{
    const size_t m = net->shape.n_slots - 1;
    for (size_t row = 0; row < net->n_rows; row++)
        for (size_t i = 0; i < m; i++) {
            const double log_sigma = (double)net->log_sigma[row * m + i];
            const double slope = log_sigma * (1.0 - log_sigma / LEAST_LOG_SIGMA);
            net->d_out[2 * row * m + i] = d_mu[row * m + i];
            net->d_out[(2 * row + 1) * m + i] = (real)(-slope * (double)d_log_sigma[row * m + i]);
        }
    read_backward(net);
}

/* n actions to numbers of mean 0 and, under the uniform distribution, deviation near 1. */
static void scale_actions(size_t n_slots, size_t n, const real *actions, real *features)
{
    for (size_t i = 0; i < n * n_slots; i++)
        features[i] = (real)n_slots * actions[i] - 1;
}

static real dot(const real *a, const real *b)
{
    real sum[LINE] = {0}, total = 0;
    for (size_t i = 0; i < HEAD_WIDTH; i += LINE)
        for (size_t lane = 0; lane < LINE; lane++)
            sum[lane] += a[i + lane] * b[i + lane];
    for (size_t lane = 0; lane < LINE; lane++)
        total += sum[lane];
    return total;
}

void agent_net_values(struct agent_net *net, size_t n_actions, const real *actions, real *values)
{
    const size_t d = net->shape.n_slots, n_all = net->n_rows * n_actions;
    const real *v = net->params + net->at.last;
    for (size_t begin = 0; begin < n_all; begin += ACTIONS) {
        const size_t n = lesser(n_all - begin, ACTIONS);
        real *up = net->up + begin * HEAD_WIDTH;
        scale_actions(d, n, actions + begin * d, net->features);
        for (size_t i = 0; i < n; i++)
            memcpy(up + i * HEAD_WIDTH, net->out + (begin + i) / n_actions * HEAD_WIDTH,
                   HEAD_WIDTH * sizeof *up);
        proxy_multiply(net->kernels, n, HEAD_WIDTH, d, proxy_plain(net->features, d),
                       proxy_plain(net->params + net->at.action, HEAD_WIDTH), 1, up, HEAD_WIDTH);
        net->kernels->gelu_forward(n, HEAD_WIDTH, HEAD_WIDTH, up, net->act);
        for (size_t i = 0; i < n; i++)
            values[begin + i] = dot(net->act + i * HEAD_WIDTH, v) + v[HEAD_WIDTH];
    }
}

/* What the actions begin ... begin + n - 1 bring to the head's gradients and to d_out. */
static void learn_block(struct agent_net *net, size_t n_actions, size_t begin, size_t n,
                        const real *d_values)
{
    const size_t d = net->shape.n_slots;
    real *d_v = net->gradient + net->at.last;
    for (size_t i = 0; i < n; i++) {
        const real *act = net->act + i * HEAD_WIDTH;
        for (size_t j = 0; j < HEAD_WIDTH; j++)
            d_v[j] += d_values[i] * act[j];
        d_v[HEAD_WIDTH] += d_values[i];
        add_rows(1, HEAD_WIDTH, net->d_act + i * HEAD_WIDTH,
                 net->d_out + (begin + i) / n_actions * HEAD_WIDTH);
    }
    proxy_multiply(net->kernels, d, HEAD_WIDTH, n, proxy_flipped(net->features, d),
                   proxy_plain(net->d_act, HEAD_WIDTH), 1, net->gradient + net->at.action,
                   HEAD_WIDTH);
}

void agent_net_values_backward(struct agent_net *net, size_t n_actions, const real *actions,
                               const real *d_values, bool learn, real *d_actions)
{
    const size_t d = net->shape.n_slots, n_all = net->n_rows * n_actions;
    const real *v = net->params + net->at.last;
    if (learn)
        memset(net->d_out, 0, net->n_rows * HEAD_WIDTH * sizeof *net->d_out);
    for (size_t begin = 0; begin < n_all; begin += ACTIONS) {
        const size_t n = lesser(n_all - begin, ACTIONS);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < HEAD_WIDTH; j++)
                net->d_act[i * HEAD_WIDTH + j] = d_values[begin + i] * v[j];
        net->kernels->gelu_backward(n, HEAD_WIDTH, HEAD_WIDTH, net->up + begin * HEAD_WIDTH,
                                    net->act, net->d_act);
        if (learn) {
            scale_actions(d, n, actions + begin * d, net->features);
            learn_block(net, n_actions, begin, n, d_values + begin);
        }
        if (d_actions == NULL)
            continue;
        proxy_multiply(net->kernels, n, d, HEAD_WIDTH, proxy_plain(net->d_act, HEAD_WIDTH),
                       proxy_flipped(net->params + net->at.action, HEAD_WIDTH), 0,
                       d_actions + begin * d, d);
        for (size_t i = begin * d; i < (begin + n) * d; i++)
            d_actions[i] *= (real)d;
    }
    if (learn)
        read_backward(net);
}

double agent_net_step(struct agent_net *net, double rate, double clip)
{
    const size_t n = up_to_line(net->n_params);
    const struct proxy_step step = {
        .rate = rate, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .clip = clip};
    const double norm = sqrt(net->kernels->sum_of_squares(n, net->gradient));
    if (isfinite(norm))
        proxy_step(net->kernels, &step, net->n_steps++, norm, n, n, net->gradient, net->params,
                   net->first, net->second);
    memset(net->gradient, 0, n * sizeof *net->gradient);
    return norm;
}

void agent_net_follow(struct agent_net *net, const struct agent_net *from, double share)
{
    if (share == 1.0)
        memcpy(net->params, from->params, net->n_params * sizeof *net->params);
    else
        for (size_t i = 0; i < net->n_params; i++)
            net->params[i] += (real)share * (from->params[i] - net->params[i]);
}

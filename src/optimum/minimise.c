/* SPDX-License-Identifier: GPL-3.0-or-later */
/* minimise.c - see minimise.h for the method. */
#include "optimum/minimise_impl.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixsweep/optimum.h"

enum {
    MEMORY = 8,          /* values the non-monotone line search looks back on */
    PATIENCE = 15,       /* steps of descent that may gain nothing */
    DESCENT_STEPS = 300, /* a warm start needs about ten */
    NEWTON_STEPS = 40,   /* each step may also meet one more bound */
    HALVINGS = 40        /* of a step before it is given up */
};
static const double TOLERANCE = 1e-11; /* of kkt / scale: ten times better than promised */
static const double HANDOVER = 1e-3;   /* of kkt / scale: where Newton takes over */
static const double KINK = 1e-8;       /* of kkt / scale: above it no smooth minimum was found */
static const double WORTH = 1e-8;      /* relative fall of the value that counts */
static const double SUFFICIENT = 1e-4; /* Armijo's constant */
static const double ON_BOUND = 1e-15;  /* of a share: the step was meant to end on the bound */
static const double ROUNDING = 8 * DBL_EPSILON;
static const double STEP_RANGE = 1e6;  /* largest spectral step times the gradient's scale */
static const double DIFFERENCE = 1e-5; /* of a share: its change in a difference of gradients */
static const double DIFFERENCE_MIN = 1e-9;

struct mix_minimiser *mix_minimiser_create(size_t n)
{
    struct mix_minimiser *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->n = n;
    m->n_seen = 2 * n + 16;
    const size_t n_vectors = 9, n_matrices = 2 * n + 3 * m->n_seen;
    m->block = malloc((n_vectors * n + n_matrices * n + 3 * m->n_seen) * sizeof *m->block);
    m->free = malloc((n + 1) * sizeof *m->free);
    if (m->block == NULL || m->free == NULL) {
        mix_minimiser_destroy(m);
        return NULL;
    }
    double **vectors[] = {&m->here.h,         &m->here.gradient, &m->trial.h,
                          &m->trial.gradient, &m->aside.h,       &m->aside.gradient,
                          &m->direction,      &m->work,          &m->step};
    double *next = m->block;
    for (size_t i = 0; i < n_vectors; i++, next += n)
        *vectors[i] = next;
    m->hessian = next;
    m->matrix = m->hessian + n * n;
    m->seen = m->matrix + n * n;
    m->slopes = m->seen + m->n_seen * n;
    m->pieces = m->slopes + m->n_seen * n;
    m->values = m->pieces + m->n_seen * n;
    m->bonus = m->values + m->n_seen;
    m->weights = m->bonus + m->n_seen;
    return m;
}

void mix_minimiser_destroy(struct mix_minimiser *m)
{
    if (m == NULL)
        return;
    free(m->block);
    free(m->free);
    free(m);
}

const double *mix_minimiser_gradient(const struct mix_minimiser *m)
{
    return m->here.gradient;
}

bool mix_cholesky_factor(size_t n, double *a)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            if (j < i)
                a[i * n + j] = sum / a[j * n + j];
            else if (sum > 0.0 && isfinite(sum))
                a[i * n + i] = sqrt(sum);
            else
                return false;
        }
    }
    return true;
}

void mix_cholesky_forward(size_t n, const double *l, double *b)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            b[i] -= l[i * n + k] * b[k];
        b[i] /= l[i * n + i];
    }
}

void mix_cholesky_back(size_t n, const double *l, double *b)
{
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            b[i] -= l[k * n + i] * b[k];
        b[i] /= l[i * n + i];
    }
}

enum mix_status minimise_evaluate(struct mix_minimiser *m, const struct mix_problem *p,
                                  struct point *point, struct mix_error *err)
{
    m->n_evaluations++;
    return p->objective(p->context, point->h, &point->value, point->gradient, err);
}

/* Largest slope among the shares between their bounds (a share held by its bound may pull as hard
 * as it likes), else among all; 1 where the gradient vanishes. */
static double gradient_scale(const struct mix_minimiser *m, const struct mix_problem *p,
                             const struct point *point)
{
    double between = 0.0, any = 0.0;
    for (size_t i = 0; i < m->n; i++) {
        const double slope = fabs(point->gradient[i]);
        any = fmax(any, slope);
        if (point->h[i] > p->lower[i] && point->h[i] < p->upper[i])
            between = fmax(between, slope);
    }
    return between > 0.0 ? between : any > 0.0 ? any : 1.0;
}

void minimise_certify(struct mix_minimiser *m, const struct mix_problem *p, struct point *point)
{
    const double scale = gradient_scale(m, p, point);
    double largest = 0.0;
    for (size_t i = 0; i < m->n; i++)
        m->work[i] = point->h[i] - point->gradient[i] / scale;
    mix_simplex_project(m->n, m->work, p->lower, p->upper);
    for (size_t i = 0; i < m->n; i++)
        largest = fmax(largest, fabs(point->h[i] - m->work[i]));
    point->scale = scale;
    point->kkt = scale * largest;
}

void minimise_swap(struct mix_minimiser *m)
{
    const struct point here = m->here;
    m->here = m->trial;
    m->trial = here;
}

void minimise_set_trial(struct mix_minimiser *m, const struct mix_problem *p, double alpha)
{
    for (size_t i = 0; i < m->n; i++) {
        const double lower = p->lower[i], upper = p->upper[i], d = m->direction[i];
        const double h = m->here.h[i] + alpha * d;
        m->trial.h[i] = d < 0.0 && h < lower + ON_BOUND   ? lower
                        : d > 0.0 && h > upper - ON_BOUND ? upper
                                                          : h;
    }
}

double minimise_slope(const struct mix_minimiser *m)
{
    double slope = 0.0;
    for (size_t i = 0; i < m->n; i++)
        slope += m->here.gradient[i] * m->direction[i];
    return slope;
}

/* Line search of the descent: accepts what is below the highest of the last values. */
static enum mix_status search_line(struct mix_minimiser *m, const struct mix_problem *p,
                                   double ceiling, bool *moved, struct mix_error *err)
{
    const double slope = minimise_slope(m);
    double alpha = 1.0;
    *moved = false;
    for (int i = 0; i < HALVINGS && slope < 0.0; i++) {
        minimise_set_trial(m, p, alpha);
        const enum mix_status status = minimise_evaluate(m, p, &m->trial, err);
        if (status != MIX_OK)
            return status;
        if (m->trial.value <= ceiling + SUFFICIENT * alpha * slope) {
            *moved = true;
            return MIX_OK;
        }
        const double bend = 2.0 * (m->trial.value - m->here.value - alpha * slope);
        const double guess = -slope * alpha * alpha / bend; /* minimum of the parabola */
        alpha = guess > 0.1 * alpha && guess < 0.5 * alpha ? guess : 0.5 * alpha;
    }
    return MIX_OK;
}

/* Barzilai and Borwein's step from the last move: |s|^2 / s.y, large where the curve bends down. */
static double spectral_step(const struct mix_minimiser *m, double scale)
{
    double ss = 0.0, sy = 0.0;
    for (size_t i = 0; i < m->n; i++) {
        const double s = m->here.h[i] - m->trial.h[i]; /* trial holds the point before */
        ss += s * s;
        sy += s * (m->here.gradient[i] - m->trial.gradient[i]);
    }
    const double step = sy > 0.0 ? ss / sy : INFINITY;
    return fmin(fmax(step, 1.0 / (STEP_RANGE * scale)), STEP_RANGE / scale);
}

/* Spectral projected gradient from m->here until Newton can take over or nothing moves. */
static enum mix_status descend(struct mix_minimiser *m, const struct mix_problem *p,
                               struct mix_error *err)
{
    double last[MEMORY];
    for (size_t i = 0; i < MEMORY; i++)
        last[i] = m->here.value;
    double sigma = 0.1 / m->here.scale, lowest = m->here.value;
    int since = 0; /* steps without a fall that is worth them: a kink, or a long narrow valley */
    for (int step = 0;
         step < DESCENT_STEPS && since < PATIENCE && m->here.kkt > HANDOVER * m->here.scale;
         step++) {
        for (size_t i = 0; i < m->n; i++)
            m->direction[i] = m->here.h[i] - sigma * m->here.gradient[i];
        mix_simplex_project(m->n, m->direction, p->lower, p->upper);
        for (size_t i = 0; i < m->n; i++)
            m->direction[i] -= m->here.h[i];
        double ceiling = last[0];
        for (size_t i = 1; i < MEMORY; i++)
            ceiling = fmax(ceiling, last[i]);
        bool moved = false;
        const enum mix_status status = search_line(m, p, ceiling, &moved, err);
        if (status != MIX_OK || !moved)
            return status;
        minimise_swap(m);
        minimise_certify(m, p, &m->here);
        last[step % MEMORY] = m->here.value;
        sigma = spectral_step(m, m->here.scale);
        since = m->here.value < lowest - WORTH * fabs(lowest) ? 0 : since + 1;
        lowest = fmin(lowest, m->here.value);
    }
    return MIX_OK;
}

size_t minimise_find_free(struct mix_minimiser *m, const struct mix_problem *p)
{
    const struct point *here = &m->here;
    for (size_t i = 0; i < m->n; i++)
        m->work[i] = here->h[i] - here->gradient[i] / here->scale;
    mix_simplex_project(m->n, m->work, p->lower, p->upper);
    size_t n_free = 0, reference = 0;
    double room = -1.0;
    for (size_t i = 0; i < m->n; i++) {
        const double h = here->h[i], lo = p->lower[i], hi = p->upper[i];
        if ((h <= lo || h >= hi) && m->work[i] == h)
            continue;
        if (fmin(h - lo, hi - h) > room) {
            room = fmin(h - lo, hi - h);
            reference = n_free;
        }
        m->free[n_free++] = i;
    }
    if (n_free < 2 || room <= 0.0)
        return 0;
    const size_t share = m->free[reference];
    m->free[reference] = m->free[n_free - 1];
    m->free[n_free - 1] = share;
    return n_free;
}

enum mix_status minimise_add_hessian(struct mix_minimiser *m, const struct mix_problem *p,
                                     const struct point *at, size_t n_free, double weight,
                                     struct mix_error *err)
{
    const size_t n = n_free - 1, reference = m->free[n];
    for (size_t c = 0; c < n; c++) {
        const size_t i = m->free[c];
        const double t = fmax(DIFFERENCE * fmin(at->h[i], at->h[reference]), DIFFERENCE_MIN);
        memcpy(m->trial.h, at->h, m->n * sizeof *m->trial.h);
        m->trial.h[i] += t;
        m->trial.h[reference] -= t;
        const enum mix_status status = minimise_evaluate(m, p, &m->trial, err);
        if (status != MIX_OK)
            return status;
        const double of_reference = m->trial.gradient[reference] - at->gradient[reference];
        for (size_t r = 0; r < n; r++) {
            const size_t j = m->free[r];
            const double bend = (m->trial.gradient[j] - at->gradient[j] - of_reference) / t;
            const size_t place = r > c ? r * n + c : c * n + r; /* the mean of both triangles */
            m->hessian[place] += weight * (r == c ? bend : 0.5 * bend);
        }
    }
    return MIX_OK;
}

/* Newton step of the shares whose `held` is 0; the diagonal grows until the matrix is positive
 * definite. */
static bool solve_step(struct mix_minimiser *m, size_t n, const double *held)
{
    const size_t reference = m->free[n];
    for (double shift = 0.0; shift < 1e6; shift = shift == 0.0 ? 1e-6 : 10.0 * shift) {
        for (size_t r = 0; r < n; r++) {
            for (size_t c = 0; c < r; c++)
                m->matrix[r * n + c] = held[r] + held[c] > 0.0 ? 0.0 : m->hessian[r * n + c];
            const double diagonal = m->hessian[r * n + r];
            m->matrix[r * n + r] = held[r] > 0.0 ? 1.0 : diagonal + shift * fabs(diagonal);
            m->step[r] =
                held[r] > 0.0 ? 0.0 : m->here.gradient[reference] - m->here.gradient[m->free[r]];
        }
        for (size_t r = 0; r < n && shift >= 1.0; r++)
            m->matrix[r * n + r] += shift * m->here.scale; /* also where the diagonal is 0 */
        if (mix_cholesky_factor(n, m->matrix)) {
            mix_cholesky_forward(n, m->matrix, m->step);
            mix_cholesky_back(n, m->matrix, m->step);
            return true;
        }
    }
    return false;
}

void minimise_set_direction(struct mix_minimiser *m, size_t n_free)
{
    double sum = 0.0;
    memset(m->direction, 0, m->n * sizeof *m->direction);
    for (size_t r = 0; r + 1 < n_free; r++) {
        m->direction[m->free[r]] = m->step[r];
        sum += m->step[r];
    }
    m->direction[m->free[n_free - 1]] = -sum;
}

/* Newton's direction; shares that sit on a bound and would cross it are held there. */
static bool set_newton_direction(struct mix_minimiser *m, const struct mix_problem *p,
                                 size_t n_free)
{
    const size_t n = n_free - 1;
    double *held = m->work;
    memset(held, 0, n * sizeof *held);
    for (bool settled = false; !settled;) {
        if (!solve_step(m, n, held))
            return false;
        settled = true;
        for (size_t r = 0; r < n; r++) {
            const double h = m->here.h[m->free[r]];
            const bool crosses = (h <= p->lower[m->free[r]] && m->step[r] < 0.0) ||
                                 (h >= p->upper[m->free[r]] && m->step[r] > 0.0);
            if (crosses && held[r] == 0.0) {
                held[r] = 1.0;
                settled = false;
            }
        }
    }
    minimise_set_direction(m, n_free);
    return true;
}

double minimise_longest_step(const struct mix_minimiser *m, const struct mix_problem *p,
                             double most)
{
    double alpha = most;
    for (size_t i = 0; i < m->n; i++) {
        const double d = m->direction[i];
        if (d < 0.0)
            alpha = fmin(alpha, (p->lower[i] - m->here.h[i]) / d);
        else if (d > 0.0)
            alpha = fmin(alpha, (p->upper[i] - m->here.h[i]) / d);
    }
    return fmax(alpha, 0.0);
}

/* One Newton step with line search. Where rounding hides the fall of the value, a step counts that
 * lowers the KKT residual. */
static enum mix_status newton_step(struct mix_minimiser *m, const struct mix_problem *p,
                                   bool *moved, struct mix_error *err)
{
    *moved = false;
    const size_t n_free = minimise_find_free(m, p);
    if (n_free == 0)
        return MIX_OK;
    memset(m->hessian, 0, (n_free - 1) * (n_free - 1) * sizeof *m->hessian);
    enum mix_status status = minimise_add_hessian(m, p, &m->here, n_free, 1.0, err);
    if (status != MIX_OK || !set_newton_direction(m, p, n_free))
        return status;
    const double slope = minimise_slope(m);
    double alpha = minimise_longest_step(m, p, 1.0);
    for (int i = 0; i < HALVINGS && slope < 0.0 && alpha > 0.0; i++, alpha *= 0.5) {
        minimise_set_trial(m, p, alpha);
        status = minimise_evaluate(m, p, &m->trial, err);
        if (status != MIX_OK)
            return status;
        minimise_certify(m, p, &m->trial);
        const double fall = m->here.value - m->trial.value;
        const double noise = ROUNDING * fabs(m->here.value);
        const bool below = fall >= -SUFFICIENT * alpha * slope && fall > noise;
        if (below || (fall >= -noise && m->trial.kkt < 0.9 * m->here.kkt)) {
            minimise_swap(m);
            *moved = true;
            return MIX_OK;
        }
    }
    return MIX_OK;
}

static enum mix_status polish(struct mix_minimiser *m, const struct mix_problem *p,
                              struct mix_error *err)
{
    bool moved = true;
    enum mix_status status = MIX_OK;
    for (int step = 0; step < NEWTON_STEPS && moved && status == MIX_OK; step++) {
        if (m->here.kkt <= TOLERANCE * m->here.scale)
            break;
        status = newton_step(m, p, &moved, err);
    }
    return status;
}

/* The projection of what lies on a bound may be some 1e-17 off it, and no step would get far. */
static void snap_to_bounds(struct mix_minimiser *m, const struct mix_problem *p)
{
    for (size_t i = 0; i < m->n; i++) {
        if (fabs(m->here.h[i] - p->lower[i]) <= ON_BOUND)
            m->here.h[i] = p->lower[i];
        else if (fabs(m->here.h[i] - p->upper[i]) <= ON_BOUND)
            m->here.h[i] = p->upper[i];
    }
}

enum mix_status mix_minimise(struct mix_minimiser *m, const struct mix_problem *p, double *h,
                             struct mix_minimum *minimum, struct mix_error *err)
{
    m->n_evaluations = 0;
    memcpy(m->here.h, h, m->n * sizeof *h);
    mix_simplex_project(m->n, m->here.h, p->lower, p->upper);
    snap_to_bounds(m, p);
    enum mix_status status = minimise_evaluate(m, p, &m->here, err);
    if (status != MIX_OK)
        return status;
    if (!isfinite(m->here.value))
        return mix_fail(err, MIX_ENUMERIC, "the objective is %g at a start", m->here.value);
    minimise_certify(m, p, &m->here);
    status = descend(m, p, err);
    if (status == MIX_OK)
        status = polish(m, p, err);
    if (status != MIX_OK)
        return status;
    if (m->here.kkt > fmax(KINK * m->here.scale, p->enough))
        status = minimise_on_kink(m, p, err);
    if (status != MIX_OK)
        return status;
    memcpy(h, m->here.h, m->n * sizeof *h);
    mix_simplex_project(m->n, h, p->lower, p->upper); /* the sum, exact to the last digit */
    *minimum = (struct mix_minimum){.value = m->here.value,
                                    .kkt = m->here.kkt,
                                    .scale = m->here.scale,
                                    .n_evaluations = m->n_evaluations};
    return MIX_OK;
}

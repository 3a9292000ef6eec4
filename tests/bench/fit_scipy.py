# SPDX-License-Identifier: GPL-3.0-or-later
"""Law capacity by SciPy and by JAX from the starts that bench_fit prints: time and loss.

Usage: bench.fit.bench starts | fit_scipy.py. The law of arXiv 2606.08167 over all runs at once, with
its exact Jacobian by least_squares, and where JAX is there with its compiled gradients by L-BFGS-B: the
capacity competition by Newton steps in the multiplier, the linear parameters A and E fitted with
the others, one thread. Compilation is not counted.
"""
import os
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"
try:
    import numpy as np
    from scipy.optimize import least_squares, minimize
except ImportError:
    print("skipped: there is no SciPy (Debian python3-scipy)")
    sys.exit(0)

K = 7
rows, starts = [], []
for line in sys.stdin:
    kind, *numbers = line.split()
    (rows if kind == "row" else starts).append([float(x) for x in numbers])
rows = np.array(rows)
N, D, h, y = rows[:, 0], rows[:, 1], rows[:, 2:2 + K], rows[:, 2 + K:]
LN_H, LN_D = np.log(np.maximum(h, 1e-300)), np.log(D)[:, None]
LN_N_H = np.maximum(LN_H, np.log(1e-4))
N_MIN = N.min()


def parts(z):
    return [z[i * K:(i + 1) * K] for i in range(5)] + [z[5 * K]]


def solve(z):
    """Losses, and what their derivatives are made of. z: ln b, ln c, A, ln a, E, logit H / N_MIN."""
    ln_b, ln_c, A, ln_a, E, eta = parts(z)
    b, a = np.exp(ln_b), np.exp(ln_a)
    H = N_MIN / (1.0 + np.exp(-eta))
    e, q = 1.0 / (b + 1.0), LN_H + ln_b + ln_c
    ln_total = np.log(N + (K - 1) * H)
    mu = np.max(q - np.log(N)[:, None] / e, axis=1)
    for _ in range(30):
        free = (q - mu[:, None]) * e
        active = free > np.log(H)
        x = np.exp(np.where(active, free, np.log(H)))
        total = x.sum(axis=1)
        step = (np.log(total) - ln_total) * total / np.maximum((x * e * active).sum(axis=1), 1e-300)
        mu = mu + step
        if np.all(np.abs(step) <= 1e-13 * (1.0 + np.abs(mu))):
            break
    free = (q - mu[:, None]) * e
    active = free > np.log(H)
    ln_x = np.where(active, free, np.log(H))
    noise = np.exp(-a * (LN_D + LN_N_H))
    term = np.exp(ln_c - b * ln_x)
    return term, noise, ln_x, active, b, a, e, H, eta


def residuals(z):
    term, noise = solve(z)[:2]
    return (term + z[2 * K:3 * K] * noise + z[4 * K:5 * K] - y).ravel()


def jacobian(z):
    term, noise, ln_x, active, b, a, e, H, eta = solve(z)
    A, n = z[2 * K:3 * K], len(N)
    J = np.zeros((n, K, 5 * K + 1))
    x_e = np.exp(ln_x) * e * active
    weight = np.maximum(x_e.sum(axis=1, keepdims=True), 1e-300)
    share = x_e / weight                                # d mu / d ln c
    v = np.zeros((n, 5 * K + 1))
    v[:, :K], v[:, K:2 * K] = share * (1.0 - b * ln_x), share
    slope = H / (1.0 + np.exp(eta)) / H                 # d ln H / d eta
    v[:, 5 * K] = -(active.sum(axis=1) - 1.0) * H / weight[:, 0] * slope
    u = np.where(active, term * b * e, 0.0)             # d loss / d mu
    J += u[:, :, None] * v[:, None, :]
    i = np.arange(K)
    by_c = np.where(active, term * e, term)
    J[:, i, i] += by_c * b * (-ln_x - active)
    J[:, i, K + i] += by_c
    J[:, i, 2 * K + i] = noise
    J[:, i, 3 * K + i] = -A * noise * a * (LN_D + LN_N_H)
    J[:, i, 4 * K + i] = 1.0
    J[:, :, 5 * K] += np.where(active, 0.0, -term * b * slope)
    return J.reshape(n * K, -1)


low = np.concatenate([np.full(K, np.log(1e-3)), np.full(K, -40.0), np.zeros(K),
                      np.full(K, np.log(1e-3)), np.zeros(K), [-18.0]])
high = np.concatenate([np.full(K, np.log(8.0)), np.full(K, 60.0), np.full(K, np.inf),
                       np.full(K, np.log(8.0)), np.full(K, np.inf), [18.0]])


def by_least_squares(z):
    fit = least_squares(residuals, z, jac=jacobian, bounds=(low, high), x_scale="jac",
                        ftol=1e-10, xtol=1e-10, gtol=1e-10, max_nfev=400)
    return 2.0 * fit.cost / y.size


def jax_objective():
    """Mean square and gradient, compiled; None where there is no JAX."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    xp = jax.numpy

    def mean_square(z):
        ln_b, ln_c, A, ln_a, E, eta = parts(z)
        b, a = xp.exp(ln_b), xp.exp(ln_a)
        low_ln = xp.log(N_MIN) - xp.log1p(xp.exp(-eta))
        e, q = 1.0 / (b + 1.0), LN_H + ln_b + ln_c
        ln_total = xp.log(N + (K - 1) * xp.exp(low_ln))

        def newton(mu):
            free = (q - mu[:, None]) * e
            x = xp.exp(xp.maximum(free, low_ln))
            total, slope = x.sum(axis=1), (x * e * (free > low_ln)).sum(axis=1)
            return mu + (xp.log(total) - ln_total) * total / xp.maximum(slope, 1e-300)

        mu = jax.lax.stop_gradient(xp.max(q - xp.log(N)[:, None] / e, axis=1))
        for _ in range(12):
            mu = jax.lax.stop_gradient(newton(mu))
        mu = newton(mu)  # its derivative at the root is that of the root
        ln_x = xp.maximum((q - mu[:, None]) * e, low_ln)
        loss = xp.exp(ln_c - b * ln_x) + A * xp.exp(-a * (LN_D + LN_N_H)) + E
        return xp.mean((loss - y) ** 2)

    compiled = jax.jit(jax.value_and_grad(mean_square))

    def call(z):
        value, slope = compiled(z)
        return float(value), np.asarray(slope)
    return call


def compare(name, search):
    """The search from every start against ours; time ratio and what is reached."""
    ours, theirs, ratio = [], [], []
    for seconds, objective, *p in starts:
        b, c, A, a, E = (np.array(p[i * K:(i + 1) * K]) for i in range(5))
        share = min(max(p[5 * K] / N_MIN, 1e-7), 1.0 - 1e-7)
        z = np.concatenate([np.log(b), np.log(c), A, np.log(a), E, [np.log(share / (1.0 - share))]])
        z = np.clip(z, low + 1e-9, high - 1e-9)
        begin = time.process_time()
        reached = search(z)
        took = time.process_time() - begin
        ours.append(objective)
        theirs.append(reached)
        ratio.append(took / seconds)
        print(f"  {1e3 * seconds:8.3f} ms to {objective:.6e}   {name} {1e3 * took:8.1f} ms to "
              f"{reached:.6e}   {took / seconds:.0f} times")
    print(f"{name}: median {np.median(ratio):.0f} times our time of {len(ratio)} starts (goal: 100); "
          f"best reached {min(ours):.6e}, {name} {min(theirs):.6e}")


compare("SciPy", by_least_squares)
objective = jax_objective()
if objective is None:
    print("skipped: there is no JAX (pip install jax scipy)")
else:
    middle = np.clip(np.zeros(low.size), np.where(np.isfinite(low), low, 0.0), high)
    objective(middle)  # compiles
    box = list(zip(low, np.where(np.isfinite(high), high, None)))
    compare("JAX", lambda z: minimize(objective, z, jac=True, method="L-BFGS-B", bounds=box,
                                      options={"maxiter": 5000, "maxfun": 10000,
                                               "ftol": 1e-12, "gtol": 1e-9}).fun)

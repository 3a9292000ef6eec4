#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""analyse.py S.h5 [PLOT.png] - runs, bootstrap draws and optima of a sweep file in Python.

Needs h5py; draws where matplotlib is installed. A sweep file is plain HDF5: take what you need.
With pandas, a table of runs is

    f = h5py.File("sweep.h5")
    rows = len(f["runs/key"])
    runs = pandas.DataFrame({n: v[:] for n, v in f["runs"].items() if v.shape == (rows,)})

and with xarray (h5netcdf), whose dimensions are key (a row), domain, target, draw and param,

    runs = xarray.open_dataset("sweep.h5", group="runs", engine="h5netcdf")
    done = runs.where((runs.status == 0) & (runs.is_final == 1), drop=True)
    done.loss.groupby(done.n_params).mean("key")

Texts are bytes there: .astype(str). Every dataset has its unit as an attribute.
"""

import sys

import h5py
import numpy as np

DONE = 0


def text(values):
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def load_runs(f):
    """Done runs that fits may use: sizes, shares (R,K) and losses (R,M), with their names."""
    runs = f["runs"]
    good = (runs["status"][:] == DONE) & (runs["is_final"][:] == 1) & (runs["excluded"][:] == 0)
    loss = runs["loss"][:][good]
    measured = ~np.isnan(loss).all(axis=0)
    return {
        "domains": text(f["domains/name"][:]),
        "targets": text(f["targets/name"][:][measured]),
        "n_params": runs["n_params"][:][good],
        "n_tokens": runs["n_tokens"][:][good],
        "mixture": runs["mixture"][:][good],
        "loss": loss[:, measured],
    }


def load_draws(f, fit):
    """Parameters (B,P) of the finished draws of a fit, and their names."""
    draws = f["bootstrap"][fit]
    done = draws["done"][:] == 1
    return text(draws["param"][:]), draws["params"][:][done]


def print_runs(runs):
    print(f"{len(runs['loss'])} runs, {len(runs['domains'])} domains, {len(runs['targets'])} targets")
    for size in np.unique(runs["n_params"]):
        losses = runs["loss"][runs["n_params"] == size]
        mean = losses.mean(axis=1)
        best = runs["mixture"][runs["n_params"] == size][np.nanargmin(mean)]
        shares = ", ".join(f"{d} {h:.2f}" for d, h in zip(runs["domains"], best))
        print(f"  {size:.3g} parameters: mean loss {np.nanmean(mean):.4f}, best {np.nanmin(mean):.4f} at {shares}")


def print_draws(f, fit):
    names, params = load_draws(f, fit)
    low, middle, high = np.nanquantile(params, [0.05, 0.5, 0.95], axis=0)
    print(f"draws of {fit}: {len(params)}")
    for name, *quantiles in list(zip(names, low, middle, high))[:5]:
        print("  {:<24s} {:10.4g} ({:.4g} ... {:.4g})".format(name, quantiles[1], quantiles[0], quantiles[2]))


def print_optimum(name, optimum):
    a = optimum.attrs
    print(f"optimum {name} at {a['n_params']:.3g} parameters, {a['n_tokens']:.3g} tokens: "
          f"loss {a['objective']:.4f} ({a['objective_lo']:.4f} ... {a['objective_hi']:.4f})")
    columns = (optimum[n][:] for n in ("domain", "mixture", "mixture_lo", "mixture_hi", "seen_max"))
    for domain, share, low, high, seen in zip(*columns):
        print(f"  {text([domain])[0]:<24s} {share:.3f} ({low:.3f} ... {high:.3f}), seen up to {seen:.3f}")


def plot(runs, optima, path):
    """Loss against size; the optima with their intervals."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plot")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    left.semilogx(runs["n_params"], runs["loss"].mean(axis=1), ".", alpha=0.4)
    left.set(xlabel="parameters", ylabel="mean loss")
    for i, (name, optimum) in enumerate(optima.items()):
        share, y = optimum["mixture"][:], np.arange(len(optimum["mixture"])) + 0.15 * i
        ends = np.abs(np.nan_to_num([share - optimum["mixture_lo"][:], optimum["mixture_hi"][:] - share]))
        right.errorbar(share, y, xerr=ends, fmt="o", label=name)
    right.set(yticks=range(len(runs["domains"])), yticklabels=runs["domains"], xlabel="share")
    if optima:
        right.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    with h5py.File(sys.argv[1]) as f:
        runs = load_runs(f)
        print_runs(runs)
        for fit in f.get("bootstrap", {}):
            print_draws(f, fit)
        optima = dict(f.get("optimum", {}))
        for name, optimum in optima.items():
            print_optimum(name, optimum)
        if len(sys.argv) == 3:
            plot(runs, optima, sys.argv[2])


if __name__ == "__main__":
    main()

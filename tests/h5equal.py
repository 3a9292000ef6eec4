#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two sweep files: h5equal.py A.h5 B.h5

Equal means: the same groups, datasets and attributes, values equal bit for bit (any NaN equals any
NaN), but for provenance (times, host, rank, attempts, versions); the rows of /runs are compared in
the order of their keys. Prints the first difference.
Exit status: 0 equal, 1 different, 2 a file cannot be read.
"""
import sys

import h5py
import numpy as np

PROVENANCE_DATASETS = {
    "/runs/" + name for name in ("wall_s", "started", "ended", "host", "rank", "attempts")
} | {"/domains/files"}
# Seconds that an online run, a trajectory or a fit took.
PROVENANCE_ENDINGS = {
    "/online": ("/mixer_s", "/train_s", "/measure_s"),
    "/agent": ("train_s", "measure_s", "agent_s"),
    "/compare": ("/fit_s",),
}
PROVENANCE_ATTRIBUTES = {"created", "mixsweep_version", "mixsweep_commit", "train_s"}
# HDF5's own bookkeeping of dimension scales: object addresses, compared as names below.
REFERENCES = {"DIMENSION_LIST", "REFERENCE_LIST"}


class Different(Exception):
    pass


def check_same(where, what, a, b):
    if a != b:
        raise Different(f"{where}: {what} {a!r} and {b!r}")


def check_values(where, a, b):
    a, b = np.asarray(a), np.asarray(b)
    check_same(where, "type", a.dtype, b.dtype)
    check_same(where, "shape", a.shape, b.shape)
    if a.dtype.kind == "f":
        same = (a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")) | (np.isnan(a) & np.isnan(b))
    else:
        same = a == b
    if not np.all(same):
        at = tuple(int(i) for i in np.argwhere(~np.atleast_1d(same))[0])
        values = np.atleast_1d(a)[at], np.atleast_1d(b)[at]
        raise Different(f"{where}: entry {list(at)} is {values[0]!r} and {values[1]!r}")


def check_attributes(where, a, b):
    names = [sorted(set(o.attrs) - PROVENANCE_ATTRIBUTES - REFERENCES) for o in (a, b)]
    check_same(where, "attributes", names[0], names[1])
    for name in names[0]:
        check_values(f"{where}@{name}", a.attrs[name], b.attrs[name])


def scale_names(dataset):
    return [[scale.name for scale in dim.values()] for dim in dataset.dims]


def row_order(runs):
    return np.argsort(runs["key"][...], kind="stable")


def check_dataset(where, a, b, orders):
    check_same(where, "dimension scales", scale_names(a), scale_names(b))
    if where in PROVENANCE_DATASETS or any(
        where.startswith(group + "/") and where.endswith(endings)
        for group, endings in PROVENANCE_ENDINGS.items()
    ):
        check_same(where, "shape", a.shape, b.shape)
        return
    values = a[...], b[...]
    if orders is not None and a.dims[0].values() and a.dims[0][0].name == "/runs/key":
        values = values[0][orders[0]], values[1][orders[1]]
    elif orders is not None and where == "/runs/key":
        values = values[0][orders[0]], values[1][orders[1]]
    check_values(where, *values)


def check_group(where, a, b, orders=None):
    check_attributes(where or "/", a, b)
    check_same(where or "/", "objects", sorted(a), sorted(b))
    if where == "/runs":
        check_same(where, "rows", a["key"].shape, b["key"].shape)
        orders = row_order(a), row_order(b)
    for name in sorted(a):
        path, left, right = f"{where}/{name}", a[name], b[name]
        check_same(path, "kind", type(left).__name__, type(right).__name__)
        if isinstance(left, h5py.Group):
            check_group(path, left, right, orders)
        else:
            check_attributes(path, left, right)
            check_dataset(path, left, right, orders)


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with h5py.File(arguments[0], "r") as a, h5py.File(arguments[1], "r") as b:
            check_group("", a, b)
    except Different as difference:
        print(f"{arguments[0]} and {arguments[1]} differ: {difference}")
        return 1
    except (OSError, KeyError, RuntimeError) as error:
        print(f"cannot compare {arguments[0]} and {arguments[1]}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

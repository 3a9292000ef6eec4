# SPDX-License-Identifier: GPL-3.0-or-later
"""draws.py table T.csv SEED - write a table of proxy runs to be fitted.
draws.py count S.h5 FIT - print how many different bootstrap draws of FIT are in the file or in the
logs beside it. It reads the logs by itself, so that the program is not its own witness."""
import csv
import glob
import os
import random
import struct
import sys

import h5py

MAGIC, DRAW, HEADER_BYTES, CRC_BYTES, ALIGN = 0x3152584D, 2, 16, 4, 8


def write_table(path, seed):
    rng = random.Random(seed)
    domains = ["web", "code", "books"]
    with open(path, "w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["run", "n_params", "n_tokens"] + ["h_" + d for d in domains]
                       + ["loss_" + d for d in domains])
        for mixture in range(20):
            weights = [rng.gammavariate(1.5, 1.0) + 0.02 for _ in domains]
            shares = [round(w / sum(weights), 6) for w in weights]
            shares[0] = round(1 - shares[1] - shares[2], 6)
            for n_params in (6e7, 1.5e8, 4e8):
                losses = [(1.5 + 0.2 * i + (2e6 * (1 + i) / n_params / (h + 0.02)) ** 0.3)
                          * rng.gauss(1, 0.003) for i, h in enumerate(shares)]
                table.writerow([f"m{mixture}-{n_params:.0e}", n_params, 20 * n_params] + shares
                               + [f"{loss:.6f}" for loss in losses])


def records(data):
    """(kind, head, body) of each whole record; a torn tail is passed over."""
    at = 0
    while at + HEADER_BYTES <= len(data):
        magic, kind, n_head, n_body = struct.unpack_from("<4I", data, at)
        size = HEADER_BYTES + n_head + n_body + CRC_BYTES
        if magic != MAGIC or at + size > len(data):
            at += ALIGN
            continue
        body = at + HEADER_BYTES + n_head
        yield kind, data[at + HEADER_BYTES:body], data[body:body + n_body]
        at += -(-size // ALIGN) * ALIGN


def count_draws(path, fit):
    draws = set()
    with h5py.File(path, "r") as file:
        if f"bootstrap/{fit}/done" in file:
            draws.update(i for i, done in enumerate(file[f"bootstrap/{fit}/done"][:]) if done)
    for log in glob.glob(path + ".log/rank-*"):
        try:
            with open(log, "rb") as opened:
                data = opened.read()
        except FileNotFoundError:
            continue
        for kind, head, body in records(data):
            if kind == DRAW and head.split(b"\0")[0].decode() == fit:
                draws.add(struct.unpack_from("<Q", body)[0])
    return len(draws)


if sys.argv[1] == "table":
    write_table(sys.argv[2], int(sys.argv[3]))
else:
    print(count_draws(os.path.abspath(sys.argv[2]), sys.argv[3]))

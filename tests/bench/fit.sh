#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fit.sh BUILD [PYTHON] - the speed of fits: bootstrap refits and how good they are, one fit of all
# checkpoints, two ranks against one, growth, and the same fits by SciPy and JAX from the same
# starts, one thread each. PYTHON has SciPy, and JAX where that is to be compared (pip install jax
# scipy); a peer that is not there is skipped, and so is what needs the tables of MIXSWEEP_SHARED.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tests=$1/tests python=${2:-/usr/bin/python3}
table=${MIXSWEEP_SHARED:-$here/../../../shared}/data/slimpajama7.csv
export OPENBLAS_NUM_THREADS=1
echo "machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg)"

# seconds RANKS: of 4,000 draws, without the launcher's
seconds() {
    cp "$scratch/sweep.h5" "$scratch/draws.h5"
    mpirun -n "$1" "$mixsweep" bootstrap "$scratch/draws.h5" --fit capacity --draws 4000 --format json \
        2>"$scratch/err" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["wall_s"])'
}

if [ -r "$table" ]; then
    echo "bootstrap of capacity, 60 runs x 7 targets (goal: 10,000 draws in 20 s, 99 of 100 within 1%)"
    "$tests/bench.draws.bench" "$table" n_params=122e6,n_tokens=9.998e9 0
    echo "the same, losses of domains below 0.1 masked (goal: 95 of 100 within 1%)"
    "$tests/bench.draws.bench" "$table" n_params=122e6,n_tokens=9.998e9 0.1
    echo "one fit, all checkpoints up to 680M x 7 targets (goal: transfer in 0.25 s)"
    for law in transfer capacity additive; do
        "$tests/bench.draws.bench" "$table" 'n_params<=680e6' $law
    done
    scratch=$(mktemp -d) mixsweep=$1/mixsweep
    trap 'rm -rf "$scratch"' EXIT
    "$mixsweep" import "$table" --where n_params=122e6,n_tokens=9.998e9 -o "$scratch/sweep.h5" >"$scratch/out"
    "$mixsweep" fit "$scratch/sweep.h5" --law capacity --holdout none >"$scratch/out" 2>"$scratch/err"
    one=$(seconds 1) two=$(seconds 2)
    "$python" -c "print(f'4,000 draws: {$one:.2f} s on one rank, {$two:.2f} s on two, {$one / $two:.2f} times (goal: 1.95)')"
else
    echo "skipped: there is no $table"
fi
"$tests/bench.fit.bench"
"$tests/bench.fit.bench" starts | "$python" "$here/fit_scipy.py"

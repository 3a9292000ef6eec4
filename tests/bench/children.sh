#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# children.sh BUILD [RUNS [ROUNDS]] - commands per second: a sweep of RUNS (2000) /bin/true, one rank,
# two at once, on a file system in memory, beside a bare posix_spawn loop, xargs -P2, GNU parallel,
# mpi4py.futures and libEnsemble; a peer that is not there is named and left out (PYTHON=FILE says which
# Python has the last two). Medians of ROUNDS (5) alternating rounds, on the wall clock from the first
# line to the last, and of the processor seconds of a run with all its children; for a quiet machine.
set -eu
build=$(cd "$1" && pwd)
runs=${2:-2000}
rounds=${3:-5}
python=${PYTHON:-python3}
export OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >job.yaml <<YAML
job: children
file: children.h5
domains: [{name: web}, {name: code}, {name: wiki}]
design: {mixtures: $((runs / 2)), replicates: 2}
scales: [{n_params: 1e6, n_tokens: 1e9}]
sweep:
  evaluator: command
  command: {argv: [/bin/true], slots: 2, result: none, keep: none}
YAML
cat >futures.py <<'PY'
import subprocess, sys
from mpi4py.futures import MPIPoolExecutor
def run(i):
    return subprocess.call(["/bin/true"])
if __name__ == "__main__":
    with MPIPoolExecutor() as pool:
        assert sum(pool.map(run, range(int(sys.argv[1])))) == 0
PY
cat >ensemble.py <<'PY'
import subprocess, sys
import numpy
from libensemble.libE import libE
def generate(H, persis_info, gen_specs, libE_info):
    return numpy.zeros(int(sys.argv[1]), dtype=[("x", float)]), persis_info
def simulate(H, persis_info, sim_specs, libE_info):
    out = numpy.zeros(1, dtype=[("f", float)])
    out["f"] = subprocess.call(["/bin/true"])
    return out, persis_info
libE({"sim_f": simulate, "in": ["x"], "out": [("f", float)]},
     {"gen_f": generate, "out": [("x", float)]}, {"sim_max": int(sys.argv[1])},
     libE_specs={"comms": "local", "nworkers": 2, "disable_log_files": True, "safe_mode": False})
PY

mixsweep() { rm -rf children.h5* && "$build/mixsweep" sweep job.yaml >/dev/null; }
bare_1() { "$build/tests/bench.children.bench" "$runs" 1 >/dev/null; }
bare_2() { "$build/tests/bench.children.bench" "$runs" 2 >/dev/null; }
xargs_2() { seq "$runs" | xargs -P2 -n1 /bin/true; }
parallel_2() { seq "$runs" | parallel -j2 --joblog log /bin/true {} 2>/dev/null; }
futures() { mpirun -n 3 --oversubscribe "$python" -m mpi4py.futures futures.py "$runs"; }
ensemble() { "$python" ensemble.py "$runs" >/dev/null 2>&1; }

names=(mixsweep bare_1 bare_2)
add() { # NAME COMMAND... that tells whether it is there
    local name=$1
    shift
    if "$@" >/dev/null 2>&1; then names+=("$name"); else echo "$name: not installed"; fi
}
add xargs_2 type -P xargs
add parallel_2 type -P parallel
add futures "$python" -c 'import mpi4py.futures'
add ensemble "$python" -c 'import libensemble'

TIMEFORMAT='%R %U %S'
for ((round = 0; round < rounds; round++)); do
    for name in "${names[@]}"; do
        if ! { time $name 2>errors; } 2>seconds; then
            echo "$name failed: $(cat errors)"
            exit 1
        fi
        awk '{ print $1, $2 + $3 }' seconds >>"times.$name"
    done
done
median() { sort -n <(cut -d' ' -f"$2" "times.$1") | sed -n "$((rounds / 2 + 1))p"; }
for name in "${names[@]}"; do
    awk -v name="$name" -v n="$runs" -v s="$(median "$name" 1)" -v cpu_s="$(median "$name" 2)" \
        -v ours="$(median mixsweep 1)" 'BEGIN {
            printf "%-10s %6.0f per second, %6.0f per processor second", name, n / s, n / cpu_s
            print (name == "mixsweep" ? "" : sprintf("; mixsweep %.2f times as fast", s / ours)) }'
done

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# quickstart.sh - from nothing to an optimal mixture: installs what is missing, builds, and runs
# jobs/quickstart.yaml on all cores. The result is quickstart.h5 in the current folder; run again,
# it does only what is not done yet.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
log=$root/build/quickstart.log

bash "$root/jobs/setup.sh"
mkdir -p "$root/build"
if ! (cd "$root" && cmake --preset release && cmake --build --preset release --target mixsweep) \
    >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "quickstart: the build failed; all of its output is in $log." >&2
    exit 1
fi

if [ "$(id -u)" = 0 ]; then # mpirun refuses root unless told, which a container has to
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Containers forbid the single-copy shortcut between ranks, and Open MPI would say so at length.
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# Without -n there is one rank per core, or per slot of the allocation.
mpirun "$root/build/release/mixsweep" run "$root/jobs/quickstart.yaml"
echo
echo "the result is $PWD/quickstart.h5; the program is $root/build/release/mixsweep"

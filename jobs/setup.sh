#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# setup.sh [--tests] - install what building (and testing) mixsweep needs and this machine lacks.
# With apt as root or by sudo; elsewhere it lists what is missing and what to load. Says nothing
# when nothing is missing.
set -eu

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tests=0
[ "${1:-}" = --tests ] && tests=1

missing=() packages=() modules=()

# need NAME "DEBIAN PACKAGES" MODULE COMMAND... - NAME is there when COMMAND succeeds
need() {
    local name=$1 debian=$2 module=$3
    shift 3
    "$@" >/dev/null 2>&1 && return
    missing+=("$name")
    modules+=("$module")
    local package
    for package in $debian; do packages+=("$package"); done
}

cmake_is_recent() {
    local version
    version=$(cmake --version | sed -n '1s/[^0-9]*//p')
    [ "$(printf '%s\n3.25\n' "$version" | sort -V | head -n 1)" = 3.25 ]
}
# Debian's h5py belongs to Debian's Python, whichever python3 comes first on PATH.
python() { if [ -x /usr/bin/python3 ]; then /usr/bin/python3 "$@"; else python3 "$@"; fi; }
compiles() { echo 'int main(void) { return 0; }' | "$@" -o /dev/null -; }

check() {
    missing=() packages=() modules=()
    need "a C compiler" "gcc libc6-dev" gcc compiles cc -x c
    need "CMake 3.25 or newer" cmake cmake cmake_is_recent
    need Ninja ninja-build ninja command -v ninja
    need pkg-config pkg-config pkgconf command -v pkg-config
    need "Open MPI" "libopenmpi-dev openmpi-bin" openmpi command -v mpicc
    need HDF5 libhdf5-dev hdf5 eval 'command -v h5cc || pkg-config --exists hdf5'
    need GSL libgsl-dev gsl pkg-config --exists gsl
    need libcyaml libcyaml-dev libcyaml pkg-config --exists libcyaml
    need libyaml libyaml-dev libyaml pkg-config --exists yaml-0.1
    need Jansson libjansson-dev jansson pkg-config --exists jansson
    need zlib zlib1g-dev zlib pkg-config --exists zlib
    need OpenBLAS libopenblas-dev openblas pkg-config --exists openblas
    need gnuplot gnuplot-nox gnuplot command -v gnuplot
    [ $tests = 1 ] || return 0
    need cmocka libcmocka-dev cmocka pkg-config --exists cmocka
    need "a C++ compiler" g++ gcc compiles c++ -x c++
    need clang clang llvm command -v clang
    need "clang's sanitizers" "clang libclang-rt-14-dev" llvm compiles clang -fsanitize=address -x c
    need clang-format clang-format llvm command -v clang-format
    need clang-tidy clang-tidy llvm command -v clang-tidy
    need "h5py and SciPy for Python" "python3-h5py python3-scipy" py-h5py \
        python -c 'import h5py, scipy'
    need "HDF5's tools" hdf5-tools hdf5 command -v h5dump
    if command -v dpkg >/dev/null; then # what CPack makes a Debian package with
        need "Debian's packaging tools" "dpkg-dev file" "" eval 'command -v dpkg-shlibdeps && command -v file'
    fi
    # The tests of slurm/ start a cluster of their own, with a script that is not part of this tree.
    if [ -x "${MIXSWEEP_SHARED:-$root/../shared}/slurm-sandbox" ] && command -v apt-get >/dev/null; then
        need Slurm "slurm-wlm munge" slurm test -x /usr/sbin/slurmctld -a -x /usr/sbin/munged
    fi
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
    local log status=0
    log=$(mktemp)
    {
        as_root apt-get -o DPkg::Lock::Timeout=300 -qq update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
                -qq -y --no-install-recommends install "${packages[@]}"
    } >"$log" 2>&1 || status=$?
    [ $status = 0 ] || tail -n 20 "$log" >&2
    rm -f "$log"
    return $status
}

say() { printf '%s\n' "$*" >&2; }
join() { local IFS=,; local all="$*"; echo "${all//,/, }"; }

check
[ ${#missing[@]} = 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    say "missing: $(join "${missing[@]}")."
    say "Load them (names differ from site to site) and run this again:"
    say "    module load $(printf '%s\n' "${modules[@]}" | sort -u | tr '\n' ' ')"
    exit 1
fi
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    say "missing: $(join "${missing[@]}"). As root:"
    say "    apt-get update && apt-get install ${packages[*]}"
    exit 1
fi
say "installing $(join "${missing[@]}")"
if ! install_packages; then
    say "the packages could not be installed: ${packages[*]}."
    exit 1
fi
check
if [ ${#missing[@]} != 0 ]; then
    say "still missing after the installation: $(join "${missing[@]}")."
    exit 1
fi

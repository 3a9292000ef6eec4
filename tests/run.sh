#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# run.sh [--full] - everything that is tested, from nothing: installs what is missing, builds with
# gcc (release and asan) and clang, runs all tests on both gcc builds, fuzzes for some seconds, checks
# lint and format. --full fuzzes for minutes and adds the long campaigns tests/*/full_*.sh; what has
# passed with the same program is not run again. The last line is "N passed, N failed, N skipped"; exit status 0 where N failed is 0.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
full=0
[ "${1:-}" = --full ] && full=1

bash jobs/setup.sh --tests
python=/usr/bin/python3 # Debian's, which has h5py
[ -x $python ] || python=python3
logs=$PWD/build/logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
cores=$(nproc)

say() { printf '%-28s %s\n' "$1" "$2"; }

# check NAME COMMAND... - one test: passes when the command succeeds
check() {
    local name=$1 start=$SECONDS
    shift
    if "$@" >"$logs/$name.log" 2>&1; then
        passed=$((passed + 1))
        say "$name" "ok, $((SECONDS - start)) s"
    else
        failed=$((failed + 1))
        say "$name" "FAILED"
        tail -n 40 "$logs/$name.log"
        return 1
    fi
}

build() { cmake --preset "$1" && cmake --build --preset "$1" -j "$cores"; }

# run_ctest PRESET ARGUMENTS...
run_ctest() {
    local preset=$1 start=$SECONDS p f s
    shift
    rm -f "$logs/$preset.xml"
    # Two at a time on a core: many tests wait for children, kills or Slurm.
    # What failed runs once more by itself; that it failed before is shown all the same.
    rm -f "$logs/$preset-again.xml"
    # All output is kept: the cases of a program are counted by its last lines.
    ctest --test-dir "build/$preset" -j "$((2 * cores))" --output-junit "$logs/$preset.xml" \
        --test-output-size-passed 10000000 "$@" \
        >"$logs/ctest-$preset.log" 2>&1 ||
        ctest --test-dir "build/$preset" --rerun-failed --output-junit "$logs/$preset-again.xml" \
            >"$logs/ctest-$preset-again.log" 2>&1 || true
    if ! read -r p f s < <("$python" .ci/count.py "$preset" "$logs/$preset.xml" \
        "$logs/$preset-again.xml"); then
        tail -n 20 "$logs/ctest-$preset.log"
        p=0 f=1 s=0
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    say "ctest-$preset" "$p passed, $f failed, $s skipped, $((SECONDS - start)) s"
}

sources() { find include src tests -name '*.[ch]' | sort; }
check_format() { sources | xargs clang-format --dry-run -Werror; }
lint() { clang-tidy -quiet -p build/clang "$@" 2>/dev/null; }
export -f lint
check_lint() { # the two files that define what analyzer.h wraps do without it
    local log=$logs/clang-tidy.txt status=0
    find src -name '*.c' ! -path src/core/status.c ! -path src/task/ranks.c | sort |
        xargs -P "$cores" -I{} bash -c 'lint "$@"' lint {} \
            --extra-arg=-include --extra-arg="$PWD/.ci/analyzer.h" >"$log" || status=1
    lint src/core/status.c src/task/ranks.c >>"$log" || status=1
    grep -E '(error|warning):' "$log" | sort -u
    [ $status = 0 ]
}

# fuzz NAME SECONDS - from the kept inputs and what earlier runs found
fuzz() {
    local inputs=build/fuzz/$1
    mkdir -p "$inputs"
    [ ! -d "tests/fuzz/corpus/$1" ] || cp -r "tests/fuzz/corpus/$1/." "$inputs"
    "build/clang/tests/fuzz.$1.fuzz" -max_total_time="$2" -artifact_prefix="$inputs-" "$inputs"
}

finish_fuzz() { # PID NAME
    local status=0
    wait "$1" || status=$?
    cat "$logs/fuzz-$2.txt"
    return $status
}

fuzz_all() { # briefly: all at once, each for 5 s of a core
    local names name seconds
    local -A pids=()
    names=$(find tests/fuzz -name 'fuzz_*.c' | sed 's/.*fuzz_//; s/\.c$//' | sort)
    if [ $full = 1 ]; then
        for name in $names; do once "fuzz-$name" fuzz "$name" 300; done
        return
    fi
    seconds=$((5 * $(wc -w <<<"$names") / cores + 1))
    for name in $names; do
        fuzz "$name" $seconds >"$logs/fuzz-$name.txt" 2>&1 &
        pids[$name]=$!
    done
    for name in $names; do
        check "fuzz-$name" finish_fuzz "${pids[$name]}" "$name" || true
    done
}

# once NAME COMMAND... - a long check; not run again where it has passed with the same program
once() {
    local stamp=$PWD/build/full/$1.passed
    mkdir -p build/full
    if [ "$stamp" -nt build/release/mixsweep ]; then
        passed=$((passed + 1))
        say "$1" "ok, passed before"
    elif check "$@"; then
        touch "$stamp"
    fi
}

run_campaigns() {
    local name
    for name in $(ctest --test-dir build/release -C full -N -R '\.full$' |
        sed -n 's/.*Test .*: \(.*\.full\)$/\1/p'); do
        once "$name" ctest --test-dir build/release -C full -V -R "^$name\$" --no-tests=error
    done
}

if check build-release build release; then run_ctest release; fi
if check build-asan build asan; then run_ctest asan --label-exclude '^build$'; fi
if check build-clang build clang; then
    fuzz_all
    check lint check_lint || true
fi
check format check_format || true
[ $full = 0 ] || run_campaigns

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]

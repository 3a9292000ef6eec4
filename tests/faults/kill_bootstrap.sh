#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kill_bootstrap.sh KILLS [SEED] - kill -9 a bootstrap on two ranks at random moments, the whole job
# or one rank; after each kill no finished draw may be lost, and once the same command gets to its
# end it has redone none of them and the file equals that of an undisturbed run.
set -eu
kills=$1 seed=${2:-1}
faults=$MIXSWEEP_TESTS/faults
python=${MIXSWEEP_PYTHON:-/usr/bin/python3}
draws=300 law=capacity
RANDOM=$seed

# A launcher that is killed leaves its folder and its shared memory behind: keep them together.
TMPDIR=$(mktemp -d)
export TMPDIR OMPI_MCA_btl_vader_backing_directory=$TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

die() {
    echo "kill_bootstrap.sh $kills $seed: after $n_kills kills: $*"
    exit 1
}
bootstrap() { # FILE
    exec mpirun -n 2 "$MIXSWEEP" bootstrap "$1" --fit $law --draws $draws --format json
}
count() { "$python" "$faults/draws.py" count "$1" $law; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

n_kills=0
"$python" "$faults/draws.py" table runs.csv "$seed"
"$MIXSWEEP" import runs.csv -o fitted.h5 >import.out
"$MIXSWEEP" fit fitted.h5 --law $law --starts 8 --holdout none >fit.out
cp fitted.h5 undisturbed.h5
started=$(now_ms)
(bootstrap undisturbed.h5) >undisturbed.json 2>undisturbed.err || die "it fails undisturbed"
span=$(($(now_ms) - started))

# kill_at MS: start the command on killed.h5, kill it after so long; false where it was done first.
kill_at() {
    local job ranks rank victims guard status
    (bootstrap killed.h5) >killed.json 2>killed.err &
    job=$!
    sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
    kill -STOP $job 2>/dev/null || true # it starts no more ranks while we look
    read -ra ranks < <(cat /proc/$job/task/*/children 2>/dev/null | tr '\n' ' ') || true
    victims=($job "${ranks[@]}")
    what="the whole job"
    if [ ${#ranks[@]} = 2 ] && [ $((RANDOM % 2)) = 0 ]; then
        rank=$((RANDOM % 2))
        victims=("${ranks[$rank]}") # the launcher ends the other one
        what="rank $rank"
    fi
    kill -9 "${victims[@]}" 2>/dev/null || true
    kill -CONT $job 2>/dev/null || true
    # Open MPI's launcher may wait for ever for a rank that was killed in MPI_Init: end it too.
    (sleep 20 && kill -9 $job) >/dev/null 2>&1 &
    guard=$!
    status=0
    wait $job || status=$?
    kill $guard 2>/dev/null || true
    [ $status != 0 ] || return 1
    for pid in "${ranks[@]}"; do
        while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
    done
} 2>/dev/null # bash announces killed jobs

# finish: the command undisturbed; what it resumed is what was there, the end is the same.
finish() {
    local there=$1 resumed
    resumed=$(sed -n 's/.*"resumed": *\([0-9]*\).*/\1/p' killed.json)
    [ "$resumed" = "$there" ] || die "$there draws were there, \"$resumed\" were resumed"
    [ "$(count killed.h5)" = $draws ] || die "$(count killed.h5) of $draws draws are there at the end"
    "$python" "$MIXSWEEP_TESTS/h5equal.py" undisturbed.h5 killed.h5 ||
        die "the file differs from that of the undisturbed run"
    [ -z "$(ls -A killed.h5.log 2>/dev/null)" ] || die "logs are left over"
}

n_jobs=0 n_resumed=0
while [ $n_kills -lt "$kills" ]; do
    rm -rf killed.h5*
    cp fitted.h5 killed.h5
    there=0
    while [ $n_kills -lt "$kills" ] && kill_at $((RANDOM % span)); do
        n_kills=$((n_kills + 1))
        counted=$(count killed.h5)
        echo "kill $n_kills, $what: $counted draws are there"
        [ "$counted" -ge "$there" ] || die "of $there finished draws $counted are left"
        there=$counted
    done
    # It was done first: the undisturbed run was timed on a busier machine.
    if [ $n_kills -lt "$kills" ] && [ $span -gt 400 ]; then span=$((span * 3 / 4)); fi
    [ $n_kills -lt "$kills" ] || (bootstrap killed.h5) >killed.json 2>killed.err ||
        die "the command does not resume: $(cat killed.err)"
    finish "$there"
    n_jobs=$((n_jobs + 1)) n_resumed=$((n_resumed + there))
done
echo "$n_kills kills in $n_jobs jobs, $n_resumed draws resumed, none lost"

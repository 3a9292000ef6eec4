# SPDX-License-Identifier: GPL-3.0-or-later
# A sweep of commands: equal on 1 to 4 ranks whatever fails and is tried again, resumed after a signal,
# after kill -9 and shard by shard without a run lost or done twice, stopped before the wall time.
. "$MIXSWEEP_TESTS/lib.sh"
fails() { # STATUS ARGUMENTS...
    local wanted=$1 status=0
    shift
    "$MIXSWEEP" "$@" >out 2>err || status=$?
    [ $status = "$wanted" ] || die "mixsweep $* ended with $status, not $wanted"
}
sweep() { "$MIXSWEEP" sweep job.yaml "$@" >out 2>err || die "mixsweep sweep job.yaml $* failed"; }

# job [SECONDS [KEYS]]: 16 runs of 24 rows; a third of them fails at first, and each notes that it was done
job() {
    cat <<YAML
job: cmd
file: s.h5
domains: [{name: web, prior: 0.5}, {name: code, prior: 0.3}, {name: wiki, prior: 0.2}]
design: {mixtures: 8, strength: [0.5, 3], replicates: 1}
scales:
  - {n_params: 40e6, n_tokens: 1e9}
  - {n_params: 100e6, n_tokens: 2e9, checkpoints: [1e9, 2e9]}
sweep:
  evaluator: command
  command: {argv: [sh, ../proxy, "${1:-0}", "{h:web}"], backoff: 0s, grace: 5s, result: stdout, slots: 2${2:-}}
YAML
}
cat >proxy <<'SH'
[ -e mended ] || case $MIXSWEEP_SEED-$MIXSWEEP_ATTEMPT in *[123]-1) exit 9 ;; esac
sleep "$1"
rows=
for tokens in $(echo "$MIXSWEEP_CHECKPOINTS" | tr , ' '); do
    rows="$rows${rows:+, }{\"tokens\": $tokens, \"loss\": {\"web\": $2, \"code\": 2.$tokens$MIXSWEEP_SEED}}"
done
echo "{\"checkpoints\": [$rows]}"
echo "$MIXSWEEP_RUN" >>done
SH

for n in 1 2 3 4; do
    mkdir "ranks$n"
    job >"ranks$n/job.yaml"
    cd "ranks$n"
    mpirun -n "$n" --oversubscribe "$MIXSWEEP" sweep job.yaml >out 2>err || die "a sweep on $n ranks failed"
    matches '16/16 runs, 0 failed'
    [ "$(sort -u done | wc -l)" = 16 ] && [ "$(wc -l <done)" = 16 ] || die "not every run was done once"
    cd ..
    equal ranks1/s.h5 "ranks$n/s.h5"
done
"$MIXSWEEP" export ranks4/s.h5 runs -o runs.csv
grep -q ',2,' runs.csv || die "nothing was tried twice" # attempts

# once_more MOST - all is done now, and only what was under way twice
once_more() {
    sweep
    matches "resuming s.h5: "
    equal ../ranks1/s.h5 s.h5
    [ "$(sort -u done | wc -l)" = 16 ] && [ "$(wc -l <done)" -le $((16 + $1)) ] ||
        die "$(sort done | uniq -d | wc -l) runs were done again"
}

mkdir signal
cd signal
job 0.3 >job.yaml
mpirun -n 2 --oversubscribe "$MIXSWEEP" sweep job.yaml >out 2>err &
pid=$!
until [ -s done ]; do sleep 0.02; done
kill -USR1 $pid
status=0
wait $pid || status=$?
[ $status = 75 ] || die "interrupted with status $status"
matches 'interrupted: s.h5 keeps [0-9]* of 16 runs; the same command resumes\.'
job >job.yaml
once_more 0
cd ..

# Children of a rank that is killed stay behind, and may still write that they are done.
mkdir kill
cd kill
job 0.3 >job.yaml
"$MIXSWEEP" sweep job.yaml >out 2>err &
pid=$!
until [ -s done ]; do sleep 0.02; done
sleep 0.1
kill -KILL $pid
wait $pid || true
sleep 0.5
job >job.yaml
once_more 2
cd ..

mkdir shards
cd shards
job >job.yaml
"$MIXSWEEP" sweep job.yaml --shard 1/2 >first 2>&1 & # side by side: each has a file
first=$!
sweep --shard 2/2
matches 'runs in this shard'
matches 'file s.2-of-2.h5$'
matches '^next, .*: mixsweep merge s\.\*-of-2\.h5 -o s\.h5$'
wait $first || die "a shard failed: $(cat first)"
"$MIXSWEEP" status s.2-of-2.h5 >status
n=$("$MIXSWEEP" status s.2-of-2.h5 --format json | sed -n 's/^    "planned": \([0-9]*\),$/\1/p')
[ "$n" -lt 16 ] && grep -q "^job .*, shard 2 of 2: $n of $n runs done, 0 failed, 0 missing\$" status ||
    die "status of a shard: $(cat status)"
"$MIXSWEEP_PYTHON" - first out <<'PY' || die "the FLOP are not those of the shards"
import re
import sys
shards = [re.search(r"(\d+) runs? in this shard, (\S+) FLOP", open(name).read()) for name in sys.argv[1:]]
assert sum(int(s[1]) for s in shards) == 16, shards
whole = 6 * (8 * 40e6 * 1e9 + 8 * 100e6 * 2e9)  # 6ND
assert abs(sum(float(s[2]) for s in shards) / whole - 1) < 0.05, shards
PY
"$MIXSWEEP" merge s.*-of-2.h5 -o s.h5 >out || die "shards do not merge"
"$MIXSWEEP" sweep job.yaml >out || die "the sweep of all failed"
matches '16/16 runs, 0 failed .*in file'
equal ../ranks1/s.h5 s.h5
fails 2 sweep job.yaml --shard 0/2
matches 'not of the form I/N'
fails 2 sweep job.yaml --shard 3/2
fails 2 sweep job.yaml --stop-before soon
matches 'not a time like 300s'
cd ..

# Half a second of the wall time is to be left: what has begun is told to end.
mkdir wall
cd wall
job 30 >job.yaml
export SLURM_JOB_END_TIME=$(($(date +%s) + 5))
fails 75 sweep job.yaml --stop-before 3s
unset SLURM_JOB_END_TIME
matches 'interrupted (the time is up): s.h5 keeps 0 of 16 runs'
job >job.yaml
sweep --stop-before none
equal ../ranks1/s.h5 s.h5
cd ..

# What fails for good stays so until it is asked for.
mkdir failed
cd failed
job 0 ', retries: 0' >job.yaml
sweep
n=$(sed -n 's|^sweep *16/16 runs, \([0-9]*\) failed.*|\1|p' out)
[ "$n" -gt 0 ] || die "nothing failed"
matches '^next: mixsweep status s.h5$'
matches '^      mixsweep retry s.h5 --failed$'
matches '^      mixsweep report s.h5 -o report$'
touch mended
sweep
matches "16/16 runs, $n failed .*in file"
[ "$(find s.h5.runs -name stderr | wc -l)" = "$n" ] || die "the folders of the failed runs are not there"
sweep --retry-failed
matches "resuming s.h5: $((16 - n)) of 16 runs done, $n failed ($n of them to be tried again), 0 to do"
matches '16/16 runs, 0 failed'
job >job.yaml # the file keeps the job's text
sweep
equal ../ranks1/s.h5 s.h5
[ ! -e s.h5.runs ] || die "run folders are left"

# A sweep without any result is a failure: what waits for it by afterok is not to start.
cd ..
mkdir hopeless
cd hopeless
cat >job.yaml <<'YAML'
job: hopeless
file: s.h5
domains: [{name: a}, {name: b}]
design: {mixtures: 2, replicates: 1}
scales: [{n_params: 1e6, n_tokens: 1e9}]
sweep: {evaluator: command, command: {argv: [/bin/false], retries: 0}}
fit: {law: capacity}
YAML
fails 1 run job.yaml
matches 's.h5: none of 2 runs has a result'

# Files behind a domain are known by their bytes: what has changed is another job.
cd ..
mkdir files
cd files
mkdir web
echo one >web/1
printf '#!/bin/sh\necho {\\"loss\\": {\\"web\\": 2, \\"code\\": 1}}\n' >train
chmod +x train
cat >job.yaml <<'YAML'
job: files
file: s.h5
domains: [{name: web, paths: web}, {name: code}]
design: {mixtures: 2, replicates: 1}
scales: [{n_params: 1e6, n_tokens: 1e9}]
sweep: {evaluator: command, command: {argv: [./train], result: stdout}}
YAML
sweep
sed 's/mixtures: 2/mixtures: 3/' job.yaml >more.yaml
echo two >web/1
sweep
matches '^note: the text of web is not that of the runs in s.h5: put it back'
fails 1 sweep more.yaml
grep -q '^mixsweep: the text of web is not that of the runs in s.h5: ' err || die "changed files are not refused"
fails 0 plan more.yaml
matches '^warning: the text of web is not that of the runs in s.h5: '
echo one >web/1
fails 0 sweep more.yaml
! grep note: out || die "the same files are not known again"

# SPDX-License-Identifier: GPL-3.0-or-later
# A whole job: equal on 1 to 4 ranks, done once, resumed after SIGTERM and kill -9, made anew where
# the job file changes and only there.
. "$MIXSWEEP_TESTS/lib.sh"

# A launcher that is killed leaves its folder and its shared memory behind: keep them together.

keeps_quiet() { ! grep -q -- "$1" out err || die "something says \"$1\""; }

# job FILE [DELAY]: 8 mixtures x 3 scales
job() {
    cat <<YAML
job: tiny
file: $1
domains: [{name: web, prior: 0.5}, {name: code, prior: 0.3}, {name: wiki, prior: 0.2}]
design: {mixtures: 8, strength: [0.5, 3], replicates: 1}
scales:
  - {n_params: 40e6, n_tokens: 1e9}
  - {n_params: 100e6, n_tokens: 2e9}
  - {n_params: 250e6, n_tokens: 5e9}
sweep:
  evaluator: simulate
  simulate: {law: capacity, noise: 0.002, seed: 5, delay_s: ${2:-0}}
fit: {law: capacity, starts: 6, holdout: none}
bootstrap: {draws: 30}
optimum: {n_params: 1e9, n_tokens: 2e10, floor: 0.01}
YAML
}

for n in 1 2 3 4; do
    mkdir "ranks$n"
    job s.h5 >"ranks$n/job.yaml"
    (cd "ranks$n" && mpirun -n "$n" --oversubscribe "$MIXSWEEP" run job.yaml --format json) \
        >json.$n 2>err || die "run on $n ranks failed"
    equal ranks1/s.h5 "ranks$n/s.h5"
    cmp json.1 json.$n || die "1 and $n ranks print other results"
done

# What is there is not done again: the file is not even touched.
cp ranks1/s.h5 before.h5
(cd ranks1 && "$MIXSWEEP" run job.yaml) >out 2>err || die "the second run failed"
[ "$(grep -c 'in file' out)" = 3 ] || die "not all stages were in the file"
cmp before.h5 ranks1/s.h5 || die "a run with nothing to do changed the file"

# The first signal ends it in order, with status 75; the same command resumes.
mkdir term
job s.h5 0.05 >term/job.yaml
cd term
"$MIXSWEEP" run job.yaml >out 2>err &
pid=$!
while [ ! -s s.h5.log/rank-0000 ]; do sleep 0.02; done
sleep 0.2
kill -TERM $pid
status=0
wait $pid || status=$?
[ $status = 75 ] || die "interrupted with status $status"
matches 'interrupted: s.h5 keeps [1-9][0-9]* of 24 runs; the same command resumes\.'
kept=$(sed -n 's/.*keeps \([0-9]*\) of.*/\1/p' err)
job s.h5 >job.yaml
run run job.yaml
matches "resuming s.h5: $kept of 24 runs done"
cd ..
equal ranks1/s.h5 term/s.h5

# kill -9 of everything in the sweep: what was in the logs counts.
mkdir kill
job s.h5 0.1 >kill/job.yaml
cd kill
mpirun -n 2 --oversubscribe "$MIXSWEEP" run job.yaml >out 2>err &
pid=$!
while [ ! -s s.h5.log/rank-0000 ] || [ ! -s s.h5.log/rank-0001 ]; do sleep 0.02; done
sleep 0.2
ranks=$(cat /proc/$pid/task/*/children)
kill -9 $pid $ranks
wait $pid 2>/dev/null || true
for rank in $ranks; do
    while kill -0 "$rank" 2>/dev/null; do sleep 0.02; done
done
job s.h5 >job.yaml
run run job.yaml
matches 'resuming s.h5: [1-9][0-9]* of 24 runs done'
[ ! -e s.h5.log ] || [ -z "$(ls s.h5.log)" ] || die "logs are left over"
equal ../ranks1/s.h5 s.h5

# More mixtures: the old runs stay, what was made from them is made anew.
sed -i 's/mixtures: 8/mixtures: 10/' job.yaml
run run job.yaml
matches 'resuming s.h5: 24 of 30 runs done, 6 to do'
matches 'note: fit capacity is made anew: the runs have changed'
mkdir ../whole
cp job.yaml ../whole
(cd ../whole && "$MIXSWEEP" run job.yaml) >out 2>err || die "the whole run failed"
equal ../whole/s.h5 s.h5

# Options that change: that stage and what follows from it, no more.
sed -i 's/floor: 0.01/floor: 0.02/' job.yaml
run run job.yaml
matches 'note: the optimum of capacity is made anew'
[ "$(grep -c 'in file' out)" = 3 ] || die "more than the optimum was made anew"
sed -i 's/draws: 30/draws: 40/' job.yaml
run run job.yaml
matches '^bootstrap *40/40 draws'
[ "$(grep -c 'in file' out)" = 2 ] || die "more draws touched something else"
sed -i 's/starts: 6/starts: 7/' job.yaml
run run job.yaml
matches 'note: fit capacity is made anew: the starts have changed (from 6 to 7);'
[ "$(grep -c 'in file' out)" = 1 ] || die "a changed fit touched the sweep or kept its draws"
run run job.yaml
keeps_quiet 'note:'
cp job.yaml ../whole
rm ../whole/s.h5
(cd ../whole && "$MIXSWEEP" run job.yaml) >out 2>err || die "the whole run failed"
equal ../whole/s.h5 s.h5
cd ..

# Another law on the same runs: the optimum's error knows it, as that of the verb optimum does.
mkdir laws
cp ranks1/job.yaml ranks1/s.h5 laws
cd laws
run fit s.h5 --law additive --starts 2 --holdout none
run run job.yaml
matches 'note: the optimum of capacity is made anew: its error is another beside the other fits'
run run job.yaml --format json
keeps_quiet 'note:'
cp out run.json
run optimum s.h5 --fit capacity --params 1e9 --tokens 2e10 --floor 0.01 --no-save --format json
facts='o = json.load(open("run.json"))["optimum"]; alone = json.load(open("../json.1"))["optimum"]'
holds 'abs(o["objective_wide"]["hi"] - j["objective_wide"]["hi"]) < 1e-6 and j["error"]["laws"] == 2'
holds 'o["objective_wide"]["hi"] > alone["objective_wide"]["hi"] and o["objective"] == alone["objective"]'
cd ..

# sweep stops after the runs; run goes on from there to the same file.
mkdir stages
job s.h5 >stages/job.yaml
(cd stages && "$MIXSWEEP" sweep job.yaml) >out 2>err || die "sweep failed"
keeps_quiet '^fit'
(cd stages && "$MIXSWEEP" run job.yaml) >out 2>err || die "run after sweep failed"
equal ranks1/s.h5 stages/s.h5

# Refusals: one sentence, nothing written.
job bad.h5 | sed 's/starts: 6/starts: 0/' >bad.yaml
status=0
mpirun -n 2 --oversubscribe "$MIXSWEEP" run bad.yaml >out 2>err || status=$?
[ $status = 1 ] || die "a bad job ended with status $status"
matches '^mixsweep: bad.yaml, line 12, key fit.starts: 0 is not in 1 … 100000\.$'
[ "$(grep -c '^mixsweep:' err)" = 1 ] || die "more than one rank complains"
[ ! -e bad.h5 ] || die "a bad job left a file"
job s.h5 | sed 's/name: wiki/name: books/' >ranks1/other.yaml
! (cd ranks1 && "$MIXSWEEP" run other.yaml) >out 2>err || die "runs of other domains were mixed"
matches 's.h5 holds runs of other domains or targets than the job tiny'

job plan.h5 >plan.yaml
run plan plan.yaml
matches '24  '
matches 'not from training'
run plan plan.yaml --format json
"$python" -c 'import json, sys; p = json.load(open("out")); sys.exit(p["n_runs"] != 24)' ||
    die "the plan as JSON has another number of runs"
[ ! -e plan.h5 ] || die "plan wrote a file"

# Simulated runs of another truth are not taken for this job's.
sed 's/seed: 5/seed: 6/' ranks1/job.yaml >ranks1/other.yaml
(cd ranks1 && "$MIXSWEEP" run other.yaml) >out 2>err && die "runs of another truth were taken"
matches "simulated otherwise"

# A share that the large run would see more than once is said.
job supply.h5 | sed 's/name: wiki, prior: 0.2/name: wiki, prior: 0.2, supply_tokens: 1e9/' >supply.yaml
run run supply.yaml
matches 'warning: wiki would be seen .* exceeds the supply of 1e+09'

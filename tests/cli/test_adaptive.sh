# SPDX-License-Identifier: GPL-3.0-or-later
# Rounds of chosen runs: equal on 1 to 4 ranks and after a kill, marked in the file, stopped by the
# advice, begun anew when they are forgotten; proposals as task files, whose results come back.
. "$MIXSWEEP_TESTS/lib.sh"

# A launcher that is killed leaves its folder and its shared memory behind: keep them together.

refuses() { # PATTERN JOB
    ! "$MIXSWEEP" plan "$2" >out 2>err || die "$2 is accepted"
    matches "$1"
}

: >out

# job FILE ROUNDS [DELAY [WORTH]]
job() {
    cat <<YAML
job: world
file: $1
seed: 3
domains: [{name: web, supply_tokens: 1e12}, {name: code, supply_tokens: 2e8}, {name: wiki}]
design: {mixtures: 10, replicates: 1}
scales:
  - {n_params: 20e6, n_tokens: 1e9, checkpoints: [5e8, 1e9]}
  - {n_params: 60e6, n_tokens: 2e9}
sweep:
  evaluator: simulate
  simulate: {law: capacity, noise: 0.005, seed: 5, delay_s: ${3:-0}}
fit: {law: capacity, starts: 4, holdout: none}
bootstrap: {draws: 50}
optimum: {n_params: 1e9, n_tokens: 2e10, floor: 0.01}
adaptive: {rounds: $2, runs: 3, flops: 2e18, worth: ${4:-0}}
YAML
}

for n in 1 2 3 4; do
    mkdir "ranks$n"
    job s.h5 2 >"ranks$n/job.yaml"
    (cd "ranks$n" && mpirun -n "$n" --oversubscribe "$MIXSWEEP" run job.yaml --format json) \
        >json.$n 2>err || die "run on $n ranks failed"
    equal ranks1/s.h5 "ranks$n/s.h5"
    cmp json.1 json.$n || die "1 and $n ranks print other results"
done
matches 'round 2 .* runs chosen, .* FLOP, regret'
"$python" - <<'PY' || die "the file does not say where runs come from"
import h5py
with h5py.File("ranks1/s.h5") as f:
    runs, last = f["runs"], f["runs/is_final"][:] == 1
    of = runs["round"][:]
    assert runs["round"].dims[0][0].name == "/runs/key", "no scale"
    assert sorted(set(of)) == [0, 1, 2] and (of[last] == 0).sum() == 20
    assert 1 <= (of[last] == 1).sum() <= 3 and 1 <= (of[last] == 2).sum() <= 3
    assert (runs["status"][:] == 0).all()
    for n in 1, 2: # all checkpoints of a chosen run are marked
        for name in set(runs["run"][:][of == n]):
            rows = runs["run"][:] == name
            assert (of[rows] == n).all() and rows.sum() == (2 if b"-20M-" in name else 1), name
        assert runs["flops"][:][last & (of == n)].sum() <= 2e18
PY
run status ranks1/s.h5
matches '^rounds     2: [2-6] runs were chosen by those before them'
flops=$("$python" -c 'import h5py
runs = h5py.File("ranks1/s.h5")["runs"]
print("%.2g" % runs["flops"][:][runs["is_final"][:] == 1].sum())')
(cd ranks1 && run run job.yaml && matches "^design .* runs, $flops FLOP") || die "the opening counts other runs"
run export ranks1/s.h5 runs -o runs.csv
head -1 runs.csv | grep -q ',round,' || die "the CSV has no rounds"
run import runs.csv -o again.h5
run status again.h5
matches '^rounds     2'
if command -v gnuplot >/dev/null; then
    run report ranks1/s.h5 -o report
    grep -q 'chosen in round 2' report/index.html || die "the report does not say what was chosen"
fi

# A round more, and a kill while its runs are made: what was chosen stays chosen.
mkdir killed
cd killed
job s.h5 1 >job.yaml
run run job.yaml
job s.h5 2 0.1 >job.yaml
"$MIXSWEEP" run job.yaml >out 2>err &
pid=$!
while kill -0 $pid 2>/dev/null && ! "$MIXSWEEP" status s.h5 2>/dev/null | grep -q '^rounds     2'; do sleep 0.01; done
kill -9 $pid 2>/dev/null || true
wait $pid || true
run status s.h5
matches '^rounds     2'
job s.h5 2 >job.yaml
run run job.yaml --break-lock
cd ..
equal ranks1/s.h5 killed/s.h5
cp ranks1/s.h5 before.h5
cd ranks1
run run job.yaml
cd ..
cmp before.h5 ranks1/s.h5 || die "a job with nothing to do changed the file"

# A chosen run that is forgotten is made again, not chosen anew.
name=$("$python" -c 'import h5py; f = h5py.File("killed/s.h5")["runs"]
print(f["run"][:][(f["round"][:] == 1) & (f["is_final"][:] == 1)][0].decode())')
run retry killed/s.h5 --run "$name" --force
run status killed/s.h5
matches '1 missing'
(cd killed && "$MIXSWEEP" run job.yaml) >out 2>err || die "a forgotten run cannot be made again"
equal ranks1/s.h5 killed/s.h5

# It stops where runs do not pay, and says why. Optima that no round needs are made at the end: where one
# cannot be had the runs are there.
several='s/^optimum: {\(.*\)}/optimum: [{name: one, \1}, {name: other, \1}]/'
job poor.h5 2 0 1 | sed "$several" >poor.yaml
run run poor.yaml
matches '^round 1 .*no more runs: .*less than 1'
matches '2 side by side'
job last.h5 1 | sed "$several; s/other, /&lattice: 1\/2, /" >last.yaml
! "$MIXSWEEP" run last.yaml >out 2>err || die "a lattice without a mixture gives an optimum"
matches 'optimum other: .*too coarse'
matches '^round 1 .* runs chosen'

# Proposals as task files: with the job's labels at its scales, and at another one.
run next ranks1/s.h5 --flops 2e18 --batch 2 --worth 0 --emit tasks -o next.csv
run next ranks1/s.h5 --flops 2e18 --batch 2 --worth 0 --scale 30e6:2e9 --emit other
cat >train.py <<'PY'
import json, sys
task = json.load(open(sys.argv[1]))
assert task["round"] == 3 and task["job"] is None and abs(sum(task["mixture"].values()) - 1) < 1e-9
json.dump({"checkpoints": [{"tokens": t, "loss": {d: 3 - s for d, s in task["mixture"].items()}}
                           for t in task["checkpoints"]]}, open(sys.argv[2], "w"))
PY
export MIXSWEEP_TRAIN="$python train.py"
for script in tasks/*.sbatch other/*.sbatch; do
    bash "$script" >out 2>err || die "$script failed"
    matches '^recorded'
done
sed 's/"round": 3/"round": 4/; s/"tokens": [0-9]*/"tokens": 7/' "$(ls tasks/*.json | grep -v result | head -1)" >bad.json
! "$MIXSWEEP" record ranks1/s.h5 --task bad.json bad.result >out 2>err || die "a changed task is recorded"
run retry ranks1/s.h5 --failed # folds the logs
run status ranks1/s.h5
matches '^rounds     3'
[ "$(grep -c . next.csv)" = $(($(ls tasks/*.sbatch | wc -l) + 1)) ] || die "next.csv has other runs"
head -1 next.csv | grep -q '^n_params,n_tokens,round,replicate,h_web' || die "next.csv has no round"
# An imported table has no job: the task file says it all.
run fit again.h5 --law capacity --starts 4 --where 'round<2' --holdout none --name some
run bootstrap again.h5 --fit some --draws 100
run optimum again.h5 --fit some --params 1e9 --tokens 2e10
run next again.h5 --flops 2e18 --batch 1 --worth 0 --emit free
bash free/*.sbatch >out 2>err || die "a task of an imported table cannot be recorded"
matches '^recorded'

# What a section adaptive cannot be.
job e.h5 2 | sed 's/^bootstrap: .*//' >e.yaml
refuses 'key adaptive: runs are chosen by bootstrap draws: 0 are asked for, 20 are needed' e.yaml
job e.h5 2 | sed 's/^optimum: .*//' >e.yaml
refuses 'key adaptive: there is no section optimum' e.yaml
job e.h5 2 | sed 's/flops: 2e18/flops: 2e10/' >e.yaml
refuses 'key adaptive.flops: 2e+10: the cheapest run takes 1.2e+17' e.yaml
job e.h5 0 >e.yaml
refuses 'key adaptive.rounds: 0' e.yaml
job e.h5 2 | sed "s/^sweep:/$(printf '  - {n_params: %de6, n_tokens: 3e9}\\n' $(seq 15))sweep:/" >e.yaml
refuses 'key adaptive: 17 scales are given; runs are chosen among 16 at most' e.yaml
job e.h5 2 | sed 's/worth: 0/criterion: luck/' >e.yaml
refuses 'key adaptive.criterion: .*luck.*regret, variance' e.yaml

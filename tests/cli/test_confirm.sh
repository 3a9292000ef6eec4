# SPDX-License-Identifier: GPL-3.0-or-later
# The check of an optimum: measured beside predicted, left out of fits, done once, resumed.
. "$MIXSWEEP_TESTS/lib.sh"
set_aside() { # FILE: the names of the runs that are left out as confirmations
    "$python" - "$1" <<'PY'
import sys, h5py
runs = h5py.File(sys.argv[1])["runs"]
for name, excluded, reason in zip(runs["run"], runs["excluded"], runs["reason"]):
    if excluded:
        assert reason == b"confirmation", reason
        print(name.decode())
PY
}

# job [DELAY]: the truth is of the law that is fitted, with little noise
job() {
    cat <<YAML
job: claim
file: s.h5
seed: 3
domains: [{name: web, prior: 0.6}, {name: code, prior: 0.2}, {name: wiki, prior: 0.2}]
design: {mixtures: 16, strength: [0.5, 3], replicates: 1}
scales:
  - {n_params: 40e6, n_tokens: 1e9}
  - {n_params: 100e6, n_tokens: 2e9}
  - {n_params: 250e6, n_tokens: 5e9}
sweep: {evaluator: simulate, simulate: {law: capacity, noise: 0.0005, seed: 5, delay_s: ${1:-0}}}
fit: {law: capacity, starts: 8, holdout: none}
bootstrap: {draws: 40}
optimum: {n_params: 1e9, n_tokens: 2e10, floor: 0.01, weights: {wiki: 3}}
YAML
}
confirm='confirm: {seeds: 4, scales: [{n_params: 500e6, n_tokens: 1e10}, {n_params: 1e9, n_tokens: 2e10}]}'

mkdir plain # the stages before it
job >plain/job.yaml
(cd plain && run sweep job.yaml && fails 1 \
    's\.h5 has no optimum of the fit capacity yet: `mixsweep run` makes it\.' "$MIXSWEEP" confirm job.yaml)
(cd plain && run run job.yaml)
[ -z "$(set_aside plain/s.h5)" ] || die "runs are left out of the fit"

# The last stage of run, equal on any number of ranks.
for n in 1 2 3; do
    mkdir ranks$n
    { job && echo "$confirm"; } >ranks$n/job.yaml
    (cd ranks$n && mpirun -n $n --oversubscribe "$MIXSWEEP" run job.yaml --format json) \
        >json.$n 2>err || die "run on $n ranks failed"
    equal ranks1/s.h5 ranks$n/s.h5
    cmp json.1 json.$n || die "1 and $n ranks print other results"
done

"$python" - <<'PY' || die "the confirmation is not what the law says"
import json
j = json.load(open("json.1"))
c = j["confirmation"]
assert sorted(c) == ["is_wide", "level", "mixtures", "n_failed", "n_runs", "n_seeds", "objective", "scales"], c
names = list(c["mixtures"])
assert names[0] == "optimum" and "prior" in names and "uniform" in names, names
assert c["is_wide"] is True and c["n_failed"] == 0 and c["n_seeds"] == 4 and c["n_runs"] == 2 * 4 * len(names), c
assert all(abs(sum(m.values()) - 1) < 1e-9 for m in c["mixtures"].values())
assert c["mixtures"]["prior"] == {"web": 0.6, "code": 0.2, "wiki": 0.2}, c["mixtures"]
assert [s["n_params"] for s in c["scales"]] == [500e6, 1e9]

claim = c["scales"][1]["contests"][0]["predicted"]["value"] # of what the optimum minimised
assert abs(claim - j["optimum"]["objective"]["value"]) < 1e-4, claim

def check(measured, se, claim, what):
    claimed_se = (claim["hi"] - claim["lo"]) / 2 / 1.645 # level 0.9
    assert 0 < se < 0.002 and claim["lo"] <= claim["value"] <= claim["hi"], what
    assert abs(measured - claim["value"]) < 6 * (se**2 + claimed_se**2) ** 0.5, what

for scale in c["scales"]:
    optimum = scale["contests"][0]
    assert optimum["mixture"] == "optimum" and optimum["gain"] is None
    for contest in scale["contests"]:
        assert contest["n_done"] == 4
        check(contest["measured"], contest["measured_se"], contest["predicted"], contest)
        if contest is not optimum:
            check(contest["gain"], contest["gain_se"], contest["predicted_gain"], contest)
            assert abs(contest["gain"] - contest["measured"] + optimum["measured"]) < 1e-12
        if contest["mixture"] == "prior":
            assert contest["gain"] > 5 * contest["gain_se"] # it is that bad
PY

# Its runs are in the file and in no fit; done once.
n=$(set_aside ranks1/s.h5 | wc -l)
[ "$n" = "$("$python" -c 'import json; print(json.load(open("json.1"))["confirmation"]["n_runs"])')" ] ||
    die "$n runs are left out"
cp ranks1/s.h5 before.h5
(cd ranks1 && run run job.yaml && matches '^confirm  *[0-9]* runs of [0-9] mixtures, 0 failed  *in file$' &&
    [ "$(grep -c 'in file' out)" = 4 ] && matches 'the optimum .*beats prior' &&
    says 'intervals: of a loss with all known errors, of a difference resampling only') || die "the second run did something"
cmp before.h5 ranks1/s.h5 || die "a run with nothing to do changed the file"
(cd ranks1 && run confirm job.yaml && matches '^confirm .* in file$') || die "confirm did something"
cmp before.h5 ranks1/s.h5 || die "a confirm with nothing to do changed the file"

# Alone and without a section: three seeds at the optimum's own scale.
cp -r plain alone
(cd alone && run confirm job.yaml --format json) || exit 1
"$python" - <<'PY' || die "confirm alone did not train the target scale"
import json
c = json.load(open("alone/out"))["confirmation"]
assert c["n_seeds"] == 3 and [s["n_params"] for s in c["scales"]] == [1e9]
PY
(cd alone && run run job.yaml && [ "$(grep -c 'in file' out)" = 3 ]) || die "confirm touched the fit"

# Interrupted by a signal and by kill -9: what is done stays, and stays out of the fit.
end=
for end in TERM KILL; do
    cp -r plain $end
    cd $end
    { job 0.1 && echo "$confirm"; } >job.yaml
    "$MIXSWEEP" confirm job.yaml >out 2>err &
    pid=$!
    while [ ! -s s.h5.log/rank-0000 ]; do
        kill -0 $pid 2>/dev/null || die "confirm ended before it was killed"
        sleep 0.02
    done
    kill -$end $pid
    status=0
    wait $pid || status=$?
    [ $end = KILL ] || [ $status = 75 ] || die "interrupted with status $status"
    job >job.yaml
    run run job.yaml # other stages know nothing of it
    [ "$(grep -c 'in file' out)" = 3 ] || die "half a confirmation touched the fit"
    [ -n "$(set_aside s.h5)" ] || die "nothing was kept"
    [ "$(set_aside s.h5 | wc -l)" -lt "$n" ] || die "it was not interrupted"
    { job && echo "$confirm"; } >job.yaml
    run run job.yaml
    cd ..
    equal ranks1/s.h5 $end/s.h5
done

# Given to the next fit, they stay there, and the new optimum is confirmed by runs of its own.
cp -r ranks1 undo
cd undo
set_aside s.h5 >names
while read -r name; do
    "$MIXSWEEP" exclude s.h5 "$name" --undo >/dev/null
done <names
run run job.yaml
matches 'note: fit capacity is made anew: the runs have changed'
[ -z "$(set_aside s.h5 | grep -F -x -f names)" ] || die "runs were left out again"
[ -n "$(set_aside s.h5)" ] || die "the new optimum was not confirmed"
run run job.yaml
[ "$(grep -c 'in file' out)" = 4 ] || die "the second fit was not the last"
cd ..

# Relative to the baseline and of the worst target: errors by the delta method over paired seeds, the
# baseline's own among them; the baseline against itself is 1 by definition; intervals hold more than
# the draws.
cp -r plain relative
cd relative
for goal in mean-gain worst worst-gain; do
    { job && echo "$confirm"; } | sed "s/^optimum: {/optimum: {objective: $goal, baseline: prior, /" >job.yaml
    run run job.yaml --format json
    mv out $goal.json
done
"$python" - <<'PY' || die "the confirmation of a relative objective is not what its seeds say"
import json, h5py, numpy as np
f = h5py.File("s.h5")
runs, names = f["runs"], ["web", "code", "wiki"]
loss, seed, ours = runs["loss"][:], runs["seed"][:], runs["reason"][:] == b"confirmation"
weight = np.array([1, 1, 3.0])

def losses(scale, mixture): # (seeds, targets), equal seeds in equal rows
    share = np.array([mixture[n] for n in names])
    rows = np.flatnonzero(ours & (runs["n_params"][:] == scale) &
                          (abs(runs["mixture"][:] - share).max(axis=1) < 1e-6))
    assert len(rows) == 4, rows
    return loss[rows[np.argsort(seed[rows])]]

def value(goal, own, of):
    terms = own / of if goal.endswith("gain") else own
    return terms.max() if goal.startswith("worst") else (weight * terms).sum() / weight.sum()

for goal in ("mean-gain", "worst", "worst-gain"):
    c = json.load(open(goal + ".json"))["confirmation"]
    for s in c["scales"]:
        baseline = "prior" if "prior" in c["mixtures"] else "optimum" # as near as that
        of = losses(s["n_params"], c["mixtures"][baseline])
        best = losses(s["n_params"], c["mixtures"]["optimum"])
        for x in s["contests"]:
            own = losses(s["n_params"], c["mixtures"][x["mixture"]])
            means = [a.mean(axis=0) for a in (own, of, best)]
            assert abs(x["measured"] - value(goal, *means[:2])) < 1e-9, (goal, x)
            # the delta method, against the jackknife over seeds
            left = np.array([[value(goal, *[np.delete(a, i, 0).mean(axis=0) for a in pair])
                              for i in range(4)] for pair in ((own, of), (best, of))])
            for at, se in ((left[0], x["measured_se"]), (left[0] - left[1], x["gain_se"])):
                jackknife = np.sqrt(3 / 4 * ((at - at.mean()) ** 2).sum())
                if se is not None:
                    assert abs(se - jackknife) < 0.02 * jackknife + 1e-9, (goal, x, jackknife)
            p = x["predicted"]
            if x["mixture"] == baseline and goal != "worst":
                assert x["measured"] == 1 and x["measured_se"] == 0, x
                assert abs(p["lo"] - 1) < 1e-3 and abs(p["hi"] - 1) < 1e-3, x
            else:
                assert p["lo"] < p["value"] < p["hi"] and x["measured_se"] > 0, (goal, x)
PY
run confirm job.yaml
says 'intervals: of a loss with all known errors, of a difference resampling only'
cd ..

# Refusals.
cd plain
job | sed '/^fit/,$d' >nofit.yaml
fails 1 'the job claim fits no law, so there is nothing to confirm\.' "$MIXSWEEP" confirm nofit.yaml
{ job && echo "${confirm/500e6, n_tokens: 1e10/500e6, n_tokens: 1e10, checkpoints: 2}"; } >checkpoints.yaml
fails 1 'key confirm\.scales\[0\]\.checkpoints: 2, but' "$MIXSWEEP" confirm checkpoints.yaml

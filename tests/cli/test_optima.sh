# SPDX-License-Identifier: GPL-3.0-or-later
# Several named optima of a job: each as the verb finds it, kept, weighed against each other, one of
# them confirmed; equal on 2 ranks.
. "$MIXSWEEP_TESTS/lib.sh"

cat >job.yaml <<'YAML'
job: several
file: s.h5
domains: [{name: web, prior: 0.5}, {name: code, prior: 0.3}, {name: wiki, prior: 0.2}]
design: {mixtures: 10, strength: [0.5, 3], replicates: 1}
scales: [{n_params: 40e6, n_tokens: 1e9}, {n_params: 100e6, n_tokens: 2e9}]
sweep: {evaluator: simulate, simulate: {law: capacity, noise: 0.002, seed: 5}}
fit: {law: capacity, starts: 4, holdout: none}
bootstrap: {draws: 30}
optimum:
  - {name: even, n_params: 1e9, n_tokens: 2e10, floor: 0.01}
  - {name: code, n_params: 1e9, n_tokens: 2e10, floor: 0.01, weights: {code: 5}, caps: {code: 0.4}}
  - {name: worst, n_params: 2e9, n_tokens: 2e10, objective: worst-gain, baseline: prior}
confirm: {of: worst, seeds: 2, scales: [{n_params: 100e6, n_tokens: 2e9}]}
YAML
run run job.yaml
matches 'optima     capacity, 3 side by side, 30 draws'
matches '^confirm .*, optimum worst'
[ "$(grep -c 'not allowed' out)" -ge 1 ] || die "the cap of code forbids nothing"
cp s.h5 before.h5
run run job.yaml --format json
cmp before.h5 s.h5 || die "a run with nothing to do changed the file"
cp out all.json
facts='optima = j["optima"]; own = {o["name"]: o["objective"]["value"] for o in optima}'
holds '(j["optimum"] == optima[0] and list(own) == ["even", "code", "worst"] and
all(abs(row[name]["objective"] - own[name]) < 1e-9 for name, row in j["trade_off"].items()) and
all(c["objective"] >= own[name] - 1e-9 for name, row in j["trade_off"].items() for c in row.values() if c["allowed"]) and
j["confirmation"]["objective"].startswith("worst loss relative"))'
run optimum s.h5 --params 1e9 --tokens 2e10 --floor 0.01 --weight code=5 --cap code=0.4 --no-save --format json
facts='a = json.load(open("all.json"))["optima"][1]["mixture"]'
holds 'all(abs(a[k] - j["mixture"][k]) < 1e-6 for k in a)'
run status s.h5
matches 'optimum    code: fit capacity at 1B'
run report s.h5 -o report
grep -q 'What each mixture costs by the objectives of the others' report/index.html ||
    die "the report does not weigh the optima"
cp s.h5 one.h5
rm s.h5
mpirun -n 2 --oversubscribe "$MIXSWEEP" run job.yaml >out 2>err || die "two ranks failed"
equal one.h5 s.h5

# SPDX-License-Identifier: GPL-3.0-or-later
# Which runs to make next: within the budget, the same on any number of ranks, and clear about what is
# missing.
. "$MIXSWEEP_TESTS/lib.sh"
asked() { expect "$1" "$2" "$MIXSWEEP" "${@:3}"; } # STATUS PATTERN ARGUMENTS...
cat >job.yaml <<'YAML'
job: world
file: world.h5
seed: 3
domains: [{name: web, supply_tokens: 1e12}, {name: code, supply_tokens: 2e8}, {name: wiki}]
design: {mixtures: 12, replicates: 1, match_epochs: {n_tokens: 4e9}}
scales: [{n_params: 20e6, n_tokens: 1e9}, {n_params: 60e6, n_tokens: 2e9}]
sweep: {evaluator: simulate, simulate: {law: capacity, noise: 0.02}}
fit: {law: capacity, starts: 8, holdout: none}
YAML
"$MIXSWEEP" run job.yaml >out 2>&1 || { cat out; exit 1; }
asked 1 'world.h5 has no optimum yet, which is what the next runs are to make more certain' next world.h5 --flops 1e20
"$MIXSWEEP" bootstrap world.h5 --draws 120 >out
"$MIXSWEEP" optimum world.h5 --params 1e9 --tokens 2e10 >out
asked 2 '--flops says what the proposed runs may cost' next world.h5
asked 2 '--scale "40e6": not of the form N:D' next world.h5 --flops 1e20 --scale 40e6
asked 2 '--criterion "luck": not regret, variance or information' next world.h5 --flops 1e20 --criterion luck
asked 1 'no run is within 1e+16 FLOP: the cheapest, 2e+07 parameters on 1e+09 tokens, takes 1.2e+17' next world.h5 --flops 1e16
asked 2 '--optimum "other": world.h5 has no optimum other; it has capacity' next world.h5 --flops 1e20 --optimum other
asked 0 'regret after' next world.h5 --flops 2e18 --batch 4
grep -q 'warning: ' out && die "a fit of these runs has a caveat"
grep -q '^law capacity checked against product, transfer: no sign that it does not hold' out
# An optimum that the file does not have is found on the way, and not stored.
"$MIXSWEEP" next world.h5 --flops 2e18 --batch 4 --format json >stored.json
"$MIXSWEEP" next world.h5 --fit capacity --params 1B --tokens 20B --flops 2e18 --batch 4 --format json >here.json
cmp stored.json here.json
asked 2 '--tokens is missing: an optimum is asked for by --params and --tokens' \
    next world.h5 --flops 2e18 --params 1e9
asked 2 '--optimum capacity is one of the file' \
    next world.h5 --flops 2e18 --optimum capacity --params 1e9 --tokens 1e9
# A run costs what those of its scale were measured to.
"$MIXSWEEP_PYTHON" -c 'import shutil, h5py
shutil.copy("world.h5", "dear.h5")
with h5py.File("dear.h5", "r+") as f:
    f["runs/flops"][:] *= 10
    f["domains/supply_tokens"][:] = float("nan")'
asked 1 'takes 1.2e+18' next dear.h5 --flops 1e17
asked 2 '--max-epochs: dear.h5 does not know the supply of any domain' \
    next dear.h5 --flops 1e20 --max-epochs 2
asked 0 'in four.csv: a job with their scales and design: {file: four.csv} makes them' \
    next world.h5 --flops 2e18 --batch 4 -o four.csv

for criterion in regret variance information; do
    for n in 1 3; do
        mpirun -n $n --oversubscribe "$MIXSWEEP" next world.h5 --flops 2e18 --batch 4 --max-epochs 2 \
            --scale 20e6:1e9 --scale 60e6:2e9 --scale 150e6:1e9 --criterion $criterion --format json \
            -o $criterion-$n.csv >$criterion-$n.json
    done
    cmp $criterion-1.json $criterion-3.json
    cmp $criterion-1.csv $criterion-3.csv
done
"${MIXSWEEP_PYTHON:-/usr/bin/python3}" - <<'PY'
import csv, json
for criterion in "regret", "variance", "information":
    answer = json.load(open(f"{criterion}-1.json"))
    rows = list(csv.DictReader(open(f"{criterion}-1.csv")))
    assert len(rows) == len(answer["runs"]) <= 4
    assert sum(run["flops"] for run in answer["runs"]) == answer["flops"] <= 2e18 * (1 + 1e-9)
    for run, row in zip(answer["runs"], rows):
        assert abs(sum(run["mixture"].values()) - 1) < 1e-9
        assert run["mixture"]["code"] * 4e9 <= 2 * 2e8 # proxies have the passes of 4e9 tokens
        assert float(row["h_wiki"]) == run["mixture"]["wiki"] and float(row["n_tokens"]) == run["n_tokens"]
        assert run["flops"] == 6 * run["n_params"] * run["n_tokens"]
    assert answer["regret"]["value"] > 0 and answer["n_draws"] > 50
    assert answer["checked_against"] == ["product", "transfer"] and not answer["is_doubted"]
    assert answer["advice"] == (("go on" if answer["pays"] else "stop") if answer["sure"] else "cannot tell")
regret = json.load(open("regret-1.json"))
assert len(regret["runs"]) > 0 and regret["reduction"]["value"] > 2 * regret["reduction"]["se"] > 0
assert regret["runs"][-1]["regret"] == regret["regret_after"]
PY

# How to spend a budget: more never expects more regret, and every way stays within it.
"$MIXSWEEP" fit world.h5 --law additive --starts 2 --holdout none >out 2>&1
"$MIXSWEEP" bootstrap world.h5 --fit additive --draws 24 >out
"$MIXSWEEP" optimum world.h5 --fit additive --params 1e9 --tokens 2e10 >out
for n in 1 3; do
    mpirun -n $n --oversubscribe "$MIXSWEEP" next world.h5 --optimum additive --flops 1.6e19 --allocate \
        --mixtures 8 --scale 20e6:1e9 --scale 60e6:2e9 --format json >allocate-$n.json
done
cmp allocate-1.json allocate-3.json
asked 0 'all small' next world.h5 --optimum additive --flops 1e18 --allocate --mixtures 4
asked 2 'so there is nothing for --emit' next world.h5 --optimum additive --flops 1e20 --allocate --emit tasks
"${MIXSWEEP_PYTHON:-/usr/bin/python3}" - <<'PY'
import json
answer = json.load(open("allocate-1.json"))
best = [b["best"]["regret"]["value"] for b in answer["budgets"]]
assert len(best) == 5 and best == sorted(best, reverse=True) and best[-1] < answer["regret"]["value"]
for at, budget in enumerate(answer["budgets"]):
    assert budget["budget"] == 1.6e19 / 2 ** (4 - at)
    assert [w["way"] for w in budget["ways"]] == ["all small", "all large", "even", "mixed"]
    for way in budget["ways"]:
        spent = sum(6 * s["n_params"] * s["n_tokens"] * s["n_runs"] for s in way["scales"])
        assert abs(spent / budget["budget"] - way["flops"] / budget["budget"]) < 1e-9
        assert spent <= budget["budget"] * (1 + 1e-9)
        assert all(s["n_mixtures"] <= s["n_runs"] for s in way["scales"])
        assert budget["best"]["regret"]["value"] <= way["regret"]["value"]
small, large = answer["budgets"][-1]["ways"][:2]
assert small["scales"][1]["n_runs"] == 0 == large["scales"][0]["n_runs"] < large["scales"][1]["n_runs"]
PY

# Few draws are used as far as they go.
"$MIXSWEEP" fit world.h5 --law capacity --starts 4 --holdout none --name few >out 2>&1
"$MIXSWEEP" bootstrap world.h5 --fit few --draws 24 >out
"$MIXSWEEP" optimum world.h5 --fit few --params 1e9 --tokens 2e10 >out
asked 0 'over 24 draws' next world.h5 --optimum few --flops 2e18 --batch 2
# The regret is that of the optimum's own objective, against mixtures that its caps allow: the baseline, which
# is better than all of them, is not one.
for case in "capped --cap wiki=0.2" "worst --objective worst"; do
    "$MIXSWEEP" optimum world.h5 --fit few --params 1e9 --tokens 2e10 --name $case >out
    asked 0 '"runs"' next world.h5 --optimum "${case%% *}" --flops 2e18 --batch 2 --format json
    mv out "${case%% *}.json"
done
"$MIXSWEEP" optimum world.h5 --fit few --params 1e9 --tokens 2e10 --name guarded --no-worse web >out
asked 0 'warning: guards hold by the fit' next world.h5 --optimum guarded --flops 2e18 --batch 1
asked 0 '(worst loss, over 24 draws)' next world.h5 --optimum worst --flops 2e18 --batch 2
"${MIXSWEEP_PYTHON:-/usr/bin/python3}" - <<'PY'
import json
for name in "capped", "worst":
    answer = json.load(open(f"{name}.json"))
    assert answer["regret"]["value"] > answer["regret"]["se"] > 0 and answer["reduction"]["value"] > 0, name
PY
"$MIXSWEEP" fit world.h5 --law capacity --starts 4 --holdout none --name fewer >out 2>&1
"$MIXSWEEP" bootstrap world.h5 --fit fewer --draws 10 >out
"$MIXSWEEP" optimum world.h5 --fit fewer --params 1e9 --tokens 2e10 >out
asked 1 'there are 10 bootstrap draws of fewer: at least 20 are needed' next world.h5 --optimum fewer --flops 2e18

# A wrong law is found by the fits of the file, and by those that next makes.
"$MIXSWEEP" fit world.h5 --law dml --starts 4 --holdout none >out 2>&1
"$MIXSWEEP" bootstrap world.h5 --fit dml --draws 24 >out
for n in 1 3; do
    mpirun -n $n --oversubscribe "$MIXSWEEP" next world.h5 --fit dml --params 1e9 --tokens 2e10 \
        --flops 2e18 --batch 2 --format json >wrong-$n.json
done
cmp wrong-1.json wrong-3.json
"${MIXSWEEP_PYTHON:-/usr/bin/python3}" - <<'PY'
import json
answer = json.load(open("wrong-1.json"))
assert answer["is_doubted"] and answer["advice"] == "cannot tell" and "the law does not hold" in answer["reason"]
assert answer["checked_against"] == ["fit additive", "fit capacity", "fit few", "fit fewer", "product", "transfer"]
assert any("of the residuals of law dml" in w for w in answer["warnings"])
PY

# A job makes the runs that were written, each at its scale, and they are marked.
cp world.h5 more.h5
sed -e 's/^file: .*/file: more.h5/; s/^design: .*/design: {file: regret-1.csv}/; /^fit:/d' \
    -e 's/^scales: \[/&{n_params: 150e6, n_tokens: 1e9}, /' job.yaml >more.yaml
n=$(($(grep -c . regret-1.csv) - 1))
asked 0 "$n/$n runs, 0 failed" run more.yaml
asked 0 "^rounds     1: $n runs" status more.h5
asked 0 "^runs       $((24 + n)) done" status more.h5
asked 0 'warning: the runs have changed since fit capacity was made: fit again with --replace' \
    next more.h5 --optimum capacity --flops 2e18 --batch 1

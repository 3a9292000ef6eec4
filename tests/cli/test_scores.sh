# SPDX-License-Identifier: GPL-3.0-or-later
# Benchmark scores through the program: imported with their chance level, linked to the losses,
# predicted and maximised; the truth is known.
. "$MIXSWEEP_TESTS/lib.sh"

awk 'BEGIN {
    print "run,n_params,n_tokens,h_web,h_code,loss_web,loss_code,loss_mmlu"
    for (i = 0; i < 16; i++)
        for (k = 0; k < 3; k++) {
            h = 0.06 + 0.88 * ((i * 7) % 16) / 15; n = 20 * 3 ^ k; d = 4 * 3 ^ k
            a = 1.2 + 0.5 * h ^ -0.3 + 2 * n ^ -0.3 + d ^ -0.4
            b = 0.9 + 0.4 * (1 - h) ^ -0.3 + 3 * n ^ -0.3 + d ^ -0.4
            s = 0.25 + 0.6 / (1 + exp(-(5 - a - b)))
            printf "m%d,%d,%d,%.12f,%.12f,%.12f,%.12f,%.12f\n", i, n * 1e6, d * 1e9, h, 1 - h, \
                a * (1 + 0.001 * sin(99 * i + k)), b * (1 + 0.001 * cos(77 * i + k)), \
                s + 0.001 * sin(55 * i + 3 * k)
        }
}' >runs.csv
echo 'targets: [{name: mmlu, unit: accuracy, direction: higher, chance: 0.25}]' >scores.yaml
run import runs.csv --map scores.yaml -o scores.h5
run fit scores.h5 --law additive --targets all --starts 4 --format json
holds 'abs(j["params"]["hi[mmlu]"] - 0.85) < 0.1 and j["params"]["lo[mmlu]"] == 0.25'
holds 'abs(j["params"]["s[mmlu,web]"] - 1) < 0.2'
holds 'j["holdout"]["by_target"]["mmlu"]["n"] == 16 and j["holdout"]["by_target"]["mmlu"]["mre"] < 0.02'
run bootstrap scores.h5 --draws 20
run predict scores.h5 --mixture web=.5,code=.5 --params 1e9 --tokens 2e11
says 'mmlu (score, better when higher)'
run optimum scores.h5 --params 1e9 --tokens 2e11 --weight web=0,code=0 --format json
holds 'abs(j["mixture"]["web"] - 0.5) < 0.1 and j["objective"]["value"] == -j["loss"]["mmlu"]["value"]'
holds 'any("mmlu is a score (accuracy)" in w for w in j["warnings"])'
refuses 1 'mean-gain or worst-gain' optimum scores.h5 --params 1e9 --tokens 2e11 --weight mmlu=1 --no-save
run optimum scores.h5 --params 1e9 --tokens 2e11 --objective mean-gain --no-worse all --no-save
echo 'targets: [{name: web, chance: 0.25}]' >wrong.yaml
refuses 1 'direction: higher' import runs.csv --map wrong.yaml -o wrong.h5
run optimum scores.h5 --params 1e9 --tokens 2e11 --weight web=0,code=0 --no-save
says 'minus the mean score'
prints '^  target  *weight  loss or score '
prints '^  mmlu (score, better when higher)  *1 '
prints '^  web  *0 '
# All laws on the scores of runs that they have not seen; losses of two units.
awk 'BEGIN { FS = OFS = "," } NR > 1 { $7 = $7 / 4 } { print }' runs.csv >units.csv
echo 'targets: [{name: mmlu, unit: accuracy, direction: higher, chance: 0.25}, {name: code, unit: bits/byte}]' >units.yaml
run import units.csv --map units.yaml -o units.h5
run compare units.h5 --targets all --laws additive,chinchilla --starts 2 --holdout mixture:4-fold --format json
facts='rows = {r["name"]: r for r in j["holdouts"][0]["rows"]}; score = {n: r["by_target"]["mmlu"] for n, r in rows.items()}'
holds 'j["scores"] == ["mmlu"] and j["units"]["code"] == "bits/byte" and j["target_size"]["code"] < 1'
holds 'score["additive"]["n"] == 48 and score["additive"]["mae"] < 0.002 and score["additive"]["loses_mae"] == []'
holds 'score["mean"]["worse"] > score["scale-only"]["worse"] > 0 and score["chinchilla"]["rho"] is None'
holds 'rows["additive"]["n"] == 96 and j["holdouts"][0]["no_link"] == {}'
cp out made.json
run compare units.h5 --show --format json
cmp -s out made.json || die "--show prints something else"
"$python" - <<'PY' || die "the file is not as h5py should see it"
import json
import h5py
j, g = json.load(open("made.json")), h5py.File("units.h5")["compare/laws/by_target"]
assert g["mae"].shape == (1, 6, 3) and [d.keys()[0] for d in g["mae"].dims] == ["holdout", "predictor", "target"]
assert list(g["target"].asstr()) == ["web", "code", "mmlu"] and g.attrs["n_scores"] == 1
names = list(g["predictor"].asstr())
for row in j["holdouts"][0]["rows"]:
    of = row["by_target"]["mmlu"]
    assert g["n"][0, names.index(row["name"]), 2] == of["n"]
    assert of["n"] == 0 or g["mae"][0, names.index(row["name"]), 2] == of["mae"]
PY
run compare units.h5 --show
says 'score mmlu (accuracy), better when higher; held out: mixture, 4 folds'
says 'losses of several units: MAE, RMSE'
run report units.h5 -o page
grep -q 'Score mmlu (accuracy), held-out mixture, 4 folds' page/index.html || die "no scores in the report"
refuses 1 'only scores are selected' compare units.h5 --targets mmlu
# A fit whose scores are losses by now is not resampled.
cp scores.h5 bent.h5
"$MIXSWEEP_PYTHON" -c 'import h5py
h5py.File("bent.h5", "r+")["targets/direction"][2] = -1'
refuses 1 'the runs have changed since fit additive was made' bootstrap bent.h5 --draws 30

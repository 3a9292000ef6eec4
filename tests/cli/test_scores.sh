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
# A fit whose scores are losses by now is not resampled.
cp scores.h5 bent.h5
"$MIXSWEEP_PYTHON" -c 'import h5py
h5py.File("bent.h5", "r+")["targets/direction"][2] = -1'
refuses 1 'the runs have changed since fit additive was made' bootstrap bent.h5 --draws 30

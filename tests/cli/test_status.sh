# SPDX-License-Identifier: GPL-3.0-or-later
# What status says of a file with runs, a fit, draws and an optimum, in text and in JSON, and of one
# whose writer was stopped.

# 20 mixtures of two domains at two sizes; losses are smooth in the mixture and the size.
awk 'BEGIN {
    print "run,n_params,n_tokens,h_code,h_text,loss_code,loss_text"
    for (size = 1; size <= 2; size++)
        for (i = 1; i <= 20; i++) {
            h = i / 21
            printf "m%d,%de6,1e9,%.6f,%.6f,%.6f,%.6f\n", i, 50 * size, h, 1 - h,
                1 + exp(-3 * h) / size, 2 + exp(-2 * (1 - h)) / size
        }
}' >runs.csv
"$MIXSWEEP" import runs.csv -o s.h5 >/dev/null
"$MIXSWEEP" status s.h5 >text
grep -q '^runs  *40 done, 0 failed, 0 interrupted, 0 excluded; 20 mixtures$' text
grep -q '^domains  *code text$' text
grep -q '^  50M  *1B  *20$' text
if grep -q '^  fit' text; then exit 1; fi

"$MIXSWEEP" fit s.h5 --law transfer --starts 2 --holdout none >/dev/null
"$MIXSWEEP" bootstrap s.h5 --fit transfer --draws 3 >/dev/null
"$MIXSWEEP" optimum s.h5 --fit transfer --params 1e9 --tokens 2e10 >/dev/null
"$MIXSWEEP" status s.h5 >text
grep -q '^  transfer  *transfer  *80 ' text
grep -q '^bootstrap  *transfer: 3/3 draws$' text
grep -q '^optimum  *transfer: fit transfer at 1B parameters, 20B tokens, loss ' text

"$MIXSWEEP" status s.h5 --format json >json
"$MIXSWEEP_PYTHON" - <<'END'
import json

said = json.load(open("json"))
assert said["runs"] == dict(n=40, done=40, failed=0, interrupted=0, excluded=0, mixtures=20), said
assert [s["n_params"] for s in said["sizes"]] == [50e6, 100e6]
assert [d["name"] for d in said["domains"]] == ["code", "text"]
assert said["fits"][0]["law"] == "transfer" and said["fits"][0]["n_fitted"] == 80
assert said["fits"][0]["holdout"] is None
assert said["fits"][0]["stale"] is False
assert said["bootstrap"] == [dict(fit="transfer", draws=3, done=3)]
assert said["optimum"][0]["n_params"] == 1e9
assert said["logs"] == 0
END

# A bootstrap that was stopped on its way: draws done of draws asked for. What is not known is "-" in
# text and null in JSON.
cp s.h5 part.h5
"$MIXSWEEP_PYTHON" - <<'END'
import h5py
import numpy as np

with h5py.File("part.h5", "r+") as f:
    f["bootstrap/transfer/done"][1] = 0
    f["fits/transfer/train"].attrs.modify("mre", np.float64(np.nan))
    f["optimum/transfer"].attrs.modify("objective", np.float64(np.nan))
END
"$MIXSWEEP" status part.h5 >text
grep -q '^bootstrap  *transfer: 2/3 draws$' text
grep -q '^  transfer  *transfer  *80  *-  *-  *-  *-$' text
grep -q '^optimum .*, loss -$' text
if grep -qiw nan text || grep -q 'have changed' text; then exit 1; fi
"$MIXSWEEP" status part.h5 --format json >json
grep -q '"mre": null' json

# One more run, and the fit is not of these runs.
{ head -1 runs.csv; echo 'm21,150e6,1e9,0.5,0.5,1.3,2.4'; } >more.csv
"$MIXSWEEP" import more.csv -o s.h5 --append >/dev/null
"$MIXSWEEP" status s.h5 >text
grep -q '^  note: transfer: the runs have changed since this fit' text
"$MIXSWEEP" status s.h5 --format json >json
grep -q '"stale": true' json

mkdir -p s.h5.log
: >s.h5.log/rank-0000
"$MIXSWEEP" status s.h5 >text
grep -q '^1 log beside the file (s.h5.log/)' text

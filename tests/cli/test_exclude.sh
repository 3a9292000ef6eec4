# SPDX-License-Identifier: GPL-3.0-or-later
# The verbs exclude and retry: a run is named by name or key, with all its checkpoints; what is
# excluded is in no fit, what is retried is begun anew by the next sweep.
. "$MIXSWEEP_TESTS/lib.sh"
column() { # FILE COLUMN: run and value of each row
    "$MIXSWEEP_PYTHON" - "$1" "$2" <<'END'
import sys
import h5py
with h5py.File(sys.argv[1]) as f:
    rows = zip(f["runs/run"][:], f["runs/n_params"][:], f["runs/n_tokens"][:], f["runs"][sys.argv[2]][:])
    for name, n, d, value in sorted(rows):
        print(name.decode(), f"{n:g}", f"{d:g}", value.decode() if isinstance(value, bytes) else value)
END
}

awk 'BEGIN {
    print "run,n_params,n_tokens,h_code,h_text,loss_code,loss_text"
    for (size = 1; size <= 2; size++)
        for (i = 1; i <= 12; i++)
            for (tokens = 1; tokens <= 2; tokens++) {
                h = i / 13
                printf "m%d,%de6,%de9,%.6f,%.6f,%.6f,%.6f\n", i, 50 * size, tokens, h, 1 - h,
                    1 + exp(-3 * h) / size / tokens, 2 + exp(-2 * (1 - h)) / size / tokens
            }
    printf "odd,5e7,1e9,0.5,0.5,9,9\n"
}' >runs.csv
"$MIXSWEEP" import runs.csv -o s.h5 --checkpoints all >/dev/null 2>&1
cp s.h5 before.h5
"$MIXSWEEP" fit s.h5 --law chinchilla --starts 2 --holdout none >/dev/null 2>&1

"$MIXSWEEP" exclude s.h5 odd --reason 'loss spike, "late"' >out
grep -q '^excluded 1 run of s.h5 (1 row); kept in the file' out
grep -q '^note: fit chinchilla has seen other runs' out
[ "$(column s.h5 excluded | grep ' 1$')" = 'odd 5e+07 1e+09 1' ]
column s.h5 reason | grep -q '^odd .* loss spike, "late"$'
"$MIXSWEEP" fit s.h5 --law chinchilla --name without --starts 2 --holdout none --format json >out 2>/dev/null
grep -q '"n_fitted": 48' out # 24 last checkpoints of 2 targets: not those of odd

# m3 is two runs: one for each size. Its keys tell them apart; each is all its checkpoints.
fails 1 '"m3" is the name of several runs, as [0-9a-f]\{32\} (n_params' "$MIXSWEEP" exclude s.h5 m3 --reason x
key=$(column s.h5 key | awk '$1 == "m3" && $2 == "1e+08" {print $4}' | tail -1)
"$MIXSWEEP" exclude s.h5 "$key" odd --reason twice --format json >out
[ "$("$MIXSWEEP_PYTHON" -c 'import json; o = json.load(open("out")); print(o["excluded"], o["rows"])')" = \
    "['m3', 'odd'] 3" ]
[ "$(column s.h5 excluded | grep -c ' 1$')" = 3 ]
run status s.h5
prints '^runs       49 done, .* 3 excluded'
prints '^  3 rows: twice (\(m3, odd\|odd, m3\))$'
run status s.h5 --format json
holds 'sorted((x["run"], x["reason"]) for x in j["exclusions"]) == [("m3", "twice")] * 2 + [("odd", "twice")]'
"$MIXSWEEP" exclude s.h5 "$key" odd --undo >out
grep -q '^included 2 runs' out
"$MIXSWEEP" export s.h5 runs -o after.csv >/dev/null 2>&1
"$MIXSWEEP" export before.h5 runs -o before.csv >/dev/null 2>&1
cmp before.csv after.csv # nothing else has changed

fails 1 's.h5: there is no run "m99"' "$MIXSWEEP" exclude s.h5 m99 --reason x
fails 1 'there is no run ""' "$MIXSWEEP" exclude s.h5 "" --reason x
fails 1 'there is no run "00000000000000000000000000000000"' \
    "$MIXSWEEP" exclude s.h5 00000000000000000000000000000000 --reason x
fails 2 'Give --reason' "$MIXSWEEP" exclude s.h5 odd
fails 2 '"": TEXT is empty' "$MIXSWEEP" exclude s.h5 odd --reason ''
fails 2 '64 bytes; 63 are allowed' "$MIXSWEEP" exclude s.h5 odd --reason "$(printf %064d 0)"
fails 2 '^mixsweep.*confirmation is what marks runs that confirm an optimum; give another' \
    "$MIXSWEEP" exclude s.h5 odd --reason confirmation
fails 2 'takes no --reason' "$MIXSWEEP" exclude s.h5 odd --undo --reason x
fails 2 '' "$MIXSWEEP" exclude s.h5 --reason x
fails 1 'no such file' "$MIXSWEEP" exclude none.h5 odd --reason x
[ ! -e none.h5.lock ]

# A sweep with two failed runs, one of them tried three times.
cat >job.yaml <<'END'
job: tried
file: tried.h5
domains:
  - {name: code, prior: 0.5}
  - {name: web, prior: 0.5}
design: {mixtures: 4, replicates: 1}
scales:
  - {n_params: 1e6, n_tokens: 2e7}
sweep:
  evaluator: simulate
  simulate: {law: transfer, noise: 0.01, seed: 7}
END
"$MIXSWEEP" sweep job.yaml >/dev/null
cp tried.h5 whole.h5
fail_two() {
    cp whole.h5 tried.h5
    "$MIXSWEEP_PYTHON" - <<'END'
import h5py
import numpy as np
with h5py.File("tried.h5", "r+") as f:
    f["runs/status"][:2] = [1, 2]
    f["runs/attempts"][:2] = [3, 1]
    f["runs/loss"][:2] = np.nan
    print(f["runs/run"][0].decode(), f["runs/run"][2].decode())
END
}
read -r failed done < <(fail_two)
"$MIXSWEEP" retry tried.h5 --failed >out
grep -q '^forgot 2 runs of tried.h5 (2 rows); the next sweep begins them anew' out
"$MIXSWEEP" sweep job.yaml >out
grep -q '2 of 4 runs done, 2 to do' out
"$MIXSWEEP_PYTHON" "$MIXSWEEP_TESTS/h5equal.py" whole.h5 tried.h5
fail_two >/dev/null
"$MIXSWEEP" retry tried.h5 --run "$failed" --format json >out
grep -q "\"$failed\"" out
fails 1 'is done; --force drops its losses' "$MIXSWEEP" retry tried.h5 --run "$done"
"$MIXSWEEP" retry tried.h5 --run "$done" --force >out
grep -q '^forgot 1 run ' out
[ "$(column tried.h5 status | wc -l)" = 2 ]
fails 1 'is not done (interrupted)' "$MIXSWEEP" exclude tried.h5 "$(column tried.h5 status | awk '$4 == 2 {print $1}')" --reason x
"$MIXSWEEP" retry tried.h5 --failed >out
"$MIXSWEEP" retry tried.h5 --failed >out
grep -q '^forgot 0 runs of tried.h5 (0 rows)$' out
fails 2 'Give --failed or --run' "$MIXSWEEP" retry tried.h5
fails 1 'tried.h5: there is no run' "$MIXSWEEP" retry tried.h5 --run nobody

# SPDX-License-Identifier: GPL-3.0-or-later
# Repeats from the plan to the optimum: proxies of which the evaluators cut the scarce domain, what
# the fit knows of that, and the same by way of a table of somebody else's.
. "$MIXSWEEP_TESTS/lib.sh"
facts='r = j'

# each NAME VALUE: a parameter of all three domains
each() { for domain in good web code; do printf '"%s[%s]": %s, ' "$1" $domain "$2"; done; }
cat >job.yaml <<YAML
job: scarce
file: s.h5
domains: [{name: good, supply_tokens: 2e9}, {name: web}, {name: code}]
design: {mixtures: 20, strength: [1, 3], replicates: 1, match_epochs: {n_tokens: 5e10}}
scales: [{n_params: 10e6, n_tokens: 4e8}, {n_params: 20e6, n_tokens: 8e8}, {n_params: 40e6, n_tokens: 1.6e9}]
sweep:
  evaluator: simulate
  simulate:
    law: transfer+repetition
    noise: 0.001
    params: {$(each b 0.4; each c 0.3; each A 0.7; each a 0.45; each E 1.2; each gamma 0.9; each P 1.5; each Q 0.1)
      H: 0.5, p: 0.3, q: 0.3, r1: 3, "T[good,web]": 0.3, "T[good,code]": 0.3,
      "T[web,good]": 8, "T[web,code]": 0.3, "T[code,good]": 8, "T[code,web]": 0.3}
fit: {law: transfer+repetition, starts: 6, holdout: none}
optimum: {n_params: 2e8, n_tokens: 5e10}
YAML

# The plan says how much of the domain a proxy gets, and tells what is run outside.
run plan job.yaml
prints '  at 20M domains of known supply are cut to 0.016 of it, so that they pass as often as in 50B tokens'
run plan job.yaml --emit tasks
"$python" - <<'PY' || die "the tasks are not told how much to use"
import glob, json
runs = [json.load(open(f)) for f in glob.glob("tasks/*.json")]
assert len(runs) == 60
for r in runs:
    assert r["subsample"]["web"] == 1 and abs(r["subsample"]["good"] - r["tokens"] / 5e10) < 1e-12
PY

task=$(ls tasks/*.json | head -1)
echo '{"loss": {"good": 2, "web": 3, "code": 3}}' >result.json
sed 's/s\.h5/e.h5/; /^sweep/,$d' job.yaml >e.yaml
cat >>e.yaml <<'YAML'
sweep: {evaluator: command, command: {argv: [echo, '{{"good": 2.5, "web": 3, "code": 3}}'], result: stdout}}
YAML
"$python" - "$task" <<'PY' || die "the task cannot be told to another job"
import json, sys
task = json.load(open(sys.argv[1]))
json.dump(dict(task, job=task["job"].replace("job.yaml", "e.yaml"), file=task["file"].replace("s.h5", "e.h5")), open("task.json", "w"))
PY
run record e.h5 --task task.json result.json
run sweep e.yaml
run export e.h5 runs
"$python" - <<'PY' || die "a run made outside does not know its passes"
import csv
r, = [r for r in csv.DictReader(open("out")) if float(r["loss_good"]) == 2]
assert abs(float(r["epochs_good"]) - float(r["h_good"]) * 25) < 1e-6
PY

# The rows know their passes; r1 is found, and the optimum is the true one, 0.265 of the good domain.
run run job.yaml
run export s.h5 runs -o runs.csv
"$python" - <<'PY' || die "the runs do not pass over the domain as the target will"
import csv
for r in csv.DictReader(open("runs.csv")):
    assert abs(float(r["epochs_good"]) - float(r["h_good"]) * 25) < 1e-6 and r["epochs_web"] == ""
PY
run fit s.h5 --law transfer+repetition --starts 6 --holdout none --format json
holds '2.4 < r["params"]["r1"] < 3.6 and r["law"] == "transfer+repetition"'
run optimum s.h5 --fit transfer+repetition --params 2e8 --tokens 5e10 --name asked --format json
holds 'abs(r["mixture"]["good"] - 0.265) < 0.05'
holds 'abs(r["repetition"]["passes"]["good"] - 25 * r["mixture"]["good"]) < 1e-9'
holds '1 < r["repetition"]["worth"]["good"] < 4.6 and r["repetition"]["passes"]["web"] is None'
holds 'r["repetition"]["if_new"]["mixture"]["good"] > r["mixture"]["good"] + 0.3'
holds 'r["repetition"]["if_new"]["objective"] > r["objective"]["value"]'
holds 'r["prices"]["domains"]["good"]["per_1e9_tokens"] > 0'
run optimum s.h5 --fit transfer+repetition --params 2e8 --tokens 5e10 --name asked
prints '  price: 100M more tokens of good would lower the objective by 0.00'
prints '  worth: in passes over new tokens (r1 = '
grep -q 'would be seen' out && die "a warning of what the law knows"

# More of the domain is another question; a limit on passes holds as with any law.
run optimum s.h5 --fit transfer+repetition --params 2e8 --tokens 5e10 --supply good=8e9 --name rich --format json
holds 'r["mixture"]["good"] > 0.4 and r["max_epochs"] is None'
run optimum s.h5 --fit transfer+repetition --params 2e8 --tokens 5e10 --max-epochs 2 --name held --format json
holds 'abs(r["mixture"]["good"] - 0.08) < 1e-9'

# A law that does not see the supplies is another law on the same runs.
run fit s.h5 --law transfer --starts 2 --holdout none
run predict s.h5 --fit transfer+repetition --mixture good=.2,web=.4,code=.4 --params 2e8 --tokens 5e10 --format json
holds 'r["error"]["laws"] == 2 and r["error"]["law"] > 0'

# A table says the same by what each run could see without a repeat.
"$python" - <<'PY' || die "no table"
import csv
rows = list(csv.DictReader(open("runs.csv")))
keep = [c for c in rows[0] if c in ("run", "n_params", "n_tokens") or c[:2] == "h_" or c[:5] == "loss_"]
with open("theirs.csv", "w") as f:
    out = csv.writer(f)
    out.writerow(keep + ["unique_good"])
    for r in rows:
        out.writerow([r[c] for c in keep] + [2e9 * float(r["n_tokens"]) / 5e10])
PY
run import theirs.csv -o t.h5
run fit t.h5 --law transfer+repetition --starts 6 --holdout none --format json
holds '2.4 < r["params"]["r1"] < 3.6'
run optimum t.h5 --fit transfer+repetition --params 2e8 --tokens 5e10 --supply good=2e9 --format json
holds 'abs(r["mixture"]["good"] - 0.265) < 0.05 and r["max_epochs"] is None'
sed 's/unique_good/epochs_good,unique_good/; 2,$s/,[^,]*$/,1,2/' theirs.csv >both.csv
"$MIXSWEEP" import both.csv -o b.h5 >out 2>err && die "epochs and unique of a domain are both taken"
grep -q 'line 2, column unique_good: epochs_ and unique_ of a domain say the same; leave one out.' err ||
    die "another sentence"

# Without repeats r1 is the published one, and the fit says so.
sed '/^design/s/, match_epochs: {[^}]*}//; s/s\.h5/u.h5/' job.yaml >u.yaml
run run u.yaml
run fit u.h5 --law transfer+repetition --starts 6 --holdout none
prints 'no selected run sees a domain more than once (0[.0-9]* passes at most): r1, what repeats are worth, is held at the published 15.4'
prints '  r1 = 15.4 ?'

# Trained proxies see the part of the text that the plan says.
for i in $(seq 600); do echo "line $i: $((i * i % 101)) follows $((i * i % 89))"; done >good.txt
for i in $(seq 600); do echo "$((i % 7)) and $((i % 11)) are not $i"; done >web.txt
cat >trained.yaml <<YAML
job: trained
file: trained.h5
domains:
  - {name: good, paths: good.txt, document: line, supply_tokens: 12000}
  - {name: web, paths: web.txt, document: line}
design: {mixtures: 3, replicates: 1, include_uniform: yes, match_epochs: {n_tokens: 96000}}
scales: [{width: 16, layers: 1, heads: 2, context: 16, n_tokens: 24000}]
sweep: {evaluator: embedded, embedded: {batch: 4, validation_bytes: 512}}
YAML
run sweep trained.yaml
run export trained.h5 runs -o trained.csv
"$python" - <<'PY' || die "the trained runs do not pass over the part that they are to use"
import csv, os
rows = list(csv.DictReader(open("trained.csv")))
assert len(rows) == 3
for r in rows: # a quarter of the supply, whatever text there is
    seen = float(r["h_good"]) * float(r["n_tokens"])
    assert seen > 0 and abs(seen / float(r["epochs_good"]) / 3000 - 1) < 0.01, r
    seen = float(r["h_web"]) * float(r["n_tokens"])
    assert 0.6 < seen / float(r["epochs_web"]) / os.path.getsize("web.txt") < 1, r
PY
